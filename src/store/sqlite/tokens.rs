//! Tokens and one-time values in the file.

use super::threads::Group;
use super::{Database, SqliteClientStore, SqliteError};
use crate::clock::Timestamp;
use crate::store::row::{Row, milliseconds};
use crate::store::{Registrations, StoreError};
use crate::token::{Inserted, Record, RecordKey, TokenStore};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::path::Path;
use std::sync::Arc;

/// Tokens and one-time values in a file of SQLite: for one node, or for several processes on one machine.
///
/// **What is acknowledged is kept**: an answer comes after the commit is on the disk (`synchronous = FULL`), so it survives the end of the
/// process and of the machine. Writes that arrive while the disk is busy share the next commit, so many at once cost little more than one.
///
/// Expired records leave in small batches: each write passes four others, and forgets those that have ended. So about an eighth of the
/// file is past, and no step is long.
///
/// A full disk, a file that became read-only, or a lock that another process holds for longer than two seconds is a [`StoreError`]:
/// nothing of the call is kept, and the next call tries anew. The same answer comes at once where 4096 calls wait already.
///
/// Works on a local disk, not on a network file system: SQLite's write-ahead log needs shared memory. Needs no async runtime;
/// three threads of its own do the work. Cloning shares them. When the last store on them is dropped, what was acknowledged is in the file
/// already; what waits is still written.
///
/// ```
/// use client_credentials::store::SqliteTokenStore;
/// use client_credentials::{AuthorizationServer, Config};
///
/// # let folder = std::env::temp_dir().join(format!("client-credentials-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # {
/// let tokens = SqliteTokenStore::open(folder.join("tokens.db"))?;
/// let clients = tokens.clients("https://as.example.com"); // in the same file
/// let server = AuthorizationServer::new(Config::new("https://as.example.com"), clients, tokens)?;
/// # }
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "sqlite")))]
#[derive(Clone, Debug)]
pub struct SqliteTokenStore(Arc<Database>);

impl SqliteTokenStore {
    /// Opens the file, or makes it: readable by its owner alone, with the schema of this version.
    ///
    /// # Errors
    /// [`SqliteError`] when it cannot be opened, is another program's, or was written by a later version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        Database::open(path).map(Self)
    }

    /// Forgets every record that has ended at `now`, a thousand looked at in a commit, and says how many those were.
    ///
    /// Nobody has to call it: writes do so by themselves, bit by bit. It is for a file that nothing is written to any more.
    ///
    /// # Errors
    /// [`StoreError`] when a commit fails; what went before it is gone.
    pub async fn remove_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        let (mut walk, mut forgotten) = (Walk { passed: Vec::new() }, 0);
        loop {
            let step = move |group: &mut Group<'_>| {
                let mut walk = walk.clone();
                let forgotten = walk.pass(&group.transaction, STEP, now)?;
                Ok((walk, forgotten))
            };
            let passed;
            (walk, passed) = self.0.write(step).await?;
            forgotten += passed;
            if walk.passed.is_empty() {
                return Ok(forgotten);
            }
        }
    }

    /// The clients of one issuer in the same file, by the same threads.
    pub fn clients(&self, registrations: impl Into<Registrations>) -> SqliteClientStore {
        SqliteClientStore::on(Arc::clone(&self.0), registrations.into())
    }
}

impl TokenStore for SqliteTokenStore {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        if records.is_empty() {
            return Ok(Inserted::All);
        }
        let rows: Vec<Row> = records.iter().map(Row::of).collect::<Result<_, _>>()?;
        self.0.write(move |group| insert(group, &rows, now)).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let key = *key;
        let Some((expires_at, value)) = self.0.read(move |connection| find(connection, key)).await? else {
            return Ok(None);
        };
        Row::read(key, expires_at, &value).map(Some)
    }

    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        let key = *key;
        self.0.write(move |group| remove(&group.transaction, key)).await
    }
}

fn find(connection: &Connection, key: RecordKey) -> rusqlite::Result<Option<(i64, String)>> {
    let mut select = connection.prepare_cached("SELECT expires_at, value FROM records WHERE key = ?1")?;
    select.query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Writes all rows, or none. A row that has ended gives way; the first that has not forbids them all.
fn insert(group: &mut Group<'_>, rows: &[Row], now: Timestamp) -> rusqlite::Result<Inserted> {
    let mut upsert = group.transaction.prepare_cached(
        "INSERT INTO records (key, expires_at, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at, value = excluded.value WHERE records.expires_at <= ?4",
    )?;
    let stands = group.all_or_none(rows, |at, Row { key, expires_at, value }| {
        let twice = rows.iter().take(at).any(|earlier| earlier.key == *key);
        Ok(!twice && upsert.execute((key.as_bytes(), expires_at, value, milliseconds(now)))? > 0)
    })?;
    drop(upsert);
    if let Some(row) = stands {
        return Ok(Inserted::Exists(row.key));
    }
    group.came(rows.len(), now);
    Ok(Inserted::All)
}

fn remove(transaction: &Transaction<'_>, key: RecordKey) -> rusqlite::Result<bool> {
    let mut delete = transaction.prepare_cached("DELETE FROM records WHERE key = ?1")?;
    Ok(delete.execute([key.as_bytes()])? > 0)
}

/// Records that are looked at in one commit, where all are.
const STEP: usize = 1000;

/// A walk through the records, round and round: what it passes that has ended is forgotten.
///
/// It goes in the order of the keys, which are digests: as many have ended here as anywhere, and neighbours go by one write. In the
/// order of their ends each would be a write of its own.
#[derive(Clone)]
pub(super) struct Walk {
    passed: Vec<u8>,
}

impl Walk {
    /// Begins anywhere, so that no part of the file is left out by processes that end early.
    pub(super) fn begin(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { passed: connection.query_row("SELECT randomblob(32)", [], |row| row.get(0))? })
    }

    /// Passes so many records, or all that are left of this round, and says how many it has forgotten.
    pub(super) fn pass(
        &mut self,
        transaction: &Transaction<'_>,
        records: usize,
        now: Timestamp,
    ) -> rusqlite::Result<usize> {
        let mut select =
            transaction.prepare_cached("SELECT key FROM records WHERE key > ?1 ORDER BY key LIMIT 1 OFFSET ?2")?;
        let ahead = i64::try_from(records.saturating_sub(1)).unwrap_or(i64::MAX);
        let until: Option<Vec<u8>> = select.query_row((&self.passed, ahead), |row| row.get(0)).optional()?;
        let mut delete =
            transaction.prepare_cached("DELETE FROM records WHERE key > ?1 AND key <= ?2 AND expires_at <= ?3")?;
        let beyond: &[u8] = &[u8::MAX; size_of::<RecordKey>() + 1];
        let forgotten = delete.execute((&self.passed, until.as_deref().unwrap_or(beyond), milliseconds(now)))?;
        self.passed = until.unwrap_or_default();
        Ok(forgotten)
    }
}
