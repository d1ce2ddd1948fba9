//! Embedded migrations, run at start in one transaction. A schema from a newer release is refused.

use sqlx::{AssertSqlSafe, Row};

use super::{Db, DbError, Kind};

/// In order; the version is the position, counted from 1. A landed file is never edited.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/0001_spine.sql")];

/// Any constant: it keeps two processes from migrating at once.
const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(7236427)";

pub(super) async fn run(db: &Db) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    if db.kind() == Kind::Postgres {
        sqlx::query(POSTGRES_LOCK).execute(&mut *tx).await?;
    }
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)").execute(&mut *tx).await?;
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) FROM schema_version").fetch_one(&mut *tx).await?;
    let found: i64 = row.try_get(0)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(DbError::NewerSchema { found, known });
    }
    for (version, text) in (1_i64..).zip(MIGRATIONS).skip_while(|(version, _)| *version <= found) {
        // The text is ours, embedded at build time: nothing in it comes from outside.
        sqlx::raw_sql(AssertSqlSafe(dialect(text, db.kind()))).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM schema_version").execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)").bind(version).execute(&mut *tx).await?;
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
