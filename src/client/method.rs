//! How a client proves who it is: the methods of RFC 7591 §2, and how Basic is written.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// How a client proves who it is: the values of `token_endpoint_auth_method` (RFC 7591 §2, RFC 8705 §2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthenticationMethod {
    /// Id and secret in the `Authorization` header (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// Id and secret in the body (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// A JWT with an HMAC of the secret (RFC 7523 §2.2, OpenID Connect Core §9); feature `jwt`.
    ClientSecretJwt,
    /// A JWT signed with the client's key (RFC 7523 §2.2), or by an issuer that it trusts; feature `jwt`.
    PrivateKeyJwt,
    /// A TLS certificate that chains to a trusted root (RFC 8705 §2.1); feature `mtls`.
    TlsClientAuth,
    /// A TLS certificate that the client registered (RFC 8705 §2.2); feature `mtls`.
    SelfSignedTlsClientAuth,
    /// No authentication: a public client, which never gets this grant (RFC 6749 §4.4).
    None,
    /// The embedder authenticates the client by means of its own
    /// ([`vouch_for`](crate::AuthorizationServer::vouch_for)); no request is enough. A name of this crate's, `custom`.
    Custom,
    /// A value that this crate does not know; a fault in a registration.
    Other(String),
}

impl AuthenticationMethod {
    /// The methods of this build that a server can enable.
    pub(crate) const AVAILABLE: &[Self] = &[
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        #[cfg(feature = "jwt")]
        Self::ClientSecretJwt,
        #[cfg(feature = "jwt")]
        Self::PrivateKeyJwt,
        #[cfg(feature = "mtls")]
        Self::TlsClientAuth,
        #[cfg(feature = "mtls")]
        Self::SelfSignedTlsClientAuth,
    ];

    const NAMES: [(&'static str, Self); 8] = [
        ("client_secret_basic", Self::ClientSecretBasic),
        ("client_secret_post", Self::ClientSecretPost),
        ("client_secret_jwt", Self::ClientSecretJwt),
        ("private_key_jwt", Self::PrivateKeyJwt),
        ("tls_client_auth", Self::TlsClientAuth),
        ("self_signed_tls_client_auth", Self::SelfSignedTlsClientAuth),
        ("none", Self::None),
        ("custom", Self::Custom),
    ];

    /// The name in registrations, for example `client_secret_basic`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(text) => text,
            known => Self::NAMES.iter().find(|(_, method)| method == known).map_or("", |(name, _)| name),
        }
    }

    pub(super) fn needs_secret(&self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

impl From<&str> for AuthenticationMethod {
    fn from(name: &str) -> Self {
        let known = Self::NAMES.into_iter().find(|(known, _)| *known == name);
        known.map_or_else(|| Self::Other(name.to_owned()), |(_, method)| method)
    }
}

impl fmt::Display for AuthenticationMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => write!(f, "{}", text.escape_debug()),
            known => f.write_str(known.as_str()),
        }
    }
}

impl Serialize for AuthenticationMethod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AuthenticationMethod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok((&*Cow::<'de, str>::deserialize(deserializer)?).into())
    }
}

/// How a client writes its id and secret inside `Authorization: Basic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BasicEncoding {
    /// Each form-encoded first, as RFC 6749 §2.3.1 demands.
    #[default]
    Form,
    /// As they are: what some client libraries send. Where the header could also be read as another client's that is
    /// registered for `form`, it is that client's.
    Raw,
}
