//! The engine and the resolver against a bank that errs as it is told: whatever the order, the totals are the bank's.

use std::sync::Arc;

use scanvault_origin::acquirers::{Party, Resolution, Transport};
use scanvault_origin::identity::secrets;
use scanvault_origin::payments::Payments;
use scanvault_origin::payments::engine::{ActRequest, EngineError, no_hook};
use scanvault_origin::payments::ledger::{ActEnd, Illegal, Stage};
use scanvault_origin::payments::pay::PayOutcome;
use scanvault_origin::payments::pay::Post;
use scanvault_origin::payments::resolver::ABANDONED_AFTER_MS;
use scanvault_origin::payments::store::{Transaction, transactions};
use scanvault_origin::vault::SystemEntropy;

use crate::bank::{Bank, Play, REPEATS, Scripted, at_a_bank, party, random, with};
use crate::card::{Page, code};
use crate::on_both;
use crate::world::World;

pub(crate) const PAN: &str = "4111111111111111";
pub(crate) const ABANDONED_MS: u64 = ABANDONED_AFTER_MS.unsigned_abs() + 1;

pub(crate) async fn pay(world: &World, payments: &Arc<Payments>, code: &str) -> PayOutcome {
    let page = Page::load(world, code).await;
    payments.pay(&code.parse().unwrap(), Post::of(&page.seal(&page.card(PAN, 1000))), "203.0.113.7").await.unwrap()
}

pub(crate) async fn find(world: &World, id: i64) -> Transaction {
    transactions::find(&world.app.db, id).await.unwrap().unwrap()
}

