//! The suite `store::conformance`: the stores of the crate and of its example keep every promise, and a store that breaks one is
//! told which.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test panics where it fails")]

#[allow(dead_code, unreachable_pub, reason = "the example has a main function")]
#[path = "../examples/custom_store.rs"]
mod example;

use client_credentials::store::conformance::{client_store, token_store, token_store_on_threads};
use client_credentials::store::{AnyClientStore, AnyTokenStore, MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    Claims, Client, ClientStore, Inserted, Record, RecordKey, RecordValue, StoreError, Timestamp, TokenStore,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::yield_now;

// Stores that keep every promise.

#[tokio::test]
// req: ST-006, ST-007, ST-012
async fn token_stores_keep_every_promise() {
    token_store(|| async { MemoryTokenStore::default() }).await;
    token_store(|| async { Arc::new(MemoryTokenStore::default()) }).await;
    token_store(|| async { Box::new(MemoryTokenStore::default()) }).await;
    token_store(|| async { AnyTokenStore::new(MemoryTokenStore::default()) }).await;
    token_store(|| async { example::BTreeStore::default() }).await;
    token_store(|| async { Waiting::default() }).await;
}

#[tokio::test]
async fn runs_may_share_one_store() {
    let shared = MemoryTokenStore::default();
    for _ in 0..2 {
        token_store(async || &shared).await;
    }
}

#[test]
// req: ST-006, ST-007
fn token_stores_keep_their_promises_on_threads() {
    token_store_on_threads(|| async { MemoryTokenStore::default() });
    token_store_on_threads(|| async { AnyTokenStore::new(MemoryTokenStore::default()) });
    token_store_on_threads(|| async { example::BTreeStore::default() });
}

#[tokio::test]
async fn client_stores_keep_every_promise() {
    client_store(|clients| async { MemoryClientStore::from_iter(clients) }).await;
    client_store(|clients| async { Arc::new(MemoryClientStore::from_iter(clients)) }).await;
    client_store(|clients| async { AnyClientStore::new(MemoryClientStore::from_iter(clients)) }).await;
    client_store(|clients| async { Registrations::of(clients, |_| {}) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_can_be_spawned() {
    let tokens = tokio::spawn(token_store(|| async { Waiting::default() }));
    let clients = tokio::spawn(client_store(|clients| async { MemoryClientStore::from_iter(clients) }));
    tokens.await.unwrap();
    clients.await.unwrap();
}

/// A store that waits like one behind a network: its lock is held from the look to the write, its records are kept as JSON.
#[derive(Default)]
struct Waiting(tokio::sync::Mutex<BTreeMap<[u8; 32], String>>);

impl TokenStore for Waiting {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        yield_now().await;
        let mut map = self.0.lock().await;
        let read = |text: &String| serde_json::from_str::<Record>(text).unwrap();
        let mut copy = map.clone();
        copy.retain(|_, text| read(text).expires_at > now);
        for record in records {
            yield_now().await;
            if copy.insert(*record.key.as_bytes(), serde_json::to_string(record).unwrap()).is_some() {
                return Ok(Inserted::Exists(record.key));
            }
        }
        *map = copy;
        yield_now().await;
        Ok(Inserted::All)
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        yield_now().await;
        Ok(self.0.lock().await.get(key.as_bytes()).map(|text| serde_json::from_str(text).unwrap()))
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        Ok(self.0.lock().await.remove(key.as_bytes()).is_some())
    }
}

/// A client store that keeps JSON under some other form of the identifier.
struct Registrations {
    by_id: BTreeMap<String, String>,
    change: fn(&mut String),
}

impl Registrations {
    fn of(clients: Vec<Client>, change: fn(&mut String)) -> Self {
        let entry = |client: Client| {
            let mut id = client.client_id.as_str().to_owned();
            change(&mut id);
            (id, serde_json::to_string(&client).unwrap())
        };
        Self { by_id: clients.into_iter().map(entry).collect(), change }
    }
}

impl ClientStore for Registrations {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        let mut id = client_id.to_owned();
        (self.change)(&mut id);
        Ok(self.by_id.get(&id).map(|text| Arc::new(serde_json::from_str(text).unwrap())))
    }
}

// Stores that break one.

/// What a broken store does otherwise.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Flaw {
    WritesBeforeItLooks,
    WritesWhatIsNew,
    IgnoresExpiry,
    LivesAtItsExpiry,
    DiesASecondEarly,
    DropsTheSecond,
    OverwritesWhatStands,
    RenewsWhatHasExpired,
    NamesTheLast,
    AllowsAKeyTwice,
    RefusesNothing,
    WaitsBeforeItWrites,
    WaitsBeforeItRenews,
    WaitsBeforeItWritesSeveral,
    WritesOneByOne,
    ForgetsClaims,
    ForgetsConfirmations,
    ForgetsRevocations,
    ForgetsTheOldest,
    ForgetsAllOnCleanup,
    CutsKeys,
    CutsLongTexts,
    CountsSecondsIn31Bits,
    NeverRemoves,
    RemovesAndRemembers,
    AlwaysRemoves,
    Fails,
    FindsSomething,
}
use Flaw::*;

struct Broken {
    flaw: Flaw,
    map: Mutex<BTreeMap<[u8; 32], Record>>,
}

impl Broken {
    fn new(flaw: Flaw) -> Self {
        Self { flaw, map: Mutex::default() }
    }

    fn place(&self, key: &RecordKey) -> [u8; 32] {
        let mut octets = *key.as_bytes();
        if self.flaw == CutsKeys {
            octets[31] &= 0xFE;
        }
        octets
    }

    fn knows(&self, record: &Record) -> bool {
        self.map.lock().unwrap().contains_key(record.key.as_bytes())
    }

    fn lives(&self, record: &Record, now: Timestamp) -> bool {
        match self.flaw {
            IgnoresExpiry => true,
            LivesAtItsExpiry => record.expires_at >= now,
            DiesASecondEarly => record.expires_at.as_secs() > now.as_secs() + 1,
            _ => record.expires_at > now,
        }
    }

    fn write(&self, records: &[Record]) {
        let mut map = self.map.lock().unwrap();
        for (at, record) in records.iter().enumerate() {
            let mut record = record.clone();
            let long = serde_json::to_string(&record).unwrap().len() > 65_535;
            if let RecordValue::AccessToken(token) = &mut record.value {
                match self.flaw {
                    ForgetsClaims => token.claims = Claims::default(),
                    ForgetsConfirmations => token.confirmation = None,
                    CutsLongTexts if long => token.claims = Claims::default(),
                    _ => {}
                }
            }
            match self.flaw {
                DropsTheSecond if at == 1 => continue,
                ForgetsRevocations if record.value == RecordValue::Revoked => record.value = RecordValue::OneTime,
                CountsSecondsIn31Bits => {
                    record.expires_at = record.expires_at.min(Timestamp::from_secs(i32::MAX as u64));
                }
                ForgetsTheOldest if map.len() >= 250 => _ = map.pop_first(),
                _ => {}
            }
            map.insert(self.place(&record.key), record);
        }
    }

    fn looks(&self, records: &[Record], now: Timestamp) -> Option<RecordKey> {
        let mut map = self.map.lock().unwrap();
        let lives = |stands: &Record| self.lives(stands, now);
        if self.flaw == ForgetsAllOnCleanup && !map.values().all(lives) {
            map.clear();
        }
        let mut seen = Vec::new();
        let stands = |record: &&Record| {
            let twice = seen.contains(&record.key) && self.flaw != AllowsAKeyTwice;
            seen.push(record.key);
            twice || map.get(&self.place(&record.key)).is_some_and(lives)
        };
        let standing: Vec<&Record> = records.iter().filter(stands).collect();
        let named = if self.flaw == NamesTheLast { standing.last() } else { standing.first() };
        named.map(|record| record.key)
    }
}

impl TokenStore for Broken {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        let stands = self.looks(records, now);
        match self.flaw {
            Fails if records.len() > 200 => return Err(StoreError::new(std::io::Error::other("too many parameters"))),
            WritesBeforeItLooks => self.write(records),
            WritesWhatIsNew | RenewsWhatHasExpired => {
                for record in records.iter().map(std::slice::from_ref) {
                    if self.looks(record, now).is_none()
                        && self.knows(&record[0]) == (self.flaw == RenewsWhatHasExpired)
                    {
                        self.write(record);
                    }
                }
            }
            OverwritesWhatStands if records.len() == 1 => self.write(records),
            RefusesNothing if records.is_empty() => return Ok(Inserted::Exists(RecordKey::from_bytes([0; 32]))),
            WaitsBeforeItWrites => yield_now().await,
            WaitsBeforeItRenews if records.iter().any(|record| self.knows(record)) => yield_now().await,
            WaitsBeforeItWritesSeveral if records.len() > 1 => yield_now().await,
            WritesOneByOne if stands.is_none() => {
                for record in records {
                    self.write(std::slice::from_ref(record));
                    yield_now().await;
                }
            }
            _ => {}
        }
        match stands {
            Some(key) => Ok(Inserted::Exists(key)),
            None => {
                self.write(records);
                Ok(Inserted::All)
            }
        }
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let found = self.map.lock().unwrap().get(&self.place(key)).cloned();
        let something = Record::new(*key, Timestamp::from_secs(1), RecordValue::OneTime);
        Ok(if self.flaw == FindsSomething { found.or(Some(something)) } else { found })
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        let mut map = self.map.lock().unwrap();
        Ok(match self.flaw {
            NeverRemoves => map.contains_key(key.as_bytes()),
            AlwaysRemoves => {
                map.remove(key.as_bytes());
                true
            }
            RemovesAndRemembers => map.get_mut(key.as_bytes()).is_some_and(|record| {
                let had = record.value != RecordValue::Revoked;
                record.value = RecordValue::Revoked;
                had
            }),
            _ => map.remove(&self.place(key)).is_some(),
        })
    }
}

