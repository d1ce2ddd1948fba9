//! The vault's part in a login: it opens what a client has encrypted to the gateway's login key, and tells nobody whether
//! it could.
//!
//! ```text
//! answer:  SHA-256 of the 64 bytes that the challenge opens to, else rejection(challenge): 32 bytes either way
//! decoy:   a random number below p · q; p and q are 2048 bits each, of
//!          HMAC-SHA256(rejection key, "scanvault/decoy/v1" 00 ‖ block number ‖ identity), top two bits and low bit set
//! ```
//!
//! With any tell-tale difference between a challenge that opens and one that does not, some 4,200 questions open any
//! ciphertext of a 4096-bit key (Manger, CRYPTO 2001). So both take the same way: AWS-LC's constant-time unpadding, every
//! live key, the rejection always computed, one selection without a branch. What is left is what AWS-LC's own error path
//! takes, some nanoseconds beside milliseconds.
//!
//! The decoy stands in for a ciphertext of a key that nobody has enrolled. Its modulus belongs to the identity, because
//! that of an enrolled key does too: whoever asks a thousand times sees where the numbers end. A rotated rejection key
//! gives an identity another modulus, as a new enrolment would.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use rsa::BigUint;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use super::mac::hmac_sha256;
use super::unsealed::Unsealed;

/// A ciphertext of a 4096-bit key, in bytes.
pub const CIPHERTEXT_BYTES: usize = 512;
/// What is encrypted, in both directions, in bytes.
pub const CHALLENGE_BYTES: usize = 64;
/// Random bytes for one decoy: 128 bits more than the modulus has, so that the remainder is as good as uniform.
pub const DECOY_RANDOM_BYTES: usize = CIPHERTEXT_BYTES + 16;

/// The active key and the one before it.
const MAX_KEYS: usize = 2;
const DECOY_DOMAIN: &[u8] = b"scanvault/decoy/v1\0";
const FACTOR_BYTES: usize = CIPHERTEXT_BYTES / 2;

/// Keys that open challenges. What AWS-LC keeps of them is wiped when the ring goes.
#[derive(Debug)]
pub(super) struct Openers(Vec<OaepPrivateDecryptingKey>);

impl Openers {
    /// The newest keys of the ring. Each was held to be an RSA key when the ring opened.
    pub(super) fn of(unsealed: &Unsealed) -> Self {
        let mut keys: Vec<_> = unsealed.login_keys().collect();
        keys.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        let parsed = keys.into_iter().take(MAX_KEYS).filter_map(|(_, pkcs8)| {
            OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(pkcs8.expose()).ok()?).ok()
        });
        Self(parsed.collect())
    }
}

impl Unsealed {
    /// The gateway's answer to a client's challenge. Milliseconds of work: not for the threads that answer.
    #[must_use]
    pub fn answer_challenge(&self, challenge: &[u8; CIPHERTEXT_BYTES]) -> [u8; 32] {
        let mut answer = self.rejection(challenge);
        for key in &self.openers().0 {
            let mut opened = Zeroizing::new([0; CIPHERTEXT_BYTES]);
            let length = key.decrypt(&OAEP_SHA1_MGF1SHA1, challenge, &mut *opened, None).map_or(0, |text| text.len());
            let digest = Sha256::digest(opened.first_chunk::<CHALLENGE_BYTES>().unwrap_or(&[0; CHALLENGE_BYTES]));
            let is_challenge = Choice::from(u8::from(length == CHALLENGE_BYTES));
            for (byte, right) in answer.iter_mut().zip(digest) {
                byte.conditional_assign(&right, is_challenge);
            }
        }
        answer
    }

    /// The public half of the active login key, DER SubjectPublicKeyInfo; `None` until one was generated.
    #[must_use]
    pub fn login_public_key(&self) -> Option<Vec<u8>> {
        let key = PrivateDecryptingKey::from_pkcs8(self.login_key()?.expose()).ok()?;
        let der: PublicKeyX509Der<'_> = key.public_key().as_der().ok()?;
        Some(der.as_ref().to_vec())
    }

    /// What an identity without a key is sent in the place of a ciphertext.
    #[must_use]
    pub fn decoy(&self, identity: &str, random: &[u8; DECOY_RANDOM_BYTES]) -> [u8; CIPHERTEXT_BYTES] {
        let modulus = self.decoy_factor(identity, 0) * self.decoy_factor(identity, 1);
        let number = (BigUint::from_bytes_be(random) % modulus).to_bytes_be();
        let mut bytes = [0; CIPHERTEXT_BYTES];
        // From the right: a number may have zeros before it, and never has more bytes than its modulus.
        for (byte, digit) in bytes.iter_mut().rev().zip(number.iter().rev()) {
            *byte = *digit;
        }
        bytes
    }

    /// As a prime of a 4096-bit key has it: the top two bits set, so that the product has all its bits, and odd.
    fn decoy_factor(&self, identity: &str, number: u8) -> BigUint {
        const BLOCKS: u8 = (FACTOR_BYTES / 32) as u8;
        let key = self.rejection_key();
        let block = |at: u8| hmac_sha256(key, &[DECOY_DOMAIN, &[number * BLOCKS + at], identity.as_bytes()]);
        let mut bytes: Vec<u8> = (0..BLOCKS).flat_map(block).collect();
        if let Some(first) = bytes.first_mut() {
            *first |= 0b1100_0000;
        }
        if let Some(last) = bytes.last_mut() {
            *last |= 1;
        }
        BigUint::from_bytes_be(&bytes)
    }
}

#[cfg(test)]
mod tests;
