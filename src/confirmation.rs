//! What a token is bound to: the key of a DPoP proof, or the client's certificate, and never both.
//!
//! ```
//! # use client_credentials::*;
//! # fn look<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, client: &AuthenticatedClient, request: &TokenRequest<'_>) -> Result<(), TokenError> {
//! let grant = server.authorize(client, request)?;
//! if grant.confirmation.is_none() {
//!     return Err(server.refuse(client, ErrorCode::InvalidRequest, "tokens of this server are bound to a key"));
//! }
//! # Ok(())
//! # }
//! ```

use crate::client::{Client, ClientStore};
use crate::clock::Timestamp;
use crate::error::Reason;
#[cfg(feature = "dpop")]
use crate::request::Field;
use crate::request::TokenRequest;
use crate::server::AuthorizationServer;
#[cfg(feature = "mtls")]
use crate::token::Thumbprint;
#[cfg(feature = "dpop")]
use crate::token::dpop;
use crate::token::{Confirmation, Record, TokenStore};

/// What a token is bound to, and what that used up.
#[derive(Default)]
pub(crate) struct Bound {
    pub(crate) confirmation: Option<Confirmation>,
    /// The proof, which buys no other token.
    pub(crate) one_time: Vec<Record>,
    /// The nonce that the client's next proof should have.
    pub(crate) dpop_nonce: Option<String>,
}

impl<C: ClientStore, T: TokenStore> AuthorizationServer<C, T> {
    /// Binds to the certificate where the client is registered for that, else to the key of a proof where there is one.
    ///
    /// RFC 9449 §5, RFC 8705 §3; RFC 7800 §3: a token has one key.
    pub(crate) fn bind(&self, client: &Client, request: &TokenRequest<'_>, at: Timestamp) -> Result<Bound, Reason> {
        #[cfg(feature = "mtls")]
        if client.tls_client_certificate_bound_access_tokens {
            return Ok(Bound { confirmation: Some(to_certificate(request)?), ..Bound::default() });
        }
        #[cfg(feature = "dpop")]
        if request.dpop() != Field::Absent || client.dpop_bound_access_tokens {
            return self.to_proof(request, at);
        }
        #[cfg(not(feature = "dpop"))]
        if request.has_dpop_proof() {
            return Err(Reason::DpopNotSupported);
        }
        #[cfg(feature = "jwt")]
        if self.config.profile.is_fapi2() {
            return Err(Reason::UnboundToken); // FAPI 2.0 §5.3.2.1
        }
        let _ = (client, at);
        Ok(Bound::default())
    }

    /// Binds to the key of a proof, which is used up by that.
    ///
    /// RFC 9449 §5, §5.2.
    #[cfg(feature = "dpop")]
    fn to_proof(&self, request: &TokenRequest<'_>, at: Timestamp) -> Result<Bound, Reason> {
        if self.dpop.algorithms.is_empty() {
            return Err(Reason::DpopNotSupported);
        }
        let asked = dpop::Request { method: "POST", urls: &self.dpop.urls, access_token: None, at };
        let rules = dpop::Rules {
            algorithms: &self.dpop.algorithms,
            skew: self.config.clock_skew,
            ahead: self.config.profile.ahead(self.config.clock_skew),
            iat_always_counts: self.config.profile.is_fapi2(), // FAPI 2.0 §5.3.2.1
            nonces: self.dpop.nonces.as_ref().map(|nonces| (nonces, &*self.issuer)),
        };
        let proof = dpop::check(request.dpop(), &asked, &rules)?;
        let key = self.keys.proof(&proof.jkt, &proof.jti);
        Ok(Bound {
            one_time: vec![Record::one_time(key, proof.until)],
            confirmation: Some(Confirmation::Jkt(proof.jkt)),
            dpop_nonce: proof.next_nonce,
        })
    }
}

/// Binds to the certificate of the connection, however the client authenticated.
///
/// The thumbprint is all that counts: whoever ends TLS has seen the possession of the key, and nothing in the certificate is read.
///
/// RFC 8705 §3, §3.4.
#[cfg(feature = "mtls")]
fn to_certificate(request: &TokenRequest<'_>) -> Result<Confirmation, Reason> {
    match request.certificate() {
        _ if request.has_dpop_proof() => Err(Reason::ProofBesideCertificate),
        None => Err(Reason::NoCertificateToBind),
        Some(certificate) => Ok(Confirmation::X5tS256(Thumbprint::of_certificate(certificate.der))),
    }
}
