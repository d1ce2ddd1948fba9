//! Which region serves: what edges are told, and what a region that stands by does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scanvault_origin::db::fence::FenceError;
use scanvault_origin::db::{Db, DbError};
use scanvault_origin::vault::SystemEntropy;
use scanvault_protocol::region::State;
use serde_json::{Value, json};
use sqlx::Row;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::card::{code, pay};
use crate::cards::audited;
use crate::on_both;
use crate::world::{Forward, World};

/// Longer than anything takes here.
const FOR_EVER: Duration = Duration::from_secs(120);

fn state() -> Forward {
    Forward::get("/pluto/internal/region")
}

on_both! {
    async fn edges_are_told_how_the_region_stands(world: World) {
        let mut world = world;
        let answer = world.send(state()).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"), "{}", answer.text());
        let told = State::parse(&answer.body).unwrap();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        assert_eq!(told, State { region: "a".into(), version, sealed: true, serves: true, epoch: 0 });
        world.ready().await;
        assert!(!State::parse(&world.send(state()).await.body).unwrap().sealed);
        assert_eq!(world.send(Forward { method: "HEAD", ..state() }).await.status, 200);
    }

    /// It is a row of the edges' own: nobody else's key opens it, and it takes nothing.
    async fn nobody_else_is_told(world: World) {
        let mut world = world;
        world.ready().await;
        world.send(state().by("vault-1")).await.assert_problem(404, "not-found");
        world.send(Forward::get("/pluto/internal/region?a=1")).await.assert_problem(400, "bad-request");
        world.send(Forward::delete("/pluto/internal/region")).await.assert_problem(405, "method-not-allowed");
    }

    async fn operators_see_who_serves(world: World) {
        let shown = world.admin("GET", "/region", &Value::Null).await;
        let expected = json!({"region": "a", "serves": true, "serving": null, "epoch": 0, "sinceMs": null, "sealed": true});
        assert_eq!((shown.status.as_u16(), shown.json()), (200, expected));
        let ready = world.admin("GET", "/health/ready", &Value::Null).await;
        assert_eq!((ready.status.as_u16(), &ready.json()["standsBy"]), (200, &json!(false)));
    }
}

#[tokio::test]
async fn sqlite_has_one_process_and_that_serves() {
    let world = World::sqlite().await;
    for path in ["/region/serve", "/region/release"] {
        let answer = world.admin("POST", path, &json!({})).await;
        assert_eq!(answer.status, 409);
        assert!(answer.text().contains("always serves"), "{}", answer.text());
    }
    assert!(world.app.db.serves());
    assert_eq!(world.number("SELECT COUNT(*) FROM serving_region").await, 0);
}

/// Two regions on one PostgreSQL, both open; `world.app` is one of them, the other is beside it.
struct Two {
    world: World,
    other: Arc<scanvault_origin::app::App>,
    auth: String,
}

impl Two {
    async fn new() -> Self {
        let mut world = World::postgres().await;
        let auth = world.ready().await;
        let other = world.in_region("b").await;
        let mut two = Self { world, other, auth };
        two.swap();
        two.world.unseal().await;
        two.swap();
        two
    }

    /// Speaks with the other one from here on.
    fn swap(&mut self) {
        std::mem::swap(&mut self.world.app, &mut self.other);
    }

