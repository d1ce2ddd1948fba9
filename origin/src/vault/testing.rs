//! Deterministic and failing random sources for tests.

use sha2::{Digest, Sha256};

use super::entropy::{Entropy, EntropyError};

/// SHA-256 in counter mode: uniform, and the same on every run.
pub(super) struct Seeded {
    seed: u64,
    counter: u64,
    block: Vec<u8>,
}

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, counter: 0, block: Vec::new() }
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        for byte in out {
            if self.block.is_empty() {
                let mut hash = Sha256::new();
                hash.update(self.seed.to_be_bytes());
                hash.update(self.counter.to_be_bytes());
                self.block = hash.finalize().to_vec();
                self.counter += 1;
            }
            *byte = self.block.pop().unwrap();
        }
        Ok(())
    }
}

/// A source that always fails.
pub(super) struct Failing;

impl Entropy for Failing {
    fn fill(&mut self, _out: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

/// A source that fails after so many calls.
pub(super) struct FailingAfter(pub(super) usize, pub(super) Seeded);

impl Entropy for FailingAfter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.0 = self.0.checked_sub(1).ok_or(EntropyError)?;
        self.1.fill(out)
    }
}

pub(super) fn decode_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
