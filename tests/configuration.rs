//! What the operator decides: the configuration, its faults, and the metadata that follow from it (RFC 8414).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "where a test cannot go on it has failed")]

mod support;

use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Config, ConfigError, Endpoints, Metadata, ScopePolicy, VerifierKind, metadata_path,
};
use serde_json::{Value, json};
use support::*;

const ISSUER: &str = "https://as.example.com";

fn start(config: Config) -> Result<(), ConfigError> {
    AuthorizationServer::new(config, MemoryClientStore::default(), MemoryTokenStore::default()).map(|_| ())
}

/// The keys of the faults for which a server with these settings does not start.
fn faults(settings: Value) -> Vec<String> {
    let config = config(settings);
    let listed: Vec<String> = config.validate().into_iter().map(|fault| fault.key).collect();
    let started = start(config).map_err(|error| error.faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>());
    assert_eq!(started.err().unwrap_or_default(), listed, "`validate` and `new` agree");
    listed
}

fn metadata(settings: Value) -> Value {
    serde_json::from_slice(&Metadata::of(&config(settings)).body()).unwrap()
}

// Reading.

#[test]
// req: TO-021
fn an_issuer_is_enough_and_the_defaults_are_safe() {
    let config: Config = serde_json::from_value(json!({ "issuer": ISSUER })).unwrap();
    assert_eq!(config, Config::new(ISSUER));
    assert_eq!(config.access_token_lifetime, 3600);
    assert_eq!((config.scope_policy, config.unknown_client_work), (ScopePolicy::Strict, VerifierKind::Sha256));
    assert_eq!((config.scopes, config.default_scopes, config.resources), (None, vec![], vec![]));
    assert_eq!(config.grant_types, ["client_credentials"]);
    assert!(
        serde_json::from_value::<Config>(json!({})).unwrap_err().to_string().contains("issuer"),
        "no default for it"
    );
}

#[test]
fn a_configuration_is_written_as_it_is_read() {
    let mut everything = json!({
        "issuer": ISSUER, "scopes": ["read", "write"], "default_scopes": ["read"], "scope_policy": "narrow",
        "resources": ["https://a.example.com"], "default_resources": ["https://a.example.com"], "grant_types": ["client_credentials"],
        "access_token_format": "opaque", "access_token_lifetime": 600, "access_token_prefix": "as_",
        "token_endpoint_auth_methods": ["client_secret_basic"], "unknown_client_work": "sha256",
        "endpoints": { "token_endpoint": "https://as.example.com/t", "introspection_endpoint": null, "revocation_endpoint": null, "jwks_uri": null },
    });
    if cfg!(feature = "rar") {
        everything["authorization_details_types"] = json!(["payment"]);
    }
    if cfg!(feature = "jwt") {
        everything["profile"] = json!("default");
        everything["signing_algorithms"] = json!(["ES256", "EdDSA"]);
        everything["token_endpoint_auth_signing_algs"] = json!(["PS256", "EdDSA", "HS256"]);
        everything["assertion_max_lifetime"] = json!(60);
        everything["clock_skew"] = json!(0);
        everything["jwks_uri_allowed_hosts"] = json!(["10.0.0.0/8"]);
    }
    if cfg!(feature = "dpop") {
        everything["dpop_signing_algs"] = json!(["ES256"]);
    }
    if cfg!(feature = "mtls") {
        everything["mtls_base"] = json!("https://mtls.example.com");
        everything["tls_client_certificate_bound_access_tokens"] = json!(true);
    }
    let config: Config = serde_json::from_value(everything.clone()).unwrap();
    assert_eq!(config.validate(), []);
    assert_eq!(serde_json::to_value(&config).unwrap(), everything);
    let toml = "issuer = 'https://as.example.com'\nscopes = ['read']\naccess_token_lifetime = 60\n[endpoints]\ntoken_endpoint = 'https://x/t'";
    let config: Config = toml::from_str(toml).unwrap();
    assert_eq!((config.access_token_lifetime, config.scopes), (60, Some(vec!["read".to_owned()])));
}

