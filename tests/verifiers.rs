//! Verifiers from a file: which lines are read, which are wrong and how that is told, and that clients authenticate with what came.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

#[cfg(feature = "argon2")]
mod support;

use client_credentials::store::read_verifiers;
use client_credentials::{ClientId, SecretVerifier};
use proptest::prelude::*;

/// Of "hello".
const HELLO: &str = "sha256:LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ";

fn read(text: &str) -> Vec<(String, String)> {
    let found = read_verifiers(text).unwrap();
    found.iter().map(|(client_id, verifier)| (client_id.to_string(), verifier.to_text())).collect()
}

fn ids(text: &str) -> Vec<String> {
    read(text).into_iter().map(|(client_id, _)| client_id).collect()
}

fn faults(text: &str) -> Vec<String> {
    read_verifiers(text).unwrap_err().faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_client_stands_on_a_line() {
    for text in [
        format!("a\t{HELLO}\nb:{HELLO}\n"),
        format!("a\t{HELLO}\r\nb:{HELLO}"),
        format!("\u{feff}a:{HELLO}\n\n# c\t{HELLO}\n#\n \t \n\t\n\r\n\tb\t{HELLO}\n\n"),
    ] {
        assert_eq!(read(&text), [("a".to_owned(), HELLO.to_owned()), ("b".to_owned(), HELLO.to_owned())]);
    }
    for text in ["", "\u{feff}", "\n", "\r\n\r\n", "# a", "   ", "\t"] {
        assert_eq!(ids(text), [""; 0]);
    }
}

#[test]
fn every_client_id_can_be_written() {
    for client_id in [
        " ",
        "#",
        "#1",
        " a ",
        "a:b",
        "urn:x:y:",
        ":",
        "::",
        "sha256",
        ":sha256",
        "sha256:",
        "a:sha256:b",
        "$argon2id$",
        "a:$argon2id$b",
        "größe",
        "\u{feff}",
        "\u{feff}\u{feff}",
        "'\"\\",
        "🦀",
        &"x".repeat(255),
    ] {
        assert_eq!(ids(&format!("\t{client_id}\t{HELLO}")), [client_id]);
        if !client_id.starts_with(['#', '\u{feff}']) {
            assert_eq!(ids(&format!("{client_id}\t{HELLO}")), [client_id]);
            assert_eq!(ids(&format!("{client_id}:{HELLO}")), [client_id]);
        }
    }
}

#[test]
// req: SE-009
fn a_wrong_line_is_named_and_not_repeated() {
    let form = "needs a client_id, a tab or a colon, and a verifier";
    let id = "a client_id is 1 to 255 octets of UTF-8 without control characters";
    let digest = "a secret's hash must have 43 characters of base64url after `sha256:`";
    let kind = "a secret's hash must be `sha256:` and base64url, or a PHC string of Argon2id";
    let long = "has more than 1024 octets";
    for (line, problem) in [
        ("nothing".to_owned(), form),
        (HELLO.to_owned(), form),
        (format!("a {HELLO}x"), form),
        (format!("a: {HELLO}"), form),
        ("a:md5:5d41402abc4b2a76b9719d911017c592".to_owned(), form),
        (format!(":{HELLO}"), id),
        (format!("\t\t{HELLO}"), id),
        (format!("{}\t{HELLO}", "x".repeat(256)), id),
        (format!("a\u{7f}\t{HELLO}"), id),
        (format!("a\r:{HELLO}"), id),
        (format!("a\t{HELLO} "), digest),
        (format!("a\t{HELLO}\r\r"), digest),
        (format!("a\t{HELLO}\t"), digest),
        (format!("a:{HELLO}="), digest),
        ("a:sha256:".to_owned(), digest),
        ("a\t".to_owned(), kind),
        (format!("\ta\t\t{HELLO}"), kind),
        (format!("a\t {HELLO}"), kind),
        (format!("a\t:{HELLO}"), kind),
        ("a\t$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".to_owned(), kind),
        ("a:$argon2i$v=19$m=8,t=1,p=1$c29tZSBzYWx0$AAAAAAAAAAAAAAAAAAAAAA".to_owned(), kind),
        (format!("{}\t{HELLO}", "x".repeat(1024)), long),
        ("x".repeat(1_000_000), long),
    ] {
        assert_eq!(
            faults(&format!("ok\t{HELLO}\n\n{line}\nother:{HELLO}")),
            [format!("line 3: {problem}")],
            "{line:?}"
        );
    }
    let text = format!("\u{feff}wrong secret\r\na:{HELLO}\r\n#\r\nb\tsecret\r\na\t{HELLO}\r\na:{HELLO}");
    let told = read_verifiers(&text).unwrap_err();
    assert_eq!(
        told.to_string(),
        format!(
            "line 1: {form}; line 4: {kind}; line 5: has the client_id of line 2; line 6: has the client_id of line 2"
        )
    );
    assert!(!format!("{told:?}").contains("secret ") && !format!("{told:?}").contains("LPJN"));
}

#[cfg(feature = "argon2")]
mod argon2id {
    use super::support::*;
    use super::*;
    use argon2::password_hash::PasswordHasher;
    use argon2::{Algorithm, Argon2, Params, Version};
    use client_credentials::store::{Added, ClientRegistry, MemoryClientStore, MemoryTokenStore};
    use client_credentials::{AuthorizationServer, Client, RegisteredSecret, Scope};
    use serde_json::json;

    /// Ten thousand clients of another server, most of them with a hash that it made.
    #[tokio::test]
    // req: CA-047
    async fn ten_thousand_clients_move_here() {
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let hashes: Vec<String> = (0..10_u8)
            .map(|number| {
                let secret = format!("a chosen secret {number}");
                cheap.hash_password_with_salt(secret.as_bytes(), &[number; 16]).unwrap().to_string()
            })
            .collect();
        let generated = SecretVerifier::sha256("a generated one").to_text();
        let line = |number: usize| match number % 11 {
            10 => format!("client:{number}:{generated}\r\n"),
            kind => format!("client:{number}\t{}\n", hashes[kind]),
        };
        let text: String = (0..10_000).map(line).collect();
        let clients: Vec<Client> = read_verifiers(&text)
            .unwrap()
            .into_iter()
            .map(|(client_id, verifier)| {
                let mut client = Client::new(client_id);
                client.client_secrets.push(RegisteredSecret::new("1", verifier));
                client.scope = Scope::parse("read").ok();
                client
            })
            .collect();
        let config = config(json!({ "unknown_client_work": "argon2id" }));
        assert_eq!(clients.len(), 10_000);
        assert!(clients.iter().all(|client| client.validate(&config).is_empty()));
        let registry = MemoryClientStore::default();
        assert_eq!(registry.add(&clients).await.unwrap(), Added::All);
        let server = AuthorizationServer::new(config, registry, MemoryTokenStore::default()).unwrap();
        let ask = |client_id: &str, secret: &str| {
            let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let ask = Sent::form("grant_type=client_credentials&scope=read").basic(&escape(client_id), &escape(secret));
            token(&server, &ask).status
        };
        for number in [0, 1, 2, 5_004, 9_999] {
            let (client_id, kind) = (format!("client:{number}"), number % 11);
            let right = if kind == 10 { "a generated one".to_owned() } else { format!("a chosen secret {kind}") };
            assert_eq!(ask(&client_id, &right), 200, "{client_id}");
            assert_eq!(ask(&client_id, &format!("{right}.")), 401, "{client_id}");
        }
        assert_eq!(ask("client:10", "a generated one"), 200);
        assert_eq!(ask("client:10000", "a generated one"), 401);
    }

    #[test]
    fn a_hash_that_asks_for_too_much_is_a_fault() {
        let phc = |m: u32| format!("a:$argon2id$v=19$m={m},t=1,p=1$c29tZSBzYWx0$AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(ids(&phc(65_536)), ["a"]);
        assert_eq!(faults(&phc(65_537)), ["line 1: a secret's hash asks for more than 64 MiB, 10 passes or 4 lanes"]);
    }
}

fn client_id() -> impl Strategy<Value = String> {
    "[ -~é🦀:#$\u{feff}]{1,40}".prop_filter("not too long", |text| ClientId::new(text.as_str()).is_ok())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        clients in prop::collection::btree_map(client_id(), "\\PC{0,20}", 0..20), crlf in any::<bool>(), bom in any::<bool>()
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = if bom { "\u{feff}".to_owned() } else { String::new() };
        let mut expected = Vec::new();
        for (at, (client_id, secret)) in clients.iter().enumerate() {
            let verifier = SecretVerifier::sha256(secret).to_text();
            let (before, divider) = match at % 3 {
                0 => ("\t", '\t'),
                _ if client_id.starts_with(['#', '\u{feff}']) => ("\t", '\t'),
                1 => ("", '\t'),
                _ => ("", ':'),
            };
            text += &format!("{before}{client_id}{divider}{verifier}{end}{}", if at % 4 == 0 { end } else { "" });
            expected.push((client_id.clone(), verifier));
        }
        prop_assert_eq!(read(&text), expected);
    }

    #[test]
    fn any_text_is_read_or_named(text in "[a:\t\r\n #$\u{feff}-]{0,40}|\\PC{0,60}|(a|b|:|\t|\r|\n|#|sha256:|sha256:LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ){0,20}") {
        match read_verifiers(&text) {
            Ok(found) => {
                let written: String = found.iter().map(|(id, verifier)| format!("\t{id}\t{}\n", verifier.to_text())).collect();
                prop_assert_eq!(read(&written), read(&text));
            }
            Err(error) => {
                prop_assert!(!error.faults.is_empty() && error.faults.len() <= text.split('\n').count());
                prop_assert!(!error.to_string().contains(char::is_control));
            }
        }
    }
}
