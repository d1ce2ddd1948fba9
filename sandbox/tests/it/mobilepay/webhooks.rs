//! Registrations and signed, ordered, repeated deliveries.

use std::{os::unix::fs::PermissionsExt, sync::Arc};

use scanvault_sandbox::mobilepay::Options;
use serde_json::{Value, json};

use super::{Merchant, PAYMENTS, Sim, problem, wallet};

const HOOKS: &str = "/webhooks/v1/webhooks";
const EVENTS: [&str; 4] = ["created", "authorized", "captured", "terminated"];

async fn register(sim: &Sim, merchant: &Merchant, path: &str) -> Value {
    let events = EVENTS.map(|name| format!("epayments.payment.{name}.v1"));
    let body = json!({"url": format!("http://{}{path}", merchant.server.address), "events": events});
    let answer = sim.post(HOOKS, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn signed_and_in_order() {
    let (sim, merchant) = (Sim::start().await, Merchant::start().await);
    let registered = register(&sim, &merchant, "/hook?a=b").await;
    let secret = registered["secret"].as_str().unwrap();
    sim.authorized("order-0001", 1000).await;
    sim.modify("order-0001", "capture", 400).await;
    sim.modify("order-0001", "refund", 100).await;
    let received = merchant.wait(3).await;
    let names: Vec<_> = received.iter().map(|hook| hook.json()["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["CREATED", "AUTHORIZED", "CAPTURED"], "the refund was not asked for");
    assert!(received.iter().all(|hook| hook.verified(secret) && hook.path == "/hook?a=b"));
    let captured = received[2].json();
    let id = captured["pspReference"].as_str().unwrap();
    assert_eq!(
        captured,
        json!({"msn": "123456", "reference": "order-0001", "pspReference": id, "name": "CAPTURED",
               "amount": {"currency": "DKK", "value": 400}, "timestamp": "2026-11-21T12:00:00.000Z",
               "idempotencyKey": "key-2", "success": true})
    );
    assert_ne!(sim.payment("order-0001").await["pspReference"], id, "the event's, not the payment's");
}

#[tokio::test]
async fn again_until_it_is_taken_and_nothing_overtakes() {
    let (sim, merchant) = (Sim::start().await, Merchant::start().await);
    register(&sim, &merchant, "/hook").await;
    for status in [500, 404, 302] {
        merchant.will_answer(status, &json!({}));
    }
    sim.authorized("order-0001", 1000).await;
    let names = |received: &[super::Received]| -> Vec<String> {
        received.iter().map(|hook| hook.json()["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&merchant.wait(5).await), ["CREATED", "CREATED", "CREATED", "CREATED", "AUTHORIZED"]);

    sim.order(r#"{"match":{"kind":"webhook"},"fault":"duplicate"}"#).await;
    sim.modify("order-0001", "capture", 10).await;
    let received = merchant.wait(7).await;
    assert_eq!(received[5].body, received[6].body);
    sim.order(r#"{"match":{"kind":"webhook"},"fault":"drop_before"}"#).await;
    sim.modify("order-0001", "capture", 10).await;
    sim.order(r#"{"match":{"kind":"webhook","amount":30},"fault":"500"}"#).await;
    sim.modify("order-0001", "capture", 30).await;
    let received = merchant.wait(9).await;
    assert_eq!(received[7].body, received[8].body, "a wrong signature, then the right one");
    assert_ne!(received[7].headers["authorization"], received[8].headers["authorization"]);
}

#[tokio::test]
async fn kept_over_a_restart() {
    let merchant = Merchant::start().await;
    let file = std::env::temp_dir().join(format!("scanvault-webhooks-{}.json", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let options = Options { registrations: Some(file.clone()), ..Options::default() };
    let sim = Sim::with(options.clone(), Arc::default()).await;
    let secret = register(&sim, &merchant, "/kept").await["secret"].as_str().unwrap().to_owned();
    drop(sim);
    let sim = Sim::with(options, Arc::default()).await;
    sim.created(&wallet("order-0001", 1)).await;
    assert!(merchant.wait(1).await[0].verified(&secret));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn registrations() {
    let (sim, merchant) = (Sim::start().await, Merchant::start().await);
    let first = register(&sim, &merchant, "/one").await;
    let second = register(&sim, &merchant, "/two").await;
    assert_ne!(first["secret"], second["secret"]);
    let list = sim.call("GET", HOOKS, &[], "").await.unwrap().json();
    assert_eq!(list["webhooks"].as_array().unwrap().len(), 2);
    assert!(!list.to_string().contains("secret"), "shown once");
    let path = format!("{HOOKS}/{}", first["id"].as_str().unwrap());
    assert_eq!(sim.call("DELETE", &path, &[], "").await.unwrap().status, 204);
    assert_eq!(sim.call("DELETE", &path, &[], "").await.unwrap().status, 404);
    sim.created(&wallet("order-0001", 1)).await;
    assert_eq!(merchant.wait(1).await[0].path, "/two");
    for body in [
        json!({"url": "x", "events": ["epayments.payment.created.v1"]}),
        json!({"url": "https://shop.example", "events": []}),
        json!({"url": "https://shop.example", "events": ["epayments.payment.paid.v1"]}),
        json!({"url": "https://shop.example"}),
    ] {
        assert_eq!(sim.post(HOOKS, &body).await.status, 400, "{body}");
    }
    for _ in 0..24 {
        register(&sim, &merchant, "/more").await;
    }
    let body = json!({"url": "https://shop.example", "events": ["epayments.payment.created.v1"]});
    problem(&sim.post(HOOKS, &body).await, 400, "4140");
    let headers = [("authorization", "Bearer x")];
    let answer = crate::support::send(sim.server.address, "GET", HOOKS, &headers, b"").await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(sim.call("POST", &format!("{PAYMENTS}/order-0001/cancel"), &[], "").await.unwrap().status, 200);
}
