//! Access tokens and key sets: no text makes the validator panic, and nothing passes without a signature.
#![no_main]

use client_credentials::{AccessTokenValidator, Field, JwkSet, PresentedToken, Thumbprint, Timestamp, TokenType};
use libfuzzer_sys::fuzz_target;
use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

const KEYS: &str = r#"{"keys":[
    {"kty":"EC","crv":"P-256","x":"BuvakCL0Z-OESnJloSofYR7fkkMT0rDRbBkmlzdcwlE","y":"Nmja0peb0fziAMpRaDzzO4HwCOoNPFzzbXW7d1nPpoI","kid":"ec1"},
    {"kty":"OKP","crv":"Ed25519","x":"wwIb2mrjMYYgTtar-pGDWTZ72p-B8axa9vAk-XeKXII","kid":"ed1"}]}"#;

fn validator() -> AccessTokenValidator {
    AccessTokenValidator::new("https://as.example.com", ["https://api.example.com"])
        .with_clock(|| Timestamp::from_secs(1_767_225_600))
}

static LOCAL: LazyLock<AccessTokenValidator> =
    LazyLock::new(|| validator().with_keys(JwkSet::from_json(KEYS).unwrap()));
/// Takes what it is asked about for the answer.
static ASKING: LazyLock<AccessTokenValidator> =
    LazyLock::new(|| validator().with_introspection(|token| async { Ok::<_, std::io::Error>(token.into_bytes()) }));

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fuzz_target!(|text: &str| {
    if let Ok(keys) = JwkSet::from_json(text) {
        let written = serde_json::to_string(&keys).unwrap();
        assert!(JwkSet::from_json(&written).is_ok());
        assert!(ready(validator().with_keys(keys).validate(PresentedToken::new(TokenType::Bearer, text))).is_err());
    }
    let _ = Thumbprint::of_jwk(text);
    if let Ok(presented) = LOCAL.read(Field::One(text.as_bytes())) {
        assert!(text.ends_with(presented.token));
    }
    for scheme in [TokenType::Bearer, TokenType::DPoP] {
        let presented = PresentedToken::new(scheme, text);
        if let Err(error) = ready(LOCAL.validate(presented)) {
            assert_eq!(error.status(), 401);
        }
        match ready(ASKING.validate(presented)) {
            Ok(token) => assert!(token.audience.contains("https://api.example.com")),
            Err(error) => assert!(error.headers().all(|(_, value)| value.bytes().all(|c| (0x20..0x7F).contains(&c)))),
        }
    }
});
