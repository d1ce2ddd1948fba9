//! Re-sharing: a new unseal key under a new quorum, and where the old one is known to others, a new root key too.
//!
//! ```text
//! authority (t shares of the present set) ──opens──▶ root key          proves that the custodians want it
//! new unseal key ──wraps──▶ the same root key, or a new one with a ring wrapped anew
//! digest: SHA-256 of fields, each after its length as u32 BE: "scanvault/reshare/v1" 00, the share set as JSON, the
//!         wrapped root, and for each key by kind and number "kind/id/state/created" and the wrapped key
//! seal:   record envelope of the digest; table "vault_reshare", row = the ceremony's nonce, column "staged"
//! ```
//!
//! plan:   record envelope of "1" or "0" (compromised or not) and the plan; the same row, column "plan"
//!
//! The plan's seal lets the dealing refuse custodians that somebody has put into the database, and the other one lets the switch refuse what somebody has put into the database in the place of what was dealt.

use sha2::{Digest, Sha256};

use super::entropy::Entropy;
use super::envelope::{EnvelopeError, RecordContext};
use super::init::{VaultError, prove, unwrap_root, wrap_root};
use super::keys::{KeyKind, KeyState, WrappedKey};
use super::mac::length_prefix;
use super::ring::{Slot, generate, unwrap};
use super::secret::{Key32, RootKey, UnsealKey};
use super::shamir::{Quorum, deal};
use super::share::Share;
use super::share_set::ShareSet;
use super::unsealed::Unsealed;

const DIGEST_DOMAIN: &[u8] = b"scanvault/reshare/v1\0";

/// A re-share that waits for its proofs; in effect once the record has the new set and root.
#[derive(Debug)]
pub struct Reshare {
    pub share_set: ShareSet,
    pub wrapped_root: Vec<u8>,
    pub shares: Vec<Share>,
    /// The whole ring under the new root key; `None` where the root key stays.
    pub ring: Option<Vec<WrappedKey>>,
}

impl Unsealed {
    /// Deals a new unseal key over the same root key. `authority` comes from t shares of the present set.
    pub fn reshare(
        &self,
        authority: &UnsealKey,
        quorum: Quorum,
        entropy: &mut dyn Entropy,
    ) -> Result<Reshare, VaultError> {
        self.check_authority(authority)?;
        self.deal_anew(quorum, &self.root, entropy)
    }

