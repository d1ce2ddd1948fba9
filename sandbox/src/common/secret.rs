//! Text that is wiped when dropped and cannot be printed or copied by accident.

use std::{fs, io, path::Path};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The file's text without the white space around it (editors end files with a newline).
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = Zeroizing::new(fs::read_to_string(path)?);
        match text.trim() {
            "" => Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty")),
            trimmed => Ok(Self::new(trimmed)),
        }
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Comparison whose time depends on the lengths only.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_whole_texts() {
        let secret = SecretText::new("abc");
        assert!(secret.matches(b"abc"));
        for other in ["", "ab", "abd", "abcd", "ABC"] {
            assert!(!secret.matches(other.as_bytes()), "{other}");
        }
    }
}
