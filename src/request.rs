//! From octets to a typed request: what arrived, before anybody asks who sent it.
//!
//! ```
//! use client_credentials::{Field, Parts, TokenRequest};
//!
//! let request = TokenRequest::parse(Parts {
//!     method: "POST",
//!     path: "/oauth2/access_token",
//!     content_type: Field::One(b"application/x-www-form-urlencoded"),
//!     authorization: Field::One(b"Basic bXlDbGllbnQ6bXlTZWNyZXQ="),
//!     body: b"grant_type=client_credentials&scope=write",
//!     ..Parts::default()
//! })?;
//! assert_eq!(request.scope(), Some("write"));
//! # Ok::<(), client_credentials::TokenError>(())
//! ```

use crate::audit::Endpoint;
#[cfg(feature = "jwt")]
use crate::client::assertion::{Assertion, UnreadableAssertion};
use crate::client::basic::{self, Authorization};
use crate::error::{Reason, TokenError};
use crate::form;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use zeroize::{Zeroize, Zeroizing};

/// Octets of an `Authorization` field, at most.
const MAX_AUTHORIZATION: usize = 8 * 1024;

/// A request as plain borrowed data, so that any HTTP library can be in front.
///
/// Write what there is, and `..Parts::default()` for the rest: absent things have their default, and a later version may
/// add more of them.
#[derive(Clone, Copy, Default)]
pub struct Parts<'a> {
    /// The method, for example `POST`; compared case-sensitively (RFC 9110 §9.1).
    pub method: &'a str,
    /// The path of the target, without the query. Kept for what binds a request to its target (DPoP's `htu`).
    pub path: &'a str,
    /// The query of the target, without `?`.
    pub query: Option<&'a str>,
    /// The `Content-Type` field.
    pub content_type: Field<'a>,
    /// The `Content-Encoding` field; where it is present the request is refused.
    pub content_encoding: Field<'a>,
    /// The `Authorization` field.
    pub authorization: Field<'a>,
    /// The `DPoP` field.
    pub dpop: Field<'a>,
    /// The `Accept` field. Kept for what chooses the form of an answer (RFC 9701).
    pub accept: Field<'a>,
    /// The whole body. To refuse a larger one it is enough to give [`MAX_BODY`] + 1 octets of it.
    pub body: &'a [u8],
    /// The certificate that the client showed in the TLS handshake, by which it authenticates where the request has no other
    /// mechanism, and to which its tokens can be bound (feature `mtls`). Never one from a header of the request itself.
    pub certificate: Option<ClientCertificate<'a>>,
    /// Where the request came from, for events.
    pub peer: Option<IpAddr>,
}

/// Octets of a request body, at most: 64 KiB. A larger one is answered with 413.
pub const MAX_BODY: usize = form::MAX_BODY;

impl fmt::Debug for Parts<'_> {
    /// Shows method, path and the length of the body: all else may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A header field that means something only when it stands once.
///
/// Collects from the values of a header map: `headers.get_all("Authorization").map(…).collect()`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Field<'a> {
    /// It is not there.
    #[default]
    Absent,
    /// Its one value.
    One(&'a [u8]),
    /// It stands more than once.
    Repeated,
}

impl<'a> FromIterator<&'a [u8]> for Field<'a> {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(values: I) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Repeated,
        }
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::One(_) => "One(..)",
            Self::Repeated => "Repeated",
        })
    }
}

/// A client's TLS certificate, as the TLS layer vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate<'a> {
    /// The end-entity certificate, DER.
    pub der: &'a [u8],
    /// What the TLS layer checked of its chain.
    pub chain: CertificateChain,
}

impl<'a> ClientCertificate<'a> {
    /// A certificate, and what is known of its chain.
    pub const fn new(der: &'a [u8], chain: CertificateChain) -> Self {
        Self { der, chain }
    }
}

/// Whether somebody checked a certificate's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateChain {
    /// It leads to a root that the operator trusts.
    Verified,
    /// Nobody checked it: it proves the possession of a key, no name.
    Unverified,
}

