//! JWS in compact form (RFC 7515): keys that sign, and the reading of what they signed.

use super::jwk;
use crate::clock::Timestamp;
use crate::token::AccessToken;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;
use zeroize::Zeroizing;

/// Octets of a signed token, at most.
const MAX_TOKEN: usize = 16 * 1024;

/// An algorithm that this crate signs with; asymmetric ones alone (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA with P-384 and SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519, by its name in RFC 8037; the name of RFC 9864, `Ed25519`, is read as well.
    #[serde(rename = "EdDSA", alias = "Ed25519")]
    EdDsa,
    /// RSA, PKCS #1 v1.5, SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA, PSS, SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
}

impl SigningAlgorithm {
    /// The name in a header, for example `ES256`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    fn ecdsa(self) -> Option<(&'static EcdsaSigningAlgorithm, &'static str)> {
        match self {
            Self::Es256 => Some((&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")),
            Self::Es384 => Some((&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")),
            _ => None,
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::EdDsa => &signature::ED25519,
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        }
    }

    fn rsa(self) -> Option<&'static dyn RsaEncoding> {
        match self {
            Self::Rs256 => Some(&signature::RSA_PKCS1_SHA256),
            Self::Ps256 => Some(&signature::RSA_PSS_SHA256),
            _ => None,
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The key cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing key {problem}")]
#[non_exhaustive]
pub struct InvalidKey {
    problem: &'static str,
}

const UNREADABLE: InvalidKey =
    InvalidKey { problem: "must fit its algorithm: PKCS#8 or SEC1 in PEM, or a private JWK; RSA of 2048 to 8192 bits" };

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key that signs with one algorithm. Debug shows its `kid` alone.
pub struct SigningKey {
    algorithm: SigningAlgorithm,
    pair: Pair,
    kid: String,
    /// The public members, with `kid`, `alg` and `use`.
    public: Map<String, Value>,
    /// The protected header of an access token, as it stands in one.
    header: String,
}

impl SigningKey {
    /// A new key; of RSA keys one of 2048 bits.
    ///
    /// # Errors
    /// [`InvalidKey`] when the crypto library cannot make one.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, InvalidKey> {
        let failed = |_| InvalidKey { problem: "could not be made" };
        let pair = match algorithm.ecdsa() {
            Some((ecdsa, _)) => Pair::Ecdsa(EcdsaKeyPair::generate(ecdsa).map_err(failed)?),
            None if algorithm == SigningAlgorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
            None => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?),
        };
        Self::of(algorithm, pair)
    }

    /// A key from PEM: `PRIVATE KEY` (PKCS #8, RFC 5958) or `EC PRIVATE KEY` (SEC 1, RFC 5915).
    ///
    /// # Errors
    /// [`InvalidKey`] for other text, or a key that does not fit the algorithm.
    pub fn from_pem(algorithm: SigningAlgorithm, pem: &str) -> Result<Self, InvalidKey> {
        let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| UNREADABLE)?;
        let der = Zeroizing::new(der);
        let pair = match (label, algorithm.ecdsa()) {
            ("PRIVATE KEY", Some((ecdsa, _))) => EcdsaKeyPair::from_pkcs8(ecdsa, &der).map(Pair::Ecdsa),
            ("EC PRIVATE KEY", Some((ecdsa, _))) => EcdsaKeyPair::from_private_key_der(ecdsa, &der).map(Pair::Ecdsa),
            ("PRIVATE KEY", None) if algorithm == SigningAlgorithm::EdDsa => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Pair::Ed25519)
            }
            ("PRIVATE KEY", None) => RsaKeyPair::from_pkcs8(&der).map(Pair::Rsa),
            _ => return Err(UNREADABLE),
        };
        Self::of(algorithm, pair.map_err(|_| UNREADABLE)?)
    }

    /// A key from a private JWK (RFC 7517, RFC 7518 §6, RFC 8037 §2). Its `alg`, where it has one, must be `algorithm`; its
    /// `kid`, where it has one, is kept.
    ///
    /// # Errors
    /// [`InvalidKey`] for other text, or a key that does not fit the algorithm.
    pub fn from_jwk(algorithm: SigningAlgorithm, jwk: &str) -> Result<Self, InvalidKey> {
        let jwk: Map<String, Value> = serde_json::from_str(jwk).map_err(|_| UNREADABLE)?;
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let octets = |name: &str| {
            let decoded = text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            decoded.map(Zeroizing::new).ok_or(UNREADABLE)
        };
        if text("alg")
            .is_some_and(|alg| alg != algorithm.as_str() && !(alg == "Ed25519" && algorithm == SigningAlgorithm::EdDsa))
        {
            return Err(UNREADABLE);
        }
        let pair = match (text("kty"), text("crv"), algorithm.ecdsa()) {
            (Some("EC"), Some(crv), Some((ecdsa, curve))) if crv == curve => {
                let point = [&[4], octets("x")?.as_slice(), octets("y")?.as_slice()].concat();
                EcdsaKeyPair::from_private_key_and_public_key(ecdsa, &octets("d")?, &point).map(Pair::Ecdsa)
            }
            (Some("OKP"), Some("Ed25519"), None) if algorithm == SigningAlgorithm::EdDsa => {
                Ed25519KeyPair::from_seed_and_public_key(&octets("d")?, &octets("x")?).map(Pair::Ed25519)
            }
            (Some("RSA"), None, None) if algorithm.rsa().is_some() => RsaKeyPair::from_components(&KeyPairComponents {
                public_key: PublicKeyComponents { n: octets("n")?.to_vec(), e: octets("e")?.to_vec() },
                d: octets("d")?.to_vec(),
                p: octets("p")?.to_vec(),
                q: octets("q")?.to_vec(),
                dP: octets("dp")?.to_vec(),
                dQ: octets("dq")?.to_vec(),
                qInv: octets("qi")?.to_vec(),
            })
            .map(Pair::Rsa),
            _ => return Err(UNREADABLE),
        };
        Self::named(algorithm, pair.map_err(|_| UNREADABLE)?, text("kid"))
    }

