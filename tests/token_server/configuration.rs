//! Configurations: `--check`, every fault by its key, what is only warned about, and no secret on stderr.

use crate::harness::*;

/// A client without fault, for the end of a configuration that has others.
const SOUND: &str = r#"
[[clients]]
client_id = "sound"
client_secret = "q8-Sound-Secret-1"
grant_types = ["client_credentials"]
"#;

/// Runs the server for real: it must not begin to listen.
fn refused(config: impl AsRef<[u8]>) -> Vec<String> {
    let config = config.as_ref();
    let real = run(Some(config), &[]);
    assert_eq!((real.code, real.stdout.as_str()), (Some(2), ""), "{}", String::from_utf8_lossy(config));
    let check = run(Some(config), &["--check"]);
    assert_eq!((check.code, check.stdout.as_str()), (Some(2), ""));
    assert_eq!(check.lines, real.lines);
    let faults = real.lines.iter().map(|line| line.strip_prefix("error: ").expect(line).to_owned()).collect();
    assert!(!real.lines.is_empty());
    faults
}

/// The keys of the faults.
fn keys(faults: &[String]) -> Vec<&str> {
    faults.iter().map(|fault| fault.split_once(": ").expect(fault).0).collect()
}

fn accepted(config: &str) -> Vec<String> {
    let check = run(Some(config.as_bytes()), &["--check"]);
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), ""), "{config}: {:?}", check.lines);
    let (last, warnings) = check.lines.split_last().unwrap();
    assert_eq!(last, "the configuration is valid");
    warnings.iter().map(|line| line.strip_prefix("warning: ").expect(line).to_owned()).collect()
}

#[test]
fn a_good_configuration_is_valid_and_nothing_is_bound() {
    assert_eq!(accepted(&format!("listen = \"127.0.0.1:0\"\n{SOUND}")), [""; 0]);
    // The port is that of a listener of ours: a check that bound it would fail.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(accepted(&format!("listen = {:?}\n{SOUND}", taken.local_addr().unwrap().to_string())), [""; 0]);
    assert_eq!(accepted(""), [""; 0]);
}

// req: HT-014
#[test]
fn every_fault_of_a_file_is_named() {
    let faults = refused(
        r#"
        colour = "blue"
        listen = "localhost"
        issuer = "https://as.example.com?x"
        store = "mongodb://user:q8-Hidden-Pw@db.example.com/x"
        profile = "fapi3"
        signing_algorithms = ["HS256"]
        signing_keys = ["key.pem"]
        assertion_max_lifetime = 0
        clock_skew = 61
        dpop_nonce = "yes"
        dpop_nonce_keys = ["q8-Hidden-Pw-too-short"]
        authorization_details_types = [""]
        tls_certificate = "cert.pem"
        tls_key = "key.pem"
        client_ca = "ca.pem"
        trusted_proxies = ["proxy.example.com"]
        jwks_uri_allowed_hosts = ["10.0.0.0/40"]
        token_endpoint_auth_signing_algs = ["none"]
        scopes = ["read write"]
        scope_policy = "lax"
        resources = ["api"]
        default_resources = ["https://other.example.com"]
        grant_types = ["password"]
        access_token_format = "xml"
        access_token_lifetime = 0
        access_token_prefix = "a b"
        token_endpoint_auth_methods = ["none"]
        rate_limit = { failures = 3 }
        "#,
    );
    let mut found = keys(&faults);
    found.sort_unstable();
    let mut wanted = [
        "access_token_format",
        "access_token_lifetime",
        "access_token_prefix",
        "assertion_max_lifetime",
        "authorization_details_types",
        "client_ca",
        "clock_skew",
        "colour",
        "default_resources",
        "dpop_nonce",
        "dpop_nonce_keys",
        "grant_types",
        "issuer",
        "jwks_uri_allowed_hosts",
        "listen",
        "profile",
        "rate_limit",
        "resources",
        "scope_policy",
        "scopes",
        "signing_algorithms",
        "signing_keys",
        "store",
        "tls_certificate",
        "tls_key",
        "token_endpoint_auth_methods",
        "token_endpoint_auth_signing_algs",
        "trusted_proxies",
    ];
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    assert!(!faults.concat().contains("q8-Hidden-Pw"), "{faults:?}");
}

