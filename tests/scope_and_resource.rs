//! What a token is good for: scope (RFC 6749 §3.3) and resource (RFC 8707).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "where a test cannot go on it has failed")]

mod support;

use client_credentials::{Client, Reason, Scope, TokenRequest, issue_client_credentials_token};
use serde_json::{Value, json};
use support::*;

/// A client of the secret `a long secret` by Basic, with the members given here.
fn registered(members: Value) -> Client {
    let mut all = json!({ "client_id": "c", "client_secret": "a long secret", "grant_types": ["client_credentials"] });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    client(all)
}

/// The client asks; `query` is what it sends besides `grant_type`.
fn ask(server: &Server, query: &str) -> Answer {
    token(server, &Sent::form(format!("grant_type=client_credentials&{query}")).basic("c", "a long secret"))
}

/// The scope that is granted, or the error.
fn granted(server: &Server, query: &str) -> String {
    let answer = ask(server, query);
    let tokens = answer.text("scope");
    match answer.status {
        200 if answer.json().get("scope").is_none() => "no scope".into(),
        200 => tokens,
        status => format!("{status} {}", answer.error()),
    }
}

/// What introspection says of the token that is issued for `query`.
fn described(server: &Server, query: &str) -> Value {
    let answer = ask(server, query);
    assert_eq!(answer.status, 200, "{query}: {}", answer.error());
    let sent = Sent::form(format!("token={}", answer.text("access_token"))).basic("c", "a long secret");
    introspect(server, &sent).json()
}

/// The audience of the token that is issued for `query`, or the error.
fn audience(server: &Server, query: &str) -> Value {
    match ask(server, query) {
        answer if answer.status == 200 => described(server, query)["aud"].clone(),
        answer => format!("{} {}", answer.status, answer.error()).into(),
    }
}

const REFUSED: &str = "400 invalid_scope";

// Scope.

#[test]
// req: SC-001, SC-005, SC-017, SC-020
fn what_is_asked_within_the_registration_is_granted_and_named() {
    let server =
        server(config(json!({ "scopes": ["read", "write", "admin"] })), [registered(json!({ "scope": "read write" }))]);
    for (asked, expected) in [("read", "read"), ("read+write", "read write"), ("write%20read", "write read")] {
        let answer = ask(&server, &format!("scope={asked}"));
        assert_eq!(answer.json()["scope"], expected, "a string, in the order that was asked");
    }
    let sets = ["scope=read+write", "scope=write+read"].map(|query| {
        let described = described(&server, query);
        let mut tokens: Vec<String> = described["scope"].as_str().unwrap().split(' ').map(str::to_owned).collect();
        tokens.sort();
        tokens
    });
    assert_eq!(sets[0], sets[1], "the order has no meaning");
}

#[test]
// req: SC-001, SC-002, SC-003
fn the_grammar_is_strict() {
    // Every character that the grammar allows, registered and asked for.
    let all: String = ('!'..='~').filter(|letter| !matches!(letter, '"' | '\\')).collect();
    let everything = server(config(json!({})), [registered(json!({ "scope": format!("{all} read write") }))]);
    let escaped: String = form_urlencoded::byte_serialize(all.as_bytes()).collect();
    assert_eq!(granted(&everything, &format!("scope={escaped}")), all);
    for malformed in [
        "+read",
        "read+",
        "read++write",
        "+",
        "++",
        "%22",
        "read%22",
        "%5C",
        "re%5Cad",
        "%C3%A9",
        "re%C3%A9d",
        "read%09write",
        "read%0Awrite",
        "read%0D%0A",
        "read%00",
        "%7F",
        "read%C2%A0write",
        "read%E2%80%8B",
        "%EF%BD%92ead",
        "read%1Fwrite",
    ] {
        let error = {
            let sent =
                Sent::form(format!("grant_type=client_credentials&scope={malformed}")).basic("c", "a long secret");
            let request = TokenRequest::parse(sent.parts()).unwrap();
            run(issue_client_credentials_token(&everything, &request)).unwrap_err()
        };
        assert!(matches!(error.reason(), Reason::MalformedScope), "{malformed}: {error}");
        assert_eq!(granted(&everything, &format!("scope={malformed}")), REFUSED, "{malformed}");
    }
}

