//! Secrets that are kept for accounts, each a vault record bound to its row and column.

use std::pin::Pin;
use std::sync::Arc;

use scanvault_protocol::AccountName;
use zeroize::Zeroizing;

use super::store;
use crate::db::Db;
use crate::outbox::worker::{SecretError, Secrets};
use crate::vault::{RecordContext, Vault};

/// The row version that a new row's records are bound to.
pub const FIRST_VERSION: i64 = 1;

/// Where an account's webhook secret stands.
#[must_use]
pub fn webhook_context(account: &str, row_version: u64) -> RecordContext<'_> {
    RecordContext { account, table: "accounts", row: account, column: "webhook_secret", row_version }
}

/// Where an account's acquirer credentials stand; the row is named by the acquirer.
#[must_use]
pub fn acquirer_context<'a>(account: &'a str, acquirer: &'a str, row_version: u64) -> RecordContext<'a> {
    RecordContext { account, table: "acquirer_credentials", row: acquirer, column: "sealed", row_version }
}

/// Opens the credentials of an account at an acquirer; `None` when it has none there.
///
/// # Errors
/// With a text for the log when they cannot be read.
pub async fn acquirer_credentials(
    db: &Db,
    unsealed: &crate::vault::Unsealed,
    name: &AccountName,
    acquirer: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>, SecretError> {
    let failed = |error: &dyn std::error::Error| SecretError(error.to_string());
    let Some(sealed) = store::acquirer_credentials(db, name, acquirer).await.map_err(|e| failed(&e))? else {
        return Ok(None);
    };
    let account = name.to_string();
    let context = acquirer_context(&account, acquirer, sealed.row_version);
    unsealed.open_record(&context, &sealed.envelope).map(Some).map_err(|e| failed(&e))
}

/// The outbox's way to the secrets.
pub struct WebhookSecrets {
    /// Where the records are.
    pub db: Db,
    /// What opens them.
    pub vault: Arc<Vault>,
}

impl Secrets for WebhookSecrets {
    fn webhook_secret<'a>(
        &'a self,
        account: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Zeroizing<Vec<u8>>>, SecretError>> + Send + 'a>> {
        Box::pin(async move {
            let Ok(unsealed) = self.vault.unsealed() else { return Ok(None) };
            let found = store::webhook_secret(&self.db, account).await.map_err(|e| SecretError(e.to_string()))?;
            let sealed = found.ok_or_else(|| SecretError("there is none".to_owned()))?;
            let context = webhook_context(account, sealed.row_version);
            unsealed.open_record(&context, &sealed.envelope).map(Some).map_err(|e| SecretError(e.to_string()))
        })
    }
}
