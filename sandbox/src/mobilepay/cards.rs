//! The test environment's network tokens, chosen by the amount, and the wallet's magic amounts.

use super::guesses::{MASTERCARD_TOKEN, TOKEN_EXPIRY};

/// A documented EMVCo test token; not a card that anybody has.
pub(super) struct TestToken {
    pub(super) number: &'static str,
    pub(super) month: &'static str,
    pub(super) year: &'static str,
    /// Documented for the first attempt; later ones get fresh text.
    pub(super) cryptogram: Option<&'static str>,
}

const fn token(number: &'static str, cryptogram: Option<&'static str>) -> TestToken {
    TestToken { number, month: TOKEN_EXPIRY.0, year: TOKEN_EXPIRY.1, cryptogram }
}

/// None for the amount whose card "is not eligible".
pub(super) const fn for_amount(minor: u64) -> Option<TestToken> {
    Some(match minor {
        2200 => TestToken { month: "05", year: "2025", ..token("5226603115488031", None) },
        3100 => return None,
        3200 => token("4111111111111111", Some("uxToh3Ep6gsR8AAkvZALN19Iz34=")),
        4200 => token("4895370013193500", None),
        4300 => token("5226603115488031", None),
        4400 => token("4895370012792682", Some("AgAAAAAAAIR8CQrXSohbQAAAAAA=")),
        5100 => token("4268270087302871", None),
        5200 => token("5413330089010442", None),
        _ => token("4895370013193500", Some("AlhlvxmN2ZKuAAESNFZ4GoABFA==")),
    })
}

impl TestToken {
    fn visa(&self) -> bool {
        self.number.starts_with('4')
    }

    /// With a hyphen, as callbacks have it; requests have an underscore.
    pub(super) fn card_type(&self) -> &'static str {
        if self.visa() { "VISA-DEBIT" } else { "MC-DEBIT" }
    }

    pub(super) fn token_type(&self) -> &'static str {
        if self.visa() { "VISA" } else { MASTERCARD_TOKEN }
    }

    /// One digit or two: both are met.
    pub(super) fn eci(&self) -> &'static str {
        if self.visa() { "7" } else { "06" }
    }

    pub(super) fn masked(&self) -> String {
        let end = self.number.len().saturating_sub(4);
        let part = |range: std::ops::Range<usize>| self.number.get(range).unwrap_or_default();
        format!("{}XXXX{}", part(0..8), part(end..self.number.len()))
    }
}

/// Wallet payments of these amounts are not approved.
pub(super) const fn declined(minor: u64) -> Option<&'static str> {
    Some(match minor {
        151 => "insufficient funds",
        182 => "refused by issuer",
        183 => "suspected fraud",
        184 => "withdrawal limit exceeded",
        186 => "expired card",
        187 => "invalid card",
        _ => return None,
    })
}

/// Refunds of these amounts are refused with this number.
pub(super) const fn unrefundable(minor: u64) -> Option<u16> {
    match minor {
        123 => Some(5100),
        124 => Some(6220),
        _ => None,
    }
}
