//! What an attack on signed tokens, keys and the validator found, and would find again.
#![cfg(feature = "jwt")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{Capacity, MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AccessTokenValidator, Audience, AuthorizationServer, PresentedToken, Scope, SigningAlgorithm, SigningKey,
    SigningKeys, Thumbprint, Timestamp, TokenType,
};
use serde_json::{Value, json};
use std::sync::Arc;
use support::signed::{CREDENTIALS, about, ask, jwt_client};
use support::*;

fn is_active(server: &Server, token: &str) -> bool {
    introspect(server, &about(token)).json()["active"] == true
}

fn published(server: &Server) -> usize {
    serde_json::from_slice::<Value>(&server.jwks()).unwrap()["keys"].as_array().unwrap().len()
}

/// A private JWK as other tools make it: always the same `kid`.
fn jwk(name: &str, kid: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys.json");
    let mut keys: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut jwk = keys["keys"][name].take();
    jwk["kid"] = kid.into();
    jwk.as_object_mut().unwrap().remove("alg");
    jwk.to_string()
}

/// Two key files and a restart: what the first one signed before the restart is still good.
#[test]
fn a_key_that_was_replaced_before_the_start_still_verifies() {
    let clock = TestClock::at(NOW);
    let old = || SigningKey::from_pem(SigningAlgorithm::Es256, include_str!("keys/ec-p256-pkcs8.pem")).unwrap();
    let new = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let new_kid = new.kid().to_owned();
    let before = server(config(json!({})), [jwt_client()]).with_signing_keys(SigningKeys::new([old()]));
    let signed = ask(&before);

    let keys = Arc::new(SigningKeys::new([old(), new]).with_retire_period(3600));
    let after = server_at(config(json!({})), [jwt_client()], clock.clone()).with_signing_keys(Arc::clone(&keys));
    assert_eq!(published(&after), 2);
    assert!(is_active(&after, &signed));
    let header = URL_SAFE_NO_PAD.decode(ask(&after).split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["kid"], new_kid, "the last one signs");

    // Both are replaced at a moment that is known: from then on they retire.
    keys.add(SigningKey::generate(SigningAlgorithm::Es256).unwrap(), Timestamp::from_secs(NOW + 10));
    clock.advance(10 + 3600);
    assert_eq!(published(&after), 3);
    clock.advance(1);
    assert_eq!(published(&after), 1);
}

/// A rotation to another key under the old name is not passed over in silence.
#[test]
fn a_second_key_of_one_name_is_told_from_the_first() {
    let key = |name| SigningKey::from_jwk(SigningAlgorithm::Es256, &jwk(name, "sig-1")).unwrap();
    let keys = SigningKeys::new([key("ec-as")]);
    assert!(!keys.add(key("ec-a"), Timestamp::from_secs(NOW)), "its kid is taken");
    assert!(keys.add(SigningKey::generate(SigningAlgorithm::Es256).unwrap(), Timestamp::from_secs(NOW)));
}

/// A `kid` that no reader of this crate takes would make tokens that nobody can verify.
#[test]
fn a_key_is_not_read_with_a_kid_that_its_tokens_could_not_have() {
    let read = |kid: &str| SigningKey::from_jwk(SigningAlgorithm::Es256, &jwk("ec-as", kid));
    let key = read(&"k".repeat(256)).unwrap();
    let server = server(config(json!({})), [jwt_client()]).with_signing_keys(SigningKeys::new([key]));
    assert!(is_active(&server, &ask(&server)));
    assert!(read(&"k".repeat(257)).is_err());
    // Nor is one whose private part is another's.
    let (mut own, other): (Value, Value) =
        (serde_json::from_str(&jwk("ec-as", "a")).unwrap(), serde_json::from_str(&jwk("ec-a", "a")).unwrap());
    own["d"] = other["d"].clone();
    assert!(SigningKey::from_jwk(SigningAlgorithm::Es256, &own.to_string()).is_err());
}

/// A token that would be too long to be introspected or revoked is not issued.
#[test]
fn no_signed_token_is_longer_than_the_endpoints_take() {
    let resources: Vec<String> = (0..9).map(|n| format!("https://api.example.com/{n}/{}", "a".repeat(1500))).collect();
    let settings = config(json!({ "resources": resources }));
    let server = server(settings, [jwt_client()])
        .with_signing_keys(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]));
    let wanted = |count: usize| {
        let resources: String = resources.iter().take(count).map(|resource| format!("&resource={resource}")).collect();
        token(&server, &Sent::form(format!("grant_type=client_credentials&{CREDENTIALS}{resources}")))
    };
    let long = wanted(7).text("access_token");
    assert!(is_active(&server, &long), "{}", long.len());
    assert_eq!(revoke(&server, &about(&long)).status, 200);
    assert!(!is_active(&server, &long));
    assert_eq!(wanted(9).outcome(), (500, "server_error".into()));
}

/// Nodes whose clocks differ share a store: one that is ahead does not forget a revocation that another still needs.
#[test]
fn a_revocation_outlasts_the_difference_of_clocks() {
    let clock = TestClock::at(NOW);
    let settings = config(json!({ "access_token_lifetime": 60 }));
    let server = server_at(settings, [jwt_client()], clock.clone())
        .with_signing_keys(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]));
    let signed = ask(&server);
    assert_eq!(revoke(&server, &about(&signed)).status, 200);
    clock.advance(59);
    let ahead = Timestamp::from_secs(NOW + 60 + 29);
    assert_eq!(server.tokens().remove_expired(ahead), 0);
    assert!(!is_active(&server, &signed));
}

