//! The vault's ceremonies, as operators and custodians go through them: re-share, proofs, rotation, re-encryption, the
//! end of a key; and what each of them refuses.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use scanvault_origin::app::router::answer_admin;
use scanvault_origin::ceremonies::Step;
use scanvault_origin::ceremonies::operators::Operators;
use scanvault_origin::clock::Clock;
use scanvault_origin::vault::{KeyKind, SystemEntropy, custodian, store};
use scanvault_origin::web::listener::Peer;
use serde_json::{Value, json};

use crate::card::{self, code};
use crate::on_both;
use crate::world::{Answer, Forward, World};

/// New custodians with their identities.
struct People(Vec<(String, String, String)>);

impl People {
    fn new(count: usize) -> Self {
        Self(
            (0..count)
                .map(|at| {
                    let (identity, recipient) = custodian::generate_identity();
                    (format!("n{at}"), identity.to_string(), recipient.to_string())
                })
                .collect(),
        )
    }

    fn bodies(&self) -> Vec<Value> {
        self.0.iter().map(|(name, _, recipient)| json!({"name": name, "recipient": recipient})).collect()
    }

    /// The texts of the shares in an answer that holds them.
    fn open(&self, answer: &Value) -> Vec<String> {
        let shares = answer["shares"].as_array().unwrap_or_else(|| panic!("no shares: {answer}"));
        let open = |((_, identity, _), share): (&(String, String, String), &Value)| {
            custodian::decrypt(identity, share["armored"].as_str().unwrap().as_bytes()).unwrap().to_string()
        };
        self.0.iter().zip(shares).map(open).collect()
    }
}

/// Makes a code and pays it; answers the state.
async fn pay(world: &World, merchant: &str, reference: &str) -> String {
    let code = code(world, merchant, reference, "3.00").await;
    card::pay(world, &code, "4111111111111111", 300).await.json()["state"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    answer.json()
}

#[track_caller]
fn refused(answer: &Answer, text: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()["detail"].as_str()), (409, Some(text)), "{}", answer.text());
}

impl World {
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.admin("POST", path, &body).await
    }

    async fn status(&self) -> Value {
        ok(&self.admin("GET", "/vault/status", &Value::Null).await)
    }

    /// Starts a re-share and gives the authority of the first two shares; answers nonce and new shares.
    async fn dealt(&self, people: &People, threshold: u8, compromised: bool) -> (String, Vec<String>) {
        let body = json!({"threshold": threshold, "custodians": people.bodies(), "compromised": compromised});
        let started = ok(&self.post("/vault/reshare/start", body).await);
        let nonce = started["reshare"]["nonce"].as_str().unwrap().to_owned();
        let first = ok(&self.post("/vault/reshare/submit", json!({"nonce": nonce, "share": self.shares[0]})).await);
        assert_eq!((&first["reshare"]["stage"], &first["shares"]), (&json!("authorising"), &Value::Null));
        let second = ok(&self.post("/vault/reshare/submit", json!({"nonce": nonce, "share": self.shares[1]})).await);
        assert_eq!(second["reshare"]["stage"], "proving");
        (nonce, people.open(&second))
    }

    async fn prove_all(&self, nonce: &str, shares: &[String]) -> Value {
        let mut last = Value::Null;
        for share in shares {
            last = ok(&self.post("/vault/reshare/prove", json!({"nonce": nonce, "share": share})).await);
        }
        last
    }

    async fn reencrypt_all(&self) {
        let mut entropy = SystemEntropy::new();
        for _ in 0..100 {
            if self.app.admin.reencrypt_step(&mut entropy).await.unwrap() == Step::Idle {
                return;
            }
        }
        panic!("the re-encryption does not end");
    }

    async fn actions(&self) -> Vec<String> {
        use sqlx::Row;
        let statement = "SELECT entries FROM audit_links ORDER BY at_ms, number";
        let rows = sqlx::query(statement).fetch_all(self.app.db.read()).await.unwrap();
        let entries = rows.iter().map(|row| serde_json::from_str::<Vec<Value>>(&row.get::<String, _>(0)).unwrap());
        entries.flatten().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
    }
}