/// A request of the token endpoint that is well-formed and asks for `client_credentials`.
///
/// Borrows from the [`Parts`] where nothing is escaped.
///
/// RFC 6749 §4.4.2.
#[derive(Debug)]
pub struct TokenRequest<'a> {
    credentials: Credentials<'a>,
    scope: Option<Cow<'a, str>>,
    resource: Vec<Cow<'a, str>>,
    authorization_details: Option<Cow<'a, str>>,
    dpop: Field<'a>,
    #[cfg(feature = "mtls")]
    certificate: Option<ClientCertificate<'a>>,
}

impl<'a> TokenRequest<'a> {
    /// Reads a request, in this order: method, media type, size; decoding, repetition, query; `grant_type`; credentials.
    ///
    /// Unknown parameters are ignored, even repeated; `resource` and `audience` may repeat; `audience` has no effect
    /// (RFC 8693 gives it a meaning in another grant).
    ///
    /// # Errors
    /// `invalid_request` (400, 405, 413) or `unsupported_grant_type`; the first fault in the order above.
    pub fn parse(parts: Parts<'a>) -> Result<Self, TokenError> {
        Self::read(&parts).map_err(|reason| TokenError::new(reason, None))
    }

    fn read(parts: &Parts<'a>) -> Result<Self, Reason> {
        check_envelope(parts)?;
        let mut resource = Vec::new();
        let [grant_type, scope, client_id, client_secret, assertion, assertion_type, authorization_details] =
            form::read(
                parts.body,
                &[
                    "grant_type",
                    "scope",
                    "client_id",
                    "client_secret",
                    "client_assertion",
                    "client_assertion_type",
                    "authorization_details",
                ],
                |name, value| {
                    if name == "resource" && !value.is_empty() {
                        resource.push(value);
                    }
                },
            )?;
        check_query(parts)?;
        match grant_type.as_deref() {
            Some("client_credentials") => {}
            Some(_) => return Err(Reason::UnsupportedGrantType),
            None => return Err(Reason::MissingParameter("grant_type")),
        }
        let body = BodyCredentials { client_id, client_secret, assertion, assertion_type };
        let credentials = Credentials::collect(Endpoint::Token, parts, body)?;
        Ok(Self {
            credentials,
            scope,
            resource,
            authorization_details,
            dpop: parts.dpop,
            #[cfg(feature = "mtls")]
            certificate: parts.certificate,
        })
    }

    /// What the client shows to prove who it is.
    pub fn credentials(&self) -> &Credentials<'a> {
        &self.credentials
    }

    /// The `scope` parameter as it was sent; `None` when absent or empty.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The `resource` parameters as they were sent, without empty ones (RFC 8707 §2).
    pub fn resource(&self) -> impl ExactSizeIterator<Item = &str> {
        self.resource.iter().map(|value| &**value)
    }

    /// The `authorization_details` parameter as it was sent (RFC 9396 §6).
    pub fn authorization_details(&self) -> Option<&str> {
        self.authorization_details.as_deref()
    }

    /// The certificate of the connection, whatever the client authenticated by.
    #[cfg(feature = "mtls")]
    pub(crate) fn certificate(&self) -> Option<ClientCertificate<'a>> {
        self.certificate
    }

    #[cfg(any(feature = "mtls", not(feature = "dpop")))]
    pub(crate) fn has_dpop_proof(&self) -> bool {
        self.dpop != Field::Absent
    }

    #[cfg(feature = "dpop")]
    pub(crate) fn dpop(&self) -> Field<'a> {
        self.dpop
    }
}

/// Method, media type, size: what is refused before the body is looked at.
fn check_envelope(parts: &Parts<'_>) -> Result<(), Reason> {
    if parts.method != "POST" {
        return Err(Reason::MethodNotAllowed { allow: "POST" });
    }
    match parts.content_type {
        Field::One(value) if is_form(value) => {}
        _ => return Err(Reason::UnsupportedMediaType),
    }
    if parts.content_encoding != Field::Absent {
        return Err(Reason::ContentEncoding);
    }
    if parts.body.len() > MAX_BODY { Err(Reason::BodyTooLarge) } else { Ok(()) }
}

/// Whether a `Content-Type` is `application/x-www-form-urlencoded` with any parameters (RFC 9110 §8.3.1).
fn is_form(value: &[u8]) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let essence = || value.split(|octet| *octet == b';').next().unwrap_or_default();
    value == FORM || essence().trim_ascii().eq_ignore_ascii_case(FORM)
}

