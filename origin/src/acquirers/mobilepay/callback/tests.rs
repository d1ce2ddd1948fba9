use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The newer generation's example of the reference.
fn nested() -> Value {
    json!({
        "pspReference": "7686f7788898767977",
        "authorizationAttemptId": "1d5a1c48-6f0e-4a8f-9d8e-1f2a3b4c5d6e",
        "merchantSerialNumber": "123456",
        "amount": {"currency": "DKK", "value": 49900},
        "softDeclineCompletedRedirectUrl": "https://wallet.example/done",
        "cardInfo": {
            "maskedCardNumber": "47969485XXXX1234", "cardType": "VISA-DEBIT", "cardIssuedInCountryCode": "DK",
            "cardDataType": "TOKEN",
            "networkToken": {
                "number": "5000000000000000001", "cryptogram": "aFgdgjdkfgjdFDF=", "expiryMonth": "03",
                "expiryYear": "2030", "tokenType": "VISA", "eci": "7",
                "paymentAccountReference": "5001BO8B9NXVVIXCT0HAJU98I512Z",
            },
        },
    })
}

fn flat() -> Value {
    let mut body = nested();
    let mut card = body.as_object_mut().unwrap().remove("cardInfo").unwrap();
    let card = card.as_object_mut().unwrap();
    card.remove("cardDataType");
    card.insert("paymentInstrument".to_owned(), json!("TOKEN"));
    body.as_object_mut().unwrap().append(card);
    body
}

fn parse(body: &Value) -> Result<CardCallback, CallbackError> {
    CardCallback::parse(body.to_string().as_bytes())
}

fn token(callback: &CardCallback) -> (String, (u16, u8), String, Option<String>, bool) {
    let CallbackCard::Token(token) = &callback.card else { panic!("no token") };
    let NetworkToken { pan, expiry, cryptogram, eci, is_mastercard } = token;
    let ends = (expiry.year(), expiry.month());
    (pan.expose().to_owned(), ends, cryptogram.as_str().to_owned(), eci.clone(), *is_mastercard)
}

#[test]
fn both_generations_say_the_same() {
    for body in [nested(), flat()] {
        let callback = parse(&body).unwrap();
        assert_eq!(callback.attempt_id, "1d5a1c48-6f0e-4a8f-9d8e-1f2a3b4c5d6e");
        assert_eq!(
            (callback.psp_reference.as_str(), callback.merchant_serial_number.as_str()),
            ("7686f7788898767977", "123456")
        );
        assert_eq!((callback.amount_minor, callback.currency.as_str()), (49_900, "DKK"));
        let shown = ShownCard { bin: Some("479694".to_owned()), last_four: Some("1234".to_owned()) };
        assert_eq!(callback.shown, shown);
        let expected = ("5000000000000000001".to_owned(), (2030, 3), "aFgdgjdkfgjdFDF=".to_owned());
        let (pan, ends, cryptogram, eci, is_mastercard) = token(&callback);
        assert_eq!((pan, ends, cryptogram), expected);
        assert_eq!((eci.as_deref(), is_mastercard), (Some("07"), false));
    }
}

#[test]
fn indicators_are_padded() {
    for (sent, expected) in [("7", Some("07")), ("05", Some("05")), ("", None)] {
        let mut body = nested();
        body["cardInfo"]["networkToken"]["eci"] = json!(sent);
        assert_eq!(token(&parse(&body).unwrap()).3.as_deref(), expected);
    }
    let mut body = nested();
    body["cardInfo"]["networkToken"].as_object_mut().unwrap().remove("eci");
    assert_eq!(token(&parse(&body).unwrap()).3, None);
    for bad in ["007", "x", "-7", "7 "] {
        body["cardInfo"]["networkToken"]["eci"] = json!(bad);
        assert_eq!(parse(&body).err(), Some(CallbackError::Field("networkToken.eci")), "{bad}");
    }
}

#[test]
fn short_years_and_months() {
    for (month, year, expected) in [("3", "30", (2030, 3)), ("12", "2031", (2031, 12))] {
        let mut body = nested();
        body["cardInfo"]["networkToken"]["expiryMonth"] = json!(month);
        body["cardInfo"]["networkToken"]["expiryYear"] = json!(year);
        assert_eq!(token(&parse(&body).unwrap()).1, expected);
    }
    for (month, year) in [("13", "2030"), ("00", "2030"), ("", "2030"), ("3", "1930"), ("3", "030"), ("3", "")] {
        let mut body = nested();
        body["cardInfo"]["networkToken"]["expiryMonth"] = json!(month);
        body["cardInfo"]["networkToken"]["expiryYear"] = json!(year);
        assert!(parse(&body).is_err(), "{month}/{year}");
    }
}

#[test]
fn the_callbacks_type_says_how_the_card_is_processed() {
    let mut body = nested();
    body["cardInfo"]["cardType"] = json!("MC-CREDIT");
    assert_eq!(parse(&body).err(), Some(CallbackError::Field("tokenType")));
    body["cardInfo"]["networkToken"]["tokenType"] = json!("MASTERCARD");
    assert!(token(&parse(&body).unwrap()).4);
    body["cardInfo"]["networkToken"].as_object_mut().unwrap().remove("tokenType");
    assert!(token(&parse(&body).unwrap()).4);
    for other in ["DANKORT", "AMEX", ""] {
        body["cardInfo"]["cardType"] = json!(other);
        assert!(matches!(parse(&body).unwrap().card, CallbackCard::NotTaken), "{other}");
    }
}

