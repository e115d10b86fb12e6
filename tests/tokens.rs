//! Tokens and the stores behind them: what is minted, how long it lives, what happens when a store or a source fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "where a test cannot go on it has failed")]

mod support;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{Capacity, MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AccessTokenFormat, AuthenticatedClient, AuthorizationServer, Claims, Client, ClientStore, Config, Confirmation,
    Grant, Inserted, IntrospectionRequest, RandomError, RandomSource, Reason, Record, RecordKey, RecordValue,
    RevocationRequest, StoreError, Thumbprint, Timestamp, TokenError, TokenRequest, TokenStore, introspect_token,
    issue_client_credentials_token, revoke_token,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;
use support::*;

const BODY: &str = "grant_type=client_credentials&scope=write";
const SECRET: &str = "a long secret";

/// A client for `write` by Basic with the secret [`SECRET`] and the members given here.
fn registered(client_id: &str, members: Value) -> Client {
    let mut all = json!({ "client_id": client_id, "client_secret": SECRET, "scope": "write", "grant_types": ["client_credentials"] });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    client(all)
}

fn by(client_id: &str) -> Sent {
    Sent::form(BODY).basic(client_id, SECRET)
}

/// The token endpoint of a server on any stores.
fn ask<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, sent: &Sent) -> Answer {
    let issued = TokenRequest::parse(sent.parts()).and_then(|it| run(issue_client_credentials_token(server, &it)));
    issued.map_or_else(Answer::from, |granted| Answer { status: 200, headers: Vec::new(), body: granted.body() })
}

/// What introspection says to the token's own client.
fn described<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, client_id: &str, token: &str) -> Value {
    let sent = Sent::form(format!("token={token}")).basic(client_id, SECRET);
    let request = IntrospectionRequest::parse(sent.parts()).unwrap();
    serde_json::from_slice(&run(introspect_token(server, &request)).unwrap().body()).unwrap()
}

fn issued<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, client_id: &str) -> String {
    let answer = ask(server, &by(client_id));
    assert_eq!(answer.status, 200, "{}", answer.error());
    answer.text("access_token")
}

fn clients(of: impl IntoIterator<Item = Client>) -> Arc<MemoryClientStore> {
    Arc::new(of.into_iter().collect())
}

/// A server on a token store of the test's, whose clock stands at [`NOW`]; its clients are `a` and `b`.
fn on<T: TokenStore>(tokens: T) -> AuthorizationServer<Arc<MemoryClientStore>, T> {
    let clients = clients([registered("a", json!({})), registered("b", json!({}))]);
    AuthorizationServer::new(config(json!({})), clients, tokens).unwrap().with_clock(TestClock::at(NOW))
}

/// The stages up to the grant, for a client that the test vouches for.
fn granted<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    client: Client,
    once: &[(&str, Timestamp)],
) -> (AuthenticatedClient, Grant) {
    let sent = Sent::form(BODY);
    let client = server.vouch_for(client.into(), once).unwrap();
    let grant = server.authorize(&client, &TokenRequest::parse(sent.parts()).unwrap()).unwrap();
    (client, grant)
}

/// One token for `client_id`, bought with values that are good for an hour.
fn buy<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    client_id: &str,
    once: &[&str],
) -> Result<String, TokenError> {
    let once: Vec<_> = once.iter().map(|value| (*value, Timestamp::from_secs(NOW + 3600))).collect();
    let (client, grant) = granted(server, registered(client_id, json!({})), &once);
    Ok(run(server.issue(client, grant))?.access_token.expose().to_owned())
}

// What is minted.

#[test]
// req: TO-001, TO-002, TO-004, TO-005, TO-020, SC-017, SC-020
fn an_answer_has_four_members_and_no_more() {
    let server = server(config(json!({})), [registered("a", json!({ "scope": "write openid offline_access" }))]);
    for scope in ["write", "openid offline_access"] {
        let sent = Sent::form(format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+")));
        let answer = ask(&server, &sent.basic("a", SECRET));
        let token = answer.text("access_token");
        let expected =
            format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600,"scope":"{scope}"}}"#);
        assert_eq!(String::from_utf8(answer.body).unwrap(), expected, "to the octet: nothing null, nothing twice");
    }
}

#[test]
// req: TO-003, TO-022
fn expires_in_is_the_floor_of_what_is_left() {
    for (milliseconds, expires_in) in [(0, 3600), (1, 3599), (500, 3599), (999, 3599), (1000, 3600)] {
        let clock = TestClock::at(NOW);
        clock.set_millis(NOW * 1000 + milliseconds);
        let server = server_at(config(json!({})), [registered("a", json!({}))], clock);
        let answer = ask(&server, &by("a"));
        assert_eq!(answer.json()["expires_in"], expires_in, "{milliseconds}");
        let described = described(&server, "a", &answer.text("access_token"));
        let iat = NOW + milliseconds / 1000;
        assert_eq!((&described["iat"], &described["exp"]), (&iat.into(), &(iat + 3600).into()), "{milliseconds}");
    }
}

