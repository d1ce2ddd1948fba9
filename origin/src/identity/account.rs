//! An account as the origin knows it.

use std::str::FromStr;

use scanvault_protocol::password::PasswordVerifier;
use scanvault_protocol::{AccountName, AuthMode, Role};

use crate::money::Currency;
use crate::outbox::Format;

/// A row of the accounts table, typed.
#[derive(Clone, Debug)]
pub struct Account {
    /// Canonical name.
    pub name: AccountName,
    /// What it may do.
    pub role: Role,
    /// Whether its credentials count.
    pub is_active: bool,
    /// What shoppers read.
    pub display_name: String,
    /// Fixed at creation.
    pub currency: Currency,
    /// The PSP that may act for this merchant.
    pub psp: Option<AccountName>,
    /// How it proves who it is.
    pub mode: AuthMode,
    /// One more with each change of its credentials; what was issued under an older one is dead.
    pub credential_version: i64,
    /// Where its webhooks go.
    pub webhook_url: Option<String>,
    /// The last number of its change feed.
    pub change_seq: i64,
    /// When it was created, in Unix milliseconds.
    pub created_at_ms: i64,
    /// How its webhooks are written.
    pub webhook_format: Format,
    /// Its payments wait for the receiver's 200, and are undone without.
    pub webhook_strict: bool,
    /// Where its pings go.
    pub ping_url: Option<String>,
    /// Whether its card payments are authenticated.
    pub three_d_secure: ThreeDSecure,
    /// What payers read on their statements; the acquirer's own text without.
    pub text_on_statement: Option<String>,
}

/// Whether card payments on the pay page are authenticated by the cardholder's bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreeDSecure {
    /// Never asked for.
    Off,
    /// Where the card takes part.
    On,
    /// A card that does not take part is declined.
    Required,
}

impl ThreeDSecure {
    /// The name in the database and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Required => "required",
        }
    }
}

impl FromStr for ThreeDSecure {
    type Err = UnknownSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Off, Self::On, Self::Required].into_iter().find(|value| value.as_str() == text).ok_or(UnknownSetting)
    }
}

/// There is no such setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("3-D Secure is off, on or required")]
pub struct UnknownSetting;

/// What a new account is made of.
pub struct NewAccount {
    /// Canonical name.
    pub name: AccountName,
    /// What it may do.
    pub role: Role,
    /// What shoppers read.
    pub display_name: String,
    /// Its currency.
    pub currency: Currency,
    /// The PSP that may act for it.
    pub psp: Option<AccountName>,
    /// What its password is checked against.
    pub verifier: PasswordVerifier,
    /// Where its webhooks go, and the sealed secret that they are signed with.
    pub webhook: Option<(String, Vec<u8>)>,
    /// Acquirer's name and sealed credentials.
    pub acquirer: Option<(&'static str, Vec<u8>)>,
}
