//! Scanpay's interface: links, acts, and errors of one line.

use scanvault_sandbox::common::book::Kind;
use serde_json::json;

use crate::on_both;
use crate::shop::{self, PAN, code_of, latest, link, post};
use crate::world::{Forward, World};

on_both! {
    async fn a_link_is_paid_captured_in_parts_and_refunded(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = link(&world, &auth, "150.00 DKK", json!({})).await;
        let id = shop::pay(&world, &code, PAN, 15_000).await;
        let held = latest(&world, &auth, "transaction", id).await;
        assert_eq!((&held["orderid"], &held["rev"], &held["acts"]), (&json!("1001"), &json!(1), &json!([])));
        assert_eq!(held["totals"], json!({"authorized": "150.00 DKK", "captured": "0.00 DKK", "refunded": "0.00 DKK",
            "left": "150.00 DKK", "voided": "0.00 DKK"}));
        let act = async |act: &str, total: &str, index: u64| {
            post(&world, &auth, &format!("/v1/transactions/{id}/{act}"), &json!({"total": total, "index": index})).await
        };
        let taken = act("capture", "100 DKK", 0).await;
        assert_eq!((taken.status.as_u16(), taken.text().as_str(), taken.header("content-type")), (200, "{}", "application/json"));
        // Whoever does not know of the first act is told so, and nothing is taken twice.
        act("capture", "50DKK", 0).await.assert_line(409, "invalid index");
        act("capture", "50.01 DKK", 1).await.assert_line(409, "invalid total");
        act("void", "", 1).await.assert_line(409, "invalid act");
        assert_eq!(act("capture", "50DKK", 1).await.text(), "{}");
        assert_eq!(act("refund", "25.509 DKK", 2).await.text(), "{}");
        act("refund", "25 EUR", 3).await.assert_line(400, "invalid total");
        let told = latest(&world, &auth, "transaction", id).await;
        let acts: Vec<_> = told["acts"].as_array().unwrap().iter().map(|act| (act["act"].clone(), act["total"].clone())).collect();
        assert_eq!(acts, [(json!("capture"), json!("100.00 DKK")), (json!("capture"), json!("50.00 DKK")), (json!("refund"), json!("25.50 DKK"))]);
        assert_eq!(told["totals"], json!({"authorized": "150.00 DKK", "captured": "150.00 DKK", "refunded": "25.50 DKK",
            "left": "0.00 DKK", "voided": "0.00 DKK"}));
        let booked: Vec<_> = world.booked().into_iter().map(|entry| (entry.kind, entry.amount)).collect();
        assert_eq!(booked, [(Kind::Authorization, 15_000), (Kind::Capture, 10_000), (Kind::Capture, 5_000), (Kind::Refund, 2_550)]);
    }

    async fn a_void_gives_everything_back(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = link(&world, &auth, "9.99 EUR", json!({})).await;
        let id = shop::pay(&world, &code, PAN, 999).await;
        // The documentation also writes the shop before the number.
        let answer = post(&world, &auth, &format!("/v1/transactions/25:{id}/void"), &json!({"index": 0})).await;
        assert_eq!(answer.text(), "{}");
        let told = latest(&world, &auth, "transaction", id).await;
        assert_eq!((&told["totals"]["voided"], &told["totals"]["left"]), (&json!("9.99 EUR"), &json!("0.00 EUR")));
        assert_eq!(told["acts"][0]["act"], "void");
        let path = format!("/v1/transactions/{id}/capture");
        post(&world, &auth, &path, &json!({"total": "1 EUR", "index": 1})).await.assert_line(409, "invalid act");
    }

    async fn autocapture_takes_at_once(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = link(&world, &auth, "150 DKK", json!({"autocapture": true})).await;
        let id = shop::pay(&world, &code, PAN, 15_000).await;
        let told = latest(&world, &auth, "transaction", id).await;
        assert_eq!((&told["totals"]["captured"], &told["rev"]), (&json!("150.00 DKK"), &json!(2)));
    }

    async fn a_link_ends_with_its_lifetime(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let page = async |code: &str| world.send(Forward::get(format!("/Q/{code}"))).await.status.as_u16();
        let hour = link(&world, &auth, "1 DKK", json!({})).await;
        let day = link(&world, &auth, "1 DKK", json!({"lifetime": "24h0m0s"})).await;
        assert_eq!((page(&hour).await, page(&day).await), (200, 200));
        world.clock.advance_ms(3_601_000);
        assert_eq!((page(&hour).await, page(&day).await), (410, 200));
        world.clock.advance_ms(86_400_000);
        assert_eq!(page(&day).await, 410);
    }

    async fn the_payer_reads_the_shops_own_order_and_nothing_of_ours(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for (order, shown) in [(json!({}), "data-reference=\"1001\""), (json!({"orderid": null}), "data-reference=\"\"")] {
            let code = link(&world, &auth, "1 DKK", order).await;
            let page = world.send(Forward::get(format!("/Q/{code}"))).await.text();
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }

    async fn curls_own_media_type_is_taken(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let call = Forward::post("/v1/new", &json!({"items": [{"total": "1 DKK"}]})).with(&auth);
        for content_type in [None, Some("application/x-www-form-urlencoded")] {
            code_of(&world.send(Forward { content_type, ..call.clone() }).await);
        }
        world.send(Forward { content_type: Some("text/plain"), ..call }).await.assert_line(415, "The body must be application/json");
    }

    async fn errors_are_one_line(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let bad = async |path: &str, body: &str| world.send(Forward::post_text(path, body).with(&auth)).await;
        bad("/v1/new", "{").await.assert_line(400, "invalid json");
        bad("/v1/new", "[1]").await.assert_line(400, "invalid json");
        bad("/v1/new", "{}").await.assert_line(400, "missing items");
        bad("/v1/new", r#"{"items":[]}"#).await.assert_line(400, "missing items");
        bad("/v1/new", r#"{"items":[{"total":"1 XXX"}]}"#).await.assert_line(400, "invalid items.total");
        bad("/v1/new", &format!(r#"{{"orderid":"{}"}}"#, "x".repeat(32_000))).await.assert_line(413, "Request Entity Too Large");
        bad("/v1/transactions/7/capture", r#"{"total":"1 DKK","index":0}"#).await.assert_line(404, "Not found");
        bad("/v1/transactions/26:7/void", r#"{"index":0}"#).await.assert_line(404, "Not found");
        bad("/v1/transactions/x/void", r#"{"index":0}"#).await.assert_line(404, "Not found");
        bad("/v1/transactions/7/capture", r#"{"total":"1 DKK"}"#).await.assert_line(400, "invalid index");
        bad("/v1/nothing", "{}").await.assert_line(404, "Not found");
        let answer = bad("/v1/seq/1", "").await;
        answer.assert_line(405, "This path does not take this method");
        assert_eq!(answer.header("allow"), "GET, HEAD");
        for authorization in [None, Some(crate::world::basic("25", "nonsense"))] {
            let answer = world.send(Forward { authorization, ..Forward::get("/v1/seq/0") }).await;
            answer.assert_line(403, "invalid apikey");
            assert_eq!(answer.header("www-authenticate"), "");
        }
        for n in ["x", "-1", "1x", "9223372036854775808"] {
            let answer = world.send(Forward::get(format!("/v1/seq/{n}")).with(&auth)).await;
            answer.assert_line(400, "invalid seq");
        }
    }

    async fn others_shops_are_not_there(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let other = world.merchant(26).await;
        let code = link(&world, &auth, "1 DKK", json!({})).await;
        let id = shop::pay(&world, &code, PAN, 100).await;
        post(&world, &other, &format!("/v1/transactions/{id}/void"), &json!({"index": 0})).await.assert_line(404, "Not found");
        post(&world, &other, &format!("/v1/transactions/25:{id}/void"), &json!({"index": 0})).await.assert_line(404, "Not found");
        assert!(shop::feed(&world, &other).await.is_empty());
        let psp = world.account(&json!({"name": "psp-13"})).await;
        post(&world, &psp, "/v1/new", &json!({"items": [{"total": "1 DKK"}]})).await.assert_line(403, "a PSP has no shop of its own");
    }

    /// An account in Bearer mode uses the same interface with its token.
    async fn a_token_opens_it_too(world: World) {
        let mut world = world;
        world.ready().await;
        let password = world.merchant(26).await;
        world.in_bearer_mode("merchant-26").await;
        world.clock.advance_ms(1_000);
        let (token, _) = world.session("merchant-26").await;
        code_of(&post(&world, &token, "/v1/new", &json!({"items": [{"total": "1 DKK"}]})).await);
        post(&world, &password, "/v1/new", &json!({})).await.assert_line(403, "invalid apikey");
        post(&world, "Bearer e30.e30.AA", "/v1/new", &json!({})).await.assert_line(403, "Invalid or expired JWT token");
    }

    async fn what_needs_no_key_works_while_sealed(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = link(&world, &auth, "1 DKK", json!({})).await;
        let id = shop::pay(&world, &code, PAN, 100).await;
        assert_eq!(world.admin("POST", "/vault/seal", &json!({})).await.status, 200);
        link(&world, &auth, "1 DKK", json!({})).await;
        assert_eq!(shop::feed(&world, &auth).await.len(), 1);
        let answer = post(&world, &auth, &format!("/v1/transactions/{id}/capture"), &json!({"total": "1 DKK", "index": 0})).await;
        answer.assert_line(503, "The vault is sealed; nothing was done, try again later");
        assert_eq!((answer.header("retry-after"), answer.header("idempotency-status")), ("30", ""));
    }
}

on_both! {
    /// What the clients send beside the amount is kept with the payment request, and shown to nobody.
    async fn details_are_kept(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let body = json!({"orderid": "7", "language": "da", "successurl": "https://shop.example/thanks", "lifetime": "soon",
            "items": [{"name": "A record", "quantity": 2, "total": "20 DKK", "sku": "r-1"}],
            "billing": {"name": "J. Doe", "email": "j@shop.example"}, "shipping": {}});
        code_of(&post(&world, &auth, "/v1/new", &body).await);
        let row = sqlx::query("SELECT details, order_id, short_description, autocapture FROM payment_requests")
            .fetch_one(world.app.db.read()).await.unwrap();
        let text = |at: usize| sqlx::Row::try_get::<String, _>(&row, at).unwrap();
        let details: serde_json::Value = serde_json::from_str(&text(0)).unwrap();
        assert_eq!(details, json!({"successurl": "https://shop.example/thanks", "language": "da",
            "items": [{"name": "A record", "quantity": 2, "sku": "r-1", "total": "20.00 DKK"}],
            "billing": {"name": "J. Doe", "email": "j@shop.example"}}));
        assert_eq!((text(1).as_str(), text(2).as_str(), sqlx::Row::try_get::<i64, _>(&row, 3).unwrap()), ("7", "A record", 0));
    }
}
