//! Polls and look-ups: every field of the reference's answer, who may poll and how fast.

use serde_json::{Value, json};

use crate::card;
use crate::on_both;
use crate::world::{Answer, Forward, World};

/// A merchant that takes cards and has no webhook: one that may poll.
async fn poller(world: &mut World) -> String {
    let auth = world.ready().await;
    world.execute("UPDATE accounts SET webhook_url = NULL WHERE name = 'merchant-25'").await;
    auth
}

async fn ask(world: &World, auth: &str, path: &str, body: &Value) -> Answer {
    world.send(Forward::post(format!("/pluto/code/{path}"), body).with(auth)).await
}

/// Polls when it may be polled again.
async fn poll(world: &World, auth: &str, path: &str, code: &str, reference: &str) -> Answer {
    world.clock.advance_ms(5_000);
    ask(world, auth, path, &json!({"code": code, "merchantReference": reference})).await
}

on_both! {
    async fn a_poll_has_every_field_from_nothing_to_paid(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let code = card::code(&world, &auth, "q-1", "10.50").await;
        let nothing = json!({"transactionId": null, "reference": "q-1", "amount": 10.5, "currencyCode": "ZAR",
            "status": "N/A", "clientMsisdn": null, "bankResponse": null, "code": code,
            "retrievalReferenceNumber": null, "authCode": null, "date": null});
        let answer = poll(&world, &auth, "queryRef", &code, "q-1").await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, nothing.clone()));
        assert!(answer.text().contains("\"amount\":10.50,"), "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(poll(&world, &auth, "queryRef/refund", &code, "q-1").await.json(), nothing);

        let paid = card::pay(&world, &code, "4111111111111111", 1050).await.json();
        assert_eq!(paid["state"], "paid", "{paid}");
        world.execute("UPDATE transactions SET payer_msisdn = '27831234567', approval_code = '123456'").await;
        let answer = poll(&world, &auth, "queryRef", &code, "q-1").await;
        let date = answer.json()["date"].as_str().unwrap().to_owned();
        assert_eq!(answer.json(), json!({"transactionId": paid["transactionId"], "reference": "q-1", "amount": 10.5,
            "currencyCode": "ZAR", "status": "SUCCESS", "clientMsisdn": "27831234567", "bankResponse": "00",
            "code": code, "retrievalReferenceNumber": paid["transactionId"], "authCode": "123456", "date": date}));
        // YYYY-MM-DD HH:mm:SS:ms
        assert_eq!((date.len(), &date[..11], &date[13..14], &date[19..20]), (23, "2026-11-21 ", ":", ":"), "{date}");
        assert_eq!(poll(&world, &auth, "queryRef/refund", &code, "q-1").await.json()["status"], "N/A");
    }

    async fn a_refusal_is_told_with_the_banks_code(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let code = card::code(&world, &auth, "q-2", "10.00").await;
        let refused = card::pay(&world, &code, "4000000000000002", 1000).await.json();
        let answer = poll(&world, &auth, "queryRef", &code, "q-2").await.json();
        let stored = world.number("SELECT COUNT(*) FROM transactions WHERE bank_code IS NOT NULL").await;
        assert_eq!(answer["bankResponse"].is_string(), stored == 1, "{answer}");
        assert_eq!((&answer["status"], &answer["authCode"], &answer["transactionId"]),
            (&json!("END_BANK_NON_00"), &json!(null), &refused["transactionId"]), "{refused}");
    }

    async fn a_poll_is_of_the_last_attempt_under_the_reference(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let body = json!({"merchantReference": "t-1", "amount": 10, "useOnce": false, "expiryDate": 0});
        let made = ask(&world, &auth, "create", &body).await.json();
        let code = made["code"].as_str().unwrap();
        let first = card::pay(&world, code, "4111111111111111", 1000).await.json()["transactionId"].clone();
        let second = card::pay(&world, code, "4111111111111111", 1000).await.json()["transactionId"].clone();
        assert_ne!(first, second);
        assert_eq!(poll(&world, &auth, "queryRef", code, "t-1").await.json()["transactionId"], second);
        let change = json!({"amount": 20, "merchantReference": "t-2"});
        let changed = world.send(Forward::put(format!("/pluto/code/{code}/amount"), &change).with(&auth)).await;
        assert_eq!(changed.status, 200);
        let nothing = poll(&world, &auth, "queryRef", code, "t-2").await.json();
        assert_eq!((&nothing["status"], &nothing["amount"]), (&json!("N/A"), &json!(20.0)));
        assert_eq!(poll(&world, &auth, "queryRef", code, "t-1").await.json()["transactionId"], second);
        let third = card::pay(&world, code, "4111111111111111", 2000).await.json()["transactionId"].clone();
        assert_eq!(poll(&world, &auth, "queryRef", code, "t-2").await.json()["transactionId"], third);
        // A reference that the code has had and nobody paid is known; another code's, or nobody's, is not.
        for reference in ["t-3", "t-4"] {
            let change = json!({"amount": 30, "merchantReference": reference});
            world.send(Forward::put(format!("/pluto/code/{code}/amount"), &change).with(&auth)).await;
        }
        let nothing = poll(&world, &auth, "queryRef", code, "t-3").await.json();
        assert_eq!((&nothing["status"], &nothing["amount"]), (&json!("N/A"), &json!(null)));
        let other = card::code(&world, &auth, "t-9", "1.00").await;
        for (code, reference) in [(code, "t-9"), (code, "never"), (other.as_str(), "t-1")] {
            poll(&world, &auth, "queryRef", code, reference).await.assert_problem(404, "not-found");
            poll(&world, &auth, "queryRef/refund", code, reference).await.assert_problem(404, "not-found");
        }
    }

    async fn who_has_a_webhook_does_not_poll_and_loses_no_other_call(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = card::code(&world, &auth, "w-1", "10.00").await;
        let paid = card::pay(&world, &code, "4111111111111111", 1000).await.json();
        let text = "This merchant has a webhook: ask /pluto/code/transaction/state/{transactionId} instead";
        for path in ["queryRef", "queryRef/refund"] {
            let answer = poll(&world, &auth, path, &code, "w-1").await;
            answer.assert_problem(406, "not-acceptable");
            assert_eq!((&answer.json()["detail"], &answer.json()["title"]), (&json!(text), &json!("Not Acceptable")));
        }
        let id = &paid["transactionId"];
        let state = world.send(Forward::get(format!("/pluto/code/transaction/state/{id}")).with(&auth)).await;
        assert_eq!(state.status, 200);
        let by_qr = ask(&world, &auth, "transaction/stateByQr", &json!({"code": code, "amount": 10})).await;
        assert_eq!((by_qr.status.as_u16(), by_qr.json()), (200, state.json()));
        let whole = state.json();
        assert_eq!(whole, json!({"transactionId": id, "reference": "w-1", "code": code, "amount": 10.0,
            "currencyCode": "ZAR", "status": "SUCCESS", "cardInfo": {"bin": "411111", "lastFour": "1111"},
            "date": whole["date"], "index": 1, "capturedAmount": 10.0, "refundedAmount": 0.0}));
        // A PSP's own webhook has nothing to do with it: it is the merchant's that counts.
        let psp = world.account(&json!({"name": "psp-13"})).await;
        world.execute("UPDATE accounts SET psp = 'psp-13' WHERE name = 'merchant-25'").await;
        poll(&world, &psp, "queryRef", &code, "w-1").await.assert_problem(406, "not-acceptable");
    }

    async fn polls_are_not_faster_than_every_five_seconds(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let (code, other) = (card::code(&world, &auth, "f-1", "1.00").await, card::code(&world, &auth, "f-2", "1.00").await);
        let body = json!({"code": code, "merchantReference": "f-1"});
        assert_eq!(ask(&world, &auth, "queryRef", &body).await.status, 200);
        for (wait_ms, secs) in [(0, "5"), (2_000, "3"), (2_999, "1")] {
            world.clock.advance_ms(wait_ms);
            let answer = ask(&world, &auth, "queryRef", &body).await;
            answer.assert_problem(429, "too-many-requests");
            assert_eq!(answer.header("retry-after"), secs);
        }
        assert_eq!(ask(&world, &auth, "queryRef/refund", &body).await.status, 200);
        let body_of_other = json!({"code": other, "merchantReference": "f-2"});
        assert_eq!(ask(&world, &auth, "queryRef", &body_of_other).await.status, 200);
        world.clock.advance_ms(1);
        assert_eq!(ask(&world, &auth, "queryRef", &body).await.status, 200);
        let forward = Forward::post("/pluto/code/queryRef", &body).with(&auth);
        let app = std::sync::Arc::new(
            world.beside_with(|config| config.rate_limits = scanvault_origin::app::config::Switch::Off).await,
        );
        world.clock.advance_ms(1_000);
        for _ in 0..5 {
            let request = world.signed(&forward);
            let answer = scanvault_origin::app::router::answer_public(std::sync::Arc::clone(&app), request).await;
            assert_eq!(Answer::of(answer).await.status, 200);
        }
    }

    async fn a_payment_is_found_by_its_code_and_amount(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let body = json!({"merchantReference": "y-1", "amount": 0, "expiryDate": 0});
        let made = ask(&world, &auth, "create", &body).await.json();
        let code = made["code"].as_str().unwrap();
        let ten = card::pay(&world, code, "4111111111111111", 1000).await.json()["transactionId"].clone();
        let five = card::pay(&world, code, "4111111111111111", 500).await.json()["transactionId"].clone();
        for (amount, id) in [(json!(10), &ten), (json!(5.001), &five)] {
            let found = ask(&world, &auth, "transaction/stateByQr", &json!({"code": code, "amount": amount})).await;
            assert_eq!((found.status.as_u16(), &found.json()["transactionId"]), (200, id), "{amount}");
        }
        let none = ask(&world, &auth, "transaction/stateByQr", &json!({"code": code, "amount": 7})).await;
        none.assert_problem(404, "not-found");
        assert_eq!(none.json()["detail"], "Nobody has tried to pay this amount with this code");
        let bad = json!({"code": code, "amount": "7"});
        ask(&world, &auth, "transaction/stateByQr", &bad).await.assert_problem(400, "invalid-amount");
    }

    async fn every_call_that_names_a_merchant_means_that_merchant(world: World) {
        let mut world = world;
        let auth = poller(&mut world).await;
        let code = card::code(&world, &auth, "n-1", "10.00").await;
        for (id, status) in [(25, 200), (26, 404)] {
            let poll = json!({"code": code, "merchantReference": "n-1", "merchantId": id});
            assert_eq!(ask(&world, &auth, "queryRef", &poll).await.status, status);
            let edit = Forward::put(format!("/pluto/code/{code}"), &json!({"mcc": "5812", "merchantId": id}));
            assert_eq!(world.send(edit.with(&auth)).await.status, status);
            let state = json!({"code": code, "amount": 10, "merchantId": id});
            assert_eq!(ask(&world, &auth, "transaction/stateByQr", &state).await.status, 404);
        }
    }

    async fn the_references_statuses_are_told_where_they_are_asked_for(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = card::code(&world, &auth, "d-1", "10.00").await;
        let reference = scanvault_origin::app::config::ErrorDialect::Reference;
        let app = std::sync::Arc::new(world.beside_with(|config| config.pluto_errors = reference).await);
        world.clock.advance_ms(1_000);
        let ask = async |forward: Forward| {
            let request = world.signed(&forward);
            let answer = scanvault_origin::app::router::answer_public(std::sync::Arc::clone(&app), request).await;
            let answer = Answer::of(answer).await;
            answer.assert_hardened();
            let is_text = answer.header("content-type") == "text/plain; charset=utf-8";
            (answer.status.as_u16(), if is_text { answer.text() } else { format!("document: {}", answer.json()["code"]) })
        };
        let post = |path: &str, body: Value| Forward::post(format!("/pluto/code/{path}"), &body).with(&auth);
        let told = |status: u16, text: &str| (status, text.to_owned());
        assert_eq!(ask(Forward::get("/pluto/code/0000000000").with(&auth)).await, told(431, "CODE_NOT_FOUND: Not found"));
        let amount = json!({"merchantReference": "d-2", "amount": -1});
        assert_eq!(ask(post("create", amount)).await, told(432, "INVALID_AMOUNT: amount must not be negative"));
        let text = "merchantReference must be 1 to 45 printable characters";
        assert_eq!(ask(post("create", json!({"merchantReference": "", "amount": 1}))).await, told(400, text));
        let text = "This merchant has a webhook: ask /pluto/code/transaction/state/{transactionId} instead";
        assert_eq!(ask(post("queryRef", json!({"code": code, "merchantReference": "d-1"}))).await, told(406, text));
        let state = Forward::get("/pluto/code/transaction/state/99").with(&auth);
        assert_eq!(ask(state).await, told(404, "Not found"));
        // What either half refuses before a handler is asked stays as it is.
        let nobody = Forward::get("/pluto/code/0000000000");
        assert_eq!(ask(nobody).await, told(401, "document: \"bad-credentials\""));

    }
}
