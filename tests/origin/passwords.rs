//! API passwords from their making to their end; the switch, the suspension, and who has to agree.

use serde_json::{Value, json};

use crate::cards::audited;
use crate::on_both;
use crate::world::{Answer, Forward, World, basic};

const DAY_MS: u64 = 86_400_000;

fn get() -> Forward {
    Forward::get("/pluto/code/0123456789").from("unknown")
}

async fn works(world: &World, auth: &str) -> bool {
    let answer = world.send(get().with(auth)).await;
    let is_right = answer.status == 404;
    if !is_right {
        answer.assert_problem(401, "bad-credentials");
    }
    is_right
}

async fn rotate(world: &World, body: Value) -> String {
    let answer = world.admin("POST", "/accounts/merchant-25/rotate", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    basic("merchant-25", answer.json()["password"].as_str().unwrap())
}

async fn keys(world: &World, name: &str) -> Vec<Value> {
    let answer = world.admin("GET", &format!("/accounts/{name}/keys"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["keys"].as_array().unwrap().clone()
}

async fn account(world: &World, name: &str, what: &str, body: Value) -> Answer {
    world.admin("POST", &format!("/accounts/{name}/{what}"), &body).await
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, detail: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str()), (status, Some(detail)), "{}", answer.text());
}

on_both! {
    async fn without_an_overlap_the_old_one_is_dead_at_once(world: World) {
        let mut world = world;
        let first = world.ready().await;
        let second = rotate(&world, json!({})).await;
        assert_eq!((works(&world, &first).await, works(&world, &second).await), (false, true));
        // Whatever was live, in an overlap too.
        let third = rotate(&world, json!({"overlapSecs": 60})).await;
        let fourth = rotate(&world, json!({"overlapSecs": 0})).await;
        for (password, is_live) in [(&first, false), (&second, false), (&third, false), (&fourth, true)] {
            assert_eq!(works(&world, password).await, is_live);
        }
        // By the clock of another origin, which may be behind, it ended in the future: it is dead there too.
        world.execute("UPDATE api_passwords SET ended_at_ms = ended_at_ms + 3600000").await;
        assert_eq!((works(&world, &third).await, works(&world, &fourth).await), (false, true));
    }

    async fn with_an_overlap_the_old_one_lives_on_so_long_and_never_are_there_more_than_two(world: World) {
        let mut world = world;
        let first = world.ready().await;
        let second = rotate(&world, json!({"overlapSecs": 3600})).await;
        assert_eq!((works(&world, &first).await, works(&world, &second).await), (true, true));
        let told = world.send(get().with(&second)).await.header("scanvault-credential-record").to_owned();
        assert_eq!(told.matches(',').count(), 1, "{told}");
        world.clock.advance_ms(3_600_000 - 1);
        assert!(works(&world, &first).await);
        world.clock.advance_ms(1);
        assert_eq!((works(&world, &first).await, works(&world, &second).await), (false, true));
        let third = rotate(&world, json!({"overlapSecs": 604_800})).await;
        let fourth = rotate(&world, json!({"overlapSecs": 60})).await;
        let fifth = rotate(&world, json!({"overlapSecs": 60})).await;
        for (password, is_live) in [(&second, false), (&third, false), (&fourth, true), (&fifth, true)] {
            assert_eq!(works(&world, password).await, is_live);
        }
        let live = keys(&world, "merchant-25").await.iter().filter(|key| key["live"] == true).count();
        assert_eq!(live, 2);
        for (body, status) in [
            (json!({"overlapSecs": 604_801}), 400),
            (json!({"overlapSecs": -1}), 400),
            (json!({"overlap": 1}), 400),
        ] {
            assert_eq!(account(&world, "merchant-25", "rotate", body).await.status, status);
        }
        assert!(works(&world, &fifth).await);
        let entries = audited(&world, "account.rotated").await;
        let last = json!({"action": "account.rotated", "actor": "owner", "account": "merchant-25", "overlapSecs": 60});
        assert_eq!((entries.len(), &entries[3]), (4, &last));
    }

    async fn keys_are_listed_with_their_age_and_last_use(world: World) {
        let mut world = world;
        let first = world.ready().await;
        let made_ms = world.clock_ms();
        let listed = keys(&world, "MERCHANT_25").await;
        assert_eq!(listed, [json!({"number": 1, "live": true, "due": false, "ageDays": 0, "createdBy": "owner",
            "createdAtMs": made_ms, "endsAtMs": null, "lastUsedAtMs": null})]);
        world.clock.advance_ms(1_000);
        assert!(works(&world, &first).await);
        assert!(!works(&world, &basic("merchant-25", "wrong")).await);
        let stored = "SELECT COALESCE(MAX(last_used_at_ms), 0) FROM api_passwords WHERE account = 'merchant-25'";
        assert_eq!((keys(&world, "merchant-25").await[0]["lastUsedAtMs"].clone(), world.number(stored).await), (json!(made_ms + 1_000), 0));
        world.app.identity.write_last_uses(false).await.unwrap();
        assert_eq!(world.number(stored).await, i64::try_from(made_ms + 1_000).unwrap());
        // Used again: written at most once a minute, and at the end of the process.
        world.clock.advance_ms(1_000);
        assert!(works(&world, &first).await);
        world.app.identity.write_last_uses(false).await.unwrap();
        assert_eq!(world.number(stored).await, i64::try_from(made_ms + 1_000).unwrap());
        world.app.identity.write_last_uses(true).await.unwrap();
        assert_eq!(world.number(stored).await, i64::try_from(made_ms + 2_000).unwrap());
        // By the policy of 90 days it is due, and works.
        world.clock.advance_ms(90 * DAY_MS - 2_001);
        assert_eq!(keys(&world, "merchant-25").await[0]["due"], false);
        world.clock.advance_ms(1);
        let due = &keys(&world, "merchant-25").await[0];
        assert_eq!((&due["due"], &due["ageDays"], works(&world, &first).await), (&json!(true), &json!(90), true));
        let metrics = world.admin("GET", "/metrics", &Value::Null).await.text();
        assert!(metrics.contains("scanvault_api_passwords_due 1\n"), "{metrics}");
        world.app.identity.remind().await.unwrap();
        rotate(&world, json!({})).await;
        let listed = keys(&world, "merchant-25").await;
        let states: Vec<_> = listed.iter().map(|key| (key["number"].clone(), key["live"].clone(), key["due"].clone())).collect();
        assert_eq!(json!(states), json!([[2, true, false], [1, false, false]]));
        assert!(!json!(listed).to_string().contains("sv_"));
        assert_eq!(world.admin("GET", "/accounts/merchant-99/keys", &Value::Null).await.status, 404);
    }

    async fn to_bearer_ends_the_password_and_needs_a_key(world: World) {
        let mut world = world;
        let password = world.ready().await;
        let bearer = || json!({"mode": "bearer"});
        let refused = account(&world, "merchant-25", "switch", bearer()).await;
        assert_refused(&refused, 409, "no key is enrolled: nobody could log in (account enrol)");
        assert!(works(&world, &password).await, "what is refused changes nothing");
        world.enrolled("merchant-25", None).await;
        rotate(&world, json!({})).await;
        let password = rotate(&world, json!({"overlapSecs": 3600})).await;
        let done = account(&world, "merchant-25", "switch", bearer()).await;
        assert_eq!(done.json(), json!({"account": "merchant-25", "mode": "bearer", "proved": false}));
        assert!(!works(&world, &password).await);
        assert_eq!(world.number("SELECT COUNT(*) FROM api_passwords WHERE ends_at_ms IS NULL AND ended_at_ms IS NULL AND account = 'merchant-25'").await, 0);
        let again = account(&world, "merchant-25", "switch", bearer()).await;
        assert_refused(&again, 409, "this account is in Bearer mode already");
        let refused = account(&world, "merchant-25", "rotate", json!({})).await;
        assert_refused(&refused, 409, "this account is in Bearer mode and has no API password: enrol a new key, or switch it to basic");
        assert!(keys(&world, "merchant-25").await.iter().all(|key| key["live"] == false && key["due"] == false));
        let entries = audited(&world, "account.switched").await;
        assert_eq!(entries, [json!({"action": "account.switched", "actor": "owner", "account": "merchant-25", "mode": "bearer", "proved": false})]);
        for (name, body, status) in [("merchant-99", bearer(), 404), ("merchant-25", json!({"mode": "none"}), 400), ("-x", bearer(), 404)] {
            assert_eq!(account(&world, name, "switch", body).await.status, status, "{name}");
        }
    }

    async fn a_dry_run_proves_the_key_that_is_enrolled_now(world: World) {
        let mut world = world;
        world.ready().await;
        let now_ms = i64::try_from(world.clock_ms()).unwrap();
        for (id, dry_run_at_ms, proved) in [(26, Some(now_ms), true), (27, Some(now_ms - 1), false), (28, None, false)] {
            let name = format!("merchant-{id}");
            world.account(&json!({"name": name})).await;
            world.enrolled(&name, dry_run_at_ms).await;
            let done = account(&world, &name, "switch", json!({"mode": "bearer"})).await;
            assert_eq!(done.json()["proved"], proved, "{name}");
        }
    }

    async fn back_to_basic_needs_two_operators_within_an_hour(world: World) {
        let mut world = world;
        let old = world.ready().await;
        world.name_two_operators();
        world.in_bearer_mode("merchant-25").await;
        let ask = async |uid| world.admin_as(uid, "POST", "/accounts/merchant-25/switch", &json!({"mode": "basic"})).await.json();
        let pending = json!({"account": "merchant-25", "pending": true, "needs": "a second operator"});
        assert_eq!((ask(1001).await, ask(1001).await), (pending.clone(), pending.clone()), "the same one twice");
        world.clock.advance_ms(3_600_001);
        assert_eq!(ask(1003).await, pending, "an hour later it is a first word");
        // Anything else that happens to its credentials asks for both words anew.
        assert_eq!(account(&world, "merchant-25", "suspend", json!({})).await.status, 200);
        assert_eq!(account(&world, "merchant-25", "resume", json!({})).await.status, 200);
        assert_eq!(ask(1001).await, pending);
        let (token, _) = world.session("merchant-25").await;
        assert_eq!(world.send(get().with(&token)).await.status, 404);
        let done = ask(1003).await;
        assert_eq!((&done["account"], &done["mode"]), (&json!("merchant-25"), &json!("basic")));
        let new = basic("merchant-25", done["password"].as_str().unwrap());
        assert_eq!((works(&world, &new).await, works(&world, &old).await), (true, false));
        world.send(get().with(&token)).await.assert_problem(401, "jwt-disabled");
        let again = world.admin_as(1001, "POST", "/accounts/merchant-25/switch", &json!({"mode": "basic"})).await;
        assert_refused(&again, 409, "this account is in Basic mode already");
        let entries = audited(&world, "account.switched").await;
        let last = json!({"action": "account.switched", "actor": "bob", "account": "merchant-25", "mode": "basic", "requestedBy": "alice"});
        assert_eq!(entries.last(), Some(&last));
        assert_eq!(audited(&world, "account.switch.requested").await.len(), 4);
    }

    async fn a_suspended_account_is_nobody_until_it_is_resumed(world: World) {
        let mut world = world;
        let password = world.ready().await;
        let answer = account(&world, "merchant-25", "suspend", json!({})).await;
        assert_eq!(answer.json(), json!({"account": "merchant-25", "active": false}));
        assert!(!works(&world, &password).await);
        assert_refused(&account(&world, "merchant-25", "suspend", json!({})).await, 409, "this account is suspended already");
        // It can be given a new password meanwhile, which does not count either.
        let rotated = rotate(&world, json!({})).await;
        assert!(!works(&world, &rotated).await);
        assert_eq!(account(&world, "merchant-25", "resume", json!({})).await.json()["active"], true);
        assert_eq!((works(&world, &rotated).await, works(&world, &password).await), (true, false));
        assert_refused(&account(&world, "merchant-25", "resume", json!({})).await, 409, "this account is active already");
        for what in ["suspend", "resume", "rotate"] {
            assert_refused(&account(&world, "merchant-99", what, json!({})).await, 404, "there is no such account");
        }
        let actions = (audited(&world, "account.suspended").await.len(), audited(&world, "account.resumed").await.len());
        assert_eq!(actions, (1, 1));
    }

    async fn accounts_are_listed_by_name(world: World) {
        let mut world = world;
        world.ready().await;
        world.account(&json!({"name": "vodacom-ussd", "role": "STK"})).await;
        world.account(&json!({"name": "merchant-26"})).await;
        world.in_bearer_mode("merchant-26").await;
        world.clock.advance_ms(91 * DAY_MS);
        world.account(&json!({"name": "psp-13"})).await;
        account(&world, "vodacom-ussd", "suspend", json!({})).await;
        let listed = world.admin("GET", "/accounts", &Value::Null).await.json();
        let row = |account: &str, role: &str, mode: &str, active: bool, age: Option<u32>, due: bool| {
            json!({"account": account, "role": role, "mode": mode, "active": active, "passwordAgeDays": age, "due": due})
        };
        assert_eq!(listed, json!({"truncated": false, "accounts": [
            row("merchant-25", "EXTERNAL", "basic", true, Some(91), true),
            row("merchant-26", "EXTERNAL", "bearer", true, None, false),
            row("psp-13", "EXTERNAL", "basic", true, Some(0), false),
            row("vodacom-ussd", "STK", "basic", false, Some(91), false),
        ]}));
    }

    async fn rotations_at_once_leave_one_password(world: World) {
        let mut world = world;
        world.ready().await;
        let mut passwords = Vec::new();
        let (a, b, c) = tokio::join!(rotate(&world, json!({})), rotate(&world, json!({})), rotate(&world, json!({})));
        passwords.extend([a, b, c]);
        let mut live = 0;
        for password in &passwords {
            live += u32::from(works(&world, password).await);
        }
        assert_eq!(live, 1);
    }
}
