//! Clearhaus, against its gateway's simulator.

use std::sync::Arc;

use rsa::pkcs8::DecodePrivateKey;
use scanvault_origin::acquirers::clearhaus::Clearhaus;
use scanvault_origin::acquirers::{
    self, Authentication, AuthenticationMessage, Authorisation, Call, Decline, Instrument, Outcome, Party, Request,
    Series,
};
use scanvault_origin::money::Amount;
use scanvault_origin::vault::{CardExpiry, Pan};
use scanvault_sandbox::clearhaus::{self, Access, Gateway, Options};
use scanvault_sandbox::common::book::{Book, Kind};
use scanvault_sandbox::common::clock::Clock;
use scanvault_sandbox::common::faults::Faults;
use scanvault_sandbox::common::ids::Ids;
use scanvault_sandbox::common::secret::SecretText;
use scanvault_sandbox::common::serve;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Card, FAULTS, Told, approved, declined, dkk, http, opened, order, request, told};
use crate::world::START_MS;

const API_KEY: &str = "1e5f0f0e-6a0d-4a36-9a1e-7f4a1d7f0f11";
const SIGNING_KEY_ID: &str = "4390aec7-f76a-4c2f-8597-c87c2d06cb4f";
const SIGNING_KEY_PEM: &str = include_str!("../../../origin/vectors/test-signing-key.pem");
const PAN: &str = "4111111111111111";
/// With this one the amount is the gateway's answer.
const MAGIC_PAN: &str = "4200000000000000";

