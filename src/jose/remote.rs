//! Key sets that others publish: fetched, kept for a while, and fetched again when a key is wanted that is not there.
//!
//! The cache knows no HTTP: a closure fetches, and the caller's clock says when.

use super::jwk::{InvalidJwk, JwkSet};
use crate::clock::Timestamp;
use crate::flight::Flight;
use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SECOND: u64 = 1000;
const DAY: u64 = 24 * 60 * 60 * SECOND;
/// How long a set is kept that does not say so.
const USUAL_LIFE: u64 = 10 * 60 * SECOND;
const SHORTEST_LIFE: u64 = 60 * SECOND;
const LONGEST_LIFE: u64 = DAY;
/// Between two attempts while there are keys, and between two for a key that is not among them.
const COOLDOWN: u64 = 30 * SECOND;
/// Between two attempts while there are none.
const PAUSE: u64 = 5 * SECOND;
/// URIs whose keys are kept, at most.
const MAX_URIS: usize = 10_000;

/// What came from a `jwks_uri`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FetchedJwks {
    /// The document.
    pub body: Vec<u8>,
    /// How long the answer says that it may be kept (`Cache-Control: max-age`).
    pub max_age: Option<Duration>,
}

impl FetchedJwks {
    /// A document, and how long it may be kept where its answer says so.
    pub fn new(body: impl Into<Vec<u8>>, max_age: Option<Duration>) -> Self {
        Self { body: body.into(), max_age }
    }
}

