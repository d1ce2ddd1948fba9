//! The reference's rule for polling: not faster than once per five seconds, for each account and code.
//!
//! Counted in memory: several origins count apart, and a restart forgets. It is a rule of politeness, not a protection.

use std::sync::{Mutex, PoisonError};

use scanvault_protocol::AccountName;
use scanvault_protocol::limit::{Limit, Limiter, retry_after_secs};

use super::super::request::Code;
use crate::web::ApiError;

/// As the reference has it.
const EVERY: Limit = Limit { every_ms: 5_000, burst: 1 };
/// About 10 MB. When it is full newcomers share.
const MAX_KEYS: usize = 65_536;

/// What is asked: each has a pace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Poll {
    /// `queryRef`.
    Payment,
    /// `queryRef/refund`.
    Refund,
}

/// Who asked how lately; `None`: nothing is counted.
pub struct Polls(Option<Mutex<Limiter<(AccountName, Code, Poll)>>>);

impl Polls {
    /// Counts, or with `false` does not: for tests and the demo.
    #[must_use]
    pub fn new(is_on: bool) -> Self {
        Self(is_on.then(|| Mutex::new(Limiter::new(EVERY, MAX_KEYS))))
    }

    /// Counts a poll. One that is refused does not count: who comes back after the five seconds is answered.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn take(&self, account: &AccountName, code: &Code, poll: Poll, now_ms: u64) -> Result<(), ApiError> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        let mut limiter = limiter.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account.clone(), code.clone(), poll);
        limiter.take(key, now_ms).map_err(|wait_ms| ApiError::retry_after(retry_after_secs(wait_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanvault_protocol::Problem;

    #[test]
    fn once_in_five_seconds_for_each_account_code_and_question() {
        let polls = Polls::new(true);
        let (one, other): (Code, Code) = ("0123456789".parse().unwrap(), "0123456780".parse().unwrap());
        let ask = |id, code: &Code, poll, now_ms| {
            polls.take(&AccountName::Merchant(id), code, poll, now_ms).map_err(|error| error.problem())
        };
        assert_eq!(ask(1, &one, Poll::Payment, 10_000), Ok(()));
        for now_ms in [10_000, 12_000, 14_999] {
            assert_eq!(ask(1, &one, Poll::Payment, now_ms), Err(Problem::TooManyRequests));
        }
        assert_eq!(ask(1, &one, Poll::Refund, 10_000), Ok(()));
        assert_eq!(ask(1, &other, Poll::Payment, 10_000), Ok(()));
        assert_eq!(ask(2, &one, Poll::Payment, 10_000), Ok(()));
        assert_eq!(ask(1, &one, Poll::Payment, 15_000), Ok(()));
        assert!((0..100).all(|_| Polls::new(false).take(&AccountName::Merchant(1), &one, Poll::Payment, 0).is_ok()));
    }
}
