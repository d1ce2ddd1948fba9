//! What needs two operators: the first word is kept until the second comes.

use sqlx::Row;

use super::store::signed;
use crate::db::{DbError, Tx};

/// Keeps the first word. Said again by the same operator it counts from now.
///
/// # Errors
/// From the database.
pub async fn first(tx: &mut Tx, action: &str, operator: &str, now_ms: u64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO vault_approvals (action, requested_by, requested_at_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (action) DO UPDATE SET requested_by = $2, requested_at_ms = $3",
    )
    .bind(action)
    .bind(operator)
    .bind(signed(now_ms))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Uses the first word up, if another operator than this one gave it since then; answers who.
///
/// # Errors
/// From the database.
pub async fn second(tx: &mut Tx, action: &str, operator: &str, since_ms: u64) -> Result<Option<String>, DbError> {
    let statement = "DELETE FROM vault_approvals WHERE action = $1 AND requested_by <> $2 AND requested_at_ms >= $3 \
                     RETURNING requested_by";
    let query = sqlx::query(statement).bind(action).bind(operator).bind(signed(since_ms));
    Ok(query.fetch_optional(&mut **tx).await?.map(|row| row.try_get(0)).transpose()?)
}
