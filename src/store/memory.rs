//! Stores in memory: for tests, demos, and production on a single node.

use super::{Added, ClientRegistry, Registered, StoreError};
use crate::client::{Client, ClientStore};
use crate::clock::Timestamp;
use crate::token::{Inserted, Record, RecordKey, RecordValue, TokenRecord, TokenStore};
use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Clients in a map that can change while the server runs; a change is seen by the next request.
///
/// ```
/// use client_credentials::{Client, ClientId, store::MemoryClientStore};
///
/// let clients = MemoryClientStore::default();
/// let (client, _secret) = Client::generate()?;
/// let client_id = client.client_id.clone();
/// assert!(clients.insert(client).is_none()); // nobody was replaced
/// assert!(clients.remove(client_id.as_str()).is_some());
/// # Ok::<(), client_credentials::RandomError>(())
/// ```
#[derive(Default)]
pub struct MemoryClientStore {
    clients: RwLock<HashMap<Arc<str>, Registered>>,
    last_revision: AtomicI64,
}

impl MemoryClientStore {
    /// Adds a client, or changes it: the client that had this `client_id` before is handed back.
    pub fn insert(&self, client: impl Into<Arc<Client>>) -> Option<Arc<Client>> {
        let client = client.into();
        let before = self.writing().insert(client.client_id.as_str().into(), self.revised(client));
        before.map(|registered| registered.client)
    }

    /// Takes a client out; its tokens are inactive from now on.
    pub fn remove(&self, client_id: &str) -> Option<Arc<Client>> {
        self.writing().remove(client_id).map(|registered| registered.client)
    }

    /// The client of this `client_id`.
    pub fn get(&self, client_id: &str) -> Option<Arc<Client>> {
        self.reading().get(client_id).map(|registered| Arc::clone(&registered.client))
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.reading().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn reading(&self) -> RwLockReadGuard<'_, HashMap<Arc<str>, Registered>> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> RwLockWriteGuard<'_, HashMap<Arc<str>, Registered>> {
        self.clients.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn revised(&self, client: Arc<Client>) -> Registered {
        Registered::new(client, self.last_revision.fetch_add(1, Ordering::Relaxed))
    }
}

impl<I: Into<Arc<Client>>> FromIterator<I> for MemoryClientStore {
    /// Of several clients with one `client_id` the last one stays.
    fn from_iter<T: IntoIterator<Item = I>>(clients: T) -> Self {
        let store = Self::default();
        for client in clients {
            store.insert(client);
        }
        store
    }
}

impl ClientStore for MemoryClientStore {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        Ok(self.get(client_id))
    }
}

impl ClientRegistry for MemoryClientStore {
    async fn add(&self, clients: &[Client]) -> Result<Added, StoreError> {
        let mut map = self.writing();
        let mut seen = HashSet::new();
        for Client { client_id, .. } in clients {
            if map.contains_key(client_id.as_str()) || !seen.insert(client_id.as_str()) {
                return Ok(Added::Taken(client_id.clone()));
            }
        }
        for client in clients {
            map.insert(client.client_id.as_str().into(), self.revised(Arc::new(client.clone())));
        }
        Ok(Added::All)
    }

    async fn registered(&self, client_id: &str) -> Result<Option<Registered>, StoreError> {
        Ok(self.reading().get(client_id).cloned())
    }

    async fn replace(&self, client: &Client, revision: i64) -> Result<bool, StoreError> {
        let mut map = self.writing();
        let Some(own) = map.get_mut(client.client_id.as_str()).filter(|own| own.revision == revision) else {
            return Ok(false);
        };
        *own = self.revised(Arc::new(client.clone()));
        Ok(true)
    }

    async fn delete(&self, client_id: &str) -> Result<bool, StoreError> {
        Ok(self.remove(client_id).is_some())
    }

    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Client>>, StoreError> {
        let map = self.reading();
        let mut page: Vec<_> = map.iter().filter(|(id, _)| after.is_none_or(|after| &***id > after)).collect();
        if limit < page.len() {
            page.select_nth_unstable_by_key(limit, |(id, _)| *id);
            page.truncate(limit);
        }
        page.sort_unstable_by_key(|(id, _)| *id);
        Ok(page.into_iter().map(|(_, registered)| Arc::clone(&registered.client)).collect())
    }
}

impl fmt::Debug for MemoryClientStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryClientStore({} clients)", self.len())
    }
}

/// Shards, so many that growing one never takes long and two threads rarely meet.
const SHARDS: usize = 4096;
/// Records that one insert looks at for expired ones when the store is full.
const LOOKED_AT_WHEN_FULL: usize = 16 * 1024;

