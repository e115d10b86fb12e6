//! What it costs to validate a JWT with a known key, beside the bare verification of its signature.
//!
//! ```text
//! cargo bench --features jwt --bench validate
//! ```
//!
//! The floor is the crypto library's verification with a parsed key over octets that lie ready. Both run in turns in one
//! process, so the ratio holds on a noisy machine; times alone do not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a bench stops where it fails")]

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AccessTokenValidator, AuthorizationServer, Client, Config, Field, JwkSet, Parts, SigningAlgorithm, SigningKey,
    SigningKeys, TokenRequest, issue_client_credentials_token,
};
use serde_json::{Value, json};
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const ISSUER: &str = "https://as.example.com";
const US: &str = "https://api.example.com";

fn main() {
    // `cargo bench` passes `--bench`; without it (as a test) one short round shows that everything still runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 41 } else { 1 };
    println!("{:<8} {:>12} {:>12} {:>9} {:>12}", "", "bare ns", "validate ns", "ratio", "allocations");
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa, SigningAlgorithm::Rs256] {
        let (keys, token) = issued(algorithm);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let key = parsed(&serde_json::from_str::<Value>(&keys).unwrap()["keys"][0]);
        let mut bare = || key.verify_sig(black_box(message.as_bytes()), &signature).unwrap();

        let validator = AccessTokenValidator::new(ISSUER, [US]).with_keys(JwkSet::from_json(&keys).unwrap());
        let field = format!("Bearer {token}");
        let mut validate = || {
            let presented = validator.read(Field::One(black_box(field.as_bytes()))).unwrap();
            let token = ready(validator.validate(presented)).unwrap();
            token.require_scope("read").unwrap();
            black_box(token);
        };
        let (mut times, mut ratios) = ((Vec::new(), Vec::new()), Vec::new());
        for _ in 0..rounds {
            let (floor, whole) = (per_call(&mut bare), per_call(&mut validate));
            times.0.push(floor);
            times.1.push(whole);
            ratios.push(whole / floor);
        }
        let allocations = allocation_counter::measure(validate).count_total;
        let (floor, whole, ratio) = (median(times.0), median(times.1), median(ratios));
        println!("{:<8} {floor:>12.0} {whole:>12.0} {ratio:>9.3} {allocations:>12}", algorithm.as_str());
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds a call, over twenty milliseconds of calls.
fn per_call(case: &mut dyn FnMut()) -> f64 {
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_millis(20) {
        for _ in 0..20 {
            case();
        }
        calls += 20;
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

/// A key set, and a token that its key signed.
fn issued(algorithm: SigningAlgorithm) -> (String, String) {
    let client = json!({
        "client_id": "myClient", "client_secret": "a secret", "scope": "read write", "default_scope": "read write",
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post",
    });
    let clients: MemoryClientStore = [serde_json::from_value::<Client>(client).unwrap()].into_iter().collect();
    let mut config = Config::new(ISSUER);
    config.access_token_format = client_credentials::AccessTokenFormat::Jwt;
    config.signing_algorithms = vec![algorithm];
    config.resources = vec![US.into()];
    config.default_resources = vec![US.into()];
    let server = AuthorizationServer::new(config, clients, MemoryTokenStore::default()).unwrap();
    let server = server.with_signing_keys(SigningKeys::new([SigningKey::generate(algorithm).unwrap()]));
    let request = TokenRequest::parse(Parts {
        method: "POST",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        body: b"grant_type=client_credentials&client_id=myClient&client_secret=a+secret",
        ..Parts::default()
    });
    let token = ready(issue_client_credentials_token(&server, &request.unwrap())).unwrap();
    (String::from_utf8(server.jwks()).unwrap(), token.access_token.expose().to_owned())
}

fn parsed(jwk: &Value) -> ParsedPublicKey {
    let octets = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    match jwk["alg"].as_str().unwrap() {
        "ES256" => {
            let point = [&[4], &*octets("x"), &*octets("y")].concat();
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).unwrap()
        }
        "EdDSA" => ParsedPublicKey::new(&signature::ED25519, octets("x")).unwrap(),
        "RS256" => {
            let key = RsaPublicKeyComponents { n: octets("n"), e: octets("e") };
            key.to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256).unwrap()
        }
        other => panic!("{other}"),
    }
}

/// With fixed keys nothing waits.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("fixed keys waited"),
    }
}
