//! Mutual TLS: who a certificate is, what it is refused for, and tokens that are bound to one (RFC 8705).
//!
//! What one certificate alone is worth is in `vectors_mtls.rs`; real handshakes are in `mtls_handshake.rs`.
#![cfg(feature = "mtls")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthenticationMethod, AuthorizationServer, CertificateChain, Client, Config, DistinguishedName, FetchedJwks,
    InvalidCertificate, JwkSet, JwksCache, PresentedToken, Reason, SigningAlgorithm, SigningKey, SigningKeys,
    Thumbprint, TokenRequest, TokenType, issue_client_credentials_token,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use support::*;

const FORM: &str = "grant_type=client_credentials&client_id=c";
const REFUSED: (u16, &str) = (401, "invalid_client");
const DN: &str = "CN=svc,O=Example,C=US";
use CertificateChain::{Unverified, Verified};

static CERTIFICATES: LazyLock<Value> = LazyLock::new(|| vectors("mtls.json")["certificates"].clone());

/// A certificate of the vectors.
fn der(name: &str) -> Vec<u8> {
    STANDARD.decode(CERTIFICATES[name]["der_base64"].as_str().unwrap()).unwrap()
}

fn thumbprint(name: &str) -> String {
    CERTIFICATES[name]["x5t#S256"].as_str().unwrap().to_owned()
}

/// The keys of a client that registers that certificate itself.
fn jwks(name: &str) -> Value {
    let mut jwk = CERTIFICATES[name]["public_jwk"].clone();
    jwk["x5c"] = json!([STANDARD.encode(der(name))]);
    json!({ "keys": [jwk] })
}

/// A client for `read write`; `null` leaves a member out.
fn registered(client_id: &str, members: Value) -> Client {
    let mut all = json!({
        "client_id": client_id, "scope": "read write", "default_scope": "read", "grant_types": ["client_credentials"],
    });
    let all_members = all.as_object_mut().unwrap();
    all_members.extend(members.as_object().unwrap().clone());
    all_members.retain(|_, value| !value.is_null());
    client(all)
}

/// One that has the certificate `plain`, by its subject.
fn by_subject(members: Value) -> Client {
    let mut all = json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": DN });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    registered("c", all)
}

fn by_key(jwks: Value) -> Client {
    registered("c", json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": jwks }))
}

fn serving(clients: impl IntoIterator<Item = Client>) -> Server {
    server(config(json!({})), clients)
}

fn over(name: &str, chain: CertificateChain) -> Sent {
    Sent::form(FORM).over(der(name), chain)
}

/// Why the request of a client is refused, told by the typed reason.
fn reason(server: &Server, sent: &Sent) -> String {
    let request = TokenRequest::parse(sent.parts()).unwrap();
    let error = run(issue_client_credentials_token(server, &request)).unwrap_err();
    assert_eq!((error.status(), error.code().as_str()), REFUSED, "{error}");
    error.reason().to_string()
}

// Who it is.

#[test]
// req: MT-001, MT-016
fn a_certificate_authenticates_at_every_endpoint() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let server = serving([by_subject(json!({}))]).on_event(move |event| {
        seen.lock().unwrap().push((event.method.cloned(), event.to_string()));
    });
    let granted = token(&server, &over("plain", Verified));
    assert_eq!((granted.status, granted.text("scope")), (200, "read".into()), "{granted:?}");
    let about = format!("client_id=c&token={}", granted.text("access_token"));
    let told = introspect(&server, &Sent::form(&*about).over(der("plain"), Verified));
    assert_eq!((&told.json()["active"], &told.json()["client_id"]), (&json!(true), &json!("c")));
    assert_eq!(told.json().get("cnf"), None, "it is not registered for binding");
    assert_eq!(revoke(&server, &Sent::form(&*about).over(der("plain"), Verified)).status, 200);
    assert_eq!(
        introspect(&server, &Sent::form(&*about).over(der("plain"), Verified)).json(),
        json!({ "active": false })
    );
    for (method, line) in events.lock().unwrap().iter() {
        assert_eq!(*method, Some(AuthenticationMethod::TlsClientAuth), "{line}");
    }
    assert_eq!(
        introspect(&server, &Sent::form(&*about).over(der("utf8"), Verified)).outcome(),
        (401, "invalid_client".into())
    );
    assert_eq!(revoke(&server, &Sent::form(&*about)).outcome(), (401, "invalid_client".into()));
}