#[test]
// req: SC-004, SC-006, SC-007, SC-008, SC-028
fn one_token_too_many_refuses_the_request() {
    let server = server(
        config(json!({ "scopes": ["read", "write", "admin", "only-server"] })),
        [registered(json!({ "scope": "read write only-client" }))],
    );
    for refused in [
        "READ+WRITE+ONLY-CLIENT", // all of it in another case
        "Read",                   // another case
        "READ",
        "rea", // a part
        "read1",
        "read:write",
        "unknown",     // unknown to both
        "admin",       // known to the server only
        "only-client", // known to the client only
        "read+admin",  // one of two
        "admin+read",
        "read+write+unknown",
        "*",
    ] {
        let answer = ask(&server, &format!("scope={refused}"));
        assert_eq!(answer.outcome(), (400, "invalid_scope".into()), "{refused}");
    }
    assert!(server.tokens().is_empty());
    assert_eq!(granted(&server, "scope=read+write"), "read write");
    let all = support::server(config(json!({})), [registered(json!({ "scope": "read write" }))]);
    assert_eq!(
        (granted(&all, "scope=read+write"), granted(&all, "scope=READ+WRITE")),
        ("read write".into(), REFUSED.into())
    );
}

#[test]
fn the_answer_to_an_unknown_and_to_a_forbidden_scope_is_the_same() {
    let server = server(config(json!({ "scopes": ["read", "admin"] })), [registered(json!({ "scope": "read" }))]);
    let answers = ["admin", "unknown", "read+admin", "un%22known"].map(|scope| ask(&server, &format!("scope={scope}")));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "nothing tells which scopes there are");
}

#[test]
// req: SC-009, SC-010, SC-011
fn narrow_grants_what_is_permitted_and_says_so() {
    let narrow =
        config(json!({ "scopes": ["read", "write", "admin"], "scope_policy": "narrow", "default_scopes": ["write"] }));
    let server = server(narrow, [registered(json!({ "scope": "read write" }))]);
    for (asked, expected) in [
        ("write+admin", "write"),
        ("admin+write+unknown+read", "write read"),
        ("read", "read"),
        ("admin", REFUSED), // nothing is left, and the default does not step in
        ("unknown+Read", REFUSED),
        ("write+%22", REFUSED), // malformed is not narrowed
        ("write++read", REFUSED),
    ] {
        assert_eq!(granted(&server, &format!("scope={asked}")), expected, "{asked}");
    }
    assert_eq!(described(&server, "scope=write+admin")["scope"], "write", "the token is narrowed, too");
    let strict = support::server(config(json!({})), [registered(json!({ "scope": "read write" }))]);
    assert_eq!(granted(&strict, "scope=write+admin"), REFUSED, "off by default");
}

#[test]
// req: SC-018
fn a_repeated_token_is_granted_once() {
    let server = server(config(json!({})), [registered(json!({ "scope": "read write" }))]);
    for (asked, expected) in [("read+read", "read"), ("write+read+write+read", "write read")] {
        assert_eq!(granted(&server, &format!("scope={asked}")), expected);
        assert_eq!(described(&server, &format!("scope={asked}"))["scope"], expected);
    }
}

