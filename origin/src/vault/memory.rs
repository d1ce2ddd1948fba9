//! What the process does so that its memory is not written to a disk or read by a neighbour.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};
use serde::Serialize;

/// What was achieved, read back from the kernel; shown by `vault status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryProtection {
    /// `RLIMIT_CORE` is 0, soft and hard: no core file.
    pub core_dumps_off: bool,
    /// `PR_SET_DUMPABLE` is 0: no core through a pipe handler either, no ptrace by the same user.
    pub not_dumpable: bool,
}

impl MemoryProtection {
    #[must_use]
    pub const fn complete(self) -> bool {
        self.core_dumps_off && self.not_dumpable
    }
}

/// Turns core dumps off. To be called first of all in `main`; it can only be undone by a new process.
#[must_use]
pub fn protect() -> MemoryProtection {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // A refusal shows in what is read back.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    achieved()
}

fn achieved() -> MemoryProtection {
    let limit = getrlimit(Resource::Core);
    MemoryProtection {
        core_dumps_off: limit.current == Some(0) && limit.maximum == Some(0),
        not_dumpable: matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_confirms() {
        assert!(protect().complete());
        // An independent look at what the kernel holds for this process.
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        for line in limits.lines().filter(|line| line.starts_with("Max core file size")) {
            let words: Vec<_> = line.split_whitespace().collect();
            assert_eq!(words[4..6], ["0", "0"], "{line}");
        }
    }
}
