//! Raw keys of clients in the text that a database keeps: sealed for one place, opened there and nowhere else.
#![cfg(feature = "jwt")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test panics where it fails")]

mod support;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::store::{ClientRegistry, InvalidSealingKeys, MemoryClientStore, Registrations, SealingKeys};
use client_credentials::{Client, MacKey, RegisteredSecret, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::*;

const ISSUER: &str = "https://as.example.com";
const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
/// The raw key of the client `mac`: 48 octets that are easily found.
const RAW: [u8; 48] = *b"\0a raw key that nobody reads in a database: 48\xff!";

fn keeps(issuer: &str, keys: &[[u8; 32]]) -> Registrations {
    Registrations::new(issuer).with_sealing_keys(SealingKeys::new(keys).unwrap())
}

/// A client with two raw keys, and a secret of which there is a hash alone.
fn mac_client() -> Client {
    let mut client = client(json!({
        "client_id": "mac", "token_endpoint_auth_method": ["client_secret_jwt", "client_secret_basic"], "scope": "read",
        "grant_types": ["client_credentials"], "default_scope": "read", "tokens_not_before": 1_767_225_600.5,
        "client_secrets": [
            { "id": "1", "mac_key": URL_SAFE_NO_PAD.encode(RAW) },
            { "id": "größe '", "mac_key": URL_SAFE_NO_PAD.encode([7; 1024]), "expires_at": 1_900_000_000 },
        ],
    }));
    let hashed = client_credentials::SecretVerifier::sha256("another one");
    client.client_secrets.insert(1, RegisteredSecret::new("hashed", hashed));
    assert!(client.validate(&config(json!({}))).is_empty());
    client
}

/// The serde form, which has the raw keys.
fn members(client: &Client) -> Value {
    serde_json::to_value(client).unwrap()
}

/// What stands in the text for the raw key of a secret.
fn sealed(text: &str, secret: usize) -> String {
    serde_json::from_str::<Value>(text).unwrap()["client_secrets"][secret]["mac_key"].as_str().unwrap().to_owned()
}

/// The error for a text that must not be read; nothing of a key stands in it.
fn refusal(registrations: &Registrations, text: &str) -> String {
    let error = registrations.from_text(text).map(|client| members(&client)).unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("sealed:") && !told.contains(&URL_SAFE_NO_PAD.encode(RAW)), "{told}");
    error.to_string()
}

#[test]
// req: SE-009
fn a_sealed_client_comes_back_as_it_was_and_its_text_has_no_raw_key() {
    let (registrations, client) = (keeps(ISSUER, &[NEW]), mac_client());
    let text = registrations.to_text(&client).unwrap();
    assert_eq!(members(&registrations.from_text(&text).unwrap()), members(&client));
    let hex: String = RAW.iter().map(|octet| format!("{octet:02x}")).collect();
    let found = |needle: &[u8]| text.as_bytes().windows(needle.len()).any(|window| window == needle);
    for form in [&RAW[1..46], URL_SAFE_NO_PAD.encode(RAW).as_bytes(), hex.as_bytes(), hex.to_uppercase().as_bytes()] {
        assert!(!found(form));
        assert!(!found(&form[..16]) && !found(&form[form.len() - 16..]));
    }
    assert!(!found(b"BwcHBwcH"), "the other key");
    assert_eq!(sealed(&text, 0).split(':').map(str::len).collect::<Vec<_>>(), [6, 8, (12 + 48 + 16) * 4_usize / 3 + 1]);
    assert_ne!(*registrations.to_text(&client).unwrap(), *text, "a nonce of its own each time");
    assert_eq!(
        format!("{registrations:?}"),
        "Registrations { issuer: \"https://as.example.com\", sealing: Some(SealingKeys(1)) }"
    );
}

#[test]
fn a_client_without_a_raw_key_needs_no_sealing() {
    let (plain, sealing) = (Registrations::new(ISSUER), keeps(ISSUER, &[NEW]));
    let text = plain.to_text(&my_client()).unwrap();
    assert_eq!(*sealing.to_text(&my_client()).unwrap(), *text);
    assert_eq!(members(&sealing.from_text(&text).unwrap()), members(&my_client()));
    assert_eq!(members(&plain.from_text(&text).unwrap()), members(&my_client()));
}

#[test]
// req: SE-009
fn raw_keys_are_neither_written_nor_read() {
    let (plain, sealing, client) = (Registrations::new(ISSUER), keeps(ISSUER, &[NEW]), mac_client());
    let error = plain.to_text(&client).unwrap_err().to_string();
    assert_eq!(error, "a client has a raw key (client_secret_jwt), and there are no sealing keys for it");
    let text = sealing.to_text(&client).unwrap();
    assert_eq!(refusal(&plain, &text), error);
    let raw = members(&client).to_string();
    for registrations in [&plain, &sealing] {
        assert_eq!(refusal(registrations, &raw), "a stored registration has a raw key that is not sealed");
        for secret in [
            json!({ "client_secret": "a secret of forty octets and some more.." }),
            json!({ "client_secrets": ["a secret of forty octets and some more.."] }),
            json!({ "client_secrets": [{ "mac_key": 3, "id": "1" }] }),
        ] {
            let mut members =
                json!({ "client_id": "mac", "token_endpoint_auth_method": "client_secret_jwt", "grant_types": [] });
            members.as_object_mut().unwrap().extend(secret.as_object().unwrap().clone());
            assert_eq!(
                refusal(registrations, &members.to_string()),
                "a stored registration has a raw key that is not sealed"
            );
        }
    }
}

