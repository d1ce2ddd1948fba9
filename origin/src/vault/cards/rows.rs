//! The table of cards.

use std::collections::HashSet;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::db::padded::{MAX_ROWS, Padded, pad};
use crate::db::{Db, DbError, Tx};
use crate::vault::KeyKind;

/// How many cards one statement sweeps.
const SWEEP_BATCH: i64 = 500;

/// A stored card with its sealed columns.
pub(super) struct Row {
    pub(super) token: String,
    pub(super) account: String,
    pub(super) pan: Vec<u8>,
    pub(super) expiry: Vec<u8>,
    pub(super) holder: Option<Vec<u8>>,
    pub(super) fingerprint: Vec<u8>,
    pub(super) row_version: i64,
    pub(super) expires_at_ms: Option<i64>,
}

impl Row {
    pub(super) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }
}

/// A card to be written.
pub(super) struct NewRow<'a> {
    pub(super) token: String,
    pub(super) account: &'a str,
    pub(super) pan: Vec<u8>,
    pub(super) expiry: Vec<u8>,
    pub(super) holder: Option<Vec<u8>>,
    pub(super) bin: &'a str,
    pub(super) last_four: &'a str,
    pub(super) print: [u8; 32],
    pub(super) print_key: i64,
    pub(super) key_id: i64,
    pub(super) row_version: i64,
    pub(super) expires_at_ms: Option<i64>,
}

/// What may be shown of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// First six digits.
    pub bin: String,
    /// Last four digits.
    pub last_four: String,
    /// Until when it is kept, in Unix milliseconds; `None`: until it is deleted.
    pub expires_at_ms: Option<i64>,
    /// Since when, in Unix milliseconds.
    pub created_at_ms: i64,
}

static BY_FINGERPRINT: Padded = Padded::list(
    "SELECT token, account, pan, expiry, holder, fingerprint, row_version, expires_at_ms FROM cards \
     WHERE fingerprint IN",
    0,
    "",
);

static BY_TOKEN: Padded = Padded::list(
    "SELECT token, account, pan, expiry, holder, fingerprint, row_version, expires_at_ms FROM cards \
     WHERE (expires_at_ms IS NULL OR expires_at_ms > $1) AND token IN",
    1,
    "",
);

static INSERT: Padded = Padded::rows(
    "INSERT INTO cards (token, account, pan, expiry, holder, bin, last_four, fingerprint, fingerprint_key, key_id, \
     expires_at_ms, row_version, created_at_ms) VALUES",
    13,
    "ON CONFLICT DO NOTHING RETURNING token",
);

static DELETE_EXPIRED: Padded = Padded::list("DELETE FROM cards WHERE expires_at_ms <= $1 AND token IN", 1, "");

/// All cards under these fingerprints, expired ones too: they are in the way of new ones.
pub(super) async fn by_fingerprint(tx: &mut Tx, prints: &[&[u8]]) -> Result<Vec<Row>, DbError> {
    let mut found = Vec::new();
    for prints in prints.chunks(MAX_ROWS) {
        let (text, size) = BY_FINGERPRINT.text(prints.len());
        let mut query = sqlx::query(text);
        for print in pad(prints, size) {
            query = query.bind(print.to_vec());
        }
        for row in query.fetch_all(&mut **tx).await? {
            found.push(card(&row)?);
        }
    }
    Ok(found)
}

pub(super) async fn by_token(tx: &mut Tx, tokens: &[&str], now_ms: i64) -> Result<Vec<Row>, DbError> {
    let mut found = Vec::new();
    for tokens in tokens.chunks(MAX_ROWS) {
        let (text, size) = BY_TOKEN.text(tokens.len());
        let mut query = sqlx::query(text).bind(now_ms);
        for token in pad(tokens, size) {
            query = query.bind(*token);
        }
        for row in query.fetch_all(&mut **tx).await? {
            found.push(card(&row)?);
        }
    }
    Ok(found)
}

