//! Sessions: what a token stands on. A token counts while its session has not ended and the account's credential version
//! is still the one that it was made under.

use scanvault_protocol::AccountName;
use sqlx::{Any, Executor, Row};

use crate::db::{Db, DbError, Tx};
use crate::entropy::{Entropy, EntropyError};

/// How long a session that is over is kept, for whoever looks into the database. Nothing reads it.
const KEEP_MS: i64 = 60 * 60 * 1000;

/// A session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// A UUID: the token's `jti`.
    pub id: String,
    /// Whose it is.
    pub account: AccountName,
    /// The account's when it was made.
    pub credential_version: i64,
    /// When it was made, in Unix milliseconds.
    pub created_at_ms: i64,
    /// When it ends by itself, in Unix milliseconds.
    pub expires_at_ms: i64,
    /// When it was ended; `None`: it was not.
    pub ended_at_ms: Option<i64>,
}

/// Draws the id of a new session: a random UUID (RFC 9562 §5.4).
///
/// # Errors
/// When there are no random bytes.
pub fn new_id(entropy: &mut dyn Entropy) -> Result<String, EntropyError> {
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    let number = u128::from_be_bytes(random);
    let versioned = number & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{versioned:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    Ok(groups.join("-"))
}

/// Adds a session.
///
/// # Errors
/// From the database.
pub async fn add(tx: &mut Tx, session: &Session) -> Result<(), DbError> {
    let statement = "INSERT INTO sessions (id, account, credential_version, created_at_ms, expires_at_ms) \
                     VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(statement)
        .bind(session.id.as_str())
        .bind(session.account.to_string())
        .bind(session.credential_version)
        .bind(session.created_at_ms)
        .bind(session.expires_at_ms)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Reads a session, over or not, within a transaction or without.
///
/// # Errors
/// From the database.
pub async fn find(on: impl Executor<'_, Database = Any>, id: &str) -> Result<Option<Session>, DbError> {
    let statement =
        "SELECT account, credential_version, created_at_ms, expires_at_ms, ended_at_ms FROM sessions WHERE id = $1";
    let Some(row) = sqlx::query(statement).bind(id).fetch_optional(on).await? else { return Ok(None) };
    let account: String = row.try_get(0)?;
    Ok(Some(Session {
        id: id.to_owned(),
        account: account.parse().map_err(|_| DbError::Corrupt("account name"))?,
        credential_version: row.try_get(1)?,
        created_at_ms: row.try_get(2)?,
        expires_at_ms: row.try_get(3)?,
        ended_at_ms: row.try_get(4)?,
    }))
}

/// Ends a session of this account; `false` when it has no such session, or it is over already.
///
/// # Errors
/// From the database.
pub async fn end(tx: &mut Tx, id: &str, account: &AccountName, now_ms: i64) -> Result<bool, DbError> {
    let statement = "UPDATE sessions SET ended_at_ms = $3 WHERE id = $1 AND account = $2 AND ended_at_ms IS NULL \
                     AND expires_at_ms > $3";
    let query = sqlx::query(statement).bind(id).bind(account.to_string()).bind(now_ms);
    Ok(query.execute(&mut **tx).await?.rows_affected() > 0)
}

/// Removes sessions that have been over for a while; answers how many.
///
/// # Errors
/// From the database.
pub async fn sweep(db: &Db, now_ms: i64) -> Result<u64, DbError> {
    let statement = "DELETE FROM sessions WHERE expires_at_ms < $1";
    Ok(sqlx::query(statement).bind(now_ms.saturating_sub(KEEP_MS)).execute(db.write()).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use scanvault_protocol::token::is_session_id;

    use super::*;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            out.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn ids_are_random_uuids() {
        assert_eq!(new_id(&mut Fixed(0)).unwrap(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(new_id(&mut Fixed(0xff)).unwrap(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert!(is_session_id(&new_id(&mut Fixed(0xab)).unwrap()));
    }
}