#[test]
// req: TO-006, TO-007, TO-016
fn a_token_is_random_text_that_says_nothing() {
    for prefix in ["", "as_example-1.0~"] {
        let config = config(json!({ "access_token_prefix": prefix }));
        let server = server(config, [registered("a", json!({}))]);
        let tokens: Vec<String> = (0..64).map(|_| issued(&server, "a")).collect();
        let mut octets: Vec<Vec<u8>> = Vec::new();
        for token in &tokens {
            let random = token.strip_prefix(prefix).unwrap();
            let is_fit = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
            assert!(random.len() == 43 && token.bytes().all(is_fit), "{token}");
            octets.push(URL_SAFE_NO_PAD.decode(random).unwrap());
        }
        for at in 0..32 {
            let distinct: HashSet<u8> = octets.iter().map(|octets| octets[at]).collect();
            assert!(distinct.len() > 16, "octet {at} is not random");
        }
    }
    // Neither client nor scope is in it, in any reading.
    let long = "c".repeat(8);
    let server = server(config(json!({})), [registered(&long, json!({}))]);
    let token = issued(&server, &long);
    let octets = URL_SAFE_NO_PAD.decode(&token).unwrap();
    for hidden in [long.as_bytes(), b"write"] {
        assert!(!octets.windows(hidden.len()).any(|part| part == hidden));
        assert!(!token.as_bytes().windows(hidden.len()).any(|part| part == hidden));
    }
}

/// A random source whose octets the test chooses; without any it fails.
#[derive(Clone, Default)]
struct Chosen(Arc<Mutex<Vec<[u8; 32]>>>);

impl Chosen {
    fn of(octets: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let mut octets: Vec<_> = octets.into_iter().collect();
        octets.reverse();
        Self(Arc::new(Mutex::new(octets)))
    }
}

impl RandomSource for Chosen {
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError> {
        octets.copy_from_slice(&self.0.lock().unwrap().pop().ok_or_else(RandomError::default)?);
        Ok(())
    }
}

#[test]
// req: TO-007, TO-009
fn each_request_gets_all_of_32_new_octets() {
    let server = on(MemoryTokenStore::default()).with_random(Chosen::of([[0; 32], [0xff; 32]]));
    let tokens = [issued(&server, "a"), issued(&server, "a")];
    assert_eq!(tokens, [[0; 32], [0xff; 32]].map(|octets| URL_SAFE_NO_PAD.encode(octets)));
    for token in &tokens {
        assert_eq!(described(&server, "a", token)["active"], true, "both are active");
    }
}

#[test]
#[ignore = "run by `two_processes_get_different_tokens`"]
fn print_a_token_and_a_secret() {
    let server = server(config(json!({})), [registered("a", json!({}))]);
    let (client, secret) = Client::generate().unwrap();
    println!("drawn: {} {} {}", issued(&server, "a"), client.client_id, secret.expose());
}

