//! What the operator decides: the [`Config`], and the [`AuthorizationServer`] that keeps to it.
//!
//! ```
//! use client_credentials::{AuthorizationServer, Config, store::{MemoryClientStore, MemoryTokenStore}};
//!
//! let mut config = Config::new("http://as.example.com"); // not https
//! config.scopes = Some(vec!["read write".into()]); // two tokens in one
//! let error = AuthorizationServer::new(config, MemoryClientStore::default(), MemoryTokenStore::default()).unwrap_err();
//! let keys: Vec<&str> = error.faults.iter().map(|fault| fault.key.as_str()).collect();
//! assert_eq!(keys, ["issuer", "scopes"]); // every fault at once
//! ```

use crate::audit::{Claimed, Endpoint, Event, Outcome};
use crate::authorization_details;
#[cfg(feature = "rar")]
use crate::authorization_details::AuthorizationDetail;
#[cfg(feature = "argon2")]
use crate::client::argon2id::SlowVerifier;
use crate::client::{AuthenticationMethod, ClientStore, Fault, MAX_LIFETIME, RegisteredSecret, VerifierKind};
#[cfg(feature = "dpop")]
use crate::clock::Timestamp;
use crate::clock::{Clock, SystemClock};
#[cfg(feature = "dpop")]
use crate::error::Reason;
use crate::error::TokenError;
#[cfg(feature = "jwt")]
use crate::jose::{self, JwksCache, JwsAlgorithm, SigningAlgorithm, SigningKeys};
#[cfg(feature = "mtls")]
use crate::metadata;
#[cfg(feature = "jwt")]
use crate::profile::Profile;
use crate::random::{RandomSource, SystemRandom};
use crate::realm;
use crate::resource;
use crate::scope::{self, Scope, ScopePolicy};
#[cfg(feature = "dpop")]
use crate::token::dpop::{DpopNonces, InvalidDpopProof};
#[cfg(feature = "jwt")]
use crate::token::jwt::JtiSource;
use crate::token::{AccessTokenFormat, KeySpace, TokenStore};
use crate::uri;
use serde::{Deserialize, Serialize};
#[cfg(feature = "rar")]
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The grant type of this crate (RFC 6749 §4.4.2).
const GRANT_TYPE: &str = "client_credentials";

