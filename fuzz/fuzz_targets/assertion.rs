//! Any text as a client assertion, whole or as header, claims and signature: no panic, no 5xx, and above all no token.
#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Config, Field, Parts, Timestamp, TokenRequest, issue_client_credentials_token,
};
use libfuzzer_sys::fuzz_target;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

/// Clients of every method of assertions, with the keys of tests.
const CLIENTS: [&str; 3] = [
    r#"{ "client_id": "c", "default_scope": "", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
         "jwks": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "4rVQNnX5bu1MvdcH0LrzWNkobRWQBsBEDxqeBdAv-rg" }] } }"#,
    r#"{ "client_id": "m", "default_scope": "", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_jwt",
         "client_secret": "a secret of 32 octets and some more" }"#,
    r#"{ "client_id": "f", "default_scope": "", "grant_types": ["client_credentials"], "federated": [{ "issuer": "i", "subject": "s",
         "jwks": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "4rVQNnX5bu1MvdcH0LrzWNkobRWQBsBEDxqeBdAv-rg" }] } }] }"#,
];

static SERVER: LazyLock<AuthorizationServer<MemoryClientStore, MemoryTokenStore>> = LazyLock::new(|| {
    let clients = CLIENTS.map(|client| serde_json::from_str::<Client>(client).expect("valid")).into_iter().collect();
    let config = Config::new("https://as.example.com");
    let server = AuthorizationServer::new(config, clients, MemoryTokenStore::default()).expect("valid");
    server.with_clock(|| Timestamp::from_secs(1_767_225_600)).on_event(|event| {
        assert!(!event.to_string().contains(char::is_control));
    })
});

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a store in memory waited"),
    }
}

fuzz_target!(|input: (&str, &str, &str, &[u8])| {
    let (client_id, header, claims, signature) = input;
    let parts = [header.as_bytes(), claims.as_bytes(), signature].map(|part| URL_SAFE_NO_PAD.encode(part));
    for assertion in [header, &parts.join(".")] {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials").append_pair("client_id", client_id);
        form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let body = form.append_pair("client_assertion", assertion).finish();
        let parts = Parts {
            method: "POST",
            content_type: Field::One(b"application/x-www-form-urlencoded"),
            body: body.as_bytes(),
            ..Parts::default()
        };
        let answer =
            TokenRequest::parse(parts).and_then(|request| ready(issue_client_credentials_token(&SERVER, &request)));
        assert!(answer.is_err_and(|error| matches!(error.status(), 400 | 401 | 413)));
    }
});
