//! The outbox's table: adding, claiming, and what became of an attempt.
//!
//! States: `pending`; `delivered`; `parked`, given up until an operator says otherwise; `withdrawn`, a strict delivery
//! that was not answered in time, so that what it told of is undone.

use std::str::FromStr;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::format::Format;
use crate::db::padded::{MAX_ROWS, Padded, pad};
use crate::db::{Db, DbError, Kind, Tx};

/// What a claim writes over a row whose lease was never given back: the attempt before it was cut off, and nobody knows
/// what the receiver answered.
pub const INTERRUPTED: &str = "the attempt before was cut off";

/// A delivery that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// The delivery id.
    pub id: &'a str,
    /// Whose it is.
    pub account: &'a str,
    /// Where to.
    pub url: &'a str,
    /// How it is written when it is sent.
    pub format: Format,
    /// The JSON.
    pub body: &'a str,
    /// What it tells of.
    pub transaction_id: Option<i64>,
    /// Strict: what it tells of is undone without a 200 until then.
    pub deadline_at_ms: Option<i64>,
}

/// A delivery that is to be tried now; ours until the lease ends.
#[derive(Debug)]
pub struct Due {
    /// The delivery id.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// Where to.
    pub url: String,
    /// How it is written.
    pub format: Format,
    /// What, as JSON.
    pub body: String,
    /// How often it was tried, this time included.
    pub attempts: i64,
    /// Our lease: whoever writes an outcome names it, so that one who was overtaken writes nothing.
    pub lease_until_ms: i64,
    /// Set for a strict delivery that was not answered yet: what it tells of, and until when.
    pub strict: Option<Strict>,
}

/// What waits for a strict delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strict {
    /// The transaction whose money is held.
    pub transaction_id: i64,
    /// Afterwards it is given back.
    pub deadline_at_ms: i64,
}

/// What is waiting, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backlog {
    /// Deliveries that are still to be made.
    pub pending: i64,
    /// Deliveries that were given up and wait for an operator.
    pub parked: i64,
    /// Since when the oldest pending one waits, in Unix milliseconds.
    pub oldest_at_ms: Option<i64>,
}

/// Which deliveries are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Those that nothing waits for.
    Ordinary,
    /// Those that money waits for.
    Strict,
}

/// A claim: the time, how long it holds, and who may have no more.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Which.
    pub class: Class,
    /// Now.
    pub now_ms: i64,
    /// How long others pass over it.
    pub lease_ms: i64,
    /// How long a strict delivery that was cut off may take anew.
    pub strict_ms: i64,
    /// At most [`MAX_ROWS`].
    pub busy: &'a [String],
}

