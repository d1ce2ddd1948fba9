use bytes::Bytes;
use proptest::prelude::*;
use scanvault_protocol::record::Mark;
use scanvault_protocol::route::{self, Door, Resolution};

use super::*;
use crate::web::request::Signed;

/// As the call would arrive.
fn call(body: &str) -> Call {
    let Resolution::Found(found) = route::resolve("POST", "/v1/new", Door::Public) else { panic!() };
    let signed = Signed {
        account: None,
        method: "POST".into(),
        path: "/v1/new".into(),
        query: None,
        request_id: "0123456789abcdef0123456789abcdef".into(),
        client_address: "unknown".into(),
        authorization: None,
        mark: Mark::None,
        idempotency_key: None,
        content_type: Some("application/json".into()),
        body: Bytes::from(body.to_owned()),
    };
    Call { spec: found.spec, parameter: String::new(), signed }
}

fn order(body: &str) -> Result<Order, String> {
    Order::parse(&call(body)).map_err(|error| text_of(&error))
}

fn text_of(error: &ApiError) -> String {
    error.detail().unwrap_or_default().to_owned()
}

#[test]
fn the_node_librarys_example_is_taken_whole() {
    let body = serde_json::json!({"orderid": "a766409", "language": "da", "successurl": "https://shop.example/",
        "items": [{"name": "A record", "quantity": 2, "sku": "abc123", "total": "200 DKK"},
            {"name": "Æblekage", "quantity": 3, "sku": "123", "total": "300.50 DKK"}],
        "billing": {"name": "J. Doe", "company": "The Shop A/S", "email": "j@shop.example", "phone": "+4512345678",
            "address": ["Langgade 23, 2. th"], "city": "Havneby", "zip": "1234", "country": "DK", "vatin": "35413308",
            "gln": "7495563456235"},
        "shipping": {"name": "J. Dåh", "address": ["Langgade 23, 1. th", "c/o"], "zip": "1235"}});
    let order = order(&body.to_string()).unwrap();
    assert_eq!(order.amount.map(Amount::to_total).as_deref(), Some("500.50 DKK"));
    assert_eq!((order.order_id.as_deref(), order.autocapture, order.lifetime_secs), (Some("a766409"), None, 3_600));
    let details = order.details;
    assert_eq!(details.language.as_deref(), Some("da"));
    assert_eq!(details.items[1].name.as_deref(), Some("Æblekage"));
    let (billing, shipping) = (details.billing.clone().unwrap(), details.shipping.clone().unwrap());
    assert_eq!((billing.vatin.as_deref(), billing.gln.as_deref()), (Some("35413308"), Some("7495563456235")));
    assert_eq!((shipping.address.len(), shipping.city), (2, None));
    assert_eq!(Details::of(&details.to_json()), details);
}

#[test]
fn optional_fields_that_are_not_valid_are_left_out() {
    let body = r#"{"items":[{"total":"1DKK","quantity":"many","name":7}],"orderid":["a"],"language":"xx","lifetime":"soon",
        "successurl":"javascript:alert(1)","autocapture":"yes","billing":"nobody","shipping":{},"subscriber":true}"#;
    let order = order(body).unwrap();
    assert_eq!((order.order_id, order.autocapture, order.lifetime_secs), (None, None, lifetime::DEFAULT_SECS));
    let item = Item { name: Some("7".into()), quantity: None, sku: None, total: order.details.items[0].total };
    assert_eq!(order.details, Details { items: vec![item], ..Details::default() });
}

