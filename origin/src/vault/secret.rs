//! Secret bytes: in [locked memory](super::locked) (a move leaves no copy on the stack), wiped on drop, no `Clone`,
//! a `Debug` that tells nothing, comparison in constant time.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::entropy::{Entropy, EntropyError};
use super::locked::Locked;

/// A 256-bit secret key.
pub struct Key32(Locked<[u8; 32]>);

impl Key32 {
    /// Draws a fresh key.
    pub fn random(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = Self(Locked::new([0; 32]));
        entropy.fill(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// Takes the key over and wipes the caller's copy that was passed in.
    #[must_use]
    pub fn from_array(mut bytes: [u8; 32]) -> Self {
        let key = Self(Locked::new(bytes));
        bytes.zeroize();
        key
    }

    /// `None` unless there are exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Locked::new([0; 32]));
        if bytes.len() != key.0.len() {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// The raw key; the only way to it, so that uses are easy to find.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// [`Locked`] does it.
impl ZeroizeOnDrop for Key32 {}

impl ConstantTimeEq for Key32 {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl PartialEq for Key32 {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Key32 {}

impl fmt::Debug for Key32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key32(secret)")
    }
}

/// What the shares combine to; it opens the root key and nothing else.
#[derive(Debug, PartialEq, Eq)]
pub struct UnsealKey(pub Key32);

/// Wraps each key of the ring; held while unsealed.
#[derive(Debug, PartialEq, Eq)]
pub struct RootKey(pub Key32);

/// Secret bytes of any length (a PKCS#8 document, an identity file).
pub struct SecretBytes(Locked<[u8]>);

impl SecretBytes {
    /// Copies the bytes into locked memory; the ones that were passed in are wiped.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(Locked::copy_of(&bytes))
    }

    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::testing::Failing;

    #[test]
    fn debug_tells_nothing_and_equality_is_by_value() {
        let key = Key32::from_array([0xab; 32]);
        for text in [
            format!("{key:?}"),
            format!("{:?}", RootKey(Key32::from_array([0xab; 32]))),
            format!("{:?}", SecretBytes::new(Zeroizing::new(vec![0xab; 5]))),
        ] {
            assert!(!text.to_lowercase().contains("ab, ") && !text.contains("171"), "{text}");
        }
        assert_eq!(key, Key32::from_slice(&[0xab; 32]).unwrap());
        assert_ne!(key, Key32::from_array([0xac; 32]));
        assert!(Key32::from_slice(&[0; 31]).is_none() && Key32::from_slice(&[0; 33]).is_none());
    }

    #[test]
    fn a_failing_source_gives_no_key() {
        assert!(Key32::random(&mut Failing).is_err());
    }
}
