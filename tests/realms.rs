//! Realms: several servers behind PingAM's paths, on one token store.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "where a test cannot go on it has failed")]

mod support;

use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Config, Endpoint, Fault, RandomError, RandomSource, Realms, check_realm_path,
    metadata_path,
};
use serde_json::{Value, json};
use std::sync::Arc;
use support::*;

const ISSUER: &str = "https://as.example.com";
const BODY: &str = "grant_type=client_credentials&scope=write";

/// A client for `write` by Basic and post with this secret.
fn registered(client_id: &str, secret: &str) -> Client {
    client(json!({
        "client_id": client_id, "client_secret": secret, "scope": "write", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
    }))
}

/// A server of a configuration on a store that others have too.
fn realm(config: Config, tokens: &Arc<MemoryTokenStore>, clients: impl IntoIterator<Item = Client>) -> Server {
    let clients = Arc::new(clients.into_iter().collect::<MemoryClientStore>());
    AuthorizationServer::new(config, clients, Arc::clone(tokens)).unwrap().with_clock(TestClock::at(NOW))
}

/// `/`, `/alpha` and `/alpha/beta`, each with the page's `myClient` under a secret of its own, on one token store.
fn realms() -> TestRealms {
    let (tokens, root) = (Arc::default(), Config::new(ISSUER));
    let below = |path: &str, secret: &str| realm(root.for_realm(path), &tokens, [registered("myClient", secret)]);
    Realms::new(realm(
        root.clone(),
        &tokens,
        [registered("myClient", "secret of root"), registered("rootOnly", "mySecret")],
    ))
    .with_realm("/alpha", below("/alpha", "mySecret"))
    .and_then(|realms| realms.with_realm("/alpha/beta", below("/alpha/beta", "secret of beta")))
    .unwrap()
}

/// The realm and the server that a path leads to.
fn at<'a>(realms: &'a TestRealms, path: &str) -> (&'a str, &'a Server, Endpoint) {
    let route = realms.route(path).ok_or_else(|| format!("{path} leads nowhere")).unwrap();
    (route.realm, route.server, route.endpoint)
}

fn server_of<'a>(realms: &'a TestRealms, path: &str) -> &'a Server {
    realms.iter().find(|(own, _)| *own == path).unwrap().1
}

#[test]
// req: TR-037, RR-001
fn the_example_of_the_page_works_unchanged() {
    let realms = realms();
    let (_, server, endpoint) = at(&realms, "/oauth2/realms/root/realms/alpha/access_token");
    assert_eq!(endpoint, Endpoint::Token);
    let body = "client_id=myClient&client_secret=mySecret&grant_type=client_credentials&scope=write";
    let answer = token(server, &Sent::form(body));
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(
        (&json["scope"], &json["token_type"], &json["expires_in"]),
        (&"write".into(), &"Bearer".into(), &3600.into())
    );
}

#[test]
// req: RR-001, RR-002, RR-003, RR-011, RR-013, RR-016
fn every_endpoint_of_every_realm_has_its_path() {
    let realms = realms();
    for (prefix, realm) in [
        ("/oauth2", "/"),
        ("/oauth2/realms/root", "/"),
        ("/oauth2/realms/root/realms/alpha", "/alpha"),
        ("/oauth2/realms/root/realms/%61lpha", "/alpha"),
        ("/oauth2/realms/root/realms/alpha/realms/beta", "/alpha/beta"),
    ] {
        for (end, expected) in [
            ("access_token", Endpoint::Token),
            ("token", Endpoint::Token),
            ("introspect", Endpoint::Introspection),
            ("token/revoke", Endpoint::Revocation),
            ("connect/jwk_uri", Endpoint::Jwks),
            (".well-known/oauth-authorization-server", Endpoint::Metadata),
        ] {
            let (own, server, endpoint) = at(&realms, &format!("{prefix}/{end}"));
            assert_eq!((own, endpoint), (realm, expected), "{prefix}/{end}");
            let issuer = if realm == "/" { ISSUER.to_owned() } else { format!("{ISSUER}/realms{realm}") };
            assert_eq!(server.config().issuer, issuer);
        }
    }
}

