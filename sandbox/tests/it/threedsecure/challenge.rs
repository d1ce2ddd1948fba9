//! The challenge in the browser, its result, and its deadlines.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{NOTIFY, Sim, areq, challenge_body, erro};
use crate::browser::{self, Form};

const MANUAL: &str = "3000100811111072";

/// The form that leads back to the shop, and the CRes in it.
fn cres(form: &Form) -> Value {
    assert_eq!(form.action, NOTIFY);
    assert_eq!(form.field("threeDSSessionData"), "c2Vzc2lvbg");
    let json = BASE64_URL_SAFE_NO_PAD.decode(form.field("cres").trim_end_matches('=')).unwrap();
    serde_json::from_slice(&json).unwrap()
}

async fn press(sim: &Sim, ares: &Value, button: &str) -> Form {
    let page = browser::form(&sim.challenge(ares).await);
    assert_eq!(page.buttons.len(), 3);
    let answered = browser::post(sim.server.address, &page.action, &page.body(Some(button))).await;
    browser::form(&answered)
}

#[tokio::test]
async fn scripted_challenges_end_by_themselves() {
    let sim = Sim::start().await;
    for (number, status) in [("7000100911112070", "Y"), ("3000101011111071", "N")] {
        let ares = sim.auth(number).await;
        assert_eq!(ares["transStatus"], "C");
        assert_eq!(ares["acsChallengeMandated"], "N");
        let id = ares["threeDSServerTransID"].as_str().unwrap();
        erro(&sim.postauth(id).await, "305");
        let page = sim.challenge(&ares).await;
        assert!(page.text().contains("submit()"), "a browser goes on by itself");
        let cres = cres(&browser::form(&page));
        assert_eq!((&cres["transStatus"], &cres["messageType"]), (&json!(status), &json!("CRes")));
        assert_eq!((&cres["challengeCompletionInd"], &cres["threeDSServerTransID"]), (&json!("Y"), &json!(id)));
        for _ in 0..2 {
            let rreq = sim.postauth(id).await.json();
            assert_eq!((&rreq["messageType"], &rreq["transStatus"]), (&json!("RReq"), &json!(status)), "repeatable");
            assert_eq!(rreq["authenticationValue"].as_str().map(str::len), (status == "Y").then_some(28));
            assert_eq!((&rreq["interactionCounter"], &rreq["messageCategory"]), (&json!("01"), &json!("01")));
        }
    }
}

#[tokio::test]
async fn a_cardholder_decides() {
    let sim = Sim::start().await;
    for (button, status, cancel) in
        [("approve", "Y", Value::Null), ("decline", "N", Value::Null), ("cancel", "N", json!("01"))]
    {
        let ares = sim.auth(MANUAL).await;
        assert!(ares["acsURL"].as_str().unwrap().ends_with("/browser/challenge/manual"), "documented");
        assert_eq!(cres(&press(&sim, &ares, button).await)["transStatus"], status);
        let rreq = sim.postauth(ares["threeDSServerTransID"].as_str().unwrap()).await.json();
        assert_eq!((&rreq["transStatus"], &rreq["challengeCancel"]), (&json!(status), &cancel), "{rreq}");
        assert_eq!(sim.challenge(&ares).await.status, 400, "it is over");
    }
    let kinds: Vec<_> = sim.book().await.iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["preauth", "auth", "challenge"].repeat(3));
}

#[tokio::test]
async fn a_page_that_is_loaded_again_still_works() {
    let sim = Sim::start().await;
    let ares = sim.auth(MANUAL).await;
    sim.clock.advance(30);
    assert_eq!(sim.challenge(&ares).await.status, 200);
    sim.clock.advance(600);
    assert_eq!(cres(&press(&sim, &ares, "approve").await)["transStatus"], "Y", "ten minutes for each step");
}

#[tokio::test]
async fn deadlines() {
    let sim = Sim::start().await;
    let id = sim.preauth(MANUAL).await;
    sim.clock.advance(81);
    erro(&sim.post("/auth", &areq(MANUAL, &id)).await, "203");

    let ares = sim.auth(MANUAL).await;
    let id = ares["threeDSServerTransID"].as_str().unwrap();
    sim.clock.advance(31);
    assert_eq!(sim.challenge(&ares).await.status, 400, "it must start within 30 seconds");
    let rreq = sim.postauth(id).await.json();
    assert_eq!((&rreq["transStatus"], &rreq["challengeCancel"]), (&json!("N"), &json!("05")), "{rreq}");

    let ares = sim.auth(MANUAL).await;
    let id = ares["threeDSServerTransID"].as_str().unwrap();
    let page = browser::form(&sim.challenge(&ares).await);
    sim.clock.advance(601);
    let late = browser::post(sim.server.address, &page.action, &page.body(Some("approve"))).await;
    assert_eq!(late.status, 400);
    assert_eq!(sim.postauth(id).await.json()["challengeCancel"], "04");
    sim.clock.advance(299);
    assert_eq!(sim.postauth(id).await.status, 200, "kept for 300 seconds");
    sim.clock.advance(2);
    let erro = erro(&sim.postauth(id).await, "203");
    assert_eq!(erro["errorDetail"], "Unknown threeDSServerTransID");
}

