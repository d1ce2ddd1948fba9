//! One field of a form as a browser posts it (application/x-www-form-urlencoded).

/// The first field of this name, as text; none when it is not UTF-8. A `%` without two hex digits stands for itself, as in
/// the URL standard.
#[must_use]
pub fn field(body: &[u8], name: &str) -> Option<String> {
    body.split(|byte| *byte == b'&').find_map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (key, value) = (halves.next()?, halves.next().unwrap_or_default());
        (decoded(key) == name.as_bytes()).then(|| String::from_utf8(decoded(value)).ok())?
    })
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let (byte, left) = match (first, after) {
            (b'+', _) => (b' ', after),
            (b'%', [high, low, left @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, left),
                _ => (b'%', after),
            },
            (other, _) => (*other, after),
        };
        bytes.push(byte);
        rest = left;
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_browsers_write_it() {
        let body = b"a=1&cres=e30%3D&threeDSSessionData=&b=x+y%2B&cres=second&plain";
        for (name, value) in [("a", "1"), ("cres", "e30="), ("threeDSSessionData", ""), ("b", "x y+"), ("plain", "")] {
            assert_eq!(field(body, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(field(body, "c"), None);
        assert_eq!(field(b"", "c"), None);
        assert_eq!(field(b"%63=100%&d=%zz", "c").as_deref(), Some("100%"));
        assert_eq!(field(b"%63=100%&d=%zz", "d").as_deref(), Some("%zz"));
        assert_eq!(field(b"c=%ff", "c"), None, "no UTF-8");
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = field(&body, "cres");
        }

        #[test]
        fn escaped_text_comes_back(text in "\\PC{0,40}") {
            let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(field(format!("x=1&cres={escaped}").as_bytes(), "cres"), Some(text));
        }
    }
}
