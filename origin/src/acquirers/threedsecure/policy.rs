//! What an outcome is worth: goes on with it, goes on without, challenge, once more, or declined. Tables, no I/O.
//!
//! A merchant chooses between two rules. *Where the card has it* goes on without an authentication when the card's scheme
//! or bank says in so many words that there is none: not enrolled, `U`, a directory that cannot be reached, no version in
//! common. *Required* declines then. Under both rules a bank's no is a no, a challenge that was asked for is passed or
//! the payment declined, and an answer that is none (time-out, cut, 5xx, garbage) declines: nobody knows what the bank
//! wanted, and a payer must not get around it by making an answer fail.

use crate::acquirers::Decline;

/// A merchant's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Where the card has it.
    WhereAvailable,
    /// Nothing is charged without; also when an issuer has asked for it.
    Required,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The acquirer is asked, with the message.
    Proceed,
    /// The acquirer is asked, with none.
    ProceedWithout,
    /// The cardholder answers to their bank.
    Challenge,
    /// A new id, and everything again; a second time, [`Mode`] decides.
    Again,
    /// Not paid.
    Decline(Decline),
}

/// What a status says; the reasons that a bank gives with it follow in [`REASONS`].
const ARES: &[(&str, Verdict)] = &[
    ("Y", Verdict::Proven),
    // An attempt: the scheme stands in for the bank and gives a proof.
    ("A", Verdict::Proven),
    // Information only: nothing was asked of the cardholder, the bank knows of the payment. No shift of liability.
    ("I", Verdict::Proven),
    ("C", Verdict::Challenge),
    ("U", Verdict::Unavailable),
    // 2.3.1's secure payment confirmation: not spoken here (a guess: as good as unavailable).
    ("S", Verdict::Unavailable),
    ("N", Verdict::Refused),
    ("R", Verdict::Refused),
    // Decoupled: never asked for, so nobody waits for it.
    ("D", Verdict::Refused),
];

/// After a challenge a bank has had its chance: only a proof counts. `I` is for answers without one.
const RREQ: &[(&str, Verdict)] = &[
    ("Y", Verdict::Proven),
    ("A", Verdict::Proven),
    ("U", Verdict::Refused),
    ("N", Verdict::Refused),
    ("R", Verdict::Refused),
];

/// `transStatusReason`, where it says more than "3-D Secure failed". With one of these a `U` is a no as well.
const REASONS: &[(&str, Decline)] = &[
    ("05", Decline::Expired),
    ("06", Decline::InvalidCard),
    ("08", Decline::InvalidCard),
    ("09", Decline::Restricted),
    ("10", Decline::Restricted),
    ("11", Decline::Restricted),
];

/// `challengeCancel`: the cardholder pressed cancel.
const CANCELLED_BY_CARDHOLDER: &str = "01";

/// `errorCode`. What is not here, or neither, is a mistake of ours or of the configuration.
const ERRORS: &[(&str, Verdict)] = &[
    ("402", Verdict::Transient),   // timed out
    ("403", Verdict::Transient),   // transient system failure
    ("405", Verdict::Transient),   // connection failure
    ("404", Verdict::Unavailable), // permanent system failure
];
/// "Not enrolled" at `/preauth`, "not there yet" at `/postauth`.
const DATA_NOT_VALID: &str = "305";
/// `/postauth` too late; 203 with "Unknown threeDSServerTransID" is documented, 301 is what the number means.
const UNKNOWN_ID: [&str; 2] = ["203", "301"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Proven,
    Challenge,
    Unavailable,
    Transient,
    Refused,
}

/// An ARes.
#[must_use]
pub fn on_ares(mode: Mode, status: &str, reason: Option<&str>) -> Step {
    let verdict = find(ARES, status);
    let told = reason.and_then(reason_of);
    match verdict {
        Some(Verdict::Proven) => Step::Proceed,
        Some(Verdict::Challenge) => Step::Challenge,
        Some(Verdict::Unavailable) if told.is_none() => unavailable(mode),
        Some(_) => Step::Decline(told.unwrap_or(Decline::ThreeDSecure)),
        // A status that the protocol does not have.
        None => Step::Decline(Decline::Technical),
    }
}

