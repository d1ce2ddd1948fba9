//! Money given back over `/pluto`: what the merchant is answered, what the poll says, and what the gateway's book says.

use std::sync::Arc;

use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::{Fault, Match, Order};
use serde_json::{Value, json};

use crate::card;
use crate::on_both;
use crate::world::{Answer, Forward, World};

const PAN: &str = "4111111111111111";
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

struct Paid {
    auth: String,
    code: String,
    reference: &'static str,
    id: i64,
}

/// A payment of ten of a merchant that polls.
async fn paid(world: &World, auth: &str, reference: &'static str) -> Paid {
    let code = card::code(world, auth, reference, "10.00").await;
    let answer = card::pay(world, &code, PAN, 1000).await.json();
    assert_eq!(answer["state"], "paid", "{answer}");
    Paid { auth: auth.to_owned(), code, reference, id: answer["transactionId"].as_i64().unwrap() }
}

async fn poller(world: &mut World) -> String {
    let auth = world.ready().await;
    world.execute("UPDATE accounts SET webhook_url = NULL WHERE name = 'merchant-25'").await;
    auth
}

impl Paid {
    fn refund_of(&self, body: &str) -> Forward {
        Forward::post_text(format!("/pluto/purchase/{}", self.id), body).with(&self.auth)
    }

    async fn refund(&self, world: &World, body: &str) -> Answer {
        world.send(self.refund_of(body)).await
    }

    async fn reverse(&self, world: &World) -> Answer {
        world.send(Forward::delete(format!("/pluto/purchase/{}", self.id)).with(&self.auth)).await
    }

