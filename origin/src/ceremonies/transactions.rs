//! Transactions that wait for an operator: what a lost answer left open is settled from the acquirer's own report.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::Deserialize;

use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::payments::settle::{self, SettleError};
use crate::payments::store;
use crate::payments::view::TransactionView;
use crate::vault::SystemEntropy;
use crate::web::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleBody {
    captured: bool,
}

impl Admin {
    /// What is open, with the reference that the acquirer knows it by.
    pub(super) async fn transactions_unsettled(&self) -> Result<Response, ApiError> {
        let open = store::find_unsettled(&self.db).await?;
        let rows: Vec<_> = open
            .iter()
            .map(|record| {
                serde_json::json!({
                    "transaction": TransactionView::of(record),
                    "account": record.account,
                    "state": record.state.as_str(),
                    "acquirerReference": record.acquirer_ref,
                    "ourReference": format!("sv-{}", record.id),
                    "sinceMs": record.updated_at_ms,
                })
            })
            .collect();
        Ok(Json(serde_json::json!({"unsettled": rows})).into_response())
    }

    /// Writes down what the acquirer's report says. Only what is open can be settled, and once.
    pub(super) async fn transaction_settle(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let id: i64 = call.parameter.parse().map_err(|_| Problem::NotFound)?;
        let body: SettleBody = call.json()?;
        let mut entropy = SystemEntropy::new();
        let mut tx = self.audit.begin().await?;
        let entry = Entry::new("transaction.settled", call.operator.name.as_str());
        tx.push(entry.with("transaction", id).with("captured", body.captured));
        let done = settle::settle_by_operator(tx.tx(), &*self.clock, &mut entropy, id, body.captured).await;
        let record = done.map_err(|error| match error {
            SettleError::Moved => ApiError::because(Problem::Conflict, "this transaction does not wait for that"),
            other => ApiError::internal(&other),
        })?;
        tx.commit().await?;
        tracing::warn!(
            operator = call.operator.name,
            transaction = id,
            captured = body.captured,
            "transaction settled"
        );
        self.bell.notify_one();
        Ok(Json(TransactionView::of(&record)).into_response())
    }
}