/// No parameter of OAuth may ride in the URL, where it ends in logs (RFC 6749 §2.3.1); nor `realm`, by which PingAM's
/// clients choose another realm than the path's.
fn check_query(parts: &Parts<'_>) -> Result<(), Reason> {
    const NAMES: [&str; 18] = [
        "grant_type",
        "scope",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "resource",
        "audience",
        "authorization_details",
        "token",
        "token_type_hint",
        "access_token",
        "refresh_token",
        "assertion",
        "code",
        "username",
        "password",
        "realm",
    ];
    let Some(query) = parts.query else { return Ok(()) };
    for piece in query.as_bytes().split(|octet| *octet == b'&') {
        let name = piece.split(|octet| *octet == b'=').next().unwrap_or_default();
        // A name that cannot be decoded is not one of ours.
        if let Some(name) = form::decode(name).ok().and_then(|name| NAMES.into_iter().find(|known| *known == name)) {
            return Err(Reason::ParameterInQuery(name));
        }
    }
    Ok(())
}

/// What introspection and revocation are asked: a caller, and a token (RFC 7662 §2.1, RFC 7009 §2.1).
pub(crate) struct CallerAndToken<'a> {
    pub(crate) credentials: Credentials<'a>,
    pub(crate) token: Zeroizing<String>,
}

impl<'a> CallerAndToken<'a> {
    /// Reads a request by the rules of the token endpoint. `token_type_hint` is read and ignored: one look-up finds the
    /// token, whatever the hint.
    pub(crate) fn parse(endpoint: Endpoint, parts: Parts<'a>) -> Result<Self, TokenError> {
        Self::read(endpoint, &parts).map_err(|reason| TokenError::new(reason, None))
    }

    fn read(endpoint: Endpoint, parts: &Parts<'a>) -> Result<Self, Reason> {
        check_envelope(parts)?;
        let [token, _hint, client_id, client_secret, assertion, assertion_type] = form::read(
            parts.body,
            &["token", "token_type_hint", "client_id", "client_secret", "client_assertion", "client_assertion_type"],
            |_, _| (),
        )?;
        check_query(parts)?;
        let body = BodyCredentials { client_id, client_secret, assertion, assertion_type };
        let credentials = Credentials::collect(endpoint, parts, body)?;
        let token = token.ok_or(Reason::MissingParameter("token"))?;
        Ok(Self { credentials, token: Zeroizing::new(token.into_owned()) })
    }
}

impl fmt::Debug for CallerAndToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, token(..)", self.credentials)
    }
}

/// What a client shows to prove who it is: one mechanism at most (RFC 6749 §2.3).
///
/// Debug shows the kind of mechanism alone.
pub struct Credentials<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: Option<IpAddr>,
    /// The `client_id` of the body.
    pub(crate) client_id: Option<Cow<'a, str>>,
    pub(crate) mechanism: Mechanism<'a>,
}

pub(crate) enum Mechanism<'a> {
    /// Nothing, or a `client_id` alone.
    None,
    Basic(basic::Basic),
    Post {
        client_id: Cow<'a, str>,
        client_secret: SecretText<'a>,
    },
    UnsupportedScheme,
    /// A client assertion (RFC 7521 §4.2): read once, for its claims say whose it is.
    #[cfg(feature = "jwt")]
    Assertion(Result<Box<Assertion<'a>>, UnreadableAssertion>),
    /// A client assertion, which this build cannot check.
    #[cfg(not(feature = "jwt"))]
    Assertion,
    /// A certificate; it counts only where there is no other mechanism.
    #[cfg(feature = "mtls")]
    Certificate(ClientCertificate<'a>),
    /// A certificate, which this build cannot check.
    #[cfg(not(feature = "mtls"))]
    Certificate,
}

struct BodyCredentials<'a> {
    client_id: Option<Cow<'a, str>>,
    client_secret: Option<Cow<'a, str>>,
    assertion: Option<Cow<'a, str>>,
    assertion_type: Option<Cow<'a, str>>,
}

