//! The token endpoint: parameters and their order, errors, limits (RFC 6749 §3.2, §4.4, §5.2).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "where a test cannot go on it has failed")]

mod support;

use client_credentials::store::{Capacity, MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, ClientStore, Field, Inserted, IntrospectionRequest, MAX_BODY, Parts, Reason, Record,
    RecordKey, RevocationRequest, StoreError, Timestamp, TokenError, TokenRequest, TokenResponse, TokenStore,
    introspect_token, issue_client_credentials_token, revoke_token,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::*;

/// The request of the seed: `myClient` asks for `write`.
const SEED: &str = "grant_type=client_credentials&client_id=myClient&client_secret=mySecret&scope=write";

/// The parameters that may stand once at the token endpoint.
const KNOWN: &str =
    "grant_type scope client_id client_secret client_assertion client_assertion_type authorization_details";

/// An endpoint: octets in, octets out.
type Ask = fn(&Server, &Sent) -> Answer;

fn seed_server() -> Server {
    server(config(json!({})), [my_client()])
}

/// The request of the seed with more parameters.
fn seed_and(more: &str) -> Sent {
    Sent::form(format!("{SEED}&{more}"))
}

/// The token endpoint with the error as the operator gets it.
fn issue(server: &Server, sent: &Sent) -> Result<TokenResponse, TokenError> {
    run(issue_client_credentials_token(server, &TokenRequest::parse(sent.parts())?))
}

/// What the server knows of a token, asked by `myClient`.
fn described(server: &Server, token: &str) -> Value {
    introspect(server, &Sent::form(format!("token={token}")).basic("myClient", "mySecret")).json()
}

// Parameters.

#[test]
// req: TR-001, TO-001, TO-002
fn the_request_of_the_seed() {
    let server = server(config(serde_json::json!({})), [my_client()]);
    let body = "grant_type=client_credentials&client_id=myClient&client_secret=mySecret&scope=write";
    let answer = token(&server, &Sent::form(body));
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(
        (&json["token_type"], &json["scope"], &json["expires_in"]),
        (&"Bearer".into(), &"write".into(), &3600.into())
    );
    assert_eq!(json["access_token"].as_str().unwrap().len(), 43);
}

#[test]
// req: TR-035
fn a_request_is_built_of_plain_data() {
    let resource = "https://api.example.com";
    let server = server(config(json!({ "resources": [resource] })), [my_client()]);
    let request = TokenRequest::parse(Parts {
        method: "POST",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        authorization: Field::One(b"Basic bXlDbGllbnQ6bXlTZWNyZXQ="),
        body: b"grant_type=client_credentials&scope=write&resource=https://api.example.com&resource=",
        ..Parts::default()
    })
    .unwrap();
    assert_eq!((request.scope(), request.resource().collect()), (Some("write"), vec![resource]));
    assert_eq!(request.credentials().claimed_client_id(), Some("myClient"));
    let response = run(issue_client_credentials_token(&server, &request)).unwrap();
    assert_eq!(response.scope.as_str(), "write");
}

#[test]
// req: TR-002, TR-003, TR-022, TR-023
fn a_request_without_a_grant_type_is_malformed() {
    let server = seed_server();
    let credentials = "client_id=myClient&client_secret=mySecret&scope=write";
    for grant in ["", "grant_type=", "grant_type", "grant_type&", "Grant_Type=client_credentials"] {
        for body in [grant.to_owned(), format!("{grant}&{credentials}")] {
            let answer = token(&server, &Sent::form(&*body));
            assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{body}");
            assert_eq!(answer.text("error_description"), "The parameter grant_type is missing.", "{body}");
        }
    }
}

#[test]
// req: TR-004, TR-005, TR-006, TR-007, TR-024
fn another_grant_type_is_unsupported_whoever_asks() {
    let server = seed_server();
    let close = ["Client_Credentials", "CLIENT_CREDENTIALS", "client_credentials+", "+client_credentials"];
    let closer = ["client_credentials%00", "client_credentials%0A", "client%2Dcredentials", "client_credentials,x"];
    let standard = ["password", "authorization_code", "refresh_token", "implicit", "urn:example:nope"];
    let extension =
        ["token-exchange", "device_code", "jwt-bearer"].map(|name| format!("urn:ietf:params:oauth:grant-type:{name}"));
    let all = close.into_iter().chain(closer).chain(standard).chain(extension.iter().map(String::as_str));
    for grant_type in all {
        for secret in ["mySecret", "wrong"] {
            let body =
                format!("grant_type={grant_type}&client_id=myClient&client_secret={secret}&username=a&password=b");
            let outcome = token(&server, &Sent::form(&*body)).outcome();
            assert_eq!(outcome, (400, "unsupported_grant_type".into()), "{body}");
        }
    }
    assert_eq!(server.metadata().grant_types_supported, ["client_credentials"]);
}

#[test]
// req: TR-008, TR-025, TR-026, TR-038
fn a_client_without_the_grant_is_told_so_after_it_authenticated() {
    let registered = |grant_types: Value| {
        let mut registration = json!({ "client_id": "c", "client_secret": "a long secret", "scope": "write" });
        if !grant_types.is_null() {
            registration["grant_types"] = grant_types;
        }
        client(registration)
    };
    // Absent means RFC 7591's `authorization_code`.
    for grant_types in [Value::Null, json!([]), json!(["authorization_code"]), json!(["Client_Credentials"])] {
        let server = server(config(json!({})), [registered(grant_types.clone())]);
        for scope in ["write", "unknown"] {
            let sent = Sent::form(format!("grant_type=client_credentials&scope={scope}"));
            let right = token(&server, &sent.clone().basic("c", "a long secret"));
            assert_eq!(right.outcome(), (400, "unauthorized_client".into()), "{grant_types} {scope}");
            let wrong = token(&server, &sent.basic("c", "a wrong secret"));
            assert_eq!(wrong.outcome(), (401, "invalid_client".into()), "{grant_types} {scope}");
        }
        assert!(server.tokens().is_empty());
    }
    let with_the_grant = server(config(json!({})), [registered(json!(["authorization_code", "client_credentials"]))]);
    let sent = Sent::form("grant_type=client_credentials&scope=write").basic("c", "a long secret");
    assert_eq!(token(&with_the_grant, &sent).status, 200);
}

#[test]
// req: TR-009, TR-022
fn an_empty_parameter_is_an_omitted_one() {
    let resource = "https://api.example.com";
    let config =
        config(json!({ "default_scopes": ["write"], "resources": [resource], "default_resources": [resource] }));
    let server = server(config, [my_client()]);
    let omitted = "grant_type=client_credentials&client_id=myClient&client_secret=mySecret";
    for empty in [
        "scope=",
        "scope",
        "resource=",
        "resource=&resource",
        "authorization_details=",
        "client_assertion=&client_assertion_type=",
        "audience=",
    ] {
        let answer = token(&server, &Sent::form(format!("{empty}&{omitted}")));
        assert_eq!((answer.status, &*answer.text("scope")), (200, "write"), "{empty}");
        let described = described(&server, &answer.text("access_token"));
        assert_eq!(described["aud"], resource, "{empty}");
    }
}

#[test]
// req: TR-010, TR-019, TR-033
fn a_known_parameter_stands_once_even_when_empty() {
    let server = seed_server();
    for name in KNOWN.split(' ') {
        let own = format!("{name}=");
        let value = SEED.split('&').find_map(|pair| pair.strip_prefix(&own)).unwrap_or("x");
        let others: Vec<&str> = SEED.split('&').filter(|pair| !pair.starts_with(&own)).collect();
        let escaped = name.replace('_', "%5F").replacen(|_| true, &format!("%{:02x}", name.as_bytes()[0]), 1);
        for copies in [
            format!("{name}={value}&{name}={value}"),
            format!("{name}=&{name}={value}"),
            format!("{name}={value}&{name}"),
            format!("{name}&{name}="),
            format!("{name}={value}&{escaped}={value}"),
        ] {
            let answer = token(&server, &Sent::form(format!("{}&{copies}", others.join("&"))));
            assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{copies}");
            assert_eq!(answer.text("error_description"), format!("The parameter {name} is repeated."), "{copies}");
        }
    }
    assert!(server.tokens().is_empty());
}

#[test]
// req: TR-011, TR-032
fn resource_and_audience_may_repeat_and_audience_has_no_effect() {
    let resources = ["https://a.example.com", "https://b.example.com"];
    let server = server(config(json!({ "resources": resources })), [my_client()]);
    let ask = |more: &str| {
        let answer = token(&server, &seed_and(more));
        assert_eq!(answer.status, 200, "{more}");
        let described = described(&server, &answer.text("access_token"));
        (described["scope"].clone(), described["aud"].clone())
    };
    let both = "resource=https://a.example.com&resource=https://b.example.com";
    assert_eq!(ask(both), ("write".into(), json!(resources)));
    for audience in ["audience=https://other&audience=https://other", "audience=https://a.example.com", "audience=%20x"]
    {
        assert_eq!(ask(audience), ("write".into(), Value::Null), "{audience}");
        assert_eq!(ask(&format!("{both}&{audience}")), ("write".into(), json!(resources)), "{audience}");
    }
}

#[test]
// req: TR-012, TR-013
fn an_unknown_parameter_is_ignored_even_repeated() {
    let server = seed_server();
    for unknown in
        ["foo=bar", "foo=1&foo=2", "foo&foo=", "=x", "Scope=admin&SCOPE=admin", "callback=x", "username=a&password=b"]
    {
        let answer = token(&server, &seed_and(unknown));
        assert_eq!((answer.status, &*answer.text("scope")), (200, "write"), "{unknown}");
        let members = answer.json();
        let members: Vec<&str> = members.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members.len(), 4, "{unknown}: {members:?}");
    }
}

