//! Seals the accounts' secrets anew, under the data key in use; the cards' counterpart is [`crate::vault::recrypt`].

use sqlx::Row;

use super::secrets::{acquirer_context, webhook_context};
use crate::db::{Db, DbError, Tx};
use crate::vault::recrypt::Batch;
use crate::vault::{Entropy, EnvelopeError, RecordContext, Unsealed};

/// A table with secrets of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Webhook secrets.
    Accounts,
    /// Credentials at acquirers.
    AcquirerCredentials,
}

/// How many of them name each data key.
///
/// # Errors
/// From the database.
pub async fn in_use(db: &Db) -> Result<Vec<(u32, u64)>, DbError> {
    let mut found = Vec::new();
    for statement in [
        "SELECT webhook_key_id, COUNT(*) FROM accounts WHERE webhook_key_id IS NOT NULL GROUP BY webhook_key_id",
        "SELECT key_id, COUNT(*) FROM acquirer_credentials GROUP BY key_id",
    ] {
        for row in sqlx::query(statement).fetch_all(db.read()).await? {
            let (id, count): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let id = u32::try_from(id).map_err(|_| DbError::Corrupt("key id"))?;
            found.push((id, u64::try_from(count).unwrap_or(0)));
        }
    }
    Ok(found)
}

/// Whether an envelope itself names a data key, whatever the column beside it says.
///
/// # Errors
/// From the database.
pub async fn is_named_in_an_envelope(db: &Db, id: u32) -> Result<bool, DbError> {
    for statement in [
        "SELECT name FROM accounts WHERE substr(webhook_secret, 2, 4) = $1 LIMIT 1",
        "SELECT account FROM acquirer_credentials WHERE substr(sealed, 2, 4) = $1 LIMIT 1",
    ] {
        let id = id.to_be_bytes().to_vec();
        if sqlx::query(statement).bind(id).fetch_optional(db.read()).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Seals the next records of a table after the row `after`, at most `limit`.
///
/// # Errors
/// From the database.
pub async fn batch(
    tx: &mut Tx,
    table: Table,
    unsealed: &Unsealed,
    after: &str,
    limit: u32,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Batch, DbError> {
    let select = match table {
        Table::Accounts => {
            "SELECT name, name, webhook_secret, row_version, name FROM accounts WHERE name > $1 \
             AND webhook_key_id <> $2 ORDER BY name LIMIT $3"
        }
        // The two parts of the key as one cursor; an account's name has no space.
        Table::AcquirerCredentials => {
            "SELECT account, acquirer, sealed, row_version, account || ' ' || acquirer FROM acquirer_credentials \
             WHERE account || ' ' || acquirer > $1 AND key_id <> $2 ORDER BY account || ' ' || acquirer LIMIT $3"
        }
    };
    let active = i64::from(unsealed.current_data_key_id());
    let rows = sqlx::query(select).bind(after).bind(active).bind(i64::from(limit)).fetch_all(&mut **tx).await?;
    let mut batch = Batch::default();
    for row in &rows {
        let (account, name, version): (String, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(3)?);
        let sealed: Vec<u8> = row.try_get(2)?;
        batch.last = Some(row.try_get(4)?);
        match sealed_anew(table, unsealed, &account, &name, version, &sealed, entropy) {
            Ok(anew) => {
                store(tx, table, &account, &name, version, anew, active).await?;
                batch.done += 1;
            }
            Err(cause) => {
                tracing::error!(?table, account, %cause, "a record does not open");
                batch.failed += 1;
            }
        }
    }
    Ok(batch)
}

fn sealed_anew(
    table: Table,
    unsealed: &Unsealed,
    account: &str,
    name: &str,
    version: i64,
    sealed: &[u8],
    entropy: &mut (dyn Entropy + Send),
) -> Result<Vec<u8>, EnvelopeError> {
    let version = u64::try_from(version).unwrap_or(0);
    let plain = unsealed.open_record(&place(table, account, name, version), sealed)?;
    unsealed.seal_record(&place(table, account, name, version + 1), &plain, entropy)
}

fn place<'a>(table: Table, account: &'a str, name: &'a str, version: u64) -> RecordContext<'a> {
    match table {
        Table::Accounts => webhook_context(account, version),
        Table::AcquirerCredentials => acquirer_context(account, name, version),
    }
}

async fn store(
    tx: &mut Tx,
    table: Table,
    account: &str,
    name: &str,
    version: i64,
    anew: Vec<u8>,
    key_id: i64,
) -> Result<(), DbError> {
    let statement = match table {
        Table::Accounts => {
            "UPDATE accounts SET webhook_secret = $4, webhook_key_id = $5, row_version = row_version + 1 \
             WHERE name = $1 AND name = $2 AND row_version = $3"
        }
        Table::AcquirerCredentials => {
            "UPDATE acquirer_credentials SET sealed = $4, key_id = $5, row_version = row_version + 1 \
             WHERE account = $1 AND acquirer = $2 AND row_version = $3"
        }
    };
    sqlx::query(statement).bind(account).bind(name).bind(version).bind(anew).bind(key_id).execute(&mut **tx).await?;
    Ok(())
}
