//! Transactions: one attempt each to pay a payment request.

use std::str::FromStr;

use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};

use super::super::ledger::{Act, ActKind, Ledger, Stage};
use super::super::request::Code;
use super::super::state::{Dialect, Kind, Method};
use crate::acquirers::Decline;
use crate::db::{Db, DbError, Tx};
use crate::money::{Amount, Currency};

/// A transaction with everything that is told of it.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its number.
    pub id: i64,
    /// The payment request that it pays.
    pub request_id: String,
    /// Whose it is.
    pub account: String,
    /// The page's attempt that was used up for it.
    pub attempt: String,
    /// By which interface the payment request came.
    pub dialect: Dialect,
    /// What it is for.
    pub kind: Kind,
    /// How it is paid.
    pub method: Method,
    /// The code that was paid; a charge has none.
    pub code: Option<Code>,
    /// The merchant's reference, as it was when it was paid.
    pub reference: String,
    /// The merchant's own order, where there is one beside the reference.
    pub order_id: Option<String>,
    /// Whose card is charged, or kept.
    pub subscriber_id: Option<i64>,
    /// Whether the code is used up by a payment.
    pub use_once: bool,
    /// The vault's token of the card; a wallet's payment has none.
    pub card: Option<String>,
    /// First six digits, for display.
    pub card_bin: Option<String>,
    /// Last four, for display.
    pub card_last_four: Option<String>,
    /// `YYYY-MM`, as the feed tells it to the merchant.
    pub card_expiry: Option<String>,
    /// The payer's phone number, where they gave one.
    pub payer_msisdn: Option<String>,
    /// Of the amounts in the ledger.
    pub currency: Currency,
    /// Whether it is captured as soon as it is authorised.
    pub autocapture: bool,
    /// What was done and may be done.
    pub ledger: Ledger,
    /// Who was asked last.
    pub acquirer: Option<String>,
    /// What that acquirer wants to be told in later calls.
    pub acquirer_state: Option<String>,
    /// What the next charge of the series names.
    pub series: Option<String>,
    /// The issuer's.
    pub approval_code: Option<String>,
    /// Why it was declined.
    pub decline: Option<Decline>,
    /// The same in the acquirer's words.
    pub bank_code: Option<String>,
    /// The payer is waited for until then, in Unix milliseconds.
    pub lease_until_ms: Option<i64>,
    /// Strict mode: the merchant's receiver is waited for until then.
    pub held_until_ms: Option<i64>,
    /// One more with each write.
    pub version: i64,
    /// One more with each change in the feed.
    pub rev: i64,
    /// Unix milliseconds.
    pub created_at_ms: i64,
    /// Unix milliseconds.
    pub authorised_at_ms: Option<i64>,
    /// Unix milliseconds.
    pub updated_at_ms: i64,
}

impl Transaction {
    /// What was asked for.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.money(self.ledger.amount_minor)
    }

    /// Minor units as an amount of the transaction's currency.
    #[must_use]
    pub fn money(&self, minor: u64) -> Amount {
        Amount::saturating(minor, self.currency)
    }

    /// Our name for it at acquirers.
    #[must_use]
    pub fn acquirer_reference(&self) -> String {
        format!("sv-{}", self.id)
    }
}

/// What a new transaction is made of.
pub struct NewTransaction<'a> {
    /// Its payment request.
    pub request_id: &'a str,
    /// Whose it is.
    pub account: &'a str,
    /// The page's attempt, used up by this row.
    pub attempt: &'a str,
    /// By which interface the payment request came.
    pub dialect: Dialect,
    /// What it is for.
    pub kind: Kind,
    /// How it is paid.
    pub method: Method,
    /// The code that was locked for it.
    pub code: Option<&'a Code>,
    /// The merchant's reference.
    pub reference: &'a str,
    /// The merchant's order.
    pub order_id: Option<&'a str>,
    /// Whose card is charged.
    pub subscriber_id: Option<i64>,
    /// Token, first six digits, last four, expiry.
    pub card: Option<CardShown<'a>>,
    /// The payer's phone number.
    pub payer_msisdn: Option<&'a str>,
    /// How much.
    pub amount: Amount,
    /// Whether it is captured as soon as it is authorised.
    pub autocapture: bool,
    /// How long the payer is waited for.
    pub lease_until_ms: Option<i64>,
}

