//! The example `mtls_server` with real handshakes: certificates by rcgen, TLS by rustls on both sides (RFC 8705).
#![cfg(all(feature = "http", feature = "mtls"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test panics where it fails")]

#[allow(dead_code, unreachable_pub, reason = "the test makes its own certificates")]
#[path = "../examples/mtls_server.rs"]
mod example;

use client_credentials::Thumbprint;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

struct Authority(Issuer<'static, KeyPair>, CertificateDer<'static>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self(Issuer::new(params, key), certificate)
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().der().clone();
        (certificate, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    fn client(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        self.issue(name, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

struct Running {
    address: SocketAddr,
    root: CertificateDer<'static>,
}

/// The example, whose clients' certificates are issued by `clients`.
fn start(clients: &Authority) -> Running {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let tls = example::tls(vec![certificate], key, vec![clients.1.clone()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { example::serve(listener, tls, "https://localhost").await });
    Running { address, root: authority.1 }
}

impl Running {
    /// Sends a form; `None` where there is no connection to send it on.
    async fn post(
        &self,
        certificate: Option<&(CertificateDer<'static>, PrivateKeyDer<'static>)>,
        form: &str,
    ) -> Option<(u16, Value)> {
        self.send("access_token", certificate, form).await
    }

    async fn send(
        &self,
        endpoint: &str,
        certificate: Option<&(CertificateDer<'static>, PrivateKeyDer<'static>)>,
        form: &str,
    ) -> Option<(u16, Value)> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some((der, key)) => builder.with_client_auth_cert(vec![der.clone()], key.clone_key()).unwrap(),
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.ok()?;
        let request = format!(
            "POST /oauth2/{endpoint} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Some((head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap()))
    }
}

const FORM: &str = "grant_type=client_credentials&client_id=reports&scope=read";

// req: MT-001, MT-002, MT-004, MT-008, MT-012, MT-015
#[tokio::test]
async fn a_certificate_buys_a_token() {
    let authority = Authority::new();
    let server = start(&authority);
    let own = authority.client("reports.example.com");
    let (status, granted) = server.post(Some(&own), FORM).await.unwrap();
    assert_eq!((status, &granted["token_type"]), (200, &"Bearer".into()), "{granted}");

    // Introspection by the same certificate tells what the token is bound to.
    let about = format!("client_id=reports&token={}", granted["access_token"].as_str().unwrap());
    let (status, told) = server.send("introspect", Some(&own), &about).await.unwrap();
    assert_eq!((status, &told["active"]), (200, &true.into()), "{told}");
    assert_eq!(told["cnf"]["x5t#S256"], Thumbprint::of_certificate(&own.0).to_string());

    let (_, first) = server.post(None, FORM).await.unwrap();
    for (case, certificate, form) in [
        ("no certificate", None, FORM),
        ("another's certificate", Some(authority.client("billing.example.com")), FORM),
        ("no client_id", Some(authority.client("reports.example.com")), "grant_type=client_credentials&scope=read"),
        (
            "another client_id",
            Some(authority.client("reports.example.com")),
            "grant_type=client_credentials&client_id=x",
        ),
    ] {
        let (status, refused) = server.post(certificate.as_ref(), form).await.unwrap();
        assert_eq!((status, &refused["error"]), (401, &"invalid_client".into()), "{case}");
        assert_eq!(refused, first, "{case}: two failed authentications can be told apart");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_get_through() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = start(&authority);
    let foreign = other.client("reports.example.com");
    assert_eq!(server.post(Some(&foreign), FORM).await, None);
    assert_eq!(server.post(Some(&authority.client("reports.example.com")), FORM).await.unwrap().0, 200);
}
