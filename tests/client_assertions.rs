//! Client assertions: what they buy, how often, and what a failure tells (RFC 7521 §4.2, RFC 7523 §3, rfc7523bis).
//!
//! What one assertion alone is worth is in `vectors_assertion.rs`.
#![cfg(feature = "jwt")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, ClientStore, Config, Event, FederatedIssuer, Inserted, JwkSet, MacKey, Reason, Record,
    RecordKey, RegisteredSecret, SecretVerifier, SigningAlgorithm, SigningKey, SigningKeys, StoreError, Timestamp,
    TokenRequest, TokenStore, issue_client_credentials_token,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, LazyLock, Mutex};
use support::*;

const ISSUER: &str = "https://as.example.com";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const REFUSED: (u16, &str) = (401, "invalid_client");

// Keys, and what is signed with them.

static KEYS: LazyLock<Value> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/keys.json");
    serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap()["keys"].clone()
});

fn member(key: &str, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(KEYS[key][name].as_str().unwrap()).unwrap()
}

/// A private key of the vectors, as the other library takes it: PKCS #8 or PKCS #1.
fn private(key: &str) -> EncodingKey {
    const P256: &[u8] = b"\x30\x41\x02\x01\0\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
    const P384: &[u8] = b"\x30\x4e\x02\x01\0\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\0\x22\x04\x37\x30\x35\x02\x01\x01\x04\x30";
    const ED25519: &[u8] = b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    match (KEYS[key]["kty"].as_str().unwrap(), KEYS[key]["crv"].as_str()) {
        ("EC", Some("P-256")) => EncodingKey::from_ec_der(&[P256, &member(key, "d")].concat()),
        ("EC", Some("P-384")) => EncodingKey::from_ec_der(&[P384, &member(key, "d")].concat()),
        ("OKP", _) => EncodingKey::from_ed_der(&[ED25519, &member(key, "d")].concat()),
        ("RSA", _) => {
            let numbers =
                ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|name| der(2, &[&[0], &*member(key, name)].concat()));
            EncodingKey::from_rsa_der(&der(0x30, &[der(2, &[0]), numbers.concat()].concat()))
        }
        ("oct", _) => EncodingKey::from_secret(&member(key, "k")),
        other => panic!("{other:?}"),
    }
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    // A number has one zero before it where its first bit is set, and none elsewhere.
    let content = if tag == 2 && content.len() > 1 && content[1] < 0x80 { &content[1..] } else { content };
    let length = match content.len() {
        short @ 0..0x80 => vec![short as u8],
        middle @ 0x80..0x100 => vec![0x81, middle as u8],
        long => [&[0x82], &(long as u16).to_be_bytes()[..]].concat(),
    };
    [&[tag], &*length, content].concat()
}

/// The public members of a key, with more beside them.
fn public(key: &str, more: Value) -> Value {
    let members = KEYS[key].as_object().unwrap().clone().into_iter();
    let mut jwk: Value =
        members.filter(|(name, _)| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str())).collect();
    jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    jwk
}

fn jwks(key: &str) -> Value {
    json!({ "keys": [public(key, json!({}))] })
}

/// A JWT by another library; a `typ` that is empty is left out.
fn jwt(algorithm: Algorithm, key: &str, typ: &str, claims: &Value) -> String {
    let header = Header { typ: (!typ.is_empty()).then(|| typ.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &private(key)).unwrap()
}

/// What a client says of itself, with other members in place of these; `null` leaves one out.
fn claims(client_id: &str, jti: &str, other: Value) -> Value {
    let mut claims = json!({
        "iss": client_id, "sub": client_id, "aud": ISSUER, "iat": NOW, "exp": NOW + 300, "jti": jti,
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(other.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    claims
}

/// The assertion of an ordinary test: of the client `c`, by its key.
fn assertion(jti: &str) -> String {
    jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", jti, json!({})))
}

/// A client for `read write` by `private_key_jwt` with the key `ec-a`, but for the members given here; `null` leaves one out.
fn registered(client_id: &str, members: Value) -> Client {
    let mut all = json!({
        "client_id": client_id, "scope": "read write", "default_scope": "read", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks("ec-a"),
    });
    let all_members = all.as_object_mut().unwrap();
    all_members.extend(members.as_object().unwrap().clone());
    all_members.retain(|_, value| !value.is_null());
    client(all)
}

fn own() -> Client {
    registered("c", json!({}))
}

fn by_mac(secrets: Value) -> Client {
    registered(
        "c",
        json!({ "token_endpoint_auth_method": "client_secret_jwt", "jwks": null, "client_secrets": secrets }),
    )
}

fn serving(clients: impl IntoIterator<Item = Client>) -> Server {
    server(config(json!({})), clients)
}

/// A form with an assertion.
fn with(assertion: &str, form: &str) -> Sent {
    Sent::form(format!("{form}&client_assertion_type={JWT_BEARER}&client_assertion={assertion}"))
}

fn asking(assertion: &str) -> Sent {
    with(assertion, "grant_type=client_credentials")
}

fn asking_as(client_id: &str, assertion: &str) -> Sent {
    with(assertion, &format!("grant_type=client_credentials&client_id={client_id}"))
}

/// The token endpoint of a server with any stores.
fn ask<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, sent: &Sent) -> (u16, String) {
    let request = TokenRequest::parse(sent.parts()).unwrap();
    match run(issue_client_credentials_token(server, &request)) {
        Ok(_) => (200, String::new()),
        Err(error) => (error.status(), error.code().to_string()),
    }
}

fn assert_granted(server: &Server, sent: &Sent, case: &str) {
    assert_eq!(ask(server, sent), (200, String::new()), "{case}");
}

fn assert_refused(server: &Server, sent: &Sent, case: &str) {
    assert_eq!(ask(server, sent), (REFUSED.0, REFUSED.1.to_owned()), "{case}");
}

/// Why a request is refused.
fn reason(server: &Server, sent: &Sent) -> String {
    let request = TokenRequest::parse(sent.parts()).unwrap();
    run(issue_client_credentials_token(server, &request)).unwrap_err().reason().to_string()
}

/// The keys of a registration's faults on a server with the defaults.
fn faults(client: &Client) -> Vec<String> {
    client.validate(&config(json!({}))).into_iter().map(|fault| fault.key).collect()
}

/// The lines of the events that an observer was told, with their Debug form.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn observe(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let log = Arc::clone(&self.0);
        move |event| log.lock().unwrap().push(format!("{event} {event:?}"))
    }
    fn one(&self) -> String {
        let mut told = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }
}

// The request.

#[test]
// req: AS-002
fn the_type_is_that_of_jwts_and_no_other() {
    let server = serving([own()]);
    for kind in [
        "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        "urn:ietf:params:oauth:client-assertion-type:JWT-bearer",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer%20",
        "jwt-bearer",
    ] {
        let sent =
            format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={}", assertion("1"));
        assert_refused(&server, &Sent::form(sent), kind);
    }
    assert_granted(&server, &asking(&assertion("1")), "the right one");
}

#[test]
// req: AS-003
fn an_assertion_and_its_type_come_together() {
    let server = serving([own()]);
    for half in [
        format!("client_assertion={}", assertion("1")),
        format!("client_assertion_type={JWT_BEARER}"),
        format!("client_assertion_type={JWT_BEARER}&client_assertion="),
        format!("client_assertion_type=&client_assertion={}", assertion("1")),
    ] {
        let answer = token(&server, &Sent::form(format!("grant_type=client_credentials&client_id=c&{half}")));
        assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{half}");
    }
}

#[test]
// req: CA-019
fn an_assertion_beside_another_mechanism_is_refused_before_either_is_looked_at() {
    let both = json!(["private_key_jwt", "client_secret_basic", "client_secret_post"]);
    let server =
        serving([registered("c", json!({ "token_endpoint_auth_method": both, "client_secret": "the secret" }))]);
    let assertion = assertion("1");
    let post = with(&assertion, "grant_type=client_credentials&client_id=c&client_secret=the+secret");
    for sent in
        [post, asking(&assertion).basic("c", "the+secret"), asking(&assertion).header("Authorization", "Bearer x")]
    {
        assert_eq!(token(&server, &sent).outcome(), (400, "invalid_request".into()));
    }
    assert_granted(&server, &asking(&assertion), "alone; nothing was spent");
}

#[test]
// req: CA-013, CA-014
fn a_server_without_http_schemes_still_challenges() {
    let server = server(config(json!({ "token_endpoint_auth_methods": ["private_key_jwt"] })), [own()]);
    let bad = jwt(Algorithm::ES256, "ec-b", "JWT", &claims("c", "1", json!({})));
    for sent in [asking(&bad), Sent::form("grant_type=client_credentials").basic("c", "x")] {
        let answer = token(&server, &sent);
        assert_eq!(answer.outcome(), (401, "invalid_client".into()));
        assert_eq!(answer.header("WWW-Authenticate"), Some("Basic realm=\"https://as.example.com\""));
    }
    assert_granted(&server, &asking(&assertion("1")), "the method that is enabled");
}

// Once.

/// How many of 300 copies, sent at once from as many threads, buy a token of one of the servers.
fn granted_of_300(servers: &[&Server], sent: &Sent) -> usize {
    let (granted, start) = (AtomicUsize::new(0), Barrier::new(300));
    std::thread::scope(|scope| {
        for copy in 0..300 {
            let (granted, start, server) = (&granted, &start, servers[copy % servers.len()]);
            scope.spawn(move || {
                start.wait();
                match ask(server, sent) {
                    (200, _) => drop(granted.fetch_add(1, Ordering::SeqCst)),
                    refused => assert_eq!((refused.0, refused.1.as_str()), REFUSED),
                }
            });
        }
    });
    granted.into_inner()
}

#[test]
// req: AS-018, AS-020
fn of_300_copies_at_once_one_buys_a_token() {
    let server = serving([own()]);
    assert_eq!(granted_of_300(&[&server], &asking(&assertion("1"))), 1);
    assert_refused(&server, &asking(&assertion("1")), "301");
    assert_granted(&server, &asking(&assertion("2")), "another");
}

/// Two nodes of one service: their own clients in memory, one token store.
#[test]
// req: AS-018, AS-020
fn of_300_copies_at_two_servers_with_one_store_one_buys_a_token() {
    let tokens = Arc::new(MemoryTokenStore::default());
    let node = || {
        let clients = Arc::new([own()].into_iter().collect::<MemoryClientStore>());
        let server = AuthorizationServer::new(config(json!({})), clients, Arc::clone(&tokens)).unwrap();
        server.with_clock(TestClock::at(NOW))
    };
    let (one, other) = (node(), node());
    assert_eq!(granted_of_300(&[&one, &other], &asking(&assertion("1"))), 1);
    assert_granted(&one, &asking(&assertion("2")), "first at the one");
    assert_refused(&other, &asking(&assertion("2")), "then at the other");
}

#[test]
// req: AS-018
fn a_jti_is_spent_whatever_else_the_next_assertion_says() {
    let server = serving([registered(
        "c",
        json!({ "jwks": { "keys": [public("ec-a", json!({})), public("ed-a", json!({}))] } }),
    )]);
    assert_granted(&server, &asking(&assertion("1")), "first");
    let later = claims("c", "1", json!({ "exp": NOW + 301 }));
    assert_refused(&server, &asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &later)), "another exp");
    assert_refused(&server, &asking(&jwt(Algorithm::EdDSA, "ed-a", "JWT", &later)), "another key");
    assert_refused(&server, &asking_as("c", &assertion("1")), "with a client_id");
    assert_granted(&server, &asking(&assertion("01")), "another jti");
}

