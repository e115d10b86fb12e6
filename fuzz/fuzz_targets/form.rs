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
    let value = |wanted: &str| form_urlencoded::parse(data).filter(|(name, value)| name == wanted && !value.is_empty());
    assert_eq!(request.scope().map(str::to_owned), value("scope").next().map(|(_, value)| value.into_owned()));
    let resources: Vec<String> = value("resource").map(|(_, value)| value.into_owned()).collect();
    assert_eq!(request.resource(), resources);
});
