//! What the tests of every durable store share: a node on it, and a race for one record.

use super::*;
use client_credentials::{Inserted, Record, RecordKey, RecordValue};
use serde_json::json;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;

pub const ISSUER: &str = "https://as.example.com";
pub const ASK: &str = "grant_type=client_credentials&client_id=c&client_secret=a+secret&scope=read";

/// A server as one node, or one process, has it.
pub fn node<T: TokenStore>(issuer: &str, clock: &TestClock, tokens: T) -> AuthorizationServer<MemoryClientStore, T> {
    let registered = client(json!({
        "client_id": "c", "client_secret": "a secret", "scope": "read", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post",
    }));
    let clients = [registered].into_iter().collect();
    let server = AuthorizationServer::new(config(json!({ "issuer": issuer })), clients, tokens);
    server.unwrap().with_clock(clock.clone())
}

/// A question about a token by the client that has it.
pub fn about(token: &str) -> Sent {
    Sent::form(format!("token={token}&client_id=c&client_secret=a+secret"))
}

pub fn one_time(first: u8, second: u64, until: u64) -> Record {
    let mut key = [first; 32];
    key[24..].copy_from_slice(&second.to_be_bytes());
    Record::new(RecordKey::from_bytes(key), Timestamp::from_secs(until), RecordValue::OneTime)
}

/// Inserts one record by so many threads at once, on two nodes and beside records of their own: one of them writes, and the others leave
/// nothing.
pub fn one_insert_wins(
    stores: &[impl TokenStore; 2],
    callers: u64,
    shared: &Record,
    own: impl Fn(u64) -> Record + Sync,
) {
    let (all_start, wins) = (Barrier::new(callers as usize), AtomicUsize::new(0));
    let now = Timestamp::from_secs(NOW);
    thread::scope(|scope| {
        for number in 0..callers {
            let (all_start, wins, own) = (&all_start, &wins, &own);
            scope.spawn(move || {
                let own = own(number);
                let records = match number % 3 {
                    0 => vec![shared.clone()],
                    1 => vec![own.clone(), shared.clone()],
                    _ => vec![shared.clone(), own.clone()],
                };
                let store = &stores[(number % 2) as usize];
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                all_start.wait();
                let inserted = runtime.block_on(store.insert(&records, now)).unwrap();
                let found = runtime.block_on(store.get(&own.key)).unwrap();
                if inserted == Inserted::All {
                    wins.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(found, records.contains(&own).then_some(own));
                } else {
                    assert_eq!((inserted, found), (Inserted::Exists(shared.key), None));
                }
            });
        }
    });
    assert_eq!(wins.into_inner(), 1);
}