/// A token store that fails on demand.
#[derive(Default)]
struct Failing {
    tokens: MemoryTokenStore,
    is_down: AtomicBool,
}

impl TokenStore for Failing {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(StoreError::new(std::io::Error::other("down"))),
            false => self.tokens.insert(records, now).await,
        }
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.tokens.get(key).await
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.tokens.remove(key).await
    }
}

/// Refused requests spend nothing; then the assertion buys one token, of either format, and no other.
#[test]
// req: AS-021, AS-022
fn a_refused_request_spends_nothing() {
    for format in ["opaque", "jwt"] {
        let mut registration = registered("c", json!({ "access_token_format": format }));
        let clients = Arc::new(MemoryClientStore::default());
        let server = AuthorizationServer::new(config(json!({})), Arc::clone(&clients), Failing::default()).unwrap();
        let keys = SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256).unwrap()]);
        let server = server.with_clock(TestClock::at(NOW)).with_signing_keys(keys);
        let assertion = assertion("1");
        let asks = |more: &str| ask(&server, &with(&assertion, &format!("grant_type=client_credentials{more}")));

        registration.grant_types.clear();
        clients.insert(registration.clone());
        assert_eq!(asks(""), (400, "unauthorized_client".into()));
        registration.grant_types.push("client_credentials".into());
        clients.insert(registration);
        assert_eq!(asks("&scope=admin"), (400, "invalid_scope".into()));
        assert_eq!(asks("&resource=https://unknown.example.com"), (400, "invalid_target".into()));
        assert_eq!(asks("&client_id=d"), (401, "invalid_client".into()));
        server.tokens().is_down.store(true, Ordering::SeqCst);
        assert_eq!(asks("&scope=write"), (503, "temporarily_unavailable".into()));
        server.tokens().is_down.store(false, Ordering::SeqCst);
        assert!(server.tokens().tokens.is_empty());
        assert_eq!(asks("&scope=write"), (200, String::new()), "{format}");
        assert_eq!(asks("&scope=write"), (401, "invalid_client".into()), "{format}");
        assert_eq!(asks("&scope=admin"), (400, "invalid_scope".into()), "the scope is looked at before");
    }
}

#[test]
// req: AS-057
fn an_assertion_is_remembered_until_it_could_not_be_used_anyway() {
    for exp in [json!(NOW + 300), json!(NOW as f64 + 299.25)] {
        let clock = TestClock::at(NOW);
        let server = server_at(config(json!({})), [own()], clock.clone());
        let sent = asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", "1", json!({ "exp": exp }))));
        assert_granted(&server, &sent, "first");
        server.tokens().remove_expired(Timestamp::from_secs(NOW));
        let last = (exp.as_f64().unwrap() * 1000.0) as u64 + 30_000 - 1;
        clock.set_millis(last);
        server.tokens().remove_expired(Timestamp::from_millis(last));
        assert_eq!(reason(&server, &sent), Reason::AlreadyUsed.to_string(), "a millisecond before exp and skew");
        assert_eq!(server.tokens().len(), 2, "the token, and the jti");
        server.tokens().remove_expired(Timestamp::from_secs(NOW + 330));
        assert_eq!(server.tokens().len(), 1, "the token");
        clock.set_millis(last + 1);
        assert_refused(&server, &sent, "expired");
    }
}

/// Values of `vouch_for`, an assertion's `jti`, and the `jti` of a revoked token count apart.
#[test]
// req: AS-019
fn kinds_and_clients_do_not_burn_each_others_values() {
    let d = registered("d", json!({ "access_token_format": "jwt" }));
    let clients = [registered("c", json!({ "access_token_format": "jwt" })), d.clone()];
    let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let server = serving(clients).with_signing_keys(SigningKeys::new([key]));
    let of_d = |jti: &str| asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("d", jti, json!({}))));
    let vouched = server.vouch_for(Arc::new(d), &[("x", Timestamp::from_secs(NOW + 300))]).unwrap();
    let form = Sent::form("grant_type=client_credentials");
    let grant = server.authorize(&vouched, &TokenRequest::parse(form.parts()).unwrap()).unwrap();
    run(server.issue(vouched, grant)).unwrap();
    assert_granted(&server, &of_d("x"), "a voucher's value");
    assert_granted(&server, &asking(&assertion("x")), "another client's jti");
    let issued = token(&server, &of_d("y")).text("access_token");
    let payload = URL_SAFE_NO_PAD.decode(issued.split('.').nth(1).unwrap()).unwrap();
    let jti = serde_json::from_slice::<Value>(&payload).unwrap()["jti"].as_str().unwrap().to_owned();
    assert_eq!(revoke(&server, &with(&token_of_d("z"), &format!("token={issued}"))).status, 200);
    assert_granted(&server, &of_d(&jti), "a revoked token's jti");
}

