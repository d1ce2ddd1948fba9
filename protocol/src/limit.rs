//! Limits by key: so many at once, and one more each so many milliseconds (GCRA, a leaky bucket that keeps one number).
//!
//! The clock is an argument and the memory is bounded. When it is full of keys that still count, new ones share one
//! bucket: a flood from many addresses slows its own newcomers, and never makes an old one forgotten.

use core::hash::Hash;
use core::net::IpAddr;
use std::collections::HashMap;

/// How much is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// One more each so many milliseconds, in the long run.
    pub every_ms: u64,
    /// So many at once.
    pub burst: u64,
}

/// Counts what each key has used of a limit.
#[derive(Debug)]
pub struct Limiter<K> {
    limit: Limit,
    max_keys: usize,
    /// For each key, when all that it has used will be free again.
    free_at_ms: HashMap<K, u64>,
    shared_free_at_ms: u64,
    /// Before that it is not looked through again for what is free: under a flood that would cost more than the flood.
    next_sweep_ms: u64,
}

impl<K: Eq + Hash> Limiter<K> {
    /// A limit for each key, with `max_keys` remembered at most.
    #[must_use]
    pub fn new(limit: Limit, max_keys: usize) -> Self {
        Self { limit, max_keys, free_at_ms: HashMap::new(), shared_free_at_ms: 0, next_sweep_ms: 0 }
    }

    /// How long this key has to wait, in milliseconds; 0: it may go.
    #[must_use]
    pub fn wait_ms(&self, key: &K, now_ms: u64) -> u64 {
        let free_at_ms = match self.free_at_ms.get(key) {
            Some(free_at_ms) => *free_at_ms,
            None if self.free_at_ms.len() >= self.max_keys => self.shared_free_at_ms,
            None => 0,
        };
        let room_ms = self.limit.every_ms.saturating_mul(self.limit.burst.saturating_sub(1));
        // Never more than could have been used: the clock may have been set back.
        free_at_ms.saturating_sub(now_ms).min(self.full_ms().saturating_mul(2)).saturating_sub(room_ms)
    }

    /// The same by what this key itself has used: one that is not remembered may go, however full the memory is.
    #[must_use]
    pub fn own_wait_ms(&self, key: &K, now_ms: u64) -> u64 {
        if self.free_at_ms.contains_key(key) { self.wait_ms(key, now_ms) } else { 0 }
    }

    /// Counts one, whether or not there was room. What is used is bounded, so that nobody waits longer than twice the
    /// time in which the burst is free again.
    pub fn spend(&mut self, key: K, now_ms: u64) {
        let most_ms = self.full_ms().saturating_mul(2);
        if self.free_at_ms.len() >= self.max_keys && !self.free_at_ms.contains_key(&key) {
            self.sweep(now_ms);
        }
        let is_full = self.free_at_ms.len() >= self.max_keys && !self.free_at_ms.contains_key(&key);
        let free_at_ms = if is_full { &mut self.shared_free_at_ms } else { self.free_at_ms.entry(key).or_default() };
        let used_until_ms = (*free_at_ms).max(now_ms).saturating_add(self.limit.every_ms);
        *free_at_ms = used_until_ms.min(now_ms.saturating_add(most_ms));
    }

    fn sweep(&mut self, now_ms: u64) {
        // The clock may have been set back.
        let is_too_early = now_ms < self.next_sweep_ms && self.next_sweep_ms - now_ms <= self.limit.every_ms;
        if !is_too_early {
            self.free_at_ms.retain(|_, free_at_ms| *free_at_ms > now_ms);
            self.next_sweep_ms = now_ms.saturating_add(self.limit.every_ms);
        }
    }

    fn full_ms(&self) -> u64 {
        self.limit.every_ms.saturating_mul(self.limit.burst)
    }

    /// Gives one back: it turned out not to count.
    pub fn give_back(&mut self, key: &K) {
        if let Some(free_at_ms) = self.free_at_ms.get_mut(key) {
            *free_at_ms = free_at_ms.saturating_sub(self.limit.every_ms);
        }
    }

