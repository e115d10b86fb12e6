//! The endpoints on the types of the `http` crate, so that any framework needs about ten lines.
//!
//! Nothing here reads a socket: the request has its whole body, the response gets its whole body. Collect at most
//! [`MAX_BODY`](crate::MAX_BODY) + 1 octets of it: that is enough to be told 413. The peer's address is taken from a
//! [`SocketAddr`] among the request's extensions, never from a header; so is the client's certificate, from a
//! `TlsClientCertificate` (feature `mtls`).
//!
//! ```
//! use client_credentials::{AuthorizationServer, Config, Realms, http::respond, store::{MemoryClientStore, MemoryTokenStore}};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = AuthorizationServer::new(
//!     Config::new("https://as.example.com"),
//!     MemoryClientStore::default(),
//!     MemoryTokenStore::default(),
//! )?;
//! let realms = Realms::new(server);
//! let request = http::Request::post("/oauth2/access_token")
//!     .header("content-type", "application/x-www-form-urlencoded")
//!     .body("grant_type=client_credentials&client_id=nobody&client_secret=wrong")?;
//! let response = respond(&realms, &request).await;
//! assert_eq!(response.status(), 401);
//! # Ok(()) }
//! ```

use crate::audit::Endpoint;
use crate::client::ClientStore;
use crate::error::{Reason, TokenError};
use crate::grant::issue_client_credentials_token;
use crate::introspection::{IntrospectionRequest, introspect_token};
use crate::realm::{Realms, Route};
#[cfg(feature = "mtls")]
use crate::request::{CertificateChain, ClientCertificate};
use crate::request::{Field, Parts, TokenRequest};
use crate::response::no_store;
use crate::revocation::{RevocationRequest, revoke_token};
use crate::server::AuthorizationServer;
use crate::token::TokenStore;
#[cfg(feature = "jwt")]
use crate::validation::{AccessError, AccessTokenValidator, PresentedToken};
use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Request, Response, StatusCode};
#[cfg(feature = "mtls")]
use base64::{
    Engine, alphabet,
    engine::DecodePaddingMode,
    engine::general_purpose::{GeneralPurpose, PAD},
};
use std::borrow::Cow;
use std::net::SocketAddr;
#[cfg(feature = "mtls")]
use std::sync::Arc;

impl<'a> Parts<'a> {
    /// The parts of a request of the `http` crate.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "http")))]
    pub fn of<B: AsRef<[u8]>>(request: &'a Request<B>) -> Self {
        let field = |name: &HeaderName| field(request.headers(), name);
        Self {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: request.uri().query(),
            content_type: field(&header::CONTENT_TYPE),
            content_encoding: field(&header::CONTENT_ENCODING),
            authorization: field(&header::AUTHORIZATION),
            dpop: field(&const { HeaderName::from_static("dpop") }),
            accept: field(&header::ACCEPT),
            body: request.body().as_ref(),
            #[cfg(feature = "mtls")]
            certificate: request.extensions().get::<TlsClientCertificate>().map(TlsClientCertificate::as_part),
            #[cfg(not(feature = "mtls"))]
            certificate: None,
            peer: request.extensions().get::<SocketAddr>().map(SocketAddr::ip),
        }
    }
}

/// The certificate of a connection, for the extensions of each of its requests: whoever ends TLS puts it there.
///
/// ```
/// use client_credentials::{CertificateChain, Parts, http::TlsClientCertificate};
///
/// let der: &[u8] = b"what the TLS library gives"; // for rustls: `peer_certificates()`, the first of them
/// let mut request = http::Request::post("/oauth2/access_token").body("grant_type=client_credentials&client_id=reports")?;
/// request.extensions_mut().insert(TlsClientCertificate::new(der, CertificateChain::Verified));
/// assert_eq!(Parts::of(&request).certificate.map(|certificate| certificate.der), Some(der));
/// # Ok::<(), http::Error>(())
/// ```
///
/// RFC 8705 §2, §3.
#[cfg(feature = "mtls")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsClientCertificate {
    /// The end-entity certificate, DER.
    pub der: Arc<[u8]>,
    /// What is known of its chain.
    pub chain: CertificateChain,
}

#[cfg(feature = "mtls")]
impl TlsClientCertificate {
    /// A certificate, and what is known of its chain.
    pub fn new(der: impl Into<Arc<[u8]>>, chain: CertificateChain) -> Self {
        Self { der: der.into(), chain }
    }

