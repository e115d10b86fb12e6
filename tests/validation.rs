//! The resource server's side: which tokens are believed, how they are presented, and what a refusal says.
#![cfg(all(feature = "jwt", feature = "http"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "where a test cannot go on it has failed"
)]

#[cfg(unix)]
#[allow(dead_code, reason = "a part of it is used")]
#[path = "token_server/harness.rs"]
mod harness;
#[cfg(unix)]
#[path = "validation/resource_server.rs"]
mod resource_server;
mod support;

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{
    AccessError, AccessReason, AccessTokenValidator, Confirmation, FetchedJwks, Field, InvalidJwt, JwkSet, JwksCache,
    JwsAlgorithm, PresentedToken, Scope, SigningAlgorithm, SigningKey, SigningKeys, Thumbprint, Timestamp, TokenType,
    ValidatedToken, http::denial,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use support::*;

const ISSUER: &str = "https://as.example.com";
const US: &str = "https://api.example.com";

fn key_of_pem() -> SigningKey {
    SigningKey::from_pem(SigningAlgorithm::Es256, include_str!("keys/ec-p256-pkcs8.pem")).unwrap()
}

/// The public keys of a server with these keys.
fn published(keys: SigningKeys) -> JwkSet {
    let server = server(config(json!({})), [my_client()]).with_signing_keys(keys);
    JwkSet::from_json(&String::from_utf8(server.jwks()).unwrap()).unwrap()
}

/// A validator with the key of [`signed`], whose clock stands at [`NOW`].
fn validator() -> AccessTokenValidator {
    without_source().with_keys(published(SigningKeys::new([key_of_pem()])))
}

fn without_source() -> AccessTokenValidator {
    AccessTokenValidator::new(ISSUER, [US]).with_clock(TestClock::at(NOW))
}

/// What is in every good token.
fn good() -> Value {
    json!({
        "iss": ISSUER, "aud": US, "sub": "myClient", "client_id": "myClient", "iat": NOW, "exp": NOW + 60, "jti": "t1",
        "scope": "read write",
    })
}

/// [`good`] with other members; `null` takes one out.
fn but(members: Value) -> Value {
    let mut claims = good();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// A JWT with these claims and this header, by another library.
fn signed_as(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let pem = include_str!("keys/ec-p256-pkcs8.pem").lines().filter(|line| !line.starts_with('-'));
    let key = jsonwebtoken::EncodingKey::from_ec_der(&STANDARD.decode(pem.collect::<String>()).unwrap());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

fn signed(claims: &Value) -> String {
    signed_as(&json!({ "typ": "at+jwt", "alg": "ES256", "kid": key_of_pem().kid() }), claims)
}

fn as_bearer(validator: &AccessTokenValidator, token: &str) -> Result<ValidatedToken, AccessError> {
    run(validator.validate(PresentedToken::new(TokenType::Bearer, token)))
}

/// The class of a reason, as the vectors name it.
fn class(reason: &AccessReason) -> &'static str {
    match reason {
        AccessReason::Jwt(fault) | AccessReason::Introspected(fault) => match fault {
            InvalidJwt::Malformed(_) => "malformed",
            InvalidJwt::Header(text) if text.contains("typ") => "typ",
            InvalidJwt::Header(_) => "header",
            InvalidJwt::Algorithm(_) => "algorithm",
            InvalidJwt::Key(_) => "key",
            InvalidJwt::Jwks(_) => "jwks",
            InvalidJwt::Signature => "signature",
            InvalidJwt::Issuer(_) => "issuer",
            InvalidJwt::Audience(_) => "audience",
            InvalidJwt::Time(_) => "time",
            InvalidJwt::Claim(_) => "claims",
            InvalidJwt::Binding(_) => "binding",
            _ => "another",
        },
        AccessReason::Inactive => "inactive",
        _ => "another",
    }
}

/// The class of the reason why a token was refused; `accepted` where it was not.
fn outcome(found: &Result<ValidatedToken, AccessError>) -> &'static str {
    found.as_ref().map_or_else(|error| class(error.reason()), |_| "accepted")
}

/// The one challenge of a refusal: scheme and parameters, read by the grammar of RFC 9110 §11.6.1, none twice.
fn challenge(error: &AccessError) -> (String, Vec<(String, String)>) {
    let fields: Vec<_> = error.headers().collect();
    assert!(fields.contains(&("Cache-Control", "no-store".into())), "{fields:?}");
    let challenges: Vec<_> = fields.iter().filter(|(name, _)| *name == "WWW-Authenticate").collect();
    assert_eq!(challenges.len(), 1, "{fields:?}");
    let (scheme, mut rest) = challenges[0].1.split_once(' ').unwrap();
    let mut parameters: Vec<(String, String)> = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{rest}");
        assert!(parameters.iter().all(|(other, _)| other != name), "{name} stands twice");
        let (mut value, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next().unwrap() {
                (end, '"') => break end,
                (_, '\\') => value.push(characters.next().unwrap().1),
                (_, character) => value.push(character),
            }
            assert!(value.bytes().all(|c| (0x20..0x7F).contains(&c)), "{value:?}");
        };
        parameters.push((name.to_owned(), value));
        match after[end + 1..].strip_prefix(", ") {
            Some(more) => rest = more,
            None => break assert!(after[end + 1..].is_empty(), "{after}"),
        }
    }
    (scheme.to_owned(), parameters)
}

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// Every `validate` case of `jwt_access_token.json`, with the class of its reason.
// req: JW-017, JW-018, JW-019, JW-020, JW-021, JW-022, JW-023, JW-024, JW-025, JW-032, JW-037, SE-016
#[test]
fn vectors_of_validation() {
    let file = vectors("jwt_access_token.json");
    assert_eq!((file["issuer"].as_str(), file["audience"].as_str()), (Some(ISSUER), Some(US)));
    let validator = without_source()
        .with_keys(JwkSet::from_json(&file["jwks"].to_string()).unwrap())
        .with_leeway(file["clock_skew"].as_u64().unwrap());
    let mut cases = 0;
    for case in file["cases"].as_array().unwrap().iter().filter(|case| case["kind"] == "validate") {
        cases += 1;
        let (name, expect, context) = (&case["name"], &case["expect"], &case["context"]);
        let thumbprint = |member: &str| serde_json::from_value::<Option<Thumbprint>>(context[member].clone()).unwrap();
        let token = case["token"].as_str().unwrap();
        let scheme = if context["scheme"] == "DPoP" { TokenType::DPoP } else { TokenType::Bearer };
        let mut presented = PresentedToken::new(scheme, token);
        presented.proof = thumbprint("proof_jkt");
        presented.certificate = thumbprint("certificate_x5t_s256");
        let found = run(validator.validate(presented));
        match (expect["reason"].as_str(), found) {
            (None, Ok(token)) => {
                assert_eq!(token.subject.as_deref(), expect["sub"].as_str(), "{name}");
                assert_eq!(token.client_id.as_str(), expect["client_id"], "{name}");
                assert_eq!(token.scope.as_str(), expect["scope"].as_str().unwrap_or_default(), "{name}");
            }
            (Some(reason), Err(error)) => {
                assert_eq!(
                    (class(error.reason()), error.code()),
                    (reason, expect["error"].as_str()),
                    "{name}: {error}"
                );
                assert_eq!(error.status(), 401, "{name}");
                let (answered, parameters) = challenge(&error);
                let is_dpop = scheme == TokenType::DPoP || name == "validate-cnf-jkt-as-bearer";
                assert_eq!(answered, if is_dpop { "DPoP" } else { "Bearer" }, "{name}");
                assert_eq!(parameter(&parameters, "error"), Some("invalid_token"), "{name}");
                let parts = token.split('.').filter(|part| part.len() > 4);
                for told in [format!("{error:?} {error}"), format!("{:?}", error.headers().collect::<Vec<_>>())] {
                    assert!(parts.clone().all(|part| !told.contains(part)), "{name}: {told} holds a part of the token");
                }
            }
            (expected, found) => panic!("{name}: {found:?}, but expected {expected:?}"),
        }
    }
    assert_eq!(cases, 70);
}

