//! JWT access tokens (RFC 9068): what is in them, the keys behind them, and how they are asked about and ended.
#![cfg(feature = "jwt")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{
    Claims, Reason, SigningAlgorithm, SigningKey, SigningKeys, Thumbprint, Timestamp, TokenRequest,
};
use serde_json::{Value, json};
use std::sync::Arc;
use support::signed::{CREDENTIALS, about, ask, jwt_client};
use support::*;

/// Header and claims, unverified.
fn parts(token: &str) -> (Value, Value) {
    let part = |at: usize| {
        let text = token.split('.').nth(at).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    (part(0), part(1))
}

/// Verifies a token by another library, as a resource server with the published key set would.
fn verified(server: &Server, token: &str, audience: &str) -> Value {
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&server.jwks()).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&["https://as.example.com"]);
    validation.validate_exp = false; // the test's clock stands still
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
}

#[test]
fn thumbprints() {
    let vectors = vectors("thumbprint.json");
    for case in vectors["cases"].as_array().unwrap() {
        let found = Thumbprint::of_jwk(&case["jwk"].to_string()).map(|thumbprint| thumbprint.to_string());
        match case["expect"]["thumbprint"].as_str() {
            Some(thumbprint) => assert_eq!(found.as_deref(), Ok(thumbprint), "{}", case["name"]),
            None => assert!(found.is_err(), "{}", case["name"]),
        }
    }
}

/// The kind `issue` of `jwt_access_token.json`: header and claims, exactly, signed so that another library believes them.
#[test]
// req: JW-001, JW-014
fn issued_tokens() {
    let file = vectors("jwt_access_token.json");
    let keys = vectors_keys();
    let mut cases = 0;
    for case in file["cases"].as_array().unwrap().iter().filter(|case| case["kind"] == "issue") {
        cases += 1;
        let (name, input, expect) = (&case["name"], &case["input"], &case["expect"]);
        let (algorithm, key) = match input["alg"].as_str().unwrap() {
            "ES256" => (SigningAlgorithm::Es256, &keys["ec-as"]),
            "EdDSA" => (SigningAlgorithm::EdDsa, &keys["ed-as"]),
            "RS256" => (SigningAlgorithm::Rs256, &keys["rsa-as"]),
            "PS256" => (SigningAlgorithm::Ps256, &keys["rsa-as"]),
            other => panic!("{other}"),
        };
        let mut key = key.clone();
        key["kid"] = input["kid"].clone();
        key.as_object_mut().unwrap().remove("alg");
        let key = SigningKey::from_jwk(algorithm, &key.to_string()).unwrap();
        let mut config = config(json!({ "access_token_format": "jwt" }));
        config.signing_algorithms = vec![algorithm];
        let server = server(config, [jwt_client()]).with_signing_keys(SigningKeys::new([key]));

        let client = server.vouch_for(Arc::new(jwt_client()), &[]).unwrap();
        let sent = Sent::form("grant_type=client_credentials&scope=write");
        let mut grant = server.authorize(&client, &TokenRequest::parse(sent.parts()).unwrap()).unwrap();
        grant.scope = serde_json::from_value(json!(
            input["scope"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect::<Vec<_>>().join(" ")
        ))
        .unwrap();
        grant.audience = serde_json::from_value(input["audience"].clone()).unwrap();
        grant.lifetime = input["lifetime"].as_u64().unwrap();
        grant.confirmation = serde_json::from_value(input["confirmation"].clone()).unwrap();
        let mut claims = Claims::default();
        for (name, value) in input["claims"].as_object().into_iter().flatten() {
            claims.insert(name, value).unwrap();
        }
        grant.claims = claims;
        let issued = run(server.issue(client, grant)).unwrap();

        let (header, mut claims) = parts(issued.access_token.expose());
        assert_eq!(header, expect["header"], "{name}");
        assert_eq!(claims, verified(&server, issued.access_token.expose(), "https://api.example.com"), "{name}");
        let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(jti.as_str().unwrap().len(), 22, "{name}");
        assert_eq!(claims, expect["claims"], "{name}");
    }
    assert_eq!(cases, 11);
}

fn vectors_keys() -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys.json");
    serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap()["keys"].clone()
}