#[test]
// req: SE-006
fn two_processes_get_different_tokens() {
    let draw = || {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output =
            command.args(["--exact", "print_a_token_and_a_secret", "--ignored", "--nocapture"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, drawn) = text.split_once("drawn: ").unwrap_or_else(|| panic!("{text}"));
        drawn.split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    let (first, second) = (draw(), draw());
    assert_eq!((first.len(), second.len()), (3, 3));
    assert!(first.iter().zip(&second).all(|(one, other)| one != other), "{first:?} {second:?}");
}

// How long it lives.

#[test]
// req: TO-010, TO-011, TO-013, TO-018, TO-021, TO-022, SE-021
fn a_token_lives_from_its_issue_to_its_last_millisecond() {
    for (of_server, of_client, lifetime) in [
        (None, None, 3600), // the default is at most an hour
        (Some(60), None, 60),
        (Some(3600), Some(120), 120),
        (Some(60), Some(7200), 7200),
        (Some(1), None, 1),
        (None, Some(315_360_000), 315_360_000),
    ] {
        let mut settings = json!({});
        if let Some(seconds) = of_server {
            settings["access_token_lifetime"] = json!(seconds);
        }
        let members = of_client.map_or_else(|| json!({}), |seconds: u64| json!({ "access_token_lifetime": seconds }));
        let clock = TestClock::at(NOW);
        let server = server_at(config(settings), [registered("a", members)], clock.clone());
        let answer = ask(&server, &by("a"));
        assert_eq!(answer.json()["expires_in"], lifetime);
        let token = answer.text("access_token");
        assert_eq!(described(&server, "a", &token)["active"], true, "at once");
        assert_eq!(described(&server, "a", &token)["exp"], NOW + lifetime);
        clock.set_millis((NOW + lifetime) * 1000 - 1);
        assert_eq!(described(&server, "a", &token)["active"], true, "in its last millisecond");
        clock.set_millis((NOW + lifetime) * 1000);
        assert_eq!(described(&server, "a", &token), json!({ "active": false }), "no skew in its favour");
    }
}

#[test]
// req: TO-013, SE-021
fn the_server_judges_expiry_and_not_the_store() {
    let clock = TestClock::at(NOW);
    let server = on(MemoryTokenStore::default()).with_clock(clock.clone());
    let token = issued(&server, "a");
    clock.advance(3600);
    assert_eq!(server.tokens().len(), 1, "the store has it still");
    assert_eq!(described(&server, "a", &token), json!({ "active": false }));
}

#[test]
fn the_end_of_time_is_no_panic() {
    for milliseconds in [0, 999, u64::MAX - 1000, u64::MAX] {
        let clock = TestClock::at(0);
        clock.set_millis(milliseconds);
        let server = on(MemoryTokenStore::default()).with_clock(clock);
        let answer = ask(&server, &by("a"));
        assert_eq!(answer.status, 200);
        assert!(answer.json()["expires_in"].as_u64().unwrap() <= 3600, "{milliseconds}");
    }
}

// The grant between the stages.

#[test]
fn a_grant_is_issued_to_the_client_and_by_the_server_it_was_made_for() {
    let (one, other) = (on(MemoryTokenStore::default()), on(MemoryTokenStore::default()));
    let realm = AuthorizationServer::new(
        one.config().for_realm("/alpha"),
        MemoryClientStore::default(),
        MemoryTokenStore::default(),
    )
    .unwrap();
    let is_foreign = |issued: Result<_, TokenError>| {
        let error = issued.map(|_: client_credentials::TokenResponse| ()).unwrap_err();
        assert!(matches!(error.reason(), Reason::ForeignGrant), "{error}");
        assert_eq!((error.status(), error.code().as_str()), (500, "server_error"));
    };
    let of = |server: &AuthorizationServer<_, _>, id: &str| granted(server, registered(id, json!({})), &[]);
    is_foreign(run(one.issue(of(&one, "a").0, of(&one, "b").1)));
    is_foreign(run(one.issue(of(&one, "a").0, of(&other, "a").1)));
    is_foreign(run(one.issue(of(&other, "a").0, of(&one, "a").1)));
    let (client, grant) = of(&one, "a");
    is_foreign(run(other.issue(client, grant)));
    let (client, grant) = granted(&realm, registered("a", json!({ "default_scope": "write" })), &[]);
    is_foreign(run(one.issue(client, grant)));
    // Nor does one server decide about what another has authenticated.
    let (foreign, _) = of(&other, "a");
    let sent = Sent::form(BODY);
    let decided = one.authorize(&foreign, &TokenRequest::parse(sent.parts()).unwrap());
    if let Ok(grant) = decided {
        is_foreign(run(one.issue(foreign, grant)));
    }
    assert!(one.tokens().is_empty() && other.tokens().is_empty() && realm.tokens().is_empty());
    let (client, grant) = of(&one, "a");
    assert!(run(one.issue(client, grant)).is_ok());
}

#[test]
// req: TO-014
fn an_edited_lifetime_stays_within_bounds() {
    let server = on(MemoryTokenStore::default());
    let issue_for = |lifetime: u64| {
        let (client, mut grant) = granted(&server, registered("a", json!({})), &[]);
        grant.lifetime = lifetime;
        run(server.issue(client, grant)).map(|response| response.expires_in)
    };
    for lifetime in [1, 60, 315_360_000] {
        assert_eq!(issue_for(lifetime).unwrap(), lifetime);
    }
    assert_eq!(server.tokens().len(), 3);
    for lifetime in [0, 315_360_001, u64::MAX] {
        let error = issue_for(lifetime).unwrap_err();
        assert!(matches!(error.reason(), Reason::InvalidGrant(_)) && error.status() == 500, "{lifetime}: {error}");
    }
    let (client, mut grant) = granted(&server, registered("a", json!({})), &[]);
    grant.format = AccessTokenFormat::Jwt;
    let error = run(server.issue(client, grant)).unwrap_err();
    assert_eq!(error.status(), 500, "a format that the server has no key for, or no code: {error}");
    assert_eq!(server.tokens().len(), 3, "nothing of it was stored");
}

#[test]
// req: TO-015
fn claims_add_to_a_token_and_change_nothing_of_it() {
    let server = on(MemoryTokenStore::default());
    let (client, mut grant) = granted(&server, registered("a", json!({})), &[]);
    let reserved =
        "iss sub aud exp nbf iat jti active scope client_id username token_type cnf authorization_details act";
    for name in reserved.split(' ') {
        let refused = grant.claims.insert(name, "forged").unwrap_err();
        assert_eq!(refused.0, name);
    }
    assert!(grant.claims.is_empty());
    grant.claims.insert("tenant", "blue").unwrap();
    grant.claims.insert("tenant", json!({ "name": "red" })).unwrap();
    grant.claims.insert("Sub", [1, 2]).unwrap();
    let token = run(server.issue(client, grant)).unwrap().access_token.expose().to_owned();
    let described = described(&server, "a", &token);
    assert_eq!((&described["tenant"], &described["Sub"]), (&json!({ "name": "red" }), &json!([1, 2])));
    assert_eq!((&described["sub"], &described["client_id"]), (&"a".into(), &"a".into()));
    // What somebody wrote into the store does not pass either.
    let claims: Claims = serde_json::from_value(json!({ "sub": "b", "active": false, "tenant": "blue" })).unwrap();
    assert_eq!(claims.names().collect::<Vec<_>>(), ["tenant"]);
    assert_eq!(claims.get::<String>("tenant").as_deref(), Some("blue"));
}

#[test]
fn a_claim_that_a_store_smuggles_in_is_not_told() {
    let server = on(Recorder::default());
    let token = issued(&server, "a");
    let [record] = &server.tokens().written()[..] else { panic!("one record") };
    let mut stored = serde_json::to_value(record).unwrap();
    stored["value"]["access_token"]["claims"] = json!({ "sub": "b", "scope": "admin", "exp": 0, "tenant": "blue" });
    run(server.tokens().0.remove(&record.key)).unwrap();
    let stored: Record = serde_json::from_value(stored).unwrap();
    assert_eq!(run(server.tokens().0.insert(&[stored], Timestamp::from_secs(NOW))).unwrap(), Inserted::All);
    let sent = Sent::form(format!("token={token}")).basic("a", SECRET);
    let body = run(introspect_token(&server, &IntrospectionRequest::parse(sent.parts()).unwrap())).unwrap().body();
    let body = String::from_utf8(body).unwrap();
    for name in ["\"sub\"", "\"scope\"", "\"exp\"", "\"tenant\""] {
        assert_eq!(body.matches(name).count(), 1, "{body}");
    }
    assert!(body.contains("\"sub\":\"a\"") && body.contains("\"scope\":\"write\""), "{body}");
}

// What is stored.

/// A store that remembers what was written to it, and how often.
#[derive(Default)]
struct Recorder(MemoryTokenStore, Mutex<Vec<Vec<Record>>>);

impl Recorder {
    fn written(&self) -> Vec<Record> {
        self.1.lock().unwrap().concat()
    }
    fn writes(&self) -> usize {
        self.1.lock().unwrap().len()
    }
}

impl TokenStore for Recorder {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        self.1.lock().unwrap().push(records.to_vec());
        self.0.insert(records, now).await
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.0.get(key).await
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.0.remove(key).await
    }
}

#[test]
// req: ST-001, SE-004
fn a_dump_of_the_store_has_no_token_secret_or_voucher() {
    let server = on(Recorder::default());
    let tokens = [issued(&server, "a"), issued(&server, "b"), buy(&server, "a", &["voucher-4711"]).unwrap()];
    let dump = serde_json::to_string(&server.tokens().written()).unwrap();
    assert_eq!(server.tokens().written().len(), 4);
    for token in &tokens {
        let octets = URL_SAFE_NO_PAD.decode(token).unwrap();
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let digest = server.tokens().written().iter().map(|record| *record.key.as_bytes()).collect::<Vec<_>>();
        assert!(!dump.contains(token.as_str()) && !dump.contains(&hex), "{dump}");
        assert!(digest.iter().all(|key| key[..] != octets[..]), "the key is a digest");
    }
    for secret in [SECRET, "voucher-4711"] {
        assert!(!dump.contains(secret) && !dump.contains(&URL_SAFE_NO_PAD.encode(secret)), "{dump}");
    }
}

#[test]
fn records_survive_a_store_that_keeps_text() {
    let server = on(Recorder::default());
    let (client, mut grant) =
        granted(&server, registered("a", json!({})), &[("voucher", Timestamp::from_millis(NOW * 1000 + 60_001))]);
    grant.audience = ["https://a.example.com", "urn:b"].into_iter().collect();
    grant.claims.insert("tenant", "blue").unwrap();
    grant.confirmation = Some(Confirmation::Jkt(Thumbprint::from_bytes([7; 32])));
    grant.authorization_details =
        Some(client_credentials::AuthorizationDetails::new(json!([{ "type": "x" }])).unwrap());
    run(server.issue(client, grant)).unwrap();
    issued(&server, "b");
    let written = server.tokens().written();
    let text = serde_json::to_string(&written).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Record>>(&text).unwrap(), written);
    for record in &written {
        assert_eq!(record.expires_at.as_millis() % 1000, 0, "always a whole second");
        assert_eq!(Record::new(record.key, record.expires_at, record.value.clone()), *record, "made of its parts");
    }
    let untyped = text.replace(r#"[{"type":"x"}]"#, "[{}]");
    assert!(serde_json::from_str::<Vec<Record>>(&untyped).is_err(), "what was never granted is not read back");
}

#[test]
// req: ST-010, TO-018
fn an_issue_is_one_write_of_everything_it_needs() {
    let server = on(Recorder::default());
    buy(&server, "a", &["one", "two"]).unwrap();
    let writes = server.tokens().1.lock().unwrap().clone();
    assert_eq!(writes.iter().map(Vec::len).collect::<Vec<_>>(), [3], "two values and the token");
    let refused = ask(&server, &Sent::form(BODY).basic("a", "wrong"));
    assert_eq!((refused.status, server.tokens().writes()), (401, 1), "a refusal writes nothing");
}

/// Stores of an embedder's own: ordered maps behind a lock.
#[derive(Default)]
struct OwnClients(BTreeMap<String, Arc<Client>>);

impl ClientStore for OwnClients {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        Ok(self.0.get(client_id).cloned())
    }
}

