//! Refused shares are answered ever more slowly, for each operator apart: nobody's mistakes keep another from unsealing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Refusals that cost nothing: a slip for each share that a set can have. A share cannot be guessed; this keeps the log
/// and the audit from being flooded.
const FREE: u32 = 16;
/// The first wait; each further one is twice as long.
const FIRST_WAIT_MS: u64 = 2_000;
const LONGEST_WAIT_MS: u64 = 5 * 60 * 1_000;

/// Who was refused how often lately.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<String, Refusals>>);

#[derive(Clone, Copy, Debug, Default)]
struct Refusals {
    count: u32,
    until_ms: u64,
}

impl Throttle {
    /// How long an operator has to wait yet, in seconds; `None`: not at all.
    #[must_use]
    pub(super) fn wait_secs(&self, operator: &str, now_ms: u64) -> Option<u64> {
        let refusals = self.lock().get(operator).copied().unwrap_or_default();
        let left_ms = refusals.until_ms.saturating_sub(now_ms);
        (left_ms > 0).then(|| left_ms.div_ceil(1_000))
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, operator: &str, now_ms: u64) {
        let mut all = self.lock();
        let refusals = all.entry(operator.to_owned()).or_default();
        refusals.count = refusals.count.saturating_add(1);
        if let Some(over) = refusals.count.checked_sub(FREE + 1) {
            let wait_ms = FIRST_WAIT_MS.saturating_mul(1 << over.min(20));
            refusals.until_ms = now_ms + wait_ms.min(LONGEST_WAIT_MS);
        }
    }

    /// A right share wipes the slate.
    pub(super) fn accepted(&self, operator: &str) {
        self.lock().remove(operator);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Refusals>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_concern_one_operator_only() {
        let throttle = Throttle::default();
        let mut now_ms = 1_000_000;
        for _ in 0..FREE {
            throttle.refused("alice", now_ms);
            assert_eq!(throttle.wait_secs("alice", now_ms), None);
        }
        let mut waits = Vec::new();
        for _ in 0..10 {
            throttle.refused("alice", now_ms);
            waits.push(throttle.wait_secs("alice", now_ms).unwrap());
            assert_eq!(throttle.wait_secs("bob", now_ms), None);
            now_ms += waits.last().unwrap() * 1_000;
            assert_eq!(throttle.wait_secs("alice", now_ms), None);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        throttle.accepted("alice");
        throttle.refused("alice", now_ms);
        assert_eq!(throttle.wait_secs("alice", now_ms), None);
    }
}
