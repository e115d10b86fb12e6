//! Clients that authenticate by a TLS certificate, and tokens that are bound to it (RFC 8705), with rustls.
//!
//! ```text
//! cargo run --all-features --example mtls_server -- --certificate server.pem --key server.key --client-ca ca.pem
//! curl --cacert server-ca.pem --cert reports.pem --key reports.key https://localhost:8443/oauth2/access_token \
//!     -d grant_type=client_credentials -d client_id=reports -d scope=read
//! ```
//!
//! The certificate of `reports` has the DNS name `reports.example.com`, and is issued by the CA. rustls checks chain, dates and
//! possession of the key in the handshake; the library compares the name, and binds the token.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::middleware::AddExtension;
use axum::response::IntoResponse;
use axum::{Extension, Router};
use axum_server::accept::Accept;
use clap::Parser;
use client_credentials::store::{MemoryClientStore, MemoryTokenStore};
use client_credentials::{AuthorizationServer, CertificateChain, Client, Config, MAX_BODY, Realms};
use client_credentials::{http::TlsClientCertificate, http::respond};
use std::future::Future;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower_layer::Layer;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
type Servers = Realms<MemoryClientStore, MemoryTokenStore>;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: String,
    #[arg(long, default_value = "https://localhost:8443")]
    issuer: String,
    /// The server's certificate and the ones that lead to its root, PEM.
    #[arg(long)]
    certificate: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    key: PathBuf,
    /// The roots of clients, PEM.
    #[arg(long)]
    client_ca: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let certificates = |file| CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_file(arguments.key)?;
    let tls = tls(certificates(arguments.certificate)?, key, certificates(arguments.client_ca)?)?;
    let listener = TcpListener::bind(&arguments.listen)?;
    writeln!(io::stdout(), "listening on https://{}", listener.local_addr()?)?;
    serve(listener, tls, &arguments.issuer).await
}

/// TLS that asks for a certificate: a client without one is told so by the library (401), one whose certificate leads to no root
/// of these does not get as far as that.
pub(crate) fn tls(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    client_ca: Vec<CertificateDer<'static>>,
) -> Result<ServerConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    client_ca.into_iter().try_for_each(|root| roots.add(root))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    // No session is resumed: each connection has a handshake, so that none outlives the client's certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

pub(crate) async fn serve(listener: TcpListener, tls: ServerConfig, issuer: &str) -> Result<(), Failure> {
    let reports: Client = serde_json::from_str(
        r#"{ "client_id": "reports", "scope": "read", "grant_types": ["client_credentials"],
             "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "reports.example.com",
             "tls_client_certificate_bound_access_tokens": true }"#,
    )?;
    let clients = [reports].into_iter().collect();
    let server = AuthorizationServer::new(Config::new(issuer), clients, MemoryTokenStore::default())?;
    let router = Router::new().fallback(answer).with_state(Arc::new(Realms::new(server)));
    listener.set_nonblocking(true)?;
    let tls = Tls(Arc::new(tls).into());
    Ok(axum_server::from_tcp(listener)?.http1_only().acceptor(tls).serve(router.into_make_service()).await?)
}

async fn answer(
    State(servers): State<Arc<Servers>>,
    Extension(certificate): Extension<Option<TlsClientCertificate>>,
    request: Request<Body>,
) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if let Some(certificate) = certificate {
        head.extensions.insert(certificate); // here the library looks for it
    }
    respond(&servers, &Request::from_parts(head, body)).await.map(Into::into)
}

/// Makes the handshake, and hands the certificate on with every request of the connection.
#[derive(Clone)]
struct Tls(TlsAcceptor);

impl<S: Send + 'static> Accept<TcpStream, S> for Tls {
    type Stream = TlsStream<TcpStream>;
    type Service = AddExtension<S, Option<TlsClientCertificate>>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let handshake = tokio::time::timeout(Duration::from_secs(10), self.0.accept(stream));
        Box::pin(async move {
            let stream = handshake.await??;
            // The verifier lets nothing else through: whatever is here, it has checked.
            let first = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let certificate = first.map(|der| TlsClientCertificate::new(&**der, CertificateChain::Verified));
            Ok((stream, Extension(certificate).layer(service)))
        })
    }
}
