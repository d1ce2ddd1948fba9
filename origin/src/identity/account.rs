//! An account as the origin knows it.

use scanvault_protocol::password::PasswordVerifier;
use scanvault_protocol::{AccountName, AuthMode, Role};

use crate::money::Currency;

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
}

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
