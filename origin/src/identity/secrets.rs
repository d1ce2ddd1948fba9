//! Secrets that are kept for accounts, each a vault record bound to its row and column.

use scanvault_protocol::AccountName;
use sqlx::{Any, Executor, Row};
use zeroize::Zeroizing;

use super::store;
use crate::db::{Db, DbError, Tx};
use crate::vault::{Entropy, EnvelopeError, RecordContext, Unsealed};

/// Rows of `acquirer_credentials` that are no acquirer's: the key of encrypted notifications.
pub const NOTIFICATION_KEY: &str = "webhook";
/// And the whole API key that pings are proved with.
pub const PING_KEY: &str = "ping";

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
    let found = store::webhook_secret(db.read(), account).await?;
    let sealed = found.ok_or(SecretError::Missing)?;
    Ok(unsealed.open_record(&webhook_context(account, sealed.row_version), &sealed.envelope)?)
}

/// Seals credentials in the place of those that are there, in the caller's transaction. The caller has locked the
/// account's row.
///
/// # Errors
/// [`SecretError::Moved`] when another process, such as a re-encryption, was first: nothing is written.
pub async fn put_credentials(
    tx: &mut Tx,
    unsealed: &Unsealed,
    name: &AccountName,
    party: &str,
    secret: &[u8],
    entropy: &mut (dyn Entropy + Send),
) -> Result<(), SecretError> {
    let account = name.to_string();
    let statement = "SELECT row_version FROM acquirer_credentials WHERE account = $1 AND acquirer = $2";
    let found = sqlx::query(statement).bind(account.clone()).bind(party).fetch_optional(&mut **tx).await?;
    let before: Option<i64> = found.map(|row| row.try_get(0)).transpose()?;
    let version = before.map_or(FIRST_VERSION, |version| version + 1);
    let context = acquirer_context(&account, party, version.unsigned_abs());
    let sealed = unsealed.seal_record(&context, secret, entropy)?;
    let key_id = store::key_id(&sealed)?;
    let statement = match before {
        None => {
            "INSERT INTO acquirer_credentials (account, acquirer, sealed, key_id, row_version) \
             VALUES ($1, $2, $3, $4, $5)"
        }
        Some(_) => {
            "UPDATE acquirer_credentials SET sealed = $3, key_id = $4, row_version = $5 \
             WHERE account = $1 AND acquirer = $2 AND row_version = $5 - 1"
        }
    };
    let query = sqlx::query(statement).bind(account.clone()).bind(party).bind(sealed).bind(key_id).bind(version);
    if query.execute(&mut **tx).await?.rows_affected() == 1 { Ok(()) } else { Err(SecretError::Moved) }
}

/// Removes credentials, in the caller's transaction; whether there were any.
///
/// # Errors
/// From the database.
pub async fn remove_credentials(tx: &mut Tx, name: &AccountName, party: &str) -> Result<bool, DbError> {
    let statement = "DELETE FROM acquirer_credentials WHERE account = $1 AND acquirer = $2";
    let query = sqlx::query(statement).bind(name.to_string()).bind(party);
    Ok(query.execute(&mut **tx).await?.rows_affected() > 0)
}

/// The parties that an account has credentials of, by name.
///
/// # Errors
/// From the database.
pub async fn parties(on: impl Executor<'_, Database = Any>, name: &AccountName) -> Result<Vec<String>, DbError> {
    let statement = "SELECT acquirer FROM acquirer_credentials WHERE account = $1 ORDER BY acquirer";
    let rows = sqlx::query(statement).bind(name.to_string()).fetch_all(on).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Seals the secret that an account's webhooks are signed with, in the place of the one that is there.
///
/// # Errors
/// As [`put_credentials`].
pub async fn put_webhook_secret(
    tx: &mut Tx,
    unsealed: &Unsealed,
    name: &AccountName,
    secret: &[u8],
    entropy: &mut (dyn Entropy + Send),
) -> Result<(), SecretError> {
    let account = name.to_string();
    let found = sqlx::query("SELECT row_version FROM accounts WHERE name = $1").bind(account.clone());
    let row = found.fetch_optional(&mut **tx).await?.ok_or(SecretError::Missing)?;
    let version: i64 = row.try_get::<i64, _>(0)? + 1;
    let sealed = unsealed.seal_record(&webhook_context(&account, version.unsigned_abs()), secret, entropy)?;
    let key_id = store::key_id(&sealed)?;
    let statement = "UPDATE accounts SET webhook_secret = $2, webhook_key_id = $3, row_version = $4 \
                     WHERE name = $1 AND row_version = $4 - 1";
    let query = sqlx::query(statement).bind(account.clone()).bind(sealed).bind(key_id).bind(version);
    if query.execute(&mut **tx).await?.rows_affected() == 1 { Ok(()) } else { Err(SecretError::Moved) }
}

/// A secret is not to be had. For the log only.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The account has none.
    #[error("the account has no such secret")]
    Missing,
    /// Another process wrote it in between.
    #[error("the record was changed by another process meanwhile")]
    Moved,
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The record does not open where it stands.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl From<sqlx::Error> for SecretError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}
