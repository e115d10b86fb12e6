//! The profile `fapi2`: what it turns on, and the configurations that it refuses (FAPI 2.0 Security Profile §5.3, §5.4).
#![cfg(feature = "dpop")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{Client, Config, SigningAlgorithm, SigningKey, SigningKeys};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};
use support::*;

const ISSUER: &str = "https://as.example.com";

/// A key of the client, or of its proofs.
struct Key(key::Key);

impl Key {
    fn new() -> Self {
        Self(key::Key::new())
    }

    fn assertion(&self, jti: &str, others: Value) -> String {
        let claims = json!({ "iss": "c", "sub": "c", "aud": ISSUER, "iat": NOW, "exp": NOW + 60, "jti": jti });
        self.0.sign(&Header::new(Algorithm::ES256), &with(claims, others))
    }

    fn proof(&self, jti: &str, others: Value) -> String {
        let claims = json!({ "jti": jti, "htm": "POST", "htu": format!("{ISSUER}/oauth2/access_token"), "iat": NOW });
        self.0.prove(&with(claims, others))
    }
}

fn with(mut claims: Value, others: Value) -> Value {
    claims.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    claims
}

fn registered(key: &Key, others: Value) -> Client {
    client(with(
        json!({
            "client_id": "c", "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [key.0.jwk()] },
            "grant_types": ["client_credentials"], "scope": "read", "default_scope": "read",
        }),
        others,
    ))
}

fn fapi2(others: Value) -> Config {
    config(with(json!({ "profile": "fapi2" }), others))
}

