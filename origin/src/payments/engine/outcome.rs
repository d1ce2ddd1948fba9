//! Writing what became of an act: tried until the database takes it, also when the answer is late.

use std::time::Duration;

use super::super::Payments;
use super::super::ledger::{Act, ActEnd, ActKind, Illegal, Stage};
use super::super::steps::{self, End, Step, StepError};
use super::super::store::{Transaction, transactions};
use super::ask::resolution;
use super::{EngineError, Hook};
use crate::acquirers::{Approval, Decline, Outcome, Refusal, Resolution};
use crate::db::DbError;
use crate::vault::SystemEntropy;

/// An outcome is known here and nowhere else: it is tried for as long as a database server may need to be replaced by
/// another one. An act that was given up meanwhile is settled all the same.
const PAUSES_MS: [u64; 9] = [50, 200, 1_000, 3_000, 5_000, 10_000, 20_000, 40_000, 60_000];

/// What an acquirer's answer comes to.
#[derive(Clone, Debug)]
pub(in super::super) struct Word {
    pub(in super::super) end: ActEnd,
    approval: Option<Approval>,
    refusal: Option<Refusal>,
    /// What may have been booked all the same, and can be voided.
    state: Option<String>,
}

impl Word {
    pub(in super::super) fn of(outcome: Outcome) -> Self {
        let word = Self { end: ActEnd::Unknown, approval: None, refusal: None, state: None };
        match outcome {
            Outcome::Approved(approval) => Self { end: ActEnd::Done, approval: Some(approval), ..word },
            Outcome::Declined(refusal) => Self { end: ActEnd::Refused, refusal: Some(refusal), ..word },
            Outcome::Unknown { why, state } => {
                tracing::warn!(why, "an acquirer's answer is unknown");
                Self { state, ..word }
            }
        }
    }

    /// Nothing was heard.
    pub(in super::super) fn unknown() -> Self {
        Self { end: ActEnd::Unknown, approval: None, refusal: None, state: None }
    }

    /// Whether a refusal is what the acquirer says of the act: that a repetition could not be sent, or was not taken at
    /// the door, says nothing of the first time.
    pub(in super::super) fn is_the_acquirers(&self) -> bool {
        self.refusal.as_ref().is_none_or(|refusal| {
            let about_us = matches!(refusal.reason, Decline::Configuration | Decline::Technical);
            !refusal.reason.is_certainly_not_booked() && !about_us
        })
    }

    /// The same, without a decision.
    pub(in super::super) fn into_unknown(self) -> Self {
        Self { end: ActEnd::Unknown, approval: None, refusal: None, state: self.state }
    }

