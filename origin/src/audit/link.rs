//! One link: its names, its hash, and what is signed of it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::hex;

const LINK_DOMAIN: &[u8] = b"scanvault/audit-link/v1\0";
const SIGNATURE_DOMAIN: &[u8; 29] = b"scanvault/audit-signature/v1\0";

/// Names a chain: random, drawn when a process starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub [u8; 16]);

/// A place in a chain: its last link, or the one that something was said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// From 1; 0 is the place before the first link.
    pub number: u64,
    /// The link's hash.
    pub hash: [u8; 32],
}

/// An Ed25519 signature over [`signed_message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Which audit key of the ring it was derived from.
    pub key_id: u32,
    /// RFC 8032 §5.1.6.
    pub bytes: [u8; 64],
}

/// What checks the signatures of one audit key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The audit key's number in the ring.
    pub key_id: u32,
    /// RFC 8032 §5.1.5.
    pub bytes: [u8; 32],
}

impl Head {
    /// Before the first link.
    pub const START: Self = Self { number: 0, hash: [0; 32] };
}

/// The hash of the link `number`, made at `at_ms`, that follows a link with the hash `before`. `None` when the entries
/// are longer than a u32 can say.
#[must_use]
pub fn link_hash(chain: ChainId, number: u64, at_ms: u64, before: &[u8; 32], entries: &[u8]) -> Option<[u8; 32]> {
    let length = u32::try_from(entries.len()).ok()?;
    let mut hash = Sha256::new();
    hash.update(LINK_DOMAIN);
    hash.update(chain.0);
    hash.update(number.to_be_bytes());
    hash.update(at_ms.to_be_bytes());
    hash.update(before);
    hash.update(length.to_be_bytes());
    hash.update(entries);
    Some(hash.finalize().into())
}

/// What is signed of a link.
#[must_use]
pub fn signed_message(hash: &[u8; 32]) -> [u8; 61] {
    let mut message = [0; 61];
    let (domain, rest) = message.split_at_mut(SIGNATURE_DOMAIN.len());
    domain.copy_from_slice(SIGNATURE_DOMAIN);
    rest.copy_from_slice(hash);
    message
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChainId {
    type Err = &'static str;

    /// Lower case only: one chain has one name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        lower_hex(text).map(Self).ok_or("a chain id is 32 lower-case hexadecimal digits")
    }
}

/// Exactly `N` bytes, in the one way that we write them.
pub(super) fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex::decode(text).filter(|_| !text.bytes().any(|b| b.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_has_one_name() {
        let chain = ChainId([0xab; 16]);
        assert_eq!(chain.to_string().parse(), Ok(chain));
        assert!(chain.to_string().to_uppercase().parse::<ChainId>().is_err());
        assert!("ab".parse::<ChainId>().is_err());
    }

    #[test]
    fn every_part_is_in_the_hash() {
        let base = || link_hash(ChainId([1; 16]), 2, 3, &[4; 32], b"[]").unwrap();
        let others = [
            link_hash(ChainId([2; 16]), 2, 3, &[4; 32], b"[]"),
            link_hash(ChainId([1; 16]), 3, 3, &[4; 32], b"[]"),
            link_hash(ChainId([1; 16]), 2, 4, &[4; 32], b"[]"),
            link_hash(ChainId([1; 16]), 2, 3, &[5; 32], b"[]"),
            link_hash(ChainId([1; 16]), 2, 3, &[4; 32], b"[ ]"),
        ];
        assert!(others.iter().all(|other| other.is_some_and(|other| other != base())));
        assert!(signed_message(&base()).ends_with(&base()));
    }
}
