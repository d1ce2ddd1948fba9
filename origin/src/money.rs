//! Amounts: integers in minor units, parsed from the decimal's text. No float is ever made of one.

use std::fmt;
use std::str::FromStr;

/// An ISO 4217 currency that we know the exponent of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

/// Currencies with other than two decimals (ISO 4217:2015 with amendments; Clearhaus' table agrees, ISK included).
const NO_DECIMALS: &[&str] =
    &["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"];
const THREE_DECIMALS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
const TWO_DECIMALS: &[&str] = &[
    "AED", "AUD", "BWP", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "GHS", "HKD", "HUF", "ILS", "INR",
    "KES", "LSL", "MUR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NOK", "NZD", "PHP", "PLN", "RON", "SAR", "SEK",
    "SGD", "SZL", "THB", "TRY", "TWD", "TZS", "USD", "ZAR", "ZMW",
];

impl Currency {
    /// The three letters of each that we know.
    pub fn all() -> impl Iterator<Item = &'static str> {
        [NO_DECIMALS, TWO_DECIMALS, THREE_DECIMALS].into_iter().flatten().copied()
    }

    /// Decimals of the minor unit.
    #[must_use]
    pub fn exponent(self) -> u8 {
        self.exponent
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or("XXX")
    }
}

impl FromStr for Currency {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let exponent = [(NO_DECIMALS, 0), (TWO_DECIMALS, 2), (THREE_DECIMALS, 3)]
            .into_iter()
            .find_map(|(codes, exponent)| codes.contains(&text).then_some(exponent))
            .ok_or(AmountError::UnknownCurrency)?;
        let code = text.as_bytes().try_into().map_err(|_| AmountError::UnknownCurrency)?;
        Ok(Self { code, exponent })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount of minor units. Zero is used for "the payer types it" in a payment request only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    minor: u64,
    currency: Currency,
}

/// What is wrong with an amount; the texts are for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a plain JSON number: text, an exponent, a sign.
    #[error("amount must be a plain decimal number such as 10.00")]
    NotPlain,
    /// Below zero.
    #[error("amount must not be negative")]
    Negative,
    /// Positive, but nothing is left after rounding down to the currency's decimals.
    #[error("amount is less than the smallest unit of the currency")]
    TooSmall,
    /// More than [`MAX_MAJOR`].
    #[error("amount must not be more than 9,999,999.99")]
    TooLarge,
    /// No currency of ours.
    #[error("unknown currency")]
    UnknownCurrency,
    /// Amounts of two currencies have no sum.
    #[error("all amounts must have one currency")]
    OtherCurrency,
}

/// The largest amount is 9,999,999.99 whatever the currency's decimals: ten million minus the smallest of two decimals.
const MAX_MAJOR: u64 = 9_999_999;
const MAX_HUNDREDTHS: u64 = MAX_MAJOR * 100 + 99;

impl Amount {
    /// Takes minor units, as stored or as sealed by the page.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`].
    pub fn from_minor(minor: u64, currency: Currency) -> Result<Self, AmountError> {
        // Compared in thousandths, so that no currency's rounding lets a larger one through.
        let thousandths = minor.checked_mul(10_u64.pow(u32::from(3 - currency.exponent.min(3))));
        match thousandths {
            Some(value) if value <= MAX_HUNDREDTHS * 10 => Ok(Self { minor, currency }),
            _ => Err(AmountError::TooLarge),
        }
    }

    /// A stored total: an amount that was checked before, or what is left of one.
    #[must_use]
    pub fn saturating(minor: u64, currency: Currency) -> Self {
        Self { minor: minor.min(MAX_HUNDREDTHS * 10), currency }
    }

