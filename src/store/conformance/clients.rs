//! What a [`ClientStore`] promises.

use super::together::in_one_task;
use super::{Promise, sure};
use crate::client::{Client, ClientId, ClientStore};
use serde_json::{Map, Value, json};

/// Checks each promise of [`ClientStore`] on stores of `make`, which is given the clients that a store is to hold, and no others.
///
/// # Panics
/// At the first broken promise; the message names it.
pub async fn client_store<S: ClientStore>(make: impl AsyncFn(Vec<Client>) -> S) {
    let on = async |says, clients: &[Client]| Subject {
        promise: Promise { of: "ClientStore", says },
        store: make(clients.to_vec()).await,
    };
    let (full, exact) = (full_clients(), EXACT.map(named));
    are_found(on("a client comes back as it was registered", &full).await, &full).await;
    is_absent(on("what was never registered is not found", &[named("Reports"), named("a")]).await).await;
    is_absent(on("what was never registered is not found", &[]).await).await;
    are_found(on("a client is found by exactly its client_id", &exact).await, &exact).await;
    for half in exact.chunks(exact.len() / 2) {
        are_no_others(on("a client is found by exactly its client_id", half).await, half).await;
    }
    at_once(on("look-ups at once are answered each for itself", &exact).await, &exact).await;
}

struct Subject<S> {
    store: S,
    promise: Promise,
}

impl<S: ClientStore> Subject<S> {
    async fn finds(&self, client_id: &str, expected: Option<&Client>) {
        let what = format_args!("the look-up of {client_id:?}").to_string();
        let found = self.promise.answer(self.store.client(client_id).await, &what);
        self.promise.same(found.as_deref().map(members), expected.map(members), what);
    }
}

/// The serde form, in which every member counts; what it says of a faulty client, which has none.
pub(super) fn members(client: &Client) -> Value {
    serde_json::to_value(client).unwrap_or_else(|error| Value::from(error.to_string()))
}

/// Identifiers of as many clients, which a look-up that is not exact takes for each other, or for a part of a query. Each of the first
/// half has its double in the second.
#[rustfmt::skip]
pub(super) const EXACT: [&str; 44] = [
    "reports", "Reports ", "reports\u{a0}", "report", "rep_rts", "%", "*", "[a-z]", "'", "\"", "\\", "%27", "' OR '1'='1", "$1", "?1",
    "{reports}", "é", "ﬁ", "ß", "İ", "🦀", "null",
    "REPORTS", "reports ", " reports", "reports.", "repor%", "_", "?", "r.*", "''", "\\\"", "\\'", "%2527", "x'; DROP TABLE clients; --", ":id",
    "$2", "../reports", "e\u{301}", "fi", "ss", "i\u{307}", "🐱", "NULL",
];

pub(super) fn named(client_id: &str) -> Client {
    let mut client = Client::new(sure(ClientId::new(client_id)));
    client.client_name = Some(format!("the client {client_id}"));
    client
}

/// Registrations that say something in each member of this build.
pub(super) fn full_clients() -> Vec<Client> {
    let hash = "sha256:LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"; // of "hello"
    let mut members = json!({
        "client_name": "Größe '\"\\%_ 🦀",
        "client_secrets": [
            { "hash": hash, "id": "größe '", "expires_at": 4_102_444_800_u64 },
            { "hash": hash, "id": "2" },
        ],
        "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
        "grant_types": ["client_credentials", "urn:of:others"],
        "scope": "write read !#[]~'%_",
        "default_scope": "read",
        "resources": ["https://api.example.com", "urn:größe"],
        "default_resources": ["https://api.example.com"],
        "audience": ["https://api.example.com", "urn:x"],
        "access_token_format": "opaque",
        "access_token_lifetime": 600,
        "disabled": true,
        "may_introspect": true,
        "tokens_not_before": 1_767_225_600.5,
        "basic_encoding": "raw",
    });
    if cfg!(feature = "rar") {
        extend(&mut members, json!({ "authorization_details_types": ["payment", "größe"] }));
    }
    if cfg!(feature = "jwt") {
        let key = json!({ "kty": "EC", "crv": "P-256", "kid": "größe", // RFC 7517 Appendix A.1
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" });
        let federated = json!({ "issuer": "https://ci.example.com", "subject": "job", "audience": "https://as.example.com",
            "jwks": { "keys": [key] } });
        extend(
            &mut members,
            json!({
                "token_endpoint_auth_method": ["private_key_jwt", "client_secret_jwt"],
                "client_secrets": [{ "mac_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "id": "raw" }],
                "token_endpoint_auth_signing_alg": "ES256",
                "assertion_audience": "legacy",
                "jwks": { "keys": [key] },
                "federated": [federated],
            }),
        );
    }
    if cfg!(feature = "dpop") {
        extend(&mut members, json!({ "dpop_bound_access_tokens": true }));
    }
    if cfg!(feature = "mtls") {
        extend(
            &mut members,
            json!({
                "tls_client_auth_subject_dn": "CN=reports,O=Example",
                "tls_client_certificate_bound_access_tokens": true,
            }),
        );
    }
    // Each stands alone in a registration.
    let mut alone = vec![json!({})];
    if cfg!(feature = "jwt") {
        alone.push(json!({ "jwks": null, "jwks_uri": "https://reports.example.com/jwks.json" }));
    }
    if cfg!(feature = "mtls") {
        let names =
            [("dns", "reports.example.com"), ("uri", "urn:größe"), ("ip", "2001:db8::1"), ("email", "a@example.com")];
        for (kind, name) in names {
            let member = format!("tls_client_auth_san_{kind}");
            alone.push(json!({ "tls_client_auth_subject_dn": null, member: name }));
        }
    }
    let mut clients = vec![Client::new(sure(ClientId::new("plain"))), named(&"é".repeat(127)), named(&"x".repeat(255))];
    clients.push(named(&("x".repeat(254) + "y")));
    for (at, more) in alone.into_iter().enumerate() {
        let mut registration = members.clone();
        extend(&mut registration, json!({ "client_id": format!("full {at}") }));
        extend(&mut registration, more);
        clients.push(sure(serde_json::from_value(registration)));
    }
    clients
}

fn extend(members: &mut Value, more: Value) {
    if let (Value::Object(members), Value::Object(more)) = (members, more) {
        Map::extend(members, more);
    }
}

async fn are_found(store: Subject<impl ClientStore>, clients: &[Client]) {
    for client in clients {
        store.finds(client.client_id.as_str(), Some(client)).await;
    }
}

async fn is_absent(store: Subject<impl ClientStore>) {
    for client_id in ["nobody", "R", "Report", "Reports2", "%", "Repor_s", &"a".repeat(255)] {
        store.finds(client_id, None).await;
    }
}

async fn are_no_others(store: Subject<impl ClientStore>, clients: &[Client]) {
    for client_id in EXACT {
        store.finds(client_id, clients.iter().find(|client| client.client_id.as_str() == client_id)).await;
    }
}

async fn at_once(store: Subject<impl ClientStore>, clients: &[Client]) {
    let nobody = ["nobody", "none"].map(|client_id| (client_id, None));
    let known = clients.iter().map(|client| (client.client_id.as_str(), Some(client)));
    let asked: Vec<_> = known.chain(nobody).cycle().take(200).collect();
    in_one_task(asked.into_iter().map(|(client_id, expected)| store.finds(client_id, expected))).await;
}
