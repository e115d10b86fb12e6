//! `Authorization` fields: raw octets, and base64 of them. What is accepted names the client that stands before the colon.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use client_credentials::{Field, Parts, TokenRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let encoded = [b"Basic ", STANDARD.encode(data).as_bytes()].concat();
    for field in [data, &encoded] {
        let parts = Parts {
            method: "POST",
            content_type: Field::One(b"application/x-www-form-urlencoded"),
            authorization: Field::One(field),
            body: b"grant_type=client_credentials",
            ..Parts::default()
        };
        if let (Ok(request), true) = (TokenRequest::parse(parts), field == encoded.as_slice()) {
            let text = std::str::from_utf8(data).expect("accepted, so UTF-8");
            let (id, _secret) = text.split_once(':').expect("accepted, so with a colon");
            if !text.contains(['%', '+']) {
                assert_eq!(request.credentials().claimed_client_id(), Some(id));
            }
        }
    }
});
