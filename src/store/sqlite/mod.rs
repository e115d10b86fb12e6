//! A file of SQLite and the stores in it: the durable ones of one node.

mod clients;
mod threads;
mod tokens;

pub use clients::SqliteClientStore;
pub use tokens::SqliteTokenStore;

use super::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, fs, io, thread};
use threads::{AHEAD, Group, QUEUE, Read, Worker, Write};
use tokens::Walk;

/// Marks a file as ours: `PRAGMA application_id`.
const APPLICATION_ID: i32 = 0x6363_6d32;
/// What makes each version of the schema out of the one before: `PRAGMA user_version` says how many of them a file has seen.
///
/// A record stands in one tree alone, which is in the order of the keys: an index of the ends would be written as much as the records.
const MIGRATIONS: [&str; 2] = [
    "CREATE TABLE records (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;",
    "CREATE TABLE clients (issuer TEXT NOT NULL, client_id TEXT NOT NULL, revision INTEGER NOT NULL, registration TEXT NOT NULL,
     PRIMARY KEY (issuer, client_id)) WITHOUT ROWID;",
];
/// Memory of a connection for pages, at most: `PRAGMA cache_size`, in KiB below zero. The upper levels of ten million records.
const CACHE: i32 = -65_536;
/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a fresh start of the log may hold up the writer, as it does when another process reads for long.
const HALT: Duration = Duration::from_millis(50);
/// How long to wait before trying again to open it.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a file cannot be a store.
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "sqlite")))]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// The file cannot be opened, read or written; the cause is SQLite's or the system's own.
    #[error("{0}")]
    Open(#[source] Box<dyn Error + Send + Sync>),
    /// The file is a database of another program.
    #[error("the file is a database of another program")]
    Foreign,
    /// A later version of this crate has written the file.
    #[error("the file has version {found} of the schema, and this build knows up to {known}")]
    #[expect(missing_docs)]
    Newer { found: i32, known: i32 },
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Open(Box::new(error))
    }
}

impl From<io::Error> for SqliteError {
    fn from(error: io::Error) -> Self {
        Self::Open(Box::new(error))
    }
}

/// An open file and its threads, which the stores share.
struct Database {
    path: PathBuf,
    reader: Worker<Read>,
    writer: Worker<Write>,
}

impl Database {
    /// Opens the file, or makes it: readable by its owner alone, with the schema of this version.
    fn open(path: impl AsRef<Path>) -> Result<Arc<Self>, SqliteError> {
        let path = std::path::absolute(path)?; // so that no name is special, as `:memory:` would be
        create(&path)?;
        let start = Instant::now();
        let [writing, reading, copying] = loop {
            match connections(&path) {
                Err(SqliteError::Open(error)) if is_busy(&*error) && start.elapsed() < PATIENCE => thread::sleep(PAUSE),
                opened => break opened?,
            }
        };
        let walk = Walk::begin(&writing)?;
        let checkpoints = Worker::start("sqlite log", AHEAD, move |turns| threads::checkpoint(&copying, &turns))?;
        let write = move |jobs| threads::write(writing, walk, &checkpoints, &jobs);
        Ok(Arc::new(Self {
            reader: Worker::start("sqlite reader", QUEUE, move |jobs| threads::read(&reading, &jobs))?,
            writer: Worker::start("sqlite writer", QUEUE, write)?,
            path,
        }))
    }

    /// What `job` reads.
    async fn read<A: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<A> + Send + 'static,
    ) -> Result<A, StoreError> {
        self.reader.ask(|answer| threads::reading(job, answer)).await
    }

    /// What `job` comes to, when the commit that it is a part of is on the disk. Who stops waiting does not stop the job.
    async fn write<A: Send + 'static>(
        &self,
        job: impl Fn(&mut Group<'_>) -> rusqlite::Result<A> + Send + 'static,
    ) -> Result<A, StoreError> {
        self.writer.ask(|answer| threads::writing(job, answer)).await
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// Makes the file before SQLite does, which would let others read it.
fn create(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A connection for each thread, to a file of this version.
fn connections(path: &Path) -> Result<[Connection; 3], SqliteError> {
    let mut writing = connect(path)?;
    migrate(&mut writing, &MIGRATIONS)?;
    let mode: String = writing.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?; // stays with the file
    if mode != "wal" {
        return Err(SqliteError::Open(Box::new(NoLog)));
    }
    writing.pragma_update(None, "wal_autocheckpoint", 0)?; // a thread does it
    let copying = connect(path)?;
    copying.busy_timeout(HALT)?;
    Ok([writing, connect(path)?, copying])
}

/// Whether another process holds the file. SQLite does not wait by itself where the way of writing changes.
fn is_busy(error: &(dyn Error + 'static)) -> bool {
    let code = error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// A connection that waits for others, and commits to the disk itself.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    Ok(connection)
}

/// Brings the schema up to this version, each step under the lock of a transaction: of several processes one does it.
fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), SqliteError> {
    let known = i32::try_from(migrations.len()).unwrap_or(i32::MAX);
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&transaction)?;
        let migration = usize::try_from(found).ok().and_then(|found| migrations.get(found));
        let Some(migration) = migration else {
            return if found == known { Ok(()) } else { Err(SqliteError::Newer { found, known }) };
        };
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", found + 1)?;
        transaction.commit()?;
    }
}

/// The version of a file's schema: zero of an empty one.
fn version(transaction: &Transaction<'_>) -> Result<i32, SqliteError> {
    let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version, tables) {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, 1.., _) => Ok(version),
        _ => Err(SqliteError::Foreign),
    }
}

/// SQLite keeps to another way of writing, as it does on a network file system.
#[derive(Debug, thiserror::Error)]
#[error("SQLite cannot keep a write-ahead log beside the file")]
struct NoLog;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // req: ST-015
    fn a_migration_that_ends_early_leaves_the_version_before() {
        let mut file = Connection::open_in_memory().unwrap();
        let two = ["CREATE TABLE one (a)", "CREATE TABLE two (a); INSERT INTO two VALUES (1); CREATE TABLE two (a)"];
        assert!(matches!(migrate(&mut file, &two), Err(SqliteError::Open(_))));
        assert_eq!(version(&file.transaction().unwrap()).unwrap(), 1);
        let tables = |file: &Connection| {
            let mut names = file.prepare("SELECT name FROM sqlite_schema ORDER BY 1").unwrap();
            let names = names.query_map([], |row| row.get(0)).unwrap();
            names.collect::<rusqlite::Result<Vec<String>>>().unwrap()
        };
        assert_eq!(tables(&file), ["one"]);
        migrate(&mut file, &["", "CREATE TABLE two (a)", "CREATE TABLE three (a)"]).unwrap();
        assert_eq!(tables(&file), ["one", "three", "two"]);
        assert!(matches!(migrate(&mut file, &two), Err(SqliteError::Newer { found: 3, known: 2 })));
    }
}
