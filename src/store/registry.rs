//! What an operator does with clients: register, rotate a secret, change, disable, list, end all tokens.

use super::StoreError;
use crate::client::{Client, ClientId, ClientSecret, ClientStore, Fault};
use crate::clock::Timestamp;
use crate::random::{RandomError, SystemRandom};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How often a change is made anew when others change the same client meanwhile.
const ATTEMPTS: usize = 16;

/// A [`ClientStore`] that clients are registered in, and what an operator does with them.
///
/// A store of one's own has five methods to write, each one step in the database; the tasks of the operator are made of them. A
/// registry holds the clients of **one** issuer: two realms are two registries, and may have the same `client_id`.
///
/// ```
/// use client_credentials::store::{ClientRegistry, MemoryClientStore};
/// use client_credentials::{Client, ClientStore, Clock, Scope, SystemClock};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clients = MemoryClientStore::default();
/// let mut reports = Client::new("reports".parse()?);
/// reports.scope = Some(Scope::parse("read write")?);
/// let first = clients.register(reports).await?; // shown to the operator this once
///
/// // Both secrets count for a day, then the new one alone.
/// let second = clients.rotate_secret("reports", Duration::from_secs(86_400), SystemClock.now()).await?;
/// assert_ne!(first.expose(), second.expose());
///
/// clients.change("reports", |client| client.scope = Scope::parse("read").ok()).await?;
/// clients.end_tokens("reports", SystemClock.now()).await?;
/// clients.disable("reports").await?;
/// assert!(clients.client("reports").await?.is_some_and(|client| client.disabled));
/// # Ok(())
/// # }
/// ```
pub trait ClientRegistry: ClientStore {
    /// Adds all clients, or none, in one atomic step; the first whose `client_id` is taken, or stands twice, is named.
    ///
    /// # Errors
    /// [`StoreError`] when the registry cannot say that the clients are kept, or when one of them cannot be kept.
    fn add(&self, clients: &[Client]) -> impl Future<Output = Result<Added, StoreError>> + Send;

    /// The client as it stands, never from a cache, with the revision that [`replace`](Self::replace) asks for.
    ///
    /// # Errors
    /// [`StoreError`] when the registry cannot tell.
    fn registered(&self, client_id: &str) -> impl Future<Output = Result<Option<Registered>, StoreError>> + Send;