fn token_of_d(jti: &str) -> String {
    jwt(Algorithm::ES256, "ec-a", "JWT", &claims("d", jti, json!({})))
}

// Introspection and revocation.

fn introspecting(server: &Server, assertion: &str, token: &str) -> Answer {
    introspect(server, &with(assertion, &format!("token={token}")))
}

fn revoking(server: &Server, assertion: &str, token: &str) -> Answer {
    revoke(server, &with(assertion, &format!("token={token}")))
}

#[test]
// req: AS-018
fn an_assertion_authenticates_once_at_every_endpoint_together() {
    let server = serving([own()]);
    let issued = token(&server, &asking(&assertion("token"))).text("access_token");
    assert_eq!(introspecting(&server, &assertion("ask"), &issued).json()["active"], true);
    assert_eq!(introspecting(&server, &assertion("ask"), &issued).outcome(), (401, "invalid_client".into()));
    assert_eq!(introspecting(&server, &assertion("token"), &issued).status, 401, "used for a token");
    assert_refused(&server, &asking(&assertion("ask")), "used for introspection");
    assert_eq!(revoking(&server, &assertion("ask"), &issued).status, 401, "used for introspection");
    assert_eq!(introspecting(&server, &assertion("unknown"), "x").body, br#"{"active":false}"#);
    assert_eq!(introspecting(&server, &assertion("unknown"), "x").status, 401, "spent for an unknown token, too");
    assert_eq!(introspecting(&server, &assertion("2"), &issued).json()["active"], true, "no replay revoked it");
    assert_eq!(revoking(&server, &assertion("end"), &issued).body, b"{}");
    assert_eq!(revoking(&server, &assertion("end"), &issued).status, 401);
    assert_refused(&server, &asking(&assertion("end")), "used for revocation");
    assert_eq!(introspecting(&server, &assertion("3"), &issued).body, br#"{"active":false}"#);
}

#[test]
// req: AS-021
fn a_refused_revocation_spends_nothing() {
    let server = serving([own(), registered("d", json!({}))]);
    let of_d = token(&server, &asking(&token_of_d("1"))).text("access_token");
    assert_eq!(revoking(&server, &assertion("1"), &of_d).outcome(), (400, "unauthorized_client".into()));
    assert_eq!(introspecting(&server, &token_of_d("2"), &of_d).json()["active"], true);
    assert_granted(&server, &asking(&assertion("1")), "the same assertion");
}

// Keys and algorithms.

#[test]
// req: AS-023
fn every_octet_of_an_assertion_counts() {
    let server = serving([own(), federated(json!({}))]);
    for (client_id, assertion) in [("c", assertion("1")), ("f", platform(json!({})))] {
        for at in 0..assertion.len() {
            let mut changed = assertion.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_refused(&server, &asking_as(client_id, &changed), &changed);
            assert_refused(&server, &asking_as(client_id, assertion.get(..at.max(1)).unwrap()), "cut");
        }
        assert_granted(&server, &asking_as(client_id, &assertion), "as it was");
    }
}

#[test]
// req: AS-026
fn the_server_says_which_algorithms_it_takes() {
    let keys = ["ec-a", "ec384-a", "ed-a", "rsa-a"].map(|key| public(key, json!({})));
    let keys = json!({ "keys": keys });
    let all = [
        (Algorithm::ES256, "ec-a"),
        (Algorithm::ES384, "ec384-a"),
        (Algorithm::EdDSA, "ed-a"),
        (Algorithm::RS256, "rsa-a"),
        (Algorithm::PS256, "rsa-a"),
    ];
    let by = |algorithm, key, jti: &str| asking(&jwt(algorithm, key, "JWT", &claims("c", jti, json!({}))));
    let every = serving([registered("c", json!({ "jwks": keys }))]);
    for (place, (algorithm, key)) in all.into_iter().enumerate() {
        assert_granted(&every, &by(algorithm, key, &place.to_string()), "all by default");
    }
    let some = config(json!({ "token_endpoint_auth_signing_algs": ["ES256", "PS256"] }));
    let some = server(some, [registered("c", json!({ "jwks": keys }))]);
    for (place, (algorithm, key)) in all.into_iter().enumerate() {
        let granted = ask(&some, &by(algorithm, key, &place.to_string())).0 == 200;
        assert_eq!(granted, matches!(algorithm, Algorithm::ES256 | Algorithm::PS256), "{algorithm:?}");
    }
}

#[test]
// req: AS-062
fn a_client_may_be_registered_for_one_algorithm() {
    for (only, rs256, ps256) in [(Value::Null, 200, 200), (json!("RS256"), 200, 401), (json!("PS256"), 401, 200)] {
        let client = registered("c", json!({ "jwks": jwks("rsa-a"), "token_endpoint_auth_signing_alg": only }));
        let server = serving([client]);
        for (algorithm, status) in [(Algorithm::RS256, rs256), (Algorithm::PS256, ps256)] {
            let jti = format!("{algorithm:?}");
            let sent = asking(&jwt(algorithm, "rsa-a", "JWT", &claims("c", &jti, json!({}))));
            assert_eq!(ask(&server, &sent).0, status, "{only} {algorithm:?}");
        }
    }
    let federated = serving([federated(json!({ "token_endpoint_auth_signing_alg": "RS256" }))]);
    assert_refused(&federated, &asking_as("f", &platform(json!({}))), "a federated issuer's ES256");
    let typo = registered("c", json!({ "token_endpoint_auth_signing_alg": "none" }));
    assert_eq!(faults(&typo), ["token_endpoint_auth_signing_alg"], "a typo does not lift the limit");
    let mac = registered("c", json!({ "token_endpoint_auth_signing_alg": "HS256" }));
    assert_eq!(faults(&mac), ["token_endpoint_auth_signing_alg"]);
}

#[test]
// req: AS-031
fn without_kid_eight_keys_are_tried_and_no_ninth() {
    let others = |count: usize| (0..count).map(|_| public("ec-b", json!({})));
    for (fitting, granted) in [(8, true), (9, false)] {
        let keys: Vec<Value> =
            others(fitting - 1).chain([public("ed-a", json!({})), public("ec-a", json!({}))]).collect();
        let server = serving([registered("c", json!({ "jwks": { "keys": keys } }))]);
        assert_eq!(ask(&server, &asking(&assertion("1"))).0 == 200, granted, "{fitting} keys that fit");
    }
}

#[test]
// req: AS-053
fn keys_of_other_types_do_not_spoil_a_set() {
    let others = [
        json!({ "kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA" }),
        public("ec-b", json!({ "use": "enc" })),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AAAA" }),
    ];
    let keys: Vec<Value> = others.into_iter().chain([public("ec-a", json!({}))]).collect();
    let server = serving([registered("c", json!({ "jwks": { "keys": keys } }))]);
    assert_granted(&server, &asking(&assertion("1")), "the key that is known");
}

/// A set that is of no use is said to be of no use, though it may be filled later.
#[test]
fn a_set_without_a_key_that_verifies_is_warned_about() {
    for (keys, warned) in [
        (json!([]), true),
        (json!([{ "kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA" }]), true),
        (json!([public("ec-a", json!({ "use": "enc" }))]), true),
        (json!([public("ec-a", json!({ "alg": "ES384" }))]), true),
        (json!([public("rsa-a", json!({ "alg": "HS256" }))]), true),
        (json!([public("ec-a", json!({ "alg": "ES384" })), public("rsa-a", json!({ "alg": "PS512" }))]), false),
    ] {
        let client = registered("c", json!({ "jwks": { "keys": keys } }));
        assert!(faults(&client).is_empty(), "{keys}");
        assert_eq!(client.warnings().iter().any(|warning| warning.key == "jwks"), warned, "{keys}");
        assert_refused(&serving([client]), &asking(&assertion("1")), "no key that fits");
    }
}

// Secrets.

#[test]
// req: AS-046
fn a_mac_needs_the_secret_itself_and_a_long_one() {
    let (short, long) = ("x".repeat(31), "x".repeat(32));
    let method = json!({ "token_endpoint_auth_method": "client_secret_jwt", "jwks": null });
    let with = |secret: Value| {
        let mut members = method.clone();
        members.as_object_mut().unwrap().extend(secret.as_object().unwrap().clone());
        registered("c", members)
    };
    assert!(faults(&with(json!({ "client_secret": long }))).is_empty());
    assert!(faults(&by_mac(json!([{ "mac_key": URL_SAFE_NO_PAD.encode(&long) }]))).is_empty());
    let hash = SecretVerifier::sha256(&long).to_text();
    for bad in [
        json!({ "client_secret": short }),
        json!({ "client_secret_hash": hash }),
        json!({ "client_secrets": [{ "mac_key": URL_SAFE_NO_PAD.encode(&short) }] }),
        json!({ "client_secrets": [{ "mac_key": "not base64url!" }] }),
        json!({}),
    ] {
        let found = faults(&with(bad.clone()));
        assert!(found.iter().any(|key| key.starts_with("client_secret")), "{bad}: {found:?}");
        let server = serving([with(bad.clone())]);
        let key = EncodingKey::from_secret(long.as_bytes());
        let mac = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims("c", "1", json!({})), &key).unwrap();
        assert_refused(&server, &asking(&mac), "a faulty client");
    }
    assert!(MacKey::new(short).is_err() && MacKey::new("x".repeat(1025)).is_err() && MacKey::new(long).is_ok());
}

/// A table that names two secrets does not say which is meant.
#[test]
fn a_mac_key_beside_another_secret_is_a_fault() {
    let (raw, other) = ("a".repeat(32), "b".repeat(32));
    let key = URL_SAFE_NO_PAD.encode(&raw);
    let hash = |secret: &str| SecretVerifier::sha256(secret).to_text();
    for (table, good) in [
        (json!([{ "mac_key": key }]), true),
        (json!([{ "mac_key": key, "hash": hash(&raw) }]), true),
        (json!([{ "mac_key": key, "hash": hash(&other) }]), false),
        (json!([{ "mac_key": key, "secret": other }]), false),
        (json!([{ "mac_key": key, "secret": raw }]), false),
    ] {
        let client = by_mac(table.clone());
        assert_eq!(faults(&client).is_empty(), good, "{table}");
        assert!(!format!("{:?}", client.validate(&config(json!({})))).contains(&key));
    }
}

#[test]
// req: AS-047
fn each_mac_needs_a_secret_of_its_own_length() {
    let secret = |octets: usize| "k".repeat(octets);
    for octets in [32, 47, 48, 63, 64, 1024] {
        let server = serving([by_mac(json!([secret(octets)]))]);
        for (algorithm, least) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
            let key = EncodingKey::from_secret(secret(octets).as_bytes());
            let claims = claims("c", &format!("{algorithm:?}"), json!({}));
            let mac = jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap();
            assert_eq!(ask(&server, &asking(&mac)).0 == 200, octets >= least, "{algorithm:?} {octets}");
        }
    }
}

