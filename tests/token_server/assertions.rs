//! Clients that sign, over HTTP: keys in the configuration and behind a `jwks_uri`, a platform's token, replays in parallel.

use crate::harness::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A P-256 key of a client's or a platform's own.
pub(crate) struct Signer {
    kid: &'static str,
    key: rcgen::KeyPair,
}

impl Signer {
    pub(crate) fn new(kid: &'static str) -> Self {
        Self { kid, key: rcgen::KeyPair::generate().unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key_raw();
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "x": encode(&point[1..33]), "y": encode(&point[33..65]) })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.into()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&self.key.serialize_der())).unwrap()
    }

    pub(crate) fn assertion(&self, client_id: &str, audience: &str, jti: &str) -> String {
        self.sign(&json!({ "iss": client_id, "sub": client_id, "aud": audience, "exp": now() + 60, "jti": jti }))
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn jwks(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
}

pub(crate) fn client(client_id: &str, keys: &str) -> String {
    format!(
        "[[clients]]\nclient_id = {client_id:?}\ngrant_types = [\"client_credentials\"]\nscope = \"read write\"\n\
         default_scope = \"read\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\n{keys}\n"
    )
}

pub(crate) fn with_assertion(form: &str, assertion: &str) -> String {
    let credentials = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_assertion_type", JWT_BEARER)
        .append_pair("client_assertion", assertion)
        .finish();
    format!("{form}&{credentials}")
}

fn ask(server: &Server, path: &str, form: &str, assertion: &str) -> Answer {
    server.send(&Request::post(path, with_assertion(form, assertion)))
}

/// A DPoP proof for the token endpoint at `url`.
#[cfg(feature = "dpop")]
fn proof(signer: &Signer, url: &str, jti: &str, nonce: Option<&str>) -> String {
    let mut claims = json!({ "jti": jti, "htm": "POST", "htu": url, "iat": now() });
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    prove(signer, &claims)
}

/// A DPoP proof with any claims.
#[cfg(feature = "dpop")]
pub(crate) fn prove(signer: &Signer, claims: &Value) -> String {
    let mut jwk = signer.jwk();
    jwk.as_object_mut().unwrap().remove("kid");
    let header = Header {
        typ: Some("dpop+jwt".into()),
        jwk: Some(serde_json::from_value(jwk).unwrap()),
        ..Header::new(Algorithm::ES256)
    };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&signer.key.serialize_der())).unwrap()
}

// req: DP-001, DP-018, DP-019, DP-029
#[cfg(feature = "dpop")]
#[test]
fn a_bound_token_with_and_without_nonces() {
    let prover = Signer::new("p");
    let client = |id: &str| {
        format!(
            "client_id = {id:?}\nclient_secret = \"b7-Bound-Client\"\ngrant_types = [\"client_credentials\"]\nscope = \"read\"\n\
             default_scope = \"read\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n"
        )
    };
    let config = format!(
        "[[clients]]\n{}dpop_bound_access_tokens = true\n[realms.\"/alpha\"]\ndpop_nonce = true\n\
         dpop_nonce_keys = [\"a-key-that-all-nodes-of-this-realm-share\"]\n[[realms.\"/alpha\".clients]]\n{}",
        client("bound"),
        client("bound"),
    );
    let server = Server::start(&config);
    let (bound, origin) = (("bound", "b7-Bound-Client"), server.origin());
    let ask = |path: &str, proof: Option<&str>| {
        let form = format!("{GRANT}&client_id={}&client_secret={}", bound.0, bound.1);
        let request = Request::post(path, form);
        server.send(&proof.into_iter().fold(request, |request, proof| request.header("DPoP", proof)))
    };
    assert_eq!(ask(TOKEN, None).outcome(), (400, "invalid_dpop_proof".into()));
    let good = proof(&prover, &format!("{origin}{TOKEN}"), "1", None);
    let answer = ask(TOKEN, Some(&good));
    assert_eq!(answer.text("token_type"), "DPoP");
    let token = answer.token();
    let told = server.post(INTROSPECT, bound, &format!("token={token}")).json();
    assert_eq!((told["token_type"].as_str(), told["cnf"]["jkt"].as_str().map(str::len)), (Some("DPoP"), Some(43)));
    assert_eq!(ask(TOKEN, Some(&good)).outcome(), (400, "invalid_dpop_proof".into()), "used");

    // A realm that asks for nonces hands one out.
    let path = "/oauth2/realms/root/realms/alpha/access_token";
    let url = format!("{origin}{path}");
    let answer = ask(path, Some(&proof(&prover, &url, "2", None)));
    assert_eq!(answer.outcome(), (400, "use_dpop_nonce".into()));
    let nonce = answer.header("dpop-nonce").unwrap().to_owned();
    assert_eq!(ask(path, Some(&proof(&prover, &url, "3", Some(&nonce)))).text("token_type"), "DPoP");
    assert_eq!(ask(path, Some(&proof(&prover, &format!("{origin}{TOKEN}"), "4", Some(&nonce)))).status, 400);
    server.finish();
}

