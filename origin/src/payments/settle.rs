//! What an operator knows of an act without an answer.

use super::ledger::{Act, ActEnd, ActKind};
use super::steps::{self, End, Step, StepError};
use super::store::{Transaction, transactions};
use crate::clock::Clock;
use crate::db::Tx;
use crate::vault::Entropy;

/// Settles what no answer has settled, by an operator's word: they have read the acquirer's own report. In the caller's
/// transaction, so that it is audited with it. A payment whose capture was not booked is a hold that nobody takes any
/// more: the resolver gives it back, and the code is free again. With an `act` that one is settled or none.
///
/// # Errors
/// [`StepError::Moved`] when the transaction is not one that waits for this.
pub async fn settle_by_operator(
    tx: &mut Tx,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
    (id, act): (i64, Option<u32>),
    was_booked: bool,
) -> Result<Transaction, StepError> {
    let before = transactions::find_in(tx, id).await?.ok_or(StepError::Moved)?;
    let waits = |pending: Act| {
        // Another one may be open by now than the one that was looked up.
        let is_meant = act.is_none_or(|number| number == pending.number);
        is_meant && pending.is_unknown && pending.kind != ActKind::Authorise
    };
    if !before.ledger.pending.is_some_and(waits) {
        return Err(StepError::Moved);
    }
    let outcome = if was_booked { ActEnd::Done } else { ActEnd::Refused };
    let after = Transaction { ledger: before.ledger.settle(outcome)?, ..before.clone() };
    steps::record(tx, clock, entropy, Step { before: &before, after, end: Some(End::of(outcome)) }).await
}
