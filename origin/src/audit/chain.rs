//! The chain of this process: one link for each transaction, written in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use super::checkpoint::Checkpoints;
use super::entry::{self, Entries, Entry};
use super::link::{ChainId, Head, Signature, link_hash};
use super::store::{self, NewLink};
use crate::clock::Clock;
use crate::db::{Db, DbError, Tx};
use crate::entropy::Entropy;
use crate::hex;

/// The most that one link holds: some thousand entries. What reads the chain needs memory for a page of links.
pub const MAX_ENTRIES_BYTES: usize = 256 * 1024;

/// Commits whose outcome is not known, at most: older ones are over, one way or the other.
const MAX_ATTEMPTS: usize = 64;

/// Whoever holds the audit keys. While sealed it has none.
pub trait Sealer: Send + Sync {
    /// Signs [`signed_message`](super::signed_message) of a hash.
    fn sign(&self, hash: &[u8; 32]) -> Option<Signature>;

    /// What stands in the chain in the place of a value.
    fn conceal(&self, field: &str, value: &[u8]) -> Option<[u8; 32]>;
}

/// The audit of this process.
pub struct Audit {
    db: Db,
    /// For reading too.
    pub(super) unfenced: Db,
    clock: Arc<dyn Clock>,
    sealer: Arc<dyn Sealer>,
    pub(super) id: ChainId,
    process: String,
    started_ms: u64,
    pub(super) chain: Mutex<Chain>,
    links: AtomicU64,
    failures: AtomicU64,
    pub(super) checkpoints: Mutex<Checkpoints>,
    /// Unix time in milliseconds; 0 before the first one.
    pub(super) checked_ms: AtomicU64,
}

/// What this process has counted since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Links written.
    pub links: u64,
    /// Links that could not be written: what they were about did not happen.
    pub failures: u64,
    /// When the other chains were last looked at and what had moved was countersigned, or the start; Unix time in
    /// milliseconds.
    pub checked_at_ms: u64,
}

/// Where the chain stands.
pub(super) struct Chain {
    /// The last link that is known to be committed.
    pub(super) head: Place,
    /// What may or may not follow it: commits that failed, or that nobody waited for.
    attempts: Vec<Place>,
}

#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) at: Head,
    pub(super) is_signed: bool,
}

/// A database transaction with what the audit will say of it. Dropped, both are undone.
pub struct AuditedTx<'a> {
    audit: &'a Audit,
    // Before the lock: undone before the next one starts.
    tx: Tx,
    chain: MutexGuard<'a, Chain>,
    entries: Entries,
}

impl Audit {
    /// Draws the id of this process's chain. Nothing is written before the first entry. `process` is for people: host,
    /// region and process number.
    ///
    /// # Errors
    /// When the audit's tables cannot be read, or there are no random bytes.
    pub async fn open(
        db: Db,
        clock: Arc<dyn Clock>,
        sealer: Arc<dyn Sealer>,
        process: &str,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Self, DbError> {
        let mut id = [0; 16];
        entropy.fill(&mut id)?;
        let unfenced = db.unfenced();
        store::probe(&unfenced).await?;
        let start = Place { at: Head::START, is_signed: false };
        Ok(Self {
            db,
            unfenced,
            started_ms: clock.now_ms(),
            clock,
            sealer,
            id: ChainId(id),
            process: process.to_owned(),
            chain: Mutex::new(Chain { head: start, attempts: Vec::new() }),
            links: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            checkpoints: Mutex::default(),
            checked_ms: AtomicU64::new(0),
        })
    }

    /// Starts an audited transaction. One at a time in a process: it waits for the one before. Whoever holds a
    /// transaction of another kind must not wait here: on SQLite this one needs the connection that the other has.
    ///
    /// # Errors
    /// From the database.
    pub async fn begin(&self) -> Result<AuditedTx<'_>, DbError> {
        self.begin_on(&self.db).await
    }