/// Adds a delivery, in the transaction that makes what it tells of.
///
/// # Errors
/// From the database.
pub async fn add(tx: &mut Tx, new: New<'_>, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO outbox (id, account, url, body, state, attempts, next_at_ms, lease_until_ms, created_at_ms, \
         format, transaction_id, deadline_at_ms) VALUES ($1, $2, $3, $4, 'pending', 0, $5, 0, $5, $6, $7, $8)",
    )
    .bind(new.id)
    .bind(new.account)
    .bind(new.url)
    .bind(new.body)
    .bind(now_ms)
    .bind(new.format.as_str())
    .bind(new.transaction_id)
    .bind(new.deadline_at_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

macro_rules! claiming {
    () => {
        "UPDATE outbox SET lease_until_ms = $2, attempts = attempts + 1, \
         last_error = CASE WHEN lease_until_ms <> 0 THEN $4 ELSE last_error END, \
         deadline_at_ms = CASE WHEN deadline_at_ms < $3 AND (lease_until_ms <> 0 OR \
         (attempts > 0 AND next_at_ms < deadline_at_ms AND deadline_at_ms < $1)) THEN $3 ELSE deadline_at_ms END \
         WHERE id = ("
    };
}
macro_rules! returning {
    ($lock:literal) => {
        concat!(
            "ORDER BY d.next_at_ms LIMIT 1",
            $lock,
            ") RETURNING id, account, url, format, body, attempts, lease_until_ms, transaction_id, deadline_at_ms, \
             delivered_at_ms"
        )
    };
}
macro_rules! is_due {
    ($row:literal) => {
        concat!($row, ".state = 'pending' AND ", $row, ".next_at_ms <= $1 AND ", $row, ".lease_until_ms <= $1")
    };
}
// The accounts of which something waits, one look into the index each; then the first of each. Going through what is due
// by time would pass all that waits for a slow receiver, at every claim, and on SQLite with the only writer in hand.
macro_rules! waiting {
    ($index:literal) => {
        concat!(
            "WITH RECURSIVE waiting (account) AS (SELECT MIN(o.account) FROM outbox o",
            $index,
            " WHERE o.state = 'pending' UNION ALL SELECT (SELECT MIN(o.account) FROM outbox o",
            $index,
            " WHERE o.state = 'pending' AND o.account > w.account) FROM waiting w WHERE w.account IS NOT NULL) "
        )
    };
}
// A strict delivery that was answered once is an ordinary one when it is sent again.
macro_rules! first_of_account {
    ($index:literal) => {
        concat!(
            "(SELECT i.id FROM outbox i",
            $index,
            " WHERE i.account = w.account AND ",
            is_due!("i"),
            " AND (i.deadline_at_ms IS NULL OR i.delivered_at_ms IS NOT NULL) ORDER BY i.next_at_ms LIMIT 1)"
        )
    };
}
macro_rules! strict {
    ($index:literal) => {
        concat!(
            claiming!(),
            "SELECT d.id FROM outbox d",
            $index,
            " WHERE ",
            is_due!("d"),
            " AND d.deadline_at_ms IS NOT NULL AND d.delivered_at_ms IS NULL AND d.account NOT IN"
        )
    };
}
const ORDINARY_IN_SQLITE: &str = concat!(
    claiming!(),
    waiting!(" INDEXED BY outbox_waiting"),
    "SELECT d.id FROM waiting w JOIN outbox d ON d.id = ",
    first_of_account!(" INDEXED BY outbox_waiting"),
    " WHERE w.account NOT IN"
);
// What is due is said again of the row that is locked: only that is looked at again when another process was faster.
const ORDINARY_IN_POSTGRES: &str = concat!(
    claiming!(),
    waiting!(""),
    "SELECT d.id FROM waiting w CROSS JOIN LATERAL ",
    first_of_account!(""),
    " f JOIN outbox d ON d.id = f.id WHERE ",
    is_due!("d"),
    " AND w.account NOT IN"
);
static ORDINARY_SQLITE: Padded = Padded::list(ORDINARY_IN_SQLITE, 4, returning!(""));
static ORDINARY_POSTGRES: Padded = Padded::list(ORDINARY_IN_POSTGRES, 4, returning!(" FOR UPDATE OF d SKIP LOCKED"));
// Left to itself SQLite takes the index of everything that is due.
static STRICT_SQLITE: Padded = Padded::list(strict!(" INDEXED BY outbox_strict"), 4, returning!(""));
static STRICT_POSTGRES: Padded = Padded::list(strict!(""), 4, returning!(" FOR UPDATE OF d SKIP LOCKED"));

/// Takes the delivery that has been due longest, of an account that is not busy; other processes pass over it until the
/// lease ends. A strict one whose attempt was cut off gets its time anew: its receiver may have said yes. So does one that
/// was tried and was to be tried again before its deadline, when nobody was there to do it.
///
/// # Errors
/// From the database.
pub async fn claim(db: &Db, claim: Claim<'_>) -> Result<Option<Due>, DbError> {
    let statement = match (claim.class, db.kind()) {
        (Class::Ordinary, Kind::Sqlite) => &ORDINARY_SQLITE,
        (Class::Ordinary, Kind::Postgres) => &ORDINARY_POSTGRES,
        (Class::Strict, Kind::Sqlite) => &STRICT_SQLITE,
        (Class::Strict, Kind::Postgres) => &STRICT_POSTGRES,
    };
    // No account is called so.
    let nobody = [String::new()];
    let busy = if claim.busy.is_empty() { &nobody[..] } else { claim.busy };
    let busy = busy.get(..busy.len().min(MAX_ROWS)).unwrap_or_default();
    let (text, size) = statement.text(busy.len());
    let mut query = sqlx::query(text);
    query = query.bind(claim.now_ms).bind(claim.now_ms + claim.lease_ms).bind(claim.now_ms + claim.strict_ms);
    query = query.bind(INTERRUPTED);
    for account in pad(busy, size) {
        query = query.bind(account.clone());
    }
    let row = query.fetch_optional(db.write()).await?;
    row.map(|row| due(&row)).transpose()
}

fn due(row: &AnyRow) -> Result<Due, DbError> {
    let format: String = row.try_get(3)?;
    let (transaction, deadline): (Option<i64>, Option<i64>) = (row.try_get(7)?, row.try_get(8)?);
    let is_answered = row.try_get::<Option<i64>, _>(9)?.is_some();
    let strict = transaction.zip(deadline).filter(|_| !is_answered);
    Ok(Due {
        id: row.try_get(0)?,
        account: row.try_get(1)?,
        url: row.try_get(2)?,
        format: Format::from_str(&format).map_err(|_| DbError::Corrupt("format"))?,
        body: row.try_get(4)?,
        attempts: row.try_get(5)?,
        lease_until_ms: row.try_get(6)?,
        strict: strict.map(|(transaction_id, deadline_at_ms)| Strict { transaction_id, deadline_at_ms }),
    })
}

/// The receiver has it. Also when our lease is over: it has it all the same. Not when it was withdrawn meanwhile.
///
/// # Errors
/// From the database.
pub async fn delivered(db: &Db, id: &str, now_ms: i64) -> Result<bool, DbError> {
    // From then on `next_at_ms` says since when it is done: by it the row is removed one day.
    let statement = "UPDATE outbox SET state = 'delivered', lease_until_ms = 0, last_error = NULL, next_at_ms = $2, \
                     delivered_at_ms = $2 WHERE id = $1 AND state IN ('pending', 'parked')";
    Ok(sqlx::query(statement).bind(id).bind(now_ms).execute(db.write()).await?.rows_affected() > 0)
}

/// It is to be tried again, or not until an operator says so.
///
/// # Errors
/// From the database.
pub async fn postpone(db: &Db, due: &Due, next_at_ms: Option<i64>, error: &str) -> Result<(), DbError> {
    let state = if next_at_ms.is_some() { "pending" } else { "parked" };
    sqlx::query(
        "UPDATE outbox SET state = $3, next_at_ms = $4, lease_until_ms = 0, last_error = $5 \
         WHERE id = $1 AND lease_until_ms = $2 AND state = 'pending'",
    )
    .bind(due.id.as_str())
    .bind(due.lease_until_ms)
    .bind(state)
    .bind(next_at_ms.unwrap_or(0))
    .bind(error)
    .execute(db.write())
    .await?;
    Ok(())
}

/// Gives a claimed delivery back untried: nothing is counted. One that had been cut off before stays so: the next claim
/// sees a lease that was never given back.
///
/// # Errors
/// From the database.
pub async fn release(db: &Db, due: &Due, next_at_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE outbox SET attempts = attempts - 1, next_at_ms = $3, \
                     lease_until_ms = CASE WHEN last_error = $4 THEN $3 ELSE 0 END \
                     WHERE id = $1 AND lease_until_ms = $2 AND state = 'pending'";
    let query = sqlx::query(statement).bind(due.id.as_str()).bind(due.lease_until_ms).bind(next_at_ms);
    let query = query.bind(INTERRUPTED);
    query.execute(db.write()).await?;
    Ok(())
}

/// On SQLite one process has the database: what is leased when it starts was left by the one before, and is ours at once.
/// On PostgreSQL it may be another origin's, and its lease has to end.
///
/// # Errors
/// From the database.
pub async fn take_over(db: &Db, now_ms: i64) -> Result<(), DbError> {
    if db.kind() == Kind::Sqlite {
        // Not 0: the next claim has to see that it was never given back.
        let statement = "UPDATE outbox SET lease_until_ms = $1 WHERE state = 'pending' AND lease_until_ms > $1";
        sqlx::query(statement).bind(now_ms).execute(db.write()).await?;
    }
    Ok(())
}

/// Counts what waits.
///
/// # Errors
/// From the database.
pub async fn backlog(db: &Db) -> Result<Backlog, DbError> {
    let row = sqlx::query(
        "SELECT COUNT(CASE WHEN state = 'pending' THEN 1 END), COUNT(CASE WHEN state = 'parked' THEN 1 END), \
         MIN(CASE WHEN state = 'pending' THEN created_at_ms END) FROM outbox WHERE state IN ('pending', 'parked')",
    )
    .fetch_one(db.read())
    .await?;
    Ok(Backlog { pending: row.try_get(0)?, parked: row.try_get(1)?, oldest_at_ms: row.try_get(2)? })
}