    /// As [`reshare`](Self::reshare), for when shares got into wrong hands: draws a new root key as well, and a new key
    /// of every kind but the login key, whose public half is agreed with merchants by other ways. The keys so far
    /// retire; data that they sealed is re-encrypted afterwards.
    pub fn reshare_compromised(
        &self,
        authority: &UnsealKey,
        quorum: Quorum,
        now_ms: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Reshare, VaultError> {
        self.check_authority(authority)?;
        let root = RootKey(Key32::random(entropy)?);
        let mut reshare = self.deal_anew(quorum, &root, entropy)?;
        reshare.ring = Some(self.ring_under(&root, now_ms, entropy)?);
        Ok(reshare)
    }

    /// Whether these shares' key is the one in effect: what a ceremony asks of its custodians.
    pub fn check_authority(&self, authority: &UnsealKey) -> Result<(), VaultError> {
        unwrap_root(authority, &self.record.share_set, &self.record.wrapped_root).map(drop)
    }

    /// Seals what a re-share is to be, so that the dealing knows it again.
    pub fn seal_plan(
        &self,
        nonce: &str,
        compromised: bool,
        plan: &str,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, EnvelopeError> {
        self.seal_record(&place(nonce, "plan"), plan_text(compromised, plan).as_bytes(), entropy)
    }

    /// Whether a plan is the one that this ceremony was started with.
    #[must_use]
    pub fn knows_plan(&self, nonce: &str, compromised: bool, plan: &str, seal: &[u8]) -> bool {
        let opened = self.open_record(&place(nonce, "plan"), seal);
        opened.is_ok_and(|opened| *opened == plan_text(compromised, plan).as_bytes())
    }

    /// Seals what is stored of a re-share, so that it is known again at the switch.
    pub fn seal_reshare(
        &self,
        nonce: &str,
        staged: &Staged<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, EnvelopeError> {
        self.seal_record(&place(nonce, "staged"), &staged.digest(), entropy)
    }

    /// Whether what is stored of a re-share is what was dealt in this ceremony.
    #[must_use]
    pub fn knows_reshare(&self, nonce: &str, staged: &Staged<'_>, seal: &[u8]) -> bool {
        self.open_record(&place(nonce, "staged"), seal).is_ok_and(|digest| *digest == staged.digest())
    }

    fn deal_anew(&self, quorum: Quorum, root: &RootKey, entropy: &mut dyn Entropy) -> Result<Reshare, VaultError> {
        let present = &self.record.share_set;
        let generation = present.generation().checked_add(1).ok_or(VaultError::Generations)?;
        let unseal_key = UnsealKey(Key32::random(entropy)?);
        let (share_set, shares) = deal(&unseal_key, quorum, present.set_id(), generation, entropy)?;
        prove(&unseal_key, quorum, &shares)?;
        let wrapped_root = wrap_root(&unseal_key, &share_set, root, entropy)?;
        Ok(Reshare { share_set, wrapped_root, shares, ring: None })
    }

    fn ring_under(
        &self,
        root: &RootKey,
        now_ms: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<WrappedKey>, VaultError> {
        let is_renewed = |kind: KeyKind| kind != KeyKind::Login;
        let mut ring = Vec::new();
        for row in &self.record.keys {
            let WrappedKey { kind, id, created_at_ms, .. } = *row;
            let state = if row.state == KeyState::Active && is_renewed(kind) { KeyState::Retired } else { row.state };
            if state == KeyState::Destroyed {
                ring.push(row.clone());
                continue;
            }
            let material = unwrap(&self.root, row)?;
            ring.push(Slot { kind, id, state, created_at_ms }.wrap(root, &material, entropy)?);
        }
        for kind in KeyKind::ALL.into_iter().filter(|kind| is_renewed(*kind)) {
            let slot = Slot { kind, id: self.next_id(kind)?, state: KeyState::Active, created_at_ms: now_ms };
            ring.push(slot.wrap(root, &generate(kind, entropy)?, entropy)?);
        }
        Ok(ring)
    }
}

/// What is stored of a re-share that was dealt.
#[derive(Debug)]
pub struct Staged<'a> {
    /// JSON, as it is stored.
    pub share_set: &'a str,
    pub wrapped_root: &'a [u8],
    /// In any order; empty where the root key stays.
    pub ring: &'a [WrappedKey],
}

impl Staged<'_> {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update(length_prefix(bytes));
            hash.update(bytes);
        };
        field(DIGEST_DOMAIN);
        field(self.share_set.as_bytes());
        field(self.wrapped_root);
        let mut ring: Vec<&WrappedKey> = self.ring.iter().collect();
        ring.sort_by_key(|key| (key.kind, key.id));
        for key in ring {
            field(format!("{}/{}/{}/{}", key.kind, key.id, key.state, key.created_at_ms).as_bytes());
            field(&key.wrapped);
        }
        hash.finalize().into()
    }
}

const fn place<'a>(nonce: &'a str, column: &'a str) -> RecordContext<'a> {
    RecordContext { account: "", table: "vault_reshare", row: nonce, column, row_version: 1 }
}