/// Names that the vectors have no case for.
// req: JW-017, JW-018, SE-016, IN-026
#[test]
fn other_kinds_of_jwt_do_not_pass() {
    let kid = key_of_pem().kid().to_owned();
    let with_typ = |typ: &str, claims: &Value| signed_as(&json!({ "typ": typ, "alg": "ES256", "kid": kid }), claims);
    for typ in [
        "token-introspection+jwt",
        "application/token-introspection+jwt",
        "logout+jwt",
        "application/application/at+jwt",
        "",
    ] {
        assert_eq!(outcome(&as_bearer(&validator(), &with_typ(typ, &good()))), "typ", "{typ}");
    }
    // What RFC 9701 §5 puts in a signed answer would not pass under another name either: there is no exp, sub or jti at the top.
    let told = json!({ "iss": ISSUER, "aud": US, "iat": NOW, "token_introspection": but(json!({ "active": true })) });
    assert_eq!(outcome(&as_bearer(&validator(), &with_typ("token-introspection+jwt", &told))), "typ");
    assert_eq!(outcome(&as_bearer(&validator(), &signed(&told))), "time");
    // An introspection endpoint that signs its answer has given no answer.
    let answer = with_typ("token-introspection+jwt", &told);
    let asking = without_source().with_introspection(move |_| {
        let answer = answer.clone().into_bytes();
        async move { Ok::<_, std::io::Error>(answer) }
    });
    let error = as_bearer(&asking, "opaque").unwrap_err();
    assert_eq!(error.status(), 503);
    assert!(matches!(error.reason(), AccessReason::IntrospectionAnswer));

    let good_one = signed(&good());
    let only = |algorithms: &[JwsAlgorithm]| validator().with_algorithms(algorithms.iter().copied());
    assert!(as_bearer(&only(&[JwsAlgorithm::Es256]), &good_one).is_ok());
    for fewer in [&[][..], &[JwsAlgorithm::EdDsa, JwsAlgorithm::Rs256], &[JwsAlgorithm::Hs256]] {
        assert_eq!(outcome(&as_bearer(&only(fewer), &good_one)), "algorithm", "{fewer:?}");
    }
}

