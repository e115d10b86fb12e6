//! Keys that sign: made, or read from PEM and JWK.

use super::algorithm::JwsAlgorithm;
use super::jwk::{self, VerificationKey};
use super::jws::MAX_KID;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;
use zeroize::Zeroizing;

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

    /// The same algorithm, as signatures of others are verified with it.
    pub(crate) fn jws(self) -> JwsAlgorithm {
        match self {
            Self::Es256 => JwsAlgorithm::Es256,
            Self::Es384 => JwsAlgorithm::Es384,
            Self::EdDsa => JwsAlgorithm::EdDsa,
            Self::Rs256 => JwsAlgorithm::Rs256,
            Self::Ps256 => JwsAlgorithm::Ps256,
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
#[error("a key {problem}")]
#[non_exhaustive]
pub struct InvalidKey {
    pub(super) problem: &'static str,
}

const UNREADABLE: InvalidKey = InvalidKey {
    problem: "that signs must fit its algorithm: PKCS#8 or SEC1 in PEM, or a private JWK; RSA of 2048 to 8192 bits",
};

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
    verification: VerificationKey,
    headers: [String; 2],
}

/// The kinds of JWT that a server signs, told apart by their `typ` (RFC 8725 §3.11).
#[derive(Clone, Copy)]
pub(crate) enum JwtType {
    /// RFC 9068 §2.1.
    AccessToken,
    /// RFC 9701 §5.
    TokenIntrospection,
}

impl JwtType {
    const ALL: [Self; 2] = [Self::AccessToken, Self::TokenIntrospection];

    pub(crate) const fn typ(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::TokenIntrospection => "token-introspection+jwt",
        }
    }
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
    /// `kid`, where it has one, is kept: of 256 octets at most.
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
        let kid = text("kid");
        if kid.is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(InvalidKey { problem: "has a kid of over 256 octets" });
        }
        Self::named(algorithm, pair.map_err(|_| UNREADABLE)?, kid)
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
        let verification = VerificationKey::of_own(&public).ok_or(UNREADABLE)?;
        // The protected headers of what it signs, as they stand in front.
        let headers = JwtType::ALL.map(|kind| {
            let header = json!({ "typ": kind.typ(), "alg": algorithm.as_str(), "kid": kid });
            URL_SAFE_NO_PAD.encode(header.to_string())
        });
        Ok(Self { algorithm, pair, kid, public, verification, headers })
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Its identifier: that of the JWK, else the RFC 7638 thumbprint of its public part.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether it is the same key for the same algorithm.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.kid == other.kid
    }

    fn signature_length(&self) -> usize {
        match &self.pair {
            Pair::Ecdsa(_) => 96,
            Pair::Ed25519(_) => 64,
            Pair::Rsa(pair) => pair.public_modulus_len(),
        }
    }

    pub(super) fn public(&self) -> &Map<String, Value> {
        &self.public
    }

    pub(super) fn verification(&self) -> &VerificationKey {
        &self.verification
    }

    /// Signs claims, which are JSON already; `None` when the crypto library cannot.
    pub(crate) fn sign(&self, kind: JwtType, claims: &[u8]) -> Option<Zeroizing<String>> {
        let [access_token, introspection] = &self.headers;
        let header = match kind {
            JwtType::AccessToken => access_token,
            JwtType::TokenIntrospection => introspection,
        };
        // In one allocation, so that no copy of a token stays behind.
        let octets = claims.len() + self.signature_length();
        let mut jwt = Zeroizing::new(String::with_capacity(header.len() + octets * 4 / 3 + 8));
        jwt.push_str(header);
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut jwt);
        let random = SystemRandom::new();
        match (&self.pair, self.algorithm.rsa()) {
            (Pair::Ecdsa(pair), _) => {
                let signature = pair.sign(&random, jwt.as_bytes()).ok()?;
                append(&mut jwt, signature.as_ref());
            }
            (Pair::Ed25519(pair), _) => {
                let signature = pair.try_sign(jwt.as_bytes()).ok()?;
                append(&mut jwt, signature.as_ref());
            }
            (Pair::Rsa(pair), Some(encoding)) => {
                let mut signature = vec![0; self.signature_length()];
                pair.sign(encoding, &random, jwt.as_bytes(), &mut signature).ok()?;
                append(&mut jwt, &signature);
            }
            (Pair::Rsa(_), None) => return None,
        }
        Some(jwt)
    }
}

fn append(jwt: &mut String, signature: &[u8]) {
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, jwt);
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.algorithm, self.kid)
    }
}
