//! An entry of the change feed, as Scanpay's clients read it. Written with the change, so that the feed tells each change
//! as it was, works while the vault is sealed, and costs one scan to read.

use serde::Serialize;

use super::ledger::{ActKind, Stage};
use super::state::{Kind, Method};
use super::store::Transaction;
use super::store::acts::ActRecord;
use crate::money::Amount;

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: i64,
    orderid: &'a str,
    rev: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriber: Option<Subscriber>,
    method: MethodView<'a>,
    acts: Vec<ActView>,
    totals: Totals,
    time: Times,
}

#[derive(Serialize)]
struct Subscriber {
    id: i64,
}

#[derive(Serialize)]
struct MethodView<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<CardView<'a>>,
}

#[derive(Serialize)]
struct CardView<'a> {
    brand: &'static str,
    last4: &'a str,
}

#[derive(Serialize)]
struct ActView {
    act: &'static str,
    time: i64,
    total: String,
}

#[derive(Serialize)]
struct Totals {
    authorized: String,
    captured: String,
    refunded: String,
    left: String,
    voided: String,
}

#[derive(Serialize)]
struct Times {
    created: i64,
    authorized: i64,
}

/// The kind of object that a change is about.
#[must_use]
pub fn kind(transaction: &Transaction) -> &'static str {
    match transaction.kind {
        Kind::Charge => "charge",
        Kind::Payment | Kind::Verify => "transaction",
    }
}

/// The entry, JSON.
#[must_use]
pub fn entry(transaction: &Transaction, acts: &[ActRecord]) -> String {
    let ledger = &transaction.ledger;
    let text = |minor: u64| total(transaction.money(minor));
    let is_voided = ledger.stage == Stage::Voided;
    let entry = Entry {
        kind: kind(transaction),
        id: transaction.id,
        orderid: transaction.order_id.as_deref().unwrap_or(&transaction.reference),
        rev: transaction.rev,
        subscriber: transaction.subscriber_id.map(|id| Subscriber { id }),
        method: method(transaction),
        acts: acts
            .iter()
            .filter(|act| act.state == "done" && act.kind != ActKind::Authorise)
            .map(|act| ActView {
                act: act.kind.as_str(),
                time: act.settled_at_ms.unwrap_or(act.asked_at_ms) / 1000,
                total: text(act.amount_minor),
            })
            .collect(),
        totals: Totals {
            authorized: text(ledger.authorised_minor),
            captured: text(ledger.captured_minor),
            refunded: text(ledger.refunded_minor),
            left: text(ledger.capturable_minor()),
            voided: text(if is_voided { ledger.authorised_minor } else { 0 }),
        },
        time: Times {
            created: transaction.created_at_ms / 1000,
            authorized: transaction.authorised_at_ms.unwrap_or(transaction.created_at_ms) / 1000,
        },
    };
    serde_json::to_string(&entry).unwrap_or_default()
}

/// `123.45 DKK`.
#[must_use]
pub fn total(amount: Amount) -> String {
    format!("{} {}", amount.to_decimal(), amount.currency())
}

fn method(transaction: &Transaction) -> MethodView<'_> {
    let kind = match transaction.method {
        Method::Card => "card",
        Method::MobilePay => "mobilepay",
    };
    let bin = transaction.card_bin.as_deref().unwrap_or_default();
    let card = transaction.card_last_four.as_deref().map(|last4| CardView { brand: brand(bin), last4 });
    MethodView { kind, card }
}

/// The scheme by the number's first digits: general knowledge, for display only.
#[must_use]
pub fn brand(bin: &str) -> &'static str {
    let starts = |digits: &[&str]| digits.iter().any(|start| bin.starts_with(start));
    match () {
        () if starts(&["5019", "4571"]) => "dankort",
        () if starts(&["4"]) => "visa",
        () if starts(&["51", "52", "53", "54", "55", "22", "23", "24", "25", "26", "27"]) => "mastercard",
        () if starts(&["34", "37"]) => "amex",
        () if starts(&["35"]) => "jcb",
        () if starts(&["62"]) => "unionpay",
        () if starts(&["36", "38", "30"]) => "diners",
        () if starts(&["60", "65"]) => "discover",
        () if starts(&["50", "56", "57", "58", "6"]) => "maestro",
        () => "card",
    }
}
