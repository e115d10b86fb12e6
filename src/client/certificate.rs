//! Clients that authenticate by a TLS certificate (RFC 8705 §2), by its names or by its key.
//!
//! Whoever ends TLS has seen the proof of possession; whether the chain leads to a trusted root is the TLS layer's word too.

use super::authentication::Found;
use super::distinguished_name::DistinguishedName;
use super::{AuthenticationMethod, Client, ClientStore, Fault};
use crate::clock::Timestamp;
use crate::error::Reason;
use crate::jose::{JwksError, PublicCertificate};
use crate::request::{CertificateChain, ClientCertificate};
use crate::server::AuthorizationServer;
use crate::token::TokenStore;
use std::net::IpAddr;
use std::sync::Arc;
use x509_cert::Certificate;
use x509_cert::der::asn1::{Any, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Tag, TagNumber, Tagged};

/// Octets of a certificate, at most.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// `id-ce-subjectAltName` (RFC 5280 §4.2.1.6).
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// Why a certificate does not authenticate a client: for the operator's log, never for the client.
///
/// No variant holds text of a certificate.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCertificate {
    /// It cannot be read: no X.509 in DER, more than one list of alternative names, or over 16 KiB.
    #[error("it is no X.509 certificate in DER of at most 16 KiB")]
    Malformed,
    /// The request has no `client_id`, which it needs beside a certificate (RFC 8705 §2).
    #[error("no client_id beside it says who is meant")]
    NoClientId,
    /// Its chain was not verified, so a name in it proves nothing.
    #[error("its chain was not verified")]
    Unverified,
    /// It has another name than the registered one; the text is the member of the registration.
    #[error("it has not the registered {0}")]
    Name(&'static str),
    /// Its key, or where `x5c` says so it itself, is none of those that the client registered.
    #[error("it is none of those that the client registered")]
    Key,
    /// The client's keys could not be fetched.
    #[error("the client has no keys at present")]
    Jwks(#[from] JwksError),
}

/// Which certificate stands for a client, by its one name (RFC 8705 §2.1.2).
enum RegisteredName<'a> {
    Subject(&'a DistinguishedName),
    Dns(&'a str),
    Uri(&'a str),
    Ip(IpAddr),
    Email(&'a str),
}

impl RegisteredName<'_> {
    /// The member of the registration.
    const fn member(&self) -> &'static str {
        match self {
            Self::Subject(_) => "tls_client_auth_subject_dn",
            Self::Dns(_) => "tls_client_auth_san_dns",
            Self::Uri(_) => "tls_client_auth_san_uri",
            Self::Ip(_) => "tls_client_auth_san_ip",
            Self::Email(_) => "tls_client_auth_san_email",
        }
    }

    /// What is wrong with it, as far as its type does not tell.
    fn problem(&self) -> Option<&'static str> {
        let is_email =
            |text: &str| text.rsplit_once('@').is_some_and(|(local, host)| !local.is_empty() && is_dns(host));
        match self {
            Self::Dns(name) => (!is_dns(name)).then_some("must be a DNS name, without wildcards"),
            Self::Uri(uri) => (!crate::uri::is_absolute(uri)).then_some("must be an absolute URI without fragment"),
            Self::Email(address) => (!is_email(address)).then_some("must be an e-mail address"),
            Self::Subject(_) | Self::Ip(_) => None,
        }
    }
}

/// Letters, digits, hyphens, underscores and dots; no address (RFC 1123 §2.1).
fn is_dns(name: &str) -> bool {
    let known = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    !name.is_empty() && name.bytes().all(known) && name.parse::<IpAddr>().is_err()
}

impl Client {
    /// The names that it registered; a sound client of `tls_client_auth` has exactly one.
    fn registered_names(&self) -> impl Iterator<Item = RegisteredName<'_>> {
        [
            self.tls_client_auth_subject_dn.as_ref().map(RegisteredName::Subject),
            self.tls_client_auth_san_dns.as_deref().map(RegisteredName::Dns),
            self.tls_client_auth_san_uri.as_deref().map(RegisteredName::Uri),
            self.tls_client_auth_san_ip.map(RegisteredName::Ip),
            self.tls_client_auth_san_email.as_deref().map(RegisteredName::Email),
        ]
        .into_iter()
        .flatten()
    }

    /// What is wrong with what it registered for certificates (RFC 8705 §2.1.2, §2.2.2).
    pub(super) fn push_faults_of_certificates(&self, faults: &mut Vec<Fault>) {
        let registered = |method| self.token_endpoint_auth_method.contains(&method);
        let mut fault = |key: &str, problem: &str| faults.push(Fault::new(key, problem));
        for name in self.registered_names() {
            if let Some(problem) = name.problem() {
                fault(name.member(), problem);
            }
        }
        let mut names = self.registered_names();
        match (registered(AuthenticationMethod::TlsClientAuth), names.next(), names.next()) {
            (true, None, _) => fault(
                "token_endpoint_auth_method",
                "tls_client_auth needs one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip, _san_email",
            ),
            (_, _, Some(second)) => fault(second.member(), "stands beside another name: exactly one of them"),
            (false, Some(name), None) => fault(name.member(), "needs token_endpoint_auth_method = \"tls_client_auth\""),
            (true, Some(_), None) | (false, None, None) => {}
        }
        if registered(AuthenticationMethod::SelfSignedTlsClientAuth) && self.jwks.is_none() && self.jwks_uri.is_none() {
            fault("jwks", "self_signed_tls_client_auth needs jwks or jwks_uri");
        }
        #[cfg(feature = "dpop")]
        if self.tls_client_certificate_bound_access_tokens && self.dpop_bound_access_tokens {
            fault(
                "dpop_bound_access_tokens",
                "stands beside tls_client_certificate_bound_access_tokens: a token has one key",
            );
        }
    }
}

