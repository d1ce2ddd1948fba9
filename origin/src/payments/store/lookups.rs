//! How merchants of `/pluto` find transactions: by code, reference and amount.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::super::request::Code;
use super::transactions::{record, select_transactions};
use super::{Transaction, db_minor};
use crate::db::{Db, DbError};
use crate::money::Amount;

/// Attempts that are counted, at most: a code at a till has any number of them.
const MAX_COUNTED: i64 = 1_000;

/// How often a code was tried, lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions, up to a thousand.
    pub attempts: i64,
    /// Those among them that money was taken or held by.
    pub payments: i64,
}

/// The last attempt to pay a code under a reference.
///
/// # Errors
/// From the database.
pub async fn last(db: &Db, account: &str, reference: &str, code: &Code) -> Result<Option<Transaction>, DbError> {
    let statement =
        select_transactions!("t.account = $1 AND t.reference = $2 AND t.code = $3 ORDER BY t.id DESC LIMIT 1");
    let query = sqlx::query(statement).bind(account).bind(reference).bind(code.as_str());
    found(query.fetch_optional(db.read()).await?.as_ref())
}

/// The last of them that money was given back of, or was asked to be.
///
/// # Errors
/// From the database.
pub async fn last_given_back(
    db: &Db,
    account: &str,
    reference: &str,
    code: &Code,
) -> Result<Option<Transaction>, DbError> {
    let statement = select_transactions!(
        "t.account = $1 AND t.reference = $2 AND t.code = $3 AND EXISTS (SELECT 1 FROM acts x \
         WHERE x.transaction_id = t.id AND x.kind IN ('refund', 'void')) ORDER BY t.id DESC LIMIT 1"
    );
    let query = sqlx::query(statement).bind(account).bind(reference).bind(code.as_str());
    found(query.fetch_optional(db.read()).await?.as_ref())
}

/// The last attempt to pay this amount with a code, whatever the reference was.
///
/// # Errors
/// From the database.
pub async fn last_of_amount(db: &Db, code: &Code, amount: Amount) -> Result<Option<Transaction>, DbError> {
    let statement = select_transactions!("t.code = $1 AND t.amount_minor = $2 ORDER BY t.id DESC LIMIT 1");
    let query = sqlx::query(statement).bind(code.as_str()).bind(db_minor(amount.minor()));
    found(query.fetch_optional(db.read()).await?.as_ref())
}

/// Counts a code's last attempts.
///
/// # Errors
/// From the database.
pub async fn counts(db: &Db, code: &Code) -> Result<Counts, DbError> {
    let statement = "SELECT COUNT(*), COUNT(CASE WHEN last.authorised_minor > 0 AND last.state = 'authorised' \
        AND (last.captured_minor > 0 OR last.autocapture = 0) THEN 1 END) FROM (SELECT authorised_minor, state, \
        captured_minor, autocapture FROM transactions WHERE code = $1 ORDER BY id DESC LIMIT $2) last";
    let row = sqlx::query(statement).bind(code.as_str()).bind(MAX_COUNTED).fetch_one(db.read()).await?;
    Ok(Counts { attempts: row.try_get(0)?, payments: row.try_get(1)? })
}

fn found(row: Option<&AnyRow>) -> Result<Option<Transaction>, DbError> {
    row.map(record).transpose()
}
