//! Tokens and one-time values: one statement for each call.

use super::{Database, PostgresClientStore, PostgresError};
use crate::clock::Timestamp;
use crate::store::row::{GRACE, Row, milliseconds};
use crate::store::{Registrations, StoreError};
use crate::token::{Inserted, Record, RecordKey, RecordValue, TokenStore};
use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::error::SqlState;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Rows written between two sweeps of what has ended, by one node.
const BETWEEN_SWEEPS: usize = 1024;
/// Rows that one statement of a sweep forgets, at most.
const BATCH: i64 = 1024;
/// How long a statement of a sweep may take.
const PATIENCE_WITH_SWEEP: Duration = Duration::from_secs(10);

/// Tokens and one-time values in PostgreSQL: for any number of nodes.
///
/// **What is acknowledged is kept** as PostgreSQL keeps a commit: with its default `synchronous_commit = on` the answer comes after the
/// commit is on the disk. Every call is one statement and one round trip, and every node sees it at once; of two nodes that insert one
/// key at the same time one succeeds.
///
/// Expired records leave a minute after their end, a thousand at a time, by a task that each node runs now and then beside its
/// inserts. It waits for nobody, nobody waits for it, and it rests as long as it works.
///
/// The pool has at most 16 connections. A call waits four seconds for one and for its answer, then it is a [`StoreError`], as is
/// whatever the server refuses: a full disk, a database that only reads. The next call tries anew, on a new connection where the old one
/// is lost or leads to a server that no longer writes. A URL may name several hosts with `target_session_attrs=read-write`.
///
/// Made inside a Tokio runtime with timers and sockets, which has to run as long as the store is used; its methods can be called from any
/// thread and any executor.
///
/// ```no_run
/// use client_credentials::store::{MemoryClientStore, PostgresTokenStore};
/// use client_credentials::{AuthorizationServer, Config};
///
/// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = PostgresTokenStore::connect("postgres://tokens:a+password@db.example.com/tokens").await?;
/// let server = AuthorizationServer::new(Config::new("https://as.example.com"), MemoryClientStore::default(), tokens)?;
/// # Ok(())
/// # }
/// ```
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "postgres")))]
#[derive(Clone)]
pub struct PostgresTokenStore {
    database: Database,
    sweeps: Arc<Sweeps>,
}

/// When the next sweep is due, and whether one is running.
#[derive(Default)]
struct Sweeps {
    written: AtomicUsize,
    running: AtomicBool,
}

impl PostgresTokenStore {
    /// Connects without TLS, and brings the schema up to this version.
    ///
    /// # Errors
    /// [`PostgresError`] when the URL is none, the database cannot be reached, or a later version of this crate has changed its schema.
    pub async fn connect(url: &str) -> Result<Self, PostgresError> {
        Database::connect(url).await.map(Self::on)
    }

    /// The same with a pool of one's own, for TLS and other bounds. Give it time-outs: its defaults wait for ever.
    ///
    /// # Errors
    /// [`PostgresError`] as for [`connect`](Self::connect).
    pub async fn new(pool: Pool) -> Result<Self, PostgresError> {
        Database::new(pool).await.map(Self::on)
    }

    /// The clients of one issuer in the same database, by the same pool.
    pub fn clients(&self, registrations: impl Into<Registrations>) -> PostgresClientStore {
        PostgresClientStore::on(self.database.clone(), registrations.into())
    }

