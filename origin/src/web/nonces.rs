//! Nonces that were seen: a signed request is taken once.
//!
//! One process keeps them in memory, in two halves that are swapped, so that forgetting costs nothing. Several origins
//! on one PostgreSQL share them in an unlogged table: a crash empties it, which is safe, because a process refuses what
//! was signed before it started. Requests that arrive together are written there in one statement.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use scanvault_protocol::link::{NONCE_BYTES, NONCE_TTL_SECS};
use sqlx::Row;

use crate::batch::{BatchError, Batcher};
use crate::db::padded::{Padded, pad};
use crate::db::{Db, DbError, Kind};

type Nonce = [u8; NONCE_BYTES];

/// More requests than this within the time that nonces are kept are refused rather than risked: about 32 MB.
const MAX_REMEMBERED: usize = 1_000_000;

/// The nonces of this process, and of the region's others where they share a database.
pub struct Nonces {
    local: Mutex<Halves>,
    shared: Option<Shared>,
}

/// The table, and the worker that writes to it.
struct Shared {
    db: Db,
    writer: Batcher<(Nonce, i64), Result<bool, NotRecorded>>,
}

/// The shared table could not be written: the request must be refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotRecorded {
    /// The database's word, said to all of the group.
    #[error("{0}")]
    Db(String),
    /// Too many wait, or the worker has stopped.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

static INSERT: Padded =
    Padded::rows("INSERT INTO link_nonces (nonce, expires_at_ms) VALUES", 2, "ON CONFLICT DO NOTHING RETURNING nonce");

struct Halves {
    current: HashSet<Nonce>,
    previous: HashSet<Nonce>,
    swap_at_secs: u64,
}

impl Nonces {
    /// For a process on this database. On PostgreSQL it starts a worker: within a runtime only.
    #[must_use]
    pub fn new(db: &Db) -> Self {
        let halves = Halves { current: HashSet::new(), previous: HashSet::new(), swap_at_secs: 0 };
        let shared = (db.kind() == Kind::Postgres).then(|| {
            let worker = db.clone();
            let writer = Batcher::start(None, move |group| record(worker.clone(), group));
            Shared { db: db.clone(), writer }
        });
        Self { local: Mutex::new(halves), shared }
    }

    /// Takes a nonce; `false` when it was taken before (or when there is no room to remember it).
    ///
    /// # Errors
    /// When the shared table cannot be written: the request must then be refused.
    pub async fn take(&self, nonce: &Nonce, now_secs: u64) -> Result<bool, NotRecorded> {
        if !self.take_locally(nonce, now_secs) {
            return Ok(false);
        }
        let Some(shared) = &self.shared else { return Ok(true) };
        let expires_at_ms = i64::try_from((now_secs + NONCE_TTL_SECS) * 1000).unwrap_or(i64::MAX);
        shared.writer.submit((*nonce, expires_at_ms)).await?
    }

    /// Removes what has expired from the shared table; called now and then.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn sweep(&self, now_secs: u64) -> Result<(), DbError> {
        let Some(Shared { db, .. }) = &self.shared else { return Ok(()) };
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

/// Writes a group's nonces; says of each whether it was new. Within a process a nonce comes here once.
async fn record(db: Db, group: Vec<(Nonce, i64)>) -> Vec<Result<bool, NotRecorded>> {
    let rows: Vec<(String, i64)> = group
        .iter()
        .map(|(nonce, expires_at_ms)| (nonce.iter().map(|byte| format!("{byte:02x}")).collect(), *expires_at_ms))
        .collect();
    let (text, size) = INSERT.text(rows.len());
    let mut query = sqlx::query(text);
    for (nonce, expires_at_ms) in pad(&rows, size) {
        query = query.bind(nonce.clone()).bind(*expires_at_ms);
    }
    let new: Result<HashSet<String>, sqlx::Error> = match query.fetch_all(db.write()).await {
        Ok(found) => found.iter().map(|row| row.try_get(0)).collect(),
        Err(error) => Err(error),
    };
    match new {
        Ok(new) => rows.iter().map(|(nonce, _)| Ok(new.contains(nonce))).collect(),
        Err(error) => vec![Err(NotRecorded::Db(DbError::from(error).to_string())); rows.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_nonce_is_taken_once_for_as_long_as_it_could_be_replayed() {
        let nonces = Nonces::new(&Db::open("sqlite::memory:", "a").await.unwrap());
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
        let nonces = Nonces::new(&Db::open("sqlite::memory:", "a").await.unwrap());
        assert!(nonces.take(&[1; 16], 1_000).await.unwrap());
        assert!(nonces.take(&[1; 16], 1_000 + 3 * NONCE_TTL_SECS).await.unwrap());
    }
}
