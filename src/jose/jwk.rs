//! JWKs (RFC 7517, RFC 7518 §6, RFC 8037 §2): public keys that verify, sets of them, and thumbprints (RFC 7638).

use super::algorithm::JwsAlgorithm;
#[cfg(feature = "mtls")]
use super::certificate::{PublicCertificate, RegisteredCertificate};
use super::json;
#[cfg(feature = "dpop")]
use super::jws::InvalidJwt;
use crate::response::ObjectWriter;
use crate::token::Thumbprint;
use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// Octets of a key set, at most.
pub(crate) const MAX_SET: usize = 64 * 1024;
/// Keys of a set, at most.
const MAX_KEYS: usize = 32;

/// The text is no JWK, or no set of public JWKs, that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
#[non_exhaustive]
pub struct InvalidJwk {
    problem: &'static str,
}

const NO_JWK: InvalidJwk =
    InvalidJwk { problem: "a JWK is a JSON object with `kty` and the members that it requires, as texts" };

impl Thumbprint {
    /// The SHA-256 thumbprint of a JWK, given as JSON: over its required members alone, in their order.
    ///
    /// # Errors
    /// [`InvalidJwk`] for other JSON, a member that stands twice, an unknown `kty`, or a required member that is missing or no text.
    ///
    /// RFC 7638 §3.
    #[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwt")))]
    pub fn of_jwk(jwk: &str) -> Result<Self, InvalidJwk> {
        thumbprint(&json::object(jwk.as_bytes()).ok_or(NO_JWK)?)
    }
}

/// See [`Thumbprint::of_jwk`].
pub(super) fn thumbprint(jwk: &Map<String, Value>) -> Result<Thumbprint, InvalidJwk> {
    let required: &[&'static str] = match jwk.get("kty").and_then(Value::as_str) {
        Some("EC") => &["crv", "kty", "x", "y"],
        Some("OKP") => &["crv", "kty", "x"],
        Some("RSA") => &["e", "kty", "n"],
        Some("oct") => &["k", "kty"],
        _ => return Err(NO_JWK),
    };
    // The members in lexicographic order, without white space: what RFC 7638 §3.3 hashes.
    let mut members = ObjectWriter::with_capacity(512);
    for name in required {
        members.text(name, jwk.get(*name).and_then(Value::as_str).ok_or(NO_JWK)?);
    }
    Ok(Thumbprint::from_bytes(Sha256::digest(members.finish()).into()))
}

/// A public key, parsed once for each algorithm that it may be used with.
pub(crate) struct VerificationKey {
    kid: Option<String>,
    is_rsa: bool,
    verifiers: Verifiers,
}

/// What a JWK turned out to be.
enum Read {
    Usable(VerificationKey),
    /// Nothing is wrong with it, but it is of no use here: another type, curve or purpose.
    Foreign,
    /// It must not be used.
    Refused(&'static str),
}

impl VerificationKey {
    /// The public key of a JWK that this crate wrote itself.
    pub(super) fn of_own(jwk: &Map<String, Value>) -> Option<Self> {
        match Self::read(jwk, None) {
            Read::Usable(key) => Some(key),
            Read::Foreign | Read::Refused(_) => None,
        }
    }

    /// The key that a DPoP proof brings along, for the algorithm of that proof, with its thumbprint.
    #[cfg(feature = "dpop")]
    pub(crate) fn of_proof(jwk: &Value, algorithm: JwsAlgorithm) -> Result<(Self, Thumbprint), InvalidJwt> {
        let jwk = jwk.as_object().ok_or(InvalidJwt::Key("jwk is no JSON object"))?;
        match Self::read(jwk, Some(algorithm)) {
            Read::Usable(key) => {
                let thumbprint = thumbprint(jwk).map_err(|_| InvalidJwt::Key("jwk lacks a member that it needs"))?;
                Ok((key, thumbprint))
            }
            Read::Foreign => Err(InvalidJwt::Key("jwk is of no use for a signature here")),
            Read::Refused(problem) => Err(InvalidJwt::Key(problem)),
        }
    }

