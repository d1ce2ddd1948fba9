//! Nonces that were seen: a signed request is taken once.
//!
//! One process keeps them in memory, in two halves that are swapped, so that forgetting costs nothing. Several origins
//! on one PostgreSQL share them in an unlogged table: a crash empties it, which is safe, because a process refuses what
//! was signed before it started.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use scanvault_protocol::link::{NONCE_BYTES, NONCE_TTL_SECS};

use crate::db::{Db, DbError, Kind};

type Nonce = [u8; NONCE_BYTES];

/// More requests than this within the time that nonces are kept are refused rather than risked: about 32 MB.
const MAX_REMEMBERED: usize = 1_000_000;

/// The nonces of this process, and of the region's others where they share a database.
pub struct Nonces {
    local: Mutex<Halves>,
    shared: Option<Db>,
}

struct Halves {
    current: HashSet<Nonce>,
    previous: HashSet<Nonce>,
    swap_at_secs: u64,
}

impl Nonces {
    /// For a process on this database.
    #[must_use]
    pub fn new(db: &Db) -> Self {
        let halves = Halves { current: HashSet::new(), previous: HashSet::new(), swap_at_secs: 0 };
        Self { local: Mutex::new(halves), shared: (db.kind() == Kind::Postgres).then(|| db.clone()) }
    }

    /// Takes a nonce; `false` when it was taken before (or when there is no room to remember it).
    ///
    /// # Errors
    /// When the shared table cannot be written: the request must then be refused.
    pub async fn take(&self, nonce: &Nonce, now_secs: u64) -> Result<bool, DbError> {
        if !self.take_locally(nonce, now_secs) {
            return Ok(false);
        }
        let Some(db) = &self.shared else { return Ok(true) };
        let expires_at_ms = i64::try_from((now_secs + NONCE_TTL_SECS) * 1000).unwrap_or(i64::MAX);
        let text: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let done = sqlx::query("INSERT INTO link_nonces (nonce, expires_at_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(text)
            .bind(expires_at_ms)
            .execute(db.write())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes what has expired from the shared table; called now and then.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn sweep(&self, now_secs: u64) -> Result<(), DbError> {
        let Some(db) = &self.shared else { return Ok(()) };
        let now_ms = i64::try_from(now_secs * 1000).unwrap_or(i64::MAX);
        sqlx::query("DELETE FROM link_nonces WHERE expires_at_ms < $1").bind(now_ms).execute(db.write()).await?;
        Ok(())
    }

    fn take_locally(&self, nonce: &Nonce, now_secs: u64) -> bool {
        let mut halves = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        if now_secs >= halves.swap_at_secs {
            // What is in `previous` after this is at most two half-lives old, and at least one: kept long enough.
            halves.previous = std::mem::take(&mut halves.current);
            if now_secs >= halves.swap_at_secs + NONCE_TTL_SECS {
                halves.previous = HashSet::new();
            }
            halves.swap_at_secs = now_secs + NONCE_TTL_SECS;
        }
        if halves.previous.contains(nonce) || halves.current.len() >= MAX_REMEMBERED {
            return false;
        }
        halves.current.insert(*nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_nonce_is_taken_once_for_as_long_as_it_could_be_replayed() {
        let nonces = Nonces::new(&Db::open("sqlite::memory:").await.unwrap());
        for start in [1_000_u64, 1_029, 1_089, 1_500] {
            let nonce = [u8::try_from(start % 251).unwrap(); 16];
            assert!(nonces.take(&nonce, start).await.unwrap());
            for later in [0, 1, 30, 60, NONCE_TTL_SECS] {
                assert!(!nonces.take(&nonce, start + later).await.unwrap(), "{start} + {later}");
            }
        }
    }

    #[tokio::test]
    async fn old_nonces_are_forgotten() {
        let nonces = Nonces::new(&Db::open("sqlite::memory:").await.unwrap());
        assert!(nonces.take(&[1; 16], 1_000).await.unwrap());
        assert!(nonces.take(&[1; 16], 1_000 + 3 * NONCE_TTL_SECS).await.unwrap());
    }
}
