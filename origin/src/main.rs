//! `scanvault`: the origin, and the operators' CLI to it.

use std::process::ExitCode;

/// Wipes what libraries free: copies of secrets that no type of ours can reach. Here and not in the library, so that
/// its cost can be measured against the same code without it.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    scanvault_origin::cli::run()
}