/// The configuration of one server (one realm): plain data, read by serde, unknown keys refused.
///
/// Start from [`Config::new`] and set what differs. Nothing is checked until [`AuthorizationServer::new`], which then
/// lists every fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Who issues the tokens: an `https` URL without query and fragment; `http` only on `localhost`, a loopback address, or
    /// `0.0.0.0`, for tests. No default.
    ///
    /// Part of every record's key: another issuer on the same store knows none of the tokens. RFC 8414 §2.
    pub issuer: String,
    /// The scopes that the server offers, one token each; `None`: no list, the registrations decide. Default: `None`.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Granted when neither the request nor the client names a scope, within what the client may have. Default: empty,
    /// then such a request is refused (RFC 6749 §3.3).
    #[serde(default)]
    pub default_scopes: Vec<String>,
    /// What happens to a request for more than the client may have. Default: `strict`.
    #[serde(default)]
    pub scope_policy: ScopePolicy,
    /// The resources that tokens may be for: absolute URIs without fragment (RFC 8707). Default: none.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The audience where neither the request nor the client names one. Default: none, so the token is for nobody in particular.
    #[serde(default)]
    pub default_resources: Vec<String>,
    /// The types of `authorization_details` that the server knows; each client is registered for those of them that it may use.
    /// What an object of a type must look like is said by
    /// [`with_authorization_details_type`](AuthorizationServer::with_authorization_details_type). RFC 9396 §2. Default: none.
    #[cfg(feature = "rar")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "rar")))]
    #[serde(default)]
    pub authorization_details_types: Vec<String>,
    /// The grants that are switched on: `client_credentials` or nothing. Default: `["client_credentials"]`.
    #[serde(default = "default_grant_types")]
    pub grant_types: Vec<String>,
    /// The format of access tokens. Default: `opaque`.
    #[serde(default)]
    pub access_token_format: AccessTokenFormat,
    /// The life of access tokens in seconds, 1 to 315 360 000. Default: 3600.
    #[serde(default = "default_lifetime")]
    pub access_token_lifetime: u64,
    /// Text before opaque tokens, so that a scanner recognises a leaked one; at most 32 of `A-Z a-z 0-9 - . _ ~`. Default: empty.
    #[serde(default)]
    pub access_token_prefix: String,
    /// The client authentication methods that are enabled. Default: all of this build.
    #[serde(default)]
    pub token_endpoint_auth_methods: Option<Vec<AuthenticationMethod>>,
    /// The work that an unknown client costs, so that time does not tell who is registered; `argon2id` where a client has
    /// a chosen secret. Default: `sha256`.
    #[serde(default)]
    pub unknown_client_work: VerifierKind,
    /// The rules that the server keeps to. Default: `default`.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[serde(default)]
    pub profile: Profile,
    /// The algorithms of signed tokens; the first is the one that is used. Default: `["ES256"]`.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[serde(default = "default_algorithms")]
    pub signing_algorithms: Vec<SigningAlgorithm>,
    /// The algorithms of client assertions that are taken. Default: all that [`JwsAlgorithm`] has.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[serde(default)]
    pub token_endpoint_auth_signing_algs: Option<Vec<JwsAlgorithm>>,
    /// Seconds from now until the `exp` of a client's assertion, at most: 1 to 3600. Default: 600.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[serde(default = "default_assertion_lifetime")]
    pub assertion_max_lifetime: u64,
    /// Seconds by which another's clock may differ from this server's, 0 to 60. Default: 30.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[serde(default = "default_skew")]
    pub clock_skew: u64,
    /// Hosts behind a `jwks_uri` that may have a private address and any port: names, addresses, or ranges such as
    /// `10.0.0.0/8`. `http` is for those of them that are this machine alone. It decides what may be registered; what fetches is
    /// told by itself, as `JwksCache::https` is. Default: none.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[serde(default)]
    pub jwks_uri_allowed_hosts: Vec<String>,
    /// The algorithms of DPoP proofs; an empty list switches DPoP off, and refuses requests with a proof. Default: every
    /// asymmetric one of [`JwsAlgorithm`].
    #[cfg(feature = "dpop")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    #[serde(default)]
    pub dpop_signing_algs: Option<Vec<JwsAlgorithm>>,
    /// Where the endpoints are, for the metadata. Default: PingAM's paths below the issuer.
    #[serde(default)]
    pub endpoints: Option<Endpoints>,
    /// Where the same endpoints are for clients with a certificate, if that is elsewhere: an `https` URL that stands in the place of
    /// scheme and host, such as `https://mtls.example.com` (RFC 8705 §5). Default: there is no such place.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    #[serde(default)]
    pub mtls_base: Option<String>,
    /// Whether the metadata says that tokens can be bound to certificates (RFC 8705 §3.3); whose tokens are, the registrations
    /// say. Default: where a method of TLS is enabled, or `mtls_base` is set.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    #[serde(default)]
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
}

/// The public URLs of a server's endpoints, by their names in RFC 8414 §2; `None`: not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Endpoints {
    /// RFC 6749 §3.2.
    pub token_endpoint: String,
    /// RFC 7662 §2.
    #[serde(default)]
    pub introspection_endpoint: Option<String>,
    /// RFC 7009 §2.
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// RFC 8414 §2; in the metadata only where tokens are signed.
    #[serde(default)]
    pub jwks_uri: Option<String>,
}

fn default_grant_types() -> Vec<String> {
    vec![GRANT_TYPE.to_owned()]
}

#[cfg(feature = "jwt")]
fn default_algorithms() -> Vec<SigningAlgorithm> {
    vec![SigningAlgorithm::Es256]
}

const fn default_lifetime() -> u64 {
    3600
}

