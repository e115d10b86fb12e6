//! Properties of everything that parses, over inputs that nobody thought of. Form and Basic have theirs beside the code.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;

use client_credentials::{Client, Config, Scope, TokenRequest};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::*;

/// A scope token of RFC 6749 §3.3.
fn scope_token() -> impl Strategy<Value = String> {
    "[!#-\\[\\]-~]{1,12}"
}

/// JSON of any shape, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const MEMBERS: [&str; 29] = [
    "client_id",
    "client_name",
    "client_secret",
    "client_secret_hash",
    "client_secrets",
    "client_secret_expires_at",
    "token_endpoint_auth_method",
    "grant_types",
    "scope",
    "default_scope",
    "resources",
    "default_resources",
    "audience",
    "access_token_format",
    "access_token_lifetime",
    "disabled",
    "may_introspect",
    "tokens_not_before",
    "basic_encoding",
    "jwks",
    "jwks_uri",
    "federated",
    "token_endpoint_auth_signing_alg",
    "assertion_audience",
    "authorization_details_types",
    "dpop_bound_access_tokens",
    "client_uri",
    "scopes",
    "issuer",
];

proptest! {
    /// A scope of good tokens is read as those tokens, each once, in order of first use.
    // req: SC-001, SC-005, SC-018
    #[test]
    fn good_scopes_are_read(tokens in prop::collection::vec(scope_token(), 1..20)) {
        let scope = Scope::parse(&tokens.join(" ")).unwrap();
        let mut distinct: Vec<&str> = Vec::new();
        for token in &tokens {
            if !distinct.contains(&token.as_str()) {
                distinct.push(token);
            }
        }
        prop_assert_eq!(scope.tokens().collect::<Vec<_>>(), distinct);
        let reversed: Vec<&String> = tokens.iter().rev().collect();
        let reversed = Scope::from_tokens(reversed).unwrap();
        prop_assert!(scope.contains_all(&reversed) && reversed.contains_all(&scope));
    }

    /// Any text is either refused, or made of characters of the grammar with single spaces between them.
    // req: SC-002, SC-003
    #[test]
    fn other_scopes_are_refused(text in "\\PC{0,30}|[a-z \t\"\\\\]{0,30}") {
        let is_token = |token: &str| !token.is_empty() && token.bytes().all(|c| matches!(c, 0x21 | 0x23..=0x5B | 0x5D..=0x7E));
        prop_assert_eq!(Scope::parse(&text).is_ok(), text.split(' ').all(is_token));
    }

    /// What is granted was registered, offered, and either asked for or a default.
    // req: SC-015, SC-016
    #[test]
    fn nobody_gets_more_than_he_may(
        offered in prop::option::of(prop::collection::vec(0..8_usize, 0..8)),
        registered in prop::option::of(prop::collection::vec(0..8_usize, 0..8)),
        default in prop::option::of(prop::collection::vec(0..8_usize, 0..4)),
        server_default in prop::collection::vec(0..8_usize, 0..4),
        asked in prop::collection::vec(0..8_usize, 0..4),
        narrow in any::<bool>(),
    ) {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let list = |numbers: &[usize]| numbers.iter().map(|n| names[*n]).collect::<Vec<_>>();
        let text = |numbers: &[usize]| Scope::from_tokens(list(numbers)).unwrap().to_string();
        let server_default: Vec<usize> =
            server_default.into_iter().filter(|n| offered.as_ref().is_none_or(|offered| offered.contains(n))).collect();
        let default: Option<Vec<usize>> = default.map(|default| {
            default.into_iter().filter(|n| registered.as_ref().is_none_or(|own| own.contains(n))).collect()
        });
        let mut settings = json!({ "default_scopes": list(&server_default), "scope_policy": if narrow { "narrow" } else { "strict" } });
        if let Some(offered) = &offered {
            settings["scopes"] = json!(list(offered));
        }
        let mut registration = json!({
            "client_id": "c", "client_secret": "a secret", "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_post",
        });
        if let Some(registered) = &registered {
            registration["scope"] = json!(text(registered));
        }
        if let Some(default) = &default {
            registration["default_scope"] = json!(text(default));
        }
        let server = server(config(settings), [client(registration)]);
        let asked_text = text(&asked).replace(' ', "+");
        let answer = token(&server, &Sent::form(format!(
            "grant_type=client_credentials&client_id=c&client_secret=a+secret&scope={asked_text}"
        )));
        if answer.status != 200 {
            prop_assert_eq!(answer.outcome(), (400, "invalid_scope".to_owned()));
            return Ok(());
        }
        for granted in answer.text("scope").split_terminator(' ') {
            let number = names.iter().position(|name| *name == granted).unwrap();
            prop_assert!(registered.as_ref().unwrap_or(&server_default).contains(&number), "registered");
            prop_assert!(offered.as_ref().is_none_or(|offered| offered.contains(&number)), "offered");
            let wanted = if asked.is_empty() { default.as_ref().unwrap_or(&server_default) } else { &asked };
            prop_assert!(wanted.contains(&number), "asked for, or a default");
        }
    }

    /// A request of well-formed parameters is read as they were written; one more copy of a known one refuses it.
    // req: TR-010, TR-012, TR-016
    #[test]
    fn requests_are_read_as_written(
        scope in "\\PC{1,20}", resources in prop::collection::vec("\\PC{1,20}", 0..4), extra in "[a-z]{9,12}", value in "\\PC{0,20}",
        again in prop::sample::select(&["grant_type", "scope", "client_id", "client_secret"][..]),
    ) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials").append_pair("scope", &scope);
        form.append_pair("client_id", "c").append_pair("client_secret", "s").append_pair(&format!("x{extra}"), &value);
        form.extend_pairs(resources.iter().map(|resource| ("resource", resource)));
        let body = form.finish();
        let sent = Sent::form(body.clone());
        let request = TokenRequest::parse(sent.parts()).unwrap();
        prop_assert_eq!(request.scope(), Some(scope.as_str()));
        prop_assert_eq!(request.resource().collect::<Vec<_>>(), resources.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(request.credentials().claimed_client_id(), Some("c"));
        let twice = Sent::form(format!("{body}&{again}="));
        prop_assert!(TokenRequest::parse(twice.parts()).is_err());
    }

    /// No octets at all make the endpoints panic, answer 5xx, or answer without an error code.
    // req: SE-007
    #[test]
    fn no_request_breaks_the_server(
        method in "POST|GET|[A-Z]{0,5}", content_type in "application/x-www-form-urlencoded|\\PC{0,30}", query in "[a-z_=&%+]{0,30}",
        authorization in prop::option::of(prop::collection::vec(any::<u8>(), 0..60)), prefix in "|grant_type=client_credentials&",
        body in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"%&=+tokensp"[..])], 0..120),
    ) {
        let server = server(config(json!({})), [my_client()]);
        let mut sent = Sent { method, query, body: [prefix.as_bytes(), &body].concat(), ..Sent::default() };
        sent = sent.header("Content-Type", content_type);
        if let Some(authorization) = authorization {
            sent = sent.header("Authorization", authorization);
        }
        for answer in [token(&server, &sent), introspect(&server, &sent), revoke(&server, &sent)] {
            prop_assert!((400..500).contains(&answer.status), "{answer:?}");
            prop_assert!(!answer.error().is_empty(), "{answer:?}");
        }
    }

    /// No registration makes reading panic; a sound one survives a round trip, a faulty one is never used.
    // req: CA-041
    #[test]
    fn any_registration_is_sound_or_refused(members in prop::collection::btree_map(prop::sample::select(&MEMBERS[..]), any_json(), 0..6)) {
        let mut members: serde_json::Map<String, Value> = members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        members.insert("client_id".into(), "c".into());
        let client: Client = serde_json::from_value(Value::Object(members)).unwrap();
        if client.validate(&config(json!({}))).is_empty() {
            let written = serde_json::to_value(&client).unwrap();
            let read: Client = serde_json::from_value(written.clone()).unwrap();
            prop_assert_eq!(serde_json::to_value(&read).unwrap(), written);
        } else {
            let server = server(config(json!({})), [client]);
            let answer = token(&server, &Sent::form("grant_type=client_credentials&scope=a").basic("c", "secret of nobody"));
            prop_assert_eq!(answer.outcome(), (401, "invalid_client".to_owned()));
        }
    }

    /// No configuration makes reading panic, and an unknown key is always refused.
    #[test]
    fn any_configuration_is_read_or_refused(members in prop::collection::btree_map("[a-z_]{1,12}|scopes|resources|issuer|access_token_lifetime", any_json(), 0..5)) {
        let known = serde_json::to_value(Config::new("https://as.example.com")).unwrap();
        let unknown = members.keys().any(|key| known.get(key).is_none());
        let mut members: serde_json::Map<String, Value> = members.into_iter().collect();
        members.entry("issuer").or_insert("https://as.example.com".into());
        let config = serde_json::from_value::<Config>(Value::Object(members));
        prop_assert!(config.is_err() || !unknown);
        if let Ok(config) = config {
            let _ = config.validate();
        }
    }
}
