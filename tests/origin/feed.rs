//! The change feed: bounded pages, no gap, quick.

use serde_json::json;

use crate::on_both;
use crate::shop::{self, PAN, link, seq};
use crate::world::{Forward, World};

/// An entry as long as one with a capture is.
fn entry(n: i64) -> String {
    let id = format!("{n:024}");
    json!({"type": "transaction", "id": n, "orderid": n.to_string(), "rev": 1,
        "method": {"type": "card", "id": id, "card": {"brand": "visa", "last4": "1111", "exp": 1_924_991_999_i64}},
        "acts": [{"act": "capture", "time": 1_790_000_006, "total": "100.50 DKK"}],
        "totals": {"authorized": "150.00 DKK", "captured": "100.50 DKK", "refunded": "0.00 DKK", "left": "49.50 DKK", "voided": "0.00 DKK"},
        "time": {"created": 1_790_000_000, "authorized": 1_790_000_000}})
    .to_string()
}

async fn fill(world: &World, count: i64) {
    let mut tx = world.app.db.begin().await.unwrap();
    for n in 1..=count {
        let statement = "INSERT INTO changes (account, seq, kind, object_id, rev, body, at_ms) \
                         VALUES ('merchant-25', $1, 'transaction', $1, 1, $2, 0)";
        sqlx::query(statement).bind(n).bind(entry(n)).execute(&mut *tx).await.unwrap();
    }
    sqlx::query("UPDATE accounts SET change_seq = $1 WHERE name = 'merchant-25'")
        .bind(count)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

on_both! {
    async fn pages_are_bounded_and_miss_nothing(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        fill(&world, 4_321).await;
        let (mut after, mut seen, mut pages) = (0, Vec::new(), 0);
        loop {
            let answer = world.send(Forward::get(format!("/v1/seq/{after}")).with(&auth)).await;
            assert!(answer.body.len() < 1024 * 1024, "Go's library reads no more");
            let (last, changes) = seq(&world, &auth, after).await;
            if changes.is_empty() {
                break;
            }
            seen.extend(changes.iter().map(|change| change["id"].as_i64().unwrap()));
            assert_eq!(seen.last(), Some(&last));
            (after, pages) = (last, pages + 1);
        }
        assert_eq!(seen, (1..=4_321).collect::<Vec<_>>());
        assert!(pages >= 3, "{pages}");
    }

    async fn beyond_the_end_is_nothing(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        assert_eq!(seq(&world, &auth, 0).await, (0, vec![]));
        assert_eq!(seq(&world, &auth, 7).await, (0, vec![]));
        fill(&world, 3).await;
        assert_eq!(seq(&world, &auth, 3).await, (3, vec![]));
        assert_eq!(seq(&world, &auth, 99).await, (3, vec![]));
        let (last, changes) = seq(&world, &auth, 1).await;
        assert_eq!((last, changes.len()), (3, 2));
    }

    /// What came to nothing is not told, and each revision is told once.
    async fn only_what_happened_is_told(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = link(&world, &auth, "404.10 DKK", json!({})).await;
        assert_eq!(crate::card::pay(&world, &code, shop::MAGIC_PAN, 40_410).await.json()["state"], "declined");
        assert!(shop::feed(&world, &auth).await.is_empty());
        let id = shop::pay(&world, &code, PAN, 40_410).await;
        let body = json!({"total": "1 DKK", "index": 0});
        shop::post(&world, &auth, &format!("/v1/transactions/{id}/capture"), &body).await;
        let revs: Vec<_> = shop::feed(&world, &auth).await.iter().map(|change| (change["id"].clone(), change["rev"].clone())).collect();
        assert_eq!(revs, [(json!(id), json!(1)), (json!(id), json!(2))]);
    }
}

on_both! {
    async fn a_long_feed_is_read_page_by_page(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        fill(&world, 20_000).await;
        let (mut after, mut pages) = (0, 0);
        loop {
            let answer = world.send(Forward::get(format!("/v1/seq/{after}")).with(&auth)).await;
            let text = answer.text();
            let next: i64 = text.split_once(':').unwrap().1.split_once(',').unwrap().0.parse().unwrap();
            if next == after {
                break;
            }
            (after, pages) = (next, pages + 1);
        }
        assert_eq!(after, 20_000);
        assert!(pages > 1, "a page has a limit");
    }
}