    /// Reads a key; an RSA key for the `wanted` algorithm alone, where one is.
    fn read(jwk: &Map<String, Value>, wanted: Option<JwsAlgorithm>) -> Read {
        const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("kty") == Some("oct") || PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
            return Read::Refused("has a private or symmetric key");
        }
        let verifies = |operations: &Value| match operations {
            Value::Array(list) => list.iter().any(|operation| operation == "verify"),
            _ => false,
        };
        if jwk.get("use").is_some_and(|purpose| purpose != "sig") || !jwk.get("key_ops").is_none_or(verifies) {
            return Read::Foreign;
        }
        let kid = match jwk.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Read::Refused("has a key with a kid that is no text"),
        };
        let only = match jwk.get("alg") {
            None => None,
            Some(Value::String(name)) => match JwsAlgorithm::from_name(name) {
                None => return Read::Foreign,
                known => known,
            },
            Some(_) => return Read::Refused("has a key with an alg that is no text"),
        };
        let octets = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let (is_rsa, verifiers) = match (text("kty"), text("crv")) {
            (Some("EC"), Some(crv)) => {
                let (algorithm, length) = match crv {
                    "P-256" => (JwsAlgorithm::Es256, 32),
                    "P-384" => (JwsAlgorithm::Es384, 48),
                    "P-521" => (JwsAlgorithm::Es512, 66),
                    _ => return Read::Foreign,
                };
                let point = match (octets("x"), octets("y")) {
                    (Some(x), Some(y)) if x.len() == length && y.len() == length => [&[4], &*x, &*y].concat(),
                    _ => return Read::Refused("has an EC key without coordinates of the curve's length"),
                };
                (false, on_curve(algorithm, &point))
            }
            (Some("OKP"), Some("Ed25519")) => match octets("x") {
                Some(x) if x.len() == 32 => (false, on_curve(JwsAlgorithm::EdDsa, &x)),
                _ => return Read::Refused("has an Ed25519 key that has not 32 octets"),
            },
            (Some("RSA"), _) => match (octets("n"), octets("e")) {
                (Some(n), Some(e)) if is_sound(&n, &e) => (true, rsa(&n, &e, only.or(wanted))),
                _ => {
                    return Read::Refused(
                        "has an RSA key that is not of 2048 to 8192 bits with an exponent from 65537",
                    );
                }
            },
            (Some("EC" | "OKP"), None) => return Read::Refused("has a key without crv"),
            (Some(_), _) => return Read::Foreign,
            (None, _) => return Read::Refused("has a key without kty"),
        };
        match verifiers {
            None => Read::Refused("has a key that is no point of its curve"),
            Some(verifiers) => {
                let fits = |(own, _): &(JwsAlgorithm, ParsedPublicKey)| only.is_none_or(|only| only == *own);
                Read::Usable(Self { kid, is_rsa, verifiers: verifiers.into_iter().filter(fits).collect() })
            }
        }
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn fits(&self, algorithm: JwsAlgorithm) -> bool {
        self.verifiers.iter().any(|(own, _)| *own == algorithm)
    }

    /// Whether it is of the type that the algorithm needs, though it may be for another algorithm (RFC 7517 §4.4).
    pub(super) fn has_type_of(&self, algorithm: JwsAlgorithm) -> bool {
        self.is_rsa && algorithm.rsa().is_some()
    }

    pub(super) fn verify(&self, algorithm: JwsAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let verifier = self.verifiers.iter().find(|(own, _)| *own == algorithm);
        verifier.is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }
}

type Verifiers = Vec<(JwsAlgorithm, ParsedPublicKey)>;

fn on_curve(algorithm: JwsAlgorithm, octets: &[u8]) -> Option<Verifiers> {
    Some(vec![(algorithm, ParsedPublicKey::new(algorithm.curve()?, octets).ok()?)])
}

/// An RSA key for `only`, or for each RSA algorithm.
fn rsa(n: &[u8], e: &[u8], only: Option<JwsAlgorithm>) -> Option<Verifiers> {
    let algorithms = JwsAlgorithm::ALL.into_iter().filter(|own| only.is_none_or(|only| only == *own));
    let key = RsaPublicKeyComponents { n, e };
    let parsed = |algorithm: JwsAlgorithm| Some((algorithm, key.to_parsed_public_key(algorithm.rsa()?).ok()?));
    let of_rsa = algorithms.filter(|algorithm| algorithm.rsa().is_some());
    of_rsa.map(parsed).collect()
}

