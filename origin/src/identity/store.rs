//! The accounts' tables.

use std::collections::{BTreeSet, HashSet};
use std::str::FromStr;

use scanvault_protocol::{AccountName, Role};
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};

use super::account::{Account, NewAccount};
use super::secrets::FIRST_VERSION;
use crate::db::padded::{MAX_ROWS, Padded, pad};
use crate::db::{Db, DbError, Tx};
use crate::outbox::Format;
use crate::vault::envelope;

/// A vault record with the row version that it is bound to.
pub struct Sealed {
    /// The envelope.
    pub envelope: Vec<u8>,
    /// Bound into it.
    pub row_version: u64,
}

/// The columns of an account in the order in which [`account`] reads them; the table is `a`.
macro_rules! account_columns {
    () => {
        "a.name, a.role, a.status, a.display_name, a.currency, a.psp, a.auth_mode, a.credential_version, \
         a.webhook_url, a.change_seq, a.created_at_ms, a.webhook_format, a.webhook_strict, a.ping_url, \
         a.three_d_secure, a.text_on_statement"
    };
}
pub(super) use account_columns;
/// How many they are: what a statement adds comes behind them.
pub(super) const ACCOUNT_COLUMNS: usize = 16;

/// Reads an account.
///
/// # Errors
/// From the database.
pub async fn find(db: &Db, name: &AccountName) -> Result<Option<Account>, DbError> {
    find_on(db.read(), name).await
}

/// The same within a transaction, or over other connections.
///
/// # Errors
/// From the database.
pub async fn find_on(on: impl Executor<'_, Database = Any>, name: &AccountName) -> Result<Option<Account>, DbError> {
    let statement = concat!("SELECT ", account_columns!(), " FROM accounts a WHERE a.name = $1");
    let row = sqlx::query(statement).bind(name.to_string()).fetch_optional(on).await?;
    row.map(|row| account(&row)).transpose()
}

static ACTIVE_INTERNAL: Padded =
    Padded::list("SELECT name FROM accounts WHERE role = 'INTERNAL' AND status = 'active' AND name IN", 0, "");

/// Which of these are active INTERNAL accounts, now and in this transaction.
///
/// # Errors
/// From the database.
pub async fn active_internal(tx: &mut Tx, names: &[&str]) -> Result<HashSet<String>, DbError> {
    let distinct: Vec<&str> = names.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut found = HashSet::new();
    for names in distinct.chunks(MAX_ROWS) {
        let (text, size) = ACTIVE_INTERNAL.text(names.len());
        let mut query = sqlx::query(text);
        for name in pad(names, size) {
            query = query.bind(*name);
        }
        for row in query.fetch_all(&mut **tx).await? {
            found.insert(row.try_get(0)?);
        }
    }
    Ok(found)
}

/// Locks an account's row until the transaction ends: what changes its credentials waits. `false`: there is none.
///
/// # Errors
/// From the database.
pub async fn lock(tx: &mut Tx, name: &AccountName) -> Result<bool, DbError> {
    let statement = "UPDATE accounts SET credential_version = credential_version WHERE name = $1";
    Ok(sqlx::query(statement).bind(name.to_string()).execute(&mut **tx).await?.rows_affected() > 0)
}