    /// Parses the text of a JSON number in major units; what exceeds the currency's decimals is rounded down.
    ///
    /// # Errors
    /// See [`AmountError`].
    pub fn parse(text: &str, currency: Currency) -> Result<Self, AmountError> {
        if let Some(positive) = text.strip_prefix('-') {
            // `-0` and `-0.00` are zero in JSON, but nobody means them.
            return Err(if is_plain(positive) { AmountError::Negative } else { AmountError::NotPlain });
        }
        if !is_plain(text) {
            return Err(AmountError::NotPlain);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_zero = whole.bytes().chain(fraction.bytes()).all(|digit| digit == b'0');
        if over_maximum(whole, fraction) {
            return Err(AmountError::TooLarge);
        }
        let kept: String = fraction.chars().chain("000".chars()).take(usize::from(currency.exponent)).collect();
        let minor: u64 = format!("{whole}{kept}").parse().map_err(|_| AmountError::TooLarge)?;
        if minor == 0 && !is_zero {
            return Err(AmountError::TooSmall);
        }
        Self::from_minor(minor, currency)
    }

    /// Parses `123.45 DKK` or `123.45DKK`, as Scanpay's interface has it; what exceeds the currency's decimals is cut off.
    ///
    /// # Errors
    /// See [`AmountError`].
    pub fn parse_total(text: &str) -> Result<Self, AmountError> {
        let text = text.trim_matches(' ');
        let (number, currency) =
            text.len().checked_sub(3).and_then(|at| text.split_at_checked(at)).ok_or(AmountError::NotPlain)?;
        let currency = currency.parse()?;
        let number = number.strip_suffix(' ').unwrap_or(number);
        let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
        // JSON forbids this in a number; in a text nobody else does.
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(AmountError::NotPlain);
        }
        match Self::parse(number, currency) {
            // Cut off like any other decimals: nothing is left, and whoever asks for money looks at that.
            Err(AmountError::TooSmall) => Ok(Self { minor: 0, currency }),
            parsed => parsed,
        }
    }

    /// The sum of totals as [`Self::parse_total`] takes them. Only the sum is cut off: what its parts have beyond the
    /// currency's decimals counts, up to twelve of them. `None`: there is nothing to add.
    ///
    /// # Errors
    /// See [`AmountError`].
    pub fn sum_of_totals<'a>(totals: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, AmountError> {
        let mut sum: Option<(u128, Currency)> = None;
        for text in totals {
            let currency = Self::parse_total(text)?.currency;
            let number = text.trim_matches(|symbol: char| symbol == ' ' || symbol.is_ascii_uppercase());
            let (before, known) = sum.unwrap_or((0, currency));
            if known != currency {
                return Err(AmountError::OtherCurrency);
            }
            let more = before.checked_add(exact(number)?).ok_or(AmountError::TooLarge)?;
            sum = Some((more, currency));
        }
        let Some((sum, currency)) = sum else { return Ok(None) };
        let unit = 10_u128.pow(EXACT_DECIMALS.saturating_sub(u32::from(currency.exponent)));
        let minor = u64::try_from(sum / unit).map_err(|_| AmountError::TooLarge)?;
        Self::from_minor(minor, currency).map(Some)
    }

    /// `123.45 DKK`: what [`Self::parse_total`] takes.
    #[must_use]
    pub fn to_total(self) -> String {
        format!("{} {}", self.to_decimal(), self.currency)
    }

    /// Minor units.
    #[must_use]
    pub fn minor(self) -> u64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The currency, for as long as the amount is there.
    #[must_use]
    pub fn currency_ref(&self) -> &Currency {
        &self.currency
    }

    /// Whether the payer is to type it.
    #[must_use]
    pub fn is_open(self) -> bool {
        self.minor == 0
    }

    /// The major units as decimal text with all decimals: `10.00`.
    #[must_use]
    pub fn to_decimal(self) -> String {
        let exponent = u32::from(self.currency.exponent);
        let unit = 10_u64.pow(exponent);
        let (whole, rest) = (self.minor / unit, self.minor % unit);
        if exponent == 0 { whole.to_string() } else { format!("{whole}.{rest:0width$}", width = exponent as usize) }
    }
}

/// Decimals that count before a sum is cut off.
const EXACT_DECIMALS: u32 = 12;

/// A plain number in units of the last of these decimals.
fn exact(number: &str) -> Result<u128, AmountError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(EXACT_DECIMALS as usize).collect();
    format!("{whole}{kept}").parse().map_err(|_| AmountError::TooLarge)
}

/// Digits, and at most one point with digits on both sides: no sign, no exponent, no quotes. JSON itself forbids
/// leading zeros.
fn is_plain(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 64 && text.split_once('.').map_or_else(|| digits(text), |(whole, part)| digits(whole) && digits(part))
}

/// Compares text, so that any number of decimals counts: 9999999.991 is over 9,999,999.99.
fn over_maximum(whole: &str, fraction: &str) -> bool {
    let whole = whole.trim_start_matches('0');
    let maximum = MAX_MAJOR.to_string();
    if whole.len() != maximum.len() {
        return whole.len() > maximum.len();
    }
    whole > maximum.as_str() || (whole == maximum && fraction.trim_end_matches('0') > "99")
}

#[cfg(test)]
mod tests;