    /// Counts one if there is room.
    ///
    /// # Errors
    /// How long to wait, in milliseconds.
    pub fn take(&mut self, key: K, now_ms: u64) -> Result<(), u64> {
        match self.wait_ms(&key, now_ms) {
            0 => {
                self.spend(key, now_ms);
                Ok(())
            }
            wait_ms => Err(wait_ms),
        }
    }
}

/// Whom an address counts as: IPv4 alone, IPv6 with its /64 (one subscriber has at least that). `None` where nobody knows
/// the address: then nothing can be counted by it.
#[must_use]
pub fn address_key(address: &str) -> Option<u128> {
    match address.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(v4) => Some(u128::from(v4.to_bits())),
        IpAddr::V6(v6) => Some(v6.to_bits() >> 64 << 64 | 1 << 63),
    }
}

/// The value of `Retry-After` for a wait: whole seconds, at least one.
#[must_use]
pub fn retry_after_secs(wait_ms: u64) -> u32 {
    u32::try_from(wait_ms.div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Limit = Limit { every_ms: 1000, burst: 3 };

    #[test]
    fn a_burst_then_one_each_interval() {
        let mut limiter = Limiter::new(LIMIT, 10);
        let now_ms = 1_000_000;
        for _ in 0..3 {
            assert_eq!(limiter.take("a", now_ms), Ok(()));
        }
        assert_eq!(limiter.take("a", now_ms), Err(1000));
        assert_eq!(limiter.take("b", now_ms), Ok(()));
        assert_eq!(limiter.take("a", now_ms + 999), Err(1));
        assert_eq!(limiter.take("a", now_ms + 1000), Ok(()));
        assert_eq!(limiter.take("a", now_ms + 1000), Err(1000));
        limiter.give_back(&"a");
        assert_eq!(limiter.take("a", now_ms + 1000), Ok(()));
    }

    #[test]
    fn what_is_spent_without_room_is_bounded() {
        let mut limiter = Limiter::new(LIMIT, 10);
        for _ in 0..100 {
            limiter.spend("a", 0);
        }
        assert_eq!(limiter.wait_ms(&"a", 0), 4000);
        assert_eq!(limiter.wait_ms(&"a", 4000), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut limiter = Limiter::new(LIMIT, 10);
        let hour_ms = 3_600_000;
        while limiter.take("a", hour_ms).is_ok() {}
        assert_eq!(limiter.wait_ms(&"a", 0), 4000);
        limiter.spend("a", 0);
        assert_eq!(limiter.wait_ms(&"a", 4000), 0);
    }

    #[test]
    fn memory_is_bounded_and_newcomers_share_when_it_is_full() {
        let mut limiter = Limiter::new(LIMIT, 2);
        limiter.spend(1, 0);
        limiter.spend(2, 0);
        for key in 3..6 {
            assert_eq!(limiter.take(key, 0), Ok(()));
        }
        assert_eq!(limiter.take(6, 0), Err(1000));
        assert_eq!((limiter.own_wait_ms(&6, 0), limiter.own_wait_ms(&1, 0)), (0, 0));
        assert_eq!(limiter.take(1, 0), Ok(()), "an old key keeps its own");
        assert_eq!(limiter.free_at_ms.len(), 2);
        assert_eq!(limiter.take(7, 2500), Ok(()), "the old ones are free and make room");
    }

    #[test]
    fn an_ipv6_subscriber_is_one_key() {
        assert_eq!(address_key("2001:db8::1"), address_key("2001:db8::ffff:1"));
        assert_ne!(address_key("2001:db8::1"), address_key("2001:db8:0:1::1"));
        assert_eq!(address_key("::ffff:203.0.113.7"), address_key("203.0.113.7"));
        assert_ne!(address_key("::203.0.113.7"), address_key("203.0.113.7"));
        assert_eq!(address_key("unknown"), None);
        assert_eq!((retry_after_secs(0), retry_after_secs(1), retry_after_secs(1001)), (1, 1, 2));
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit(steps in prop::collection::vec(0_u64..3000, 1..60)) {
            let mut limiter = Limiter::new(LIMIT, 4);
            let (mut now_ms, mut taken) = (0, 0);
            for step in steps {
                now_ms += step;
                taken += u64::from(limiter.take((), now_ms).is_ok());
                prop_assert!(taken <= LIMIT.burst + now_ms / LIMIT.every_ms);
            }
        }
    }
}
