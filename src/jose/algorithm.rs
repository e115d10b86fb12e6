//! The algorithms of JWS that are known here, and how the crypto library calls them (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, RsaParameters, VerificationAlgorithm};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An algorithm that signatures of others are verified with; there is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
#[expect(missing_docs, reason = "each name is RFC 7518's")]
pub enum JwsAlgorithm {
    Es256,
    Es384,
    Es512,
    /// Ed25519, by its name in RFC 8037; the name of RFC 9864, `Ed25519`, is read as well.
    #[serde(rename = "EdDSA", alias = "Ed25519")]
    EdDsa,
    Ps256,
    Ps384,
    Ps512,
    Rs256,
    Rs384,
    Rs512,
    /// Of client assertions alone, with the client's raw secret.
    Hs256,
    /// As `HS256`, with a secret of 48 octets at least.
    Hs384,
    /// As `HS256`, with a secret of 64 octets at least.
    Hs512,
}

impl JwsAlgorithm {
    /// Every one: what a server takes from its clients unless it is configured for fewer.
    pub(crate) const ALL: [Self; 13] = [
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// The algorithm of a header's `alg`, spelled exactly so.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let known = || Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name);
        if name == "Ed25519" { Some(Self::EdDsa) } else { known() }
    }

    /// The name in a header, for example `ES256`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The verification for keys that are a point or a string of octets; `None` for RSA and HMAC.
    pub(super) fn curve(self) -> Option<&'static dyn VerificationAlgorithm> {
        match self {
            Self::Es256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
            Self::Es512 => Some(&signature::ECDSA_P521_SHA512_FIXED),
            Self::EdDsa => Some(&signature::ED25519),
            _ => None,
        }
    }

    /// The verification for RSA keys.
    pub(super) fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            _ => None,
        }
    }

    /// The MAC, and the octets that its key must have at least (RFC 7518 §3.2).
    pub(super) fn hmac(self) -> Option<(hmac::Algorithm, usize)> {
        match self {
            Self::Hs256 => Some((hmac::HMAC_SHA256, 32)),
            Self::Hs384 => Some((hmac::HMAC_SHA384, 48)),
            Self::Hs512 => Some((hmac::HMAC_SHA512, 64)),
            _ => None,
        }
    }

    pub(crate) fn is_symmetric(self) -> bool {
        self.hmac().is_some()
    }
}

impl fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
