//! For tests: a sealer that can be opened and sealed, and audits over a database in memory.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest, Sha256};

use super::source::DbSource;
use super::verify::{Item, Source};
use super::{Audit, ChainId, PublicKey, Sealer, Signature, VerifyError, signed_message};
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

    pub(super) fn public(&self) -> PublicKey {
        PublicKey { key_id: 3, bytes: self.pair.public_key().as_ref().try_into().unwrap() }
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
    Db::open("sqlite::memory:", "a").await.unwrap()
}

/// A process with the chain id `id` sixteen times.
pub(super) async fn process(db: &Db, key: &Arc<Key>, clock: &Arc<ManualClock>, id: u8) -> Audit {
    let (clock, key) = (Arc::<ManualClock>::clone(clock), Arc::<Key>::clone(key));
    Audit::open(db.clone(), clock, key, "test/a/1", &mut Filled(id)).await.unwrap()
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at_ms(NOW))
}

/// All items of a database.
pub(super) async fn items(db: &Db) -> Vec<Item> {
    let (mut source, mut items) = (DbSource::new(db), Vec::new());
    while let Some(item) = source.next().await.unwrap() {
        items.push(item);
    }
    items
}

/// Items from memory, as a database with exactly these rows would give them.
pub(super) struct Memory {
    items: VecDeque<Item>,
    hashes: BTreeMap<(String, i64), Vec<u8>>,
}

impl Memory {
    pub(super) fn new(items: Vec<Item>) -> Self {
        let (mut hashes, mut chain) = (BTreeMap::new(), String::new());
        for item in &items {
            match item {
                Item::Chain(row) => chain.clone_from(&row.id),
                Item::Link(link) => drop(hashes.insert((chain.clone(), link.number), link.hash.clone())),
            }
        }
        Self { items: items.into(), hashes }
    }
}

impl Source for Memory {
    async fn next(&mut self) -> Result<Option<Item>, VerifyError> {
        Ok(self.items.pop_front())
    }

    async fn hashes(&mut self, places: &[(ChainId, u64)]) -> Result<Vec<Option<[u8; 32]>>, VerifyError> {
        let found = places.iter().map(|(chain, number)| {
            let hash = self.hashes.get(&(chain.to_string(), i64::try_from(*number).ok()?))?;
            Some(hash.as_slice().try_into().unwrap_or_default())
        });
        Ok(found.collect())
    }
}

/// Runs what never waits.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}
