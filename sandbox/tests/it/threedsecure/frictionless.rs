//! `/preauth`, the method page, `/auth` without a challenge, the book and the faults.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Sim, areq, erro};
use crate::browser;

#[tokio::test]
async fn the_key_is_asked_first() {
    let sim = Sim::start().await;
    let json = ("content-type", "application/json");
    let (key, wrong) = (("APIKey", super::KEY), ("APIKey", "0d1c8a4e-9d4a-4f0e-9b57-8b0f5d6a3c22"));
    for headers in [vec![json], vec![json, wrong], vec![json, key, key]] {
        let answer = crate::support::send(sim.server.address, "POST", "/preauth", &headers, b"{}").await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (401, "Invalid API Key"));
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    }
    erro(&sim.post("/preauth", &json!({})).await, "201");
}

#[tokio::test]
async fn what_a_card_can_do() {
    let sim = Sim::start().await;
    let crd = sim.post("/preauth", &json!({"acctNumber": "4000100511112003", "ds": "visa"})).await.json();
    let url = format!("http://{}/browser/method", sim.server.address);
    for (field, value) in [
        ("acsStartProtocolVersion", "2.2.0"),
        ("acsEndProtocolVersion", "2.2.0"),
        ("dsEndProtocolVersion", "2.2.0"),
        ("scheme", "standin"),
        ("threeDSMethodURL", &url),
    ] {
        assert_eq!(crd[field], value, "{field}");
    }
    let all = sim.post("/preauth", &json!({"acctNumber": "5000100411110103"})).await.json();
    assert_eq!(all["acsStartProtocolVersion"], "2.1.0");
    assert_eq!(all["acsEndProtocolVersion"], "2.3.1");
    assert_eq!(all["acsProtocolVersions"].as_array().unwrap().len(), 3);
    assert!(all.get("threeDSMethodURL").is_none());
    for number in ["9000100111111111", "4111111111111111"] {
        let erro = erro(&sim.post("/preauth", &json!({"acctNumber": number})).await, "305");
        assert_eq!(erro["errorDescription"], "Unknown BIN");
    }
    for body in [json!({"acctNumber": "411111111111"}), json!({"acctNumber": 4_111_111_111_111_111_u64})] {
        erro(&sim.post("/preauth", &body).await, "203");
    }
    erro(&sim.post("/preauth", &json!({"acctNumber": "4000100511112003", "ds": "dankort"})).await, "203");
}

#[tokio::test]
async fn the_method_page_answers_or_does_not() {
    let sim = Sim::start().await;
    let data = |id: &str| {
        let json = json!({"threeDSServerTransID": id, "threeDSMethodNotificationURL": "https://shop.example/method"});
        BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
    };
    let (mut padded, mut bare) = (false, false);
    for _ in 0..8 {
        let id = sim.preauth("4000100511112003").await;
        let body = format!("threeDSMethodData={}", data(&id));
        let form = browser::form(&browser::post(sim.server.address, "/browser/method", &body).await);
        assert_eq!(form.action, "https://shop.example/method");
        let answer = form.field("threeDSMethodData");
        *if answer.ends_with('=') { &mut padded } else { &mut bare } = true;
        let json = BASE64_URL_SAFE_NO_PAD.decode(answer.trim_end_matches('=')).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), json!({"threeDSServerTransID": id}));
    }
    assert!(padded && bare, "a client meets both forms");
    let id = sim.preauth("5000100411110203").await;
    let page = browser::post(sim.server.address, "/browser/method", &format!("threeDSMethodData={}", data(&id))).await;
    assert!(browser::forms(&page).is_empty(), "silent");
    for body in [String::new(), format!("threeDSMethodData={}%3D", data("x")), "threeDSMethodData=e30".to_owned()] {
        assert_eq!(browser::post(sim.server.address, "/browser/method", &body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn outcomes_without_the_cardholder() {
    let sim = Sim::start().await;
    for (digits, status, eci) in [
        ("0103", "Y", "05"),
        ("1113", "N", "07"),
        ("2123", "A", "06"),
        ("0133", "R", "07"),
        ("2143", "I", "07"),
        ("3153", "U", "07"),
    ] {
        let ares = sim.auth(&format!("400010051111{digits}")).await;
        assert_eq!((&ares["transStatus"], &ares["eci"]), (&json!(status), &json!(eci)), "{ares}");
        let proof = ares["authenticationValue"].as_str().map(str::len);
        assert_eq!(proof, matches!(status, "Y" | "A").then_some(28), "{ares}");
        assert_eq!(ares.get("transStatusReason").is_some(), matches!(status, "N" | "R" | "U"), "{ares}");
        assert!(ares.get("acsURL").is_none());
        for field in ["acsReferenceNumber", "acsTransID", "dsReferenceNumber", "dsTransID", "messageVersion"] {
            assert!(ares[field].is_string(), "{field}");
        }
        let id = ares["threeDSServerTransID"].as_str().unwrap();
        erro(&sim.postauth(id).await, "305");
    }
    let number = "4000100511110163";
    let id = sim.preauth(number).await;
    let erro = erro(&sim.post("/auth", &areq(number, &id)).await, "405");
    assert_eq!((&erro["errorMessageType"], &erro["threeDSServerTransID"]), (&json!("AReq"), &json!(id)));
}

#[tokio::test]
async fn the_book_holds_acts_and_no_numbers() {
    let sim = Sim::start().await;
    let ares = sim.auth("4000100511112003").await;
    let id = &ares["threeDSServerTransID"];
    let book = sim.book().await;
    let entry = |kind: &str, amount: Value, currency: &str, status: &str, booked: bool| {
        json!({"id": id, "kind": kind, "amount": amount, "currency": currency, "status": status, "booked": booked,
               "processed_at": "2026-11-21T12:00:00+00:00", "pan_last4": "2003"})
    };
    let expected = [entry("preauth", Value::Null, "", "", false), entry("auth", json!(2050), "208", "Y", true)];
    assert_eq!(book, expected);
    assert!(!json!(book).to_string().contains("4000100511112003"));
}

#[tokio::test]
async fn ordered_faults() {
    let sim = Sim::start().await;
    let number = "4000100511112003";
    sim.order(r#"{"match":{"kind":"auth","amount":2050},"fault":"drop_before"}"#).await;
    let id = sim.preauth(number).await;
    assert!(sim.try_post("/auth", &areq(number, &id)).await.is_none());
    assert_eq!(sim.post("/auth", &areq(number, &id)).await.json()["transStatus"], "Y", "nothing had happened");

    sim.order(r#"{"match":{"kind":"auth"},"fault":"drop_after"}"#).await;
    let id = sim.preauth(number).await;
    assert!(sim.try_post("/auth", &areq(number, &id)).await.is_none());
    erro(&sim.post("/auth", &areq(number, &id)).await, "203");
    assert_eq!(sim.book().await.iter().filter(|entry| entry["booked"] == true).count(), 2);

    sim.order(r#"{"match":{"kind":"preauth"},"fault":"500"}"#).await;
    assert_eq!(sim.post("/preauth", &json!({"acctNumber": number})).await.status, 500);
    sim.order(r#"{"match":{"kind":"preauth"},"fault":"garbage"}"#).await;
    let answer = sim.post("/preauth", &json!({"acctNumber": number})).await;
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
}
