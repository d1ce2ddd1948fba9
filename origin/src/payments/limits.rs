//! Against the testing of cards: whoever tries many cards, tries one card often, or tries codes, waits ever longer.
//!
//! Attempts are counted when they begin and given back when they succeed, so that many at once are no way around it. A
//! card is known by a keyed hash of its number, never by the number. Counts live in memory and are each process' own;
//! declines of one code are counted in the database, by whoever pays.
//!
//! Not protected: a tester with thousands of addresses and as many codes is only slowed by the acquirer. Nobody who
//! pays is refused for what others did, except behind one address, and at a code that keeps being tried.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use scanvault_protocol::limit::{Limit, Limiter, address_key, retry_after_secs};

use crate::vault::{Pan, Unsealed};
use crate::web::ApiError;

/// Codes that do not exist, by address: typing errors are few.
const UNKNOWN_CODES: Limit = Limit { every_ms: 10_000, burst: 30 };
/// Payments that did not succeed, by address. Mobile networks put many payers behind one.
const BY_ADDRESS: Limit = Limit { every_ms: 20_000, burst: 60 };
/// And by card, at all merchants of this origin.
const BY_CARD: Limit = Limit { every_ms: 300_000, burst: 16 };
/// Addresses and cards that are remembered, each.
const MAX_KEYS: usize = 8192;

/// Declines at one code within [`CODE_WINDOW_MS`], after which it is not tried for the rest of it.
pub const DECLINES_PER_CODE: i64 = 12;
/// The same for a code that many payers share.
pub const DECLINES_PER_SHARED_CODE: i64 = 60;
/// See above.
pub const CODE_WINDOW_MS: i64 = 30 * 60_000;

/// A decline is answered at the next full step after the attempt began: how long it took says little of where it ended.
const DECLINE_STEP: Duration = Duration::from_millis(500);

/// The account of fingerprints that are compared over all merchants; no account has this name.
const EVERY_ACCOUNT: &str = "*";

/// What was refused, by the limit that refused it: `codes`, `address`, `card`, `code`.
pub type Refused = Family<Vec<(&'static str, &'static str)>, Counter>;

/// Who tried what.
pub struct Limits {
    /// `None`: nothing is counted.
    counts: Option<Mutex<Counts>>,
    refused: Refused,
}

struct Counts {
    unknown_codes: Limiter<u128>,
    by_address: Limiter<u128>,
    by_card: Limiter<[u8; 32]>,
}

/// An attempt that was counted.
pub struct Attempted {
    address: Option<u128>,
    card: [u8; 32],
}

impl Limits {
    /// Counts, or with `false` does not: for tests and the demo.
    #[must_use]
    pub fn new(is_on: bool) -> Self {
        let counts = is_on.then(|| {
            Mutex::new(Counts {
                unknown_codes: Limiter::new(UNKNOWN_CODES, MAX_KEYS),
                by_address: Limiter::new(BY_ADDRESS, MAX_KEYS),
                by_card: Limiter::new(BY_CARD, MAX_KEYS),
            })
        });
        Self { counts, refused: Refused::default() }
    }

    /// The counter of what was refused, for metrics.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.refused.clone()
    }

    /// An attempt was refused by the declines of its code, which the database counts.
    pub fn refused_by_code(&self) {
        self.note_refusal("code");
    }

    fn note_refusal(&self, limit: &'static str) {
        self.refused.get_or_create(&vec![("limit", limit)]).inc();
    }

    /// Whether anything is counted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.counts.is_some()
    }

    /// Before a code is looked up: whoever guessed too many is told to wait, and learns nothing of this one either.
    /// Only what this address did itself counts, however many others there are.
    ///
    /// # Errors
    /// [`Problem::TooManyRequests`](scanvault_protocol::Problem::TooManyRequests).
    pub fn may_look(&self, address: &str, now_ms: u64) -> Result<(), ApiError> {
        let (Some(counts), Some(address)) = (self.counts(), address_key(address)) else { return Ok(()) };
        let wait_ms = counts.unknown_codes.own_wait_ms(&address, now_ms);
        if wait_ms > 0 {
            self.note_refusal("codes");
        }
        wait(wait_ms)
    }

    /// A code that does not exist was asked for.
    pub fn unknown_code(&self, address: &str, now_ms: u64) {
        if let (Some(mut counts), Some(address)) = (self.counts(), address_key(address)) {
            counts.unknown_codes.spend(address, now_ms);
        }
    }

    /// Counts an attempt to pay.
    ///
    /// # Errors
    /// [`Problem::TooManyRequests`](scanvault_protocol::Problem::TooManyRequests): it does not begin.
    pub fn begin(
        &self,
        unsealed: &Unsealed,
        address: &str,
        pan: &Pan,
        now_ms: u64,
    ) -> Result<Option<Attempted>, ApiError> {
        let attempted = Self::attempted(unsealed, address, pan);
        let Some(mut counts) = self.counts() else { return Ok(None) };
        // Newcomers to a memory that is full are not refused for what others did.
        let by_address = attempted.address.map_or(0, |key| counts.by_address.own_wait_ms(&key, now_ms));
        let by_card = counts.by_card.own_wait_ms(&attempted.card, now_ms);
        if let Some(key) = attempted.address {
            counts.by_address.spend(key, now_ms);
        }
        counts.by_card.spend(attempted.card, now_ms);
        // The card's is the one that tells of testing: one address may be a whole network.
        match (by_card, by_address) {
            (0, 0) => return Ok(Some(attempted)),
            (0, _) => self.note_refusal("address"),
            (_, _) => self.note_refusal("card"),
        }
        wait(by_address.max(by_card))?;
        Ok(Some(attempted))
    }

    /// An attempt that was counted by an earlier post of the same page.
    #[must_use]
    pub fn attempted(unsealed: &Unsealed, address: &str, pan: &Pan) -> Attempted {
        Attempted { address: address_key(address), card: unsealed.fingerprint(EVERY_ACCOUNT, pan) }
    }

    /// It was paid, or never asked of anybody: it does not count.
    pub fn give_back(&self, attempted: &Attempted) {
        let Some(mut counts) = self.counts() else { return };
        if let Some(address) = &attempted.address {
            counts.by_address.give_back(address);
        }
        counts.by_card.give_back(&attempted.card);
    }

    /// How long to wait before a decline is answered that took this long.
    #[must_use]
    pub fn pause_before_decline(&self, took: Duration) -> Duration {
        let step_ms = DECLINE_STEP.as_millis().max(1);
        let over_ms = took.as_millis() % step_ms;
        if !self.is_on() || over_ms == 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(u64::try_from(step_ms - over_ms).unwrap_or(0))
    }

    fn counts(&self) -> Option<MutexGuard<'_, Counts>> {
        Some(self.counts.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn wait(wait_ms: u64) -> Result<(), ApiError> {
    if wait_ms == 0 { Ok(()) } else { Err(ApiError::retry_after(retry_after_secs(wait_ms))) }
}
