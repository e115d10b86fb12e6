//! A client store that remembers for a while what another one answered.

use super::{Added, ClientRegistry, Registered, StoreError};
use crate::client::{Client, ClientId, ClientStore};
use crate::clock::{Clock, Timestamp};
use crate::flight::Flight;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Clients in one set, at most.
const WAYS: usize = 8;
/// Clients that are kept where nothing else is said.
const USUAL_CAPACITY: usize = 10_000;
/// How long, in milliseconds, where nothing else is said.
const USUAL_LIFE: u64 = 60_000;

/// A [`ClientStore`] around another one, whose answers it keeps for a while: most requests then need no look-up.
///
/// * An answer is kept for a minute ([`with_life`](Self::with_life)), counted from before the store was asked. **A change that others
///   make in the store is seen after that time at the latest**; one that is made through this cache, which is a [`ClientRegistry`]
///   where the store is one, is seen by the next request. [`invalidate`](Self::invalidate) is for a process that hears of changes.
/// * A request that begins after an invalidation gets what the store says after it: a look-up that was under way before is not
///   waited for, and what it brings is not kept.
/// * The store is asked for one client once at a time; the others wait, and get the same answer or the same error. When the request
///   that asks is given up, one that waits asks anew.
/// * A failure is not kept, and nothing is served past its time: while the store is down, requests are refused one after the other
///   as their clients' time ends.
/// * 10 000 clients are kept ([`with_capacity`](Self::with_capacity)), in sets of eight, from which the oldest goes.
/// * That there is no such client is kept in places of its own, an eighth as many: whoever asks for random `client_id`s drives out
///   what others asked for in vain, and nothing else. Text that no client can be called never reaches the store.
///
/// Whoever times answers can tell a client that was active of late from one that was not.
///
/// ```
/// use client_credentials::store::{CachedClientStore, ClientRegistry, MemoryClientStore};
/// use client_credentials::{Client, ClientStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clients = CachedClientStore::new(MemoryClientStore::default()); // a database, where it is worth while
/// clients.register(Client::new("reports".parse()?)).await?;
/// assert!(clients.client("reports").await?.is_some_and(|client| !client.disabled));
/// clients.disable("reports").await?;
/// assert!(clients.client("reports").await?.is_some_and(|client| client.disabled));
/// # Ok(())
/// # }
/// ```
pub struct CachedClientStore<S> {
    store: S,
    /// Milliseconds.
    life: u64,
    clock: Box<dyn Clock>,
    hasher: RandomState,
    sets: Box<[Mutex<Set>]>,
}

/// Clients whose identifiers fall on one place: what is known of them, and what is being asked.
#[derive(Default)]
struct Set {
    /// The oldest first.
    known: Vec<Kept<Arc<Client>>>,
    absent: Option<Kept<Box<str>>>,
    loads: HashMap<Box<str>, Load>,
}

struct Kept<T> {
    answer: T,
    since: Timestamp,
}

/// A question to the store that requests wait for.
struct Load {
    flight: Arc<Flight<Outcome>>,
    waiting: usize,
}

type Outcome = Result<Option<Arc<Client>>, Shared>;

/// The error of a look-up that several requests waited for.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<StoreError>);

impl<S> CachedClientStore<S> {
    /// A cache in front of this store.
    pub fn new(store: S) -> Self {
        let start = Instant::now();
        let clock = move || {
            let passed = u64::try_from(start.elapsed().as_millis());
            Timestamp::from_millis(passed.unwrap_or(u64::MAX))
        };
        let (life, clock, hasher) = (USUAL_LIFE, Box::new(clock), RandomState::new());
        Self { store, life, clock, hasher, sets: sets(USUAL_CAPACITY) }
    }

    /// Keeps an answer for so long; with zero for no time, so that only look-ups at once share one.
    #[must_use]
    pub fn with_life(self, life: Duration) -> Self {
        Self { life: u64::try_from(life.as_millis()).unwrap_or(u64::MAX), ..self }
    }

    /// Keeps so many clients, rounded up to whole sets of eight. Where as many are active, some sets overflow while others have room:
    /// twice as many as there are clients keeps almost all of them.
    #[must_use]
    pub fn with_capacity(self, clients: usize) -> Self {
        Self { sets: sets(clients), ..self }
    }

    /// Reads the time from `clock`, not from one that only goes forward. What was kept later than now has expired.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Forgets what is known of a client: it has changed, or has come, or is gone.
    pub fn invalidate(&self, client_id: &str) {
        let mut set = lock(self.set(client_id));
        set.known.retain(|kept| kept.answer.client_id.as_str() != client_id);
        set.absent.take_if(|kept| *kept.answer == *client_id);
        set.loads.remove(client_id);
    }

    /// Forgets everything.
    pub fn invalidate_all(&self) {
        self.sets.iter().for_each(|set| *lock(set) = Set::default());
    }

    /// How many clients are kept, those included whose time has ended and whose place nobody has taken.
    pub fn len(&self) -> usize {
        self.sets.iter().map(|set| lock(set).known.len()).sum()
    }

    /// Whether no client is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of sets, which is one at least")]
    fn set(&self, client_id: &str) -> &Mutex<Set> {
        &self.sets[(self.hasher.hash_one(client_id) % self.sets.len() as u64) as usize]
    }

