//! What the merchant's receiver is told: an outbox row, written with the change.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::store::{self, TransactionRecord};
use super::view;
use crate::db::{DbError, Tx};
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

impl From<NotifyError> for super::settle::SettleError {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::Db(error) => Self::Db(error),
            NotifyError::Entropy(error) => Self::Entropy(error),
        }
    }
}

/// Writes the delivery; nothing when the account has no receiver.
///
/// # Errors
/// See [`NotifyError`].
pub async fn add(
    tx: &mut Tx,
    transaction: &TransactionRecord,
    seq: i64,
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<(), NotifyError> {
    let Some(url) = store::webhook_url(tx, &transaction.account).await? else { return Ok(()) };
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    let delivery = format!("dlv_{}", URL_SAFE_NO_PAD.encode(random));
    let body = view::Notification::of(transaction, seq).to_json();
    outbox::store::add(tx, &delivery, &transaction.account, &url, &body, now_ms).await?;
    Ok(())
}
