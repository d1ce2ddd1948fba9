//! What Vipps MobilePay does not document. Each of these may turn out otherwise; a client must not lean on them.

use std::time::Duration;

use super::payment::State;

/// Path of the shopper's page; a `redirectUrl` is opaque to merchants. QR payments get it, too, instead of an image.
pub(super) const LANDING_PATH: &str = "/landing";
/// A refused card leaves the payment open: the shopper may take another card in the app. So does a wallet's magic amount.
pub(super) const AFTER_FAIL: State = State::Created;
/// "A 500 or time-out is non-retryable for the user."
pub(super) const AFTER_NO_ANSWER: State = State::Aborted;
/// HTTP statuses of refusals: 409 for conflicts of keys and references is documented, the others are not.
pub(super) const REFUSED_STATUS: u16 = 400;
pub(super) const UNKNOWN_REFERENCE_STATUS: u16 = 404;
/// What `tokenType` says for Mastercard; the one example is VISA.
pub(super) const MASTERCARD_TOKEN: &str = "MASTERCARD";
/// Expiry and country of the test tokens for which none is documented.
pub(super) const TOKEN_EXPIRY: (&str, &str) = ("03", "2030");
pub(super) const CARD_COUNTRY: &str = "DK";
/// A `pspReference` in the answer to a capture is the capture's own, as it is documented for webhooks.
pub(super) const OWN_REFERENCE_IN_ANSWERS: bool = true;
/// The error code of an unknown field, a missing header, a malformed body.
pub(super) const BAD_REQUEST: u16 = 4140;
/// After the documented 2 s ×4, 60 s and 120 s come hourly attempts up to the 29th; then this gives up.
pub(super) const WEBHOOK_ATTEMPTS: usize = 29;
/// Documented deadlines.
pub(super) const CALLBACK_LIMIT: Duration = Duration::from_secs(20);
pub(super) const WEBHOOK_LIMIT: Duration = Duration::from_secs(10);