fn ask(server: &Server, assertion: &str, proof: Option<&str>) -> Answer {
    let form = format!(
        "grant_type=client_credentials&client_assertion={assertion}\
         &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let sent = Sent::form(form);
    token(server, &proof.into_iter().fold(sent, |sent, proof| sent.header("DPoP", proof)))
}

fn keys(config: &Config) -> Vec<String> {
    config.validate().into_iter().map(|fault| fault.key).collect()
}

#[test]
// req: FA-001, FA-010, FA-011
fn every_token_is_bound() {
    let (key, prover) = (Key::new(), Key::new());
    let server = server(fapi2(json!({})), [registered(&key, json!({}))]);
    let bearer = ask(&server, &key.assertion("1", json!({})), None);
    assert_eq!(bearer.outcome(), (400, "invalid_request".into()));
    assert!(server.tokens().is_empty(), "and nothing was spent");
    let bound = ask(&server, &key.assertion("1", json!({})), Some(&prover.proof("1", json!({}))));
    assert_eq!((bound.status, bound.text("token_type")), (200, "DPoP".into()));
    let none = URL_SAFE_NO_PAD.encode(json!({ "alg": "none" }).to_string());
    let unsigned = format!("{none}.{}.", key.assertion("2", json!({})).split('.').nth(1).unwrap());
    assert_eq!(ask(&server, &unsigned, Some(&prover.proof("2", json!({})))).status, 401);
}

#[cfg(feature = "mtls")]
#[test]
// req: FA-001
fn a_certificate_binds_as_well() {
    let key = Key::new();
    let own = json!({ "tls_client_certificate_bound_access_tokens": true });
    let server = server(fapi2(json!({})), [registered(&key, own)]);
    let form = format!(
        "grant_type=client_credentials&client_assertion={}\
         &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        key.assertion("1", json!({}))
    );
    assert_eq!(token(&server, &Sent::form(&*form)).outcome(), (400, "invalid_request".into()), "nothing to bind to");
    let certified = Sent::form(&*form).over(&b"of the handshake"[..], client_credentials::CertificateChain::Unverified);
    assert_eq!(token(&server, &certified).text("token_type"), "Bearer");
    assert_eq!(server.tokens().len(), 2, "the assertion and the token");
}

#[test]
// req: FA-008, FA-009
fn a_clock_may_be_ten_seconds_ahead_and_not_sixty() {
    let (key, prover) = (Key::new(), Key::new());
    for skew in [0, 60] {
        let server = server(fapi2(json!({ "clock_skew": skew })), [registered(&key, json!({}))]);
        let at = |jti: &str, ahead: u64| {
            let claims = json!({ "iat": NOW + ahead, "nbf": NOW + ahead, "exp": NOW + 120 });
            let assertion =
                ask(&server, &key.assertion(&format!("a{jti}"), claims), Some(&prover.proof(jti, json!({}))));
            let proof = prover.proof(&format!("p{jti}"), json!({ "iat": NOW + ahead }));
            (assertion.outcome(), ask(&server, &key.assertion(jti, json!({})), Some(&proof)).outcome())
        };
        assert_eq!(at("near", 9), ((200, String::new()), (200, String::new())), "{skew}");
        assert_eq!(at("far", 61), ((401, "invalid_client".into()), (400, "invalid_dpop_proof".into())), "{skew}");
    }
}

#[test]
// req: FA-009
fn a_nonce_excuses_a_clock_that_is_late_and_none_that_is_ahead() {
    let (key, prover) = (Key::new(), Key::new());
    let nonces = client_credentials::DpopNonces::with_keys(["k".repeat(32)]).unwrap();
    let server = server(fapi2(json!({})), [registered(&key, json!({}))]).with_dpop_nonces(nonces);
    let first = ask(&server, &key.assertion("1", json!({})), Some(&prover.proof("1", json!({}))));
    let nonce = first.header("DPoP-Nonce").unwrap();
    for (jti, iat, outcome) in
        [("2", NOW + 9, (200, "")), ("3", NOW - 3600, (200, "")), ("4", NOW + 61, (400, "invalid_dpop_proof"))]
    {
        let proof = prover.proof(jti, json!({ "iat": iat, "nonce": nonce }));
        let answer = ask(&server, &key.assertion(jti, json!({})), Some(&proof));
        assert_eq!(answer.outcome(), (outcome.0, outcome.1.into()), "{jti}");
    }
}

#[test]
// req: FA-002, FA-003, FA-005, FA-006, FA-007, FA-015
fn what_contradicts_it_is_named() {
    assert_eq!(keys(&fapi2(json!({}))), [""; 0]);
    for (contradiction, key) in [
        (
            json!({ "token_endpoint_auth_methods": ["private_key_jwt", "client_secret_basic"] }),
            "token_endpoint_auth_methods",
        ),
        (json!({ "token_endpoint_auth_methods": ["client_secret_jwt"] }), "token_endpoint_auth_methods"),
        (json!({ "signing_algorithms": ["RS256"] }), "signing_algorithms"),
        (json!({ "signing_algorithms": ["ES256", "ES384"] }), "signing_algorithms"),
        (json!({ "token_endpoint_auth_signing_algs": ["ES256", "RS256"] }), "token_endpoint_auth_signing_algs"),
        (json!({ "dpop_signing_algs": ["ES384"] }), "dpop_signing_algs"),
    ] {
        let problem = format!("{contradiction}");
        assert_eq!(keys(&fapi2(contradiction.clone())), [key], "{problem}");
        assert_eq!(keys(&config(contradiction)), [""; 0], "{problem}: nothing is wrong with it by default");
    }
    let key = Key::new();
    let faults = |others: Value| -> Vec<String> {
        registered(&key, others).validate(&fapi2(json!({}))).into_iter().map(|fault| fault.to_string()).collect()
    };
    assert_eq!(faults(json!({})), [""; 0]);
    for (contradiction, named) in [
        (
            json!({ "token_endpoint_auth_method": "client_secret_basic", "client_secret": "a secret of 32 octets, or of more" }),
            "client_secret_basic is not a method of fapi2",
        ),
        (
            json!({ "token_endpoint_auth_method": ["private_key_jwt", "client_secret_jwt"], "client_secret": "a secret of 32 octets, or of more" }),
            "client_secret_jwt is not a method of fapi2",
        ),
        (json!({ "token_endpoint_auth_method": "none" }), "none is not a method of fapi2"),
        (json!({ "assertion_audience": "legacy" }), "legacy contradicts fapi2"),
        (
            json!({ "federated": [{ "issuer": "https://ci.example.com", "subject": "job", "audience": "api://elsewhere", "jwks": { "keys": [key.0.jwk()] } }] }),
            "federated[0].audience: another audience than the issuer contradicts fapi2",
        ),
        (json!({ "token_endpoint_auth_signing_alg": "RS256" }), "RS256 is not an algorithm of fapi2"),
    ] {
        let told = faults(contradiction.clone());
        assert!(told.iter().any(|fault| fault.contains(named)), "{contradiction}: {told:?}");
        let server = server(fapi2(json!({})), [registered(&key, contradiction)]);
        let proof = Key::new().proof("1", json!({}));
        assert_eq!(
            ask(&server, &key.assertion("1", json!({})), Some(&proof)).outcome(),
            (401, "invalid_client".into())
        );
    }
}

#[test]
// req: FA-012, FA-016
fn the_metadata_say_what_it_allows() {
    let keys = SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
    let server = server(fapi2(json!({})), []).with_signing_keys(keys);
    let told: Value = serde_json::from_slice(&server.metadata().body()).unwrap();
    let few = json!(["ES256", "EdDSA", "Ed25519", "PS256"]);
    for member in ["token_endpoint_auth_signing_alg_values_supported", "dpop_signing_alg_values_supported"] {
        assert_eq!(told[member], few, "{member}");
    }
    let allowed = ["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"];
    let methods = told["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(
        !methods.is_empty() && methods.iter().all(|method| allowed.contains(&method.as_str().unwrap())),
        "{methods:?}"
    );
    let published: Value = serde_json::from_slice(&server.jwks()).unwrap();
    for jwk in published["keys"].as_array().unwrap() {
        assert!(jwk.get("x5u").is_none() && jwk.get("jku").is_none());
    }
}
