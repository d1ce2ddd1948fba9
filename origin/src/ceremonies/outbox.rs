//! Deliveries, as operators look at them and send them again.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::{AccountName, Problem};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::outbox::upkeep::{self, Filter, Listed, Replay};
use crate::web::ApiError;

const MAX_LISTED: i64 = 1_000;
const LISTED: i64 = 100;
const STATES: [&str; 4] = ["pending", "delivered", "parked", "withdrawn"];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ListBody {
    account: Option<String>,
    state: Option<String>,
    before_ms: Option<i64>,
    limit: Option<i64>,
}

/// One of the three.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReplayBody {
    id: Option<String>,
    account: Option<String>,
    parked: bool,
}

impl Admin {
    /// The newest deliveries, without their bodies.
    pub(super) async fn outbox_list(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: ListBody = call.json()?;
        let bad = |text: &str| ApiError::because(Problem::BadRequest, text);
        if body.state.as_deref().is_some_and(|state| !STATES.contains(&state)) {
            return Err(bad("a delivery is pending, delivered, parked or withdrawn"));
        }
        let limit = body.limit.unwrap_or(LISTED);
        if !(1..=MAX_LISTED).contains(&limit) {
            return Err(bad("a list has 1 to 1000 deliveries"));
        }
        let account = body.account.as_deref().map(canonical).transpose()?;
        let before_ms = body.before_ms.unwrap_or(i64::MAX);
        let filter = Filter { account: account.as_deref(), state: body.state.as_deref(), before_ms, limit };
        let rows: Vec<Value> = upkeep::list(&self.db, filter).await?.iter().map(shown).collect();
        Ok(Json(json!({"deliveries": rows})).into_response())
    }

    /// One delivery with its body, which says who paid what: written down.
    pub(super) async fn outbox_show(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let mut tx = self.audit.begin_unfenced().await?;
        let Some((listed, body)) = upkeep::find(tx.tx(), call.parameter).await? else {
            return Err(ApiError::because(Problem::NotFound, "there is no such delivery"));
        };
        let entry = Entry::new("outbox.shown", call.operator.name.as_str()).with("delivery", listed.id.as_str());
        tx.push(entry.with("account", listed.account.as_str()));
        tx.commit().await?;
        let mut answer = shown(&listed);
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("body".to_owned(), Value::from(body));
        }
        Ok(Json(answer).into_response())
    }

    /// Sends again: one delivery whatever became of it, or what is parked. What was withdrawn stays so.
    pub(super) async fn outbox_replay(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: ReplayBody = call.json()?;
        let account = body.account.as_deref().map(canonical).transpose()?;
        let which = match (&body.id, &account, body.parked) {
            (Some(id), None, false) => Replay::One(id),
            (None, Some(account), false) => Replay::Account(account),
            (None, None, true) => Replay::Parked,
            _ => {
                return Err(ApiError::because(
                    Problem::BadRequest,
                    "name a delivery, an account, or parked: one of them",
                ));
            }
        };
        let by = call.operator.name.as_str();
        let mut tx = self.audit.begin_unfenced().await?;
        let count = upkeep::replay(tx.tx(), which, self.clock.now_db()).await?;
        if count == 0 && body.id.is_some() {
            let text = "there is no such delivery that is parked or delivered";
            return Err(ApiError::because(Problem::Conflict, text));
        }
        let entry = Entry::new("outbox.replayed", by).with("delivery", body.id.clone()).with("account", account);
        tx.push(entry.with("count", count));
        tx.commit().await?;
        tracing::warn!(operator = by, count, "deliveries are sent again");
        self.bell.notify_one();
        Ok(Json(json!({"replayed": count})).into_response())
    }
}

fn canonical(name: &str) -> Result<String, ApiError> {
    let name = name.parse::<AccountName>();
    name.map(|name| name.to_string()).map_err(|error| ApiError::because(Problem::BadRequest, error.to_string()))
}

fn shown(listed: &Listed) -> Value {
    json!({
        "delivery": listed.id,
        "account": listed.account,
        "url": listed.url,
        "state": listed.state,
        "format": listed.format,
        "attempts": listed.attempts,
        "nextAtMs": (listed.state == "pending").then_some(listed.next_at_ms),
        "lastError": listed.last_error,
        "transactionId": listed.transaction_id,
        "deadlineAtMs": listed.deadline_at_ms,
        "deliveredAtMs": listed.delivered_at_ms,
        "createdAtMs": listed.created_at_ms,
    })
}
