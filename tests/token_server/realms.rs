//! Realms and paths: who is known where, what leads nowhere, and the metadata of each.

use crate::harness::*;
use serde_json::{Value, json};

const CONFIG: &str = r#"
scopes = ["write", "root-only"]
access_token_lifetime = 1200

[[clients]]
client_id = "rootClient"
client_secret = "k9-Root-Secret-1"
grant_types = ["client_credentials"]
scope = "write root-only"
default_scope = "write"

[[clients]]
client_id = "myClient"
client_secret = "k9-Same-Name-Root"
grant_types = ["client_credentials"]
scope = "write"
default_scope = "write"

[realms."/alpha"]
scopes = ["write", "alpha-only"]
access_token_lifetime = 60

[[realms."/alpha".clients]]
client_id = "myClient"
client_secret = "mySecret"
grant_types = ["client_credentials"]
scope = "write alpha-only"
default_scope = "write"
token_endpoint_auth_method = ["client_secret_basic", "client_secret_post"]

[[realms."/alpha".clients]]
client_id = "inspector"
client_secret = "k9-Alpha-Inspector"
grant_types = []
may_introspect = true

[realms."/alpha/beta"]
[[realms."/alpha/beta".clients]]
client_id = "betaClient"
client_secret = "k9-Beta-Secret-1"
grant_types = ["client_credentials"]
scope = "write"
default_scope = "write"

[realms."/my realm"]
[[realms."/my realm".clients]]
client_id = "spaceClient"
client_secret = "k9-Space-Secret"
grant_types = ["client_credentials"]
scope = "write"
default_scope = "write"
"#;
const ROOT: (&str, &str) = ("rootClient", "k9-Root-Secret-1");
const ROOT_MINE: (&str, &str) = ("myClient", "k9-Same-Name-Root");
const ALPHA: (&str, &str) = ("myClient", "mySecret");
const BETA: (&str, &str) = ("betaClient", "k9-Beta-Secret-1");
const IN_ROOT: &str = "/oauth2";
const IN_ALPHA: &str = "/oauth2/realms/root/realms/alpha";
const IN_BETA: &str = "/oauth2/realms/root/realms/alpha/realms/beta";

fn token_at(realm: &str) -> String {
    format!("{realm}/access_token")
}

/// The page's request, but for host and context path.
// req: TR-037, RR-001
#[test]
fn the_request_of_the_page_works() {
    let server = Server::start(CONFIG);
    let body = "grant_type=client_credentials&client_id=myClient&client_secret=mySecret&scope=write";
    let answer = server.send(&Request::post("/oauth2/realms/root/realms/alpha/access_token", body));
    let body = answer.json();
    assert_eq!((&body["scope"], &body["token_type"]), (&json!("write"), &json!("Bearer")));
    answer.token();
    server.finish();
}

// req: RR-002, RR-003, RR-011, RR-013, RR-016
#[test]
fn every_realm_has_its_endpoints_and_their_aliases() {
    let server = Server::start(CONFIG);
    for (realm, client) in [
        (IN_ROOT, ROOT),
        ("/oauth2/realms/root", ROOT),
        (IN_ALPHA, ALPHA),
        (IN_BETA, BETA),
        ("/oauth2/realms/root/realms/my%20realm", ("spaceClient", "k9-Space-Secret")),
        ("/oauth2/realms/root/realms/%61lpha", ALPHA),
    ] {
        for name in ["access_token", "token"] {
            let answer = server.basic(&format!("{realm}/{name}"), client, GRANT);
            assert_eq!(answer.text("scope"), "write", "{realm}/{name}");
            let form = format!("token={}", answer.token());
            let introspect = || server.basic(&format!("{realm}/introspect"), client, &form).json()["active"].clone();
            assert_eq!(introspect(), json!(true), "{realm}");
            assert_eq!(server.basic(&format!("{realm}/token/revoke"), client, &form).status, 200, "{realm}");
            assert_eq!(introspect(), json!(false), "{realm}");
        }
        assert_eq!(server.send(&Request::get(format!("{realm}/connect/jwk_uri"))).json(), json!({ "keys": [] }));
    }
    server.finish();
}

