//! Nobody reads or writes what is another's, whoever they are and however the accounts lie: 404, as if it were not there.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::card::pay;
use crate::on_both;
use crate::world::{Forward, World};

const MERCHANTS: usize = 6;
const PSPS: usize = 2;
/// Codes of a plan that are paid.
const MAX_PAID: usize = 5;

/// Which PSP each merchant has, and what is done by whom to whose.
#[derive(Clone, Debug)]
struct Plan {
    psps: Vec<Option<usize>>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    /// The caller makes a code; with the merchant that it names.
    Create(usize, Option<usize>),
    /// The caller looks up one of the codes that were made.
    Query(usize, prop::sample::Index),
    /// The caller looks up one of the transactions.
    State(usize, prop::sample::Index),
    /// The caller calls something else on one of the codes.
    Code(usize, prop::sample::Index, usize),
    /// The caller wants to give back what is not theirs, or a little of what is.
    GiveBack(usize, prop::sample::Index, bool),
}

/// Calls on a code, and the status of those who may: what they come to does not matter here.
const CALLS: [(&str, &str, &[u16]); 8] = [
    ("PUT", "/pluto/code/{code}", &[200, 409]),
    ("PUT", "/pluto/code/{code}/amount", &[200, 409]),
    ("PUT", "/pluto/code/{code}/block", &[200, 409]),
    ("PUT", "/pluto/code/{code}/unblock", &[200, 409]),
    ("DELETE", "/pluto/code/{code}", &[200, 409]),
    ("POST", "/pluto/code/queryRef", &[406]),
    ("POST", "/pluto/code/queryRef/refund", &[406]),
    ("POST", "/pluto/code/transaction/stateByQr", &[200, 404]),
];

fn plans() -> impl Strategy<Value = Plan> {
    let psps = prop::collection::vec(prop::option::of(0..PSPS), MERCHANTS);
    let caller = || 0..MERCHANTS + PSPS;
    let step = prop_oneof![
        2 => (caller(), prop::option::weighted(0.8, 0..MERCHANTS)).prop_map(|(who, whose)| Step::Create(who, whose)),
        2 => (caller(), any::<prop::sample::Index>()).prop_map(|(who, what)| Step::Query(who, what)),
        1 => (caller(), any::<prop::sample::Index>()).prop_map(|(who, what)| Step::State(who, what)),
        4 => (caller(), any::<prop::sample::Index>(), 0..CALLS.len())
            .prop_map(|(who, what, which)| Step::Code(who, what, which)),
        1 => (caller(), any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(who, what, is_all)| Step::GiveBack(who, what, is_all)),
    ];
    (psps, prop::collection::vec(step, 100)).prop_map(|(psps, steps)| Plan { psps, steps })
}

/// The accounts of a plan, and who owns what was made.
struct Shop<'a> {
    world: &'a World,
    plan: &'a Plan,
    /// The first merchant's number; the PSPs have numbers of their own.
    base: u64,
    auth: Vec<String>,
    /// Codes and transactions with their owners.
    codes: Vec<(usize, String)>,
    transactions: Vec<(usize, i64)>,
}

