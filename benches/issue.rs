//! What one opaque token costs, from the octets of the request to those of the answer, beside its floor.
//!
//! ```text
//! cargo bench --bench issue
//! ```
//!
//! What the floor is, `harness/opaque.rs` says. Both run in turns in one process, so the ratio holds on a noisy machine;
//! times alone do not.
//!
//! In the first rows tokens expire as fast as new ones come: between rounds both maps are emptied and keep their room. In
//! the rows where no token ever expires both maps grow to about a million tokens, out of the caches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops where it fails")]

mod harness;

use client_credentials::{RandomSource, SystemRandom, TokenRequest};
use harness::opaque::{self, Floor, issue, server};
use harness::{case, measure};
use std::hint::black_box;

fn main() {
    let (post, basic) = (opaque::by_post(), opaque::by_basic());
    let (mut growing_floor, growing) = (Floor::new(), server());
    let [floor, by_post, by_basic] = opaque::cases();
    let mut cases = [
        floor,
        by_post,
        by_basic,
        case("floor, no token ever expires", 3, || drop(black_box(growing_floor.issue()))),
        case("client_secret_post, the same", 3, || drop(black_box(issue(&growing, post)))),
        case("parse alone, client_secret_post", 0, || drop(black_box(TokenRequest::parse(black_box(post))))),
        case("parse alone, client_secret_basic", 0, || drop(black_box(TokenRequest::parse(black_box(basic))))),
        case("32 octets from the system", 0, || drop(black_box(SystemRandom.fill(&mut [0; 32])))),
    ];
    measure("issue", &mut cases);
}
