use bytes::Bytes;
use serde_json::json;

use super::codec::{Message, Writer};
use super::state::State;
use super::*;
use crate::acquirers::{Approval, Authentication, AuthenticationMessage, Authorisation, Decline, Refusal};
use crate::money::Amount;
use crate::vault::{CardExpiry, Csc, Pan};

/// 2013-09-02 17:11:00 UTC, the moment of the reference's vector.
const AT_MS: u64 = 1_378_141_860_000;

fn credentials() -> serde_json::Value {
    json!({"merchantId": "123", "terminalId": "test", "category": "5732", "name": "Smith Radio", "street": "Boulevard 4",
        "city": "Broby", "postcode": "3266", "country": "DNK"})
}

fn kept<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn card() -> (&'static Pan, &'static CardExpiry) {
    (kept(Pan::parse("4571123412341234").unwrap()), kept(CardExpiry::parse("1214").unwrap()))
}

fn dkk(minor: u64) -> Amount {
    Amount::from_minor(minor, "DKK".parse().unwrap()).unwrap()
}

fn request(minor: u64, call: Call<'static>) -> Request<'static> {
    Request { reference: "orderid", act: 1, asked_at_ms: AT_MS, amount: dkk(minor), text_on_statement: None, call }
}

fn authorise(csc: Option<&str>, series: Series<'static>) -> Request<'static> {
    let (pan, expiry) = card();
    let instrument = Instrument::Card { pan, expiry, csc: csc.map(|csc| kept(Csc::parse(csc).unwrap())) };
    request(1220, Call::Authorise(Authorisation { instrument, payer_address: None, authentication: None, series }))
}

fn state() -> &'static str {
    let ticket = format!("{:.<255}", "FIRST");
    let state = State { ticket, approval: "12345 ".into(), action: "000".into(), point: "K00500K00130".into() };
    kept(state.to_text().unwrap())
}

fn capture(minor: u64) -> Request<'static> {
    request(minor, Call::Capture { state: state(), authorised: dkk(1220), card: Some(card()) })
}

fn refund(minor: u64) -> Request<'static> {
    request(minor, Call::Refund { state: state(), captured: dkk(1220), card: Some(card()) })
}

fn void() -> Request<'static> {
    request(1220, Call::Void { state: state(), card: Some(card()) })
}

fn opened(credentials: &serde_json::Value) -> Opened {
    zeroize::Zeroizing::new(credentials.to_string().into_bytes()).into()
}

/// The message without its frame.
fn sent(credentials: &serde_json::Value, request: &Request<'_>) -> String {
    let Wire::Frame(bytes) = Nets.encode(&opened(credentials), request).unwrap() else { panic!() };
    String::from_utf8(frame::open(&bytes).unwrap().to_vec()).unwrap()
}

#[test]
fn the_reference_s_derived_vector() {
    let expected = "PSIP1000001100701405C200E280001645711234123412340000000000000012201309021711001412K00500K001301000000573207orderidtest    123            99Smith Radio\\Boulevard 4\\Broby\\3266                                                              DNK007V503123DKK";
    assert_eq!(sent(&credentials(), &authorise(Some("123"), Series::None)), expected);
    assert_eq!(sent(&credentials(), &authorise(Some("123"), Series::First)), expected);
    let later = expected.replace("K00500K00130", "K00540K00130").replace("007V503123", "004V500");
    assert_eq!(sent(&credentials(), &authorise(None, Series::Next("orderid"))), later);
}

/// The fields of a message by number.
fn fields(request: &Request<'_>) -> Vec<(u8, String)> {
    let text = sent(&credentials(), request);
    let message = Message::parse(text.as_bytes()).unwrap();
    assert_eq!(message.kind, message::kinds(&request.call).0);
    message.numbers().map(|number| (number, message.get(number).unwrap().to_owned())).collect()
}

#[test]
fn what_each_advice_holds() {
    let of = |request: &Request<'_>, number: u8| {
        fields(request).into_iter().find(|(known, _)| *known == number).map(|(_, value)| value)
    };
    let numbers = |request: &Request<'_>| fields(request).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    let ticket = Some(format!("{:.<255}", "FIRST"));
    assert_eq!(numbers(&capture(1220)), [2, 3, 4, 12, 14, 22, 24, 26, 31, 38, 39, 41, 42, 43, 47, 49, 56]);
    assert_eq!(numbers(&void()), [2, 3, 4, 12, 24, 25, 26, 31, 38, 41, 42, 43, 49, 56]);
    for (request, processing, amount, function) in [
        (capture(1220), "000000", "000000001220", "201"),
        (capture(1219), "000000", "000000001219", "202"),
        (refund(20), "200000", "000000000020", "200"),
        (void(), "000000", "000000001220", "400"),
    ] {
        let values = [3, 4, 24].map(|number| of(&request, number).unwrap());
        assert_eq!(values, [processing, amount, function]);
        assert_eq!((of(&request, 38), of(&request, 56)), (Some("12345 ".into()), ticket.clone()));
        assert_eq!(of(&request, 12).as_deref(), Some("130902171100"));
    }
    assert_eq!(of(&void(), 25).as_deref(), Some("4000"));
    // No security code is kept for a capture.
    assert_eq!(of(&capture(1), 47).as_deref(), Some("V500"));
    assert_eq!(sent(&credentials(), &capture(1)), sent(&credentials(), &capture(1)), "a repetition is the same");
}

