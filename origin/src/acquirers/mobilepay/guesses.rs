//! What Vipps MobilePay does not document. Each of these may turn out otherwise.

use crate::acquirers::Decline;

/// How far the date of a signed call may be from ours, in seconds. The tolerance is left to the receiver.
pub(super) const MAX_DATE_SKEW_SECS: u64 = 5 * 60;

/// Which currencies the wallet takes for a passthrough card, and the least of each in minor units: NOK 1.00 is
/// documented, one minor unit for DKK and EUR too; the others follow them.
pub(super) const LEAST_MINOR: &[(&str, u64)] =
    &[("DKK", 1), ("EUR", 1), ("NOK", 100), ("SEK", 1), ("USD", 1), ("GBP", 1)];

/// The most of each, from a page that could only be read in part.
pub(super) const MOST_MINOR: u64 = 65_000_000;

/// How a card callback that we refuse is numbered. Only 300, "Refused by Issuer", is public for this interface; the
/// others have the numbers of the interface before it.
pub(super) const fn error_code(reason: Decline) -> (u16, &'static str) {
    match reason {
        Decline::InvalidCard => (87, "Invalid card number"),
        Decline::UnsupportedScheme => (88, "Card type not accepted"),
        Decline::Expired => (86, "Expired card"),
        Decline::InsufficientFunds => (89, "Insufficient funds"),
        Decline::AmountLimit => (84, "Exceeds limit"),
        Decline::StepUp => (94, "Unhandled soft decline"),
        Decline::Technical | Decline::Unreachable | Decline::Credentials | Decline::Configuration => {
            (91, "Internal error")
        }
        Decline::InvalidCsc
        | Decline::DoNotHonour
        | Decline::Restricted
        | Decline::MerchantBlocked
        | Decline::ThreeDSecure
        | Decline::Cancelled
        | Decline::Rule => (300, "Refused by Issuer"),
    }
}
