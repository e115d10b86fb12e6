//! Every case of `revocation.json`: who may end which token, and what is left of it (RFC 7009).
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

#[test]
// req: RV-001, RV-002, RV-003, RV-004, RV-005, RV-006, RV-008, RV-011, RV-013, RV-016, RV-017, RV-020
fn revocation() {
    let vectors = vectors("revocation.json");
    let state = &vectors["state"];
    let live = state["token_names"]["live"].as_str().unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let (name, expect) = (&case["name"], &case["expect"]);
        let sent = sent(&case["request"]);
        let server = server_in(state);
        let answer = revoke(&server, &sent);
        let allowed = expect["status_any"].as_array().cloned().unwrap_or_else(|| vec![expect["status"].clone()]);
        assert!(allowed.contains(&answer.status.into()), "{name}: {answer:?}");
        for (field, value) in expect["headers"].as_object().into_iter().flatten() {
            assert_eq!(answer.header(field), value.as_str(), "{name}: {field}");
        }
        let body = answer.json();
        let has = |expected: &Value| expected.as_object().unwrap().iter().all(|(member, value)| body[member] == *value);
        if !expect["body_has"].is_null() {
            assert!(has(&expect["body_has"]), "{name}: {body}");
        }
        if let Some(bodies) = expect["body_has_any"].as_array() {
            assert!(bodies.iter().any(has), "{name}: {body}");
        }
        // Beyond the vector: every success is the same empty object, for clients that read JSON or nothing.
        if answer.status == 200 {
            assert_eq!(answer.body, b"{}", "{name}");
            assert_eq!(answer.header("Content-Type"), Some("application/json"), "{name}");
        }

        // What the owner is told afterwards; `None` for a token that never was.
        let is_active =
            |token: &str| by_owner(state, token).map(|asked| introspect(&server, &asked).json()["active"] == true);
        let parameters: Vec<_> = form_urlencoded::parse(&sent.body).collect();
        let token = parameters.iter().find(|(name, _)| name == "token").map_or("", |(_, token)| token);
        if let Some(active_after) = expect.get("active_after") {
            assert_eq!(is_active(token), active_after.as_bool(), "{name}");
        }
        // Whatever was refused, or never was a token, leaves the live token alone.
        let ended = expect["active_after"] == false && token == live;
        assert_eq!(is_active(live), Some(!ended), "{name}: the live token");
    }
}
