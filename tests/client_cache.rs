//! The cache in front of a client store: what it keeps and for how long, one look-up at a time, and that nobody sees what was before an
//! invalidation.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test panics where it fails")]

mod support;

use client_credentials::store::{
    Added, CachedClientStore, ClientRegistry, MemoryClientStore, Registered, RegistryError,
};
use client_credentials::{AuthorizationServer, Client, ClientStore, StoreError};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::*;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};

/// A store that counts what it is asked, and answers when it is let.
struct Db {
    clients: Mutex<BTreeMap<String, Arc<Client>>>,
    asked: AtomicUsize,
    longest: AtomicUsize,
    fails: AtomicBool,
    /// An answer needs a permit. What it says was read before.
    gate: Semaphore,
}

impl Db {
    fn of(client_ids: impl IntoIterator<Item = impl Into<String>>) -> Arc<Self> {
        let db = Arc::new(Self {
            clients: Mutex::default(),
            asked: AtomicUsize::new(0),
            longest: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        client_ids.into_iter().for_each(|client_id| db.put(&client_id.into(), "first"));
        db
    }

    fn put(&self, client_id: &str, name: &str) {
        let mut client = Client::new(client_id.parse().unwrap());
        client.client_name = Some(name.to_owned());
        self.clients.lock().unwrap().insert(client_id.to_owned(), client.into());
    }

    fn remove(&self, client_id: &str) {
        self.clients.lock().unwrap().remove(client_id);
    }

    fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn cache(self: &Arc<Self>) -> (Arc<CachedClientStore<Arc<Self>>>, TestClock) {
        let clock = TestClock::at(NOW);
        (Arc::new(CachedClientStore::new(Arc::clone(self)).with_clock(clock.clone())), clock)
    }
}

impl ClientStore for Db {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.longest.fetch_max(client_id.len(), Ordering::SeqCst);
        let found = self.clients.lock().unwrap().get(client_id).cloned();
        self.gate.acquire().await.unwrap().forget();
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::new(io::Error::other("out of order")).with_retry_after(Duration::from_secs(7)));
        }
        Ok(found)
    }
}

/// The name that a client has now; `None` where there is no client.
async fn name(store: &impl ClientStore, client_id: &str) -> Option<String> {
    store.client(client_id).await.unwrap().map(|client| client.client_name.clone().unwrap())
}

fn first() -> Option<String> {
    Some("first".to_owned())
}

// What is kept.

#[tokio::test]
async fn an_answer_is_kept_for_its_time() {
    let db = Db::of(["a"]);
    let (cache, clock) = db.cache();
    for client_id in ["a", "nobody"] {
        let before = db.asked();
        let found = name(&*cache, client_id).await;
        clock.advance(59);
        assert_eq!(name(&*cache, client_id).await, found);
        assert_eq!(db.asked() - before, 1, "{client_id}");
        clock.advance(1);
        assert_eq!(name(&*cache, client_id).await, found);
        assert_eq!(db.asked() - before, 2, "{client_id}: a minute is over");
    }
    db.put("a", "second");
    db.put("nobody", "somebody");
    clock.advance(60);
    assert_eq!(name(&*cache, "a").await.as_deref(), Some("second"));
    assert_eq!(name(&*cache, "nobody").await.as_deref(), Some("somebody"));
    db.remove("a");
    clock.advance(60);
    assert_eq!(name(&*cache, "a").await, None);
    assert_eq!(cache.len(), 1);
}

#[tokio::test]
async fn the_time_begins_before_the_store_is_asked() {
    let db = Db::of(["a"]);
    let (cache, clock) = db.cache();
    db.close();
    let asks = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { name(&*cache, "a").await }
    });
    while db.asked() == 0 {
        yield_now().await;
    }
    clock.advance(60);
    db.gate.add_permits(2);
    assert_eq!(asks.await.unwrap(), first());
    assert_eq!(name(&*cache, "a").await, first());
    assert_eq!(db.asked(), 2);
}