/// What cannot be read is not repeated, as it may be a secret.
#[test]
// req: SE-009
fn no_error_repeats_a_text() {
    for registrations in [Registrations::new(ISSUER), keeps(ISSUER, &[NEW])] {
        for text in [
            "\"my secret\"",
            "{ \"client_id\": { \"my secret\": 1 } }",
            "{ \"my secret\": \"my secret\" }",
            "my secret",
            "[\"my secret\"]",
            "{ \"client_id\": \"a\" } my secret",
        ] {
            let error = registrations.from_text(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("my secret"), "{error:?}");
        }
    }
}

/// A secret that is lost on the way is an error too, though the client would be faulty.
#[test]
fn no_client_comes_without_its_secret() {
    let registrations = keeps(ISSUER, &[NEW]);
    let text = registrations.to_text(&mac_client()).unwrap();
    for (from, to) in
        [("\"id\":\"1\"", "\"id\":\"1\",\"x\":1"), ("\"expires_at\":1900000000", "\"expires_at\":\"never\"")]
    {
        assert!(text.contains(from));
        refusal(&registrations, &text.replace(from, to));
    }
}

/// A configuration file is no database: what is sealed is no key there.
#[test]
fn a_configuration_takes_no_sealed_key() {
    let text = keeps(ISSUER, &[NEW]).to_text(&mac_client()).unwrap();
    let client: Client = serde_json::from_str(&text).unwrap();
    assert!(client.client_secrets.iter().all(|secret| secret.mac_key.is_none()));
    let faults: Vec<String> = client.validate(&config(json!({}))).iter().map(ToString::to_string).collect();
    assert!(
        faults.contains(&"client_secrets[0]: mac_key must be 32 to 1024 octets in base64url".to_owned()),
        "{faults:?}"
    );
}

#[test]
// req: SE-009
fn each_bit_counts() {
    let registrations = keeps(ISSUER, &[NEW]);
    let text = registrations.to_text(&mac_client()).unwrap();
    let own = sealed(&text, 0);
    let (start, encoded) = own.rsplit_once(':').unwrap();
    let octets = URL_SAFE_NO_PAD.decode(encoded).unwrap();
    let changed = |octets: &[u8]| text.replace(&own, &format!("{start}:{}", URL_SAFE_NO_PAD.encode(octets)));
    for bit in 0..octets.len() * 8 {
        let mut octets = octets.clone();
        octets[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            refusal(&registrations, &changed(&octets)),
            "a client's sealed key was changed, or comes from another place"
        );
    }
    for length in 0..octets.len() {
        refusal(&registrations, &changed(&octets[..length]));
    }
    refusal(&registrations, &changed(&[octets.as_slice(), &[0]].concat()));
    for sealed in [
        "sealed:",
        "sealed::",
        "sealed",
        "",
        &own.replace("sealed:", "Sealed:"),
        &own.replacen(':', "", 2),
        &format!("{own}="),
        &format!("{own} "),
    ] {
        refusal(&registrations, &text.replace(&own, sealed));
    }
}

#[test]
// req: ST-016
fn a_key_opens_where_it_was_sealed_alone() {
    let registrations = keeps(ISSUER, &[NEW]);
    let text = registrations.to_text(&mac_client()).unwrap();
    let moved = "a client's sealed key was changed, or comes from another place";
    for issuer in ["https://as.example.co", "https://as.example.comm", "https://AS.example.com", ""] {
        assert_eq!(refusal(&keeps(issuer, &[NEW]), &text), moved);
    }
    for client_id in ["Mac", "mac ", "ma"] {
        assert_eq!(refusal(&registrations, &text.replace("\"mac\"", &format!("\"{client_id}\""))), moved);
    }
    for secret_id in ["2", "", "11"] {
        assert_eq!(refusal(&registrations, &text.replace("\"id\":\"1\"", &format!("\"id\":\"{secret_id}\""))), moved);
    }
    assert_eq!(refusal(&registrations, &text.replace("\"id\":\"1\",", "")), moved);
    // From one secret of the client to the other.
    let [first, second] = [0, 2].map(|secret| sealed(&text, secret));
    assert_eq!(refusal(&registrations, &text.replace(&first, &second)), moved);
    // An end of one part that begins the next.
    let of = |client_id: &str, secret_id: &str| {
        let mut client = mac_client();
        client.client_id = client_id.parse().unwrap();
        client.client_secrets.truncate(1);
        client.client_secrets[0].id = secret_id.to_owned();
        registrations.to_text(&client).unwrap()
    };
    let (one, other) = (of("mac1", "2"), of("mac", "12"));
    assert_eq!(refusal(&registrations, &one.replace(&sealed(&one, 0), &sealed(&other, 0))), moved);
}

