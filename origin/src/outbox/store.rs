//! The outbox's table.

use sqlx::Row;

use crate::db::{Db, DbError, Kind, Tx};

/// A delivery that is to be tried now; ours until the lease ends.
#[derive(Debug)]
pub struct Due {
    /// The delivery id.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// Where to.
    pub url: String,
    /// What.
    pub body: String,
    /// How often it was tried, this time included.
    pub attempts: i64,
}

/// What is waiting, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backlog {
    /// Deliveries that are still to be made.
    pub pending: i64,
    /// Deliveries that were given up and wait for an operator.
    pub parked: i64,
    /// Since when the oldest pending one waits, in Unix milliseconds.
    pub oldest_at_ms: Option<i64>,
}

/// Adds a delivery, in the transaction that makes what it tells of.
///
/// # Errors
/// From the database.
pub async fn add(tx: &mut Tx, id: &str, account: &str, url: &str, body: &str, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO outbox (id, account, url, body, state, attempts, next_at_ms, lease_until_ms, created_at_ms) \
         VALUES ($1, $2, $3, $4, 'pending', 0, $5, 0, $5)",
    )
    .bind(id)
    .bind(account)
    .bind(url)
    .bind(body)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes the delivery that has been due longest; other processes pass over it until the lease ends.
///
/// # Errors
/// From the database.
pub async fn claim(db: &Db, now_ms: i64, lease_ms: i64) -> Result<Option<Due>, DbError> {
    let statement = match db.kind() {
        Kind::Sqlite => {
            "UPDATE outbox SET lease_until_ms = $2, attempts = attempts + 1 WHERE id = (\
             SELECT id FROM outbox WHERE state = 'pending' AND next_at_ms <= $1 AND lease_until_ms <= $1 \
             ORDER BY next_at_ms LIMIT 1) RETURNING id, account, url, body, attempts"
        }
        Kind::Postgres => {
            "UPDATE outbox SET lease_until_ms = $2, attempts = attempts + 1 WHERE id = (\
             SELECT id FROM outbox WHERE state = 'pending' AND next_at_ms <= $1 AND lease_until_ms <= $1 \
             ORDER BY next_at_ms LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, account, url, body, attempts"
        }
    };
    let row = sqlx::query(statement).bind(now_ms).bind(now_ms + lease_ms).fetch_optional(db.write()).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Due {
        id: row.try_get(0)?,
        account: row.try_get(1)?,
        url: row.try_get(2)?,
        body: row.try_get(3)?,
        attempts: row.try_get(4)?,
    }))
}

/// The receiver has it.
///
/// # Errors
/// From the database.
pub async fn delivered(db: &Db, id: &str) -> Result<(), DbError> {
    let statement = "UPDATE outbox SET state = 'delivered', lease_until_ms = 0, last_error = NULL WHERE id = $1";
    sqlx::query(statement).bind(id).execute(db.write()).await?;
    Ok(())
}

/// It is to be tried again, or not until an operator says so.
///
/// # Errors
/// From the database.
pub async fn postpone(db: &Db, id: &str, next_at_ms: Option<i64>, error: &str) -> Result<(), DbError> {
    let state = if next_at_ms.is_some() { "pending" } else { "parked" };
    sqlx::query("UPDATE outbox SET state = $2, next_at_ms = $3, lease_until_ms = 0, last_error = $4 WHERE id = $1")
        .bind(id)
        .bind(state)
        .bind(next_at_ms.unwrap_or(0))
        .bind(error)
        .execute(db.write())
        .await?;
    Ok(())
}

/// Gives a claimed delivery back untried: nothing is counted.
///
/// # Errors
/// From the database.
pub async fn release(db: &Db, id: &str, next_at_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE outbox SET attempts = attempts - 1, lease_until_ms = 0, next_at_ms = $2 WHERE id = $1";
    sqlx::query(statement).bind(id).bind(next_at_ms).execute(db.write()).await?;
    Ok(())
}

/// Counts what waits.
///
/// # Errors
/// From the database.
pub async fn backlog(db: &Db) -> Result<Backlog, DbError> {
    let row = sqlx::query(
        "SELECT COUNT(CASE WHEN state = 'pending' THEN 1 END), COUNT(CASE WHEN state = 'parked' THEN 1 END), \
         MIN(CASE WHEN state = 'pending' THEN created_at_ms END) FROM outbox WHERE state <> 'delivered'",
    )
    .fetch_one(db.read())
    .await?;
    Ok(Backlog { pending: row.try_get(0)?, parked: row.try_get(1)?, oldest_at_ms: row.try_get(2)? })
}
