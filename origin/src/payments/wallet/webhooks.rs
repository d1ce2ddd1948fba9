//! MobilePay's webhooks, and their registration.
//!
//! An event is remembered, so that it counts once; that it came is all that is believed of it, and makes us look. So the
//! order in which events come does not matter, nor whether they come.

use std::sync::Arc;

use scanvault_protocol::AccountName;

use super::Wallet;
use super::callback::ProviderCall;
use crate::acquirers::mobilepay::{Credentials, NewWebhook, WalletError, WebhookEvent};
use crate::db::DbError;
use crate::payments::store;
use crate::payments::store::wallet as rows;
use crate::vault::Unsealed;

/// Why a webhook is not taken. What is not taken is sent again.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It is not MobilePay's, or not for an account of ours.
    #[error("not the provider's: {0}")]
    Unauthorised(&'static str),
    /// Signed by MobilePay, and not readable.
    #[error("the webhook is not of a known form")]
    Malformed,
    /// Not now.
    #[error("the vault is sealed")]
    Sealed,
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Wallet {
    /// Takes a webhook of an account. One of a payment that is not ours is taken too, and changes nothing: others may
    /// make payments with the same serial number.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn webhook(self: &Arc<Self>, account: &str, call: &ProviderCall<'_>) -> Result<(), WebhookError> {
        let unsealed = self.payments.vault.unsealed().map_err(|_| WebhookError::Sealed)?;
        // The one spelling of the name that rows have.
        let account = account.parse::<AccountName>().map_err(|_| WebhookError::Unauthorised("no such account"))?;
        let account = account.to_string();
        let unauthorised = |why| move |_| WebhookError::Unauthorised(why);
        let credentials = self.credentials(&unsealed, &account).await.map_err(unauthorised("no such account"))?;
        let secret = credentials.webhook_secret.as_deref().ok_or(WebhookError::Unauthorised("none is registered"))?;
        self.verify(call, secret.as_bytes()).map_err(|error| {
            tracing::warn!(account, cause = %error, "webhook refused");
            WebhookError::Unauthorised("its signature")
        })?;
        let event = WebhookEvent::parse(call.body).ok_or(WebhookError::Malformed)?;
        let Some(row) = rows::find_reference(&self.payments.db, &event.reference).await? else { return Ok(()) };
        let found = store::transactions::find(&self.payments.db, row.transaction_id).await?;
        let is_own = found.is_some_and(|found| found.account == account);
        if !is_own || event.msn != credentials.merchant_serial_number {
            return Ok(());
        }
        let now_ms = self.now_ms();
        let mut tx = self.payments.db.begin().await?;
        let WebhookEvent { reference, name, psp_reference, .. } = &event;
        let is_new = rows::add_event(&mut tx, reference, name, psp_reference, now_ms).await?;
        let is_open = is_new && rows::hurry(&mut *tx, row.transaction_id, now_ms, now_ms).await?;
        tx.commit().await.map_err(DbError::from)?;
        tracing::info!(transaction = row.transaction_id, name = event.name, is_new, "webhook taken");
        if is_open {
            self.bell.notify_one();
        }
        Ok(())
    }

    /// The merchant's credentials, for the ceremony that registers a webhook.
    ///
    /// # Errors
    /// With a text for the operator.
    pub async fn credentials_of(&self, unsealed: &Unsealed, account: &str) -> Result<Credentials, String> {
        self.credentials(unsealed, account).await.map_err(|error| error.to_string())
    }

    /// Where an account's webhooks go; `None` without a provider listener.
    #[must_use]
    pub fn webhook_url(&self, account: &str) -> Option<String> {
        self.callback_url.as_deref().map(|base| format!("{base}/mobilepay/webhooks/{account}"))
    }

    /// Registers the account's webhook at MobilePay. Its secret has still to be kept.
    ///
    /// # Errors
    /// See [`WalletError`].
    pub async fn register_webhook(&self, credentials: &Credentials, url: &str) -> Result<NewWebhook, WalletError> {
        self.client.register_webhook(credentials, url).await
    }

    /// Removes what was registered for the address before, once the new secret is kept.
    ///
    /// # Errors
    /// See [`WalletError`].
    pub async fn remove_other_webhooks(
        &self,
        credentials: &Credentials,
        url: &str,
        stays: &str,
    ) -> Result<usize, WalletError> {
        self.client.remove_other_webhooks(credentials, url, stays).await
    }
}
