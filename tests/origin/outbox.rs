//! The outbox in operators' hands: listed, shown, parked, sent again, and swept.

use serde_json::{Value, json};

use crate::cards::audited;
use crate::notifications::add;
use crate::on_both;
use crate::receiver::{Act, Receiver, Running, merchant, shown, until};
use crate::world::World;

async fn ready(mut world: World) -> World {
    world.init().await;
    world.unseal().await;
    world
}

async fn list(world: &World, body: Value) -> Vec<Value> {
    let answer = world.admin("POST", "/outbox/list", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["deliveries"].as_array().unwrap().clone()
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["delivery"].as_str().unwrap()).collect()
}

async fn replay(world: &World, body: Value) -> Value {
    let answer = world.admin("POST", "/outbox/replay", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["replayed"].clone()
}

on_both! {
    async fn they_are_listed_without_and_shown_with_what_they_say(world: World) {
        let world = ready(world).await;
        for id in [25, 26] {
            world.merchant(id).await;
        }
        for (account, id) in [("merchant-25", "dlv_a"), ("merchant-26", "dlv_b"), ("merchant-25", "dlv_c")] {
            world.clock.advance_ms(10);
            add(&world, account, "https://merchant.example/hook", id).await;
        }
        let all = list(&world, json!({})).await;
        assert_eq!(ids(&all), ["dlv_c", "dlv_b", "dlv_a"]);
        assert!(all.iter().all(|row| row.get("body").is_none()));
        assert_eq!(ids(&list(&world, json!({"account": "MERCHANT_25"})).await), ["dlv_c", "dlv_a"]);
        assert_eq!(ids(&list(&world, json!({"limit": 1})).await), ["dlv_c"]);
        assert_eq!(ids(&list(&world, json!({"beforeMs": all[1]["createdAtMs"]})).await), ["dlv_a"]);
        assert!(list(&world, json!({"state": "parked"})).await.is_empty());
        for bad in [json!({"state": "lost"}), json!({"limit": 0}), json!({"limit": 1001}), json!({"account": "a b"}), json!({"x": 1})] {
            assert_eq!(world.admin("POST", "/outbox/list", &bad).await.status, 400, "{bad}");
        }
        assert!(audited(&world, "outbox.shown").await.is_empty());
        assert_eq!(shown(&world, "dlv_b").await["body"], "{\"n\":1}");
        assert_eq!(audited(&world, "outbox.shown").await, [json!({"action": "outbox.shown", "actor": "owner", "delivery": "dlv_b", "account": "merchant-26"})]);
        assert_eq!(world.admin("GET", "/outbox/dlv_x", &Value::Null).await.status, 404);
    }

    async fn given_up_it_is_parked_until_it_is_sent_again(world: World) {
        let world = ready(world).await;
        let receiver = Receiver::start().await;
        merchant(&world, 25, &receiver.url("hook")).await;
        merchant(&world, 26, &receiver.url("hook")).await;
        receiver.will(&[Act::Answer(500), Act::Answer(500)]);
        for (account, id) in [("merchant-25", "dlv_a"), ("merchant-26", "dlv_b")] {
            add(&world, account, &receiver.url("hook"), id).await;
        }
        world.execute("UPDATE outbox SET attempts = 39").await;
        let running = Running::start(&world);
        until("both are parked", async || list(&world, json!({"state": "parked"})).await.len() == 2).await;
        // Of themselves they do nothing more.
        world.clock.advance_ms(40 * 3_600_000);
        running.bell.notify_one();
        let metrics = world.admin("GET", "/metrics", &Value::Null).await.text();
        assert!(metrics.contains("\nscanvault_outbox_parked 2\n") && metrics.contains("scanvault_deliveries_total{outcome=\"refused\"} 2"), "{metrics}");
        assert_eq!(replay(&world, json!({"account": "merchant-25"})).await, 1);
        running.bell.notify_one();
        until("it is delivered", async || shown(&world, "dlv_a").await["state"] == "delivered").await;
        assert_eq!(shown(&world, "dlv_b").await["state"], "parked");
        assert_eq!(replay(&world, json!({"parked": true})).await, 1);
        running.bell.notify_one();
        until("it is delivered", async || shown(&world, "dlv_b").await["state"] == "delivered").await;
        // One that was delivered is sent again by its id, with its id.
        assert_eq!(replay(&world, json!({"id": "dlv_b"})).await, 1);
        running.bell.notify_one();
        let received = receiver.wait_for(5).await;
        assert_eq!(received[4].id(), "dlv_b");
        running.finish().await;
        assert_eq!(replay(&world, json!({"parked": true})).await, 0);
        for bad in [json!({}), json!({"id": "dlv_a", "parked": true}), json!({"account": "merchant-25", "parked": true}), json!({"parked": false})] {
            assert_eq!(world.admin("POST", "/outbox/replay", &bad).await.status, 400, "{bad}");
        }
        assert_eq!(world.admin("POST", "/outbox/replay", &json!({"id": "dlv_x"})).await.status, 409);
        let entries = audited(&world, "outbox.replayed").await;
        assert_eq!((entries.len(), &entries[0]["account"], &entries[2]["delivery"]), (4, &json!("merchant-25"), &json!("dlv_b")));
    }

    async fn what_waits_goes_where_the_receiver_has_moved_to(world: World) {
        let world = ready(world).await;
        let (old, new) = (Receiver::start().await, Receiver::start().await);
        merchant(&world, 25, &old.url("hook")).await;
        merchant(&world, 26, &old.url("hook")).await;
        add(&world, "merchant-25", &old.url("hook"), "dlv_a").await;
        add(&world, "merchant-26", &old.url("hook"), "dlv_b").await;
        let set = async |id: u64, url: Value| {
            let answer = world.admin("POST", &format!("/accounts/merchant-{id}/set"), &json!({"webhookUrl": url})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        };
        set(25, json!(new.url("hook"))).await;
        set(26, Value::Null).await;
        let running = Running::start(&world);
        assert_eq!(new.wait_for(1).await[0].id(), "dlv_a");
        let parked = shown(&world, "dlv_b").await;
        assert_eq!((&parked["state"], &parked["lastError"]), (&json!("parked"), &json!("the account has no receiver")));
        // With a receiver again it can be sent.
        set(26, json!(new.url("hook"))).await;
        assert_eq!(replay(&world, json!({"parked": true})).await, 1);
        running.bell.notify_one();
        new.wait_for(2).await;
        running.finish().await;
        assert!(old.received().is_empty());
    }

    async fn the_one_that_waits_longest_of_who_may_have_more_is_next(world: World) {
        use scanvault_origin::clock::Clock;
        use scanvault_origin::outbox::store::{self, Claim, Class};
        let world = ready(world).await;
        for id in [25, 26, 27] {
            world.merchant(id).await;
        }
        // Seven of one account and then one of another, again and again; the last one is not due yet.
        let mut expected = Vec::new();
        for n in 0..24 {
            let account = ["merchant-25", "merchant-26", "merchant-27"][[0, 0, 0, 1, 0, 0, 0, 2][n % 8]];
            add(&world, account, "https://merchant.example/hook", &format!("dlv_{n:02}")).await;
            if account != "merchant-25" {
                expected.push(format!("dlv_{n:02}"));
            }
            world.clock.advance_ms(1);
        }
        world.execute("UPDATE outbox SET next_at_ms = next_at_ms + 60000 WHERE id = 'dlv_23'").await;
        let busy = ["merchant-25".to_owned()];
        let next = async |class, busy: &[String]| {
            let claim = Claim { class, now_ms: world.clock.now_db(), lease_ms: 60_000, strict_ms: 45_000, busy };
            store::claim(&world.app.db, claim).await.unwrap().map(|due| due.id)
        };
        assert_eq!(next(Class::Strict, &[]).await, None);
        let mut claimed = Vec::new();
        while let Some(id) = next(Class::Ordinary, &busy).await {
            claimed.push(id);
        }
        assert_eq!(claimed, expected[..5]);
        let all = [busy[0].clone(), "merchant-26".to_owned(), "merchant-27".to_owned()];
        assert_eq!(next(Class::Ordinary, &all).await, None);
        assert_eq!(next(Class::Ordinary, &[]).await.as_deref(), Some("dlv_00"));
        assert_eq!(next(Class::Ordinary, &[]).await.as_deref(), Some("dlv_01"));
    }

    async fn what_is_done_stays_for_thirty_days(world: World) {
        use scanvault_origin::clock::Clock;
        use scanvault_origin::outbox::upkeep;
        let world = ready(world).await;
        world.merchant(25).await;
        for id in ["dlv_done", "dlv_withdrawn", "dlv_parked", "dlv_pending", "dlv_new"] {
            add(&world, "merchant-25", "https://merchant.example/hook", id).await;
        }
        world.execute("UPDATE outbox SET state = 'delivered' WHERE id IN ('dlv_done', 'dlv_new')").await;
        world.execute("UPDATE outbox SET state = 'withdrawn' WHERE id = 'dlv_withdrawn'").await;
        world.execute("UPDATE outbox SET state = 'parked' WHERE id = 'dlv_parked'").await;
        world.execute("UPDATE outbox SET next_at_ms = next_at_ms + 1 WHERE id = 'dlv_new'").await;
        world.clock.advance_ms(u64::try_from(upkeep::KEPT_MS).unwrap());
        assert_eq!(upkeep::sweep(&world.app.db, world.clock.now_db()).await.unwrap(), 0);
        world.clock.advance_ms(1);
        assert_eq!(upkeep::sweep(&world.app.db, world.clock.now_db()).await.unwrap(), 2);
        let mut left: Vec<String> = ids(&list(&world, json!({})).await).into_iter().map(str::to_owned).collect();
        left.sort();
        assert_eq!(left, ["dlv_new", "dlv_parked", "dlv_pending"]);
    }
}
