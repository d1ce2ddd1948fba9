//! Session tokens at the origin: signed with the ring's token key, verified with every live one.
//!
//! A token is read twice: by the strict parser that the edge uses, and by the library that checks the signature and the
//! claims once more. What held is remembered by the token's hash until it ends, so that a session costs one signature
//! check. Whether the session still lives is not decided here: that is the database's word, on every request.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::signature::{Ed25519KeyPair as Pair, KeyPair as _};
use jwt_simple::algorithms::{Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike, EdDSAPublicKeyLike};
use jwt_simple::claims::{Audiences, JWTClaims};
use jwt_simple::common::VerificationOptions;
use jwt_simple::prelude::{Duration, UnixTimeStamp};
use scanvault_protocol::authorization::BearerToken;
use scanvault_protocol::record::{MAX_TOKEN_KEYS, TokenKeys};
use scanvault_protocol::token::{AUDIENCE, LIFETIME_SECS, MAX_TOKEN_BYTES, Parsed, Session, TOLERANCE_SECS, TYPE};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::account::Account;
use crate::vault::{Key32, KeyKind, Unsealed, Vault};

/// A new key signs only after this time, in milliseconds: by then the other origins have it, which look every five seconds.
const SETTLED_MS: u64 = 15_000;
/// Tokens that held and are remembered; a session has one or two alive. About 1 MB.
const MAX_REMEMBERED: usize = 4096;

/// Issues and verifies tokens. One for the process.
pub struct Tokens {
    vault: Arc<Vault>,
    issuer: String,
    known: Mutex<Known>,
}

/// A token to hand out.
pub struct Issued {
    /// The compact form.
    pub token: Zeroizing<String>,
    /// When it ends, in Unix seconds.
    pub expires_at_secs: u64,
}

/// Why there is no token, or none that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The keys are in the vault, and it is sealed.
    #[error("the vault is sealed")]
    Sealed,
    /// Not signed by us, out of time, or not in our form.
    #[error("invalid token")]
    Invalid,
    /// The library refused to sign. Never seen.
    #[error("the token could not be signed")]
    NotSigned,
}

/// What stands beside the registered claims.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct OwnClaims {
    cv: u64,
    roles: Vec<String>,
}

/// Public keys of one state of the ring, and the tokens that held under them.
#[derive(Default)]
struct Known {
    ring: Option<Vec<(u32, [u8; 32])>>,
    tokens: HashMap<[u8; 32], Session>,
}

impl Tokens {
    /// For the deployment at this public address: the `iss` of its tokens.
    #[must_use]
    pub fn new(vault: Arc<Vault>, public_url: &str) -> Self {
        Self { vault, issuer: public_url.trim_end_matches('/').to_owned(), known: Mutex::default() }
    }

    /// Makes the token of a session.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn issue(&self, account: &Account, session_id: &str, now_secs: u64) -> Result<Issued, TokenError> {
        let unsealed = self.vault.unsealed().map_err(|_| TokenError::Sealed)?;
        let (id, seed) = signing_seed(&unsealed, now_secs.saturating_mul(1000)).ok_or(TokenError::NotSigned)?;
        // The library's pair is seed and public key; its own drop does not wipe, the allocator does.
        let mut bytes = Zeroizing::new([0; 64]);
        let (left, right) = bytes.split_at_mut(32);
        left.copy_from_slice(seed.expose());
        right.copy_from_slice(&public_key(seed.expose()).ok_or(TokenError::NotSigned)?);
        let pair = Ed25519KeyPair::from_bytes(&*bytes).map_err(|_| TokenError::NotSigned)?;
        let expires_at_secs = now_secs + LIFETIME_SECS;
        let claims = JWTClaims {
            issued_at: Some(UnixTimeStamp::from_secs(now_secs)),
            expires_at: Some(UnixTimeStamp::from_secs(expires_at_secs)),
            invalid_before: None,
            issuer: Some(self.issuer.clone()),
            subject: Some(account.name.to_string()),
            audiences: Some(Audiences::AsString(AUDIENCE.to_owned())),
            jwt_id: Some(session_id.to_owned()),
            nonce: None,
            custom: OwnClaims {
                cv: u64::try_from(account.credential_version).map_err(|_| TokenError::NotSigned)?,
                roles: vec![account.role.as_str().to_owned()],
            },
        };
        let token = pair.with_key_id(&id.to_string()).sign(claims).map_err(|_| TokenError::NotSigned)?;
        Ok(Issued { token: Zeroizing::new(token), expires_at_secs })
    }

    /// What a token says, when it holds.
    ///
    /// # Errors
    /// [`TokenError::Sealed`] or [`TokenError::Invalid`].
    pub fn verify(&self, token: &BearerToken, now_secs: u64) -> Result<Session, TokenError> {
        let unsealed = self.vault.unsealed().map_err(|_| TokenError::Sealed)?;
        if token.expose().len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid);
        }
        let hash: [u8; 32] = Sha256::digest(token.expose()).into();
        let keys = {
            let mut known = self.known();
            let keys = known.keys_of(&unsealed).to_vec();
            if let Some(session) = known.tokens.get(&hash) {
                let is_alive = now_secs < session.expires_at_secs.saturating_add(TOLERANCE_SECS);
                return if is_alive { Ok(session.clone()) } else { Err(TokenError::Invalid) };
            }
            keys
        };
        let session = verify_with(&keys, &self.issuer, token, now_secs)?;
        self.known().remember(&keys, hash, session.clone(), now_secs);
        Ok(session)
    }

    /// What an edge needs to verify tokens: as many keys as an edge takes, the newest first. `None` while sealed.
    #[must_use]
    pub fn published(&self) -> Option<TokenKeys> {
        let unsealed = self.vault.unsealed().ok()?;
        let keys = self.known().keys_of(&unsealed).iter().map(|(id, key)| (id.to_string(), *key)).collect();
        Some(TokenKeys { issuer: self.issuer.clone(), keys })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The public keys of this ring. Another ring forgets what held under the one before: its key may have been destroyed.
    fn keys_of(&mut self, unsealed: &Unsealed) -> &[(u32, [u8; 32])] {
        let seeds = newest(unsealed);
        let is_same = self.ring.as_ref().is_some_and(|known| {
            known.len() == seeds.len() && known.iter().zip(&seeds).all(|((id, _), (now, _))| id == now)
        });
        if !is_same {
            let keys = seeds.iter().filter_map(|(id, seed)| Some((*id, public_key(seed.expose())?)));
            *self = Self { ring: Some(keys.collect()), tokens: HashMap::new() };
        }
        self.ring.as_deref().unwrap_or_default()
    }

    /// Not when the ring has changed meanwhile: the key may have been destroyed.
    fn remember(&mut self, under: &[(u32, [u8; 32])], hash: [u8; 32], session: Session, now_secs: u64) {
        if self.ring.as_deref() != Some(under) {
            return;
        }
        if self.tokens.len() >= MAX_REMEMBERED {
            self.tokens.retain(|_, session| now_secs < session.expires_at_secs);
        }
        if self.tokens.len() < MAX_REMEMBERED {
            self.tokens.insert(hash, session);
        }
    }
}

