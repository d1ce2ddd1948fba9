//! Which region serves, where several share a database.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde_json::json;

use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::db::Kind;
use crate::db::fence::{Decision, FenceError};
use crate::web::ApiError;

impl Admin {
    /// What was decided, and where this process stands.
    pub(super) async fn region_show(&self) -> Result<Response, ApiError> {
        let decision = self.db.look_who_serves().await?;
        Ok(self.region_answer(&decision, None))
    }

    /// This region serves from now on, and no other. Answered when the others' sessions have ended: nothing that they had
    /// begun can be committed after that. Asked again it fences again.
    pub(super) async fn region_serve(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let region = self.db.region().to_owned();
        let decision = self.decide(call, "region.serves", Some(&region)).await?;
        let ended = self.db.fence_others(&decision).await.map_err(|error| unfenced(&error))?;
        self.take_in(call, &decision);
        Ok(self.region_answer(&decision, Some(ended)))
    }

    /// Every region serves.
    pub(super) async fn region_release(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let decision = self.decide(call, "region.released", None).await?;
        self.take_in(call, &decision);
        Ok(self.region_answer(&decision, None))
    }

    async fn decide(
        &self,
        call: &AdminCall<'_>,
        action: &'static str,
        region: Option<&str>,
    ) -> Result<Decision, ApiError> {
        if self.db.kind() == Kind::Sqlite {
            let text = "SQLite belongs to one process, which always serves: there is nothing to decide";
            return Err(ApiError::because(Problem::Conflict, text));
        }
        let mut tx = self.audit.begin_unfenced().await?;
        let decision = self.db.decide(tx.tx(), region, self.clock.now_db()).await?;
        let entry = Entry::new(action, call.operator.name.as_str()).with("region", self.db.region());
        tx.push(entry.with("epoch", decision.epoch));
        tx.commit().await?;
        Ok(decision)
    }

    fn take_in(&self, call: &AdminCall<'_>, decision: &Decision) {
        let (operator, serving) = (call.operator.name.as_str(), decision.region.as_deref().unwrap_or("every region"));
        tracing::warn!(operator, serving, epoch = decision.epoch, "decided who serves");
        self.db.note_decision(decision);
        // Deliveries and reports may be waiting.
        self.bell.notify_one();
        self.wallet.bell.notify_one();
    }

    fn region_answer(&self, decision: &Decision, ended: Option<usize>) -> Response {
        let mut answer = json!({
            "region": self.db.region(),
            "serves": self.db.serves(),
            "serving": decision.region,
            "epoch": decision.epoch,
            "sinceMs": (decision.epoch > 0).then_some(decision.since_ms),
            "sealed": self.vault.unsealed().is_err(),
        });
        if let (Some(ended), Some(fields)) = (ended, answer.as_object_mut()) {
            fields.insert("sessionsEnded".to_owned(), json!(ended));
        }
        Json(answer).into_response()
    }
}

/// It is decided, but another may still write, or is to.
fn unfenced(error: &FenceError) -> ApiError {
    tracing::error!(cause = %error, "the other regions are not fenced");
    if matches!(error, FenceError::Overtaken) {
        let text = "another decision was made meanwhile, and that one holds: see `region show`";
        return ApiError::because(Problem::Conflict, text);
    }
    let text = format!("decided, but the others are not fenced ({error}): stop them, or ask again");
    ApiError::because(Problem::Conflict, text)
}
