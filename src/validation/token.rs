//! What a token says, whoever says it: claims of a JWT, or members of an introspection answer (RFC 9068 §2.2, RFC 7662 §2.2).

use super::refusal::Challenge;
use super::{AccessError, AccessReason, AccessTokenValidator, PresentedToken};
use crate::authorization_details::AuthorizationDetails;
use crate::client::ClientId;
use crate::clock::Timestamp;
use crate::jose::{InvalidJwt, Member, Members};
use crate::resource::Audience;
use crate::scope::Scope;
use crate::token::{Claims, Confirmation, Thumbprint, TokenType, decode_digest};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// Octets of a `jti`, at most.
const MAX_JTI: usize = 256;

/// A token that is good here, and what it says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ValidatedToken {
    /// The client that the token was issued to: decide by it who is asking.
    pub client_id: ClientId,
    /// `sub`: of tokens of the client credentials grant the client again. Where the same issuer has tokens of people too, their
    /// names and those of clients share this name space (RFC 9068 §5). Every JWT has it; an introspection answer may lack it.
    pub subject: Option<String>,
    /// What the token permits; empty where it has no scope.
    pub scope: Scope,
    /// All resource servers that the token is for, this one among them.
    pub audience: Audience,
    /// When it ends. Every JWT has it; an introspection answer may lack it.
    pub expires_at: Option<Timestamp>,
    /// When it was issued. Every JWT has it; an introspection answer may lack it.
    pub issued_at: Option<Timestamp>,
    /// Its identifier, which a log may name: text that the issuer chose. Every JWT has it; an introspection answer may lack it.
    pub jti: Option<String>,
    /// The key that it is bound to, and that its sender has shown.
    pub confirmation: Option<Confirmation>,
    /// Granted details (RFC 9396 §9).
    pub authorization_details: Option<AuthorizationDetails>,
    /// The claims that the protocol gives no meaning.
    pub claims: Claims,
    scheme: TokenType,
    challenge: Arc<Challenge>,
}

impl ValidatedToken {
    /// Whether the token has every scope of `needed`, which are parted by single spaces. Text that is no scope, and the empty text, no
    /// token has.
    ///
    /// # Errors
    /// `insufficient_scope` (403); the challenge says what is needed.
    ///
    /// RFC 6750 §3.1.
    pub fn require_scope(&self, needed: &str) -> Result<(), AccessError> {
        if needed.split(' ').all(|token| self.scope.contains(token)) {
            return Ok(());
        }
        let needed = Scope::parse(needed).unwrap_or_default();
        Err(AccessError::new(AccessReason::InsufficientScope { needed }, self.scheme, &self.challenge))
    }
}

/// The members that mean something here, as [`AccessTokenValidator::token`] takes them.
#[rustfmt::skip]
pub(super) const NAMES: [&str; 13] = [
    "active", "iss", "aud", "exp", "nbf", "iat", "client_id", "sub", "jti", "scope", "cnf", "token_type", "authorization_details",
];

/// What vouches for the claims.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Signature,
    Introspection,
}

