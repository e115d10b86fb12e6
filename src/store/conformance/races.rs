//! What a [`TokenStore`] promises of inserts at once, and a [`ClientRegistry`] of its writes.

use super::clients::named;
use super::registry::{self, changed, id, renamed};
use super::together::{block_on, in_one_task, on_threads};
use super::tokens::{HOUR, Subject};
use crate::client::Client;
use crate::clock::Timestamp;
use crate::store::{Added, ClientRegistry, StoreError};
use crate::token::{Inserted, Record, TokenStore};

/// Inserts at once.
const CROWD: u64 = 64;
/// Writes at once of one client; fewer than a change is tried.
const WRITERS: u64 = 8;

/// Inserts at once that have a key in common: one of them writes, and the others leave nothing.
pub(super) struct Race {
    pub(super) promise: &'static str,
    kind: Kind,
}

#[derive(PartialEq)]
enum Kind {
    OneKey,
    ExpiredKey,
    OppositeOrders,
}

pub(super) const RACES: [Race; 3] = [
    Race { promise: "of inserts of one key at once, one writes", kind: Kind::OneKey },
    Race { promise: "of inserts at once over a record that has expired, one writes", kind: Kind::ExpiredKey },
    Race { promise: "of inserts at once with common keys in opposite orders, one writes", kind: Kind::OppositeOrders },
];

impl Race {
    pub(super) async fn run_in_one_task(&self, subject: &Subject<impl TokenStore>) {
        let contenders = self.prepare(subject).await;
        let inserts = contenders.iter().map(|records| subject.store.insert(records, subject.now));
        let outcomes = in_one_task(inserts).await;
        has_one_winner(subject, &contenders, outcomes).await;
    }

    pub(super) fn run_on_threads(&self, subject: &Subject<impl TokenStore>) {
        let contenders = block_on(self.prepare(subject));
        let inserts = contenders.iter().map(|records| subject.store.insert(records, subject.now));
        let outcomes = on_threads(inserts.collect());
        block_on(has_one_winner(subject, &contenders, outcomes));
    }

    /// The records of each insert; the life of a record tells which insert wrote it.
    async fn prepare(&self, subject: &Subject<impl TokenStore>) -> Vec<Vec<Record>> {
        if self.kind == Kind::ExpiredKey {
            let long_ago = Timestamp::from_millis(subject.now.as_millis() - 1);
            let expired = [subject.one_time(0, 0)];
            subject.inserts(&expired, long_ago, Inserted::All, "a record that is about to expire").await;
        }
        let records = |contender| {
            let life = HOUR + contender;
            let [a, b, own] = [0, 1, 2 + contender].map(|number| subject.one_time(number, life));
            match self.kind {
                Kind::OneKey | Kind::ExpiredKey => vec![a],
                Kind::OppositeOrders if contender % 2 == 0 => vec![own, a, b],
                Kind::OppositeOrders => vec![b, a, own],
            }
        };
        (0..CROWD).map(records).collect()
    }
}

async fn has_one_winner(
    subject: &Subject<impl TokenStore>,
    contenders: &[Vec<Record>],
    outcomes: Vec<Result<Inserted, StoreError>>,
) {
    let promise = subject.promise;
    let mut winners = Vec::new();
    let mut named = Vec::new();
    for (records, outcome) in contenders.iter().zip(outcomes) {
        match promise.answer(outcome, "each of the inserts is answered") {
            Inserted::All => winners.push(records),
            Inserted::Exists(key) => named.push(key),
        }
    }
    promise.same(winners.len(), 1, "how many inserts wrote");
    let written: Vec<&Record> = winners.into_iter().flatten().collect();
    for key in named {
        promise.same(
            written.iter().any(|record| record.key == key),
            true,
            "the key that is named was written by the other",
        );
    }
    for record in contenders.iter().flatten() {
        let expected = written.iter().find(|written| written.key == record.key).map(|written| (*written).clone());
        let found = subject.get(record.key, "a key after the race").await;
        promise.same(found, expected, "only the records of the insert that wrote are there");
    }
}

// Registries.

pub(super) async fn adds_at_once(registry: registry::Subject<impl ClientRegistry>) {
    let contenders: Vec<[Client; 2]> = (0..WRITERS)
        .map(|number| {
            let (own, common) = (named(&format!("own {number}")), renamed(&named("common"), &number.to_string()));
            if number % 2 == 0 { [own, common] } else { [common, own] }
        })
        .collect();
    let outcomes = in_one_task(contenders.iter().map(|clients| registry.store.add(clients))).await;
    let mut winners = Vec::new();
    for (clients, outcome) in contenders.iter().zip(outcomes) {
        match registry.promise.answer(outcome, "each of the adds is answered") {
            Added::All => winners.push(clients),
            Added::Taken(named) => registry.promise.same(named, id("common"), "which client_id is taken"),
        }
    }
    registry.promise.same(winners.len(), 1, "how many adds have added");
    let expected = winners.into_iter().flatten();
    for client in expected.clone() {
        registry.has(client, "the clients of the add that has added").await;
    }
    registry.promise.same(registry.page(None, 100).await.len(), expected.count(), "how many clients there are");
}

pub(super) async fn replaces_at_once(registry: registry::Subject<impl ClientRegistry>) {
    registry.adds(&[named("a")], Added::All, "a new client").await;
    let revision = registry.registered("a", "a new client").await.revision;
    let contenders: Vec<Client> = (0..WRITERS).map(|number| renamed(&named("a"), &number.to_string())).collect();
    let outcomes = in_one_task(contenders.iter().map(|client| registry.store.replace(client, revision))).await;
    let mut winners = Vec::new();
    for (client, outcome) in contenders.iter().zip(outcomes) {
        if registry.promise.answer(outcome, "each of the replacements is answered") {
            winners.push(client);
        }
    }
    registry.promise.same(winners.len(), 1, "how many have replaced");
    for client in winners {
        registry.has(client, "the client of the one that has replaced").await;
    }
}

pub(super) async fn changes_at_once(registry: registry::Subject<impl ClientRegistry>) {
    registry.adds(&[named("a")], Added::All, "a new client").await;
    let change = |number: u64| {
        let count = move |client: &mut Client| {
            client.access_token_lifetime = Some(client.access_token_lifetime.unwrap_or_default() + (1 << number));
            Ok(number)
        };
        registry.store.change_with("a", count)
    };
    let outcomes = in_one_task((0..WRITERS).map(change)).await;
    for (outcome, number) in outcomes.into_iter().zip(0..) {
        registry.promise.same(
            outcome.map_err(|error| error.to_string()),
            Ok::<u64, String>(number),
            "each of the changes is made",
        );
    }
    let expected = changed(named("a"), |client| client.access_token_lifetime = Some((1 << WRITERS) - 1));
    registry.has(&expected, "a client after all the changes").await;
}