/// The message of the panic that `run` ends with.
fn complaint(run: impl FnOnce()) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(run)) else { return "nothing was found".to_owned() };
    panic.downcast_ref::<String>().unwrap().clone()
}

fn driven(run: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run);
}

#[test]
fn a_broken_token_store_is_told_the_promise() {
    for (flaw, promise) in [
        (WritesBeforeItLooks, "an insert writes all records, or none"),
        (WritesWhatIsNew, "an insert writes all records, or none"),
        (RenewsWhatHasExpired, "an insert writes all records, or none"),
        (IgnoresExpiry, "a record that has expired does not stand in the way"),
        (LivesAtItsExpiry, "a record that has expired does not stand in the way"),
        (DiesASecondEarly, "a record stands until the moment of its expiry"),
        (DropsTheSecond, "a record comes back as it was written"),
        (OverwritesWhatStands, "what stands is not changed by an insert that is refused"),
        (NamesTheLast, "the first key that stands already is named"),
        (AllowsAKeyTwice, "a key that stands twice in one insert forbids it"),
        (WaitsBeforeItWrites, "of inserts of one key at once, one writes"),
        (WaitsBeforeItRenews, "of inserts at once over a record that has expired, one writes"),
        (WaitsBeforeItWritesSeveral, "of inserts at once with common keys in opposite orders, one writes"),
        (RefusesNothing, "an insert of no records succeeds, and writes nothing"),
        (WritesOneByOne, "an insert that is given up leaves all of its records, or none"),
        (ForgetsClaims, "a record comes back as it was written"),
        (ForgetsConfirmations, "a record comes back as it was written"),
        (ForgetsRevocations, "a record comes back as it was written"),
        (ForgetsTheOldest, "what lives is never forgotten"),
        (ForgetsAllOnCleanup, "what lives is never forgotten"),
        (CutsKeys, "keys that differ in one bit are different keys"),
        (CutsLongTexts, "the largest record comes back whole"),
        (CountsSecondsIn31Bits, "the largest record comes back whole"),
        (NeverRemoves, "what is removed is gone, and its key is free again"),
        (RemovesAndRemembers, "what is removed is gone, and its key is free again"),
        (AlwaysRemoves, "what is removed is gone, and its key is free again"),
        (Fails, "keys that differ in one bit are different keys"),
        (FindsSomething, "what was never written is not found"),
    ] {
        let message = complaint(|| driven(token_store(async || Broken::new(flaw))));
        assert!(message.starts_with(&format!("broken promise of TokenStore: {promise}\n")), "{flaw:?}: {message}");
    }
}

