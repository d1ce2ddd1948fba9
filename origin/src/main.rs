//! `scanvault`: the origin, and the operators' CLI to it.

use std::process::ExitCode;

fn main() -> ExitCode {
    scanvault_origin::cli::run()
}
