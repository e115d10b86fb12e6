//! Every case of `token_response.json`: the members and header fields of an answer (RFC 6749 §5.1, §5.2).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{Capacity, MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationDetails, AuthorizationServer, Client, ClientStore, Confirmation, ErrorCode, Inserted, RandomError,
    RandomSource, Record, RecordKey, Scope, StoreError, Thumbprint, Timestamp, TokenRequest, TokenStore,
    issue_client_credentials_token,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use support::*;

/// The cases of one kind.
fn cases(kind: &str) -> Vec<Value> {
    let vectors = vectors("token_response.json");
    let cases: Vec<Value> = vectors["cases"].as_array().unwrap().to_vec();
    let known = |case: &Value| ["issued", "error", "description"].into_iter().any(|kind| case["kind"] == kind);
    assert!(cases.iter().all(known), "a kind without a test");
    cases.into_iter().filter(|case| case["kind"] == kind).collect()
}

/// Exact values, but for `Content-Type`, of which the media type counts.
fn check_headers(name: &Value, expected: &Value, answer: &Answer) {
    for (field, value) in expected.as_object().unwrap() {
        let found = answer.header(field).unwrap_or_else(|| panic!("{name}: no {field}"));
        let found = if field == "Content-Type" { found.split(';').next().unwrap().trim() } else { found };
        assert_eq!(value, found, "{name}: {field}");
    }
}

/// A random source that always gives the same octets.
struct Always([u8; 32]);

impl RandomSource for Always {
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError> {
        octets.copy_from_slice(&self.0);
        Ok(())
    }
}

#[test]
// req: TO-001, TO-002, TO-003, TO-004, TO-005, TO-022, SC-017, SC-020, SC-029, HT-005, HT-006, RA-002, MT-015
fn issued() {
    let cases = cases("issued");
    assert_eq!(cases.len(), 15);
    for case in &cases {
        let (name, input, expect) = (&case["name"], &case["input"], &case["expect"]);
        let milliseconds = |member: &str| input[member].as_u64().unwrap();
        let (now, end) = (milliseconds("now_ms") / 1000, milliseconds("expires_at_ms") / 1000);
        let octets = URL_SAFE_NO_PAD.decode(input["access_token"].as_str().unwrap()).unwrap();
        let clock = TestClock::at(0);
        clock.set_millis(milliseconds("now_ms"));
        let server = server_at(config(json!({})), [my_client()], clock).with_random(Always(octets.try_into().unwrap()));

        let sent = Sent::form("grant_type=client_credentials&scope=write").basic("myClient", "mySecret");
        let request = TokenRequest::parse(sent.parts()).unwrap();
        let client = run(server.authenticate(request.credentials())).unwrap();
        let mut grant = server.authorize(&client, &request).unwrap();
        grant.lifetime = end - now; // from the second that has begun
        let scope = input["scope"].as_array().unwrap().iter().map(|token| token.as_str().unwrap());
        grant.scope = Scope::from_tokens(scope).unwrap();
        grant.confirmation = serde_json::from_value(input["confirmation"].clone()).unwrap();
        if input["token_type"] == "DPoP" {
            grant.confirmation = Some(Confirmation::Jkt(Thumbprint::from_bytes([7; 32])));
        }
        let details = input.get("authorization_details");
        grant.authorization_details = details.map(|details| AuthorizationDetails::new(details).unwrap());
        let granted = run(server.issue(client, grant)).unwrap();

        assert_eq!(expect["status"], granted.status(), "{name}");
        let headers = granted.headers().map(|(field, value)| (field.to_owned(), value.into_owned())).collect();
        let answer = Answer { status: granted.status(), headers, body: granted.body() };
        check_headers(name, &expect["headers"], &answer);
        assert_eq!(answer.json(), expect["body"], "{name}: exactly these members");
        for member in expect["absent"].as_array().unwrap() {
            assert_eq!(answer.json().get(member.as_str().unwrap()), None, "{name}: {member}");
        }
        let form = format!("token={}", answer.text("access_token"));
        let told = introspect(&server, &Sent::form(form).basic("myClient", "mySecret")).json();
        assert_eq!((&told["iat"], &told["exp"]), (&json!(now), &json!(end)), "{name}");
    }
}

/// Both stores of a server whose database is gone.
struct Down;

fn no_route() -> StoreError {
    StoreError::new(io::Error::other("no route to \"10.0.0.7\""))
}

impl ClientStore for Down {
    async fn client(&self, _: &str) -> Result<Option<Arc<Client>>, StoreError> {
        Err(no_route())
    }
}

impl TokenStore for Down {
    async fn insert(&self, _: &[Record], _: Timestamp) -> Result<Inserted, StoreError> {
        Err(no_route())
    }
    async fn get(&self, _: &RecordKey) -> Result<Option<Record>, StoreError> {
        Err(no_route())
    }
    async fn remove(&self, _: &RecordKey) -> Result<bool, StoreError> {
        Err(no_route())
    }
}

