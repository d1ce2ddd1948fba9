//! Strict mode: what is authorised waits for the merchant's receiver, and is taken or given back by its answer.
//!
//! Both calls may come twice, from two processes, and late: only a transaction that is still held moves.

use super::super::Payments;
use super::super::ledger::{ActKind, Illegal};
use super::super::steps::{self, Step, StepError};
use super::super::store::{Transaction, transactions};
use super::authorise::{give_back, take};
use super::{EngineError, NoHook, terms};
use crate::acquirers::Decline;
use crate::fault;
use crate::outbox::strict;
use crate::vault::SystemEntropy;

impl Payments {
    /// The receiver said yes: the money is taken. The transaction as it is then, whoever moved it.
    ///
    /// # Errors
    /// See [`EngineError`]; the transaction is still held where nothing was asked.
    pub async fn capture_held(&self, id: i64) -> Result<Transaction, EngineError> {
        let payments = self.clone();
        self.to_its_end(async move { payments.end_held(id, take).await }).await?
    }

    /// The receiver said no, or nothing in time: the hold is given back.
    ///
    /// # Errors
    /// As [`Self::capture_held`].
    pub async fn void_held(&self, id: i64) -> Result<Transaction, EngineError> {
        let payments = self.clone();
        let refuse = |after: &mut Transaction| {
            // Whoever paid is told to try later: the shop could not take note of it.
            after.decline = Some(Decline::Technical);
            give_back(after)
        };
        self.to_its_end(async move { payments.end_held(id, refuse).await }).await?
    }

    /// The wallet has our answer: what it was given for goes on as any payment does.
    ///
    /// # Errors
    /// As [`Self::capture_held`].
    pub async fn confirm(&self, id: i64) -> Result<Transaction, EngineError> {
        let payments = self.clone();
        self.to_its_end(async move { payments.confirm_now(id).await }).await?
    }

    async fn confirm_now(&self, id: i64) -> Result<Transaction, EngineError> {
        let unsealed = self.vault.unsealed()?;
        let before = transactions::find(&self.db, id).await?.ok_or(EngineError::NotFound)?;
        if !before.is_unconfirmed() || before.ledger.pending.is_some() {
            return Ok(before);
        }
        let account = terms::account(&self.db, &before).await?;
        let routed = self.routed(&unsealed, &before).await?;
        let mut after = Transaction { lease_until_ms: None, ..before.clone() };
        if terms::is_held(&account, &after) {
            after.held_until_ms = Some(self.clock.now_db().saturating_add(strict::ANSWER_WITHIN_MS));
        } else if after.takes_at_once() {
            take(&mut after)?;
        }
        let step = Step { before: &before, after, end: None };
        let confirmed = match steps::make(&self.db, &*self.clock, &mut SystemEntropy::new(), step).await {
            Ok(confirmed) => confirmed,
            // The other process has seen it, too.
            Err(StepError::Moved) => {
                return transactions::find(&self.db, id).await?.ok_or(EngineError::NotFound);
            }
            Err(error) => return Err(error.into()),
        };
        self.bell.notify_one();
        fault::point("wallet.confirmed");
        if confirmed.ledger.pending.is_none() {
            return Ok(confirmed);
        }
        self.take_or_give_back(&unsealed, &account, &routed, confirmed, &NoHook).await
    }

    async fn end_held(
        &self,
        id: i64,
        next: fn(&mut Transaction) -> Result<(), Illegal>,
    ) -> Result<Transaction, EngineError> {
        let unsealed = self.vault.unsealed()?;
        let before = transactions::find(&self.db, id).await?.ok_or(EngineError::NotFound)?;
        if before.held_until_ms.is_none() || before.ledger.pending.is_some() {
            return Ok(before);
        }
        let account = terms::account(&self.db, &before).await?;
        let routed = self.routed(&unsealed, &before).await?;
        let mut after = before.clone();
        next(&mut after)?;
        let step = Step { before: &before, after, end: None };
        let intent = match steps::make(&self.db, &*self.clock, &mut SystemEntropy::new(), step).await {
            Ok(intent) => intent,
            // The other process has its answer.
            Err(StepError::Moved) => {
                return transactions::find(&self.db, id).await?.ok_or(EngineError::NotFound);
            }
            Err(error) => return Err(error.into()),
        };
        fault::point("held.ended");
        match intent.ledger.pending.map(|act| act.kind) {
            Some(ActKind::Capture) => self.take_or_give_back(&unsealed, &account, &routed, intent, &NoHook).await,
            Some(_) => self.finish_void(&unsealed, &account, &routed, intent, &NoHook).await,
            None => Ok(intent),
        }
    }
}
