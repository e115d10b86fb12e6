//! The state of `introspection.json` and `revocation.json`, made by issuing and revoking for real.

use super::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use client_credentials::{RandomError, RandomSource};
use serde_json::json;
use std::sync::Mutex;

/// A random source whose octets the test chooses, so that a token has the text that the vectors give it.
#[derive(Clone, Default)]
struct Chosen(Arc<Mutex<[u8; 32]>>);

impl RandomSource for Chosen {
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError> {
        octets.copy_from_slice(&*self.0.lock().unwrap());
        Ok(())
    }
}

/// The state of the vectors: every token issued at its `iat` to a stand-in for its client, which has the grant; then the
/// clients as the vectors have them, and what is revoked revoked.
pub fn server_in(state: &Value) -> Server {
    let (clock, random) = (TestClock::at(0), Chosen::default());
    let config = config(json!({ "issuer": state["issuer"] }));
    let server = server_at(config, [], clock.clone()).with_random(random.clone());
    let tokens = state["tokens"].as_object().unwrap();
    for (text, token) in tokens {
        clock.set_millis(token["iat"].as_u64().unwrap() * 1000);
        *random.0.lock().unwrap() = URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap();
        assert_eq!(issue(&server, token), *text);
    }
    for token in tokens.values() {
        server.clients().remove(token["client_id"].as_str().unwrap());
    }
    for registration in state["clients"].as_array().unwrap() {
        let mut registration = registration.clone();
        registration.as_object_mut().unwrap().remove("note"); // speaks to the reader of the vectors
        server.clients().insert(client(registration));
    }
    clock.set_millis(state["now"].as_u64().unwrap() * 1000);
    for (text, _) in tokens.iter().filter(|(_, token)| token["revoked"] == true) {
        assert_eq!(revoke(&server, &by_owner(state, text).unwrap()).status, 200);
    }
    server
}

/// Issues one token by the stages.
fn issue(server: &Server, token: &Value) -> String {
    let owner = Arc::new(client(json!({
        "client_id": token["client_id"], "token_endpoint_auth_method": "custom", "grant_types": ["client_credentials"],
        "default_scope": "",
    })));
    server.clients().insert(Arc::clone(&owner));
    let owner = server.vouch_for(owner, &[]).unwrap();
    let asked = Sent::form("grant_type=client_credentials");
    let mut grant = server.authorize(&owner, &TokenRequest::parse(asked.parts()).unwrap()).unwrap();
    grant.lifetime = token["exp"].as_u64().unwrap() - token["iat"].as_u64().unwrap();
    grant.scope = serde_json::from_value(token["scope"].clone()).unwrap();
    grant.audience = serde_json::from_value(token["aud"].clone()).unwrap();
    grant.confirmation = serde_json::from_value(token["cnf"].clone()).unwrap();
    run(server.issue(owner, grant)).unwrap().access_token.expose().to_owned()
}

/// A request about a token by the client it was issued to; `None` where there is no such token or client.
pub fn by_owner(state: &Value, token: &str) -> Option<Sent> {
    let client_id = state["tokens"].get(token)?["client_id"].as_str()?;
    let mut clients = state["clients"].as_array()?.iter();
    let secret = clients.find(|client| client["client_id"] == client_id)?["client_secret"].as_str()?;
    Some(Sent::form(format!("token={token}")).basic(client_id, secret))
}
