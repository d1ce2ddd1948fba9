//! The internal vault API: what it answers, to whom, and what the audit says of it.

use scanvault_origin::clock::Clock;
use serde_json::{Value, json};
use sqlx::Row;

use crate::on_both;
use crate::vault_client::{CARDS, Client, PAN, SESSIONS, card, jwk_of, open_with, ready, seal_to_page};
use crate::world::{Answer, Forward, World};

/// What the audit holds of an action, oldest first.
pub(crate) async fn audited(world: &World, action: &str) -> Vec<Value> {
    let rows =
        sqlx::query("SELECT entries FROM audit_links ORDER BY number").fetch_all(world.app.db.read()).await.unwrap();
    rows.iter()
        .flat_map(|row| serde_json::from_str::<Vec<Value>>(&row.get::<String, _>(0)).unwrap())
        .filter(|entry| entry["action"] == action)
        .collect()
}

#[track_caller]
fn assert_detail(answer: &Answer, status: u16, code: &str, detail: &str) {
    answer.assert_problem(status, code);
    assert_eq!(answer.json()["detail"], detail);
}

on_both! {
    async fn a_card_is_stored_shown_read_and_deleted(world: World) {
        let (world, client) = ready(world).await;
        let answer = client.store_with(&world, &card("4111-1111 1111-1111"), Some(600)).await;
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        assert!(token.len() == 27 && token.starts_with("card_"), "{token}");
        let (now, ends) = (world.clock.now_ms(), world.clock.now_ms() + 600_000);
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"token": token, "outcome": "created",
            "bin": "411111", "lastFour": "1111", "expiresAt": ends})));

        let shown = client.show(&world, &token).await;
        assert_eq!((shown.status.as_u16(), shown.json()), (200, json!({"bin": "411111", "lastFour": "1111",
            "expiresAt": ends, "createdAt": now})));

        let answer = world.send(client.read_request(&token, "refund of order 7")).await;
        let sealed = answer.json()["card"].as_str().unwrap().to_owned();
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"card": sealed, "bin": "411111", "lastFour": "1111"})));
        assert_eq!(client.open(&sealed), json!({"token": token, "pan": PAN, "exp": "1230", "name": "A Shopper"}));

        let gone = client.delete(&world, &token).await;
        assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
        for answer in [client.delete(&world, &token).await, client.show(&world, &token).await,
            world.send(client.read_request(&token, "x")).await] {
            assert_detail(&answer, 404, "not-found", "Not found");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 0);
        // The fingerprint went with the row: the same card is a new one.
        let (again, outcome) = client.store(&world, &card(PAN)).await;
        assert!(again != token && outcome == "created");
        assert_eq!(client.read(&world, &again).await, json!({"token": again, "pan": PAN, "exp": "1230", "name": "A Shopper"}));
    }

    async fn the_audit_says_what_was_done_and_what_for_and_holds_no_number(world: World) {
        let (world, client) = ready(world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        client.store(&world, &card(PAN)).await;
        world.send(client.read_request(&token, "charge, \"quoted\" sv-1")).await;
        client.delete(&world, &token).await;
        world.send(client.read_request(&token, "nothing there")).await;
        let with = |mut entry: Value| { entry["actor"] = json!("billing"); entry };
        // A token stands there concealed: who knows it can look for it, `audit value token`.
        let token = world.app.audit.conceal("token", token.as_bytes());
        assert!(token.is_some());
        assert_eq!(audited(&world, "session.opened").await,
            [with(json!({"action": "session.opened", "session": client.session}))]);
        assert_eq!(audited(&world, "card.stored").await, ["created", "known"].map(|outcome|
            with(json!({"action": "card.stored", "token": token, "outcome": outcome}))));
        assert_eq!(audited(&world, "card.read").await,
            [with(json!({"action": "card.read", "token": token, "purpose": "charge, \"quoted\" sv-1"}))]);
        assert_eq!(audited(&world, "card.deleted").await, [with(json!({"action": "card.deleted", "token": token}))]);
        let all = sqlx::query("SELECT entries FROM audit_links").fetch_all(world.app.db.read()).await.unwrap();
        assert!(all.iter().all(|row| !row.get::<String, _>(0).contains("411111")));
    }

    async fn a_read_that_is_not_audited_is_refused(world: World) {
        let (world, client) = ready(world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        world.execute("ALTER TABLE audit_links RENAME TO audit_links_away").await;
        let answer = world.send(client.read_request(&token, "a test")).await;
        answer.assert_problem(500, "internal");
        assert!(!answer.text().contains("ey"), "{}", answer.text());
        client.store_with(&world, &card("5555555555554444"), None).await.assert_problem(500, "internal");
        client.delete(&world, &token).await.assert_problem(500, "internal");
        world.execute("ALTER TABLE audit_links_away RENAME TO audit_links").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
        assert_eq!(client.read(&world, &token).await["pan"], PAN);
    }

    async fn a_card_travels_to_the_page_key_and_to_a_key_of_the_client(world: World) {
        let (world, client) = ready(world).await;
        let key = world.send(Forward::get("/pluto/internal/vault/key").by("vault-1")).await;
        let jwk = serde_json::to_value(world.app.vault.unsealed().unwrap().page_key_jwk()).unwrap();
        assert_eq!((key.status.as_u16(), key.json()), (200, jwk));

        let body = json!({"card": client.seal_to_page(&world, &json!({"pan": PAN, "exp": "0131"}))});
        let answer = world.send(Forward::post(CARDS, &body).by("vault-1")).await;
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        assert_eq!(answer.json(), json!({"token": token, "outcome": "created", "bin": "411111", "lastFour": "1111",
            "expiresAt": null}));

        let own = p256::SecretKey::from_slice(&[0x33; 32]).unwrap();
        let body = json!({"purpose": "a test", "jwk": jwk_of(&own)});
        let path = format!("{CARDS}/{token}/read");
        let answer = world.send(Forward::post(path.clone(), &body).by("vault-1")).await;
        let (header, opened) = open_with(&own, answer.json()["card"].as_str().unwrap());
        assert_eq!(opened, json!({"token": token, "pan": PAN, "exp": "0131"}));
        assert_eq!((&header["alg"], &header["typ"]), (&json!("ECDH-ES"), &json!("scanvault-vault-answer+json")));

        for (jwk, what) in [
            (json!({"kty": "EC", "crv": "P-256", "x": jwk_of(&own)["y"], "y": jwk_of(&own)["x"]}), "off the curve"),
            (json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), "too short"),
        ] {
            let answer = world.send(Forward::post(path.clone(), &json!({"purpose": "x", "jwk": jwk})).by("vault-1")).await;
            assert_eq!(answer.json()["detail"], "jwk is no public P-256 key", "{what}");
            answer.assert_problem(400, "bad-request");
        }
        assert_eq!(audited(&world, "card.read").await.len(), 1);
    }

    async fn what_cannot_be_understood_is_said(world: World) {
        let (world, client) = ready(world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        let sealed = client.seal(&card(PAN));
        let read = format!("{CARDS}/{token}/read");
        let session = client.session.clone();
        for (path, body, detail) in [
            (CARDS, json!({"card": "x"}), "card: this is no compact JWE of five parts"),
            (CARDS, json!({"card": sealed.replace("..", ".AA.")}), "card: this is no compact JWE of five parts"),
            (CARDS, json!({"card": format!("{sealed}A")}), "card: this is no compact JWE of five parts"),
            (CARDS, json!({"card": "a".repeat(4097)}), "card: the JWE is too long"),
            (CARDS, json!({"card": sealed, "ttlSecs": 0}), "ttlSecs is 1 to 316224000, or is left out"),
            (CARDS, json!({"card": sealed, "ttlSecs": 316_224_001}), "ttlSecs is 1 to 316224000, or is left out"),
            (CARDS, json!({"card": client.seal(&json!({"pan": "4111", "exp": "1230"}))}), "card: a card number has 12 to 19 digits"),
            (CARDS, json!({"card": client.seal(&json!({"pan": PAN, "exp": "1330"}))}), "card: an expiry is MMYY"),
            (CARDS, json!({"card": client.seal(&json!({"pan": PAN, "exp": "1230", "csc": "123"}))}),
                "card: the sealed text is not the JSON that is expected"),
            (SESSIONS, json!({"jwe": sealed}), "jwe: the JWE's header is not the one that is spoken here"),
            (SESSIONS, json!({"jwe": seal_to_page(&world, "billing", "scanvault-vault-session+json", "{\"key\":\"AAAA\"}")}),
                "jwe: the sealed text is not {\"key\":\"<base64url of 32 bytes>\"}"),
            (&read, json!({"purpose": "", "session": session}), "purpose is 1 to 100 printable characters"),
            (&read, json!({"purpose": PAN, "session": session}), "purpose holds 12 digits in a row: a card number has no place in it"),
            (&read, json!({"purpose": "x"}), "either session or jwk says to whom the card is sealed"),
        ] {
            assert_detail(&world.send(Forward::post(path, &body).by("vault-1")).await, 400, "bad-request", detail);
        }
        for (path, body) in [(CARDS, json!({"card": sealed, "more": 1})), (CARDS, json!({"card": 1})), (&read, json!({}))] {
            let answer = world.send(Forward::post(path, &body).by("vault-1")).await;
            answer.assert_problem(400, "bad-request");
        }
        world.send(Forward { content_type: Some("text/plain"), ..client.store_request(&card(PAN)) }).await
            .assert_problem(415, "unsupported-media-type");
        let answer = world.send(Forward { method: "PUT", ..client.store_request(&card(PAN)) }).await;
        answer.assert_problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), "POST");
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
    }

    async fn a_page_seals_for_payments_only_and_an_answer_is_no_card(world: World) {
        let (world, client) = ready(world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        let answer = world.send(client.read_request(&token, "a test")).await.json();
        let text = card(PAN).to_string();
        for jwe in [
            answer["card"].as_str().unwrap().to_owned(),
            seal_to_page(&world, "billing", "scanvault-card+json", &text),
            seal_to_page(&world, "billing", "scanvault-vault-session+json", &text),
        ] {
            let answer = world.send(Forward::post(CARDS, &json!({"card": jwe})).by("vault-1")).await;
            assert_detail(&answer, 400, "bad-request", "card: the JWE's header is not the one that is spoken here");
        }
        let unsealed = world.app.vault.unsealed().unwrap();
        assert!(unsealed.open_jwe(&client.seal_to_page(&world, &card(PAN))).is_err());
    }

    async fn a_session_lasts_an_hour_and_is_one_accounts(world: World) {
        let (world, mut client) = ready(world).await;
        let other = Client::warehouse(&world).await;
        let answer = world.send(client.session_request(&world)).await;
        assert_eq!(answer.json(), json!({"session": answer.json()["session"], "expiresAt": world.clock.now_ms() + 3_600_000}));
        let (token, _) = client.store(&world, &card(PAN)).await;

        // Everything of this account, sent by another one.
        let unknown = "This session is unknown or has expired: open a new one, seal again and repeat the call";
        for stolen in [client.store_request(&card(PAN)), client.read_request(&token, "x")] {
            assert_detail(&world.send(stolen.by("vault-2")).await, 409, "session-unknown", unknown);
        }
        let stolen = json!({"card": client.seal_to_page(&world, &card(PAN))});
        let answer = world.send(Forward::post(CARDS, &stolen).by("vault-2")).await;
        assert_detail(&answer, 400, "bad-request", "card: the JWE was changed on its way, or sealed for somebody else");
        world.send(client.session_request(&world).by("vault-2")).await.assert_problem(400, "bad-request");
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
        drop(other);

        world.clock.advance_ms(3_600_000);
        for late in [client.store_request(&card(PAN)), client.read_request(&token, "x")] {
            assert_detail(&world.send(late).await, 409, "session-unknown", unknown);
        }
        client.open_session(&world).await;
        assert_eq!(client.store(&world, &card(PAN)).await, (token, "known".to_owned()));
    }

    async fn sealed_nothing_is_to_be_had_but_what_is_in_clear(world: World) {
        let (world, client) = ready(world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        let session = client.session_request(&world);
        assert_eq!(world.admin("POST", "/vault/seal", &Value::Null).await.status, 200);
        let key = Forward::get("/pluto/internal/vault/key").by("vault-1");
        for request in [client.store_request(&card(PAN)), client.read_request(&token, "x"), session, key] {
            let answer = world.send(request).await;
            assert_detail(&answer, 503, "sealed", "The vault is sealed; nothing was done, try again later");
            assert_eq!(answer.header("retry-after"), "30");
        }
        assert_eq!(client.show(&world, &token).await.status, 200);
        // Sessions end with the seal.
        world.unseal().await;
        world.send(client.read_request(&token, "x")).await.assert_problem(409, "session-unknown");
        assert_eq!(client.delete(&world, &token).await.status, 204);
    }

    async fn each_side_of_the_table_is_for_its_own_keys(world: World) {
        let (mut world, client) = ready(world).await;
        let merchant = world.merchant(25).await;
        let psp = world.account(&json!({"name": "psp-1"})).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        let own = [
            Forward::get("/pluto/internal/vault/key"),
            client.session_request(&world),
            client.store_request(&card(PAN)),
            client.read_request(&token, "x"),
            Forward::get(format!("{CARDS}/{token}")),
            Forward::delete(format!("{CARDS}/{token}")),
            Forward { method: "PUT", ..Forward::get(CARDS) },
        ];
        for request in own {
            for auth in [None, Some(&merchant), Some(&psp)] {
                let request = Forward { authorization: auth.cloned(), ..request.clone() }.by("edge-1");
                assert_detail(&world.send(request).await, 404, "not-found", "Not found");
            }
        }
        let create = json!({"merchantReference": "r", "amount": 1});
        for request in [
            Forward::post("/pluto/code/create", &create).with(&merchant),
            Forward::get("/pluto/code/0123456789").with(&merchant),
            Forward::get("/pluto/public/pay/0123456789"),
            Forward::get("/q/0123456789"),
            Forward::get("/pluto/public/assets/pay.js"),
            Forward { method: "PUT", ..Forward::get("/pluto/code/create") },
        ] {
            let path = request.path.clone();
            let answer = world.send(request.by("vault-1")).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (404, &json!("not-found")), "{path}");
        }
        assert_eq!(client.show(&world, &token).await.status, 200);
        world.shares.clear();
    }

    async fn the_account_of_the_key_must_be_an_active_internal_one(world: World) {
        let (world, client) = ready(world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        // `vault-2` is bound to an account that does not exist.
        let nobody = Forward::get(format!("{CARDS}/{token}")).by("vault-2");
        assert_detail(&world.send(nobody).await, 403, "forbidden", "This account has no access to this path");
        for statement in [
            "UPDATE accounts SET status = 'suspended' WHERE name = 'billing'",
            "UPDATE accounts SET status = 'active', role = 'EXTERNAL' WHERE name = 'billing'",
        ] {
            world.execute(statement).await;
            for request in [
                Forward::get("/pluto/internal/vault/key").by("vault-1"),
                client.session_request(&world),
                client.store_request(&card("5555555555554444")),
                client.read_request(&token, "x"),
                Forward::get(format!("{CARDS}/{token}")).by("vault-1"),
                Forward::delete(format!("{CARDS}/{token}")).by("vault-1"),
            ] {
                let path = request.path.clone();
                let answer = world.send(request).await;
                assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (403, &json!("forbidden")), "{path}");
            }
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
        assert_eq!(audited(&world, "card.read").await.len(), 0);
    }
}
