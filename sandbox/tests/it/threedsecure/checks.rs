//! Which requests are refused, and with which code.

use scanvault_sandbox::threedsecure::Options;
use serde_json::{Value, json};

use super::{Sim, areq, erro};

const NUMBER: &str = "4000100511110003";

#[tokio::test]
async fn every_required_field() {
    let sim = Sim::start().await;
    let id = sim.preauth(NUMBER).await;
    let good = areq(NUMBER, &id);
    let names: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 28);
    for name in &names {
        let mut request = good.clone();
        request.as_object_mut().unwrap().remove(name);
        let erro = erro(&sim.post("/auth", &request).await, "201");
        assert_eq!((&erro["errorDetail"], &erro["errorMessageType"]), (&json!(name), &json!("AReq")));
    }
    assert_eq!(sim.post("/auth", &good).await.json()["transStatus"], "Y", "a refusal does not use the id up");
}

#[tokio::test]
async fn malformed_fields() {
    let sim = Sim::start().await;
    let good = areq(NUMBER, &sim.preauth(NUMBER).await);
    for (field, value, code) in [
        ("messageType", json!("CReq"), "101"),
        ("messageVersion", json!("2.4.0"), "102"),
        ("messageCategory", json!("03"), "203"),
        ("deviceChannel", json!("01"), "203"),
        ("threeDSServerTransID", json!("x"), "203"),
        ("acctNumber", json!("411111111111"), "203"),
        ("acctNumber", json!("4000100511112003"), "305"),
        ("acquirerBIN", json!("123456789012"), "203"),
        ("mcc", json!("541"), "306"),
        ("merchantCountryCode", json!("DK"), "304"),
        ("merchantCountryCode", json!("901"), "304"),
        ("merchantName", json!("x".repeat(41)), "203"),
        ("notificationURL", json!("shop.example"), "203"),
        ("notificationURL", json!(format!("https://{}", "x".repeat(249))), "203"),
        ("purchaseAmount", json!(2050), "203"),
        ("purchaseAmount", json!("20.50"), "203"),
        ("purchaseCurrency", json!("DKK"), "304"),
        ("purchaseDate", json!("2026-11-21"), "203"),
        ("threeDSCompInd", json!("U"), "203"),
        ("browserJavaEnabled", json!("false"), "203"),
        ("browserColorDepth", json!("30"), "203"),
        ("browserTZ", json!("CET"), "203"),
        ("browserTZ", Value::Null, "201"),
        ("browserLanguage", json!("da-DK-123"), "203"),
        ("cardholderName", json!("Søren"), "203"),
        ("email", json!("nobody"), "203"),
        ("cardExpiryDate", json!("203"), "203"),
    ] {
        let mut request = good.clone();
        request[field] = value;
        erro(&sim.post("/auth", &request).await, code);
    }
}

#[tokio::test]
async fn no_script_no_screen() {
    let sim = Sim::start().await;
    let mut request = areq(NUMBER, &sim.preauth(NUMBER).await);
    request["browserJavascriptEnabled"] = json!(false);
    for name in ["browserJavaEnabled", "browserColorDepth", "browserScreenHeight", "browserScreenWidth", "browserTZ"] {
        request.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(sim.post("/auth", &request).await.json()["transStatus"], "Y");
    // 2.1 cannot say that there is no script, so there the fields are required.
    let number = "4000100511111003";
    let mut old = areq(number, &sim.preauth(number).await);
    old.as_object_mut().unwrap().remove("browserJavascriptEnabled");
    old.as_object_mut().unwrap().remove("browserTZ");
    erro(&sim.post("/auth", &old).await, "201");
}

#[tokio::test]
async fn the_method_s_outcome_and_the_version_must_fit_the_card() {
    let sim = Sim::start().await;
    for (number, field, value, code) in [
        ("5000100411110203", "threeDSCompInd", "Y", "203"),
        ("6000100611111103", "threeDSCompInd", "N", "203"),
        ("6000100611111103", "messageVersion", "2.2.0", "102"),
        ("4000100511112003", "messageVersion", "2.1.0", "102"),
    ] {
        let mut request = areq(number, &sim.preauth(number).await);
        request[field] = json!(value);
        erro(&sim.post("/auth", &request).await, code);
    }
}

#[tokio::test]
async fn schemes_may_want_more() {
    let sim = Sim::with(Options { scheme_rules: true, ..Options::default() }).await;
    let mut request = areq(NUMBER, &sim.preauth(NUMBER).await);
    for (field, value) in [
        ("cardExpiryDate", "3006"),
        ("cardholderName", "Jane Doe"),
        ("email", "jane@shop.example"),
        ("billAddrCity", "Broby"),
        ("billAddrCountry", "208"),
        ("billAddrLine1", "Boulevard 4"),
        ("billAddrPostCode", "3266"),
        ("billAddrState", "84"),
    ] {
        assert_eq!(erro(&sim.post("/auth", &request).await, "201")["errorDetail"], field);
        request[field] = json!(value);
    }
    assert_eq!(sim.post("/auth", &request).await.json()["transStatus"], "Y");
}

#[tokio::test]
async fn other_bodies_and_paths() {
    let sim = Sim::start().await;
    let (key, json) = (("apikey", super::KEY), ("content-type", "application/json"));
    let send = async |path: &str, headers: &[(&str, &str)], body: &str| {
        crate::support::send(sim.server.address, "POST", path, headers, body.as_bytes()).await.unwrap()
    };
    erro(&send("/preauth", &[key, json], "[]").await, "101");
    erro(&send("/preauth", &[key], "{}").await, "101");
    erro(&send("/challenge", &[key, json], "{}").await, "303");
    erro(&sim.post("/postauth", &json!({})).await, "201");
    erro(&sim.postauth("x").await, "203");
    erro(&sim.postauth("b85d3eb5-d2d2-45af-bc1b-6188021ae602").await, "203");
}
