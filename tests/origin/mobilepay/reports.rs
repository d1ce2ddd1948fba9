//! What the acquirer did MobilePay is told, once, whatever becomes of the telling.

use std::sync::Arc;

use scanvault_origin::payments::engine::{ActRequest, no_hook};
use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::Fault;
use serde_json::{Value, json};

use super::{Sent, Shop};
use crate::on_both;
use crate::world::World;

const FAULTS: [Fault; 5] = [Fault::DropBefore, Fault::DropAfter, Fault::ServerError, Fault::Garbage, Fault::Duplicate];

async fn act(shop: &Shop, sent: &Sent, what: ActRequest) {
    let acted = shop.world.app.payments.act(sent.id, what, None, no_hook()).await.unwrap();
    assert!(acted.decline.is_none(), "{acted:?}");
}

/// Held and confirmed, and the merchant is the one who takes it.
async fn held(shop: &Shop, reference: &str) -> Sent {
    let code = shop.code(reference, "10.00").await;
    // By the interface that has a word for it this is `autocapture`.
    let statement = "UPDATE payment_requests SET autocapture = 0 WHERE merchant_reference = $1";
    sqlx::query(statement).bind(reference.to_owned()).execute(shop.world.app.db.write()).await.unwrap();
    let (attempt, answer) = shop.order(&code, &json!({})).await;
    let answer = answer.json();
    let landing = format!("/landing/{}", answer["url"].as_str().unwrap().split_once("/landing/").unwrap().1);
    let sent = Sent { code, attempt, landing, id: answer["transactionId"].as_i64().unwrap() };
    assert_eq!(shop.press(&sent, "approve").await, 303);
    assert_eq!(shop.seen(&sent).await.1, "PENDING");
    shop.wait(1_000);
    shop.work().await;
    assert_eq!(shop.seen(&sent).await.1, "SUCCESS");
    sent
}

fn moved(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|(name, minor)| ((*name).to_owned(), *minor)).collect()
}

