//! Client assertions: a signed JWT in place of a secret (RFC 7521 §4.2, RFC 7523 §2.2 and §3, draft-ietf-oauth-rfc7523bis).
//!
//! One road: read the JWT, find the client that it claims to speak for, check its claims, verify its signature. That it was
//! used before shows when the token is committed, so a refused request spends nothing.

use super::authentication::Found;
use super::{AuthenticationMethod, Client, ClientStore, FederatedIssuer};
use crate::clock::Timestamp;
use crate::error::Reason;
use crate::jose::{InvalidJwt, JwkSet, Jws, KeySource};
use crate::profile::Profile;
use crate::server::{AuthorizationServer, Config};
use crate::token::{Record, TokenStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// The one `client_assertion_type` that is supported (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Octets of a `jti`, at most.
const MAX_JTI: usize = 256;

/// For whom a client's assertions must be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AssertionAudience {
    /// The server's issuer, and nobody else (draft-ietf-oauth-rfc7523bis §4).
    #[default]
    Issuer,
    /// The issuer or the URL of an endpoint, as RFC 7523 §3 allowed it. A hostile authorization server that the client also talks
    /// to can get hold of such assertions: for clients that cannot be changed.
    Legacy,
}

/// A client assertion that can be read; nothing in it is believed yet.
pub(crate) struct Assertion<'a> {
    jws: Jws<'a>,
    iss: Option<Value>,
    sub: Option<Value>,
    aud: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    jti: Option<Value>,
}

impl<'a> Assertion<'a> {
    /// Reads what a request carries.
    pub(crate) fn read(assertion: Cow<'a, str>, assertion_type: &str) -> Result<Self, UnreadableAssertion> {
        if assertion_type != JWT_BEARER {
            return Err(UnreadableAssertion::Type);
        }
        let read = || {
            let jws = Jws::read(assertion)?;
            let claims = jws.claims(&["iss", "sub", "aud", "exp", "nbf", "iat", "jti"])?;
            let [iss, sub, aud, exp, nbf, iat, jti] = claims.asked.map(|claim| claim.map(Value::from));
            Ok(Self { jws, iss, sub, aud, exp, nbf, iat, jti })
        };
        read().map_err(UnreadableAssertion::Jwt)
    }

    /// The client that it says it speaks for, where it says so by itself.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.iss.as_ref()?.as_str()
    }

    fn subject(&self) -> Option<&str> {
        self.sub.as_ref()?.as_str()
    }

    /// Whether a secret made it, and no private key.
    pub(crate) fn is_mac(&self) -> bool {
        self.jws.algorithm().is_symmetric()
    }

    /// What it is must not be told by its claims alone, where it tells (RFC 8725 §3.11).
    fn check_typ(&self, also: &str) -> Result<(), InvalidJwt> {
        match self.jws.typ() {
            None | Some("jwt" | "client-authentication+jwt") => Ok(()),
            Some(typ) if typ == also => Ok(()),
            Some(_) => Err(InvalidJwt::Header("has the typ of another kind of JWT")),
        }
    }

    /// `aud` is one of the accepted values, and nothing beside it: an audience of two could be replayed by the other.
    fn check_audience(&self, profile: Profile, accepted: impl Fn(&str) -> bool) -> Result<(), InvalidJwt> {
        let only = match &self.aud {
            Some(Value::String(only)) => Some(only),
            Some(Value::Array(list)) if !profile.is_fapi2() => match list.as_slice() {
                [Value::String(only)] => Some(only),
                _ => None,
            },
            _ => None,
        };
        match only {
            Some(only) if accepted(only) => Ok(()),
            Some(_) => Err(InvalidJwt::Audience("is not this server")),
            None => Err(InvalidJwt::Audience("is not one text")),
        }
    }

    /// `exp`, `nbf` and `iat` against the moment of the request (RFC 7523 §3); hands `exp` back.
    fn check_time(&self, at: Timestamp, config: &Config, max_lifetime: u64) -> Result<Timestamp, InvalidJwt> {
        let moment = |claim: &Option<Value>| claim.as_ref().map(Timestamp::of_numeric_date);
        let skew = config.clock_skew;
        let latest = at.plus(config.profile.ahead(skew));
        let exp = match moment(&self.exp) {
            None => return Err(InvalidJwt::Time("exp is absent")),
            Some(None) => return Err(InvalidJwt::Time("exp is no NumericDate")),
            Some(Some(exp)) => exp,
        };
        if exp.plus(skew) <= at {
            return Err(InvalidJwt::Time("exp has passed"));
        }
        if exp > at.plus(skew).plus(max_lifetime) {
            return Err(InvalidJwt::Time("exp is too far ahead"));
        }
        match (moment(&self.nbf), moment(&self.iat)) {
            (Some(None), _) => Err(InvalidJwt::Time("nbf is no NumericDate")),
            (_, Some(None)) => Err(InvalidJwt::Time("iat is no NumericDate")),
            (Some(Some(nbf)), _) if nbf > latest => Err(InvalidJwt::Time("nbf is still to come")),
            (_, Some(Some(iat))) if iat > latest => Err(InvalidJwt::Time("iat is still to come")),
            _ => Ok(exp),
        }
    }

    fn jti(&self) -> Result<&str, InvalidJwt> {
        let jti = self.jti.as_ref().and_then(Value::as_str).filter(|jti| (1..=MAX_JTI).contains(&jti.len()));
        jti.ok_or(InvalidJwt::Claim("jti is no text of 1 to 256 octets"))
    }
}

