//! How a token arrives: one `Authorization` field, and the keys that its sender has shown (RFC 6750 §2.1, RFC 9449 §7.1).

use super::AccessReason;
#[cfg(doc)]
use super::AccessTokenValidator;
#[cfg(feature = "dpop")]
use crate::clock::Timestamp;
use crate::request::Field;
#[cfg(feature = "dpop")]
use crate::token::RecordKey;
use crate::token::{Thumbprint, TokenType};
use sha2::{Digest, Sha256};
use std::fmt;

/// Octets of an `Authorization` field, at most.
const MAX_AUTHORIZATION: usize = 8 * 1024;

/// A token as a request presents it, with the keys that its sender has shown. Debug shows no part of the token.
///
/// [`AccessTokenValidator::read`] makes one of an `Authorization` field.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct PresentedToken<'a> {
    /// The scheme of the `Authorization` field.
    pub scheme: TokenType,
    /// The token itself.
    pub token: &'a str,
    /// The key of the request's DPoP proof, where there is one *that has been verified already*: its signature, `htm`, `htu`,
    /// `iat`, `ath`, and that it is new (RFC 9449 §4.3).
    pub proof: Option<Thumbprint>,
    /// The certificate that the client showed in the TLS handshake; see [`Thumbprint::of_certificate`].
    pub certificate: Option<Thumbprint>,
    /// What the proof is remembered by, and until when, once the token is good.
    #[cfg(feature = "dpop")]
    pub(super) once: Option<(RecordKey, Timestamp)>,
}

impl<'a> PresentedToken<'a> {
    /// A token that came by another way than the `Authorization` field, with neither proof nor certificate.
    pub fn new(scheme: TokenType, token: &'a str) -> Self {
        Self {
            scheme,
            token,
            proof: None,
            certificate: None,
            #[cfg(feature = "dpop")]
            once: None,
        }
    }

    /// The same with the certificate, in DER, that the client showed in the TLS handshake; `None` where it showed none.
    ///
    /// RFC 8705 §3.
    #[must_use]
    pub fn with_certificate(self, der: Option<&[u8]>) -> Self {
        Self { certificate: der.map(Thumbprint::of_certificate), ..self }
    }
}

impl fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedToken")
            .field("scheme", &self.scheme)
            .field("proof", &self.proof)
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Thumbprint {
    /// The SHA-256 thumbprint of a certificate in DER.
    ///
    /// RFC 8705 §3.1.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub fn of_certificate(der: &[u8]) -> Self {
        Self::from_bytes(Sha256::digest(der).into())
    }
}

/// `credentials = auth-scheme 1*SP b64token` (RFC 6750 §2.1, RFC 9110 §11.4). A refusal has the scheme for its challenge.
pub(super) fn read(authorization: Field<'_>) -> Result<PresentedToken<'_>, (AccessReason, TokenType)> {
    let malformed = |problem| (AccessReason::MalformedAuthorization(problem), TokenType::Bearer);
    let nothing = (AccessReason::NoToken, TokenType::Bearer);
    let field = match authorization {
        Field::Absent => return Err(nothing),
        Field::Repeated => return Err(malformed("it is repeated")),
        Field::One(field) if field.len() > MAX_AUTHORIZATION => return Err(malformed("it is over 8 KiB")),
        Field::One(field) => std::str::from_utf8(field).map_err(|_| malformed("it is not ASCII"))?,
    };
    let (scheme, rest) = field.split_once(' ').unwrap_or((field, ""));
    let is_tchar = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if scheme.is_empty() || !scheme.bytes().all(is_tchar) {
        return Err(malformed("it has no scheme"));
    }
    let scheme = match scheme {
        bearer if bearer.eq_ignore_ascii_case("Bearer") => TokenType::Bearer,
        dpop if dpop.eq_ignore_ascii_case("DPoP") => TokenType::DPoP,
        _ => return Err(nothing),
    };
    let token = rest.trim_start_matches(' ');
    let unpadded = token.trim_end_matches('=');
    let is_b64 =
        |octet| matches!(octet, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    // All octets are looked at, whatever the first ones are: without an early end it takes many in one step.
    if unpadded.is_empty() || !unpadded.bytes().fold(true, |so_far, octet| so_far & is_b64(octet)) {
        return Err((AccessReason::MalformedAuthorization("it has not one token after the scheme"), scheme));
    }
    Ok(PresentedToken::new(scheme, token))
}