/// What stands in every parameter of a refused request, and in no answer.
const MARKER: &str = "mARKER7";

/// A server whose clients are `myClient`, who may have `write`, and `noGrant`, who is registered for another grant.
fn refusing() -> Server {
    let no_grant = client(json!({
        "client_id": "noGrant", "client_secret": "noGrantSecret", "scope": "write", "grant_types": ["authorization_code"],
    }));
    server(config(json!({ "scopes": ["write"] })), [my_client(), no_grant])
}

/// The good request of `myClient` with `more` in its form.
fn ask(more: &str) -> Sent {
    Sent::form(format!("grant_type=client_credentials&{more}")).basic("myClient", "mySecret")
}

fn token_of<C: ClientStore, T: TokenStore>(server: &AuthorizationServer<C, T>, sent: &Sent) -> Answer {
    let request = TokenRequest::parse(sent.parts()).unwrap();
    run(issue_client_credentials_token(server, &request)).unwrap_err().into()
}

/// The answers of real requests with this code; none where the code is of a later feature.
fn refusals(code: &str) -> Vec<Answer> {
    let server = refusing();
    let of_no_grant = Sent::form("grant_type=client_credentials&scope=write").basic("noGrant", "noGrantSecret");
    match code {
        "invalid_request" => vec![token(&server, &Sent::form("scope=write")), token(&server, &ask("scope=a&scope=b"))],
        "invalid_client" => vec![
            token(&server, &Sent::form("grant_type=client_credentials")),
            token(&server, &Sent::form("grant_type=client_credentials").basic("myClient", MARKER)),
            token(&server, &Sent::form("grant_type=client_credentials").basic(MARKER, MARKER)),
        ],
        "unauthorized_client" => vec![token(&server, &of_no_grant)],
        "unsupported_grant_type" => vec![token(&server, &Sent::form(format!("grant_type={MARKER}")))],
        "invalid_scope" => vec![
            token(&server, &ask("")),
            token(&server, &ask(&format!("scope={MARKER}"))),
            token(&server, &ask(&format!("scope={MARKER}%22"))),
        ],
        "invalid_target" => vec![token(&server, &ask(&format!("scope=write&resource={MARKER}")))],
        "invalid_dpop_proof" => vec![token(&server, &ask("scope=write").header("DPoP", MARKER))],
        "use_dpop_nonce" => vec![], // the proofs that it belongs to are of a later feature
        "server_error" => {
            // The random source repeats itself, so that no new token can be made.
            let server = server.with_random(Always([0; 32]));
            assert_eq!(token(&server, &ask("scope=write")).status, 200);
            vec![token(&server, &ask("scope=write"))]
        }
        "temporarily_unavailable" => {
            let clients = || [my_client()].into_iter().collect::<MemoryClientStore>();
            let full = MemoryTokenStore::with_capacity(Capacity::default().with_tokens(0).with_one_time(0));
            vec![
                token_of(&AuthorizationServer::new(config(json!({})), clients(), Down).unwrap(), &ask("scope=write")),
                token_of(&AuthorizationServer::new(config(json!({})), clients(), full).unwrap(), &ask("scope=write")),
                token_of(&AuthorizationServer::new(config(json!({})), Down, Down).unwrap(), &ask("scope=write")),
            ]
        }
        other => panic!("no request is known that is answered with {other}"),
    }
}

#[test]
// req: ER-001, ER-002, ER-006, ER-008, ER-009, ER-013, HT-005, HT-006, ST-009, TO-019
fn errors() {
    let (mut ran, mut waiting) = (0, Vec::new());
    for case in cases("error") {
        let (name, expect) = (&case["name"], &case["expect"]);
        let answers = refusals(case["input"]["error"].as_str().unwrap());
        if answers.is_empty() {
            waiting.push(name.clone());
        } else {
            ran += 1;
        }
        for answer in answers {
            assert_eq!(expect["status"], answer.status, "{name}");
            check_headers(name, &expect["headers"], &answer);
            assert_eq!(answer.header("WWW-Authenticate").is_some(), answer.status == 401, "{name}");
            let body = answer.json();
            for (member, value) in body.as_object().unwrap() {
                let optional = expect["optional_members"].as_array().unwrap().contains(&json!(member));
                assert!(expect["body"][member] == *value || optional, "{name}: {member} is {value}");
            }
            assert_eq!(body["error"], expect["body"]["error"], "{name}");
            assert_ne!(answer.text("error_description"), "", "{name}");
            for member in expect["absent"].as_array().unwrap() {
                assert_eq!(body.get(member.as_str().unwrap()), None, "{name}: {member}");
            }
        }
    }
    assert_eq!(ran, 9);
    assert_eq!(waiting, ["error-use_dpop_nonce"], "cases that wait for a feature");
}

