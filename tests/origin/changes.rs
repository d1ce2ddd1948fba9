//! What a merchant changes of a code: each call's answer whole, and random sequences of calls, two at a time.

use std::sync::Arc;

use scanvault_origin::payments::store::codes;
use scanvault_origin::payments::{Code, CodeState};
use serde_json::{Value, json};

use crate::card::{self, Page};
use crate::on_both;
use crate::world::{Answer, Forward, PUBLIC_URL, START_MS, World};

const HALF_HOUR_MS: u64 = 30 * 60 * 1_000;

async fn create(world: &World, auth: &str, body: &Value) -> String {
    let answer = world.send(Forward::post("/pluto/code/create", body).with(auth)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["code"].as_str().unwrap().to_owned()
}

async fn put(world: &World, auth: &str, path: String, body: Value) -> Answer {
    world.send(Forward::put(format!("/pluto/code/{path}"), &body).with(auth)).await
}

async fn block(world: &World, auth: &str, path: String) -> Answer {
    world.send(Forward::put_nothing(format!("/pluto/code/{path}")).with(auth)).await
}

async fn delete(world: &World, auth: &str, code: &str) -> Answer {
    world.send(Forward::delete(format!("/pluto/code/{code}")).with(auth)).await
}

async fn query(world: &World, auth: &str, code: &str) -> Value {
    let answer = world.send(Forward::get(format!("/pluto/code/{code}")).with(auth)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// As a payer does it, without the payment.
async fn lock(world: &World, code: &str, lease_until_ms: Option<i64>) -> bool {
    let code: Code = code.parse().unwrap();
    let record = codes::find(&world.app.db, &code).await.unwrap().unwrap();
    let mut tx = world.app.db.begin().await.unwrap();
    let is_locked = codes::lock(&mut tx, &record, lease_until_ms).await.unwrap();
    tx.commit().await.unwrap();
    is_locked
}

/// Whoever has read the code before it got another reference is refused, and loads the page again.
async fn lock_as_it_stands(world: &World, code: &str) -> bool {
    let parsed: Code = code.parse().unwrap();
    let request = async || codes::find(&world.app.db, &parsed).await.unwrap().unwrap().request_id;
    loop {
        let before = request().await;
        if lock(world, code, None).await {
            return true;
        }
        if request().await == before {
            return false;
        }
    }
}

async fn set_state(world: &World, code: &str, state: CodeState) {
    let query = sqlx::query("UPDATE codes SET state = $2, lease_until_ms = NULL WHERE code = $1 AND state = 'Locked'");
    query.bind(code.to_owned()).bind(state.as_str()).execute(world.app.db.write()).await.unwrap();
}

on_both! {
    async fn a_code_is_edited_and_answers_with_its_whole_record(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let first = json!({"merchantReference": "e-1", "amount": 10, "shortDescription": "Tea", "mcc": "5812"});
        let code = create(&world, &auth, &first).await;
        let body = json!({"shortDescription": "Green tea", "expiryDate": 0, "mcc": "", "terminalId": "T-1",
            "productUrl": "https://shop.example/tea", "subMerchantName": null});
        let answer = put(&world, &auth, code.clone(), body.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        let whole = json!({"code": code, "codeState": "Available", "merchantReference": "e-1", "amount": 10.0,
            "merchantName": "Corner Shop", "amountString": "10.00", "currencyCode": "ZAR", "expiryDate": 0,
            "expired": false, "useOnce": true, "requestPartialPayment": false, "shortDescription": "Green tea",
            "productUrl": "https://shop.example/tea", "terminalId": "T-1", "storedOnly": ["terminalId"],
            "attempts": 0, "payments": 0, "codeUrl": format!("{PUBLIC_URL}/Q/{code}")});
        assert_eq!(answer.json(), whole);
        assert_eq!(query(&world, &auth, &code).await, whole);
        assert_eq!(put(&world, &auth, code.clone(), body).await.json(), whole, "a repeat changes nothing");
        // The call that made it is still answered as it was first.
        let again = world.send(Forward::post("/pluto/code/create", &first).with(&auth)).await;
        let expiry = START_MS + 1_000 + HALF_HOUR_MS;
        assert_eq!(again.json(), json!({"code": code, "expiryDate": expiry, "storedOnly": ["mcc"],
            "codeUrl": format!("{PUBLIC_URL}/Q/{code}")}));
        let edited = json!({"merchantReference": "e-1", "amount": 10, "shortDescription": "Green tea"});
        let conflict = world.send(Forward::post("/pluto/code/create", &edited).with(&auth)).await;
        conflict.assert_problem(409, "reference-conflict");
        for (body, detail) in [
            (json!({"amount": 11}), "amount is changed with PUT /pluto/code/{code}/amount"),
            (json!({"useOnce": false}), "useOnce and reserveQR of a code cannot be changed"),
            (json!({"reserveQR": true}), "useOnce and reserveQR of a code cannot be changed"),
            (json!({"expiryDate": START_MS}), "expiryDate must be in the future, in milliseconds"),
            (json!({"mcc": "x"}), "mcc must be four digits, as text"),
        ] {
            let answer = put(&world, &auth, code.clone(), body).await;
            answer.assert_problem(400, "bad-request");
            assert_eq!(answer.json()["detail"], detail);
        }
        put(&world, &auth, code.clone(), json!({"limitBasket": "x"})).await.assert_problem(400, "bad-request");
        assert_eq!(query(&world, &auth, &code).await, whole);
    }

    async fn a_reference_is_used_once_whichever_call_it_came_by(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = create(&world, &auth, &json!({"merchantReference": "a", "amount": 10, "useOnce": false})).await;
        create(&world, &auth, &json!({"merchantReference": "taken", "amount": 10})).await;
        let renamed = put(&world, &auth, code.clone(), json!({"merchantReference": "b", "mcc": "5812"})).await;
        assert_eq!((renamed.status.as_u16(), &renamed.json()["merchantReference"]), (200, &json!("b")));
        for path in [code.clone(), format!("{code}/amount")] {
            for reference in ["taken", "a"] {
                let mut body = json!({"merchantReference": reference});
                if path.ends_with("amount") {
                    body["amount"] = json!(5);
                }
                put(&world, &auth, path.clone(), body).await.assert_problem(409, "reference-conflict");
            }
        }
        // Nothing of the refused calls stayed.
        assert_eq!(query(&world, &auth, &code).await["merchantReference"], "b");
        // The first call with `a` is answered as it was; `b` never came by a call that makes a code.
        let a = json!({"merchantReference": "a", "amount": 10, "useOnce": false});
        let again = world.send(Forward::post("/pluto/code/create", &a).with(&auth)).await;
        assert_eq!((again.status.as_u16(), &again.json()["code"]), (200, &json!(code)));
        for body in [json!({"merchantReference": "a", "amount": 11, "useOnce": false}),
            json!({"merchantReference": "b", "amount": 10, "useOnce": false, "mcc": "5812"}),
            json!({"merchantReference": "b", "amount": 10, "useOnce": false})] {
            let answer = world.send(Forward::post("/pluto/code/create", &body).with(&auth)).await;
            answer.assert_problem(409, "reference-conflict");
        }
        // Another merchant has their own.
        let other = world.merchant(26).await;
        create(&world, &other, &json!({"merchantReference": "b", "amount": 1})).await;
    }

    async fn a_reusable_code_gets_another_amount_and_keeps_what_was_paid(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let body = json!({"merchantReference": "m-1", "amount": 10, "useOnce": false, "shortDescription": "Table 4"});
        let code = create(&world, &auth, &body).await;
        let paid = card::pay(&world, &code, "4111111111111111", 1000).await.json();
        assert_eq!(paid["state"], "paid");
        world.clock.advance_ms(HALF_HOUR_MS);
        assert_eq!(query(&world, &auth, &code).await["expired"], true);
        let body = json!({"amount": 12.345, "merchantReference": "m-2"});
        let answer = put(&world, &auth, format!("{code}/amount"), body.clone()).await;
        assert!(answer.text().contains("\"amount\":12.34,"), "{}", answer.text());
        let expiry = world.clock_ms() + HALF_HOUR_MS;
        let record = answer.json();
        let transaction = &paid["transactionId"];
        for (name, value) in [
            ("codeState", json!("Available")), ("merchantReference", json!("m-2")), ("amountString", json!("12.34")),
            ("expired", json!(false)), ("expiryDate", json!(expiry)), ("shortDescription", json!("Table 4")),
            ("attempts", json!(1)), ("payments", json!(1)), ("transactionId", transaction.clone()),
        ] {
            assert_eq!(record[name], value, "{name}: {record}");
        }
        assert_eq!(record["lastTransaction"]["reference"], "m-1");
        assert_eq!(put(&world, &auth, format!("{code}/amount"), body).await.json(), record, "a repeat changes nothing");
        let other = json!({"amount": 13, "merchantReference": "m-2"});
        put(&world, &auth, format!("{code}/amount"), other).await.assert_problem(409, "reference-conflict");
        // What was paid reads as it did, and the new amount is what is paid from now on.
        let state = Forward::get(format!("/pluto/code/transaction/state/{transaction}")).with(&auth);
        assert_eq!(world.send(state).await.json()["reference"], "m-1");
        let second = card::pay(&world, &code, "4111111111111111", 1234).await.json();
        assert_eq!(second["state"], "paid");
        let state = Forward::get(format!("/pluto/code/transaction/state/{}", second["transactionId"])).with(&auth);
        assert_eq!(world.send(state).await.json()["reference"], "m-2");
        let once = create(&world, &auth, &json!({"merchantReference": "m-9", "amount": 10})).await;
        let refused = put(&world, &auth, format!("{once}/amount"), json!({"amount": 1, "merchantReference": "m-10"})).await;
        refused.assert_problem(409, "conflict");
        let text = "This code is used once: only a reusable code gets another amount";
        assert_eq!(refused.json()["detail"], text);
        for body in [json!({"amount": -1, "merchantReference": "x"}), json!({"amount": "1", "merchantReference": "x"})] {
            put(&world, &auth, format!("{code}/amount"), body).await.assert_problem(400, "invalid-amount");
        }
        for body in [json!({"amount": 1}), json!({"amount": 1, "merchantReference": ""}),
            json!({"amount": 1, "merchantReference": "x", "useOnce": true})] {
            put(&world, &auth, format!("{code}/amount"), body).await.assert_problem(400, "bad-request");
        }
    }

    async fn who_saw_the_old_amount_cannot_pay_it_any_more(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = create(&world, &auth, &json!({"merchantReference": "o-1", "amount": 10, "useOnce": false})).await;
        let page = Page::load(&world, &code).await;
        put(&world, &auth, format!("{code}/amount"), json!({"amount": 20, "merchantReference": "o-2"})).await;
        let late = world.send(page.pay_with(&page.card("4111111111111111", 1000))).await;
        assert_eq!(late.status, 400, "{}", late.text());
        assert_eq!(world.number("SELECT COUNT(*) FROM transactions").await, 0);
        // And one who has read the code already does not lock it.
        let code: Code = code.parse().unwrap();
        let read = codes::find(&world.app.db, &code).await.unwrap().unwrap();
        put(&world, &auth, format!("{code}/amount"), json!({"amount": 30, "merchantReference": "o-3"})).await;
        let mut tx = world.app.db.begin().await.unwrap();
        assert!(!codes::lock(&mut tx, &read, None).await.unwrap());
        tx.rollback().await.unwrap();
        assert_eq!(query(&world, &auth, code.as_str()).await["codeState"], "Available");
    }

    async fn codes_are_blocked_unblocked_and_deleted(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = create(&world, &auth, &json!({"merchantReference": "s-1", "amount": 10})).await;
        for (path, state) in [("block", "Blocked"), ("block", "Blocked"), ("unblock", "Available"),
            ("unblock", "Available"), ("block", "Blocked")] {
            let answer = block(&world, &auth, format!("{code}/{path}")).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["codeState"]), (200, &json!(state)), "{path}");
            assert_eq!(answer.json(), query(&world, &auth, &code).await);
        }
        let refused = world.send(Forward::get(format!("/pluto/public/pay/{code}"))).await;
        assert_eq!(refused.status, 410, "a stopped code cannot be paid");
        for _ in 0..2 {
            let answer = delete(&world, &auth, &code).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["codeState"]), (200, &json!("Deleted")));
        }
        for path in ["block", "unblock"] {
            let answer = block(&world, &auth, format!("{code}/{path}")).await;
            answer.assert_problem(409, "conflict");
            assert_eq!(answer.json()["detail"], "This code is deleted: it cannot be changed any more");
        }
        put(&world, &auth, code.clone(), json!({"mcc": "5812"})).await.assert_problem(409, "conflict");
        let with_body = Forward::put(format!("/pluto/code/{code}/block"), &json!({})).with(&auth);
        world.send(with_body).await.assert_problem(400, "bad-request");
        // Its reference is not free again.
        let again = json!({"merchantReference": "s-1", "amount": 11});
        let again = world.send(Forward::post("/pluto/code/create", &again).with(&auth)).await;
        again.assert_problem(409, "reference-conflict");
    }

    async fn a_code_that_is_being_paid_is_left_alone_until_its_payer_is_gone(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = create(&world, &auth, &json!({"merchantReference": "l-1", "amount": 10, "useOnce": false})).await;
        let lease = i64::try_from(world.clock_ms()).unwrap() + 60_000;
        assert!(lock(&world, &code, Some(lease)).await);
        let shown = query(&world, &auth, &code).await;
        assert_eq!((&shown["codeState"], &shown["lockedUntil"]), (&json!("Locked"), &json!(lease)));
        let busy = |answer: Answer| {
            answer.assert_problem(409, "code-busy");
            assert_eq!(answer.header("retry-after"), "2");
        };
        busy(put(&world, &auth, code.clone(), json!({"mcc": "5812"})).await);
        busy(put(&world, &auth, format!("{code}/amount"), json!({"amount": 1, "merchantReference": "l-2"})).await);
        busy(block(&world, &auth, format!("{code}/block")).await);
        busy(delete(&world, &auth, &code).await);
        // A lease that is over frees nothing by itself: whoever holds the code may be paying still.
        world.clock.advance_ms(120_000);
        assert!(!lock(&world, &code, None).await);
        busy(delete(&world, &auth, &code).await);
        assert_eq!(query(&world, &auth, &code).await["codeState"], "Locked");
        set_state(&world, &code, CodeState::Available).await;
        let shown = query(&world, &auth, &code).await;
        assert_eq!((&shown["codeState"], shown.get("lockedUntil")), (&json!("Available"), None));
        assert_eq!(delete(&world, &auth, &code).await.status, 200);
    }

    async fn a_used_code_stays_as_it_is(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let code = create(&world, &auth, &json!({"merchantReference": "u-1", "amount": 10})).await;
        card::pay(&world, &code, "4111111111111111", 1000).await;
        let used = query(&world, &auth, &code).await;
        assert_eq!((&used["codeState"], &used["payments"]), (&json!("Used"), &json!(1)));
        for path in ["block", "unblock"] {
            block(&world, &auth, format!("{code}/{path}")).await.assert_problem(409, "conflict");
        }
        delete(&world, &auth, &code).await.assert_problem(409, "conflict");
        put(&world, &auth, code.clone(), json!({"mcc": "5812"})).await.assert_problem(409, "conflict");
        assert_eq!(query(&world, &auth, &code).await, used);
    }

    async fn everything_works_while_the_vault_is_sealed(world: World) {
        let mut world = world;
        world.init().await;
        world.unseal().await;
        let auth = world.merchant(25).await;
        assert_eq!(world.admin("POST", "/vault/seal", &json!({})).await.status, 200);
        let body = json!({"merchantReference": "z-1", "amount": 10, "useOnce": false});
        let code = create(&world, &auth, &body).await;
        assert_eq!(create(&world, &auth, &body).await, code);
        assert_eq!(put(&world, &auth, code.clone(), json!({"mcc": "5812"})).await.status, 200);
        let amount = json!({"amount": 1, "merchantReference": "z-2"});
        assert_eq!(put(&world, &auth, format!("{code}/amount"), amount).await.status, 200);
        assert_eq!(block(&world, &auth, format!("{code}/block")).await.status, 200);
        assert_eq!(delete(&world, &auth, &code).await.status, 200);
    }

    /// Two callers at a time do what a die says. Afterwards the code must stand where one after the other, in one order
    /// or the other, would have left it; so must what each of them was answered.
    async fn two_at_a_time_do_what_one_after_the_other_would(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let world = Arc::new(world);
        let mut die = Die(0x5eed_2026);
        let mut met = [0; 2];
        for round in 0..6 {
            let first = json!({"merchantReference": format!("p-{round}"), "amount": 10, "useOnce": false});
            let code = create(&world, &auth, &first).await;
            let mut model = Model { state: CodeState::Available, reference: format!("p-{round}"), amount: 10, mcc: 0,
                used: vec![format!("p-{round}")] };
            for step in 0..12 {
                let ops = [die.op(round, step, 0), die.op(round, step, 1)];
                let (one, two) = tokio::join!(
                    tokio::spawn(carry_out(Arc::clone(&world), auth.clone(), code.clone(), ops[0].clone())),
                    tokio::spawn(carry_out(Arc::clone(&world), auth.clone(), code.clone(), ops[1].clone())),
                );
                let answers = [one.unwrap(), two.unwrap()];
                let shown = query(&world, &auth, &code).await;
                let order = [[0, 1], [1, 0]].into_iter().find_map(|order| {
                    let mut after = model.clone();
                    let is_so = order.iter().all(|at| after.apply(&ops[*at]) == answers[*at]);
                    (is_so && after.is(&shown)).then_some((order[0], after))
                });
                let Some((at, after)) = order else { panic!("{model:?} {ops:?} {answers:?} {shown}") };
                met[at] += 1;
                model = after;
                if model.state == CodeState::Deleted {
                    break;
                }
            }
        }
        assert!(met[0] > 10, "{met:?}");
    }
}

