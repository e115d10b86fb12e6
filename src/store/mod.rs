//! Stores: what they share, and the ones that come with the crate.
//!
//! ```
//! use client_credentials::StoreError;
//! use std::{io, time::Duration};
//!
//! let error = StoreError::new(io::Error::other("no route to host")).with_retry_after(Duration::from_secs(5));
//! assert_eq!(error.retry_after(), Duration::from_secs(5));
//! assert_eq!(error.to_string(), "no route to host");
//! ```

mod any;
mod cache;
#[cfg(feature = "conformance")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod registration;
mod registry;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod row;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod runtime;
#[cfg(feature = "jwt")]
mod sealing;
#[cfg(feature = "sqlite")]
mod sqlite;
mod verifiers;

#[cfg(feature = "redis")]
pub use self::redis::{RedisError, RedisTokenStore};
pub use any::{AnyClientStore, AnyTokenStore};
pub use cache::CachedClientStore;
pub use memory::{Capacity, MemoryClientStore, MemoryTokenStore};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresClientStore, PostgresError, PostgresTokenStore, Watching};
pub use registration::Registrations;
pub use registry::{Added, ClientRegistry, Registered, RegistryError};
#[cfg(feature = "jwt")]
pub use sealing::{InvalidSealingKeys, SealingKeys};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteClientStore, SqliteError, SqliteTokenStore};
pub use verifiers::{InvalidVerifiers, read_verifiers};

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A store could not do what it was asked; the server answers 503 with `Retry-After` and sends no token.
///
/// `Display` and `source` are those of the store's own error, for the operator alone.
pub struct StoreError {
    cause: Box<dyn Error + Send + Sync>,
    retry_after: Duration,
}

impl StoreError {
    /// The store's own error; a retry is advised after one second.
    pub fn new(cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Box::new(cause), retry_after: Duration::from_secs(1) }
    }

    /// The same with other advice for `Retry-After`; whole seconds count, one at least.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    /// When a retry makes sense.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreError({:?})", self.cause)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}
