//! What becomes of a token: who is told about it (RFC 7662), who may end it (RFC 7009).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "where a test cannot go on it has failed")]

mod support;

use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationDetails, AuthorizationServer, Client, ClientStore, Confirmation, Event, Grant, Inserted,
    IntrospectionRequest, Outcome, Reason, Record, RecordKey, RevocationRequest, StoreError, Thumbprint, Timestamp,
    TokenError, TokenRequest, TokenStore, introspect_token, revoke_token,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::*;

const SECRET: &str = "a long secret";
const A: &str = "https://a.example.com";
const B: &str = "https://b.example.com";
const INACTIVE: &[u8] = br#"{"active":false}"#;

/// A client for `write` by Basic with the secret [`SECRET`] and the members given here.
fn registered(client_id: &str, members: Value) -> Client {
    let mut all = json!({ "client_id": client_id, "client_secret": SECRET, "scope": "write", "grant_types": ["client_credentials"] });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    client(all)
}

/// A server of two resources whose clients are `owner`, `stranger`, and `inspector`, which may introspect everything.
fn serving() -> Server {
    serving_at(TestClock::at(NOW))
}

fn serving_at(clock: TestClock) -> Server {
    let clients = [
        registered("owner", json!({})),
        registered("stranger", json!({})),
        registered("inspector", json!({ "may_introspect": true, "grant_types": [] })),
    ];
    server_at(config(json!({ "resources": [A, B] })), clients, clock)
}

/// A request about a token, by a client with the secret [`SECRET`].
fn about(token: &str, by: &str) -> Sent {
    Sent::form(format!("token={token}"))
        .basic(&form_urlencoded::byte_serialize(by.as_bytes()).collect::<String>(), SECRET)
}

fn issued(server: &Server, client_id: &str, more: &str) -> String {
    let sent = Sent::form(format!("grant_type=client_credentials&scope=write{more}")).basic(client_id, SECRET);
    let answer = token(server, &sent);
    assert_eq!(answer.status, 200, "{}", answer.error());
    answer.text("access_token")
}

/// Whether the client is told that the token is active.
fn sees(server: &Server, client_id: &str, token: &str) -> bool {
    let answer = introspect(server, &about(token, client_id));
    assert_eq!(answer.status, 200, "{client_id}");
    let is_active = answer.json()["active"].as_bool().unwrap();
    assert!(is_active || answer.body == INACTIVE, "an inactive token has one answer");
    is_active
}

/// A token of `owner` whose grant was edited between the stages.
fn edited(server: &Server, edit: impl FnOnce(&mut Grant)) -> String {
    let sent = Sent::form("grant_type=client_credentials&scope=write").basic("owner", SECRET);
    let request = TokenRequest::parse(sent.parts()).unwrap();
    let client = run(server.authenticate(request.credentials())).unwrap();
    let mut grant = server.authorize(&client, &request).unwrap();
    edit(&mut grant);
    run(server.issue(client, grant)).unwrap().access_token.expose().to_owned()
}

// Introspection: who is told.

#[test]
// req: IN-001, IN-007, IN-010, IN-027, IN-030
fn the_owner_the_audience_and_the_inspector_are_told() {
    let server = serving();
    let callers = [
        ("owner", json!({})),
        ("stranger", json!({})),
        ("of A", json!({ "audience": [A] })),
        ("of B and another", json!({ "audience": ["https://c.example.com", B] })),
        (B, json!({})),                              // named by its client_id
        ("asks for A", json!({ "resources": [A] })), // what it may ask for is not what it is
        ("near A", json!({ "audience": ["https://a.example.com/", "https://A.example.com", "a.example.com", ""] })),
        ("inspector", json!({ "may_introspect": true })),
    ];
    for (client_id, members) in &callers {
        let members = if *client_id == "owner" { json!({}) } else { members.clone() };
        server.clients().insert(registered(client_id, members));
    }
    for (resource, told) in [
        ("", vec!["owner", "inspector"]),
        ("&resource=https://a.example.com", vec!["owner", "of A", "inspector"]),
        ("&resource=https://b.example.com", vec!["owner", "of B and another", B, "inspector"]),
        (
            "&resource=https://a.example.com&resource=https://b.example.com",
            vec!["owner", "of A", "of B and another", B, "inspector"],
        ),
    ] {
        let token = issued(&server, "owner", resource);
        let seen: Vec<&str> = callers.iter().map(|(id, _)| *id).filter(|id| sees(&server, id, &token)).collect();
        assert_eq!(seen, told, "{resource:?}");
    }
}