impl Shop<'_> {
    fn id(&self, merchant: usize) -> u64 {
        self.base + u64::try_from(merchant).unwrap()
    }

    fn acts_for(&self, who: usize, merchant: usize) -> bool {
        if who < MERCHANTS { who == merchant } else { self.plan.psps[merchant] == Some(who - MERCHANTS) }
    }

    async fn open<'a>(world: &'a World, plan: &'a Plan, base: u64) -> Shop<'a> {
        let mut shop = Shop { world, plan, base, auth: Vec::new(), codes: Vec::new(), transactions: Vec::new() };
        for merchant in 0..MERCHANTS {
            let psp = plan.psps[merchant].map(|psp| format!("psp-{}", shop.id(psp)));
            shop.auth.push(world.merchant_of(shop.id(merchant), psp.as_deref()).await);
        }
        for psp in 0..PSPS {
            shop.auth.push(world.account(&json!({"name": format!("psp-{}", shop.id(psp))})).await);
        }
        shop
    }

    async fn create(&mut self, who: usize, whose: Option<usize>) {
        let reference = format!("r-{}-{}", self.base, self.codes.len());
        let body = json!({"merchantReference": reference, "amount": 10, "merchantId": whose.map(|m| self.id(m))});
        let answer = self.world.send(Forward::post("/pluto/code/create", &body).with(&self.auth[who])).await;
        let owner = whose.or((who < MERCHANTS).then_some(who));
        match owner {
            None => answer.assert_problem(400, "bad-request"),
            Some(owner) if !self.acts_for(who, owner) => answer.assert_problem(404, "not-found"),
            Some(owner) => {
                assert_eq!(answer.status, 200, "{}", answer.text());
                let code = answer.json()["code"].as_str().unwrap().to_owned();
                if self.transactions.len() < MAX_PAID {
                    let paid = pay(self.world, &code, "4111111111111111", 1000).await.json();
                    self.transactions.push((owner, paid["transactionId"].as_i64().unwrap()));
                }
                self.codes.push((owner, code));
            }
        }
    }

    async fn look(&self, who: usize, owner: usize, path: String) {
        let answer = self.world.send(Forward::get(path).with(&self.auth[who])).await;
        if self.acts_for(who, owner) {
            assert_eq!(answer.status, 200, "{}", answer.text());
        } else {
            answer.assert_problem(404, "not-found");
        }
    }

    async fn call(&self, who: usize, (owner, code): &(usize, String), which: usize) {
        let (method, path, statuses) = CALLS[which];
        let path = path.replace("{code}", code);
        let reference = format!("other-{}-{code}", self.base);
        let body = match path.rsplit('/').next().unwrap() {
            "amount" => json!({"amount": 5, "merchantReference": reference}),
            "stateByQr" => json!({"code": code, "amount": 10}),
            "queryRef" | "refund" => json!({"code": code, "merchantReference": reference}),
            _ => json!({"mcc": "5812"}),
        };
        let has_body = method == "POST" || path.ends_with("amount") || path.ends_with(code) && method == "PUT";
        let forward = if has_body { Forward::post(path, &body) } else { Forward::get(path) };
        let answer = self.world.send(Forward { method, ..forward }.with(&self.auth[who])).await;
        if self.acts_for(who, *owner) {
            assert!(statuses.contains(&answer.status.as_u16()), "{method} {}", answer.text());
        } else {
            answer.assert_problem(404, "not-found");
        }
    }

    async fn give_back(&self, who: usize, (owner, id): &(usize, i64), is_all: bool) {
        let path = format!("/pluto/purchase/{id}");
        let forward = if is_all { Forward::delete(path) } else { Forward::post_text(path, "0.10") };
        let answer = self.world.send(forward.with(&self.auth[who])).await;
        if self.acts_for(who, *owner) {
            assert!(matches!(answer.status.as_u16(), 200 | 409), "{}", answer.text());
        } else {
            answer.assert_problem(404, "not-found");
        }
    }

    async fn run(&mut self) {
        for step in &self.plan.steps {
            match step {
                Step::Create(who, whose) => self.create(*who, *whose).await,
                _ if self.codes.is_empty() => {}
                Step::Query(who, what) => {
                    let (owner, code) = what.get(&self.codes);
                    self.look(*who, *owner, format!("/pluto/code/{code}")).await;
                }
                Step::State(who, what) => {
                    let (owner, id) = what.get(&self.transactions);
                    self.look(*who, *owner, format!("/pluto/code/transaction/state/{id}")).await;
                }
                Step::Code(who, what, which) => self.call(*who, what.get(&self.codes), *which).await,
                Step::GiveBack(who, what, is_all) => self.give_back(*who, what.get(&self.transactions), *is_all).await,
            }
        }
    }
}

on_both! {
    async fn nobody_sees_or_makes_what_is_anothers(world: World) {
        let mut world = world;
        world.ready().await;
        let mut runner = TestRunner::deterministic();
        let mut made = 0;
        for round in 1..=5 {
            let plan = plans().new_tree(&mut runner).unwrap().current();
            let mut shop = Shop::open(&world, &plan, round * 1000).await;
            shop.run().await;
            made += shop.codes.len();
        }
        assert!(made > 20, "{made}");
    }
}
