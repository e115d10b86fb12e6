//! Every case of `assertion.json`: a client assertion, and whom it authenticates (RFC 7521, RFC 7523, rfc7523bis).
#![cfg(feature = "jwt")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use client_credentials::{Client, InvalidJwt, Profile, Reason, TokenRequest, issue_client_credentials_token as issue};
use serde_json::{Value, json};
use support::*;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Clients whose registration cannot be used as it stands, so that the fault is found before the assertion is looked at.
const FAULTY: [&str; 4] = ["rsa-weak", "rsa-huge-e", "rsa-e3", "oct-in-jwks"];

/// Where two checks find a fault, what is found here, and what the vectors name: a registration is judged before its keys are; an
/// algorithm says which method is meant, which is judged before keys too; the size of a header before its `kid`; and a number that
/// no float holds is no JSON; an `iss` of another spelling names a client that nobody knows.
const FOUND_BEFORE: [(&str, &str); 6] = [
    ("client", "issuer"),
    ("faulty", "key"),
    ("faulty", "algorithm"),
    ("method", "algorithm"),
    ("malformed", "key"),
    ("malformed", "time"),
];

/// A client of the vectors; what they leave out is what the grant needs.
fn registered(vector: &Value, legacy: bool) -> Client {
    let mut json = vector.clone();
    let members = json.as_object_mut().unwrap();
    if let Some(secret) = members.remove("raw_secret_base64url") {
        members.insert("client_secrets".into(), json!([{ "mac_key": secret }]));
    }
    members.insert("grant_types".into(), json!(["client_credentials"]));
    members.insert("default_scope".into(), json!(""));
    if legacy {
        members.insert("assertion_audience".into(), json!("legacy"));
    }
    client(json)
}

fn server_of(vectors: &Value, case: &Value) -> Server {
    let settings = |name: &str| case["settings"].get(name).unwrap_or_else(|| &vectors["settings"][name]).clone();
    let legacy = settings("legacy_audience").as_bool().unwrap();
    let clients = vectors["clients"].as_array().unwrap().iter().map(|vector| registered(vector, legacy));
    let config = config(json!({
        "issuer": vectors["issuer"], "profile": settings("profile"), "clock_skew": settings("clock_skew"), "assertion_max_lifetime": settings("max_lifetime"),
    }));
    let token_endpoint = format!("{}/oauth2/access_token", config.issuer);
    assert_eq!(settings("token_endpoint"), json!(token_endpoint));
    server(config, clients)
}

/// Whom an assertion authenticates at the token endpoint, or why it authenticates nobody.
fn present(server: &Server, assertion: &str, client_id: Option<&str>) -> Result<String, Reason> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    form.append_pair("client_assertion_type", JWT_BEARER).append_pair("client_assertion", assertion);
    form.extend_pairs(client_id.map(|client_id| ("client_id", client_id)));
    let sent = Sent::form(form.finish());
    let request = match TokenRequest::parse(sent.parts()) {
        Ok(request) => request,
        Err(error) => {
            assert_eq!((assertion, error.status()), ("", 400), "only an empty assertion is a malformed request");
            return Err(Reason::InvalidAssertion(InvalidJwt::Malformed("empty")));
        }
    };
    let client = run(server.authenticate(request.credentials()));
    let client_id = client.map(|client| client.client().client_id.as_str().to_owned());
    if server.config().profile == Profile::Fapi2 {
        return client_id.map_err(reason_of); // a token needs a proof beside it
    }
    match run(issue(server, &request)) {
        Ok(_) => Ok(client_id.unwrap()),
        Err(error) => {
            assert_eq!((error.status(), error.code().as_str()), (401, "invalid_client"));
            Err(reason_of(error))
        }
    }
}