fn plan_text(compromised: bool, plan: &str) -> String {
    format!("{}{plan}", u8::from(compromised))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::VaultRecord;
    use crate::vault::collector::Collector;
    use crate::vault::state::Vault;
    use crate::vault::testing::{NOW, PLACE, Seeded, open_vault};

    fn authority(unsealed: &Unsealed, shares: &[String]) -> UnsealKey {
        let mut collector = Collector::new(unsealed.record().share_set.clone());
        for share in &shares[..2] {
            collector.submit(Share::parse(share).unwrap()).unwrap();
        }
        collector.combine().unwrap()
    }

    #[test]
    fn a_compromised_ring_is_wrapped_anew_and_still_opens_what_it_sealed() {
        let (_, unsealed, shares) = open_vault();
        let mut entropy = Seeded::new(9);
        let sealed = unsealed.seal_record(&PLACE, b"4111111111111111", &mut entropy).unwrap();
        let key = authority(&unsealed, &shares);
        let quorum = Quorum::new(3, 4).unwrap();
        let new = unsealed.reshare_compromised(&key, quorum, NOW + 1, &mut entropy).unwrap();
        let ring = new.ring.unwrap();
        assert_eq!(ring.len(), unsealed.record().keys.len() * 2);
        for row in &unsealed.record().keys {
            assert!(ring.iter().all(|new| new.wrapped != row.wrapped), "{row:?}");
        }
        let record = VaultRecord {
            share_set: new.share_set,
            wrapped_root: new.wrapped_root,
            keys: ring,
            version: 2,
            unproved: Vec::new(),
        };
        // The old root key opens nothing of it.
        assert!(unsealed.with_record(record.clone()).is_err());
        let vault = Vault::new(Some(record));
        assert!(vault.submit_share(&shares[0], NOW).is_err(), "an old share");
        for share in &new.shares[1..] {
            vault.submit_share(share.to_text().expose(), NOW).unwrap();
        }
        let after = vault.unsealed().unwrap();
        assert_eq!(*after.open_record(&PLACE, &sealed).unwrap(), b"4111111111111111");
        assert_eq!(after.current_data_key_id(), 2);
        assert_ne!(after.audit_value("x", b"1"), unsealed.audit_value("x", b"1"));
    }

    #[test]
    fn what_was_staged_is_known_again_and_nothing_else() {
        let (_, unsealed, shares) = open_vault();
        let mut entropy = Seeded::new(9);
        let key = authority(&unsealed, &shares);
        let new = unsealed.reshare_compromised(&key, Quorum::new(2, 2).unwrap(), NOW, &mut entropy).unwrap();
        let ring = new.ring.unwrap();
        let text = serde_json::to_string(&new.share_set).unwrap();
        let staged = Staged { share_set: &text, wrapped_root: &new.wrapped_root, ring: &ring };
        let seal = unsealed.seal_reshare("n1", &staged, &mut entropy).unwrap();
        assert!(unsealed.knows_reshare("n1", &staged, &seal));
        assert!(!unsealed.knows_reshare("n2", &staged, &seal), "another ceremony");
        let reversed: Vec<_> = ring.iter().rev().cloned().collect();
        assert!(unsealed.knows_reshare("n1", &Staged { ring: &reversed, ..staged }, &seal));
        let staged = Staged { share_set: &text, wrapped_root: &new.wrapped_root, ring: &ring[1..] };
        assert!(!unsealed.knows_reshare("n1", &staged, &seal), "a key was taken out");
        let other = Staged { share_set: &text, wrapped_root: &new.wrapped_root[1..], ring: &ring };
        assert!(!unsealed.knows_reshare("n1", &other, &seal), "another root");
    }

    #[test]
    fn a_plan_is_known_again_and_no_other() {
        let (_, unsealed, _) = open_vault();
        let mut entropy = Seeded::new(4);
        let seal = unsealed.seal_plan("n1", false, "{}", &mut entropy).unwrap();
        assert!(unsealed.knows_plan("n1", false, "{}", &seal));
        assert!(!unsealed.knows_plan("n2", false, "{}", &seal));
        assert!(!unsealed.knows_plan("n1", true, "{}", &seal));
        assert!(!unsealed.knows_plan("n1", false, "{ }", &seal));
        assert!(!unsealed.knows_plan("n1", false, "{}", &seal[1..]));
    }

    #[test]
    fn shares_of_another_set_are_no_authority() {
        let (_, unsealed, _) = open_vault();
        let other = UnsealKey(Key32::from_array([1; 32]));
        let mut entropy = Seeded::new(3);
        let quorum = Quorum::new(2, 3).unwrap();
        assert_eq!(unsealed.reshare(&other, quorum, &mut entropy).unwrap_err(), VaultError::Root);
        let refused = unsealed.reshare_compromised(&other, quorum, NOW, &mut entropy);
        assert_eq!(refused.unwrap_err(), VaultError::Root);
    }
}
