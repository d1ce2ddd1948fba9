//! A payment and everything that can become of it. The gateway's book is the other side's word on each.

use std::sync::Arc;
use std::time::Duration;

use scanvault_origin::acquirers::clearhaus::Clearhaus;
use scanvault_origin::acquirers::{
    self, Acquirer, AcquirerError, Acquirers, Call, Capabilities, Opened, Outcome, Party, Request, Transport, Wire,
};
use scanvault_origin::money::{Amount, Currency};
use scanvault_origin::payments::pay::{PayOutcome, Payments, Post};
use scanvault_origin::payments::resolver::ABANDONED_AFTER_MS;
use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::{Fault, Match, Order};
use serde_json::{Value, json};

use crate::card::{Page, code, pay};
use crate::on_both;
use crate::world::{Answer, Forward, World};

const PAN: &str = "4111111111111111";
/// With this one the amount is the gateway's answer.
const MAGIC_PAN: &str = "4200000000000000";

fn fault(world: &World, kind: Kind, fault: Fault) {
    let order = Order { r#match: Match { kind: Some(kind), amount: None }, fault, delay_ms: 0, times: 1 };
    world.faults.order(order);
}

async fn states(world: &World, auth: &str, code: &str, paid: &Answer) -> (String, String) {
    let id = paid.json()["transactionId"].as_i64().unwrap();
    let found = world.send(Forward::get(format!("/pluto/code/{code}")).with(auth)).await.json();
    let state = world.send(Forward::get(format!("/pluto/code/transaction/state/{id}")).with(auth)).await.json();
    (found["codeState"].as_str().unwrap().to_owned(), state["status"].as_str().unwrap().to_owned())
}

fn kinds(world: &World) -> Vec<Kind> {
    world.booked().into_iter().map(|entry| entry.kind).collect()
}

/// Asks the database until the count is one.
async fn until(world: &World, count: &'static str) {
    let asked = async {
        while world.number(count).await != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect(count);
}

/// Every change of every account has the next number, and none is missing.
pub(crate) async fn assert_feed_is_gap_free(world: &World) {
    let gaps = "SELECT COUNT(*) FROM accounts a WHERE a.change_seq <> (SELECT COUNT(*) FROM changes c WHERE c.account = a.name)";
    assert_eq!(world.number(gaps).await, 0);
    let beyond =
        "SELECT COUNT(*) FROM changes c JOIN accounts a ON a.name = c.account WHERE c.seq > a.change_seq OR c.seq < 1";
    assert_eq!(world.number(beyond).await, 0);
}

on_both! {
    async fn a_payment_is_authorised_captured_and_told(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "order-1", "10.00").await;
        let paid = pay(&world, &code, PAN, 1000).await;
        let id = paid.json()["transactionId"].as_i64().unwrap();
        assert_eq!(paid.json(), json!({"state": "paid", "transactionId": id}));
        assert_eq!(states(&world, &auth, &code, &paid).await, ("Used".into(), "SUCCESS".into()));
        let book = world.booked();
        assert_eq!(book.len(), 2);
        for (entry, kind) in book.iter().zip([Kind::Authorization, Kind::Capture]) {
            assert_eq!((entry.kind, entry.amount, entry.currency.as_str()), (kind, 1000, "ZAR"));
        }
        assert_eq!(book[0].reference.as_deref(), Some(format!("sv-{id}").as_str()));
        let body = sqlx::query("SELECT body FROM outbox WHERE state = 'pending'").fetch_one(world.app.db.read()).await.unwrap();
        let body: String = sqlx::Row::try_get(&body, 0).unwrap();
        let told: Value = serde_json::from_str(&body).unwrap();
        let date = told["date"].clone();
        assert_eq!(told, json!({"transactionId": id, "reference": "order-1", "code": code, "amount": 10.0,
            "currencyCode": "ZAR", "status": "SUCCESS", "cardInfo": {"bin": "411111", "lastFour": "1111"}, "date": date, "seq": 2}));
        assert!(body.contains("\"amount\":10.00,"));
        assert_eq!(date, "2026-11-21 12:00:01:500");
        assert_feed_is_gap_free(&world).await;
    }

    async fn a_used_code_cannot_be_paid_again(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "once", "10.00").await;
        let page = Page::load(&world, &code).await;
        let (first, second) = (page.pay_with(&page.card(PAN, 1000)), Page::load(&world, &code).await);
        let paid = world.send(first.clone()).await.json();
        assert_eq!(paid["state"], "paid");
        // The very same card again: its answer again, and no second charge.
        assert_eq!(world.send(first).await.json(), paid);
        world.send(second.pay_with(&second.card(PAN, 1000))).await.assert_problem(409, "code-not-payable");
        let shown = world.send(Forward::get(format!("/q/{code}"))).await;
        assert!(shown.status == 200 && shown.text().contains("data-state=\"paid\""));
        assert_eq!(kinds(&world), [Kind::Authorization, Kind::Capture]);
    }

    async fn sixteen_payers_of_one_code_make_one_charge(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "race", "10.00").await;
        let mut pages = Vec::new();
        for _ in 0..16 {
            pages.push(Page::load(&world, &code).await);
        }
        let world = Arc::new(world);
        let payers: Vec<_> = pages
            .into_iter()
            .map(|page| {
                let world = Arc::clone(&world);
                tokio::spawn(async move { world.send(page.pay_with(&page.card(PAN, 1000))).await })
            })
            .collect();
        let mut paid = 0;
        for payer in payers {
            let answer = payer.await.unwrap();
            match answer.status.as_u16() {
                200 => paid += usize::from(answer.json()["state"] == "paid"),
                409 => assert!(matches!(answer.json()["code"].as_str(), Some("code-busy" | "code-not-payable"))),
                other => panic!("{other}: {}", answer.text()),
            }
        }
        assert_eq!(paid, 1);
        assert_eq!(kinds(&world), [Kind::Authorization, Kind::Capture]);
        assert_feed_is_gap_free(&world).await;
    }

    async fn the_same_sealed_card_twice_at_once_is_one_charge(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        // Open and reusable: only the attempt stands between two charges.
        let code = code(&world, &auth, "open", "0").await;
        let page = Page::load(&world, &code).await;
        let pay = page.pay_with(&page.card(PAN, 500));
        let paid = world.send(pay.clone()).await.json();
        assert_eq!(paid["state"], "paid");
        assert_eq!(world.send(pay).await.json(), paid);
        assert_eq!(kinds(&world), [Kind::Authorization, Kind::Capture]);
    }

    async fn a_reusable_code_is_paid_with_what_the_payer_types(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "static", "0").await;
        for (amount, state) in [(500, "paid"), (700, "paid")] {
            assert_eq!(pay(&world, &code, PAN, amount).await.json()["state"], state);
        }
        pay(&world, &code, PAN, 0).await.assert_problem(400, "bad-request");
        pay(&world, &code, PAN, 1_000_000_000).await.assert_problem(400, "bad-request");
        let amounts: Vec<u64> = world.booked().iter().map(|entry| entry.amount).collect();
        assert_eq!(amounts, [500, 500, 700, 700]);
        // The same card twice is one card, and as it is known it is not sealed again.
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
        assert_eq!(world.number("SELECT row_version FROM cards").await, 1);
    }

    async fn what_the_page_sealed_must_be_what_is_asked(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code_a = code(&world, &auth, "a", "10.00").await;
        let code_b = code(&world, &auth, "b", "10.00").await;
        let (page, other) = (Page::load(&world, &code_a).await, Page::load(&world, &code_b).await);
        let good = page.card(PAN, 1000);
        let changed = |name: &str, value: Value| { let mut card = good.clone(); card[name] = value; card };
        for card in [
            changed("amount", json!(999)),
            changed("amount", json!(0)),
            changed("amount", json!(-1)),
            changed("currency", json!("EUR")),
            changed("code", json!(code_b)),
            changed("attempt", json!(other.data("attempt"))),
            changed("attempt", json!("AAAA")),
            changed("expires", json!(good["expires"].as_u64().unwrap() + 1)),
            changed("pan", json!("411111111111111x")),
            changed("exp", json!("1330")),
            changed("exp", json!("1020")),
            changed("csc", json!("98")),
            changed("extra", json!(1)),
        ] {
            world.send(page.pay_with(&card)).await.assert_problem(400, "bad-request");
        }
        for sealed in ["", "a.b.c", "a..b.c.d", &page.seal(&good)[1..]] {
            let body = json!({"sealed": sealed});
            world.send(Forward::post(format!("/pluto/public/pay/{code_a}"), &body)).await.assert_problem(400, "bad-request");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM transactions").await, 0);
        assert_eq!(world.book.entries().len(), 0);
        world.clock.advance_ms(25 * 60 * 1000 + 1_000);
        world.send(page.pay_with(&good)).await.assert_problem(400, "bad-request");
    }

    async fn an_expired_or_unknown_code_is_not_paid(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "late", "10.00").await;
        world.clock.advance_ms(29 * 60 * 1000);
        let page = Page::load(&world, &code).await;
        world.clock.advance_ms(60 * 1000);
        world.send(page.pay_with(&page.card(PAN, 1000))).await.assert_problem(410, "code-expired");
        for (path, status) in [(format!("/Q/{code}"), 410), ("/Q/9999999999".into(), 404), ("/pluto/public/pay/123".into(), 404)] {
            let shown = world.send(Forward::get(path)).await;
            assert_eq!(shown.status.as_u16(), status);
            assert!(shown.text().contains("data-state=\"expired\"") && shown.header("content-type").starts_with("text/html"));
            assert!(shown.header("content-security-policy").contains("script-src 'self'"));
        }
        let body = json!({"sealed": "x"});
        world.send(Forward::post("/pluto/public/pay/9999999999", &body)).await.assert_problem(404, "not-found");
    }

    async fn a_decline_frees_the_code_and_tells_nothing_useful_to_a_thief(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for (amount, reason, status) in [
            (40413_u64, "insufficient_funds", "END_BANK_NON_00"),
            (40412, "restricted", "END_BANK_NON_00"),
            (40414, "restricted", "END_BANK_NON_00"),
            (40120, "invalid_csc", "END_BANK_NON_00"),
        ] {
            let code = code(&world, &auth, &format!("d-{amount}"), &format!("{}.{:02}", amount / 100, amount % 100)).await;
            let answer = pay(&world, &code, MAGIC_PAN, amount).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (200, &json!("declined")));
            let text = answer.text();
            assert!(!text.contains("stolen") && !text.contains("fraud") && !text.contains("restricted"), "{text}");
            assert_eq!(states(&world, &auth, &code, &answer).await, ("Available".into(), status.into()));
            let id = answer.json()["transactionId"].as_i64().unwrap();
            let seen = world.send(Forward::get(format!("/pluto/code/transaction/state/{id}")).with(&auth)).await.json();
            assert_eq!(seen["declineReason"], reason);
            // Another card may pay it now.
            assert_eq!(pay(&world, &code, PAN, amount).await.json()["state"], "paid");
        }
        assert_feed_is_gap_free(&world).await;
    }

    async fn an_authorisation_without_an_answer_is_never_captured(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for (at, kind) in [Fault::DropBefore, Fault::DropAfter, Fault::ServerError, Fault::Garbage].into_iter().enumerate() {
            let code = code(&world, &auth, &format!("lost-{at}"), "10.00").await;
            fault(&world, Kind::Authorization, kind);
            let answer = pay(&world, &code, PAN, 1000).await;
            assert_eq!((&answer.json()["state"], &answer.json()["mayRetry"]), (&json!("unknown"), &json!(true)), "{kind:?}");
            assert_eq!(states(&world, &auth, &code, &answer).await, ("Available".into(), "END_BANK_ERROR".into()));
        }
        assert!(kinds(&world).iter().all(|kind| *kind == Kind::Authorization), "{:?}", kinds(&world));
        assert!(world.admin("GET", "/metrics", &Value::Null).await.text().contains("scanvault_lost_authorisations 4"));
        assert_feed_is_gap_free(&world).await;
    }

    async fn a_capture_without_an_answer_is_not_repeated_and_keeps_the_code(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for (at, kind) in [Fault::DropBefore, Fault::DropAfter, Fault::ServerError, Fault::Garbage].into_iter().enumerate() {
            let code = code(&world, &auth, &format!("cap-{at}"), "10.00").await;
            fault(&world, Kind::Capture, kind);
            let answer = pay(&world, &code, PAN, 1000).await;
            assert_eq!((&answer.json()["state"], &answer.json()["mayRetry"]), (&json!("unknown"), &json!(false)), "{kind:?}");
            assert_eq!(states(&world, &auth, &code, &answer).await, ("Locked".into(), "PENDING".into()));
            let shown = world.send(Forward::get(format!("/Q/{code}"))).await;
            assert_eq!(shown.status, 409);
        }
        assert!(world.admin("GET", "/metrics", &Value::Null).await.text().contains("scanvault_unknown_transactions 4"));
        // Dropped before and answered 500: not booked; dropped after and garbled: booked once.
        assert_eq!(kinds(&world).iter().filter(|kind| **kind == Kind::Capture).count(), 2);
        assert_eq!(world.number("SELECT COUNT(*) FROM outbox").await, 0);
        assert_feed_is_gap_free(&world).await;
    }

    async fn a_gateway_that_is_not_there_has_booked_nothing(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "down", "10.00").await;
        world.gateway.abort();
        let _ = (&mut world.gateway).await;
        let answer = pay(&world, &code, PAN, 1000).await;
        assert_eq!(answer.json()["state"], "declined");
        assert_eq!(states(&world, &auth, &code, &answer).await, ("Available".into(), "END_BANK_NON_00".into()));
    }

    async fn a_shopper_who_hangs_up_cancels_nothing(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "gone", "10.00").await;
        let order = Order {
            r#match: Match { kind: Some(Kind::Authorization), amount: None },
            fault: Fault::Delay,
            delay_ms: 500,
            times: 1,
        };
        world.faults.order(order);
        let page = Page::load(&world, &code).await;
        let forward = page.pay_with(&page.card(PAN, 1000));
        let world = Arc::new(world);
        let shopper = tokio::spawn({
            let world = Arc::clone(&world);
            async move { world.send(forward).await }
        });
        until(&world, "SELECT COUNT(*) FROM transactions").await;
        shopper.abort();
        assert!(shopper.await.unwrap_err().is_cancelled());
        until(&world, "SELECT COUNT(*) FROM transactions WHERE captured_minor > 0").await;
        assert_eq!(kinds(&world), [Kind::Authorization, Kind::Capture]);
    }

    async fn what_a_dead_process_left_behind_is_settled_as_unknown(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (code_a, code_b) = (code(&world, &auth, "a", "10.00").await, code(&world, &auth, "b", "20.00").await);
        let (a, b) = (pay(&world, &code_a, PAN, 1000).await, pay(&world, &code_b, PAN, 2000).await);
        // As a process leaves it that dies after the intent, and after the authorisation.
        world.execute("UPDATE transactions SET captured_minor = 0, acts_done = 0, pending_act = 2").await;
        world.execute("UPDATE acts SET state = 'asked' WHERE number = 2").await;
        let authorising = "UPDATE transactions SET state = 'authorising', authorised_minor = 0, last_act = 1, \
                           acquirer_state = NULL, pending_act = 1 WHERE amount_minor = 1000";
        world.execute(authorising).await;
        world.execute("DELETE FROM acts WHERE amount_minor = 1000 AND number = 2").await;
        world.execute("UPDATE acts SET state = 'asked' WHERE amount_minor = 1000").await;
        world.execute("UPDATE codes SET state = 'Locked'").await;
        let settle = async || world.app.payments.resolve().await.unwrap();
        assert_eq!(settle().await, 0);
        world.clock.advance_ms(u64::try_from(ABANDONED_AFTER_MS).unwrap());
        assert_eq!(settle().await, 0);
        world.clock.advance_ms(1);
        assert_eq!(settle().await, 2);
        assert_eq!(settle().await, 0);
        assert_eq!(states(&world, &auth, &code_a, &a).await, ("Available".into(), "END_BANK_ERROR".into()));
        assert_eq!(states(&world, &auth, &code_b, &b).await, ("Locked".into(), "PENDING".into()));
        assert_feed_is_gap_free(&world).await;
    }

    async fn the_same_new_card_on_two_codes_at_once_is_one_card_and_two_payments(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let mut pages = Vec::new();
        for at in 0..12 {
            let code = code(&world, &auth, &format!("same-{at}"), "10.00").await;
            pages.push(Page::load(&world, &code).await);
        }
        let world = Arc::new(world);
        let payers: Vec<_> = pages
            .into_iter()
            .map(|page| {
                let world = Arc::clone(&world);
                tokio::spawn(async move { world.send(page.pay_with(&page.card(PAN, 1000))).await })
            })
            .collect();
        for payer in payers {
            let answer = payer.await.unwrap();
            assert_eq!(answer.json()["state"], "paid", "{}", answer.text());
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
        assert_feed_is_gap_free(&world).await;
    }

    async fn a_suspended_merchant_takes_no_payments(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "s", "10.00").await;
        let page = Page::load(&world, &code).await;
        world.execute("UPDATE accounts SET status = 'suspended' WHERE name = 'merchant-25'").await;
        world.send(page.pay_with(&page.card(PAN, 1000))).await.assert_problem(409, "code-not-payable");
        let shown = world.send(Forward::get(format!("/Q/{code}"))).await;
        assert!(shown.status == 410 && !shown.text().contains("Corner Shop"));
        world.send(Forward::get(format!("/pluto/code/{code}")).with(&auth)).await.assert_problem(401, "bad-credentials");
        assert_eq!(world.book.entries().len(), 0);
    }

    async fn a_card_that_the_acquirer_does_not_take_is_refused_before_anything_is_written(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "amex", "10.00").await;
        let page = Page::load(&world, &code).await;
        let mut card = page.card(PAN, 1000);
        card["csc"] = json!("9876");
        world.send(page.pay_with(&card)).await.assert_problem(400, "bad-request");
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 0);
        // The attempt was not used up.
        assert_eq!(world.send(page.pay_with(&page.card(PAN, 1000))).await.json()["state"], "paid");
    }

    async fn an_operator_settles_what_no_answer_has_settled(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        for (reference, captured, expected) in [("yes", true, ("Used", "SUCCESS")), ("no", false, ("Available", "END_REVERSED"))] {
            let code = code(&world, &auth, reference, "10.00").await;
            fault(&world, Kind::Capture, if captured { Fault::DropAfter } else { Fault::DropBefore });
            let lost = pay(&world, &code, PAN, 1000).await;
            let id = lost.json()["transactionId"].as_i64().unwrap();
            let open = world.admin("GET", "/transactions/unsettled", &Value::Null).await.json();
            let row = &open["unsettled"][0];
            assert_eq!((&row["transaction"]["transactionId"], &row["ourReference"]), (&json!(id), &json!(format!("sv-{id}"))));
            let settle = format!("/transactions/{id}/settle");
            assert_eq!(world.admin("POST", &settle, &json!({"booked": captured})).await.status, 200);
            // What was not taken is given back by the next round.
            assert_eq!(world.app.payments.resolve().await.unwrap(), usize::from(!captured));
            assert_eq!(states(&world, &auth, &code, &lost).await, (expected.0.into(), expected.1.into()));
            // Once, and nothing but what is open.
            assert_eq!(world.admin("POST", &settle, &json!({"booked": captured})).await.status, 409);
            assert_eq!(world.admin("POST", &settle, &json!({"booked": !captured})).await.status, 409);
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM acts WHERE state IN ('asked', 'unknown')").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM outbox").await, 2);
        assert_eq!(world.admin("POST", "/transactions/999/settle", &json!({"booked": true})).await.status, 409);
        assert_feed_is_gap_free(&world).await;
    }

    async fn a_capture_that_is_refused_gives_the_hold_back(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = code(&world, &auth, "refused", "10.00").await;
        let page = Page::load(&world, &code).await;
        let known = &world.app.payments;
        let party = Party {
            acquirer: Box::new(CapturesTooMuch),
            transport: Transport::http(&world.config.clearhaus_url, &[]).unwrap(),
        };
        let payments = Arc::new(Payments { acquirers: Acquirers::new(vec![party]), ..Payments::clone(known) });
        let sealed = page.seal(&page.card(PAN, 1000));
        let outcome = payments.pay(&code.parse().unwrap(), Post::of(&sealed), "unknown").await.unwrap();
        let PayOutcome::Declined { transaction_id, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(kinds(&world), [Kind::Authorization, Kind::Void]);
        let found = world.send(Forward::get(format!("/pluto/code/{code}")).with(&auth)).await.json();
        let path = format!("/pluto/code/transaction/state/{transaction_id}");
        let state = world.send(Forward::get(path).with(&auth)).await.json();
        assert_eq!((&found["codeState"], &state["status"]), (&json!("Available"), &json!("END_REVERSED")));
        assert_eq!(world.number("SELECT COUNT(*) FROM outbox").await, 1);
        assert_feed_is_gap_free(&world).await;
    }
}

