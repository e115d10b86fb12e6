//! Every case of `token_request.json`: a request to the token endpoint, and what becomes of it (RFC 6749 §4.4).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use client_credentials::{
    Config, Reason, TokenError, TokenRequest, TokenResponse, issue_client_credentials_token as issue,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use support::*;

/// The feature that a case waits for; `None`: the case holds in this build.
fn waits_for(case: &Value, sent: &Sent) -> Option<&'static str> {
    // One proof of three parts: only its signature and its claims decide. Two proofs, or none that is a JWT, need neither.
    let is_dpop = |(name, _): &&(String, Vec<u8>)| name.eq_ignore_ascii_case("dpop");
    let proofs: Vec<_> = sent.headers.iter().filter(is_dpop).collect();
    if cfg!(not(feature = "dpop"))
        && let [(_, proof)] = &*proofs
        && proof.split(|octet| *octet == b'.').count() == 3
    {
        return Some("dpop");
    }
    // The client `prover` is registered for bound tokens, so it has a faulty registration in this build: 401, not 400.
    if cfg!(not(feature = "dpop")) && case["name"] == "dpop-missing" {
        return Some("dpop");
    }
    // An assertion that has to succeed. One that has to fail is refused with the right answer by a build without it, too.
    (cfg!(not(feature = "jwt")) && case["expect"]["auth_method"] == "private_key_jwt").then_some("jwt")
}

/// The stage of the pipeline that a reason belongs to, by the names of the vectors.
fn stage(reason: &Reason) -> &'static str {
    match reason {
        Reason::MethodNotAllowed { .. } => "method",
        Reason::UnsupportedMediaType | Reason::ContentEncoding => "media_type",
        Reason::BodyTooLarge => "size",
        Reason::MalformedForm(_) | Reason::RepeatedParameter(_) | Reason::ParameterInQuery(_) => "form",
        Reason::MissingParameter("grant_type") | Reason::UnsupportedGrantType => "grant_type",
        Reason::MalformedAuthorization(_) | Reason::SeveralMechanisms | Reason::IncompleteCredentials { .. } => {
            "credentials"
        }
        Reason::NoCredentials
        | Reason::UnsupportedScheme
        | Reason::ClientIdMismatch
        | Reason::CredentialsTooLong(_)
        | Reason::UnknownClient
        | Reason::DisabledClient
        | Reason::FaultyClient(_)
        | Reason::MethodNotEnabled(_)
        | Reason::MethodNotRegistered(_)
        | Reason::WrongSecret
        | Reason::UnsupportedAssertionType
        | Reason::ExpiredSecret => "authentication",
        #[cfg(feature = "jwt")]
        Reason::InvalidAssertion(_) => "authentication",
        Reason::DpopNotSupported => "dpop",
        #[cfg(feature = "dpop")]
        Reason::InvalidDpopProof(_) => "dpop",
        Reason::GrantNotRegistered => "permission",
        Reason::UnknownResource
        | Reason::ResourceNotRegistered
        | Reason::TooManyResources
        | Reason::AuthorizationDetailsNotSupported => "target",
        Reason::MalformedScope | Reason::ScopeNotPermitted | Reason::NoDefaultScope => "scope",
        other => panic!("{other:?} refuses no request of the vectors"),
    }
}

/// The configuration that the vectors describe; what else stands there belongs to other features or to this build's defaults.
fn config_of(setup: &Value) -> Config {
    assert_eq!((&setup["now"], &setup["default_scopes"]), (&json!(NOW), &Value::Null));
    let kept = ["issuer", "scopes", "scope_policy", "resources", "access_token_lifetime"];
    config(kept.map(|key| (key.to_owned(), setup[key].clone())).into_iter().collect::<Map<_, _>>().into())
}

/// Whether `found` is what the vector says: exactly `one` where it names one, else any of the list.
fn is_expected(found: &Value, one: &Value, any: &Value) -> bool {
    if one.is_null() { any.as_array().unwrap().contains(found) } else { found == one }
}

