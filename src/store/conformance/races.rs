//! What a [`TokenStore`] promises of inserts at once.

use super::together::{block_on, in_one_task, on_threads};
use super::tokens::{HOUR, Subject};
use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::token::{Inserted, Record, TokenStore};

/// Inserts at once.
const CROWD: u64 = 64;

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
