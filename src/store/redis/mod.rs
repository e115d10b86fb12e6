//! Tokens in Redis or a Redis Cluster: the store of several nodes.

mod link;
mod steps;

use super::StoreError;
use super::row::{GRACE, Row, milliseconds};
use crate::clock::Timestamp;
use crate::token::{Inserted, Record, RecordKey, RecordValue, TokenStore};
use link::{Connection, Link};
use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, cmd};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, LazyLock};
use steps::Turns;

/// Before the key of each record; as short as the memory of ten million of them asks for.
const PREFIX: &str = "ccgrant:";
/// The longest life that is told to Redis, in milliseconds: half of what it can count.
const LONGEST: i64 = i64::MAX / 2;

/// Tokens and one-time values in Redis, or in a Redis Cluster, for several nodes at once.
///
/// One record is one `SET … NX PX`, several are one script: one round trip, and all of them or none. Every node sees it at once.
/// Redis lets a record go a minute after its life is over, which is counted from the `now` of the insert: its clock need not agree with
/// those of the nodes, and theirs need to within that minute.
///
/// **What is kept** is up to Redis's own settings. With `appendonly yes` and `appendfsync always` whatever was acknowledged
/// survives the end of Redis and of its machine. With `everysec` up to two seconds may be forgotten, by the end of Redis alone as well:
/// where the disk is busy, Redis answers before it writes. Without `appendonly` a restart forgets what was written since the last
/// snapshot, or all. Replication is asynchronous: a failover may forget the last moments (`min-replicas-to-write` and
/// `min-replicas-max-lag` bound how many). What is forgotten are tokens, but revocations and one-time values too, which could then be
/// used again. `maxmemory-policy` must be `noeviction`, since any other would drop one-time values that are still needed;
/// [`connect`](Self::connect) refuses a server that says otherwise.
///
/// **Failures.** A call waits for two seconds at most, and not at all where 4096 calls wait already. Whatever Redis refuses
/// (memory full, a replica, still loading, a disk that fails) is a [`StoreError`]: nothing of the call is kept. An answer that is
/// lost on the way, or late, is an error as well, and the records may be there. The connection comes back by itself, also to another
/// server behind the same name.
///
/// **In a Redis Cluster** the records of one insert lie on different nodes, and nothing there is atomic over several of them. An insert of
/// several records goes step by step: one-time values first, then the others, each in the order of their keys, so that of inserts at
/// once with a key in common one wins. Where a key stands already, what this insert wrote before is taken back. Where a step
/// fails, or the process ends in between, the one-time values stay spent, and the token that was bought with them is not there: the
/// client needs new ones. While an insert is under way on one node of yours, another one may see some of its records already. An insert
/// that its caller gives up goes on to its end. Inserts of one process with a key in common wait for each other.
/// A `remove` whose answer was lost is tried again, and then says that there was nothing.
///
/// Made inside a Tokio runtime with timers and sockets, which has to run as long as the store is used; its methods can be called from any
/// thread and any executor.
///
/// ```no_run
/// use client_credentials::store::{MemoryClientStore, RedisTokenStore};
/// use client_credentials::{AuthorizationServer, Config};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = RedisTokenStore::connect("redis://:password@redis.internal:6379").await?;
/// let server = AuthorizationServer::new(Config::new("https://as.example.com"), MemoryClientStore::default(), tokens)?;
/// # Ok(())
/// # }
/// ```
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "redis")))]
pub struct RedisTokenStore {
    link: Arc<Link>,
    turns: Arc<Turns>,
}

/// Why Redis cannot be a store. No message repeats the URL, which may hold a password.
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "redis")))]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The text is no URL of a Redis.
    #[error("not a URL of Redis: redis://[[user]:password@]host[:port][/database], or unix:///path/of/the/socket")]
    Url,
    /// The URL asks for TLS, which this build does not have.
    #[error("this build reaches Redis without TLS only: redis://, or a tunnel that listens on this machine")]
    Tls,
    /// Redis cannot be reached, or refuses to talk; the cause is the driver's own.
    #[error("{0}")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// Redis drops records that live when its memory is full, so that a one-time value could be used again.
    #[error("Redis drops living records when its memory is full (maxmemory-policy {policy}): set it to noeviction")]
    #[expect(missing_docs)]
    Evicts { policy: String },
    /// There is no Tokio runtime where the store was to be made.
    #[error("a connection to Redis needs a Tokio runtime")]
    NoRuntime,
}

impl RedisTokenStore {
    /// Connects to a server, or to the Redis Cluster that it is a node of, which it finds out by itself (`INFO`).
    ///
    /// The other nodes of a cluster are found by the one that is named; it need not stay. Where the user may not ask `INFO`, the server is
    /// taken for one that stands alone and evicts nothing.
    ///
    /// # Errors
    /// [`RedisError`] for a URL that is none or asks for TLS, a server that cannot be reached or refuses the password, and one that evicts.
    pub async fn connect(url: &str) -> Result<Self, RedisError> {
        Ok(Self { link: Arc::new(Link::connect(url).await?), turns: Arc::default() })
    }
}

