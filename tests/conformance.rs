//! The suite `store::conformance`: the stores of the crate and of its example keep every promise, and a store that breaks one is
//! told which.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test panics where it fails")]

#[allow(dead_code, unreachable_pub, reason = "the example has a main function")]
#[path = "../examples/custom_store.rs"]
mod example;

use client_credentials::store::conformance::{client_registry, client_store, token_store, token_store_on_threads};
use client_credentials::store::{
    Added, AnyClientStore, AnyTokenStore, CachedClientStore, ClientRegistry, MemoryClientStore, MemoryTokenStore,
    Registered, RegistryError,
};
use client_credentials::{
    Claims, Client, ClientSecret, ClientStore, Inserted, Record, RecordKey, RecordValue, StoreError, Timestamp,
    TokenStore,
};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
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

#[tokio::test]
async fn registries_keep_every_promise() {
    client_registry(|| async { MemoryClientStore::default() }).await;
    client_registry(|| async { CachedClientStore::new(MemoryClientStore::default()) }).await;
    client_registry(|| async { CachedClientStore::new(MemoryClientStore::default()).with_capacity(8) }).await;
    client_registry(|| async { Rows::new(Keeps) }).await;
    client_registry(|| async { CachedClientStore::new(Rows::new(Keeps)) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_of_registries_can_be_spawned() {
    tokio::spawn(client_registry(|| async { CachedClientStore::new(Rows::new(Keeps)) })).await.unwrap();
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

// Registries.

/// What a registry does otherwise.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    Keeps,
    AddsWhatIsNew,
    AddsOneByOne,
    NamesTheLastTaken,
    LooksForTwiceAfterTaken,
    TakesTheSecond,
    OverwritesOnAdd,
    RefusesToAddNone,
    FailsAtAThousand,
    FoldsCase,
    FoldsCaseOfItsReads,
    CutsSpaces,
    IgnoresRevisions,
    AddsOnReplace,
    CountsFromOne,
    HashesTheClient,
    ForgetsOneMember,
    NeverDeletes,
    AlwaysDeletes,
    DeletesSoftly,
    SortsWithoutCase,
    PagesFromAfter,
    PagesFromWhoIsThere,
    PagesAtMost100,
    CountsLimitsIn32Bits,
    PagesOnlyOnce,
    WaitsBeforeItAdds,
    WaitsBeforeItReplaces,
    ServesWhatWas,
    NeverDisables,
    CutsFractions,
    EndsSecretsAtOnce,
    EndsTokensOfThePast,
    DisablesForGood,
}
use Fault::*;

/// A registry like one behind a network: rows of text, and each call one step. Or with a fault.
struct Rows {
    fault: Fault,
    rows: Mutex<BTreeMap<String, (String, i64)>>,
    deleted: Mutex<BTreeSet<String>>,
    revisions: Mutex<i64>,
    served: Mutex<BTreeMap<String, Arc<Client>>>,
}

fn as_json(client: &Client) -> String {
    serde_json::to_string(client).unwrap()
}

fn as_client(text: &str) -> Client {
    serde_json::from_str(text).unwrap()
}

impl Rows {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            rows: Mutex::default(),
            deleted: Mutex::default(),
            revisions: Mutex::default(),
            served: Mutex::default(),
        }
    }

    fn key(&self, client_id: &str) -> String {
        match self.fault {
            FoldsCase => client_id.to_lowercase(),
            CutsSpaces => client_id.trim_end().to_owned(),
            _ => client_id.to_owned(),
        }
    }

    fn row(&self, client: &Client, before: Option<i64>) -> (String, i64) {
        let mut client = client.clone();
        match self.fault {
            ForgetsOneMember if before.is_some() => client.default_scope = None,
            NeverDisables => client.disabled = false,
            CutsFractions => {
                client.tokens_not_before = client.tokens_not_before.map(|at| Timestamp::from_secs(at.as_secs()));
            }
            _ => {}
        }
        let text = as_json(&client);
        let revision = match self.fault {
            CountsFromOne => before.unwrap_or(0) + 1,
            HashesTheClient => {
                let mut hasher = DefaultHasher::new();
                text.hash(&mut hasher);
                hasher.finish() as i64
            }
            _ => {
                let mut revisions = self.revisions.lock().unwrap();
                *revisions += 1;
                *revisions
            }
        };
        (text, revision)
    }

    fn taken(&self, clients: &[Client]) -> Option<Client> {
        let (rows, deleted) = (self.rows.lock().unwrap(), self.deleted.lock().unwrap());
        let id = |at: usize| clients[at].client_id.as_str();
        let stands = |at: &usize| {
            let is_remembered = self.fault == DeletesSoftly && deleted.contains(id(*at));
            is_remembered || rows.contains_key(&self.key(id(*at)))
        };
        let twice = |at: &usize| (0..*at).any(|earlier| id(earlier) == id(*at));
        let mut all = 0..clients.len();
        let found = match self.fault {
            OverwritesOnAdd if clients.len() == 1 => None,
            TakesTheSecond => all.find(stands),
            NamesTheLastTaken => all.rev().find(|at| stands(at) || twice(at)),
            LooksForTwiceAfterTaken => all.clone().find(stands).or_else(|| all.find(twice)),
            _ => all.find(|at| stands(at) || twice(at)),
        };
        found.map(|at| clients[at].clone())
    }

    fn put(&self, client: &Client) {
        let key = self.key(client.client_id.as_str());
        let mut rows = self.rows.lock().unwrap();
        let before = rows.get(&key).map(|(_, revision)| *revision);
        rows.insert(key, self.row(client, before));
    }
}

impl ClientStore for Rows {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        yield_now().await;
        let found = self.rows.lock().unwrap().get(&self.key(client_id)).map(|(text, _)| Arc::new(as_client(text)));
        if self.fault == ServesWhatWas {
            let mut served = self.served.lock().unwrap();
            if let Some(found) = found {
                return Ok(Some(served.entry(client_id.to_owned()).or_insert(found).clone()));
            }
        }
        Ok(found)
    }
}

