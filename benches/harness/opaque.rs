//! One opaque token, from the octets of the request to those of the answer: ours, and its floor.
//!
//! The floor is the least that any server must do, by hand: random octets from the operating system, two SHA-256 (the
//! secret, the token), base64, one map insert, a scan of the form, and the JSON written with `format!`.

use super::{Case, keeping, ready};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Config, Field, IntrospectionRequest, Parts, RandomSource, SystemRandom, Timestamp,
    TokenRequest, TokenStore, introspect_token, issue_client_credentials_token,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hint::black_box;

pub const ISSUER: &str = "https://as.example.com";
/// Where a bench lets the clock stand still.
pub const NOW: u64 = 1_767_225_600;
pub const SECRET: &str = "Zk3fD1uSm2yqz0o0C1lq0T2sV9x5yKcWmB7hJ4nE8aQ";
pub const BASIC: &str = "Basic bXlDbGllbnQ6WmszZkQxdVNtMnlxejBvMEMxbHEwVDJzVjl4NXlLY1dtQjdoSjRuRThhUQ==";
const BODY: &str = "grant_type=client_credentials&client_id=myClient&client_secret=Zk3fD1uSm2yqz0o0C1lq0T2sV9x5yKcWmB7hJ4nE8aQ&scope=write";

pub type Server<T = MemoryTokenStore> = AuthorizationServer<MemoryClientStore, T>;

/// A server whose one client is `myClient`, with these members beside those that all have.
pub fn server_of<T: TokenStore + Default>(client: Value, config: impl FnOnce(&mut Config)) -> Server<T> {
    let mut members = json!({ "client_id": "myClient", "scope": "write", "grant_types": ["client_credentials"] });
    members.as_object_mut().unwrap().extend(client.as_object().unwrap().clone());
    let clients = [serde_json::from_value::<Client>(members).unwrap()].into_iter().collect();
    let mut own = Config::new(ISSUER);
    own.scopes = Some(vec!["read".into(), "write".into()]);
    config(&mut own);
    AuthorizationServer::new(own, clients, T::default()).unwrap()
}

pub fn with_secret() -> Value {
    let methods = ["client_secret_basic", "client_secret_post"];
    json!({ "client_secret": SECRET, "token_endpoint_auth_method": methods })
}

pub fn by_secret<T: TokenStore + Default>(config: impl FnOnce(&mut Config)) -> Server<T> {
    server_of(with_secret(), config)
}

pub fn server() -> Server {
    by_secret(|_| ())
}

pub fn still() -> Timestamp {
    Timestamp::from_secs(NOW)
}

/// The floor, ours by post, ours by Basic. Tokens expire as fast as new ones come: between rounds the maps are emptied and
/// keep their room.
pub fn cases() -> [Case<'static>; 3] {
    let ours = |name, parts| {
        keeping(name, 0, server(), move |own| drop(black_box(issue(own, parts))), |own| expire(own.tokens()))
    };
    [
        keeping("floor", 0, Floor::new(), |own| drop(black_box(own.issue())), Floor::expire),
        ours("client_secret_post", by_post()),
        ours("client_secret_basic", by_basic()),
    ]
}

pub fn by_post() -> Parts<'static> {
    parts(BODY)
}

pub fn by_basic() -> Parts<'static> {
    Parts { authorization: Field::One(BASIC.as_bytes()), ..parts("grant_type=client_credentials&scope=write") }
}

pub fn parts(body: &str) -> Parts<'_> {
    Parts {
        method: "POST",
        path: "/oauth2/access_token",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        body: body.as_bytes(),
        ..Parts::default()
    }
}

/// Octets in, octets out.
pub fn issue(server: &Server<impl TokenStore>, parts: Parts<'_>) -> Vec<u8> {
    let request = TokenRequest::parse(black_box(parts)).unwrap();
    ready(issue_client_credentials_token(server, &request)).unwrap().body()
}

/// The same of an introspection.
pub fn introspect(server: &Server<impl TokenStore>, parts: Parts<'_>) -> Vec<u8> {
    let request = IntrospectionRequest::parse(black_box(parts)).unwrap();
    ready(introspect_token(server, &request)).unwrap().body()
}

/// A token for others to read.
pub fn token(server: &Server<impl TokenStore>, parts: Parts<'_>) -> String {
    let answer: Value = serde_json::from_slice(&issue(server, parts)).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Every token ends; the room that they took stays.
pub fn expire(tokens: &MemoryTokenStore) {
    black_box(tokens.remove_expired(Timestamp::from_secs(u64::MAX)));
}

pub struct Floor {
    tokens: HashMap<[u8; 32], (u64, &'static str)>,
    secret: [u8; 32],
}

impl Floor {
    pub fn new() -> Self {
        Self { tokens: HashMap::new(), secret: Sha256::digest(SECRET).into() }
    }

    pub fn expire(&mut self) {
        self.tokens.clear();
    }

    pub fn issue(&mut self) -> String {
        let (mut secret, mut scope) = (&b""[..], &b""[..]);
        for (name, value) in members(black_box(BODY.as_bytes())) {
            match name {
                b"client_secret" => secret = value,
                b"scope" => scope = value,
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

/// The least that reads a form: what stands between `&`, and before and behind `=`.
pub fn members(form: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    form.split(|octet| *octet == b'&').filter_map(|pair| {
        let mut halves = pair.splitn(2, |octet| *octet == b'=');
        Some((halves.next()?, halves.next()?))
    })
}
