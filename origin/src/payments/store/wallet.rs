//! MobilePay's payments, and the events that it has told.
//!
//! Several tasks write one row: each statement sets only what is its own, under the condition that it relies on.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};

use crate::db::{Db, DbError, Kind, Tx};

/// How far a payment there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalletState {
    /// It was to be made; whether it was is not known.
    Asked,
    /// It was made, and the payer was sent to it.
    Created,
    /// A card callback was taken.
    Answered,
    /// Nothing there needs to be looked at any more.
    Ended,
}

const STATES: &[(WalletState, &str)] = &[
    (WalletState::Asked, "asked"),
    (WalletState::Created, "created"),
    (WalletState::Answered, "answered"),
    (WalletState::Ended, "ended"),
];

/// What a payment was made with: a repetition has to have the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// What the payer reads in the app.
    pub description: String,
    /// Where they come back to.
    pub return_url: String,
    /// Where the card is handed over.
    pub card_callback_url: String,
    /// Where they were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_url: Option<String>,
}

/// The payment there that belongs to a transaction here.
#[derive(Clone, Debug)]
pub struct WalletRow {
    /// The transaction.
    pub transaction_id: i64,
    /// Ours, as MobilePay knows it.
    pub reference: String,
    /// The card callback that was taken.
    pub attempt_id: Option<String>,
    /// What it was answered, JSON.
    pub answer: Option<String>,
    /// How far it is.
    pub state: WalletState,
    /// What it was made with.
    pub details: Details,
    /// Unix milliseconds.
    pub created_at_ms: i64,
    /// When MobilePay is asked again; `None`: not at all.
    pub next_look_at_ms: Option<i64>,
}

impl WalletState {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        STATES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

impl FromStr for WalletState {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        STATES.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(DbError::Corrupt("wallet payment"))
    }
}

macro_rules! select_rows {
    ($condition:literal) => {
        concat!(
            "SELECT transaction_id, reference, attempt_id, answer, state, details, created_at_ms, next_look_at_ms \
             FROM wallet_payments WHERE ",
            $condition
        )
    };
}

