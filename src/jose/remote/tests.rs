use super::*;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

const URI: &str = "https://client.example.com/jwks";

/// Who publishes a key set.
struct Publisher {
    fetches: AtomicUsize,
    answer: Mutex<Option<FetchedJwks>>,
    /// An answer needs a permit.
    gate: Semaphore,
}

impl Publisher {
    fn new() -> Arc<Self> {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        let publisher = Self { fetches: AtomicUsize::new(0), answer: Mutex::default(), gate };
        publisher.publish("first", None);
        Arc::new(publisher)
    }

    fn publish(&self, kid: &str, max_age: Option<u64>) {
        self.answer(Some(FetchedJwks::new(set(kid), max_age.map(Duration::from_secs))));
    }

    fn answer(&self, answer: Option<FetchedJwks>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn open(&self) {
        self.gate.add_permits(1000);
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn cache(self: &Arc<Self>) -> Arc<JwksCache> {
        Arc::new(self.plain_cache())
    }

    fn plain_cache(self: &Arc<Self>) -> JwksCache {
        let publisher = Arc::clone(self);
        JwksCache::new(move |_| {
            publisher.fetches.fetch_add(1, Ordering::SeqCst);
            let publisher = Arc::clone(&publisher);
            async move {
                publisher.gate.acquire().await.unwrap().forget();
                let answer = publisher.answer.lock().unwrap().clone();
                answer.ok_or_else(|| io::Error::other("out of order"))
            }
        })
    }
}

fn set(kid: &str) -> String {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    format!(r#"{{"keys":[{{"kty":"new"}},{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}"}}]}}"#)
}

fn is(set: &JwkSet, kid: &str) -> bool {
    set.iter().map(|key| key.kid()).eq([Some(kid)])
}

/// This many milliseconds after the first fetch.
fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + milliseconds)
}

async fn has(cache: &JwksCache, milliseconds: u64, kid: &str) -> bool {
    is(&cache.keys(URI, at(milliseconds)).await.unwrap(), kid)
}

/// Lets the other tasks run until they wait.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_set_is_kept_for_its_time_within_bounds() {
    for (max_age, life) in [(None, 600), (Some(0), 60), (Some(59), 60), (Some(61), 61), (Some(90_000), 86_400)] {
        let publisher = Publisher::new();
        publisher.publish("first", max_age);
        let cache = publisher.cache();
        assert!(has(&cache, 0, "first").await);
        publisher.publish("second", None);
        assert!(has(&cache, life * 800 - 1, "first").await, "{max_age:?}");
        assert_eq!(publisher.fetches(), 1);
        assert!(has(&cache, life * 800, "second").await, "{max_age:?}");
        assert_eq!(publisher.fetches(), 2);
    }
}

#[tokio::test]
async fn three_hundred_first_uses_are_one_fetch() {
    let publisher = Publisher::new();
    publisher.close();
    let cache = publisher.cache();
    let mut callers = JoinSet::new();
    for caller in 0..300 {
        let cache = Arc::clone(&cache);
        callers.spawn(async move { has(&cache, caller, "first").await });
    }
    settle().await;
    publisher.open();
    assert!(callers.join_all().await.into_iter().all(|got| got));
    assert_eq!(publisher.fetches(), 1);
}

#[tokio::test]
async fn one_caller_fetches_ahead_and_the_others_do_not_wait() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    assert!(has(&cache, 0, "first").await);
    publisher.publish("second", None);
    publisher.close();
    let ahead = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { has(&cache, 480_000, "second").await }
    });
    settle().await;
    assert!(has(&cache, 480_000, "first").await);
    publisher.open();
    assert!(ahead.await.unwrap());
    assert!(has(&cache, 480_001, "second").await);
    assert_eq!(publisher.fetches(), 2);
}

#[tokio::test]
async fn past_its_time_everybody_waits_for_the_fetch() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    assert!(has(&cache, 0, "first").await);
    publisher.publish("second", None);
    publisher.close();
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let cache = Arc::clone(&cache);
        callers.spawn(async move { has(&cache, 600_000, "second").await });
    }
    settle().await;
    publisher.open();
    assert!(callers.join_all().await.into_iter().all(|got| got));
    assert_eq!(publisher.fetches(), 2);
}

