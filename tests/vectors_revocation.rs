//! Every case of `revocation.json`: who may end which token, and what is left of it (RFC 7009).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;

use serde_json::Value;
use support::state::{by_owner, server_in};
use support::*;

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
