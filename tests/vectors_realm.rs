//! Every case of `realm.json`: where a path leads, below a mount and without one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

mod support;
use client_credentials::Realms;
use serde_json::{Value, json};
use support::*;

/// The realms of the vectors below `mount`.
fn realms(vectors: &Value, mount: &str) -> TestRealms {
    let root = config(json!({}));
    let paths = vectors["realms"].as_array().unwrap().iter().map(|path| path.as_str().unwrap());
    paths.filter(|path| *path != "/").fold(Realms::new(server(root.clone(), [])).mounted_at(mount), |realms, path| {
        realms.with_realm(path, server(root.for_realm(path), [])).unwrap()
    })
}

/// Realm and endpoint of a path, in the words of the vectors.
fn routed(realms: &TestRealms, path: &str) -> Value {
    match realms.route(path) {
        Some(route) => json!({ "realm": route.realm, "endpoint": route.endpoint.as_str() }),
        None => json!({ "not_found": true }),
    }
}

#[test]
// req: RR-001, RR-002, RR-003, RR-010, RR-011, RR-012, RR-013, RR-016, RR-018
fn realm() {
    let vectors = vectors("realm.json");
    let (bare, mounted) = (realms(&vectors, ""), realms(&vectors, "/am"));
    for case in vectors["cases"].as_array().unwrap() {
        let (name, path) = (&case["name"], case["path"].as_str().unwrap());
        match case["mount"].as_str().unwrap() {
            "" => {
                assert_eq!(routed(&bare, path), case["expect"], "{name}");
                // The same below a mount, and nowhere else.
                assert_eq!(routed(&mounted, &format!("/am{path}")), case["expect"], "{name}, mounted");
                assert_eq!(routed(&mounted, path), json!({ "not_found": true }), "{name}, beside the mount");
            }
            mount => assert_eq!(routed(&realms(&vectors, mount), path), case["expect"], "{name}"),
        }
    }
}