/// Inserts cards; answers the tokens of those that nobody else had inserted. PostgreSQL waits here for another
/// transaction that is about to insert the same card.
pub(super) async fn insert<'a>(
    tx: &mut Tx,
    rows: impl Iterator<Item = &'a NewRow<'a>>,
    now_ms: i64,
) -> Result<HashSet<String>, DbError> {
    let rows: Vec<&NewRow<'_>> = rows.collect();
    let mut inserted = HashSet::new();
    for rows in rows.chunks(MAX_ROWS) {
        let (text, size) = INSERT.text(rows.len());
        let mut query = sqlx::query(text);
        for row in pad(rows, size) {
            query = query
                .bind(row.token.as_str())
                .bind(row.account)
                .bind(row.pan.clone())
                .bind(row.expiry.clone())
                .bind(row.holder.clone())
                .bind(row.bin)
                .bind(row.last_four)
                .bind(row.print.to_vec())
                .bind(row.print_key)
                .bind(row.key_id)
                .bind(row.expires_at_ms)
                .bind(row.row_version)
                .bind(now_ms);
        }
        for row in query.fetch_all(&mut **tx).await? {
            inserted.insert(row.try_get(0)?);
        }
    }
    Ok(inserted)
}

/// Replaces everything but token, account and number, when the row still has this version.
pub(super) async fn replace(tx: &mut Tx, new: &NewRow<'_>, version: i64) -> Result<bool, DbError> {
    let statement = "UPDATE cards SET pan = $3, expiry = $4, holder = $5, fingerprint = $6, fingerprint_key = $7, \
         key_id = $8, expires_at_ms = $9, row_version = $10 WHERE token = $1 AND row_version = $2";
    let done = sqlx::query(statement)
        .bind(new.token.as_str())
        .bind(version)
        .bind(new.pan.clone())
        .bind(new.expiry.clone())
        .bind(new.holder.clone())
        .bind(new.print.to_vec())
        .bind(new.print_key)
        .bind(new.key_id)
        .bind(new.expires_at_ms)
        .bind(new.row_version)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes what is not sealed, when the row still has the version that was read.
pub(super) async fn touch(
    tx: &mut Tx,
    row: &Row,
    print_key: i64,
    print: &[u8],
    expires_at_ms: Option<i64>,
) -> Result<bool, DbError> {
    let statement = "UPDATE cards SET fingerprint = $3, fingerprint_key = $4, expires_at_ms = $5 \
         WHERE token = $1 AND row_version = $2";
    let done = sqlx::query(statement)
        .bind(row.token.as_str())
        .bind(row.row_version)
        .bind(print.to_vec())
        .bind(print_key)
        .bind(expires_at_ms)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn delete_expired(tx: &mut Tx, tokens: &[&str], now_ms: i64) -> Result<u64, DbError> {
    let mut deleted = 0;
    for tokens in tokens.chunks(MAX_ROWS) {
        let (text, size) = DELETE_EXPIRED.text(tokens.len());
        let mut query = sqlx::query(text).bind(now_ms);
        for token in pad(tokens, size) {
            query = query.bind(*token);
        }
        deleted += query.execute(&mut **tx).await?.rows_affected();
    }
    Ok(deleted)
}

/// What may be shown of a card; needs no key.
///
/// # Errors
/// From the database.
pub async fn summary(db: &Db, account: &str, token: &str, now_ms: i64) -> Result<Option<Summary>, DbError> {
    let statement = "SELECT bin, last_four, expires_at_ms, created_at_ms FROM cards \
         WHERE token = $1 AND account = $2 AND (expires_at_ms IS NULL OR expires_at_ms > $3)";
    let found = sqlx::query(statement).bind(token).bind(account).bind(now_ms).fetch_optional(db.read()).await?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(Summary {
        bin: row.try_get(0)?,
        last_four: row.try_get(1)?,
        expires_at_ms: row.try_get(2)?,
        created_at_ms: row.try_get(3)?,
    }))
}

/// Deletes a card, its fingerprint with it. `false`: the account has no such card.
///
/// # Errors
/// From the database.
pub async fn delete(tx: &mut Tx, account: &str, token: &str, now_ms: i64) -> Result<bool, DbError> {
    let statement = "DELETE FROM cards \
         WHERE token = $1 AND account = $2 AND (expires_at_ms IS NULL OR expires_at_ms > $3)";
    let done = sqlx::query(statement).bind(token).bind(account).bind(now_ms).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Changes until when a card is kept; `None`: until it is deleted. Answers what it was before, `None` also where there is
/// no such card.
///
/// # Errors
/// From the database.
pub async fn keep(tx: &mut Tx, account: &str, token: &str, until_ms: Option<i64>) -> Result<Option<i64>, DbError> {
    let statement = "SELECT expires_at_ms FROM cards WHERE token = $1 AND account = $2";
    let found = sqlx::query(statement).bind(token).bind(account).fetch_optional(&mut **tx).await?;
    let statement = "UPDATE cards SET expires_at_ms = $3 WHERE token = $1 AND account = $2";
    sqlx::query(statement).bind(token).bind(account).bind(until_ms).execute(&mut **tx).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// Deletes some of the cards whose time is over; answers how many. Several processes may sweep at once.
///
/// # Errors
/// From the database.
pub async fn sweep(tx: &mut Tx, now_ms: i64) -> Result<u64, DbError> {
    let statement = "DELETE FROM cards WHERE token IN \
         (SELECT token FROM cards WHERE expires_at_ms <= $1 ORDER BY expires_at_ms LIMIT $2) AND expires_at_ms <= $1";
    let done = sqlx::query(statement).bind(now_ms).bind(SWEEP_BATCH).execute(&mut **tx).await?;
    Ok(done.rows_affected())
}

/// Whether there is something to sweep.
///
/// # Errors
/// From the database.
pub async fn any_expired(db: &Db, now_ms: i64) -> Result<bool, DbError> {
    let statement = "SELECT 1 FROM cards WHERE expires_at_ms <= $1 LIMIT 1";
    Ok(sqlx::query(statement).bind(now_ms).fetch_optional(db.read()).await?.is_some())
}

/// The next cards after a row that are not under these keys (data key, fingerprint key), in the order of their tokens.
pub(super) async fn due(tx: &mut Tx, after: &str, active: (i64, i64), limit: u32) -> Result<Vec<Row>, DbError> {
    let statement = "SELECT token, account, pan, expiry, holder, fingerprint, row_version, expires_at_ms FROM cards \
         WHERE token > $1 AND (key_id <> $2 OR fingerprint_key <> $3) ORDER BY token LIMIT $4";
    let query = sqlx::query(statement).bind(after).bind(active.0).bind(active.1).bind(i64::from(limit));
    query.fetch_all(&mut **tx).await?.iter().map(card).collect()
}

pub(super) async fn count_due(db: &Db, active: (i64, i64)) -> Result<u64, DbError> {
    let statement = "SELECT COUNT(*) FROM cards WHERE key_id <> $1 OR fingerprint_key <> $2";
    let row = sqlx::query(statement).bind(active.0).bind(active.1).fetch_one(db.read()).await?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
}

/// Whether another card has this fingerprint, whosever it is: the column is unique.
pub(super) async fn is_taken(tx: &mut Tx, print: &[u8; 32], token: &str) -> Result<bool, DbError> {
    let statement = "SELECT token FROM cards WHERE fingerprint = $1 AND token <> $2";
    Ok(sqlx::query(statement).bind(print.to_vec()).bind(token).fetch_optional(&mut **tx).await?.is_some())
}

/// How many cards name each data key, and each fingerprint key.
///
/// # Errors
/// From the database.
pub async fn in_use(db: &Db) -> Result<Vec<(KeyKind, u32, u64)>, DbError> {
    let mut found = Vec::new();
    for (kind, statement) in [
        (KeyKind::Data, "SELECT key_id, COUNT(*) FROM cards GROUP BY key_id"),
        (KeyKind::Fingerprint, "SELECT fingerprint_key, COUNT(*) FROM cards GROUP BY fingerprint_key"),
    ] {
        for row in sqlx::query(statement).fetch_all(db.read()).await? {
            let (id, count): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let id = u32::try_from(id).map_err(|_| DbError::Corrupt("key id"))?;
            found.push((kind, id, u64::try_from(count).unwrap_or(0)));
        }
    }
    Ok(found)
}

/// Whether an envelope itself names a data key, whatever the column beside it says: asked before a key is destroyed.
///
/// # Errors
/// From the database.
pub async fn is_named_in_an_envelope(db: &Db, id: u32) -> Result<bool, DbError> {
    // The key's number stands in bytes 2 to 5: see `envelope`.
    let statement = "SELECT token FROM cards WHERE substr(pan, 2, 4) = $1 OR substr(expiry, 2, 4) = $1 \
                     OR substr(holder, 2, 4) = $1 LIMIT 1";
    Ok(sqlx::query(statement).bind(id.to_be_bytes().to_vec()).fetch_optional(db.read()).await?.is_some())
}

fn card(row: &AnyRow) -> Result<Row, DbError> {
    Ok(Row {
        token: row.try_get(0)?,
        account: row.try_get(1)?,
        pan: row.try_get(2)?,
        expiry: row.try_get(3)?,
        holder: row.try_get(4)?,
        fingerprint: row.try_get(5)?,
        row_version: row.try_get(6)?,
        expires_at_ms: row.try_get(7)?,
    })
}
