//! What the merchant's receiver is told: an outbox row, written with the change.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::store::Transaction;
use super::view;
use crate::db::{DbError, Tx};
use crate::identity;
use crate::outbox;
use crate::vault::{Entropy, EntropyError};

/// Why a notification was not written, and with it the change.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
    /// No delivery id could be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Writes the delivery of a step that the merchant is told of: a final state, and each refund. Nothing when the account
/// has no receiver.
///
/// # Errors
/// See [`NotifyError`].
pub async fn of_step(
    tx: &mut Tx,
    before: &Transaction,
    transaction: &Transaction,
    seq: Option<i64>,
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<(), NotifyError> {
    if !is_news(before, transaction) {
        return Ok(());
    }
    let Some(url) = identity::store::webhook_url(tx, &transaction.account).await? else { return Ok(()) };
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    let delivery = format!("dlv_{}", URL_SAFE_NO_PAD.encode(random));
    let body = view::Notification::of(transaction, seq).to_json();
    outbox::store::add(tx, &delivery, &transaction.account, &url, &body, now_ms).await?;
    Ok(())
}

fn is_news(before: &Transaction, after: &Transaction) -> bool {
    let state = after.tx_state();
    let is_final = state == "SUCCESS" || state.starts_with("END_");
    let is_refund = after.ledger.refunded_minor != before.ledger.refunded_minor;
    is_final && (is_refund || state != before.tx_state())
}
