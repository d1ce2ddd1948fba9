//! What is read from files and from standard input: secrets, keys, values that must not stand on a command line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::output::Failure;

/// Reads a file, or standard input for `-`; what is over `max_bytes` is not read.
///
/// # Errors
/// [`Failure::Usage`] with the path.
pub(super) fn read(path: &Path, max_bytes: u64) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let done = if path == Path::new("-") {
        std::io::stdin().take(max_bytes).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(max_bytes).read_to_string(&mut text))
    };
    done.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    Ok(text)
}
