//! The database: which one, its pools, transactions and migrations. It knows no table but its own version and who serves.
//!
//! One SQL text serves SQLite and PostgreSQL through sqlx's `Any` driver; `$1` binds on both. SQLite has one writing
//! connection (`BEGIN IMMEDIATE`, so writers queue here and never meet `SQLITE_BUSY`) and several reading ones.
//! On PostgreSQL transactions are READ COMMITTED: every step that moves money is a conditional write whose row count
//! is checked, so that it does not depend on the isolation level.

pub mod fence;
mod migrate;
pub mod padded;

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection, Row};

use crate::entropy::EntropyError;
use fence::Fence;

/// A transaction that ends with [`Tx::commit`] or is rolled back when dropped.
pub type Tx = sqlx::Transaction<'static, sqlx::Any>;

/// The oldest SQLite without the WAL-reset corruption bug (fixed 2026-03-13).
const MIN_SQLITE: (u32, u32, u32) = (3, 51, 3);
const READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 16;
const ASIDE_CONNECTIONS: u32 = 4;
const UNFENCED_CONNECTIONS: u32 = 4;
/// In the pool without a fence, sessions end by themselves that hold a transaction for so long and do nothing: those of a
/// process that was stopped in the middle of a ceremony, whose locks nothing else would ever take away. Between two
/// statements of a step nobody waits for anybody and nothing is asked elsewhere, so that it is milliseconds; a step that was
/// stopped for longer is undone and may be asked for again. A statement there waits longer for a lock than that, not for ever.
const LET_GO: &str = "SET idle_in_transaction_session_timeout = '15s'; SET lock_timeout = '20s'";
/// How long an idle connection is taken to be alive.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Embedded, one file.
    Sqlite,
    /// A server, shared by several origins.
    Postgres,
}

/// An open database with its schema up to date.
#[derive(Clone, Debug)]
pub struct Db {
    kind: Kind,
    writer: AnyPool,
    reader: AnyPool,
    aside: AnyPool,
    unfenced: AnyPool,
    fence: Arc<Fence>,
}

/// What can go wrong with the database itself.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The driver's or the server's word.
    #[error("database: {0}")]
    Sqlx(#[from] sqlx::Error),
    /// The address names no database that we know.
    #[error("DATABASE_URL must start with sqlite: or postgres:")]
    UnknownUrl,
    /// PostgreSQL over a network without a checked certificate.
    #[error("PostgreSQL over a network needs sslmode=verify-full in DATABASE_URL")]
    UncheckedTls,
    /// The linked SQLite can corrupt its file.
    #[error("SQLite {0} is too old: at least 3.51.3 is needed")]
    OldSqlite(String),
    /// Written by a newer release.
    #[error("the database has schema {found}, this release knows {known}: run the newer release")]
    NewerSchema {
        /// The version in the database.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// A stored value that no release of ours writes.
    #[error("the stored {0} is not valid")]
    Corrupt(&'static str),
    /// More than fits into one row.
    #[error("{0} too long to be stored")]
    TooLong(&'static str),
    /// It did not answer in time.
    #[error("the database did not say {0} in time")]
    Late(&'static str),
    /// No random bytes for what is to be stored.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl DbError {
    /// Whether a row could not go because another one names it.
    #[must_use]
    pub fn is_still_referenced(&self) -> bool {
        matches!(self, Self::Sqlx(sqlx::Error::Database(e)) if e.is_foreign_key_violation())
    }

    /// Whether the database gave up on the transaction because of another one (PostgreSQL: deadlock, serialisation).
    /// Nothing of it was written; it may be tried again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let code = match self {
            Self::Sqlx(sqlx::Error::Database(error)) => error.code(),
            _ => None,
        };
        matches!(code.as_deref(), Some("40P01" | "40001"))
    }

    /// Whether a unique constraint refused the statement: somebody else was first.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Sqlx(sqlx::Error::Database(e)) if e.is_unique_violation())
    }
}

impl Db {
    /// Opens the database for a process of a region, and brings its schema up to date.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn open(url: &str, region: &str) -> Result<Self, DbError> {
        sqlx::any::install_default_drivers();
        let fence = Arc::new(Fence::new(region));
        if url.starts_with("sqlite:") {
            let db = Self::open_sqlite(url, fence).await?;
            migrate::run(&db).await?;
            Ok(db)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            refuse_unchecked_tls(url)?;
            Self::open_postgres(url, fence).await
        } else {
            Err(DbError::UnknownUrl)
        }
    }

    /// The fence is a table: it is there before anything is opened behind it.
    async fn open_postgres(url: &str, fence: Arc<Fence>) -> Result<Self, DbError> {
        let unfenced = postgres_options(UNFENCED_CONNECTIONS, None).connect(url).await?;
        let writer = postgres_options(POSTGRES_CONNECTIONS, Some(&fence)).connect_lazy(url)?;
        let aside = postgres_options(ASIDE_CONNECTIONS, Some(&fence)).connect_lazy(url)?;
        let db = Self { kind: Kind::Postgres, reader: writer.clone(), writer, aside, unfenced, fence };
        migrate::run(&db.unfenced()).await?;
        db.look_who_serves().await?;
        Ok(db)
    }

    /// Which database it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// For reading outside of a transaction.
    #[must_use]
    pub fn read(&self) -> &AnyPool {
        &self.reader
    }

    /// For a single writing statement outside of a transaction.
    #[must_use]
    pub fn write(&self) -> &AnyPool {
        &self.writer
    }

    /// For callers who have not proved who they are: they wait for each other here, and take no connection from the rest.
    /// On SQLite it is the readers' pool, so nothing may be written through it.
    #[must_use]
    pub fn aside(&self) -> &AnyPool {
        &self.aside
    }

    /// Starts a writing transaction.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Ok(match self.kind {
            Kind::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await?,
            Kind::Postgres => self.writer.begin().await?,
        })
    }

    /// Waits for running statements and closes.
    pub async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
        self.aside.close().await;
        self.unfenced.close().await;
    }

    async fn open_sqlite(url: &str, fence: Arc<Fence>) -> Result<Self, DbError> {
        let separator = if url.contains('?') { '&' } else { '?' };
        let writing = if url.contains("mode=") { url.to_owned() } else { format!("{url}{separator}mode=rwc") };
        let writer = sqlite_options(1).connect(&writing).await?;
        let version: String = sqlx::query("SELECT sqlite_version()").fetch_one(&writer).await?.try_get(0)?;
        if parse_version(&version).is_none_or(|found| found < MIN_SQLITE) {
            return Err(DbError::OldSqlite(version));
        }
        let reader =
            if url.contains(":memory:") { writer.clone() } else { sqlite_options(READERS).connect(&writing).await? };
        Ok(Self { kind: Kind::Sqlite, unfenced: writer.clone(), writer, aside: reader.clone(), reader, fence })
    }
}