// req: FA-015, FA-017
#[cfg(feature = "dpop")]
#[test]
fn a_realm_keeps_to_fapi2_by_itself() {
    let (mine, prover) = (Signer::new("a1"), Signer::new("p"));
    let keys = format!("jwks = '{}'", jwks(&[&mine]));
    let realm = client("signer", &keys).replace("[[clients]]", "[[realms.\"/alpha\".clients]]");
    let config = format!("{}[realms.\"/alpha\"]\nprofile = \"fapi2\"\n{realm}", client("signer", &keys));
    let server = Server::start(&config);
    let origin = server.origin();
    ask(&server, TOKEN, GRANT, &mine.assertion("signer", &origin, "1")).token();
    let path = "/oauth2/realms/root/realms/alpha/access_token";
    let assertion = mine.assertion("signer", &format!("{origin}/realms/alpha"), "2");
    assert_eq!(ask(&server, path, GRANT, &assertion).outcome(), (400, "invalid_request".into()));
    let bound = Request::post(path, with_assertion(GRANT, &assertion));
    let bound = server.send(&bound.header("DPoP", proof(&prover, &format!("{origin}{path}"), "1", None)));
    assert_eq!(bound.text("token_type"), "DPoP");
    server.finish();

    let secret = "client_id = \"a\"\nclient_secret = \"q8-Hidden-Pw\"\ngrant_types = [\"client_credentials\"]\n";
    let ended = run(Some(format!("profile = \"fapi2\"\n[[clients]]\n{secret}").as_bytes()), &["--check"]);
    assert_eq!(ended.code, Some(2));
    let told = ended.lines.concat();
    assert!(
        told.contains("clients.\"a\".token_endpoint_auth_method: client_secret_basic is not a method of fapi2"),
        "{told}"
    );
}

