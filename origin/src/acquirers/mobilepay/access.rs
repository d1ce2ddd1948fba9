//! Access tokens: asked for with a merchant's credentials, kept in wiped memory until shortly before their end.
//!
//! A token lives an hour in the test environment and a day in production, and several may be valid at once, so that
//! processes need not agree and two tasks that renew it at the same time do no harm.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::error::WalletError;

/// A token is renewed when it has so long to live: longer than a call takes.
const RENEW_BEFORE_SECS: u64 = 120;
/// What is said to live longer is renewed all the same.
const LONGEST_SECS: u64 = 24 * 3600;
/// More credentials than this at a time begin to forget each other's tokens.
const MAX_TOKENS: usize = 1024;

/// A token's text.
pub(super) type Token = Arc<Zeroizing<String>>;

/// Whose tokens: a digest, so that no secret is a key of a map.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owner([u8; 32]);

impl Owner {
    pub(super) fn of(credentials: &Credentials) -> Self {
        let mut digest = Sha256::new();
        let Credentials { client_id, client_secret, subscription_key, merchant_serial_number, .. } = credentials;
        for part in [client_id, client_secret, subscription_key, merchant_serial_number] {
            digest.update(Sha256::digest(part));
        }
        Self(digest.finalize().into())
    }
}

struct Kept {
    token: Token,
    until_secs: u64,
}

#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<Owner, Kept>>);

impl Tokens {
    /// One that lives long enough for a call.
    pub(super) fn find(&self, owner: Owner, now_secs: u64) -> Option<Token> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&owner).filter(|kept| kept.until_secs > now_secs).map(|kept| Arc::clone(&kept.token))
    }

    pub(super) fn keep(&self, owner: Owner, answer: &TokenAnswer, now_secs: u64) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, kept| kept.until_secs > now_secs);
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        let lives_secs = answer.lives_secs.min(LONGEST_SECS).saturating_sub(RENEW_BEFORE_SECS);
        tokens.insert(owner, Kept { token: Arc::clone(&answer.token), until_secs: now_secs + lives_secs });
    }

    /// It was refused: it is not used again.
    pub(super) fn forget(&self, owner: Owner, refused: &Token) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.get(&owner).is_some_and(|kept| Arc::ptr_eq(&kept.token, refused)) {
            tokens.remove(&owner);
        }
    }
}

/// What `POST /accesstoken/get` gave.
pub(super) struct TokenAnswer {
    pub(super) token: Token,
    lives_secs: u64,
}

#[derive(Deserialize)]
struct Raw {
    access_token: Zeroizing<String>,
    expires_in: Number,
}

/// Their numbers are texts; a number would be taken too.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Number(u64),
}

impl TokenAnswer {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WalletError> {
        const UNREADABLE: WalletError = WalletError::NoAnswer("the access token could not be read");
        let raw: Raw = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
        let lives_secs = match &raw.expires_in {
            Number::Text(text) => text.parse().map_err(|_| UNREADABLE)?,
            Number::Number(secs) => *secs,
        };
        let is_token = (1..=8192).contains(&raw.access_token.len())
            && raw.access_token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            return Err(UNREADABLE);
        }
        Ok(Self { token: Arc::new(raw.access_token), lives_secs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's answer, with the life of the test environment.
    const ANSWER: &str = r#"{"token_type":"Bearer","expires_in":"3600","ext_expires_in":"0","expires_on":"1495271273",
        "not_before":"1495184574","resource":"00000002-0000-0000-c000-000000000000","access_token":"eyJ0eXAi.a.b"}"#;

    fn owner(secret: &str) -> Owner {
        let mut example = super::super::credentials::tests::example();
        example["clientSecret"] = serde_json::json!(secret);
        Owner::of(&Credentials::parse(example.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn numbers_are_texts() {
        for (text, lives_secs) in [(ANSWER.to_owned(), 3600), (ANSWER.replace("\"3600\"", "86398"), 86_398)] {
            let answer = TokenAnswer::parse(text.as_bytes()).unwrap();
            assert_eq!((answer.token.as_str(), answer.lives_secs), ("eyJ0eXAi.a.b", lives_secs));
        }
        for bad in [
            ANSWER.replace("3600", "soon"),
            ANSWER.replace("3600", "-1"),
            ANSWER.replace("eyJ0eXAi.a.b", ""),
            ANSWER.replace("eyJ0eXAi.a.b", "a b"),
            ANSWER.replace("access_token", "token"),
            "{".to_owned(),
        ] {
            assert!(TokenAnswer::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn kept_until_shortly_before_its_end() {
        let (tokens, answer) = (Tokens::default(), TokenAnswer::parse(ANSWER.as_bytes()).unwrap());
        tokens.keep(owner("a"), &answer, 1000);
        assert!(tokens.find(owner("a"), 1000 + 3600 - RENEW_BEFORE_SECS - 1).is_some());
        assert!(tokens.find(owner("a"), 1000 + 3600 - RENEW_BEFORE_SECS).is_none());
        assert!(tokens.find(owner("b"), 1000).is_none());
        // One that lives no longer than a call is used for the call that asked for it, and no other.
        let brief = TokenAnswer::parse(ANSWER.replace("3600", "60").as_bytes()).unwrap();
        tokens.keep(owner("b"), &brief, 1000);
        assert!(tokens.find(owner("b"), 1000).is_none());
        let endless = TokenAnswer::parse(ANSWER.replace("3600", "99999999").as_bytes()).unwrap();
        tokens.keep(owner("c"), &endless, 1000);
        assert!(tokens.find(owner("c"), 1000 + LONGEST_SECS).is_none());
    }

    #[test]
    fn a_refused_token_is_forgotten_and_no_other() {
        let tokens = Tokens::default();
        let (first, second) =
            (TokenAnswer::parse(ANSWER.as_bytes()).unwrap(), TokenAnswer::parse(ANSWER.as_bytes()).unwrap());
        tokens.keep(owner("a"), &second, 0);
        tokens.forget(owner("a"), &first.token);
        assert!(tokens.find(owner("a"), 0).is_some());
        tokens.forget(owner("a"), &second.token);
        assert!(tokens.find(owner("a"), 0).is_none());
    }
}
