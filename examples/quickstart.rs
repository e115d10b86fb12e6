//! The grant in process: register a client, issue a token, ask about it.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, Config, Field, IntrospectionRequest, Parts, Scope, TokenRequest, introspect_token,
    issue_client_credentials_token,
};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // An operator registers a client and shows it the secret once; the store keeps a hash.
    let (mut client, secret) = Client::generate()?;
    client.scope = Some(Scope::parse("read write")?);
    client.token_endpoint_auth_method = vec!["client_secret_post".into()];
    let client_id = client.client_id.clone();

    let mut config = Config::new("https://as.example.com");
    config.scopes = Some(vec!["read".into(), "write".into()]);
    let clients: MemoryClientStore = [client].into_iter().collect();
    let server = AuthorizationServer::new(config, clients, MemoryTokenStore::default())?;

    // The client asks the token endpoint; these octets come from whatever HTTP library is in front.
    let credentials = format!("client_id={client_id}&client_secret={}", secret.expose());
    let body = format!("grant_type=client_credentials&scope=read&{credentials}");
    let response = issue_client_credentials_token(&server, &TokenRequest::parse(form(&body))?).await?;
    println!("{}", String::from_utf8(response.body())?);

    // Whoever may know asks the introspection endpoint; here the client itself.
    let body = format!("token={}&{credentials}", response.access_token.expose());
    let told = introspect_token(&server, &IntrospectionRequest::parse(form(&body))?).await?;
    println!("{}", String::from_utf8(told.body())?);
    Ok(())
}

fn form(body: &str) -> Parts<'_> {
    Parts {
        method: "POST",
        content_type: Field::One(b"application/x-www-form-urlencoded"),
        body: body.as_bytes(),
        ..Parts::default()
    }
}
