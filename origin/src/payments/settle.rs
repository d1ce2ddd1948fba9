//! What an operator knows of an act without an answer.

use super::ledger::{ActEnd, ActKind};
use super::steps::{self, End, Step, StepError};
use super::store::{Transaction, transactions};
use crate::clock::Clock;
use crate::db::Tx;
use crate::vault::Entropy;

/// Settles what no answer has settled, by an operator's word: they have read the acquirer's own report. In the caller's
/// transaction, so that it is audited with it. A payment whose capture was not booked is a hold that nobody takes any
/// more: the resolver gives it back, and the code is free again.
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