#[test]
// req: RR-010, RR-012, RR-018, HT-015
fn every_other_path_leads_nowhere() {
    let realms = realms();
    for realm in [
        "gamma",
        "Alpha",
        "ALPHA",
        "alpha/realms/Beta",
        "beta",
        "alpha/beta",
        "alpha%2Frealms%2Fbeta",
        "alpha%2fbeta",
        "alpha%2F..",
        "..",
        ".",
        "%2e%2e",
        "alpha/..",
        "alpha/realms/..",
        "alpha/realms/.",
        "",
        "alpha/realms/",
        "/alpha",
        "alpha/",
        "alpha%00",
        "alpha%20",
        "alpha+",
        "%61%6cpha%zz",
        "alpha;x=1",
        "alpha%5C",
        "alpha%3F",
        "root",
        "root/realms/alpha",
        "%2561lpha",
        "ａlpha",
        "alpha/realms/beta/realms/gamma",
    ] {
        let path = format!("/oauth2/realms/root/realms/{realm}/access_token");
        assert!(realms.route(&path).is_none(), "{path}");
    }
    let deep = format!("/oauth2/realms/root{}/access_token", "/realms/alpha".repeat(100_000));
    for path in [
        "",
        "/",
        "/oauth2",
        "/oauth2/",
        "/oauth2//access_token",
        "//oauth2/access_token",
        "/oauth2/access_token/",
        "/oauth2/access_token?x",
        "/oauth2/Access_Token",
        "/OAuth2/access_token",
        "/oauth2/alpha/access_token",
        "/oauth2/realms/alpha/access_token",
        "/oauth2/realms/root/alpha/access_token",
        "/oauth2/Realms/root/access_token",
        "/oauth2/realms/Root/access_token",
        "/oauth2/../oauth2/access_token",
        "/oauth2/realms/root/realms/alpha",
        "/oauth2/authorize",
        "/oauth2/revoke",
        "/access_token",
        "oauth2/access_token",
        "/.well-known/oauth-authorization-server/",
        "/.well-known/oauth-authorization-server/alpha",
        "/.well-known/oauth-authorization-serverx",
        &deep,
    ] {
        assert!(realms.route(path).is_none(), "{path:.80}");
    }
}

#[cfg(feature = "http")]
#[test]
// req: RR-010, RR-014
fn over_http_an_unknown_realm_is_like_any_unknown_path() {
    let realms = realms();
    let ask = |path: &str| {
        let request = http::Request::post(path).header("Content-Type", "application/x-www-form-urlencoded");
        let request = request
            .body("grant_type=client_credentials&client_id=myClient&client_secret=mySecret&scope=write")
            .unwrap();
        let response = run(client_credentials::http::respond(&realms, &request));
        let challenge = response.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), challenge, String::from_utf8(response.into_body()).unwrap())
    };
    let unknown = ask("/oauth2/realms/root/realms/gamma/access_token");
    assert_eq!((unknown.0, &unknown.1), (404, &None));
    assert!(!unknown.2.contains("gamma") && !unknown.2.contains("access_token"), "{}", unknown.2);
    for path in [
        "/oauth2/realms/root/realms/alpha/realms/gamma/access_token",
        "/oauth2/realms/root/realms/Alpha/access_token",
        "/nowhere",
    ] {
        assert_eq!(ask(path), unknown, "{path}");
    }
    assert_eq!(ask("/oauth2/realms/root/realms/alpha/access_token").0, 200);
    let (status, challenge, _) = ask("/oauth2/realms/root/realms/alpha/realms/beta/access_token");
    assert_eq!((status, challenge.unwrap()), (401, format!("Basic realm=\"{ISSUER}/realms/alpha/beta\"")));
}

// What realms keep apart.

