//! Secrets that are kept for accounts, each a vault record bound to its row and column.

use scanvault_protocol::AccountName;
use zeroize::Zeroizing;

use super::store;
use crate::db::{Db, DbError};
use crate::vault::{EnvelopeError, RecordContext, Unsealed};

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
    unsealed: &Unsealed,
    name: &AccountName,
    acquirer: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>, SecretError> {
    let Some(sealed) = store::acquirer_credentials(db, name, acquirer).await? else { return Ok(None) };
    let account = name.to_string();
    let context = acquirer_context(&account, acquirer, sealed.row_version);
    Ok(Some(unsealed.open_record(&context, &sealed.envelope)?))
}

/// Opens the secret that an account's webhooks are signed with.
///
/// # Errors
/// With a text for the log when there is none or it cannot be read.
pub async fn webhook_secret(db: &Db, unsealed: &Unsealed, account: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let found = store::webhook_secret(db, account).await?;
    let sealed = found.ok_or(SecretError::Missing)?;
    Ok(unsealed.open_record(&webhook_context(account, sealed.row_version), &sealed.envelope)?)
}

/// A secret is not to be had. For the log only.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The account has none.
    #[error("the account has no such secret")]
    Missing,
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The record does not open where it stands.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}
