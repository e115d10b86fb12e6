//! The resource server's side: whether an access token is good here, and what it permits (RFC 9068 §4, RFC 6750, RFC 7662).
//!
//! ```
//! use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
//! use client_credentials::{AccessTokenFormat, AccessTokenValidator, AuthorizationServer, Client, Config, Field, JwkSet};
//! use client_credentials::{Parts, Scope, SigningAlgorithm, SigningKey, SigningKeys, TokenRequest};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (mut client, secret) = Client::generate()?;
//! # client.scope = Some(Scope::parse("read")?);
//! # client.token_endpoint_auth_method = vec!["client_secret_post".into()];
//! # let body = format!(
//! #     "grant_type=client_credentials&client_id={}&client_secret={}&scope=read&resource=https://api.example.com",
//! #     client.client_id, secret.expose(),
//! # );
//! # let mut config = Config::new("https://as.example.com");
//! # config.access_token_format = AccessTokenFormat::Jwt;
//! # config.resources = vec!["https://api.example.com".into()];
//! # let clients: MemoryClientStore = [client].into_iter().collect();
//! # let server = AuthorizationServer::new(config, clients, MemoryTokenStore::default())?
//! #     .with_signing_keys(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256)?]));
//! # let content_type = Field::One(b"application/x-www-form-urlencoded");
//! # let request = TokenRequest::parse(Parts { method: "POST", content_type, body: body.as_bytes(), ..Parts::default() })?;
//! # let issued = client_credentials::issue_client_credentials_token(&server, &request).await?;
//! # let authorization = format!("Bearer {}", issued.access_token.expose());
//! // Once: whose tokens are believed, who we are, and the issuer's keys.
//! let keys = JwkSet::from_json(std::str::from_utf8(&server.jwks())?)?;
//! let validator = AccessTokenValidator::new("https://as.example.com", ["https://api.example.com"]).with_keys(keys);
//!
//! // For each request: the Authorization field, then the token, then the scope.
//! let presented = validator.read(Field::One(authorization.as_bytes()))?;
//! let token = validator.validate(presented).await?;
//! token.require_scope("read")?;
//!
//! let refused = token.require_scope("write").unwrap_err();
//! assert_eq!(refused.status(), 403);
//! let nobody = validator.read(Field::Absent).unwrap_err();
//! assert!(nobody.headers().any(|field| field == ("WWW-Authenticate", r#"Bearer realm="https://api.example.com""#.into())));
//! # Ok(()) }
//! ```

#[cfg(feature = "dpop")]
mod dpop;
mod presented;
mod refusal;
mod token;

pub use presented::PresentedToken;
pub use refusal::{AccessError, AccessReason};
pub use token::ValidatedToken;

use refusal::Challenge;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::introspection::MAX_TOKEN;
use crate::jose::{InvalidJwt, JwkSet, JwksCache, Jws, JwsAlgorithm, JwtType, KeySource, Member, members};
use crate::request::Field;
use crate::resource::Audience;
#[cfg(feature = "dpop")]
use crate::token::dpop::InvalidDpopProof;
use crate::token::{Confirmation, TokenType};
use serde_json::Value;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use token::Source;

/// Octets of an introspection answer, at most.
const MAX_ANSWER: usize = 64 * 1024;
/// Seconds by which the clocks of issuer and resource server may differ: by default, and at most.
const LEEWAY: (u64, u64) = (30, 60);

type Cause = Arc<dyn Error + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = Result<Vec<u8>, Cause>> + Send>>;
type Ask = dyn Fn(String) -> Answer + Send + Sync;

