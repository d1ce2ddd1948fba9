//! What the origin tells an edge about credentials, in headers of its answers.
//!
//! ```text
//! scanvault-credential-record: merchant-25 basic EXTERNAL 3 <base64url of SHA-256>[,<base64url of SHA-256>]
//! scanvault-credential-record: merchant-99 -                          no such account: forget what you had
//! scanvault-token-keys: https://pay.example 2=<base64url of 32 bytes>,1=<base64url of 32 bytes>
//! ```
//!
//! A record lets an edge tell a likely credential from an unlikely one; it decides nothing. Verifiers are SHA-256 of
//! 256 random bits: whoever reads them can log in nowhere. Nothing here is ever passed on to a client.

use core::fmt::Write;
use core::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::account::{AccountName, AuthMode, Role};
use crate::link::is_name;
use crate::password::PasswordVerifier;

/// How long an edge may keep what it was told, in seconds.
pub const TTL_SECS: u64 = 60;
/// After this many seconds an edge asks to be told again, while it still uses what it has.
pub const RENEW_AFTER_SECS: u64 = 30;
/// One password, and the one before it during an overlap.
pub const MAX_VERIFIERS: usize = 2;
/// The active token key, and those before it that still verify.
pub const MAX_TOKEN_KEYS: usize = 8;
const MAX_ISSUER_BYTES: usize = 256;

/// What the edge thinks of a credential: the value of the header `scanvault-credential`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nobody was asked for one.
    None,
    /// It does not match the record, or there is no record: the origin decides. It tells what it knows.
    Unverified,
    /// It matches what the edge was told.
    Verified,
    /// As [`Verified`](Self::Verified), and the edge wants to be told again.
    Renew,
}

impl Mark {
    /// The value of the header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Renew => "renew",
        }
    }

    /// Whether the origin tells what it knows on a right credential; on a refused one it always does.
    #[must_use]
    pub fn wants_record(self) -> bool {
        matches!(self, Self::Unverified | Self::Renew)
    }
}

impl FromStr for Mark {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let all = [Self::None, Self::Unverified, Self::Verified, Self::Renew];
        all.into_iter().find(|mark| mark.as_str() == text).ok_or(Malformed)
    }
}

/// What an edge may know of an account.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whose it is.
    pub account: AccountName,
    /// How it proves itself.
    pub mode: AuthMode,
    /// What it may do.
    pub role: Role,
    /// One more with each change of its credentials: an older record never takes the place of a newer one.
    pub version: u64,
    /// Passwords that are live now; none for an account in Bearer mode, or suspended.
    pub verifiers: Vec<PasswordVerifier>,
}

/// The value of [`crate::headers::CREDENTIAL_RECORD`].
#[derive(Clone, Debug)]
pub enum Update {
    /// This is the record now.
    Keep(Record),
    /// There is no such account.
    Forget(AccountName),
}

/// The value of [`crate::headers::TOKEN_KEYS`]: who issues tokens, and what verifies them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeys {
    /// The `iss` that tokens must have.
    pub issuer: String,
    /// Key ids and Ed25519 public keys (RFC 8032), the signing one first.
    pub keys: Vec<(String, [u8; 32])>,
}

/// The text is not in the one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed record")]
pub struct Malformed;

impl Update {
    /// The value of the header.
    #[must_use]
    pub fn to_header(&self) -> String {
        match self {
            Self::Forget(account) => format!("{account} -"),
            Self::Keep(Record { account, mode, role, version, verifiers }) => {
                let mut text = format!("{account} {} {} {version} ", mode.as_str(), role.as_str());
                for (at, verifier) in verifiers.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "," };
                    let _ = write!(text, "{separator}{}", URL_SAFE_NO_PAD.encode(verifier.as_bytes()));
                }
                text
            }
        }
    }

    /// Whose record it is about.
    #[must_use]
    pub fn account(&self) -> &AccountName {
        match self {
            Self::Forget(account) => account,
            Self::Keep(record) => &record.account,
        }
    }
}

impl FromStr for Update {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (account, rest) = text.split_once(' ').ok_or(Malformed)?;
        let account: AccountName = account.parse().map_err(|_| Malformed)?;
        if rest == "-" {
            return Ok(Self::Forget(account));
        }
        let mut words = rest.splitn(4, ' ');
        let mut word = || words.next().ok_or(Malformed);
        let mode = word()?.parse().map_err(|_| Malformed)?;
        let role = word()?.parse().map_err(|_| Malformed)?;
        let version = word()?.parse().map_err(|_| Malformed)?;
        // A header's value loses its trailing space: an account without verifiers has three words.
        let list = words.next().unwrap_or_default();
        let verifiers = list.split(',').filter(|text| !text.is_empty()).map(verifier).collect::<Result<Vec<_>, _>>()?;
        if verifiers.len() > MAX_VERIFIERS {
            return Err(Malformed);
        }
        Ok(Self::Keep(Record { account, mode, role, version, verifiers }))
    }
}

