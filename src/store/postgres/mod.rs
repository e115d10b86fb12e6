//! Tokens and clients in PostgreSQL: the durable stores of several nodes.
//!
//! What both stores share: the pool, the schema, and how a call ends.

mod clients;
mod tokens;
mod watch;

pub use clients::PostgresClientStore;
pub use tokens::PostgresTokenStore;
pub use watch::Watching;

use super::StoreError;
use super::runtime::Runtime;
use deadpool_postgres::tokio_postgres::config::SslMode;
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::{self, Config, NoTls};
use deadpool_postgres::{
    GenericClient, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
};
use std::error::Error;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// Connections of a pool that [`PostgresTokenStore::connect`] makes, at most.
const CONNECTIONS: usize = 16;
/// How long a call waits for a connection and its answer together.
const PATIENCE: Duration = Duration::from_secs(4);
/// Calls that wait for a connection, at most; one more is refused at once.
const QUEUE: usize = 4096;
/// How long a node waits at start for another one that changes the schema.
const PATIENCE_WITH_MIGRATION: Duration = Duration::from_secs(30);

/// The schema in steps; a database that has taken the first `n` is of version `n`. A step that was released is never changed: a
/// node of the version before goes on working beside it, so each adds and takes nothing away.
const STEPS: [&str; 1] = [include_str!("1.sql")];

/// Why a database cannot be a store.
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "postgres")))]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The text is no connection string (`postgres://user:password@host:port/database`).
    #[error("must be postgres://user:password@host:port/database, with options as libpq has them")]
    Url,
    /// The connection string asks for TLS, which a pool of one's own brings.
    #[error("sslmode=require needs a pool with TLS: hand it to `new` in place of a URL")]
    Tls,
    /// The database cannot be reached, or refuses what it is asked; the cause is the driver's.
    #[error("{}", Told(&**.0))]
    Database(#[source] Box<dyn Error + Send + Sync>),
    /// Text of any language cannot be kept.
    #[error("the database has the encoding {0}; UTF8 is needed")]
    Encoding(String),
    /// There is no Tokio runtime where the store was to be made.
    #[error("connections to PostgreSQL need a Tokio runtime")]
    NoRuntime,
    /// A later version of this crate has changed the schema.
    #[error("the database has version {found} of the schema, and this build knows up to {known}")]
    #[expect(missing_docs)]
    Newer { found: i32, known: i32 },
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(Box::new(error))
    }
}

impl From<PoolError> for PostgresError {
    fn from(error: PoolError) -> Self {
        Self::Database(Box::new(error))
    }
}

/// A database with the schema of this version.
#[derive(Clone)]
struct Database {
    pool: Pool,
    runtime: Runtime,
}

impl Database {
    /// A pool of plain connections.
    async fn connect(url: &str) -> Result<Self, PostgresError> {
        let manager =
            Manager::from_config(config_of(url)?, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let begin = Hook::async_fn(|client, _| {
            // Whatever the database's own default: of two inserts of one key the later one sees the earlier.
            const BEGIN: &str = "SET default_transaction_isolation = 'read committed'";
            Box::pin(async move { client.batch_execute(BEGIN).await.map_err(HookError::Backend) })
        });
        // Without time-outs of its own: a call has one for all that it waits for.
        let pool = Pool::builder(manager).max_size(CONNECTIONS).post_create(begin).build();
        Self::new(pool.map_err(|error| PostgresError::Database(Box::new(error)))?).await
    }

    async fn new(pool: Pool) -> Result<Self, PostgresError> {
        let runtime = Runtime::current().map_err(|_| PostgresError::NoRuntime)?;
        let found = timeout(2 * PATIENCE, async {
            let connection = pool.get().await?;
            let found = standing(&connection).await?;
            Ok::<_, PostgresError>((connection, found))
        });
        let (mut connection, found) = found.await.map_err(|_| PostgresError::Database(Box::new(Late)))??;
        if found != known() {
            migrate(&mut connection).await?;
        }
        drop(connection);
        Ok(Self { pool, runtime })
    }

    /// Asks the database, and waits for a connection and for its answer within one bound.
    ///
    /// A connection that is late or leads to a server which only reads, as after a failover, is not used again.
    async fn ask<A>(
        &self,
        question: impl AsyncFnOnce(&mut Object) -> Result<A, tokio_postgres::Error>,
    ) -> Result<A, StoreError> {
        self.ask_for(PATIENCE, question).await
    }

    async fn ask_for<A>(
        &self,
        patience: Duration,
        question: impl AsyncFnOnce(&mut Object) -> Result<A, tokio_postgres::Error>,
    ) -> Result<A, StoreError> {
        if self.pool.status().waiting >= QUEUE {
            return Err(StoreError::new(Busy));
        }
        let mut connection = None;
        // An error comes with whether the connection is to be left.
        let asked = async {
            let failed = |error| (StoreError::new(Failed(error)), false);
            let connection = connection.insert(self.pool.get().await.map_err(failed)?);
            question(connection).await.map_err(|error| {
                let only_reads = error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION);
                (StoreError::new(Failed(error)), only_reads)
            })
        };
        let answer = self.runtime.inside(async { timeout(patience, asked).await }).await;
        answer.unwrap_or_else(|_| Err((StoreError::new(Late), true))).map_err(|(error, is_astray)| {
            if let Some(connection) = connection.filter(|_| is_astray) {
                self.leave(connection);
            }
            error
        })
    }

