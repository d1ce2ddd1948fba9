//! Pings through real sockets: after changes, every five minutes, and only by who holds the whole API key.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scanvault_origin::outbox::ping;
use serde_json::{Value, json};

use crate::cards::audited;
use crate::on_both;
use crate::receiver::{Act, Received, Receiver, Running, until};
use crate::world::{Answer, World};

/// The API key in the form that Scanpay's clients know, from an `Authorization`.
pub(crate) fn api_key(authorization: &str) -> String {
    let text = String::from_utf8(STANDARD.decode(authorization.strip_prefix("Basic ").unwrap()).unwrap()).unwrap();
    text.replacen("merchant-", "", 1)
}

async fn set(world: &World, body: Value) -> Answer {
    world.admin("POST", "/accounts/merchant-25/set", &body).await
}

/// A merchant with pings; answers its API key.
async fn ready(mut world: World, receiver: &Receiver) -> (World, String) {
    let key = api_key(&world.ready().await);
    let answer = set(&world, json!({"pingUrl": receiver.url("ping"), "apiKey": key})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (world, key)
}

async fn change(world: &World, running: &Running) {
    world.execute("UPDATE accounts SET change_seq = change_seq + 1 WHERE name = 'merchant-25'").await;
    running.bell.notify_one();
}

#[track_caller]
fn assert_ping(received: &Received, seq: i64, key: &str) {
    assert_eq!(received.body, format!("{{\"seq\":{seq},\"shopid\":25}}"));
    assert_eq!(received.headers["x-signature"], ping::sign(key.as_bytes(), &received.body));
}

/// Until the outcome of the last ping is written down.
async fn settled(world: &World) {
    let statement = "SELECT pinged_at_ms FROM accounts WHERE name = 'merchant-25'";
    until("it is written down", async || world.number(statement).await == i64::try_from(world.clock_ms()).unwrap())
        .await;
}

on_both! {
    async fn at_first_after_each_change_and_every_five_minutes(world: World) {
        let receiver = Receiver::start().await;
        let (world, key) = ready(world, &receiver).await;
        let running = Running::start(&world);
        assert_ping(&receiver.wait_for(1).await[0], 0, &key);
        settled(&world).await;
        change(&world, &running).await;
        assert_ping(&receiver.wait_for(2).await[1], 1, &key);
        settled(&world).await;
        world.clock.advance_ms(299_999);
        running.bell.notify_one();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(receiver.received().len(), 2);
        world.clock.advance_ms(1);
        assert_ping(&receiver.wait_for(3).await[2], 1, &key);
        running.finish().await;
    }

    async fn changes_that_come_together_are_told_together(world: World) {
        let receiver = Receiver::start().await;
        let (world, key) = ready(world, &receiver).await;
        let running = Running::start(&world);
        receiver.wait_for(1).await;
        // While the second one is not answered, fifty changes are made; on a slow disk each of them takes a while.
        receiver.will(&[Act::Late(4_000, 200)]);
        change(&world, &running).await;
        receiver.wait_for(2).await;
        for _ in 0..50 {
            change(&world, &running).await;
        }
        let received = receiver.wait_for(3).await;
        assert_ping(&received[2], 51, &key);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(receiver.received().len(), 3);
        running.finish().await;
    }

    async fn one_that_failed_is_made_good(world: World) {
        let receiver = Receiver::start().await;
        let (world, key) = ready(world, &receiver).await;
        receiver.will(&[Act::Answer(500), Act::Cut]);
        let running = Running::start(&world);
        receiver.wait_for(1).await;
        let due_ms = i64::try_from(world.clock_ms()).unwrap() - 240_000;
        let statement = "SELECT pinged_at_ms FROM accounts WHERE name = 'merchant-25'";
        until("the failure is written down", async || world.number(statement).await == due_ms).await;
        world.clock.advance_ms(60_000);
        receiver.wait_for(2).await;
        until("the failure is written down", async || world.number(statement).await == due_ms + 60_000).await;
        // A new change does not wait for that.
        change(&world, &running).await;
        assert_ping(&receiver.wait_for(3).await[2], 1, &key);
        running.finish().await;
    }

    async fn a_process_that_died_is_made_good_by_another(world: World) {
        let receiver = Receiver::start().await;
        let (world, key) = ready(world, &receiver).await;
        receiver.will(&[Act::Never]);
        let running = Running::start(&world);
        receiver.wait_for(1).await;
        drop(running);
        let running = Running::start(&world);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(receiver.received().len(), 1);
        world.clock.advance_ms(30_000);
        assert_ping(&receiver.wait_for(2).await[1], 0, &key);
        running.finish().await;
    }

    async fn sealed_they_wait(world: World) {
        let receiver = Receiver::start().await;
        let (world, key) = ready(world, &receiver).await;
        world.admin("POST", "/vault/seal", &json!({})).await;
        let running = Running::start(&world);
        change(&world, &running).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(receiver.received().is_empty());
        world.unseal().await;
        running.bell.notify_one();
        assert_ping(&receiver.wait_for(1).await[0], 1, &key);
        running.finish().await;
    }

    async fn only_a_live_key_of_the_account_is_taken(world: World) {
        let mut world = world;
        let key = api_key(&world.ready().await);
        let other = api_key(&world.merchant(26).await);
        let url = "http://127.0.0.1:9/ping";
        let last = if key.ends_with('x') { 'y' } else { 'x' };
        let wrong = format!("{}{last}", &key[..key.len() - 1]);
        for bad in [other.as_str(), &wrong, "25", "25:", &key[3..], &key.replacen("25:", "26:", 1)] {
            let answer = set(&world, json!({"pingUrl": url, "apiKey": bad})).await;
            assert_eq!(answer.json()["detail"], "this is not a live API key of the account: NUMBER:PASSWORD is expected", "{bad}");
        }
        assert_eq!(set(&world, json!({"pingUrl": url})).await.status, 400);
        assert_eq!(set(&world, json!({"apiKey": key})).await.status, 400);
        assert_eq!(set(&world, json!({"pingUrl": "http://pings.example/", "apiKey": key})).await.status, 400);
        let rows = "SELECT COUNT(*) FROM acquirer_credentials WHERE acquirer = 'ping'";
        assert_eq!(world.number(rows).await, 0);
        assert_eq!(set(&world, json!({"pingUrl": url, "apiKey": format!(" {key}\n")})).await.status, 200);
        // Another address alone goes on with the key that is there; without an address there is none.
        assert_eq!(set(&world, json!({"pingUrl": "http://127.0.0.1:9/other"})).await.status, 200);
        assert_eq!(world.number(rows).await, 1);
        assert_eq!(set(&world, json!({"pingUrl": null})).await.status, 200);
        assert_eq!(world.number(rows).await, 0);
        for entry in audited(&world, "account.set").await {
            assert!(!entry.to_string().contains("sv_") && !entry.to_string().contains("127.0.0.1"), "{entry}");
        }
        // Whoever is no merchant has no number to be known by.
        world.account(&json!({"name": "psp-7"})).await;
        let answer = world.admin("POST", "/accounts/psp-7/set", &json!({"pingUrl": url, "apiKey": key})).await;
        assert_eq!(answer.status, 409, "{}", answer.text());
    }

    async fn a_rotation_goes_on_with_the_new_key(world: World) {
        let receiver = Receiver::start().await;
        let (world, _) = ready(world, &receiver).await;
        let rotated = world.admin("POST", "/accounts/merchant-25/rotate", &json!({"overlapSecs": 60})).await.json();
        assert_eq!(rotated["pings"], "proved with the new API key from now on");
        let key = format!("25:{}", rotated["password"].as_str().unwrap());
        let running = Running::start(&world);
        assert_ping(&receiver.wait_for(1).await[0], 0, &key);
        running.finish().await;
    }

    async fn sealed_a_rotation_ends_them_until_the_key_is_given(world: World) {
        let receiver = Receiver::start().await;
        let (world, _) = ready(world, &receiver).await;
        world.admin("POST", "/vault/seal", &json!({})).await;
        let rotated = world.admin("POST", "/accounts/merchant-25/rotate", &json!({})).await.json();
        assert!(rotated["pings"].as_str().unwrap().starts_with("ended: "), "{rotated}");
        world.unseal().await;
        let running = Running::start(&world);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(receiver.received().is_empty());
        let shown = world.admin("GET", "/accounts/merchant-25", &Value::Null).await.json();
        assert_eq!((&shown["pings"], &shown["pingUrl"]), (&json!(false), &json!(receiver.url("ping"))));
        let key = format!("25:{}", rotated["password"].as_str().unwrap());
        assert_eq!(set(&world, json!({"apiKey": key})).await.status, 200);
        assert_ping(&receiver.wait_for(1).await[0], 0, &key);
        running.finish().await;
    }

    async fn with_the_passwords_they_end(world: World) {
        let receiver = Receiver::start().await;
        let (world, key) = ready(world, &receiver).await;
        world.in_bearer_mode("merchant-25").await;
        let running = Running::start(&world);
        change(&world, &running).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(receiver.received().is_empty());
        assert_eq!(set(&world, json!({"apiKey": key})).await.status, 409);
        running.finish().await;
    }
}