#[test]
// req: TO-008
fn an_unknown_key_is_refused_by_name() {
    // Nothing can make tokens shorter: there is no such key, under any name.
    for key in [
        "access_token_length",
        "token_length",
        "access_token_bytes",
        "entropy",
        "scope",
        "Issuer",
        "issuers",
        "acces_token_lifetime",
        "clock_skews",
        "clients",
    ] {
        let mut settings = json!({ "issuer": ISSUER });
        settings[key] = json!(8);
        let error = serde_json::from_value::<Config>(settings).unwrap_err().to_string();
        assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
    }
    let endpoints = json!({ "token_endpoint": "https://x/t", "authorization_endpoint": "https://x/a" });
    assert!(serde_json::from_value::<Config>(json!({ "issuer": ISSUER, "endpoints": endpoints })).is_err());
    let twice = r#"{"issuer":"https://as.example.com","access_token_lifetime":60,"access_token_lifetime":6000}"#;
    assert!(serde_json::from_str::<Config>(twice).unwrap_err().to_string().contains("duplicate field"));
}

#[test]
// req: TO-014
fn a_wrong_type_is_refused() {
    for (key, value) in [
        ("access_token_lifetime", json!(-1)),
        ("access_token_lifetime", json!(1.5)),
        ("access_token_lifetime", json!("3600")),
        ("access_token_format", json!("JWT")),
        ("scope_policy", json!("lenient")),
        ("scopes", json!("read write")),
        ("unknown_client_work", json!("none")),
        ("token_endpoint_auth_methods", json!("client_secret_basic")),
    ] {
        let mut settings = json!({ "issuer": ISSUER });
        settings[key] = value.clone();
        assert!(serde_json::from_value::<Config>(settings).is_err(), "{key} = {value}");
    }
}

// Faults.

#[test]
fn every_fault_is_told_at_once_with_its_key() {
    let config: Config = serde_json::from_value(json!({
        "issuer": "http://as.example.com", "scopes": ["a b"], "default_scopes": [""], "resources": ["api"],
        "default_resources": ["https://x.example.com/#f"], "grant_types": ["password"], "access_token_format": "jwt",
        "access_token_lifetime": 0, "access_token_prefix": "a b", "token_endpoint_auth_methods": ["none", "carrier_pigeon"],
        "endpoints": { "token_endpoint": "/oauth2/access_token" },
    }))
    .unwrap();
    let error = start(config).unwrap_err();
    let mut keys: Vec<&str> = error.faults.iter().map(|fault| &*fault.key).collect();
    keys.dedup();
    let expected = "issuer scopes default_scopes resources default_resources grant_types access_token_format \
                    access_token_lifetime access_token_prefix token_endpoint_auth_methods endpoints";
    let is_told = |key: &&str| *key != "access_token_format" || cfg!(not(feature = "jwt"));
    assert_eq!(keys, expected.split_whitespace().filter(is_told).collect::<Vec<_>>());
    let told = error.to_string();
    for fault in &error.faults {
        assert!(!fault.problem.is_empty() && told.contains(&format!("{}: {}", fault.key, fault.problem)), "{told}");
    }
    assert!(told.contains("carrier_pigeon") && told.contains("none is not a method"), "each method by name: {told}");
}

#[test]
// req: SC-023
fn a_scope_list_holds_one_well_formed_token_an_entry() {
    for bad in [
        json!(["a b"]),
        json!([""]),
        json!(["a", "a\"b"]),
        json!(["a\\"]),
        json!(["é"]),
        json!(["a\n"]),
        json!([" a"]),
        json!(["a".repeat(257)]),
    ] {
        assert_eq!(faults(json!({ "scopes": bad })), ["scopes"], "{bad}");
        assert_eq!(faults(json!({ "default_scopes": bad })), ["default_scopes"], "{bad}");
    }
    assert_eq!(faults(json!({ "scopes": ["read"], "default_scopes": ["read", "write"] })), ["default_scopes"]);
    // The limits on a request are none on what an operator offers.
    let many: Vec<String> = (0..1000).map(|number| format!("scope:{number}")).collect();
    assert_eq!(faults(json!({ "scopes": many })), [""; 0]);
    let wide = client(json!({ "client_id": "c", "client_secret": "a long secret", "scope": many.join(" ") }));
    assert!(wide.validate(&Config::new(ISSUER)).is_empty());
    assert_eq!(faults(json!({ "scopes": [], "default_scopes": [] })), [""; 0]);
    assert_eq!(
        faults(json!({ "scopes": ["a".repeat(256), "read:x/y#z", "read"], "default_scopes": ["read"] })),
        [""; 0]
    );
}