    pub(in super::super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    fn put_on(&self, after: &mut Transaction) {
        if let Some(refusal) = &self.refusal {
            after.decline = Some(refusal.reason);
            after.bank_code = refusal.code.clone().or_else(|| after.bank_code.take());
        }
        if let Some(approval) = &self.approval {
            after.acquirer_state = approval.state.clone().or_else(|| after.acquirer_state.take());
            after.approval_code = approval.approval_code.clone().or_else(|| after.approval_code.take());
            after.series = approval.series.clone().or_else(|| after.series.take());
        }
        after.acquirer_state = self.state.clone().or_else(|| after.acquirer_state.take());
    }
}

/// What follows an outcome in the same step: the next act, most often none.
pub(in super::super) type Then<'a> = &'a (dyn Fn(&mut Transaction) -> Result<(), Illegal> + Send + Sync);

/// Nothing follows.
pub(in super::super) fn nothing(_: &mut Transaction) -> Result<(), Illegal> {
    Ok(())
}

impl Payments {
    /// Writes the outcome of the pending act of `before`, and what follows.
    ///
    /// An answer may be late: when the act was given up as unknown meanwhile it is settled by the answer, once. An
    /// authorisation that was given up stays lost, because the payer may have paid in another way since; what was held
    /// is noted, so that it is given back.
    pub(in super::super) async fn write_outcome(
        &self,
        before: &Transaction,
        word: &Word,
        hook: &dyn Hook,
        then: Then<'_>,
    ) -> Result<Transaction, EngineError> {
        let act = before.ledger.pending.ok_or(Illegal::NothingPending)?;
        let (mut before, mut pauses) = (before.clone(), PAUSES_MS.into_iter());
        loop {
            // An authorisation that was given up has no pending act any more: its word is only noted.
            let is_late = before.ledger.pending.is_none();
            let after = if is_late { noted(&before, word) } else { self.settled(&before, word, then)? };
            let made = if !is_late {
                self.write_step(&before, after.clone(), self.end_of(&before, word), hook, word.end).await
            } else if after.acquirer_state == before.acquirer_state {
                return Ok(before);
            } else {
                tracing::warn!(
                    transaction = before.id,
                    "a lost authorisation was answered after all: it is given back"
                );
                let step = Step { before: &before, after: after.clone(), end: None };
                steps::make(&self.db, &*self.clock, &mut SystemEntropy::new(), step).await
            };
            let error = match made {
                Ok(done) => return Ok(done),
                Err(StepError::Moved) => match self.overtaken(&before, &after, act, word).await {
                    Ok(Overtaken::Written(found)) => return Ok(found),
                    Ok(Overtaken::GivenUp(found)) => {
                        before = found;
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let (StepError::Db(_), Some(pause_ms)) = (&error, pauses.next()) else { return Err(error.into()) };
            tracing::warn!(transaction = before.id, cause = %error, "outcome not yet written");
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Who has moved a transaction between its reading and the writing of an outcome.
    async fn overtaken(
        &self,
        before: &Transaction,
        after: &Transaction,
        act: Act,
        word: &Word,
    ) -> Result<Overtaken, StepError> {
        let found = transactions::find(&self.db, before.id).await?.ok_or(StepError::Moved)?;
        // After an error the step may have been made all the same: then it is where it should be.
        let is_ours = found.version == before.version + 1
            && found.ledger == after.ledger
            && found.acquirer_state == after.acquirer_state;
        let is_newer = found.version > before.version;
        let is_given_up = found.ledger.pending.is_some_and(|now| now.number == act.number && now.is_unknown);
        let is_lost =
            act.kind == ActKind::Authorise && found.ledger.stage == Stage::Lost && found.ledger.pending.is_none();
        match () {
            // That nobody knows is what was written, too.
            () if is_ours || (is_given_up && word.end == ActEnd::Unknown) => Ok(Overtaken::Written(found)),
            () if is_newer && (is_given_up || is_lost) => Ok(Overtaken::GivenUp(found)),
            () => Err(StepError::Moved),
        }
    }

    fn settled(&self, before: &Transaction, word: &Word, then: Then<'_>) -> Result<Transaction, Illegal> {
        let mut after = Transaction { ledger: before.ledger.settle(word.end)?, ..before.clone() };
        word.put_on(&mut after);
        then(&mut after)?;
        Ok(after)
    }

    /// With when it is looked at again, where the acquirer says how.
    pub(in super::super) fn end_of(&self, before: &Transaction, word: &Word) -> End {
        let party = before.acquirer.as_deref().and_then(|name| self.acquirers.find(name));
        let capabilities = party.map(|party| party.acquirer.capabilities());
        let how = before.ledger.pending.zip(capabilities).map(|(act, all)| resolution(&all, &act));
        let next_try_at_ms = match (word.end, how) {
            (ActEnd::Unknown, Some(Resolution::Repeat { every_ms, .. })) => {
                Some(self.clock.now_db().saturating_add(i64::try_from(every_ms).unwrap_or(i64::MAX)))
            }
            _ => None,
        };
        let decline = word.refusal.as_ref().map(|refusal| refusal.reason);
        End { outcome: Some(word.end), decline, next_try_at_ms }
    }

    async fn write_step(
        &self,
        before: &Transaction,
        after: Transaction,
        end: End,
        hook: &dyn Hook,
        outcome: ActEnd,
    ) -> Result<Transaction, StepError> {
        let mut entropy = SystemEntropy::new();
        let mut tx = self.db.begin().await?;
        let step = Step { before, after, end: Some(end) };
        let after = steps::record(&mut tx, &*self.clock, &mut entropy, step).await?;
        hook.outcome(&mut tx, &after, outcome).await?;
        crate::fault::point("outcome.written");
        tx.commit().await.map_err(DbError::from)?;
        crate::fault::point("outcome.committed");
        let (from, to) = (before.ledger.stage.as_str(), after.tx_state());
        tracing::info!(transaction = before.id, from, to, "transaction moved");
        self.bell.notify_one();
        Ok(after)
    }
}

/// What an outcome finds when somebody else has moved its transaction.
enum Overtaken {
    /// It stands there.
    Written(Transaction),
    /// Its act was given up: it is settled, or for a lost authorisation noted, from there.
    GivenUp(Transaction),
}

/// An authorisation's late word, after it was given up. The resolver gives back what it finds noted.
fn noted(found: &Transaction, word: &Word) -> Transaction {
    let mut after = found.clone();
    if word.end != ActEnd::Refused {
        word.put_on(&mut after);
    }
    after
}
