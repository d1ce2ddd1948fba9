//! The open vault: every operation that needs a key. Whoever holds one can use it; a handler gets
//! one only from [`Vault::unsealed`](super::state::Vault::unsealed).
//!
//! ```text
//! fingerprint: HMAC-SHA256(fingerprint key, "scanvault/fingerprint/v1" 00 ‖ u32-BE length ‖ account ‖ digits of the PAN)
//! audit value: HMAC-SHA256(audit key,       "scanvault/audit-value/v1" 00 ‖ u32-BE length ‖ field   ‖ value)
//! rejection:   HMAC-SHA256(rejection key,   "scanvault/rejection/v1" 00 ‖ challenge bytes)
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use super::attempt::{self, Attempt, AttemptError};
use super::audit_keys::AuditKeys;
use super::card::Pan;
use super::entropy::{Entropy, EntropyError};
use super::envelope::{self, EnvelopeError, EnvelopeKey, RecordContext};
use super::init::VaultRecord;
use super::jwe::{self, JweError, PublicJwk};
use super::jwe_internal::{self, SessionKey, Typ};
use super::keys::{KeyInfo, KeyKind, KeyState, WrappedKey};
use super::login::Openers;
use super::mac::{hmac_sha256, length_prefix};
use super::ring::{KeyRing, RingError, Slot, check_material, generate, unwrap};
use super::secret::{Key32, RootKey, SecretBytes};

const FINGERPRINT_DOMAIN: &[u8] = b"scanvault/fingerprint/v1\0";
const AUDIT_DOMAIN: &[u8] = b"scanvault/audit-value/v1\0";
const REJECTION_DOMAIN: &[u8] = b"scanvault/rejection/v1\0";

/// The opened keys. Dropping the last `Arc` of it wipes them.
#[derive(Debug)]
pub struct Unsealed {
    pub(super) record: VaultRecord,
    pub(super) root: RootKey,
    pub(super) ring: KeyRing,
    audit: AuditKeys,
    /// Made when the first login needs them; they go with this ring.
    openers: OnceLock<Openers>,
    uses: Arc<AtomicU64>,
}

/// Two rows to store in one transaction: the new active key and the one it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub added: WrappedKey,
    /// Replaces the stored row of the same kind and id. `None` for a first login key.
    pub retired: Option<WrappedKey>,
}

impl Unsealed {
    pub(super) fn open(record: VaultRecord, root: RootKey) -> Result<Self, RingError> {
        let ring = KeyRing::open(&root, &record.keys)?;
        let audit = AuditKeys::derive(ring.secrets(KeyKind::Audit))?;
        Ok(Self { record, root, ring, audit, openers: OnceLock::new(), uses: Arc::default() })
    }

    /// The same root key over a newer record (another process has changed the ring).
    pub(super) fn with_record(&self, record: VaultRecord) -> Result<Self, RingError> {
        let root = RootKey(Key32::from_array(*self.root.0.expose()));
        Ok(Self { uses: Arc::clone(&self.uses), ..Self::open(record, root)? })
    }

    #[must_use]
    pub const fn record(&self) -> &VaultRecord {
        &self.record
    }

    // --- Records ---------------------------------------------------------------------------

    /// Seals under the active data key.
    pub fn seal_record(
        &self,
        context: &RecordContext<'_>,
        plaintext: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, EnvelopeError> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        envelope::seal(self.data_key(self.active(KeyKind::Data))?, context, plaintext, entropy)
    }

    /// How often a data key has sealed in this process since the last call.
    pub fn take_uses(&self) -> u64 {
        self.uses.swap(0, Ordering::Relaxed)
    }

    /// Opens with the data key that the envelope names, active or retired.
    pub fn open_record(&self, context: &RecordContext<'_>, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        envelope::open(self.data_key(envelope::key_id_of(bytes)?)?, context, bytes)
    }

    /// The data key that seals now; what names another is due for re-encryption.
    #[must_use]
    pub fn current_data_key_id(&self) -> u32 {
        self.active(KeyKind::Data)
    }

    // --- Cards -----------------------------------------------------------------------------

    /// Keyed hash of a card number, for duplicates within one account.
    #[must_use]
    pub fn fingerprint(&self, account: &str, pan: &Pan) -> [u8; 32] {
        fingerprint(self.active_secret(KeyKind::Fingerprint), account, pan)
    }

    /// The same under another live fingerprint key, for cards that were stored before its rotation.
    #[must_use]
    pub fn fingerprint_under(&self, key_id: u32, account: &str, pan: &Pan) -> Option<[u8; 32]> {
        let key = self.ring.secret(KeyKind::Fingerprint, key_id)?;
        Some(fingerprint(key, account, pan))
    }