/// Claims of other types and at the edges.
// req: JW-019, JW-020, JW-021, JW-023, JW-032
#[test]
fn claims_are_read_strictly() {
    let check = |members: Value| as_bearer(&validator(), &signed(&but(members.clone())));
    for (members, expected) in [
        (json!({}), "accepted"),
        (json!({ "aud": ["https://other.example.com", US] }), "accepted"),
        (json!({ "aud": [US, 1] }), "audience"),
        (json!({ "aud": { US: US } }), "audience"),
        (json!({ "iss": [ISSUER] }), "issuer"),
        // The leeway is 30 s; the moment itself is over.
        (json!({ "exp": NOW - 29 }), "accepted"),
        (json!({ "exp": NOW - 30 }), "time"),
        (json!({ "exp": NOW as f64 - 29.999 }), "accepted"),
        (json!({ "exp": NOW as f64 - 30.001 }), "time"),
        (json!({ "exp": (1_u64 << 53) - 1 }), "accepted"),
        (json!({ "exp": 1_u64 << 53 }), "time"),
        (json!({ "exp": 1e300 }), "time"),
        (json!({ "exp": -1 }), "time"),
        (json!({ "exp": true }), "time"),
        (json!({ "exp": "2036-01-01T00:00:00Z" }), "time"),
        (json!({ "exp": [NOW + 60] }), "time"),
        (json!({ "iat": NOW + 30 }), "accepted"),
        (json!({ "iat": NOW as f64 + 30.001 }), "time"),
        (json!({ "iat": "now" }), "time"),
        (json!({ "iat": 0 }), "accepted"),
        (json!({ "nbf": NOW + 30 }), "accepted"),
        (json!({ "nbf": NOW + 31 }), "time"),
        (json!({ "nbf": "now" }), "time"),
        (json!({ "nbf": -0.5 }), "time"),
        (json!({ "sub": 1 }), "claims"),
        (json!({ "jti": 1 }), "claims"),
        (json!({ "jti": "" }), "claims"),
        (json!({ "jti": "j".repeat(256) }), "accepted"),
        (json!({ "jti": "j".repeat(257) }), "claims"),
        (json!({ "client_id": "" }), "claims"),
        (json!({ "client_id": "a\u{7}b" }), "claims"),
        (json!({ "client_id": ["myClient"] }), "claims"),
        (json!({ "scope": ["read"] }), "claims"),
        (json!({ "scope": "read  write" }), "claims"),
        (json!({ "scope": "re\"ad" }), "claims"),
        (json!({ "scope": "" }), "accepted"),
        (json!({ "authorization_details": [] }), "claims"),
        (json!({ "authorization_details": [{ "type": "payment" }] }), "accepted"),
        (json!({ "tenant": { "name": "blue" } }), "accepted"),
    ] {
        let found = check(members.clone());
        assert_eq!(outcome(&found), expected, "{members}: {found:?}");
    }
    for name in ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"] {
        assert_ne!(outcome(&check(json!({ name: null }))), "accepted", "{name}");
    }

    let token =
        check(json!({ "tenant": "blue", "nbf": NOW, "acr": "1", "iat": NOW as f64 + 0.25, "aud": ["a", US] })).unwrap();
    assert_eq!(token.claims.names().collect::<Vec<_>>(), ["tenant"]);
    assert_eq!(token.issued_at, Some(Timestamp::from_millis(NOW * 1000 + 250)));
    assert_eq!(token.expires_at, Some(Timestamp::from_secs(NOW + 60)));
    assert_eq!(token.audience.iter().collect::<Vec<_>>(), ["a", US]);
    assert_eq!((token.jti.as_deref(), token.scope.as_str()), (Some("t1"), "read write"));
    let many: Vec<String> = (0..100).map(|n| format!("scope-{n}")).collect();
    let token = check(json!({ "scope": many.join(" ") })).unwrap();
    assert!(token.require_scope("scope-99 scope-0").is_ok(), "an issuer may grant more than a request may ask for");

    // The leeway goes from 0 to 60.
    for (leeway, past, expected) in
        [(0, 0, "time"), (60, 59, "accepted"), (60, 60, "time"), (3600, 60, "time"), (u64::MAX, 60, "time")]
    {
        let token = signed(&but(json!({ "exp": NOW - past })));
        assert_eq!(outcome(&as_bearer(&validator().with_leeway(leeway), &token)), expected, "{leeway} {past}");
    }
    // Two identifiers; none; the far end of time.
    let token = signed(&good());
    let keys = || published(SigningKeys::new([key_of_pem()]));
    let of = |audience: &[&'static str]| {
        AccessTokenValidator::new(ISSUER, audience.iter().copied()).with_clock(TestClock::at(NOW)).with_keys(keys())
    };
    assert!(as_bearer(&of(&["https://new.example.com", US]), &token).is_ok());
    assert_eq!(outcome(&as_bearer(&of(&[]), &token)), "audience");
    let late =
        AccessTokenValidator::new(ISSUER, [US]).with_keys(keys()).with_clock(|| Timestamp::from_millis(u64::MAX));
    assert_eq!(outcome(&as_bearer(&late, &token)), "time");
}