impl ClientRegistry for Rows {
    async fn add(&self, clients: &[Client]) -> Result<Added, StoreError> {
        yield_now().await;
        if self.fault == FailsAtAThousand && clients.len() >= 1000 {
            return Err(StoreError::new(std::io::Error::other("too many parameters")));
        }
        if self.fault == RefusesToAddNone && clients.is_empty() {
            return Err(StoreError::new(std::io::Error::other("a statement without rows")));
        }
        if self.fault == AddsWhatIsNew {
            for client in clients {
                if self.taken(std::slice::from_ref(client)).is_none() {
                    self.put(client);
                } else {
                    return Ok(Added::Taken(client.client_id.clone()));
                }
            }
            return Ok(Added::All);
        }
        if let Some(taken) = self.taken(clients) {
            return Ok(Added::Taken(taken.client_id));
        }
        if self.fault == WaitsBeforeItAdds && clients.len() == 2 {
            yield_now().await;
        }
        for client in clients {
            self.put(client);
            if self.fault == AddsOneByOne {
                yield_now().await;
            }
        }
        Ok(Added::All)
    }

    async fn registered(&self, client_id: &str) -> Result<Option<Registered>, StoreError> {
        yield_now().await;
        let rows = self.rows.lock().unwrap();
        let found = rows.get(&self.key(client_id));
        let folded = |(own, _): &(&String, _)| {
            self.fault == FoldsCaseOfItsReads && own.to_lowercase() == client_id.to_lowercase()
        };
        let found = found.or_else(|| rows.iter().find(folded).map(|(_, row)| row));
        Ok(found.map(|(text, revision)| Registered::new(as_client(text), *revision)))
    }

    async fn replace(&self, client: &Client, revision: i64) -> Result<bool, StoreError> {
        yield_now().await;
        let found = self.rows.lock().unwrap().get(&self.key(client.client_id.as_str())).map(|(_, own)| *own);
        let fits = match found {
            None => self.fault == AddsOnReplace,
            Some(own) => own == revision || self.fault == IgnoresRevisions,
        };
        if self.fault == WaitsBeforeItReplaces {
            yield_now().await;
        }
        if fits {
            self.put(client);
        }
        Ok(fits)
    }

    async fn delete(&self, client_id: &str) -> Result<bool, StoreError> {
        yield_now().await;
        let key = self.key(client_id);
        if self.fault == NeverDeletes {
            return Ok(self.rows.lock().unwrap().contains_key(&key));
        }
        let was = self.rows.lock().unwrap().remove(&key).is_some();
        if was {
            self.deleted.lock().unwrap().insert(client_id.to_owned());
        }
        Ok(was || self.fault == AlwaysDeletes)
    }

    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Client>>, StoreError> {
        yield_now().await;
        let rows = self.rows.lock().unwrap();
        let mut ids: Vec<&String> = rows.keys().collect();
        if self.fault == SortsWithoutCase {
            ids.sort_by_key(|id| id.to_lowercase());
        }
        let limit = match self.fault {
            PagesAtMost100 => limit.min(100),
            CountsLimitsIn32Bits => limit as u32 as usize,
            _ => limit,
        };
        let is_after = |id: &&String| match (self.fault, after) {
            (_, None) => true,
            (PagesFromAfter, Some(after)) => id.as_str() >= after,
            (PagesOnlyOnce, Some(_)) => false,
            (_, Some(after)) => id.as_str() > after,
        };
        if self.fault == PagesFromWhoIsThere && after.is_some_and(|after| !rows.contains_key(after)) {
            return Ok(Vec::new());
        }
        let page = ids.into_iter().filter(is_after).take(limit);
        Ok(page.map(|id| Arc::new(as_client(&rows[id].0))).collect())
    }
}

