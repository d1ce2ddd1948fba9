//! Dealing and combining, with everything refused beforehand that the library would let through.
//!
//! `blahaj` (as `sharks`) does Shamir's scheme over GF(256), one polynomial for each byte of the
//! secret. It accepts a threshold of 0 or 1, x = 0, duplicates and mixed sets, and then answers a
//! wrong key as if it were right; so a [`Quorum`] is checked, and shares reach the library only
//! through a [`Collector`](super::collector::Collector). Its tables are indexed by secret bytes: not
//! constant-time, used in ceremonies only (SECURITY.md).

use std::convert::Infallible;

use aes_gcm::aead::rand_core::{TryCryptoRng, TryRng};
use serde::Serialize;
use sharks::Sharks;
use thiserror::Error;
use zeroize::Zeroizing;

use super::entropy::{Entropy, EntropyError};
use super::secret::{Key32, UnsealKey};
use super::share::{SetId, Share};
use super::share_set::ShareSet;

/// Most shares that a set can have.
pub const MAX_SHARES: u8 = 16;

/// How many shares there are and how many open the vault: 2 ≤ threshold ≤ total ≤ 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quorum {
    threshold: u8,
    total: u8,
}

impl Quorum {
    pub const fn new(threshold: u8, total: u8) -> Result<Self, DealError> {
        if threshold < 2 || threshold > total || total > MAX_SHARES {
            return Err(DealError::Quorum { threshold, total });
        }
        Ok(Self { threshold, total })
    }

    #[must_use]
    pub const fn threshold(self) -> u8 {
        self.threshold
    }

    #[must_use]
    pub const fn total(self) -> u8 {
        self.total
    }
}

#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum DealError {
    #[error("{threshold} of {total} is no quorum: 2 ≤ threshold ≤ shares ≤ 16")]
    Quorum { threshold: u8, total: u8 },
    #[error("a share set keeps one hash for each share")]
    HashCount,
    #[error("a share of an unexpected shape came out of the dealing")]
    Library,
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Cuts `secret` into shares with the indices 1..=total.
pub fn deal(
    secret: &UnsealKey,
    quorum: Quorum,
    set_id: SetId,
    generation: u16,
    entropy: &mut dyn Entropy,
) -> Result<(ShareSet, Vec<Share>), DealError> {
    let mut rng = Bridge { entropy, failed: false };
    let dealt: Vec<sharks::Share> =
        Sharks(quorum.threshold).dealer_rng(secret.0.expose(), &mut rng).take(usize::from(quorum.total)).collect();
    if rng.failed {
        // The library cannot see the failure; what it made of zeros is dropped here.
        return Err(EntropyError.into());
    }
    let shares = dealt
        .iter()
        .map(|share| from_library(share, set_id, generation).ok_or(DealError::Library))
        .collect::<Result<Vec<_>, _>>()?;
    let hashes = shares.iter().map(Share::hash).collect();
    Ok((ShareSet::new(set_id, generation, quorum, hashes)?, shares))
}

/// Interpolates at 0. The caller has checked that the shares are of one set, distinct and enough;
/// the key is unproven until it opens the root key.
pub(super) fn combine(quorum: Quorum, shares: &[Share]) -> Option<UnsealKey> {
    let points = shares.iter().map(to_library).collect::<Option<Vec<_>>>()?;
    let secret = Zeroizing::new(Sharks(quorum.threshold).recover(&points).ok()?);
    Key32::from_slice(&secret).map(UnsealKey)
}

fn from_library(share: &sharks::Share, set_id: SetId, generation: u16) -> Option<Share> {
    let bytes = Zeroizing::new(Vec::from(share));
    let (index, y) = bytes.split_first()?;
    Share::new(set_id, generation, *index, Key32::from_slice(y)?)
}

fn to_library(share: &Share) -> Option<sharks::Share> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(33));
    bytes.push(share.index());
    bytes.extend_from_slice(share.y().expose());
    sharks::Share::try_from(bytes.as_slice()).ok()
}

/// Our fallible source as the infallible one that the library asks for: a failure is remembered
/// and the whole dealing thrown away.
struct Bridge<'a> {
    entropy: &'a mut dyn Entropy,
    failed: bool,
}

impl TryRng for Bridge<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = Zeroizing::new([0; 4]);
        self.try_fill_bytes(word.as_mut_slice())?;
        Ok(u32::from_le_bytes(*word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = Zeroizing::new([0; 8]);
        self.try_fill_bytes(word.as_mut_slice())?;
        Ok(u64::from_le_bytes(*word))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if self.entropy.fill(out).is_err() {
            self.failed = true;
            out.fill(0);
        }
        Ok(())
    }
}

impl TryCryptoRng for Bridge<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::testing::{FailingAfter, Seeded};

    #[test]
    fn quorums_outside_the_bounds_are_refused() {
        for threshold in 0..=18 {
            for total in 0..=18 {
                let fits = threshold >= 2 && threshold <= total && total <= 16;
                assert_eq!(Quorum::new(threshold, total).is_ok(), fits, "{threshold} of {total}");
            }
        }
    }

    #[test]
    fn a_source_that_fails_anywhere_deals_nothing() {
        let secret = UnsealKey(Key32::from_array([7; 32]));
        let quorum = Quorum::new(2, 3).unwrap();
        for calls in 0..32 {
            let mut source = FailingAfter(calls, Seeded::new(1));
            let dealt = deal(&secret, quorum, SetId([1; 16]), 0, &mut source);
            assert_eq!(dealt.err(), Some(DealError::Entropy(EntropyError)), "after {calls}");
        }
        // One call for each of the 32 coefficients.
        let mut source = FailingAfter(32, Seeded::new(1));
        assert!(deal(&secret, quorum, SetId([1; 16]), 0, &mut source).is_ok());
    }
}
