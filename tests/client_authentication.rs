//! Client authentication: which mechanism, whose, is it right, and what a failure tells (RFC 6749 §2.3, §3.2.1).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "where a test cannot go on it has failed")]

mod support;

use client_credentials::store::{AnyClientStore, AnyTokenStore, MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AccessToken, AuthenticationMethod, AuthorizationServer, CertificateChain, Client, ClientCertificate, ClientSecret,
    ClientStore, Endpoint, Event, IntrospectionRequest, Parts, Reason, RegisteredSecret, RevocationRequest,
    SecretVerifier, StoreError, SystemRandom, Timestamp, TokenRequest, introspect_token, revoke_token,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use support::*;

const BODY: &str = "grant_type=client_credentials&scope=write";
const RIGHT: &str = "the right secret";

/// A client for `write` by Basic and post with the secret [`RIGHT`], but for the members given here; `null` leaves one out.
fn registered(client_id: &str, members: Value) -> Client {
    let mut all = json!({
        "client_id": client_id, "client_secret": RIGHT, "scope": "write", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
    });
    let all_members = all.as_object_mut().unwrap();
    all_members.extend(members.as_object().unwrap().clone());
    all_members.retain(|_, value| !value.is_null());
    client(all)
}

fn serving(clients: impl IntoIterator<Item = Client>) -> Server {
    server(config(json!({})), clients)
}

fn escape(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Basic as a careful client sends it: both halves form-encoded.
fn basic(client_id: &str, secret: &str) -> Sent {
    Sent::form(BODY).basic(&escape(client_id), &escape(secret))
}

fn post(client_id: &str, secret: &str) -> Sent {
    Sent::form(format!("{BODY}&client_id={}&client_secret={}", escape(client_id), escape(secret)))
}

fn assert_granted(server: &Server, sent: &Sent, case: &str) {
    assert_eq!(token(server, sent).status, 200, "{case}");
}

fn assert_refused(server: &Server, sent: &Sent, case: &str) {
    assert_eq!(token(server, sent).outcome(), (401, "invalid_client".into()), "{case}");
}

/// What an observer was told, without its borrows.
#[derive(Clone, Debug)]
struct Told {
    endpoint: Endpoint,
    client_id: Option<String>,
    method: Option<AuthenticationMethod>,
    secret_id: Option<String>,
    line: String,
    debug: String,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Told>>>);

impl Log {
    fn observe(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let log = Arc::clone(&self.0);
        move |event| {
            log.lock().unwrap().push(Told {
                endpoint: event.endpoint,
                client_id: event.client_id.map(|id| id.as_raw().to_owned()),
                method: event.method.cloned(),
                secret_id: event.secret_id.map(str::to_owned),
                line: event.to_string(),
                debug: format!("{event:?}"),
            });
        }
    }
    /// The events since the last call.
    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
    /// The one event since the last call.
    fn one(&self) -> Told {
        let mut told = self.take();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }
}

// Credentials that are right.

#[test]
// req: CA-001, CA-002, CA-023
fn a_list_of_methods_accepts_each_of_them_and_nothing_else() {
    let server = serving([registered("c", json!({}))]);
    assert_granted(&server, &basic("c", RIGHT), "Basic");
    assert_granted(&server, &post("c", RIGHT), "post");
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let assertion = format!("{BODY}&client_id=c&client_assertion=e30.e30.e30&client_assertion_type={kind}");
    assert_refused(&server, &Sent::form(assertion), "assertion");
    let der = ClientCertificate::new(b"\x30\x03\x02\x01\x01", CertificateChain::Verified);
    let sent = Sent::form(format!("{BODY}&client_id=c"));
    let request = TokenRequest::parse(Parts { certificate: Some(der), ..sent.parts() }).unwrap();
    assert_eq!(run(server.authenticate(request.credentials())).unwrap_err().status(), 401, "certificate");
}

#[test]
// req: CA-022, CA-024
fn a_method_that_is_not_registered_is_refused_with_the_right_secret() {
    for (methods, by_basic, by_post) in [
        (Value::Null, true, false), // RFC 7591 §2: absent means Basic
        (json!("client_secret_basic"), true, false),
        (json!(["client_secret_basic"]), true, false),
        (json!("client_secret_post"), false, true),
        (json!(["client_secret_post", "client_secret_basic"]), true, true),
    ] {
        let server = serving([registered("c", json!({ "token_endpoint_auth_method": methods }))]);
        let accepted = [basic("c", RIGHT), post("c", RIGHT)].map(|sent| token(&server, &sent).status == 200);
        assert_eq!(accepted, [by_basic, by_post], "{methods}");
    }
}

#[test]
// req: CA-003, CA-004, CA-007, CA-008, CA-038, CA-039
fn any_text_works_as_id_and_secret_by_basic_and_in_the_body() {
    for id in ["c", "a:b", "100%", "a+b", "a b", "é", "名前", "a&b=c;d", "\"quoted\\\"", "~!@#$^*()[]{}|'`<>?,./"] {
        for secret in
            ["päss wörd", ":a:b:", "%41%", "a+b+c+d", " spaces ", "=&=&=&=&", "\"\\\"\\\"\\", "秘密の言葉です"]
        {
            let server = serving([registered(id, json!({ "client_secret": secret }))]);
            assert_granted(&server, &basic(id, secret), &format!("Basic {id:?} {secret:?}"));
            assert_granted(&server, &post(id, secret), &format!("post {id:?} {secret:?}"));
        }
    }
    // Further colons need no escape, the scheme has no case, and may stand before several spaces.
    let server = serving([registered("c", json!({ "client_secret": "a:b:c d" }))]);
    for scheme in ["Basic ", "basic ", "BASIC ", "bAsIc   "] {
        let sent = Sent::form(BODY).header("Authorization", format!("{scheme}YzphOmI6Yytk"));
        assert_granted(&server, &sent, scheme);
    }
}

#[test]
// req: CA-039, TO-024
fn generated_ids_and_secrets_are_unreserved_ascii_that_every_encoding_reads_alike() {
    let unreserved = |text: &str| text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let (mut client, secret) = Client::generate().unwrap();
        let id = client.client_id.to_string();
        assert_eq!((id.len(), secret.expose().len()), (22, 43));
        assert!(unreserved(&id) && unreserved(secret.expose()), "{id}");
        assert!(seen.insert(secret.expose().to_owned()) && seen.insert(id.clone()), "never twice");
        assert_eq!(basic(&id, secret.expose()).headers, Sent::form(BODY).basic(&id, secret.expose()).headers);
        client.scope = Some("write".parse().unwrap());
        assert_granted(&serving([client]), &basic(&id, secret.expose()), "as generated");
    }
    let secret = ClientSecret::generate(&SystemRandom).unwrap();
    assert!(secret.expose().len() == 43 && unreserved(secret.expose()));
}

#[test]
// req: CA-020
fn the_same_client_id_in_the_body_is_no_second_mechanism() {
    let server = serving([registered("a b", json!({}))]);
    let with_id = |id: &str| Sent { body: format!("{BODY}&client_id={id}").into(), ..basic("a b", RIGHT) };
    assert_granted(&server, &with_id("a+b"), "the same");
    assert_granted(&server, &with_id(""), "empty is omitted");
    assert_refused(&server, &with_id("a%2Bb"), "the text as it stands in the header");
}

// Raw Basic.

#[test]
// req: CA-004, CA-005, CA-006
fn raw_basic_is_for_clients_that_are_registered_for_it() {
    for secret in ["p%q+r is a secret", "a+b is a secret", "a%41 is a secret", "plus+plus%2Bplus"] {
        let raw = Sent::form(BODY).basic("c", secret);
        let by_form = serving([registered("c", json!({ "client_secret": secret }))]);
        assert!(matches!(token(&by_form, &raw).status, 400 | 401), "{secret}");
        assert_granted(&by_form, &basic("c", secret), secret);
        let by_raw = serving([registered("c", json!({ "client_secret": secret, "basic_encoding": "raw" }))]);
        assert_granted(&by_raw, &raw, secret);
        assert!(matches!(token(&by_raw, &basic("c", secret)).status, 400 | 401), "one reading only: {secret}");
        assert_granted(&by_raw, &post("c", secret), "the switch is Basic's alone");
    }
    // The same goes for an id: each client is found by its own reading alone.
    let server = serving([
        registered("form%20id", json!({})),
        registered("raw%20id", json!({ "basic_encoding": "raw" })),
        registered("raw id", json!({ "client_secret": "another secret", "basic_encoding": "raw" })),
    ]);
    assert!(matches!(token(&server, &Sent::form(BODY).basic("form%20id", RIGHT)).status, 400 | 401));
    assert_granted(&server, &basic("form%20id", RIGHT), "escaped");
    assert_granted(&server, &Sent::form(BODY).basic("raw%20id", RIGHT), "as it is");
    assert_refused(
        &server,
        &Sent::form(BODY).basic("raw%20id", "another secret"),
        "the decoded id is another client's",
    );
    // A plus sign means a space to everybody else.
    let server = serving([registered("c", json!({ "client_secret": "a b c d e" }))]);
    assert_granted(&server, &Sent::form(BODY).basic("c", "a+b+c+d+e"), "form");
    assert_granted(&server, &Sent::form(BODY).basic("c", "a b c d e"), "nothing to decode");
}

#[test]
// req: CA-010, CA-005
fn a_bad_escape_does_not_tell_who_is_registered_for_raw_basic() {
    let secret = "a bad %zz escape";
    let raw = |id: &str, members: Value| {
        let mut all = json!({ "client_secret": secret, "basic_encoding": "raw" });
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        registered(id, all)
    };
    let log = Log::default();
    let server = serving([
        raw("raw", json!({})),
        raw("form", json!({ "basic_encoding": "form" })),
        raw("disabled", json!({ "disabled": true })),
        raw("faulty", json!({ "dpop_bound_access_token": true })),
        raw("post", json!({ "token_endpoint_auth_method": "client_secret_post" })),
    ])
    .on_event(log.observe());
    assert_granted(&server, &Sent::form(BODY).basic("raw", secret), "the one who may");
    log.take();
    let mut answers = Vec::new();
    for id in ["raw", "form", "disabled", "faulty", "post", "nobody", "n%zz", "", &"x".repeat(300)] {
        for secret in [secret, "a wrong %zz escape", "%", "%00%zz"] {
            if (id, secret) == ("raw", "a bad %zz escape") {
                continue;
            }
            answers.push(token(&server, &Sent::form(BODY).basic(id, secret)));
            assert!(log.one().method.is_none(), "nobody was authenticated");
        }
    }
    assert_eq!(answers[0].outcome(), (400, "invalid_request".into()));
    assert_eq!(answers[0].text("error_description"), "The Authorization header is malformed.");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "all the same to the last octet");
}