/// Serves a key set by plain HTTP on loopback, and counts how often it is asked.
#[cfg_attr(not(feature = "jwks-uri"), expect(dead_code, reason = "nothing fetches"))]
struct KeyServer {
    address: SocketAddr,
    body: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

#[cfg_attr(not(feature = "jwks-uri"), expect(dead_code, reason = "nothing fetches"))]
impl KeyServer {
    fn start(body: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, body, asked) =
            (listener.local_addr().unwrap(), Arc::new(Mutex::new(body)), Arc::new(AtomicUsize::new(0)));
        let (served, count) = (Arc::clone(&body), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let body = served.lock().unwrap().clone();
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { address, body, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

// req: AS-001, AS-009, AS-018, AS-023, AS-044, AS-049, AS-058
#[test]
fn a_client_signs_for_every_endpoint() {
    let (mine, foreign) = (Signer::new("a1"), Signer::new("a1"));
    let server = Server::start(&client("signer", &format!("jwks = '{}'", jwks(&[&mine]))));
    let origin = server.origin();
    let assertion = |jti: &str| mine.assertion("signer", &origin, jti);
    let token = ask(&server, TOKEN, GRANT, &assertion("1")).token();
    let about = format!("token={token}");
    assert_eq!(ask(&server, INTROSPECT, &about, &assertion("2")).json()["active"], true);
    assert_eq!(ask(&server, REVOKE, &about, &assertion("3")).status, 200);
    assert_eq!(ask(&server, INTROSPECT, &about, &assertion("4")).json()["active"], false);
    ask(&server, TOKEN, &format!("{GRANT}&client_id=signer"), &assertion("5")).token();

    // Used at any endpoint, it is used; whatever else is wrong gets the very same answer.
    let unknown = mine.assertion("nobody", &origin, "6");
    let refused = ask(&server, TOKEN, GRANT, &unknown);
    assert_eq!(refused.outcome(), (401, "invalid_client".into()));
    for (form, wrong) in [
        (GRANT, assertion("1")),
        (GRANT, assertion("2")),
        (GRANT, foreign.assertion("signer", &origin, "7")),
        (GRANT, mine.assertion("signer", &format!("{origin}{TOKEN}"), "8")),
        (GRANT, mine.assertion("signer", "https://other.example.com", "9")),
        ("grant_type=client_credentials&client_id=other", assertion("10")),
        (GRANT, "no JWT".to_owned()),
    ] {
        let answer = ask(&server, TOKEN, form, &wrong);
        assert_eq!((answer.status, &answer.body), (401, &refused.body), "{wrong}");
    }
    // A wrong scope spends nothing.
    assert_eq!(ask(&server, TOKEN, &format!("{GRANT}&scope=delete"), &assertion("11")).error(), "invalid_scope");
    ask(&server, TOKEN, GRANT, &assertion("11")).token();
    server.finish();
}

// req: AS-020
#[test]
fn three_hundred_copies_of_one_assertion_buy_one_token() {
    let mine = Signer::new("a1");
    for format in ["opaque", "jwt"] {
        let config =
            format!("access_token_format = {format:?}\n{}", client("signer", &format!("jwks = '{}'", jwks(&[&mine]))));
        let server = Server::start(&config);
        let request = Request::post(TOKEN, with_assertion(GRANT, &mine.assertion("signer", &server.origin(), "once")));
        let granted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..30 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        match server.send(&request).outcome() {
                            (200, _) => drop(granted.fetch_add(1, Ordering::SeqCst)),
                            outcome => assert_eq!(outcome, (401, "invalid_client".into())),
                        }
                    }
                });
            }
        });
        assert_eq!(granted.load(Ordering::SeqCst), 1, "{format}");
        server.finish();
    }
}

// req: AS-049, AS-050, AS-052
#[cfg(feature = "jwks-uri")]
#[test]
fn keys_behind_a_uri_rotate() {
    let (first, second) = (Signer::new("k1"), Signer::new("k2"));
    let keys = KeyServer::start(jwks(&[&first]));
    let hidden = KeyServer::start(jwks(&[&first]));
    // `inside` has a private address that is not on the list: nothing connects.
    let uri = |host: &str, server: &KeyServer| format!("jwks_uri = \"http://{host}:{}/jwks\"", server.address.port());
    let config = format!(
        "jwks_uri_allowed_hosts = [\"127.0.0.1\"]\n{}{}",
        client("signer", &uri("127.0.0.1", &keys)),
        client("inside", "jwks_uri = \"https://localhost/jwks\""),
    );
    let server = Server::start(&config);
    let origin = server.origin();
    ask(&server, TOKEN, GRANT, &first.assertion("signer", &origin, "1")).token();
    ask(&server, TOKEN, GRANT, &first.assertion("signer", &origin, "2")).token();
    assert_eq!(keys.asked(), 1, "kept between two requests");
    *keys.body.lock().unwrap() = jwks(&[&first, &second]);
    ask(&server, TOKEN, GRANT, &second.assertion("signer", &origin, "3")).token();
    assert_eq!(keys.asked(), 2, "an unknown kid fetches");
    ask(&server, TOKEN, GRANT, &first.assertion("signer", &origin, "4")).token();
    for at in 0..50 {
        let stranger = Signer::new("unknown");
        let answer = ask(&server, TOKEN, GRANT, &stranger.assertion("signer", &origin, &format!("x{at}")));
        assert_eq!(answer.status, 401);
    }
    assert_eq!(keys.asked(), 2, "and then no other does for a while");
    assert_eq!(ask(&server, TOKEN, GRANT, &first.assertion("inside", &origin, "5")).status, 401);
    assert!(server.log().contains("jwks_uri=https://localhost/jwks outcome=failed"), "{}", server.log());
    assert_eq!(hidden.asked(), 0);
    server.finish();

    // Plain HTTP needs the list, and is for this machine alone.
    for (allowed, host) in [("[]", "127.0.0.1"), ("[\"keys.example.com\"]", "keys.example.com")] {
        let config = format!("jwks_uri_allowed_hosts = {allowed}\n{}", client("signer", &uri(host, &hidden)));
        let ended = run(Some(config.as_bytes()), &["--check"]);
        assert_eq!(ended.code, Some(2), "{config}");
        assert!(ended.lines.concat().contains("clients.\"signer\".jwks_uri: "), "{:?}", ended.lines);
    }
}

