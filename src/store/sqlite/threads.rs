//! The threads of a file, and the writes that share a commit.

use super::StoreError;
use super::tokens::Walk;
use crate::clock::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::{io, iter};
use tokio::sync::oneshot;

/// Calls that wait for a thread, at most; one more is refused.
pub(super) const QUEUE: usize = 4096;
/// Writes that share one commit, at most.
const GROUP: usize = 256;
/// Rows that are written between two turns of copying the log into the file.
const CHANGES: u64 = 1000;
/// Turns that the writer may be ahead of the copying.
pub(super) const AHEAD: usize = 4;
/// Pages of the log, after which it is to begin anew: while it grows, each commit costs more.
const LOG: i64 = 4000;
/// Pages of the log that are copied while the writer waits, but for a log that is [`LONG`].
const REST: i64 = 512;
/// How often a turn tries to leave no more than that.
const PASSES: usize = 4;
/// Pages of the log, after which it begins anew whatever that takes.
const LONG: i64 = 16 * LOG;
/// Records that are looked at for ended ones, for each that comes.
const PASSED: usize = 4;

/// A thread that does one job after the other; it ends when the stores are dropped and nothing waits.
pub(super) struct Worker<J> {
    jobs: Option<SyncSender<J>>,
    thread: Option<JoinHandle<()>>,
}

pub(super) type Answer<A> = oneshot::Sender<Result<A, StoreError>>;

impl<J: Send + 'static> Worker<J> {
    pub(super) fn start(name: &str, queue: usize, run: impl FnOnce(Receiver<J>) + Send + 'static) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(queue);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(waiting))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job over, and waits for its answer. Who stops waiting does not stop the job.
    pub(super) async fn ask<A>(&self, job: impl FnOnce(Answer<A>) -> J) -> Result<A, StoreError> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(|| StoreError::new(Stopped))?;
        jobs.try_send(job(answer)).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::new(Busy),
            TrySendError::Disconnected(_) => StoreError::new(Stopped),
        })?;
        answered.await.map_err(|_| StoreError::new(Stopped))?
    }

    /// Hands over a job that has no answer, and waits until there is room for it.
    fn hand_over(&self, job: J) {
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
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
pub(super) struct Refused(#[source] Arc<rusqlite::Error>);

// Reading.

/// A look at the file, which answers for itself.
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

pub(super) fn reading<A: Send + 'static>(
    job: impl FnOnce(&Connection) -> rusqlite::Result<A> + Send + 'static,
    answer: Answer<A>,
) -> Read {
    // Whoever asked may be gone.
    Box::new(move |connection| drop(answer.send(job(connection).map_err(StoreError::new))))
}

pub(super) fn read(connection: &Connection, jobs: &Receiver<Read>) {
    for job in jobs {
        job(connection);
    }
}

// Writing.

/// A part of a transaction, which answers when that has ended.
pub(super) type Write = Box<dyn Part>;

pub(super) trait Part: Send {
    /// Does it.
    fn run(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()>;
    /// Answers what it came to, or that nothing was kept.
    fn end(self: Box<Self>, kept: Result<(), Refused>);
}

struct Job<F, A> {
    run: F,
    outcome: Result<A, StoreError>,
    answer: Answer<A>,
}

pub(super) fn writing<A: Send + 'static>(
    run: impl Fn(&mut Group<'_>) -> rusqlite::Result<A> + Send + 'static,
    answer: Answer<A>,
) -> Write {
    Box::new(Job { run, outcome: Err(StoreError::new(Stopped)), answer })
}

impl<F: Fn(&mut Group<'_>) -> rusqlite::Result<A> + Send, A: Send> Part for Job<F, A> {
    fn run(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        self.outcome = Ok((self.run)(group)?);
        Ok(())
    }

    fn end(self: Box<Self>, kept: Result<(), Refused>) {
        let _ = self.answer.send(kept.map_err(StoreError::new).and(self.outcome)); // whoever asked may be gone
    }
}

/// The transaction of several writes, and the records that came with it.
pub(super) struct Group<'c> {
    pub(super) transaction: Transaction<'c>,
    walk: &'c mut Walk,
    came: usize,
    earliest: Timestamp,
}

impl<'c> Group<'c> {
    /// `Immediate` takes the lock before anything is looked at, so that what another process writes lies wholly before or wholly after.
    fn begin(connection: &'c mut Connection, walk: &'c mut Walk) -> rusqlite::Result<Self> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Self { transaction, walk, came: 0, earliest: Timestamp::from_millis(u64::MAX) })
    }

    /// Writes all rows, or none: then the first is given that `write` found something in the way of.
    pub(super) fn all_or_none<'r, R>(
        &self,
        rows: &'r [R],
        mut write: impl FnMut(usize, &R) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<Option<&'r R>> {
        let savepoint = |command| if rows.len() > 1 { self.transaction.execute_batch(command) } else { Ok(()) };
        savepoint("SAVEPOINT before")?;
        for (at, row) in rows.iter().enumerate() {
            if !write(at, row)? {
                savepoint("ROLLBACK TO before; RELEASE before")?;
                return Ok(Some(row));
            }
        }
        savepoint("RELEASE before")?;
        Ok(None)
    }

    /// So many records came, at this moment.
    pub(super) fn came(&mut self, records: usize, now: Timestamp) {
        (self.came, self.earliest) = (self.came + records, self.earliest.min(now));
    }

    fn commit(self) -> rusqlite::Result<()> {
        if self.came > 0 {
            self.walk.pass(&self.transaction, PASSED * self.came, self.earliest)?;
        }
        self.transaction.commit()
    }
}

pub(super) fn write(mut connection: Connection, mut walk: Walk, checkpoints: &Worker<()>, jobs: &Receiver<Write>) {
    let mut copied = connection.total_changes();
    for first in jobs {
        let mut parts: Vec<Write> = iter::once(first).chain(jobs.try_iter().take(GROUP - 1)).collect();
        let kept = Group::begin(&mut connection, &mut walk).and_then(|mut group| {
            parts.iter_mut().try_for_each(|part| part.run(&mut group))?;
            group.commit()
        });
        let kept = kept.map_err(|error| Refused(Arc::new(error)));
        parts.into_iter().for_each(|part| part.end(kept.clone()));
        if connection.total_changes() - copied >= CHANGES {
            copied = connection.total_changes();
            checkpoints.hand_over(());
        }
    }
}

// From the log into the file.

/// Copies what the log holds while the writer goes on, which may be [`AHEAD`] turns ahead: so the log stays short however slow the disk is.
pub(super) fn checkpoint(connection: &Connection, turns: &Receiver<()>) {
    let copy = |how: &str| {
        let command = format!("PRAGMA wal_checkpoint({how})");
        connection.query_row(&command, [], |row| row.get::<_, i64>(1)).unwrap_or_default() // what fails is tried anew in the next turn
    };
    for () in turns {
        turns.try_iter().for_each(drop); // one copy is for all of them
        let mut pages = copy("PASSIVE");
        if pages <= LOG {
            continue;
        }
        // Only a log that is copied whole begins anew, and while its end is copied the writer waits: so that has to be short.
        let mut rest = pages;
        for _ in 0..PASSES {
            if rest <= REST {
                break;
            }
            let before = std::mem::replace(&mut pages, copy("PASSIVE"));
            rest = pages - before;
        }
        if rest <= REST || pages > LONG {
            copy("RESTART");
        }
    }
}