#[cfg(feature = "jwt")]
const fn default_assertion_lifetime() -> u64 {
    600
}

#[cfg(feature = "jwt")]
const fn default_skew() -> u64 {
    30
}

impl Config {
    /// The defaults for this issuer.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            scopes: None,
            default_scopes: Vec::new(),
            scope_policy: ScopePolicy::default(),
            resources: Vec::new(),
            default_resources: Vec::new(),
            #[cfg(feature = "rar")]
            authorization_details_types: Vec::new(),
            grant_types: default_grant_types(),
            access_token_format: AccessTokenFormat::default(),
            access_token_lifetime: default_lifetime(),
            access_token_prefix: String::new(),
            token_endpoint_auth_methods: None,
            unknown_client_work: VerifierKind::default(),
            #[cfg(feature = "jwt")]
            profile: Profile::Default,
            #[cfg(feature = "jwt")]
            signing_algorithms: default_algorithms(),
            #[cfg(feature = "jwt")]
            token_endpoint_auth_signing_algs: None,
            #[cfg(feature = "jwt")]
            assertion_max_lifetime: default_assertion_lifetime(),
            #[cfg(feature = "jwt")]
            clock_skew: default_skew(),
            #[cfg(feature = "jwt")]
            jwks_uri_allowed_hosts: Vec::new(),
            #[cfg(feature = "dpop")]
            dpop_signing_algs: None,
            endpoints: None,
            #[cfg(feature = "mtls")]
            mtls_base: None,
            #[cfg(feature = "mtls")]
            tls_client_certificate_bound_access_tokens: None,
        }
    }

    /// The same configuration for the realm `path`, such as `/alpha`: its issuer is this one's and `/realms/alpha`, its
    /// endpoints are below `/oauth2/realms/root/realms/alpha`.
    ///
    /// ```
    /// use client_credentials::Config;
    /// let alpha = Config::new("https://as.example.com").for_realm("/alpha");
    /// assert_eq!(alpha.issuer, "https://as.example.com/realms/alpha");
    /// ```
    #[must_use]
    pub fn for_realm(&self, path: &str) -> Self {
        let base = self.issuer.trim_end_matches('/');
        Self {
            issuer: format!("{base}/realms{}", realm::encode(path)),
            endpoints: Some(Endpoints::below(&format!("{base}/oauth2{}", realm::endpoint_path(path)))),
            ..self.clone()
        }
    }

    #[cfg(feature = "jwt")]
    fn takes_method(&self, method: &AuthenticationMethod) -> bool {
        self.profile.takes_method(method)
    }

    #[cfg(not(feature = "jwt"))]
    fn takes_method(&self, _: &AuthenticationMethod) -> bool {
        true
    }

    /// The algorithms of client assertions: those that are configured, else all that the profile takes.
    #[cfg(feature = "jwt")]
    pub(crate) fn assertion_algorithms(&self) -> Vec<JwsAlgorithm> {
        let taken = || JwsAlgorithm::ALL.into_iter().filter(|algorithm| self.profile.takes_algorithm(*algorithm));
        self.token_endpoint_auth_signing_algs.clone().unwrap_or_else(|| taken().collect())
    }

    /// The algorithms of proofs, in the same way.
    #[cfg(feature = "dpop")]
    pub(crate) fn dpop_algorithms(&self) -> Vec<JwsAlgorithm> {
        let takes = |algorithm: &JwsAlgorithm| !algorithm.is_symmetric() && self.profile.takes_algorithm(*algorithm);
        let taken = || JwsAlgorithm::ALL.into_iter().filter(takes);
        self.dpop_signing_algs.clone().unwrap_or_else(|| taken().collect())
    }

    pub(crate) fn offers_grant(&self) -> bool {
        self.grant_types.iter().any(|grant| grant == GRANT_TYPE)
    }

    pub(crate) fn enabled_methods(&self) -> Vec<AuthenticationMethod> {
        let available = || AuthenticationMethod::AVAILABLE.iter().filter(|method| self.takes_method(method));
        self.token_endpoint_auth_methods.clone().unwrap_or_else(|| available().cloned().collect())
    }

    /// Where the endpoints are: as configured, else PingAM's paths below the issuer.
    pub(crate) fn endpoints(&self) -> Endpoints {
        let below_issuer = || Endpoints::below(&format!("{}/oauth2", self.issuer.trim_end_matches('/')));
        self.endpoints.clone().unwrap_or_else(below_issuer)
    }

    /// Where the endpoints are for clients with a certificate, if that is elsewhere (RFC 8705 §5).
    #[cfg(feature = "mtls")]
    pub(crate) fn mtls_endpoints(&self) -> Option<Endpoints> {
        let base = self.mtls_base.as_ref()?.trim_end_matches('/');
        let there = |url: String| format!("{base}{}", metadata::issuer_path(&url));
        let Endpoints { token_endpoint, introspection_endpoint, revocation_endpoint, jwks_uri: _ } = self.endpoints();
        Some(Endpoints {
            introspection_endpoint: introspection_endpoint.map(there),
            revocation_endpoint: revocation_endpoint.map(there),
            ..Endpoints::new(there(token_endpoint))
        })
    }

    /// Whether a URL is that of an endpoint where clients authenticate.
    #[cfg(feature = "jwt")]
    pub(crate) fn has_endpoint(&self, url: &str) -> bool {
        #[cfg(feature = "mtls")]
        if self.mtls_endpoints().is_some_and(|endpoints| endpoints.has(url)) {
            return true;
        }
        self.endpoints().has(url)
    }

    /// Lists what is wrong; empty when a server can be made of it.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, problem: &str| faults.push(Fault::new(key, problem));
        if !is_issuer(&self.issuer) {
            fault(
                "issuer",
                "must be an https URL (http only on localhost or an address of this machine) without user, query and fragment",
            );
        }
        let offered = self.scopes.as_ref().map(Scope::from_tokens);
        if let Some(Err(problem)) = &offered {
            fault("scopes", &problem.to_string());
        }
        match (Scope::from_tokens(&self.default_scopes), &offered) {
            (Err(problem), _) => fault("default_scopes", &problem.to_string()),
            (Ok(default), Some(Ok(offered))) if !offered.contains_all(&default) => {
                fault("default_scopes", "each must stand in scopes");
            }
            _ => {}
        }
        for (key, list) in [("resources", &self.resources), ("default_resources", &self.default_resources)] {
            if !list.iter().all(|resource| uri::is_absolute(resource)) {
                fault(key, "each must be an absolute URI without fragment, at most 2048 octets");
            }
        }
        if !self.default_resources.iter().all(|resource| self.resources.contains(resource)) {
            fault("default_resources", "each must stand in resources");
        }
        #[cfg(feature = "rar")]
        if let Some(problem) = authorization_details::problem_of_types(&self.authorization_details_types) {
            fault("authorization_details_types", problem);
        }
        if !self.grant_types.iter().all(|grant| grant == GRANT_TYPE) {
            fault("grant_types", "must be [\"client_credentials\"], or [] to switch the grant off");
        }
        #[cfg(feature = "jwt")]
        if self.signing_algorithms.is_empty() {
            fault("signing_algorithms", "must name an algorithm");
        }
        #[cfg(feature = "jwt")]
        {
            if self.token_endpoint_auth_signing_algs.as_ref().is_some_and(Vec::is_empty) {
                fault("token_endpoint_auth_signing_algs", "must name an algorithm");
            }
            #[cfg(feature = "dpop")]
            if self.dpop_signing_algs.iter().flatten().any(|algorithm| algorithm.is_symmetric()) {
                fault("dpop_signing_algs", "must name asymmetric algorithms");
            }
            if !(1..=3600).contains(&self.assertion_max_lifetime) {
                fault("assertion_max_lifetime", "must be 1 to 3600 seconds");
            }
            if self.clock_skew > 60 {
                fault("clock_skew", "must be 0 to 60 seconds");
            }
            if let Err(entry) = jose::check_allowed_hosts(&self.jwks_uri_allowed_hosts) {
                fault("jwks_uri_allowed_hosts", &format!("{entry:?} is no host name, address or range of addresses"));
            }
        }
        if self.access_token_format == AccessTokenFormat::Jwt && cfg!(not(feature = "jwt")) {
            fault("access_token_format", "jwt is not in this build; opaque is");
        }
        if !(1..=MAX_LIFETIME).contains(&self.access_token_lifetime) {
            fault("access_token_lifetime", "must be 1 to 315360000 seconds");
        }
        let unreserved = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
        if self.access_token_prefix.len() > 32 || !self.access_token_prefix.bytes().all(unreserved) {
            fault("access_token_prefix", "must be at most 32 characters of A-Z a-z 0-9 - . _ ~");
        }
        if let Some(methods) = &self.token_endpoint_auth_methods {
            if methods.is_empty() {
                fault("token_endpoint_auth_methods", "must name a method");
            }
            for method in methods.iter().filter(|method| !AuthenticationMethod::AVAILABLE.contains(method)) {
                fault("token_endpoint_auth_methods", &format!("{method} is not a method of this build"));
            }
        }
        #[cfg(feature = "jwt")]
        self.profile.faults_of_server(self, &mut faults);
        let mut fault = |key: &str, problem: &str| faults.push(Fault::new(key, problem));
        #[cfg(feature = "mtls")]
        if !self.mtls_base.as_ref().is_none_or(|base| is_issuer(base) && base.starts_with("https://")) {
            fault("mtls_base", "must be an https URL without user, query and fragment");
        }
        if let Some(Endpoints { token_endpoint, introspection_endpoint, revocation_endpoint, jwks_uri }) =
            &self.endpoints
        {
            let optional = [introspection_endpoint, revocation_endpoint, jwks_uri].map(Option::as_ref);
            let urls = optional.into_iter().chain([Some(token_endpoint)]);
            let is_url =
                |url: &String| uri::is_absolute(url) && (url.starts_with("https://") || url.starts_with("http://"));
            if !urls.flatten().all(is_url) {
                fault("endpoints", "each must be an https URL without fragment");
            }
        }
        faults
    }
}

