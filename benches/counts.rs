//! Instructions and allocations of each step: what `benches/counts` compares with its table.
//!
//! ```text
//! benches/counts            # compares; benches/counts --write writes the table anew
//! cargo bench --all-features --bench counts                     # allocations of each case alone
//! cargo bench --all-features --bench counts -- introspect 1000  # one case so often, for valgrind or perf
//! ```
//!
//! Counts hold on a noisy machine, where times do not. The random source is no system call here and the clock stands still, so that a
//! case does the same each time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;
#[path = "harness/signed.rs"]
mod signed;

use client_credentials::{
    AccessTokenValidator, Config, Field, JwkSet, Parts, RandomError, RandomSource, RevocationRequest, SigningAlgorithm,
    TokenRequest, TokenStore, revoke_token,
};
use harness::opaque::{
    BASIC, ISSUER, Server, by_basic, by_post, introspect, issue, parts, server_of, still, token, with_secret,
};
use harness::{Believing, ready};
use signed::{Bare, RESOURCE, by_assertion, by_key, by_proof, jwt, signing};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// Octets that never come twice, without a system call.
struct Counted(AtomicU64);

impl RandomSource for Counted {
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        octets.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&number.to_be_bytes()[..chunk.len()]));
        Ok(())
    }
}

/// Its client may have more than it asks for.
fn by_secret<T: TokenStore + Default>(config: impl FnOnce(&mut Config)) -> Server<T> {
    let mut client = with_secret();
    client["scope"] = "read write".into();
    server_of(client, config)
}

fn counted<T: TokenStore>(server: Server<T>) -> Server<T> {
    server.with_clock(still).with_random(Counted(AtomicU64::new(1)))
}

fn issuing<T: TokenStore + 'static>(server: Server<T>, parts: Parts<'static>) -> Box<dyn FnMut()> {
    let server = counted(server);
    Box::new(move || drop(black_box(issue(&server, parts))))
}

fn opaque() -> Server {
    counted(by_secret(|_| ()))
}

fn signed() -> Server {
    counted(signing(by_secret(jwt(SigningAlgorithm::Es256)), SigningAlgorithm::Es256))
}

fn asking(token: &str) -> Parts<'static> {
    let body = format!("token={token}").leak();
    Parts { authorization: Field::One(BASIC.as_bytes()), ..parts(body) }
}

fn introspecting(server: Server, about: Parts<'static>) -> Box<dyn FnMut()> {
    Box::new(move || drop(black_box(introspect(&server, about))))
}

fn introspecting_own(server: Server) -> Box<dyn FnMut()> {
    let about = asking(&token(&server, by_post()));
    introspecting(server, about)
}

fn revoking() -> Box<dyn FnMut()> {
    let (server, unknown) = (opaque(), asking(&"A".repeat(43)));
    Box::new(move || {
        let request = RevocationRequest::parse(black_box(unknown)).unwrap();
        drop(black_box(ready(revoke_token(&server, &request)).unwrap().body()));
    })
}

fn asserting() -> Box<dyn FnMut()> {
    let key = Bare::new(SigningAlgorithm::Es256);
    issuing::<Believing>(by_key(&key, |_| ()), by_assertion(&key).1)
}

fn proving() -> Box<dyn FnMut()> {
    let key = Bare::new(SigningAlgorithm::Es256);
    issuing::<Believing>(by_secret(|_| ()), by_proof(&key).1)
}

fn validating() -> Box<dyn FnMut()> {
    let server = signed();
    let field: &'static [u8] = format!("Bearer {}", token(&server, by_post())).leak().as_bytes();
    let keys: JwkSet = serde_json::from_slice(&server.jwks()).unwrap();
    let validator = AccessTokenValidator::new(ISSUER, [RESOURCE]).with_keys(keys).with_clock(still);
    Box::new(move || {
        let presented = validator.read(Field::One(black_box(field))).unwrap();
        drop(black_box(ready(validator.validate(presented)).unwrap()));
    })
}

fn parsing(parts: Parts<'static>) -> Box<dyn FnMut()> {
    Box::new(move || drop(black_box(TokenRequest::parse(black_box(parts)))))
}

/// Each makes what it needs once, and nothing for another.
type Case = (&'static str, fn() -> Box<dyn FnMut()>);

const CASES: [Case; 12] = [
    ("parse post", || parsing(by_post())),
    ("parse basic", || parsing(by_basic())),
    ("issue opaque, post", || issuing(opaque(), by_post())),
    ("issue opaque, basic", || issuing(opaque(), by_basic())),
    ("introspect opaque", || introspecting_own(opaque())),
    ("introspect unknown", || introspecting(opaque(), asking(&"A".repeat(43)))),
    ("revoke unknown", revoking),
    ("issue opaque, private_key_jwt ES256", asserting),
    ("issue opaque, DPoP ES256", proving),
    ("issue JWT ES256, post", || issuing(signed(), by_post())),
    ("introspect JWT ES256", || introspecting_own(signed())),
    ("validate JWT ES256", validating),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [name, calls] => {
            let (_, case) = CASES.iter().find(|(own, _)| own == name).unwrap();
            let mut case = case();
            (0..calls.parse::<u64>().unwrap()).for_each(|_| case());
        }
        _ => {
            for (name, case) in CASES {
                let mut case = case();
                case();
                let counted = allocation_counter::measure(|| (0..100).for_each(|_| case()));
                println!("{:.2}\t{name}", counted.count_total as f64 / 100.0);
            }
        }
    }
}
