//! Raw keys of clients, sealed for a database.

use crate::client::ClientId;
use crate::jose::{MacKey, SealKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;
use std::sync::Arc;

/// Keys that seal the raw secrets of `client_secret_jwt` in a client's text, see
/// [`Registrations::with_sealing_keys`](super::Registrations::with_sealing_keys). Debug is redacted, the memory is wiped on drop.
///
/// The first seals, each opens. To change the key: put the new one first, save each such client again
/// ([`change`](super::ClientRegistry::change) with a closure that changes nothing does), then take the old one out. Text that a lost
/// key has sealed is lost: those clients need new secrets.
///
/// AES-256-GCM-SIV with random nonces. A nonce that comes twice tells no more than that the same key was sealed twice for one place, so
/// the number of texts needs no count (RFC 8452 §9).
///
/// ```
/// use client_credentials::store::{Registrations, SealingKeys};
///
/// let key = [0x2a; 32]; // 32 random octets from where the operator keeps secrets, not from the database
/// let registrations = Registrations::new("https://as.example.com").with_sealing_keys(SealingKeys::new([key])?);
/// # Ok::<(), client_credentials::store::InvalidSealingKeys>(())
/// ```
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
#[derive(Clone)]
pub struct SealingKeys(Arc<[SealKey]>);

/// A sealing key does not have 32 octets, or there is none.
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealing key must have 32 octets, and there must be one")]
#[non_exhaustive]
pub struct InvalidSealingKeys;

impl SealingKeys {
    /// Sealing by the first of these keys: 32 random octets each.
    ///
    /// # Errors
    /// [`InvalidSealingKeys`] for a key of another length, or none at all.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Self, InvalidSealingKeys> {
        let read = |key: K| SealKey::new(key.as_ref()).ok_or(InvalidSealingKeys);
        let keys = keys.into_iter().map(read).collect::<Result<Arc<[_]>, _>>()?;
        if keys.is_empty() { Err(InvalidSealingKeys) } else { Ok(Self(keys)) }
    }

    /// The text of a client's raw key, for this place alone.
    pub(super) fn seal(&self, place: &Place<'_>, mac_key: &MacKey) -> Result<String, SealingError> {
        let key = self.0.first().ok_or(SealingError::NoKeys)?;
        let sealed = key.seal(&place.octets(), mac_key.octets()).ok_or(SealingError::Random)?;
        Ok(format!("{PREFIX}{}:{}", key.id(), URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// The raw key that was sealed for this place.
    pub(super) fn open(&self, place: &Place<'_>, text: &str) -> Result<MacKey, SealingError> {
        let sealed = text.strip_prefix(PREFIX).ok_or(SealingError::Raw)?;
        let (id, sealed) = sealed.split_once(':').ok_or(SealingError::Changed)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealingError::Changed)?;
        let key = self.0.iter().find(|key| key.id() == id).ok_or(SealingError::UnknownKey)?;
        let plain = key.open(&place.octets(), &sealed).ok_or(SealingError::Changed)?;
        MacKey::new(plain.as_slice()).map_err(|_| SealingError::Changed)
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeys({})", self.0.len())
    }
}

const PREFIX: &str = "sealed:";

pub(super) fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Where a raw key stands: sealed there, it opens nowhere else.
pub(super) struct Place<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a ClientId,
    pub(super) secret_id: &'a str,
}

impl Place<'_> {
    /// Each part behind its length, so that no two places look alike.
    fn octets(&self) -> Vec<u8> {
        let parts = ["client-credentials mac_key", self.issuer, self.client_id.as_str(), self.secret_id];
        parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.bytes())).collect()
    }
}

/// Why a client with a raw key is not kept, or not read. Nothing of the key is repeated.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum SealingError {
    #[error("a client has a raw key (client_secret_jwt), and there are no sealing keys for it")]
    NoKeys,
    #[error("the system has no random octets to seal a client's raw key")]
    Random,
    #[error("a stored registration has a raw key that is not sealed")]
    Raw,
    #[error("a client's raw key was sealed by a key that is not here")]
    UnknownKey,
    #[error("a client's sealed key was changed, or comes from another place")]
    Changed,
}
