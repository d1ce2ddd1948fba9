//! The record envelope: XAES-256-GCM (C2SP) bound to the one place where the record belongs.
//!
//! ```text
//!  0         1             5              29                          len-16     len
//!  ┌─────────┬─────────────┬──────────────┬───────────────────────────┬──────────┐
//!  │ version │ key id      │ nonce        │ ciphertext                │ tag      │
//!  │ u8 = 1  │ u32 BE      │ 24 bytes     │ as long as the plaintext  │ 16 bytes │
//!  └─────────┴─────────────┴──────────────┴───────────────────────────┴──────────┘
//!
//! AAD: seven fields, each after its length as u32 BE
//!  ┌───┬─────────┬───┬─────────┬───┬───────┬───┬─────┬───┬────────┬───┬────────┬───┬─────────────┐
//!  │ 1 │ version │ n │ account │ n │ table │ n │ row │ n │ column │ 4 │ key id │ 8 │ row version │
//!  │   │ u8      │   │ UTF-8   │   │ UTF-8 │   │UTF-8│   │ UTF-8  │   │ u32 BE │   │ u64 BE      │
//!  └───┴─────────┴───┴─────────┴───┴───────┴───┴─────┴───┴────────┴───┴────────┴───┴─────────────┘
//! ```
//!
//! AES-GCM does not commit to its key: one ciphertext can open under two. So the key id is read and
//! authenticated, and no second key is ever tried.

use aes_gcm::aead::{AeadInOut, KeyInit};
use thiserror::Error;
use xaes_256_gcm::{Nonce, Tag, Xaes256Gcm};
use zeroize::{Zeroize, Zeroizing};

use super::entropy::{Entropy, EntropyError};
use super::locked::Locked;
use super::mac::length_prefix;
use super::secret::Key32;

const VERSION: u8 = 1;
const NONCE_AT: usize = 5;
const BODY_AT: usize = 29;
const TAG_LEN: usize = 16;
/// What an envelope adds to its plaintext.
pub const OVERHEAD: usize = BODY_AT + TAG_LEN;

/// The one place where a record may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordContext<'a> {
    /// Empty for what belongs to no account.
    pub account: &'a str,
    pub table: &'a str,
    /// Primary key of the row, as text.
    pub row: &'a str,
    pub column: &'a str,
    /// Counts the row's updates, so that an older value of the same cell does not pass as the newer.
    pub row_version: u64,
}

/// A key made ready for envelopes, with the number that its envelopes carry.
#[derive(Debug)]
pub struct EnvelopeKey {
    id: u32,
    /// Its expanded state holds the key.
    cipher: Locked<Xaes256Gcm>,
}

impl EnvelopeKey {
    #[must_use]
    pub fn new(id: u32, key: &Key32) -> Self {
        Self { id, cipher: Locked::new(Xaes256Gcm::new(key.expose().into())) }
    }

    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }
}

#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum EnvelopeError {
    #[error("the envelope is cut short")]
    Truncated,
    #[error("envelope version {0} is not known to this release")]
    UnknownVersion(u8),
    #[error("the envelope names key {named}, not key {given}")]
    OtherKey { named: u32, given: u32 },
    #[error("the envelope names key {0}, which is not in the ring")]
    UnknownKey(u32),
    #[error("the envelope was changed, moved or sealed for another place")]
    DoesNotOpen,
    #[error("the plaintext is too long")]
    TooLong,
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Seals `plaintext` for the place that `context` names.
pub fn seal(
    key: &EnvelopeKey,
    context: &RecordContext<'_>,
    plaintext: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, EnvelopeError> {
    let mut nonce = [0; BODY_AT - NONCE_AT];
    entropy.fill(&mut nonce)?;
    // Room for all: a reallocation would leave plaintext behind.
    let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
    sealed.push(VERSION);
    sealed.extend_from_slice(&key.id.to_be_bytes());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let (_, body) = sealed.split_at_mut(BODY_AT);
    let aad = associated_data(context, key.id);
    let Ok(tag) = key.cipher.encrypt_inout_detached(&Nonce::from(nonce), &aad, body.into()) else {
        sealed.zeroize();
        return Err(EnvelopeError::TooLong);
    };
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Opens an envelope with the key that it names, at the place for which it was sealed.
pub fn open(
    key: &EnvelopeKey,
    context: &RecordContext<'_>,
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
    let parts = Parts::of(envelope)?;
    if parts.key_id != key.id {
        return Err(EnvelopeError::OtherKey { named: parts.key_id, given: key.id });
    }
    let aad = associated_data(context, key.id);
    let mut plaintext = Zeroizing::new(parts.ciphertext.to_vec());
    key.cipher
        .decrypt_inout_detached(&Nonce::from(parts.nonce), &aad, plaintext.as_mut_slice().into(), &Tag::from(parts.tag))
        .map_err(|_| EnvelopeError::DoesNotOpen)?;
    Ok(plaintext)
}

/// The key that an envelope names; it is not authenticated before [`open`].
pub fn key_id_of(envelope: &[u8]) -> Result<u32, EnvelopeError> {
    Ok(Parts::of(envelope)?.key_id)
}

struct Parts<'a> {
    key_id: u32,
    nonce: [u8; BODY_AT - NONCE_AT],
    ciphertext: &'a [u8],
    tag: [u8; TAG_LEN],
}

impl<'a> Parts<'a> {
    fn of(envelope: &'a [u8]) -> Result<Self, EnvelopeError> {
        let (version, rest) = envelope.split_first().ok_or(EnvelopeError::Truncated)?;
        if *version != VERSION {
            return Err(EnvelopeError::UnknownVersion(*version));
        }
        let (key_id, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(EnvelopeError::Truncated)?;
        Ok(Self { key_id: u32::from_be_bytes(*key_id), nonce: *nonce, ciphertext, tag: *tag })
    }
}

fn associated_data(context: &RecordContext<'_>, key_id: u32) -> Vec<u8> {
    let key_id = key_id.to_be_bytes();
    let row_version = context.row_version.to_be_bytes();
    let fields: [&[u8]; 7] = [
        &[VERSION],
        context.account.as_bytes(),
        context.table.as_bytes(),
        context.row.as_bytes(),
        context.column.as_bytes(),
        &key_id,
        &row_version,
    ];
    let mut aad = Vec::with_capacity(fields.iter().map(|field| field.len() + 4).sum());
    for field in fields {
        aad.extend_from_slice(&length_prefix(field));
        aad.extend_from_slice(field);
    }
    aad
}

#[cfg(test)]
mod tests;