/// Every algorithm, and every claim that RFC 9068 §2.2 asks for.
#[test]
// req: JW-002, JW-003, JW-004, JW-005, JW-006, JW-007, JW-008, JW-009, JW-010, JW-011, JW-012, JW-035, MD-016, MD-017
fn a_signed_token_says_what_it_has_to_and_no_more() {
    for algorithm in ["ES256", "ES384", "EdDSA", "RS256", "PS256"] {
        let settings = config(json!({ "signing_algorithms": [algorithm], "access_token_lifetime": 600 }));
        let key = SigningKey::generate(settings.signing_algorithms[0]).unwrap();
        let kid = key.kid().to_owned();
        let server = server(settings, [jwt_client()]).with_signing_keys(SigningKeys::new([key]));
        let published: Value = serde_json::from_slice(&server.jwks()).unwrap();
        let [jwk] = published["keys"].as_array().unwrap().as_slice() else { panic!("{published}") };
        assert_eq!((&jwk["kid"], &jwk["alg"], &jwk["use"]), (&json!(kid), &json!(algorithm), &json!("sig")));
        assert_eq!(Thumbprint::of_jwk(&jwk.to_string()).unwrap().to_string(), kid, "RFC 7638");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(jwk.get(private), None, "{algorithm}");
        }
        let issued = ask(&server);
        let header = json!({ "typ": "at+jwt", "alg": algorithm, "kid": kid });
        assert_eq!(parts(&issued).0, header);
        let mut claims = verified(&server, &issued, "https://as.example.com");
        assert!(claims.as_object_mut().unwrap().remove("jti").is_some());
        let expected = json!({
            "iss": "https://as.example.com", "sub": "myClient", "client_id": "myClient", "aud": "https://as.example.com",
            "iat": NOW, "exp": NOW + 600, "scope": "write",
        });
        assert_eq!(claims, expected, "{algorithm}");
    }
    // No two tokens have one identifier, of 128 bits, whichever thread asks and however often the octets are fetched.
    let key = SigningKey::generate(SigningAlgorithm::EdDsa).unwrap();
    let server = server(config(json!({ "signing_algorithms": ["EdDSA"] })), [jwt_client()])
        .with_signing_keys(SigningKeys::new([key]));
    let jtis = || (0..250).map(|_| parts(&ask(&server)).1["jti"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let distinct: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(jtis)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(distinct.len(), 1000);
    assert!(distinct.iter().all(|jti| URL_SAFE_NO_PAD.decode(jti).unwrap().len() == 16));
}

#[test]
// req: SC-019
fn a_signed_token_has_the_granted_scope() {
    let keys = SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
    let server = server(config(json!({ "scope_policy": "narrow" })), [jwt_client()]).with_signing_keys(keys);
    let sent = Sent::form(format!("grant_type=client_credentials&{CREDENTIALS}&scope=delete+read"));
    let answer = token(&server, &sent);
    assert_eq!(answer.text("scope"), "read");
    assert_eq!(parts(&answer.text("access_token")).1["scope"], "read");
    let none = client(json!({
        "client_id": "myClient", "client_secret": "mySecret", "grant_types": ["client_credentials"], "default_scope": "",
        "token_endpoint_auth_method": "client_secret_post", "access_token_format": "jwt",
    }));
    server.clients().insert(none);
    assert_eq!(parts(&ask(&server)).1.get("scope"), None, "an empty scope is none");
}

/// Random octets that cannot be had are a 503, and nothing is issued.
#[test]
fn without_random_octets_no_token_is_signed() {
    struct Empty;
    impl client_credentials::RandomSource for Empty {
        fn fill(&self, _: &mut [u8]) -> Result<(), client_credentials::RandomError> {
            Err(client_credentials::RandomError::default())
        }
    }
    let keys = SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
    let server = server(config(json!({})), [jwt_client()]).with_random(Empty).with_signing_keys(keys);
    let answer = token(&server, &Sent::form(format!("grant_type=client_credentials&{CREDENTIALS}")));
    assert_eq!(answer.outcome(), (503, "temporarily_unavailable".into()));
}

#[test]
// req: TO-012, RS-010
fn a_client_may_have_a_format_of_its_own() {
    let other = my_client();
    let server = server(config(json!({})), [jwt_client(), client(json!({
        "client_id": "opaque", "client_secret": "a secret", "scope": "write", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post",
    }))])
    .with_signing_keys(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]));
    assert_eq!(other.access_token_format, None);
    let signed = ask(&server);
    assert_eq!(signed.matches('.').count(), 2);
    assert_eq!(server.tokens().len(), 0, "a signed token is its own record");
    let claims = verified(&server, &signed, "https://as.example.com");
    assert_eq!(claims["aud"], "https://as.example.com", "where nobody was named, the issuer");
    let opaque = token(
        &server,
        &Sent::form("grant_type=client_credentials&client_id=opaque&client_secret=a+secret&scope=write"),
    );
    assert_eq!(opaque.text("access_token").len(), 43);
}