// req: RR-004, RR-005, RR-008, RR-014, SC-027, ST-016, IN-021, RV-015
#[test]
fn realms_do_not_mix() {
    let server = Server::start(CONFIG);
    let outcome = |realm: &str, client, form: &str| server.basic(&token_at(realm), client, form).outcome();
    let unknown = (401, "invalid_client".to_owned());
    for (realm, strangers) in
        [(IN_ROOT, [ALPHA, BETA]), (IN_ALPHA, [ROOT, BETA]), (IN_ALPHA, [ROOT_MINE, BETA]), (IN_BETA, [ROOT, ALPHA])]
    {
        for stranger in strangers {
            assert_eq!(outcome(realm, stranger, GRANT), unknown, "{} in {realm}", stranger.0);
        }
    }
    let challenge = |realm| {
        let answer = server.basic(&token_at(realm), ("nobody", "k9-Nobody-Secret"), GRANT);
        answer.header("www-authenticate").unwrap().to_owned()
    };
    assert_eq!(challenge(IN_ROOT), format!("Basic realm=\"{}\"", server.origin()));
    assert_eq!(challenge(IN_ALPHA), format!("Basic realm=\"{}/realms/alpha\"", server.origin()));
    assert_eq!(challenge(IN_BETA), format!("Basic realm=\"{}/realms/alpha/beta\"", server.origin()));

    // Keys of the realm's own, and inherited ones: its scopes and lifetime; beta has the root's.
    let invalid = (400, "invalid_scope".to_owned());
    assert_eq!(outcome(IN_ALPHA, ALPHA, &format!("{GRANT}&scope=alpha-only")), (200, String::new()));
    assert_eq!(outcome(IN_ALPHA, ALPHA, &format!("{GRANT}&scope=root-only")), invalid);
    assert_eq!(outcome(IN_ROOT, ROOT, &format!("{GRANT}&scope=alpha-only")), invalid);
    for (realm, client, lifetime) in [(IN_ROOT, ROOT, 1200), (IN_ALPHA, ALPHA, 60), (IN_BETA, BETA, 1200)] {
        let left = server.basic(&token_at(realm), client, GRANT).json()["expires_in"].as_u64().unwrap();
        assert!(left == lifetime || left == lifetime - 1, "{realm}: {left}");
    }

    // The same name in two realms, and one store for both.
    let of_root = server.basic(TOKEN, ROOT_MINE, GRANT).token();
    let of_alpha = server.basic(&token_at(IN_ALPHA), ALPHA, GRANT).token();
    let told = |realm: &str, client, token: &str| {
        server.basic(&format!("{realm}/introspect"), client, &format!("token={token}")).json()
    };
    let inspector = ("inspector", "k9-Alpha-Inspector");
    assert_eq!(told(IN_ALPHA, inspector, &of_alpha)["iss"], json!(format!("{}/realms/alpha", server.origin())));
    for (realm, client, token) in
        [(IN_ALPHA, inspector, &of_root), (IN_ALPHA, ALPHA, &of_root), (IN_ROOT, ROOT_MINE, &of_alpha)]
    {
        assert_eq!(told(realm, client, token), json!({ "active": false }), "{} in {realm}", client.0);
        let form = format!("token={token}");
        assert_eq!(server.basic(&format!("{realm}/token/revoke"), client, &form).status, 200, "nothing to revoke");
    }
    assert_eq!(told(IN_ROOT, ROOT_MINE, &of_root)["active"], json!(true));
    assert_eq!(told(IN_ALPHA, ALPHA, &of_alpha)["active"], json!(true));
    server.finish();
}

