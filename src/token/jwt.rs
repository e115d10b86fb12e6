//! JWT access tokens (RFC 9068): what an opaque token's record says, signed.

use super::{AccessToken, Claims, TokenRecord};
use crate::clock::Timestamp;
use crate::error::Reason;
use crate::jose;
use crate::random::RandomSource;
use crate::resource::Audience;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::Arc;

/// Signs a token, and hands back its `jti`: 16 random octets.
///
/// A JWT always has an audience; where none was chosen it is the issuer (RFC 9068 §2.2, §3).
pub(crate) fn mint(
    key: &jose::SigningKey,
    random: &dyn RandomSource,
    issuer: &Arc<str>,
    expires_at: Timestamp,
    token: TokenRecord,
) -> Result<(AccessToken, String), Reason> {
    let mut octets = [0; 16];
    random.fill(&mut octets)?;
    let jti = URL_SAFE_NO_PAD.encode(octets);
    let aud = if token.audience.is_empty() { Audience::from_iter([Arc::clone(issuer)]) } else { token.audience };
    let claims = jose::Claims {
        iss: issuer.to_string(),
        sub: token.client_id.clone(),
        client_id: token.client_id,
        aud,
        iat: token.issued_at,
        exp: expires_at,
        jti,
        scope: token.scope,
        cnf: token.confirmation.map(|confirmation| *confirmation),
        authorization_details: token.authorization_details,
        own: token.claims.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
    };
    let signed = key.sign(&crate::response::json(&claims)).ok_or(Reason::Signature)?;
    Ok((signed, claims.jti))
}

/// What a verified token says, as the record of an opaque one would.
pub(crate) fn record(claims: jose::Claims) -> TokenRecord {
    let mut own = Claims::default();
    for (name, value) in claims.own {
        let _ = own.insert(name, value); // a reserved name says nothing of its own
    }
    TokenRecord {
        client_id: claims.client_id,
        scope: claims.scope,
        audience: claims.aud,
        issued_at: claims.iat,
        confirmation: claims.cnf.map(Box::new),
        authorization_details: claims.authorization_details,
        claims: own,
    }
}
