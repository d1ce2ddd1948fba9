//! Opens the pay page's compact JWE (RFC 7516 §7.1): ECDH-ES on P-256, A256GCM, nothing else.
//!
//! ```text
//! b64u(protected) "." "" "." b64u(iv, 12 bytes) "." b64u(ciphertext) "." b64u(tag, 16 bytes)      ≤ 4096 bytes
//!
//! protected: {"alg":"ECDH-ES","enc":"A256GCM","kid":…,"epk":{"kty":"EC","crv":"P-256","x":…,"y":…},
//!             "typ":"scanvault-card+json"}; any other member is refused (zip, crit, apu, apv, jku, …)
//! kid:       RFC 7638 thumbprint (SHA-256, base64url) of our public key; it selects, no key is tried
//! key:       SHA-256(00000001 ‖ Z ‖ 00000007 "A256GCM" ‖ 00000000 ‖ 00000000 ‖ 00000100)   RFC 7518 §4.6
//! AAD:       the ASCII bytes of b64u(protected)
//! ```

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::entropy::{Entropy, EntropyError};
use super::secret::Key32;

/// Longest JWE that is looked at.
pub const MAX_JWE: usize = 4096;
const ENC: &[u8] = b"A256GCM";
/// SEC 1 §2.3.3: 04 ‖ x ‖ y.
const UNCOMPRESSED: u8 = 4;

/// The public half of the page key, as the page gets it (RFC 7517, RFC 7518 §6.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    pub kty: &'static str,
    pub crv: &'static str,
    pub kid: String,
    pub x: String,
    pub y: String,
}

/// Deliberately coarse: whoever sends a JWE made it, and learns only which step refused it.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum JweError {
    #[error("the JWE is too long")]
    TooLong,
    #[error("this is no compact JWE of five parts")]
    Malformed,
    #[error("the JWE's header is not the one that is spoken here")]
    Header,
    #[error("the JWE is sealed to a key that is not in use")]
    UnknownKey,
    #[error("the JWE is sealed under a session that is unknown or has expired")]
    UnknownSession,
    #[error("the key is no point of P-256")]
    Point,
    #[error("the JWE was changed on its way, or sealed for somebody else")]
    DoesNotOpen,
}

/// A P-256 key that pages seal to.
pub struct PageKey {
    private: PrivateKey,
    jwk: PublicJwk,
}

impl std::fmt::Debug for PageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PageKey({}, secret)", self.jwk.kid)
    }
}

impl PageKey {
    /// `None` when the bytes are no private key of the curve (0 or not below the order).
    #[must_use]
    pub fn from_scalar(scalar: &Key32) -> Option<Self> {
        let private = PrivateKey::from_private_key(&ECDH_P256, scalar.expose()).ok()?;
        let public = private.compute_public_key().ok()?;
        let (x, y) = public.as_ref().strip_prefix(&[UNCOMPRESSED])?.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let kid = thumbprint(&x, &y);
        Some(Self { private, jwk: PublicJwk { kty: "EC", crv: "P-256", kid, x, y } })
    }

    /// Draws scalars until one fits (the first one but for 2^-32 of all draws).
    pub fn random_scalar(entropy: &mut dyn Entropy) -> Result<Key32, EntropyError> {
        Self::draw(entropy).map(|(scalar, _)| scalar)
    }

    /// A key for one use.
    pub(super) fn ephemeral(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        Self::draw(entropy).map(|(_, key)| key)
    }

    fn draw(entropy: &mut dyn Entropy) -> Result<(Key32, Self), EntropyError> {
        for _ in 0..16 {
            let scalar = Key32::random(entropy)?;
            if let Some(key) = Self::from_scalar(&scalar) {
                return Ok((scalar, key));
            }
        }
        // 2^-512 for a source that works.
        Err(EntropyError)
    }

    #[must_use]
    pub const fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }
}

/// Opens `compact` with the key that its `kid` names.
pub fn open<'k>(
    compact: &str,
    key_by_kid: impl FnOnce(&str) -> Option<&'k PageKey>,
) -> Result<Zeroizing<Vec<u8>>, JweError> {
    let parts = Compact::split(compact)?;
    let header: Header = parts.header()?;
    let page_key = key_by_kid(&header.kid).ok_or(JweError::UnknownKey)?;
    let key = agreed_key(page_key, &header.epk, b"")?;
    parts.open(&Aes256Gcm::new(key.expose().into()))
}

/// A compact JWE with an empty encrypted key (RFC 7516 §5.2: direct encryption and direct agreement), taken apart.
pub(super) struct Compact<'a> {
    protected: &'a str,
    iv: [u8; 12],
    ciphertext: Vec<u8>,
    tag: [u8; 16],
}