#[tokio::test]
async fn a_fetch_goes_on_when_its_caller_goes_away() {
    let publisher = Publisher::new();
    publisher.close();
    let cache = publisher.cache();
    let call = |milliseconds| {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move { has(&cache, milliseconds, "first").await })
    };
    let (gone, waiting) = (call(0), call(1));
    settle().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    settle().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    let late = call(29_000);
    settle().await;
    assert_eq!(publisher.fetches(), 1);
    late.abort();
    assert!(late.await.unwrap_err().is_cancelled());
    // Its connection is long gone by now.
    let later = call(30_000);
    settle().await;
    assert_eq!(publisher.fetches(), 2);
    publisher.open();
    assert!(later.await.unwrap());
}

#[tokio::test]
async fn without_keys_a_failure_is_remembered_for_five_seconds() {
    let publisher = Publisher::new();
    publisher.answer(None);
    let cache = publisher.cache();
    for moment in [0, 1, 4_999] {
        let error = cache.keys(URI, at(moment)).await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "out of order");
    }
    assert_eq!(publisher.fetches(), 1);
    publisher.answer(Some(FetchedJwks::new("{}", None)));
    assert!(matches!(cache.keys(URI, at(5_000)).await, Err(JwksError::Invalid(_))));
    assert!(matches!(cache.keys(URI, at(9_999)).await, Err(JwksError::Invalid(_))));
    assert_eq!(publisher.fetches(), 2);
    publisher.publish("first", None);
    assert!(has(&cache, 10_000, "first").await);
}

#[tokio::test]
async fn after_a_failure_the_next_fetch_is_waited_for() {
    let publisher = Publisher::new();
    publisher.answer(None);
    let cache = publisher.cache();
    assert!(cache.keys(URI, at(0)).await.is_err());
    publisher.publish("first", None);
    publisher.close();
    let mut callers = JoinSet::new();
    for caller in 0..10 {
        let cache = Arc::clone(&cache);
        callers.spawn(async move { has(&cache, 5_000 + caller, "first").await });
    }
    settle().await;
    publisher.open();
    assert!(callers.join_all().await.into_iter().all(|got| got));
    assert_eq!(publisher.fetches(), 2);
}

#[tokio::test]
async fn who_waited_for_a_fetch_that_failed_does_not_begin_another() {
    let publisher = Publisher::new();
    publisher.answer(None);
    publisher.close();
    let cache = publisher.cache();
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let cache = Arc::clone(&cache);
        callers.spawn(async move { cache.keys(URI, at(caller * 1000)).await.is_err() });
    }
    settle().await;
    publisher.open();
    assert!(callers.join_all().await.into_iter().all(|failed| failed));
    assert_eq!(publisher.fetches(), 1);
}

#[tokio::test]
async fn stale_keys_are_served_for_a_day_at_most_while_fetches_fail() {
    let publisher = Publisher::new();
    let told = Arc::new(AtomicUsize::new(0));
    let cache = publisher.plain_cache().on_failure({
        let told = Arc::clone(&told);
        move |uri, error| {
            assert_eq!((uri, error.to_string().as_str()), (URI, "the key set could not be fetched"));
            told.fetch_add(1, Ordering::SeqCst);
        }
    });
    assert!(has(&cache, 0, "first").await);
    publisher.answer(None);
    // Every 30 seconds, from four fifths of ten minutes on.
    for moment in 480..780 {
        assert!(has(&cache, moment * 1000, "first").await);
    }
    assert_eq!((publisher.fetches(), told.load(Ordering::SeqCst)), (11, 10));
    let end = (600 + 86_400) * 1000;
    assert!(has(&cache, end - 1, "first").await);
    assert!(cache.keys(URI, at(end)).await.is_err());
    publisher.publish("second", None);
    assert!(has(&cache, end + 5_000, "second").await);
}

