//! A rule of one's own between the stages: deny, shorten, add a claim.
//!
//! ```text
//! cargo run --example staged
//! ```

use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{
    AuthorizationServer, Client, ClientStore, Config, ErrorCode, Field, IntrospectionRequest, Parts, TokenError,
    TokenRequest, TokenResponse, TokenStore, introspect_token,
};
use std::error::Error;

/// The grant with this company's rules: tokens with the scope `admin` live five minutes and carry the tenant; clients
/// whose name begins with `batch-` get none by day.
async fn issue<C: ClientStore, T: TokenStore>(
    server: &AuthorizationServer<C, T>,
    request: &TokenRequest<'_>,
) -> Result<TokenResponse, TokenError> {
    let client = server.authenticate(request.credentials()).await?;
    let mut grant = server.authorize(&client, request)?;

    let hour = client.at().as_secs() / 3600 % 24;
    if client.client().client_id.as_str().starts_with("batch-") && (8..18).contains(&hour) {
        return Err(server.refuse(&client, ErrorCode::UnauthorizedClient, "batch jobs run at night"));
    }
    if grant.scope.contains("admin") {
        grant.lifetime = grant.lifetime.min(300);
    }
    let tenant = grant.claims.insert("tenant", "blue"); // `sub` or `scope` in its place would be an error
    tenant.map_err(|error| server.refuse(&client, ErrorCode::ServerError, error.to_string()))?;

    server.issue(client, grant).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client: Client = serde_json::from_str(
        r#"{ "client_id": "console", "client_secret": "correct horse battery", "scope": "read admin",
             "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post" }"#,
    )?;
    let clients: MemoryClientStore = [client].into_iter().collect();
    let server = AuthorizationServer::new(Config::new("https://as.example.com"), clients, MemoryTokenStore::default())?
        .on_event(|event| eprintln!("{event}"));

    let credentials = "client_id=console&client_secret=correct+horse+battery";
    let body = format!("grant_type=client_credentials&scope=admin&{credentials}");
    let response = issue(&server, &TokenRequest::parse(form(&body))?).await?;
    println!("{}", String::from_utf8(response.body())?); // "expires_in":300 at most

    let body = format!("token={}&{credentials}", response.access_token.expose());
    let told = introspect_token(&server, &IntrospectionRequest::parse(form(&body))?).await?;
    println!("{}", String::from_utf8(told.body())?); // "tenant":"blue"
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