#[test]
// req: RS-017
fn a_resource_is_an_absolute_uri_without_fragment() {
    for bad in [
        "",
        "api",
        "/x",
        "//host",
        "https:",
        "https://",
        "https://a#x",
        "https://a#",
        "https://a b",
        "https://ä",
        "https://a/%z",
        "https://a\n",
    ] {
        assert_eq!(faults(json!({ "resources": [bad] })), ["resources"], "{bad:?}");
    }
    for bad in ["urn:example:token", "ftp://as/t", "/t", "https://as/t#f"] {
        assert_eq!(
            faults(json!({ "endpoints": { "token_endpoint": bad } })),
            ["endpoints"],
            "{bad}: an endpoint is a URL"
        );
    }
    let both = json!({ "resources": ["https://a"], "default_resources": ["https://b"] });
    assert_eq!(faults(both), ["default_resources"], "a default that is no resource");
    for good in [
        "https://a.example.com",
        "https://a.example.com/x?y=1",
        "urn:example:api",
        "spiffe://a/b",
        "https://[::1]:8443/",
    ] {
        assert_eq!(faults(json!({ "resources": [good], "default_resources": [good] })), [""; 0], "{good}");
    }
}

#[test]
// req: TO-014
fn a_lifetime_is_a_second_at_least_and_ten_years_at_most() {
    for bad in [0, 315_360_001, u64::MAX] {
        assert_eq!(faults(json!({ "access_token_lifetime": bad })), ["access_token_lifetime"], "{bad}");
        let client: Client =
            client(json!({ "client_id": "c", "client_secret": "a long secret", "access_token_lifetime": bad }));
        assert_eq!(client.validate(&Config::new(ISSUER))[0].key, "access_token_lifetime", "no token for ever: {bad}");
    }
    for good in [1, 60, 3600, 315_360_000] {
        assert_eq!(faults(json!({ "access_token_lifetime": good })), [""; 0], "{good}");
    }
}

#[test]
// req: MD-003, ER-014
fn an_issuer_is_an_https_url() {
    for bad in [
        "",
        "as.example.com",
        "http://as.example.com",
        "ftp://as.example.com",
        "HTTPS://as.example.com",
        "https://",
        "https:///path",
        "https://as?x=1",
        "https://as/?x=1",
        "https://as/a?",
        "https://as/a#x",
        "https://as?",
        "https://as#x",
        "https://as#",
        "https://user@as",
        "https://user:password@as",
        "https://as:99999",
        "https://as:x",
        "https://as\"x",
        "https://as\\x",
        "https://a s",
        " https://as",
        "https://as\r\nX: y",
        "https://as\0",
        "https://ä",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://192.0.2.7",
        "https://[::1",
        "https://::1",
    ] {
        assert_eq!(faults(json!({ "issuer": bad })), ["issuer"], "{bad:?}");
    }
    for good in [
        "https://as.example.com",
        "https://as.example.com:8443/a/b",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    ] {
        assert_eq!(faults(json!({ "issuer": good })), [""; 0], "{good}");
    }
}

