//! What a [`ClientRegistry`] promises.

use super::clients::{EXACT, full_clients, members, named};
use super::races::{adds_at_once, changes_at_once, replaces_at_once};
use super::together::give_up;
use super::{Promise, operator, sure};
use crate::client::{Client, ClientId};
use crate::store::{Added, ClientRegistry, Registered};
use serde_json::Value;
use std::sync::Arc;

/// Checks each promise of [`ClientRegistry`] on empty registries of `make`, the tasks of the operator included. Beside
/// [`client_store`](super::client_store).
///
/// Where a registry keeps clients as text, it needs [sealing keys](super::super::Registrations): there are clients with a raw key
/// among those of the suite (feature `jwt`).
///
/// # Panics
/// At the first broken promise; the message names it.
pub async fn client_registry<S: ClientRegistry>(make: impl AsyncFn() -> S) {
    let on = async |says| Subject { promise: Promise { of: "ClientRegistry", says }, store: make().await };
    comes_back(on("a client comes back as it was registered").await).await;
    is_absent(on("what was never registered is not found").await).await;
    adds_none(on("an add of no clients succeeds, and adds none").await).await;
    all_or_none(on("all clients are added, or none").await).await;
    names_the_first(on("the first client_id that is taken, or stands twice, is named").await).await;
    adds_a_thousand(on("a thousand clients are added in one step").await).await;
    given_up(on("an add that is given up leaves all of its clients, or none").await).await;
    is_exact(on("a client_id is compared octet for octet").await).await;
    replaces(on("a client is replaced where the revision is its own").await).await;
    deletes(on("what is deleted is gone, and its client_id is free again").await).await;
    one_state(on("a revision is that of one state of the client").await).await;
    pages(on("pages have all clients, in the order of their client_ids' octets").await).await;
    adds_at_once(on("of adds of one client_id at once, one adds").await).await;
    replaces_at_once(on("of replacements of one revision at once, one replaces").await).await;
    changes_at_once(on("changes of one client at once all take effect").await).await;
    operator::registers(on("a client is registered with one new secret").await).await;
    operator::rotates(on("a new secret stands beside the old ones for the overlap").await).await;
    operator::ends_at_once(on("without an overlap the old secrets end at once").await).await;
    operator::disables(on("a client is disabled, and enabled again").await).await;
    operator::ends_tokens(on("a client's tokens are ended, and no earlier end comes back").await).await;
    operator::keeps_the_client_id(on("a change keeps the client_id").await).await;
    operator::refuses(on("a task that fails changes nothing").await).await;
}

/// A registry, and the promise that it is to keep.
pub(super) struct Subject<S> {
    pub(super) store: S,
    pub(super) promise: Promise,
}

impl<S: ClientRegistry> Subject<S> {
    pub(super) async fn adds(&self, clients: &[Client], expected: Added, what: &str) {
        let found = self.promise.answer(self.store.add(clients).await, what);
        self.promise.same(found, expected, what);
    }

    /// The client with its revision, which is there.
    pub(super) async fn registered(&self, client_id: &str, what: &str) -> Registered {
        let found = self.promise.answer(self.store.registered(client_id).await, what);
        self.promise.same(found.is_some(), true, format_args!("whether {client_id:?} is registered: {what}"));
        found.unwrap_or_else(|| Registered::new(named(client_id), 0))
    }

    /// What the registry has, and what the server finds, is this client.
    pub(super) async fn has(&self, client: &Client, what: &str) {
        let client_id = client.client_id.as_str();
        let registered = self.registered(client_id, what).await;
        self.promise.same(members(&registered.client), members(client), what);
        let found = self.promise.answer(self.store.client(client_id).await, what);
        let what = format_args!("what the server finds: {what}").to_string();
        self.promise.same(found.as_deref().map(members), Some(members(client)), what);
    }

    pub(super) async fn lacks(&self, client_id: &str, what: &str) {
        let found = self.promise.answer(self.store.registered(client_id).await, what);
        self.promise.same(found.map(|found| members(&found.client)), None, what);
        let found = self.promise.answer(self.store.client(client_id).await, what);
        self.promise.same(found.as_deref().map(members), None, format_args!("what the server finds: {what}"));
    }

    async fn replaces(&self, client: &Client, revision: i64, expected: bool, what: &str) {
        let found = self.promise.answer(self.store.replace(client, revision).await, what);
        self.promise.same(found, expected, what);
    }

