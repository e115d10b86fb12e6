//! Random octets come from outside too: from the operating system, or from a [`RandomSource`] of the embedder's.
//!
//! ```
//! use client_credentials::{RandomSource, SystemRandom};
//!
//! let mut octets = [0; 32];
//! SystemRandom.fill(&mut octets)?;
//! assert_ne!(octets, [0; 32]);
//! # Ok::<(), client_credentials::RandomError>(())
//! ```

use rand::TryRng;

/// Where tokens, secrets and identifiers get their random octets.
///
/// An implementation must be a cryptographically secure generator. It may fail: the server then answers 503 and
/// issues nothing.
pub trait RandomSource: Send + Sync {
    /// Fills `octets`, or fails and leaves their content unspecified.
    ///
    /// # Errors
    /// [`RandomError`] when the source has nothing to give at the moment.
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError>;
}

/// The random source had nothing to give; a source of the embedder's makes one by `RandomError::default()`.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("the random source failed")]
pub struct RandomError(());

/// The operating system's generator: one system call a token, nothing to seed, safe across a fork.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&self, octets: &mut [u8]) -> Result<(), RandomError> {
        rand::rngs::SysRng.try_fill_bytes(octets).map_err(|_| RandomError::default())
    }
}
