//! An entry of the change feed, as Scanpay's clients read it. Written with the change, so that the feed tells each change
//! as it was, works while the vault is sealed, and costs one scan to read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ledger::{ActKind, Stage};
use super::state::{Dialect, Kind, Method};
use super::store::Transaction;
use super::store::acts::ActRecord;
use super::store::subscribers::Subscriber;
use crate::calendar;

const METHOD_DOMAIN: &[u8] = b"scanvault/method/v1\0";

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: i64,
    orderid: &'a str,
    rev: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriber: Option<SubscriberView<'a>>,
    method: MethodView<'a>,
    acts: Vec<ActView>,
    totals: Totals,
    time: Times,
}

#[derive(Serialize)]
struct SubscriberView<'a> {
    id: i64,
    #[serde(rename = "ref")]
    reference: &'a str,
}

#[derive(Serialize)]
struct SubscriberEntry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: i64,
    #[serde(rename = "ref")]
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    orderid: Option<&'a str>,
    rev: i64,
    method: MethodView<'a>,
    acts: &'a [Renewal],
    time: Created,
}

/// A subscriber's new card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    act: String,
    time: i64,
}

impl Renewal {
    /// At a time, in Unix milliseconds.
    #[must_use]
    pub fn at_ms(now_ms: i64) -> Self {
        Self { act: "renew".to_owned(), time: now_ms / 1000 }
    }
}

#[derive(Serialize)]
struct MethodView<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<CardView<'a>>,
}

#[derive(Serialize)]
struct CardView<'a> {
    brand: &'static str,
    last4: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
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

#[derive(Serialize)]
struct Created {
    created: i64,
}

/// The kind of object that a change is about. A subscriber's first payment is a charge like those after it.
#[must_use]
pub fn kind(transaction: &Transaction) -> &'static str {
    if transaction.kind == Kind::Charge || transaction.subscriber_id.is_some() { "charge" } else { "transaction" }
}

/// The entry of a transaction, JSON.
#[must_use]
pub fn entry(transaction: &Transaction, acts: &[ActRecord], subscriber: Option<&Subscriber>) -> String {
    let ledger = &transaction.ledger;
    let text = |minor: u64| transaction.money(minor).to_total();
    let is_voided = ledger.stage == Stage::Voided;
    let entry = Entry {
        kind: kind(transaction),
        id: transaction.id,
        orderid: order_id(transaction),
        rev: transaction.rev,
        subscriber: subscriber
            .map(|known| SubscriberView { id: known.id, reference: known.reference.as_deref().unwrap_or_default() }),
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

/// What the merchant calls the order. Where a payment of `/v1` has none it is empty: its reference is a random text of
/// ours, which a client that reads numbers out of order ids would take for somebody's order.
fn order_id(transaction: &Transaction) -> &str {
    match (transaction.order_id.as_deref(), transaction.dialect) {
        (Some(order_id), _) => order_id,
        (None, Dialect::V1) => "",
        (None, Dialect::Pluto) => &transaction.reference,
    }
}

/// The entry of a subscriber, JSON.
#[must_use]
pub fn subscriber_entry(subscriber: &Subscriber) -> String {
    let entry = SubscriberEntry {
        kind: "subscriber",
        id: subscriber.id,
        reference: subscriber.reference.as_deref().unwrap_or_default(),
        orderid: subscriber.order_id.as_deref(),
        rev: subscriber.rev,
        method: MethodView {
            kind: Method::Card.as_str(),
            id: method_id(&subscriber.account, &subscriber.card),
            card: Some(CardView {
                brand: brand(&subscriber.card_bin),
                last4: &subscriber.card_last_four,
                exp: expiry_secs(&subscriber.card_expiry),
            }),
        },
        acts: &subscriber.acts,
        time: Created { created: subscriber.created_at_ms / 1000 },
    };
    serde_json::to_string(&entry).unwrap_or_default()
}

fn method(transaction: &Transaction) -> MethodView<'_> {
    let bin = transaction.card_bin.as_deref().unwrap_or_default();
    let exp = transaction.card_expiry.as_deref().and_then(expiry_secs);
    let card = transaction.card_last_four.as_deref().map(|last4| CardView { brand: brand(bin), last4, exp });
    // A wallet has no device that we know again: the payment stands for it.
    let device = transaction.card.clone().unwrap_or_else(|| format!("transaction/{}", transaction.id));
    MethodView { kind: transaction.method.as_str(), id: method_id(&transaction.account, &device), card }
}

/// The same card of the same shop has the same id, and no two shops can compare theirs: a card's token is random and of
/// one account.
fn method_id(account: &str, device: &str) -> String {
    let digest = Sha256::new().chain_update(METHOD_DOMAIN).chain_update(account).chain_update([0]).chain_update(device);
    URL_SAFE_NO_PAD.encode(digest.finalize().get(..18).unwrap_or_default())
}

/// Of `YYYY-MM`, the last second in which the card is good, in Unix seconds. That `exp` is the end of the month is our
/// reading: Scanpay says only that it is a Unix time.
fn expiry_secs(expiry: &str) -> Option<i64> {
    let (year, month) = expiry.split_once('-')?;
    calendar::end_of_month_secs(year.parse().ok()?, month.parse().ok()?)
}

/// The scheme by the number's first digits: general knowledge, for display only.
#[must_use]
pub fn brand(bin: &str) -> &'static str {
    let starts = |digits: &[&str]| digits.iter().any(|start| bin.starts_with(start));
    match () {
        () if starts(&["5019"]) => "dankort",
        () if starts(&["4571"]) => "visadankort",
        () if starts(&["600722"]) => "forbrugsforening",
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

#[cfg(test)]
mod tests;