/// An RReq: the end of a challenge.
#[must_use]
pub fn on_rreq(status: &str, reason: Option<&str>, cancel: Option<&str>) -> Step {
    if find(RREQ, status) == Some(Verdict::Proven) {
        return Step::Proceed;
    }
    if cancel == Some(CANCELLED_BY_CARDHOLDER) {
        return Step::Decline(Decline::Cancelled);
    }
    Step::Decline(reason.and_then(reason_of).unwrap_or(Decline::ThreeDSecure))
}

/// An `Erro` of `/preauth`; `tries` counts this one.
#[must_use]
pub fn on_preauth_error(mode: Mode, code: &str, tries: u32) -> Step {
    if code == DATA_NOT_VALID { unavailable(mode) } else { on_error(mode, code, tries) }
}

/// An `Erro` of `/auth`.
#[must_use]
pub fn on_auth_error(mode: Mode, code: &str, tries: u32) -> Step {
    on_error(mode, code, tries)
}

/// An `Erro` of `/postauth`: whatever it is, nothing is charged on it. `Again`: the same question, a little later.
#[must_use]
pub fn on_postauth_error(code: &str) -> Step {
    match find(ERRORS, code) {
        Some(Verdict::Transient) => Step::Again,
        _ if code == DATA_NOT_VALID => Step::Again,
        _ if UNKNOWN_ID.contains(&code) => Step::Decline(Decline::ThreeDSecure),
        Some(_) => Step::Decline(Decline::Technical),
        None => Step::Decline(Decline::Configuration),
    }
}

/// There is no authentication to be had for this card.
#[must_use]
pub fn unavailable(mode: Mode) -> Step {
    match mode {
        Mode::WhereAvailable => Step::ProceedWithout,
        Mode::Required => Step::Decline(Decline::ThreeDSecure),
    }
}

fn on_error(mode: Mode, code: &str, tries: u32) -> Step {
    match find(ERRORS, code) {
        Some(Verdict::Transient) if tries < 2 => Step::Again,
        Some(_) => unavailable(mode),
        None => Step::Decline(Decline::Configuration),
    }
}

fn find(table: &[(&str, Verdict)], name: &str) -> Option<Verdict> {
    table.iter().find(|row| row.0 == name).map(|row| row.1)
}