#[tokio::test]
async fn a_clock_that_is_set_back_ends_what_was_kept() {
    let db = Db::of(["a"]);
    let (cache, clock) = db.cache();
    for client_id in ["a", "nobody"] {
        clock.set_millis(NOW * 1000);
        let before = db.asked();
        name(&*cache, client_id).await;
        clock.set_millis(NOW * 1000 - 1);
        name(&*cache, client_id).await;
        name(&*cache, client_id).await;
        assert_eq!(db.asked() - before, 2, "{client_id}");
    }
}

#[tokio::test]
async fn the_own_clock_goes_forward() {
    let db = Db::of(["a"]);
    let kept = CachedClientStore::new(Arc::clone(&db)).with_life(Duration::MAX);
    let unkept = CachedClientStore::new(Arc::clone(&db)).with_life(Duration::ZERO);
    for _ in 0..3 {
        assert_eq!(name(&kept, "a").await, first());
    }
    assert_eq!(db.asked(), 1);
    for client_id in ["a", "a", "nobody", "nobody"] {
        name(&unkept, client_id).await;
    }
    assert_eq!(db.asked(), 5, "no time at all");
}

#[tokio::test]
// req: ST-009
async fn a_failure_is_not_kept_and_nothing_is_served_past_its_time() {
    let db = Db::of(["a"]);
    let (cache, clock) = db.cache();
    name(&*cache, "a").await;
    db.fail(true);
    assert_eq!(name(&*cache, "a").await, first(), "its time has not ended");
    clock.advance(60);
    for asked in 2..5 {
        let error = cache.client("a").await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.retry_after().as_secs()), ("out of order", 7));
        assert_eq!(db.asked(), asked);
    }
    assert!(cache.client("b").await.is_err());
    db.fail(false);
    assert_eq!(name(&*cache, "a").await, first());
    assert_eq!(name(&*cache, "b").await, None);
}

/// A store that folds case.
struct Folding(MemoryClientStore);

impl ClientStore for Folding {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        Ok(self.0.get(&client_id.to_lowercase()))
    }
}

