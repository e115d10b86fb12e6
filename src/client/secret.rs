//! Client secrets: how they are made, kept and checked, and how one replaces another.
//!
//! A generated secret has 256 bits, so one SHA-256 keeps it; a secret that a person chose needs Argon2id (feature
//! `argon2`). Nothing but the hash is ever kept.
//!
//! ```
//! use client_credentials::{ClientSecret, RegisteredSecret, SecretVerifier, SystemRandom, Timestamp};
//!
//! let secret = ClientSecret::generate(&SystemRandom)?;
//! let mut old = RegisteredSecret::new("2026", SecretVerifier::sha256(secret.expose()));
//! old.expires_at = Some(Timestamp::from_secs(1_800_000_000)); // its successor is registered beside it until then
//! # Ok::<(), client_credentials::RandomError>(())
//! ```

#[cfg(feature = "argon2")]
use super::argon2id;
use crate::clock::Timestamp;
#[cfg(feature = "jwt")]
use crate::jose::MacKey;
use crate::random::{RandomError, RandomSource};
use crate::token::decode_digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, fmt, str::FromStr};
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// Octets of a secret, at most: a longer one is a fault in a registration, and wrong where it is presented.
pub(crate) const MAX_SECRET_OCTETS: usize = 1024;

/// A secret in clear, as it is handed to an operator. Debug is redacted, the memory is wiped on drop.
///
/// There is no `==` on it: secrets are compared by their digests, in constant time.
///
/// ```compile_fail,E0369
/// # // req: SE-001
/// use client_credentials::{ClientSecret, SystemRandom};
/// let (one, other) = (ClientSecret::generate(&SystemRandom).unwrap(), ClientSecret::generate(&SystemRandom).unwrap());
/// let same = one == other;
/// ```
#[derive(Clone)]
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// A new secret: 32 random octets as 43 characters of base64url.
    ///
    /// # Errors
    /// [`RandomError`] when the source has nothing to give.
    pub fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        let mut octets = Zeroizing::new([0; 32]);
        random.fill(&mut *octets)?;
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(*octets))))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// One of a client's secrets: its name for the log, its verifier, and when it ends.
///
/// Several may stand at once; a success event names the one that was used, so that the old one can be retired when it
/// no longer appears.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RegisteredSecret {
    /// What events call it; nothing secret.
    pub id: String,
    /// How it is checked.
    #[serde(rename = "hash")]
    pub verifier: SecretVerifier,
    /// From this moment on it is refused; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The secret itself, for `client_secret_jwt` alone.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_key: Option<MacKey>,
}

impl RegisteredSecret {
    /// A secret that does not expire.
    pub fn new(id: impl Into<String>, verifier: SecretVerifier) -> Self {
        Self {
            id: id.into(),
            verifier,
            expires_at: None,
            #[cfg(feature = "jwt")]
            mac_key: None,
        }
    }

    pub(crate) fn stands_at(&self, at: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| at < end)
    }
}

/// What is kept of a secret: enough to check it, useless to present.
///
/// Text form: `sha256:` and 43 characters of base64url, or a PHC string (`$argon2id$…`). Debug is redacted.
#[derive(Clone)]
pub struct SecretVerifier(Kind);

#[derive(Clone)]
enum Kind {
    Sha256([u8; 32]),
    #[cfg(feature = "argon2")]
    Argon2id(std::sync::Arc<str>),
}

/// The text is no verifier that this build can check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret's hash {problem}")]
#[non_exhaustive]
pub struct InvalidVerifier {
    pub(crate) problem: &'static str,
}

impl SecretVerifier {
    /// For a generated secret: its SHA-256. A secret that a person chose could be guessed from that; see `argon2id`.
    pub fn sha256(secret: &str) -> Self {
        Self::of_octets(secret.as_bytes())
    }

    pub(crate) fn of_octets(secret: &[u8]) -> Self {
        Self(Kind::Sha256(Sha256::digest(secret).into()))
    }

    /// For a chosen secret: Argon2id with 19 MiB, two passes, one lane, and a random salt (RFC 9106, OWASP's figures).
    ///
    /// Takes tens of milliseconds.
    ///
    /// # Errors
    /// [`RandomError`] when `random` has nothing to give for the salt, or the memory cannot be had.
    #[cfg(feature = "argon2")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "argon2")))]
    pub fn argon2id(secret: &str, random: &dyn RandomSource) -> Result<Self, RandomError> {
        argon2id::hash(secret, random).map(|phc| Self(Kind::Argon2id(phc)))
    }