fn reason_of(code: &str) -> Option<Decline> {
    REASONS.iter().find(|row| row.0 == code).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Mode; 2] = [Mode::WhereAvailable, Mode::Required];

    #[test]
    fn a_status_without_a_reason() {
        use Decline::{Technical, ThreeDSecure};
        for (status, where_available, required) in [
            ("Y", Step::Proceed, Step::Proceed),
            ("A", Step::Proceed, Step::Proceed),
            ("I", Step::Proceed, Step::Proceed),
            ("C", Step::Challenge, Step::Challenge),
            ("U", Step::ProceedWithout, Step::Decline(ThreeDSecure)),
            ("S", Step::ProceedWithout, Step::Decline(ThreeDSecure)),
            ("N", Step::Decline(ThreeDSecure), Step::Decline(ThreeDSecure)),
            ("R", Step::Decline(ThreeDSecure), Step::Decline(ThreeDSecure)),
            ("D", Step::Decline(ThreeDSecure), Step::Decline(ThreeDSecure)),
            ("", Step::Decline(Technical), Step::Decline(Technical)),
            ("y", Step::Decline(Technical), Step::Decline(Technical)),
        ] {
            assert_eq!(on_ares(Mode::WhereAvailable, status, None), where_available, "{status}");
            assert_eq!(on_ares(Mode::Required, status, None), required, "{status}");
        }
    }

    #[test]
    fn reasons_say_more_and_never_make_a_no_a_yes() {
        for mode in BOTH {
            for (reason, decline) in [
                ("01", Decline::ThreeDSecure),
                ("05", Decline::Expired),
                ("06", Decline::InvalidCard),
                ("08", Decline::InvalidCard),
                ("10", Decline::Restricted),
                ("11", Decline::Restricted),
                ("99", Decline::ThreeDSecure),
            ] {
                for status in ["N", "R"] {
                    assert_eq!(on_ares(mode, status, Some(reason)), Step::Decline(decline), "{status} {reason}");
                }
                assert_eq!(on_rreq("N", Some(reason), None), Step::Decline(decline), "{reason}");
            }
            assert_eq!(on_ares(mode, "U", Some("11")), Step::Decline(Decline::Restricted));
            assert_eq!(on_ares(mode, "U", Some("22")), unavailable(mode), "a technical reason");
            assert_eq!(on_ares(mode, "Y", Some("11")), Step::Proceed, "a yes has no reasons");
        }
    }

    #[test]
    fn after_a_challenge_only_a_proof_counts() {
        for status in ["Y", "A"] {
            assert_eq!(on_rreq(status, None, None), Step::Proceed);
        }
        for status in ["N", "U", "R", "I", "C", "D", "S", ""] {
            assert_eq!(on_rreq(status, None, None), Step::Decline(Decline::ThreeDSecure), "{status}");
            assert_eq!(on_rreq(status, Some("01"), Some("01")), Step::Decline(Decline::Cancelled), "{status}");
            for cancel in ["03", "04", "05", "06", "07", "08"] {
                assert_eq!(on_rreq(status, Some("14"), Some(cancel)), Step::Decline(Decline::ThreeDSecure));
            }
        }
    }

    #[test]
    fn errors() {
        use Decline::{Configuration, Technical, ThreeDSecure};
        for mode in BOTH {
            for code in ["402", "403", "405"] {
                for on in [on_preauth_error, on_auth_error] {
                    assert_eq!(on(mode, code, 1), Step::Again, "{code}");
                    assert_eq!(on(mode, code, 2), unavailable(mode), "{code}");
                }
                assert_eq!(on_postauth_error(code), Step::Again, "{code}");
            }
            for on in [on_preauth_error, on_auth_error] {
                assert_eq!(on(mode, "404", 1), unavailable(mode), "never again");
                for code in
                    ["101", "102", "103", "201", "202", "203", "204", "301", "302", "303", "304", "306", "307", ""]
                {
                    assert_eq!(on(mode, code, 1), Step::Decline(Configuration), "{code}");
                }
            }
            assert_eq!(on_auth_error(mode, "305", 1), Step::Decline(Configuration), "not enrolled is said at /preauth");
        }
        assert_eq!(on_preauth_error(Mode::WhereAvailable, "305", 1), Step::ProceedWithout);
        assert_eq!(on_preauth_error(Mode::Required, "305", 1), Step::Decline(ThreeDSecure));
        assert_eq!(on_postauth_error("305"), Step::Again);
        for code in ["203", "301"] {
            assert_eq!(on_postauth_error(code), Step::Decline(ThreeDSecure));
        }
        assert_eq!(on_postauth_error("404"), Step::Decline(Technical));
        assert_eq!(on_postauth_error("101"), Step::Decline(Configuration));
    }

    #[test]
    fn nothing_but_a_named_status_is_ever_a_proof() {
        for status in ('\u{0}'..='\u{7f}').map(String::from) {
            for mode in BOTH {
                let proceeds = on_ares(mode, &status, None) == Step::Proceed;
                assert_eq!(proceeds, ["Y", "A", "I"].contains(&status.as_str()), "{status:?}");
            }
            assert_eq!(on_rreq(&status, None, None) == Step::Proceed, ["Y", "A"].contains(&status.as_str()));
        }
    }
}
