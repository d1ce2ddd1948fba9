use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn sealed() -> Value {
    json!({"attempt": "A", "code": "0123456789", "amount": 1000, "currency": "ZAR", "expires": 1_767_225_600_u64,
        "pan": "4111 1111 1111 1111", "exp": "1230", "csc": "123", "name": " T. Tést "})
}

#[test]
fn pan_is_12_to_19_digits_with_spaces_and_hyphens_taken_out() {
    assert_eq!(Pan::parse("4111-1111-1111-1111").unwrap().expose(), "4111111111111111");
    assert_eq!(Pan::parse("3782 822463-10005").unwrap().expose(), "378282246310005");
    assert_eq!(Pan::parse(" 4111 1111 1111 1111 ").unwrap().expose(), "4111111111111111");
    for length in 0..=25 {
        assert_eq!(Pan::parse(&"1".repeat(length)).is_ok(), (12..=19).contains(&length), "{length}");
    }
    for bad in [
        "",
        "    ",
        "----",
        "4111.1111.1111.1111",
        "4111\u{2013}1111\u{2013}1111\u{2013}1111",
        "411111111111111a",
        "４１１１１１１１１１１１１１１１",
        "4111\t111111111111",
    ] {
        assert_eq!(Pan::parse(bad), Err(CardError::Pan), "{bad}");
    }
}