#[test]
fn a_platforms_token_stands_for_a_workload() {
    let platform = Signer::new("cluster");
    let federated = format!(
        "[[clients.federated]]\nissuer = \"https://kubernetes.example.com\"\nsubject = \"system:serviceaccount:prod:billing\"\n\
         audience = \"https://as.example.com\"\njwks = '{}'\nclaims = {{ \"kubernetes.io\" = {{ namespace = \"prod\" }} }}\n",
        jwks(&[&platform])
    );
    let server = Server::start(&client("billing", &federated));
    let token = |subject: &str, namespace: &str| {
        platform.sign(&json!({
            "iss": "https://kubernetes.example.com", "sub": subject, "aud": ["https://as.example.com"], "iat": now(),
            "exp": now() + 3600, "kubernetes.io": { "namespace": namespace, "pod": { "name": "billing-7f" } },
        }))
    };
    let form = format!("{GRANT}&client_id=billing");
    let good = token("system:serviceaccount:prod:billing", "prod");
    for _ in 0..2 {
        ask(&server, TOKEN, &form, &good).token(); // a platform's token may be used again
    }
    assert_eq!(ask(&server, TOKEN, GRANT, &good).status, 401, "nobody is named");
    for bad in [token("system:serviceaccount:prod:other", "prod"), token("system:serviceaccount:prod:billing", "test")]
    {
        assert_eq!(ask(&server, TOKEN, &form, &bad).outcome(), (401, "invalid_client".into()));
    }
    server.finish();
}

// req: SE-003
#[test]
fn a_limit_on_guesses_holds_up_nobody_who_signs() {
    let mine = Signer::new("a1");
    let limits = "rate_limit = { failures_per_client = 2, failures_per_source = 3, window = 60 }\n";
    let server = Server::start(&format!("{limits}{}", client("signer", &format!("jwks = '{}'", jwks(&[&mine])))));
    for _ in 0..4 {
        let answer = server.basic(TOKEN, ("signer", "a-wrong-secret"), GRANT);
        assert!([401, 429].contains(&answer.status));
    }
    assert_eq!(server.basic(TOKEN, ("signer", "a-wrong-secret"), GRANT).status, 429);
    ask(&server, TOKEN, GRANT, &mine.assertion("signer", &server.origin(), "1")).token();
    server.finish();
}

// req: JW-038
#[test]
fn a_key_that_is_made_at_start_is_told_of_once() {
    let told = |config: &str| {
        let ended = run(Some(config.as_bytes()), &["--check"]);
        assert_eq!(ended.code, Some(0), "{:?}", ended.lines);
        ended.lines.iter().filter(|line| line.starts_with("warning: signing_keys: a key for ES256")).count()
    };
    assert_eq!(told("access_token_format = \"jwt\"\n"), 1);
    let file = format!("{}/tests/keys/ec-p256-pkcs8.pem", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(told(&format!("access_token_format = \"jwt\"\nsigning_keys = [{file:?}]\n")), 0);
    assert_eq!(told(""), 0, "nothing is signed");
}
