//! 3-D Secure on the pay page: the documented test cards, and what may go wrong on the payer's side. The bank is the
//! simulator, over a real socket, with a clock of its own.
//!
//! The last four digits of a card are its script: version, method page, answer, ending. Cards of the prefix 420000 are
//! refused at 404.16 by the simulated issuer unless an authentication comes with them.

use scanvault_origin::vault::Pan;
use scanvault_sandbox::common::book::Kind;
use serde_json::{Value, json};

use crate::acs::{Bank, Form, made_up};
use crate::card::{Page, code};
use crate::on_both;
use crate::world::{Answer, Forward, World};

/// With this amount the gateway takes a card of the prefix 420000 only with an authentication.
const PROVEN: u64 = 40416;

/// A payer in front of a page of a merchant with this rule.
pub(crate) struct Payer {
    page: Page,
    card: Value,
}

impl Payer {
    pub(crate) async fn of(world: &World, auth: &str, script: &str) -> Self {
        // A test gateway takes no number that could be a real card's.
        let numbers = (0..10).map(|digit| format!("42000000000{digit}{script}"));
        let pan = numbers.into_iter().find(|pan| !Pan::parse(pan).unwrap().luhn_valid()).unwrap();
        Self::with(world, auth, &pan, PROVEN).await
    }

    pub(crate) async fn with(world: &World, auth: &str, pan: &str, amount: u64) -> Self {
        let reference = format!("order-{pan}-{}", world.number("SELECT COUNT(*) FROM codes").await);
        let text = format!("{}.{:02}", amount / 100, amount % 100);
        let page = Page::load(world, &code(world, auth, &reference, &text).await).await;
        let card = page.card(pan, amount);
        Self { page, card }
    }

    fn forward(&self, after: Option<&str>) -> Forward {
        let mut body = json!({"sealed": self.page.seal(&self.card), "browser": {"language": "da-DK", "colorDepth": 30,
            "screenHeight": 900, "screenWidth": 1440, "timeZoneMinutes": -60, "javaEnabled": false,
            "userAgent": "Mozilla/5.0", "accept": "*/*", "windowSize": "03"}});
        if let Some(after) = after {
            body["after"] = json!(after);
        }
        Forward::post(format!("/pluto/public/pay/{}", self.page.code), &body)
    }

    pub(crate) async fn post(&self, world: &World, after: Option<&str>) -> Answer {
        world.send(self.forward(after)).await
    }

