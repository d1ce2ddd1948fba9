//! How often a read is worth another try, because the connection that it was lost on may have been dead before.
//!
//! An origin that was killed leaves connections behind that the runtime keeps, and finds dead one by one, by using them.
//! It tells nobody how many it keeps, nor whether it used one: a connection that is refused is lost in the same words. So
//! answers are counted: each leaves one connection behind at most. Once as many reads were tried again, none of the old
//! ones is left, and an origin that is down costs a read one try and not a hundred. What was lost and may not be tried again
//! does not count: it may have been under way on a connection of its own when the origin was killed.

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

    /// A read was lost after so long, without an answer. Whether it may have been on a kept connection that was dead: then
    /// the next one may live.
    #[must_use]
    pub fn tries_again(&mut self, took_ms: u64) -> bool {
        let may_be_dead = self.kept > 0 && took_ms <= AT_ONCE_MS;
        self.kept -= u32::from(may_be_dead);
        may_be_dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_tried_again_as_may_have_been_kept() {
        let mut pool = Pool::default();
        assert!(!pool.tries_again(0), "nothing was ever answered: nothing is kept");
        for _ in 0..3 {
            pool.answered();
        }
        assert_eq!([0, 50, 0, 0].map(|took_ms| pool.tries_again(took_ms)), [true, true, true, false]);
        pool.answered();
        assert_eq!([0, 0].map(|took_ms| pool.tries_again(took_ms)), [true, false]);
    }

    #[test]
    fn a_pool_is_bounded() {
        let mut pool = Pool::default();
        for _ in 0..1000 {
            pool.answered();
        }
        assert_eq!((0..1000).filter(|_| pool.tries_again(0)).count(), 100);
    }

    #[test]
    fn what_was_lost_under_way_is_not_tried_again_and_leaves_the_others_be() {
        let mut pool = Pool::default();
        pool.answered();
        assert!(!pool.tries_again(51));
        assert_eq!([0, 0].map(|took_ms| pool.tries_again(took_ms)), [true, false]);
    }
}
