//! What verifies session tokens, as the origin told it, and the tokens that held already.
//!
//! Keys count for a minute and are told again like records. A token that held is known by its hash until it ends, so
//! that a session costs one signature check in an isolate. Whether the session still lives only the origin knows: a
//! token that it refuses is doubted from then on, and goes the way of what is not verified.

use scanvault_protocol::authorization::BearerToken;
use scanvault_protocol::record::{Mark, TTL_SECS, TokenKeys};
use scanvault_protocol::token::{Session, TOLERANCE_SECS};
use scanvault_protocol::{AccountName, Role};
use sha2::{Digest, Sha256};

use crate::halves::Halves;
use crate::records::{age_ms, mark_at};

/// The most tokens that are remembered: a session has one or two alive. About 200 bytes each, so 800 KB.
pub const MAX_REMEMBERED: usize = 4096;

/// SHA-256 of the compact form. The token itself is not kept.
pub type TokenHash = [u8; 32];

/// The keys and the tokens that held.
#[derive(Debug)]
pub struct Tokens {
    told: Option<Told>,
    remembered: Halves<TokenHash, Remembered>,
}

#[derive(Debug)]
struct Told {
    keys: TokenKeys,
    /// When the request was sent whose answer brought them.
    asked_at_ms: u64,
}

/// A token that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Whose it is.
    pub account: AccountName,
    /// What its account may do.
    pub roles: Vec<Role>,
    expires_at_secs: u64,
    /// The origin has refused it since: its session has ended, or its account is another one now.
    pub is_doubted: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { told: None, remembered: Halves::new(MAX_REMEMBERED) }
    }
}

impl Tokens {
    /// The hash that a token is remembered by.
    #[must_use]
    pub fn hash(token: &BearerToken) -> TokenHash {
        Sha256::digest(token.expose()).into()
    }

    /// What is known of a token that held before, while it lives.
    #[must_use]
    pub fn remembered(&self, hash: &TokenHash, now_ms: u64) -> Option<&Remembered> {
        self.remembered.get(hash).filter(|it| now_ms / 1000 < it.expires_at_secs.saturating_add(TOLERANCE_SECS))
    }

    /// Issuer and keys, while they count.
    #[must_use]
    pub fn keys(&self, now_ms: u64) -> Option<&TokenKeys> {
        self.told.as_ref().filter(|told| age_ms(told.asked_at_ms, now_ms) < TTL_SECS * 1000).map(|told| &told.keys)
    }

    /// The mark of a token that holds: `Renew` also when the keys no longer count.
    #[must_use]
    pub fn mark(&self, now_ms: u64) -> Mark {
        self.told.as_ref().map_or(Mark::Renew, |told| mark_at(told.asked_at_ms, now_ms))
    }

    /// Takes what an answer to a request said that was sent at `asked_at_ms`.
    ///
    /// A key that is no longer among them, or another under its id, may have been given away: whatever held before is
    /// forgotten with it.
    pub fn learn(&mut self, keys: TokenKeys, asked_at_ms: u64, now_ms: u64) {
        if self.keys(now_ms).is_some() && self.told.as_ref().is_some_and(|told| asked_at_ms < told.asked_at_ms) {
            return; // overtaken by a later one
        }
        if let Some(told) = &self.told {
            let stays = |(id, key): &(String, [u8; 32])| keys.key(id) == Some(key);
            if keys.issuer != told.keys.issuer || !told.keys.keys.iter().all(stays) {
                self.remembered.clear();
            }
        }
        self.told = Some(Told { keys, asked_at_ms });
    }

    /// Remembers a token that held under this key, if the key is still one.
    pub fn remember(&mut self, hash: TokenHash, session: &Session, key: &[u8; 32]) {
        let is_live = self.told.as_ref().is_some_and(|told| told.keys.keys.iter().any(|(_, live)| live == key));
        if is_live {
            let Session { account, roles, expires_at_secs, .. } = session.clone();
            self.remembered.put(hash, Remembered { account, roles, expires_at_secs, is_doubted: false });
        }
    }

