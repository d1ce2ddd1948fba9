//! Cards at rest: what is one card, whose it is, how long it stays, and many at once.

use std::collections::HashSet;
use std::sync::Arc;

use scanvault_origin::app::router::answer_public;
use scanvault_origin::audit::{Audit, Sealer};
use scanvault_origin::cards::{Cards, CardsError};
use scanvault_origin::clock::{Clock, ManualClock};
use scanvault_origin::vault::{CardExpiry, CardholderName, KeyKind, Pan, SystemEntropy, Vault, VaultCard};
use serde_json::json;
use sqlx::Row;
use tokio::sync::mpsc;

use crate::card::{code, pay};
use crate::on_both;
use crate::vault_client::{Client, PAN, card, ready};
use crate::world::{Answer, Forward, World};

/// The number of a test card, with its check digit.
fn number(at: u32) -> String {
    let body = format!("411111{at:09}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(digit - b'0')) {
            (0, digit) if digit > 4 => digit * 2 - 9,
            (0, digit) => digit * 2,
            (_, digit) => digit,
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

on_both! {
    async fn one_number_of_one_account_is_one_card(world: World) {
        let (world, client) = ready(world).await;
        let store = async |pan: &str, exp: &str, name: Option<&str>| {
            let mut card = json!({"pan": pan, "exp": exp});
            if let Some(name) = name {
                card["name"] = json!(name);
            }
            client.store(&world, &card).await
        };
        let (token, outcome) = store(PAN, "1230", None).await;
        assert_eq!(outcome, "created");
        let before = sqlx::query("SELECT pan FROM cards").fetch_one(world.app.db.read()).await.unwrap().get::<Vec<u8>, _>(0);
        for (pan, exp, name, expected) in [
            ("4111-1111-1111-1111", "1230", None, "known"),
            (" 4111 1111 1111 1111", "1230", Some("  "), "known"),
            (PAN, "0131", None, "updated"),
            (PAN, "0131", None, "known"),
            (PAN, "0131", Some("A Shopper"), "updated"),
            (PAN, "0131", Some(" A Shopper "), "known"),
            (PAN, "0131", None, "updated"),
        ] {
            assert_eq!(store(pan, exp, name).await, (token.clone(), expected.to_owned()), "{pan} {exp} {name:?}");
            let now = sqlx::query("SELECT pan FROM cards").fetch_one(world.app.db.read()).await.unwrap().get::<Vec<u8>, _>(0);
            // Nothing is sealed again for a card that is known.
            assert!(expected != "known" || exp != "1230" || now == before);
        }
        assert_eq!(client.read(&world, &token).await, json!({"token": token, "pan": PAN, "exp": "0131"}));
        assert_eq!(world.number("SELECT row_version FROM cards").await, 4);
        let (other, _) = store(&number(1), "0131", None).await;
        assert_ne!(other, token);
    }

    async fn no_account_reaches_the_card_of_another(world: World) {
        let (world, client) = ready(world).await;
        let other = Client::warehouse(&world).await;
        let (own, _) = client.store(&world, &card(PAN)).await;
        let (theirs, outcome) = other.store(&world, &card(PAN)).await;
        assert!(own != theirs && outcome == "created", "the same number is a card of each");
        for (client, token) in [(&client, &theirs), (&other, &own)] {
            world.send(client.read_request(token, "x")).await.assert_problem(404, "not-found");
            client.show(&world, token).await.assert_problem(404, "not-found");
            client.delete(&world, token).await.assert_problem(404, "not-found");
        }
        for token in ["card_AAAAAAAAAAAAAAAAAAAAAA", "x", "card_"] {
            world.send(client.read_request(token, "x")).await.assert_problem(404, "not-found");
            client.show(&world, token).await.assert_problem(404, "not-found");
        }
        assert_eq!(other.delete(&world, &theirs).await.status, 204);
        assert_eq!(client.read(&world, &own).await["pan"], PAN);
    }

    async fn the_newest_time_to_keep_a_card_wins(world: World) {
        let (world, client) = ready(world).await;
        let ends = async || client.show(&world, &token_of(&world).await).await.json()["expiresAt"].as_u64();
        for (ttl, outcome) in [(Some(60), "created"), (Some(600), "known"), (Some(30), "known"), (None, "known"), (Some(10), "known")] {
            let answer = client.store_with(&world, &card(PAN), ttl).await;
            assert_eq!(answer.json()["outcome"], outcome, "{ttl:?}");
            let expected = ttl.map(|secs| world.clock.now_ms() + secs * 1000);
            assert_eq!((ends().await, answer.json()["expiresAt"].as_u64()), (expected, expected), "{ttl:?}");
        }
        let token = token_of(&world).await;
        assert_eq!(client.read(&world, &token).await["pan"], PAN);
        world.clock.advance_ms(9_999);
        assert_eq!(client.show(&world, &token).await.status, 200);
        world.clock.advance_ms(1);
        // The row is still there, and nobody sees it.
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
        world.send(client.read_request(&token, "x")).await.assert_problem(404, "not-found");
        client.show(&world, &token).await.assert_problem(404, "not-found");
        client.delete(&world, &token).await.assert_problem(404, "not-found");
        let (again, outcome) = client.store(&world, &card(PAN)).await;
        assert!(again != token && outcome == "created");
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
    }

    async fn the_sweep_deletes_what_is_over_and_counts_it(world: World) {
        let (world, client) = ready(world).await;
        for at in 0..7 {
            client.store_with(&world, &card(&number(at)), (at < 5).then_some(60)).await;
        }
        assert_eq!(world.app.cards.sweep().await.unwrap(), 0);
        world.clock.advance_ms(60_000);
        // Sealed too: it needs no key.
        world.admin("POST", "/vault/seal", &serde_json::Value::Null).await;
        assert_eq!(world.app.cards.sweep().await.unwrap(), 5);
        assert_eq!(world.app.cards.sweep().await.unwrap(), 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 2);
        let like = "SELECT COUNT(*) FROM audit_links WHERE entries LIKE '%\"card.expired\",\"actor\":\"origin\",\"count\":5%'";
        assert_eq!(world.number(like).await, 1);
    }

    async fn a_sweep_is_done_in_batches(world: World) {
        let (world, client) = ready(world).await;
        client.store_with(&world, &card(PAN), Some(1)).await;
        let second = second_process(&world).await;
        for from in [0, 400, 800] {
            second.store_all((from..from + 400).map(number).collect(), Some(world.clock.now_db() + 1_000)).await;
        }
        world.clock.advance_ms(1_000);
        assert_eq!(world.app.cards.sweep().await.unwrap(), 1201);
        assert_eq!(world.number("SELECT COUNT(*) FROM audit_links WHERE entries LIKE '%\"count\":500%'").await, 2);
    }

    async fn a_paid_card_is_kept_as_long_as_configured(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        const DAY_MS: u64 = 86_400_000;
        let until = async || u64::try_from(world.number("SELECT expires_at_ms FROM cards").await).unwrap();
        let first = code(&world, &auth, "one", "10.00").await;
        assert_eq!(pay(&world, &first, PAN, 1000).await.json()["state"], "paid");
        assert_eq!(until().await, world.clock.now_ms() + 90 * DAY_MS);
        world.clock.advance_ms(DAY_MS);
        let second = code(&world, &auth, "two", "10.00").await;
        assert_eq!(pay(&world, &second, PAN, 1000).await.json()["state"], "paid");
        assert_eq!(until().await, world.clock.now_ms() + 90 * DAY_MS);
        world.clock.advance_ms(90 * DAY_MS);
        assert_eq!(world.app.cards.sweep().await.unwrap(), 1);
        // The transaction outlives its card.
        assert_eq!(world.number("SELECT COUNT(*) FROM transactions WHERE card_last_four = '1111'").await, 2);
    }

    async fn many_who_store_one_new_card_get_one_token(world: World) {
        let (world, client) = ready(world).await;
        let answers = all_at_once(&world, (0..64).map(|_| client.store_request(&card(PAN))).collect()).await;
        let tokens: HashSet<String> = answers.iter().map(|(token, _)| token.clone()).collect();
        assert_eq!(tokens.len(), 1);
        assert_eq!(answers.iter().filter(|(_, outcome)| outcome == "created").count(), 1);
        assert!(answers.iter().all(|(_, outcome)| outcome == "created" || outcome == "known"));
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 1);
        // In groups, not one by one: fewer links than requests.
        assert!(world.number("SELECT COUNT(*) FROM audit_links WHERE entries LIKE '%card.stored%'").await < 64);
    }

    async fn many_cards_at_once_stay_apart(world: World) {
        let (world, client) = ready(world).await;
        let other = Client::warehouse(&world).await;
        let requests = (0..120).map(|at| {
            let client = if at % 3 == 0 { &other } else { &client };
            // Some twice, with another expiry.
            let card = json!({"pan": number(at % 100), "exp": if at < 100 { "1230" } else { "0131" }});
            client.store_request(&card)
        });
        let answers = all_at_once(&world, requests.collect()).await;
        for (at, (token, _)) in (0_u32..).zip(&answers) {
            let client = if at % 3 == 0 { &other } else { &client };
            assert_eq!(client.read(&world, token).await["pan"], number(at % 100).as_str());
        }
        assert_eq!(i64::try_from(answers.iter().map(|(token, _)| token).collect::<HashSet<_>>().len()).unwrap(),
            world.number("SELECT COUNT(*) FROM cards").await);
    }

    async fn processes_that_store_the_same_cards_agree(world: World) {
        let (world, client) = ready(world).await;
        let second = second_process(&world).await;
        for round in 0..8 {
            let sealed: Vec<Forward> = (0..16).map(|at| client.store_request(&card(&number(round * 16 + at)))).collect();
            let here = all_at_once(&world, sealed);
            let there = second.store_all((0..16).rev().map(|at| number(round * 16 + at)).collect(), None);
            let (here, mut there) = tokio::join!(here, there);
            there.reverse();
            assert_eq!(here.into_iter().map(|(token, _)| token).collect::<Vec<_>>(), there);
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM cards").await, 128);
    }

    async fn a_row_that_was_moved_or_changed_is_an_error_and_no_card(world: World) {
        let (world, client) = ready(world).await;
        let other = Client::warehouse(&world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        let (good, _) = client.store(&world, &card(&number(1))).await;
        world.execute("UPDATE cards SET account = 'warehouse' WHERE bin = '411111' AND last_four = '1111'").await;
        world.send(other.read_request(&token, "x")).await.assert_problem(500, "internal");
        world.send(client.read_request(&token, "x")).await.assert_problem(404, "not-found");
        world.execute("UPDATE cards SET account = 'billing', row_version = 7 WHERE last_four = '1111'").await;
        world.send(client.read_request(&token, "x")).await.assert_problem(500, "internal");
        world.execute("UPDATE cards SET row_version = 1, pan = expiry WHERE last_four = '1111'").await;
        let answers = [client.read_request(&token, "x"), client.store_request(&card(PAN))];
        for answer in answers {
            world.send(answer).await.assert_problem(500, "internal");
        }
        // A fingerprint that was moved leads to no other card.
        world.execute("DELETE FROM cards WHERE last_four = '1111'").await;
        let (another, _) = other.store(&world, &card(&number(2))).await;
        for account in ["warehouse", "billing"] {
            let to = if account == "billing" { &good } else { &another };
            let print = world.app.vault.unsealed().unwrap().fingerprints("billing", &Pan::parse(PAN).unwrap()).next().unwrap().1;
            sqlx::query("UPDATE cards SET fingerprint = $1 WHERE token = $2").bind(print.to_vec()).bind(to.as_str())
                .execute(world.app.db.write()).await.unwrap();
            world.send(client.store_request(&card(PAN))).await.assert_problem(500, "internal");
            sqlx::query("UPDATE cards SET fingerprint = $1 WHERE token = $2").bind(account.as_bytes().to_vec()).bind(to.as_str())
                .execute(world.app.db.write()).await.unwrap();
        }
        // One that does not open fails alone, in one group with others.
        let (token, _) = client.store(&world, &card(PAN)).await;
        world.execute("UPDATE cards SET row_version = 7 WHERE last_four = '1111'").await;
        let (bad, fine) = tokio::join!(world.send(client.read_request(&token, "x")), world.send(client.read_request(&good, "x")));
        assert_eq!((bad.status.as_u16(), fine.status.as_u16()), (500, 200));
    }

    async fn a_card_from_before_a_rotation_is_found_and_renewed(world: World) {
        let (world, client) = ready(world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        let (later, _) = client.store(&world, &card(&number(1))).await;
        rotate_fingerprint_key(&world).await;
        let keys = "SELECT COUNT(*) FROM cards WHERE fingerprint_key = 2";
        assert_eq!(client.store(&world, &card(PAN)).await, (token.clone(), "known".to_owned()));
        assert_eq!(world.number(keys).await, 1);
        assert_eq!(client.store(&world, &card(PAN)).await, (token.clone(), "known".to_owned()));
        let changed = json!({"pan": number(1), "exp": "0131"});
        assert_eq!(client.store(&world, &changed).await, (later, "updated".to_owned()));
        assert_eq!(world.number(keys).await, 2);
        assert_eq!(client.read(&world, &token).await["pan"], PAN);
    }

    async fn inside_the_origin_a_card_is_opened_for_a_purpose(world: World) {
        let (world, client) = ready(world).await;
        let (token, _) = client.store(&world, &card(PAN)).await;
        let opened = world.app.cards.detokenize("billing", &token, "authorise sv-1").await.unwrap();
        assert_eq!((opened.pan.expose(), opened.expiry.year()), (PAN, 2030));
        let like = "SELECT COUNT(*) FROM audit_links WHERE entries LIKE '%card.read%authorise sv-1%'";
        assert_eq!(world.number(like).await, 1);
        let refused = world.app.cards.detokenize("warehouse", &token, "x").await;
        assert!(matches!(refused, Err(CardsError::NotFound)), "{refused:?}");
        world.admin("POST", "/vault/seal", &serde_json::Value::Null).await;
        let refused = world.app.cards.detokenize("billing", &token, "x").await;
        assert!(matches!(refused, Err(CardsError::Sealed)), "{refused:?}");
    }
}

async fn token_of(world: &World) -> String {
    sqlx::query("SELECT token FROM cards").fetch_one(world.app.db.read()).await.unwrap().get(0)
}

/// Sends all requests at the same time; answers tokens and outcomes in their order.
async fn all_at_once(world: &World, requests: Vec<Forward>) -> Vec<(String, String)> {
    let calls: Vec<_> = requests
        .iter()
        .map(|request| {
            let (app, request) = (Arc::clone(&world.app), world.signed(request));
            tokio::spawn(async move { Answer::of(answer_public(app, request).await).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
        answers.push((text("token"), text("outcome")));
    }
    answers
}

/// Another process's cards over the same database: workers and an audit chain of its own.
struct Second {
    cards: Arc<Cards>,
    _running: mpsc::Receiver<()>,
}

async fn second_process(world: &World) -> Second {
    let (clock, sealer): (Arc<dyn Clock>, Arc<dyn Sealer>) =
        (Arc::<ManualClock>::clone(&world.clock), Arc::<Vault>::clone(&world.app.vault));
    let db = world.app.db.clone();
    let audit = Audit::open(db.clone(), Arc::clone(&clock), sealer, "second", &mut SystemEntropy::new()).await.unwrap();
    let (running, _running) = mpsc::channel(1);
    let cards = Cards::start(db, Arc::clone(&world.app.vault), Arc::new(audit), clock, &running);
    Second { cards: Arc::new(cards), _running }
}

impl Second {
    async fn store_all(&self, numbers: Vec<String>, until_ms: Option<i64>) -> Vec<String> {
        let calls: Vec<_> = numbers
            .into_iter()
            .map(|number| {
                let cards = Arc::clone(&self.cards);
                let card = VaultCard {
                    pan: Pan::parse(&number).unwrap(),
                    expiry: CardExpiry::parse("1230").unwrap(),
                    name: CardholderName::parse("A Shopper").unwrap(),
                };
                tokio::spawn(async move { cards.store("billing".to_owned(), card, until_ms).await })
            })
            .collect();
        let mut tokens = Vec::new();
        for call in calls {
            tokens.push(call.await.unwrap().unwrap().token);
        }
        tokens
    }
}

/// A new fingerprint key, as the ceremony makes it; the old one retires.
async fn rotate_fingerprint_key(world: &World) {
    let unsealed = world.app.vault.unsealed().unwrap();
    let rotation = unsealed.rotate(KeyKind::Fingerprint, world.clock.now_ms(), &mut SystemEntropy::new()).unwrap();
    let (retired, mut record) = (rotation.retired.unwrap(), unsealed.record().clone());
    record.keys.retain(|key| (key.kind, key.id) != (retired.kind, retired.id));
    record.keys.extend([retired, rotation.added]);
    world.app.vault.reload(record).unwrap();
    world.execute("INSERT INTO vault_fingerprint_keys (id) VALUES (2)").await;
}