#[test]
fn a_vault_card_goes_out_as_it_came_in() {
    let parse = |json: &str| VaultCard::parse(json.as_bytes());
    for json in [
        r#"{"token":"card_1","pan":"4111111111111111","exp":"1230"}"#,
        r#"{"token":"card_1","pan":"4111111111111111","exp":"1230","name":"T. \"Tést\" \\"}"#,
    ] {
        let card = parse(&json.replace(r#""token":"card_1","#, "")).unwrap();
        assert_eq!(*card.to_json("card_1"), json.as_bytes());
    }
    let longest = format!(r#"{{"pan":"{}","exp":"1230","name":"{}"}}"#, "1".repeat(19), r#"\""#.repeat(45));
    let json = parse(&longest).unwrap().to_json(&"t".repeat(27));
    assert!(json.len() < json.capacity() && json.capacity() < 512, "it grew: {}", json.capacity());
    for bad in [
        "",
        "[]",
        r#"{"pan":"4111111111111111"}"#,
        r#"{"pan":"4111111111111111","exp":"1330"}"#,
        r#"{"pan":"4111","exp":"1230"}"#,
        r#"{"pan":"4111111111111111","exp":"1230","csc":"123"}"#,
        r#"{"pan":"4111111111111111","exp":"1230","pan":"4111111111111111"}"#,
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn luhn_of_known_test_numbers() {
    for (digits, valid) in [
        ("4111111111111111", true),
        ("5555555555554444", true),
        ("378282246310005", true),
        ("6011000990139424", true),
        ("4111111111111112", false),
        ("4111111111111171", false),
        ("000000000000", true),
    ] {
        assert_eq!(Pan::parse(digits).unwrap().luhn_valid(), valid, "{digits}");
    }
}

#[test]
fn display_shows_first_six_and_last_four_only() {
    let pan = Pan::parse("4111111111111111").unwrap();
    assert_eq!((pan.bin(), pan.last_four(), pan.masked().as_str()), ("411111", "1111", "411111••••••1111"));
    assert_eq!(Pan::parse("123456789012").unwrap().masked(), "123456••9012");
    assert_eq!(Pan::parse("1234567890123456789").unwrap().masked(), "123456•••••••••6789");
}

#[test]
fn expiry_is_mmyy_and_good_through_its_month() {
    let expiry = CardExpiry::parse("0230").unwrap();
    assert_eq!((expiry.month(), expiry.year(), expiry.to_mmyy().as_str()), (2, 2030, "0230"));
    assert!(!expiry.is_over(2030, 2) && !expiry.is_over(2029, 12) && !expiry.is_over(2030, 1));
    assert!(expiry.is_over(2030, 3) && expiry.is_over(2031, 1));
    for bad in ["", "0030", "1330", "02/30", "023", "02300", "+230", "02 30", "é30", "٠٢٣٠"] {
        assert_eq!(CardExpiry::parse(bad), Err(CardError::Expiry), "{bad}");
    }
}

#[test]
fn csc_is_3_or_4_digits() {
    for (text, fits) in [("123", true), ("0000", true), ("12", false), ("12345", false), ("12a", false), ("", false)] {
        assert_eq!(Csc::parse(text).is_ok(), fits, "{text}");
    }
}

#[test]
fn name_is_printable_or_absent() {
    assert!(CardholderName::parse("").unwrap().is_none() && CardholderName::parse("  ").unwrap().is_none());
    assert_eq!(CardholderName::parse(" Ana Ñ ").unwrap().unwrap().expose(), "Ana Ñ");
    assert!(CardholderName::parse(&"é".repeat(45)).is_ok());
    for bad in ["A", "A\nB", "A\u{0}B", "\u{7f}\u{7f}x", "ab\u{202e}cd", "ab\u{200b}", &"é".repeat(46)] {
        assert_eq!(CardholderName::parse(bad), Err(CardError::Name), "{bad:?}");
    }
}

#[test]
fn the_sealed_card_is_parsed_field_by_field() {
    let card = SealedCard::parse(sealed().to_string().as_bytes()).unwrap();
    assert_eq!((card.attempt.as_str(), card.code.as_str(), card.currency.as_str()), ("A", "0123456789", "ZAR"));
    assert_eq!((card.amount_minor, card.expires_at_s), (1000, 1_767_225_600));
    assert_eq!((card.pan.expose(), card.csc.expose()), ("4111111111111111", "123"));
    assert_eq!((card.expiry.month(), card.expiry.year()), (12, 2030));
    assert_eq!(card.name.unwrap().expose(), "T. Tést");
}

#[test]
fn a_field_that_is_not_as_it_must_be_is_named() {
    for (field, value, error) in [
        ("amount", json!(10.0), CardError::Json),
        ("amount", json!(-1), CardError::Json),
        ("amount", json!("1000"), CardError::Json),
        ("expires", json!(1e10), CardError::Json),
        ("extra", json!(1), CardError::Json),
        ("pan", json!(4_111_111_111_111_111_u64), CardError::Json),
        ("pan", json!("4111"), CardError::Pan),
        ("exp", json!("1330"), CardError::Expiry),
        ("csc", json!(""), CardError::Csc),
        ("name", json!("\u{1}\u{1}"), CardError::Name),
        ("currency", json!("zar"), CardError::Currency),
        ("currency", json!("ZARR"), CardError::Currency),
    ] {
        let mut changed = sealed();
        changed[field] = value;
        assert_eq!(SealedCard::parse(changed.to_string().as_bytes()).unwrap_err(), error, "{field}");
    }
    for field in sealed().as_object().unwrap().keys() {
        let mut lacking = sealed();
        lacking.as_object_mut().unwrap().remove(field);
        assert_eq!(SealedCard::parse(lacking.to_string().as_bytes()).unwrap_err(), CardError::Json, "{field}");
    }
}

#[test]
fn debug_and_errors_show_no_card_data() {
    let card = SealedCard::parse(sealed().to_string().as_bytes()).unwrap();
    let shown = format!("{card:?}");
    for secret in ["4111", "1230", "2030", "123)", "Tést"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let mut bad = sealed();
    bad["pan"] = json!("4999999999999999x");
    assert!(!SealedCard::parse(bad.to_string().as_bytes()).unwrap_err().to_string().contains("4999"));
}

proptest! {
    #[test]
    fn no_input_makes_the_parsers_panic(text in ".{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Pan::parse(&text), CardExpiry::parse(&text), Csc::parse(&text), CardholderName::parse(&text));
        prop_assert!(SealedCard::parse(&bytes).is_err());
    }

    #[test]
    fn masking_hides_all_but_ten(digits in "[0-9]{12,19}") {
        let pan = Pan::parse(&digits).unwrap();
        let masked = pan.masked();
        prop_assert_eq!(masked.chars().count(), digits.len());
        prop_assert_eq!(masked.chars().filter(char::is_ascii_digit).count(), 10);
        prop_assert!(masked.starts_with(pan.bin()) && masked.ends_with(pan.last_four()));
    }
}
