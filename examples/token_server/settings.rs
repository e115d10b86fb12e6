//! The configuration file: TOML in, servers by realm out, every fault named with its key.

use crate::limiter::Limits;
#[cfg(feature = "mtls")]
use crate::tls::{self, Tls};
#[cfg(feature = "jwks-uri")]
use client_credentials::JwksCache;
#[cfg(feature = "postgres")]
use client_credentials::store::PostgresTokenStore;
#[cfg(feature = "redis")]
use client_credentials::store::RedisTokenStore;
#[cfg(feature = "sqlite")]
use client_credentials::store::SqliteTokenStore;
use client_credentials::store::{AnyClientStore, AnyTokenStore, MemoryClientStore, MemoryTokenStore};
#[cfg(feature = "jwt")]
use client_credentials::{AccessTokenFormat, SigningAlgorithm, SigningKey, SigningKeys};
#[cfg(feature = "mtls")]
use client_credentials::{AuthenticationMethod, Metadata};
use client_credentials::{AuthorizationServer, Client, Config, Event, Realms, VerifierKind, check_realm_path};
#[cfg(feature = "dpop")]
use client_credentials::{DpopNonces, SystemRandom};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
#[cfg(feature = "mtls")]
use std::net::IpAddr;
use std::path::PathBuf;

/// Servers whose stores were chosen at run time.
pub(crate) type Servers = Realms<AnyClientStore, AnyTokenStore>;

/// Keys that are [`Config`]'s.
const CONFIG: &[&str] = &[
    "scopes",
    "default_scopes",
    "scope_policy",
    "resources",
    "default_resources",
    "grant_types",
    "access_token_format",
    "access_token_lifetime",
    "access_token_prefix",
    "token_endpoint_auth_methods",
    "unknown_client_work",
    "issuer",
    #[cfg(feature = "rar")]
    "authorization_details_types",
    #[cfg(feature = "jwt")]
    "profile",
    #[cfg(feature = "jwt")]
    "signing_algorithms",
    #[cfg(feature = "jwt")]
    "token_endpoint_auth_signing_algs",
    #[cfg(feature = "jwt")]
    "assertion_max_lifetime",
    #[cfg(feature = "jwt")]
    "clock_skew",
    #[cfg(feature = "jwks-uri")]
    "jwks_uri_allowed_hosts",
    #[cfg(feature = "dpop")]
    "dpop_signing_algs",
];

/// Keys of a realm that are not [`Config`]'s.
const OTHER: &[&str] = &[
    "clients",
    "rate_limit",
    "signing_keys",
    #[cfg(feature = "dpop")]
    "dpop_nonce",
    #[cfg(feature = "dpop")]
    "dpop_nonce_keys",
];

/// Keys of the page that this build cannot honour yet.
const LATER: &[&str] = &[
    #[cfg(not(feature = "jwt"))]
    "profile",
    #[cfg(not(feature = "jwt"))]
    "signing_algorithms",
    #[cfg(not(feature = "jwt"))]
    "signing_keys",
    #[cfg(not(feature = "jwt"))]
    "token_endpoint_auth_signing_algs",
    #[cfg(not(feature = "jwt"))]
    "assertion_max_lifetime",
    #[cfg(not(feature = "jwt"))]
    "clock_skew",
    #[cfg(not(feature = "jwks-uri"))]
    "jwks_uri_allowed_hosts",
    #[cfg(not(feature = "dpop"))]
    "dpop_nonce",
    #[cfg(not(feature = "dpop"))]
    "dpop_nonce_keys",
    #[cfg(not(feature = "dpop"))]
    "dpop_signing_algs",
    #[cfg(not(feature = "rar"))]
    "authorization_details_types",
    #[cfg(not(feature = "mtls"))]
    "tls_certificate",
    #[cfg(not(feature = "mtls"))]
    "tls_key",
    #[cfg(not(feature = "mtls"))]
    "client_ca",
    #[cfg(not(feature = "mtls"))]
    "trusted_proxies",
];