// req: RR-010, RR-012, RR-018, HT-015
#[test]
fn other_paths_lead_nowhere() {
    let server = Server::start(CONFIG);
    let nowhere = server.basic("/nowhere", ALPHA, GRANT).body;
    for path in [
        "/",
        "/oauth2",
        "/oauth2/",
        "/oauth2/access_token/",
        "//oauth2/access_token",
        "/oauth2//access_token",
        "/oauth2/./access_token",
        "/oauth2/x/../access_token",
        "/oauth2/access%5Ftoken",
        "/oauth2/access_token%00",
        "/oauth2/access_token;x=1",
        "/OAuth2/access_token",
        "/oauth2/Access_Token",
        "/oauth2/authorize",
        "/oauth2/register",
        "/oauth2/realms/root",
        "/oauth2/realms/root/",
        "/oauth2/realms/root/realms/gamma/access_token",
        "/oauth2/realms/root/realms/Alpha/access_token",
        "/oauth2/realms/root/realms/alpha%20/access_token",
        "/oauth2/realms/root/realms/alpha%2Fbeta/access_token",
        "/oauth2/realms/root/realms/alpha%2f../access_token",
        "/oauth2/realms/root/realms/alpha%2f%2e%2e/access_token",
        "/oauth2/realms/root/realms/alpha%5C../access_token",
        "/oauth2/realms/root/realms/../access_token",
        "/oauth2/realms/root/realms/%2e%2e/access_token",
        "/oauth2/realms/root/realms/alpha/../access_token",
        "/oauth2/realms/root/realms/alpha/realms/../access_token",
        "/oauth2/realms/root/realms/alpha/./access_token",
        "/oauth2/realms/root/realms//access_token",
        "/oauth2/realms/root/realms/alpha//access_token",
        "/oauth2/realms/root/realms/%61%6c%70%68%61%zz/access_token",
        "/oauth2/realms/root/realms/%ff/access_token",
        "/oauth2/realms/root/realms/my+realm/access_token",
        "/oauth2/realms/root/realms/alpha/realms/root/access_token",
        "/oauth2/realms/root/alpha/access_token",
        "/oauth2/realms/alpha/access_token",
        "/oauth2/alpha/access_token",
        "/am/oauth2/access_token",
        "/am/oauth2/realms/root/realms/alpha/access_token",
        "/.well-known/oauth-authorization-server/",
        "/.well-known/oauth-authorization-server/realms/gamma",
        "/.well-known/oauth-authorization-server/realms/alpha/",
        "/.well-known/oauth-authorization-servers",
        "/.well-known/openid-configuration",
    ] {
        for answer in [server.basic(path, ALPHA, GRANT), server.post(path, ALPHA, GRANT)] {
            assert_eq!((answer.status, &answer.body), (404, &nowhere), "{path}");
        }
        assert_eq!(server.send(&Request::get(path)).status, 404, "{path}");
    }
    server.finish();
}

/// Nothing but the path chooses a realm; the old habit is told so.
#[test]
fn the_realm_parameter_of_pingam_is_refused() {
    let server = Server::start(CONFIG);
    for query in ["realm=/alpha", "realm=%2Falpha", "trace=1&realm=alpha", "re%61lm=/alpha", "realm"] {
        for path in [TOKEN, INTROSPECT, REVOKE, "/oauth2/realms/root/realms/alpha/access_token"] {
            let answer = server.post(&format!("{path}?{query}"), ALPHA, "grant_type=client_credentials&token=x");
            assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{path}?{query}");
            assert!(answer.text("error_description").contains("realm"));
        }
    }
    assert_eq!(server.basic(&format!("{TOKEN}?trace=1"), ROOT, GRANT).status, 200, "another query does no harm");
    server.finish();
}

