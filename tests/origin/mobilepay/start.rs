//! From the page to MobilePay: the payment is made once, whatever becomes of the answer.

use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::Fault;
use scanvault_sandbox::mobilepay::Options;
use serde_json::json;

use super::Shop;
use crate::on_both;
use crate::world::{Forward, World};

fn created(shop: &Shop) -> usize {
    shop.book.entries().iter().filter(|entry| entry.kind == Kind::Create).count()
}

on_both! {
    async fn a_payer_pays(world: World) {
        let shop = Shop::open(world).await;
        let sent = shop.sent("paid", "10.00").await;
        assert_eq!(shop.seen(&sent).await, ("Locked".into(), "PENDING".into()));
        assert_eq!(shop.state(&sent).await, shop.waits(&sent));
        assert_eq!(shop.press(&sent, "approve").await, 303);
        // Authorised, and not captured before MobilePay has said that it has our answer.
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000)]);
        assert_eq!(shop.seen(&sent).await, ("Locked".into(), "PENDING".into()));
        shop.wait(1_000);
        shop.work().await;
        assert_eq!(shop.state(&sent).await, json!({"state": "paid", "transactionId": sent.id}));
        assert_eq!(shop.seen(&sent).await, ("Used".into(), "SUCCESS".into()));
        assert_eq!(shop.acquired(sent.id), [(Kind::Authorization, 1000), (Kind::Capture, 1000)]);
        assert_eq!(shop.moved(sent.id), [("AUTHORIZED".into(), 1000), ("CAPTURED".into(), 1000)]);
        shop.assert_books_agree().await;
        crate::outcomes::assert_feed_is_gap_free(&shop.world).await;
        // What MobilePay is told of the payer, and what is kept of their card.
        let entry = json!(shop.book.entries()[0]);
        assert_eq!(entry["payment"]["request"]["customer"]["phoneNumber"], "4512345678", "{entry}");
        let shown = sqlx::query("SELECT card_bin, card_last_four, card FROM transactions").fetch_one(shop.world.app.db.read()).await.unwrap();
        use sqlx::Row;
        assert_eq!((shown.get::<String, _>(0), shown.get::<String, _>(1)), ("489537".into(), "3500".into()));
        assert_eq!(shown.get::<Option<String>, _>(2), None);
    }

    async fn the_older_callback_pays_too(world: World) {
        let shop = Shop::with(world, Options { flat_callbacks: true, ..Options::default() }).await;
        shop.paid("flat", "10.00").await;
        shop.assert_books_agree().await;
    }

    async fn the_amount_chooses_the_token(world: World) {
        let shop = Shop::open(world).await;
        for (amount, is_paid) in
            [("32.00", true), ("42.00", true), ("43.00", true), ("44.00", true), ("51.00", true), ("52.00", true), ("22.00", false)]
        {
            let sent = shop.sent(&format!("token-{amount}"), amount).await;
            assert_eq!(shop.press(&sent, "approve").await, if is_paid { 303 } else { 200 }, "{amount}");
            shop.wait(1_000);
            shop.work().await;
            let expected = if is_paid { ("Used", "SUCCESS") } else { ("Available", "END_BANK_NON_00") };
            assert_eq!(shop.seen(&sent).await, (expected.0.into(), expected.1.into()), "{amount}");
        }
        shop.work_for(3, 5_000).await;
        shop.assert_books_agree().await;
    }

    async fn the_same_page_again_is_sent_to_the_same_payment(world: World) {
        let shop = Shop::open(world).await;
        let code = shop.code("again", "10.00").await;
        let (attempt, first) = shop.order(&code, &json!({})).await;
        let second = shop.order_again(&code, &attempt, &json!({})).await;
        assert_eq!(first.json(), second.json());
        assert_eq!(created(&shop), 1);
        // Another code's page is another page, and a page of a card is none of the wallet's.
        let other = shop.code("other", "10.00").await;
        shop.order_again(&other, &attempt, &json!({})).await.assert_problem(409, "conflict");
    }

    async fn the_language_that_the_payer_chose_is_there_when_they_come_back(world: World) {
        let shop = Shop::open(world).await;
        for (asked, expected) in [(json!("da"), "&lang=da"), (json!("xx"), ""), (json!("&lang=da"), ""), (json!(null), "")] {
            let code = shop.code(&format!("lang-{asked}").replace('"', ""), "10.00").await;
            let (attempt, answer) = shop.order(&code, &json!({"language": asked})).await;
            assert_eq!(answer.json()["state"], "redirect", "{}", answer.text());
            let made = json!(shop.book.entries().last().unwrap());
            let back = format!("https://pay.example/Q/{code}?attempt={attempt}{expected}");
            assert_eq!(made["payment"]["request"]["returnUrl"], json!(back));
        }
    }

    async fn sixty_four_payers_and_one_payment(world: World) {
        let shop = Shop::open(world).await;
        let code = shop.code("many", "10.00").await;
        let mut attempts = Vec::new();
        for _ in 0..64 {
            attempts.push(crate::card::Page::load(&shop.world, &code).await.data("attempt"));
        }
        let shop = std::sync::Arc::new(shop);
        let payers: Vec<_> = attempts
            .into_iter()
            .map(|attempt| {
                let (shop, code) = (std::sync::Arc::clone(&shop), code.clone());
                tokio::spawn(async move { shop.order_again(&code, &attempt, &json!({})).await.status.as_u16() })
            })
            .collect();
        let mut statuses = Vec::new();
        for payer in payers {
            statuses.push(payer.await.unwrap());
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
        assert_eq!(created(&shop), 1);
    }

    async fn a_lost_answer_is_asked_for_again_with_the_same_key(world: World) {
        let shop = Shop::open(world).await;
        for (at, fault) in [Fault::DropBefore, Fault::DropAfter, Fault::ServerError, Fault::Garbage].into_iter().enumerate() {
            let before = created(&shop);
            shop.fault(Kind::Create, fault);
            let sent = shop.sent(&format!("lost-{at}"), "10.00").await;
            assert_eq!(created(&shop), before + 1, "{fault:?}");
            shop.press(&sent, "approve").await;
            shop.wait(1_000);
            shop.work().await;
            assert_eq!(shop.seen(&sent).await, ("Used".into(), "SUCCESS".into()), "{fault:?}");
        }
        shop.fault(Kind::Token, Fault::ServerError);
        shop.assert_books_agree().await;
    }

    async fn what_cannot_be_made_frees_the_code_and_leaves_nothing_there(world: World) {
        let shop = Shop::open(world).await;
        for (at, fault) in [Fault::DropBefore, Fault::DropAfter, Fault::ServerError, Fault::Garbage].into_iter().enumerate() {
            shop.fault_for(Kind::Create, fault, 0, 2);
            let code = shop.code(&format!("never-{at}"), "10.00").await;
            let (attempt, answer) = shop.order(&code, &json!({})).await;
            let answer = answer.json();
            assert_eq!((&answer["state"], &answer["reason"]), (&json!("declined"), &json!("later")), "{fault:?}: {answer}");
            let again = shop.order_again(&code, &attempt, &json!({})).await.json();
            assert_eq!(again["state"], "declined");
            // The payer may take a card at once.
            let paid = crate::card::pay(&shop.world, &code, "4111111111111111", 1000).await;
            assert_eq!(paid.json()["state"], "paid", "{}", paid.text());
        }
        shop.work_for(3, 5_000).await;
        shop.assert_books_agree().await;
        let open = shop.book.entries().iter().filter(|entry| entry.kind == Kind::Create).count();
        let ended = shop.book.entries().iter().filter(|entry| entry.kind == Kind::Void).count();
        assert_eq!(open, ended, "whatever was made was cancelled");
    }

    async fn a_token_that_is_not_taken_any_more_is_replaced(world: World) {
        let shop = Shop::open(world).await;
        shop.sent("before", "10.00").await;
        // To MobilePay the token has ended; to us it lives on.
        shop.sim_clock.advance(3600);
        let sent = shop.sent("after", "10.00").await;
        assert!(sent.id > 0);
    }

    async fn what_does_not_fit_is_refused_before_anything_is_written(world: World) {
        let shop = Shop::open(world).await;
        let code = shop.code("unfit", "10.00").await;
        let (attempt, answer) = shop.order(&code, &json!({"amountMinor": 999})).await;
        answer.assert_problem(400, "bad-request");
        shop.order_again(&code, &attempt, &json!({"phone": "12345678"})).await.assert_problem(400, "bad-request");
        shop.order_again(&code, &attempt, &json!({"more": 1})).await.assert_problem(400, "bad-request");
        shop.order_again(&code, "AAAA", &json!({})).await.assert_problem(400, "bad-request");
        shop.order_again("0000000000", &attempt, &json!({})).await.assert_problem(404, "not-found");
        assert_eq!(shop.world.number("SELECT COUNT(*) FROM transactions").await, 0);
        assert_eq!(shop.order_again(&code, &attempt, &json!({"amountMinor": 1000})).await.json()["state"], "redirect");

        let open = shop.code("open", "0").await;
        let (attempt, answer) = shop.order(&open, &json!({})).await;
        answer.assert_problem(400, "bad-request");
        assert_eq!(shop.order_again(&open, &attempt, &json!({"amountMinor": 500})).await.json()["state"], "redirect");
    }

    async fn a_merchant_without_it_does_not_offer_it(world: World) {
        let shop = Shop::open(world).await;
        let kroner = "DKK".parse().unwrap();
        assert!(shop.world.app.wallet.is_offered("merchant-25", kroner).await.unwrap());
        assert!(!shop.world.app.wallet.is_offered("merchant-25", "ISK".parse().unwrap()).await.unwrap());
        let auth = shop.world.merchant_in(26, "DKK").await;
        assert!(!shop.world.app.wallet.is_offered("merchant-26", kroner).await.unwrap());
        let code = crate::card::code(&shop.world, &auth, "without", "10.00").await;
        let (_, answer) = shop.order(&code, &json!({})).await;
        answer.assert_problem(409, "conflict");
        // Nor does an origin that nobody can call back.
        let beside = shop.world.beside_with(|config| config.callback_url = None).await;
        assert!(!beside.wallet.is_offered("merchant-25", kroner).await.unwrap());
    }

    async fn nothing_begins_while_the_vault_is_sealed(world: World) {
        let shop = Shop::open(world).await;
        let code = shop.code("sealed", "10.00").await;
        let attempt = crate::card::Page::load(&shop.world, &code).await.data("attempt");
        shop.world.admin("POST", "/vault/seal", &json!({})).await;
        shop.order_again(&code, &attempt, &json!({})).await.assert_problem(503, "sealed");
        let path = format!("/pluto/public/pay/{code}/state?attempt={attempt}");
        assert_eq!(shop.world.send(Forward::get(path)).await.json(), json!({"state": "none"}));
    }
}
