//! What a token costs in a file of SQLite, beside the bare insert of the same driver.
//!
//! ```text
//! cargo bench --bench sqlite --features sqlite
//! ROWS=10000000 cargo bench --bench sqlite --features sqlite   # how it grows: one million rows by default
//! ```
//!
//! The bare insert is one statement by `rusqlite` in a file with the same settings, on the thread that asks: alone with a commit each,
//! and as many in one commit as callers wait. All run in turns in one process, so the ratio holds on a noisy machine.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

use client_credentials::store::SqliteTokenStore;
use client_credentials::{
    ClientId, Inserted, Record, RecordKey, RecordValue, Scope, Timestamp, TokenRecord, TokenStore,
};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Callers that wait at one time.
const CALLERS: usize = 64;
const ROUNDS: usize = 15;

fn main() {
    let folder = std::env::temp_dir().join(format!("client-credentials-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    // `cargo bench` passes `--bench`; without it (as a test) a short round shows that everything still runs.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (batch, rows) = if is_test { (CALLERS, 1000) } else { (20 * CALLERS, rows()) };
    runtime.block_on(compare(&folder, batch, if is_test { 1 } else { ROUNDS }));
    runtime.block_on(grow(&folder, rows));
    std::fs::remove_dir_all(folder).unwrap();
}

fn rows() -> u64 {
    std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000)
}

/// Inserts of ours and bare ones, alone and many at once.
async fn compare(folder: &Path, batch: usize, rounds: usize) {
    let store = SqliteTokenStore::open(folder.join("ours.db")).unwrap();
    let mut bare = Bare::open(&folder.join("bare.db"));
    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut next = 0;
    for _ in 0..rounds {
        let mut records = |count| {
            next += count;
            (next - count..next).map(record).collect::<Vec<Record>>()
        };
        let (few, many) = (batch / 10, batch);
        times[0].push(bare.insert(records(few as u64), 1) / few as u32);
        let alone = records(few as u64);
        let start = Instant::now();
        for record in alone {
            insert(&store, record).await;
        }
        times[1].push(start.elapsed() / few as u32);
        times[2].push(bare.insert(records(many as u64), CALLERS) / many as u32);
        times[3].push(at_once(&store, records(many as u64)).await / many as u32);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let [bare_alone, alone, bare_many, many] = &mut times;
    println!("{:<44} {:>12} {:>8}", "", "median µs", "× bare");
    for (name, bare, ours) in [("a commit each", bare_alone, alone), ("64 callers share commits", bare_many, many)] {
        let (bare, ours) = (median(bare), median(ours));
        println!("{:<44} {:>12.1} {:>8.2}", format!("{name}: bare insert"), micros(bare), 1.0);
        println!(
            "{:<44} {:>12.1} {:>8.2}",
            format!("{name}: SqliteTokenStore"),
            micros(ours),
            micros(ours) / micros(bare)
        );
    }
}

/// Inserts by 64 callers at once, and look-ups, while the file grows to so many rows; the slowest insert beside expiry.
async fn grow(folder: &Path, rows: u64) {
    let path = folder.join("grown.db");
    let store = SqliteTokenStore::open(&path).unwrap();
    println!("\n{:<16} {:>12} {:>12} {:>12}", "rows", "insert µs", "get µs", "octets each");
    let (mut next, mut steps) = (0, vec![rows]);
    while steps.last().is_some_and(|last| last / 10 >= 10_000) {
        steps.push(steps[steps.len() - 1] / 10);
    }
    for step in steps.into_iter().rev() {
        const AT_ONCE: u64 = 10_000;
        while next + AT_ONCE < step {
            let until = next + AT_ONCE;
            at_once(&store, (next..until).map(record).collect()).await;
            next = until;
        }
        let count = step - next;
        let inserted = at_once(&store, (next..step).map(record).collect()).await;
        next = step;
        let start = Instant::now();
        let gets = count.min(2000);
        for number in 0..gets {
            assert!(store.get(&record(number * (step / gets.max(1))).key).await.unwrap().is_some());
        }
        let get = start.elapsed() / gets.max(1) as u32;
        let octets = std::fs::metadata(&path).unwrap().len() / step;
        println!("{step:<16} {:>12.1} {:>12.1} {octets:>12}", micros(inserted) / count as f64, micros(get));
    }
    // All are past now: two of them leave with each that comes.
    let mut slowest = Duration::ZERO;
    for number in next..next + (rows / 100).min(10_000) {
        let mut record = record(number);
        record.expires_at = Timestamp::from_secs(3_000_000_000);
        let start = Instant::now();
        assert_eq!(store.insert(&[record], Timestamp::from_secs(2_500_000_000)).await.unwrap(), Inserted::All);
        slowest = slowest.max(start.elapsed());
    }
    println!("the slowest insert while expired rows leave: {:.1} ms", slowest.as_secs_f64() * 1000.0);
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn record(number: u64) -> Record {
    let client_id: ClientId = "myClient".parse().unwrap();
    let (issued_at, expires_at) = (Timestamp::from_secs(1_767_225_600), Timestamp::from_secs(1_767_229_200));
    let token = TokenRecord::new(client_id, Scope::parse("read write").unwrap(), issued_at);
    let key = RecordKey::from_bytes(Sha256::digest(number.to_be_bytes()).into());
    Record::new(key, expires_at, RecordValue::AccessToken(token))
}

async fn insert(store: &SqliteTokenStore, record: Record) {
    let now = Timestamp::from_secs(1_767_225_600);
    assert_eq!(store.insert(&[record], now).await.unwrap(), Inserted::All);
}

/// The same by 64 callers.
async fn at_once(store: &SqliteTokenStore, records: Vec<Record>) -> Duration {
    let start = Instant::now();
    let share = records.len().div_ceil(CALLERS);
    let mut records = records.into_iter();
    let shares: Vec<Vec<Record>> = (0..CALLERS).map(|_| records.by_ref().take(share).collect()).collect();
    let callers = shares.into_iter().map(|share| async move {
        for record in share {
            insert(store, record).await;
        }
    });
    join(callers.collect()).await;
    start.elapsed()
}

/// Waits for all of them, in one task.
async fn join<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut waiting: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// A table like the store's, and nothing around it.
struct Bare(Connection);

impl Bare {
    fn open(path: &PathBuf) -> Self {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE records (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
                 CREATE INDEX records_by_end ON records (expires_at);",
            )
            .unwrap();
        Self(connection)
    }

    /// Inserts them, so many in one commit.
    fn insert(&mut self, records: Vec<Record>, in_one: usize) -> Duration {
        let rows: Vec<(RecordKey, u64, String)> = records
            .iter()
            .map(|record| (record.key, record.expires_at.as_millis(), serde_json::to_string(&record.value).unwrap()))
            .collect();
        let start = Instant::now();
        for group in rows.chunks(in_one) {
            let transaction = self.0.transaction().unwrap();
            {
                let mut insert = transaction.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3)").unwrap();
                for (key, expires_at, value) in group {
                    insert.execute((key.as_bytes(), *expires_at as i64, value)).unwrap();
                }
            }
            transaction.commit().unwrap();
        }
        start.elapsed()
    }
}
