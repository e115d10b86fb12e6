//! What a registration and the keys of the server change about tokens: secrets, scopes, resources, lifetimes.

use crate::harness::*;
use serde_json::{Value, json};

const RIGHT: &str = "v5-The-Right-One";

/// A client for Basic and post with the secret [`RIGHT`] and scope `read write`.
fn client(id: &str, more: &str) -> String {
    let secret = if more.contains("client_secret") { String::new() } else { format!("client_secret = {RIGHT:?}\n") };
    let scope = if more.contains("scope = ") { "" } else { "scope = \"read write\"\ndefault_scope = \"read\"\n" };
    format!(
        "[[clients]]\nclient_id = {id:?}\n{secret}{scope}{more}\ngrant_types = [\"client_credentials\"]\n\
         token_endpoint_auth_method = [\"client_secret_basic\", \"client_secret_post\"]\n"
    )
}

/// Both ways to send a secret.
fn both(server: &Server, credentials: (&str, &str)) -> [(u16, String); 2] {
    [server.basic(TOKEN, credentials, GRANT).outcome(), server.post(TOKEN, credentials, GRANT).outcome()]
}

fn granted() -> [(u16, String); 2] {
    [(200, String::new()), (200, String::new())]
}

fn refused() -> [(u16, String); 2] {
    [(401, "invalid_client".into()), (401, "invalid_client".into())]
}

/// `sha256:` by this crate, the PHC string by another implementation of Argon2id.
// req: CA-047, SE-005
#[test]
fn a_hash_stands_for_its_secret() {
    let sha256 = serde_json::to_value(client_credentials::SecretVerifier::sha256(RIGHT)).unwrap();
    let argon2 = "$argon2id$v=19$m=64,t=1,p=1$F62tqr1EKM8gFzksr+Fj7g$QFWu7XRx/YEriXM4B2z33ZrQjKsN8DENptFYdHmdIEg";
    let server = Server::start(&format!(
        "{}{}{}",
        client("fast", &format!("client_secret_hash = {sha256}")),
        client("slow", &format!("client_secret_hash = {argon2:?}")),
        client("mixed", &format!("client_secrets = [{{ hash = {argon2:?} }}, {RIGHT:?}]")),
    ));
    let chosen = "a chosen pass phrase";
    for (client, right, wrong) in [
        ("fast", RIGHT, chosen),
        ("slow", chosen, RIGHT),
        ("mixed", chosen, "v5-Neither"),
        ("mixed", RIGHT, "v5-Neither"),
    ] {
        assert_eq!(both(&server, (client, right)), granted(), "{client}");
        assert_eq!(both(&server, (client, right)), granted(), "{client}, from the cache");
        assert_eq!(both(&server, (client, wrong)), refused(), "{client}");
    }
    assert_eq!(both(&server, ("fast", sha256.as_str().unwrap())), refused(), "the hash is no secret");
    assert_eq!(both(&server, ("slow", argon2)), refused(), "the hash is no secret");
    server.finish();
}

