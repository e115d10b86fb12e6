//! What a client gets, and how it is kept: tokens, the records behind them, and the [`TokenStore`].
//!
//! A store of one's own is a map of [`RecordKey`] to [`Record`]; see the example `custom_store`.
//!
//! ```
//! use client_credentials::{AccessToken, Claims, InvalidClaim};
//!
//! let token = AccessToken::from("2YotnFZFEjr1zCsicMWpAA");
//! assert_eq!(format!("{token:?}"), "AccessToken(..)"); // never in a log
//!
//! let mut claims = Claims::default();
//! claims.insert("tenant", "blue")?;
//! assert!(claims.insert("sub", "somebody else").is_err());
//! # Ok::<(), InvalidClaim>(())
//! ```

#[cfg(feature = "dpop")]
pub(crate) mod dpop;
#[cfg(feature = "jwt")]
pub(crate) mod jwt;
pub(crate) mod opaque;

use crate::authorization_details::AuthorizationDetails;
use crate::client::ClientId;
use crate::clock::Timestamp;
use crate::resource::Audience;
use crate::scope::Scope;
use crate::store::StoreError;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::future::Future;
use std::sync::Arc;
use std::{borrow::Cow, fmt};
use zeroize::Zeroizing;

/// An access token as the client gets it. Debug is redacted, the memory is wiped on drop.
#[derive(Clone)]
pub struct AccessToken(pub(crate) Zeroizing<String>);

impl AccessToken {
    /// The token itself; handle it like a password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<S: Into<String>> From<S> for AccessToken {
    fn from(token: S) -> Self {
        Self(Zeroizing::new(token.into()))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

impl Serialize for AccessToken {
    /// Writes the token in clear: this is the member of the answer.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// How the token is to be presented (RFC 6749 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TokenType {
    /// Whoever has the token may use it (RFC 6750), unless it is bound to a certificate (RFC 8705).
    Bearer,
    /// To be presented with a DPoP proof of the key it is bound to (RFC 9449).
    DPoP,
}

impl TokenType {
    /// The value of `token_type`, for example `Bearer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::DPoP => "DPoP",
        }
    }
}

/// The format of access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AccessTokenFormat {
    /// Random text that says nothing; its meaning is in the [`TokenStore`]. 43 characters after the configured prefix.
    #[default]
    Opaque,
    /// A signed JWT (RFC 9068), which a resource server can check by itself (feature `jwt`; without it a configuration that
    /// asks for it is refused by name).
    ///
    /// Whoever checks it locally sees neither a revocation nor `disabled` and `tokens_not_before` of the client: those show
    /// at introspection alone, and at the token's end. Choose it with a short life.
    Jwt,
}

/// A SHA-256 thumbprint of a key or a certificate; base64url in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// The thumbprint with these octets.
    pub const fn from_bytes(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Its octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The `cnf` claim: the key that the holder of a token must prove to have (RFC 7800).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Confirmation {
    /// Thumbprint of a DPoP key (RFC 9449 §6.1).
    #[serde(rename = "jkt")]
    Jkt(Thumbprint),
    /// Thumbprint of a certificate (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    X5tS256(Thumbprint),
}

impl Confirmation {
    /// The `token_type` of a token with this confirmation: a certificate-bound token is still `Bearer` (RFC 8705 §3).
    pub(crate) fn token_type(this: Option<&Self>) -> TokenType {
        match this {
            Some(Self::Jkt(_)) => TokenType::DPoP,
            Some(Self::X5tS256(_)) | None => TokenType::Bearer,
        }
    }
}

/// Claims of the embedder's own, for introspection answers.
///
/// The names that the protocol gives a meaning are reserved: a claim can add to a token, never change what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims(Option<Box<Map<String, Value>>>);

/// The names of RFC 7519 §4.1, RFC 7662 §2.2, RFC 9068 §2.2, RFC 7800 §3.1, RFC 9396 §9, RFC 8693 §4 and RFC 9701 §5, which
/// the server speaks for; and `error`, by which clients tell a refusal.
const RESERVED: [&str; 21] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "active",
    "scope",
    "client_id",
    "username",
    "token_type",
    "cnf",
    "authorization_details",
    "act",
    "may_act",
    "auth_time",
    "acr",
    "amr",
    "error",
    "token_introspection",
];

/// The claim's name is one that the protocol gives a meaning, or its value cannot be written as JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim {0:?} is reserved, or its value is no JSON")]
#[non_exhaustive]
pub struct InvalidClaim(pub String);