/// Why there are no keys from a `jwks_uri`.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The fetch failed, or was refused.
    #[error("the key set could not be fetched")]
    Fetch(#[source] Arc<dyn Error + Send + Sync>),
    /// What came is no key set.
    #[error("what was fetched is no key set")]
    Invalid(#[from] InvalidJwk),
    /// Nothing here fetches key sets.
    #[error("nothing is configured that fetches a jwks_uri")]
    NotConfigured,
}

type Answer = Pin<Box<dyn Future<Output = Result<FetchedJwks, Arc<dyn Error + Send + Sync>>> + Send>>;
type Fetch = dyn Fn(&str) -> Answer + Send + Sync;
type OnFailure = dyn Fn(&str, &JwksError) + Send + Sync;

/// Key sets by their `jwks_uri`: fetched when they are wanted, kept as long as they say.
///
/// * A set is kept for its `max-age`, but for a minute at least and a day at most; for ten minutes where it has none. In the
///   last fifth of that time one caller fetches it anew while the others get the kept one.
/// * At most one fetch of a URI is under way; whoever needs it waits. It belongs to no caller: when the one that waits for
///   it goes away, the next goes on with it.
/// * A key that is not in the set causes one fetch, then none for 30 seconds, whatever came of it. A key that is in the set
///   never waits for that.
/// * When a fetch fails, the last set is served for at most a day past its time ([`with_stale`](Self::with_stale)), and the
///   fetch is tried again every 30 seconds; every five seconds where there is no set. [`on_failure`](Self::on_failure) tells.
/// * A set without keys is a set: that is how its owner withdraws them.
/// * 10 000 URIs are kept; beyond them the one that was not fetched for longest goes.
///
/// RFC 7517 §5, RFC 7591 §2, OpenID Connect Core §10.1.1.
pub struct JwksCache {
    fetch: Box<Fetch>,
    on_failure: Box<OnFailure>,
    /// Milliseconds.
    stale: u64,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
}

/// What is known of one URI.
#[derive(Default)]
struct Entry {
    state: Mutex<State>,
    /// Held by the caller that drives the fetch. A fetch whose caller went away stays here for the next one.
    flight: Flight<Answer>,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// How the last attempt failed; `None` where it did not.
    failure: Option<JwksError>,
    /// When the last attempt began.
    attempt: Option<Timestamp>,
    /// When the last attempt began that was for other keys.
    attempt_for_others: Option<Timestamp>,
    is_under_way: bool,
    /// How many attempts came to an end.
    ended: u64,
}

struct Kept {
    set: JwkSet,
    since: Timestamp,
    /// Milliseconds.
    life: u64,
}

/// What a caller does who wants the keys.
enum Next {
    Take(JwkSet),
    Fail(JwksError),
    /// Fetch them unless somebody does already; these will do meanwhile.
    FetchAhead(JwkSet),
    Fetch,
}

impl JwksCache {
    /// A cache that fetches by `fetch`, which gets the URI.
    ///
    /// The closure decides what may be fetched: clients choose their `jwks_uri`, so it must refuse schemes, hosts and
    /// addresses that are not for them, follow no redirect, and bound its own time and the octets that it reads: a caller that
    /// needs the keys waits for as long as it takes. Feature `jwks-uri` has a ready-made one.
    ///
    /// ```
    /// use client_credentials::{FetchedJwks, JwksCache};
    ///
    /// let cache = JwksCache::new(|uri| {
    ///     let known = uri == "https://client.example.com/jwks";
    ///     async move {
    ///         let body = r#"{"keys":[]}"#;
    ///         if known { Ok(FetchedJwks::new(body, None)) } else { Err(std::io::Error::other("not for us")) }
    ///     }
    /// });
    /// ```
    pub fn new<F, A, E>(fetch: F) -> Self
    where
        F: Fn(&str) -> A + Send + Sync + 'static,
        A: Future<Output = Result<FetchedJwks, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let fetch = move |uri: &str| -> Answer {
            let answer = fetch(uri);
            Box::pin(async move { answer.await.map_err(|error| error.into().into()) })
        };
        Self { fetch: Box::new(fetch), on_failure: Box::new(|_, _| {}), stale: DAY, entries: Mutex::default() }
    }

    /// Serves a set for this much longer than its time where it cannot be fetched: a day at most, which is the default; not
    /// at all with zero.
    #[must_use]
    pub fn with_stale(mut self, longest: Duration) -> Self {
        self.stale = millis(longest).min(DAY);
        self
    }

    /// Calls this, with the URI, whenever a fetch has failed, also where kept keys hide it from the client.
    ///
    /// The URI was registered by a client. Whoever writes it to a log writes no line breaks with it.
    #[must_use]
    pub fn on_failure(mut self, tell: impl Fn(&str, &JwksError) + Send + Sync + 'static) -> Self {
        self.on_failure = Box::new(tell);
        self
    }

    /// The keys behind a `jwks_uri`: kept ones where they are fresh, else fetched ones, else stale ones.
    pub(crate) async fn keys(&self, uri: &str, now: Timestamp) -> Result<JwkSet, JwksError> {
        let entry = self.entry(uri);
        let (next, ended) = {
            let mut state = entry.state();
            (state.next(now, self.stale, false), state.ended)
        };
        let mut flight = match next {
            Next::Take(set) => return Ok(set),
            Next::Fail(error) => return Err(error),
            Next::FetchAhead(set) => match entry.flight.try_lead() {
                Some(flight) => flight,
                None => return Ok(set),
            },
            Next::Fetch => entry.flight.lead().await,
        };
        // Whoever waited for a fetch takes what it brought, however long that took.
        let next = {
            let mut state = entry.state();
            let has_waited = state.ended != ended;
            state.next(now, self.stale, has_waited)
        };
        match next {
            Next::Take(set) => return Ok(set),
            Next::Fail(error) => return Err(error),
            Next::FetchAhead(_) | Next::Fetch => {}
        }
        match self.fly(uri, &entry, &mut flight, now).await {
            Err(error) => entry.state().usable(now, self.stale).map(|kept| kept.set.clone()).ok_or(error),
            fetched => fetched,
        }
    }

    /// Other keys than the `seen` ones, for a signature that none of those has made: fetched again at a bounded rate.
    pub(crate) async fn other_keys(&self, uri: &str, seen: &JwkSet, now: Timestamp) -> Option<JwkSet> {
        let entry = self.entry(uri);
        // The keys may be on their way already, so wait first and ask then whether a fetch is due.
        let mut flight = entry.flight.lead().await;
        {
            let mut state = entry.state();
            if let Some(set) = state.other_than(seen, now, self.stale) {
                return Some(set);
            }
            if !state.begin_for_others(now) {
                return None;
            }
        }
        self.fly(uri, &entry, &mut flight, now).await.ok().filter(|set| set != seen)
    }

    fn entry(&self, uri: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(uri) {
            return Arc::clone(entry);
        }
        if entries.len() >= MAX_URIS {
            // One without an attempt is about to make its first.
            let attempt = |entry: &Entry| entry.state().attempt.map_or(u64::MAX, Timestamp::as_millis);
            let oldest = entries.iter().min_by_key(|(_, entry)| attempt(entry)).map(|(uri, _)| uri.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        Arc::clone(entries.entry(uri.to_owned()).or_default())
    }

    /// Fetches, or goes on with what a caller left behind, and keeps what comes.
    async fn fly(
        &self,
        uri: &str,
        entry: &Entry,
        flight: &mut Option<Answer>,
        now: Timestamp,
    ) -> Result<JwkSet, JwksError> {
        if !entry.state().goes_on(now) {
            *flight = None;
        }
        let answer = flight.get_or_insert_with(|| {
            entry.state().begin(now);
            (self.fetch)(uri)
        });
        let fetched = answer.await;
        *flight = None;
        let fetched = fetched.map_err(JwksError::Fetch).and_then(|fetched| {
            let life = fetched.max_age.map_or(USUAL_LIFE, millis).clamp(SHORTEST_LIFE, LONGEST_LIFE);
            Ok(Kept { set: JwkSet::fetched(&fetched.body)?, since: now, life })
        });
        let set = entry.state().end(fetched);
        if let Err(error) = &set {
            (self.on_failure)(uri, error);
        }
        set
    }
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self, now: Timestamp, stale: u64, has_waited: bool) -> Next {
        self.follow(now);
        let since_attempt = if has_waited { 0 } else { self.since_attempt(now) };
        let Some(kept) = self.usable(now, stale) else {
            return match &self.failure {
                Some(error) if !self.is_under_way && since_attempt < PAUSE => Next::Fail(error.clone()),
                _ => Next::Fetch,
            };
        };
        let age = since(kept.since, now);
        let is_due = age >= kept.life / 5 * 4 && (self.is_under_way || since_attempt >= COOLDOWN);
        // Nobody waits for a fetch that failed a moment ago.
        let is_failing = self.failure.is_some() && since_attempt < 2 * COOLDOWN;
        match is_due {
            false => Next::Take(kept.set.clone()),
            true if age < kept.life || is_failing => Next::FetchAhead(kept.set.clone()),
            true => Next::Fetch,
        }
    }

    fn usable(&self, now: Timestamp, stale: u64) -> Option<&Kept> {
        self.kept.as_ref().filter(|kept| since(kept.since, now) < kept.life.saturating_add(stale))
    }

    fn other_than(&mut self, seen: &JwkSet, now: Timestamp, stale: u64) -> Option<JwkSet> {
        self.follow(now);
        self.usable(now, stale).map(|kept| &kept.set).filter(|set| *set != seen).cloned()
    }

    /// Whether a fetch for other keys may begin, or go on; marks that it does.
    fn begin_for_others(&mut self, now: Timestamp) -> bool {
        if self.goes_on(now) {
            return true;
        }
        let is_failing = self.failure.is_some() && self.since_attempt(now) < COOLDOWN;
        if is_failing || self.attempt_for_others.is_some_and(|at| since(at, now) < COOLDOWN) {
            return false;
        }
        self.attempt_for_others = Some(now);
        true
    }

    fn begin(&mut self, now: Timestamp) {
        self.attempt = Some(now);
        self.is_under_way = true;
    }

    /// Whether the last attempt has not ended, and is not too old to go on with: its connection may be long gone.
    fn goes_on(&self, now: Timestamp) -> bool {
        self.is_under_way && self.since_attempt(now) < COOLDOWN
    }

    fn end(&mut self, fetched: Result<Kept, JwksError>) -> Result<JwkSet, JwksError> {
        self.is_under_way = false;
        self.ended = self.ended.wrapping_add(1);
        match fetched {
            Ok(kept) => {
                self.failure = None;
                Ok(self.kept.insert(kept).set.clone())
            }
            Err(error) => {
                self.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    fn since_attempt(&self, now: Timestamp) -> u64 {
        self.attempt.map_or(u64::MAX, |at| since(at, now))
    }

    /// Follows a clock that was set back, so that nothing lives on for all the time until it is there again. Callers read the
    /// clock at different moments: a minute is nothing.
    fn follow(&mut self, now: Timestamp) {
        let kept = self.kept.as_mut().map(|kept| &mut kept.since);
        for moment in kept.into_iter().chain(&mut self.attempt).chain(&mut self.attempt_for_others) {
            if since(now, *moment) > 60 * SECOND {
                *moment = now;
            }
        }
    }
}

fn since(past: Timestamp, now: Timestamp) -> u64 {
    now.as_millis().saturating_sub(past.as_millis())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwksCache").field("stale", &Duration::from_millis(self.stale)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
