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

use crate::authorization_details::AuthorizationDetails;
use crate::scope::Scope;
use crate::token::{AccessToken, TokenType};
use serde::Serialize;
use std::borrow::Cow;

/// The fields of every JSON answer of these endpoints (RFC 6749 §5.1): nothing of them may be cached.
const NO_STORE: [(&str, &str); 3] =
    [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache")];

/// The field that hands a nonce out (RFC 9449 §8).
pub(crate) const DPOP_NONCE: &str = "DPoP-Nonce";

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

/// Writes one JSON object member by member: the answers and claims that are written for every token.
///
/// Text that needs no escape, which is nearly all of it, is copied in one piece; for the rest serde_json decides.
pub(crate) struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    pub(crate) fn with_capacity(octets: usize) -> Self {
        let mut text = Vec::with_capacity(octets);
        text.push(b'{');
        Self(text)
    }

    /// A name that needs no escape, and text.
    #[inline]
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.push_text(value);
    }

    /// Any name, and whatever it stands for.
    pub(crate) fn value(&mut self, name: &str, value: &impl Serialize) {
        self.separate();
        self.push_text(name);
        self.0.push(b':');
        self.push_json(value);
    }

    /// A name that needs no escape, and a whole number.
    #[inline]
    pub(crate) fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        self.push_json(&value);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    #[inline]
    fn separate(&mut self) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
    }

    #[inline]
    fn name(&mut self, name: &'static str) {
        self.separate();
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn push_text(&mut self, text: &str) {
        // Without a way out early, so that it is done sixteen octets at a time.
        let is_plain = |octet: &u8| *octet >= b' ' && *octet != b'"' && *octet != b'\\';
        if text.as_bytes().iter().fold(true, |plain, octet| plain & is_plain(octet)) {
            self.0.push(b'"');
            self.0.extend_from_slice(text.as_bytes());
            self.0.push(b'"');
        } else {
            self.push_json(&text);
        }
    }

    fn push_json(&mut self, value: &impl Serialize) {
        // See `json`: nothing that is written here fails.
        let _ = serde_json::to_writer(&mut self.0, value);
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
    /// The nonce that the client's next DPoP proof should have.
    #[serde(skip)]
    pub(crate) dpop_nonce: Option<String>,
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
            dpop_nonce: None,
        }
    }

    /// The HTTP status: 200.
    pub fn status(&self) -> u16 {
        200
    }

    /// The header fields: JSON that must not be cached (RFC 6749 §5.1), and a `DPoP-Nonce` where the client's own will not last.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        no_store().chain(self.dpop_nonce.as_deref().map(|nonce| (DPOP_NONCE, Cow::Borrowed(nonce))))
    }

    /// The JSON body, UTF-8: what this serialises to.
    pub fn body(&self) -> Vec<u8> {
        let (access_token, scope) = (self.access_token.expose(), self.scope.as_str());
        let mut body = ObjectWriter::with_capacity(access_token.len() + scope.len() + 96);
        body.text("access_token", access_token);
        body.text("token_type", self.token_type.as_str());
        body.number("expires_in", self.expires_in);
        if !scope.is_empty() {
            body.text("scope", scope);
        }
        if let Some(details) = &self.authorization_details {
            body.value("authorization_details", details);
        }
        body.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // req: TO-001, TO-002
    fn what_is_written_by_hand_is_what_serde_writes() {
        for token in ["2YotnFZFEjr1zCsicMWpAA", "", "a\"b", "\\", "\u{0}\u{1f}\n", "\u{7f}é€𐍈", "a b", "x\u{2028}y"]
        {
            for scope in [Scope::default(), Scope::parse("read write").unwrap()] {
                let mut response = TokenResponse::new(token, 3599, scope);
                assert_eq!(response.body(), json(&response), "{token:?}");
                response.token_type = TokenType::DPoP;
                let details = AuthorizationDetails::new([serde_json::json!({ "type": "x", "y": "\"" })]);
                response.authorization_details = Some(details.unwrap());
                assert_eq!(response.body(), json(&response), "{token:?}");
            }
        }
    }
}
