//! What codes and the answers to polls look like from outside.

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::ledger::ActKind;
use super::super::request::{Code, First, NewRequest};
use super::super::state::CodeState;
use super::super::store::acts::ActRecord;
use super::super::store::lookups::Counts;
use super::super::store::{CodeRecord, Transaction};
use super::super::view::{TransactionView, code_url, decimal};
use crate::acquirers::Decline;
use crate::calendar::Utc;
use crate::money::Amount;

/// Nothing is known of a payment: the reference's word for it in answers to polls.
pub const NO_STATUS: &str = "N/A";
/// Money is being given back, or nobody knows whether it was.
pub const PENDING: &str = "PENDING";
/// What the reference's answer says in `bankResponse` when the bank said yes (ISO 8583).
const BANK_APPROVED: &str = "00";

/// The answer to `POST /pluto/code/create`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created<'a> {
    code: &'a str,
    expiry_date: i64,
    code_url: String,
    /// Ours: what was sent, is kept, and does nothing. Absent in most answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stored_only: Vec<&'static str>,
}

/// The answer to `GET /pluto/code/{code}` and to every change of a code. Most names are attested by the requests that
/// carry them; the record as a whole is ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeView<'a> {
    code: &'a str,
    code_state: &'static str,
    /// While it is locked, where the payer has a time to come back: until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_until: Option<i64>,
    merchant_reference: &'a str,
    merchant_name: &'a str,
    amount: Box<RawValue>,
    amount_string: String,
    currency_code: &'a str,
    expiry_date: i64,
    expired: bool,
    use_once: bool,
    request_partial_payment: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_url: Option<&'a str>,
    #[serde(flatten)]
    extras: ExtrasView<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stored_only: Vec<&'static str>,
    attempts: i64,
    payments: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_transaction: Option<TransactionView<'a>>,
    code_url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtrasView<'a> {
    #[serde(rename = "reserveQR", skip_serializing_if = "Option::is_none")]
    reserve_qr: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_tip: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basket_items: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_merchant_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mcc: Option<&'a str>,
}

/// The answer to `GET /pluto/code/transaction/state/{transactionId}` and `…/stateByQr`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView<'a> {
    #[serde(flatten)]
    transaction: TransactionView<'a>,
    /// Captures, refunds and reversals so far: what a refund may name, to be refused when there was another since.
    index: u32,
    captured_amount: Box<RawValue>,
    refunded_amount: Box<RawValue>,
}

/// The answer to a poll, with the reference's fields, all of them always there: null where nothing is known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PollView<'a> {
    transaction_id: Option<i64>,
    reference: &'a str,
    amount: Option<Box<RawValue>>,
    currency_code: &'a str,
    status: &'static str,
    client_msisdn: Option<&'a str>,
    bank_response: Option<&'a str>,
    code: &'a str,
    retrieval_reference_number: Option<i64>,
    auth_code: Option<&'a str>,
    date: Option<String>,
}

/// The answer to a refund or a reversal: a poll's, and where the payment stands now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenBack<'a> {
    #[serde(flatten)]
    act: PollView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_reason: Option<&'static str>,
    index: u32,
    captured_amount: Box<RawValue>,
    refunded_amount: Box<RawValue>,
}

impl<'a> Created<'a> {
    /// What a reference was answered first, for a call.
    #[must_use]
    pub fn of(first: &'a First, new: &NewRequest, public_url: &str) -> Self {
        Self {
            code: &first.code,
            expiry_date: first.expires_at_ms,
            code_url: code_url(public_url, &first.code),
            stored_only: stored_only(new),
        }
    }
}

impl<'a> CodeView<'a> {
    /// Of a code, at a time.
    #[must_use]
    pub fn of(record: &'a CodeRecord, merchant_name: &'a str, public_url: &str, now_ms: i64) -> Self {
        let request = &record.request;
        let is_locked = record.state == CodeState::Locked;
        Self {
            code: record.code.as_str(),
            code_state: record.state.as_str(),
            locked_until: record.lease_until_ms.filter(|_| is_locked),
            merchant_reference: &request.merchant_reference,
            merchant_name,
            amount: decimal(request.amount),
            amount_string: request.amount.to_decimal(),
            currency_code: request.amount.currency_ref().as_str(),
            expiry_date: record.expires_at_ms,
            expired: record.is_expired(now_ms),
            use_once: request.use_once,
            request_partial_payment: request.is_partial,
            short_description: request.short_description.as_deref(),
            product_url: request.product_url.as_deref(),
            extras: extras(request),
            stored_only: stored_only(request),
            attempts: 0,
            payments: 0,
            transaction_id: record.transaction_id,
            last_transaction: None,
            code_url: code_url(public_url, record.code.as_str()),
        }
    }

    /// With what was made of it.
    #[must_use]
    pub fn with(self, last: &'a Transaction, counts: Counts) -> Self {
        let Counts { attempts, payments } = counts;
        Self { attempts, payments, last_transaction: Some(TransactionView::of(last)), ..self }
    }
}

