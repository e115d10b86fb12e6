//! What a [`TokenStore`] promises.

use super::races::RACES;
use super::together::{block_on, give_up};
use super::{Promise, sure};
use crate::authorization_details::AuthorizationDetails;
use crate::client::{ClientId, MAX_LIFETIME};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::resource::Audience;
use crate::scope::Scope;
use crate::token::{
    Claims, Confirmation, Inserted, Record, RecordKey, RecordValue, Thumbprint, TokenRecord, TokenStore,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::hash::{BuildHasher, RandomState};

/// An hour, in seconds: a life that no check outlasts.
pub(super) const HOUR: u64 = 3600;

/// Checks each promise of [`TokenStore`] on a store that `make` gives for it.
///
/// The store may hold other records, and several runs may share one: the keys are random. Its records live from now on, by the
/// system's clock, for an hour and more, so that a store may let them expire by a clock of its own; the `now` of an insert lies
/// in the future where expiry is looked at.
///
/// # Panics
/// At the first broken promise; the message names it.
pub async fn token_store<S: TokenStore>(make: impl AsyncFn() -> S) {
    let on = async |says| Subject::new(says, make().await);
    comes_back(on("a record comes back as it was written").await).await;
    is_absent(on("what was never written is not found").await).await;
    writes_nothing(on("an insert of no records succeeds, and writes nothing").await).await;
    all_or_none(on("an insert writes all records, or none").await).await;
    names_the_first(on("the first key that stands already is named").await).await;
    not_twice(on("a key that stands twice in one insert forbids it").await).await;
    written_once(on("what stands is not changed by an insert that is refused").await).await;
    stands_while_it_lives(on("a record stands until the moment of its expiry").await).await;
    makes_way(on("a record that has expired does not stand in the way").await).await;
    is_kept(on("what lives is never forgotten").await).await;
    all_or_none_of_what_has_expired(on("an insert writes all records, or none").await).await;
    is_removed(on("what is removed is gone, and its key is free again").await).await;
    is_no_other(on("keys that differ in one bit are different keys").await).await;
    is_whole(on("the largest record comes back whole").await).await;
    survives_a_given_up_insert(on("an insert that is given up leaves all of its records, or none").await).await;
    for race in &RACES {
        race.run_in_one_task(&on(race.promise).await).await;
    }
}

/// Checks what [`TokenStore`] promises of inserts at once on threads of their own, one for each insert; some rounds, all on one
/// store. Beside [`token_store`], for a store that needs no runtime.
///
/// # Panics
/// At the first broken promise; the message names it.
pub fn token_store_on_threads<S: TokenStore>(make: impl AsyncFn() -> S) {
    let store = block_on(make());
    for race in RACES.iter().cycle().take(10 * RACES.len()) {
        race.run_on_threads(&Subject::new(race.promise, &store));
    }
}

/// A store, and the promise that it is to keep.
pub(super) struct Subject<S> {
    pub(super) store: S,
    pub(super) promise: Promise,
    /// The present moment, a whole second.
    pub(super) now: Timestamp,
    /// A number of this subject's own, for its keys.
    number: u64,
}

impl<S: TokenStore> Subject<S> {
    fn new(says: &'static str, store: S) -> Self {
        let promise = Promise { of: "TokenStore", says };
        Self { store, promise, now: SystemClock.now().second_plus(0), number: RandomState::new().hash_one(says) }
    }

    fn key(&self, number: u64) -> RecordKey {
        let digest = Sha256::new().chain_update(self.number.to_be_bytes()).chain_update(number.to_be_bytes());
        RecordKey::from_bytes(digest.finalize().into())
    }

    /// So many seconds from now.
    fn at(&self, seconds: u64) -> Timestamp {
        self.now.second_plus(seconds)
    }

    /// A used one-time value; its life in seconds tells it from another one with this key.
    pub(super) fn one_time(&self, number: u64, life: u64) -> Record {
        Record::new(self.key(number), self.at(life), RecordValue::OneTime)
    }

    fn token(&self, number: u64, token: TokenRecord) -> Record {
        Record::new(self.key(number), self.at(HOUR), RecordValue::AccessToken(token))
    }

    pub(super) async fn inserts(&self, records: &[Record], now: Timestamp, expected: Inserted, what: &str) {
        let found = self.promise.answer(self.store.insert(records, now).await, what);
        self.promise.same(found, expected, what);
    }

    pub(super) async fn get(&self, key: RecordKey, what: &str) -> Option<Record> {
        self.promise.answer(self.store.get(&key).await, what)
    }

    async fn has(&self, record: &Record, what: &str) {
        self.promise.same(self.get(record.key, what).await.as_ref(), Some(record), what);
    }

    async fn lacks(&self, key: RecordKey, what: &str) {
        self.promise.same(self.get(key, what).await, None, what);
    }

    async fn removes(&self, key: RecordKey, expected: bool, what: &str) {
        let found = self.promise.answer(self.store.remove(&key).await, what);
        self.promise.same(found, expected, what);
    }
}

/// A token of which each member says something that is easily lost on the way.
fn full_token(issued_at: Timestamp, confirmation: Confirmation) -> TokenRecord {
    let mut claims = Claims::default();
    sure(claims.insert("größe", json!([u64::MAX, i64::MIN, 0, 9_007_199_254_740_993_u64, null, true, [], {}])));
    sure(claims.insert(
        "",
        json!({ "text": "'\"\\%_\u{0}\n\u{7f}\u{feff}🦀 e\u{301} é", "nested": { "SUB": [{ "sub": "" }] } }),
    ));
    let exact = if cfg!(feature = "rar") { json!(0.1 + 0.2) } else { json!(3) };
    let details = json!([{ "type": "zahlung €", "limit": exact, "locations": [] }, { "type": "" }]);
    TokenRecord {
        audience: ["https://api.example.com/?a=%20'", "urn:größe", "urn:x"].into_iter().collect(),
        confirmation: Some(Box::new(confirmation)),
        authorization_details: Some(sure(AuthorizationDetails::new(details))),
        claims,
        ..TokenRecord::new(
            sure(ClientId::new("Größe '\"\\%_ 🦀 ")),
            sure(Scope::parse("write Write !#[]~'%_")),
            issued_at,
        )
    }
}

async fn comes_back(store: Subject<impl TokenStore>) {
    let (now, thumbprint) = (store.now, Thumbprint::from_bytes([0xFB; 32]));
    let plain = TokenRecord::new(sure(ClientId::new("a")), Scope::default(), now);
    let one_audience = TokenRecord { audience: Audience::from_iter(["a"]), ..plain.clone() };
    let records = [
        store.one_time(0, HOUR),
        Record { value: RecordValue::Revoked, ..store.one_time(1, HOUR) },
        store.token(2, plain),
        store.token(3, one_audience),
        store.token(4, full_token(now, Confirmation::Jkt(thumbprint))),
        store.token(5, full_token(Timestamp::default(), Confirmation::X5tS256(thumbprint))),
    ];
    let (together, alone) = records.split_at(3);
    store.inserts(together, now, Inserted::All, "several records").await;
    for record in alone {
        store.inserts(std::slice::from_ref(record), now, Inserted::All, "one record").await;
    }
    for record in &records {
        store.has(record, "each member of it").await;
    }
}

async fn is_absent(store: Subject<impl TokenStore>) {
    store.lacks(store.key(0), "a key before the first insert").await;
    store.inserts(&[store.one_time(1, HOUR)], store.now, Inserted::All, "another key").await;
    store.lacks(store.key(0), "a key beside another one").await;
    for octet in [0, 0xFF] {
        store.lacks(RecordKey::from_bytes([octet; 32]), "a key of equal octets").await;
    }
}

async fn writes_nothing(store: Subject<impl TokenStore>) {
    store.inserts(&[], store.now, Inserted::All, "no records").await;
    store.lacks(store.key(0), "a key after an insert of no records").await;
}

async fn all_or_none(store: Subject<impl TokenStore>) {
    let [stands, a, b] = [0, 1, 2].map(|number| store.one_time(number, HOUR));
    store.inserts(std::slice::from_ref(&stands), store.now, Inserted::All, "a new key").await;
    let again = store.one_time(0, 2 * HOUR);
    for refused in [[&again, &a, &b], [&a, &again, &b], [&a, &b, &again]] {
        let refused = refused.map(Clone::clone);
        store.inserts(&refused, store.now, Inserted::Exists(stands.key), "one key of three stands already").await;
        for new in [&a, &b] {
            store.lacks(new.key, "a new key beside one that stood").await;
        }
    }
    store.inserts(&[a.clone(), b.clone()], store.now, Inserted::All, "the keys of an insert that was refused").await;
    for record in [&stands, &a, &b] {
        store.has(record, "each key after an insert that succeeded").await;
    }
}

async fn all_or_none_of_what_has_expired(store: Subject<impl TokenStore>) {
    let [stands, expired] = [store.one_time(0, HOUR), store.one_time(1, 60)];
    store.inserts(&[stands.clone(), expired.clone()], store.now, Inserted::All, "two new keys").await;
    let [again, renewed] = [0, 1].map(|number| store.one_time(number, 2 * HOUR));
    for refused in [[&renewed, &again], [&again, &renewed]] {
        let refused = refused.map(Clone::clone);
        store.inserts(&refused, store.at(60), Inserted::Exists(stands.key), "one key lives, one has expired").await;
        let what = "whether an expired record beside one that lives was replaced";
        store.promise.same(store.get(expired.key, what).await.as_ref() == Some(&renewed), false, what);
    }
}

async fn names_the_first(store: Subject<impl TokenStore>) {
    let [a, b, new] = [0, 1, 2].map(|number| store.one_time(number, HOUR));
    store.inserts(&[a.clone(), b.clone()], store.now, Inserted::All, "two new keys").await;
    for (records, first) in
        [([&a, &b, &new], a.key), ([&b, &a, &new], b.key), ([&new, &b, &a], b.key), ([&new, &a, &b], a.key)]
    {
        let records = records.map(Clone::clone);
        store
            .inserts(
                &records,
                store.now,
                Inserted::Exists(first),
                "two keys of three stand, in the order of the insert",
            )
            .await;
    }
}

async fn not_twice(store: Subject<impl TokenStore>) {
    let [a, b, other] = [store.one_time(0, HOUR), store.one_time(1, HOUR), store.one_time(1, 2 * HOUR)];
    for (second, what) in [(&b, "the same record twice"), (&other, "two records with one key")] {
        store.inserts(&[a.clone(), b.clone(), second.clone()], store.now, Inserted::Exists(b.key), what).await;
        store.lacks(a.key, what).await;
        store.lacks(b.key, what).await;
    }
}

async fn written_once(store: Subject<impl TokenStore>) {
    let token = store.token(0, full_token(store.now, Confirmation::Jkt(Thumbprint::from_bytes([1; 32]))));
    let exists = Inserted::Exists(token.key);
    store.inserts(std::slice::from_ref(&token), store.now, Inserted::All, "a new key").await;
    for refused in [token.clone(), store.one_time(0, 2 * HOUR), store.one_time(0, 1)] {
        store.inserts(&[refused], store.now, exists, "a key that stands").await;
        store.has(&token, "what stood before").await;
    }
}

async fn stands_while_it_lives(store: Subject<impl TokenStore>) {
    let record = store.one_time(0, HOUR);
    store.inserts(std::slice::from_ref(&record), store.now, Inserted::All, "a new key").await;
    let last = Timestamp::from_millis(record.expires_at.as_millis() - 1);
    for now in [store.at(HOUR - 1), last] {
        let again = [store.one_time(0, 2 * HOUR)];
        store.inserts(&again, now, Inserted::Exists(record.key), "up to one millisecond before its expiry").await;
        store.has(&record, "up to one millisecond before its expiry").await;
    }
}

async fn makes_way(store: Subject<impl TokenStore>) {
    for (number, after, what) in [(0, 0, "at the moment of its expiry"), (1, 1, "a second after its expiry")] {
        let token = store.token(number, full_token(store.now, Confirmation::Jkt(Thumbprint::from_bytes([1; 32]))));
        store.inserts(&[token], store.now, Inserted::All, "a new key").await;
        let renewed = store.one_time(number, 2 * HOUR);
        let new = store.one_time(number + 10, 2 * HOUR);
        let now = store.at(HOUR + after);
        store.inserts(&[new.clone(), renewed.clone()], now, Inserted::All, what).await;
        store.has(&renewed, what).await;
        store.has(&new, what).await;
        store.inserts(&[renewed], now, Inserted::Exists(store.key(number)), "the new record stands").await;
    }
}

async fn is_kept(store: Subject<impl TokenStore>) {
    const RECORDS: u64 = 300;
    // A third has expired at the end. Time passes with each insert, and each may be an occasion to clean up.
    let life = |number| if number % 3 == 0 { HOUR } else { HOUR + RECORDS + 1 };
    for number in 0..RECORDS {
        let record = [store.one_time(number, life(number))];
        store.inserts(&record, store.at(number), Inserted::All, "a new key").await;
    }
    let (late, end) =
        ([store.one_time(RECORDS, 2 * HOUR), store.one_time(RECORDS + 1, 2 * HOUR)], store.at(HOUR + RECORDS));
    store.inserts(&late, end, Inserted::All, "two new keys, after others have expired").await;
    for number in (0..RECORDS).filter(|number| life(*number) > HOUR) {
        store.has(&store.one_time(number, life(number)), "a record that lives, after others have expired").await;
    }
}

async fn is_removed(store: Subject<impl TokenStore>) {
    let [a, b] = [store.one_time(0, HOUR), store.one_time(1, HOUR)];
    store.removes(a.key, false, "what was never there").await;
    store.inserts(&[a.clone(), b.clone()], store.now, Inserted::All, "two new keys").await;
    store.removes(a.key, true, "what stands").await;
    store.lacks(a.key, "what was removed").await;
    store.has(&b, "what stands beside it").await;
    store.removes(a.key, false, "what was removed before").await;
    let again = store.one_time(0, 2 * HOUR);
    store.inserts(std::slice::from_ref(&again), store.now, Inserted::All, "a key that was removed").await;
    store.has(&again, "the new record of that key").await;
}

async fn is_no_other(store: Subject<impl TokenStore>) {
    let one = store.one_time(0, HOUR);
    store.inserts(std::slice::from_ref(&one), store.now, Inserted::All, "a new key").await;
    let flipped = |bit: u8| {
        let mut octets = *one.key.as_bytes();
        for (octet, bits) in octets.iter_mut().zip((0..=u8::MAX).step_by(8)) {
            *octet ^= if bits == bit / 8 * 8 { 1 << (bit % 8) } else { 0 };
        }
        Record::new(RecordKey::from_bytes(octets), store.at(HOUR + 1 + u64::from(bit)), RecordValue::OneTime)
    };
    let others: Vec<Record> = (0..=u8::MAX).map(flipped).collect();
    for other in &others {
        store.lacks(other.key, "a key with one other bit").await;
    }
    store.inserts(&others, store.now, Inserted::All, "256 keys that differ in one bit each").await;
    for record in others.iter().chain([&one]) {
        store.has(record, "a key among those with one other bit").await;
    }
}

async fn is_whole(store: Subject<impl TokenStore>) {
    // The limits of requests; claims, which have none, as long as a request. And an end that 31 bits of seconds do not reach, as the
    // longest life will have from 2028 on.
    let end = store.at(2 * MAX_LIFETIME);
    let long = |number: usize, octets: usize| format!("{number:0>octets$}");
    let mut claims = Claims::default();
    sure(claims.insert("text", "\u{0}é🦀 ".repeat(8 * 1024)));
    let tokens: Vec<String> = (0..64).map(|number| long(number, if number < 63 { 63 } else { 64 })).collect();
    let details = json!([{ "type": long(1, 255), "text": long(2, 16 * 1024 - 512) }]);
    let token = TokenRecord {
        audience: (0..16).map(|number| format!("urn:x:{}", long(number, 2042))).collect(),
        authorization_details: Some(sure(AuthorizationDetails::new(details))),
        claims,
        ..TokenRecord::new(sure(ClientId::new(long(0, 255))), sure(Scope::parse(&tokens.join(" "))), store.now)
    };
    let largest = Record { expires_at: end, ..store.token(0, token) };
    let records = [largest, store.one_time(1, 2 * MAX_LIFETIME), store.one_time(2, 2 * MAX_LIFETIME)];
    store.inserts(&records, store.now, Inserted::All, "a token and its one-time values").await;
    for record in &records {
        store.has(record, "each member of it").await;
    }
}

async fn survives_a_given_up_insert(store: Subject<impl TokenStore>) {
    for polls in 1..=16 {
        let keys = [3 * polls, 3 * polls + 1, 3 * polls + 2];
        let [first, second] = [HOUR, 2 * HOUR].map(|life| keys.map(|number| store.one_time(number, life)));
        let ended = give_up(store.store.insert(&first, store.now), polls as usize).await;
        // What was given up may still be under way. The second insert comes before it or after it, never in its midst.
        let what = "an insert of the same keys, after one that was given up";
        let outcome = store.promise.answer(store.store.insert(&second, store.now).await, what);
        let stands = if outcome == Inserted::All { &second } else { &first };
        if outcome != Inserted::All {
            store.promise.same(outcome, Inserted::Exists(store.key(3 * polls)), what);
        }
        for record in stands {
            store.has(record, "all keys are of one insert").await;
        }
        if ended {
            break;
        }
    }
}