/// Tokens and one-time values in memory; gone with the process.
///
/// Expired records leave without a background thread: a shard that is about to grow first drops what is past, so the
/// cost of expiry is shared out among the inserts. There are separate bounds for tokens and one-time values
/// ([`Capacity`]). **At a bound** a new record is refused (the server answers 503); a record that still lives is never
/// dropped to make room, since dropping a one-time value would reopen it to replay.
///
/// ```
/// use client_credentials::store::{Capacity, MemoryTokenStore};
///
/// let tokens = MemoryTokenStore::with_capacity(Capacity::default().with_tokens(50_000));
/// assert!(tokens.is_empty());
/// ```
pub struct MemoryTokenStore {
    shards: Box<[Shard]>,
    hasher: KeyHashing,
    recent: Recent,
    capacity: Capacity,
    tokens: AtomicUsize,
    one_time: AtomicUsize,
    next_swept: AtomicUsize,
}

/// One map and its lock, in one cache line.
#[repr(align(64))]
struct Shard(Mutex<Entries>);

type Entries = HashSet<Entry, KeyHashing>;

/// A record, found by its key alone, in one cache line; what tokens of one client have in common is held once.
#[derive(Clone)]
#[repr(align(64))]
struct Entry {
    key: RecordKey,
    expires_at: Timestamp,
    issued_at: Timestamp,
    held: Held,
}

impl Borrow<RecordKey> for Entry {
    fn borrow(&self) -> &RecordKey {
        &self.key
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

#[derive(Clone)]
enum Held {
    Token(Arc<TokenRecord>),
    OneTime,
    Revoked,
}

impl Held {
    fn is_token(&self) -> bool {
        !matches!(self, Self::OneTime)
    }
}

impl Entry {
    fn into_record(self) -> Record {
        let value = match self.held {
            Held::OneTime => RecordValue::OneTime,
            Held::Revoked => RecordValue::Revoked,
            Held::Token(token) => {
                RecordValue::AccessToken(TokenRecord { issued_at: self.issued_at, ..(*token).clone() })
            }
        };
        Record { key: self.key, expires_at: self.expires_at, value }
    }
}

/// How many live records a [`MemoryTokenStore`] holds at most, all clients and realms together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capacity {
    /// Access tokens, and revoked signed tokens; 10 million by default.
    pub tokens: usize,
    /// One-time values; 1 million by default.
    pub one_time: usize,
}

impl Capacity {
    /// The same with room for so many tokens.
    #[must_use]
    pub const fn with_tokens(self, tokens: usize) -> Self {
        Self { tokens, ..self }
    }

    /// The same with room for so many one-time values.
    #[must_use]
    pub const fn with_one_time(self, one_time: usize) -> Self {
        Self { one_time, ..self }
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self { tokens: 10_000_000, one_time: 1_000_000 }
    }
}

/// The store holds as many live records of a kind as it may.
#[derive(Debug, thiserror::Error)]
#[error("the store is full of {0}")]
struct Full(&'static str);

impl MemoryTokenStore {
    /// An empty store with these bounds.
    pub fn with_capacity(capacity: Capacity) -> Self {
        let hasher = KeyHashing::new();
        Self {
            shards: (0..SHARDS).map(|_| Shard(Mutex::new(HashSet::with_hasher(hasher)))).collect(),
            hasher,
            recent: Recent::new(),
            capacity,
            tokens: AtomicUsize::new(0),
            one_time: AtomicUsize::new(0),
            next_swept: AtomicUsize::new(0),
        }
    }

    /// How many records there are, expired ones included that were not dropped yet.
    pub fn len(&self) -> usize {
        self.tokens.load(Ordering::Relaxed) + self.one_time.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every record that has expired at `now` and says how many; one shard is locked at a time.
    pub fn remove_expired(&self, now: Timestamp) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let mut shard = lock(shard);
                let dropped = self.sweep(&mut shard, now);
                if shard.capacity() > 8 * shard.len().max(8) {
                    let room = 2 * shard.len();
                    shard.shrink_to(room);
                }
                dropped
            })
            .sum()
    }

    fn sweep(&self, shard: &mut Entries, now: Timestamp) -> usize {
        let before = shard.len();
        shard.retain(|entry| {
            let lives = entry.expires_at > now;
            if !lives {
                self.counter(!entry.held.is_token()).fetch_sub(1, Ordering::Relaxed);
            }
            lives
        });
        before - shard.len()
    }

