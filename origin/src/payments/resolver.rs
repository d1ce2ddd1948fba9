//! What nobody waits for any more: acts without an answer, holds that nobody takes, payers who did not come back.
//!
//! | what | becomes |
//! |---|---|
//! | asked, and no answer written for 90 s: the process died | unknown (an authorisation: lost) |
//! | unknown, and the acquirer documents that the same bytes are booked once | asked again, at its pace, so often; then an operator's |
//! | unknown otherwise | an operator's: listed by `transaction unsettled`, never guessed |
//! | lost, and the acquirer has named what it may hold | void |
//! | a hold whose capture was refused for certain | void, and its code is free |
//! | a void of these that was not sent, or refused for certain | void again, ever later and so often; then an operator's |
//! | strict mode, and the receiver's word was not acted on | taken, or void, by that word |
//! | a payer who was waited for long enough | expired, and the code is free |
//!
//! Several origins may do this at once: every step is conditional, and a repetition is leased before it is asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Payments;
use super::engine::{EngineError, NoHook, Telling, Word, account_of, give_back, nothing, resolution};
use super::ledger::{ActEnd, ActKind, Illegal, Stage};
use super::steps::{self, Step, StepError};
use super::store::acts::{self, Due};
use super::store::{Transaction, transactions};
use crate::acquirers::{Decline, Resolution};
use crate::db::DbError;
use crate::fault;
use crate::outbox::strict::{self, Verdict};
use crate::vault::{SystemEntropy, Unsealed};

/// An act that waits longer than this for its answer was left by whoever asked: longer than a call and the writing of its
/// outcome can take.
pub const ABANDONED_AFTER_MS: i64 = 90_000;
/// A repetition that has not been answered after this was left, too.
const REPEAT_LEASE_MS: i64 = 60_000;
const EVERY: Duration = Duration::from_secs(2);
/// Acquirers that are asked at once.
const AT_ONCE: usize = 8;

/// Looks after open transactions until the process stops.
pub async fn run(payments: Payments, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = payments.resolve().await {
            tracing::error!(cause = %error, "open transactions were not looked after");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.changed() => return,
        }
    }
}

impl Payments {
    /// One round. How many transactions moved. None while another region serves: it looks after them.
    ///
    /// # Errors
    /// From the database; the next round goes on where this one stopped.
    pub async fn resolve(&self) -> Result<usize, DbError> {
        if !self.db.serves() {
            return Ok(0);
        }
        let mut moved = self.settle_abandoned().await? + self.expire_waiting().await?;
        // The rest asks acquirers, and needs the merchants' credentials for it.
        if self.vault.unsealed().is_ok() {
            moved += self.repeat_due().await? + self.act_on_verdicts().await? + self.give_back_holds().await?;
        }
        if moved > 0 {
            self.bell.notify_one();
        }
        Ok(moved)
    }

    /// Gives up waiting for answers that nobody waits for any more: after a crash, or when an outcome could not be
    /// written.
    async fn settle_abandoned(&self) -> Result<usize, DbError> {
        let mut settled = 0;
        for before in transactions::find_abandoned(&self.db, self.clock.now_db() - ABANDONED_AFTER_MS).await? {
            let word = Word::unknown();
            let Ok(ledger) = before.ledger.settle(word.end) else { continue };
            let after = Transaction { ledger, ..before.clone() };
            let end = Some(self.end_of(&before, &word));
            settled += self.step(Step { before: &before, after, end }, "no answer was recorded").await?;
        }
        Ok(settled)
    }

    /// Ends the waiting for payers who did not come back.
    async fn expire_waiting(&self) -> Result<usize, DbError> {
        let mut expired = 0;
        for before in transactions::find_left(&self.db, self.clock.now_db()).await? {
            let Ok(ledger) = before.ledger.end_waiting(Stage::Expired) else { continue };
            let after = Transaction { ledger, lease_until_ms: None, ..before.clone() };
            expired += self.step(Step { before: &before, after, end: None }, "the payer did not come back").await?;
        }
        Ok(expired)
    }

    async fn step(&self, step: Step<'_>, why: &'static str) -> Result<usize, DbError> {
        let id = step.before.id;
        match steps::make(&self.db, &*self.clock, &mut SystemEntropy::new(), step).await {
            Ok(after) => {
                tracing::warn!(transaction = id, state = after.tx_state(), why, "transaction looked after");
                Ok(1)
            }
            Err(StepError::Moved) => Ok(0), // somebody else was faster
            Err(StepError::Db(error)) => Err(error),
            Err(error) => {
                tracing::error!(transaction = id, cause = %error, "transaction not looked after");
                Ok(0)
            }
        }
    }

    /// Asks again what may be asked again.
    async fn repeat_due(&self) -> Result<usize, DbError> {
        let due = acts::due(&self.db, self.clock.now_db()).await?;
        Ok(self.each(due, |payments, due| async move { payments.repeat(due).await }).await)
    }

