//! Revocation: a client ends a token of its own (RFC 7009).
//!
//! ```
//! # use client_credentials::*;
//! # async fn answer<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, parts: Parts<'_>) -> Result<Vec<u8>, TokenError> {
//! let request = RevocationRequest::parse(parts)?;
//! let response = revoke_token(server, &request).await?;
//! assert_eq!(response.body(), b"{}");
//! # Ok(response.body())
//! # }
//! ```

use crate::audit::{Endpoint, Outcome};
use crate::client::ClientStore;
use crate::client::authentication::AuthenticatedClient;
use crate::error::{Reason, TokenError};
use crate::request::{CallerAndToken, Credentials, Parts};
use crate::response::no_store;
use crate::server::AuthorizationServer;
use crate::token::{AccessTokenFormat, TokenStore};
#[cfg(feature = "jwt")]
use crate::token::{Record, RecordValue};
use std::borrow::Cow;

/// A request of the revocation endpoint: a caller, and the token it wants to end.
///
/// RFC 7009 §2.1.
#[derive(Debug)]
pub struct RevocationRequest<'a>(CallerAndToken<'a>);

impl<'a> RevocationRequest<'a> {
    /// Reads a request by the rules of [`TokenRequest::parse`](crate::TokenRequest::parse); `token` is required,
    /// `token_type_hint` is ignored.
    ///
    /// # Errors
    /// `invalid_request` (400, 405, 413).
    pub fn parse(parts: Parts<'a>) -> Result<Self, TokenError> {
        CallerAndToken::parse(Endpoint::Revocation, parts).map(Self)
    }

    /// What the caller shows to prove who it is.
    pub fn credentials(&self) -> &Credentials<'a> {
        &self.0.credentials
    }
}

/// Ends a token of the caller's own, at once and on every node of the store.
///
/// An unknown, past or already revoked token is a success: there is nothing left to do. Whatever its grants, a client
/// may revoke its tokens.
///
/// # Errors
/// As [`authenticate`](AuthorizationServer::authenticate); `unauthorized_client` (400) for another client's token, which
/// stays active; `temporarily_unavailable` (503) when the store fails: the token may still be active, and an assertion that the
/// caller showed may be spent.
///
/// RFC 7009 §2.
pub async fn revoke_token<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    request: &RevocationRequest<'_>,
) -> Result<RevocationResponse, TokenError> {
    let caller = server.authenticate(request.credentials()).await?;
    let revoked = end(server, &request.0.token, &caller).await.map_err(|reason| server.refused(&caller, reason))?;
    if let Some(observer) = &server.observer {
        observer(&caller.event(&server.issuer, Outcome::Revoked { jti: revoked.as_deref() }));
    }
    Ok(RevocationResponse(()))
}

/// Ends the token, and says which one it was.
async fn end<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    token: &str,
    caller: &AuthenticatedClient,
) -> Result<Option<String>, Reason> {
    let found = server.unexpired_token(token, caller.at).await?;
    if found.as_ref().is_some_and(|found| found.token.client_id != caller.client.client_id) {
        return Err(Reason::NotTheOwner); // RFC 7009 §2.1
    }
    server.spend(caller).await?;
    let Some(found) = found else { return Ok(None) };
    match found.format {
        AccessTokenFormat::Opaque => {
            server.tokens.remove(&server.keys.access_token(token)).await.map_err(Reason::TokenStore)?;
        }
        // A signed token cannot be taken back, so it is denied until it has ended by every node's clock.
        #[cfg(feature = "jwt")]
        AccessTokenFormat::Jwt => {
            let end = found.expires_at.plus(server.config.clock_skew);
            let record = Record::new(server.keys.revoked(&found.jti), end, RecordValue::Revoked);
            // Whether it stood already makes no difference: somebody else was as fast.
            let _ = server.tokens.insert(&[record], caller.at).await.map_err(Reason::TokenStore)?;
        }
        #[cfg(not(feature = "jwt"))]
        AccessTokenFormat::Jwt => {}
    }
    Ok(Some(found.jti))
}

/// The answer of the revocation endpoint: 200 with `{}`, since an empty body breaks real clients.
///
/// RFC 7009 §2.2.
#[derive(Clone, Copy, Debug)]
pub struct RevocationResponse(());

impl RevocationResponse {
    /// The HTTP status: 200.
    pub fn status(&self) -> u16 {
        200
    }

    /// The header fields: JSON that must not be cached.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        no_store()
    }

    /// The JSON body: `{}`.
    pub fn body(&self) -> Vec<u8> {
        b"{}".to_vec()
    }
}
