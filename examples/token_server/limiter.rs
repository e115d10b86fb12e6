//! A limit on failed authentications: of a client from one source, and of a source; off unless configured.
//!
//! Counts failures alone. A client meets it only where somebody at its own address has guessed too often: a stranger
//! elsewhere cannot shut it out. Built on the server's events; the crate itself locks nobody out.

use client_credentials::{ErrorCode, Event, Outcome, Reason};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counted keys, at most; beyond it no new one is counted until a window is over.
const MAX_KEYS: usize = 100_000;

/// The table `rate_limit`.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Failures of one client_id from one source in a window.
    #[serde(default = "ten")]
    failures_per_client: NonZeroU32,
    /// Failures from one source in a window; a source is an IPv4 address or the first half of an IPv6 one.
    #[serde(default = "hundred")]
    failures_per_source: NonZeroU32,
    /// Seconds.
    #[serde(default = "minute")]
    window: NonZeroU32,
}

const fn positive(number: u32) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(number.saturating_sub(1))
}

fn ten() -> NonZeroU32 {
    positive(10)
}

fn hundred() -> NonZeroU32 {
    positive(100)
}

fn minute() -> NonZeroU32 {
    positive(60)
}

impl Limits {
    fn window(&self) -> Duration {
        Duration::from_secs(self.window.get().into())
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Client(String, IpAddr, String),
    Source(String, IpAddr),
}

/// Counts failures by key, in fixed windows.
#[derive(Default)]
pub(crate) struct Limiter {
    limits: BTreeMap<String, Limits>,
    windows: Mutex<HashMap<Key, (Instant, u32)>>,
}

impl Limiter {
    pub(crate) fn new(limits: BTreeMap<String, Limits>) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.limits.is_empty()
    }

    /// Counts an event if it is a failed authentication.
    pub(crate) fn count(&self, event: &Event<'_>) {
        let Outcome::Refused(error) = &event.outcome else { return };
        // A header that only a raw-registered client could have meant is a guess, too.
        let guess = matches!(error.reason(), Reason::MalformedAuthorization(_)) && event.client_id.is_some();
        let failure = guess || error.code() == ErrorCode::InvalidClient;
        let Some(limits) = self.limits.get(event.issuer).filter(|_| failure) else { return };
        let issuer = event.issuer.to_owned();
        // No client has a longer id, so there is nothing to protect and nothing to remember.
        let claimed = event.client_id.filter(|claimed| claimed.as_raw().len() <= 255);
        let Some(peer) = event.peer.map(source_of) else { return };
        let client = claimed.map(|claimed| Key::Client(issuer.clone(), peer, claimed.as_raw().to_owned()));
        let source = Key::Source(issuer, peer);
        let (now, window) = (Instant::now(), limits.window());
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= MAX_KEYS {
            windows.retain(|_, (start, _)| now.duration_since(*start) < window);
        }
        for key in client.into_iter().chain([source]) {
            if windows.len() < MAX_KEYS || windows.contains_key(&key) {
                let (start, failures) = windows.entry(key).or_insert((now, 0));
                if now.duration_since(*start) >= window {
                    (*start, *failures) = (now, 0);
                }
                *failures = failures.saturating_add(1);
            }
        }
    }

    /// Seconds to wait, where the client or the source has failed too often.
    pub(crate) fn wait(&self, issuer: &str, client_id: Option<&str>, peer: IpAddr) -> Option<u64> {
        let limits = self.limits.get(issuer)?;
        let (window, peer) = (limits.window(), source_of(peer));
        let client =
            client_id.map(|id| (Key::Client(issuer.to_owned(), peer, id.to_owned()), limits.failures_per_client.get()));
        let source = (Key::Source(issuer.to_owned(), peer), limits.failures_per_source.get());
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        client
            .into_iter()
            .chain([source])
            .filter_map(|(key, limit)| {
                let (start, failures) = windows.get(&key)?;
                let left = window.checked_sub(start.elapsed()).filter(|_| *failures >= limit)?;
                Some(left.as_secs() + 1)
            })
            .max()
    }
}

/// What is counted as one source: whoever has an IPv6 address has the lower half of it to choose from.
fn source_of(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}