/// Stores of the page that this build has not.
const OTHER_STORES: &[&str] = &[
    #[cfg(not(feature = "sqlite"))]
    "sqlite",
    #[cfg(not(feature = "postgres"))]
    "postgres",
    #[cfg(not(feature = "postgres"))]
    "postgresql",
    #[cfg(not(feature = "redis"))]
    "redis",
    #[cfg(not(feature = "redis"))]
    "rediss",
];

/// Keys that no realm has of its own.
const ONLY_AT_THE_TOP: &[&str] = &[
    "listen",
    "issuer",
    "store",
    #[cfg(feature = "mtls")]
    "tls_certificate",
    #[cfg(feature = "mtls")]
    "tls_key",
    #[cfg(feature = "mtls")]
    "client_ca",
    #[cfg(feature = "mtls")]
    "trusted_proxies",
];

#[cfg(feature = "mtls")]
const NO_CERTIFICATES: &str = "no certificate can get here: needs client_ca or trusted_proxies";

/// A file that has been read, and not judged yet.
pub(crate) struct Settings {
    /// Where relative file names start.
    #[cfg_attr(
        not(any(feature = "jwt", feature = "sqlite")),
        expect(dead_code, reason = "only keys and stores are in files")
    )]
    folder: PathBuf,
    root: Map<String, Value>,
    realms: BTreeMap<String, Map<String, Value>>,
    faults: Vec<String>,
}

/// What a file amounts to.
pub(crate) struct Built {
    pub(crate) servers: Servers,
    /// By issuer.
    pub(crate) limits: BTreeMap<String, Limits>,
    pub(crate) warnings: Vec<String>,
    #[cfg(feature = "mtls")]
    pub(crate) tls: Option<Tls>,
    #[cfg(feature = "mtls")]
    pub(crate) proxies: Vec<IpAddr>,
}

/// Where what is wrong, and what is probably not meant, is written down.
#[cfg(feature = "jwt")]
struct Told<'a> {
    faults: &'a mut Vec<String>,
    warnings: &'a mut Vec<String>,
}

impl Settings {
    /// Reads a file. What is wrong with it, syntax included, is kept for [`Settings::build`].
    pub(crate) fn read(text: &str, folder: PathBuf) -> Self {
        let mut faults = Vec::new();
        let mut root = match text.parse::<toml::Table>() {
            Ok(table) => table.into_iter().map(|(key, value)| (key, plain(value))).collect(),
            Err(error) => {
                // The error's own text quotes the line, which may hold a secret.
                let line = error
                    .span()
                    .and_then(|span| text.get(..span.start))
                    .map_or(1, |before| before.matches('\n').count() + 1);
                faults.push(format!("line {line}: {}", error.message()));
                Map::new()
            }
        };
        let realms = match root.remove("realms") {
            None => BTreeMap::new(),
            Some(Value::Object(realms)) => realms
                .into_iter()
                .filter_map(|(path, realm)| match realm {
                    Value::Object(realm) => Some((path, realm)),
                    _ => {
                        faults.push(format!("realms.{path:?}: must be a table"));
                        None
                    }
                })
                .collect(),
            Some(_) => {
                faults.push("realms: must be a table of tables, such as [realms.\"/alpha\"]".into());
                BTreeMap::new()
            }
        };
        Self { folder, root, realms, faults }
    }

    /// `HOST:PORT` to listen on.
    pub(crate) fn listen(&self) -> &str {
        self.root.get("listen").and_then(Value::as_str).unwrap_or("127.0.0.1:8080")
    }

