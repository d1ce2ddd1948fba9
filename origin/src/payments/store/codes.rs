//! Codes and the payment requests that they stand for.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::super::request::{Code, NewRequest};
use super::super::state::{CodeState, Dialect, RequestKind};
use crate::db::{Db, DbError, Tx};
use crate::money::Amount;

/// A payment request with its code.
#[derive(Clone, Debug)]
pub struct CodeRecord {
    /// The ten digits.
    pub code: Code,
    /// Where the code stands.
    pub state: CodeState,
    /// The attempt that locked or used it last.
    pub transaction_id: Option<i64>,
    /// The payment request's id.
    pub request_id: String,
    /// Whose it is.
    pub account: String,
    /// By which interface it was made.
    pub dialect: Dialect,
    /// What it is for.
    pub kind: RequestKind,
    /// What was asked for.
    pub request: NewRequest,
    /// The merchant's own name for it, where it is not the reference.
    pub order_id: Option<String>,
    /// Whether what is authorised is captured at once.
    pub autocapture: bool,
    /// What has no column of its own, JSON.
    pub details: String,
    /// Unix milliseconds, 0 = never.
    pub expires_at_ms: i64,
}

impl CodeRecord {
    /// Whether the card is kept for later charges.
    #[must_use]
    pub fn keeps_card(&self) -> bool {
        matches!(self.kind, RequestKind::Subscribe | RequestKind::Renew)
    }

    /// Whether nothing is charged: the card is verified and kept. Elsewhere an amount of zero is for the payer to type.
    #[must_use]
    pub fn only_keeps_card(&self) -> bool {
        self.keeps_card() && self.request.amount.minor() == 0
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms != 0 && self.expires_at_ms <= now_ms
    }
}

// `concat!` keeps the statements static text, which is what sqlx takes.
macro_rules! select_codes {
    ($condition:literal) => {
        concat!(
            "SELECT c.code, c.state, c.transaction_id, r.id, r.account, r.merchant_reference, r.amount_minor, \
             r.currency, r.short_description, r.product_url, r.use_once, r.asked_expiry_ms, r.expires_at_ms, r.dialect, \
             r.order_id, r.autocapture, r.details, r.kind FROM codes c JOIN payment_requests r ON r.id = c.request_id WHERE ",
            $condition
        )
    };
}

/// Reads a code.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db, code: &Code) -> Result<Option<CodeRecord>, DbError> {
    let statement = select_codes!("c.code = $1");
    let row = sqlx::query(statement).bind(code.as_str()).fetch_optional(db.read()).await?;
    row.map(|row| record(&row)).transpose()
}

/// Reads the code of a merchant's reference.
///
/// # Errors
/// From the database.
pub async fn find_reference(db: &Db, account: &str, reference: &str) -> Result<Option<CodeRecord>, DbError> {
    let statement = select_codes!("r.account = $1 AND r.merchant_reference = $2");
    let row = sqlx::query(statement).bind(account).bind(reference).fetch_optional(db.read()).await?;
    row.map(|row| record(&row)).transpose()
}

/// Adds a payment request with its code.
///
/// # Errors
/// [`DbError::is_duplicate`] when the reference was used before, or the code's digits are taken.
pub async fn add(
    db: &Db,
    request_id: &str,
    account: &str,
    new: &NewRequest,
    code: &Code,
    now_ms: i64,
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    sqlx::query(
        "INSERT INTO payment_requests (id, account, merchant_reference, amount_minor, currency, short_description, \
         product_url, use_once, asked_expiry_ms, expires_at_ms, created_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(request_id)
    .bind(account)
    .bind(new.merchant_reference.as_str())
    .bind(db_amount(new.amount))
    .bind(new.amount.currency().as_str())
    .bind(new.short_description.as_deref())
    .bind(new.product_url.as_deref())
    .bind(i64::from(new.use_once))
    .bind(new.asked_expiry_ms)
    .bind(new.expires_at_ms(now_ms))
    .bind(now_ms)
    .execute(&mut *tx)
    .await?;
    sqlx::query("INSERT INTO codes (code, request_id, state) VALUES ($1, $2, $3)")
        .bind(code.as_str())
        .bind(request_id)
        .bind(CodeState::Available.as_str())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Locks an available code for one payer; `false` when somebody else was first. With a lease, the sweep frees it.
///
/// # Errors
/// From the database.
pub async fn lock(tx: &mut Tx, code: &Code, lease_until_ms: Option<i64>) -> Result<bool, DbError> {
    let statement = "UPDATE codes SET state = 'Locked', lease_until_ms = $2 WHERE code = $1 AND state = 'Available'";
    Ok(sqlx::query(statement).bind(code.as_str()).bind(lease_until_ms).execute(&mut **tx).await?.rows_affected() == 1)
}

/// Ties a locked code to the transaction that locked it.
///
/// # Errors
/// From the database.
pub async fn tie(tx: &mut Tx, code: &Code, transaction_id: i64) -> Result<(), DbError> {
    sqlx::query("UPDATE codes SET transaction_id = $2 WHERE code = $1")
        .bind(code.as_str())
        .bind(transaction_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Sets the code that a transaction has locked; a code that another one holds by now is left alone.
///
/// # Errors
/// From the database.
pub async fn set(tx: &mut Tx, code: &Code, transaction_id: i64, state: CodeState) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE codes SET state = $3, lease_until_ms = NULL WHERE code = $1 AND transaction_id = $2 AND state = 'Locked'",
    )
    .bind(code.as_str())
    .bind(transaction_id)
    .bind(state.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn db_amount(amount: Amount) -> i64 {
    super::db_minor(amount.minor())
}

fn record(row: &AnyRow) -> Result<CodeRecord, DbError> {
    Ok(CodeRecord {
        code: super::code(&row.try_get::<String, _>(0)?)?,
        state: row.try_get::<String, _>(1)?.parse()?,
        transaction_id: row.try_get(2)?,
        request_id: row.try_get(3)?,
        account: row.try_get(4)?,
        request: NewRequest {
            merchant_reference: row.try_get(5)?,
            amount: super::amount(row.try_get(6)?, &row.try_get::<String, _>(7)?)?,
            short_description: row.try_get(8)?,
            product_url: row.try_get(9)?,
            use_once: row.try_get::<i64, _>(10)? != 0,
            asked_expiry_ms: row.try_get(11)?,
        },
        expires_at_ms: row.try_get(12)?,
        dialect: row.try_get::<String, _>(13)?.parse()?,
        order_id: row.try_get(14)?,
        autocapture: row.try_get::<i64, _>(15)? != 0,
        details: row.try_get(16)?,
        kind: row.try_get::<String, _>(17)?.parse()?,
    })
}
