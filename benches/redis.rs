//! What a token costs in Redis, beside the bare insert of the same driver.
//!
//! ```text
//! CLIENT_CREDENTIALS_REDIS=redis://127.0.0.1:6379 cargo bench --bench redis --features redis
//! ROWS=10000000 … cargo bench --bench redis --features redis   # how it grows: one million records by default
//! ```
//!
//! The bare insert is `SET … NX PX` of the same value over a connection of the same kind. All run in turns in one process, so the ratio
//! holds on a noisy machine. The server should hold nothing else; what the bench writes expires within the hour.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;

use client_credentials::store::{MemoryClientStore, RedisTokenStore};
use client_credentials::{
    AuthorizationServer, Client, ClientId, Clock, Config, Field, Inserted, Parts, Record, RecordKey, RecordValue,
    Scope, SystemClock, Timestamp, TokenRecord, TokenRequest, TokenStore, issue_client_credentials_token,
};
use harness::{RATES, Spread, Table, is_measured, push_rates, sizes};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{IntoConnectionInfo, cmd, pipe};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Callers that wait at one time.
const CALLERS: u64 = 64;
const ROUNDS: usize = 21;
/// Commands of one pipeline that fills the server.
const FILL: u64 = 10_000;

fn main() {
    let Ok(url) = std::env::var("CLIENT_CREDENTIALS_REDIS") else {
        println!("CLIENT_CREDENTIALS_REDIS names no server: nothing is measured");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (batch, rounds) = if is_measured() { (20_000, ROUNDS) } else { (640, 1) };
    runtime.block_on(async {
        let bench = Arc::new(Bench::new(&url).await);
        bench.compare(batch, rounds).await;
        bench.grow().await;
    });
}

struct Bench {
    server: AuthorizationServer<MemoryClientStore, Arc<RedisTokenStore>>,
    store: Arc<RedisTokenStore>,
    bare: ConnectionManager,
    now: Timestamp,
    /// Of this run, for its keys.
    run: u128,
}

#[derive(Clone, Copy)]
enum Way {
    Bare,
    Store,
    Issue,
    /// Of every so manieth record.
    Get(u64),
}

impl Bench {
    async fn new(url: &str) -> Self {
        let store = Arc::new(RedisTokenStore::connect(url).await.unwrap());
        let client: Client = serde_json::from_value(json!({
            "client_id": "myClient", "client_secret": "mySecret", "scope": "read write",
            "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post",
        }))
        .unwrap();
        let clients = [client].into_iter().collect::<MemoryClientStore>();
        let server =
            AuthorizationServer::new(Config::new("https://as.example.com"), clients, Arc::clone(&store)).unwrap();
        let address = url.into_connection_info().unwrap();
        let address = address.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let config = ConnectionManagerConfig::new()
            .set_pipeline_buffer_size(4096)
            .set_response_timeout(Some(Duration::from_secs(2)));
        let client = redis::Client::open(address).unwrap();
        let bare = ConnectionManager::new_with_config(client, config).await.unwrap();
        let run = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        Self { server, store, bare, now: SystemClock.now(), run }
    }

    fn record(&self, number: u64) -> Record {
        let client_id: ClientId = "myClient".parse().unwrap();
        let issued_at = Timestamp::from_secs(self.now.as_secs());
        let token = TokenRecord::new(client_id, Scope::parse("read write").unwrap(), issued_at);
        let digest = Sha256::new().chain_update(self.run.to_be_bytes()).chain_update(number.to_be_bytes()).finalize();
        let end = Timestamp::from_secs(self.now.as_secs() + 3600);
        Record::new(RecordKey::from_bytes(digest.into()), end, RecordValue::AccessToken(token))
    }

    /// As the store writes it.
    fn set(&self, record: &Record) -> redis::Cmd {
        let value = serde_json::to_string(&record.value).unwrap();
        let mut set = cmd("SET");
        set.arg(format!("ccgrant:{}", record.key)).arg(format!("{} {value}", record.expires_at.as_millis()));
        set.arg("NX").arg("PX").arg(record.expires_at.as_millis() - self.now.as_millis());
        set
    }

    async fn once(&self, way: Way, number: u64) {
        match way {
            Way::Bare => {
                let set = self.set(&self.record(number));
                assert!(set.query_async::<Option<()>>(&mut self.bare.clone()).await.unwrap().is_some());
            }
            Way::Store => {
                assert_eq!(self.store.insert(&[self.record(number)], self.now).await.unwrap(), Inserted::All);
            }
            Way::Get(every) => {
                assert!(self.store.get(&self.record(number * every).key).await.unwrap().is_some());
            }
            Way::Issue => {
                const BODY: &[u8] =
                    b"grant_type=client_credentials&client_id=myClient&client_secret=mySecret&scope=read+write";
                let parts = Parts {
                    method: "POST",
                    content_type: Field::One(b"application/x-www-form-urlencoded"),
                    body: BODY,
                    ..Parts::default()
                };
                let request = TokenRequest::parse(parts).unwrap();
                issue_client_credentials_token(&self.server, &request).await.unwrap();
            }
        }
    }

    /// So many calls, by so many callers; the time of one.
    async fn time(self: &Arc<Self>, way: Way, first: u64, count: u64, callers: u64) -> f64 {
        let start = Instant::now();
        let tasks = (0..callers).map(|caller| {
            let bench = Arc::clone(self);
            tokio::spawn(async move {
                for number in (first + caller..first + count).step_by(callers as usize) {
                    bench.once(way, number).await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        start.elapsed().as_secs_f64() * 1e6 / count as f64
    }

    async fn compare(self: &Arc<Self>, batch: u64, rounds: usize) {
        let mut next = 1 << 40;
        let mut table = Table::new("redis", &self.version().await, RATES);
        for (name, callers, count) in [("alone", 1, batch / 10), ("64 callers", CALLERS, batch)] {
            let ways = [("SET NX PX", Way::Bare), ("RedisTokenStore", Way::Store), ("issue", Way::Issue)];
            let mut times = [const { Vec::new() }; 3];
            // The first turn is to get warm.
            for turn in 0..=rounds {
                for ((_, way), times) in ways.iter().zip(&mut times) {
                    let time = self.time(*way, next, count, callers).await;
                    next += count;
                    if turn > 0 {
                        times.push(time);
                    }
                }
            }
            let names = ways.map(|(way, _)| format!("{name}: {way}"));
            push_rates(&mut table, &names.iter().map(String::as_str).zip(times).collect::<Vec<_>>());
        }
    }

    /// Inserts and look-ups while Redis fills to so many records, and what one of them takes.
    async fn grow(self: &Arc<Self>) {
        let mut table = Table::new("redis_growth", &self.version().await, "records insert_us get_us octets");
        let (mut next, empty) = (0, self.memory().await);
        for step in sizes(10_000, 20_000) {
            while next + FILL < step {
                let mut fill = pipe();
                for number in next..next + FILL {
                    fill.add_command(self.set(&self.record(number))).ignore();
                }
                fill.exec_async(&mut self.bare.clone()).await.unwrap();
                next += FILL;
            }
            let mut inserts = Vec::new();
            let count = (step - next).min(FILL) / 5;
            for _ in 0..5 {
                inserts.push(self.time(Way::Store, next, count, CALLERS).await);
                next += count;
            }
            let mut gets = Vec::new();
            for _ in 0..5 {
                gets.push(self.time(Way::Get(step / 1000), 0, 1000, 1).await);
            }
            let [insert, get] = [inserts, gets].map(|times| format!("{:.1}", Spread::of(times).median));
            table.row([step.to_string(), insert, get, ((self.memory().await - empty) / step).to_string()]);
        }
    }

    async fn memory(&self) -> u64 {
        self.told("memory", "used_memory:").await.parse().unwrap()
    }

    async fn version(&self) -> String {
        format!("Redis {}", self.told("server", "redis_version:").await)
    }

    async fn told(&self, section: &str, name: &str) -> String {
        let told: String = cmd("INFO").arg(section).query_async(&mut self.bare.clone()).await.unwrap();
        told.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    }
}
