//! The limit on failed authentications: by client and by source, off unless configured.

use crate::harness::*;

const CLIENTS: &str = r#"
[[clients]]
client_id = "a"
client_secret = "r6-Secret-Of-A"
grant_types = ["client_credentials"]
scope = "read"
default_scope = "read"
token_endpoint_auth_method = ["client_secret_basic", "client_secret_post"]
[[clients]]
client_id = "b"
client_secret = "r6-Secret-Of-B"
grant_types = ["client_credentials"]
scope = "read"
default_scope = "read"
[[clients]]
client_id = "raw"
client_secret = "r6-100%-Secret"
basic_encoding = "raw"
grant_types = ["client_credentials"]
scope = "read"
default_scope = "read"
[realms."/alpha"]
[[realms."/alpha".clients]]
client_id = "a"
client_secret = "r6-Alpha-Secret"
grant_types = ["client_credentials"]
scope = "read"
default_scope = "read"
"#;
const LIMITS: &str = "rate_limit = { failures_per_client = 3, failures_per_source = 100, window = 60 }\n";
const A: (&str, &str) = ("a", "r6-Secret-Of-A");
const B: (&str, &str) = ("b", "r6-Secret-Of-B");
const WRONG: (&str, &str) = ("a", "r6-Wrong-Secret");

fn limited(answer: &Answer) {
    assert_eq!(answer.outcome(), (429, "temporarily_unavailable".into()));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

// req: SE-003
#[test]
fn the_fourth_try_waits_and_another_client_does_not() {
    let server = Server::start(&format!("{LIMITS}{CLIENTS}"));
    server.basic(TOKEN, A, GRANT).token();
    // Failures count together, wherever and however they are sent.
    assert_eq!(server.basic(TOKEN, WRONG, GRANT).status, 401);
    assert_eq!(server.post(TOKEN, WRONG, GRANT).status, 401);
    server.basic(TOKEN, A, GRANT).token();
    assert_eq!(server.basic(INTROSPECT, WRONG, "token=x").status, 401);
    for answer in [
        server.basic(TOKEN, WRONG, GRANT),
        server.basic(TOKEN, A, GRANT),
        server.post(TOKEN, A, GRANT),
        server.basic(INTROSPECT, A, "token=x"),
        server.basic(REVOKE, A, "token=x"),
        server.basic("/oauth2/realms/root/access_token", A, GRANT),
    ] {
        limited(&answer);
    }
    server.basic(TOKEN, B, GRANT).token();
    let alpha = server.basic("/oauth2/realms/root/realms/alpha/access_token", ("a", "r6-Alpha-Secret"), GRANT);
    assert_eq!(alpha.status, 200, "the client of another realm is another client");
    assert_eq!(server.send(&Request::get(WELL_KNOWN)).status, 200);
    server.finish();
}

// req: SE-003
#[test]
fn a_source_that_tries_many_clients_waits() {
    let limits = "rate_limit = { failures_per_client = 100, failures_per_source = 5, window = 60 }\n";
    let server = Server::start(&format!("{limits}{CLIENTS}"));
    for guess in 0..5 {
        assert_eq!(server.basic(TOKEN, (&format!("guess-{guess}"), WRONG.1), GRANT).status, 401);
    }
    limited(&server.basic(TOKEN, ("guess-6", WRONG.1), GRANT));
    limited(&server.basic(TOKEN, B, GRANT));
    server.finish();
}

/// What fails for another reason is no guess.
#[test]
fn only_failed_authentications_count() {
    let server = Server::start(&format!("{LIMITS}{CLIENTS}"));
    for _ in 0..5 {
        assert_eq!(server.basic(TOKEN, A, &format!("{GRANT}&scope=write")).status, 400);
        assert_eq!(server.basic(TOKEN, A, "grant_type=password").status, 400);
        assert_eq!(server.basic(TOKEN, A, "").status, 400);
    }
    server.basic(TOKEN, A, GRANT).token();
    server.finish();
}

#[test]
fn a_realm_has_limits_of_its_own() {
    let alpha = CLIENTS.replace("[realms.\"/alpha\"]\n", &format!("[realms.\"/alpha\"]\n{LIMITS}"));
    let server = Server::start(&alpha);
    let path = "/oauth2/realms/root/realms/alpha/access_token";
    for _ in 0..3 {
        assert_eq!(server.basic(TOKEN, WRONG, GRANT).status, 401);
        assert_eq!(server.basic(path, WRONG, GRANT).status, 401);
    }
    assert_eq!(server.basic(TOKEN, WRONG, GRANT).status, 401, "the root has none");
    limited(&server.basic(path, WRONG, GRANT));
    server.finish();
}

#[test]
fn it_is_off_by_default() {
    let server = Server::start(CLIENTS);
    for _ in 0..20 {
        assert_eq!(server.basic(TOKEN, WRONG, GRANT).status, 401);
    }
    server.basic(TOKEN, A, GRANT).token();
    server.finish();
}

/// A guess with a bad escape is answered as a malformed header, and is a guess all the same where a client is raw.
// req: SE-003
#[test]
fn a_raw_client_cannot_be_guessed_past_the_limit() {
    let server = Server::start(&format!("{LIMITS}{CLIENTS}"));
    for _ in 0..3 {
        assert_eq!(server.send(&Request::post(TOKEN, GRANT).basic_raw("raw", "r6-50%-Guess")).status, 400);
    }
    limited(&server.send(&Request::post(TOKEN, GRANT).basic_raw("raw", "r6-50%-Guess")));
    server.finish();
}