impl fmt::Debug for RedisTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisTokenStore({})", self.link)
    }
}

impl TokenStore for RedisTokenStore {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        if self.link.is_cluster() {
            return steps::insert(&self.link, &self.turns, records, now).await;
        }
        let entries = records.iter().map(|record| Entry::of(record, now, "")).collect::<Result<Vec<_>, _>>()?;
        let standing = self.link.call(async |connection| match entries.as_slice() {
            [] => Ok(None),
            [entry] => entry.put(connection, now).await,
            _ => Entry::put_all(&entries, connection, now).await,
        });
        Ok(standing.await?.map_or(Inserted::All, Inserted::Exists))
    }

    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        let value = self.link.call(async |connection| connection.get(&name(key)).await).await?;
        value.map(|value| Entry::read(*key, &value)).transpose()
    }

    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.link.call(async |connection| connection.ask(cmd("DEL").arg(name(key))).await).await
    }
}

/// What Redis knows the record by.
fn name(key: &RecordKey) -> String {
    format!("{PREFIX}{key}")
}

/// A record as Redis keeps it: `expires_at`, then a mark in a cluster, then what it says.
struct Entry {
    key: RecordKey,
    name: String,
    value: String,
    /// In milliseconds from now on; Redis takes no life that is over.
    life: i64,
    one_time: bool,
}

impl Entry {
    /// A record that is written by an insert with this mark.
    fn of(record: &Record, now: Timestamp, mark: &str) -> Result<Self, StoreError> {
        let Row { key, expires_at, value } = Row::of(record)?;
        Ok(Self {
            key,
            name: name(&key),
            value: format!("{expires_at}{mark} {value}"),
            life: expires_at.saturating_sub(milliseconds(now)).saturating_add(GRACE).clamp(1, LONGEST),
            one_time: record.value == RecordValue::OneTime,
        })
    }

    fn read(key: RecordKey, value: &str) -> Result<Record, StoreError> {
        let (Some(expires_at), Some((_, value))) = (expiry(value), value.split_once(' ')) else {
            return Err(StoreError::new(Foreign));
        };
        Row::read(key, expires_at, value)
    }

    /// Writes this record, unless it stands already.
    async fn put(&self, connection: &mut Connection, now: Timestamp) -> RedisResult<Option<RecordKey>> {
        let mut set = Cmd::with_capacity(6, self.name.len() + self.value.len() + 32);
        set.arg("SET").arg(&self.name).arg(&self.value).arg("NX").arg("PX").arg(self.life);
        if connection.ask::<Option<()>>(&set).await?.is_some() {
            return Ok(None);
        }
        // What stands may have expired by the caller's clock.
        Self::put_all(std::slice::from_ref(self), connection, now).await
    }

    /// Writes all of them, or none; the first that stands already is named.
    async fn put_all(entries: &[Self], connection: &mut Connection, now: Timestamp) -> RedisResult<Option<RecordKey>> {
        let now = milliseconds(now).to_string();
        let names = entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>();
        let lives = entries.iter().map(|entry| entry.life.to_string()).collect::<Vec<_>>();
        let pairs = entries.iter().zip(&lives).flat_map(|(entry, life)| [entry.value.as_str(), life.as_str()]);
        let arguments = std::iter::once(now.as_str()).chain(pairs).collect::<Vec<_>>();
        let at: usize = INSERT.run(connection, &names, &arguments).await?;
        Ok(at.checked_sub(1).and_then(|at| entries.get(at)).map(|entry| entry.key))
    }
}

/// When the record with this value expires, in milliseconds.
fn expiry(value: &str) -> Option<i64> {
    value.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A program that Redis runs as one step.
struct Script {
    code: &'static str,
    hash: String,
}

/// Answers which of the keys stands already, or stands twice, counted from 1; 0 when all were written. A value with a mark that stands
/// already is this insert's own.
static INSERT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local now, seen = tonumber(ARGV[1]), {}
for at, key in ipairs(KEYS) do
  local standing = redis.call('GET', key)
  local own = standing == ARGV[2 * at] and string.find(standing, '^%d+%.')
  if seen[key] or standing and not own and tonumber(string.match(standing, '^%d+')) > now then return at end
  seen[key] = true
end
for at, key in ipairs(KEYS) do redis.call('SET', key, ARGV[2 * at], 'PX', ARGV[2 * at + 1]) end
return 0",
    )
});

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    async fn run(&self, connection: &mut Connection, keys: &[&str], arguments: &[&str]) -> RedisResult<usize> {
        let command = |verb, program: &str| {
            let mut command = cmd(verb);
            command.arg(program).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        match connection.ask(&command("EVALSHA", &self.hash)).await {
            // Redis was started anew; it knows the program by its hash from now on.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                connection.ask(&command("EVAL", self.code)).await
            }
            answer => answer,
        }
    }
}

/// A value under one of our keys is not what this crate writes.
#[derive(Debug, thiserror::Error)]
#[error("a value in Redis is of another program")]
struct Foreign;
