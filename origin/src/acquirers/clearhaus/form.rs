//! A form body in a buffer that is wiped.

use zeroize::Zeroizing;

/// Enough for every call without a 3-D Secure message.
const USUAL_BYTES: usize = 1024;

/// `application/x-www-form-urlencoded`. Grown once, so that no old copy is left behind by a reallocation.
pub(super) struct Form(Zeroizing<Vec<u8>>);

impl Form {
    /// For the usual fields, and so many bytes more, each of which may be written as three.
    pub(super) fn with_room_for(more: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(USUAL_BYTES + 3 * more)))
    }

    /// For the usual fields.
    pub(super) fn new() -> Self {
        Self::with_room_for(0)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        self.push_encoded(name);
        self.0.push(b'=');
        self.push_encoded(value);
        self
    }

    /// A field of a payment method: `card[pan]`, `token[3dsecure][v2][ares]`.
    pub(super) fn within(self, method: &str, field: &str, value: &str) -> Self {
        self.with(&format!("{method}[{field}]"), value)
    }

    pub(super) fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Brackets stay literal, as in the gateway's own vector.
    fn push_encoded(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'[' | b']' => self.0.push(byte),
                _ => self.0.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 0x0f)]),
            }
        }
    }
}

/// An upper-case hexadecimal digit (RFC 3986 §2.1).
const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'A' + value - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_encoded_as_the_standard_has_it() {
        let text = Form::new().with("a[b]", "x y&z=%+/ø~\n").into_body();
        assert_eq!(std::str::from_utf8(&text).unwrap(), "a[b]=x%20y%26z%3D%25%2B%2F%C3%B8%7E%0A");
        let two = Form::new().within("card", "pan", "4").with("x", "").into_body();
        assert_eq!(std::str::from_utf8(&two).unwrap(), "card[pan]=4&x=");
    }

    #[test]
    fn the_buffer_does_not_move_while_it_is_filled() {
        let json = "{\"ø\":\"\\n\"}".repeat(900);
        let form = Form::with_room_for(json.len());
        let (at, capacity) = (form.0.as_ptr(), form.0.capacity());
        let form = form.with("card[pan]", "4111111111111111").with("card[3dsecure][v2][ares]", &json);
        assert_eq!((form.0.as_ptr(), form.0.capacity()), (at, capacity));
    }
}