/// What of a certificate counts here.
struct Shown {
    certificate: Certificate,
    /// The entries of its subjectAltName, as they are tagged (RFC 5280 §4.2.1.6).
    names: Vec<Any>,
    public: PublicCertificate,
}

impl Shown {
    fn read(der: &[u8]) -> Result<Self, InvalidCertificate> {
        let der = Some(der).filter(|der| der.len() <= MAX_CERTIFICATE).ok_or(InvalidCertificate::Malformed)?;
        let read = || {
            let certificate = Certificate::from_der(der).ok()?;
            let mut lists = certificate.tbs_certificate().extensions().into_iter().flatten();
            let list = lists.find(|extension| extension.extn_id == SUBJECT_ALT_NAME);
            let names = match list {
                None => Vec::new(),
                // Each is kept as it is tagged: a kind that is of no use here disturbs no other.
                Some(list) => Vec::<Any>::from_der(list.extn_value.as_bytes()).ok()?,
            };
            if lists.any(|extension| extension.extn_id == SUBJECT_ALT_NAME) {
                return None;
            }
            let key = certificate.tbs_certificate().subject_public_key_info().to_der().ok()?;
            Some(Self { names, public: PublicCertificate::new(der, &key), certificate })
        };
        read().ok_or(InvalidCertificate::Malformed)
    }

    /// RFC 8705 §2.1: the name is the subject, or one of the alternative names of its kind.
    fn has(&self, name: &RegisteredName<'_>) -> bool {
        match name {
            RegisteredName::Subject(subject) => subject.is(self.certificate.tbs_certificate().subject()),
            RegisteredName::Email(address) => self.has_alternative(1, |own| is_mailbox(own, address.as_bytes())),
            RegisteredName::Dns(dns) => self.has_alternative(2, |own| own.eq_ignore_ascii_case(dns.as_bytes())),
            RegisteredName::Uri(uri) => self.has_alternative(6, |own| own == uri.as_bytes()),
            RegisteredName::Ip(IpAddr::V4(address)) => self.has_alternative(7, |own| own == address.octets()),
            RegisteredName::Ip(IpAddr::V6(address)) => self.has_alternative(7, |own| own == address.octets()),
        }
    }

    fn has_alternative(&self, kind: u32, is_it: impl Fn(&[u8]) -> bool) -> bool {
        let tag = Tag::ContextSpecific { constructed: false, number: TagNumber(kind) };
        self.names.iter().any(|name| name.tag() == tag && is_it(name.value()))
    }
}

/// Whether two mailboxes are one: the host is a DNS name, the rest is told apart by case (RFC 5280 §7.5).
fn is_mailbox(own: &[u8], other: &[u8]) -> bool {
    let at = |octets: &[u8]| octets.iter().rposition(|octet| *octet == b'@');
    match (at(own), at(other)) {
        (Some(own_at), Some(other_at)) => {
            let ((own, own_host), (other, other_host)) = (own.split_at(own_at), other.split_at(other_at));
            own == other && own_host.eq_ignore_ascii_case(other_host)
        }
        _ => false,
    }
}

impl<C: ClientStore, T: TokenStore> AuthorizationServer<C, T> {
    /// Finds out whether the certificate is that of the client which the body names.
    ///
    /// It is read before the client is looked up, and comparing it is next to nothing: time does not tell who is registered, except where
    /// keys have to be fetched from a `jwks_uri` first.
    pub(super) async fn check_certificate(
        &self,
        certificate: ClientCertificate<'_>,
        body_client_id: Option<&str>,
        at: Timestamp,
    ) -> Result<Found, Reason> {
        let shown = Shown::read(certificate.der)?;
        let client_id = body_client_id.ok_or(InvalidCertificate::NoClientId)?; // RFC 8705 §2
        let client = self.find(client_id).await?.ok_or(Reason::UnknownClient)?;
        let by_name = self.check_names(&client, &shown, certificate.chain);
        let registers_key = client.token_endpoint_auth_method.contains(&AuthenticationMethod::SelfSignedTlsClientAuth);
        match by_name {
            Ok(()) => Ok(Found::new(client, AuthenticationMethod::TlsClientAuth, None)),
            Err(_) if registers_key => self.check_key(client, &shown, at).await,
            Err(reason) => Err(reason),
        }
    }

    /// `tls_client_auth`: a name in a certificate that leads to a trusted root (RFC 8705 §2.1).
    fn check_names(&self, client: &Client, shown: &Shown, chain: CertificateChain) -> Result<(), Reason> {
        self.check_standing(client, &AuthenticationMethod::TlsClientAuth)?;
        if chain != CertificateChain::Verified {
            return Err(InvalidCertificate::Unverified.into());
        }
        // A sound registration has one; were there more, each would have to be there.
        match client.registered_names().find(|name| !shown.has(name)) {
            Some(name) => Err(InvalidCertificate::Name(name.member()).into()),
            None => Ok(()),
        }
    }

    /// `self_signed_tls_client_auth`: a certificate, or a key, that the client registered, whoever issued it (RFC 8705 §2.2).
    async fn check_key(&self, client: Arc<Client>, shown: &Shown, at: Timestamp) -> Result<Found, Reason> {
        let method = AuthenticationMethod::SelfSignedTlsClientAuth;
        self.check_standing(&client, &method)?;
        let keys = self.key_source(client.jwks.as_ref(), client.jwks_uri.as_deref());
        let is_registered = match keys {
            Ok(keys) => keys.has_certificate(&shown.public, at).await.map_err(InvalidCertificate::Jwks)?,
            Err(_) => false,
        };
        if is_registered { Ok(Found::new(client, method, None)) } else { Err(InvalidCertificate::Key.into()) }
    }
}
