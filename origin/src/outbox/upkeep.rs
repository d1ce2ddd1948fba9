//! What operators see and do of the outbox, and what is removed from it.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::strict;
use crate::db::{Db, DbError, Tx};

/// How long a delivery that is done stays to be looked at and to be sent again.
pub const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// Rows removed at once: other writers wait no longer than for these.
const SWEPT_AT_ONCE: i64 = 500;

/// A delivery as operators see it. Its body is shown for one delivery at a time.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The delivery id.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// Where to.
    pub url: String,
    /// See [`super::store`].
    pub state: String,
    /// How it is written.
    pub format: String,
    /// How often it was tried.
    pub attempts: i64,
    /// Pending: when it is tried next.
    pub next_at_ms: i64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// What it tells of.
    pub transaction_id: Option<i64>,
    /// Strict: until when it must be answered.
    pub deadline_at_ms: Option<i64>,
    /// When it was answered.
    pub delivered_at_ms: Option<i64>,
    /// When it was written.
    pub created_at_ms: i64,
}

/// Which deliveries are listed.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Of this account.
    pub account: Option<&'a str>,
    /// In this state.
    pub state: Option<&'a str>,
    /// Written before that.
    pub before_ms: i64,
    /// At most so many.
    pub limit: i64,
}

/// Which deliveries are sent again.
#[derive(Clone, Copy, Debug)]
pub enum Replay<'a> {
    /// This one, though it was delivered.
    One(&'a str),
    /// What is parked of an account.
    Account(&'a str),
    /// Whatever is parked.
    Parked,
}

macro_rules! listed_columns {
    () => {
        "id, account, url, state, format, attempts, next_at_ms, last_error, transaction_id, deadline_at_ms, \
         delivered_at_ms, created_at_ms"
    };
}

/// Lists deliveries, the newest first.
///
/// # Errors
/// From the database.
pub async fn list(db: &Db, filter: Filter<'_>) -> Result<Vec<Listed>, DbError> {
    // An empty text stands for any: one statement for each combination of what is asked would be four.
    let statement = concat!(
        "SELECT ",
        listed_columns!(),
        " FROM outbox WHERE created_at_ms < $1 AND ($2 = '' OR account = $2) AND ($3 = '' OR state = $3) \
         ORDER BY created_at_ms DESC, id LIMIT $4"
    );
    let query = sqlx::query(statement).bind(filter.before_ms).bind(filter.account.unwrap_or_default());
    let rows = query.bind(filter.state.unwrap_or_default()).bind(filter.limit).fetch_all(db.read()).await?;
    rows.iter().map(listed).collect()
}

/// Finds a delivery, and its body.
///
/// # Errors
/// From the database.
pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<(Listed, String)>, DbError> {
    let statement = concat!("SELECT ", listed_columns!(), ", body FROM outbox WHERE id = $1");
    let row = sqlx::query(statement).bind(id).fetch_optional(&mut **tx).await?;
    row.map(|row| Ok((listed(&row)?, row.try_get(12)?))).transpose()
}

fn listed(row: &AnyRow) -> Result<Listed, DbError> {
    Ok(Listed {
        id: row.try_get(0)?,
        account: row.try_get(1)?,
        url: row.try_get(2)?,
        state: row.try_get(3)?,
        format: row.try_get(4)?,
        attempts: row.try_get(5)?,
        next_at_ms: row.try_get(6)?,
        last_error: row.try_get(7)?,
        transaction_id: row.try_get(8)?,
        deadline_at_ms: row.try_get(9)?,
        delivered_at_ms: row.try_get(10)?,
        created_at_ms: row.try_get(11)?,
    })
}

/// Sends again, from the first attempt on, and says how many. What was withdrawn is never sent: it tells of a payment that
/// was undone. A strict delivery that still waits for its answer is left alone.
///
/// # Errors
/// From the database.
pub async fn replay(tx: &mut Tx, which: Replay<'_>, now_ms: i64) -> Result<u64, DbError> {
    macro_rules! again {
        ($which:literal) => {
            concat!(
                "UPDATE outbox SET state = 'pending', attempts = 0, next_at_ms = $2, lease_until_ms = 0 WHERE ",
                $which
            )
        };
    }
    let query = match which {
        Replay::One(id) => sqlx::query(again!("id = $1 AND state IN ('parked', 'delivered')")).bind(id),
        Replay::Account(account) => sqlx::query(again!("account = $1 AND state = 'parked'")).bind(account),
        Replay::Parked => sqlx::query(again!("state = $1")).bind("parked"),
    };
    Ok(query.bind(now_ms).execute(&mut **tx).await?.rows_affected())
}

/// An account's receiver has moved: what is still to be sent goes to the new address. Without one it is parked; but what
/// money waits for is withdrawn: nobody will say yes any more, and parked it would hold the money for ever.
///
/// # Errors
/// From the database.
pub async fn redirect(tx: &mut Tx, account: &str, url: Option<&str>, now_ms: i64) -> Result<(), DbError> {
    let Some(url) = url else {
        const NO_RECEIVER: &str = "the account has no receiver";
        strict::undo_all(tx, account, NO_RECEIVER, now_ms).await?;
        let statement = "UPDATE outbox SET state = 'parked', lease_until_ms = 0, \
                         last_error = $2 WHERE account = $1 AND state = 'pending'";
        sqlx::query(statement).bind(account).bind(NO_RECEIVER).execute(&mut **tx).await?;
        return Ok(());
    };
    let statement = "UPDATE outbox SET url = $2 WHERE account = $1 AND state IN ('pending', 'parked')";
    sqlx::query(statement).bind(account).bind(url).execute(&mut **tx).await?;
    Ok(())
}

/// Removes some of what has been done for [`KEPT_MS`]; parked ones stay until somebody has looked at them.
///
/// # Errors
/// From the database.
pub async fn sweep(db: &Db, now_ms: i64) -> Result<u64, DbError> {
    let mut removed = 0;
    for state in ["delivered", "withdrawn"] {
        // A look by the readers: the writer is not taken for nothing.
        let found = sqlx::query("SELECT 1 FROM outbox WHERE state = $1 AND next_at_ms < $2 LIMIT 1");
        let found = found.bind(state).bind(now_ms - KEPT_MS).fetch_optional(db.read()).await?;
        if found.is_none() {
            continue;
        }
        let statement = "DELETE FROM outbox WHERE id IN (\
                         SELECT id FROM outbox WHERE state = $1 AND next_at_ms < $2 ORDER BY next_at_ms LIMIT $3)";
        let query = sqlx::query(statement).bind(state).bind(now_ms - KEPT_MS).bind(SWEPT_AT_ONCE);
        removed += query.execute(db.write()).await?.rows_affected();
    }
    Ok(removed)
}