#[test]
// req: AS-048
fn keys_and_secrets_do_not_stand_in_for_each_other() {
    let secret = URL_SAFE_NO_PAD.encode(member("hs-64", "k"));
    let mac = jwt(Algorithm::HS256, "hs-64", "JWT", &claims("c", "1", json!({})));
    let signed = assertion("1");
    let by_key = serving([registered("c", json!({ "client_secrets": [{ "mac_key": secret }] }))]);
    assert_refused(&by_key, &asking(&mac), "a MAC by the right secret, of a client of private_key_jwt");
    assert_granted(&by_key, &asking(&signed), "its key");
    let method =
        json!({ "token_endpoint_auth_method": "client_secret_jwt", "client_secrets": [{ "mac_key": secret }] });
    let by_secret = serving([registered("c", method)]);
    assert_refused(&by_secret, &asking(&signed), "a signature by the right key, of a client of client_secret_jwt");
    assert_granted(&by_secret, &asking(&mac), "its secret");
}

#[test]
fn secrets_rotate_and_the_event_names_the_one_that_was_used() {
    let secrets = json!([
        { "mac_key": KEYS["hs-32"]["k"], "id": "2025", "expires_at": NOW + 10 },
        { "mac_key": KEYS["hs-64"]["k"], "id": "2026" },
    ]);
    let (log, clock) = (Log::default(), TestClock::at(NOW));
    let server = server_at(config(json!({})), [by_mac(secrets)], clock.clone()).on_event(log.observe());
    let by = |key: &str, jti: &str| asking(&jwt(Algorithm::HS256, key, "JWT", &claims("c", jti, json!({}))));
    for (key, id) in [("hs-32", "2025"), ("hs-64", "2026")] {
        assert_granted(&server, &by(key, id), id);
        assert!(log.one().contains(&format!("method=client_secret_jwt secret_id=\"{id}\"")));
    }
    clock.advance(10);
    assert_eq!(reason(&server, &by("hs-32", "3")), Reason::ExpiredSecret.to_string());
    assert!(!log.one().contains("secret_id="));
    assert_granted(&server, &by("hs-64", "4"), "the one that stands");
}

#[test]
fn a_mac_key_is_read_back_and_shown_to_nobody() {
    let client = by_mac(json!([{ "mac_key": KEYS["hs-64"]["k"], "id": "1" }]));
    let written = serde_json::to_value(&client).unwrap();
    assert_eq!(written["client_secrets"][0]["mac_key"], KEYS["hs-64"]["k"]);
    let read: Client = serde_json::from_value(written.clone()).unwrap();
    assert!(faults(&read).is_empty());
    assert_eq!(serde_json::to_value(&read).unwrap(), written);
    assert_granted(
        &serving([read]),
        &asking(&jwt(Algorithm::HS512, "hs-64", "JWT", &claims("c", "1", json!({})))),
        "read",
    );
    let shown = format!("{client:?} {:?} {:?}", client.client_secrets, client.client_secrets[0].mac_key);
    assert!(!shown.contains(KEYS["hs-64"]["k"].as_str().unwrap()), "{shown}");
    // What a program makes by itself.
    let mut own = Client::new("c".parse().unwrap());
    own.token_endpoint_auth_method = vec!["client_secret_jwt".into()];
    own.default_scope = Some("read".parse().unwrap());
    let mut secret = RegisteredSecret::new("1", SecretVerifier::sha256(&"k".repeat(32)));
    secret.mac_key = Some(MacKey::new("k".repeat(32)).unwrap());
    own.client_secrets.push(secret);
    let read: Client = serde_json::from_value(serde_json::to_value(&own).unwrap()).unwrap();
    assert!(faults(&own).is_empty() && faults(&read).is_empty());
    own.client_secrets[0].verifier = SecretVerifier::sha256("another secret");
    assert_eq!(faults(&own), ["client_secrets"], "however it was made");
}

/// A limit on guesses must see those that come as a MAC.
#[test]
// req: SE-003
fn what_a_private_key_signed_cannot_be_guessed_and_a_mac_can() {
    for (assertion, guessed) in
        [(assertion("1"), false), (jwt(Algorithm::HS256, "hs-32", "JWT", &claims("c", "1", json!({}))), true)]
    {
        let sent = asking(&assertion);
        let request = TokenRequest::parse(sent.parts()).unwrap();
        assert_eq!(!request.credentials().cannot_be_guessed(), guessed);
        assert_eq!(request.credentials().claimed_client_id(), Some("c"));
    }
}

// Realms.

#[test]
// req: AS-055, AS-056
fn each_realm_has_an_audience_and_a_memory_of_its_own() {
    let tokens = Arc::new(MemoryTokenStore::default());
    let realm = |config: Config| {
        let clients = Arc::new([own()].into_iter().collect::<MemoryClientStore>());
        AuthorizationServer::new(config, clients, Arc::clone(&tokens)).unwrap().with_clock(TestClock::at(NOW))
    };
    let root = config(json!({}));
    let alpha = realm(root.for_realm("/alpha"));
    let root = realm(root);
    let for_alpha = claims("c", "1", json!({ "aud": alpha.config().issuer }));
    let for_alpha = asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &for_alpha));
    assert_refused(&alpha, &asking(&assertion("1")), "the root's audience at alpha");
    assert_refused(&root, &for_alpha, "alpha's audience at the root");
    assert_granted(&alpha, &for_alpha, "alpha");
    assert_granted(&root, &asking(&assertion("1")), "the same jti at the root");
    assert_refused(&alpha, &for_alpha, "again");
}

