//! HMAC-SHA256 (RFC 2104) under a ring key. Every use has a domain of its own as its first part.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::Key32;

pub(super) fn hmac_sha256(key: &Key32, parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "RFC 2104 takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A u32-BE length before the field, so that two fields never run into each other.
pub(super) fn length_prefix(field: &[u8]) -> [u8; 4] {
    // A field of 4 GiB cannot be held by any caller; saturating keeps this total.
    u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::hex;

    #[test]
    fn rfc_4231_case_2_in_our_padding() {
        // RFC 4231 §4.3 has the key "Jefe"; HMAC pads keys with zeros, so 32 bytes give the same.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let tag = hmac_sha256(&Key32::from_array(key), &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex::encode(&tag), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
