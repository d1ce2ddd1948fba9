//! Strict deliveries: only a 200 in time is a yes, and what was cut off is asked again before anything is undone.

use std::time::Duration;

use scanvault_origin::clock::Clock;
use scanvault_origin::outbox::store::{self, New};
use scanvault_origin::outbox::strict::{self, Verdict};
use scanvault_origin::outbox::{Format, strict::ANSWER_WITHIN_MS};
use serde_json::{Value, json};

use crate::notifications::add_with;
use crate::on_both;
use crate::receiver::{Act, Receiver, Running, merchant, shown, until};
use crate::world::World;

/// A merchant with that receiver, and a strict delivery of transaction 7.
async fn ready(mut world: World, receiver: &Receiver) -> World {
    world.init().await;
    world.unseal().await;
    merchant(&world, 25, &receiver.url("hook")).await;
    let deadline_at_ms = Some(world.clock.now_db() + ANSWER_WITHIN_MS);
    let url = receiver.url("hook");
    add_with(
        &world,
        New {
            id: "dlv_1",
            account: "merchant-25",
            url: &url,
            format: Format::Json,
            body: "{\"transactionId\":7,\"status\":\"SUCCESS\"}",
            transaction_id: Some(7),
            deadline_at_ms,
        },
    )
    .await;
    world
}

async fn ended(world: &World, running: &Running) -> (Value, Vec<(i64, bool)>) {
    until("its end is told", async || !running.told().is_empty()).await;
    let delivery = shown(world, "dlv_1").await;
    (delivery, running.told())
}

/// The delivery under somebody's lease, as it is left by a process that died in the middle of an attempt.
async fn cut_off(world: &World) {
    let claim = store::Claim {
        class: store::Class::Strict,
        now_ms: world.clock.now_db(),
        lease_ms: 60_000,
        strict_ms: ANSWER_WITHIN_MS,
        busy: &[],
    };
    assert!(store::claim(&world.app.db, claim).await.unwrap().is_some());
}

/// The webhook secret's envelope then names a key that is in nobody's ring. Answers the envelope as it was.
async fn under_another_key(world: &World) -> Vec<u8> {
    let row = sqlx::query("SELECT webhook_secret FROM accounts WHERE name = 'merchant-25'");
    let sealed: Vec<u8> = sqlx::Row::try_get(&row.fetch_one(world.app.db.read()).await.unwrap(), 0).unwrap();
    let mut other = sealed.clone();
    other[1..5].fill(0x11);
    put_sealed(world, other).await;
    sealed
}

async fn put_sealed(world: &World, sealed: Vec<u8>) {
    let query = sqlx::query("UPDATE accounts SET webhook_secret = $1 WHERE name = 'merchant-25'").bind(sealed);
    query.execute(world.app.db.write()).await.unwrap();
}