/// A card as a transaction keeps it: for display, also when the card is deleted.
#[derive(Clone, Copy)]
pub struct CardShown<'a> {
    /// The vault's token; a wallet's card has none.
    pub token: Option<&'a str>,
    /// First six digits.
    pub bin: &'a str,
    /// Last four.
    pub last_four: &'a str,
    /// `YYYY-MM`.
    pub expiry: &'a str,
}

macro_rules! select_transactions {
    ($($condition:literal),+ $(,)?) => {
        concat!(
            "SELECT t.id, t.request_id, t.account, t.attempt, t.dialect, t.kind, t.method, t.code, t.reference, \
             t.order_id, t.subscriber_id, r.use_once, t.card, t.card_bin, t.card_last_four, t.card_expiry, \
             t.payer_msisdn, t.currency, t.autocapture, t.acquirer, t.acquirer_state, t.series, t.approval_code, \
             t.decline, t.bank_code, t.lease_until_ms, t.held_until_ms, t.version, t.rev, t.created_at_ms, \
             t.authorised_at_ms, t.updated_at_ms, t.state, t.amount_minor, t.authorised_minor, t.captured_minor, \
             t.refunded_minor, t.acts_done, t.last_act, t.pending_act, a.kind, a.amount_minor, a.is_reversal, a.state, \
             (SELECT COUNT(*) FROM acts x WHERE x.transaction_id = t.id AND x.is_reversal = 1 AND x.state = 'done') \
             FROM transactions t JOIN payment_requests r ON r.id = t.request_id \
             LEFT JOIN acts a ON a.transaction_id = t.id AND a.number = t.pending_act WHERE ",
            $($condition),+
        )
    };
}
pub(super) use select_transactions;

mod open;

pub use open::{
    count_declines, count_lost, count_unknown, find_abandoned, find_held, find_left, find_lost_with_state,
    find_stranded, find_unsettled,
};

/// Reads a transaction.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db, id: i64) -> Result<Option<Transaction>, DbError> {
    find_on(db.read(), id).await
}

/// Reads a transaction inside the transaction that changes it.
///
/// # Errors
/// From the database.
pub async fn find_in(tx: &mut Tx, id: i64) -> Result<Option<Transaction>, DbError> {
    find_on(&mut **tx, id).await
}

async fn find_on(on: impl Executor<'_, Database = Any>, id: i64) -> Result<Option<Transaction>, DbError> {
    let row = sqlx::query(select_transactions!("t.id = $1")).bind(id).fetch_optional(on).await?;
    row.map(|row| record(&row)).transpose()
}

/// Reads the transaction that a page's attempt was used for.
///
/// # Errors
/// From the database.
pub async fn find_attempt(db: &Db, attempt: &str) -> Result<Option<Transaction>, DbError> {
    let row = sqlx::query(select_transactions!("t.attempt = $1")).bind(attempt).fetch_optional(db.read()).await?;
    row.map(|row| record(&row)).transpose()
}

