//! Who asks: a registered [`Client`], and the [`ClientStore`] that knows it.
//!
//! ```
//! use client_credentials::{Client, Config};
//!
//! let client: Client = serde_json::from_str(
//!     r#"{ "client_id": "reports", "client_secret": "a secret of the operator's", "scope": "read write",
//!          "grant_types": ["client_credentials"], "default_scope": "read", "access_token_lifetime": 600 }"#,
//! )?;
//! assert!(client.validate(&Config::new("https://as.example.com")).is_empty());
//! assert!(!format!("{client:?}").contains("operator's")); // hashed when it was read
//! # Ok::<(), serde_json::Error>(())
//! ```

#[cfg(feature = "argon2")]
pub(crate) mod argon2id;
#[cfg(feature = "jwt")]
pub(crate) mod assertion;
pub(crate) mod authentication;
pub(crate) mod basic;
#[cfg(feature = "mtls")]
pub(crate) mod certificate;
#[cfg(feature = "mtls")]
mod distinguished_name;
#[cfg(feature = "jwt")]
pub(crate) mod federated;
mod metadata;
mod method;
pub(crate) mod secret;

use crate::clock::Timestamp;
#[cfg(feature = "jwt")]
use crate::jose::{self, JwkSet, JwsAlgorithm, MacKey};
#[cfg(feature = "jwt")]
use crate::profile::Profile;
use crate::random::{RandomError, RandomSource, SystemRandom};
use crate::resource::Audience;
use crate::scope::Scope;
use crate::server::Config;
use crate::store::StoreError;
use crate::token::AccessTokenFormat;
use crate::uri;
#[cfg(feature = "jwt")]
pub use assertion::AssertionAudience;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
#[cfg(feature = "mtls")]
pub use certificate::InvalidCertificate;
#[cfg(feature = "mtls")]
pub use distinguished_name::{DistinguishedName, InvalidDistinguishedName};
#[cfg(feature = "jwt")]
pub use federated::FederatedIssuer;
pub use method::{AuthenticationMethod, BasicEncoding};
pub use secret::{ClientSecret, InvalidVerifier, RegisteredSecret, SecretVerifier, VerifierKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
#[cfg(feature = "mtls")]
use std::net::IpAddr;
use std::sync::Arc;

/// The longest life that a token can be given: ten years, in seconds.
pub(crate) const MAX_LIFETIME: u64 = 315_360_000;
/// Secrets of one client, at most; each chosen one costs a slow hash where it is not cached.
const MAX_SECRETS: usize = 8;

/// The identifier of a client: 1 to 255 octets of UTF-8 without control characters, compared octet for octet.
///
/// Cloning shares the text. RFC 6749 §2.2 and Appendix A.1, widened to UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

/// The text is no client identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client_id is 1 to 255 octets of UTF-8 without control characters")]
#[non_exhaustive]
pub struct InvalidClientId;

impl ClientId {
    /// Checks the text and keeps it as it is.
    ///
    /// # Errors
    /// [`InvalidClientId`] for an empty or too long text, or one with a control character.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidClientId> {
        let text = text.into();
        if Self::is_valid(&text) { Ok(Self(text)) } else { Err(InvalidClientId) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_valid(text: &str) -> bool {
        (1..=255).contains(&text.len()) && !text.chars().any(char::is_control)
    }
}

impl std::str::FromStr for ClientId {
    type Err = InvalidClientId;
    fn from_str(text: &str) -> Result<Self, InvalidClientId> {
        Self::new(text)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({:?})", &*self.0)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&*Cow::<'de, str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Something wrong with a configuration or a registration: the key, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The key that is wrong, for example `default_scope`.
    pub key: String,
    /// What is wrong, or what would be right; never a secret.
    pub problem: String,
}

impl Fault {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }

    /// All of them on one line.
    pub(crate) fn list(faults: &[Self]) -> String {
        faults.iter().map(Self::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    /// Writes `key: problem` on one line: what cannot be printed is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, text) in [&self.key, &self.problem].into_iter().enumerate() {
            if at > 0 {
                f.write_str(": ")?;
            }
            for character in text.chars() {
                match character {
                    ' '..='~' => write!(f, "{character}")?,
                    other => write!(f, "{}", other.escape_debug())?,
                }
            }
        }
        Ok(())
    }
}

/// One registered client.
///
/// The serde form has the metadata names of RFC 7591 (`client_id`, `scope`, `token_endpoint_auth_method`, …) and the
/// extensions beside them; every setting that is `None` inherits the server's. Reading never fails for what a member
/// says: a wrong type, an unknown name, or a security setting whose feature this build lacks is remembered as a
/// [`Fault`], [`validate`](Self::validate) lists it, and the server refuses the client with 401 and an event that names
/// it. So a typo in one registration cannot weaken that client, nor stop the others. A faulty client does not serialise.
///
/// | member | RFC | meaning |
/// |---|---|---|
/// | `client_id`, `client_name`, `scope`, `grant_types` | 7591 §2 | as there; `grant_types` absent means `authorization_code`, so not this grant |
/// | `token_endpoint_auth_method` | 7591 §2 | one text or a list: the set that is accepted; absent: `client_secret_basic`, or `private_key_jwt` where `federated` stands there and no secret does |
/// | `client_secret`, `client_secret_expires_at` | 7591 §3.2.1 | hashed when read; 0 means never |
/// | `client_secret_hash` | – | `sha256:` and base64url, or a PHC string of Argon2id (feature `argon2`) |
/// | `client_secrets` | – | several at once: texts, or tables of `secret` or `hash`, `id`, `expires_at`; with `client_secret_jwt` also `mac_key`, the raw secret in base64url |
/// | `jwks`, `jwks_uri` | 7591 §2 | the client's public keys, or where they are published; one of the two (feature `jwt`) |
/// | `token_endpoint_auth_signing_alg` | OpenID Connect Registration §2 | the one algorithm of its assertions (feature `jwt`) |
/// | `assertion_audience` | – | `issuer`, or `legacy`: an assertion may be meant for an endpoint's URL (feature `jwt`) |
/// | `dpop_bound_access_tokens` | 9449 §5.2 | whether it gets tokens only with a DPoP proof (feature `dpop`) |
/// | `federated` | – | issuers whose JWTs speak for this client (feature `jwt`) |
/// | `tls_client_auth_subject_dn`, `tls_client_auth_san_dns`, `…_uri`, `…_ip`, `…_email` | 8705 §2.1.2 | the one name in the client's certificate, for `tls_client_auth` (feature `mtls`) |
/// | `tls_client_certificate_bound_access_tokens` | 8705 §3.4 | its tokens are bound to the certificate of the connection, and it gets none without (feature `mtls`) |
/// | `default_scope` | – | granted when no scope is asked for; an empty text: a token without scope |
/// | `resources`, `default_resources` | – | what tokens may be asked for; the audience when nothing is asked |
/// | `authorization_details_types` | 9396 §10 | the types of `authorization_details` that it may ask for; absent: none (feature `rar`) |
/// | `audience` | – | the identifiers that this client answers to as a resource server |
/// | `access_token_lifetime`, `access_token_format` | – | seconds; `opaque` |
/// | `disabled`, `may_introspect` | – | booleans |
/// | `tokens_not_before` | – | tokens issued before this moment are dead |
/// | `basic_encoding` | – | `form` or `raw` |
#[derive(Clone)]
#[non_exhaustive]
pub struct Client {
    /// Its identifier.
    pub client_id: ClientId,
    /// Its name for people.
    pub client_name: Option<String>,
    /// The secrets that are accepted: several at once while one replaces the other.
    pub client_secrets: Vec<RegisteredSecret>,
    /// The methods that are accepted, and no other.
    pub token_endpoint_auth_method: Vec<AuthenticationMethod>,
    /// The grants that it may use.
    pub grant_types: Vec<String>,
    /// What it may have; `None`: exactly the server's default scopes.
    pub scope: Option<Scope>,
    /// What it gets when it asks for no scope; `None`: the server's default within `scope`.
    pub default_scope: Option<Scope>,
    /// The resources that it may ask tokens for; `None`: all that the server knows.
    pub resources: Option<Audience>,
    /// The audience of a token when it asks for no resource.
    pub default_resources: Option<Audience>,
    /// The types of `authorization_details` that it may ask for; `None`: none.
    #[cfg(feature = "rar")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "rar")))]
    pub authorization_details_types: Option<Vec<String>>,
    /// What it is as a resource server: it may introspect tokens for these.
    pub audience: Audience,
    /// The format of its tokens.
    pub access_token_format: Option<AccessTokenFormat>,
    /// The life of its tokens in seconds.
    pub access_token_lifetime: Option<u64>,
    /// Whether it is treated like an unknown client, and its tokens like unknown tokens.
    pub disabled: bool,
    /// Whether it may introspect every token of its realm.
    pub may_introspect: bool,
    /// Tokens issued before this moment are dead: one write ends them all.
    pub tokens_not_before: Option<Timestamp>,
    /// How it writes `Authorization: Basic`.
    pub basic_encoding: BasicEncoding,
    /// Its public keys, for `private_key_jwt` and `self_signed_tls_client_auth`.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub jwks: Option<JwkSet>,
    /// Where it publishes its public keys, in place of `jwks`; see
    /// [`with_jwks_cache`](crate::AuthorizationServer::with_jwks_cache).
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub jwks_uri: Option<String>,
    /// The one algorithm that its assertions may have; `None`: each that the server takes.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub token_endpoint_auth_signing_alg: Option<JwsAlgorithm>,
    /// For whom its assertions must be meant.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub assertion_audience: AssertionAudience,
    /// Issuers whose JWTs speak for this client, such as the platform that it runs on.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub federated: Vec<FederatedIssuer>,
    /// Whether its tokens are bound to a DPoP key: without a proof it gets none.
    #[cfg(feature = "dpop")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    pub dpop_bound_access_tokens: bool,
    /// The subject of its certificate, for `tls_client_auth`.
    ///
    /// Of this and the four below exactly one: a name in a certificate that leads to a root which the TLS layer trusts.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    pub tls_client_auth_subject_dn: Option<DistinguishedName>,
    /// A DNS name among the alternative names of its certificate; the case of letters does not count.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI among the alternative names of its certificate, octet for octet.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    pub tls_client_auth_san_uri: Option<String>,
    /// An address among the alternative names of its certificate.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    pub tls_client_auth_san_ip: Option<IpAddr>,
    /// An e-mail address among the alternative names of its certificate; the case of the host does not count.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    pub tls_client_auth_san_email: Option<String>,
    /// Whether each of its tokens is bound to the certificate of the connection, however it authenticates (RFC 8705 §3.4).
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    pub tls_client_certificate_bound_access_tokens: bool,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Client {
    /// A client that is registered for `client_credentials` by `client_secret_basic`, as yet without secret and scope.
    pub fn new(client_id: ClientId) -> Self {
        Self {
            grant_types: vec!["client_credentials".to_owned()],
            token_endpoint_auth_method: vec![AuthenticationMethod::ClientSecretBasic],
            ..Self::empty(client_id)
        }
    }

    /// [`Client::new`] with a random `client_id` and a random secret, both from the operating system.
    ///
    /// Show the secret to the operator once; the client keeps its hash. Id and secret are unreserved characters, so every
    /// encoding of Basic reads them alike.
    ///
    /// ```
    /// let (client, secret) = client_credentials::Client::generate()?;
    /// assert_eq!(secret.expose().len(), 43); // 32 random octets
    /// # Ok::<(), client_credentials::RandomError>(())
    /// ```
    ///
    /// # Errors
    /// [`RandomError`] when the operating system has no random octets to give.
    pub fn generate() -> Result<(Self, ClientSecret), RandomError> {
        let mut octets = [0; 16];
        SystemRandom.fill(&mut octets)?;
        let mut client = Self::new(ClientId(URL_SAFE_NO_PAD.encode(octets).into()));
        let secret = client.add_generated_secret(&SystemRandom)?;
        Ok((client, secret))
    }

    /// Adds a random secret, named by the next number, and hands it out; kept raw where the client's method needs that.
    pub(crate) fn add_generated_secret(&mut self, random: &dyn RandomSource) -> Result<ClientSecret, RandomError> {
        let secret = ClientSecret::generate(random)?;
        let numbers = self.client_secrets.iter().filter_map(|secret| secret.id.parse::<u64>().ok());
        let id = numbers.max().unwrap_or_default().saturating_add(1).to_string();
        let registered = RegisteredSecret::new(id, SecretVerifier::sha256(secret.expose()));
        #[cfg(feature = "jwt")]
        let registered = {
            let is_mac = self.token_endpoint_auth_method.contains(&AuthenticationMethod::ClientSecretJwt);
            RegisteredSecret { mac_key: is_mac.then(|| MacKey::new(secret.expose()).ok()).flatten(), ..registered }
        };
        self.client_secrets.push(registered);
        Ok(secret)
    }

    fn empty(client_id: ClientId) -> Self {
        Self {
            client_id,
            client_name: None,
            client_secrets: Vec::new(),
            token_endpoint_auth_method: Vec::new(),
            grant_types: Vec::new(),
            scope: None,
            default_scope: None,
            resources: None,
            default_resources: None,
            #[cfg(feature = "rar")]
            authorization_details_types: None,
            audience: Audience::default(),
            access_token_format: None,
            access_token_lifetime: None,
            disabled: false,
            may_introspect: false,
            tokens_not_before: None,
            basic_encoding: BasicEncoding::Form,
            #[cfg(feature = "jwt")]
            jwks: None,
            #[cfg(feature = "jwt")]
            jwks_uri: None,
            #[cfg(feature = "jwt")]
            token_endpoint_auth_signing_alg: None,
            #[cfg(feature = "jwt")]
            assertion_audience: AssertionAudience::default(),
            #[cfg(feature = "jwt")]
            federated: Vec::new(),
            #[cfg(feature = "dpop")]
            dpop_bound_access_tokens: false,
            #[cfg(feature = "mtls")]
            tls_client_auth_subject_dn: None,
            #[cfg(feature = "mtls")]
            tls_client_auth_san_dns: None,
            #[cfg(feature = "mtls")]
            tls_client_auth_san_uri: None,
            #[cfg(feature = "mtls")]
            tls_client_auth_san_ip: None,
            #[cfg(feature = "mtls")]
            tls_client_auth_san_email: None,
            #[cfg(feature = "mtls")]
            tls_client_certificate_bound_access_tokens: false,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Lists what is wrong with this registration on a server of that configuration; empty when nothing is.
    ///
    /// A `scope` or `resources` entry that the server does not offer is not wrong: it is just never granted. A type of
    /// `authorization_details` that the server does not know is wrong (RFC 9396 §10), but the client can be used: that type alone is
    /// never granted.
    pub fn validate(&self, config: &Config) -> Vec<Fault> {
        let methods = config.enabled_methods();
        let mut faults = self.faults(&RegistrationRules::of(config, &methods));
        let mut kinds = self.client_secrets.iter().map(|secret| secret.verifier.kind());
        if kinds.any(|kind| kind != VerifierKind::Sha256 && kind != config.unknown_client_work) {
            faults.push(Fault::new(
                "client_secrets",
                "a slow hash needs unknown_client_work = \"argon2id\" on the server, or time tells who is registered",
            ));
        }
        if self.resources.as_ref().is_some_and(|list| !list.iter().all(uri::is_absolute)) {
            faults.push(Fault::new("resources", "each must be an absolute URI without fragment"));
        }
        if let Some(default) = &self.default_resources {
            let may_ask = |resource: &str| self.resources.as_ref().is_none_or(|own| own.contains(resource));
            if !default.iter().all(|default| config.resources.iter().any(|known| known == default) && may_ask(default))
            {
                faults.push(Fault::new(
                    "default_resources",
                    "each must stand in the server's resources, and in the client's if it has a list",
                ));
            }
        }
        #[cfg(feature = "rar")]
        if !self
            .authorization_details_types
            .iter()
            .flatten()
            .all(|own| config.authorization_details_types.contains(own))
        {
            faults.push(Fault::new("authorization_details_types", "each must stand in the server's"));
        }
        faults
    }

    /// What is allowed and probably not meant, such as a short secret.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// Whether the client cannot authenticate at all (RFC 6749 §2.1).
    pub(crate) fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == [AuthenticationMethod::None]
    }

    /// Whether the client may use the grant `client_credentials`.
    pub(crate) fn may_use_grant(&self) -> bool {
        self.grant_types.iter().any(|grant| grant == "client_credentials")
    }

    /// Whether a token that was issued to this client at `issued_at` still counts.
    pub(crate) fn token_stands(&self, issued_at: Timestamp) -> bool {
        !self.disabled && self.tokens_not_before.is_none_or(|start| issued_at >= start)
    }

    /// The faults of the registration by itself, whatever the server's configuration.
    pub(crate) fn own_faults(&self) -> Vec<Fault> {
        let mut faults = self.faults.clone();
        if self.client_secrets.len() > MAX_SECRETS {
            faults.push(Fault::new("client_secrets", format!("at most {MAX_SECRETS} secrets")));
        }
        let earlier = |at: usize| self.client_secrets.iter().take(at).map(|secret| &secret.id);
        if self.client_secrets.iter().enumerate().any(|(at, secret)| earlier(at).any(|id| *id == secret.id)) {
            let problem = "each needs an id of its own, so that events can tell them apart";
            faults.push(Fault::new("client_secrets", problem));
        }
        if let (Some(default), Some(scope)) = (&self.default_scope, &self.scope)
            && !scope.contains_all(default)
        {
            faults.push(Fault::new("default_scope", "every token of it must stand in scope"));
        }
        if self.access_token_lifetime.is_some_and(|seconds| !(1..=MAX_LIFETIME).contains(&seconds)) {
            faults.push(Fault::new("access_token_lifetime", format!("must be 1 to {MAX_LIFETIME} seconds")));
        }
        faults
    }

    /// The faults that forbid to use a client, however it was made; nothing is allocated for a sound one.
    ///
    /// A resource that cannot be known to the server is none of them: it is never granted.
    pub(crate) fn faults(&self, rules: &RegistrationRules<'_>) -> Vec<Fault> {
        let mut faults = self.own_faults();
        let methods = &self.token_endpoint_auth_method;
        let mut fault = |problem: String| faults.push(Fault::new("token_endpoint_auth_method", problem));
        for method in methods {
            match method {
                AuthenticationMethod::Other(_) => fault(format!("{method} is not a known method")),
                AuthenticationMethod::None if methods.len() > 1 => fault("none stands alone or not at all".to_owned()),
                AuthenticationMethod::None | AuthenticationMethod::Custom => {}
                method if AuthenticationMethod::AVAILABLE.contains(method) => {}
                method => fault(format!("{method} is not in this build")),
            }
        }
        let usable =
            |method: &AuthenticationMethod| *method == AuthenticationMethod::Custom || rules.methods.contains(method);
        if !self.is_public() && !methods.iter().any(usable) {
            fault("none of the client's methods is enabled on the server".to_owned());
        }
        if self.client_secrets.is_empty() && methods.iter().any(AuthenticationMethod::needs_secret) {
            faults
                .push(Fault::new("client_secret", "a secret is needed for the registered token_endpoint_auth_method"));
        }
        if self.access_token_format == Some(AccessTokenFormat::Jwt) && cfg!(not(feature = "jwt")) {
            faults.push(Fault::new("access_token_format", "jwt is not in this build; opaque is"));
        }
        #[cfg(feature = "jwt")]
        self.push_faults_of_assertions(rules, &mut faults);
        #[cfg(feature = "jwt")]
        rules.profile.faults_of_client(self, rules.issuer, &mut faults);
        #[cfg(feature = "mtls")]
        self.push_faults_of_certificates(&mut faults);
        faults
    }

    /// What is wrong with the keys behind a client's assertions (RFC 7591 §2, RFC 7523 §2.2).
    #[cfg(feature = "jwt")]
    fn push_faults_of_assertions(&self, rules: &RegistrationRules<'_>, faults: &mut Vec<Fault>) {
        let registered = |method| self.token_endpoint_auth_method.contains(&method);
        let (by_key, by_secret) =
            (registered(AuthenticationMethod::PrivateKeyJwt), registered(AuthenticationMethod::ClientSecretJwt));
        let mut fault = |key: &str, problem: &str| faults.push(Fault::new(key, problem));
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            fault("jwks_uri", "stands beside jwks: one of the two");
        }
        if let Some(Err(problem)) = self.jwks_uri.as_ref().map(|uri| jose::check_uri(uri, rules.jwks_uri_allowed_hosts))
        {
            fault("jwks_uri", problem);
        }
        if by_key && self.jwks.is_none() && self.jwks_uri.is_none() && self.federated.is_empty() {
            fault("jwks", "private_key_jwt needs jwks, jwks_uri or federated");
        }
        if by_secret && !self.client_secrets.iter().any(|secret| secret.mac_key.is_some()) {
            fault(
                "client_secret",
                "client_secret_jwt needs the secret itself, of at least 32 octets: a hash is not enough",
            );
        }
        let differs = |secret: &RegisteredSecret| {
            secret.mac_key.as_ref().is_some_and(|mac_key| mac_key.differs_from(&secret.verifier))
        };
        if self.client_secrets.iter().any(differs) {
            fault("client_secrets", "has a hash of another secret than the mac_key beside it");
        }
        if let Some(algorithm) = self.token_endpoint_auth_signing_alg {
            let fits = if algorithm.is_symmetric() { by_secret } else { by_key };
            if !fits {
                fault("token_endpoint_auth_signing_alg", "is for none of the client's methods");
            }
        }
        for (at, federated) in self.federated.iter().enumerate() {
            let key = format!("federated[{at}]");
            if let Some(problem) = federated.problem(rules.jwks_uri_allowed_hosts) {
                fault(&key, problem);
            }
            if federated.issuer == self.client_id.as_str() {
                fault(&key, "has the client_id as issuer: what the client signs itself is checked by its own jwks");
            }
            let same = |other: &FederatedIssuer| other.issuer == federated.issuer && other.subject == federated.subject;
            if self.federated.iter().take(at).any(same) {
                fault(&key, "has the issuer and subject of another one");
            }
        }
        if !self.federated.is_empty() && !by_key {
            fault("federated", "needs token_endpoint_auth_method = \"private_key_jwt\"");
        }
    }
}

/// What a server's configuration says about registrations.
pub(crate) struct RegistrationRules<'a> {
    pub(crate) methods: &'a [AuthenticationMethod],
    #[cfg(feature = "jwt")]
    pub(crate) jwks_uri_allowed_hosts: &'a [String],
    #[cfg(feature = "jwt")]
    pub(crate) profile: Profile,
    #[cfg(feature = "jwt")]
    pub(crate) issuer: &'a str,
}

impl<'a> RegistrationRules<'a> {
    #[cfg_attr(not(feature = "jwt"), expect(unused_variables, reason = "nothing else of it counts in this build"))]
    pub(crate) fn of(config: &'a Config, methods: &'a [AuthenticationMethod]) -> Self {
        Self {
            methods,
            #[cfg(feature = "jwt")]
            jwks_uri_allowed_hosts: &config.jwks_uri_allowed_hosts,
            #[cfg(feature = "jwt")]
            profile: config.profile,
            #[cfg(feature = "jwt")]
            issuer: &config.issuer,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.client_id)
            .field("client_secrets", &self.client_secrets)
            .field("token_endpoint_auth_method", &self.token_endpoint_auth_method)
            .field("grant_types", &self.grant_types)
            .field("scope", &self.scope)
            .field("disabled", &self.disabled)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// Where registered clients are found: one method.
///
/// Read for each request, so that a change takes effect at once. Implemented for `&S`, `Arc<S>` and `Box<S>` of every
/// store `S`.
pub trait ClientStore: Send + Sync {
    /// The client with exactly this `client_id`, or `None`.
    ///
    /// `client_id` is 1 to 255 octets of UTF-8 without control characters and otherwise what a stranger sent: bind it as a
    /// parameter, never build a query of it. A client with another `client_id` (as a store that folds case might find) is
    /// taken for `None`.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot tell; the server answers 503.
    fn client(&self, client_id: &str) -> impl Future<Output = Result<Option<Arc<Client>>, StoreError>> + Send;
}

macro_rules! client_store_behind {
    ($($pointer:ty),*) => {$(
        impl<S: ClientStore + ?Sized> ClientStore for $pointer {
            fn client(&self, client_id: &str) -> impl Future<Output = Result<Option<Arc<Client>>, StoreError>> + Send {
                S::client(self, client_id)
            }
        }
    )*};
}
client_store_behind!(&S, Arc<S>, Box<S>);
