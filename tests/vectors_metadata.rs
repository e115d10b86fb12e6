//! Every case of `metadata.json`: what a server says of itself, where it says it, and what an issuer is (RFC 8414).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{AuthorizationServer, Config, metadata_path};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::*;

/// The cases of one kind.
fn cases(kind: &str) -> Vec<Value> {
    let vectors = vectors("metadata.json");
    let cases: Vec<Value> = vectors["cases"].as_array().unwrap().to_vec();
    let known = |case: &Value| ["document", "location", "issuer"].into_iter().any(|kind| case["kind"] == kind);
    assert!(cases.iter().all(known), "a kind without a test");
    cases.into_iter().filter(|case| case["kind"] == kind).collect()
}

/// Equal, where the order of an array says nothing.
fn same(found: &Value, expected: &Value) -> bool {
    let set = |list: &[Value]| list.iter().map(Value::to_string).collect::<BTreeSet<_>>();
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => found.len() == expected.len() && set(found) == set(expected),
        _ => found == expected,
    }
}

/// The document, its status, and its header fields: as they come out of the router where there is one.
#[cfg(feature = "http")]
fn document(server: Server) -> Answer {
    let path = metadata_path(&server.config().issuer);
    let realms = TestRealms::new(server);
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let response = run(client_credentials::http::respond(&realms, &request));
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: response.into_body(),
    }
}

#[cfg(not(feature = "http"))]
fn document(server: Server) -> Answer {
    let metadata = server.metadata();
    let headers = metadata.headers().map(|(name, value)| (name.to_owned(), value.into_owned()));
    Answer { status: 200, headers: headers.collect(), body: metadata.body() }
}

#[test]
// req: MT-018, MT-019, MD-008, MD-023, MD-001, MD-002, MD-005, MD-006, MD-007, MD-010, MD-011, MD-012, MD-013, MD-015
fn documents() {
    let mut waiting = Vec::new();
    for case in cases("document") {
        let (name, input, expect) = (&case["name"], &case["input"], &case["expect"]);
        let built = |feature: &Value| {
            (feature == "jwt" && cfg!(feature = "jwt"))
                || (feature == "dpop" && cfg!(feature = "dpop"))
                || (feature == "rar" && cfg!(feature = "rar"))
                || (feature == "mtls" && cfg!(feature = "mtls"))
        };
        if !input["features"].as_array().unwrap().iter().all(built) {
            waiting.push(name.as_str().unwrap().to_owned());
            continue;
        }
        let keys = [
            "issuer",
            "scopes",
            "token_endpoint_auth_methods",
            "access_token_format",
            "signing_algorithms",
            "token_endpoint_auth_signing_algs",
            "dpop_signing_algs",
            #[cfg(feature = "rar")]
            "authorization_details_types",
            "mtls_base",
        ];
        let given = keys.into_iter().filter(|key| !input[key].is_null());
        let mut settings = given.map(|key| (key.to_owned(), input[key].clone())).collect::<Value>();
        if cfg!(feature = "dpop") && !input["features"].as_array().unwrap().contains(&json!("dpop")) {
            settings["dpop_signing_algs"] = json!([]); // switched off
        }
        let server = server(config(settings), []);
        #[cfg(feature = "jwt")]
        let server = if input["access_token_format"] == "jwt" {
            let key = client_credentials::SigningKey::generate(client_credentials::SigningAlgorithm::Es256).unwrap();
            server.with_signing_keys(client_credentials::SigningKeys::new([key]))
        } else {
            server
        };
        let answer = document(server);
        assert_eq!(expect["status"], answer.status, "{name}");
        for (field, value) in expect["headers"].as_object().unwrap() {
            assert_eq!(answer.header(field), value.as_str(), "{name}: {field}");
        }
        let body = answer.json();
        for (member, value) in expect["members"].as_object().unwrap() {
            assert!(same(&body[member], value), "{name}: {member} is {}, not {value}", body[member]);
        }
        for member in expect["absent"].as_array().unwrap() {
            assert_eq!(body.get(member.as_str().unwrap()), None, "{name}: {member}");
        }
        let may_be_empty = expect["no_empty_arrays_except"].as_array().unwrap();
        for (member, value) in body.as_object().unwrap() {
            assert!(!value.is_null(), "{name}: {member} is null");
            assert!(*value != json!([]) || may_be_empty.contains(&json!(member)), "{name}: {member} is empty");
        }
    }
    let signed = ["jwt", "assertions-private_key_jwt", "assertions-client_secret_jwt"];
    let mut features = if cfg!(feature = "jwt") { Vec::new() } else { signed.to_vec() };
    features.extend((!cfg!(feature = "dpop")).then_some("dpop"));
    features.extend(["mtls", "mtls-aliases"].into_iter().filter(|_| !cfg!(feature = "mtls")));
    features.extend((!cfg!(feature = "rar")).then_some("rar"));
    assert_eq!(waiting, features, "cases that wait for a feature");
}

#[test]
// req: MD-014
fn locations() {
    let cases = cases("location");
    assert_eq!(cases.len(), 6);
    for case in &cases {
        let path = metadata_path(case["input"]["issuer"].as_str().unwrap());
        assert_eq!(case["expect"]["path"], path, "{}", case["name"]);
    }
}

#[test]
// req: MD-003
fn issuers() {
    let cases = cases("issuer");
    assert_eq!(cases.len(), 17);
    for case in &cases {
        let (name, valid) = (&case["name"], case["expect"]["valid"].as_bool().unwrap());
        let config = Config::new(case["input"]["issuer"].as_str().unwrap());
        let faults: Vec<String> = config.validate().into_iter().map(|fault| fault.key).collect();
        assert_eq!(faults.is_empty(), valid, "{name}");
        assert!(valid || faults == ["issuer"], "{name}: {faults:?}");
        let server = AuthorizationServer::new(config, MemoryClientStore::default(), MemoryTokenStore::default());
        assert_eq!(server.is_ok(), valid, "{name}");
    }
}
