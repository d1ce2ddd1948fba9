use bytes::Bytes;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};

use super::form::Form;
use super::*;
use crate::acquirers::{Authentication, AuthenticationMessage, Authorisation, Instrument};
use crate::money::Amount;
use crate::vault::{CardExpiry, Csc, Pan};

/// A development key, made for this test with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`.
const KEY_PEM: &str = include_str!("../../../vectors/test-signing-key.pem");
const VECTOR: &str = include_str!("../../../vectors/clearhaus-signature.json");
const ID: &str = "84412a34-fa29-4369-a098-0165a80e8fda";
const CRYPTOGRAM: &str = "AAABBEg0VhI0VniQEjRWAAAAAAA=";

fn credentials() -> Vec<u8> {
    let credentials = Credentials {
        api_key: "7d1f5e0c-0000-4000-8000-000000000001".into(),
        signing_key_id: "7d1f5e0c-0000-4000-8000-000000000002".into(),
        signing_key_pem: KEY_PEM.into(),
    };
    credentials.check().unwrap();
    serde_json::to_vec(&credentials).unwrap()
}

fn opened() -> Opened {
    Zeroizing::new(credentials()).into()
}

#[test]
fn the_published_vector_holds_for_the_form_and_the_signature() {
    // The vector's key has 512 bits, which the production signer refuses; the `rsa` crate signs it here, and the next
    // test proves that both sign alike.
    let vector: serde_json::Value = serde_json::from_str(VECTOR).unwrap();
    let body = Form::new()
        .with("amount", "2050")
        .with("currency", "EUR")
        .with("ip", "1.1.1.1")
        .within("card", "pan", "4111111111111111")
        .within("card", "expire_month", "06")
        .within("card", "expire_year", "2022")
        .within("card", "csc", "123")
        .into_body();
    assert_eq!(std::str::from_utf8(&body).unwrap(), vector["body"].as_str().unwrap());
    let der = STANDARD.decode(vector["keyPkcs1"].as_str().unwrap()).unwrap();
    let key = rsa::RsaPrivateKey::from_pkcs1_der(&der).unwrap();
    let signature = SigningKey::<Sha256>::new(key).sign(&body).to_bytes();
    assert_eq!(crate::hex::encode(&signature), vector["signature"].as_str().unwrap());
}

#[test]
fn the_production_signer_equals_the_second_implementation() {
    let signer = credentials::Signer::read(&credentials()).unwrap();
    let key = rsa::RsaPrivateKey::from_pkcs8_pem(KEY_PEM).unwrap();
    for body in [&b""[..], b"amount=1", b"\x00\xff"] {
        let expected = SigningKey::<Sha256>::new(key.clone()).sign(body).to_bytes();
        assert_eq!(signer.sign(body).unwrap(), crate::hex::encode(&expected));
    }
}

#[test]
fn credentials_that_no_call_could_be_made_with() {
    let with = |name: &str, value: &str| {
        let mut json: serde_json::Value = serde_json::from_slice(&credentials()).unwrap();
        json[name] = value.into();
        Clearhaus.check_credentials(json.to_string().as_bytes())
    };
    assert!(Clearhaus.check_credentials(&credentials()).is_ok());
    for (name, value) in
        [("apiKey", ""), ("apiKey", "a:b"), ("signingKeyId", "a b"), ("signingKeyPem", "none"), ("more", "1")]
    {
        assert!(matches!(with(name, value), Err(AcquirerError::Credentials(_))), "{name} {value}");
    }
}

fn request(minor: u64, currency: &str, call: Call<'static>) -> Request<'static> {
    let amount = Amount::from_minor(minor, currency.parse().unwrap()).unwrap();
    Request { reference: "sv-1", act: 1, asked_at_ms: 0, amount, text_on_statement: None, call }
}

fn kept<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn card(csc: Option<&str>) -> Instrument<'static> {
    Instrument::Card {
        pan: kept(Pan::parse("4111 1111 1111 1111").unwrap()),
        expiry: kept(CardExpiry::parse("0630").unwrap()),
        csc: csc.map(|csc| kept(Csc::parse(csc).unwrap())),
    }
}

fn token(cryptogram: &'static str, eci: Option<&'static str>, is_mastercard: bool) -> Instrument<'static> {
    let (pan, expiry) = (kept(Pan::parse("4895370012792682").unwrap()), kept(CardExpiry::parse("1229").unwrap()));
    Instrument::NetworkToken { pan, expiry, cryptogram, eci, is_mastercard }
}

