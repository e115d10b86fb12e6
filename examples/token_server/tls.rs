//! TLS with client certificates: who ends it here says what is known of them (RFC 8705 §2).

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use client_credentials::CertificateChain;
use client_credentials::http::TlsClientCertificate;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio_rustls::server::TlsStream;
use tower_layer::Layer;

/// What is known of the client's certificate on one connection.
pub(crate) type OfConnection = Option<TlsClientCertificate>;

/// TLS as it is configured: takes connections, and tells each of their requests the client's certificate.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    patience: Duration,
}

/// A file's octets as certificates.
pub(crate) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

/// A file's octets as a private key.
pub(crate) fn private_key(pem: &[u8]) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).ok()
}

/// A file's certificates as roots of clients.
pub(crate) fn roots(certificates: Vec<CertificateDer<'static>>) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    certificates.into_iter().try_for_each(|certificate| roots.add(certificate)).ok().map(|()| roots)
}

impl Tls {
    /// With `roots`, clients are asked for a certificate and need not have one. One that leads to none of the roots ends the
    /// handshake, unless `admits_unverified`: then it goes through, for clients that registered it itself.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        roots: Option<RootCertStore>,
        admits_unverified: bool,
        patience: Duration,
    ) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let verifier = match roots {
            None => None,
            Some(roots) => Some(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?,
            ),
        };
        let mut config = match &verifier {
            None => builder.with_no_client_auth(),
            Some(verifier) if admits_unverified => {
                builder.with_client_cert_verifier(Arc::new(AlsoUnverified(Arc::clone(verifier))))
            }
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
        }
        .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), verifier, patience })
    }

    /// Judged for each connection, so that a resumed session does not outlive its certificate.
    fn judge(&self, certificates: &[CertificateDer<'_>]) -> OfConnection {
        let (verifier, (certificate, others)) = (self.verifier.as_ref()?, certificates.split_first()?);
        let chain = match verifier.verify_client_cert(certificate, others, UnixTime::now()) {
            Ok(_) => CertificateChain::Verified,
            Err(_) => CertificateChain::Unverified,
        };
        Some(TlsClientCertificate::new(&**certificate, chain))
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Tls {
    type Stream = TlsStream<TcpStream>;
    type Service = AddExtension<S, OfConnection>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let tls = self.clone();
        Box::pin(async move {
            let handshake = TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream);
            let stream = tokio::time::timeout(tls.patience, handshake).await??;
            let certificate = tls.judge(stream.get_ref().1.peer_certificates().unwrap_or_default());
            Ok((stream, Extension(certificate).layer(service)))
        })
    }
}

/// Takes every certificate whose key the client has proved to hold; what its chain is worth is found out afterwards.
#[derive(Debug)]
struct AlsoUnverified(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AlsoUnverified {
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // else a client would keep back what no root of these has issued
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
