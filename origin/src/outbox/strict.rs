//! Strict deliveries: what money waits for. The row is the authority on how it ended; whoever holds the money asks it.

use sqlx::Row;

use super::store::Due;
use crate::db::{Db, DbError, Tx};

/// How long a receiver has to answer 200: the reference's.
pub const ANSWER_WITHIN_MS: i64 = 45_000;

/// What a strict delivery has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is still to be sent, or is being sent.
    Waits,
    /// The receiver has answered 200.
    Delivered,
    /// It was not answered in time and never will be sent again.
    Withdrawn,
}

/// What the strict delivery of a transaction has come to; `None`: it has none.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db, transaction_id: i64) -> Result<Option<Verdict>, DbError> {
    let statement = "SELECT state, delivered_at_ms FROM outbox WHERE transaction_id = $1 AND deadline_at_ms IS NOT NULL \
                     ORDER BY created_at_ms DESC LIMIT 1";
    let row = sqlx::query(statement).bind(transaction_id).fetch_optional(db.read()).await?;
    row.map(|row| verdict(&row.try_get::<String, _>(0)?, row.try_get::<Option<i64>, _>(1)?.is_some())).transpose()
}

/// Whether a transaction's receiver has answered 200 to a strict delivery, in the transaction that asks.
///
/// # Errors
/// From the database.
pub async fn was_answered(tx: &mut Tx, transaction_id: i64) -> Result<bool, DbError> {
    let statement = "SELECT 1 FROM outbox WHERE transaction_id = $1 AND deadline_at_ms IS NOT NULL \
                     AND delivered_at_ms IS NOT NULL LIMIT 1";
    Ok(sqlx::query(statement).bind(transaction_id).fetch_optional(&mut **tx).await?.is_some())
}

fn verdict(state: &str, is_answered: bool) -> Result<Verdict, DbError> {
    match state {
        _ if is_answered => Ok(Verdict::Delivered),
        "pending" | "parked" => Ok(Verdict::Waits),
        "withdrawn" => Ok(Verdict::Withdrawn),
        _ => Err(DbError::Corrupt("state of a delivery")),
    }
}

/// It was not answered in time. `false`: another process has an outcome already, or is at it.
///
/// # Errors
/// From the database.
pub async fn withdraw(db: &Db, due: &Due, why: &str, now_ms: i64) -> Result<bool, DbError> {
    let statement = "UPDATE outbox SET state = 'withdrawn', lease_until_ms = 0, next_at_ms = $3, last_error = $4 \
                     WHERE id = $1 AND lease_until_ms = $2 AND state = 'pending' AND delivered_at_ms IS NULL";
    let query = sqlx::query(statement).bind(due.id.as_str()).bind(due.lease_until_ms).bind(now_ms).bind(why);
    Ok(query.execute(db.write()).await?.rows_affected() > 0)
}

macro_rules! undo {
    ($of:literal) => {
        concat!(
            "UPDATE outbox SET state = 'withdrawn', lease_until_ms = 0, next_at_ms = $2, last_error = $3 WHERE ",
            $of,
            " = $1 AND state IN ('pending', 'parked') AND transaction_id IS NOT NULL AND deadline_at_ms IS NOT NULL \
             AND delivered_at_ms IS NULL"
        )
    };
}

/// The merchant undoes the payment before its receiver has answered: what would tell of it as paid is not sent any more.
/// One that is on its way just now cannot be called back.
///
/// # Errors
/// From the database.
pub async fn undo(tx: &mut Tx, transaction_id: i64, now_ms: i64) -> Result<(), DbError> {
    let query = sqlx::query(undo!("transaction_id")).bind(transaction_id).bind(now_ms);
    query.bind("the payment was undone").execute(&mut **tx).await?;
    Ok(())
}

/// The same for all that an account's receiver has not answered.
///
/// # Errors
/// From the database.
pub async fn undo_all(tx: &mut Tx, account: &str, why: &str, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(undo!("account")).bind(account).bind(now_ms).bind(why).execute(&mut **tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_once_stays_answered() {
        for state in ["pending", "parked", "delivered"] {
            assert_eq!(verdict(state, true).unwrap(), Verdict::Delivered, "{state}");
        }
        assert_eq!(verdict("pending", false).unwrap(), Verdict::Waits);
        assert_eq!(verdict("withdrawn", false).unwrap(), Verdict::Withdrawn);
        assert!(verdict("delivered", false).is_err());
    }
}