#[test]
// req: SC-012, SC-013, SC-014, SC-015, SC-016, SC-028
fn an_omitted_scope_is_the_clients_default_else_the_servers_and_never_all() {
    let cases = [
        // The registration, the server's default_scopes, what an omitted scope is.
        (json!({ "scope": "read write admin", "default_scope": "read" }), json!([]), "read"),
        (json!({ "scope": "read write admin", "default_scope": "read" }), json!(["write"]), "read"),
        (json!({ "scope": "read write", "default_scope": "write read" }), json!([]), "write read"),
        (json!({ "scope": "read write" }), json!(["write"]), "write"),
        (json!({ "scope": "read write" }), json!(["write", "admin"]), "write"), // within the registration
        (json!({ "scope": "read write" }), json!(["admin"]), REFUSED),          // nothing is left of it
        (json!({ "scope": "read write admin" }), json!([]), REFUSED),           // never all
        (json!({}), json!(["read", "write"]), "read write"),                    // no registration: the defaults
        (json!({}), json!([]), REFUSED),
        (json!({ "default_scope": "admin" }), json!(["read"]), REFUSED), // a default beyond the (absent) registration
        (json!({ "scope": "" }), json!(["read"]), REFUSED),              // registered for no scope at all
        (json!({ "scope": "read", "default_scope": "" }), json!(["read"]), "no scope"),
    ];
    for (members, default_scopes, expected) in cases {
        let config = config(json!({ "default_scopes": default_scopes }));
        let server = server(config, [registered(members.clone())]);
        for omitted in ["", "scope=", "scope"] {
            assert_eq!(granted(&server, omitted), expected, "{members} {default_scopes} {omitted:?}");
        }
    }
}

#[test]
// req: SC-028
fn a_registration_without_scope_is_one_for_the_servers_defaults() {
    let config = config(json!({ "scopes": ["read", "write", "admin"], "default_scopes": ["read", "write"] }));
    let server = server(config, [registered(json!({}))]);
    for (asked, expected) in [
        ("", "read write"),
        ("scope=write", "write"),
        ("scope=write+read", "write read"),
        ("scope=admin", REFUSED),
        ("scope=read+admin", REFUSED),
    ] {
        assert_eq!(granted(&server, asked), expected, "{asked}");
    }
    let without_defaults = support::server(support::config(json!({ "scopes": ["read"] })), [registered(json!({}))]);
    assert_eq!(granted(&without_defaults, "scope=read"), REFUSED, "not even what the server offers");
}

#[test]
// req: SC-016
fn a_default_beyond_the_registration_is_a_fault() {
    let beyond = registered(json!({ "scope": "write", "default_scope": "write admin" }));
    assert_eq!(beyond.validate(&config(json!({})))[0].key, "default_scope");
    let server = server(config(json!({})), [beyond]);
    assert_eq!(granted(&server, ""), "401 invalid_client");
    // A scope that the server has withdrawn since falls away from the defaults.
    let withdrawn = support::server(
        config(json!({ "scopes": ["read"] })),
        [registered(json!({ "scope": "read legacy", "default_scope": "legacy read" }))],
    );
    assert_eq!(granted(&withdrawn, ""), "read");
    assert_eq!(granted(&withdrawn, "scope=legacy"), REFUSED);
}

#[test]
// req: SC-029
fn a_token_without_scope_has_no_member_scope() {
    let server = server(config(json!({})), [registered(json!({ "scope": "read", "default_scope": "" }))]);
    let answer = ask(&server, "").json();
    assert!(answer.get("access_token").is_some() && answer.get("scope").is_none(), "{answer}");
    let described = described(&server, "");
    assert!(described["active"] == true && described.get("scope").is_none(), "{described}");
    assert_eq!(granted(&server, "scope=read"), "read", "only the default is empty");
}

#[test]
// req: SC-001, SC-018
fn scope_values_are_made_of_text_or_tokens() {
    assert_eq!(Scope::from_tokens(["write", "read", "write"]).unwrap().as_str(), "write read");
    assert_eq!(Scope::from_tokens([""; 0]).unwrap(), Scope::default());
    for tokens in [vec!["a b"], vec![""], vec!["a", ""], vec!["a\"b"], vec!["a", " "], vec!["a\\"]] {
        assert!(Scope::from_tokens(&tokens).is_err(), "{tokens:?}");
    }
    let scope: Scope = "read write".parse().unwrap();
    assert_eq!(scope.tokens().collect::<Vec<_>>(), ["read", "write"]);
    assert!(scope.contains_all(&"write".parse().unwrap()) && scope.contains_all(&Scope::default()));
    assert!(!scope.contains_all(&"write admin".parse().unwrap()) && !scope.contains("rea") && !scope.contains(""));
    for text in ["\"\"", "\"read write\""] {
        let scope: Scope = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&scope).unwrap(), text);
    }
    for bad in ["\" \"", "\"a  b\"", "[\"a\"]", "null", "7"] {
        assert!(serde_json::from_str::<Scope>(bad).is_err(), "{bad}");
    }
}