#[test]
// req: MT-002, MT-003, MT-004, MT-008, MT-021
fn every_refusal_is_the_same_answer_and_the_operator_is_told_the_reason() {
    let disabled = registered(
        "off",
        json!({ "disabled": true, "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": DN }),
    );
    let other = registered(
        "other",
        json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "svc.example.com" }),
    );
    let secret = registered("s", json!({ "client_secret": "a secret of ours" }));
    let faulty = registered("faulty", json!({ "token_endpoint_auth_method": "tls_client_auth" }));
    let own = registered(
        "self",
        json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": jwks("self-ec") }),
    );
    let server = serving([by_subject(json!({})), disabled, other, secret, faulty, own]);
    let form = |client_id: &str| Sent::form(format!("grant_type=client_credentials&client_id={client_id}"));
    let shown = |client_id: &str, name: &str| form(client_id).over(der(name), Verified);
    let mut first: Option<Answer> = None;
    for (case, sent, because) in [
        ("no certificate", form("c"), "the request has no client authentication"),
        (
            "no client_id",
            Sent::form("grant_type=client_credentials").over(der("plain"), Verified),
            "no client_id beside it",
        ),
        ("unknown", shown("nobody", "plain"), "no client has this client_id"),
        ("disabled", shown("off", "plain"), "the client is disabled"),
        ("faulty", shown("faulty", "plain"), "registration is faulty"),
        ("registered for a secret", shown("s", "plain"), "not registered for tls_client_auth"),
        ("another subject", shown("c", "utf8"), "it has not the registered tls_client_auth_subject_dn"),
        (
            "a trusted chain of another client",
            shown("other", "plain"),
            "it has not the registered tls_client_auth_san_dns",
        ),
        ("an unverified chain", over("plain", Unverified), "its chain was not verified"),
        (
            "another self-signed one",
            form("self").over(der("self-other"), Unverified),
            "none of those that the client registered",
        ),
        ("a trusted one of a self-signed client", shown("self", "plain"), "none of those that the client registered"),
        ("no certificate at all", form("c").over(b"no certificate", Verified), "no X.509 certificate"),
        ("nothing", form("c").over([], Verified), "no X.509 certificate"),
        ("something after it", form("c").over([der("plain"), vec![0]].concat(), Verified), "no X.509 certificate"),
        ("half of it", form("c").over(&der("plain")[..200], Verified), "no X.509 certificate"),
        ("a large one", form("c").over([der("plain"), vec![0; 16 * 1024]].concat(), Verified), "no X.509 certificate"),
        ("nobody's, unreadable", form("nobody").over([0x30], Verified), "no X.509 certificate"),
    ] {
        let told = reason(&server, &sent);
        assert!(told.contains(because), "{case}: {told}");
        assert!(!told.contains("svc") && !told.contains("Example"), "{case}: nothing of a certificate: {told}");
        let answer = token(&server, &sent);
        let first = first.get_or_insert_with(|| answer.clone());
        assert_eq!(*first, answer, "{case}: two failed authentications can be told apart");
    }
    assert_eq!(server.tokens().len(), 0);
    let request = over("plain", Unverified);
    let request = TokenRequest::parse(request.parts()).unwrap();
    let error = run(server.authenticate(request.credentials())).unwrap_err();
    assert!(matches!(error.reason(), Reason::InvalidCertificate(InvalidCertificate::Unverified)));
}

#[test]
// req: CA-035, MT-016, MT-022
fn the_mechanism_that_was_used_decides() {
    let both = registered(
        "c",
        json!({
            "token_endpoint_auth_method": ["tls_client_auth", "client_secret_basic", "client_secret_post"],
            "tls_client_auth_subject_dn": DN, "client_secret": "a secret of ours",
        }),
    );
    let server = serving([both]);
    let bare = Sent::form("grant_type=client_credentials");
    for sent in [
        bare.clone().basic("c", "wrong").over(der("plain"), Verified),
        Sent::form(format!("{FORM}&client_secret=wrong")).over(der("plain"), Verified),
        Sent::form(FORM).header("Authorization", "Bearer x").over(der("plain"), Verified),
    ] {
        assert_eq!(token(&server, &sent).outcome(), (401, "invalid_client".into()), "no fallback");
    }
    // Beside another mechanism a certificate is just there.
    for name in ["plain", "utf8"] {
        assert_eq!(token(&server, &bare.clone().basic("c", "a secret of ours").over(der(name), Verified)).status, 200);
    }
    assert_eq!(token(&server, &over("plain", Verified)).status, 200);

    // Nor is a secret a second chance for whoever has another's certificate.
    let server = serving([by_subject(json!({}))]);
    for form in [format!("{FORM}&client_secret=a secret of ours"), format!("{FORM}&client_secret=")] {
        let status = token(&server, &Sent::form(form.replace(' ', "+")).over(der("utf8"), Verified)).status;
        assert!([400, 401].contains(&status), "{form}");
    }
    assert_eq!(server.tokens().len(), 0);
}