#[test]
// req: CA-041
fn methods_grants_formats_and_prefixes_are_those_of_this_build() {
    for (settings, key) in [
        (json!({ "token_endpoint_auth_methods": [] }), "token_endpoint_auth_methods"),
        (json!({ "token_endpoint_auth_methods": ["client_secret_bsaic"] }), "token_endpoint_auth_methods"),
        (json!({ "token_endpoint_auth_methods": ["client_secret_basic", "none"] }), "token_endpoint_auth_methods"),
        (json!({ "token_endpoint_auth_methods": ["custom"] }), "token_endpoint_auth_methods"),
        (json!({ "grant_types": ["client_credentials", "password"] }), "grant_types"),
        (json!({ "grant_types": [""] }), "grant_types"),
        (json!({ "access_token_prefix": "x".repeat(33) }), "access_token_prefix"),
        (json!({ "access_token_prefix": "a/b" }), "access_token_prefix"),
        (json!({ "access_token_prefix": "é" }), "access_token_prefix"),
        (json!({ "endpoints": { "token_endpoint": "" } }), "endpoints"),
        (
            json!({ "endpoints": { "token_endpoint": "https://as/t", "revocation_endpoint": "https://as/r#f" } }),
            "endpoints",
        ),
    ] {
        assert_eq!(faults(settings.clone()), [key], "{settings}");
    }
    assert_eq!(faults(json!({ "access_token_prefix": "x".repeat(32), "grant_types": [] })), [""; 0]);
    let signed = faults(json!({ "access_token_format": "jwt" }));
    assert_eq!(signed.is_empty(), cfg!(feature = "jwt"), "{signed:?}");
    #[cfg(feature = "jwt")]
    assert_eq!(faults(json!({ "signing_algorithms": [] })), ["signing_algorithms"]);
}

#[test]
fn a_fault_stays_on_its_line() {
    let error = start(config(json!({ "token_endpoint_auth_methods": ["x\r\nstarted"] }))).unwrap_err();
    assert!(!error.to_string().contains(['\r', '\n']), "{error}");
}

#[test]
// req: SE-020
fn a_weak_secret_is_warned_about_without_being_shown() {
    let warned = |members: Value| -> Vec<String> {
        let mut all = json!({ "client_id": "c", "grant_types": ["client_credentials"] });
        all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let client = client(all);
        assert!(client.validate(&Config::new(ISSUER)).is_empty(), "it is allowed");
        client
            .warnings()
            .iter()
            .map(|warning| {
                assert!(!warning.to_string().contains("hunter2"), "{warning}");
                warning.key.clone()
            })
            .collect()
    };
    assert_eq!(warned(json!({ "client_secret": "hunter2" })), ["client_secret"]);
    assert_eq!(warned(json!({ "client_secret": "x" })), ["client_secret"]);
    assert_eq!(warned(json!({ "client_secret": "hunter2!" })), [""; 0], "eight characters");
    assert_eq!(warned(json!({ "client_secret": "ééééééé" })), ["client_secret"], "characters, not octets");
    let several = json!({ "client_secrets": ["a long secret", "hunter2", { "secret": "hunter2", "id": "x" }] });
    assert_eq!(warned(several), ["client_secrets[1]", "client_secrets[2]"]);
    let empty = client(json!({ "client_id": "c", "client_secret": "" }));
    assert_eq!(empty.validate(&Config::new(ISSUER))[0].key, "client_secret", "refused");
}

#[test]
// req: TR-038
fn an_absent_grant_types_is_warned_about() {
    let absent = client(json!({ "client_id": "c", "client_secret": "a long secret" }));
    assert_eq!(absent.warnings()[0].key, "grant_types");
    assert_eq!(absent.grant_types, ["authorization_code"]);
    for stated in [json!([]), json!(["client_credentials"])] {
        let stated = client(json!({ "client_id": "c", "client_secret": "a long secret", "grant_types": stated }));
        assert!(stated.warnings().is_empty());
    }
    let (generated, _) = Client::generate().unwrap();
    assert_eq!(generated.grant_types, ["client_credentials"], "what is made here states it");
}

// Switches.

#[test]
// req: TR-004
fn the_grant_can_be_switched_off_while_tokens_are_still_introspected() {
    let on = server(config(json!({})), [my_client()]);
    let sent = Sent::form("grant_type=client_credentials&client_id=myClient&client_secret=mySecret&scope=write");
    let issued = token(&on, &sent).text("access_token");
    let settings = config(json!({ "grant_types": [] }));
    let off = AuthorizationServer::new(settings, on.clients().clone(), on.tokens().clone()).unwrap();
    let off = off.with_clock(TestClock::at(NOW));
    assert_eq!(token(&off, &sent).outcome(), (400, "unsupported_grant_type".into()));
    let about = Sent::form(format!("token={issued}")).basic("myClient", "mySecret");
    assert_eq!(introspect(&off, &about).json()["active"], true);
    assert_eq!(metadata(json!({ "grant_types": [] }))["grant_types_supported"], json!([]), "and says so");
}

