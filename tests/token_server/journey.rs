//! The journey of a token: issued, asked about by those who may, revoked.

use crate::harness::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::thread;

const CONFIG: &str = r#"
scopes = ["read", "write"]
resources = ["https://api.example.com"]

[[clients]]
client_id = "myClient"
client_secret = "w3-My-Client-7Yx"
grant_types = ["client_credentials"]
scope = "read write"
default_scope = "read"
token_endpoint_auth_method = ["client_secret_basic", "client_secret_post"]

[[clients]]
client_id = "other"
client_secret = "w3-Other-Client"
grant_types = ["client_credentials"]
scope = "read"
default_scope = "read"

[[clients]]
client_id = "api"
client_secret = "w3-Resource-Srv"
grant_types = []
audience = ["https://api.example.com"]

[[clients]]
client_id = "inspector"
client_secret = "w3-Inspector-99"
grant_types = []
may_introspect = true
"#;
const MINE: (&str, &str) = ("myClient", "w3-My-Client-7Yx");
const OTHER: (&str, &str) = ("other", "w3-Other-Client");
const API: (&str, &str) = ("api", "w3-Resource-Srv");
const INSPECTOR: (&str, &str) = ("inspector", "w3-Inspector-99");

// req: TO-001, TO-002, TO-004, TO-005, TO-015, CA-001, CA-002, IN-001, IN-006, IN-008, IN-011, IN-013, IN-027, IN-028, RV-001, RV-005, RV-013
#[test]
fn issued_active_revoked_inactive() {
    let server = Server::start(CONFIG);
    let form = format!("{GRANT}&scope=write");
    for answer in [server.post(TOKEN, MINE, &form), server.basic(TOKEN, MINE, &form)] {
        let body = answer.json();
        let members: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["access_token", "expires_in", "scope", "token_type"]));
        assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!("write")));

        let token = answer.token();
        let told = server.introspect(MINE, &token);
        for (member, value) in [
            ("active", json!(true)),
            ("client_id", json!("myClient")),
            ("sub", json!("myClient")),
            ("scope", json!("write")),
            ("token_type", json!("Bearer")),
            ("iss", json!(server.origin())),
        ] {
            assert_eq!(told[member], value, "{member}");
        }
        assert!(told["jti"].is_string() && told.get("username").is_none() && told.get("aud").is_none(), "{told}");
        assert!(!told.to_string().contains(&token));

        for _ in 0..2 {
            let revoked = server.basic(REVOKE, MINE, &format!("token={token}"));
            assert_eq!((revoked.status, revoked.body.as_slice()), (200, b"{}".as_slice()));
            assert_eq!(server.introspect(MINE, &token), json!({ "active": false }));
            assert_eq!(server.introspect(INSPECTOR, &token), json!({ "active": false }));
        }
    }
    let log = server.log();
    for outcome in ["outcome=issued", "outcome=introspected active=true", "outcome=revoked jti="] {
        assert!(log.contains(outcome), "{outcome} in {log}");
    }
    server.finish();
}

// req: IN-007, IN-010, IN-030, RV-006
#[test]
fn who_may_see_a_token_and_who_may_end_it() {
    let server = Server::start(CONFIG);
    let plain = server.basic(TOKEN, MINE, GRANT).token();
    let for_api = server.basic(TOKEN, MINE, &format!("{GRANT}&resource=https://api.example.com")).token();
    for (caller, sees) in
        [(MINE, [true, true]), (OTHER, [false, false]), (API, [false, true]), (INSPECTOR, [true, true])]
    {
        for (token, sees) in [&plain, &for_api].into_iter().zip(sees) {
            let told = server.introspect(caller, token);
            assert_eq!(told["active"], json!(sees), "{}", caller.0);
            assert_eq!(told.as_object().unwrap().len() == 1, !sees, "an inactive answer has no other member: {told}");
        }
    }
    for caller in [OTHER, API, INSPECTOR] {
        let refused = server.basic(REVOKE, caller, &format!("token={for_api}"));
        assert_eq!(refused.outcome(), (400, "unauthorized_client".into()), "{}", caller.0);
    }
    assert_eq!(server.introspect(API, &for_api)["aud"], json!("https://api.example.com"));
    server.finish();
}

/// `grant_types = []`: introspects, and gets no token.
// req: TR-008, IN-002, IN-003, IN-004, IN-009, RV-002, RV-003, RV-004, RV-008
#[test]
fn refusals_on_the_way() {
    let server = Server::start(CONFIG);
    assert_eq!(server.basic(TOKEN, API, GRANT).outcome(), (400, "unauthorized_client".into()));
    let token = server.basic(TOKEN, MINE, GRANT).token();
    for path in [INTROSPECT, REVOKE] {
        let form = format!("token={token}");
        for answer in [
            server.send(&Request::post(path, form.as_str())),
            server.basic(path, (MINE.0, "w3-Wrong-Secret"), &form),
            server.basic(path, ("nobody", MINE.1), &form),
        ] {
            assert_eq!(answer.outcome(), (401, "invalid_client".into()), "{path}");
        }
        for form in ["", "token=", "token_type_hint=access_token"] {
            assert_eq!(server.basic(path, MINE, form).outcome().0, 400, "{path} {form:?}");
        }
        assert_eq!(server.basic(path, MINE, &format!("{form}&{form}")).outcome(), (400, "invalid_request".into()));
    }
    assert_eq!(server.introspect(MINE, "w3-no-such-token"), json!({ "active": false }));
    assert_eq!(server.introspect(MINE, &"a".repeat(40_000)), json!({ "active": false }));
    assert_eq!(server.basic(REVOKE, MINE, "token=w3-no-such-token").status, 200);
    for hint in ["refresh_token", "foo", ""] {
        let told = server.basic(INTROSPECT, MINE, &format!("token={token}&token_type_hint={hint}"));
        assert_eq!(told.json()["active"], json!(true), "{hint}");
    }
    assert_eq!(server.basic(REVOKE, MINE, &format!("token={token}&token_type_hint=foo")).status, 200);
    assert_eq!(server.introspect(MINE, &token), json!({ "active": false }));
    server.finish();
}

/// 200 requests over 20 connections that stay open.
// req: ST-017, TO-009
#[test]
fn parallel_requests_get_tokens_of_their_own() {
    let server = Server::start(CONFIG);
    let request = Request::post(TOKEN, GRANT).basic(MINE.0, MINE.1).without("Connection").octets();
    let tokens: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut connection = Connection::open(server.address);
            let mut tokens = Vec::new();
            for _ in 0..10 {
                connection.send(&request);
                let answer = connection.answer(false).unwrap();
                server.check(&answer);
                tokens.push(answer.token());
            }
            tokens
        };
        let workers: Vec<_> = (0..20).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(tokens.len(), 200);
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 200, "all of them differ");
    for token in tokens.iter().step_by(20) {
        assert_eq!(server.introspect(MINE, token)["client_id"], json!("myClient"));
    }
    assert_eq!(server.log().matches("outcome=issued").count(), 200, "one event for each");
    server.finish();
}