/// Why a request's assertion cannot be read.
#[derive(Clone)]
pub(crate) enum UnreadableAssertion {
    Type,
    Jwt(InvalidJwt),
}

impl From<UnreadableAssertion> for Reason {
    fn from(unreadable: UnreadableAssertion) -> Self {
        match unreadable {
            UnreadableAssertion::Type => Self::UnsupportedAssertionType,
            UnreadableAssertion::Jwt(problem) => Self::InvalidAssertion(problem),
        }
    }
}

impl<C: ClientStore, T: TokenStore> AuthorizationServer<C, T> {
    /// Finds out whose assertion it is, and whether it is right.
    ///
    /// Whatever refuses it, one signature was verified: where the client is unknown, may not use the method, or failed before
    /// its keys were tried, by a key that nobody has. So time does not tell who is registered.
    pub(super) async fn check_assertion(
        &self,
        assertion: &Assertion<'_>,
        body_client_id: Option<&str>,
        at: Timestamp,
    ) -> Result<Found, Reason> {
        let outcome = self.believe(assertion, body_client_id, at).await;
        if outcome.as_ref().is_err_and(|reason| !matches!(reason, Reason::InvalidAssertion(InvalidJwt::Signature))) {
            let _ = assertion.jws.verify_in_vain(NOBODYS_KEYS.iter().flat_map(JwkSet::iter));
        }
        outcome
    }

    /// The client is looked up by the `client_id` of the body, else by the assertion's `iss`: one look-up, as for a secret.
    async fn believe(
        &self,
        assertion: &Assertion<'_>,
        body_client_id: Option<&str>,
        at: Timestamp,
    ) -> Result<Found, Reason> {
        let issuer = assertion.issuer().ok_or(InvalidJwt::Issuer("is absent"))?;
        let subject = assertion.subject().ok_or(InvalidJwt::Issuer("is absent"))?;
        if body_client_id.is_none() && issuer != subject {
            return Err(InvalidJwt::Issuer("is not the subject, and no client_id says who is meant").into());
        }
        let algorithm = assertion.jws.algorithm();
        let method = match algorithm.is_symmetric() {
            true => AuthenticationMethod::ClientSecretJwt,
            false => AuthenticationMethod::PrivateKeyJwt,
        };
        let client = self.find(body_client_id.unwrap_or(issuer)).await?.ok_or(Reason::UnknownClient)?;
        self.check_standing(&client, &method)?;
        if !self.assertion_algorithms.contains(&algorithm) {
            return Err(InvalidJwt::Algorithm("is not enabled on the server").into());
        }
        if client.token_endpoint_auth_signing_alg.is_some_and(|only| only != algorithm) {
            return Err(InvalidJwt::Algorithm("is not the one that the client is registered for").into());
        }
        let speaks = |federated: &FederatedIssuer| federated.issuer == issuer;
        let mut trusted = client.federated.iter().enumerate();
        match trusted.find(|(_, federated)| speaks(federated) && federated.subject == subject) {
            Some((place, federated)) => {
                let one_time = self.check_federated(assertion, &client, federated, at).await?;
                Ok(Found { federated: Some(place), one_time, ..Found::new(client, method, None) })
            }
            None if client.federated.iter().any(speaks) => {
                Err(InvalidJwt::Issuer("is not the registered subject").into())
            }
            None => self.check_own(assertion, client, method, at).await,
        }
    }