// Metadata.

#[test]
// req: MD-002, MD-005, MD-006, MD-007, MD-010, MD-011, MD-012, MD-013, MD-015, MD-022
fn metadata_say_what_is_configured_and_no_more() {
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    let mut settings = json!({ "token_endpoint_auth_methods": methods });
    if cfg!(feature = "dpop") {
        settings["dpop_signing_algs"] = json!([]); // switched off
    }
    assert_eq!(
        metadata(settings),
        json!({
            "issuer": ISSUER,
            "token_endpoint": "https://as.example.com/oauth2/access_token",
            "token_endpoint_auth_methods_supported": methods,
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "introspection_endpoint": "https://as.example.com/oauth2/introspect",
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": "https://as.example.com/oauth2/token/revoke",
            "revocation_endpoint_auth_methods_supported": methods,
        }),
        "no jwks_uri, no DPoP, no authorization endpoint: there is none"
    );
    let mut settings = json!({
        "issuer": "https://h.example.com/am", "scopes": ["read", "write"], "token_endpoint_auth_methods": ["client_secret_post"],
        "endpoints": { "token_endpoint": "https://h.example.com/t" },
    });
    if cfg!(feature = "dpop") {
        settings["dpop_signing_algs"] = json!([]);
    }
    assert_eq!(
        metadata(settings),
        json!({
            "issuer": "https://h.example.com/am",
            "token_endpoint": "https://h.example.com/t",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "scopes_supported": ["read", "write"],
        }),
        "what is not served is left out"
    );
    assert!(metadata(json!({ "scopes": [] })).get("scopes_supported").is_none(), "no empty list");
}

#[test]
// req: MD-002, MD-004, MD-014, MD-022
fn the_issuer_is_kept_octet_for_octet_and_everything_is_below_it() {
    for (issuer, base, path) in [
        ("https://as.example.com", "https://as.example.com", ""),
        ("https://as.example.com/", "https://as.example.com", ""),
        ("https://As.Example.com:8443/am", "https://As.Example.com:8443/am", "/am"),
        ("https://as.example.com/am/", "https://as.example.com/am", "/am"),
        ("http://[::1]:8080/a/b", "http://[::1]:8080/a/b", "/a/b"),
    ] {
        let metadata = metadata(json!({ "issuer": issuer }));
        assert_eq!(metadata["issuer"], issuer, "octet for octet");
        assert_eq!(metadata["token_endpoint"], format!("{base}/oauth2/access_token"));
        assert_eq!(metadata["revocation_endpoint"], format!("{base}/oauth2/token/revoke"));
        assert_eq!(metadata_path(issuer), format!("/.well-known/oauth-authorization-server{path}"));
        let settings = config(json!({ "issuer": issuer }));
        let server = server(settings, [my_client()]);
        let sent = Sent::form("grant_type=client_credentials&client_id=myClient&client_secret=mySecret&scope=write");
        let token = token(&server, &sent).text("access_token");
        let described = introspect(&server, &Sent::form(format!("token={token}")).basic("myClient", "mySecret")).json();
        assert_eq!(described["iss"], issuer);
    }
}

#[test]
fn endpoints_can_be_set_one_by_one() {
    let mut config = Config::new(ISSUER);
    let mut endpoints = Endpoints::new("https://as.example.com/token");
    endpoints.introspection_endpoint = Some("https://as.example.com/introspect".into());
    config.endpoints = Some(endpoints);
    let metadata = Metadata::of(&config);
    assert_eq!(metadata.introspection_endpoint.as_deref(), Some("https://as.example.com/introspect"));
    assert_eq!(metadata.revocation_endpoint, None);
    assert!(metadata.revocation_endpoint_auth_methods_supported.is_empty());
}
