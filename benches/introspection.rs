//! What an introspection costs, from the octets of the request to those of the answer, beside its floor.
//!
//! ```text
//! cargo bench --bench introspection --features jwt
//! ```
//!
//! The floor of an opaque token is written by hand: a scan of the form, two SHA-256 (the caller's secret, the token), one look into a
//! map, and the same JSON by `format!`. That of a JWT is one bare verification, that of a signed answer (RFC 9701) one bare signature, of
//! as many octets each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;
#[path = "harness/signed.rs"]
mod signed;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{Field, Parts};
use harness::opaque::{
    self, BASIC, ISSUER, SECRET, Server, by_post, by_secret, introspect, members, parts, server, token,
};
use harness::{case, measure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use signed::{ALGORITHMS, Bare, jwt, message, signing};
use std::collections::HashMap;
use std::hint::black_box;

fn main() {
    let plain = server();
    let live = token(&plain, by_post());
    let unknown = "A".repeat(43);
    let [active, inactive] = [&live, &unknown].map(|token| asking(token));
    let told: Value = serde_json::from_slice(&introspect(&plain, active)).unwrap();
    let floor = Floor::knowing(&live, &told);
    for parts in [active, inactive] {
        assert_eq!(floor.introspect(parts.body).len(), introspect(&plain, parts).len());
    }
    let basic = Parts { authorization: Field::One(BASIC.as_bytes()), ..parts(format!("token={live}").leak()) };

    let mut cases = vec![
        case("opaque: floor", 0, || drop(black_box(floor.introspect(active.body)))),
        case("opaque: client_secret_post", 0, || drop(black_box(introspect(&plain, active)))),
        case("opaque: client_secret_basic", 0, || drop(black_box(introspect(&plain, basic)))),
        case("unknown: floor", 3, || drop(black_box(floor.introspect(inactive.body)))),
        case("unknown: client_secret_post", 3, || drop(black_box(introspect(&plain, inactive)))),
    ];
    for algorithm in ALGORITHMS {
        let (name, bare) = (algorithm.as_str(), Bare::new(algorithm));
        let server: Server = signing(by_secret(jwt(algorithm)), algorithm);
        let token = token(&server, by_post());
        let floor = cases.len();
        let signed = bare.signed(message(&token));
        cases.push(case(format!("JWT {name}: bare verification"), floor, move || signed.verify()));
        let about = asking(&token);
        let ours = move || drop(black_box(introspect(&server, about)));
        cases.push(case(format!("JWT {name}: client_secret_post"), floor, ours));

        let server: Server = signing(by_secret(|config| config.signing_algorithms = vec![algorithm]), algorithm);
        let about = asking(&opaque::token(&server, by_post()));
        let about = Parts { accept: Field::One(b"application/token-introspection+jwt"), ..about };
        let answer = String::from_utf8(introspect(&server, about)).unwrap();
        let floor = cases.len();
        let ours = move || drop(black_box(introspect(&server, about)));
        let signature = move || drop(black_box(bare.sign(black_box(message(&answer).as_bytes()))));
        cases.push(case(format!("answer signed by {name}: bare signature"), floor, signature));
        cases.push(case(format!("answer signed by {name}: client_secret_post"), floor, ours));
    }
    measure("introspection", &mut cases);
}

fn asking(token: &str) -> Parts<'static> {
    parts(format!("token={token}&client_id=myClient&client_secret={SECRET}").leak())
}

/// The least that any server must do, by hand.
struct Floor {
    tokens: HashMap<[u8; 32], Known>,
    secret: [u8; 32],
}

struct Known {
    client_id: String,
    scope: String,
    issued_at: u64,
    expires_at: u64,
}

impl Floor {
    /// Knows one token, of which that was told.
    fn knowing(token: &str, told: &Value) -> Self {
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        let number = |name: &str| told[name].as_u64().unwrap();
        let known = Known {
            client_id: text("client_id"),
            scope: text("scope"),
            issued_at: number("iat"),
            expires_at: number("exp"),
        };
        let tokens = HashMap::from([(Sha256::digest(token).into(), known)]);
        Self { tokens, secret: Sha256::digest(SECRET).into() }
    }

    fn introspect(&self, body: &[u8]) -> String {
        let (mut secret, mut token) = (&b""[..], &b""[..]);
        for (name, value) in members(black_box(body)) {
            match name {
                b"client_secret" => secret = value,
                b"token" => token = value,
                _ => {}
            }
        }
        assert_eq!(<[u8; 32]>::from(Sha256::digest(secret)), self.secret);
        let key: [u8; 32] = Sha256::digest(token).into();
        let Some(Known { client_id, scope, issued_at, expires_at }) = self.tokens.get(&key) else {
            return r#"{"active":false}"#.to_owned();
        };
        let jti = URL_SAFE_NO_PAD.encode(&key[..16]);
        format!(
            r#"{{"active":true,"scope":"{scope}","client_id":"{client_id}","token_type":"Bearer","exp":{expires_at},"iat":{issued_at},"nbf":{issued_at},"sub":"{client_id}","iss":"{ISSUER}","jti":"{jti}"}}"#
        )
    }
}