#[test]
// req: TR-014, HT-002
fn an_oauth_parameter_in_the_query_is_refused_at_every_endpoint() {
    let server = seed_server();
    let endpoints: [(Ask, &str); 3] =
        [(token, SEED), (introspect, "token=x&client_id=myClient&client_secret=mySecret"), (revoke, "token=x")];
    for (ask, body) in endpoints {
        let others =
            "resource audience token token_type_hint access_token refresh_token assertion code username password";
        for name in format!("{KNOWN} {others}").split(' ') {
            let escaped = name.replace('e', "%65").replace('o', "%6F");
            for query in [format!("{name}=mArKeR"), format!("trace=1&{name}"), format!("{escaped}=mArKeR&x=%zz")] {
                let answer = ask(&server, &Sent { query: query.clone(), ..Sent::form(body) });
                assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{query}");
                let description = answer.text("error_description");
                assert_eq!(description, format!("The parameter {name} belongs in the request body, not in the URL."));
            }
        }
        // By GET, with everything right, it is the method that is wrong.
        let get = Sent { method: "GET".into(), query: body.into(), body: Vec::new(), ..Sent::form("") };
        assert_eq!(ask(&server, &get).outcome(), (405, "invalid_request".into()));
    }
    assert!(server.tokens().is_empty());
}

#[test]
// req: TR-014
fn the_realm_of_a_query_never_leads_to_another_realm() {
    let server = seed_server();
    // This is how PingAM lets a request leave the realm of its path.
    for query in ["realm=/alpha", "realm=%2Falpha", "realm=/", "realm", "x=1&re%61lm=/alpha"] {
        for (_, ask, body) in ENDPOINTS {
            let sent = Sent { query: query.into(), ..Sent::form(body).basic("myClient", "mySecret") };
            let answer = ask(&server, &sent);
            assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{query}");
            assert!(answer.text("error_description").starts_with("The realm is chosen by the path"), "{query}");
        }
    }
}

#[test]
// req: TR-015
fn another_query_does_no_harm() {
    let server = seed_server();
    for query in
        ["trace=1", "=", "&&", "Client_Secret=x", "client_secret%00=x", "%zz=%zz", "x=client_secret", "scopes=a"]
    {
        let answer = token(&server, &Sent { query: query.into(), ..Sent::form(SEED) });
        assert_eq!(answer.status, 200, "{query}");
    }
}

#[test]
// req: TR-016, TR-019, TR-020, TR-021
fn names_and_values_are_decoded_once_and_parted_by_ampersands() {
    let secret = "a b+c;d=e&f%41é";
    let mut registered = my_client();
    registered.client_secrets[0] =
        client_credentials::RegisteredSecret::new("1", client_credentials::SecretVerifier::sha256(secret));
    let server = server(config(json!({})), [registered]);
    for body in [
        "grant_type=client_credentials&client_id=myClient&scope=write&client_secret=a+b%2Bc;d=e%26f%2541%C3%A9",
        "&&grant%5Ftype=client_credentials&&%63lient_id=myClient&scope=write&client_secret=a%20b%2bc%3bd%3De%26f%2541%c3%a9&",
    ] {
        assert_eq!(token(&server, &Sent::form(body)).status, 200, "{body}");
    }
    // A semicolon parts nothing, and an escape is decoded once.
    for body in [
        "grant_type=client_credentials&client_id=myClient&client_secret=a+b%2Bc;d=e%26f%2541%C3%A9&scope=write;x=y",
        "grant_type=client_credentials;client_id=myClient&scope=write",
        "grant_type=client_credentials&client_id=myClient&scope=write&client_secret=a+b%2Bc;d=e%26f%41%C3%A9",
    ] {
        assert!(matches!(token(&server, &Sent::form(body)).status, 400 | 401), "{body}");
    }
    let semicolon =
        "grant_type=client_credentials&client_id=myClient&client_secret=a+b%2Bc;d=e%26f%2541%C3%A9&scope=write;x=y";
    assert_eq!(token(&server, &Sent::form(semicolon)).error(), "invalid_scope");
}