impl Endpoints {
    /// A token endpoint alone.
    pub fn new(token_endpoint: impl Into<String>) -> Self {
        Self {
            token_endpoint: token_endpoint.into(),
            introspection_endpoint: None,
            revocation_endpoint: None,
            jwks_uri: None,
        }
    }

    #[cfg(feature = "jwt")]
    fn has(&self, url: &str) -> bool {
        let optional = [&self.introspection_endpoint, &self.revocation_endpoint];
        self.token_endpoint == url || optional.into_iter().flatten().any(|own| own == url)
    }

    /// The token endpoint, by each of the names that it has below PingAM's paths ([`Realms::route`](crate::Realms::route)).
    #[cfg(feature = "dpop")]
    fn of_token_endpoint(&self) -> Vec<String> {
        let mut urls = vec![self.token_endpoint.clone()];
        if let Some(base) = self.token_endpoint.strip_suffix("/access_token") {
            urls.push(format!("{base}/token"));
            if base.ends_with("/oauth2") {
                urls.extend(["access_token", "token"].map(|name| format!("{base}/realms/root/{name}")));
            }
        }
        urls
    }

    fn below(base: &str) -> Self {
        Self {
            token_endpoint: format!("{base}/access_token"),
            introspection_endpoint: Some(format!("{base}/introspect")),
            revocation_endpoint: Some(format!("{base}/token/revoke")),
            jwks_uri: Some(format!("{base}/connect/jwk_uri")),
        }
    }
}

