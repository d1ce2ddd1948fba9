//! For tests: a sealer that can be opened and sealed, and audits over a database in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::signature::Ed25519KeyPair;
use sha2::{Digest, Sha256};

use super::{Audit, Sealer, Signature, signed_message};
use crate::clock::ManualClock;
use crate::db::Db;
use crate::entropy::{Entropy, EntropyError};

pub(super) const NOW: u64 = 1_767_225_600_000;

/// Signs as audit key 3.
pub(super) struct Key {
    pair: Ed25519KeyPair,
    pub(super) is_open: AtomicBool,
}

impl Key {
    pub(super) fn new(is_open: bool) -> Arc<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        Arc::new(Self { pair, is_open: AtomicBool::new(is_open) })
    }

    pub(super) fn open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::SeqCst);
    }
}

impl Sealer for Key {
    fn sign(&self, hash: &[u8; 32]) -> Option<Signature> {
        let signature = self.pair.sign(&signed_message(hash));
        let is_open = self.is_open.load(Ordering::SeqCst);
        is_open.then(|| Signature { key_id: 3, bytes: signature.as_ref().try_into().unwrap() })
    }

    fn conceal(&self, field: &str, value: &[u8]) -> Option<[u8; 32]> {
        let hash = Sha256::new().chain_update(field).chain_update([0]).chain_update(value).finalize().into();
        self.is_open.load(Ordering::SeqCst).then_some(hash)
    }
}

/// Fills with one byte.
pub(super) struct Filled(pub(super) u8);

impl Entropy for Filled {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill(self.0);
        Ok(())
    }
}

pub(super) async fn database() -> Db {
    Db::open("sqlite::memory:").await.unwrap()
}

/// A process with the chain id `id` sixteen times.
pub(super) async fn process(db: &Db, key: &Arc<Key>, clock: &Arc<ManualClock>, id: u8) -> Audit {
    let (clock, key) = (Arc::<ManualClock>::clone(clock), Arc::<Key>::clone(key));
    Audit::open(db.clone(), clock, key, "test/a/1", &mut Filled(id)).await.unwrap()
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at_ms(NOW))
}
