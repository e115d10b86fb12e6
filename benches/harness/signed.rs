//! Signed tokens, assertions and proofs, and the bare signatures and verifications that are their floors.
#![allow(dead_code, unreachable_pub, reason = "each bench uses a part of it")]

use crate::harness::opaque::{ISSUER, NOW, Server, by_post, parts, server_of, still};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{
    AccessTokenFormat, Config, Field, Parts, SigningAlgorithm, SigningKey, SigningKeys, TokenStore,
};
use serde_json::{Value, json};
use std::hint::black_box;

/// Whom the JWTs are for.
pub const RESOURCE: &str = "https://api.example.com";

pub const ALGORITHMS: [SigningAlgorithm; 5] = [
    SigningAlgorithm::Es256,
    SigningAlgorithm::Es384,
    SigningAlgorithm::EdDsa,
    SigningAlgorithm::Rs256,
    SigningAlgorithm::Ps256,
];

/// A key of the crypto library, without anything of this crate.
pub struct Bare {
    pub algorithm: SigningAlgorithm,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
}

impl Bare {
    pub fn new(algorithm: SigningAlgorithm) -> Self {
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ecdsa = |curve| Pair::Ecdsa(EcdsaKeyPair::generate(curve).unwrap());
        let pair = match algorithm {
            SigningAlgorithm::Es256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            SigningAlgorithm::Es384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            SigningAlgorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
            SigningAlgorithm::Rs256 => Pair::Rsa(rsa(), &signature::RSA_PKCS1_SHA256),
            _ => Pair::Rsa(rsa(), &signature::RSA_PSS_SHA256),
        };
        Self { algorithm, pair }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn parsed(&self) -> ParsedPublicKey {
        let verification: &'static dyn signature::VerificationAlgorithm = match self.algorithm {
            SigningAlgorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            SigningAlgorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            SigningAlgorithm::EdDsa => &signature::ED25519,
            SigningAlgorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            _ => &signature::RSA_PSS_2048_8192_SHA256,
        };
        let public = match &self.pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair, _) => pair.public_key().as_ref(),
        };
        ParsedPublicKey::new(verification, public).unwrap()
    }

    pub fn jwk(&self) -> Value {
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        match &self.pair {
            Pair::Ecdsa(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                let crv = if self.algorithm == SigningAlgorithm::Es256 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": crv, "x": encode(x), "y": encode(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
            Pair::Rsa(pair, _) => json!({
                "kty": "RSA", "n": encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                "e": encode(pair.public_key().exponent().big_endian_without_leading_zero()),
            }),
        }
    }

    /// That message with its signature.
    pub fn signed(&self, message: &str) -> Signed {
        Signed { key: self.parsed(), message: message.to_owned(), signature: self.sign(message.as_bytes()) }
    }

    /// A JWT; its header says the algorithm.
    fn jwt(&self, mut header: Value, claims: Value) -> Signed {
        header["alg"] = self.algorithm.as_str().into();
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        self.signed(&format!("{header}.{claims}"))
    }
}

/// What was signed, and the key that says so: parsed before, as the least that anybody does.
pub struct Signed {
    key: ParsedPublicKey,
    message: String,
    signature: Vec<u8>,
}

impl Signed {
    pub fn verify(&self) {
        self.key.verify_sig(black_box(self.message.as_bytes()), &self.signature).unwrap();
    }

    fn compact(&self) -> String {
        format!("{}.{}", self.message, URL_SAFE_NO_PAD.encode(&self.signature))
    }
}

/// A server whose client authenticates by that key, at a clock that stands still.
pub fn by_key<T: TokenStore + Default>(key: &Bare, config: impl FnOnce(&mut Config)) -> Server<T> {
    let client = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [key.jwk()] } });
    server_of(client, config).with_clock(still)
}

/// The client's assertion, and the request that it authenticates.
pub fn by_assertion(key: &Bare) -> (Signed, Parts<'static>) {
    let claims = json!({
        "iss": "myClient", "sub": "myClient", "aud": ISSUER, "iat": NOW, "exp": NOW + 60, "jti": "Zk3fD1uSm2yqz0o0C1lq0T",
    });
    let assertion = key.jwt(json!({ "typ": "JWT" }), claims);
    let body = format!(
        "grant_type=client_credentials&scope=write&client_assertion={}\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
        assertion.compact()
    );
    (assertion, parts(body.leak()))
}

/// A proof of that key (RFC 9449), and the request by post that it comes with.
pub fn by_proof(key: &Bare) -> (Signed, Parts<'static>) {
    let url = format!("{ISSUER}/oauth2/access_token");
    let claims = json!({ "jti": "Zk3fD1uSm2yqz0o0C1lq0T", "htm": "POST", "htu": url, "iat": NOW });
    let proof = key.jwt(json!({ "typ": "dpop+jwt", "jwk": key.jwk() }), claims);
    let dpop = proof.compact().leak().as_bytes();
    (proof, Parts { dpop: Field::One(dpop), ..by_post() })
}

/// Access tokens are JWTs for one resource.
pub fn jwt(algorithm: SigningAlgorithm) -> impl FnOnce(&mut Config) {
    move |config| {
        config.access_token_format = AccessTokenFormat::Jwt;
        config.signing_algorithms = vec![algorithm];
        config.resources = vec![RESOURCE.into()];
        config.default_resources.clone_from(&config.resources);
    }
}

/// With a new key of the server's own.
pub fn signing<T: TokenStore>(server: Server<T>, algorithm: SigningAlgorithm) -> Server<T> {
    server.with_signing_keys(SigningKeys::new([SigningKey::generate(algorithm).unwrap()]))
}

/// What the server signs of a JWT.
pub fn message(jwt: &str) -> &str {
    &jwt[..jwt.rfind('.').unwrap()]
}
