//! The vault: keys that no one holds alone, records that are worthless when stolen.
//!
//! Pure logic but for two files: [`store`] holds the vault's tables, [`cards`] those of cards. No clock and no random
//! source of its own: time comes in as unix milliseconds or seconds, randomness as [`Entropy`].
//!
//! ```text
//! custodians' shares ──t of n──▶ unseal key ──opens──▶ root key ──opens──▶ key ring
//!   share, shamir, collector      init                   ring                 unsealed
//!
//! key ring: data 1, 2, …  │ fingerprint │ token │ login │ page 1, 2, … │ audit │ rejection │ backup │ attempt
//!             envelope       unsealed                       jwe, card                               attempt
//! ```
//!
//! The byte formats are stated once, each in the module that owns it: share text in [`share`], the
//! record envelope in [`envelope`], wrapped keys in [`ring`], attempt ids in [`attempt`], the page's
//! JWE in [`jwe`]. They are frozen by `origin/vectors/`.

pub mod approvals;
pub mod attempt;
pub mod audit_keys;
pub mod card;
pub mod cards;
pub mod collector;
pub mod custodian;
pub mod envelope;
pub mod init;
pub mod jwe;
pub mod jwe_internal;
pub mod keys;
pub mod login;
pub mod memory;
pub mod reencryption;
pub mod reshare;
pub mod reshare_store;
pub mod ring;
pub mod secret;
pub mod sessions;
pub mod shamir;
pub mod share;
pub mod share_set;
pub mod state;
pub mod store;
pub mod unsealed;

mod base32;
mod locked;
mod mac;
mod public_key;
#[cfg(test)]
mod shamir_check;
#[cfg(test)]
mod testing;

use crate::hex;

pub use crate::entropy::{self, Entropy, EntropyError, SystemEntropy};
pub use attempt::{Attempt, AttemptError};
pub use card::{CardError, CardExpiry, CardholderName, Csc, Pan, SealedCard, VaultCard};
pub use cards::recrypt;
pub use collector::{Collector, Progress, ShareRefused};
pub use custodian::{Custodian, CustodianError};
pub use envelope::{EnvelopeError, RecordContext};
pub use init::{NewVault, VaultError, VaultRecord, initialise};
pub use jwe::{JweError, PublicJwk};
pub use keys::{KeyInfo, KeyKind, KeyState, UnknownKeyName, WrappedKey};
pub use memory::MemoryProtection;
pub use reshare::{Reshare, Staged};
pub use ring::RingError;
pub use secret::{Key32, RootKey, SecretBytes, UnsealKey};
pub use sessions::Sessions;
pub use shamir::{DealError, Quorum, deal};
pub use share::{SetId, Share, ShareText, ShareTextError};
pub use share_set::{ShareHash, ShareSet};
pub use state::{SealedError, SubmitError, Submitted, Vault, VaultStatus};
pub use unsealed::{Rotation, Unsealed};
