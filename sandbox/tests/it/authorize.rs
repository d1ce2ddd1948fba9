//! `POST /authorizations`, `POST /credits`, and who may ask at all.

use scanvault_sandbox::clearhaus::Options;
use serde_json::{Value, json};

use crate::support::{HAL, START, Sim, card, pan, refused};

const NOW: &str = "2026-11-21T12:00:00+00:00";

#[tokio::test]
async fn an_approval_and_its_entry() {
    let sim = Sim::start().await;
    let answer = sim.post("/authorizations", &card(2050)).await;
    let body = answer.json();
    let id = body["id"].as_str().unwrap();
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["content-type"], HAL);
    let expected = json!({
        "id": id,
        "status": {"code": 20000},
        "processed_at": NOW,
        "amount": 2050,
        "currency": "ZAR",
        "text_on_statement": "merchant.example",
        "csc": {"present": true, "matches": true},
        "_links": {
            "captures": {"href": format!("/authorizations/{id}/captures")},
            "refunds": {"href": format!("/authorizations/{id}/refunds")},
            "voids": {"href": format!("/authorizations/{id}/voids")},
        },
    });
    assert_eq!(body, expected);
    let entry = json!({
        "id": id,
        "kind": "authorization",
        "authorization": id,
        "amount": 2050,
        "currency": "ZAR",
        "reference": "order-1",
        "status": 20000,
        "booked": true,
        "processed_at": NOW,
        "pan_last4": "1111",
    });
    assert_eq!(sim.book().await, [entry]);
    assert_eq!(START, 1_795_262_400, "NOW in text");
}

#[tokio::test]
async fn encoded_brackets_verification_and_unknown_parameters() {
    let sim = Sim::start().await;
    let encoded = card(0).replace('[', "%5B").replace(']', "%5d");
    sim.approved("/authorizations", &format!("{encoded}&future[thing]=1")).await;
    let differs = sim.post("/authorizations", &card(1).replace("987", "123")).await;
    assert_eq!(differs.json()["status"], json!({"code": 20000}), "a wrong csc alone is no decline");
    assert_eq!(differs.json()["csc"], json!({"present": true, "matches": false}));
}

#[tokio::test]
async fn field_rules() {
    let sim = Sim::start().await;
    for (from, to, code, message) in [
        ("amount=2050&", "", 40000, "parameter 'amount' is required"),
        ("amount=2050", "amount=20.50", 40000, "invalid 'amount'"),
        ("amount=2050", "amount=1000000000", 40000, "invalid 'amount'"),
        ("currency=ZAR&", "", 40000, "parameter 'currency' is required"),
        ("ZAR", "XTS", 40140, "invalid 'currency'"),
        ("1.1.1.1", "1.1.1.1.1", 40000, "invalid 'ip'"),
        ("order-1", "1234567890123456789012345678901", 40000, "invalid 'reference'"),
        ("reference=order-1", "text_on_statement=1234", 40150, "invalid 'text_on_statement'"),
        ("reference=order-1", "text_on_statement=abc", 40150, "invalid 'text_on_statement'"),
        ("4111111111111111", "411111111111111x", 40110, "invalid 'card[pan]'"),
        ("4111111111111111", "4012888888881881", 40110, "Invalid card number"),
        ("=06", "=13", 40130, "invalid 'card[expire_month]'"),
        ("=2030", "=30", 40130, "invalid 'card[expire_year]'"),
        ("=2030", "=2025", 40135, "Card expired"),
        ("=987", "=98", 40120, "invalid 'card[csc]'"),
        ("&card[csc]=987", "", 40000, "parameter 'card[csc]' is required"),
        ("&card[csc]=987", "&card[csc]=987&moto[pan]=1", 40000, "exactly one payment method must be used"),
        ("ip=1.1.1.1", "initiator=robot", 40000, "invalid 'initiator'"),
        (
            "ip=1.1.1.1",
            "series[type]=recurring&sca_exemption=low_value_payment",
            40000,
            "'series' and 'sca_exemption' are mutually exclusive",
        ),
    ] {
        let body = card(2050).replacen(from, to, 1);
        assert_ne!(body, card(2050));
        refused(&sim.post("/authorizations", &body).await, 400, code, message);
    }
    assert!(sim.book().await.is_empty(), "what Clearhaus refuses is not booked");
}

#[tokio::test]
async fn a_card_ends_with_its_month() {
    let sim = Sim::start().await;
    let body = card(1).replace("=06", "=11").replace("=2030", "=2026");
    sim.approved("/authorizations", &body).await;
    sim.clock.advance(10 * 86_400);
    refused(&sim.post("/authorizations", &body).await, 400, 40135, "Card expired");
}