/// Adds a transaction that waits, with nothing asked yet. Its number.
///
/// # Errors
/// [`DbError::is_duplicate`] when the attempt was used before.
pub async fn add(tx: &mut Tx, new: &NewTransaction<'_>, now_ms: i64) -> Result<i64, DbError> {
    let card = new.card.as_ref();
    let row = sqlx::query(
        "INSERT INTO transactions (request_id, account, attempt, dialect, kind, method, code, reference, order_id, \
         subscriber_id, card, card_bin, card_last_four, card_expiry, payer_msisdn, amount_minor, currency, autocapture, \
         state, lease_until_ms, created_at_ms, updated_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 'waiting', $19, $20, $20) \
         RETURNING id",
    )
    .bind(new.request_id)
    .bind(new.account)
    .bind(new.attempt)
    .bind(new.dialect.as_str())
    .bind(new.kind.as_str())
    .bind(new.method.as_str())
    .bind(new.code.map(Code::as_str))
    .bind(new.reference)
    .bind(new.order_id)
    .bind(new.subscriber_id)
    .bind(card.and_then(|card| card.token))
    .bind(card.map(|card| card.bin))
    .bind(card.map(|card| card.last_four))
    .bind(card.map(|card| card.expiry))
    .bind(new.payer_msisdn)
    .bind(super::db_minor(new.amount.minor()))
    .bind(new.amount.currency().as_str())
    .bind(i64::from(new.autocapture))
    .bind(new.lease_until_ms)
    .bind(now_ms)
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.try_get(0)?)
}