    fn of(algorithm: SigningAlgorithm, pair: Pair) -> Result<Self, InvalidKey> {
        Self::named(algorithm, pair, None)
    }

    /// Derives what is published; the `kid`, where none is given, is the key's RFC 7638 thumbprint.
    fn named(algorithm: SigningAlgorithm, pair: Pair, kid: Option<&str>) -> Result<Self, InvalidKey> {
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let public = match (&pair, algorithm.ecdsa()) {
            (Pair::Ecdsa(pair), Some((_, curve))) => {
                // An uncompressed point (SEC 1 §2.3.3): 4, then both coordinates.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            (Pair::Ed25519(pair), None) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
            (Pair::Rsa(pair), None) if (256..=1024).contains(&pair.public_modulus_len()) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                json!({
                    "kty": "RSA",
                    "n": encode(n.big_endian_without_leading_zero()),
                    "e": encode(e.big_endian_without_leading_zero()),
                })
            }
            _ => return Err(UNREADABLE),
        };
        let Value::Object(mut public) = public else { return Err(UNREADABLE) };
        let thumbprint = || jwk::thumbprint(&public).map(|thumbprint| thumbprint.to_string());
        let kid = kid.map_or_else(thumbprint, |kid| Ok(kid.to_owned())).map_err(|_| UNREADABLE)?;
        for (name, value) in [("kid", kid.as_str()), ("alg", algorithm.as_str()), ("use", "sig")] {
            public.insert(name.to_owned(), value.into());
        }
        let header = json!({ "typ": "at+jwt", "alg": algorithm.as_str(), "kid": kid });
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        Ok(Self { algorithm, pair, kid, public, header })
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Its identifier: that of the JWK, else the RFC 7638 thumbprint of its public part.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn public(&self) -> &Map<String, Value> {
        &self.public
    }

    /// Signs the claims of an access token: `typ` is `at+jwt` (RFC 9068 §2.1).
    pub(crate) fn sign(&self, claims: &[u8]) -> Option<AccessToken> {
        let mut token = Zeroizing::new(String::with_capacity(self.header.len() + claims.len() * 4 / 3 + 700));
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let message = token.as_bytes();
        let random = SystemRandom::new();
        let signature = match (&self.pair, self.algorithm.rsa()) {
            (Pair::Ecdsa(pair), _) => pair.sign(&random, message).ok()?.as_ref().to_vec(),
            (Pair::Ed25519(pair), _) => pair.try_sign(message).ok()?.as_ref().to_vec(),
            (Pair::Rsa(pair), Some(encoding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).ok()?;
                signature
            }
            (Pair::Rsa(_), None) => return None,
        };
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(AccessToken(token))
    }

    /// Whether this key signed it.
    pub(super) fn verifies(&self, jws: &ParsedJws<'_>) -> bool {
        let public: &[u8] = match &self.pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
        };
        let key = UnparsedPublicKey::new(self.algorithm.verification(), public);
        jws.algorithm == self.algorithm.as_str() && key.verify(jws.message.as_bytes(), &jws.signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.algorithm, self.kid)
    }
}

/// A token of three parts, taken apart and not yet believed.
pub(crate) struct ParsedJws<'a> {
    message: &'a str,
    algorithm: String,
    pub(super) kid: String,
    signature: Vec<u8>,
    claims: Vec<u8>,
}

/// The protected header of an access token of ours; another member than these is not ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

impl<'a> ParsedJws<'a> {
    /// Takes a token apart; `None` for whatever cannot be an access token of ours.
    pub(crate) fn read(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN || token.bytes().filter(|octet| *octet == b'.').count() != 2 {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        if header.typ != "at+jwt" {
            return None;
        }
        let (signature, claims) = (decode(signature)?, decode(claims)?);
        Some(Self { message, algorithm: header.alg, kid: header.kid, signature, claims })
    }

    /// The claims; to be asked for after the signature was verified.
    pub(super) fn claims(&self) -> Option<Claims> {
        serde_json::from_slice(&self.claims).ok()
    }
}

/// The claims of an access token (RFC 9068 §2.2).
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: crate::client::ClientId,
    pub(crate) client_id: crate::client::ClientId,
    pub(crate) aud: crate::resource::Audience,
    pub(crate) iat: Timestamp,
    pub(crate) exp: Timestamp,
    pub(crate) jti: String,
    #[serde(default, skip_serializing_if = "crate::scope::Scope::is_empty")]
    pub(crate) scope: crate::scope::Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cnf: Option<crate::token::Confirmation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_details: Option<crate::token::AuthorizationDetails>,
    #[serde(flatten)]
    pub(crate) own: Map<String, Value>,
}
