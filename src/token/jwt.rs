//! JWT access tokens (RFC 9068): what an opaque token's record says, signed.

use super::{AuthorizationDetails, Claims, Confirmation, TokenRecord};
use crate::client::ClientId;
use crate::clock::Timestamp;
use crate::error::Reason;
use crate::jose::{InvalidJwt, Jws, JwtType, SigningKey};
use crate::random::RandomSource;
use crate::resource::Audience;
use crate::scope::Scope;
use crate::token::AccessToken;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// The claims of an access token (RFC 9068 §2.2), as this server writes and reads them.
#[derive(Serialize, Deserialize)]
pub(crate) struct AccessTokenClaims<'a> {
    pub(crate) iss: Cow<'a, str>,
    pub(crate) sub: ClientId,
    pub(crate) client_id: ClientId,
    pub(crate) aud: Audience,
    pub(crate) iat: Timestamp,
    pub(crate) exp: Timestamp,
    pub(crate) jti: String,
    #[serde(default, skip_serializing_if = "Scope::is_empty")]
    pub(crate) scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cnf: Option<Confirmation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_details: Option<AuthorizationDetails>,
    #[serde(flatten)]
    pub(crate) own: Map<String, Value>,
}

/// Signs a token, and hands back its `jti`: 16 random octets.
///
/// A JWT always has an audience; where none was chosen it is the issuer (RFC 9068 §2.2, §3).
pub(crate) fn mint(
    key: &SigningKey,
    random: &dyn RandomSource,
    issuer: &Arc<str>,
    expires_at: Timestamp,
    token: TokenRecord,
) -> Result<(AccessToken, String), Reason> {
    let mut octets = [0; 16];
    random.fill(&mut octets)?;
    let jti = URL_SAFE_NO_PAD.encode(octets);
    let aud = if token.audience.is_empty() { Audience::from_iter([Arc::clone(issuer)]) } else { token.audience };
    let claims = AccessTokenClaims {
        iss: Cow::Borrowed(issuer),
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
    let signed = key.sign(JwtType::AccessToken, &crate::response::json(&claims)).ok_or(Reason::Signature)?;
    Ok((AccessToken(signed), claims.jti))
}

/// The claims of an access token whose signature has been verified, or why it is none.
pub(crate) fn read(jws: &Jws<'_>) -> Result<AccessTokenClaims<'static>, InvalidJwt> {
    if jws.typ() != Some(JwtType::AccessToken.typ()) {
        return Err(InvalidJwt::Header("has another typ than at+jwt"));
    }
    let claims = Value::Object(jws.claims()?);
    serde_json::from_value(claims).map_err(|_| InvalidJwt::Malformed("its claims are not those of an access token"))
}

/// What a token says of itself, as the record of an opaque one would.
pub(crate) fn record(claims: AccessTokenClaims<'_>) -> TokenRecord {
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