/// RFC 6749 §5.2: `error_description = 1*( %x20-21 / %x23-5B / %x5D-7E )`.
fn may_stand_in_a_description(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| matches!(octet, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// Refusals of every kind that the endpoints know.
fn every_refusal() -> Vec<Answer> {
    let server = refusing();
    let get = Sent { method: "GET".into(), ..Sent::default() };
    let untyped = Sent { method: "POST".into(), ..Sent::default() };
    let mut sent = vec![
        get,
        untyped,
        ask(MARKER).header("Content-Encoding", MARKER),
        ask(&"x".repeat(client_credentials::MAX_BODY)),
        ask(&format!("{MARKER}=%")),
        Sent::form(MARKER),
        ask("").header("Authorization", MARKER),
        Sent::form("grant_type=client_credentials").header("Authorization", format!("Basic {MARKER}")),
        Sent::form(format!("grant_type=client_credentials&client_secret={MARKER}")),
        Sent::form(format!("grant_type=client_credentials&client_assertion={MARKER}")),
        Sent::form(format!("grant_type=client_credentials&client_assertion_type={MARKER}")),
        ask(&format!("scope=write&authorization_details={MARKER}")),
    ];
    let once = ["grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type"];
    for name in once.into_iter().chain(["authorization_details"]) {
        sent.push(Sent::form(format!("{name}={MARKER}&{name}={MARKER}")));
    }
    for name in
        once.into_iter().chain(["resource", "audience", "authorization_details", "token", "token_type_hint", "realm"])
    {
        sent.push(Sent { query: format!("{name}={MARKER}"), ..ask("scope=write") });
    }
    let mut answers: Vec<Answer> = sent.iter().map(|sent| token(&server, sent)).collect();

    let asked = [
        MARKER.to_owned(),
        format!("token={MARKER}&token={MARKER}"),
        format!("token_type_hint={MARKER}&token_type_hint="),
    ];
    for sent in asked.map(|form| Sent::form(form).basic("myClient", "mySecret")) {
        answers.extend([introspect(&server, &sent), revoke(&server, &sent)]);
    }
    let granted = token(&server, &ask("scope=write")).text("access_token");
    let by_another = Sent::form(format!("token={granted}")).basic("noGrant", "noGrantSecret");
    answers.push(revoke(&server, &by_another));

    let codes = cases("error").into_iter().map(|case| case["input"]["error"].as_str().unwrap().to_owned());
    answers.extend(codes.flat_map(|code| refusals(&code)));
    // What an embedder refuses by a rule of its own has the text of the code, whatever the cause says.
    let mine = ask("scope=write");
    let client = run(server.authenticate(TokenRequest::parse(mine.parts()).unwrap().credentials())).unwrap();
    let of_embedders = [
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidClient,
        ErrorCode::UnauthorizedClient,
        ErrorCode::UnsupportedGrantType,
        ErrorCode::InvalidScope,
        ErrorCode::InvalidTarget,
        ErrorCode::InvalidAuthorizationDetails,
        ErrorCode::InvalidDpopProof,
        ErrorCode::ServerError,
        ErrorCode::TemporarilyUnavailable,
    ];
    answers.extend(of_embedders.map(|code| server.refuse(&client, code, format!("\"{MARKER}\"\n")).into()));
    answers.extend(routed(server));
    answers
}

/// Refusals that only the router knows: an unknown path, and a document that is asked for by POST.
#[cfg(feature = "http")]
fn routed(server: Server) -> Vec<Answer> {
    let realms = TestRealms::new(server);
    let answer = |path: &str| {
        let request = http::Request::post(path).body(Vec::new()).unwrap();
        let response = run(client_credentials::http::respond(&realms, &request));
        Answer { status: response.status().as_u16(), headers: Vec::new(), body: response.into_body() }
    };
    vec![answer(&format!("/{MARKER}")), answer("/.well-known/oauth-authorization-server")]
}

#[cfg(not(feature = "http"))]
fn routed(_: Server) -> Vec<Answer> {
    Vec::new()
}

#[test]
// req: ER-003, ER-004
fn descriptions() {
    let cases = cases("description");
    assert_eq!(cases.len(), 10);
    for case in &cases {
        let text = case["input"].as_str().unwrap();
        assert_eq!(case["expect"]["valid"], may_stand_in_a_description(text), "{}", case["name"]);
    }
    let mut descriptions = BTreeSet::new();
    for answer in every_refusal() {
        assert!(answer.status >= 400, "{answer:?}");
        assert!(may_stand_in_a_description(&answer.error()), "{answer:?}");
        let description = answer.text("error_description");
        assert!(may_stand_in_a_description(&description), "{description:?}");
        let sent_back = [String::from_utf8(answer.body).unwrap()]
            .into_iter()
            .chain(answer.headers.into_iter().map(|(_, value)| value));
        assert!(sent_back.into_iter().all(|text| !text.contains(MARKER)), "{description}");
        descriptions.insert(description);
    }
    assert_eq!(descriptions.len(), if cfg!(feature = "http") { 48 } else { 46 }, "{descriptions:#?}");
}
