//! Errors with two readers: the client sees a code of the RFCs and a fixed text, the operator sees the [`Reason`].
//!
//! ```
//! use client_credentials::{ErrorCode, Parts, Reason, TokenRequest};
//!
//! let error = TokenRequest::parse(Parts { method: "GET", ..Parts::default() }).unwrap_err();
//! assert_eq!((error.status(), error.code()), (405, ErrorCode::InvalidRequest));
//! assert!(matches!(error.reason(), Reason::MethodNotAllowed { .. }));
//! assert!(error.body().starts_with(br#"{"error":"invalid_request""#));
//! ```

#[cfg(feature = "mtls")]
use crate::client::InvalidCertificate;
use crate::client::{AuthenticationMethod, Fault};
#[cfg(feature = "jwt")]
use crate::jose::InvalidJwt;
use crate::random::RandomError;
use crate::response::{DPOP_NONCE, no_store};
use crate::store::StoreError;
#[cfg(feature = "dpop")]
use crate::token::dpop;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The `error` codes that this crate answers with.
///
/// RFC 6749 §5.2; RFC 8707 §2 (`invalid_target`); RFC 9396 §5 (`invalid_authorization_details`); RFC 9449 §5
/// (`invalid_dpop_proof`), §8 (`use_dpop_nonce`); RFC 6749 §4.1.2.1, borrowed for statuses 5xx (`server_error`, `temporarily_unavailable`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each name is the RFC's")]
pub enum ErrorCode {
    InvalidRequest,
    InvalidClient,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    InvalidTarget,
    InvalidAuthorizationDetails,
    InvalidDpopProof,
    UseDpopNonce,
    ServerError,
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// The code as it stands in the answer, for example `invalid_client`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// The status that goes with the code where no [`Reason`] says otherwise.
    const fn status(self) -> u16 {
        match self {
            Self::InvalidClient => 401,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }

    /// The text for a client where no [`Reason`] has a better one.
    const fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is malformed.",
            Self::InvalidClient => "Client authentication failed.",
            Self::UnauthorizedClient => "The client is not authorized to do this.",
            Self::UnsupportedGrantType => "The authorization server does not support this grant_type.",
            Self::InvalidScope => "The requested scope is invalid, unknown, or beyond what the client may have.",
            Self::InvalidTarget => "A requested resource is invalid, unknown, or beyond what the client may have.",
            Self::InvalidAuthorizationDetails => "The authorization_details are invalid or not supported here.",
            Self::InvalidDpopProof => "The DPoP proof is invalid or not supported here.",
            Self::UseDpopNonce => "The DPoP proof needs the nonce of the DPoP-Nonce header.",
            Self::ServerError => "The authorization server met an internal error.",
            Self::TemporarilyUnavailable => "The authorization server cannot answer at present; try again later.",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request was refused: for the operator's log, never for the client.
///
/// No variant that this crate makes holds text of the request, so that no secret or token can reach a log through it;
/// [`Reason::Refused`] and [`Reason::AuthorizationDetailRefused`] say what the embedder gave. An [`Event`](crate::Event) escapes them all when it is printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    // What arrived (RFC 6749 §3.2).
    /// The endpoint takes another method; `allow` is the `Allow` field.
    #[error("the method is not allowed; allowed: {allow}")]
    #[expect(missing_docs)]
    MethodNotAllowed { allow: &'static str },
    /// `Content-Type` is absent or not `application/x-www-form-urlencoded`.
    #[error("the content type is not application/x-www-form-urlencoded")]
    UnsupportedMediaType,
    /// `Content-Encoding` is present; nothing is decompressed.
    #[error("the request has a Content-Encoding")]
    ContentEncoding,
    /// The body is over 64 KiB.
    #[error("the body is over the limit")]
    BodyTooLarge,
    /// The form cannot be decoded.
    #[error("the form is malformed: {0}")]
    MalformedForm(#[from] FormError),
    /// A parameter that may stand once stands twice.
    #[error("the parameter {0} is repeated")]
    RepeatedParameter(&'static str),
    /// A parameter of OAuth stands in the query of the URL.
    #[error("the parameter {0} stands in the query")]
    ParameterInQuery(&'static str),
    /// A required parameter is absent or empty.
    #[error("the parameter {0} is missing")]
    MissingParameter(&'static str),
    /// `grant_type` is not `client_credentials`, or the server has the grant switched off.
    #[error("the grant_type is not supported")]
    UnsupportedGrantType,

    // Who sent it (RFC 6749 §2.3).
    /// The `Authorization` field cannot be read.
    #[error("the Authorization header is malformed: {0}")]
    MalformedAuthorization(&'static str),
    /// More than one authentication mechanism (or more than one `Authorization` field).
    #[error("the request has more than one authentication mechanism")]
    SeveralMechanisms,
    /// Half of a mechanism, such as `client_secret` without `client_id`.
    #[error("the request has {present} without {absent}")]
    #[expect(missing_docs)]
    IncompleteCredentials { present: &'static str, absent: &'static str },
    /// No authentication at all, or a `client_id` alone.
    #[error("the request has no client authentication")]
    NoCredentials,
    /// An `Authorization` scheme other than Basic.
    #[error("the Authorization scheme is not supported")]
    UnsupportedScheme,
    /// The body's `client_id` is not the one that the credentials name.
    #[error("the client_id in the body is not that of the credentials")]
    ClientIdMismatch,
    /// The presented id or secret is longer than any registered one can be.
    #[error("the {0} is over the limit")]
    CredentialsTooLong(&'static str),
    /// No such client.
    #[error("no client has this client_id")]
    UnknownClient,
    /// The client is disabled.
    #[error("the client is disabled")]
    DisabledClient,
    /// The stored registration has faults and is not used.
    #[error("the client's registration is faulty: {}", Fault::list(.0))]
    FaultyClient(Vec<Fault>),
    /// The server does not offer this method.
    #[error("the authentication method {0} is not enabled on the server")]
    MethodNotEnabled(AuthenticationMethod),
    /// The client is not registered for this method.
    #[error("the client is not registered for {0}")]
    MethodNotRegistered(AuthenticationMethod),
    /// No registered secret matched.
    #[error("no secret matched")]
    WrongSecret,
    /// The secret is right, but its time is over.
    #[error("the secret matched and has expired")]
    ExpiredSecret,
    /// A one-time value was used before.
    #[error("a one-time value was used before")]
    AlreadyUsed,
    /// A one-time value came after its end.
    #[error("a one-time value has expired")]
    OneTimeValueExpired,
    /// `client_assertion_type` is another than that of JWTs.
    #[error("the client_assertion_type is not supported")]
    UnsupportedAssertionType,
    /// The client assertion is not believed.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[error("the client assertion is refused: {0}")]
    InvalidAssertion(#[from] InvalidJwt),
    /// The certificate does not authenticate the client.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    #[error("the client certificate is refused: {0}")]
    InvalidCertificate(#[from] InvalidCertificate),
    /// All slow verifications that may run at once are running.
    #[error("too many slow secret verifications at once")]
    VerifierBusy,
    /// A slow verification was given up by the executor it was offloaded to.
    #[error("the offloaded secret verification was dropped")]
    VerifierLost,

    // What it may have (RFC 6749 §3.3, RFC 8707).
    /// The client is not registered for `client_credentials`.
    #[error("the client is not registered for the client_credentials grant")]
    GrantNotRegistered,
    /// A `resource` that the server does not know (or that is no absolute URI).
    #[error("a requested resource is not known to the server")]
    UnknownResource,
    /// A `resource` that the client may not ask for.
    #[error("a requested resource is not the client's to ask for")]
    ResourceNotRegistered,
    /// More, or longer, `resource` values than allowed.
    #[error("the requested resources are over the limit")]
    TooManyResources,
    /// `authorization_details` are not supported.
    #[error("authorization_details are not supported")]
    AuthorizationDetailsNotSupported,
    /// `authorization_details` are no array of objects with a text `type`, have a member twice, or are too deep.
    #[error("the authorization_details are malformed: {0}")]
    MalformedAuthorizationDetails(&'static str),
    /// More objects, or octets, of `authorization_details` than allowed.
    #[error("the authorization_details are over the limit")]
    AuthorizationDetailsTooLong,
    /// A `type` that the server does not know.
    #[error("a type of the authorization_details is not known to the server")]
    UnknownAuthorizationDetailsType,
    /// A `type` that the client is not registered for.
    #[error("a type of the authorization_details is not the client's to ask for")]
    AuthorizationDetailsTypeNotRegistered,
    /// An object that breaks the rules of its type; the cause is what the embedder's closure said.
    #[error("an object of the authorization_details breaks the rules of its type: {cause}")]
    #[expect(missing_docs)]
    AuthorizationDetailRefused { cause: Cow<'static, str> },
    /// The request has a DPoP proof, which this build cannot check; a token that is not bound would be weaker than asked for.
    #[error("DPoP is not supported")]
    DpopNotSupported,
    /// The client's tokens are bound to certificates, and its connection has none.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    #[error("the client's tokens are bound to a certificate, and the connection has none")]
    NoCertificateToBind,
    /// The client's tokens are bound to certificates, and the request has a DPoP proof: a token has one key.
    #[cfg(feature = "mtls")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "mtls")))]
    #[error("the client's tokens are bound to a certificate, and the request has a DPoP proof")]
    ProofBesideCertificate,
    /// `scope` does not follow RFC 6749 §3.3, or is over the limit.
    #[error("the scope is malformed")]
    MalformedScope,
    /// A scope that the server does not offer or the client is not registered for.
    #[error("a requested scope is not permitted")]
    ScopeNotPermitted,
    /// No scope was asked for, and neither the client nor the server has a default that applies.
    #[error("no scope was requested and no default applies")]
    NoDefaultScope,

    // What it gets.
    /// The grant belongs to another client or another server.
    #[error("the grant was made for another client or server")]
    ForeignGrant,
    /// The edited grant cannot be issued.
    #[error("the grant cannot be issued: {0}")]
    InvalidGrant(&'static str),
    /// A new token's key stood in the store already, again and again: the random source or the store is broken.
    #[error("every new token's key stood in the store already")]
    KeyCollision,
    /// The client store failed.
    #[error("the client store failed")]
    ClientStore(#[source] StoreError),
    /// The token store failed.
    #[error("the token store failed")]
    TokenStore(#[source] StoreError),
    /// No key signs with the configured algorithm at present.
    #[error("no signing key for {0}")]
    NoSigningKey(&'static str),
    /// The crypto library refused to sign.
    #[error("the signature could not be made")]
    Signature,
    /// The random source failed.
    #[error("no token could be made")]
    Random(#[from] RandomError),
    /// Another client's token was to be revoked.
    #[error("the token belongs to another client")]
    NotTheOwner,
    /// The DPoP proof is refused.
    #[cfg(feature = "dpop")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "dpop")))]
    #[error("{0}")]
    InvalidDpopProof(#[from] dpop::InvalidDpopProof),
    /// The profile asks for a token that is bound to a key, and the request shows none.
    #[cfg(feature = "jwt")]
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    #[error("the request shows no key that the token could be bound to, which the profile asks for")]
    UnboundToken,
    /// No such path.
    #[error("there is no such endpoint")]
    NoSuchEndpoint,
    /// A rule of the embedder's own; see [`AuthorizationServer::refuse`](crate::AuthorizationServer::refuse).
    #[error("{cause}")]
    #[expect(missing_docs)]
    Refused { code: ErrorCode, cause: Cow<'static, str> },
}

impl Reason {
    /// The wire face: code, status, description. The one place where a cause becomes an answer.
    fn wire(&self) -> (ErrorCode, u16, Cow<'static, str>) {
        use ErrorCode::*;
        let (code, description): (ErrorCode, Cow<'static, str>) = match self {
            Self::MethodNotAllowed { allow } => {
                return (InvalidRequest, 405, format!("This endpoint takes only these methods: {allow}.").into());
            }
            Self::BodyTooLarge => return (InvalidRequest, 413, "The request body is too large.".into()),
            Self::NoSuchEndpoint => return (InvalidRequest, 404, "There is no such endpoint.".into()),
            Self::UnsupportedMediaType => {
                (InvalidRequest, "The Content-Type must be application/x-www-form-urlencoded.".into())
            }
            Self::ContentEncoding => (InvalidRequest, "The request must not have a Content-Encoding.".into()),
            Self::MalformedForm(_) => (InvalidRequest, "The form is malformed or has too many parameters.".into()),
            Self::RepeatedParameter(name) => (InvalidRequest, format!("The parameter {name} is repeated.").into()),
            Self::ParameterInQuery("realm") => {
                (InvalidRequest, "The realm is chosen by the path of the endpoint, not by a parameter.".into())
            }
            Self::ParameterInQuery(name) => {
                (InvalidRequest, format!("The parameter {name} belongs in the request body, not in the URL.").into())
            }
            Self::MissingParameter(name) => (InvalidRequest, format!("The parameter {name} is missing.").into()),
            Self::MalformedAuthorization(_) => (InvalidRequest, "The Authorization header is malformed.".into()),
            Self::SeveralMechanisms => {
                (InvalidRequest, "The request has more than one client authentication mechanism.".into())
            }
            Self::IncompleteCredentials { present, absent } => {
                (InvalidRequest, format!("The request has {present} without {absent}.").into())
            }
            Self::GrantNotRegistered => {
                (UnauthorizedClient, "The client is not registered for this grant_type.".into())
            }
            Self::NotTheOwner => (UnauthorizedClient, "The token was not issued to this client.".into()),
            Self::NoDefaultScope => {
                (InvalidScope, "The request has no scope, and no default scope applies to the client.".into())
            }
            Self::UnsupportedGrantType => (UnsupportedGrantType, UnsupportedGrantType.description().into()),
            Self::MalformedScope | Self::ScopeNotPermitted => (InvalidScope, InvalidScope.description().into()),
            Self::UnknownResource | Self::ResourceNotRegistered | Self::TooManyResources => {
                (InvalidTarget, InvalidTarget.description().into())
            }
            Self::AuthorizationDetailsNotSupported
            | Self::MalformedAuthorizationDetails(_)
            | Self::AuthorizationDetailsTooLong
            | Self::UnknownAuthorizationDetailsType
            | Self::AuthorizationDetailsTypeNotRegistered
            | Self::AuthorizationDetailRefused { .. } => {
                (InvalidAuthorizationDetails, InvalidAuthorizationDetails.description().into())
            }
            Self::DpopNotSupported => (InvalidDpopProof, InvalidDpopProof.description().into()),
            #[cfg(feature = "jwt")]
            Self::UnboundToken => (InvalidRequest, "The request shows no key that the token could be bound to.".into()),
            #[cfg(feature = "dpop")]
            Self::InvalidDpopProof(dpop::InvalidDpopProof::Nonce) => (UseDpopNonce, UseDpopNonce.description().into()),
            #[cfg(feature = "dpop")]
            Self::InvalidDpopProof(dpop::InvalidDpopProof::Missing) => {
                (InvalidDpopProof, "The client is registered for DPoP, and the request has no proof.".into())
            }
            #[cfg(feature = "dpop")]
            Self::InvalidDpopProof(_) => (InvalidDpopProof, InvalidDpopProof.description().into()),
            Self::NoCredentials
            | Self::UnsupportedScheme
            | Self::ClientIdMismatch
            | Self::CredentialsTooLong(_)
            | Self::UnknownClient
            | Self::DisabledClient
            | Self::FaultyClient(_)
            | Self::MethodNotEnabled(_)
            | Self::MethodNotRegistered(_)
            | Self::WrongSecret
            | Self::ExpiredSecret
            | Self::AlreadyUsed
            | Self::UnsupportedAssertionType
            | Self::OneTimeValueExpired => (InvalidClient, InvalidClient.description().into()),
            #[cfg(feature = "jwt")]
            Self::InvalidAssertion(_) => (InvalidClient, InvalidClient.description().into()),
            #[cfg(feature = "mtls")]
            Self::InvalidCertificate(_) => (InvalidClient, InvalidClient.description().into()),
            #[cfg(feature = "mtls")]
            Self::NoCertificateToBind => (
                InvalidRequest,
                "The client's tokens are bound to a TLS certificate, and the connection has none.".into(),
            ),
            #[cfg(feature = "mtls")]
            Self::ProofBesideCertificate => {
                (InvalidRequest, "The client's tokens are bound to a TLS certificate, and not to a DPoP key.".into())
            }
            Self::VerifierBusy | Self::VerifierLost | Self::ClientStore(_) | Self::TokenStore(_) | Self::Random(_) => {
                (TemporarilyUnavailable, TemporarilyUnavailable.description().into())
            }
            Self::ForeignGrant
            | Self::InvalidGrant(_)
            | Self::KeyCollision
            | Self::NoSigningKey(_)
            | Self::Signature => (ServerError, ServerError.description().into()),
            Self::Refused { code, .. } => (*code, code.description().into()),
        };
        (code, code.status(), description)
    }

    /// Seconds for `Retry-After` (RFC 9110 §10.2.3), where a retry can help.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::ClientStore(error) | Self::TokenStore(error) => Some(error.retry_after().as_secs().max(1)),
            Self::VerifierBusy
            | Self::VerifierLost
            | Self::Random(_)
            | Self::Refused { code: ErrorCode::TemporarilyUnavailable, .. } => Some(1),
            _ => None,
        }
    }
}

/// Why a form could not be decoded (RFC 6749 Appendix B).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// A `%` without two hexadecimal digits.
    #[error("a percent sign without two hexadecimal digits")]
    Percent,
    /// Octets that are not UTF-8 after decoding.
    #[error("octets that are not UTF-8")]
    Utf8,
    /// More than 256 pairs, or a name over 128 octets.
    #[error("too many parameters, or too long a name")]
    Limit,
}

/// A refused request: what the client is told, and why.
///
/// What goes over the wire is [`status`](Self::status), [`headers`](Self::headers) and [`body`](Self::body); all three
/// are fixed texts that repeat nothing of the request. `Display` is the operator's view and names the [`Reason`].
///
/// RFC 6749 §5.2.
#[derive(Debug)]
pub struct TokenError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    reason: Reason,
    challenge: Option<Arc<str>>,
    dpop_nonce: Option<String>,
}

impl TokenError {
    /// An answer to an unauthenticated or authenticated caller of a server whose `Basic` challenge is `challenge`.
    pub(crate) fn new(reason: Reason, challenge: Option<&Arc<str>>) -> Self {
        Self(Box::new(Inner { reason, challenge: challenge.cloned(), dpop_nonce: None }))
    }

    /// The same with the nonce that the client's next proof should have.
    #[cfg(feature = "dpop")]
    pub(crate) fn with_dpop_nonce(mut self, nonce: Option<String>) -> Self {
        self.0.dpop_nonce = nonce;
        self
    }

    /// The RFC's code.
    pub fn code(&self) -> ErrorCode {
        self.0.reason.wire().0
    }

    /// The HTTP status: 400, 401, 404, 405, 413, 500 or 503.
    pub fn status(&self) -> u16 {
        self.0.reason.wire().1
    }

    /// The fixed text of `error_description`; only characters that RFC 6749 §5.2 allows.
    pub fn description(&self) -> Cow<'static, str> {
        self.0.reason.wire().2
    }

    /// The cause, for the operator.
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// The header fields: JSON, `no-store`, and where they apply `WWW-Authenticate`, `Allow`, `Retry-After` and `DPoP-Nonce`.
    ///
    /// A 401 always has its challenge (RFC 9110 §15.5.2).
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let challenge = match (self.status(), &self.0.challenge) {
            (401, Some(challenge)) => Some(("WWW-Authenticate", Cow::Borrowed(&**challenge))),
            _ => None,
        };
        let allow = match self.0.reason {
            Reason::MethodNotAllowed { allow } => Some(("Allow", Cow::Borrowed(allow))),
            _ => None,
        };
        let retry_after = self.0.reason.retry_after().map(|seconds| ("Retry-After", Cow::Owned(seconds.to_string())));
        let nonce = self.0.dpop_nonce.as_deref().map(|nonce| (DPOP_NONCE, Cow::Borrowed(nonce)));
        no_store().chain(challenge).chain(allow).chain(retry_after).chain(nonce)
    }

    /// The JSON body: `error` and `error_description`.
    pub fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
            error_description: &'a str,
        }
        let (code, _, description) = self.0.reason.wire();
        crate::response::json(&Body { error: code.as_str(), error_description: &description })
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.0.reason)
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0.reason)
    }
}