#[test]
// req: TR-017, TR-018
fn what_cannot_be_decoded_is_refused_wherever_it_stands() {
    let server = seed_server();
    for bad in ["%zz", "%4", "%", "%-1", "% 1", "%ff%fe", "%C3", "%ED%A0%80"] {
        for place in [format!("scope={bad}"), format!("unknown={bad}"), format!("{bad}=x"), format!("resource={bad}")] {
            let answer = token(&server, &Sent::form(format!("{place}&{}", SEED.replace("&scope=write", ""))));
            assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{place}");
        }
    }
    let raw_octets = [SEED.as_bytes(), b"&x=\xff"].concat();
    assert_eq!(token(&server, &Sent::form(raw_octets)).outcome(), (400, "invalid_request".into()));
}

#[test]
// req: TR-029
fn no_parameter_changes_who_the_client_is() {
    let other = client(json!({
        "client_id": "other", "client_secret": "another secret", "scope": "write", "grant_types": ["client_credentials"],
    }));
    let server = server(config(json!({})), [my_client(), other]);
    let own =
        Sent::form("grant_type=client_credentials&scope=write&sub=other&user=other&username=other&client=other&iss=x");
    let answer = token(&server, &own.basic("myClient", "mySecret"));
    let described = described(&server, &answer.text("access_token"));
    assert_eq!((&described["sub"], &described["client_id"]), (&"myClient".into(), &"myClient".into()));
    let named = Sent::form("grant_type=client_credentials&scope=write&client_id=other").basic("myClient", "mySecret");
    assert_eq!(token(&server, &named).outcome(), (401, "invalid_client".into()));
}

// Order.

/// A request in the making, right in everything until something is broken.
struct Draft {
    sent: Sent,
    content_type: &'static str,
    grant_type: &'static str,
    scope: &'static str,
    authorization: (&'static str, &'static str),
    more: String,
}

impl Draft {
    fn right() -> Self {
        Self {
            sent: Sent { method: "POST".into(), ..Sent::default() },
            content_type: "application/x-www-form-urlencoded",
            grant_type: "grant_type=client_credentials",
            scope: "scope=write",
            authorization: ("myClient", "mySecret"),
            more: String::new(),
        }
    }
    fn header(&mut self, name: &str, value: &str) {
        self.sent = std::mem::take(&mut self.sent).header(name, value);
    }
    fn more(&mut self, parameter: &str) {
        self.more += "&";
        self.more += parameter;
    }
    fn sent(self) -> Sent {
        let body = format!("{}&{}{}", self.grant_type, self.scope, self.more);
        let sent = Sent { body: body.into(), ..self.sent }.header("Content-Type", self.content_type);
        match self.authorization {
            (malformed, "") => sent.header("Authorization", malformed),
            (client_id, secret) => sent.basic(client_id, secret),
        }
    }
}

fn is_of_the_proof(why: &Reason) -> bool {
    #[cfg(feature = "dpop")]
    return matches!(why, Reason::InvalidDpopProof(_));
    #[cfg(not(feature = "dpop"))]
    matches!(why, Reason::DpopNotSupported)
}