// Credentials that are malformed.

#[test]
// req: CA-009, CA-010
fn a_malformed_header_is_a_malformed_request() {
    let server = serving([registered("c", json!({}))]);
    for header in [
        "Basic",
        "Basic ",
        "Basic  ",
        "Basic ???",
        "Basic Yzp0aGUgcmlnaHQgc2VjcmV0=",        // too much padding
        "Basic Yzp0aGUgcmlnaHQgc2VjcmV0 x",       // more behind it
        "Basic Yzp0aGUgcmlnaHQgc2VjcmV0,realm=x", // parameters
        "Basic\tYzp0aGUgcmlnaHQgc2VjcmV0",        // no space
        "Basic YzI",                              // padding missing
        "Basic YzI=",                             // c2: no colon
        "Basic /zp0aGUgcmlnaHQgc2VjcmV0",         // not UTF-8
        "Basic YwA6dGhlIHJpZ2h0IHNlY3JldA==",     // a NUL in the id
        "Basic YzoleHo=",                         // c:%xz
        "",
        " Basic Yzp0aGUgcmlnaHQgc2VjcmV0",
        "Basic: Yzp0aGUgcmlnaHQgc2VjcmV0",
    ] {
        let answer = token(&server, &Sent::form(BODY).header("Authorization", header));
        assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{header:?}");
        assert_eq!(answer.header("WWW-Authenticate"), None, "{header:?}");
    }
    assert_granted(
        &server,
        &Sent::form(BODY).header("Authorization", "Basic Yzp0aGUgcmlnaHQgc2VjcmV0"),
        "as it should be",
    );
}

#[test]
// req: CA-018, CA-034, CA-035
fn two_mechanisms_are_refused_before_anyone_is_looked_up() {
    let clients = Counted::default();
    clients.0.insert(registered("c", json!({})));
    let server = AuthorizationServer::new(config(json!({})), clients, MemoryTokenStore::default()).unwrap();
    let kind = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let right_post = format!("{BODY}&client_id=c&client_secret={}", escape(RIGHT));
    let assertion = format!("client_assertion=e30.e30.e30&{kind}");
    for (case, sent) in [
        ("Basic and post, both right", Sent::form(&*right_post).basic("c", RIGHT)),
        ("Basic right, post wrong", Sent::form(format!("{BODY}&client_secret=x")).basic("c", RIGHT)),
        ("Basic wrong, post right", Sent::form(&*right_post).basic("c", "wrong")),
        ("Basic of somebody else, post right", Sent::form(&*right_post).basic("nobody", "x")),
        ("Basic and assertion", Sent::form(format!("{BODY}&{assertion}")).basic("c", RIGHT)),
        ("Basic and half an assertion", Sent::form(format!("{BODY}&{kind}")).basic("c", RIGHT)),
        ("post and assertion", Sent::form(format!("{right_post}&{assertion}"))),
        ("post and the other half", Sent::form(format!("{right_post}&client_assertion=x"))),
        ("Bearer and post", Sent::form(&*right_post).header("Authorization", "Bearer x")),
        ("Bearer and assertion", Sent::form(format!("{BODY}&{assertion}")).header("Authorization", "Bearer x")),
        ("Basic twice, the same", Sent::form(BODY).basic("c", RIGHT).basic("c", RIGHT)),
        ("Basic and Bearer fields", Sent::form(BODY).basic("c", RIGHT).header("authorization", "Bearer x")),
    ] {
        let error = TokenRequest::parse(sent.parts()).unwrap_err();
        assert_eq!((error.status(), error.code().as_str()), (400, "invalid_request"), "{case}");
        assert!(matches!(error.reason(), Reason::SeveralMechanisms), "{case}: {error}");
    }
    assert_eq!(server.clients().reads(), 0);
    // A certificate is a mechanism only where there is no other one: it neither disturbs nor helps.
    let der = ClientCertificate::new(b"\x30\x03\x02\x01\x01", CertificateChain::Verified);
    for (secret, status) in [(RIGHT, 200), ("wrong", 401)] {
        let sent = basic("c", secret);
        let request = TokenRequest::parse(Parts { certificate: Some(der), ..sent.parts() }).unwrap();
        let found = run(server.authenticate(request.credentials()));
        assert_eq!(found.map_or_else(|error| error.status(), |_| 200), status, "{secret}");
    }
}

#[test]
// req: CA-028
fn half_a_mechanism_is_malformed() {
    let server = serving([registered("c", json!({}))]);
    for half in [
        "client_secret=x",
        "client_secret=x&client_id=",
        "client_assertion=e30.e30.e30&client_id=c",
        "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_id=c",
    ] {
        let answer = token(&server, &Sent::form(format!("{BODY}&{half}")));
        assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{half}");
    }
}

// Failures tell nothing.

#[test]
// req: CA-011, CA-012, CA-015, CA-016, CA-017, CA-021, CA-025, CA-026, CA-027, CA-032, CA-033, CA-036, CA-041, CA-042, ER-013
fn every_failure_is_the_same_answer_to_the_last_octet() {
    let expired = json!([{ "secret": RIGHT, "expires_at": NOW }]);
    let server = serving([
        registered("c", json!({})),
        registered("other", json!({})),
        registered("disabled", json!({ "disabled": true })),
        registered("basic only", json!({ "token_endpoint_auth_method": "client_secret_basic" })),
        registered("post only", json!({ "token_endpoint_auth_method": "client_secret_post" })),
        registered("expired", json!({ "client_secret": null, "client_secrets": expired })),
        registered("public", json!({ "client_secret": null, "token_endpoint_auth_method": "none" })),
        registered("public with a secret", json!({ "token_endpoint_auth_method": "none" })),
        registered("no secret", json!({ "client_secret": null })),
        registered("bound", json!({ "dpop_bound_access_token": true })),
        registered("typo", json!({ "acess_token_lifetime": 60 })),
        registered("unknown method", json!({ "token_endpoint_auth_method": "client_secret_bsaic" })),
        registered("other build's", json!({ "token_endpoint_auth_method": "private_key_jwt" })),
        registered("no method", json!({ "token_endpoint_auth_method": [] })),
    ]);
    let form = |body: &str| Sent::form(body);
    type Ask = fn(&Server, &Sent) -> Answer;
    let endpoints: [(Ask, &str); 3] = [(token, BODY), (introspect, "token=x"), (revoke, "token=x")];
    let mut answers: Vec<(String, Answer)> = Vec::new();
    for (ask, body) in endpoints {
        let mut refuse = |case: &str, sent: Sent| answers.push((case.to_owned(), ask(&server, &sent)));
        let by_basic = |id: &str, secret: &str| form(body).basic(&escape(id), &escape(secret));
        let by_post =
            |id: &str, secret: &str| form(&format!("{body}&client_id={}&client_secret={}", escape(id), escape(secret)));
        let long = "x".repeat(1025);
        for (id, secret) in [
            ("nobody", RIGHT),
            ("nobody", ""),
            ("", RIGHT),
            ("c", "the wrong secret"),
            ("c", ""),
            ("c", &long),
            (&long, RIGHT),
            ("disabled", RIGHT),
            ("disabled", "the wrong secret"),
            ("expired", RIGHT),
            ("public", ""),
            ("public", "x"),
            ("public with a secret", RIGHT),
            ("no secret", ""),
            ("no secret", "x"),
            ("bound", RIGHT),
            ("typo", RIGHT),
            ("unknown method", RIGHT),
            ("other build's", RIGHT),
            ("no method", RIGHT),
        ] {
            refuse(&format!("Basic {id:?} {secret:?}"), by_basic(id, secret));
            if !id.is_empty() {
                refuse(&format!("post {id:?} {secret:?}"), by_post(id, secret));
            }
        }
        refuse("post, not registered", by_post("basic only", RIGHT));
        refuse("Basic, not registered", by_basic("post only", RIGHT));
        refuse("nothing", form(body));
        for id in ["nobody", "c", "public", "disabled"] {
            refuse("an id alone", form(&format!("{body}&client_id={id}")));
        }
        refuse("another client_id", Sent { body: format!("{body}&client_id=other").into(), ..by_basic("c", RIGHT) });
        refuse("nobody's client_id", Sent { body: format!("{body}&client_id=x").into(), ..by_basic("c", RIGHT) });
        for field in
            ["Bearer x", "Digest username=\"c\"", "DPoP x", "Bearer", "Basically Yzp0aGUgcmlnaHQgc2VjcmV0", "x"]
        {
            refuse("another scheme", form(body).header("Authorization", field));
        }
        let kind = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        refuse("an assertion", form(&format!("{body}&client_assertion=e30.e30.e30&{kind}")));
        refuse("an assertion of another type", form(&format!("{body}&client_assertion=x&client_assertion_type=y")));
    }
    let expected = Answer {
        status: 401,
        headers: vec![
            ("Content-Type".into(), "application/json".into()),
            ("Cache-Control".into(), "no-store".into()),
            ("Pragma".into(), "no-cache".into()),
            ("WWW-Authenticate".into(), "Basic realm=\"https://as.example.com\"".into()),
        ],
        body: br#"{"error":"invalid_client","error_description":"Client authentication failed."}"#.to_vec(),
    };
    assert!(answers.len() > 150);
    for (case, answer) in answers {
        assert_eq!(answer, expected, "{case}");
    }
}