#[test]
fn an_encrypted_number_is_not_taken() {
    for mut body in [nested(), flat()] {
        let card = if body.get("cardInfo").is_some() { &mut body["cardInfo"] } else { &mut body };
        let card = card.as_object_mut().unwrap();
        card.remove("networkToken");
        card.insert("encryptedPan".to_owned(), json!("AAAA"));
        for field in ["cardDataType", "paymentInstrument"] {
            if card.contains_key(field) {
                card.insert(field.to_owned(), json!("PAN"));
            }
        }
        assert!(matches!(parse(&body).unwrap().card, CallbackCard::NotTaken));
    }
}

#[test]
fn half_of_both_is_neither() {
    let mut both = nested();
    both["cardType"] = json!("VISA-DEBIT");
    assert_eq!(parse(&both).err(), Some(CallbackError::Form));
    let mut none = nested();
    none.as_object_mut().unwrap().remove("cardInfo");
    assert_eq!(parse(&none).err(), Some(CallbackError::Form));
    let mut missing = nested();
    missing["cardInfo"].as_object_mut().unwrap().remove("networkToken");
    assert_eq!(parse(&missing).err(), Some(CallbackError::Field("networkToken")));
    for field in ["pspReference", "authorizationAttemptId", "merchantSerialNumber", "amount"] {
        let mut body = nested();
        body.as_object_mut().unwrap().remove(field);
        assert_eq!(parse(&body).err(), Some(CallbackError::Form), "{field}");
    }
    let mut body = nested();
    body["amount"]["value"] = json!(-1);
    assert_eq!(parse(&body).err(), Some(CallbackError::Form));
    body = nested();
    body["authorizationAttemptId"] = json!("a b");
    assert_eq!(parse(&body).err(), Some(CallbackError::Field("authorizationAttemptId")));
}

#[test]
fn nothing_of_the_card_is_printed() {
    let mut body = nested();
    body["cardInfo"]["networkToken"]["cryptogram"] = json!("Q1JZUFRPR1JBTQ==");
    let printed = format!("{:?}", parse(&body).unwrap());
    assert!(!printed.contains("500000000000") && !printed.contains("Q1JZUFRPR1JBTQ"), "{printed}");
    body["cardInfo"]["networkToken"]["number"] = json!("50000000000");
    let error = parse(&body).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("5000000"));
}

#[test]
fn masks_of_other_forms_are_not_shown() {
    for (masked, bin, last_four) in [
        ("47969485XXXX1234", Some("479694"), Some("1234")),
        ("479694••••••1234", Some("479694"), Some("1234")),
        ("XXXXXXXXXXXX1234", None, Some("1234")),
        ("1234", None, None),
        ("12345678", Some("123456"), None),
        ("", None, None),
        ("ééééééééé", None, None),
    ] {
        let shown = ShownCard::of(masked);
        assert_eq!((shown.bin.as_deref(), shown.last_four.as_deref()), (bin, last_four), "{masked}");
    }
}

#[test]
fn answers_have_the_documented_form() {
    let reserve = CallbackAnswer::Reserve { network_transaction_reference: "123456789".to_owned() };
    let fail = CallbackAnswer::refused(Decline::DoNotHonour);
    for (answer, text) in [
        (&reserve, r#"{"status":"RESERVE","networkTransactionReference":"123456789"}"#),
        (&fail, r#"{"status":"FAIL","errorCode":300,"errorMessage":"Refused by Issuer"}"#),
    ] {
        assert_eq!(answer.to_json(), text);
        assert_eq!(serde_json::from_str::<CallbackAnswer>(text).unwrap(), *answer);
    }
    // Lost, stolen and suspected cards read like any refusal.
    assert_eq!(CallbackAnswer::refused(Decline::Restricted), fail);
}

proptest! {
    #[test]
    fn any_bytes_are_a_callback_or_an_error(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = CardCallback::parse(&body);
    }

    /// Whatever stands in the fields: what comes out is within what an acquirer is given.
    #[test]
    fn what_is_parsed_is_bounded(
        number in "[0-9 -]{0,24}", cryptogram in "[ -~]{0,80}", month in "[0-9]{0,3}", year in "[0-9]{0,5}",
        eci in "[ -~]{0,3}", card_type in "(VISA|MC)[-_](DEBIT|CREDIT)", masked in ".{0,24}", is_flat: bool,
    ) {
        let mut body = if is_flat { flat() } else { nested() };
        let card = if is_flat { &mut body } else { &mut body["cardInfo"] };
        card["cardType"] = json!(card_type);
        card["maskedCardNumber"] = json!(masked);
        let token_type = if card_type.starts_with("MC") { "MASTERCARD" } else { "VISA" };
        card["networkToken"] = json!({"number": number, "cryptogram": cryptogram, "expiryMonth": month,
            "expiryYear": year, "eci": eci, "tokenType": token_type});
        if let Ok(callback) = parse(&body) {
            let (pan, (year, month), cryptogram, eci, is_mastercard) = token(&callback);
            prop_assert!((12..=19).contains(&pan.len()) && pan.bytes().all(|byte| byte.is_ascii_digit()));
            prop_assert!((2000..2100).contains(&year) && (1..=12).contains(&month));
            prop_assert!((1..=64).contains(&cryptogram.len()));
            prop_assert!(eci.is_none_or(|eci| eci.len() == 2));
            prop_assert_eq!(is_mastercard, card_type.starts_with("MC"));
            let ShownCard { bin, last_four } = callback.shown;
            prop_assert!(bin.is_none_or(|text| text.len() == 6) && last_four.is_none_or(|text| text.len() == 4));
        }
    }

    #[test]
    fn a_damaged_body_never_becomes_another_amount(at in 0_usize..600, byte: u8) {
        let mut text = nested().to_string().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        if let Ok(callback) = CardCallback::parse(&text) {
            prop_assert!(callback.amount_minor <= 99_999 && callback.currency.len() == 3);
        }
    }
}