#[test]
// req: ER-015, HT-008, TR-024, TR-025, TR-026, RS-014
fn of_many_faults_the_first_stage_answers() {
    use Reason::*;
    /// How to break a request, and what it is answered then.
    type Stage = (fn(&mut Draft), u16, &'static str, fn(&Reason) -> bool);
    let stages: [Stage; 16] = [
        // What arrived.
        (|it| it.sent.method = "GET".into(), 405, "invalid_request", |why| matches!(why, MethodNotAllowed { .. })),
        (|it| it.content_type = "application/json", 400, "invalid_request", |why| matches!(why, UnsupportedMediaType)),
        (|it| it.header("Content-Encoding", "gzip"), 400, "invalid_request", |why| matches!(why, ContentEncoding)),
        (|it| it.more(&"x".repeat(MAX_BODY)), 413, "invalid_request", |why| matches!(why, BodyTooLarge)),
        (|it| it.grant_type = "%zz", 400, "invalid_request", |why| matches!(why, MalformedForm(_))),
        (|it| it.more("scope="), 400, "invalid_request", |why| matches!(why, RepeatedParameter("scope"))),
        (|it| it.sent.query = "realm=/alpha".into(), 400, "invalid_request", |why| matches!(why, ParameterInQuery(_))),
        (
            |it| it.grant_type = "grant_type=password",
            400,
            "unsupported_grant_type",
            |why| matches!(why, UnsupportedGrantType),
        ),
        // Who sent it.
        (
            |it| it.authorization = ("Basic ???", ""),
            400,
            "invalid_request",
            |why| matches!(why, MalformedAuthorization(_)),
        ),
        (|it| it.more("client_secret=x"), 400, "invalid_request", |why| matches!(why, SeveralMechanisms)),
        (|it| it.authorization.1 = "wrong", 401, "invalid_client", |why| matches!(why, WrongSecret)),
        // What it may have.
        (|it| it.header("DPoP", "x"), 400, "invalid_dpop_proof", is_of_the_proof),
        (
            |it| it.authorization = ("grantless", "a long secret"),
            400,
            "unauthorized_client",
            |why| matches!(why, GrantNotRegistered),
        ),
        (|it| it.more("resource=https://unknown"), 400, "invalid_target", |why| matches!(why, UnknownResource)),
        (
            |it| it.more("authorization_details=[]"),
            400,
            "invalid_authorization_details",
            |why| matches!(why, AuthorizationDetailsNotSupported),
        ),
        (|it| it.scope = "scope=%22", 400, "invalid_scope", |why| matches!(why, MalformedScope)),
    ];
    let grantless = client(json!({ "client_id": "grantless", "client_secret": "a long secret", "grant_types": [] }));
    let server = server(config(json!({})), [my_client(), grantless]);
    for (at, (_, status, code, is_expected)) in stages.iter().enumerate() {
        let mut draft = Draft::right();
        for (break_it, ..) in stages[at..].iter().rev() {
            break_it(&mut draft);
        }
        let error = issue(&server, &draft.sent()).unwrap_err();
        assert_eq!((error.status(), error.code().as_str()), (*status, *code), "stage {at}: {error}");
        assert!(is_expected(error.reason()), "stage {at}: {error}");
    }
    assert!(server.tokens().is_empty());
    assert!(issue(&server, &Draft::right().sent()).is_ok(), "nothing is wrong with it any more");
}

// Errors.

/// The three endpoints, and a body that each of them grants to `myClient` by Basic.
const ENDPOINTS: [(&str, Ask, &str); 3] = [
    ("token", token, "grant_type=client_credentials&scope=write"),
    ("introspection", introspect, "token=unknown"),
    ("revocation", revoke, "token=unknown"),
];

/// At least one answer of every kind that refuses, from every endpoint.
fn refusals() -> Vec<(String, Answer)> {
    let clients = || {
        let grantless = json!({ "client_id": "grantless", "client_secret": "a long secret", "grant_types": [] });
        [my_client(), client(grantless)]
    };
    let full = MemoryTokenStore::with_capacity(Capacity::default().with_tokens(0).with_one_time(0));
    let full = AuthorizationServer::new(
        config(json!({})),
        Arc::new(clients().into_iter().collect::<MemoryClientStore>()),
        Arc::new(full),
    );
    let server = server(config(json!({})), clients());
    let own = |body: &str| Sent::form(body).basic("myClient", "mySecret");
    let mut found: Vec<(String, Answer)> = Vec::new();
    for (endpoint, ask, body) in ENDPOINTS {
        let sent = [
            ("method", Sent { method: "GET".into(), ..own(body) }),
            ("media type", Sent { headers: Vec::new(), ..own(body) }),
            ("content encoding", own(body).header("Content-Encoding", "br")),
            ("size", own(&format!("{body}&x={}", "x".repeat(MAX_BODY)))),
            ("form", own(&format!("{body}&%"))),
            ("repetition", own(&format!("{body}&client_id=myClient&client_id=myClient"))),
            ("query", Sent { query: "client_id=x".into(), ..own(body) }),
            ("missing parameter", own("x=y")),
            ("malformed header", Sent::form(body).header("Authorization", "Basic")),
            ("half an assertion", Sent::form(format!("{body}&client_assertion=x"))),
            ("two mechanisms", own(&format!("{body}&client_secret=mySecret"))),
            ("nobody", Sent::form(body)),
            ("wrong secret", Sent::form(body).basic("myClient", "wrong")),
            ("unknown scheme", Sent::form(body).header("Authorization", "Bearer x")),
        ];
        found.extend(sent.map(|(name, sent)| (format!("{endpoint}: {name}"), ask(&server, &sent))));
    }
    let (_, _, body) = ENDPOINTS[0];
    let later = [
        ("grant type", own("grant_type=password")),
        ("DPoP", own(body).header("DPoP", "x")),
        ("permission", Sent::form(body).basic("grantless", "a long secret")),
        ("resource", own(&format!("{body}&resource=https://unknown"))),
        ("details", own(&format!("{body}&authorization_details=[]"))),
        ("scope", own("grant_type=client_credentials&scope=unknown")),
        ("no default", own("grant_type=client_credentials")),
    ];
    found.extend(later.map(|(name, sent)| (format!("token: {name}"), token(&server, &sent))));
    found.push(("token: store".into(), token(&full.unwrap(), &own(body))));
    let issued = token(&server, &own(body)).text("access_token");
    let stolen = Sent::form(format!("token={issued}")).basic("grantless", "a long secret");
    found.push(("revocation: not the owner".into(), revoke(&server, &stolen)));
    let client = run(server.authenticate(TokenRequest::parse(own(body).parts()).unwrap().credentials())).unwrap();
    let code = client_credentials::ErrorCode::ServerError;
    found.push((
        "token: a rule of the embedder's".into(),
        server.refuse(&client, code, "a \"cause\"\r\nof its own").into(),
    ));
    found
}

#[test]
// req: ER-001, ER-002, ER-003, ER-006, ER-009, ER-010, ER-013, HT-005, HT-006, HT-012, RV-020
fn every_refusal_is_well_formed() {
    let registered = "invalid_request invalid_client unauthorized_client unsupported_grant_type invalid_scope \
                      invalid_target invalid_authorization_details invalid_dpop_proof server_error \
                      temporarily_unavailable";
    let registered: Vec<&str> = registered.split_whitespace().collect();
    let allowed = |text: &str| text.bytes().all(|octet| matches!(octet, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E));
    let refusals = refusals();
    for (name, answer) in &refusals {
        let json = answer.json();
        let members = json.as_object().unwrap();
        let (code, description) = (json["error"].as_str().unwrap(), json["error_description"].as_str().unwrap());
        assert_eq!(members.len(), 2, "{name}: {json}");
        assert!(registered.contains(&code), "{name}: {code}");
        assert!(!description.is_empty() && allowed(code) && allowed(description), "{name}: {description}");
        let expected = match code {
            "invalid_client" => 401,
            "server_error" => 500,
            "temporarily_unavailable" => 503,
            _ if name.ends_with("method") => 405,
            _ if name.ends_with("size") => 413,
            _ => 400,
        };
        assert_eq!(answer.status, expected, "{name}: {code}");
        let mut headers =
            vec![("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache")];
        match answer.status {
            401 => headers.push(("WWW-Authenticate", "Basic realm=\"https://as.example.com\"")),
            405 => headers.push(("Allow", "POST")),
            503 => headers.push(("Retry-After", "10")),
            _ => {}
        }
        let own: Vec<(&str, &str)> = answer.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(own, headers, "{name}");
    }
    let met = |code: &&str| refusals.iter().any(|(_, answer)| answer.error() == **code);
    assert!(registered.iter().all(met), "every code was met");
}

#[test]
// req: HT-005, HT-006, HT-012, IN-017, RV-020
fn every_success_forbids_caching_too() {
    let server = seed_server();
    for (name, ask, body) in ENDPOINTS {
        let answer = ask(&server, &Sent::form(body).basic("myClient", "mySecret"));
        let headers: Vec<(&str, &str)> = answer.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Pragma", "no-cache")];
        assert_eq!((answer.status, &*headers), (200, &expected[..]), "{name}");
    }
}

/// The answer and what the operator's error shows, as one text.
fn everything_said(server: &Server, at: usize, sent: &Sent) -> (String, String) {
    let parts = sent.parts();
    let error = match at {
        0 => TokenRequest::parse(parts).and_then(|it| run(issue_client_credentials_token(server, &it))).err(),
        1 => IntrospectionRequest::parse(parts).and_then(|it| run(introspect_token(server, &it))).err(),
        _ => RevocationRequest::parse(parts).and_then(|it| run(revoke_token(server, &it))).err(),
    };
    let answer = ENDPOINTS[at].1(server, sent);
    let wire = format!("{} {:?} {}", answer.status, answer.headers, String::from_utf8(answer.body).unwrap());
    (wire, error.map_or_else(String::new, |error| format!("{error} {error:?}")))
}

#[test]
// req: ER-004, ER-012, TR-031, HT-009, SE-004
fn nothing_of_the_request_comes_back() {
    let server = server(config(json!({ "resources": ["https://api.example.com"] })), [my_client()]);
    let parameters = format!("{KNOWN} resource audience token token_type_hint mArKeR");
    // A line break behind the marker would end a header field, a quote a JSON text or the challenge's realm.
    let markers =
        ["mArKeR", "mArKeR%0D%0AX-Forged:%201", "%22mArKeR%5C%22", "mArKeR%00%1B", "https://api.example.com/mArKeR"];
    let mut asked = 0;
    for (at, (_, _, body)) in ENDPOINTS.into_iter().enumerate() {
        let own = || Sent::form(body).basic("myClient", "mySecret");
        let mut all: Vec<Sent> = Vec::new();
        for marker in markers {
            for name in parameters.split(' ') {
                let others: Vec<&str> = body.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
                let body = format!("{}&{name}={marker}", others.join("&"));
                all.push(Sent { body: body.clone().into(), ..own() });
                all.push(Sent::form(format!("{body}&client_id=myClient")));
                all.push(Sent::form(body));
                all.push(Sent { query: format!("{name}={marker}"), ..own() });
            }
            let decoded =
                marker.replace("%0D%0A", "\r\n").replace("%20", " ").replace("%22", "\"").replace("%5C", "\\");
            for name in ["Authorization", "Content-Type", "Content-Encoding", "DPoP", "Accept", "X-mArKeR"] {
                let mut sent = own();
                sent.headers.retain(|(own, _)| own != name);
                all.push(sent.header(name, &decoded));
            }
            all.push(Sent::form(body).basic(marker, "mySecret"));
            all.push(Sent::form(body).basic("myClient", marker));
            all.push(Sent::form(body).header("Authorization", format!("Basic {marker}")));
            all.push(Sent { method: decoded.clone(), ..own() });
            all.push(Sent { path: format!("/oauth2/{decoded}"), ..own() });
        }
        for sent in &all {
            let (wire, error) = everything_said(&server, at, sent);
            for said in [wire, error] {
                assert!(!said.to_lowercase().contains("marker"), "{said} of {}", String::from_utf8_lossy(&sent.body));
                assert!(!said.contains("X-Forged"), "{said}");
            }
            asked += 1;
        }
    }
    assert!(asked > 700);
}

/// A client store that remembers what it was asked for.
#[derive(Default)]
struct Asked(MemoryClientStore, Mutex<Vec<String>>);

impl ClientStore for Asked {
    async fn client(&self, client_id: &str) -> Result<Option<Arc<Client>>, StoreError> {
        self.1.lock().unwrap().push(client_id.to_owned());
        Ok(self.0.get(client_id))
    }
}

#[test]
// req: TR-031, SE-010
fn what_is_no_client_id_never_reaches_the_store_and_the_rest_reaches_it_as_it_is() {
    let server = AuthorizationServer::new(config(json!({})), Asked::default(), MemoryTokenStore::default()).unwrap();
    let ask = |sent: Sent| {
        let request = TokenRequest::parse(sent.parts()).map(|it| run(issue_client_credentials_token(&server, &it)));
        request.and_then(|answer| answer).map(|_| ()).map_err(|error| error.status())
    };
    let post = |id: &str| {
        let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        Sent::form(format!("grant_type=client_credentials&client_id={id}&client_secret=x"))
    };
    for id in ["a\0b", "a\r\nb", "\u{1b}[31m", "a\tb", "a\u{85}b", "\u{7f}"] {
        assert_eq!(ask(post(id)), Err(401), "{id:?}");
        assert!(matches!(ask(Sent::form("grant_type=client_credentials").basic(id, "x")), Err(400 | 401)), "{id:?}");
    }
    assert_eq!(*server.clients().1.lock().unwrap(), [""; 0]);
    let hostile = ["' OR 1=1 --", "*", "../x", "{client}", "client:*", "a/b", "%00", "\u{202e}x", "😀"];
    for id in hostile {
        assert_eq!(ask(post(id)), Err(401), "{id:?}");
    }
    assert_eq!(*server.clients().1.lock().unwrap(), hostile);
    assert!(server.tokens().is_empty() && server.clients().0.is_empty());
}

#[test]
// req: TR-028
fn a_refused_request_leaves_no_token_behind() {
    let refused = [
        SEED.replace("write", "unknown"),
        SEED.replace("mySecret", "wrong"),
        SEED.replace("&scope=write", ""),
        format!("{SEED}&resource=https://unknown"),
        format!("{SEED}&authorization_details=[]"),
        format!("{SEED}&scope=write"),
    ];
    let server = seed_server();
    assert_eq!(token(&server, &Sent::form(SEED)).status, 200);
    for body in refused {
        let answer = token(&server, &Sent::form(&*body));
        assert!(matches!(answer.status, 400 | 401), "{body}");
        assert_eq!((server.tokens().len(), &*answer.text("access_token")), (1, ""), "{body}");
    }
    assert_eq!(token(&server, &Sent::form(SEED).header("DPoP", "x")).status, 400);
    assert_eq!(server.tokens().len(), 1);
}

#[test]
// req: ER-011
fn the_operator_gets_the_cause_and_the_client_its_public_face() {
    let server = seed_server();
    for (wrong, of) in [("mySecret", "myClient"), ("wrong", "nobody")] {
        let sent = Sent::form(SEED.replace("myClient", of).replace("mySecret", wrong).replace("write", "unknown"));
        let error = issue(&server, &sent).unwrap_err();
        assert_eq!(matches!(error.reason(), Reason::UnknownClient), of == "nobody");
        assert_eq!(matches!(error.reason(), Reason::ScopeNotPermitted), of == "myClient");
        let public = (error.status(), error.code().as_str().to_owned(), error.description().into_owned());
        let answer = token(&server, &sent);
        assert_eq!(public, (answer.status, answer.error(), answer.text("error_description")));
        assert_eq!(answer, Answer::from(error), "nothing else is sent");
    }
}

#[test]
// req: ER-014
fn the_realm_of_the_challenge_is_a_quoted_string() {
    let challenge = |issuer: &str| {
        let server = AuthorizationServer::new(
            client_credentials::Config::new(issuer),
            MemoryClientStore::default(),
            MemoryTokenStore::default(),
        )
        .map_err(|error| error.faults[0].key.clone())?;
        let sent = Sent::form("grant_type=client_credentials");
        let error = run(server.authenticate(TokenRequest::parse(sent.parts()).unwrap().credentials())).unwrap_err();
        let challenges: Vec<_> = error.headers().filter(|(name, _)| *name == "WWW-Authenticate").collect();
        assert_eq!(challenges.len(), 1);
        Ok::<_, String>(challenges[0].1.clone().into_owned())
    };
    let odd = "https://as.example.com/a'b(c)!*;=,$&+@:~%22%5C";
    assert_eq!(challenge(odd), Ok(format!("Basic realm=\"{odd}\"")));
    for bad in
        ["https://as/\"", "https://as/\\", "https://as/a b", "https://as/\r\nX: y", "https://as/é", "https://as/\0"]
    {
        assert_eq!(challenge(bad), Err("issuer".into()), "{bad:?}");
    }
}

// HTTP, as far as it is the library's.

#[test]
// req: HT-001, HT-002, HT-008
fn other_methods_are_not_allowed_and_say_so_before_anything_else() {
    let server = seed_server();
    for (_, ask, _) in ENDPOINTS {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "Post", "POST ", ""] {
            let right = Sent { method: method.into(), ..Sent::form(SEED) };
            let broken = Sent { method: method.into(), body: "%zz".into(), ..Sent::default() };
            let in_the_query = Sent { method: method.into(), query: SEED.into(), ..Sent::default() };
            for sent in [right, broken, in_the_query] {
                let answer = ask(&server, &sent);
                assert_eq!((answer.outcome(), answer.header("Allow")), ((405, "invalid_request".into()), Some("POST")));
            }
        }
    }
}

