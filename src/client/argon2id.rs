//! Argon2id for chosen secrets (RFC 9106): the hash itself, the cache of its successes, and the way off the executor.

use super::secret::InvalidVerifier;
use crate::error::Reason;
use crate::random::{RandomError, RandomSource};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A hash with the default parameters that no known secret has: the work done for an unknown client, where that is a slow one.
pub(super) const UNMATCHED: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// What a stored hash may ask for; beyond it is a fault, so that it cannot decide the cost freely.
const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_PASSES: u32 = 10;
const MAX_LANES: u32 = 4;
/// Successful verifications that are remembered.
const CACHED: usize = 1024;

pub(super) fn hash(secret: &str, random: &dyn RandomSource) -> Result<Arc<str>, RandomError> {
    let mut salt = [0; 16];
    random.fill(&mut salt)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
    let hash = argon2.hash_password_with_salt(secret.as_bytes(), &salt).map_err(|_| RandomError::default())?;
    Ok(hash.to_string().into())
}

pub(super) fn check(text: &str) -> Result<(), InvalidVerifier> {
    let malformed = InvalidVerifier { problem: "is a malformed PHC string" };
    let hash = PasswordHash::new(text).map_err(|_| malformed)?;
    let params = Params::try_from(&hash).map_err(|_| malformed)?;
    let complete = hash.salt.is_some() && hash.hash.is_some();
    let known = hash.version.is_none_or(|version| Version::try_from(version).is_ok());
    if hash.algorithm.as_str() != "argon2id" || !complete || !known {
        return Err(malformed);
    }
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
        return Err(InvalidVerifier { problem: "asks for more than 64 MiB, 10 passes or 4 lanes" });
    }
    Ok(())
}

fn verify(phc: &str, secret: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

/// Takes work off the executor: runs the closure it is given, somewhere, soon.
pub(crate) type Offload = dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync;

/// Checks chosen secrets for one server.
pub(crate) struct SlowVerifier {
    /// Keyed digests of (verifier, secret) pairs that matched; a place is taken over by the next success that falls on it.
    cache: Box<[Mutex<Option<[u8; 32]>>]>,
    key: [u64; 4],
    offload: Option<Box<Offload>>,
    running: Arc<AtomicUsize>,
    limit: usize,
}

impl SlowVerifier {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self {
            cache: (0..CACHED).map(|_| Mutex::new(None)).collect(),
            key: std::array::from_fn(|word| random.hash_one(word)),
            offload: None,
            running: Arc::default(),
            limit: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    pub(crate) fn offload(&mut self, limit: usize, offload: Box<Offload>) {
        self.limit = limit;
        self.offload = Some(offload);
    }

    /// Whether `secret` matches; from memory where it did before.
    pub(crate) async fn verify(&self, phc: &Arc<str>, secret: &str) -> Result<bool, Reason> {
        let digest = self.digest(phc, secret);
        if self.remembers(&digest) {
            return Ok(true);
        }
        let Some(place) = Place::take(&self.running, self.limit) else { return Err(Reason::VerifierBusy) };
        let matches = match &self.offload {
            None => verify(phc, secret),
            Some(offload) => {
                let (phc, secret) = (Arc::clone(phc), Zeroizing::new(secret.to_owned()));
                let (send, receive) = oneshot();
                offload(Box::new(move || {
                    let matches = verify(&phc, &secret);
                    drop(place); // before the answer, so that whoever has the answer finds the place free
                    send.send(matches);
                }));
                receive.await.ok_or(Reason::VerifierLost)?
            }
        };
        if matches {
            self.remember(digest);
        }
        Ok(matches)
    }

    fn digest(&self, phc: &str, secret: &str) -> [u8; 32] {
        // Of fixed length first, so that the two texts cannot be mistaken for others; keyed, so that a digest that leaks
        // without the key says nothing about the secret.
        let keyed = self.key.iter().fold(Sha256::new(), |hash, word| hash.chain_update(word.to_le_bytes()));
        keyed.chain_update(Sha256::digest(phc)).chain_update(secret).finalize().into()
    }

    fn slot(&self, digest: &[u8; 32]) -> Option<&Mutex<Option<[u8; 32]>>> {
        let [first, second, ..] = digest;
        self.cache.get(usize::from(u16::from_le_bytes([*first, *second])) % CACHED)
    }

    fn remembers(&self, digest: &[u8; 32]) -> bool {
        self.slot(digest).is_some_and(|slot| {
            let known = slot.lock().unwrap_or_else(PoisonError::into_inner);
            known.is_some_and(|known| known.ct_eq(digest).into())
        })
    }

    fn remember(&self, digest: [u8; 32]) {
        if let Some(slot) = self.slot(&digest) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
        }
    }
}

impl fmt::Debug for SlowVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlowVerifier(at most {} at once)", self.limit)
    }
}

/// One of the verifications that may run at once; given back on drop.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(running: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let place = Self(Arc::clone(running));
        (running.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A value that comes later, without a runtime; `None` when the sender was dropped.
fn oneshot() -> (Sender, impl Future<Output = Option<bool>> + Send) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    let receiver = Arc::clone(&slot);
    let receive = poll_fn(move |context| {
        let mut slot = receiver.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.done {
            return Poll::Ready(slot.value);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    });
    (Sender(slot), receive)
}

#[derive(Default)]
struct Slot {
    value: Option<bool>,
    done: bool,
    waker: Option<Waker>,
}

struct Sender(Arc<Mutex<Slot>>);

impl Sender {
    fn send(self, value: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.done = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
