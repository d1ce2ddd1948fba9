//! Challenges under way: what was sent to whom, and what the right answer hashes to. Each is used once, right or wrong.
//!
//! One process keeps them in memory; several on one PostgreSQL share an unlogged table, over connections of its own. A
//! crash loses them: those logins begin anew. None is put out for another one: whoever floods an identity, or everybody,
//! meets the bound of the whole, and does not push anyone's login out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::Row;

use crate::db::{Db, DbError, Kind};

/// As many as are made in ten minutes at 400 a second, which is all that the private-key work lets through on a large
/// machine: about 100 MB.
const MAX_KEPT: usize = 1 << 18;

type Hash = [u8; 32];

/// A challenge that goes out.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// SHA-256 of its bytes.
    pub(super) challenge_hash: Hash,
    /// SHA-256 of its base64 text.
    pub(super) text_hash: Hash,
    /// What it is asked back with.
    pub(super) kept: Kept,
}

/// What is known of a challenge when it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Who asked for it.
    pub(super) identity: String,
    /// The account's credential version then; 0 where nobody is enrolled, which no account has.
    pub(super) credential_version: i64,
    /// SHA-256 of the right answer.
    pub(super) answer_hash: Hash,
    /// It counts before this, in Unix milliseconds.
    pub(super) expires_at_ms: i64,
}

/// The challenges of this process, or of all that share its database.
pub(super) enum Challenges {
    /// In memory.
    Own(Mutex<Memory>),
    /// In the table.
    Shared(Db),
}

/// Found by either hash. Lifetimes are all the same, so the queue is in the order in which they end.
#[derive(Default)]
pub(super) struct Memory {
    by_challenge: HashMap<Hash, (Hash, Kept)>,
    by_text: HashMap<Hash, Hash>,
    queue: VecDeque<(i64, Hash)>,
}

impl Challenges {
    /// For a process on this database.
    pub(super) fn new(db: &Db) -> Self {
        match db.kind() {
            Kind::Sqlite => Self::Own(Mutex::default()),
            Kind::Postgres => Self::Shared(db.clone()),
        }
    }

    /// Keeps one; `false` when there is no room.
    ///
    /// # Errors
    /// From the database.
    pub(super) async fn keep(&self, sent: Sent, now_ms: i64) -> Result<bool, DbError> {
        let db = match self {
            Self::Own(memory) => return Ok(lock(memory).keep(sent, now_ms)),
            Self::Shared(db) => db,
        };
        let statement = "INSERT INTO login_challenges (challenge_hash, text_hash, identity, credential_version, \
                         answer_hash, expires_at_ms) VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(statement)
            .bind(sent.challenge_hash.to_vec())
            .bind(sent.text_hash.to_vec())
            .bind(sent.kept.identity)
            .bind(sent.kept.credential_version)
            .bind(sent.kept.answer_hash.to_vec())
            .bind(sent.kept.expires_at_ms)
            .execute(db.aside())
            .await?;
        Ok(true)
    }

    /// Uses one up, found by either hash. Whether it still counts, and for whom, is the caller's to decide.
    ///
    /// # Errors
    /// From the database.
    pub(super) async fn take(&self, hash: &Hash) -> Result<Option<Kept>, DbError> {
        let db = match self {
            Self::Own(memory) => return Ok(lock(memory).take(hash)),
            Self::Shared(db) => db,
        };
        let statement = "DELETE FROM login_challenges WHERE challenge_hash = $1 OR text_hash = $1 \
                         RETURNING identity, credential_version, answer_hash, expires_at_ms";
        let row = sqlx::query(statement).bind(hash.to_vec()).fetch_optional(db.aside()).await?;
        let Some(row) = row else { return Ok(None) };
        let answer_hash: Vec<u8> = row.try_get(2)?;
        Ok(Some(Kept {
            identity: row.try_get(0)?,
            credential_version: row.try_get(1)?,
            answer_hash: answer_hash.try_into().map_err(|_| DbError::Corrupt("answer hash"))?,
            expires_at_ms: row.try_get(3)?,
        }))
    }

