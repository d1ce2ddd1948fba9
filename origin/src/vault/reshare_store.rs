//! The re-share under way, as it is stored: at most one, by the database's word.

use sqlx::Row;

use super::store::{insert_wrapped, key, replace_key, share_set_text, signed, unsigned};
use super::{KeyState, ShareSet, Staged, WrappedKey, store};
use crate::db::{Db, DbError, Tx};

/// A re-share that was started.
#[derive(Debug)]
pub struct Ceremony {
    /// Names it; custodians give it with their shares.
    pub nonce: String,
    /// The operator.
    pub started_by: String,
    /// Unix milliseconds.
    pub started_at_ms: u64,
    /// Whether root and data keys are replaced too.
    pub compromised: bool,
    /// JSON: threshold and custodians. Frozen.
    pub plan: String,
    /// By which it is known again.
    pub plan_seal: Vec<u8>,
    /// What was dealt, once a threshold of the present custodians has agreed.
    pub dealt: Option<Dealt>,
}

/// What waits for its proofs.
#[derive(Debug)]
pub struct Dealt {
    /// The new set.
    pub share_set: ShareSet,
    /// The same as it is stored.
    pub share_set_text: String,
    /// The root key under the new unseal key.
    pub wrapped_root: Vec<u8>,
    /// Empty where the root key stays.
    pub ring: Vec<WrappedKey>,
    /// By which it is known again.
    pub seal: Vec<u8>,
}

impl Dealt {
    /// What the seal covers.
    #[must_use]
    pub fn staged(&self) -> Staged<'_> {
        Staged { share_set: &self.share_set_text, wrapped_root: &self.wrapped_root, ring: &self.ring }
    }
}

/// Reads the re-share under way.
///
/// # Errors
/// From the database, or when a row is not one of ours.
pub async fn find(db: &Db) -> Result<Option<Ceremony>, DbError> {
    let statement = "SELECT nonce, started_by, started_at_ms, compromised, plan, share_set, wrapped_root, seal, plan_seal \
                     FROM vault_reshare WHERE id = 1";
    let Some(row) = sqlx::query(statement).fetch_optional(db.read()).await? else { return Ok(None) };
    let share_set: Option<String> = row.try_get(5)?;
    let dealt = match share_set {
        Some(share_set_text) => Some(Dealt {
            share_set: serde_json::from_str(&share_set_text).map_err(|_| DbError::Corrupt("share set"))?,
            share_set_text,
            wrapped_root: row.try_get(6)?,
            seal: row.try_get(7)?,
            ring: ring(db).await?,
        }),
        None => None,
    };
    Ok(Some(Ceremony {
        nonce: row.try_get(0)?,
        started_by: row.try_get(1)?,
        started_at_ms: unsigned(row.try_get(2)?, "ceremony time")?,
        compromised: row.try_get::<i64, _>(3)? != 0,
        plan: row.try_get(4)?,
        plan_seal: row.try_get(8)?,
        dealt,
    }))
}

