//! The vault's tables. Nothing in them is secret without a threshold of shares.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{KeyKind, KeyState, ShareSet, VaultRecord, WrappedKey};
use crate::db::{Db, DbError, Kind, Tx};

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
    /// When the custodian first gave the right share.
    pub proved_at_ms: Option<i64>,
}

/// Reads what the vault starts from; `None` before the init ceremony.
///
/// # Errors
/// From the database, or when a row is not one of ours.
pub async fn load(db: &Db) -> Result<Option<VaultRecord>, DbError> {
    // Several statements, so another process may change the ring in between: the version says so.
    loop {
        let Some(record) = load_once(db).await? else { return Ok(None) };
        if version(db).await? == Some(record.version) {
            return Ok(Some(record));
        }
    }
}

/// The number of the stored record: when it is not that of the one in memory, it is time to reload.
///
/// # Errors
/// From the database.
pub async fn version(db: &Db) -> Result<Option<u64>, DbError> {
    let row = sqlx::query("SELECT ring_version FROM vault WHERE id = 1").fetch_optional(db.read()).await?;
    row.map(|row| unsigned(row.try_get(0)?, "ring version")).transpose()
}

async fn load_once(db: &Db) -> Result<Option<VaultRecord>, DbError> {
    let statement = "SELECT share_set, wrapped_root, ring_version FROM vault WHERE id = 1";
    let Some(row) = sqlx::query(statement).fetch_optional(db.read()).await? else { return Ok(None) };
    let share_set: String = row.try_get(0)?;
    let share_set: ShareSet = serde_json::from_str(&share_set).map_err(|_| DbError::Corrupt("share set"))?;
    let (wrapped_root, version) = (row.try_get(1)?, unsigned(row.try_get(2)?, "ring version")?);
    let statement = "SELECT kind, id, wrapped, state, created_at_ms FROM vault_keys ORDER BY kind, id";
    let rows = sqlx::query(statement).fetch_all(db.read()).await?;
    let keys = rows.iter().map(key).collect::<Result<_, _>>()?;
    let statement = "SELECT share_index FROM vault_shares WHERE set_id = $1 AND generation = $2 \
                     AND proved_at_ms IS NULL ORDER BY share_index";
    let rows = sqlx::query(statement)
        .bind(share_set.set_id().to_string())
        .bind(i64::from(share_set.generation()))
        .fetch_all(db.read())
        .await?;
    let unproved = rows.iter().map(|row| share_index(row.try_get(0)?)).collect::<Result<_, _>>()?;
    Ok(Some(VaultRecord { share_set, wrapped_root, keys, version, unproved }))
}

/// Stores a new vault with the sealed shares, in the caller's transaction.
///
/// # Errors
/// [`DbError::is_duplicate`] when there is a vault already.
pub async fn create(tx: &mut Tx, record: &VaultRecord, shares: &[SealedShare], now_ms: i64) -> Result<(), DbError> {
    sqlx::query("INSERT INTO vault (id, share_set, wrapped_root, created_at_ms) VALUES (1, $1, $2, $3)")
        .bind(share_set_text(&record.share_set)?)
        .bind(record.wrapped_root.clone())
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
    for key in &record.keys {
        add_key(tx, key).await?;
    }
    add_shares(tx, &record.share_set, shares).await
}

/// Keeps the shares of a dealing until their custodians have fetched them, and who has proved theirs.
///
/// # Errors
/// From the database.
pub async fn add_shares(tx: &mut Tx, set: &ShareSet, shares: &[SealedShare]) -> Result<(), DbError> {
    for share in shares {
        let statement = "INSERT INTO vault_shares (set_id, generation, share_index, name, recipient, sealed_share) \
                         VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(statement)
            .bind(set.set_id().to_string())
            .bind(i64::from(set.generation()))
            .bind(i64::from(share.index))
            .bind(share.custodian.as_str())
            .bind(share.recipient.as_str())
            .bind(share.armored.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Reads a dealing's shares, each as only its custodian can open it.
///
/// # Errors
/// From the database.
pub async fn sealed_shares(db: &Db, set: &ShareSet) -> Result<Vec<SealedShare>, DbError> {
    let statement = "SELECT share_index, name, recipient, sealed_share, proved_at_ms FROM vault_shares \
                     WHERE set_id = $1 AND generation = $2 ORDER BY share_index";
    let rows = sqlx::query(statement)
        .bind(set.set_id().to_string())
        .bind(i64::from(set.generation()))
        .fetch_all(db.read())
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SealedShare {
                index: share_index(row.try_get(0)?)?,
                custodian: row.try_get(1)?,
                recipient: row.try_get(2)?,
                armored: row.try_get(3)?,
                proved_at_ms: row.try_get(4)?,
            })
        })
        .collect()
}