/// Modulus of 2048 to 8192 bits, odd; exponent odd, 65537 to 2^33, which no library minds; neither with leading zeros.
fn is_sound(n: &[u8], e: &[u8]) -> bool {
    let odd = |octets: &[u8]| octets.last().is_some_and(|last| last % 2 == 1);
    let Some(first) = n.first().filter(|first| **first != 0 && odd(n)) else { return false };
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    let exponent = e.iter().fold(0_u64, |value, octet| value << 8 | u64::from(*octet));
    let small = e.len() <= 5 && e.first() != Some(&0) && odd(e) && (65_537..1 << 33).contains(&exponent);
    (2048..=8192).contains(&bits) && small
}

/// A set of public keys that verify (RFC 7517 §5): at most 32, in at most 64 KiB.
///
/// Keys of another type, curve, algorithm or purpose are passed over. Cloning shares the keys. The serde form is the set as it
/// was read.
#[derive(Clone)]
pub struct JwkSet {
    keys: Arc<[VerificationKey]>,
    #[cfg(feature = "mtls")]
    certificates: Arc<[RegisteredCertificate]>,
    json: Arc<Value>,
}

impl JwkSet {
    /// Reads a set that an operator vouches for: one key that must not be used spoils it.
    ///
    /// # Errors
    /// [`InvalidJwk`] for other JSON, more than 32 keys, a private or symmetric key, an RSA key outside 2048 to 8192 bits or
    /// with an exponent below 65537, or a point that is on no curve.
    pub fn from_json(json: &str) -> Result<Self, InvalidJwk> {
        Self::read(json.as_bytes(), Err)
    }

    /// Reads a set that was fetched: a key that must not be used is passed over.
    pub(crate) fn fetched(body: &[u8]) -> Result<Self, InvalidJwk> {
        Self::read(body, |_| Ok(()))
    }

    fn read(text: &[u8], on_refused: impl Fn(InvalidJwk) -> Result<(), InvalidJwk>) -> Result<Self, InvalidJwk> {
        if text.len() > MAX_SET {
            return Err(InvalidJwk { problem: "a key set has at most 64 KiB" });
        }
        let no_set = InvalidJwk { problem: "a key set is a JSON object with a list `keys`, every member once" };
        let set = json::object(text).ok_or(no_set)?;
        let list = set.get("keys").and_then(Value::as_array).ok_or(no_set)?;
        if list.len() > MAX_KEYS {
            return Err(InvalidJwk { problem: "a key set has at most 32 keys" });
        }
        let mut keys = Vec::with_capacity(list.len());
        #[cfg(feature = "mtls")]
        let mut certificates = Vec::new();
        for jwk in list {
            let jwk = jwk.as_object().ok_or(no_set)?;
            match VerificationKey::read(jwk, None) {
                Read::Usable(key) => {
                    keys.push(key);
                    #[cfg(feature = "mtls")]
                    certificates.push(RegisteredCertificate::of(jwk));
                }
                Read::Foreign => {}
                Read::Refused(problem) => on_refused(InvalidJwk { problem })?,
            }
        }
        Ok(Self {
            keys: keys.into(),
            #[cfg(feature = "mtls")]
            certificates: certificates.into(),
            json: Arc::new(Value::Object(set)),
        })
    }

    /// Whether no key of it can verify anything.
    pub fn is_empty(&self) -> bool {
        self.keys.iter().all(|key| key.verifiers.is_empty())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &VerificationKey> + Clone {
        self.keys.iter()
    }

    /// Whether a key of it stands for a certificate (RFC 8705 §2.2.2).
    #[cfg(feature = "mtls")]
    pub(super) fn has(&self, certificate: &PublicCertificate) -> bool {
        self.certificates.iter().any(|own| own.is(certificate))
    }
}

impl fmt::Debug for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.kid.as_deref().unwrap_or("without kid"))).finish()
    }
}

impl PartialEq for JwkSet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.json, &other.json) || self.json == other.json
    }
}

impl Serialize for JwkSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JwkSet {
    /// Reads what [`from_json`](Self::from_json) does: the object, or a text that holds it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            value => value.to_string(),
        };
        Self::from_json(&text).map_err(de::Error::custom)
    }
}