#[test]
// req: IN-002, RV-002
fn nobody_is_told_or_obeyed_without_authentication() {
    let server = serving();
    let token = issued(&server, "owner", "");
    server.clients().insert(registered("disabled", json!({ "disabled": true, "may_introspect": true })));
    for sent in [
        Sent::form(format!("token={token}")),
        Sent::form(format!("token={token}&client_id=owner")),
        Sent::form(format!("token={token}")).basic("owner", "wrong"),
        Sent::form(format!("token={token}")).header("Authorization", format!("Bearer {token}")),
        about(&token, "nobody"),
        about(&token, "disabled"),
        Sent::form(format!("token={token}&client_id=stranger")).basic("owner", SECRET),
    ] {
        for answer in [introspect(&server, &sent), revoke(&server, &sent)] {
            assert_eq!(answer.outcome(), (401, "invalid_client".into()));
            assert!(answer.json().get("active").is_none() && answer.header("WWW-Authenticate").is_some());
        }
    }
    assert!(sees(&server, "owner", &token), "still active");
}

#[test]
// req: IN-003, RV-003, IN-016, RV-016
fn the_token_stands_once_and_is_not_empty() {
    let server = serving();
    let token = issued(&server, "owner", "");
    for body in [
        String::new(),
        "token=".to_owned(),
        "token".to_owned(),
        "Token=x&access_token=x".to_owned(),
        format!("token={token}&token={token}"),
        format!("token=&token={token}"),
        format!("token={token}&tok%65n="),
        format!("token={token}&token_type_hint=a&token_type_hint=a"),
        format!("token={token}&client_id=owner&client_id=owner"),
    ] {
        let sent = Sent::form(&*body).basic("owner", SECRET);
        for answer in [introspect(&server, &sent), revoke(&server, &sent)] {
            assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{body}");
        }
    }
    assert!(sees(&server, "owner", &token), "still active");
}

#[test]
// req: IN-015, RV-011
fn a_token_is_neither_read_from_a_query_nor_by_another_method() {
    let server = serving();
    let token = issued(&server, "owner", "");
    let query = format!("token={token}");
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let sent = Sent { method: method.into(), query: query.clone(), ..about(&token, "owner") };
        for answer in [introspect(&server, &sent), revoke(&server, &sent)] {
            assert_eq!((answer.status, answer.header("Allow")), (405, Some("POST")), "{method}");
        }
    }
    let sent = Sent { query, body: Vec::new(), ..about("", "owner") };
    for answer in [introspect(&server, &sent), revoke(&server, &sent)] {
        assert_eq!(answer.outcome(), (400, "invalid_request".into()));
    }
    assert!(sees(&server, "owner", &token), "still active");
}

#[test]
// req: IN-009, RV-008, RV-012
fn hints_and_unknown_parameters_change_nothing() {
    let server = serving();
    for more in [
        "token_type_hint=access_token",
        "token_type_hint=refresh_token",
        "token_type_hint=foo",
        "token_type_hint=",
        "callback=x&callback=y",
        "resource=x",
    ] {
        let token = issued(&server, "owner", "");
        let sent = Sent::form(format!("{more}&token={token}")).basic("owner", SECRET);
        assert_eq!(introspect(&server, &sent).json()["active"], true, "{more}");
        let answer = revoke(&server, &sent);
        assert_eq!((answer.status, &*answer.body), (200, &b"{}"[..]), "{more}: plain, no script");
        assert_eq!(introspect(&server, &sent).body, INACTIVE, "{more}");
    }
}

// Introspection: what is told.

