//! Transactions that wait for an operator: what a lost answer left open is settled from the acquirer's own report.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::Deserialize;

use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::payments::settle;
use crate::payments::steps::StepError;
use crate::payments::store::transactions;
use crate::payments::view::TransactionView;
use crate::vault::SystemEntropy;
use crate::web::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleBody {
    /// Whether the acquirer booked what was asked.
    booked: bool,
    /// The number of the act that is meant; without one, whichever is open.
    act: Option<u32>,
}

impl Admin {
    /// What is open, with the reference that the acquirer knows it by.
    pub(super) async fn transactions_unsettled(&self) -> Result<Response, ApiError> {
        let open = transactions::find_unsettled(&self.db).await?;
        let rows: Vec<_> = open
            .iter()
            .map(|record| {
                serde_json::json!({
                    "transaction": TransactionView::of(record),
                    "account": record.account,
                    "act": record.ledger.pending.map(|act| act.kind.as_str()),
                    "actNumber": record.ledger.pending.map(|act| act.number),
                    "amountMinor": record.ledger.pending.map(|act| act.amount_minor),
                    "acquirer": record.acquirer,
                    "acquirerReference": record.acquirer_state,
                    "ourReference": record.acquirer_reference(),
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
        let mut tx = self.audit.begin_unfenced().await?;
        let entry = Entry::new("transaction.settled", call.operator.name.as_str());
        tx.push(entry.with("transaction", id).with("booked", body.booked));
        let done = settle::settle_by_operator(tx.tx(), &*self.clock, &mut entropy, (id, body.act), body.booked).await;
        let record = done.map_err(|error| match error {
            StepError::Moved => ApiError::because(Problem::Conflict, "this transaction does not wait for that"),
            other => ApiError::internal(&other),
        })?;
        tx.commit().await?;
        tracing::warn!(operator = call.operator.name, transaction = id, booked = body.booked, "transaction settled");
        self.bell.notify_one();
        Ok(Json(TransactionView::of(&record)).into_response())
    }
}
