//! Metadata: what the server says of itself, which is what is configured and no more (RFC 8414).
//!
//! ```
//! use client_credentials::{Config, Metadata, metadata_path};
//!
//! let config = Config::new("https://as.example.com/tenant");
//! let metadata = Metadata::of(&config);
//! assert_eq!(metadata.token_endpoint, "https://as.example.com/tenant/oauth2/access_token");
//! assert_eq!(metadata_path(&config.issuer), "/.well-known/oauth-authorization-server/tenant");
//! ```

use crate::client::{AuthenticationMethod, ClientStore};
#[cfg(feature = "jwt")]
use crate::jose::JwsAlgorithm;
use crate::response::{json, no_store};
use crate::server::{AuthorizationServer, Config, Endpoints};
use crate::token::TokenStore;
use serde::Serialize;
use std::borrow::Cow;

/// Authorization server metadata; members without a value are left out.
///
/// RFC 8414 §2, §3.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are RFC 8414's")]
pub struct Metadata {
    pub issuer: String,
    pub token_endpoint: String,
    pub token_endpoint_auth_methods_supported: Vec<AuthenticationMethod>,
    /// Of client assertions, where a method takes them; the same at each endpoint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// Required although there is no authorization endpoint, hence empty (RFC 8414 §2).
    pub response_types_supported: [&'static str; 0],
    /// Always written: absent would mean `authorization_code` and `implicit`.
    pub grant_types_supported: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// Of DPoP proofs (RFC 9449 §5.1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dpop_signing_alg_values_supported: Vec<&'static str>,
    /// RFC 9396 §10.
    #[cfg(feature = "rar")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "rar")))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_details_types_supported: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_methods_supported: Vec<AuthenticationMethod>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// Of signed introspection answers (RFC 9701 §7), where the server has keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub introspection_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revocation_endpoint_auth_methods_supported: Vec<AuthenticationMethod>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// RFC 8705 §3.3.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// RFC 8705 §5.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls_endpoint_aliases: Option<MtlsEndpointAliases>,
}

/// The endpoints for clients with a certificate, where those are on another host than the rest.
///
/// RFC 8705 §5.
#[cfg(feature = "mtls")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are RFC 8414's")]
pub struct MtlsEndpointAliases {
    pub token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
}

impl Metadata {
    /// The metadata of a server with this configuration, and without signing keys.
    pub fn of(config: &Config) -> Self {
        let Endpoints { token_endpoint, introspection_endpoint, revocation_endpoint, jwks_uri: _ } = config.endpoints();
        let methods = config.enabled_methods();
        let methods_of = |endpoint: &Option<String>| endpoint.as_ref().map_or_else(Vec::new, |_| methods.clone());
        let algorithms = assertion_algorithms(config, &methods);
        let algorithms_of = |endpoint: &Option<String>| endpoint.as_ref().map_or_else(Vec::new, |_| algorithms.clone());
        Self {
            issuer: config.issuer.clone(),
            token_endpoint,
            response_types_supported: [],
            grant_types_supported: config.grant_types.clone(),
            scopes_supported: config.scopes.clone().unwrap_or_default(),
            #[cfg(feature = "rar")]
            authorization_details_types_supported: config.authorization_details_types.clone(),
            introspection_endpoint_auth_methods_supported: methods_of(&introspection_endpoint),
            introspection_endpoint_auth_signing_alg_values_supported: algorithms_of(&introspection_endpoint),
            introspection_endpoint,
            introspection_signing_alg_values_supported: Vec::new(),
            dpop_signing_alg_values_supported: dpop_algorithms(config),
            jwks_uri: None,
            revocation_endpoint_auth_methods_supported: methods_of(&revocation_endpoint),
            revocation_endpoint_auth_signing_alg_values_supported: algorithms_of(&revocation_endpoint),
            revocation_endpoint,
            #[cfg(feature = "mtls")]
            tls_client_certificate_bound_access_tokens: binds_to_certificates(config, &methods),
            #[cfg(feature = "mtls")]
            mtls_endpoint_aliases: config.mtls_endpoints().map(|there| MtlsEndpointAliases {
                token_endpoint: there.token_endpoint,
                introspection_endpoint: there.introspection_endpoint,
                revocation_endpoint: there.revocation_endpoint,
            }),
            token_endpoint_auth_signing_alg_values_supported: algorithms,
            token_endpoint_auth_methods_supported: methods,
        }
    }

