//! The key of `client_secret_jwt`: a raw secret, of a type that no JWK can become (RFC 7518 §3.2, RFC 8725 §3.1).

use super::JwsAlgorithm;
use super::jws::{InvalidJwt, Jws};
use super::signing::InvalidKey;
use crate::client::{SecretVerifier, VerifierKind};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// Octets of a key, at least: those of HS256.
const MIN: usize = 32;
/// Octets of a key, at most: those of a client secret.
const MAX: usize = 1024;

/// The raw secret of a client that authenticates by `client_secret_jwt`; Debug is redacted, the memory is wiped on drop.
///
/// Unlike other secrets it cannot be kept as a hash: both sides compute the same MAC. Its serde form is the key itself, in
/// base64url, so what a client with such a key serialises to is a secret. Prefer `private_key_jwt`.
///
/// OpenID Connect Core §9.
#[derive(Clone)]
pub struct MacKey(Zeroizing<Vec<u8>>);

impl MacKey {
    /// A key of these octets: of a secret's text, its UTF-8.
    ///
    /// # Errors
    /// [`InvalidKey`] for fewer than 32 octets or more than 1024. HS384 takes keys of 48 octets, HS512 of 64.
    pub fn new(octets: impl Into<Vec<u8>>) -> Result<Self, InvalidKey> {
        let octets = Zeroizing::new(octets.into());
        let fits = (MIN..=MAX).contains(&octets.len());
        if fits { Ok(Self(octets)) } else { Err(InvalidKey { problem: "of a MAC must have 32 to 1024 octets" }) }
    }

    /// The key itself.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }

    /// What `client_secret_basic` and `client_secret_post` would check the same secret with.
    pub(crate) fn verifier(&self) -> SecretVerifier {
        SecretVerifier::of_octets(&self.0)
    }

    /// Whether a hash is known to be that of another secret; a slow one is not computed.
    pub(crate) fn differs_from(&self, hash: &SecretVerifier) -> bool {
        hash.kind() == VerifierKind::Sha256 && !hash.matches_digest(&Sha256::digest(&*self.0).into())
    }

    /// Whether the MAC is this key's, in constant time.
    pub(crate) fn verify(&self, jws: &Jws<'_>, algorithm: JwsAlgorithm) -> Result<(), InvalidJwt> {
        let (mac, least) = algorithm.hmac().ok_or(InvalidJwt::Algorithm("is none of a MAC"))?;
        if self.0.len() < least {
            return Err(InvalidJwt::Algorithm("needs a longer secret"));
        }
        let key = hmac::Key::new(mac, &self.0);
        hmac::verify(&key, jws.message().as_bytes(), jws.signature()).map_err(|_| InvalidJwt::Signature)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

impl Serialize for MacKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(URL_SAFE_NO_PAD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for MacKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let octets = URL_SAFE_NO_PAD.decode(text.as_str()).map_err(|_| de::Error::custom("expected base64url"))?;
        Self::new(octets).map_err(de::Error::custom)
    }
}

/// A key that this server makes tags with, for itself and for others that share it.
#[cfg(feature = "dpop")]
pub(crate) struct TagKey(hmac::Key);

#[cfg(feature = "dpop")]
impl TagKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(crate) fn tag(&self, message: &[u8]) -> [u8; 32] {
        hmac::sign(&self.0, message).as_ref().try_into().unwrap_or_default()
    }

    /// In constant time.
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, message, tag).is_ok()
    }
}