#[tokio::test]
async fn another_client_is_none() {
    let store = MemoryClientStore::from_iter([Client::new("abc".parse().unwrap())]);
    let cache = CachedClientStore::new(Folding(store));
    for client_id in ["ABC", "aBC", "Abc"] {
        assert!(cache.client(client_id).await.unwrap().is_none());
    }
    assert!(cache.is_empty());
    assert!(cache.client("abc").await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_client_id_never_reaches_the_store() {
    let db = Db::of(["a"]);
    let (cache, _) = db.cache();
    for client_id in ["", "a\nb", &"x".repeat(256), &"é".repeat(128), &"x".repeat(1_000_000)] {
        assert!(cache.client(client_id).await.unwrap().is_none());
    }
    assert_eq!(db.asked(), 0);
    assert_eq!(format!("{cache:?}"), "CachedClientStore(0 clients, 0 absent, 0 being looked up)");
    cache.client(&"x".repeat(255)).await.unwrap();
    assert_eq!((db.asked(), db.longest.load(Ordering::SeqCst)), (1, 255));
}

// How much is kept.

#[tokio::test]
async fn random_ids_drive_out_no_client() {
    let known: Vec<String> = (0..40).map(|number| format!("known {number}")).collect();
    let db = Db::of(known.clone());
    let cache = CachedClientStore::new(Arc::clone(&db)).with_life(Duration::MAX).with_capacity(10_000);
    for client_id in &known {
        name(&cache, client_id).await;
    }
    assert_eq!(cache.len(), 40);
    for number in 0..20_000 {
        assert_eq!(name(&cache, &format!("random {number}")).await, None);
    }
    let asked = db.asked();
    for client_id in &known {
        assert_eq!(name(&cache, client_id).await, first());
    }
    assert_eq!((db.asked(), cache.len()), (asked, 40));
    let shown = format!("{cache:?}");
    let absent: usize = shown.split(", ").nth(1).unwrap().strip_suffix(" absent").unwrap().parse().unwrap();
    assert!((1000..=1250).contains(&absent), "{shown}");
}

#[tokio::test]
async fn no_more_are_kept_than_there_is_room_for() {
    let known: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let db = Db::of(known.clone());
    for (capacity, sets) in [(0, 1), (1, 1), (8, 1), (9, 2), (100, 13)] {
        let cache = CachedClientStore::new(Arc::clone(&db)).with_life(Duration::MAX).with_capacity(capacity);
        for client_id in &known {
            assert_eq!(name(&cache, client_id).await, first());
        }
        assert_eq!(cache.len(), 8 * sets, "{capacity}");
        cache.invalidate_all();
        assert!(cache.is_empty());
    }
}

#[tokio::test]
async fn the_oldest_goes() {
    let db = Db::of(('a'..='i').map(String::from));
    let cache = CachedClientStore::new(Arc::clone(&db)).with_life(Duration::MAX).with_capacity(8);
    for client_id in 'a'..='i' {
        name(&cache, &client_id.to_string()).await;
    }
    for client_id in 'b'..='i' {
        name(&cache, &client_id.to_string()).await;
    }
    assert_eq!(db.asked(), 9);
    name(&cache, "a").await;
    name(&cache, "c").await;
    assert_eq!(db.asked(), 10);
    name(&cache, "b").await;
    assert_eq!(db.asked(), 11);
}

// One look-up at a time.

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_at_once_are_one_look_up() {
    for (client_id, fails) in [("a", false), ("nobody", false), ("a", true)] {
        let db = Db::of(["a"]);
        let (cache, _) = db.cache();
        db.fail(fails);
        db.close();
        let mut requests = JoinSet::new();
        for _ in 0..100 {
            let cache = Arc::clone(&cache);
            requests.spawn(async move { cache.client(client_id).await.map_err(|error| error.to_string()) });
        }
        while db.asked() == 0 {
            yield_now().await;
        }
        for _ in 0..1000 {
            yield_now().await;
        }
        // Whoever comes after a failure asks anew, and needs a permit of its own.
        db.gate.add_permits(if fails { 100 } else { 1 });
        let answers = requests.join_all().await;
        assert_eq!(answers.len(), 100);
        for answer in answers {
            match answer {
                Ok(found) => assert!(!fails && found.is_some() == (client_id == "a")),
                Err(error) => assert!(fails && error == "out of order"),
            }
        }
        assert!(db.asked() == 1 || fails, "{client_id}");
        assert!(format!("{cache:?}").contains(" 0 being looked up"));
    }
}

/// Polls once.
fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_error_is_shared_by_those_that_wait_and_by_no_others() {
    let db = Db::of(["a"]);
    let (cache, _) = db.cache();
    db.fail(true);
    db.close();
    let mut requests: Vec<_> = (0..5).map(|_| Box::pin(cache.client("a"))).collect();
    assert!(requests.iter_mut().all(|request| poll(request).is_pending()));
    db.gate.add_permits(1);
    let Poll::Ready(Err(_)) = poll(&mut requests[0]) else { panic!("the leader is answered") };
    let mut late = Box::pin(cache.client("a"));
    assert!(poll(&mut late).is_pending(), "asks anew");
    assert_eq!(db.asked(), 2);
    for request in &mut requests[1..] {
        let Poll::Ready(Err(error)) = poll(request) else { panic!("shares the answer") };
        assert_eq!((error.to_string().as_str(), error.retry_after().as_secs()), ("out of order", 7));
    }
    db.fail(false);
    db.gate.add_permits(1);
    assert!(matches!(poll(&mut late), Poll::Ready(Ok(Some(_)))));
    assert_eq!(db.asked(), 2);
}

#[test]
fn when_the_leader_is_dropped_another_takes_over() {
    let db = Db::of(["a"]);
    let (cache, _) = db.cache();
    db.close();
    let mut requests: Vec<_> = (0..5).map(|_| Box::pin(cache.client("a"))).collect();
    assert!(requests.iter_mut().all(|request| poll(request).is_pending()));
    assert_eq!(db.asked(), 1);
    drop(requests.remove(0));
    drop(requests.remove(0)); // one that waits
    assert!(requests.iter_mut().all(|request| poll(request).is_pending()));
    assert_eq!(db.asked(), 2);
    db.gate.add_permits(1);
    for request in &mut requests {
        assert!(matches!(poll(request), Poll::Ready(Ok(Some(_)))));
    }
    drop(requests);
    assert_eq!(run(name(&*cache, "a")), first());
    assert_eq!(db.asked(), 2);
}

#[tokio::test]
async fn those_that_wait_are_woken_when_the_leader_is_dropped() {
    let db = Db::of(["a"]);
    let (cache, _) = db.cache();
    db.close();
    let ask = || {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move { name(&*cache, "a").await })
    };
    let leader = ask();
    while db.asked() == 0 {
        yield_now().await;
    }
    let waiting = [ask(), ask(), ask()];
    yield_now().await;
    leader.abort();
    db.gate.add_permits(1);
    for request in waiting {
        assert_eq!(request.await.unwrap(), first());
    }
    assert_eq!(db.asked(), 2);
}

#[test]
fn requests_that_are_given_up_leave_nothing() {
    let db = Db::of(["a"]);
    let (cache, _) = db.cache();
    db.close();
    for number in 0..1000 {
        let client_id = format!("random {number}");
        let mut requests: Vec<_> = (0..3).map(|_| Box::pin(cache.client(&client_id))).collect();
        assert!(requests.iter_mut().all(|request| poll(request).is_pending()));
        assert_eq!(format!("{cache:?}"), "CachedClientStore(0 clients, 0 absent, 1 being looked up)");
    }
    assert_eq!(format!("{cache:?}"), "CachedClientStore(0 clients, 0 absent, 0 being looked up)");
}

#[test]
fn a_panic_of_the_store_is_of_one_request() {
    struct Panics(AtomicUsize);
    impl ClientStore for Panics {
        async fn client(&self, _: &str) -> Result<Option<Arc<Client>>, StoreError> {
            yield_now().await;
            assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "of the store");
            Ok(None)
        }
    }
    let cache = CachedClientStore::new(Panics(AtomicUsize::new(0)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(cache.client("a"))));
    assert!(panics.is_err());
    assert!(runtime.block_on(cache.client("a")).unwrap().is_none());
}

