//! Sealed or open: the collection of shares, sealing, reloading.
//!
//! [`Vault`] is the one place that knows whether keys are there. Its lock is held for the length of
//! a check or of one unsealing, never across an await.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::collector::{Collector, Progress, ShareRefused};
use super::hex;
use super::init::{VaultError, VaultRecord, unwrap_root};
use super::keys::KeyInfo;
use super::secret::UnsealKey;
use super::sessions::Sessions;
use super::share::{SetId, Share, ShareTextError};
use super::share_set::ShareSet;
use super::unsealed::Unsealed;
use crate::audit::{Sealer, Signature};

/// Shares that do not come together within this time are forgotten.
pub const COLLECTION_TIMEOUT_MS: u64 = 10 * 60 * 1000;

/// Why there are no keys to be had.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum SealedError {
    #[error("the vault is not initialised")]
    NotInitialised,
    #[error("the vault is sealed")]
    Sealed,
    /// Open, but an operator could still have handed in recipients of his own.
    #[error("the vault takes no cards before every custodian has proved their share")]
    Unproved,
}

/// Why a share was not taken.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum SubmitError {
    #[error(transparent)]
    Text(#[from] ShareTextError),
    #[error(transparent)]
    Refused(#[from] ShareRefused),
    #[error("the vault is not initialised")]
    NotInitialised,
    #[error("the vault is unsealed already")]
    AlreadyUnsealed,
    #[error("this share was meant for another attempt to unseal: look at the status and begin again")]
    OtherCollection,
    /// All shares were right, but what is stored does not open: the vault stays sealed.
    #[error("the shares are right, but the stored vault does not open: {0}")]
    Stored(VaultError),
}

/// What a share did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Taken; more are needed. `index` is the share's own.
    Progress { index: u8, progress: Progress },
    /// It was the last one needed.
    Unsealed { index: u8 },
}

/// For `vault status` and the metrics; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultStatus {
    pub initialized: bool,
    pub sealed: bool,
    pub set_id: Option<SetId>,
    pub generation: Option<u16>,
    pub threshold: Option<u8>,
    pub shares: Option<u8>,
    /// Number of shares collected.
    pub progress: usize,
    /// Their indices.
    pub submitted: Vec<u8>,
    /// Names this collection of shares; none before the first.
    pub nonce: Option<String>,
    /// Indices of the shares that their custodians have not proved. Until there are none, no card is taken.
    pub unproved: Vec<u8>,
    /// One more with each change of the share set or the ring.
    pub version: u64,
    pub keys: Vec<KeyInfo>,
}

/// The vault of this process.
#[derive(Debug)]
pub struct Vault {
    state: RwLock<State>,
    /// Keys of internal systems; they end with the seal.
    sessions: Sessions,
}

#[derive(Debug)]
enum State {
    Empty,
    Sealed(Box<Sealed>),
    Unsealed(Arc<Unsealed>),
}

/// No key at all; perhaps some shares.
#[derive(Debug)]
struct Sealed {
    record: VaultRecord,
    collector: Collector,
    collection: Option<Collection>,
}

/// A collection that has begun.
#[derive(Debug)]
struct Collection {
    /// When its first share came.
    started_at_ms: u64,
    /// Not secret: it lets several people see that they hand their shares to the same attempt.
    nonce: String,
}

impl Vault {
    /// Sealed, over what the store holds; `None` before initialisation.
    #[must_use]
    pub fn new(record: Option<VaultRecord>) -> Self {
        let state = record.map_or(State::Empty, |record| State::Sealed(Box::new(Sealed::new(record))));
        Self { state: RwLock::new(state), sessions: Sessions::default() }
    }

    /// The keys, for the length of one operation. Sealing does not take them from whoever holds
    /// them, but nothing new gets them.
    pub fn unsealed(&self) -> Result<Arc<Unsealed>, SealedError> {
        match &*self.read() {
            State::Empty => Err(SealedError::NotInitialised),
            State::Sealed(_) => Err(SealedError::Sealed),
            State::Unsealed(unsealed) => Ok(Arc::clone(unsealed)),
        }
    }