    /// `https` where TLS ends here.
    pub(crate) fn scheme(&self) -> &'static str {
        if cfg!(feature = "mtls") && self.root.contains_key("tls_certificate") { "https" } else { "http" }
    }

    /// Makes the servers, or lists all that is wrong: `tokens` is what [`tokens`](Self::tokens) gave, `origin` the issuer where none is
    /// configured.
    pub(crate) fn build(
        &self,
        origin: &str,
        tokens: &Result<AnyTokenStore, String>,
        observer: impl Fn(&Event<'_>) + Clone + Send + Sync + 'static,
    ) -> Result<Built, Vec<String>> {
        let mut faults = self.faults.clone();
        let (mut limits, mut warnings) = (BTreeMap::new(), Vec::new());
        match self.root.get("listen") {
            None => {}
            Some(Value::String(text))
                if text
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) => {}
            Some(_) => faults.push("listen: must be HOST:PORT".into()),
        }
        let store = self.root.get("store").and_then(Value::as_str).unwrap_or("memory");
        if tokens.is_ok() && store != "memory" && !self.root.contains_key("issuer") {
            // Records are kept under the issuer's name; what the listen address gives may be another one at the next start.
            faults.push("issuer: is needed by a store that outlives the process".into());
        }
        // Memory stands in where there is a fault, which nothing is started with.
        let tokens = tokens.clone().unwrap_or_else(|fault| {
            faults.push(fault);
            AnyTokenStore::new(MemoryTokenStore::default())
        });
        #[cfg(feature = "mtls")]
        let (mut has_self_signed, mut has_named) = (false, false);
        let mut server = |path: Option<&str>, own: &Map<String, Value>, faults: &mut Vec<String>| {
            let prefix = path.map(|path| format!("realms.{path:?}.")).unwrap_or_default();
            let config = self.config(path, own, origin, &prefix, faults);
            let clients = read_clients(own.get("clients"), &prefix, faults);
            let is_set = [own, &self.root].iter().any(|table| table.contains_key("unknown_client_work"));
            let config = if is_set { config } else { with_unknown_client_work(config, &clients) };
            #[cfg(feature = "mtls")]
            {
                let has = |method| clients.iter().any(|client| client.token_endpoint_auth_method.contains(&method));
                has_self_signed |= has(AuthenticationMethod::SelfSignedTlsClientAuth);
                has_named |= has(AuthenticationMethod::TlsClientAuth);
                let bound = clients.iter().filter(|client| client.tls_client_certificate_bound_access_tokens);
                faults.extend(bound.filter(|_| !self.has_certificates()).map(|client| {
                    let name = format!("{prefix}clients.{:?}", client.client_id.as_str());
                    format!("{name}.tls_client_certificate_bound_access_tokens: {NO_CERTIFICATES}")
                }));
            }
            for client in &clients {
                let name = format!("{prefix}clients.{:?}", client.client_id.as_str());
                faults.extend(client.validate(&config).iter().map(|fault| format!("{name}.{fault}")));
                warnings.extend(client.warnings().iter().map(|warning| format!("{name}.{warning}")));
                #[cfg(all(feature = "jwt", not(feature = "jwks-uri")))]
                if has_jwks_uri(client) {
                    faults.push(format!("{name}.jwks_uri: needs a feature that this build lacks"));
                }
            }
            let inherited = own.get("rate_limit").or_else(|| self.root.get("rate_limit"));
            if let Some(limit) = inherited {
                match serde_json::from_value(limit.clone()) {
                    Ok(limit) => drop(limits.insert(config.issuer.clone(), limit)),
                    Err(error) => faults.push(format!("{prefix}rate_limit: {}", without_value(&error))),
                }
            }
            #[cfg(feature = "jwt")]
            let keys = {
                let mut told = Told { faults, warnings: &mut warnings };
                self.signing_keys(&config, own, clients.iter(), &prefix, &mut told)
            };
            #[cfg(feature = "dpop")]
            let nonces = self.dpop_nonces(own, &prefix, &mut Told { faults, warnings: &mut warnings });
            // Who fetches nothing needs no root certificates.
            #[cfg(feature = "jwks-uri")]
            let fetches = clients.iter().any(has_jwks_uri);
            let clients = clients.into_iter().collect::<MemoryClientStore>();
            match AuthorizationServer::new(config, AnyClientStore::new(clients), tokens.clone()) {
                Ok(server) => {
                    #[cfg(feature = "jwt")]
                    let server = server.with_signing_keys(keys);
                    #[cfg(feature = "dpop")]
                    let server = match nonces {
                        Some(nonces) => server.with_dpop_nonces(nonces),
                        None => server,
                    };
                    #[cfg(feature = "jwks-uri")]
                    let server = match fetches.then(|| jwks_cache(server.config())) {
                        None => server,
                        Some(Ok(cache)) => server.with_jwks_cache(cache),
                        Some(Err(problem)) => {
                            faults.push(format!("{prefix}clients: jwks_uri: {problem}"));
                            return None;
                        }
                    };
                    Some(offloaded(server).on_event(observer.clone()))
                }
                Err(error) => {
                    // What a realm inherits is named once, at the top.
                    let own = error.faults.iter().filter(|fault| !faults.contains(&fault.to_string()));
                    let own: Vec<String> = own.map(|fault| format!("{prefix}{fault}")).collect();
                    faults.extend(own);
                    None
                }
            }
        };
        let mut servers = server(None, &self.root, &mut faults).map(Realms::new);
        for (path, own) in &self.realms {
            faults.extend(check_realm_path(path).err().map(|fault| fault.to_string()));
            let Some(realm) = server(Some(path), own, &mut faults) else { continue };
            servers = servers.and_then(|servers| match servers.with_realm(path, realm) {
                Ok(servers) => Some(servers),
                Err(fault) => {
                    faults.push(fault.to_string());
                    None
                }
            });
        }
        #[cfg(feature = "mtls")]
        let (tls, proxies) = (self.tls(has_self_signed, &mut faults), self.proxies(&mut faults));
        #[cfg(feature = "mtls")]
        if has_self_signed && has_named && !proxies.is_empty() {
            warnings.push(
                "trusted_proxies: a proxy that lets certificates through which it has not checked, as self_signed_tls_client_auth \
                 may seem to need, makes every name of a tls_client_auth client anybody's"
                    .into(),
            );
        }
        let mut seen = std::collections::BTreeSet::new();
        faults.retain(|fault| seen.insert(fault.clone()));
        match servers {
            Some(servers) if faults.is_empty() => Ok(Built {
                servers,
                limits,
                warnings,
                #[cfg(feature = "mtls")]
                tls,
                #[cfg(feature = "mtls")]
                proxies,
            }),
            _ => Err(faults),
        }
    }

    /// Opens the store of all realms, or says what is wrong with it.
    pub(crate) async fn tokens(&self) -> Result<AnyTokenStore, String> {
        let url = match self.root.get("store").map(Value::as_str) {
            None | Some(Some("memory")) => return Ok(AnyTokenStore::new(MemoryTokenStore::default())),
            Some(url) => url.unwrap_or_default(),
        };
        // The URL may hold a password, so it is not repeated.
        let opened = match url.split_once(':') {
            #[cfg(feature = "sqlite")]
            Some(("sqlite", file)) if !file.is_empty() => SqliteTokenStore::open(self.folder.join(file))
                .map(AnyTokenStore::new)
                .map_err(|error| error.to_string()),
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => {
                PostgresTokenStore::connect(url).await.map(AnyTokenStore::new).map_err(|error| error.to_string())
            }
            #[cfg(feature = "redis")]
            Some(("redis" | "rediss", _)) => {
                RedisTokenStore::connect(url).await.map(AnyTokenStore::new).map_err(|error| error.to_string())
            }
            Some((kind, _)) if OTHER_STORES.contains(&kind) => {
                return Err(format!("store: {kind} is not in this build"));
            }
            _ => return Err("store: must be memory, sqlite:FILE, postgres://… or redis://…".into()),
        };
        opened.map_err(|problem| format!("store: cannot be opened: {problem}"))
    }

    /// The keys of one realm: read from the files that are named, each for the first algorithm that it fits and that has none
    /// yet. Where tokens are signed, an algorithm without a file gets a key that lives as long as the process.
    #[cfg(feature = "jwt")]
    fn signing_keys<'c>(
        &self,
        config: &Config,
        own: &Map<String, Value>,
        mut clients: impl Iterator<Item = &'c Client>,
        prefix: &str,
        Told { faults, warnings }: &mut Told<'_>,
    ) -> SigningKeys {
        let key = format!("{prefix}signing_keys");
        let files = match own.get("signing_keys").or_else(|| self.root.get("signing_keys")).cloned() {
            None => Vec::new(),
            Some(list) => serde_json::from_value::<Vec<PathBuf>>(list).unwrap_or_else(|_| {
                faults.push(format!("{key}: must be a list of PEM or JWK files"));
                Vec::new()
            }),
        };
        let mut keys: Vec<SigningKey> = Vec::new();
        let has =
            |keys: &[SigningKey], algorithm: SigningAlgorithm| keys.iter().any(|key| key.algorithm() == algorithm);
        for file in &files {
            let text = match std::fs::read_to_string(self.folder.join(file)) {
                Ok(text) => text,
                Err(error) => {
                    faults.push(format!("{key}: {}: {error}", file.display()));
                    continue;
                }
            };
            let read = |algorithm: &SigningAlgorithm| {
                SigningKey::from_pem(*algorithm, &text).or_else(|_| SigningKey::from_jwk(*algorithm, &text)).ok()
            };
            let algorithms = config.signing_algorithms.iter();
            let (covered, open): (Vec<_>, Vec<_>) = algorithms.partition(|algorithm| has(&keys, **algorithm));
            let is_taken = |found: &SigningKey| {
                keys.iter().any(|own| own.algorithm() == found.algorithm() && own.kid() == found.kid())
            };
            match open.into_iter().chain(covered).find_map(read) {
                Some(found) if is_taken(&found) => {
                    faults.push(format!("{key}: {}: has the kid of another file's key", file.display()));
                }
                Some(found) => keys.push(found),
                None => {
                    let problem = "is no private key for one of the signing_algorithms";
                    faults.push(format!("{key}: {}: {problem}", file.display()));
                }
            }
        }
        let is_jwt = |format: Option<AccessTokenFormat>| format == Some(AccessTokenFormat::Jwt);
        if is_jwt(Some(config.access_token_format)) || clients.any(|client| is_jwt(client.access_token_format)) {
            for algorithm in &config.signing_algorithms {
                if !has(&keys, *algorithm) {
                    match SigningKey::generate(*algorithm) {
                        Ok(made) => keys.push(made),
                        Err(error) => faults.push(format!("{key}: {error}")),
                    }
                    warnings.push(format!(
                        "{key}: a key for {algorithm} is made at each start; when the server stops, its tokens can no longer be verified"
                    ));
                }
            }
        }
        SigningKeys::new(keys)
    }

    /// What makes DPoP nonces in one realm, where proofs need them.
    #[cfg(feature = "dpop")]
    fn dpop_nonces(&self, own: &Map<String, Value>, prefix: &str, told: &mut Told<'_>) -> Option<DpopNonces> {
        let Told { faults, warnings } = told;
        let inherited = |key: &str| own.get(key).or_else(|| self.root.get(key));
        let on = Some(&Value::Bool(true));
        // Those at the top may be for realms alone.
        let of_realms = prefix.is_empty() && self.realms.iter().any(|(_, realm)| realm.get("dpop_nonce") == on);
        if own.contains_key("dpop_nonce_keys") && inherited("dpop_nonce") != on && !of_realms {
            warnings
                .push(format!("{prefix}dpop_nonce_keys: no proof needs a nonce; dpop_nonce = true would ask for them"));
        }
        let keys = match inherited("dpop_nonce_keys").map(|keys| serde_json::from_value::<Vec<String>>(keys.clone())) {
            None => DpopNonces::generate(&SystemRandom).map_err(|error| error.to_string()),
            Some(Ok(keys)) => DpopNonces::with_keys(keys).map_err(|error| error.to_string()),
            Some(Err(_)) => Err("must be a list of texts".to_owned()),
        };
        let keys = keys.map_err(|problem| faults.push(format!("{prefix}dpop_nonce_keys: {problem}"))).ok();
        match inherited("dpop_nonce") {
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => keys,
            Some(_) => {
                faults.push(format!("{prefix}dpop_nonce: must be true or false"));
                None
            }
        }
    }

    /// The configuration of one realm: its own keys, else the top-level ones, else the defaults.
    fn config(
        &self,
        path: Option<&str>,
        own: &Map<String, Value>,
        origin: &str,
        prefix: &str,
        faults: &mut Vec<String>,
    ) -> Config {
        let mut members = Map::new();
        members.insert("issuer".into(), json!(origin));
        for (key, value) in &self.root {
            if CONFIG.contains(&key.as_str()) && is_config(key, value).is_ok() {
                members.insert(key.clone(), value.clone());
            }
        }
        for (key, value) in own {
            let known = OTHER.contains(&key.as_str());
            if path.is_some() && ONLY_AT_THE_TOP.contains(&key.as_str()) {
                faults.push(format!("{prefix}{key}: stands at the top only"));
            } else if CONFIG.contains(&key.as_str()) {
                match is_config(key, value) {
                    Ok(()) => drop(members.insert(key.clone(), value.clone())),
                    Err(problem) => faults.push(format!("{prefix}{key}: {problem}")),
                }
            } else if LATER.contains(&key.as_str()) {
                faults.push(format!("{prefix}{key}: needs a feature that this build lacks"));
            } else if !known && !ONLY_AT_THE_TOP.contains(&key.as_str()) {
                faults.push(format!("{prefix}{}: is not a known key", key.escape_debug()));
            }
        }
        let config: Config = serde_json::from_value(Value::Object(members)).unwrap_or_else(|_| Config::new(origin));
        #[cfg(feature = "mtls")]
        let config = self.with_certificates(config, own.contains_key("token_endpoint_auth_methods"), prefix, faults);
        path.map_or_else(|| config.clone(), |path| config.for_realm(path))
    }
}

