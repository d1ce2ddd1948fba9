//! Credential records as the origin told them, for a minute. They sort the likely from the unlikely; it decides.
//!
//! Nothing here is fetched: a record rides on the answer to a request that named its account, and it replaces what was
//! known. So a rotated password is dead from the moment the origin says so, whatever stands here.

use scanvault_protocol::AccountName;
use scanvault_protocol::password::{ApiPassword, PasswordVerifier};
use scanvault_protocol::record::{MAX_VERIFIERS, Mark, RENEW_AFTER_SECS, Record, TTL_SECS, Update};

use crate::halves::Halves;

/// The most records that are kept. One takes at most 512 bytes (a name of 64 twice, two verifiers, the map's share),
/// so all of them take at most 4 MiB of the isolate's 128.
pub const MAX_RECORDS: usize = 8192;

/// Records by account.
#[derive(Debug)]
pub struct Records {
    held: Halves<AccountName, Held>,
}

#[derive(Debug)]
struct Held {
    record: Record,
    /// When the request was sent whose answer brought it: the origin read it then or later, so it is never older.
    asked_at_ms: u64,
}

impl Default for Records {
    fn default() -> Self {
        Self { held: Halves::new(MAX_RECORDS) }
    }
}

impl Records {
    /// Whether this password is what the origin told of this account.
    ///
    /// Every name takes the same path: two comparisons in constant time, against verifiers that nothing meets where
    /// none were told.
    #[must_use]
    pub fn check(&self, account: &AccountName, password: &ApiPassword, now_ms: u64) -> Mark {
        let held = self.held.get(account).filter(|held| age_ms(held.asked_at_ms, now_ms) < TTL_SECS * 1000);
        let impossible = PasswordVerifier::impossible();
        let mut is_met = false;
        for at in 0..MAX_VERIFIERS {
            let told = held.and_then(|held| held.record.verifiers.get(at));
            is_met |= told.unwrap_or(&impossible).accepts(password);
        }
        match held {
            Some(held) if is_met => mark_at(held.asked_at_ms, now_ms),
            _ => Mark::Unverified,
        }
    }

    /// Takes what an answer to a request said that was sent at `asked_at_ms`.
    ///
    /// Answers overtake one another: an older version never takes the place of a newer one that still counts, nor does
    /// an older telling of the same version.
    pub fn learn(&mut self, update: Update, asked_at_ms: u64, now_ms: u64) {
        let record = match update {
            Update::Forget(account) => return self.held.remove(&account),
            Update::Keep(record) => record,
        };
        let known = self.held.get(&record.account).filter(|held| age_ms(held.asked_at_ms, now_ms) < TTL_SECS * 1000);
        let is_news = known.is_none_or(|held| (held.record.version, held.asked_at_ms) <= (record.version, asked_at_ms));
        if is_news {
            self.held.put(record.account.clone(), Held { record, asked_at_ms });
        }
    }