// req: HT-014
#[test]
fn a_wrong_type_is_named() {
    let faults = refused(
        r#"
        listen = 8080
        store = true
        scopes = "read"
        default_scopes = 1
        access_token_lifetime = "long"
        access_token_prefix = 5
        resources = {}
        rate_limit = "strict"
        clients = "none"
        realms = 7
        "#,
    );
    let found = keys(&faults);
    for key in [
        "listen",
        "store",
        "scopes",
        "default_scopes",
        "access_token_lifetime",
        "access_token_prefix",
        "resources",
        "rate_limit",
        "clients",
        "realms",
    ] {
        assert!(found.contains(&key), "{key} in {faults:?}");
    }
    assert_eq!(found.len(), 10, "{faults:?}");
}

// req: HT-014, ST-014
#[test]
fn other_stores_are_refused_without_their_password() {
    for store in [
        "mongodb://user:q8-Hidden-Pw@db.example.com",
        "sqlite:",
        "postgres://user:q8-Hidden-Pw@db.example.com/as",
        "redis://:q8-Hidden-Pw@db.example.com",
        "Memory",
        "",
    ] {
        let faults = refused(format!("store = {store:?}\n"));
        assert_eq!(keys(&faults), ["store"], "{faults:?}");
        assert!(!faults.concat().contains("q8-Hidden-Pw"), "{faults:?}");
    }
}

// req: HT-014, MD-003
#[test]
fn an_issuer_is_https_or_on_loopback() {
    for issuer in [
        "http://as.example.com",
        "https://as.example.com?a=1",
        "https://as.example.com#a",
        "https://user:q8-Hidden-Pw@as.example.com",
        "as.example.com",
        "ftp://as.example.com",
        "https://",
        "https://as.example.com/\" x=\"",
        "",
    ] {
        let faults = refused(format!("issuer = {issuer:?}\n"));
        assert_eq!(keys(&faults), ["issuer"], "{issuer}: {faults:?}");
        assert!(!faults.concat().contains("q8-Hidden-Pw"), "{faults:?}");
    }
    for issuer in ["https://as.example.com", "https://as.example.com:8443/am", "http://localhost:8080", "http://[::1]"]
    {
        accepted(&format!("issuer = {issuer:?}\n"));
    }
    // An address that is not this machine's makes no issuer by itself.
    let faults = refused("listen = \"192.0.2.1:8080\"\n");
    assert_eq!(keys(&faults), ["issuer"], "{faults:?}");
}