#[derive(Default)]
struct OwnTokens(Mutex<BTreeMap<[u8; 32], Record>>);

impl TokenStore for OwnTokens {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        let mut map = self.0.lock().unwrap();
        for record in records {
            if map.get(record.key.as_bytes()).is_some_and(|stands| stands.expires_at > now) {
                return Ok(Inserted::Exists(record.key));
            }
        }
        map.extend(records.iter().map(|record| (*record.key.as_bytes(), record.clone())));
        Ok(Inserted::All)
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.0.lock().unwrap().get(key.as_bytes()).cloned())
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        Ok(self.0.lock().unwrap().remove(key.as_bytes()).is_some())
    }
}

#[test]
// req: ST-002, ST-018
fn stores_of_an_embedders_own_need_no_runtime() {
    let own = OwnClients([("a".to_owned(), Arc::new(registered("a", json!({}))))].into());
    // Behind a pointer of any kind; the futures are polled by hand, on a thread without any runtime.
    let server = AuthorizationServer::new(config(json!({})), Box::new(own), Arc::new(OwnTokens::default())).unwrap();
    let token = issued(&server, "a");
    assert_eq!(described(&server, "a", &token)["active"], true);
    let sent = Sent::form(format!("token={token}")).basic("a", SECRET);
    run(revoke_token(&server, &RevocationRequest::parse(sent.parts()).unwrap())).unwrap();
    assert_eq!(described(&server, "a", &token), json!({ "active": false }));
    let borrowed = AuthorizationServer::new(config(json!({})), server.clients(), server.tokens()).unwrap();
    assert_eq!(described(&borrowed, "a", &issued(&borrowed, "a"))["active"], true);
}