#[test]
fn what_is_not_sent() {
    let refused = |request: &Request<'_>| {
        let sent = Nets.encode(&opened(&credentials()), request).err().unwrap();
        let checked = Nets.check(request);
        (sent.to_string(), checked.is_err())
    };
    for request in [
        authorise(None, Series::None),
        authorise(None, Series::First),
        authorise(Some("1234"), Series::None),
        authorise(Some("123"), Series::Next("x")),
        capture(0),
        request(1, Call::Refund { state: "not ours", captured: dkk(1), card: Some(card()) }),
        request(1, Call::Credit { pan: card().0, expiry: card().1, holder: "A" }),
    ] {
        let (text, is_checked) = refused(&request);
        assert!(is_checked, "{text}");
    }
    let without = request(1, Call::Capture { state: state(), authorised: dkk(1), card: None });
    assert_eq!(refused(&without).0, "the acquirer does not take this call without the card");
    let mut long = capture(1);
    long.reference = "1234567890123456789012345678901";
    assert!(refused(&long).1);
    assert!(Nets.check(&authorise(Some("123"), Series::First)).is_ok() && Nets.check(&void()).is_ok());
}

#[test]
fn merchants_as_nets_registers_them() {
    let with = |name: &str, value: serde_json::Value| {
        let mut changed = credentials();
        changed[name] = value;
        Nets.check_credentials(changed.to_string().as_bytes())
    };
    assert!(with("city", "Broby".into()).is_ok());
    let tags = json!({"eci": "E1", "authenticationValue": "A!", "dsTransId": "D3"});
    assert!(with("threeDSecureTags", tags).is_ok());
    for (name, value) in [
        ("merchantId", json!("")),
        ("merchantId", json!("1234567890123456")),
        ("terminalId", json!("123456789")),
        ("terminalId", json!("a b")),
        ("category", json!("573")),
        ("category", json!("57x2")),
        ("name", json!("Søren")),
        ("name", json!("a\\b")),
        ("street", json!("")),
        ("city", json!("x".repeat(90))),
        ("country", json!("dk")),
        ("threeDSecureTags", json!({"eci": "E", "authenticationValue": "A!", "dsTransId": "D3"})),
        ("more", json!(1)),
    ] {
        assert!(matches!(with(name, value.clone()), Err(AcquirerError::Credentials(_))), "{name} {value}");
    }
}

#[test]
fn the_outcome_of_3_d_secure_goes_into_tags_that_are_named_or_nowhere() {
    let mut request = authorise(Some("123"), Series::None);
    let Call::Authorise(authorisation) = &mut request.call else { panic!() };
    let json = json!({"eci": "05", "authenticationValue": "AAABBEg0VhI0VniQEjRWAAAAAAA=", "dsTransID": "d", "more": 1});
    let authentication = Authentication { message: AuthenticationMessage::Ares, json: json.to_string() };
    authorisation.authentication = Some(kept(authentication));
    assert!(Nets.encode(&opened(&credentials()), &request).is_err());
    let mut with = credentials();
    with["threeDSecureTags"] = json!({"eci": "E1", "authenticationValue": "A!", "dsTransId": "D3"});
    let text = sent(&with, &request);
    assert!(text.contains("050V503123E10205A!28AAABBEg0VhI0VniQEjRWAAAAAAA=D301dDKK"), "{text}");
}

/// An answer of this type with these fields.
fn answer(kind: &str, fields: &[(u8, &str)]) -> Answer {
    let mut writer = Writer::default();
    fields.iter().for_each(|(number, value)| writer.put(*number, value).unwrap());
    Answer { status: 0, body: Bytes::copy_from_slice(&frame::wrap(&writer.finish(kind)).unwrap()) }
}

fn unknown_without_state(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown { state: None, .. })
}

#[test]
fn an_approval_s_ticket_is_kept_and_replaced() {
    let approved = answer("1110", &[(4, "1220"), (31, "orderid"), (38, "12345"), (39, "000"), (49, "DKK"), (56, "T1")]);
    let expected = r#"{"ticket":"T1","approval":"12345 ","action":"000","point":"K00500K00130"}"#;
    let approval = |series: Option<&str>| Approval {
        state: Some(expected.to_owned()),
        approval_code: Some("12345".to_owned()),
        series: series.map(str::to_owned),
        csc_matches: None,
    };
    assert_eq!(Nets.decode(&authorise(Some("123"), Series::None), &approved), Outcome::Approved(approval(None)));
    let first = Nets.decode(&authorise(Some("123"), Series::First), &approved);
    assert_eq!(first, Outcome::Approved(approval(Some("orderid"))));
    for missing in [38, 56] {
        let all = [(38, "12345"), (39, "000"), (56, "T1")];
        let some: Vec<_> = all.into_iter().filter(|(number, _)| *number != missing).collect();
        assert!(unknown_without_state(&Nets.decode(&authorise(Some("123"), Series::None), &answer("1110", &some))));
    }
    for (request, kind, action) in
        [(capture(20), "1230", "000"), (refund(20), "1230", "063"), (void(), "1430", "400"), (void(), "1430", "000")]
    {
        let Outcome::Approved(next) = Nets.decode(&request, &answer(kind, &[(39, action), (56, "T2")])) else {
            panic!()
        };
        let next = State::parse(&next.state.unwrap()).unwrap();
        assert_eq!((next.ticket.as_str(), next.approval.as_str(), next.action.as_str()), ("T2", "12345 ", "000"));
        assert!(unknown_without_state(&Nets.decode(&request, &answer(kind, &[(39, action)]))));
    }
    assert!(unknown_without_state(&Nets.decode(&capture(20), &answer("1230", &[(39, "400"), (56, "T2")]))));
}