// Invalidation.

#[tokio::test]
async fn what_was_invalidated_is_asked_for_again() {
    let db = Db::of(["a", "b"]);
    let (cache, _) = db.cache();
    let all = ["a", "b", "nobody"];
    for client_id in all {
        name(&*cache, client_id).await;
    }
    db.put("a", "second");
    cache.invalidate("a");
    assert_eq!(name(&*cache, "a").await.as_deref(), Some("second"));
    assert_eq!((name(&*cache, "b").await, db.asked()), (first(), 4), "another client is kept");
    db.put("nobody", "somebody");
    cache.invalidate("nobody");
    assert_eq!(name(&*cache, "nobody").await.as_deref(), Some("somebody"));
    for client_id in all {
        db.remove(client_id);
    }
    cache.invalidate_all();
    for client_id in all {
        assert_eq!(name(&*cache, client_id).await, None);
    }
    cache.invalidate("");
    cache.invalidate(&"x".repeat(1000));
}

#[test]
// req: ST-013
fn what_was_read_before_an_invalidation_is_neither_shared_nor_kept() {
    type Invalidate = fn(&CachedClientStore<Arc<Db>>);
    let ways: [Invalidate; 2] = [|cache| cache.invalidate("a"), CachedClientStore::invalidate_all];
    for invalidate in ways {
        // The old look-up ends before the new one, or after it.
        for old_first in [true, false] {
            let db = Db::of(["a"]);
            let (cache, _) = db.cache();
            db.close();
            let mut old = [Box::pin(cache.client("a")), Box::pin(cache.client("a"))];
            assert!(old.iter_mut().all(|request| poll(request).is_pending()));
            db.put("a", "second");
            invalidate(&cache);
            let mut new = [Box::pin(cache.client("a")), Box::pin(cache.client("a"))];
            let mut end_old = || {
                db.gate.add_permits(1);
                for request in &mut old {
                    let Poll::Ready(Ok(Some(client))) = poll(request) else { panic!("the old look-up ends") };
                    assert_eq!(client.client_name, first());
                }
            };
            if old_first {
                end_old();
            }
            assert!(new.iter_mut().all(|request| poll(request).is_pending()), "the old answer is not for these");
            if !old_first {
                // Permits are given in the order in which they were asked for.
                end_old();
            }
            db.gate.add_permits(1);
            for request in &mut new {
                let Poll::Ready(Ok(Some(client))) = poll(request) else { panic!("the new look-up ends") };
                assert_eq!(client.client_name.as_deref(), Some("second"));
            }
            assert_eq!(db.asked(), 2);
            assert_eq!(run(name(&*cache, "a")).as_deref(), Some("second"));
            assert_eq!(db.asked(), 2);
        }
    }
}

