//! While the vault is sealed what needs no key works, and what does is refused whole.

use serde_json::{Value, json};

use crate::card::{Page, code};
use crate::on_both;
use crate::world::{Forward, World};

on_both! {
    async fn sealed_means_no_key_and_no_half_done_work(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let first = code(&world, &auth, "before", "3.00").await;
        let page = Page::load(&world, &first).await;
        let pay = page.pay_with(&page.card("4111111111111111", 300));
        world.admin("POST", "/vault/seal", &json!({})).await;

        let answer = world.send(pay.clone()).await;
        answer.assert_problem(503, "sealed");
        assert_eq!(answer.header("retry-after"), "30");
        let shown = world.send(Forward::get(format!("/Q/{first}"))).await;
        assert_eq!((shown.status.as_u16(), shown.header("retry-after")), (503, "30"));
        assert!(shown.text().contains("data-state=\"busy\""));
        let made = code(&world, &auth, "while-sealed", "4.00").await;
        let found = world.send(Forward::get(format!("/pluto/code/{made}")).with(&auth)).await.json();
        assert_eq!(found["codeState"], "Available");
        let account = json!({"name": "merchant-27", "webhookUrl": "http://127.0.0.1:9/"});
        world.admin("POST", "/accounts", &account).await.assert_problem_loosely(503);
        assert_eq!(world.admin("POST", "/accounts", &json!({"name": "merchant-28"})).await.status, 200);
        assert_eq!(world.number("SELECT COUNT(*) FROM transactions").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM accounts WHERE name = 'merchant-27'").await, 0);

        world.unseal().await;
        assert_eq!(world.send(pay).await.json()["state"], "paid");
    }

    async fn a_wrong_share_is_refused_alone_and_by_name(world: World) {
        let mut world = world;
        world.init().await;
        let submit = |share: String| json!({"share": share});
        let other_share = { let mut other = World::sqlite().await; other.init().await; other.shares[0].clone() };
        assert_eq!(world.admin("POST", "/vault/unseal", &submit(world.shares[2].clone())).await.json()["progress"], 1);
        let last = world.shares[0].chars().last().unwrap();
        let typo = format!("{}{}", &world.shares[0][..world.shares[0].len() - 1], if last == 'a' { 'b' } else { 'a' });
        for share in [typo, other_share, world.shares[2].clone(), "svshare1-".into(), String::new()] {
            let answer = world.admin("POST", "/vault/unseal", &submit(share.clone())).await;
            assert_eq!(answer.status, 409, "{}", answer.text());
            assert!(share.is_empty() || !answer.text().contains(&share), "the answer repeats the share");
            assert_eq!(world.admin("GET", "/vault/status", &Value::Null).await.json()["progress"], 1);
        }
        let status = world.admin("POST", "/vault/unseal", &submit(world.shares[0].clone())).await.json();
        assert_eq!(status["sealed"], false);
    }

    async fn the_vault_is_made_once(world: World) {
        let mut world = world;
        world.init().await;
        let again = json!({"threshold": 2, "custodians": [
            {"name": "a", "recipient": scanvault_origin::vault::custodian::generate_identity().1.to_string()},
            {"name": "b", "recipient": scanvault_origin::vault::custodian::generate_identity().1.to_string()}]});
        assert_eq!(world.admin("POST", "/vault/init", &again).await.status, 409);
        world.unseal().await;
    }

    async fn a_vault_needs_two_people_with_keys_of_their_own(world: World) {
        let recipient = scanvault_origin::vault::custodian::generate_identity().1.to_string();
        let person = |name: &str, recipient: &str| json!({"name": name, "recipient": recipient});
        for (body, what) in [
            (json!({"threshold": 1, "custodians": [person("a", &recipient)]}), "one of one"),
            (json!({"threshold": 2, "custodians": [person("a", &recipient)]}), "two of one"),
            (json!({"threshold": 2, "custodians": [person("a", &recipient), person("b", &recipient)]}), "one key twice"),
            (json!({"threshold": 2, "custodians": [person("a", &recipient), person("a", "age1x")]}), "one name twice"),
            (json!({"threshold": 2, "custodians": [person("../a", &recipient), person("b", "age1x")]}), "a path"),
        ] {
            let status = world.admin("POST", "/vault/init", &body).await.status.as_u16();
            assert!(status == 400 || status == 409, "{what}: {status}");
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM vault").await, 0);
    }
}

impl crate::world::Answer {
    /// The admin listener's problems carry no request id of an edge.
    #[track_caller]
    fn assert_problem_loosely(&self, status: u16) {
        assert_eq!((self.status.as_u16(), self.json()["status"].as_u64()), (status, Some(u64::from(status))));
    }
}