fn authorise(instrument: Instrument<'static>, series: Series<'static>) -> Request<'static> {
    let authorisation = Authorisation { instrument, payer_address: None, authentication: None, series };
    request(1000, "DKK", Call::Authorise(authorisation))
}

/// The path and the form as text.
fn sent(request: &Request<'_>) -> (String, String) {
    let Wire::Post(post) = Clearhaus.encode(&opened(), request).unwrap() else { panic!("not a POST") };
    (post.path, String::from_utf8(post.body.to_vec()).unwrap())
}

fn form(request: &Request<'_>) -> String {
    sent(request).1
}

const CARD: &str = "card[pan]=4111111111111111&card[expire_month]=06&card[expire_year]=2030";

#[test]
fn an_authorisation_s_form() {
    let mut plain = authorise(card(Some("987")), Series::None);
    assert_eq!(
        sent(&plain),
        ("/authorizations".to_owned(), format!("amount=1000&currency=DKK&reference=sv-1&{CARD}&card[csc]=987"))
    );
    plain.text_on_statement = Some("Corner Shop*1");
    let Call::Authorise(authorisation) = &mut plain.call else { panic!() };
    authorisation.payer_address = Some("2001:db8::1");
    authorisation.authentication =
        Some(kept(Authentication { message: AuthenticationMessage::Ares, json: r#"{"a":"ø +"}"#.to_owned() }));
    assert_eq!(
        form(&plain),
        format!(
            "amount=1000&currency=DKK&reference=sv-1&ip=2001%3Adb8%3A%3A1&text_on_statement=Corner%20Shop%2A1&{CARD}\
             &card[csc]=987&card[3dsecure][v2][ares]=%7B%22a%22%3A%22%C3%B8%20%2B%22%7D"
        )
    );
    // What is no address is left out, and a verification has no amount.
    let Call::Authorise(authorisation) = &mut plain.call else { panic!() };
    authorisation.payer_address = Some("unknown");
    authorisation.authentication =
        Some(kept(Authentication { message: AuthenticationMessage::Rreq, json: "{}".to_owned() }));
    plain.amount = Amount::from_minor(0, "DKK".parse().unwrap()).unwrap();
    let text = form(&plain);
    assert!(text.starts_with("amount=0&currency=DKK&reference=sv-1&text_on_statement="), "{text}");
    assert!(text.ends_with("&card[3dsecure][v2][rreq]=%7B%7D"), "{text}");
}

#[test]
fn a_series_forms() {
    let first = form(&authorise(card(Some("987")), Series::First));
    assert!(first.contains("&series[type]=recurring&credential_on_file=store&card[pan]="), "{first}");
    let next = form(&authorise(card(None), Series::Next(ID)));
    let series = format!("&series[previous][id]={ID}&initiator=merchant&credential_on_file=use&card[pan]=");
    assert!(next.contains(&series) && !next.contains("csc"), "{next}");
    let field = |request: &Request<'_>| matches!(Clearhaus.check(request), Err(AcquirerError::Field(_)));
    assert!(field(&authorise(card(Some("987")), Series::Next(ID))));
    assert!(field(&authorise(card(None), Series::First)) && field(&authorise(card(None), Series::None)));
    assert!(field(&authorise(card(None), Series::Next("../x"))));
    let mut challenged = authorise(card(None), Series::Next(ID));
    let Call::Authorise(authorisation) = &mut challenged.call else { panic!() };
    authorisation.authentication =
        Some(kept(Authentication { message: AuthenticationMessage::Rreq, json: "{}".into() }));
    assert!(field(&challenged));
}

#[test]
fn a_network_token_s_form() {
    const TOKEN: &str = "token[tan]=4895370012792682&token[expire_month]=12&token[expire_year]=2029";
    const TAV: &str = "token[tav]=AAABBEg0VhI0VniQEjRWAAAAAAA%3D";
    let of = |eci, is_mastercard| form(&authorise(token(CRYPTOGRAM, eci, is_mastercard), Series::None));
    for (eci, expected) in [(Some("7"), "07"), (Some("07"), "07"), (Some("5"), "05"), (None, "07")] {
        assert!(of(eci, false).ends_with(&format!("{TOKEN}&{TAV}&token[eci]={expected}")), "{eci:?}");
    }
    assert!(of(Some("02"), true).ends_with(&format!("{TOKEN}&{TAV}")));
    let field =
        |instrument, series| matches!(Clearhaus.check(&authorise(instrument, series)), Err(AcquirerError::Field(_)));
    for eci in ["", "6", "06", "007", "xx"] {
        assert!(field(token(CRYPTOGRAM, Some(eci), false), Series::None), "{eci}");
    }
    for cryptogram in ["", "AAABBEg0", "AAABBEg0VhI0VniQEjRWAAAAAA_="] {
        assert!(field(token(cryptogram, None, false), Series::None), "{cryptogram}");
    }
    assert!(field(token("QAABBEg0VhI0VniQEjRWAAAAAAA=", None, true), Series::None));
    // Later in a series there is nobody who could make one.
    let later = form(&authorise(token("", None, true), Series::Next(ID)));
    assert!(later.ends_with(TOKEN), "{later}");
}

#[test]
fn the_forms_of_what_follows() {
    let authorised = Amount::from_minor(1000, "DKK".parse().unwrap()).unwrap();
    let capture = |minor| request(minor, "DKK", Call::Capture { state: ID, authorised, card: None });
    let path = |what: &str| format!("/authorizations/{ID}/{what}");
    assert_eq!(sent(&capture(400)), (path("captures"), "amount=400".to_owned()));
    let mut named = request(7, "DKK", Call::Refund { state: ID, captured: authorised, card: None });
    named.text_on_statement = Some("Shop");
    assert_eq!(sent(&named), (path("refunds"), "amount=7&text_on_statement=Shop".to_owned()));
    assert_eq!(sent(&void(ID)), (path("voids"), String::new()));
    assert!(matches!(Clearhaus.check(&capture(0)), Err(AcquirerError::Field("amount"))));
    let credit = |holder| {
        let (pan, expiry) = (kept(Pan::parse("4111111111111111").unwrap()), kept(CardExpiry::parse("0630").unwrap()));
        request(500, "EUR", Call::Credit { pan, expiry, holder })
    };
    let expected = format!("amount=500&currency=EUR&reference=sv-1&{CARD}&card[name]=A%20Holder");
    assert_eq!(sent(&credit("A Holder")), ("/credits".to_owned(), expected));
    for name in ["", "Søren", "a&b", &"x".repeat(31)] {
        assert!(Clearhaus.check(&credit(kept(name.to_owned()))).is_err(), "{name}");
    }
}

#[test]
fn texts_and_references() {
    let with = |text: &'static str| {
        let mut request = authorise(card(Some("987")), Series::None);
        request.text_on_statement = Some(text);
        Clearhaus.check(&request).is_ok()
    };
    for text in ["Shop 25", "aab", "ac", "1a", "1122x", "merchant.example/12345"] {
        assert!(with(text), "{text}");
    }
    for text in ["", "a", "12345", "13", "aaaa", "abc", "ab", "cba", "xyz", "æble", "a\nb", "merchant.example/123456"]
    {
        assert!(!with(text), "{text}");
    }
    for (reference, is_taken) in
        [("sv-1", true), ("", false), ("ø", false), (&"x".repeat(30), true), (&"x".repeat(31), false)]
    {
        let mut request = authorise(card(Some("987")), Series::None);
        request.reference = kept(reference.to_owned());
        assert_eq!(Clearhaus.check(&request).is_ok(), is_taken, "{reference}");
    }
    assert!(Clearhaus.check(&authorise(card(Some("9876")), Series::None)).is_err());
    // More than nine digits: possible in a currency of three decimals.
    let call = Call::Authorise(Authorisation {
        instrument: card(Some("987")),
        payer_address: None,
        authentication: None,
        series: Series::None,
    });
    assert!(matches!(Clearhaus.check(&request(1_000_000_000, "KWD", call)), Err(AcquirerError::Field("amount"))));
}

fn void(state: &'static str) -> Request<'static> {
    request(1000, "DKK", Call::Void { state, card: None })
}

fn decoded(request: &Request<'_>, status: u16, body: &[u8]) -> Outcome {
    Clearhaus.decode(request, &Answer { status, body: Bytes::copy_from_slice(body) })
}

fn body(code: u32) -> String {
    format!(r#"{{"id":"{ID}","status":{{"code":{code}}}}}"#)
}

#[test]
fn every_documented_status_has_its_outcome() {
    let plain = authorise(card(Some("987")), Series::None);
    let of = |status: u16, code: u32| decoded(&plain, status, body(code).as_bytes());
    for (code, reason) in [
        (40000, Decline::Configuration),
        (40110, Decline::InvalidCard),
        (40111, Decline::UnsupportedScheme),
        (40120, Decline::InvalidCsc),
        (40130, Decline::Expired),
        (40135, Decline::Expired),
        (40140, Decline::Configuration),
        (40150, Decline::Configuration),
        (40200, Decline::Rule),
        (40300, Decline::ThreeDSecure),
        (40310, Decline::ThreeDSecure),
        (40400, Decline::Technical),
        (40410, Decline::DoNotHonour),
        (40411, Decline::Restricted),
        (40412, Decline::Restricted),
        (40413, Decline::InsufficientFunds),
        (40414, Decline::Restricted),
        (40415, Decline::AmountLimit),
        (40416, Decline::StepUp),
        (40420, Decline::MerchantBlocked),
        (42900, Decline::DoNotHonour),
        (49999, Decline::DoNotHonour),
    ] {
        for (status, call) in [(201, &plain), (400, &plain), (201, &void(ID))] {
            let refusal = Outcome::Declined(Refusal { reason, code: Some(code.to_string()) });
            assert_eq!(decoded(call, status, body(code).as_bytes()), refusal, "{status} {code}");
        }
    }
    let nothing_known = |outcome: Outcome| matches!(outcome, Outcome::Unknown { state: None, .. });
    for (status, code) in [(500, 20000), (503, 40000), (302, 20000), (201, 20001), (201, 30000), (201, 50001), (201, 0)]
    {
        assert!(nothing_known(of(status, code)), "{status} {code}");
    }
    for garbage in [&b""[..], b"{}", b"<html>", b"{\"status\":{}}", b"{\"status\":{\"code\":\"20000\"}}", b"\xff"] {
        assert!(nothing_known(decoded(&plain, 201, garbage)), "{garbage:?}");
    }
    assert_eq!(of(401, 20000), refused(Decline::Credentials, "401".to_owned()));
    assert_eq!(of(404, 20000), refused(Decline::Configuration, "404".to_owned()));
}

#[test]
fn what_an_approval_leaves() {
    let approved = |request: &Request<'_>, body: &str| decoded(request, 201, body.as_bytes());
    let id = || Some(ID.to_owned());
    let plain = authorise(card(Some("987")), Series::None);
    let expected = Outcome::Approved(Approval { state: id(), ..Approval::default() });
    assert_eq!(approved(&plain, &body(20000)), expected);
    assert_eq!(decoded(&plain, 200, body(20000).as_bytes()), expected);
    for series in [Series::First, Series::Next("7d1f5e0c-0000-4000-8000-000000000001")] {
        let csc = if series == Series::First { Some("987") } else { None };
        let expected = Outcome::Approved(Approval { state: id(), series: id(), ..Approval::default() });
        assert_eq!(approved(&authorise(card(csc), series), &body(20000)), expected);
    }
    for matches in [true, false] {
        let text = format!(r#"{{"id":"{ID}","status":{{"code":20000}},"csc":{{"present":true,"matches":{matches}}}}}"#);
        let expected = Approval { state: id(), csc_matches: Some(matches), ..Approval::default() };
        assert_eq!(approved(&plain, &text), Outcome::Approved(expected));
    }
    // A handle is needed, and nothing that could leave its path is one.
    for id in ["", "../credits", "a/b"] {
        let text = format!(r#"{{"id":"{id}","status":{{"code":20000}}}}"#);
        assert!(matches!(approved(&plain, &text), Outcome::Unknown { state: None, .. }), "{id}");
    }
    assert!(matches!(approved(&plain, r#"{"status":{"code":20000}}"#), Outcome::Unknown { .. }));
    // What follows has an id of its own, which must not take the authorisation's place.
    assert_eq!(approved(&void(ID), &body(20000)), Outcome::Approved(Approval::default()));
}

#[test]
fn an_error_of_the_gateway_s_own_can_be_voided() {
    let plain = authorise(card(Some("987")), Series::None);
    let with = |request: &Request<'_>, text: &str| match decoded(request, 201, text.as_bytes()) {
        Outcome::Unknown { state, .. } => state,
        other => panic!("{other:?}"),
    };
    assert_eq!(with(&plain, &body(50000)).as_deref(), Some(ID));
    assert_eq!(with(&plain, r#"{"status":{"code":50000}}"#), None);
    assert_eq!(with(&plain, r#"{"id":"../x","status":{"code":50000}}"#), None);
    assert_eq!(with(&void(ID), &body(50000)), None, "not the authorisation's");
}

#[test]
fn ids_cannot_leave_their_path() {
    for id in ["", "../credits", "a/b", "a?b", "a b", "%2e"] {
        assert!(matches!(Clearhaus.encode(&opened(), &void(id)), Err(AcquirerError::Field(_))), "{id}");
    }
}
