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

use client_credentials::store::{MemoryClientStore, RedisTokenStore};
use client_credentials::{
    AuthorizationServer, Client, ClientId, Clock, Config, Field, Inserted, Parts, Record, RecordKey, RecordValue,
    Scope, SystemClock, Timestamp, TokenRecord, TokenRequest, TokenStore, issue_client_credentials_token,
};
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
    // `cargo bench` passes `--bench`; without it (as a test) a short round shows that everything still runs.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let rows = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    runtime.block_on(async {
        let bench = Arc::new(Bench::new(&url).await);
        bench.compare(if measured { 20_000 } else { 640 }, if measured { ROUNDS } else { 1 }).await;
        bench.grow(if measured { rows } else { 20_000 }).await;
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
        println!("{:<40} {:>10} {:>8} {:>15}", "", "median µs", "× rate", "(spread)");
        for (name, callers, count) in [("alone", 1, batch / 10), ("64 callers", CALLERS, batch)] {
            let ways = [("SET NX PX", Way::Bare), ("RedisTokenStore", Way::Store), ("issue", Way::Issue)];
            let mut times = [const { Vec::new() }; 3];
            for _ in 0..rounds + 1 {
                for ((_, way), times) in ways.iter().zip(&mut times) {
                    times.push(self.time(*way, next, count, callers).await);
                    next += count;
                }
            }
            for ((way, _), own) in ways.iter().zip(&times) {
                let (own, bare) = (&own[1..], &times[0][1..]); // the first is to get warm
                let ratios = sorted(bare.iter().zip(own).map(|(bare, own)| bare / own));
                let spread = format!("{:.2} – {:.2}", ratios[ratios.len() / 10], ratios[ratios.len() * 9 / 10]);
                let time = sorted(own.iter().copied())[own.len() / 2];
                println!(
                    "{:<40} {time:>10.1} {:>8.2} {spread:>15}",
                    format!("{name}: {way}"),
                    ratios[ratios.len() / 2]
                );
            }
        }
    }

    /// Inserts and look-ups while Redis fills to so many records, and what one of them takes.
    async fn grow(self: &Arc<Self>, rows: u64) {
        println!("\n{:<16} {:>12} {:>12} {:>12}", "records", "insert µs", "get µs", "octets each");
        let (mut next, mut steps) = (0, vec![rows]);
        while steps[steps.len() - 1] / 10 >= 10_000 {
            steps.push(steps[steps.len() - 1] / 10);
        }
        let empty = self.memory().await;
        for step in steps.into_iter().rev() {
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
            let [insert, get] = [inserts, gets].map(|times| sorted(times.into_iter())[2]);
            println!("{step:<16} {insert:>12.1} {get:>12.1} {:>12}", (self.memory().await - empty) / step);
        }
    }

    async fn memory(&self) -> u64 {
        let told: String = cmd("INFO").arg("memory").query_async(&mut self.bare.clone()).await.unwrap();
        told.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values = values.collect::<Vec<_>>();
    values.sort_by(f64::total_cmp);
    values
}
