//! JWS in compact form (RFC 7515): what somebody signed, taken apart and not believed until a key verifies it.

use super::algorithm::JwsAlgorithm;
use super::json::{self, Member, Members};
use super::jwk::VerificationKey;
use super::mac::MacKey;
use super::remote::JwksError;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::ops::Range;

/// Octets of a JWT, at most.
const MAX_TOKEN: usize = 16 * 1024;
/// Octets of a decoded header, at most.
const MAX_HEADER: usize = 4 * 1024;
/// Octets of a `kid`, at most.
pub(super) const MAX_KID: usize = 256;
/// Keys that are tried for a JWT without `kid`, at most.
const MAX_TRIES: usize = 8;

/// Why a JWT is not believed: for the operator's log, never for whoever sent it.
///
/// RFC 7519 §7.2, RFC 7523 §3, RFC 9068 §4.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwt {
    /// It is no compact JWS of two JSON objects, or over 16 KiB.
    #[error("the JWT is malformed: {0}")]
    Malformed(&'static str),
    /// Its header asks for something that is not done here, or is of another kind of JWT.
    #[error("the JWT's header {0}")]
    Header(&'static str),
    /// Its `alg` is unknown, not allowed, or not the key's.
    #[error("the JWT's algorithm {0}")]
    Algorithm(&'static str),
    /// There is no key that could have signed it.
    #[error("no key: {0}")]
    Key(&'static str),
    /// The keys could not be fetched.
    #[error("no key")]
    Jwks(#[from] JwksError),
    /// The signature is not that of a key that should have signed it.
    #[error("the JWT's signature is wrong")]
    Signature,
    /// `iss` or `sub` is absent or another's.
    #[error("the JWT's issuer or subject {0}")]
    Issuer(&'static str),
    /// `aud` is absent or another's.
    #[error("the JWT's audience {0}")]
    Audience(&'static str),
    /// `exp`, `nbf` or `iat` is absent, no number, or does not fit the present moment.
    #[error("the JWT's {0}")]
    Time(&'static str),
    /// Another claim is absent or wrong.
    #[error("the JWT's claim {0}")]
    Claim(&'static str),
    /// The token is bound to a key that was not shown.
    #[error("the token {0}")]
    Binding(&'static str),
}

const NO_CLAIMS: InvalidJwt = InvalidJwt::Malformed("its claims are no JSON object with each member once, or too deep");

/// A JWT of three parts with a header that can be acted on; its claims are not read yet.
pub(crate) struct Jws<'a> {
    text: Cow<'a, str>,
    /// Octets of `text` before the last dot: what was signed.
    message: usize,
    algorithm: JwsAlgorithm,
    kid: Option<String>,
    typ: Option<String>,
    /// Header, payload and signature, one after the other.
    decoded: Vec<u8>,
    /// Where the payload begins and ends.
    payload: Range<usize>,
}

impl<'a> Jws<'a> {
    /// Takes a JWT apart; nothing is computed from it but base64url and one JSON object.
    ///
    /// Unknown header members are ignored, but no `crit` is understood (RFC 7515 §4.1.11), and keys that a header brings along
    /// (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.
    pub(crate) fn read(text: Cow<'a, str>) -> Result<Self, InvalidJwt> {
        Self::read_with(text, |_| ()).map(|(jws, ())| jws)
    }

    /// [`read`](Self::read) of a DPoP proof, the one kind of JWT that brings its key along: hands the `jwk` back, unjudged.
    #[cfg(feature = "dpop")]
    pub(crate) fn read_proof(text: Cow<'a, str>) -> Result<(Self, Option<Value>), InvalidJwt> {
        Self::read_with(text, |jwk| jwk.map(Value::from))
    }

    fn read_with<T>(text: Cow<'a, str>, look: impl FnOnce(Option<Member<'_>>) -> T) -> Result<(Self, T), InvalidJwt> {
        if text.len() > MAX_TOKEN {
            return Err(InvalidJwt::Malformed("it is over 16 KiB"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidJwt::Malformed("it has not three parts"));
        };
        let mut decoded = Vec::with_capacity(text.len());
        let mut decode = |part: &str| match URL_SAFE_NO_PAD.decode_vec(part, &mut decoded) {
            Ok(()) => Ok(decoded.len()),
            Err(_) => Err(InvalidJwt::Malformed("a part is no base64url without padding")),
        };
        let payload = decode(header)?..decode(payload)?;
        decode(signature)?;
        let header = decoded.get(..payload.start).unwrap_or_default();
        if header.len() > MAX_HEADER {
            return Err(InvalidJwt::Malformed("its header is over 4 KiB"));
        }
        let header = json::members(header, &Header::NAMES)
            .ok_or(InvalidJwt::Malformed("its header is no JSON object with each member once, or too deep"))?;
        let Header { algorithm, kid, typ, jwk } = Header::check(header.asked)?;
        let (jwk, message) = (look(jwk), text.len() - signature.len() - 1);
        Ok((Self { text, message, algorithm, kid, typ, decoded, payload }, jwk))
    }

    /// `alg`.
    pub(crate) fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// `typ` as a media type without `application/`, in small letters (RFC 7515 §4.1.9); `None` where it is absent.
    pub(crate) fn typ(&self) -> Option<&str> {
        self.typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ))
    }

    /// `typ` as it is written, in small letters.
    #[cfg(feature = "dpop")]
    pub(crate) fn written_typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The claims of these names, and others; nothing vouches for them until a key has verified the signature.
    pub(crate) fn claims<const N: usize>(&self, names: &[&str; N]) -> Result<Members<'_, N>, InvalidJwt> {
        json::members(self.payload(), names).ok_or(NO_CLAIMS)
    }

    /// All [`claims`](Self::claims), as they stand in one another.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, InvalidJwt> {
        json::object(self.payload()).ok_or(NO_CLAIMS)
    }

    /// The claims as octets; for a JWT of this server's own, which it wrote as it reads them.
    pub(crate) fn payload(&self) -> &[u8] {
        self.decoded.get(self.payload.clone()).unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.text.get(..self.message).unwrap_or_default()
    }

    pub(super) fn signature(&self) -> &[u8] {
        self.decoded.get(self.payload.end..).unwrap_or_default()
    }

    /// Whether one of `keys` signed it, by an algorithm that is `allowed`.
    ///
    /// The key decides: `alg` must be allowed *and* fit it (RFC 8725 §3.1). With a `kid` the keys of that name count, and one of
    /// them must fit; without one each key that fits is tried, eight at most.
    pub(crate) fn verify<'k>(
        &self,
        keys: impl Iterator<Item = &'k VerificationKey> + Clone,
        allowed: impl Fn(JwsAlgorithm) -> bool,
    ) -> Result<(), InvalidJwt> {
        let algorithm = self.algorithm;
        if !allowed(algorithm) {
            return Err(InvalidJwt::Algorithm("is not allowed"));
        }
        let named = keys.filter(|key| self.kid.is_none() || key.kid() == self.kid.as_deref());
        let mut fitting = named.clone().filter(|key| key.fits(algorithm));
        let tried = fitting.clone().count();
        match (tried, &self.kid) {
            (0, _) if named.clone().any(|key| key.has_type_of(algorithm)) => {
                Err(InvalidJwt::Algorithm("is not the one that the key is for"))
            }
            (0, Some(_)) if named.clone().next().is_none() => Err(InvalidJwt::Key("none has this kid")),
            (0, _) => Err(InvalidJwt::Key("none fits the algorithm")),
            (2.., Some(_)) => Err(InvalidJwt::Key("several of this kid fit the algorithm")),
            (tried, None) if tried > MAX_TRIES => Err(InvalidJwt::Key("without kid more than eight fit the algorithm")),
            _ if fitting.any(|key| key.verify(algorithm, self.message().as_bytes(), self.signature())) => Ok(()),
            _ => Err(InvalidJwt::Signature),
        }
    }

    /// Whether `key` signed it.
    #[cfg(feature = "dpop")]
    pub(crate) fn verify_by(&self, key: &VerificationKey) -> Result<(), InvalidJwt> {
        match key.fits(self.algorithm) {
            true if key.verify(self.algorithm, self.message().as_bytes(), self.signature()) => Ok(()),
            true => Err(InvalidJwt::Signature),
            false if key.has_type_of(self.algorithm) => {
                Err(InvalidJwt::Algorithm("is not the one that the key is for"))
            }
            false => Err(InvalidJwt::Key("does not fit the algorithm")),
        }
    }

    /// Does the work of verifying it, with the first of `keys` that fits or as a MAC, and believes nothing; says whether there
    /// was work to do.
    pub(crate) fn verify_in_vain<'k>(&self, mut keys: impl Iterator<Item = &'k VerificationKey>) -> bool {
        let algorithm = self.algorithm;
        let done = if algorithm.is_symmetric() {
            MacKey::new([0; 64]).ok().map(|key| key.verify(self, algorithm).is_ok())
        } else {
            let key = keys.find(|key| key.fits(algorithm));
            key.map(|key| key.verify(algorithm, self.message().as_bytes(), self.signature()))
        };
        std::hint::black_box(done).is_some()
    }

    /// Whether other keys than the known ones could make `verify` succeed: it failed for the want of a key, or no `kid` says
    /// which one was meant.
    pub(crate) fn may_want_other_keys(&self, failure: &InvalidJwt) -> bool {
        match failure {
            InvalidJwt::Key(_) => true,
            InvalidJwt::Signature => self.kid.is_none(),
            _ => false,
        }
    }
}

/// What of a header counts.
struct Header<'a> {
    algorithm: JwsAlgorithm,
    kid: Option<String>,
    typ: Option<String>,
    jwk: Option<Member<'a>>,
}

impl<'a> Header<'a> {
    const NAMES: [&'static str; 7] = ["alg", "kid", "typ", "jwk", "crit", "b64", "cty"];

    /// Judges the members of these names.
    fn check([alg, kid, typ, jwk, crit, b64, cty]: [Option<Member<'a>>; 7]) -> Result<Self, InvalidJwt> {
        if crit.is_some() {
            return Err(InvalidJwt::Header("has crit, and no extension is understood"));
        }
        if b64.is_some() {
            return Err(InvalidJwt::Header("has b64, and no payload but an encoded one is understood"));
        }
        if cty.is_some() {
            return Err(InvalidJwt::Header("has cty: a JWT within a JWT is not looked at"));
        }
        let kid = match kid {
            None => None,
            Some(Member::Text(kid)) if kid.len() <= MAX_KID => Some(kid.into_owned()),
            Some(Member::Text(_)) => return Err(InvalidJwt::Key("the kid is over 256 octets")),
            Some(_) => return Err(InvalidJwt::Malformed("kid is no text")),
        };
        let typ = match typ {
            None => None,
            Some(Member::Text(typ)) => Some(typ.to_ascii_lowercase()),
            Some(_) => return Err(InvalidJwt::Header("has a typ that is no text")),
        };
        let algorithm = match alg {
            Some(Member::Text(name)) => JwsAlgorithm::from_name(&name).ok_or(InvalidJwt::Algorithm("is not known"))?,
            _ => return Err(InvalidJwt::Malformed("alg is absent or no text")),
        };
        Ok(Self { algorithm, kid, typ, jwk })
    }
}
