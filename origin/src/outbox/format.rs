//! How a notification is written: JSON as it is, or the encrypted text of Scan to Pay.
//!
//! ```text
//! json:  the JSON
//! pluto: base64(AES-128-CBC(key, zero IV, PKCS#7, the JSON))
//! ```
//!
//! The second is the reference's form, kept for receivers that were written for it. By itself it proves nothing: equal
//! messages look equal, parts can be moved about, and an old one passes again. What proves a delivery is the signature
//! beside it ([`super::signature`]), which covers the text that is sent, in both formats.

use std::str::FromStr;

use aws_lc_rs::cipher::{AES_128, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError};
use crate::hex;

const KEY_BYTES: usize = 16;
/// The reference's: every message begins with the same one.
const ZERO_IV: [u8; 16] = [0; 16];
/// A guess: the reference does not say which media type its webhooks have.
const PLUTO_MEDIA_TYPE: &str = "text/plain; charset=utf-8";

/// What is sent to check a receiver. The reference sends it unencrypted, whatever the format.
pub const PROBE: &str = "{\"result\":\"TEST\"}";

/// How an account's notifications are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As it is.
    Json,
    /// Base64 of AES-128-CBC, as Scan to Pay's.
    Pluto,
}

/// The key of an account's encrypted notifications: 32 hexadecimal digits to people.
pub struct NotificationKey(Zeroizing<[u8; KEY_BYTES]>);

/// The text was not encrypted.
#[derive(Debug, thiserror::Error)]
#[error("the notification could not be encrypted")]
pub struct FormatError;

impl Format {
    /// The name in the database and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Pluto => "pluto",
        }
    }

    /// What the receiver is told that it is.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Pluto => PLUTO_MEDIA_TYPE,
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Json, Self::Pluto].into_iter().find(|format| format.as_str() == text).ok_or(UnknownFormat)
    }
}

/// There is no such format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a format is json or pluto")]
pub struct UnknownFormat;

impl NotificationKey {
    /// A new one.
    ///
    /// # Errors
    /// From the source.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(&mut *key)?;
        Ok(Self(key))
    }

    /// As it is kept.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|key| Self(Zeroizing::new(key)))
    }

    /// To keep it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &*self.0
    }

    /// As the merchant is given it, once.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(&*self.0))
    }

    /// The text that is sent in place of the JSON.
    ///
    /// # Errors
    /// When the cipher is not to be had; it never depends on the text.
    pub fn encrypt(&self, json: &str) -> Result<String, FormatError> {
        let key = UnboundCipherKey::new(&AES_128, &*self.0).map_err(|_| FormatError)?;
        let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(|_| FormatError)?;
        let mut text = json.as_bytes().to_vec();
        let iv = EncryptionContext::Iv128(FixedLength::from(ZERO_IV));
        cipher.less_safe_encrypt(&mut text, iv).map_err(|_| FormatError)?;
        Ok(STANDARD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::cipher::{DecryptionContext, PaddedBlockDecryptingKey};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn decrypt(key: &NotificationKey, text: &str) -> Vec<u8> {
        let cipher = UnboundCipherKey::new(&AES_128, key.expose()).unwrap();
        let mut bytes = STANDARD.decode(text).unwrap();
        let iv = DecryptionContext::Iv128(FixedLength::from(ZERO_IV));
        PaddedBlockDecryptingKey::cbc_pkcs7(cipher).unwrap().decrypt(&mut bytes, iv).unwrap().to_vec()
    }

    #[test]
    fn meets_the_documented_vectors() {
        let file: Value = serde_json::from_str(include_str!("../../vectors/notifications.json")).unwrap();
        for vector in file["pluto"].as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            let key = NotificationKey(Zeroizing::new(hex::decode(text("key")).unwrap()));
            assert_eq!(key.encrypt(text("plain")).unwrap(), text("sent"), "{}", text("name"));
            assert_eq!(*key.to_hex(), text("key"));
        }
    }

    #[test]
    fn formats_are_known_by_name() {
        assert_eq!(("json".parse(), "pluto".parse()), (Ok(Format::Json), Ok(Format::Pluto)));
        assert_eq!("xml".parse::<Format>(), Err(UnknownFormat));
        assert!(NotificationKey::from_bytes(&[0; 15]).is_none() && NotificationKey::from_bytes(&[0; 17]).is_none());
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_read_again(bytes in any::<[u8; 16]>(), text in "\\PC{0,300}") {
            let key = NotificationKey::from_bytes(&bytes).unwrap();
            let sent = key.encrypt(&text).unwrap();
            prop_assert_eq!(decrypt(&key, &sent), text.as_bytes());
            prop_assert!(sent.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')));
        }
    }
}
