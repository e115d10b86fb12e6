//! What a token costs in a file of SQLite, beside the bare insert of the same driver.
//!
//! ```text
//! cargo bench --bench sqlite --features sqlite
//! ROWS=10000000 cargo bench --bench sqlite --features sqlite   # how it grows: up to one million rows by default
//! ```
//!
//! The bare insert is one statement by `rusqlite` in a file with the same settings, on the thread that asks: alone with a commit each,
//! and as many in one commit as callers wait. All run in turns in one process, so the ratio holds on a noisy machine. The files of the
//! growth table are filled by plain `rusqlite` and measured in turns as well.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;

use client_credentials::store::SqliteTokenStore;
use client_credentials::{
    ClientId, Inserted, Record, RecordKey, RecordValue, Scope, Timestamp, TokenRecord, TokenStore,
};
use harness::{RATES, Spread, Table, is_measured, push_rates, sizes};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Callers that wait at one time.
const CALLERS: usize = 64;
const ROUNDS: usize = 15;

fn main() {
    let folder = std::env::temp_dir().join(format!("client-credentials-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (batch, rounds) = if is_measured() { (20 * CALLERS, ROUNDS) } else { (CALLERS, 1) };
    runtime.block_on(compare(&folder, batch, rounds));
    runtime.block_on(grow(&folder, 2 * rounds));
    std::fs::remove_dir_all(folder).unwrap();
}

fn version() -> String {
    format!("SQLite {}", rusqlite::version())
}

/// Inserts of ours and bare ones, alone and many at once.
async fn compare(folder: &Path, batch: usize, rounds: usize) {
    let store = SqliteTokenStore::open(folder.join("ours.db")).unwrap();
    let mut bare = Bare::open(&folder.join("bare.db"));
    let mut times: [Vec<f64>; 4] = Default::default();
    let mut next = 0;
    for _ in 0..rounds {
        let mut records = |count| {
            next += count;
            (next - count..next).map(record).collect::<Vec<Record>>()
        };
        let (few, many) = (batch / 10, batch);
        times[0].push(micros(bare.insert(records(few as u64), 1)) / few as f64);
        let alone = records(few as u64);
        let start = Instant::now();
        for record in alone {
            insert(&store, record).await;
        }
        times[1].push(micros(start.elapsed()) / few as f64);
        times[2].push(micros(bare.insert(records(many as u64), CALLERS)) / many as f64);
        times[3].push(micros(at_once(&store, records(many as u64)).await) / many as f64);
    }
    let [bare_alone, alone, bare_many, many] = times;
    let mut table = Table::new("sqlite", &version(), RATES);
    push_rates(&mut table, &[("a commit each: bare insert", bare_alone), ("a commit each: SqliteTokenStore", alone)]);
    push_rates(
        &mut table,
        &[("64 callers share commits: bare insert", bare_many), ("64 callers share commits: SqliteTokenStore", many)],
    );
}

/// Inserts by 64 callers at once, alone and while for each that comes one goes that has ended, and look-ups, in files of so many rows.
async fn grow(folder: &Path, rounds: usize) {
    let mut files: Vec<Grown> = sizes(10_000, 1000).into_iter().map(|rows| Grown::fill(folder, rows)).collect();
    for _ in 0..rounds {
        for file in &mut files {
            file.insert().await;
            file.get().await;
        }
    }
    for _ in 0..rounds {
        for file in &mut files {
            file.expire().await;
        }
    }
    let columns = "rows insert_us insert_ratio get_us get_ratio expiry_us expiry_ratio longest_ms octets";
    let mut table = Table::new("sqlite_growth", &version(), columns);
    let mut first: Option<[f64; 3]> = None;
    for file in &files {
        let times = [&file.inserts, &file.gets, &file.beside_expiry];
        let times = times.map(|times| Spread::of(times.iter().copied()).median);
        let first = *first.get_or_insert(times);
        let each =
            times.iter().zip(first).flat_map(|(own, first)| [format!("{own:.1}"), format!("{:.2}", own / first)]);
        let longest = format!("{:.1}", file.slowest.as_secs_f64() * 1e3);
        let octets = (file.octets / file.rows).to_string();
        table.row([file.rows.to_string()].into_iter().chain(each).chain([longest, octets]));
    }
}

/// A file of so many rows, and what calls took.
struct Grown {
    store: SqliteTokenStore,
    rows: u64,
    octets: u64,
    next: u64,
    /// Microseconds a call.
    inserts: Vec<f64>,
    gets: Vec<f64>,
    beside_expiry: Vec<f64>,
    slowest: Duration,
}

impl Grown {
    /// Calls a round.
    const CALLS: u64 = 20 * CALLERS as u64;

    fn fill(folder: &Path, rows: u64) -> Self {
        let path = folder.join(format!("{rows}.db"));
        drop(SqliteTokenStore::open(&path).unwrap());
        let mut file = Connection::open(&path).unwrap();
        file.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; PRAGMA wal_autocheckpoint = 100000",
        )
        .unwrap();
        // Part by part and each in the order of the keys, which is quicker and leaves the pages as full as any other.
        for part in (0..rows).step_by(500_000) {
            let mut part: Vec<Row> = (part..rows.min(part + 500_000)).map(|number| row(&aged(number))).collect();
            part.sort_unstable_by_key(|(key, ..)| *key);
            insert_rows(&mut file, &part);
        }
        file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(file);
        std::fs::File::open(&path).unwrap().sync_all().unwrap();
        Self {
            store: SqliteTokenStore::open(&path).unwrap(),
            rows,
            octets: std::fs::metadata(&path).unwrap().len(),
            next: rows,
            inserts: Vec::new(),
            gets: Vec::new(),
            beside_expiry: Vec::new(),
            slowest: Duration::ZERO,
        }
    }

    fn new_records(&mut self) -> Vec<Record> {
        self.next += Self::CALLS;
        (self.next - Self::CALLS..self.next).map(record).collect()
    }

    /// New ones, which leave again.
    async fn insert(&mut self) {
        let records = self.new_records();
        let keys: Vec<RecordKey> = records.iter().map(|record| record.key).collect();
        self.inserts.push(micros(at_once(&self.store, records).await) / Self::CALLS as f64);
        join(keys.iter().map(|key| async { assert!(self.store.remove(key).await.unwrap()) }).collect()).await;
    }

    async fn get(&mut self) {
        let start = Instant::now();
        let count = Self::CALLS.min(self.rows);
        for number in 0..count {
            let key = record((number * (self.rows / count) + self.next) % self.rows).key;
            assert!(self.store.get(&key).await.unwrap().is_some());
        }
        self.gets.push(micros(start.elapsed()) / count as f64);
    }

    /// A quarter is past now, and what comes will be in the next round.
    async fn expire(&mut self) {
        let records = self.new_records();
        let now = Timestamp::from_secs(2_000_000_000 + self.next);
        let (start, slowest) = (Instant::now(), Mutex::new(Duration::ZERO));
        let (store, latest) = (&self.store, &slowest);
        let callers = records.chunks(records.len() / CALLERS).map(|share| async move {
            for record in share {
                let end = Timestamp::from_secs(now.as_secs() + 1);
                let record = Record::new(record.key, end, record.value.clone());
                let start = Instant::now();
                assert_eq!(store.insert(&[record], now).await.unwrap(), Inserted::All);
                let mut slowest = latest.lock().unwrap();
                *slowest = start.elapsed().max(*slowest);
            }
        });
        join(callers.collect()).await;
        self.beside_expiry.push(micros(start.elapsed()) / Self::CALLS as f64);
        self.slowest = self.slowest.max(slowest.into_inner().unwrap());
    }
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

/// The same in a file that is in use for long: one of four ends soon, the others never.
fn aged(number: u64) -> Record {
    let mut record = record(number);
    if !number.is_multiple_of(4) {
        record.expires_at = Timestamp::from_secs(9_000_000_000);
    }
    record
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
                 CREATE TABLE records (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;",
            )
            .unwrap();
        Self(connection)
    }

    /// Inserts them, so many in one commit.
    fn insert(&mut self, records: Vec<Record>, in_one: usize) -> Duration {
        let rows: Vec<_> = records.iter().map(row).collect();
        let start = Instant::now();
        for group in rows.chunks(in_one) {
            insert_rows(&mut self.0, group);
        }
        start.elapsed()
    }
}

type Row = (RecordKey, i64, String);

fn row(record: &Record) -> Row {
    (record.key, record.expires_at.as_millis() as i64, serde_json::to_string(&record.value).unwrap())
}

fn insert_rows(connection: &mut Connection, rows: &[Row]) {
    let transaction = connection.transaction().unwrap();
    {
        let mut insert = transaction.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3)").unwrap();
        for (key, expires_at, value) in rows {
            insert.execute((key.as_bytes(), expires_at, value)).unwrap();
        }
    }
    transaction.commit().unwrap();
}