/// Writes what may change of a transaction; `false` when somebody else has written it since it was read.
///
/// # Errors
/// From the database.
pub async fn write(tx: &mut Tx, transaction: &Transaction, now_ms: i64) -> Result<bool, DbError> {
    let ledger = &transaction.ledger;
    let done = sqlx::query(
        "UPDATE transactions SET state = $3, authorised_minor = $4, captured_minor = $5, refunded_minor = $6, \
         acts_done = $7, last_act = $8, pending_act = $9, acquirer = $10, acquirer_state = $11, series = $12, \
         approval_code = $13, decline = $14, bank_code = $15, lease_until_ms = $16, held_until_ms = $17, rev = $18, \
         authorised_at_ms = $19, subscriber_id = $20, card = $21, card_bin = $22, card_last_four = $23, card_expiry = $24, \
         payer_msisdn = $25, updated_at_ms = $26, version = version + 1 WHERE id = $1 AND version = $2",
    )
    .bind(transaction.id)
    .bind(transaction.version)
    .bind(ledger.stage.as_str())
    .bind(super::db_minor(ledger.authorised_minor))
    .bind(super::db_minor(ledger.captured_minor))
    .bind(super::db_minor(ledger.refunded_minor))
    .bind(i64::from(ledger.acts_done))
    .bind(i64::from(ledger.last_act))
    .bind(ledger.pending.map(|act| i64::from(act.number)))
    .bind(transaction.acquirer.as_deref())
    .bind(transaction.acquirer_state.as_deref())
    .bind(transaction.series.as_deref())
    .bind(transaction.approval_code.as_deref())
    .bind(transaction.decline.map(Decline::as_str))
    .bind(transaction.bank_code.as_deref())
    .bind(transaction.lease_until_ms)
    .bind(transaction.held_until_ms)
    .bind(transaction.rev)
    .bind(transaction.authorised_at_ms)
    .bind(transaction.subscriber_id)
    .bind(transaction.card.as_deref())
    .bind(transaction.card_bin.as_deref())
    .bind(transaction.card_last_four.as_deref())
    .bind(transaction.card_expiry.as_deref())
    .bind(transaction.payer_msisdn.as_deref())
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ties a transaction to the subscriber that it has made or renewed, in the step that has written it.
///
/// # Errors
/// From the database.
pub async fn tie_subscriber(tx: &mut Tx, id: i64, subscriber_id: i64) -> Result<(), DbError> {
    let statement = "UPDATE transactions SET subscriber_id = $2 WHERE id = $1";
    sqlx::query(statement).bind(id).bind(subscriber_id).execute(&mut **tx).await?;
    Ok(())
}

pub(super) fn record(row: &AnyRow) -> Result<Transaction, DbError> {
    Ok(Transaction {
        id: row.try_get(0)?,
        request_id: row.try_get(1)?,
        account: row.try_get(2)?,
        attempt: row.try_get(3)?,
        dialect: word(row, 4)?,
        kind: word(row, 5)?,
        method: word(row, 6)?,
        code: row.try_get::<Option<String>, _>(7)?.map(|text| super::code(&text)).transpose()?,
        reference: row.try_get(8)?,
        order_id: row.try_get(9)?,
        subscriber_id: row.try_get(10)?,
        use_once: row.try_get::<i64, _>(11)? != 0,
        card: row.try_get(12)?,
        card_bin: row.try_get(13)?,
        card_last_four: row.try_get(14)?,
        card_expiry: row.try_get(15)?,
        payer_msisdn: row.try_get(16)?,
        currency: super::currency(&row.try_get::<String, _>(17)?)?,
        autocapture: row.try_get::<i64, _>(18)? != 0,
        acquirer: row.try_get(19)?,
        acquirer_state: row.try_get(20)?,
        series: row.try_get(21)?,
        approval_code: row.try_get(22)?,
        decline: row.try_get::<Option<String>, _>(23)?.map(|text| text.parse()).transpose()?,
        bank_code: row.try_get(24)?,
        lease_until_ms: row.try_get(25)?,
        held_until_ms: row.try_get(26)?,
        version: row.try_get(27)?,
        rev: row.try_get(28)?,
        created_at_ms: row.try_get(29)?,
        authorised_at_ms: row.try_get(30)?,
        updated_at_ms: row.try_get(31)?,
        ledger: ledger(row)?,
    })
}

fn ledger(row: &AnyRow) -> Result<Ledger, DbError> {
    let minor = |at: usize| super::minor(row.try_get(at)?);
    Ok(Ledger {
        stage: word::<Stage>(row, 32)?,
        amount_minor: minor(33)?,
        authorised_minor: minor(34)?,
        captured_minor: minor(35)?,
        refunded_minor: minor(36)?,
        acts_done: super::count(row.try_get(37)?)?,
        last_act: super::count(row.try_get(38)?)?,
        pending: pending(row)?,
        is_reversed: row.try_get::<i64, _>(44)? > 0,
    })
}

fn pending(row: &AnyRow) -> Result<Option<Act>, DbError> {
    let Some(number) = row.try_get::<Option<i64>, _>(39)? else { return Ok(None) };
    Ok(Some(Act {
        number: super::count(number)?,
        kind: word::<ActKind>(row, 40)?,
        amount_minor: super::minor(row.try_get(41)?)?,
        is_reversal: row.try_get::<i64, _>(42)? != 0,
        is_unknown: row.try_get::<String, _>(43)? == "unknown",
    }))
}

fn word<T: FromStr<Err = DbError>>(row: &AnyRow, at: usize) -> Result<T, DbError> {
    row.try_get::<String, _>(at)?.parse()
}

#[cfg(test)]
impl Transaction {
    /// For tests: waiting, of a code that is used once.
    pub(crate) fn sample(amount_minor: u64) -> Self {
        Self {
            id: 81_234,
            request_id: "request".into(),
            account: "merchant-25".into(),
            attempt: "attempt".into(),
            dialect: Dialect::Pluto,
            kind: Kind::Payment,
            method: Method::Card,
            code: "0123456789".parse().ok(),
            reference: "order-1".into(),
            order_id: None,
            subscriber_id: None,
            use_once: true,
            card: Some("card_1".into()),
            card_bin: Some("411111".into()),
            card_last_four: Some("1111".into()),
            card_expiry: Some("2030-12".into()),
            payer_msisdn: None,
            currency: "DKK".parse().unwrap(),
            autocapture: true,
            ledger: Ledger::new(amount_minor),
            acquirer: None,
            acquirer_state: None,
            series: None,
            approval_code: None,
            decline: None,
            bank_code: None,
            lease_until_ms: None,
            held_until_ms: None,
            version: 1,
            rev: 0,
            created_at_ms: 1_790_000_000_000,
            authorised_at_ms: None,
            updated_at_ms: 1_790_000_000_000,
        }
    }
}