/// Certificates and TLS.
#[cfg(feature = "mtls")]
impl Settings {
    /// Whether a client's certificate can get here at all.
    fn has_certificates(&self) -> bool {
        let proxies = self.root.get("trusted_proxies").and_then(Value::as_array);
        self.root.contains_key("client_ca") || proxies.is_some_and(|proxies| !proxies.is_empty())
    }

    /// Offers the methods of TLS only where a certificate can get here.
    fn with_certificates(&self, config: Config, is_own: bool, prefix: &str, faults: &mut Vec<String>) -> Config {
        let is_tls = |method: &AuthenticationMethod| {
            [AuthenticationMethod::TlsClientAuth, AuthenticationMethod::SelfSignedTlsClientAuth].contains(method)
        };
        let has_certificates = self.has_certificates();
        let mut config = config;
        config.tls_client_certificate_bound_access_tokens = Some(has_certificates);
        if !has_certificates {
            let mut methods = Metadata::of(&config).token_endpoint_auth_methods_supported;
            let chosen = config.token_endpoint_auth_methods.is_some();
            if is_own && chosen && methods.iter().any(is_tls) {
                faults.push(format!("{prefix}token_endpoint_auth_methods: {NO_CERTIFICATES}"));
            }
            methods.retain(|method| !is_tls(method));
            config.token_endpoint_auth_methods =
                if chosen { config.token_endpoint_auth_methods } else { Some(methods) };
        }
        config
    }