/// RFC 6749 §5.2: `error_description = 1*( %x20-21 / %x23-5B / %x5D-7E )`.
fn may_stand_in_a_description(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| matches!(octet, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

fn check_never_cached(name: &str, answer: &Answer) {
    for (field, value) in [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache")]
    {
        assert_eq!(answer.header(field), Some(value), "{name}: {field}");
    }
}

fn check_refused(name: &str, expect: &Value, server: &Server, error: TokenError) -> Answer {
    assert_eq!(expect["stage"], stage(error.reason()), "{name}: {error}");
    let answer = Answer::from(error);
    assert!(is_expected(&answer.status.into(), &expect["status"], &expect["status_any"]), "{name}: {answer:?}");
    // A 405 has no code in the vectors; the design gives it and a 413 the code of a malformed request.
    let code = if answer.status == 405 { &json!("invalid_request") } else { &expect["error"] };
    let body = answer.json();
    assert!(is_expected(&body["error"], code, &expect["error_any"]), "{name}: {body}");
    assert!(may_stand_in_a_description(&answer.text("error_description")), "{name}: {body}");
    assert_eq!(body.as_object().unwrap().len(), 2, "{name}: nothing but error and error_description: {body}");
    check_never_cached(name, &answer);
    for (field, value) in expect["headers"].as_object().into_iter().flatten() {
        assert_eq!(answer.header(field), value.as_str(), "{name}: {field}");
    }
    assert_eq!(answer.header("WWW-Authenticate").is_some(), answer.status == 401, "{name}: the challenge");
    assert_eq!(server.tokens().len(), 0, "{name}: a refused request left a token behind");
    answer
}

fn check_granted(name: &str, expect: &Value, server: &Server, secret: &str, granted: &TokenResponse) {
    let answer = Answer {
        status: granted.status(),
        headers: granted.headers().map(|(field, value)| (field.into(), value.into())).collect(),
        body: granted.body(),
    };
    assert_eq!(expect["status"], answer.status, "{name}");
    check_never_cached(name, &answer);
    let body = answer.json();
    let access_token = body["access_token"].as_str().unwrap();
    assert_eq!(access_token.len(), 43, "{name}");
    let members = json!({
        "access_token": access_token, "token_type": expect["token_type"], "expires_in": 3600, "scope": expect["scope"],
    });
    assert_eq!(body, members, "{name}: exactly these members");
    // The token, and beside it the assertion or the proof that bought it.
    let signs = expect["auth_method"] == "private_key_jwt";
    let records = 1 + usize::from(signs) + usize::from(expect["token_type"] == "DPoP");
    assert_eq!(server.tokens().len(), records, "{name}");

    // Whatever it authenticated by, its owner asks with a secret of its own.
    let client_id = expect["client_id"].as_str().unwrap();
    if signs {
        server.clients().insert(client(json!({
            "client_id": client_id, "client_secret": secret, "token_endpoint_auth_method": "client_secret_post",
        })));
    }
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("token", access_token), ("client_id", client_id), ("client_secret", secret)])
        .finish();
    let told = introspect(server, &Sent::form(form)).json();
    assert_eq!(told["active"], true, "{name}");
    assert_eq!((&told["client_id"], &told["sub"]), (&expect["client_id"], &expect["client_id"]), "{name}");
    assert_eq!((&told["scope"], &told["token_type"]), (&expect["scope"], &expect["token_type"]), "{name}");
    assert_eq!(told["cnf"], expect["cnf"], "{name}");
    assert_eq!((&told["iat"], &told["exp"]), (&json!(NOW), &json!(NOW + 3600)), "{name}");
    let audience: Vec<&Value> = match &told["aud"] {
        Value::Null => Vec::new(),
        Value::Array(several) => several.iter().collect(),
        one => vec![one],
    };
    let expected: Vec<&Value> = expect["audience"].as_array().into_iter().flatten().collect();
    assert_eq!(audience, expected, "{name}");
}

#[test]
// req: TR-001, TR-002, TR-003, TR-004, TR-005, TR-006, TR-007, TR-008, TR-009, TR-010, TR-012, TR-013, TR-014, TR-015,
// req: TR-016, TR-017, TR-018, TR-023, TR-024, TR-025, TR-026, TR-027, TR-028, TR-029
// req: CA-001, CA-002, CA-003, CA-009, CA-010, CA-011, CA-012, CA-015, CA-016, CA-017, CA-018, CA-019, CA-020, CA-021,
// req: CA-022, CA-023, CA-025, CA-026, CA-027, CA-028, CA-029, CA-032, CA-033, CA-034, AS-003
// req: SC-002, SC-003, SC-006, SC-007, SC-008, SC-012, SC-014, RS-001, RS-003, RS-005, RS-006, RS-014, RA-010
// req: TO-001, TO-002, TO-004, TO-005, TO-015, TO-018, DP-002, DP-003, DP-039
// req: HT-001, HT-002, HT-003, HT-004, HT-005, HT-006, HT-007, HT-008, ER-001, ER-002, ER-003, ER-009, ER-011, ER-013, ER-015
fn token_request() {
    let vectors = vectors("token_request.json");
    let setup = &vectors["server"];
    let clients = setup["clients"].as_array().unwrap();
    let secret_of = |client_id: &Value| {
        clients.iter().find(|client| client["client_id"] == *client_id).unwrap()["client_secret"]
            .as_str()
            .unwrap_or("another-secret")
    };
    let mut waiting = BTreeMap::new();
    let mut unauthenticated: Option<Answer> = None;
    for case in vectors["cases"].as_array().unwrap() {
        let (name, expect) = (case["name"].as_str().unwrap(), &case["expect"]);
        let sent = sent(&case["request"]);
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let server = server(config_of(setup), clients.iter().cloned().map(client)).on_event(move |event| {
            let client_id = event.client_id.map(|id| id.as_raw().to_owned());
            let method = event.method.map(|method| method.as_str().to_owned());
            seen.lock().unwrap().push(json!([client_id, method]));
        });
        let outcome = TokenRequest::parse(sent.parts()).and_then(|request| run(issue(&server, &request)));
        if let Some(feature) = waits_for(case, &sent) {
            // Whatever such a request deserves later: no weaker token is given out for it now.
            assert!(outcome.is_err() && server.tokens().is_empty(), "{name}: {outcome:?}");
            *waiting.entry(feature).or_insert(0) += 1;
            continue;
        }
        match outcome {
            Ok(granted) => {
                let event = json!([expect["client_id"], expect["auth_method"]]);
                assert_eq!(*events.lock().unwrap(), [event], "{name}: one event, with client and method");
                check_granted(name, expect, &server, secret_of(&expect["client_id"]), &granted);
            }
            Err(error) => {
                let answer = check_refused(name, expect, &server, error);
                if answer.status == 401 {
                    let first = unauthenticated.get_or_insert_with(|| answer.clone());
                    assert_eq!(*first, answer, "{name}: two failed authentications can be told apart");
                }
            }
        }
    }
    let mut expected = BTreeMap::new();
    if cfg!(not(feature = "dpop")) {
        expected.insert("dpop", 6); // dpop, dpop-required-given, dpop-wrong-htm, dpop-wrong-htu, dpop-old, dpop-missing
    }
    if cfg!(not(feature = "jwt")) {
        expected.insert("jwt", 2); // assertion, assertion-and-client-id
    }
    assert_eq!(waiting, expected, "cases that wait for a feature");
}
