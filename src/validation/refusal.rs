//! Refusals with two readers: the sender sees a status and a challenge, the operator the [`AccessReason`] (RFC 6750 §3).

use crate::jose::InvalidJwt;
use crate::response::DPOP_NONCE;
use crate::scope::Scope;
#[cfg(feature = "dpop")]
use crate::store::StoreError;
use crate::token::TokenType;
#[cfg(feature = "dpop")]
use crate::token::dpop::InvalidDpopProof;
use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::sync::Arc;

/// Why a request for a resource was refused: for the operator's log, never for whoever sent it.
///
/// No variant holds anything of the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessReason {
    /// The request has no token.
    #[error("the request has no access token")]
    NoToken,
    /// The `Authorization` field is repeated, or is not one scheme with one token.
    #[error("the Authorization header is malformed: {0}")]
    MalformedAuthorization(&'static str),
    /// The JWT is not believed, or the token is bound to a key that was not shown.
    #[error(transparent)]
    Jwt(#[from] InvalidJwt),
    /// The issuer says that the token is not active: unknown to it, ended, revoked, or not for this resource server.
    #[error("the issuer says that the token is not active")]
    Inactive,
    /// The token is active, but by what the issuer says of it not good here.
    #[error("by the introspection answer, {0}")]
    Introspected(#[source] InvalidJwt),
    /// The token lacks a scope.
    #[error("the token lacks the scope {needed:?}")]
    #[expect(missing_docs)]
    InsufficientScope { needed: Scope },
    /// The introspection endpoint could not be asked.
    #[error("the introspection endpoint could not be asked")]
    Introspection(#[source] Arc<dyn Error + Send + Sync>),
    /// The introspection endpoint answered something that is no introspection answer.
    #[error("the introspection endpoint's answer is no JSON object that says whether the token is active")]
    IntrospectionAnswer,
    /// The DPoP proof is refused.
    #[cfg(feature = "dpop")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    #[error("{0}")]
    Proof(#[from] InvalidDpopProof),
    /// The store of used proofs failed.
    #[cfg(feature = "dpop")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    #[error("the store of used DPoP proofs failed")]
    ProofStore(#[source] StoreError),
    /// The validator has neither keys nor introspection.
    #[error("the validator has neither keys nor introspection")]
    NotConfigured,
}

impl AccessReason {
    /// The wire face: status, code, description. The one place where a cause becomes an answer.
    fn wire(&self) -> (u16, Option<&'static str>, &'static str) {
        match self {
            Self::NoToken => (401, None, "The request has no access token."),
            Self::MalformedAuthorization(_) => {
                (400, Some("invalid_request"), "The Authorization header is malformed or repeated.")
            }
            Self::Jwt(InvalidJwt::Jwks(_))
            | Self::Introspection(_)
            | Self::IntrospectionAnswer
            | Self::NotConfigured => (503, None, "Access tokens cannot be checked at present; try again later."),
            Self::Jwt(_) | Self::Inactive | Self::Introspected(_) => {
                (401, Some("invalid_token"), "The access token is invalid, has ended, or is not for this resource.")
            }
            #[cfg(feature = "dpop")]
            Self::Proof(InvalidDpopProof::Nonce) => {
                (401, Some("use_dpop_nonce"), "The DPoP proof needs the nonce of the DPoP-Nonce header.")
            }
            #[cfg(feature = "dpop")]
            Self::Proof(_) => (401, Some("invalid_dpop_proof"), "The DPoP proof is invalid."),
            #[cfg(feature = "dpop")]
            Self::ProofStore(_) => (503, None, "Access tokens cannot be checked at present; try again later."),
            Self::InsufficientScope { .. } => {
                (403, Some("insufficient_scope"), "The access token lacks a scope that is needed here.")
            }
        }
    }
}

/// A refused request for a resource: what its sender is told, and why.
///
/// What goes over the wire is [`status`](Self::status) and [`headers`](Self::headers): fixed texts, the validator's own realm, and the
/// scope that is needed; nothing of the request. `Display` is the operator's view and names the [`AccessReason`].
///
/// RFC 6750 §3, RFC 9449 §7.1.
#[derive(Debug)]
pub struct AccessError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    reason: AccessReason,
    scheme: TokenType,
    challenge: Arc<Challenge>,
    dpop_nonce: Option<String>,
}

/// What every challenge of one validator has.
#[derive(Debug)]
pub(super) struct Challenge {
    /// As it stands between the quotes.
    pub(super) realm: String,
    /// The algorithms of DPoP proofs.
    #[cfg(feature = "dpop")]
    pub(super) algs: String,
}

impl AccessError {
    pub(super) fn new(reason: AccessReason, scheme: TokenType, challenge: &Arc<Challenge>) -> Self {
        Self(Box::new(Inner { reason, scheme, challenge: Arc::clone(challenge), dpop_nonce: None }))
    }

    /// The same with the nonce that the next proof should have.
    #[cfg(feature = "dpop")]
    pub(super) fn with_dpop_nonce(mut self, nonce: Option<String>) -> Self {
        self.0.dpop_nonce = nonce;
        self
    }

    /// The HTTP status: 400, 401, 403 or 503.
    pub fn status(&self) -> u16 {
        self.0.reason.wire().0
    }

    /// The RFC's code: `invalid_request`, `invalid_token`, `insufficient_scope`, of DPoP `invalid_dpop_proof` or `use_dpop_nonce`; `None` for a request without a token (RFC 6750
    /// §3.1) and with a 503.
    pub fn code(&self) -> Option<&'static str> {
        self.0.reason.wire().1
    }

    /// A fixed text for whoever sent the request; only characters that RFC 6750 §3 allows.
    pub fn description(&self) -> &'static str {
        self.0.reason.wire().2
    }

    /// The cause, for the operator.
    pub fn reason(&self) -> &AccessReason {
        &self.0.reason
    }

    /// The header fields: `Cache-Control: no-store`, and `WWW-Authenticate` or, with a 503, `Retry-After`; a `DPoP-Nonce` where one is asked for.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let other = match self.status() {
            503 => ("Retry-After", Cow::Borrowed("1")),
            _ => ("WWW-Authenticate", Cow::Owned(self.challenge())),
        };
        let nonce = self.0.dpop_nonce.as_deref().map(|nonce| (DPOP_NONCE, Cow::Borrowed(nonce)));
        [("Cache-Control", Cow::Borrowed("no-store")), other].into_iter().chain(nonce)
    }

    /// One challenge, of the scheme that the token came with (RFC 6750 §3, RFC 9449 §7.1).
    fn challenge(&self) -> String {
        let Inner { reason, scheme, challenge, .. } = &*self.0;
        let realm = &challenge.realm;
        let mut challenge = format!("{} realm=\"{realm}\"", scheme.as_str());
        // Writing to a text cannot fail.
        if let (_, Some(code), description) = reason.wire() {
            let _ = write!(challenge, ", error=\"{code}\", error_description=\"{description}\"");
        }
        match reason {
            // The grammar of a scope has neither quotes nor backslashes.
            AccessReason::InsufficientScope { needed } if !needed.is_empty() => {
                let _ = write!(challenge, ", scope=\"{needed}\"");
            }
            _ => {}
        }
        #[cfg(feature = "dpop")]
        if *scheme == TokenType::DPoP {
            let _ = write!(challenge, ", algs=\"{}\"", self.0.challenge.algs);
        }
        challenge
    }
}

/// The part of a text that can stand between quotes, escaped (RFC 9110 §5.6.4).
pub(super) fn quotable(text: &str) -> String {
    let mut quotable = String::with_capacity(text.len());
    for character in text.chars().filter(|character| matches!(character, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            quotable.push('\\');
        }
        quotable.push(character);
    }
    quotable
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code() {
            Some(code) => write!(f, "{code}: {}", self.0.reason),
            None => self.0.reason.fmt(f),
        }
    }
}

impl Error for AccessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Error::source(&self.0.reason)
    }
}
