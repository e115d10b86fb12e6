//! What happened, for logs, metrics and lockout: one [`Event`] for each outcome, and nothing secret in it.
//!
//! ```
//! use client_credentials::{AuthorizationServer, Config, Outcome, store::{MemoryClientStore, MemoryTokenStore}};
//!
//! let server = AuthorizationServer::new(
//!     Config::new("https://as.example.com"),
//!     MemoryClientStore::default(),
//!     MemoryTokenStore::default(),
//! )?
//! .on_event(|event| match event.outcome {
//!     Outcome::Refused(error) => eprintln!("{event}"), // count by `error.reason()`, block by `event.peer`
//!     _ => {}
//! });
//! # Ok::<(), client_credentials::ConfigError>(())
//! ```

use crate::client::AuthenticationMethod;
use crate::clock::Timestamp;
use crate::error::TokenError;
use std::fmt;
use std::net::IpAddr;

/// An endpoint of an authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// RFC 6749 §3.2.
    Token,
    /// RFC 7662 §2.
    Introspection,
    /// RFC 7009 §2.
    Revocation,
    /// RFC 8414 §3.
    Metadata,
    /// RFC 7517 §5.
    Jwks,
}

impl Endpoint {
    /// A word for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Introspection => "introspection",
            Self::Revocation => "revocation",
            Self::Metadata => "metadata",
            Self::Jwks => "jwks",
        }
    }
}

/// One decision of the server.
///
/// Given by reference to the callback of [`on_event`](crate::AuthorizationServer::on_event), on the thread that decided.
/// `Display` writes one line of `name=value` pairs; text of the request is escaped and cut in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The realm, by its issuer.
    pub issuer: &'a str,
    /// What was asked.
    pub endpoint: Endpoint,
    /// The client: proven where `method` is there, else what a stranger wrote.
    pub client_id: Option<Claimed<'a>>,
    /// How the client authenticated, where it did.
    pub method: Option<&'a AuthenticationMethod>,
    /// Which of its secrets it used, so that an old one can be retired.
    pub secret_id: Option<&'a str>,
    /// Which issuer spoke for the client, where it did not speak for itself.
    pub federated_issuer: Option<&'a str>,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// What became of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// A token was issued and stored.
    Issued {
        /// The token's identifier, as introspection shows it.
        jti: &'a str,
        /// What it permits.
        scope: &'a str,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// The request was refused; [`TokenError::reason`] says why.
    Refused(&'a TokenError),
    /// A caller was told about a token.
    Introspected {
        /// Whether it was told that the token is active.
        active: bool,
        /// The token's identifier, when active.
        jti: Option<&'a str>,
    },
    /// A token was revoked, or there was nothing to revoke.
    Revoked {
        /// The token's identifier; `None` when the token was unknown or past.
        jti: Option<&'a str>,
    },
}

/// Text of a request, for logs: `Display` escapes control characters, quotes and all that is not printable, and cuts at 128 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claimed<'a>(&'a str);

impl<'a> Claimed<'a> {
    /// Text that came from outside.
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text as it came: a key for counting, not for printing.
    pub fn as_raw(&self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Claimed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, 128, f)
    }
}

/// Writes `text` so that it stays within quotes and on its line, at most `limit` characters of it.
fn escape(text: &str, limit: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_plain = |octet: u8| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\'' | b'\\');
    if text.len() <= limit && text.bytes().all(is_plain) {
        return f.write_str(text);
    }
    let mut characters = text.chars();
    for character in characters.by_ref().take(limit) {
        write!(f, "{}", character.escape_debug())?;
    }
    if characters.next().is_some() { f.write_str("…") } else { Ok(()) }
}

impl fmt::Debug for Claimed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "endpoint={} issuer={}", self.endpoint.as_str(), self.issuer)?;
        if let Some(client_id) = &self.client_id {
            write!(f, " client_id=\"{client_id}\"")?;
        }
        if let Some(method) = self.method {
            write!(f, " method={method}")?;
        }
        if let Some(secret_id) = self.secret_id {
            write!(f, " secret_id=\"{}\"", Claimed::new(secret_id))?;
        }
        if let Some(issuer) = self.federated_issuer {
            write!(f, " federated_issuer=\"{}\"", Claimed::new(issuer))?;
        }
        if let Some(peer) = self.peer {
            write!(f, " peer={peer}")?;
        }
        match &self.outcome {
            Outcome::Issued { jti, scope, expires_at } => {
                write!(f, " outcome=issued jti={jti} scope=\"{scope}\" expires_at={expires_at}")
            }
            Outcome::Refused(error) => {
                let (status, code) = (error.status(), error.code());
                write!(f, " outcome=refused status={status} error={code} reason=\"")?;
                escape(&error.reason().to_string(), 1024, f)?;
                let mut source = std::error::Error::source(error.reason());
                while let Some(cause) = source {
                    f.write_str("\" cause=\"")?;
                    escape(&cause.to_string(), 1024, f)?;
                    source = cause.source();
                }
                f.write_str("\"")
            }
            Outcome::Introspected { active, jti } => {
                write!(f, " outcome=introspected active={active}")?;
                jti.map_or(Ok(()), |jti| write!(f, " jti={jti}"))
            }
            Outcome::Revoked { jti } => {
                f.write_str(" outcome=revoked")?;
                jti.map_or(Ok(()), |jti| write!(f, " jti={jti}"))
            }
        }
    }
}
