//! Transactions that are not at rest, as the resolver, operators and metrics look for them.

use sqlx::Row;

use super::{Transaction, record};
use crate::db::{Db, DbError};
use crate::payments::request::Code;

// The resolver asks every two seconds, however many transactions there were: each of these statements reads one of the
// small indexes of what is not at rest. SQLite takes them only for the very conditions that they were made with, and
// would begin with all acts if it could: `COALESCE` keeps the acts' table the second one.

/// What is given back, and has to wait longer after each void that came to nothing: half a minute, then ever twice as
/// long, up to some four hours.
macro_rules! select_due_holds {
    ($condition:literal) => {
        select_transactions!(
            $condition,
            " AND t.updated_at_ms + CASE (SELECT COUNT(*) FROM acts v WHERE v.transaction_id = t.id \
             AND v.kind = 'void') WHEN 0 THEN 0 WHEN 1 THEN 30000 WHEN 2 THEN 60000 WHEN 3 THEN 120000 \
             WHEN 4 THEN 240000 WHEN 5 THEN 480000 WHEN 6 THEN 960000 WHEN 7 THEN 1920000 WHEN 8 THEN 3840000 \
             WHEN 9 THEN 7680000 ELSE 15360000 END <= $1 ORDER BY t.updated_at_ms LIMIT 100"
        )
    };
}

const ABANDONED: &str = select_transactions!(
    "t.pending_act IS NOT NULL AND t.updated_at_ms < $1 AND COALESCE(a.state, '') = 'asked' \
     ORDER BY t.updated_at_ms LIMIT 100"
);
const LOST_WITH_STATE: &str =
    select_due_holds!("t.state = 'lost' AND t.acquirer_state IS NOT NULL AND t.pending_act IS NULL");
const STRANDED: &str = select_due_holds!(
    "t.state = 'authorised' AND t.autocapture = 1 AND t.amount_minor > 0 AND t.captured_minor = 0 AND \
     t.pending_act IS NULL AND t.held_until_ms IS NULL AND t.lease_until_ms IS NULL"
);
const HELD: &str =
    select_transactions!("t.held_until_ms IS NOT NULL AND t.pending_act IS NULL ORDER BY t.held_until_ms LIMIT 200");
const LEFT: &str =
    select_transactions!("t.state = 'waiting' AND t.lease_until_ms < $1 ORDER BY t.lease_until_ms LIMIT 100");
const UNSETTLED: &str = select_transactions!(
    "t.pending_act IS NOT NULL AND COALESCE(a.state, '') = 'unknown' ORDER BY t.updated_at_ms LIMIT 1000"
);
const UNKNOWN: &str = "SELECT COUNT(*), MIN(t.updated_at_ms) FROM transactions t LEFT JOIN acts a \
    ON a.transaction_id = t.id AND a.number = t.pending_act \
    WHERE t.pending_act IS NOT NULL AND COALESCE(a.state, '') = 'unknown'";

/// Before each payment, and a till's code has any number of transactions.
const DECLINES: &str =
    "SELECT COUNT(*) FROM transactions WHERE code = $1 AND state = 'declined' AND created_at_ms >= $2";

/// Transactions that have waited for an acquirer's answer since before `before_ms`: whoever asked is gone.
///
/// # Errors
/// From the database.
pub async fn find_abandoned(db: &Db, before_ms: i64) -> Result<Vec<Transaction>, DbError> {
    sqlx::query(ABANDONED).bind(before_ms).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// How often a code was declined since a time.
///
/// # Errors
/// From the database.
pub async fn count_declines(db: &Db, code: &Code, since_ms: i64) -> Result<i64, DbError> {
    let row = sqlx::query(DECLINES).bind(code.as_str()).bind(since_ms).fetch_one(db.read()).await?;
    Ok(row.try_get(0)?)
}

/// Lost authorisations of which the acquirer has told a handle, and which are to be given back now.
///
/// # Errors
/// From the database.
pub async fn find_lost_with_state(db: &Db, now_ms: i64) -> Result<Vec<Transaction>, DbError> {
    sqlx::query(LOST_WITH_STATE).bind(now_ms).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// Holds that nobody takes any more, and that are to be given back now: of payments that were to be taken at once, and
/// whose capture was refused.
///
/// # Errors
/// From the database.
pub async fn find_stranded(db: &Db, now_ms: i64) -> Result<Vec<Transaction>, DbError> {
    sqlx::query(STRANDED).bind(now_ms).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// Payments in strict mode that wait for their receiver.
///
/// # Errors
/// From the database.
pub async fn find_held(db: &Db) -> Result<Vec<Transaction>, DbError> {
    sqlx::query(HELD).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// Transactions whose payer was waited for long enough.
///
/// # Errors
/// From the database.
pub async fn find_left(db: &Db, now_ms: i64) -> Result<Vec<Transaction>, DbError> {
    sqlx::query(LEFT).bind(now_ms).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// What waits for an operator, or for the resolver: acts whose outcome nobody knows, oldest first.
///
/// # Errors
/// From the database.
pub async fn find_unsettled(db: &Db) -> Result<Vec<Transaction>, DbError> {
    sqlx::query(UNSETTLED).fetch_all(db.read()).await?.iter().map(record).collect()
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
    let row = sqlx::query(UNKNOWN).fetch_one(db.read()).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    async fn plan(db: &Db, statement: &str) -> Vec<String> {
        let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explained).bind(5_i64).bind(5_i64).fetch_all(db.read()).await.unwrap();
        rows.iter().map(|row| row.try_get(3).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_asked_all_the_time_reads_no_whole_table() {
        let db = Db::open("sqlite::memory:", "a").await.unwrap();
        for statement in [ABANDONED, LOST_WITH_STATE, STRANDED, HELD, LEFT, UNSETTLED, UNKNOWN] {
            let steps = plan(&db, statement).await;
            assert!(!steps.is_empty());
            for step in &steps {
                assert!(!step.starts_with("SCAN ") || step.contains(" USING INDEX "), "{step}: {statement}");
            }
        }
        let declines = plan(&db, DECLINES).await;
        assert!(declines.iter().all(|step| step.contains("transactions_declined")), "{declines:?}");
    }
}
