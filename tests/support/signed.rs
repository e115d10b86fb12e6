//! A client of signed tokens, and what it asks.

use super::*;
use serde_json::json;

pub const CREDENTIALS: &str = "client_id=myClient&client_secret=mySecret";

/// Client, secret and format of an ordinary test.
pub fn jwt_client() -> Client {
    client(json!({
        "client_id": "myClient", "client_secret": "mySecret", "scope": "write read", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post", "access_token_format": "jwt", "default_scope": "write",
    }))
}

pub fn ask(server: &Server) -> String {
    let answer = token(server, &Sent::form(format!("grant_type=client_credentials&{CREDENTIALS}")));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("access_token")
}

pub fn about(token: &str) -> Sent {
    Sent::form(format!("token={token}&{CREDENTIALS}"))
}
