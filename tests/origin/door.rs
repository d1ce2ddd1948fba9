//! The origin's door: which of two credentials counts, what ends a session, what an edge is told, and how often one may
//! fail.

use std::sync::Arc;

use scanvault_origin::app::config::Switch;
use scanvault_origin::app::router::answer_public;
use scanvault_protocol::authorization::{self, Authorization};
use scanvault_protocol::record::{TokenKeys, Update};
use serde_json::{Value, json};

use crate::on_both;
use crate::world::{Answer, Forward, World, basic};

const RECORD: &str = "scanvault-credential-record";
const KEYS: &str = "scanvault-token-keys";

fn get() -> Forward {
    Forward::get("/pluto/code/0123456789").from("unknown")
}

/// A code of this merchant: whoever sees it is that merchant.
async fn code_of(world: &World, auth: &str) -> String {
    let body = json!({"merchantReference": "r-1", "amount": 10});
    let answer = world.send(Forward::post("/pluto/code/create", &body).with(auth)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["code"].as_str().unwrap().to_owned()
}

fn told(answer: &Answer) -> Option<Update> {
    answer.headers.get(RECORD).map(|value| value.to_str().unwrap().parse().unwrap())
}

/// What is known of an account, as one word for each field, and how many passwords count.
fn record(answer: &Answer) -> String {
    match told(answer) {
        None => "nothing".to_owned(),
        Some(Update::Forget(account)) => format!("{account} -"),
        Some(Update::Keep(record)) => {
            let (mode, role) = (record.mode.as_str(), record.role.as_str());
            format!("{} {mode} {role} {} {}", record.account, record.version, record.verifiers.len())
        }
    }
}

on_both! {
    /// Bearer: of merchant 26, in Bearer mode. Basic: of merchant 25. Each code is seen by its owner only.
    async fn a_valid_token_wins_and_an_invalid_one_is_passed_over(world: World) {
        let mut world = world;
        let right = world.ready().await;
        let other = world.account(&json!({"name": "merchant-26"})).await;
        let (of_25, of_26) = (code_of(&world, &right).await, code_of(&world, &other).await);
        world.in_bearer_mode("merchant-26").await;
        let (valid, _) = world.session("merchant-26").await;
        let (disabled, _) = world.session("merchant-25").await;
        let (wrong, broken) = (other.as_str(), "Basic !!!");
        let (forged, malformed) = ("Bearer e30.e30.AA", "Bearer x");
        let bad = Err((401, "bad-credentials"));
        type Seen<'a> = Result<&'a str, (u16, &'a str)>;
        let cases: [(&str, &str, Seen<'_>); 18] = [
            (&valid, "", Ok(&of_26)),
            (&valid, &right, Ok(&of_26)),
            (&valid, wrong, Ok(&of_26)),
            (&valid, broken, Ok(&of_26)),
            ("", &right, Ok(&of_25)),
            (forged, &right, Ok(&of_25)),
            (malformed, &right, Ok(&of_25)),
            (&disabled, &right, Ok(&of_25)),
            ("", wrong, bad),
            (forged, wrong, bad),
            (malformed, wrong, bad),
            (&disabled, wrong, bad),
            (&disabled, "", Err((401, "jwt-disabled"))),
            (&disabled, broken, Err((401, "jwt-disabled"))),
            (forged, "", Err((401, "invalid-or-expired-jwt"))),
            (forged, broken, Err((401, "invalid-or-expired-jwt"))),
            (malformed, broken, Err((401, "invalid-jwt"))),
            ("", "", bad),
        ];
        for (bearer, basic, expected) in cases {
            // The runtime joins repeated headers with a comma, in the order in which they came.
            for header in [format!("{bearer}, {basic}"), format!("{basic},{bearer}")] {
                for code in [&of_25, &of_26] {
                    let path = format!("/pluto/code/{code}");
                    let answer = world.send(Forward::get(path).with(&header).from("unknown")).await;
                    match expected {
                        Ok(own) => assert_eq!(answer.status == 200, own == code, "{header}"),
                        Err((status, problem)) => answer.assert_problem(status, problem),
                    }
                }
            }
        }
        for twice in [format!("{valid}, {valid}"), format!("{right}, {right}"), format!("{valid}, {forged}, {right}")] {
            world.send(get().with(&twice)).await.assert_problem(400, "bad-request");
        }
    }

    async fn sealed_a_token_cannot_be_read_and_basic_works(world: World) {
        let mut world = world;
        let right = world.ready().await;
        world.account(&json!({"name": "merchant-26"})).await;
        world.in_bearer_mode("merchant-26").await;
        let (token, _) = world.session("merchant-26").await;
        world.send(get().with(&token)).await.assert_problem(404, "not-found");
        assert_eq!(world.admin("POST", "/vault/seal", &json!({})).await.status, 200);
        let sealed = world.send(get().with(&token)).await;
        sealed.assert_problem(503, "sealed");
        assert_eq!(sealed.header(KEYS), "");
        world.send(get().with(&format!("{token}, {right}"))).await.assert_problem(404, "not-found");
        world.unseal().await;
        world.send(get().with(&token)).await.assert_problem(404, "not-found");
    }

    async fn whatever_changes_credentials_ends_sessions_at_once(world: World) {
        let mut world = world;
        world.ready().await;
        world.name_two_operators();
        world.account(&json!({"name": "merchant-26"})).await;
        world.in_bearer_mode("merchant-26").await;
        let ok = async |token: &str| world.send(get().with(token)).await.assert_problem(404, "not-found");
        let dead = async |token: &str, code: &str| world.send(get().with(token)).await.assert_problem(401, code);
        // Logout, by what it leaves in the database; another session of the account lives on.
        let ((first, _), (second, _)) = (world.session("merchant-26").await, world.session("merchant-26").await);
        ok(&first).await;
        world.execute("UPDATE sessions SET ended_at_ms = 1 WHERE id = (SELECT MIN(id) FROM sessions)").await;
        dead(&first, "invalid-or-expired-jwt").await;
        ok(&second).await;
        // Suspension; a resumed account has to log in again.
        assert_eq!(world.admin("POST", "/accounts/merchant-26/suspend", &json!({})).await.status, 200);
        dead(&second, "invalid-or-expired-jwt").await;
        assert_eq!(world.admin("POST", "/accounts/merchant-26/resume", &json!({})).await.status, 200);
        dead(&second, "invalid-or-expired-jwt").await;
        // A key change, by the version that it counts on.
        let (third, _) = world.session("merchant-26").await;
        ok(&third).await;
        world.execute("UPDATE accounts SET credential_version = credential_version + 1 WHERE name = 'merchant-26'").await;
        dead(&third, "invalid-or-expired-jwt").await;
        // The switch.
        let (fourth, _) = world.session("merchant-26").await;
        ok(&fourth).await;
        for (uid, pending) in [(1001, true), (1003, false)] {
            let answer = world.admin_as(uid, "POST", "/accounts/merchant-26/switch", &json!({"mode": "basic"})).await;
            assert_eq!((answer.status.as_u16(), answer.json()["pending"] == true), (200, pending), "{}", answer.text());
        }
        dead(&fourth, "jwt-disabled").await;
        assert_eq!(world.admin("POST", "/accounts/merchant-26/switch", &json!({"mode": "bearer"})).await.status, 200);
        dead(&fourth, "invalid-or-expired-jwt").await;
    }

    async fn a_session_ends_with_its_time_and_a_token_is_nothing_without_its_session(world: World) {
        let mut world = world;
        world.ready().await;
        world.account(&json!({"name": "merchant-26"})).await;
        world.in_bearer_mode("merchant-26").await;
        world.clock.advance_ms(500); // to a full second
        let (token, _) = world.session("merchant-26").await;
        world.clock.advance_ms(30 * 60 * 1000 - 1);
        world.send(get().with(&token)).await.assert_problem(404, "not-found");
        world.clock.advance_ms(1);
        world.send(get().with(&token)).await.assert_problem(401, "invalid-or-expired-jwt");
        let (token, _) = world.session("merchant-26").await;
        world.execute("DELETE FROM sessions").await;
        world.send(get().with(&token)).await.assert_problem(401, "invalid-or-expired-jwt");
        // Another account's row under the same id does not help.
        let (token, _) = world.session("merchant-26").await;
        world.execute("UPDATE sessions SET account = 'merchant-25'").await;
        world.send(get().with(&token)).await.assert_problem(401, "invalid-or-expired-jwt");
    }

    async fn an_edge_is_told_what_it_asks_for_and_what_it_got_wrong(world: World) {
        let mut world = world;
        let right = world.ready().await;
        let wrong = basic("merchant-25", scanvault_protocol::password::ApiPassword::from_entropy(&[1; 32]).expose());
        let unknown = wrong_name(&wrong, "MERCHANT_99");
        let is = "merchant-25 basic EXTERNAL 1 1";
        for (mark, auth, expected) in [
            ("verified", &right, "nothing"),
            ("renew", &right, is),
            ("unverified", &right, is),
            ("verified", &wrong, is),
            ("renew", &wrong, is),
            ("unverified", &wrong, is),
            ("verified", &unknown, "merchant-99 -"),
            ("unverified", &unknown, "merchant-99 -"),
        ] {
            let answer = world.send(get().with(auth).marked(mark)).await;
            assert_eq!(record(&answer), expected, "{mark} {auth}");
            assert_eq!(answer.header(KEYS), "");
        }
        // What it is told is what the password is checked against.
        let Some(Update::Keep(told)) = told(&world.send(get().with(&right)).await) else { panic!("no record") };
        let Authorization { basic: Some(offered), .. } = authorization::parse(Some(&right)).unwrap() else { panic!() };
        assert!(told.verifiers[0].accepts(&offered.password));
        // Whatever the answer is: with a wrong role, and on success.
        let answer = world.send(Forward::get("/pluto/stk/x").with(&right)).await;
        assert_eq!((answer.status.as_u16(), record(&answer).as_str()), (403, is));
        let body = json!({"merchantReference": "r-1", "amount": 10});
        let answer = world.send(Forward::post("/pluto/code/create", &body).with(&right)).await;
        assert_eq!((answer.status.as_u16(), record(&answer).as_str()), (200, is));
        // Nobody asked who it is.
        let answer = world.send(Forward::get("/pluto/public/assets/pay.js").with(&right)).await;
        assert_eq!((answer.status.as_u16(), record(&answer).as_str()), (200, "nothing"));
        // No internal system is told anything.
        let answer = world.send(Forward::get("/pluto/internal/vault/key").by("vault-1").with(&right)).await;
        assert_eq!((record(&answer).as_str(), answer.header(KEYS)), ("nothing", ""));
        assert_eq!(world.admin("POST", "/accounts/merchant-25/suspend", &json!({})).await.status, 200);
        let answer = world.send(get().with(&right).marked("verified")).await;
        answer.assert_problem(401, "bad-credentials");
        assert_eq!(record(&answer), "merchant-25 basic EXTERNAL 2 0");
    }

    async fn an_edge_is_told_the_keys_of_tokens(world: World) {
        let mut world = world;
        let right = world.ready().await;
        world.account(&json!({"name": "merchant-26"})).await;
        world.in_bearer_mode("merchant-26").await;
        let (token, _) = world.session("merchant-26").await;
        let keys = world.app.identity.tokens.published().unwrap().to_header();
        assert!(keys.starts_with("https://pay.example 1="), "{keys}");
        for (mark, auth, expected) in [
            ("verified", token.clone(), ""),
            ("renew", token.clone(), &keys),
            ("unverified", token.clone(), &keys),
            ("verified", "Bearer e30.e30.AA".to_owned(), &keys),
            ("unverified", format!("Bearer e30.e30.AA, {right}"), &keys),
            ("verified", format!("Bearer e30.e30.AA, {right}"), &keys),
            ("unverified", "Bearer x".to_owned(), ""),
            ("unverified", right.clone(), ""),
        ] {
            let answer = world.send(get().with(&auth).marked(mark)).await;
            assert_eq!(answer.header(KEYS), expected, "{mark} {auth}");
        }
        // A password of an account in Bearer mode: the edge learns that there is none.
        let password = basic("merchant-26", scanvault_protocol::password::ApiPassword::from_entropy(&[1; 32]).expose());
        let answer = world.send(get().with(&password)).await;
        assert_eq!(record(&answer), "merchant-26 bearer EXTERNAL 2 0");
    }

    async fn a_new_token_key_signs_and_the_one_before_still_verifies(world: World) {
        let mut world = world;
        world.ready().await;
        world.account(&json!({"name": "merchant-26"})).await;
        world.in_bearer_mode("merchant-26").await;
        let (old, _) = world.session("merchant-26").await;
        world.send(get().with(&old)).await.assert_problem(404, "not-found");
        assert_eq!(world.admin("POST", "/vault/keys/rotate", &json!({"kind": "token"})).await.status, 200);
        world.clock.advance_ms(16_000); // until every origin has it
        let (new, _) = world.session("merchant-26").await;
        for token in [&old, &new] {
            let answer = world.send(get().with(token)).await;
            answer.assert_problem(404, "not-found");
            let keys: TokenKeys = answer.header(KEYS).parse().unwrap();
            assert_eq!(keys.keys.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["2", "1"]);
        }
        assert_ne!(old.split('.').next(), new.split('.').next());
    }

    async fn limits_can_be_off_for_tests_and_the_demo(world: World) {
        let mut world = world;
        world.ready().await;
        let app = Arc::new(world.beside_with(|config| config.rate_limits = Switch::Off).await);
        world.clock.advance_ms(1_000);
        let wrong = basic("merchant-25", scanvault_protocol::password::ApiPassword::from_entropy(&[1; 32]).expose());
        for _ in 0..100 {
            let request = world.signed(&get().with(&wrong).from("203.0.113.7"));
            let answer = Answer::of(answer_public(Arc::clone(&app), request).await).await;
            answer.assert_problem(401, "bad-credentials");
        }
    }

    async fn a_mark_that_no_edge_makes_stays_out(world: World) {
        let answer = world.raw(world.signed(&get().marked("trusted"))).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (401, 0));
    }

    async fn failures_are_slowed_down_and_a_right_credential_never_is(world: World) {
        let mut world = world;
        let right = world.ready().await;
        let wrong = basic("merchant-25", scanvault_protocol::password::ApiPassword::from_entropy(&[1; 32]).expose());
        let ask = async |auth: &str, client| world.send(get().with(auth).from(client)).await;
        for _ in 0..20 {
            ask(&wrong, "203.0.113.7").await.assert_problem(401, "bad-credentials");
        }
        let limited = ask(&wrong, "203.0.113.7").await;
        limited.assert_problem(429, "too-many-requests");
        assert_eq!((limited.header("retry-after"), record(&limited).as_str()), ("3", "merchant-25 basic EXTERNAL 1 1"));
        assert_eq!(ask("Bearer e30.e30.AA", "203.0.113.7").await.header("retry-after"), "6");
        ask(&right, "203.0.113.7").await.assert_problem(404, "not-found");
        ask(&wrong, "203.0.113.8").await.assert_problem(401, "bad-credentials");
        world.clock.advance_ms(9_000); // 22 failures less 3 that are forgotten
        ask(&wrong, "203.0.113.7").await.assert_problem(401, "bad-credentials");
        // From many addresses against one name.
        let mut refused = 0;
        for at in 0..60 {
            let client: &'static str = format!("198.51.100.{at}").leak();
            refused += u32::from(ask(&wrong, client).await.status == 401);
        }
        assert!((30..60).contains(&refused), "{refused}");
        ask(&wrong, "192.0.2.1").await.assert_problem(429, "too-many-requests");
        ask(&right, "192.0.2.1").await.assert_problem(404, "not-found");
        let metrics = world.admin("GET", "/metrics", &Value::Null).await.text();
        let counted = "scanvault_credentials_total{verdict=\"basic\",edge=\"unverified\"} 2";
        assert!(metrics.contains(counted) && metrics.contains("verdict=\"too-many-requests\""), "{metrics}");
    }
}

fn wrong_name(auth: &str, name: &str) -> String {
    let Authorization { basic: Some(offered), .. } = authorization::parse(Some(auth)).unwrap() else {
        panic!("{auth}")
    };
    basic(name, offered.password.expose())
}

mod malformed {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// Anything that can stand in a header, and right credentials with something done to them.
    fn headers(good: &[String]) -> impl Strategy<Value = String> + use<> {
        let damaged = (prop::sample::select(good.to_vec()), any::<prop::sample::Index>(), 0_u8..5, "[ -~]{0,3}");
        let damaged = damaged.prop_map(|(text, at, how, other)| {
            let at = at.index(text.len());
            let (head, tail) = text.split_at(at);
            match how {
                0 => format!("{head}{other}{tail}"),
                1 => head.to_owned(),
                2 => tail.to_owned(),
                3 => format!("{head}{other}{}", tail.get(1..).unwrap_or_default()),
                _ => format!("{text}, {head}{other}"),
            }
        });
        let listed = "((Basic|Bearer|basic|BEARER|Digest|)[ ]{0,2}[A-Za-z0-9+/=._-]{0,40},?){0,4}";
        prop_oneof![4 => damaged, 2 => listed, 1 => "[ -~]{0,80}", 1 => "[ -~]{6000,7000}"]
    }

    /// Ten thousand headers: what the parser refuses is refused in its words, and nobody else's credential comes of one.
    #[tokio::test]
    async fn ten_thousand_headers() {
        let mut world = World::sqlite().await;
        let right = world.ready().await;
        let own = code_of(&world, &right).await;
        world.account(&json!({"name": "merchant-26"})).await;
        world.in_bearer_mode("merchant-26").await;
        let (token, _) = world.session("merchant-26").await;
        let good = [right.clone(), token.clone(), format!("{token}, {right}"), format!("{right},{token}")];
        let mut runner = TestRunner::deterministic();
        let strategy = headers(&good);
        let (mut refused, mut let_in) = (0, 0);
        for _ in 0..10_000 {
            let header = strategy.new_tree(&mut runner).unwrap().current();
            let path = format!("/pluto/code/{own}");
            let answer = world.send(Forward::get(path).with(header.trim()).from("unknown")).await;
            let status = answer.status.as_u16();
            match authorization::parse(Some(&header)) {
                Err(problem) => answer.assert_problem(problem.status(), problem.code()),
                Ok(offered) => {
                    let still_right = |good: &str| header.contains(good.split_once(' ').unwrap().1);
                    let is_ok = matches!(status, 200 | 404) && (still_right(&right) || still_right(&token));
                    assert!(is_ok || status == 401, "{status} {header:?} {offered:?}");
                }
            }
            if matches!(status, 200 | 404) { let_in += 1 } else { refused += 1 }
        }
        assert!(refused > 5_000 && let_in > 100, "{refused} refused, {let_in} let in");
    }
}