/// Decides for one resource server whether an access token of one issuer is good.
///
/// It needs one source at least. With keys ([`with_keys`](Self::with_keys), [`with_jwks_uri`](Self::with_jwks_uri)) it checks JWTs by
/// itself, and does *not* see that a token was revoked, or its client disabled, before the token's end. With
/// [`with_introspection`](Self::with_introspection) it asks the issuer: about every token where it has no keys, so that a
/// revocation is seen at once; with keys as well, only about what is no JWT. Without any source it answers 503.
///
/// A token passes when it is an access token (`typ` is `at+jwt`) signed by a key of the issuer's with an algorithm that is
/// allowed, its `iss` is the issuer, its `aud` names this resource server, both octet for octet, it has begun and not ended, has
/// every claim that RFC 9068 requires, and whoever sent it has shown the key it is bound to.
///
/// In these tokens `sub` is the client, not a person; see `client_id` of [`ValidatedToken`].
///
/// RFC 9068 §4, RFC 8725, RFC 7662 §2.2.
pub struct AccessTokenValidator {
    issuer: Arc<str>,
    audience: Audience,
    challenge: Arc<Challenge>,
    keys: Option<Keys>,
    introspection: Option<Box<Ask>>,
    algorithms: Vec<JwsAlgorithm>,
    leeway: u64,
    clock: Box<dyn Clock>,
    #[cfg(feature = "dpop")]
    dpop: dpop::Dpop,
}

enum Keys {
    Fixed(JwkSet),
    Remote { uri: String, cache: Arc<JwksCache> },
}

impl AccessTokenValidator {
    /// For tokens of `issuer` that name one of `audience`: the identifiers of this resource server, as the authorization server
    /// knows them. The first of them, else the issuer, is the `realm` of challenges.
    pub fn new<S: Into<Arc<str>>>(issuer: impl Into<Arc<str>>, audience: impl IntoIterator<Item = S>) -> Self {
        let (issuer, audience) = (issuer.into(), Audience::from_iter(audience));
        let name = audience.iter().next().unwrap_or(&issuer);
        #[cfg(feature = "dpop")]
        let dpop = dpop::Dpop::new(name);
        let challenge = Challenge {
            realm: refusal::quotable(name),
            #[cfg(feature = "dpop")]
            algs: dpop.algs(),
        };
        Self {
            challenge: Arc::new(challenge),
            #[cfg(feature = "dpop")]
            dpop,
            issuer,
            audience,
            keys: None,
            introspection: None,
            algorithms: Vec::new(),
            leeway: LEEWAY.0,
            clock: Box::new(SystemClock),
        }
        .with_algorithms(JwsAlgorithm::ALL)
    }

    /// The same with the issuer's keys, as they are now and stay.
    #[must_use]
    pub fn with_keys(self, keys: JwkSet) -> Self {
        Self { keys: Some(Keys::Fixed(keys)), ..self }
    }

    /// The same with the keys behind the issuer's `jwks_uri`. They are kept, and fetched again when a token names a key that is
    /// not among them, so that it follows a rotation; how often that may be is the cache's to bound.
    #[must_use]
    pub fn with_jwks_uri(self, jwks_uri: impl Into<String>, cache: Arc<JwksCache>) -> Self {
        Self { keys: Some(Keys::Remote { uri: jwks_uri.into(), cache }), ..self }
    }

    /// The same with a closure that takes a token to the issuer's introspection endpoint, as an authenticated client, and
    /// hands back the body of its 200: JSON, not signed. Whatever else comes of it is an error, and answered with 503. The token is
    /// text that its sender chose: form-encode it.
    ///
    /// The answer must say `"active": true`, name this resource server in `aud`, and have a `client_id`; `iss`, `exp`, `nbf`, `iat`
    /// and `cnf` are checked where they are present. Nothing is cached, for a cache would hide revocations.
    ///
    /// ```
    /// # use client_credentials::AccessTokenValidator;
    /// # async fn post(_: &str, _: String) -> std::io::Result<Vec<u8>> { Ok(Vec::new()) }
    /// let validator = AccessTokenValidator::new("https://as.example.com", ["https://api.example.com"])
    ///     .with_introspection(|token| async move { post("https://as.example.com/oauth2/introspect", token).await });
    /// ```
    #[must_use]
    pub fn with_introspection<F, E>(self, introspect: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<u8>, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let ask = move |token: String| -> Answer {
            let answer = introspect(token);
            Box::pin(async move { answer.await.map_err(|error| Cause::from(error.into())) })
        };
        Self { introspection: Some(Box::new(ask)), ..self }
    }

