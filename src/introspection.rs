//! Introspection: a resource server asks about a token and gets a definite answer (RFC 7662).
//!
//! ```
//! # use client_credentials::*;
//! # async fn answer<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, parts: Parts<'_>) -> Result<Vec<u8>, TokenError> {
//! let request = IntrospectionRequest::parse(parts)?;
//! let response = introspect_token(server, &request).await?;
//! # let _ =
//! response.is_active()
//! # ;
//! # Ok(response.body())
//! # }
//! ```

use crate::audit::{Endpoint, Outcome};
#[cfg(feature = "jwt")]
use crate::client::ClientId;
use crate::client::authentication::AuthenticatedClient;
use crate::client::{Client, ClientStore};
use crate::clock::Timestamp;
use crate::error::{Reason, TokenError};
#[cfg(feature = "jwt")]
use crate::jose::{Jws, JwtType};
#[cfg(feature = "jwt")]
use crate::request::Field;
use crate::request::{CallerAndToken, Credentials, Parts};
use crate::response::{json, no_store};
use crate::server::AuthorizationServer;
#[cfg(feature = "jwt")]
use crate::token::jwt::{self, AccessTokenClaims};
use crate::token::{AccessTokenFormat, Confirmation, RecordValue, TokenRecord, TokenStore};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The media type of a signed answer (RFC 9701 §4).
const SIGNED: &str = "application/token-introspection+jwt";

/// Octets of a presented token, at most; a longer one is unknown.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;

/// A request of the introspection endpoint: a caller, and the token it asks about.
///
/// RFC 7662 §2.1.
#[derive(Debug)]
pub struct IntrospectionRequest<'a> {
    asked: CallerAndToken<'a>,
    #[cfg(feature = "jwt")]
    wants_jwt: bool,
}

impl<'a> IntrospectionRequest<'a> {
    /// Reads a request by the rules of [`TokenRequest::parse`](crate::TokenRequest::parse); `token` is required,
    /// `token_type_hint` is ignored.
    ///
    /// # Errors
    /// `invalid_request` (400, 405, 413).
    pub fn parse(parts: Parts<'a>) -> Result<Self, TokenError> {
        Ok(Self {
            #[cfg(feature = "jwt")]
            wants_jwt: prefers_jwt(parts.accept),
            asked: CallerAndToken::parse(Endpoint::Introspection, parts)?,
        })
    }

    /// What the caller shows to prove who it is.
    pub fn credentials(&self) -> &Credentials<'a> {
        &self.asked.credentials
    }
}

/// Tells an authenticated caller what a token is worth.
///
/// A caller sees a token that was issued to it, one whose audience names it (its `client_id`, or an identifier of its
/// registered `audience`), and with `may_introspect` every token of its realm. For everything else, an unknown, expired,
/// revoked or foreign token as well as one whose client is gone, disabled, faulty or has moved `tokens_not_before` past
/// it, the answer is `{"active":false}` and no more.
///
/// A server with signing keys signs the answer for a caller whose one `Accept` field names `application/token-introspection+jwt` and does
/// not like `application/json` better (RFC 9701); for every other it is JSON.
///
/// # Errors
/// As [`authenticate`](AuthorizationServer::authenticate); `invalid_client` (401) when the caller's assertion was used before;
/// `temporarily_unavailable` (503) when a store fails; `server_error` (500) when the answer cannot be signed.
///
/// RFC 7662 §2, RFC 9701 §4.
pub async fn introspect_token<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    request: &IntrospectionRequest<'_>,
) -> Result<IntrospectionResponse, TokenError> {
    let caller = server.authenticate(request.credentials()).await?;
    let response = answer(server, request, &caller).await.map_err(|reason| server.refused(&caller, reason))?;
    if let Some(observer) = &server.observer {
        let jti = response.active.as_ref().map(|active| active.jti.as_str());
        observer(&caller.event(&server.issuer, Outcome::Introspected { active: response.is_active(), jti }));
    }
    Ok(response)
}

/// The whole answer; only then what the caller may use once is spent.
async fn answer<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    request: &IntrospectionRequest<'_>,
    caller: &AuthenticatedClient,
) -> Result<IntrospectionResponse, Reason> {
    let found = server.live_token(&request.asked.token, caller).await?;
    let visible = found.filter(|found| may_see(caller.client(), &found.token));
    let active = visible.map(|FoundToken { token, jti, expires_at, .. }| {
        Box::new(Active { issuer: Arc::clone(&server.issuer), jti, expires_at: expires_at.as_secs(), token })
    });
    let response = IntrospectionResponse { active, jwt: None };
    #[cfg(feature = "jwt")]
    let response = if request.wants_jwt { server.signed(response, caller)? } else { response };
    server.spend(caller).await?;
    Ok(response)
}

