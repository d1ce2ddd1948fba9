//! A merchant's shop with Scanpay's interface: calls as its clients make them, and a feed followed as they follow it.

use http::StatusCode;
use serde_json::{Value, json};

use crate::card::Page;
use crate::world::{Answer, Forward, World};

pub(crate) const PAN: &str = "4111111111111111";
/// Another one, of another scheme.
pub(crate) const OTHER_PAN: &str = "2221000000000009";
/// With this one the amount is the gateway's answer.
pub(crate) const MAGIC_PAN: &str = "4200000000000000";

pub(crate) async fn post(world: &World, auth: &str, path: &str, body: &Value) -> Answer {
    world.send(Forward::post(path, body).with(auth)).await
}

/// A link of one item; answers its code.
pub(crate) async fn link(world: &World, auth: &str, total: &str, more: Value) -> String {
    let mut body = json!({"orderid": "1001", "items": [{"name": "A record", "total": total}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    code_of(&post(world, auth, "/v1/new", &body).await)
}

/// The code of a link that was answered.
#[track_caller]
pub(crate) fn code_of(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let value = answer.json();
    assert_eq!(value.as_object().unwrap().len(), 1);
    let code = value["url"].as_str().unwrap().strip_prefix("https://pay.example/Q/").unwrap().to_owned();
    assert!(code.len() == 10 && code.bytes().all(|b| b.is_ascii_digit()), "{code}");
    code
}

/// Pays a link with a card; answers the transaction.
pub(crate) async fn pay(world: &World, code: &str, pan: &str, amount: u64) -> i64 {
    let answer = crate::card::pay(world, code, pan, amount).await;
    assert_eq!(answer.json()["state"], "paid", "{}", answer.text());
    answer.json()["transactionId"].as_i64().unwrap()
}

/// Pays a link on which a card is given and nothing is charged.
pub(crate) async fn give_card(world: &World, code: &str, pan: &str) -> Answer {
    let page = Page::load(world, code).await;
    world.send(page.pay_with(&page.card(pan, 0))).await
}

/// A page of the feed, held against what WooCommerce's client holds it against.
pub(crate) async fn seq(world: &World, auth: &str, after: i64) -> (i64, Vec<Value>) {
    let answer = world.send(Forward::get(format!("/v1/seq/{after}")).with(auth)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"), "{}", answer.text());
    let value = answer.json();
    assert_eq!(value.as_object().unwrap().len(), 2);
    let (seq, changes) = (value["seq"].as_i64().unwrap(), value["changes"].as_array().unwrap().clone());
    assert!(if changes.is_empty() { seq <= after } else { seq > after }, "{after}: {seq} with {}", changes.len());
    for change in &changes {
        assert_change(change);
    }
    (seq, changes)
}

/// Everything that the published clients and modules read of a change.
#[track_caller]
fn assert_change(change: &Value) {
    assert!(change["id"].is_i64() && change["rev"].as_i64() > Some(0) && change["acts"].is_array(), "{change}");
    let method = &change["method"];
    assert!(method["type"].is_string() && method["id"].is_string(), "{change}");
    let card = &method["card"];
    assert!(card["brand"].is_string() && card["last4"].is_string() && card["exp"].is_i64(), "{change}");
    assert!(change["time"]["created"].is_i64(), "{change}");
    if change["type"] == "subscriber" {
        assert!(change["ref"].is_string(), "{change}");
        return;
    }
    assert!(["transaction", "charge"].contains(&change["type"].as_str().unwrap()), "{change}");
    assert!(change["orderid"].is_string() && change["time"]["authorized"].is_i64(), "{change}");
    for name in ["authorized", "captured", "refunded", "left", "voided"] {
        let total = change["totals"][name].as_str().unwrap();
        let (number, currency) = total.split_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok() && currency.len() == 3, "{total}");
    }
    if change["type"] == "charge" {
        assert!(change["subscriber"]["id"].is_i64() && change["subscriber"]["ref"].is_string(), "{change}");
    }
}

/// The whole feed.
pub(crate) async fn feed(world: &World, auth: &str) -> Vec<Value> {
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let (seq, changes) = seq(world, auth, after).await;
        if changes.is_empty() {
            return all;
        }
        all.extend(changes);
        after = seq;
    }
}

/// The newest entry of an object.
pub(crate) async fn latest(world: &World, auth: &str, kind: &str, id: i64) -> Value {
    let all = feed(world, auth).await;
    let own = all.into_iter().rfind(|change| change["type"] == kind && change["id"] == id);
    own.unwrap_or_else(|| panic!("no {kind} {id}"))
}
