//! Accounts, as operators make and show them. Secrets are shown once, in the answer that makes them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scanvault_protocol::{AccountName, Problem, Role};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::passwords::new_password;
use super::{Admin, AdminCall};
use crate::acquirers::Acquirer;
use crate::acquirers::clearhaus::{Clearhaus, Credentials};
use crate::audit::Entry;
use crate::identity::secrets::{FIRST_VERSION, acquirer_context, webhook_context};
use crate::identity::{NewAccount, passwords, store};
use crate::outbox::Target;
use crate::payments::pay::sealed_problem;
use crate::vault::{Entropy, RecordContext, SystemEntropy};
use crate::web::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateBody {
    name: String,
    role: Option<String>,
    display_name: Option<String>,
    currency: Option<String>,
    psp: Option<String>,
    webhook_url: Option<String>,
    clearhaus: Option<Credentials>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateAnswer<'a> {
    account: String,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<&'a str>,
}

impl Admin {
    /// Makes an account with a generated password. What must be kept secret for it goes into the vault, so that an
    /// account with a webhook or acquirer credentials needs the vault open (503 when sealed).
    pub(super) async fn account_create(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: CreateBody = call.json()?;
        let bad = |text: &str| ApiError::because(Problem::BadRequest, text);
        let name: AccountName = body.name.parse().map_err(|_| bad("this is not an account name"))?;
        let role = match (&body.role, name.implied_role()) {
            (None, Some(role)) => role,
            (Some(text), implied) => {
                let role: Role = text.parse().map_err(|_| bad("role is EXTERNAL, STK, INTERNAL or WALLET"))?;
                if implied.is_some_and(|implied| implied != role) {
                    return Err(bad("merchants and PSPs are EXTERNAL"));
                }
                role
            }
            (None, None) => return Err(bad("an account with a name of its own needs a role")),
        };
        let currency = body.currency.as_deref().unwrap_or("ZAR").parse().map_err(|_| bad("unknown currency"))?;
        let psp = body.psp.as_deref().map(str::parse).transpose().map_err(|_| bad("this is not the name of a PSP"))?;
        if psp.as_ref().is_some_and(|psp| !matches!(psp, AccountName::Psp(_))) {
            return Err(bad("this is not the name of a PSP"));
        }
        let display_name = body.display_name.clone().unwrap_or_else(|| name.to_string());
        if !(1..=100).contains(&display_name.chars().count()) || display_name.chars().any(char::is_control) {
            return Err(bad("the display name is 1 to 100 printable characters"));
        }
        let mut entropy = SystemEntropy::new();
        let password = new_password(&mut entropy)?;
        let secret = body.webhook_url.as_ref().map(|_| new_webhook_secret(&mut entropy)).transpose()?;
        let new = NewAccount {
            webhook: self.sealed_webhook(&name, body.webhook_url.as_deref(), secret.as_ref(), &mut entropy)?,
            acquirer: self.sealed_acquirer(&name, body.clearhaus.as_ref(), &mut entropy)?,
            verifier: password.verifier(),
            name,
            role,
            display_name,
            currency,
            psp,
        };
        let account = new.name.to_string();
        let now_ms = self.clock.now_db();
        let mut tx = self.audit.begin_unfenced().await?;
        let entry = Entry::new("account.created", call.operator.name.as_str());
        tx.push(entry.with("account", account.as_str()).with("role", role.as_str()));
        store::create(tx.tx(), &new, now_ms).await.map_err(|error| {
            if error.is_duplicate() {
                ApiError::because(Problem::Conflict, "this account exists already")
            } else {
                error.into()
            }
        })?;
        passwords::first(tx.tx(), &new.name, &new.verifier, &call.operator.name, now_ms).await?;
        tx.commit().await?;
        tracing::warn!(operator = call.operator.name, account, role = role.as_str(), "account created");
        let webhook_secret = secret.as_ref().map(|secret| secret.as_str());
        Ok(Json(CreateAnswer { account, password: password.expose(), webhook_secret }).into_response())
    }

    fn sealed_webhook(
        &self,
        name: &AccountName,
        url: Option<&str>,
        secret: Option<&Zeroizing<String>>,
        entropy: &mut dyn Entropy,
    ) -> Result<Option<(String, Vec<u8>)>, ApiError> {
        let (Some(url), Some(secret)) = (url, secret) else { return Ok(None) };
        let target = Target::parse(url, self.sender.rules())
            .map_err(|error| ApiError::because(Problem::BadRequest, error.to_string()))?;
        let account = name.to_string();
        let sealed = self.seal(&webhook_context(&account, FIRST_ROW_VERSION), secret.as_bytes(), entropy)?;
        Ok(Some((target.as_str().to_owned(), sealed)))
    }

    fn sealed_acquirer(
        &self,
        name: &AccountName,
        credentials: Option<&Credentials>,
        entropy: &mut dyn Entropy,
    ) -> Result<Option<(&'static str, Vec<u8>)>, ApiError> {
        let Some(credentials) = credentials else { return Ok(None) };
        credentials.check().map_err(|error| ApiError::because(Problem::BadRequest, error.to_string()))?;
        let json = Zeroizing::new(serde_json::to_vec(credentials).map_err(|error| ApiError::internal(&error))?);
        let (account, acquirer) = (name.to_string(), Clearhaus.name());
        let sealed = self.seal(&acquirer_context(&account, acquirer, FIRST_ROW_VERSION), &json, entropy)?;
        Ok(Some((acquirer, sealed)))
    }

    fn seal(&self, context: &RecordContext<'_>, secret: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>, ApiError> {
        let unsealed = self.vault.unsealed().map_err(sealed_problem)?;
        unsealed.seal_record(context, secret, entropy).map_err(|error| ApiError::internal(&error))
    }
}

const FIRST_ROW_VERSION: u64 = FIRST_VERSION.unsigned_abs();

pub(super) fn new_webhook_secret(entropy: &mut dyn Entropy) -> Result<Zeroizing<String>, ApiError> {
    let mut random = Zeroizing::new([0; 32]);
    entropy.fill(&mut *random).map_err(|error| ApiError::internal(&error))?;
    Ok(Zeroizing::new(format!("whsec_{}", URL_SAFE_NO_PAD.encode(*random))))
}
