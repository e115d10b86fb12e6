//! Tokens in a file of SQLite: the durable store of one node.

use super::StoreError;
use super::row::{Row, milliseconds};
use crate::clock::Timestamp;
use crate::token::{Inserted, Record, RecordKey, TokenStore};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, fs, io};
use tokio::sync::oneshot;

/// Marks a file as ours: `PRAGMA application_id`.
const APPLICATION_ID: i32 = 0x6363_6d32;
/// The version of the schema: `PRAGMA user_version`.
const SCHEMA: i32 = 1;
/// Calls that wait for a thread, at most; one more is refused.
const QUEUE: usize = 4096;
/// Writes that share one commit, at most.
const GROUP: usize = 256;
/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait before trying again to open it.
const PAUSE: Duration = Duration::from_millis(10);

/// Tokens and one-time values in a file of SQLite: for one node, or for several processes on one machine.
///
/// **What is acknowledged is kept**: an answer comes after the commit is on the disk (`synchronous = FULL`), so it survives the end of the
/// process and of the machine. Writes that arrive while the disk is busy share the next commit, so many at once cost little more than one.
///
/// Expired records leave in small batches with the writes that come after, twice as many as were written; nothing walks through the table.
///
/// A full disk, a file that became read-only, or a lock that another process holds for longer than two seconds is a [`StoreError`]:
/// nothing of the call is kept, and the next call tries anew. The same answer comes at once where 4096 calls wait already.
///
/// Works on a local disk, not on a network file system: SQLite's write-ahead log needs shared memory. Needs no async runtime; two
/// threads of its own do the work. When the store is dropped, what was acknowledged is in the file already; what waits is still written.
///
/// ```
/// use client_credentials::store::SqliteTokenStore;
/// use client_credentials::{AuthorizationServer, Config, store::MemoryClientStore};
///
/// # let folder = std::env::temp_dir().join(format!("client-credentials-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # {
/// let tokens = SqliteTokenStore::open(folder.join("tokens.db"))?;
/// let server = AuthorizationServer::new(Config::new("https://as.example.com"), MemoryClientStore::default(), tokens)?;
/// # }
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "sqlite")))]
pub struct SqliteTokenStore {
    reader: Worker<Read>,
    writer: Worker<Write>,
    path: PathBuf,
}

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

impl SqliteTokenStore {
    /// Opens the file, or makes it: readable by its owner alone, with the schema of this version.
    ///
    /// # Errors
    /// [`SqliteError`] when it cannot be opened, is another program's, or was written by a later version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        let path = std::path::absolute(path)?; // so that no name is special, as `:memory:` would be
        create(&path)?;
        let start = Instant::now();
        let (writing, reading) = loop {
            match connections(&path) {
                Err(SqliteError::Open(error)) if is_busy(&*error) && start.elapsed() < PATIENCE => thread::sleep(PAUSE),
                opened => break opened?,
            }
        };
        Ok(Self {
            writer: Worker::start("sqlite writer", move |jobs| write(writing, &jobs))?,
            reader: Worker::start("sqlite reader", move |jobs| read(&reading, &jobs))?,
            path,
        })
    }
}

impl fmt::Debug for SqliteTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteTokenStore({:?})", self.path)
    }
}

impl TokenStore for SqliteTokenStore {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        if records.is_empty() {
            return Ok(Inserted::All);
        }
        let rows = records.iter().map(Row::of).collect::<Result<_, _>>()?;
        self.writer.ask(|answer| Write::Insert { rows, now, answer }).await
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.reader.ask(|answer| Read { key: *key, answer }).await
    }

    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.writer.ask(|answer| Write::Remove { key: *key, answer }).await
    }
}

// The file.

/// Makes the file before SQLite does, which would let others read it.
fn create(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A connection for the writer and one for the reader, to a file of this version.
fn connections(path: &Path) -> Result<(Connection, Connection), SqliteError> {
    let mut writing = connect(path)?;
    migrate(&mut writing)?;
    Ok((writing, connect(path)?))
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
    Ok(connection)
}

/// Brings the schema up to this version, under the lock of a transaction: of several processes one does it.
fn migrate(connection: &mut Connection) -> Result<(), SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, found, tables) {
        (0, 0, 0) => {
            transaction.execute_batch(
                "CREATE TABLE records (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
                 CREATE INDEX records_by_end ON records (expires_at);",
            )?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA)?;
        }
        (APPLICATION_ID, SCHEMA, _) => {}
        (APPLICATION_ID, found, _) => return Err(SqliteError::Newer { found, known: SCHEMA }),
        _ => return Err(SqliteError::Foreign),
    }
    transaction.commit()?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?; // stays with the file
    if mode == "wal" { Ok(()) } else { Err(SqliteError::Open(Box::new(NoLog))) }
}

/// SQLite keeps to another way of writing, as it does on a network file system.
#[derive(Debug, thiserror::Error)]
#[error("SQLite cannot keep a write-ahead log beside the file")]
struct NoLog;

// The threads.

/// A thread that does one job after the other; it ends when the store is dropped and nothing waits.
struct Worker<J> {
    jobs: Option<SyncSender<J>>,
    thread: Option<JoinHandle<()>>,
}

type Answer<A> = oneshot::Sender<Result<A, StoreError>>;

