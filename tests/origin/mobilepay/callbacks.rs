//! The card callback under every fault: of its way here, of its way back, and of the acquirer behind it.

use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::{Fault, Match, Order};
use serde_json::json;

use super::{Sent, Shop};
use crate::on_both;
use crate::world::World;

/// Orders a fault of the acquirer.
fn acquirer(shop: &Shop, kind: Kind, fault: Fault) {
    shop.world.faults.order(Order { r#match: Match { kind: Some(kind), amount: None }, fault, delay_ms: 0, times: 1 });
}

async fn is_paid(shop: &Shop, sent: &Sent) -> bool {
    shop.state(sent).await["state"] == "paid"
}

on_both! {
    async fn a_callback_that_comes_twice_at_once_authorises_once(world: World) {
        let shop = Shop::open(world).await;
        for at in 0..5 {
            shop.fault(Kind::Callback, Fault::Duplicate);
            let sent = shop.sent(&format!("twice-{at}"), "10.00").await;
            assert_eq!(shop.press(&sent, "approve").await, 303);
            shop.wait(1_000);
            shop.work().await;
            assert!(is_paid(&shop, &sent).await);
            assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000), (Kind::Capture, 1000)]);
        }
        shop.assert_books_agree().await;
    }

    async fn a_callback_that_never_comes_takes_nothing(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("lost", "10.00").await;
        shop.fault(Kind::Callback, Fault::DropBefore);
        shop.press(&sent, "approve").await;
        shop.wait(30_000);
        shop.work().await;
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_CLIENT_CANCEL".into()));
        assert_eq!(shop.state(&sent).await["reason"], "cancelled");
        assert_eq!(shop.acquired(sent.id), []);
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn a_hold_whose_answer_was_lost_is_given_back(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("unanswered", "10.00").await;
        shop.fault(Kind::Callback, Fault::DropAfter);
        shop.press(&sent, "approve").await;
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000)]);
        // Held here, and nobody is told that it is paid.
        assert_eq!(shop.seen(&sent).await, ("Locked".into(), "PENDING".into()));
        assert_eq!(shop.state(&sent).await["state"], "waiting");
        shop.wait(1_000);
        shop.work().await;
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000), (Kind::Void, 1000)]);
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_REVERSED".into()));
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
        // The feed never told of it.
        assert_eq!(shop.world.number("SELECT COUNT(*) FROM changes").await, 0);
    }

    async fn an_answer_that_comes_too_late_is_none(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("late", "10.00").await;
        shop.fault_for(Kind::Callback, Fault::Timeout, 300, 1);
        shop.world.faults.order(Order {
            r#match: Match { kind: Some(Kind::Authorization), amount: None },
            fault: Fault::Delay,
            delay_ms: 900,
            times: 1,
        });
        shop.press(&sent, "approve").await;
        // MobilePay has given up; the acquirer answers later, and what it holds is given back.
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            if shop.world.number("SELECT COUNT(*) FROM transactions WHERE state = 'authorised'").await == 1 {
                break;
            }
        }
        shop.wait(1_000);
        shop.work().await;
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000), (Kind::Void, 1000)]);
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn a_callback_that_comes_late_is_taken(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("delayed", "10.00").await;
        shop.fault_for(Kind::Callback, Fault::Delay, 300, 1);
        assert_eq!(shop.press(&sent, "approve").await, 303);
        shop.wait(1_000);
        shop.work().await;
        assert!(is_paid(&shop, &sent).await);
        shop.assert_books_agree().await;
    }

    async fn a_wrong_signature_and_half_a_body_change_nothing(world: World) {
        let shop = Shop::open(world).await;
        for (at, fault) in [Fault::ServerError, Fault::Garbage].into_iter().enumerate() {
            let sent = shop.sent(&format!("wrong-{at}"), "10.00").await;
            shop.fault(Kind::Callback, fault);
            shop.press(&sent, "approve").await;
            assert_eq!(shop.acquired(sent.id), [], "{fault:?}");
            assert_eq!(shop.state(&sent).await, shop.waits(&sent));
            shop.wait(30_000);
            shop.work().await;
            assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_CLIENT_CANCEL".into()), "{fault:?}");
        }
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn a_refusal_ends_the_payment_there_and_here(world: World) {
        let shop = Shop::open(world).await;
        // The documented token of this amount ended in May 2025.
        let sent = shop.sent("expired", "22.00").await;
        assert_eq!(shop.press(&sent, "approve").await, 200);
        let state = shop.state(&sent).await;
        assert_eq!((&state["state"], &state["reason"]), (&json!("declined"), &json!("expiry")));
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_BANK_NON_00".into()));
        // Another card in the app is too late: the payment was cancelled there.
        shop.work().await;
        shop.press(&sent, "approve").await;
        assert_eq!(shop.acquired(sent.id), []);
        assert_eq!(shop.moved(sent.id), []);
        shop.wait(1_000);
        shop.work().await;
        shop.assert_books_agree().await;
    }

    async fn another_card_before_the_payment_is_cancelled_is_refused(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("second", "22.00").await;
        shop.press(&sent, "approve").await;
        shop.press(&sent, "approve").await;
        assert_eq!(shop.acquired(sent.id), []);
        assert_eq!(shop.world.number("SELECT COUNT(*) FROM acts").await, 1);
        shop.wait(1_000);
        shop.work().await;
        shop.assert_books_agree().await;
    }

    async fn an_acquirers_lost_answer_is_a_refusal_and_never_captured(world: World) {
        let shop = Shop::open(world).await;
        for (at, fault) in [Fault::DropBefore, Fault::DropAfter, Fault::ServerError, Fault::Garbage].into_iter().enumerate() {
            let sent = shop.sent(&format!("acquirer-{at}"), "10.00").await;
            acquirer(&shop, Kind::Authorization, fault);
            assert_eq!(shop.press(&sent, "approve").await, 200, "{fault:?}");
            let state = shop.state(&sent).await;
            assert_eq!((&state["state"], &state["mayRetry"]), (&json!("unknown"), &json!(true)), "{fault:?}");
            assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_BANK_ERROR".into()), "{fault:?}");
            shop.wait(1_000);
            shop.work().await;
            assert!(shop.acquired(sent.id).iter().all(|(kind, _)| *kind == Kind::Authorization), "{fault:?}");
        }
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn a_capture_without_an_answer_is_not_told(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("capture", "10.00").await;
        acquirer(&shop, Kind::Capture, Fault::DropAfter);
        assert_eq!(shop.press(&sent, "approve").await, 303);
        shop.wait(1_000);
        shop.work().await;
        let state = shop.state(&sent).await;
        assert_eq!((&state["state"], &state["mayRetry"]), (&json!("unknown"), &json!(false)));
        assert_eq!(shop.moved(sent.id), [("AUTHORIZED".into(), 1000)]);
        // An operator reads the acquirer's report: only now MobilePay is told.
        let settle = format!("/transactions/{}/settle", sent.id);
        assert_eq!(shop.world.admin("POST", &settle, &json!({"booked": true})).await.status, 200);
        shop.work().await;
        assert_eq!(shop.moved(sent.id), [("AUTHORIZED".into(), 1000), ("CAPTURED".into(), 1000)]);
        assert!(is_paid(&shop, &sent).await);
        shop.assert_books_agree().await;
    }

    async fn an_acquirer_that_is_not_there_is_a_refusal(world: World) {
        let mut shop = Shop::open(world).await;
        let sent = shop.sent("down", "10.00").await;
        shop.world.gateway.abort();
        let _ = (&mut shop.world.gateway).await;
        assert_eq!(shop.press(&sent, "approve").await, 200);
        assert_eq!(shop.state(&sent).await["reason"], "later");
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn another_process_goes_on_from_the_rows(world: World) {
        let mut shop = Shop::open(world).await;
        let [held, confirmed, refused] = [("r-1", "10.00"), ("r-2", "11.00"), ("r-3", "22.00")];
        let held = shop.sent(held.0, held.1).await;
        let confirmed = shop.sent(confirmed.0, confirmed.1).await;
        let refused = shop.sent(refused.0, refused.1).await;
        shop.fault(Kind::Callback, Fault::DropAfter);
        shop.press(&held, "approve").await;
        shop.press(&confirmed, "approve").await;
        shop.press(&refused, "approve").await;
        shop.restart().await;
        shop.wait(1_000);
        shop.work().await;
        assert_eq!(shop.acquired(held.id), [(Kind::Authorization, 1000), (Kind::Void, 1000)]);
        assert_eq!(shop.acquired(confirmed.id), [(Kind::Authorization, 1100), (Kind::Capture, 1100)]);
        shop.restart().await;
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn one_that_died_while_it_asked_leaves_nothing_captured(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("died", "10.00").await;
        // As a process leaves it that dies after the intent: asked, and no answer given.
        shop.fault(Kind::Callback, Fault::DropAfter);
        shop.press(&sent, "approve").await;
        shop.world.execute("UPDATE transactions SET state = 'authorising', authorised_minor = 0, pending_act = 1, acquirer_state = NULL, lease_until_ms = NULL").await;
        shop.world.execute("UPDATE acts SET state = 'asked', settled_at_ms = NULL").await;
        shop.world.execute("UPDATE wallet_payments SET answer = NULL").await;
        shop.work_for(2, 5_000).await;
        shop.wait(100_000);
        shop.world.app.payments.resolve().await.unwrap();
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_BANK_ERROR".into()));
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }
}
