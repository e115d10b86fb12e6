//! The clients of one issuer, and their administration.

use super::watch::{Watching, watch};
use super::{Database, PostgresError, config_of};
use crate::client::{Client, ClientId, ClientStore};
use crate::store::{Added, ClientRegistry, Registered, Registrations, StoreError};
use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::{self, NoTls};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long many clients may take at once.
const PATIENCE_WITH_MANY: Duration = Duration::from_secs(60);

/// The registered clients of one issuer in PostgreSQL, for any number of nodes: a [`ClientStore`] and a [`ClientRegistry`].
///
/// Each look-up asks the database, so that a change is seen by the next request. To spare it that, put a
/// [`CachedClientStore`](crate::store::CachedClientStore) around it and [`watch`](Self::watch) for changes.
///
/// Bounds and errors are those of [`PostgresTokenStore`](super::PostgresTokenStore), which may share the pool.
///
/// ```no_run
/// use client_credentials::store::{CachedClientStore, ClientRegistry, PostgresClientStore};
/// use client_credentials::{Client, Scope};
/// use std::sync::Arc;
///
/// # async fn administer() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "postgres://tokens:a+password@db.example.com/tokens";
/// let clients = PostgresClientStore::connect(url, "https://as.example.com").await?;
/// let mut reports = Client::new("reports".parse()?);
/// reports.scope = Some(Scope::parse("read")?);
/// let secret = clients.register(reports).await?; // shown to the operator this once
///
/// // The server of each node asks the cache, which hears of what other nodes change.
/// let cache = Arc::new(CachedClientStore::new(clients.clone()));
/// let told = Arc::clone(&cache);
/// let watching = clients.watch(url, move |changed| match changed {
///     Some(client_id) => told.invalidate(client_id),
///     None => told.invalidate_all(),
/// })?;
/// # Ok(())
/// # }
/// ```
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "postgres")))]
#[derive(Clone)]
pub struct PostgresClientStore {
    database: Database,
    registrations: Registrations,
}

impl PostgresClientStore {
    /// Connects without TLS, and brings the schema up to this version.
    ///
    /// # Errors
    /// [`PostgresError`] when the URL is none, the database cannot be reached, or a later version of this crate has changed its schema.
    pub async fn connect(url: &str, registrations: impl Into<Registrations>) -> Result<Self, PostgresError> {
        Ok(Self::on(Database::connect(url).await?, registrations.into()))
    }

    /// The same with a pool of one's own, for TLS and other bounds.
    ///
    /// # Errors
    /// [`PostgresError`] as for [`connect`](Self::connect).
    pub async fn new(pool: Pool, registrations: impl Into<Registrations>) -> Result<Self, PostgresError> {
        Ok(Self::on(Database::new(pool).await?, registrations.into()))
    }

    pub(super) fn on(database: Database, registrations: Registrations) -> Self {
        Self { database, registrations }
    }

    /// Tells `changed` the `client_id` of each client of this issuer that anybody registers, changes or deletes, by `LISTEN` on a
    /// connection of its own without TLS; [`watch_with`](Self::watch_with) takes another.
    ///
    /// `None` stands for any client: it comes once when the listening begins, whenever it begins anew after the connection was lost,
    /// and where somebody truncates the table. In between nothing is heard; a cache's time to live bounds what that can cost.
    ///
    /// # Errors
    /// [`PostgresError::Url`] and [`PostgresError::Tls`]. The database need not be there yet.
    ///
    /// Ends when what it returns is dropped.
    pub fn watch(
        &self,
        url: &str,
        changed: impl Fn(Option<&str>) + Send + Sync + 'static,
    ) -> Result<Watching, PostgresError> {
        Ok(self.watch_with(config_of(url)?, NoTls, changed))
    }

    /// [`watch`](Self::watch) with a configuration and a TLS of one's own.
    pub fn watch_with<T>(
        &self,
        config: tokio_postgres::Config,
        tls: T,
        changed: impl Fn(Option<&str>) + Send + Sync + 'static,
    ) -> Watching
    where
        T: tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket> + Clone + Send + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as tokio_postgres::tls::TlsConnect<tokio_postgres::Socket>>::Future: Send,
    {
        watch(&self.database.runtime, config, tls, self.registrations.issuer().into(), changed)
    }
}

impl ClientStore for PostgresClientStore {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        Ok(self.registered(client_id).await?.map(|registered| registered.client))
    }
}

