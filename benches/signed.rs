//! What a signed token costs to issue and to validate, and a signed assertion to believe, beside the bare signature and the
//! bare verification of the same crypto library in the same round.
//!
//! ```text
//! cargo bench --bench signed --features jwt
//! ```
//!
//! The floor of a token is one signature over as many octets as are signed for it; that of an assertion is one verification
//! with a key that was parsed before. A client that is vouched for has neither its request read nor its secret checked. A
//! token's validation is compared with a bare verification too.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AccessTokenValidator, AuthorizationServer, Client, Config, Field, JwkSet, Parts, SigningAlgorithm, SigningKey,
    SigningKeys, Timestamp, TokenRequest, TokenResponse, issue_client_credentials_token,
};
use harness::opaque::{BODY, SECRET};
use harness::{Case, case, measure, ready};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;

const ISSUER: &str = "https://as.example.com";
const NOW: u64 = 1_767_225_600;
const ALGORITHMS: [SigningAlgorithm; 5] = [
    SigningAlgorithm::Es256,
    SigningAlgorithm::Es384,
    SigningAlgorithm::EdDsa,
    SigningAlgorithm::Rs256,
    SigningAlgorithm::Ps256,
];

type Server = AuthorizationServer<MemoryClientStore, MemoryTokenStore>;

/// A key pair of the crypto library, without anything of this crate.
enum Bare {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
}