/// RFC 7800 §3.1, RFC 9449 §7.1, RFC 8705 §3.
#[test]
fn a_bound_token_needs_its_key() {
    let (own, other) = (Thumbprint::from_bytes([1; 32]), Thumbprint::from_bytes([2; 32]));
    let certificate = Thumbprint::of_certificate(b"a certificate");
    let (bearer, dpop) = (TokenType::Bearer, TokenType::DPoP);
    for (cnf, scheme, proof, shown, expected) in [
        (Value::Null, bearer, Some(own), Some(certificate), "accepted"),
        (Value::Null, dpop, Some(own), None, "binding"),
        (json!({ "jkt": own }), dpop, Some(own), None, "accepted"),
        (json!({ "jkt": own }), dpop, Some(other), None, "binding"),
        (json!({ "jkt": own }), dpop, None, Some(own), "binding"),
        (json!({ "jkt": own }), bearer, Some(own), None, "binding"),
        (json!({ "jkt": own, "kid": "1" }), dpop, Some(own), None, "accepted"),
        (json!({ "x5t#S256": certificate }), bearer, None, Some(certificate), "accepted"),
        (json!({ "x5t#S256": certificate }), bearer, None, Some(other), "binding"),
        (json!({ "x5t#S256": certificate }), bearer, Some(certificate), None, "binding"),
        (json!({ "x5t#S256": certificate }), dpop, Some(own), Some(certificate), "binding"),
        (json!({ "jkt": own, "x5t#S256": certificate }), dpop, Some(own), Some(certificate), "binding"),
        (json!({ "jkt": own, "x5t#S256": certificate }), bearer, Some(own), Some(certificate), "binding"),
        (json!({ "jkt": own, "x5t#S256": null }), dpop, Some(own), None, "binding"),
        (json!({ "jkt": "short" }), dpop, Some(own), None, "binding"),
        (json!({ "jkt": 1 }), dpop, Some(own), None, "binding"),
        (json!({ "jwk": {} }), bearer, None, None, "binding"),
        (json!({}), bearer, None, None, "binding"),
        (json!([]), bearer, None, None, "binding"),
        (json!("jkt"), bearer, None, None, "binding"),
    ] {
        let token = signed(&but(json!({ "cnf": cnf })));
        let mut presented = PresentedToken::new(scheme, &token);
        (presented.proof, presented.certificate) = (proof, shown);
        let found = run(validator().validate(presented));
        assert_eq!(outcome(&found), expected, "{cnf} {presented:?}");
        match found {
            Ok(token) => {
                let told = token.confirmation.map(|confirmation| matches!(confirmation, Confirmation::Jkt(_)));
                assert_eq!(told, (!cnf.is_null()).then(|| cnf["jkt"].is_string()));
            }
            Err(error) => {
                // Whoever has a token that is bound to a DPoP key is told how to use it.
                let is_bound = cnf["jkt"] == json!(own) && cnf.get("x5t#S256").is_none();
                assert_eq!(challenge(&error).0, if scheme == dpop || is_bound { "DPoP" } else { "Bearer" }, "{cnf}");
            }
        }
    }
    let token = signed(&but(json!({ "cnf": { "jkt": own } })));
    let mut presented = PresentedToken::new(dpop, &token);
    presented.proof = Some(own);
    let error = run(validator().validate(presented)).unwrap().require_scope("admin").unwrap_err();
    assert_eq!(challenge(&error).0, "DPoP");
    // A null is no absence.
    let mut claims = good();
    claims["cnf"] = Value::Null;
    assert_eq!(outcome(&as_bearer(&validator(), &signed(&claims))), "binding");
}

/// The kinds `thumbprint` and `bound` of `mtls.json`.
#[test]
fn certificates_of_the_vectors() {
    let file = vectors("mtls.json");
    let thumbprint = |name: &Value| {
        let der = file["certificates"][name.as_str()?]["der_base64"].as_str()?;
        Some(Thumbprint::of_certificate(&STANDARD.decode(der).unwrap()))
    };
    let of_kind =
        |kind: &'static str| file["cases"].as_array().unwrap().iter().filter(move |case| case["kind"] == kind);
    for case in of_kind("thumbprint") {
        let found = thumbprint(&case["certificate"]).unwrap().to_string();
        assert_eq!(found, case["expect"]["x5t#S256"], "{}", case["name"]);
    }
    for case in of_kind("bound") {
        let token = signed(&but(json!({ "cnf": case["cnf"] })));
        let mut presented = PresentedToken::new(TokenType::Bearer, &token);
        presented.certificate = thumbprint(&case["certificate"]);
        let expected = if case["expect"]["match"] == true { "accepted" } else { "binding" };
        assert_eq!(outcome(&run(validator().validate(presented))), expected, "{}", case["name"]);
    }
    assert!(of_kind("thumbprint").count() > 0 && of_kind("bound").count() == 4);
}

