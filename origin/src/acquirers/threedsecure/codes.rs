//! Numeric codes, always three digits: a leading zero that gets lost makes another code of it, or none.

use crate::money::Currency;

/// ISO 4217, numeric.
const CURRENCIES: &[(&str, &str)] = &[
    ("AED", "784"),
    ("AUD", "036"),
    ("BHD", "048"),
    ("BIF", "108"),
    ("BRL", "986"),
    ("BWP", "072"),
    ("CAD", "124"),
    ("CHF", "756"),
    ("CLP", "152"),
    ("CNY", "156"),
    ("CZK", "203"),
    ("DJF", "262"),
    ("DKK", "208"),
    ("EUR", "978"),
    ("GBP", "826"),
    ("GHS", "936"),
    ("GNF", "324"),
    ("HKD", "344"),
    ("HUF", "348"),
    ("ILS", "376"),
    ("INR", "356"),
    ("IQD", "368"),
    ("ISK", "352"),
    ("JOD", "400"),
    ("JPY", "392"),
    ("KES", "404"),
    ("KMF", "174"),
    ("KRW", "410"),
    ("KWD", "414"),
    ("LSL", "426"),
    ("LYD", "434"),
    ("MUR", "480"),
    ("MWK", "454"),
    ("MXN", "484"),
    ("MYR", "458"),
    ("MZN", "943"),
    ("NAD", "516"),
    ("NGN", "566"),
    ("NOK", "578"),
    ("NZD", "554"),
    ("OMR", "512"),
    ("PHP", "608"),
    ("PLN", "985"),
    ("PYG", "600"),
    ("RON", "946"),
    ("RWF", "646"),
    ("SAR", "682"),
    ("SEK", "752"),
    ("SGD", "702"),
    ("SZL", "748"),
    ("THB", "764"),
    ("TND", "788"),
    ("TRY", "949"),
    ("TWD", "901"),
    ("TZS", "834"),
    ("UGX", "800"),
    ("USD", "840"),
    ("VND", "704"),
    ("VUV", "548"),
    ("XAF", "950"),
    ("XOF", "952"),
    ("XPF", "953"),
    ("ZAR", "710"),
    ("ZMW", "967"),
];

/// The currency's three digits.
#[must_use]
pub fn currency(currency: Currency) -> Option<&'static str> {
    CURRENCIES.iter().find(|row| row.0 == currency.as_str()).map(|row| row.1)
}

/// Whether a text is a country's code (ISO 3166-1 numeric): 901 to 999 are for users' own purposes.
#[must_use]
pub fn is_country(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) && ("004"..="900").contains(&text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_currency_of_ours_has_a_number_of_its_own() {
        let mut numbers = HashSet::new();
        for name in Currency::all() {
            let found = currency(name.parse().unwrap()).unwrap_or_else(|| panic!("{name}"));
            assert!(found.len() == 3 && found.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
            assert!(numbers.insert(found), "{name}");
        }
        assert_eq!(numbers.len(), CURRENCIES.len());
        assert_eq!(currency("AUD".parse().unwrap()), Some("036"), "the zero stays");
        assert_eq!(currency("DKK".parse().unwrap()), Some("208"));
    }

    #[test]
    fn countries_are_three_digits() {
        for text in ["208", "040", "004", "894"] {
            assert!(is_country(text), "{text}");
        }
        for text in ["", "40", "0040", "901", "999", "000", "DK", "DNK", "2O8", "２０８"] {
            assert!(!is_country(text), "{text}");
        }
    }
}
