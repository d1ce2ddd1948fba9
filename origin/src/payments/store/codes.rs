//! Codes and the payment requests that they stand for.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::super::request::{Code, Details, First, NewRequest};
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
    /// While it is locked: until then its payer is waited for. The sweep frees it afterwards, with its transaction;
    /// until the sweep has, it stays locked.
    pub lease_until_ms: Option<i64>,
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

    /// What the payer reads: the merchant's own name for what is paid. A link's reference is a random one of ours.
    #[must_use]
    pub fn shown_reference(&self) -> &str {
        match self.dialect {
            Dialect::Pluto => &self.request.merchant_reference,
            Dialect::V1 => self.order_id.as_deref().unwrap_or_default(),
        }
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

    /// Whether a payer may pay this amount: the one that is asked for, any where they type it, less where they may; none
    /// where their card is only kept.
    #[must_use]
    pub fn takes(&self, amount: Amount) -> bool {
        let asked = self.request.amount;
        if self.only_keeps_card() {
            return amount == asked;
        }
        let fits = amount == asked || asked.is_open() || (self.request.is_partial && amount.minor() < asked.minor());
        fits && !amount.is_open() && amount.currency() == asked.currency()
    }
}

// `concat!` keeps the statements static text, which is what sqlx takes.
macro_rules! select_codes {
    ($condition:literal) => {
        select_codes!("codes c JOIN payment_requests r ON r.id = c.request_id", $condition)
    };
    ($tables:literal, $condition:literal) => {
        concat!(
            "SELECT c.code, c.state, c.transaction_id, r.id, r.account, r.merchant_reference, r.amount_minor, \
             r.currency, r.short_description, r.product_url, r.use_once, r.asked_expiry_ms, r.expires_at_ms, r.dialect, \
             r.order_id, r.autocapture, r.details, r.kind, r.partial, c.lease_until_ms FROM ",
            $tables,
            " WHERE ",
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

/// What was answered first to a merchant's reference; `None`: it was never used. A reference that did not come with a
/// code of `/pluto` has an answer that no call is equal to.
///
/// # Errors
/// From the database.
pub async fn find_first(db: &Db, account: &str, reference: &str) -> Result<Option<First>, DbError> {
    // One statement: between two of them another call may have made or moved the code.
    let statement = select_codes!(
        "payment_requests r LEFT JOIN codes c ON c.request_id = r.id",
        "r.account = $1 AND r.merchant_reference = $2"
    );
    let row = sqlx::query(statement).bind(account).bind(reference).fetch_optional(db.read()).await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get::<Option<String>, _>(0)?.is_some() {
        return Ok(Some(record(&row)?.first()));
    }
    // The code stands for another reference by now, or there never was one.
    let details: String = row.try_get(16)?;
    let unknown = || First { code: String::new(), expires_at_ms: 0, asked: None };
    Ok(Some(Details::parse(&details).first.unwrap_or_else(unknown)))
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
    let details = Details { extras: new.extras.clone(), first: None }.to_text();
    add_request(&mut tx, (request_id, account), new, new.expires_at_ms(now_ms), &details, now_ms).await?;
    sqlx::query("INSERT INTO codes (code, request_id, state) VALUES ($1, $2, $3)")
        .bind(code.as_str())
        .bind(request_id)
        .bind(CodeState::Available.as_str())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

async fn add_request(
    tx: &mut Tx,
    (request_id, account): (&str, &str),
    new: &NewRequest,
    expires_at_ms: i64,
    details: &str,
    now_ms: i64,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO payment_requests (id, account, merchant_reference, amount_minor, currency, short_description, \
         product_url, use_once, asked_expiry_ms, expires_at_ms, created_at_ms, partial, details) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
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
    .bind(expires_at_ms)
    .bind(now_ms)
    .bind(i64::from(new.is_partial))
    .bind(details)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Reads a code and holds its row until the transaction ends: whoever wants to change or lock it waits.
///
/// # Errors
/// From the database.
pub async fn hold(tx: &mut Tx, code: &Code) -> Result<Option<CodeRecord>, DbError> {
    let held = sqlx::query("UPDATE codes SET state = state WHERE code = $1").bind(code.as_str()).execute(&mut **tx);
    if held.await?.rows_affected() == 0 {
        return Ok(None);
    }
    let row = sqlx::query(select_codes!("c.code = $1")).bind(code.as_str()).fetch_optional(&mut **tx).await?;
    row.map(|row| record(&row)).transpose()
}

/// Writes what has changed between two readings of a held code, other than its reference.
///
/// # Errors
/// [`DbError::Corrupt`] when the code was not held.
pub async fn change(tx: &mut Tx, before: &CodeRecord, after: &CodeRecord) -> Result<(), DbError> {
    if before.state != after.state {
        let statement = "UPDATE codes SET state = $3 WHERE code = $1 AND state = $2";
        let query = sqlx::query(statement).bind(before.code.as_str()).bind(before.state.as_str());
        if query.bind(after.state.as_str()).execute(&mut **tx).await?.rows_affected() != 1 {
            return Err(DbError::Corrupt("code state"));
        }
    }
    if before.request != after.request || before.expires_at_ms != after.expires_at_ms {
        let details = Details { extras: after.request.extras.clone(), first: Some(before.first()) };
        sqlx::query(
            "UPDATE payment_requests SET short_description = $2, product_url = $3, asked_expiry_ms = $4, \
             expires_at_ms = $5, details = $6 WHERE id = $1",
        )
        .bind(before.request_id.as_str())
        .bind(after.request.short_description.as_deref())
        .bind(after.request.product_url.as_deref())
        .bind(after.request.asked_expiry_ms)
        .bind(after.expires_at_ms)
        .bind(details.to_text())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Gives a held code another payment request, under a reference of its own. The one before stays as it was: what was
/// paid under it goes on reading as it did.
///
/// # Errors
/// [`DbError::is_duplicate`] when the reference was used before.
pub async fn replace(tx: &mut Tx, before: &CodeRecord, after: &CodeRecord, now_ms: i64) -> Result<(), DbError> {
    let old = Details { extras: before.request.extras.clone(), first: Some(before.first()) };
    sqlx::query("UPDATE payment_requests SET details = $2 WHERE id = $1")
        .bind(before.request_id.as_str())
        .bind(old.to_text())
        .execute(&mut **tx)
        .await?;
    let first = First { code: before.code.to_string(), expires_at_ms: after.expires_at_ms, asked: None };
    let new = Details { extras: after.request.extras.clone(), first: Some(first) };
    let (request_id, expires_at_ms) = (after.request_id.as_str(), after.expires_at_ms);
    add_request(tx, (request_id, after.account.as_str()), &after.request, expires_at_ms, &new.to_text(), now_ms)
        .await?;
    sqlx::query("UPDATE codes SET request_id = $2 WHERE code = $1")
        .bind(before.code.as_str())
        .bind(request_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Locks an available code for one payer; `false` when somebody else was first, or when what is to be paid has changed
/// since it was read. With a lease, the sweep frees it.
///
/// # Errors
/// From the database.
pub async fn lock(tx: &mut Tx, record: &CodeRecord, lease_until_ms: Option<i64>) -> Result<bool, DbError> {
    let statement = "UPDATE codes SET state = 'Locked', lease_until_ms = $2 \
                     WHERE code = $1 AND state = 'Available' AND request_id = $3";
    let query = sqlx::query(statement).bind(record.code.as_str()).bind(lease_until_ms);
    Ok(query.bind(record.request_id.as_str()).execute(&mut **tx).await?.rows_affected() == 1)
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
    let dialect: Dialect = row.try_get::<String, _>(13)?.parse()?;
    let details: String = row.try_get(16)?;
    let own = if dialect == Dialect::Pluto { Details::parse(&details) } else { Details::default() };
    Ok(CodeRecord {
        code: super::code(&row.try_get::<String, _>(0)?)?,
        state: row.try_get::<String, _>(1)?.parse()?,
        transaction_id: row.try_get(2)?,
        lease_until_ms: row.try_get(19)?,
        request_id: row.try_get(3)?,
        account: row.try_get(4)?,
        request: NewRequest {
            merchant_reference: row.try_get(5)?,
            amount: super::amount(row.try_get(6)?, &row.try_get::<String, _>(7)?)?,
            short_description: row.try_get(8)?,
            product_url: row.try_get(9)?,
            use_once: row.try_get::<i64, _>(10)? != 0,
            asked_expiry_ms: row.try_get(11)?,
            is_partial: row.try_get::<i64, _>(18)? != 0,
            extras: own.extras,
        },
        expires_at_ms: row.try_get(12)?,
        dialect,
        order_id: row.try_get(14)?,
        autocapture: row.try_get::<i64, _>(15)? != 0,
        details,
        kind: row.try_get::<String, _>(17)?.parse()?,
    })
}

impl CodeRecord {
    /// How the reference was answered first.
    fn first(&self) -> First {
        let is_of_pluto = self.dialect == Dialect::Pluto;
        let now = || First {
            code: self.code.to_string(),
            expires_at_ms: self.expires_at_ms,
            asked: is_of_pluto.then(|| self.request.asked()),
        };
        Details::parse(&self.details).first.filter(|_| is_of_pluto).unwrap_or_else(now)
    }
}