#[test]
// req: CA-013, CA-014, CA-036
fn a_method_that_the_server_has_not_enabled_is_the_same_failure() {
    let only_post = json!({ "token_endpoint_auth_methods": ["client_secret_post"] });
    let server = server(config(only_post), [registered("c", json!({}))]);
    assert_granted(&server, &post("c", RIGHT), "enabled");
    let by_basic = token(&server, &basic("c", RIGHT));
    assert_eq!(by_basic.outcome(), (401, "invalid_client".into()));
    assert_eq!(by_basic.header("WWW-Authenticate"), Some("Basic realm=\"https://as.example.com\""));
    assert_eq!(token(&server, &post("c", "wrong")), by_basic, "the challenge is Basic's whatever is enabled");
    assert_eq!(token(&server, &Sent::form(BODY)), by_basic);
    let asked = Sent::form("token=x").basic("c", &escape(RIGHT));
    assert_eq!((introspect(&server, &asked), revoke(&server, &asked)), (by_basic.clone(), by_basic));
}

#[test]
// req: CA-036
fn the_rules_are_the_same_at_every_endpoint() {
    let server = serving([
        registered("c", json!({})),
        registered("post only", json!({ "token_endpoint_auth_method": "client_secret_post" })),
    ]);
    let at = |body: &str| {
        let form = |more: &str| Sent::form(format!("{body}{more}"));
        [
            form("").header("Authorization", "Basic ???"),
            form("").basic("c", "wrong"),
            form(&format!("&client_id=c&client_secret={}", escape(RIGHT))).basic("c", &escape(RIGHT)),
            form("&client_id=x").basic("c", &escape(RIGHT)),
            form("").basic("post only", &escape(RIGHT)),
            form("").basic("c", &escape(RIGHT)).basic("c", &escape(RIGHT)),
            form("").header("Authorization", "Bearer x"),
            form("&client_secret=x"),
        ]
    };
    let expected = [400, 401, 400, 401, 401, 400, 401, 400];
    let answers = at(BODY).map(|sent| token(&server, &sent));
    assert_eq!(answers.clone().map(|answer| answer.status), expected);
    assert_eq!(at("token=x").map(|sent| introspect(&server, &sent)), answers);
    assert_eq!(at("token=x").map(|sent| revoke(&server, &sent)), answers);
}

#[test]
// req: CA-029
fn id_and_secret_are_compared_octet_for_octet() {
    let server = serving([registered("myClient", json!({ "client_secret": "my Sécret 1" }))]);
    for id in
        ["MYCLIENT", "myclient", "myClient ", " myClient", "myClien", "myClient1", "myClient\u{200b}", "ｍyClient"]
    {
        assert_refused(&server, &basic(id, "my Sécret 1"), id);
        assert_refused(&server, &post(id, "my Sécret 1"), id);
    }
    let decomposed = "my Se\u{301}cret 1";
    for secret in [
        "MY SÉCRET 1",
        "my sécret 1",
        "my Sécret 1 ",
        " my Sécret 1",
        "my Sécret ",
        "my Sécret 11",
        "my Secret 1",
        decomposed,
    ] {
        assert_refused(&server, &basic("myClient", secret), secret);
        assert_refused(&server, &post("myClient", secret), secret);
    }
    assert_granted(&server, &basic("myClient", "my Sécret 1"), "as registered");
}

#[test]
// req: CA-029, CA-040
fn every_octet_of_a_long_secret_counts() {
    let secret: String = ('!'..='~').filter(|letter| letter.is_ascii_alphanumeric()).cycle().take(1024).collect();
    let server = serving([registered("c", json!({ "client_secret": secret }))]);
    assert_granted(&server, &post("c", &secret), "all of it");
    for at in 0..secret.len() {
        let mut wrong = secret.clone();
        wrong.replace_range(at..=at, "-");
        assert_refused(&server, &post("c", &wrong), &format!("octet {at}"));
    }
    for octets in [8, 32, 55, 56, 63, 64, 71, 72, 73, 128, 255, 256, 512, 1023] {
        assert_refused(&server, &post("c", &secret[..octets]), &format!("the first {octets}"));
        assert_refused(&server, &post("c", &secret[secret.len() - octets..]), &format!("the last {octets}"));
    }
    assert_refused(&server, &post("c", &format!("{secret}x")), "one more");
    assert_refused(&server, &post("c", &format!("{secret}{secret}")), "twice");
}

// The store.

/// A client store that counts how often it is read.
#[derive(Default)]
struct Counted(MemoryClientStore, AtomicUsize);

impl Counted {
    /// The reads since the last call.
    fn reads(&self) -> usize {
        self.1.swap(0, Ordering::SeqCst)
    }
}

impl ClientStore for Counted {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.client(client_id).await
    }
}

#[test]
// req: SE-002, CA-017
fn known_and_unknown_clients_cost_one_read_each() {
    let clients = Counted::default();
    for client in [
        registered("c", json!({})),
        registered("disabled", json!({ "disabled": true })),
        registered("faulty", json!({ "scop": "write" })),
        registered("raw", json!({ "basic_encoding": "raw" })),
        registered("public", json!({ "token_endpoint_auth_method": "none" })),
    ] {
        clients.0.insert(client);
    }
    let server = AuthorizationServer::new(config(json!({})), clients, MemoryTokenStore::default()).unwrap();
    let reads = |sent: &Sent| {
        let request = TokenRequest::parse(sent.parts()).unwrap();
        let _ = run(server.authenticate(request.credentials()));
        server.clients().reads()
    };
    for id in ["c", "disabled", "faulty", "raw", "public", "nobody"] {
        for secret in [RIGHT, "wrong", ""] {
            assert_eq!(reads(&Sent::form(BODY).basic(id, secret)), 1, "Basic {id} {secret}");
        }
        for secret in [RIGHT, "wrong"] {
            assert_eq!(reads(&post(id, secret)), 1, "post {id} {secret}");
        }
        assert_eq!(reads(&Sent::form(format!("{BODY}&client_id={id}"))), 0, "an id alone proves nothing: {id}");
        // A header with escapes has two readings, whoever sends it.
        assert_eq!(reads(&Sent::form(BODY).basic(id, "a+b")), 1, "{id}");
        assert_eq!(reads(&Sent::form(BODY).basic(&format!("%63{id}"), "a+b")), 2, "{id}");
        assert_eq!(reads(&Sent::form(BODY).basic(id, "%zz")), 1, "{id}");
    }
}

/// A store whose look-up folds case, as that of a careless SQL collation.
struct Folding(Arc<Client>);

impl ClientStore for Folding {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        Ok(self.0.client_id.as_str().eq_ignore_ascii_case(client_id).then(|| Arc::clone(&self.0)))
    }
}

#[test]
// req: CA-029, CA-016
fn a_store_that_folds_case_authenticates_nobody_else() {
    let server = AuthorizationServer::new(
        config(json!({})),
        Folding(registered("Reports", json!({})).into()),
        MemoryTokenStore::default(),
    )
    .unwrap();
    for (id, status) in [("Reports", 200), ("reports", 401), ("REPORTS", 401)] {
        for sent in [basic(id, RIGHT), post(id, RIGHT)] {
            let request = TokenRequest::parse(sent.parts()).unwrap();
            let found = run(server.authenticate(request.credentials()));
            assert_eq!(found.as_ref().map_or_else(|error| error.status(), |_| 200), status, "{id}");
            if let Err(error) = found {
                assert!(matches!(error.reason(), Reason::UnknownClient), "{error}");
            }
        }
    }
}

#[test]
// req: CA-037, CA-031
fn a_change_of_the_registration_counts_from_the_next_request_on() {
    let server = serving([]);
    let clients = Arc::clone(server.clients());
    assert_refused(&server, &basic("c", RIGHT), "not yet registered");
    clients.insert(registered("c", json!({})));
    assert_granted(&server, &basic("c", RIGHT), "registered");
    clients.insert(registered("c", json!({ "client_secret": "another secret" })));
    assert_refused(&server, &basic("c", RIGHT), "the secret was replaced");
    clients.insert(registered("c", json!({ "scope": "read" })));
    assert_eq!(token(&server, &basic("c", RIGHT)).outcome(), (400, "invalid_scope".into()));
    clients.insert(registered("c", json!({ "grant_types": [] })));
    assert_eq!(token(&server, &basic("c", RIGHT)).outcome(), (400, "unauthorized_client".into()));
    clients.insert(registered("c", json!({ "disabled": true })));
    assert_refused(&server, &basic("c", RIGHT), "disabled");
    clients.insert(registered("c", json!({})));
    assert_granted(&server, &basic("c", RIGHT), "as before");
    clients.remove("c");
    assert_refused(&server, &basic("c", RIGHT), "removed");
}

// Secrets: rotation, hashes.

