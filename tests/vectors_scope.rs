//! Every case of `scope.json`: the grammar, and what is granted of what was asked for (RFC 6749 §3.3).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use client_credentials::Scope;
use serde_json::{Value, json};
use support::*;

/// The cases of one kind.
fn cases(kind: &str) -> Vec<Value> {
    let vectors = vectors("scope.json");
    let cases: Vec<Value> = vectors["cases"].as_array().unwrap().to_vec();
    assert!(cases.iter().all(|case| case["kind"] == "parse" || case["kind"] == "evaluate"), "a kind without a test");
    cases.into_iter().filter(|case| case["kind"] == kind).collect()
}

fn tokens(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect()
}

#[test]
// req: SC-001, SC-002, SC-003, SC-018
fn parse() {
    let cases = cases("parse");
    assert_eq!(cases.len(), 53);
    for case in &cases {
        let (name, expect) = (&case["name"], &case["expect"]);
        let parsed = Scope::parse(case["scope"].as_str().unwrap());
        if expect["error"] == "invalid_scope" {
            assert!(parsed.is_err(), "{name}: {parsed:?}");
            continue;
        }
        let parsed = parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = tokens(&expect["scopes"]);
        assert_eq!(parsed.tokens().collect::<Vec<_>>(), expected, "{name}");
        assert_eq!(parsed.as_str(), expected.join(" "), "{name}");
    }
}

#[test]
// req: SC-004, SC-006, SC-007, SC-008, SC-009, SC-010, SC-011, SC-012, SC-013, SC-014, SC-015, SC-016, SC-017, SC-018
// req: SC-020, SC-029, TR-009
fn evaluate() {
    let cases = cases("evaluate");
    assert_eq!(cases.len(), 51);
    for case in &cases {
        let (name, input, expect) = (&case["name"], &case["input"], &case["expect"]);
        let config = config(json!({
            "scopes": input["server_scopes"],
            "default_scopes": input["server_default"].as_array().cloned().unwrap_or_default(),
            "scope_policy": input["policy"],
        }));
        let mut registration = json!({
            "client_id": "c", "client_secret": "the secret of c", "grant_types": ["client_credentials"],
            "scope": tokens(&input["client_scopes"]).join(" "),
        });
        if !input["client_default"].is_null() {
            registration["default_scope"] = tokens(&input["client_default"]).join(" ").into();
        }
        let server = server(config, [client(registration)]);
        let mut form = form_urlencoded::Serializer::new("grant_type=client_credentials".to_owned());
        if let Some(requested) = input["requested"].as_str() {
            form.append_pair("scope", requested);
        }
        let answer = token(&server, &Sent::form(form.finish()).basic("c", "the secret of c"));
        if expect["error"] == "invalid_scope" {
            assert_eq!(answer.outcome(), (400, "invalid_scope".to_owned()), "{name}");
            assert!(server.tokens().is_empty(), "{name}: a refused request left a token behind");
            continue;
        }
        assert_eq!(answer.status, 200, "{name}: {:?}", answer.json());
        // Always told, as one text; absent, and not empty, where nothing is granted.
        let granted = tokens(&expect["granted"]).join(" ");
        let member = (!granted.is_empty()).then(|| Value::from(granted));
        assert_eq!(answer.json().get("scope"), member.as_ref(), "{name}");
    }
}
