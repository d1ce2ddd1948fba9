//! What the process does so that its memory is not written to a disk or read by a neighbour.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};
use serde::Serialize;

use super::locked;

/// What was achieved, read back from the kernel; shown by `vault status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryProtection {
    /// `RLIMIT_CORE` is 0, soft and hard: no core file.
    pub core_dumps_off: bool,
    /// `PR_SET_DUMPABLE` is 0: no core through a pipe handler either, no ptrace by the same user.
    pub not_dumpable: bool,
    /// Keys are in pages that are locked (no swap), left out of dumps and of forked children. False when
    /// `RLIMIT_MEMLOCK` or the kernel refused: the keys work all the same.
    pub key_pages_locked: bool,
    /// What libraries free is wiped. Seen at start, in memory that had just been freed.
    pub wiping_allocator: bool,
}

impl MemoryProtection {
    #[must_use]
    pub const fn complete(self) -> bool {
        self.core_dumps_off && self.not_dumpable && self.key_pages_locked && self.wiping_allocator
    }

    /// As it stands now: more key pages may have been taken since the start.
    #[must_use]
    pub fn now(self) -> Self {
        achieved(self.wiping_allocator)
    }
}

/// Turns core dumps off and takes the first key pages. To be called first of all in `main`; it can only be undone by a
/// new process.
#[must_use]
pub fn protect() -> MemoryProtection {
    // Before the process is undumpable: afterwards its own memory is root's to read.
    let wiping_allocator = freed_memory_is_wiped();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // A refusal shows in what is read back.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    locked::prepare();
    achieved(wiping_allocator)
}

/// Overwrites what functions that have returned left on this thread's stack: 192 KiB below the caller. To be called by a
/// thread that has nothing to do, from as high up as it can be. Without optimisation a payment's calls went 125 KiB deep.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [0_u8; 192 * 1024];
    black_box(&mut below);
}

fn achieved(wiping_allocator: bool) -> MemoryProtection {
    let limit = getrlimit(Resource::Core);
    MemoryProtection {
        core_dumps_off: limit.current == Some(0) && limit.maximum == Some(0),
        not_dumpable: matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable)),
        key_pages_locked: key_pages_locked(),
        wiping_allocator,
    }
}

/// Every chunk was locked when it was taken, and the kernel counts at least so much as locked now.
fn key_pages_locked() -> bool {
    let pool = locked::status();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    pool.protected && locked_bytes(&status).is_some_and(|bytes| bytes >= pool.bytes)
}

/// `VmLck` of proc_pid_status(5).
fn locked_bytes(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Looks through the kernel at memory that was just freed. Where that cannot be read, nothing is claimed.
fn freed_memory_is_wiped() -> bool {
    const LENGTH: usize = 2048;
    const MARK: u8 = 0xa7;
    let Ok(memory) = File::open("/proc/self/mem") else { return false };
    let mut seen = vec![0; LENGTH];
    let mut read = |address: usize| memory.read_exact_at(&mut seen, address as u64).map(|()| count(&seen, MARK));
    let block = black_box(vec![MARK; LENGTH]);
    let address = block.as_ptr().addr();
    let before = read(address);
    drop(block);
    // Some of a free block is the allocator's own to write; most of it would still be there.
    matches!((before, read(address)), (Ok(LENGTH), Ok(0)))
}

fn count(bytes: &[u8], value: u8) -> usize {
    bytes.iter().filter(|byte| **byte == value).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_confirms() {
        let achieved = protect();
        assert!(achieved.core_dumps_off && achieved.not_dumpable);
        assert!(!achieved.wiping_allocator, "the tests have the plain allocator, and the look must see that");
        // An independent look at what the kernel holds for this process.
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        for line in limits.lines().filter(|line| line.starts_with("Max core file size")) {
            let words: Vec<_> = line.split_whitespace().collect();
            assert_eq!(words[4..6], ["0", "0"], "{line}");
        }
    }

    #[test]
    fn what_a_function_left_on_the_stack_is_overwritten() {
        #[inline(never)]
        fn leave(mark: u8) -> usize {
            let mut secret = [mark; 4096];
            black_box(&mut secret).as_ptr().addr()
        }
        // Only root may look once another test has made this process undumpable.
        let Ok(memory) = File::open("/proc/self/mem") else { return };
        let mut seen = vec![0; 4096];
        let mut look = |address: usize| {
            memory.read_exact_at(&mut seen, address as u64).unwrap();
            count(&seen, 0xd3)
        };
        let address = leave(0xd3);
        assert!(look(address) > 2048, "the look itself needs little of the stack");
        wipe_stack();
        // The look's own frames lie there now; a byte of them may be the mark by chance.
        assert!(look(address) < 16);
    }

    #[test]
    fn locked_bytes_are_read_from_their_line() {
        assert_eq!(locked_bytes("VmPeak:\t  100 kB\nVmLck:\t      64 kB\nVmPin:\t 0 kB\n"), Some(65536));
        for other in ["", "VmLck:", "VmLck:\t x kB", "VmLck:\t 64 MB", "VmLckX: 64 kB"] {
            assert_eq!(locked_bytes(other), None, "{other:?}");
        }
    }
}