#[test]
// req: AS-009, AS-010, AS-011
fn the_legacy_audience_is_an_endpoint_of_the_realm_and_nothing_near_it() {
    let settings = if cfg!(feature = "mtls") { json!({ "mtls_base": "https://mtls.example.com" }) } else { json!({}) };
    let alpha = config(settings).for_realm("/alpha");
    let clients = [own(), registered("l", json!({ "assertion_audience": "legacy" }))];
    let server = server(alpha.clone(), clients);
    let below = "https://as.example.com/oauth2/realms/root/realms/alpha";
    for (audience, legacy) in [
        (alpha.issuer.clone(), true),
        (format!("{below}/access_token"), true),
        (format!("{below}/introspect"), true),
        (format!("{below}/token/revoke"), true),
        (format!("{below}/connect/jwk_uri"), false),
        (below.replace("//as.", "//mtls.") + "/access_token", cfg!(feature = "mtls")), // RFC 8705 §5
        (format!("{below}/access_token/"), false),
        (format!("{below}/Access_token"), false),
        (format!("{}/", alpha.issuer), false),
        (below.to_owned(), false),
        (format!("{ISSUER}/oauth2/access_token"), false),
        (ISSUER.to_owned(), false),
    ] {
        let by = |client_id: &str| {
            let claims = claims(client_id, &audience, json!({ "aud": audience }));
            ask(&server, &asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims))).0 == 200
        };
        assert_eq!((by("l"), by("c")), (legacy, audience == alpha.issuer), "{audience}");
    }
}

#[cfg(feature = "mtls")]
#[test]
// req: MT-013, MT-014
fn an_assertion_over_mutual_tls_buys_a_bound_token() {
    use client_credentials::{CertificateChain::Unverified, Thumbprint};
    let server = serving([registered("c", json!({ "tls_client_certificate_bound_access_tokens": true }))]);
    let (certificate, once) = (b"whatever the handshake has proved".as_slice(), assertion("1"));
    assert_eq!(token(&server, &asking(&once)).outcome(), (400, "invalid_request".into()), "no certificate");
    let granted = token(&server, &asking(&once).over(certificate, Unverified));
    assert_eq!(granted.status, 200, "a refused request spends nothing: {granted:?}");
    let about = format!("token={}", granted.text("access_token"));
    let told = introspect(&server, &with(&assertion("2"), &about)).json();
    assert_eq!(told["cnf"], json!({ "x5t#S256": Thumbprint::of_certificate(certificate) }));
    assert_eq!(token(&server, &asking(&once).over(certificate, Unverified)).outcome(), (401, "invalid_client".into()));
}

// Time.

#[test]
// req: AS-063
fn the_skew_is_30_seconds_and_can_be_0_to_60() {
    assert_eq!(Config::new(ISSUER).clock_skew, 30);
    let too_much = config(json!({ "clock_skew": 61 })).validate();
    assert_eq!(too_much.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), ["clock_skew"]);
    for skew in [0_u64, 30, 60] {
        let server = server(config(json!({ "clock_skew": skew })), [own()]);
        let by = |members: Value| {
            let jti = members.to_string();
            ask(&server, &asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", &jti, members)))).0 == 200
        };
        assert!(!by(json!({ "exp": NOW - skew })) && by(json!({ "exp": NOW - skew + 1 })), "{skew}");
        assert!(!by(json!({ "exp": NOW + 601 + skew })) && by(json!({ "exp": NOW + 600 + skew })), "{skew}");
        for name in ["nbf", "iat"] {
            assert!(!by(json!({ name: NOW + skew + 1 })) && by(json!({ name: NOW + skew })), "{name} {skew}");
        }
    }
}

/// Neither claims nor clocks at the ends of their ranges overflow.
#[test]
fn moments_far_away_are_only_refused() {
    for now in [0, 1, NOW * 1000, (1 << 53) * 1000 - 1, u64::MAX - 1, u64::MAX] {
        let clock = TestClock::at(0);
        clock.set_millis(now);
        let federation = federation(json!({ "max_lifetime": 31_536_000 }));
        let server = server_at(config(json!({})), [own(), federated(json!({ "federated": [federation] }))], clock);
        for far in
            ["0", "-0", "0.0", "9007199254740991", "9007199254740992", "1e15", "18446744073709551615", "1e308", "-1"]
        {
            let far: Value = serde_json::from_str(far).unwrap();
            for name in ["exp", "nbf", "iat"] {
                let sent =
                    asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", "1", json!({ name: far.clone() }))));
                assert!([200, 401].contains(&ask(&server, &sent).0), "{name} {far}");
                let sent = asking_as("f", &platform(json!({ name: far.clone() })));
                assert!([200, 401].contains(&ask(&server, &sent).0), "{name} {far}");
            }
        }
    }
}

/// JSON of any type.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (NOW - 40..NOW + 640).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,300}".prop_map(Value::from),
        prop_oneof!["c", "https://as\\.example\\.com"].prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever stands in a claim, signed by the right key: it is granted where the claim is right, and else refused.
    #[test]
    // req: AS-004, AS-005, AS-006, AS-008, AS-012, AS-013, AS-014, AS-015, AS-016, AS-017, AS-043
    fn only_the_right_claims_authenticate(
        name in prop::sample::select(vec!["iss", "sub", "aud", "exp", "nbf", "iat", "jti"]),
        value in any_json(),
    ) {
        let seconds = value.as_f64();
        let good = match name {
            "iss" | "sub" => value == "c",
            "aud" => value == ISSUER || value == json!([ISSUER]),
            "exp" => seconds.is_some_and(|exp| exp > NOW as f64 - 30.0 && exp < NOW as f64 + 630.001),
            "jti" => value.as_str().is_some_and(|jti| (1..=256).contains(&jti.len())),
            _ => seconds.is_some_and(|moment| (0.0..NOW as f64 + 30.001).contains(&moment)),
        };
        let mut claims = claims("c", "1", json!({}));
        claims[name] = value;
        let signed = jwt(Algorithm::ES256, "ec-a", "JWT", &claims);
        for sent in [asking(&signed), asking_as("c", &signed)] {
            let (status, error) = ask(&serving([own()]), &sent);
            prop_assert_eq!((status, &*error), if good { (200, "") } else { REFUSED }, "{}", claims);
        }
    }
}

// What a failure tells.

#[test]
// req: AS-058
fn every_failure_is_the_same_answer() {
    let server = serving([own()]);
    let signed = |client_id: &str, jti: &str, other: Value| {
        token(&server, &asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims(client_id, jti, other))))
    };
    assert_eq!(signed("c", "1", json!({})).status, 200);
    let replayed = signed("c", "1", json!({}));
    assert_eq!((replayed.status, replayed.error().as_str()), REFUSED);
    let forged = jwt(Algorithm::ES256, "ec-b", "JWT", &claims("c", "2", json!({})));
    for (case, answer) in [
        ("signature", token(&server, &asking(&forged))),
        ("expired", signed("c", "2", json!({ "exp": NOW - 60 }))),
        ("audience", signed("c", "2", json!({ "aud": "https://other.example.com" }))),
        ("unknown", signed("unknown", "2", json!({}))),
        ("malformed", token(&server, &asking("x"))),
        (
            "type",
            token(
                &server,
                &Sent::form(format!("grant_type=client_credentials&client_assertion={forged}&client_assertion_type=x")),
            ),
        ),
        ("method", token(&server, &asking(&jwt(Algorithm::HS256, "hs-32", "JWT", &claims("c", "2", json!({})))))),
        ("client_id", token(&server, &asking_as("d", &forged))),
    ] {
        assert_eq!(answer, replayed, "{case}");
    }
}