impl ClientRegistry for PostgresClientStore {
    async fn add(&self, clients: &[Client]) -> Result<Added, StoreError> {
        // In the order of their keys, so that two calls never wait for each other.
        const ADD: &str = "INSERT INTO client_credentials.clients (issuer, client_id, registration)
            SELECT $1, client_id, registration FROM unnest($2::text[], $3::text[]) AS new (client_id, registration)
            ORDER BY client_id COLLATE \"C\" ON CONFLICT DO NOTHING RETURNING client_id";
        let issuer = self.registrations.issuer();
        let texts = clients.iter().map(|client| self.registrations.to_text(client)).collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
        let ids: Vec<&str> = clients.iter().map(|client| client.client_id.as_str()).collect();
        let added = self.database.ask_for(PATIENCE_WITH_MANY, async |connection| {
            let transaction = connection.transaction().await?;
            transaction.batch_execute("SET LOCAL statement_timeout = 60000").await?;
            let added = transaction.query(ADD, &[&issuer, &ids, &texts]).await?;
            let added = added.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<String>, _>>()?;
            let all = added.len() == clients.len();
            if all {
                transaction.commit().await?
            } else {
                transaction.rollback().await?
            }
            Ok(added)
        });
        let mut added = added.await?;
        let taken = clients.iter().find(|client| !added.remove(client.client_id.as_str()));
        Ok(taken.map_or(Added::All, |client| Added::Taken(client.client_id.clone())))
    }

    async fn registered(&self, client_id: &str) -> Result<Option<Registered>, StoreError> {
        if !ClientId::is_valid(client_id) {
            return Ok(None); // PostgreSQL takes no NUL in a text
        }
        const GET: &str =
            "SELECT registration, revision FROM client_credentials.clients WHERE issuer = $1 AND client_id = $2";
        let row = self.database.ask(async |connection| {
            let get = connection.prepare_cached(GET).await?;
            let row = connection.query_opt(&get, &[&self.registrations.issuer(), &client_id]).await?;
            row.map(|row| Ok((row.try_get::<_, String>(0)?, row.try_get(1)?))).transpose()
        });
        let Some((text, revision)) = row.await? else { return Ok(None) };
        Ok(Some(Registered::new(self.registrations.read_row(client_id, &text)?, revision)))
    }

    async fn replace(&self, client: &Client, revision: i64) -> Result<bool, StoreError> {
        const REPLACE: &str = "UPDATE client_credentials.clients
            SET registration = $3, revision = pg_catalog.nextval('client_credentials.revisions')
            WHERE issuer = $1 AND client_id = $2 AND revision = $4";
        let text = self.registrations.to_text(client)?;
        let replaced = self.database.ask(async |connection| {
            let replace = connection.prepare_cached(REPLACE).await?;
            let (issuer, client_id) = (self.registrations.issuer(), client.client_id.as_str());
            connection.execute(&replace, &[&issuer, &client_id, &text.as_str(), &revision]).await
        });
        Ok(replaced.await? > 0)
    }

    async fn delete(&self, client_id: &str) -> Result<bool, StoreError> {
        if !ClientId::is_valid(client_id) {
            return Ok(false);
        }
        const DELETE: &str = "DELETE FROM client_credentials.clients WHERE issuer = $1 AND client_id = $2";
        let deleted = self.database.ask(async |connection| {
            let delete = connection.prepare_cached(DELETE).await?;
            connection.execute(&delete, &[&self.registrations.issuer(), &client_id]).await
        });
        Ok(deleted.await? > 0)
    }

    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Client>>, StoreError> {
        const PAGE: &str = "SELECT client_id, registration FROM client_credentials.clients
            WHERE issuer = $1 AND client_id > $2 ORDER BY client_id LIMIT $3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.database.ask_for(PATIENCE_WITH_MANY, async |connection| {
            let page = connection.prepare_cached(PAGE).await?;
            let (issuer, after) = (self.registrations.issuer(), after.unwrap_or_default());
            let rows = connection.query(&page, &[&issuer, &after, &limit]).await?;
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
        });
        let rows: Vec<(String, String)> = rows.await?;
        rows.iter().map(|(client_id, text)| self.registrations.read_row(client_id, text)).collect()
    }
}

impl fmt::Debug for PostgresClientStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresClientStore({:?})", self.registrations.issuer())
    }
}