#[test]
// req: HT-003, HT-004, HT-008, HT-010
fn only_a_plain_form_is_read() {
    let server = seed_server();
    let of_type =
        |media_type: &str| Sent { headers: Vec::new(), ..Sent::form(SEED) }.header("Content-Type", media_type);
    for good in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8;x=\"a;b\"",
        "application/x-www-form-urlencoded ; x",
        " application/x-www-form-urlencoded ",
    ] {
        assert_eq!(token(&server, &of_type(good)).status, 200, "{good}");
    }
    for bad in [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencodedx",
        "xapplication/x-www-form-urlencoded",
        "application/x-www-form-urlencoded, application/json",
        "application/json; application/x-www-form-urlencoded",
        "application / x-www-form-urlencoded",
        "",
    ] {
        let unsupported = of_type(bad);
        let bad_grant = Sent { body: "grant_type=password".into(), ..unsupported.clone() };
        for sent in [unsupported, bad_grant] {
            assert_eq!(token(&server, &sent).outcome(), (400, "invalid_request".into()), "{bad}");
        }
    }
    let absent = Sent { headers: Vec::new(), ..Sent::form(SEED) };
    let twice = Sent::form(SEED).header("Content-Type", "application/x-www-form-urlencoded");
    let encoded = ["gzip", "identity", ""].map(|encoding| Sent::form(SEED).header("Content-Encoding", encoding));
    for sent in [absent, twice].into_iter().chain(encoded) {
        assert_eq!(token(&server, &sent).outcome(), (400, "invalid_request".into()), "{:?}", sent.headers);
    }
}