// req: HT-014, CA-041, CA-042, CA-044
#[test]
fn every_fault_of_a_client_is_named_with_the_client() {
    let faults = refused(
        r#"
        scopes = ["read"]
        [[clients]]
        client_id = "twice"
        client_secret = "q8-Hidden-Pw-1"
        [[clients]]
        client_id = "twice"
        client_secret = "q8-Hidden-Pw-2"
        [[clients]]
        client_id = "a"
        client_secrret = "q8-Hidden-Pw-3"
        token_endpoint_auth_method = ["client_secret_post", "client_secret_digest", "tls_client_auth"]
        jwks = { keys = [{ kty = "oct", k = "cTgtSGlkZGVuLVB3LTg" }] }
        jwks_uri = "http://client.example.com/jwks"
        dpop_bound_access_tokens = "yes"
        tls_client_auth_san_dns = "*.example.com"
        federated = [{ issuer = "https://other.example.com" }]
        assertion_audience = "anybody"
        scope = "read  write"
        resources = ["api"]
        access_token_lifetime = 0
        access_token_format = "xml"
        disabled = "yes"
        [[clients]]
        client_id = "b"
        client_secret_hash = "sha256:q8-Hidden-Pw-4"
        client_secrets = [7, { secret = "q8-Hidden-Pw-5", hash = "x" }, { secret = "q8-Hidden-Pw-6", expires_at = "soon" }]
        scope = "read"
        default_scope = "write"
        [[clients]]
        client_secret = "q8-Hidden-Pw-7"
        [[clients]]
        client_id = ""
        "#,
    );
    let found = keys(&faults);
    for key in [
        "clients.\"twice\".client_id",
        "clients.\"a\".client_secret",
        "clients.\"a\".client_secrret",
        "clients.\"a\".token_endpoint_auth_method",
        "clients.\"a\".jwks",
        "clients.\"a\".jwks_uri",
        "clients.\"a\".dpop_bound_access_tokens",
        "clients.\"a\".tls_client_auth_san_dns",
        "clients.\"a\".federated",
        "clients.\"a\".assertion_audience",
        "clients.\"a\".scope",
        "clients.\"a\".resources",
        "clients.\"a\".access_token_lifetime",
        "clients.\"a\".access_token_format",
        "clients.\"a\".disabled",
        "clients.\"b\".client_secret_hash",
        "clients.\"b\".client_secrets[0]",
        "clients.\"b\".client_secrets[1]",
        "clients.\"b\".client_secrets[2]",
        "clients.\"b\".default_scope",
        "clients[4]",
        "clients[5]",
    ] {
        assert!(found.contains(&key), "{key} in {faults:?}");
    }
    let methods = faults.iter().filter(|fault| fault.starts_with("clients.\"a\".token_endpoint_auth_method"));
    assert_eq!(methods.count(), 1, "the unknown one: {faults:?}");
    assert!(!faults.concat().contains("q8-Hidden-Pw"), "{faults:?}");
}

// req: HT-014
#[test]
fn a_syntax_error_names_the_line_and_does_not_quote_it() {
    for (line, text) in [
        (3, "[[clients]]\nclient_id = \"a\"\nclient_secret = q8-Hidden-Pw\n"),
        (3, "[[clients]]\nclient_id = \"a\"\nclient_secret = \"q8-Hidden-Pw\n"),
        (3, "[[clients]]\nclient_id = \"a\"\nclient_secret = \"q8-Hidden-Pw\\q\"\n"),
        (3, "[[clients]]\nclient_id = \"a\"\nclient_secret \"q8-Hidden-Pw\"\n"),
        (4, "[[clients]]\nclient_id = \"a\"\nclient_secret = \"q8-Hidden-Pw\"\nclient_secret = \"q8-Hidden-Pw\"\n"),
        (3, "[[clients]]\nclient_id = \"a\"\nclient_secrets = [\"q8-Hidden-Pw\", q8-Hidden-Pw]\n"),
    ] {
        let faults = refused(text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].starts_with(&format!("line {line}: ")), "{text}: {faults:?}");
        assert!(!faults[0].contains("q8-Hidden"), "{faults:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let faults = refused(b"client_secret = \"q8-\xFF-Hidden-Pw\"");
    assert_eq!(keys(&faults), ["--config"]);
    assert!(!faults.concat().contains("Hidden"), "{faults:?}");
    let missing = run(None, &["--config", "there-is-no-such-file.toml"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(2), ""));
    assert!(missing.lines[0].starts_with("error: --config: "), "{:?}", missing.lines);
}

