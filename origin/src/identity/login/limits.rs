//! How often one may ask for a challenge or try to log in. Nobody else's calls count against a caller whose address is
//! known, so that a flood against an identity does not keep its owner out.

use std::sync::{Mutex, PoisonError};

use scanvault_protocol::limit::{Limit, Limiter, address_key, retry_after_secs};
use sha2::{Digest, Sha256};

/// An address that many share. An isolate of the edge lets ten a minute through, enough for 300 accounts that each have a
/// session all the time; this is for what comes by several.
const PER_ADDRESS: Limit = Limit { every_ms: 2_000, burst: 20 };
/// One account behind one address: a login each half hour is what it needs; a program that starts anew a few times is let
/// through, one that asks in a loop is not.
const PER_PAIR: Limit = Limit { every_ms: 6_000, burst: 5 };
/// All callers whose address nobody knows, together: an edge without a source for it (`CLIENT_ADDRESS=none`).
const UNKNOWN: Limit = Limit { every_ms: 100, burst: 20 };
/// Addresses, and pairs, that are remembered: some 3 MB each when all are taken.
const MAX_KEYS: usize = 65_536;

/// The limits of one of the two steps of a login.
pub(super) struct Limits(Option<Mutex<State>>);

struct State {
    addresses: Limiter<u128>,
    pairs: Limiter<[u8; 32]>,
    unknown: Limiter<()>,
}

impl Limits {
    /// `is_on: false` lets everything through: for tests and the demo.
    pub(super) fn new(is_on: bool) -> Self {
        Self(is_on.then(|| {
            Mutex::new(State {
                addresses: Limiter::new(PER_ADDRESS, MAX_KEYS),
                pairs: Limiter::new(PER_PAIR, MAX_KEYS),
                unknown: Limiter::new(UNKNOWN, 1),
            })
        }))
    }

    /// Counts one call, if there is room for it.
    ///
    /// # Errors
    /// In how many seconds there is room again. A refused call counts nothing.
    pub(super) fn take(&self, address: &str, identity: &str, now_ms: u64) -> Result<(), u32> {
        let Some(state) = &self.0 else { return Ok(()) };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(address) = address_key(address) else {
            return state.unknown.take((), now_ms).map_err(retry_after_secs);
        };
        let pair = pair_key(address, identity);
        let wait_ms = state.addresses.wait_ms(&address, now_ms).max(state.pairs.wait_ms(&pair, now_ms));
        if wait_ms > 0 {
            return Err(retry_after_secs(wait_ms));
        }
        state.addresses.spend(address, now_ms);
        state.pairs.spend(pair, now_ms);
        Ok(())
    }
}

fn pair_key(address: u128, identity: &str) -> [u8; 32] {
    Sha256::new().chain_update(address.to_be_bytes()).chain_update(identity).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    #[test]
    fn a_pair_runs_out_before_its_address_and_nobody_else_notices() {
        let limits = Limits::new(true);
        let take = |address: &str, identity: &str, now_ms| limits.take(address, identity, now_ms);
        for _ in 0..5 {
            assert_eq!(take("203.0.113.7", "merchant-25", NOW_MS), Ok(()));
        }
        assert_eq!(take("203.0.113.7", "merchant-25", NOW_MS), Err(6));
        assert_eq!(take("203.0.113.7", "merchant-26", NOW_MS), Ok(()));
        assert_eq!(take("203.0.113.8", "merchant-25", NOW_MS), Ok(()));
        assert_eq!(take("203.0.113.7", "merchant-25", NOW_MS + 6_000), Ok(()));
        let let_through = (0..1_000).filter(|n| take("203.0.113.9", &format!("merchant-{n}"), NOW_MS).is_ok()).count();
        assert_eq!(let_through, 20);
        assert_eq!(take("203.0.113.9", "merchant-25", NOW_MS), Err(2));
    }

    #[test]
    fn who_has_no_address_shares_one_limit() {
        let limits = Limits::new(true);
        let let_through = (0..100).filter(|n| limits.take("unknown", &n.to_string(), NOW_MS).is_ok()).count();
        assert_eq!(let_through, 20);
        assert_eq!(limits.take("203.0.113.7", "1", NOW_MS), Ok(()));
    }

    #[test]
    fn off_is_off() {
        let limits = Limits::new(false);
        assert!((0..1_000).all(|_| limits.take("203.0.113.7", "merchant-25", NOW_MS).is_ok()));
    }
}
