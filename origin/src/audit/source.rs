//! Chains as they are stored, read page by page: for proving them and for taking them out.

use std::collections::{BinaryHeap, VecDeque};

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::chain::MAX_ENTRIES_BYTES;
use super::link::ChainId;
use super::report::VerifyError;
use super::store;
use super::verify::{ChainRow, Item, LinkRow, Source};
use crate::db::{Db, DbError};

/// Where a reading stands: after this link of this chain. Both empty: at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// A chain's id, as it is stored.
    pub chain: String,
    /// A link's number; 0 before the first one.
    pub number: i64,
}

/// Links in one page, at most: also what memory it takes to read the chain, times
/// [`MAX_ENTRIES_BYTES`].
const PAGE_LINKS: i64 = 64;
/// A page ends after the link that reaches this.
const PAGE_BYTES: usize = 512 * 1024;

/// The items after `after`, and where to go on; `None` at the end. Rows come as they are, right or wrong.
///
/// # Errors
/// From the database.
pub async fn page(db: &Db, after: &Cursor) -> Result<(Vec<Item>, Option<Cursor>), DbError> {
    let more = links_after(db, after, PAGE_LINKS).await?;
    if !more.is_empty() {
        return Ok(cut(Vec::new(), more, &after.chain));
    }
    let Some(chain) = next_chain(db, &after.chain).await? else { return Ok((Vec::new(), None)) };
    let statement = "SELECT process, started_at_ms FROM audit_chains WHERE id = $1";
    let row = sqlx::query(statement).bind(chain.as_str()).fetch_optional(db.read()).await?;
    let row = ChainRow {
        process: row.as_ref().and_then(|row| row.try_get(0).ok()),
        started_at_ms: row.as_ref().and_then(|row| row.try_get(1).ok()).unwrap_or(-1),
        id: chain.clone(),
    };
    let links = links_after(db, &Cursor { chain: chain.clone(), number: i64::MIN }, PAGE_LINKS).await?;
    Ok(cut(vec![Item::Chain(row)], links, &chain))
}

/// All chains of a database.
pub struct DbSource<'a> {
    db: &'a Db,
    items: VecDeque<Item>,
    next: Option<Cursor>,
}

impl<'a> DbSource<'a> {
    /// From the first chain on.
    #[must_use]
    pub fn new(db: &'a Db) -> Self {
        Self { db, items: VecDeque::new(), next: Some(Cursor::default()) }
    }
}

impl Source for DbSource<'_> {
    async fn next(&mut self) -> Result<Option<Item>, VerifyError> {
        while self.items.is_empty() {
            let Some(after) = self.next.take() else { return Ok(None) };
            let (items, next) = page(self.db, &after).await.map_err(|error| VerifyError::Source(error.to_string()))?;
            (self.items, self.next) = (items.into(), next);
        }
        Ok(self.items.pop_front())
    }

    async fn hashes(&mut self, places: &[(ChainId, u64)]) -> Result<Vec<Option<[u8; 32]>>, VerifyError> {
        let mut found = Vec::with_capacity(places.len());
        for (chain, number) in places {
            let hash = hash_of(self.db, *chain, *number).await;
            found.push(hash.map_err(|error| VerifyError::Source(error.to_string()))?);
        }
        Ok(found)
    }
}

/// The stored hash of a link; `None` when it is not there.
///
/// # Errors
/// From the database.
pub async fn hash_of(db: &Db, chain: ChainId, number: u64) -> Result<Option<[u8; 32]>, DbError> {
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    let statement = "SELECT hash FROM audit_links WHERE chain = $1 AND number = $2";
    let row = sqlx::query(statement).bind(chain.to_string()).bind(number).fetch_optional(db.read()).await?;
    // One that is none of ours equals nothing that anyone has named.
    let hash = |row: AnyRow| row.try_get::<&[u8], _>(0).ok().and_then(|hash| hash.try_into().ok()).unwrap_or_default();
    Ok(row.map(hash))
}

/// A chain's name and one of its links.
pub type Placed = (String, LinkRow);

/// The newest links of all chains, at most `count` and some 512 KiB of them; the newest first, by the clocks of those
/// who wrote them.
///
/// # Errors
/// From the database.
pub async fn latest(db: &Db, count: usize) -> Result<Vec<Placed>, DbError> {
    let statement = "SELECT l.at_ms, l.chain, l.number FROM audit_chains c JOIN audit_links l ON l.chain = c.id \
                     AND l.number = (SELECT MAX(number) FROM audit_links WHERE chain = c.id)";
    let mut ends = BinaryHeap::new();
    for row in sqlx::query(statement).fetch_all(db.read()).await? {
        let place: (i64, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        ends.push(place);
    }
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < count
        && bytes < PAGE_BYTES
        && let Some((_, chain, number)) = ends.pop()
    {
        let mut two = links_after(db, &Cursor { chain: chain.clone(), number: number.saturating_sub(3) }, 3).await?;
        two.retain(|link| link.number <= number);
        let Some(last) = two.pop() else { continue };
        if let Some(before) = two.pop() {
            ends.push((before.at_ms, chain.clone(), before.number));
        }
        bytes += last.entries.len();
        found.push((chain, last));
    }
    Ok(found)
}

/// Where every chain stands at one moment: `<chain id> <number>` lines.
///
/// # Errors
/// From the database.
pub async fn snapshot(db: &Db) -> Result<String, DbError> {
    let lines = store::heads(db).await?;
    Ok(lines.iter().map(|(chain, head)| format!("{chain} {}\n", head.number)).collect())
}

fn cut(mut items: Vec<Item>, links: Vec<LinkRow>, chain: &str) -> (Vec<Item>, Option<Cursor>) {
    let (mut bytes, mut number) = (0, 0);
    for link in links {
        bytes += link.entries.len();
        number = link.number;
        items.push(Item::Link(link));
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    (items, Some(Cursor { chain: chain.to_owned(), number }))
}

/// Registered or not: links without their chain's row are to be found too.
async fn next_chain(db: &Db, after: &str) -> Result<Option<String>, DbError> {
    let mut next: Option<String> = None;
    for statement in
        ["SELECT MIN(chain) FROM audit_links WHERE chain > $1", "SELECT MIN(id) FROM audit_chains WHERE id > $1"]
    {
        let found: Option<String> = sqlx::query(statement).bind(after).fetch_one(db.read()).await?.try_get(0)?;
        next = match (next, found) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(next)
}

async fn links_after(db: &Db, after: &Cursor, limit: i64) -> Result<Vec<LinkRow>, DbError> {
    // One character more than there may be is enough to see that there are too many.
    let statement = "SELECT number, at_ms, SUBSTR(entries, 1, $3), hash, key_id, signature FROM audit_links \
                     WHERE chain = $1 AND number > $2 ORDER BY number LIMIT $4";
    let rows = sqlx::query(statement)
        .bind(after.chain.as_str())
        .bind(after.number)
        .bind(i32::try_from(MAX_ENTRIES_BYTES + 1).unwrap_or(i32::MAX))
        .bind(limit)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(link_of).collect()
}

/// What is not of its column's type (SQLite lets anyone write that) comes as what no link can have.
fn link_of(row: &AnyRow) -> Result<LinkRow, DbError> {
    Ok(LinkRow {
        number: row.try_get(0)?,
        at_ms: row.try_get(1).unwrap_or(-1),
        entries: row.try_get(2).unwrap_or_default(),
        hash: row.try_get(3).unwrap_or_default(),
        key_id: row.try_get(4).unwrap_or(Some(-1)),
        signature: row.try_get(5).unwrap_or_else(|_| Some(Vec::new())),
    })
}
