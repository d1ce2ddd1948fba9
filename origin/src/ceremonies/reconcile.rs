//! What has moved money, for bookkeeping: exported by day and by transaction. Works while the vault is sealed.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::Deserialize;

use super::{Admin, AdminCall};
use crate::payments::store::settlement::{self, Cursor};
use crate::web::ApiError;

/// Rows of one answer; the CLI asks on.
const PAGE_ROWS: i64 = 500;
const MAX_IDS: usize = 500;
const MAX_PARTY_BYTES: usize = 32;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DayBody {
    party: String,
    from_ms: i64,
    until_ms: i64,
    #[serde(default)]
    after: Cursor,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransactionsBody {
    party: String,
    transactions: Vec<i64>,
}

impl Admin {
    /// A page of a party's acts of a span of time, and where the next one begins.
    pub(super) async fn reconcile_page(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: DayBody = call.json()?;
        check_party(&body.party)?;
        let span = (body.from_ms, body.until_ms);
        let acts = settlement::page(&self.db, &body.party, span, body.after, PAGE_ROWS).await?;
        let is_full = i64::try_from(acts.len()).is_ok_and(|rows| rows >= PAGE_ROWS);
        let next = acts.last().filter(|_| is_full).map(|act| Cursor {
            settled_at_ms: act.settled_at_ms,
            transaction_id: act.transaction_id,
            act: i64::from(act.act),
        });
        Ok(Json(serde_json::json!({"acts": acts, "next": next})).into_response())
    }

    /// A party's acts of some transactions.
    pub(super) async fn reconcile_transactions(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: TransactionsBody = call.json()?;
        check_party(&body.party)?;
        if body.transactions.len() > MAX_IDS {
            return Err(ApiError::because(Problem::BadRequest, format!("at most {MAX_IDS} transactions at a time")));
        }
        let acts = settlement::of_transactions(&self.db, &body.party, &body.transactions).await?;
        Ok(Json(serde_json::json!({"acts": acts})).into_response())
    }
}

fn check_party(party: &str) -> Result<(), ApiError> {
    let is_name = (1..=MAX_PARTY_BYTES).contains(&party.len()) && party.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_name { Ok(()) } else { Err(ApiError::because(Problem::BadRequest, "this is not the name of a party")) }
}
