//! Making a vault: its keys, its shares, and the wrapping of the root key (format in [`ring`](super::ring)).

use thiserror::Error;

use super::entropy::{Entropy, EntropyError};
use super::envelope::{self, EnvelopeError, EnvelopeKey, RecordContext};
use super::keys::{KeyKind, KeyState, WrappedKey};
use super::ring::{RingError, Slot, WRAPPING_KEY_ID, generate};
use super::secret::{Key32, RootKey, UnsealKey};
use super::shamir::{DealError, Quorum, combine, deal};
use super::share::{SetId, Share};
use super::share_set::ShareSet;

/// What the store keeps of a vault. Nothing in it is secret without a threshold of shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRecord {
    pub share_set: ShareSet,
    /// The root key under the unseal key.
    pub wrapped_root: Vec<u8>,
    pub keys: Vec<WrappedKey>,
    /// One more with each change of the share set, its proofs or the ring; from 1.
    pub version: u64,
    /// Indices of the shares that their custodians have not proved yet. Until there are none, no card is taken.
    pub unproved: Vec<u8>,
}

impl VaultRecord {
    /// The version of a vault that was just made.
    pub const FIRST_VERSION: u64 = 1;
}

/// A vault that was just made: the record is to be stored, the shares are to go to their custodians.
#[derive(Debug)]
pub struct NewVault {
    pub record: VaultRecord,
    pub shares: Vec<Share>,
}

#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum VaultError {
    #[error(transparent)]
    Deal(#[from] DealError),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("the root key does not open under the key of these shares")]
    Root,
    #[error("the dealt shares did not give the key back")]
    Unproven,
    #[error("the share set cannot be dealt again")]
    Generations,
    #[error("the vault is initialised already")]
    AlreadyInitialised,
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Makes all keys of a new vault and cuts its unseal key into shares.
pub fn initialise(quorum: Quorum, now_ms: u64, entropy: &mut dyn Entropy) -> Result<NewVault, VaultError> {
    let unseal_key = UnsealKey(Key32::random(entropy)?);
    let root = RootKey(Key32::random(entropy)?);
    let (share_set, shares) = deal(&unseal_key, quorum, SetId::random(entropy)?, 0, entropy)?;
    prove(&unseal_key, quorum, &shares)?;
    let wrapped_root = wrap_root(&unseal_key, &share_set, &root, entropy)?;
    let mut keys = Vec::new();
    for kind in KeyKind::ALL.into_iter().filter(|kind| kind.made_at_init()) {
        let slot = Slot { kind, id: 1, state: KeyState::Active, created_at_ms: now_ms };
        keys.push(slot.wrap(&root, &generate(kind, entropy)?, entropy)?);
    }
    let unproved = shares.iter().map(Share::index).collect();
    let record = VaultRecord { share_set, wrapped_root, keys, version: VaultRecord::FIRST_VERSION, unproved };
    Ok(NewVault { record, shares })
}

pub(super) fn wrap_root(
    unseal_key: &UnsealKey,
    set: &ShareSet,
    root: &RootKey,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, EnvelopeError> {
    let key = EnvelopeKey::new(WRAPPING_KEY_ID, &unseal_key.0);
    envelope::seal(&key, &root_context(set, &set.set_id().to_string()), root.0.expose(), entropy)
}

pub(super) fn unwrap_root(unseal_key: &UnsealKey, set: &ShareSet, wrapped: &[u8]) -> Result<RootKey, VaultError> {
    let key = EnvelopeKey::new(WRAPPING_KEY_ID, &unseal_key.0);
    let root = envelope::open(&key, &root_context(set, &set.set_id().to_string()), wrapped);
    root.ok().and_then(|root| Key32::from_slice(&root)).map(RootKey).ok_or(VaultError::Root)
}

fn root_context<'a>(set: &ShareSet, row: &'a str) -> RecordContext<'a> {
    let row_version = u64::from(set.generation());
    RecordContext { account: "", table: "vault_root", row, column: "key", row_version }
}

/// Nobody is to rely on shares that do not give the key back: the last t of them must.
pub(super) fn prove(unseal_key: &UnsealKey, quorum: Quorum, shares: &[Share]) -> Result<(), VaultError> {
    let first = usize::from(quorum.total() - quorum.threshold());
    let combined = shares.get(first..).and_then(|last| combine(quorum, last));
    if combined.as_ref() == Some(unseal_key) { Ok(()) } else { Err(VaultError::Unproven) }
}
