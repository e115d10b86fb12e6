//! Keys that rotate: published before they sign, and for as long as something that they signed may live.

use super::jws::{InvalidJwt, Jws};
use super::signing::{SigningAlgorithm, SigningKey};
use crate::clock::Timestamp;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// The signing keys of a server: of each algorithm one that signs, others that will, and others that did.
///
/// Of the keys of one algorithm the one signs whose moment has come last. A key whose moment is still to come is published
/// already, so that resource servers know it in time; one that has a successor stays published for the retire period, which must be
/// longer than any token lives. All of it follows from the clock: nothing has to be switched over, and nothing restarts.
pub struct SigningKeys {
    entries: RwLock<Vec<Entry>>,
    retire_period: u64,
}

#[derive(Clone)]
struct Entry {
    key: Arc<SigningKey>,
    /// `None`: from before the start, nobody knows since when.
    signs_from: Option<Timestamp>,
}

impl SigningKeys {
    /// Keys that sign at once; of several of one algorithm the last.
    ///
    /// The others of that algorithm signed before the start, nobody knows until when: they stay published until a key that was
    /// [added](Self::add) has been signing for the retire period, or they are left out at another start. Retired keys stay
    /// published for seven days.
    pub fn new(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        let empty = Self { entries: RwLock::default(), retire_period: 7 * 24 * 3600 };
        for key in keys {
            empty.insert(key, None);
        }
        empty
    }

    /// The same with another retire period, in seconds: longer than any token lives.
    #[must_use]
    pub fn with_retire_period(self, seconds: u64) -> Self {
        Self { retire_period: seconds, ..self }
    }

    /// Publishes a key now, and lets it sign from `signs_from` on in place of the others of its algorithm.
    ///
    /// A moment that is past says since when it has signed: the others retire by it, perhaps at once.
    /// Choose a moment later than resource servers keep the key set: an hour is enough for the `Cache-Control` of this crate.
    /// Says whether it was added: where a key of that algorithm and `kid` is there already, that one stays as it is.
    pub fn add(&self, key: SigningKey, signs_from: Timestamp) -> bool {
        self.insert(key, Some(signs_from))
    }

    fn insert(&self, key: SigningKey, signs_from: Option<Timestamp>) -> bool {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = !entries.iter().any(|own| own.key.is(&key));
        if is_new {
            entries.push(Entry { key: Arc::new(key), signs_from });
        }
        is_new
    }

    /// Takes a key out at once: what it signed is no longer valid here, and soon nowhere. For a key that leaked.
    pub fn remove(&self, kid: &str) -> bool {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let before = entries.len();
        entries.retain(|entry| entry.key.kid() != kid);
        entries.len() < before
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The key that signs with this algorithm at that moment.
    pub(crate) fn signer(&self, algorithm: SigningAlgorithm, now: Timestamp) -> Option<Arc<SigningKey>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let has_begun = |entry: &&Entry| entry.signs_from.is_none_or(|from| from <= now);
        let signing = entries.iter().filter(|entry| entry.key.algorithm() == algorithm).filter(has_begun);
        signing.max_by_key(|entry| entry.signs_from).map(|entry| Arc::clone(&entry.key))
    }

    /// Whether a published key signed it, by its own algorithm.
    pub(crate) fn verify(&self, jws: &Jws<'_>, now: Timestamp) -> Result<(), InvalidJwt> {
        let keys = self.published(now);
        jws.verify(keys.iter().map(|key| key.verification()), |_| true)
    }

    /// The public key set at that moment (RFC 7517 §5).
    pub(crate) fn jwks(&self, now: Timestamp) -> Value {
        let keys = self.published(now);
        let keys = keys.iter().map(|key| Value::Object(key.public().clone()));
        Value::Object(Map::from_iter([("keys".to_owned(), keys.collect())]))
    }

    fn published(&self, now: Timestamp) -> Vec<Arc<SigningKey>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        // Of two keys with one moment the later one came after.
        let successor = |(place, entry): &(usize, &Entry)| {
            let same = |other: &&(usize, &Entry)| other.1.key.algorithm() == entry.key.algorithm();
            let after = |other: &&(usize, &Entry)| (other.1.signs_from, other.0) > (entry.signs_from, *place);
            let placed: Vec<(usize, &Entry)> = entries.iter().enumerate().collect();
            placed.iter().filter(same).filter(after).filter_map(|other| other.1.signs_from).min()
        };
        let is_retired =
            |placed: &(usize, &Entry)| successor(placed).is_some_and(|from| from.second_plus(self.retire_period) < now);
        let placed = entries.iter().enumerate();
        placed.filter(|placed| !is_retired(placed)).map(|(_, entry)| Arc::clone(&entry.key)).collect()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(entries.iter().map(|entry| (&entry.key, entry.signs_from))).finish()
    }
}