#[test]
// req: ST-003
fn the_stores_in_memory_come_with_the_crate() {
    let server = AuthorizationServer::new(
        Config::new("https://as.example.com"),
        [registered("a", json!({}))].into_iter().collect::<MemoryClientStore>(),
        MemoryTokenStore::default(),
    )
    .unwrap();
    assert_eq!(described(&server, "a", &issued(&server, "a"))["client_id"], "a", "with the system's clock, too");
}

// What fails.

/// Stores that fail on demand, and say much about their insides when they do.
#[derive(Default)]
struct Failing {
    clients: MemoryClientStore,
    tokens: MemoryTokenStore,
    client: AtomicBool,
    insert: AtomicBool,
    get: AtomicBool,
    remove: AtomicBool,
    retry_after: Duration,
}

impl Failing {
    fn check(&self, is_down: &AtomicBool) -> Result<(), StoreError> {
        let inside = "SELECT * FROM tokens: postgres://admin:hunter2@db.internal/tokens: connection\r\nrefused";
        let error = || StoreError::new(std::io::Error::other(inside)).with_retry_after(self.retry_after);
        if is_down.load(Ordering::SeqCst) { Err(error()) } else { Ok(()) }
    }
}

impl ClientStore for Failing {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        self.check(&self.client)?;
        self.clients.client(client_id).await
    }
}

impl TokenStore for Failing {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        self.check(&self.insert)?;
        self.tokens.insert(records, now).await
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.check(&self.get)?;
        self.tokens.get(key).await
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.check(&self.remove)?;
        self.tokens.remove(key).await
    }
}

fn assert_unavailable(answer: &Answer, retry_after: &str) {
    assert_eq!(answer.outcome(), (503, "temporarily_unavailable".into()));
    assert_eq!(answer.header("Retry-After"), Some(retry_after));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(answer.json().as_object().unwrap().len(), 2, "error and error_description");
    let said = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
    for inside in ["SELECT", "postgres", "hunter2", "internal", "refused", "Error"] {
        assert!(!said.contains(inside), "{said}");
    }
}

#[test]
// req: TO-019, ST-009, ER-008, HT-005
fn a_store_that_fails_is_a_503_and_no_token() {
    for (retry_after, header) in [(0, "1"), (400, "1"), (7_000, "7"), (7_900, "7")] {
        let stores = Arc::new(Failing { retry_after: Duration::from_millis(retry_after), ..Failing::default() });
        stores.clients.insert(registered("a", json!({})));
        let events: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&events);
        let server = AuthorizationServer::new(config(json!({})), Arc::clone(&stores), Arc::clone(&stores)).unwrap();
        let server = server.on_event(move |event| log.lock().unwrap().push(event.to_string()));
        for (switch, reason) in
            [(&stores.client, "the client store failed"), (&stores.insert, "the token store failed")]
        {
            switch.store(true, Ordering::SeqCst);
            for client_id in ["a", "nobody"] {
                let answer = ask(&server, &by(client_id));
                let down_for_it = client_id == "a" || reason.contains("client");
                if down_for_it {
                    assert_unavailable(&answer, header);
                    let told = events.lock().unwrap().pop().unwrap();
                    assert!(
                        told.contains(&format!("reason=\"{reason}\" cause=\"SELECT")),
                        "the operator is told: {told}"
                    );
                    assert!(!told.contains(['\r', '\n']), "on one line: {told:?}");
                } else {
                    assert_eq!(answer.status, 401, "it never came to that");
                }
            }
            switch.store(false, Ordering::SeqCst);
            assert!(stores.tokens.is_empty(), "nothing was stored");
        }
        assert_eq!(ask(&server, &by("a")).status, 200, "the server goes on");
    }
}

#[test]
// req: TO-019, ST-009, ER-008
fn a_random_source_that_fails_is_a_503_and_no_token() {
    let server = on(MemoryTokenStore::default()).with_random(Chosen::of([[1; 32]]));
    assert_eq!(ask(&server, &by("a")).status, 200);
    assert_unavailable(&ask(&server, &by("a")), "1");
    assert_eq!(server.tokens().len(), 1);
    let error = buy(&server, "a", &["voucher"]).unwrap_err();
    assert!(matches!(error.reason(), Reason::Random(_)), "{error}");
    assert_eq!(server.tokens().len(), 1, "the voucher was not spent");
}

#[test]
// req: ST-009, ST-007
fn a_failed_write_spends_nothing() {
    let stores = Arc::new(Failing::default());
    let server = AuthorizationServer::new(config(json!({})), Arc::clone(&stores), Arc::clone(&stores)).unwrap();
    let server = server.with_clock(TestClock::at(NOW));
    stores.insert.store(true, Ordering::SeqCst);
    assert_eq!(buy(&server, "a", &["one", "two"]).unwrap_err().status(), 503);
    stores.insert.store(false, Ordering::SeqCst);
    assert!(buy(&server, "a", &["one", "two"]).is_ok(), "both values may be sent again");
    assert_eq!(buy(&server, "a", &["one", "two"]).unwrap_err().status(), 401);
}

/// A store that says of the first keys that they stand, and counts the attempts.
#[derive(Default)]
struct Collides(MemoryTokenStore, usize, AtomicUsize);

