//! What an account's settings mean for its payments.

use super::super::state::Dialect;
use super::super::store::Transaction;
use super::EngineError;
use crate::db::{Db, DbError};
use crate::identity::{self, Account};

/// The account of a transaction.
pub(in super::super) async fn account(db: &Db, transaction: &Transaction) -> Result<Account, EngineError> {
    let name = transaction.account.parse().map_err(|_| DbError::Corrupt("account name"))?;
    identity::store::find(db, &name).await?.ok_or(EngineError::NotConfigured)
}

/// Whether the payment is made only when the merchant's receiver has said yes. A receiver is needed for it, and something
/// that is held.
pub(super) fn is_held(account: &Account, transaction: &Transaction) -> bool {
    account.webhook_strict
        && account.webhook_url.is_some()
        && transaction.dialect == Dialect::Pluto
        && transaction.ledger.amount_minor > 0
}
