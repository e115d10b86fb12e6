//! DPoP (RFC 9449): a proof that whoever asks holds a private key, and nonces that need no storage.
//!
//! A proof is a JWT with its public key in the header, over method and URL of one request. It makes a token worthless to
//! whoever has not the key; nothing else about its sender is proven by it, so it is looked at after the client has
//! authenticated.

use super::{Thumbprint, decode_digest};
use crate::clock::Timestamp;
use crate::jose::{InvalidJwt, Jws, JwsAlgorithm, Member, TagKey, VerificationKey};
use crate::random::{RandomError, RandomSource};
use crate::request::Field;
use crate::uri;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// Octets of a `DPoP` field, at most.
const MAX_PROOF: usize = 8 * 1024;
/// Octets of a `jti`, at most.
const MAX_JTI: usize = 256;
/// Seconds that a proof counts after its `iat`.
const PAST: u64 = 300;
/// Seconds that a nonce counts; one older than half of that is replaced ahead of its end.
const NONCE_LIFE: u64 = 300;

/// Why a DPoP proof is refused: for the operator's log, never for whoever sent it.
///
/// RFC 9449 §4.3.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDpopProof {
    /// The request has no proof, and needs one.
    #[error("the request has no DPoP proof")]
    Missing,
    /// The request has several `DPoP` fields.
    #[error("the request has several DPoP fields")]
    Repeated,
    /// The proof is no JWT that can be believed.
    #[error(transparent)]
    Jwt(#[from] InvalidJwt),
    /// `htm` is not the method of the request.
    #[error("the proof's htm is not the method of the request")]
    Htm,
    /// `htu` is not the URL of the request.
    #[error("the proof's htu is not the URL of the request")]
    Htu,
    /// `ath` is not the hash of the access token.
    #[error("the proof's ath is not the hash of the access token")]
    Ath,
    /// `nonce` is absent, not from here, or too old: a new one is sent.
    #[error("the proof has no nonce that counts")]
    Nonce,
    /// The proof was used before.
    #[error("the proof was used before")]
    Replayed,
}

/// What a request is, as a proof for it must say.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Normalised.
    pub(crate) urls: &'a [String],
    /// The token that comes with the proof, at a resource server.
    pub(crate) access_token: Option<&'a str>,
    pub(crate) at: Timestamp,
}

/// What is believed of every request.
pub(crate) struct Rules<'a> {
    pub(crate) algorithms: &'a [JwsAlgorithm],
    pub(crate) skew: u64,
    /// Seconds that `iat` may lie ahead.
    pub(crate) ahead: u64,
    /// Whether that holds with a nonce as well.
    pub(crate) iat_always_counts: bool,
    /// Where proofs need a nonce: what makes them, and for whom.
    pub(crate) nonces: Option<(&'a DpopNonces, &'a str)>,
}

/// A proof that holds.
pub(crate) struct Proof {
    pub(crate) jkt: Thumbprint,
    pub(crate) jti: String,
    /// Until then it would be believed again.
    pub(crate) until: Timestamp,
    /// The nonce that the sender should use next, where its own will not last.
    pub(crate) next_nonce: Option<String>,
}

/// Decides whether the `DPoP` field of a request proves the possession of a key; that it is new shows when it is recorded.
///
/// RFC 9449 §4.3.
pub(crate) fn check(field: Field<'_>, request: &Request<'_>, rules: &Rules<'_>) -> Result<Proof, InvalidDpopProof> {
    let proof = match field {
        Field::Absent => return Err(InvalidDpopProof::Missing),
        Field::Repeated => return Err(InvalidDpopProof::Repeated),
        Field::One(proof) if proof.len() > MAX_PROOF => {
            return Err(InvalidJwt::Malformed("the DPoP field is over 8 KiB").into());
        }
        Field::One(proof) => std::str::from_utf8(proof).map_err(|_| InvalidJwt::Malformed("the field is no text"))?,
    };
    let (jws, jwk) = Jws::read_proof(Cow::Borrowed(proof))?;
    if jws.written_typ() != Some("dpop+jwt") {
        return Err(InvalidJwt::Header("has another typ than dpop+jwt").into());
    }
    let allowed = |algorithm: JwsAlgorithm| !algorithm.is_symmetric() && rules.algorithms.contains(&algorithm);
    if !allowed(jws.algorithm()) {
        return Err(InvalidJwt::Algorithm("is not allowed").into());
    }
    let jwk = jwk.ok_or(InvalidJwt::Key("the header has no jwk"))?;
    let claims = jws.claims(&["htm", "htu", "ath", "iat", "nbf", "exp", "nonce", "jti"])?;
    let [htm, htu, ath, iat, nbf, exp, nonce, jti] = claims.asked;
    if text(&htm) != Some(request.method) {
        return Err(InvalidDpopProof::Htm);
    }
    if !text(&htu).is_some_and(|htu| request.is_for(htu)) {
        return Err(InvalidDpopProof::Htu);
    }
    if let Some(token) = request.access_token
        && text(&ath).and_then(decode_digest) != Some(Sha256::digest(token).into())
    {
        return Err(InvalidDpopProof::Ath);
    }
    let iat = moment(&iat)?.ok_or(InvalidJwt::Time("there is no iat"))?;
    let (latest, window) = (request.at.plus(rules.ahead), PAST.saturating_add(rules.skew));
    // With a nonce it is this server's clock that says how old a proof is (RFC 9449 §8, §11.1).
    let has_nonces = rules.nonces.is_some();
    if (iat > latest && (rules.iat_always_counts || !has_nonces)) || (iat.plus(window) <= request.at && !has_nonces) {
        return Err(InvalidJwt::Time("iat is too old or still to come").into());
    }
    // Whoever says when the proof begins and ends is taken at its word (RFC 7519 §4.1.4, §4.1.5).
    if moment(&nbf)?.is_some_and(|nbf| nbf > latest)
        || moment(&exp)?.is_some_and(|exp| exp.plus(rules.skew) <= request.at)
    {
        return Err(InvalidJwt::Time("the proof has ended or not begun").into());
    }
    let (key, jkt) = VerificationKey::of_proof(&jwk, jws.algorithm())?;
    // The header's own kid names nothing here: the key is the one that came along.
    jws.verify_by(&key)?;
    let mut until = iat.min(latest).plus(window);
    let mut next_nonce = None;
    if let Some((nonces, audience)) = rules.nonces {
        let made_at = text(&nonce).and_then(|nonce| nonces.made_at(audience, nonce)).ok_or(InvalidDpopProof::Nonce)?;
        let end = made_at.plus(NONCE_LIFE);
        if made_at > latest || end <= request.at {
            return Err(InvalidDpopProof::Nonce);
        }
        if made_at.plus(NONCE_LIFE / 2) <= request.at {
            next_nonce = Some(nonces.make(audience, request.at));
        }
        until = until.max(end);
    }
    let jti = match text(&jti) {
        Some(jti) if (1..=MAX_JTI).contains(&jti.len()) => jti.to_owned(),
        _ => return Err(InvalidJwt::Claim("jti is no text of 1 to 256 octets").into()),
    };
    Ok(Proof { jkt, jti, until, next_nonce })
}