#[test]
// req: IN-004, IN-005, IN-006, IN-007, IN-008, IN-022, RV-001
fn every_inactive_token_has_the_same_answer() {
    let clock = TestClock::at(NOW);
    let server = serving_at(clock.clone());
    let live = issued(&server, "owner", "");
    let short = edited(&server, |grant| grant.lifetime = 60);
    let revoked = issued(&server, "owner", "");
    assert_eq!(revoke(&server, &about(&revoked, "owner")).status, 200);
    let of = |id: &str| {
        server.clients().insert(registered(id, json!({})));
        issued(&server, id, "")
    };
    let (of_disabled, of_deleted, of_faulty, of_ended) = (of("disabled"), of("deleted"), of("faulty"), of("ended"));
    server.clients().insert(registered("disabled", json!({ "disabled": true })));
    server.clients().remove("deleted");
    server.clients().insert(registered("faulty", json!({ "scop": "write" })));
    server.clients().insert(registered("ended", json!({ "tokens_not_before": NOW + 1 })));
    clock.advance(60);
    let prefix = &live[..live.len() - 1];
    let longer = format!("{live}A");
    let other_case: String =
        live.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect();
    let long = "x".repeat(20_000);
    let cases = [
        ("unknown", "2YotnFZFEjr1zCsicMWpAA"),
        ("expired", &*short),
        ("revoked", &*revoked),
        ("of a disabled client", &*of_disabled),
        ("of a deleted client", &*of_deleted),
        ("of a faulty client", &*of_faulty),
        ("of a client whose tokens were ended", &*of_ended),
        ("cut", prefix),
        ("with more behind it", &*longer),
        ("in another case", &*other_case),
        ("too long", &*long),
        ("with spaces", "+x+"),
        ("a JWT", "e30.e30.e30"),
        ("control characters", "%00%0D%0A"),
        ("not ASCII", "%C3%A9"),
    ];
    let expected = introspect(&server, &about(&live, "stranger"));
    assert_eq!((expected.status, &*expected.body), (200, INACTIVE), "a foreign one");
    for (case, token) in cases {
        assert_eq!(introspect(&server, &about(token, "inspector")), expected, "{case}");
    }
    assert!(sees(&server, "inspector", &live));
}

#[test]
// req: IN-011, IN-012, IN-013, TO-015, SE-017
fn an_active_token_is_described_in_full() {
    let server = serving();
    let with_everything = issued(&server, "owner", "&resource=https://a.example.com");
    let answer = introspect(&server, &about(&with_everything, "inspector")).json();
    let jti = answer["jti"].as_str().unwrap();
    assert!(jti.len() >= 22 && !with_everything.contains(jti), "{jti}");
    assert_eq!(
        answer,
        json!({
            "active": true, "scope": "write", "client_id": "owner", "sub": "owner", "token_type": "Bearer", "aud": A,
            "iss": "https://as.example.com", "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "jti": jti,
        })
    );
    assert!(["iat", "nbf", "exp"].iter().all(|name| answer[name].is_u64()), "integers: {answer}");
    let (one, other) = (issued(&server, "owner", ""), issued(&server, "owner", ""));
    let [one, other] = [one, other].map(|token| introspect(&server, &about(&token, "owner")).json());
    assert_ne!(one["jti"], other["jti"]);
    assert!(one.get("aud").is_none() && one.get("username").is_none(), "{one}");
    let scopeless = edited(&server, |grant| grant.scope = client_credentials::Scope::default());
    let answer = introspect(&server, &about(&scopeless, "owner")).json();
    assert!(answer["active"] == true && answer.get("scope").is_none(), "{answer}");
}

#[test]
// req: DP-029, MT-012, IN-023
fn a_key_and_details_that_were_granted_are_told() {
    let server = serving();
    let thumbprint = || Thumbprint::from_bytes([0xA5; 32]);
    let text = thumbprint().to_string();
    for (confirmation, cnf, token_type) in [
        (Confirmation::Jkt(thumbprint()), json!({ "jkt": text }), "DPoP"),
        (Confirmation::X5tS256(thumbprint()), json!({ "x5t#S256": text }), "Bearer"),
    ] {
        let token = edited(&server, |grant| grant.confirmation = Some(confirmation));
        let answer = introspect(&server, &about(&token, "owner")).json();
        assert_eq!((&answer["cnf"], &answer["token_type"]), (&cnf, &token_type.into()));
    }
    let details = json!([{ "type": "payment", "limit": { "amount": "10.00" } }, { "type": "account" }]);
    let token =
        edited(&server, |grant| grant.authorization_details = Some(AuthorizationDetails::new(&details).unwrap()));
    assert_eq!(introspect(&server, &about(&token, "owner")).json()["authorization_details"], details);
    for bad in [json!([]), json!({}), json!([{}]), json!([{ "type": 7 }]), json!(["payment"]), json!(null)] {
        assert!(AuthorizationDetails::new(&bad).is_err(), "{bad}");
    }
}

