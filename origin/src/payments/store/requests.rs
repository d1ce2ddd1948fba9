//! Payment requests of Scanpay's interface: with a code of their own where a payer is to pay them.

use sqlx::Row;

use super::super::request::Code;
use super::super::state::{CodeState, Dialect, RequestKind};
use crate::db::{DbError, Tx};
use crate::money::Amount;

/// What a payment request is made of.
pub struct NewLink<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whose it is.
    pub account: &'a str,
    /// What it is for.
    pub kind: RequestKind,
    /// A random one: this interface has none of the merchant's.
    pub reference: &'a str,
    /// Zero: a card is verified and kept.
    pub amount: Amount,
    /// The merchant's order.
    pub order_id: Option<&'a str>,
    /// Whether it is captured as soon as it is authorised.
    pub autocapture: bool,
    /// Whose card is renewed or charged.
    pub subscriber_id: Option<i64>,
    /// Shown to the payer.
    pub short_description: Option<&'a str>,
    /// Unix milliseconds, 0 = never.
    pub expires_at_ms: i64,
    /// Everything else, JSON: personal data, never a card's.
    pub details: &'a str,
}

/// What a step wants to know of the payment request behind a transaction.
#[derive(Debug)]
pub struct Asked {
    /// What it is for.
    pub kind: RequestKind,
    /// Whose card is renewed.
    pub subscriber_id: Option<i64>,
    /// The merchant's order.
    pub order_id: Option<String>,
    /// JSON.
    pub details: String,
}

/// Adds a payment request, and the code of its link where it has one.
///
/// # Errors
/// [`DbError::is_duplicate`] when the code's digits are taken.
pub async fn add(tx: &mut Tx, new: &NewLink<'_>, code: Option<&Code>, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO payment_requests (id, account, merchant_reference, amount_minor, currency, short_description, \
         use_once, asked_expiry_ms, expires_at_ms, created_at_ms, dialect, kind, order_id, autocapture, subscriber_id, \
         details) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(new.id)
    .bind(new.account)
    .bind(new.reference)
    .bind(super::db_minor(new.amount.minor()))
    .bind(new.amount.currency_ref().as_str())
    .bind(new.short_description)
    .bind(new.expires_at_ms)
    .bind(now_ms)
    .bind(Dialect::V1.as_str())
    .bind(new.kind.as_str())
    .bind(new.order_id)
    .bind(i64::from(new.autocapture))
    .bind(new.subscriber_id)
    .bind(new.details)
    .execute(&mut **tx)
    .await?;
    let Some(code) = code else { return Ok(()) };
    sqlx::query("INSERT INTO codes (code, request_id, state) VALUES ($1, $2, $3)")
        .bind(code.as_str())
        .bind(new.id)
        .bind(CodeState::Available.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Reads a payment request inside the transaction that acts on it.
///
/// # Errors
/// From the database.
pub async fn find_in(tx: &mut Tx, id: &str) -> Result<Option<Asked>, DbError> {
    let statement = "SELECT kind, subscriber_id, order_id, details FROM payment_requests WHERE id = $1";
    let Some(row) = sqlx::query(statement).bind(id).fetch_optional(&mut **tx).await? else { return Ok(None) };
    Ok(Some(Asked {
        kind: row.try_get::<String, _>(0)?.parse()?,
        subscriber_id: row.try_get(1)?,
        order_id: row.try_get(2)?,
        details: row.try_get(3)?,
    }))
}
