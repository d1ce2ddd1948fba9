//! Keys that accounts log in with, the gateway's own, and what is known of an account.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::{AccountName, Problem};
use serde::{Deserialize, Serialize};

use super::passwords::new_password;
use super::{Admin, AdminCall, sealed_problem};
use crate::audit::Entry;
use crate::calendar::Utc;
use crate::identity::enrolled_key::{EnrolledKey, fingerprint};
use crate::identity::enrolments::{self, Enrolment, Put};
use crate::identity::secrets::{self, NOTIFICATION_KEY, PING_KEY};
use crate::identity::{routes, store};
use crate::vault::{KeyKind, SystemEntropy};
use crate::web::ApiError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnrolBody {
    public_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EnrolAnswer<'a> {
    account: &'a str,
    /// Of the login alone: shown once.
    login_password: &'a str,
    key_fingerprint: String,
    credential_version: i64,
    /// Sessions under the key before it have ended.
    replaced: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityKeyAnswer {
    /// `None`, as all of it: no login key was made yet.
    key_id: Option<u32>,
    public_key: Option<String>,
    fingerprint: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountAnswer {
    account: String,
    role: &'static str,
    active: bool,
    mode: &'static str,
    display_name: String,
    currency: String,
    psp: Option<String>,
    credential_version: i64,
    enrolment: Option<EnrolmentAnswer>,
    webhook_url: Option<String>,
    webhook_format: &'static str,
    strict: bool,
    ping_url: Option<String>,
    /// Whether the API key is there that pings are proved with.
    pings: bool,
    #[serde(rename = "threeDSecure")]
    three_d_secure: &'static str,
    text_on_statement: Option<String>,
    /// By currency, in the order in which they are asked.
    routes: BTreeMap<String, Vec<String>>,
    /// The parties that credentials are kept for.
    credentials: Vec<String>,
    change_seq: i64,
    created_at_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EnrolmentAnswer {
    key_fingerprint: String,
    enrolled_by: String,
    enrolled_at: String,
    last_login_at: Option<String>,
    /// The last fully correct login in Basic mode: the account is ready for the switch.
    last_dry_run_at: Option<String>,
    failures: i64,
    blocked_until: Option<String>,
}

impl Admin {
    /// Enrols the key that an account logs in with, and issues the login's password. In the place of another key it ends
    /// every session of the account. How the account authenticates does not change: that is the switch.
    pub(super) async fn account_enrol(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: EnrolBody = call.json()?;
        let name: AccountName = call.parameter.parse().map_err(|_| Problem::NotFound)?;
        // Divisions by thousands of primes: not on a thread that answers.
        let parsed = tokio::task::spawn_blocking(move || EnrolledKey::parse(&body.public_key)).await;
        let key = parsed
            .map_err(|error| ApiError::internal(&error))?
            .map_err(|refused| ApiError::because(Problem::BadRequest, refused.to_string()))?;
        let password = new_password(&mut SystemEntropy::new())?;
        let (account, operator) = (name.to_string(), call.operator.name.as_str());
        let key_fingerprint = fingerprint(key.as_der());
        let mut tx = self.audit.begin_unfenced().await?;
        let now_ms = self.clock.now_db();
        let put = enrolments::put(tx.tx(), &name, key.as_der(), &password.verifier(), operator, now_ms).await?;
        let (credential_version, replaced) = match put {
            Put::Unknown => return Err(ApiError::because(Problem::NotFound, "there is no such account")),
            Put::Suspended => {
                return Err(ApiError::because(Problem::Conflict, "the account is suspended: resume it first"));
            }
            Put::Done { credential_version, replaced } => (credential_version, replaced),
        };
        let entry = Entry::new("account.enrolled", operator).with("account", account.as_str());
        tx.push(entry.with("key", key_fingerprint.as_str()).with("replaced", replaced));
        tx.commit().await?;
        tracing::warn!(operator, account, key = key_fingerprint, replaced, "key enrolled");
        let login_password = password.expose();
        let answer = EnrolAnswer { account: &account, login_password, key_fingerprint, credential_version, replaced };
        Ok(Json(answer).into_response())
    }

    /// The public half of the gateway's login key, to be given to merchants on a way of its own, with what two people can
    /// read to each other of it.
    pub(super) async fn identity_key(&self) -> Result<Response, ApiError> {
        self.refresh().await?;
        let unsealed = self.vault.unsealed().map_err(sealed_problem)?;
        let der = unsealed.login_public_key();
        Ok(Json(IdentityKeyAnswer {
            key_id: unsealed.active_key_id(KeyKind::Login),
            public_key: der.as_ref().map(|der| STANDARD.encode(der)),
            fingerprint: der.as_ref().map(|der| fingerprint(der)),
        })
        .into_response())
    }

    pub(super) async fn account_show(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name: AccountName = call.parameter.parse().map_err(|_| Problem::NotFound)?;
        let found = store::find(&self.db, &name).await?;
        let account = found.ok_or_else(|| ApiError::because(Problem::NotFound, "there is no such account"))?;
        let enrolment = enrolments::find(self.db.read(), &name).await?;
        let now_ms = self.clock.now_db();
        let routes = routes::list(self.db.read(), &name).await?;
        let (kept, credentials): (Vec<_>, Vec<_>) =
            secrets::parties(self.db.read(), &name).await?.into_iter().partition(|party| is_own(party));
        Ok(Json(AccountAnswer {
            account: account.name.to_string(),
            role: account.role.as_str(),
            active: account.is_active,
            mode: account.mode.as_str(),
            display_name: account.display_name,
            currency: account.currency.to_string(),
            psp: account.psp.map(|psp| psp.to_string()),
            credential_version: account.credential_version,
            enrolment: enrolment.map(|enrolment| shown(enrolment, now_ms)),
            webhook_url: account.webhook_url,
            webhook_format: account.webhook_format.as_str(),
            strict: account.webhook_strict,
            pings: account.ping_url.is_some() && kept.iter().any(|party| party == PING_KEY),
            ping_url: account.ping_url,
            three_d_secure: account.three_d_secure.as_str(),
            text_on_statement: account.text_on_statement,
            routes: routes.into_iter().map(|route| (route.currency, route.acquirers)).collect(),
            credentials,
            change_seq: account.change_seq,
            created_at_ms: account.created_at_ms,
        })
        .into_response())
    }
}

/// Kept beside the parties' credentials, and none of them.
fn is_own(party: &str) -> bool {
    matches!(party, PING_KEY | NOTIFICATION_KEY)
}

fn shown(enrolment: Enrolment, now_ms: i64) -> EnrolmentAnswer {
    let text = |at_ms: i64| Utc::from_unix_ms(u64::try_from(at_ms).unwrap_or(0)).to_string();
    EnrolmentAnswer {
        key_fingerprint: fingerprint(&enrolment.public_key),
        enrolled_by: enrolment.enrolled_by,
        enrolled_at: text(enrolment.enrolled_at_ms),
        last_login_at: enrolment.last_login_at_ms.map(text),
        last_dry_run_at: enrolment.last_dry_run_at_ms.map(text),
        failures: enrolment.failures,
        blocked_until: Some(enrolment.blocked_until_ms).filter(|until_ms| *until_ms > now_ms).map(text),
    }
}
