//! Every case of `introspection.json`: what a caller is told about a token (RFC 7662).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{RandomError, RandomSource, Timestamp, TokenRequest};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use support::*;

/// A random source whose octets the test chooses, so that a token has the text that the vectors give it.
#[derive(Clone, Default)]
struct Chosen(Arc<Mutex<[u8; 32]>>);

impl RandomSource for Chosen {
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError> {
        octets.copy_from_slice(&*self.0.lock().unwrap());
        Ok(())
    }
}

/// The state of the vectors: every token issued at its `iat` to a stand-in for its client, which has the grant; then the
/// clients as the vectors have them, and what is revoked revoked.
fn server_in(state: &Value) -> Server {
    let (clock, random) = (TestClock::at(0), Chosen::default());
    let config = config(json!({ "issuer": state["issuer"] }));
    let server = server_at(config, [], clock.clone()).with_random(random.clone());
    let tokens = state["tokens"].as_object().unwrap();
    for (text, token) in tokens {
        clock.set_millis(token["iat"].as_u64().unwrap() * 1000);
        *random.0.lock().unwrap() = URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap();
        assert_eq!(issue(&server, token), *text);
    }
    for token in tokens.values() {
        server.clients().remove(token["client_id"].as_str().unwrap());
    }
    for registration in state["clients"].as_array().unwrap() {
        let mut registration = registration.clone();
        registration.as_object_mut().unwrap().remove("note"); // speaks to the reader of the vectors
        server.clients().insert(client(registration));
    }
    clock.set_millis(state["now"].as_u64().unwrap() * 1000);
    for (text, _) in tokens.iter().filter(|(_, token)| token["revoked"] == true) {
        assert_eq!(revoke(&server, &by_owner(state, text).unwrap()).status, 200);
    }
    server
}

/// Issues one token by the stages.
fn issue(server: &Server, token: &Value) -> String {
    let owner = Arc::new(client(json!({
        "client_id": token["client_id"], "client_secret": "of a stand-in", "grant_types": ["client_credentials"],
        "default_scope": "",
    })));
    server.clients().insert(Arc::clone(&owner));
    let once: [(&str, Timestamp); 0] = [];
    let owner = server.vouch_for(owner, once).unwrap();
    let asked = Sent::form("grant_type=client_credentials");
    let mut grant = server.authorize(&owner, &TokenRequest::parse(asked.parts()).unwrap()).unwrap();
    grant.lifetime = token["exp"].as_u64().unwrap() - token["iat"].as_u64().unwrap();
    grant.scope = serde_json::from_value(token["scope"].clone()).unwrap();
    grant.audience = serde_json::from_value(token["aud"].clone()).unwrap();
    grant.confirmation = serde_json::from_value(token["cnf"].clone()).unwrap();
    run(server.issue(owner, grant)).unwrap().access_token.expose().to_owned()
}

/// A request about a token by the client it was issued to; `None` where there is no such token or client.
fn by_owner(state: &Value, token: &str) -> Option<Sent> {
    let client_id = state["tokens"].get(token)?["client_id"].as_str()?;
    let mut clients = state["clients"].as_array()?.iter();
    let secret = clients.find(|client| client["client_id"] == client_id)?["client_secret"].as_str()?;
    Some(Sent::form(format!("token={token}")).basic(client_id, secret))
}

/// Whether the answer has every member of `expected`; a single audience may be a text or a list of one.
fn has(body: &Value, expected: &Value, aud_may_be_array: bool) -> bool {
    expected.as_object().unwrap().iter().all(|(member, value)| {
        let alone = body[member].as_array().is_some_and(|list| list.len() == 1 && list.first() == Some(value));
        body.get(member) == Some(value) || (member == "aud" && aud_may_be_array && alone)
    })
}

#[test]
// req: IN-001, IN-002, IN-003, IN-004, IN-005, IN-006, IN-007, IN-008, IN-009, IN-010, IN-011, IN-012, IN-013, IN-015
// req: IN-016, IN-017, IN-022, IN-027, TO-013, SC-029, SE-017, DP-029, MT-012
fn introspection() {
    let vectors = vectors("introspection.json");
    let state = &vectors["state"];
    let (mut active, mut inactive, mut refused) = (0, 0, 0);
    for case in vectors["cases"].as_array().unwrap() {
        let (name, expect) = (&case["name"], &case["expect"]);
        let sent = sent(&case["request"]);
        let answer = introspect(&server_in(state), &sent);
        let allowed = expect["status_any"].as_array().cloned().unwrap_or_else(|| vec![expect["status"].clone()]);
        assert!(allowed.contains(&answer.status.into()), "{name}: {answer:?}");
        for (field, value) in expect["headers"].as_object().into_iter().flatten() {
            assert_eq!(answer.header(field), value.as_str(), "{name}: {field}");
        }
        let body = answer.json();
        if !expect["body"].is_null() {
            assert_eq!(body, expect["body"], "{name}");
        }
        if !expect["body_has"].is_null() {
            let aud_may_be_array = expect["aud_may_be_array"] == true;
            assert!(has(&body, &expect["body_has"], aud_may_be_array), "{name}: {body}");
        }
        if let Some(bodies) = expect["body_has_any"].as_array() {
            assert!(bodies.iter().any(|expected| has(&body, expected, false)), "{name}: {body}");
        }
        for member in expect["absent"].as_array().into_iter().flatten() {
            assert_eq!(body.get(member.as_str().unwrap()), None, "{name}: {member}");
        }
        // Beyond the vector: inactive is always the same octets, and active has an identifier.
        match &body["active"] {
            Value::Bool(false) => {
                assert_eq!(answer.body, br#"{"active":false}"#, "{name}");
                inactive += 1;
            }
            Value::Bool(true) => {
                assert!(body["jti"].as_str().is_some_and(|jti| !jti.is_empty()), "{name}");
                assert_eq!(body.get("aud").is_some(), expect["body_has"].get("aud").is_some(), "{name}");
                assert_eq!(body["nbf"], body["iat"], "{name}");
                active += 1;
            }
            _ => {
                assert!(answer.status >= 400, "{name}: {body}");
                refused += 1;
            }
        }
    }
    assert_eq!((active, inactive, refused), (22, 22, 16), "nothing is skipped");
}
