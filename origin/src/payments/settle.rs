//! What nobody waits for any more: acts without an answer, and what an operator knows of them.

use super::ledger::{ActEnd, ActKind};
use super::steps::{self, End, Step, StepError};
use super::store::{Transaction, transactions};
use crate::clock::Clock;
use crate::db::{Db, DbError, Tx};
use crate::vault::Entropy;

/// An act that waits longer than this for its answer was left by whoever asked: longer than authorisation, capture and
/// void together can take.
pub const ABANDONED_AFTER_MS: i64 = 90_000;

/// Settles what no answer has settled, by an operator's word: they have read the acquirer's own report. In the caller's
/// transaction, so that it is audited with it.
///
/// # Errors
/// [`StepError::Moved`] when the transaction is not one that waits for this.
pub async fn settle_by_operator(
    tx: &mut Tx,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
    id: i64,
    was_booked: bool,
) -> Result<Transaction, StepError> {
    let before = transactions::find_in(tx, id).await?.ok_or(StepError::Moved)?;
    if !before.ledger.pending.is_some_and(|act| act.is_unknown && act.kind != ActKind::Authorise) {
        return Err(StepError::Moved);
    }
    let outcome = if was_booked { ActEnd::Done } else { ActEnd::Refused };
    let after = Transaction { ledger: before.ledger.settle(outcome)?, ..before.clone() };
    steps::record(tx, clock, entropy, Step { before: &before, after, end: Some(End::of(outcome)) }).await
}

/// Gives up waiting for answers that nobody waits for any more: after a crash, or when an outcome could not be written.
///
/// # Errors
/// From the database.
pub async fn settle_abandoned(
    db: &Db,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
) -> Result<usize, DbError> {
    let mut settled = 0;
    for before in transactions::find_abandoned(db, clock.now_db() - ABANDONED_AFTER_MS).await? {
        let Ok(ledger) = before.ledger.settle(ActEnd::Unknown) else { continue };
        let after = Transaction { ledger, ..before.clone() };
        let id = before.id;
        let step = Step { before: &before, after, end: Some(End::of(ActEnd::Unknown)) };
        match steps::make(db, clock, entropy, step).await {
            Ok(after) => {
                tracing::warn!(
                    transaction = id,
                    state = after.tx_state(),
                    "no answer was recorded: the outcome is unknown"
                );
                settled += 1;
            }
            Err(StepError::Moved) => {} // another origin was faster
            Err(StepError::Db(error)) => return Err(error),
            Err(error) => tracing::error!(transaction = id, cause = %error, "not settled"),
        }
    }
    Ok(settled)
}