#[test]
// req: SE-004
fn events_have_the_claimed_client_and_nothing_of_the_assertion() {
    let log = Log::default();
    let mac = URL_SAFE_NO_PAD.encode(member("hs-64", "k"));
    let server = serving([own(), federated(json!({}))]).on_event(log.observe());
    let jti = "a-jti-that-nobody-else-has";
    for (sent, claimed) in [
        (asking(&jwt(Algorithm::ES256, "ec-b", "JWT", &claims("c", jti, json!({})))), "c"),
        (asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", jti, json!({ "exp": NOW - 60 })))), "c"),
        (asking(&jwt(Algorithm::HS256, "hs-64", "JWT", &claims("c", jti, json!({})))), "c"),
        (asking(&jwt(Algorithm::ES256, "ec-a", "at+jwt", &claims("c", jti, json!({})))), "c"),
        (asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("nobody", jti, json!({})))), "nobody"),
        (asking_as("d", &jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", jti, json!({})))), "d"),
        (asking_as("f", &platform(json!({ "jti": jti, "aud": "x" }))), "f"),
    ] {
        let request = TokenRequest::parse(sent.parts()).unwrap();
        let error = run(issue_client_credentials_token(&server, &request)).unwrap_err();
        let told = log.one();
        assert!(told.contains(&format!("client_id=\"{claimed}\"")), "{told}");
        let said =
            format!("{told} {error} {error:?} {request:?} {:?} {sent:?}", request.credentials(), sent = sent.parts());
        let body = String::from_utf8(sent.body.clone()).unwrap();
        let assertion = body.rsplit_once("client_assertion=").unwrap().1;
        for secret in assertion.split('.').chain([jti, mac.as_str()]) {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
    let used = asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", jti, json!({}))));
    assert_granted(&server, &used, "a good one");
    let told = log.one();
    assert!(told.contains("client_id=\"c\" method=private_key_jwt") && !told.contains(jti), "{told}");
    assert!(!told.contains("federated_issuer="), "{told}");
    // Whose word was taken for a client is told as well.
    let spoken_for = platform(json!({}));
    let issuer = payload(&spoken_for)["iss"].as_str().unwrap().to_owned();
    assert_granted(&server, &asking_as("f", &spoken_for), "a platform's token");
    let told = log.one();
    assert!(told.contains(&format!("method=private_key_jwt federated_issuer=\"{issuer}\"")), "{told}");
}

fn payload(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

// Other kinds of JWT.

#[test]
// req: SE-016
fn a_jwt_of_another_kind_is_no_assertion() {
    let key = SigningKey::from_jwk(SigningAlgorithm::Es256, &KEYS["ec-a"].to_string()).unwrap();
    // The worst case: the client's key is the server's, and the client may call itself by the issuer.
    let server = serving([registered("c", json!({ "access_token_format": "jwt" })), registered(ISSUER, json!({}))]);
    let server = server.with_signing_keys(SigningKeys::new([key]));
    let access_token = token(&server, &asking(&assertion("1"))).text("access_token");
    assert_eq!(access_token.split('.').count(), 3);
    assert_refused(&server, &asking(&access_token), "an access token");
    assert_refused(&server, &asking_as("c", &access_token), "an access token");
    assert_refused(&server, &asking_as(ISSUER, &access_token), "an access token");
    for typ in
        ["at+jwt", "application/at+jwt", "dpop+jwt", "token-introspection+jwt", "jose", "logout+jwt", "secevent+jwt"]
    {
        assert_refused(&server, &asking(&jwt(Algorithm::ES256, "ec-a", typ, &claims("c", "2", json!({})))), typ);
    }
    for typ in ["", "JWT", "client-authentication+jwt", "application/Client-Authentication+JWT"] {
        assert_granted(
            &server,
            &asking(&jwt(Algorithm::ES256, "ec-a", typ, &claims("c", typ.len().to_string().as_str(), json!({})))),
            typ,
        );
    }
    let other = jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", "3", json!({ "client_id": "c", "scope": "read" })));
    assert_eq!(introspecting(&server, &assertion("4"), &other).body, br#"{"active":false}"#, "no access token");
}

// Registrations.

#[test]
// req: CA-042
fn a_registration_has_what_its_methods_need() {
    for (members, key) in [
        (json!({ "jwks": null }), "jwks"),
        (json!({ "jwks": null, "federated": [] }), "jwks"),
        (json!({ "token_endpoint_auth_method": "client_secret_jwt" }), "client_secret"),
        (json!({ "federated": [federation(json!({ "jwks": null }))] }), "federated[0]"),
        (
            json!({ "token_endpoint_auth_method": "client_secret_basic", "client_secret": "the secret", "federated": [federation(json!({}))] }),
            "federated",
        ),
    ] {
        let client = registered("c", members.clone());
        assert_eq!(faults(&client), [key], "{members}");
        assert_refused(&serving([client]), &asking(&assertion("1")), "a faulty client");
    }
}

#[test]
// req: CA-043
fn keys_are_registered_or_published_and_not_both() {
    let uri = "https://client.example.com/jwks";
    let faults = registered("c", json!({ "jwks_uri": uri })).validate(&config(json!({})));
    assert_eq!(faults.len(), 1);
    assert!(faults[0].key == "jwks_uri" && faults[0].problem.contains("jwks"), "{faults:?}");
    assert!(registered("c", json!({ "jwks": null, "jwks_uri": uri })).validate(&config(json!({}))).is_empty());
    let both = federation(json!({ "jwks_uri": uri }));
    let faults = registered("c", json!({ "federated": [both] })).validate(&config(json!({})));
    assert!(faults[0].key == "federated[0]" && faults[0].problem.contains("either jwks or jwks_uri"), "{faults:?}");
}

/// A typo or a `null` leaves a client without a method that works, never with a weaker one.
#[test]
fn typos_do_not_weaken_a_registration() {
    for members in [
        json!({ "jwks": "not a key set" }),
        json!({ "jwks": [] }),
        json!({ "jwks": { "keys": "none" } }),
        json!({ "jwks": { "keys": [null] } }),
        json!({ "jwks": { "keys": [{}] } }),
        json!({ "jwks": { "keys": [public("ec-a", json!({ "kid": 1 }))] } }),
        json!({ "jwks": { "keys": [public("ec-a", json!({ "alg": null }))] } }),
        json!({ "jwks": { "keys": vec![public("ec-a", json!({})); 33] } }),
        json!({ "JWKS": jwks("ec-a") }),
        json!({ "federated": federation(json!({})) }),
        json!({ "federated": [null] }),
        json!({ "federated": [federation(json!({ "subjects": "x" }))] }),
        json!({ "federated": [federation(json!({ "subject": "" }))] }),
        json!({ "federated": [federation(json!({ "audience": "" }))] }),
        json!({ "federated": [federation(json!({ "claims": null }))] }),
        json!({ "federated": [federation(json!({ "max_lifetime": 0 }))] }),
        json!({ "federated": [federation(json!({ "max_lifetime": 31_536_001 }))] }),
        json!({ "federated": [federation(json!({ "one_time": "yes" }))] }),
        json!({ "federated": [federation(json!({})), federation(json!({ "audience": "https://other.example.com" }))] }),
        json!({ "assertion_audience": "Legacy" }),
        json!({ "assertion_audience": ["legacy"] }),
        json!({ "token_endpoint_auth_method": "private_key_JWT" }),
        json!({ "token_endpoint_auth_method": [] }),
        json!({ "token_endpoint_auth_signing_alg": ["ES256"] }),
    ] {
        let client = registered("c", members.clone());
        assert!(!faults(&client).is_empty(), "{members}");
        assert_refused(&serving([client]), &asking(&assertion("1")), &members.to_string());
    }
    // An empty list is no federation, so it does not change what an absent method means.
    let empty = registered("c", json!({ "token_endpoint_auth_method": null, "federated": [] }));
    assert_eq!(empty.token_endpoint_auth_method, ["client_secret_basic".into()]);
    assert_refused(&serving([empty]), &asking(&assertion("1")), "client_secret_basic by default");
}

#[test]
fn a_registration_is_read_back_as_it_was_written() {
    let text = serde_json::to_string(&public("rsa-a", json!({ "kid": "r", "note": "kept" }))).unwrap();
    let set: JwkSet = serde_json::from_value(json!(format!("{{\"keys\":[{text}]}}"))).unwrap();
    for members in [
        json!({ "jwks": set, "token_endpoint_auth_signing_alg": "PS256", "assertion_audience": "legacy" }),
        json!({ "jwks": format!("{{\"keys\":[{text}]}}") }),
        json!({ "jwks": null, "jwks_uri": "https://client.example.com/jwks", "token_endpoint_auth_signing_alg": "EdDSA" }),
        json!({ "jwks": null, "federated": [
            federation(json!({ "one_time": true, "max_lifetime": 60, "claims": { "a": { "b": [1, null, "x"] } } })),
            federation(json!({ "subject": "other", "audience": null, "jwks": null, "jwks_uri": "https://k.example.com/jwks" })),
        ] }),
        json!({
            "token_endpoint_auth_method": ["private_key_jwt", "client_secret_jwt"],
            "client_secrets": [{ "mac_key": KEYS["hs-32"]["k"], "id": "1", "expires_at": NOW }],
        }),
    ] {
        let client = registered("c", members.clone());
        assert!(faults(&client).is_empty(), "{members}: {:?}", faults(&client));
        let written = serde_json::to_string(&client).unwrap();
        let read: Client = serde_json::from_str(&written).unwrap();
        assert!(faults(&read).is_empty(), "{members}");
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
        assert_eq!((&read.jwks, &read.jwks_uri), (&client.jwks, &client.jwks_uri));
        assert_eq!(read.token_endpoint_auth_signing_alg, client.token_endpoint_auth_signing_alg);
        assert_eq!(read.assertion_audience, client.assertion_audience);
        assert_eq!(read.federated, client.federated);
        // TOML has no null.
        if let Ok(text) = toml::to_string(&serde_json::from_str::<Value>(&written).unwrap()) {
            assert_eq!(serde_json::to_string(&toml::from_str::<Client>(&text).unwrap()).unwrap(), written);
        }
    }
}

// Federated issuers.

const PLATFORM: &str = "https://kubernetes.default.svc.cluster.local";
const WORKLOAD: &str = "system:serviceaccount:prod:billing";

/// An issuer as a registration has it, by the key `ec-b`; `null` leaves a member out.
fn federation(members: Value) -> Value {
    let mut all = json!({
        "issuer": PLATFORM, "subject": WORKLOAD, "audience": "https://as.example.com/federation", "jwks": jwks("ec-b"),
        "claims": { "kubernetes.io": { "namespace": "prod", "serviceaccount": { "name": "billing" } } },
    });
    let all_members = all.as_object_mut().unwrap();
    all_members.extend(members.as_object().unwrap().clone());
    if all_members["claims"] != Value::Null {
        all_members.retain(|_, value| !value.is_null());
    }
    all
}

/// A client that has no keys of its own.
fn federated(members: Value) -> Client {
    let mut all = json!({ "jwks": null, "federated": [federation(json!({}))] });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    registered("f", all)
}

/// What the platform says of the workload; `null` leaves a member out.
fn platform_claims(other: Value) -> Value {
    let mut claims = json!({
        "aud": ["https://as.example.com/federation"], "exp": NOW + 3600, "iat": NOW, "nbf": NOW, "iss": PLATFORM,
        "sub": WORKLOAD,
        "kubernetes.io": {
            "namespace": "prod", "pod": { "name": "billing-5d9f", "uid": "7f1c" },
            "serviceaccount": { "name": "billing", "uid": "9a0d" },
        },
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(other.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    claims
}

fn platform(other: Value) -> String {
    jwt(Algorithm::ES256, "ec-b", "", &platform_claims(other))
}

#[test]
fn a_platforms_token_speaks_for_a_client_as_often_as_it_lives() {
    let (log, clock) = (Log::default(), TestClock::at(NOW));
    let server = server_at(config(json!({})), [federated(json!({}))], clock.clone()).on_event(log.observe());
    let sent = asking_as("f", &platform(json!({})));
    for _ in 0..3 {
        assert_granted(&server, &sent, "reusable");
        assert!(log.one().contains("client_id=\"f\" method=private_key_jwt federated_issuer="));
    }
    let issued = token(&server, &sent).text("access_token");
    let about = with(&platform(json!({})), &format!("client_id=f&token={issued}"));
    assert_eq!(introspect(&server, &about).json()["client_id"], "f");
    assert_eq!(introspect(&server, &about).json()["active"], true);
    assert_eq!(revoke(&server, &about).status, 200);
    assert_eq!(introspect(&server, &about).body, br#"{"active":false}"#);
    clock.advance(3600 + 29);
    assert_granted(&server, &sent, "the last second");
    clock.advance(1);
    assert_refused(&server, &sent, "expired");
}

#[test]
fn whatever_differs_from_the_registration_is_refused() {
    let server = serving([federated(json!({})), own()]);
    let prefix = &PLATFORM[..PLATFORM.len() - 1];
    for other in [
        json!({ "iss": null }),
        json!({ "iss": format!("{PLATFORM}/") }),
        json!({ "iss": prefix }),
        json!({ "iss": PLATFORM.to_uppercase() }),
        json!({ "iss": [PLATFORM] }),
        json!({ "iss": "https://foreign.example.com" }),
        json!({ "iss": "f" }),
        json!({ "sub": null }),
        json!({ "sub": "f" }),
        json!({ "sub": "system:serviceaccount:prod:billing2" }),
        json!({ "sub": "system:serviceaccount:prod:Billing" }),
        json!({ "sub": "system:serviceaccount:prod:*" }),
        json!({ "sub": PLATFORM }),
        json!({ "aud": null }),
        json!({ "aud": [] }),
        json!({ "aud": ISSUER }),
        json!({ "aud": "https://as.example.com/federatio" }),
        json!({ "aud": "https://as.example.com/federation/" }),
        json!({ "aud": "https://AS.example.com/federation" }),
        json!({ "aud": ["https://as.example.com/federation", "https://other.example.com"] }),
        json!({ "aud": ["https://as.example.com/federation", "https://as.example.com/federation"] }),
        json!({ "kubernetes.io": null }),
        json!({ "kubernetes.io": "prod" }),
        json!({ "kubernetes.io": { "namespace": "prod" } }),
        json!({ "kubernetes.io": { "namespace": "test", "serviceaccount": { "name": "billing" } } }),
        json!({ "kubernetes.io": { "namespace": "prod", "serviceaccount": { "name": ["billing"] } } }),
        json!({ "exp": null }),
        json!({ "exp": NOW - 30 }),
        json!({ "exp": NOW + 3600 + 31 }),
        json!({ "nbf": NOW + 31 }),
        json!({ "iat": NOW + 31 }),
    ] {
        assert_refused(&server, &asking_as("f", &platform(other.clone())), &other.to_string());
    }
    let good = platform(json!({}));
    assert_refused(&server, &asking(&good), "without client_id");
    assert_refused(&server, &asking_as("c", &good), "for a client that does not trust the issuer");
    assert_refused(&server, &asking_as(WORKLOAD, &good), "by the subject");
    for typ in ["at+jwt", "dpop+jwt", "secevent+jwt"] {
        assert_refused(&server, &asking_as("f", &jwt(Algorithm::ES256, "ec-b", typ, &platform_claims(json!({})))), typ);
    }
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let payload = good.split('.').nth(1).unwrap();
    for (case, forged) in [
        ("another key", jwt(Algorithm::ES256, "ec-a", "", &platform_claims(json!({})))),
        ("HS256", jwt(Algorithm::HS256, "hs-32", "", &platform_claims(json!({})))),
        ("none", format!("{none}.{payload}.")),
        ("no signature", format!("{}.", good.rsplit_once('.').unwrap().0)),
    ] {
        assert_refused(&server, &asking_as("f", &forged), case);
    }
    for typ in ["", "JWT", "JOSE"] {
        assert_granted(&server, &asking_as("f", &jwt(Algorithm::ES256, "ec-b", typ, &platform_claims(json!({})))), typ);
    }
}

/// The audience is the server's issuer where none is registered.
#[test]
fn a_federation_without_audience_takes_the_issuer() {
    let server = serving([federated(json!({ "federated": [federation(json!({ "audience": null }))] }))]);
    assert_granted(&server, &asking_as("f", &platform(json!({ "aud": ISSUER }))), "the issuer");
    assert_refused(&server, &asking_as("f", &platform(json!({}))), "another");
}

/// Keyed with the federation's public key, or with the client's own secret: no MAC passes.
#[test]
// req: AS-025
fn a_federated_mac_is_refused_even_where_the_client_has_a_secret() {
    let secrets = json!([{ "mac_key": KEYS["hs-32"]["k"] }]);
    let methods = json!(["private_key_jwt", "client_secret_jwt"]);
    let server = serving([federated(json!({ "token_endpoint_auth_method": methods, "client_secrets": secrets }))]);
    assert_refused(
        &server,
        &asking_as("f", &jwt(Algorithm::HS256, "hs-32", "", &platform_claims(json!({})))),
        "the secret",
    );
    let public = jwks("ec-b")["keys"][0].to_string();
    let key = EncodingKey::from_secret(public.as_bytes());
    let mac = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &platform_claims(json!({})), &key).unwrap();
    assert_refused(&server, &asking_as("f", &mac), "the public key");
    assert_granted(&server, &asking_as("f", &platform(json!({}))), "the issuer's signature");
}

#[test]
fn a_federation_can_be_for_one_use() {
    let once = federated(json!({ "federated": [federation(json!({ "one_time": true }))] }));
    let server = serving([once]);
    for jti in [Value::Null, json!(""), json!(7), json!("j".repeat(257))] {
        assert_refused(&server, &asking_as("f", &platform(json!({ "jti": jti.clone() }))), &format!("jti {jti}"));
    }
    let sent = asking_as("f", &platform(json!({ "jti": "1" })));
    let wrong_scope = with(&platform(json!({ "jti": "1" })), "grant_type=client_credentials&client_id=f&scope=admin");
    assert_eq!(ask(&server, &wrong_scope), (400, "invalid_scope".into()));
    assert_eq!(granted_of_300(&[&server], &sent), 1);
    assert_refused(&server, &sent, "again");
    assert_granted(&server, &asking_as("f", &platform(json!({ "jti": "2" }))), "another");
}

#[test]
fn one_jti_of_two_issuers_is_two_values() {
    let other = json!({ "issuer": "https://ci.example.com", "jwks": jwks("ed-b"), "one_time": true });
    let issuers = json!([federation(json!({ "one_time": true })), federation(other)]);
    let server = serving([federated(json!({ "federated": issuers, "jwks": jwks("ec-a") }))]);
    let of_other = platform_claims(json!({ "iss": "https://ci.example.com", "jti": "1" }));
    let of_other = asking_as("f", &jwt(Algorithm::EdDSA, "ed-b", "", &of_other));
    let of_client = asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("f", "1", json!({}))));
    for sent in [&asking_as("f", &platform(json!({ "jti": "1" }))), &of_other, &of_client] {
        assert_granted(&server, sent, "first");
        assert_refused(&server, sent, "again");
    }
    let crossed = platform_claims(json!({ "iss": "https://ci.example.com", "jti": "2" }));
    assert_refused(&server, &asking_as("f", &jwt(Algorithm::ES256, "ec-b", "", &crossed)), "by the other issuer's key");
}

#[test]
fn a_client_signs_for_itself_beside_a_federation_only_with_keys_of_its_own() {
    let own = |jti: &str, key: &str| jwt(Algorithm::ES256, key, "JWT", &claims("f", jti, json!({})));
    let with_keys = serving([federated(json!({ "jwks": jwks("ec-a") }))]);
    assert_granted(&with_keys, &asking(&own("1", "ec-a")), "its key");
    assert_refused(&with_keys, &asking(&own("1", "ec-a")), "again");
    assert_granted(&with_keys, &asking_as("f", &platform(json!({}))), "the platform's");
    assert_refused(&with_keys, &asking(&own("2", "ec-b")), "iss = sub = client_id by the platform's key");
    assert_refused(
        &with_keys,
        &asking_as("f", &jwt(Algorithm::ES256, "ec-a", "", &platform_claims(json!({})))),
        "the platform's claims by its own key",
    );
    let without = serving([federated(json!({}))]);
    for key in ["ec-a", "ec-b"] {
        assert_refused(&without, &asking(&own("1", key)), key);
        assert_refused(&without, &asking_as("f", &own("1", key)), key);
    }
}

/// An issuer of the client's own name would make the issuer's word the client's: reusable, for longer, without a `client_id`.
#[test]
fn an_issuer_is_not_called_like_the_client() {
    let named = federation(json!({ "issuer": "f", "subject": "f", "claims": {}, "audience": null }));
    for own in [Value::Null, jwks("ec-a")] {
        let client = federated(json!({ "jwks": own, "federated": [named.clone()] }));
        assert_eq!(faults(&client), ["federated[0]"]);
        let server = serving([client]);
        for jti in [Value::Null, json!("1")] {
            let forged = jwt(Algorithm::ES256, "ec-b", "", &claims("f", "", json!({ "jti": jti })));
            assert_refused(&server, &asking(&forged), "by the issuer's key");
            assert_refused(&server, &asking_as("f", &forged), "by the issuer's key");
        }
    }
    let mut client = federated(json!({}));
    client.federated.push(FederatedIssuer::new("f", "f"));
    assert!(faults(&client).contains(&"federated[1]".to_owned()), "however it was made");
}

#[test]
fn a_federated_client_is_private_key_jwt_by_default() {
    let client = federated(json!({ "token_endpoint_auth_method": null }));
    assert!(faults(&client).is_empty());
    assert_eq!(client.token_endpoint_auth_method, ["private_key_jwt".into()]);
    assert_granted(&serving([client]), &asking_as("f", &platform(json!({}))), "by default");
    let with_secret = federated(json!({ "token_endpoint_auth_method": null, "client_secret": "the secret" }));
    assert_eq!(with_secret.token_endpoint_auth_method, ["client_secret_basic".into()], "a secret is there for Basic");
    assert_eq!(faults(&with_secret), ["federated"]);
}

/// One subject of several is the client's; the same pair twice would leave one of them without effect.
#[test]
fn an_issuer_may_have_several_subjects() {
    let issuers = json!([federation(json!({})), federation(json!({ "subject": "second", "one_time": true }))]);
    let server = serving([federated(json!({ "federated": issuers }))]);
    assert_granted(&server, &asking_as("f", &platform(json!({}))), "the first");
    assert_granted(&server, &asking_as("f", &platform(json!({ "sub": "second", "jti": "1" }))), "the second");
    assert_refused(&server, &asking_as("f", &platform(json!({ "sub": "second" }))), "by its own rules");
    let twice = federated(json!({ "federated": [federation(json!({})), federation(json!({ "claims": {} }))] }));
    assert_eq!(faults(&twice), ["federated[1]"]);
}

// Size.

#[test]
// req: SE-011
fn what_is_large_or_deep_is_refused_before_a_client_is_looked_up() {
    let server = serving([own()]);
    let sized = |octets: usize| asking(&format!("{}.e30.e30", "e".repeat(octets - 8)));
    let deep = claims(
        "c",
        "1",
        json!({ "x": serde_json::from_str::<Value>(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap() }),
    );
    let many: Value = (0..2000).map(|at| (at.to_string(), json!(at))).collect();
    let cases = [
        (sized(16 * 1024), "malformed"),
        (sized(16 * 1024 + 1), "over 16 KiB"),
        (asking(&"a.".repeat(30_000)), "over 16 KiB"),
        (asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &deep)), "too deep"),
        (
            asking(&jwt(Algorithm::ES256, "ec-a", &"t".repeat(5000), &claims("c", "1", json!({})))),
            "header is over 4 KiB",
        ),
        (asking(&jwt(Algorithm::ES256, "ec-a", "JWT", &claims("c", "1", json!({ "x": many })))), "over 16 KiB"),
    ];
    for (sent, problem) in cases {
        let reason = reason(&server, &sent);
        assert!(reason.contains(problem), "{reason}");
    }
}
