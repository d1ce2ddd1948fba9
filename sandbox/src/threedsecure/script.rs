//! The documented test cards: the last four digits say what happens.

/// Always "not enrolled", whatever its last digits say.
const NOT_ENROLLED: &str = "9000100111111111";

/// Oldest first.
pub(super) const VERSIONS: [&str; 3] = ["2.1.0", "2.2.0", "2.3.1"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) versions: &'static [&'static str],
    pub(super) method: Method,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// There is a page, and it answers.
    Answers,
    Missing,
    /// There is a page, and it never answers.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// `transStatus` without the cardholder: Y N A R I U.
    Frictionless(&'static str),
    Unreachable,
    Challenge(Challenge),
    Decoupled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Passes,
    Fails,
    /// A page with buttons.
    Manual,
}

impl Script {
    /// None for a card that is not enrolled and for one that is no test card.
    pub(super) fn of(number: &str) -> Option<Self> {
        let start = number.len().checked_sub(4)?;
        let &[version, method, ares, last] = number.as_bytes().get(start..)? else {
            return None;
        };
        if number == NOT_ENROLLED {
            return None;
        }
        let versions = match version {
            b'0' => VERSIONS.as_slice(),
            b'1' => &["2.1.0"],
            b'2' => &["2.2.0"],
            b'3' => &["2.3.1"],
            _ => return None,
        };
        let method = match method {
            b'0' => Method::Answers,
            b'1' => Method::Missing,
            b'2' => Method::Silent,
            _ => return None,
        };
        let outcome = match (ares, last) {
            (b'0', b'3') => Outcome::Frictionless("Y"),
            (b'1', b'3') => Outcome::Frictionless("N"),
            (b'2', b'3') => Outcome::Frictionless("A"),
            (b'3', b'3') => Outcome::Frictionless("R"),
            // Informational exists since 2.2.
            (b'4', b'3') if versions != ["2.1.0"] => Outcome::Frictionless("I"),
            (b'5', b'3') => Outcome::Frictionless("U"),
            (b'6', b'3') => Outcome::Unreachable,
            (b'7', b'0') => Outcome::Challenge(Challenge::Passes),
            (b'7', b'1') => Outcome::Challenge(Challenge::Fails),
            (b'7', b'2') => Outcome::Challenge(Challenge::Manual),
            (b'8', b'3') => Outcome::Decoupled,
            _ => return None,
        };
        Some(Self { versions, method, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_cards() {
        let all = VERSIONS.as_slice();
        let expected = |versions, method, outcome| Some(Script { versions, method, outcome });
        let challenge = Outcome::Challenge;
        for (number, script) in [
            ("9000100111111111", None),
            ("5000100411110203", expected(all, Method::Silent, Outcome::Frictionless("Y"))),
            ("4000100511112003", expected(&["2.2.0"], Method::Answers, Outcome::Frictionless("Y"))),
            ("6000100611111103", expected(&["2.1.0"], Method::Missing, Outcome::Frictionless("Y"))),
            ("3000100811111072", expected(&["2.1.0"], Method::Answers, challenge(Challenge::Manual))),
            ("7000100911112070", expected(&["2.2.0"], Method::Answers, challenge(Challenge::Passes))),
            ("3000101011111071", expected(&["2.1.0"], Method::Answers, challenge(Challenge::Fails))),
            ("3000100811112083", expected(&["2.2.0"], Method::Answers, Outcome::Decoupled)),
        ] {
            assert_eq!(Script::of(number), script, "{number}");
        }
    }

    #[test]
    fn every_outcome_and_nothing_else() {
        for (digits, status) in
            [("0003", "Y"), ("0013", "N"), ("0023", "A"), ("0033", "R"), ("0043", "I"), ("0053", "U")]
        {
            let script = Script::of(&format!("400000000000{digits}")).unwrap();
            assert_eq!(script.outcome, Outcome::Frictionless(status), "{digits}");
        }
        assert_eq!(Script::of("4000000000000063").unwrap().outcome, Outcome::Unreachable);
        for digits in ["1143", "4003", "0303", "0004", "0073", "0093", "1111", "0082"] {
            assert_eq!(Script::of(&format!("400000000000{digits}")), None, "{digits}");
        }
        assert_eq!(Script::of("003"), None);
    }
}
