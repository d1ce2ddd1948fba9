//! A share and its text form.
//!
//! ```text
//! share, 56 bytes:
//!  0         1                    17           19      20                    52          56
//!  ┌─────────┬────────────────────┬────────────┬───────┬─────────────────────┬───────────┐
//!  │ version │ set id             │ generation │ index │ y                   │ checksum  │
//!  │ u8 = 1  │ 16 bytes           │ u16 BE     │ u8 x  │ 32 bytes            │ 4 bytes   │
//!  └─────────┴────────────────────┴────────────┴───────┴─────────────────────┴───────────┘
//! index:    the x of Shamir's polynomial, 1..=255 (0 would be the secret itself)
//! checksum: first 4 bytes of SHA-256("scanvault/share-checksum/v1" 00 ‖ bytes 0..52)
//!
//! text:     "svshare1-" ‖ RFC 4648 base32 (§6, lower case, no padding): 90 symbols, a dash after
//!           every 6; the two spare bits of the last symbol are 0
//!
//! ```
//!
//! Reading tolerates case, white space, line breaks and dashes anywhere; any other slip fails the
//! checksum, alone. What the vault keeps of a share is in [`share_set`](super::share_set).

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::base32;
use super::entropy::{Entropy, EntropyError};
use super::hex;
use super::secret::Key32;
use super::share_set::ShareHash;

const PREFIX: &str = "svshare1";
const VERSION: u8 = 1;
const BODY_LEN: usize = 52;
const SHARE_LEN: usize = 56;
const SYMBOLS: usize = 90;
/// Longer input is no share; it is not looked at.
const MAX_TEXT: usize = 1024;
const CHECKSUM_DOMAIN: &[u8] = b"scanvault/share-checksum/v1\0";

/// Names a share set through all its re-shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SetId(pub [u8; 16]);

impl SetId {
    pub fn random(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        let mut id = [0; 16];
        entropy.fill(&mut id)?;
        Ok(Self(id))
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl From<SetId> for String {
    fn from(id: SetId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SetId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(&text).map(Self).ok_or("a set id is 32 hexadecimal digits")
    }
}

/// One custodian's part of the unseal key.
pub struct Share {
    set_id: SetId,
    generation: u16,
    index: u8,
    y: Key32,
}

impl Share {
    /// `None` for index 0: a polynomial at 0 is the secret itself.
    pub(super) fn new(set_id: SetId, generation: u16, index: u8, y: Key32) -> Option<Self> {
        (index != 0).then_some(Self { set_id, generation, index, y })
    }

    #[must_use]
    pub const fn set_id(&self) -> SetId {
        self.set_id
    }

    /// Number of the re-share that made it; 0 at initialisation.
    #[must_use]
    pub const fn generation(&self) -> u16 {
        self.generation
    }

    /// 1..=255.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    pub(super) const fn y(&self) -> &Key32 {
        &self.y
    }

    /// What the vault keeps to recognise this share.
    #[must_use]
    pub fn hash(&self) -> ShareHash {
        ShareHash::of(self)
    }

    /// The text that a custodian keeps.
    #[must_use]
    pub fn to_text(&self) -> ShareText {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SHARE_LEN));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.set_id.0);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.push(self.index);
        bytes.extend_from_slice(self.y.expose());
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        ShareText(base32::encode_grouped(PREFIX, &bytes))
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, ShareTextError> {
        let bytes = base32::decode(&significant_symbols(text)?).ok_or(ShareTextError::Mistyped)?;
        let (body, stated) = bytes.split_at_checked(BODY_LEN).ok_or(ShareTextError::Mistyped)?;
        if checksum(body) != *stated {
            return Err(ShareTextError::Mistyped);
        }
        let mut fields = body;
        let [version] = take::<1>(&mut fields)?;
        if version != VERSION {
            return Err(ShareTextError::UnknownVersion(version));
        }
        let set_id = SetId(take(&mut fields)?);
        let generation = u16::from_be_bytes(take(&mut fields)?);
        let [index] = take::<1>(&mut fields)?;
        let y = Key32::from_slice(fields).ok_or(ShareTextError::Mistyped)?;
        Self::new(set_id, generation, index, y).ok_or(ShareTextError::ZeroIndex)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share(set {}, generation {}, index {}, secret)", self.set_id, self.generation, self.index)
    }
}

/// The text form of a share: a secret.
pub struct ShareText(Zeroizing<String>);

impl ShareText {
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ShareText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareText(secret)")
    }
}

/// Why a text is no share. Positions count symbols after the prefix, from 1; the text is never repeated.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum ShareTextError {
    #[error("this is no share: a share begins with svshare1")]
    NotAShare,
    #[error("symbol {position} is not one of a-z, 2-7")]
    BadSymbol { position: usize },
    #[error("a share has 90 symbols after svshare1, this one has {found}")]
    Length { found: usize },
    #[error("the share is mistyped: its checksum does not fit")]
    Mistyped,
    #[error("share version {0} is not known to this release")]
    UnknownVersion(u8),
    #[error("a share with index 0 is never dealt")]
    ZeroIndex,
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(CHECKSUM_DOMAIN);
    hash.update(body);
    let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
    [a, b, c, d]
}

fn take<const N: usize>(fields: &mut &[u8]) -> Result<[u8; N], ShareTextError> {
    let (field, rest) = fields.split_first_chunk::<N>().ok_or(ShareTextError::Mistyped)?;
    *fields = rest;
    Ok(*field)
}

/// Drops what reading tolerates and the prefix; leaves the values of exactly 90 symbols.
fn significant_symbols(text: &str) -> Result<Zeroizing<Vec<u8>>, ShareTextError> {
    if text.len() > MAX_TEXT {
        return Err(ShareTextError::NotAShare);
    }
    let mut kept = Zeroizing::new(String::with_capacity(text.len()));
    kept.extend(text.chars().filter(|c| !is_separator(*c)).map(|c| c.to_ascii_lowercase()));
    let symbols = kept.strip_prefix(PREFIX).ok_or(ShareTextError::NotAShare)?;
    let mut values = Zeroizing::new(Vec::with_capacity(symbols.len()));
    for (at, symbol) in symbols.chars().enumerate() {
        let value = base32::symbol_value(symbol).ok_or(ShareTextError::BadSymbol { position: at + 1 })?;
        values.push(value);
    }
    if values.len() != SYMBOLS {
        return Err(ShareTextError::Length { found: values.len() });
    }
    Ok(values)
}

/// White space, and the dashes that word processors make of a minus sign.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || c == '-' || ('\u{2010}'..='\u{2015}').contains(&c)
}

#[cfg(test)]
mod tests;
