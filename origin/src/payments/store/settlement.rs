//! What has moved money, by the day on which we learned of it: for the books of merchants and operators.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::super::reconcile::OurAct;
use crate::db::padded::{MAX_ROWS, Padded, pad};
use crate::db::{Db, DbError};

/// The party that is no acquirer: MobilePay is told of captures and refunds, and has them in its own report.
pub const WALLET: &str = "mobilepay";

/// Where a page of the export goes on.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cursor {
    /// Of the last row of the page before, in Unix milliseconds.
    pub settled_at_ms: i64,
    /// Its transaction.
    pub transaction_id: i64,
    /// Its act.
    pub act: i64,
}

macro_rules! select_moves {
    ($condition:literal) => {
        concat!(
            "SELECT t.account, t.id, a.number, COALESCE(w.reference, 'sv-' || t.id), COALESCE(t.order_id, t.reference), \
             a.kind, a.amount_minor, t.currency, a.state, a.settled_at_ms, a.created_at_ms \
             FROM acts a JOIN transactions t ON t.id = a.transaction_id \
             LEFT JOIN wallet_payments w ON w.transaction_id = t.id AND $1 = 'mobilepay' \
             WHERE a.kind IN ('capture', 'refund') AND a.state IN ('done', 'unknown') \
             AND (a.acquirer = $1 OR ($1 = 'mobilepay' AND t.method = 'mobilepay')) ",
            $condition
        )
    };
}

/// A page of a party's acts whose outcome was written in a span of time, in order.
///
/// # Errors
/// From the database.
pub async fn page(
    db: &Db,
    party: &str,
    (from_ms, until_ms): (i64, i64),
    after: Cursor,
    limit: i64,
) -> Result<Vec<OurAct>, DbError> {
    let statement = select_moves!(
        "AND a.settled_at_ms >= $2 AND a.settled_at_ms < $3 \
         AND (a.settled_at_ms, a.transaction_id, a.number) > ($4, $5, $6) \
         ORDER BY a.settled_at_ms, a.transaction_id, a.number LIMIT $7"
    );
    let rows = sqlx::query(statement)
        .bind(party)
        .bind(from_ms)
        .bind(until_ms)
        .bind(after.settled_at_ms)
        .bind(after.transaction_id)
        .bind(after.act)
        .bind(limit)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(record).collect()
}

static OF_TRANSACTIONS: Padded = Padded::list(select_moves!("AND t.id IN"), 1, "");

/// The acts of these transactions at a party, whenever they were.
///
/// # Errors
/// From the database.
pub async fn of_transactions(db: &Db, party: &str, ids: &[i64]) -> Result<Vec<OurAct>, DbError> {
    let mut found = Vec::new();
    for ids in ids.chunks(MAX_ROWS) {
        let (text, size) = OF_TRANSACTIONS.text(ids.len());
        let mut query = sqlx::query(text).bind(party);
        for id in pad(ids, size) {
            query = query.bind(*id);
        }
        for row in query.fetch_all(db.read()).await? {
            found.push(record(&row)?);
        }
    }
    Ok(found)
}

fn record(row: &AnyRow) -> Result<OurAct, DbError> {
    Ok(OurAct {
        account: row.try_get(0)?,
        transaction_id: row.try_get(1)?,
        act: super::count(row.try_get(2)?)?,
        reference: row.try_get(3)?,
        merchant_reference: row.try_get(4)?,
        kind: row.try_get(5)?,
        amount_minor: super::minor(row.try_get(6)?)?,
        currency: row.try_get(7)?,
        state: row.try_get(8)?,
        settled_at_ms: row.try_get(9)?,
        asked_at_ms: row.try_get(10)?,
    })
}