    /// An assertion that the client made itself: `iss` and `sub` are its `client_id` (RFC 7523 §3).
    async fn check_own(
        &self,
        assertion: &Assertion<'_>,
        client: Arc<Client>,
        method: AuthenticationMethod,
        at: Timestamp,
    ) -> Result<Found, Reason> {
        let client_id = client.client_id.as_str();
        match (assertion.issuer(), assertion.subject()) {
            (Some(issuer), Some(subject)) if issuer == client_id && subject == client_id => {}
            (issuer, subject) if issuer == subject => return Err(Reason::ClientIdMismatch), // RFC 7521 §4.2
            _ => return Err(InvalidJwt::Issuer("is not the client_id").into()),
        }
        let Config { clock_skew, assertion_max_lifetime, issuer, profile, .. } = &self.config;
        assertion.check_typ("jwt")?;
        assertion.check_audience(*profile, |audience| match client.assertion_audience {
            AssertionAudience::Issuer => audience == issuer,
            AssertionAudience::Legacy => audience == issuer || self.config.has_endpoint(audience),
        })?;
        let exp = assertion.check_time(at, &self.config, *assertion_max_lifetime)?;
        let jti = assertion.jti()?;
        let secret = match method {
            AuthenticationMethod::ClientSecretJwt => Some(self.check_mac(assertion, &client, at)?),
            _ => {
                let keys = self.key_source(client.jwks.as_ref(), client.jwks_uri.as_deref())?;
                keys.verify(&assertion.jws, |algorithm| !algorithm.is_symmetric(), at).await?;
                None
            }
        };
        let once = Record::one_time(self.keys.assertion(&client.client_id, jti), exp.plus(*clock_skew));
        Ok(Found { one_time: vec![once], ..Found::new(client, method, secret) })
    }

    /// An assertion that a trusted issuer made about the client; hands back what it may be used for only once.
    async fn check_federated(
        &self,
        assertion: &Assertion<'_>,
        client: &Client,
        federated: &FederatedIssuer,
        at: Timestamp,
    ) -> Result<Vec<Record>, Reason> {
        let skew = self.config.clock_skew;
        assertion.check_typ("jose")?; // SPIFFE's JWT-SVID §2.3
        let audience = federated.audience.as_deref().unwrap_or(&self.issuer);
        assertion.check_audience(self.config.profile, |own| own == audience)?;
        let exp = assertion.check_time(at, &self.config, federated.max_lifetime)?;
        if !federated.claims.is_empty() && !federated.claims_match(&assertion.jws.object()?) {
            return Err(InvalidJwt::Claim("that the federation asks for is absent or another").into());
        }
        let once = if federated.one_time { Some(assertion.jti()?) } else { None };
        let keys = self.key_source(federated.jwks.as_ref(), federated.jwks_uri.as_deref())?;
        keys.verify(&assertion.jws, |algorithm| !algorithm.is_symmetric(), at).await?;
        let record = |jti: &str| {
            let key = self.keys.federated(&client.client_id, &federated.issuer, jti);
            Record::one_time(key, exp.plus(skew))
        };
        Ok(once.map(record).into_iter().collect())
    }

    pub(super) fn key_source<'a>(
        &'a self,
        jwks: Option<&'a JwkSet>,
        uri: Option<&'a str>,
    ) -> Result<KeySource<'a>, InvalidJwt> {
        match (jwks, uri) {
            (Some(jwks), _) => Ok(KeySource::Set(jwks)),
            (None, Some(uri)) => Ok(KeySource::Uri(uri, self.jwks_cache.as_deref())),
            (None, None) => Err(InvalidJwt::Key("the client has none of its own")),
        }
    }

    /// The place of the secret that made the MAC: each is tried, one after the other.
    fn check_mac(&self, assertion: &Assertion<'_>, client: &Client, at: Timestamp) -> Result<usize, Reason> {
        let algorithm = assertion.jws.algorithm();
        let mut outcome = Err(InvalidJwt::Key("the client has no secret for a MAC"));
        for (place, secret) in client.client_secrets.iter().enumerate() {
            let Some(key) = &secret.mac_key else { continue };
            match (key.verify(&assertion.jws, algorithm), &outcome) {
                (Ok(()), _) => outcome = Ok((place, secret)),
                (Err(problem), Err(InvalidJwt::Key(_) | InvalidJwt::Algorithm(_))) => outcome = Err(problem),
                (Err(_), _) => {}
            }
        }
        match outcome? {
            (place, secret) if secret.stands_at(at) => Ok(place),
            _ => Err(Reason::ExpiredSecret),
        }
    }
}

/// Public keys, one of each type, whose private keys were thrown away: what an unknown client's signature is verified with.
static NOBODYS_KEYS: LazyLock<Option<JwkSet>> =
    LazyLock::new(|| JwkSet::from_json(include_str!("nobodys_keys.json")).ok());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::JwsAlgorithm;
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    /// An unknown client costs a verification whatever the header says, so that it cannot be told from a known one.
    #[test]
    fn nobody_has_a_key_for_every_header() {
        for algorithm in JwsAlgorithm::ALL {
            for kid in ["", r#","kid":"the client's""#] {
                let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"{kid}}}"#));
                let jws = Jws::read(format!("{header}.e30.e30").into()).unwrap();
                assert!(jws.verify_in_vain(NOBODYS_KEYS.iter().flat_map(JwkSet::iter)), "{algorithm} {kid}");
            }
        }
    }
}