#[test]
fn who_takes_over_after_an_invalidation_keeps_nothing() {
    let db = Db::of(["a"]);
    let (cache, _) = db.cache();
    db.close();
    let mut old = vec![Box::pin(cache.client("a")), Box::pin(cache.client("a"))];
    assert!(old.iter_mut().all(|request| poll(request).is_pending()));
    cache.invalidate("a");
    drop(old.remove(0));
    assert!(poll(&mut old[0]).is_pending());
    db.gate.add_permits(2);
    assert!(matches!(poll(&mut old[0]), Poll::Ready(Ok(Some(_)))));
    assert!(cache.is_empty());
    assert_eq!(run(name(&*cache, "a")), first());
    assert_eq!(db.asked(), 3);
}

// The registry.

/// A registry whose writes are done, and their answers lost.
struct Losing {
    clients: MemoryClientStore,
    loses: AtomicBool,
}

impl Losing {
    async fn lose(&self) -> Result<(), StoreError> {
        if !self.loses.load(Ordering::SeqCst) {
            return Ok(());
        }
        yield_now().await;
        Err(StoreError::new(io::Error::other("connection lost")))
    }
}

impl ClientStore for Losing {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        self.clients.client(client_id).await
    }
}

impl ClientRegistry for Losing {
    async fn add(&self, clients: &[Client]) -> Result<Added, StoreError> {
        let answer = self.clients.add(clients).await;
        self.lose().await.and(answer)
    }
    async fn registered(&self, client_id: &str) -> Result<Option<Registered>, StoreError> {
        self.clients.registered(client_id).await
    }
    async fn replace(&self, client: &Client, revision: i64) -> Result<bool, StoreError> {
        let answer = self.clients.replace(client, revision).await;
        self.lose().await.and(answer)
    }
    async fn delete(&self, client_id: &str) -> Result<bool, StoreError> {
        let answer = self.clients.delete(client_id).await;
        self.lose().await.and(answer)
    }
    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Client>>, StoreError> {
        self.clients.page(after, limit).await
    }
}

#[tokio::test]
async fn a_write_is_seen_by_the_next_request_also_when_its_answer_is_lost() {
    for (loses, given_up) in [(false, false), (true, false), (true, true)] {
        let losing = Losing { clients: MemoryClientStore::default(), loses: AtomicBool::new(loses) };
        let cache = CachedClientStore::new(losing);
        let disabled = async || cache.client("a").await.unwrap().map(|client| client.disabled);
        // A write that is given up is polled once, and dropped before its answer.
        let ends = async |mut write: Pin<Box<dyn Future<Output = bool> + '_>>| {
            if given_up {
                assert!(poll_fn(|context| Poll::Ready(write.as_mut().poll(context).is_pending())).await);
            } else {
                assert_eq!(write.await, !loses);
            }
        };
        assert_eq!(disabled().await, None);
        ends(Box::pin(async { cache.add(&[Client::new("a".parse().unwrap())]).await.is_ok() })).await;
        assert_eq!(disabled().await, Some(false));
        ends(Box::pin(async { cache.disable("a").await.is_ok() })).await;
        assert_eq!(disabled().await, Some(true));
        ends(Box::pin(async { cache.enable("a").await.is_ok() })).await;
        assert_eq!(disabled().await, Some(false));
        ends(Box::pin(async { cache.delete("a").await.is_ok() })).await;
        assert_eq!(disabled().await, None);
    }
}

