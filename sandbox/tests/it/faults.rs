//! Ordered faults, seen from the client's side and from the book's.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::support::{Sim, card, send};

async fn order(sim: &Sim, order: &str) {
    let answer =
        send(sim.server.address, "POST", "/_faults", &[("content-type", "application/json")], order.as_bytes()).await;
    assert_eq!(answer.unwrap().status, 204, "{order}");
}

#[tokio::test]
async fn dropped_before_nothing_is_booked() {
    let sim = Sim::start().await;
    order(&sim, r#"{"match":{"kind":"authorization"},"fault":"drop_before","times":2}"#).await;
    for _ in 0..2 {
        assert!(sim.try_post("/authorizations", &card(1000)).await.is_none(), "not one byte");
    }
    assert!(sim.book().await.is_empty());
    sim.approved("/authorizations", &card(1000)).await;
}

#[tokio::test]
async fn dropped_after_it_is_booked() {
    let sim = Sim::start().await;
    order(&sim, r#"{"match":{"kind":"authorization","amount":1234},"fault":"drop_after"}"#).await;
    sim.approved("/authorizations", &card(1000)).await;
    assert!(sim.try_post("/authorizations", &card(1234)).await.is_none(), "not one byte");
    let book = sim.book().await;
    assert_eq!((book.len(), &book[1]["amount"], &book[1]["booked"]), (2, &json!(1234), &json!(true)));
    let id = book[1]["id"].as_str().unwrap();
    order(&sim, r#"{"match":{"kind":"capture","amount":1234},"fault":"drop_after"}"#).await;
    let capture = format!("/authorizations/{id}/captures");
    assert!(sim.try_post(&capture, "").await.is_none(), "no amount stands for what remains");
    assert_eq!(sim.post(&capture, "").await.status, 400, "the first one has been booked");
}

#[tokio::test]
async fn a_cut_connection_that_was_kept_alive() {
    let sim = Sim::start().await;
    order(&sim, r#"{"fault":"drop_before"}"#).await;
    let mut stream = TcpStream::connect(sim.server.address).await.unwrap();
    let body = card(1);
    let request = |body: &str| {
        let (basic, signature) = (crate::support::basic(), sim.sign(body));
        format!(
            "POST /authorizations HTTP/1.1\r\nhost: x\r\nauthorization: {basic}\r\nsignature: {signature}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    tokio::io::AsyncWriteExt::write_all(&mut stream, request(&body).as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(bytes.is_empty(), "the connection ends without an answer");
}

#[tokio::test]
async fn server_error_and_garbage() {
    let sim = Sim::start().await;
    order(&sim, r#"{"fault":"500"}"#).await;
    let answer = sim.post("/authorizations", &card(1000)).await;
    assert_eq!((answer.status, answer.body.len()), (500, 0));
    assert!(sim.book().await.is_empty());
    order(&sim, r#"{"fault":"garbage"}"#).await;
    let answer = sim.post("/authorizations", &card(1000)).await;
    assert_eq!(answer.status, 201);
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
    assert_eq!(sim.book().await.len(), 1, "booked, whatever was answered");
}

#[tokio::test]
async fn delays_and_time_outs() {
    let sim = Sim::start().await;
    let limit = Duration::from_millis(60);
    order(&sim, r#"{"fault":"delay","delay_ms":60}"#).await;
    let started = Instant::now();
    sim.approved("/authorizations", &card(1000)).await;
    assert!(started.elapsed() >= limit);

    order(&sim, r#"{"fault":"timeout","delay_ms":60}"#).await;
    let started = Instant::now();
    assert!(sim.try_post("/authorizations", &card(2000)).await.is_none());
    assert!(started.elapsed() >= limit);

    order(&sim, r#"{"fault":"timeout"}"#).await;
    let body = card(3000);
    let waiting = tokio::time::timeout(limit, sim.try_post("/authorizations", &body)).await;
    assert!(waiting.is_err(), "it never answers");
    let amounts: Vec<_> = sim.book().await.iter().map(|entry| entry["amount"].as_u64().unwrap()).collect();
    assert_eq!(amounts, [1000, 2000, 3000], "all of them were booked");
}

#[tokio::test]
async fn orders_can_be_seen_and_taken_back() {
    let sim = Sim::start().await;
    order(&sim, r#"{"match":{"kind":"void"},"fault":"timeout","times":3}"#).await;
    let pending = send(sim.server.address, "GET", "/_faults", &[], b"").await.unwrap().json();
    assert_eq!(pending, json!([{"match": {"kind": "void"}, "fault": "timeout", "delay_ms": 0, "times": 3}]));
    assert_eq!(send(sim.server.address, "DELETE", "/_faults", &[], b"").await.unwrap().status, 204);
    let id = sim.approved("/authorizations", &card(1000)).await;
    sim.approved(&format!("/authorizations/{id}/voids"), "").await;
    for bad in [r#"{"fault":"explode"}"#, "", r#"{"match":{"kind":"payment"},"fault":"delay"}"#] {
        let json = [("content-type", "application/json")];
        let answer = send(sim.server.address, "POST", "/_faults", &json, bad.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn only_requests_that_may_ask_use_a_fault_up() {
    let sim = Sim::start().await;
    order(&sim, r#"{"fault":"drop_before"}"#).await;
    assert_eq!(send(sim.server.address, "POST", "/authorizations", &[], b"").await.unwrap().status, 401);
    assert_eq!(sim.call("POST", "/authorizations", b"").await.status, 400);
    assert!(sim.try_post("/authorizations", &card(1)).await.is_none());
}