// req: CA-030, CA-031
#[test]
fn several_secrets_while_one_replaces_another() {
    let server = Server::start(&format!(
        "{}{}{}",
        client("texts", r#"client_secrets = ["v5-Secret-New", "v5-Secret-Old"]"#),
        client(
            "tables",
            r#"client_secrets = [
                { secret = "v5-Secret-Never" },
                { secret = "v5-Secret-Later", id = "2099", expires_at = 2099-01-01T00:00:00Z },
                { secret = "v5-Secret-Offset", expires_at = 2099-01-01T00:00:00.5+02:00 },
                { secret = "v5-Secret-Text", expires_at = "2099-01-01T00:00:00Z" },
                { secret = "v5-Secret-Number", expires_at = 4070908800 },
                { secret = "v5-Secret-Past", id = "2020", expires_at = 2020-01-01T00:00:00Z },
                { secret = "v5-Secret-Past-Number", expires_at = 1577836800 },
            ]"#,
        ),
        client("single", &format!("client_secret = {RIGHT:?}\nclient_secret_expires_at = 1577836800")),
    ));
    for (client, secret) in [
        ("texts", "v5-Secret-New"),
        ("texts", "v5-Secret-Old"),
        ("tables", "v5-Secret-Never"),
        ("tables", "v5-Secret-Later"),
        ("tables", "v5-Secret-Offset"),
        ("tables", "v5-Secret-Text"),
        ("tables", "v5-Secret-Number"),
    ] {
        assert_eq!(both(&server, (client, secret)), granted(), "{client} {secret}");
    }
    for (client, secret) in [
        ("texts", "v5-Secret-Third"),
        ("tables", "v5-Secret-Past"),
        ("tables", "v5-Secret-Past-Number"),
        ("tables", "v5-Secret-New"),
        ("single", RIGHT),
    ] {
        assert_eq!(both(&server, (client, secret)), refused(), "{client} {secret}");
    }
    let log = server.log();
    assert!(log.contains(r#"client_id="tables" method=client_secret_basic secret_id="2099""#), "{log}");
    assert!(log.contains("the secret matched and has expired"), "{log}");
    server.finish();
}

// req: CA-003, CA-004, CA-005, CA-006, CA-038
#[test]
fn basic_is_form_encoded_unless_the_client_is_raw() {
    let odd = "v5 p%q+r:%41 päss";
    let server = Server::start(&format!(
        "{}{}",
        client("form:id", &format!("client_secret = {odd:?}")),
        client("raw", &format!("client_secret = {odd:?}\nbasic_encoding = \"raw\"")),
    ));
    assert_eq!(both(&server, ("form:id", odd)), granted());
    let raw = |id: &str, secret: &str| server.send(&Request::post(TOKEN, GRANT).basic_raw(id, secret)).status;
    assert_eq!(raw("raw", odd), 200);
    assert_eq!(server.basic(TOKEN, ("raw", odd), GRANT).status, 401, "a raw client is read as it is");
    assert_eq!(server.post(TOKEN, ("raw", odd), GRANT).status, 200, "a form is decoded for everybody");
    assert_eq!(raw("form%3Aid", odd), 400, "a bad escape");
    assert_eq!(raw("form%3Aid", "v5+p%25q%2Br:%2541+p%C3%A4ss"), 200, "only the first colon divides");
    server.finish();
}

/// The answers to whoever is not let in are the same octets, but for the date.
// req: CA-017, CA-032, IN-022
#[test]
fn unknown_wrong_and_disabled_are_one_answer() {
    let server = Server::start(&format!("{}{}", client("known", ""), client("off", "disabled = true")));
    let seen = |answer: Answer| {
        let headers: Vec<_> = answer.headers.into_iter().filter(|(name, _)| name != "date").collect();
        (answer.status, headers, answer.body)
    };
    let reference = seen(server.basic(TOKEN, ("nobody", "v5-Whatever-1"), GRANT));
    assert_eq!(reference.0, 401);
    for (client, secret) in [("known", "v5-Whatever-1"), ("off", RIGHT), ("off", "v5-Whatever-1"), ("known", "")] {
        assert_eq!(seen(server.basic(TOKEN, (client, secret), GRANT)), reference, "{client} by Basic");
        assert_eq!(seen(server.post(TOKEN, (client, secret), GRANT)), reference, "{client} by post");
        assert_eq!(seen(server.basic(INTROSPECT, (client, secret), "token=x")), reference, "{client} introspects");
        assert_eq!(seen(server.basic(REVOKE, (client, secret), "token=x")), reference, "{client} revokes");
    }
    server.finish();
}

// req: CA-022, CA-024, CA-025, MD-007
#[test]
fn only_methods_that_are_registered_and_enabled() {
    let one = |id: &str, method: &str| {
        format!(
            "[[clients]]\nclient_id = {id:?}\nclient_secret = {RIGHT:?}\n{method}\ngrant_types = [\"client_credentials\"]\nscope = \"read\"\ndefault_scope = \"read\"\n"
        )
    };
    let server = Server::start(&format!(
        "{}{}{}",
        one("post", "token_endpoint_auth_method = \"client_secret_post\""),
        one("default", ""),
        one("public", "token_endpoint_auth_method = \"none\"").replace(&format!("client_secret = {RIGHT:?}\n"), ""),
    ));
    let outcome = |id| both(&server, (id, RIGHT)).map(|(status, _)| status);
    assert_eq!(outcome("post"), [401, 200]);
    assert_eq!(outcome("default"), [200, 401]);
    assert_eq!(outcome("public"), [401, 401]);
    let alone = server.send(&Request::post(TOKEN, format!("{GRANT}&client_id=public")));
    assert_eq!(alone.outcome(), (401, "invalid_client".into()));
    server.finish();

    let server = Server::start(&format!("token_endpoint_auth_methods = [\"client_secret_post\"]\n{}", client("a", "")));
    assert_eq!(both(&server, ("a", RIGHT)).map(|(status, _)| status), [401, 200]);
    let metadata = server.send(&Request::get(WELL_KNOWN)).json();
    for endpoint in ["token", "introspection", "revocation"] {
        let methods = &metadata[format!("{endpoint}_endpoint_auth_methods_supported")];
        assert_eq!(methods, &json!(["client_secret_post"]), "{endpoint}");
    }
    server.finish();
}

/// The answer's scope, or the error.
fn scope(server: &Server, client: &str, asked: &str) -> Result<Value, String> {
    let answer = server.basic(TOKEN, (client, RIGHT), &format!("{GRANT}{asked}"));
    if answer.status == 200 { Ok(answer.json()["scope"].clone()) } else { Err(answer.error()) }
}

// req: SC-006, SC-007, SC-008, SC-012, SC-013, SC-014, SC-015, SC-016, SC-028, SC-029
#[test]
fn the_strict_policy_and_the_defaults() {
    let server = Server::start(&format!(
        "scopes = [\"read\", \"write\", \"delete\", \"audit\"]\ndefault_scopes = [\"read\", \"audit\"]\n{}{}{}{}",
        client("own-default", ""),
        client("server-default", "scope = \"write read\""),
        client("no-scope", "").replace("scope = \"read write\"\ndefault_scope = \"read\"\n", ""),
        client("empty-default", "scope = \"read\"\ndefault_scope = \"\""),
    ));
    let invalid = || Err("invalid_scope".to_owned());
    assert_eq!(scope(&server, "own-default", ""), Ok(json!("read")));
    assert_eq!(scope(&server, "own-default", "&scope="), Ok(json!("read")));
    assert_eq!(scope(&server, "own-default", "&scope=write+read+write"), Ok(json!("write read")));
    for asked in ["delete", "read+delete", "unknown", "Read", "read++write", "+read", "read%0Awrite", "read%22"] {
        assert_eq!(scope(&server, "own-default", &format!("&scope={asked}")), invalid(), "{asked}");
    }
    assert_eq!(scope(&server, "server-default", ""), Ok(json!("read")), "the part of the default it may have");
    assert_eq!(scope(&server, "no-scope", ""), Ok(json!("read audit")));
    assert_eq!(scope(&server, "no-scope", "&scope=write"), invalid());
    assert_eq!(scope(&server, "empty-default", ""), Ok(Value::Null), "no member at all");
    server.finish();

    let server = Server::start(&client("a", "scope = \"read\""));
    assert_eq!(scope(&server, "a", ""), invalid(), "never all that the client may have");
    server.finish();
}

// req: SC-009, SC-010, SC-011
#[test]
fn the_narrow_policy_grants_what_is_left() {
    let server = Server::start(&format!(
        "scopes = [\"read\", \"write\", \"delete\"]\nscope_policy = \"narrow\"\n{}",
        client("a", "")
    ));
    assert_eq!(scope(&server, "a", "&scope=delete+write+unknown"), Ok(json!("write")));
    assert_eq!(scope(&server, "a", "&scope=delete"), Err("invalid_scope".into()));
    assert_eq!(scope(&server, "a", "&scope=write++read"), Err("invalid_scope".into()), "malformed is malformed");
    server.finish();
}

// req: RS-001, RS-005, RS-006, RS-007, RS-008, RS-009, RS-010, RS-020
#[test]
fn resources_become_the_audience() {
    let server = Server::start(&format!(
        "resources = [\"https://a.example.com\", \"https://b.example.com\", \"urn:example:c\"]\n\
         default_resources = [\"https://a.example.com\"]\n{}{}",
        client("all", ""),
        client(
            "some",
            "resources = [\"https://b.example.com\", \"urn:example:c\"]\ndefault_resources = [\"urn:example:c\"]",
        ),
    ));
    let audience = |client: &str, asked: &[&str]| {
        let asked: String = asked.iter().map(|value| format!("&resource={value}")).collect();
        let answer = server.basic(TOKEN, (client, RIGHT), &format!("{GRANT}{asked}"));
        if answer.status != 200 {
            return Err(answer.error());
        }
        Ok(server.introspect((client, RIGHT), &answer.token())["aud"].clone())
    };
    let invalid = || Err("invalid_target".to_owned());
    let (a, b, c) = ("https://a.example.com", "https%3A%2F%2Fb.example.com", "urn:example:c");
    assert_eq!(audience("all", &[]), Ok(json!("https://a.example.com")));
    assert_eq!(audience("all", &[b]), Ok(json!("https://b.example.com")));
    assert_eq!(audience("all", &[c, a, c]), Ok(json!(["urn:example:c", "https://a.example.com"])));
    assert_eq!(audience("some", &[]), Ok(json!("urn:example:c")));
    assert_eq!(audience("some", &[b]), Ok(json!("https://b.example.com")));
    assert_eq!(audience("some", &[a]), invalid());
    assert_eq!(audience("some", &[b, a]), invalid());
    for asked in ["https://a.example.com/", "https://A.example.com", "https://a.example.com%23x", "api", "%2F"] {
        assert_eq!(audience("all", &[asked]), invalid(), "{asked}");
    }
    server.finish();

    let server = Server::start(&client("a", ""));
    let answer = server.basic(TOKEN, ("a", RIGHT), &format!("{GRANT}&resource=https://a.example.com"));
    assert_eq!(answer.outcome(), (400, "invalid_target".into()));
    server.finish();
}

// req: TO-003, TO-006, TO-010, TO-011, TO-021, IN-012
#[test]
fn lifetimes_and_prefix() {
    let server = Server::start(&format!(
        "access_token_lifetime = 600\naccess_token_prefix = \"cc_v1.\"\n{}{}",
        client("server", ""),
        client("own", "access_token_lifetime = 5"),
    ));
    for (client, lifetime) in [("server", 600), ("own", 5)] {
        let answer = server.basic(TOKEN, (client, RIGHT), GRANT);
        let left = answer.json()["expires_in"].as_u64().unwrap();
        assert!(left == lifetime || left == lifetime - 1, "{client}: {left}");
        let token = answer.token();
        let random = token.strip_prefix("cc_v1.").unwrap();
        assert_eq!(random.len(), 43, "32 octets in base64url");
        assert!(random.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet)));
        let told = server.introspect((client, RIGHT), &token);
        assert_eq!(told["exp"].as_u64().unwrap() - told["iat"].as_u64().unwrap(), lifetime);
        assert_eq!(server.introspect((client, RIGHT), random), json!({ "active": false }), "the prefix is part of it");
    }
    server.finish();
    let server = Server::start(&client("a", ""));
    let left = server.basic(TOKEN, ("a", RIGHT), GRANT).json()["expires_in"].as_u64().unwrap();
    assert!((3599..=3600).contains(&left), "{left}");
    server.finish();
}

// req: TR-004, MD-006
#[test]
fn the_grant_can_be_switched_off() {
    let server = Server::start(&format!("grant_types = []\n{}", client("a", "")));
    assert_eq!(server.basic(TOKEN, ("a", RIGHT), GRANT).outcome(), (400, "unsupported_grant_type".into()));
    assert_eq!(server.introspect(("a", RIGHT), "v5-unknown-token"), json!({ "active": false }));
    server.finish();
}
