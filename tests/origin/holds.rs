//! Holds that nobody takes are given back, whatever goes wrong with that; and what was given up is not asked any more.

use std::sync::Arc;

use scanvault_origin::acquirers::Resolution;
use scanvault_origin::clock::ManualClock;
use scanvault_origin::db::Tx;
use scanvault_origin::outbox::strict::{self, Verdict};
use scanvault_origin::payments::engine::{ActRequest, Hook, HookFuture, Means, Order, no_hook};
use scanvault_origin::payments::ledger::{ActEnd, ActKind, Stage};
use scanvault_origin::payments::pay::PayOutcome;
use scanvault_origin::payments::store::{Transaction, transactions};
use scanvault_origin::vault::{CardExpiry, Csc, Pan};
use serde_json::json;

use crate::bank::{Play, REPEATS, at_a_bank};
use crate::card::code;
use crate::engine::{ABANDONED_MS, PAN, code_state, find, pay};
use crate::on_both;
use crate::receiver::until;
use crate::world::World;

/// Longer than any pause before the next void.
const LONG_MS: u64 = 16_000_000;
const VOIDS: &str = "SELECT COUNT(*) FROM acts WHERE kind = 'void'";

/// A machine that sleeps while an outcome is written.
struct Sleeps(Arc<ManualClock>);

impl Hook for Sleeps {
    fn outcome<'a>(&'a self, _: &'a mut Tx, _: &'a Transaction, _: ActEnd) -> HookFuture<'a> {
        self.0.advance_ms(ABANDONED_MS);
        Box::pin(async { Ok(()) })
    }
}

on_both! {
    async fn what_the_merchant_undoes_is_not_told_as_paid_later(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        world.execute("UPDATE accounts SET webhook_url = 'https://shop.example/hook', webhook_strict = 1").await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let code = code(&world, &auth, "undone", "10.00").await;
        let undone = async {
            let waiting = "SELECT COUNT(*) FROM outbox WHERE deadline_at_ms IS NOT NULL AND state = 'pending'";
            until("it waits for its receiver", async || world.number(waiting).await == 1).await;
            payments.act(1, ActRequest::Void, None, no_hook()).await.unwrap()
        };
        let (_, acted) = tokio::join!(pay(&world, &payments, &code), undone);
        assert_eq!((acted.end, bank.booked("void")), (ActEnd::Done, vec![1000]));
        assert_eq!(strict::find(&world.app.db, 1).await.unwrap(), Some(Verdict::Withdrawn));
        // What is still sent is its end.
        let told = "SELECT COUNT(*) FROM outbox WHERE state = 'pending' AND body LIKE '%END_REVERSED%'";
        assert_eq!((world.number("SELECT COUNT(*) FROM outbox").await, world.number(told).await), (2, 1));
    }

    async fn a_lost_hold_whose_void_was_not_taken_is_given_back_later(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, Resolution::Operator).await;
        let code = code(&world, &auth, "named", "10.00").await;
        bank.will(&[Play::ErrorWithHandle, Play::Key]);
        assert!(matches!(pay(&world, &payments, &code).await, PayOutcome::Unknown { may_retry: true, .. }));
        assert_eq!((payments.resolve().await.unwrap(), bank.booked("void")), (1, vec![]));
        assert_eq!(payments.resolve().await.unwrap(), 0, "not at once");
        world.clock.advance_ms(30_000);
        assert_eq!((payments.resolve().await.unwrap(), bank.booked("void")), (1, vec![1000]));
        assert_eq!(find(&world, 1).await.ledger.stage, Stage::Voided);
        world.clock.advance_ms(LONG_MS);
        assert_eq!(payments.resolve().await.unwrap(), 0, "once");
    }

    async fn a_hold_that_cannot_be_given_back_is_an_operators_at_the_end(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for (repeats, play) in [(Resolution::Operator, Play::Key), (REPEATS, Play::No)] {
            let (payments, bank) = at_a_bank(&world, repeats).await;
            let (code, before) = (code(&world, &auth, &format!("{play:?}"), "10.00").await, world.number(VOIDS).await);
            bank.will(&[Play::Yes, Play::No]);
            bank.will(&[play; 11]);
            let PayOutcome::Declined { transaction_id: id, .. } = pay(&world, &payments, &code).await else {
                panic!("not declined")
            };
            for _ in 0..60 {
                world.clock.advance_ms(LONG_MS);
                payments.resolve().await.unwrap();
            }
            assert_eq!(world.number(VOIDS).await - before, 11, "so often and no more");
            let open = transactions::find_unsettled(&world.app.db).await.unwrap();
            let pending = open.first().unwrap().ledger.pending.unwrap();
            assert_eq!((open.len(), pending.kind, open[0].id), (1, ActKind::Void, id));
            // The operator names the act that they mean. The hold is there: it is tried again.
            let settle = format!("/transactions/{id}/settle");
            let not_booked = |act: u32| json!({"booked": false, "act": act});
            assert_eq!(world.admin("POST", &settle, &not_booked(pending.number - 1)).await.status, 409);
            assert_eq!(world.admin("POST", &settle, &not_booked(pending.number)).await.status, 200);
            world.clock.advance_ms(LONG_MS);
            payments.resolve().await.unwrap();
            assert_eq!((find(&world, id).await.ledger.stage, bank.booked("void")), (Stage::Voided, vec![1000]));
        }
    }

    async fn what_was_given_up_while_the_machine_slept_is_not_asked_any_more(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, Resolution::Operator).await;
        let code = code(&world, &auth, "asleep", "10.00").await;
        bank.will(&[Play::No]);
        assert!(matches!(pay(&world, &payments, &code).await, PayOutcome::Declined { .. }));
        // As a payer at their bank's page leaves it.
        world.execute("UPDATE transactions SET state = 'waiting', lease_until_ms = updated_at_ms + 600000").await;
        world.execute("UPDATE codes SET state = 'Locked'").await;
        let means = Means::Card {
            pan: Pan::parse(PAN).unwrap(),
            expiry: CardExpiry::parse("1230").unwrap(),
            csc: Some(Csc::parse("123").unwrap()),
        };
        let hook = Arc::new(Sleeps(Arc::clone(&world.clock)));
        let order = Order { hook, ..Order::of(means) };
        let after = payments.authorise(find(&world, 1).await, order).await.unwrap();
        let pending = after.ledger.pending.unwrap();
        assert_eq!((after.ledger.stage, pending.kind, pending.is_unknown), (Stage::Authorised, ActKind::Capture, true));
        assert_eq!((bank.booked("capture"), bank.calls.lock().unwrap().len()), (vec![], 2), "never asked");
        assert_eq!(code_state(&world).await, "Locked");
    }
}
