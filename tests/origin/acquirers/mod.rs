//! The acquirers' connectors against the simulators, through real sockets: what is told agrees with what was booked.

mod clearhaus;
mod codecs;
mod nets;
mod ways;

use scanvault_origin::acquirers::{
    Approval, Authorisation, Call, Decline, Instrument, Opened, Outcome, Request, Series, Transport,
};
use scanvault_origin::money::Amount;
use scanvault_origin::vault::{CardExpiry, Csc, Pan};
use scanvault_sandbox::common::book::Kind;
use scanvault_sandbox::common::faults::{Fault, Match, Order};

use crate::world::START_MS;

/// What a fault of a simulator leaves: what we may say, and whether it was booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Approved,
    Unknown,
}

/// Every fault of the simulators. Nothing else than these may be unknown, and a decline is never among them: nobody said no.
const FAULTS: [(Option<Fault>, Told, bool); 8] = [
    (None, Told::Approved, true),
    (Some(Fault::Delay), Told::Approved, true),
    (Some(Fault::Duplicate), Told::Approved, true),
    (Some(Fault::Timeout), Told::Unknown, true),
    (Some(Fault::DropAfter), Told::Unknown, true),
    (Some(Fault::Garbage), Told::Unknown, true),
    (Some(Fault::DropBefore), Told::Unknown, false),
    (Some(Fault::ServerError), Told::Unknown, false),
];

/// Credentials as the vault would give them.
fn opened(json: &str) -> Opened {
    zeroize::Zeroizing::new(json.as_bytes().to_vec()).into()
}

/// A client over HTTP(S), in a process that may not have chosen TLS' cryptography yet.
fn http(url: &str) -> Transport {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Transport::http(url, &[]).unwrap()
}

fn order(kind: Kind, fault: Fault) -> Order {
    // A delay of 0 would be a time-out for ever: that one has a test of its own.
    Order { r#match: Match { kind: Some(kind), amount: None }, fault, delay_ms: 20, times: 1 }
}

fn told(outcome: &Outcome) -> Told {
    match outcome {
        Outcome::Approved(_) => Told::Approved,
        Outcome::Unknown { state: None, .. } => Told::Unknown,
        other => panic!("{other:?}"),
    }
}

fn approved(outcome: Outcome) -> Approval {
    match outcome {
        Outcome::Approved(approval) => approval,
        other => panic!("{other:?}"),
    }
}

fn declined(outcome: &Outcome) -> (Decline, Option<&str>) {
    match outcome {
        Outcome::Declined(refusal) => (refusal.reason, refusal.code.as_deref()),
        other => panic!("{other:?}"),
    }
}

fn dkk(minor: u64) -> Amount {
    Amount::from_minor(minor, "DKK".parse().unwrap()).unwrap()
}

/// A card, held for the length of a test.
struct Card {
    pan: Pan,
    expiry: CardExpiry,
    csc: Csc,
}

impl Card {
    fn new(pan: &str, csc: &str) -> Self {
        let expiry = CardExpiry::parse("1230").unwrap();
        Self { pan: Pan::parse(pan).unwrap(), expiry, csc: Csc::parse(csc).unwrap() }
    }

    fn vaulted(&self) -> Option<(&Pan, &CardExpiry)> {
        Some((&self.pan, &self.expiry))
    }

    fn authorise<'a>(&'a self, series: Series<'a>) -> Call<'a> {
        let csc = (!matches!(series, Series::Next(_))).then_some(&self.csc);
        let instrument = Instrument::Card { pan: &self.pan, expiry: &self.expiry, csc };
        Call::Authorise(Authorisation { instrument, payer_address: Some("203.0.113.7"), authentication: None, series })
    }
}

fn request<'a>(act: u32, amount: Amount, call: Call<'a>) -> Request<'a> {
    let asked_at_ms = START_MS + u64::from(act) * 1000;
    Request { reference: "sv-1", act, asked_at_ms, amount, text_on_statement: None, call }
}
