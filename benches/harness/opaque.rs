//! One opaque token, from the octets of the request to those of the answer: ours, and its floor.
//!
//! The floor is the least that any server must do, by hand: random octets from the operating system, two SHA-256 (the
//! secret, the token), base64, one map insert, a scan of the form, and the JSON written with `format!`.

use super::{Case, keeping, ready};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Config, Field, Parts, RandomSource, SystemRandom, Timestamp, TokenRequest,
    issue_client_credentials_token,
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hint::black_box;

pub const BODY: &str = "grant_type=client_credentials&client_id=myClient&client_secret=Zk3fD1uSm2yqz0o0C1lq0T2sV9x5yKcWmB7hJ4nE8aQ&scope=write";
const BASIC_BODY: &[u8] = b"grant_type=client_credentials&scope=write";
const BASIC: &[u8] = b"Basic bXlDbGllbnQ6WmszZkQxdVNtMnlxejBvMEMxbHEwVDJzVjl4NXlLY1dtQjdoSjRuRThhUQ==";
pub const SECRET: &str = "Zk3fD1uSm2yqz0o0C1lq0T2sV9x5yKcWmB7hJ4nE8aQ";

pub type Server = AuthorizationServer<MemoryClientStore, MemoryTokenStore>;

/// The floor, ours by post, ours by Basic. Tokens expire as fast as new ones come: between rounds the maps are emptied and
/// keep their room.
pub fn cases() -> [Case<'static>; 3] {
    let ours =
        |name, parts| keeping(name, 0, server(), move |own| drop(black_box(issue(own, parts))), |own| expire(own));
    [
        keeping("floor", 0, Floor::new(), |own| drop(black_box(own.issue())), |own| own.tokens.clear()),
        ours("client_secret_post", by_post()),
        ours("client_secret_basic", by_basic()),
    ]
}

pub fn by_post() -> Parts<'static> {
    Parts { authorization: Field::Absent, body: BODY.as_bytes(), ..parts() }
}

pub fn by_basic() -> Parts<'static> {
    Parts { authorization: Field::One(BASIC), body: BASIC_BODY, ..parts() }
}

fn parts() -> Parts<'static> {
    Parts {
        method: "POST",
        path: "/oauth2/access_token",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        ..Parts::default()
    }
}

pub fn server() -> Server {
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
pub fn issue(server: &Server, parts: Parts<'_>) -> Vec<u8> {
    let request = TokenRequest::parse(black_box(parts)).unwrap();
    ready(issue_client_credentials_token(server, &request)).unwrap().body()
}

/// Every token of the server ends; the room that they took stays.
pub fn expire(server: &Server) {
    black_box(server.tokens().remove_expired(Timestamp::from_secs(u64::MAX)));
}

pub struct Floor {
    tokens: HashMap<[u8; 32], (u64, &'static str)>,
    secret: [u8; 32],
}

impl Floor {
    pub fn new() -> Self {
        Self { tokens: HashMap::new(), secret: Sha256::digest(SECRET).into() }
    }

    pub fn issue(&mut self) -> String {
        let (mut secret, mut scope) = (&b""[..], &b""[..]);
        for pair in black_box(BODY.as_bytes()).split(|octet| *octet == b'&') {
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