/// Writes down that a custodian gave the right share; `false` when that was known.
///
/// # Errors
/// From the database.
pub async fn prove(tx: &mut Tx, set: &ShareSet, index: u8, now_ms: i64) -> Result<bool, DbError> {
    let statement = "UPDATE vault_shares SET proved_at_ms = $4 \
                     WHERE set_id = $1 AND generation = $2 AND share_index = $3 AND proved_at_ms IS NULL";
    let done = sqlx::query(statement)
        .bind(set.set_id().to_string())
        .bind(i64::from(set.generation()))
        .bind(i64::from(index))
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// How many custodians of a dealing have still to prove their share.
///
/// # Errors
/// From the database.
pub async fn unproved(tx: &mut Tx, set: &ShareSet) -> Result<i64, DbError> {
    let statement = "SELECT COUNT(*) FROM vault_shares WHERE set_id = $1 AND generation = $2 AND proved_at_ms IS NULL";
    let query = sqlx::query(statement).bind(set.set_id().to_string()).bind(i64::from(set.generation()));
    Ok(query.fetch_one(&mut **tx).await?.try_get(0)?)
}

/// Counts the stored record on, if it is still the one that the change was made from: `false` when another process was
/// first. Everything that changes the record does this in its transaction.
///
/// # Errors
/// From the database.
pub async fn advance(tx: &mut Tx, from: u64) -> Result<bool, DbError> {
    let statement = "UPDATE vault SET ring_version = ring_version + 1 WHERE id = 1 AND ring_version = $1";
    let done = sqlx::query(statement).bind(signed(from)).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Makes whoever changes the record wait for the end of this transaction; `false` when it is another one by now. For
/// work that must not be done with a ring of before.
///
/// # Errors
/// From the database.
pub async fn hold(tx: &mut Tx, version: u64) -> Result<bool, DbError> {
    let statement = "UPDATE vault SET ring_version = ring_version WHERE id = 1 AND ring_version = $1";
    Ok(sqlx::query(statement).bind(signed(version)).execute(&mut **tx).await?.rows_affected() == 1)
}

/// Adds a key to the ring.
///
/// # Errors
/// [`DbError::is_duplicate`] when another process was first.
pub async fn add_key(tx: &mut Tx, key: &WrappedKey) -> Result<(), DbError> {
    if let Some(statement) = live_key(key.kind) {
        sqlx::query(statement.insert).bind(i64::from(key.id)).execute(&mut **tx).await?;
    }
    let statement = "INSERT INTO vault_keys (kind, id, wrapped, state, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
    insert_wrapped(tx, statement, key).await
}

/// Into the ring, or into the ring of a re-share: the columns are the same.
pub(super) async fn insert_wrapped(tx: &mut Tx, statement: &'static str, key: &WrappedKey) -> Result<(), DbError> {
    sqlx::query(statement)
        .bind(key.kind.as_str())
        .bind(i64::from(key.id))
        .bind(key.wrapped.clone())
        .bind(key.state.as_str())
        .bind(signed(key.created_at_ms))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes a key's row anew: retired, or under another root key.
///
/// # Errors
/// From the database.
pub async fn replace_key(tx: &mut Tx, key: &WrappedKey) -> Result<(), DbError> {
    let done = sqlx::query("UPDATE vault_keys SET wrapped = $3, state = $4 WHERE kind = $1 AND id = $2")
        .bind(key.kind.as_str())
        .bind(i64::from(key.id))
        .bind(key.wrapped.clone())
        .bind(key.state.as_str())
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(DbError::Corrupt("ring: a key is missing")) }
}

/// Ends a key for good. The database refuses it while a record names the key, whatever another process does meanwhile.
///
/// # Errors
/// [`DbError::is_still_referenced`].
pub async fn destroy_key(tx: &mut Tx, key: &WrappedKey) -> Result<(), DbError> {
    if let Some(statement) = live_key(key.kind) {
        sqlx::query(statement.delete).bind(i64::from(key.id)).execute(&mut **tx).await?;
    }
    replace_key(tx, key).await
}

/// Adds to the count of a data key.
///
/// # Errors
/// From the database.
pub async fn add_uses(db: &Db, id: u32, uses: u64) -> Result<(), DbError> {
    sqlx::query("UPDATE vault_keys SET uses = uses + $2 WHERE kind = 'data' AND id = $1")
        .bind(i64::from(id))
        .bind(signed(uses))
        .execute(db.write())
        .await?;
    Ok(())
}

/// How often a data key has sealed, at least as often as it has.
///
/// # Errors
/// From the database.
pub async fn uses(db: &Db, id: u32) -> Result<u64, DbError> {
    let statement = "SELECT uses FROM vault_keys WHERE kind = 'data' AND id = $1";
    let row = sqlx::query(statement).bind(i64::from(id)).fetch_optional(db.read()).await?;
    row.map_or(Ok(0), |row| unsigned(row.try_get(0)?, "key uses"))
}

/// After a key was destroyed or wrapped anew: PostgreSQL keeps the old row's bytes until a vacuum, which it does not
/// do by itself for so few rows. SQLite has overwritten them (`secure_delete`). What is in the write-ahead log, in
/// replicas' logs and in backups stays there for its time.
///
/// # Errors
/// From the database.
pub async fn forget_old_rows(db: &Db) -> Result<(), DbError> {
    match db.kind() {
        Kind::Postgres => {
            sqlx::query("VACUUM vault, vault_keys, vault_reshare, vault_reshare_keys").execute(db.write()).await?
        }
        Kind::Sqlite => sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(db.write()).await?,
    };
    Ok(())
}

pub(super) fn key(row: &AnyRow) -> Result<WrappedKey, DbError> {
    let (kind, state): (String, String) = (row.try_get(0)?, row.try_get(3)?);
    let id: i64 = row.try_get(1)?;
    Ok(WrappedKey {
        kind: kind.parse::<KeyKind>().map_err(|_| DbError::Corrupt("key kind"))?,
        id: u32::try_from(id).map_err(|_| DbError::Corrupt("key id"))?,
        wrapped: row.try_get(2)?,
        created_at_ms: unsigned(row.try_get(4)?, "key time")?,
        state: state.parse::<KeyState>().map_err(|_| DbError::Corrupt("key state"))?,
    })
}

pub(super) fn share_set_text(set: &ShareSet) -> Result<String, DbError> {
    serde_json::to_string(set).map_err(|_| DbError::Corrupt("share set"))
}

fn share_index(index: i64) -> Result<u8, DbError> {
    u8::try_from(index).map_err(|_| DbError::Corrupt("share index"))
}

pub(super) fn unsigned(value: i64, what: &'static str) -> Result<u64, DbError> {
    u64::try_from(value).map_err(|_| DbError::Corrupt(what))
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Keys that records name are listed apart: see the migration.
struct LiveKey {
    insert: &'static str,
    delete: &'static str,
}

const fn live_key(kind: KeyKind) -> Option<LiveKey> {
    match kind {
        KeyKind::Data => Some(LiveKey {
            insert: "INSERT INTO vault_data_keys (id) VALUES ($1)",
            delete: "DELETE FROM vault_data_keys WHERE id = $1",
        }),
        KeyKind::Fingerprint => Some(LiveKey {
            insert: "INSERT INTO vault_fingerprint_keys (id) VALUES ($1)",
            delete: "DELETE FROM vault_fingerprint_keys WHERE id = $1",
        }),
        _ => None,
    }
}
