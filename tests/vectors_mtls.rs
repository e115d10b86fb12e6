//! Every case of `mtls.json`: certificates, and what a registration makes of them (RFC 8705).
#![cfg(feature = "mtls")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use base64::{Engine, engine::general_purpose::STANDARD};
use client_credentials::{
    AccessTokenFormat, AccessTokenValidator, CertificateChain, Confirmation, PresentedToken, SigningAlgorithm,
    SigningKey, SigningKeys, Thumbprint, TokenRequest, TokenType, issue_client_credentials_token,
};
use serde_json::{Value, json};
use std::sync::Arc;
use support::*;

/// The cases of one kind, each with its certificate.
fn cases(kind: &str) -> Vec<(Value, Option<Vec<u8>>)> {
    let file = vectors("mtls.json");
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.iter().all(|case| ["thumbprint", "match", "bound"].iter().any(|kind| case["kind"] == *kind)));
    let der = |name: &Value| {
        let name = name.as_str()?;
        Some(STANDARD.decode(file["certificates"][name]["der_base64"].as_str().unwrap()).unwrap())
    };
    let of_kind = cases.iter().filter(|case| case["kind"] == kind);
    of_kind.map(|case| (case.clone(), der(&case["certificate"]))).collect()
}

/// Registrations that are refused as such.
const FAULTY: [&str; 19] = [
    "dn-semicolon",
    "dn-slashes",
    "dn-registration-empty",
    "dn-registration-no-equals",
    "dn-registration-dangling-escape",
    "dn-registration-bad-hex",
    "dn-registration-trailing-comma",
    "dn-registration-unknown-type",
    "dn-empty-subject",
    "san-dns-san-*.example.com",
    "san-dns-san-spiffe://example.com/svc",
    "san-dns-san-192.0.2.7",
    "san-dns-san-empty",
    "san-ip-san-192.0.2.0/24",
    "san-ip-san-svc.example.com",
    "san-email-san-example.com",
    "two-fields",
    "no-field",
    "x5c-private-member",
];

#[test]
// req: MT-001, MT-003, MT-004, MT-005, MT-006, MT-007, MT-009, MT-010, MT-011
fn a_certificate_authenticates_whom_the_registration_says() {
    let cases = cases("match");
    assert_eq!(cases.len(), 99);
    let mut refusal: Option<Answer> = None;
    let mut faulty = Vec::new();
    for (case, certificate) in cases {
        let (name, expect) = (case["name"].as_str().unwrap(), &case["expect"]);
        let mut registration = case["registration"].clone();
        let by_key = registration["token_endpoint_auth_method"] == "self_signed_tls_client_auth";
        registration.as_object_mut().unwrap().extend(
            json!({
                "client_id": "c", "scope": "write", "default_scope": "write", "grant_types": ["client_credentials"],
                "tls_client_certificate_bound_access_tokens": true,
            })
            .as_object()
            .unwrap()
            .clone(),
        );
        let client = client(registration);
        let server = server(config(json!({})), [client.clone()]);
        if !client.validate(server.config()).is_empty() {
            faulty.push(name.to_owned());
        }
        // A registered key needs no chain; a name needs one that was verified.
        let chains = if by_key {
            [CertificateChain::Unverified, CertificateChain::Verified].as_slice()
        } else {
            &[CertificateChain::Verified]
        };
        for chain in chains {
            let sent = Sent::form("grant_type=client_credentials&client_id=c");
            let sent = certificate.iter().fold(sent, |sent, der| sent.over(der.clone(), *chain));
            let request = TokenRequest::parse(sent.parts()).unwrap();
            match run(issue_client_credentials_token(&server, &request)) {
                Ok(granted) => {
                    assert_eq!(expect["match"], true, "{name}");
                    assert_eq!(granted.token_type, TokenType::Bearer, "{name}");
                }
                Err(error) => {
                    assert_eq!(
                        (&expect["match"], &expect["error"]),
                        (&json!(false), &json!(error.code().as_str())),
                        "{name}: {error}"
                    );
                    let answer = Answer::from(error);
                    let first = refusal.get_or_insert_with(|| answer.clone());
                    assert_eq!(*first, answer, "{name}: two failed authentications can be told apart");
                    assert_eq!(server.tokens().len(), 0, "{name}");
                }
            }
        }
    }
    assert_eq!(faulty, FAULTY.map(str::to_owned));
}

#[test]
// req: MT-011
fn thumbprints() {
    let cases = cases("thumbprint");
    assert_eq!(cases.len(), 23);
    for (case, certificate) in cases {
        let found = Thumbprint::of_certificate(&certificate.unwrap()).to_string();
        assert_eq!(
            (found.as_str(), found.len()),
            (case["expect"]["x5t#S256"].as_str().unwrap(), 43),
            "{}",
            case["name"]
        );
    }
}

#[test]
// req: MT-011, MT-017
fn a_bound_token_needs_its_certificate() {
    let keys = Arc::new(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]));
    let cases = cases("bound");
    assert_eq!(cases.len(), 4);
    for (case, certificate) in cases {
        let name = &case["name"];
        let server = server(
            config(
                json!({ "resources": ["https://api.example.com"], "default_resources": ["https://api.example.com"] }),
            ),
            [my_client()],
        )
        .with_signing_keys(Arc::clone(&keys));
        let jwks = client_credentials::JwkSet::from_json(std::str::from_utf8(&server.jwks()).unwrap()).unwrap();
        let validator = AccessTokenValidator::new("https://as.example.com", ["https://api.example.com"])
            .with_keys(jwks)
            .with_clock(TestClock::at(NOW));
        let sent = Sent::form("grant_type=client_credentials&scope=write").basic("myClient", "mySecret");
        let request = TokenRequest::parse(sent.parts()).unwrap();
        let client = run(server.authenticate(request.credentials())).unwrap();
        let mut grant = server.authorize(&client, &request).unwrap();
        grant.format = AccessTokenFormat::Jwt;
        let confirmation: Confirmation = serde_json::from_value(case["cnf"].clone()).unwrap();
        grant.confirmation = Some(confirmation);
        let issued = run(server.issue(client, grant)).unwrap();
        let presented = PresentedToken::new(issued.token_type, issued.access_token.expose())
            .with_certificate(certificate.as_deref());
        match run(validator.validate(presented)) {
            Ok(_) => assert_eq!(case["expect"]["match"], true, "{name}"),
            Err(error) => {
                assert_eq!(case["expect"]["match"], false, "{name}: {error}");
                assert_eq!((error.status(), error.code()), (401, case["expect"]["error"].as_str()), "{name}");
            }
        }
    }
}
