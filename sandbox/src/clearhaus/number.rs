//! Card and token numbers with their expiry, and what the test gateway makes of them.

use zeroize::Zeroizing;

use super::{
    fields::{check, digits, required},
    status::{Code, Refusal},
};
use crate::common::{clock, form::Form};

/// MobilePay's published test tokens are taken, too, though they look like real numbers: a guess, Clearhaus does not
/// say; without it no card passthrough payment could be tried from end to end.
const NETWORK_TOKENS: [&str; 5] =
    ["4895370013193500", "4895370012792682", "4268270087302871", "5226603115488031", "5413330089010442"];

/// A number and the month in which it ends. No `Debug`: it would print the number.
pub(super) struct Number {
    digits: Zeroizing<String>,
    /// Year and month.
    expires: (i64, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Visa,
    Mastercard,
    Other,
}

impl Number {
    /// `prefix[field]`, `prefix[expire_month]`, `prefix[expire_year]`.
    pub(super) fn read(form: &Form, prefix: &str, field: &str) -> Result<Self, Refusal> {
        let (number, month, year) =
            (format!("{prefix}[{field}]"), format!("{prefix}[expire_month]"), format!("{prefix}[expire_year]"));
        let text = required(form, &number)?;
        let (mm, yyyy) = (required(form, &month)?, required(form, &year)?);
        check(&number, Code::CARD_NUMBER, digits(text, 12, 19))?;
        check(&month, Code::EXPIRE_DATE, digits(mm, 2, 2) && ("01"..="12").contains(&mm))?;
        // `[0-9]{4}` for the wallets, `20[0-9]{2}` for cards; a year outside 20xx is of no use anyway.
        check(&year, Code::EXPIRE_DATE, digits(yyyy, 4, 4) && yyyy.starts_with("20"))?;
        let expires = (yyyy.parse().unwrap_or(0), mm.parse().unwrap_or(0));
        Ok(Self { digits: Zeroizing::new(text.to_owned()), expires })
    }

    pub(super) fn last4(&self) -> String {
        let start = self.digits.len().saturating_sub(4);
        self.digits.get(start..).unwrap_or_default().to_owned()
    }

    /// A card is good until its month has ended.
    pub(super) fn expired(&self, now: i64) -> bool {
        self.expires < clock::year_month(now)
    }

    /// For these numbers the amount chooses the outcome.
    pub(super) fn magic(&self) -> bool {
        let between = |start, end| self.digits.starts_with(start) && self.digits.ends_with(end);
        between("420000", "0000") || between("555555", "4444")
    }

    /// Ours: beside the magic number, so that the last four digits are free for 3dsecure.io's scripts.
    pub(super) fn soft_declined(&self) -> bool {
        self.digits.starts_with("420000") && !self.magic()
    }

    /// A test gateway takes no number that could be a real card's.
    pub(super) fn usable(&self) -> bool {
        ["2221000000000009", "4111111111111111", "5000000000000004"].contains(&self.digits.as_str())
            || NETWORK_TOKENS.contains(&self.digits.as_str())
            || !luhn(&self.digits)
    }

    /// By the first digits: enough to tell the two schemes' rules apart.
    pub(super) fn scheme(&self) -> Scheme {
        let first = |count: usize| self.digits.get(..count).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
        match (first(1), first(2), first(4)) {
            (4, ..) => Scheme::Visa,
            // 50 belongs to Maestro; Clearhaus' test number 5000… is a Mastercard one.
            (_, 50..=55, _) | (.., 2221..=2720) => Scheme::Mastercard,
            _ => Scheme::Other,
        }
    }
}

/// ISO/IEC 7812-1 Annex B.
fn luhn(number: &str) -> bool {
    let sum: u32 = number
        .chars()
        .rev()
        .filter_map(|digit| digit.to_digit(10))
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: &str, month: &str, year: &str) -> Number {
        let body = format!("card[pan]={digits}&card[expire_month]={month}&card[expire_year]={year}");
        Number::read(&Form::parse(body.as_bytes()).ok().unwrap(), "card", "pan").ok().unwrap()
    }

    #[test]
    fn luhn_numbers() {
        for valid in ["4111111111111111", "4200000000000000", "5555555555554444", "2221000000000009", "79927398713"] {
            assert!(luhn(valid), "{valid}");
        }
        for invalid in ["4111111111111112", "79927398710"] {
            assert!(!luhn(invalid), "{invalid}");
        }
    }

    #[test]
    fn numbers_of_the_test_gateway() {
        for (digits, usable, magic) in [
            ("4111111111111111", true, false),
            ("4111111111111112", true, false),
            ("5000000000000004", true, false),
            ("5500000000000004", false, false),
            ("4012888888881881", false, false),
            ("4895370013193500", true, false),
            ("4200000000000000", false, true),
            ("4200001234560000", true, true),
            ("5555555555554444", false, true),
        ] {
            let number = number(digits, "06", "2030");
            assert_eq!((number.usable(), number.magic()), (usable, magic), "{digits}");
            assert_eq!(number.last4(), digits[12..], "{digits}");
        }
    }

    #[test]
    fn schemes() {
        for (digits, scheme) in [
            ("4111111111111111", Scheme::Visa),
            ("5000000000000004", Scheme::Mastercard),
            ("2221000000000009", Scheme::Mastercard),
            ("2721000000000004", Scheme::Other),
            ("6011000000000004", Scheme::Other),
        ] {
            assert_eq!(number(digits, "06", "2030").scheme(), scheme, "{digits}");
        }
    }

    #[test]
    fn good_until_the_month_ends() {
        let number = number("4111111111111111", "12", "2023");
        assert!(!number.expired(1_704_067_199) && number.expired(1_704_067_200));
    }
}