#[test]
fn a_method_that_the_server_has_switched_off_is_refused() {
    let server = server(
        config(json!({ "token_endpoint_auth_methods": ["self_signed_tls_client_auth"] })),
        [registered(
            "c",
            json!({
                "token_endpoint_auth_method": ["tls_client_auth", "self_signed_tls_client_auth"],
                "tls_client_auth_subject_dn": "CN=self", "jwks": jwks("self-ec"),
            }),
        )],
    );
    // The key is right for the second, the name for the first.
    assert_eq!(token(&server, &over("self-ec", Unverified)).status, 200);
    assert_eq!(token(&server, &over("self-other", Verified)).outcome(), (401, "invalid_client".into()));
}

// Names.

#[test]
// req: MT-006, MT-007
fn a_name_is_of_its_kind_and_compared_by_structure() {
    for (registration, name, is_it) in [
        (json!({ "tls_client_auth_subject_dn": "cn = svc ,  o=\\45xample, 2.5.4.6=US" }), "plain", true),
        (json!({ "tls_client_auth_subject_dn": "C=US,O=Example,CN=svc" }), "plain", false),
        (json!({ "tls_client_auth_subject_dn": "1.2.840.113549.1.9.1=svc@example.com,CN=svc" }), "mail", true),
        (json!({ "tls_client_auth_subject_dn": "emailAddress=svc@example.com,CN=svc" }), "mail", true),
        (json!({ "tls_client_auth_san_dns": "ALT.example.com" }), "san", true),
        (json!({ "tls_client_auth_san_dns": "svc.example.com" }), "san-other", false),
        (json!({ "tls_client_auth_san_uri": "https://svc.example.com" }), "san", false),
        (json!({ "tls_client_auth_san_uri": "spiffe://example.com/svc" }), "san", true),
        (json!({ "tls_client_auth_san_ip": "192.0.2.7" }), "san", true),
        (json!({ "tls_client_auth_san_email": "svc@Example.com" }), "san", true),
        (json!({ "tls_client_auth_san_email": "example.com@svc" }), "san", false),
    ] {
        let mut members = json!({ "token_endpoint_auth_method": "tls_client_auth" });
        members.as_object_mut().unwrap().extend(registration.as_object().unwrap().clone());
        let server = serving([registered("c", members)]);
        assert_eq!(server.clients().get("c").unwrap().validate(server.config()), [], "{registration}");
        let status = if is_it { 200 } else { 401 };
        assert_eq!(token(&server, &over(name, Verified)).status, status, "{registration} {name}");
    }
}

#[test]
// req: MT-005
fn a_registration_says_what_is_wrong_with_it() {
    let tls = |members: Value| {
        let mut all = json!({ "token_endpoint_auth_method": "tls_client_auth" });
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        all
    };
    let (dn, dns) = ("tls_client_auth_subject_dn", "tls_client_auth_san_dns");
    for (members, keys) in [
        (tls(json!({})), vec!["token_endpoint_auth_method"]),
        (tls(json!({ dn: DN, dns: "svc.example.com" })), vec![dns]),
        (
            tls(json!({ "tls_client_auth_san_uri": "a:b", "tls_client_auth_san_ip": "192.0.2.7" })),
            vec!["tls_client_auth_san_ip"],
        ),
        (tls(json!({ dn: "svc" })), vec![dn, "token_endpoint_auth_method"]),
        (tls(json!({ dn: "" })), vec![dn, "token_endpoint_auth_method"]),
        (tls(json!({ dn: 7 })), vec![dn, "token_endpoint_auth_method"]),
        (tls(json!({ dns: "*.example.com" })), vec![dns]),
        (tls(json!({ "tls_client_auth_san_uri": "/svc" })), vec!["tls_client_auth_san_uri"]),
        (tls(json!({ "tls_client_auth_san_email": "svc" })), vec!["tls_client_auth_san_email"]),
        (
            tls(json!({ "tls_client_auth_san_ip": "192.0.2.0/24" })),
            vec!["tls_client_auth_san_ip", "token_endpoint_auth_method"],
        ),
        (json!({ "client_secret": "a secret of ours", dn: DN }), vec![dn]),
        (json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth" }), vec!["jwks"]),
        (
            tls(json!({ dn: DN, "tls_client_certificate_bound_access_tokens": "yes" })),
            vec!["tls_client_certificate_bound_access_tokens"],
        ),
    ] {
        let client = registered("c", members.clone());
        let found: Vec<String> = client.validate(&config(json!({}))).into_iter().map(|fault| fault.key).collect();
        assert_eq!(found, keys, "{members}");
        assert_eq!(reason_of_faulty(client), "faulty", "{members}");
    }
}

fn reason_of_faulty(client: Client) -> &'static str {
    let server = serving([client]);
    for name in ["plain", "san", "self-ec"] {
        assert_eq!(token(&server, &over(name, Verified)).outcome(), (401, "invalid_client".into()));
    }
    if reason(&server, &over("plain", Verified)).contains("faulty") { "faulty" } else { "used" }
}

