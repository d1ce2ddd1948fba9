//! Who may ask, in which form, and what exists.

use serde_json::json;

use crate::support::{API_KEY, HAL, KEY_ID, Sim, basic, card, refused, send};

#[tokio::test]
async fn only_the_api_key_opens() {
    let sim = Sim::start().await;
    let body = card(1);
    let signature = sim.sign(&body);
    let wrong = basic().replace('M', "N");
    let paths =
        [("GET", "/"), ("GET", "/account"), ("POST", "/authorizations"), ("POST", "/credits"), ("GET", "/nothing")];
    for (method, path) in paths {
        for authorization in ["", "Basic", &wrong, &format!("Bearer {API_KEY}")] {
            let headers = [("authorization", authorization), ("signature", &*signature)];
            let answer = send(sim.server.address, method, path, &headers, body.as_bytes()).await.unwrap();
            assert_eq!((answer.status, answer.body.len()), (401, 0), "{method} {path} {authorization}");
        }
    }
    assert!(sim.book().await.is_empty());
}

#[tokio::test]
async fn posts_are_signed_over_the_raw_body() {
    let sim = Sim::start().await;
    let body = card(1);
    let good = sim.sign(&body);
    let unknown_key = good.replace(KEY_ID, API_KEY);
    let other_body = sim.sign(&card(2));
    for (signature, message) in [
        (None, "exactly one signature is required"),
        (Some("nonsense"), "malformed signature"),
        (Some(&*unknown_key), "invalid signing api-key"),
        (Some(&*other_body), "invalid signature"),
    ] {
        let basic = basic();
        let mut headers = vec![("authorization", &*basic), ("content-type", "application/x-www-form-urlencoded")];
        headers.extend(signature.map(|signature| ("signature", signature)));
        for path in ["/authorizations", "/credits", "/authorizations/x/captures", "/authorizations/x/voids"] {
            let answer = send(sim.server.address, "POST", path, &headers, body.as_bytes()).await.unwrap();
            refused(&answer, 400, 40000, message);
        }
    }
    // Optional on other requests, but not to be wrong.
    let headers = [("authorization", &*basic()), ("signature", &*good)];
    let answer = send(sim.server.address, "GET", "/account", &headers, b"").await.unwrap();
    refused(&answer, 400, 40000, "invalid signature");
    let empty = sim.sign("");
    let headers = [("authorization", &*basic()), ("signature", &*empty)];
    assert_eq!(send(sim.server.address, "GET", "/account", &headers, b"").await.unwrap().status, 200);
    assert!(sim.book().await.is_empty());
}

#[tokio::test]
async fn bodies_that_are_no_forms() {
    let sim = Sim::start().await;
    let json = r#"{"amount":1}"#;
    let signature = sim.sign(json);
    let basic = basic();
    let headers = [("authorization", &*basic), ("signature", &*signature), ("content-type", "application/json")];
    let answer = send(sim.server.address, "POST", "/authorizations", &headers, json.as_bytes()).await.unwrap();
    refused(&answer, 400, 40000, "the body must be application/x-www-form-urlencoded");
    refused(&sim.post("/authorizations", "amount=%4").await, 400, 40000, "malformed percent-encoding");
    refused(&sim.post("/authorizations", "amount=1&amount=1").await, 400, 40000, "parameter given twice");
    assert_eq!(sim.post("/authorizations", &"a".repeat(64 * 1024 + 1)).await.status, 413);
}

#[tokio::test]
async fn discovery_account_and_what_does_not_exist() {
    let sim = Sim::start().await;
    let root = sim.get("/").await;
    let links = json!({"_links": {"authorizations": {"href": "/authorizations"}, "account": {"href": "/account"}}});
    assert_eq!((root.status, root.json()), (200, links));
    let account = sim.get("/account").await;
    assert_eq!(account.headers["content-type"], HAL);
    assert_eq!(account.json()["merchant_id"], "000000003000001");
    assert_eq!(account.json()["acquirer"], json!({"visa_bin": 438_309, "mastercard_bin": 526_571}));
    for (method, path) in [("GET", "/authorizations"), ("PUT", "/credits"), ("POST", "/debits"), ("POST", "/cards")] {
        let answer = sim.call(method, path, b"").await;
        assert_eq!((answer.status, answer.body.len()), (404, 0), "{method} {path}");
    }
}