impl TokenStore for Collides {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        if self.2.fetch_add(1, Ordering::SeqCst) < self.1 {
            return Ok(Inserted::Exists(records.last().unwrap().key));
        }
        self.0.insert(records, now).await
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.0.get(key).await
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.0.remove(key).await
    }
}

#[test]
// req: TO-025
fn a_key_that_stands_already_means_another_draw_and_soon_a_500() {
    let octets = || Chosen::of((1..=9).map(|octet| [octet; 32]));
    let server = on(Collides(MemoryTokenStore::default(), 1, AtomicUsize::new(0))).with_random(octets());
    let token = issued(&server, "a");
    assert_eq!(token, URL_SAFE_NO_PAD.encode([2; 32]), "the first draw was thrown away");
    assert_eq!(described(&server, "a", &token)["active"], true);
    let server = on(Collides(MemoryTokenStore::default(), usize::MAX, AtomicUsize::new(0))).with_random(octets());
    let answer = ask(&server, &by("a"));
    assert_eq!((answer.outcome(), answer.text("access_token")), ((500, "server_error".into()), String::new()));
    assert!(server.tokens().2.load(Ordering::SeqCst) <= 5, "it gives up soon");
    // A value used before is told from a collision, and draws no second token.
    let server = on(Recorder::default());
    buy(&server, "a", &["voucher"]).unwrap();
    assert!(matches!(buy(&server, "a", &["voucher"]).unwrap_err().reason(), Reason::AlreadyUsed));
    assert_eq!(server.tokens().writes(), 2);
}

#[test]
// req: TO-025
fn a_source_that_repeats_itself_gives_nobody_the_token_of_another() {
    let clock = TestClock::at(NOW);
    let server = on(MemoryTokenStore::default()).with_clock(clock.clone()).with_random(Chosen::of([[7; 32]; 12]));
    let token = issued(&server, "a");
    let answer = ask(&server, &by("b"));
    assert_eq!((answer.outcome(), answer.text("access_token")), ((500, "server_error".into()), String::new()));
    assert_eq!(described(&server, "a", &token)["client_id"], "a", "the old record is as it was");
    assert_eq!(described(&server, "b", &token), json!({ "active": false }));
    // An expired record does not stand in the way.
    clock.advance(3600);
    assert_eq!(issued(&server, "b"), token);
    assert_eq!(described(&server, "b", &token)["client_id"], "b");
}

/// A store that answers every look-up with the same record.
struct Confused(MemoryTokenStore, Mutex<Option<Record>>);

impl TokenStore for Confused {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        *self.1.lock().unwrap() = records.last().cloned();
        self.0.insert(records, now).await
    }
    async fn get(&self, _: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.1.lock().unwrap().clone())
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.0.remove(key).await
    }
}

#[test]
fn a_record_under_another_key_is_not_believed() {
    let server = on(Confused(MemoryTokenStore::default(), Mutex::default()));
    let token = issued(&server, "a");
    assert_eq!(described(&server, "a", &token)["active"], true);
    assert_eq!(described(&server, "a", "another-token"), json!({ "active": false }));
}

// One-time values.

#[test]
// req: ST-007
fn all_values_of_a_request_are_spent_together_or_not_at_all() {
    let server = on(MemoryTokenStore::default());
    buy(&server, "a", &["used"]).unwrap();
    for bundle in [["fresh", "used"], ["used", "fresh"]] {
        assert!(matches!(buy(&server, "a", &bundle).unwrap_err().reason(), Reason::AlreadyUsed), "{bundle:?}");
    }
    assert_eq!(server.tokens().len(), 2, "nothing was added");
    assert!(buy(&server, "a", &["fresh"]).is_ok(), "still unused");
    assert!(buy(&server, "a", &["fresh"]).is_err());
    assert_eq!(buy(&server, "a", &["twice", "twice"]).unwrap_err().status(), 401, "one value does not count as two");
}

#[test]
// req: ST-008, ST-016
fn a_value_is_used_up_for_one_client_of_one_realm() {
    let tokens = Arc::new(MemoryTokenStore::default());
    let root = on(Arc::clone(&tokens));
    let alpha =
        AuthorizationServer::new(root.config().for_realm("/alpha"), Arc::clone(root.clients()), Arc::clone(&tokens))
            .unwrap();
    let alpha = alpha.with_clock(TestClock::at(NOW));
    for server in [&root, &alpha] {
        for client_id in ["a", "b"] {
            assert!(buy(server, client_id, &["the same"]).is_ok(), "{} {client_id}", server.config().issuer);
        }
    }
    for server in [&root, &alpha] {
        for client_id in ["a", "b"] {
            assert!(buy(server, client_id, &["the same"]).is_err(), "{} {client_id}", server.config().issuer);
        }
    }
    // No way of cutting id and value makes two pairs meet.
    assert!(buy(&root, "ab", &["c"]).is_ok() && buy(&root, "a", &["bc"]).is_ok());
    // A value is no token, whatever it looks like.
    buy(&root, "a", &["a-value"]).unwrap();
    assert_eq!(described(&root, "a", "a-value"), json!({ "active": false }));
    let token = issued(&root, "a");
    assert!(buy(&root, "a", &[&token]).is_ok(), "and a token is no value");
}

// The store in memory.

/// A one-time record as a store gets it.
fn one_time(key: [u8; 32], expires_at: u64) -> Record {
    Record::new(RecordKey::from_bytes(key), Timestamp::from_secs(expires_at), RecordValue::OneTime)
}

