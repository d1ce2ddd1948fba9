//! Clearhaus' status codes, in our vocabulary.

use crate::acquirers::Decline;

/// What a code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// 20000, and nothing else.
    Approved,
    /// A refusal: nothing was booked.
    Declined(Decline),
    /// 50000: the gateway itself does not know.
    ClearhausError,
    /// No code of the table, and of no family that we know.
    Unknown,
}

/// The documented table. An unknown 4xxxx is a refusal without a reason (42900, a limit of retries, has been proposed); an
/// unknown code of any other family says nothing.
pub(super) fn meaning(code: u32) -> Meaning {
    let reason = match code {
        20000 => return Meaning::Approved,
        40110 => Decline::InvalidCard,
        40111 => Decline::UnsupportedScheme,
        40120 => Decline::InvalidCsc,
        40130 | 40135 => Decline::Expired,
        40200 => Decline::Rule,
        40300 | 40310 => Decline::ThreeDSecure,
        40400 => Decline::Technical,
        40411 | 40412 | 40414 => Decline::Restricted,
        40413 => Decline::InsufficientFunds,
        40415 => Decline::AmountLimit,
        40416 => Decline::StepUp,
        40420 => Decline::MerchantBlocked,
        40000 | 40140 | 40150 => Decline::Configuration,
        40001..=49999 => Decline::DoNotHonour,
        50000 => return Meaning::ClearhausError,
        _ => return Meaning::Unknown,
    };
    Meaning::Declined(reason)
}
