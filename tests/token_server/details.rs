//! Rich authorization requests over HTTP: types in the file, details in the form, the answer, introspection and metadata.

use crate::harness::*;
use serde_json::{Value, json};

const MINE: (&str, &str) = ("myClient", "d4-Detailed-Client");

fn config(types_of_client: &str) -> String {
    let client = format!(
        r#"
client_id = "myClient"
client_secret = "d4-Detailed-Client"
grant_types = ["client_credentials"]
scope = "write"
token_endpoint_auth_method = "client_secret_post"
authorization_details_types = {types_of_client}
"#
    );
    format!(
        r#"
authorization_details_types = ["payment", "account"]
[[clients]]
{client}
[realms."/alpha"]
authorization_details_types = ["account"]
[[realms."/alpha".clients]]
{}
[realms."/beta"]
"#,
        client.replace(types_of_client, r#"["account"]"#)
    )
}

fn asking_for(details: &Value) -> String {
    let details: String = form_urlencoded::byte_serialize(details.to_string().as_bytes()).collect();
    format!("{GRANT}&authorization_details={details}")
}

// req: RA-001, RA-002, RA-011, RA-012, MD-023
#[test]
fn details_are_granted_told_and_advertised() {
    let server = Server::start(&config(r#"["payment"]"#));
    let payment = json!([{ "type": "payment", "limit": 1000 }]);
    let answer = server.post(TOKEN, MINE, &asking_for(&payment));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((&answer.json()["authorization_details"], answer.json().get("scope")), (&payment, None));
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let told = server.post(INTROSPECT, MINE, &format!("token={token}")).json();
    assert_eq!((&told["active"], &told["authorization_details"]), (&json!(true), &payment));

    let refused = (400, "invalid_authorization_details".to_owned());
    for details in
        [json!([{ "type": "account" }]), json!([{ "type": "x" }]), json!([payment[0], { "type": "x" }]), json!({})]
    {
        assert_eq!(server.post(TOKEN, MINE, &asking_for(&details)).outcome(), refused, "{details}");
    }
    let alpha = "/oauth2/realms/root/realms/alpha/access_token";
    assert_eq!(server.post(alpha, MINE, &asking_for(&payment)).outcome(), refused, "a type of another realm");
    assert_eq!(server.post(alpha, MINE, &asking_for(&json!([{ "type": "account" }]))).status, 200);

    for (realm, types) in [
        ("", json!(["payment", "account"])),
        ("/realms/alpha", json!(["account"])),
        ("/realms/beta", json!(["payment", "account"])),
    ] {
        let metadata = server.send(&Request::get(format!("{WELL_KNOWN}{realm}"))).json();
        assert_eq!(metadata["authorization_details_types_supported"], types, "{realm}");
    }
    server.finish();
}

// req: RA-016
#[test]
fn a_client_of_an_unknown_type_stops_the_start() {
    let broken = run(Some(config(r#"["paymnet"]"#).as_bytes()), &[]);
    assert_eq!((broken.code, &*broken.stdout), (Some(2), ""));
    let line = r#"error: clients."myClient".authorization_details_types: each must stand in the server's"#;
    assert_eq!(broken.lines, [line]);
}