    /// What is kept, or the look-up that brings it.
    fn look<'a>(&'a self, client_id: &'a str) -> Result<Option<Arc<Client>>, Aboard<'a>> {
        let place = self.set(client_id);
        let mut set = lock(place);
        let now = self.clock.now(); // under the lock, so that nobody has kept anything later
        let is_fresh =
            |since: Timestamp| now.as_millis().checked_sub(since.as_millis()).is_some_and(|age| age < self.life);
        if let Some(at) = set.known.iter().position(|kept| kept.answer.client_id.as_str() == client_id) {
            match set.known.get(at).filter(|kept| is_fresh(kept.since)) {
                Some(kept) => return Ok(Some(Arc::clone(&kept.answer))),
                None => drop(set.known.remove(at)),
            }
        }
        if let Some(kept) = set.absent.take_if(|kept| *kept.answer == *client_id)
            && is_fresh(kept.since)
        {
            set.absent = Some(kept);
            return Ok(None);
        }
        let load = set.loads.entry(client_id.into()).or_insert_with(|| Load { flight: Arc::default(), waiting: 0 });
        load.waiting += 1;
        Err(Aboard { place, client_id, flight: Arc::clone(&load.flight) })
    }
}

fn sets(clients: usize) -> Box<[Mutex<Set>]> {
    (0..clients.div_ceil(WAYS).max(1)).map(|_| Mutex::default()).collect()
}

fn lock(set: &Mutex<Set>) -> MutexGuard<'_, Set> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that waits for a look-up. When the last one leaves, the look-up is forgotten.
struct Aboard<'a> {
    place: &'a Mutex<Set>,
    client_id: &'a str,
    flight: Arc<Flight<Outcome>>,
}

impl Aboard<'_> {
    fn load<'s>(&self, set: &'s mut Set) -> Option<&'s mut Load> {
        set.loads.get_mut(self.client_id).filter(|load| Arc::ptr_eq(&load.flight, &self.flight))
    }

    /// Keeps the answer, unless the client was invalidated since the store was asked: then the look-up is not in its place any more.
    fn landed(&self, outcome: &Outcome, since: Timestamp) {
        let mut set = lock(self.place);
        if self.load(&mut set).is_none() {
            return;
        }
        set.loads.remove(self.client_id);
        match outcome {
            Ok(Some(client)) => {
                if set.known.len() >= WAYS {
                    set.known.remove(0);
                }
                set.known.push(Kept { answer: Arc::clone(client), since });
            }
            Ok(None) => set.absent = Some(Kept { answer: self.client_id.into(), since }),
            Err(_) => {}
        }
    }
}

impl Drop for Aboard<'_> {
    fn drop(&mut self) {
        let mut set = lock(self.place);
        if let Some(load) = self.load(&mut set) {
            load.waiting -= 1;
            if load.waiting == 0 {
                set.loads.remove(self.client_id);
            }
        }
    }
}

impl<S: ClientStore> ClientStore for CachedClientStore<S> {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        if !ClientId::is_valid(client_id) {
            return Ok(None);
        }
        let aboard = match self.look(client_id) {
            Ok(kept) => return Ok(kept),
            Err(aboard) => aboard,
        };
        let mut lead = aboard.flight.lead().await;
        let outcome = match lead.clone() {
            Some(outcome) => outcome,
            None => {
                let since = self.clock.now();
                let found = self.store.client(client_id).await.map_err(|error| Shared(Arc::new(error)));
                // Another client's registration is none, as the server sees it; and would be kept under a name that is not asked for.
                let outcome = found.map(|found| found.filter(|client| client.client_id.as_str() == client_id));
                aboard.landed(&outcome, since);
                lead.insert(outcome).clone()
            }
        };
        outcome.map_err(|shared| {
            let retry_after = shared.0.retry_after();
            StoreError::new(shared).with_retry_after(retry_after)
        })
    }
}

/// Reads pass through. Writes do, and the clients that they name are invalidated when they are over, whether their answer came or not.
///
/// A write that was given up may still be under way in the store: what is read before it is done is kept for its time.
impl<S: ClientRegistry> ClientRegistry for CachedClientStore<S> {
    async fn add(&self, clients: &[Client]) -> Result<Added, StoreError> {
        let _written =
            Written { cache: self, client_ids: clients.iter().map(|client| client.client_id.as_str()).collect() };
        self.store.add(clients).await
    }

    async fn registered(&self, client_id: &str) -> Result<Option<Registered>, StoreError> {
        self.store.registered(client_id).await
    }

    async fn replace(&self, client: &Client, revision: i64) -> Result<bool, StoreError> {
        let _written = Written { cache: self, client_ids: vec![client.client_id.as_str()] };
        self.store.replace(client, revision).await
    }

    async fn delete(&self, client_id: &str) -> Result<bool, StoreError> {
        let _written = Written { cache: self, client_ids: vec![client_id] };
        self.store.delete(client_id).await
    }

    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Client>>, StoreError> {
        self.store.page(after, limit).await
    }
}

/// A write of these clients; when it is dropped, it is over, however it ended.
struct Written<'a, S> {
    cache: &'a CachedClientStore<S>,
    client_ids: Vec<&'a str>,
}

impl<S> Drop for Written<'_, S> {
    fn drop(&mut self) {
        self.client_ids.iter().for_each(|client_id| self.cache.invalidate(client_id));
    }
}

impl<S> fmt::Debug for CachedClientStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut known, mut absent, mut loads) = (0, 0, 0);
        for set in &self.sets {
            let set = lock(set);
            known += set.known.len();
            absent += usize::from(set.absent.is_some());
            loads += set.loads.len();
        }
        write!(f, "CachedClientStore({known} clients, {absent} absent, {loads} being looked up)")
    }
}