    async fn deletes(&self, client_id: &str, expected: bool, what: &str) {
        let found = self.promise.answer(self.store.delete(client_id).await, what);
        self.promise.same(found, expected, what);
    }

    pub(super) async fn page(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Client>> {
        self.promise.answer(self.store.page(after, limit).await, format_args!("a page of {limit} after {after:?}"))
    }
}

pub(super) fn id(client_id: &str) -> ClientId {
    sure(ClientId::new(client_id))
}

pub(super) fn renamed(client: &Client, name: &str) -> Client {
    changed(client.clone(), |client| client.client_name = Some(name.to_owned()))
}

pub(super) fn changed(mut client: Client, change: impl FnOnce(&mut Client)) -> Client {
    change(&mut client);
    client
}

async fn comes_back(registry: Subject<impl ClientRegistry>) {
    let clients = full_clients();
    let (first, rest) = clients.split_at(1);
    registry.adds(first, Added::All, "one client").await;
    registry.adds(rest, Added::All, "several clients").await;
    for client in &clients {
        registry.has(client, "each member of it").await;
    }
    let page = registry.page(None, clients.len()).await;
    let listed = |client: &Client| page.iter().find(|own| own.client_id == client.client_id).map(|own| members(own));
    for client in &clients {
        registry.promise.same(listed(client), Some(members(client)), "each member of it, in a page");
    }
}

async fn is_absent(registry: Subject<impl ClientRegistry>) {
    let what = "in an empty registry";
    registry.lacks("nobody", what).await;
    registry.deletes("nobody", false, what).await;
    registry.replaces(&named("nobody"), 0, false, what).await;
    registry.replaces(&named("nobody"), 1, false, what).await;
    registry.lacks("nobody", "what was to be replaced").await;
    registry.promise.same(registry.page(None, 10).await.len(), 0, what);
}

async fn adds_none(registry: Subject<impl ClientRegistry>) {
    registry.adds(&[], Added::All, "no clients").await;
    registry.promise.same(registry.page(None, 10).await.len(), 0, "how many there are");
}

async fn all_or_none(registry: Subject<impl ClientRegistry>) {
    let [stands, a, b] = ["stands", "a", "b"].map(named);
    registry.adds(std::slice::from_ref(&stands), Added::All, "a new client").await;
    let before = registry.registered("stands", "a new client").await.revision;
    let again = renamed(&stands, "another one");
    registry
        .adds(std::slice::from_ref(&again), Added::Taken(id("stands")), "one client, whose client_id is taken")
        .await;
    for refused in [[&again, &a, &b], [&a, &again, &b], [&a, &b, &again]] {
        let refused = refused.map(Clone::clone);
        registry.adds(&refused, Added::Taken(id("stands")), "one client_id of three is taken").await;
        for new in ["a", "b"] {
            registry.lacks(new, "a new client beside one whose client_id is taken").await;
        }
        registry.has(&stands, "the client that stood before").await;
    }
    let after = registry.registered("stands", "the client that stood before").await.revision;
    registry.promise.same(after, before, "the revision of the client that stood before");
    registry.adds(&[a.clone(), b.clone()], Added::All, "the clients of an add that was refused").await;
    for client in [&stands, &a, &b] {
        registry.has(client, "each client after an add that succeeded").await;
    }
}

async fn names_the_first(registry: Subject<impl ClientRegistry>) {
    let [a, b, x, y] = ["a", "b", "x", "y"].map(named);
    registry.adds(&[a.clone(), b.clone()], Added::All, "two new clients").await;
    let cases: [(&[&Client], &str, &str); 7] = [
        (&[&a, &b, &x], "a", "two client_ids are taken"),
        (&[&x, &b, &a], "b", "two client_ids are taken"),
        (&[&x, &x], "x", "the same client twice"),
        (&[&y, &x, &renamed(&y, "another one")], "y", "two clients with one client_id"),
        (&[&x, &y, &y, &x], "y", "two client_ids stand twice"),
        (&[&x, &b, &x], "b", "one client_id is taken, a later one stands twice"),
        (&[&x, &x, &b], "x", "one client_id stands twice, a later one is taken"),
    ];
    for (clients, first, what) in cases {
        let clients: Vec<Client> = clients.iter().copied().cloned().collect();
        registry.adds(&clients, Added::Taken(id(first)), what).await;
        for client_id in ["x", "y"] {
            registry.lacks(client_id, what).await;
        }
    }
}

async fn adds_a_thousand(registry: Subject<impl ClientRegistry>) {
    let thousand = |prefix: &str| -> Vec<Client> { (0..1000).map(|at| named(&format!("{prefix} {at:03}"))).collect() };
    let (clients, mut refused) = (thousand("client"), thousand("refused"));
    registry.adds(&clients, Added::All, "a thousand new clients").await;
    refused.push(named("client 500"));
    registry
        .adds(&refused, Added::Taken(id("client 500")), "a thousand new clients, and one whose client_id is taken")
        .await;
    let page = registry.page(None, 2000).await;
    registry.promise.same(client_ids(&page), expected_ids(&clients), "who is registered then");
}

async fn given_up(registry: Subject<impl ClientRegistry>) {
    for polls in 1..=16 {
        let clients = |name: &str| [0, 1, 2].map(|at| renamed(&named(&format!("{polls} {at}")), name));
        let (first, second) = (clients("first"), clients("second"));
        let ended = give_up(registry.store.add(&first), polls).await;
        // What was given up may still be under way. The second add comes before it or after it, never in its midst.
        let what = "an add of the same client_ids, after one that was given up";
        let outcome = registry.promise.answer(registry.store.add(&second).await, what);
        let stands = if outcome == Added::All { &second } else { &first };
        if outcome != Added::All {
            registry.promise.same(outcome, Added::Taken(id(&format!("{polls} 0"))), what);
        }
        for client in stands {
            registry.has(client, "all clients are of one add").await;
        }
        if ended {
            break;
        }
    }
}

async fn is_exact(registry: Subject<impl ClientRegistry>) {
    let clients = EXACT.map(named);
    let (half, others) = clients.split_at(EXACT.len() / 2);
    registry.adds(half, Added::All, "clients with awkward client_ids").await;
    for other in others.iter().map(|client| client.client_id.as_str()) {
        registry.lacks(other, &format!("{other:?}, which is like one that is registered")).await;
        registry.deletes(other, false, &format!("{other:?}, which is like one that is registered")).await;
    }
    registry.adds(others, Added::All, "clients whose client_ids are like those of others").await;
    for client in half {
        let client_id = client.client_id.as_str();
        let revision = registry.registered(client_id, "a client with an awkward client_id").await.revision;
        registry
            .replaces(&renamed(client, "replaced"), revision, true, &format!("the replacement of {client_id:?}"))
            .await;
    }
    for client in others {
        registry.has(client, "a client, after another one was replaced").await;
        registry.deletes(client.client_id.as_str(), true, &format!("{:?}", client.client_id)).await;
    }
    for client in half {
        registry.has(&renamed(client, "replaced"), "a client, after another one was deleted").await;
    }
}

async fn replaces(registry: Subject<impl ClientRegistry>) {
    let clients = full_clients();
    let other = named("other");
    registry.adds(&[named("a"), other.clone()], Added::All, "two new clients").await;
    let mut stale = Vec::new();
    // Each of them in the place of the one before: what the last one said and this one does not is gone.
    for client in clients.iter().chain(&[named("a")]) {
        let client = changed(client.clone(), |client| client.client_id = id("a"));
        let revision = registry.registered("a", "a client that stands").await.revision;
        registry.replaces(&client, revision, true, "the revision is that of the client").await;
        registry.has(&client, "a client that was replaced").await;
        stale.push(revision);
        for stale in &stale {
            registry.replaces(&renamed(&client, "too late"), *stale, false, "the client was replaced meanwhile").await;
        }
        registry.has(&client, "a client, after replacements by earlier revisions").await;
        registry.has(&other, "another client").await;
    }
    let revision = registry.registered("a", "a client that stands").await.revision;
    for (wrong, what) in [
        (revision.wrapping_add(1), "a later revision"),
        (i64::MIN, "the least"),
        (i64::MAX, "the greatest"),
        (-1, "-1"),
    ] {
        registry.replaces(&renamed(&named("a"), "wrong"), wrong, wrong == revision, what).await;
    }
}

async fn one_state(registry: Subject<impl ClientRegistry>) {
    let a = named("a");
    registry.adds(std::slice::from_ref(&a), Added::All, "a new client").await;
    let first = registry.registered("a", "a new client").await.revision;
    let read = registry.registered("a", "a client that nobody has changed").await.revision;
    registry.promise.same(read, first, "the revision of a client that nobody has changed");
    registry.replaces(&renamed(&a, "b"), first, true, "the revision is that of the client").await;
    let second = registry.registered("a", "a client that was replaced").await.revision;
    registry.replaces(&a, second, true, "the client is again what it was").await;
    registry
        .replaces(&renamed(&a, "too late"), first, false, "the revision of the client before it was what it was again")
        .await;
    let third = registry.registered("a", "a client that is what it was").await.revision;
    registry.deletes("a", true, "a client that stands").await;
    for revision in [first, second, third] {
        registry.replaces(&a, revision, false, "a client that is gone").await;
        registry.lacks("a", "a client that is gone, after a replacement").await;
    }
    registry.adds(std::slice::from_ref(&a), Added::All, "a client that was deleted").await;
    for revision in [first, second, third] {
        registry.replaces(&renamed(&a, "too late"), revision, false, "a client that was deleted and added anew").await;
    }
    registry.has(&a, "a client that was added anew").await;
}

async fn deletes(registry: Subject<impl ClientRegistry>) {
    let [a, b] = ["a", "b"].map(named);
    registry.adds(&[a.clone(), b.clone()], Added::All, "two new clients").await;
    registry.deletes("a", true, "a client that stands").await;
    registry.lacks("a", "a client that was deleted").await;
    registry.deletes("a", false, "a client that was deleted before").await;
    registry.has(&b, "the client beside it").await;
    registry.promise.same(client_ids(&registry.page(None, 10).await), expected_ids(&[b]), "who is registered then");
    let again = renamed(&a, "another one");
    registry.adds(std::slice::from_ref(&again), Added::All, "a client_id that is free again").await;
    registry.has(&again, "the new client of that client_id").await;
}

fn client_ids(clients: &[Arc<Client>]) -> Vec<String> {
    clients.iter().map(|client| client.client_id.to_string()).collect()
}

fn expected_ids<'a>(clients: impl IntoIterator<Item = &'a Client>) -> Vec<String> {
    clients.into_iter().map(|client| client.client_id.to_string()).collect()
}

