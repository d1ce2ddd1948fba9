//! API passwords: 256 random bits with a prefix (for secret scanners) and a checksum (for typos).
//!
//! ```text
//! sv_ <43 base62 digits of 32 bytes, big-endian> <6 base62 digits of a checksum>
//! ```
//!
//! The secret has full entropy, so a plain SHA-256 is enough to store it (OWASP ASVS 5.0, 6.5.2): nothing can be
//! guessed, and a check costs a microsecond instead of Argon2's tens of milliseconds.

use core::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What every API password starts with.
pub const PREFIX: &str = "sv_";
/// The length of a password as text, in bytes.
pub const PASSWORD_BYTES: usize = PREFIX.len() + SECRET_DIGITS + CHECKSUM_DIGITS;

const SECRET_DIGITS: usize = 43; // 62^43 > 2^256
const CHECKSUM_DIGITS: usize = 6; // 62^6 > 2^32
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A password in clear. Shown once, when it is made; never stored.
pub struct ApiPassword(Zeroizing<String>);

impl ApiPassword {
    /// Makes the password of 32 random bytes.
    #[must_use]
    pub fn from_entropy(random: &[u8; 32]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(PASSWORD_BYTES));
        text.push_str(PREFIX);
        text.push_str(&base62(random, SECRET_DIGITS));
        let sum = checksum(text.as_bytes());
        text.push_str(&sum);
        Self(text)
    }

    /// Takes a password as a client sends it, with its form and checksum checked.
    ///
    /// # Errors
    /// [`MalformedPassword`]: it cannot be the password of any account.
    pub fn parse(text: &str) -> Result<Self, MalformedPassword> {
        let body = text.strip_suffix_of_len(CHECKSUM_DIGITS).ok_or(MalformedPassword)?;
        let well_formed = text.len() == PASSWORD_BYTES
            && text.starts_with(PREFIX)
            && bool::from(
                checksum(body.as_bytes()).as_bytes().ct_eq(text.as_bytes().get(body.len()..).unwrap_or_default()),
            );
        if well_formed { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(MalformedPassword) }
    }

    /// What is stored in place of the password.
    #[must_use]
    pub fn verifier(&self) -> PasswordVerifier {
        PasswordVerifier(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The text, to show it once or to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiPassword(..)")
    }
}

/// SHA-256 of a password: enough to check one, useless to log in with.
#[derive(Clone, Debug)]
pub struct PasswordVerifier([u8; 32]);

impl PasswordVerifier {
    /// Takes a stored verifier.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A verifier that no password meets: unknown accounts are checked against it, at the same cost.
    #[must_use]
    pub fn impossible() -> Self {
        Self([0; 32])
    }

    /// Compares in constant time.
    #[must_use]
    pub fn accepts(&self, password: &ApiPassword) -> bool {
        let real = !bool::from(self.0.ct_eq(&[0; 32]));
        bool::from(self.0.ct_eq(&password.verifier().0)) & real
    }
}

/// The text is not an API password of any account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API password")]
pub struct MalformedPassword;

fn checksum(text: &[u8]) -> String {
    let digest = Sha256::new().chain_update(b"scanvault api password v1").chain_update(text).finalize();
    let (head, _) = digest.split_at(4);
    base62(head, CHECKSUM_DIGITS).as_str().to_owned()
}

/// Base 62, big-endian, padded to `digits`: long division of the whole number, a digit at a time.
fn base62(bytes: &[u8], digits: usize) -> Zeroizing<String> {
    let mut number = Zeroizing::new(bytes.to_vec());
    let mut text = Zeroizing::new(vec![b'0'; digits]);
    for place in text.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in number.iter_mut() {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = (value / 62).to_le_bytes()[0];
            remainder = value % 62;
        }
        *place = ALPHABET.get(remainder as usize).copied().unwrap_or(b'0');
    }
    Zeroizing::new(String::from_utf8_lossy(&text).into_owned())
}

/// `str::split_at` for a tail of a given length, without a panic.
trait TailExt {
    fn strip_suffix_of_len(&self, tail: usize) -> Option<&str>;
}

impl TailExt for str {
    fn strip_suffix_of_len(&self, tail: usize) -> Option<&str> {
        self.get(..self.len().checked_sub(tail)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_forms() {
        // 2^256 - 1 in base 62, computed with Python: the form is fixed for good.
        let all_ones = ApiPassword::from_entropy(&[0xff; 32]);
        assert_eq!(all_ones.expose(), "sv_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp12uNQGn");
        assert_eq!(all_ones.expose().len(), PASSWORD_BYTES);
        let zero = ApiPassword::from_entropy(&[0; 32]);
        assert!(zero.expose().starts_with(&format!("sv_{}", "0".repeat(43))));
    }

    #[test]
    fn nothing_meets_the_impossible_verifier() {
        assert!(!PasswordVerifier::impossible().accepts(&ApiPassword::from_entropy(&[7; 32])));
    }

    proptest! {
        #[test]
        fn round_trip_and_check(random: [u8; 32], other: [u8; 32]) {
            let password = ApiPassword::from_entropy(&random);
            let parsed = ApiPassword::parse(password.expose()).unwrap();
            prop_assert!(password.verifier().accepts(&parsed));
            prop_assert_eq!(ApiPassword::from_entropy(&other).verifier().accepts(&parsed), random == other);
        }

        #[test]
        fn one_wrong_character_is_refused(random: [u8; 32], at in 0..PASSWORD_BYTES, with in "[0-9A-Za-z]") {
            let text = ApiPassword::from_entropy(&random).expose().to_owned();
            let mut typo = text.clone();
            typo.replace_range(at..=at, &with);
            prop_assert_eq!(ApiPassword::parse(&typo).is_ok(), typo == text);
        }

        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = ApiPassword::parse(&text);
        }
    }
}
