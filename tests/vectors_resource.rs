//! Every case of `resource.json`: the audience of a token by the resources that were asked for (RFC 8707 §2).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use serde_json::{Value, json};
use support::*;

#[test]
// req: RS-001, RS-002, RS-003, RS-004, RS-005, RS-006, RS-007, RS-008, RS-009, RS-010, RS-012, RS-013, RS-019, RS-020
// req: TR-009, TR-011
fn resource() {
    let vectors = vectors("resource.json");
    let mut refusal: Option<Answer> = None;
    for case in vectors["cases"].as_array().unwrap() {
        let (name, input, expect) = (&case["name"], &case["input"], &case["expect"]);
        let config = config(json!({
            "default_scopes": ["read"], "resources": input["server_resources"], "default_resources": input["default"],
        }));
        // `null` is no list, which the registration writes the same way.
        let registration = json!({
            "client_id": "c", "client_secret": "the secret of c", "grant_types": ["client_credentials"],
            "resources": input["client_resources"],
        });
        let server = server(config, [client(registration)]);
        let resources = input["resource"].as_array().unwrap().iter().map(|value| ("resource", value.as_str().unwrap()));
        let form = form_urlencoded::Serializer::new("grant_type=client_credentials".to_owned())
            .extend_pairs(resources)
            .finish();
        let answer = token(&server, &Sent::form(form).basic("c", "the secret of c"));
        if expect["error"] == "invalid_target" {
            assert_eq!(answer.outcome(), (400, "invalid_target".to_owned()), "{name}");
            assert!(server.tokens().is_empty(), "{name}: a refused request left a token behind");
            let first = refusal.get_or_insert_with(|| answer.clone());
            assert_eq!(*first, answer, "{name}: the answer tells one refusal from another");
            continue;
        }
        assert_eq!(answer.status, 200, "{name}: {}", answer.json());
        let form = format!("token={}", answer.text("access_token"));
        let told = introspect(&server, &Sent::form(form).basic("c", "the secret of c")).json();
        // One is a text, several are a list, and where there is none the member is absent.
        let audience = match expect["audience"].as_array().unwrap().as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(Value::from(several.to_vec())),
        };
        assert_eq!(told["active"], true, "{name}");
        assert_eq!(told.get("aud"), audience.as_ref(), "{name}");
    }
}