// Resource.

const A: &str = "https://a.example.com";
const B: &str = "https://b.example.com/path?x=1";
const URN: &str = "urn:example:ledger";

/// A server of [`A`], [`B`] and [`URN`] whose client has scope `read` and the members given here.
fn resource_server(members: Value) -> Server {
    let mut all = json!({ "scope": "read", "default_scope": "read" });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    server(config(json!({ "resources": [A, B, URN] })), [registered(all)])
}

#[test]
// req: RS-001, RS-004, RS-007, RS-009, RS-013, RS-019
fn the_resources_that_are_asked_for_are_the_audience() {
    let server = resource_server(json!({}));
    let escaped: String = form_urlencoded::byte_serialize(B.as_bytes()).collect();
    for (query, expected) in [
        (format!("resource={A}"), json!(A)),
        (format!("resource={escaped}"), json!(B)),
        (format!("resource={URN}"), json!(URN)),
        (format!("resource={escaped}&resource={A}"), json!([B, A])),
        (format!("resource={A}&resource={A}"), json!(A)),
        (format!("resource={A}&resource={URN}&resource={A}&resource="), json!([A, URN])),
    ] {
        assert_eq!(audience(&server, &query), expected, "{query}");
        assert_eq!(audience(&server, &query), expected, "the same at each call");
    }
}

#[test]
// req: RS-002, RS-003, RS-004, RS-005, RS-012
fn nothing_but_a_known_resource_octet_for_octet_will_do() {
    let server = resource_server(json!({}));
    for bad in [
        "api",
        "/x",
        "//a.example.com",
        "a.example.com",
        "https:",
        "https://",
        "https://a.example.com%23x",
        "https://a.example.com%23",
        "https://a.example.com/",
        "https://A.example.com",
        "HTTPS://a.example.com",
        "https://a.example.com:443",
        "http://a.example.com",
        "https://a.example.com%3Fa=1",
        "https://a.example.com/path",
        "https://a.example.com.",
        "+https://a.example.com",
        "https://a.example.com+",
        "https://a.example.com%00",
        "https://a.example.com+https://a.example.com",
        "https://b.example.com/path",
        "https://b.example.com/path%3Fx=1%26y=2",
        "https://b.example.com/%2570ath%3Fx=1",
        "urn:example:LEDGER",
        "urn:example:ledger:x",
        "https://unknown.example.com",
        "c",
    ] {
        let answer = ask(&server, &format!("resource={bad}"));
        assert_eq!(answer.outcome(), (400, "invalid_target".into()), "{bad}");
    }
    assert!(server.tokens().is_empty());
}

#[test]
// req: RS-005, RS-006, RS-008
fn unknown_and_forbidden_resources_are_refused_alike_and_wholly() {
    let server = resource_server(json!({ "resources": [A] }));
    assert_eq!(audience(&server, &format!("resource={A}")), A);
    let tokens_before = server.tokens().len();
    let answers = [
        format!("resource={URN}"),                         // known, not the client's
        "resource=https://unknown.example.com".to_owned(), // unknown
        "resource=api".to_owned(),                         // malformed
        format!("resource={A}&resource={URN}"),            // one bad among good ones
        format!("resource={A}&resource=https://unknown.example.com&resource={A}"),
    ]
    .map(|query| ask(&server, &query));
    assert_eq!(answers[0].outcome(), (400, "invalid_target".into()));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "the same to the last octet");
    assert_eq!(server.tokens().len(), tokens_before);
}