    /// Puts `client` in place of the client of its `client_id`, if that still has this revision, and says whether it had.
    ///
    /// # Errors
    /// [`StoreError`] when the registry cannot say that the client is kept as it was given.
    fn replace(&self, client: &Client, revision: i64) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Takes a client out, and says whether there was one. Its tokens are inactive from now on; whoever registers the `client_id`
    /// anew gets those back that live: [`end_tokens`](Self::end_tokens) first, or disable it instead.
    ///
    /// # Errors
    /// [`StoreError`] when the registry cannot say that the client is gone.
    fn delete(&self, client_id: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// At most `limit` clients in the order of their `client_id`s' octets: the first ones, or those after `after`.
    ///
    /// A page that is not full is the last one.
    ///
    /// # Errors
    /// [`StoreError`] when the registry cannot tell.
    fn page(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Arc<Client>>, StoreError>> + Send;

    /// Adds a client with a new random secret, which is handed out this once.
    ///
    /// A client that authenticates by a key of its own needs none: [`add`](Self::add) it. Ask [`Client::validate`] first whether the
    /// server's configuration takes it.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing was added.
    fn register(&self, mut client: Client) -> impl Future<Output = Result<ClientSecret, RegistryError>> + Send {
        async move {
            let secret = client.add_generated_secret(&SystemRandom)?;
            check(&client)?;
            match self.add(&[client]).await? {
                Added::All => Ok(secret),
                Added::Taken(client_id) => Err(RegistryError::Taken(client_id)),
            }
        }
    }

    /// Gives a client a new random secret, and lets those that it has end after `overlap`.
    ///
    /// Secrets that have ended leave the registration; one that ends earlier stays at that. An overlap of zero ends the old ones at
    /// once: for a secret that leaked.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing was changed. Eight secrets may stand at once.
    fn rotate_secret(
        &self,
        client_id: &str,
        overlap: Duration,
        now: Timestamp,
    ) -> impl Future<Output = Result<ClientSecret, RegistryError>> + Send {
        async move {
            let end = Timestamp::from_millis(
                now.as_millis().saturating_add(u64::try_from(overlap.as_millis()).unwrap_or(u64::MAX)),
            );
            self.change_with(client_id, |client| {
                for secret in &mut client.client_secrets {
                    secret.expires_at = Some(secret.expires_at.map_or(end, |own| own.min(end)));
                }
                // Before the ended ones leave, so that it is called like none of them.
                let secret = client.add_generated_secret(&SystemRandom)?;
                client.client_secrets.retain(|secret| secret.stands_at(now));
                Ok(secret)
            })
            .await
        }
    }

    /// Changes a client: whatever `change` does to it is kept as one step. The `client_id` stays.
    ///
    /// `change` runs again where somebody else changed the client meanwhile.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing was changed.
    fn change(
        &self,
        client_id: &str,
        change: impl Fn(&mut Client) + Send + Sync,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send {
        async move {
            self.change_with(client_id, |client| {
                change(client);
                Ok(())
            })
            .await
        }
    }

    /// Treats a client as if it were unknown, and its tokens as well, until it is enabled again.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing was changed.
    fn disable(&self, client_id: &str) -> impl Future<Output = Result<(), RegistryError>> + Send {
        self.change(client_id, |client| client.disabled = true)
    }

    /// The opposite of [`disable`](Self::disable): tokens that have not expired count again.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing was changed.
    fn enable(&self, client_id: &str) -> impl Future<Output = Result<(), RegistryError>> + Send {
        self.change(client_id, |client| client.disabled = false)
    }

    /// Ends all tokens that the client has, by one write: those issued before the next full second are dead
    /// ([`Client::tokens_not_before`]).
    ///
    /// Whoever checks signed tokens locally does not see it.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing was changed.
    fn end_tokens(&self, client_id: &str, now: Timestamp) -> impl Future<Output = Result<(), RegistryError>> + Send {
        self.change(client_id, move |client| {
            let start = now.second_plus(1);
            client.tokens_not_before = Some(client.tokens_not_before.map_or(start, |own| own.max(start)));
        })
    }

    /// [`change`](Self::change) with an outcome: an error keeps the client as it is.
    ///
    /// # Errors
    /// [`RegistryError`], that of `change` included; nothing was changed.
    fn change_with<A: Send>(
        &self,
        client_id: &str,
        change: impl Fn(&mut Client) -> Result<A, RegistryError> + Send + Sync,
    ) -> impl Future<Output = Result<A, RegistryError>> + Send {
        async move {
            for _ in 0..ATTEMPTS {
                let found = self.registered(client_id).await?;
                // A store that folds case might find another client, as in `ClientStore::client`.
                let Some(Registered { client, revision }) =
                    found.filter(|found| found.client.client_id.as_str() == client_id)
                else {
                    return Err(RegistryError::Unknown);
                };
                let mut changed = Client::clone(&client);
                let outcome = change(&mut changed)?;
                changed.client_id = client.client_id.clone();
                check(&changed)?;
                if self.replace(&changed, revision).await? {
                    return Ok(outcome);
                }
            }
            Err(RegistryError::Contended)
        }
    }
}

/// A client cannot be kept whose meaning is not known.
fn check(client: &Client) -> Result<(), RegistryError> {
    let faults = client.own_faults();
    if faults.is_empty() { Ok(()) } else { Err(RegistryError::Faulty(faults)) }
}

/// The outcome of [`ClientRegistry::add`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// Every client is registered.
    All,
    /// None was added: this `client_id` is taken.
    Taken(ClientId),
}

/// A client as its registry has it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Registered {
    /// The client.
    pub client: Arc<Client>,
    /// What tells this state of the client from every other one, also when it was deleted and registered anew.
    pub revision: i64,
}

impl Registered {
    /// A client with its revision, as a registry of one's own reads it.
    pub fn new(client: impl Into<Arc<Client>>, revision: i64) -> Self {
        Self { client: client.into(), revision }
    }
}

/// Why a registration was not made, or not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// There is a client with this `client_id`.
    #[error("the client_id {:?} is taken", .0.as_str())]
    Taken(ClientId),
    /// There is no client with this `client_id`.
    #[error("no client has this client_id")]
    Unknown,
    /// The registration is faulty by itself, whatever the server's configuration.
    #[error("the registration is faulty: {}", Fault::list(.0))]
    Faulty(Vec<Fault>),
    /// Others changed the client each time that it was tried.
    #[error("others change the client all the time")]
    Contended,
    /// The system has no random octets for a secret.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The registry failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