    /// The same with fewer algorithms. By default it is every asymmetric one; symmetric ones never verify an access token.
    #[must_use]
    pub fn with_algorithms(self, algorithms: impl IntoIterator<Item = JwsAlgorithm>) -> Self {
        Self { algorithms: algorithms.into_iter().filter(|algorithm| !algorithm.is_symmetric()).collect(), ..self }
    }

    /// The same with another leeway in seconds, by which the clocks of issuer and resource server may differ: 0 to 60, more counts
    /// as 60. By default it is 30.
    #[must_use]
    pub fn with_leeway(self, seconds: u64) -> Self {
        Self { leeway: seconds.min(LEEWAY.1), ..self }
    }

    /// The same with another clock; a closure `|| Timestamp` is one. It is read once a token.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Finds the token in the `Authorization` field of a request: scheme `Bearer` or `DPoP` in any case, and one token.
    ///
    /// Another scheme counts as no token. A token in the query or in a form is never looked at: give nothing but the field.
    ///
    /// # Errors
    /// 401 without an error code when there is no token; `invalid_request` (400) for a repeated or malformed field.
    ///
    /// RFC 6750 §2.1, RFC 9449 §7.1.
    pub fn read<'a>(&self, authorization: Field<'a>) -> Result<PresentedToken<'a>, AccessError> {
        presented::read(authorization).map_err(|(reason, scheme)| self.refuse(reason, scheme))
    }

    /// Decides whether a token is good here.
    ///
    /// # Errors
    /// `invalid_token` (401), for whatever reason; `invalid_dpop_proof` (401) when its proof was used before; 503 when the issuer's
    /// keys, its introspection endpoint or the store of used proofs are out of reach.
    pub async fn validate(&self, presented: PresentedToken<'_>) -> Result<ValidatedToken, AccessError> {
        self.check(&presented).await.map_err(|reason| {
            // Whoever has a token that is bound to a DPoP key is told how to use it (RFC 9449 §7.2).
            let scheme = match reason {
                AccessReason::Jwt(InvalidJwt::Binding(AS_BEARER)) => TokenType::DPoP,
                _ => presented.scheme,
            };
            self.refuse(reason, scheme)
        })
    }

    fn refuse(&self, reason: AccessReason, scheme: TokenType) -> AccessError {
        #[cfg(feature = "dpop")]
        let nonce = match (&reason, &self.dpop.nonces) {
            (AccessReason::Proof(InvalidDpopProof::Nonce), Some(nonces)) => {
                Some(nonces.make(&self.issuer, self.clock.now()))
            }
            _ => None,
        };
        let error = AccessError::new(reason, scheme, &self.challenge);
        #[cfg(feature = "dpop")]
        let error = error.with_dpop_nonce(nonce);
        error
    }

    #[cfg(feature = "dpop")]
    fn renew_challenge(self) -> Self {
        let challenge = Challenge { realm: self.challenge.realm.clone(), algs: self.dpop.algs() };
        Self { challenge: Arc::new(challenge), ..self }
    }

    async fn check(&self, presented: &PresentedToken<'_>) -> Result<ValidatedToken, AccessReason> {
        let now = self.clock.now();
        if presented.token.len() > MAX_TOKEN {
            return Err(InvalidJwt::Malformed("it is over 16 KiB").into());
        }
        let token = match (&self.keys, &self.introspection) {
            (None, None) => return Err(AccessReason::NotConfigured),
            (None, Some(ask)) => self.introspect(ask, presented, now).await?,
            (Some(keys), ask) => match (Jws::read(Cow::Borrowed(presented.token)), ask) {
                (Err(InvalidJwt::Malformed(_)), Some(ask)) => self.introspect(ask, presented, now).await?,
                (jws, _) => self.verify(&jws?, keys, presented, now).await?,
            },
        };
        check_binding(token.confirmation.as_ref(), presented)?;
        #[cfg(feature = "dpop")]
        self.use_up(presented, now).await?; // last: nothing is written for a token that is not good
        Ok(token)
    }

    /// RFC 9068 §4. What costs little comes first: a token that has ended needs no signature to be refused.
    async fn verify(
        &self,
        jws: &Jws<'_>,
        keys: &Keys,
        presented: &PresentedToken<'_>,
        now: Timestamp,
    ) -> Result<ValidatedToken, InvalidJwt> {
        if jws.typ() != Some(JwtType::AccessToken.typ()) {
            return Err(InvalidJwt::Header("has another typ than at+jwt"));
        }
        let allowed = |algorithm: JwsAlgorithm| self.algorithms.contains(&algorithm);
        if !allowed(jws.algorithm()) {
            return Err(InvalidJwt::Algorithm("is not allowed"));
        }
        let token = self.token(jws.claims(&token::NAMES)?, Source::Signature, presented, now)?;
        let keys = match keys {
            Keys::Fixed(keys) => KeySource::Set(keys),
            Keys::Remote { uri, cache } => KeySource::Uri(uri, Some(cache)),
        };
        keys.verify(jws, allowed, now).await?;
        Ok(token)
    }

    /// RFC 7662 §2.2.
    async fn introspect(
        &self,
        ask: &Ask,
        presented: &PresentedToken<'_>,
        now: Timestamp,
    ) -> Result<ValidatedToken, AccessReason> {
        let answer = ask(presented.token.to_owned()).await.map_err(AccessReason::Introspection)?;
        let too_long = answer.len() > MAX_ANSWER;
        let answer = (!too_long).then_some(&answer).and_then(|answer| members(answer, &token::NAMES));
        let mut answer = answer.ok_or(AccessReason::IntrospectionAnswer)?;
        let [active, ..] = &mut answer.asked;
        match active.take() {
            Some(Member::Other(Value::Bool(true))) => {}
            Some(Member::Other(Value::Bool(false))) => return Err(AccessReason::Inactive),
            _ => return Err(AccessReason::IntrospectionAnswer),
        }
        self.token(answer, Source::Introspection, presented, now).map_err(AccessReason::Introspected)
    }
}