impl AccessTokenValidator {
    /// Reads what a token says, and checks all of it but the binding. RFC 9068 §2.2 makes of every claim a required one; in an
    /// introspection answer most members are optional (RFC 7662 §2.2).
    pub(super) fn token(
        &self,
        claims: Members<'_, { NAMES.len() }>,
        source: Source,
        presented: &PresentedToken<'_>,
        now: Timestamp,
    ) -> Result<ValidatedToken, InvalidJwt> {
        let [_, iss, aud, exp, nbf, iat, client_id, sub, jti, scope, cnf, token_type, details] = claims.asked;
        let optional = source == Source::Introspection;
        match iss {
            None if optional => {}
            Some(Member::Text(iss)) if *iss == *self.issuer => {}
            _ => return Err(InvalidJwt::Issuer("is absent or another's")),
        }
        let audience = aud.and_then(|aud| self.audience(aud));
        let audience = audience.ok_or(InvalidJwt::Audience("is absent, or neither a text nor a list of texts"))?;
        if !audience.iter().any(|named| self.audience.contains(named)) {
            return Err(InvalidJwt::Audience("does not name this resource server"));
        }

        let expires_at = time(exp, InvalidJwt::Time("exp is no NumericDate"))?;
        let not_before = time(nbf, InvalidJwt::Time("nbf is no NumericDate"))?;
        let issued_at = time(iat, InvalidJwt::Time("iat is no NumericDate"))?;
        if expires_at.is_none() && !optional {
            return Err(InvalidJwt::Time("exp is absent"));
        }
        let (now, leeway) = (now.as_millis(), self.leeway.saturating_mul(1000));
        if expires_at.is_some_and(|end| end.as_millis().saturating_add(leeway) <= now) {
            return Err(InvalidJwt::Time("exp is past"));
        }
        let ahead =
            |start: Option<Timestamp>| start.is_some_and(|start| start.as_millis() > now.saturating_add(leeway));
        if ahead(not_before) || ahead(issued_at) {
            return Err(InvalidJwt::Time("nbf or iat is still to come"));
        }
        if issued_at.is_none() && !optional {
            return Err(InvalidJwt::Claim("iat is absent"));
        }

        let client_id = text(client_id, InvalidJwt::Claim("client_id is no text"))?;
        let client_id = client_id.and_then(|client_id| ClientId::new(&*client_id).ok());
        let client_id = client_id.ok_or(InvalidJwt::Claim("client_id is absent or none"))?;
        let subject = text(sub, InvalidJwt::Claim("sub is no text"))?;
        let jti = text(jti, InvalidJwt::Claim("jti is no text"))?;
        if !optional && (subject.is_none() || jti.is_none()) {
            return Err(InvalidJwt::Claim("sub or jti is absent"));
        }
        if jti.as_ref().is_some_and(|jti| !(1..=MAX_JTI).contains(&jti.len())) {
            return Err(InvalidJwt::Claim("jti has not 1 to 256 octets"));
        }
        let scope = text(scope, InvalidJwt::Claim("scope is no text"))?.unwrap_or_default();
        let scope = scope_of(&scope).ok_or(InvalidJwt::Claim("scope is not tokens parted by single spaces"))?;
        let confirmation = cnf.map(confirmation).transpose()?;
        let says_dpop = matches!(token_type, Some(Member::Text(name)) if name.eq_ignore_ascii_case("DPoP"));
        if optional && says_dpop && !matches!(confirmation, Some(Confirmation::Jkt(_))) {
            return Err(InvalidJwt::Binding("is said to be bound to a DPoP key, and not to which"));
        }
        let details = details.map(|details| serde_json::from_value(details.into())).transpose();
        let authorization_details = details.map_err(|_| InvalidJwt::Claim("authorization_details are none"))?;
        Ok(ValidatedToken {
            client_id,
            subject: subject.map(Cow::into_owned),
            scope,
            audience,
            expires_at,
            issued_at,
            jti: jti.map(Cow::into_owned),
            confirmation,
            authorization_details,
            claims: Claims::of_others(claims.others),
            scheme: presented.scheme,
            challenge: Arc::clone(&self.challenge),
        })
    }

    /// A string or a list of strings (RFC 7519 §4.1.3). The ordinary one is ours alone, and shared.
    fn audience(&self, aud: Member<'_>) -> Option<Audience> {
        match aud {
            Member::Text(one) if self.audience.iter().eq([&*one]) => Some(self.audience.clone()),
            Member::Text(one) => Some(Audience::from_iter([&*one])),
            Member::Other(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
            Member::Other(_) => None,
        }
    }
}

fn time(claim: Option<Member<'_>>, fault: InvalidJwt) -> Result<Option<Timestamp>, InvalidJwt> {
    claim.map(|claim| claim.moment().ok_or(fault)).transpose()
}

fn text(claim: Option<Member<'_>>, fault: InvalidJwt) -> Result<Option<Cow<'_, str>>, InvalidJwt> {
    match claim {
        None => Ok(None),
        Some(Member::Text(text)) => Ok(Some(text)),
        Some(Member::Other(_)) => Err(fault),
    }
}

/// The limits on a request's scope are not for what an issuer says.
fn scope_of(text: &str) -> Option<Scope> {
    match Scope::parse(text) {
        Ok(scope) => Some(scope),
        Err(_) if text.is_empty() => Some(Scope::default()),
        Err(_) => Scope::from_tokens(text.split(' ')).ok(),
    }
}

/// The one key of a `cnf`. Members that mean nothing here are ignored (RFC 7800 §3.1), but there must be one that does.
fn confirmation(cnf: Member<'_>) -> Result<Confirmation, InvalidJwt> {
    let cnf = Value::from(cnf);
    let thumbprint =
        |name| cnf.get(name).map(|value| value.as_str().and_then(decode_digest).map(Thumbprint::from_bytes));
    match (thumbprint("jkt"), thumbprint("x5t#S256")) {
        (Some(Some(jkt)), None) => Ok(Confirmation::Jkt(jkt)),
        (None, Some(Some(certificate))) => Ok(Confirmation::X5tS256(certificate)),
        _ => Err(InvalidJwt::Binding("has a cnf that is not exactly one key of a kind known here")),
    }
}
