//! The 3-D Secure server fails in every way, at each of its calls: nothing is charged without what the merchant's rule
//! asks, and nothing twice.

use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::Fault;

use crate::on_both;
use crate::threeds::{Payer, assert_declined, assert_forgotten, assert_paid, authorised, merchant};
use crate::world::World;

const FAST: [Fault; 4] = [Fault::DropBefore, Fault::DropAfter, Fault::ServerError, Fault::Garbage];

on_both! {
    async fn a_failure_that_passes_is_lived_through(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        for (kind, script) in [(Kind::Preauth, "2103"), (Kind::Auth, "1103")] {
            for fault in FAST {
                world.bank.fault(kind, fault, 1);
                assert_paid(&Payer::of(&world, &auth, script).await.pay(&world, None).await);
                assert!(world.bank.is_without_faults(), "{kind:?} {fault:?}");
            }
        }
        assert_eq!(authorised(&world), 8);
        assert_forgotten(&world).await;
    }

    async fn a_result_that_comes_late_is_waited_for(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2170").await;
        let asked = payer.pay(&world, None).await;
        world.bank.challenge(&asked, "").await.unwrap();
        for fault in FAST {
            world.bank.fault(Kind::Postauth, fault, 1);
        }
        assert_paid(&payer.pay(&world, Some("challenge")).await);
        assert!(world.bank.is_without_faults());
        assert_eq!((authorised(&world), world.booked().len()), (1, 2));
    }

    /// Also where cards without 3-D Secure are taken: nobody knows what this card's bank would have said.
    async fn a_failure_that_stays_declines(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "on").await;
        for (kind, prefix) in [(Kind::Preauth, "21"), (Kind::Auth, "11")] {
            for (fault, end) in FAST.into_iter().zip(["03", "23", "43", "03"]) {
                // 2.1 has no "informational".
                let end = if prefix == "11" && end == "43" { "03" } else { end };
                let script = format!("{prefix}{end}");
                world.bank.fault(kind, fault, 2);
                assert_declined(&Payer::of(&world, &auth, &script).await.pay(&world, None).await, "later");
                assert!(world.bank.is_without_faults(), "{kind:?} {fault:?}");
            }
        }
        assert!(world.booked().is_empty());
        assert_forgotten(&world).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM codes WHERE state = 'Available'").await, 8);
    }

    async fn no_answer_at_all_declines_in_time(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "on").await;
        let (asked, answered) = (Payer::of(&world, &auth, "2103").await, Payer::of(&world, &auth, "2170").await);
        world.bank.fault(Kind::Preauth, Fault::Timeout, 2);
        let began = std::time::Instant::now();
        assert_declined(&asked.pay(&world, None).await, "later");
        assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
        let challenge = answered.pay(&world, None).await;
        world.bank.challenge(&challenge, "").await.unwrap();
        world.bank.fault(Kind::Postauth, Fault::Timeout, 9);
        let began = std::time::Instant::now();
        assert_declined(&answered.pay(&world, Some("challenge")).await, "later");
        assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
        assert!(world.booked().is_empty());
    }

    async fn a_wrong_api_key_declines(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "on").await;
        let mut credentials = crate::acs::Bank::credentials();
        credentials["apiKey"] = "another".into();
        let body = serde_json::json!({"party": "3dsecure", "credentials": credentials});
        assert_eq!(world.admin("POST", "/accounts/merchant-25/credentials", &body).await.status, 200);
        assert_declined(&Payer::of(&world, &auth, "2103").await.pay(&world, None).await, "later");
        assert!(world.booked().is_empty() && world.bank.done().is_empty());
    }

    /// The acquirer fails after the bank has said yes: the proof is used for one authorisation.
    async fn an_authorisation_without_an_answer_is_not_repeated(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2103").await;
        let order = scanvault_sandbox::common::faults::Order {
            r#match: scanvault_sandbox::common::faults::Match { kind: Some(Kind::Authorization), amount: None },
            fault: Fault::DropAfter,
            delay_ms: 0,
            times: 1,
        };
        world.faults.order(order);
        let answer = payer.pay(&world, None).await;
        assert_eq!((&answer["state"], &answer["mayRetry"]), (&"unknown".into(), &true.into()), "{answer}");
        assert_eq!(payer.pay(&world, None).await, answer);
        assert_eq!((authorised(&world), world.booked().len()), (1, 1), "held, and never taken");
        assert_forgotten(&world).await;
    }

    /// A process that died while it asked the bank: whoever comes next asks with a new id, after a while.
    async fn a_claim_that_was_left_is_taken_over(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2003").await;
        assert_eq!(payer.pay(&world, None).await["state"], "method");
        world.execute("UPDATE authentications SET state = 'asking'").await;
        payer.post(&world, Some("method")).await.assert_problem(409, "code-busy");
        world.pass_secs(46);
        assert_paid(&payer.pay(&world, Some("method")).await);
        assert_eq!(world.bank.done(), ["preauth", "preauth", "auth y"]);
        assert_eq!(authorised(&world), 1);
    }
}
