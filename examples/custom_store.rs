//! A token store of one's own, written from the documentation of `TokenStore`: a `BTreeMap` behind a lock.
//!
//! ```text
//! cargo run --example custom_store
//! ```

use client_credentials::store::MemoryClientStore;
use client_credentials::{
    AuthorizationServer, Client, Config, Field, Inserted, Parts, Record, RecordKey, Scope, StoreError, Timestamp,
    TokenRequest, TokenStore, issue_client_credentials_token,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(crate) struct BTreeStore(Mutex<BTreeMap<RecordKey, Record>>);

impl BTreeStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RecordKey, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for BTreeStore {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        let mut map = self.lock();
        map.retain(|_, record| record.expires_at > now); // an expired record does not stand in the way
        // All or none: look at every key, then write.
        for (at, record) in records.iter().enumerate() {
            let twice = records.iter().take(at).any(|earlier| earlier.key == record.key);
            if twice || map.contains_key(&record.key) {
                return Ok(Inserted::Exists(record.key));
            }
        }
        map.extend(records.iter().map(|record| (record.key, record.clone())));
        Ok(Inserted::All)
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.lock().get(key).cloned())
    }

    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        Ok(self.lock().remove(key).is_some())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut client, secret) = Client::generate()?;
    client.scope = Some(Scope::parse("write")?);
    client.token_endpoint_auth_method = vec!["client_secret_post".into()];
    let (client_id, secret) = (client.client_id.clone(), secret.expose());
    let body = format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}&scope=write");

    let clients: MemoryClientStore = [client].into_iter().collect();
    let server = AuthorizationServer::new(Config::new("https://as.example.com"), clients, BTreeStore::default())?;
    let request = TokenRequest::parse(Parts {
        method: "POST",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        body: body.as_bytes(),
        ..Parts::default()
    })?;
    issue_client_credentials_token(&server, &request).await?;

    for record in server.tokens().lock().values() {
        println!("{}", serde_json::to_string_pretty(record)?); // what a database would keep: no token in it
    }
    Ok(())
}
