//! The one way a transaction moves on: state, act, code, change number and notification in one database transaction.

use super::notify;
use super::state::TransactionState;
use super::store::{self, ActKind, ActState, TransactionRecord};
use crate::acquirers::Decline;
use crate::clock::Clock;
use crate::db::{Db, DbError, Tx};
use crate::vault::Entropy;

/// A transaction that waits longer than this for an answer was left by whoever asked: longer than authorisation,
/// capture and void together can take.
pub const ABANDONED_AFTER_MS: i64 = 90_000;

/// What became of the act that was asked last.
#[derive(Debug)]
pub struct Step<'a> {
    /// Where the transaction is thought to be, and where it goes.
    pub from_to: (TransactionState, TransactionState),
    /// How the act ended.
    pub act: ActState,
    /// The acquirer's id of the authorisation, when it gave one.
    pub acquirer_ref: Option<&'a str>,
    /// Why it was declined.
    pub decline: Option<Decline>,
    /// What will be asked next; written down before it is asked.
    pub next: Option<ActKind>,
}

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The database's word: the step may have been made all the same.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Somebody else has moved the transaction, or the step does not exist.
    #[error("the transaction is no longer where this step starts")]
    Moved,
    /// No delivery id could be drawn.
    #[error(transparent)]
    Entropy(#[from] crate::vault::EntropyError),
}

/// Makes a step, or none of it.
///
/// # Errors
/// See [`SettleError`].
pub async fn settle(
    db: &Db,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
    id: i64,
    step: &Step<'_>,
) -> Result<TransactionRecord, SettleError> {
    let mut tx = db.begin().await?;
    let transaction = settle_in(&mut tx, clock, entropy, id, step).await?;
    tx.commit().await.map_err(DbError::from)?;
    let (from, to) = step.from_to;
    tracing::info!(transaction = id, from = from.as_str(), to = to.as_str(), "transaction moved");
    Ok(transaction)
}

/// As [`settle`], in the caller's transaction.
async fn settle_in(
    tx: &mut Tx,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
    id: i64,
    step: &Step<'_>,
) -> Result<TransactionRecord, SettleError> {
    let (from, to) = step.from_to;
    if !from.may_become(to) {
        return Err(SettleError::Moved);
    }
    let now_ms = clock.now_db();
    if !store::move_transaction(tx, id, (from, to), step.acquirer_ref, step.decline, now_ms).await? {
        return Err(SettleError::Moved);
    }
    store::settle_act(tx, id, step.act, now_ms).await?;
    let transaction = store::find_transaction_in(tx, id).await?.ok_or(SettleError::Moved)?;
    if let Some(kind) = step.next {
        store::add_act(tx, id, kind, transaction.amount, now_ms).await?;
    }
    store::set_code(tx, id, to.code_state(transaction.use_once)).await?;
    let seq = store::add_change(tx, &transaction.account, id, now_ms).await?;
    if to.tx_state() == "SUCCESS" || to.tx_state().starts_with("END_") {
        notify::add(tx, &transaction, seq, now_ms, entropy).await?;
    }
    Ok(transaction)
}

/// Settles what no answer has settled, by an operator's word: they have read the acquirer's own report. In the caller's
/// transaction, so that it is audited with it.
///
/// # Errors
/// [`SettleError::Moved`] when the transaction is not one that waits for this.
pub async fn settle_by_operator(
    tx: &mut Tx,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
    id: i64,
    was_captured: bool,
) -> Result<TransactionRecord, SettleError> {
    use TransactionState as S;
    let from = store::find_transaction_in(tx, id).await?.ok_or(SettleError::Moved)?.state;
    let (to, act) = match (from, was_captured) {
        (S::CaptureUnknown, true) => (S::Captured, ActState::Done),
        (S::CaptureUnknown, false) => (S::Voided, ActState::Refused),
        (S::VoidUnknown, false) => (S::Voided, ActState::Done),
        _ => return Err(SettleError::Moved),
    };
    let step = Step { from_to: (from, to), act, acquirer_ref: None, decline: None, next: None };
    settle_in(tx, clock, entropy, id, &step).await
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
    for (id, from) in store::find_abandoned(db, clock.now_db() - ABANDONED_AFTER_MS).await? {
        let Some(to) = from.without_answer() else { continue };
        let step = Step { from_to: (from, to), act: ActState::Unknown, acquirer_ref: None, decline: None, next: None };
        match settle(db, clock, entropy, id, &step).await {
            Ok(_) => {
                tracing::warn!(transaction = id, state = to.as_str(), "no answer was recorded: the outcome is unknown");
                settled += 1;
            }
            Err(SettleError::Moved) => {} // another origin was faster
            Err(SettleError::Db(error)) => return Err(error),
            Err(error @ SettleError::Entropy(_)) => tracing::error!(transaction = id, cause = %error, "not settled"),
        }
    }
    Ok(settled)
}
