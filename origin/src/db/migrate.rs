//! Embedded migrations, run at start in one transaction. A schema from a newer release is refused.

use sqlx::{AssertSqlSafe, Row};

use super::{Db, DbError, Kind};

/// In order; the version is the position, counted from 1. A landed file is never edited.
const MIGRATIONS: &[Migration] = &[
    Migration { both: include_str!("../../migrations/0001_spine.sql"), sqlite: "", postgres: "" },
    Migration {
        both: include_str!("../../migrations/0002_vault.sql"),
        sqlite: include_str!("../../migrations/0002_vault.sqlite.sql"),
        postgres: include_str!("../../migrations/0002_vault.postgres.sql"),
    },
    Migration { both: include_str!("../../migrations/0003_identity.sql"), sqlite: "", postgres: "" },
    Migration {
        both: include_str!("../../migrations/0004_money.sql"),
        sqlite: include_str!("../../migrations/0004_money.sqlite.sql"),
        postgres: include_str!("../../migrations/0004_money.postgres.sql"),
    },
    Migration { both: include_str!("../../migrations/0005_indexes.sql"), sqlite: "", postgres: "" },
    Migration { both: include_str!("../../migrations/0006_regions.sql"), sqlite: "", postgres: "" },
];

/// One step of the schema: the text for both databases, then what each needs of its own.
struct Migration {
    both: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Any constant: it keeps two processes from migrating at once. The other one may take long.
const POSTGRES_LOCK: &str = "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(7236427)";

pub(super) async fn run(db: &Db) -> Result<(), DbError> {
    if db.kind() == Kind::Postgres {
        return migrate(db).await;
    }
    // Tables are made anew while others refer to them; within a transaction the switch does nothing. The writer is one
    // connection, so it is this one that is switched.
    sqlx::query("PRAGMA foreign_keys = OFF").execute(db.write()).await?;
    migrate(db).await?;
    sqlx::query("PRAGMA foreign_keys = ON").execute(db.write()).await?;
    Ok(())
}

async fn migrate(db: &Db) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    if db.kind() == Kind::Postgres {
        sqlx::raw_sql(POSTGRES_LOCK).execute(&mut *tx).await?;
    }
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)").execute(&mut *tx).await?;
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) FROM schema_version").fetch_one(&mut *tx).await?;
    let found: i64 = row.try_get(0)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(DbError::NewerSchema { found, known });
    }
    for (version, migration) in (1_i64..).zip(MIGRATIONS).skip_while(|(version, _)| *version <= found) {
        let own = match db.kind() {
            Kind::Sqlite => migration.sqlite,
            Kind::Postgres => migration.postgres,
        };
        for text in [migration.both, own].into_iter().filter(|text| !text.is_empty()) {
            // The text is ours, embedded at build time: nothing in it comes from outside.
            sqlx::raw_sql(AssertSqlSafe(dialect(text, db.kind()))).execute(&mut *tx).await?;
        }
        sqlx::query("DELETE FROM schema_version").execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)").bind(version).execute(&mut *tx).await?;
    }
    if db.kind() == Kind::Sqlite && sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut *tx).await?.is_some() {
        return Err(DbError::Corrupt("reference between two tables"));
    }
    tx.commit().await?;
    Ok(())
}

/// The only place where the two databases' SQL differs by type.
fn dialect(text: &str, kind: Kind) -> String {
    let (blob, identity, unlogged) = match kind {
        Kind::Sqlite => ("BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT", ""),
        Kind::Postgres => ("BYTEA", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "UNLOGGED"),
    };
    text.replace("{blob}", blob).replace("{identity}", identity).replace("{unlogged}", unlogged)
}