#[tokio::test]
async fn magic_amounts() {
    let sim = Sim::start().await;
    let magic = |number: &str, amount: u64| format!("amount={amount}&currency=EUR&{}&card[csc]=987", pan(number));
    for number in ["4200000000000000", "5555555555554444"] {
        for (amount, code, message) in [
            (40413, 40413, "Insufficient funds"),
            (40416, 40416, "Additional authentication required"),
            (40420, 40420, "Merchant blocked by cardholder"),
            (2050, 40110, "Invalid card number"),
        ] {
            let answer = sim.post("/authorizations", &magic(number, amount)).await;
            let body = answer.json();
            let expected = json!({
                "id": body["id"],
                "status": {"code": code, "message": message},
                "processed_at": NOW,
                "csc": {"present": true, "matches": true},
            });
            assert_eq!((answer.status, &body), (201, &expected));
            let book = sim.book().await;
            let entry = book.last().unwrap();
            assert_eq!((&entry["id"], &entry["booked"], &entry["status"]), (&body["id"], &json!(false), &json!(code)));
        }
        sim.approved("/authorizations", &magic(number, 20000)).await;
    }
    let answer = sim.post("/authorizations", &magic("4200000000000000", 50000)).await.json();
    let id = answer["id"].as_str().unwrap();
    assert_eq!(answer["status"], json!({"code": 50000, "message": "Clearhaus error"}));
    assert_eq!(answer["_links"], json!({"voids": {"href": format!("/authorizations/{id}/voids")}}));
    sim.approved(&format!("/authorizations/{id}/voids"), "").await;
    let declined = sim.book().await[0]["id"].as_str().unwrap().to_owned();
    let refusal = sim.post(&format!("/authorizations/{declined}/captures"), "").await;
    refused(&refusal, 400, 40000, "authorization is not approved");
}

#[tokio::test]
async fn three_d_secure() {
    let sim = Sim::start().await;
    let with = |status: &str| {
        let json = format!(r#"{{"messageType":"ARes","messageVersion":"2.2.0","transStatus":"{status}"}}"#);
        format!("{}&card[3dsecure][v2][ares]={json}", card(2050))
    };
    let answer = sim.post("/authorizations", &with("Y")).await;
    assert_eq!((answer.status, &answer.json()["3dsecure"]), (201, &json!({"version": "2.2.0", "status": "Y"})));
    refused(&sim.post("/authorizations", &with("N")).await, 400, 40310, "3-D Secure authentication failure");
    refused(&sim.post("/authorizations", &with("C")).await, 400, 40300, "transStatus is not final");
    let broken = format!("{}&card[3dsecure][v2][ares]=e30", card(2050));
    refused(&sim.post("/authorizations", &broken).await, 400, 40300, "ARes cannot be parsed");
    let both = format!("{}&card[3dsecure][v2][rreq]={{}}", with("Y"));
    let message = "'card[3dsecure][v2]' must hold exactly one of ares, rreq, raw";
    refused(&sim.post("/authorizations", &both).await, 400, 40000, message);
}

#[tokio::test]
async fn a_series_goes_on() {
    let sim = Sim::start().await;
    let first = |number: &str| format!("amount=100&currency=EUR&{}&card[csc]=987&series[type]=recurring", pan(number));
    let next = |number: &str, id: &Value| {
        format!("amount=100&currency=EUR&{}&series[previous][id]={}", pan(number), id.as_str().unwrap())
    };
    let visa = sim.post("/authorizations", &first("4111111111111111")).await.json();
    let tid = visa["series"]["tid"].as_str().unwrap();
    assert_eq!(visa["series"], json!({"type": "recurring", "tid": tid}));
    assert!(tid.len() == 15 && tid.bytes().all(|byte| byte.is_ascii_digit()));
    let second = sim.post("/authorizations", &next("4111111111111111", &visa["id"])).await.json();
    assert_eq!((&second["status"]["code"], &second["series"]["type"]), (&json!(20000), &json!("recurring")));
    assert_eq!(second["csc"], Value::Null);

    let mastercard = sim.post("/authorizations", &first("5000000000000004")).await.json();
    let (tid, tlid) = (mastercard["series"]["tid"].as_str().unwrap(), mastercard["series"]["tlid"].as_str().unwrap());
    assert!(tid.len() == 15 && tid.ends_with("  ") && tlid.len() == 22);
    let second = sim.post("/authorizations", &next("5000000000000004", &mastercard["id"])).await.json();
    let related = |answer: &Value| answer["series"]["economically_related_tlid"].clone();
    assert_eq!(related(&second), related(&mastercard));
    assert_ne!(second["series"]["tlid"], mastercard["series"]["tlid"]);

    let single = sim.post("/authorizations", &card(1)).await.json();
    let message = "'series[previous][id]' is not an approved authorization of a series";
    refused(&sim.post("/authorizations", &next("4111111111111111", &single["id"])).await, 400, 40000, message);
    let unknown = json!("84412a34-fa29-4369-a098-0165a80e8fda");
    refused(&sim.post("/authorizations", &next("4111111111111111", &unknown)).await, 400, 40000, message);
}

#[tokio::test]
async fn trusted_partners_may_leave_the_csc_out() {
    let sim = Sim::with(Options { trusted_partner: true, ..Options::default() }).await;
    sim.approved("/authorizations", &card(1).replace("&card[csc]=987", "")).await;
}

#[tokio::test]
async fn credits() {
    let sim = Sim::start().await;
    let body = format!("amount=50000&currency=EUR&reference=win-1&{}&card[name]=A+Winner", pan("4111111111111111"));
    let answer = sim.post("/credits", &body).await;
    let id = answer.json()["id"].clone();
    let expected =
        json!({"id": id, "status": {"code": 20000}, "processed_at": NOW, "amount": 50000, "currency": "EUR"});
    assert_eq!((answer.status, answer.json()), (201, expected));
    let book = sim.book().await;
    assert_eq!((&book[0]["kind"], &book[0]["authorization"]), (&json!("credit"), &Value::Null));
    refused(&sim.post("/credits", &body.replace("50000", "0")).await, 400, 40000, "invalid 'amount'");
    let declined =
        sim.post("/credits", &body.replace("4111111111111111", "4200000000000000").replace("50000", "40410")).await;
    let status = json!({"code": 40410, "message": "Declined by issuer or card scheme"});
    assert_eq!((declined.status, &declined.json()["status"]), (201, &status));
}