// req: HT-014, RR-017
#[test]
fn a_malformed_realm_is_named() {
    for path in ["alpha", "", "/", "//", "/alpha/", "/alpha//beta", "/..", "/alpha/../beta", "/.", "/a\\\\b", "/a\\nb"]
    {
        let faults = refused(format!("[realms.\"{path}\"]\n"));
        assert_eq!(keys(&faults), [format!("realms.\"{path}\"")], "{faults:?}");
    }
    let faults = refused(
        r#"
        [realms."/alpha"]
        issuer = "https://alpha.example.com"
        listen = "127.0.0.1:0"
        store = "memory"
        tls_key = "key.pem"
        dpop_nonce = 1
        colour = "red"
        scopes = ["a b"]
        [[realms."/alpha".clients]]
        client_id = "a"
        [realms]
        "/beta" = 5
        "#
        .replace("[realms]\n        \"/beta\" = 5", ""),
    );
    let mut found = keys(&faults);
    found.sort_unstable();
    let wanted =
        ["clients.\"a\".client_secret", "colour", "dpop_nonce", "issuer", "listen", "scopes", "store", "tls_key"];
    assert_eq!(found, wanted.map(|key| format!("realms.\"/alpha\".{key}")));
    assert_eq!(keys(&refused("realms.\"/beta\" = 5\n")), ["realms.\"/beta\""]);
}

/// A fault at the top does not hide one of a realm's path.
// req: HT-014, RR-017
#[test]
fn a_malformed_realm_is_named_beside_other_faults() {
    let faults = refused("scopes = [\"a b\"]\n[realms.\"alpha\"]\n");
    assert!(keys(&faults).contains(&"realms.\"alpha\""), "{faults:?}");
}

/// The lines of a configuration's faults are the server's own, whatever a key or value holds.
// req: HT-014
#[test]
fn a_key_cannot_forge_a_line() {
    for config in [
        "\"colour\\nerror: forged\" = 1\n",
        "[[clients]]\nclient_id = \"a\"\nclient_secret = \"q8-Hidden-Pw\"\n\"x\\nerror: forged\" = 1\n",
        "[[clients]]\nclient_id = \"a\"\nclient_secret = \"q8-Hidden-Pw\"\ntoken_endpoint_auth_method = [\"client_secret_basic\", \"x\\nerror: forged\"]\n",
        "[realms.\"/a\\nerror: forged\"]\n",
    ] {
        let faults = refused(config);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(!faults[0].starts_with("forged"), "{faults:?}");
    }
}

// req: SE-020, TR-038
#[test]
fn what_is_probably_not_meant_is_warned_about_by_name() {
    let warnings = accepted(
        r#"
        [[clients]]
        client_id = "short"
        client_secret = "q8-Pw1"
        grant_types = ["client_credentials"]
        [[clients]]
        client_id = "no-grant"
        client_secret = "q8-Hidden-Pw"
        [[clients]]
        client_id = "inspector"
        client_secret = "q8-Hidden-Pw"
        grant_types = []
        [realms."/alpha"]
        [[realms."/alpha".clients]]
        client_id = "short"
        client_secrets = ["q8-Hidden-Pw", "q8-Pw2"]
        grant_types = ["client_credentials"]
        "#,
    );
    assert_eq!(
        keys(&warnings),
        [
            "clients.\"short\".client_secret",
            "clients.\"no-grant\".grant_types",
            "realms.\"/alpha\".clients.\"short\".client_secrets[1]",
        ]
    );
    assert!(!warnings.concat().contains("q8-"), "{warnings:?}");
}

#[cfg(feature = "dpop")]
#[test]
fn nonce_keys_that_make_no_nonces_are_warned_about() {
    let keys_line = "dpop_nonce_keys = [\"a-key-that-all-nodes-of-this-realm-share\"]\n";
    let realm = |line: &str| format!("{keys_line}{SOUND}[realms.\"/alpha\"]\n{line}\n");
    for config in [format!("{keys_line}{SOUND}"), format!("dpop_nonce = false\n{keys_line}{SOUND}"), realm("")] {
        assert_eq!(keys(&accepted(&config)), ["dpop_nonce_keys"], "{config}");
    }
    for config in [format!("dpop_nonce = true\n{keys_line}{SOUND}"), realm("dpop_nonce = true")] {
        assert_eq!(accepted(&config), [""; 0], "{config}");
    }
}