/// A payment of 10.00 that is held until the merchant takes it.
async fn held(world: &World, payments: &Arc<Payments>, auth: &str, reference: &str) -> i64 {
    let code = code(world, auth, reference, "10.00").await;
    world.execute("UPDATE payment_requests SET autocapture = 0").await;
    match pay(world, payments, &code).await {
        PayOutcome::Paid { transaction_id } => transaction_id,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn code_state(world: &World) -> String {
    let row = sqlx::query("SELECT state FROM codes").fetch_one(world.app.db.read()).await.unwrap();
    sqlx::Row::try_get(&row, 0).unwrap()
}

async fn assert_feed_is_gap_free(world: &World) {
    let gaps = "SELECT COUNT(*) FROM accounts a WHERE a.change_seq <> (SELECT COUNT(*) FROM changes c WHERE c.account = a.name)";
    assert_eq!(world.number(gaps).await, 0);
    let twice =
        "SELECT COUNT(*) FROM (SELECT object_id, rev FROM changes GROUP BY object_id, rev HAVING COUNT(*) > 1) x";
    assert_eq!(world.number(twice).await, 0, "each change is told once");
}

/// The ledger says what the bank has booked, and never more than there was.
async fn assert_totals(world: &World, bank: &Bank, id: i64, seed: u64) {
    let found = find(world, id).await.ledger;
    let sum = |kind: &str| bank.booked(kind).iter().sum::<u64>();
    let seen = (found.authorised_minor, found.captured_minor, found.refunded_minor, found.stage == Stage::Voided);
    let booked = (sum("authorise"), sum("capture"), sum("refund"), sum("void") > 0);
    assert_eq!(seen, booked, "seed {seed}");
    assert!(
        found.refunded_minor <= found.captured_minor && found.captured_minor <= found.authorised_minor,
        "seed {seed}"
    );
    let acts = ["capture", "refund", "void"].map(|kind| bank.booked(kind).len()).iter().sum::<usize>();
    assert_eq!(usize::try_from(found.acts_done).unwrap(), acts, "seed {seed}");
    let of_both = "SELECT COUNT(*) FROM acts a JOIN acts b ON b.transaction_id = a.transaction_id WHERE a.is_reversal = 1 \
                   AND a.state = 'done' AND b.is_reversal = 0 AND b.kind = 'refund' AND b.state = 'done'";
    assert_eq!(world.number(of_both).await, 0, "never both reversed and refunded, seed {seed}");
}

on_both! {
    async fn whatever_the_order_the_totals_are_the_banks(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for round in 0..6_u64 {
            let seed = 0x9e37_79b9_7f4a_7c15 ^ (round << 32 | 0x51);
            let (payments, bank) = at_a_bank(&world, REPEATS).await;
            let id = held(&world, &payments, &auth, &format!("round-{round}")).await;
            bank.at_random(seed);
            let idle = payments.running.strong_count();
            let mut dice = seed;
            let mut tasks = Vec::new();
            for _ in 0..24 {
                let request = match random(&mut dice) % 10 {
                    0 => ActRequest::Reverse,
                    1 => ActRequest::Void,
                    2..=5 => ActRequest::Capture(random(&mut dice) % 400 + 1),
                    _ => ActRequest::Refund(random(&mut dice) % 300 + 1),
                };
                let index = (random(&mut dice).is_multiple_of(3)).then_some(u32::try_from(random(&mut dice) % 3).unwrap());
                let engine = Arc::clone(&payments);
                let task = tokio::spawn(async move { engine.act(id, request, index, no_hook()).await.is_ok() });
                if random(&mut dice).is_multiple_of(4) {
                    tokio::task::yield_now().await;
                    task.abort(); // whoever asked hangs up
                } else {
                    tasks.push(task);
                }
                if random(&mut dice).is_multiple_of(3) {
                    world.clock.advance_ms(1_100);
                    payments.resolve().await.unwrap();
                }
            }
            for task in tasks {
                let _ = task.await.unwrap();
            }
            // What those who hung up have left goes on by itself. On a busy machine it takes longer than the clock below, which
            // jumps an hour in no time.
            while payments.running.strong_count() > idle {
                tokio::task::yield_now().await;
            }
            // What is unknown is asked again until the bank has said.
            for _ in 0..60 {
                bank.will(&[Play::Yes]);
                world.clock.advance_ms(61_000);
                payments.resolve().await.unwrap();
                if find(&world, id).await.ledger.pending.is_none() {
                    break;
                }
            }
            assert!(find(&world, id).await.ledger.pending.is_none(), "seed {seed}");
            assert_totals(&world, &bank, id, seed).await;
        }
        assert_feed_is_gap_free(&world).await;
    }

    async fn sixty_four_payers_of_one_code_make_one_charge(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let code = code(&world, &auth, "race", "10.00").await;
        let mut cards = Vec::new();
        for _ in 0..64 {
            let page = Page::load(&world, &code).await;
            cards.push(page.seal(&page.card(PAN, 1000)));
        }
        let pay = |sealed: String| {
            let (payments, code) = (Arc::clone(&payments), code.parse().unwrap());
            tokio::spawn(async move { payments.pay(&code, Post::of(&sealed), "203.0.113.7").await })
        };
        let tasks: Vec<_> = cards.into_iter().map(pay).collect();
        let mut paid = 0;
        for task in tasks {
            paid += usize::from(matches!(task.await.unwrap(), Ok(PayOutcome::Paid { .. })));
        }
        assert_eq!((paid, bank.booked("authorise"), bank.booked("capture")), (1, vec![1000], vec![1000]));
        assert_eq!(world.number("SELECT COUNT(*) FROM transactions").await, 1);
        assert_feed_is_gap_free(&world).await;
    }

    async fn sixty_four_captures_with_one_index_are_one(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let id = held(&world, &payments, &auth, "index").await;
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let payments = Arc::clone(&payments);
                tokio::spawn(async move { payments.act(id, ActRequest::Capture(10), Some(0), no_hook()).await })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(acted) => done += usize::from(acted.end == ActEnd::Done),
                Err(EngineError::Illegal(Illegal::Index | Illegal::Pending)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!((done, bank.booked("capture")), (1, vec![10]));
        assert_eq!(find(&world, id).await.ledger.acts_done, 1);
    }

    async fn a_lost_answer_is_asked_for_with_the_same_bytes_and_booked_once(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let id = held(&world, &payments, &auth, "repeat").await;
        bank.will(&[Play::LostAfter]);
        let acted = payments.act(id, ActRequest::Capture(400), Some(0), no_hook()).await.unwrap();
        assert_eq!(acted.end, ActEnd::Unknown);
        assert_eq!(payments.resolve().await.unwrap(), 0, "not before its time");
        world.clock.advance_ms(1_000);
        // Two origins at once: one of them asks.
        let (one, other) = tokio::join!(payments.resolve(), payments.resolve());
        assert_eq!(one.unwrap() + other.unwrap(), 1);
        assert_eq!((find(&world, id).await.ledger.captured_minor, bank.booked("capture")), (400, vec![400]));
        let calls = bank.calls.lock().unwrap().clone();
        assert_eq!((calls.len(), &calls[1]), (3, &calls[2]), "the same bytes");
        assert_feed_is_gap_free(&world).await;
    }

    async fn what_cannot_be_asked_here_does_not_stand_before_what_can(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let id = held(&world, &payments, &auth, "elsewhere").await;
        bank.will(&[Play::LostAfter]);
        payments.act(id, ActRequest::Capture(400), None, no_hook()).await.unwrap();
        world.clock.advance_ms(1_000);
        // An origin without the way to this acquirer.
        assert_eq!(with(&world, vec![]).resolve().await.unwrap(), 0);
        let next_ms = world.number("SELECT next_try_at_ms FROM acts WHERE kind = 'capture'").await;
        assert_eq!(next_ms, i64::try_from(world.clock_ms()).unwrap() + 60_000);
        assert_eq!(world.number("SELECT tries FROM acts WHERE kind = 'capture'").await, 1, "it was not asked");
        world.clock.advance_ms(60_000);
        assert_eq!(payments.resolve().await.unwrap(), 1);
        assert_eq!(find(&world, id).await.ledger.captured_minor, 400);
    }

    async fn repetitions_end_and_an_operator_is_told(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let id = held(&world, &payments, &auth, "never").await;
        bank.will(&[Play::LostBefore; 20]);
        payments.act(id, ActRequest::Refund(1), None, no_hook()).await.unwrap_err();
        payments.act(id, ActRequest::Capture(400), None, no_hook()).await.unwrap();
        for _ in 0..10 {
            world.clock.advance_ms(120_000);
            payments.resolve().await.unwrap();
        }
        assert_eq!(bank.calls.lock().unwrap().len(), 1 + 1 + 4, "asked, and four times again");
        assert_eq!(world.number("SELECT tries FROM acts WHERE kind = 'capture'").await, 5);
        assert_eq!(transactions::find_unsettled(&world.app.db).await.unwrap().len(), 1);
        let blocked = payments.act(id, ActRequest::Void, None, no_hook()).await;
        assert!(matches!(blocked, Err(EngineError::Illegal(Illegal::Pending))), "nothing on top of what nobody knows");
    }

    async fn an_answer_that_comes_after_it_was_given_up_settles_it_once(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, Resolution::Operator).await;
        let id = held(&world, &payments, &auth, "late").await;
        bank.will(&[Play::Late]);
        let asking = tokio::spawn({
            let payments = Arc::clone(&payments);
            async move { payments.act(id, ActRequest::Capture(1000), None, no_hook()).await }
        });
        while bank.booked("capture").is_empty() {
            tokio::task::yield_now().await;
        }
        world.clock.advance_ms(ABANDONED_MS);
        assert_eq!(payments.resolve().await.unwrap(), 1);
        assert!(find(&world, id).await.ledger.pending.unwrap().is_unknown);
        bank.release.notify_one();
        assert_eq!(asking.await.unwrap().unwrap().end, ActEnd::Done);
        let ledger = find(&world, id).await.ledger;
        assert_eq!((ledger.captured_minor, ledger.acts_done, ledger.pending), (1000, 1, None));
        assert_feed_is_gap_free(&world).await;
    }

    async fn a_lost_authorisation_is_given_back_where_its_handle_is_known(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let named = code(&world, &auth, "named", "10.00").await;
        bank.will(&[Play::ErrorWithHandle]);
        let lost = pay(&world, &payments, &named).await;
        assert!(matches!(lost, PayOutcome::Unknown { may_retry: true, .. }), "{lost:?}");
        assert_eq!(payments.resolve().await.unwrap(), 1);
        assert_eq!((bank.booked("void"), code_state(&world).await), (vec![1000], "Available".into()));
        assert_eq!(payments.resolve().await.unwrap(), 0, "once");
        // Nobody knows what to give back of this one, and an answer that comes late says it.
        bank.will(&[Play::Late]);
        let asking = tokio::spawn({
            let page = Page::load(&world, &named).await;
            let (payments, sealed) = (Arc::clone(&payments), page.seal(&page.card(PAN, 1000)));
            let named = named.parse().unwrap();
            async move { payments.pay(&named, Post::of(&sealed), "203.0.113.7").await }
        });
        while bank.booked("authorise").len() < 2 {
            tokio::task::yield_now().await;
        }
        world.clock.advance_ms(ABANDONED_MS);
        assert_eq!(payments.resolve().await.unwrap(), 1);
        assert_eq!(code_state(&world).await, "Available");
        bank.release.notify_one();
        assert!(matches!(asking.await.unwrap().unwrap(), PayOutcome::Unknown { may_retry: true, .. }));
        assert_eq!(payments.resolve().await.unwrap(), 1);
        assert_eq!((bank.booked("void").len(), bank.booked("capture").len()), (2, 0), "held twice, given back twice");
    }

    async fn a_second_acquirer_is_asked_only_when_the_first_was_not_reached(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let unsealed = world.app.vault.unsealed().unwrap();
        let mut tx = world.app.db.begin().await.unwrap();
        let name = "merchant-25".parse().unwrap();
        secrets::put_credentials(&mut tx, &unsealed, &name, "nets", b"{}", &mut SystemEntropy::new()).await.unwrap();
        tx.commit().await.unwrap();
        let (first, second) = (Arc::new(Bank::default()), Arc::new(Bank::default()));
        let dead = Party {
            acquirer: Box::new(Scripted { name: "clearhaus", repeats: REPEATS, partial: true }),
            transport: Transport::http("http://127.0.0.1:1", &[]).unwrap(),
        };
        let payments = with(&world, vec![dead, party(&second, "nets", REPEATS).await]);
        let a = code(&world, &auth, "a", "10.00").await;
        let PayOutcome::Paid { transaction_id } = pay(&world, &payments, &a).await else { panic!("not paid") };
        let paid = find(&world, transaction_id).await;
        assert_eq!((paid.acquirer.as_deref(), paid.acquirer_state.as_deref()), (Some("nets"), Some("handle-at-nets")));
        assert_eq!((second.booked("authorise"), second.booked("capture")), (vec![1000], vec![1000]));
        assert_eq!(world.number("SELECT COUNT(*) FROM acts WHERE acquirer = 'clearhaus' AND state = 'refused'").await, 1);
        // A refusal, and silence, are the first one's last word.
        let payments = with(&world, vec![party(&first, "clearhaus", REPEATS).await, party(&second, "nets", REPEATS).await]);
        for (reference, play) in [("b", Play::No), ("c", Play::LostAfter)] {
            first.will(&[play]);
            let code = code(&world, &auth, reference, "10.00").await;
            let outcome = pay(&world, &payments, &code).await;
            assert!(!matches!(outcome, PayOutcome::Paid { .. }), "{outcome:?}");
        }
        assert_eq!(second.booked("authorise").len(), 1);
        // The merchant's own order.
        world.execute("INSERT INTO acquirer_routes (account, currency, position, acquirer) VALUES ('merchant-25', '*', 0, 'nets')").await;
        let d = code(&world, &auth, "d", "10.00").await;
        assert!(matches!(pay(&world, &payments, &d).await, PayOutcome::Paid { .. }));
        assert_eq!(second.booked("authorise").len(), 2);
    }

    async fn a_payer_who_does_not_come_back_frees_the_code(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let code = code(&world, &auth, "gone", "10.00").await;
        bank.will(&[Play::No]);
        assert!(matches!(pay(&world, &payments, &code).await, PayOutcome::Declined { .. }));
        // As a payer at their bank's page leaves it.
        world.execute("UPDATE transactions SET state = 'waiting', lease_until_ms = updated_at_ms + 600000").await;
        world.execute("UPDATE codes SET state = 'Locked'").await;
        world.clock.advance_ms(600_000);
        assert_eq!(payments.resolve().await.unwrap(), 0);
        world.clock.advance_ms(1);
        assert_eq!(payments.resolve().await.unwrap(), 1);
        assert_eq!((code_state(&world).await.as_str(), find(&world, 1).await.ledger.stage), ("Available", Stage::Expired));
    }
}