#[test]
fn claims_of_the_embedders_own_are_told_behind_the_protocols() {
    let server = serving();
    let token = edited(&server, |grant| {
        grant.claims.insert("tenant", "blue").unwrap();
        grant.claims.insert("limits", json!({ "rate": 10 })).unwrap();
    });
    let answer = introspect(&server, &about(&token, "inspector")).json();
    assert_eq!((&answer["tenant"], &answer["limits"]["rate"]), (&"blue".into(), &10.into()));
    assert!(!sees(&server, "stranger", &token), "to those who may know");
}

// The client behind the token.

#[test]
// req: IN-022
fn a_token_lives_and_dies_with_its_client() {
    let server = serving();
    let token = issued(&server, "owner", "");
    for (members, is_active) in [
        (json!({ "disabled": true }), false),
        (json!({ "scop": "write" }), false),
        (json!({}), true), // enabled again
        (json!({ "grant_types": [] }), true),
        (json!({ "scope": "read" }), true), // what was granted stays granted
        (json!({ "client_secret": "another secret" }), true),
        (json!({ "token_endpoint_auth_method": "client_secret_post" }), true),
    ] {
        server.clients().insert(registered("owner", members.clone()));
        assert_eq!(sees(&server, "inspector", &token), is_active, "{members}");
    }
    server.clients().remove("owner");
    assert!(!sees(&server, "inspector", &token), "removed");
}

#[test]
// req: IN-022
fn tokens_not_before_ends_every_token_that_was_issued_earlier() {
    let clock = TestClock::at(NOW);
    let server = serving_at(clock.clone());
    clock.set_millis(NOW * 1000 + 700);
    let early = issued(&server, "owner", "");
    clock.set_millis((NOW + 1) * 1000);
    let late = issued(&server, "owner", "");
    for (moment, early_lives, late_lives) in [
        (json!(null), true, true),
        (json!(NOW), true, true), // issued in that second: it counts as issued at its beginning
        (json!("2026-01-01T00:00:00.500Z"), false, true),
        (json!(NOW + 1), false, true), // "the next full second"
        (json!(NOW + 2), false, false),
        (json!("2030-01-01T00:00:00Z"), false, false),
    ] {
        server.clients().insert(registered("owner", json!({ "tokens_not_before": moment })));
        assert_eq!(
            [sees(&server, "owner", &early), sees(&server, "owner", &late)],
            [early_lives, late_lives],
            "{moment}"
        );
        assert_eq!([sees(&server, "inspector", &early), sees(&server, "inspector", &late)], [early_lives, late_lives]);
    }
    server.clients().insert(registered("owner", json!({ "tokens_not_before": NOW + 1 })));
    assert!(sees(&server, "owner", &issued(&server, "owner", "")), "new ones are good");
}

/// A client store that finds a client by any case of its id, and fails for the id `down`.
struct Folding(MemoryClientStore);

impl ClientStore for Folding {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        if client_id == "down" {
            return Err(StoreError::new(std::io::Error::other("the disk is gone")));
        }
        Ok(self.0.get(&client_id.to_lowercase()))
    }
}

#[test]
// req: IN-022, ER-008
fn the_owner_is_the_one_client_that_the_token_names() {
    let tokens = Arc::new(MemoryTokenStore::default());
    let issuing = server(config(json!({})), [registered("Owner", json!({})), registered("down", json!({}))]);
    let issuing =
        AuthorizationServer::new(issuing.config().clone(), Arc::clone(issuing.clients()), Arc::clone(&tokens)).unwrap();
    let [of_owner, of_down] = ["Owner", "down"].map(|id| issued(&issuing, id, ""));
    let clients = [registered("owner", json!({})), registered("inspector", json!({ "may_introspect": true }))];
    let server = AuthorizationServer::new(config(json!({})), Folding(clients.into_iter().collect()), tokens).unwrap();
    let ask = |token: &str| {
        let sent = about(token, "inspector");
        run(introspect_token(&server, &IntrospectionRequest::parse(sent.parts()).unwrap()))
    };
    assert!(!ask(&of_owner).unwrap().is_active(), "`owner` is not `Owner`");
    let error = ask(&of_down).unwrap_err();
    assert_eq!((error.status(), error.code().as_str()), (503, "temporarily_unavailable"), "not known is not inactive");
}

