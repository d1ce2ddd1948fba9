//! Re-encryption: every record under the keys in use, in small steps that any process can go on with.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::fault;
use crate::identity::recrypt::{self as secrets, Table};
use crate::vault::reencryption::{self, Job, Moved};
use crate::vault::{Entropy, KeyKind, Unsealed, recrypt, store};
use crate::web::ApiError;

/// Records in one transaction, at most: other writers wait no longer than for this.
const BATCH: u32 = 200;
const PER_SECOND: u32 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StartBody {
    per_second: Option<u32>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is to be done here: no job, another process has it, or the vault is sealed.
    Idle,
    /// Looked at so many records; no more than `per_second` may be looked at in a second.
    Worked {
        /// Records.
        records: u64,
        /// Records in a second.
        per_second: u32,
    },
}

impl Admin {
    /// Starts it. The work is done by whichever unsealed process comes first.
    pub(super) async fn reencrypt_start(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: StartBody = call.json()?;
        let per_second = body.per_second.unwrap_or(PER_SECOND);
        if !(1..=1_000_000).contains(&per_second) {
            return Err(ApiError::because(Problem::BadRequest, "the rate is 1 to 1000000 records in a second"));
        }
        self.refresh().await?;
        let unsealed = self.vault.unsealed().map_err(super::sealed_problem)?;
        let total = self.records_due(&unsealed).await?;
        let operator = call.operator.name.as_str();
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(Entry::new("vault.reencrypt.started", operator).with("records", total));
        if !reencryption::start(tx.tx(), operator, self.clock.now_ms(), per_second, total).await? {
            return Err(ApiError::because(Problem::Conflict, "a re-encryption is under way"));
        }
        fault::point("reencrypt.start.written");
        tx.commit().await?;
        fault::point("reencrypt.started");
        tracing::warn!(operator, total, per_second, "re-encryption started");
        self.reencrypt_show().await
    }

    pub(super) async fn reencrypt_show(&self) -> Result<Response, ApiError> {
        Ok(Json(json!({"reencryption": self.reencryption_status().await?})).into_response())
    }

    /// For the status.
    pub(super) async fn reencryption_status(&self) -> Result<Option<Value>, ApiError> {
        let job = reencryption::find(&self.db).await?;
        Ok(job.map(|job| {
            json!({
                "state": if job.is_running { "running" } else { "done" },
                "startedBy": job.started_by,
                "startedAtMs": job.started_at_ms,
                "finishedAtMs": job.finished_at_ms,
                "perSecond": job.per_second,
                "total": job.total,
                "done": job.done,
                "failed": job.failed,
            })
        }))
    }

    /// Does the next step of the job under way, if there is one and the vault is open.
    ///
    /// # Errors
    /// From the database; the step is done again.
    pub async fn reencrypt_step(&self, entropy: &mut (dyn Entropy + Send)) -> Result<Step, ApiError> {
        if self.vault.unsealed().is_err() {
            return Ok(Step::Idle);
        }
        let Some(job) = reencryption::find(&self.db).await?.filter(|job| job.is_running) else { return Ok(Step::Idle) };
        // After the job was seen: the re-share of another process may have come with it, and has renewed the ring.
        self.refresh().await?;
        let Ok(unsealed) = self.vault.unsealed() else { return Ok(Step::Idle) };
        let owner = self.audit.chain_id().to_string();
        if !reencryption::claim(&self.db, &owner, self.clock.now_ms()).await? {
            return Ok(Step::Idle);
        }
        let limit = BATCH.min(job.per_second);
        // Behind the fence: a process that is stopped in it would keep others from these records and the vault for good.
        let mut tx = self.wallet.payments.db.begin().await?;
        if !store::hold(&mut tx, unsealed.record().version).await? {
            return Ok(Step::Idle);
        }
        let (stage, after) = Stage::at(&job);
        let batch = match stage {
            Stage::Cards => recrypt::cards(&mut tx, &unsealed, after, limit, entropy).await,
            Stage::Accounts => secrets::batch(&mut tx, Table::Accounts, &unsealed, after, limit, entropy).await,
            Stage::Credentials => {
                secrets::batch(&mut tx, Table::AcquirerCredentials, &unsealed, after, limit, entropy).await
            }
        }?;
        let records = batch.done + batch.failed;
        let cursor = match (&batch.last, stage.next()) {
            (Some(last), _) => Some((stage.name(), last.as_str())),
            (None, Some(next)) => Some((next.name(), "")),
            (None, None) => None,
        };
        if cursor.is_none() {
            drop(tx);
            return self.finish(&unsealed, &job).await;
        }
        let moved = Moved { done: batch.done, failed: batch.failed, cursor };
        if !reencryption::advance(&mut tx, &owner, self.clock.now_ms(), &moved).await? {
            return Ok(Step::Idle);
        }
        fault::point("reencrypt.batch.written");
        tx.commit().await?;
        fault::point("reencrypt.batch.committed");
        Ok(Step::Worked { records, per_second: job.per_second })
    }

