//! Realms: several servers behind PingAM-style paths.
//!
//! | path below the mount | realm |
//! |---|---|
//! | `/oauth2/access_token`, `/oauth2/realms/root/access_token` | `/` |
//! | `/oauth2/realms/root/realms/alpha/access_token` | `/alpha` |
//! | `/oauth2/realms/root/realms/alpha/realms/beta/access_token` | `/alpha/beta` |
//!
//! Each is a server of its own, with its own issuer; even in a shared store none knows the tokens of another.
//!
//! ```
//! use client_credentials::{AuthorizationServer, Config, Endpoint, Realms, store::{MemoryClientStore, MemoryTokenStore}};
//!
//! let server = |config| AuthorizationServer::new(config, MemoryClientStore::default(), MemoryTokenStore::default());
//! let config = Config::new("https://as.example.com");
//! let realms = Realms::new(server(config.clone())?).with_realm("/alpha", server(config.for_realm("/alpha"))?)?;
//!
//! let route = realms.route("/oauth2/realms/root/realms/alpha/access_token").ok_or("not found")?;
//! assert_eq!((route.realm, route.endpoint), ("/alpha", Endpoint::Token));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::audit::Endpoint;
use crate::client::{ClientStore, Fault};
use crate::metadata::{WELL_KNOWN, metadata_path};
use crate::server::AuthorizationServer;
use crate::token::TokenStore;
use std::collections::BTreeMap;
use std::fmt;

/// Octets of a path, at most; a longer one leads nowhere.
const MAX_PATH: usize = 2048;

/// Servers by realm.
pub struct Realms<C, T> {
    mount: String,
    servers: BTreeMap<String, AuthorizationServer<C, T>>,
    root: String,
}

/// Where a path leads.
#[derive(Debug)]
#[non_exhaustive]
pub struct Route<'a, C, T> {
    /// The realm's path, for example `/alpha`.
    pub realm: &'a str,
    /// Its server.
    pub server: &'a AuthorizationServer<C, T>,
    /// What is asked of it.
    pub endpoint: Endpoint,
}

impl<C: ClientStore, T: TokenStore> Realms<C, T> {
    /// One server, as the top-level realm.
    pub fn new(root: AuthorizationServer<C, T>) -> Self {
        Self { mount: String::new(), root: "/".to_owned(), servers: [("/".to_owned(), root)].into_iter().collect() }
    }

    /// The same below a context path such as `/am`; slashes at its ends make no difference.
    #[must_use]
    pub fn mounted_at(self, mount: &str) -> Self {
        let mount = match mount.trim_matches('/') {
            "" => String::new(),
            path => format!("/{path}"),
        };
        Self { mount, ..self }
    }

    /// Adds a realm; `path` is `/` and a name, once for each level. The issuer of `server` must be its own.
    ///
    /// # Errors
    /// [`Fault`] for a malformed path, a realm that is there already, or an issuer that another realm has.
    pub fn with_realm(mut self, path: &str, server: AuthorizationServer<C, T>) -> Result<Self, Fault> {
        check_realm_path(path)?;
        let location = metadata_path(&server.issuer);
        if self.servers.values().any(|other| metadata_path(&other.issuer) == location) {
            return Err(Fault::new(
                realm_key(path),
                "its issuer is that of another realm, but for a final slash at most",
            ));
        }
        if self.servers.insert(path.to_owned(), server).is_some() {
            return Err(Fault::new(realm_key(path), "is there already"));
        }
        Ok(self)
    }

