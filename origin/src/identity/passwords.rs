//! API passwords: the live one, the one before it during an overlap, and what is known of past ones.

use scanvault_protocol::AccountName;
use scanvault_protocol::password::PasswordVerifier;
use sqlx::Row;

use crate::db::{Db, DbError, Tx};

/// A password that counts now.
#[derive(Clone, Debug)]
pub struct LivePassword {
    /// From 1, in the order in which the account's passwords were made.
    pub number: i64,
    /// What it is checked against.
    pub verifier: PasswordVerifier,
}

/// The passwords of an account that count now, the newest first.
///
/// # Errors
/// From the database.
pub async fn live(db: &Db, account: &AccountName, now_ms: i64) -> Result<Vec<LivePassword>, DbError> {
    let statement = "SELECT number, verifier FROM api_passwords WHERE account = $1 \
                     AND (ends_at_ms IS NULL OR ends_at_ms > $2) ORDER BY number DESC";
    let rows = sqlx::query(statement).bind(account.to_string()).bind(now_ms).fetch_all(db.read()).await?;
    rows.iter().map(|row| Ok(LivePassword { number: row.try_get(0)?, verifier: verifier(row.try_get(1)?)? })).collect()
}

/// Adds the first password of an account, in the transaction that makes the account.
///
/// # Errors
/// From the database.
pub async fn first(
    tx: &mut Tx,
    account: &AccountName,
    verifier: &PasswordVerifier,
    by: &str,
    now_ms: i64,
) -> Result<(), DbError> {
    let statement = "INSERT INTO api_passwords (account, number, verifier, created_by, created_at_ms) \
                     SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4 FROM api_passwords WHERE account = $1";
    let query = sqlx::query(statement).bind(account.to_string()).bind(verifier.as_bytes().to_vec());
    query.bind(by).bind(now_ms).execute(&mut **tx).await?;
    Ok(())
}

/// Replaces the password: the old one ends and the new one begins with this transaction. `false`: no such account.
///
/// # Errors
/// From the database.
pub async fn rotate(
    tx: &mut Tx,
    account: &AccountName,
    verifier: &PasswordVerifier,
    by: &str,
    now_ms: i64,
) -> Result<bool, DbError> {
    // First the account's row: two rotations at once go one after the other.
    let statement = "UPDATE accounts SET credential_version = credential_version + 1 WHERE name = $1";
    if sqlx::query(statement).bind(account.to_string()).execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let statement =
        "UPDATE api_passwords SET ends_at_ms = $2 WHERE account = $1 AND (ends_at_ms IS NULL OR ends_at_ms > $2)";
    sqlx::query(statement).bind(account.to_string()).bind(now_ms).execute(&mut **tx).await?;
    first(tx, account, verifier, by, now_ms).await?;
    Ok(true)
}

fn verifier(bytes: Vec<u8>) -> Result<PasswordVerifier, DbError> {
    Ok(PasswordVerifier::from_bytes(bytes.try_into().map_err(|_| DbError::Corrupt("verifier"))?))
}
