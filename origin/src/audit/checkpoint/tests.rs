use serde_json::Value;

use super::*;
use crate::audit::source::DbSource;
use crate::audit::testing::{Key, NOW, clock, database, items, process};
use crate::audit::verify::{Item, verify};
use crate::db::Db;

/// Actions of a chain's links, the checkpoints' with the heads that they list.
async fn said(db: &Db, chain: ChainId) -> Vec<String> {
    let (mut said, mut is_it) = (Vec::new(), false);
    for item in items(db).await {
        match item {
            Item::Chain(row) => is_it = row.id == chain.to_string(),
            Item::Link(link) if is_it => {
                let entries: Vec<Value> = serde_json::from_str(&link.entries).unwrap();
                for entry in entries.iter().filter(|entry| entry["action"] != "audit.signing") {
                    let heads = entry["heads"].as_array().map(Vec::as_slice).unwrap_or_default();
                    let heads: Vec<String> = heads
                        .iter()
                        .map(|head| format!(" {}@{}", &head["chain"].as_str().unwrap()[..2], head["number"]))
                        .collect();
                    said.push(format!("{}{}", entry["action"].as_str().unwrap(), heads.concat()));
                }
            }
            Item::Link(_) => {}
        }
    }
    said
}

async fn note(audit: &Audit) {
    audit.note(Entry::new("x", "y")).await.unwrap();
}

#[tokio::test]
async fn two_processes_countersign_each_other_and_rest_when_nothing_happens() {
    let (db, key, clock) = (database().await, Key::new(false), clock());
    let (a, b) = (process(&db, &key, &clock, 0xaa).await, process(&db, &key, &clock, 0xbb).await);
    note(&b).await;
    assert!(!a.checkpoint_if_due(NOW).await.unwrap(), "sealed: it would not be signed");
    key.open(true);
    note(&a).await;
    assert!(a.checkpoint_if_due(NOW + 1).await.unwrap(), "opened");
    assert!(!a.checkpoint_if_due(NOW + 2).await.unwrap());
    note(&b).await;
    assert!(b.checkpoint_if_due(NOW + 3).await.unwrap(), "opened");
    assert_eq!(said(&db, b.chain_id()).await, ["process.started", "x", "x", "audit.checkpoint aa@2"]);
    assert!(!a.checkpoint_if_due(NOW + 60_000).await.unwrap(), "once a minute");
    assert!(a.checkpoint_if_due(NOW + 60_001).await.unwrap());
    assert_eq!(
        said(&db, a.chain_id()).await,
        ["process.started", "x", "audit.checkpoint bb@1", "audit.checkpoint bb@3"]
    );
    for minute in 2..9 {
        assert!(!a.checkpoint_if_due(NOW + minute * 60_001).await.unwrap(), "checkpoints alone are no movement");
        assert!(!b.checkpoint_if_due(NOW + minute * 60_001).await.unwrap());
    }
    note(&a).await;
    assert!(b.checkpoint_if_due(NOW + 600_000).await.unwrap());
    assert_eq!(said(&db, b.chain_id()).await.last().unwrap(), "audit.checkpoint aa@4");
    assert_eq!(b.counts().checked_at_ms, NOW + 600_000);
    let report = verify(&mut DbSource::new(&db), &[key.public()], &[]).await.unwrap();
    assert_eq!((report.chains.len(), report.unsigned), (2, 0));
}

#[tokio::test]
async fn a_first_checkpoint_lists_every_chain_that_ever_was() {
    let (db, key, clock) = (database().await, Key::new(true), clock());
    for id in 1..=50 {
        note(&process(&db, &key, &clock, id).await).await;
    }
    let last = process(&db, &key, &clock, 0xff).await;
    note(&last).await;
    assert!(last.checkpoint_if_due(NOW).await.unwrap());
    let said = said(&db, last.chain_id()).await;
    assert_eq!(said.last().unwrap().matches('@').count(), 50);
}

#[tokio::test]
async fn a_checkpoint_that_fails_is_tried_again() {
    let (db, key) = (database().await, Key::new(true));
    let audit = process(&db, &key, &clock(), 0xaa).await;
    note(&audit).await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON audit_links BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::raw_sql(refuse).execute(db.write()).await.unwrap();
    assert!(audit.checkpoint_if_due(NOW).await.is_err());
    sqlx::raw_sql("DROP TRIGGER refuse").execute(db.write()).await.unwrap();
    assert!(audit.checkpoint_if_due(NOW + 1).await.unwrap());
    assert_eq!(audit.counts().failures, 1);
}
