//! What became of calls that clients gave a name, so that a repetition is answered and not done again.

use sqlx::Row;

use crate::db::{Db, DbError, Tx};

/// A call by name.
pub struct Name<'a> {
    /// Who called.
    pub account: &'a str,
    /// How.
    pub method: &'a str,
    /// What.
    pub path: &'a str,
    /// A hash of what the client calls it.
    pub name: &'a str,
    /// A hash of what it asked, under that name.
    pub request_mac: &'a [u8],
}

/// An answer that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's.
    pub status: u16,
    /// The whole body.
    pub body: String,
}

/// What is written of a call.
#[derive(Clone, Debug)]
pub struct Known {
    /// A hash of what it asked.
    pub request_mac: Vec<u8>,
    /// The transaction, and the act of it, that was begun with it.
    pub begun: Option<(i64, u32)>,
    /// `None`: it has none yet.
    pub answer: Option<Answer>,
}

/// Reads a call.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db, name: &Name<'_>) -> Result<Option<Known>, DbError> {
    let statement = "SELECT request_mac, transaction_id, act, status, body FROM idempotency_keys \
                     WHERE account = $1 AND method = $2 AND path = $3 AND name = $4";
    let row = sqlx::query(statement)
        .bind(name.account)
        .bind(name.method)
        .bind(name.path)
        .bind(name.name)
        .fetch_optional(db.read())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let begun = match (row.try_get::<Option<i64>, _>(1)?, row.try_get::<Option<i64>, _>(2)?) {
        (Some(id), Some(act)) => Some((id, super::count(act)?)),
        _ => None,
    };
    let answer = match (row.try_get::<Option<i64>, _>(3)?, row.try_get::<Option<String>, _>(4)?) {
        (Some(status), Some(body)) => {
            Some(Answer { status: u16::try_from(status).map_err(|_| DbError::Corrupt("status"))?, body })
        }
        _ => None,
    };
    Ok(Some(Known { request_mac: row.try_get(0)?, begun, answer }))
}

/// Writes a call, with its answer or with what is begun with it.
///
/// # Errors
/// [`DbError::is_duplicate`] when it is there already.
pub async fn add(
    tx: &mut Tx,
    name: &Name<'_>,
    begun: Option<(i64, u32)>,
    answer: Option<&Answer>,
    now_ms: i64,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO idempotency_keys (account, method, path, name, request_mac, transaction_id, act, status, body, \
         created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(name.account)
    .bind(name.method)
    .bind(name.path)
    .bind(name.name)
    .bind(name.request_mac.to_vec())
    .bind(begun.map(|(id, _)| id))
    .bind(begun.map(|(_, act)| i64::from(act)))
    .bind(answer.map(|answer| i64::from(answer.status)))
    .bind(answer.map(|answer| answer.body.as_str()))
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Completes a call. The first answer stays.
///
/// # Errors
/// From the database.
pub async fn complete(db: &Db, name: &Name<'_>, answer: &Answer) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE idempotency_keys SET status = $5, body = $6 \
         WHERE account = $1 AND method = $2 AND path = $3 AND name = $4 AND status IS NULL",
    )
    .bind(name.account)
    .bind(name.method)
    .bind(name.path)
    .bind(name.name)
    .bind(i64::from(answer.status))
    .bind(answer.body.as_str())
    .execute(db.write())
    .await?;
    Ok(())
}

/// Forgets calls from before a time, the open ones too: whoever asks again by then asks anew. How many.
///
/// # Errors
/// From the database.
pub async fn sweep(db: &Db, before_ms: i64) -> Result<u64, DbError> {
    // Looked at before it is written: the sweep comes by every few seconds and seldom finds anything.
    let statement = "SELECT 1 FROM idempotency_keys WHERE created_at_ms < $1 LIMIT 1";
    if sqlx::query(statement).bind(before_ms).fetch_optional(db.read()).await?.is_none() {
        return Ok(0);
    }
    let statement = "DELETE FROM idempotency_keys WHERE created_at_ms < $1";
    Ok(sqlx::query(statement).bind(before_ms).execute(db.write()).await?.rows_affected())
}
