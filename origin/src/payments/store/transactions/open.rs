//! Transactions that are not at rest, as the resolver, operators and metrics look for them.

use sqlx::Row;

use super::{Transaction, record};
use crate::db::{Db, DbError};
use crate::payments::request::Code;

/// Transactions that have waited for an acquirer's answer since before `before_ms`: whoever asked is gone.
///
/// # Errors
/// From the database.
pub async fn find_abandoned(db: &Db, before_ms: i64) -> Result<Vec<Transaction>, DbError> {
    let statement = select_transactions!(
        "t.pending_act IS NOT NULL AND t.updated_at_ms < $1 AND a.state = 'asked' ORDER BY t.id LIMIT 100"
    );
    sqlx::query(statement).bind(before_ms).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// How often a code was declined since a time.
///
/// # Errors
/// From the database.
pub async fn count_declines(db: &Db, code: &Code, since_ms: i64) -> Result<i64, DbError> {
    let statement = "SELECT COUNT(*) FROM transactions WHERE code = $1 AND state = 'declined' AND created_at_ms >= $2";
    let row = sqlx::query(statement).bind(code.as_str()).bind(since_ms).fetch_one(db.read()).await?;
    Ok(row.try_get(0)?)
}

/// Lost authorisations of which the acquirer has told a handle, and which nobody has given back yet. A void that was
/// certainly not sent counts for nothing; what became of any other is known, or an operator's.
///
/// # Errors
/// From the database.
pub async fn find_lost_with_state(db: &Db) -> Result<Vec<Transaction>, DbError> {
    let statement = select_transactions!(
        "t.state = 'lost' AND t.acquirer_state IS NOT NULL AND t.pending_act IS NULL AND NOT EXISTS (SELECT 1 FROM \
         acts v WHERE v.transaction_id = t.id AND v.kind = 'void' AND \
         COALESCE(v.decline, '') NOT IN ('unreachable', 'credentials')) ORDER BY t.id LIMIT 100"
    );
    sqlx::query(statement).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// Holds that nobody takes any more: of payments that were to be taken at once, and whose capture was refused.
///
/// # Errors
/// From the database.
pub async fn find_stranded(db: &Db) -> Result<Vec<Transaction>, DbError> {
    let statement = select_transactions!(
        "t.state = 'authorised' AND t.autocapture = 1 AND t.amount_minor > 0 AND t.captured_minor = 0 AND \
         t.pending_act IS NULL AND t.held_until_ms IS NULL AND t.lease_until_ms IS NULL ORDER BY t.id LIMIT 100"
    );
    sqlx::query(statement).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// Payments in strict mode that wait for their receiver.
///
/// # Errors
/// From the database.
pub async fn find_held(db: &Db) -> Result<Vec<Transaction>, DbError> {
    let statement = select_transactions!(
        "t.held_until_ms IS NOT NULL AND t.pending_act IS NULL ORDER BY t.held_until_ms LIMIT 200"
    );
    sqlx::query(statement).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// Transactions whose payer was waited for long enough.
///
/// # Errors
/// From the database.
pub async fn find_left(db: &Db, now_ms: i64) -> Result<Vec<Transaction>, DbError> {
    let statement = select_transactions!("t.state = 'waiting' AND t.lease_until_ms < $1 ORDER BY t.id LIMIT 100");
    sqlx::query(statement).bind(now_ms).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// What waits for an operator, or for the resolver: acts whose outcome nobody knows, oldest first.
///
/// # Errors
/// From the database.
pub async fn find_unsettled(db: &Db) -> Result<Vec<Transaction>, DbError> {
    let statement = select_transactions!("t.pending_act IS NOT NULL AND a.state = 'unknown' ORDER BY t.id LIMIT 1000");
    sqlx::query(statement).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// Authorisations that nobody knows the outcome of. They are never captured: there is nothing to settle.
///
/// # Errors
/// From the database.
pub async fn count_lost(db: &Db) -> Result<i64, DbError> {
    let statement = "SELECT COUNT(*) FROM transactions WHERE state = 'lost'";
    Ok(sqlx::query(statement).fetch_one(db.read()).await?.try_get(0)?)
}

/// What is unsettled, for metrics: how many, and since when the oldest, in Unix milliseconds.
///
/// # Errors
/// From the database.
pub async fn count_unknown(db: &Db) -> Result<(i64, Option<i64>), DbError> {
    let statement = "SELECT COUNT(*), MIN(t.updated_at_ms) FROM transactions t JOIN acts a \
                     ON a.transaction_id = t.id AND a.number = t.pending_act \
                     WHERE t.pending_act IS NOT NULL AND a.state = 'unknown'";
    let row = sqlx::query(statement).fetch_one(db.read()).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
