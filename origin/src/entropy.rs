//! Randomness as an argument, so that tests can replay it and a failing source is an error.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

/// A cryptographically secure source of random bytes.
pub trait Entropy {
    /// Fills all of `out`, or fails and leaves it unusable.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError>;
}

#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
#[error("the system's random source failed")]
pub struct EntropyError;

/// The production source: AWS-LC's CTR_DRBG, seeded by the operating system.
#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fill(out).map_err(|_| EntropyError)
    }
}
