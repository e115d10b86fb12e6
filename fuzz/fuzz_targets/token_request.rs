//! Whole requests to all three endpoints, answered by a server: no panic, no 5xx, and nothing of the request in the answer.
#![no_main]

use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Config, Field, IntrospectionRequest, Parts, RevocationRequest, TokenError,
    TokenRequest, introspect_token, issue_client_credentials_token, revoke_token,
};
use libfuzzer_sys::fuzz_target;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

static SERVER: LazyLock<AuthorizationServer<MemoryClientStore, MemoryTokenStore>> = LazyLock::new(|| {
    let client = r#"{ "client_id": "a", "client_secret": "b", "scope": "c d", "grant_types": ["client_credentials"],
                      "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"], "basic_encoding": "raw",
                      "authorization_details_types": ["t"] }"#;
    let clients = [serde_json::from_str::<Client>(client).expect("valid")].into_iter().collect();
    let mut config = Config::new("https://as.example.com");
    config.resources = vec!["urn:r".into()];
    config.authorization_details_types = vec!["t".into()];
    AuthorizationServer::new(config, clients, MemoryTokenStore::default()).expect("valid").on_event(|event| {
        assert!(!event.to_string().contains(char::is_control));
    })
});

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a store in memory waited"),
    }
}

fuzz_target!(|input: (&[u8], &[u8], &str, &[u8])| {
    let (body, authorization, query, content_type) = input;
    let field = |value: &'static [u8]| Field::One(value);
    let parts = Parts {
        method: "POST",
        query: (!query.is_empty()).then_some(query),
        content_type: if content_type.is_empty() {
            field(b"application/x-www-form-urlencoded")
        } else {
            Field::One(content_type)
        },
        authorization: if authorization.is_empty() { Field::Absent } else { Field::One(authorization) },
        body,
        ..Parts::default()
    };
    let check = |error: TokenError| {
        assert!(error.status() < 500, "{error}");
        assert!(error.description().bytes().all(|octet| matches!(octet, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E)));
        assert_eq!(error.status() == 401, error.headers().any(|(name, _)| name == "WWW-Authenticate"));
    };
    if let Err(error) =
        TokenRequest::parse(parts).and_then(|request| ready(issue_client_credentials_token(&SERVER, &request)))
    {
        check(error);
    }
    if let Err(error) =
        IntrospectionRequest::parse(parts).and_then(|request| ready(introspect_token(&SERVER, &request)))
    {
        check(error);
    }
    if let Err(error) = RevocationRequest::parse(parts).and_then(|request| ready(revoke_token(&SERVER, &request))) {
        check(error);
    }
});