    /// The realms' paths and servers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AuthorizationServer<C, T>)> {
        self.servers.iter().map(|(path, server)| (path.as_str(), server))
    }

    /// Where the path of a request leads; `None` is 404.
    ///
    /// Compared exactly and case-sensitively. Escapes in a realm's name are decoded once; one that hides a separator leads
    /// nowhere, as do empty and dot segments. Nothing but the path chooses a realm.
    pub fn route(&self, path: &str) -> Option<Route<'_, C, T>> {
        if path.len() > MAX_PATH {
            return None;
        }
        if path.starts_with(WELL_KNOWN) {
            return self.route_metadata(path);
        }
        let below = path.strip_prefix(self.mount.as_str())?.strip_prefix("/oauth2/")?;
        let (realm, endpoint) = match below.strip_prefix("realms/root/") {
            None => (String::new(), below),
            Some(below) => split_realm(below)?,
        };
        let endpoint = match endpoint {
            "access_token" | "token" => Endpoint::Token,
            "introspect" => Endpoint::Introspection,
            "token/revoke" => Endpoint::Revocation,
            "connect/jwk_uri" => Endpoint::Jwks,
            other if Some(other) == WELL_KNOWN.get(1..) => Endpoint::Metadata,
            _ => return None,
        };
        let realm = if realm.is_empty() { &self.root } else { &realm };
        let (realm, server) = self.servers.get_key_value(realm)?;
        Some(Route { realm, server, endpoint })
    }

    /// RFC 8414 §3.1: the path of each issuer behind the well-known part; without a path, the top-level realm.
    fn route_metadata(&self, path: &str) -> Option<Route<'_, C, T>> {
        let of_issuer = self.servers.iter().find(|(_, server)| metadata_path(&server.issuer) == path);
        let (realm, server) = match of_issuer {
            Some(found) => found,
            None if path == WELL_KNOWN => self.servers.get_key_value(&self.root)?,
            None => return None,
        };
        Some(Route { realm, server, endpoint: Endpoint::Metadata })
    }
}

impl<C, T> fmt::Debug for Realms<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realms")
            .field("mount", &self.mount)
            .field("realms", &self.servers.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Reads `realms/<name>/` as often as it stands, and hands back the realm's path and what is left.
fn split_realm(mut below: &str) -> Option<(String, &str)> {
    let mut realm = String::new();
    while let Some(rest) = below.strip_prefix("realms/") {
        let (name, rest) = rest.split_once('/')?;
        realm.push('/');
        realm.push_str(&decode_segment(name).filter(|name| is_name(name))?);
        below = rest;
    }
    Some((realm, below))
}

/// Decodes the escapes of one path segment, once; `+` is a plus sign here (RFC 3986 §2.1).
fn decode_segment(segment: &str) -> Option<String> {
    let escaped = segment.replace('+', "%2B");
    crate::form::decode(escaped.as_bytes()).ok().map(|name| name.into_owned())
}

/// Whether a text can name a realm: what could be mistaken for another path cannot.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.chars().any(|letter| matches!(letter, '/' | '\\') || letter.is_control())
}

/// Whether a text can be a realm's path: `/` and a name for each level, such as `/alpha/beta`.
///
/// # Errors
/// [`Fault`] for a malformed one, naming the realm.
pub fn check_realm_path(path: &str) -> Result<(), Fault> {
    if is_realm_path(path) {
        return Ok(());
    }
    let problem = "a realm's path is / and a name for each level, without empty, . or .. names";
    Err(Fault::new(realm_key(path), problem))
}

/// How a configuration names a realm.
fn realm_key(path: &str) -> String {
    format!("realms.{path:?}")
}

fn is_realm_path(path: &str) -> bool {
    path.len() <= MAX_PATH / 2 && path.strip_prefix('/').is_some_and(|names| names.split('/').all(is_name))
}

/// `/alpha/beta` as it stands in a URL: each name with its escapes.
pub(crate) fn encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for octet in path.bytes() {
        if octet.is_ascii_alphanumeric() || b"/-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

/// `/alpha/beta` as PingAM writes it before an endpoint: `/realms/root/realms/alpha/realms/beta`.
pub(crate) fn endpoint_path(path: &str) -> String {
    format!("/realms/root{}", encode(path).replace('/', "/realms/"))
}