    /// Reads the fields by which a proxy that ends TLS hands the certificate on: `Client-Cert`, and `Client-Cert-Chain`, which must
    /// be well-formed and is not needed, for the proxy has checked the chain.
    ///
    /// **Anybody can write these fields.** Call this only for a request that came straight from a proxy of yours, on a network or
    /// a connection where nobody else can speak in its place, and only if that proxy removes the fields of those names that its own
    /// clients send. `chain` is what that proxy checks: `Verified` only if it lets no other certificates through.
    ///
    /// # Errors
    /// [`InvalidClientCert`] when a field is repeated where it must not be, is no structured field, or `Client-Cert-Chain` stands alone.
    /// Answer 400: it is not as if there were no certificate.
    ///
    /// RFC 9440 §2; RFC 8941 §3.1, §3.3.5.
    pub fn forwarded(headers: &HeaderMap, chain: CertificateChain) -> Result<Option<Self>, InvalidClientCert> {
        const CERTIFICATE: HeaderName = HeaderName::from_static("client-cert");
        const CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
        for value in headers.get_all(CHAIN) {
            value.as_bytes().split(|octet| *octet == b',').try_for_each(|member| byte_sequence(member).map(drop))?;
        }
        match field(headers, &CERTIFICATE) {
            Field::Absent if headers.contains_key(CHAIN) => Err(InvalidClientCert),
            Field::Absent => Ok(None),
            Field::One(value) => Ok(Some(Self::new(byte_sequence(value)?, chain))),
            Field::Repeated => Err(InvalidClientCert),
        }
    }

    fn as_part(&self) -> ClientCertificate<'_> {
        ClientCertificate::new(&self.der, self.chain)
    }
}

/// A proxy's field for the client's certificate is malformed.
#[cfg(feature = "mtls")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Client-Cert or Client-Cert-Chain is not what RFC 9440 says")]
#[non_exhaustive]
pub struct InvalidClientCert;

/// One byte sequence without parameters, with spaces around it at most (RFC 8941 §3.3.5, §4.2.7).
#[cfg(feature = "mtls")]
fn byte_sequence(value: &[u8]) -> Result<Vec<u8>, InvalidClientCert> {
    // Padding may be missing (RFC 8941 §4.2.7).
    const BASE64: GeneralPurpose =
        GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));
    let inner = value.trim_ascii().strip_prefix(b":").and_then(|rest| rest.strip_suffix(b":"));
    let octets = inner.and_then(|base64| BASE64.decode(base64).ok());
    octets.filter(|octets| !octets.is_empty()).ok_or(InvalidClientCert)
}

fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Field<'a> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// Answers any request: finds realm and endpoint by the path, 404 where there is none.
pub async fn respond<C, T, B>(realms: &Realms<C, T>, request: &Request<B>) -> Response<Vec<u8>>
where
    C: ClientStore,
    T: TokenStore,
    B: AsRef<[u8]> + Sync,
{
    match realms.route(request.uri().path()) {
        Some(Route { server, endpoint: Endpoint::Token, .. }) => token(server, request).await,
        Some(Route { server, endpoint: Endpoint::Introspection, .. }) => introspection(server, request).await,
        Some(Route { server, endpoint: Endpoint::Revocation, .. }) => revocation(server, request).await,
        Some(Route { server, endpoint: Endpoint::Metadata, .. }) => metadata(server, request),
        Some(Route { server, endpoint: Endpoint::Jwks, .. }) => jwks(server, request),
        None => refusal(&TokenError::new(Reason::NoSuchEndpoint, None)),
    }
}

/// The token endpoint (RFC 6749 §3.2): the answer to one request, refusals included.
pub async fn token<C, T, B>(server: &AuthorizationServer<C, T>, request: &Request<B>) -> Response<Vec<u8>>
where
    C: ClientStore,
    T: TokenStore,
    B: AsRef<[u8]> + Sync,
{
    let parts = Parts::of(request);
    match TokenRequest::parse(parts) {
        Ok(request) => match issue_client_credentials_token(server, &request).await {
            Ok(granted) => answer(granted.headers(), granted.body()),
            Err(error) => refusal(&error),
        },
        Err(error) => reported(server, Endpoint::Token, parts, &error),
    }
}

