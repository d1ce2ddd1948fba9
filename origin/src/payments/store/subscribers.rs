//! Subscribers: cards that merchants keep for later charges.

use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};

use super::super::feed::Renewal;
use crate::db::{Db, DbError, Tx};

/// A subscriber.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub account: String,
    /// The merchant's own name for it.
    pub reference: Option<String>,
    /// The order that it began with.
    pub order_id: Option<String>,
    /// The card's token.
    pub card: String,
    /// First six digits, for display.
    pub card_bin: String,
    /// Last four, for display.
    pub card_last_four: String,
    /// `YYYY-MM`.
    pub card_expiry: String,
    /// Who holds the series.
    pub acquirer: String,
    /// What the next charge of it names.
    pub series: String,
    /// One more with each change in the feed.
    pub rev: i64,
    /// Its renewals.
    pub acts: Vec<Renewal>,
    /// Its card must not be charged any more.
    pub ended_at_ms: Option<i64>,
    /// Unix milliseconds.
    pub created_at_ms: i64,
}

/// What an approved first payment makes a subscriber of, or renews one with.
pub struct Kept<'a> {
    /// The card's token.
    pub card: &'a str,
    /// First six digits.
    pub bin: &'a str,
    /// Last four.
    pub last_four: &'a str,
    /// `YYYY-MM`.
    pub expiry: &'a str,
    /// Who approved it.
    pub acquirer: &'a str,
    /// What the next charge names.
    pub series: &'a str,
}

macro_rules! select_subscribers {
    ($condition:literal) => {
        concat!(
            "SELECT id, account, ref, order_id, card, card_bin, card_last_four, card_expiry, acquirer, series, rev, acts, \
             ended_at_ms, created_at_ms FROM subscribers WHERE ",
            $condition
        )
    };
}

/// Reads a subscriber of an account.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db, account: &str, id: i64) -> Result<Option<Subscriber>, DbError> {
    find_on(db.read(), account, id).await
}

/// Reads a subscriber inside the transaction that changes it, or tells of it.
///
/// # Errors
/// From the database.
pub async fn find_in(tx: &mut Tx, account: &str, id: i64) -> Result<Option<Subscriber>, DbError> {
    find_on(&mut **tx, account, id).await
}

async fn find_on(on: impl Executor<'_, Database = Any>, account: &str, id: i64) -> Result<Option<Subscriber>, DbError> {
    let statement = select_subscribers!("id = $1 AND account = $2");
    let row = sqlx::query(statement).bind(id).bind(account).fetch_optional(on).await?;
    row.map(|row| record(&row)).transpose()
}

/// Adds a subscriber. Its number.
///
/// # Errors
/// From the database.
pub async fn add(
    tx: &mut Tx,
    account: &str,
    reference: Option<&str>,
    order_id: Option<&str>,
    kept: &Kept<'_>,
    now_ms: i64,
) -> Result<i64, DbError> {
    let row = sqlx::query(
        "INSERT INTO subscribers (account, ref, order_id, card, card_bin, card_last_four, card_expiry, acquirer, series, \
         rev, created_at_ms, updated_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10) RETURNING id",
    )
    .bind(account)
    .bind(reference)
    .bind(order_id)
    .bind(kept.card)
    .bind(kept.bin)
    .bind(kept.last_four)
    .bind(kept.expiry)
    .bind(kept.acquirer)
    .bind(kept.series)
    .bind(now_ms)
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.try_get(0)?)
}

/// Puts another card in the place of the one before. The row is locked by the number that the feed gave out before this.
///
/// # Errors
/// From the database.
pub async fn renew(tx: &mut Tx, id: i64, acts: &[Renewal], kept: &Kept<'_>, now_ms: i64) -> Result<(), DbError> {
    let acts = serde_json::to_string(acts).map_err(|_| DbError::Corrupt("renewals"))?;
    sqlx::query(
        "UPDATE subscribers SET card = $2, card_bin = $3, card_last_four = $4, card_expiry = $5, acquirer = $6, \
         series = $7, acts = $8, rev = rev + 1, ended_at_ms = NULL, updated_at_ms = $9 WHERE id = $1",
    )
    .bind(id)
    .bind(kept.card)
    .bind(kept.bin)
    .bind(kept.last_four)
    .bind(kept.expiry)
    .bind(kept.acquirer)
    .bind(kept.series)
    .bind(acts)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What the next charge of the series names, from the last one that was approved. A card that was renewed in the
/// meantime has a series of its own.
///
/// # Errors
/// From the database.
pub async fn go_on(tx: &mut Tx, id: i64, card: &str, series: &str, now_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE subscribers SET series = $3, updated_at_ms = $4 WHERE id = $1 AND card = $2";
    sqlx::query(statement).bind(id).bind(card).bind(series).bind(now_ms).execute(&mut **tx).await?;
    Ok(())
}

/// The card must not be charged any more, unless it was renewed in the meantime.
///
/// # Errors
/// From the database.
pub async fn end(tx: &mut Tx, id: i64, card: &str, now_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE subscribers SET ended_at_ms = $3, updated_at_ms = $3 WHERE id = $1 AND card = $2";
    sqlx::query(statement).bind(id).bind(card).bind(now_ms).execute(&mut **tx).await?;
    Ok(())
}

/// Whether a card is some subscriber's: then it is kept until it is deleted, whatever else it pays.
///
/// # Errors
/// From the database.
pub async fn is_kept(tx: &mut Tx, account: &str, card: &str) -> Result<bool, DbError> {
    let statement = "SELECT 1 FROM subscribers WHERE account = $1 AND card = $2 LIMIT 1";
    Ok(sqlx::query(statement).bind(account).bind(card).fetch_optional(&mut **tx).await?.is_some())
}

fn record(row: &AnyRow) -> Result<Subscriber, DbError> {
    Ok(Subscriber {
        id: row.try_get(0)?,
        account: row.try_get(1)?,
        reference: row.try_get(2)?,
        order_id: row.try_get(3)?,
        card: row.try_get(4)?,
        card_bin: row.try_get(5)?,
        card_last_four: row.try_get(6)?,
        card_expiry: row.try_get(7)?,
        acquirer: row.try_get(8)?,
        series: row.try_get(9)?,
        rev: row.try_get(10)?,
        acts: serde_json::from_str(&row.try_get::<String, _>(11)?).map_err(|_| DbError::Corrupt("renewals"))?,
        ended_at_ms: row.try_get(12)?,
        created_at_ms: row.try_get(13)?,
    })
}
