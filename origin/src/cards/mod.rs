//! The vault's cards as a service: stored and read in groups, each group one audited transaction.
//!
//! [`api`] makes it usable by other systems of the same operator; inside the origin [`Cards::detokenize`] gives a card
//! for an acquirer call. What a card is at rest is the business of [`crate::vault::cards`].

pub mod api;
mod groups;

use std::sync::Arc;

use scanvault_protocol::Problem;
use tokio::sync::mpsc;

use crate::audit::{Audit, Entry};
use crate::batch::{BatchError, Batcher};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::identity;
use crate::vault::cards::{self as store, Stored, Summary};
use crate::vault::{Vault, VaultCard};
use crate::web::ApiError;
use groups::{Groups, ReadJob, StoreJob};

/// How many batches one sweep deletes: what is left waits for the next one.
const SWEEP_BATCHES: usize = 20;

/// The vault's cards.
pub struct Cards {
    shared: Arc<Groups>,
    stores: Batcher<StoreJob, Result<Stored, CardsError>>,
    reads: Batcher<ReadJob, Result<VaultCard, CardsError>>,
}

/// Why a card is not stored, or not to be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CardsError {
    /// The vault has no key in memory.
    #[error("the vault is sealed")]
    Sealed,
    /// The account is not there, suspended, or no INTERNAL one.
    #[error("this account has no access to the vault's cards")]
    Forbidden,
    /// The account has no such card.
    #[error("no such card")]
    NotFound,
    /// Nothing was done: too many wait, or others change the same card.
    #[error("too much to do")]
    Busy,
    /// For the log.
    #[error("{0}")]
    Internal(String),
}

impl From<DbError> for CardsError {
    fn from(error: DbError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<BatchError> for CardsError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Full => Self::Busy,
            BatchError::Gone => Self::Internal(error.to_string()),
        }
    }
}

impl From<CardsError> for ApiError {
    fn from(error: CardsError) -> Self {
        match error {
            CardsError::Sealed => Problem::Sealed.into(),
            CardsError::Forbidden => Problem::Forbidden.into(),
            CardsError::NotFound => Problem::NotFound.into(),
            CardsError::Busy => Problem::Overloaded.into(),
            CardsError::Internal(_) => Self::internal(&error),
        }
    }
}

impl Cards {
    /// Starts the workers. `running` is held until all that was handed in is done.
    #[must_use]
    pub fn start(
        db: Db,
        vault: Arc<Vault>,
        audit: Arc<Audit>,
        clock: Arc<dyn Clock>,
        running: &mpsc::Sender<()>,
    ) -> Self {
        let shared = Arc::new(Groups { db, vault, audit, clock });
        let (for_stores, for_reads) = (Arc::clone(&shared), Arc::clone(&shared));
        let stores = move |jobs| {
            let shared = Arc::clone(&for_stores);
            async move { shared.store(jobs).await }
        };
        let reads = move |jobs| {
            let shared = Arc::clone(&for_reads);
            async move { shared.read(jobs).await }
        };
        Self {
            shared,
            stores: Batcher::start(Some(running.clone()), stores),
            reads: Batcher::start(Some(running.clone()), reads),
        }
    }

    /// Stores a card of an INTERNAL account, until `keep_until_ms` (Unix milliseconds) or until it is deleted.
    ///
    /// # Errors
    /// See [`CardsError`].
    pub async fn store(
        &self,
        account: String,
        card: VaultCard,
        keep_until_ms: Option<i64>,
    ) -> Result<Stored, CardsError> {
        self.stores.submit(StoreJob { account, card, keep_until_ms }).await?
    }

    /// Opens a card of an account for an acquirer call. `purpose` says in the audit what for; without that entry there
    /// is no card.
    ///
    /// # Errors
    /// See [`CardsError`].
    pub async fn detokenize(&self, account: &str, token: &str, purpose: &str) -> Result<VaultCard, CardsError> {
        let job = ReadJob {
            account: account.to_owned(),
            token: token.to_owned(),
            purpose: purpose.to_owned(),
            is_internal: false,
        };
        self.reads.submit(job).await?
    }

    /// What may be shown of a card; works while sealed.
    ///
    /// # Errors
    /// See [`CardsError`].
    pub async fn summary(&self, account: &str, token: &str) -> Result<Summary, CardsError> {
        let found = store::summary(&self.shared.db, account, token, self.shared.clock.now_db()).await?;
        found.ok_or(CardsError::NotFound)
    }

    /// Deletes a card of an account for good: a card with its number gets another token.
    ///
    /// # Errors
    /// See [`CardsError`].
    pub async fn delete(&self, account: &str, token: &str) -> Result<(), CardsError> {
        let now_ms = self.shared.clock.now_db();
        let mut tx = self.shared.audit.begin().await?;
        let allowed = identity::store::active_internal(tx.tx(), &[account]).await?;
        if !allowed.contains(account) {
            return Err(CardsError::Forbidden);
        }
        if !store::delete(tx.tx(), account, token, now_ms).await? {
            return Err(CardsError::NotFound);
        }
        let token = self.shared.audit.conceal("token", token.as_bytes());
        tx.push(Entry::new("card.deleted", account).with("token", token));
        Ok(tx.commit().await?)
    }

    /// Deletes cards whose time is over, in batches; answers how many. Sessions whose time is over go too.
    ///
    /// # Errors
    /// From the database.
    pub async fn sweep(&self) -> Result<u64, DbError> {
        let Groups { db, vault, audit, clock } = &*self.shared;
        vault.sessions().sweep(clock.now_ms());
        let mut swept = 0;
        for _ in 0..SWEEP_BATCHES {
            let now_ms = clock.now_db();
            if !store::any_expired(db, now_ms).await? {
                break;
            }
            let mut tx = audit.begin().await?;
            let count = store::sweep(tx.tx(), now_ms).await?;
            // Another process may have been faster.
            if count > 0 {
                tx.push(Entry::new("card.expired", "origin").with("count", count));
            }
            tx.commit().await?;
            swept += count;
        }
        Ok(swept)
    }
}