/// A small generator: the sequence is the same in every run.
struct Die(u64);

impl Die {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn op(&mut self, round: u32, step: u32, at: u32) -> Op {
        match self.below(16) {
            0..=2 => Op::Block,
            3..=5 => Op::Unblock,
            6..=8 => Op::Pay,
            9..=10 => Op::Leave,
            11 => Op::Mcc(self.below(3)),
            // Few names, so that they meet.
            12..=14 => Op::Amount(format!("p-{round}-{}-{}", step / 4, self.below(3)), 1 + self.below(2)),
            15 if step > 6 => Op::Delete,
            _ => Op::Mcc(u64::from(at)),
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Block,
    Unblock,
    Delete,
    Mcc(u64),
    Amount(String, u64),
    /// A payer locks the code, if they can.
    Pay,
    /// The payer goes away, if one was there.
    Leave,
}

/// What an operation says: a status, or for payers whether they came in.
async fn carry_out(world: Arc<World>, auth: String, code: String, op: Op) -> u16 {
    match op {
        Op::Block => block(&world, &auth, format!("{code}/block")).await.status.as_u16(),
        Op::Unblock => block(&world, &auth, format!("{code}/unblock")).await.status.as_u16(),
        Op::Delete => delete(&world, &auth, &code).await.status.as_u16(),
        Op::Mcc(digit) => put(&world, &auth, code, json!({"mcc": format!("581{digit}")})).await.status.as_u16(),
        Op::Amount(reference, amount) => {
            let body = json!({"amount": amount, "merchantReference": reference});
            put(&world, &auth, format!("{code}/amount"), body).await.status.as_u16()
        }
        Op::Pay => u16::from(lock_as_it_stands(&world, &code).await),
        Op::Leave => {
            set_state(&world, &code, CodeState::Available).await;
            0
        }
    }
}

#[derive(Clone, Debug)]
struct Model {
    state: CodeState,
    reference: String,
    amount: u64,
    mcc: u64,
    used: Vec<String>,
}

impl Model {
    fn apply(&mut self, op: &Op) -> u16 {
        let is_free = matches!(self.state, CodeState::Available | CodeState::Blocked);
        match op {
            Op::Pay => {
                let is_in = self.state == CodeState::Available;
                self.state = if is_in { CodeState::Locked } else { self.state };
                u16::from(is_in)
            }
            Op::Leave => {
                self.state = if self.state == CodeState::Locked { CodeState::Available } else { self.state };
                0
            }
            Op::Unblock if self.state == CodeState::Locked => 200,
            Op::Mcc(digit) if format!("581{digit}") == format!("581{}", self.mcc.wrapping_sub(1)) => 200,
            Op::Amount(reference, amount) if (reference, amount) == (&self.reference, &self.amount) => 200,
            Op::Delete if self.state == CodeState::Deleted => 200,
            _ if !is_free => 409,
            Op::Block => self.become_state(CodeState::Blocked),
            Op::Unblock => self.become_state(CodeState::Available),
            Op::Delete => self.become_state(CodeState::Deleted),
            Op::Mcc(digit) => {
                self.mcc = digit + 1;
                200
            }
            Op::Amount(reference, _) if self.used.contains(reference) => 409,
            Op::Amount(reference, amount) => {
                self.used.push(reference.clone());
                (self.reference, self.amount) = (reference.clone(), *amount);
                200
            }
        }
    }

    fn become_state(&mut self, state: CodeState) -> u16 {
        self.state = state;
        200
    }

    fn is(&self, shown: &Value) -> bool {
        let mcc = self.mcc.checked_sub(1).map(|digit| format!("581{digit}"));
        shown["codeState"] == self.state.as_str()
            && shown["merchantReference"] == self.reference.as_str()
            && shown["amountString"] == format!("{}.00", self.amount)
            && shown["mcc"].as_str() == mcc.as_deref()
    }
}