impl<'a> StateView<'a> {
    /// Of a transaction.
    #[must_use]
    pub fn of(record: &'a Transaction) -> Self {
        Self {
            transaction: TransactionView::of(record),
            index: record.ledger.acts_done,
            captured_amount: decimal(record.money(record.ledger.captured_minor)),
            refunded_amount: decimal(record.money(record.ledger.refunded_minor)),
        }
    }
}

impl<'a> PollView<'a> {
    /// Of a payment.
    #[must_use]
    pub fn of(record: &'a Transaction) -> Self {
        let at_ms = record.authorised_at_ms.unwrap_or(record.created_at_ms);
        let bank_code = record.bank_code.as_deref();
        Self {
            transaction_id: Some(record.id),
            reference: &record.reference,
            amount: Some(decimal(record.amount())),
            currency_code: record.currency.as_str(),
            status: record.tx_state(),
            client_msisdn: record.payer_msisdn.as_deref(),
            bank_response: if record.authorised_at_ms.is_some() { Some(BANK_APPROVED) } else { bank_code },
            code: record.code.as_ref().map_or("", Code::as_str),
            retrieval_reference_number: Some(retrieval_reference_number(record)),
            auth_code: record.approval_code.as_deref(),
            date: Some(date(at_ms)),
        }
    }

    /// Of money that is given back.
    #[must_use]
    pub fn of_act(record: &'a Transaction, act: &ActRecord) -> Self {
        let bank_response = (act.state == "done").then_some(BANK_APPROVED);
        Self {
            amount: Some(decimal(record.money(act.amount_minor))),
            status: status_of(act),
            bank_response,
            date: Some(date(act.settled_at_ms.unwrap_or(act.asked_at_ms))),
            ..Self::of(record)
        }
    }

    /// Where there is nothing yet.
    #[must_use]
    pub fn none(record: &'a CodeRecord, reference: &'a str, amount: Option<Amount>) -> Self {
        Self {
            transaction_id: None,
            reference,
            amount: amount.map(decimal),
            currency_code: record.request.amount.currency_ref().as_str(),
            status: NO_STATUS,
            client_msisdn: None,
            bank_response: None,
            code: record.code.as_str(),
            retrieval_reference_number: None,
            auth_code: None,
            date: None,
        }
    }
}

impl<'a> GivenBack<'a> {
    /// Of an act and the transaction after it.
    #[must_use]
    pub fn of(record: &'a Transaction, act: &ActRecord) -> Self {
        Self {
            act: PollView::of_act(record, act),
            decline_reason: act.decline.map(Decline::as_str),
            index: record.ledger.acts_done,
            captured_amount: decimal(record.money(record.ledger.captured_minor)),
            refunded_amount: decimal(record.money(record.ledger.refunded_minor)),
        }
    }
}

/// The last refund, reversal or void among a transaction's acts.
#[must_use]
pub fn last_given_back(acts: &[ActRecord]) -> Option<&ActRecord> {
    acts.iter().rev().find(|act| matches!(act.kind, ActKind::Refund | ActKind::Void))
}

/// A void gives back everything that was held, so it reads as a reversal whoever asked for it.
fn status_of(act: &ActRecord) -> &'static str {
    let is_reversal = act.is_reversal || act.kind == ActKind::Void;
    match (act.state.as_str(), is_reversal) {
        ("done", true) => "END_REVERSED",
        ("done", false) => "END_REFUNDED",
        ("refused", true) => "END_REVERSAL_FAILED",
        ("refused", false) => "END_REFUND_FAILED",
        _ => PENDING,
    }
}

/// Ours, for acquirers do not tell theirs: the transaction's own number, as the merchant and the operator know it.
fn retrieval_reference_number(record: &Transaction) -> i64 {
    record.id
}

fn date(at_ms: i64) -> String {
    Utc::from_unix_ms(u64::try_from(at_ms).unwrap_or(0)).to_reference_text()
}

fn extras(request: &NewRequest) -> ExtrasView<'_> {
    let extras = &request.extras;
    ExtrasView {
        reserve_qr: extras.reserve_qr,
        request_tip: extras.request_tip,
        basket_items: extras.basket_items.clone().and_then(|text| RawValue::from_string(text).ok()),
        sub_merchant_name: extras.sub_merchant_name.as_deref(),
        terminal_id: extras.terminal_id.as_deref(),
        mcc: extras.mcc.as_deref(),
    }
}

/// The fields that are there and do nothing, so that no merchant believes they did.
fn stored_only(request: &NewRequest) -> Vec<&'static str> {
    let extras = &request.extras;
    let fields = [
        ("reserveQR", extras.reserve_qr.is_some()),
        ("requestTip", extras.request_tip.is_some()),
        ("basketItems", extras.basket_items.is_some()),
        ("subMerchantName", extras.sub_merchant_name.is_some()),
        ("terminalId", extras.terminal_id.is_some()),
        ("mcc", extras.mcc.is_some()),
    ];
    fields.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
}