    fn counter(&self, one_time: bool) -> &AtomicUsize {
        if one_time { &self.one_time } else { &self.tokens }
    }

    /// Takes places for the records, or says that there are none left.
    fn reserve(&self, records: &[Record], now: Timestamp) -> Result<(), StoreError> {
        if self.take_places(records) {
            return Ok(());
        }
        // Full: perhaps of records that are past. So many records are looked at, the next ones by the next who comes here:
        // a small store as a whole, a large one bit by bit, so that nobody waits for a walk through millions.
        let mut looked_at = 0;
        for _ in 0..SHARDS {
            let next = self.next_swept.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let Some(shard) = self.shards.get(next).filter(|_| looked_at < LOOKED_AT_WHEN_FULL) else { break };
            let mut shard = lock(shard);
            looked_at += shard.len();
            self.sweep(&mut shard, now);
        }
        if self.take_places(records) {
            return Ok(());
        }
        let one_time = records.iter().any(is_one_time);
        Err(StoreError::new(Full(if one_time { "tokens or one-time values" } else { "tokens" }))
            .with_retry_after(Duration::from_secs(10)))
    }

    fn take_places(&self, records: &[Record]) -> bool {
        let one_time = records.iter().filter(|record| is_one_time(record)).count();
        take(&self.tokens, records.len() - one_time, self.capacity.tokens)
            && (take(&self.one_time, one_time, self.capacity.one_time) || {
                self.tokens.fetch_sub(records.len() - one_time, Ordering::Relaxed);
                false
            })
    }

    fn insert_now(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        self.reserve(records, now)?;
        let inserted = match records {
            [record] => self.put(&mut self.shard(&record.key), record, now),
            records => self.insert_several(records, now),
        };
        if inserted != Inserted::All {
            for record in records {
                self.counter(is_one_time(record)).fetch_sub(1, Ordering::Relaxed);
            }
        }
        Ok(inserted)
    }

    /// Locks the shards of all records in ascending order, so that two inserts never wait for each other; then looks, then writes.
    fn insert_several(&self, records: &[Record], now: Timestamp) -> Inserted {
        let mut places: Vec<usize> = records.iter().map(|record| self.place(&record.key)).collect();
        places.sort_unstable();
        places.dedup();
        let mut locked: Vec<(usize, MutexGuard<'_, Entries>)> =
            places.iter().filter_map(|place| Some((*place, lock(self.shards.get(*place)?)))).collect();
        let repeated = |at: usize, key: &RecordKey| records.iter().take(at).any(|earlier| earlier.key == *key);
        for (at, record) in records.iter().enumerate() {
            let place = self.place(&record.key);
            let stands = locked.iter().any(|(own, shard)| *own == place && stands(shard, &record.key, now));
            if stands || repeated(at, &record.key) {
                return Inserted::Exists(record.key);
            }
        }
        for record in records {
            let place = self.place(&record.key);
            if let Some((_, shard)) = locked.iter_mut().find(|(own, _)| *own == place) {
                let inserted = self.put(shard, record, now);
                debug_assert_eq!(inserted, Inserted::All, "all were looked for while they were locked");
            }
        }
        Inserted::All
    }

    /// Writes the record, unless one with its key stands.
    fn put(&self, shard: &mut Entries, record: &Record, now: Timestamp) -> Inserted {
        if shard.len() == shard.capacity() {
            let dropped = self.sweep(shard, now);
            if dropped < shard.capacity() / 4 {
                let more = shard.capacity() - shard.len() + 1;
                shard.reserve(more); // doubles; else the room that the sweep made is enough
            }
        }
        if shard.insert(self.entry(record)) {
            return Inserted::All;
        }
        if stands(shard, &record.key, now) {
            return Inserted::Exists(record.key);
        }
        if let Some(expired) = shard.replace(self.entry(record)) {
            self.counter(!expired.held.is_token()).fetch_sub(1, Ordering::Relaxed);
        }
        Inserted::All
    }

    fn entry(&self, record: &Record) -> Entry {
        let (issued_at, held) = match &record.value {
            RecordValue::AccessToken(token) => (token.issued_at, Held::Token(self.recent.share(token))),
            RecordValue::OneTime => (Timestamp::default(), Held::OneTime),
            RecordValue::Revoked => (Timestamp::default(), Held::Revoked),
        };
        Entry { key: record.key, expires_at: record.expires_at, issued_at, held }
    }

    fn get_now(&self, key: &RecordKey) -> Option<Record> {
        let entry = self.shard(key).get(key).cloned()?;
        Some(entry.into_record())
    }

    fn remove_now(&self, key: &RecordKey) -> bool {
        let removed = self.shard(key).take(key);
        if let Some(entry) = &removed {
            self.counter(!entry.held.is_token()).fetch_sub(1, Ordering::Relaxed);
        }
        removed.is_some()
    }

    fn place(&self, key: &RecordKey) -> usize {
        // Bits 40 to 51 choose the shard; its map uses the lowest and the seven highest ones.
        (self.hasher.hash_one(key) >> 40) as usize % SHARDS
    }

    #[expect(clippy::indexing_slicing, reason = "`place` is below SHARDS, and there are SHARDS of them")]
    fn shard(&self, key: &RecordKey) -> MutexGuard<'_, Entries> {
        lock(&self.shards[self.place(key)])
    }
}