#[test]
fn a_registration_is_written_as_it_is_read() {
    for members in [
        json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "cn=svc , O=Example",
            "tls_client_certificate_bound_access_tokens": true }),
        json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example.com" }),
        json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_uri": "spiffe://example.com/a" }),
        json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_ip": "2001:db8::1" }),
        json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_email": "a@example.com" }),
        json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": jwks("self-rsa") }),
    ] {
        let written = serde_json::to_value(registered("c", members.clone())).unwrap();
        for (name, value) in members.as_object().unwrap() {
            assert_eq!(written[name], *value, "{name}");
        }
        assert_eq!(serde_json::to_value(client(written.clone())).unwrap(), written);
    }
}

/// A value in one of the forms that RFC 4514 allows for it.
fn written(value: &str, forms: u64) -> String {
    let last = value.chars().count().saturating_sub(1);
    let form = |(at, character): (usize, char)| {
        let needs = "\"+,;<>\\".contains(character)
            || character == '\0'
            || (at == 0 && [' ', '#'].contains(&character))
            || (at == last && character == ' ');
        match (forms >> (at % 60)) & 3 {
            0 | 1 if !needs => character.to_string(),
            2 if " \"#+,;<=>\\".contains(character) => format!("\\{character}"),
            _ => character.to_string().bytes().map(|octet| format!("\\{octet:02x}")).collect(),
        }
    };
    value.chars().enumerate().map(form).collect()
}