    /// Ends a connection and what it may still be doing: a commit that waits for its standby has no end by itself.
    fn leave(&self, connection: Object) {
        let still_asked = connection.cancel_token();
        self.runtime.spawn(async move { timeout(PATIENCE, still_asked.cancel_query(NoTls)).await });
        drop(Object::take(connection));
    }
}

/// What a URL says for a connection without TLS, and that a peer which is gone is noticed.
fn config_of(url: &str) -> Result<Config, PostgresError> {
    let mut config: Config = url.parse().map_err(|_| PostgresError::Url)?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(PostgresError::Url);
    }
    if config.get_ssl_mode() == SslMode::Require {
        return Err(PostgresError::Tls);
    }
    // Of several hosts each gets its part, so that one that is gone leaves time for the next.
    let hosts = u32::try_from(config.get_hosts().len().max(config.get_hostaddrs().len())).unwrap_or(u32::MAX);
    let most = if hosts == 1 { PATIENCE } else { PATIENCE / hosts.saturating_add(1) };
    config.connect_timeout(config.get_connect_timeout().map_or(most, |&own| own.min(most)));
    if config.get_application_name().is_none() {
        config.application_name("client-credentials");
    }
    config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(2)).keepalives_retries(3);
    Ok(config)
}

/// The version of the schema in a database that can keep text of any language.
async fn standing(connection: &Object) -> Result<i32, PostgresError> {
    let encoding: String = connection.query_one("SHOW server_encoding", &[]).await?.try_get(0)?;
    if encoding != "UTF8" {
        return Err(PostgresError::Encoding(encoding));
    }
    Ok(version(connection).await?)
}

/// Brings the schema up to this version, under a lock of the database: of several nodes one does it, and the others wait.
async fn migrate(connection: &mut Object) -> Result<(), PostgresError> {
    let transaction = connection.transaction().await?;
    let patience = PATIENCE_WITH_MIGRATION.as_millis();
    // The number stands for this lock and is otherwise without meaning.
    let begin = format!(
        "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {patience}; SELECT pg_advisory_xact_lock(7163924016251)"
    );
    transaction.batch_execute(&begin).await?;
    let found = version(&transaction).await?;
    if found > known() {
        return Err(PostgresError::Newer { found, known: known() });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.batch_execute(step).await?;
    }
    transaction.execute("UPDATE client_credentials.schema SET version = $1", &[&known()]).await?;
    Ok(transaction.commit().await?)
}

fn known() -> i32 {
    i32::try_from(STEPS.len()).unwrap_or(i32::MAX)
}

/// The version of the schema that the database has; 0 without one.
async fn version(connection: &impl GenericClient) -> Result<i32, tokio_postgres::Error> {
    // Not `to_regclass`, which may remember that there was none before another node made it.
    const IS_THERE: &str = "SELECT FROM pg_tables WHERE schemaname = 'client_credentials' AND tablename = 'schema'";
    if connection.query_opt(IS_THERE, &[]).await?.is_none() {
        return Ok(0);
    }
    connection.query_one("SELECT version FROM client_credentials.schema", &[]).await?.try_get(0)
}

/// So many calls wait for a connection that one more would only wait as well.
#[derive(Debug, thiserror::Error)]
#[error("{QUEUE} calls wait for a connection")]
struct Busy;

/// No answer came in time.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL does not answer")]
struct Late;

/// What the pool or the server said.
#[derive(Debug, thiserror::Error)]
#[error("{}", Told(.0))]
struct Failed<E: Error + 'static>(#[source] E);

/// An error and its causes on one line; of what the server says its code and message, without details of the data.
struct Told<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgreSQL")?;
        let (mut next, mut before) = (Some(self.0), String::new());
        while let Some(error) = next {
            let text = match error.downcast_ref::<tokio_postgres::error::DbError>() {
                Some(said) => format!("{} ({})", said.message(), said.code().code()),
                None => error.to_string(),
            };
            if !before.ends_with(&text) {
                write!(f, ": {text}")?; // some errors tell their cause themselves
            }
            (next, before) = (error.source(), text);
        }
        Ok(())
    }
}
