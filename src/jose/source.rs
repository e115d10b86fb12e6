//! Where the keys of somebody else come from: a registered set, or a place where they are published.

use super::algorithm::JwsAlgorithm;
#[cfg(feature = "mtls")]
use super::certificate::PublicCertificate;
use super::jwk::JwkSet;
use super::jws::{InvalidJwt, Jws};
use super::remote::{JwksCache, JwksError};
use crate::clock::Timestamp;

/// The keys of one signer.
#[derive(Clone, Copy)]
pub(crate) enum KeySource<'a> {
    Set(&'a JwkSet),
    Uri(&'a str, Option<&'a JwksCache>),
}

impl KeySource<'_> {
    /// Whether one of the keys signed `jws`, by an algorithm that is `allowed`.
    ///
    /// Published keys rotate: where the known ones do not do, they are fetched again, at a bounded rate.
    pub(crate) async fn verify(
        self,
        jws: &Jws<'_>,
        allowed: impl Fn(JwsAlgorithm) -> bool,
        now: Timestamp,
    ) -> Result<(), InvalidJwt> {
        let (uri, cache) = match self {
            Self::Set(keys) => return jws.verify(keys.iter(), allowed),
            Self::Uri(uri, cache) => (uri, cache.ok_or(JwksError::NotConfigured)?),
        };
        // Nothing is fetched for an algorithm that no key could make good.
        if !allowed(jws.algorithm()) {
            return Err(InvalidJwt::Algorithm("is not allowed"));
        }
        let keys = cache.keys(uri, now).await?;
        match jws.verify(keys.iter(), &allowed) {
            Err(failure) if jws.may_want_other_keys(&failure) => match cache.other_keys(uri, &keys, now).await {
                Some(others) => jws.verify(others.iter(), allowed),
                None => Err(failure),
            },
            outcome => outcome,
        }
    }

    /// Whether one of the keys stands for a certificate; published ones are fetched again where none does.
    #[cfg(feature = "mtls")]
    pub(crate) async fn has_certificate(
        self,
        certificate: &PublicCertificate,
        now: Timestamp,
    ) -> Result<bool, JwksError> {
        let (uri, cache) = match self {
            Self::Set(keys) => return Ok(keys.has(certificate)),
            Self::Uri(uri, cache) => (uri, cache.ok_or(JwksError::NotConfigured)?),
        };
        let keys = cache.keys(uri, now).await?;
        Ok(keys.has(certificate)
            || cache.other_keys(uri, &keys, now).await.is_some_and(|others| others.has(certificate)))
    }
}
