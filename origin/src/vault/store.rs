//! The vault's tables. Nothing in them is secret without a threshold of shares.

use sqlx::Row;

use super::{KeyKind, KeyState, ShareSet, VaultRecord, WrappedKey};
use crate::db::{Db, DbError, Tx};

/// A share as it is kept until its custodian has fetched it: only they can open it.
#[derive(Clone, Debug)]
pub struct SealedShare {
    /// The share's index, from 1.
    pub index: u8,
    /// The custodian's name.
    pub custodian: String,
    /// Their age or ssh public key.
    pub recipient: String,
    /// Armored age file.
    pub armored: String,
}

/// Reads what the vault starts from; `None` before the init ceremony.
///
/// # Errors
/// From the database, or when a row is not one of ours.
pub async fn load(db: &Db) -> Result<Option<VaultRecord>, DbError> {
    let statement = "SELECT share_set, wrapped_root FROM vault WHERE id = 1";
    let Some(row) = sqlx::query(statement).fetch_optional(db.read()).await? else { return Ok(None) };
    let share_set: String = row.try_get(0)?;
    let share_set: ShareSet = serde_json::from_str(&share_set).map_err(|_| DbError::Corrupt("share set"))?;
    let wrapped_root = row.try_get(1)?;
    let statement = "SELECT kind, id, wrapped, state, created_at_ms FROM vault_keys ORDER BY kind, id";
    let mut keys = Vec::new();
    for row in sqlx::query(statement).fetch_all(db.read()).await? {
        let (kind, state): (String, String) = (row.try_get(0)?, row.try_get(3)?);
        let (id, created): (i64, i64) = (row.try_get(1)?, row.try_get(4)?);
        keys.push(WrappedKey {
            kind: kind.parse::<KeyKind>().map_err(|_| DbError::Corrupt("key kind"))?,
            id: u32::try_from(id).map_err(|_| DbError::Corrupt("key id"))?,
            wrapped: row.try_get(2)?,
            created_at_ms: u64::try_from(created).map_err(|_| DbError::Corrupt("key time"))?,
            state: state.parse::<KeyState>().map_err(|_| DbError::Corrupt("key state"))?,
        });
    }
    Ok(Some(VaultRecord { share_set, wrapped_root, keys }))
}

/// Stores a new vault with the sealed shares, all or nothing.
///
/// # Errors
/// [`DbError::is_duplicate`] when there is a vault already.
pub async fn create(db: &Db, record: &VaultRecord, shares: &[SealedShare], now_ms: i64) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let share_set = serde_json::to_string(&record.share_set).map_err(|_| DbError::Corrupt("share set"))?;
    sqlx::query("INSERT INTO vault (id, share_set, wrapped_root, created_at_ms) VALUES (1, $1, $2, $3)")
        .bind(share_set)
        .bind(record.wrapped_root.clone())
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
    for key in &record.keys {
        add_key(&mut tx, key).await?;
    }
    for share in shares {
        let statement = "INSERT INTO vault_shares (set_id, generation, share_index, name, recipient, sealed_share) \
                         VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(statement)
            .bind(record.share_set.set_id().to_string())
            .bind(i64::from(record.share_set.generation()))
            .bind(i64::from(share.index))
            .bind(share.custodian.as_str())
            .bind(share.recipient.as_str())
            .bind(share.armored.as_str())
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Reads the present set's shares, each as only its custodian can open it.
///
/// # Errors
/// From the database.
pub async fn sealed_shares(db: &Db) -> Result<Vec<SealedShare>, DbError> {
    let Some(record) = load(db).await? else { return Ok(Vec::new()) };
    let statement = "SELECT share_index, name, recipient, sealed_share FROM vault_shares \
                     WHERE set_id = $1 AND generation = $2 ORDER BY share_index";
    let rows = sqlx::query(statement)
        .bind(record.share_set.set_id().to_string())
        .bind(i64::from(record.share_set.generation()))
        .fetch_all(db.read())
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SealedShare {
                index: u8::try_from(row.try_get::<i64, _>(0)?).map_err(|_| DbError::Corrupt("share index"))?,
                custodian: row.try_get(1)?,
                recipient: row.try_get(2)?,
                armored: row.try_get(3)?,
            })
        })
        .collect()
}

async fn add_key(tx: &mut Tx, key: &WrappedKey) -> Result<(), DbError> {
    if let Some(statement) = live_key_statement(key.kind) {
        sqlx::query(statement).bind(i64::from(key.id)).execute(&mut **tx).await?;
    }
    sqlx::query("INSERT INTO vault_keys (kind, id, wrapped, state, created_at_ms) VALUES ($1, $2, $3, $4, $5)")
        .bind(key.kind.as_str())
        .bind(i64::from(key.id))
        .bind(key.wrapped.clone())
        .bind(key.state.as_str())
        .bind(i64::try_from(key.created_at_ms).unwrap_or(i64::MAX))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keys that records name are listed apart: see the migration.
const fn live_key_statement(kind: KeyKind) -> Option<&'static str> {
    match kind {
        KeyKind::Data => Some("INSERT INTO vault_data_keys (id) VALUES ($1)"),
        KeyKind::Fingerprint => Some("INSERT INTO vault_fingerprint_keys (id) VALUES ($1)"),
        _ => None,
    }
}