#[test]
fn every_action_code_has_its_outcome() {
    use Decline::{
        AmountLimit, Configuration, DoNotHonour, Expired, InsufficientFunds, InvalidCard, InvalidCsc, Restricted, Rule,
        Technical, UnsupportedScheme,
    };
    let of = |code: &str| Nets.decode(&authorise(Some("123"), Series::None), &answer("1110", &[(39, code)]));
    for (codes, reason) in [
        ("001 002 100 103 112 113 117 130 299 299", DoNotHonour),
        ("101", Expired),
        ("102 104 105 106 107 108 122 124 126 129 200 202 204 208 209 210", Restricted),
        ("109 115", Rule),
        ("110 121 123", AmountLimit),
        ("111 114 118", InvalidCard),
        ("021 022", InvalidCsc),
        ("116", InsufficientFunds),
        ("119 120 125", UnsupportedScheme),
        ("902 904", Configuration),
        ("903 906 907 908 909 911", Technical),
    ] {
        for code in codes.split(' ') {
            assert_eq!(of(code), Outcome::Declined(Refusal { reason, code: Some(code.to_owned()) }), "{code}");
        }
    }
    for code in ["003", "400", "413", "500", "888", "913", "999"] {
        assert!(unknown_without_state(&of(code)), "{code}");
    }
    // What came with a ticket can be given back.
    let partly = answer("1110", &[(38, "1"), (39, "002"), (56, "T1")]);
    let outcome = Nets.decode(&authorise(Some("123"), Series::None), &partly);
    assert!(matches!(outcome, Outcome::Unknown { state: Some(_), .. }), "{outcome:?}");
    // An advice may be asked again, so what is not a clear no is asked again.
    for code in ["118", "903", "909", "911", "888", "913", "002", "400"] {
        assert!(unknown_without_state(&Nets.decode(&capture(1), &answer("1230", &[(39, code)]))), "{code}");
    }
    for (code, reason) in [("110", AmountLimit), ("115", Rule), ("904", Configuration), ("100", DoNotHonour)] {
        let expected = Outcome::Declined(Refusal { reason, code: Some(code.to_owned()) });
        assert_eq!(Nets.decode(&capture(1), &answer("1230", &[(39, code)])), expected);
    }
}

#[test]
fn what_is_no_answer_to_this_is_unknown() {
    let asked = authorise(Some("123"), Series::None);
    let good = [(38, "12345"), (39, "000"), (56, "T1")];
    assert!(matches!(Nets.decode(&asked, &answer("1110", &good)), Outcome::Approved(_)));
    for (number, value) in [(4, "1221"), (31, "another"), (49, "EUR")] {
        let mut other = good.to_vec();
        other.push((number, value));
        other.sort_unstable();
        assert!(unknown_without_state(&Nets.decode(&asked, &answer("1110", &other))), "{number}");
    }
    assert!(unknown_without_state(&Nets.decode(&asked, &answer("1230", &good))));
    assert!(unknown_without_state(&Nets.decode(&asked, &answer("1110", &[(38, "1")]))));
    let whole = answer("1110", &good).body;
    for cut in 0..whole.len() {
        let body = whole.slice(..cut);
        assert!(unknown_without_state(&Nets.decode(&asked, &Answer { status: 0, body })), "{cut}");
    }
    let mut refused = whole.to_vec();
    refused[29] = 1;
    assert!(unknown_without_state(&Nets.decode(&asked, &Answer { status: 0, body: refused.into() })));
}

#[test]
fn the_header_s_status_comes_before_the_action_code() {
    let asked = authorise(Some("123"), Series::None);
    let of = |status: &str| {
        let message = format!("PSIP100{status}11100000000000000000");
        let body = Bytes::copy_from_slice(&frame::wrap(message.as_bytes()).unwrap());
        Nets.decode(&asked, &Answer { status: 0, body })
    };
    for status in ["400", "501"] {
        let code = Some(format!("PSIP {status}"));
        assert_eq!(of(status), Outcome::Declined(Refusal { reason: Decline::Configuration, code }));
    }
    for status in ["000", "500", "503", "200"] {
        assert!(unknown_without_state(&of(status)), "{status}");
    }
}