/// The introspection endpoint (RFC 7662 §2): the answer to one request, refusals included.
pub async fn introspection<C, T, B>(server: &AuthorizationServer<C, T>, request: &Request<B>) -> Response<Vec<u8>>
where
    C: ClientStore,
    T: TokenStore,
    B: AsRef<[u8]> + Sync,
{
    let parts = Parts::of(request);
    match IntrospectionRequest::parse(parts) {
        Ok(request) => match introspect_token(server, &request).await {
            Ok(told) => answer(told.headers(), told.body()),
            Err(error) => refusal(&error),
        },
        Err(error) => reported(server, Endpoint::Introspection, parts, &error),
    }
}

/// The revocation endpoint (RFC 7009 §2): the answer to one request, refusals included.
pub async fn revocation<C, T, B>(server: &AuthorizationServer<C, T>, request: &Request<B>) -> Response<Vec<u8>>
where
    C: ClientStore,
    T: TokenStore,
    B: AsRef<[u8]> + Sync,
{
    let parts = Parts::of(request);
    match RevocationRequest::parse(parts) {
        Ok(request) => match revoke_token(server, &request).await {
            Ok(done) => answer(done.headers(), done.body()),
            Err(error) => refusal(&error),
        },
        Err(error) => reported(server, Endpoint::Revocation, parts, &error),
    }
}

/// The metadata document (RFC 8414 §3); `GET` and `HEAD` only.
pub fn metadata<C, T, B>(server: &AuthorizationServer<C, T>, request: &Request<B>) -> Response<Vec<u8>>
where
    C: ClientStore,
    T: TokenStore,
    B: AsRef<[u8]>,
{
    document(server, Endpoint::Metadata, request, || server.metadata().body())
}

/// The key set (RFC 7517 §5), empty where nothing is signed; `GET` and `HEAD` only. Keys may be cached for five minutes.
pub fn jwks<C, T, B>(server: &AuthorizationServer<C, T>, request: &Request<B>) -> Response<Vec<u8>>
where
    C: ClientStore,
    T: TokenStore,
    B: AsRef<[u8]>,
{
    #[cfg(feature = "jwt")]
    if !server.signing_keys.is_empty() {
        let mut response = document(server, Endpoint::Jwks, request, || server.jwks());
        if response.status().is_success() {
            let cache = HeaderValue::from_static("public, max-age=300");
            response.headers_mut().insert(header::CACHE_CONTROL, cache);
            response.headers_mut().remove(header::PRAGMA);
        }
        return response;
    }
    document(server, Endpoint::Jwks, request, || br#"{"keys":[]}"#.to_vec())
}

fn document<C, T, B>(
    server: &AuthorizationServer<C, T>,
    endpoint: Endpoint,
    request: &Request<B>,
    body: impl FnOnce() -> Vec<u8>,
) -> Response<Vec<u8>>
where
    C: ClientStore,
    T: TokenStore,
    B: AsRef<[u8]>,
{
    if *request.method() == Method::GET || *request.method() == Method::HEAD {
        return answer(no_store(), body());
    }
    let error = TokenError::new(Reason::MethodNotAllowed { allow: "GET, HEAD" }, None);
    reported(server, endpoint, Parts::of(request), &error)
}

/// A refusal that no stage has seen, with the event that tells of it.
fn reported<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    endpoint: Endpoint,
    parts: Parts<'_>,
    error: &TokenError,
) -> Response<Vec<u8>> {
    server.report(endpoint, None, parts.peer, error);
    refusal(error)
}

/// The answer that an error stands for.
pub fn refusal(error: &TokenError) -> Response<Vec<u8>> {
    let mut response = answer(error.headers(), error.body());
    *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

#[cfg(feature = "jwt")]
impl AccessTokenValidator {
    /// [`read`](Self::read) on the header of a request of the `http` crate.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "http")))]
    pub fn read_headers<'a>(&self, headers: &'a HeaderMap) -> Result<PresentedToken<'a>, AccessError> {
        self.read(field(headers, &header::AUTHORIZATION))
    }
}

/// The answer of a resource server that an error stands for, without a body (RFC 6750 §3).
#[cfg(feature = "jwt")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
pub fn denial(error: &AccessError) -> Response<Vec<u8>> {
    let mut response = answer(error.headers(), Vec::new());
    *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn answer<'a>(headers: impl Iterator<Item = (&'static str, Cow<'a, str>)>, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        // Every value is made of fixed texts, a scope, and an issuer or a realm that has been checked; none can be refused here.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
