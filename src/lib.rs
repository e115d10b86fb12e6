//! Server side of the OAuth 2.0 client credentials grant (RFC 6749 §4.4), for people who embed it in their own servers.
//!
//! A service sends its client id and a proof to a token endpoint; this crate authenticates it, decides scope and
//! audience, mints an access token, stores it, and answers. A resource server asks about the token (RFC 7662) and gets a
//! definite answer. HTTP wiring, runtime and storage are the embedder's.
//!
//! ```
//! use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
//! use client_credentials::{AuthorizationServer, Client, Config, Scope, issue_client_credentials_token};
//! use client_credentials::{Field, Parts, TokenRequest};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An operator registers a client, and shows it the secret once.
//! let (mut client, secret) = Client::generate()?;
//! client.scope = Some(Scope::parse("read write")?);
//! client.token_endpoint_auth_method = vec!["client_secret_post".into()];
//! let client_id = client.client_id.clone();
//! let clients: MemoryClientStore = [client].into_iter().collect();
//! let server = AuthorizationServer::new(Config::new("https://as.example.com"), clients, MemoryTokenStore::default())?;
//!
//! // The client asks for a token.
//! let secret = secret.expose();
//! let body = format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}&scope=read");
//! let request = TokenRequest::parse(Parts {
//!     method: "POST",
//!     content_type: Field::One(b"application/x-www-form-urlencoded"),
//!     body: body.as_bytes(),
//!     ..Parts::default()
//! })?;
//! let response = issue_client_credentials_token(&server, &request).await?;
//! assert_eq!(response.scope.as_str(), "read");
//! # Ok(())
//! # }
//! ```
//!
//! # The road
//!
//! ```text
//! bytes ─► TokenRequest ─► authenticate ─► authorize ─► issue ─► TokenResponse ─► bytes
//! ```
//!
//! Each stage takes the value of the one before. Everything up to `issue` only reads; `issue` makes one all-or-nothing
//! write. The stages are public, and the [`Grant`] between them can be edited: that is how a rule of one's own is added.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | (none) | the grant with secrets and opaque tokens, introspection, revocation, metadata, realms, stores in memory |
//! | `http` | `http`: `http::Request` in, `http::Response` out |
//! | `jwt` | `SigningKeys`: JWT access tokens (RFC 9068) and client assertions (RFC 7523); `AccessTokenValidator` for resource servers; needs a C compiler |
//! | `dpop` | `DpopNonces`: tokens bound to a DPoP key (RFC 9449) |
//! | `jwks-uri` | `JwksCache::https`: key sets of others, fetched by https |
//! | `rar` | `authorization_details`: rich authorization requests (RFC 9396) |
//! | `mtls` | `Client::tls_client_auth_subject_dn` and its like: clients that authenticate by a TLS certificate, and tokens that are bound to one (RFC 8705); turns on `jwt` |
//! | `sqlite` | `store::SqliteTokenStore`, `store::SqliteClientStore`: tokens and clients in a file, for one node; needs a C compiler |
//! | `postgres` | `store::PostgresTokenStore`, `store::PostgresClientStore`: tokens and clients in PostgreSQL, for several nodes |
//! | `redis` | `store::RedisTokenStore`: tokens in Redis or a Redis Cluster, for several nodes |
//! | `argon2` | `SecretVerifier::argon2id`: secrets that people chose |
//! | `conformance` | `store::conformance`: a test suite for stores of one's own; for `[dev-dependencies]` |

#![forbid(unsafe_code)]
#![cfg_attr(client_credentials_docsrs, feature(doc_cfg))]

// What arrived.
mod form;
mod request;
pub use request::{CertificateChain, ClientCertificate, Credentials, Field, MAX_BODY, Parts, TokenRequest};

// Who sent it.
mod client;
pub use client::authentication::AuthenticatedClient;
#[cfg(feature = "jwt")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
pub use client::{AssertionAudience, FederatedIssuer};
pub use client::{
    AuthenticationMethod, BasicEncoding, Client, ClientId, ClientSecret, ClientStore, Fault, InvalidClientId,
    InvalidVerifier, RegisteredSecret, SecretVerifier, VerifierKind,
};
#[cfg(feature = "mtls")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
pub use client::{DistinguishedName, InvalidCertificate, InvalidDistinguishedName};

// What it may have.
mod scope;
pub use scope::{InvalidScope, Scope, ScopePolicy};
mod resource;
mod uri;
pub use resource::Audience;
mod authorization_details;
pub use authorization_details::{
    AuthorizationDetail, AuthorizationDetails, InvalidAuthorizationDetails, InvalidMembers,
};
mod confirmation;
mod grant;
#[cfg(any(feature = "jwt", feature = "rar"))]
mod json;
pub use grant::{Grant, issue_client_credentials_token};

// What it gets, and how that is kept.
mod token;
#[cfg(feature = "dpop")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
pub use token::dpop::{DpopNonces, InvalidDpopProof, InvalidNonceKey};
pub use token::{
    AccessToken, AccessTokenFormat, Claims, Confirmation, Inserted, InvalidClaim, Record, RecordKey, RecordValue,
    Thumbprint, TokenRecord, TokenStore, TokenType,
};
#[cfg(feature = "jwt")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
mod jose;
#[cfg(feature = "jwks-uri")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwks-uri")))]
pub use jose::InvalidJwksPolicy;
#[cfg(feature = "jwt")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
pub use jose::{
    FetchedJwks, InvalidJwk, InvalidJwt, InvalidKey, JwkSet, JwksCache, JwksError, JwsAlgorithm, MacKey,
    SigningAlgorithm, SigningKey, SigningKeys,
};
mod flight;
pub mod store;
pub use store::StoreError;

// What it is answered.
mod response;
pub use response::TokenResponse;
mod error;
pub use error::{ErrorCode, FormError, Reason, TokenError};

// What else is asked of the server.
mod introspection;
pub use introspection::{IntrospectionRequest, IntrospectionResponse, introspect_token};
mod revocation;
pub use revocation::{RevocationRequest, RevocationResponse, revoke_token};
mod metadata;
#[cfg(feature = "mtls")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
pub use metadata::MtlsEndpointAliases;
pub use metadata::{Metadata, metadata_path};

// What the operator decides, and what they see.
mod server;
pub use server::{AuthorizationServer, Config, ConfigError, Endpoints};
#[cfg(feature = "jwt")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
mod profile;
#[cfg(feature = "jwt")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
pub use profile::Profile;
mod realm;
pub use realm::{Realms, Route, check_realm_path};
mod audit;
pub use audit::{Claimed, Endpoint, Event, Outcome};

// What a resource server does with a token.
#[cfg(feature = "jwt")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
mod validation;
#[cfg(feature = "jwt")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
pub use validation::{AccessError, AccessReason, AccessTokenValidator, PresentedToken, ValidatedToken};

// What comes from outside.
mod clock;
pub use clock::{Clock, SystemClock, Timestamp};
mod random;
pub use random::{RandomError, RandomSource, SystemRandom};

#[cfg(feature = "http")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "http")))]
pub mod http;

/// Guides in prose, compiled with the documentation.
pub mod guide {
    #[doc = include_str!("../docs/architecture.md")]
    pub mod architecture {}
    #[doc = include_str!("../docs/operations.md")]
    pub mod operations {}
    #[doc = include_str!("../docs/benchmarks.md")]
    pub mod benchmarks {}
}

#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
mod readme {}