    /// Forgets all that has ended a minute before `now`, in small batches, and says how much that was.
    ///
    /// Nobody has to call it: nodes that insert do so by themselves.
    ///
    /// # Errors
    /// [`StoreError`] when a batch fails; those before it are gone.
    pub async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        const FORGET: &str = "DELETE FROM client_credentials.records WHERE key = ANY (ARRAY(
            SELECT key FROM client_credentials.records WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
        let until = milliseconds(now).saturating_sub(GRACE);
        let mut forgotten = 0;
        loop {
            let start = Instant::now();
            let batch = self.database.ask_for(PATIENCE_WITH_SWEEP, async |connection| {
                let forget = connection.prepare_cached(FORGET).await?;
                connection.execute(&forget, &[&until, &BATCH]).await
            });
            let batch = batch.await?;
            forgotten += batch;
            if batch < BATCH.unsigned_abs() {
                return Ok(forgotten);
            }
            // As long a rest as the batch took: the disk is there for others half of the time.
            self.database.runtime.inside(async { tokio::time::sleep(start.elapsed()).await }).await;
        }
    }

    fn on(database: Database) -> Self {
        Self { database, sweeps: Arc::default() }
    }

    /// Starts a sweep where one is due and none runs.
    fn count(&self, rows: usize, now: Timestamp) {
        let before = self.sweeps.written.fetch_add(rows, Ordering::Relaxed);
        let is_due = before / BETWEEN_SWEEPS != before.wrapping_add(rows) / BETWEEN_SWEEPS;
        if is_due && !self.sweeps.running.swap(true, Ordering::Acquire) {
            let store = self.clone();
            self.database.runtime.spawn(async move {
                let _ = store.remove_expired(now).await; // the next one tries again
                store.sweeps.running.store(false, Ordering::Release);
            });
        }
    }
}

impl TokenStore for PostgresTokenStore {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        // The key of a token is new as good as always, and looking first is a tenth of the whole.
        const NEW: &str = "INSERT INTO client_credentials.records (key, expires_at, value) VALUES ($1, $2, $3)";
        const ONE: &str = "INSERT INTO client_credentials.records AS own (key, expires_at, value) VALUES ($1, $2, $3)
            ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at, value = excluded.value WHERE own.expires_at <= $4";
        const SEVERAL: &str = "SELECT client_credentials.insert_records($1, $2, $3, $4)";
        let at = milliseconds(now);
        let inserted = match records {
            [] => Inserted::All,
            [record] => {
                let is_token = matches!(record.value, RecordValue::AccessToken(_));
                let Row { key, expires_at, value } = Row::of(record)?;
                let written = self.database.ask(async |connection| {
                    let octets = key.as_bytes().as_slice();
                    if is_token {
                        let insert = connection.prepare_cached(NEW).await?;
                        match connection.execute(&insert, &[&octets, &expires_at, &value]).await {
                            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
                            written => return written,
                        }
                    }
                    let insert = connection.prepare_cached(ONE).await?;
                    connection.execute(&insert, &[&octets, &expires_at, &value, &at]).await
                });
                if written.await? > 0 { Inserted::All } else { Inserted::Exists(key) }
            }
            records => {
                let rows = records.iter().map(Row::of).collect::<Result<Vec<_>, _>>()?;
                let keys: Vec<&[u8]> = rows.iter().map(|row| row.key.as_bytes().as_slice()).collect();
                let ends: Vec<i64> = rows.iter().map(|row| row.expires_at).collect();
                let values: Vec<&str> = rows.iter().map(|row| row.value.as_str()).collect();
                let taken: Option<i64> = self
                    .database
                    .ask(async |connection| {
                        let insert = connection.prepare_cached(SEVERAL).await?;
                        connection.query_one(&insert, &[&keys, &ends, &values, &at]).await?.try_get(0)
                    })
                    .await?;
                let place = taken.map(|place| usize::try_from(place).unwrap_or_default().saturating_sub(1));
                match place.and_then(|place| rows.get(place)) {
                    Some(row) => Inserted::Exists(row.key),
                    None => Inserted::All,
                }
            }
        };
        if inserted == Inserted::All {
            self.count(records.len(), now);
        }
        Ok(inserted)
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        const GET: &str = "SELECT expires_at, value FROM client_credentials.records WHERE key = $1";
        let row = self.database.ask(async |connection| {
            let get = connection.prepare_cached(GET).await?;
            let row = connection.query_opt(&get, &[&key.as_bytes().as_slice()]).await?;
            row.map(|row| Ok((row.try_get(0)?, row.try_get::<_, String>(1)?))).transpose()
        });
        row.await?.map(|(expires_at, value)| Row::read(*key, expires_at, &value)).transpose()
    }

    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        const REMOVE: &str = "DELETE FROM client_credentials.records WHERE key = $1";
        let removed = self.database.ask(async |connection| {
            let remove = connection.prepare_cached(REMOVE).await?;
            connection.execute(&remove, &[&key.as_bytes().as_slice()]).await
        });
        Ok(removed.await? > 0)
    }
}

impl fmt::Debug for PostgresTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresTokenStore(..)")
    }
}