// req: HT-001, HT-002, HT-012, MD-021, IN-015, RV-011, TR-014
#[test]
fn each_endpoint_has_its_methods() {
    let server = Server::start(CONFIG);
    let token = server.basic(TOKEN, ROOT, GRANT).token();
    for realm in [IN_ROOT, IN_ALPHA] {
        for (path, allowed) in [
            ("access_token", "POST"),
            ("token", "POST"),
            ("introspect", "POST"),
            ("token/revoke", "POST"),
            ("connect/jwk_uri", "GET, HEAD"),
            (&WELL_KNOWN[1..], "GET, HEAD"),
        ] {
            for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "POST", "post", "QUERY"] {
                let request = Request { method, ..Request::post(format!("{realm}/{path}"), GRANT) }
                    .header("Origin", "https://app.example.com")
                    .header("Access-Control-Request-Method", "POST");
                let answer = server.send(&request);
                if allowed.split(", ").any(|known| known == method) {
                    assert_ne!(answer.status, 405, "{method} {realm}/{path}");
                } else {
                    assert_eq!(answer.status, 405, "{method} {realm}/{path}");
                    assert_eq!(answer.header("allow"), Some(allowed), "{method} {realm}/{path}");
                }
                assert_eq!(answer.body.is_empty(), method == "HEAD", "{method} {realm}/{path}");
            }
        }
    }
    let query = "grant_type=client_credentials&client_id=rootClient&client_secret=k9-Root-Secret-1";
    assert_eq!(server.send(&Request::get(format!("{TOKEN}?{query}"))).status, 405);
    for (path, query) in [(TOKEN, query), (INTROSPECT, "token=x"), (REVOKE, "token=x"), (TOKEN, "client%5Fsecret=x")] {
        let answer = server.basic(&format!("{path}?{query}"), ROOT, &format!("{GRANT}&token={token}"));
        assert_eq!(answer.outcome(), (400, "invalid_request".into()), "{path}?{query}");
    }
    assert_eq!(server.introspect(ROOT, &token)["active"], json!(true));
    server.finish();
}

