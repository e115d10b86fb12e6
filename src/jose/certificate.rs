//! Certificates beside JWKs: which key of a set stands for a certificate (RFC 7517 §4.7, RFC 8705 §2.2).

use super::jwk::thumbprint;
use crate::token::Thumbprint;
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// What is compared of a certificate.
pub(crate) struct PublicCertificate {
    /// Of the whole certificate (RFC 8705 §3.1).
    certificate: Thumbprint,
    /// Of its public key as a JWK (RFC 7638); `None`: a key of a kind that no JWK here has.
    key: Option<Thumbprint>,
}

impl PublicCertificate {
    /// A certificate in DER, with its SubjectPublicKeyInfo in DER.
    pub(crate) fn new(certificate: &[u8], key: &[u8]) -> Self {
        let jwk = jwk_of(key);
        Self { certificate: Thumbprint::of_certificate(certificate), key: jwk.and_then(|jwk| thumbprint(&jwk).ok()) }
    }
}

/// The public key of a certificate as a JWK with its required members (RFC 5480 §2, RFC 8017 A.1.1, RFC 8410 §4).
fn jwk_of(key: &[u8]) -> Option<Map<String, Value>> {
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
    let key = SubjectPublicKeyInfoRef::from_der(key).ok()?;
    let octets = key.subject_public_key.as_bytes()?;
    let base64 = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    let members = match key.algorithm.oid {
        EC => {
            let curve = match key.algorithm.parameters.map(|curve: AnyRef<'_>| curve.decode_as::<ObjectIdentifier>()) {
                Some(Ok(P256)) => "P-256",
                Some(Ok(P384)) => "P-384",
                Some(Ok(P521)) => "P-521",
                _ => return None,
            };
            let (x, y) = match octets {
                [4, point @ ..] => point.split_at(point.len() / 2),
                _ => return None,
            };
            vec![("kty", "EC".to_owned()), ("crv", curve.to_owned()), ("x", base64(x)), ("y", base64(y))]
        }
        RSA => {
            let mut reader = SliceReader::new(octets).ok()?;
            let number = |number: UintRef<'_>| base64(number.as_bytes());
            let (n, e) = reader
                .sequence(|numbers| Ok::<_, x509_cert::der::Error>((numbers.decode()?, numbers.decode()?)))
                .ok()?;
            vec![("kty", "RSA".to_owned()), ("n", number(n)), ("e", number(e))]
        }
        ED25519 => vec![("kty", "OKP".to_owned()), ("crv", "Ed25519".to_owned()), ("x", base64(octets))],
        _ => return None,
    };
    Some(members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

/// What of a registered JWK stands for certificates.
pub(super) struct RegisteredCertificate {
    key: Option<Thumbprint>,
    x5c: X5c,
}

/// The first certificate of `x5c`: who registers one means that one, and no other of the same key.
enum X5c {
    Absent,
    Only(Thumbprint),
    /// No list of certificates: it stands for none.
    Malformed,
}

impl RegisteredCertificate {
    pub(super) fn of(jwk: &Map<String, Value>) -> Self {
        let first = |x5c: &Value| STANDARD.decode(x5c.get(0)?.as_str()?).ok();
        let x5c = match jwk.get("x5c") {
            None => X5c::Absent,
            Some(x5c) => first(x5c).map_or(X5c::Malformed, |der| X5c::Only(Thumbprint::of_certificate(&der))),
        };
        Self { key: thumbprint(jwk).ok(), x5c }
    }

    /// The key must be the certificate's even where `x5c` has the certificate itself (RFC 7517 §4.7).
    pub(super) fn is(&self, certificate: &PublicCertificate) -> bool {
        let is_named = match self.x5c {
            X5c::Absent => true,
            X5c::Only(only) => only == certificate.certificate,
            X5c::Malformed => false,
        };
        is_named && self.key.is_some() && self.key == certificate.key
    }
}
