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

mod jwk;
mod jws;
mod keys;

pub use jwk::InvalidJwk;
pub(crate) use jws::Claims;
pub use jws::{InvalidKey, SigningAlgorithm, SigningKey};
pub use keys::SigningKeys;