#[cfg(feature = "http")]
mod on_http_types {
    use super::*;
    use client_credentials::{Event, Realms, http as endpoint};

    fn request(sent: &Sent, path: &str) -> http::Request<Vec<u8>> {
        let target = if sent.query.is_empty() { path.to_owned() } else { format!("{path}?{}", sent.query) };
        let mut request = http::Request::builder().method(&*sent.method).uri(target);
        for (name, value) in &sent.headers {
            request = request.header(name, value.as_slice());
        }
        request.body(sent.body.clone()).unwrap()
    }

    fn answer(response: http::Response<Vec<u8>>) -> Answer {
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().iter().map(|(name, value)| (name.as_str().into(), text(value))).collect(),
            body: response.into_body(),
        }
    }

    fn with_lower_case_names(answer: Answer) -> Answer {
        let headers = answer.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        Answer { headers, ..answer }
    }

    #[test]
    // req: HT-017
    fn status_headers_and_body_are_those_of_the_library() {
        let server = seed_server();
        let own = |body: &str| Sent::form(body).basic("myClient", "mySecret");
        for (at, (_, ask, body)) in ENDPOINTS.into_iter().enumerate() {
            for sent in [
                Sent { method: "GET".into(), ..own(body) },
                Sent { headers: Vec::new(), ..own(body) },
                Sent { query: "token=x".into(), ..own(body) },
                own(body).header("Content-Encoding", "br"),
                own(body).header("Authorization", "Basic x"),
                own("x=y"),
                own("token=unknown"),
                Sent::form(body),
                own(&body.replace("write", "unknown")),
                own(&format!("{body}&x={}", "x".repeat(MAX_BODY))),
                own(body).header("DPoP", "x"),
            ] {
                let request = request(&sent, "/");
                let response = match at {
                    0 => run(endpoint::token(&server, &request)),
                    1 => run(endpoint::introspection(&server, &request)),
                    _ => run(endpoint::revocation(&server, &request)),
                };
                let direct = ask(&server, &sent);
                let random = direct.text("access_token");
                let same =
                    |answer: Answer| if random.is_empty() { answer } else { Answer { body: Vec::new(), ..answer } };
                assert_eq!(
                    same(answer(response)),
                    same(with_lower_case_names(direct)),
                    "{sent:?}",
                    sent = sent.headers
                );
            }
        }
    }

    #[test]
    // req: HT-015, HT-001, HT-005, HT-012, MD-018, MD-019, MD-021
    fn every_path_has_one_answer() {
        let realms = Realms::new(seed_server());
        let ask = |method: &str, path: &str| {
            let sent = Sent { method: method.into(), ..Sent::form(SEED) };
            answer(run(endpoint::respond(&realms, &request(&sent, path))))
        };
        for path in
            ["/", "/oauth2", "/oauth2/", "/oauth2/access_token/", "/oauth2/authorize", "/healthz", "/OAuth2/token"]
        {
            let answer = ask("POST", path);
            assert_eq!(answer.outcome(), (404, "invalid_request".into()), "{path}");
            assert_eq!(answer.text("access_token"), "", "{path}");
        }
        assert_eq!(ask("POST", "/oauth2/access_token").status, 200);
        assert_eq!(ask("POST", "/oauth2/token").status, 200);
        for path in ["/.well-known/oauth-authorization-server", "/oauth2/connect/jwk_uri"] {
            for (method, status, allow) in [("GET", 200, None), ("HEAD", 200, None), ("POST", 405, Some("GET, HEAD"))] {
                let answer = ask(method, path);
                assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {path}");
                assert_eq!(answer.header("content-type"), Some("application/json"));
                assert_eq!(answer.header("cache-control"), Some("no-store"));
            }
        }
        assert_eq!(ask("GET", "/oauth2/connect/jwk_uri").body, br#"{"keys":[]}"#);
        let metadata = ask("GET", "/.well-known/oauth-authorization-server").json();
        assert_eq!(metadata["token_endpoint"], "https://as.example.com/oauth2/access_token");
    }

    #[test]
    // req: SE-018
    fn one_request_is_one_event_also_when_it_cannot_be_parsed() {
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&events);
        let server = seed_server().on_event(move |event: &Event<'_>| log.lock().unwrap().push(event.to_string()));
        let peer = std::net::SocketAddr::from(([192, 0, 2, 7], 4711));
        let own = |body: &str| Sent::form(body).basic("myClient", "mySecret");
        for (at, (name, _, body)) in ENDPOINTS.into_iter().enumerate() {
            for (sent, outcome) in [
                (own(body), ["issued", "introspected active=false", "revoked"][at]),
                (own("x=y"), "refused status=400 error=invalid_request"),
                (Sent { method: "GET".into(), ..own(body) }, "refused status=405 error=invalid_request"),
                (Sent::form(body).header("Authorization", "Basic"), "refused status=400 error=invalid_request"),
                (Sent::form(body).basic("myClient", "wrong"), "refused status=401 error=invalid_client"),
            ] {
                let mut request = request(&sent, "/");
                request.extensions_mut().insert(peer);
                let _ = match at {
                    0 => run(endpoint::token(&server, &request)),
                    1 => run(endpoint::introspection(&server, &request)),
                    _ => run(endpoint::revocation(&server, &request)),
                };
                let told = std::mem::take(&mut *events.lock().unwrap());
                assert_eq!(told.len(), 1, "{told:?}");
                assert!(told[0].starts_with(&format!("endpoint={name} issuer=https://as.example.com ")), "{told:?}");
                assert!(
                    told[0].contains(" peer=192.0.2.7 ") && told[0].contains(&format!(" outcome={outcome}")),
                    "{told:?}"
                );
            }
        }
    }
}