impl<J: Send + 'static> Worker<J> {
    fn start(name: &str, run: impl FnOnce(Receiver<J>) + Send + 'static) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(QUEUE);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(waiting))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job over, and waits for its answer. Who stops waiting does not stop the job.
    async fn ask<A>(&self, job: impl FnOnce(Answer<A>) -> J) -> Result<A, StoreError> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(|| StoreError::new(Stopped))?;
        jobs.try_send(job(answer)).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::new(Busy),
            TrySendError::Disconnected(_) => StoreError::new(Stopped),
        })?;
        answered.await.map_err(|_| StoreError::new(Stopped))?
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// So many calls wait that one more would only wait as well.
#[derive(Debug, thiserror::Error)]
#[error("{QUEUE} calls wait for the disk")]
struct Busy;

/// A thread of the store has ended, which it never should.
#[derive(Debug, thiserror::Error)]
#[error("the store's thread has ended")]
struct Stopped;

/// What SQLite said, for each of the calls that it said it to.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(#[source] Arc<rusqlite::Error>);

// Reading.

struct Read {
    key: RecordKey,
    answer: Answer<Option<Record>>,
}

fn read(connection: &Connection, jobs: &Receiver<Read>) {
    while let Ok(Read { key, answer }) = jobs.recv() {
        let _ = answer.send(find(connection, key)); // whoever asked may be gone
    }
}

fn find(connection: &Connection, key: RecordKey) -> Result<Option<Record>, StoreError> {
    let row = || {
        let mut select = connection.prepare_cached("SELECT expires_at, value FROM records WHERE key = ?1")?;
        select.query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).optional()
    };
    let Some((expires_at, value)) = row().map_err(StoreError::new)? else { return Ok(None) };
    Row::read(key, expires_at, &value).map(Some)
}

// Writing.

enum Write {
    Insert { rows: Vec<Row>, now: Timestamp, answer: Answer<Inserted> },
    Remove { key: RecordKey, answer: Answer<bool> },
}

fn write(mut connection: Connection, jobs: &Receiver<Write>) {
    while let Ok(first) = jobs.recv() {
        let group: Vec<Write> = std::iter::once(first).chain(jobs.try_iter().take(GROUP - 1)).collect();
        match write_group(&mut connection, &group) {
            Ok(outcomes) => group.into_iter().zip(outcomes).for_each(|(job, outcome)| job.done(outcome)),
            Err(error) => {
                let refused = Refused(Arc::new(error));
                group.into_iter().for_each(|job| job.refuse(refused.clone()));
            }
        }
    }
}

/// What a write came to, before the commit.
enum Outcome {
    Inserted(Inserted),
    Removed(bool),
}

impl Write {
    fn done(self, outcome: Outcome) {
        // Whoever asked may be gone.
        match (self, outcome) {
            (Self::Insert { answer, .. }, Outcome::Inserted(inserted)) => drop(answer.send(Ok(inserted))),
            (Self::Remove { answer, .. }, Outcome::Removed(removed)) => drop(answer.send(Ok(removed))),
            (Self::Insert { .. }, Outcome::Removed(_)) | (Self::Remove { .. }, Outcome::Inserted(_)) => {}
        }
    }

    fn refuse(self, refused: Refused) {
        match self {
            Self::Insert { answer, .. } => drop(answer.send(Err(StoreError::new(refused)))),
            Self::Remove { answer, .. } => drop(answer.send(Err(StoreError::new(refused)))),
        }
    }
}

/// Does all of a group in one transaction, or nothing. `Immediate` takes the lock before anything is looked at, so that what another
/// process writes lies wholly before or wholly after.
fn write_group(connection: &mut Connection, group: &[Write]) -> rusqlite::Result<Vec<Outcome>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (mut written, mut earliest) = (0, Timestamp::from_millis(u64::MAX));
    let mut outcomes = Vec::with_capacity(group.len());
    for job in group {
        outcomes.push(match job {
            Write::Insert { rows, now, .. } => {
                let inserted = insert(&transaction, rows, *now)?;
                if inserted == Inserted::All {
                    (written, earliest) = (written + rows.len(), earliest.min(*now));
                }
                Outcome::Inserted(inserted)
            }
            Write::Remove { key, .. } => {
                let mut delete = transaction.prepare_cached("DELETE FROM records WHERE key = ?1")?;
                Outcome::Removed(delete.execute([key.as_bytes()])? > 0)
            }
        });
    }
    if written > 0 {
        forget(&transaction, earliest, 2 * written)?;
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// Writes all rows, or none. A row that has ended gives way; the first that has not forbids them all.
fn insert(transaction: &Transaction<'_>, rows: &[Row], now: Timestamp) -> rusqlite::Result<Inserted> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO records (key, expires_at, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at, value = excluded.value WHERE records.expires_at <= ?4",
    )?;
    let savepoint = |command| if rows.len() > 1 { transaction.execute_batch(command) } else { Ok(()) };
    savepoint("SAVEPOINT before")?;
    for (at, Row { key, expires_at, value }) in rows.iter().enumerate() {
        let twice = rows.iter().take(at).any(|earlier| earlier.key == *key);
        if twice || upsert.execute((key.as_bytes(), expires_at, value, milliseconds(now)))? == 0 {
            savepoint("ROLLBACK TO before; RELEASE before")?;
            return Ok(Inserted::Exists(*key));
        }
    }
    savepoint("RELEASE before")?;
    Ok(Inserted::All)
}

/// Forgets so many of the rows that have ended: twice as many as came, so that the table shrinks while no step is long.
fn forget(transaction: &Transaction<'_>, now: Timestamp, at_most: usize) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    )?;
    delete.execute((milliseconds(now), i64::try_from(at_most).unwrap_or(i64::MAX))).map(drop)
}
