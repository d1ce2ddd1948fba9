//! When passwords were last used, kept in memory and written down now and then: a write for each request would cost more
//! than the request. A crash loses at most the last minute of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use scanvault_protocol::AccountName;

use super::passwords;
use crate::db::{Db, DbError};

/// A password's last use is written at most so often.
const WRITE_EVERY_MS: i64 = 60_000;
/// So many are written in one transaction: others want to write too.
const MAX_BATCH: usize = 256;

/// The uses since the last writing.
#[derive(Debug, Default)]
pub struct LastUse(Mutex<HashMap<AccountName, Uses>>);

/// Of an account's passwords, by number. Two are live at most; a third is of one that has just ended.
type Uses = Vec<Use>;

#[derive(Clone, Copy, Debug)]
struct Use {
    number: i64,
    used_at_ms: i64,
    written_at_ms: i64,
}

impl LastUse {
    /// A password was right.
    pub fn used(&self, account: &AccountName, number: i64, now_ms: i64) {
        let mut all = self.all();
        // The name is copied once for an account, not once for a request.
        let Some(uses) = all.get_mut(account) else {
            all.insert(account.clone(), vec![Use { number, used_at_ms: now_ms, written_at_ms: 0 }]);
            return;
        };
        match uses.iter_mut().find(|known| known.number == number) {
            Some(known) => known.used_at_ms = known.used_at_ms.max(now_ms),
            None => uses.push(Use { number, used_at_ms: now_ms, written_at_ms: 0 }),
        }
    }

    /// When a password was last used, as far as this process remembers.
    #[must_use]
    pub fn of(&self, account: &AccountName, number: i64) -> Option<i64> {
        let all = self.all();
        all.get(account)?.iter().find(|known| known.number == number).map(|known| known.used_at_ms)
    }

    /// Writes what is due, or with `everything` whatever is not written yet: at the process's end.
    ///
    /// # Errors
    /// From the database; what was not written is tried again the next time.
    pub async fn write(&self, db: &Db, now_ms: i64, everything: bool) -> Result<(), DbError> {
        let due = self.due(now_ms, everything);
        for batch in due.chunks(MAX_BATCH) {
            let mut tx = db.begin().await?;
            for (account, used) in batch {
                passwords::used(&mut tx, account, used.number, used.used_at_ms).await?;
            }
            tx.commit().await?;
            self.written(batch, now_ms);
        }
        Ok(())
    }

    /// What is to be written. What has not been used since it was written, a while ago, is forgotten.
    fn due(&self, now_ms: i64, everything: bool) -> Vec<(AccountName, Use)> {
        let mut due = Vec::new();
        self.all().retain(|account, uses| {
            uses.retain(|known| {
                let is_old = now_ms - known.written_at_ms >= WRITE_EVERY_MS;
                let is_new = known.used_at_ms > known.written_at_ms;
                if is_new && (is_old || everything) {
                    due.push((account.clone(), *known));
                }
                is_new || !is_old
            });
            !uses.is_empty()
        });
        // One order for every process, so that two that write at once do not wait for each other in a circle.
        due.sort_by(|a, b| (&a.0, a.1.number).cmp(&(&b.0, b.1.number)));
        due
    }

    fn written(&self, batch: &[(AccountName, Use)], now_ms: i64) {
        let mut all = self.all();
        for (account, done) in batch {
            let uses = all.get_mut(account);
            let known = uses.and_then(|uses| uses.iter_mut().find(|known| known.number == done.number));
            if let Some(known) = known {
                known.written_at_ms = now_ms;
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<AccountName, Uses>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    #[test]
    fn a_use_is_written_once_a_minute_and_forgotten_when_it_is_old() {
        let last_use = LastUse::default();
        let account = AccountName::Merchant(25);
        let step = |now_ms| {
            let due = last_use.due(now_ms, false);
            last_use.written(&due, now_ms);
            due.len()
        };
        last_use.used(&account, 1, NOW);
        assert_eq!((step(NOW), step(NOW + 1)), (1, 0));
        last_use.used(&account, 1, NOW + 2);
        last_use.used(&account, 2, NOW + 2);
        assert_eq!(step(NOW + 59_999), 1, "the second password; the first was written less than a minute ago");
        assert_eq!(last_use.of(&account, 1), Some(NOW + 2));
        last_use.used(&account, 1, NOW + 3);
        assert_eq!(last_use.due(NOW + 59_999, true).len(), 1);
        // Used and written in the same millisecond counts as written; nothing later is lost.
        assert_eq!((step(NOW + 60_000), step(NOW + 200_000)), (1, 0));
        assert!(last_use.all().is_empty());
    }
}