    /// Through all tables. What another process has sealed under an old key behind the cursor is looked for once more;
    /// what does not open was counted and stays.
    async fn finish(&self, unsealed: &Unsealed, job: &Job) -> Result<Step, ApiError> {
        let left = self.records_due(unsealed).await?;
        let is_over = left <= job.failed;
        let owner = self.audit.chain_id().to_string();
        let mut tx = self.audit.begin().await?;
        if !store::hold(tx.tx(), unsealed.record().version).await? {
            return Ok(Step::Idle);
        }
        let cursor = (!is_over).then_some((Stage::Cards.name(), ""));
        let moved = Moved { done: 0, failed: 0, cursor };
        if is_over {
            let entry = Entry::new("vault.reencrypt.finished", job.started_by.as_str());
            tx.push(entry.with("records", job.done).with("failed", job.failed));
        }
        if !reencryption::advance(tx.tx(), &owner, self.clock.now_ms(), &moved).await? {
            return Ok(Step::Idle);
        }
        fault::point("reencrypt.finish.written");
        tx.commit().await?;
        fault::point("reencrypt.finished");
        if is_over {
            tracing::warn!(records = job.done, failed = job.failed, "re-encryption finished");
        }
        Ok(Step::Worked { records: 0, per_second: job.per_second })
    }

    /// Records that are not under the keys in use.
    pub(super) async fn records_due(&self, unsealed: &Unsealed) -> Result<u64, ApiError> {
        let active = unsealed.current_data_key_id();
        let secrets = secrets::in_use(&self.db).await?;
        let secrets: u64 = secrets.iter().filter(|(id, _)| *id != active).map(|(_, count)| count).sum();
        Ok(recrypt::due(&self.db, unsealed).await? + secrets)
    }

    /// All records under a data key.
    pub(super) async fn records(&self) -> Result<u64, ApiError> {
        let in_use = self.keys_in_use().await?;
        Ok(in_use.iter().filter(|(kind, ..)| *kind == KeyKind::Data).map(|(.., count)| count).sum())
    }
}

/// The tables, in the order in which they are gone through.
#[derive(Clone, Copy)]
enum Stage {
    Cards,
    Accounts,
    Credentials,
}

impl Stage {
    fn at(job: &Job) -> (Self, &str) {
        match job.cursor_table.as_str() {
            "accounts" => (Self::Accounts, &job.cursor_row),
            "acquirer_credentials" => (Self::Credentials, &job.cursor_row),
            _ => (Self::Cards, &job.cursor_row),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cards => "cards",
            Self::Accounts => "accounts",
            Self::Credentials => "acquirer_credentials",
        }
    }

    const fn next(self) -> Option<Self> {
        match self {
            Self::Cards => Some(Self::Accounts),
            Self::Accounts => Some(Self::Credentials),
            Self::Credentials => None,
        }
    }
}
