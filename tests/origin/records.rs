//! What is at rest: ciphertext only, good in its own place only.

use scanvault_origin::identity::secrets::acquirer_context;
use scanvault_origin::vault::RecordContext;
use serde_json::Value;
use sqlx::Row;

use crate::card::{code, pay};
use crate::on_both;
use crate::world::World;

const PAN: &str = "5000000000000004";

async fn bytes(world: &World, statement: &'static str) -> Vec<u8> {
    sqlx::query(statement).fetch_one(world.app.db.read()).await.unwrap().try_get(0).unwrap()
}

on_both! {
    async fn a_stored_card_opens_in_its_own_place_only(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let digits = code(&world, &auth, "r", "10.00").await;
        assert_eq!(pay(&world, &digits, PAN, 1000).await.json()["state"], "paid");
        let (pan, expiry) = (bytes(&world, "SELECT pan FROM cards").await, bytes(&world, "SELECT expiry FROM cards").await);
        let holder = bytes(&world, "SELECT holder FROM cards").await;
        let token: String = sqlx::query("SELECT token FROM cards").fetch_one(world.app.db.read()).await.unwrap().try_get(0).unwrap();
        let unsealed = world.app.vault.unsealed().unwrap();
        let place = |column| RecordContext { account: "merchant-25", table: "cards", row: &token, column, row_version: 1 };
        assert_eq!(*unsealed.open_record(&place("pan"), &pan).unwrap(), PAN.as_bytes());
        assert_eq!(*unsealed.open_record(&place("expiry"), &expiry).unwrap(), b"1230");
        assert_eq!(*unsealed.open_record(&place("holder"), &holder).unwrap(), b"A Shopper");
        for wrong in [
            RecordContext { column: "expiry", ..place("pan") },
            RecordContext { row: "card_other", ..place("pan") },
            RecordContext { account: "merchant-26", ..place("pan") },
            RecordContext { table: "accounts", ..place("pan") },
            RecordContext { row_version: 2, ..place("pan") },
        ] {
            assert!(unsealed.open_record(&wrong, &pan).is_err(), "{wrong:?}");
        }
    }

    /// A merchant's credentials moved to another merchant's row must not charge in the first one's name.
    async fn credentials_moved_to_another_account_are_useless(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        world.merchant(26).await;
        world.execute(
            "UPDATE acquirer_credentials SET sealed = (SELECT sealed FROM acquirer_credentials WHERE account = 'merchant-26') \
             WHERE account = 'merchant-25'",
        ).await;
        let digits = code(&world, &auth, "r", "10.00").await;
        pay(&world, &digits, PAN, 1000).await.assert_problem(500, "internal");
        assert_eq!(world.book.entries().len(), 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM transactions").await, 0);
        let sealed = bytes(&world, "SELECT sealed FROM acquirer_credentials WHERE account = 'merchant-26'").await;
        let unsealed = world.app.vault.unsealed().unwrap();
        assert!(unsealed.open_record(&acquirer_context("merchant-26", "clearhaus", 1), &sealed).is_ok());
        assert!(unsealed.open_record(&acquirer_context("merchant-25", "clearhaus", 1), &sealed).is_err());
    }

    /// Columns of text hold no number, no security code, no name, no password, no secret: every table is read whole.
    async fn no_secret_is_in_any_text_column(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let digits = code(&world, &auth, "r", "10.00").await;
        assert_eq!(pay(&world, &digits, PAN, 1000).await.json()["state"], "paid");
        let password = {
            use base64::Engine;
            let text = base64::engine::general_purpose::STANDARD.decode(auth.strip_prefix("Basic ").unwrap()).unwrap();
            String::from_utf8(text).unwrap().split_once(':').unwrap().1.to_owned()
        };
        let secrets = [PAN.to_owned(), "A Shopper".into(), password, world.shares[0].clone(), "PRIVATE KEY".into(), "whsec_".into()];
        for statement in [
            "SELECT * FROM accounts", "SELECT * FROM acquirer_credentials", "SELECT * FROM cards", "SELECT * FROM payment_requests",
            "SELECT * FROM codes", "SELECT * FROM transactions", "SELECT * FROM acts", "SELECT * FROM changes", "SELECT * FROM outbox",
            "SELECT * FROM vault", "SELECT * FROM vault_keys", "SELECT * FROM vault_shares", "SELECT * FROM vault_reshare", "SELECT * FROM audit_links",
        ] {
            let rows = sqlx::query(statement).fetch_all(world.app.db.read()).await.unwrap();
            for row in &rows {
                for at in 0..row.len() {
                    let text = row.try_get::<String, _>(at).map(String::into_bytes);
                    let cell = text.or_else(|_| row.try_get::<Vec<u8>, _>(at)).unwrap_or_default();
                    for secret in &secrets {
                        let found = cell.windows(secret.len()).any(|window| window == secret.as_bytes());
                        assert!(!found, "{statement}: column {at} holds a secret");
                    }
                }
            }
        }
        let metrics = world.admin("GET", "/metrics", &Value::Null).await.text();
        assert!(secrets.iter().all(|secret| !metrics.contains(secret.as_str())));
    }
}