    /// As [`Self::begin`], for what a region that stands by does too: ceremonies.
    ///
    /// # Errors
    /// From the database.
    pub async fn begin_unfenced(&self) -> Result<AuditedTx<'_>, DbError> {
        self.begin_on(&self.unfenced).await
    }

    /// What stands in an entry in the place of a value: hexadecimal, `None` while sealed.
    #[must_use]
    pub fn conceal(&self, field: &str, value: &[u8]) -> Option<String> {
        self.sealer.conceal(field, value).map(|hash| hex::encode(&hash))
    }

    /// Writes a link of its own, for what has no other effect in the database.
    ///
    /// # Errors
    /// From the database.
    pub async fn note(&self, entry: Entry) -> Result<(), DbError> {
        let mut tx = self.begin_unfenced().await?;
        tx.push(entry);
        tx.commit().await
    }

    /// The name of this process's chain.
    #[must_use]
    pub const fn chain_id(&self) -> ChainId {
        self.id
    }

    /// Where this process's chain stands; number 0 before its first link.
    pub async fn head(&self) -> Head {
        self.chain.lock().await.head.at
    }

    pub(super) async fn place(&self) -> Place {
        self.chain.lock().await.head
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            links: self.links.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            checked_at_ms: self.checked_ms.load(Ordering::Relaxed).max(self.started_ms),
        }
    }

    async fn begin_on(&self, db: &Db) -> Result<AuditedTx<'_>, DbError> {
        let chain = self.chain.lock().await;
        let begun = self.begin_with(chain, db).await;
        self.count_failure(&begun);
        begun
    }

    async fn begin_with<'a>(&'a self, mut chain: MutexGuard<'a, Chain>, db: &Db) -> Result<AuditedTx<'a>, DbError> {
        let mut tx = db.begin().await?;
        if !chain.attempts.is_empty() {
            chain.settle(&mut tx, self.id).await?;
        }
        Ok(AuditedTx { audit: self, tx, chain, entries: Entries::default() })
    }

    fn count_failure<T>(&self, done: &Result<T, DbError>) {
        if done.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The entries' final text and hash, and the signature while the vault is open.
    fn seal(&self, head: Place, at_ms: u64, entries: String) -> Result<NewLink, DbError> {
        let number = head.at.number.saturating_add(1);
        let hash_of = |entries: &str| {
            let hash = link_hash(self.id, number, at_ms, &head.at.hash, entries.as_bytes());
            hash.filter(|_| entries.len() <= MAX_ENTRIES_BYTES).ok_or(DbError::TooLong("the audit's entries are"))
        };
        let link = |entries: String, hash, signature| NewLink {
            chain: self.id.to_string(),
            number,
            at_ms,
            entries,
            hash,
            signature,
        };
        let hash = hash_of(&entries)?;
        let signature = self.sealer.sign(&hash);
        if signature.is_some() == head.is_signed {
            return Ok(link(entries, hash, signature));
        }
        // From here on it is the other way, and the link itself must say so.
        let marked = entry::append(&entries, &Entry::new(SIGNING, "origin").with("signed", signature.is_some()));
        let marked_hash = hash_of(&marked)?;
        if signature.is_none() {
            return Ok(link(marked, marked_hash, None));
        }
        Ok(match self.sealer.sign(&marked_hash) {
            Some(signature) => link(marked, marked_hash, Some(signature)),
            // Sealed between the two: as the link before, after all.
            None => link(entries, hash, None),
        })
    }

    fn first_entry(&self) -> Entry {
        Entry::new(STARTED, "origin")
            .with("process", self.process.as_str())
            .with("startedAtMs", self.started_ms)
            .with("version", env!("CARGO_PKG_VERSION"))
    }
}

/// The first entry of a chain.
pub(super) const STARTED: &str = "process.started";
/// Says that links are signed from here on, or no longer are.
pub(super) const SIGNING: &str = "audit.signing";

impl Chain {
    /// Finds out whether one of the doubtful commits is in the store. What is there must be one that we made: anything
    /// else is left for the next insert to run into.
    async fn settle(&mut self, tx: &mut Tx, id: ChainId) -> Result<(), DbError> {
        let number = self.head.at.number.saturating_add(1);
        let Some(hash) = store::hash_in(tx, id, number).await? else { return Ok(()) };
        if let Some(done) = self.attempts.iter().find(|attempt| attempt.at.hash[..] == hash[..]) {
            self.head = *done;
            self.attempts.clear();
        } else {
            tracing::error!(chain = %id, number, "audit: a link is stored that this process did not write");
        }
        Ok(())
    }

    fn attempt(&mut self, place: Place) {
        if self.attempts.len() == MAX_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(place);
    }
}

impl AuditedTx<'_> {
    /// For the statements that have the effect.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Adds what will be said of it.
    pub fn push(&mut self, entry: Entry) {
        if self.entries.is_empty() && self.chain.head.at.number == 0 {
            self.entries.push(&self.audit.first_entry());
        }
        self.entries.push(&entry);
    }

    /// Commits the effect and what is said of it, or neither. Without an entry there is no link.
    ///
    /// # Errors
    /// From the database. Of a failed commit nobody knows whether it was done: the next [`Audit::begin`] finds out.
    pub async fn commit(self) -> Result<(), DbError> {
        let audit = self.audit;
        let done = self.write().await;
        audit.count_failure(&done);
        done
    }

    async fn write(self) -> Result<(), DbError> {
        let Self { audit, mut tx, mut chain, entries } = self;
        if entries.is_empty() {
            return Ok(tx.commit().await?);
        }
        let at_ms = audit.clock.now_ms();
        let link = audit.seal(chain.head, at_ms, entries.finish())?;
        let place = Place { at: Head { number: link.number, hash: link.hash }, is_signed: link.signature.is_some() };
        if link.number == 1 {
            store::insert_chain(&mut tx, audit.id, &audit.process, audit.started_ms).await?;
        }
        store::insert_link(&mut tx, link).await?;
        // Before the commit: whoever drops this future while it waits leaves a doubt too.
        chain.attempt(place);
        tx.commit().await?;
        chain.head = place;
        chain.attempts.clear();
        audit.links.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
