use serde_json::{Value, json};

use super::super::credentials::tests::example;
use super::*;

fn amount(minor: u64, currency: &str) -> Amount {
    Amount::from_minor(minor, currency.parse().unwrap()).unwrap()
}

fn credentials() -> Credentials {
    Credentials::parse(example().to_string().as_bytes()).unwrap()
}

fn new(amount: Amount) -> NewPayment<'static> {
    NewPayment {
        amount,
        reference: "sv-1-00112233445566778899",
        return_url: "https://pay.example/Q/1?attempt=a",
        card_callback_url: "https://callbacks.example/mobilepay/card/sv-1-00112233445566778899",
        phone: None,
        description: "Two coffees",
        expires_at_ms: None,
    }
}

#[test]
fn a_payment_is_spelled_as_documented() {
    let phone = Msisdn::parse("+45 12 34 56 78").unwrap();
    let new = NewPayment { phone: Some(&phone), ..new(amount(49_900, "DKK")) };
    let body: Value = serde_json::from_slice(&create(&credentials(), &new).unwrap()).unwrap();
    let expected = json!({
        "amount": {"currency": "DKK", "value": 49900},
        "paymentMethod": {"type": "CARD_PASSTHROUGH"},
        "reference": "sv-1-00112233445566778899",
        "userFlow": "WEB_REDIRECT",
        "returnUrl": "https://pay.example/Q/1?attempt=a",
        "customer": {"phoneNumber": "4512345678"},
        "paymentDescription": "Two coffees",
        "cardPassthrough": {
            "pspReference": "sv-1-00112233445566778899",
            "cardCallbackUrl": "https://callbacks.example/mobilepay/card/sv-1-00112233445566778899",
            "allowedCardTypes": ["VISA_DEBIT", "MC_CREDIT"],
            "preferVisaPartOfVisaDankort": false,
        },
    });
    assert_eq!(body, expected);
    let ends = NewPayment { expires_at_ms: Some(1_795_298_400_000), phone: None, ..new };
    let body: Value = serde_json::from_slice(&create(&credentials(), &ends).unwrap()).unwrap();
    assert_eq!((&body["expiresAt"], body.get("customer")), (&json!("2026-11-21T22:00:00.000Z"), None));
}

#[test]
fn what_the_wallet_does_not_take_is_not_sent() {
    for (minor, currency, is_taken) in [
        (1, "DKK", true),
        (99, "NOK", false),
        (100, "NOK", true),
        (65_000_000, "EUR", true),
        (65_000_001, "EUR", false),
        (0, "DKK", false),
        (1000, "ZAR", false),
    ] {
        assert_eq!(takes(amount(minor, currency)), is_taken, "{minor} {currency}");
        assert_eq!(create(&credentials(), &new(amount(minor, currency))).is_ok(), is_taken);
    }
    assert!(takes_currency("GBP".parse().unwrap()) && !takes_currency("ISK".parse().unwrap()));
    for reference in ["sv-1", "", &"a".repeat(51), "sv-1-0011223344/../x", "sv-1-00112233445é"] {
        let new = NewPayment { reference, ..new(amount(100, "DKK")) };
        assert!(create(&credentials(), &new).is_err(), "{reference}");
    }
}

#[test]
fn telephone_numbers() {
    for (text, digits) in
        [("+45 12 34 56 78", "4512345678"), ("004512345678", "4512345678"), ("(46) 70-123 45 67", "46701234567")]
    {
        assert_eq!(Msisdn::parse(text).unwrap().as_str(), digits);
    }
    for text in ["", "12345678", "+45 1234567x", "+4512345678901234", "0451234567", "+45+12345678", "４５12345678"] {
        assert_eq!(Msisdn::parse(text), None, "{text}");
    }
}

#[test]
fn descriptions_fit() {
    assert_eq!(description("Two coffees"), "Two coffees");
    assert_eq!(description(" a "), "Payment a");
    assert_eq!(description(""), "Payment");
    assert_eq!(description(&"é".repeat(101)).chars().count(), 100);
    assert_eq!(description("a\nb\u{7}c"), "abc");
}

#[test]
fn payments_and_modifications_are_read_alike() {
    // The reference's example.
    let body = r#"{"aggregate":{"authorizedAmount":{"currency":"NOK","value":6000},"cancelledAmount":{"currency":"NOK","value":1000},
        "capturedAmount":{"currency":"NOK","value":2000},"refundedAmount":{"currency":"NOK","value":500}},
        "amount":{"currency":"NOK","value":6000},"state":"AUTHORIZED","paymentMethod":{"type":"WALLET"},"profile":{},
        "pspReference":"37c34d8c-2649-448e-864b-060d5d93e4c4","reference":"acme-shop-123-1234589",
        "captureGuaranteedUntil":"2026-09-01T07:53:44.812+00:00"}"#;
    let payment = WalletPayment::parse(body.as_bytes(), "acme-shop-123-1234589").unwrap();
    let expected = WalletPayment {
        state: PaymentState::Authorized,
        authorised_minor: 6000,
        captured_minor: 2000,
        refunded_minor: 500,
        cancelled_minor: 1000,
    };
    assert_eq!((payment, payment.left_minor()), (expected, 3000));
    assert_eq!(WalletPayment::parse(body.as_bytes(), "another"), None);
    assert_eq!(WalletPayment::parse(body.replace("AUTHORIZED", "PAID").as_bytes(), "acme-shop-123-1234589"), None);
    assert_eq!(WalletPayment::parse(&body.as_bytes()[..200], "acme-shop-123-1234589"), None);
}

#[test]
fn states_that_nothing_comes_of() {
    use PaymentState as S;
    let dead = [S::Created, S::Authorized, S::Aborted, S::Expired, S::Terminated].map(PaymentState::is_dead);
    assert_eq!(dead, [false, false, true, true, true]);
}

#[test]
fn a_webhook_is_read() {
    // The reference's example.
    let body = r#"{"msn":"123456","reference":"acme-shop-123-order123abc","pspReference":"dd8e0a8e-1","name":"AUTHORIZED",
        "amount":{"currency":"NOK","value":49900},"timestamp":"2026-01-19T16:26:32.099Z","idempotencyKey":"7c8b81e7-1","success":true}"#;
    let event = WebhookEvent::parse(body.as_bytes()).unwrap();
    assert_eq!((event.msn.as_str(), event.reference.as_str()), ("123456", "acme-shop-123-order123abc"));
    assert_eq!((event.psp_reference.as_str(), event.name.as_str(), event.success), ("dd8e0a8e-1", "AUTHORIZED", true));
    assert_eq!(WebhookEvent::parse(&body.as_bytes()[..100]), None);
    assert_eq!(WebhookEvent::parse(body.replace("123456", "").as_bytes()), None);
}

#[test]
fn modifications_and_registrations() {
    let body = modification(amount(49_900, "DKK")).unwrap();
    assert_eq!(body, br#"{"modificationAmount":{"currency":"DKK","value":49900}}"#);
    let body: Value = serde_json::from_slice(&registration("https://callbacks.example/x").unwrap()).unwrap();
    assert_eq!((&body["url"], body["events"].as_array().unwrap().len()), (&json!("https://callbacks.example/x"), 5));
}