// req: JW-027, JW-028, JW-029, FA-013, JW-030, JW-031
#[test]
fn the_token_is_read_from_the_authorization_field_alone() {
    let validator = validator();
    let read = |text: &'static str| validator.read(Field::One(text.as_bytes()));
    for (text, scheme, token) in [
        ("Bearer abc", TokenType::Bearer, "abc"),
        ("bearer abc", TokenType::Bearer, "abc"),
        ("BEARER   a-b._~+/9==", TokenType::Bearer, "a-b._~+/9=="),
        ("DPoP abc", TokenType::DPoP, "abc"),
        ("dpop abc", TokenType::DPoP, "abc"),
    ] {
        let presented = read(text).unwrap();
        assert_eq!((presented.scheme, presented.token), (scheme, token), "{text}");
        assert_eq!((presented.proof, presented.certificate), (None, None));
        assert!(!format!("{presented:?}").contains(token), "never in a log");
    }
    let absent = |error: AccessError| {
        assert!(matches!(error.reason(), AccessReason::NoToken), "{error}");
        assert_eq!((error.status(), error.code()), (401, None));
        assert_eq!(challenge(&error), ("Bearer".to_owned(), vec![("realm".to_owned(), US.to_owned())]));
    };
    absent(validator.read(Field::Absent).unwrap_err());
    for other in ["Basic YTpi", "Negotiate", "BearerX abc", "Digest a=\"b\", c=d"] {
        absent(read(other).unwrap_err());
    }
    // A token anywhere else is no token.
    let elsewhere = http::Request::post("/reports?access_token=abc")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("access_token", "abc")
        .body("access_token=abc")
        .unwrap();
    absent(validator.read_headers(elsewhere.headers()).unwrap_err());

    let malformed = |error: AccessError, scheme: &str| {
        assert!(matches!(error.reason(), AccessReason::MalformedAuthorization(_)), "{error}");
        assert_eq!((error.status(), error.code()), (400, Some("invalid_request")));
        let (answered, parameters) = challenge(&error);
        assert_eq!((answered.as_str(), parameter(&parameters, "error")), (scheme, Some("invalid_request")));
    };
    for text in [
        "",
        " ",
        " Bearer abc",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a, Bearer b",
        "Bearer abc ",
        "Bearer\tabc",
        "Bearer \tabc",
        "Bearer =",
        "Bearer a=b",
        "Bearer a\"b",
        "Bearer ab\u{e9}",
        "B\u{e9}arer abc",
        "Bearer a,b",
        "Bearer: abc",
        "\"Bearer\" abc",
    ] {
        // `Bearer:` is no scheme's name.
        malformed(read(text).unwrap_err(), "Bearer");
    }
    malformed(read("DPoP a b").unwrap_err(), "DPoP");
    malformed(validator.read(Field::One(b"Bearer ab\xff")).unwrap_err(), "Bearer");
    let long = |length: usize| format!("Bearer {}", "a".repeat(length - 7));
    assert!(validator.read(Field::One(long(8192).as_bytes())).is_ok());
    malformed(validator.read(Field::One(long(8193).as_bytes())).unwrap_err(), "Bearer");
    let twice = http::Request::get("/")
        .header("Authorization", "Bearer abc")
        .header("Authorization", "Bearer abc")
        .body(())
        .unwrap();
    malformed(validator.read_headers(twice.headers()).unwrap_err(), "Bearer");

    let whole = format!("Bearer {}", signed(&good()));
    let request = http::Request::get("/").header("Authorization", &whole).body(()).unwrap();
    let token = run(validator.validate(validator.read_headers(request.headers()).unwrap())).unwrap();
    assert_eq!(token.client_id.as_str(), "myClient");
}

