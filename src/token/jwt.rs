//! JWT access tokens (RFC 9068): what an opaque token's record says, signed.

use super::{Claims, Confirmation, TokenRecord};
use crate::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use crate::client::ClientId;
use crate::clock::Timestamp;
use crate::error::Reason;
use crate::introspection::MAX_TOKEN;
use crate::jose::{InvalidJwt, Jws, JwtType, SigningKey};
use crate::random::{RandomError, RandomSource};
use crate::resource::Audience;
use crate::response::ObjectWriter;
use crate::scope::Scope;
use crate::token::AccessToken;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The claims of an access token (RFC 9068 §2.2), as this server reads its own.
#[derive(Deserialize)]
pub(crate) struct AccessTokenClaims {
    pub(crate) iss: String,
    pub(crate) client_id: ClientId,
    pub(crate) aud: Audience,
    pub(crate) iat: Timestamp,
    pub(crate) exp: Timestamp,
    pub(crate) jti: String,
    #[serde(default)]
    pub(crate) scope: Scope,
    #[serde(default)]
    pub(crate) cnf: Option<Confirmation>,
    #[serde(default)]
    pub(crate) authorization_details: Option<AuthorizationDetails>,
    #[serde(flatten)]
    pub(crate) own: Map<String, Value>,
}

/// Where the `jti` of signed tokens come from: 16 random octets each, fetched for many at once.
///
/// A `jti` has to be unique, and need not be secret: so a system call for each, which costs a twentieth of a signature, is saved.
/// The moment is mixed in, so that two copies of one process, as of a machine's snapshot, do not go on with the same ones.
#[derive(Default)]
pub(crate) struct JtiSource(Mutex<Vec<[u8; 16]>>);

impl JtiSource {
    pub(crate) fn next(&self, random: &dyn RandomSource, at: Timestamp) -> Result<String, RandomError> {
        let kept = self.stock().pop(); // and no lock is held while more are fetched
        let mut octets = match kept {
            Some(octets) => octets,
            None => {
                let mut fetched = [[0; 16]; 32];
                random.fill(fetched.as_flattened_mut())?;
                let [first, others @ ..] = fetched;
                self.stock().extend(others);
                first
            }
        };
        for (octet, moment) in octets.iter_mut().zip(at.as_millis().to_be_bytes()) {
            *octet ^= moment;
        }
        Ok(URL_SAFE_NO_PAD.encode(octets))
    }

    fn stock(&self) -> MutexGuard<'_, Vec<[u8; 16]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Octets of a token with authorization details, at most: with `Bearer` before it, it fits into the 8 KiB of a header field
/// that resource servers take.
const MAX_WITH_DETAILS: usize = 8 * 1024 - "Bearer ".len();

/// Signs a token.
///
/// A JWT always has an audience; where none was chosen it is the issuer (RFC 9068 §2.2, §3).
pub(crate) fn mint(
    key: &SigningKey,
    jti: &str,
    issuer: &Arc<str>,
    expires_at: Timestamp,
    token: &TokenRecord,
) -> Result<AccessToken, Reason> {
    let claims = write(issuer, expires_at, jti, token);
    let signed = key.sign(JwtType::AccessToken, &claims).ok_or(Reason::Signature)?;
    if token.authorization_details.is_some() && signed.len() > MAX_WITH_DETAILS {
        return Err(Reason::AuthorizationDetailsTooLong); // no resource server would take it
    }
    // A longer one could be neither introspected nor revoked.
    if signed.len() > MAX_TOKEN {
        return Err(Reason::InvalidGrant("as a signed token it is over 16 KiB"));
    }
    Ok(AccessToken(signed))
}

/// The claims that [`read`] reads.
fn write(issuer: &Arc<str>, expires_at: Timestamp, jti: &str, token: &TokenRecord) -> Vec<u8> {
    let (client_id, scope) = (token.client_id.as_str(), token.scope.as_str());
    let mut claims = ObjectWriter::with_capacity(256 + issuer.len() + 2 * client_id.len() + scope.len());
    claims.text("iss", issuer);
    claims.text("sub", client_id);
    claims.text("client_id", client_id);
    let mut audience = token.audience.iter();
    match (audience.next(), audience.next()) {
        (None, _) => claims.text("aud", issuer),
        (Some(only), None) => claims.text("aud", only),
        (Some(_), Some(_)) => claims.value("aud", &token.audience),
    }
    claims.number("iat", token.issued_at.as_secs());
    claims.number("exp", expires_at.as_secs());
    claims.text("jti", jti);
    if !scope.is_empty() {
        claims.text("scope", scope);
    }
    if let Some(confirmation) = &token.confirmation {
        claims.value("cnf", confirmation);
    }
    let details = token.authorization_details.iter().flat_map(|details| details.of_audience(&token.audience));
    let details: Vec<&AuthorizationDetail> = details.collect(); // RFC 9396 §9.1
    if !details.is_empty() {
        claims.value("authorization_details", &details);
    }
    for (name, value) in token.claims.iter() {
        claims.value(name, value);
    }
    claims.finish()
}

/// The claims of an access token whose signature has been verified, or why it is none.
pub(crate) fn read(jws: &Jws<'_>) -> Result<AccessTokenClaims, InvalidJwt> {
    if jws.typ() != Some(JwtType::AccessToken.typ()) {
        return Err(InvalidJwt::Header("has another typ than at+jwt"));
    }
    let claims = serde_json::from_slice(jws.payload());
    claims.map_err(|_| InvalidJwt::Malformed("its claims are not those of an access token"))
}

/// What a token says of itself, as the record of an opaque one would.
pub(crate) fn record(claims: AccessTokenClaims) -> TokenRecord {
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