/// Whoever revokes its own tokens takes the room of tokens, and never that of others' assertions.
#[test]
fn revocations_do_not_fill_the_room_of_one_time_values() {
    let clients: MemoryClientStore = [jwt_client()].into_iter().collect();
    let tokens = MemoryTokenStore::with_capacity(Capacity::default().with_tokens(2).with_one_time(1));
    let server = AuthorizationServer::new(config(json!({})), Arc::new(clients), Arc::new(tokens))
        .unwrap()
        .with_clock(TestClock::at(NOW))
        .with_signing_keys(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]));
    for _ in 0..2 {
        assert_eq!(revoke(&server, &about(&ask(&server))).status, 200);
    }
    assert_eq!(revoke(&server, &about(&ask(&server))).status, 503, "full");
    let client = server.vouch_for(Arc::new(jwt_client()), &[("voucher", Timestamp::from_secs(NOW + 60))]).unwrap();
    let sent = Sent::form("grant_type=client_credentials");
    let request = client_credentials::TokenRequest::parse(sent.parts()).unwrap();
    let grant = server.authorize(&client, &request).unwrap();
    assert!(run(server.issue(client, grant)).is_ok(), "a one-time value has room");
}

/// Two readers of a key with a member twice would take it for two keys, with one thumbprint.
#[test]
fn a_thumbprint_is_of_one_key() {
    let good = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    assert!(Thumbprint::of_jwk(good).is_ok());
    assert!(Thumbprint::of_jwk(&good.replace("{", r#"{"x":"AAAA","#)).is_err());
}

/// An issuer that calls a token DPoP-bound, and does not say to which key, has not said that it is a Bearer token.
#[test]
fn a_token_that_is_said_to_be_bound_is_no_bearer_token() {
    let told = |members: Value| {
        let mut answer = json!({ "active": true, "aud": "https://api.example.com", "client_id": "myClient" });
        answer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let validator = AccessTokenValidator::new("https://as.example.com", ["https://api.example.com"])
            .with_introspection(move |_| {
                let answer = answer.to_string().into_bytes();
                async move { Ok::<_, std::io::Error>(answer) }
            });
        run(validator.validate(PresentedToken::new(TokenType::Bearer, "token"))).map_err(|error| error.status())
    };
    for good in [json!({}), json!({ "token_type": "Bearer" }), json!({ "token_type": "bearer" })] {
        assert!(told(good.clone()).is_ok(), "{good}");
    }
    for bound in ["DPoP", "dpop"] {
        assert_eq!(told(json!({ "token_type": bound })).unwrap_err(), 401, "{bound}");
    }
}

/// No text that reaches a token by a name or a value gets out of its place in the JSON, or stands beside a claim of the protocol's.
#[test]
fn odd_text_stays_in_its_claim() {
    let odd = "\"},\"sub\":\"admin\\u2028\u{2028}é𐍈\\";
    let mut odd_client = jwt_client();
    odd_client.client_id = odd.parse().unwrap();
    let server = server(config(json!({})), [odd_client.clone()])
        .with_signing_keys(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]));
    let client = server.vouch_for(Arc::new(odd_client), &[]).unwrap();
    let sent = Sent::form("grant_type=client_credentials");
    let mut grant = server.authorize(&client, &client_credentials::TokenRequest::parse(sent.parts()).unwrap()).unwrap();
    grant.audience = [odd, "b\n\"", "\\"].into_iter().collect();
    for name in [odd, "", "\u{0}", "sub\"", "\\"] {
        grant.claims.insert(name, json!({ odd: [odd, 1.5, null] })).unwrap();
    }
    let token = run(server.issue(client, grant)).unwrap().access_token;
    let payload = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1).unwrap()).unwrap();
    let text = String::from_utf8(payload).unwrap();
    let claims: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(odd), &json!(odd)));
    assert_eq!(claims["aud"], json!([odd, "b\n\"", "\\"]));
    assert_eq!(claims[odd], json!({ odd: [odd, 1.5, null] }));
    let names = ["iss", "sub", "client_id", "aud", "iat", "exp", "jti", "scope"];
    assert_eq!(claims.as_object().unwrap().len(), names.len() + 5);
    // The strict reader, which refuses a member that stands twice, reads the same.
    let keys = client_credentials::JwkSet::from_json(&String::from_utf8(server.jwks()).unwrap()).unwrap();
    let validator =
        AccessTokenValidator::new("https://as.example.com", ["\\"]).with_keys(keys).with_clock(TestClock::at(NOW));
    let read = run(validator.validate(PresentedToken::new(TokenType::Bearer, token.expose()))).unwrap();
    assert_eq!(read.client_id.as_str(), odd);
    assert_eq!(read.claims.names().count(), 5);
}

/// Whoever sends a token decides how long its lists are, before its signature is verified: they are read by sets, so that a
/// token of 16 KiB costs no hundred signatures. What they hold is the same.
#[test]
fn long_lists_hold_each_text_once_in_order() {
    for count in [1_usize, 15, 16, 17, 18, 2000] {
        let texts: Vec<String> = (0..count).map(|n| format!("t{n}")).collect();
        let twice: Vec<&str> = texts.iter().chain(texts.iter().rev()).map(String::as_str).collect();
        let audience: Audience = twice.iter().copied().collect();
        assert!(audience.iter().eq(texts.iter().map(String::as_str)), "{count}");
        assert_eq!(Scope::from_tokens(&twice).unwrap().as_str(), texts.join(" "), "{count}");
    }
}