// req: JW-025, JW-026, JW-028
#[test]
fn refusals_say_what_a_client_may_know() {
    let token = as_bearer(&validator(), &signed(&good())).unwrap();
    for had in ["read", "write", "read write", "write read"] {
        assert!(token.require_scope(had).is_ok(), "{had}");
    }
    for lacking in ["admin", "read admin", "Read", "rea", "read  write", " read", "", " "] {
        let error = token.require_scope(lacking).unwrap_err();
        assert_eq!((error.status(), error.code()), (403, Some("insufficient_scope")));
        let (scheme, parameters) = challenge(&error);
        assert_eq!((scheme.as_str(), parameter(&parameters, "realm")), ("Bearer", Some(US)));
        assert_eq!(parameter(&parameters, "error"), Some("insufficient_scope"));
        let needed = Scope::parse(lacking).ok();
        assert_eq!(parameter(&parameters, "scope"), needed.as_ref().map(Scope::as_str));
    }
    // Text that is no scope cannot break out of the challenge.
    let error = token.require_scope("a\", realm=\"b").unwrap_err();
    assert_eq!(challenge(&error).1.len(), 3);

    let response = denial(&token.require_scope("admin").unwrap_err());
    assert_eq!((response.status().as_u16(), response.body().len()), (403, 0));
    assert!(response.headers()["www-authenticate"].to_str().unwrap().ends_with(", scope=\"admin\""));
    assert_eq!(response.headers()["cache-control"], "no-store");

    for (audience, realm) in
        [(r#"a "b" \c"#, r#"a "b" \c"#), ("a\r\nSet-Cookie: b", "aSet-Cookie: b"), ("urn:\u{e9}", "urn:"), ("", "")]
    {
        let error = AccessTokenValidator::new(ISSUER, [audience]).read(Field::Absent).unwrap_err();
        assert_eq!(challenge(&error).1, [("realm".to_owned(), realm.to_owned())]);
        assert!(denial(&error).headers().contains_key("www-authenticate"));
    }
    let nameless = AccessTokenValidator::new(ISSUER, [""; 0]).read(Field::Absent).unwrap_err();
    assert_eq!(challenge(&nameless).1, [("realm".to_owned(), ISSUER.to_owned())]);

    let error = as_bearer(&validator(), &signed(&but(json!({ "iss": "https://evil.example.com" })))).unwrap_err();
    assert_eq!(error.to_string(), "invalid_token: the JWT's issuer or subject is absent or another's");
    assert!(!format!("{:?}", error.headers().collect::<Vec<_>>()).contains("issuer"), "the reason is for the operator");
    assert_eq!(as_bearer(&without_source(), &signed(&good())).unwrap_err().status(), 503, "nothing to check it with");
}

/// The issuer of the rotation tests: a server with a resource, whose clock the tests move.
fn issuer(clock: &TestClock, keys: &Arc<SigningKeys>) -> Server {
    let settings = json!({ "access_token_format": "jwt", "resources": [US], "default_resources": [US] });
    let client = client(json!({
        "client_id": "myClient", "client_secret": "mySecret", "scope": "read", "default_scope": "read",
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post",
    }));
    server_at(config(settings), [client], clock.clone()).with_signing_keys(Arc::clone(keys))
}

fn issued(server: &Server) -> String {
    let form = "grant_type=client_credentials&client_id=myClient&client_secret=mySecret";
    let answer = token(server, &Sent::form(form));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("access_token")
}

/// A cache that fetches what `document` holds, and counts.
fn cache(document: &Arc<Mutex<Option<Vec<u8>>>>, fetches: &Arc<AtomicUsize>) -> Arc<JwksCache> {
    let (document, fetches) = (Arc::clone(document), Arc::clone(fetches));
    Arc::new(JwksCache::new(move |uri: &str| {
        assert_eq!(uri, "https://as.example.com/keys");
        fetches.fetch_add(1, Ordering::SeqCst);
        let answer = document.lock().unwrap().clone();
        async move { answer.map(|body| FetchedJwks::new(body, None)).ok_or_else(|| std::io::Error::other("unreachable")) }
    }))
}

// req: JW-022
#[test]
fn fetched_keys_follow_a_rotation() {
    let clock = TestClock::at(NOW);
    let keys = Arc::new(SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]));
    let server = issuer(&clock, &keys);
    let (document, fetches) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let validator = AccessTokenValidator::new(ISSUER, [US])
        .with_clock(clock.clone())
        .with_jwks_uri("https://as.example.com/keys", cache(&document, &fetches));
    let old = issued(&server);

    // Out of reach, or no key set: that says nothing about the token.
    for broken in [None, Some(b"<html>".to_vec())] {
        *document.lock().unwrap() = broken;
        let error = as_bearer(&validator, &old).unwrap_err();
        assert_eq!((error.status(), error.code(), class(error.reason())), (503, None, "jwks"));
        assert!(error.source().is_some());
        let fields: Vec<_> = error.headers().collect();
        assert_eq!(fields, [("Cache-Control", "no-store".into()), ("Retry-After", "1".into())]);
        clock.advance(120);
    }
    *document.lock().unwrap() = Some(server.jwks());
    let before = fetches.load(Ordering::SeqCst);
    // What no key could change is refused before any is fetched.
    let [_, payload, _] = old.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let header = URL_SAFE_NO_PAD.encode(json!({ "typ": "at+jwt", "alg": "HS256" }).to_string());
    assert_eq!(outcome(&as_bearer(&validator, &format!("{header}.{payload}.AAAA"))), "algorithm");
    assert_eq!(fetches.load(Ordering::SeqCst), before);

    assert_eq!(as_bearer(&validator, &old).unwrap().client_id.as_str(), "myClient");
    assert_eq!(as_bearer(&validator, &old).unwrap().scope.as_str(), "read");
    assert_eq!(fetches.load(Ordering::SeqCst), before + 1, "kept");

    // A new key signs: its kid is not among the kept ones.
    keys.add(key_of_pem(), Timestamp::from_secs(NOW + 360));
    clock.advance(180);
    *document.lock().unwrap() = Some(server.jwks());
    let new = issued(&server);
    assert!(as_bearer(&validator, &new).is_ok());
    assert_eq!(fetches.load(Ordering::SeqCst), before + 2);
    assert!(as_bearer(&validator, &old).is_ok(), "what was signed before");

    // A wrong signature under a known kid is no reason to fetch, one without kid is.
    clock.advance(120);
    let tampered = format!("{}.{}", new.rsplit_once('.').unwrap().0, old.rsplit_once('.').unwrap().1);
    assert_eq!(outcome(&as_bearer(&validator, &tampered)), "signature");
    assert_eq!(fetches.load(Ordering::SeqCst), before + 2);
    let nameless = signed_as(&json!({ "typ": "at+jwt", "alg": "ES256" }), &but(json!({ "exp": NOW + 3600 })));
    assert!(as_bearer(&validator, &nameless).is_ok(), "each key that fits is tried");
    keys.remove(key_of_pem().kid());
    *document.lock().unwrap() = Some(server.jwks());
    let unknown =
        signed_as(&json!({ "typ": "at+jwt", "alg": "ES256", "kid": "unknown" }), &but(json!({ "exp": NOW + 3600 })));
    assert_eq!(outcome(&as_bearer(&validator, &unknown)), "key");
    assert_eq!(fetches.load(Ordering::SeqCst), before + 3);
    assert_eq!(outcome(&as_bearer(&validator, &nameless)), "signature", "the key has been withdrawn");

    // Nor does a JWT without kid say that its key is a new one: that is found out.
    keys.add(key_of_pem(), Timestamp::from_secs(NOW));
    *document.lock().unwrap() = Some(server.jwks());
    clock.advance(120);
    let before = fetches.load(Ordering::SeqCst);
    assert!(as_bearer(&validator, &nameless).is_ok());
    assert_eq!(fetches.load(Ordering::SeqCst), before + 1);

    // An issuer that is out of reach later does not end what is known.
    *document.lock().unwrap() = None;
    clock.advance(60);
    assert!(as_bearer(&validator, &old).is_ok());
}

/// What an introspection endpoint answers next.
type Told = Arc<Mutex<Result<Vec<u8>, &'static str>>>;

