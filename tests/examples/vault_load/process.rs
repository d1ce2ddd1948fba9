//! What `/proc` says of a process.

use std::fs;

/// CPU time so far, in clock ticks: USER_HZ is 100 on every Linux that we run on.
#[derive(Clone, Copy)]
pub(crate) struct Cpu(u64);

impl Cpu {
    /// Of one process with all its threads.
    pub(crate) fn of(pid: u32) -> Self {
        let fields = stat(pid).unwrap();
        Self(fields[11] + fields[12])
    }

    /// Of a process, its children, and the children that it has waited for.
    pub(crate) fn of_all(pid: u32) -> Self {
        let own = stat(pid).unwrap();
        let pids =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let children = pids.filter_map(stat).filter(|fields| fields[1] == u64::from(pid));
        Self(own[11..15].iter().sum::<u64>() + children.map(|fields| fields[11] + fields[12]).sum::<u64>())
    }

    pub(crate) fn micros_since(self, before: Self) -> u64 {
        self.0.saturating_sub(before.0) * 10_000
    }
}

/// Resident now and at its highest, in kilobytes.
pub(crate) fn memory(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    (value("VmRSS:"), value("VmHWM:"))
}

/// The numbers after the program's name, which may hold anything; `fields[1]` is the parent, 11 to 14 are CPU times.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split(' ').map(|field| field.parse().unwrap_or(0)).collect())
}
