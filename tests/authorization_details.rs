//! Rich authorization requests: which details are granted, what is refused, and where they stand afterwards (RFC 9396).
#![cfg(feature = "rar")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "where a test cannot go on it has failed")]

mod support;

use client_credentials::{
    AuthorizationDetails, AuthorizationServer, Client, Reason, TokenError, TokenRequest, issue_client_credentials_token,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use support::*;

const A: &str = "https://a.example.com";
const B: &str = "https://b.example.com";

/// What an object of the type `payment` must look like.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "that they are there is what counts")]
struct Payment {
    r#type: String,
    currency: Currency,
    limit: u64,
}

#[derive(Deserialize)]
enum Currency {
    #[serde(rename = "EUR")]
    Euro,
}

/// A client of the secret `a long secret` by Basic for `read` and `write`, with the members given here.
fn registered(id: &str, members: Value) -> Client {
    let mut all = json!({
        "client_id": id, "client_secret": "a long secret", "grant_types": ["client_credentials"], "scope": "read write",
    });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    client(all)
}

/// The client `c` may use `payment`, which has rules, and `account`, which has none; nobody may use `safe`.
fn serving_with(settings: Value, members: Value) -> Server {
    let mut all = json!({
        "scopes": ["read", "write"], "resources": [A, B], "authorization_details_types": ["payment", "account", "safe"],
    });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let mut own = json!({ "authorization_details_types": ["payment", "account"] });
    own.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let clients = [
        registered("c", own),
        registered("none", json!({ "authorization_details_types": [] })),
        registered("absent", json!({})),
        registered("grantless", json!({ "grant_types": [], "authorization_details_types": ["account"] })),
    ];
    server(config(all), clients)
        .with_authorization_details_type("payment", |object| match object.read::<Payment>() {
            Ok(payment) if payment.limit > 1000 => Err("over the limit".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        })
        .unwrap()
}

fn serving() -> Server {
    serving_with(json!({}), json!({}))
}

fn payment() -> Value {
    json!({ "type": "payment", "currency": "EUR", "limit": 1000 })
}

fn form(details: &str, more: &str) -> String {
    let details: String = form_urlencoded::byte_serialize(details.as_bytes()).collect();
    format!("grant_type=client_credentials&authorization_details={details}&{more}")
}

/// The client `c` asks for these details.
fn ask(server: &Server, details: &Value, more: &str) -> Answer {
    token(server, &Sent::form(form(&details.to_string(), more)).basic("c", "a long secret"))
}

/// Why the client does not get these details.
fn refusal(server: &Server, client_id: &str, details: &str) -> TokenError {
    let sent = Sent::form(form(details, "scope=write")).basic(client_id, "a long secret");
    let request = TokenRequest::parse(sent.parts()).unwrap();
    let error = run(issue_client_credentials_token(server, &request)).unwrap_err();
    let answer = (error.status(), error.code().as_str());
    assert_eq!(answer, (400, "invalid_authorization_details"), "{client_id}: {details}: {error}");
    assert!(server.tokens().is_empty(), "{client_id}: {details}: and no token");
    error
}

/// What introspection says of a token of the client `c`.
fn told(server: &Server, access_token: &str) -> Value {
    introspect(server, &Sent::form(format!("token={access_token}")).basic("c", "a long secret")).json()
}

// What is granted.

#[test]
// req: RA-001, RA-002, RA-011
fn allowed_details_are_granted_as_they_were_asked_beside_the_scope() {
    let server = serving();
    let account = json!({
        "type": "account", "locations": ["https://a.example.com/accounts"], "actions": ["list", "read"], "datatypes": [],
        "identifier": "7", "privileges": ["owner"],
        "own": { "number": [0, -1, u64::MAX, i64::MIN, 1.5, 31.245270191439438], "text": "\u{e9}\u{1f600}\"\\\n", "none": null, "yes": true },
    });
    for details in [json!([account]), json!([payment()]), json!([account, payment(), account])] {
        let answer = ask(&server, &details, "scope=write");
        assert_eq!(answer.outcome(), (200, String::new()));
        let body = answer.json();
        assert_eq!((&body["authorization_details"], &body["scope"]), (&details, &json!("write")));
        let told = told(&server, &answer.text("access_token"));
        assert_eq!((&told["authorization_details"], &told["scope"]), (&details, &json!("write")));
    }
    let without = token(&server, &Sent::form("grant_type=client_credentials&scope=write").basic("c", "a long secret"));
    assert_eq!(
        (without.status, without.json().get("authorization_details")),
        (200, None),
        "nobody gets what was not asked"
    );
    let empty = token(&server, &Sent::form(form("", "scope=write")).basic("c", "a long secret"));
    assert_eq!(
        (empty.status, empty.json().get("authorization_details")),
        (200, None),
        "empty is omitted (RFC 6749 §3.2)"
    );
}

#[test]
// req: RA-012
fn granted_details_need_no_scope() {
    let details = json!([payment()]);
    let server = serving();
    let answer = ask(&server, &details, "");
    assert_eq!((answer.status, answer.json().get("scope")), (200, None));
    assert_eq!(answer.json()["authorization_details"], details);
    assert_eq!(told(&server, &answer.text("access_token")).get("scope"), None);
    // A scope that was asked for is judged as ever, and a default that applies is given as ever.
    assert_eq!(ask(&server, &details, "scope=unknown").outcome(), (400, "invalid_scope".into()));
    assert_eq!(ask(&server, &details, "scope=read").text("scope"), "read");
    let without = token(&server, &Sent::form("grant_type=client_credentials").basic("c", "a long secret"));
    assert_eq!(without.outcome(), (400, "invalid_scope".into()));
    let by_server = serving_with(json!({ "default_scopes": ["write"] }), json!({}));
    assert_eq!(ask(&by_server, &details, "").text("scope"), "write");
    let by_client = serving_with(json!({}), json!({ "default_scope": "read" }));
    assert_eq!(ask(&by_client, &details, "").text("scope"), "read");
}

#[test]
// req: RA-013
fn a_resource_does_not_change_how_details_are_judged() {
    let server = serving();
    for location in [A, B, "https://elsewhere.example.com"] {
        let details = json!([{ "type": "account", "locations": [location] }, payment()]);
        for (more, audience) in [
            ("", Value::Null),
            ("resource=https://a.example.com", A.into()),
            ("resource=https://b.example.com", B.into()),
        ] {
            let answer = ask(&server, &details, more);
            assert_eq!((answer.status, &answer.json()["authorization_details"]), (200, &details), "{location} {more}");
            assert_eq!(told(&server, &answer.text("access_token"))["aud"], audience);
        }
    }
    for more in ["", "resource=https://a.example.com", "resource=https://b.example.com"] {
        let refused = json!([{ "type": "safe", "locations": [A] }]);
        assert_eq!(ask(&server, &refused, more).outcome(), (400, "invalid_authorization_details".into()), "{more}");
    }
}

#[test]
fn an_embedder_edits_what_is_granted() {
    let server = serving();
    let asked = json!([payment(), { "type": "account", "actions": ["read", "write"] }]);
    let sent = Sent::form(form(&asked.to_string(), "scope=write")).basic("c", "a long secret");
    let request = TokenRequest::parse(sent.parts()).unwrap();
    let client = run(server.authenticate(request.credentials())).unwrap();
    let mut grant = server.authorize(&client, &request).unwrap();
    let details = grant.authorization_details.take().unwrap();
    let kept = details.iter().filter(|object| object.get::<Vec<String>>("actions").is_some());
    assert_eq!(details.iter().map(|object| object.names().count()).collect::<Vec<_>>(), [3, 2]);
    grant.authorization_details = AuthorizationDetails::new(kept.collect::<Vec<_>>()).ok();
    let granted = run(server.issue(client, grant)).unwrap();
    assert_eq!(serde_json::to_value(&granted).unwrap()["authorization_details"], json!([asked[1]]));
    assert_eq!(told(&server, granted.access_token.expose())["authorization_details"], json!([asked[1]]));
}

// What is refused.

#[test]
// req: RA-003, RA-004, RA-015
fn the_value_is_an_array_of_objects_with_a_type_and_each_member_once() {
    let server = serving();
    for malformed in [
        r#"{"type":"account"}"#,
        r#""account""#,
        "account",
        "null",
        "7",
        "[]",
        " ",
        "[",
        r#"[{"type":"account"}"#,
        r#"[{"type":"account"}]]"#,
        r#"[{"type":"account"}] x"#,
        r#"[{"type":"account"},]"#,
        r#"[{"type":"account",}]"#,
        r"[{'type':'account'}]",
        r#"[{"type":"account","n":NaN}]"#,
        r#"[{"type":"account","n":1e999}]"#,
        r#"[{"type":"account","s":"\ud800"}]"#,
        r#"["account"]"#,
        r#"[["account"]]"#,
        r#"[null,{"type":"account"}]"#,
        r#"[{"type":"account"},"account"]"#,
        r#"[{"type":"account"},[{"type":"account"}]]"#,
        // A type that is no text.
        "[{}]",
        r#"[{"Type":"account"}]"#,
        r#"[{"type":null}]"#,
        r#"[{"type":7}]"#,
        r#"[{"type":["account"]}]"#,
        r#"[{"type":{"type":"account"}}]"#,
        r#"[{"type":"account"},{"actions":["read"]}]"#,
        // A member that stands twice.
        r#"[{"type":"account","type":"account"}]"#,
        r#"[{"type":"safe","type":"account"}]"#,
        r#"[{"type":"account","\u0074ype":"account"}]"#,
        r#"[{"type":"account","n":1,"n":2}]"#,
        r#"[{"type":"account","own":{"n":1,"n":1}}]"#,
        r#"[{"type":"account","own":[{"n":1,"n":1}]}]"#,
        // What RFC 9396 §2.2 defines for every type.
        r#"[{"type":"account","locations":"https://a.example.com"}]"#,
        r#"[{"type":"account","locations":null}]"#,
        r#"[{"type":"account","actions":[1]}]"#,
        r#"[{"type":"account","actions":{"read":true}}]"#,
        r#"[{"type":"account","datatypes":[["a"]]}]"#,
        r#"[{"type":"account","privileges":["a",null]}]"#,
        r#"[{"type":"account","identifier":7}]"#,
        r#"[{"type":"account","identifier":["7"]}]"#,
    ] {
        let error = refusal(&server, "c", malformed);
        assert!(matches!(error.reason(), Reason::MalformedAuthorizationDetails(_)), "{malformed}: {error}");
    }
    assert_eq!(ask(&server, &json!([{ "type": "account" }]), "").status, 200);
}

#[test]
// req: RA-005, RA-006
fn a_type_must_be_known_and_registered() {
    let server = serving();
    for unknown in ["x", "", "Account", "account ", "acc", "accounts", "*"] {
        let error = refusal(&server, "c", &json!([{ "type": unknown }]).to_string());
        assert!(matches!(error.reason(), Reason::UnknownAuthorizationDetailsType), "{unknown}: {error}");
    }
    for (client_id, other) in [("c", "safe"), ("none", "account"), ("absent", "account"), ("absent", "safe")] {
        let error = refusal(&server, client_id, &json!([{ "type": other }]).to_string());
        assert!(
            matches!(error.reason(), Reason::AuthorizationDetailsTypeNotRegistered),
            "{client_id}: {other}: {error}"
        );
    }
    let answers = ["x", "safe"].map(|other| ask(&server, &json!([{ "type": other }]), ""));
    assert_eq!(answers[0], answers[1], "nothing tells which types there are");
    // Who asks for no details needs none.
    for client_id in ["none", "absent"] {
        let sent = Sent::form("grant_type=client_credentials&scope=read").basic(client_id, "a long secret");
        assert_eq!(token(&server, &sent).status, 200, "{client_id}");
    }
}

#[test]
// req: RA-007, RA-008
fn an_object_follows_the_rules_of_its_type_and_one_bad_one_refuses_all() {
    let server = serving();
    for (bad, cause) in [
        (json!({ "type": "payment", "currency": "EUR", "limit": 1, "more": 1 }), "has an unknown member"),
        (json!({ "type": "payment", "currency": "EUR" }), "missing field `limit`"),
        (json!({ "type": "payment", "currency": "EUR", "limit": "1" }), "must be u64"),
        (json!({ "type": "payment", "currency": "q8-marker", "limit": 1 }), "must be `EUR`"),
        (json!({ "type": "payment", "currency": "EUR", "limit": 1001 }), "over the limit"),
    ] {
        let good = [payment(), json!({ "type": "account" })];
        for details in [json!([bad]), json!([bad, good[0]]), json!([good[0], bad]), json!([good[1], bad, good[1]])] {
            let error = refusal(&server, "c", &details.to_string());
            let Reason::AuthorizationDetailRefused { cause: found } = error.reason() else { unreachable!("{error}") };
            assert_eq!(found, cause, "{details}");
        }
    }
    let account = json!({ "type": "account" });
    for bad in [
        json!({ "type": "x" }),
        json!({ "type": "safe" }),
        json!({}),
        json!(7),
        json!({ "type": "account", "actions": 7 }),
    ] {
        for details in [json!([account, bad]), json!([bad, account])] {
            refusal(&server, "c", &details.to_string());
        }
    }
    // A second closure takes the place of the first.
    let strict = server.with_authorization_details_type("account", |_| Err("no")).unwrap();
    refusal(&strict, "c", &json!([account]).to_string());
    let lax = strict.with_authorization_details_type("account", |_| Ok::<(), String>(())).unwrap();
    assert_eq!(ask(&lax, &json!([account]), "").status, 200);
}

#[test]
// req: SE-011, SE-012
fn details_are_bounded() {
    let server = serving();
    let of_octets = |octets: usize| format!(r#"[{{"type":"account","t":"{}"}}]"#, "t".repeat(octets - 27));
    let of_objects = |count: usize| Value::from(vec![json!({ "type": "account" }); count]).to_string();
    let of_numbers = |count: usize| format!(r#"[{{"type":"account","n":[{}]}}]"#, vec!["1e15"; count].join(","));
    let of_levels =
        |levels: usize| format!(r#"[{{"type":"account","n":{}{}}}]"#, "[".repeat(levels - 2), "]".repeat(levels - 2));
    assert_eq!(of_octets(100).len(), 100);
    let too_long = |reason: &Reason| matches!(reason, Reason::AuthorizationDetailsTooLong);
    let malformed = |reason: &Reason| matches!(reason, Reason::MalformedAuthorizationDetails(_));
    for (good, bad, why) in [
        (of_octets(16 * 1024), of_octets(16 * 1024 + 1), too_long as fn(&Reason) -> bool),
        (of_octets(27), of_octets(60 * 1024), too_long),
        (of_objects(16), of_objects(17), too_long),
        (of_objects(1), of_objects(160), too_long),
        (of_numbers(800), of_numbers(900), too_long), // 5 octets each, and 19 when they are written again
        (of_levels(6), of_levels(7), malformed),
        (of_levels(3), of_levels(60), malformed),
        (of_levels(3), of_levels(8_000), malformed),
    ] {
        let error = refusal(&server, "c", &bad);
        assert!(why(error.reason()), "{}: {error}", &bad[..40]);
        let fresh = serving();
        let sent = Sent::form(form(&good, "")).basic("c", "a long secret");
        let answer = token(&fresh, &sent);
        assert_eq!(answer.outcome(), (200, String::new()), "{}", &good[..25]);
        assert_eq!(
            told(&fresh, &answer.text("access_token"))["authorization_details"],
            answer.json()["authorization_details"]
        );
    }
    let ten_times = Sent::form(form(&of_octets(160 * 1024), "")).basic("c", "a long secret");
    assert_eq!(token(&server, &ten_times).status, 413);
    for opening in ["[", r#"{"type":"#, r#"[{"type":"account","n":"#] {
        refusal(&server, "c", &opening.repeat(16 * 1024 / opening.len()));
    }
}

#[test]
// req: TR-026
fn details_are_judged_after_the_resource_and_before_the_scope() {
    let server = serving();
    let ask = |client_id: &str, more: &str| {
        token(&server, &Sent::form(form("bad", more)).basic(client_id, "a long secret")).error()
    };
    assert_eq!(ask("grantless", "resource=https://x&scope=x"), "unauthorized_client");
    assert_eq!(ask("c", "resource=https://x&scope=x"), "invalid_target");
    assert_eq!(ask("c", "scope=x"), "invalid_authorization_details");
    assert_eq!(ask("c", ""), "invalid_authorization_details");
}

#[test]
// req: RA-014
fn refused_details_are_not_echoed() {
    let lines = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&lines);
    let server = serving().on_event(move |event| log.lock().unwrap().push_str(&event.to_string()));
    let m = "q8marker";
    let answers: Vec<Answer> = [
        m.to_owned(),
        format!("[\"{m}\"]"),
        format!(r#"[{{"type":"{m}"}}]"#),
        format!(r#"[{{"{m}":1}}]"#),
        format!(r#"[{{"type":"safe","{m}":"{m}"}}]"#),
        format!(r#"[{{"type":"account","identifier":["{m}"]}}]"#),
        format!(r#"[{{"type":"account","{m}":1,"{m}":2}}]"#),
        format!(r#"[{{"type":"payment","{m}":1}}]"#),
        format!(r#"[{{"type":"payment","currency":"{m}","limit":1}}]"#),
        format!(r#"[{{"type":"payment","currency":"EUR","limit":"{m}"}}]"#),
        format!(r#"[{{"type":"account","t":"{}"}}]"#, m.repeat(3000)),
    ]
    .map(|details| token(&server, &Sent::form(form(&details, "")).basic("c", "a long secret")))
    .into();
    for answer in &answers {
        assert_eq!(answer, &answers[0], "one answer for every fault");
        assert!(!format!("{:?}{}", answer.headers, String::from_utf8_lossy(&answer.body)).contains(m), "{answer:?}");
    }
    let lines = lines.lock().unwrap();
    assert!(lines.contains("unknown member") && !lines.contains(m), "nor does the log have it: {lines}");
}

// Configuration and registration.

#[test]
// req: RA-016
fn a_registered_type_that_the_server_does_not_know_is_a_fault() {
    let settings = json!({ "authorization_details_types": ["account"] });
    for (types, faulty) in [
        (json!(null), false),
        (json!([]), false),
        (json!(["account"]), false),
        (json!(["payment"]), true),
        (json!(["account", "Account"]), true),
        (json!("account"), true),
        (json!([7]), true),
    ] {
        let client = registered("c", json!({ "authorization_details_types": types }));
        let keys: Vec<String> = client.validate(&config(settings.clone())).into_iter().map(|fault| fault.key).collect();
        assert_eq!(keys, vec!["authorization_details_types"; usize::from(faulty)], "{types}");
    }
    // As with resources, a stored client can still be used: the type is just never granted.
    let stale = registered("c", json!({ "authorization_details_types": ["payment", "account"] }));
    let written = serde_json::to_value(&stale).unwrap();
    assert_eq!(written["authorization_details_types"], json!(["payment", "account"]));
    let stale: Client = serde_json::from_value(written).unwrap();
    let server = server(config(settings), [stale]);
    assert_eq!(
        ask(&server, &json!([{ "type": "payment" }]), "").outcome(),
        (400, "invalid_authorization_details".into())
    );
    assert_eq!(ask(&server, &json!([{ "type": "account" }]), "").status, 200);
}

#[test]
fn types_are_names_that_stand_once_and_rules_are_for_types_that_are_there() {
    let long = "t".repeat(255);
    for (types, faulty) in [
        (json!([]), false),
        (json!(["a", "A", "https://example.com/account", "\u{e9}", long]), false),
        (json!([""]), true),
        (json!(["a\n"]), true),
        (json!(["a", "b", "a"]), true),
        (json!([format!("{long}t")]), true),
    ] {
        let config = config(json!({ "authorization_details_types": types }));
        let keys: Vec<String> = config.validate().into_iter().map(|fault| fault.key).collect();
        assert_eq!(keys, vec!["authorization_details_types"; usize::from(faulty)], "{types}");
    }
    let typo = serving().with_authorization_details_type("paymnet", |_| Err("no")).unwrap_err();
    assert_eq!(typo.faults[0].key, "authorization_details_types");
    let none: AuthorizationServer<_, _> = server(config(json!({})), [my_client()]);
    assert!(none.with_authorization_details_type("payment", |_| Err("no")).is_err());
}

// Signed tokens.

#[cfg(feature = "jwt")]
mod signed {
    use super::*;
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use client_credentials::{AccessTokenValidator, Field, JwkSet, SigningAlgorithm, SigningKey, SigningKeys};

    fn signing() -> Server {
        let key = SigningKey::from_pem(SigningAlgorithm::Es256, include_str!("keys/ec-p256-pkcs8.pem")).unwrap();
        serving_with(json!({ "access_token_format": "jwt" }), json!({})).with_signing_keys(SigningKeys::new([key]))
    }

    fn claims(jwt: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
    }

    /// What a resource server reads in a token.
    fn validated(server: &Server, audience: &str, access_token: &str) -> Value {
        let keys = JwkSet::from_json(&String::from_utf8(server.jwks()).unwrap()).unwrap();
        let validator = AccessTokenValidator::new("https://as.example.com", [audience]).with_keys(keys);
        let validator = validator.with_clock(TestClock::at(NOW));
        let field = format!("Bearer {access_token}");
        let presented = validator.read(Field::One(field.as_bytes())).unwrap();
        let token = run(validator.validate(presented)).unwrap();
        token.authorization_details.map_or(Value::Null, |details| serde_json::to_value(details).unwrap())
    }

    #[test]
    // req: RA-009, RA-011
    fn a_signed_token_carries_the_details_of_its_audience() {
        let server = signing();
        let at = |locations: &[&str]| json!({ "type": "account", "locations": locations });
        let [everywhere, nowhere, ours, below, theirs, both, no] = [
            json!({ "type": "account", "n": [31.245270191439438, u64::MAX] }),
            at(&[]),
            at(&[A]),
            at(&["https://a.example.com/accounts"]),
            at(&[B, "https://a.example.com.evil.example", "https://elsewhere.example.com"]),
            at(&[B, A]),
            at(&["https://a.example.comx"]),
        ];
        let all = [&everywhere, &nowhere, &ours, &below, &theirs, &both, &no];
        for (asked, more, expected) in [
            (vec![&everywhere], "", vec![&everywhere]),
            (vec![&everywhere, &nowhere], "resource=https://a.example.com", vec![&everywhere, &nowhere]),
            (all.to_vec(), "resource=https://a.example.com", vec![&everywhere, &nowhere, &ours, &below, &both]),
            (all.to_vec(), "resource=https://b.example.com", vec![&everywhere, &nowhere, &theirs, &both]),
            (all.to_vec(), "", all.to_vec()), // for nobody in particular
            (vec![&theirs, &no], "resource=https://a.example.com", vec![]),
        ] {
            let details = json!(asked);
            let answer = ask(&server, &details, &format!("scope=write&{more}"));
            assert_eq!((answer.status, &answer.json()["authorization_details"]), (200, &details), "as granted");
            let access_token = answer.text("access_token");
            let (claims, told) = (claims(&access_token), told(&server, &access_token));
            let expected = if expected.is_empty() { Value::Null } else { json!(expected) };
            assert_eq!((&claims["authorization_details"], &claims["scope"]), (&expected, &json!("write")), "{more}");
            assert_eq!((&told["authorization_details"], &told["scope"]), (&expected, &json!("write")), "{more}");
            let audience = claims["aud"].as_str().unwrap();
            assert_eq!(validated(&server, audience, &access_token), expected, "{more}");
        }
        let scopeless = ask(&server, &json!([payment()]), "");
        assert_eq!(claims(&scopeless.text("access_token")).get("scope"), None);
    }

    #[test]
    // req: RA-009, SE-011, SE-012
    fn what_is_granted_in_a_signed_token_can_be_read_everywhere() {
        let server = signing();
        // As deep as it may be.
        let deep: Value = serde_json::from_str(r#"[{"type":"account","n":[[[[{}]]]]}]"#).unwrap();
        assert_eq!(ask(&server, &deep, "").outcome(), (400, "invalid_authorization_details".into()));
        let deep: Value = serde_json::from_str(r#"[{"type":"account","n":[[[{}]]]}]"#).unwrap();
        let access_token = ask(&server, &deep, "").text("access_token");
        assert_eq!(validated(&server, "https://as.example.com", &access_token), deep);
        let signed = Sent::form(format!("token={access_token}"))
            .basic("c", "a long secret")
            .header("Accept", "application/token-introspection+jwt");
        let signed = String::from_utf8(introspect(&server, &signed).body).unwrap();
        let answer = claims(&signed);
        assert_eq!(answer["token_introspection"]["authorization_details"], deep);
        fn levels(value: &Value) -> usize {
            match value {
                Value::Array(list) => 1 + list.iter().map(levels).max().unwrap_or(0),
                Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
                _ => 0,
            }
        }
        assert_eq!(levels(&answer), 8);
        // As long as it may be: whatever is issued, a resource server takes.
        let (mut taken, mut refused) = (0, 0);
        for octets in (5_000..=6_400).step_by(100).chain(5_800..5_900) {
            let details = json!([{ "type": "account", "t": "t".repeat(octets) }]);
            let answer = ask(&server, &details, "");
            if answer.status == 200 {
                assert_eq!(validated(&server, "https://as.example.com", &answer.text("access_token")), details);
                taken += 1;
            } else {
                assert_eq!(answer.outcome(), (400, "invalid_authorization_details".into()));
                refused += 1;
            }
        }
        assert!(taken > 5 && refused > 5, "{taken} {refused}");
    }
}

// Whatever is sent.

/// Text that is nearly what it should be.
fn any_details() -> impl Strategy<Value = String> {
    let word = prop::sample::select(
        &[
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\"type\"",
            "\"account\"",
            "\"payment\"",
            "\"safe\"",
            "\"currency\"",
            "\"EUR\"",
            "\"limit\"",
            "\"locations\"",
            "\"identifier\"",
            "null",
            "1",
            "1e400",
            "\"\\ud800\"",
            "-",
            " ",
            "\u{0}",
            "\u{e9}",
            "[{\"type\":\"account\",",
            "}]",
        ][..],
    );
    prop_oneof!["\\PC{0,60}", prop::collection::vec(word, 0..24).prop_map(|words| words.concat()),]
}

/// JSON of any shape, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// No text makes the server panic or fail: it grants what was sent, or refuses it with the one code.
    // req: RA-003, RA-014
    #[test]
    fn no_text_breaks_the_server(details in any_details()) {
        let server = serving();
        let answer = token(&server, &Sent::form(form(&details, "scope=write")).basic("c", "a long secret"));
        match answer.status {
            200 if details.is_empty() => {}
            200 => {
                let sent: Value = serde_json::from_str(&details).unwrap();
                prop_assert_eq!(&answer.json()["authorization_details"], &sent);
            }
            _ => prop_assert_eq!(answer.outcome(), (400, "invalid_authorization_details".to_owned())),
        }
    }

    /// Objects of a type without rules are granted, told and stored as they were sent, whatever else stands in them.
    // req: RA-001, RA-011
    #[test]
    fn what_is_granted_is_what_was_sent(members in prop::collection::vec(prop::collection::btree_map("x[a-z]{0,8}", any_json(), 0..4), 1..5)) {
        let server = serving();
        let objects = members.into_iter().map(|members| {
            let mut object: serde_json::Map<String, Value> = members.into_iter().collect();
            object.insert("type".into(), "account".into());
            Value::Object(object)
        });
        let details: Value = objects.collect();
        let answer = ask(&server, &details, "scope=write");
        prop_assert_eq!(answer.outcome(), (200, String::new()));
        prop_assert_eq!(&answer.json()["authorization_details"], &details);
        prop_assert_eq!(&told(&server, &answer.text("access_token"))["authorization_details"], &details);
    }
}