impl<'a> Compact<'a> {
    pub(super) fn split(compact: &'a str) -> Result<Self, JweError> {
        if compact.len() > MAX_JWE {
            return Err(JweError::TooLong);
        }
        let mut parts = compact.split('.');
        let mut next = || parts.next().ok_or(JweError::Malformed);
        let (protected, encrypted_key, iv, ciphertext, tag) = (next()?, next()?, next()?, next()?, next()?);
        if parts.next().is_some() || !encrypted_key.is_empty() {
            return Err(JweError::Malformed);
        }
        Ok(Self {
            protected,
            iv: decode_exact(iv).ok_or(JweError::Malformed)?,
            ciphertext: URL_SAFE_NO_PAD.decode(ciphertext).map_err(|_| JweError::Malformed)?,
            tag: decode_exact(tag).ok_or(JweError::Malformed)?,
        })
    }

    pub(super) fn header<T: DeserializeOwned>(&self) -> Result<T, JweError> {
        let json = URL_SAFE_NO_PAD.decode(self.protected).map_err(|_| JweError::Malformed)?;
        serde_json::from_slice(&json).map_err(|_| JweError::Header)
    }

    pub(super) fn open(self, cipher: &Aes256Gcm) -> Result<Zeroizing<Vec<u8>>, JweError> {
        let Self { protected, iv, ciphertext, tag } = self;
        let mut text = Zeroizing::new(ciphertext);
        cipher
            .decrypt_inout_detached(&Nonce::from(iv), protected.as_bytes(), text.as_mut_slice().into(), &Tag::from(tag))
            .map_err(|_| JweError::DoesNotOpen)?;
        Ok(text)
    }
}

/// Concat KDF of NIST SP 800-56A with SHA-256, as RFC 7518 §4.6.2 uses it, for at most one block.
pub fn concat_kdf(z: &[u8], algorithm: &[u8], party_u: &[u8], party_v: &[u8], key_bits: u32) -> Key32 {
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(z);
    for field in [algorithm, party_u, party_v] {
        hash.update(super::mac::length_prefix(field));
        hash.update(field);
    }
    hash.update(key_bits.to_be_bytes());
    let mut digest = hash.finalize();
    let key = Key32::from_array(digest.into());
    digest.as_mut_slice().zeroize();
    key
}

/// The content key of direct agreement between `ours` and the point, for `party_u` (RFC 7518 §4.6.2).
pub(super) fn agreed_key(ours: &PageKey, point: &EphemeralKey, party_u: &[u8]) -> Result<Key32, JweError> {
    let mut bytes = Vec::with_capacity(65);
    bytes.push(UNCOMPRESSED);
    for coordinate in [&point.x, &point.y] {
        // RFC 7518 §6.2.1.2: full width, leading zeros kept.
        bytes.extend_from_slice(&decode_exact::<32>(coordinate).ok_or(JweError::Header)?);
    }
    // AWS-LC refuses a point that is not on the curve (NIST SP 800-56A §5.6.2.3).
    agree(&ours.private, UnparsedPublicKey::new(&ECDH_P256, bytes), JweError::Point, |z| {
        Ok(concat_kdf(z, ENC, party_u, b"", 256))
    })
}

/// RFC 7638 §3.2: over the required members only, in lexicographic order, no white space.
pub(super) fn thumbprint(x: &str, y: &str) -> String {
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[expect(dead_code, reason = "parsing it is the check: one variant")]
    alg: Alg,
    #[expect(dead_code, reason = "parsing it is the check: one variant")]
    enc: Enc,
    #[expect(dead_code, reason = "parsing it is the check: one variant")]
    typ: Typ,
    kid: String,
    epk: EphemeralKey,
}

/// Somebody's public P-256 key, as it came: not yet known to be a point.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EphemeralKey {
    #[expect(dead_code, reason = "parsing it is the check: one variant")]
    kty: Kty,
    #[expect(dead_code, reason = "parsing it is the check: one variant")]
    crv: Crv,
    pub(super) x: String,
    pub(super) y: String,
}

#[derive(Deserialize)]
enum Alg {
    #[serde(rename = "ECDH-ES")]
    EcdhEs,
}

#[derive(Deserialize)]
pub(super) enum Enc {
    #[serde(rename = "A256GCM")]
    A256Gcm,
}

#[derive(Deserialize)]
enum Typ {
    #[serde(rename = "scanvault-card+json")]
    Card,
}

#[derive(Deserialize)]
enum Kty {
    #[serde(rename = "EC")]
    Ec,
}

#[derive(Deserialize)]
enum Crv {
    #[serde(rename = "P-256")]
    P256,
}

fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
