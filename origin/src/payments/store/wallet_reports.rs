//! What MobilePay has still to be told.

use std::str::FromStr;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::db::{Db, DbError, Kind, Tx};

/// What MobilePay is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// A capture at the acquirer.
    Capture,
    /// A refund there.
    Refund,
    /// Nothing more will be captured.
    Cancel,
}

const KINDS: &[(ReportKind, &str)] =
    &[(ReportKind::Capture, "capture"), (ReportKind::Refund, "refund"), (ReportKind::Cancel, "cancel")];

/// A report that is to be made now; ours until its lease ends.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Of which transaction.
    pub transaction_id: i64,
    /// Of which of its acts; 0: of its end.
    pub act: u32,
    /// What.
    pub kind: ReportKind,
    /// How much.
    pub amount_minor: u64,
    /// How often it was tried, this time included.
    pub attempts: i64,
    /// How many idempotency keys were refused.
    pub key_number: u32,
}

impl ReportKind {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

impl FromStr for ReportKind {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        KINDS.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(DbError::Corrupt("wallet report"))
    }
}

/// Adds a report, in the transaction that makes what it tells of.
///
/// # Errors
/// From the database.
pub async fn add(
    tx: &mut Tx,
    (id, act): (i64, u32),
    kind: ReportKind,
    amount_minor: u64,
    now_ms: i64,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO wallet_reports (transaction_id, act, kind, amount_minor, state, attempts, next_at_ms, \
         lease_until_ms) VALUES ($1, $2, $3, $4, 'pending', 0, $5, 0) ON CONFLICT (transaction_id, act) DO NOTHING",
    )
    .bind(id)
    .bind(i64::from(act))
    .bind(kind.as_str())
    .bind(super::db_minor(amount_minor))
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes the report that has been due longest. Those of one transaction are made in the order of its acts: while one is
/// not done, those after it wait.
///
/// # Errors
/// From the database.
pub async fn claim(db: &Db, now_ms: i64, lease_ms: i64) -> Result<Option<Report>, DbError> {
    macro_rules! claim {
        ($lock:literal) => {
            concat!(
                "UPDATE wallet_reports SET lease_until_ms = $2, attempts = attempts + 1 \
                 WHERE (transaction_id, act) = (SELECT r.transaction_id, r.act FROM wallet_reports r \
                 WHERE r.state = 'pending' AND r.next_at_ms <= $1 AND r.lease_until_ms <= $1 AND NOT EXISTS (\
                 SELECT 1 FROM wallet_reports o WHERE o.transaction_id = r.transaction_id AND o.act < r.act \
                 AND o.state <> 'done') ORDER BY r.next_at_ms LIMIT 1",
                $lock,
                ") RETURNING transaction_id, act, kind, amount_minor, attempts, key_number"
            )
        };
    }
    let statement = match db.kind() {
        Kind::Sqlite => claim!(""),
        Kind::Postgres => claim!(" FOR UPDATE OF r SKIP LOCKED"),
    };
    let row = sqlx::query(statement).bind(now_ms).bind(now_ms + lease_ms).fetch_optional(db.write()).await?;
    row.map(|row| record(&row)).transpose()
}

/// What MobilePay was told of this kind by earlier acts of the transaction, in minor units.
///
/// # Errors
/// From the database.
pub async fn told_before(db: &Db, report: &Report) -> Result<u64, DbError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(amount_minor), 0) AS BIGINT) FROM wallet_reports \
         WHERE transaction_id = $1 AND act < $2 AND kind = $3 AND state = 'done' AND last_error IS NULL",
    )
    .bind(report.transaction_id)
    .bind(i64::from(report.act))
    .bind(report.kind.as_str())
    .fetch_one(db.read())
    .await?;
    super::minor(row.try_get(0)?)
}

/// MobilePay knows; or, with a reason, need not know any more.
///
/// # Errors
/// From the database.
pub async fn done(db: &Db, report: &Report, needless: Option<&str>) -> Result<(), DbError> {
    let statement = "UPDATE wallet_reports SET state = 'done', lease_until_ms = 0, last_error = $3 \
                     WHERE transaction_id = $1 AND act = $2";
    let query = sqlx::query(statement).bind(report.transaction_id).bind(i64::from(report.act)).bind(needless);
    query.execute(db.write()).await?;
    Ok(())
}

/// It is to be made again, or, without a time, not until an operator says so.
///
/// # Errors
/// From the database.
pub async fn postpone(
    db: &Db,
    report: &Report,
    next_at_ms: Option<i64>,
    key_number: u32,
    error: &str,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE wallet_reports SET state = $3, next_at_ms = $4, key_number = $5, lease_until_ms = 0, last_error = $6 \
         WHERE transaction_id = $1 AND act = $2",
    )
    .bind(report.transaction_id)
    .bind(i64::from(report.act))
    .bind(if next_at_ms.is_some() { "pending" } else { "parked" })
    .bind(next_at_ms.unwrap_or(0))
    .bind(i64::from(key_number))
    .bind(error)
    .execute(db.write())
    .await?;
    Ok(())
}

/// A report that was given up.
pub struct Parked {
    /// What was to be told.
    pub report: Report,
    /// Why it was not.
    pub last_error: Option<String>,
}

/// What was given up, oldest transaction first.
///
/// # Errors
/// From the database.
pub async fn parked(db: &Db) -> Result<Vec<Parked>, DbError> {
    let statement = "SELECT transaction_id, act, kind, amount_minor, attempts, key_number, last_error \
                     FROM wallet_reports WHERE state = 'parked' ORDER BY transaction_id, act LIMIT 1000";
    let rows = sqlx::query(statement).fetch_all(db.read()).await?;
    rows.iter().map(|row| Ok(Parked { report: record(row)?, last_error: row.try_get(6)? })).collect()
}

/// Lets what was given up of a transaction be made again, with keys of its own: the earlier ones may have been used up by
/// a refusal. Says how many they are.
///
/// # Errors
/// From the database.
pub async fn unpark(tx: &mut Tx, id: i64, now_ms: i64) -> Result<u64, DbError> {
    let statement = "UPDATE wallet_reports SET state = 'pending', attempts = 0, key_number = key_number + 1, \
                     next_at_ms = $2 WHERE transaction_id = $1 AND state = 'parked'";
    Ok(sqlx::query(statement).bind(id).bind(now_ms).execute(&mut **tx).await?.rows_affected())
}

/// How many wait, and how many were given up, for metrics.
///
/// # Errors
/// From the database.
pub async fn backlog(db: &Db) -> Result<(i64, i64), DbError> {
    let statement = "SELECT COUNT(CASE WHEN state = 'pending' THEN 1 END), COUNT(CASE WHEN state = 'parked' THEN 1 END) \
                     FROM wallet_reports WHERE state <> 'done'";
    let row = sqlx::query(statement).fetch_one(db.read()).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn record(row: &AnyRow) -> Result<Report, DbError> {
    Ok(Report {
        transaction_id: row.try_get(0)?,
        act: super::count(row.try_get(1)?)?,
        kind: row.try_get::<String, _>(2)?.parse()?,
        amount_minor: super::minor(row.try_get(3)?)?,
        attempts: row.try_get(4)?,
        key_number: super::count(row.try_get(5)?)?,
    })
}
