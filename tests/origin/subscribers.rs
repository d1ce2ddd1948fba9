//! Subscribers: kept with a payment or without, charged, ended by their bank, renewed.

use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::{Fault, Match, Order};
use serde_json::{Value, json};

use crate::on_both;
use crate::shop::{self, MAGIC_PAN, OTHER_PAN, PAN, code_of, feed, give_card, latest, link, post};
use crate::world::{Answer, Forward, World};

async fn charge(world: &World, auth: &str, id: i64, total: &str) -> Answer {
    let body = json!({"orderid": "1002", "items": [{"name": "June", "total": total}]});
    post(world, auth, &format!("/v1/subscribers/{id}/charge"), &body).await
}

/// A subscriber with an initial charge of 20 kroner; its number.
async fn subscribe(world: &World, auth: &str, pan: &str, minor: u64) -> i64 {
    let total = format!("{}.{:02} DKK", minor / 100, minor % 100);
    let code = link(world, auth, &total, json!({"subscriber": {"ref": "sub-7"}, "autocapture": true})).await;
    shop::pay(world, &code, pan, minor).await;
    let told = feed(world, auth).await;
    told.iter().rfind(|change| change["type"] == "subscriber").unwrap()["id"].as_i64().unwrap()
}

on_both! {
    async fn an_initial_charge_keeps_the_card_for_later_ones(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let id = subscribe(&world, &auth, PAN, 2_000).await;
        let told = feed(&world, &auth).await;
        let kinds: Vec<_> = told.iter().map(|change| change["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["subscriber", "charge", "charge"], "the subscriber is known before its charge");
        assert_eq!((&told[0]["ref"], &told[0]["rev"], &told[0]["orderid"]), (&json!("sub-7"), &json!(1), &json!("1001")));
        assert_eq!(told[1]["subscriber"], json!({"id": id, "ref": "sub-7"}));
        assert_eq!(told[0]["method"], told[1]["method"], "the same card has the same id");
        let charged = charge(&world, &auth, id, "49.95 DKK").await;
        let number = charged.json()["id"].as_i64().unwrap();
        assert_eq!(charged.json(), json!({"type": "charge", "id": number, "totals": {"authorized": "49.95 DKK"}}));
        let told = latest(&world, &auth, "charge", number).await;
        assert_eq!((&told["orderid"], &told["totals"]["captured"]), (&json!("1002"), &json!("49.95 DKK")));
        let book = world.booked();
        let first = book[0].series.as_ref().unwrap();
        assert_eq!((first.r#type.as_str(), book[2].series.is_some(), book[2].kind), ("recurring", true, Kind::Authorization));
        assert_eq!(world.number("SELECT COUNT(*) FROM cards WHERE expires_at_ms IS NULL").await, 1);
    }

    async fn a_charge_may_be_held_and_captured_later(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let id = subscribe(&world, &auth, PAN, 2_000).await;
        let body = json!({"orderid": "1002", "autocapture": false, "items": [{"total": "10 DKK"}]});
        let held = post(&world, &auth, &format!("/v1/subscribers/25:{id}/charge"), &body).await.json()["id"].as_i64().unwrap();
        assert_eq!(latest(&world, &auth, "charge", held).await["totals"]["captured"], "0.00 DKK");
        let taken = post(&world, &auth, &format!("/v1/transactions/{held}/capture"), &json!({"total": "10 DKK", "index": 0})).await;
        assert_eq!(taken.text(), "{}");
    }

    async fn a_card_is_kept_without_a_charge(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let body = json!({"subscriber": {"ref": "sub-8"}, "orderid": "1003"});
        let code = code_of(&post(&world, &auth, "/v1/new", &body).await);
        let given = give_card(&world, &code, PAN).await;
        assert_eq!(given.json()["state"], "paid", "{}", given.text());
        let told = feed(&world, &auth).await;
        assert_eq!((told.len(), &told[0]["type"], &told[0]["ref"]), (1, &json!("subscriber"), &json!("sub-8")));
        let id = told[0]["id"].as_i64().unwrap();
        assert_eq!(charge(&world, &auth, id, "1 DKK").await.status, 200);
        assert_eq!(world.booked()[0].amount, 0);
        // Nobody types an amount where a card is asked for, and nobody gives one for nothing elsewhere.
        let code = code_of(&post(&world, &auth, "/v1/new", &body).await);
        assert_eq!(crate::card::pay(&world, &code, PAN, 500).await.status, 400);
        let code = link(&world, &auth, "5 DKK", json!({})).await;
        assert_eq!(give_card(&world, &code, PAN).await.status, 400);
    }

    async fn a_declined_card_makes_no_subscriber(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = link(&world, &auth, "404.10 DKK", json!({"subscriber": {"ref": "sub-9"}})).await;
        assert_eq!(crate::card::pay(&world, &code, MAGIC_PAN, 40_410).await.json()["state"], "declined");
        assert!(feed(&world, &auth).await.is_empty());
        assert_eq!(world.number("SELECT COUNT(*) FROM subscribers").await, 0);
    }

    async fn banks_refusals_are_told_and_some_end_it(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let id = subscribe(&world, &auth, MAGIC_PAN, 20_000).await;
        charge(&world, &auth, id, "404.13 DKK").await.assert_line(400, "insufficient funds");
        charge(&world, &auth, id, "404.10 DKK").await.assert_line(400, "declined");
        charge(&world, &auth, id, "404.20 DKK").await.assert_line(400, "declined"); // the cardholder forbids it
        charge(&world, &auth, id, "200 DKK").await.assert_line(409, "the subscriber has ended: renew it");
        let authorised = world.booked().into_iter().filter(|entry| entry.kind == Kind::Authorization).count();
        assert_eq!(authorised, 1, "the initial one");
    }

    async fn a_renewal_gives_it_another_card(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let id = subscribe(&world, &auth, MAGIC_PAN, 20_000).await;
        charge(&world, &auth, id, "404.20 DKK").await.assert_line(400, "declined");
        let body = json!({"successurl": "https://shop.example/", "language": "da", "lifetime": "24h0m0s"});
        let path = format!("/v1/subscribers/{id}/renew");
        let code = code_of(&post(&world, &auth, &path, &body).await);
        assert_eq!(give_card(&world, &code, OTHER_PAN).await.json()["state"], "paid");
        let told = latest(&world, &auth, "subscriber", id).await;
        assert_eq!((&told["rev"], &told["ref"], &told["acts"][0]["act"]), (&json!(2), &json!("sub-7"), &json!("renew")));
        assert_eq!(told["method"]["card"]["last4"], "0009");
        assert_eq!(charge(&world, &auth, id, "200 DKK").await.status, 200);
        assert_eq!(world.booked().last().unwrap().pan_last4, "0009");
        // The old card goes when a payment's would, the new one stays.
        world.clock.advance_ms(91 * 86_400_000);
        world.app.cards.sweep().await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
        assert_eq!(charge(&world, &auth, id, "200 DKK").await.status, 200);
    }

    async fn a_payment_does_not_shorten_a_subscribers_card(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let id = subscribe(&world, &auth, PAN, 2_000).await;
        let code = link(&world, &auth, "1 DKK", json!({})).await;
        shop::pay(&world, &code, PAN, 100).await;
        world.clock.advance_ms(91 * 86_400_000);
        world.app.cards.sweep().await.unwrap();
        assert_eq!(charge(&world, &auth, id, "1 DKK").await.status, 200);
        world.execute("DELETE FROM cards").await;
        charge(&world, &auth, id, "1 DKK").await.assert_line(409, "the card is not kept any more");
    }

    async fn others_subscribers_are_not_there_and_items_are_needed(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let id = subscribe(&world, &auth, PAN, 2_000).await;
        let other = world.merchant(26).await;
        charge(&world, &other, id, "1 DKK").await.assert_line(404, "Not found");
        post(&world, &other, &format!("/v1/subscribers/{id}/renew"), &json!({})).await.assert_line(404, "Not found");
        post(&world, &auth, &format!("/v1/subscribers/{id}/charge"), &json!({})).await.assert_line(400, "missing items");
        world.clock.advance_ms(10 * 365 * 86_400_000);
        charge(&world, &auth, id, "1 DKK").await.assert_line(400, "card expired");
    }

    async fn one_charge_under_one_key(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let id = subscribe(&world, &auth, PAN, 2_000).await;
        let body = json!({"orderid": "1002", "items": [{"total": "10 DKK"}]});
        let call = Forward::post(format!("/v1/subscribers/{id}/charge"), &body).with(&auth).named("1002:q3uhVdDkvhKOsFLsoZKoUvca");
        let before = world.booked().len();
        let world = std::sync::Arc::new(world);
        let calls: Vec<_> = (0..64).map(|_| {
            let (world, call) = (std::sync::Arc::clone(&world), call.clone());
            tokio::spawn(async move { world.send(call).await })
        }).collect();
        let mut bodies = std::collections::HashSet::new();
        for call in calls {
            let answer = call.await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.header("idempotency-status")), (200, "OK"), "{}", answer.text());
            bodies.insert(answer.body);
        }
        assert_eq!((bodies.len(), world.booked().len() - before), (1, 2), "one authorisation, one capture");
        // Its answer is read off the transaction where it was lost.
        world.execute("UPDATE idempotency_keys SET status = NULL, body = NULL WHERE path LIKE '%charge'").await;
        assert!(bodies.contains(&world.send(call).await.body));
    }

    /// Nobody knows whether the bank has approved: it is never captured, so the merchant may charge anew.
    async fn a_lost_charge_is_final_and_never_taken(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let id = subscribe(&world, &auth, PAN, 2_000).await;
        let lose = Order { r#match: Match { kind: Some(Kind::Authorization), amount: None }, fault: Fault::DropAfter, delay_ms: 0, times: 1 };
        world.faults.order(lose);
        let body = json!({"orderid": "1002", "items": [{"total": "10 DKK"}]});
        let call = Forward::post(format!("/v1/subscribers/{id}/charge"), &body).with(&auth).named("lost");
        for _ in 0..2 {
            let answer = world.send(call.clone()).await;
            answer.assert_line(502, "upstream error");
            assert_eq!(answer.header("idempotency-status"), "OK");
        }
        let captures: Vec<Value> = world.booked().into_iter().filter(|entry| entry.kind == Kind::Capture).map(|entry| json!(entry.amount)).collect();
        assert_eq!(captures, [json!(2_000)]);
    }
}
