//! How often a read is worth another try, because the connection that it was lost on may have been dead before.
//!
//! An origin that was killed leaves connections behind that the runtime keeps, and finds dead one by one, by using them.
//! It tells nobody how many it keeps, nor whether it used one: a connection that is refused is lost in the same words. So
//! answers are counted: each leaves one connection behind at most. Once as many were lost at once, none of the old ones
//! is left, and an origin that is down costs every read one try and not a hundred.

/// The most that a pool holds.
const MOST: u32 = 100;
/// What is dead shows at once; what takes longer was lost under way, and its outcome is unknown.
const AT_ONCE_MS: u64 = 50;

/// What the runtime may keep open to one origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    kept: u32,
}

impl Pool {
    /// An answer came, whatever it says: its connection may be kept.
    pub fn answered(&mut self) {
        self.kept = MOST.min(self.kept + 1);
    }

    /// A connection was lost after so long, without an answer. Whether it may have been a kept one that was dead: then
    /// the next one may live.
    #[must_use]
    pub fn lost(&mut self, took_ms: u64) -> bool {
        let was_kept = self.kept > 0;
        self.kept = self.kept.saturating_sub(1);
        was_kept && took_ms <= AT_ONCE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_tried_again_as_may_have_been_kept() {
        let mut pool = Pool::default();
        assert!(!pool.lost(0), "nothing was ever answered: nothing is kept");
        for _ in 0..3 {
            pool.answered();
        }
        assert_eq!([pool.lost(0), pool.lost(50), pool.lost(0), pool.lost(0)], [true, true, true, false]);
        pool.answered();
        assert_eq!([pool.lost(0), pool.lost(0)], [true, false]);
    }

    #[test]
    fn a_pool_is_bounded() {
        let mut pool = Pool::default();
        for _ in 0..1000 {
            pool.answered();
        }
        assert_eq!((0..1000).filter(|_| pool.lost(0)).count(), 100);
    }

    #[test]
    fn what_was_lost_under_way_is_not_tried_again() {
        let mut pool = Pool::default();
        pool.answered();
        pool.answered();
        assert!(!pool.lost(51));
        assert!(pool.lost(0), "and is counted all the same");
        assert!(!pool.lost(0));
    }
}
