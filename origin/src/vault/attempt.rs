//! Attempt ids of the pay page: stateless, so that opening a page writes nothing.
//!
//! ```text
//! attempt id: base64url without padding (54 symbols) of 40 bytes:
//!  0                16                    24                40
//!  ┌────────────────┬─────────────────────┬─────────────────┐
//!  │ random         │ expiry              │ MAC             │
//!  │ 16 bytes       │ u64 BE, unix s      │ 16 bytes        │
//!  └────────────────┴─────────────────────┴─────────────────┘
//! MAC: first 16 bytes of HMAC-SHA256(attempt key, "scanvault/attempt/v1" 00 ‖ code ‖ random ‖ expiry)
//! ```
//!
//! The fields after the code have fixed lengths, so that no two inputs of the MAC coincide. That an
//! attempt is used once is the store's part: it consumes the random part with the intent.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::entropy::{Entropy, EntropyError};
use super::mac::hmac_sha256;
use super::secret::Key32;

const DOMAIN: &[u8] = b"scanvault/attempt/v1\0";

/// A verified attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Unique for each page; what the store consumes.
    pub random: [u8; 16],
    pub expires_at_s: u64,
}

#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum AttemptError {
    #[error("this is no attempt id")]
    Malformed,
    #[error("the attempt id was not issued for this code")]
    Forged,
    #[error("the page has expired")]
    Expired,
}

/// Issues an attempt id for `code`.
pub fn sign(key: &Key32, code: &str, expires_at_s: u64, entropy: &mut dyn Entropy) -> Result<String, EntropyError> {
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    let expiry = expires_at_s.to_be_bytes();
    let mac = mac(key, code, &random, &expiry);
    Ok(URL_SAFE_NO_PAD.encode([random.as_slice(), &expiry, &mac].concat()))
}

/// Checks that the id was issued for `code` under one of `keys` and is still good (through its last second).
pub fn verify<'k>(
    keys: impl IntoIterator<Item = &'k Key32>,
    code: &str,
    id: &str,
    now_s: u64,
) -> Result<Attempt, AttemptError> {
    let bytes: [u8; 40] =
        URL_SAFE_NO_PAD.decode(id).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(AttemptError::Malformed)?;
    let (random, rest) = bytes.split_first_chunk::<16>().ok_or(AttemptError::Malformed)?;
    let (expiry, stated) = rest.split_first_chunk::<8>().ok_or(AttemptError::Malformed)?;
    let genuine = keys.into_iter().any(|key| mac(key, code, random, expiry).as_slice().ct_eq(stated).into());
    if !genuine {
        return Err(AttemptError::Forged);
    }
    let expires_at_s = u64::from_be_bytes(*expiry);
    if now_s > expires_at_s {
        return Err(AttemptError::Expired);
    }
    Ok(Attempt { random: *random, expires_at_s })
}

fn mac(key: &Key32, code: &str, random: &[u8; 16], expiry: &[u8; 8]) -> [u8; 16] {
    let full = hmac_sha256(key, &[DOMAIN, code.as_bytes(), random, expiry]);
    let (half, _) = full.split_first_chunk().unwrap_or((&[0; 16], &[]));
    *half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::testing::Seeded;

    fn key(byte: u8) -> Key32 {
        Key32::from_array([byte; 32])
    }

    #[test]
    fn an_issued_id_is_good_until_its_last_second_for_its_code_only() {
        let id = sign(&key(1), "0123456789", 1000, &mut Seeded::new(1)).unwrap();
        assert_eq!(id.len(), 54);
        let attempt = verify([&key(1)], "0123456789", &id, 1000).unwrap();
        assert_eq!(attempt.expires_at_s, 1000);
        assert_ne!(attempt.random, [0; 16]);
        assert_eq!(verify([&key(1)], "0123456789", &id, 1001), Err(AttemptError::Expired));
        assert_eq!(verify([&key(1)], "0123456780", &id, 1000), Err(AttemptError::Forged));
        assert_eq!(verify([&key(2)], "0123456789", &id, 1000), Err(AttemptError::Forged));
        assert_eq!(verify([], "0123456789", &id, 1000), Err(AttemptError::Forged));
        assert!(verify([&key(2), &key(1)], "0123456789", &id, 1000).is_ok());
    }

    #[test]
    fn every_other_symbol_anywhere_is_refused() {
        let id = sign(&key(1), "0123456789", 1000, &mut Seeded::new(1)).unwrap();
        for at in 0..id.len() {
            for symbol in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .".chars() {
                let mut changed = id.clone();
                changed.replace_range(at..=at, &symbol.to_string());
                assert!(changed == id || verify([&key(1)], "0123456789", &changed, 1).is_err(), "{changed}");
            }
        }
        for cut in 0..id.len() {
            assert_eq!(verify([&key(1)], "0123456789", &id[..cut], 1), Err(AttemptError::Malformed));
        }
        assert_eq!(verify([&key(1)], "0123456789", &format!("{id}A"), 1), Err(AttemptError::Malformed));
    }

    #[test]
    fn two_pages_have_two_ids() {
        let mut entropy = Seeded::new(1);
        let first = sign(&key(1), "0123456789", 1000, &mut entropy).unwrap();
        assert_ne!(first, sign(&key(1), "0123456789", 1000, &mut entropy).unwrap());
    }
}
