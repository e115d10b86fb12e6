//! A registration as databases keep it: the client's serde form as JSON.

use super::StoreError;
use crate::client::Client;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How the clients of one issuer are kept as text.
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
}

impl Registrations {
    /// Those of this issuer.
    pub fn new(issuer: impl Into<Arc<str>>) -> Self {
        Self { issuer: issuer.into() }
    }

    /// Whose clients they are: `issuer` of the server's configuration.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The text that keeps a client.
    ///
    /// # Errors
    /// [`StoreError`] for a faulty client: what it meant is not known.
    pub fn to_text(&self, client: &Client) -> Result<Zeroizing<String>, StoreError> {
        serde_json::to_string(client).map(Zeroizing::new).map_err(StoreError::new)
    }

    /// The client that was kept as this text.
    ///
    /// # Errors
    /// [`StoreError`] for a text that is no registration.
    pub fn from_text(&self, text: &str) -> Result<Client, StoreError> {
        serde_json::from_str(text).map_err(|error| StoreError::new(Unreadable(error)))
    }
}

impl<I: Into<Arc<str>>> From<I> for Registrations {
    fn from(issuer: I) -> Self {
        Self::new(issuer)
    }
}

/// A text is not what this crate writes; it is not repeated, as it may hold a secret.
#[derive(Debug, thiserror::Error)]
#[error("a stored registration cannot be read, at column {}", .0.column())]
struct Unreadable(serde_json::Error);
