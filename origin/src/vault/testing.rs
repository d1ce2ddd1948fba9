//! For tests: deterministic and failing random sources, and a vault at hand.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::entropy::{Entropy, EntropyError};
use super::envelope::RecordContext;
use super::init::{VaultRecord, initialise};
use super::shamir::Quorum;
use super::state::Vault;
use super::unsealed::{Rotation, Unsealed};

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

pub(super) const NOW: u64 = 1_767_225_600_000;
pub(super) const PLACE: RecordContext<'_> =
    RecordContext { account: "merchant-25", table: "cards", row: "tok_1", column: "pan", row_version: 1 };

pub(super) fn made(threshold: u8, total: u8) -> (VaultRecord, Vec<String>) {
    let new = initialise(Quorum::new(threshold, total).unwrap(), NOW, &mut Seeded::new(1)).unwrap();
    let texts = new.shares.iter().map(|share| share.to_text().expose().to_owned()).collect();
    (new.record, texts)
}

pub(crate) fn open_vault() -> (Vault, Arc<Unsealed>, Vec<String>) {
    let (record, shares) = made(2, 3);
    let vault = Vault::new(Some(record));
    vault.submit_share(&shares[0], NOW).unwrap();
    vault.submit_share(&shares[1], NOW).unwrap();
    let unsealed = vault.unsealed().unwrap();
    (vault, unsealed, shares)
}

/// What a store does with a rotation.
pub(super) fn stored(record: &VaultRecord, rotation: Rotation) -> VaultRecord {
    let mut record = record.clone();
    if let Some(retired) = rotation.retired {
        let place = record.keys.iter().position(|row| (row.kind, row.id) == (retired.kind, retired.id)).unwrap();
        record.keys[place] = retired;
    }
    record.keys.push(rotation.added);
    record
}
