use serde_json::Value;
use sqlx::Row;

use super::*;
use crate::audit::testing::{Filled, Key, NOW, clock, database, process};

type Stored = (i64, i64, Value, Vec<u8>, Option<i64>, Option<Vec<u8>>);

async fn links(db: &Db) -> Vec<Stored> {
    let statement = "SELECT number, at_ms, entries, hash, key_id, signature FROM audit_links ORDER BY chain, number";
    let rows = sqlx::query(statement).fetch_all(db.read()).await.unwrap();
    rows.iter()
        .map(|row| {
            let entries: String = row.try_get(2).unwrap();
            let entries = serde_json::from_str(&entries).unwrap();
            let (number, at, hash) = (row.try_get(0).unwrap(), row.try_get(1).unwrap(), row.try_get(3).unwrap());
            (number, at, entries, hash, row.try_get(4).unwrap(), row.try_get(5).unwrap())
        })
        .collect()
}

fn actions(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_first_link_says_that_the_process_started() {
    let (db, clock) = (database().await, clock());
    let audit = process(&db, &Key::new(false), &clock, 1).await;
    assert!(links(&db).await.is_empty(), "nothing is written before the first entry");
    clock.advance_ms(5);
    audit.note(Entry::new("vault.sealed", "owner")).await.unwrap();
    audit.note(Entry::new("vault.sealed", "owner")).await.unwrap();
    let links = links(&db).await;
    assert_eq!(actions(&links[0].2), ["process.started", "vault.sealed"]);
    assert_eq!((&links[0].2[0]["process"], &links[0].2[0]["startedAtMs"]), (&"test/a/1".into(), &NOW.into()));
    assert_eq!((links[0].0, links[0].1), (1, i64::try_from(NOW).unwrap() + 5));
    assert_eq!(actions(&links[1].2), ["vault.sealed"]);
    assert_eq!(audit.head().await.number, 2);
    assert_eq!(audit.counts(), Counts { links: 2, failures: 0, checked_at_ms: NOW });
    assert_eq!(audit.head().await.hash[..], links[1].3);
}

#[tokio::test]
async fn links_say_when_signing_starts_and_ends() {
    let (db, key) = (database().await, Key::new(false));
    let audit = process(&db, &key, &clock(), 1).await;
    for is_open in [false, true, true, false, false, true] {
        key.open(is_open);
        audit.note(Entry::new("x", "y")).await.unwrap();
    }
    let links = links(&db).await;
    let signed: Vec<bool> = links.iter().map(|link| link.4 == Some(3) && link.5.is_some()).collect();
    assert_eq!(signed, [false, true, true, false, false, true]);
    let marks: Vec<Value> =
        links.iter().map(|link| link.2.as_array().unwrap().last().unwrap()["signed"].clone()).collect();
    assert_eq!(marks, [Value::Null, true.into(), Value::Null, false.into(), Value::Null, true.into()]);
}

#[tokio::test]
async fn an_effect_and_its_entry_stand_or_fall_together() {
    let db = database().await;
    let audit = process(&db, &Key::new(true), &clock(), 1).await;
    let effect = "INSERT INTO vault_approvals (action, requested_by, requested_at_ms) VALUES ($1, 'a', 1)";
    let count = "SELECT COUNT(*) FROM vault_approvals";

    let mut tx = audit.begin().await.unwrap();
    sqlx::query(effect).bind("dropped").execute(&mut **tx.tx()).await.unwrap();
    tx.push(Entry::new("x", "y"));
    drop(tx);
    let mut tx = audit.begin().await.unwrap();
    sqlx::query(effect).bind("kept").execute(&mut **tx.tx()).await.unwrap();
    tx.push(Entry::new("x", "y"));
    tx.commit().await.unwrap();
    sqlx::raw_sql("ALTER TABLE audit_links RENAME TO away").execute(db.write()).await.unwrap();
    let mut tx = audit.begin().await.unwrap();
    sqlx::query(effect).bind("failed").execute(&mut **tx.tx()).await.unwrap();
    tx.push(Entry::new("x", "y"));
    assert!(tx.commit().await.is_err());
    sqlx::raw_sql("ALTER TABLE away RENAME TO audit_links").execute(db.write()).await.unwrap();

    let row = sqlx::query(count).fetch_one(db.read()).await.unwrap();
    assert_eq!(row.try_get::<i64, _>(0).unwrap(), 1);
    assert_eq!(audit.counts(), Counts { links: 1, failures: 1, checked_at_ms: NOW });
    audit.note(Entry::new("x", "y")).await.unwrap();
    assert_eq!(links(&db).await.iter().map(|link| link.0).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn without_an_entry_there_is_no_link() {
    let db = database().await;
    let audit = process(&db, &Key::new(true), &clock(), 1).await;
    audit.begin().await.unwrap().commit().await.unwrap();
    assert!(links(&db).await.is_empty());
}

#[tokio::test]
async fn a_commit_that_nobody_heard_of_is_found_in_the_store() {
    let db = database().await;
    let audit = process(&db, &Key::new(true), &clock(), 1).await;
    audit.note(Entry::new("x", "y")).await.unwrap();
    let before = audit.chain.lock().await.head;
    audit.note(Entry::new("x", "y")).await.unwrap();
    // As after a commit whose answer was lost, with another one that really failed.
    let mut chain = audit.chain.lock().await;
    let done = std::mem::replace(&mut chain.head, before);
    chain.attempt(Place { at: Head { number: 2, hash: [9; 32] }, is_signed: true });
    chain.attempt(done);
    drop(chain);
    audit.note(Entry::new("x", "y")).await.unwrap();
    assert_eq!(links(&db).await.iter().map(|link| link.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(audit.head().await.number, 3);
}

#[tokio::test]
async fn too_much_for_one_link_is_refused() {
    let db = database().await;
    let audit = process(&db, &Key::new(true), &clock(), 1).await;
    let refused = audit.note(Entry::new("x", "y".repeat(MAX_ENTRIES_BYTES))).await;
    assert!(matches!(refused, Err(DbError::TooLong(_))), "{refused:?}");
    audit.note(Entry::new("x", "y")).await.unwrap();
}

#[tokio::test]
async fn values_are_concealed_only_while_the_key_is_there() {
    let (db, key) = (database().await, Key::new(true));
    let audit = process(&db, &key, &clock(), 1).await;
    let concealed = audit.conceal("token", b"tok_1").unwrap();
    assert!(concealed.len() == 64 && audit.conceal("token", b"tok_2").unwrap() != concealed);
    key.open(false);
    assert_eq!(audit.conceal("token", b"tok_1"), None);
}

#[tokio::test]
async fn two_processes_cannot_have_one_chain() {
    let (db, key, clock) = (database().await, Key::new(true), clock());
    let (first, second) = (process(&db, &key, &clock, 1).await, process(&db, &key, &clock, 1).await);
    first.note(Entry::new("x", "y")).await.unwrap();
    assert!(second.note(Entry::new("x", "y")).await.unwrap_err().is_duplicate());
    let mut one = Filled(1);
    let without = Audit::open(db.clone(), clock, key, "p", &mut one).await.unwrap();
    sqlx::raw_sql("DROP TABLE audit_links").execute(db.write()).await.unwrap();
    assert!(without.note(Entry::new("x", "y")).await.is_err());
}
