//! What one opaque token costs, from the octets of the request to those of the answer, beside its floor.
//!
//! ```text
//! cargo bench --bench issue
//! ```
//!
//! The floor is the least that any server must do, by hand: random octets from the operating system, two SHA-256 (the
//! secret, the token), base64, one map insert, a scan of the form, and the JSON written with `format!`. Both run in
//! turns in one process, so the ratio holds on a noisy machine; times alone do not.
//!
//! In the first rows tokens expire as fast as new ones come: between rounds both maps are emptied and keep their room. In
//! the rows where no token ever expires both maps grow to about a million tokens, out of the caches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Config, Field, Parts, RandomSource, SystemRandom, Timestamp, TokenRequest,
    issue_client_credentials_token,
};
use harness::{Case, case, measure, ready};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;

const BODY: &[u8] = b"grant_type=client_credentials&client_id=myClient&client_secret=Zk3fD1uSm2yqz0o0C1lq0T2sV9x5yKcWmB7hJ4nE8aQ&scope=write";
const BASIC_BODY: &[u8] = b"grant_type=client_credentials&scope=write";
const BASIC: &[u8] = b"Basic bXlDbGllbnQ6WmszZkQxdVNtMnlxejBvMEMxbHEwVDJzVjl4NXlLY1dtQjdoSjRuRThhUQ==";
const SECRET: &str = "Zk3fD1uSm2yqz0o0C1lq0T2sV9x5yKcWmB7hJ4nE8aQ";

type Server = AuthorizationServer<MemoryClientStore, MemoryTokenStore>;

fn main() {
    let post = Parts { authorization: Field::Absent, body: BODY, ..parts() };
    let basic = Parts { authorization: Field::One(BASIC), body: BASIC_BODY, ..parts() };
    let steady_floor = RefCell::new(Floor::new());
    let mut growing_floor = Floor::new();
    let (steady, growing) = (server(), server());

    let expire = || {
        black_box(steady.tokens().remove_expired(Timestamp::from_secs(u64::MAX)));
    };
    let mut cases = [
        Case {
            reset: Box::new(|| steady_floor.borrow_mut().tokens.clear()),
            ..case("floor", 0, || drop(black_box(steady_floor.borrow_mut().issue(BODY))))
        },
        Case { reset: Box::new(&expire), ..case("client_secret_post", 0, || drop(black_box(issue(&steady, post)))) },
        Case { reset: Box::new(&expire), ..case("client_secret_basic", 0, || drop(black_box(issue(&steady, basic)))) },
        case("floor, no token ever expires", 3, || drop(black_box(growing_floor.issue(BODY)))),
        case("client_secret_post, the same", 3, || drop(black_box(issue(&growing, post)))),
        case("parse alone, client_secret_post", 0, || drop(black_box(TokenRequest::parse(black_box(post))))),
        case("parse alone, client_secret_basic", 0, || drop(black_box(TokenRequest::parse(black_box(basic))))),
        case("32 octets from the system", 0, || drop(black_box(SystemRandom.fill(&mut [0; 32])))),
    ];
    measure(&mut cases);
}

fn parts() -> Parts<'static> {
    Parts {
        method: "POST",
        path: "/oauth2/access_token",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        ..Parts::default()
    }
}

fn server() -> Server {
    let client = serde_json::json!({
        "client_id": "myClient", "client_secret": SECRET, "scope": "write", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
    });
    let clients = [serde_json::from_value::<Client>(client).unwrap()].into_iter().collect();
    let mut config = Config::new("https://as.example.com");
    config.scopes = Some(vec!["read".into(), "write".into()]);
    AuthorizationServer::new(config, clients, MemoryTokenStore::default()).unwrap()
}

/// Octets in, octets out.
fn issue(server: &Server, parts: Parts<'_>) -> Vec<u8> {
    let request = TokenRequest::parse(black_box(parts)).unwrap();
    ready(issue_client_credentials_token(server, &request)).unwrap().body()
}

struct Floor {
    tokens: HashMap<[u8; 32], (u64, &'static str)>,
    secret: [u8; 32],
}

impl Floor {
    fn new() -> Self {
        Self { tokens: HashMap::new(), secret: Sha256::digest(SECRET).into() }
    }

    fn issue(&mut self, body: &[u8]) -> String {
        let (mut secret, mut scope) = (&b""[..], &b""[..]);
        for pair in black_box(body).split(|octet| *octet == b'&') {
            let mut halves = pair.splitn(2, |octet| *octet == b'=');
            match (halves.next(), halves.next()) {
                (Some(b"client_secret"), Some(value)) => secret = value,
                (Some(b"scope"), Some(value)) => scope = value,
                _ => {}
            }
        }
        assert_eq!(<[u8; 32]>::from(Sha256::digest(secret)), self.secret);
        let mut octets = [0; 32];
        SystemRandom.fill(&mut octets).unwrap();
        let mut token = [0; 43];
        URL_SAFE_NO_PAD.encode_slice(octets, &mut token).unwrap();
        self.tokens.insert(Sha256::digest(token).into(), (3600, "myClient"));
        let (token, scope) = (std::str::from_utf8(&token).unwrap(), std::str::from_utf8(scope).unwrap());
        format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600,"scope":"{scope}"}}"#)
    }
}
