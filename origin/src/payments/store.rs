//! The tables of payments; the only place with their names.

use std::str::FromStr;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::request::{Code, NewRequest};
use super::state::{CodeState, TransactionState};
use crate::acquirers::Decline;
use crate::db::{Db, DbError, Tx};
use crate::money::{Amount, Currency};

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
    /// What was asked for.
    pub request: NewRequest,
    /// Unix milliseconds, 0 = never.
    pub expires_at_ms: i64,
}

impl CodeRecord {
    /// Whether the code's time is over. Expiry is a date, not a state.
    #[must_use]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms != 0 && self.expires_at_ms <= now_ms
    }
}

/// One attempt to pay.
#[derive(Clone, Debug)]
pub struct TransactionRecord {
    /// Its number.
    pub id: i64,
    /// The code that was paid.
    pub code: Code,
    /// Whose it is.
    pub account: String,
    /// The merchant's reference.
    pub reference: String,
    /// Whether the code is used up by a payment.
    pub use_once: bool,
    /// How much.
    pub amount: Amount,
    /// Where it stands.
    pub state: TransactionState,
    /// The acquirer's id of the authorisation.
    pub acquirer_ref: Option<String>,
    /// Why it was declined.
    pub decline: Option<Decline>,
    /// The card, for display.
    pub card_bin: String,
    /// The card, for display.
    pub card_last_four: String,
    /// Unix milliseconds.
    pub created_at_ms: i64,
    /// Unix milliseconds.
    pub updated_at_ms: i64,
}

/// What was asked of an acquirer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActKind {
    /// A hold.
    Authorise,
    /// Taking what was held.
    Capture,
    /// Giving it back.
    Void,
}

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActState {
    /// No answer yet.
    Asked,
    /// Yes.
    Done,
    /// No.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl ActKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
        }
    }
}

impl ActState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

// `concat!` keeps the statements static text, which is what sqlx takes.
macro_rules! select_codes {
    ($condition:literal) => {
        concat!(
            "SELECT c.code, c.state, c.transaction_id, r.id, r.account, r.merchant_reference, r.amount_minor, \
             r.currency, r.short_description, r.product_url, r.use_once, r.asked_expiry_ms, r.expires_at_ms \
             FROM codes c JOIN payment_requests r ON r.id = c.request_id WHERE ",
            $condition
        )
    };
}

macro_rules! select_transactions {
    ($condition:literal) => {
        concat!(
            "SELECT t.id, c.code, t.account, r.merchant_reference, r.use_once, t.amount_minor, t.currency, t.state, \
             t.acquirer_ref, t.decline, t.card_bin, t.card_last_four, t.created_at_ms, t.updated_at_ms \
             FROM transactions t JOIN payment_requests r ON r.id = t.request_id \
             JOIN codes c ON c.request_id = r.id WHERE ",
            $condition
        )
    };
}

/// Reads a code.
///
/// # Errors
/// From the database.
pub async fn find_code(db: &Db, code: &Code) -> Result<Option<CodeRecord>, DbError> {
    let statement = select_codes!("c.code = $1");
    let row = sqlx::query(statement).bind(code.as_str()).fetch_optional(db.read()).await?;
    row.map(|row| code_record(&row)).transpose()
}

/// Reads the code of a merchant's reference.
///
/// # Errors
/// From the database.
pub async fn find_reference(db: &Db, account: &str, reference: &str) -> Result<Option<CodeRecord>, DbError> {
    let statement = select_codes!("r.account = $1 AND r.merchant_reference = $2");
    let row = sqlx::query(statement).bind(account).bind(reference).fetch_optional(db.read()).await?;
    row.map(|row| code_record(&row)).transpose()
}

/// Adds a payment request with its code.
///
/// # Errors
/// [`DbError::is_duplicate`] when the reference was used before, or the code's digits are taken.
pub async fn add_request(
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

/// Reads a transaction.
///
/// # Errors
/// From the database.
pub async fn find_transaction(db: &Db, id: i64) -> Result<Option<TransactionRecord>, DbError> {
    let row = sqlx::query(select_transactions!("t.id = $1")).bind(id).fetch_optional(db.read()).await?;
    row.map(|row| transaction_record(&row)).transpose()
}

/// Reads the transaction that a page's attempt was used for.
///
/// # Errors
/// From the database.
pub async fn find_attempt(db: &Db, attempt: &str) -> Result<Option<TransactionRecord>, DbError> {
    let row = sqlx::query(select_transactions!("t.attempt = $1")).bind(attempt).fetch_optional(db.read()).await?;
    row.map(|row| transaction_record(&row)).transpose()
}

/// Reads a transaction inside the transaction that changes it.
///
/// # Errors
/// From the database.
pub async fn find_transaction_in(tx: &mut Tx, id: i64) -> Result<Option<TransactionRecord>, DbError> {
    let row = sqlx::query(select_transactions!("t.id = $1")).bind(id).fetch_optional(&mut **tx).await?;
    row.map(|row| transaction_record(&row)).transpose()
}

/// Transactions that have waited for an answer since before `before_ms`: whoever asked is gone.
///
/// # Errors
/// From the database.
pub async fn find_abandoned(db: &Db, before_ms: i64) -> Result<Vec<(i64, TransactionState)>, DbError> {
    let statement = "SELECT id, state FROM transactions \
                     WHERE state IN ('authorising', 'capturing', 'voiding') AND updated_at_ms < $1 ORDER BY id LIMIT 100";
    let rows = sqlx::query(statement).bind(before_ms).fetch_all(db.read()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<String, _>(1)?.parse()?))).collect()
}

