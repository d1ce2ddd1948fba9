//! 3-D Secure under way: a row for as long as an authentication is good for anything, without card data.
//!
//! Every change names the state, the id and the time of the row that was read: of two posts of the same page, one changes
//! it and the other is told.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::acquirers::threedsecure::{Browser, Version};
use crate::db::{Db, DbError, Tx};

/// Where an authentication stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The browser is at the bank's method page.
    Method,
    /// Somebody is asking the bank.
    Asking,
    /// The browser is at the bank's challenge.
    Challenge,
}

const STATES: &[(State, &str)] =
    &[(State::Method, "method"), (State::Asking, "asking"), (State::Challenge, "challenge")];

impl State {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

impl FromStr for State {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        STATES.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(DbError::Corrupt("authentication state"))
    }
}

/// One authentication.
#[derive(Clone, Debug)]
pub struct Record {
    /// The transaction.
    pub transaction_id: i64,
    /// `threeDSServerTransID`.
    pub server_id: String,
    /// What is spoken.
    pub version: Version,
    /// Where it stands.
    pub state: State,
    /// The bank's method page has called back.
    pub is_method_done: bool,
    /// What has no column of its own.
    pub details: Details,
    /// When the id was given, in Unix milliseconds.
    pub began_at_ms: i64,
    /// When it was written last.
    pub updated_at_ms: i64,
}

/// Addresses, and what the bank is told of the browser.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Details {
    /// Whose directory knows the card.
    pub scheme: String,
    /// The bank's method page.
    pub method_url: Option<String>,
    /// The payer's.
    pub browser: Browser,
    /// The bank's challenge.
    pub challenge: Option<ChallengeAt>,
}

/// Where a challenge is.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ChallengeAt {
    /// `acsTransID`.
    pub acs_id: String,
    /// The bank's page.
    pub url: String,
}

/// Reads the authentication of a transaction.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db, transaction_id: i64) -> Result<Option<Record>, DbError> {
    let statement = "SELECT transaction_id, server_trans_id, version, state, method_done, details, began_at_ms, \
                     updated_at_ms FROM authentications WHERE transaction_id = $1";
    let row = sqlx::query(statement).bind(transaction_id).fetch_optional(db.read()).await?;
    row.map(|row| record(&row)).transpose()
}

/// Adds one to a transaction that waits, as it was read; `false` when there is one already, or the transaction has moved.
///
/// # Errors
/// From the database.
pub async fn add(db: &Db, new: &Record, transaction_version: i64) -> Result<bool, DbError> {
    let statement = "INSERT INTO authentications (transaction_id, server_trans_id, version, state, method_done, details, \
                     began_at_ms, updated_at_ms) SELECT $1, $2, $3, $4, $5, $6, $7, $8 FROM transactions \
                     WHERE id = $1 AND state = 'waiting' AND version = $9 ON CONFLICT DO NOTHING";
    let query = bound(sqlx::query(statement), new)?.bind(transaction_version);
    Ok(query.execute(db.write()).await?.rows_affected() == 1)
}

/// Writes a change of what was read; `false` when somebody else has changed it since.
///
/// # Errors
/// From the database.
pub async fn write(db: &Db, before: &Record, after: &Record) -> Result<bool, DbError> {
    let mut tx = db.begin().await?;
    let done = write_in(&mut tx, before, after).await?;
    tx.commit().await?;
    Ok(done)
}

/// The same in the caller's transaction.
///
/// # Errors
/// From the database.
pub async fn write_in(tx: &mut Tx, before: &Record, after: &Record) -> Result<bool, DbError> {
    let statement = "UPDATE authentications SET server_trans_id = $2, version = $3, state = $4, method_done = $5, \
                     details = $6, began_at_ms = $7, updated_at_ms = $8 \
                     WHERE transaction_id = $1 AND server_trans_id = $9 AND state = $10 AND updated_at_ms = $11";
    let done = bound(sqlx::query(statement), after)?
        .bind(before.server_id.clone())
        .bind(before.state.as_str())
        .bind(before.updated_at_ms)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The bank's method page has called back, for this id where it names one. Once it was waited for long enough, that
/// changes nothing.
///
/// # Errors
/// From the database.
pub async fn method_done(db: &Db, transaction_id: i64, server_id: Option<&str>) -> Result<bool, DbError> {
    let statement = "UPDATE authentications SET method_done = 1 \
                     WHERE transaction_id = $1 AND state = 'method' AND server_trans_id = COALESCE($2, server_trans_id)";
    let done = sqlx::query(statement).bind(transaction_id).bind(server_id).execute(db.write()).await?;
    Ok(done.rows_affected() == 1)
}

/// The end of one: its payment has its outcome.
///
/// # Errors
/// From the database.
pub async fn delete(tx: &mut Tx, transaction_id: i64) -> Result<(), DbError> {
    sqlx::query("DELETE FROM authentications WHERE transaction_id = $1")
        .bind(transaction_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A payer who is sent to their bank is waited for until then, and so is the code.
///
/// # Errors
/// From the database.
pub async fn wait_until(tx: &mut Tx, transaction_id: i64, until_ms: i64) -> Result<(), DbError> {
    let statements = [
        "UPDATE transactions SET lease_until_ms = $2, version = version + 1 WHERE id = $1 AND state = 'waiting'",
        "UPDATE codes SET lease_until_ms = $2 WHERE transaction_id = $1 AND state = 'Locked'",
    ];
    for statement in statements {
        sqlx::query(statement).bind(transaction_id).bind(until_ms).execute(&mut **tx).await?;
    }
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

fn bound<'q>(query: Query<'q>, record: &Record) -> Result<Query<'q>, DbError> {
    let details = serde_json::to_string(&record.details).map_err(|_| DbError::Corrupt("authentication"))?;
    Ok(query
        .bind(record.transaction_id)
        .bind(record.server_id.clone())
        .bind(record.version.as_str())
        .bind(record.state.as_str())
        .bind(i64::from(record.is_method_done))
        .bind(details)
        .bind(record.began_at_ms)
        .bind(record.updated_at_ms))
}

fn record(row: &AnyRow) -> Result<Record, DbError> {
    let corrupt = || DbError::Corrupt("authentication");
    Ok(Record {
        transaction_id: row.try_get(0)?,
        server_id: row.try_get(1)?,
        version: Version::parse(&row.try_get::<String, _>(2)?).ok_or_else(corrupt)?,
        state: row.try_get::<String, _>(3)?.parse()?,
        is_method_done: row.try_get::<i64, _>(4)? != 0,
        details: serde_json::from_str(&row.try_get::<String, _>(5)?).map_err(|_| corrupt())?,
        began_at_ms: row.try_get(6)?,
        updated_at_ms: row.try_get(7)?,
    })
}
