//! Nets, against its simulator over TLS: the ticket, the repetitions, and every code.

use std::sync::Arc;

use scanvault_origin::acquirers::nets::Nets;
use scanvault_origin::acquirers::{
    self, Acquirer, Approval, Call, Decline, Outcome, Party, Request, Resolution, Series, Transport,
};
use scanvault_sandbox::common::book::{Book, Kind};
use scanvault_sandbox::common::clock::Clock;
use scanvault_sandbox::common::faults::Faults;
use scanvault_sandbox::common::ids::Ids;
use scanvault_sandbox::dev_ca::{DevCa, generate};
use scanvault_sandbox::nets::{self, Bank, Entry, Tls};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Card, FAULTS, Told, approved, declined, dkk, opened, order, request, told};
use crate::world::START_MS;

const PAN: &str = "4571123412341234";

pub(super) struct Sim {
    party: Party,
    book: Arc<Book<Entry>>,
    pub(super) faults: Arc<Faults>,
    task: JoinHandle<()>,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A CA, and what it issued for localhost.
pub(super) fn certificates(seed: u8) -> DevCa {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    generate(&[], &[], now, &mut Ids::seeded([seed; 32])).unwrap()
}

impl Sim {
    pub(super) async fn start() -> Self {
        let made = certificates(2);
        let tls = Tls::from_pem(made.server.as_bytes(), made.server_key.as_bytes()).unwrap();
        Self::serving("localhost", Some(tls), |address| Transport::framed(&address, made.ca.as_bytes()).unwrap()).await
    }

    /// On the loopback address that the name leads to.
    pub(super) async fn serving(name: &str, tls: Option<Tls>, transport: impl FnOnce(String) -> Transport) -> Self {
        let (book, faults): (Arc<Book<Entry>>, Arc<Faults>) = Default::default();
        let clock = Clock::manual(i64::try_from(START_MS / 1000).unwrap());
        let bank = Bank::new(clock, Ids::seeded([3; 32]), Arc::clone(&book), Arc::clone(&faults));
        let listener = TcpListener::bind((name, 0)).await.unwrap();
        let address = format!("{name}:{}", listener.local_addr().unwrap().port());
        let task = tokio::spawn(async move { match nets::serve(listener, tls, Arc::new(bank)).await {} });
        Self { party: Party { acquirer: Box::new(Nets), transport: transport(address) }, book, faults, task }
    }

    pub(super) async fn ask(&self, request: &Request<'_>) -> Outcome {
        let credentials = json!({"merchantId": "1234567", "terminalId": "term1", "category": "5732", "name": "Smith Radio",
            "street": "Boulevard 4", "city": "Broby", "postcode": "3266", "country": "DNK"});
        acquirers::ask(&self.party, &opened(&credentials.to_string()), request).await
    }

    async fn authorised(&self, card: &Card, minor: u64) -> Approval {
        approved(self.ask(&request(1, dkk(minor), card.authorise(Series::None))).await)
    }

