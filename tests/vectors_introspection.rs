//! Every case of `introspection.json`: what a caller is told about a token (RFC 7662).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;

use serde_json::Value;
use support::state::server_in;
use support::*;

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