#[tokio::test]
async fn decoupled() {
    let sim = Sim::start().await;
    let number = "3000100811112083";
    let id = sim.preauth(number).await;
    let mut request = areq(number, &id);
    request["threeDSRequestorDecReqInd"] = json!("Y");
    request["threeDSRequestorDecMaxTime"] = json!("00001");
    let ares = sim.post("/auth", &request).await.json();
    assert_eq!((&ares["transStatus"], &ares["authenticationType"]), (&json!("D"), &json!("04")), "{ares}");
    erro(&sim.postauth(&id).await, "305");
    sim.clock.advance(5);
    let rreq = sim.postauth(&id).await.json();
    assert_eq!((&rreq["transStatus"], &rreq["interactionCounter"]), (&json!("Y"), &json!("00")), "{rreq}");
    sim.clock.advance(1190);
    assert_eq!(sim.postauth(&id).await.status, 200, "kept for 20 minutes");

    let ares = sim.auth(number).await;
    assert_eq!((&ares["transStatus"], &ares["transStatusReason"]), (&json!("N"), &json!("23")), "not asked for");
}

#[tokio::test]
async fn what_a_browser_brings_is_checked() {
    let sim = Sim::start().await;
    let ares = sim.auth(MANUAL).await;
    let good = challenge_body(&ares);
    let path = browser::path(ares["acsURL"].as_str().unwrap(), sim.server.address);
    let creq = |field: &str, value: &str| {
        let mut changed = ares.clone();
        changed[field] = json!(value);
        challenge_body(&changed)
    };
    for body in [
        good.replace("&three", "%3D&three"),
        creq("acsTransID", "b85d3eb5-d2d2-45af-bc1b-6188021ae602"),
        creq("threeDSServerTransID", "b85d3eb5-d2d2-45af-bc1b-6188021ae602"),
        creq("messageVersion", "2.2.0"),
        good.replace("c2Vzc2lvbg", &"a".repeat(1025)),
        good.replace("c2Vzc2lvbg", "%22%3E"),
        "creq=e30".to_owned(),
        String::new(),
    ] {
        assert_eq!(browser::post(sim.server.address, &path, &body).await.status, 400, "{body}");
    }
    let form = "threeDSServerTransID=b85d3eb5-d2d2-45af-bc1b-6188021ae602&acsTransID=x&outcome=approve";
    assert_eq!(browser::post(sim.server.address, "/browser/challenge/manual/answer", form).await.status, 400);
    assert_eq!(browser::post(sim.server.address, &path, &good).await.status, 200);
    let id = ares["threeDSServerTransID"].as_str().unwrap();
    let form = format!("threeDSServerTransID={id}&acsTransID={}&outcome=perhaps", ares["acsTransID"].as_str().unwrap());
    assert_eq!(browser::post(sim.server.address, "/browser/challenge/manual/answer", &form).await.status, 400);
}

#[tokio::test]
async fn an_answer_that_comes_twice() {
    let sim = Sim::start().await;
    sim.order(r#"{"match":{"kind":"challenge","amount":2050},"fault":"duplicate"}"#).await;
    let ares = sim.auth("7000100911112070").await;
    let forms = browser::forms(&sim.challenge(&ares).await);
    assert_eq!(forms.len(), 2);
    assert_eq!(cres(&forms[0]), cres(&forms[1]));

    sim.order(r#"{"match":{"kind":"challenge"},"fault":"drop_after"}"#).await;
    let ares = sim.auth("7000100911112070").await;
    let path = browser::path(ares["acsURL"].as_str().unwrap(), sim.server.address);
    assert!(browser::try_post(sim.server.address, &path, &challenge_body(&ares)).await.is_none());
    let rreq = sim.postauth(ares["threeDSServerTransID"].as_str().unwrap()).await.json();
    assert_eq!(rreq["transStatus"], "Y", "the bank knows, the browser does not");
}