/// Looks under one lock, and writes under the next.
#[derive(Default)]
struct TwoLocks(Mutex<BTreeMap<RecordKey, Record>>);

impl TokenStore for TwoLocks {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        for record in records {
            if self.0.lock().unwrap().get(&record.key).is_some_and(|stands| stands.expires_at > now) {
                return Ok(Inserted::Exists(record.key));
            }
        }
        std::thread::sleep(Duration::from_millis(1));
        self.0.lock().unwrap().extend(records.iter().map(|record| (record.key, record.clone())));
        Ok(Inserted::All)
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        Ok(self.0.lock().unwrap().remove(key).is_some())
    }
}

#[test]
fn a_race_between_threads_is_told() {
    let message = complaint(|| token_store_on_threads(async || TwoLocks::default()));
    assert!(message.contains("one writes\n    what: how many inserts wrote\n"), "{message}");
}

#[test]
fn a_broken_client_store_is_told_the_promise() {
    let exact = "a client is found by exactly its client_id";
    type Change = fn(&mut String);
    let changes: [(Change, &str); 5] = [
        (|id| *id = id.to_lowercase(), exact),
        (|id| *id = id.trim_end_matches(' ').to_owned(), exact),
        (|id| *id = id.replace("e\u{301}", "é"), exact),
        (|id| *id = id.replace('\'', "''").replace("''''", "''"), exact),
        (|id| *id = id.chars().take(254).collect(), "a client comes back as it was registered"),
    ];
    for (change, promise) in changes {
        let message = complaint(|| driven(client_store(async |clients| Registrations::of(clients, change))));
        assert!(message.starts_with(&format!("broken promise of ClientStore: {promise}\n")), "{message}");
    }
    let forgets = |clients: Vec<Client>| {
        let forget = |mut client: Client| {
            client.disabled = false;
            client
        };
        clients.into_iter().map(forget).collect::<MemoryClientStore>()
    };
    let message = complaint(|| driven(client_store(async |clients| forgets(clients))));
    assert!(
        message.starts_with("broken promise of ClientStore: a client comes back as it was registered\n"),
        "{message}"
    );
    let message = complaint(|| driven(client_store(async |clients| Guessing(MemoryClientStore::from_iter(clients)))));
    assert!(
        message.starts_with("broken promise of ClientStore: what was never registered is not found\n"),
        "{message}"
    );
    let message = complaint(|| {
        driven(client_store(async |clients| OneAtATime(Registrations::of(clients, |_| {}), Mutex::default())))
    });
    assert!(
        message.starts_with("broken promise of ClientStore: look-ups at once are answered each for itself\n"),
        "{message}"
    );
}

/// Takes `%` and `_` for what they are in SQL's `LIKE`.
struct Guessing(MemoryClientStore);

impl ClientStore for Guessing {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        Ok(self.0.get(client_id).or_else(|| self.0.get("Reports").filter(|_| client_id == "Repor_s")))
    }
}

/// Keeps what was asked for in a place that all look-ups share.
struct OneAtATime(Registrations, Mutex<String>);

impl ClientStore for OneAtATime {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        *self.1.lock().unwrap() = client_id.to_owned();
        yield_now().await;
        let asked = self.1.lock().unwrap().clone();
        self.0.client(&asked).await
    }
}
