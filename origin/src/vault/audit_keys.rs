//! The keys that sign the audit chain: Ed25519 (RFC 8032), derived from the ring's audit keys.
//!
//! ```text
//! seed: HMAC-SHA256(audit key, "scanvault/audit-signing/v1" 00)
//! ```
//!
//! The pairs are made once, when the ring opens. The private one is AWS-LC's object: not ours to wipe, but its `free`
//! wipes what it frees.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::keys::KeyKind;
use super::mac::hmac_sha256;
use super::ring::RingError;
use super::secret::Key32;
use crate::audit::{PublicKey, Signature, signed_message};

const SIGNING_DOMAIN: &[u8] = b"scanvault/audit-signing/v1\0";

/// Signs under the active audit key; knows the public keys of all live ones.
pub struct AuditKeys {
    key_id: u32,
    pair: Ed25519KeyPair,
    public: Vec<PublicKey>,
}

impl AuditKeys {
    /// From the live audit keys, the active one first.
    pub(super) fn derive<'a>(keys: impl Iterator<Item = (u32, &'a Key32)>) -> Result<Self, RingError> {
        let (mut active, mut public) = (None, Vec::new());
        for (id, key) in keys {
            let seed = Zeroizing::new(hmac_sha256(key, &[SIGNING_DOMAIN]));
            let refused = || RingError::Material { kind: KeyKind::Audit, id };
            let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| refused())?;
            let bytes = <[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_| refused())?;
            public.push(PublicKey { key_id: id, bytes });
            active.get_or_insert((id, pair));
        }
        let (key_id, pair) = active.ok_or(RingError::Missing(KeyKind::Audit))?;
        Ok(Self { key_id, pair, public })
    }

    /// Signs a link's hash.
    #[must_use]
    pub fn sign(&self, hash: &[u8; 32]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(&signed_message(hash)).as_ref());
        Signature { key_id: self.key_id, bytes }
    }

    /// The public keys of all live audit keys, the active one first.
    #[must_use]
    pub fn public(&self) -> &[PublicKey] {
        &self.public
    }
}

impl fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKeys({})", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::testing::decode_hex;

    #[test]
    fn keys_are_those_of_the_second_implementation() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../vectors/audit.json")).unwrap();
        let bytes = |name: &str| decode_hex(vectors[name].as_str().unwrap());
        let key = Key32::from_slice(&bytes("audit_key")).unwrap();
        assert_eq!(hmac_sha256(&key, &[SIGNING_DOMAIN]).to_vec(), bytes("seed"));
        let id = u32::try_from(vectors["key_id"].as_u64().unwrap()).unwrap();
        let keys = AuditKeys::derive([(id, &key)].into_iter()).unwrap();
        let [public] = keys.public() else { panic!("one key") };
        assert_eq!((public.key_id, public.bytes.to_vec()), (id, bytes("public_key")));
        assert_eq!(keys.sign(&[7; 32]).key_id, id);
    }

    #[test]
    fn without_an_active_key_there_is_nothing_to_sign_with() {
        assert_eq!(AuditKeys::derive(std::iter::empty()).unwrap_err(), RingError::Missing(KeyKind::Audit));
    }
}
