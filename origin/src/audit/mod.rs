//! The audit: who did what, in a chain of hashes that shows every later edit, deletion and gap.
//!
//! Each process that runs has a chain of its own. One link holds what was done in one database transaction, is written
//! in that transaction, and is signed while the vault is open. It knows no key: signing and concealing are a
//! [`Sealer`]'s, which the vault is.
//!
//! ```text
//! hash:      SHA-256("scanvault/audit-link/v1" 00 ‖ chain id (16) ‖ u64 number ‖ u64 at_ms ‖ hash of the link before (32)
//!                    ‖ u32 length ‖ entries, the stored text's bytes)
//! signature: Ed25519(audit key, "scanvault/audit-signature/v1" 00 ‖ hash)
//! entries:   a JSON array of objects with "action" and "actor" first, then whatever belongs to the action
//! ```
//!
//! Integers are big-endian; numbers count from 1; before link 1 the hash is 32 zero bytes. The chain id is random, and
//! stands as 32 lower-case hexadecimal digits in the database. Frozen by `origin/vectors/audit.json`.
//!
//! Link 1 begins with `process.started`, which repeats the row in `audit_chains`. A chain begins unsigned; a link from
//! which on links are signed, or no longer are, ends with `audit.signing` and says so within what is hashed: a
//! signature that was taken off is a fault. A link without a signature is covered by the next signed one of its chain,
//! or by a signed `audit.checkpoint` of another chain, which lists the heads of all chains that moved.

pub mod export;
pub mod snapshot;
pub mod source;
pub mod verify;

mod chain;
mod checkpoint;
mod entry;
mod link;
mod report;
mod store;
#[cfg(test)]
mod testing;

pub use chain::{Audit, AuditedTx, Counts, MAX_ENTRIES_BYTES, Sealer};
pub use entry::Entry;
pub use link::{ChainId, Head, PublicKey, Signature, link_hash, signed_message};
pub use report::{ChainReport, Fault, GivenHead, Report, VerifyError, What, Witness};
