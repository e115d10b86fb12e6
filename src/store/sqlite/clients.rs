//! Clients in the file, and what an operator does with them.

use super::threads::Group;
use super::{Database, SqliteError};
use crate::client::{Client, ClientId, ClientStore};
use crate::store::{Added, ClientRegistry, Registered, Registrations, StoreError};
use rusqlite::{Connection, OptionalExtension, Row};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The clients of one issuer in a file of SQLite, and their [registry](ClientRegistry).
///
/// Each request reads its client anew, so what another process changed takes effect at once. The file may hold tokens as well:
/// [`SqliteTokenStore::clients`](super::SqliteTokenStore::clients) shares its threads, and what is said there of durability, failures
/// and disks holds here. Cloning shares them too.
///
/// A registration that cannot be read, as after an edit by hand, is a [`StoreError`] for that client alone;
/// [`page`](ClientRegistry::page) then fails and names the client, and goes on after that `client_id`.
///
/// ```
/// use client_credentials::store::{ClientRegistry, SqliteClientStore};
/// use client_credentials::{Client, ClientStore, Scope};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("client-credentials-doc-clients-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # {
/// let clients = SqliteClientStore::open(folder.join("as.db"), "https://as.example.com")?;
/// let mut reports = Client::new("reports".parse()?);
/// reports.scope = Some(Scope::parse("read")?);
/// let secret = clients.register(reports).await?; // shown to the operator this once
/// assert!(clients.client("reports").await?.is_some());
/// # }
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "sqlite")))]
#[derive(Clone, Debug)]
pub struct SqliteClientStore {
    database: Arc<Database>,
    registrations: Registrations,
}

impl SqliteClientStore {
    /// Opens the file, or makes it: readable by its owner alone, with the schema of this version.
    ///
    /// # Errors
    /// [`SqliteError`] when it cannot be opened, is another program's, or was written by a later version.
    pub fn open(path: impl AsRef<Path>, registrations: impl Into<Registrations>) -> Result<Self, SqliteError> {
        Ok(Self::on(Database::open(path)?, registrations.into()))
    }

    pub(super) fn on(database: Arc<Database>, registrations: Registrations) -> Self {
        Self { database, registrations }
    }

    /// Whose clients they are, for a job.
    fn issuer(&self) -> Arc<str> {
        self.registrations.issuer().into()
    }

    async fn find(&self, client_id: &str) -> Result<Option<Kept>, StoreError> {
        let (issuer, client_id) = (self.issuer(), client_id.to_owned());
        self.database.read(move |connection| find(connection, &issuer, &client_id)).await
    }
}

impl ClientStore for SqliteClientStore {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        let kept = self.find(client_id).await?;
        kept.map(|kept| self.registrations.read_row(&kept.client_id, &kept.registration)).transpose()
    }
}

impl ClientRegistry for SqliteClientStore {
    async fn add(&self, clients: &[Client]) -> Result<Added, StoreError> {
        let rows: Vec<(ClientId, Zeroizing<String>)> = clients
            .iter()
            .map(|client| Ok((client.client_id.clone(), self.registrations.to_text(client)?)))
            .collect::<Result<_, StoreError>>()?;
        let issuer = self.issuer();
        self.database.write(move |group| add(group, &issuer, &rows)).await
    }

    async fn registered(&self, client_id: &str) -> Result<Option<Registered>, StoreError> {
        let Some(kept) = self.find(client_id).await? else { return Ok(None) };
        let client = self.registrations.read_row(&kept.client_id, &kept.registration)?;
        Ok(Some(Registered::new(client, kept.revision)))
    }

    async fn replace(&self, client: &Client, revision: i64) -> Result<bool, StoreError> {
        let (client_id, registration) = (client.client_id.clone(), self.registrations.to_text(client)?);
        let issuer = self.issuer();
        self.database
            .write(move |group| {
                let mut update = group.transaction.prepare_cached(
                    "UPDATE clients SET registration = ?1, revision = random() WHERE issuer = ?2 AND client_id = ?3 AND revision = ?4",
                )?;
                Ok(update.execute((&**registration, &*issuer, client_id.as_str(), revision))? > 0)
            })
            .await
    }

    async fn delete(&self, client_id: &str) -> Result<bool, StoreError> {
        let (issuer, client_id) = (self.issuer(), client_id.to_owned());
        self.database
            .write(move |group| {
                let mut delete =
                    group.transaction.prepare_cached("DELETE FROM clients WHERE issuer = ?1 AND client_id = ?2")?;
                Ok(delete.execute((&*issuer, &client_id))? > 0)
            })
            .await
    }

    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Client>>, StoreError> {
        let (issuer, after) = (self.issuer(), after.unwrap_or_default().to_owned()); // no client_id is empty
        let page = self.database.read(move |connection| page(connection, &issuer, &after, limit)).await?;
        page.iter().map(|kept| self.registrations.read_row(&kept.client_id, &kept.registration)).collect()
    }
}

/// A row as it stands.
struct Kept {
    client_id: String,
    revision: i64,
    registration: Zeroizing<String>,
}

impl Kept {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { client_id: row.get(0)?, revision: row.get(1)?, registration: Zeroizing::new(row.get(2)?) })
    }
}

fn find(connection: &Connection, issuer: &str, client_id: &str) -> rusqlite::Result<Option<Kept>> {
    let mut select = connection
        .prepare_cached("SELECT client_id, revision, registration FROM clients WHERE issuer = ?1 AND client_id = ?2")?;
    select.query_row((issuer, client_id), Kept::read).optional()
}

fn page(connection: &Connection, issuer: &str, after: &str, limit: usize) -> rusqlite::Result<Vec<Kept>> {
    let mut select = connection.prepare_cached(
        "SELECT client_id, revision, registration FROM clients WHERE issuer = ?1 AND client_id > ?2 ORDER BY client_id LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    select.query_map((issuer, after, limit), Kept::read)?.collect()
}

/// A revision is 64 random bits: also a client that comes back has one that it never had.
fn add(group: &Group<'_>, issuer: &str, rows: &[(ClientId, Zeroizing<String>)]) -> rusqlite::Result<Added> {
    let mut insert = group.transaction.prepare_cached(
        "INSERT INTO clients (issuer, client_id, revision, registration) VALUES (?1, ?2, random(), ?3)
         ON CONFLICT (issuer, client_id) DO NOTHING",
    )?;
    let taken = group.all_or_none(rows, |_, (client_id, registration)| {
        Ok(insert.execute((issuer, client_id.as_str(), &***registration))? > 0)
    })?;
    Ok(taken.map_or(Added::All, |(client_id, _)| Added::Taken(client_id.clone())))
}