impl Claims {
    /// Sets one claim, in place of an earlier one of that name.
    ///
    /// # Errors
    /// [`InvalidClaim`] for a name such as `sub`, `scope` or `cnf`, or a value that serialises to no JSON.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Serialize) -> Result<(), InvalidClaim> {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) if !RESERVED.contains(&name.as_str()) => {
                self.0.get_or_insert_default().insert(name, value);
                Ok(())
            }
            _ => Err(InvalidClaim(name)),
        }
    }

    /// What an issuer says beside the claims that the protocol gives a meaning.
    #[cfg(feature = "jwt")]
    pub(crate) fn of_others(members: Vec<(Cow<'_, str>, crate::jose::Member<'_>)>) -> Self {
        let others = members.into_iter().filter(|(name, _)| !RESERVED.contains(&&**name));
        let others: Map<_, _> = others.map(|(name, value)| (name.into_owned(), value.into())).collect();
        Self((!others.is_empty()).then(|| Box::new(others)))
    }

    /// Takes one claim out, and says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.as_mut().is_some_and(|claims| claims.remove(name).is_some())
    }

    /// The value of one claim; `None` where it is not there, or is no `V`.
    pub fn get<V: de::DeserializeOwned>(&self, name: &str) -> Option<V> {
        self.iter().find(|(own, _)| *own == name).and_then(|(_, value)| V::deserialize(value).ok())
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|claims| claims.is_empty())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        // A store may have been written to by somebody else; what is reserved stays reserved.
        let claims = self.0.iter().flat_map(|claims| claims.iter());
        claims.map(|(name, value)| (name.as_str(), value)).filter(|(name, _)| !RESERVED.contains(name))
    }
}

/// The key of a [`Record`]: a SHA-256 digest over issuer, kind and value.
///
/// No raw token is ever stored, and realms can share a store: the same value of another issuer or kind has another key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKey([u8; 32]);

impl RecordKey {
    /// The key with these octets, as a store kept them.
    pub const fn from_bytes(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Its 32 octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The `jti` of an opaque token with this key: its first half in base64url, so that it needs no storage and a log line or an
    /// introspection answer leads to the record.
    pub fn jti(&self) -> String {
        let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = &self.0;
        URL_SAFE_NO_PAD.encode(half)
    }
}

impl std::hash::Hash for RecordKey {
    /// Hashes the octets alone: a digest needs no length before it.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

macro_rules! digest_as_text {
    ($($digest:ident),*) => {$(
        impl fmt::Display for $digest {
            /// Writes base64url.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $digest {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($digest), "({})"), self)
            }
        }

        impl Serialize for $digest {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $digest {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                decode_digest(&Cow::<'de, str>::deserialize(deserializer)?)
                    .map(Self)
                    .ok_or_else(|| de::Error::custom("expected 32 octets in base64url"))
            }
        }
    )*};
}
digest_as_text!(RecordKey, Thumbprint);

/// Thirty-two octets from base64url without padding.
pub(crate) fn decode_digest(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// One expiring, write-once record of a [`TokenStore`].
///
/// Its serde form is what a database keeps in one column; the format must describe itself, as JSON does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// What it is found by.
    pub key: RecordKey,
    /// From this moment on the record counts as gone; always a whole second.
    pub expires_at: Timestamp,
    /// What it says.
    pub value: RecordValue,
}

impl Record {
    /// A record, as a store reads it back.
    pub fn new(key: RecordKey, expires_at: Timestamp, value: RecordValue) -> Self {
        Self { key, expires_at, value }
    }

    /// A value that was used and may not be used again before `until`, rounded up to a full second.
    pub(crate) fn one_time(key: RecordKey, until: Timestamp) -> Self {
        Self::new(key, until.rounded_up(), RecordValue::OneTime)
    }
}

/// What a [`Record`] stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordValue {
    /// An issued access token.
    AccessToken(TokenRecord),
    /// A value that may be used once, and was.
    OneTime,
    /// A signed token that was revoked before its end.
    Revoked,
}

/// What the server remembers of an access token; cloning shares the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenRecord {
    /// Whose token it is; also its `sub` (RFC 9068 §2.2).
    pub client_id: ClientId,
    /// What it permits.
    pub scope: Scope,
    /// For whom it is.
    #[serde(default, skip_serializing_if = "Audience::is_empty")]
    pub audience: Audience,
    /// When it was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// The key it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Box<Confirmation>>,
    /// Granted details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<AuthorizationDetails>,
    /// Claims of the embedder's own.
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
}

impl TokenRecord {
    /// A token for nobody in particular, bound to nothing.
    pub fn new(client_id: ClientId, scope: Scope, issued_at: Timestamp) -> Self {
        Self {
            client_id,
            scope,
            audience: Audience::default(),
            issued_at,
            confirmation: None,
            authorization_details: None,
            claims: Claims::default(),
        }
    }
}

