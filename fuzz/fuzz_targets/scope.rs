//! Scope values: what is accepted is made of the tokens that were sent, and reads back as itself.
#![no_main]

use client_credentials::Scope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &str| {
    let Ok(scope) = Scope::parse(value) else { return };
    assert!(value.split(' ').all(|token| scope.contains(token)));
    assert!(scope.tokens().all(|token| value.split(' ').any(|sent| sent == token)));
    assert_eq!(Scope::parse(scope.as_str()), Ok(scope.clone()));
    assert_eq!(Scope::from_tokens(scope.tokens()), Ok(scope));
});