#[tokio::test]
async fn a_sealing_key_is_changed_without_a_gap() {
    let (old, both, new) = (keeps(ISSUER, &[OLD]), keeps(ISSUER, &[NEW, OLD]), keeps(ISSUER, &[NEW]));
    let text = old.to_text(&mac_client()).unwrap();
    assert_eq!(refusal(&new, &text), "a client's raw key was sealed by a key that is not here");
    let read = both.from_text(&text).unwrap();
    assert_eq!(members(&read), members(&mac_client()));
    // Saved again by a change that changes nothing.
    let clients = MemoryClientStore::from_iter([read]);
    clients.change("mac", |_| {}).await.unwrap();
    let text = both.to_text(&clients.get("mac").unwrap()).unwrap();
    assert_eq!(members(&new.from_text(&text).unwrap()), members(&mac_client()));
    assert_eq!(refusal(&old, &text), "a client's raw key was sealed by a key that is not here");
    // The id of another key does not help.
    let [of_old, of_new] = [&old, &new].map(|keys| sealed(&keys.to_text(&mac_client()).unwrap(), 0));
    let forged = format!("{}{}", &of_new[..16], &of_old[16..]);
    refusal(&both, &text.replace(&sealed(&text, 0), &forged));
}

#[test]
fn sealing_keys_have_32_octets() {
    for keys in [vec![], vec![vec![1; 31]], vec![vec![1; 33]], vec![vec![]], vec![vec![1; 32], vec![1; 16]]] {
        let InvalidSealingKeys { .. } = SealingKeys::new(keys).unwrap_err();
    }
    assert_eq!(format!("{:?}", SealingKeys::new([OLD, NEW]).unwrap()), "SealingKeys(2)");
}

/// The operator's tasks on a client with raw keys, through the text that a database keeps.
#[tokio::test]
async fn a_rotated_secret_is_sealed_too() {
    let registrations = keeps(ISSUER, &[NEW]);
    let mut client = mac_client();
    client.client_secrets.clear();
    let clients = MemoryClientStore::default();
    let first = clients.register(client).await.unwrap();
    let second =
        clients.rotate_secret("mac", std::time::Duration::from_secs(60), Timestamp::from_secs(NOW)).await.unwrap();
    let text = registrations.to_text(&clients.get("mac").unwrap()).unwrap();
    for secret in [&first, &second] {
        assert!(!text.contains(secret.expose()) && !text.contains(&URL_SAFE_NO_PAD.encode(secret.expose())));
    }
    let read = registrations.from_text(&text).unwrap();
    assert_eq!(members(&read), members(&clients.get("mac").unwrap()));
    assert_eq!(read.client_secrets.iter().filter(|secret| secret.mac_key.is_some()).count(), 2);
}

/// A store that keeps texts, as one with a database does.
#[cfg(feature = "conformance")]
struct Texts(Registrations, std::collections::BTreeMap<String, String>);

#[cfg(feature = "conformance")]
impl client_credentials::ClientStore for Texts {
    async fn client(&self, client_id: &str) -> Result<Option<std::sync::Arc<Client>>, client_credentials::StoreError> {
        self.1.get(client_id).map(|text| self.0.from_text(text).map(Into::into)).transpose()
    }
}

#[tokio::test]
#[cfg(feature = "conformance")]
async fn a_store_of_sealed_texts_keeps_every_promise() {
    client_credentials::store::conformance::client_store(async |clients: Vec<Client>| {
        let registrations = keeps(ISSUER, &[NEW, OLD]);
        let text = |client: &Client| (client.client_id.to_string(), registrations.to_text(client).unwrap().to_string());
        let texts = clients.iter().map(text).collect();
        Texts(registrations, texts)
    })
    .await;
}

proptest! {
    #[test]
    fn any_key_comes_back(key in prop::collection::vec(any::<u8>(), 32..=1024), id in "\\PC{0,20}", client_id in "\\PC{1,60}", issuer in "\\PC{0,20}") {
        let mut client = mac_client();
        client.client_id = client_id.parse().unwrap();
        let mut secret = RegisteredSecret::new(id, client_credentials::SecretVerifier::sha256("of another"));
        secret.mac_key = Some(MacKey::new(key).unwrap());
        client.client_secrets = vec![secret];
        let registrations = keeps(&issuer, &[OLD]);
        let text = registrations.to_text(&client).unwrap();
        prop_assert_eq!(members(&registrations.from_text(&text).unwrap()), members(&client));
    }

    #[test]
    fn any_text_is_a_client_or_an_error(text in "\\PC{0,200}") {
        let registrations = keeps(ISSUER, &[OLD]);
        let _ = registrations.from_text(&text);
        let stored = json!({ "client_id": "a", "client_secrets": [{ "id": "1", "hash": "", "mac_key": format!("sealed:{text}") }] });
        refusal(&registrations, &stored.to_string());
    }
}
