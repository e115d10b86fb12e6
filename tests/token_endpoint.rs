//! The token endpoint: parameters and their order (RFC 6749 §3.2, §4.4).

mod support;
use support::*;

#[test]
// req: TR-001, TO-001, TO-002
fn the_request_of_the_seed() {
    let server = server(config(serde_json::json!({})), [my_client()]);
    let body = "grant_type=client_credentials&client_id=myClient&client_secret=mySecret&scope=write";
    let answer = token(&server, &Sent::form(body));
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(
        (&json["token_type"], &json["scope"], &json["expires_in"]),
        (&"Bearer".into(), &"write".into(), &3600.into())
    );
    assert_eq!(json["access_token"].as_str().unwrap().len(), 43);
}
