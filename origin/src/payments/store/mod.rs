//! The tables of payments; the only place with their names.

pub mod acts;
pub mod authentications;
pub mod changes;
pub mod codes;
pub mod idempotency;
pub mod lookups;
pub mod requests;
pub mod settlement;
pub mod subscribers;
pub mod transactions;
pub mod wallet;
pub mod wallet_reports;

use std::str::FromStr;

pub use codes::CodeRecord;
pub use transactions::{NewTransaction, Transaction};

use super::request::Code;
use crate::db::DbError;
use crate::money::{Amount, Currency};

/// Minor units as a column takes them. Amounts are far below: see `money`.
pub(super) fn db_minor(minor: u64) -> i64 {
    i64::try_from(minor).unwrap_or(i64::MAX)
}

/// Minor units as a column gives them.
pub(super) fn minor(stored: i64) -> Result<u64, DbError> {
    u64::try_from(stored).map_err(|_| DbError::Corrupt("amount"))
}

pub(super) fn currency(text: &str) -> Result<Currency, DbError> {
    Currency::from_str(text).map_err(|_| DbError::Corrupt("currency"))
}

pub(super) fn amount(stored: i64, text: &str) -> Result<Amount, DbError> {
    Amount::from_minor(minor(stored)?, currency(text)?).map_err(|_| DbError::Corrupt("amount"))
}

pub(super) fn code(text: &str) -> Result<Code, DbError> {
    text.parse().map_err(|_| DbError::Corrupt("code"))
}

pub(super) fn count(stored: i64) -> Result<u32, DbError> {
    u32::try_from(stored).map_err(|_| DbError::Corrupt("count"))
}
