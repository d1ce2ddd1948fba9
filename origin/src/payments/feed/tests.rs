use serde_json::{Value, json};

use super::*;
use crate::payments::ledger::ActEnd;

fn subscriber() -> Subscriber {
    Subscriber {
        id: 30,
        account: "merchant-25".into(),
        reference: Some("sub-7".into()),
        order_id: None,
        card: "card_1".into(),
        card_bin: "411111".into(),
        card_last_four: "1111".into(),
        card_expiry: "2030-12".into(),
        acquirer: "clearhaus".into(),
        series: "s".into(),
        rev: 2,
        acts: vec![Renewal::at_ms(1_790_000_001_999)],
        ended_at_ms: None,
        created_at_ms: 1_790_000_000_000,
    }
}

fn done(number: u32, kind: ActKind, amount_minor: u64) -> ActRecord {
    ActRecord {
        number,
        kind,
        amount_minor,
        state: "done".into(),
        is_reversal: false,
        decline: None,
        asked_at_ms: 1_790_000_005_000,
        settled_at_ms: Some(1_790_000_006_000),
        tries: 1,
    }
}

fn authorised(minor: u64) -> Transaction {
    let waiting = Transaction::sample(minor);
    let ledger = waiting.ledger.authorise().unwrap().settle(ActEnd::Done).unwrap();
    Transaction { ledger, rev: 1, order_id: Some("a766409".into()), ..waiting }
}

fn told(transaction: &Transaction, acts: &[ActRecord], subscriber: Option<&Subscriber>) -> Value {
    serde_json::from_str(&entry(transaction, acts, subscriber)).unwrap()
}

#[test]
fn a_transaction_has_every_field_of_the_reference() {
    let held = authorised(15_000);
    let ledger = held.ledger.capture(10_050).unwrap().settle(ActEnd::Done).unwrap();
    let taken = Transaction { ledger, rev: 2, ..held };
    let refused = ActRecord { state: "refused".into(), ..done(3, ActKind::Capture, 1) };
    let acts = [done(1, ActKind::Authorise, 15_000), done(2, ActKind::Capture, 10_050), refused];
    let value = told(&taken, &acts, None);
    let id = value["method"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        value,
        json!({"type": "transaction", "id": 81_234, "orderid": "a766409", "rev": 2,
            "method": {"type": "card", "id": id, "card": {"brand": "visa", "last4": "1111", "exp": 1_924_991_999}},
            "acts": [{"act": "capture", "time": 1_790_000_006, "total": "100.50 DKK"}],
            "totals": {"authorized": "150.00 DKK", "captured": "100.50 DKK", "refunded": "0.00 DKK",
                "left": "49.50 DKK", "voided": "0.00 DKK"},
            "time": {"created": 1_790_000_000, "authorized": 1_790_000_000}})
    );
    assert!(id.len() == 24 && !entry(&taken, &acts, None).contains("card_1"), "{id}");
}

#[test]
fn a_payment_without_an_order_has_none_of_ours() {
    let payment = Transaction { order_id: None, ..authorised(100) };
    let link = Transaction { dialect: Dialect::V1, ..payment.clone() };
    assert_eq!(told(&link, &[], None)["orderid"], "");
    let code = Transaction { dialect: Dialect::Pluto, ..payment };
    assert_eq!(told(&code, &[], None)["orderid"], code.reference.as_str());
}

#[test]
fn a_void_leaves_nothing() {
    let held = authorised(15_000);
    let voided = Transaction { ledger: held.ledger.void().unwrap().settle(ActEnd::Done).unwrap(), ..held };
    let totals = told(&voided, &[], None)["totals"].clone();
    assert_eq!((&totals["voided"], &totals["left"]), (&json!("150.00 DKK"), &json!("0.00 DKK")));
}

#[test]
fn a_charge_names_its_subscriber_and_so_does_a_first_payment() {
    let subscriber = subscriber();
    for kind in [Kind::Charge, Kind::Payment] {
        let charge = Transaction { kind, subscriber_id: Some(30), ..authorised(100) };
        let value = told(&charge, &[], Some(&subscriber));
        assert_eq!(value["type"], "charge");
        assert_eq!(value["subscriber"], json!({"id": 30, "ref": "sub-7"}));
    }
    let payment = told(&authorised(100), &[], None);
    assert!(payment["type"] == "transaction" && payment.get("subscriber").is_none());
}

#[test]
fn a_subscriber_has_every_field_of_the_reference() {
    let value: Value = serde_json::from_str(&subscriber_entry(&subscriber())).unwrap();
    let id = told(&authorised(100), &[], None)["method"]["id"].clone();
    assert_eq!(
        value,
        json!({"type": "subscriber", "id": 30, "ref": "sub-7", "rev": 2,
            // The same card in the same shop as the transaction above.
            "method": {"type": "card", "id": id, "card": {"brand": "visa", "last4": "1111", "exp": 1_924_991_999}},
            "acts": [{"act": "renew", "time": 1_790_000_001}], "time": {"created": 1_790_000_000}})
    );
    let other = Subscriber { account: "merchant-26".into(), ..subscriber() };
    let other: Value = serde_json::from_str(&subscriber_entry(&other)).unwrap();
    assert_ne!(other["method"]["id"], value["method"]["id"], "no two shops can compare");
}

#[test]
fn every_brand_is_one_that_the_clients_know() {
    for (bin, name) in [
        ("340000", "amex"),
        ("501900", "dankort"),
        ("360000", "diners"),
        ("601100", "discover"),
        ("600722", "forbrugsforening"),
        ("353000", "jcb"),
        ("670000", "maestro"),
        ("520000", "mastercard"),
        ("222100", "mastercard"),
        ("620000", "unionpay"),
        ("411111", "visa"),
        ("457100", "visadankort"),
    ] {
        assert_eq!(brand(bin), name, "{bin}");
    }
    assert_eq!((brand(""), brand("9")), ("card", "card"));
}