proptest! {
    #[test]
    // req: MT-006
    fn the_form_of_a_name_does_not_count(
        values in proptest::collection::vec("[ -~é🔑\0]{0,12}", 1..5),
        forms: (u64, u64),
        spaces in "[ ]{0,2}",
    ) {
        let name = |forms: u64, space: &str, key: &str| {
            let parts = values.iter().map(|value| format!("{key}{space}={space}{}", written(value, forms)));
            parts.collect::<Vec<_>>().join(&format!("{space},{space}"))
        };
        let one: DistinguishedName = name(forms.0, "", "CN").parse().unwrap();
        let other: DistinguishedName = name(forms.1, &spaces, "2.5.4.3").parse().unwrap();
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(&one, &one.to_string().parse::<DistinguishedName>().unwrap());
        let longer: DistinguishedName = format!("{one},CN=x").parse().unwrap();
        prop_assert_ne!(one, longer);
    }

    #[test]
    fn no_text_is_too_odd_to_be_read_as_a_name(text in "[CNO=,+;#\\\\ \"a0-9.é]{0,40}", any: String) {
        for text in [text, any] {
            if let Ok(name) = text.parse::<DistinguishedName>() {
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }

    #[test]
    // req: MT-021
    fn no_octets_are_too_odd_for_a_certificate(at: usize, octet: u8, cut: usize, octets: Vec<u8>) {
        let mut broken = der("san");
        let at = at % broken.len();
        broken[at] = octet;
        let cut = &der("san")[..cut % der("san").len()];
        let server = serving([registered("c", json!({
            "token_endpoint_auth_method": ["tls_client_auth", "self_signed_tls_client_auth"],
            "tls_client_auth_subject_dn": DN, "jwks": jwks("self-ec"),
        }))]);
        for der in [&*broken, cut, &octets] {
            prop_assert_eq!(token(&server, &Sent::form(FORM).over(der, Verified)).status, 401);
        }
    }
}

// Keys.

#[test]
// req: MT-009, MT-010
fn a_registered_certificate_needs_no_issuer() {
    for (name, others) in [("self-ec", "self-other"), ("self-rsa", "self-ec"), ("self-ed", "self-rsa")] {
        let server = serving([by_key(jwks(name))]);
        for chain in [Unverified, Verified] {
            assert_eq!(token(&server, &over(name, chain)).status, 200, "{name}");
            assert_eq!(token(&server, &over(others, chain)).outcome(), (401, "invalid_client".into()), "{name}");
        }
    }
    // Where x5c pins nothing, each certificate of the key is good.
    let bare = json!({ "keys": [CERTIFICATES["self-ec"]["public_jwk"]] });
    let server = serving([by_key(bare)]);
    assert_eq!(token(&server, &over("self-ec-renewed", Unverified)).status, 200);
    for odd in [json!([]), json!("x"), json!([7]), json!({}), Value::Null] {
        let mut keys = jwks("self-ec");
        keys["keys"][0]["x5c"] = odd.clone();
        assert_eq!(
            reason(&serving([by_key(keys)]), &over("self-ec", Unverified)),
            "the client certificate is refused: it is none of those that the client registered",
            "{odd}"
        );
    }
}

#[test]
// req: MT-009
fn published_keys_are_fetched_and_fetched_again() {
    const JWKS_URI: &str = "https://c.example.com/jwks";
    let (published, fetches) = (Arc::new(Mutex::new(jwks("self-ec"))), Arc::new(AtomicUsize::new(0)));
    let clock = TestClock::at(NOW);
    let registered =
        registered("c", json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks_uri": JWKS_URI }));
    let cache = {
        let (published, fetches) = (Arc::clone(&published), Arc::clone(&fetches));
        JwksCache::new(move |uri| {
            assert_eq!(uri, JWKS_URI);
            fetches.fetch_add(1, Ordering::SeqCst);
            let body = published.lock().unwrap().to_string();
            async move { Ok::<_, std::io::Error>(FetchedJwks::new(body, None)) }
        })
    };
    let server = server_at(config(json!({})), [registered.clone()], clock.clone()).with_jwks_cache(cache);
    for _ in 0..3 {
        assert_eq!(token(&server, &over("self-ec", Unverified)).status, 200);
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    *published.lock().unwrap() = jwks("self-ed");
    assert_eq!(token(&server, &over("self-ed", Unverified)).status, 200, "a rotation is followed");
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
    for _ in 0..10 {
        assert_eq!(token(&server, &over("self-other", Unverified)).outcome(), (401, "invalid_client".into()));
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 2, "at a bounded rate");

    let told = reason(&serving([registered]), &over("self-ec", Unverified));
    assert_eq!(told, "the client certificate is refused: the client has no keys at present", "nothing fetches");
}

// Tokens that are bound.

#[test]
// req: MT-011, MT-012, MT-013, MT-014, MT-015, MT-016
fn whatever_a_client_authenticates_by_its_tokens_are_bound() {
    let bound = "tls_client_certificate_bound_access_tokens";
    let by_secret = |id: &str, members: Value| {
        let mut all = json!({ "client_secret": "a secret of ours", "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"] });
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        registered(id, all)
    };
    let keys = Arc::new(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]));
    let server = serving([
        by_subject(json!({ bound: true })),
        by_secret("s", json!({ bound: true })),
        by_secret("j", json!({ bound: true, "access_token_format": "jwt" })),
        by_secret("free", json!({})),
    ])
    .with_signing_keys(keys);
    let basic = |id: &str| Sent::form("grant_type=client_credentials").basic(id, "a secret of ours");
    let post =
        |id: &str| Sent::form(format!("grant_type=client_credentials&client_id={id}&client_secret=a+secret+of+ours"));
    for (case, sent, about) in [
        ("tls_client_auth", over("plain", Verified), Sent::form("client_id=c").over(der("plain"), Verified)),
        ("Basic", basic("s").over(der("plain"), Verified), Sent::form("").basic("s", "a secret of ours")),
        ("post, any chain", post("s").over(der("plain"), Unverified), Sent::form("").basic("s", "a secret of ours")),
        ("a JWT", basic("j").over(der("plain"), Verified), Sent::form("").basic("j", "a secret of ours")),
    ] {
        let granted = token(&server, &sent);
        assert_eq!((granted.status, granted.text("token_type")), (200, "Bearer".into()), "{case}");
        let access_token = granted.text("access_token");
        if let [_, claims, _] = access_token.split('.').collect::<Vec<_>>()[..] {
            let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            assert_eq!(claims["cnf"], json!({ "x5t#S256": thumbprint("plain") }), "{case}");
        }
        let mut about = about;
        about.body.extend(format!("&token={access_token}").into_bytes());
        let told = introspect(&server, &about).json();
        assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("Bearer")), "{case}: {told}");
        assert_eq!(told["cnf"], json!({ "x5t#S256": thumbprint("plain") }), "{case}");
    }
    let before = server.tokens().len();
    for sent in [basic("s"), post("s"), basic("j")] {
        assert_eq!(token(&server, &sent).outcome(), (400, "invalid_request".into()));
        // A proof beside it: one key for a token.
        let with_proof = sent.header("DPoP", "e30.e30.e30").over(der("plain"), Verified);
        assert_eq!(token(&server, &with_proof).outcome(), (400, "invalid_request".into()));
    }
    assert_eq!(server.tokens().len(), before, "no weaker token in its place");
    // Who is not registered for it gets what it always got.
    let granted = token(&server, &basic("free").over(der("plain"), Verified));
    let mut about = basic("free");
    about.body = format!("token={}", granted.text("access_token")).into_bytes();
    let told = introspect(&server, &about).json();
    assert_eq!((&told["active"], told.get("cnf")), (&json!(true), None));
}

