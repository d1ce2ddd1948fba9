//! Which requests are refused.

use std::{sync::Arc, time::Duration};

use scanvault_sandbox::mobilepay::Options;
use serde_json::{Value, json};

use super::{Merchant, PAYMENTS, Sim, passthrough, problem, wallet};
use crate::support::send;

#[tokio::test]
async fn fields_of_a_payment() {
    let sim = Sim::start().await;
    for (pointer, value, code) in [
        ("/unknown", json!(1), "4140"),
        ("/amount/unknown", json!(1), "4140"),
        ("/amount/value", json!("1000"), "4140"),
        ("/amount/value", json!(10.5), "4140"),
        ("/amount/value", json!(0), "6010"),
        ("/amount/value", json!(65_000_001), "4040"),
        ("/amount/currency", json!("SEK"), "5040"),
        ("/amount/currency", json!("dkk"), "5040"),
        ("/paymentMethod/type", json!("CARD"), "4140"),
        ("/paymentMethod/type", json!("CARD_PASSTHROUGH"), "4160"),
        ("/reference", json!("short"), "4140"),
        ("/reference", json!("with space"), "4140"),
        ("/userFlow", json!("POST"), "4140"),
        ("/returnUrl", json!("shop"), "4090"),
        ("/returnUrl", Value::Null, "4140"),
        ("/customer/phoneNumber", json!("+4512345678"), "4070"),
        ("/paymentDescription", json!("ab"), "4140"),
        ("/expiresAt", json!("2026-11-21T12:05:00Z"), "6120"),
        ("/expiresAt", json!("2027-11-21T12:05:00Z"), "6110"),
        ("/expiresAt", json!("2026-11-22T12:00:00Z"), "6130"),
        ("/expiresAt", json!("soon"), "4140"),
    ] {
        let mut body = wallet("order-0001", 1000);
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[field] = value;
        let answer = sim.post(PAYMENTS, &body).await;
        assert_eq!(answer.status, 400, "{pointer}: {}", answer.text());
        problem(&answer, 400, code);
    }
    let mut push = wallet("order-0001", 1000);
    push["userFlow"] = json!("PUSH_MESSAGE");
    assert_eq!(sim.post(PAYMENTS, &push).await.json(), json!({"reference": "order-0001"}), "no address");
    let mut qr = wallet("order-0002", 1000);
    qr["userFlow"] = json!("QR");
    qr.as_object_mut().unwrap().remove("returnUrl");
    assert_eq!(sim.post(PAYMENTS, &qr).await.status, 201);
}

#[tokio::test]
async fn fields_of_card_passthrough() {
    let (sim, merchant) = (Sim::start().await, Merchant::start().await);
    for (field, value, code) in [
        ("cardCallbackUrl", json!("callback"), "4090"),
        ("allowedCardTypes", json!([]), "4140"),
        ("allowedCardTypes", json!(["VISA-DEBIT"]), "4140"),
        ("pspReference", json!(""), "4140"),
        ("unknown", json!(1), "4140"),
    ] {
        let mut body = passthrough("order-0001", 1000, &merchant);
        body["cardPassthrough"][field] = value;
        problem(&sim.post(PAYMENTS, &body).await, 400, code);
    }
    let mut body = passthrough("order-0001", 1000, &merchant);
    body["paymentMethod"]["type"] = json!("WALLET");
    problem(&sim.post(PAYMENTS, &body).await, 400, "4160");
    body["paymentMethod"]["type"] = json!("CARD_PASSTHROUGH");
    body["amount"]["currency"] = json!("SEK");
    assert_eq!(sim.post(PAYMENTS, &body).await.status, 201, "more currencies than a wallet has");
}

#[tokio::test]
async fn headers() {
    let sim = Sim::start().await;
    let body = wallet("order-0001", 1000).to_string();
    let bearer = format!("Bearer {}", sim.token);
    let good = [
        ("authorization", bearer.as_str()),
        ("ocp-apim-subscription-key", "subscription"),
        ("merchant-serial-number", "123456"),
        ("idempotency-key", "k"),
    ];
    let long = "k".repeat(51);
    for (at, value, status) in [
        (0, "Bearer x", 401),
        (0, "", 401),
        (1, "x", 401),
        (2, "12345", 400),
        (2, "12345x", 400),
        (3, "", 400),
        (3, long.as_str(), 400),
    ] {
        let mut headers = good;
        headers[at].1 = value;
        let answer = send(sim.server.address, "POST", PAYMENTS, &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{at} {value}");
    }
    for at in 0..4 {
        let headers: Vec<_> = good.iter().enumerate().filter(|(of, _)| *of != at).map(|(_, header)| *header).collect();
        let answer = send(sim.server.address, "POST", PAYMENTS, &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, if at < 2 { 401 } else { 400 }, "without {}", good[at].0);
    }
    let merchant = Merchant::start().await;
    let body = passthrough("order-0002", 1000, &merchant).to_string();
    let answer = send(sim.server.address, "POST", PAYMENTS, &good, body.as_bytes()).await.unwrap();
    assert!(answer.text().contains("Psp-Id is missing"), "{}", answer.text());
    let other = [good[0], good[1], ("merchant-serial-number", "654321")];
    let answer =
        send(sim.server.address, "POST", PAYMENTS, &good, wallet("order-0003", 1).to_string().as_bytes()).await;
    assert_eq!(answer.unwrap().status, 409, "the key was used above");
    let path = format!("{PAYMENTS}/order-0001");
    assert_eq!(send(sim.server.address, "GET", &path, &other, b"").await.unwrap().status, 404, "another merchant's");
}

#[tokio::test]
async fn how_often_one_may_call() {
    let sim = Sim::start().await;
    sim.authorized("order-0001", 1000).await;
    for _ in 0..5 {
        assert_eq!(sim.modify("order-0001", "capture", 1).await.status, 200);
    }
    assert_eq!(sim.modify("order-0001", "capture", 1).await.status, 429);
    assert_eq!(sim.modify("order-0001", "refund", 1).await.status, 200, "each operation has its own");
    sim.clock.advance(60);
    assert_eq!(sim.modify("order-0001", "capture", 1).await.status, 200);
    let options = Options { rate_limits: false, webhook_second: Duration::ZERO, ..Options::default() };
    let sim = Sim::with(options, Arc::default()).await;
    sim.authorized("order-0001", 1000).await;
    for _ in 0..9 {
        assert_eq!(sim.modify("order-0001", "capture", 1).await.status, 200);
    }
}
