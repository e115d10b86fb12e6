//! JWK thumbprints (RFC 7638).

use crate::token::Thumbprint;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The text is no JWK with the members that its `kty` requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a JWK is a JSON object with `kty` and the members that it requires, as texts")]
#[non_exhaustive]
pub struct InvalidJwk;

impl Thumbprint {
    /// The SHA-256 thumbprint of a JWK, given as JSON: over its required members alone, in their order.
    ///
    /// # Errors
    /// [`InvalidJwk`] for other JSON, an unknown `kty`, or a required member that is missing or no text.
    ///
    /// RFC 7638 §3.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub fn of_jwk(jwk: &str) -> Result<Self, InvalidJwk> {
        thumbprint(&serde_json::from_str(jwk).map_err(|_| InvalidJwk)?)
    }
}

/// See [`Thumbprint::of_jwk`].
pub(super) fn thumbprint(jwk: &Map<String, Value>) -> Result<Thumbprint, InvalidJwk> {
    let required: &[&str] = match jwk.get("kty").and_then(Value::as_str) {
        Some("EC") => &["crv", "kty", "x", "y"],
        Some("OKP") => &["crv", "kty", "x"],
        Some("RSA") => &["e", "kty", "n"],
        Some("oct") => &["k", "kty"],
        _ => return Err(InvalidJwk),
    };
    // The members in lexicographic order, without white space: what RFC 7638 §3.3 hashes. The map is ordered by itself.
    let members = required.iter().map(|name| {
        let value = jwk.get(*name).filter(|value| value.is_string()).ok_or(InvalidJwk)?;
        Ok(((*name).to_owned(), value.clone()))
    });
    let members = Value::Object(members.collect::<Result<_, _>>()?);
    Ok(Thumbprint::from_bytes(Sha256::digest(members.to_string()).into()))
}
