//! What a [`ClientRegistry`] promises of the operator's tasks.

use super::Promise;
use super::clients::named;
use super::registry::{Subject, changed, standing};
use crate::client::{Client, ClientSecret, RegisteredSecret, SecretVerifier, secret};
use crate::clock::Timestamp;
use crate::store::{Added, ClientRegistry, RegistryError};
use std::time::Duration;

/// A moment of the suite's own; not a whole second.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_250);
const DAY: Duration = Duration::from_secs(86_400);

impl Promise {
    fn done<A>(self, outcome: Result<A, RegistryError>, what: &str) -> Option<A> {
        let outcome = outcome.map_err(|error| error.to_string());
        self.same(outcome.as_ref().map(drop), Ok(()), what);
        outcome.ok()
    }

    /// A task was refused, for the reason that is expected.
    fn refused<A>(self, outcome: Result<A, RegistryError>, expected: &str, what: &str) {
        let reason = match outcome {
            Ok(_) => "nothing",
            Err(RegistryError::Taken(_)) => "Taken",
            Err(RegistryError::Unknown) => "Unknown",
            Err(RegistryError::Faulty(_)) => "Faulty",
            Err(_) => "another one",
        };
        self.same(reason, expected, format_args!("the reason to refuse {what}"));
    }
}

/// The secrets of a client: id, end, and whether it is the one given in its place.
async fn secrets_are(
    registry: &Subject<impl ClientRegistry>,
    expected: &[(&str, Option<Timestamp>, &ClientSecret)],
    what: &str,
) {
    let client = registry.registered("a", what).await.client;
    let found: Vec<_> = client.client_secrets.iter().map(|own| (own.id.as_str(), own.expires_at)).collect();
    let ids_and_ends: Vec<_> = expected.iter().map(|(id, end, _)| (*id, *end)).collect();
    registry.promise.same(found, ids_and_ends, what);
    let matches = |(own, (_, _, secret)): (&RegisteredSecret, &(&str, _, &ClientSecret))| {
        own.verifier.matches_digest(&secret::digest(secret.expose()))
    };
    let all = client.client_secrets.iter().zip(expected).all(matches);
    registry.promise.same(all, true, format_args!("whether each secret that was handed out counts: {what}"));
}

pub(super) async fn registers(registry: Subject<impl ClientRegistry>) {
    let what = "a client that was registered";
    let Some(first) = registry.promise.done(registry.store.register(named("a")).await, what) else { return };
    secrets_are(&registry, &[("1", None, &first)], what).await;
    let before = standing(&registry, "a").await;
    registry.promise.refused(registry.store.register(named("a")).await, "Taken", "a client_id that is taken");
    registry.promise.same(standing(&registry, "a").await, before, "the client that stood before");
}

pub(super) async fn rotates(registry: Subject<impl ClientRegistry>) {
    let promise = registry.promise;
    let at = |seconds: u64| Timestamp::from_millis(NOW.as_millis() + 1000 * seconds);
    let rotate =
        async |overlap, now, what: &str| promise.done(registry.store.rotate_secret("a", overlap, now).await, what);
    let Some(first) = promise.done(registry.store.register(named("a")).await, "a new client") else { return };
    let Some(second) = rotate(DAY, NOW, "the first rotation").await else { return };
    secrets_are(&registry, &[("1", Some(at(86_400)), &first), ("2", None, &second)], "after one rotation").await;
    let Some(third) = rotate(2 * DAY, at(10), "a rotation with a longer overlap").await else { return };
    let expected = [("1", Some(at(86_400)), &first), ("2", Some(at(172_810)), &second), ("3", None, &third)];
    secrets_are(&registry, &expected, "a secret that ends earlier stays at that").await;
    let Some(fourth) = rotate(DAY / 2, at(86_400), "a rotation at the end of a secret").await else { return };
    let expected = [("2", Some(at(129_600)), &second), ("3", Some(at(129_600)), &third), ("4", None, &fourth)];
    secrets_are(&registry, &expected, "a secret that has ended leaves").await;
    let Some(fifth) = rotate(Duration::MAX, at(200_000), "a rotation with the longest overlap").await else { return };
    let client = registry.registered("a", "a client with the longest overlap").await.client;
    let stands = |own: &RegisteredSecret| (own.id.clone(), own.stands_at(at(1 << 32)));
    let expected = ["4", "5"].map(|id| (id.to_owned(), true));
    promise.same(
        client.client_secrets.iter().map(stands).collect(),
        expected.to_vec(),
        "who stands with the longest overlap",
    );
    let digest = secret::digest(fifth.expose());
    let is_last = client.client_secrets.last().is_some_and(|own| own.verifier.matches_digest(&digest));
    promise.same(is_last, true, "whether the secret that was handed out counts, after the longest overlap");
}

