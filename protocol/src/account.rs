//! Who calls the API: names such as `merchant-25`, and the roles that paths ask for.

use core::fmt;
use core::str::FromStr;

/// The longest name of an account, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// The name of an account, canonical: lower case, a dash before the id.
///
/// `merchant-25`, `MERCHANT_25` and the shop-id form `25` are the same merchant; the reference spells PSPs both
/// `psp-42` and `PSP_42`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountName {
    /// A merchant, by its number.
    Merchant(u64),
    /// A payment service provider, acting for its merchants.
    Psp(u64),
    /// Anyone who is known by name: USSD operators, wallets, internal systems. Lower case.
    Named(String),
}

impl AccountName {
    /// The role that a name alone implies; named accounts have theirs in the origin's records only.
    #[must_use]
    pub fn implied_role(&self) -> Option<Role> {
        match self {
            Self::Merchant(_) | Self::Psp(_) => Some(Role::External),
            Self::Named(_) => None,
        }
    }
}

impl FromStr for AccountName {
    type Err = InvalidAccountName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES {
            return Err(InvalidAccountName);
        }
        let lower = text.to_ascii_lowercase();
        if let Some(id) = number(&lower) {
            return Ok(Self::Merchant(id));
        }
        for (prefix, build) in [("merchant", Self::Merchant as fn(u64) -> Self), ("psp", Self::Psp)] {
            if let Some(rest) = lower.strip_prefix(prefix)
                && let Some(id) = rest.strip_prefix(['-', '_'])
            {
                return number(id).map(build).ok_or(InvalidAccountName);
            }
        }
        let first_is_letter = lower.starts_with(|c: char| c.is_ascii_lowercase());
        let rest_is_plain =
            lower.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
        if first_is_letter && rest_is_plain { Ok(Self::Named(lower)) } else { Err(InvalidAccountName) }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Merchant(id) => write!(f, "merchant-{id}"),
            Self::Psp(id) => write!(f, "psp-{id}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// The text is not a name of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an account name")]
pub struct InvalidAccountName;

/// What an account may do; the route table says which a path needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Merchants and PSPs.
    External,
    /// USSD operators.
    Stk,
    /// Systems of the same operator; never through the edge.
    Internal,
    /// Wallet providers and issuers.
    Wallet,
}

impl Role {
    /// The name in records and tokens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL",
            Self::Stk => "STK",
            Self::Internal => "INTERNAL",
            Self::Wallet => "WALLET",
        }
    }
}

impl FromStr for Role {
    type Err = InvalidAccountName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::External, Self::Stk, Self::Internal, Self::Wallet]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(InvalidAccountName)
    }
}

/// How an account proves who it is. Never both: switching ends the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMode {
    /// An API password with every request.
    Basic,
    /// A token from a login with its RSA key.
    Bearer,
}

impl AuthMode {
    /// The name in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
        }
    }
}

impl FromStr for AuthMode {
    type Err = InvalidAccountName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Basic, Self::Bearer].into_iter().find(|mode| mode.as_str() == text).ok_or(InvalidAccountName)
    }
}

/// A decimal number without sign or leading zeros: `025` and `+25` would be second spellings of one name.
fn number(text: &str) -> Option<u64> {
    let canonical =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_spellings_of_the_reference_are_one_name() {
        for (text, name) in [
            ("merchant-25", AccountName::Merchant(25)),
            ("Merchant_25", AccountName::Merchant(25)),
            ("25", AccountName::Merchant(25)),
            ("PSP_42", AccountName::Psp(42)),
            ("psp-13", AccountName::Psp(13)),
            ("vodacom-ussd", AccountName::Named("vodacom-ussd".into())),
        ] {
            assert_eq!(text.parse(), Ok(name), "{text}");
        }
    }

    #[test]
    fn second_spellings_of_a_number_are_refused() {
        for text in ["", "merchant-", "merchant-025", "merchant--1", "merchant-1 ", "25a", "-x", "a b", "a:b", "ä"] {
            assert_eq!(text.parse::<AccountName>(), Err(InvalidAccountName), "{text}");
        }
        assert!("merchant-99999999999999999999".parse::<AccountName>().is_err());
        assert!("a".repeat(65).parse::<AccountName>().is_err());
    }

    proptest! {
        #[test]
        fn display_parses_back(text in "\\PC{0,70}") {
            if let Ok(name) = text.parse::<AccountName>() {
                prop_assert_eq!(name.to_string().parse::<AccountName>(), Ok(name));
            }
        }
    }
}