impl Request<'_> {
    /// Whether an `htu` is one of its URLs, by RFC 3986 §6.2.2 and §6.2.3; mostly it is written like one.
    fn is_for(&self, htu: &str) -> bool {
        self.urls.iter().any(|url| url == htu) || uri::normalized(htu).is_some_and(|htu| self.urls.contains(&htu))
    }
}

fn text<'a>(claim: &'a Option<Member<'_>>) -> Option<&'a str> {
    match claim {
        Some(Member::Text(text)) => Some(text),
        _ => None,
    }
}

fn moment(claim: &Option<Member<'_>>) -> Result<Option<Timestamp>, InvalidJwt> {
    let moment =
        claim.as_ref().map(|claim| claim.moment().ok_or(InvalidJwt::Time("iat, nbf or exp is no NumericDate")));
    moment.transpose()
}

/// Makes DPoP nonces, and knows its own again without keeping them: each is a moment and a tag over it.
///
/// Nodes that share the keys accept each other's nonces. The first key makes them, the others are for those that are still on
/// their way: to rotate, put a new key first, and take the last one out five minutes later.
///
/// RFC 9449 §8.
pub struct DpopNonces(Vec<TagKey>);

/// A key of [`DpopNonces`] is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a nonce key must have at least 32 octets, and there must be one")]
#[non_exhaustive]
pub struct InvalidNonceKey;

impl DpopNonces {
    /// Nonces by these keys: secrets of at least 32 octets each.
    ///
    /// # Errors
    /// [`InvalidNonceKey`] for a shorter one, or none at all.
    pub fn with_keys<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<Self, InvalidNonceKey> {
        let read = |key: K| (key.as_ref().len() >= 32).then(|| TagKey::new(key.as_ref())).ok_or(InvalidNonceKey);
        let keys = keys.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(InvalidNonceKey) } else { Ok(Self(keys)) }
    }

    /// Nonces by a key that lives as long as this value: for one node.
    ///
    /// # Errors
    /// [`RandomError`] when the source has nothing to give.
    pub fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(&mut *key)?;
        Ok(Self(vec![TagKey::new(&*key)]))
    }

    /// A nonce of this moment, for `audience` alone.
    pub(crate) fn make(&self, audience: &str, at: Timestamp) -> String {
        let moment = at.as_millis().to_be_bytes();
        let tag = self.0.first().map(|key| key.tag(&message(audience, moment))).unwrap_or_default();
        URL_SAFE_NO_PAD.encode([moment.as_slice(), &tag].concat())
    }

    /// When a nonce was made for `audience` by one of the keys.
    fn made_at(&self, audience: &str, nonce: &str) -> Option<Timestamp> {
        let octets: [u8; 40] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let (moment, tag) = octets.split_first_chunk::<8>()?;
        let message = message(audience, *moment);
        let known = self.0.iter().any(|key| key.verify(&message, tag));
        known.then(|| Timestamp::from_millis(u64::from_be_bytes(*moment)))
    }
}

fn message(audience: &str, moment: [u8; 8]) -> Vec<u8> {
    [b"client-credentials DPoP nonce\0".as_slice(), &moment, audience.as_bytes()].concat()
}

impl fmt::Debug for DpopNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DpopNonces({} keys)", self.0.len())
    }
}
