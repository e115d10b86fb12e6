//! Key sets by `jwks_uri`: what an embedder sees of the cache. What it fetches and keeps is tested beside it, in `src/jose`.
#![cfg(feature = "jwks-uri")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

use client_credentials::{FetchedJwks, InvalidJwksPolicy, JwksCache};
use std::error::Error;
use std::time::Duration;

#[test]
fn a_host_that_is_none_is_named() {
    for bad in ["", "*.internal", "keys.internal:8443", "https://keys.internal", "10.0.0.1/8", "10.0.0.0/33", "127.1"] {
        for made in [JwksCache::https(["a", bad, "b"]), JwksCache::https_with_roots([bad], "")] {
            match made {
                Err(error @ InvalidJwksPolicy::Host(_)) => assert!(error.to_string().contains(&format!("{bad:?}"))),
                Err(InvalidJwksPolicy::RootCertificates) => {}
                other => panic!("{bad}: {other:?}"),
            }
        }
    }
    // A machine without root certificates has no TLS, but its hosts are read before that.
    let made = JwksCache::https(["keys.internal", "10.0.0.0/8", "fd00::/8", "::1"]);
    assert!(matches!(made, Ok(_) | Err(InvalidJwksPolicy::Tls(_))));
}

#[test]
fn root_certificates_are_pem() {
    let key = rcgen::KeyPair::generate().unwrap();
    let root = rcgen::CertificateParams::new(vec!["ca".into()]).unwrap().self_signed(&key).unwrap().pem();
    let made = |pem: &str| JwksCache::https_with_roots([""; 0], pem);
    assert!(made(&root).is_ok());
    assert!(made(&format!("{root}{root}")).is_ok());
    for bad in ["", "root", &key.serialize_pem()] {
        assert!(matches!(made(bad), Err(InvalidJwksPolicy::RootCertificates)), "{bad}");
    }
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = made(broken).unwrap_err();
    assert!(matches!(error, InvalidJwksPolicy::Tls(_)) && error.source().is_some());
}

#[test]
fn an_embedder_fetches_by_a_closure() {
    let cache = JwksCache::new(|uri| {
        let answer = FetchedJwks::new(uri, Some(Duration::from_secs(60)));
        async move { Ok::<_, std::io::Error>(answer) }
    });
    let cache = cache.with_stale(Duration::from_secs(60)).on_failure(|uri, error| eprintln!("{uri:?}: {error}"));
    assert!(!format!("{cache:?}").contains("http"));
}