/// All that a document of a realm says, against what is configured.
fn metadata_is_sound(document: &Value, issuer: &str, base: &str, scopes: &Value) {
    let methods = json!(["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]);
    let algorithms = json!([
        "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512", "HS256",
        "HS384", "HS512"
    ]);
    let proofs: Vec<Value> = algorithms.as_array().unwrap()[..11].to_vec();
    let wanted = json!({
        "issuer": issuer,
        "token_endpoint": format!("{base}/access_token"),
        "token_endpoint_auth_methods_supported": methods,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": scopes,
        "introspection_endpoint": format!("{base}/introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": proofs,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": format!("{base}/token/revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
    });
    assert_eq!(document, &wanted);
}

// req: MD-001, MD-002, MD-004, MD-005, MD-006, MD-007, MD-010, MD-011, MD-012, MD-013, MD-015, MD-018, MD-019, MD-022, MD-024, RR-006, RR-007, RR-016
#[test]
fn metadata_of_each_realm() {
    let server = Server::start(CONFIG);
    let (origin, root) = (server.origin(), json!(["write", "root-only"]));
    let alpha = json!(["write", "alpha-only"]);
    for (inserted, realm, issuer, scopes) in [
        ("", IN_ROOT, "", &root),
        ("", "/oauth2/realms/root", "", &root),
        ("/realms/alpha", IN_ALPHA, "/realms/alpha", &alpha),
        ("/realms/alpha/beta", IN_BETA, "/realms/alpha/beta", &root),
        ("/realms/my%20realm", "/oauth2/realms/root/realms/my%20realm", "/realms/my%20realm", &root),
    ] {
        let base = format!("{origin}{}", realm.strip_suffix("/realms/root").unwrap_or(realm));
        for path in [format!("{WELL_KNOWN}{inserted}"), format!("{realm}{WELL_KNOWN}")] {
            let request = Request::get(&path).without("Host").header("Host", "evil.example.com");
            for request in [request.clone().header("X-Forwarded-Host", "evil.example.com"), request] {
                metadata_is_sound(&server.send(&request).json(), &format!("{origin}{issuer}"), &base, scopes);
            }
            let head = server.send(&Request::new("HEAD", &path));
            assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        }
    }

    // The URLs work as they stand.
    let document = server.send(&Request::get(format!("{WELL_KNOWN}/realms/alpha"))).json();
    let path = |member: &str| document[member].as_str().unwrap().strip_prefix(&origin).unwrap().to_owned();
    let token = server.basic(&path("token_endpoint"), ALPHA, GRANT).token();
    let form = format!("token={token}");
    assert_eq!(server.basic(&path("introspection_endpoint"), ALPHA, &form).json()["active"], json!(true));
    assert_eq!(server.basic(&path("revocation_endpoint"), ALPHA, &form).status, 200);
    assert_eq!(server.basic(&path("introspection_endpoint"), ALPHA, &form).json()["active"], json!(false));
    server.finish();
}

/// Behind a proxy: the issuer has another host, and a path that the endpoints are served below as well.
// req: MD-002, MD-014, RR-006, RR-007, RR-014
#[test]
fn an_issuer_with_a_path() {
    let server = Server::start(&format!("issuer = \"https://as.example.com/am\"\n{CONFIG}"));
    let issuer = "https://as.example.com/am";
    for path in [
        format!("{WELL_KNOWN}/am"),
        WELL_KNOWN.to_owned(),
        format!("/am{WELL_KNOWN}"),
        format!("/am/oauth2{WELL_KNOWN}"),
        format!("/oauth2{WELL_KNOWN}"),
    ] {
        let document = server.send(&Request::get(&path)).json();
        metadata_is_sound(&document, issuer, &format!("{issuer}/oauth2"), &json!(["write", "root-only"]));
    }
    for path in [format!("{WELL_KNOWN}/am/realms/alpha"), format!("/am{IN_ALPHA}{WELL_KNOWN}")] {
        let document = server.send(&Request::get(&path)).json();
        let (issuer, base) = (format!("{issuer}/realms/alpha"), format!("{issuer}{IN_ALPHA}"));
        metadata_is_sound(&document, &issuer, &base, &json!(["write", "alpha-only"]));
    }
    for path in ["/am/am/oauth2/access_token", "/amoauth2/access_token", "/AM/oauth2/access_token", "/am"] {
        assert_eq!(server.basic(path, ROOT, GRANT).status, 404, "{path}");
    }
    for mount in ["", "/am"] {
        for (realm, client) in [(IN_ROOT, ROOT), (IN_ALPHA, ALPHA), (IN_BETA, BETA)] {
            let answer = server.basic(&format!("{mount}{realm}/access_token?trace=1"), client, GRANT);
            let form = format!("token={}", answer.token());
            let told = server.basic(&format!("{mount}{realm}/introspect"), client, &form).json();
            assert!(told["iss"].as_str().unwrap().starts_with(issuer), "{told}");
        }
        let answer = server.basic(&format!("{mount}{}", token_at(IN_ALPHA)), ROOT, GRANT);
        assert_eq!(answer.header("www-authenticate").unwrap(), format!("Basic realm=\"{issuer}/realms/alpha\""));
        let query = server.basic(&format!("{mount}{TOKEN}?realm=/alpha"), ALPHA, GRANT);
        assert_eq!(query.status, 400);
        assert_eq!(
            server.send(&Request::get(format!("{mount}/healthz"))).status,
            if mount.is_empty() { 200 } else { 404 }
        );
    }
    server.finish();
}

/// The endpoints are served without the issuer's path as well, whatever it is.
#[test]
fn an_issuer_whose_path_begins_like_the_endpoints() {
    let server = Server::start(&format!("issuer = \"https://as.example.com/oauth2\"\n{CONFIG}"));
    for path in ["/oauth2/oauth2/access_token", "/oauth2/access_token"] {
        assert_eq!(server.basic(path, ROOT, GRANT).status, 200, "{path}");
    }
    server.finish();
}