pub(super) async fn ends_at_once(registry: Subject<impl ClientRegistry>) {
    let promise = registry.promise;
    let rotate = async |overlap| promise.done(registry.store.rotate_secret("a", overlap, NOW).await, "a rotation");
    promise.done(registry.store.register(named("a")).await, "a new client");
    rotate(DAY).await;
    let Some(third) = rotate(Duration::ZERO).await else { return };
    secrets_are(&registry, &[("3", None, &third)], "the new secret is called like none before").await;
    let Some(fourth) = rotate(Duration::ZERO).await else { return };
    secrets_are(&registry, &[("4", None, &fourth)], "the new secret is called like none before").await;
}

pub(super) async fn disables(registry: Subject<impl ClientRegistry>) {
    registry.adds(&[named("a")], Added::All, "a new client").await;
    for disabled in [true, true, false, false, true] {
        let done = if disabled { registry.store.disable("a").await } else { registry.store.enable("a").await };
        registry.promise.done(done, "a client that stands");
        registry.has(&changed(named("a"), |client| client.disabled = disabled), "the next look-up").await;
    }
}

pub(super) async fn ends_tokens(registry: Subject<impl ClientRegistry>) {
    registry.adds(&[named("a")], Added::All, "a new client").await;
    for (seconds, expected) in [(100, 101), (200, 201), (150, 201), (201, 202)] {
        let now = Timestamp::from_millis(1000 * seconds + 999);
        registry.promise.done(registry.store.end_tokens("a", now).await, "a client that stands");
        let start = Some(Timestamp::from_secs(expected));
        registry.has(&changed(named("a"), |client| client.tokens_not_before = start), "the next full second").await;
    }
}

pub(super) async fn keeps_the_client_id(registry: Subject<impl ClientRegistry>) {
    registry.adds(&[named("a"), named("b")], Added::All, "two new clients").await;
    let change = |client: &mut Client| {
        client.client_id = named("b").client_id;
        client.may_introspect = true;
    };
    registry.promise.done(registry.store.change("a", change).await, "a change of the client_id");
    let expected = changed(named("a"), |client| client.may_introspect = true);
    registry.has(&expected, "the client that was changed").await;
    registry.has(&named("b"), "the client of the other client_id").await;
}

pub(super) async fn refuses(registry: Subject<impl ClientRegistry>) {
    let (promise, store) = (registry.promise, &registry.store);
    promise.done(store.register(named("a")).await, "a new client");
    let before = standing(&registry, "a").await;
    let faulty = |client: &mut Client| client.access_token_lifetime = Some(0);
    let several = |client: &mut Client| {
        let secret = |number: u64| RegisteredSecret::new(format!("of {number}"), SecretVerifier::sha256("a secret"));
        client.client_secrets.extend((0..8).map(secret));
    };
    promise.refused(store.change("a", faulty).await, "Faulty", "a change that makes a client faulty");
    promise.refused(store.change("a", several).await, "Faulty", "a change to nine secrets");
    let fails = |_: &mut Client| Err::<(), _>(RegistryError::Unknown);
    promise.refused(store.change_with("a", fails).await, "Unknown", "a change that fails by itself");
    promise.same(&standing(&registry, "a").await, &before, "the client that was to be changed");

    let mut full = named("full");
    several(&mut full);
    registry.adds(std::slice::from_ref(&full), Added::All, "a client with eight secrets").await;
    promise.refused(store.rotate_secret("full", DAY, NOW).await, "Faulty", "a ninth secret");
    registry.has(&full, "a client with eight secrets").await;
    let mut refused = named("refused");
    faulty(&mut refused);
    promise.refused(store.register(refused).await, "Faulty", "a faulty client");
    registry.lacks("refused", "a faulty client").await;

    let nobody: [&str; 3] = ["nobody", "A", "a "];
    for client_id in nobody {
        promise.refused(store.disable(client_id).await, "Unknown", "to disable nobody");
        promise.refused(store.enable(client_id).await, "Unknown", "to enable nobody");
        promise.refused(store.end_tokens(client_id, NOW).await, "Unknown", "to end the tokens of nobody");
        promise.refused(store.rotate_secret(client_id, DAY, NOW).await, "Unknown", "to rotate the secret of nobody");
        promise.refused(store.change(client_id, |_| {}).await, "Unknown", "to change nobody");
        registry.lacks(client_id, "what was to be changed").await;
    }
    promise.same(&standing(&registry, "a").await, &before, "another client");
}
