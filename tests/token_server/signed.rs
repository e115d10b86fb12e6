//! Signed tokens over HTTP: checked by another library with the published keys, asked about, revoked.

use crate::harness::*;
use serde_json::Value;

fn key_file(name: &str) -> String {
    format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// One client of the root whose tokens are signed with a key from a file, and one of a realm whose key is made at start.
fn config() -> String {
    let client = r#"
client_id = "myClient"
client_secret = "w7-Signed-Client"
grant_types = ["client_credentials"]
scope = "write"
default_scope = "write"
token_endpoint_auth_method = "client_secret_post"
"#;
    format!(
        r#"
signing_keys = ["{}"]
[[clients]]
{client}
access_token_format = "jwt"
[realms."/alpha"]
access_token_format = "jwt"
signing_algorithms = ["EdDSA"]
signing_keys = []
[[realms."/alpha".clients]]
{client}
"#,
        key_file("ec-p256-pkcs8.pem")
    )
}

const MINE: (&str, &str) = ("myClient", "w7-Signed-Client");

/// What a resource server does: metadata, key set, signature, `typ`, issuer, audience, expiry.
fn verified(server: &Server, metadata: &str, token: &str) -> Value {
    let described = server.send(&Request::get(metadata)).json();
    let issuer = described["issuer"].as_str().unwrap();
    let keys = described["jwks_uri"].as_str().unwrap().strip_prefix(&server.origin()).unwrap().to_owned();
    let answer = server.send(&Request::get(keys));
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&answer.body).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.set_audience(&[issuer]);
    validation.set_issuer(&[issuer]);
    jsonwebtoken::decode::<Value>(token, &jsonwebtoken::DecodingKey::from_jwk(key).unwrap(), &validation)
        .unwrap()
        .claims
}

// req: JW-001, JW-002, MD-009, MD-016, MD-018, IN-019, RV-009, RR-006, RR-015, RR-016
#[test]
fn a_signed_token_is_believed_asked_about_and_revoked() {
    let server = Server::start(&config());
    let realms = [
        ("/oauth2", "/.well-known/oauth-authorization-server"),
        ("/oauth2/realms/root/realms/alpha", "/.well-known/oauth-authorization-server/realms/alpha"),
    ];
    let tokens: Vec<String> = realms
        .iter()
        .map(|(base, _)| server.post(&format!("{base}/access_token"), MINE, "grant_type=client_credentials").token())
        .collect();
    for (at, (base, metadata)) in realms.iter().enumerate() {
        let claims = verified(&server, metadata, &tokens[at]);
        assert_eq!((&claims["sub"], &claims["scope"]), (&"myClient".into(), &"write".into()));
        let about = |token: &str| server.post(&format!("{base}/introspect"), MINE, &format!("token={token}")).json();
        assert_eq!(about(&tokens[at])["jti"], claims["jti"]);
        assert_eq!(about(&tokens[1 - at])["active"], false, "a token of another realm");
        let revoked = server.post(&format!("{base}/token/revoke"), MINE, &format!("token={}", tokens[at]));
        assert_eq!((revoked.status, &*revoked.body), (200, &b"{}"[..]));
        assert_eq!(about(&tokens[at])["active"], false, "revoked");
        assert_eq!(server.send(&Request::post(format!("{base}/connect/jwk_uri"), "")).status, 405);
    }
    server.finish();
}

// req: HT-014
#[test]
fn a_key_that_cannot_be_used_is_named() {
    for (files, algorithm, told) in [
        ("[\"missing.pem\"]".to_owned(), "ES256", "signing_keys: missing.pem"),
        (format!("[{:?}]", key_file("rsa-2048-pkcs8.pem")), "ES256", "is no private key for one of"),
        (
            format!("[{:?}, {:?}]", key_file("ec-p256-pkcs8.pem"), key_file("ec-p256-sec1.pem")),
            "ES256",
            "has the kid of another file's key",
        ),
        ("\"a.pem\"".to_owned(), "ES256", "signing_keys: must be a list"),
        ("[]".to_owned(), "HS256", "signing_algorithms: must be one of"),
    ] {
        let config = format!("signing_keys = {files}\nsigning_algorithms = [{algorithm:?}]\n");
        let ended = run(Some(config.as_bytes()), &["--check"]);
        assert_eq!(ended.code, Some(2), "{config}");
        assert!(ended.lines.concat().contains(told), "{config}: {:?}", ended.lines);
    }
}

/// The rotation of `docs/operations.md`: the new file before the old one, then after it; what was signed stays good.
#[test]
fn keys_of_files_rotate_by_restarts() {
    let folder = Folder::new();
    let keys: Value = serde_json::from_str(include_str!("../vectors/keys.json")).unwrap();
    let new = folder.0.join("new.jwk");
    std::fs::write(&new, keys["keys"]["ec-as"].to_string()).unwrap();
    let (old, new) = (key_file("ec-p256-pkcs8.pem"), new.to_str().unwrap().to_owned());
    let client = "[[clients]]\nclient_id = \"myClient\"\nclient_secret = \"w7-Signed-Client\"\n\
         grant_types = [\"client_credentials\"]\nscope = \"write\"\ndefault_scope = \"write\"\n\
         token_endpoint_auth_method = \"client_secret_post\"\n";
    let mut tokens: Vec<String> = Vec::new();
    for (files, signer) in [(vec![&old], 0), (vec![&new, &old], 0), (vec![&old, &new], 1)] {
        let settings =
            format!("issuer = \"http://localhost\"\naccess_token_format = \"jwt\"\nsigning_keys = {files:?}\n{client}");
        let server = Server::start(&settings);
        tokens.push(server.post(TOKEN, MINE, GRANT).token());
        for token in &tokens {
            assert_eq!(server.post(INTROSPECT, MINE, &format!("token={token}")).json()["active"], true, "{files:?}");
        }
        let kids: Vec<_> = tokens.iter().map(|token| jsonwebtoken::decode_header(token).unwrap().kid).collect();
        assert_eq!(kids.last() == kids.first(), signer == 0, "{files:?}");
        server.finish();
    }
}
