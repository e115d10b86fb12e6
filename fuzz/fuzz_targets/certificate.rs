//! Any octets as a client certificate, and any text as a distinguished name: no panic, no 5xx, and no token where nobody has
//! checked the chain.
#![no_main]

use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, CertificateChain, Client, ClientCertificate, Config, DistinguishedName, Field, Parts,
    Timestamp, TokenRequest, issue_client_credentials_token,
};
use libfuzzer_sys::fuzz_target;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

/// A client of each way to be told by a certificate.
const CLIENTS: [&str; 4] = [
    r#"{ "client_id": "dn", "default_scope": "", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "tls_client_auth",
         "tls_client_auth_subject_dn": "CN=svc+OU=ops,O=Example,C=US" }"#,
    r#"{ "client_id": "dns", "default_scope": "", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "tls_client_auth",
         "tls_client_auth_san_dns": "svc.example.com" }"#,
    r#"{ "client_id": "email", "default_scope": "", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "tls_client_auth",
         "tls_client_auth_san_email": "svc@example.com" }"#,
    r#"{ "client_id": "self", "default_scope": "", "grant_types": ["client_credentials"],
         "token_endpoint_auth_method": "self_signed_tls_client_auth",
         "jwks": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "4rVQNnX5bu1MvdcH0LrzWNkobRWQBsBEDxqeBdAv-rg" }] } }"#,
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

fuzz_target!(|octets: &[u8]| {
    for client_id in ["dn", "dns", "email", "self"] {
        for chain in [CertificateChain::Unverified, CertificateChain::Verified] {
            let body = format!("grant_type=client_credentials&client_id={client_id}");
            let parts = Parts {
                method: "POST",
                content_type: Field::One(b"application/x-www-form-urlencoded"),
                body: body.as_bytes(),
                certificate: Some(ClientCertificate::new(octets, chain)),
                ..Parts::default()
            };
            let request = TokenRequest::parse(parts).expect("well-formed");
            match ready(issue_client_credentials_token(&SERVER, &request)) {
                // Whoever checks the chain vouches for what the certificate says; a self-signed one needs the private key.
                Ok(_) => assert!(chain == CertificateChain::Verified || client_id == "self"),
                Err(error) => assert_eq!(error.status(), 401),
            }
        }
    }
    if let Ok(name) = String::from_utf8_lossy(octets).parse::<DistinguishedName>() {
        assert_eq!(name, name.to_string().parse().expect("what was read once"));
    }
});