    /// Forgets what has expired; called now and then.
    ///
    /// # Errors
    /// From the database.
    pub(super) async fn sweep(&self, now_ms: i64) -> Result<(), DbError> {
        match self {
            Self::Own(memory) => lock(memory).sweep(now_ms),
            Self::Shared(db) => {
                let statement = "DELETE FROM login_challenges WHERE expires_at_ms <= $1";
                sqlx::query(statement).bind(now_ms).execute(db.aside()).await?;
            }
        }
        Ok(())
    }
}

impl Memory {
    fn keep(&mut self, sent: Sent, now_ms: i64) -> bool {
        if self.queue.len() >= MAX_KEPT {
            self.sweep(now_ms);
        }
        if self.queue.len() >= MAX_KEPT {
            return false;
        }
        let Sent { challenge_hash, text_hash, kept } = sent;
        self.queue.push_back((kept.expires_at_ms, challenge_hash));
        self.by_text.insert(text_hash, challenge_hash);
        self.by_challenge.insert(challenge_hash, (text_hash, kept));
        true
    }

    fn take(&mut self, hash: &Hash) -> Option<Kept> {
        let challenge_hash = self.by_text.get(hash).copied().unwrap_or(*hash);
        self.remove(&challenge_hash)
    }

    fn sweep(&mut self, now_ms: i64) {
        while let Some((expires_at_ms, hash)) = self.queue.pop_front() {
            if expires_at_ms > now_ms {
                self.queue.push_front((expires_at_ms, hash));
                return;
            }
            self.remove(&hash);
        }
    }

    fn remove(&mut self, challenge_hash: &Hash) -> Option<Kept> {
        let (text_hash, kept) = self.by_challenge.remove(challenge_hash)?;
        self.by_text.remove(&text_hash);
        Some(kept)
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: u32, expires_at_ms: i64) -> Sent {
        let hash = |kind: u8| {
            let mut hash = [kind; 32];
            hash[..4].copy_from_slice(&number.to_be_bytes());
            hash
        };
        let kept = Kept { identity: "a".into(), credential_version: 1, answer_hash: hash(3), expires_at_ms };
        Sent { challenge_hash: hash(1), text_hash: hash(2), kept }
    }

    #[test]
    fn either_hash_finds_one_and_uses_it_up() {
        let mut memory = Memory::default();
        for number in 0..2 {
            assert!(memory.keep(sent(number, 10), 0));
        }
        let (first, second) = (sent(0, 10), sent(1, 10));
        assert_eq!(memory.take(&first.challenge_hash), Some(first.kept.clone()));
        assert_eq!(memory.take(&first.challenge_hash), None);
        assert_eq!(memory.take(&first.text_hash), None);
        assert_eq!(memory.take(&second.text_hash), Some(second.kept.clone()));
        assert_eq!(memory.take(&second.challenge_hash), None);
        assert!(memory.by_text.is_empty() && memory.by_challenge.is_empty());
    }

    #[test]
    fn a_full_memory_takes_none_until_the_oldest_have_expired() {
        let mut memory = Memory::default();
        for number in 0..u32::try_from(MAX_KEPT).unwrap() {
            assert!(memory.keep(sent(number, 10 + i64::from(number > 0)), 0));
        }
        assert!(!memory.keep(sent(u32::MAX, 20), 9));
        assert!(memory.take(&sent(7, 0).challenge_hash).is_some(), "nobody was put out");
        assert!(memory.keep(sent(u32::MAX, 20), 10));
        assert!(!memory.keep(sent(u32::MAX - 1, 20), 10));
        memory.sweep(20);
        assert!(memory.queue.is_empty() && memory.by_challenge.is_empty() && memory.by_text.is_empty());
    }
}
