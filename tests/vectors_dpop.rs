//! Every case of `dpop.json`: the DPoP fields of a request, and the key that they prove (RFC 9449 §4.3, §7.1).
//!
//! Cases with an access token are a resource server's, the others the token endpoint's.
#![cfg(feature = "dpop")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use client_credentials::{
    AccessReason, AccessTokenValidator, DpopNonces, Field, InvalidDpopProof, InvalidJwt, PresentedToken, Reason,
    SystemRandom, TokenRequest, TokenType, issue_client_credentials_token as issue,
};
use serde_json::{Value, json};
use support::*;

/// The vectors' name of a reason.
fn class(problem: &InvalidDpopProof) -> &'static str {
    match problem {
        InvalidDpopProof::Missing => "missing",
        InvalidDpopProof::Repeated => "count",
        InvalidDpopProof::Htm => "htm",
        InvalidDpopProof::Htu => "htu",
        InvalidDpopProof::Ath => "ath",
        InvalidDpopProof::Nonce => "nonce",
        InvalidDpopProof::Replayed => "replay",
        InvalidDpopProof::Jwt(problem) => match problem {
            InvalidJwt::Malformed(_) => "malformed",
            InvalidJwt::Header("has another typ than dpop+jwt" | "has a typ that is no text") => "typ",
            InvalidJwt::Header(_) => "header",
            InvalidJwt::Algorithm(_) => "algorithm",
            InvalidJwt::Key(_) => "key",
            InvalidJwt::Signature => "signature",
            InvalidJwt::Time(_) => "time",
            InvalidJwt::Claim(_) => "jti",
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// A proof's thumbprint, or the code and the reason of its refusal.
type Outcome<'a> = Result<String, (String, &'a str)>;

const FORM: &str = "grant_type=client_credentials&client_id=bound&client_secret=a+secret";

fn server_of(context: &Value, now: u64) -> Server {
    let bound = client(json!({
        "client_id": "bound", "client_secret": "a secret", "default_scope": "", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post", "dpop_bound_access_tokens": true,
    }));
    let settings = config(json!({ "endpoints": { "token_endpoint": context["url"] } }));
    let server = server_at(settings, [bound], TestClock::at(now));
    match context["nonce"] {
        Value::Null => server,
        _ => server.with_dpop_nonces(DpopNonces::generate(&SystemRandom).unwrap()),
    }
}

fn at_token_endpoint(server: &Server, proofs: &Value) -> Outcome<'static> {
    let sent = Sent { body: FORM.into(), ..Sent::form("") };
    let proofs = proofs.as_array().unwrap();
    let sent = proofs.iter().fold(sent, |sent, proof| sent.header("DPoP", proof.as_str().unwrap()));
    let request = TokenRequest::parse(sent.parts()).unwrap();
    match run(issue(server, &request)) {
        Ok(granted) => {
            assert_eq!(granted.token_type, TokenType::DPoP);
            let form = format!("client_id=bound&client_secret=a+secret&token={}", granted.access_token.expose());
            let told = introspect(server, &Sent::form(form)).json();
            assert_eq!(told["token_type"], "DPoP");
            Ok(told["cnf"]["jkt"].as_str().unwrap().to_owned())
        }
        Err(error) => {
            assert_eq!(error.status(), 400);
            let Reason::InvalidDpopProof(problem) = error.reason() else { panic!("{error}") };
            let has_nonce = error.headers().any(|(name, _)| name == "DPoP-Nonce");
            assert_eq!(has_nonce, error.code().as_str() == "use_dpop_nonce");
            Err((error.code().as_str().to_owned(), class(problem)))
        }
    }
}

fn at_resource_server(context: &Value, proofs: &Value, now: u64) -> Outcome<'static> {
    let jkt = context["bound_jkt"].clone();
    let validator = AccessTokenValidator::new("https://as.example.com", ["https://api.example.com"])
        .with_clock(TestClock::at(now))
        .with_introspection(move |_| {
            let cnf = json!({ "jkt": jkt });
            let told = json!({ "active": true, "aud": "https://api.example.com", "client_id": "c", "cnf": cnf });
            async move { std::io::Result::Ok(told.to_string().into_bytes()) }
        });
    let token = PresentedToken::new(TokenType::DPoP, context["access_token"].as_str().unwrap());
    let proofs: Field<'_> = proofs.as_array().unwrap().iter().map(|proof| proof.as_str().unwrap().as_bytes()).collect();
    let (method, url) = (context["method"].as_str().unwrap(), context["url"].as_str().unwrap());
    match validator.prove(token, proofs, method, url) {
        Ok(proven) if context["bound_jkt"].is_null() => Ok(proven.proof.unwrap().to_string()),
        Ok(proven) => match run(validator.validate(proven)) {
            Ok(_) => Ok(proven.proof.unwrap().to_string()),
            Err(error) => {
                assert!(matches!(error.reason(), AccessReason::Jwt(InvalidJwt::Binding(_))), "{error}");
                Err(("invalid_dpop_proof".to_owned(), "binding"))
            }
        },
        Err(error) => {
            assert_eq!(error.status(), 401);
            let AccessReason::Proof(problem) = error.reason() else { panic!("{error}") };
            Err((error.code().unwrap().to_owned(), class(problem)))
        }
    }
}

#[test]
// req: DP-001, DP-002, DP-003, DP-004, DP-005, DP-006, DP-007, DP-008, DP-009, DP-010, DP-011, DP-012, DP-013, DP-014, DP-015
// req: DP-018, DP-025, DP-027, DP-029, DP-032, DP-033, DP-040, DP-044
fn proofs() {
    let vectors = vectors("dpop.json");
    assert_eq!(vectors["settings"]["iat_past"], 300);
    let (mut failed, mut run, mut skipped) = (Vec::new(), 0, Vec::new());
    for case in vectors["cases"].as_array().unwrap() {
        let (name, context, expect) = (case["name"].as_str().unwrap(), &case["context"], &case["expect"]);
        if !context["nonce"].is_null() && expect["jkt"].is_string() {
            skipped.push(name); // its nonce is a fixed text, and ours are tags that nobody else can make
            continue;
        }
        run += 1;
        let now = context["now"].as_u64().unwrap_or_else(|| vectors["now"].as_u64().unwrap());
        let outcome = if context["access_token"].is_null() {
            let server = server_of(context, now);
            for prior in context["prior"].as_array().into_iter().flatten() {
                assert!(at_token_endpoint(&server, &json!([prior])).is_ok(), "{name}: the proof before");
            }
            at_token_endpoint(&server, &case["headers"])
        } else {
            at_resource_server(context, &case["headers"], now)
        };
        let expected: Outcome<'_> = match expect["jkt"].as_str() {
            Some(jkt) => Ok(jkt.to_owned()),
            None => Err((expect["error"].as_str().unwrap().to_owned(), expect["reason"].as_str().unwrap())),
        };
        if outcome != expected {
            failed.push(format!("{name}: {outcome:?}, not {expected:?}"));
        }
    }
    assert!(failed.is_empty(), "{} cases:\n{}", failed.len(), failed.join("\n"));
    assert_eq!((run, skipped), (139, vec!["nonce-right"]));
}
