//! DPoP at the token endpoint and at a resource server: bound tokens, replays, nonces (RFC 9449).
#![cfg(feature = "dpop")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test panics where it fails")]

mod support;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{
    AccessTokenValidator, Client, DpopNonces, Field, JwkSet, SigningAlgorithm, SigningKey, SigningKeys, SystemRandom,
    Thumbprint, TokenType,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use support::*;

const URL: &str = "https://as.example.com/oauth2/access_token";

/// A key that proofs are made with.
struct Prover(key::Key);

impl Prover {
    fn new() -> Self {
        Self(key::Key::new())
    }

    fn jkt(&self) -> String {
        Thumbprint::of_jwk(&self.0.jwk().to_string()).unwrap().to_string()
    }

    /// A proof with these claims in place of the ordinary ones; each has a `jti` of its own.
    fn prove(&self, url: &str, others: Value) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let jti = format!("proof-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let mut claims = json!({ "jti": jti, "htm": "POST", "htu": url, "iat": NOW });
        claims.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.0.prove(&claims)
    }

    fn proof(&self) -> String {
        self.prove(URL, json!({}))
    }
}

const FORM: &str = "grant_type=client_credentials&client_id=c&client_secret=a+secret";

fn registered(members: Value) -> Client {
    let mut all = json!({
        "client_id": "c", "client_secret": "a secret", "scope": "read write", "default_scope": "read",
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post",
    });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    client(all)
}

fn serving(members: Value) -> Server {
    server(config(json!({})), [registered(members)])
}

fn ask(server: &Server, proof: &str) -> Answer {
    token(server, &Sent::form(FORM).header("DPoP", proof))
}

fn refused(answer: &Answer, code: &str) {
    assert_eq!(answer.outcome(), (400, code.into()));
    assert_eq!(answer.json().get("access_token"), None);
}

#[test]
// req: DP-001, DP-025, DP-026, DP-028, DP-029, DP-039
fn a_proof_binds_the_token_and_nothing_falls_back_to_bearer() {
    let prover = Prover::new();
    let keys = || SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
    for format in ["opaque", "jwt"] {
        let server = serving(json!({ "access_token_format": format })).with_signing_keys(keys());
        let bound = ask(&server, &prover.proof());
        assert_eq!((bound.status, bound.text("token_type")), (200, "DPoP".into()));
        let issued = bound.text("access_token");
        let told =
            introspect(&server, &Sent::form(format!("token={issued}&client_id=c&client_secret=a+secret"))).json();
        assert_eq!((&told["cnf"], &told["token_type"]), (&json!({ "jkt": prover.jkt() }), &json!("DPoP")), "{format}");
        if format == "jwt" {
            let claims = URL_SAFE_NO_PAD.decode(issued.split('.').nth(1).unwrap()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap()["cnf"]["jkt"], prover.jkt());
        }
        assert_eq!(token(&server, &Sent::form(FORM)).text("token_type"), "Bearer", "of its own will, or not");
    }
    let server = serving(json!({ "dpop_bound_access_tokens": true }));
    refused(&token(&server, &Sent::form(FORM)), "invalid_dpop_proof");
    assert_eq!(ask(&server, &prover.proof()).text("token_type"), "DPoP");
    for broken in [
        prover.prove(URL, json!({ "htm": "GET" })),
        prover.prove("https://as.example.com/oauth2/introspect", json!({})),
        prover.prove(URL, json!({ "iat": NOW - 3600 })),
        prover.prove(URL, json!({ "jti": "" })),
        "no JWT".into(),
    ] {
        refused(&ask(&serving(json!({})), &broken), "invalid_dpop_proof");
    }
}

#[cfg(feature = "mtls")]
#[test]
// req: DP-031
fn beside_a_certificate_the_proof_binds_unless_the_client_is_registered_for_certificates() {
    use client_credentials::CertificateChain::Unverified;
    let prover = Prover::new();
    let certified = |proof: &str| Sent::form(FORM).header("DPoP", proof).over(&b"of the handshake"[..], Unverified);
    let free = serving(json!({}));
    let issued = token(&free, &certified(&prover.proof()));
    assert_eq!((issued.status, issued.text("token_type")), (200, "DPoP".into()));
    let about = format!("token={}&client_id=c&client_secret=a+secret", issued.text("access_token"));
    assert_eq!(introspect(&free, &Sent::form(about)).json()["cnf"], json!({ "jkt": prover.jkt() }), "one key");
    let certificates = json!({ "tls_client_certificate_bound_access_tokens": true });
    refused(&token(&serving(certificates), &certified(&prover.proof())), "invalid_request");
    let both =
        registered(json!({ "tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens": true }));
    let faults: Vec<String> = both.validate(&config(json!({}))).into_iter().map(|fault| fault.key).collect();
    assert_eq!(faults, ["dpop_bound_access_tokens"]);
}

#[cfg(feature = "mtls")]
#[test]
// req: DP-011
fn the_url_may_be_the_alias_for_mutual_tls() {
    let prover = Prover::new();
    let base = "https://mtls.example.com:8443";
    let server = server(config(json!({ "mtls_base": base })), [registered(json!({}))]);
    let at = |host: &str| ask(&server, &prover.prove(&format!("{host}/oauth2/access_token"), json!({})));
    assert_eq!(at(base).text("token_type"), "DPoP");
    assert_eq!(at("https://as.example.com").text("token_type"), "DPoP");
    refused(&at("https://mtls.example.com"), "invalid_dpop_proof");
}

#[test]
// req: DP-011, DP-042, DP-043
fn the_url_is_that_of_this_realms_endpoint_by_each_of_its_names() {
    let prover = Prover::new();
    let realm = server(config(json!({})).for_realm("/alpha"), [registered(json!({}))]);
    let root = "https://as.example.com/oauth2";
    let alpha = "https://as.example.com/oauth2/realms/root/realms/alpha";
    for (server, base, other) in [(&serving(json!({})), root, alpha), (&realm, alpha, root)] {
        for name in ["access_token", "token"] {
            // Whatever host or path the request itself had: what is public counts.
            let sent = Sent { path: "/elsewhere".into(), ..Sent::form(FORM) }.header("Host", "10.0.0.1:8080");
            let proof = prover.prove(&format!("{base}/{name}"), json!({}));
            assert_eq!(token(server, &sent.header("DPoP", proof)).text("token_type"), "DPoP", "{base}/{name}");
            refused(&ask(server, &prover.prove(&format!("{other}/{name}"), json!({}))), "invalid_dpop_proof");
        }
        refused(&ask(server, &prover.prove("https://10.0.0.1:8080/elsewhere", json!({}))), "invalid_dpop_proof");
    }
    let proof = prover.prove("https://as.example.com/oauth2/realms/root/access_token", json!({}));
    assert_eq!(ask(&serving(json!({})), &proof).status, 200, "the root realm by its long name");
}

#[test]
// req: DP-015, DP-016, DP-017
fn two_hundred_copies_of_one_proof_buy_one_token() {
    let prover = Prover::new();
    let tokens: Arc<client_credentials::store::MemoryTokenStore> = Arc::default();
    let nodes: Vec<_> = (0..2)
        .map(|_| {
            let clients = Arc::new([registered(json!({}))].into_iter().collect());
            let node = client_credentials::AuthorizationServer::new(config(json!({})), clients, Arc::clone(&tokens));
            node.unwrap().with_clock(TestClock::at(NOW))
        })
        .collect();
    let (proof, granted) = (prover.proof(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for at in 0..20 {
            let (node, proof, granted) = (&nodes[at % 2], &proof, &granted);
            scope.spawn(move || {
                for _ in 0..10 {
                    match ask(node, proof) {
                        answer if answer.status == 200 => drop(granted.fetch_add(1, Ordering::SeqCst)),
                        answer => refused(&answer, "invalid_dpop_proof"),
                    }
                }
            });
        }
    });
    assert_eq!(granted.load(Ordering::SeqCst), 1);
    assert_eq!(tokens.len(), 2, "one token, one proof");
    // A refused request spends nothing, and another key counts by itself.
    let server = serving(json!({}));
    let same = json!({ "jti": "the same" });
    let proof = prover.prove(URL, same.clone());
    let wrong = Sent::form(format!("{FORM}&scope=delete")).header("DPoP", &proof);
    refused(&token(&server, &wrong), "invalid_scope");
    assert_eq!(ask(&server, &proof).status, 200);
    refused(&ask(&server, &prover.prove(URL, same.clone())), "invalid_dpop_proof");
    assert_eq!(ask(&server, &Prover::new().prove(URL, same)).status, 200);
}

#[test]
// req: DP-015
fn a_proof_is_remembered_for_as_long_as_it_could_come_again() {
    let (prover, clock) = (Prover::new(), TestClock::at(NOW));
    let server = server_at(config(json!({})), [registered(json!({}))], clock.clone());
    let ahead = prover.prove(URL, json!({ "iat": NOW + 30 }));
    assert_eq!(ask(&server, &ahead).status, 200);
    // 30 seconds ahead, 300 of its life, 30 of skew: until then it is known, from then on it is too old.
    for (seconds, remembered) in [(1, true), (358, true), (1, false)] {
        clock.advance(seconds);
        server.tokens().remove_expired(client_credentials::Clock::now(&clock));
        refused(&ask(&server, &ahead), "invalid_dpop_proof");
        let records = server.tokens().len();
        assert_eq!(records, if remembered { 2 } else { 1 }, "{seconds}");
    }
}

#[test]
// req: DP-018, DP-019, DP-020, DP-021, DP-022, DP-023, DP-024
fn nonces() {
    let (prover, clock) = (Prover::new(), TestClock::at(NOW));
    let keys = |keys: &[&str]| DpopNonces::with_keys(keys.iter().map(|key| key.repeat(32))).unwrap();
    let node =
        |own: &[&str]| server_at(config(json!({})), [registered(json!({}))], clock.clone()).with_dpop_nonces(keys(own));
    let (first, second, stranger) = (node(&["a", "b"]), node(&["b", "a"]), node(&["c"]));
    let told = |answer: &Answer| answer.header("DPoP-Nonce").map(str::to_owned);

    let answer = ask(&first, &prover.proof());
    refused(&answer, "use_dpop_nonce");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let nonce = told(&answer).unwrap();
    assert!(nonce.bytes().all(|octet| matches!(octet, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "NQCHAR: {nonce}");
    let with = |nonce: &str| prover.prove(URL, json!({ "nonce": nonce }));
    // Whatever the client's clock says: the server's own moment counts.
    let late = prover.prove(URL, json!({ "nonce": nonce, "iat": NOW - 86_400 }));
    let answer = ask(&first, &late);
    assert_eq!((answer.status, told(&answer)), (200, None));
    refused(&ask(&first, &late), "invalid_dpop_proof");
    assert_eq!(ask(&second, &with(&nonce)).status, 200, "a node with the same keys");
    for wrong in ["", "n-1", &nonce.to_lowercase(), &nonce[1..]] {
        let answer = ask(&first, &with(wrong));
        refused(&answer, "use_dpop_nonce");
        assert_ne!(told(&answer).unwrap(), wrong);
    }
    refused(&ask(&stranger, &with(&nonce)), "use_dpop_nonce");
    let realm = server_at(config(json!({})).for_realm("/alpha"), [registered(json!({}))], clock.clone())
        .with_dpop_nonces(keys(&["a"]));
    let there =
        prover.prove("https://as.example.com/oauth2/realms/root/realms/alpha/access_token", json!({ "nonce": nonce }));
    refused(&ask(&realm, &there), "use_dpop_nonce");

    // The next one comes ahead of the end, and both count for a while.
    clock.advance(150);
    let answer = ask(&first, &with(&nonce));
    let next = told(&answer).unwrap();
    assert_eq!(answer.status, 200);
    clock.advance(149);
    assert_eq!((ask(&first, &with(&nonce)).status, ask(&first, &with(&next)).status), (200, 200));
    clock.advance(1);
    let stale = ask(&first, &with(&nonce));
    refused(&stale, "use_dpop_nonce");
    assert_ne!(told(&stale).unwrap(), nonce);
    assert_eq!(ask(&first, &with(&next)).status, 200);

    // Nobody is given one without having authenticated.
    let wrong =
        Sent::form("grant_type=client_credentials&client_id=c&client_secret=wrong").header("DPoP", prover.proof());
    let answer = token(&first, &wrong);
    assert_eq!((answer.status, told(&answer)), (401, None));
    assert!(DpopNonces::with_keys(["too short"]).is_err() && DpopNonces::with_keys([""; 0]).is_err());
    assert!(!format!("{:?}", keys(&["a"])).contains("aaaa"));
}

#[test]
// req: DP-041
fn proofs_and_their_identifiers_are_bounded() {
    let prover = Prover::new();
    assert_eq!(ask(&serving(json!({})), &prover.prove(URL, json!({ "jti": "x".repeat(256) }))).status, 200);
    for length in [257, 2570, 65_536] {
        refused(
            &ask(&serving(json!({})), &prover.prove(URL, json!({ "jti": "x".repeat(length) }))),
            "invalid_dpop_proof",
        );
    }
}

#[test]
// req: DP-006, DP-030
fn the_algorithms_of_proofs_are_those_that_are_told() {
    let settings = |algorithms: Value| config(json!({ "dpop_signing_algs": algorithms }));
    let told = |server: &Server| serde_json::from_slice::<Value>(&server.metadata().body()).unwrap();
    let few = server(settings(json!(["EdDSA"])), [registered(json!({}))]);
    assert_eq!(told(&few)["dpop_signing_alg_values_supported"], json!(["EdDSA"]));
    refused(&ask(&few, &Prover::new().proof()), "invalid_dpop_proof");
    let all = told(&serving(json!({})))["dpop_signing_alg_values_supported"].clone();
    let all: Vec<&str> = all.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(all.contains(&"ES256") && !all.iter().any(|name| name.starts_with("HS") || *name == "none"), "{all:?}");
    let off = server(settings(json!([])), [registered(json!({}))]);
    assert_eq!(told(&off).get("dpop_signing_alg_values_supported"), None);
    refused(&ask(&off, &Prover::new().proof()), "invalid_dpop_proof");
    assert!(settings(json!(["HS256"])).validate().iter().any(|fault| fault.key == "dpop_signing_algs"));
}

// The resource server.

const API: &str = "https://api.example.com/reports";

/// An issuer with one bound token, and a validator that believes it.
fn resource_server(prover: &Prover, clock: &TestClock) -> (String, AccessTokenValidator) {
    let (token, [validator]) = nodes(prover, clock);
    (token, validator)
}

/// The same with several validators.
fn nodes<const N: usize>(prover: &Prover, clock: &TestClock) -> (String, [AccessTokenValidator; N]) {
    let keys = SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
    let client = registered(json!({ "access_token_format": "jwt" }));
    let server = server_at(config(json!({})), [client], clock.clone()).with_signing_keys(keys);
    let token = ask(&server, &prover.proof()).text("access_token");
    let node = |_| {
        let keys = JwkSet::from_json(std::str::from_utf8(&server.jwks()).unwrap()).unwrap();
        let validator = AccessTokenValidator::new("https://as.example.com", ["https://as.example.com"]);
        validator.with_keys(keys).with_clock(clock.clone())
    };
    (token, std::array::from_fn(node))
}

/// What a resource server does with a request: status, code, and challenge.
fn visit(validator: &AccessTokenValidator, scheme: &str, token: &str, proof: Option<&str>) -> Result<(), Answer> {
    let field = format!("{scheme} {token}");
    let dpop = proof.map_or(Field::Absent, |proof| Field::One(proof.as_bytes()));
    let visited = run(async {
        let presented = validator.read(Field::One(field.as_bytes()))?;
        let presented = validator.prove(presented, dpop, "GET", API)?;
        validator.validate(presented).await
    });
    visited.map(drop).map_err(|error| Answer {
        status: error.status(),
        headers: error.headers().map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
        body: json!({ "error": error.code() }).to_string().into_bytes(),
    })
}

fn ath(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

#[test]
// req: DP-032, DP-033, DP-034, DP-035, DP-036, DP-037
fn a_stolen_token_is_worth_nothing_at_a_resource() {
    let (prover, thief, clock) = (Prover::new(), Prover::new(), TestClock::at(NOW));
    let (token, validator) = resource_server(&prover, &clock);
    let proof = |by: &Prover, others: Value| {
        let mut claims = json!({ "htm": "GET", "ath": ath(&token) });
        claims.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        by.prove(API, claims)
    };
    let own = proof(&prover, json!({}));
    assert_eq!(visit(&validator, "DPoP", &token, Some(&own)), Ok(()));
    for (case, scheme, proof, code) in [
        ("replayed", "DPoP", Some(own), "invalid_dpop_proof"),
        ("no proof", "DPoP", None, "invalid_dpop_proof"),
        ("as Bearer", "Bearer", None, "invalid_token"),
        ("as Bearer with a proof", "Bearer", Some(proof(&prover, json!({}))), "invalid_token"),
        ("another key", "DPoP", Some(proof(&thief, json!({}))), "invalid_token"),
        ("no ath", "DPoP", Some(proof(&prover, json!({ "ath": null }))), "invalid_dpop_proof"),
        ("another ath", "DPoP", Some(proof(&prover, json!({ "ath": ath("x") }))), "invalid_dpop_proof"),
        ("another method", "DPoP", Some(proof(&prover, json!({ "htm": "POST" }))), "invalid_dpop_proof"),
        ("old", "DPoP", Some(proof(&prover, json!({ "iat": NOW - 400 }))), "invalid_dpop_proof"),
        ("the token endpoint's proof", "DPoP", Some(prover.proof()), "invalid_dpop_proof"),
    ] {
        let answer = visit(&validator, scheme, &token, proof.as_deref()).unwrap_err();
        assert_eq!((answer.status, answer.error()), (401, code.to_owned()), "{case}");
        let challenge = answer.header("WWW-Authenticate").unwrap();
        assert!(
            challenge.starts_with("DPoP realm=") && challenge.contains(&format!("error=\"{code}\"")),
            "{challenge}"
        );
        assert!(challenge.contains("algs=\"ES256 "), "{challenge}");
        assert!(!challenge.contains("HS256"), "{challenge}");
    }
    // A token of nobody in particular, shown as bound.
    let unbound = {
        let keys = SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
        let server = serving(json!({ "access_token_format": "jwt" })).with_signing_keys(keys);
        let issued = support::token(&server, &Sent::form(FORM)).text("access_token");
        let keys = JwkSet::from_json(std::str::from_utf8(&server.jwks()).unwrap()).unwrap();
        let validator = AccessTokenValidator::new("https://as.example.com", ["https://as.example.com"]).with_keys(keys);
        let validator = validator.with_clock(TestClock::at(NOW));
        let proof = prover.prove(API, json!({ "htm": "GET", "ath": ath(&issued) }));
        visit(&validator, "DPoP", &issued, Some(&proof))
    };
    assert_eq!(unbound.unwrap_err().outcome(), (401, "invalid_token".into()));
}

#[test]
// req: DP-038
fn a_resource_server_asks_for_a_nonce() {
    let (prover, clock) = (Prover::new(), TestClock::at(NOW));
    let (token, validator) = resource_server(&prover, &clock);
    let validator = validator.with_dpop_nonces(DpopNonces::generate(&SystemRandom).unwrap());
    let proof = |nonce: &str| prover.prove(API, json!({ "htm": "GET", "ath": ath(&token), "nonce": nonce }));
    let answer = visit(&validator, "DPoP", &token, Some(&proof("x"))).unwrap_err();
    assert_eq!((answer.status, answer.error()), (401, "use_dpop_nonce".into()));
    assert!(answer.header("WWW-Authenticate").unwrap().contains("error=\"use_dpop_nonce\""));
    let nonce = answer.header("DPoP-Nonce").unwrap().to_owned();
    assert_eq!(visit(&validator, "DPoP", &token, Some(&proof(&nonce))), Ok(()));
}

#[test]
fn several_nodes_of_a_resource_server_take_a_proof_once() {
    let (prover, clock) = (Prover::new(), TestClock::at(NOW));
    let (token, [first, second]) = nodes(&prover, &clock);
    let shared = Arc::<client_credentials::store::MemoryTokenStore>::default();
    let first = first.with_dpop_store(Arc::clone(&shared));
    let proof = prover.prove(API, json!({ "htm": "GET", "ath": ath(&token) }));
    assert_eq!(visit(&first, "DPoP", &token, Some(&proof)), Ok(()));
    assert_eq!(shared.len(), 1);
    let second = second.with_dpop_store(Arc::clone(&shared));
    let answer = visit(&second, "DPoP", &token, Some(&proof)).unwrap_err();
    assert_eq!(answer.error(), "invalid_dpop_proof");
    // Whoever has no token of this issuer's fills nothing, and spends nobody's proof.
    let stranger = Prover::new();
    for nothing in ["nothing", &token] {
        let proof = stranger.prove(API, json!({ "htm": "GET", "ath": ath(nothing) }));
        assert_eq!(visit(&second, "DPoP", nothing, Some(&proof)).unwrap_err().error(), "invalid_token");
    }
    assert_eq!(shared.len(), 1);
}

#[test]
fn a_proof_that_says_when_it_begins_and_ends_is_taken_at_its_word() {
    let (prover, nonces) = (Prover::new(), || DpopNonces::with_keys(["k".repeat(32)]).unwrap());
    let plain = serving(json!({}));
    let asking = server(config(json!({})), [registered(json!({}))]).with_dpop_nonces(nonces());
    let nonce = ask(&asking, &prover.proof()).header("DPoP-Nonce").unwrap().to_owned();
    for (claims, good) in [
        (json!({ "nbf": NOW + 20, "exp": NOW - 20 }), true), // clocks differ
        (json!({ "nbf": NOW - 10, "exp": NOW + 10 }), true),
        (json!({ "nbf": NOW + 3600 }), false),
        (json!({ "exp": NOW - 3600 }), false),
        (json!({ "exp": "soon" }), false),
        (json!({ "nbf": [] }), false),
    ] {
        for server in [&plain, &asking] {
            let mut claims = claims.clone();
            claims["nonce"] = json!(nonce);
            let answer = ask(server, &prover.prove(URL, claims.clone()));
            let expected = if good { (200, String::new()) } else { (400, "invalid_dpop_proof".into()) };
            assert_eq!(answer.outcome(), expected, "{claims}");
        }
    }
}

#[test]
fn a_grant_that_is_edited_between_the_stages_keeps_its_proof() {
    let (prover, server) = (Prover::new(), serving(json!({})));
    let sent = Sent::form(FORM).header("DPoP", prover.proof());
    let request = client_credentials::TokenRequest::parse(sent.parts()).unwrap();
    let issue = || {
        let client = run(server.authenticate(request.credentials()))?;
        let mut grant = server.authorize(&client, &request)?;
        grant.lifetime = 60;
        run(server.issue(client, grant))
    };
    assert_eq!(issue().unwrap().token_type, TokenType::DPoP);
    assert_eq!(issue().unwrap_err().code().as_str(), "invalid_dpop_proof", "the proof is spent");
}
