//! Tokens, wallet payments, and what follows an authorization.

use std::sync::Arc;

use scanvault_sandbox::mobilepay::Options;
use serde_json::{Value, json};

use super::{PAYMENTS, Sim, modification, problem, wallet};
use crate::{browser, support::send};

#[tokio::test]
async fn a_token_for_an_hour() {
    let sim = Sim::start().await;
    let good =
        [("client_id", "client-id"), ("client_secret", "client-secret"), ("Ocp-Apim-Subscription-Key", "subscription")];
    let get = async |headers: &[(&str, &str)]| {
        send(sim.server.address, "POST", "/accesstoken/get", headers, b"").await.unwrap()
    };
    let token = get(&good).await.json();
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!("3600")), "numbers are texts");
    assert_eq!(token["expires_on"], (super::START + 3600).to_string());
    for at in 0..3 {
        let mut bad = good;
        bad[at].1 = "wrong";
        assert_eq!(get(&bad).await.status, 401);
    }
    assert_eq!(sim.call("GET", "/epayment/v1/payments/unknown-1", &[], "").await.unwrap().status, 404);
    sim.clock.advance(3600);
    let answer = sim.call("GET", "/epayment/v1/payments/unknown-1", &[], "").await.unwrap();
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (401, "application/problem+json"));
}

#[tokio::test]
async fn a_wallet_payment_from_end_to_end() {
    let sim = Sim::start().await;
    let landing = sim.created(&wallet("order-0001", 49_900)).await;
    let page = send(sim.server.address, "GET", &landing, &[], b"").await.unwrap();
    assert!(page.text().contains("Two &lt;b&gt;coffees"), "{}", page.text());
    let form = browser::form(&page);
    assert_eq!((form.action.as_str(), form.field("phoneNumber")), (landing.as_str(), "4512345678"));
    let back = sim.press(&landing, "approve").await;
    assert_eq!((back.status, back.headers["location"].as_str()), (303, "https://shop.example/back?a=1&b=2"));

    assert_eq!(sim.modify("order-0001", "capture", 20_000).await.status, 200);
    let captured = sim.modify("order-0001", "capture", 9_900).await.json();
    assert_eq!(captured["state"], "AUTHORIZED", "it stays so");
    assert_eq!(captured["aggregate"]["capturedAmount"], json!({"currency": "DKK", "value": 29_900}));
    let refunded = sim.modify("order-0001", "refund", 5_000).await.json();
    assert_eq!(refunded["aggregate"]["refundedAmount"]["value"], 5_000);
    let cancelled = sim.post(&format!("{PAYMENTS}/order-0001/cancel"), &json!({})).await.json();
    assert_eq!(cancelled["aggregate"]["cancelledAmount"]["value"], 20_000);
    for field in ["amount", "pspReference", "reference"] {
        assert!(!cancelled[field].is_null(), "{field}");
    }

    let payment = sim.payment("order-0001").await;
    assert_eq!(payment["amount"], json!({"currency": "DKK", "value": 49_900}));
    assert_eq!(payment["paymentMethod"], json!({"type": "WALLET"}));
    let answer = sim.call("GET", &format!("{PAYMENTS}/order-0001/events"), &[], "").await.unwrap().json();
    let names: Vec<&str> = answer.as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["CREATED", "AUTHORIZED", "CAPTURED", "CAPTURED", "REFUNDED", "CANCELLED"]);
    assert_eq!(answer[2]["idempotencyKey"], "key-1");
    let moved =
        [("AUTHORIZED", 49_900), ("CAPTURED", 20_000), ("CAPTURED", 9_900), ("REFUNDED", 5_000), ("CANCELLED", 20_000)];
    assert_eq!(sim.moved(), moved.map(|(name, amount)| (name.to_owned(), amount)));
}

#[tokio::test]
async fn limits_of_what_follows() {
    let sim = Sim::start().await;
    sim.created(&wallet("order-0001", 1000)).await;
    problem(&sim.modify("order-0001", "capture", 1).await, 400, "6080");
    problem(&sim.modify("order-0001", "refund", 1).await, 400, "6020");
    sim.authorized("order-0002", 1000).await;
    problem(&sim.modify("order-0002", "capture", 1001).await, 400, "6090");
    problem(&sim.modify("order-0002", "capture", 0).await, 400, "6010");
    problem(&sim.modify("order-0002", "refund", 1).await, 400, "6150");
    assert_eq!(sim.modify("order-0002", "capture", 1000).await.status, 200);
    problem(&sim.modify("order-0002", "capture", 1).await, 400, "6170");
    problem(&sim.post(&format!("{PAYMENTS}/order-0002/cancel"), &json!({})).await, 400, "6040");
    problem(&sim.modify("order-0002", "refund", 123).await, 400, "5100");
    problem(&sim.modify("order-0002", "refund", 124).await, 400, "6220");
    assert_eq!(sim.modify("order-0002", "refund", 1000).await.status, 200);
    sim.clock.advance(61);
    problem(&sim.modify("order-0002", "refund", 1).await, 400, "6180");
    let dollars = json!({"modificationAmount": {"currency": "EUR", "value": 1}});
    problem(&sim.post(&format!("{PAYMENTS}/order-0002/capture"), &dollars).await, 400, "4040");
    problem(&sim.modify("order-0009", "capture", 1).await, 404, "5090");
}

