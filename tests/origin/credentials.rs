//! Who gets in: the table of design section 8, at the origin.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::on_both;
use crate::world::{Forward, World, basic};

on_both! {
    async fn broken_wrong_and_unknown_credentials_are_bad_credentials(world: World) {
        let mut world = world;
        let good = world.ready().await;
        let other = world.account(&json!({"name": "merchant-26"})).await;
        let password = |auth: &str| {
            let text = String::from_utf8(STANDARD.decode(auth.strip_prefix("Basic ").unwrap()).unwrap()).unwrap();
            text.split_once(':').unwrap().1.to_owned()
        };
        let get = || Forward::get("/pluto/code/0123456789");
        world.send(get().with(&good)).await.assert_problem(404, "not-found");
        let cases = [
            basic("merchant-25", &password(&other)),
            basic("merchant-99", &password(&good)),
            basic("merchant-25", "wrong"),
            basic("merchant-25", ""),
            "Basic !!!".to_owned(),
            "Digest x".to_owned(),
            String::new(),
        ];
        for header in cases {
            let answer = world.send(get().with(&header)).await;
            answer.assert_problem(401, "bad-credentials");
            assert_eq!(answer.json()["detail"], "Bad Credentials");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"scanvault\", charset=\"UTF-8\"");
        }
        world.send(get()).await.assert_problem(401, "bad-credentials");
        world.send(get().with("Bearer ")).await.assert_problem(401, "invalid-jwt");
        world.send(get().with("Bearer a.b.c")).await.assert_problem(401, "invalid-or-expired-jwt");
        world.send(get().with(&format!("{good}, {good}"))).await.assert_problem(400, "bad-request");
    }

    async fn names_have_several_spellings(world: World) {
        let mut world = world;
        let good = world.ready().await;
        let text = String::from_utf8(STANDARD.decode(good.strip_prefix("Basic ").unwrap()).unwrap()).unwrap();
        let password = text.split_once(':').unwrap().1;
        for name in ["merchant-25", "MERCHANT_25", "25"] {
            let answer = world.send(Forward::get("/pluto/code/0123456789").with(&basic(name, password))).await;
            answer.assert_problem(404, "not-found");
        }
    }

    async fn a_rotated_password_is_dead_at_once(world: World) {
        let mut world = world;
        let old = world.ready().await;
        let get = || Forward::get("/pluto/code/0123456789");
        let answer = world.admin("POST", "/accounts/merchant-25/rotate", &json!({})).await.json();
        let new = basic("merchant-25", answer["password"].as_str().unwrap());
        world.send(get().with(&old)).await.assert_problem(401, "bad-credentials");
        world.send(get().with(&new)).await.assert_problem(404, "not-found");
        let shown = world.admin("GET", "/accounts/MERCHANT_25", &Value::Null).await.json();
        assert_eq!((&shown["account"], &shown["credentialVersion"]), (&json!("merchant-25"), &json!(2)));
        assert!(!shown.to_string().contains("sv_") && !shown.to_string().contains("whsec_"));
    }

    async fn accounts_are_checked_when_they_are_made(world: World) {
        let mut world = world;
        world.ready().await;
        for (body, status) in [
            (json!({"name": "merchant-25"}), 409),
            (json!({"name": "MERCHANT_25"}), 409),
            (json!({"name": "merchant-025"}), 400),
            (json!({"name": "somebody"}), 400),
            (json!({"name": "merchant-30", "role": "STK"}), 400),
            (json!({"name": "merchant-30", "currency": "XXX"}), 400),
            (json!({"name": "merchant-30", "psp": "merchant-25"}), 400),
            (json!({"name": "merchant-30", "webhookUrl": "https://10.0.0.1/"}), 400),
            (json!({"name": "merchant-30", "displayName": "a\nb"}), 400),
            (json!({"name": "merchant-30", "unknown": 1}), 400),
            (json!({"name": "merchant-30", "clearhaus": {"apiKey": "a", "signingKeyId": "b", "signingKeyPem": "c"}}), 400),
        ] {
            let answer = world.admin("POST", "/accounts", &body).await;
            assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text());
        }
    }
}