fn may_see(caller: &Client, token: &TokenRecord) -> bool {
    caller.may_introspect
        || token.client_id == caller.client_id
        || token
            .audience
            .iter()
            .any(|audience| audience == caller.client_id.as_str() || caller.audience.contains(audience))
}

/// The answer of the introspection endpoint.
///
/// RFC 7662 §2.2, RFC 9701 §5.
#[derive(Clone)]
pub struct IntrospectionResponse {
    active: Option<Box<Active>>,
    /// The same, signed.
    jwt: Option<Zeroizing<String>>,
}

#[derive(Clone)]
struct Active {
    issuer: Arc<str>,
    jti: String,
    expires_at: u64,
    token: TokenRecord,
}

impl IntrospectionResponse {
    /// Whether the token is active for the caller that asked.
    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// What the server remembers of the token; `None` when inactive.
    pub fn token(&self) -> Option<&TokenRecord> {
        self.active.as_ref().map(|active| &active.token)
    }

    /// The HTTP status: 200.
    pub fn status(&self) -> u16 {
        200
    }

    /// The header fields: JSON, or a signed answer, that must not be cached.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        no_store().map(|(name, value)| match (name, &self.jwt) {
            ("Content-Type", Some(_)) => (name, Cow::Borrowed(SIGNED)),
            _ => (name, value),
        })
    }

    /// The body: a JWT where the answer is signed, else JSON; exactly `{"active":false}` for an inactive token.
    pub fn body(&self) -> Vec<u8> {
        self.jwt.as_ref().map_or_else(|| json(self), |jwt| jwt.as_bytes().to_vec())
    }
}

impl fmt::Debug for IntrospectionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntrospectionResponse").field(&self.token()).finish()
    }
}

