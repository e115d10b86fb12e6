//! The endpoints on the types of the `http` crate, so that any framework needs about ten lines.
//!
//! Nothing here reads a socket: the request has its whole body, the response gets its whole body. Collect at most
//! [`MAX_BODY`](crate::MAX_BODY) + 1 octets of it: that is enough to be told 413. The peer's address is taken from a
//! [`SocketAddr`] among the request's extensions, never from a header.
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
use crate::request::{Field, Parts, TokenRequest};
use crate::response::no_store;
use crate::revocation::{RevocationRequest, revoke_token};
use crate::server::AuthorizationServer;
use crate::token::TokenStore;
#[cfg(feature = "jwt")]
use crate::validation::{AccessError, AccessTokenValidator, PresentedToken};
use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Request, Response, StatusCode};
use std::borrow::Cow;
use std::net::SocketAddr;

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
            certificate: None,
            peer: request.extensions().get::<SocketAddr>().map(SocketAddr::ip),
        }
    }
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