#[tokio::test]
async fn a_fetch_that_keeps_failing_makes_nobody_else_wait() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    assert!(has(&cache, 0, "first").await);
    publisher.answer(None);
    assert!(has(&cache, 600_000, "first").await);
    publisher.close();
    let tries = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { has(&cache, 630_000, "first").await }
    });
    settle().await;
    assert!(has(&cache, 630_000, "first").await);
    publisher.open();
    assert!(tries.await.unwrap());
    assert_eq!(publisher.fetches(), 3);
}

#[tokio::test]
async fn stale_keys_can_be_off_and_never_live_over_a_day() {
    for (longest, end) in [(0, 600), (60, 660), (1 << 40, 600 + 86_400)] {
        let publisher = Publisher::new();
        let cache = publisher.plain_cache().with_stale(Duration::from_secs(longest));
        assert!(has(&cache, 0, "first").await);
        publisher.answer(None);
        assert!(has(&cache, end * 1000 - 1, "first").await);
        assert!(cache.keys(URI, at(end * 1000)).await.is_err());
        assert!(cache.keys(URI, at(end * 1000 + 100_000)).await.is_err());
    }
}

#[tokio::test]
async fn an_empty_set_withdraws_the_keys() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    let seen = cache.keys(URI, at(0)).await.unwrap();
    publisher.answer(Some(FetchedJwks::new(r#"{"keys":[]}"#, None)));
    assert!(cache.other_keys(URI, &seen, at(1)).await.unwrap().is_empty());
    assert!(cache.keys(URI, at(2)).await.unwrap().is_empty());
    publisher.answer(None);
    assert!(cache.keys(URI, at(700_000)).await.unwrap().is_empty());
}

/// G-3 and G-4 of the threat model: misses neither drive fetches nor keep the honest from their keys.
#[tokio::test]
// req: AS-050
async fn a_thousand_unknown_kids_are_one_fetch_and_known_ones_are_served() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    let mut seen = cache.keys(URI, at(0)).await.unwrap();
    // Whatever the fetch brings, it is counted from its beginning.
    for (round, answer) in
        [(0, Some(set("first"))), (1, None), (2, Some("{}".into())), (3, Some(r#"{"keys":[]}"#.into()))]
    {
        let before = publisher.fetches();
        publisher.answer(answer.map(|body| FetchedJwks::new(body, None)));
        for request in 0..1000 {
            let now = at(round * 30_000 + request * 29);
            assert_eq!(cache.keys(URI, now).await.unwrap(), seen, "a known kid is served");
            if let Some(other) = cache.other_keys(URI, &seen, now).await {
                assert!(other.is_empty() && round == 3 && request == 0);
                seen = other;
            }
        }
        assert_eq!(publisher.fetches() - before, 1, "round {round}");
    }
}

#[tokio::test]
// req: AS-050
async fn a_rotated_key_is_found_at_once() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    let seen = cache.keys(URI, at(0)).await.unwrap();
    // The ordinary fetch, a moment ago, does not count.
    publisher.publish("second", None);
    publisher.close();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cache, seen) = (Arc::clone(&cache), seen.clone());
        callers.spawn(async move { is(&cache.other_keys(URI, &seen, at(1)).await.unwrap(), "second") });
    }
    settle().await;
    assert!(has(&cache, 1, "first").await, "who knows the key does not wait");
    publisher.open();
    assert!(callers.join_all().await.into_iter().all(|got| got), "all wait for the one fetch");
    assert!(is(&cache.other_keys(URI, &seen, at(2)).await.unwrap(), "second"), "somebody has fetched it meanwhile");
    assert!(has(&cache, 2, "second").await);
    assert_eq!(publisher.fetches(), 2);
}

#[tokio::test]
async fn nothing_is_fetched_for_an_unknown_kid_when_a_fetch_failed_a_moment_ago() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    let seen = cache.keys(URI, at(0)).await.unwrap();
    publisher.answer(None);
    assert!(has(&cache, 480_000, "first").await);
    publisher.publish("second", None);
    assert!(cache.other_keys(URI, &seen, at(509_999)).await.is_none());
    assert_eq!(publisher.fetches(), 2);
    assert!(is(&cache.other_keys(URI, &seen, at(510_000)).await.unwrap(), "second"));
}