/// Writes down what will be made at MobilePay, in the transaction that locks the code for it.
///
/// # Errors
/// From the database.
pub async fn add(tx: &mut Tx, row: &WalletRow) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO wallet_payments (transaction_id, reference, state, details, created_at_ms, next_look_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(row.transaction_id)
    .bind(row.reference.as_str())
    .bind(row.state.as_str())
    .bind(json(&row.details)?)
    .bind(row.created_at_ms)
    .bind(row.next_look_at_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// By transaction.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db, transaction_id: i64) -> Result<Option<WalletRow>, DbError> {
    find_on(db.read(), transaction_id).await
}

/// The same inside of a transaction.
///
/// # Errors
/// From the database.
pub async fn find_in(tx: &mut Tx, transaction_id: i64) -> Result<Option<WalletRow>, DbError> {
    find_on(&mut **tx, transaction_id).await
}

async fn find_on(on: impl Executor<'_, Database = Any>, id: i64) -> Result<Option<WalletRow>, DbError> {
    let row = sqlx::query(select_rows!("transaction_id = $1")).bind(id).fetch_optional(on).await?;
    row.map(|row| record(&row)).transpose()
}

/// By the name that MobilePay knows.
///
/// # Errors
/// From the database.
pub async fn find_reference(db: &Db, reference: &str) -> Result<Option<WalletRow>, DbError> {
    let row = sqlx::query(select_rows!("reference = $1")).bind(reference).fetch_optional(db.read()).await?;
    row.map(|row| record(&row)).transpose()
}

/// The payment is there: where the payer is sent. `false` when it was written before, or has ended.
///
/// # Errors
/// From the database.
pub async fn created(db: &Db, id: i64, details: &Details, next_look_at_ms: i64) -> Result<bool, DbError> {
    let done = sqlx::query(
        "UPDATE wallet_payments SET state = 'created', details = $2, next_look_at_ms = $3 \
         WHERE transaction_id = $1 AND state = 'asked'",
    )
    .bind(id)
    .bind(json(details)?)
    .bind(next_look_at_ms)
    .execute(db.write())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes a card callback; `false` when one was taken before.
///
/// # Errors
/// From the database.
pub async fn take(tx: &mut Tx, id: i64, attempt: &str, next_look_at_ms: i64) -> Result<bool, DbError> {
    let done = sqlx::query(
        "UPDATE wallet_payments SET state = 'answered', attempt_id = $2, next_look_at_ms = $3 \
         WHERE transaction_id = $1 AND attempt_id IS NULL",
    )
    .bind(id)
    .bind(attempt)
    .bind(next_look_at_ms)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What the card callback is answered, now and whenever it comes again; `false` when it has an answer already.
///
/// # Errors
/// From the database.
pub async fn answer(tx: &mut Tx, id: i64, answer: &str, next_look_at_ms: i64) -> Result<bool, DbError> {
    let done = sqlx::query(
        "UPDATE wallet_payments SET answer = $2, next_look_at_ms = $3 WHERE transaction_id = $1 AND answer IS NULL",
    )
    .bind(id)
    .bind(answer)
    .bind(next_look_at_ms)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Nothing there needs to be looked at any more.
///
/// # Errors
/// From the database.
pub async fn end(on: impl Executor<'_, Database = Any>, id: i64) -> Result<(), DbError> {
    let statement = "UPDATE wallet_payments SET state = 'ended', next_look_at_ms = NULL WHERE transaction_id = $1";
    sqlx::query(statement).bind(id).execute(on).await?;
    Ok(())
}

/// Looks again then, unless somebody has asked for it sooner.
///
/// # Errors
/// From the database.
pub async fn look_again(db: &Db, id: i64, at_ms: i64, now_ms: i64) -> Result<(), DbError> {
    sqlx::query("UPDATE wallet_payments SET next_look_at_ms = $2 WHERE transaction_id = $1 AND next_look_at_ms > $3")
        .bind(id)
        .bind(at_ms)
        .bind(now_ms)
        .execute(db.write())
        .await?;
    Ok(())
}

/// Looks now, when it was last looked at before `before_ms`. Whether there is anything to look at.
///
/// # Errors
/// From the database.
pub async fn hurry(
    on: impl Executor<'_, Database = Any>,
    id: i64,
    before_ms: i64,
    now_ms: i64,
) -> Result<bool, DbError> {
    let done = sqlx::query(
        "UPDATE wallet_payments SET next_look_at_ms = $3 \
         WHERE transaction_id = $1 AND next_look_at_ms IS NOT NULL AND looked_at_ms <= $2",
    )
    .bind(id)
    .bind(before_ms)
    .bind(now_ms)
    .execute(on)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the payment that has been due longest; other processes pass over it until the lease ends.
///
/// # Errors
/// From the database.
pub async fn claim_look(db: &Db, now_ms: i64, lease_ms: i64) -> Result<Option<i64>, DbError> {
    let statement = match db.kind() {
        Kind::Sqlite => {
            "UPDATE wallet_payments SET next_look_at_ms = $2, looked_at_ms = $1 WHERE transaction_id = (\
             SELECT transaction_id FROM wallet_payments WHERE next_look_at_ms <= $1 ORDER BY next_look_at_ms LIMIT 1) \
             RETURNING transaction_id"
        }
        Kind::Postgres => {
            "UPDATE wallet_payments SET next_look_at_ms = $2, looked_at_ms = $1 WHERE transaction_id = (\
             SELECT transaction_id FROM wallet_payments WHERE next_look_at_ms <= $1 ORDER BY next_look_at_ms LIMIT 1 \
             FOR UPDATE SKIP LOCKED) RETURNING transaction_id"
        }
    };
    let row = sqlx::query(statement).bind(now_ms).bind(now_ms + lease_ms).fetch_optional(db.write()).await?;
    row.map(|row| row.try_get(0).map_err(DbError::from)).transpose()
}

/// Remembers an event; `false` when it came before.
///
/// # Errors
/// From the database.
pub async fn add_event(tx: &mut Tx, reference: &str, name: &str, id: &str, now_ms: i64) -> Result<bool, DbError> {
    let done = sqlx::query(
        "INSERT INTO wallet_events (reference, name, psp_reference, at_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (reference, name, psp_reference) DO NOTHING",
    )
    .bind(reference)
    .bind(name)
    .bind(id)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn json(details: &Details) -> Result<String, DbError> {
    serde_json::to_string(details).map_err(|_| DbError::Corrupt("wallet payment"))
}

fn record(row: &AnyRow) -> Result<WalletRow, DbError> {
    let details: String = row.try_get(5)?;
    Ok(WalletRow {
        transaction_id: row.try_get(0)?,
        reference: row.try_get(1)?,
        attempt_id: row.try_get(2)?,
        answer: row.try_get(3)?,
        state: row.try_get::<String, _>(4)?.parse()?,
        details: serde_json::from_str(&details).map_err(|_| DbError::Corrupt("wallet payment"))?,
        created_at_ms: row.try_get(6)?,
        next_look_at_ms: row.try_get(7)?,
    })
}