impl<'a> Credentials<'a> {
    /// Collects every mechanism first, so that two of them are refused before one is looked at (RFC 6749 §2.3, §5.2).
    fn collect(endpoint: Endpoint, parts: &Parts<'a>, body: BodyCredentials<'a>) -> Result<Self, Reason> {
        let BodyCredentials { client_id, client_secret, assertion, assertion_type } = body;
        let authorization = match parts.authorization {
            Field::Absent => None,
            Field::Repeated => return Err(Reason::SeveralMechanisms),
            Field::One(field) if field.len() > MAX_AUTHORIZATION => {
                return Err(Reason::MalformedAuthorization("over the limit"));
            }
            Field::One(field) => Some(basic::parse(field)?),
        };
        let asserts = assertion.is_some() || assertion_type.is_some();
        let mechanism = match (authorization, client_secret.map(SecretText), asserts) {
            (Some(Authorization::Basic(basic)), None, false) => Mechanism::Basic(basic),
            (Some(Authorization::UnsupportedScheme), None, false) => Mechanism::UnsupportedScheme,
            (None, Some(client_secret), false) => {
                let absent = Reason::IncompleteCredentials { present: "client_secret", absent: "client_id" };
                let client_id = client_id.clone().ok_or(absent)?;
                Mechanism::Post { client_id, client_secret }
            }
            (None, None, true) => match (assertion, assertion_type) {
                #[cfg(feature = "jwt")]
                (Some(assertion), Some(assertion_type)) => {
                    Mechanism::Assertion(Assertion::read(assertion, &assertion_type).map(Box::new))
                }
                #[cfg(not(feature = "jwt"))]
                (Some(_), Some(_)) => Mechanism::Assertion,
                (Some(_), None) => {
                    let (present, absent) = ("client_assertion", "client_assertion_type");
                    return Err(Reason::IncompleteCredentials { present, absent });
                }
                (None, _) => {
                    let (present, absent) = ("client_assertion_type", "client_assertion");
                    return Err(Reason::IncompleteCredentials { present, absent });
                }
            },
            (None, None, false) => match parts.certificate {
                None => Mechanism::None,
                #[cfg(feature = "mtls")]
                Some(certificate) => Mechanism::Certificate(certificate),
                #[cfg(not(feature = "mtls"))]
                Some(_) => Mechanism::Certificate,
            },
            _ => return Err(Reason::SeveralMechanisms),
        };
        Ok(Self { endpoint, peer: parts.peer, client_id, mechanism })
    }

    /// The client that the request says it comes from; nothing proves it yet.
    pub fn claimed_client_id(&self) -> Option<&str> {
        match &self.mechanism {
            Mechanism::Basic(basic) => Some(basic.decoded().unwrap_or_else(|| basic.raw()).0),
            #[cfg(feature = "jwt")]
            Mechanism::Assertion(Ok(assertion)) => self.client_id.as_deref().or_else(|| assertion.issuer()),
            _ => self.client_id.as_deref(),
        }
    }

    /// Whether the proof is an assertion signed with a private key or a certificate: not to be guessed, so a limit on guesses
    /// need not hold it up. A secret can be guessed, so an assertion with a MAC of one can.
    pub fn cannot_be_guessed(&self) -> bool {
        match &self.mechanism {
            #[cfg(feature = "jwt")]
            Mechanism::Assertion(assertion) => !assertion.as_ref().is_ok_and(|assertion| assertion.is_mac()),
            #[cfg(not(feature = "jwt"))]
            Mechanism::Assertion => true,
            #[cfg(feature = "mtls")]
            Mechanism::Certificate(_) => true,
            #[cfg(not(feature = "mtls"))]
            Mechanism::Certificate => true,
            Mechanism::None | Mechanism::Basic(_) | Mechanism::Post { .. } | Mechanism::UnsupportedScheme => false,
        }
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mechanism = match self.mechanism {
            Mechanism::None => "none",
            Mechanism::Basic(_) => "Basic",
            Mechanism::Post { .. } => "client_secret in the body",
            Mechanism::UnsupportedScheme => "unsupported scheme",
            #[cfg(feature = "jwt")]
            Mechanism::Assertion(_) => "client_assertion",
            #[cfg(not(feature = "jwt"))]
            Mechanism::Assertion => "client_assertion",
            #[cfg(feature = "mtls")]
            Mechanism::Certificate(_) => "certificate",
            #[cfg(not(feature = "mtls"))]
            Mechanism::Certificate => "certificate",
        };
        write!(f, "Credentials({mechanism})")
    }
}

/// A secret of the body; wiped on drop where it had to be copied.
pub(crate) struct SecretText<'a>(Cow<'a, str>);

impl SecretText<'_> {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for SecretText<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}