#[test]
fn what_go_and_woocommerce_send_is_taken() {
    let body = r#"{"orderid":"7","lifetime":"24h0m0s","autocapture":true,"items":[{"total":"9.99 EUR"}],"billing":{},
        "shipping":{},"subscriber":{"ref":"99"}}"#;
    let order = order(body).unwrap();
    assert_eq!((order.lifetime_secs, order.autocapture), (86_400, Some(true)));
    assert_eq!(order.details.subscriber, Some(SubscriberDetails { reference: Some("99".into()) }));
    assert_eq!((order.details.billing, order.details.shipping), (None, None));
    let number =
        Order::parse(&call(r#"{"orderid":4711,"subscriber":{"ref":5},"billing":{"address":"Langgade 1","zip":1234}}"#));
    let number = number.unwrap();
    assert_eq!((number.order_id.as_deref(), number.amount), (Some("4711"), None));
    assert_eq!(number.details.subscriber.unwrap().reference.as_deref(), Some("5"));
    let billing = number.details.billing.unwrap();
    assert_eq!((billing.address.as_slice(), billing.zip.as_deref()), (&["Langgade 1".to_owned()][..], Some("1234")));
}

#[test]
fn what_decides_about_money_is_not_guessed_at() {
    for body in [
        r#"{"items":[{"total":"1 DKK"},{"name":"free?"}]}"#,
        r#"{"items":[{"total":"1 DKK"},{"total":"1 EUR"}]}"#,
        r#"{"items":[{"total":"1 DKK"},{"total":-1}]}"#,
        r#"{"items":[{"total":1}]}"#,
        r#"{"items":[{"total":"0 DKK"}]}"#,
        r#"{"items":[{"total":"-1 DKK"},{"total":"2 DKK"}]}"#,
        r#"{"items":[{"total":"9999999 DKK"},{"total":"1 DKK"}]}"#,
        r#"{"items":[{"total":"1,5 DKK"}]}"#,
        r#"{"items":["1 DKK"]}"#,
    ] {
        assert_eq!(order(body).unwrap_err(), "invalid items.total", "{body}");
    }
    for body in ["", "[1]", "[{}]", "null", "{", r#"{"items":}"#, "\"a\""] {
        assert_eq!(order(body).unwrap_err(), "invalid json", "{body}");
    }
    assert_eq!(order(r#"{"items":[{"total":"1.999 DKK"}]}"#).unwrap().amount.map(Amount::minor), Some(199));
}

#[test]
fn an_amount_that_is_cut_off_to_nothing_counts_nothing() {
    let both = r#"{"items":[{"total":"1 DKK"},{"name":"rounding","total":"0.004 DKK"}]}"#;
    assert_eq!(order(both).unwrap().amount.map(Amount::minor), Some(100));
    assert_eq!(order(r#"{"items":[{"total":"0.004 DKK"}]}"#).unwrap_err(), "invalid items.total");
}

#[test]
fn the_sum_is_cut_off_and_no_field_is_too_long() {
    let body = r#"{"items":[{"total":"12998 DKK"},{"total":"399.9986 DKK"},{"total":"0.0014 DKK"}]}"#;
    assert_eq!(order(body).unwrap().amount.map(Amount::to_total).as_deref(), Some("13398.00 DKK"));
    let long = "x".repeat(5_000);
    let url = format!("https://shop.example/{long}");
    let lines = vec!["a line"; 20];
    let body = serde_json::json!({"orderid": long, "successurl": url, "items": [{"total": "1 DKK", "name": long}],
        "billing": {"name": long, "address": lines}});
    let order = order(&body.to_string()).unwrap();
    assert_eq!(
        (order.order_id.as_deref(), order.details.successurl.as_deref()),
        (Some(long.as_str()), Some(url.as_str()))
    );
    assert_eq!(
        (order.details.billing.unwrap().address.len(), order.details.items[0].name.as_deref()),
        (20, Some(long.as_str()))
    );
}

#[test]
fn what_php_makes_of_nothing_is_nothing() {
    assert_eq!(order("[]"), order("{}"));
    let empty = order(r#"{"items":[],"billing":[],"shipping":[],"subscriber":[]}"#).unwrap();
    assert_eq!((empty.amount, &empty.details.billing), (None, &None));
    assert_eq!(empty.details.subscriber, Some(SubscriberDetails::default()));
    // Its list with a gap is an object: who sends it means to be paid.
    for body in [r#"{"items":{"1":{"total":"1 DKK"}},"subscriber":{"ref":"1"}}"#, r#"{"items":"1 DKK"}"#] {
        assert_eq!(order(body).unwrap_err(), "missing items", "{body}");
    }
}

#[test]
fn whether_money_is_taken_is_read_however_it_is_written() {
    let flag = |value: &str| order(&format!(r#"{{"autocapture":{value}}}"#)).unwrap().autocapture;
    for value in ["true", "1", "\"true\"", "\"1\""] {
        assert_eq!(flag(value), Some(true), "{value}");
    }
    for value in ["false", "0", "\"false\"", "\"0\"", "\"\""] {
        assert_eq!(flag(value), Some(false), "{value}");
    }
    for value in ["null", "2", "-1", "0.5", "\"perhaps\"", "[]"] {
        assert_eq!(flag(value), None, "{value}");
    }
}

#[test]
fn acts_need_a_total_and_the_index() {
    let act = |body: &str, has_total| ActBody::parse(&call(body), has_total).map_err(|error| text_of(&error));
    let whole = act(r#"{"total":"123 DKK","index":0}"#, true).unwrap();
    assert_eq!((whole.total.map(Amount::minor), whole.index), (Some(12_300), 0));
    assert_eq!(act(r#"{"index":3}"#, false), Ok(ActBody { total: None, index: 3 }));
    assert_eq!(act(r#"{"total":"","index":3}"#, false), Ok(ActBody { total: None, index: 3 })); // Go's library
    for body in
        [r#"{"index":1}"#, r#"{"total":"0 DKK","index":1}"#, r#"{"total":123,"index":1}"#, r#"{"total":"1","index":1}"#]
    {
        assert_eq!(act(body, true).unwrap_err(), "invalid total", "{body}");
    }
    for body in [
        r#"{"total":"1 DKK"}"#,
        r#"{"total":"1 DKK","index":-1}"#,
        r#"{"total":"1 DKK","index":"0"}"#,
        r#"{"total":"1 DKK","index":4294967296}"#,
    ] {
        assert_eq!(act(body, true).unwrap_err(), "invalid index", "{body}");
    }
}

#[test]
fn one_item_is_what_the_payer_reads() {
    let described = |body: &str| order(body).unwrap().description();
    assert_eq!(described(r#"{"items":[{"name":"A record","total":"1 DKK"}]}"#).as_deref(), Some("A record"));
    assert_eq!(described(r#"{"items":[{"name":"A","total":"1 DKK"},{"name":"B","total":"1 DKK"}]}"#), None);
    let long = format!(r#"{{"items":[{{"name":"{}","total":"1 DKK"}}]}}"#, "é".repeat(60));
    assert_eq!(described(&long).unwrap().chars().count(), 45);
}

proptest! {
    #[test]
    fn the_sum_is_exact(totals in prop::collection::vec(1_u64..1_000_000, 1..40)) {
        let items: Vec<Value> = totals.iter().map(|minor| {
            serde_json::json!({"total": Amount::from_minor(*minor, "DKK".parse().unwrap()).unwrap().to_total()})
        }).collect();
        let order = order(&serde_json::json!({"items": items}).to_string()).unwrap();
        prop_assert_eq!(order.amount.map(Amount::minor), Some(totals.iter().sum()));
    }

    #[test]
    fn equal_requests_are_equal_however_they_are_spelled(name in "\\PC{0,20}", minor in 1_u64..1_000_000) {
        let total = Amount::from_minor(minor, "DKK".parse().unwrap()).unwrap();
        let one = serde_json::json!({"orderid": name, "items": [{"total": total.to_total(), "name": name}]}).to_string();
        let two = format!(" {{ \"items\" : [ {{\"name\": {0}, \"total\": \"{1}DKK\"}} ], \"orderid\": {0}, \"unknown\": 1 }}",
            serde_json::to_string(&name).unwrap(), total.to_decimal());
        prop_assert_eq!(order(&one), order(&two));
    }

    #[test]
    fn never_panics(body in "\\PC{0,200}") {
        let _ = order(&body);
    }
}