impl TokenKeys {
    /// The value of the header.
    #[must_use]
    pub fn to_header(&self) -> String {
        let mut text = format!("{} ", self.issuer);
        for (at, (id, key)) in self.keys.iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            let _ = write!(text, "{separator}{id}={}", URL_SAFE_NO_PAD.encode(key));
        }
        text
    }

    /// The key of this id.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&[u8; 32]> {
        self.keys.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }
}

impl FromStr for TokenKeys {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (issuer, list) = text.split_once(' ').ok_or(Malformed)?;
        if issuer.is_empty() || issuer.len() > MAX_ISSUER_BYTES {
            return Err(Malformed);
        }
        let keys = list.split(',').map(token_key).collect::<Result<Vec<_>, _>>()?;
        if keys.len() > MAX_TOKEN_KEYS {
            return Err(Malformed);
        }
        Ok(Self { issuer: issuer.to_owned(), keys })
    }
}

fn verifier(text: &str) -> Result<PasswordVerifier, Malformed> {
    bytes32(text).map(PasswordVerifier::from_bytes)
}

fn token_key(text: &str) -> Result<(String, [u8; 32]), Malformed> {
    let (id, key) = text.split_once('=').filter(|(id, _)| is_name(id)).ok_or(Malformed)?;
    Ok((id.to_owned(), bytes32(key)?))
}

fn bytes32(text: &str) -> Result<[u8; 32], Malformed> {
    URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(verifiers: &[u8]) -> Record {
        Record {
            account: AccountName::Merchant(25),
            mode: AuthMode::Basic,
            role: Role::External,
            version: 3,
            verifiers: verifiers.iter().map(|byte| PasswordVerifier::from_bytes([*byte; 32])).collect(),
        }
    }

    #[test]
    fn known_forms() {
        let one = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
        let text = Update::Keep(record(&[1])).to_header();
        assert_eq!(text, format!("merchant-25 basic EXTERNAL 3 {one}"));
        assert_eq!(Update::Forget(AccountName::Psp(7)).to_header(), "psp-7 -");
        let keys = TokenKeys { issuer: "https://pay.example".into(), keys: vec![("2".into(), [1; 32])] };
        assert_eq!(keys.to_header(), format!("https://pay.example 2={one}"));
        assert_eq!((keys.key("2"), keys.key("1")), (Some(&[1; 32]), None));
    }

    #[test]
    fn whatever_is_said_is_read_back() {
        for verifiers in [&[][..], &[1], &[1, 2]] {
            let text = Update::Keep(record(verifiers)).to_header();
            for text in [text.as_str(), text.trim_end()] {
                let Ok(Update::Keep(back)) = text.parse() else { panic!("{text}") };
                assert_eq!(Update::Keep(back).to_header().trim_end(), text.trim_end());
            }
        }
        let Ok(Update::Forget(account)) = "vodacom-ussd -".parse() else { panic!() };
        assert_eq!(account, AccountName::Named("vodacom-ussd".into()));
        let keys = TokenKeys {
            issuer: "https://pay.example".into(),
            keys: vec![("2".into(), [1; 32]), ("1".into(), [2; 32])],
        };
        assert_eq!(keys.to_header().parse(), Ok(keys));
        for mark in [Mark::None, Mark::Unverified, Mark::Verified, Mark::Renew] {
            assert_eq!(mark.as_str().parse(), Ok(mark));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let three = Update::Keep(record(&[1, 2, 3])).to_header();
        for text in [
            "",
            "-",
            "merchant-25",
            "merchant-25 basic",
            "merchant-25 basic EXTERNAL",
            "merchant-25 basic EXTERNAL x",
            "merchant-25 basic EXTERNAL 3 AQ",
            &three,
        ] {
            assert!(text.parse::<Update>().is_err(), "{text}");
        }
        for text in ["", "https://pay.example", "https://pay.example ", " 1=AQ", "i 1=AQ", "i =AQ"] {
            assert!(text.parse::<TokenKeys>().is_err(), "{text}");
        }
        assert!("other".parse::<Mark>().is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = text.parse::<Update>();
            let _ = text.parse::<TokenKeys>();
        }
    }
}