    /// The number and the keyed hash of a card number under each live fingerprint key, the active one first: a card that
    /// was stored before a rotation is found by the retired one.
    pub fn fingerprints(&self, account: &str, pan: &Pan) -> impl Iterator<Item = (u32, [u8; 32])> {
        let keys = self.ring.secrets(KeyKind::Fingerprint);
        keys.map(move |(id, key)| (id, fingerprint(key, account, pan)))
    }

    // --- Internal systems --------------------------------------------------------------------

    /// Opens what an internal system sealed, under a session of its own or to a live page key.
    pub fn open_internal_jwe(
        &self,
        compact: &str,
        typ: Typ,
        account: &str,
        session: impl FnOnce(&str) -> Option<Arc<SessionKey>>,
    ) -> Result<Zeroizing<Vec<u8>>, JweError> {
        jwe_internal::open(compact, typ, account, session, |kid| self.ring.page_by_kid(kid))
    }

    // --- Pages -----------------------------------------------------------------------------

    /// The public key that pages seal to, from the authenticated ring.
    #[must_use]
    pub fn page_key_jwk(&self) -> &PublicJwk {
        #[expect(clippy::expect_used, reason = "KeyRing::open refuses a ring without an active page key")]
        let key = self.ring.page(self.active(KeyKind::Page)).expect("an active page key");
        key.jwk()
    }

    /// Opens what a page or wallet sealed, to the active page key or a retired one.
    pub fn open_jwe(&self, compact: &str) -> Result<Zeroizing<Vec<u8>>, JweError> {
        jwe::open(compact, |kid| self.ring.page_by_kid(kid))
    }