/// Adds an account, in the caller's transaction.
///
/// # Errors
/// [`DbError::is_duplicate`] when the name is taken.
pub async fn create(tx: &mut Tx, new: &NewAccount, now_ms: i64) -> Result<(), DbError> {
    let (url, secret) = new.webhook.as_ref().map_or((None, None), |(url, secret)| (Some(url), Some(secret)));
    sqlx::query(
        "INSERT INTO accounts (name, role, status, display_name, currency, psp, credential_version, webhook_url, \
         webhook_secret, webhook_key_id, change_seq, row_version, created_at_ms) \
         VALUES ($1, $2, 'active', $3, $4, $5, 1, $6, $7, $8, 0, $9, $10)",
    )
    .bind(new.name.to_string())
    .bind(new.role.as_str())
    .bind(new.display_name.as_str())
    .bind(new.currency.as_str())
    .bind(new.psp.as_ref().map(ToString::to_string))
    .bind(url.map(String::as_str))
    .bind(secret.cloned())
    .bind(secret.map(|secret| key_id(secret)).transpose()?)
    .bind(FIRST_VERSION)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    if let Some((acquirer, sealed)) = &new.acquirer {
        let statement = "INSERT INTO acquirer_credentials (account, acquirer, sealed, key_id, row_version) VALUES ($1, $2, $3, $4, $5)";
        sqlx::query(statement)
            .bind(new.name.to_string())
            .bind(*acquirer)
            .bind(sealed.clone())
            .bind(key_id(sealed)?)
            .bind(FIRST_VERSION)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The sealed secret of an account's webhooks.
///
/// # Errors
/// From the database.
pub async fn webhook_secret(on: impl Executor<'_, Database = Any>, name: &str) -> Result<Option<Sealed>, DbError> {
    let statement = "SELECT webhook_secret, row_version FROM accounts WHERE name = $1 AND webhook_secret IS NOT NULL";
    let row = sqlx::query(statement).bind(name).fetch_optional(on).await?;
    row.map(|row| sealed(&row)).transpose()
}

/// Where an account's webhooks go, and how they are written; `None` when it has no receiver.
///
/// # Errors
/// From the database.
pub async fn webhook(tx: &mut Tx, name: &str) -> Result<Option<(String, Format)>, DbError> {
    let statement = "SELECT webhook_url, webhook_format FROM accounts WHERE name = $1";
    let row = sqlx::query(statement).bind(name).fetch_one(&mut **tx).await?;
    let format: String = row.try_get(1)?;
    let format = format.parse().map_err(|_| DbError::Corrupt("webhook format"))?;
    Ok(row.try_get::<Option<String>, _>(0)?.map(|url| (url, format)))
}

/// The sealed credentials of an account at an acquirer.
///
/// # Errors
/// From the database.
pub async fn acquirer_credentials(db: &Db, name: &AccountName, acquirer: &str) -> Result<Option<Sealed>, DbError> {
    let statement = "SELECT sealed, row_version FROM acquirer_credentials WHERE account = $1 AND acquirer = $2";
    let row = sqlx::query(statement).bind(name.to_string()).bind(acquirer).fetch_optional(db.read()).await?;
    row.map(|row| sealed(&row)).transpose()
}

/// Replaces an account's credentials at an acquirer, in the caller's transaction; the new envelope is bound to the next row
/// version. `false` when somebody else has replaced them meanwhile.
///
/// # Errors
/// From the database.
pub async fn replace_acquirer_credentials(
    tx: &mut Tx,
    name: &AccountName,
    acquirer: &str,
    row_version: u64,
    sealed: &[u8],
) -> Result<bool, DbError> {
    let version = i64::try_from(row_version).map_err(|_| DbError::Corrupt("row version"))?;
    let done = sqlx::query(
        "UPDATE acquirer_credentials SET sealed = $4, key_id = $5, row_version = $3 + 1 \
         WHERE account = $1 AND acquirer = $2 AND row_version = $3",
    )
    .bind(name.to_string())
    .bind(acquirer)
    .bind(version)
    .bind(sealed.to_vec())
    .bind(key_id(sealed)?)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The data key that an envelope names, kept beside it: see the migration.
pub(super) fn key_id(envelope: &[u8]) -> Result<i64, DbError> {
    envelope::key_id_of(envelope).map(i64::from).map_err(|_| DbError::Corrupt("envelope"))
}

fn sealed(row: &AnyRow) -> Result<Sealed, DbError> {
    let version: i64 = row.try_get(1)?;
    let row_version = u64::try_from(version).map_err(|_| DbError::Corrupt("row version"))?;
    Ok(Sealed { envelope: row.try_get(0)?, row_version })
}

pub(super) fn account(row: &AnyRow) -> Result<Account, DbError> {
    fn parsed<T: FromStr>(text: &str, what: &'static str) -> Result<T, DbError> {
        text.parse().map_err(|_| DbError::Corrupt(what))
    }
    let text = |at: usize| row.try_get::<String, _>(at);
    Ok(Account {
        name: parsed(&text(0)?, "account name")?,
        role: parsed::<Role>(&text(1)?, "role")?,
        is_active: text(2)? == "active",
        display_name: text(3)?,
        currency: parsed(&text(4)?, "currency")?,
        psp: row.try_get::<Option<String>, _>(5)?.map(|psp| parsed(&psp, "PSP")).transpose()?,
        mode: parsed(&text(6)?, "authentication mode")?,
        credential_version: row.try_get(7)?,
        webhook_url: row.try_get(8)?,
        change_seq: row.try_get(9)?,
        created_at_ms: row.try_get(10)?,
        webhook_format: parsed(&text(11)?, "webhook format")?,
        webhook_strict: row.try_get::<i64, _>(12)? != 0,
        ping_url: row.try_get(13)?,
        three_d_secure: parsed(&text(14)?, "3-D Secure setting")?,
        text_on_statement: row.try_get(15)?,
    })
}