    /// TLS, where it ends here.
    fn tls(&self, admits_unverified: bool, faults: &mut Vec<String>) -> Option<Tls> {
        let has = |key: &str| self.root.contains_key(key);
        for (key, other) in
            [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate"), ("client_ca", "tls_certificate")]
        {
            if has(key) && !has(other) {
                faults.push(format!("{key}: needs {other} beside it"));
            }
        }
        let chain = self.pem("tls_certificate", "a PEM file of certificates", tls::certificates, faults);
        let key = self.pem("tls_key", "a PEM file of a private key", tls::private_key, faults);
        let roots = |pem: &[u8]| tls::certificates(pem).and_then(tls::roots);
        let roots = self.pem("client_ca", "a PEM file of certificates", roots, faults);
        if has("client_ca") && roots.is_none() {
            return None;
        }
        match Tls::new(chain?, key?, roots, admits_unverified, crate::SLOW) {
            Ok(tls) => Some(tls),
            Err(error) => {
                faults.push(format!("tls_key: cannot be used with tls_certificate: {error}"));
                None
            }
        }
    }

    /// What a key's file holds.
    fn pem<V>(
        &self,
        key: &str,
        kind: &str,
        read: impl FnOnce(&[u8]) -> Option<V>,
        faults: &mut Vec<String>,
    ) -> Option<V> {
        let value = self.root.get(key)?;
        let problem = match value.as_str().map(|file| std::fs::read(self.folder.join(file))) {
            None => format!("must be {kind}"),
            Some(Err(error)) => error.to_string(),
            Some(Ok(octets)) => match read(&octets) {
                Some(value) => return Some(value),
                None => format!("must be {kind}"),
            },
        };
        faults.push(format!("{key}: {problem}"));
        None
    }

    /// The proxies whose word is taken; an IPv4 address may also be written as IPv6 has it.
    fn proxies(&self, faults: &mut Vec<String>) -> Vec<IpAddr> {
        let Some(list) = self.root.get("trusted_proxies") else { return Vec::new() };
        match serde_json::from_value::<Vec<IpAddr>>(list.clone()) {
            Ok(list) => list.iter().map(IpAddr::to_canonical).collect(),
            Err(_) => {
                faults.push("trusted_proxies: must be a list of IP addresses".into());
                Vec::new()
            }
        }
    }
}

/// Whether a key of [`Config`] has a value of the right type: each is tried alone, so that every wrong one is named.
fn is_config(key: &str, value: &Value) -> Result<(), String> {
    let alone = json!({ "issuer": "https://localhost", key: value });
    serde_json::from_value::<Config>(alone).map(drop).map_err(|error| without_value(&error))
}

/// What would be right, without the value that is wrong: it may be a secret under the wrong key.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((problem, expected)) if !problem.starts_with("unknown field") => format!("must be {expected}"),
        _ => text,
    }
}