#[test]
// req: CA-030, CA-031
fn several_secrets_stand_at_once_and_the_event_names_the_one_that_was_used() {
    let log = Log::default();
    let server = serving([registered("c", json!({
        "client_secret": null,
        "client_secrets": [{ "secret": "the new secret", "id": "2026-02" }, { "secret": "the old secret", "id": "2025-08" }, "the third secret"],
    }))])
    .on_event(log.observe());
    for (secret, id) in [("the new secret", "2026-02"), ("the old secret", "2025-08"), ("the third secret", "3")] {
        for sent in [basic("c", secret), post("c", secret)] {
            assert_granted(&server, &sent, secret);
            let told = log.one();
            assert_eq!(told.secret_id.as_deref(), Some(id));
            assert!(told.line.contains(&format!(" secret_id=\"{id}\"")), "{}", told.line);
        }
    }
    assert_refused(&server, &basic("c", "the fourth secret"), "never registered");
    assert_eq!(log.one().secret_id, None);
    server.clients().insert(registered("c", json!({ "client_secret": null, "client_secrets": ["the new secret"] })));
    assert_refused(&server, &basic("c", "the old secret"), "retired");
    assert_granted(&server, &basic("c", "the new secret"), "still there");
}

#[test]
// req: CA-030, CA-031
fn a_secret_ends_by_the_servers_clock_while_its_successor_goes_on() {
    let clock = TestClock::at(NOW);
    let registered = registered(
        "c",
        json!({
            "client_secret": null,
            "client_secrets": [{ "secret": "the old secret", "expires_at": "2026-01-01T00:01:00Z" }, { "secret": "the new secret" }],
        }),
    );
    let log = Log::default();
    let server = server_at(config(json!({})), [registered], clock.clone()).on_event(log.observe());
    clock.set_millis((NOW + 60) * 1000 - 1);
    assert_granted(&server, &basic("c", "the old secret"), "in its last millisecond");
    clock.set_millis((NOW + 60) * 1000);
    log.take();
    assert_refused(&server, &basic("c", "the old secret"), "past");
    assert!(log.one().line.contains("the secret matched and has expired"));
    assert_granted(&server, &basic("c", "the new secret"), "the successor");
    clock.advance(400 * 24 * 3600);
    assert_granted(&server, &basic("c", "the new secret"), "for good");
}

#[test]
// req: CA-047, SE-005
fn a_hash_authenticates_the_secret_it_was_made_of_and_not_itself() {
    let secret = ClientSecret::generate(&SystemRandom).unwrap();
    let hash = serde_json::to_value(SecretVerifier::sha256(secret.expose())).unwrap();
    let hash = hash.as_str().unwrap();
    assert!(hash.starts_with("sha256:") && hash.len() == 7 + 43, "{hash}");
    let server = serving([registered("c", json!({ "client_secret": null, "client_secret_hash": hash }))]);
    assert_granted(&server, &basic("c", secret.expose()), "the secret");
    let octets = {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.decode(&hash[7..]).unwrap()
    };
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    for stored in [hash, &hash[7..], &hex, &hex.to_uppercase(), &format!("{hash}=")] {
        assert_refused(&server, &basic("c", stored), stored);
        assert_refused(&server, &post("c", stored), stored);
    }
    // What is kept of a plain secret is its hash as well.
    let dump = serde_json::to_string(&registered("c", json!({}))).unwrap();
    assert!(dump.contains("sha256:") && !dump.contains(RIGHT), "{dump}");
    let (generated, secret) = Client::generate().unwrap();
    let dump = serde_json::to_string(&generated).unwrap();
    assert!(dump.contains("sha256:") && !dump.contains(secret.expose()), "{dump}");
}

#[test]
// req: CA-047
fn a_text_that_is_no_hash_of_a_known_kind_is_refused() {
    let good = serde_json::to_value(SecretVerifier::sha256("x")).unwrap();
    let good = good.as_str().unwrap();
    assert!(good.parse::<SecretVerifier>().is_ok());
    for bad in [
        "",
        "plain text",
        "sha256:",
        &good[..good.len() - 1],
        &format!("{good}="),
        &format!("{good}A"),
        &good.replace("sha256", "SHA256"),
        &good.replace("sha256", "sha1"),
        &good.replace(':', "$"),
        &format!(" {good}"),
        "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$pbkdf2-sha256$i=600000,l=32$c2FsdHNhbHQ$aGFzaGhhc2g",
        "$argon2i$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$argon2d$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let error = bad.parse::<SecretVerifier>().unwrap_err().to_string();
        assert!(bad.len() < 10 || !error.contains(bad), "{error}");
        let client = registered("c", json!({ "client_secret": null, "client_secret_hash": bad }));
        assert_eq!(client.validate(&config(json!({})))[0].key, "client_secret_hash", "{bad}");
    }
}

// What the operator sees.

#[test]
// req: SE-003, SE-018, CA-041, CA-042
fn one_decision_is_one_event_with_who_how_and_why() {
    let log = Log::default();
    let server = serving([
        registered("c", json!({})),
        registered("typo", json!({ "scop": "write" })),
        registered("method", json!({ "token_endpoint_auth_method": "client_secret_bsaic" })),
        registered("secretless", json!({ "client_secret": null })),
        registered("grantless", json!({ "grant_types": [] })),
    ])
    .on_event(log.observe());
    for (sent, id, why) in [
        (Sent::form(BODY), None, "the request has no client authentication"),
        (Sent::form(format!("{BODY}&client_id=c")), Some("c"), "the request has no client authentication"),
        (Sent::form(BODY).header("Authorization", "Bearer x"), None, "scheme is not supported"),
        (post("nobody", RIGHT), Some("nobody"), "no client has this client_id"),
        (basic("c", "the wrong secret"), Some("c"), "no secret matched"),
        (basic("typo", RIGHT), Some("typo"), "registration is faulty: scop: is not a known member"),
        (
            basic("method", RIGHT),
            Some("method"),
            "token_endpoint_auth_method: client_secret_bsaic is not a known method",
        ),
        (basic("secretless", RIGHT), Some("secretless"), "client_secret: a secret is needed"),
    ] {
        assert_eq!(token(&server, &sent).status, 401);
        let told = log.one();
        assert_eq!(
            (told.endpoint, told.client_id.as_deref(), told.method),
            (Endpoint::Token, id, None),
            "{}",
            told.line
        );
        assert!(told.line.contains("outcome=refused status=401 error=invalid_client"), "{}", told.line);
        assert!(told.line.contains(why), "{} lacks {why}", told.line);
    }
    // Behind authentication the client and the method are known.
    for (sent, outcome) in [
        (basic("c", RIGHT), "outcome=issued jti="),
        (Sent { body: "grant_type=client_credentials&scope=x".into(), ..basic("c", RIGHT) }, "error=invalid_scope"),
        (basic("c", RIGHT).header("DPoP", "x"), "error=invalid_dpop_proof"),
    ] {
        let _ = token(&server, &sent);
        let told = log.one();
        assert_eq!(told.client_id.as_deref(), Some("c"));
        assert_eq!(told.method, Some(AuthenticationMethod::ClientSecretBasic));
        assert!(
            told.line.contains(" issuer=https://as.example.com client_id=\"c\" method=client_secret_basic "),
            "{}",
            told.line
        );
        assert!(told.line.contains(outcome), "{}", told.line);
    }
    let _ = token(&server, &post("grantless", RIGHT));
    assert!(log.one().line.contains("method=client_secret_post"));
}

