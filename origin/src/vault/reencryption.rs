//! The re-encryption's progress, as it is stored: any process can go on with it after a crash.

use sqlx::Row;

use super::store::{signed, unsigned};
use crate::db::{Db, DbError, Tx};

/// How long a process has the work for itself; a batch takes far less.
pub const LEASE_MS: u64 = 30_000;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Not finished yet.
    pub is_running: bool,
    /// The operator.
    pub started_by: String,
    /// Unix milliseconds.
    pub started_at_ms: u64,
    /// Unix milliseconds.
    pub finished_at_ms: Option<u64>,
    /// Records in a second, at most.
    pub per_second: u32,
    /// Records that waited at the start.
    pub total: u64,
    /// Sealed anew so far.
    pub done: u64,
    /// That do not open; they stay as they are.
    pub failed: u64,
    /// The table that is worked on; empty at the start.
    pub cursor_table: String,
    /// The row up to which everything in it has been looked at.
    pub cursor_row: String,
}

/// What a batch has moved.
#[derive(Debug)]
pub struct Moved<'a> {
    /// More of them.
    pub done: u64,
    /// More of them.
    pub failed: u64,
    /// Where the next batch begins; `None`: there is no next one.
    pub cursor: Option<(&'a str, &'a str)>,
}

/// Reads the last job, or the one under way.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db) -> Result<Option<Job>, DbError> {
    let statement = "SELECT state, started_by, started_at_ms, finished_at_ms, per_second, total, done, failed, \
                     cursor_table, cursor_row FROM vault_reencryption WHERE id = 1";
    let Some(row) = sqlx::query(statement).fetch_optional(db.read()).await? else { return Ok(None) };
    let number = |at: usize| unsigned(row.try_get(at)?, "re-encryption");
    Ok(Some(Job {
        is_running: row.try_get::<String, _>(0)? == "running",
        started_by: row.try_get(1)?,
        started_at_ms: number(2)?,
        finished_at_ms: row.try_get::<Option<i64>, _>(3)?.map(|at| unsigned(at, "re-encryption")).transpose()?,
        per_second: u32::try_from(number(4)?).unwrap_or(u32::MAX),
        total: number(5)?,
        done: number(6)?,
        failed: number(7)?,
        cursor_table: row.try_get(8)?,
        cursor_row: row.try_get(9)?,
    }))
}

/// Starts one; `false` when one is under way.
///
/// # Errors
/// From the database.
pub async fn start(tx: &mut Tx, by: &str, now_ms: u64, per_second: u32, total: u64) -> Result<bool, DbError> {
    sqlx::query("DELETE FROM vault_reencryption WHERE state = 'done'").execute(&mut **tx).await?;
    let done = sqlx::query(
        "INSERT INTO vault_reencryption (id, state, started_by, started_at_ms, per_second, total, done, failed, \
         cursor_table, cursor_row, lease_owner, lease_until_ms) VALUES (1, 'running', $1, $2, $3, $4, 0, 0, '', '', '', 0) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(by)
    .bind(signed(now_ms))
    .bind(i64::from(per_second))
    .bind(signed(total))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the work over for [`LEASE_MS`]; `false` when another process has it, or there is none.
///
/// # Errors
/// From the database.
pub async fn claim(db: &Db, owner: &str, now_ms: u64) -> Result<bool, DbError> {
    let done = sqlx::query(
        "UPDATE vault_reencryption SET lease_owner = $1, lease_until_ms = $3 \
         WHERE id = 1 AND state = 'running' AND (lease_owner = $1 OR lease_until_ms < $2)",
    )
    .bind(owner)
    .bind(signed(now_ms))
    .bind(signed(now_ms + LEASE_MS))
    .execute(db.write())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes progress down, in the transaction that made it; `false` when another process has taken over.
///
/// # Errors
/// From the database.
pub async fn advance(tx: &mut Tx, owner: &str, now_ms: u64, moved: &Moved<'_>) -> Result<bool, DbError> {
    let (table, row) = moved.cursor.unwrap_or_default();
    let done = sqlx::query(
        "UPDATE vault_reencryption SET done = done + $2, failed = failed + $3, cursor_table = $4, cursor_row = $5, \
         state = $6, finished_at_ms = $7, lease_until_ms = $8 WHERE id = 1 AND state = 'running' AND lease_owner = $1",
    )
    .bind(owner)
    .bind(signed(moved.done))
    .bind(signed(moved.failed))
    .bind(table)
    .bind(row)
    .bind(if moved.cursor.is_some() { "running" } else { "done" })
    .bind(moved.cursor.is_none().then_some(signed(now_ms)))
    .bind(signed(now_ms + LEASE_MS))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
