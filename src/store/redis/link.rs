//! The way to Redis: it waits for nobody too long, and finds its way back.

use super::{RedisError, StoreError};
use crate::store::runtime::Runtime;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisResult,
    ServerErrorKind, cmd,
};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Calls that wait for Redis, at most; one more is refused.
const CALLS: usize = 4096;
/// How long a call waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long one attempt to connect may take: short enough for several within a call's patience.
const ATTEMPT: Duration = Duration::from_millis(500);
/// Further attempts to connect, or in a cluster to find the node; their pauses start at [`PAUSE`] and grow.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that all calls share, and what makes the next one.
pub(super) struct Link {
    runtime: Runtime,
    waiting: Arc<Semaphore>,
    source: Source,
    /// With the number of those that were before.
    current: Mutex<(u64, Connection)>,
    address: ConnectionAddr,
}

enum Source {
    Server(Client),
    Cluster(Box<ClusterClient>),
}

/// Clones share the connection.
#[derive(Clone)]
pub(super) enum Connection {
    Server(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn ask<A: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<A> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    pub(super) async fn get(&mut self, name: &str) -> RedisResult<Option<String>> {
        self.ask(cmd("GET").arg(name)).await
    }
}

impl Source {
    /// A connection that is made by its first command.
    fn connection(&self) -> RedisResult<Connection> {
        Ok(match self {
            Self::Server(client) => {
                let config = ConnectionManagerConfig::new()
                    .set_number_of_retries(ATTEMPTS)
                    .set_min_delay(PAUSE)
                    .set_connection_timeout(Some(ATTEMPT))
                    .set_response_timeout(None) // a call has its own
                    .set_pipeline_buffer_size(CALLS);
                Connection::Server(ConnectionManager::new_lazy_with_config(client.clone(), config)?)
            }
            Self::Cluster(client) => {
                let config = redis::cluster::ClusterConfig::new().set_response_timeout(PATIENCE / 2);
                Connection::Cluster(client.get_pending_async_connection_with_config(config))
            }
        })
    }

    fn cluster(nodes: Vec<ConnectionInfo>) -> RedisResult<Self> {
        let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
        let client = ClusterClient::builder(nodes)
            .connection_timeout(ATTEMPT)
            .overall_response_timeout(None) // a call has its own
            .retries(2 * ATTEMPTS as u32)
            .min_retry_wait(pause)
            .max_retry_wait(4 * pause)
            .tcp_settings(settings())
            .build()?;
        Ok(Self::Cluster(Box::new(client)))
    }
}

/// Commands are not held back to fill a packet.
fn settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

impl Link {
    pub(super) async fn connect(url: &str) -> Result<Self, RedisError> {
        let runtime = Runtime::current().map_err(|_| RedisError::NoRuntime)?;
        let url = redis::parse_redis_url(url).ok_or(RedisError::Url)?;
        if matches!(url.scheme(), "rediss" | "valkeys") {
            return Err(RedisError::Tls);
        }
        let server = url.into_connection_info().map_err(|_| RedisError::Url)?.set_tcp_settings(settings());
        let (source, current) = match timeout(2 * PATIENCE, find(&server)).await {
            Ok(found) => found?,
            Err(_) => return Err(RedisError::Connect(Box::new(NoAnswer))),
        };
        let address = server.addr().clone();
        Ok(Self {
            runtime,
            waiting: Arc::new(Semaphore::new(CALLS)),
            source,
            current: Mutex::new((0, current)),
            address,
        })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.source, Source::Cluster(_))
    }

    /// Room for one call more, if there is some.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| StoreError::new(Busy))
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Does the work of one call within its patience.
    pub(super) async fn call<A>(
        &self,
        work: impl AsyncFnOnce(&mut Connection) -> RedisResult<A>,
    ) -> Result<A, StoreError> {
        let _permit = self.waiting.try_acquire().map_err(|_| StoreError::new(Busy))?;
        self.runtime.inside(self.within(PATIENCE, work)).await
    }

    /// Does some work on the connection of the moment, inside the runtime.
    pub(super) async fn within<A>(
        &self,
        patience: Duration,
        work: impl AsyncFnOnce(&mut Connection) -> RedisResult<A>,
    ) -> Result<A, StoreError> {
        let (number, mut connection) = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match timeout(patience, work(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if self.is_astray(&error) {
                    self.renew(number);
                }
                Err(StoreError::new(error))
            }
            Err(_) => {
                self.renew(number);
                Err(StoreError::new(NoAnswer))
            }
        }
    }

    /// Whether another connection may fare better. The driver mends broken ones itself, and a cluster's in every way; what it does not
    /// leave is a server that has become a replica, nor a connection that was refused while it was made.
    fn is_astray(&self, error: &redis::RedisError) -> bool {
        !self.is_cluster()
            && !matches!(
                error.kind(),
                ErrorKind::Io
                    | ErrorKind::Extension
                    | ErrorKind::UnexpectedReturnType
                    | ErrorKind::Server(ServerErrorKind::NoScript)
            )
    }

    /// Puts a new connection in place of the one with this number, once.
    fn renew(&self, number: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 == number
            && let Ok(connection) = self.source.connection()
        {
            *current = (number.wrapping_add(1), connection);
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, .. } = self;
        if self.is_cluster() { write!(f, "the cluster of {address}") } else { address.fmt(f) }
    }
}

/// What the address leads to, and a first connection to it.
async fn find(server: &ConnectionInfo) -> Result<(Source, Connection), RedisError> {
    let source = Source::Server(Client::open(server.clone())?);
    let mut connection = source.connection()?;
    let told: String = match connection.ask(&cmd("INFO")).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => String::new(),
        told => told?,
    };
    if said(&told, "cluster_enabled") != Some("1") {
        evicts_nothing(&told)?;
        return Ok((source, connection));
    }
    let mut connection = Source::cluster(vec![server.clone()])?.connection()?;
    let told: HashMap<String, String> = connection.ask(&cmd("INFO")).await?;
    told.values().try_for_each(|told| evicts_nothing(told))?;
    let others = told.keys().filter_map(|address| {
        let (host, port) = address.rsplit_once(':')?;
        Some(server.clone().set_addr(ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?)))
    });
    let source = Source::cluster(others.chain([server.clone()]).collect())?;
    let connection = source.connection()?;
    Ok((source, connection))
}

fn evicts_nothing(told: &str) -> Result<(), RedisError> {
    match said(told, "maxmemory_policy") {
        None | Some("noeviction") => Ok(()),
        Some(policy) => Err(RedisError::Evicts { policy: policy.to_owned() }),
    }
}

/// The value of one line of `INFO`.
fn said<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().find_map(|line| line.split_once(':').filter(|(own, _)| *own == name)).map(|(_, value)| value)
}

impl From<redis::RedisError> for RedisError {
    fn from(error: redis::RedisError) -> Self {
        Self::Connect(Box::new(error))
    }
}

/// So many calls wait that one more would only wait as well.
#[derive(Debug, thiserror::Error)]
#[error("{CALLS} calls wait for Redis")]
struct Busy;

/// Redis may have done what it was asked, or not.
#[derive(Debug, thiserror::Error)]
#[error("Redis does not answer within {} seconds", PATIENCE.as_secs())]
pub(super) struct NoAnswer;