#[test]
// req: RS-010
fn without_a_resource_the_audience_is_the_clients_default_else_the_servers_else_none() {
    for (server_default, client_default, expected) in [
        (json!([]), Value::Null, Value::Null),
        (json!([A]), Value::Null, json!(A)),
        (json!([A, URN]), Value::Null, json!([A, URN])),
        (json!([A]), json!([URN]), json!(URN)),
        (json!([]), json!([URN, A]), json!([URN, A])),
        (json!([A]), json!([]), Value::Null), // a client that is for nobody in particular
    ] {
        let mut members = json!({ "scope": "read", "default_scope": "read" });
        if !client_default.is_null() {
            members["default_resources"] = client_default.clone();
        }
        let config = config(json!({ "resources": [A, URN], "default_resources": server_default }));
        let server = server(config, [registered(members)]);
        assert_eq!(audience(&server, ""), expected, "{server_default} {client_default}");
        assert_eq!(audience(&server, "resource="), expected, "empty is omitted");
        assert_eq!(audience(&server, &format!("resource={A}")), json!(A), "a default adds nothing to what is asked");
    }
    let undecided = resource_server(json!({}));
    assert!(described(&undecided, "").get("aud").is_none(), "absent, not null");
}

#[test]
// req: RS-020, RS-005
fn a_server_without_resources_grants_none() {
    let server = server(config(json!({})), [registered(json!({ "scope": "read", "default_scope": "read" }))]);
    for resource in [A, URN, "https://as.example.com", "c"] {
        assert_eq!(audience(&server, &format!("resource={resource}")), "400 invalid_target");
    }
    // Nor does a client's own list make one known.
    let own = support::server(
        config(json!({})),
        [registered(json!({ "scope": "read", "default_scope": "read", "resources": [A] }))],
    );
    assert_eq!(audience(&own, &format!("resource={A}")), "400 invalid_target");
}

#[test]
fn an_empty_list_of_a_client_permits_no_resource() {
    let server = resource_server(json!({ "resources": [] }));
    assert_eq!(audience(&server, &format!("resource={A}")), "400 invalid_target");
    assert_eq!(audience(&server, ""), Value::Null);
}

#[test]
// req: RS-014, TR-025, TR-026
fn a_bad_resource_shows_after_authentication_and_permission() {
    let mut grantless = registered(json!({}));
    grantless.grant_types.clear();
    let server = server(config(json!({})), [grantless]);
    let bad = Sent::form("grant_type=client_credentials&resource=api&scope=unknown");
    assert_eq!(token(&server, &bad.clone().basic("c", "wrong")).outcome(), (401, "invalid_client".into()));
    assert_eq!(token(&server, &bad.basic("c", "a long secret")).outcome(), (400, "unauthorized_client".into()));
}

#[test]
// req: RS-006, RS-010
fn a_default_of_the_server_gives_no_client_what_it_may_not_ask_for() {
    let (a, b) = ("https://a.example.com", "https://b.example.com");
    let config = config(json!({ "resources": [a, b], "default_resources": [b, a] }));
    let client = |id: &str, resources: Value| {
        client(json!({
            "client_id": id, "client_secret": "a secret", "scope": "write", "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_post", "resources": resources,
        }))
    };
    let clients = [client("free", Value::Null), client("of-a", json!([a])), client("of-none", json!([]))];
    let server = server(config, clients);
    for (id, audience) in [("free", json!([b, a])), ("of-a", json!(a)), ("of-none", Value::Null)] {
        let credentials = format!("client_id={id}&client_secret=a+secret");
        let granted = token(&server, &Sent::form(format!("grant_type=client_credentials&scope=write&{credentials}")));
        assert_eq!(granted.status, 200, "{id}");
        let told = introspect(&server, &Sent::form(format!("token={}&{credentials}", granted.text("access_token"))));
        assert_eq!(told.json()["aud"], audience, "{id}");
    }
}