/// Where tokens and one-time values are kept: three methods over expiring, write-once records.
///
/// The server judges expiry with its own clock; a store only forgets what is past, whenever it likes. Implemented for
/// `&S`, `Arc<S>` and `Box<S>` of every store `S`.
pub trait TokenStore: Send + Sync {
    /// Writes all records, or none, in one atomic step that every node on the store sees at once.
    ///
    /// A key that stands already and has not expired at `now` forbids the whole insert; the first such key is named.
    /// A record that has expired at `now` does not stand in the way. A key that stands twice in `records` forbids it too.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot say that the records are kept. Then none of them may be found later, except
    /// where the answer itself was lost on the way.
    fn insert(&self, records: &[Record], now: Timestamp) -> impl Future<Output = Result<Inserted, StoreError>> + Send;

    /// The record with this key, if the store still has it; an expired one may be given or withheld.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot tell.
    fn get(&self, key: &RecordKey) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Forgets the record with this key, and says whether there was one. Every node sees it at once.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot say that the record is gone.
    fn remove(&self, key: &RecordKey) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// The outcome of [`TokenStore::insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Inserted {
    /// Every record is kept.
    All,
    /// Nothing was written: this key stood already.
    Exists(RecordKey),
}

macro_rules! token_store_behind {
    ($($pointer:ty),*) => {$(
        impl<S: TokenStore + ?Sized> TokenStore for $pointer {
            fn insert(&self, records: &[Record], now: Timestamp) -> impl Future<Output = Result<Inserted, StoreError>> + Send {
                S::insert(self, records, now)
            }
            fn get(&self, key: &RecordKey) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send {
                S::get(self, key)
            }
            fn remove(&self, key: &RecordKey) -> impl Future<Output = Result<bool, StoreError>> + Send {
                S::remove(self, key)
            }
        }
    )*};
}
token_store_behind!(&S, Arc<S>, Box<S>);

/// Makes the keys of one issuer's records.
///
/// The first block of the hash is the same for an issuer and a kind, so its state is computed once: a key of an
/// ordinary token costs one compression.
#[derive(Clone)]
pub(crate) struct KeySpace {
    access_token: Sha256,
    one_time: Sha256,
    #[cfg(feature = "jwt")]
    revoked: Sha256,
    #[cfg(feature = "jwt")]
    assertion: Sha256,
    #[cfg(feature = "jwt")]
    federated: Sha256,
    #[cfg(feature = "dpop")]
    proof: Sha256,
}

impl KeySpace {
    pub(crate) fn new(issuer: &str) -> Self {
        let issuer = Sha256::digest(issuer);
        let space = |kind: &[u8; 32]| Sha256::new().chain_update(issuer).chain_update(kind);
        Self {
            access_token: space(b"client-credentials access_token\0"),
            one_time: space(b"client-credentials one_time\0\0\0\0\0"),
            #[cfg(feature = "jwt")]
            revoked: space(b"client-credentials revoked\0\0\0\0\0\0"),
            #[cfg(feature = "jwt")]
            assertion: space(b"client-credentials assertion\0\0\0\0"),
            #[cfg(feature = "jwt")]
            federated: space(b"client-credentials federated\0\0\0\0"),
            #[cfg(feature = "dpop")]
            proof: space(b"client-credentials dpop_proof\0\0\0"),
        }
    }

    pub(crate) fn access_token(&self, token: &str) -> RecordKey {
        RecordKey(self.access_token.clone().chain_update(token).finalize().into())
    }

    /// The key of the record that says that a signed token was revoked.
    #[cfg(feature = "jwt")]
    pub(crate) fn revoked(&self, jti: &str) -> RecordKey {
        RecordKey(self.revoked.clone().chain_update(jti).finalize().into())
    }

    /// The key of a one-time value of one client: two clients may use the same value.
    pub(crate) fn one_time(&self, client_id: &ClientId, value: &str) -> RecordKey {
        of_client(&self.one_time, client_id, value)
    }

    /// The key of the `jti` of an assertion that the client made itself.
    #[cfg(feature = "jwt")]
    pub(crate) fn assertion(&self, client_id: &ClientId, jti: &str) -> RecordKey {
        of_client(&self.assertion, client_id, jti)
    }

    /// The key of the `jti` of a DPoP proof: each key counts by itself.
    #[cfg(feature = "dpop")]
    pub(crate) fn proof(&self, jkt: &Thumbprint, jti: &str) -> RecordKey {
        RecordKey(self.proof.clone().chain_update(jkt.0).chain_update(jti).finalize().into())
    }

    /// The key of the `jti` of an assertion that `issuer` made about the client: each issuer counts by itself.
    #[cfg(feature = "jwt")]
    pub(crate) fn federated(&self, client_id: &ClientId, issuer: &str, jti: &str) -> RecordKey {
        of_client(&self.federated.clone().chain_update(Sha256::digest(issuer)), client_id, jti)
    }
}

fn of_client(space: &Sha256, client_id: &ClientId, value: &str) -> RecordKey {
    let client_id = Sha256::digest(client_id.as_str());
    RecordKey(space.clone().chain_update(client_id).chain_update(value).finalize().into())
}

impl fmt::Debug for KeySpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySpace(..)")
    }
}