#[test]
// req: MT-023
fn a_renewed_certificate_is_the_client_and_another_binding() {
    let renewed = {
        // The same subject, another certificate: as an issuer would renew it.
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (rcgen::DnType::CountryName, "US"),
            (rcgen::DnType::OrganizationName, "Example"),
            (rcgen::DnType::CommonName, "svc"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    };
    let server = serving([by_subject(json!({ "tls_client_certificate_bound_access_tokens": true }))]);
    let cnf = |der: &[u8]| {
        let granted = token(&server, &Sent::form(FORM).over(der, Verified)).text("access_token");
        let about = Sent::form(format!("client_id=c&token={granted}")).over(der, Verified);
        (granted.clone(), introspect(&server, &about).json()["cnf"]["x5t#S256"].clone())
    };
    let (old, old_cnf) = cnf(&der("plain"));
    let (_, new_cnf) = cnf(&renewed);
    assert_eq!(old_cnf, thumbprint("plain"));
    assert_eq!(new_cnf, Thumbprint::of_certificate(&renewed).to_string());
    let about = Sent::form(format!("client_id=c&token={old}")).over(renewed, Verified);
    assert_eq!(
        introspect(&server, &about).json()["cnf"]["x5t#S256"],
        old_cnf,
        "the old token stays bound to the old one"
    );
}

#[test]
// req: MT-017
fn a_resource_server_compares_the_certificate_of_the_connection() {
    let der = der("plain");
    let presented = PresentedToken::new(TokenType::Bearer, "x").with_certificate(Some(&der));
    assert_eq!(presented.certificate.unwrap().to_string(), thumbprint("plain"));
    assert_eq!(presented.with_certificate(None).certificate, None);
}

// What the server says of itself.

#[test]
// req: MT-018, MT-019
fn metadata_tells_of_binding_and_of_another_host() {
    let told = |settings: Value| {
        let server =
            AuthorizationServer::new(config(settings), MemoryClientStore::default(), MemoryTokenStore::default());
        serde_json::from_slice::<Value>(&server.unwrap().metadata().body()).unwrap()
    };
    let (member, aliases) = ("tls_client_certificate_bound_access_tokens", "mtls_endpoint_aliases");
    assert_eq!(told(json!({}))[member], true, "the methods of TLS are enabled");
    let basic = json!(["client_secret_basic"]);
    let plain = told(json!({ "token_endpoint_auth_methods": basic }));
    assert_eq!((plain.get(member), plain.get(aliases)), (None, None));
    assert_eq!(told(json!({ "token_endpoint_auth_methods": basic, member: true }))[member], true);
    assert_eq!(told(json!({ member: false })).get(member), None);
    let there = told(json!({
        "mtls_base": "https://mtls.example.com:8443/",
        "endpoints": { "token_endpoint": "https://as.example.com/a/token", "revocation_endpoint": "https://as.example.com/revoke" },
    }));
    let expected = json!({
        "token_endpoint": "https://mtls.example.com:8443/a/token", "revocation_endpoint": "https://mtls.example.com:8443/revoke",
    });
    assert_eq!(there[aliases], expected);
    let config: Config = config(json!({ "mtls_base": "https://mtls.example.com" }));
    let realm = client_credentials::Metadata::of(&config.for_realm("/alpha")).mtls_endpoint_aliases.unwrap();
    assert_eq!(realm.token_endpoint, "https://mtls.example.com/oauth2/realms/root/realms/alpha/access_token");
    for bad in ["http://mtls.example.com", "mtls.example.com", "https://mtls.example.com?x", "https://"] {
        let faults = support::config(json!({ "mtls_base": bad })).validate();
        assert_eq!(faults.iter().map(|fault| &*fault.key).collect::<Vec<_>>(), ["mtls_base"], "{bad}");
    }
}

// How it gets here.

#[cfg(feature = "http")]
mod http_types {
    use super::*;
    use client_credentials::http::{TlsClientCertificate, respond};

    fn request(fields: &[(&str, &str)]) -> ::http::Request<Vec<u8>> {
        let request =
            ::http::Request::post("/oauth2/access_token").header("content-type", "application/x-www-form-urlencoded");
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(FORM.into()).unwrap()
    }

    #[test]
    // req: MT-020
    fn a_header_is_no_certificate() {
        let realms = TestRealms::new(serving([by_subject(json!({}))]));
        let forwarded = format!(":{}:", STANDARD.encode(der("plain")));
        let mut request = request(&[
            ("Client-Cert", &forwarded),
            ("X-Client-Cert", &forwarded),
            ("X-Forwarded-Client-Cert", &forwarded),
            ("X-SSL-Client-Verify", "SUCCESS"),
        ]);
        assert_eq!(run(respond(&realms, &request)).status(), 401);
        // The embedder's word is another thing.
        let believed = TlsClientCertificate::forwarded(request.headers(), Verified).unwrap().unwrap();
        assert_eq!((&*believed.der, believed.chain), (&*der("plain"), Verified));
        request.extensions_mut().insert(believed);
        assert_eq!(run(respond(&realms, &request)).status(), 200);
    }

    #[test]
    // req: MT-020
    fn the_fields_of_a_proxy_are_structured() {
        let read = |fields: &[(&str, &str)]| TlsClientCertificate::forwarded(request(fields).headers(), Unverified);
        assert_eq!(read(&[]), Ok(None));
        let found = |fields: &[(&str, &str)]| read(fields).unwrap().unwrap();
        assert_eq!(*found(&[("Client-Cert", ":AAEC:")]).der, [0, 1, 2]);
        assert_eq!(*found(&[("Client-Cert", ":AA:")]).der, [0]);
        assert_eq!(found(&[("Client-Cert", "  :AA==:  "), ("Client-Cert-Chain", ":AAEC:, :AQ==:")]).chain, Unverified);
        assert_eq!(
            *found(&[("Client-Cert", ":AA==:"), ("Client-Cert-Chain", ":AAEC:"), ("Client-Cert-Chain", ":AQ==:")]).der,
            [0]
        );
        for bad in [
            &[("Client-Cert", "AAEC")][..],
            &[("Client-Cert", "::")],
            &[("Client-Cert", ":")],
            &[("Client-Cert", "")],
            &[("Client-Cert", ":AAEC")],
            &[("Client-Cert", ":AA-_:")],
            &[("Client-Cert", ":AAEC:, :AAEC:")],
            &[("Client-Cert", ":AAEC:"), ("Client-Cert", ":AAEC:")],
            &[("Client-Cert", "\"-----BEGIN CERTIFICATE-----\"")],
            &[("Client-Cert-Chain", ":AAEC:")],
            &[("Client-Cert", ":AAEC:"), ("Client-Cert-Chain", "")],
            &[("Client-Cert", ":AAEC:"), ("Client-Cert-Chain", ":AAEC:,")],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}

#[test]
fn the_set_that_was_registered_is_kept_as_it_was_read() {
    let set: JwkSet = serde_json::from_value(jwks("self-ec")).unwrap();
    assert_eq!(serde_json::to_value(&set).unwrap(), jwks("self-ec"));
}