// Revocation.

#[test]
// req: RV-001, RV-004, RV-005, RV-013, RV-017
fn a_client_ends_its_own_token_and_may_say_so_again() {
    let clock = TestClock::at(NOW);
    let server = serving_at(clock.clone());
    let (token, other) = (issued(&server, "owner", ""), issued(&server, "owner", ""));
    let expired = edited(&server, |grant| grant.lifetime = 1);
    clock.advance(1);
    for gone in [&*token, &*token, &*expired, "unknown", "e30.e30.e30", "%00"] {
        let answer = revoke(&server, &about(gone, "owner"));
        assert_eq!((answer.status, &*answer.body), (200, &b"{}"[..]), "{gone}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
    }
    assert!(!sees(&server, "owner", &token) && !sees(&server, "inspector", &token));
    assert!(sees(&server, "owner", &other), "no other token of the client is touched");
}

#[test]
// req: RV-006
fn the_token_of_another_client_stays_active() {
    let server = serving();
    let token = issued(&server, "owner", "&resource=https://a.example.com");
    server.clients().insert(registered("of A", json!({ "audience": [A] })));
    for client_id in ["stranger", "inspector", "of A"] {
        let answer = revoke(&server, &about(&token, client_id));
        assert_eq!(answer.outcome(), (400, "unauthorized_client".into()), "{client_id}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(&token));
    }
    assert!(sees(&server, "owner", &token));
    // One that is past belongs to nobody any more.
    assert_eq!(revoke(&server, &about(&token, "owner")).status, 200);
    assert_eq!(revoke(&server, &about(&token, "stranger")).status, 200);
}

#[test]
fn a_client_that_lost_the_grant_may_still_ask_about_and_end_its_tokens() {
    let server = serving();
    let token = issued(&server, "owner", "");
    server.clients().insert(registered("owner", json!({ "grant_types": [] })));
    assert!(sees(&server, "owner", &token));
    assert_eq!(revoke(&server, &about(&token, "owner")).status, 200);
    assert!(!sees(&server, "inspector", &token));
}

#[test]
// req: RV-007
fn a_revocation_is_seen_at_once_by_another_server_on_the_store() {
    let one = serving();
    let other =
        AuthorizationServer::new(one.config().clone(), Arc::clone(one.clients()), Arc::clone(one.tokens())).unwrap();
    let other = other.with_clock(TestClock::at(NOW));
    let token = issued(&one, "owner", "");
    assert!(sees(&other, "owner", &token), "nothing is kept in the server");
    assert_eq!(revoke(&other, &about(&token, "owner")).status, 200);
    assert!(!sees(&one, "owner", &token) && !sees(&other, "owner", &token));
}

/// A token store that can be told to fail, and counts its writes.
#[derive(Default)]
struct Failing {
    tokens: MemoryTokenStore,
    get: AtomicBool,
    remove: AtomicBool,
    writes: AtomicUsize,
}

impl Failing {
    fn check(is_down: &AtomicBool) -> Result<(), StoreError> {
        let error = || StoreError::new(std::io::Error::other("db.internal: no route"));
        if is_down.load(Ordering::SeqCst) {
            Err(error().with_retry_after(std::time::Duration::from_secs(5)))
        } else {
            Ok(())
        }
    }
}

impl TokenStore for Failing {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.tokens.insert(records, now).await
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Self::check(&self.get)?;
        self.tokens.get(key).await
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Self::check(&self.remove)?;
        self.tokens.remove(key).await
    }
}

#[test]
// req: RV-014, ER-008
fn a_store_that_fails_is_never_reported_as_a_revocation_or_an_answer() {
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&events);
    let server =
        AuthorizationServer::new(config(json!({})), Arc::clone(serving().clients()), Failing::default()).unwrap();
    let server =
        server.with_clock(TestClock::at(NOW)).on_event(move |event| log.lock().unwrap().push(event.to_string()));
    let sent = Sent::form("grant_type=client_credentials&scope=write").basic("owner", SECRET);
    let request = TokenRequest::parse(sent.parts()).unwrap();
    let issued = run(client_credentials::issue_client_credentials_token(&server, &request)).unwrap();
    let token = issued.access_token.expose();
    let sent = about(token, "owner");
    let is_active = || {
        run(introspect_token(&server, &IntrospectionRequest::parse(sent.parts()).unwrap())).map(|told| told.is_active())
    };
    let revoke = || run(revoke_token(&server, &RevocationRequest::parse(sent.parts()).unwrap())).map(|_| ());
    let assert_down = |error: TokenError| {
        let answer = Answer::from(error);
        assert_eq!(
            (answer.outcome(), answer.header("Retry-After")),
            ((503, "temporarily_unavailable".into()), Some("5"))
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains("internal"));
        let told = events.lock().unwrap().pop().unwrap();
        assert!(told.contains("outcome=refused") && told.contains("cause=\"db.internal: no route\""), "{told}");
    };
    server.tokens().remove.store(true, Ordering::SeqCst);
    assert_down(revoke().unwrap_err());
    assert!(is_active().unwrap(), "it says so because it is so");
    server.tokens().get.store(true, Ordering::SeqCst);
    assert_down(revoke().unwrap_err());
    assert_down(is_active().unwrap_err());
    server.tokens().get.store(false, Ordering::SeqCst);
    server.tokens().remove.store(false, Ordering::SeqCst);
    revoke().unwrap();
    assert!(!is_active().unwrap());
}