impl Bare {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        match algorithm {
            SigningAlgorithm::Es256 => {
                Self::Ecdsa(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            SigningAlgorithm::Es384 => {
                Self::Ecdsa(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
            }
            SigningAlgorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
            SigningAlgorithm::Rs256 => Self::Rsa(rsa(), &signature::RSA_PKCS1_SHA256),
            _ => Self::Rsa(rsa(), &signature::RSA_PSS_SHA256),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn parsed(&self, algorithm: SigningAlgorithm) -> ParsedPublicKey {
        let verification: &'static dyn signature::VerificationAlgorithm = match algorithm {
            SigningAlgorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            SigningAlgorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            SigningAlgorithm::EdDsa => &signature::ED25519,
            SigningAlgorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            _ => &signature::RSA_PSS_2048_8192_SHA256,
        };
        let public = match self {
            Self::Ecdsa(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
            Self::Rsa(pair, _) => pair.public_key().as_ref(),
        };
        ParsedPublicKey::new(verification, public).unwrap()
    }

    fn jwk(&self, algorithm: SigningAlgorithm) -> Value {
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        match self {
            Self::Ecdsa(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                let crv = if algorithm == SigningAlgorithm::Es256 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": crv, "x": encode(x), "y": encode(y) })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
            Self::Rsa(pair, _) => json!({
                "kty": "RSA", "n": encode(pair.public_key().modulus().big_endian_without_leading_zero()),
                "e": encode(pair.public_key().exponent().big_endian_without_leading_zero()),
            }),
        }
    }
}

/// One algorithm: the keys, and the servers that use them.
struct Setup {
    algorithm: SigningAlgorithm,
    bare: Bare,
    issuing: Server,
    verifying: Server,
    /// The body of a request that authenticates by an assertion, and what was signed in it.
    assertion_body: String,
    message: String,
    signature: Vec<u8>,
    token_message: Vec<u8>,
    /// A resource server's side, and the `Authorization` field that it gets.
    validator: AccessTokenValidator,
    field: String,
}

impl Setup {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let bare = Bare::new(algorithm);
        let server = |client: Value, algorithm: SigningAlgorithm| {
            let clients = [serde_json::from_value::<Client>(client).unwrap()].into_iter().collect();
            let mut config = Config::new(ISSUER);
            config.signing_algorithms = vec![algorithm];
            let server = AuthorizationServer::new(config, clients, MemoryTokenStore::default()).unwrap();
            server.with_clock(|| Timestamp::from_secs(NOW))
        };
        let issuing = json!({
            "client_id": "myClient", "client_secret": SECRET, "scope": "write",
            "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post",
            "access_token_format": "jwt",
        });
        let verifying = json!({
            "client_id": "myClient", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
            "scope": "write", "jwks": { "keys": [bare.jwk(algorithm)] },
        });
        let issuing =
            server(issuing, algorithm).with_signing_keys(SigningKeys::new([SigningKey::generate(algorithm).unwrap()]));
        let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let claims = json!({
            "iss": "myClient", "sub": "myClient", "aud": ISSUER, "iat": NOW, "exp": NOW + 60, "jti": "Zk3fD1uSm2yqz0o0C1lq0T",
        });
        let message = format!("{}.{}", encode(json!({ "alg": algorithm.as_str(), "typ": "JWT" })), encode(claims));
        let signature = bare.sign(message.as_bytes());
        let assertion_body = format!(
            "grant_type=client_credentials&scope=write&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={message}.{}",
            URL_SAFE_NO_PAD.encode(&signature)
        );
        let token = issue(&issuing).access_token.expose().to_owned();
        let token_message = token.as_bytes()[..token.rfind('.').unwrap()].to_vec();
        let verifying = server(verifying, algorithm);
        let keys = JwkSet::from_json(std::str::from_utf8(&issuing.jwks()).unwrap()).unwrap();
        let validator = AccessTokenValidator::new(ISSUER, [ISSUER]).with_keys(keys);
        let validator = validator.with_clock(|| Timestamp::from_secs(NOW));
        let field = format!("Bearer {token}");
        Self {
            algorithm,
            bare,
            issuing,
            verifying,
            assertion_body,
            message,
            signature,
            token_message,
            validator,
            field,
        }
    }
}

fn main() {
    let setups = ALGORITHMS.map(Setup::new);
    #[cfg(feature = "dpop")]
    let bound = bound::Setup::new();
    let mut cases: Vec<Case<'_>> = Vec::new();
    for setup in &setups {
        let name = setup.algorithm.as_str();
        let floor = cases.len();
        cases.push(case(format!("{name}: bare signature"), floor, || {
            drop(setup.bare.sign(black_box(&setup.token_message)))
        }));
        cases.push(case(format!("{name}: issue a token"), floor, || drop(black_box(issue(&setup.issuing)))));
        let (request, client) =
            (TokenRequest::parse(parts(BODY)).unwrap(), setup.issuing.clients().get("myClient").unwrap());
        cases.push(case(format!("{name}: the same, client vouched for"), floor, move || {
            let client = setup.issuing.vouch_for(Arc::clone(&client), &[]).unwrap();
            let grant = setup.issuing.authorize(&client, &request).unwrap();
            drop(black_box(ready(setup.issuing.issue(client, grant)).unwrap()));
        }));
        let floor = cases.len();
        let key = setup.bare.parsed(setup.algorithm);
        cases.push(case(format!("{name}: bare verification"), floor, move || {
            key.verify_sig(black_box(setup.message.as_bytes()), &setup.signature).unwrap();
        }));
        cases.push(case(format!("{name}: authenticate by assertion"), floor, || authenticate(setup)));
        cases.push(case(format!("{name}: validate a token"), floor, || validate(setup)));
    }
    #[cfg(feature = "dpop")]
    bound.push_cases(&mut cases);
    measure("signed", &mut cases);
}

/// A token that is bound to the key of a DPoP proof, beside a bare verification of the proof and the issue of the same token
/// without one. The store believes everything and keeps nothing, for the floor as well, so that one proof serves all calls.
#[cfg(feature = "dpop")]
mod bound {
    use super::*;
    use harness::Believing;

    pub(super) struct Setup {
        server: AuthorizationServer<MemoryClientStore, Believing>,
        key: ParsedPublicKey,
        message: String,
        signature: Vec<u8>,
        proof: String,
    }

    impl Setup {
        pub(super) fn new() -> Self {
            let client = json!({
                "client_id": "myClient", "client_secret": SECRET, "scope": "write",
                "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post",
            });
            let clients = [serde_json::from_value::<Client>(client).unwrap()].into_iter().collect();
            let server = AuthorizationServer::new(Config::new(ISSUER), clients, Believing).unwrap();
            let bare = Bare::new(SigningAlgorithm::Es256);
            let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
            let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": bare.jwk(SigningAlgorithm::Es256) });
            let url = format!("{ISSUER}/oauth2/access_token");
            let claims = json!({ "jti": "Zk3fD1uSm2yqz0o0C1lq0T", "htm": "POST", "htu": url, "iat": NOW });
            let message = format!("{}.{}", encode(header), encode(claims));
            let signature = bare.sign(message.as_bytes());
            let proof = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
            let key = bare.parsed(SigningAlgorithm::Es256);
            Self { server: server.with_clock(|| Timestamp::from_secs(NOW)), key, message, signature, proof }
        }

        pub(super) fn push_cases<'a>(&'a self, cases: &mut Vec<Case<'a>>) {
            let floor = cases.len();
            cases.push(case("DPoP, ES256: bare verification, and plain issue", floor, || {
                self.key.verify_sig(black_box(self.message.as_bytes()), &self.signature).unwrap();
                self.issue(Field::Absent);
            }));
            cases.push(case("DPoP, ES256: issue a bound token", floor, || {
                self.issue(Field::One(self.proof.as_bytes()));
            }));
        }

        fn issue(&self, dpop: Field<'_>) {
            let request = TokenRequest::parse(black_box(Parts { dpop, ..parts(BODY) })).unwrap();
            black_box(ready(issue_client_credentials_token(&self.server, &request)).unwrap().body());
        }
    }
}

fn parts(body: &str) -> Parts<'_> {
    Parts {
        method: "POST",
        path: "/oauth2/access_token",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        body: body.as_bytes(),
        ..Parts::default()
    }
}

/// Octets in, octets out.
fn issue(server: &Server) -> TokenResponse {
    let request = TokenRequest::parse(black_box(parts(BODY))).unwrap();
    let response = ready(issue_client_credentials_token(server, &request)).unwrap();
    black_box(response.body());
    response
}

fn validate(setup: &Setup) {
    let presented = setup.validator.read(Field::One(black_box(setup.field.as_bytes()))).unwrap();
    let token = ready(setup.validator.validate(presented)).unwrap();
    token.require_scope("write").unwrap();
    black_box(token);
}

fn authenticate(setup: &Setup) {
    let request = TokenRequest::parse(black_box(parts(&setup.assertion_body))).unwrap();
    black_box(ready(setup.verifying.authenticate(request.credentials())).unwrap());
}
