//! Webhooks: registered by the CLI's call, signed, counted once, believed in nothing but that it is time to look.

use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::Fault;
use serde_json::{Value, json};

use super::{Shop, plain};
use crate::on_both;
use crate::world::World;

async fn registered(shop: &Shop) -> Value {
    let answer = shop.world.admin("POST", "/accounts/merchant-25/mobilepay-webhook", &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Until so many webhooks were taken.
async fn taken(shop: &Shop, count: i64) {
    for _ in 0..200 {
        if shop.world.number("SELECT COUNT(*) FROM wallet_events").await >= count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("webhooks did not come");
}

on_both! {
    async fn a_webhook_makes_us_look_at_once(world: World) {
        let shop = Shop::open(world).await;
        registered(&shop).await;
        let sent = shop.sent("authorised", "10.00").await;
        shop.press(&sent, "approve").await;
        taken(&shop, 1).await;
        shop.work().await;
        assert_eq!(shop.state(&sent).await["state"], "paid");
        let sent = shop.sent("aborted", "10.00").await;
        shop.press(&sent, "reject").await;
        taken(&shop, 2).await;
        shop.work().await;
        assert_eq!(shop.seen(&sent).await, ("Available".into(), "END_CLIENT_CANCEL".into()));
        shop.assert_books_agree().await;
    }

    async fn one_that_comes_twice_or_with_a_wrong_signature_counts_once(world: World) {
        let shop = Shop::open(world).await;
        registered(&shop).await;
        for (at, fault) in
            [Fault::Duplicate, Fault::DropAfter, Fault::ServerError, Fault::Garbage, Fault::Delay].into_iter().enumerate()
        {
            shop.fault_for(Kind::Webhook, fault, 50, 1);
            let sent = shop.sent(&format!("twice-{at}"), "10.00").await;
            shop.press(&sent, "approve").await;
            taken(&shop, i64::try_from(at).unwrap() + 1).await;
            shop.work().await;
            assert_eq!(shop.state(&sent).await["state"], "paid", "{fault:?}");
        }
        assert_eq!(shop.world.number("SELECT COUNT(*) FROM wallet_events").await, 5);
        shop.assert_books_agree().await;
        crate::outcomes::assert_feed_is_gap_free(&shop.world).await;
    }

    async fn one_that_never_comes_is_not_missed(world: World) {
        let shop = Shop::open(world).await;
        registered(&shop).await;
        shop.fault(Kind::Webhook, Fault::DropBefore);
        let sent = shop.paid("missed", "10.00").await;
        assert_eq!(shop.world.number("SELECT COUNT(*) FROM wallet_events").await, 0);
        assert_eq!(shop.state(&sent).await["state"], "paid");
        shop.assert_books_agree().await;
    }

    async fn registering_again_replaces_the_registration(world: World) {
        let shop = Shop::open(world).await;
        let first = registered(&shop).await;
        let second = registered(&shop).await;
        assert_ne!(first["registration"], second["registration"]);
        assert_eq!((&first["removed"], &second["removed"]), (&json!(0), &json!(1)));
        let expected = format!("https://{}/mobilepay/webhooks/merchant-25", shop.provider);
        assert_eq!(second["url"], expected);
        assert!(!second.to_string().contains("secret"), "{second}");
        let sent = shop.sent("again", "10.00").await;
        shop.press(&sent, "approve").await;
        taken(&shop, 1).await;
        let last = shop.world.admin("GET", "/audit/last/50", &Value::Null).await.text();
        assert!(last.contains("account.mobilepay-webhook"), "{last}");
    }

    async fn credentials_are_set_by_an_operator_and_checked(world: World) {
        let shop = Shop::open(world).await;
        shop.world.merchant_in(26, "DKK").await;
        let set = async |credentials: &Value| {
            let body = json!({"party": "mobilepay", "credentials": credentials});
            shop.world.admin("POST", "/accounts/merchant-26/credentials", &body).await
        };
        let mut wrong = crate::mobilepay::credentials();
        wrong["merchantSerialNumber"] = json!("12");
        assert_eq!(set(&wrong).await.status, 400);
        let answer = set(&crate::mobilepay::credentials()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(shop.world.app.wallet.is_offered("merchant-26", "DKK".parse().unwrap()).await.unwrap());
        let answer = shop.world.admin("POST", "/accounts/merchant-26/mobilepay-webhook", &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    async fn what_stands_in_its_way_is_said(world: World) {
        let shop = Shop::open(world).await;
        let ask = async |name: &str| {
            shop.world.admin("POST", &format!("/accounts/{name}/mobilepay-webhook"), &json!({})).await
        };
        assert_eq!(ask("merchant-99").await.status, 404);
        shop.world.merchant_in(26, "DKK").await;
        let answer = ask("merchant-26").await;
        assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str()), (409, Some("this account has no credentials at MobilePay")));
        let (status, _) = plain(shop.sim, "POST", "/_faults", "application/json", r#"{"match":{"kind":"token"},"fault":"500"}"#).await;
        assert_eq!(status, 204);
        assert_eq!(ask("merchant-25").await.status, 409);
        shop.world.admin("POST", "/vault/seal", &json!({})).await;
        assert_eq!(ask("merchant-25").await.status, 503);
    }
}
