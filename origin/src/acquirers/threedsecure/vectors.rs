//! The documentation's own messages, and what is not one.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::messages::*;
use super::{Version, base64url};
use crate::acquirers::Answer;
use crate::vault::Pan;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../vectors/3dsecure.json")).unwrap()
}

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn said(name: &str) -> String {
    vectors()[name].to_string()
}

fn without_answer<T: std::fmt::Debug>(read: Result<T, Failure>) -> bool {
    matches!(read, Err(Failure::NoAnswer(_)))
}

const ARES_ID: &str = "3f1ed47a-2edc-4b0e-a4cf-bdb0f65d48c6";

#[test]
fn a_card_that_is_enrolled() {
    let range = read_preauth(&answer(200, &said("crd"))).unwrap();
    let expected = CardRange {
        id: "6b91f61e-9e62-4f5c-ab8c-f1ffb84122cb".to_owned(),
        version: Some(Version::V220),
        method_url: Some("https://bank.example/method".to_owned()),
        scheme: "mastercard".to_owned(),
    };
    assert_eq!(range, expected);
}

#[test]
fn one_that_is_not() {
    for status in [200, 400, 404, 500] {
        let Err(Failure::Erro { code, detail }) = read_preauth(&answer(status, &said("notEnrolled"))) else { panic!() };
        assert_eq!(code, "305", "{status}: the status is not documented");
        assert_eq!(detail, "No CRD found, card with BIN ****** is not enrolled with any known DS");
    }
    let Err(Failure::Erro { code, .. }) = read_preauth(&answer(200, &said("unreachable"))) else { panic!() };
    assert_eq!(code, "405");
    assert_eq!(read_preauth(&answer(401, "Invalid API Key")), Err(Failure::Key));
}

#[test]
fn a_detail_in_the_log_has_no_digits() {
    let body = json!({"messageType": "Erro", "errorCode": "203", "errorDetail": "acctNumber 4111111111111111\n"});
    let Err(failure) = read_preauth(&answer(400, &body.to_string())) else { panic!() };
    assert_eq!(failure.to_string(), "Erro 203: acctNumber ################");
}

#[test]
fn the_method_page_is_looked_up_by_version() {
    let mut crd = vectors()["crd"].clone();
    crd["acsProtocolVersions"] = json!([
        {"version": "2.1.0", "threeDSMethodURL": "https://bank.example/old"},
        {"version": "2.2.0", "threeDSMethodURL": "https://bank.example/new"},
    ]);
    let url = |crd: &Value| read_preauth(&answer(200, &crd.to_string())).unwrap().method_url;
    assert_eq!(url(&crd).as_deref(), Some("https://bank.example/new"));
    crd["acsProtocolVersions"] = json!([{"version": "2.2.0"}]);
    assert_eq!(url(&crd).as_deref(), Some("https://bank.example/method"), "the range's own");
    for wrong in ["javascript:alert(1)", "//bank.example", "https://", "https://a\"b", "ftp://bank.example"] {
        crd["threeDSMethodURL"] = json!(wrong);
        assert_eq!(url(&crd), None, "{wrong}");
    }
}

#[test]
fn an_answer_is_kept_to_the_letter() {
    let text = said("ares");
    let ares = read_ares(&answer(200, &text), &ARES_ID.to_uppercase(), Version::V210).unwrap();
    assert_eq!(ares, Ares { status: "Y".to_owned(), reason: None, challenge: None, json: text });
    let text = said("aresChallenge");
    let ares = read_ares(&answer(200, &text), "218565e2-0cae-4236-868e-09168275c8c6", Version::V210).unwrap();
    let challenge = Challenge {
        acs_id: "b85d3eb5-d2d2-45af-bc1b-6188021ae602".to_owned(),
        url: "https://acs.sandbox.3dsecure.io/browser/challenge/manual".to_owned(),
    };
    assert_eq!(ares, Ares { status: "C".to_owned(), reason: None, challenge: Some(challenge), json: text });
    let text = said("rreq");
    let (id, acs_id) = ("5a8007b9-6d26-49cf-a371-3f722bba4ffc", "fb95703f-92e7-4278-a20c-62b9a9200e84");
    let rreq = read_rreq(&answer(200, &text), id, acs_id).unwrap();
    assert_eq!(rreq, Rreq { status: "Y".to_owned(), reason: None, cancel: None, json: text });
}