#[tokio::test]
async fn cancellations() {
    let sim = Sim::start().await;
    let cancel = async |reference: &str, body: Value| sim.post(&format!("{PAYMENTS}/{reference}/cancel"), &body).await;
    let landing = sim.created(&wallet("order-0001", 1000)).await;
    let answer = cancel("order-0001", json!({"cancelTransactionOnly": true})).await.json();
    assert_eq!((&answer["state"], &answer["aggregate"]["cancelledAmount"]["value"]), (&json!("TERMINATED"), &json!(0)));
    assert_eq!(sim.press(&landing, "approve").await.status, 200, "a page, no way back as if it were paid");
    assert_eq!(sim.state("order-0001").await, "TERMINATED");
    problem(&cancel("order-0001", json!({})).await, 400, "6190");
    problem(&sim.modify("order-0001", "capture", 1).await, 400, "6070");

    sim.authorized("order-0002", 1000).await;
    problem(&cancel("order-0002", json!({"cancelTransactionOnly": true})).await, 400, "6060");
    let without_key = sim.call("POST", &format!("{PAYMENTS}/order-0002/cancel"), &[], "").await.unwrap();
    assert_eq!(without_key.json()["state"], "AUTHORIZED", "an empty body, and no key is needed");
    problem(&sim.modify("order-0002", "capture", 1).await, 400, "6070");
    assert_eq!(sim.moved(), [("AUTHORIZED".to_owned(), 1000), ("CANCELLED".to_owned(), 1000)]);
}

#[tokio::test]
async fn ends_without_money() {
    let sim = Sim::start().await;
    let landing = sim.created(&wallet("order-0001", 1000)).await;
    assert_eq!(sim.press(&landing, "reject").await.status, 303);
    assert_eq!(sim.state("order-0001").await, "ABORTED");
    let landing = sim.created(&wallet("order-0002", 1000)).await;
    sim.clock.advance(601);
    assert!(sim.press(&landing, "approve").await.text().contains("not open"));
    assert_eq!(sim.state("order-0002").await, "EXPIRED");
    let landing = sim.created(&wallet("order-0003", 151)).await;
    assert!(sim.press(&landing, "approve").await.text().contains("insufficient funds"));
    assert_eq!(sim.state("order-0003").await, "CREATED", "the shopper may try again");
    assert_eq!(sim.moved(), []);
    assert_eq!(sim.press("/landing/x", "approve").await.status, 404);
}

#[tokio::test]
async fn deadlines_of_captures() {
    let sim = Sim::start().await;
    sim.authorized("order-0001", 1000).await;
    let mut norwegian = wallet("order-0002", 1000);
    norwegian["amount"]["currency"] = json!("NOK");
    let landing = sim.created(&norwegian).await;
    sim.press(&landing, "approve").await;
    sim.clock.advance(14 * 86_400 + 1);
    let sim = Sim { token: sim_token(&sim).await, ..sim };
    problem(&sim.modify("order-0001", "capture", 1).await, 400, "6100");
    problem(&sim.post(&format!("{PAYMENTS}/order-0001/cancel"), &json!({})).await, 400, "6030");
    let kroner = json!({"modificationAmount": {"currency": "NOK", "value": 1}});
    assert_eq!(sim.post(&format!("{PAYMENTS}/order-0002/capture"), &kroner).await.status, 200);
}