    pub(super) fn booked(&self) -> Vec<(Kind, u64)> {
        self.book.entries().iter().filter(|entry| entry.booked).map(|entry| (entry.kind, entry.amount)).collect()
    }
}

/// An advice of each kind, with the state that it goes out with.
async fn advice(sim: &Sim, card: &Card, kind: Kind) -> (u64, String) {
    let state = sim.authorised(card, 1000).await.state.unwrap();
    match kind {
        Kind::Capture => (600, state),
        Kind::Reversal => (1000, state),
        _ => {
            let capture = Call::Capture { state: &state, authorised: dkk(1000), card: card.vaulted() };
            (400, approved(sim.ask(&request(2, dkk(1000), capture)).await).state.unwrap())
        }
    }
}

fn call<'a>(kind: Kind, state: &'a str, card: &'a Card) -> Call<'a> {
    match kind {
        Kind::Capture => Call::Capture { state, authorised: dkk(1000), card: card.vaulted() },
        Kind::Reversal => Call::Void { state, card: card.vaulted() },
        _ => Call::Refund { state, captured: dkk(1000), card: card.vaulted() },
    }
}

#[tokio::test]
async fn every_fault_of_an_authorisation_has_its_outcome() {
    let card = Card::new(PAN, "123");
    for (fault, expected, is_booked) in FAULTS {
        let sim = Sim::start().await;
        if let Some(fault) = fault {
            sim.faults.order(order(Kind::Authorization, fault));
        }
        let outcome = sim.ask(&request(1, dkk(1000), card.authorise(Series::None))).await;
        assert_eq!(told(&outcome), expected, "{fault:?}: {outcome:?}");
        assert_eq!(sim.booked().len(), usize::from(is_booked), "{fault:?}");
    }
}

#[tokio::test]
async fn every_fault_of_an_advice_is_settled_by_a_repetition_and_booked_once() {
    let card = Card::new(PAN, "123");
    for kind in [Kind::Capture, Kind::Credit, Kind::Reversal] {
        for (fault, expected, is_booked) in FAULTS {
            let sim = Sim::start().await;
            let (minor, state) = advice(&sim, &card, kind).await;
            if let Some(fault) = fault {
                sim.faults.order(order(kind, fault));
            }
            let count = || sim.booked().iter().filter(|entry| **entry == (kind, minor)).count();
            let asked = || request(3, dkk(minor), call(kind, &state, &card));
            let outcome = sim.ask(&asked()).await;
            assert_eq!(told(&outcome), expected, "{kind:?} {fault:?}: {outcome:?}");
            assert_eq!(count(), usize::from(is_booked), "{kind:?} {fault:?}");
            assert!(expected == Told::Unknown || is_booked, "approved means booked");
            // The same request, built anew: the same bytes, the same answer, one booking.
            let again = sim.ask(&asked()).await;
            let ticket = approved(again.clone());
            assert_eq!(approved(sim.ask(&asked()).await), ticket);
            assert!(expected == Told::Unknown || outcome == again);
            assert_eq!(count(), 1, "{kind:?} {fault:?}: {:?}", sim.booked());
            // And the ticket that came with the repetition is the one that counts.
            let state = ticket.state.unwrap();
            if kind == Kind::Capture {
                approved(sim.ask(&request(4, dkk(400), call(kind, &state, &card))).await);
                assert_eq!(sim.booked(), [(Kind::Authorization, 1000), (kind, 600), (kind, 400)]);
            }
        }
    }
}

#[tokio::test]
async fn what_is_declared_of_repetitions_is_what_was_tried() {
    let repeat = Resolution::Repeat { every_ms: 60_000, at_most: 5 };
    let declared = Nets.capabilities().unanswered;
    assert_eq!([declared.capture, declared.refund, declared.void], [repeat; 3]);
    // A lost authorisation left no ticket, and asking again does not bring it back.
    let (sim, card) = (Sim::start().await, Card::new(PAN, "123"));
    let asked = || request(1, dkk(1000), card.authorise(Series::None));
    sim.authorised(&card, 1000).await;
    assert_eq!(told(&sim.ask(&asked()).await), Told::Unknown);
    assert_eq!(sim.booked(), [(Kind::Authorization, 1000)]);
}

#[tokio::test]
async fn in_parts_and_back_again_with_a_new_ticket_each_time() {
    let (sim, card) = (Sim::start().await, Card::new(PAN, "123"));
    let first = sim.authorised(&card, 1000).await;
    assert_eq!(first.approval_code.as_deref().map(str::len), Some(6));
    let mut states = vec![first.state.unwrap()];
    for (act, kind, minor) in
        [(2, Kind::Capture, 300), (3, Kind::Credit, 100), (4, Kind::Capture, 700), (5, Kind::Credit, 900)]
    {
        let state = states.last().unwrap().clone();
        let next = approved(sim.ask(&request(act, dkk(minor), call(kind, &state, &card))).await).state.unwrap();
        assert!(!states.contains(&next));
        states.push(next);
    }
    let last = states.last().unwrap();
    for kind in [Kind::Capture, Kind::Credit] {
        assert_eq!(
            declined(&sim.ask(&request(6, dkk(1), call(kind, last, &card))).await),
            (Decline::AmountLimit, Some("110"))
        );
    }
    let reversal = sim.ask(&request(7, dkk(1000), call(Kind::Reversal, last, &card))).await;
    assert_eq!(declined(&reversal).0, Decline::AmountLimit, "nothing is reversed that was captured");
    // A ticket that is no longer the last: unknown, because it may be this very message that replaced it.
    let old = sim.ask(&request(8, dkk(1), call(Kind::Credit, &states[1], &card))).await;
    assert_eq!(told(&old), Told::Unknown);
    let moved: Vec<u64> = sim.booked().into_iter().map(|(_, minor)| minor).collect();
    assert_eq!(moved, [1000, 300, 100, 700, 900]);
}

#[tokio::test]
async fn a_whole_capture_and_a_whole_reversal() {
    let (sim, card) = (Sim::start().await, Card::new(PAN, "123"));
    let state = sim.authorised(&card, 1000).await.state.unwrap();
    approved(sim.ask(&request(2, dkk(1000), call(Kind::Capture, &state, &card))).await);
    let again = Card::new("4571123412341235", "123");
    let state = sim.authorised(&again, 500).await.state.unwrap();
    let reversed = approved(sim.ask(&request(2, dkk(500), call(Kind::Reversal, &state, &again))).await);
    let late = Call::Capture { state: &reversed.state.unwrap(), authorised: dkk(500), card: again.vaulted() };
    assert_eq!(declined(&sim.ask(&request(3, dkk(500), late)).await).0, Decline::AmountLimit);
    let expected =
        [(Kind::Authorization, 1000), (Kind::Capture, 1000), (Kind::Authorization, 500), (Kind::Reversal, 500)];
    assert_eq!(sim.booked(), expected);
}

#[tokio::test]
async fn every_code_that_the_simulator_can_answer_with() {
    let (sim, card) = (Sim::start().await, Card::new(PAN, "123"));
    let mut approvals = 0;
    for code in (1..=999_u64).filter(|code| (9_001..=9_999).contains(&(9_000 + code))) {
        let outcome = sim.ask(&request(1, dkk(9_000 + code), card.authorise(Series::None))).await;
        match outcome {
            Outcome::Approved(_) => approvals += 1,
            // The simulator knows 48 codes, says yes to all other amounts, and knows nothing unclear.
            Outcome::Declined(refusal) => assert_eq!(refusal.code, Some(format!("{code:03}"))),
            unknown @ Outcome::Unknown { .. } => panic!("{code}: {unknown:?}"),
        }
    }
    assert_eq!(approvals, 999 - 48 + 3);
    assert_eq!(sim.booked().len(), approvals);
    for (amount, csc, reason) in [(1000, "999", Decline::Restricted), (200_000_000, "123", Decline::InsufficientFunds)]
    {
        let card = Card::new("5019123412341236", csc);
        let outcome = sim.ask(&request(1, dkk(amount), card.authorise(Series::None))).await;
        assert_eq!(declined(&outcome).0, reason);
    }
}

#[tokio::test]
async fn a_series_needs_no_code_after_its_first() {
    let (sim, card) = (Sim::start().await, Card::new(PAN, "123"));
    let first = approved(sim.ask(&request(1, dkk(0), card.authorise(Series::First))).await);
    let series = first.series.unwrap();
    let mut next = request(1, dkk(700), card.authorise(Series::Next(&series)));
    next.reference = "sv-2";
    let charged = approved(sim.ask(&next).await);
    assert_eq!(charged.series.as_deref(), Some("sv-2"));
    let state = charged.state.unwrap();
    let mut capture = request(2, dkk(700), Call::Capture { state: &state, authorised: dkk(700), card: card.vaulted() });
    capture.reference = "sv-2";
    approved(sim.ask(&capture).await);
    assert_eq!(sim.booked(), [(Kind::Authorization, 0), (Kind::Authorization, 700), (Kind::Capture, 700)]);
}

#[tokio::test]
async fn without_tls_for_development() {
    let sim = Sim::serving("localhost", None, |address| Transport::framed_plain(&address).unwrap()).await;
    let card = Card::new(PAN, "123");
    let state = sim.authorised(&card, 1000).await.state.unwrap();
    approved(sim.ask(&request(2, dkk(1000), call(Kind::Reversal, &state, &card))).await);
    // Another card than the one that was authorised: the simulator insists on it.
    let other = Card::new("4571123412341235", "123");
    let state = sim.authorised(&card, 1001).await.state.unwrap();
    assert_eq!(told(&sim.ask(&request(3, dkk(1001), call(Kind::Reversal, &state, &other))).await), Told::Unknown);
    assert_eq!(sim.booked().len(), 3);
}
