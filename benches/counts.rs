//! Instructions and allocations of each step: what `benches/counts` compares with its table.
//!
//! ```text
//! benches/counts            # compares; benches/counts --write writes the table anew
//! cargo bench --all-features --bench counts                     # allocations of each case alone
//! cargo bench --all-features --bench counts -- introspect 1000  # one case so often, for valgrind or perf
//! ```
//!
//! Counts hold on a noisy machine, where times do not. The random source is no system call here and the clock stands still, so that a
//! case does the same each time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AccessTokenFormat, AccessTokenValidator, AuthorizationServer, Client, Config, Field, IntrospectionRequest, JwkSet,
    Parts, RandomError, RandomSource, RevocationRequest, SigningAlgorithm, SigningKey, SigningKeys, Timestamp,
    TokenRequest, TokenStore, introspect_token, issue_client_credentials_token, revoke_token,
};
use harness::opaque::{BODY, SECRET};
use harness::{Believing, ready};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

const ISSUER: &str = "https://as.example.com";
const NOW: u64 = 1_767_225_600;
const BASIC: &[u8] = b"Basic bXlDbGllbnQ6WmszZkQxdVNtMnlxejBvMEMxbHEwVDJzVjl4NXlLY1dtQjdoSjRuRThhUQ==";

type Server<T = MemoryTokenStore> = AuthorizationServer<MemoryClientStore, T>;

/// Octets that never come twice, without a system call.
struct Counted(AtomicU64);

impl RandomSource for Counted {
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        octets.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&number.to_be_bytes()[..chunk.len()]));
        Ok(())
    }
}

fn server<T: TokenStore + Default>(client: Value, config: impl FnOnce(&mut Config)) -> Server<T> {
    let mut members = json!({ "client_id": "myClient", "scope": "read write", "grant_types": ["client_credentials"] });
    members.as_object_mut().unwrap().extend(client.as_object().unwrap().clone());
    let clients = [serde_json::from_value::<Client>(members).unwrap()].into_iter().collect();
    let mut own = Config::new(ISSUER);
    own.scopes = Some(vec!["read".into(), "write".into()]);
    config(&mut own);
    AuthorizationServer::new(own, clients, T::default())
        .unwrap()
        .with_clock(|| Timestamp::from_secs(NOW))
        .with_random(Counted(AtomicU64::new(1)))
}

fn by_secret(config: impl FnOnce(&mut Config)) -> Server {
    let methods = ["client_secret_basic", "client_secret_post"];
    server(json!({ "client_secret": SECRET, "token_endpoint_auth_method": methods }), config)
}

fn parts<'a>(authorization: Field<'static>, body: &'a [u8]) -> Parts<'a> {
    Parts {
        method: "POST",
        path: "/oauth2/access_token",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        authorization,
        body,
        ..Parts::default()
    }
}

/// Octets in, octets out.
fn issue(server: &Server<impl TokenStore>, parts: Parts<'_>) -> Vec<u8> {
    let request = TokenRequest::parse(black_box(parts)).unwrap();
    ready(issue_client_credentials_token(server, &request)).unwrap().body()
}

fn token(server: &Server, parts: Parts<'_>) -> String {
    let answer: Value = serde_json::from_slice(&issue(server, parts)).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

fn by_post() -> Parts<'static> {
    parts(Field::Absent, BODY.as_bytes())
}

fn by_basic() -> Parts<'static> {
    parts(Field::One(BASIC), b"grant_type=client_credentials&scope=write")
}

fn opaque(parts: Parts<'static>) -> Box<dyn FnMut()> {
    let server = by_secret(|_| ());
    Box::new(move || drop(black_box(issue(&server, parts))))
}

fn introspecting() -> Box<dyn FnMut()> {
    let server = by_secret(|_| ());
    let about: &'static [u8] = format!("token={}", token(&server, by_post())).leak().as_bytes();
    Box::new(move || {
        let request = IntrospectionRequest::parse(black_box(parts(Field::One(BASIC), about))).unwrap();
        drop(black_box(ready(introspect_token(&server, &request)).unwrap().body()));
    })
}

