//! How an account is told of its payments, and how they are made: what operators set after it was created.

use scanvault_protocol::AccountName;

use super::account::{Account, ThreeDSecure};
use crate::db::{DbError, Tx};
use crate::outbox::Format;

/// All settings of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// See [`Account::webhook_url`].
    pub webhook_url: Option<String>,
    /// See [`Account::webhook_format`].
    pub webhook_format: Format,
    /// See [`Account::webhook_strict`].
    pub webhook_strict: bool,
    /// See [`Account::ping_url`].
    pub ping_url: Option<String>,
    /// See [`Account::three_d_secure`].
    pub three_d_secure: ThreeDSecure,
    /// See [`Account::text_on_statement`].
    pub text_on_statement: Option<String>,
}

impl Settings {
    /// As they are.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            webhook_url: account.webhook_url.clone(),
            webhook_format: account.webhook_format,
            webhook_strict: account.webhook_strict,
            ping_url: account.ping_url.clone(),
            three_d_secure: account.three_d_secure,
            text_on_statement: account.text_on_statement.clone(),
        }
    }
}

/// Writes them down, in the caller's transaction, which has locked the account's row before it read them. Where pings go
/// and with what number they begin is new with a new address: the next one is due at once.
///
/// # Errors
/// From the database.
pub async fn put(tx: &mut Tx, name: &AccountName, settings: &Settings) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE accounts SET webhook_url = $2, webhook_format = $3, webhook_strict = $4, \
         pinged_at_ms = CASE WHEN ping_url = $5 THEN pinged_at_ms ELSE 0 END, ping_url = $5, three_d_secure = $6, \
         text_on_statement = $7 WHERE name = $1",
    )
    .bind(name.to_string())
    .bind(settings.webhook_url.clone())
    .bind(settings.webhook_format.as_str())
    .bind(i64::from(settings.webhook_strict))
    .bind(settings.ping_url.clone())
    .bind(settings.three_d_secure.as_str())
    .bind(settings.text_on_statement.clone())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