#[tokio::test]
async fn the_registry_itself_is_not_cached() {
    let cache = CachedClientStore::new(Losing { clients: MemoryClientStore::default(), loses: AtomicBool::new(true) });
    for client_id in ["a", "b"] {
        assert!(cache.register(Client::new(client_id.parse().unwrap())).await.is_err(), "the answer is lost");
        let found = cache.registered(client_id).await.unwrap().unwrap();
        assert_eq!(found.client.client_id.as_str(), client_id);
    }
    let page = cache.page(Some("a"), 10).await.unwrap();
    assert_eq!(page.iter().map(|client| client.client_id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(matches!(cache.disable("nobody").await, Err(RegistryError::Unknown)));
    assert!(cache.is_empty());
}

#[test]
// req: ST-013
fn a_client_that_is_disabled_is_refused_by_the_next_request() {
    let clients = CachedClientStore::new(MemoryClientStore::from_iter([my_client()]));
    let server = AuthorizationServer::new(
        config(serde_json::json!({ "scopes": ["write"] })),
        clients,
        client_credentials::store::MemoryTokenStore::default(),
    )
    .unwrap();
    let ask = Sent::form("grant_type=client_credentials&scope=write").basic("myClient", "mySecret");
    let issued = token(&server, &ask);
    assert_eq!(issued.outcome(), (200, String::new()));
    let about = Sent::form(format!("token={}&client_id=myClient&client_secret=mySecret", issued.text("access_token")));
    assert_eq!(introspect(&server, &about).json()["active"], true);
    run(server.clients().disable("myClient")).unwrap();
    assert_eq!(token(&server, &ask).outcome(), (401, "invalid_client".to_owned()));
    assert_eq!(introspect(&server, &about).outcome(), (401, "invalid_client".to_owned()));
    run(server.clients().enable("myClient")).unwrap();
    assert_eq!(token(&server, &ask).outcome(), (200, String::new()));
    run(server.clients().delete("myClient")).unwrap();
    assert_eq!(token(&server, &ask).outcome(), (401, "invalid_client".to_owned()));
}

#[tokio::test]
#[cfg(feature = "conformance")]
async fn it_keeps_every_promise_of_a_client_store() {
    use client_credentials::store::conformance::client_store;
    client_store(|clients| async { CachedClientStore::new(MemoryClientStore::from_iter(clients)) }).await;
    let small = |store| CachedClientStore::new(store).with_capacity(1);
    client_store(async |clients: Vec<Client>| small(MemoryClientStore::from_iter(clients))).await;
    client_store(async |clients: Vec<Client>| {
        CachedClientStore::new(CachedClientStore::new(MemoryClientStore::from_iter(clients))).with_life(Duration::ZERO)
    })
    .await;
}

// Properties.

#[derive(Clone, Debug)]
enum Step {
    Ask(usize),
    Put(usize),
    Remove(usize),
    Fail(bool),
    Pass(u64),
    Invalidate(usize),
    InvalidateAll,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..5_usize;
    prop_oneof![
        8 => id.clone().prop_map(Step::Ask),
        3 => id.clone().prop_map(Step::Put),
        2 => id.clone().prop_map(Step::Remove),
        1 => any::<bool>().prop_map(Step::Fail),
        2 => (0..50_u64).prop_map(Step::Pass),
        2 => id.prop_map(Step::Invalidate),
        1 => Just(Step::InvalidateAll),
    ]
}

/// What may happen while look-ups are under way.
#[derive(Clone, Debug)]
enum Turn {
    Ask(usize),
    Poll(usize),
    Drop(usize),
    Write(usize),
    WriteAll,
    Answer,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => (0..2_usize).prop_map(Turn::Ask),
        6 => (0..8_usize).prop_map(Turn::Poll),
        1 => (0..8_usize).prop_map(Turn::Drop),
        2 => (0..2_usize).prop_map(Turn::Write),
        1 => Just(Turn::WriteAll),
        4 => Just(Turn::Answer),
    ]
}

proptest! {
    /// One after the other: the cache answers from a map with times, or by the store.
    #[test]
    fn it_is_a_map_with_times(steps in prop::collection::vec(step(), 1..200)) {
        let db = Db::of(Vec::<String>::new());
        let (cache, clock) = db.cache();
        let mut kept = BTreeMap::<usize, (Option<String>, u64)>::new();
        let (mut now, mut fails, mut puts) = (0, false, 0);
        for step in steps {
            match step {
                Step::Put(id) => {
                    puts += 1;
                    db.put(&id.to_string(), &puts.to_string());
                }
                Step::Remove(id) => db.remove(&id.to_string()),
                Step::Fail(now) => {
                    fails = now;
                    db.fail(now);
                }
                Step::Pass(seconds) => {
                    now += seconds;
                    clock.advance(seconds);
                }
                Step::Invalidate(id) => {
                    kept.remove(&id);
                    cache.invalidate(&id.to_string());
                }
                Step::InvalidateAll => {
                    kept.clear();
                    cache.invalidate_all();
                }
                Step::Ask(id) => {
                    let before = db.asked();
                    let answer = run(cache.client(&id.to_string())).ok().map(|client| {
                        client.map(|client| client.client_name.clone().unwrap())
                    });
                    let asked = db.asked() - before;
                    let fresh = kept.get(&id).filter(|(_, since)| now - since < 60).map(|(name, _)| name.clone());
                    // Two absent clients may share a place.
                    let expects_no_question = matches!(fresh, Some(Some(_))) || (fresh == Some(None) && asked == 0);
                    if expects_no_question {
                        prop_assert_eq!((answer, asked), (fresh, 0));
                    } else {
                        let stands = db.clients.lock().unwrap().get(&id.to_string()).cloned();
                        let stands = stands.map(|client| client.client_name.clone().unwrap());
                        let expected = (!fails).then_some(stands);
                        prop_assert_eq!((&answer, asked), (&expected, 1));
                        kept.remove(&id);
                        if let Some(name) = answer {
                            kept.insert(id, (name, now));
                        }
                    }
                }
            }
        }
    }

    /// At once: nobody who asks after an invalidation gets what was before it, however requests are polled, given up and answered.
    // req: ST-013, ST-017
    #[test]
    fn nobody_sees_what_was_before(turns in prop::collection::vec(turn(), 1..200)) {
        let ids = ["a", "b"];
        let db = Db::of(ids);
        let (cache, _) = db.cache();
        db.close();
        let mut versions = [0_u64; 2];
        ids.iter().for_each(|id| db.put(id, "0"));
        let mut running = Vec::new();
        for turn in turns {
            match turn {
                Turn::Ask(id) => running.push((id, versions[id], Box::pin(cache.client(ids[id])), false)),
                Turn::Poll(at) if !running.is_empty() => {
                    let at = at % running.len();
                    let (id, version, request, begun) = &mut running[at];
                    // It begins with its first poll.
                    if !std::mem::replace(begun, true) {
                        *version = versions[*id];
                    }
                    if let Poll::Ready(answer) = poll(request) {
                        let found: u64 = answer.unwrap().unwrap().client_name.as_ref().unwrap().parse().unwrap();
                        prop_assert!(found >= *version, "{found} after {version}");
                        drop(running.remove(at));
                    }
                }
                Turn::Drop(at) if !running.is_empty() => drop(running.remove(at % running.len())),
                Turn::Write(id) => {
                    versions[id] += 1;
                    db.put(ids[id], &versions[id].to_string());
                    cache.invalidate(ids[id]);
                }
                Turn::WriteAll => {
                    for (id, version) in ids.iter().zip(&mut versions) {
                        *version += 1;
                        db.put(id, &version.to_string());
                    }
                    cache.invalidate_all();
                }
                Turn::Answer => db.gate.add_permits(1),
                Turn::Poll(_) | Turn::Drop(_) => {}
            }
        }
        drop(running);
        db.gate.add_permits(10);
        for (id, version) in ids.iter().zip(versions) {
            prop_assert_eq!(run(name(&*cache, id)), Some(version.to_string()));
        }
        prop_assert_eq!(format!("{cache:?}"), "CachedClientStore(2 clients, 0 absent, 0 being looked up)");
    }
}
