//! What operators see of what goes wrong slowly: reports that a wallet does not take, repetitions, limits.

use scanvault_origin::clock::Clock;
use scanvault_origin::vault::Pan;
use serde_json::Value;

use crate::card::{code, pay};
use crate::on_both;
use crate::world::World;

async fn has(world: &World, lines: &[&str]) {
    let metrics = world.admin("GET", "/metrics", &Value::Null).await.text();
    for line in lines {
        assert!(metrics.contains(&format!("\nscanvault_{line}\n")), "{line} is not in\n{metrics}");
    }
}

on_both! {
    async fn reports_and_repetitions_that_wait_are_counted(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        has(&world, &["wallet_reports_pending 0", "wallet_reports_parked 0", "repeating_acts 0"]).await;
        let code = code(&world, &auth, "a", "10.00").await;
        pay(&world, &code, "4111111111111111", 1000).await;
        world.execute(
            "INSERT INTO wallet_reports (transaction_id, act, kind, amount_minor, state, attempts, next_at_ms, lease_until_ms) \
             VALUES (1, 2, 'capture', 1, 'parked', 0, 0, 0), (1, 3, 'capture', 1, 'pending', 0, 0, 0), \
             (1, 4, 'capture', 1, 'pending', 0, 0, 0), (1, 5, 'capture', 1, 'done', 0, 0, 0)",
        ).await;
        // One that is asked again, and one that is an operator's.
        world.execute(
            "INSERT INTO acts (transaction_id, number, kind, amount_minor, state, acquirer, created_at_ms, next_try_at_ms) \
             VALUES (1, 8, 'refund', 1, 'unknown', 'nets', 0, 5), (1, 9, 'refund', 1, 'unknown', 'nets', 0, NULL)",
        ).await;
        has(&world, &["wallet_reports_pending 2", "wallet_reports_parked 1", "repeating_acts 1"]).await;
    }

    async fn what_the_limits_refuse_is_counted_by_limit(world: World) {
        let mut world = world;
        world.ready().await;
        let (limits, now_ms) = (&world.app.payments.limits, world.clock.now_ms());
        for _ in 0..30 {
            limits.unknown_code("203.0.113.9", now_ms);
        }
        assert!(limits.may_look("203.0.113.9", now_ms).is_err() && limits.may_look("203.0.113.10", now_ms).is_ok());
        let unsealed = world.app.vault.unsealed().unwrap();
        let pan = Pan::parse("4111111111111111").unwrap();
        for n in 0..16 {
            assert!(limits.begin(&unsealed, &format!("203.0.114.{n}"), &pan, now_ms).is_ok());
        }
        assert!(limits.begin(&unsealed, "203.0.114.99", &pan, now_ms).is_err());
        has(&world, &["limited_attempts_total{limit=\"codes\"} 1", "limited_attempts_total{limit=\"card\"} 1"]).await;
    }
}
