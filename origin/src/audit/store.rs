//! The audit's two tables. Rows are only ever added.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::link::{ChainId, Head, Signature};
use crate::db::{Db, DbError, Tx};

/// A link on its way into the database.
pub(super) struct NewLink {
    pub(super) chain: String,
    pub(super) number: u64,
    pub(super) at_ms: u64,
    pub(super) entries: String,
    pub(super) hash: [u8; 32],
    pub(super) signature: Option<Signature>,
}

/// Fails when the tables are not there.
pub(super) async fn probe(db: &Db) -> Result<(), DbError> {
    sqlx::query("SELECT number FROM audit_links LIMIT 1").fetch_optional(db.read()).await?;
    sqlx::query("SELECT id FROM audit_chains LIMIT 1").fetch_optional(db.read()).await?;
    Ok(())
}

pub(super) async fn insert_chain(tx: &mut Tx, chain: ChainId, process: &str, started_ms: u64) -> Result<(), DbError> {
    sqlx::query("INSERT INTO audit_chains (id, process, started_at_ms) VALUES ($1, $2, $3)")
        .bind(chain.to_string())
        .bind(process)
        .bind(to_db(started_ms))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn insert_link(tx: &mut Tx, link: NewLink) -> Result<(), DbError> {
    let statement = "INSERT INTO audit_links (chain, number, at_ms, entries, hash, key_id, signature) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(statement)
        .bind(link.chain)
        .bind(to_db(link.number))
        .bind(to_db(link.at_ms))
        .bind(link.entries)
        .bind(link.hash.to_vec())
        .bind(link.signature.map(|signature| i64::from(signature.key_id)))
        .bind(link.signature.map(|signature| signature.bytes.to_vec()))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The stored hash of one link.
pub(super) async fn hash_in(tx: &mut Tx, chain: ChainId, number: u64) -> Result<Option<Vec<u8>>, DbError> {
    let statement = "SELECT hash FROM audit_links WHERE chain = $1 AND number = $2";
    let row = sqlx::query(statement).bind(chain.to_string()).bind(to_db(number)).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// The last link of every chain. One look into the primary key for each.
pub(super) async fn heads(db: &Db) -> Result<Vec<(ChainId, Head)>, DbError> {
    let statement = "SELECT l.chain, l.number, l.hash FROM audit_chains c JOIN audit_links l ON l.chain = c.id \
                     AND l.number = (SELECT MAX(number) FROM audit_links WHERE chain = c.id) ORDER BY c.id";
    let rows = sqlx::query(statement).fetch_all(db.read()).await?;
    rows.iter().map(head_of).collect()
}

fn head_of(row: &AnyRow) -> Result<(ChainId, Head), DbError> {
    let chain: ChainId = row.try_get::<&str, _>(0)?.parse().map_err(|_| DbError::Corrupt("chain id"))?;
    let number = u64::try_from(row.try_get::<i64, _>(1)?).map_err(|_| DbError::Corrupt("link number"))?;
    let hash = row.try_get::<&[u8], _>(2)?.try_into().map_err(|_| DbError::Corrupt("link hash"))?;
    Ok((chain, Head { number, hash }))
}

/// Whether a chain has a link after `number` whose entries do not begin with `beginning`.
pub(super) async fn has_other_link(db: &Db, chain: ChainId, after: u64, beginning: &str) -> Result<bool, DbError> {
    let statement = "SELECT number FROM audit_links WHERE chain = $1 AND number > $2 \
                     AND SUBSTR(entries, 1, $3) <> $4 LIMIT 1";
    let found = sqlx::query(statement)
        .bind(chain.to_string())
        .bind(to_db(after))
        .bind(i32::try_from(beginning.len()).unwrap_or(i32::MAX))
        .bind(beginning)
        .fetch_optional(db.read())
        .await?;
    Ok(found.is_some())
}

fn to_db(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
