//! What a token costs in PostgreSQL, beside the bare insert of the same driver.
//!
//! ```text
//! tests/servers postgres FOLDER
//! CLIENT_CREDENTIALS_POSTGRES=postgres://… cargo bench --all-features --bench postgres
//! ROWS=10000000 CLIENT_CREDENTIALS_POSTGRES=… cargo bench --all-features --bench postgres # how it grows: one million by default
//! ```
//!
//! The bare insert is one prepared statement by `tokio-postgres` on a connection of the same kind of pool. Ours is a whole request: parse,
//! authenticate, mint, store, answer. Both run in turns in one process, so the ratio holds on a noisy machine.
//!
//! It makes the table `client_credentials_bench` and fills the store's own: give it a database that nobody needs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;

use client_credentials::store::{MemoryClientStore, PostgresTokenStore};
use client_credentials::{
    AuthorizationServer, Config, Field, Inserted, Parts, Record, RecordKey, RecordValue, Timestamp, TokenRequest,
    TokenStore, issue_client_credentials_token,
};
use deadpool_postgres::tokio_postgres::NoTls;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use harness::{RATES, Table, is_measured, push_rates, sizes};
use sha2::{Digest, Sha256};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Callers that wait at one time.
const CALLERS: usize = 64;
const ROUNDS: usize = 40;

fn main() {
    let Ok(url) = std::env::var("CLIENT_CREDENTIALS_POSTGRES") else {
        println!("left out: CLIENT_CREDENTIALS_POSTGRES is not set");
        return;
    };
    let (batch, rounds) = if is_measured() { (16 * CALLERS, ROUNDS) } else { (CALLERS, 1) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new(&url).await;
        bench.compare(batch, rounds).await;
        bench.grow().await;
    });
}

type Server = AuthorizationServer<MemoryClientStore, PostgresTokenStore>;

#[derive(Clone)]
struct Bench {
    server: Arc<Server>,
    pool: Pool,
    next: Arc<AtomicU64>,
}

