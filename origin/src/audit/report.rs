//! What a proof answers: what was proved, or what is wrong and where.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::link::{ChainId, Head};
use crate::hex;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("chain {chain}, link {number}: {what}")]
pub struct Fault {
    /// The chain's name, as it is stored.
    pub chain: String,
    /// The link's number; 0 for the chain as a whole.
    pub number: u64,
    /// What is wrong.
    pub what: What,
}

/// What can be wrong with a link or a chain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum What {
    /// Links without their chain's row.
    #[error("its links are there, but the chain is not registered")]
    NotRegistered,
    /// A row without links: both are written in one transaction.
    #[error("the chain is registered, but its links are gone")]
    NoLinks,
    /// Something that no release of ours writes.
    #[error("the stored {0} is not valid")]
    Malformed(&'static str),
    /// Chains out of order, or one twice.
    #[error("the chain is out of its place")]
    Order,
    /// A link is gone, or one was put in.
    #[error("link {0} is expected here")]
    Gap(u64),
    /// Link 1 and the chain's row say different things.
    #[error("the chain's row does not say what its first entry says")]
    Registration,
    /// The contents, or the hash, or the link before.
    #[error("its hash is not that of its contents and of the link before: one of them was changed")]
    Hash,
    /// The link says whether it is signed.
    #[error("its signature was taken off, or put on: the chain says otherwise")]
    Signing,
    /// No such public key is at hand.
    #[error("it is signed with audit key {0}, whose public key is not at hand")]
    UnknownKey(u32),
    /// The signature is not one.
    #[error("its signature is not that of audit key {0}")]
    Signature(u32),
    /// A checkpoint names a link that is gone: the tail, or all of the chain.
    #[error("it is gone: {0} names it")]
    Gone(Witness),
    /// A checkpoint names another hash.
    #[error("it is not the link that {0} names")]
    Replaced(Witness),
}

/// Who has said where a chain stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// A checkpoint in that link.
    Checkpoint(ChainId, u64),
    /// A head that was given from outside.
    Given,
}

/// Why there is no report without a fault.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The chains are not whole.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// They could not be read.
    #[error("the audit could not be read: {0}")]
    Source(String),
}

/// What was proved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Links, in all chains.
    pub links: u64,
    /// Links at the ends that no signature covers: whoever can write to the database could have made them.
    pub unsigned: u64,
    /// Every chain.
    pub chains: Vec<ChainReport>,
}

/// What was proved of one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainReport {
    /// Its name.
    pub chain: String,
    /// For people.
    pub process: String,
    /// How many links it has.
    pub links: u64,
    /// The last link's hash.
    pub hash: String,
    /// Links at its end that no signature covers.
    pub unsigned: u64,
}

/// `chain:number:hash`, from the log or from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenHead {
    /// Which chain.
    pub chain: ChainId,
    /// Where it stood.
    pub head: Head,
}

impl FromStr for GivenHead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split(':');
            let (chain, number, hash) = (parts.next()?, parts.next()?, parts.next()?);
            let head = Head { number: number.parse().ok()?, hash: hex::decode(hash)? };
            parts.next().is_none().then_some(Self { chain: chain.parse().ok()?, head })
        };
        parse().ok_or("a head is given as CHAIN:NUMBER:HASH, as in the log")
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(chain, number) => write!(f, "the checkpoint in chain {chain}, link {number},"),
            Self::Given => f.write_str("a head that was given"),
        }
    }
}