/// A connection that was used a moment ago is not asked whether it still lives: that would be a round trip before
/// every transaction.
fn options(connections: u32, fence: Option<&Arc<Fence>>) -> AnyPoolOptions {
    let fence = fence.cloned();
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .before_acquire(move |connection, about| {
            let is_outdated = fence.as_ref().is_some_and(|fence| fence.is_outdated(about.age));
            Box::pin(async move {
                if is_outdated {
                    return Ok(false);
                }
                if about.idle_for > TRUSTED_FOR {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// Our statements look rows up by key. Left to itself the planner reads a whole table that it still believes to be empty,
/// and keeps to that plan while the table grows. The cost that it puts on such a plan must not start the compiler. There
/// is one good plan for each text, so it is made once for a connection.
fn postgres_options(connections: u32, fence: Option<&Arc<Fence>>) -> AnyPoolOptions {
    let own = fence.cloned();
    options(connections, fence).after_connect(move |connection: &mut AnyConnection, _| {
        let fence = own.clone();
        Box::pin(async move {
            sqlx::raw_sql("SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan")
                .execute(&mut *connection)
                .await?;
            match fence {
                Some(fence) => fence.admit(connection).await,
                None => sqlx::raw_sql(LET_GO).execute(connection).await.map(drop),
            }
        })
    })
}

/// FULL: a commit is on disk before it is answered. `secure_delete`: what is deleted is overwritten.
fn sqlite_options(connections: u32) -> AnyPoolOptions {
    options(connections, None).after_connect(|connection: &mut AnyConnection, _| {
        Box::pin(async move {
            sqlx::raw_sql(
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;",
            )
            .execute(connection)
            .await?;
            Ok(())
        })
    })
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

/// sqlx's default, `prefer`, falls back to clear text without a word.
fn refuse_unchecked_tls(url: &str) -> Result<(), DbError> {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let host_port = authority.split('/').next().unwrap_or("").rsplit('@').next().unwrap_or("");
    let host = if let Some(v6) = host_port.strip_prefix('[') {
        v6.split(']').next().unwrap_or("")
    } else {
        host_port.split(':').next().unwrap_or("")
    };
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let host = parameter("host").unwrap_or(host).replace("%2F", "/").replace("%2f", "/");
    let local = host.is_empty() || host.starts_with('/') || matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
    if local || parameter("sslmode") == Some("verify-full") { Ok(()) } else { Err(DbError::UncheckedTls) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_over_a_network_needs_a_checked_certificate() {
        for url in [
            "postgres://u:p@db.example/s",
            "postgres://u:p@db.example/s?sslmode=require",
            "postgres:///s?host=10.0.0.7",
            "postgres://u:p%40localhost@db.example:5432/s?sslmode=prefer",
        ] {
            assert!(matches!(refuse_unchecked_tls(url), Err(DbError::UncheckedTls)), "{url}");
        }
        for url in [
            "postgres://u:p@db.example/s?sslmode=verify-full",
            "postgres://u@localhost:5433/s",
            "postgres://[::1]/s",
            "postgres:///s?host=/run/postgresql",
            "postgres://u@%2Frun%2Fpg/s",
        ] {
            assert!(refuse_unchecked_tls(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("3.51.3") == Some(MIN_SQLITE));
        assert!(parse_version("3.51.12").unwrap() > MIN_SQLITE);
        assert!(parse_version("3.9.99").unwrap() < MIN_SQLITE);
        assert_eq!(parse_version("x"), None);
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let db = Db::open("sqlite::memory:", "a").await.unwrap();
        sqlx::query("UPDATE schema_version SET version = 999").execute(db.write()).await.unwrap();
        assert!(matches!(migrate::run(&db).await, Err(DbError::NewerSchema { found: 999, .. })));
    }
}