pub(super) struct Sim {
    party: Party,
    book: Arc<Book>,
    pub(super) faults: Arc<Faults>,
    task: JoinHandle<()>,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sim {
    pub(super) async fn start() -> Self {
        let key = rsa::RsaPrivateKey::from_pkcs8_pem(SIGNING_KEY_PEM).unwrap();
        let access = Access::new(&SecretText::new(API_KEY), SIGNING_KEY_ID.to_owned(), key.to_public_key());
        let (book, faults): (Arc<Book>, Arc<Faults>) = Default::default();
        let clock = Clock::manual(i64::try_from(START_MS / 1000).unwrap());
        let gateway = Gateway::new(
            access,
            Options::default(),
            clock,
            Ids::seeded([1; 32]),
            Arc::clone(&book),
            Arc::clone(&faults),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = clearhaus::router(Arc::new(gateway));
        let task = tokio::spawn(async move { match serve::serve(listener, router).await {} });
        let party = Party { acquirer: Box::new(Clearhaus), transport: http(&url) };
        Self { party, book, faults, task }
    }

    pub(super) async fn ask(&self, request: &Request<'_>) -> Outcome {
        self.ask_as(API_KEY, request).await
    }

    async fn ask_as(&self, api_key: &str, request: &Request<'_>) -> Outcome {
        let credentials =
            json!({"apiKey": api_key, "signingKeyId": SIGNING_KEY_ID, "signingKeyPem": SIGNING_KEY_PEM}).to_string();
        acquirers::ask(&self.party, &opened(&credentials), request).await
    }

    pub(super) fn booked(&self) -> Vec<(Kind, u64)> {
        self.book.entries().iter().filter(|entry| entry.booked).map(|entry| (entry.kind, entry.amount)).collect()
    }
}

/// A call of each kind, after what has to be before it.
async fn asked(sim: &Sim, card: &Card, kind: Kind) -> Outcome {
    let authorised = dkk(1000);
    let ready = async |captured: bool| {
        let state = approved(sim.ask(&request(1, authorised, card.authorise(Series::None))).await).state.unwrap();
        if captured {
            let capture = Call::Capture { state: &state, authorised, card: None };
            assert_eq!(approved(sim.ask(&request(2, authorised, capture)).await).state, None);
        }
        state
    };
    let (state, amount) = match kind {
        Kind::Capture => (ready(false).await, dkk(600)),
        Kind::Refund => (ready(true).await, dkk(400)),
        Kind::Void => (ready(false).await, authorised),
        _ => (String::new(), authorised),
    };
    let call = match kind {
        Kind::Authorization => card.authorise(Series::None),
        Kind::Capture => Call::Capture { state: &state, authorised, card: None },
        Kind::Refund => Call::Refund { state: &state, captured: authorised, card: None },
        Kind::Void => Call::Void { state: &state, card: None },
        _ => Call::Credit { pan: &card.pan, expiry: &card.expiry, holder: "A Holder" },
    };
    sim.ask(&request(3, amount, call)).await
}

#[tokio::test]
async fn every_fault_of_every_call_has_its_outcome() {
    let card = Card::new(PAN, "987");
    for (kind, amount) in [
        (Kind::Authorization, 1000),
        (Kind::Capture, 600),
        (Kind::Refund, 400),
        (Kind::Void, 1000),
        (Kind::Credit, 1000),
    ] {
        for (fault, expected, is_booked) in FAULTS {
            let sim = Sim::start().await;
            if let Some(fault) = fault {
                // A refund's capture must not draw it, so it is ordered by kind.
                sim.faults.order(order(kind, fault));
            }
            let outcome = asked(&sim, &card, kind).await;
            assert_eq!(told(&outcome), expected, "{kind:?} {fault:?}: {outcome:?}");
            let times = sim.booked().iter().filter(|entry| **entry == (kind, amount)).count();
            assert_eq!(times, usize::from(is_booked), "{kind:?} {fault:?}: {:?}", sim.booked());
            assert!(expected == Told::Unknown || is_booked, "approved means booked");
            assert_eq!(sim.faults.pending().iter().map(|order| order.times).sum::<u32>(), 0, "it was drawn");
        }
    }
}

#[tokio::test]
async fn every_status_that_the_gateway_can_answer_with() {
    let sim = Sim::start().await;
    let card = Card::new(MAGIC_PAN, "987");
    for (code, reason) in [
        (40000, Decline::Configuration),
        (40110, Decline::InvalidCard),
        (40111, Decline::UnsupportedScheme),
        (40120, Decline::InvalidCsc),
        (40130, Decline::Expired),
        (40135, Decline::Expired),
        (40140, Decline::Configuration),
        (40150, Decline::Configuration),
        (40200, Decline::Rule),
        (40300, Decline::ThreeDSecure),
        (40310, Decline::ThreeDSecure),
        (40400, Decline::Technical),
        (40410, Decline::DoNotHonour),
        (40411, Decline::Restricted),
        (40412, Decline::Restricted),
        (40413, Decline::InsufficientFunds),
        (40414, Decline::Restricted),
        (40415, Decline::AmountLimit),
        (40416, Decline::StepUp),
        (40420, Decline::MerchantBlocked),
    ] {
        let outcome = sim.ask(&request(1, dkk(code), card.authorise(Series::None))).await;
        assert_eq!(declined(&outcome), (reason, Some(code.to_string().as_str())));
    }
    assert_eq!(sim.booked(), []);
    // The gateway's own error: nobody knows, and it can be voided.
    let outcome = sim.ask(&request(1, dkk(50000), card.authorise(Series::None))).await;
    let Outcome::Unknown { state: Some(state), .. } = outcome else { panic!("{outcome:?}") };
    approved(sim.ask(&request(2, dkk(50000), Call::Void { state: &state, card: None })).await);
    assert_eq!(sim.booked(), [(Kind::Void, 50000)]);
    approved(sim.ask(&request(1, dkk(20000), card.authorise(Series::None))).await);
}

#[tokio::test]
async fn in_parts_and_back_again() {
    let (sim, card) = (Sim::start().await, Card::new(PAN, "987"));
    let authorised = dkk(1000);
    let state = approved(sim.ask(&request(1, authorised, card.authorise(Series::None))).await).state.unwrap();
    let capture = || Call::Capture { state: &state, authorised, card: None };
    let refund = || Call::Refund { state: &state, captured: authorised, card: None };
    for (act, amount, call) in [(2, 300, capture()), (3, 100, refund()), (4, 700, capture()), (5, 900, refund())] {
        approved(sim.ask(&request(act, dkk(amount), call)).await);
    }
    for (act, call) in [(6, capture()), (7, refund()), (8, Call::Void { state: &state, card: None })] {
        assert_eq!(declined(&sim.ask(&request(act, dkk(1), call)).await), (Decline::Configuration, Some("40000")));
    }
    let moved: Vec<u64> = sim.booked().into_iter().map(|(_, amount)| amount).collect();
    assert_eq!(moved, [1000, 300, 100, 700, 900]);
}

#[tokio::test]
async fn a_series_goes_on_from_each_charge() {
    let (sim, card) = (Sim::start().await, Card::new(PAN, "987"));
    let mut last = approved(sim.ask(&request(1, dkk(0), card.authorise(Series::First))).await);
    assert_eq!(last.csc_matches, Some(true));
    for charge in 0..3 {
        let series = last.series.clone().unwrap();
        assert_eq!(Some(&series), last.state.as_ref());
        last = approved(sim.ask(&request(1, dkk(100 + charge), card.authorise(Series::Next(&series)))).await);
        assert_eq!(last.csc_matches, None);
    }
    assert!(
        sim.book.entries().iter().all(|entry| entry.series.as_ref().is_some_and(|series| series.r#type == "recurring"))
    );
    let unknown = card.authorise(Series::Next("84412a34-fa29-4369-a098-0165a80e8fda"));
    assert_eq!(declined(&sim.ask(&request(1, dkk(1), unknown)).await).0, Decline::Configuration);
    // No series, no reference to go on from.
    assert_eq!(approved(sim.ask(&request(1, dkk(1), card.authorise(Series::None))).await).series, None);
}

#[tokio::test]
async fn tokens_authentications_texts_and_codes() {
    let sim = Sim::start().await;
    let card = Card::new(PAN, "123");
    let expiry = CardExpiry::parse("1230").unwrap();
    for (number, eci, is_mastercard) in [
        ("4895370012792682", Some("7"), false),
        ("4895370012792682", None, false),
        ("5226603115488031", Some("2"), true),
    ] {
        let pan = Pan::parse(number).unwrap();
        let cryptogram = "AAABBEg0VhI0VniQEjRWAAAAAAA=";
        let instrument = Instrument::NetworkToken { pan: &pan, expiry: &expiry, cryptogram, eci, is_mastercard };
        let authorisation =
            Authorisation { instrument, payer_address: None, authentication: None, series: Series::None };
        approved(sim.ask(&request(1, dkk(1000), Call::Authorise(authorisation))).await);
    }
    for (message, kind, status, expected) in [
        (AuthenticationMessage::Ares, "ARes", "Y", None),
        (AuthenticationMessage::Rreq, "RReq", "A", None),
        (AuthenticationMessage::Ares, "ARes", "N", Some("40310")),
        (AuthenticationMessage::Rreq, "ARes", "Y", Some("40300")),
    ] {
        let json = json!({"messageType": kind, "messageVersion": "2.2.0", "transStatus": status, "acsHTML": "æ+&="});
        let authentication = Authentication { message, json: json.to_string() };
        let mut call = card.authorise(Series::None);
        let Call::Authorise(authorisation) = &mut call else { panic!() };
        authorisation.authentication = Some(&authentication);
        let outcome = sim.ask(&request(1, dkk(1000), call)).await;
        match expected {
            None => drop(approved(outcome)),
            Some(code) => assert_eq!(declined(&outcome), (Decline::ThreeDSecure, Some(code))),
        }
    }
    let mut named = request(1, dkk(1000), card.authorise(Series::None));
    named.text_on_statement = Some("Corner Shop 25");
    assert_eq!(approved(sim.ask(&named).await).csc_matches, Some(false), "noted, and approved");
    // ISK has no decimals here: 1500 is 1500 króna.
    let krona = Amount::parse("1500", "ISK".parse().unwrap()).unwrap();
    approved(sim.ask(&request(1, krona, card.authorise(Series::None))).await);
    let last = sim.book.entries().pop().unwrap();
    assert_eq!((last.amount, last.currency.as_str()), (1500, "ISK"));
}

#[tokio::test]
async fn who_may_not_ask_and_what_is_not_there() {
    let (sim, card) = (Sim::start().await, Card::new(PAN, "987"));
    let refused = sim.ask_as("another-key", &request(1, dkk(1000), card.authorise(Series::None))).await;
    assert_eq!(declined(&refused), (Decline::Credentials, Some("401")));
    assert!(declined(&refused).0.is_certainly_not_booked(), "another acquirer may be tried");
    let refused = sim.ask_as("not a key:", &request(1, dkk(1000), card.authorise(Series::None))).await;
    assert!(declined(&refused).0.is_certainly_not_booked());
    let state = "84412a34-fa29-4369-a098-0165a80e8fda";
    let gone = sim.ask(&request(1, dkk(1000), Call::Void { state, card: None })).await;
    assert_eq!(declined(&gone), (Decline::Configuration, Some("404")));
    assert_eq!(sim.book.entries().len(), 0);
}
