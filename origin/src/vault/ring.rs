//! The key ring: every key wrapped on its own under the root key, in the record envelope.
//!
//! ```text
//! wrapped key:  envelope(root key, key id 0, plaintext = the material)
//!               account "" │ table "vault_keys" │ row "<kind>/<id>" │ column "<state>" │ row version = created_at_ms
//! wrapped root: envelope(unseal key, key id 0, plaintext = 32 bytes)
//!               account "" │ table "vault_root" │ row hex(set id)   │ column "key"     │ row version = generation
//!
//! material:     32 bytes for every kind; page: P-256 scalar, big-endian; token: Ed25519 seed; login: PKCS#8 DER (RSA)
//! ```
//!
//! State and age are bound too: a row that was set back from `retired` to `active` in the database
//! does not open. Exactly one key of each kind is active (login: at most one); it seals and signs.
//! Retired keys still open and verify. A destroyed key leaves its row without material, so that its
//! number is never given again.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa;
use thiserror::Error;
use zeroize::Zeroizing;

use super::entropy::{Entropy, EntropyError};
use super::envelope::{self, EnvelopeError, EnvelopeKey, RecordContext};
use super::jwe::PageKey;
use super::keys::{KeyKind, KeyState, WrappedKey};
use super::secret::{Key32, RootKey, SecretBytes};

/// The number of the key that wraps, in wrapped keys and in the wrapped root.
pub const WRAPPING_KEY_ID: u32 = 0;

#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum RingError {
    #[error("key {kind}/{id} does not open: {reason}")]
    DoesNotOpen { kind: KeyKind, id: u32, reason: EnvelopeError },
    #[error("key {kind}/{id} opens, but is no key of its kind")]
    Material { kind: KeyKind, id: u32 },
    #[error("the ring has no active {0} key")]
    Missing(KeyKind),
    #[error("the ring has two active {0} keys")]
    TwoActive(KeyKind),
    #[error("the ring has key {kind}/{id} twice")]
    Duplicate { kind: KeyKind, id: u32 },
    #[error("the ring has no key {kind}/{id} in that state")]
    NoSuchKey { kind: KeyKind, id: u32 },
    #[error("no more numbers are left for {0} keys")]
    Exhausted(KeyKind),
    #[error("a key could not be made or wrapped: {0}")]
    Envelope(#[from] EnvelopeError),
    #[error("a key could not be generated")]
    Generation,
}

impl From<EntropyError> for RingError {
    fn from(error: EntropyError) -> Self {
        Self::Envelope(error.into())
    }
}

/// Where a key stands and since when; all of it is authenticated by the wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) kind: KeyKind,
    pub(super) id: u32,
    pub(super) state: KeyState,
    pub(super) created_at_ms: u64,
}

impl Slot {
    const fn of(row: &WrappedKey) -> Self {
        Self { kind: row.kind, id: row.id, state: row.state, created_at_ms: row.created_at_ms }
    }

    pub(super) fn wrap(
        self,
        root: &RootKey,
        material: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<WrappedKey, RingError> {
        let row = format!("{}/{}", self.kind, self.id);
        let key = EnvelopeKey::new(WRAPPING_KEY_ID, &root.0);
        let wrapped = envelope::seal(&key, &self.context(&row), material, entropy)?;
        let Self { kind, id, state, created_at_ms } = self;
        Ok(WrappedKey { kind, id, wrapped, created_at_ms, state })
    }

    const fn context(self, row: &str) -> RecordContext<'_> {
        RecordContext {
            account: "",
            table: "vault_keys",
            row,
            column: self.state.as_str(),
            row_version: self.created_at_ms,
        }
    }
}

/// Opens one row under the root key.
pub(super) fn unwrap(root: &RootKey, row: &WrappedKey) -> Result<Zeroizing<Vec<u8>>, RingError> {
    let slot = Slot::of(row);
    let name = format!("{}/{}", row.kind, row.id);
    let key = EnvelopeKey::new(WRAPPING_KEY_ID, &root.0);
    envelope::open(&key, &slot.context(&name), &row.wrapped).map_err(|reason| RingError::DoesNotOpen {
        kind: row.kind,
        id: row.id,
        reason,
    })
}

/// Draws the material of a new key. RSA alone is drawn by AWS-LC from its own source.
pub(super) fn generate(kind: KeyKind, entropy: &mut dyn Entropy) -> Result<Zeroizing<Vec<u8>>, RingError> {
    Ok(Zeroizing::new(match kind {
        KeyKind::Login => {
            let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa4096).map_err(|_| RingError::Generation)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| RingError::Generation)?;
            der.as_ref().to_vec()
        }
        KeyKind::Page => PageKey::random_scalar(entropy)?.expose().to_vec(),
        _ => Key32::random(entropy)?.expose().to_vec(),
    }))
}