    async fn poll(&self, world: &World, path: &str) -> Value {
        world.clock.advance_ms(5_000);
        let body = json!({"code": self.code, "merchantReference": self.reference});
        let answer = world.send(Forward::post(format!("/pluto/code/{path}"), &body).with(&self.auth)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn state(&self, world: &World) -> Value {
        let path = format!("/pluto/code/transaction/state/{}", self.id);
        world.send(Forward::get(path).with(&self.auth)).await.json()
    }
}

fn fault(world: &World, kind: Kind, fault: Fault) {
    let order = Order { r#match: Match { kind: Some(kind), amount: None }, fault, delay_ms: 0, times: 1 };
    world.faults.order(order);
}

fn given_back(world: &World) -> Vec<(Kind, u64)> {
    let entries = world.booked().into_iter().filter(|entry| matches!(entry.kind, Kind::Refund | Kind::Void));
    entries.map(|entry| (entry.kind, entry.amount)).collect()
}

#[track_caller]
/// What the answer is to the key of its call.
fn lasts(answer: &Answer) -> &str {
    answer.header("idempotency-status")
}

fn assert_conflict(answer: &Answer, detail: &str) {
    answer.assert_problem(409, "conflict");
    assert_eq!(answer.json()["detail"], detail);
}

on_both! {
    async fn refunds_go_on_until_nothing_is_left(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = paid(&world, &auth, "refund-1").await;
        let answer = paid.refund(&world, r#"{"amount": 2.509}"#).await;
        assert!(answer.text().contains("\"amount\":2.50,"), "{}", answer.text());
        let told = answer.json();
        assert_eq!((answer.status.as_u16(), &told), (200, &json!({"transactionId": paid.id, "reference": "refund-1",
            "amount": 2.5, "currencyCode": "ZAR", "status": "END_REFUNDED", "clientMsisdn": null, "bankResponse": "00",
            "code": paid.code, "retrievalReferenceNumber": paid.id, "authCode": told["authCode"], "date": told["date"],
            "index": 2, "capturedAmount": 10.0, "refundedAmount": 2.5})));
        assert_eq!(paid.state(&world).await["status"], "SUCCESS");
        let poll = paid.poll(&world, "queryRef/refund").await;
        assert_eq!((&poll["status"], &poll["amount"]), (&json!("END_REFUNDED"), &json!(2.5)));
        // A bare number, and the other path.
        let path = format!("/pluto/purchase/{}/refund", paid.id);
        let second = world.send(Forward::post_text(path, "7").with(&auth)).await;
        assert_eq!((second.status.as_u16(), &second.json()["refundedAmount"]), (200, &json!(9.5)));
        let text = "amount must be more than zero, and not more than is left";
        for body in ["0.51", "0", "0.00", r#"{"amount": 1000000}"#] {
            let refused = paid.refund(&world, body).await;
            refused.assert_problem(400, "invalid-amount");
            assert_eq!(refused.json()["detail"], text, "{body}");
        }
        assert_eq!(paid.refund(&world, "0.50").await.json()["index"], 4);
        paid.refund(&world, "0.01").await.assert_problem(400, "invalid-amount");
        assert_eq!(paid.state(&world).await["status"], "END_REFUNDED");
        assert_eq!(paid.poll(&world, "queryRef").await["status"], "END_REFUNDED");
        assert_eq!(given_back(&world), [(Kind::Refund, 250), (Kind::Refund, 700), (Kind::Refund, 50)]);
    }

    async fn what_is_no_refund_is_said(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = paid(&world, &auth, "refund-2").await;
        for (body, code) in [
            ("", "bad-request"), ("{}", "bad-request"), ("[1]", "invalid-amount"), ("\"1\"", "invalid-amount"),
            ("-1", "invalid-amount"), ("1e0", "invalid-amount"), (r#"{"amount":"1"}"#, "invalid-amount"),
            (r#"{"amount":1,"reason":"x"}"#, "bad-request"), (r#"{"amount":1,"index":-1}"#, "bad-request"),
        ] {
            paid.refund(&world, body).await.assert_problem(400, code);
        }
        let text = Forward { content_type: Some("text/plain"), ..paid.refund_of("1") };
        world.send(text).await.assert_problem(415, "unsupported-media-type");
        let other = paid.refund(&world, r#"{"amount":1,"merchantId":26}"#).await;
        other.assert_problem(404, "not-found");
        for path in ["/pluto/purchase/x", "/pluto/purchase/0", "/pluto/purchase/99"] {
            world.send(Forward::delete(path).with(&auth)).await.assert_problem(404, "not-found");
            world.send(Forward::post_text(path, "1").with(&auth)).await.assert_problem(404, "not-found");
        }
        assert_eq!(given_back(&world), []);
        assert_eq!(paid.refund(&world, r#"{"amount":1,"merchantId":25}"#).await.status, 200);
    }

    async fn a_reversal_gives_back_everything_once(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = paid(&world, &auth, "reverse-1").await;
        let answer = paid.reverse(&world).await;
        let told = answer.json();
        assert_eq!((answer.status.as_u16(), &told["status"], &told["amount"], &told["refundedAmount"]),
            (200, &json!("END_REVERSED"), &json!(10.0), &json!(10.0)), "{told}");
        let again = paid.reverse(&world).await;
        assert_eq!((again.status.as_u16(), again.json()), (200, told), "a repeat is answered as the first");
        assert_eq!(paid.state(&world).await["status"], "END_REVERSED");
        assert_eq!(paid.poll(&world, "queryRef").await["status"], "END_REVERSED");
        assert_eq!(paid.poll(&world, "queryRef/refund").await["status"], "END_REVERSED");
        paid.refund(&world, "1").await.assert_problem(409, "conflict");
        assert_eq!(given_back(&world), [(Kind::Refund, 1000)]);
        let with_body = Forward { method: "DELETE", ..paid.refund_of("1") };
        world.send(with_body).await.assert_problem(400, "bad-request");
    }

    async fn what_is_held_and_not_taken_is_released_by_a_reversal(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let code = card::code(&world, &auth, "held-1", "10.00").await;
        world.execute("UPDATE payment_requests SET autocapture = 0").await;
        let answer = card::pay(&world, &code, PAN, 1000).await.json();
        let paid = Paid { auth, code, reference: "held-1", id: answer["transactionId"].as_i64().unwrap() };
        paid.refund(&world, "1").await.assert_problem(400, "invalid-amount");
        world.clock.advance_ms(2 * DAY_MS); // a hold may be given back for as long as it is one
        let answer = paid.reverse(&world).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("END_REVERSED")));
        assert_eq!(given_back(&world), [(Kind::Void, 1000)]);
        assert_eq!(paid.reverse(&world).await.json(), answer.json());
    }

    async fn reversed_and_refunded_exclude_each_other_and_a_reversal_has_its_time(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let (first, second) = (paid(&world, &auth, "x-1").await, paid(&world, &auth, "x-2").await);
        assert_eq!(first.refund(&world, "1").await.status, 200);
        assert_conflict(&first.reverse(&world).await, "a payment is either reversed or refunded");
        world.clock.advance_ms(DAY_MS);
        assert_conflict(&second.reverse(&world).await, "The time for a reversal is over: it can be refunded");
        assert_eq!(second.refund(&world, "10").await.status, 200);
        assert_eq!(given_back(&world), [(Kind::Refund, 100), (Kind::Refund, 1000)]);
        // What was never paid is not given back.
        let code = card::code(&world, &auth, "x-3", "10.00").await;
        let declined = card::pay(&world, &code, "4200000000000000", 40413).await;
        assert_ne!(declined.json()["state"], "paid");
    }

    async fn who_does_not_know_the_last_act_looks_first(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = paid(&world, &auth, "index-1").await;
        assert_eq!(paid.state(&world).await["index"], 1);
        let stale = paid.refund(&world, r#"{"amount":1,"index":0}"#).await;
        assert_conflict(&stale, "the index is not the number of acts");
        assert_eq!(paid.refund(&world, r#"{"amount":1,"index":1}"#).await.json()["index"], 2);
        assert_conflict(&paid.refund(&world, r#"{"amount":1,"index":1}"#).await, "the index is not the number of acts");
        assert_eq!(given_back(&world), [(Kind::Refund, 100)]);
    }

    async fn a_named_refund_happens_once_however_often_it_is_sent(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = paid(&world, &auth, "named-1").await;
        let named = paid.refund_of(r#"{"amount":2}"#).named("a-key-of-the-shop");
        let first = world.send(named.clone()).await;
        assert_eq!(first.status, 200, "{}", first.text());
        let again = world.send(named).await;
        assert_eq!((again.status, again.json()), (first.status, first.json()));
        assert_eq!([lasts(&first), lasts(&again)], ["OK", "OK"]);
        // The same refund, spelled otherwise: its body, its path, both.
        let other_path = |body| Forward::post_text(format!("/pluto/purchase/0{}/refund", paid.id), body).with(&auth);
        for spelled in [paid.refund_of("2.00"), other_path(r#"{"amount":2}"#), other_path("2")] {
            let equal = world.send(spelled.named("a-key-of-the-shop")).await;
            assert_eq!((equal.status.as_u16(), equal.json(), lasts(&equal)), (200, first.json(), "OK"));
        }
        let other = world.send(paid.refund_of("3").named("a-key-of-the-shop")).await;
        assert_conflict(&other, "This Idempotency-Key was used with another request");
        assert_eq!(lasts(&other), "ERROR");
        let no_key = world.send(paid.refund_of("1").named("")).await;
        no_key.assert_problem(400, "bad-request");
        assert_eq!(lasts(&no_key), "ERROR");
        // Nothing was begun: under the same key it may be sent with another amount.
        let too_much = world.send(paid.refund_of("9").named("another-key")).await;
        too_much.assert_problem(400, "invalid-amount");
        assert_eq!(lasts(&too_much), "");
        assert_eq!(given_back(&world), [(Kind::Refund, 200)]);
        let world = Arc::new(world);
        let calls: Vec<_> = (0..12)
            .map(|_| {
                let (world, refund) = (Arc::clone(&world), paid.refund_of("1").named("another-key"));
                tokio::spawn(async move { world.send(refund).await })
            })
            .collect();
        let mut done = 0;
        for call in calls {
            let answer = call.await.unwrap();
            match answer.status.as_u16() {
                200 | 202 => done += 1, // 202: the first is not answered yet
                _ => assert_eq!(answer.json()["code"], "conflict", "{}", answer.text()),
            }
        }
        assert!(done > 0);
        assert_eq!(given_back(&world), [(Kind::Refund, 200), (Kind::Refund, 100)]);
        let last = world.send(paid.refund_of("1").named("another-key")).await;
        assert_eq!((last.status.as_u16(), &last.json()["amount"], lasts(&last)), (200, &json!(1.0), "OK"));
    }

    async fn many_reversals_and_refunds_at_once_give_back_no_more_than_there_is(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = Arc::new(paid(&world, &auth, "race-1").await);
        let world = Arc::new(world);
        let calls: Vec<_> = (0..16)
            .map(|at| {
                let (world, paid) = (Arc::clone(&world), Arc::clone(&paid));
                tokio::spawn(async move {
                    if at % 4 == 0 { paid.reverse(&world).await } else { paid.refund(&world, "4").await }
                })
            })
            .collect();
        for call in calls {
            let answer = call.await.unwrap();
            assert!(matches!(answer.status.as_u16(), 200 | 202 | 400 | 409), "{}", answer.text());
        }
        let booked: u64 = given_back(&world).iter().map(|entry| entry.1).sum();
        let state = paid.state(&world).await;
        assert_eq!(state["refundedAmount"].as_f64().unwrap() * 100.0, f64::from(u32::try_from(booked).unwrap()));
        match state["status"].as_str().unwrap() {
            "END_REVERSED" => assert_eq!(given_back(&world), [(Kind::Refund, 1000)]),
            _ => assert!(booked == 400 || booked == 800, "{booked}"),
        }
    }

    async fn what_nobody_knows_is_pending_and_nothing_else_begins(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = paid(&world, &auth, "unknown-1").await;
        fault(&world, Kind::Refund, Fault::DropAfter);
        let refund = paid.refund_of("2").named("unknown-key");
        let answer = world.send(refund.clone()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (202, &json!("PENDING")), "{}", answer.text());
        assert_eq!((&answer.json()["bankResponse"], lasts(&answer)), (&json!(null), ""));
        assert_eq!(world.send(refund).await.status, 202);
        assert_eq!(paid.poll(&world, "queryRef/refund").await["status"], "PENDING");
        assert_conflict(&paid.refund(&world, "1").await, "another act on this transaction has no outcome yet");
        assert_conflict(&paid.reverse(&world).await, "another act on this transaction has no outcome yet");
        assert_eq!(given_back(&world), [(Kind::Refund, 200)]);
    }

    async fn a_refusal_of_the_acquirer_is_told_and_may_be_followed_by_another_try(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = paid(&world, &auth, "refused-1").await;
        // We believe in more than the gateway has.
        world.execute("UPDATE transactions SET captured_minor = 2000, authorised_minor = 2000, amount_minor = 2000").await;
        for _ in 0..2 {
            let refused = world.send(paid.refund_of("15").named("refused-key")).await;
            refused.assert_problem(409, "conflict");
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.starts_with("The acquirer refused: ") && lasts(&refused) == "OK", "{detail}");
        }
        let poll = paid.poll(&world, "queryRef/refund").await;
        assert_eq!((&poll["status"], &poll["amount"]), (&json!("END_REFUND_FAILED"), &json!(15.0)));
        assert_eq!(poll["bankResponse"], json!(null));
        paid.reverse(&world).await.assert_problem(409, "conflict");
        assert_eq!(paid.poll(&world, "queryRef/refund").await["status"], "END_REVERSAL_FAILED");
        assert_eq!(paid.poll(&world, "queryRef").await["status"], "SUCCESS");
        assert_eq!(paid.refund(&world, "10").await.status, 200);
        assert_eq!(given_back(&world), [(Kind::Refund, 1000)]);
    }

    async fn nothing_is_given_back_while_the_vault_is_sealed(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let paid = paid(&world, &auth, "sealed-1").await;
        assert_eq!(world.admin("POST", "/vault/seal", &json!({})).await.status, 200);
        paid.refund(&world, "1").await.assert_problem(503, "sealed");
        paid.reverse(&world).await.assert_problem(503, "sealed");
        let named = paid.refund_of("1").named("while-sealed");
        world.send(named.clone()).await.assert_problem(503, "sealed");
        world.unseal().await;
        assert_eq!(world.send(named).await.status, 200, "nothing was begun, so the key is free");
        assert_eq!(given_back(&world), [(Kind::Refund, 100)]);
    }
}
