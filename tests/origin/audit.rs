//! The audit chain: written with the effect or not at all, whole under concurrency, and telling when it is not whole.

use std::sync::Arc;
use std::time::Duration;

use scanvault_origin::audit::export::{FORMAT, Header, KeyLine, Line, Totals, verify_export};
use scanvault_origin::audit::snapshot::Snapshot;
use scanvault_origin::audit::source::DbSource;
use scanvault_origin::audit::verify::{Item, Source, verify};
use scanvault_origin::audit::{
    Audit, AuditedTx, Entry, Fault, GivenHead, PublicKey, Report, VerifyError, What, Witness,
};
use scanvault_origin::clock::Clock;
use scanvault_origin::vault::SystemEntropy;
use serde_json::{Value, json};

use crate::on_both;
use crate::world::{START_MS, World};

const TASKS: u64 = 64;
const MINUTE_MS: u64 = 60_000;

/// Another process on the same database, with the same vault open.
async fn another(world: &World, process: &str) -> Audit {
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let vault = Arc::clone(&world.app.vault);
    Audit::open(world.app.db.clone(), clock, vault, process, &mut SystemEntropy::new()).await.unwrap()
}

fn keys(world: &World) -> Vec<PublicKey> {
    world.app.vault.unsealed().unwrap().audit_keys().public().to_vec()
}

async fn verified(world: &World, heads: &[GivenHead]) -> Result<Report, VerifyError> {
    verify(&mut DbSource::new(&world.app.db), &keys(world), heads).await
}

async fn fault(world: &World, heads: &[GivenHead]) -> Fault {
    match verified(world, heads).await {
        Err(VerifyError::Fault(fault)) => fault,
        other => panic!("no fault: {other:?}"),
    }
}

async fn effect(tx: &mut AuditedTx<'_>, name: &str) {
    sqlx::query("INSERT INTO vault_approvals (action, requested_by, requested_at_ms) VALUES ($1, 'a', 1)")
        .bind(name)
        .execute(&mut **tx.tx())
        .await
        .unwrap();
}

fn opened() -> Entry {
    Entry::new("session.opened", "merchant-25")
}

