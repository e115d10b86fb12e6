//! What signing a token and believing a signed one cost, beside the bare signature and the bare verification of the same crypto library
//! in the same round.
//!
//! ```text
//! cargo bench --bench signed --features jwt
//! ```
//!
//! A token is signed for a client that is vouched for: neither is its request read, nor its secret checked; the floor is one signature over
//! as many octets. That of an assertion, and of a token that a resource server validates, is one verification with a key that was parsed
//! before. Whole requests for signed tokens are measured in `methods`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;
#[path = "harness/signed.rs"]
mod signed;

use client_credentials::{AccessTokenValidator, Field, JwkSet, Parts, SigningAlgorithm, TokenRequest};
use harness::opaque::{ISSUER, Server, by_post, by_secret, still, token};
use harness::{Case, case, measure, ready};
use signed::{ALGORITHMS, Bare, RESOURCE, Signed, by_assertion, by_key, jwt, message, signing};
use std::hint::black_box;
use std::sync::Arc;

fn main() {
    let setups = ALGORITHMS.map(Setup::new);
    let mut cases: Vec<Case<'_>> = Vec::new();
    for setup in &setups {
        let named = |what: &str| format!("{}: {what}", setup.bare.algorithm.as_str());
        let floor = cases.len();
        cases.push(case(named("bare signature"), floor, || {
            drop(black_box(setup.bare.sign(black_box(message(&setup.token).as_bytes()))));
        }));
        let request = TokenRequest::parse(by_post()).unwrap();
        let client = setup.issuing.clients().get("myClient").unwrap();
        cases.push(case(named("issue a token, client vouched for"), floor, move || {
            let client = setup.issuing.vouch_for(Arc::clone(&client), &[]).unwrap();
            let grant = setup.issuing.authorize(&client, &request).unwrap();
            drop(black_box(ready(setup.issuing.issue(client, grant)).unwrap()));
        }));
        let floor = cases.len();
        cases.push(case(named("bare verification"), floor, || setup.asserted.verify()));
        cases.push(case(named("authenticate by assertion"), floor, || authenticate(setup)));
        let floor = cases.len();
        let signed = setup.bare.signed(message(&setup.token));
        cases.push(case(named("bare verification of a token"), floor, move || signed.verify()));
        cases.push(case(named("validate a token"), floor, || validate(setup)));
    }
    measure("signed", &mut cases);
}

/// One algorithm: the keys, and who uses them.
struct Setup {
    bare: Bare,
    issuing: Server,
    verifying: Server,
    asserted: Signed,
    assertion: Parts<'static>,
    /// A resource server's side, and the token that it gets.
    validator: AccessTokenValidator,
    token: String,
    field: String,
}

impl Setup {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let bare = Bare::new(algorithm);
        let issuing: Server = signing(by_secret(jwt(algorithm)), algorithm).with_clock(still);
        let verifying = by_key(&bare, |_| ());
        let (asserted, assertion) = by_assertion(&bare);
        let token = token(&issuing, by_post());
        let keys = JwkSet::from_json(std::str::from_utf8(&issuing.jwks()).unwrap()).unwrap();
        let validator = AccessTokenValidator::new(ISSUER, [RESOURCE]).with_keys(keys).with_clock(still);
        let field = format!("Bearer {token}");
        Self { bare, issuing, verifying, asserted, assertion, validator, token, field }
    }
}

fn validate(setup: &Setup) {
    let presented = setup.validator.read(Field::One(black_box(setup.field.as_bytes()))).unwrap();
    let token = ready(setup.validator.validate(presented)).unwrap();
    token.require_scope("write").unwrap();
    black_box(token);
}

fn authenticate(setup: &Setup) {
    let request = TokenRequest::parse(black_box(setup.assertion)).unwrap();
    black_box(ready(setup.verifying.authenticate(request.credentials())).unwrap());
}