#[test]
fn introspection_writes_nothing_and_revocation_only_what_is_there() {
    let server =
        AuthorizationServer::new(config(json!({})), Arc::clone(serving().clients()), Failing::default()).unwrap();
    for (token, by) in [("unknown", "owner"), ("unknown", "inspector"), ("x.y.z", "stranger")] {
        let sent = about(token, by);
        run(introspect_token(&server, &IntrospectionRequest::parse(sent.parts()).unwrap())).unwrap();
        run(revoke_token(&server, &RevocationRequest::parse(sent.parts()).unwrap())).unwrap();
    }
    assert_eq!(server.tokens().writes.load(Ordering::SeqCst), 0, "no list of tokens that never were");
}

// What the operator sees.

#[test]
// req: SE-018, IN-028, SE-004
fn the_events_of_a_token_share_its_jti_and_never_show_it() {
    type Told = (String, Option<String>, String);
    let events: Arc<Mutex<Vec<Told>>> = Arc::default();
    let log = Arc::clone(&events);
    let server = serving().on_event(move |event: &Event<'_>| {
        let (kind, jti) = match event.outcome {
            Outcome::Issued { jti, .. } => ("issued", Some(jti)),
            Outcome::Introspected { active: true, jti } => ("active", jti),
            Outcome::Introspected { active: false, jti } => ("inactive", jti),
            Outcome::Revoked { jti } => ("revoked", jti),
            Outcome::Refused(error) => match error.reason() {
                Reason::NotTheOwner => ("not the owner", None),
                _ => ("refused", None),
            },
            _ => ("unknown", None),
        };
        let line = format!("{event} {event:?}");
        log.lock().unwrap().push((kind.to_owned(), jti.map(str::to_owned), line));
    });
    let token = issued(&server, "owner", "");
    let described = introspect(&server, &about(&token, "inspector")).json();
    sees(&server, "stranger", &token);
    revoke(&server, &about(&token, "stranger"));
    revoke(&server, &about(&token, "owner"));
    revoke(&server, &about(&token, "owner"));
    sees(&server, "owner", &token);
    introspect(&server, &about(&token, "nobody"));
    let events = events.lock().unwrap();
    let kinds: Vec<&str> = events.iter().map(|(kind, ..)| kind.as_str()).collect();
    let expected = ["issued", "active", "inactive", "not the owner", "revoked", "revoked", "inactive", "refused"];
    assert_eq!(kinds, expected, "one for each decision");
    let jtis: Vec<Option<&str>> = events.iter().map(|(_, jti, _)| jti.as_deref()).collect();
    let jti = described["jti"].as_str();
    assert_eq!(jtis, [jti, jti, None, None, jti, None, None, None], "nothing is told of what may not be seen");
    for (.., line) in events.iter() {
        assert!(!line.contains(&token) && !line.contains(SECRET), "{line}");
        assert!(line.contains("issuer=https://as.example.com"), "{line}");
    }
    for (at, endpoint) in [(1, "introspection"), (4, "revocation"), (7, "introspection")] {
        assert!(events[at].2.starts_with(&format!("endpoint={endpoint} ")), "{}", events[at].2);
    }
    assert!(!described.to_string().contains(&token), "the answer does not repeat it either");
}