#[tokio::test]
// req: AS-050
async fn a_caller_that_goes_away_neither_spends_nor_multiplies_the_refetch() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    let seen = cache.keys(URI, at(0)).await.unwrap();
    publisher.publish("second", None);
    publisher.close();
    for request in 0..100 {
        let gone = tokio::spawn({
            let (cache, seen) = (Arc::clone(&cache), seen.clone());
            async move { cache.other_keys(URI, &seen, at(request)).await }
        });
        settle().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
    }
    assert_eq!(publisher.fetches(), 2);
    publisher.open();
    assert!(is(&cache.other_keys(URI, &seen, at(100)).await.unwrap(), "second"));
    assert_eq!(publisher.fetches(), 2);
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_nothing() {
    const YEAR: u64 = 365 * DAY;
    let publisher = Publisher::new();
    let cache = publisher.cache();
    let seen = cache.keys(URI, at(YEAR)).await.unwrap();
    publisher.answer(None);
    assert!(cache.other_keys(URI, &seen, at(YEAR + 1)).await.is_none());
    publisher.publish("second", None);
    assert!(has(&cache, 0, "first").await);
    assert!(cache.other_keys(URI, &seen, at(1)).await.is_none());
    assert!(is(&cache.other_keys(URI, &seen, at(30_000)).await.unwrap(), "second"));

    let cache = publisher.cache();
    assert!(cache.keys(URI, Timestamp::from_millis(u64::MAX)).await.is_ok());
    publisher.publish("third", None);
    assert!(has(&cache, 0, "second").await);
    assert!(has(&cache, 480_000, "third").await);
    assert!(is(&cache.keys(URI, Timestamp::from_secs(0)).await.unwrap(), "third"));
}

#[tokio::test]
// req: AS-053
async fn a_document_has_64_kib_and_32_keys_at_most() {
    let jwk = r#"{"kty":"new"}"#;
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let keys = |others: usize| format!(r#"{{"keys":[{}{key}]}}"#, format!("{jwk},").repeat(others));
    let padded = |length: usize| keys(0) + &" ".repeat(length - keys(0).len());
    for (body, is_good) in [
        (keys(31), true),
        (keys(32), false),
        (keys(319), false),
        (padded(65_536), true),
        (padded(65_537), false),
        (padded(655_360), false),
    ] {
        let cache = JwksCache::new(move |_| {
            let body = body.clone();
            async move { Ok::<_, io::Error>(FetchedJwks::new(body, None)) }
        });
        let set = cache.keys(URI, at(0)).await;
        assert_eq!(set.is_ok_and(|set| set.iter().count() == 1), is_good);
    }
}

#[tokio::test]
async fn the_uri_that_was_not_fetched_for_longest_goes() {
    let publisher = Publisher::new();
    let cache = publisher.cache();
    for n in 0..MAX_URIS as u64 {
        cache.keys(&format!("https://a/{n}"), at(n)).await.unwrap();
    }
    // The first is fetched again, so that the second is the oldest.
    let seen = cache.keys("https://a/0", at(20_000)).await.unwrap();
    assert!(cache.other_keys("https://a/0", &seen, at(20_000)).await.is_none());
    cache.keys("https://a/new", at(20_000)).await.unwrap();
    assert_eq!(cache.entries.lock().unwrap().len(), MAX_URIS);
    let before = publisher.fetches();
    for kept in ["https://a/0", "https://a/new", "https://a/2"] {
        cache.keys(kept, at(20_001)).await.unwrap();
    }
    assert_eq!(publisher.fetches(), before);
    cache.keys("https://a/1", at(20_001)).await.unwrap();
    assert_eq!(publisher.fetches(), before + 1);
}

#[test]
fn debug_tells_nothing() {
    assert_eq!(format!("{:?}", Publisher::new().plain_cache()), "JwksCache { stale: 86400s, .. }");
}
