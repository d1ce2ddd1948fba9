//! MobilePay, as operators set it up for an account, and what it could not be told.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde_json::json;

use super::passwords::{account_name, no_account};
use super::{Admin, AdminCall, changed_meanwhile, sealed_problem};
use crate::acquirers::mobilepay;
use crate::audit::Entry;
use crate::identity::secrets::acquirer_context;
use crate::identity::store;
use crate::payments::store::wallet_reports;
use crate::vault::SystemEntropy;
use crate::web::ApiError;

impl Admin {
    /// Registers the account's webhook at MobilePay and seals its secret into the account's credentials. Given again, it
    /// replaces the registration: what was registered for the same address before is removed once the new secret counts.
    pub(super) async fn account_mobilepay_webhook(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        store::find(&self.db, &name).await?.ok_or_else(no_account)?;
        let conflict = |text: String| ApiError::because(Problem::Conflict, text);
        let account = name.to_string();
        let no_listener = || conflict("this origin has no provider listener: see SCANVAULT_CALLBACK_URL".to_owned());
        let url = self.wallet.webhook_url(&account).ok_or_else(no_listener)?;
        let unsealed = self.vault.unsealed().map_err(sealed_problem)?;
        let missing = || conflict("this account has no credentials at MobilePay".to_owned());
        let row = store::acquirer_credentials(&self.db, &name, mobilepay::NAME).await?.ok_or_else(missing)?;
        let mut credentials = self.wallet.credentials_of(&unsealed, &account).await.map_err(conflict)?;
        let made = self.wallet.register_webhook(&credentials, &url).await;
        let webhook = made.map_err(|error| conflict(error.to_string()))?;
        credentials.webhook_secret = Some(webhook.secret.as_str().to_owned());
        let version = row.row_version.saturating_add(1);
        let context = acquirer_context(&account, mobilepay::NAME, version);
        let sealed = unsealed.seal_record(&context, &credentials.to_json(), &mut SystemEntropy::new());
        let sealed = sealed.map_err(|error| ApiError::internal(&error))?;
        let by = call.operator.name.as_str();
        let mut tx = self.audit.begin_unfenced().await?;
        let entry = Entry::new("account.mobilepay-webhook", by).with("account", account.as_str());
        tx.push(entry.with("registration", webhook.id.as_str()));
        if !store::replace_acquirer_credentials(tx.tx(), &name, mobilepay::NAME, row.row_version, &sealed).await? {
            return Err(changed_meanwhile());
        }
        tx.commit().await?;
        tracing::warn!(operator = by, account, registration = webhook.id, "MobilePay's webhook registered");
        // What is left of earlier ones is refused, for its secret is not known any more; MobilePay gives up in a while.
        let removed = self.wallet.remove_other_webhooks(&credentials, &url, &webhook.id).await;
        if let Err(error) = &removed {
            tracing::warn!(account, cause = %error, "earlier registrations were not removed");
        }
        let answer = json!({"account": account, "url": url, "registration": webhook.id, "removed": removed.ok()});
        Ok(Json(answer).into_response())
    }

    /// Reports that were given up, with why.
    pub(super) async fn wallet_reports(&self) -> Result<Response, ApiError> {
        let parked = wallet_reports::parked(&self.db).await?;
        let rows: Vec<_> = parked
            .iter()
            .map(|row| {
                json!({"transactionId": row.report.transaction_id, "act": row.report.act,
                    "kind": row.report.kind.as_str(), "amountMinor": row.report.amount_minor,
                    "attempts": row.report.attempts, "lastError": row.last_error})
            })
            .collect();
        Ok(Json(json!({"parked": rows})).into_response())
    }

    /// Lets a transaction's reports be made again.
    pub(super) async fn wallet_report_again(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let id: i64 = call.parameter.parse().map_err(|_| Problem::NotFound)?;
        let by = call.operator.name.as_str();
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(Entry::new("transaction.report-again", by).with("transaction", id));
        let count = wallet_reports::unpark(tx.tx(), id, self.clock.now_db()).await?;
        if count == 0 {
            return Err(ApiError::because(Problem::NotFound, "nothing of this transaction was given up"));
        }
        tx.commit().await?;
        tracing::warn!(operator = by, transaction = id, count, "reports are made again");
        self.wallet.bell.notify_one();
        Ok(Json(json!({"transactionId": id, "reports": count})).into_response())
    }
}
