//! Ordered faults, seen from the client's side and from the book's.

use std::time::Instant;

use scanvault_sandbox::nets::codec::{Frame, Status};

use super::{SILENCE, Sim, authorization, capture};

#[tokio::test]
async fn before_and_after_the_booking() {
    let sim = Sim::start().await;
    let request = authorization("order-1", 1234);
    sim.order(r#"{"match":{"kind":"authorization","amount":1234},"fault":"drop_before"}"#);
    assert!(sim.try_send(&request).await.is_none());
    assert_eq!(sim.moved(), []);
    sim.order(r#"{"match":{"kind":"authorization"},"fault":"500"}"#);
    let answer = sim.send(&request).await;
    assert_eq!((answer.kind(), answer.status, answer.get(39)), ("1110", Status::InternalError, None));
    assert_eq!(sim.moved(), []);
    sim.order(r#"{"match":{"kind":"authorization"},"fault":"drop_after"}"#);
    assert!(sim.try_send(&request).await.is_none());
    assert_eq!(sim.moved(), [("authorization".to_owned(), 1234)]);
    sim.expect(&request, "913").await;
}

#[tokio::test]
async fn a_lost_capture_is_sent_again() {
    let sim = Sim::start().await;
    let first = sim.authorized("order-1", 1000).await;
    let request = capture("order-1", 1000, "201", &first, first.get(38).unwrap());
    sim.order(r#"{"match":{"kind":"capture","amount":1000},"fault":"drop_after"}"#);
    assert!(sim.try_send(&request).await.is_none());
    sim.expect(&request, "000").await;
    assert_eq!(sim.moved().len(), 2);
}

#[tokio::test]
async fn garbage_delays_and_silence() {
    let sim = Sim::start().await;
    sim.order(r#"{"fault":"garbage"}"#);
    let request = authorization("order-1", 1000);
    let bytes = sim.bytes(&Frame::new(request.encode().to_vec()).encode().unwrap()).await;
    assert!(!bytes.is_empty() && Frame::decode(&bytes).is_err());
    sim.order(r#"{"fault":"delay","delay_ms":60}"#);
    let started = Instant::now();
    sim.authorized("order-2", 1000).await;
    assert!(started.elapsed() >= SILENCE);
    sim.order(r#"{"fault":"timeout","delay_ms":60}"#);
    let started = Instant::now();
    assert!(sim.try_send(&authorization("order-3", 1000)).await.is_none());
    assert!(started.elapsed() >= SILENCE);
    sim.order(r#"{"fault":"timeout"}"#);
    let request = authorization("order-4", 1000);
    assert!(tokio::time::timeout(SILENCE, sim.try_send(&request)).await.is_err(), "it never answers");
    assert_eq!(sim.moved().len(), 4, "all of them were booked");
}