on_both! {
    async fn a_reshare_counts_only_when_every_new_custodian_has_proved(world: World) {
        let mut world = world;
        world.ready().await;
        let people = People::new(4);
        let (nonce, new) = world.dealt(&people, 3, false).await;

        for (share, left) in new[..3].iter().zip([3, 2, 1]) {
            ok(&world.post("/vault/reshare/prove", json!({"nonce": nonce, "share": share})).await);
            let status = world.status().await;
            let proved = status["reshare"]["custodians"].as_array().unwrap().iter().filter(|c| c["proved"] == true).count();
            assert_eq!((proved, status["generation"].as_u64()), (4 - left, Some(0)));
        }
        // Until then the old shares are the ones that open the vault.
        world.post("/vault/seal", json!({})).await;
        refused(&world.post("/vault/unseal", json!({"share": new[0]})).await,
            "this share is of re-share 1, which is not in effect; the vault is at 0");
        world.unseal().await;

        let last = ok(&world.post("/vault/reshare/prove", json!({"nonce": nonce, "share": new[3]})).await);
        assert_eq!(last["reshare"], Value::Null);
        let status = world.status().await;
        assert_eq!((&status["generation"], &status["threshold"], &status["shares"]), (&json!(1), &json!(3), &json!(4)));
        assert_eq!((&status["sealed"], &status["takesCards"]), (&json!(false), &json!(true)), "open all along");
        world.post("/vault/seal", json!({})).await;
        refused(&world.post("/vault/unseal", json!({"share": world.shares[0]})).await,
            "this share is of re-share 0; re-share 1 has replaced it");
        for share in &new[1..] {
            ok(&world.post("/vault/unseal", json!({"share": share})).await);
        }
        assert_eq!(world.status().await["takesCards"], true);
        assert_eq!(world.number("SELECT COUNT(*) FROM vault_shares").await, 4);
        let actions = world.actions().await;
        for (action, count) in [("vault.reshare.started", 1), ("vault.reshare.authorised", 1), ("vault.reshare.proved", 4), ("vault.reshare.switched", 1)] {
            assert_eq!(actions.iter().filter(|name| *name == action).count(), count, "{action} in {actions:?}");
        }
    }

    async fn one_ceremony_at_a_time_with_frozen_parameters(world: World) {
        let mut world = world;
        world.ready().await;
        let people = People::new(2);
        let start = json!({"threshold": 2, "custodians": people.bodies()});
        let nonce = ok(&world.post("/vault/reshare/start", start.clone()).await)["reshare"]["nonce"].clone();
        refused(&world.post("/vault/reshare/start", start).await, "a re-share is under way: look at the status, or cancel it");
        refused(&world.post("/vault/keys/rotate", json!({"kind": "data"})).await, "a re-share is under way: one ceremony at a time");
        refused(&world.post("/vault/keys/destroy", json!({"kind": "data", "id": 1})).await, "a re-share is under way: one ceremony at a time");
        let other = "another re-share is under way: look at its custodians first";
        for path in ["submit", "prove", "cancel"] {
            let body = json!({"nonce": "0000000000000000", "share": world.shares[0]});
            refused(&world.post(&format!("/vault/reshare/{path}"), body).await, other);
        }
        refused(&world.post("/vault/reshare/prove", json!({"nonce": nonce, "share": world.shares[0]})).await,
            "nothing is dealt yet: a threshold of the present shares comes first");
        // Before the dealing an operator's word ends it, as it began it.
        let ended = ok(&world.post("/vault/reshare/cancel", json!({"nonce": nonce})).await);
        assert_eq!(ended["reshare"], Value::Null);
        refused(&world.post("/vault/reshare/cancel", json!({"nonce": nonce})).await, "no re-share is under way");
    }

    async fn authority_is_a_threshold_of_the_present_shares(world: World) {
        let mut world = world;
        world.ready().await;
        let people = People::new(3);
        let body = json!({"threshold": 2, "custodians": people.bodies()});
        let nonce = ok(&world.post("/vault/reshare/start", body).await)["reshare"]["nonce"].as_str().unwrap().to_owned();
        let submit = |share: String| json!({"nonce": nonce, "share": share});
        ok(&world.post("/vault/reshare/submit", submit(world.shares[0].clone())).await);
        refused(&world.post("/vault/reshare/submit", submit(world.shares[0].clone())).await, "share 1 has been given already");
        let mut typo = world.shares[1].clone();
        typo.replace_range(20..21, if &typo[20..21] == "a" { "b" } else { "a" });
        refused(&world.post("/vault/reshare/submit", submit(typo)).await, "the share is mistyped: its checksum does not fit");
        assert_eq!(world.status().await["reshare"]["authorityGiven"], json!([1]));
        // What was given is forgotten after ten minutes.
        world.clock.advance_ms(11 * 60 * 1_000);
        assert_eq!(world.status().await["reshare"]["authorityGiven"], Value::Null);
        ok(&world.post("/vault/reshare/submit", submit(world.shares[1].clone())).await);
        assert_eq!(world.status().await["reshare"]["authorityGiven"], json!([2]));
        let dealt = ok(&world.post("/vault/reshare/submit", submit(world.shares[2].clone())).await);
        let new = people.open(&dealt);
        // The files again, for those that were lost on their way.
        let again = ok(&world.admin("GET", "/vault/reshare/shares", &Value::Null).await);
        assert_eq!(people.open(&again), new);

        // Now its end takes as much as its beginning.
        refused(&world.post("/vault/reshare/cancel", json!({"nonce": nonce})).await,
            "the new shares are dealt: a threshold of the present shares is needed to cancel");
        refused(&world.post("/vault/reshare/cancel", submit(new[0].clone())).await,
            "this share is of re-share 1, which is not in effect; the vault is at 0");
        ok(&world.post("/vault/reshare/cancel", submit(world.shares[1].clone())).await);
        assert_eq!(world.status().await["reshare"]["stage"], "proving");
        let ended = ok(&world.post("/vault/reshare/cancel", submit(world.shares[0].clone())).await);
        assert_eq!(ended["reshare"], Value::Null);
        assert_eq!(world.number("SELECT COUNT(*) FROM vault_shares").await, 3, "the new shares are gone");
    }

    async fn what_somebody_puts_in_the_place_of_the_new_set_is_refused(world: World) {
        let mut world = world;
        world.ready().await;
        let people = People::new(2);
        let (nonce, new) = world.dealt(&people, 2, false).await;
        world.execute("UPDATE vault_reshare SET wrapped_root = (SELECT wrapped_root FROM vault)").await;
        refused(&world.post("/vault/reshare/prove", json!({"nonce": nonce, "share": new[0]})).await,
            "the stored re-share was changed: cancel it");
        assert_eq!(world.status().await["generation"], 0);
    }

    async fn custodians_that_somebody_puts_into_the_database_get_no_share(world: World) {
        let mut world = world;
        world.ready().await;
        let body = json!({"threshold": 2, "custodians": People::new(3).bodies()});
        let nonce = ok(&world.post("/vault/reshare/start", body).await)["reshare"]["nonce"].clone();
        let plan = json!({"threshold": 2, "custodians": People::new(3).bodies()}).to_string();
        sqlx::query("UPDATE vault_reshare SET plan = $1").bind(plan).execute(world.app.db.write()).await.unwrap();
        refused(&world.post("/vault/reshare/submit", json!({"nonce": nonce, "share": world.shares[0]})).await,
            "the stored re-share was changed: cancel it");
        ok(&world.post("/vault/reshare/cancel", json!({"nonce": nonce})).await);
    }

    async fn after_a_compromise_everything_is_under_new_keys(world: World) {
        let mut world = world;
        let merchant = world.ready().await;
        assert_eq!(pay(&world, &merchant, "c-1").await, "paid");
        let people = People::new(3);
        let (nonce, new) = world.dealt(&people, 2, true).await;
        world.prove_all(&nonce, &new).await;
        let status = world.status().await;
        assert_eq!((&status["sealed"], &status["generation"]), (&json!(true), &json!(1)), "the root key in hand is not the one in effect");
        refused(&world.post("/vault/unseal", json!({"share": world.shares[0]})).await,
            "this share is of re-share 0; re-share 1 has replaced it");
        for share in &new[..2] {
            ok(&world.post("/vault/unseal", json!({"share": share})).await);
        }
        assert_eq!(world.status().await["reencryption"]["state"], "running");
        world.reencrypt_all().await;
        let job = &world.status().await["reencryption"];
        assert_eq!((&job["state"], &job["failed"]), (&json!("done"), &json!(0)), "{job}");
        assert_eq!(world.number("SELECT COUNT(*) FROM cards WHERE key_id <> 2 OR fingerprint_key <> 2").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM accounts WHERE webhook_key_id <> 2").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM acquirer_credentials WHERE key_id <> 2").await, 0);
        // The same card is found again, by its new fingerprint, and the merchant's secrets open.
        assert_eq!(pay(&world, &merchant, "c-2").await, "paid");
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
    }

    async fn a_process_with_a_ring_of_before_ends_no_reencryption(world: World) {
        let mut world = world;
        let merchant = world.ready().await;
        assert_eq!(pay(&world, &merchant, "b-1").await, "paid");
        let other = world.beside().await;
        for share in &world.shares[..2] {
            other.vault.submit_share(share, world.clock.now_ms()).unwrap();
        }
        let people = People::new(3);
        let (nonce, new) = world.dealt(&people, 2, true).await;
        world.prove_all(&nonce, &new).await;
        // It has been told nothing: by its ring there is nothing to do.
        assert!(other.vault.unsealed().is_ok());
        assert_eq!(other.admin.reencrypt_step(&mut SystemEntropy::new()).await.unwrap(), Step::Idle);
        assert!(other.vault.unsealed().is_err(), "it has seen that the vault was re-keyed");
        assert_eq!(world.status().await["reencryption"]["state"], "running");
    }

    async fn what_was_rotated_from_the_record_before_a_dealing_is_not_stored(world: World) {
        let mut world = world;
        world.ready().await;
        let before = world.app.vault.version().unwrap();
        world.dealt(&People::new(3), 2, true).await;
        let mut tx = world.app.db.begin().await.unwrap();
        assert!(!store::advance(&mut tx, before).await.unwrap(), "the dealing counts the record on");
        drop(tx);
        refused(&world.post("/vault/keys/rotate", json!({"kind": "data"})).await, "a re-share is under way: one ceremony at a time");
    }

    async fn rotation_reencryption_and_the_end_of_a_key(world: World) {
        let mut world = world;
        let merchant = world.ready().await;
        assert_eq!(pay(&world, &merchant, "r-1").await, "paid");
        let rotated = ok(&world.post("/vault/keys/rotate", json!({"kind": "data"})).await);
        assert_eq!(rotated, json!({"kind": "data", "id": 2}));
        ok(&world.post("/vault/keys/rotate", json!({"kind": "fingerprint"})).await);
        let keys = ok(&world.admin("GET", "/vault/keys", &Value::Null).await);
        let key = |keys: &Value, kind: &str, id: u64| {
            keys["keys"].as_array().unwrap().iter().find(|key| key["kind"] == kind && key["id"] == id).unwrap().clone()
        };
        // One card, one webhook secret, one set of credentials.
        assert_eq!((&key(&keys, "data", 1)["state"], &key(&keys, "data", 1)["records"]), (&json!("retired"), &json!(3)));
        assert_eq!(key(&keys, "data", 2)["records"], 0);
        let destroy = json!({"kind": "data", "id": 1});
        refused(&world.post("/vault/keys/destroy", destroy.clone()).await, "records still need this key: re-encrypt first");
        refused(&world.post("/vault/keys/destroy", json!({"kind": "data", "id": 2})).await, "the ring has no key data/2 in that state");
        refused(&world.post("/vault/keys/destroy", json!({"kind": "audit", "id": 1})).await, "the ring has no key audit/1 in that state");

        let begun = ok(&world.post("/vault/reencrypt", json!({"perSecond": 2})).await);
        assert_eq!((&begun["reencryption"]["total"], &begun["reencryption"]["perSecond"]), (&json!(3), &json!(2)));
        refused(&world.post("/vault/reencrypt", json!({})).await, "a re-encryption is under way");
        world.reencrypt_all().await;
        let job = ok(&world.admin("GET", "/vault/reencrypt", &Value::Null).await);
        let job = &job["reencryption"];
        assert_eq!((&job["state"], &job["done"], &job["failed"]), (&json!("done"), &json!(3), &json!(0)), "{job}");
        let keys = ok(&world.admin("GET", "/vault/keys", &Value::Null).await);
        assert_eq!((&key(&keys, "data", 1)["records"], &key(&keys, "data", 2)["records"]), (&json!(0), &json!(3)));

        // Two operators, and not the same one twice.
        world.app.admin.operators.replace(Operators::parse("alice operator uid:0\nbob operator,auditor uid:1\n").unwrap());
        assert_eq!(ok(&world.post("/vault/keys/destroy", destroy.clone()).await)["state"], "requested");
        assert_eq!(ok(&world.post("/vault/keys/destroy", destroy.clone()).await)["state"], "requested");
        assert_eq!(ok(&world.as_uid(1, "/vault/keys/destroy", &destroy).await)["state"], "destroyed");
        assert_eq!(world.number("SELECT COUNT(*) FROM vault_keys WHERE kind = 'data' AND state = 'destroyed' AND length(wrapped) = 0").await, 1);
        assert_eq!(pay(&world, &merchant, "r-2").await, "paid");
        assert_eq!(world.number("SELECT COUNT(*) FROM cards WHERE fingerprint_key = 2 AND key_id = 2").await, 1);
        // The number is not given again, and the ring without the key opens.
        assert_eq!(ok(&world.post("/vault/keys/rotate", json!({"kind": "data"})).await)["id"], 3);
        world.post("/vault/seal", json!({})).await;
        world.unseal().await;
    }

    async fn the_first_word_holds_for_a_day(world: World) {
        let mut world = world;
        world.ready().await;
        ok(&world.post("/vault/keys/rotate", json!({"kind": "page"})).await);
        world.app.admin.operators.replace(Operators::parse("alice operator uid:0\nbob operator uid:1\n").unwrap());
        let destroy = json!({"kind": "page", "id": 1});
        refused(&world.post("/vault/keys/destroy", destroy.clone()).await,
            "a key has to be retired for a day first: what was made with it may still come in");
        world.clock.advance_ms(24 * 60 * 60 * 1_000);
        assert_eq!(ok(&world.post("/vault/keys/destroy", destroy.clone()).await)["state"], "requested");
        world.clock.advance_ms(24 * 60 * 60 * 1_000 + 1);
        assert_eq!(ok(&world.as_uid(1, "/vault/keys/destroy", &destroy).await)["state"], "requested", "the first word is too old");
        assert_eq!(ok(&world.post("/vault/keys/destroy", destroy.clone()).await)["state"], "destroyed");
    }

    async fn the_database_itself_keeps_a_key_that_a_record_names(world: World) {
        let mut world = world;
        let merchant = world.ready().await;
        assert_eq!(pay(&world, &merchant, "k-1").await, "paid");
        for table in ["DELETE FROM vault_data_keys WHERE id = 1", "DELETE FROM vault_fingerprint_keys WHERE id = 1"] {
            let error = sqlx::query(table).execute(world.app.db.write()).await.unwrap_err();
            assert!(error.as_database_error().unwrap().is_foreign_key_violation(), "{error}");
        }
    }

    async fn no_card_is_taken_before_every_custodian_has_proved(world: World) {
        let mut world = world;
        world.init().await;
        for share in &world.shares[..2] {
            ok(&world.post("/vault/unseal", json!({"share": share})).await);
        }
        let status = world.status().await;
        assert_eq!((&status["sealed"], &status["takesCards"], &status["unproved"]), (&json!(false), &json!(false), &json!([3])));
        let merchant = world.merchant(25).await;
        let code = code(&world, &merchant, "p-1", "3.00").await;
        let page = world.send(Forward::get(format!("/pluto/public/pay/{code}"))).await;
        assert_eq!(page.status.as_u16(), 503);
        let body = json!({"sealed": "x.x.x.x.x"});
        world.send(Forward::post(format!("/pluto/public/pay/{code}"), &body)).await.assert_problem(503, "sealed");
        refused(&world.post("/vault/prove", json!({"share": format!("{}a", world.shares[2])})).await,
            "a share has 90 symbols after svshare1, this one has 91");
        let proved = ok(&world.post("/vault/prove", json!({"share": world.shares[2]})).await);
        assert_eq!((&proved["takesCards"], &proved["unproved"]), (&json!(true), &json!([])));
        assert!(proved["custodians"].as_array().unwrap().iter().all(|custodian| custodian["proved"] == true));
        assert_eq!(pay(&world, &merchant, "p-2").await, "paid");
        // It stays proved: over a sealing, and for another process on the database.
        world.post("/vault/seal", json!({})).await;
        assert_eq!(world.status().await["unproved"], json!([]));
    }

    async fn a_collection_has_a_name_an_end_and_a_reset(world: World) {
        let mut world = world;
        world.init().await;
        let first = ok(&world.post("/vault/unseal", json!({"share": world.shares[0]})).await);
        let nonce = first["nonce"].as_str().unwrap().to_owned();
        let reset = ok(&world.post("/vault/unseal/reset", json!({})).await);
        assert_eq!((&reset["progress"], &reset["nonce"]), (&json!(0), &Value::Null));
        refused(&world.post("/vault/unseal", json!({"share": world.shares[1], "nonce": nonce})).await,
            "this share was meant for another attempt to unseal: look at the status and begin again");
        world.clock.advance_ms(1);
        let second = ok(&world.post("/vault/unseal", json!({"share": world.shares[1]})).await);
        assert_ne!(second["nonce"], nonce);
        let last = ok(&world.post("/vault/unseal", json!({"share": world.shares[2], "nonce": second["nonce"]})).await);
        assert_eq!(last["sealed"], false);
    }

    async fn refused_shares_are_audited_and_slow_down_who_gives_them(world: World) {
        let mut world = world;
        world.init().await;
        world.app.admin.operators.replace(Operators::parse("alice operator uid:0\nbob operator uid:1\n").unwrap());
        for _ in 0..17 {
            refused(&world.post("/vault/unseal", json!({"share": "svshare1-nonsense"})).await, "a share has 90 symbols after svshare1, this one has 8");
        }
        let waits = world.post("/vault/unseal", json!({"share": world.shares[0]})).await;
        assert_eq!((waits.status.as_u16(), waits.header("retry-after")), (429, "5"), "{}", waits.text());
        assert_eq!(waits.json()["detail"], "too many shares were refused: wait 2 s");
        // Nobody else has to wait, and the wait ends.
        ok(&world.as_uid(1, "/vault/unseal", &json!({"share": world.shares[1]})).await);
        world.clock.advance_ms(2_000);
        ok(&world.post("/vault/unseal", json!({"share": world.shares[0]})).await);
        let actions = world.actions().await;
        assert_eq!(actions.iter().filter(|action| *action == "vault.share.refused").count(), 17, "{actions:?}");
    }

    async fn what_is_not_in_the_audit_has_not_happened(world: World) {
        let mut world = world;
        world.init().await;
        ok(&world.post("/vault/unseal", json!({"share": world.shares[0]})).await);
        world.execute("ALTER TABLE audit_links RENAME TO gone").await;
        assert_eq!(world.post("/vault/unseal", json!({"share": world.shares[1]})).await.status.as_u16(), 500);
        world.execute("ALTER TABLE gone RENAME TO audit_links").await;
        let status = world.status().await;
        assert_eq!((&status["sealed"], &status["progress"]), (&json!(true), &json!(0)));
        world.unseal().await;
        world.execute("ALTER TABLE audit_links RENAME TO gone").await;
        assert_eq!(world.post("/vault/keys/rotate", json!({"kind": "data"})).await.status.as_u16(), 500);
        let account = world.post("/accounts", json!({"name": "merchant-7"})).await;
        assert_eq!(account.status.as_u16(), 500);
        // Sealing waits for nothing.
        assert_eq!(ok(&world.post("/vault/seal", json!({})).await)["sealed"], true);
        world.execute("ALTER TABLE gone RENAME TO audit_links").await;
        world.unseal().await;
        assert_eq!(world.number("SELECT COUNT(*) FROM vault_keys WHERE kind = 'data'").await, 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM accounts").await, 0);
    }

    async fn without_its_database_it_is_sealed_all_the_same_and_says_so(world: World) {
        let mut world = world;
        world.ready().await;
        world.app.db.close().await;
        let status = world.status().await;
        assert_eq!((&status["sealed"], &status["custodians"]), (&json!(false), &json!([])));
        assert_eq!(ok(&world.post("/vault/seal", json!({})).await)["sealed"], true);
    }

    async fn a_fingerprint_that_somebody_else_has_does_not_stop_a_reencryption(world: World) {
        let mut world = world;
        let merchant = world.ready().await;
        assert_eq!(pay(&world, &merchant, "t-1").await, "paid");
        ok(&world.post("/vault/keys/rotate", json!({"kind": "fingerprint"})).await);
        assert_eq!(pay(&world, &merchant, "t-2").await, "paid");
        // Somebody has put this number's fingerprint into a row of another account.
        let row = sqlx::query("SELECT fingerprint FROM cards").fetch_one(world.app.db.read()).await.unwrap();
        let print: Vec<u8> = sqlx::Row::get(&row, 0);
        world.execute("UPDATE cards SET fingerprint = substr(fingerprint, 1, 31), fingerprint_key = 1").await;
        world.account(&json!({"name": "merchant-26"})).await;
        world.execute("INSERT INTO cards (token, account, pan, expiry, holder, bin, last_four, fingerprint, fingerprint_key, \
            key_id, row_version, created_at_ms) SELECT 'card_other', 'merchant-26', pan, expiry, holder, bin, last_four, \
            substr(fingerprint, 1, 30), 2, key_id, row_version, created_at_ms FROM cards").await;
        let moved = sqlx::query("UPDATE cards SET fingerprint = $1 WHERE token = 'card_other'").bind(print);
        moved.execute(world.app.db.write()).await.unwrap();
        ok(&world.post("/vault/reencrypt", json!({})).await);
        world.reencrypt_all().await;
        let job = &world.status().await["reencryption"];
        assert_eq!((&job["state"], &job["failed"]), (&json!("done"), &json!(0)), "{job}");
        assert_eq!(world.number("SELECT COUNT(*) FROM cards WHERE fingerprint_key = 2").await, 2);
    }

    async fn a_data_key_is_renewed_by_age_and_by_use(world: World) {
        let mut world = world;
        let merchant = world.ready().await;
        let admin = &world.app.admin;
        let active = || world.app.vault.unsealed().unwrap().active_key_id(KeyKind::Data);
        admin.look_after_keys().await.unwrap();
        assert_eq!(active(), Some(1));
        assert_eq!(world.number("SELECT uses FROM vault_keys WHERE kind = 'data' AND id = 1").await, 65_536, "reserved before it is used");
        assert_eq!(pay(&world, &merchant, "u-1").await, "paid");
        admin.look_after_keys().await.unwrap();
        assert_eq!(world.number("SELECT uses FROM vault_keys WHERE kind = 'data' AND id = 1").await, 65_536);
        world.execute("UPDATE vault_keys SET uses = 268435456 WHERE kind = 'data'").await;
        admin.look_after_keys().await.unwrap();
        assert_eq!(active(), Some(2));
        admin.look_after_keys().await.unwrap();
        assert_eq!(active(), Some(2));
        world.clock.advance_ms(365 * 24 * 60 * 60 * 1_000);
        admin.look_after_keys().await.unwrap();
        assert_eq!(active(), Some(3));
    }

    async fn a_record_that_does_not_open_is_counted_and_left(world: World) {
        let mut world = world;
        let merchant = world.ready().await;
        assert_eq!(pay(&world, &merchant, "f-1").await, "paid");
        world.execute("UPDATE cards SET pan = expiry").await;
        ok(&world.post("/vault/keys/rotate", json!({"kind": "data"})).await);
        ok(&world.post("/vault/reencrypt", json!({})).await);
        world.reencrypt_all().await;
        let job = &world.status().await["reencryption"];
        assert_eq!((&job["state"], &job["done"], &job["failed"]), (&json!("done"), &json!(2), &json!(1)), "{job}");
        refused(&world.post("/vault/keys/destroy", json!({"kind": "data", "id": 1})).await, "records still need this key: re-encrypt first");
    }
}

impl World {
    /// A call by somebody else.
    async fn as_uid(&self, uid: u32, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method("POST").uri(path).body(Body::from(body.to_string())).unwrap();
        Answer::of(answer_admin(Arc::clone(&self.app), request, Some(Peer::Uid(uid))).await).await
    }
}
