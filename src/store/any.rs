//! Stores without a type parameter, for programs that choose one at run time.

use super::StoreError;
use crate::client::{Client, ClientStore};
use crate::clock::Timestamp;
use crate::token::{Inserted, Record, RecordKey, TokenStore};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type Answer<'a, A> = Pin<Box<dyn Future<Output = Result<A, StoreError>> + Send + 'a>>;

/// Any [`ClientStore`], chosen at run time; one allocation a call.
///
/// ```
/// use client_credentials::store::{AnyClientStore, MemoryClientStore};
/// let store = AnyClientStore::new(MemoryClientStore::default());
/// ```
#[derive(Clone)]
pub struct AnyClientStore(Arc<dyn DynClientStore>);

/// Any [`TokenStore`], chosen at run time; one allocation a call.
///
/// ```
/// use client_credentials::store::{AnyTokenStore, MemoryTokenStore};
/// let store = AnyTokenStore::new(MemoryTokenStore::default());
/// ```
#[derive(Clone)]
pub struct AnyTokenStore(Arc<dyn DynTokenStore>);

impl AnyClientStore {
    /// Wraps a store of any kind.
    pub fn new(store: impl ClientStore + 'static) -> Self {
        Self(Arc::new(store))
    }
}

impl AnyTokenStore {
    /// Wraps a store of any kind.
    pub fn new(store: impl TokenStore + 'static) -> Self {
        Self(Arc::new(store))
    }
}

trait DynClientStore: Send + Sync {
    fn client<'a>(&'a self, client_id: &'a str) -> Answer<'a, Option<Arc<Client>>>;
}

trait DynTokenStore: Send + Sync {
    fn insert<'a>(&'a self, records: &'a [Record], now: Timestamp) -> Answer<'a, Inserted>;
    fn get<'a>(&'a self, key: &'a RecordKey) -> Answer<'a, Option<Record>>;
    fn remove<'a>(&'a self, key: &'a RecordKey) -> Answer<'a, bool>;
}

impl<S: ClientStore> DynClientStore for S {
    fn client<'a>(&'a self, client_id: &'a str) -> Answer<'a, Option<Arc<Client>>> {
        Box::pin(ClientStore::client(self, client_id))
    }
}

impl<S: TokenStore> DynTokenStore for S {
    fn insert<'a>(&'a self, records: &'a [Record], now: Timestamp) -> Answer<'a, Inserted> {
        Box::pin(TokenStore::insert(self, records, now))
    }
    fn get<'a>(&'a self, key: &'a RecordKey) -> Answer<'a, Option<Record>> {
        Box::pin(TokenStore::get(self, key))
    }
    fn remove<'a>(&'a self, key: &'a RecordKey) -> Answer<'a, bool> {
        Box::pin(TokenStore::remove(self, key))
    }
}

impl ClientStore for AnyClientStore {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        self.0.client(client_id).await
    }
}

impl TokenStore for AnyTokenStore {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        self.0.insert(records, now).await
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.0.get(key).await
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.0.remove(key).await
    }
}

impl fmt::Debug for AnyClientStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyClientStore(..)")
    }
}

impl fmt::Debug for AnyTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyTokenStore(..)")
    }
}
