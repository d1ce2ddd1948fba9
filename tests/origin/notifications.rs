//! Deliveries through real sockets: what arrives, what proves it, and what a receiver can do wrong.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scanvault_origin::outbox::store::{self, New};
use scanvault_origin::outbox::{Format, signature};
use scanvault_sandbox::common::clock::Clock as SandboxClock;
use scanvault_sandbox::common::ids::Ids;
use scanvault_sandbox::common::secret::SecretText;
use scanvault_sandbox::common::serve::serve;
use scanvault_sandbox::dev_ca;
use scanvault_sandbox::receiver;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::on_both;
use crate::receiver::{Act, Received, Receiver, Running, merchant, shown, until};
use crate::world::World;

/// Writes a delivery, as a payment does.
pub(crate) async fn add(world: &World, account: &str, url: &str, id: &str) {
    add_with(
        world,
        New { id, account, url, format: Format::Json, body: "{\"n\":1}", transaction_id: None, deadline_at_ms: None },
    )
    .await;
}

pub(crate) async fn add_with(world: &World, new: New<'_>) {
    use scanvault_origin::clock::Clock;
    let mut tx = world.app.db.begin().await.unwrap();
    store::add(&mut tx, new, world.clock.now_db()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn ready(mut world: World) -> World {
    world.init().await;
    world.unseal().await;
    world
}

#[track_caller]
fn assert_proved(received: &Received, secret: &str, now_secs: u64) {
    let expected = signature::sign(secret.as_bytes(), now_secs, received.id(), &received.body);
    assert_eq!(received.headers["scanvault-signature"], expected);
}

async fn state_is(world: &World, id: &str, state: &str) {
    until(&format!("{id} is {state}"), async || shown(world, id).await["state"] == state).await;
}

on_both! {
    async fn a_receiver_that_was_written_by_the_documentation_takes_it(world: World) {
        let world = ready(world).await;
        let secret = merchant(&world, 25, "http://127.0.0.1:9/").await;
        let clock = SandboxClock::manual(i64::try_from(world.clock_ms() / 1000).unwrap());
        let log = world.folder().join("receiver.jsonl");
        let sandbox = receiver::Receiver::open(SecretText::new(&secret), clock, &log).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        let task = tokio::spawn(serve(listener, receiver::router(Arc::new(sandbox))));
        add(&world, "merchant-25", &url, "dlv_sandbox").await;
        let running = Running::start(&world);
        state_is(&world, "dlv_sandbox", "delivered").await;
        running.finish().await;
        let line: Value = serde_json::from_str(std::fs::read_to_string(log).unwrap().trim()).unwrap();
        assert_eq!((&line["verified"], &line["body"], &line["delivery"]), (&json!(true), &json!({"n": 1}), &json!("dlv_sandbox")));
        task.abort();
    }

    async fn both_formats_are_signed_as_they_are_sent(world: World) {
        let world = ready(world).await;
        let receiver = Receiver::start().await;
        let secret = merchant(&world, 25, &receiver.url("hook")).await;
        let set = world.admin("POST", "/accounts/merchant-25/set", &json!({"webhookFormat": "pluto"})).await.json();
        let key = set["notificationKey"].as_str().unwrap();
        assert!(key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
        for (id, format) in [("dlv_json", Format::Json), ("dlv_pluto", Format::Pluto)] {
            let (account, url) = ("merchant-25", &receiver.url("hook"));
            let body = "{\"transactionId\":7,\"status\":\"SUCCESS\"}";
            add_with(&world, New { id, account, url, format, body, transaction_id: Some(7), deadline_at_ms: None }).await;
        }
        let running = Running::start(&world);
        let received = receiver.wait_for(2).await;
        state_is(&world, "dlv_json", "delivered").await;
        state_is(&world, "dlv_pluto", "delivered").await;
        running.finish().await;
        let of = |id: &str| received.iter().find(|received| received.id() == id).unwrap();
        let (json, pluto) = (of("dlv_json"), of("dlv_pluto"));
        assert_eq!((json.body.as_str(), json.headers["content-type"].as_str()), ("{\"transactionId\":7,\"status\":\"SUCCESS\"}", "application/json"));
        assert_eq!(pluto.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(STANDARD.decode(&pluto.body).unwrap().len() % 16, 0);
        for received in [json, pluto] {
            assert_proved(received, &secret, world.clock_ms() / 1000);
        }
        // The key is the one that was printed: the same text under it is what arrived.
        let bytes: Vec<u8> = (0..16).map(|at| u8::from_str_radix(&key[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let known = scanvault_origin::outbox::NotificationKey::from_bytes(&bytes).unwrap();
        assert_eq!(known.encrypt(&json.body).unwrap(), pluto.body);
    }

    async fn what_goes_wrong_is_tried_again_with_the_same_id(world: World) {
        let world = ready(world).await;
        let receiver = Receiver::start().await;
        let secret = merchant(&world, 25, &receiver.url("hook")).await;
        let elsewhere = Receiver::start().await;
        receiver.will(&[Act::Answer(500), Act::Redirect(elsewhere.url("other")), Act::Cut, Act::Answer(404), Act::Answer(204)]);
        add(&world, "merchant-25", &receiver.url("hook"), "dlv_1").await;
        let running = Running::start(&world);
        for (attempt, error) in [(1, "answered 500"), (2, "answered 307"), (3, "not reached"), (4, "answered 404")] {
            until("the failure is written down", async || shown(&world, "dlv_1").await["lastError"] == error).await;
            let delivery = shown(&world, "dlv_1").await;
            assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(attempt)));
            let wait_ms = delivery["nextAtMs"].as_u64().unwrap() - world.clock_ms();
            assert_eq!(wait_ms, 1000 << attempt);
            world.clock.advance_ms(wait_ms);
            running.bell.notify_one();
        }
        state_is(&world, "dlv_1", "delivered").await;
        running.finish().await;
        let received = receiver.received();
        assert_eq!(received.len(), 5);
        assert!(received.iter().all(|received| received.id() == "dlv_1"));
        // Proved anew at each attempt: a receiver refuses what is old.
        assert_proved(&received[4], &secret, world.clock_ms() / 1000);
        assert_ne!(received[0].headers["scanvault-signature"], received[4].headers["scanvault-signature"]);
        assert!(elsewhere.received().is_empty(), "a redirect was followed");
    }

    async fn one_slow_receiver_does_not_block_others(world: World) {
        let world = ready(world).await;
        let (slow, quick) = (Receiver::start().await, Receiver::start().await);
        merchant(&world, 25, &slow.url("hook")).await;
        merchant(&world, 26, &quick.url("hook")).await;
        slow.will(&vec![Act::Never; 400]);
        for n in 0..300 {
            add(&world, "merchant-25", &slow.url("hook"), &format!("dlv_slow_{n}")).await;
        }
        let running = Running::start(&world);
        slow.wait_for(20).await;
        for n in 0..20 {
            add(&world, "merchant-26", &quick.url("hook"), &format!("dlv_quick_{n}")).await;
        }
        running.bell.notify_one();
        let began = std::time::Instant::now();
        quick.wait_for(20).await;
        // Had they waited for the slow ones, it would have taken the fifteen seconds that those are given.
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
        let under_way = slow.received().len();
        assert!((20..100).contains(&under_way), "{under_way} of one account at once");
    }

    async fn an_answer_without_an_end_is_not_read(world: World) {
        let world = ready(world).await;
        let receiver = Receiver::start().await;
        merchant(&world, 25, &receiver.url("hook")).await;
        receiver.will(&[Act::Huge]);
        add(&world, "merchant-25", &receiver.url("hook"), "dlv_1").await;
        let running = Running::start(&world);
        state_is(&world, "dlv_1", "delivered").await;
        until("the connection is closed", async || receiver.endless_bytes().is_some()).await;
        // What fits into buffers on the way, and nothing more.
        assert!(receiver.endless_bytes().unwrap() < 32 << 20, "{:?}", receiver.endless_bytes());
        running.finish().await;
    }

    async fn a_certificate_of_nobody_is_told_nothing(world: World) {
        let world = ready(world).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let ca = dev_ca::generate(&[], &[], now, &mut Ids::seeded([3; 32])).unwrap();
        let receiver = Receiver::over_tls(&ca).await;
        let url = format!("https://localhost:{}/hook", receiver.port);
        merchant(&world, 25, &url).await;
        add(&world, "merchant-25", &url, "dlv_1").await;
        let running = Running::start(&world);
        until("the failure is written down", async || shown(&world, "dlv_1").await["lastError"] == "not reached").await;
        running.finish().await;
        assert!(receiver.received().is_empty());
    }

    async fn sealed_they_wait(world: World) {
        let world = ready(world).await;
        let receiver = Receiver::start().await;
        merchant(&world, 25, &receiver.url("hook")).await;
        world.admin("POST", "/vault/seal", &json!({})).await;
        add(&world, "merchant-25", &receiver.url("hook"), "dlv_1").await;
        let running = Running::start(&world);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((receiver.received().len(), shown(&world, "dlv_1").await["attempts"].clone()), (0, json!(0)));
        world.unseal().await;
        running.bell.notify_one();
        state_is(&world, "dlv_1", "delivered").await;
        running.finish().await;
        assert_eq!(receiver.received().len(), 1);
    }

    async fn what_another_process_holds_is_sent_when_its_lease_is_over(world: World) {
        use scanvault_origin::clock::Clock;
        let world = ready(world).await;
        let receiver = Receiver::start().await;
        merchant(&world, 25, &receiver.url("hook")).await;
        add(&world, "merchant-25", &receiver.url("hook"), "dlv_1").await;
        let claim = store::Claim { class: store::Class::Ordinary, now_ms: world.clock.now_db(), lease_ms: 60_000, strict_ms: 45_000, busy: &[] };
        let due = store::claim(&world.app.db, claim).await.unwrap().unwrap();
        assert_eq!((due.id.as_str(), due.attempts), ("dlv_1", 1));
        let running = Running::start(&world);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(receiver.received().is_empty());
        world.clock.advance_ms(60_000);
        running.bell.notify_one();
        state_is(&world, "dlv_1", "delivered").await;
        running.finish().await;
        assert_eq!((receiver.received().len(), &shown(&world, "dlv_1").await["attempts"]), (1, &json!(2)));
        // Who held it before and comes to an end now writes nothing over that.
        store::postpone(&world.app.db, &due, None, "late").await.unwrap();
        assert_eq!(shown(&world, "dlv_1").await["state"], "delivered");
    }

    async fn two_origins_share_the_work(world: World) {
        let world = ready(world).await;
        let receiver = Receiver::start().await;
        merchant(&world, 25, &receiver.url("hook")).await;
        for n in 0..120 {
            add(&world, "merchant-25", &receiver.url("hook"), &format!("dlv_{n}")).await;
        }
        let (one, two) = (Running::start(&world), Running::start(&world));
        until("all are delivered", async || world.number("SELECT COUNT(*) FROM outbox WHERE state = 'delivered'").await == 120).await;
        one.finish().await;
        two.finish().await;
        let mut ids: Vec<String> = receiver.received().iter().map(|received| received.id().to_owned()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), receiver.received().len()), (120, 120));
    }
}