/// A key of a number, spread like a digest.
fn key(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    for (at, part) in key.chunks_mut(8).enumerate() {
        let word = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(13 * at as u32) ^ at as u64;
        part.copy_from_slice(&word.to_le_bytes());
    }
    key
}

#[test]
// req: ST-009, ST-012
fn at_its_bound_the_store_refuses_a_new_token_and_drops_no_live_one() {
    let clock = TestClock::at(NOW);
    let tokens = MemoryTokenStore::with_capacity(Capacity::default().with_tokens(3).with_one_time(3));
    let server = on(tokens).with_clock(clock.clone());
    let first: Vec<String> = (0..3).map(|_| issued(&server, "a")).collect();
    for _ in 0..5 {
        assert_unavailable(&ask(&server, &by("b")), "10");
    }
    clock.set_millis((NOW + 3600) * 1000 - 1);
    assert_unavailable(&ask(&server, &by("b")), "10");
    for token in &first {
        assert_eq!(described(&server, "a", token)["active"], true);
    }
    // What is past makes room, without anybody cleaning up.
    clock.advance(1);
    let second: Vec<String> = (0..3).map(|_| issued(&server, "b")).collect();
    assert_unavailable(&ask(&server, &by("a")), "10");
    assert!(second.iter().all(|token| described(&server, "b", token)["active"] == true));
    assert_eq!(server.tokens().len(), 3);
    // So does a revocation.
    let sent = Sent::form(format!("token={}", second[0])).basic("b", SECRET);
    run(revoke_token(&server, &RevocationRequest::parse(sent.parts()).unwrap())).unwrap();
    issued(&server, "a");
}

#[test]
// req: ST-009, ST-007, ST-012
fn one_time_values_have_a_bound_of_their_own() {
    let tokens = MemoryTokenStore::with_capacity(Capacity::default().with_tokens(100).with_one_time(2));
    let server = on(tokens);
    for value in ["one", "two"] {
        buy(&server, "a", &[value]).unwrap();
    }
    let error = buy(&server, "a", &["three"]).unwrap_err();
    assert!(matches!(error.reason(), Reason::TokenStore(_)) && error.status() == 503, "{error}");
    assert_eq!(server.tokens().len(), 4, "no token without its value");
    assert_eq!(buy(&server, "a", &["one"]).unwrap_err().status(), 503, "none was dropped: no replay");
    issued(&server, "a");
    // And a bound of tokens leaves no value behind.
    let server = on(MemoryTokenStore::with_capacity(Capacity::default().with_tokens(0).with_one_time(100)));
    assert_eq!(buy(&server, "a", &["one"]).unwrap_err().status(), 503);
    assert!(server.tokens().is_empty());
}

#[test]
// req: ST-012
fn what_has_expired_makes_room_for_values_too() {
    let store = MemoryTokenStore::with_capacity(Capacity::default().with_tokens(0).with_one_time(64));
    let insert = |numbers: std::ops::Range<u64>, now: u64| {
        let records: Vec<Record> = numbers.map(|number| one_time(key(number), now + 600)).collect();
        run(store.insert(&records, Timestamp::from_secs(now)))
    };
    assert_eq!(insert(0..64, NOW).unwrap(), Inserted::All);
    assert!(insert(64..65, NOW).is_err());
    assert!(insert(64..65, NOW + 599).is_err());
    assert_eq!(insert(64..128, NOW + 600).unwrap(), Inserted::All);
    assert_eq!(store.len(), 64);
    // A record that stands does not lose its place to a refused insert, however often that is tried.
    for _ in 0..200 {
        assert!(matches!(insert(127..128, NOW + 600), Err(_) | Ok(Inserted::Exists(_))));
    }
    assert_eq!(store.len(), 64);
}

#[test]
// req: ST-011, ST-012
fn cleaning_up_removes_what_is_past_and_nothing_else() {
    let store = MemoryTokenStore::default();
    for number in 0..1000 {
        let ends = if number % 2 == 0 { NOW + 60 } else { NOW + 120 };
        assert_eq!(
            run(store.insert(&[one_time(key(number), ends)], Timestamp::from_secs(NOW))).unwrap(),
            Inserted::All
        );
    }
    let server = on(store);
    let token = issued(&server, "a");
    let store = server.tokens();
    assert_eq!(store.remove_expired(Timestamp::from_millis((NOW + 60) * 1000 - 1)), 0);
    assert_eq!((store.remove_expired(Timestamp::from_secs(NOW + 60)), store.len()), (500, 501));
    for number in 0..1000 {
        let stands = run(store.get(&RecordKey::from_bytes(key(number)))).unwrap().is_some();
        assert_eq!(stands, number % 2 == 1, "{number}");
    }
    assert_eq!((store.remove_expired(Timestamp::from_secs(NOW + 120)), store.len()), (500, 1));
    assert_eq!(described(&server, "a", &token)["active"], true);
    assert_eq!((store.remove_expired(Timestamp::from_secs(NOW + 3600)), store.len()), (1, 0));
    assert!(store.is_empty());
}

#[test]
// req: ST-011
fn the_store_does_not_grow_with_what_is_past() {
    let store = MemoryTokenStore::default();
    // Forty generations of tokens, each gone when the next comes; nobody calls for a clean-up.
    for generation in 0..40_u64 {
        let now = NOW + generation * 60;
        for number in 0..10_000 {
            let record = one_time(key(generation * 10_000 + number), now + 60);
            assert_eq!(run(store.insert(&[record], Timestamp::from_secs(now))).unwrap(), Inserted::All);
        }
    }
    assert!(store.len() < 100_000, "{} of 400000 records are left, 10000 of them alive", store.len());
}

