use super::*;
use proptest::prelude::*;

fn zar() -> Currency {
    "ZAR".parse().unwrap()
}

#[test]
fn decimals_are_text_and_rounded_down() {
    for (text, currency, minor) in [
        ("10.00", "ZAR", 1000),
        ("10", "ZAR", 1000),
        ("0.019", "ZAR", 1),
        ("10.999", "ZAR", 1099),
        ("0", "ZAR", 0),
        ("0.00", "ZAR", 0),
        ("9999999.99", "ZAR", 999_999_999),
        ("9999999.990", "ZAR", 999_999_999),
        ("10.9", "JPY", 10),
        ("9999999", "ISK", 9_999_999),
        ("1.2345", "KWD", 1234),
        ("0.1", "ZAR", 10),
    ] {
        assert_eq!(Amount::parse(text, currency.parse().unwrap()).map(Amount::minor), Ok(minor), "{text} {currency}");
    }
}

#[test]
fn what_is_no_amount_is_refused() {
    for (text, error) in [
        ("1e3", AmountError::NotPlain),
        ("\"10.00\"", AmountError::NotPlain),
        ("NaN", AmountError::NotPlain),
        ("null", AmountError::NotPlain),
        ("+1", AmountError::NotPlain),
        ("1.", AmountError::NotPlain),
        (".5", AmountError::NotPlain),
        ("1,00", AmountError::NotPlain),
        ("", AmountError::NotPlain),
        ("1.0.0", AmountError::NotPlain),
        ("-1", AmountError::Negative),
        ("-0", AmountError::Negative),
        ("0.001", AmountError::TooSmall),
        ("0.00999", AmountError::TooSmall),
        ("10000000", AmountError::TooLarge),
        ("9999999.991", AmountError::TooLarge),
        ("99999999999999999999999", AmountError::TooLarge),
    ] {
        assert_eq!(Amount::parse(text, zar()), Err(error), "{text}");
    }
    assert_eq!(Amount::parse("0.4", "JPY".parse().unwrap()), Err(AmountError::TooSmall));
    assert_eq!("EUX".parse::<Currency>(), Err(AmountError::UnknownCurrency));
    assert_eq!("eur".parse::<Currency>(), Err(AmountError::UnknownCurrency));
    assert_eq!(Amount::from_minor(u64::MAX, zar()), Err(AmountError::TooLarge));
    assert_eq!(Amount::from_minor(1_000_000_000, zar()), Err(AmountError::TooLarge));
}

#[test]
fn totals_are_a_number_and_a_currency() {
    for (text, minor, told) in [
        ("123.45 DKK", 12_345, "123.45 DKK"),
        ("99.95DKK", 9_995, "99.95 DKK"),
        ("123 DKK", 12_300, "123.00 DKK"),
        ("0 DKK", 0, "0.00 DKK"),
        ("0.001 DKK", 0, "0.00 DKK"),
        ("0.9 JPY", 0, "0 JPY"),
        ("0.999 EUR", 99, "0.99 EUR"),
        ("10.9 JPY", 10, "10 JPY"),
        (" 1 SEK ", 100, "1.00 SEK"),
        ("9999999.99 NOK", 999_999_999, "9999999.99 NOK"),
    ] {
        let total = Amount::parse_total(text).unwrap();
        assert_eq!((total.minor(), total.to_total().as_str()), (minor, told), "{text}");
    }
    for (text, error) in [
        ("", AmountError::NotPlain),
        ("KK", AmountError::NotPlain),
        ("DKK", AmountError::NotPlain),
        ("123.45", AmountError::UnknownCurrency),
        ("123.45 dkk", AmountError::UnknownCurrency),
        ("DKK 123.45", AmountError::UnknownCurrency),
        ("1  DKK", AmountError::NotPlain),
        ("1,5 DKK", AmountError::NotPlain),
        ("1e3 DKK", AmountError::NotPlain),
        ("007 DKK", AmountError::NotPlain),
        ("-5 DKK", AmountError::Negative),
        ("10000000 DKK", AmountError::TooLarge),
        ("1 \u{e6}\u{e6}", AmountError::NotPlain),
    ] {
        assert_eq!(Amount::parse_total(text), Err(error), "{text}");
    }
    let total = |text| Amount::parse_total(text).unwrap();
    for (totals, sum) in [
        (&["1.10 DKK", "2.95DKK"][..], Ok(Some(total("4.05 DKK")))),
        // The reference's own example.
        (&["12998 DKK", "399.9986 DKK", "100 DKK"], Ok(Some(total("13497.99 DKK")))),
        (&["0.335 DKK", "0.335 DKK", " 0.335 DKK "], Ok(Some(total("1.00 DKK")))),
        (&["0.004 DKK", "0.004 DKK"], Ok(Some(total("0 DKK")))),
        (&["0.5 JPY", "0.5 JPY"], Ok(Some(total("1 JPY")))),
        (&["1 DKK", "1 EUR"], Err(AmountError::OtherCurrency)),
        (&["9999999 DKK", "1 DKK"], Err(AmountError::TooLarge)),
        (&["1 DKK", "x DKK"], Err(AmountError::NotPlain)),
        (&[], Ok(None)),
    ] {
        assert_eq!(Amount::sum_of_totals(totals.iter().copied()), sum, "{totals:?}");
    }
}

proptest! {
    #[test]
    fn totals_there_and_back(minor in 0_u64..999_999_999, space in " ?", currency in "DKK|EUR|JPY|KWD|ISK|ZAR") {
        let currency: Currency = currency.parse().unwrap();
        prop_assume!(Amount::from_minor(minor, currency).is_ok());
        let amount = Amount::from_minor(minor, currency).unwrap();
        prop_assert_eq!(Amount::parse_total(&amount.to_total()), Ok(amount));
        let text = format!("{}{space}{currency}", amount.to_decimal());
        prop_assert_eq!(Amount::parse_total(&text), Ok(amount));
    }

    #[test]
    fn more_decimals_are_cut_off_not_rounded(minor in 1_u64..999_999_900, more in "[0-9]{1,12}") {
        let amount = Amount::from_minor(minor, zar()).unwrap();
        prop_assert_eq!(Amount::parse_total(&format!("{}{more} ZAR", amount.to_decimal())), Ok(amount));
    }

    #[test]
    fn no_total_panics(text in "\\PC{0,80}") {
        let _ = Amount::parse_total(&text);
    }

    #[test]
    fn text_and_minor_units_agree(minor in 0_u64..999_999_999) {
        let amount = Amount::from_minor(minor, zar()).unwrap();
        prop_assert_eq!(Amount::parse(&amount.to_decimal(), zar()), Ok(amount));
    }

    #[test]
    fn never_more_than_what_was_written(text in "[0-9]{1,7}\\.[0-9]{1,8}") {
        // Floats are exact enough here to check the direction of the rounding.
        if let Ok(amount) = Amount::parse(&text, zar()) {
            let (written, got) = (text.parse::<f64>().unwrap(), amount.minor() as f64 / 100.0);
            prop_assert!(got <= written + 1e-9 && written - got < 0.01 + 1e-9);
        }
    }

    #[test]
    fn never_panics(text in "\\PC{0,80}") {
        let _ = Amount::parse(&text, zar());
    }
}
