//! RFC 4648 §6 base32 in lower case, for [`share`](super::share) only: grouped, and strict when read.

use zeroize::{Zeroize, Zeroizing};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// A dash goes before each group of so many symbols.
const GROUP: usize = 6;

/// `prefix`, then groups of symbols with a dash before each.
pub(super) fn encode_grouped(prefix: &str, bytes: &[u8]) -> Zeroizing<String> {
    let symbols = (bytes.len() * 8).div_ceil(5);
    // Room for all, so that no reallocation leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + symbols + symbols.div_ceil(GROUP)));
    text.push_str(prefix);
    let (mut buffer, mut bits) = (0_u16, 0_u8);
    let mut written = 0;
    let mut push = |value: u16| {
        if written % GROUP == 0 {
            text.push('-');
        }
        written += 1;
        text.extend(ALPHABET.get(usize::from(value & 31)).map(|symbol| char::from(*symbol)));
    };
    for byte in bytes {
        buffer = buffer << 8 | u16::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            push(buffer >> bits);
        }
    }
    if bits > 0 {
        push(buffer << (5 - bits));
    }
    buffer.zeroize();
    text
}

/// The bytes of symbol values; `None` when the spare bits at the end are not zero (RFC 4648 §3.5:
/// they would be a second spelling of the same bytes).
pub(super) fn decode(values: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(values.len() * 5 / 8));
    let (mut buffer, mut bits) = (0_u16, 0_u8);
    for value in values {
        buffer = buffer << 5 | u16::from(*value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits & 0xff) as u8);
        }
    }
    let spare = buffer & ((1 << bits) - 1);
    buffer.zeroize();
    (spare == 0).then_some(bytes)
}

/// 0 to 31.
pub(super) const fn symbol_value(symbol: char) -> Option<u8> {
    match symbol {
        'a'..='z' => Some(symbol as u8 - b'a'),
        '2'..='7' => Some(symbol as u8 - b'2' + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_section_10() {
        for (text, symbols) in [
            ("f", "my"),
            ("fo", "mzxq"),
            ("foo", "mzxw6"),
            ("foob", "mzxw6y-q"),
            ("fooba", "mzxw6y-tb"),
            ("foobar", "mzxw6y-tboi"),
        ] {
            assert_eq!(*encode_grouped("p", text.as_bytes()), format!("p-{symbols}"));
            let values: Vec<u8> = symbols.chars().filter_map(symbol_value).collect();
            assert_eq!(*decode(&values).unwrap(), text.as_bytes());
        }
        assert!(decode(&[12, 25]).is_none());
    }
}
