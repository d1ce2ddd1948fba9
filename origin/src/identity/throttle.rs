//! Failures are counted by address and by name, and answered ever later. The credential is checked first, always: a right
//! one passes whatever others have done, and a right one is 256 bits that nobody finds by trying. What this saves is the
//! log, and the patience of whoever reads it.
//!
//! Not protected here: the database, which every failure has already asked. The edge's budgets stand before that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use scanvault_protocol::AccountName;
use scanvault_protocol::limit::{Limit, Limiter, address_key, retry_after_secs};

/// A shop with a wrong password in its configuration is told so twenty times, and then every three seconds.
const BY_ADDRESS: Limit = Limit { every_ms: 3_000, burst: 20 };
/// Many addresses may be of one merchant, so a name has more.
const BY_NAME: Limit = Limit { every_ms: 1_000, burst: 60 };
/// Addresses and names that are remembered, each; about 1 MB. When it is full newcomers share.
const MAX_KEYS: usize = 8192;

/// Who failed how often lately; `None`: nothing is counted.
pub struct Throttle(Option<Mutex<Counts>>);

struct Counts {
    by_address: Limiter<u128>,
    by_name: Limiter<AccountName>,
}

impl Throttle {
    /// Counts, or with `false` does not: for tests and the demo.
    #[must_use]
    pub fn new(is_on: bool) -> Self {
        let counts =
            || Counts { by_address: Limiter::new(BY_ADDRESS, MAX_KEYS), by_name: Limiter::new(BY_NAME, MAX_KEYS) };
        Self(is_on.then(|| Mutex::new(counts())))
    }

    /// Counts a failure. The seconds after which to come back, once there were too many; whoever goes on instead waits
    /// longer. An address that nobody knows is not counted.
    pub fn failed(&self, address: &str, name: Option<&AccountName>, now_ms: u64) -> Option<u32> {
        let mut counts = self.counts()?;
        let mut wait_ms = 0;
        if let Some(address) = address_key(address) {
            wait_ms = counts.by_address.wait_ms(&address, now_ms);
            counts.by_address.spend(address, now_ms);
        }
        if let Some(name) = name {
            wait_ms = wait_ms.max(counts.by_name.wait_ms(name, now_ms));
            counts.by_name.spend(name.clone(), now_ms);
        }
        (wait_ms > 0).then(|| retry_after_secs(wait_ms))
    }

    fn counts(&self) -> Option<MutexGuard<'_, Counts>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    #[test]
    fn failures_are_counted_by_address_and_whoever_goes_on_waits_longer() {
        let throttle = Throttle::new(true);
        for _ in 0..BY_ADDRESS.burst {
            assert_eq!(throttle.failed("203.0.113.7", None, NOW), None);
        }
        let waits: Vec<_> = (0..30).map(|_| throttle.failed("203.0.113.7", None, NOW).unwrap()).collect();
        assert_eq!((waits[0], waits[1], waits[29]), (3, 6, 63), "{waits:?}");
        assert_eq!(throttle.failed("203.0.113.8", None, NOW), None);
        assert_eq!(throttle.failed("203.0.113.7", None, NOW + 63_000), None);
    }

    #[test]
    fn failures_are_counted_by_name_from_wherever_they_come() {
        let throttle = Throttle::new(true);
        let name = AccountName::Merchant(25);
        for at in 0..BY_NAME.burst {
            assert_eq!(throttle.failed(&format!("203.0.113.{at}"), Some(&name), NOW), None);
        }
        assert_eq!(throttle.failed("unknown", Some(&name), NOW), Some(1));
        assert_eq!(throttle.failed("unknown", Some(&AccountName::Merchant(26)), NOW), None);
    }

    #[test]
    fn an_address_that_nobody_knows_and_a_throttle_that_is_off_count_nothing() {
        for (throttle, address) in [(Throttle::new(true), "unknown"), (Throttle::new(false), "203.0.113.7")] {
            assert!((0..1000).all(|_| throttle.failed(address, None, NOW).is_none()));
        }
    }
}
