//! One vocabulary of reasons for all acquirers, and what a shopper is told of them.
//!
//! A reason that would help to test stolen cards (lost, stolen, fraud, no money) is never shown: those read like any
//! refusal of a bank.

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
    /// The cardholder has forbidden this merchant to charge the card: a series ends with it.
    MerchantBlocked,
    /// 3-D Secure failed.
    ThreeDSecure,
    /// The issuer wants 3-D Secure first; with it the payment may be tried once more.
    StepUp,
    /// The payer changed their mind: at their bank's page, or in their wallet.
    Cancelled,
    /// The merchant's rules at the acquirer forbid it.
    Rule,
    /// The acquirer or issuer had a technical problem and said that nothing was booked.
    Technical,
    /// The acquirer could not be reached: nothing was sent.
    Unreachable,
    /// The acquirer does not take the merchant's credentials, or there are none that a call could be made with.
    Credentials,
    /// Our or the merchant's configuration: nothing was sent, or it was refused as malformed.
    Configuration,
}

/// The class of a reason that a shopper is told, in the words of the pay page's wire.
mod class {
    pub(super) const CARD: &str = "card";
    pub(super) const CSC: &str = "csc";
    pub(super) const EXPIRY: &str = "expiry";
    pub(super) const SCHEME: &str = "scheme";
    pub(super) const BANK: &str = "bank";
    pub(super) const THREE_D_SECURE: &str = "three_d_secure";
    pub(super) const CANCELLED: &str = "cancelled";
    pub(super) const LATER: &str = "later";
}

/// The reason, its name, and the class of it that a shopper is told.
const TABLE: &[(Decline, &str, &str)] = &[
    (Decline::InvalidCard, "invalid_card", class::CARD),
    (Decline::UnsupportedScheme, "unsupported_scheme", class::SCHEME),
    (Decline::InvalidCsc, "invalid_csc", class::CSC),
    (Decline::Expired, "expired", class::EXPIRY),
    (Decline::InsufficientFunds, "insufficient_funds", class::BANK),
    (Decline::AmountLimit, "amount_limit", class::BANK),
    (Decline::DoNotHonour, "do_not_honour", class::BANK),
    (Decline::Restricted, "restricted", class::BANK),
    (Decline::MerchantBlocked, "merchant_blocked", class::BANK),
    (Decline::ThreeDSecure, "three_d_secure", class::THREE_D_SECURE),
    (Decline::StepUp, "step_up", class::THREE_D_SECURE),
    (Decline::Cancelled, "cancelled", class::CANCELLED),
    (Decline::Rule, "rule", class::BANK),
    (Decline::Technical, "technical", class::LATER),
    (Decline::Unreachable, "unreachable", class::LATER),
    (Decline::Credentials, "credentials", class::LATER),
    (Decline::Configuration, "configuration", class::LATER),
];

/// What a class reads like in English; the page has its own words for each language.
const TEXTS: &[(&str, &str)] = &[
    (class::CARD, "Please check the card number or use another card."),
    (class::CSC, "Please check the security code (CVC)."),
    (class::EXPIRY, "Please check the expiry date or use another card."),
    (class::SCHEME, "This kind of card is not accepted. Please use another card."),
    (class::BANK, "The card was declined. Please use another card or ask your bank."),
    (class::THREE_D_SECURE, "Your bank did not confirm that it is you. Please try again or use another card."),
    (class::CANCELLED, "The payment was cancelled. Nothing was charged."),
    (class::LATER, "The payment could not be made at the moment. Nothing was charged; please try again later."),
];

impl Decline {
    /// As stored, and as the merchant reads it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// The shopper's class of it, which the page translates: `card`, `csc`, `expiry`, `scheme`, `bank`,
    /// `three_d_secure`, `cancelled` or `later`.
    #[must_use]
    pub fn shopper_reason(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or(class::LATER, |row| row.2)
    }

    /// What the shopper reads where nothing translates it.
    #[must_use]
    pub fn shopper_text(self) -> &'static str {
        let class = self.shopper_reason();
        TEXTS.iter().find(|row| row.0 == class).map_or("", |row| row.1)
    }

    /// Whether another acquirer may be asked for the same payment at once: nothing was booked here, that is certain, and
    /// the refusal says nothing about the card. Any other refusal is the card's, or would be the same elsewhere, or (a
    /// technical one) rests on a third party's word alone.
    #[must_use]
    pub fn is_certainly_not_booked(self) -> bool {
        matches!(self, Self::Unreachable | Self::Credentials)
    }

    /// Whether no later charge of the same card may be tried by this merchant (schemes fine those that go on).
    #[must_use]
    pub fn ends_series(self) -> bool {
        matches!(self, Self::MerchantBlocked | Self::Restricted)
    }
}

impl FromStr for Decline {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        TABLE.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(DbError::Corrupt("decline reason"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_and_a_text() {
        let names: HashSet<&str> = TABLE.iter().map(|row| row.1).collect();
        assert_eq!(names.len(), TABLE.len());
        for (reason, name, class) in TABLE {
            assert_eq!(name.parse::<Decline>().unwrap(), *reason);
            assert_eq!((reason.as_str(), reason.shopper_reason()), (*name, *class));
            assert!(!reason.shopper_text().is_empty(), "{name}");
        }
        assert!("lost".parse::<Decline>().is_err());
    }

    #[test]
    fn a_refusal_is_no_oracle_for_stolen_cards() {
        let told = |reason: Decline| (reason.shopper_reason(), reason.shopper_text());
        for reason in [
            Decline::InsufficientFunds,
            Decline::AmountLimit,
            Decline::Restricted,
            Decline::MerchantBlocked,
            Decline::Rule,
        ] {
            assert_eq!(told(reason), told(Decline::DoNotHonour), "{reason:?}");
        }
    }

    #[test]
    fn another_acquirer_is_asked_only_when_this_one_cannot_have_booked() {
        let may: Vec<&str> = TABLE.iter().filter(|row| row.0.is_certainly_not_booked()).map(|row| row.1).collect();
        assert_eq!(may, ["unreachable", "credentials"]);
    }
}
