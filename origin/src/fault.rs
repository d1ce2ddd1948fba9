//! Named places where a test lets the process die, as kill -9 would. Nothing of it is in a release build.
//!
//! `SCANVAULT_FAULT=name` or `name:3` (the third time that the place is passed).

/// Dies here when the environment says so.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::point(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    struct Fault {
        name: String,
        left: AtomicU32,
    }

    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();

    pub(super) fn point(name: &'static str) {
        let Some(fault) = FAULT.get_or_init(read) else { return };
        if fault.name == name && fault.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // By this line a test knows where it died.
            tracing::error!(point = name, "fault");
            let _ = kill_process(getpid(), Signal::KILL);
            // The signal is on its way; nothing more may happen until it is here.
            loop {
                std::thread::park();
            }
        }
    }

    fn read() -> Option<Fault> {
        let text = std::env::var("SCANVAULT_FAULT").ok().filter(|text| !text.is_empty())?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        let left = AtomicU32::new(count.parse().ok().filter(|count| *count > 0)?);
        Some(Fault { name: name.to_owned(), left })
    }
}