    /// Issues the attempt id of a pay page.
    pub fn sign_attempt(
        &self,
        code: &str,
        expires_at_s: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<String, EntropyError> {
        attempt::sign(self.active_secret(KeyKind::Attempt), code, expires_at_s, entropy)
    }

    pub fn verify_attempt(&self, code: &str, id: &str, now_s: u64) -> Result<Attempt, AttemptError> {
        let keys = self.ring.secrets(KeyKind::Attempt).map(|(_, key)| key);
        attempt::verify(keys, code, id, now_s)
    }

    // --- Named keys ------------------------------------------------------------------------

    /// The number of the key that is in use; `None` for a login key that was not generated yet.
    #[must_use]
    pub fn active_key_id(&self, kind: KeyKind) -> Option<u32> {
        self.ring.active_id(kind)
    }

    /// Ed25519 seeds that verify session tokens, with their numbers, the signing one first.
    pub fn token_seeds(&self) -> impl Iterator<Item = (u32, &Key32)> {
        self.ring.secrets(KeyKind::Token)
    }

    /// PKCS#8 DER of the login key; `None` until it was generated.
    #[must_use]
    pub fn login_key(&self) -> Option<&SecretBytes> {
        self.ring.login(self.ring.active_id(KeyKind::Login)?)
    }

    /// PKCS#8 DER of each live login key with its number, for the overlap of a rotation.
    pub fn login_keys(&self) -> impl Iterator<Item = (u32, &SecretBytes)> {
        let rows = self.record.keys.iter().filter(|row| row.kind == KeyKind::Login);
        rows.filter_map(|row| Some((row.id, self.ring.login(row.id)?)))
    }

    /// Keys of backups with their numbers; the first one seals.
    pub fn backup_keys(&self) -> impl Iterator<Item = (u32, &Key32)> {
        self.ring.secrets(KeyKind::Backup)
    }

    /// What the audit chain keeps in place of a value; an auditor can ask for that of a known value.
    #[must_use]
    pub fn audit_value(&self, field: &str, value: &[u8]) -> [u8; 32] {
        audit_value(self.active_secret(KeyKind::Audit), field, value)
    }

    /// The same under another live audit key, for entries from before its rotation.
    #[must_use]
    pub fn audit_value_under(&self, key_id: u32, field: &str, value: &[u8]) -> Option<[u8; 32]> {
        let key = self.ring.secret(KeyKind::Audit, key_id)?;
        Some(audit_value(key, field, value))
    }

    /// The same under each live audit key, with its number: what an auditor looks for.
    #[must_use]
    pub fn audit_values(&self, field: &str, value: &[u8]) -> Vec<(u32, [u8; 32])> {
        self.ring.secrets(KeyKind::Audit).map(|(id, key)| (id, audit_value(key, field, value))).collect()
    }

    /// What signs the audit chain, and what checks it.
    #[must_use]
    pub const fn audit_keys(&self) -> &AuditKeys {
        &self.audit
    }

    /// What takes the place of a decrypted challenge that is none: the same for the same input.
    #[must_use]
    pub fn rejection(&self, challenge: &[u8]) -> [u8; 32] {
        hmac_sha256(self.active_secret(KeyKind::Rejection), &[REJECTION_DOMAIN, challenge])
    }

    pub(super) fn rejection_key(&self) -> &Key32 {
        self.active_secret(KeyKind::Rejection)
    }

    pub(super) fn openers(&self) -> &Openers {
        self.openers.get_or_init(|| Openers::of(self))
    }

    // --- Changes of the ring: rows to store, in effect after Vault::reload -------------------

    /// A new active key of `kind`; the active one retires.
    pub fn rotate(&self, kind: KeyKind, now_ms: u64, entropy: &mut dyn Entropy) -> Result<Rotation, RingError> {
        let material = generate(kind, entropy)?;
        self.rotate_to(kind, &material, now_ms, entropy)
    }

    /// As [`rotate`](Self::rotate), with a login key that was made elsewhere (PKCS#8 DER).
    pub fn import_login_key(
        &self,
        pkcs8: &SecretBytes,
        now_ms: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Rotation, RingError> {
        self.rotate_to(KeyKind::Login, pkcs8.expose(), now_ms, entropy)
    }

    /// The row that a retired key leaves; the caller has made sure that nothing needs the key.
    pub fn destroy(&self, kind: KeyKind, id: u32) -> Result<WrappedKey, RingError> {
        let row = self.row(kind, id, KeyState::Retired)?;
        Ok(WrappedKey { state: KeyState::Destroyed, wrapped: Vec::new(), ..row.clone() })
    }

    /// All stored keys, without material.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        self.record.keys.iter().map(KeyInfo::from).collect()
    }

    fn rotate_to(
        &self,
        kind: KeyKind,
        material: &[u8],
        now_ms: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Rotation, RingError> {
        let id = self.next_id(kind)?;
        check_material(kind, id, material)?;
        let slot = Slot { kind, id, state: KeyState::Active, created_at_ms: now_ms };
        let added = slot.wrap(&self.root, material, entropy)?;
        let retired = match self.ring.active_id(kind) {
            Some(active) => Some(self.retire(kind, active, entropy)?),
            None => None,
        };
        Ok(Rotation { added, retired })
    }

    pub(super) fn next_id(&self, kind: KeyKind) -> Result<u32, RingError> {
        let highest = self.record.keys.iter().filter(|row| row.kind == kind).map(|row| row.id).max();
        highest.unwrap_or(0).checked_add(1).ok_or(RingError::Exhausted(kind))
    }

    fn retire(&self, kind: KeyKind, id: u32, entropy: &mut dyn Entropy) -> Result<WrappedKey, RingError> {
        let row = self.row(kind, id, KeyState::Active)?;
        let material = unwrap(&self.root, row)?;
        let slot = Slot { kind, id, state: KeyState::Retired, created_at_ms: row.created_at_ms };
        slot.wrap(&self.root, &material, entropy)
    }

    fn row(&self, kind: KeyKind, id: u32, state: KeyState) -> Result<&WrappedKey, RingError> {
        let mut rows = self.record.keys.iter();
        rows.find(|row| (row.kind, row.id, row.state) == (kind, id, state)).ok_or(RingError::NoSuchKey { kind, id })
    }

    fn data_key(&self, id: u32) -> Result<&EnvelopeKey, EnvelopeError> {
        self.ring.data(id).ok_or(EnvelopeError::UnknownKey(id))
    }

    fn active_secret(&self, kind: KeyKind) -> &Key32 {
        #[expect(clippy::expect_used, reason = "KeyRing::open refuses a ring without these keys")]
        self.ring.secret(kind, self.active(kind)).expect("an active key")
    }

    fn active(&self, kind: KeyKind) -> u32 {
        #[expect(clippy::expect_used, reason = "KeyRing::open refuses a ring without these keys")]
        self.ring.active_id(kind).expect("an active key")
    }
}

pub(super) fn fingerprint(key: &Key32, account: &str, pan: &Pan) -> [u8; 32] {
    let account = account.as_bytes();
    hmac_sha256(key, &[FINGERPRINT_DOMAIN, &length_prefix(account), account, pan.expose().as_bytes()])
}

fn audit_value(key: &Key32, field: &str, value: &[u8]) -> [u8; 32] {
    let field = field.as_bytes();
    hmac_sha256(key, &[AUDIT_DOMAIN, &length_prefix(field), field, value])
}

#[cfg(test)]
mod tests;
