//! Named calls: one effect, one answer, whoever asks again and when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scanvault_origin::app::router::answer_public;
use scanvault_origin::payments::idempotency;
use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::{Fault, Match, Order};
use serde_json::{Value, json};

use crate::on_both;
use crate::shop::{self, PAN, code_of, link};
use crate::world::{Answer, Forward, World};

const KEY: &str = "q3uhVdDkvhKOsFLsoZKoUvcaKbVTSR9ZGBbEBmDXTWQ";

fn status(answer: &Answer) -> &str {
    answer.header("idempotency-status")
}

fn booked(world: &World, kind: Kind) -> usize {
    world.booked().into_iter().filter(|entry| entry.kind == kind).count()
}

/// A payment that waits to be captured: the call that captures it.
async fn capture(world: &World, auth: &str, key: &str) -> Forward {
    let code = link(world, auth, "100 DKK", json!({})).await;
    let id = shop::pay(world, &code, PAN, 10_000).await;
    let body = json!({"total": "100 DKK", "index": 0});
    Forward::post(format!("/v1/transactions/{id}/capture"), &body).with(auth).named(key)
}

/// Sends the same call so many times at once.
async fn at_once(world: World, call: Forward, times: usize) -> (Arc<World>, Vec<Answer>) {
    let world = Arc::new(world);
    let calls: Vec<_> = (0..times)
        .map(|_| {
            let (world, call) = (Arc::clone(&world), call.clone());
            tokio::spawn(async move { world.send(call).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    (world, answers)
}

#[track_caller]
fn assert_all_equal(answers: &[Answer]) {
    for answer in answers {
        assert_eq!((answer.status.as_u16(), status(answer)), (200, "OK"), "{}", answer.text());
        assert_eq!(answer.body, answers[0].body);
    }
}

on_both! {
    async fn sixty_four_links_under_one_key_are_one(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let call = Forward::post("/v1/new", &json!({"orderid": "7", "items": [{"total": "1 DKK"}]})).with(&auth).named(KEY);
        let (world, answers) = at_once(world, call.clone(), 64).await;
        assert_all_equal(&answers);
        code_of(&answers[0]);
        for table in ["SELECT COUNT(*) FROM payment_requests", "SELECT COUNT(*) FROM codes", "SELECT COUNT(*) FROM idempotency_keys"] {
            assert_eq!(world.number(table).await, 1, "{table}");
        }
        // The same after a restart, with the vault still sealed.
        let beside = Arc::new(world.beside().await);
        world.clock.advance_ms(1_000);
        let again = Answer::of(answer_public(beside, world.signed(&call)).await).await;
        assert_eq!((again.body.clone(), status(&again)), (answers[0].body.clone(), "OK"));
    }

    async fn sixty_four_captures_under_one_key_are_one(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let call = capture(&world, &auth, KEY).await;
        let (world, answers) = at_once(world, call.clone(), 64).await;
        assert_all_equal(&answers);
        assert_eq!((answers[0].text().as_str(), booked(&world, Kind::Capture)), ("{}", 1));
        let beside = Arc::new(world.beside().await);
        world.clock.advance_ms(1_000);
        let again = Answer::of(answer_public(beside, world.signed(&call)).await).await;
        assert_eq!((again.text().as_str(), status(&again), booked(&world, Kind::Capture)), ("{}", "OK", 1));
    }

    /// Without a key the index is what keeps them apart.
    async fn sixty_four_captures_with_one_index_are_one(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let call = Forward { idempotency_key: None, ..capture(&world, &auth, KEY).await };
        let (world, answers) = at_once(world, call, 64).await;
        let done = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((done, booked(&world, Kind::Capture)), (1, 1));
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert!(answer.status == 409 && answer.body.ends_with(b"\n"), "{}", answer.text());
            assert_eq!(status(answer), "");
        }
    }

    async fn another_request_under_the_same_key_is_an_error(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let call = |body: Value| Forward::post("/v1/new", &body).with(&auth).named(KEY);
        let first = world.send(call(json!({"items": [{"total": "1 DKK"}], "orderid": "7"}))).await;
        let spelled = r#"{ "orderid": 7, "unknown": true, "items": [ { "total": "1.00DKK" } ] }"#;
        let same = world.send(Forward::post_text("/v1/new", spelled).with(&auth).named(KEY)).await;
        assert_eq!((same.body.clone(), status(&same)), (first.body, "OK"), "equal when read");
        let other = world.send(call(json!({"items": [{"total": "2 DKK"}], "orderid": "7"}))).await;
        other.assert_line(409, "this idempotency-key was used with another request");
        assert_eq!(status(&other), "ERROR");
        // Another shop, or another path, has keys of its own.
        let neighbour = world.merchant(26).await;
        let elsewhere = Forward::post("/v1/new", &json!({"items": [{"total": "2 DKK"}]})).with(&neighbour).named(KEY);
        code_of(&world.send(elsewhere).await);
        assert_eq!(world.number("SELECT COUNT(*) FROM payment_requests").await, 2);
    }

    async fn a_number_with_its_shop_before_it_is_the_same_number(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let bare = capture(&world, &auth, KEY).await;
        let first = world.send(bare.clone()).await;
        assert_eq!((first.text().as_str(), status(&first)), ("{}", "OK"));
        let spelled = Forward { path: bare.path.replace("/transactions/", "/transactions/25:0"), ..bare };
        let again = world.send(spelled).await;
        assert_eq!((again.text().as_str(), status(&again), booked(&world, Kind::Capture)), ("{}", "OK", 1));
    }

    async fn a_certain_refusal_is_an_answer_that_lasts(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for (body, text) in [("{", "invalid json"), ("{}", "missing items"), (r#"{"items":[{"total":"x"}]}"#, "invalid items.total")] {
            let call = Forward::post_text("/v1/new", body).with(&auth).named(text.replace(' ', "-").as_str());
            for _ in 0..2 {
                let answer = world.send(call.clone()).await;
                answer.assert_line(400, text);
                assert_eq!(status(&answer), "OK");
            }
        }
        let call = capture(&world, &auth, "first").await;
        assert_eq!(world.send(call.clone()).await.status, 200);
        for _ in 0..2 {
            let late = world.send(Forward { idempotency_key: Some("second".into()), ..call.clone() }).await;
            late.assert_line(409, "invalid index");
            assert_eq!(status(&late), "OK");
        }
        assert_eq!(booked(&world, Kind::Capture), 1);
        for key in ["", "with space", &"x".repeat(256)] {
            let answer = world.send(Forward { idempotency_key: Some(key.to_owned()), ..call.clone() }).await;
            assert_eq!((answer.status.as_u16(), status(&answer)), (400, "ERROR"), "{key}");
        }
    }

    async fn what_is_sealed_may_be_asked_again(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let call = capture(&world, &auth, KEY).await;
        assert_eq!(world.admin("POST", "/vault/seal", &json!({})).await.status, 200);
        let sealed = world.send(call.clone()).await;
        assert_eq!((sealed.status.as_u16(), status(&sealed)), (503, ""));
        world.unseal().await;
        let done = world.send(call).await;
        assert_eq!((done.text().as_str(), status(&done)), ("{}", "OK"));
    }

    /// A crash between the outcome and its answer: the answer is read off the act.
    async fn an_open_key_is_answered_from_its_act(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let call = capture(&world, &auth, KEY).await;
        assert_eq!(world.send(call.clone()).await.status, 200);
        world.execute("UPDATE idempotency_keys SET status = NULL, body = NULL WHERE path LIKE '%capture'").await;
        let again = world.send(call).await;
        assert_eq!((again.text().as_str(), status(&again), booked(&world, Kind::Capture)), ("{}", "OK", 1));
        assert_eq!(world.number("SELECT COUNT(*) FROM idempotency_keys WHERE status = 200").await, 1);
    }

    /// The acquirer does not answer: the client is told in time, and that nothing is known; the work goes on.
    async fn a_slow_act_is_answered_in_time_and_again_later(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let call = capture(&world, &auth, KEY).await;
        let slow = Order { r#match: Match { kind: Some(Kind::Capture), amount: None }, fault: Fault::Delay, delay_ms: 8_500, times: 1 };
        world.faults.order(slow);
        let began = Instant::now();
        let (world, answers) = at_once(world, call.clone(), 3).await;
        // After seven seconds: before the edge gives up, and before the acquirer answers.
        assert!(began.elapsed() < Duration::from_millis(8_400), "{:?}", began.elapsed());
        for answer in answers {
            answer.assert_line(503, "The origin did not answer; the outcome is unknown, retry with the same key");
            assert_eq!(status(&answer), "");
        }
        let later = world.send(call).await;
        assert_eq!((later.text().as_str(), status(&later), booked(&world, Kind::Capture)), ("{}", "OK", 1));
    }

    async fn keys_are_forgotten_after_a_week_and_hold_nothing(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let body = json!({"orderid": "very-private", "items": [{"total": "1 DKK"}]});
        let call = Forward::post("/v1/new", &body).with(&auth).named(KEY);
        let first = world.send(call.clone()).await.text();
        let name: String = sqlx::Row::try_get(
            &sqlx::query("SELECT name FROM idempotency_keys").fetch_one(world.app.db.read()).await.unwrap(), 0).unwrap();
        assert!(name.len() == 43 && name != KEY, "{name}");
        world.clock.advance_ms(u64::try_from(idempotency::KEPT_MS).unwrap() - 10_000);
        assert_eq!(idempotency::sweep(&world.app.db, i64::try_from(world.clock_ms()).unwrap()).await.unwrap(), 0);
        assert_eq!(world.send(call.clone()).await.text(), first);
        world.clock.advance_ms(20_000);
        assert_eq!(idempotency::sweep(&world.app.db, i64::try_from(world.clock_ms()).unwrap()).await.unwrap(), 1);
        assert_ne!(world.send(call).await.text(), first, "forgotten: done anew");
    }
}
