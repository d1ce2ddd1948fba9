//! API passwords: the live one, the one before it during an overlap, and what is known of past ones.

use scanvault_protocol::AccountName;
use scanvault_protocol::password::PasswordVerifier;
use sqlx::Row;

use crate::db::{Db, DbError, Tx};

/// The longest time that the password before lives on, if it is asked for at all.
pub const MAX_OVERLAP_SECS: u32 = 7 * 24 * 60 * 60;
/// Past passwords that are still listed.
const MAX_LISTED: i64 = 100;
const DAY_MS: i64 = 86_400_000;

/// A password that counts now.
#[derive(Clone, Debug)]
pub struct LivePassword {
    /// From 1, in the order in which the account's passwords were made.
    pub number: i64,
    /// What it is checked against.
    pub verifier: PasswordVerifier,
}

/// What is known of a password, live or past.
#[derive(Clone, Debug)]
pub struct Known {
    /// See [`LivePassword::number`].
    pub number: i64,
    /// The operator, or what made it.
    pub created_by: String,
    /// In Unix milliseconds.
    pub created_at_ms: i64,
    /// When it ended, or will; `None`: until it is replaced.
    pub ends_at_ms: Option<i64>,
    /// Within a minute.
    pub last_used_at_ms: Option<i64>,
}

/// How a password is replaced.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    /// Who does it.
    pub by: &'a str,
    /// When.
    pub now_ms: i64,
    /// How long the one before lives on; 0: it ends at once.
    pub overlap_ms: i64,
}

/// What became of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The new one counts.
    Done,
    /// There is no such account.
    NoAccount,
    /// The account is in Bearer mode: it has no API password.
    NotBasic,
}

/// When a password is due to be replaced. It goes on working: nothing is forced.
#[derive(Clone, Copy, Debug)]
pub struct Reminder {
    /// In milliseconds.
    pub after_ms: i64,
}

impl Reminder {
    /// After so many days.
    #[must_use]
    pub fn after_days(days: u32) -> Self {
        Self { after_ms: i64::from(days) * DAY_MS }
    }

    /// Whether a password of that time is due.
    #[must_use]
    pub fn is_due(self, created_at_ms: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(created_at_ms) >= self.after_ms
    }
}

/// A password's age in whole days.
#[must_use]
pub fn age_days(created_at_ms: i64, now_ms: i64) -> i64 {
    now_ms.saturating_sub(created_at_ms).max(0) / DAY_MS
}

impl Known {
    /// Whether it counts.
    #[must_use]
    pub fn is_live(&self, now_ms: i64) -> bool {
        self.ends_at_ms.is_none_or(|ends_at_ms| ends_at_ms > now_ms)
    }
}

/// Lists an account's passwords, the newest first; of the past ones the latest.
///
/// # Errors
/// From the database.
pub async fn list(db: &Db, account: &AccountName) -> Result<Vec<Known>, DbError> {
    let statement = "SELECT number, created_by, created_at_ms, COALESCE(ended_at_ms, ends_at_ms), last_used_at_ms FROM api_passwords \
                     WHERE account = $1 ORDER BY number DESC LIMIT $2";
    let rows = sqlx::query(statement).bind(account.to_string()).bind(MAX_LISTED).fetch_all(db.read()).await?;
    let known = |row: &sqlx::any::AnyRow| {
        Ok(Known {
            number: row.try_get(0)?,
            created_by: row.try_get(1)?,
            created_at_ms: row.try_get(2)?,
            ends_at_ms: row.try_get(3)?,
            last_used_at_ms: row.try_get(4)?,
        })
    };
    rows.iter().map(known).collect()
}

/// How many accounts have a password that is due: those whose credentials count.
///
/// # Errors
/// From the database.
pub async fn count_due(db: &Db, reminder: Reminder, now_ms: i64) -> Result<i64, DbError> {
    let statement = "SELECT COUNT(*) FROM accounts a JOIN api_passwords p ON p.account = a.name \
                     WHERE a.status = 'active' AND a.auth_mode = 'basic' AND p.ends_at_ms IS NULL \
                     AND p.ended_at_ms IS NULL AND p.created_at_ms <= $1";
    let before_ms = now_ms.saturating_sub(reminder.after_ms);
    Ok(sqlx::query(statement).bind(before_ms).fetch_one(db.read()).await?.try_get(0)?)
}

/// Adds the first password of an account, or of a new time in Basic mode, in the transaction that makes it so.
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

/// Replaces the password: the new one begins with this transaction, and the old one ends with it or after the overlap.
/// Never more than two are live: one that lived on already ends now.
///
/// # Errors
/// From the database.
pub async fn rotate(
    tx: &mut Tx,
    account: &AccountName,
    verifier: &PasswordVerifier,
    how: Replacement<'_>,
) -> Result<Rotated, DbError> {
    // First the account's row: two rotations at once go one after the other.
    let statement =
        "UPDATE accounts SET credential_version = credential_version + 1 WHERE name = $1 RETURNING auth_mode";
    let row = sqlx::query(statement).bind(account.to_string()).fetch_optional(&mut **tx).await?;
    let Some(row) = row else { return Ok(Rotated::NoAccount) };
    if row.try_get::<String, _>(0)? != "basic" {
        return Ok(Rotated::NotBasic);
    }
    if how.overlap_ms == 0 {
        end_all(tx, account, how.now_ms).await?;
    } else {
        let statement = "UPDATE api_passwords SET ended_at_ms = CASE WHEN ends_at_ms < $2 THEN ends_at_ms ELSE $2 END \
                         WHERE account = $1 AND ended_at_ms IS NULL AND ends_at_ms IS NOT NULL";
        sqlx::query(statement).bind(account.to_string()).bind(how.now_ms).execute(&mut **tx).await?;
        let statement = "UPDATE api_passwords SET ends_at_ms = $2 \
                         WHERE account = $1 AND ended_at_ms IS NULL AND ends_at_ms IS NULL";
        let ends_at_ms = how.now_ms.saturating_add(how.overlap_ms);
        sqlx::query(statement).bind(account.to_string()).bind(ends_at_ms).execute(&mut **tx).await?;
    }
    first(tx, account, verifier, how.by, how.now_ms).await?;
    Ok(Rotated::Done)
}

/// Ends whatever is live.
///
/// # Errors
/// From the database.
pub async fn end_all(tx: &mut Tx, account: &AccountName, now_ms: i64) -> Result<(), DbError> {
    // Whatever is not marked: an overlap that is over by our clock may not be by another origin's.
    let statement = "UPDATE api_passwords SET ended_at_ms = CASE WHEN ends_at_ms < $2 THEN ends_at_ms ELSE $2 END \
                     WHERE account = $1 AND ended_at_ms IS NULL";
    sqlx::query(statement).bind(account.to_string()).bind(now_ms).execute(&mut **tx).await?;
    Ok(())
}

/// Writes down when a password was used; an older time than the one that is there changes nothing.
///
/// # Errors
/// From the database.
pub async fn used(tx: &mut Tx, account: &AccountName, number: i64, used_at_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE api_passwords SET last_used_at_ms = $3 WHERE account = $1 AND number = $2 \
                     AND (last_used_at_ms IS NULL OR last_used_at_ms < $3)";
    let query = sqlx::query(statement).bind(account.to_string()).bind(number).bind(used_at_ms);
    query.execute(&mut **tx).await?;
    Ok(())
}

pub(super) fn verifier(bytes: Vec<u8>) -> Result<PasswordVerifier, DbError> {
    Ok(PasswordVerifier::from_bytes(bytes.try_into().map_err(|_| DbError::Corrupt("verifier"))?))
}
