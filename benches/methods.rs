//! What a token costs by how its client authenticates: opaque ones and JWTs by each algorithm, each beside its floor.
//!
//! ```text
//! cargo bench --bench methods --features dpop
//! ```
//!
//! The floor of an opaque token is written by hand (`harness/opaque.rs`), that of a JWT is the bare signature over as many octets. Where
//! the client signs as well, an assertion or a proof by ES256, a bare verification with a key that was parsed before is added to either.
//! One assertion and one proof serve all calls: the store believes that they are new, and keeps the tokens alone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;
#[path = "harness/signed.rs"]
mod signed;

use client_credentials::{Config, Parts, SigningAlgorithm};
use harness::opaque::{self, Floor, by_basic, by_post, by_secret, expire, issue, still, token};
use harness::{Believing, Case, case, keeping, measure};
use signed::{ALGORITHMS, Bare, Signed, by_assertion, by_key, by_proof, jwt, message, signing};
use std::hint::black_box;

type Server = opaque::Server<Believing>;

fn main() {
    let key = Bare::new(SigningAlgorithm::Es256);
    let (asserted, assertion) = by_assertion(&key);
    let (_, proof) = by_proof(&key);
    let mut cases = Vec::new();
    for format in [None].into_iter().chain(ALGORITHMS.map(Some)) {
        let format = Format(format);
        let floor = cases.len();
        cases.push(format.floor("floor", floor, None));
        cases.push(format.issue("client_secret_post", floor, by_secret, by_post()));
        cases.push(format.issue("client_secret_basic", floor, by_secret, by_basic()));
        let floor = cases.len();
        cases.push(format.floor("floor and a verification", floor, Some(&asserted)));
        cases.push(format.issue("private_key_jwt", floor, |config| by_key(&key, config), assertion));
        cases.push(format.issue("DPoP", floor, by_secret, proof));
    }
    measure("methods", &mut cases);
}

/// A JWT by that algorithm, or an opaque token.
#[derive(Clone, Copy)]
struct Format(Option<SigningAlgorithm>);

impl Format {
    fn name(self, what: &str) -> String {
        self.0.map_or_else(|| format!("opaque: {what}"), |algorithm| format!("JWT {}: {what}", algorithm.as_str()))
    }

    fn issue<'a>(
        self,
        method: &str,
        floor: usize,
        server: impl FnOnce(Box<dyn FnOnce(&mut Config)>) -> Server,
        parts: Parts<'a>,
    ) -> Case<'a> {
        let server = match self.0 {
            None => server(Box::new(|_| ())),
            Some(algorithm) => signing(server(Box::new(jwt(algorithm))), algorithm),
        };
        let issue = move |own: &mut Server| drop(black_box(issue(own, parts)));
        keeping(self.name(method), floor, server.with_clock(still), issue, |own| expire(&own.tokens().0))
    }

    fn floor<'a>(self, name: &str, place: usize, verified: Option<&'a Signed>) -> Case<'a> {
        let name = self.name(name);
        let verify = move || verified.into_iter().for_each(Signed::verify);
        let Some(algorithm) = self.0 else {
            let issue = move |own: &mut Floor| {
                verify();
                drop(black_box(own.issue()));
            };
            return keeping(name, place, Floor::new(), issue, Floor::expire);
        };
        let (key, server) = (Bare::new(algorithm), signing::<Believing>(by_secret(jwt(algorithm)), algorithm));
        let token = token(&server, by_post());
        case(name, place, move || {
            verify();
            drop(black_box(key.sign(black_box(message(&token).as_bytes()))));
        })
    }
}
