//! Takes shares one by one until they are enough, and says which one is wrong.

use serde::Serialize;
use thiserror::Error;

use super::secret::UnsealKey;
use super::shamir::combine;
use super::share::Share;
use super::share_set::ShareSet;

/// Collects shares of one set. Dropping it, or [`reset`](Self::reset), wipes what was collected.
#[derive(Debug)]
pub struct Collector {
    set: ShareSet,
    shares: Vec<Share>,
}

impl Collector {
    #[must_use]
    pub const fn new(set: ShareSet) -> Self {
        Self { set, shares: Vec::new() }
    }

    /// Takes one share. A refused share changes nothing of what was collected.
    pub fn submit(&mut self, share: Share) -> Result<Progress, ShareRefused> {
        self.set.check(&share)?;
        if self.shares.iter().any(|held| held.index() == share.index()) {
            return Err(ShareRefused::Duplicate { index: share.index() });
        }
        self.shares.push(share);
        Ok(self.progress())
    }

    /// What has been collected.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { submitted: self.shares.iter().map(Share::index).collect(), threshold: self.set.quorum().threshold() }
    }

    #[must_use]
    pub const fn set(&self) -> &ShareSet {
        &self.set
    }

    /// Forgets what was collected.
    pub fn reset(&mut self) {
        self.shares.clear();
    }

    /// The unseal key once the threshold is reached; the collection is empty afterwards.
    pub fn combine(&mut self) -> Option<UnsealKey> {
        if !self.progress().complete() {
            return None;
        }
        let shares = std::mem::take(&mut self.shares);
        combine(self.set.quorum(), &shares)
    }
}

/// How far a collection is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Indices of the accepted shares, in the order in which they came.
    pub submitted: Vec<u8>,
    pub threshold: u8,
}

impl Progress {
    #[must_use]
    pub fn complete(&self) -> bool {
        self.submitted.len() >= usize::from(self.threshold)
    }
}

/// Why a well-formed share is not taken. What was collected before stays.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum ShareRefused {
    #[error("this share belongs to another share set")]
    ForeignSet,
    #[error("this share is of re-share {given}; re-share {current} has replaced it")]
    OlderGeneration { given: u16, current: u16 },
    #[error("this share is of re-share {given}, which is not in effect; the vault is at {current}")]
    NewerGeneration { given: u16, current: u16 },
    #[error("the share set has no share {index}")]
    UnknownIndex { index: u8 },
    #[error("share {index} is well-formed, but it is not the share that was dealt")]
    WrongShare { index: u8 },
    #[error("share {index} has been given already")]
    Duplicate { index: u8 },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::secret::Key32;
    use crate::vault::shamir::{Quorum, deal};
    use crate::vault::share::SetId;
    use crate::vault::testing::Seeded;

    const SET: SetId = SetId([3; 16]);

    fn dealt(generation: u16, set_id: SetId, seed: u64) -> (ShareSet, Vec<Share>) {
        let secret = UnsealKey(Key32::from_array([9; 32]));
        deal(&secret, Quorum::new(2, 3).unwrap(), set_id, generation, &mut Seeded::new(seed)).unwrap()
    }

    fn copy(share: &Share) -> Share {
        Share::parse(share.to_text().expose()).unwrap()
    }

    fn forged(share: &Share) -> Share {
        let mut y = *share.y().expose();
        y[31] ^= 1;
        Share::new(share.set_id(), share.generation(), share.index(), Key32::from_array(y)).unwrap()
    }

    #[test]
    fn each_refusal_has_its_own_error_and_loses_nothing() {
        let (set, shares) = dealt(1, SET, 1);
        let (_, older) = dealt(0, SET, 2);
        let (_, newer) = dealt(2, SET, 3);
        let (_, foreign) = dealt(1, SetId([4; 16]), 1);
        let beyond = Share::new(SET, 1, 4, Key32::from_array([1; 32])).unwrap();
        let mut collector = Collector::new(set);
        assert!(!collector.submit(copy(&shares[0])).unwrap().complete());

        let refused = [
            (copy(&foreign[1]), ShareRefused::ForeignSet),
            (copy(&older[1]), ShareRefused::OlderGeneration { given: 0, current: 1 }),
            (copy(&newer[1]), ShareRefused::NewerGeneration { given: 2, current: 1 }),
            (beyond, ShareRefused::UnknownIndex { index: 4 }),
            (forged(&shares[1]), ShareRefused::WrongShare { index: 2 }),
            (forged(&shares[0]), ShareRefused::WrongShare { index: 1 }),
            (copy(&shares[0]), ShareRefused::Duplicate { index: 1 }),
        ];
        for (share, error) in refused {
            assert_eq!(collector.submit(share), Err(error));
            assert_eq!(collector.progress().submitted, [1]);
            assert!(collector.combine().is_none());
        }

        let progress = collector.submit(copy(&shares[2])).unwrap();
        assert_eq!((progress.submitted.as_slice(), progress.complete()), ([1, 3].as_slice(), true));
        assert_eq!(collector.combine(), Some(UnsealKey(Key32::from_array([9; 32]))));
        assert!(collector.progress().submitted.is_empty());
    }

    #[test]
    fn reset_forgets() {
        let (set, shares) = dealt(0, SET, 1);
        let mut collector = Collector::new(set);
        for share in &shares {
            collector.submit(copy(share)).unwrap();
        }
        collector.reset();
        assert!(collector.progress().submitted.is_empty() && collector.combine().is_none());
        collector.submit(copy(&shares[0])).unwrap();
    }

    #[test]
    fn index_zero_cannot_even_be_made() {
        assert!(Share::new(SET, 0, 0, Key32::from_array([1; 32])).is_none());
    }
}
