//! A registration as databases keep it: the client's serde form as JSON.

use super::StoreError;
#[cfg(feature = "jwt")]
use super::sealing::{Place, SealingError, SealingKeys, is_sealed};
use crate::client::Client;
#[cfg(feature = "jwt")]
use crate::client::ClientId;
#[cfg(feature = "jwt")]
use serde_json::Value;
#[cfg(feature = "jwt")]
use std::cmp::Ordering;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How the clients of one issuer are kept as text.
///
/// A raw key never stands in it: that of a client with `client_secret_jwt` is sealed, by keys that
/// `with_sealing_keys` gives (feature `jwt`).
///
/// ```
/// use client_credentials::{Client, store::Registrations};
///
/// let registrations = Registrations::new("https://as.example.com");
/// let (client, _secret) = Client::generate()?;
/// let text = registrations.to_text(&client)?;
/// assert_eq!(registrations.from_text(&text)?.client_id, client.client_id);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Registrations {
    issuer: Arc<str>,
    #[cfg(feature = "jwt")]
    sealing: Option<SealingKeys>,
}

impl Registrations {
    /// Those of this issuer.
    pub fn new(issuer: impl Into<Arc<str>>) -> Self {
        Self {
            issuer: issuer.into(),
            #[cfg(feature = "jwt")]
            sealing: None,
        }
    }

    /// The same, which also keeps clients with `client_secret_jwt`: each [`mac_key`](crate::RegisteredSecret::mac_key) is sealed.
    ///
    /// A sealed key opens for the same issuer, `client_id` and id of the secret alone.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[must_use]
    pub fn with_sealing_keys(self, keys: SealingKeys) -> Self {
        Self { sealing: Some(keys), ..self }
    }

    /// Whose clients they are: `issuer` of the server's configuration.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The text that keeps a client.
    ///
    /// # Errors
    /// [`StoreError`] for a faulty client: what it meant is not known; and for one with a raw key where there are no sealing keys.
    pub fn to_text(&self, client: &Client) -> Result<Zeroizing<String>, StoreError> {
        #[cfg(feature = "jwt")]
        if client.client_secrets.iter().any(|secret| secret.mac_key.is_some()) {
            return self.to_sealed_text(client);
        }
        serde_json::to_string(client).map(Zeroizing::new).map_err(StoreError::new)
    }

    /// The client that was kept as this text.
    ///
    /// # Errors
    /// [`StoreError`] for a text that is no registration, and for a raw key in it that is not sealed, or cannot be opened.
    pub fn from_text(&self, text: &str) -> Result<Client, StoreError> {
        #[cfg(feature = "jwt")]
        let client = self.read_sealed(text);
        #[cfg(not(feature = "jwt"))]
        let client = serde_json::from_str(text).map(Ok);
        client.map_err(|error| StoreError::new(Unreadable { column: error.column() }))?
    }

    /// The client of a row; what is wrong with it names the client, so that whoever reads many knows which.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn read_row(&self, client_id: &str, text: &str) -> Result<Arc<Client>, StoreError> {
        let client = self.from_text(text).and_then(|client| {
            let is_it = client.client_id.as_str() == client_id;
            if is_it { Ok(Arc::new(client)) } else { Err(StoreError::new(Another)) }
        });
        client.map_err(|cause| StoreError::new(UnreadableRow { client_id: client_id.to_owned(), cause }))
    }

    #[cfg(feature = "jwt")]
    fn to_sealed_text(&self, client: &Client) -> Result<Zeroizing<String>, StoreError> {
        let keys = self.sealing.as_ref().ok_or_else(|| StoreError::new(SealingError::NoKeys))?;
        let mut bare = client.clone();
        let mut sealed = Vec::new();
        for secret in &mut bare.client_secrets {
            let place = Place { issuer: &self.issuer, client_id: &client.client_id, secret_id: &secret.id };
            let text = secret.mac_key.take().map(|mac_key| keys.seal(&place, &mac_key)).transpose();
            sealed.push(text.map_err(StoreError::new)?);
        }
        let mut value = serde_json::to_value(&bare).map_err(StoreError::new)?;
        let secrets = value.get_mut("client_secrets").and_then(Value::as_array_mut).into_iter().flatten();
        for (secret, sealed) in secrets.zip(sealed) {
            if let (Value::Object(members), Some(sealed)) = (secret, sealed) {
                members.insert("mac_key".to_owned(), sealed.into());
            }
        }
        Ok(Zeroizing::new(value.to_string()))
    }

    #[cfg(feature = "jwt")]
    fn read_sealed(&self, text: &str) -> Result<Result<Client, StoreError>, serde_json::Error> {
        let mut opened = 0;
        let client = Client::read_stored(text, |client_id, secrets| {
            for secret in secrets.as_array_mut().into_iter().flatten() {
                opened += usize::from(self.open(client_id, secret)?);
            }
            Ok(())
        })?;
        let client = client.and_then(|client| {
            let raw = client.client_secrets.iter().filter(|secret| secret.mac_key.is_some()).count();
            match raw.cmp(&opened) {
                Ordering::Equal => Ok(client),
                Ordering::Greater => Err(SealingError::Raw), // a secret in clear makes a raw key too
                Ordering::Less => Err(SealingError::Changed),
            }
        });
        Ok(client.map_err(StoreError::new))
    }

    /// Puts the raw key in place of the sealed one, and says whether there is one.
    #[cfg(feature = "jwt")]
    fn open(&self, client_id: &ClientId, secret: &mut Value) -> Result<bool, SealingError> {
        let Some(kept) = secret.get("mac_key").filter(|kept| !kept.is_null()) else { return Ok(false) };
        let text = kept.as_str().ok_or(SealingError::Raw)?;
        let secret_id = secret.get("id").and_then(Value::as_str).ok_or(SealingError::Changed)?;
        let place = Place { issuer: &self.issuer, client_id, secret_id };
        let mac_key = match &self.sealing {
            Some(keys) => keys.open(&place, text),
            None if is_sealed(text) => Err(SealingError::NoKeys),
            None => Err(SealingError::Raw),
        }?;
        if let Some(kept) = secret.get_mut("mac_key") {
            *kept = serde_json::to_value(&mac_key).map_err(|_| SealingError::Changed)?;
        }
        Ok(true)
    }
}

impl<I: Into<Arc<str>>> From<I> for Registrations {
    fn from(issuer: I) -> Self {
        Self::new(issuer)
    }
}

/// A text is not what this crate writes; it is not repeated, as it may hold a secret.
#[derive(Debug, thiserror::Error)]
#[error("a stored registration cannot be read, at column {column}")]
struct Unreadable {
    column: usize,
}

/// A row is not what this crate writes.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug, thiserror::Error)]
#[error("the client {client_id:?}: {cause}")]
struct UnreadableRow {
    client_id: String,
    #[source]
    cause: StoreError,
}

/// A row holds what belongs into another one.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug, thiserror::Error)]
#[error("the stored registration is that of another client")]
struct Another;