on_both! {
    async fn an_action_that_cannot_be_written_down_does_not_happen(world: World) {
        let mut world = world;
        world.init().await;
        world.unseal().await;
        let body = json!({"field": "token", "value": "tok_1"});
        world.execute("ALTER TABLE audit_links RENAME TO away").await;
        let refused = world.admin("POST", "/audit/value", &body).await;
        assert_eq!(refused.status, 500);
        assert!(!refused.text().contains("values"), "{}", refused.text());
        let mut tx = world.app.audit.begin().await.unwrap();
        effect(&mut tx, "lost").await;
        tx.push(opened());
        assert!(tx.commit().await.is_err());
        assert_eq!(world.number("SELECT COUNT(*) FROM vault_approvals").await, 0);
        assert!(world.app.audit.counts().failures >= 2);

        world.execute("ALTER TABLE away RENAME TO audit_links").await;
        let told = world.admin("POST", "/audit/value", &body).await.json();
        let expected = world.app.audit.conceal("token", b"tok_1").unwrap();
        assert_eq!(told, json!({"field": "token", "values": [{"keyId": 1, "value": expected}]}));
        let metrics = world.admin("GET", "/metrics", &Value::Null).await.text();
        assert!(metrics.contains("scanvault_audit_failures_total 2\n"), "{metrics}");
        assert!(metrics.contains("scanvault_audit_checkpoint_age_seconds 1\n"), "{metrics}");
        assert_eq!(verified(&world, &[]).await.unwrap().unsigned, 0);
        world.admin("POST", "/vault/seal", &json!({})).await;
        assert_eq!(world.admin("POST", "/audit/value", &body).await.status, 503);
        for bad in ["", "to ken", "é"] {
            assert_eq!(world.admin("POST", "/audit/value", &json!({"field": bad, "value": ""})).await.status, 400);
        }
    }

    async fn a_commit_that_fails_leaves_a_chain_that_goes_on(world: World) {
        // A reference that is checked at the commit, not before: everything is written, and then refused.
        world.execute("CREATE TABLE late (name TEXT REFERENCES accounts (name) DEFERRABLE INITIALLY DEFERRED)").await;
        let audit = &world.app.audit;
        audit.note(opened()).await.unwrap();
        for _ in 0..3 {
            let mut tx = audit.begin().await.unwrap();
            sqlx::query("INSERT INTO late (name) VALUES ('nobody')").execute(&mut **tx.tx()).await.unwrap();
            effect(&mut tx, "lost").await;
            tx.push(opened());
            assert!(tx.commit().await.is_err());
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM vault_approvals").await, 0);
        assert_eq!(audit.head().await.number, 1);
        audit.note(opened()).await.unwrap();
        assert_eq!(world.number("SELECT MAX(number) + COUNT(*) FROM audit_links").await, 4);
        let report = verify(&mut DbSource::new(&world.app.db), &[], &[]).await.unwrap();
        assert_eq!((report.links, report.unsigned), (2, 2));
    }

    async fn many_at_once_are_one_chain_without_a_gap(world: World) {
        let mut world = world;
        world.init().await;
        world.unseal().await;
        let tasks = (0..TASKS).map(|n| {
            let audit = Arc::clone(&world.app.audit);
            tokio::spawn(async move {
                for again in 0..3 {
                    let mut tx = audit.begin().await.unwrap();
                    effect(&mut tx, &format!("{n}/{again}")).await;
                    tx.push(opened().with("n", n));
                    // Every fourth one is given up, with what it did.
                    if n % 4 == 0 { drop(tx) } else { tx.commit().await.unwrap() }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let done = i64::try_from(TASKS * 3 * 3 / 4).unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM vault_approvals").await, done);
        let before = world.number("SELECT MAX(number) FROM audit_links").await;
        assert!(before >= done);
        assert_eq!(i64::try_from(verified(&world, &[]).await.unwrap().links).unwrap(), before);
    }

    async fn processes_countersign_each_other_so_that_a_cut_is_found(world: World) {
        let mut world = world;
        world.init().await;
        world.unseal().await;
        let (first, second) = (another(&world, "a/1").await, another(&world, "b/2").await);
        for n in 0..3 {
            first.note(opened().with("n", n)).await.unwrap();
            second.note(opened().with("n", n)).await.unwrap();
        }
        for minute in 0..2 {
            let now_ms = START_MS + minute * MINUTE_MS;
            assert_eq!(first.checkpoint_if_due(now_ms).await.unwrap(), minute == 0);
            assert_eq!(second.checkpoint_if_due(now_ms).await.unwrap(), minute == 0);
        }
        let report = verified(&world, &[]).await.unwrap();
        assert_eq!((report.unsigned, report.chains.len() >= 2), (0, true));
        let (head, chain) = (first.head().await, first.chain_id());
        let logged = GivenHead { chain, head };
        assert!(verified(&world, &[logged]).await.is_ok());

        // What nobody has named may be cut without a trace in the database; the log knows.
        let cut = |after: u64| {
            let statement = "DELETE FROM audit_links WHERE chain = $1 AND number > $2";
            sqlx::query(statement).bind(chain.to_string()).bind(i64::try_from(after).unwrap()).execute(world.app.db.write())
        };
        cut(head.number).await.unwrap();
        first.note(opened()).await.unwrap();
        let logged_later = GivenHead { chain, head: first.head().await };
        cut(head.number).await.unwrap();
        assert!(verified(&world, &[logged]).await.is_ok());
        let gone = fault(&world, &[logged, logged_later]).await;
        assert_eq!((gone.number, gone.what), (logged_later.head.number, What::Gone(Witness::Given)));
        // The process goes on from what it knows, and the gap stays to be seen.
        first.note(opened()).await.unwrap();
        let gap = fault(&world, &[]).await;
        assert_eq!((gap.chain, gap.number, gap.what), (chain.to_string(), head.number + 2, What::Gap(head.number + 1)));
        // Cut to before the checkpoint that the second one has named, and then taken away whole.
        cut(head.number - 2).await.unwrap();
        let gone = fault(&world, &[]).await;
        assert!(matches!(gone.what, What::Gone(Witness::Checkpoint(by, _)) if by == second.chain_id()), "{gone}");
        cut(0).await.unwrap();
        // Which is seen first depends on which chain's id is the lower one.
        assert!(matches!(fault(&world, &[]).await.what, What::NoLinks | What::Gone(_)));
        sqlx::query("DELETE FROM audit_chains WHERE id = $1").bind(chain.to_string()).execute(world.app.db.write()).await.unwrap();
        assert!(matches!(fault(&world, &[]).await.what, What::Gone(_)));
    }

    async fn an_export_is_whole_while_the_chains_grow(world: World) {
        let mut world = world;
        world.init().await;
        world.unseal().await;
        let audit = Arc::clone(&world.app.audit);
        for n in 0..150 {
            audit.note(opened().with("n", n).with("text", "x".repeat(9000))).await.unwrap();
        }
        assert!(audit.checkpoint_if_due(START_MS).await.unwrap());
        let mut snapshot = Snapshot::parse(&world.admin("GET", "/audit/snapshot", &Value::Null).await.text()).unwrap();
        // Grown since, by chains that name each other.
        let late = another(&world, "late").await;
        late.note(opened()).await.unwrap();
        late.checkpoint_if_due(START_MS).await.unwrap();
        assert!(audit.checkpoint_if_due(START_MS + MINUTE_MS).await.unwrap());

        let public_keys = keys(&world).iter().map(KeyLine::from).collect();
        let header = Header { format: FORMAT.to_owned(), exported_at_ms: START_MS, public_keys };
        let (mut text, mut totals) = (Line::Header(header).to_text() + "\n", Totals::default());
        let (mut after, mut pages) = (json!({"chain": "", "number": 0}), 0);
        while !after.is_null() {
            let answer = world.admin("POST", "/audit/page", &after).await.text();
            assert!(answer.len() < 1024 * 1024, "{} bytes", answer.len());
            pages += 1;
            after = Value::Null;
            for line in answer.lines().map(|line| Line::parse(line).unwrap()) {
                let item = match line {
                    Line::Next(next) => { after = json!(next); continue }
                    Line::Chain(chain) => Item::Chain(chain),
                    Line::Link(link) => Item::Link(link.into()),
                    other => panic!("{other:?}"),
                };
                for item in snapshot.pass(Some(item)) {
                    match item {
                        Item::Chain(_) => totals.chains += 1,
                        Item::Link(_) => totals.links += 1,
                    }
                    text += &(Line::from(item).to_text() + "\n");
                }
            }
        }
        assert!(snapshot.pass(None).is_empty() && pages > 3, "{pages}");
        text += &(Line::End(totals).to_text() + "\n");
        let report = verify_export(std::io::Cursor::new(text.as_bytes()), &keys(&world), &[]).unwrap();
        assert_eq!(report.chains.len(), 1);
        assert_eq!(audit.head().await.number, report.links + 1, "the later checkpoint is not in it");
    }

    async fn the_newest_entries_come_first(world: World) {
        let mut world = world;
        world.init().await;
        world.unseal().await;
        let other = another(&world, "other").await;
        let audit = Arc::clone(&world.app.audit);
        for n in 0..6 {
            world.clock.advance_ms(10);
            let process = if n % 3 == 0 { &other } else { &*audit };
            process.note(opened().with("n", n)).await.unwrap();
        }
        let numbers = |answer: Value| {
            let links = answer["links"].as_array().unwrap().clone();
            links.iter().map(|link| link["entries"].as_array().unwrap().last().unwrap()["n"].as_i64()).collect::<Vec<_>>()
        };
        let last = world.admin("GET", "/audit/last/4", &Value::Null).await.json();
        assert_eq!(numbers(last), [Some(5), Some(4), Some(3), Some(2)]);
        assert_eq!(world.admin("GET", "/audit/last/x", &Value::Null).await.status, 404);
        let all = world.admin("GET", "/audit/last/1000", &Value::Null).await.json();
        assert_eq!(i64::try_from(all["links"].as_array().unwrap().len()).unwrap(), world.number("SELECT COUNT(*) FROM audit_links").await);
        let keys = world.admin("GET", "/audit/keys", &Value::Null).await.json();
        assert_eq!(keys["publicKeys"][0]["keyId"], 1);
        let mut source = DbSource::new(&world.app.db);
        let Some(Item::Chain(chain)) = source.next().await.unwrap() else { panic!("no chain") };
        let places = json!({"places": [[chain.id, 1], [chain.id, 999], ["00".repeat(16), 1]]});
        let hashes = world.admin("POST", "/audit/hashes", &places).await.json();
        assert_eq!(hashes["hashes"][0].as_str().map(str::len), Some(64));
        assert_eq!((&hashes["hashes"][1], &hashes["hashes"][2]), (&Value::Null, &Value::Null));
    }

    async fn a_dropped_commit_leaves_a_chain_that_goes_on(world: World) {
        let audit = Arc::clone(&world.app.audit);
        for after_us in (0..400).step_by(8) {
            let mut tx = audit.begin().await.unwrap();
            tx.push(opened());
            // Given up at some point of the commit: nobody hears whether it was done.
            let _ = tokio::time::timeout(Duration::from_micros(after_us), tx.commit()).await;
        }
        // Doubt is settled at the latest by the second attempt: one may run into a commit that was still under way.
        if audit.note(opened()).await.is_err() {
            audit.note(opened()).await.unwrap();
        }
        let report = verify(&mut DbSource::new(&world.app.db), &[], &[]).await.unwrap();
        assert_eq!(report.links, audit.head().await.number);
    }
}