    /// The header fields: JSON that must not be cached.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        no_store()
    }

    /// The JSON body.
    pub fn body(&self) -> Vec<u8> {
        json(self)
    }
}

/// The names of the algorithms that a proof may have.
fn dpop_algorithms(config: &Config) -> Vec<&'static str> {
    #[cfg(feature = "dpop")]
    {
        match &config.dpop_signing_algs {
            Some(chosen) => chosen.iter().copied().map(JwsAlgorithm::as_str).collect(),
            None => config.dpop_algorithms().into_iter().flat_map(names).collect(),
        }
    }
    #[cfg(not(feature = "dpop"))]
    {
        let _ = config;
        Vec::new()
    }
}

/// Ed25519 has two names, both of which are read.
#[cfg(feature = "jwt")]
fn names(algorithm: JwsAlgorithm) -> impl Iterator<Item = &'static str> {
    [Some(algorithm.as_str()), (algorithm == JwsAlgorithm::EdDsa).then_some("Ed25519")].into_iter().flatten()
}

/// The names of the algorithms that an assertion may have, by the enabled methods (RFC 8414 §2).
fn assertion_algorithms(config: &Config, methods: &[AuthenticationMethod]) -> Vec<&'static str> {
    #[cfg(feature = "jwt")]
    {
        let takes = |algorithm: &JwsAlgorithm| {
            methods.contains(match algorithm.is_symmetric() {
                true => &AuthenticationMethod::ClientSecretJwt,
                false => &AuthenticationMethod::PrivateKeyJwt,
            })
        };
        let algorithms = config.assertion_algorithms().into_iter().filter(takes);
        match &config.token_endpoint_auth_signing_algs {
            Some(_) => algorithms.map(JwsAlgorithm::as_str).collect(),
            None => algorithms.flat_map(names).collect(),
        }
    }
    #[cfg(not(feature = "jwt"))]
    {
        let _ = (config, methods);
        Vec::new()
    }
}

/// Whether a certificate can reach this server, as far as its configuration tells (RFC 8705 §3.3).
#[cfg(feature = "mtls")]
fn binds_to_certificates(config: &Config, methods: &[AuthenticationMethod]) -> bool {
    let by_certificate = [AuthenticationMethod::TlsClientAuth, AuthenticationMethod::SelfSignedTlsClientAuth];
    let default = || config.mtls_base.is_some() || by_certificate.iter().any(|method| methods.contains(method));
    config.tls_client_certificate_bound_access_tokens.unwrap_or_else(default)
}

impl<C: ClientStore, T: TokenStore> AuthorizationServer<C, T> {
    /// What this server says of itself.
    pub fn metadata(&self) -> Metadata {
        let metadata = Metadata::of(self.config());
        #[cfg(feature = "jwt")]
        if !self.signing_keys.is_empty() {
            let algorithm = self.config().signing_algorithms.first().map(|algorithm| algorithm.as_str());
            return Metadata {
                jwks_uri: self.config().endpoints().jwks_uri,
                introspection_signing_alg_values_supported: algorithm.into_iter().collect(),
                ..metadata
            };
        }
        metadata
    }
}

/// The path below the issuer's host where its metadata is found: the well-known part goes before the issuer's own path.
///
/// RFC 8414 §3.1.
pub fn metadata_path(issuer: &str) -> String {
    format!("{WELL_KNOWN}{}", issuer_path(issuer))
}

/// The path of an issuer's URL without a final slash; empty for a bare host.
pub(crate) fn issuer_path(issuer: &str) -> &str {
    let after_scheme = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|slash| after_scheme.get(slash..));
    path.unwrap_or_default().trim_end_matches('/')
}

/// RFC 8414 §7.3.
pub(crate) const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";
