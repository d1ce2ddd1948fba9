//! The time, which stands still during a step: on Cloudflare it moves between I/O only, and elsewhere it may as well. The
//! entry says it with each step, so that nobody has to go and ask.

use core::cell::Cell;

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
}

/// A step begins, at this many milliseconds since the epoch.
pub fn set(now_ms: f64) {
    NOW_MS.set(now_ms as u64);
}

/// Milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> u64 {
    NOW_MS.get()
}
