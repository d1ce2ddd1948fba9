//! Captures, refunds and voids of one authorization.

use scanvault_sandbox::clearhaus::{Options, UnknownId};
use serde_json::{Value, json};

use crate::support::{Answer, HAL, Sim, card};

const NOW: &str = "2026-11-21T12:00:00+00:00";
const DAY: i64 = 86_400;

async fn authorized(amount: u64) -> (Sim, String) {
    let sim = Sim::start().await;
    let id = sim.approved("/authorizations", &card(amount)).await;
    (sim, id)
}

fn refused(answer: &Answer, message: &str) {
    assert_eq!((answer.status, answer.json()), (400, json!({"status": {"code": 40000, "message": message}})));
}

#[tokio::test]
async fn capture_refund_and_the_book() {
    let (sim, id) = authorized(1000).await;
    let at = |what: &str| format!("/authorizations/{id}/{what}");
    let link = json!({"href": format!("/authorizations/{id}")});

    let capture = sim.post(&at("captures"), "amount=400&text_on_statement=Shop+25").await;
    let expected = json!({
        "id": capture.json()["id"],
        "status": {"code": 20000},
        "processed_at": NOW,
        "amount": 400,
        "_links": {"authorization": link, "refunds": {"href": at("refunds")}},
    });
    assert_eq!((capture.status, capture.json()), (201, expected));
    assert_eq!(capture.headers["content-type"], HAL);

    let rest = sim.post(&at("captures"), "").await;
    assert_eq!(rest.json()["amount"], 600, "no amount: all that remains");
    refused(&sim.post(&at("captures"), "amount=1").await, "amount exceeds what remains of the authorization");
    refused(&sim.post(&at("captures"), "").await, "amount exceeds what remains of the authorization");

    let refund = sim.post(&at("refunds"), "amount=300").await;
    let expected = json!({
        "id": refund.json()["id"],
        "status": {"code": 20000},
        "processed_at": NOW,
        "amount": 300,
        "_links": {"authorization": link},
    });
    assert_eq!((refund.status, refund.json()), (201, expected));
    refused(&sim.post(&at("captures"), "amount=1").await, "amount exceeds what remains of the authorization");
    refused(&sim.post(&at("refunds"), "amount=701").await, "amount exceeds what was captured and not refunded");
    assert_eq!(sim.post(&at("refunds"), "").await.json()["amount"], 700);
    refused(&sim.post(&at("refunds"), "").await, "amount exceeds what was captured and not refunded");

    let book = sim.book().await;
    let acts: Vec<_> =
        book.iter().map(|entry| (entry["kind"].as_str().unwrap(), entry["amount"].as_u64().unwrap())).collect();
    let expected = [("authorization", 1000), ("capture", 400), ("capture", 600), ("refund", 300), ("refund", 700)];
    assert_eq!(acts, expected);
    let entry = json!({
        "id": capture.json()["id"],
        "kind": "capture",
        "authorization": id,
        "amount": 400,
        "currency": "ZAR",
        "reference": "order-1",
        "status": 20000,
        "booked": true,
        "processed_at": NOW,
        "pan_last4": "1111",
    });
    assert_eq!(book[1], entry);
    let fields = [
        "amount",
        "authorization",
        "booked",
        "currency",
        "id",
        "kind",
        "pan_last4",
        "processed_at",
        "reference",
        "status",
    ];
    for entry in &book {
        assert_eq!(entry.as_object().unwrap().keys().collect::<Vec<_>>(), fields, "nothing more about the card");
    }
    assert!(!Value::Array(book).to_string().contains("4111111111111111"));
}

#[tokio::test]
async fn voids() {
    let (sim, id) = authorized(1000).await;
    let at = |what: &str| format!("/authorizations/{id}/{what}");
    sim.approved(&at("captures"), "amount=400").await;
    let void = sim.post(&at("voids"), "").await;
    let expected = json!({
        "id": void.json()["id"],
        "status": {"code": 20000},
        "processed_at": NOW,
        "_links": {"authorization": {"href": format!("/authorizations/{id}")}},
    });
    assert_eq!((void.status, void.json()), (201, expected));
    assert_eq!(sim.book().await[2]["amount"], 600, "what was not captured is released");
    refused(&sim.post(&at("voids"), "").await, "authorization is already voided");
    refused(&sim.post(&at("captures"), "amount=1").await, "authorization is voided");
    assert_eq!(sim.post(&at("refunds"), "").await.json()["amount"], 400);

    let (sim, id) = authorized(1000).await;
    sim.approved(&format!("/authorizations/{id}/captures"), "").await;
    refused(&sim.post(&format!("/authorizations/{id}/voids"), "").await, "authorization is fully captured");
}

#[tokio::test]
async fn ages() {
    let (sim, id) = authorized(1000).await;
    let at = |what: &str| format!("/authorizations/{id}/{what}");
    sim.clock.advance(30 * DAY);
    refused(&sim.post(&at("voids"), "").await, "authorization is too old to be voided");
    sim.clock.advance(150 * DAY - 1);
    sim.approved(&at("captures"), "amount=1").await;
    sim.clock.advance(1);
    refused(&sim.post(&at("captures"), "").await, "authorization is too old to be captured");
    sim.clock.advance(365 * DAY - 1);
    refused(&sim.post(&at("refunds"), "").await, "last capture is too old to be refunded");
}

#[tokio::test]
async fn unknown_ids() {
    let body = json!({"status": {"code": 40000, "message": "invalid transaction id"}});
    for (unknown_id, http) in [(UnknownId::NotFound, 404), (UnknownId::BadRequest, 400)] {
        let sim = Sim::with(Options { unknown_id, ..Options::default() }).await;
        for id in ["84412a34-fa29-4369-a098-0165a80e8fda", "x", "%2e%2e"] {
            for what in ["captures", "refunds", "voids"] {
                let answer = sim.post(&format!("/authorizations/{id}/{what}"), "").await;
                assert_eq!((answer.status, answer.json()), (http, body.clone()), "{id} {what}");
            }
        }
    }
}

#[tokio::test]
async fn field_rules_of_captures() {
    let (sim, id) = authorized(1000).await;
    for what in ["captures", "refunds"] {
        for (body, code, message) in [
            ("amount=0", 40000, "invalid 'amount'"),
            ("amount=-1", 40000, "invalid 'amount'"),
            ("text_on_statement=aaaa", 40150, "invalid 'text_on_statement'"),
            ("marketplace[interregional_retailer]=1", 40000, "invalid 'marketplace[interregional_retailer]'"),
        ] {
            let answer = sim.post(&format!("/authorizations/{id}/{what}"), body).await;
            let expected = json!({"status": {"code": code, "message": message}});
            assert_eq!((answer.status, answer.json()), (400, expected), "{what} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn captures_at_once_stay_within_the_amount() {
    let (sim, id) = authorized(500).await;
    let sim = std::sync::Arc::new(sim);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (sim, path) = (sim.clone(), format!("/authorizations/{id}/captures"));
            tokio::spawn(async move { sim.post(&path, "amount=100").await.status })
        })
        .collect();
    let mut approved = 0;
    for task in tasks {
        approved += u32::from(task.await.unwrap() == 201);
    }
    assert_eq!(approved, 5);
    assert_eq!(sim.book().await.len(), 6);
}
