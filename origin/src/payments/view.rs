//! What transactions look like from outside. Amounts are JSON numbers with all their decimals, written as text.

use serde::Serialize;
use serde_json::value::RawValue;

use super::store::Transaction;
use crate::calendar::Utc;
use crate::money::Amount;

/// A transaction as merchants of `/pluto` read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionView<'a> {
    transaction_id: i64,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    amount: Box<RawValue>,
    currency_code: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_info: Option<CardInfo<'a>>,
    date: String,
}

/// A webhook's body: the transaction as it is queried, and where the change stands in the feed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification<'a> {
    #[serde(flatten)]
    transaction: TransactionView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardInfo<'a> {
    bin: &'a str,
    last_four: &'a str,
}

impl<'a> TransactionView<'a> {
    /// Of a transaction.
    #[must_use]
    pub fn of(record: &'a Transaction) -> Self {
        Self {
            transaction_id: record.id,
            reference: &record.reference,
            code: record.code.as_ref().map(super::Code::as_str),
            amount: decimal(record.amount()),
            currency_code: record.currency.as_str(),
            status: record.tx_state(),
            decline_reason: record.decline.map(crate::acquirers::Decline::as_str),
            card_info: card_info(record),
            date: Utc::from_unix_ms(u64::try_from(record.created_at_ms).unwrap_or(0)).to_reference_text(),
        }
    }
}

impl<'a> Notification<'a> {
    /// Of a transaction's change; `status` is what the receiver is told of it.
    #[must_use]
    pub fn of(record: &'a Transaction, status: &'static str, seq: Option<i64>) -> Self {
        Self { transaction: TransactionView { status, ..TransactionView::of(record) }, seq }
    }

    /// The text that is signed and sent.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The short address that a code's QR carries.
#[must_use]
pub fn code_url(public_url: &str, code: &str) -> String {
    format!("{}/Q/{code}", public_url.trim_end_matches('/'))
}

fn card_info(record: &Transaction) -> Option<CardInfo<'_>> {
    Some(CardInfo { bin: record.card_bin.as_deref()?, last_four: record.card_last_four.as_deref()? })
}

/// An amount as a JSON number with all its decimals.
pub(super) fn decimal(amount: Amount) -> Box<RawValue> {
    // Digits and a point are always a JSON number; `null` would be the visible sign of a mistake here.
    RawValue::from_string(amount.to_decimal()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
