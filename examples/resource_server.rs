//! A resource server: JWTs are checked here with the issuer's keys, opaque tokens are introspected.
//!
//! The token server, on port 8080, has a client for it and one that asks it:
//!
//! ```toml
//! access_token_format = "jwt"
//! resources = ["https://api.example.com"]
//! default_resources = ["https://api.example.com"]
//!
//! [[clients]]
//! client_id = "reports"
//! client_secret = "..."
//! token_endpoint_auth_method = "client_secret_post"
//! grant_types = []
//! audience = ["https://api.example.com"]
//!
//! [[clients]]
//! client_id = "myClient"
//! client_secret = "..."
//! grant_types = ["client_credentials"]
//! scope = "read write"
//! default_scope = "read"
//! ```
//!
//! ```text
//! CLIENT_SECRET=... cargo run --all-features --example resource_server -- \
//!     --issuer http://127.0.0.1:8080 --audience https://api.example.com --client-id reports
//! curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8081/reports             # needs the scope `read`
//! curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8081/reports -X POST     # needs the scope `write`
//! ```
//!
//! The client is the resource server's own; the token server lets it see tokens whose audience is in its registered
//! `audience`. The issuer is asked by plain HTTP, so it must be on this machine.
//!
//! A token that is bound to a key is good with that key alone: to a DPoP key with a proof for each request, to a certificate over a
//! connection of that certificate. TLS ends in a proxy here: with `--trusted-proxy 127.0.0.1` what that address says in `Client-Cert`
//! (RFC 9440) is believed; whoever ends TLS in the same process takes the certificate from the handshake, as `mtls_server` does.

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Parser;
use client_credentials::http::{TlsClientCertificate, denial};
use client_credentials::{
    AccessError, AccessTokenValidator, CertificateChain, FetchedJwks, JwksCache, ValidatedToken, metadata_path,
};
use serde_json::Value;
use std::error::Error;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

/// A resource server with one resource, `/reports`.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// The authorization server whose tokens are believed.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// This resource server, as the authorization server names it in tokens.
    #[arg(long, value_name = "URI")]
    audience: String,
    /// This resource server's client at the authorization server; its secret is in CLIENT_SECRET.
    #[arg(long)]
    client_id: String,
    /// A proxy that ends TLS and says in Client-Cert what certificate the caller has; from anybody else the field is nothing.
    #[arg(long, value_name = "ADDRESS")]
    trusted_proxy: Vec<IpAddr>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let secret = std::env::var("CLIENT_SECRET").map_err(|_| "CLIENT_SECRET is not set")?;

    // Discovery (RFC 8414 §3): the document must be the issuer's own.
    let (host, _) = split(&arguments.issuer)?;
    let location = format!("http://{host}{}", metadata_path(&arguments.issuer));
    let metadata: Value = serde_json::from_slice(&send(&location, None).await?)?;
    let member = |name: &str| metadata.get(name).and_then(Value::as_str);
    if member("issuer") != Some(&arguments.issuer) {
        return Err("the metadata is of another issuer".into());
    }
    let introspection = member("introspection_endpoint").ok_or("there is no introspection")?.to_owned();
    let mut validator =
        AccessTokenValidator::new(arguments.issuer, [arguments.audience]).with_introspection(move |token| {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("token", &token).append_pair("client_id", &arguments.client_id);
            let form = form.append_pair("client_secret", &secret).finish();
            let endpoint = introspection.clone();
            async move { send(&endpoint, Some(&form)).await }
        });
    // Without keys every token is introspected: that is how a revocation of a JWT would be seen at once.
    if let Some(jwks_uri) = member("jwks_uri") {
        let cache = JwksCache::new(|uri: &str| {
            let uri = uri.to_owned();
            async move { send(&uri, None).await.map(|body| FetchedJwks::new(body, None)) }
        });
        validator = validator.with_jwks_uri(jwks_uri, Arc::new(cache));
    }

    let listener = TcpListener::bind(arguments.listen).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let url = format!("http://{}/reports", listener.local_addr()?);
    let api = Api { validator, url, trusted_proxies: arguments.trusted_proxy };
    let router = Router::new().route("/reports", get(list).post(add)).with_state(Arc::new(api));
    Ok(axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?)
}

struct Api {
    validator: AccessTokenValidator,
    /// The public URL of the resource, which proofs name; never made of the Host header.
    url: String,
    trusted_proxies: Vec<IpAddr>,
}

type Peer = ConnectInfo<SocketAddr>;

async fn list(State(api): State<Arc<Api>>, peer: Peer, headers: HeaderMap) -> Result<String, Denied> {
    let token = permit(&api, "GET", peer, &headers, "read").await?;
    Ok(format!("no reports for {} yet\n", token.client_id))
}

async fn add(State(api): State<Arc<Api>>, peer: Peer, headers: HeaderMap) -> Result<String, Denied> {
    let token = permit(&api, "POST", peer, &headers, "write").await?;
    Ok(format!("a report of {}\n", token.client_id))
}

/// The token of the request, where it is good here, comes with the key that it is bound to, and has the scope.
async fn permit(
    api: &Api,
    method: &str,
    ConnectInfo(peer): Peer,
    headers: &HeaderMap,
    scope: &str,
) -> Result<ValidatedToken, Denied> {
    let certificate = if api.trusted_proxies.contains(&peer.ip().to_canonical()) {
        // Its chain does not count: a token is bound to the certificate itself.
        TlsClientCertificate::forwarded(headers, CertificateChain::Unverified).map_err(|_| Denied::Proxy)?
    } else {
        None
    };
    let proof = headers.get_all("dpop").iter().map(|value| value.as_bytes()).collect();
    let presented = api.validator.read_headers(headers)?;
    let presented = presented.with_certificate(certificate.as_ref().map(|certificate| &*certificate.der));
    let presented = api.validator.prove(presented, proof, method, &api.url)?;
    let token = api.validator.validate(presented).await?;
    token.require_scope(scope)?;
    Ok(token)
}

enum Denied {
    Token(AccessError),
    /// What the proxy says is malformed.
    Proxy,
}

impl From<AccessError> for Denied {
    fn from(error: AccessError) -> Self {
        Self::Token(error)
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Token(error) => {
                let _ = writeln!(std::io::stderr(), "refused: {error}"); // the reason, never the token
                denial(&error).map(Body::from)
            }
            Self::Proxy => StatusCode::BAD_REQUEST.into_response(),
        }
    }
}

/// Authority and path of an `http` URL.
fn split(url: &str) -> Result<(&str, &str), Failure> {
    let rest = url.strip_prefix("http://").ok_or("only http URLs on this machine are asked here")?;
    Ok(rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash)))
}

/// The body of a 200 to a `GET`, or to a `POST` of a form. A program of your own has an HTTP client for this.
async fn send(url: &str, form: Option<&str>) -> Result<Vec<u8>, Failure> {
    let (authority, path) = split(url)?;
    let (method, body) = form.map_or(("GET", ""), |form| ("POST", form));
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(authority).await?;
        if !stream.peer_addr()?.ip().is_loopback() {
            return Err(std::io::Error::other("only this machine is asked without TLS"));
        }
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(128 * 1024).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), exchange).await??;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no answer")?;
    let (head, body) = answer.split_at(end + 4);
    let good = head.starts_with(b"HTTP/1.0 200 ") || head.starts_with(b"HTTP/1.1 200 ");
    if good { Ok(body.to_vec()) } else { Err(format!("{path} answered otherwise than by 200").into()) }
}
