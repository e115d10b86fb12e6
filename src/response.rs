//! The answer to a granted request, and what every answer's header has in common.
//!
//! ```
//! use client_credentials::{Scope, TokenResponse};
//!
//! let response = TokenResponse::new("2YotnFZFEjr1zCsicMWpAA", 3599, Scope::parse("write")?);
//! assert_eq!(
//!     response.body(),
//!     br#"{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer","expires_in":3599,"scope":"write"}"#
//! );
//! assert!(response.headers().any(|(name, value)| name == "Cache-Control" && value == "no-store"));
//! # Ok::<(), client_credentials::InvalidScope>(())
//! ```

use crate::scope::Scope;
use crate::token::{AccessToken, AuthorizationDetails, TokenType};
use serde::Serialize;
use std::borrow::Cow;

/// The fields of every JSON answer of these endpoints (RFC 6749 §5.1): nothing of them may be cached.
const NO_STORE: [(&str, &str); 3] =
    [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache")];

/// [`NO_STORE`], as every answer hands it out.
pub(crate) fn no_store<'a>() -> impl Iterator<Item = (&'static str, Cow<'a, str>)> {
    NO_STORE.into_iter().map(|(name, value)| (name, Cow::Borrowed(value)))
}

/// Writes a value of this crate's own as JSON, in one allocation for the ordinary answers.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    // Only a map with keys that are no text, or a failing writer, makes this fail; neither exists here.
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => text,
        Err(_) => br#"{"error":"server_error"}"#.to_vec(),
    }
}

/// A new access token and what belongs to it: the body of a 200 of the token endpoint.
///
/// Members without a value are left out; there is never a `refresh_token` (RFC 6749 §4.4.3).
///
/// RFC 6749 §5.1.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The token; Debug shows no part of it.
    pub access_token: AccessToken,
    /// `Bearer`, or `DPoP` for a token that is bound to a DPoP key.
    pub token_type: TokenType,
    /// Whole seconds that are left of its life, rounded down.
    pub expires_in: u64,
    /// What was granted; left out when empty.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// Granted details (RFC 9396 §7); left out when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<AuthorizationDetails>,
}

impl TokenResponse {
    /// An answer with a `Bearer` token, for an embedder who mints tokens of another kind.
    pub fn new(access_token: impl Into<AccessToken>, expires_in: u64, scope: Scope) -> Self {
        Self {
            access_token: access_token.into(),
            token_type: TokenType::Bearer,
            expires_in,
            scope,
            authorization_details: None,
        }
    }

    /// The HTTP status: 200.
    pub fn status(&self) -> u16 {
        200
    }

    /// The header fields: JSON that must not be cached (RFC 6749 §5.1).
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        no_store()
    }

    /// The JSON body, UTF-8.
    pub fn body(&self) -> Vec<u8> {
        json(self)
    }
}