    /// The text form, for a store to keep: no secret, but nothing for a log either.
    pub fn to_text(&self) -> String {
        match &self.0 {
            Kind::Sha256(digest) => format!("sha256:{}", URL_SAFE_NO_PAD.encode(digest)),
            #[cfg(feature = "argon2")]
            Kind::Argon2id(phc) => phc.to_string(),
        }
    }

    /// What checking it costs.
    pub fn kind(&self) -> VerifierKind {
        match &self.0 {
            Kind::Sha256(_) => VerifierKind::Sha256,
            #[cfg(feature = "argon2")]
            Kind::Argon2id(_) => VerifierKind::Argon2id,
        }
    }

    /// Whether `digest` is the SHA-256 of the secret, in constant time; no for a verifier of another kind.
    pub(crate) fn matches_digest(&self, digest: &[u8; 32]) -> bool {
        match &self.0 {
            // Word by word: an eighth of the work of octet by octet, and as constant.
            Kind::Sha256(own) => {
                let words = own.as_chunks::<8>().0.iter().zip(digest.as_chunks::<8>().0);
                let same = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a).ct_eq(&u64::from_ne_bytes(*b));
                words.map(same).fold(Choice::from(1), |all, word| all & word).into()
            }
            #[cfg(feature = "argon2")]
            Kind::Argon2id(_) => false,
        }
    }

    /// The PHC string, where checking needs a slow hash.
    #[cfg(feature = "argon2")]
    pub(crate) fn slow(&self) -> Option<&std::sync::Arc<str>> {
        match &self.0 {
            Kind::Sha256(_) => None,
            Kind::Argon2id(phc) => Some(phc),
        }
    }
}

/// A kind of verifier, for [`Config::unknown_client_work`](crate::Config::unknown_client_work).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum VerifierKind {
    /// One SHA-256: right where all secrets are generated ones.
    #[default]
    Sha256,
    /// One Argon2id: right where a client has a chosen secret (feature `argon2`).
    #[cfg(feature = "argon2")]
    Argon2id,
}

impl VerifierKind {
    /// A verifier of this kind that no known secret matches.
    pub(crate) fn unmatched(self) -> SecretVerifier {
        SecretVerifier(match self {
            Self::Sha256 => Kind::Sha256([0; 32]),
            #[cfg(feature = "argon2")]
            Self::Argon2id => Kind::Argon2id(argon2id::UNMATCHED.into()),
        })
    }
}

/// The SHA-256 of a presented secret.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl FromStr for SecretVerifier {
    type Err = InvalidVerifier;

    fn from_str(text: &str) -> Result<Self, InvalidVerifier> {
        if let Some(digest) = text.strip_prefix("sha256:") {
            let problem = "must have 43 characters of base64url after `sha256:`";
            return decode_digest(digest).map(|digest| Self(Kind::Sha256(digest))).ok_or(InvalidVerifier { problem });
        }
        if !text.starts_with("$argon2id$") {
            return Err(InvalidVerifier { problem: "must be `sha256:` and base64url, or a PHC string of Argon2id" });
        }
        #[cfg(feature = "argon2")]
        return argon2id::check(text).map(|()| Self(Kind::Argon2id(text.into())));
        #[cfg(not(feature = "argon2"))]
        Err(InvalidVerifier { problem: "of Argon2id needs the feature `argon2`" })
    }
}

impl fmt::Debug for SecretVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Sha256(_) => "SecretVerifier(sha256:..)",
            #[cfg(feature = "argon2")]
            Kind::Argon2id(_) => "SecretVerifier($argon2id$..)",
        })
    }
}

impl Serialize for SecretVerifier {
    /// Writes the text form.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for SecretVerifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Drop for SecretVerifier {
    fn drop(&mut self) {
        match &mut self.0 {
            Kind::Sha256(digest) => digest.zeroize(),
            #[cfg(feature = "argon2")]
            Kind::Argon2id(_) => {} // shared, salted and slow to attack
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::ZeroizeOnDrop;

    /// What holds a secret in clear is of a type that wipes itself.
    #[test]
    // req: SE-009
    fn secrets_are_wiped() {
        fn wiped(_: &impl ZeroizeOnDrop) {}
        wiped(&ClientSecret::generate(&crate::SystemRandom).unwrap().0);
        wiped(&crate::token::AccessToken::from("token").0);
    }

    #[test]
    // req: SE-001, CA-047
    fn a_digest_matches_itself_alone() {
        let (own, other) = (SecretVerifier::sha256("secret"), SecretVerifier::sha256("Secret"));
        assert!(own.matches_digest(&digest("secret")) && !other.matches_digest(&digest("secret")));
        for octet in 0..32 {
            let mut near = digest("secret");
            near[octet] ^= 1;
            assert!(!own.matches_digest(&near), "octet {octet}");
        }
    }
}