    /// How many there are, those that no longer count among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// `Verified`, or `Renew` when it is time to be told again. For what still counts.
#[must_use]
pub fn mark_at(asked_at_ms: u64, now_ms: u64) -> Mark {
    if age_ms(asked_at_ms, now_ms) < RENEW_AFTER_SECS * 1000 { Mark::Verified } else { Mark::Renew }
}

/// How long ago. A clock that was set back makes everything old: it is told again.
#[must_use]
pub fn age_ms(asked_at_ms: u64, now_ms: u64) -> u64 {
    now_ms.checked_sub(asked_at_ms).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use scanvault_protocol::{AuthMode, Role};

    const NOW: u64 = 1_790_000_000_000;
    const ACCOUNT: AccountName = AccountName::Merchant(25);

    fn password(byte: u8) -> ApiPassword {
        ApiPassword::from_entropy(&[byte; 32])
    }

    fn told(account: AccountName, version: u64, passwords: &[u8]) -> Update {
        Update::Keep(Record {
            account,
            mode: AuthMode::Basic,
            role: Role::External,
            version,
            verifiers: passwords.iter().map(|byte| password(*byte).verifier()).collect(),
        })
    }

    fn check(records: &Records, byte: u8, now_ms: u64) -> Mark {
        records.check(&ACCOUNT, &password(byte), now_ms)
    }

    #[test]
    fn a_record_counts_for_less_than_a_minute_from_when_it_was_asked_for() {
        let mut records = Records::default();
        records.learn(told(ACCOUNT, 3, &[1]), NOW, NOW + 5_000);
        for (after_ms, mark) in [
            (0, Mark::Verified),
            (29_999, Mark::Verified),
            (30_000, Mark::Renew),
            (59_999, Mark::Renew),
            (60_000, Mark::Unverified),
            (3_600_000, Mark::Unverified),
        ] {
            assert_eq!(check(&records, 1, NOW + after_ms), mark, "{after_ms}");
            assert_eq!(check(&records, 2, NOW + after_ms), Mark::Unverified, "{after_ms}");
        }
        assert_eq!(check(&records, 1, NOW - 1), Mark::Unverified, "the clock was set back");
    }

    #[test]
    fn names_and_accounts_without_a_password_are_never_verified() {
        let mut records = Records::default();
        assert_eq!(check(&records, 1, NOW), Mark::Unverified);
        records.learn(told(ACCOUNT, 3, &[]), NOW, NOW);
        assert_eq!(check(&records, 1, NOW), Mark::Unverified);
        assert_eq!(records.check(&AccountName::Psp(25), &password(1), NOW), Mark::Unverified);
    }

    #[test]
    fn both_passwords_of_an_overlap_are_met() {
        let mut records = Records::default();
        records.learn(told(ACCOUNT, 3, &[1, 2]), NOW, NOW);
        assert_eq!(
            [1, 2, 3].map(|byte| check(&records, byte, NOW)),
            [Mark::Verified, Mark::Verified, Mark::Unverified]
        );
    }

    #[test]
    fn a_rotated_password_is_dead_as_soon_as_it_was_told() {
        let mut records = Records::default();
        records.learn(told(ACCOUNT, 3, &[1]), NOW, NOW);
        records.learn(told(ACCOUNT, 4, &[2]), NOW + 1, NOW + 2);
        assert_eq!([1, 2].map(|byte| check(&records, byte, NOW + 2)), [Mark::Unverified, Mark::Verified]);
        // An answer that was on its way comes late.
        records.learn(told(ACCOUNT, 3, &[1]), NOW + 2, NOW + 3);
        assert_eq!([1, 2].map(|byte| check(&records, byte, NOW + 3)), [Mark::Unverified, Mark::Verified]);
        records.learn(told(ACCOUNT, 4, &[1, 2]), NOW, NOW + 3);
        assert_eq!(check(&records, 1, NOW + 3), Mark::Unverified, "an older telling of the same version");
        // What no longer counts stands in nobody's way.
        records.learn(told(ACCOUNT, 3, &[1]), NOW + 60_001, NOW + 60_001);
        assert_eq!(check(&records, 1, NOW + 60_001), Mark::Verified);
        records.learn(Update::Forget(ACCOUNT), NOW, NOW);
        assert_eq!(check(&records, 1, NOW + 60_001), Mark::Unverified);
    }

    #[test]
    fn memory_is_bounded() {
        const { assert!(MAX_RECORDS * 512 <= 4 << 20) };
        let heap = 2 * scanvault_protocol::account::MAX_NAME_BYTES + MAX_VERIFIERS * 32;
        // A hash map is 7/16 full when it has just grown; each place costs its entry and one byte.
        let place = 16 * (size_of::<(AccountName, Held)>() + 1) / 7;
        assert!(heap + place <= 512, "{heap} {place}");
        let mut records = Records::default();
        for id in 0..3 * MAX_RECORDS as u64 {
            records.learn(told(AccountName::Merchant(id), 1, &[1]), NOW, NOW);
            assert!(records.len() <= MAX_RECORDS);
        }
        assert_eq!(
            records.check(&AccountName::Merchant(3 * MAX_RECORDS as u64 - 1), &password(1), NOW),
            Mark::Verified
        );
    }

    proptest! {
        /// Whatever comes in whatever order: only what was told in the last minute is ever met.
        #[test]
        fn only_what_was_told_lately_is_met(tellings in prop::collection::vec((0_u64..5, 0_u8..4, 0_u64..100_000), 0..30)) {
            let mut records = Records::default();
            for (version, byte, asked_ms) in &tellings {
                records.learn(told(ACCOUNT, *version, &[*byte]), NOW + asked_ms, NOW + 100_000);
            }
            for byte in 0..4 {
                if check(&records, byte, NOW + 100_000) != Mark::Unverified {
                    let is_told = |(_, known, asked_ms): &(u64, u8, u64)| *known == byte && *asked_ms > 40_000;
                    prop_assert!(tellings.iter().any(is_told));
                }
            }
        }
    }
}