    /// The keys, for what stores or reads cards: none before every custodian has proved their share.
    pub fn unsealed_for_cards(&self) -> Result<Arc<Unsealed>, SealedError> {
        let unsealed = self.unsealed()?;
        if unsealed.record().unproved.is_empty() { Ok(unsealed) } else { Err(SealedError::Unproved) }
    }

    /// The sessions of internal systems with this process.
    #[must_use]
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Takes over a record that has just been stored by the initialisation; sealed afterwards.
    pub fn install(&self, record: VaultRecord) -> Result<(), VaultError> {
        let mut state = self.write();
        if !matches!(*state, State::Empty) {
            return Err(VaultError::AlreadyInitialised);
        }
        *state = State::Sealed(Box::new(Sealed::new(record)));
        Ok(())
    }

    /// Takes one share. The last one needed opens the vault.
    pub fn submit_share(&self, text: &str, now_ms: u64) -> Result<Submitted, SubmitError> {
        self.submit_share_to(None, text, now_ms)
    }

    /// As [`submit_share`](Self::submit_share), to one collection: refused when it is another by now.
    pub fn submit_share_to(&self, nonce: Option<&str>, text: &str, now_ms: u64) -> Result<Submitted, SubmitError> {
        let share = Share::parse(text)?;
        let mut state = self.write();
        let opened = match &mut *state {
            State::Empty => return Err(SubmitError::NotInitialised),
            State::Unsealed(_) => return Err(SubmitError::AlreadyUnsealed),
            State::Sealed(sealed) => sealed.submit(share, nonce, now_ms)?,
        };
        match opened {
            Step::Waiting(submitted) => Ok(submitted),
            Step::Opened { index, unsealed } => {
                *state = State::Unsealed(unsealed);
                Ok(Submitted::Unsealed { index })
            }
        }
    }

    /// Checks a custodian's share without collecting it, sealed or not; answers its index.
    pub fn prove_share(&self, text: &str) -> Result<u8, SubmitError> {
        let share = Share::parse(text)?;
        let state = self.read();
        let record = state.record().ok_or(SubmitError::NotInitialised)?;
        record.share_set.check(&share)?;
        Ok(share.index())
    }

    /// Forgets collected shares.
    pub fn reset_collection(&self) {
        if let State::Sealed(sealed) = &mut *self.write() {
            sealed.reset();
        }
    }

    /// Drops all keys and collected shares; answers whether there were keys. Requests in flight finish.
    pub fn seal(&self) -> bool {
        let mut state = self.write();
        let Some(record) = state.record().cloned() else {
            return false;
        };
        let was_open = matches!(*state, State::Unsealed(_));
        self.sessions.clear();
        *state = State::Sealed(Box::new(Sealed::new(record)));
        was_open
    }

    /// The share set in effect.
    #[must_use]
    pub fn share_set(&self) -> Option<ShareSet> {
        self.read().record().map(|record| record.share_set.clone())
    }

