//! One group: who may, what is done, what the audit says of it, one commit.

use std::sync::Arc;

use super::CardsError;
use crate::audit::{Audit, Entry};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::identity;
use crate::vault::cards::{self, Card, CardStoreError, Stored, Wanted};
use crate::vault::{SystemEntropy, Unsealed, Vault, VaultCard};

/// What the workers need.
pub(super) struct Groups {
    pub(super) db: Db,
    pub(super) vault: Arc<Vault>,
    pub(super) audit: Arc<Audit>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A card that an internal system sent.
pub(super) struct StoreJob {
    pub(super) account: String,
    pub(super) card: VaultCard,
    /// Unix milliseconds.
    pub(super) keep_until_ms: Option<i64>,
}

/// A card that is asked for.
pub(super) struct ReadJob {
    pub(super) account: String,
    pub(super) token: String,
    pub(super) purpose: String,
    /// Asked for by an internal system, which must be one at this moment.
    pub(super) is_internal: bool,
}

type Results<T> = Vec<Result<T, CardsError>>;

impl Groups {
    pub(super) async fn store(&self, jobs: Vec<StoreJob>) -> Results<Stored> {
        let done = match self.try_store(&jobs).await {
            Err(GroupError::Db(error)) if error.is_transient() => self.try_store(&jobs).await,
            done => done,
        };
        done.unwrap_or_else(|error| all(&jobs, &error))
    }

    pub(super) async fn read(&self, jobs: Vec<ReadJob>) -> Results<VaultCard> {
        let done = match self.try_read(&jobs).await {
            Err(GroupError::Db(error)) if error.is_transient() => self.try_read(&jobs).await,
            done => done,
        };
        done.unwrap_or_else(|error| all(&jobs, &error))
    }

    async fn try_store(&self, jobs: &[StoreJob]) -> Result<Results<Stored>, GroupError> {
        let unsealed = self.unsealed()?;
        let mut tx = self.audit.begin().await?;
        let accounts: Vec<&str> = jobs.iter().map(|job| job.account.as_str()).collect();
        let allowed = identity::store::active_internal(tx.tx(), &accounts).await?;
        let asked: Vec<Card<'_>> =
            jobs.iter().filter(|job| allowed.contains(&job.account)).map(StoreJob::as_card).collect();
        let now_ms = self.clock.now_db();
        let group = cards::store(tx.tx(), &unsealed, &asked, now_ms, &mut SystemEntropy::new()).await?;
        if group.expired > 0 {
            tx.push(Entry::new("card.expired", "origin").with("count", group.expired));
        }
        let mut stored = group.results.into_iter();
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            let result = if allowed.contains(&job.account) {
                stored.next().unwrap_or(Err(CardStoreError::Contended)).map_err(member_error)
            } else {
                Err(CardsError::Forbidden)
            };
            if let Ok(Stored { token, outcome }) = &result {
                let entry = Entry::new("card.stored", job.account.as_str());
                tx.push(
                    entry
                        .with("token", self.audit.conceal("token", token.as_bytes()))
                        .with("outcome", outcome.as_str()),
                );
            }
            results.push(result);
        }
        tx.commit().await?;
        Ok(results)
    }

    /// Nobody is given a card before the commit of what the audit says of it.
    async fn try_read(&self, jobs: &[ReadJob]) -> Result<Results<VaultCard>, GroupError> {
        let unsealed = self.unsealed()?;
        let mut tx = self.audit.begin().await?;
        let accounts: Vec<&str> = jobs.iter().filter(|job| job.is_internal).map(|job| job.account.as_str()).collect();
        let allowed = identity::store::active_internal(tx.tx(), &accounts).await?;
        let may = |job: &ReadJob| !job.is_internal || allowed.contains(&job.account);
        let wanted: Vec<Wanted<'_>> =
            jobs.iter().filter(|job| may(job)).map(|job| Wanted { account: &job.account, token: &job.token }).collect();
        let mut found = cards::read(tx.tx(), &unsealed, &wanted, self.clock.now_db()).await?.into_iter();
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            let result = match may(job).then(|| found.next()).flatten() {
                None => Err(CardsError::Forbidden),
                Some(Ok(None)) => Err(CardsError::NotFound),
                Some(Ok(Some(card))) => Ok(card),
                Some(Err(error)) => Err(member_error(error)),
            };
            if result.is_ok() {
                let entry = Entry::new("card.read", job.account.as_str());
                let token = self.audit.conceal("token", job.token.as_bytes());
                tx.push(entry.with("token", token).with("purpose", job.purpose.as_str()));
            }
            results.push(result);
        }
        tx.commit().await?;
        Ok(results)
    }

    fn unsealed(&self) -> Result<Arc<Unsealed>, GroupError> {
        self.vault.unsealed_for_cards().map_err(|_| GroupError::Sealed)
    }
}

impl StoreJob {
    fn as_card(&self) -> Card<'_> {
        Card {
            account: &self.account,
            pan: &self.card.pan,
            expiry: &self.card.expiry,
            holder: self.card.name.as_ref(),
            keep_until_ms: self.keep_until_ms,
        }
    }
}

/// What fails a whole group.
#[derive(Debug, thiserror::Error)]
enum GroupError {
    #[error("the vault is sealed")]
    Sealed,
    #[error(transparent)]
    Db(#[from] DbError),
}

fn all<J, T>(jobs: &[J], error: &GroupError) -> Results<T> {
    let error = match error {
        GroupError::Sealed => CardsError::Sealed,
        GroupError::Db(error) => CardsError::Internal(error.to_string()),
    };
    jobs.iter().map(|_| Err(error.clone())).collect()
}

fn member_error(error: CardStoreError) -> CardsError {
    match error {
        CardStoreError::Contended => CardsError::Busy,
        error => CardsError::Internal(error.to_string()),
    }
}