    /// The answer of a post that is understood.
    pub(crate) async fn pay(&self, world: &World, after: Option<&str>) -> Value {
        let answer = self.post(world, after).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

/// A merchant with the bank's server, under a rule.
pub(crate) async fn merchant(world: &mut World, rule: &str) -> String {
    let auth = world.ready().await;
    let body = json!({"party": "3dsecure", "credentials": Bank::credentials()});
    let kept = world.admin("POST", "/accounts/merchant-25/credentials", &body).await;
    assert_eq!(kept.status, 200, "{}", kept.text());
    set_rule(world, rule).await;
    auth
}

async fn set_rule(world: &World, rule: &str) {
    if rule != "off" {
        let set = world.admin("POST", "/accounts/merchant-25/set", &json!({"threeDSecure": rule})).await;
        assert_eq!(set.status, 200, "{}", set.text());
    }
}

#[track_caller]
pub(crate) fn assert_paid(answer: &Value) {
    assert_eq!((answer["state"].as_str(), answer.as_object().unwrap().len()), (Some("paid"), 2), "{answer}");
}

#[track_caller]
pub(crate) fn assert_declined(answer: &Value, reason: &str) {
    let (id, message) = (&answer["transactionId"], &answer["message"]);
    assert!(id.is_i64() && message.is_string(), "{answer}");
    assert_eq!(answer, &json!({"state": "declined", "transactionId": id, "reason": reason, "message": message}));
}

/// What the gateway was asked to hold, with the amounts that it took.
pub(crate) fn authorised(world: &World) -> usize {
    world.booked().iter().filter(|entry| entry.kind == Kind::Authorization).count()
}

/// Nothing is left of an authentication once its payment is over.
pub(crate) async fn assert_forgotten(world: &World) {
    assert_eq!(world.number("SELECT COUNT(*) FROM authentications").await, 0);
}

/// Sends the browser back to us with what a page of the bank has in its form.
async fn come_back(world: &World, form: &Form, to: &str, id: &Value) -> Answer {
    assert_eq!(form.action, format!("https://pay.example/pluto/public/3ds/{to}/{id}"));
    world.send(Forward::post_form(format!("/pluto/public/3ds/{to}/{id}"), form.body())).await
}

#[track_caller]
fn assert_tells_the_page(answer: &Answer, back: &str) {
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let expected = format!(
        "<!doctype html>\n<html lang=\"en\" data-back=\"{back}\"><head><meta charset=\"utf-8\"><title>Back to the \
         payment</title><script src=\"/pluto/public/assets/back.js\" defer></script></head><body><p>Your bank has \
         answered. The payment goes on in a moment.</p></body></html>\n"
    );
    assert_eq!(answer.text(), expected);
    let policy = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
    assert_eq!((answer.header("content-security-policy"), answer.header("x-frame-options")), (policy, "SAMEORIGIN"));
}

async fn method_page(world: &World, asked: &Value) -> Result<Form, String> {
    let (url, data) = (asked["url"].as_str().unwrap(), asked["data"].as_str().unwrap());
    assert!(!data.contains('='), "unpadded");
    world.bank.post(url, &[("threeDSMethodData", data)]).await
}

/// The first post of a card whose bank wants to see the cardholder.
async fn challenged(world: &World, payer: &Payer) -> Value {
    let asked = payer.pay(world, None).await;
    let (id, url, creq) = (&asked["transactionId"], &asked["url"], &asked["creq"]);
    assert!(id.is_i64() && url.is_string(), "{asked}");
    assert!(creq.as_str().is_some_and(|creq| !creq.contains('=')), "{asked}");
    assert_eq!(asked, json!({"state": "challenge", "transactionId": id, "url": url, "creq": creq}));
    asked
}

on_both! {
    async fn a_card_that_needs_nobody_is_asked_for_and_paid_at_once(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        for (script, status) in [("2103", "y"), ("2123", "a"), ("2143", "i"), ("1103", "y"), ("0103", "y")] {
            let payer = Payer::of(&world, &auth, script).await;
            assert_paid(&payer.pay(&world, None).await);
            assert_eq!(world.bank.done().last().unwrap(), &format!("auth {status}"), "{script}");
        }
        assert_eq!(authorised(&world), 5, "the issuer takes none of these cards without");
        assert_forgotten(&world).await;
        let asked: Vec<_> = world.bank.book.entries().into_iter().filter(|entry| entry.kind == Kind::Auth).collect();
        assert!(asked.iter().all(|entry| (entry.amount, entry.currency.as_str()) == (Some(PROVEN), "710")), "{asked:?}");
    }

    async fn a_banks_no_is_a_no_under_every_rule(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "on").await;
        for (rule, scripts) in [("on", ["2113", "2133"]), ("required", ["1113", "1133"])] {
            set_rule(&world, rule).await;
            // N says "card authentication failed", R "suspected fraud": that is told to nobody.
            for (script, reason) in scripts.into_iter().zip(["three_d_secure", "bank"]) {
                let payer = Payer::of(&world, &auth, script).await;
                assert_declined(&payer.pay(&world, None).await, reason);
                // The same post again is told the same, and nobody is asked.
                let asked = world.bank.done().len();
                assert_declined(&payer.pay(&world, None).await, reason);
                assert_eq!(world.bank.done().len(), asked);
            }
        }
        assert!(world.booked().is_empty());
        assert_forgotten(&world).await;
        let free = "SELECT COUNT(*) FROM codes WHERE state = 'Available'";
        assert_eq!(world.number(free).await, 4, "the codes may be paid in another way");
    }

    async fn a_card_without_3d_secure_is_taken_where_the_rule_says_so(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "on").await;
        // Not enrolled, could not be performed, directory not reached (twice), a version that is not spoken here.
        let cards = ["4111111111111111", "4000000000002153", "4000000000002163", "4000000000003103"];
        for pan in cards {
            assert_paid(&Payer::with(&world, &auth, pan, 1000).await.pay(&world, None).await);
        }
        assert_eq!(authorised(&world), 4);
        set_rule(&world, "required").await;
        for pan in cards {
            assert_declined(&Payer::with(&world, &auth, pan, 1000).await.pay(&world, None).await, "three_d_secure");
        }
        assert_eq!(authorised(&world), 4);
        let unreached = world.bank.done().iter().filter(|done| *done == "auth").count();
        assert_eq!(unreached, 4, "each once more, with a new id");
        assert_forgotten(&world).await;
    }