impl Bench {
    async fn new(url: &str) -> Self {
        let manager = Manager::from_config(
            url.parse().unwrap(),
            NoTls,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager).max_size(16).build().unwrap();
        let tokens = PostgresTokenStore::connect(url).await.unwrap();
        let client = r#"{ "client_id": "myClient", "client_secret": "a secret of the operator's", "scope": "read write",
            "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post" }"#;
        let clients = [serde_json::from_str::<client_credentials::Client>(client).unwrap()].into_iter().collect();
        let server = AuthorizationServer::new(Config::new("https://as.example.com"), clients, tokens).unwrap();
        let make = "DROP TABLE IF EXISTS client_credentials_bench; TRUNCATE client_credentials.records;
            CREATE TABLE client_credentials_bench (key bytea PRIMARY KEY, expires_at bigint NOT NULL, value text NOT NULL);
            CREATE INDEX ON client_credentials_bench (expires_at)";
        pool.get().await.unwrap().batch_execute(make).await.unwrap();
        Self { server: Arc::new(server), pool, next: Arc::default() }
    }

    async fn bare(self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let key = Sha256::digest(number.to_be_bytes());
        let connection = self.pool.get().await.unwrap();
        let insert =
            connection.prepare_cached("INSERT INTO client_credentials_bench VALUES ($1, $2, $3)").await.unwrap();
        let value = r#"{"access_token":{"client_id":"myClient","scope":"read write","issued_at":1767225600}}"#;
        let written = connection.execute(&insert, &[&key.as_slice(), &4_102_444_800_000_i64, &value]).await.unwrap();
        assert_eq!(written, 1);
    }

    async fn issue(self) {
        let request = TokenRequest::parse(Parts {
            method: "POST",
            content_type: Field::One(b"application/x-www-form-urlencoded"),
            body: b"grant_type=client_credentials&client_id=myClient&client_secret=a+secret+of+the+operator%27s&scope=read+write",
            ..Parts::default()
        });
        let response = issue_client_credentials_token(&*self.server, &request.unwrap()).await.unwrap();
        assert!(response.body().len() > 100);
    }

    /// Issues and bare inserts in turns, alone and many at once: the median of each, and of the rates' ratio in one turn.
    async fn compare(&self, batch: usize, rounds: usize) {
        let mut table = Table::new("postgres", &self.version().await, RATES);
        for (name, count, callers) in [("one caller", batch / 20, 1), ("64 callers", batch, CALLERS)] {
            let (mut bare, mut ours) = (Vec::new(), Vec::new());
            // The first turn connects and prepares.
            for turn in 0..=rounds {
                let (once_bare, once_ours);
                // Who comes second finds the disk as the first has left it.
                if turn % 2 == 0 {
                    once_bare = self.timed(count, callers, Self::bare).await;
                    once_ours = self.timed(count, callers, Self::issue).await;
                } else {
                    once_ours = self.timed(count, callers, Self::issue).await;
                    once_bare = self.timed(count, callers, Self::bare).await;
                }
                if turn > 0 {
                    bare.push(once_bare);
                    ours.push(once_ours);
                }
            }
            let names = [format!("{name}: bare insert"), format!("{name}: issue")];
            push_rates(&mut table, &[(&names[0], bare), (&names[1], ours)]);
        }
    }

    /// Microseconds of each, after some that are not timed: so that what the others had in the processor's caches is gone.
    async fn timed<F: Future<Output = ()> + Send + 'static>(
        &self,
        count: usize,
        callers: usize,
        one: impl Fn(Self) -> F,
    ) -> f64 {
        at_once(count / 2, callers, || one(self.clone())).await;
        micros(at_once(count, callers, || one(self.clone())).await)
    }

    /// Inserts and look-ups while the table grows; then what has ended leaves beside inserts.
    async fn grow(&self) {
        let store = self.server.tokens().clone();
        self.sql("TRUNCATE client_credentials.records").await;
        let mut table = Table::new("postgres_growth", &self.version().await, "rows insert_us get_us octets");
        let (mut filled, sizes) = (0, sizes(10_000, 1000));
        let count = (sizes[sizes.len() - 1] / 10).clamp(100, 20_000) as usize;
        for step in sizes {
            let fill = format!(
                "INSERT INTO client_credentials.records
                 SELECT sha256(int8send(n)), {ENDED} + n, '{{\"access_token\":{{\"client_id\":\"myClient\",\"scope\":\"read write\",\"issued_at\":1767225600}}}}'
                 FROM generate_series({filled}::bigint, {step}::bigint - 1) n"
            );
            self.sql(&fill).await;
            self.sql("VACUUM ANALYZE client_credentials.records").await;
            filled = step;
            // Away from the rows that the next step fills in.
            let number = AtomicU64::new(step << 20);
            let insert =
                at_once(count, CALLERS, || insert(store.clone(), number.fetch_add(1, Ordering::Relaxed), LIVES)).await;
            let number = AtomicU64::new(0);
            let get = at_once(count, CALLERS, || {
                let key = key(number.fetch_add(1, Ordering::Relaxed) * 7919 % step);
                let store = store.clone();
                async move { assert!(store.get(&key).await.unwrap().is_some()) }
            });
            let get = get.await;
            let connection = self.pool.get().await.unwrap();
            let size = "SELECT pg_total_relation_size('client_credentials.records')";
            let octets: i64 = connection.query_one(size, &[]).await.unwrap().get(0);
            let [insert, get] = [insert, get].map(|time| format!("{:.1}", micros(time)));
            table.row([step.to_string(), insert, get, (octets as u64 / step).to_string()]);
        }
        // All but the new ones have ended: they leave beside 64 callers that insert.
        let (over, started) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let sweep = tokio::spawn({
            let (store, over) = (store.clone(), Arc::clone(&over));
            async move {
                let forgotten = store.remove_expired(Timestamp::from_millis(ENDED + (1 << 40))).await.unwrap();
                over.store(true, Ordering::SeqCst);
                (forgotten, started.elapsed())
            }
        });
        let number = Arc::new(AtomicU64::new(1 << 50));
        let callers = (0..CALLERS).map(|_| {
            let (store, over, number) = (store.clone(), Arc::clone(&over), Arc::clone(&number));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    let start = Instant::now();
                    insert(store.clone(), number.fetch_add(1, Ordering::Relaxed), LIVES << 1).await;
                    times.push(start.elapsed());
                }
                times
            })
        });
        let mut times = Vec::new();
        for caller in callers.collect::<Vec<_>>() {
            times.extend(caller.await.unwrap());
        }
        times.sort_unstable();
        let (forgotten, took) = sweep.await.unwrap();
        let millis = |share: usize| {
            let time = times.get(times.len().saturating_sub(1) * share / 1000);
            format!("{:.1}", micros(time.copied().unwrap_or_default()) / 1e3)
        };
        let columns = "ended seconds inserts median_ms p999_ms longest_ms";
        let mut table = Table::new("postgres_expiry", &self.version().await, columns);
        let took = format!("{:.1}", took.as_secs_f64());
        table.row([forgotten.to_string(), took, times.len().to_string(), millis(500), millis(999), millis(1000)]);
    }

    async fn version(&self) -> String {
        let told = "SELECT current_setting('server_version'), current_setting('shared_buffers')";
        let row = self.pool.get().await.unwrap().query_one(told, &[]).await.unwrap();
        let (version, buffers): (String, String) = (row.get(0), row.get(1));
        format!("PostgreSQL {}, shared_buffers {buffers}", version.split(' ').next().unwrap())
    }

    async fn sql(&self, text: &str) {
        self.pool.get().await.unwrap().batch_execute(text).await.unwrap();
    }
}

/// Milliseconds since 1970: when the rows that fill the table end, and the new ones.
const ENDED: u64 = 1_767_229_200_000;
const LIVES: u64 = 4_102_444_800_000;

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn key(number: u64) -> RecordKey {
    RecordKey::from_bytes(Sha256::digest(number.to_be_bytes()).into())
}

async fn insert(store: PostgresTokenStore, number: u64, until: u64) {
    let scope = client_credentials::Scope::parse("read write").unwrap();
    let token =
        client_credentials::TokenRecord::new("myClient".parse().unwrap(), scope, Timestamp::from_secs(1_767_225_600));
    let record = Record::new(key(number), Timestamp::from_millis(until), RecordValue::AccessToken(token));
    assert_eq!(store.insert(&[record], Timestamp::from_secs(1_767_225_600)).await.unwrap(), Inserted::All);
}

/// Runs so many of them by so many callers; the time of each.
async fn at_once<F: Future<Output = ()> + Send + 'static>(
    count: usize,
    callers: usize,
    mut make: impl FnMut() -> F,
) -> Duration {
    let start = Instant::now();
    let share = count.div_ceil(callers);
    let shares: Vec<Vec<F>> = (0..callers).map(|_| (0..share).map(|_| make()).collect()).collect();
    let running = shares.into_iter().map(|share| {
        tokio::spawn(async move {
            for one in share {
                one.await;
            }
        })
    });
    for caller in running.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    start.elapsed() / (share * callers) as u32
}