/// A registry with tasks of its own.
struct Tasks(Rows);

impl ClientStore for Tasks {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        self.0.client(client_id).await
    }
}

impl ClientRegistry for Tasks {
    async fn add(&self, clients: &[Client]) -> Result<Added, StoreError> {
        self.0.add(clients).await
    }
    async fn registered(&self, client_id: &str) -> Result<Option<Registered>, StoreError> {
        self.0.registered(client_id).await
    }
    async fn replace(&self, client: &Client, revision: i64) -> Result<bool, StoreError> {
        self.0.replace(client, revision).await
    }
    async fn delete(&self, client_id: &str) -> Result<bool, StoreError> {
        self.0.delete(client_id).await
    }
    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Client>>, StoreError> {
        self.0.page(after, limit).await
    }
    async fn rotate_secret(&self, id: &str, overlap: Duration, now: Timestamp) -> Result<ClientSecret, RegistryError> {
        let overlap = if self.0.fault == EndsSecretsAtOnce { Duration::ZERO } else { overlap };
        self.0.rotate_secret(id, overlap, now).await
    }
    async fn end_tokens(&self, client_id: &str, now: Timestamp) -> Result<(), RegistryError> {
        if self.0.fault == EndsTokensOfThePast {
            return self.0.change(client_id, |client| client.tokens_not_before = Some(now)).await;
        }
        self.0.end_tokens(client_id, now).await
    }
    async fn enable(&self, client_id: &str) -> Result<(), RegistryError> {
        if self.0.fault == DisablesForGood {
            return Ok(());
        }
        self.0.enable(client_id).await
    }
}

#[tokio::test]
async fn no_task_changes_another_client() {
    let registry = Rows::new(FoldsCaseOfItsReads);
    registry.register(Client::new("reports".parse().unwrap())).await.unwrap();
    let before = registry.registered("reports").await.unwrap().unwrap().revision;
    assert!(registry.registered("Reports").await.unwrap().is_some());
    assert!(matches!(registry.disable("Reports").await, Err(RegistryError::Unknown)));
    assert_eq!(registry.registered("reports").await.unwrap().unwrap().revision, before);
}

#[test]
fn a_broken_registry_is_told_the_promise() {
    let first = "the first client_id that is taken, or stands twice, is named";
    let exact = "a client_id is compared octet for octet";
    let own = "a client is replaced where the revision is its own";
    let state = "a revision is that of one state of the client";
    let gone = "what is deleted is gone, and its client_id is free again";
    let pages = "pages have all clients, in the order of their client_ids' octets";
    for (fault, promise) in [
        (AddsWhatIsNew, "all clients are added, or none"),
        (AddsOneByOne, "an add that is given up leaves all of its clients, or none"),
        (NamesTheLastTaken, first),
        (LooksForTwiceAfterTaken, first),
        (TakesTheSecond, first),
        (OverwritesOnAdd, "all clients are added, or none"),
        (RefusesToAddNone, "an add of no clients succeeds, and adds none"),
        (FailsAtAThousand, "a thousand clients are added in one step"),
        (FoldsCase, exact),
        (FoldsCaseOfItsReads, exact),
        (CutsSpaces, exact),
        (IgnoresRevisions, own),
        (AddsOnReplace, "what was never registered is not found"),
        (CountsFromOne, state),
        (HashesTheClient, own),
        (ForgetsOneMember, own),
        (NeverDeletes, gone),
        (AlwaysDeletes, "what was never registered is not found"),
        (DeletesSoftly, gone),
        (SortsWithoutCase, pages),
        (PagesFromAfter, pages),
        (PagesFromWhoIsThere, pages),
        (PagesAtMost100, "a thousand clients are added in one step"),
        (CountsLimitsIn32Bits, pages),
        (PagesOnlyOnce, pages),
        (WaitsBeforeItAdds, "of adds of one client_id at once, one adds"),
        (WaitsBeforeItReplaces, "of replacements of one revision at once, one replaces"),
        (ServesWhatWas, own),
        (NeverDisables, "a client comes back as it was registered"),
        (CutsFractions, "a client comes back as it was registered"),
        (EndsSecretsAtOnce, "a new secret stands beside the old ones for the overlap"),
        (EndsTokensOfThePast, "a client's tokens are ended, and no earlier end comes back"),
        (DisablesForGood, "a client is disabled, and enabled again"),
    ] {
        let message = match fault {
            EndsSecretsAtOnce | EndsTokensOfThePast | DisablesForGood => {
                complaint(|| driven(client_registry(async || Tasks(Rows::new(fault)))))
            }
            _ => complaint(|| driven(client_registry(async || Rows::new(fault)))),
        };
        assert!(message.starts_with(&format!("broken promise of ClientRegistry: {promise}\n")), "{fault:?}: {message}");
    }
}
