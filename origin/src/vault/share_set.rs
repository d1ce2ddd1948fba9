//! What the vault keeps of a dealing.
//!
//! ```text
//! for each index: SHA-256("scanvault/share-hash/v1" 00 ‖ set id, 16 ‖ generation, u16 BE ‖ index, u8 ‖ y, 32)
//! ```
//!
//! `y` is uniform over 2^256, so that the hash lets nobody guess it; it names a wrong share before
//! the threshold is reached.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::collector::ShareRefused;
use super::hex;
use super::shamir::{DealError, Quorum};
use super::share::{SetId, Share};

const HASH_DOMAIN: &[u8] = b"scanvault/share-hash/v1\0";

/// SHA-256 of a share under its domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShareHash(pub [u8; 32]);

impl ShareHash {
    pub(super) fn of(share: &Share) -> Self {
        let mut hash = Sha256::new();
        hash.update(HASH_DOMAIN);
        hash.update(share.set_id().0);
        hash.update(share.generation().to_be_bytes());
        hash.update([share.index()]);
        hash.update(share.y().expose());
        Self(hash.finalize().into())
    }
}

impl From<ShareHash> for String {
    fn from(hash: ShareHash) -> Self {
        hex::encode(&hash.0)
    }
}

impl TryFrom<String> for ShareHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(&text).map(Self).ok_or("a share hash is 64 hexadecimal digits")
    }
}

/// What the vault keeps of a dealing: public facts and a hash for each share.
///
/// As JSON: `{"setId","generation","threshold","total","hashes":[hex of index 1, 2, …]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ShareSetRow", into = "ShareSetRow")]
pub struct ShareSet {
    set_id: SetId,
    generation: u16,
    quorum: Quorum,
    hashes: Vec<ShareHash>,
}

impl ShareSet {
    /// `hashes` in the order of the indices 1, 2, …, one for each share.
    pub fn new(set_id: SetId, generation: u16, quorum: Quorum, hashes: Vec<ShareHash>) -> Result<Self, DealError> {
        if hashes.len() != usize::from(quorum.total()) {
            return Err(DealError::HashCount);
        }
        Ok(Self { set_id, generation, quorum, hashes })
    }

    #[must_use]
    pub const fn set_id(&self) -> SetId {
        self.set_id
    }

    #[must_use]
    pub const fn generation(&self) -> u16 {
        self.generation
    }

    #[must_use]
    pub const fn quorum(&self) -> Quorum {
        self.quorum
    }

    #[must_use]
    pub fn hashes(&self) -> &[ShareHash] {
        &self.hashes
    }

    /// Whether this very share was dealt in this set; also how a custodian proves a share.
    pub fn check(&self, share: &Share) -> Result<(), ShareRefused> {
        if share.set_id() != self.set_id {
            return Err(ShareRefused::ForeignSet);
        }
        if share.generation() < self.generation {
            return Err(ShareRefused::OlderGeneration { given: share.generation(), current: self.generation });
        }
        if share.generation() > self.generation {
            return Err(ShareRefused::NewerGeneration { given: share.generation(), current: self.generation });
        }
        let kept = usize::from(share.index()).checked_sub(1).and_then(|at| self.hashes.get(at));
        let kept = kept.ok_or(ShareRefused::UnknownIndex { index: share.index() })?;
        if kept.0.ct_eq(&share.hash().0).into() {
            Ok(())
        } else {
            Err(ShareRefused::WrongShare { index: share.index() })
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ShareSetRow {
    set_id: SetId,
    generation: u16,
    threshold: u8,
    total: u8,
    hashes: Vec<ShareHash>,
}

impl From<ShareSet> for ShareSetRow {
    fn from(set: ShareSet) -> Self {
        Self {
            set_id: set.set_id,
            generation: set.generation,
            threshold: set.quorum.threshold(),
            total: set.quorum.total(),
            hashes: set.hashes,
        }
    }
}

impl TryFrom<ShareSetRow> for ShareSet {
    type Error = DealError;

    fn try_from(row: ShareSetRow) -> Result<Self, Self::Error> {
        Self::new(row.set_id, row.generation, Quorum::new(row.threshold, row.total)?, row.hashes)
    }
}