    async fn repeat(&self, due: Due) -> Result<bool, EngineError> {
        let unsealed = self.vault.unsealed()?;
        let found = transactions::find(&self.db, due.transaction_id).await?;
        let Some(before) = found.filter(|found| found.ledger.pending.is_some_and(|act| act.number == due.number))
        else {
            acts::lease(&self.db, &due, None).await?;
            return Ok(false);
        };
        let routed = match self.routed(&unsealed, &before).await {
            Ok(routed) => routed,
            Err(error) => {
                // Not counted, since nothing is asked; but put behind the others, which it would stand before for ever.
                acts::put_off(&self.db, &due, self.clock.now_db().saturating_add(REPEAT_LEASE_MS)).await?;
                return Err(error);
            }
        };
        let act = before.ledger.pending.ok_or(Illegal::NothingPending)?;
        let Resolution::Repeat { every_ms, at_most } = resolution(&routed.capabilities(), &act) else {
            acts::lease(&self.db, &due, None).await?;
            return Ok(false);
        };
        let pause_ms = i64::try_from(every_ms).unwrap_or(i64::MAX).max(REPEAT_LEASE_MS);
        let is_last = due.tries >= at_most;
        let again_at_ms = (!is_last).then(|| self.clock.now_db().saturating_add(pause_ms));
        if !acts::lease(&self.db, &due, again_at_ms).await? {
            return Ok(false);
        }
        fault::point("repeat.leased");
        let account = account_of(&self.db, &before).await?;
        let telling = Telling::again(due.asked_at_ms, again_at_ms, account.text_on_statement.as_deref());
        let word = Word::of(self.ask_later(&unsealed, &routed, &before, &telling).await);
        // A hold that nobody takes, and that could not be given back so often, stays open: an operator sees it.
        let is_left = word.end == ActEnd::Refused
            && act.kind == ActKind::Void
            && before.is_nobodys()
            && !self.may_void_again(before.id).await;
        if word.end == ActEnd::Unknown || !word.is_the_acquirers() || is_left {
            tracing::warn!(transaction = before.id, tries = due.tries, is_last, "still unknown");
            return Ok(false);
        }
        self.write_outcome(&before, &word, &NoHook, &|after| {
            after.decline = before.decline;
            nothing(after)
        })
        .await?;
        Ok(true)
    }

    /// Strict mode: whoever had the receiver's answer died before it was acted on. Where a delivery still waits, its
    /// answer or its end decides; where there is none, nobody will say yes.
    async fn act_on_verdicts(&self) -> Result<usize, DbError> {
        let mut ended = Vec::new();
        for held in transactions::find_held(&self.db).await? {
            let is_over = held.held_until_ms.is_some_and(|until_ms| until_ms < self.clock.now_db());
            match strict::find(&self.db, held.id).await? {
                Some(Verdict::Delivered) => ended.push((held.id, true)),
                Some(Verdict::Withdrawn) => ended.push((held.id, false)),
                None if is_over => ended.push((held.id, false)),
                Some(Verdict::Waits) | None => {}
            }
        }
        let end = |payments: Self, (id, is_taken): (i64, bool)| async move {
            if is_taken {
                payments.capture_held(id).await?
            } else {
                payments.void_held(id).await?
            };
            Ok(true)
        };
        Ok(self.each(ended, end).await)
    }

    /// Gives back what nobody takes: what a lost authorisation may hold, and holds whose capture was refused.
    async fn give_back_holds(&self) -> Result<usize, DbError> {
        let now_ms = self.clock.now_db();
        let mut holds = transactions::find_lost_with_state(&self.db, now_ms).await?;
        holds.extend(transactions::find_stranded(&self.db, now_ms).await?);
        Ok(self.each(holds, |payments, hold| async move { payments.void_hold(hold).await }).await)
    }

    async fn void_hold(&self, before: Transaction) -> Result<bool, EngineError> {
        let unsealed: Arc<Unsealed> = self.vault.unsealed()?;
        let routed = self.routed(&unsealed, &before).await?;
        let account = account_of(&self.db, &before).await?;
        let mut after = before.clone();
        after.decline = before.decline.or(Some(Decline::Technical));
        give_back(&mut after)?;
        let step = Step { before: &before, after, end: None };
        let voiding = match steps::make(&self.db, &*self.clock, &mut SystemEntropy::new(), step).await {
            Ok(voiding) => voiding,
            Err(StepError::Moved) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.finish_void(&unsealed, &account, &routed, voiding, &NoHook).await?;
        Ok(true)
    }

    /// Works on several at once, each in a task that the process waits for when it stops.
    async fn each<T, F>(&self, all: Vec<T>, work: impl Fn(Self, T) -> F) -> usize
    where
        F: Future<Output = Result<bool, EngineError>> + Send + 'static,
    {
        let (mut tasks, mut moved) = (JoinSet::new(), 0);
        let mut ended = |done: Result<Result<bool, EngineError>, tokio::task::JoinError>| match done {
            Ok(Ok(did)) => moved += usize::from(did),
            Ok(Err(error)) => tracing::error!(cause = %error, "an open transaction was not looked after"),
            Err(error) => tracing::error!(cause = %error, "looking after a transaction ended early"),
        };
        for one in all {
            if tasks.len() >= AT_ONCE
                && let Some(done) = tasks.join_next().await
            {
                ended(done);
            }
            let (running, work) = (self.running.clone(), work(self.clone(), one));
            tasks.spawn(async move {
                let _running = running;
                work.await
            });
        }
        while let Some(done) = tasks.join_next().await {
            ended(done);
        }
        moved
    }
}