/// The live keys, the newest first; no more than are published. A token lives for half an hour, so that an older one of
/// so many is of no use.
fn newest(unsealed: &Unsealed) -> Vec<(u32, &Key32)> {
    let mut seeds: Vec<_> = unsealed.token_seeds().collect();
    seeds.sort_unstable_by_key(|(id, _)| Reverse(*id));
    seeds.truncate(MAX_TOKEN_KEYS);
    seeds
}

/// The newest key that all origins know; where none is old enough, the oldest.
fn signing_seed(unsealed: &Unsealed, now_ms: u64) -> Option<(u32, &Key32)> {
    let keys = unsealed.keys();
    let is_settled = |id: u32| {
        let key = keys.iter().find(|key| key.kind == KeyKind::Token && key.id == id);
        key.is_some_and(|key| key.created_at_ms.saturating_add(SETTLED_MS) <= now_ms)
    };
    let seeds = newest(unsealed);
    seeds.iter().find(|(id, _)| is_settled(*id)).or(seeds.last()).copied()
}

/// The strict form first, then the library, told everything that it would otherwise be generous about: its defaults
/// take 15 minutes of skew, any issuer, any audience, a missing `exp`.
fn verify_with(
    keys: &[(u32, [u8; 32])],
    issuer: &str,
    token: &BearerToken,
    now_secs: u64,
) -> Result<Session, TokenError> {
    let parsed = Parsed::parse(token).map_err(|_| TokenError::Invalid)?;
    let (id, key) = keys.iter().find(|(id, _)| id.to_string() == parsed.key_id).ok_or(TokenError::Invalid)?;
    let options = VerificationOptions {
        required_key_id: Some(id.to_string()),
        required_signature_type: Some(TYPE.to_owned()),
        allowed_issuers: Some(HashSet::from([issuer.to_owned()])),
        allowed_audiences: Some(HashSet::from([AUDIENCE.to_owned()])),
        time_tolerance: Some(Duration::from_secs(TOLERANCE_SECS)),
        max_validity: Some(Duration::from_secs(LIFETIME_SECS + TOLERANCE_SECS)),
        max_token_length: Some(MAX_TOKEN_BYTES),
        artificial_time: Some(UnixTimeStamp::from_secs(now_secs)),
        ..VerificationOptions::default()
    };
    let key = Ed25519PublicKey::from_bytes(key).map_err(|_| TokenError::Invalid)?;
    key.verify_token::<OwnClaims>(token.expose(), Some(options)).map_err(|_| TokenError::Invalid)?;
    parsed.into_session(issuer, now_secs).map_err(|_| TokenError::Invalid)
}

fn public_key(seed: &[u8; 32]) -> Option<[u8; 32]> {
    Pair::from_seed_unchecked(seed).ok()?.public_key().as_ref().try_into().ok()
}

#[cfg(test)]
mod tests;