    /// The other one is told to serve; answers what it says.
    async fn other_serves(&mut self) -> Value {
        self.swap();
        let answer = self.world.admin("POST", "/region/serve", &json!({})).await;
        self.swap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn told(&self) -> State {
        State::parse(&self.world.send(state()).await.body).unwrap()
    }
}

#[tokio::test]
async fn what_had_begun_is_not_committed_after_another_serves() {
    let mut two = Two::new().await;
    let before = two.world.number("SELECT COUNT(*) FROM payment_requests").await;
    // As a process does that is stopped in the middle, and as one does that was about to write.
    let mut begun = two.world.app.db.begin().await.unwrap();
    sqlx::query("UPDATE accounts SET display_name = 'x'").execute(&mut *begun).await.unwrap();
    let mut about_to = two.world.app.db.begin().await.unwrap();

    let answer = two.other_serves().await;
    assert_eq!((&answer["serving"], &answer["epoch"], &answer["serves"]), (&json!("b"), &json!(1), &json!(true)));
    assert!(answer["sessionsEnded"].as_u64().unwrap() >= 2, "{answer}");

    assert!(sqlx::query("UPDATE accounts SET display_name = 'y'").execute(&mut *about_to).await.is_err());
    assert!(begun.commit().await.is_err());
    // It does not know yet, and cannot write either: neither on a session that it had, nor on a new one.
    let write = "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys WHERE 1 = 0";
    let mut refused = 0;
    while two.world.app.db.serves() {
        assert!(sqlx::query(write).execute(two.world.app.db.write()).await.is_err());
        refused += 1;
        assert!(refused < 100, "it never learns");
    }
    for _ in 0..3 {
        let error = sqlx::query(write).execute(two.world.app.db.write()).await.unwrap_err();
        assert!(error.to_string().contains("read-only transaction"), "{error}");
    }
    assert_eq!(two.world.number("SELECT COUNT(*) FROM accounts WHERE display_name IN ('x', 'y')").await, 0);
    assert_eq!(two.world.number("SELECT COUNT(*) FROM payment_requests").await, before);
    // The other one works.
    two.swap();
    let digits = code(&two.world, &two.auth, "at-b", "3.00").await;
    assert_eq!(pay(&two.world, &digits, "4111111111111111", 300).await.json()["state"], "paid");
}

/// What hangs is given up, and leaves the pool as it was: in all, more of it than the pool has connections.
#[tokio::test]
async fn who_serves_is_not_waited_for_without_end() {
    let world = World::postgres().await;
    let db = &world.app.db;
    let mut held = db.begin().await.unwrap();
    sqlx::query("LOCK TABLE serving_region IN ACCESS EXCLUSIVE MODE").execute(&mut *held).await.unwrap();
    for _ in 0..2 {
        let mut looks = JoinSet::new();
        for _ in 0..3 {
            let db = db.clone();
            looks.spawn(async move { timeout(FOR_EVER, db.look_who_serves()).await.expect("it waits for ever") });
        }
        while let Some(look) = looks.join_next().await {
            assert!(matches!(look.unwrap(), Err(DbError::Late("who serves"))));
        }
    }
    held.rollback().await.unwrap();
    assert_eq!(db.look_who_serves().await.unwrap().epoch, 0);
}

/// As of a process that was stopped in the middle of it.
#[tokio::test]
async fn a_ceremony_that_stands_still_lets_go_of_what_it_holds() {
    let world = World::postgres().await;
    let lock = "LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE";
    let mut still = world.app.db.unfenced().begin().await.unwrap();
    sqlx::query(lock).execute(&mut *still).await.unwrap();
    let mut other = world.app.db.begin().await.unwrap();
    timeout(FOR_EVER, sqlx::query(lock).execute(&mut *other)).await.expect("it waits for ever").unwrap();
    assert!(still.commit().await.is_err());
}

#[tokio::test]
async fn a_session_that_is_opened_meanwhile_is_fenced_too() {
    let mut two = Two::new().await;
    two.world.execute("CREATE TABLE written (n BIGINT)").await;
    let stop = Arc::new(AtomicBool::new(false));
    let url = two.world.config.database_url.clone();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, url) = (Arc::clone(&stop), url.clone());
            tokio::spawn(async move {
                // Each write on a session of its own, opened for it.
                while !stop.load(Ordering::SeqCst) {
                    let Ok(db) = Db::open(&url, "a").await else { continue };
                    let _ = sqlx::query("INSERT INTO written VALUES (1)").execute(db.write()).await;
                    db.close().await;
                }
            })
        })
        .collect();
    // Counted where nothing is ever ended.
    let reader = two.other.db.clone();
    let count =
        async || -> i64 { sqlx::query("SELECT COUNT(*) FROM written").fetch_one(reader.read()).await.unwrap().get(0) };
    while count().await < 8 {}
    for _ in 0..5 {
        two.other_serves().await;
        let counted = count().await;
        for _ in 0..20 {
            assert_eq!(count().await, counted);
        }
        assert_eq!(two.world.admin("POST", "/region/release", &json!({})).await.status, 200);
        while count().await == counted {}
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_region_that_stands_by_says_so_and_does_nothing() {
    let mut two = Two::new().await;
    let digits = code(&two.world, &two.auth, "before", "3.00").await;
    two.other_serves().await;
    two.world.app.db.look_who_serves().await.unwrap();
    assert_eq!((two.told().await.serves, two.told().await.epoch), (false, 1));
    let create = Forward::post("/pluto/code/create", &json!({"merchantReference": "r", "amount": 1}));
    for forward in [
        create.clone().with(&two.auth),
        create.clone().with("Basic eDp5"),
        create,
        Forward::get(format!("/pluto/code/{digits}")).with(&two.auth),
        Forward::get(format!("/q/{digits}")),
        Forward::get(format!("/pluto/public/pay/{digits}/state")),
        Forward::get("/authentication/login-challenges?identity=merchant-25&clientChallenge=x"),
        Forward::delete("/pluto/purchase/7").with(&two.auth),
        Forward::get("/pluto/internal/vault/key").by("vault-1"),
    ] {
        let answer = two.world.send(forward).await;
        answer.assert_problem(503, "standby");
        assert_eq!((answer.header("scanvault-standby"), answer.header("retry-after")), ("1", "5"));
    }
    let line = two.world.send(Forward::get("/v1/seq/0").with(&two.auth)).await;
    assert_eq!((line.status.as_u16(), line.header("scanvault-standby")), (503, "1"));
    assert_eq!(line.text(), "This region stands by; nothing was done, try again later\n");
    let asset = two.world.send(Forward::get("/pluto/public/assets/pay.js")).await;
    assert_eq!((asset.status.as_u16(), asset.header("scanvault-standby")), (200, ""));
    assert_eq!(two.world.send(Forward::get("/nothing")).await.status, 404);
    let ready = two.world.admin("GET", "/health/ready", &Value::Null).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["standsBy"]), (200, &json!(true)));
    let metrics = two.world.admin("GET", "/metrics", &Value::Null).await.text();
    for line in ["scanvault_stands_by 1", "scanvault_region_epoch 1"] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn ceremonies_work_where_nothing_is_served() {
    let mut two = Two::new().await;
    two.other_serves().await;
    two.world.app.db.look_who_serves().await.unwrap();
    assert_eq!(two.world.admin("POST", "/vault/seal", &json!({})).await.status, 200);
    assert!(two.told().await.sealed);
    two.world.unseal().await;
    assert!(!two.told().await.sealed);
    two.world.account(&json!({"name": "merchant-26"})).await;
    assert!(audited(&two.world, "vault.sealed").await.len() == 1);
    two.world.app.admin.look_after_keys().await.unwrap();
    two.world.app.audit.checkpoint_if_due(two.world.clock_ms()).await.unwrap();
    // Nonces, too: what is signed twice comes in once.
    let [first, second] = [0, 1].map(|_| two.world.signed(&state()));
    let (nonce, again) = (first.headers()["signature-input"].clone(), first.headers().clone());
    assert_ne!(nonce, second.headers()["signature-input"]);
    assert_eq!(two.world.raw(first).await.status, 200);
    let mut replayed = second;
    *replayed.headers_mut() = again;
    assert_eq!(two.world.raw(replayed).await.status, 401);
}

