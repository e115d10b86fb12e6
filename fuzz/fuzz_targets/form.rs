//! The form parser against a lenient one: where ours accepts, both agree.
#![no_main]

use client_credentials::{Field, Parts, TokenRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let body = [b"grant_type=client_credentials&", data].concat();
    let parts = Parts {
        method: "POST",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        body: &body,
        ..Parts::default()
    };
    let Ok(request) = TokenRequest::parse(parts) else { return };
    let pairs: Vec<(String, String)> = form_urlencoded::parse(data).into_owned().collect();
    let values = |wanted: &str| -> Vec<&str> {
        let found = pairs.iter().filter(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(request.scope(), values("scope").first().copied());
    assert_eq!(request.resource().collect::<Vec<_>>(), values("resource"));
});