#[test]
// req: ST-006
fn of_many_that_write_one_value_one_succeeds() {
    for round in 0..20 {
        let store = MemoryTokenStore::default();
        let all_at_once = Barrier::new(32);
        let won = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let record = one_time(key(round), NOW + 60);
                    all_at_once.wait();
                    match run(store.insert(&[record], Timestamp::from_secs(NOW))).unwrap() {
                        Inserted::All => _ = won.fetch_add(1, Ordering::SeqCst),
                        Inserted::Exists(stands) => assert_eq!(*stands.as_bytes(), key(round)),
                    }
                });
            }
        });
        assert_eq!((won.into_inner(), store.len()), (1, 1));
    }
}

#[test]
// req: ST-007, ST-010, ST-006
fn several_records_are_written_all_or_none_under_contention() {
    const BATCHES: u64 = 64;
    let store = MemoryTokenStore::default();
    // Batches of eight keys of a common hundred and one of its own, in an order of its own; the end tells who wrote it.
    let keys_of = |batch: u64| (0..8).map(move |at| (batch * 7 + at * (batch % 5 * 2 + 3)) % 100).chain([1000 + batch]);
    let all_at_once = Barrier::new(BATCHES as usize);
    let outcomes: Vec<Inserted> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..BATCHES)
            .map(|batch| {
                let (store, all_at_once) = (&store, &all_at_once);
                scope.spawn(move || {
                    let records: Vec<Record> =
                        keys_of(batch).map(|number| one_time(key(number), NOW + 1 + batch)).collect();
                    all_at_once.wait();
                    run(store.insert(&records, Timestamp::from_secs(NOW))).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
    for (batch, outcome) in (0..BATCHES).zip(&outcomes) {
        match outcome {
            Inserted::All => {
                for number in keys_of(batch) {
                    assert!(expected.insert(number, NOW + 1 + batch).is_none(), "key {number} was written twice");
                }
            }
            Inserted::Exists(stands) => assert!(keys_of(batch).any(|number| key(number) == *stands.as_bytes())),
        }
    }
    assert!(expected.len() >= 9 && expected.len() < 9 * BATCHES as usize, "some won and some lost");
    for number in (0..100).chain(1000..1000 + BATCHES) {
        let found = run(store.get(&RecordKey::from_bytes(key(number)))).unwrap();
        assert_eq!(found.map(|record| record.expires_at.as_secs()), expected.get(&number).copied(), "key {number}");
    }
    assert_eq!(store.len(), expected.len(), "what is counted is what is there");
}

#[test]
// req: ST-017, TO-009
fn a_thousand_parallel_requests_get_a_thousand_tokens_of_the_right_clients() {
    let ids: Vec<String> = (0..10).map(|number| format!("client {number}")).collect();
    let registrations = ids.iter().map(|id| registered(id, json!({ "scope": format!("write of:{}", id.len()) })));
    let server = server(config(json!({})), registrations);
    let all_at_once = Barrier::new(10);
    let tokens: Vec<(String, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = ids
            .iter()
            .map(|first| {
                let (server, ids, all_at_once) = (&server, &ids, &all_at_once);
                scope.spawn(move || {
                    all_at_once.wait();
                    // Each thread takes the clients in turn, from another one on, so that neighbours differ.
                    let turn = ids.iter().cycle().skip_while(|id| *id != first).take(100);
                    turn.map(|id| (id.clone(), issued(server, id))).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: HashSet<&str> = tokens.iter().map(|(_, token)| token.as_str()).collect();
    assert_eq!((distinct.len(), server.tokens().len()), (1000, 1000));
    for (id, token) in &tokens {
        let described = described(&server, id, token);
        assert_eq!((&described["active"], &described["client_id"]), (&true.into(), &json!(id)));
    }
}

#[test]
// req: ST-017
fn the_store_keeps_every_record_as_it_was_written_however_alike_they_are() {
    let clock = TestClock::at(NOW);
    let server = on(Recorder::default()).with_clock(clock.clone());
    // Many clients, and for each of them tokens that differ in one thing.
    let registrations: Vec<Client> =
        (0..3000).map(|number| registered(&format!("client {number}"), json!({}))).collect();
    for round in 0..2 {
        for registration in registrations.iter().skip(round * 2500) {
            let issue = |edit: fn(&mut Grant)| {
                let (client, mut grant) = granted(&server, registration.clone(), &[]);
                edit(&mut grant);
                run(server.issue(client, grant)).unwrap();
            };
            issue(|_| ());
            issue(|grant| grant.scope = "other".parse().unwrap()); // as long as `write`
            issue(|grant| grant.audience = ["https://a.example.com"].into_iter().collect());
            issue(|grant| grant.audience = ["https://b.example.com"].into_iter().collect());
            issue(|grant| grant.lifetime = 60);
            issue(|grant| grant.claims.insert("tenant", "blue").unwrap());
            issue(|grant| grant.confirmation = Some(Confirmation::Jkt(Thumbprint::from_bytes([7; 32]))));
        }
        clock.advance(1);
    }
    let written = server.tokens().written();
    assert_eq!((written.len(), server.tokens().0.len()), (24_500, 24_500));
    for record in written {
        assert_eq!(run(server.tokens().get(&record.key)).unwrap(), Some(record));
    }
}