fn read_clients(list: Option<&Value>, prefix: &str, faults: &mut Vec<String>) -> Vec<Client> {
    let list = match list {
        None => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => {
            faults.push(format!("{prefix}clients: must be tables, [[{prefix}clients]]"));
            return Vec::new();
        }
    };
    let mut clients: Vec<Client> = Vec::new();
    for (at, value) in list.iter().enumerate() {
        match serde_json::from_value::<Client>(value.clone()) {
            Err(error) => faults.push(format!("{prefix}clients[{at}]: {}", without_value(&error))),
            Ok(client) => {
                let name = format!("{prefix}clients.{:?}", client.client_id.as_str());
                if clients.iter().any(|other| other.client_id == client.client_id) {
                    faults.push(format!("{name}.client_id: two clients of one realm have it"));
                }
                clients.push(client);
            }
        }
    }
    clients
}

/// Where a client has a slow secret, an unknown one must cost as much.
fn with_unknown_client_work(mut config: Config, clients: &[Client]) -> Config {
    let mut kinds = clients.iter().flat_map(|client| &client.client_secrets).map(|secret| secret.verifier.kind());
    if let Some(slow) = kinds.find(|kind| *kind != VerifierKind::Sha256) {
        config.unknown_client_work = slow;
    }
    config
}

