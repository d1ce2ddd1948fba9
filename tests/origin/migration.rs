//! What an older release has written is still right after the schema's next step.

use scanvault_origin::db::Db;
use scanvault_origin::payments::ledger::Stage;
use scanvault_origin::payments::store::transactions;
use sqlx::{AssertSqlSafe, Connection, Row};

/// The steps before the money's, as they have landed.
const BEFORE: [(&str, &str, &str); 3] = [
    (include_str!("../../origin/migrations/0001_spine.sql"), "", ""),
    (
        include_str!("../../origin/migrations/0002_vault.sql"),
        include_str!("../../origin/migrations/0002_vault.sqlite.sql"),
        include_str!("../../origin/migrations/0002_vault.postgres.sql"),
    ),
    (include_str!("../../origin/migrations/0003_identity.sql"), "", ""),
];

/// A payment in a state that release 0.1 knew: its name, its acts, and what it is now: stage, captured, pending act, acts done.
type Old = (&'static str, &'static [(&'static str, &'static str)], (Stage, u64, Option<u32>, u32));

const OLD: [Old; 8] = [
    ("authorising", &[("authorise", "asked")], (Stage::Authorising, 0, Some(1), 0)),
    ("capturing", &[("authorise", "done"), ("capture", "asked")], (Stage::Authorised, 0, Some(2), 0)),
    ("captured", &[("authorise", "done"), ("capture", "done")], (Stage::Authorised, 1000, None, 1)),
    ("declined", &[("authorise", "refused")], (Stage::Declined, 0, None, 0)),
    ("lost", &[("authorise", "unknown")], (Stage::Lost, 0, None, 0)),
    ("capture_unknown", &[("authorise", "done"), ("capture", "unknown")], (Stage::Authorised, 0, Some(2), 0)),
    ("voided", &[("authorise", "done"), ("capture", "refused"), ("void", "done")], (Stage::Voided, 0, None, 1)),
    (
        "void_unknown",
        &[("authorise", "done"), ("capture", "refused"), ("void", "unknown")],
        (Stage::Authorised, 0, Some(3), 0),
    ),
];

fn old_release(blob: &str, identity: &str, unlogged: &str, is_sqlite: bool) -> String {
    let mut text = String::new();
    for (both, sqlite, postgres) in BEFORE {
        text.push_str(both);
        text.push_str(if is_sqlite { sqlite } else { postgres });
    }
    text = text.replace("{blob}", blob).replace("{identity}", identity).replace("{unlogged}", unlogged);
    text.push_str(
        "CREATE TABLE schema_version (version BIGINT NOT NULL); INSERT INTO schema_version VALUES (3);
         INSERT INTO accounts (name, role, status, display_name, currency, credential_version, change_seq, row_version, created_at_ms)
         VALUES ('merchant-1', 'EXTERNAL', 'active', 'Shop', 'DKK', 1, 8, 1, 0);",
    );
    for (at, (state, acts, _)) in OLD.iter().enumerate() {
        let (id, code) = (at + 1, format!("{at:010}"));
        text.push_str(&format!(
            "INSERT INTO payment_requests (id, account, merchant_reference, amount_minor, currency, use_once, expires_at_ms, created_at_ms)
             VALUES ('r{id}', 'merchant-1', 'ref-{id}', 1000, 'DKK', 1, 0, 0);
             INSERT INTO codes (code, request_id, state) VALUES ('{code}', 'r{id}', 'Locked');
             INSERT INTO transactions (request_id, account, attempt, card, card_bin, card_last_four, amount_minor, currency, state, acquirer, acquirer_ref, created_at_ms, updated_at_ms)
             VALUES ('r{id}', 'merchant-1', 'a{id}', 'card_1', '411111', '1111', 1000, 'DKK', '{state}', 'clearhaus', 'auth-{id}', 5, 6);
             INSERT INTO changes (account, seq, transaction_id, at_ms) VALUES ('merchant-1', {id}, {id}, 7);"
        ));
        for (number, (kind, act_state)) in (1..).zip(*acts) {
            text.push_str(&format!(
                "INSERT INTO acts (transaction_id, number, kind, amount_minor, state, created_at_ms) VALUES ({id}, {number}, '{kind}', 1000, '{act_state}', 5);"
            ));
        }
    }
    text
}

async fn assert_carried_over(url: &str) {
    let db = Db::open(url, "a").await.unwrap();
    for (at, (state, _, expected)) in OLD.iter().enumerate() {
        let id = i64::try_from(at).unwrap() + 1;
        let found = transactions::find(&db, id).await.unwrap().unwrap();
        let ledger = found.ledger;
        let now = (ledger.stage, ledger.captured_minor, ledger.pending.map(|act| act.number), ledger.acts_done);
        assert_eq!(now, *expected, "{state}");
        assert_eq!(
            (found.reference.as_str(), found.code.unwrap().as_str()),
            (&*format!("ref-{id}"), &*format!("{at:010}"))
        );
        assert_eq!(found.acquirer_state.as_deref(), Some(&*format!("auth-{id}")));
        assert!(ledger.captured_minor <= ledger.authorised_minor && ledger.authorised_minor <= ledger.amount_minor);
    }
    let rows = sqlx::query("SELECT seq, body FROM changes ORDER BY seq").fetch_all(db.read()).await.unwrap();
    assert_eq!(rows.len(), OLD.len());
    for row in rows {
        let body: serde_json::Value = serde_json::from_str(&row.try_get::<String, _>(1).unwrap()).unwrap();
        assert_eq!(body["id"], row.try_get::<i64, _>(0).unwrap());
    }
    db.close().await;
}

#[tokio::test]
async fn sqlite() {
    sqlx::any::install_default_drivers();
    let path = std::env::temp_dir().join(format!("scanvault-migration-{}.db", std::process::id()));
    let url = format!("sqlite://{}", path.display());
    let mut connection = sqlx::AnyConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    let text = old_release("BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT", "", true);
    sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut connection).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert_carried_over(&url).await;
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
}

#[tokio::test]
async fn postgres() {
    let url = crate::world::new_postgres_database().await;
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    let text = old_release("BYTEA", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "UNLOGGED", false);
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert_carried_over(&url).await;
}