#[tokio::test]
async fn jobs_rest_in_a_region_that_stands_by() {
    let mut two = Two::new().await;
    let digits = code(&two.world, &two.auth, "left", "3.00").await;
    pay(&two.world, &digits, "4111111111111111", 300).await;
    // As a process leaves it that dies between the intent and the outcome.
    two.world.execute("UPDATE acts SET state = 'asked', settled_at_ms = NULL WHERE kind = 'capture'").await;
    let left = "UPDATE transactions SET state = 'authorised', captured_minor = 0, acts_done = 0, updated_at_ms = 0, \
                pending_act = (SELECT number FROM acts WHERE kind = 'capture')";
    two.world.execute(left).await;
    two.other_serves().await;
    two.world.app.db.look_who_serves().await.unwrap();
    let version = "SELECT CAST(SUM(version) AS BIGINT) FROM transactions";
    let before = two.world.number(version).await;
    assert_eq!(two.world.app.payments.resolve().await.unwrap(), 0);
    two.world.app.wallet.work_off().await.unwrap();
    assert_eq!(two.world.number(version).await, before);
    two.swap();
    assert!(two.world.app.payments.resolve().await.unwrap() > 0);
    assert_ne!(two.world.number(version).await, before);
}

#[tokio::test]
async fn after_a_release_and_after_a_way_back_everything_works() {
    let mut two = Two::new().await;
    let works = async |two: &Two, reference: &str| code(&two.world, &two.auth, reference, "3.00").await;
    works(&two, "first").await;
    assert_eq!(two.other_serves().await["epoch"], 1);
    assert_eq!(two.other_serves().await["epoch"], 1, "it was decided already: it is fenced again, no more");
    two.world.app.db.look_who_serves().await.unwrap();
    assert!(!two.world.app.db.serves());
    // Reading fills the pool with sessions that cannot write; none of them may be used later.
    for _ in 0..3 {
        two.world.number("SELECT COUNT(*) FROM codes").await;
    }
    let released = two.world.admin("POST", "/region/release", &json!({})).await.json();
    assert_eq!(
        (&released["serving"], &released["epoch"], &released["serves"]),
        (&Value::Null, &json!(2), &json!(true))
    );
    works(&two, "released").await;
    two.swap();
    works(&two, "released too").await; // it has not looked yet, and served all the time
    two.swap();
    // And the way back: here serves, the other one does not.
    let back = two.world.admin("POST", "/region/serve", &json!({})).await.json();
    assert_eq!((&back["serving"], &back["epoch"]), (&json!("a"), &json!(3)));
    works(&two, "back").await;
    two.swap();
    two.world.app.db.look_who_serves().await.unwrap();
    two.world.send(Forward::get("/v1/seq/0").with(&two.auth)).await;
    assert!(!two.told().await.serves);
    assert_eq!(audited(&two.world, "region.serves").await.len(), 3);
    assert_eq!(audited(&two.world, "region.released").await.len(), 1);
}