/// RFC 8414 §2: an `https` URL without query and fragment, nor user; `http` on this machine alone, for tests and development.
fn is_issuer(issuer: &str) -> bool {
    let (rest, is_plain) = match (issuer.strip_prefix("https://"), issuer.strip_prefix("http://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return false,
    };
    let Some((host, _port)) = uri::split_authority(rest.split('/').next().unwrap_or_default()) else { return false };
    let address = host.parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    uri::is_absolute(issuer) && !issuer.contains('?') && (!is_plain || is_here)
}

/// What is wrong with a configuration: all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has faults: {}", Fault::list(.faults))]
#[non_exhaustive]
pub struct ConfigError {
    /// Each fault with its key.
    pub faults: Vec<Fault>,
}

/// Tells the servers of one process apart, so that a grant of one is not issued by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerId(u64);

impl ServerId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Told of every decision.
pub(crate) type Observer = dyn Fn(&Event<'_>) + Send + Sync;

/// An authorization server for the grant: one issuer, its configuration, and its two stores.
///
/// Share it in an `Arc`; every method takes `&self`.
pub struct AuthorizationServer<C, T> {
    pub(crate) config: Config,
    pub(crate) clients: C,
    pub(crate) tokens: T,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) random: Box<dyn RandomSource>,
    pub(crate) observer: Option<Box<Observer>>,
    pub(crate) id: ServerId,
    pub(crate) issuer: Arc<str>,
    /// The value of `WWW-Authenticate`.
    pub(crate) challenge: Arc<str>,
    pub(crate) methods: Vec<AuthenticationMethod>,
    pub(crate) scope_rules: scope::Rules,
    pub(crate) resource_rules: resource::Rules,
    pub(crate) details_rules: authorization_details::Rules,
    pub(crate) keys: KeySpace,
    /// What an unknown client is checked against.
    pub(crate) dummy_secret: RegisteredSecret,
    #[cfg(feature = "argon2")]
    pub(crate) slow_verifier: SlowVerifier,
    #[cfg(feature = "jwt")]
    pub(crate) signing_keys: Arc<SigningKeys>,
    #[cfg(feature = "jwt")]
    pub(crate) jwks_cache: Option<Arc<JwksCache>>,
    #[cfg(feature = "jwt")]
    pub(crate) jti: JtiSource,
    /// The algorithms of client assertions.
    #[cfg(feature = "jwt")]
    pub(crate) assertion_algorithms: Vec<JwsAlgorithm>,
    #[cfg(feature = "dpop")]
    pub(crate) dpop: Dpop,
}

/// What a server asks of DPoP proofs.
#[cfg(feature = "dpop")]
pub(crate) struct Dpop {
    /// The token endpoint's own URLs, normalised.
    pub(crate) urls: Vec<String>,
    pub(crate) algorithms: Vec<JwsAlgorithm>,
    /// Where there are any, each proof needs one.
    pub(crate) nonces: Option<DpopNonces>,
}

#[cfg(feature = "dpop")]
impl Dpop {
    fn new(config: &Config) -> Self {
        let endpoints = config.endpoints();
        #[cfg(feature = "mtls")]
        let endpoints = [endpoints].into_iter().chain(config.mtls_endpoints());
        #[cfg(not(feature = "mtls"))]
        let endpoints = [endpoints].into_iter();
        let urls: Vec<String> = endpoints.flat_map(|endpoints| endpoints.of_token_endpoint()).collect();
        Self {
            urls: urls.iter().filter_map(|url| uri::normalized(url)).collect(),
            algorithms: config.dpop_algorithms(),
            nonces: None,
        }
    }

    /// The nonce that goes with a refusal, where the client lacked one that counts.
    pub(crate) fn nonce_for(&self, reason: &Reason, issuer: &str, at: Timestamp) -> Option<String> {
        let lacked = matches!(reason, Reason::InvalidDpopProof(InvalidDpopProof::Nonce));
        self.nonces.as_ref().filter(|_| lacked).map(|nonces| nonces.make(issuer, at))
    }
}

impl<C: ClientStore, T: TokenStore> AuthorizationServer<C, T> {
    /// A server with the system's clock and random source.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault of the configuration, each naming its key and what would be right.
    pub fn new(config: Config, clients: C, tokens: T) -> Result<Self, ConfigError> {
        let faults = config.validate();
        let (offered, default) =
            match (config.scopes.as_ref().map(Scope::from_tokens), Scope::from_tokens(&config.default_scopes)) {
                (offered, Ok(default)) if faults.is_empty() => (offered.and_then(Result::ok), default),
                _ => return Err(ConfigError { faults }),
            };
        Ok(Self {
            id: ServerId::next(),
            issuer: config.issuer.as_str().into(),
            challenge: format!("Basic realm=\"{}\"", config.issuer).into(),
            methods: config.enabled_methods(),
            scope_rules: scope::Rules { offered, default, policy: config.scope_policy },
            resource_rules: resource::Rules {
                known: config.resources.iter().map(|resource| resource.as_str().into()).collect(),
                default: config.default_resources.iter().map(String::as_str).collect(),
            },
            details_rules: authorization_details::Rules::of(&config),
            keys: KeySpace::new(&config.issuer),
            dummy_secret: RegisteredSecret::new("", config.unknown_client_work.unmatched()),
            #[cfg(feature = "argon2")]
            slow_verifier: SlowVerifier::new(),
            #[cfg(feature = "jwt")]
            signing_keys: Arc::new(SigningKeys::new([])),
            #[cfg(feature = "jwt")]
            jwks_cache: None,
            #[cfg(feature = "jwt")]
            jti: JtiSource::default(),
            #[cfg(feature = "jwt")]
            assertion_algorithms: config.assertion_algorithms(),
            #[cfg(feature = "dpop")]
            dpop: Dpop::new(&config),
            clock: Box::new(SystemClock),
            random: Box::new(SystemRandom),
            observer: None,
            config,
            clients,
            tokens,
        })
    }

    /// The same server with another clock; a closure `|| Timestamp` is one.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// The same server with another source of random octets.
    #[must_use]
    pub fn with_random(self, random: impl RandomSource + 'static) -> Self {
        Self { random: Box::new(random), ..self }
    }

    /// The same server, telling `observer` of every decision. It runs on the thread that decides: keep it short.
    #[must_use]
    pub fn on_event(self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Box::new(observer)), ..self }
    }

    /// The same server, where `schema` says whether an object of this type of `authorization_details` is as it must be. Without one
    /// the type's objects may have any members; a second one takes the place of the first.
    ///
    /// What RFC 9396 §2.2 says of `locations`, `actions`, `datatypes`, `identifier` and `privileges` has been checked by then.
    ///
    /// ```
    /// # use client_credentials::{AuthorizationServer, Config, ConfigError, store::{MemoryClientStore, MemoryTokenStore}};
    /// #[derive(serde::Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Payment {
    ///     # #[allow(dead_code)]
    ///     r#type: String,
    ///     currency: String,
    ///     limit: u64,
    /// }
    ///
    /// let mut config = Config::new("https://as.example.com");
    /// config.authorization_details_types = vec!["payment".into()];
    /// let server = AuthorizationServer::new(config, MemoryClientStore::default(), MemoryTokenStore::default())?
    ///     .with_authorization_details_type("payment", |object| {
    ///         let payment: Payment = object.read().map_err(|error| error.to_string())?;
    ///         match (&*payment.currency, payment.limit) {
    ///             ("EUR", ..=1000) => Ok(()),
    ///             _ => Err("no euros, or too many".to_owned()), // for the operator; the client is told nothing of it
    ///         }
    ///     })?;
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] for a type that is not in the configuration: a typo would leave the right one without rules.
    ///
    /// RFC 9396 §5.
    #[cfg(feature = "rar")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "rar")))]
    pub fn with_authorization_details_type<E: Into<Cow<'static, str>>>(
        mut self,
        type_name: &str,
        schema: impl Fn(&AuthorizationDetail) -> Result<(), E> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let schema = Box::new(move |object: &AuthorizationDetail| schema(object).map_err(Into::into));
        if self.details_rules.set_schema(type_name, schema) {
            return Ok(self);
        }
        let problem = format!("{type_name:?} has rules, and does not stand there");
        Err(ConfigError { faults: vec![Fault::new("authorization_details_types", problem)] })
    }

    /// The same server, signing with these keys; keep a clone of the `Arc` to rotate them while it runs.
    ///
    /// A server with keys can issue JWTs to every client that is registered for them, and publishes its key set.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[must_use]
    pub fn with_signing_keys(self, keys: impl Into<Arc<SigningKeys>>) -> Self {
        Self { signing_keys: keys.into(), ..self }
    }

    /// The same server, with a cache that fetches the key sets behind `jwks_uri`; without one, clients that have their keys
    /// there are refused. Servers of one process may share it.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[must_use]
    pub fn with_jwks_cache(self, cache: impl Into<Arc<JwksCache>>) -> Self {
        Self { jwks_cache: Some(cache.into()), ..self }
    }

    /// The same server, which takes no DPoP proof without one of these nonces, and hands them out.
    ///
    /// The age of a proof is then this server's to tell, whatever the client's clock says.
    ///
    /// RFC 9449 §8.
    #[cfg(feature = "dpop")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    #[must_use]
    pub fn with_dpop_nonces(mut self, nonces: DpopNonces) -> Self {
        self.dpop.nonces = Some(nonces);
        self
    }

    /// The public key set (RFC 7517 §5): keys that sign, will sign, or signed what may still live. No private member is in it.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub fn jwks(&self) -> Vec<u8> {
        crate::response::json(&self.signing_keys.jwks(self.clock.now()))
    }

    /// The same server, checking chosen secrets (Argon2id, tens of milliseconds each) off the executor, at most `limit` at once.
    ///
    /// Beyond the limit a request is answered 503 and never queued; without this call the check runs where the request
    /// does, at most one for each processor.
    ///
    /// ```
    /// # use client_credentials::{AuthorizationServer, Config, store::{MemoryClientStore, MemoryTokenStore}};
    /// # let server = AuthorizationServer::new(Config::new("https://as.example.com"), MemoryClientStore::default(), MemoryTokenStore::default())?;
    /// let server = server.with_offload(4, |work| {
    ///     std::thread::spawn(work); // or tokio::task::spawn_blocking(work)
    /// });
    /// # Ok::<(), client_credentials::ConfigError>(())
    /// ```
    #[cfg(feature = "argon2")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "argon2")))]
    #[must_use]
    pub fn with_offload(
        mut self,
        limit: usize,
        offload: impl Fn(Box<dyn FnOnce() + Send>) + Send + Sync + 'static,
    ) -> Self {
        self.slow_verifier.offload(limit, Box::new(offload));
        self
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The client store.
    pub fn clients(&self) -> &C {
        &self.clients
    }

    /// The token store.
    pub fn tokens(&self) -> &T {
        &self.tokens
    }

    /// Tells the observer of a refusal that no stage has seen: a request that could not be parsed.
    ///
    /// The functions of the module `http` call it; an embedder with wiring of its own does, too.
    pub fn report(
        &self,
        endpoint: Endpoint,
        claimed_client_id: Option<&str>,
        peer: Option<IpAddr>,
        error: &TokenError,
    ) {
        if let Some(observer) = &self.observer {
            observer(&Event {
                issuer: &self.issuer,
                endpoint,
                client_id: claimed_client_id.map(Claimed::new),
                method: None,
                secret_id: None,
                federated_issuer: None,
                peer,
                outcome: Outcome::Refused(error),
            });
        }
    }
}

impl<C, T> fmt::Debug for AuthorizationServer<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::is_issuer;

    #[test]
    // req: MD-003
    fn issuers() {
        for good in [
            "https://as.example.com",
            "https://as.example.com:8443/a",
            "http://localhost:1",
            "http://[::1]:8080",
            "https://[2001:db8::1]",
        ] {
            assert!(is_issuer(good), "{good}");
        }
        for bad in [
            "http://as.example.com",
            "https://",
            "https://:443",
            "https://h:port",
            "http://127.0.0.1.example.com",
            "https://a@h",
        ] {
            assert!(!is_issuer(bad), "{bad}");
        }
    }
}