/// Starts one.
///
/// # Errors
/// [`DbError::is_duplicate`] when one is under way.
pub async fn start(tx: &mut Tx, ceremony: &Ceremony) -> Result<(), DbError> {
    let statement = "INSERT INTO vault_reshare (id, nonce, started_by, started_at_ms, compromised, plan, plan_seal) \
                     VALUES (1, $1, $2, $3, $4, $5, $6)";
    sqlx::query(statement)
        .bind(ceremony.nonce.as_str())
        .bind(ceremony.started_by.as_str())
        .bind(signed(ceremony.started_at_ms))
        .bind(i64::from(ceremony.compromised))
        .bind(ceremony.plan.as_str())
        .bind(ceremony.plan_seal.clone())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Stores what was dealt; `false` when this ceremony does not wait for it any more.
///
/// # Errors
/// From the database.
pub async fn deal(tx: &mut Tx, nonce: &str, dealt: &Dealt) -> Result<bool, DbError> {
    let statement = "UPDATE vault_reshare SET share_set = $2, wrapped_root = $3, seal = $4 \
                     WHERE id = 1 AND nonce = $1 AND share_set IS NULL";
    let done = sqlx::query(statement)
        .bind(nonce)
        .bind(dealt.share_set_text.as_str())
        .bind(dealt.wrapped_root.clone())
        .bind(dealt.seal.clone())
        .execute(&mut **tx)
        .await?;
    for key in &dealt.ring {
        let statement = "INSERT INTO vault_reshare_keys (kind, id, wrapped, state, created_at_ms) \
                         VALUES ($1, $2, $3, $4, $5)";
        insert_wrapped(tx, statement, key).await?;
    }
    Ok(done.rows_affected() == 1)
}

/// Makes another process that works on the same re-share wait for this transaction; `false` when it is gone.
///
/// # Errors
/// From the database.
pub async fn lock(tx: &mut Tx, nonce: &str) -> Result<bool, DbError> {
    let statement = "UPDATE vault_reshare SET nonce = nonce WHERE id = 1 AND nonce = $1";
    Ok(sqlx::query(statement).bind(nonce).execute(&mut **tx).await?.rows_affected() == 1)
}

/// Puts what was dealt into effect, in one transaction with the last proof; `false` when the vault is not the one that
/// it was dealt for. `known`: the keys that the ring had so far.
///
/// # Errors
/// From the database.
pub async fn switch(
    tx: &mut Tx,
    from_version: u64,
    known: &[WrappedKey],
    nonce: &str,
    dealt: &Dealt,
) -> Result<bool, DbError> {
    let is_staged = |key: &WrappedKey| dealt.ring.iter().any(|staged| (staged.kind, staged.id) == (key.kind, key.id));
    // A key that was made after the dealing would stay under the root key that ends here, and open never again.
    if !dealt.ring.is_empty() && !known.iter().all(is_staged) {
        return Ok(false);
    }
    let done = sqlx::query(
        "UPDATE vault SET share_set = $2, wrapped_root = $3, ring_version = ring_version + 1 \
         WHERE id = 1 AND ring_version = $1",
    )
    .bind(signed(from_version))
    .bind(share_set_text(&dealt.share_set)?)
    .bind(dealt.wrapped_root.clone())
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    for key in &dealt.ring {
        if known.iter().any(|known| (known.kind, known.id) == (key.kind, key.id)) {
            if key.state != KeyState::Destroyed {
                replace_key(tx, key).await?;
            }
        } else {
            store::add_key(tx, key).await?;
        }
    }
    // The shares before it open nothing any more, but an old backup: they are not kept.
    let set = &dealt.share_set;
    sqlx::query("DELETE FROM vault_shares WHERE set_id <> $1 OR generation <> $2")
        .bind(set.set_id().to_string())
        .bind(i64::from(set.generation()))
        .execute(&mut **tx)
        .await?;
    remove(tx, nonce).await
}

/// Drops a re-share with the shares that were dealt in it; `false` when it is gone already.
///
/// # Errors
/// From the database.
pub async fn cancel(tx: &mut Tx, ceremony: &Ceremony) -> Result<bool, DbError> {
    if let Some(dealt) = &ceremony.dealt {
        sqlx::query("DELETE FROM vault_shares WHERE set_id = $1 AND generation = $2")
            .bind(dealt.share_set.set_id().to_string())
            .bind(i64::from(dealt.share_set.generation()))
            .execute(&mut **tx)
            .await?;
    }
    remove(tx, &ceremony.nonce).await
}

async fn remove(tx: &mut Tx, nonce: &str) -> Result<bool, DbError> {
    sqlx::query("DELETE FROM vault_reshare_keys").execute(&mut **tx).await?;
    let statement = "DELETE FROM vault_reshare WHERE id = 1 AND nonce = $1";
    let done = sqlx::query(statement).bind(nonce).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

async fn ring(db: &Db) -> Result<Vec<WrappedKey>, DbError> {
    let statement = "SELECT kind, id, wrapped, state, created_at_ms FROM vault_reshare_keys ORDER BY kind, id";
    sqlx::query(statement).fetch_all(db.read()).await?.iter().map(key).collect()
}
