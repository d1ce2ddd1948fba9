//! Codes: made once for a reference, found only by their owner.

use std::sync::Arc;

use serde_json::json;

use crate::on_both;
use crate::world::{Forward, PUBLIC_URL, START_MS, World};

fn create(body: &str, auth: &str) -> Forward {
    Forward::post_text("/pluto/code/create", body).with(auth)
}

on_both! {
    async fn a_code_is_made_and_looked_up(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let body = r#"{"merchantReference":"auth-demo","amount":10.00,"shortDescription":"Two coffees"}"#;
        let answer = world.send(create(body, &auth)).await;
        let made = answer.json();
        let code = made["code"].as_str().unwrap();
        let expiry = START_MS + 1_000 + 30 * 60 * 1_000;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(made, json!({"code": code, "expiryDate": expiry, "codeUrl": format!("{PUBLIC_URL}/Q/{code}")}));
        assert!(code.len() == 10 && code.bytes().all(|b| b.is_ascii_digit()));

        let answer = world.send(Forward::get(format!("/pluto/code/{code}")).with(&auth)).await;
        assert!(answer.text().contains("\"amount\":10.00,"), "{}", answer.text());
        assert_eq!(answer.json(), json!({"code": code, "codeState": "Available", "merchantReference": "auth-demo",
            "merchantName": "Corner Shop", "amount": 10.0, "amountString": "10.00", "currencyCode": "ZAR",
            "expiryDate": expiry, "expired": false, "useOnce": true, "requestPartialPayment": false,
            "shortDescription": "Two coffees", "attempts": 0, "payments": 0, "codeUrl": format!("{PUBLIC_URL}/Q/{code}")}));
        world.clock.advance_ms(30 * 60 * 1_000);
        let later = world.send(Forward::get(format!("/pluto/code/{code}")).with(&auth)).await.json();
        assert_eq!((&later["expired"], &later["codeState"]), (&json!(true), &json!("Available")));
    }

    async fn the_same_call_again_has_the_first_answer_and_another_body_conflicts(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let first = world.send(create(r#"{"merchantReference":"r-1","amount":10.00}"#, &auth)).await;
        world.clock.advance_ms(5_000);
        let again = world.send(create(r#"{ "useOnce":true, "amount":10, "merchantReference":"r-1" }"#, &auth)).await;
        assert_eq!((again.status, again.json()), (first.status, first.json()));
        for other in [
            r#"{"merchantReference":"r-1","amount":10.01}"#,
            r#"{"merchantReference":"r-1","amount":10,"useOnce":false}"#,
            r#"{"merchantReference":"r-1","amount":10,"shortDescription":"x"}"#,
            r#"{"merchantReference":"r-1","amount":10,"expiryDate":0}"#,
        ] {
            world.send(create(other, &auth)).await.assert_problem(409, "reference-conflict");
        }
        // The reference is unique for the merchant, not for everybody.
        let other = world.merchant(26).await;
        let theirs = world.send(create(r#"{"merchantReference":"r-1","amount":10.00}"#, &other)).await;
        assert_ne!(theirs.json()["code"], first.json()["code"]);
    }

    async fn a_repeat_is_answered_even_when_its_expiry_has_passed(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let body = format!(r#"{{"merchantReference":"r-2","amount":1,"expiryDate":{}}}"#, START_MS + 10_000);
        let first = world.send(create(&body, &auth)).await;
        assert_eq!(first.status, 200);
        world.clock.advance_ms(60_000);
        assert_eq!(world.send(create(&body, &auth)).await.json(), first.json());
        let new = body.replace("r-2", "r-3");
        world.send(create(&new, &auth)).await.assert_problem(400, "bad-request");
    }

    async fn many_equal_calls_at_once_make_one_code(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let world = Arc::new(world);
        let calls: Vec<_> = (0..16)
            .map(|_| {
                let (world, auth) = (Arc::clone(&world), auth.clone());
                tokio::spawn(async move {
                    world.send(create(r#"{"merchantReference":"race","amount":5}"#, &auth)).await.json()["code"].clone()
                })
            })
            .collect();
        let mut codes = Vec::new();
        for call in calls {
            codes.push(call.await.unwrap());
        }
        assert!(codes[0].is_string() && codes.iter().all(|code| *code == codes[0]), "{codes:?}");
        assert_eq!(world.number("SELECT COUNT(*) FROM codes").await, 1);
    }

    async fn what_is_wrong_in_the_body_is_said(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let plain = "amount must be a plain decimal number such as 10.00";
        for (body, detail) in [
            (r#"{"merchantReference":"a","amount":"10.00"}"#, plain),
            (r#"{"merchantReference":"a","amount":1e3}"#, plain),
            (r#"{"merchantReference":"a","amount":-1}"#, "amount must not be negative"),
            (r#"{"merchantReference":"a","amount":0.001}"#, "amount is less than the smallest unit of the currency"),
            (r#"{"merchantReference":"a","amount":10000000}"#, "amount must not be more than 9,999,999.99"),
        ] {
            let answer = world.send(create(body, &auth)).await;
            answer.assert_problem(400, "invalid-amount");
            assert_eq!(answer.json()["detail"], detail, "{body}");
        }
        for (body, detail) in [
            (r#"{"merchantReference":"","amount":1}"#, "merchantReference must be 1 to 45 printable characters"),
            (r#"{"merchantReference":"a","amount":1,"expiryDate":-1}"#,
                "expiryDate -1 is not taken: what it means is not documented; 0 is never"),
            (r#"{"merchantReference":"a","amount":1,"limitBasket":"visa"}"#,
                "limitBasket is not taken: what it limits is not documented, and nothing here would enforce it"),
            (r#"{"amount":1}"#, "The body lacks a field, or a field has another type or name (line 1, column 12)"),
            (r#"{"merchantReference":"a","amount":NaN}"#, "The body is not JSON (line 1, column 35)"),
            ("{", "The body is not JSON (line 1, column 1)"),
            ("", "The body is not JSON (line 1, column 0)"),
        ] {
            let answer = world.send(create(body, &auth)).await;
            answer.assert_problem(400, "bad-request");
            assert_eq!(answer.json()["detail"], detail, "{body}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM payment_requests").await, 0);
        let mut text = create("{}", &auth);
        text.content_type = Some("text/plain");
        world.send(text).await.assert_problem(415, "unsupported-media-type");
    }

    async fn every_field_is_kept_shown_back_and_compared_when_the_call_is_repeated(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let fields = [
            r#""reserveQR":true"#,
            r#""requestTip":true"#,
            r#""basketItems":[{"price":12.30,"name":"a \" b"}]"#,
            r#""subMerchantName":"Tea Room""#,
            r#""terminalId":"T-1""#,
            r#""mcc":"0742""#,
            r#""requestPartialPayment":true"#,
            r#""productURL":"https://shop.example/tea""#,
        ];
        let body = |fields: &[&str]| {
            format!("{{\"merchantReference\":\"all\",\"amount\":12.345,{}}}", fields.join(", "))
        };
        let made = world.send(create(&body(&fields), &auth)).await.json();
        let kept = json!(["reserveQR", "requestTip", "basketItems", "subMerchantName", "terminalId", "mcc"]);
        assert_eq!(made["storedOnly"], kept);
        let code = made["code"].as_str().unwrap();
        let answer = world.send(Forward::get(format!("/pluto/code/{code}")).with(&auth)).await;
        assert!(answer.text().contains(r#""basketItems":[{"price":12.30,"name":"a \" b"}]"#), "{}", answer.text());
        let shown = answer.json();
        for (name, value) in [
            ("amountString", json!("12.34")), ("reserveQR", json!(true)), ("requestTip", json!(true)),
            ("subMerchantName", json!("Tea Room")), ("terminalId", json!("T-1")), ("mcc", json!("0742")),
            ("requestPartialPayment", json!(true)), ("productUrl", json!("https://shop.example/tea")),
            ("storedOnly", kept),
        ] {
            assert_eq!(shown[name], value, "{name}");
        }
        assert_eq!(world.send(create(&body(&fields), &auth)).await.json(), made);
        for left_out in 0..fields.len() {
            let others: Vec<_> = (0..fields.len()).filter(|at| *at != left_out).map(|at| fields[at]).collect();
            world.send(create(&body(&others), &auth)).await.assert_problem(409, "reference-conflict");
        }
    }

    async fn what_is_somebody_elses_does_not_exist(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = crate::card::code(&world, &auth, "mine", "7.00").await;
        let paid = crate::card::pay(&world, &code, "4111111111111111", 700).await.json();
        let transaction = paid["transactionId"].as_i64().unwrap();
        let (stranger, psp) = (world.merchant(26).await, world.account(&json!({"name": "psp-13"})).await);
        let own_psp = world.account(&json!({"name": "psp-14"})).await;
        world.execute("UPDATE accounts SET psp = 'psp-14' WHERE name = 'merchant-25'").await;
        for path in [format!("/pluto/code/{code}"), format!("/pluto/code/transaction/state/{transaction}")] {
            for (auth, status) in [(&auth, 200), (&own_psp, 200), (&stranger, 404), (&psp, 404)] {
                assert_eq!(world.send(Forward::get(path.clone()).with(auth)).await.status, status, "{path}");
            }
        }
        for path in ["/pluto/code/9999999999", "/pluto/code/12345", "/pluto/code/transaction/state/x",
            "/pluto/code/transaction/state/-1", "/pluto/code/transaction/state/99999999999999999999"] {
            world.send(Forward::get(path).with(&auth)).await.assert_problem(404, "not-found");
        }
        let for_25 = r#"{"merchantReference":"p","amount":1,"merchantId":25}"#;
        assert_eq!(world.send(create(for_25, &own_psp)).await.status, 200);
        world.send(create(for_25, &psp)).await.assert_problem(404, "not-found");
        world.send(create(for_25, &stranger)).await.assert_problem(404, "not-found");
        world.send(create(r#"{"merchantReference":"p","amount":1}"#, &own_psp)).await.assert_problem(400, "bad-request");
    }
}
