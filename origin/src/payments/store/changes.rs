//! The change feed: gap-free per account, numbered in the transaction that makes the change, told as it was then.

use sqlx::Row;

use crate::db::{Db, DbError, Tx};

/// Takes the next number of an account's feed. The row stays locked until the commit, so numbers appear in order.
///
/// # Errors
/// From the database.
pub async fn next_seq(tx: &mut Tx, account: &str) -> Result<i64, DbError> {
    let statement = "UPDATE accounts SET change_seq = change_seq + 1 WHERE name = $1 RETURNING change_seq";
    Ok(sqlx::query(statement).bind(account).fetch_one(&mut **tx).await?.try_get(0)?)
}

/// What a change is about.
pub struct Change<'a> {
    /// Whose feed.
    pub account: &'a str,
    /// Its number, from [`next_seq`].
    pub seq: i64,
    /// `transaction`, `charge` or `subscriber`.
    pub kind: &'static str,
    /// The transaction's or subscriber's number.
    pub object_id: i64,
    /// How often that object has changed.
    pub rev: i64,
    /// The entry, JSON.
    pub body: &'a str,
}

/// Writes a change.
///
/// # Errors
/// From the database.
pub async fn add(tx: &mut Tx, change: &Change<'_>, now_ms: i64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO changes (account, seq, kind, object_id, rev, body, at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(change.account)
    .bind(change.seq)
    .bind(change.kind)
    .bind(change.object_id)
    .bind(change.rev)
    .bind(change.body)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A part of a feed.
pub struct Page {
    /// The number of its last change; `None`: there is none.
    pub last: Option<i64>,
    /// Its entries with commas between them.
    pub entries: String,
}

/// How many are read at once: a page that is full is not read much further.
const CHUNK: i64 = 500;

/// The changes after a number, in order: at most so many, and no more after so many bytes.
///
/// # Errors
/// From the database.
pub async fn page(db: &Db, account: &str, after: i64, max: i64, max_bytes: usize) -> Result<Page, DbError> {
    let statement = "SELECT seq, body FROM changes WHERE account = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let mut page = Page { last: None, entries: String::new() };
    let mut left = max;
    while left > 0 {
        let (from, limit) = (page.last.unwrap_or(after), left.min(CHUNK));
        let rows = sqlx::query(statement).bind(account).bind(from).bind(limit).fetch_all(db.read()).await?;
        for row in &rows {
            if page.last.is_some() {
                page.entries.push(',');
            }
            page.entries.push_str(&row.try_get::<String, _>(1)?);
            page.last = Some(row.try_get(0)?);
            if page.entries.len() >= max_bytes {
                return Ok(page);
            }
        }
        if i64::try_from(rows.len()).unwrap_or(limit) < limit {
            break;
        }
        left -= limit;
    }
    Ok(page)
}