    async fn the_method_page_is_waited_for(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2003").await;
        let asked = payer.pay(&world, None).await;
        let id = asked["transactionId"].clone();
        assert_eq!(asked, json!({"state": "method", "transactionId": id, "url": asked["url"], "data": asked["data"]}));
        assert_eq!(payer.pay(&world, None).await, asked, "a lost answer is given again");
        let form = method_page(&world, &asked).await.unwrap();
        assert_tells_the_page(&come_back(&world, &form, "method", &id).await, "method");
        assert_eq!(world.number("SELECT method_done FROM authentications").await, 1);
        assert_paid(&payer.pay(&world, Some("method")).await);
        assert_tells_the_page(&come_back(&world, &form, "method", &id).await, "method");
        assert_paid(&payer.pay(&world, Some("method")).await);
        assert_eq!((authorised(&world), world.bank.done().len()), (1, 2), "late and twice changes nothing");
        assert_forgotten(&world).await;
    }

    async fn a_method_page_that_never_answers_stops_nobody(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        // The simulator takes a request for this card only when it says that the page has not answered.
        let payer = Payer::with(&world, &auth, "4000000000002203", 1000).await;
        let asked = payer.pay(&world, None).await;
        assert!(method_page(&world, &asked).await.is_err());
        assert_paid(&payer.pay(&world, Some("method")).await);
        assert_eq!(world.bank.done(), ["preauth", "auth y"]);
    }

    async fn who_dawdles_gets_a_new_id(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2003").await;
        assert_eq!(payer.pay(&world, None).await["state"], "method");
        world.pass_secs(81);
        assert_paid(&payer.pay(&world, Some("method")).await);
        assert_eq!(world.bank.done(), ["preauth", "preauth", "auth y"]);
    }

    async fn a_challenge_that_is_passed_pays_and_one_that_is_not_does_not(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        for (script, button, reason) in [
            ("2170", "", None),
            ("2171", "", Some("three_d_secure")),
            ("2172", "approve", None),
            ("1172", "decline", Some("three_d_secure")),
            ("0172", "cancel", Some("cancelled")),
        ] {
            let payer = Payer::of(&world, &auth, script).await;
            let asked = challenged(&world, &payer).await;
            let before = authorised(&world);
            let form = world.bank.challenge(&asked, button).await.unwrap();
            let back = come_back(&world, &form, "challenge", &asked["transactionId"]).await;
            assert_tells_the_page(&back, "challenge");
            let answer = payer.pay(&world, Some("challenge")).await;
            match reason {
                None => assert_paid(&answer),
                Some(reason) => assert_declined(&answer, reason),
            }
            assert_eq!(payer.pay(&world, Some("challenge")).await, answer, "{script}: told again");
            assert_eq!(authorised(&world) - before, usize::from(reason.is_none()), "{script}");
        }
        assert_forgotten(&world).await;
        let ends = "SELECT COUNT(*) FROM transactions WHERE state = 'cancelled'";
        assert_eq!(world.number(ends).await, 1);
    }