impl Serialize for IntrospectionResponse {
    /// The members of RFC 7662 §2.2 that have a value, `cnf` (RFC 7800), and the embedder's claims after them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("active", &self.is_active())?;
        if let Some(Active { issuer, jti, expires_at, token }) = self.active.as_deref() {
            if !token.scope.is_empty() {
                map.serialize_entry("scope", &token.scope)?;
            }
            map.serialize_entry("client_id", &token.client_id)?;
            map.serialize_entry("token_type", &Confirmation::token_type(token.confirmation.as_deref()))?;
            map.serialize_entry("exp", expires_at)?;
            map.serialize_entry("iat", &token.issued_at)?;
            map.serialize_entry("nbf", &token.issued_at)?;
            map.serialize_entry("sub", &token.client_id)?;
            if !token.audience.is_empty() {
                map.serialize_entry("aud", &token.audience)?;
            }
            map.serialize_entry("iss", &**issuer)?;
            map.serialize_entry("jti", jti)?;
            if let Some(confirmation) = &token.confirmation {
                map.serialize_entry("cnf", confirmation)?;
            }
            if let Some(details) = &token.authorization_details {
                map.serialize_entry("authorization_details", details)?;
            }
            for (name, value) in token.claims.iter() {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// A token that is not past, as the server remembers it or as it says itself.
pub(crate) struct FoundToken {
    pub(crate) token: TokenRecord,
    pub(crate) jti: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) format: AccessTokenFormat,
}

impl<C: ClientStore, T: TokenStore> AuthorizationServer<C, T> {
    /// The token as it stands at the moment of the caller's request: not past, and of a client that is still in standing.
    async fn live_token(&self, token: &str, caller: &AuthenticatedClient) -> Result<Option<FoundToken>, Reason> {
        let Some(found) = self.unexpired_token(token, caller.at).await? else { return Ok(None) };
        let client_id = &found.token.client_id;
        let owner = if *client_id == caller.client.client_id {
            Some(Arc::clone(&caller.client))
        } else {
            self.find(client_id.as_str()).await?.filter(|owner| self.check_registration(owner).is_ok())
        };
        let stands = owner.is_some_and(|owner| owner.token_stands(found.token.issued_at));
        Ok(stands.then_some(found))
    }

    /// A token of this server's that has neither expired nor been revoked: by its record, or by its signature.
    pub(crate) async fn unexpired_token(&self, token: &str, now: Timestamp) -> Result<Option<FoundToken>, Reason> {
        if token.len() > MAX_TOKEN {
            return Ok(None);
        }
        #[cfg(feature = "jwt")]
        if let Some(claims) = self.signed_token(token, now) {
            if claims.iss != *self.issuer || claims.exp <= now {
                return Ok(None);
            }
            let revoked = self.tokens.get(&self.keys.revoked(&claims.jti)).await.map_err(Reason::TokenStore)?;
            if revoked.is_some_and(|record| record.expires_at > now) {
                return Ok(None);
            }
            let (jti, expires_at) = (claims.jti.clone(), claims.exp);
            let token = jwt::record(claims);
            return Ok(Some(FoundToken { token, jti, expires_at, format: AccessTokenFormat::Jwt }));
        }
        let key = self.keys.access_token(token);
        let record = self.tokens.get(&key).await.map_err(Reason::TokenStore)?;
        Ok(record.filter(|record| record.key == key && record.expires_at > now).and_then(|record| match record.value {
            RecordValue::AccessToken(token) => {
                let (jti, expires_at) = (key.jti(), record.expires_at);
                Some(FoundToken { token, jti, expires_at, format: AccessTokenFormat::Opaque })
            }
            RecordValue::OneTime | RecordValue::Revoked => None,
        }))
    }
    /// The claims of an access token that a published key of this server signed.
    #[cfg(feature = "jwt")]
    fn signed_token(&self, token: &str, now: Timestamp) -> Option<AccessTokenClaims> {
        let jws = Jws::read(token.into()).ok()?;
        self.signing_keys.verify(&jws, now).ok()?;
        jwt::read(&jws).ok()
    }

    /// The answer as a JWT for this caller alone, of a `typ` and with claims that no access token has (RFC 9701 §5); as it is
    /// where the server has no key.
    #[cfg(feature = "jwt")]
    fn signed(
        &self,
        response: IntrospectionResponse,
        caller: &AuthenticatedClient,
    ) -> Result<IntrospectionResponse, Reason> {
        #[derive(Serialize)]
        struct Claims<'a> {
            iss: &'a str,
            aud: &'a ClientId,
            iat: u64,
            token_introspection: &'a IntrospectionResponse,
        }
        if self.signing_keys.is_empty() {
            return Ok(response);
        }
        let key = self.signer(caller.at)?;
        let (iss, aud) = (&*self.issuer, &caller.client.client_id);
        let claims = json(&Claims { iss, aud, iat: caller.at.as_secs(), token_introspection: &response });
        let jwt = key.sign(JwtType::TokenIntrospection, &claims).ok_or(Reason::Signature)?;
        Ok(IntrospectionResponse { jwt: Some(jwt), ..response })
    }
}

/// Whether an `Accept` field names a signed answer, and JSON at most as much (RFC 9110 §12.5.1).
#[cfg(feature = "jwt")]
fn prefers_jwt(accept: Field<'_>) -> bool {
    let Field::One(accept) = accept else { return false };
    let Ok(accept) = std::str::from_utf8(accept) else { return false };
    let weight_of = |wanted: &str| {
        accept.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().filter(|name| name.eq_ignore_ascii_case(wanted))?;
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok())
        })
    };
    let signed = weight_of(SIGNED).unwrap_or_default();
    signed > 0.0 && signed >= weight_of("application/json").unwrap_or_default()
}

#[cfg(all(test, feature = "jwt"))]
mod tests {
    use super::*;

    #[test]
    // req: IN-025
    fn a_signed_answer_is_for_those_who_ask_for_it() {
        let prefers = |accept: &'static str| prefers_jwt(Field::One(accept.as_bytes()));
        for signed in [
            "application/token-introspection+jwt",
            "Application/Token-Introspection+JWT",
            "application/json, application/token-introspection+jwt",
            "application/token-introspection+jwt;q=0.9, application/json; q=0.5",
            "text/html , application/token-introspection+jwt ; q=0.1",
        ] {
            assert!(prefers(signed), "{signed}");
        }
        for plain in [
            "",
            "*/*",
            "application/*",
            "application/json",
            "application/jwt",
            "application/token-introspection+jwt;q=0",
            "application/token-introspection+jwt;q=x",
            "application/token-introspection+jwt;q=0.5, application/json",
            "xapplication/token-introspection+jwt",
        ] {
            assert!(!prefers(plain), "{plain}");
        }
        assert!(!prefers_jwt(Field::Absent) && !prefers_jwt(Field::Repeated) && !prefers_jwt(Field::One(b"\xff")));
    }
}
