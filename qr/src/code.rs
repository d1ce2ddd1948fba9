//! The ten-digit code that an image shows.

/// Ten digits; a leading zero counts, so this is text and never a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code([u8; 10]);

impl Code {
    /// `None` unless the text is exactly ten ASCII digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 10] = text.as_bytes().try_into().ok()?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(Self(digits))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Digits are always UTF-8.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ten_ascii_digits_are_a_code() {
        assert_eq!(Code::parse("0123456789").unwrap().as_str(), "0123456789");
        for text in [
            "",
            "123456789",
            "01234567890",
            "012345678a",
            "٠١٢٣٤",
            "012345678 ",
        ] {
            assert_eq!(Code::parse(text), None, "{text}");
        }
    }
}