    /// Takes note that the origin has refused a token. There is no way back: what ended a session ended it for good.
    pub fn doubt(&mut self, hash: &TokenHash) {
        if let Some(remembered) = self.remembered.get_mut(hash) {
            remembered.is_doubted = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;
    const HASH: TokenHash = [9; 32];

    fn keys(issuer: &str, keys: &[(&str, u8)]) -> TokenKeys {
        let keys = keys.iter().map(|(id, byte)| ((*id).to_owned(), [*byte; 32])).collect();
        TokenKeys { issuer: issuer.into(), keys }
    }

    fn session() -> Session {
        Session {
            account: AccountName::Merchant(25),
            id: "c056b2d8-d6d1-4ea6-8752-e87f684b2903".into(),
            credential_version: 3,
            roles: vec![Role::External],
            expires_at_secs: NOW / 1000 + 100,
        }
    }

    fn holding() -> Tokens {
        let mut tokens = Tokens::default();
        tokens.learn(keys("i", &[("1", 1)]), NOW, NOW);
        tokens.remember(HASH, &session(), &[1; 32]);
        tokens
    }

    #[test]
    fn keys_count_for_less_than_a_minute() {
        let tokens = holding();
        for (after_ms, mark, is_known) in [
            (0, Mark::Verified, true),
            (29_999, Mark::Verified, true),
            (30_000, Mark::Renew, true),
            (59_999, Mark::Renew, true),
            (60_000, Mark::Renew, false),
        ] {
            assert_eq!((tokens.mark(NOW + after_ms), tokens.keys(NOW + after_ms).is_some()), (mark, is_known));
        }
        assert_eq!(Tokens::default().mark(NOW), Mark::Renew);
        assert!(tokens.keys(NOW - 1).is_none(), "the clock was set back");
    }

    #[test]
    fn a_token_that_held_is_remembered_until_it_ends() {
        let tokens = holding();
        let alive = |after_secs: u64| tokens.remembered(&HASH, NOW + after_secs * 1000).is_some();
        assert_eq!((alive(0), alive(104), alive(105)), (true, true, false));
        assert_eq!(tokens.remembered(&[8; 32], NOW), None);
    }

    #[test]
    fn another_key_or_issuer_forgets_what_held_and_one_more_key_does_not() {
        for (told, is_kept) in [
            (keys("i", &[("1", 1)]), true),
            (keys("i", &[("2", 2), ("1", 1)]), true),
            (keys("i", &[("2", 2)]), false),
            (keys("i", &[("1", 2)]), false),
            (keys("j", &[("1", 1)]), false),
        ] {
            let mut tokens = holding();
            tokens.learn(told.clone(), NOW + 1, NOW + 1);
            assert_eq!(tokens.remembered(&HASH, NOW).is_some(), is_kept, "{told:?}");
            assert_eq!(tokens.keys(NOW + 1), Some(&told));
        }
        let mut tokens = holding();
        tokens.learn(keys("i", &[("2", 2)]), NOW - 1, NOW);
        assert_eq!(tokens.keys(NOW), Some(&keys("i", &[("1", 1)])), "an answer that was overtaken");
    }

    #[test]
    fn what_held_under_a_key_that_went_meanwhile_is_not_remembered() {
        let mut tokens = Tokens::default();
        tokens.remember(HASH, &session(), &[1; 32]);
        tokens.learn(keys("i", &[("2", 2)]), NOW, NOW);
        tokens.remember(HASH, &session(), &[1; 32]);
        assert_eq!(tokens.remembered(&HASH, NOW), None);
    }

    #[test]
    fn a_token_that_the_origin_refused_is_doubted() {
        let mut tokens = holding();
        assert!(!tokens.remembered(&HASH, NOW).unwrap().is_doubted);
        tokens.doubt(&HASH);
        assert!(tokens.remembered(&HASH, NOW).unwrap().is_doubted);
        tokens.doubt(&[8; 32]);
        assert_eq!(tokens.remembered(&[8; 32], NOW), None);
    }
}