#[test]
fn another_payments_message_is_no_answer() {
    let ares = |change: fn(&mut Value)| {
        let mut message = vectors()["ares"].clone();
        change(&mut message);
        read_ares(&answer(200, &message.to_string()), ARES_ID, Version::V210)
    };
    assert!(ares(|_| ()).is_ok());
    assert!(without_answer(ares(|m| m["threeDSServerTransID"] = json!("3f1ed47a-2edc-4b0e-a4cf-bdb0f65d48c7"))));
    assert!(without_answer(ares(|m| m["messageVersion"] = json!("2.2.0"))));
    assert!(without_answer(ares(|m| m["messageType"] = json!("RReq"))));
    assert!(without_answer(ares(|m| m["transStatus"] = json!("C"))), "a challenge without an address");
    assert!(without_answer(ares(|m| m["transStatus"] = Value::Null)));
    let (id, acs_id) = ("5a8007b9-6d26-49cf-a371-3f722bba4ffc", "fb95703f-92e7-4278-a20c-62b9a9200e84");
    let rreq = answer(200, &said("rreq"));
    assert!(without_answer(read_rreq(&rreq, acs_id, acs_id)) && without_answer(read_rreq(&rreq, id, id)));
}

#[test]
fn what_is_no_message_is_no_answer() {
    for (status, body) in [
        (200, ""),
        (200, "{}"),
        (200, "null"),
        (200, "<html>"),
        (200, "{\"messageType\":\"Erro\"}"),
        (500, "oops"),
        (503, ""),
        (302, ""),
        (201, &said("ares")),
        (500, &said("ares")),
    ] {
        assert!(without_answer(read_ares(&answer(status, body), ARES_ID, Version::V210)), "{status} {body}");
        assert!(without_answer(read_preauth(&answer(status, body))), "{status} {body}");
        assert!(without_answer(read_rreq(&answer(status, body), ARES_ID, ARES_ID)), "{status} {body}");
    }
    let twice = said("ares").replacen('{', "{\"transStatus\":\"N\",", 1);
    assert!(without_answer(read_ares(&answer(200, &twice), ARES_ID, Version::V210)), "a name twice");
}

#[test]
fn requests_are_the_documentations() {
    let pan = Pan::parse("4111111111111111").unwrap();
    let json = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    assert_eq!(json(&preauth(&pan, Some("visa"))), vectors()["preauth"]);
    assert_eq!(json(&preauth(&pan, None)), json!({"acctNumber": "4111111111111111"}));
    assert_eq!(json(&postauth("51d84cdf-5e5c-4d26-a1ca-ee0f6b6e8d5f")), vectors()["postauth"]);
}

#[test]
fn forms_of_the_browser_are_unpadded() {
    let decoded = |text: &str| {
        assert!(!text.contains(['=', '+', '/']), "{text}");
        serde_json::from_slice::<Value>(&base64url::decode(text).unwrap()).unwrap()
    };
    let challenge =
        creq("218565e2-0cae-4236-868e-09168275c8c6", "b85d3eb5-d2d2-45af-bc1b-6188021ae602", Version::V210, "01");
    assert_eq!(decoded(&challenge), vectors()["creq"]);
    let url = "https://pay.example/pluto/public/3ds/method/7";
    let expected = json!({"threeDSServerTransID": ARES_ID, "threeDSMethodNotificationURL": url});
    assert_eq!(decoded(&method_data(ARES_ID, url)), expected);
}

#[test]
fn what_banks_post_back() {
    let all = vectors();
    let example = all["methodDataAsDocumented"].as_str().unwrap();
    let id = "d461f105-1792-407f-95ff-9a496fd918a9";
    assert_eq!(method_id(example).as_deref(), Some(id), "the documentation's own example has the name wrong");
    let right = json!({"threeDSServerTransID": id}).to_string();
    for spelling in [base64url::encode(right.as_bytes()), format!("{}==", base64url::encode(right.as_bytes()))] {
        assert_eq!(method_id(&spelling).as_deref(), Some(id));
    }
    let answer = all["cres"].to_string();
    let read = cres(&base64url::encode(answer.as_bytes())).unwrap();
    assert_eq!(read, ("218565e2-0cae-4236-868e-09168275c8c6".to_owned(), "Y".to_owned()));
    for data in ["", "e30", "bnVsbA", "!", &base64url::encode(b"{\"threeDSServerTransID\":\"'; --\"}")] {
        assert_eq!((method_id(data), cres(data)), (None, None), "{data}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_posted_or_answered_panics(status in 0_u16..700, body in "\\PC{0,200}") {
        let _ = (method_id(&body), cres(&body));
        let answer = answer(status, &body);
        prop_assert!(read_preauth(&answer).is_err());
        prop_assert!(read_ares(&answer, ARES_ID, Version::V220).is_err());
        prop_assert!(read_rreq(&answer, ARES_ID, ARES_ID).is_err());
    }

    #[test]
    fn a_status_is_read_only_from_a_message_of_this_authentication(id in "[0-9a-f-]{36}", status in "[A-Z]") {
        let body = json!({"messageType": "ARes", "messageVersion": "2.2.0", "threeDSServerTransID": id, "transStatus": status});
        let read = read_ares(&answer(200, &body.to_string()), ARES_ID, Version::V220);
        prop_assert_eq!(read.is_ok(), id == ARES_ID && status != "C");
    }
}
