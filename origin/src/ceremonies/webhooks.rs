//! The secrets of an account's webhooks, and a look whether its receiver answers.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scanvault_protocol::Problem;
use serde_json::json;

use super::passwords::{account_name, no_account};
use super::{Admin, AdminCall, sealed_problem};
use crate::audit::Entry;
use crate::identity::{secrets, store};
use crate::outbox::format::PROBE;
use crate::outbox::sender::Message;
use crate::outbox::signature::{self, DELIVERY_HEADER, SIGNATURE_HEADER};
use crate::vault::{Entropy, SystemEntropy};
use crate::web::ApiError;

const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

impl Admin {
    /// A new key of the format pluto. What is sent from now on is encrypted with it, deliveries that wait included: the
    /// format has no place to say which key it was, so there is no overlap.
    pub(super) async fn webhook_key(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let (account, by) = (name.to_string(), call.operator.name.as_str());
        let mut tx = self.audit.begin_unfenced().await?;
        self.locked(tx.tx(), &name).await?;
        let key = self.renew_notification_key(tx.tx(), &name).await?;
        tx.push(Entry::new("account.webhook.key", by).with("account", account.as_str()));
        tx.commit().await?;
        tracing::warn!(operator = by, account, "notification key replaced");
        Ok(Json(json!({"account": account, "notificationKey": key.as_str()})).into_response())
    }

    /// A new secret of the signature. What is sent from now on is signed with it.
    pub(super) async fn webhook_secret(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let (account, by) = (name.to_string(), call.operator.name.as_str());
        let mut tx = self.audit.begin_unfenced().await?;
        self.locked(tx.tx(), &name).await?;
        let secret = self.renew_webhook_secret(tx.tx(), &name).await?;
        tx.push(Entry::new("account.webhook.secret", by).with("account", account.as_str()));
        tx.commit().await?;
        tracing::warn!(operator = by, account, "webhook secret replaced");
        Ok(Json(json!({"account": account, "webhookSecret": secret.as_str()})).into_response())
    }

    /// Sends the reference's probe, unencrypted in either format, and says what the receiver answered.
    pub(super) async fn webhook_test(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let (account, by) = (name.to_string(), call.operator.name.as_str());
        let found = store::find(&self.db, &name).await?.ok_or_else(no_account)?;
        let no_receiver = || ApiError::because(Problem::Conflict, "this account has no receiver");
        let url = found.webhook_url.ok_or_else(no_receiver)?;
        let unsealed = self.vault.unsealed().map_err(sealed_problem)?;
        let secret = secrets::webhook_secret(&self.db, &unsealed, &account).await;
        let secret = secret.map_err(|error| ApiError::internal(&error))?;
        let mut random = [0; 16];
        SystemEntropy::new().fill(&mut random).map_err(|error| ApiError::internal(&error))?;
        let delivery = format!("dlv_test_{}", URL_SAFE_NO_PAD.encode(random));
        let signature = signature::sign(&secret, self.clock.now_secs(), &delivery, PROBE);
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(Entry::new("account.webhook.tested", by).with("account", account.as_str()));
        tx.commit().await?;
        let answer = self
            .sender
            .post(Message {
                url: &url,
                media_type: "application/json",
                headers: &[(SIGNATURE_HEADER, signature), (DELIVERY_HEADER, delivery)],
                body: PROBE.to_owned(),
                time_limit: PROBE_TIMEOUT,
            })
            .await;
        let (is_ok, status, why) = match answer {
            Ok(status) => (status.is_success(), Some(status.as_u16()), None),
            Err(why) => (false, None, Some(why.as_str())),
        };
        Ok(Json(json!({"account": account, "ok": is_ok, "status": status, "error": why})).into_response())
    }
}
