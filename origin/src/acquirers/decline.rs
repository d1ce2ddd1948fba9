//! One vocabulary of reasons for all acquirers, and what a shopper is told of them.
//!
//! A reason that would help to test stolen cards (lost, stolen, fraud) is never shown: those read like any refusal.

use std::str::FromStr;

use crate::db::DbError;

/// Why a payment did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decline {
    /// No such card.
    InvalidCard,
    /// The acquirer does not take this scheme.
    UnsupportedScheme,
    /// The security code is wrong.
    InvalidCsc,
    /// The card has expired, or its expiry is wrong.
    Expired,
    /// Not enough money.
    InsufficientFunds,
    /// Over the card's limit.
    AmountLimit,
    /// The issuer or scheme said no.
    DoNotHonour,
    /// Restricted, lost, stolen or suspected fraud: not told apart here.
    Restricted,
    /// 3-D Secure is needed or failed.
    ThreeDSecure,
    /// The merchant's rules at the acquirer forbid it.
    Rule,
    /// The acquirer or issuer had a technical problem and said that nothing was booked.
    Technical,
    /// The acquirer could not be reached: nothing was sent.
    Unreachable,
    /// Our or the merchant's configuration: nothing was sent, or it was refused as malformed.
    Configuration,
}

const CARD: &str = "Please check the card number or use another card.";
const BANK: &str = "The card was declined. Please use another card or ask your bank.";
const LATER: &str = "The payment could not be made at the moment. Nothing was charged; please try again later.";

const TABLE: &[(Decline, &str, &str)] = &[
    (Decline::InvalidCard, "invalid_card", CARD),
    (Decline::UnsupportedScheme, "unsupported_scheme", "This kind of card is not accepted. Please use another card."),
    (Decline::InvalidCsc, "invalid_csc", "Please check the security code (CVC)."),
    (Decline::Expired, "expired", "Please check the expiry date or use another card."),
    (Decline::InsufficientFunds, "insufficient_funds", BANK),
    (Decline::AmountLimit, "amount_limit", BANK),
    (Decline::DoNotHonour, "do_not_honour", BANK),
    (Decline::Restricted, "restricted", BANK),
    (Decline::ThreeDSecure, "three_d_secure", "Your bank asks for a confirmation that is not available here."),
    (Decline::Rule, "rule", BANK),
    (Decline::Technical, "technical", LATER),
    (Decline::Unreachable, "unreachable", LATER),
    (Decline::Configuration, "configuration", LATER),
];

impl Decline {
    /// As stored, and as the merchant reads it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// What the shopper reads.
    #[must_use]
    pub fn shopper_text(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or(LATER, |row| row.2)
    }
}

impl FromStr for Decline {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        TABLE.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(DbError::Corrupt("decline reason"))
    }
}