/// Processes of one region share the database as before.
#[tokio::test]
async fn who_is_of_the_same_region_is_not_fenced() {
    let two = Two::new().await;
    let sibling = two.world.in_region("a").await;
    let mut begun = sibling.db.begin().await.unwrap();
    sqlx::query("UPDATE accounts SET display_name = 'x'").execute(&mut *begun).await.unwrap();
    let answer = two.world.admin("POST", "/region/serve", &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    begun.commit().await.unwrap();
    sibling.db.look_who_serves().await.unwrap();
    assert!(sibling.db.serves() && sibling.db.standing().epoch == 1);
}

/// Two operators decide at once, each at a region: the later decision holds, and who was overtaken ends nobody's sessions.
#[tokio::test]
async fn who_was_overtaken_fences_nobody() {
    let two = Two::new().await;
    let decide = async |db: &Db, region: &str| {
        let mut tx = db.unfenced().begin().await.unwrap();
        let decision = db.decide(&mut tx, Some(region), 1).await.unwrap();
        tx.commit().await.unwrap();
        decision
    };
    let (here, there) = (&two.world.app.db, &two.other.db);
    let ours = decide(here, "a").await;
    let theirs = decide(there, "b").await;
    let mut begun = there.begin().await.unwrap();
    sqlx::query("UPDATE accounts SET display_name = 'x'").execute(&mut *begun).await.unwrap();
    let overtaken = here.fence_others(&ours).await;
    assert!(matches!(overtaken, Err(FenceError::Overtaken)), "{overtaken:?}");
    assert!(!here.serves(), "and it knows");
    there.fence_others(&theirs).await.unwrap();
    begun.commit().await.unwrap();
    assert_eq!(two.world.number("SELECT COUNT(*) FROM accounts WHERE display_name = 'x'").await, 1);
}

/// A re-encryption holds records and the vault for as long as a batch takes: for good, where its process was stopped.
#[tokio::test]
async fn a_reencryption_is_fenced_too() {
    let mut two = Two::new().await;
    assert_eq!(two.world.admin("POST", "/vault/reencrypt", &json!({})).await.status, 200);
    two.other_serves().await;
    let mut entropy = SystemEntropy::new();
    for _ in 0..3 {
        let step = two.world.app.admin.reencrypt_step(&mut entropy).await;
        assert!(step.is_err(), "{step:?}");
    }
    let untouched = "SELECT COUNT(*) FROM vault_reencryption WHERE cursor_table = '' AND state = 'running'";
    assert_eq!(two.world.number(untouched).await, 1);
}
