//! Base64url as EMV 3-D Secure wants it: out without padding (the bank's page refuses it), in as anybody writes it.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Takes padding or none, and does not mind bits behind the last byte.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Padded or not, in the alphabet of URLs or the standard one, which are told apart by nothing but their last two
/// characters. White space that a form or a mail program put in is left out.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let in_one_alphabet: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    LENIENT.decode(in_one_alphabet.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_two_characters_of_the_alphabet() {
        assert_eq!(encode(&[0xfb, 0xef, 0xff, 0xfe]), "--___g");
        for text in ["--___g", "--___g==", "++///g", "++///g==", "--___g=", " --_\r\n__g\t"] {
            assert_eq!(decode(text), Some(vec![0xfb, 0xef, 0xff, 0xfe]), "{text}");
        }
        for text in ["-", "a=b", "é", "--___g\u{0}"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let ours = encode(&bytes);
            prop_assert!(!ours.contains(['=', '+', '/']));
            let spellings = [ours, URL_SAFE.encode(&bytes), STANDARD.encode(&bytes), STANDARD_NO_PAD.encode(&bytes)];
            for spelling in spellings {
                let read = decode(&spelling);
                prop_assert_eq!(read.as_deref(), Some(bytes.as_slice()));
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,100}") {
            let _ = decode(&text);
        }
    }
}