    /// Number of the record in use; `None` before initialisation.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.read().record().map(|record| record.version)
    }

    /// Takes over a record that was changed in the store (rotation, re-share, another process).
    /// Open, its keys must open under the root key in hand; if not, all stays as it was.
    pub fn reload(&self, record: VaultRecord) -> Result<(), VaultError> {
        let mut state = self.write();
        match &mut *state {
            State::Empty => *state = State::Sealed(Box::new(Sealed::new(record))),
            // What was collected belongs to the same dealing.
            State::Sealed(sealed) if sealed.record.share_set == record.share_set => sealed.record = record,
            State::Sealed(_) => *state = State::Sealed(Box::new(Sealed::new(record))),
            State::Unsealed(unsealed) => *unsealed = Arc::new(unsealed.with_record(record)?),
        }
        Ok(())
    }

    #[must_use]
    pub fn status(&self, now_ms: u64) -> VaultStatus {
        let state = self.read();
        let record = state.record();
        let set = record.map(|record| &record.share_set);
        let (submitted, nonce) = match &*state {
            State::Sealed(sealed) if !sealed.timed_out(now_ms) => (
                sealed.collector.progress().submitted,
                sealed.collection.as_ref().map(|collection| collection.nonce.clone()),
            ),
            _ => (Vec::new(), None),
        };
        VaultStatus {
            initialized: record.is_some(),
            sealed: !matches!(*state, State::Unsealed(_)),
            set_id: set.map(ShareSet::set_id),
            generation: set.map(ShareSet::generation),
            threshold: set.map(|set| set.quorum().threshold()),
            shares: set.map(|set| set.quorum().total()),
            progress: submitted.len(),
            submitted,
            nonce,
            unproved: record.map(|record| record.unproved.clone()).unwrap_or_default(),
            version: record.map_or(0, |record| record.version),
            keys: record.map(|record| record.keys.iter().map(KeyInfo::from).collect()).unwrap_or_default(),
        }
    }

    // A panic elsewhere leaves the state whole: it is replaced in one assignment.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The audit's way to the keys. Sealed there are none, and the chain goes on without.
impl Sealer for Vault {
    fn sign(&self, hash: &[u8; 32]) -> Option<Signature> {
        let unsealed = self.unsealed().ok()?;
        Some(unsealed.audit_keys().sign(hash))
    }

    fn conceal(&self, field: &str, value: &[u8]) -> Option<[u8; 32]> {
        let unsealed = self.unsealed().ok()?;
        Some(unsealed.audit_value(field, value))
    }
}

impl State {
    fn record(&self) -> Option<&VaultRecord> {
        match self {
            Self::Empty => None,
            Self::Sealed(sealed) => Some(&sealed.record),
            Self::Unsealed(unsealed) => Some(unsealed.record()),
        }
    }
}

enum Step {
    Waiting(Submitted),
    Opened { index: u8, unsealed: Arc<Unsealed> },
}

impl Sealed {
    fn new(record: VaultRecord) -> Self {
        let collector = Collector::new(record.share_set.clone());
        Self { record, collector, collection: None }
    }

    fn submit(&mut self, share: Share, nonce: Option<&str>, now_ms: u64) -> Result<Step, SubmitError> {
        if self.timed_out(now_ms) {
            self.reset();
        }
        if nonce.is_some_and(|nonce| self.collection.as_ref().is_none_or(|collection| collection.nonce != nonce)) {
            return Err(SubmitError::OtherCollection);
        }
        let index = share.index();
        let progress = self.collector.submit(share)?;
        let set = self.record.share_set.set_id();
        self.collection.get_or_insert_with(|| Collection::begun(set, index, now_ms));
        let Some(unseal_key) = self.collector.combine() else {
            return Ok(Step::Waiting(Submitted::Progress { index, progress }));
        };
        self.collection = None;
        let unsealed = Arc::new(self.open(&unseal_key).map_err(SubmitError::Stored)?);
        Ok(Step::Opened { index, unsealed })
    }

    fn open(&self, unseal_key: &UnsealKey) -> Result<Unsealed, VaultError> {
        let root = unwrap_root(unseal_key, &self.record.share_set, &self.record.wrapped_root)?;
        Ok(Unsealed::open(self.record.clone(), root)?)
    }

    fn timed_out(&self, now_ms: u64) -> bool {
        let started = self.collection.as_ref().map(|collection| collection.started_at_ms);
        started.is_some_and(|started| now_ms.saturating_sub(started) > COLLECTION_TIMEOUT_MS)
    }

    fn reset(&mut self) {
        self.collector.reset();
        self.collection = None;
    }
}

impl Collection {
    fn begun(set: SetId, first: u8, now_ms: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(set.0);
        hash.update([first]);
        hash.update(now_ms.to_be_bytes());
        let mut nonce = hex::encode(&hash.finalize());
        nonce.truncate(16);
        Self { started_at_ms: now_ms, nonce }
    }
}

#[cfg(test)]
mod tests;
