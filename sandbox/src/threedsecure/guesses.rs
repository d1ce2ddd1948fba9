//! What 3dsecure.io does not document. Each of these may turn out otherwise; a client must not lean on them.

use super::erro::Code;

/// The HTTP status of an `Erro`: "JSON is returned even if the status is not 200" is all that is said.
pub const ERRO_STATUS: u16 = 400;
/// A card number whose last four digits are no script gives "an error". Here it is the one of a card that is not
/// enrolled, so that other test cards can be paid with, without 3-D Secure.
pub(super) const UNSCRIPTED: Code = Code::DATA_NOT_VALID;
/// `/auth` takes an id once; afterwards, and after 80 seconds, the id is as unknown as it is at `/postauth`.
pub(super) const UNKNOWN_ID: Code = Code::FORMAT;
/// The sandbox is to test that `threeDSCompInd` is "set correctly": U without a method URL, N when the method's answer
/// never comes. A Y with a URL is believed.
pub(super) const CHECKS_COMPLETION: bool = true;
/// Paths of the method page and of the challenge that passes or fails by itself; the manual one's is documented.
pub(super) const METHOD_PATH: &str = "/browser/method";
pub(super) const AUTO_PATH: &str = "/browser/challenge/auto";
/// A challenge that was not started in time, and one that was left lying: RReq N, reason 14 (time-out at the ACS).
pub(super) const TIMED_OUT: (&str, &str) = ("N", "14");
/// A shopper who cancels: RReq N, reason 01, `challengeCancel` 01 (the last is documented).
pub(super) const CANCELLED: (&str, &str) = ("N", "01");
/// How long a decoupled authentication takes its cardholder.
pub(super) const DECOUPLED_SECONDS: i64 = 5;
/// A decoupled card whose request does not ask for it: N with reason 23 ("required, not requested").
pub(super) const NOT_DECOUPLED: (&str, &str) = ("N", "23");
/// The reasons of frictionless N, R and U, which are required but not told per card.
pub(super) const REASONS: [(&str, &str); 3] = [("N", "01"), ("R", "11"), ("U", "22")];
/// Proof of authentication for Y and A, with the ECI of Visa's table (general knowledge).
pub(super) const ECI_FULL: &str = "05";
pub(super) const ECI_ATTEMPT: &str = "06";
pub(super) const ECI_NONE: &str = "07";