async fn pages(registry: Subject<impl ClientRegistry>) {
    let mut clients: Vec<Client> = EXACT.map(named).into();
    clients.extend(["\u{ffff}", "\u{10ffff}", "Z", "a", "aa", "zz", &"x".repeat(255)].map(named));
    registry.adds(&clients, Added::All, "clients with awkward client_ids").await;
    clients.sort_by(|a, b| a.client_id.as_str().as_bytes().cmp(b.client_id.as_str().as_bytes()));
    let sorted = expected_ids(&clients);
    for limit in [1, 2, 7, sorted.len() - 1, sorted.len(), sorted.len() + 1, 1 << 16, 1 << 31, 1 << 32, usize::MAX] {
        let mut rest = sorted.as_slice();
        let mut after: Option<String> = None;
        loop {
            let page = client_ids(&registry.page(after.as_deref(), limit).await);
            let (expected, next) = rest.split_at(limit.min(rest.len()));
            registry.promise.same(page.as_slice(), expected, format_args!("the page of {limit} after {after:?}"));
            if page.len() < limit {
                break;
            }
            (rest, after) = (next, page.last().cloned());
        }
    }
    for after in [None, Some("a"), Some("\u{10ffff}")] {
        registry.promise.same(registry.page(after, 0).await.len(), 0, "a page of no clients");
    }
    let absent = [
        "",
        " ",
        "A",
        "REPORT",
        "ab",
        "repors",
        "y",
        "é ",
        "\u{fffe}",
        "\u{10ffff}\u{10ffff}",
        &"x".repeat(254),
        &"x".repeat(300),
    ];
    for after in absent {
        let expected: Vec<String> = sorted.iter().filter(|own| own.as_str() > after).cloned().collect();
        let page = client_ids(&registry.page(Some(after), 1000).await);
        registry.promise.same(page, expected, format_args!("the page after {after:?}, which is not registered"));
    }
}

/// The serde form of a client as it stands.
pub(super) async fn standing(registry: &Subject<impl ClientRegistry>, client_id: &str) -> (Value, i64) {
    let Registered { client, revision } = registry.registered(client_id, "a client that stands").await;
    (members(&client), revision)
}
