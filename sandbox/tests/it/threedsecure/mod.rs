//! 3dsecure.io's simulator, driven as a merchant's server and a shopper's browser drive it.

mod challenge;
mod checks;
mod frictionless;

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use scanvault_sandbox::{
    common::{admin, book::Book, clock::Clock, faults::Faults, ids::Ids, secret::SecretText},
    threedsecure::{self, Entry, Options, Server},
};
use serde_json::{Value, json};

use crate::{
    browser,
    support::{self, Answer, START, send},
};

pub(crate) const KEY: &str = "0d1c8a4e-9d4a-4f0e-9b57-8b0f5d6a3c21";
const NOTIFY: &str = "https://shop.example/challenge/end?a=1&b=2";

pub(crate) struct Sim {
    pub(crate) server: support::Server,
    clock: Clock,
}

impl Sim {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let clock = Clock::manual(START);
        let (book, faults) = (Arc::new(Book::<Entry>::default()), Arc::new(Faults::default()));
        let ids = Ids::seeded([9; 32]);
        let key = SecretText::new(KEY);
        let server = Server::new(key, options, clock.clone(), ids, book.clone(), faults.clone());
        let router = threedsecure::router(Arc::new(server)).merge(admin::router(book, faults));
        Self { server: support::Server::start(router).await, clock }
    }

    async fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        let headers = [("apikey", KEY), ("content-type", "application/json; charset=utf-8")];
        send(self.server.address, "POST", path, &headers, body.to_string().as_bytes()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).await.expect("an answer")
    }

    /// The id of a card that is enrolled.
    async fn preauth(&self, number: &str) -> String {
        let answer = self.post("/preauth", &json!({"acctNumber": number})).await;
        assert_eq!((answer.status, &answer.json()["messageType"]), (200, &json!("CRD")), "{}", answer.text());
        answer.json()["threeDSServerTransID"].as_str().unwrap().to_owned()
    }

    /// The AReq of such an id, and what came of it.
    pub(crate) async fn auth(&self, number: &str) -> Value {
        let id = self.preauth(number).await;
        let answer = self.post("/auth", &areq(number, &id)).await;
        assert_eq!((answer.status, &answer.json()["messageType"]), (200, &json!("ARes")), "{}", answer.text());
        answer.json()
    }

    pub(crate) async fn postauth(&self, id: &str) -> Answer {
        self.post("/postauth", &json!({"threeDSServerTransID": id})).await
    }

    /// Opens the challenge of an ARes, as the pay page's form does.
    pub(crate) async fn challenge(&self, ares: &Value) -> Answer {
        let path = browser::path(ares["acsURL"].as_str().unwrap(), self.server.address);
        browser::post(self.server.address, &path, &challenge_body(ares)).await
    }

    async fn order(&self, order: &str) {
        let kind = [("content-type", "application/json")];
        let answer = send(self.server.address, "POST", "/_faults", &kind, order.as_bytes()).await;
        assert_eq!(answer.unwrap().status, 204, "{order}");
    }

    async fn book(&self) -> Vec<Value> {
        let answer = send(self.server.address, "GET", "/_book", &[], b"").await.unwrap();
        answer.json().as_array().unwrap().clone()
    }
}

fn challenge_body(ares: &Value) -> String {
    let creq = json!({
        "threeDSServerTransID": ares["threeDSServerTransID"],
        "acsTransID": ares["acsTransID"],
        "messageVersion": ares["messageVersion"],
        "messageType": "CReq",
        "challengeWindowSize": "05",
    });
    format!("creq={}&threeDSSessionData=c2Vzc2lvbg", BASE64_URL_SAFE_NO_PAD.encode(creq.to_string()))
}

/// A complete request for the scripts of `number`.
fn areq(number: &str, id: &str) -> Value {
    let digit = |at: usize| &number[number.len() - 4 + at..number.len() - 3 + at];
    let version = match digit(0) {
        "1" => "2.1.0",
        "3" => "2.3.1",
        _ => "2.2.0",
    };
    let completion = match digit(1) {
        "0" => "Y",
        "1" => "U",
        _ => "N",
    };
    json!({
        "messageType": "AReq", "messageVersion": version, "messageCategory": "01", "deviceChannel": "02",
        "threeDSServerTransID": id, "acctNumber": number, "acquirerBIN": "438309",
        "acquirerMerchantID": "000000003000001", "mcc": "5411", "merchantCountryCode": "208",
        "merchantName": "Smith Radio", "notificationURL": NOTIFY, "threeDSRequestorURL": "https://shop.example",
        "threeDSRequestorAuthenticationInd": "01", "threeDSCompInd": completion, "purchaseAmount": "2050",
        "purchaseCurrency": "208", "purchaseExponent": "2", "purchaseDate": "20261121120000",
        "browserAcceptHeader": "text/html", "browserUserAgent": "test", "browserLanguage": "da-DK",
        "browserJavascriptEnabled": true, "browserJavaEnabled": false, "browserColorDepth": "24",
        "browserScreenHeight": "900", "browserScreenWidth": "1440", "browserTZ": "-60",
    })
}

fn erro(answer: &Answer, code: &str) -> Value {
    let body = answer.json();
    assert_eq!((&body["messageType"], &body["errorCode"]), (&json!("Erro"), &json!(code)), "{body}");
    assert_eq!(body["errorComponent"], "S");
    for field in ["errorDescription", "errorDetail", "messageVersion"] {
        assert!(body[field].is_string(), "{body}");
    }
    body
}