on_both! {
    async fn captures_and_refunds_in_parts(world: World) {
        let shop = Shop::open(world).await;
        let sent = held(&shop, "parts").await;
        for (what, minor) in [
            (ActRequest::Capture as fn(u64) -> ActRequest, 400),
            (ActRequest::Refund, 150),
            (ActRequest::Capture, 600),
            (ActRequest::Refund, 250),
        ] {
            act(&shop, &sent, what(minor)).await;
            shop.work().await;
        }
        let expected = [("AUTHORIZED", 1000), ("CAPTURED", 400), ("REFUNDED", 150), ("CAPTURED", 600), ("REFUNDED", 250)];
        assert_eq!(shop.moved(sent.id), moved(&expected));
        shop.assert_books_agree().await;
    }

    async fn a_void_releases_what_is_held_there(world: World) {
        let shop = Shop::open(world).await;
        let sent = held(&shop, "void").await;
        act(&shop, &sent, ActRequest::Void).await;
        shop.work().await;
        assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CANCELLED", 1000)]));
        shop.assert_books_agree().await;
    }

    async fn a_reversal_of_what_was_captured_is_a_refund_there(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.paid("reversal", "10.00").await;
        act(&shop, &sent, ActRequest::Reverse).await;
        shop.work().await;
        assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CAPTURED", 1000), ("REFUNDED", 1000)]));
        assert_eq!(shop.seen(&sent).await.1, "END_REVERSED");
        shop.assert_books_agree().await;
    }

    async fn a_report_whose_answer_is_lost_is_made_once(world: World) {
        let shop = Shop::open(world).await;
        for (at, fault) in FAULTS.into_iter().enumerate() {
            let sent = shop.sent(&format!("capture-{at}"), "10.00").await;
            shop.fault_for(Kind::Capture, fault, 0, 2);
            shop.press(&sent, "approve").await;
            shop.wait(1_000);
            shop.work_for(4, 5_000).await;
            act(&shop, &sent, ActRequest::Refund(300)).await;
            shop.fault_for(Kind::Refund, fault, 0, 2);
            shop.work_for(4, 5_000).await;
            let expected = [("AUTHORIZED", 1000), ("CAPTURED", 1000), ("REFUNDED", 300)];
            assert_eq!(shop.moved(sent.id), moved(&expected), "{fault:?}");
            shop.faults.clear();
        }
        shop.assert_books_agree().await;
    }

    async fn a_release_whose_answer_is_lost_is_made_once(world: World) {
        let shop = Shop::open(world).await;
        for (at, fault) in FAULTS.into_iter().enumerate() {
            let sent = held(&shop, &format!("void-{at}")).await;
            act(&shop, &sent, ActRequest::Void).await;
            shop.fault_for(Kind::Void, fault, 0, 2);
            shop.work_for(4, 5_000).await;
            assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CANCELLED", 1000)]), "{fault:?}");
            shop.faults.clear();
        }
        shop.assert_books_agree().await;
    }

    async fn questions_that_are_not_answered_are_asked_again(world: World) {
        let shop = Shop::open(world).await;
        for (at, fault) in FAULTS.into_iter().enumerate() {
            let sent = shop.sent(&format!("read-{at}"), "10.00").await;
            shop.press(&sent, "approve").await;
            shop.fault_for(Kind::Read, fault, 0, 2);
            shop.work_for(6, 5_000).await;
            assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CAPTURED", 1000)]), "{fault:?}");
            shop.faults.clear();
        }
        shop.fault_for(Kind::Token, Fault::DropAfter, 0, 2);
        shop.assert_books_agree().await;
    }

    async fn later_reports_wait_for_earlier_ones(world: World) {
        let shop = Shop::open(world).await;
        let sent = held(&shop, "order").await;
        shop.fault_for(Kind::Capture, Fault::ServerError, 0, 1);
        act(&shop, &sent, ActRequest::Capture(500)).await;
        act(&shop, &sent, ActRequest::Refund(500)).await;
        shop.work().await;
        // The refund was due, and would have been refused for good.
        assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000)]));
        assert_eq!(shop.world.number("SELECT CAST(SUM(attempts) AS BIGINT) FROM wallet_reports WHERE kind = 'refund'").await, 0);
        shop.wait(5_000);
        shop.work().await;
        assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CAPTURED", 500), ("REFUNDED", 500)]));
        shop.assert_books_agree().await;
    }

    async fn several_workers_tell_once(world: World) {
        let shop = Arc::new(Shop::open(world).await);
        let mut all = Vec::new();
        for at in 0..6 {
            let sent = shop.sent(&format!("workers-{at}"), "10.00").await;
            shop.press(&sent, "approve").await;
            all.push(sent);
        }
        shop.wait(1_000);
        let workers = (0..4).map(|_| {
            let shop = Arc::clone(&shop);
            tokio::spawn(async move { shop.work().await })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
        for sent in all {
            assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CAPTURED", 1000)]));
            assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000), (Kind::Capture, 1000)]);
        }
        shop.assert_books_agree().await;
    }

    async fn what_mobilepay_will_not_hear_is_parked_and_told_again_by_an_operator(world: World) {
        let shop = Shop::open(world).await;
        let sent = held(&shop, "parked").await;
        act(&shop, &sent, ActRequest::Capture(1000)).await;
        // Fourteen days in Denmark; then the wallet's books are closed to us.
        shop.sim_clock.advance(15 * 86_400);
        shop.work().await;
        let parked = shop.world.admin("GET", "/transactions/reports", &Value::Null).await.json();
        assert_eq!((&parked["parked"][0]["transactionId"], &parked["parked"][0]["kind"]), (&json!(sent.id), &json!("capture")));
        assert_eq!(parked["parked"][0]["lastError"], "MobilePay refused (6100)");
        let again = format!("/transactions/{}/report", sent.id);
        assert_eq!(shop.world.admin("POST", &again, &json!({})).await.status, 200);
        assert_eq!(shop.world.admin("POST", &again, &json!({})).await.status, 404);
        // MobilePay's support has opened them: a new key, for a refusal stays one for its key.
        shop.sim_clock.advance(-15 * 86_400);
        shop.work().await;
        assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CAPTURED", 1000)]));
        shop.assert_books_agree().await;
    }

    async fn nothing_is_told_while_the_vault_is_sealed_and_everything_afterwards(world: World) {
        let shop = Shop::open(world).await;
        let sent = held(&shop, "sealed").await;
        act(&shop, &sent, ActRequest::Capture(1000)).await;
        shop.world.admin("POST", "/vault/seal", &json!({})).await;
        shop.work().await;
        assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000)]));
        shop.world.unseal().await;
        shop.wait(5_000);
        shop.work().await;
        assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CAPTURED", 1000)]));
        shop.assert_books_agree().await;
    }

    async fn an_unconfirmed_hold_is_not_the_merchants_to_take(world: World) {
        let shop = Shop::open(world).await;
        let code = shop.code("early", "10.00").await;
        shop.world.execute("UPDATE payment_requests SET autocapture = 0").await;
        let (attempt, answer) = shop.order(&code, &json!({})).await;
        let answer = answer.json();
        let landing = format!("/landing/{}", answer["url"].as_str().unwrap().split_once("/landing/").unwrap().1);
        let sent = Sent { code, attempt, landing, id: answer["transactionId"].as_i64().unwrap() };
        shop.press(&sent, "approve").await;
        let refused = shop.world.app.payments.act(sent.id, ActRequest::Capture(1000), None, no_hook()).await;
        assert!(refused.is_err(), "{refused:?}");
        // It may be given back; MobilePay is told.
        act(&shop, &sent, ActRequest::Void).await;
        shop.wait(1_000);
        shop.work().await;
        assert_eq!(shop.moved(sent.id), moved(&[("AUTHORIZED", 1000), ("CANCELLED", 1000)]));
        shop.wait(30_000);
        shop.work().await;
        shop.assert_books_agree().await;
    }
}