fn lock(shard: &Shard) -> MutexGuard<'_, Entries> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a record counts as a one-time value. A revoked token counts as a token: whoever ends its own must not take the room
/// of others' assertions.
fn is_one_time(record: &Record) -> bool {
    matches!(record.value, RecordValue::OneTime)
}

fn stands(shard: &Entries, key: &RecordKey, now: Timestamp) -> bool {
    shard.get(key).is_some_and(|entry| entry.expires_at > now)
}

/// Adds `places` to `counter` unless that would pass `capacity`.
fn take(counter: &AtomicUsize, places: usize, capacity: usize) -> bool {
    if counter.fetch_add(places, Ordering::Relaxed) + places <= capacity {
        return true;
    }
    counter.fetch_sub(places, Ordering::Relaxed);
    places == 0
}

impl Default for MemoryTokenStore {
    fn default() -> Self {
        Self::with_capacity(Capacity::default())
    }
}

impl TokenStore for MemoryTokenStore {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        self.insert_now(records, now)
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.get_now(key))
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        Ok(self.remove_now(key))
    }
}

impl fmt::Debug for MemoryTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryTokenStore({} records)", self.len())
    }
}

/// What the tokens of late had in common, so that the next token of the same client and scope can share it.
///
/// A place is taken over by the next token that falls on it: a miss costs one allocation, nothing more.
struct Recent(Box<[Mutex<Option<Arc<TokenRecord>>>]>);

impl Recent {
    fn new() -> Self {
        Self((0..1024).map(|_| Mutex::new(None)).collect())
    }

    /// A record that says the same but for the moment of issue.
    fn share(&self, token: &TokenRecord) -> Arc<TokenRecord> {
        // Named one by one, so that a new member cannot be forgotten here.
        let TokenRecord { client_id, scope, audience, issued_at: _, confirmation, authorization_details, claims } =
            token;
        let of_its_own = confirmation.is_some() || authorization_details.is_some() || !claims.is_empty();
        // A registration that is shared has one address: as good as a hash of the text, and at worst a miss.
        let place = (client_id.as_str().as_ptr() as usize >> 4) ^ scope.as_str().len();
        let place = self.0.get(place % self.0.len().max(1)).filter(|_| !of_its_own);
        let Some(place) = place else { return Arc::new(token.clone()) };
        let mut recent = place.lock().unwrap_or_else(PoisonError::into_inner);
        match &*recent {
            Some(recent)
                if recent.client_id == *client_id && recent.scope == *scope && recent.audience == *audience =>
            {
                Arc::clone(recent)
            }
            _ => Arc::clone(recent.insert(Arc::new(token.clone()))),
        }
    }
}

/// Folds a key, which is a digest already, into 64 bits by one multiplication.
///
/// Two secret numbers of this store's own go in, so that nobody can choose values that crowd one place.
#[derive(Clone, Copy)]
struct KeyHashing([u64; 2]);

struct KeyHasher {
    secret: [u64; 2],
    folded: u64,
}

impl KeyHashing {
    fn new() -> Self {
        let random = RandomState::new();
        Self([random.hash_one(0), random.hash_one(1)])
    }
}

impl BuildHasher for KeyHashing {
    type Hasher = KeyHasher;
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { secret: self.0, folded: 0 }
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, octets: &[u8]) {
        let (words, _) = octets.as_chunks::<8>();
        let [a, b] = self.secret;
        if let [first, second, ..] = words {
            let product = u128::from(u64::from_le_bytes(*first) ^ a) * u128::from(u64::from_le_bytes(*second) ^ b);
            self.folded ^= (product as u64) ^ ((product >> 64) as u64);
        }
    }
    fn finish(&self) -> u64 {
        self.folded
    }
}