#[test]
// req: SE-019, SE-003
fn a_forged_client_id_stays_on_its_line() {
    let log = Log::default();
    let server = serving([]).on_event(log.observe());
    let forged = "x\r\nendpoint=token outcome=issued \u{1b}[31m\u{202e}\0\" outcome=issued";
    for sent in [post(forged, "x"), Sent::form(format!("{BODY}&client_id={}", escape(forged)))] {
        let _ = token(&server, &sent);
        let told = log.one();
        assert_eq!(told.client_id.as_deref(), Some(forged), "as it came, for counting");
        for text in [&told.line, &told.debug] {
            assert!(!text.chars().any(|letter| letter.is_control() || letter == '\u{202e}'), "{text:?}");
        }
        assert!(
            told.line
                .contains(r#"client_id="x\r\nendpoint=token outcome=issued \u{1b}[31m\u{202e}\0\" outcome=issued""#),
            "{}",
            told.line
        );
    }
    let _ = token(&server, &post(&"é".repeat(5000), "x"));
    let told = log.one();
    assert!(told.line.contains(&format!("\"{}…\"", "é".repeat(128))) && told.line.len() < 600, "cut: {}", told.line);
    // A stored registration can hold such text, too.
    let mut odd = registered("odd", json!({ "a\nb": 1, "token_endpoint_auth_method": "x\r\ny" }));
    odd.client_secrets[0].id = "1\r\n2".into();
    server.clients().insert(odd);
    let _ = token(&server, &basic("odd", RIGHT));
    let told = log.one();
    assert!(told.line.contains(r"nb: is not a known member") && !told.line.contains(['\r', '\n']), "{:?}", told.line);
    let mut odd = registered("odd", json!({}));
    odd.client_secrets[0].id = "1\r\n2".into();
    server.clients().insert(odd);
    let _ = token(&server, &basic("odd", RIGHT));
    let told = log.one();
    assert!(told.line.contains(r#"secret_id="1\r\n2""#) && !told.line.contains('\n'), "{:?}", told.line);
}

/// Everything that a value shows of itself.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn debug(&mut self, values: &[&dyn std::fmt::Debug]) {
        self.0.extend(values.iter().map(|value| format!("{value:?} {value:#?}")));
    }
    fn text(&mut self, text: impl Into<String>) {
        self.0.push(text.into());
    }
    fn assert_lacks(&self, secret: &str) {
        let shown = self.0.iter().find(|text| text.contains(secret));
        assert!(shown.is_none(), "{secret} shows in {shown:?}");
    }
}

#[test]
// req: SE-004, ER-012, IN-028
fn no_debug_or_display_shows_a_secret_or_a_token() {
    let secret = "mArKeR secret";
    let log = Log::default();
    let server = serving([registered("c", json!({ "client_secret": secret }))]).on_event(log.observe());
    let verifier = SecretVerifier::sha256(secret);
    let hash = serde_json::to_value(&verifier).unwrap().as_str().unwrap()[7..].to_owned();
    let generated = ClientSecret::generate(&SystemRandom).unwrap();
    let client = server.clients().get("c").unwrap();
    let base64 = basic("c", secret).headers[1].1[6..].to_vec();
    let mut secrets = vec!["mArKeR".to_owned(), hash, generated.expose().into(), String::from_utf8(base64).unwrap()];

    let mut shown = Shown::default();
    shown.debug(&[&verifier, &RegisteredSecret::new("1", verifier.clone()), &client, &generated]);
    shown.debug(&[server.clients(), server.tokens(), &server, &AccessToken::from("mArKeR")]);
    shown
        .debug(&[&AnyClientStore::new(Arc::clone(server.clients())), &AnyTokenStore::new(Arc::clone(server.tokens()))]);
    for sent in [
        basic("c", secret),
        post("c", secret),
        basic("c", "a wrong mArKeR"),
        post("nobody", "mArKeR"),
        Sent::form(BODY).basic("c", "mArKeR%zz"),
    ] {
        let parts = sent.parts();
        let request = TokenRequest::parse(parts).unwrap();
        shown.debug(&[&parts, &parts.authorization, &request, request.credentials()]);
        let client = match run(server.authenticate(request.credentials())) {
            Ok(client) => client,
            Err(error) => {
                shown.debug(&[&error]);
                shown.text(error.to_string());
                continue;
            }
        };
        let grant = server.authorize(&client, &request).unwrap();
        shown.debug(&[&client, &grant]);
        let response = run(server.issue(client, grant)).unwrap();
        shown.debug(&[&response, server.tokens()]);
        let issued = response.access_token.expose().to_owned();
        for presented in [&*issued, "mArKeR"] {
            let sent = Sent::form(format!("token={presented}")).basic("c", &escape(secret));
            let request = IntrospectionRequest::parse(sent.parts()).unwrap();
            let answer = run(introspect_token(&server, &request)).unwrap();
            shown.debug(&[&sent.parts(), &request, request.credentials(), &answer]);
            shown.text(String::from_utf8(answer.body()).unwrap());
            let request = RevocationRequest::parse(sent.parts()).unwrap();
            shown.debug(&[&request, &run(revoke_token(&server, &request)).unwrap()]);
        }
        secrets.push(issued);
    }
    let events = log.take();
    assert_eq!((events.len(), secrets.len()), (2 * 5 + 3, 4 + 2));
    events.into_iter().for_each(|event| shown.0.extend([event.line, event.debug]));
    secrets.iter().for_each(|secret| shown.assert_lacks(secret));
}

// Registrations as data.

#[test]
// req: CA-041, CA-042, CA-043
fn a_registration_says_what_is_wrong_with_it() {
    let config = config(json!({}));
    let faults = |members: Value| -> Vec<String> {
        registered("c", members).validate(&config).into_iter().map(|fault| fault.key).collect()
    };
    assert_eq!(faults(json!({})), [""; 0]);
    for (members, keys) in [
        (json!({ "token_endpoint_auth_method": "client_secret_bsaic" }), vec!["token_endpoint_auth_method"; 2]),
        (json!({ "token_endpoint_auth_method": ["client_secret_basic", "none"] }), vec!["token_endpoint_auth_method"]),
        (json!({ "token_endpoint_auth_method": [] }), vec!["token_endpoint_auth_method"]),
        (json!({ "token_endpoint_auth_method": 7 }), vec!["token_endpoint_auth_method"]),
        (json!({ "client_secret": null }), vec!["client_secret"]),
        (json!({ "client_secret": null, "client_secrets": [] }), vec!["client_secret"]),
        #[cfg(not(feature = "mtls"))]
        (json!({ "token_endpoint_auth_method": "tls_client_auth" }), vec!["token_endpoint_auth_method"; 2]),
        #[cfg(feature = "jwt")]
        (json!({ "token_endpoint_auth_method": "private_key_jwt" }), vec!["jwks"]),
        #[cfg(feature = "jwt")]
        (json!({ "jwks": { "keys": [] }, "jwks_uri": "https://c.example.com/jwks" }), vec!["jwks_uri"]),
        #[cfg(feature = "jwt")]
        (json!({ "jwks": { "keys": [{}] } }), vec!["jwks"]),
        #[cfg(not(feature = "jwt"))]
        (json!({ "jwks": { "keys": [] }, "jwks_uri": "https://c.example.com/jwks" }), vec!["jwks_uri"]),
        (
            json!({ "client_secrets": (0..9).map(|n| format!("secret no. {n}")).collect::<Vec<_>>() }),
            vec!["client_secrets"],
        ),
        (json!({ "scope": "read", "default_scope": "write" }), vec!["default_scope"]),
        (json!({ "scope": "a  b" }), vec!["scope"]),
        (json!({ "access_token_lifetime": 0 }), vec!["access_token_lifetime"]),
        (json!({ "access_token_lifetime": 315_360_001_u64 }), vec!["access_token_lifetime"]),
        (json!({ "access_token_format": "xml" }), vec!["access_token_format"]),
        (
            json!({ "client_secret": null, "client_secrets": [{ "id": "a", "secret": "first secret" }, { "id": "a", "secret": "other secret" }] }),
            vec!["client_secrets"],
        ),
    ] {
        assert_eq!(faults(members.clone()), keys, "{members}");
        // Whatever is wrong, the server does not use it.
        assert_refused(&serving([registered("c", members.clone())]), &basic("c", RIGHT), &members.to_string());
    }
    // A resource that no server can know is named as well; the server refuses that resource alone.
    assert_eq!(
        faults(json!({ "resources": ["api"], "default_resources": ["https://x"] })),
        ["resources", "default_resources"]
    );
    let only_post = support::config(json!({ "token_endpoint_auth_methods": ["client_secret_post"] }));
    let basic_only = registered("c", json!({ "token_endpoint_auth_method": "client_secret_basic" }));
    assert_eq!(basic_only.validate(&only_post)[0].key, "token_endpoint_auth_method");
}

#[test]
// req: SE-015
fn a_setting_that_this_build_cannot_honour_is_a_fault_and_no_weaker_client() {
    let log = Log::default();
    for (key, value) in [
        #[cfg(not(feature = "dpop"))]
        ("dpop_bound_access_tokens", json!(true)),
        #[cfg(not(feature = "mtls"))]
        ("tls_client_certificate_bound_access_tokens", json!(true)),
        // With the feature: of no method of the client's.
        ("tls_client_auth_subject_dn", json!("CN=c")),
        ("tls_client_auth_san_dns", json!("c.example.com")),
        ("tls_client_auth_san_uri", json!("spiffe://example.com/c")),
        ("tls_client_auth_san_ip", json!("192.0.2.7")),
        ("tls_client_auth_san_email", json!("c@example.com")),
        #[cfg(not(feature = "rar"))]
        ("authorization_details_types", json!(["payment"])),
        ("dpop_bound_access_tokens", json!("yes")),
        #[cfg(not(feature = "jwt"))]
        ("jwks", json!({ "keys": [] })),
        #[cfg(not(feature = "jwt"))]
        ("jwks_uri", json!("https://c.example.com/jwks")),
        #[cfg(not(feature = "jwt"))]
        ("token_endpoint_auth_signing_alg", json!("ES256")),
        #[cfg(not(feature = "jwt"))]
        ("assertion_audience", json!("legacy")),
        #[cfg(not(feature = "jwt"))]
        ("federated", json!([{ "issuer": "https://idp.example.com" }])),
        // Not known at all: a typo is no less dangerous.
        ("dpop_bound_access_token", json!(true)),
        ("Dpop_bound_access_tokens", json!(true)),
        ("scopes", json!("write")),
        ("client_secrets_expires_at", json!(1)),
    ] {
        let members: Value = [(key.to_owned(), value)].into_iter().collect::<serde_json::Map<_, _>>().into();
        let server = serving([registered("c", members.clone())]).on_event(log.observe());
        assert_refused(&server, &basic("c", RIGHT), key);
        assert_eq!(server.clients().get("c").unwrap().validate(server.config())[0].key, key);
        let told = log.one();
        assert!(told.line.contains(&format!("faulty: {key}: ")), "{}", told.line);
    }
    // Switched off, or only for people: nothing to honour.
    for harmless in [
        json!({ "dpop_bound_access_tokens": false, "tls_client_certificate_bound_access_tokens": false }),
        json!({ "authorization_details_types": [] }),
        json!({ "client_name": "Reports", "client_name#de": "Berichte", "client_uri": "https://c.example.com", "contacts": ["a@b"] }),
        json!({ "logo_uri": "x", "tos_uri": "x", "policy_uri": "x", "software_id": "x", "software_version": "1" }),
        json!({ "redirect_uris": [], "response_types": [], "client_id_issued_at": 1, "scope": "write", "jwks": null }),
    ] {
        assert_granted(&serving([registered("c", harmless.clone())]), &basic("c", RIGHT), &harmless.to_string());
    }
    // A proof beside the credentials asks for a bound token, and no Bearer token is given in its place.
    let server = serving([registered("c", json!({}))]);
    let answer = token(&server, &basic("c", RIGHT).header("DPoP", "e30.e30.e30"));
    assert_eq!(answer.outcome(), (400, "invalid_dpop_proof".into()));
}

#[test]
fn a_repeated_member_is_a_fault() {
    let config = config(json!({}));
    for member in [
        r#""scope":"read""#,
        r#""scope":"write""#,
        r#""client_secret":"another secret""#,
        r#""disabled":true"#,
        r#""dpop_bound_access_tokens":false"#,
        r#""client_id":"c""#,
        r#""client_name":"x""#,
    ] {
        let (name, _) = member.split_once(':').unwrap();
        let text = format!(
            r#"{{"client_id":"c","client_secret":"{RIGHT}","scope":"write","grant_types":["client_credentials"],{member},{member}}}"#
        );
        let client: Client = serde_json::from_str(&text).unwrap();
        let faults = client.validate(&config);
        assert!(
            faults.iter().any(|fault| format!("{:?}", fault.key) == name && fault.problem == "stands twice"),
            "{text}"
        );
        assert!(serde_json::to_string(&client).is_err());
        assert!(!format!("{faults:?}").contains("another secret"), "{faults:?}");
    }
}

#[test]
// req: SE-004
fn a_wrong_type_names_its_key_and_repeats_no_secret() {
    let config = config(json!({}));
    for (member, value, key) in [
        ("client_secret", json!(12_345_678), "client_secret"),
        ("client_secret", json!(["mArKeR mArKeR"]), "client_secret"),
        ("client_secret", json!({ "secret": "mArKeR mArKeR" }), "client_secret"),
        ("client_secret", json!(""), "client_secret"),
        ("client_secret", json!("mArKeR\n"), "client_secret"),
        ("client_secret_hash", json!("mArKeR"), "client_secret_hash"),
        ("client_secret_hash", json!({ "hash": "mArKeR" }), "client_secret_hash"),
        ("client_secrets", json!("mArKeR"), "client_secrets"),
        ("client_secrets", json!({ "secret": "mArKeR" }), "client_secrets"),
        ("client_secrets", json!([7]), "client_secrets[0]"),
        ("client_secrets", json!(["a good secret", ["mArKeR"]]), "client_secrets[1]"),
        ("client_secrets", json!([{ "secret": "mArKeR", "hash": "mArKeR" }]), "client_secrets[0]"),
        ("client_secrets", json!([{ "id": "mArKeR" }]), "client_secrets[0]"),
        ("client_secrets", json!([{ "secret": "mArKeR", "id": 7 }]), "client_secrets[0]"),
        ("client_secrets", json!([{ "secret": "mArKeR", "expires_at": "tomorrow" }]), "client_secrets[0]"),
        ("client_secrets", json!([{ "secret": "mArKeR", "expires": 1 }]), "client_secrets[0]"),
        ("scope", json!(["write"]), "scope"),
        ("grant_types", json!("client_credentials"), "grant_types"),
        ("disabled", json!("no"), "disabled"),
        ("may_introspect", json!(1), "may_introspect"),
        ("access_token_lifetime", json!("600"), "access_token_lifetime"),
        ("access_token_lifetime", json!(-1), "access_token_lifetime"),
        ("access_token_lifetime", json!(1.5), "access_token_lifetime"),
        ("tokens_not_before", json!("yesterday"), "tokens_not_before"),
        ("client_secret_expires_at", json!("never"), "client_secret_expires_at"),
        ("resources", json!("https://api.example.com"), "resources"),
        ("audience", json!([7]), "audience"),
        ("basic_encoding", json!("Raw"), "basic_encoding"),
        ("client_name", json!(7), "client_name"),
        ("default_scope", json!(null), ""),
    ] {
        let members: Value = [(member.to_owned(), value.clone())].into_iter().collect::<serde_json::Map<_, _>>().into();
        let mut all = json!({ "client_id": "c", "client_secret": RIGHT, "grant_types": ["client_credentials"] });
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let client: Client = serde_json::from_value(all).unwrap();
        let faults = client.validate(&config);
        let keys: Vec<&str> = faults.iter().map(|fault| &*fault.key).collect();
        assert!(keys.contains(&key) || key.is_empty() && keys.is_empty(), "{member} {value}: {faults:?}");
        let said = format!("{faults:?} {client:?} {:?} {:?}", client.warnings(), serde_json::to_string(&client).err());
        assert!(!said.contains("mArKeR") && !said.contains("12345678"), "{said}");
    }
    // Only the client_id, without which there is nobody to name, stops the reading.
    for nobody in [
        json!({}),
        json!({ "client_id": 7 }),
        json!({ "client_id": "" }),
        json!({ "client_id": "a\nb" }),
        json!([]),
        json!("c"),
    ] {
        assert!(serde_json::from_value::<Client>(nobody.clone()).is_err(), "{nobody}");
    }
}

#[test]
fn a_client_is_written_as_it_is_read() {
    let everything = json!({
        "client_id": "c", "client_name": "Reports", "scope": "read write", "default_scope": "read",
        "client_secrets": [{ "id": "new", "secret": RIGHT }, { "id": "old", "secret": "the old secret", "expires_at": "2027-01-31T12:00:00Z" }],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"], "grant_types": ["client_credentials"],
        "resources": ["https://a.example.com", "urn:b"], "default_resources": ["urn:b"], "audience": ["https://own.example.com"],
        "access_token_format": "opaque", "access_token_lifetime": 600, "disabled": true, "may_introspect": true,
        "tokens_not_before": 1_767_225_600, "basic_encoding": "raw",
    });
    let written = serde_json::to_value(client(everything.clone())).unwrap();
    for (name, value) in everything.as_object().unwrap().iter().filter(|(name, _)| *name != "client_secrets") {
        assert_eq!(&written[name], value, "{name}");
    }
    let hash = |secret: &str| serde_json::to_value(SecretVerifier::sha256(secret)).unwrap();
    let secrets = json!([{ "id": "new", "hash": hash(RIGHT) }, { "id": "old", "hash": hash("the old secret"), "expires_at": 1_801_396_800 }]);
    assert_eq!(written["client_secrets"], secrets);
    assert_eq!(serde_json::to_value(client(written.clone())).unwrap(), written, "and so on");
    // The least that there can be, and what people write by hand in TOML.
    let least = serde_json::to_value(client(json!({ "client_id": "c" }))).unwrap();
    assert_eq!(serde_json::to_value(client(least.clone())).unwrap(), least);
    assert_eq!(least["token_endpoint_auth_method"], json!("client_secret_basic"));
    assert_eq!(least["grant_types"], json!(["authorization_code"]));
    let toml = "client_id = 'c'\nclient_secrets = ['one secret', { secret = 'another secret', expires_at = '2027-01-31T12:00:00Z' }]";
    let client: Client = toml::from_str(toml).unwrap();
    assert_eq!(client.client_secrets[1].expires_at, Some(Timestamp::from_secs(1_801_396_800)));
    assert!(client.validate(&config(json!({}))).is_empty());
}

#[test]
fn a_faulty_client_is_not_written() {
    for faulty in
        [json!({ "scop": "write" }), json!({ "registration_access_token": "x" }), json!({ "disabled": "yes" })]
    {
        let error = serde_json::to_string(&registered("c", faulty.clone())).unwrap_err();
        let (key, _) = faulty.as_object().unwrap().iter().next().unwrap();
        assert!(error.to_string().contains(&format!("faulty: {key}: ")), "{error}");
    }
}

#[test]
fn client_secret_expires_at_is_rfc_7591s() {
    let at = |moment: Value| {
        let clock = TestClock::at(NOW);
        let registered = registered("c", json!({ "client_secret_expires_at": moment }));
        let server = server_at(config(json!({})), [registered], clock.clone());
        [0, 59_999, 60_000].map(|milliseconds| {
            clock.set_millis(NOW * 1000 + milliseconds);
            token(&server, &basic("c", RIGHT)).status
        })
    };
    assert_eq!(at(json!(0)), [200, 200, 200], "0 means never (RFC 7591 §3.2.1)");
    assert_eq!(at(json!(null)), [200, 200, 200]);
    assert_eq!(at(json!(NOW + 60)), [200, 200, 401]);
    assert_eq!(at(json!("2026-01-01T00:01:00Z")), [200, 200, 401]);
    assert_eq!(at(json!(1)), [401, 401, 401]);
    // It belongs to the one secret; each of several has its own.
    let several = registered(
        "c",
        json!({ "client_secret": null, "client_secrets": [RIGHT], "client_secret_expires_at": NOW + 60 }),
    );
    assert_eq!(several.validate(&config(json!({})))[0].key, "client_secret_expires_at");
}

// An authentication of the embedder's own.

/// A voucher that ends in an hour.
fn voucher(text: &str) -> [(&str, Timestamp); 1] {
    [(text, Timestamp::from_secs(NOW + 3600))]
}

/// The stages behind an authentication of the embedder's own.
fn issue_for(server: &Server, client_id: &str, once: &[(&str, Timestamp)]) -> Answer {
    let sent = Sent::form(BODY);
    let request = TokenRequest::parse(sent.parts()).unwrap();
    let issued = server.vouch_for(server.clients().get(client_id).unwrap(), once).and_then(|client| {
        let grant = server.authorize(&client, &request)?;
        run(server.issue(client, grant))
    });
    issued.map_or_else(Answer::from, |response| Answer { status: 200, headers: Vec::new(), body: response.body() })
}

#[test]
// req: CA-045, SE-018
fn an_embedder_vouches_for_a_client() {
    let log = Log::default();
    let server = serving([
        registered("c", json!({ "client_secret": null, "token_endpoint_auth_method": "custom" })),
        registered("disabled", json!({ "disabled": true })),
        registered("faulty", json!({ "scop": "write" })),
        registered("grantless", json!({ "grant_types": [] })),
    ])
    .on_event(log.observe());
    let answer = issue_for(&server, "c", &[]);
    assert_eq!((answer.status, &*answer.text("scope")), (200, "write"));
    let told = log.one();
    assert_eq!((told.client_id.as_deref(), told.method), (Some("c"), Some(AuthenticationMethod::Custom)));
    assert!(told.line.contains("method=custom outcome=issued"), "{}", told.line);
    for (id, outcome) in [
        ("disabled", (401, "invalid_client")),
        ("faulty", (401, "invalid_client")),
        ("grantless", (400, "unauthorized_client")),
    ] {
        assert_eq!(issue_for(&server, id, &[]).outcome(), (outcome.0, outcome.1.into()), "{id}");
        assert_eq!(log.one().client_id.as_deref(), Some(id));
    }
}

#[test]
// req: CA-045, ST-006
fn what_may_be_used_once_buys_one_token_however_many_try() {
    let server = serving([registered("c", json!({}))]);
    let all_at_once = Barrier::new(300);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..300)
            .map(|_| {
                scope.spawn(|| {
                    all_at_once.wait();
                    issue_for(&server, "c", &voucher("one"))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (granted, refused): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((granted.len(), refused.len()), (1, 299));
    assert!(refused.iter().all(|answer| answer.outcome() == (401, "invalid_client".into())));
    assert_eq!(server.tokens().len(), 2, "the token and the value it was bought with");
    assert_eq!(issue_for(&server, "c", &voucher("two")).status, 200, "another value is another token");
}

#[test]
// req: CA-045, ER-011
fn a_used_value_is_known_by_its_reason_until_it_ends() {
    let clock = TestClock::at(NOW);
    let log = Log::default();
    let server = server_at(config(json!({})), [registered("c", json!({}))], clock.clone()).on_event(log.observe());
    assert_eq!(issue_for(&server, "c", &voucher("one")).status, 200);
    log.take();
    assert_eq!(issue_for(&server, "c", &voucher("one")).status, 401);
    assert!(log.one().line.contains("reason=\"a one-time value was used before\""));
    clock.set_millis((NOW + 3600) * 1000 - 1);
    assert_eq!(issue_for(&server, "c", &voucher("one")).status, 401, "in its last millisecond");
    clock.set_millis((NOW + 3600) * 1000);
    let again = [("one", Timestamp::from_secs(NOW + 7200))];
    assert_eq!(issue_for(&server, "c", &again).status, 200, "an expired record does not stand in the way");
}

#[test]
// req: CA-025, CA-045
fn nobody_vouches_for_a_public_client() {
    let server = serving([
        registered("public", json!({ "client_secret": null, "token_endpoint_auth_method": "none" })),
        registered("own", json!({ "client_secret": null, "token_endpoint_auth_method": "custom" })),
    ]);
    assert_eq!(issue_for(&server, "public", &[]).outcome(), (401, "invalid_client".into()));
    assert_eq!(issue_for(&server, "own", &[]).status, 200);
    // And no request of the wire is enough for a client that only the embedder authenticates.
    for sent in [basic("own", ""), basic("own", "custom"), Sent::form(format!("{BODY}&client_id=own"))] {
        assert_eq!(token(&server, &sent).outcome(), (401, "invalid_client".into()));
    }
}

#[test]
// req: ST-006
fn a_value_is_spent_until_the_end_of_its_last_second() {
    let clock = TestClock::at(NOW);
    let server = server_at(config(json!({})), [registered("c", json!({}))], clock.clone());
    let until = |milliseconds: u64| [("one", Timestamp::from_millis(NOW * 1000 + milliseconds))];
    assert_eq!(issue_for(&server, "c", &until(0)).status, 401, "its end has come");
    assert_eq!(issue_for(&server, "c", &until(1500)).status, 200);
    clock.set_millis(NOW * 1000 + 1499);
    assert_eq!(issue_for(&server, "c", &until(1500)).status, 401, "used before");
    clock.set_millis(NOW * 1000 + 1999);
    assert_eq!(issue_for(&server, "c", &until(5000)).status, 401, "rounded up to a full second, never down");
    assert_eq!(server.tokens().len(), 2);
}

/// An unset variable at registration must not open a door.
#[test]
// req: CA-027
fn an_empty_secret_is_nobodys_even_where_its_hash_is_registered() {
    let hash = serde_json::to_value(SecretVerifier::sha256("")).unwrap();
    let server = serving([registered("c", json!({ "client_secret": null, "client_secret_hash": hash }))]);
    assert_eq!(token(&server, &basic("c", "")).outcome(), (401, "invalid_client".into()));
}

// Chosen secrets.

#[cfg(feature = "argon2")]
mod argon2id {
    use super::*;
    use argon2::password_hash::PasswordHasher;
    use client_credentials::issue_client_credentials_token;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Wake, Waker};

    /// A hash with the least cost there is, so that a test can afford many.
    fn cheap_hash(secret: &str) -> String {
        let params = argon2::Params::new(8, 1, 1, None).unwrap();
        let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        argon2.hash_password_with_salt(secret.as_bytes(), b"a salt of 16 oct").unwrap().to_string()
    }

    fn chosen(client_id: &str, secret: &str) -> Client {
        registered(client_id, json!({ "client_secret": null, "client_secret_hash": cheap_hash(secret) }))
    }

    /// A server that runs slow work at once and counts it.
    fn counting(clients: impl IntoIterator<Item = Client>) -> (Server, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let server =
            server(config(json!({ "unknown_client_work": "argon2id" })), clients).with_offload(1, move |work| {
                counted.fetch_add(1, Ordering::SeqCst);
                work();
            });
        (server, calls)
    }

    type Work = Box<dyn FnOnce() + Send>;

    /// A server whose slow work waits until the test runs it.
    fn waiting(limit: usize, clients: impl IntoIterator<Item = Client>) -> (Server, Arc<Mutex<Vec<Work>>>) {
        let queue: Arc<Mutex<Vec<Work>>> = Arc::default();
        let handed = Arc::clone(&queue);
        let server = serving(clients).with_offload(limit, move |work| handed.lock().unwrap().push(work));
        (server, queue)
    }

    #[test]
    // req: SE-005, CA-047
    fn a_chosen_secret_is_kept_as_argon2id() {
        let chosen = SecretVerifier::argon2id("correct horse", &SystemRandom).unwrap();
        let hash = serde_json::to_value(&chosen).unwrap();
        let hash = hash.as_str().unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(json!(SecretVerifier::argon2id("correct horse", &SystemRandom).unwrap()), hash, "salted");
        assert_eq!(format!("{chosen:?}"), "SecretVerifier($argon2id$..)");
        let client = registered("c", json!({ "client_secret": null, "client_secret_hash": hash }));
        let dump = serde_json::to_string(&client).unwrap();
        assert!(dump.contains(hash) && !dump.contains("correct horse"), "{dump}");
        let server = serving([client]);
        assert_granted(&server, &basic("c", "correct horse"), "the secret");
        assert_refused(&server, &basic("c", hash), "the stored hash");
    }

    #[test]
    // req: SE-002
    fn a_slow_hash_where_unknown_clients_are_fast_is_named() {
        let of = |work: &str| chosen("c", RIGHT).validate(&config(json!({ "unknown_client_work": work })));
        assert_eq!(of("argon2id"), []);
        assert_eq!(of("sha256").iter().map(|fault| &*fault.key).collect::<Vec<_>>(), ["client_secrets"]);
        let generated = registered("c", json!({}));
        assert_eq!(
            generated.validate(&config(json!({ "unknown_client_work": "argon2id" }))),
            [],
            "the other way is no leak"
        );
    }

    #[test]
    // req: SE-011
    fn a_stored_hash_does_not_decide_the_cost() {
        let phc = |m: u32, t: u32, p: u32| {
            let (salt, hash) = ("A".repeat(22), "A".repeat(43));
            format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}")
        };
        assert!(phc(65_536, 10, 4).parse::<SecretVerifier>().is_ok(), "at every limit");
        for beyond in [
            phc(65_537, 2, 1),
            phc(655_360, 2, 1),
            phc(19_456, 11, 1),
            phc(19_456, 100, 1),
            phc(19_456, 2, 5),
            phc(19_456, 2, 40),
            phc(u32::MAX, u32::MAX, 1),
        ] {
            let error = beyond.parse::<SecretVerifier>().unwrap_err().to_string();
            assert!(error.contains("64 MiB, 10 passes or 4 lanes") || error.contains("malformed"), "{beyond}: {error}");
            let client = registered("c", json!({ "client_secret": null, "client_secret_hash": beyond }));
            assert_eq!(client.validate(&config(json!({})))[0].key, "client_secret_hash");
        }
        let good = phc(19_456, 2, 1);
        for malformed in [
            "$argon2id$".to_owned(),
            good.rsplit_once('$').unwrap().0.to_owned(),
            good.replace("m=19456", "m=1"),
            good.replace("t=2", "t=0"),
            good.replace("p=1", "p=0"),
            good.replace("p=1", "p=1,x=1"),
            good.replace("v=19", "v=18"),
            format!("{good}$x"),
            format!("{good}="),
            format!("{good}\n"),
        ] {
            assert!(malformed.parse::<SecretVerifier>().is_err(), "{malformed:?}");
        }
    }

    #[test]
    // req: CA-029, CA-040
    fn every_octet_counts_and_no_more_than_1024() {
        let secret: String = ('!'..='~').filter(|letter| letter.is_ascii_alphanumeric()).cycle().take(1024).collect();
        let (server, calls) = counting([chosen("c", &secret)]);
        assert_granted(&server, &post("c", &secret), "all of it");
        for octets in [8, 55, 64, 71, 72, 73, 128, 1023] {
            assert_refused(&server, &post("c", &secret[..octets]), &format!("the first {octets}"));
        }
        let calls_before = calls.load(Ordering::SeqCst);
        for octets in [1025, 10_240, 60_000] {
            let long = secret.chars().cycle().take(octets).collect::<String>();
            assert_refused(&server, &post("c", &long), "too long");
            assert_refused(&server, &post("nobody", &long), "too long");
        }
        assert_eq!(calls.load(Ordering::SeqCst), calls_before, "what is too long is not hashed");
    }

    /// A generated secret is fast to check, and a long one may be short once it is decoded: neither tells who is registered.
    #[test]
    // req: SE-002
    fn nothing_but_the_right_secret_is_cheaper() {
        let (server, calls) = counting([chosen("chosen", "the chosen secret"), registered("generated", json!({}))]);
        let cost = |sent: &Sent| {
            let before = calls.load(Ordering::SeqCst);
            assert_refused(&server, sent, "wrong");
            calls.load(Ordering::SeqCst) - before
        };
        for secret in ["wrong".to_owned(), String::new(), "%61".repeat(400), "%61".repeat(1024)] {
            for id in ["chosen", "generated", "nobody"] {
                assert_eq!(cost(&Sent::form(BODY).basic(id, &secret)), 1, "{id} {}", secret.len());
            }
        }
        for id in ["chosen", "generated", "nobody"] {
            assert_eq!(cost(&Sent::form(BODY).basic(id, &"%61".repeat(1025))), 0, "{id}: too long in every reading");
        }
    }

    #[test]
    // req: SE-002, CA-017
    fn known_and_unknown_clients_cost_one_verification_each() {
        let with = |id: &str, members: Value| {
            let mut client = registered(id, members);
            client.client_secrets = chosen(id, RIGHT).client_secrets;
            client
        };
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let server = server(
            config(json!({ "unknown_client_work": "argon2id" })),
            [
                with("c", json!({})),
                with("disabled", json!({ "disabled": true })),
                with("faulty", json!({ "scop": "write" })),
                with("basic only", json!({ "token_endpoint_auth_method": "client_secret_basic" })),
                with("public", json!({ "token_endpoint_auth_method": "none" })),
            ],
        )
        .with_offload(1, move |_dropped| _ = counted.fetch_add(1, Ordering::SeqCst));
        let cost = |sent: &Sent| {
            assert_eq!(token(&server, sent).status, 503, "the work is counted and not done");
            calls.swap(0, Ordering::SeqCst)
        };
        for id in ["c", "disabled", "faulty", "basic only", "public", "nobody"] {
            for secret in ["the wrong secret", ""] {
                assert_eq!(cost(&basic(id, secret)), 1, "{id} {secret:?}");
            }
            assert_eq!(cost(&post(id, "the wrong secret")), 1, "{id}");
        }
        for id in ["disabled", "faulty", "public", "nobody"] {
            assert_eq!(cost(&post(id, RIGHT)), 1, "{id} with the right secret");
        }
        assert_eq!(cost(&post("basic only", RIGHT)), 1, "the right secret by the wrong method");
    }

    #[test]
    fn a_success_is_remembered_and_a_failure_is_not() {
        let (server, calls) = counting([chosen("c", RIGHT), chosen("d", "the secret of d")]);
        let calls = || calls.swap(0, Ordering::SeqCst);
        for _ in 0..5 {
            assert_granted(&server, &basic("c", RIGHT), "right");
        }
        assert_granted(&server, &post("c", RIGHT), "by another method");
        assert_eq!(calls(), 1, "the first one alone is work");
        for _ in 0..3 {
            assert_refused(&server, &basic("c", "the wrong secret"), "wrong");
        }
        assert_refused(&server, &basic("d", RIGHT), "right for somebody else");
        assert_eq!(calls(), 4);
        // What is remembered is this secret with this hash: it ends with the registration.
        server.clients().insert(chosen("c", "the next secret"));
        assert_refused(&server, &basic("c", RIGHT), "replaced");
        assert_granted(&server, &basic("c", "the next secret"), "the successor");
        assert_eq!(calls(), 2);
        let mut expired = chosen("c", "the next secret");
        expired.client_secrets[0].expires_at = Some(Timestamp::from_secs(NOW));
        server.clients().insert(expired);
        assert_refused(&server, &basic("c", "the next secret"), "expired");
        let mut disabled = chosen("c", "the next secret");
        disabled.disabled = true;
        server.clients().insert(disabled);
        assert_refused(&server, &basic("c", "the next secret"), "disabled");
    }

    #[test]
    // req: CA-030
    fn generated_and_chosen_secrets_stand_side_by_side() {
        let mut client = chosen("c", "the chosen secret");
        client.client_secrets.push(RegisteredSecret::new("2", SecretVerifier::sha256("the generated secret")));
        let (server, calls) = counting([client]);
        assert_granted(&server, &basic("c", "the generated secret"), "generated");
        assert_eq!(calls.swap(0, Ordering::SeqCst), 0, "a fast match needs no slow work");
        assert_granted(&server, &basic("c", "the chosen secret"), "chosen");
        assert_refused(&server, &basic("c", "neither of them"), "neither");
        assert_eq!(calls.swap(0, Ordering::SeqCst), 2);
    }

    /// Counts how often a task was woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(waker))
    }

    /// The answer to a request that has nothing to wait for.
    fn at_once(server: &Server, sent: &Sent) -> Answer {
        let request = TokenRequest::parse(sent.parts()).unwrap();
        match poll(std::pin::pin!(issue_client_credentials_token(server, &request)), Waker::noop()) {
            Poll::Ready(Err(error)) => error.into(),
            Poll::Ready(Ok(issued)) => Answer { status: 200, headers: Vec::new(), body: issued.body() },
            Poll::Pending => Answer { status: 0, headers: Vec::new(), body: b"{\"error\":\"it waits\"}".to_vec() },
        }
    }

    fn assert_busy(server: &Server, sent: &Sent, case: &str) {
        let answer = at_once(server, sent);
        assert_eq!(answer.outcome(), (503, "temporarily_unavailable".into()), "{case}");
        assert_eq!(answer.header("Retry-After"), Some("1"), "{case}");
    }

    #[test]
    // req: SE-011
    fn beyond_the_limit_a_request_is_told_to_come_back() {
        let clients = [chosen("c", RIGHT), chosen("d", "the secret of d"), registered("fast", json!({}))];
        let (server, queue) = waiting(2, clients);
        let sent = [basic("c", RIGHT), post("c", "the wrong secret")];
        let requests = [0, 1].map(|at: usize| TokenRequest::parse(sent[at].parts()).unwrap());
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut running = requests.each_ref().map(|request| Box::pin(issue_client_credentials_token(&server, request)));
        for future in &mut running {
            assert!(poll(future.as_mut(), &waker).is_pending());
        }
        assert_eq!(queue.lock().unwrap().len(), 2);
        assert_busy(&server, &basic("d", "the secret of d"), "both places are taken");
        assert_eq!(queue.lock().unwrap().len(), 2, "refused, not queued");
        assert_granted(&server, &basic("fast", RIGHT), "a generated secret needs no place");
        // The work is done elsewhere, and whoever waits for it is woken.
        for work in queue.lock().unwrap().drain(..) {
            std::thread::spawn(work).join().unwrap();
        }
        assert_eq!(wakes.0.load(Ordering::SeqCst), 2);
        let outcomes = running.map(|mut future| match poll(future.as_mut(), &waker) {
            Poll::Ready(answer) => answer.map_or_else(|error| error.status(), |_| 200),
            Poll::Pending => 0,
        });
        assert_eq!(outcomes, [200, 401]);
        assert_eq!(at_once(&server, &basic("c", RIGHT)).status, 200, "remembered: needs no place either");
        let sent = basic("d", "the secret of d");
        let request = TokenRequest::parse(sent.parts()).unwrap();
        let mut future = Box::pin(server.authenticate(request.credentials()));
        assert!(poll(future.as_mut(), &waker).is_pending(), "the places are free again");
    }

    #[test]
    fn a_remembered_secret_needs_no_place() {
        let (server, queue) = waiting(1, [chosen("c", RIGHT), chosen("d", "the secret of d")]);
        let sent = basic("c", RIGHT);
        let request = TokenRequest::parse(sent.parts()).unwrap();
        let mut future = Box::pin(server.authenticate(request.credentials()));
        assert!(poll(future.as_mut(), Waker::noop()).is_pending());
        queue.lock().unwrap().pop().unwrap()();
        assert!(matches!(poll(future.as_mut(), Waker::noop()), Poll::Ready(Ok(_))));
        let sent = basic("d", "the secret of d");
        let request = TokenRequest::parse(sent.parts()).unwrap();
        let mut future = Box::pin(server.authenticate(request.credentials()));
        assert!(poll(future.as_mut(), Waker::noop()).is_pending(), "the one place is taken");
        assert_eq!(at_once(&server, &basic("c", RIGHT)).status, 200, "remembered");
        assert_busy(&server, &basic("c", "the wrong secret"), "not remembered");
        // A caller that goes away does not free the place; the end of the work does.
        drop(future);
        assert_busy(&server, &basic("c", "the wrong secret"), "still at work");
        queue.lock().unwrap().pop().unwrap()();
        let mut future = Box::pin(server.authenticate(request.credentials()));
        assert!(poll(future.as_mut(), Waker::noop()).is_pending(), "free again");
    }

    #[test]
    // req: ST-009
    fn work_that_is_dropped_is_a_503_and_nothing_is_remembered() {
        let log = Log::default();
        let server = serving([chosen("c", RIGHT)]).with_offload(1, drop).on_event(log.observe());
        for secret in [RIGHT, RIGHT, "the wrong secret"] {
            assert_busy(&server, &basic("c", secret), secret);
            assert!(
                log.one().line.contains("the offloaded secret verification was dropped"),
                "no busy place: each was given back"
            );
        }
        assert!(server.tokens().is_empty());
    }

    #[test]
    fn without_an_offload_the_work_is_done_in_place() {
        let server = serving([chosen("c", RIGHT)]);
        for _ in 0..20 {
            assert_refused(&server, &basic("c", "the wrong secret"), "every place is given back");
        }
        assert_granted(&server, &basic("c", RIGHT), "right");
    }
}
