//! Names, states and stored rows of the ring's keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// Seals records; its number stands in every envelope.
    Data,
    /// Keyed hash of card numbers for duplicate detection.
    Fingerprint,
    /// Ed25519 seed that signs session tokens.
    Token,
    /// RSA key of the login challenge, as PKCS#8.
    Login,
    /// P-256 scalar that pages and wallets seal to.
    Page,
    /// Hides values in the audit chain.
    Audit,
    /// Makes the implicit rejection of a login look like an answer.
    Rejection,
    /// Seals backups.
    Backup,
    /// Authenticates the pay page's attempt ids.
    Attempt,
}

impl KeyKind {
    pub const ALL: [Self; 9] = [
        Self::Data,
        Self::Fingerprint,
        Self::Token,
        Self::Login,
        Self::Page,
        Self::Audit,
        Self::Rejection,
        Self::Backup,
        Self::Attempt,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Fingerprint => "fingerprint",
            Self::Token => "token",
            Self::Login => "login",
            Self::Page => "page",
            Self::Audit => "audit",
            Self::Rejection => "rejection",
            Self::Backup => "backup",
            Self::Attempt => "attempt",
        }
    }

    /// The login key is generated later, when logins are set up.
    #[must_use]
    pub const fn made_at_init(self) -> bool {
        !matches!(self, Self::Login)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyKind {
    type Err = UnknownKeyName;

    fn from_str(text: &str) -> Result<Self, UnknownKeyName> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownKeyName)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    Active,
    Retired,
    Destroyed,
}

impl KeyState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyState {
    type Err = UnknownKeyName;

    fn from_str(text: &str) -> Result<Self, UnknownKeyName> {
        [Self::Active, Self::Retired, Self::Destroyed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownKeyName)
    }
}

/// A key as it is stored: one row. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    pub kind: KeyKind,
    /// From 1, within its kind; never given twice.
    pub id: u32,
    /// Empty once destroyed.
    pub wrapped: Vec<u8>,
    pub created_at_ms: u64,
    pub state: KeyState,
}

/// A stored key without its material, for status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyInfo {
    pub kind: KeyKind,
    pub id: u32,
    pub state: KeyState,
    pub created_at_ms: u64,
}

impl From<&WrappedKey> for KeyInfo {
    fn from(row: &WrappedKey) -> Self {
        Self { kind: row.kind, id: row.id, state: row.state, created_at_ms: row.created_at_ms }
    }
}

#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
#[error("no kind or state of keys has that name")]
pub struct UnknownKeyName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for kind in KeyKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for state in [KeyState::Active, KeyState::Retired, KeyState::Destroyed] {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!("Data".parse::<KeyKind>(), Err(UnknownKeyName));
        assert_eq!("".parse::<KeyState>(), Err(UnknownKeyName));
    }
}