#[test]
// req: IN-019, IN-020, RV-009, RV-018, RV-019, SE-016
fn a_signed_token_is_introspected_and_revoked() {
    let clock = TestClock::at(NOW);
    let keys = || SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
    let server = server_at(config(json!({ "access_token_lifetime": 60 })), [jwt_client()], clock.clone())
        .with_signing_keys(keys());
    let stranger = server_at(config(json!({})), [jwt_client()], clock.clone()).with_signing_keys(keys());
    let signed = ask(&server);
    let told = introspect(&server, &about(&signed)).json();
    let (_, claims) = parts(&signed);
    for member in ["iss", "sub", "client_id", "aud", "iat", "exp", "jti", "scope"] {
        assert_eq!(told[member], claims[member], "{member}");
    }
    assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("Bearer")));

    // Another's key, another's claims, another kind: unknown, and no revocation of the real one.
    let forged = ask(&stranger);
    let [header, payload, signature] = signed.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other = URL_SAFE_NO_PAD.encode(json!({ "iss": "https://as.example.com", "sub": "a" }).to_string());
    let none = URL_SAFE_NO_PAD.encode(json!({ "typ": "at+jwt", "alg": "none", "kid": "x" }).to_string());
    let tampered = [
        forged,
        format!("{header}.{other}.{signature}"),
        format!("{none}.{payload}."),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{}", &signature[1..]),
    ];
    for token in &tampered {
        assert_eq!(introspect(&server, &about(token)).body, br#"{"active":false}"#, "{token}");
        assert_eq!(revoke(&server, &about(token)).status, 200);
    }
    assert_eq!(introspect(&server, &about(&signed)).json()["active"], true);

    assert_eq!(revoke(&server, &about(&signed)).body, b"{}");
    assert_eq!(revoke(&server, &about(&signed)).body, b"{}", "a second time");
    assert_eq!(introspect(&server, &about(&signed)).body, br#"{"active":false}"#);
    assert_eq!(server.tokens().len(), 1, "one entry in the deny list");
    let second = ask(&server);
    assert_eq!(introspect(&server, &about(&second)).json()["active"], true, "another token of the same client");
    clock.advance(60);
    assert_eq!(introspect(&server, &about(&second)).body, br#"{"active":false}"#, "past");
    let after_the_skew = Timestamp::from_secs(NOW + 60 + 30);
    assert_eq!(server.tokens().remove_expired(after_the_skew), 1);
}

/// A successor is published before it signs, and what was signed before it stays valid.
#[test]
// req: MD-016, MD-017
fn keys_rotate_by_the_clock() {
    let clock = TestClock::at(NOW);
    let first = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let keys = Arc::new(SigningKeys::new([first]).with_retire_period(3600));
    let server = server_at(config(json!({})), [jwt_client()], clock.clone()).with_signing_keys(Arc::clone(&keys));
    let published = |server: &Server| -> Vec<Value> {
        let set: Value = serde_json::from_slice(&server.jwks()).unwrap();
        set["keys"].as_array().unwrap().clone()
    };
    let kid = |token: &str| parts(token).0["kid"].clone();
    let old = ask(&server);
    keys.add(SigningKey::generate(SigningAlgorithm::Es256).unwrap(), Timestamp::from_secs(NOW + 600));
    assert_eq!(published(&server).len(), 2, "published at once");
    assert_eq!(kid(&ask(&server)), kid(&old), "and not used yet");
    clock.advance(600);
    let new = ask(&server);
    assert_ne!(kid(&new), kid(&old));
    for token in [&old, &new] {
        assert_eq!(introspect(&server, &about(token)).json()["active"], true);
        verified(&server, token, "https://as.example.com");
    }
    clock.advance(3601);
    let left = published(&server);
    assert_eq!(left.len(), 1, "retired");
    assert_eq!(left[0]["kid"], kid(&new));
    for key in published(&server) {
        let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"], "public members alone");
    }
}

#[test]
fn a_server_without_a_key_says_so() {
    let server = server(config(json!({})), [jwt_client()]).on_event(|_| ());
    let sent = Sent::form(format!("grant_type=client_credentials&{CREDENTIALS}"));
    let request = TokenRequest::parse(sent.parts()).unwrap();
    let error = run(client_credentials::issue_client_credentials_token(&server, &request)).unwrap_err();
    assert_eq!(error.status(), 500);
    assert!(matches!(error.reason(), Reason::NoSigningKey("ES256")));
    assert!(server.metadata().jwks_uri.is_none());
}

/// PEM of other tools is read, and a key of the wrong kind refused.
#[test]
fn keys_are_read_from_pem_and_jwk() {
    let keys = vectors_keys();
    let pem = include_str!("keys/ec-p256-pkcs8.pem");
    assert!(SigningKey::from_pem(SigningAlgorithm::Es256, pem).is_ok());
    assert!(SigningKey::from_pem(SigningAlgorithm::Es256, include_str!("keys/ec-p256-sec1.pem")).is_ok());
    assert!(SigningKey::from_pem(SigningAlgorithm::EdDsa, include_str!("keys/ed25519-pkcs8.pem")).is_ok());
    assert!(SigningKey::from_pem(SigningAlgorithm::Rs256, include_str!("keys/rsa-2048-pkcs8.pem")).is_ok());
    for wrong in [SigningAlgorithm::Es384, SigningAlgorithm::EdDsa, SigningAlgorithm::Rs256] {
        assert!(SigningKey::from_pem(wrong, pem).is_err(), "{wrong}");
        assert!(SigningKey::from_jwk(wrong, &keys["ec-as"].to_string()).is_err(), "{wrong}");
    }
    assert!(SigningKey::from_jwk(SigningAlgorithm::Rs256, &keys["rsa-weak-1024"].to_string()).is_err(), "1024 bits");
    for (algorithm, name) in [
        (SigningAlgorithm::Es384, "ec384-a"),
        (SigningAlgorithm::EdDsa, "ed-as"),
        (SigningAlgorithm::Ps256, "rsa-4096"),
    ] {
        let key = SigningKey::from_jwk(algorithm, &keys[name].to_string()).unwrap();
        let settings = config(json!({ "signing_algorithms": [algorithm] }));
        let server = server(settings, [jwt_client()]).with_signing_keys(SigningKeys::new([key]));
        let issued = ask(&server);
        verified(&server, &issued, "https://as.example.com");
        assert_eq!(introspect(&server, &about(&issued)).json()["active"], true, "{name}");
    }
    let key = SigningKey::from_jwk(SigningAlgorithm::Es256, &keys["ec-as"].to_string()).unwrap();
    assert!(!format!("{key:?}").contains(keys["ec-as"]["d"].as_str().unwrap()));
}

#[test]
// req: IN-025, IN-026, MD-025, SE-016
fn a_signed_introspection_answer() {
    const SIGNED: &str = "application/token-introspection+jwt";
    let inspector = client(json!({
        "client_id": "inspector", "client_secret": "another secret", "grant_types": [], "may_introspect": true,
        "token_endpoint_auth_method": "client_secret_post",
    }));
    let keys = SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
    let server = server(config(json!({})), [jwt_client(), inspector, my_client_with("other")]).with_signing_keys(keys);
    let access_token = ask(&server);
    let ask_about = |token: &str, who: &str, secret: &str| {
        let form = format!("token={token}&client_id={who}&client_secret={secret}");
        introspect(&server, &Sent::form(form).header("Accept", SIGNED))
    };
    // The stranger hears the same nothing in either form.
    for (who, secret, active) in [("inspector", "another+secret", true), ("other", "mySecret", false)] {
        let answer = ask_about(&access_token, who, secret);
        assert_eq!(answer.header("Content-Type"), Some(SIGNED));
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        let jwt = String::from_utf8(answer.body).unwrap();
        let (header, claims) = parts(&jwt);
        assert_eq!(header["typ"], "token-introspection+jwt");
        let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&server.jwks()).unwrap();
        let key = keys.find(header["kid"].as_str().unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        validation.set_audience(&[who]);
        validation.required_spec_claims.clear();
        let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
        assert_eq!(jsonwebtoken::decode::<Value>(&jwt, &key, &validation).unwrap().claims, claims);
        let told = &claims["token_introspection"];
        assert_eq!(told["active"], active);
        if active {
            let plain = format!("token={access_token}&client_id={who}&client_secret={secret}");
            assert_eq!(*told, introspect(&server, &Sent::form(plain)).json(), "the same members in either form");
        } else {
            assert_eq!(*told, json!({ "active": false }));
        }
        let expected = json!({ "iss": "https://as.example.com", "aud": who, "iat": NOW, "token_introspection": told });
        assert_eq!(claims, expected, "no sub and no exp at the top");

        // It passes neither as an access token nor as an assertion.
        assert_eq!(introspect(&server, &about(&jwt)).body, br#"{"active":false}"#);
        let asserted = format!(
            "grant_type=client_credentials&client_assertion={jwt}&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        assert_eq!(token(&server, &Sent::form(asserted)).outcome(), (401, "invalid_client".into()));
    }
    let described: Value = serde_json::from_slice(&server.metadata().body()).unwrap();
    assert_eq!(described["introspection_signing_alg_values_supported"], json!(["ES256"]));
    // Without keys, or without being asked, the answer is JSON.
    assert_eq!(introspect(&server, &about(&access_token)).header("Content-Type"), Some("application/json"));
    let keyless = support::server(config(json!({})), [jwt_client()]);
    let answer = introspect(&keyless, &about("x").header("Accept", SIGNED));
    assert_eq!((answer.header("Content-Type"), &*answer.body), (Some("application/json"), &br#"{"active":false}"#[..]));
    let described: Value = serde_json::from_slice(&keyless.metadata().body()).unwrap();
    assert_eq!(described.get("introspection_signing_alg_values_supported"), None);
}

/// `myClient` under another name.
fn my_client_with(client_id: &str) -> client_credentials::Client {
    let mut client = my_client();
    client.client_id = client_id.parse().unwrap();
    client
}

/// A key rotated under load: no request fails, and no token that was issued before becomes invalid.
#[test]
// req: JW-015, JW-016
fn keys_rotate_under_load() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let keys = Arc::new(SigningKeys::new([SigningKey::generate(SigningAlgorithm::EdDsa).unwrap()]));
    let server =
        server(config(json!({ "signing_algorithms": ["EdDSA"] })), [jwt_client()]).with_signing_keys(Arc::clone(&keys));
    let done = AtomicBool::new(false);
    let issued: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut issued = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let token = ask(&server);
                assert_eq!(introspect(&server, &about(&token)).json()["active"], true);
                issued.push(token);
            }
            issued
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        for _ in 0..20 {
            keys.add(SigningKey::generate(SigningAlgorithm::EdDsa).unwrap(), Timestamp::from_secs(NOW));
            std::thread::yield_now();
        }
        done.store(true, Ordering::SeqCst);
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    for token in &issued {
        assert_eq!(introspect(&server, &about(token)).json()["active"], true);
    }
    let kids = |token: &String| parts(token).0["kid"].as_str().unwrap().to_owned();
    let newest: Value = serde_json::from_slice(&server.jwks()).unwrap();
    assert_eq!(newest["keys"].as_array().unwrap().len(), 21, "old keys stay published");
    let last = newest["keys"].as_array().unwrap().last().unwrap()["kid"].as_str().unwrap().to_owned();
    assert_eq!(kids(&ask(&server)), last, "the newest signs");
}