#[test]
// req: RR-004, RR-005, RR-014
fn a_client_of_one_realm_is_unknown_in_another() {
    let realms = realms();
    let secrets = [("/", "secret of root"), ("/alpha", "mySecret"), ("/alpha/beta", "secret of beta")];
    for (realm, server) in realms.iter() {
        for (owner, secret) in secrets {
            for sent in [
                Sent::form(BODY).basic("myClient", secret),
                Sent::form(format!("{BODY}&client_id=myClient&client_secret={}", secret.replace(' ', "+"))),
            ] {
                let answer = token(server, &sent);
                assert_eq!(answer.status, if owner == realm { 200 } else { 401 }, "{owner}'s at {realm}");
                if answer.status == 401 {
                    let challenge = format!("Basic realm=\"{}\"", server.config().issuer);
                    assert_eq!(answer.header("WWW-Authenticate"), Some(&*challenge), "{realm}");
                }
            }
        }
        let root_only = token(server, &Sent::form(BODY).basic("rootOnly", "mySecret"));
        assert_eq!(root_only.status, if realm == "/" { 200 } else { 401 }, "{realm}");
    }
}

/// The same octets again and again.
struct Same;

impl RandomSource for Same {
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError> {
        octets.fill(7);
        Ok(())
    }
}

/// Two realms on one token store, with one client of the same id and secret in each.
fn twins() -> (Server, Server) {
    let (tokens, root) = (Arc::default(), Config::new(ISSUER));
    let clients = || {
        let inspector = json!({ "client_id": "inspector", "client_secret": "mySecret", "may_introspect": true });
        [registered("myClient", "mySecret"), client(inspector)]
    };
    (realm(root.clone(), &tokens, clients()), realm(root.for_realm("/alpha"), &tokens, clients()))
}

fn about(token: &str, by: &str) -> Sent {
    Sent::form(format!("token={token}")).basic(by, "mySecret")
}

fn issued(server: &Server) -> String {
    let answer = token(server, &Sent::form(BODY).basic("myClient", "mySecret"));
    assert_eq!(answer.status, 200);
    answer.text("access_token")
}