/// Refuses material that is no key of its kind.
pub(super) fn check_material(kind: KeyKind, id: u32, material: &[u8]) -> Result<(), RingError> {
    Material::parse(kind, id, material).map(drop)
}

/// The opened ring.
#[derive(Debug)]
pub(super) struct KeyRing {
    keys: BTreeMap<(KeyKind, u32), Material>,
    active: BTreeMap<KeyKind, u32>,
}

impl KeyRing {
    /// Opens all rows; one that does not open, or a missing key, fails the whole ring.
    pub(super) fn open(root: &RootKey, rows: &[WrappedKey]) -> Result<Self, RingError> {
        let mut ring = Self { keys: BTreeMap::new(), active: BTreeMap::new() };
        for row in rows.iter().filter(|row| row.state != KeyState::Destroyed) {
            let (kind, id) = (row.kind, row.id);
            let material = Material::parse(kind, id, &unwrap(root, row)?)?;
            if ring.keys.insert((kind, id), material).is_some() {
                return Err(RingError::Duplicate { kind, id });
            }
            if row.state == KeyState::Active && ring.active.insert(kind, id).is_some() {
                return Err(RingError::TwoActive(kind));
            }
        }
        let required = KeyKind::ALL.into_iter().filter(|kind| kind.made_at_init());
        match required.into_iter().find(|kind| !ring.active.contains_key(kind)) {
            Some(kind) => Err(RingError::Missing(kind)),
            None => Ok(ring),
        }
    }

    pub(super) fn active_id(&self, kind: KeyKind) -> Option<u32> {
        self.active.get(&kind).copied()
    }

    pub(super) fn data(&self, id: u32) -> Option<&EnvelopeKey> {
        match self.keys.get(&(KeyKind::Data, id)) {
            Some(Material::Envelope(key)) => Some(key),
            _ => None,
        }
    }

    /// A 32-byte key of the kinds that are plain secrets.
    pub(super) fn secret(&self, kind: KeyKind, id: u32) -> Option<&Key32> {
        match self.keys.get(&(kind, id)) {
            Some(Material::Secret(key)) => Some(key),
            _ => None,
        }
    }

    /// All live keys of a kind with their numbers, the active one first.
    pub(super) fn secrets(&self, kind: KeyKind) -> impl Iterator<Item = (u32, &Key32)> {
        let active = self.active_id(kind);
        let first = active.into_iter();
        let all = self.keys.range((kind, 0)..=(kind, u32::MAX));
        let others = all.map(|((_, id), _)| *id).filter(move |id| Some(*id) != active);
        first.chain(others).filter_map(move |id| Some((id, self.secret(kind, id)?)))
    }

    pub(super) fn page(&self, id: u32) -> Option<&PageKey> {
        match self.keys.get(&(KeyKind::Page, id)) {
            Some(Material::Page(key)) => Some(key),
            _ => None,
        }
    }

    pub(super) fn page_by_kid(&self, kid: &str) -> Option<&PageKey> {
        self.keys.values().find_map(|material| match material {
            Material::Page(key) if key.jwk().kid == kid => Some(&**key),
            _ => None,
        })
    }

    pub(super) fn login(&self, id: u32) -> Option<&SecretBytes> {
        match self.keys.get(&(KeyKind::Login, id)) {
            Some(Material::Login(key)) => Some(key),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Material {
    Envelope(EnvelopeKey),
    Secret(Key32),
    Page(Box<PageKey>),
    Login(SecretBytes),
}

impl Material {
    fn parse(kind: KeyKind, id: u32, bytes: &[u8]) -> Result<Self, RingError> {
        let refused = || RingError::Material { kind, id };
        if kind == KeyKind::Login {
            // Also refuses moduli below 2048 bits.
            rsa::KeyPair::from_pkcs8(bytes).map_err(|_| refused())?;
            return Ok(Self::Login(SecretBytes::new(Zeroizing::new(bytes.to_vec()))));
        }
        let key = Key32::from_slice(bytes).ok_or_else(refused)?;
        Ok(match kind {
            KeyKind::Data => Self::Envelope(EnvelopeKey::new(id, &key)),
            KeyKind::Page => Self::Page(Box::new(PageKey::from_scalar(&key).ok_or_else(refused)?)),
            _ => Self::Secret(key),
        })
    }
}

#[cfg(test)]
mod tests;