/// Locks an available code for one payer; `false` when somebody else was first.
///
/// # Errors
/// From the database.
pub async fn lock_code(tx: &mut Tx, code: &Code) -> Result<bool, DbError> {
    let statement = "UPDATE codes SET state = 'Locked' WHERE code = $1 AND state = 'Available'";
    Ok(sqlx::query(statement).bind(code.as_str()).execute(&mut **tx).await?.rows_affected() == 1)
}

/// What a new transaction is made of.
pub struct NewTransaction<'a> {
    /// The code that was locked for it.
    pub code: &'a Code,
    /// Its payment request.
    pub request_id: &'a str,
    /// Whose it is.
    pub account: &'a str,
    /// The page's attempt, used up by this row.
    pub attempt: &'a str,
    /// The card's token.
    pub card: &'a str,
    /// For display, also when the card is deleted.
    pub card_bin: &'a str,
    /// For display, also when the card is deleted.
    pub card_last_four: &'a str,
    /// How much.
    pub amount: Amount,
    /// Who will be asked.
    pub acquirer: &'a str,
}

/// Adds a transaction in its first state, tied to the locked code.
///
/// # Errors
/// [`DbError::is_duplicate`] when the attempt was used before.
pub async fn add_transaction(tx: &mut Tx, new: &NewTransaction<'_>, now_ms: i64) -> Result<i64, DbError> {
    let row = sqlx::query(
        "INSERT INTO transactions (request_id, account, attempt, card, card_bin, card_last_four, amount_minor, currency, \
         state, acquirer, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING id",
    )
    .bind(new.request_id)
    .bind(new.account)
    .bind(new.attempt)
    .bind(new.card)
    .bind(new.card_bin)
    .bind(new.card_last_four)
    .bind(db_amount(new.amount))
    .bind(new.amount.currency().as_str())
    .bind(TransactionState::Authorising.as_str())
    .bind(new.acquirer)
    .bind(now_ms)
    .fetch_one(&mut **tx)
    .await?;
    let id: i64 = row.try_get(0)?;
    sqlx::query("UPDATE codes SET transaction_id = $2 WHERE code = $1")
        .bind(new.code.as_str())
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

/// Writes what will be asked.
///
/// # Errors
/// From the database.
pub async fn add_act(tx: &mut Tx, id: i64, kind: ActKind, amount: Amount, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO acts (transaction_id, number, kind, amount_minor, state, created_at_ms) \
         SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5 FROM acts WHERE transaction_id = $1",
    )
    .bind(id)
    .bind(kind.as_str())
    .bind(db_amount(amount))
    .bind(ActState::Asked.as_str())
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what became of the act that was asked last, or that nobody knew of until now.
///
/// # Errors
/// From the database.
pub async fn settle_act(tx: &mut Tx, id: i64, state: ActState, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE acts SET state = $2, settled_at_ms = $3 WHERE transaction_id = $1 AND state IN ('asked', 'unknown')",
    )
    .bind(id)
    .bind(state.as_str())
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Moves a transaction on; `false` when it is no longer where it was thought to be.
///
/// # Errors
/// From the database.
pub async fn move_transaction(
    tx: &mut Tx,
    id: i64,
    (from, to): (TransactionState, TransactionState),
    acquirer_ref: Option<&str>,
    decline: Option<Decline>,
    now_ms: i64,
) -> Result<bool, DbError> {
    let done = sqlx::query(
        "UPDATE transactions SET state = $3, acquirer_ref = COALESCE($4, acquirer_ref), \
         decline = COALESCE($5, decline), updated_at_ms = $6 WHERE id = $1 AND state = $2",
    )
    .bind(id)
    .bind(from.as_str())
    .bind(to.as_str())
    .bind(acquirer_ref)
    .bind(decline.map(Decline::as_str))
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets the code that a transaction has locked; a code that another one holds by now is left alone.
///
/// # Errors
/// From the database.
pub async fn set_code(tx: &mut Tx, id: i64, state: CodeState) -> Result<(), DbError> {
    sqlx::query("UPDATE codes SET state = $2 WHERE transaction_id = $1 AND state = 'Locked'")
        .bind(id)
        .bind(state.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Numbers a change of an account: the next number, taken in the transaction that makes the change.
///
/// # Errors
/// From the database.
pub async fn add_change(tx: &mut Tx, account: &str, id: i64, now_ms: i64) -> Result<i64, DbError> {
    let row = sqlx::query("UPDATE accounts SET change_seq = change_seq + 1 WHERE name = $1 RETURNING change_seq")
        .bind(account)
        .fetch_one(&mut **tx)
        .await?;
    let seq: i64 = row.try_get(0)?;
    sqlx::query("INSERT INTO changes (account, seq, transaction_id, at_ms) VALUES ($1, $2, $3, $4)")
        .bind(account)
        .bind(seq)
        .bind(id)
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
    Ok(seq)
}

/// Where an account's webhooks go.
///
/// # Errors
/// From the database.
pub async fn webhook_url(tx: &mut Tx, account: &str) -> Result<Option<String>, DbError> {
    let statement = "SELECT webhook_url FROM accounts WHERE name = $1";
    Ok(sqlx::query(statement).bind(account).fetch_one(&mut **tx).await?.try_get(0)?)
}

/// Reads what waits for an operator, oldest first.
///
/// # Errors
/// From the database.
pub async fn find_unsettled(db: &Db) -> Result<Vec<TransactionRecord>, DbError> {
    let statement = select_transactions!("t.state IN ('capture_unknown', 'void_unknown') ORDER BY t.id LIMIT 1000");
    sqlx::query(statement).fetch_all(db.read()).await?.iter().map(transaction_record).collect()
}

/// Authorisations that nobody knows the outcome of. They are never captured: there is nothing to settle.
///
/// # Errors
/// From the database.
pub async fn lost(db: &Db) -> Result<i64, DbError> {
    let statement = "SELECT COUNT(*) FROM transactions WHERE state = 'lost'";
    Ok(sqlx::query(statement).fetch_one(db.read()).await?.try_get(0)?)
}

/// What is unsettled, for metrics: how many, and since when the oldest, in Unix milliseconds.
///
/// # Errors
/// From the database.
pub async fn unknown(db: &Db) -> Result<(i64, Option<i64>), DbError> {
    let statement =
        "SELECT COUNT(*), MIN(updated_at_ms) FROM transactions WHERE state IN ('capture_unknown', 'void_unknown')";
    let row = sqlx::query(statement).fetch_one(db.read()).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn db_amount(amount: Amount) -> i64 {
    i64::try_from(amount.minor()).unwrap_or(i64::MAX)
}

fn amount(minor: i64, currency: &str) -> Result<Amount, DbError> {
    let corrupt = || DbError::Corrupt("amount");
    let currency = Currency::from_str(currency).map_err(|_| corrupt())?;
    Amount::from_minor(u64::try_from(minor).map_err(|_| corrupt())?, currency).map_err(|_| corrupt())
}

fn code(text: &str) -> Result<Code, DbError> {
    text.parse().map_err(|_| DbError::Corrupt("code"))
}

fn code_record(row: &AnyRow) -> Result<CodeRecord, DbError> {
    Ok(CodeRecord {
        code: code(&row.try_get::<String, _>(0)?)?,
        state: row.try_get::<String, _>(1)?.parse()?,
        transaction_id: row.try_get(2)?,
        request_id: row.try_get(3)?,
        account: row.try_get(4)?,
        request: NewRequest {
            merchant_reference: row.try_get(5)?,
            amount: amount(row.try_get(6)?, &row.try_get::<String, _>(7)?)?,
            short_description: row.try_get(8)?,
            product_url: row.try_get(9)?,
            use_once: row.try_get::<i64, _>(10)? != 0,
            asked_expiry_ms: row.try_get(11)?,
        },
        expires_at_ms: row.try_get(12)?,
    })
}

fn transaction_record(row: &AnyRow) -> Result<TransactionRecord, DbError> {
    Ok(TransactionRecord {
        id: row.try_get(0)?,
        code: code(&row.try_get::<String, _>(1)?)?,
        account: row.try_get(2)?,
        reference: row.try_get(3)?,
        use_once: row.try_get::<i64, _>(4)? != 0,
        amount: amount(row.try_get(5)?, &row.try_get::<String, _>(6)?)?,
        state: row.try_get::<String, _>(7)?.parse()?,
        acquirer_ref: row.try_get(8)?,
        decline: row.try_get::<Option<String>, _>(9)?.map(|text| text.parse()).transpose()?,
        card_bin: row.try_get(10)?,
        card_last_four: row.try_get(11)?,
        created_at_ms: row.try_get(12)?,
        updated_at_ms: row.try_get(13)?,
    })
}
