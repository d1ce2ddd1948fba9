//! How an account proves who it is, and whether it may at all. Each change ends what was issued before it: the
//! credential version goes up, and with it every session and every edge's record is old.
//!
//! These run in the caller's transaction, which also writes down who did it. A change that is refused has written
//! nothing that the caller should keep: the transaction is to be dropped.

use scanvault_protocol::password::PasswordVerifier;
use scanvault_protocol::{AccountName, AuthMode};
use sqlx::Row;

use super::account::Account;
use super::passwords;
use crate::db::{Db, DbError, Tx};

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is so now.
    Done,
    /// It was so before.
    Already,
    /// There is no such account.
    NoAccount,
}

/// What became of a switch to Bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switched {
    /// It is so now. `is_proved`: a whole login had succeeded with the key that is enrolled.
    Done {
        /// See above.
        is_proved: bool,
    },
    /// It was so before, or there is no such account.
    Not(Changed),
    /// Nobody could log in: no key is enrolled.
    NotEnrolled,
}

/// What is listed of an account.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Canonical name.
    pub name: String,
    /// As in records.
    pub role: String,
    /// As in records.
    pub mode: String,
    /// Whether its credentials count.
    pub is_active: bool,
    /// When the password that counts was made; `None` without one.
    pub password_at_ms: Option<i64>,
}

/// From API passwords to logins with an RSA key: the passwords end with this transaction.
///
/// # Errors
/// From the database.
pub async fn to_bearer(tx: &mut Tx, name: &AccountName, now_ms: i64) -> Result<Switched, DbError> {
    let changed = set_mode(tx, name, AuthMode::Bearer).await?;
    if changed != Changed::Done {
        return Ok(Switched::Not(changed));
    }
    let statement = "SELECT last_dry_run_at_ms, last_login_at_ms, enrolled_at_ms FROM enrolments WHERE account = $1";
    let row = sqlx::query(statement).bind(name.to_string()).fetch_optional(&mut **tx).await?;
    let Some(row) = row else { return Ok(Switched::NotEnrolled) };
    let (dry_run, login): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let enrolled_at_ms: i64 = row.try_get(2)?;
    passwords::end_all(tx, name, now_ms).await?;
    Ok(Switched::Done { is_proved: dry_run.max(login).is_some_and(|at_ms| at_ms >= enrolled_at_ms) })
}

/// Back to API passwords, if the account is still at the version that both operators spoke of: sessions end with this
/// transaction, and this password begins.
///
/// # Errors
/// From the database.
pub async fn to_basic(
    tx: &mut Tx,
    account: &Account,
    verifier: &PasswordVerifier,
    by: &str,
    now_ms: i64,
) -> Result<bool, DbError> {
    let statement = "UPDATE accounts SET auth_mode = 'basic', credential_version = credential_version + 1 \
                     WHERE name = $1 AND auth_mode = 'bearer' AND credential_version = $2";
    let query = sqlx::query(statement).bind(account.name.to_string()).bind(account.credential_version);
    let is_done = query.execute(&mut **tx).await?.rows_affected() > 0;
    if is_done {
        passwords::first(tx, &account.name, verifier, by, now_ms).await?;
    }
    Ok(is_done)
}

/// Stops an account's credentials, or lets them count again. Sessions end either way.
///
/// # Errors
/// From the database.
pub async fn set_active(tx: &mut Tx, name: &AccountName, is_active: bool) -> Result<Changed, DbError> {
    let statement = "UPDATE accounts SET status = $2, credential_version = credential_version + 1 \
                     WHERE name = $1 AND status <> $2";
    let status = if is_active { "active" } else { "suspended" };
    let done = sqlx::query(statement).bind(name.to_string()).bind(status).execute(&mut **tx).await?;
    changed(tx, name, done.rows_affected()).await
}

/// Lists accounts by name, at most so many.
///
/// # Errors
/// From the database.
pub async fn list(db: &Db, limit: i64) -> Result<Vec<Listed>, DbError> {
    let statement = "SELECT a.name, a.role, a.auth_mode, a.status, (SELECT MAX(p.created_at_ms) FROM api_passwords p \
                     WHERE p.account = a.name AND p.ends_at_ms IS NULL AND p.ended_at_ms IS NULL) FROM accounts a ORDER BY a.name LIMIT $1";
    let rows = sqlx::query(statement).bind(limit).fetch_all(db.read()).await?;
    let listed = |row: &sqlx::any::AnyRow| {
        Ok(Listed {
            name: row.try_get(0)?,
            role: row.try_get(1)?,
            mode: row.try_get(2)?,
            is_active: row.try_get::<String, _>(3)? == "active",
            password_at_ms: row.try_get(4)?,
        })
    };
    rows.iter().map(listed).collect()
}

async fn set_mode(tx: &mut Tx, name: &AccountName, mode: AuthMode) -> Result<Changed, DbError> {
    let statement = "UPDATE accounts SET auth_mode = $2, credential_version = credential_version + 1 \
                     WHERE name = $1 AND auth_mode <> $2";
    let done = sqlx::query(statement).bind(name.to_string()).bind(mode.as_str()).execute(&mut **tx).await?;
    changed(tx, name, done.rows_affected()).await
}

/// Nothing changed: was it so before, or is there no such account?
async fn changed(tx: &mut Tx, name: &AccountName, rows: u64) -> Result<Changed, DbError> {
    if rows > 0 {
        return Ok(Changed::Done);
    }
    let found = sqlx::query("SELECT 1 FROM accounts WHERE name = $1").bind(name.to_string());
    let exists = found.fetch_optional(&mut **tx).await?.is_some();
    Ok(if exists { Changed::Already } else { Changed::NoAccount })
}