/// Whether keys of a client, or of an issuer that speaks for it, have to be fetched.
#[cfg(feature = "jwt")]
fn has_jwks_uri(client: &Client) -> bool {
    client.jwks_uri.is_some() || client.federated.iter().any(|federated| federated.jwks_uri.is_some())
}

/// What fetches the key sets of clients and of federated issuers; its failures are lines of the log.
#[cfg(feature = "jwks-uri")]
fn jwks_cache(config: &Config) -> Result<JwksCache, String> {
    let cache = JwksCache::https(&config.jwks_uri_allowed_hosts).map_err(|error| error.to_string())?;
    Ok(cache.on_failure(|uri, error| {
        let mut line = format!("jwks_uri={uri} outcome=failed reason=\"{error}\"");
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            line.push_str(&format!(" cause=\"{cause}\""));
            source = cause.source();
        }
        crate::log(&line);
    }))
}

type Server = AuthorizationServer<AnyClientStore, AnyTokenStore>;

/// Slow secret hashes run where they block no connection.
fn offloaded(server: Server) -> Server {
    #[cfg(feature = "argon2")]
    {
        let limit = std::thread::available_parallelism().map_or(1, usize::from);
        server.with_offload(limit, |work| drop(tokio::task::spawn_blocking(work)))
    }
    #[cfg(not(feature = "argon2"))]
    server
}

/// TOML as JSON; a date becomes its RFC 3339 text.
fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(moment) => moment.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(plain).collect(),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(key, value)| (key, plain(value))).collect()),
    }
}