on_both! {
    async fn a_200_in_time_captures(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        assert_eq!(strict::find(&world.app.db, 7).await.unwrap(), Some(Verdict::Waits));
        let running = Running::start(&world);
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], told), (&json!("delivered"), vec![(7, true)]));
        assert_eq!(strict::find(&world.app.db, 7).await.unwrap(), Some(Verdict::Delivered));
        assert_eq!(strict::find(&world.app.db, 8).await.unwrap(), None);
        // Sent again by an operator it is an ordinary one: whatever is answered, the payment stays.
        receiver.will(&[Act::Answer(500)]);
        let replayed = world.admin("POST", "/outbox/replay", &json!({"id": "dlv_1"})).await;
        assert_eq!(replayed.json(), json!({"replayed": 1}));
        running.bell.notify_one();
        until("it failed", async || shown(&world, "dlv_1").await["lastError"] == "answered 500").await;
        assert_eq!(shown(&world, "dlv_1").await["state"], "pending");
        assert_eq!((strict::find(&world.app.db, 7).await.unwrap(), running.told().len()), (Some(Verdict::Delivered), 1));
        running.finish().await;
    }

    async fn any_other_answer_undoes(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        let acts = [Act::Answer(204), Act::Answer(500), Act::Redirect("https://elsewhere.example/".into())];
        receiver.will(&acts);
        let running = Running::start(&world);
        for n in 1..=acts.len() {
            until("its end is told", async || running.told().len() == n).await;
            assert_eq!(running.told(), vec![(7, false); n]);
            assert_eq!(shown(&world, "dlv_1").await["state"], "withdrawn");
            assert_eq!(strict::find(&world.app.db, 7).await.unwrap(), Some(Verdict::Withdrawn));
            // It tells of a payment that is no more: nobody sends it again.
            let replay = world.admin("POST", "/outbox/replay", &json!({"id": "dlv_1"})).await;
            assert_eq!((replay.status.as_u16(), receiver.received().len()), (409, n));
            world.execute("UPDATE outbox SET state = 'pending'").await; // as it was at first
            running.bell.notify_one();
        }
        running.finish().await;
    }

    async fn an_answer_that_is_late_undoes(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        receiver.will(&[Act::Late(3_000, 200)]);
        // A second is left.
        world.clock.advance_ms(44_000);
        let running = Running::start(&world);
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], &delivery["lastError"], told), (&json!("withdrawn"), &json!("timed out"), vec![(7, false)]));
        running.finish().await;
    }

    async fn who_is_not_reached_is_tried_until_the_deadline(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        receiver.will(&[Act::Cut, Act::Cut, Act::Cut, Act::Cut, Act::Cut]);
        let running = Running::start(&world);
        for (attempts, left_ms) in [(1, 43_000), (2, 39_000), (3, 31_000), (4, 15_000), (5, 0)] {
            // Counted when it begins; when it has failed the next one is in the future.
            until("it was tried", async || {
                let delivery = shown(&world, "dlv_1").await;
                delivery["attempts"] == attempts && delivery["nextAtMs"].as_u64() > Some(world.clock_ms())
            }).await;
            let delivery = shown(&world, "dlv_1").await;
            assert_eq!(delivery["lastError"], "not reached");
            let next_ms = delivery["nextAtMs"].as_u64().unwrap();
            assert_eq!(delivery["deadlineAtMs"].as_u64().unwrap() - next_ms, left_ms, "attempt {attempts}");
            assert!(running.told().is_empty());
            world.clock.advance_ms(next_ms - world.clock_ms());
            running.bell.notify_one();
        }
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], &delivery["lastError"]), (&json!("withdrawn"), &json!("not answered in time")));
        assert_eq!((told, receiver.received().len()), (vec![(7, false)], 5));
        running.finish().await;
    }

    async fn what_was_cut_off_is_sent_again_before_anything_is_undone(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        // The receiver may have said yes; then the process died, and nobody was there for an hour.
        cut_off(&world).await;
        world.clock.advance_ms(3_600_000);
        let running = Running::start(&world);
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], told), (&json!("delivered"), vec![(7, true)]));
        let received = receiver.received();
        assert_eq!((received.len(), received[0].id()), (1, "dlv_1"));
        running.finish().await;
    }

    async fn cut_off_and_then_refused_it_is_undone(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        cut_off(&world).await;
        world.clock.advance_ms(3_600_000);
        receiver.will(&[Act::Cut, Act::Answer(409)]);
        let running = Running::start(&world);
        until("it was tried", async || shown(&world, "dlv_1").await["lastError"] == "not reached").await;
        assert!(running.told().is_empty());
        world.clock.advance_ms(60_000);
        running.bell.notify_one();
        // It was to be tried again before its time was over, and nobody was there: it is, and then its answer counts.
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], &delivery["lastError"], told), (&json!("withdrawn"), &json!("answered 409"), vec![(7, false)]));
        running.finish().await;
    }

    async fn tried_once_and_nobody_there_until_it_was_too_late_it_is_sent_again(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        // The receiver has it, its yes is lost, and the process dies before it could ask again.
        receiver.will(&[Act::Cut]);
        let running = Running::start(&world);
        until("it was tried", async || shown(&world, "dlv_1").await["lastError"] == "not reached").await;
        drop(running);
        world.clock.advance_ms(3_600_000);
        let running = Running::start(&world);
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], told, receiver.received().len()), (&json!("delivered"), vec![(7, true)], 2));
        running.finish().await;
    }

    async fn a_receiver_that_is_taken_away_undoes_what_waits_for_it(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        let body = json!({"webhookUrl": null, "strict": false});
        assert_eq!(world.admin("POST", "/accounts/merchant-25/set", &body).await.status, 200);
        // Parked it would hold the money for ever: nobody acts on what may still be sent.
        assert_eq!(strict::find(&world.app.db, 7).await.unwrap(), Some(Verdict::Withdrawn));
        assert_eq!(shown(&world, "dlv_1").await["lastError"], "the account has no receiver");
        let running = Running::start(&world);
        running.bell.notify_one();
        running.finish().await;
        assert!(receiver.received().is_empty());
    }

    async fn a_secret_that_is_not_to_be_had_for_a_moment_undoes_nothing(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        let url = receiver.url("hook");
        let ordinary = New { id: "dlv_2", account: "merchant-25", url: &url, format: Format::Json, body: "{}", transaction_id: None, deadline_at_ms: None };
        add_with(&world, ordinary).await;
        // As another process has sealed it a moment ago, with a data key that this one has not read yet.
        let sealed = under_another_key(&world).await;
        let running = Running::start(&world);
        for id in ["dlv_1", "dlv_2"] {
            until("it was tried", async || shown(&world, id).await["lastError"] == "the account's secret could not be read").await;
            assert_eq!(shown(&world, id).await["state"], "pending", "{id}");
        }
        assert!(running.told().is_empty() && receiver.received().is_empty());
        put_sealed(&world, sealed).await;
        world.clock.advance_ms(2_000);
        running.bell.notify_one();
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], told), (&json!("delivered"), vec![(7, true)]));
        until("both are delivered", async || shown(&world, "dlv_2").await["state"] == "delivered").await;
        running.finish().await;
    }

    async fn never_sent_and_too_late_it_is_undone_without_being_sent(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        world.admin("POST", "/vault/seal", &json!({})).await;
        let running = Running::start(&world);
        world.clock.advance_ms(50_000);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(running.told().is_empty(), "sealed, nothing can be undone either");
        world.unseal().await;
        running.bell.notify_one();
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], told), (&json!("withdrawn"), vec![(7, false)]));
        assert!(receiver.received().is_empty());
        running.finish().await;
    }

    async fn cut_off_and_sealed_meanwhile_it_is_still_sent_again(world: World) {
        let receiver = Receiver::start().await;
        let world = ready(world, &receiver).await;
        cut_off(&world).await;
        world.clock.advance_ms(60_000);
        // A claim that was given back because the vault was sealed in between.
        let claim = store::Claim { class: store::Class::Strict, now_ms: world.clock.now_db(), lease_ms: 60_000, strict_ms: ANSWER_WITHIN_MS, busy: &[] };
        let due = store::claim(&world.app.db, claim).await.unwrap().unwrap();
        store::release(&world.app.db, &due, world.clock.now_db() + 1_000).await.unwrap();
        world.clock.advance_ms(3_600_000);
        let running = Running::start(&world);
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], told, receiver.received().len()), (&json!("delivered"), vec![(7, true)], 1));
        running.finish().await;
    }

    async fn money_does_not_wait_behind_what_nothing_waits_for(world: World) {
        let (receiver, slow) = (Receiver::start().await, Receiver::start().await);
        let world = ready(world, &receiver).await;
        // Whatever one account may have under way is under way, and does not end.
        slow.will(&vec![Act::Never; 300]);
        for n in 0..100 {
            let (id, url) = (format!("dlv_slow_{n}"), slow.url("hook"));
            let delivery = New { id: &id, account: "merchant-25", url: &url, format: Format::Json, body: "{}", transaction_id: None, deadline_at_ms: None };
            add_with(&world, delivery).await;
        }
        world.execute("UPDATE outbox SET next_at_ms = next_at_ms + 5000 WHERE id = 'dlv_1'").await;
        let running = Running::start(&world);
        slow.wait_for(50).await;
        world.clock.advance_ms(5_000);
        running.bell.notify_one();
        let (delivery, told) = ended(&world, &running).await;
        assert_eq!((&delivery["state"], told), (&json!("delivered"), vec![(7, true)]));
    }
}
