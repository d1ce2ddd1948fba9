//! Settings of an account, its webhooks' secrets, and its credentials at third parties.

use scanvault_origin::ceremonies::Step;
use scanvault_origin::vault::SystemEntropy;
use serde_json::{Value, json};

use crate::cards::audited;
use crate::notifications::add;
use crate::on_both;
use crate::receiver::{Act, Receiver, Running, shown, until};
use crate::world::{Answer, World};

async fn ready(mut world: World) -> World {
    world.init().await;
    world.unseal().await;
    world.account(&json!({"name": "merchant-25"})).await;
    world
}

async fn post(world: &World, what: &str, body: Value) -> Answer {
    world.admin("POST", &format!("/accounts/merchant-25/{what}"), &body).await
}

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, detail: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str()), (status, Some(detail)), "{}", answer.text());
}

on_both! {
    async fn each_is_set_and_shown_and_the_others_stay(world: World) {
        let world = ready(world).await;
        let show = async || ok(&world.admin("GET", "/accounts/merchant-25", &Value::Null).await);
        let before = show().await;
        for (name, value) in [("webhookUrl", json!(null)), ("webhookFormat", json!("json")), ("strict", json!(false)),
            ("pingUrl", json!(null)), ("pings", json!(false)), ("threeDSecure", json!("off")),
            ("textOnStatement", json!(null)), ("routes", json!({})), ("credentials", json!([]))] {
            assert_eq!(before[name], value, "{name}");
        }
        let mut expected = before.clone();
        for (body, changed) in [
            (json!({"webhookUrl": "https://merchant.example/hook"}), "webhookUrl"),
            (json!({"webhookFormat": "pluto"}), "webhookFormat"),
            (json!({"strict": true}), "strict"),
            (json!({"threeDSecure": "required"}), "threeDSecure"),
            (json!({"textOnStatement": "Corner Shop"}), "textOnStatement"),
            (json!({"routes": {"DKK": ["clearhaus"], "*": ["clearhaus"]}}), "routes"),
            (json!({"routes": {"DKK": []}}), "routes"),
            (json!({"strict": false}), "strict"),
            (json!({"textOnStatement": null}), "textOnStatement"),
            (json!({"threeDSecure": "on"}), "threeDSecure"),
        ] {
            let answer = ok(&post(&world, "set", body.clone()).await);
            assert_eq!(answer["changed"], json!([changed]), "{body}");
            for (name, value) in body.as_object().unwrap() {
                expected[name] = value.clone();
            }
            if changed == "routes" {
                let any = json!(["clearhaus"]);
                let is_first = body["routes"].get("*").is_some();
                expected["routes"] = if is_first { body["routes"].clone() } else { json!({"*": any}) };
            }
            assert_eq!(show().await, expected, "{body}");
        }
        // What is so already is no change, and no error.
        assert_eq!(ok(&post(&world, "set", json!({"threeDSecure": "on"})).await)["changed"], json!([]));
        let entries = audited(&world, "account.set").await;
        assert_eq!(entries[2], json!({"action": "account.set", "actor": "owner", "account": "merchant-25",
            "changed": ["strict"], "strict": true, "format": "pluto", "threeDSecure": "off"}));
    }

    async fn what_cannot_be_is_refused_and_nothing_of_it_is_set(world: World) {
        let world = ready(world).await;
        for (body, status, detail) in [
            (json!({"strict": true}), 409, "strict mode needs a receiver: set the webhook's address, or strict off"),
            (json!({"webhookUrl": "http://merchant.example/hook"}), 400, "the address of a receiver must be https on port 443"),
            (json!({"webhookUrl": "https://10.0.0.1/hook"}), 400, "the address of a receiver must be public"),
            (json!({"webhookUrl": "https://169.254.169.254/"}), 400, "the address of a receiver must be public"),
            (json!({"webhookFormat": "xml"}), 400, "a format is json or pluto"),
            (json!({"threeDSecure": "maybe"}), 400, "3-D Secure is off, on or required"),
            (json!({"textOnStatement": "1234"}), 400, "the text on the statement is 2 to 22 printable ASCII characters, not digits only"),
            (json!({"routes": {"DKK": ["nobody"]}}), 400, "this origin reaches no acquirer nobody"),
            (json!({"routes": {"XYZ": ["clearhaus"]}}), 400, "XYZ is no currency, nor * for any"),
            (json!({"routes": {"DKK": ["clearhaus", "clearhaus"]}}), 400, "a route names each acquirer once"),
            (json!({}), 400, "nothing is to be set"),
        ] {
            let mut all = body.clone();
            if body != json!({}) {
                all["threeDSecure"] = all.get("threeDSecure").cloned().unwrap_or_else(|| json!("on"));
            }
            assert_refused(&post(&world, "set", all).await, status, detail);
        }
        assert_eq!(post(&world, "set", json!({"webhookurl": "x"})).await.status, 400);
        assert_eq!(world.number("SELECT COUNT(*) FROM accounts WHERE three_d_secure = 'off' AND webhook_url IS NULL").await, 1);
        assert!(audited(&world, "account.set").await.is_empty());
        // With a strict receiver: not without one.
        ok(&post(&world, "set", json!({"webhookUrl": "https://merchant.example/", "strict": true})).await);
        assert_eq!(post(&world, "set", json!({"webhookUrl": null})).await.status, 409);
        ok(&post(&world, "set", json!({"webhookUrl": null, "strict": false})).await);
    }

    async fn secrets_are_made_when_they_are_needed_and_shown_once(world: World) {
        let world = ready(world).await;
        let set = ok(&post(&world, "set", json!({"webhookUrl": "https://merchant.example/"})).await);
        assert!(set["webhookSecret"].as_str().unwrap().starts_with("whsec_") && set.get("notificationKey").is_none());
        let set = ok(&post(&world, "set", json!({"webhookFormat": "pluto", "webhookUrl": "https://merchant.example/x"})).await);
        assert!(set.get("webhookSecret").is_none());
        let key = set["notificationKey"].as_str().unwrap().to_owned();
        for body in [json!({"webhookFormat": "json"}), json!({"webhookFormat": "pluto"}), json!({"webhookUrl": null}), json!({"webhookUrl": "https://merchant.example/"})] {
            let again = ok(&post(&world, "set", body).await);
            assert!(again.get("notificationKey").is_none() && again.get("webhookSecret").is_none());
        }
        let renewed = ok(&post(&world, "webhook-key", json!({})).await)["notificationKey"].as_str().unwrap().to_owned();
        assert!(renewed.len() == 32 && renewed != key);
        // Sealed, what needs no secret can be set; what needs one says so.
        world.admin("POST", "/vault/seal", &json!({})).await;
        ok(&post(&world, "set", json!({"webhookFormat": "json", "threeDSecure": "on"})).await);
        for what in ["webhook-key", "webhook-secret", "webhook-test"] {
            assert_eq!(post(&world, what, json!({})).await.status, 503, "{what}");
        }
        assert_eq!(audited(&world, "account.webhook.key").await.len(), 1);
    }

    async fn credentials_are_checked_by_their_party_sealed_and_replaced_in_place(world: World) {
        let world = ready(world).await;
        let given = |api_key: &str| json!({"party": "clearhaus", "credentials": {"apiKey": api_key,
            "signingKeyId": "4390aec7-f76a-4c2f-8597-c87c2d06cb4f", "signingKeyPem": crate::world::SIGNING_KEY_PEM}});
        assert_refused(&post(&world, "credentials", given("a key")).await, 400, "the acquirer's credentials are not valid: API key or signing key id");
        assert_eq!(post(&world, "credentials", json!({"party": "bank", "credentials": {}})).await.status, 400);
        for party in ["nets", "mobilepay"] {
            let answer = post(&world, "credentials", json!({"party": party, "credentials": {"x": 1}})).await;
            assert!(answer.text().contains("the acquirer's credentials are not valid"), "{party}: {}", answer.text());
        }
        // Our own rows of that table are no parties.
        for party in ["ping", "webhook"] {
            assert_eq!(post(&world, "credentials", json!({"party": party, "credentials": {}})).await.status, 400, "{party}");
        }
        let broken = world.admin("POST", "/accounts/merchant-25/credentials", &json!({"party": "clearhaus", "credentials": {"apiKey": "a-secret", "x": 1}})).await;
        assert!(broken.status == 400 && !broken.text().contains("a-secret"), "{}", broken.text());
        let version = "SELECT COALESCE(MAX(row_version), 0) FROM acquirer_credentials WHERE acquirer = 'clearhaus'";
        assert_eq!(world.number(version).await, 0);
        for n in 1..=3 {
            ok(&post(&world, "credentials", given(&format!("key-{n}"))).await);
            assert_eq!(world.number(version).await, n);
        }
        let account = "merchant-25".parse().unwrap();
        let unsealed = world.app.vault.unsealed().unwrap();
        let kept = scanvault_origin::identity::secrets::acquirer_credentials(&world.app.db, &unsealed, &account, "clearhaus").await.unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap()["apiKey"], "key-3");
        let show = ok(&world.admin("GET", "/accounts/merchant-25", &Value::Null).await);
        assert_eq!(show["credentials"], json!(["clearhaus"]));
        let entry = json!({"action": "account.credentials", "actor": "owner", "account": "merchant-25", "party": "clearhaus"});
        assert_eq!(audited(&world, "account.credentials").await, vec![entry; 3]);
    }

    async fn a_test_says_what_the_receiver_answers(world: World) {
        let world = ready(world).await;
        assert_refused(&post(&world, "webhook-test", json!({})).await, 409, "this account has no receiver");
        let receiver = Receiver::start().await;
        ok(&post(&world, "set", json!({"webhookUrl": receiver.url("hook"), "webhookFormat": "pluto"})).await);
        assert_eq!(ok(&post(&world, "webhook-test", json!({})).await), json!({"account": "merchant-25", "ok": true, "status": 200, "error": null}));
        let probe = &receiver.received()[0];
        assert_eq!((probe.body.as_str(), probe.headers["content-type"].as_str()), ("{\"result\":\"TEST\"}", "application/json"));
        assert!(probe.id().starts_with("dlv_test_") && probe.headers["scanvault-signature"].starts_with("t="));
        receiver.will(&[Act::Answer(503), Act::Cut]);
        let second = ok(&post(&world, "webhook-test", json!({})).await);
        assert_eq!((&second["ok"], &second["status"]), (&json!(false), &json!(503)));
        let third = ok(&post(&world, "webhook-test", json!({})).await);
        assert_eq!((&third["ok"], &third["error"]), (&json!(false), &json!("not reached")));
        assert_eq!(audited(&world, "account.webhook.tested").await.len(), 3);
    }

    async fn a_reencryption_covers_every_secret_and_deliveries_go_on(world: World) {
        let mut world = world;
        let authorization = world.ready().await;
        let receiver = Receiver::start().await;
        let key = crate::pings::api_key(&authorization);
        ok(&post(&world, "set", json!({"webhookUrl": receiver.url("hook"), "webhookFormat": "pluto", "pingUrl": receiver.url("ping"), "apiKey": key})).await);
        ok(&post(&world, "webhook-secret", json!({})).await);
        let rotated = world.admin("POST", "/vault/keys/rotate", &json!({"kind": "data"})).await;
        assert_eq!(ok(&rotated)["id"], 2);
        // Webhook secret, Clearhaus, notification key, API key.
        let begun = ok(&world.admin("POST", "/vault/reencrypt", &json!({})).await);
        assert_eq!(begun["reencryption"]["total"], 4);
        let mut entropy = SystemEntropy::new();
        while world.app.admin.reencrypt_step(&mut entropy).await.unwrap() != Step::Idle {}
        assert_eq!(world.number("SELECT COUNT(*) FROM acquirer_credentials WHERE key_id <> 2").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM accounts WHERE webhook_key_id <> 2").await, 0);
        add(&world, "merchant-25", &receiver.url("hook"), "dlv_1").await;
        world.execute("UPDATE outbox SET format = 'pluto'").await;
        let running = Running::start(&world);
        until("it is delivered", async || shown(&world, "dlv_1").await["state"] == "delivered").await;
        until("it is pinged", async || receiver.of("ping").len() == 1).await;
        running.finish().await;
        // And replaced again after it.
        ok(&post(&world, "webhook-secret", json!({})).await);
        ok(&post(&world, "webhook-key", json!({})).await);
    }
}