/// A validator that asks, what it is told next, and what it has asked about.
fn asking(keys: bool) -> (AccessTokenValidator, Told, Arc<Mutex<Vec<String>>>) {
    let (told, asked) = (Arc::new(Mutex::new(Err("unreachable"))), Arc::new(Mutex::new(Vec::new())));
    let (next, log) = (Arc::clone(&told), Arc::clone(&asked));
    let validator = if keys { validator() } else { without_source() };
    let validator = validator.with_introspection(move |token| {
        log.lock().unwrap().push(token);
        let answer = next.lock().unwrap().clone();
        async move { answer }
    });
    (validator, told, asked)
}

#[test]
fn opaque_tokens_are_introspected() {
    let (validator, told, asked) = asking(true);
    let tell = |answer: Value| {
        *told.lock().unwrap() = Ok(answer.to_string().into_bytes());
        as_bearer(&validator, "opaque")
    };
    let active = |members: Value| {
        let mut answer = but(members);
        answer["active"] = true.into();
        answer
    };
    let token = tell(active(json!({ "token_type": "Bearer", "tenant": "blue", "username": "x" }))).unwrap();
    assert_eq!((token.client_id.as_str(), token.subject.as_deref()), ("myClient", Some("myClient")));
    assert_eq!(token.claims.names().collect::<Vec<_>>(), ["tenant"]);
    assert!(token.require_scope("write").is_ok() && token.require_scope("admin").is_err());
    for (members, expected) in [
        (json!({ "iss": null, "sub": null, "jti": null, "exp": null, "iat": null, "scope": null }), "accepted"),
        (json!({ "aud": ["a", US] }), "accepted"),
        (json!({ "aud": "https://other.example.com" }), "audience"),
        (json!({ "aud": [] }), "audience"),
        (json!({ "aud": null }), "audience"),
        (json!({ "iss": "https://other.example.com" }), "issuer"),
        (json!({ "iss": 1 }), "issuer"),
        (json!({ "exp": NOW - 30 }), "time"),
        (json!({ "exp": "soon" }), "time"),
        (json!({ "nbf": NOW + 31 }), "time"),
        (json!({ "iat": NOW + 31 }), "time"),
        (json!({ "client_id": null }), "claims"),
        (json!({ "client_id": 1 }), "claims"),
        (json!({ "sub": 1 }), "claims"),
        (json!({ "scope": ["read"] }), "claims"),
        (json!({ "cnf": { "jkt": Thumbprint::from_bytes([1; 32]) } }), "binding"),
        (json!({ "cnf": { "x5t#S256": Thumbprint::from_bytes([1; 32]) } }), "binding"),
        (json!({ "cnf": {} }), "binding"),
    ] {
        let found = tell(active(members.clone()));
        assert_eq!(outcome(&found), expected, "{members}");
        if let Err(error) = found {
            assert_eq!((error.status(), error.code()), (401, Some("invalid_token")), "{members}");
        }
    }
    let inactive = tell(json!({ "active": false })).unwrap_err();
    assert_eq!((inactive.status(), class(inactive.reason())), (401, "inactive"));
    assert_eq!(outcome(&tell(but(json!({ "active": false })))), "inactive", "whatever else stands there");
    for nonsense in [
        json!({}),
        json!({ "active": "true" }),
        json!({ "active": 1 }),
        json!({ "active": null }),
        json!([true]),
        json!(true),
    ] {
        let error = tell(nonsense.clone()).unwrap_err();
        assert!(error.status() == 503 && matches!(error.reason(), AccessReason::IntrospectionAnswer), "{nonsense}");
    }
    let good = active(json!({})).to_string();
    for raw in [
        good.replacen('{', r#"{"active":false,"#, 1),
        format!("{good}{good}"),
        String::new(),
        "\u{feff}{}".into(),
        format!("{good}{}", " ".repeat(64 * 1024)),
    ] {
        *told.lock().unwrap() = Ok(raw.clone().into_bytes());
        assert_eq!(as_bearer(&validator, "opaque").unwrap_err().status(), 503, "{raw}");
    }
    *told.lock().unwrap() = Err("unreachable");
    let error = as_bearer(&validator, "opaque").unwrap_err();
    assert_eq!((error.status(), error.code()), (503, None));
    assert_eq!(error.source().unwrap().to_string(), "unreachable");
    assert!(!error.headers().any(|(name, _)| name == "WWW-Authenticate"));
    assert!(asked.lock().unwrap().iter().all(|token| token == "opaque"));

    // A bound token that was introspected, with its key.
    let key = Thumbprint::from_bytes([1; 32]);
    *told.lock().unwrap() = Ok(active(json!({ "cnf": { "jkt": key } })).to_string().into_bytes());
    let mut presented = PresentedToken::new(TokenType::DPoP, "opaque");
    presented.proof = Some(key);
    assert!(run(validator.validate(presented)).is_ok());
}

/// With keys a JWT is not asked about; without keys every token is.
#[test]
fn who_is_asked_about_what() {
    let active = but(json!({ "active": true })).to_string().into_bytes();
    let ended = signed(&but(json!({ "exp": NOW - 60 })));
    let (with_keys, told, asked) = asking(true);
    *told.lock().unwrap() = Ok(active.clone());
    assert!(as_bearer(&with_keys, &signed(&good())).is_ok());
    assert_eq!(outcome(&as_bearer(&with_keys, &ended)), "time", "nor is one that is refused here");
    for (header, expected) in [
        (json!({ "typ": "at+jwt", "alg": "none" }), "algorithm"),
        (json!({ "typ": "at+jwt", "alg": "HS256" }), "algorithm"),
        (json!({ "typ": "JWT", "alg": "ES256" }), "typ"),
        (json!({ "typ": "at+jwt", "alg": "ES256", "crit": ["x"] }), "header"),
        (json!({ "typ": "at+jwt", "alg": "ES256", "kid": "unknown" }), "key"),
    ] {
        assert_eq!(outcome(&as_bearer(&with_keys, &signed_as(&header, &good()))), expected, "{header}");
    }
    assert!(asked.lock().unwrap().is_empty());
    for opaque in ["a", "a.b", "a.b.c", "a.b.c.d.e"] {
        assert!(as_bearer(&with_keys, opaque).is_ok());
        assert_eq!(asked.lock().unwrap().pop().unwrap(), opaque);
    }
    let (without_keys, told, asked) = asking(false);
    for (length, times) in [(16 * 1024, 1), (16 * 1024 + 1, 1)] {
        assert!(as_bearer(&without_keys, &"a".repeat(length)).is_err());
        assert_eq!(asked.lock().unwrap().len(), times, "nothing is that long");
    }
    asked.lock().unwrap().clear();
    *told.lock().unwrap() = Ok(br#"{"active":false}"#.to_vec());
    let token = signed(&good());
    assert_eq!(outcome(&as_bearer(&without_keys, &token)), "inactive", "revoked, perhaps");
    assert_eq!(*asked.lock().unwrap(), [token]);
}

/// The whole way in one process: issued, presented, introspected by the resource server's client, revoked.
#[test]
fn a_revocation_is_seen_where_every_token_is_introspected() {
    let settings = json!({ "resources": [US], "default_resources": [US] });
    let own = |id: &str, more: Value| {
        let mut registration = json!({
            "client_id": id, "client_secret": "mySecret", "scope": "read", "default_scope": "read",
            "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post",
        });
        registration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client(registration)
    };
    let jwt = json!({ "access_token_format": "jwt" });
    let clients = [own("opaque", json!({})), own("jwt", jwt), own("rs", json!({ "audience": [US] }))];
    let server = server(config(settings), clients).with_signing_keys(SigningKeys::new([key_of_pem()]));
    let server = Arc::new(server);
    let asked = Arc::clone(&server);
    let validator = without_source().with_introspection(move |token| {
        let answer = introspect(&asked, &Sent::form(format!("token={token}&client_id=rs&client_secret=mySecret")));
        async move { if answer.status == 200 { Ok(answer.body) } else { Err("refused") } }
    });
    for id in ["opaque", "jwt"] {
        let form = format!("client_id={id}&client_secret=mySecret");
        let token = token(&server, &Sent::form(format!("grant_type=client_credentials&{form}"))).text("access_token");
        let validated = as_bearer(&validator, &token).unwrap();
        assert_eq!((validated.client_id.as_str(), validated.scope.as_str()), (id, "read"));
        assert_eq!(revoke(&server, &Sent::form(format!("token={token}&{form}"))).status, 200);
        assert_eq!(outcome(&as_bearer(&validator, &token)), "inactive", "{id}");
    }
}

proptest! {
    /// No text makes the validator panic, and none but a signed one passes.
    // req: JW-022
    #[test]
    fn no_text_breaks_the_validator(
        field in prop::collection::vec(any::<u8>(), 0..80), token in "\\PC{0,60}|[A-Za-z0-9_-]{0,30}(\\.[A-Za-z0-9_-]{0,30}){0,4}",
        header in any_json(), claims in any_json(), answer in prop::collection::vec(any::<u8>(), 0..60), needed in "\\PC{0,12}",
    ) {
        static LOCAL: LazyLock<AccessTokenValidator> = LazyLock::new(validator);
        let mut made = good();
        if let Value::Object(claims) = &claims {
            made.as_object_mut().unwrap().extend(claims.clone());
        }
        let told = json!({ "active": true, "aud": US, "client_id": "a", "x": claims }).to_string().into_bytes();
        let told = if answer.len() % 2 == 0 { answer } else { told };
        let asking = without_source().with_introspection(move |_| {
            let told = told.clone();
            async move { Ok::<_, std::io::Error>(told) }
        });
        if let Err(error) = LOCAL.read(Field::One(&field)) {
            challenge(&error);
        }
        let _ = JwkSet::from_json(&token);
        let _ = JwkSet::from_json(&json!({ "keys": [header.clone(), claims.clone()] }).to_string());
        for text in [token, signed(&made), signed(&claims), signed_as(&header, &made)] {
            for validator in [&*LOCAL, &asking] {
                match as_bearer(validator, &text) {
                    Ok(token) => {
                        prop_assert!(token.audience.contains(US));
                        let _ = token.require_scope(&needed);
                    }
                    Err(error) if error.status() == 503 => {}
                    Err(error) => prop_assert_eq!(challenge(&error).0, "Bearer"),
                }
            }
            let broken = text.rsplit_once('.').map_or_else(|| text.clone(), |(message, _)| format!("{message}.AAAA"));
            prop_assert!(as_bearer(&LOCAL, &broken).is_err());
        }
    }
}

/// JSON of any shape, small, with names that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}|ES256|at\\+jwt|EC|RSA|OKP|P-256".prop_map(Value::from),
    ];
    let name =
        "\\PC{0,6}|exp|iat|nbf|jti|aud|iss|sub|client_id|scope|cnf|jkt|alg|typ|kid|crit|kty|crv|authorization_details";
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
