//! Our books beside the gateway's own report.

use scanvault_origin::payments::reconcile::{self, Due, Finding, OurAct};
use scanvault_sandbox::common::admin::Shown;
use scanvault_sandbox::common::book::{Entry, Kind};
use scanvault_sandbox::common::faults::{Fault, Match, Order};
use scanvault_sandbox::common::settlement;
use serde_json::{Value, json};

use crate::card::{code, pay};
use crate::on_both;
use crate::world::World;

const PAN: &str = "4111111111111111";

async fn acts(world: &World, party: &str, from_ms: u64, until_ms: u64) -> Vec<OurAct> {
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({"party": party, "fromMs": from_ms, "untilMs": until_ms});
        if !after.is_null() {
            body["after"] = after;
        }
        let answer = world.admin("POST", "/reconciliation/acts", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut answer = answer.json();
        all.extend(serde_json::from_value::<Vec<OurAct>>(answer["acts"].take()).unwrap());
        after = answer["next"].take();
        if after.is_null() {
            return all;
        }
    }
}

async fn whole_day(world: &World) -> Vec<OurAct> {
    acts(world, "clearhaus", world.clock_ms() - 3_600_000, world.clock_ms() + 3_600_000).await
}

fn report(world: &World) -> String {
    settlement::csv(&Entry::settlement(&world.booked()))
}

on_both! {
    async fn what_was_lost_is_found_in_the_gateways_report_and_settled(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for reference in ["a", "b", "c"] {
            let code = code(&world, &auth, reference, "10.00").await;
            if reference == "c" {
                let r#match = Match { kind: Some(Kind::Capture), amount: None };
                world.faults.order(Order { r#match, fault: Fault::DropAfter, delay_ms: 0, times: 1 });
            }
            pay(&world, &code, PAN, 1000).await;
        }
        let theirs = reconcile::parse(&report(&world)).unwrap();
        assert_eq!((theirs.len(), reconcile::transactions_named(&theirs).len()), (3, 3));
        let compared = reconcile::compare(&whole_day(&world).await, &theirs, |_| Due::Here);
        assert_eq!(compared.agreed, 2);
        let [Finding::UnknownWasBooked { ours, .. }] = &compared.findings[..] else { panic!("{compared:?}") };
        assert_eq!((ours.merchant_reference.as_str(), ours.state.as_str()), ("c", "unknown"));
        let settle = format!("/transactions/{}/settle", ours.transaction_id);
        assert!(ours.asked_at_ms <= ours.settled_at_ms);
        assert_eq!(world.admin("POST", &settle, &json!({"booked": true})).await.status, 200);
        let compared = reconcile::compare(&whole_day(&world).await, &theirs, |_| Due::Here);
        assert_eq!((compared.agreed, compared.findings.len()), (3, 0));
    }

    async fn a_report_that_lacks_or_adds_something_is_told_apart(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for reference in ["a", "b"] {
            let code = code(&world, &auth, reference, "10.00").await;
            pay(&world, &code, PAN, 1000).await;
        }
        let text = report(&world);
        let mut lines: Vec<&str> = text.lines().collect();
        let gone = lines.pop().unwrap().split(',').next().unwrap().to_owned();
        lines.push("sv-999,refund,5,ZAR,2026-11-21T12:00:00+00:00,foreign");
        let theirs = reconcile::parse(&lines.join("\n")).unwrap();
        let compared = reconcile::compare(&whole_day(&world).await, &theirs, |_| Due::Here);
        assert_eq!(compared.agreed, 1);
        let [Finding::MissingThere { ours }, Finding::MissingHere { theirs }] = &compared.findings[..] else {
            panic!("{compared:?}")
        };
        assert_eq!((ours.reference.as_str(), theirs.id.as_str()), (gone.as_str(), "foreign"));
    }

    async fn pages_follow_each_other_and_transactions_are_found_on_any_day(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "a", "10.00").await;
        let id = pay(&world, &code, PAN, 1000).await.json()["transactionId"].as_i64().unwrap();
        // As many as one page and a bit, of the same moment.
        world.execute(
            "INSERT INTO acts (transaction_id, number, kind, amount_minor, state, acquirer, created_at_ms, settled_at_ms) \
             WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 700) \
             SELECT 1, i, 'refund', 1, 'done', 'clearhaus', 0, (SELECT MAX(settled_at_ms) FROM acts) FROM n",
        ).await;
        let all = whole_day(&world).await;
        assert_eq!((all.len(), all[0].transaction_id), (602, id));
        let mut numbers: Vec<u32> = all.iter().map(|act| act.act).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 602);
        assert!(acts(&world, "clearhaus", 0, world.clock_ms() - 3_600_000).await.is_empty());
        assert!(acts(&world, "nets", 0, world.clock_ms() * 2).await.is_empty());
        let body = json!({"party": "clearhaus", "transactions": [id, 999]});
        let found = world.admin("POST", "/reconciliation/transactions", &body).await.json();
        assert_eq!(found["acts"].as_array().unwrap().len(), 602);
        let body = json!({"party": "clear haus", "transactions": []});
        assert_eq!(world.admin("POST", "/reconciliation/transactions", &body).await.status, 400);
    }
}
