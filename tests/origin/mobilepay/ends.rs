//! Payers who say no, or nothing: the code is free again, and nothing is left there.

use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::Fault;
use serde_json::json;

use super::Shop;
use crate::on_both;
use crate::world::World;

on_both! {
    async fn a_payer_who_says_no_frees_the_code(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("no", "10.00").await;
        assert_eq!(shop.press(&sent, "reject").await, 303);
        // Back at the page, which asks: that makes us look at once.
        shop.wait(2_000);
        assert_eq!(shop.state(&sent).await, shop.waits(&sent));
        shop.work().await;
        let state = shop.state(&sent).await;
        assert_eq!((&state["state"], &state["reason"]), (&json!("declined"), &json!("cancelled")));
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_CLIENT_CANCEL".into()));
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
        // The same code may be paid again.
        let code = sent.code.clone();
        let (_, answer) = shop.order(&code, &json!({})).await;
        assert_eq!(answer.json()["state"], "redirect");
    }

    async fn a_payer_who_says_nothing_is_waited_for_and_no_longer(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("nothing", "10.00").await;
        shop.wait(9 * 60_000);
        shop.work().await;
        assert_eq!(shop.seen(&sent).await, ("Locked".into(), "PENDING".into()));
        shop.wait(2 * 60_000);
        shop.work().await;
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_CLIENT_TIMEOUT".into()));
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn the_lease_ends_though_mobilepay_is_silent_and_what_is_there_is_cancelled(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("silent", "10.00").await;
        shop.fault_for(Kind::Read, Fault::ServerError, 0, 1000);
        shop.world.clock.advance_ms(12 * 60_000);
        shop.work().await;
        // The resolver knows nothing of wallets: a payer was waited for long enough.
        shop.world.app.payments.resolve().await.unwrap();
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_CLIENT_TIMEOUT".into()));
        // The shopper presses after all: MobilePay's time is not over.
        assert_eq!(shop.press(&sent, "approve").await, 200);
        assert_eq!(shop.acquired(sent.id), []);
        shop.faults.clear();
        shop.world.clock.advance_ms(3_600_000);
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
        let ended = shop.book.entries().iter().filter(|entry| entry.kind == Kind::Void).count();
        assert_eq!(ended, 1, "cancelled there");
    }

    async fn one_that_was_never_made_is_given_up(world: World) {
        let shop = Shop::open(world).await;
        // As a process leaves it that dies before it could ask.
        let sent = shop.sent("never", "10.00").await;
        shop.world.execute("UPDATE wallet_payments SET state = 'asked', reference = 'sv-999-00000000000000000000'").await;
        shop.wait(60_000);
        shop.work().await;
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_CLIENT_TIMEOUT".into()));
        shop.work_for(2, 5_000).await;
        assert_eq!(shop.world.number("SELECT COUNT(*) FROM wallet_reports WHERE state <> 'done'").await, 0);
    }

    async fn a_payment_that_mobilepay_does_not_find_for_a_while_is_not_given_up(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("astray", "10.00").await;
        assert_eq!(shop.press(&sent, "approve").await, 303);
        // As it looks when a request goes astray there: no such payment, though it has called us about it.
        shop.world.execute("UPDATE wallet_payments SET reference = 'x' || reference").await;
        shop.work_for(3, 40_000).await;
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000)]);
        shop.world.execute("UPDATE wallet_payments SET reference = SUBSTR(reference, 2)").await;
        shop.wait(40_000);
        shop.work().await;
        assert_eq!(shop.state(&sent).await["state"], "paid");
        shop.assert_books_agree().await;
    }

    async fn a_held_payment_that_mobilepay_never_counts_is_given_back(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("uncounted", "10.00").await;
        shop.fault(Kind::Callback, Fault::DropAfter);
        // Its answers are lost too, for a while: nothing is guessed.
        shop.fault_for(Kind::Read, Fault::DropBefore, 0, 3);
        shop.press(&sent, "approve").await;
        for _ in 0..3 {
            shop.wait(5_000);
            shop.work().await;
            assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000)]);
        }
        shop.wait(5_000);
        shop.work().await;
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000), (Kind::Void, 1000)]);
        shop.work_for(2, 5_000).await;
        shop.assert_books_agree().await;
    }
}