    async fn what_a_browser_brings_back_proves_nothing(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "on").await;
        let payer = Payer::of(&world, &auth, "2172").await;
        let asked = challenged(&world, &payer).await;
        let id = &asked["transactionId"];
        let forged = made_up("218565e2-0cae-4236-868e-09168275c8c6");
        let back = world.send(Forward::post_form(format!("/pluto/public/3ds/challenge/{id}"), forged)).await;
        assert_tells_the_page(&back, "challenge");
        // Nobody has answered the bank, and the rule "on" is no way around it either.
        assert_declined(&payer.pay(&world, Some("challenge")).await, "three_d_secure");
        assert!(world.booked().is_empty());
        // The bank's own page goes on, into the void: the payment is over.
        world.bank.challenge(&asked, "approve").await.unwrap();
        assert_declined(&payer.pay(&world, Some("challenge")).await, "three_d_secure");
        assert!(world.booked().is_empty());
    }

    async fn two_tabs_pay_once(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2170").await;
        let asked = challenged(&world, &payer).await;
        assert_eq!(payer.pay(&world, None).await, asked, "a reload is given the same challenge");
        assert_eq!(payer.pay(&world, Some("method")).await, asked);
        world.bank.challenge(&asked, "").await.unwrap();
        let posts: Vec<_> = (0..8).map(|_| payer.post(&world, Some("challenge"))).collect();
        let mut paid = 0;
        for answer in futures(posts).await {
            match answer.status.as_u16() {
                200 => {
                    assert_paid(&answer.json());
                    paid += 1;
                }
                _ => answer.assert_problem(409, "code-busy"),
            }
        }
        assert!(paid >= 1);
        assert_paid(&payer.pay(&world, Some("challenge")).await);
        assert_eq!((authorised(&world), world.booked().len()), (1, 2));
    }

    async fn the_first_post_twice_at_once_asks_the_bank_once(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2103").await;
        let posts: Vec<_> = (0..8).map(|_| payer.post(&world, None)).collect();
        for answer in futures(posts).await {
            if answer.status == 200 { assert_paid(&answer.json()) } else { answer.assert_problem(409, "code-busy") }
        }
        assert_paid(&payer.pay(&world, None).await);
        assert_eq!(world.bank.done().iter().filter(|done| *done == "auth y").count(), 1);
        assert_eq!((authorised(&world), world.booked().len()), (1, 2));
    }

    async fn every_post_must_be_of_the_same_payment(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let mut payer = Payer::of(&world, &auth, "2170").await;
        let asked = challenged(&world, &payer).await;
        world.bank.challenge(&asked, "").await.unwrap();
        let honest = payer.card.clone();
        let another = "This is not the card that the payment began with";
        let changed = "What is to be paid has changed. Please reload the page";
        for (field, value, detail) in [
            ("pan", json!("4200000000002103"), another),
            ("exp", json!("0131"), another),
            ("amount", json!(1), changed),
            ("currency", json!("DKK"), changed),
            ("code", json!("0000000000"), changed),
        ] {
            payer.card[field] = value;
            let answer = payer.post(&world, Some("challenge")).await;
            answer.assert_problem(400, "bad-request");
            assert_eq!(answer.json()["detail"], detail, "{field}");
            payer.card = honest.clone();
        }
        // Another page's attempt cannot go on with this payment.
        let other = Payer::of(&world, &auth, "2170").await;
        payer.card["attempt"] = other.card["attempt"].clone();
        payer.post(&world, Some("challenge")).await.assert_problem(409, "code-busy");
        payer.card = honest;
        assert!(world.booked().is_empty());
        assert_paid(&payer.pay(&world, Some("challenge")).await);
    }

    async fn deadlines_of_a_challenge(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        // Not begun within 30 seconds: the bank says so itself.
        let payer = Payer::of(&world, &auth, "2172").await;
        let asked = challenged(&world, &payer).await;
        world.pass_secs(31);
        assert!(world.bank.challenge(&asked, "approve").await.is_err());
        assert_declined(&payer.pay(&world, Some("challenge")).await, "three_d_secure");
        // A payer who takes their time, within what the bank allows, is waited for.
        let payer = Payer::of(&world, &auth, "1172").await;
        let asked = challenged(&world, &payer).await;
        world.bank.challenge(&asked, "approve").await.unwrap();
        world.pass_secs(299);
        assert_paid(&payer.pay(&world, Some("challenge")).await);
        // The result is kept for 300 seconds.
        let payer = Payer::of(&world, &auth, "0172").await;
        let asked = challenged(&world, &payer).await;
        world.bank.challenge(&asked, "approve").await.unwrap();
        world.pass_secs(301);
        assert_declined(&payer.pay(&world, Some("challenge")).await, "three_d_secure");
        assert_eq!(authorised(&world), 1);
        assert_forgotten(&world).await;
    }

    async fn a_payer_who_never_comes_back_frees_the_code(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2172").await;
        let asked = challenged(&world, &payer).await;
        world.pass_secs(10 * 60);
        assert_eq!(world.app.payments.resolve().await.unwrap(), 0, "a challenge may take so long");
        world.pass_secs(2 * 60);
        assert_eq!(world.app.payments.resolve().await.unwrap(), 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM codes WHERE state = 'Available'").await, 1);
        assert_forgotten(&world).await;
        let late = payer.pay(&world, Some("challenge")).await;
        assert_declined(&late, "cancelled");
        assert_eq!(late["transactionId"], asked["transactionId"]);
        assert!(world.booked().is_empty());
    }

    async fn an_issuer_that_wants_it_is_asked_again_with_it_once(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "off").await;
        let payer = Payer::of(&world, &auth, "2103").await;
        assert_paid(&payer.pay(&world, None).await);
        assert_eq!(world.bank.done(), ["preauth", "auth y"]);
        let acts = world.number("SELECT COUNT(*) FROM acts WHERE kind = 'authorise' AND state = 'refused' AND decline = 'step_up'").await;
        assert_eq!((acts, authorised(&world)), (1, 1));
        // With a challenge: the page seals the card anew.
        let payer = Payer::of(&world, &auth, "2170").await;
        let asked = challenged(&world, &payer).await;
        world.bank.challenge(&asked, "").await.unwrap();
        assert_paid(&payer.pay(&world, Some("challenge")).await);
        // A card that cannot give the proof is declined, whatever the merchant's rule.
        let payer = Payer::of(&world, &auth, "2153").await;
        assert_declined(&payer.pay(&world, None).await, "three_d_secure");
        assert_eq!(authorised(&world), 2);
        assert_forgotten(&world).await;
    }

    async fn a_payment_that_no_acquirer_takes_any_more_does_not_keep_its_code(world: World) {
        let mut world = world;
        let auth = merchant(&mut world, "required").await;
        let payer = Payer::of(&world, &auth, "2170").await;
        let asked = challenged(&world, &payer).await;
        world.bank.challenge(&asked, "").await.unwrap();
        // While the payer was with their bank, the merchant's contract ended.
        world.execute("DELETE FROM acquirer_credentials WHERE acquirer = 'clearhaus'").await;
        assert_declined(&payer.pay(&world, Some("challenge")).await, "later");
        assert_declined(&payer.pay(&world, Some("challenge")).await, "later");
        assert_eq!(world.number("SELECT COUNT(*) FROM codes WHERE state = 'Available'").await, 1);
        assert!(world.booked().is_empty());
        assert_forgotten(&world).await;
    }

    async fn a_merchant_without_the_banks_server(world: World) {
        let mut world = world;
        let auth = world.ready().await;
        set_rule(&world, "on").await;
        assert_paid(&Payer::with(&world, &auth, "4111111111111111", 1000).await.pay(&world, None).await);
        let payer = Payer::of(&world, &auth, "2103").await;
        assert_declined(&payer.pay(&world, None).await, "three_d_secure");
        set_rule(&world, "required").await;
        let answer = Payer::with(&world, &auth, "4111111111111111", 1000).await.post(&world, None).await;
        answer.assert_problem(409, "conflict");
        assert_eq!(answer.json()["detail"], "This merchant cannot take cards yet");
        assert_eq!((authorised(&world), world.bank.done().len()), (1, 0));
    }

    async fn what_is_posted_to_the_banks_addresses(world: World) {
        let world = world;
        for (back, path) in [("method", "/pluto/public/3ds/method/"), ("challenge", "/pluto/public/3ds/challenge/")] {
            for body in ["", "cres=%%%", "threeDSMethodData=e30", "threeDSMethodData=!&cres=e30%3D", "\u{0}=&&=="] {
                let answer = world.send(Forward::post_form(format!("{path}7"), body)).await;
                assert_tells_the_page(&answer, back);
            }
            for id in ["0x7", "-1", "a", "9999999999999999999", "%37"] {
                let answer = world.send(Forward::post_form(format!("{path}{id}"), "a=b")).await;
                assert!(matches!(answer.status.as_u16(), 400 | 404), "{id}: {}", answer.status);
                assert_eq!(answer.header("x-frame-options"), "DENY");
            }
            let json = world.send(Forward::post(format!("{path}7"), &json!({}))).await;
            json.assert_problem(415, "unsupported-media-type");
            assert_eq!(json.json()["detail"], "The body must be application/x-www-form-urlencoded");
            world.send(Forward::get(format!("{path}7"))).await.assert_problem(405, "method-not-allowed");
        }
        let script = world.send(Forward::get("/pluto/public/assets/back.js")).await;
        assert_eq!((script.status.as_u16(), script.header("content-type")), (200, "text/javascript; charset=utf-8"));
        let form = Forward::post_form("/pluto/public/pay/0123456789", "sealed=a");
        world.send(form).await.assert_problem(415, "unsupported-media-type");
    }
}

/// All of them at once, each answer in its place.
async fn futures<F: Future<Output = Answer>>(posts: Vec<F>) -> Vec<Answer> {
    let mut posts: Vec<_> = posts.into_iter().map(|post| (Some(Box::pin(post)), None)).collect();
    std::future::poll_fn(|context| {
        for (post, answer) in &mut posts {
            if let Some(pending) = post
                && let std::task::Poll::Ready(ready) = pending.as_mut().poll(context)
            {
                (*post, *answer) = (None, Some(ready));
            }
        }
        if posts.iter().all(|(post, _)| post.is_none()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    posts.into_iter().map(|(_, answer)| answer.unwrap()).collect()
}