#[test]
// req: IN-021, RV-015, ST-016
fn a_token_of_one_realm_is_unknown_in_another_on_the_same_store() {
    let (root, alpha) = twins();
    for (own, foreign) in [(&root, &alpha), (&alpha, &root)] {
        let token = issued(own);
        for client_id in ["myClient", "inspector"] {
            assert_eq!(introspect(own, &about(&token, client_id)).json()["active"], true);
            assert_eq!(introspect(foreign, &about(&token, client_id)).body, br#"{"active":false}"#);
            assert_eq!(revoke(foreign, &about(&token, "myClient")).status, 200, "an unknown token is no error");
        }
        assert_eq!(introspect(own, &about(&token, "myClient")).json()["active"], true, "and it was not revoked");
        assert_eq!(introspect(own, &about(&token, "myClient")).json()["iss"], own.config().issuer);
    }
    assert_eq!(root.tokens().len(), 2);
}

#[test]
// req: ST-016
fn the_same_text_is_a_token_of_its_own_in_each_realm() {
    let (root, alpha) = twins();
    let (root, alpha) = (root.with_random(Same), alpha.with_random(Same));
    let (of_root, of_alpha) = (issued(&root), issued(&alpha));
    assert_eq!((&of_root, root.tokens().len()), (&of_alpha, 2), "one text, two records");
    let described = [&root, &alpha].map(|server| introspect(server, &about(&of_root, "myClient")).json());
    assert_ne!(described[0]["jti"], described[1]["jti"]);
    assert_eq!(revoke(&alpha, &about(&of_alpha, "myClient")).status, 200);
    assert_eq!(introspect(&alpha, &about(&of_alpha, "myClient")).json()["active"], false);
    assert_eq!(introspect(&root, &about(&of_root, "myClient")).json()["active"], true);
}

#[test]
// req: TR-014
fn nothing_but_the_path_chooses_a_realm() {
    let (_, alpha) = twins();
    for query in ["realm=/", "realm=/beta", "realm=/alpha", "re%61lm=/"] {
        let sent = Sent { query: query.into(), ..Sent::form(BODY).basic("myClient", "mySecret") };
        assert_eq!(token(&alpha, &sent).outcome(), (400, "invalid_request".into()), "{query}");
    }
    let in_the_body = Sent::form(format!("{BODY}&realm=/")).basic("myClient", "mySecret");
    let answer = token(&alpha, &in_the_body);
    let described = introspect(&alpha, &about(&answer.text("access_token"), "myClient")).json();
    assert_eq!(described["iss"], format!("{ISSUER}/realms/alpha"), "an unknown parameter of the body is ignored");
}

// What realms decide for themselves.

#[test]
// req: RR-008, SC-027
fn a_realm_inherits_what_it_does_not_decide() {
    let mut root = Config::new(ISSUER);
    root.scopes = Some(vec!["read".into(), "write".into()]);
    root.access_token_lifetime = 600;
    root.access_token_prefix = "as_".into();
    let mut alpha = root.for_realm("/alpha");
    assert_eq!((&alpha.scopes, alpha.access_token_lifetime, &*alpha.access_token_prefix), (&root.scopes, 600, "as_"));
    alpha.scopes = Some(vec!["write".into(), "alpha-only".into()]);
    alpha.access_token_lifetime = 60;
    let tokens = Arc::default();
    let wide = || {
        let mut wide = registered("myClient", "mySecret");
        wide.scope = Some("read write alpha-only".parse().unwrap());
        [wide]
    };
    let (root, alpha) = (realm(root, &tokens, wide()), realm(alpha, &tokens, wide()));
    let granted = |server: &Server, scope: &str| {
        let sent = Sent::form(format!("grant_type=client_credentials&scope={scope}")).basic("myClient", "mySecret");
        let answer = token(server, &sent);
        assert!(answer.status == 400 || answer.text("access_token").starts_with("as_"), "inherited");
        (answer.status, answer.error(), answer.json()["expires_in"].clone())
    };
    let refused = (400, "invalid_scope".to_owned(), Value::Null);
    assert_eq!(granted(&root, "write"), (200, String::new(), 600.into()));
    assert_eq!(granted(&alpha, "write"), (200, String::new(), 60.into()));
    assert_eq!(granted(&alpha, "alpha-only").0, 200);
    assert_eq!(granted(&root, "alpha-only"), refused);
    assert_eq!(granted(&root, "read").0, 200);
    assert_eq!(granted(&alpha, "read"), refused);
}

#[test]
// req: RR-006, RR-007, RR-016, MD-014
fn a_realm_has_its_own_issuer_and_its_metadata_lead_to_it() {
    let realms = realms();
    for (path, issuer) in [
        ("/", ISSUER.to_owned()),
        ("/alpha", format!("{ISSUER}/realms/alpha")),
        ("/alpha/beta", format!("{ISSUER}/realms/alpha/beta")),
    ] {
        let server = server_of(&realms, path);
        let metadata: Value = serde_json::from_slice(&server.metadata().body()).unwrap();
        assert_eq!(metadata["issuer"], issuer);
        let well_known = metadata_path(&issuer);
        assert_eq!(well_known, format!("/.well-known/oauth-authorization-server{}", &issuer[ISSUER.len()..]));
        assert_eq!(at(&realms, &well_known).0, path, "the well-known part goes before the issuer's path");
        for (name, endpoint) in [
            ("token_endpoint", Endpoint::Token),
            ("introspection_endpoint", Endpoint::Introspection),
            ("revocation_endpoint", Endpoint::Revocation),
        ] {
            let url = metadata[name].as_str().unwrap();
            let (own, _, kind) = at(&realms, url.strip_prefix(ISSUER).unwrap());
            assert_eq!((own, kind), (path, endpoint), "{url}");
        }
    }
    let names: Vec<&str> = realms.iter().map(|(path, _)| path).collect();
    assert_eq!(names, ["/", "/alpha", "/alpha/beta"]);
}

#[test]
// req: RR-006, RR-012
fn a_name_with_odd_characters_is_escaped_in_urls_and_found_again() {
    for (path, escaped) in [
        ("/a b", "a%20b"),
        ("/é", "%C3%A9"),
        ("/a+b", "a%2Bb"),
        ("/100%", "100%25"),
        ("/realms", "realms"),
        ("/a?b#c", "a%3Fb%23c"),
    ] {
        let config = Config::new(ISSUER).for_realm(path);
        assert_eq!(config.issuer, format!("{ISSUER}/realms/{escaped}"));
        assert_eq!(config.validate(), []);
        let tokens = Arc::default();
        let realms = Realms::new(realm(Config::new(ISSUER), &tokens, []));
        let realms = realms.with_realm(path, realm(config, &tokens, [])).unwrap();
        assert_eq!(at(&realms, &format!("/oauth2/realms/root/realms/{escaped}/access_token")).0, path);
        assert_eq!(at(&realms, &metadata_path(&format!("{ISSUER}/realms/{escaped}"))).0, path);
    }
}

#[test]
// req: RR-001, RR-002
fn all_of_it_may_be_below_a_context_path() {
    let tokens = Arc::default();
    let root = Config::new("https://h.example.com/am");
    let realms = Realms::new(realm(root.clone(), &tokens, [])).mounted_at("/am");
    let realms = realms.with_realm("/alpha", realm(root.for_realm("/alpha"), &tokens, [])).unwrap();
    assert_eq!(at(&realms, "/am/oauth2/access_token").0, "/");
    assert_eq!(at(&realms, "/am/oauth2/realms/root/realms/alpha/access_token").0, "/alpha");
    assert_eq!(at(&realms, "/.well-known/oauth-authorization-server/am/realms/alpha").0, "/alpha");
    for mount in ["am", "/am/", "am/", "//am"] {
        let realms = Realms::new(realm(root.clone(), &tokens, [])).mounted_at(mount);
        assert_eq!(at(&realms, "/am/oauth2/token").0, "/", "{mount}");
    }
    for mount in ["", "/"] {
        let realms = Realms::new(realm(root.clone(), &tokens, [])).mounted_at(mount);
        assert_eq!(at(&realms, "/oauth2/token").0, "/", "{mount}");
    }
    let url = server_of(&realms, "/alpha").metadata().token_endpoint;
    assert_eq!(url, "https://h.example.com/am/oauth2/realms/root/realms/alpha/access_token");
    for path in [
        "/oauth2/access_token",
        "/am",
        "/amoauth2/access_token",
        "/AM/oauth2/access_token",
        "/am/am/oauth2/access_token",
    ] {
        assert!(realms.route(path).is_none(), "{path}");
    }
}

#[test]
// req: RR-017
fn a_malformed_path_a_second_realm_or_a_shared_issuer_is_a_fault() {
    let tokens = Arc::default();
    let add = |path: &str, config: Config| -> Result<TestRealms, Fault> {
        let realms = Realms::new(realm(Config::new(ISSUER), &tokens, []));
        let realms = realms.with_realm("/alpha", realm(Config::new(ISSUER).for_realm("/alpha"), &tokens, []))?;
        realms.with_realm(path, realm(config, &tokens, []))
    };
    let own = || Config::new(ISSUER).for_realm("/of-its-own");
    for path in [
        "",
        "beta",
        "/",
        "//beta",
        "/beta/",
        "/alpha//beta",
        "/..",
        "/alpha/../beta",
        "/./beta",
        "/be\\ta",
        "/be\nta",
        "/\0",
        "beta/",
    ] {
        let fault = add(path, own()).unwrap_err();
        assert_eq!(fault.key, format!("realms.{path:?}"));
        assert_eq!(check_realm_path(path).unwrap_err(), fault, "the same before there is a server");
        assert!(!fault.to_string().contains('\n'), "{fault}");
    }
    assert_eq!(add("/alpha", own()).unwrap_err().key, "realms.\"/alpha\"", "it is there already");
    assert!(add("/beta", Config::new(ISSUER)).is_err(), "the issuer of the root");
    assert!(add("/beta", Config::new(ISSUER).for_realm("/alpha")).is_err(), "the issuer of /alpha");
    let with_a_slash = Config::new(format!("{ISSUER}/realms/alpha/"));
    assert!(add("/beta", with_a_slash).is_err(), "both would have their metadata at one place");
    assert!(check_realm_path("/alpha/beta").is_ok());
    assert!(add("/alpha/beta", own()).is_ok() && add("/Alpha", own()).is_ok());
}
