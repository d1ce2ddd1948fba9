//! What was asked of acquirers, and what became of it. Rows are added and settled, never changed otherwise.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::super::ledger::{Act, ActEnd, ActKind};
use crate::acquirers::Decline;
use crate::db::{Db, DbError, Tx};

/// An act as it is told.
#[derive(Clone, Debug)]
pub struct ActRecord {
    /// Its number in the transaction.
    pub number: u32,
    /// What was asked.
    pub kind: ActKind,
    /// How much.
    pub amount_minor: u64,
    /// `asked`, `done`, `refused` or `unknown`.
    pub state: String,
    /// As the reversal of the whole payment.
    pub is_reversal: bool,
    /// Why it was refused.
    pub decline: Option<Decline>,
    /// When it was written down, in Unix milliseconds.
    pub asked_at_ms: i64,
    /// When its outcome was.
    pub settled_at_ms: Option<i64>,
    /// How often it was asked.
    pub tries: u32,
}

const LIST: &str = "SELECT number, kind, amount_minor, state, is_reversal, decline, created_at_ms, settled_at_ms, tries \
     FROM acts WHERE transaction_id = $1 ORDER BY number";

/// Writes what will be asked.
///
/// # Errors
/// From the database.
pub async fn add(tx: &mut Tx, id: i64, act: &Act, acquirer: Option<&str>, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO acts (transaction_id, number, kind, amount_minor, state, is_reversal, acquirer, created_at_ms) \
         VALUES ($1, $2, $3, $4, 'asked', $5, $6, $7)",
    )
    .bind(id)
    .bind(i64::from(act.number))
    .bind(act.kind.as_str())
    .bind(super::db_minor(act.amount_minor))
    .bind(i64::from(act.is_reversal))
    .bind(acquirer)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes what became of an act. An unknown one may be settled later.
///
/// # Errors
/// From the database.
pub async fn settle(
    tx: &mut Tx,
    (id, number): (i64, u32),
    end: ActEnd,
    decline: Option<Decline>,
    next_try_at_ms: Option<i64>,
    now_ms: i64,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE acts SET state = $3, decline = $4, settled_at_ms = $5, next_try_at_ms = $6 \
         WHERE transaction_id = $1 AND number = $2 AND state IN ('asked', 'unknown')",
    )
    .bind(id)
    .bind(i64::from(number))
    .bind(end.as_str())
    .bind(decline.map(Decline::as_str))
    .bind(now_ms)
    .bind(next_try_at_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// An unknown act that is looked at again.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Whose.
    pub transaction_id: i64,
    /// Which.
    pub number: u32,
    /// How often it was asked.
    pub tries: u32,
    /// When the intent was written: a repetition says the same.
    pub asked_at_ms: i64,
    /// What [`lease`] compares.
    pub next_try_at_ms: i64,
}

/// Unknown acts that are due, oldest first.
///
/// # Errors
/// From the database.
pub async fn due(db: &Db, now_ms: i64) -> Result<Vec<Due>, DbError> {
    let statement = "SELECT transaction_id, number, tries, created_at_ms, next_try_at_ms FROM acts                      WHERE next_try_at_ms <= $1 AND state = 'unknown' ORDER BY next_try_at_ms LIMIT 100";
    let rows = sqlx::query(statement).bind(now_ms).fetch_all(db.read()).await?;
    let due = |row: &AnyRow| {
        Ok(Due {
            transaction_id: row.try_get(0)?,
            number: super::count(row.try_get(1)?)?,
            tries: super::count(row.try_get(2)?)?,
            asked_at_ms: row.try_get(3)?,
            next_try_at_ms: row.try_get(4)?,
        })
    };
    rows.iter().map(due).collect()
}

/// How many unknown acts are asked again by themselves, for metrics; the other unknown ones are an operator's.
///
/// # Errors
/// From the database.
pub async fn count_to_repeat(db: &Db) -> Result<i64, DbError> {
    let statement = "SELECT COUNT(*) FROM acts WHERE next_try_at_ms IS NOT NULL AND state = 'unknown'";
    Ok(sqlx::query(statement).fetch_one(db.read()).await?.try_get(0)?)
}

/// Takes an act to ask once more, and says when it is due again should nothing come of it; `None`: never. `false` when
/// another origin has taken it, or it is settled.
///
/// # Errors
/// From the database.
pub async fn lease(db: &Db, due: &Due, next_try_at_ms: Option<i64>) -> Result<bool, DbError> {
    let done = sqlx::query(
        "UPDATE acts SET tries = tries + 1, next_try_at_ms = $4          WHERE transaction_id = $1 AND number = $2 AND next_try_at_ms = $3 AND state = 'unknown'",
    )
    .bind(due.transaction_id)
    .bind(i64::from(due.number))
    .bind(due.next_try_at_ms)
    .bind(next_try_at_ms)
    .execute(db.write())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Asks an act again at another time than the one that [`due`] said, should nobody else have taken it.
///
/// # Errors
/// From the database.
pub async fn put_off(db: &Db, due: &Due, next_try_at_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE acts SET next_try_at_ms = $4 \
                     WHERE transaction_id = $1 AND number = $2 AND next_try_at_ms = $3 AND state = 'unknown'";
    let query = sqlx::query(statement).bind(due.transaction_id).bind(i64::from(due.number)).bind(due.next_try_at_ms);
    query.bind(next_try_at_ms).execute(db.write()).await?;
    Ok(())
}

/// All acts of a transaction, in order.
///
/// # Errors
/// From the database.
pub async fn list(db: &Db, id: i64) -> Result<Vec<ActRecord>, DbError> {
    sqlx::query(LIST).bind(id).fetch_all(db.read()).await?.iter().map(record).collect()
}

/// The same in the transaction that changes them.
///
/// # Errors
/// From the database.
pub async fn list_in(tx: &mut Tx, id: i64) -> Result<Vec<ActRecord>, DbError> {
    sqlx::query(LIST).bind(id).fetch_all(&mut **tx).await?.iter().map(record).collect()
}

fn record(row: &AnyRow) -> Result<ActRecord, DbError> {
    Ok(ActRecord {
        number: super::count(row.try_get(0)?)?,
        kind: row.try_get::<String, _>(1)?.parse()?,
        amount_minor: super::minor(row.try_get(2)?)?,
        state: row.try_get(3)?,
        is_reversal: row.try_get::<i64, _>(4)? != 0,
        decline: row.try_get::<Option<String>, _>(5)?.map(|text| text.parse()).transpose()?,
        asked_at_ms: row.try_get(6)?,
        settled_at_ms: row.try_get(7)?,
        tries: super::count(row.try_get(8)?)?,
    })
}
