//! Whoever tries many cards, one card often, or codes, waits; and whoever pays does not notice.

use std::sync::Arc;

use scanvault_origin::payments::Payments;
use scanvault_origin::payments::limits::{DECLINES_PER_CODE, Limits};
use scanvault_origin::payments::pay::{PayOutcome, Post};
use scanvault_origin::payments::threeds::After;
use scanvault_protocol::Problem;
use serde_json::json;

use crate::bank::{Play, REPEATS, at_a_bank};
use crate::card::{Page, code};
use crate::on_both;
use crate::threeds::merchant;
use crate::world::{Forward, World};

on_both! {
    async fn guessing_codes_is_slowed_and_nobody_else_notices(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let known = code(&world, &auth, "known", "10.00").await;
        let (mut unknown, mut refused) = (0, 0);
        for guess in 0..60 {
            let answer = world.send(Forward::get(format!("/Q/{guess:010}")).from("198.51.100.9")).await;
            match answer.status.as_u16() {
                404 => unknown += 1,
                429 => {
                    refused += 1;
                    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!((unknown, refused), (30, 30));
        // Also what exists is not told to whoever guesses, or guessing would go on.
        let path = format!("/Q/{known}");
        assert_eq!(world.send(Forward::get(path.clone()).from("198.51.100.9")).await.status, 429);
        assert_eq!(world.send(Forward::get(path.clone())).await.status, 200);
        world.clock.advance_ms(30 * 10_000);
        assert_eq!(world.send(Forward::get(path).from("198.51.100.9")).await.status, 200);
    }

    async fn one_card_is_not_tried_for_ever(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let payments = Payments { limits: Arc::new(Limits::new(true)), ..Payments::clone(&payments) };
        let payments = Arc::new(payments);
        bank.will(&[Play::No; 16]);
        let mut seen = Vec::new();
        for at in 0..18_u32 {
            // Codes and addresses are many; the card is one.
            let code = code(&world, &auth, &format!("card-{at}"), "10.00").await;
            let page = Page::load(&world, &code).await;
            let sealed = page.seal(&page.card("4111111111111111", 1000));
            let paid = payments.pay(&code.parse().unwrap(), Post::of(&sealed), &format!("203.0.113.{at}")).await;
            seen.push(paid.map(|_| ()).map_err(|error| error.problem()));
        }
        assert_eq!(seen.iter().filter(|one| one.is_ok()).count(), 16, "{seen:?}");
        assert!(seen[16..].iter().all(|one| *one == Err(Problem::TooManyRequests)), "{seen:?}");
        // Another card is not refused for it.
        let code = code(&world, &auth, "other", "10.00").await;
        let page = Page::load(&world, &code).await;
        let sealed = page.seal(&page.card("4000000000000002", 1000));
        assert!(payments.pay(&code.parse().unwrap(), Post::of(&sealed), "203.0.113.99").await.is_ok());
    }

    /// A card that is good enough for a challenge was tried, too: leaving the challenge is no way to have that for nothing.
    async fn who_leaves_every_challenge_is_counted(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payments = Payments { limits: Arc::new(Limits::new(true)), ..Payments::clone(&world.app.payments) };
        let payments = Arc::new(payments);
        let mut challenges = 0;
        for at in 0..18_u32 {
            let code = code(&world, &auth, &format!("left-{at}"), "10.00").await;
            let page = Page::load(&world, &code).await;
            let sealed = page.seal(&page.card("4200000000002172", 1000));
            let (code, address) = (code.parse().unwrap(), format!("203.0.113.{at}"));
            let asked = match payments.pay(&code, Post::of(&sealed), &address).await {
                Ok(PayOutcome::Challenge { url, creq, .. }) => json!({"url": url, "creq": creq}),
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    assert_eq!(error.problem(), Problem::TooManyRequests);
                    continue;
                }
            };
            challenges += 1;
            world.bank.challenge(&asked, "cancel").await.unwrap();
            let back = Post { after: Some(After::Challenge), ..Post::of(&sealed) };
            let left = payments.pay(&code, back, &address).await.unwrap();
            assert!(matches!(left, PayOutcome::Cancelled { .. }), "{left:?}");
        }
        assert_eq!(challenges, 16);
    }

    async fn one_code_is_not_tried_for_ever(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        let (payments, bank) = at_a_bank(&world, REPEATS).await;
        let payments = Arc::new(Payments { limits: Arc::new(Limits::new(true)), ..Payments::clone(&payments) });
        let code = code(&world, &auth, "code", "10.00").await;
        bank.will(&[Play::No; 12]);
        for at in 0..=DECLINES_PER_CODE {
            let page = Page::load(&world, &code).await;
            let pan = format!("41111111111{:05}", 11_111 + at);
            let sealed = page.seal(&page.card(&pan, 1000));
            let paid = payments.pay(&code.parse().unwrap(), Post::of(&sealed), &format!("203.0.113.{at}")).await;
            let expected = if at < DECLINES_PER_CODE { None } else { Some(Problem::TooManyRequests) };
            assert_eq!(paid.err().map(|error| error.problem()), expected, "{at}");
        }
        world.clock.advance_ms(31 * 60_000);
        assert_eq!(payments.payable(&code.parse().unwrap()).await.unwrap_err().problem(), Problem::CodeExpired);
    }
}
