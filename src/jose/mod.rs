//! JOSE: keys and signatures of JWTs. The only place that touches the crypto library.
//!
//! ```
//! use client_credentials::{SigningAlgorithm, SigningKey, SigningKeys, Timestamp};
//!
//! let keys = SigningKeys::new([SigningKey::generate(SigningAlgorithm::Es256)?]);
//! // A successor is published at once and signs from then on; what the old key signed stays valid.
//! keys.add(SigningKey::generate(SigningAlgorithm::Es256)?, Timestamp::from_secs(1_900_000_000));
//! # Ok::<(), client_credentials::InvalidKey>(())
//! ```

mod algorithm;
#[cfg(feature = "mtls")]
mod certificate;
#[cfg(feature = "jwks-uri")]
mod fetch;
mod hosts;
mod json;
mod jwk;
mod jws;
mod keys;
mod mac;
mod remote;
mod seal;
mod signing;
mod source;

pub use algorithm::JwsAlgorithm;
#[cfg(feature = "mtls")]
pub(crate) use certificate::PublicCertificate;
#[cfg(feature = "jwks-uri")]
#[cfg_attr(client_credentials_docsrs, doc(cfg(feature = "jwks-uri")))]
pub use fetch::InvalidJwksPolicy;
pub(crate) use hosts::{check_allowed_hosts, check_uri};
pub(crate) use json::{Member, Members, members};
#[cfg(feature = "dpop")]
pub(crate) use jwk::VerificationKey;
pub use jwk::{InvalidJwk, JwkSet};
pub use jws::InvalidJwt;
pub(crate) use jws::Jws;
pub use keys::SigningKeys;
pub use mac::MacKey;
#[cfg(feature = "dpop")]
pub(crate) use mac::TagKey;
pub use remote::{FetchedJwks, JwksCache, JwksError};
pub(crate) use seal::SealKey;
pub(crate) use signing::JwtType;
pub use signing::{InvalidKey, SigningAlgorithm, SigningKey};
pub(crate) use source::KeySource;
