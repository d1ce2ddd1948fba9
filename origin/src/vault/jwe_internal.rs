//! The JWEs of internal systems, both ways: `dir` under a session key, or ECDH-ES to a P-256 key. A256GCM, nothing else.
//!
//! ```text
//! in,  session:  {"alg":"dir",    "enc":"A256GCM","kid":<session id>,"typ":"scanvault-vault-card+json"}
//! in,  page key: {"alg":"ECDH-ES","enc":"A256GCM","kid":<thumbprint of the page key>,"typ":…,"epk":{…},"apu":b64u(account)}
//! out, session:  {"alg":"dir",    "enc":"A256GCM","kid":<session id>,"typ":"scanvault-vault-answer+json"}
//! out, their key:{"alg":"ECDH-ES","enc":"A256GCM","kid":<thumbprint of their key>,"typ":…,"epk":{…}}
//!
//! typ in: "scanvault-vault-card+json" for a card, "scanvault-vault-session+json" for a session key; out: "scanvault-vault-answer+json"
//! key:    RFC 7518 §4.6 as in `jwe`, with the account's name as PartyUInfo (apu) on the way in
//! ```
//!
//! Any other member is refused. The `typ` keeps a page's JWE, a session's and an answer from being taken for a card. A
//! session belongs to one account, and `apu` names the account that an ECDH-ES text is from: what one account sealed
//! opens for no other.

use std::sync::Arc;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::jwe::{Compact, Enc, EphemeralKey, JweError, PageKey, agreed_key, thumbprint};
use super::secret::Key32;
use super::{Entropy, EntropyError};

const ANSWER: &str = "scanvault-vault-answer+json";

/// What a JWE that comes in is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Typ {
    #[serde(rename = "scanvault-vault-card+json")]
    Card,
    #[serde(rename = "scanvault-vault-session+json")]
    Session,
}

/// A key that an internal system has sent, made ready, with the name that its JWEs carry.
pub struct SessionKey {
    id: String,
    /// The protected header of our answers under it.
    answers: String,
    cipher: Box<Aes256Gcm>,
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionKey({}, secret)", self.id)
    }
}

impl SessionKey {
    #[must_use]
    pub fn new(id: String, key: &Key32) -> Self {
        let header = json!({"alg": "dir", "enc": "A256GCM", "kid": id, "typ": ANSWER});
        let answers = URL_SAFE_NO_PAD.encode(header.to_string());
        Self { id, answers, cipher: Box::new(Aes256Gcm::new(key.expose().into())) }
    }

    /// The `kid` of its JWEs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Opens what `account` sealed. Of `session` and `page` the one that the header asks for is called, with its `kid`.
///
/// # Errors
/// See [`JweError`].
pub fn open<'k>(
    compact: &str,
    typ: Typ,
    account: &str,
    session: impl FnOnce(&str) -> Option<Arc<SessionKey>>,
    page: impl FnOnce(&str) -> Option<&'k PageKey>,
) -> Result<Zeroizing<Vec<u8>>, JweError> {
    let parts = Compact::split(compact)?;
    let header: Header = parts.header()?;
    if header.typ != typ {
        return Err(JweError::Header);
    }
    match (header.alg, header.epk, header.apu) {
        (Alg::Dir, None, None) => {
            let key = session(&header.kid).ok_or(JweError::UnknownSession)?;
            parts.open(&key.cipher)
        }
        (Alg::EcdhEs, Some(epk), Some(apu)) => {
            if URL_SAFE_NO_PAD.decode(apu).ok().as_deref() != Some(account.as_bytes()) {
                return Err(JweError::DoesNotOpen);
            }
            let key = page(&header.kid).ok_or(JweError::UnknownKey)?;
            let key = agreed_key(key, &epk, account.as_bytes())?;
            parts.open(&Aes256Gcm::new(key.expose().into()))
        }
        _ => Err(JweError::Header),
    }
}

/// A key to seal one answer with. It is agreed upon before anything else is done, so that a bad key costs nothing.
pub enum Sealer {
    /// Under a session.
    Session(Arc<SessionKey>),
    /// To somebody's public key.
    Agreed { protected: String, cipher: Box<Aes256Gcm> },
}

impl Sealer {
    /// To somebody's public key, by an ephemeral one of ours.
    ///
    /// # Errors
    /// [`JweError::Point`] or [`JweError::Header`] when the key is none, and a failing random source.
    pub fn agree(theirs: &EphemeralKey, entropy: &mut dyn Entropy) -> Result<Self, SealError> {
        let ephemeral = PageKey::ephemeral(entropy)?;
        let key = agreed_key(&ephemeral, theirs, b"")?;
        let ours = ephemeral.jwk();
        let header = json!({
            "alg": "ECDH-ES", "enc": "A256GCM", "kid": thumbprint(&theirs.x, &theirs.y), "typ": ANSWER,
            "epk": {"kty": ours.kty, "crv": ours.crv, "x": ours.x, "y": ours.y},
        });
        let cipher = Box::new(Aes256Gcm::new(key.expose().into()));
        Ok(Self::Agreed { protected: URL_SAFE_NO_PAD.encode(header.to_string()), cipher })
    }

    /// The compact JWE. Under a session nonces are random: at 2^26 texts within its hour two meet with 2^-45.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn seal(&self, plaintext: &[u8], entropy: &mut dyn Entropy) -> Result<String, SealError> {
        let mut iv = [0; 12];
        entropy.fill(&mut iv)?;
        // Encrypted in place, in the one buffer.
        let mut text = Zeroizing::new(plaintext.to_vec());
        let (protected, cipher) = match self {
            Self::Session(key) => (&key.answers, &key.cipher),
            Self::Agreed { protected, cipher } => (protected, cipher),
        };
        let tag = cipher
            .encrypt_inout_detached(&Nonce::from(iv), protected.as_bytes(), text.as_mut_slice().into())
            .map_err(|_| JweError::TooLong)?;
        let [iv, text, tag] = [iv.as_slice(), &text, &tag].map(|part| URL_SAFE_NO_PAD.encode(part));
        Ok(format!("{protected}..{iv}.{text}.{tag}"))
    }
}

/// Why nothing is sealed.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum SealError {
    #[error(transparent)]
    Jwe(#[from] JweError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: Alg,
    #[expect(dead_code, reason = "parsing it is the check: one variant")]
    enc: Enc,
    typ: Typ,
    kid: String,
    epk: Option<EphemeralKey>,
    apu: Option<String>,
}

#[derive(Deserialize)]
enum Alg {
    #[serde(rename = "dir")]
    Dir,
    #[serde(rename = "ECDH-ES")]
    EcdhEs,
}

#[cfg(test)]
mod tests;