// Limits (security.md §2): each at the limit, one beyond, and ten times it.

/// The reason of a refusal in a word; empty for a success.
fn refusal(server: &Server, sent: &Sent) -> String {
    issue(server, sent).map_or_else(|error| format!("{} {}", error.status(), error.reason()), |_| String::new())
}

#[test]
// req: HT-007, SE-011
fn the_body_is_at_most_64_kib() {
    assert_eq!(MAX_BODY, 64 * 1024);
    let server = seed_server();
    for (_, ask, body) in ENDPOINTS {
        let of = |octets: usize| {
            let padding = "x".repeat(octets - body.len() - 3);
            Sent::form(format!("{body}&x={padding}")).basic("myClient", "mySecret")
        };
        assert_eq!(of(MAX_BODY).body.len(), MAX_BODY);
        assert_eq!(ask(&server, &of(MAX_BODY)).status, 200);
        for octets in [MAX_BODY + 1, 10 * MAX_BODY] {
            assert_eq!(ask(&server, &of(octets)).outcome(), (413, "invalid_request".into()), "{octets}");
        }
    }
    assert_eq!(token(&server, &Sent::form(SEED)).status, 200, "the server goes on");
}

#[test]
// req: SE-011
fn a_form_has_at_most_256_pairs_with_names_of_128_octets() {
    let server = seed_server();
    let own = SEED.split('&').count();
    for filler in ["&x=1", "&x", "&=", "&audience="] {
        assert_eq!(refusal(&server, &Sent::form(SEED.to_owned() + &filler.repeat(256 - own))), "", "{filler}");
        for pairs in [257, 2560] {
            let refusal = refusal(&server, &Sent::form(SEED.to_owned() + &filler.repeat(pairs - own)));
            assert!(refusal.starts_with("400 the form is malformed: too many"), "{pairs} {filler}: {refusal}");
        }
    }
    for unit in ["n", "%6E"] {
        assert_eq!(refusal(&server, &seed_and(&format!("{}=1", unit.repeat(128)))), "", "{unit}");
        for octets in [129, 1280] {
            let refusal = refusal(&server, &seed_and(&format!("{}=1", unit.repeat(octets))));
            assert!(refusal.starts_with("400 the form is malformed: too many"), "{octets} {unit}: {refusal}");
        }
    }
}

#[test]
// req: CA-040, SE-011
fn a_client_id_has_at_most_255_octets_and_a_secret_1024() {
    let (id, secret) = ("i".repeat(255), "s".repeat(1024));
    let registered = client(json!({
        "client_id": id, "client_secret": secret, "scope": "write", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
    }));
    assert!(registered.validate(&config(json!({}))).is_empty());
    let clients = Asked::default();
    clients.0.insert(registered);
    let server = AuthorizationServer::new(config(json!({})), clients, MemoryTokenStore::default()).unwrap();
    let ask = |id: &str, secret: &str| {
        let body = "grant_type=client_credentials";
        let post = Sent::form(format!("{body}&client_id={id}&client_secret={secret}"));
        let outcomes = [post, Sent::form(body).basic(id, secret)].map(|sent| {
            let request = TokenRequest::parse(sent.parts()).unwrap();
            run(server.authenticate(request.credentials())).map_err(|error| error.status()).err().unwrap_or(200)
        });
        assert_eq!(outcomes[0], outcomes[1]);
        (outcomes[0], server.clients().1.lock().unwrap().drain(..).count())
    };
    assert_eq!(ask(&id, &secret), (200, 2));
    for octets in [256, 2550] {
        assert_eq!(ask(&"i".repeat(octets), &secret), (401, 0), "an id of {octets} octets is not looked up");
    }
    assert_eq!(ask(&id, &"s".repeat(1025)), (401, 0), "a secret that nobody can have asks for nobody");
    let post = Sent::form(format!("grant_type=client_credentials&client_id={id}&client_secret={}", "s".repeat(10240)));
    let request = TokenRequest::parse(post.parts()).unwrap();
    assert!(matches!(
        run(server.authenticate(request.credentials())).unwrap_err().reason(),
        Reason::CredentialsTooLong("client_secret")
    ));
    // Beyond the limits nothing can be registered either.
    let too_long = json!({ "client_id": "c", "client_secret": "s".repeat(1025) });
    assert_eq!(client(too_long).validate(&config(json!({})))[0].key, "client_secret");
    assert!(client_credentials::ClientId::new("i".repeat(256)).is_err());
}

#[test]
// req: SE-011, CA-040
fn the_authorization_header_has_at_most_8_kib() {
    let server = seed_server();
    let credentials = "bXlDbGllbnQ6bXlTZWNyZXQ=";
    let of = |octets: usize| {
        let spaces = " ".repeat(octets - "Basic".len() - credentials.len());
        Sent::form("grant_type=client_credentials&scope=write")
            .header("Authorization", format!("Basic{spaces}{credentials}"))
    };
    assert_eq!(refusal(&server, &of(8192)), "");
    for octets in [8193, 81920] {
        assert_eq!(refusal(&server, &of(octets)), "400 the Authorization header is malformed: over the limit");
    }
}

/// A scope value of so many distinct tokens and octets.
fn scope_of(tokens: usize, octets: usize) -> String {
    let (letters, width) = (octets - (tokens - 1), (octets - (tokens - 1)) / tokens);
    let token =
        |at: usize| format!("{at:0>width$}", width = if at == 0 { letters - width * (tokens - 1) } else { width });
    (0..tokens).map(token).collect::<Vec<_>>().join(" ")
}