impl fmt::Debug for AccessTokenValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: &dyn fmt::Debug = match &self.keys {
            None => &"none",
            Some(Keys::Fixed(keys)) => keys,
            Some(Keys::Remote { uri, .. }) => uri,
        };
        f.debug_struct("AccessTokenValidator")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("keys", keys)
            .field("introspection", &self.introspection.is_some())
            .field("algorithms", &self.algorithms)
            .field("leeway", &self.leeway)
            .finish_non_exhaustive()
    }
}

const AS_BEARER: &str = "is bound to a DPoP key, and came as Bearer";

/// Whether whoever sent the token has shown the key that it is bound to (RFC 9449 §7.1, RFC 8705 §3).
fn check_binding(confirmation: Option<&Confirmation>, presented: &PresentedToken<'_>) -> Result<(), InvalidJwt> {
    match (confirmation, presented.scheme) {
        (None, TokenType::Bearer) => Ok(()),
        (Some(Confirmation::Jkt(key)), TokenType::DPoP) if presented.proof.as_ref() == Some(key) => Ok(()),
        (Some(Confirmation::X5tS256(key)), TokenType::Bearer) if presented.certificate.as_ref() == Some(key) => Ok(()),
        (Some(Confirmation::Jkt(_)), TokenType::Bearer) => Err(InvalidJwt::Binding(AS_BEARER)),
        (Some(Confirmation::Jkt(_)), TokenType::DPoP) => {
            Err(InvalidJwt::Binding("is bound to a DPoP key that no proof was made with"))
        }
        (Some(Confirmation::X5tS256(_)), TokenType::Bearer) => {
            Err(InvalidJwt::Binding("is bound to a certificate that the connection has not"))
        }
        (_, TokenType::DPoP) => Err(InvalidJwt::Binding("is bound to no DPoP key, and came as DPoP")),
    }
}