/// Clearhaus, but captures a cent more than was authorised, which the gateway refuses.
struct CapturesTooMuch;

impl Acquirer for CapturesTooMuch {
    fn name(&self) -> &'static str {
        Clearhaus.name()
    }

    fn check(&self, request: &Request<'_>) -> Result<(), AcquirerError> {
        Clearhaus.check(request)
    }

    fn capabilities(&self) -> Capabilities {
        Clearhaus.capabilities()
    }

    fn exponent(&self, currency: Currency) -> Option<u8> {
        Clearhaus.exponent(currency)
    }

    fn check_credentials(&self, credentials: &[u8]) -> Result<(), AcquirerError> {
        Clearhaus.check_credentials(credentials)
    }

    fn encode(&self, credentials: &Opened, request: &Request<'_>) -> Result<Wire, AcquirerError> {
        match &request.call {
            Call::Capture { state, authorised, card } => {
                let amount = Amount::from_minor(request.amount.minor() + 1, request.amount.currency()).unwrap();
                let call = Call::Capture { state, authorised: *authorised, card: *card };
                Clearhaus.encode(credentials, &Request { amount, call, ..*request })
            }
            _ => Clearhaus.encode(credentials, request),
        }
    }

    fn decode(&self, request: &Request<'_>, answer: &acquirers::Answer) -> Outcome {
        Clearhaus.decode(request, answer)
    }
}