/// The reason, for a test to keep.
fn reason_of(error: client_credentials::TokenError) -> Reason {
    match error.reason() {
        Reason::InvalidAssertion(problem) => Reason::InvalidAssertion(problem.clone()),
        Reason::AlreadyUsed => Reason::AlreadyUsed,
        Reason::UnknownClient => Reason::UnknownClient,
        Reason::ClientIdMismatch => Reason::ClientIdMismatch,
        Reason::MethodNotRegistered(method) => Reason::MethodNotRegistered(method.clone()),
        Reason::FaultyClient(faults) => Reason::FaultyClient(faults.clone()),
        other => panic!("{other:?}"),
    }
}

/// The vectors' name of a reason.
fn class(reason: &Reason) -> &'static str {
    match reason {
        Reason::AlreadyUsed => "replay",
        Reason::UnknownClient => "client",
        Reason::ClientIdMismatch => "client_id_mismatch",
        Reason::MethodNotRegistered(_) => "method",
        Reason::FaultyClient(_) => "faulty",
        Reason::InvalidAssertion(problem) => match problem {
            InvalidJwt::Malformed(_) => "malformed",
            InvalidJwt::Header(_) => "header",
            InvalidJwt::Algorithm(_) => "algorithm",
            InvalidJwt::Key(_) => "key",
            InvalidJwt::Signature => "signature",
            InvalidJwt::Issuer(_) => "issuer",
            InvalidJwt::Audience(_) => "audience",
            InvalidJwt::Time(_) => "time",
            InvalidJwt::Claim(_) => "jti",
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
// req: AS-001, AS-004, AS-005, AS-006, AS-007, AS-008, AS-009, AS-010, AS-011, AS-012, AS-013, AS-014, AS-015, AS-016, AS-017
// req: AS-018, AS-019, AS-023, AS-024, AS-025, AS-027, AS-028, AS-029, AS-030, AS-032, AS-033, AS-034, AS-035, AS-036, AS-037
// req: FA-004, FA-006, AS-038, AS-039, AS-040, AS-041, AS-042, AS-043, AS-044, AS-045, AS-047, AS-048, AS-060, AS-062
fn assertions() {
    let vectors = vectors("assertion.json");
    assert_eq!(vectors["client_assertion_type"], JWT_BEARER);
    let mut failed = Vec::new();
    let mut run = 0;
    for case in vectors["cases"].as_array().unwrap() {
        run += 1;
        let server = server_of(&vectors, case);
        for prior in case["prior"].as_array().into_iter().flatten() {
            let outcome = present(&server, prior["assertion"].as_str().unwrap(), None);
            assert_eq!(prior["accepted"].as_bool().unwrap_or(true), outcome.is_ok(), "{}: {outcome:?}", case["name"]);
        }
        let outcome = present(&server, case["assertion"].as_str().unwrap(), case["form_client_id"].as_str());
        let good = match (&outcome, case["expect"]["client_id"].as_str()) {
            (Ok(found), Some(expected)) => found == expected,
            (Err(reason), None) => {
                assert_eq!(case["expect"]["error"], "invalid_client");
                let (found, expected) = (class(reason), case["expect"]["reason"].as_str().unwrap());
                found == expected || FOUND_BEFORE.contains(&(found, expected))
            }
            _ => false,
        };
        if !good {
            failed.push(format!("{}: {outcome:?}, not {}", case["name"], case["expect"]));
        }
    }
    assert!(failed.is_empty(), "{} cases:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(run, 285);
}

#[test]
// req: AS-040, AS-054
fn keys_that_must_not_be_used_are_faults_of_the_registration() {
    let vectors = vectors("assertion.json");
    for vector in vectors["clients"].as_array().unwrap() {
        let client = registered(vector, false);
        let faults: Vec<String> = client.validate(&config(json!({}))).into_iter().map(|fault| fault.key).collect();
        let faulty = FAULTY.contains(&client.client_id.as_str());
        assert_eq!(faults.first().map(String::as_str), faulty.then_some("jwks"), "{:?}", client.client_id);
    }
}
