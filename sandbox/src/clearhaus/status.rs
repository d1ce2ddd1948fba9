//! Clearhaus' status codes, and the refusal that carries one.

use crate::common::book::Kind;

/// A status code of the official table. Only 20000 is an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) u32);

impl Code {
    pub(super) const APPROVED: Self = Self(20000);
    pub(super) const INPUT: Self = Self(40000);
    pub(super) const CARD_NUMBER: Self = Self(40110);
    pub(super) const CSC: Self = Self(40120);
    pub(super) const EXPIRE_DATE: Self = Self(40130);
    pub(super) const EXPIRED: Self = Self(40135);
    pub(super) const CURRENCY: Self = Self(40140);
    pub(super) const TEXT_ON_STATEMENT: Self = Self(40150);
    pub(super) const THREEDS_PROBLEM: Self = Self(40300);
    pub(super) const THREEDS_FAILED: Self = Self(40310);
    pub(super) const STEP_UP: Self = Self(40416);
    pub(super) const CLEARHAUS_ERROR: Self = Self(50000);

    /// The code that a magic amount names, when this kind of transaction can end with it.
    pub(super) fn magic(amount: u64, kind: Kind) -> Option<Self> {
        let (code, _, credits) = TABLE.iter().find(|(code, ..)| u64::from(*code) == amount)?;
        match kind {
            Kind::Authorization => Some(Self(*code)),
            Kind::Credit => credits.then_some(Self(*code)),
            _ => None,
        }
    }

    pub(super) fn meaning(self) -> &'static str {
        TABLE.iter().find(|(code, ..)| *code == self.0).map_or("", |(_, meaning, _)| meaning)
    }
}

/// A request that is not accepted: a code and a message for the merchant's programmer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) message: String,
}

pub(super) fn refuse<T>(code: Code, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// Code, meaning, and whether a credit can end with it (an authorization can with all of them).
const TABLE: [(u32, &str, bool); 22] = [
    (20000, "Approved", true),
    (40000, "General input error", true),
    (40110, "Invalid card number", true),
    (40111, "Unsupported card scheme", true),
    (40120, "Invalid CSC", false),
    (40130, "Invalid expire date", true),
    (40135, "Card expired", true),
    (40140, "Invalid currency", true),
    (40150, "Invalid text on statement", true),
    (40200, "Clearhaus rule violation", true),
    (40300, "3-D Secure problem", false),
    (40310, "3-D Secure authentication failure", false),
    (40400, "Backend problem", true),
    (40410, "Declined by issuer or card scheme", true),
    (40411, "Card restricted", true),
    (40412, "Card lost or stolen", true),
    (40413, "Insufficient funds", true),
    (40414, "Suspected fraud", true),
    (40415, "Amount limit exceeded", true),
    (40416, "Additional authentication required", true),
    (40420, "Merchant blocked by cardholder", true),
    (50000, "Clearhaus error", true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_amounts() {
        assert_eq!(Code::magic(20000, Kind::Authorization), Some(Code::APPROVED));
        assert_eq!(Code::magic(40413, Kind::Authorization), Some(Code(40413)));
        assert_eq!(Code::magic(40310, Kind::Authorization), Some(Code::THREEDS_FAILED));
        assert_eq!(Code::magic(40310, Kind::Credit), None);
        assert_eq!(Code::magic(40413, Kind::Credit), Some(Code(40413)));
        assert_eq!(Code::magic(40420, Kind::Authorization), Some(Code(40420)));
        assert_eq!(Code::magic(40413, Kind::Refund), None);
        assert_eq!(Code::magic(40417, Kind::Authorization), None);
        assert_eq!(Code::magic(0, Kind::Authorization), None);
    }
}
