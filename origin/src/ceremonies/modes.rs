//! How an account proves who it is, whether it may at all, and the list of accounts.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::{AccountName, AuthMode, Problem};
use serde::{Deserialize, Serialize};

use super::passwords::{account_name, new_password, no_account};
use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::identity::modes::{self, Changed, Listed, Switched};
use crate::identity::passwords::age_days;
use crate::identity::secrets::{self, PING_KEY};
use crate::identity::store;
use crate::vault::{SystemEntropy, approvals};
use crate::web::ApiError;

/// How long a first word to switch back to Basic holds until a second operator gives his.
const APPROVAL_MS: u64 = 60 * 60 * 1_000;
/// Accounts in one list.
const MAX_LISTED: i64 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchBody {
    mode: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListAnswer {
    account: String,
    role: String,
    mode: String,
    active: bool,
    password_age_days: Option<i64>,
    due: bool,
}

impl Admin {
    /// To Bearer at once; to Basic, which makes a secret that opens the account, with a second operator's word.
    pub(super) async fn account_switch(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let body: SwitchBody = call.json()?;
        match body.mode.parse() {
            Ok(AuthMode::Bearer) => self.switch_to_bearer(&name, &call.operator.name).await,
            Ok(AuthMode::Basic) => self.switch_to_basic(&name, &call.operator.name).await,
            Err(_) => Err(ApiError::because(Problem::BadRequest, "a mode is bearer or basic")),
        }
    }

    /// Its credentials fail from the moment this has answered; what it has paid and made stays.
    pub(super) async fn account_suspend(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        self.set_active(call, false).await
    }

    /// Its password counts again; sessions from before do not.
    pub(super) async fn account_resume(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        self.set_active(call, true).await
    }

    /// Every account, by name.
    pub(super) async fn account_list(&self) -> Result<Response, ApiError> {
        let mut accounts = modes::list(&self.db, MAX_LISTED + 1).await?;
        let limit = usize::try_from(MAX_LISTED).unwrap_or(usize::MAX);
        let truncated = accounts.len() > limit;
        accounts.truncate(limit);
        let accounts: Vec<_> = accounts.into_iter().map(|listed| self.list_answer(listed)).collect();
        Ok(Json(serde_json::json!({"accounts": accounts, "truncated": truncated})).into_response())
    }

    async fn switch_to_bearer(&self, name: &AccountName, by: &str) -> Result<Response, ApiError> {
        let account = name.to_string();
        let mut tx = self.audit.begin_unfenced().await?;
        let proved = match modes::to_bearer(tx.tx(), name, self.clock.now_db()).await? {
            Switched::Done { is_proved } => is_proved,
            Switched::NotEnrolled => {
                let text = "no key is enrolled: nobody could log in (account enrol)";
                return Err(ApiError::because(Problem::Conflict, text));
            }
            Switched::Not(changed) => return Err(unchanged(changed, "this account is in Bearer mode already")),
        };
        // The API key that pings are proved with has ended with the passwords.
        let pings_ended = secrets::remove_credentials(tx.tx(), name, PING_KEY).await?;
        let entry = Entry::new("account.switched", by).with("account", account.as_str());
        tx.push(entry.with("mode", AuthMode::Bearer.as_str()).with("proved", proved));
        tx.commit().await?;
        tracing::warn!(operator = by, account, proved, pings_ended, "account switched to Bearer");
        let mut answer = serde_json::json!({"account": account, "mode": "bearer", "proved": proved});
        if let Some(fields) = answer.as_object_mut().filter(|_| pings_ended) {
            fields.insert("pings".to_owned(), "ended: they are proved with an API key".into());
        }
        Ok(Json(answer).into_response())
    }

    /// The operator who gives the second word is shown the password, the first one is not.
    async fn switch_to_basic(&self, name: &AccountName, by: &str) -> Result<Response, ApiError> {
        let found = store::find(&self.db, name).await?.ok_or_else(no_account)?;
        let already = "this account is in Basic mode already";
        if found.mode == AuthMode::Basic {
            return Err(ApiError::because(Problem::Conflict, already));
        }
        let password = new_password(&mut SystemEntropy::new())?;
        let (account, now_ms) = (name.to_string(), self.clock.now_ms());
        // Bound to what was looked at: after any change of its credentials both words are to be given again.
        let action = format!("switch {account} basic {}", found.credential_version);
        let mut tx = self.audit.begin_unfenced().await?;
        let since_ms = now_ms.saturating_sub(APPROVAL_MS);
        let Some(first) = approvals::second(tx.tx(), &action, by, since_ms).await? else {
            approvals::first(tx.tx(), &action, by, now_ms).await?;
            tx.push(Entry::new("account.switch.requested", by).with("account", account.as_str()).with("mode", "basic"));
            tx.commit().await?;
            tracing::warn!(operator = by, account, "first word to switch an account to Basic");
            let answer = serde_json::json!({"account": account, "pending": true, "needs": "a second operator"});
            return Ok(Json(answer).into_response());
        };
        if !modes::to_basic(tx.tx(), &found, &password.verifier(), by, self.clock.now_db()).await? {
            let text =
                "the account's credentials were changed meanwhile: look at it, and let both give the command again";
            return Err(ApiError::because(Problem::Conflict, text));
        }
        let entry = Entry::new("account.switched", by).with("account", account.as_str());
        tx.push(entry.with("mode", AuthMode::Basic.as_str()).with("requestedBy", first));
        tx.commit().await?;
        tracing::warn!(operator = by, account, "account switched to Basic");
        let password = password.expose();
        Ok(Json(serde_json::json!({"account": account, "mode": "basic", "password": password})).into_response())
    }

    async fn set_active(&self, call: &AdminCall<'_>, is_active: bool) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let (account, by) = (name.to_string(), call.operator.name.as_str());
        let (action, already) = if is_active {
            ("account.resumed", "this account is active already")
        } else {
            ("account.suspended", "this account is suspended already")
        };
        let mut tx = self.audit.begin_unfenced().await?;
        let changed = modes::set_active(tx.tx(), &name, is_active).await?;
        if changed != Changed::Done {
            return Err(unchanged(changed, already));
        }
        tx.push(Entry::new(action, by).with("account", account.as_str()));
        tx.commit().await?;
        tracing::warn!(operator = by, account, is_active, "account suspended or resumed");
        Ok(Json(serde_json::json!({"account": account, "active": is_active})).into_response())
    }

    fn list_answer(&self, listed: Listed) -> ListAnswer {
        let now_ms = self.clock.now_db();
        let is_due = |at_ms| self.identity.reminder.is_due(at_ms, now_ms);
        ListAnswer {
            account: listed.name,
            role: listed.role,
            mode: listed.mode,
            active: listed.is_active,
            password_age_days: listed.password_at_ms.map(|at_ms| age_days(at_ms, now_ms)),
            due: listed.is_active && listed.password_at_ms.is_some_and(is_due),
        }
    }
}

fn unchanged(changed: Changed, already: &str) -> ApiError {
    match changed {
        Changed::NoAccount => no_account(),
        Changed::Already | Changed::Done => ApiError::because(Problem::Conflict, already),
    }
}
