//! The contract of [`TokenStore`](crate::TokenStore), [`ClientStore`](crate::ClientStore) and
//! [`ClientRegistry`](super::ClientRegistry) as a test suite, for stores of one's own (feature `conformance`).
//!
//! Each promise of the traits' documentation is one check. The stores of this crate run the same ones.
//!
//! ```
//! use client_credentials::store::{MemoryClientStore, MemoryTokenStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::token_store(|| async { MemoryTokenStore::default() }).await;
//! conformance::token_store_on_threads(|| async { MemoryTokenStore::default() });
//! conformance::client_store(|clients| async { MemoryClientStore::from_iter(clients) }).await;
//! conformance::client_registry(|| async { MemoryClientStore::default() }).await;
//! # }
//! ```
//!
//! The suite needs no runtime and brings none: the caller's drives it, as a connection pool wants it. What is to happen at once is
//! polled side by side in the caller's task, so a store is caught between two of its `await`s. A store that never waits
//! has no such place; [`token_store_on_threads`] looks for its races.
//!
//! Nothing is timed. A store that deadlocks shows as a test that does not end.
//!
//! A later minor version may check more of what the traits promise. The suite panics where a promise is broken, as tests do.
//!
//! One use of a value: RFC 7523 §3, RFC 9449 §11.1.

mod clients;
mod operator;
mod races;
mod registry;
mod together;
mod tokens;

pub use clients::client_store;
pub use registry::client_registry;
pub use tokens::{token_store, token_store_on_threads};

use super::StoreError;
use std::fmt::{Debug, Display};

/// A sentence of a trait's documentation; the message names it when a store does otherwise.
#[derive(Clone, Copy)]
struct Promise {
    of: &'static str,
    says: &'static str,
}

impl Promise {
    /// Panics unless the store did what it promises.
    fn same<T: PartialEq + Debug>(self, found: T, expected: T, what: impl Display) {
        let Self { of, says } = self;
        assert!(
            found == expected,
            "broken promise of {of}: {says}\n    what: {what}\nexpected: {expected:?}\n   found: {found:?}"
        );
    }

    /// The answer of a store, which has no reason to fail here.
    #[expect(clippy::panic, reason = "a failed check of a test suite")]
    fn answer<T>(self, answer: Result<T, StoreError>, what: impl Display) -> T {
        let Self { of, says } = self;
        answer
            .unwrap_or_else(|error| panic!("broken promise of {of}: {says}\n    what: {what}\n   found: error {error}"))
    }
}

/// A value of the suite's own making.
#[expect(clippy::expect_used, reason = "written down in this module, and made by each of its tests")]
fn sure<T, E: Debug>(made: Result<T, E>) -> T {
    made.expect("the suite's own data is valid")
}