#[test]
// req: SE-011
fn a_scope_has_at_most_4096_octets_in_64_tokens_of_256() {
    for (at_limit, beyond) in [
        (scope_of(64, 4096), [scope_of(64, 4097), scope_of(64, 40960)]),
        (scope_of(64, 4 * 64), [scope_of(65, 4 * 65), scope_of(640, 4 * 640)]),
        (scope_of(1, 256), [scope_of(1, 257), scope_of(1, 2560)]),
    ] {
        let mut registered = my_client();
        registered.scope = Some(at_limit.parse().unwrap());
        let server = server(config(json!({})), [registered]);
        let ask = |scope: &str| refusal(&server, &Sent::form(SEED.replace("write", &scope.replace(' ', "+"))));
        assert_eq!(ask(&at_limit), "");
        for scope in beyond {
            assert_eq!(ask(&scope), "400 the scope is malformed", "{} octets", scope.len());
        }
    }
    // Repeated tokens count before they are dropped.
    let server = seed_server();
    let ask = |times: usize| refusal(&server, &Sent::form(SEED.replace("write", &vec!["write"; times].join("+"))));
    assert_eq!((ask(64).as_str(), ask(65).as_str()), ("", "400 the scope is malformed"));
}

#[test]
// req: SE-011
fn a_request_has_at_most_16_resources_of_2048_octets() {
    let numbered: Vec<String> = (0..160).map(|number| format!("https://r{number}.example.com")).collect();
    let longest = format!("https://long.example.com/{}", "x".repeat(2048 - 25));
    assert_eq!(longest.len(), 2048);
    let known: Vec<&str> = numbered.iter().chain([&longest]).map(String::as_str).collect();
    let server = server(config(json!({ "resources": known })), [my_client()]);
    let ask = |resources: &[String]| {
        let all: Vec<String> = resources.iter().map(|resource| format!("resource={resource}")).collect();
        refusal(&server, &seed_and(&all.join("&")))
    };
    assert_eq!(ask(&numbered[..16]), "");
    assert_eq!(ask(&numbered[..17]), "400 the requested resources are over the limit");
    assert_eq!(ask(&numbered), "400 the requested resources are over the limit");
    assert_eq!(ask(std::slice::from_ref(&longest)), "");
    for more in [1, 9 * 2048] {
        let over = format!("{longest}{}", "x".repeat(more));
        assert_eq!(ask(&[over]), "400 the requested resources are over the limit");
    }
}

/// A token store that counts how often it is asked.
#[derive(Default)]
struct Counted(MemoryTokenStore, AtomicUsize);

impl TokenStore for Counted {
    async fn insert(&self, records: &[Record], now: Timestamp) -> Result<Inserted, StoreError> {
        self.0.insert(records, now).await
    }
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.get(key).await
    }
    async fn remove(&self, key: &RecordKey) -> Result<bool, StoreError> {
        self.0.remove(key).await
    }
}

#[test]
// req: SE-011, IN-004, RV-004
fn a_token_of_over_16_kib_is_unknown_without_a_look() {
    let clients: MemoryClientStore = [my_client()].into_iter().collect();
    let server = AuthorizationServer::new(config(json!({})), clients, Counted::default()).unwrap();
    for (octets, looks) in [(16 * 1024, 1), (16 * 1024 + 1, 0), (60 * 1024, 0)] {
        let sent = Sent::form(format!("token={}", "t".repeat(octets))).basic("myClient", "mySecret");
        let request = IntrospectionRequest::parse(sent.parts()).unwrap();
        assert_eq!(run(introspect_token(&server, &request)).unwrap().body(), br#"{"active":false}"#);
        let request = RevocationRequest::parse(sent.parts()).unwrap();
        assert_eq!(run(revoke_token(&server, &request)).unwrap().body(), b"{}");
        assert_eq!(server.tokens().1.swap(0, Ordering::SeqCst), 2 * looks, "{octets} octets");
    }
    let ten_times = Sent::form(format!("token={}", "t".repeat(160 * 1024))).basic("myClient", "mySecret");
    assert_eq!(IntrospectionRequest::parse(ten_times.parts()).unwrap_err().status(), 413);
    assert_eq!(RevocationRequest::parse(ten_times.parts()).unwrap_err().status(), 413);
}

#[test]
// req: RA-010
fn details_are_refused_where_they_are_not_supported() {
    let server = seed_server();
    for details in ["[]", "%5B%7B%22type%22%3A%22payment%22%7D%5D", "x"] {
        let answer = token(&server, &seed_and(&format!("authorization_details={details}")));
        assert_eq!(answer.outcome(), (400, "invalid_authorization_details".into()), "{details}");
    }
    assert!(server.tokens().is_empty(), "and no weaker token is issued");
}

#[test]
// req: SE-012
fn deeply_nested_details_are_refused() {
    let server = seed_server();
    for opening in ["[", "{\"type\":"] {
        let nested = opening.repeat((MAX_BODY - 200) / opening.len());
        let answer = token(&server, &seed_and(&format!("authorization_details={nested}")));
        assert_eq!(answer.outcome(), (400, "invalid_authorization_details".into()), "{opening}");
    }
}

proptest! {
    #[test]
    // req: SE-007, ER-003, ER-013
    fn no_octets_make_it_panic_or_answer_badly(
        endpoint in 0..3_usize,
        method in prop_oneof![4 => Just("POST".to_owned()), 1 => ".{0,8}"],
        media_type in prop_oneof![4 => Just(b"application/x-www-form-urlencoded".to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..40)],
        authorization in prop_oneof![
            Just(None),
            Just(Some(b"Basic bXlDbGllbnQ6bXlTZWNyZXQ=".to_vec())),
            prop::collection::vec(any::<u8>(), 0..60).prop_map(Some),
            "Basic [A-Za-z0-9+/]{0,40}={0,2}".prop_map(|text| Some(text.into_bytes())),
        ],
        known in prop::sample::subsequence(vec!["grant_type=client_credentials", "scope=write", "client_id=myClient", "client_secret=mySecret", "token=x", "resource=urn:x"], 0..6),
        noise in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"%+&=; scope"[..])], 0..60),
        query in prop_oneof![3 => Just(String::new()), 1 => ".{0,30}"],
    ) {
        let server = seed_server();
        let mut body = known.join("&").into_bytes();
        body.extend(noise);
        let mut sent = Sent { method, query, path: "/".into(), headers: Vec::new(), body, certificate: None }
            .header("Content-Type", media_type);
        if let Some(authorization) = authorization {
            sent = sent.header("Authorization", authorization);
        }
        let answer = ENDPOINTS[endpoint].1(&server, &sent);
        let json = answer.json();
        let granted = answer.status == 200;
        prop_assert_eq!(json["error"].is_null(), granted);
        prop_assert_eq!(answer.header("WWW-Authenticate").is_some(), answer.status == 401);
        let description = json["error_description"].as_str().unwrap_or("-");
        prop_assert!(description.bytes().all(|octet| matches!(octet, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)));
    }
}