async fn sim_token(sim: &Sim) -> String {
    let headers =
        [("client_id", "client-id"), ("client_secret", "client-secret"), ("ocp-apim-subscription-key", "subscription")];
    let answer = send(sim.server.address, "POST", "/accesstoken/get", &headers, b"").await.unwrap().json();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_key_one_effect() {
    let sim = Sim::start().await;
    sim.authorized("order-0001", 1000).await;
    let path = format!("{PAYMENTS}/order-0001/capture");
    let first = sim.keyed(&path, "k", &modification(400)).await;
    for _ in 0..8 {
        let again = sim.keyed(&path, "k", &modification(400)).await;
        assert_eq!((again.status, again.json()), (200, first.json()), "and it costs nothing of the limit");
    }
    problem(&sim.keyed(&path, "k", &modification(401)).await, 409, "4010");
    problem(&sim.keyed(&path, "bad", &modification(5000)).await, 400, "6090");
    problem(&sim.keyed(&path, "bad", &modification(5000)).await, 400, "6090");
    problem(&sim.keyed(&path, "bad", &modification(100)).await, 409, "4010");
    let refund = format!("{PAYMENTS}/order-0001/refund");
    assert_eq!(sim.keyed(&refund, "k", &modification(100)).await.status, 200, "keys belong to an operation");
    problem(&sim.keyed(&refund, "k", &modification(101)).await, 409, "4150");

    let create = wallet("order-0002", 1000);
    let first = sim.keyed(PAYMENTS, "c", &create).await;
    assert_eq!(sim.keyed(PAYMENTS, "c", &create).await.json(), first.json());
    problem(&sim.keyed(PAYMENTS, "c", &wallet("order-0003", 1000)).await, 409, "4020");
    problem(&sim.keyed(PAYMENTS, "d", &create).await, 409, "4150");
    assert_eq!(sim.moved().len(), 3);
}

#[tokio::test]
async fn sixty_four_calls_with_one_key() {
    let sim = Arc::new(Sim::start().await);
    sim.authorized("order-0001", 1000).await;
    let calls = (0..64).map(|_| {
        let sim = sim.clone();
        tokio::spawn(async move {
            sim.keyed(&format!("{PAYMENTS}/order-0001/capture"), "k", &modification(10)).await.json()
        })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer["state"] == "AUTHORIZED"));
    assert_eq!(sim.moved(), [("AUTHORIZED".to_owned(), 1000), ("CAPTURED".to_owned(), 10)]);
}

#[tokio::test]
async fn the_book_restores_payments_and_keys() {
    let sim = Sim::start().await;
    sim.authorized("order-0001", 1000).await;
    let path = format!("{PAYMENTS}/order-0001/capture");
    let first = sim.keyed(&path, "k", &modification(400)).await.json();
    let open = sim.created(&wallet("order-0002", 700)).await;
    let text = serde_json::to_string(&sim.book.entries()).unwrap();
    let book = Arc::new(scanvault_sandbox::common::book::Book::default());
    for entry in serde_json::from_str::<Vec<_>>(&text).unwrap() {
        book.record(entry).unwrap();
    }

    let sim = Sim::with(Options::default(), book).await;
    assert_eq!(sim.keyed(&path, "k", &modification(400)).await.json(), first);
    problem(&sim.modify("order-0001", "capture", 601).await, 400, "6090");
    assert_eq!(sim.press(&open, "approve").await.status, 303);
    assert_eq!(sim.state("order-0002").await, "AUTHORIZED");
}

#[tokio::test]
async fn forced_approvals() {
    let sim = Sim::start().await;
    let landing = sim.created(&wallet("order-0001", 1000)).await;
    let path = "/epayment/v1/test/payments/order-0001/approve";
    problem(&sim.post(path, &json!({"token": "x"})).await, 400, "4050");
    problem(&sim.post(path, &json!({"customer": {"phoneNumber": "12"}})).await, 400, "4070");
    problem(&sim.post(path, &json!({})).await, 400, "4140");
    assert_eq!(sim.post(path, &json!({"token": landing.rsplit('/').next()})).await.status, 200);
    problem(&sim.post(path, &json!({"customer": {"phoneNumber": "4512345678"}})).await, 400, "10010");
    sim.created(&wallet("order-0002", 1000)).await;
    let path = "/epayment/v1/test/payments/order-0002/approve";
    assert_eq!(sim.post(path, &json!({"customer": {"phoneNumber": "4512345678"}})).await.status, 200);
    assert_eq!(sim.moved().len(), 2);
}

#[tokio::test]
async fn ordered_faults() {
    let sim = Sim::start().await;
    sim.authorized("order-0001", 1000).await;
    let path = format!("{PAYMENTS}/order-0001/capture");
    let capture = async |key: &str, value: u64| {
        sim.call("POST", &path, &[("idempotency-key", key)], &modification(value).to_string()).await
    };
    sim.order(r#"{"match":{"kind":"capture","amount":111},"fault":"drop_after"}"#).await;
    assert!(capture("a", 111).await.is_none());
    assert_eq!(capture("a", 111).await.unwrap().status, 200, "the same key settles it");
    sim.order(r#"{"match":{"kind":"capture"},"fault":"drop_before"}"#).await;
    assert!(capture("b", 222).await.is_none());
    assert_eq!(sim.moved().len(), 2);
    sim.order(r#"{"match":{"kind":"capture"},"fault":"500"}"#).await;
    assert_eq!(capture("b", 222).await.unwrap().status, 500);
    sim.order(r#"{"match":{"kind":"capture"},"fault":"garbage"}"#).await;
    assert!(serde_json::from_slice::<Value>(&capture("b", 222).await.unwrap().body).is_err());
    assert_eq!(sim.payment("order-0001").await["aggregate"]["capturedAmount"]["value"], 333);
    sim.order(r#"{"match":{"kind":"create","amount":77},"fault":"drop_after"}"#).await;
    let create = wallet("order-0002", 77).to_string();
    assert!(sim.call("POST", PAYMENTS, &[("idempotency-key", "c")], &create).await.is_none());
    assert_eq!(sim.state("order-0002").await, "CREATED");
}
