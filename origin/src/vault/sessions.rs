//! Session keys of internal systems: in this process' memory only, an hour each, gone when the vault is sealed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::jwe_internal::SessionKey;
use super::secret::Key32;
use super::{Entropy, EntropyError};

/// How long a session lives.
pub const SESSION_TTL_MS: u64 = 60 * 60 * 1000;
/// The most sessions of an account. One more ends the oldest: a client that starts again and again locks nobody out.
pub const MAX_SESSIONS: usize = 64;

/// The sessions of this process.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

#[derive(Debug)]
struct Session {
    account: String,
    key: Arc<SessionKey>,
    opened_at_ms: u64,
}

impl Sessions {
    /// Opens a session for an account; answers its id, which is no secret.
    ///
    /// # Errors
    /// When no id can be drawn.
    pub fn open(
        &self,
        account: &str,
        key: &Key32,
        now_ms: u64,
        entropy: &mut dyn Entropy,
    ) -> Result<String, EntropyError> {
        let mut random = [0; 16];
        entropy.fill(&mut random)?;
        let id = URL_SAFE_NO_PAD.encode(random);
        let key = Arc::new(SessionKey::new(id.clone(), key));
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_live(now_ms));
        let own = || sessions.iter().filter(|(_, session)| session.account == account);
        if own().count() >= MAX_SESSIONS {
            let oldest = own().min_by_key(|(_, session)| session.opened_at_ms).map(|(id, _)| id.clone());
            oldest.and_then(|id| sessions.remove(&id));
        }
        sessions.insert(id.clone(), Session { account: account.to_owned(), key, opened_at_ms: now_ms });
        Ok(id)
    }

    /// The key of a session, when it is this account's and still lives.
    pub fn find(&self, account: &str, id: &str, now_ms: u64) -> Option<Arc<SessionKey>> {
        let sessions = self.lock();
        let session = sessions.get(id)?;
        (session.account == account && session.is_live(now_ms)).then(|| Arc::clone(&session.key))
    }

    /// Forgets what has expired.
    pub fn sweep(&self, now_ms: u64) {
        self.lock().retain(|_, session| session.is_live(now_ms));
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.lock().clear();
    }

    // A panic elsewhere leaves the map whole: each change is one call.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    const fn is_live(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.opened_at_ms) < SESSION_TTL_MS
    }
}

/// Reads the key out of `{"key":"<base64url of 32 bytes>"}`, which an internal system seals to the page key.
#[must_use]
pub fn parse_session_key(plaintext: &[u8]) -> Option<Key32> {
    #[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        key: String,
    }
    let raw: Raw = serde_json::from_slice(plaintext).ok()?;
    let mut bytes = [0; 33];
    let length = URL_SAFE_NO_PAD.decode_slice(&raw.key, &mut bytes).ok()?;
    let key = bytes.get(..length).and_then(Key32::from_slice);
    bytes.zeroize();
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::testing::Seeded;

    const NOW: u64 = 1_767_225_600_000;

    fn key(byte: u8) -> Key32 {
        Key32::from_array([byte; 32])
    }

    #[test]
    fn a_session_is_one_accounts_for_an_hour() {
        let (sessions, mut entropy) = (Sessions::default(), Seeded::new(1));
        let id = sessions.open("billing", &key(1), NOW, &mut entropy).unwrap();
        assert_eq!(sessions.find("billing", &id, NOW).unwrap().id(), id);
        assert!(sessions.find("billing", &id, NOW + SESSION_TTL_MS - 1).is_some());
        assert!(sessions.find("other", &id, NOW).is_none() && sessions.find("billing", "x", NOW).is_none());
        assert!(sessions.find("billing", &id, NOW + SESSION_TTL_MS).is_none());
        sessions.sweep(NOW + SESSION_TTL_MS);
        assert!(sessions.lock().is_empty());
    }

    #[test]
    fn the_oldest_of_too_many_ends_and_others_stay() {
        let (sessions, mut entropy) = (Sessions::default(), Seeded::new(1));
        let other = sessions.open("other", &key(1), NOW, &mut entropy).unwrap();
        let ids: Vec<_> = (0..=MAX_SESSIONS as u64)
            .map(|at| sessions.open("billing", &key(1), NOW + at, &mut entropy).unwrap())
            .collect();
        let live = |account, id: &str| sessions.find(account, id, NOW + 100).is_some();
        assert!(live("other", &other) && !live("billing", &ids[0]));
        assert!(ids[1..].iter().all(|id| live("billing", id)));
        sessions.clear();
        assert!(!live("other", &other));
    }

    #[test]
    fn a_key_is_32_bytes() {
        let text = |bytes: &[u8]| format!(r#"{{"key":"{}"}}"#, URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(parse_session_key(text(&[7; 32]).as_bytes()), Some(key(7)));
        for bad in [text(&[7; 31]), text(&[7; 33]), text(&[7; 64]), "{}".into(), "[]".into(), r#"{"key":1}"#.into()] {
            assert!(parse_session_key(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
