//! Logins with an RSA key, whole.

use std::cell::Cell;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use scanvault_origin::clock::Clock;
use scanvault_origin::identity::sessions::{self, Session};
use scanvault_origin::identity::store;
use scanvault_origin::identity::tokens::Tokens;
use scanvault_protocol::AccountName;
use scanvault_protocol::authorization;
use scanvault_protocol::token::is_session_id;
use serde_json::{Value, json};

use crate::login_client::{
    Asked, Setting, VECTORS, ask, audited, decoded, enrol, give_login_key, hex, new_client_challenge, post,
    replace_logins, sha256,
};
use crate::on_both;
use crate::world::{Forward, PUBLIC_URL, World};

on_both! {
    async fn the_whole_flow_gives_a_session_and_its_token(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        let asked_ms = world.clock.now_ms();
        let answer = setting.login("merchant-25").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        let names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["expires", "headerName", "headerValue", "sessionId"]);
        assert_eq!(body["headerName"], "Authorization");
        let header = body["headerValue"].as_str().unwrap();
        let bearer = authorization::parse(Some(header)).unwrap().bearer.unwrap();
        let tokens = Tokens::new(Arc::clone(&world.app.vault), PUBLIC_URL);
        let session = tokens.verify(&bearer, asked_ms / 1000).unwrap();
        assert_eq!((session.account, body["sessionId"].as_str().unwrap()), (AccountName::Merchant(25), &*session.id));
        assert!(is_session_id(&session.id));
        let kept = sessions::find(world.app.db.read(), &session.id).await.unwrap().unwrap();
        assert_eq!((kept.account, kept.credential_version, kept.ended_at_ms), (AccountName::Merchant(25), 1, None));
        assert_eq!(kept.expires_at_ms, i64::try_from(session.expires_at_secs * 1000).unwrap());
        assert_eq!(session.expires_at_secs, asked_ms / 1000 + 1800);
        let expires = body["expires"].as_str().unwrap();
        assert!(expires.len() == 24 && expires.ends_with(".000Z") && expires.starts_with("2026-11-21T12:30:"), "{expires}");
        assert!(setting.enrolment().await["lastLoginAt"].is_string());
        assert_eq!(audited(world, "session.opened").await, 1);
    }

    async fn switched_logged_in_and_out_a_token_opens_what_the_password_did(world: World) {
        let mut world = world;
        let basic = world.ready().await;
        give_login_key(&world).await;
        replace_logins(&mut world, false);
        let password = enrol(&world, "merchant-25").await["loginPassword"].as_str().unwrap().to_owned();
        let get = || Forward::get("/pluto/code/0123456789");
        world.send(get().with(&basic)).await.assert_problem(404, "not-found");
        let proved = Asked::by(&world, "merchant-25").await.body(&password);
        world.send(post(&proved)).await.assert_problem(401, "jwt-disabled");
        let under_way = Asked::by(&world, "merchant-25").await.body(&password);
        let switched = world.admin("POST", "/accounts/merchant-25/switch", &json!({"mode": "bearer"})).await;
        assert_eq!(switched.status, 200, "{}", switched.text());
        world.send(get().with(&basic)).await.assert_problem(401, "bad-credentials");
        // Asked for before the switch: it belongs to the credential version before.
        world.send(post(&under_way)).await.assert_problem(401, "bad-credentials");

        let asked = Asked::by(&world, "merchant-25").await.body(&password);
        let session = world.send(post(&asked)).await.json();
        let bearer = session["headerValue"].as_str().unwrap();
        world.send(get().with(bearer)).await.assert_problem(404, "not-found");
        let path = format!("/authentication/sessions/{}", session["sessionId"].as_str().unwrap());
        let ended = world.send(Forward::delete(path.clone()).with(bearer)).await;
        assert_eq!(ended.status, 204, "{}", ended.text());
        world.send(get().with(bearer)).await.assert_problem(401, "invalid-or-expired-jwt");
        world.send(Forward::delete(path).with(bearer)).await.assert_problem(401, "invalid-or-expired-jwt");
    }

    async fn other_spellings_of_the_name_and_the_hashes_are_taken(world: World) {
        let setting = Setting::new(world).await;
        for (name, at) in [("MERCHANT_25", 0), ("25", 1), ("merchant-25", 2), ("merchant-25", 3), ("merchant-25", 4)] {
            let asked = Asked::by(&setting.world, name).await;
            let (hash, text_hash) = (sha256(&asked.challenge), sha256(asked.text.as_bytes()));
            let body = match at {
                0 => asked.with_hashes(&setting.password, &hex(&hash), &hex(&asked.response)),
                1 => asked.with_hashes(&setting.password, &URL_SAFE.encode(hash), URL_SAFE.encode(asked.response).trim_end_matches('=')),
                2 => asked.with_hashes(&setting.password, &STANDARD.encode(hex(&hash)), &STANDARD.encode(hex(&asked.response))),
                3 => asked.with_hashes(&setting.password, &STANDARD.encode(text_hash), &STANDARD.encode(asked.response)),
                _ => {
                    let mut body = asked.body(&setting.password);
                    body["client"] = json!("a field that we do not know");
                    body
                }
            };
            let answer = setting.world.send(post(&body)).await;
            assert_eq!(answer.status, 200, "{at}: {}", answer.text());
        }
    }

    async fn a_challenge_is_used_once_right_or_wrong(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        let right = Asked::by(world, "merchant-25").await.body(&setting.password);
        assert_eq!(world.send(post(&right)).await.status, 200);
        world.send(post(&right)).await.assert_problem(401, "bad-credentials");

        type Change = fn(&mut Value);
        let changes: [(&str, Change); 4] = [
            ("a wrong answer", |body| body["base64EncodedChallengeResponse"] = json!(STANDARD.encode([7; 32]))),
            ("another identity", |body| body["identity"] = json!("merchant-26")),
            ("an identity that is none", |body| body["identity"] = json!("no name at all")),
            ("no password of ours", |body| body["password"] = json!("")),
        ];
        for (what, change) in changes {
            let right = Asked::by(world, "merchant-25").await.body(&setting.password);
            let mut wrong = right.clone();
            change(&mut wrong);
            let refused = world.send(post(&wrong)).await;
            refused.assert_problem(401, "bad-credentials");
            assert_eq!(refused.json()["detail"], "Bad Credentials", "{what}");
            world.send(post(&right)).await.assert_problem(401, "bad-credentials");
        }
        // Another challenge's answer is none to this one.
        let (one, other) = (Asked::by(world, "merchant-25").await, Asked::by(world, "merchant-25").await);
        let mixed = one.with_hashes(&setting.password, &STANDARD.encode(sha256(&other.challenge)), &STANDARD.encode(one.response));
        world.send(post(&mixed)).await.assert_problem(401, "bad-credentials");
        assert_eq!(world.send(post(&one.body(&setting.password))).await.status, 200);
    }

    async fn of_many_at_once_one_uses_it(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        let body = Asked::by(world, "merchant-25").await.body(&setting.password);
        let (a, b, c, d) = tokio::join!(world.send(post(&body)), world.send(post(&body)), world.send(post(&body)), world.send(post(&body)));
        let right = [a, b, c, d].iter().filter(|answer| answer.status == 200).count();
        assert_eq!((right, world.number("SELECT COUNT(*) FROM sessions").await), (1, 1));
    }

    async fn a_challenge_counts_for_sixty_seconds(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        let asked = Asked::by(world, "merchant-25").await;
        let late = Asked::by(world, "merchant-25").await;
        world.clock.advance_ms(59_999);
        assert_eq!(world.send(post(&asked.body(&setting.password))).await.status, 200);
        world.clock.advance_ms(1);
        world.send(post(&late.body(&setting.password))).await.assert_problem(401, "bad-credentials");
        Asked::by(world, "merchant-25").await;
        world.clock.advance_ms(60_000);
        world.app.logins.sweep().await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM login_challenges").await, 0);
        world.clock.advance_ms(3 * 3_600_000);
        world.app.logins.sweep().await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM sessions").await, 0);
    }

    async fn nobody_can_tell_who_is_enrolled_nor_what_opens(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        for name in ["merchant-26", "merchant-27", "merchant-28"] {
            world.account(&json!({"name": name})).await;
        }
        enrol(world, "merchant-27").await;
        enrol(world, "merchant-28").await;
        world.execute("UPDATE accounts SET status = 'suspended' WHERE name = 'merchant-28'").await;
        let (secret, good) = new_client_challenge();
        let vectors = VECTORS["not_to_gateway"].as_object().unwrap();
        let challenges: Vec<Vec<u8>> = std::iter::once(good.clone()).chain(vectors.values().map(decoded)).collect();
        let whos = ["merchant-25", "merchant-26", "merchant-27", "merchant-28", "merchant-99", "vodacom-ussd", "No%20Name!"];
        for who in whos {
            for challenge in &challenges {
                let answer = world.send(ask(who, challenge)).await;
                assert_eq!(answer.status, 200, "{who}: {}", answer.text());
                let body = answer.json();
                let lengths: Vec<_> = body.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap().len())).collect();
                assert_eq!(lengths, [("base64EncodedChallenge", 684), ("base64EncodedClientChallengeResponse", 44), ("expires", 24)]);
                let proof = decoded(&body["base64EncodedClientChallengeResponse"]);
                assert_eq!(proof == sha256(&secret), *challenge == good, "{who}");
                let names: Vec<_> = answer.headers.keys().map(http::HeaderName::as_str).collect();
                assert!(!names.contains(&"set-cookie") && answer.header("cache-control") == "no-store");
            }
        }
        // The same question has the same proof, whoever asks; the challenge is a new one each time.
        let rejected = decoded(&vectors["63 bytes"]);
        let (one, other) = (world.send(ask("merchant-25", &rejected)).await.json(), world.send(ask("merchant-99", &rejected)).await.json());
        assert_eq!(one["base64EncodedClientChallengeResponse"], other["base64EncodedClientChallengeResponse"]);
        assert_ne!(one["base64EncodedChallenge"], other["base64EncodedChallenge"]);
        // Whoever is not enrolled cannot log in with whatever they guess, and is told nothing else.
        for who in ["merchant-26", "merchant-28", "merchant-99", "No%20Name!"] {
            let asked = Asked::by(world, who).await;
            let mut body = asked.body(&setting.password);
            body["identity"] = json!(who.replace("%20", " "));
            world.send(post(&body)).await.assert_problem(401, "bad-credentials");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM enrolments WHERE failures > 0").await, 0);
    }

    async fn what_can_be_no_challenge_is_refused_whoever_it_names(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        let mut texts = Vec::new();
        for who in ["merchant-25", "merchant-99", "No%20Name!"] {
            for challenge in [vec![], vec![7; 511], vec![7; 513], vec![7; 256]] {
                let answer = world.send(ask(who, &challenge)).await;
                answer.assert_problem(400, "bad-request");
                texts.push(answer.text());
            }
            for query in [format!("identity={who}"), format!("identity={who}&clientChallenge=%%%"), format!("identity={who}&identity={who}")] {
                world.send(Forward::get(format!("/authentication/login-challenges?{query}"))).await.assert_problem(400, "bad-request");
            }
        }
        texts.dedup();
        assert_eq!(texts.len(), 1);
        for path in ["", "?clientChallenge=AAAA", "?other=1"] {
            world.send(Forward::get(format!("/authentication/login-challenges{path}"))).await.assert_problem(400, "bad-request");
        }
        for identity in ["", "%00", "%FF", &"a".repeat(65)] {
            world.send(ask(identity, &[7; 512])).await.assert_problem(400, "bad-request");
        }
        let asked = Asked::by(world, "merchant-25").await;
        for (field, value) in [
            ("identity", json!("")),
            ("identity", json!("a\u{0}b")),
            ("identity", json!(null)),
            ("password", json!(1)),
            ("base64EncodedChallengeHash", json!("short")),
            ("base64EncodedChallengeResponse", json!("")),
        ] {
            let mut body = asked.body(&setting.password);
            body[field] = value;
            let refused = world.send(post(&body)).await;
            refused.assert_problem(400, "bad-request");
            assert!(!refused.text().contains(&setting.password));
        }
        // None of these used it up.
        assert_eq!(world.send(post(&asked.body(&setting.password))).await.status, 200);
    }

    async fn a_dry_run_is_told_apart_only_after_everything_was_right(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        world.execute("UPDATE accounts SET auth_mode = 'basic' WHERE name = 'merchant-25'").await;
        setting.login_with("wrong").await.assert_problem(401, "bad-credentials");
        let before = setting.enrolment().await;
        assert_eq!((&before["lastDryRunAt"], &before["failures"]), (&Value::Null, &json!(1)));
        let answer = setting.login("merchant-25").await;
        answer.assert_problem(401, "jwt-disabled");
        assert_eq!(answer.json()["detail"], "JWT Authentication disabled for this account");
        assert!(answer.header("www-authenticate").starts_with("Bearer "));
        let after = setting.enrolment().await;
        assert!(after["lastDryRunAt"].as_str().unwrap().ends_with('Z') && after["lastLoginAt"].is_null());
        assert_eq!(after["failures"], 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM sessions").await, 0);
        assert_eq!(audited(world, "login.proved").await, 1);
    }

    async fn failures_count_after_a_right_answer_only_and_block_at_the_tenth(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        for _ in 0..9 {
            setting.login_with("sv_wrong").await.assert_problem(401, "bad-credentials");
        }
        // A stranger can add nothing to it.
        let asked = Asked::by(world, "merchant-25").await;
        let guess = asked.with_hashes("wrong", &STANDARD.encode(sha256(&asked.challenge)), &STANDARD.encode([1; 32]));
        world.send(post(&guess)).await.assert_problem(401, "bad-credentials");
        assert_eq!(setting.enrolment().await["failures"], 9);
        assert_eq!(setting.login("merchant-25").await.status, 200);
        assert_eq!(setting.enrolment().await["failures"], 0);

        for _ in 0..10 {
            setting.login_with("sv_wrong").await.assert_problem(401, "bad-credentials");
        }
        assert!(setting.enrolment().await["blockedUntil"].is_string());
        setting.login("merchant-25").await.assert_problem(401, "bad-credentials");
        world.clock.advance_ms(30 * 60 * 1000 - 1);
        setting.login("merchant-25").await.assert_problem(401, "bad-credentials");
        world.clock.advance_ms(1);
        assert_eq!(setting.login("merchant-25").await.status, 200);
        assert!(setting.enrolment().await["blockedUntil"].is_null());
        assert_eq!(audited(world, "login.refused").await, 19);
    }

    async fn another_key_ends_sessions_and_logins_under_way(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        let id = setting.login("merchant-25").await.json()["sessionId"].as_str().unwrap().to_owned();
        let under_way = Asked::by(world, "merchant-25").await;
        let again = enrol(world, "merchant-25").await;
        assert_eq!((&again["replaced"], &again["credentialVersion"]), (&json!(true), &json!(2)));
        let session = sessions::find(world.app.db.read(), &id).await.unwrap().unwrap();
        let version = world.number("SELECT credential_version FROM accounts WHERE name = 'merchant-25'").await;
        assert!(session.credential_version < version);
        let password = again["loginPassword"].as_str().unwrap();
        world.send(post(&under_way.body(password))).await.assert_problem(401, "bad-credentials");
        setting.login("merchant-25").await.assert_problem(401, "bad-credentials");
        assert_eq!(setting.login_with(password).await.status, 200);
        // A suspended account's right login is as wrong as any.
        let under_way = Asked::by(world, "merchant-25").await;
        world.execute("UPDATE accounts SET status = 'suspended' WHERE name = 'merchant-25'").await;
        world.send(post(&under_way.body(password))).await.assert_problem(401, "bad-credentials");
    }

    async fn a_session_is_ended_by_its_account_alone(world: World) {
        let mut world = world;
        let own = world.ready().await;
        let other = world.account(&json!({"name": "merchant-26"})).await;
        let id = "c056b2d8-d6d1-4ea6-8752-e87f684b2903";
        let now_ms = world.clock.now_db();
        let session = Session { id: id.into(), account: AccountName::Merchant(25), credential_version: 1, created_at_ms: now_ms,
            expires_at_ms: now_ms + 1_800_000, ended_at_ms: None };
        let mut tx = world.app.db.begin().await.unwrap();
        sessions::add(&mut tx, &session).await.unwrap();
        tx.commit().await.unwrap();
        let path = format!("/authentication/sessions/{id}");
        world.send(Forward::delete(path.clone())).await.assert_problem(401, "bad-credentials");
        world.send(Forward::delete(path.clone()).with(&other)).await.assert_problem(404, "not-found");
        world.send(Forward::delete("/authentication/sessions/x").with(&own)).await.assert_problem(404, "not-found");
        let answer = world.send(Forward::delete(path.clone()).with(&own)).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
        world.send(Forward::delete(path).with(&own)).await.assert_problem(404, "not-found");
        assert_eq!(sessions::find(world.app.db.read(), id).await.unwrap().unwrap().ended_at_ms, Some(now_ms));
        assert_eq!(audited(&world, "session.ended").await, 1);
    }

    async fn who_asks_too_often_waits_and_nobody_else(world: World) {
        let mut setting = Setting::new(world).await;
        replace_logins(&mut setting.world, true);
        let world = &setting.world;
        let challenge = [7; 512];
        for _ in 0..5 {
            assert_eq!(world.send(ask("merchant-99", &challenge)).await.status, 200);
        }
        let refused = world.send(ask("merchant-99", &challenge)).await;
        refused.assert_problem(429, "too-many-requests");
        assert_eq!(refused.header("retry-after"), "6");
        assert_eq!(setting.login("merchant-25").await.status, 200);
        world.clock.advance_ms(6_000);
        assert_eq!(world.send(ask("merchant-99", &challenge)).await.status, 200);
        let body = json!({"identity": "merchant-25", "password": "x", "base64EncodedChallengeHash": STANDARD.encode([1; 32]),
            "base64EncodedChallengeResponse": STANDARD.encode([1; 32])});
        let mut statuses = Vec::new();
        for _ in 0..7 {
            statuses.push(world.send(post(&body)).await.status.as_u16());
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    }

    async fn sealed_nothing_is_used_up(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        let asked = Asked::by(world, "merchant-25").await;
        world.admin("POST", "/vault/seal", &json!({})).await;
        world.send(ask("merchant-25", &[7; 512])).await.assert_problem(503, "sealed");
        world.send(post(&asked.body(&setting.password))).await.assert_problem(503, "sealed");
        assert_eq!(world.admin("GET", "/identity/public-key", &Value::Null).await.status, 503);
        world.unseal().await;
        assert_eq!(world.send(post(&asked.body(&setting.password))).await.status, 200);
    }

    async fn keys_are_checked_when_they_are_enrolled(world: World) {
        let mut world = world;
        world.ready().await;
        let none = world.admin("GET", "/identity/public-key", &Value::Null).await.json();
        assert_eq!(none, json!({"keyId": null, "publicKey": null, "fingerprint": null}));
        give_login_key(&world).await;
        let own = world.admin("GET", "/identity/public-key", &Value::Null).await.json();
        assert_eq!((&own["publicKey"], &own["keyId"]), (&VECTORS["gateway"]["spki"], &json!(1)));
        let digits = hex(&sha256(&decoded(&own["publicKey"])));
        assert_eq!(own["fingerprint"].as_str().unwrap().replace(' ', ""), digits);

        let put = async |name: &str, key: &Value| world.admin("POST", &format!("/accounts/{name}/enrol"), &json!({"publicKey": key})).await;
        for (key, what) in [
            (&VECTORS["client"]["pkcs8"], "private"),
            (&VECTORS["reference"]["certificate"], "certificate"),
            (&VECTORS["refused"]["3072 bits"], "4096"),
            (&VECTORS["refused"]["e = 3"], "65537"),
            (&VECTORS["refused"]["close primes"], "too close"),
        ] {
            let refused = put("merchant-25", key).await;
            let text = refused.json()["detail"].as_str().unwrap().to_owned();
            assert_eq!(refused.status, 400, "{text}");
            assert!(text.contains(what), "{text}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM enrolments").await, 0);
        let unknown = put("merchant-99", &VECTORS["client"]["spki"]).await;
        assert_eq!((unknown.status.as_u16(), &unknown.json()["detail"]), (404, &json!("there is no such account")));
        let done = put("MERCHANT_25", &VECTORS["reference"]["public"]).await.json();
        assert_eq!((&done["account"], &done["replaced"], &done["credentialVersion"]), (&json!("merchant-25"), &json!(false), &json!(1)));
        assert!(done["loginPassword"].as_str().unwrap().starts_with("sv_"));
        let shown = world.admin("GET", "/accounts/merchant-25", &Value::Null).await.json();
        assert_eq!((&shown["mode"], &shown["enrolment"]["keyFingerprint"]), (&json!("basic"), &done["keyFingerprint"]));
        assert_eq!((&shown["enrolment"]["enrolledBy"], &shown["enrolment"]["lastLoginAt"]), (&json!("owner"), &Value::Null));
        assert!(!shown.to_string().contains("sv_"));
        assert_eq!(audited(&world, "account.enrolled").await, 1);
        world.execute("UPDATE accounts SET status = 'suspended' WHERE name = 'merchant-25'").await;
        assert_eq!(put("merchant-25", &VECTORS["client"]["spki"]).await.status, 409);
    }
}

/// What an operator does at another origin while a login is in the middle of it. SQLite has one writer, so there it is
/// before or after.
#[tokio::test]
async fn a_key_that_changes_in_the_middle_of_a_login_gives_no_session() {
    let setting = Setting::new(World::postgres().await).await;
    let world = &setting.world;
    for change in [
        "UPDATE accounts SET credential_version = credential_version + 1 WHERE name = 'merchant-25'",
        "UPDATE accounts SET status = 'suspended', credential_version = credential_version + 1 WHERE name = 'merchant-25'",
    ] {
        let asked = Asked::by(world, "merchant-25").await;
        let mut other = world.app.db.begin().await.unwrap();
        sqlx::query(change).execute(&mut *other).await.unwrap();
        let body = asked.body(&setting.password);
        let is_answered = Cell::new(false);
        let login = async {
            let answer = world.send(post(&body)).await;
            is_answered.set(true);
            answer
        };
        let commit = async {
            // Once the login waits for the row; one that does not wait has been answered too early.
            while !is_answered.get() && world.number("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await == 0 {
                tokio::task::yield_now().await;
            }
            assert!(!is_answered.get(), "{change}");
            other.commit().await.unwrap();
        };
        let (answer, ()) = tokio::join!(login, commit);
        answer.assert_problem(401, "bad-credentials");
        assert_eq!(world.number("SELECT COUNT(*) FROM sessions").await, 0);
    }
}

on_both! {
    async fn a_new_token_key_signs_when_all_origins_have_it_and_no_more_are_told_than_an_edge_takes(world: World) {
        let setting = Setting::new(world).await;
        let world = &setting.world;
        let tokens = &world.app.identity.tokens;
        let account = store::find(&world.app.db, &AccountName::Merchant(25)).await.unwrap().unwrap();
        let kid = || {
            let id = "c056b2d8-d6d1-4ea6-8752-e87f684b2903";
            let issued = tokens.issue(&account, id, world.clock.now_secs()).unwrap();
            let header = issued.token.split('.').next().unwrap().to_owned();
            let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
            header["kid"].as_str().unwrap().to_owned()
        };
        let rotate = async || {
            assert_eq!(world.admin("POST", "/vault/keys/rotate", &json!({"kind": "token"})).await.status, 200);
        };
        assert_eq!(kid(), "1", "the only one there is");
        rotate().await;
        assert_eq!(kid(), "1");
        world.clock.advance_ms(14_000);
        assert_eq!(kid(), "1");
        world.clock.advance_ms(2_000);
        assert_eq!(kid(), "2");
        for _ in 0..8 {
            rotate().await;
        }
        let told = tokens.published().unwrap();
        let ids: Vec<_> = told.keys.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["10", "9", "8", "7", "6", "5", "4", "3"]);
        assert_eq!(told.to_header().parse(), Ok(told));
        world.clock.advance_ms(16_000);
        assert_eq!(kid(), "10");
    }
}