fn revoking() -> Box<dyn FnMut()> {
    let server = by_secret(|_| ());
    let unknown: &'static [u8] = format!("token={}", "A".repeat(43)).leak().as_bytes();
    Box::new(move || {
        let request = RevocationRequest::parse(black_box(parts(Field::One(BASIC), unknown))).unwrap();
        drop(black_box(ready(revoke_token(&server, &request)).unwrap().body()));
    })
}

fn asserting() -> Box<dyn FnMut()> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let [_, point @ ..] = key.public_key().as_ref() else { unreachable!() };
    let (x, y) = point.split_at(32);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
    let client = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [jwk] } });
    let server: Server<Believing> = server(client, |_| ());
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
    let claims =
        json!({ "iss": "myClient", "sub": "myClient", "aud": ISSUER, "exp": NOW + 300, "jti": "Zk3fD1uSm2yqz0o0" });
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(&SystemRandom::new(), message.as_bytes()).unwrap());
    let body = format!(
        "grant_type=client_credentials&scope=write&client_assertion={message}.{signature}\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    );
    Box::new(move || {
        let request = TokenRequest::parse(black_box(parts(Field::Absent, body.as_bytes()))).unwrap();
        drop(black_box(ready(issue_client_credentials_token(&server, &request)).unwrap().body()));
    })
}

fn signing() -> Server {
    let server = by_secret(|config| {
        config.access_token_format = AccessTokenFormat::Jwt;
        config.resources = vec!["https://api.example.com".into()];
        config.default_resources.clone_from(&config.resources);
    });
    server.with_signing_keys(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]))
}

fn issuing_jwt() -> Box<dyn FnMut()> {
    let (server, request) = (signing(), by_post());
    Box::new(move || drop(black_box(issue(&server, request))))
}

fn validating_jwt() -> Box<dyn FnMut()> {
    let server = signing();
    let field: &'static [u8] = format!("Bearer {}", token(&server, by_post())).leak().as_bytes();
    let keys: JwkSet = serde_json::from_slice(&server.jwks()).unwrap();
    let validator = AccessTokenValidator::new(ISSUER, ["https://api.example.com"]);
    let validator = validator.with_keys(keys).with_clock(|| Timestamp::from_secs(NOW));
    Box::new(move || {
        let presented = validator.read(Field::One(black_box(field))).unwrap();
        drop(black_box(ready(validator.validate(presented)).unwrap()));
    })
}

fn parsing(parts: Parts<'static>) -> Box<dyn FnMut()> {
    Box::new(move || drop(black_box(TokenRequest::parse(black_box(parts)))))
}

/// Each makes what it needs once, and nothing for another.
type Case = (&'static str, fn() -> Box<dyn FnMut()>);

const CASES: [Case; 9] = [
    ("parse post", || parsing(by_post())),
    ("parse basic", || parsing(by_basic())),
    ("issue opaque, post", || opaque(by_post())),
    ("issue opaque, basic", || opaque(by_basic())),
    ("introspect opaque", introspecting),
    ("revoke unknown", revoking),
    ("issue opaque, private_key_jwt ES256", asserting),
    ("issue JWT ES256, post", issuing_jwt),
    ("validate JWT ES256", validating_jwt),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [name, calls] => {
            let (_, case) = CASES.iter().find(|(own, _)| own == name).unwrap();
            let mut case = case();
            (0..calls.parse::<u64>().unwrap()).for_each(|_| case());
        }
        _ => {
            for (name, case) in CASES {
                let mut case = case();
                case();
                let counted = allocation_counter::measure(|| (0..100).for_each(|_| case()));
                println!("{:.2}\t{name}", counted.count_total as f64 / 100.0);
            }
        }
    }
}
