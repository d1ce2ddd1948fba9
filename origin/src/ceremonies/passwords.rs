//! API passwords, as operators replace and list them. A new one is shown once, in the answer that makes it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::password::ApiPassword;
use scanvault_protocol::{AccountName, AuthMode, Problem};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::db::Tx;
use crate::identity::passwords::{self, Known, MAX_OVERLAP_SECS, Replacement, Rotated, age_days};
use crate::identity::secrets::{self, PING_KEY};
use crate::identity::store;
use crate::vault::{Entropy, SystemEntropy};
use crate::web::ApiError;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RotateBody {
    overlap_secs: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RotateAnswer<'a> {
    account: &'a str,
    password: &'a str,
    /// The one before still counts until then; absent when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_password_ends_at_ms: Option<i64>,
    /// What became of the account's pings, which are proved with the API key; absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pings: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyAnswer {
    number: i64,
    live: bool,
    due: bool,
    age_days: i64,
    created_by: String,
    created_at_ms: i64,
    ends_at_ms: Option<i64>,
    last_used_at_ms: Option<i64>,
}

impl Admin {
    /// The old password fails, and the new one works, from the moment this has answered; with an overlap the old one
    /// lives on so long.
    pub(super) async fn account_rotate(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let body: RotateBody = call.json()?;
        if body.overlap_secs > MAX_OVERLAP_SECS {
            let text = format!("an overlap is at most {MAX_OVERLAP_SECS} seconds: seven days");
            return Err(ApiError::because(Problem::BadRequest, text));
        }
        let password = new_password(&mut SystemEntropy::new())?;
        let (account, by, now_ms) = (name.to_string(), call.operator.name.as_str(), self.clock.now_db());
        let how = Replacement { by, now_ms, overlap_ms: i64::from(body.overlap_secs) * 1000 };
        let mut tx = self.audit.begin_unfenced().await?;
        let entry = Entry::new("account.rotated", by).with("account", account.as_str());
        tx.push(entry.with("overlapSecs", body.overlap_secs));
        match passwords::rotate(tx.tx(), &name, &password.verifier(), how).await? {
            Rotated::Done => {}
            Rotated::NoAccount => return Err(no_account()),
            Rotated::NotBasic => {
                let text =
                    "this account is in Bearer mode and has no API password: enrol a new key, or switch it to basic";
                return Err(ApiError::because(Problem::Conflict, text));
            }
        }
        let pings = self.renew_ping_key(tx.tx(), &name, &password).await?;
        tx.commit().await?;
        tracing::warn!(operator = by, account, overlap_secs = body.overlap_secs, "password rotated");
        let old_password_ends_at_ms = (how.overlap_ms > 0).then_some(now_ms.saturating_add(how.overlap_ms));
        let answer = RotateAnswer { account: &account, password: password.expose(), old_password_ends_at_ms, pings };
        Ok(Json(answer).into_response())
    }

    /// Pings go on with the new key, at once and in an overlap too: their clients know one key. While the vault is sealed
    /// it cannot be kept, and a rotation must not wait for that: then they end until it is given again.
    async fn renew_ping_key(
        &self,
        tx: &mut Tx,
        name: &AccountName,
        password: &ApiPassword,
    ) -> Result<Option<&'static str>, ApiError> {
        if !secrets::parties(&mut **tx, name).await?.iter().any(|party| party == PING_KEY) {
            return Ok(None);
        }
        let Ok(unsealed) = self.vault.unsealed() else {
            secrets::remove_credentials(tx, name, PING_KEY).await?;
            return Ok(Some("ended: the vault is sealed; give the new API key with `account set --api-key`"));
        };
        // The merchant's own spelling of the number stays.
        let before = secrets::acquirer_credentials(&self.db, &unsealed, name, PING_KEY).await;
        let before = before.map_err(|error| ApiError::internal(&error))?.unwrap_or_default();
        let user = std::str::from_utf8(&before).ok().and_then(|key| key.split_once(':')).map_or("", |(user, _)| user);
        let key = Zeroizing::new(format!("{user}:{}", password.expose()));
        self.put_credentials(tx, name, PING_KEY, key.as_bytes()).await?;
        Ok(Some("proved with the new API key from now on"))
    }

    /// The passwords of an account: when they were made and last used, and which are due by the policy.
    pub(super) async fn account_keys(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let account = store::find(&self.db, &name).await?.ok_or_else(no_account)?;
        let counts = account.is_active && account.mode == AuthMode::Basic;
        let known = passwords::list(&self.db, &name).await?;
        let keys: Vec<_> = known.into_iter().map(|known| self.key_answer(&name, known, counts)).collect();
        let answer =
            serde_json::json!({"account": account.name.to_string(), "mode": account.mode.as_str(), "keys": keys});
        Ok(Json(answer).into_response())
    }

    fn key_answer(&self, account: &AccountName, known: Known, counts: bool) -> KeyAnswer {
        let now_ms = self.clock.now_db();
        let is_due = self.identity.reminder.is_due(known.created_at_ms, now_ms);
        KeyAnswer {
            number: known.number,
            live: counts && known.is_live(now_ms),
            due: counts && known.ends_at_ms.is_none() && is_due,
            age_days: age_days(known.created_at_ms, now_ms),
            // What this process remembers is newer than what it has written down.
            last_used_at_ms: known.last_used_at_ms.max(self.identity.last_use.of(account, known.number)),
            created_by: known.created_by,
            created_at_ms: known.created_at_ms,
            ends_at_ms: known.ends_at_ms,
        }
    }
}

/// The account that a path names.
pub(super) fn account_name(call: &AdminCall<'_>) -> Result<AccountName, ApiError> {
    call.parameter.parse().map_err(|_| Problem::NotFound.into())
}

pub(super) fn no_account() -> ApiError {
    ApiError::because(Problem::NotFound, "there is no such account")
}

pub(super) fn new_password(entropy: &mut dyn Entropy) -> Result<ApiPassword, ApiError> {
    let mut random = Zeroizing::new([0; 32]);
    entropy.fill(&mut *random).map_err(|error| ApiError::internal(&error))?;
    Ok(ApiPassword::from_entropy(&random))
}
