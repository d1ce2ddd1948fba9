//! An acquirer that does what a test tells it, behind a real socket, with a book of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use scanvault_origin::acquirers::{
    Acquirer, AcquirerError, Acquirers, Answer, Approval, Call, Capabilities, Decline, Opened, Outcome, Party, Refusal,
    Request, Resolution, Transport, Unanswered, Wire, WireRequest,
};
use scanvault_origin::money::Currency;
use scanvault_origin::payments::Payments;
use scanvault_origin::payments::limits::Limits;
use scanvault_sandbox::common::serve;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::world::World;

/// What the bank does with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Play {
    Yes,
    No,
    /// Nothing is booked, and no answer that says so.
    LostBefore,
    /// Booked, and no answer that says so.
    LostAfter,
    /// Booked, and answered when the test lets it.
    Late,
    /// An error that names what may be held.
    ErrorWithHandle,
    /// Not taken at the door: nothing is looked at.
    Key,
}

/// By reference and act: what, how much, and whether it was booked.
type Entries = BTreeMap<(String, u64), (String, u64, bool)>;

/// The other side's word: what was asked and what was booked.
#[derive(Default)]
pub(crate) struct Bank {
    plays: Mutex<VecDeque<Play>>,
    seed: Mutex<Option<u64>>,
    /// An act is decided once.
    pub(crate) book: Mutex<Entries>,
    /// Every call, as it came.
    pub(crate) calls: Mutex<Vec<String>>,
    pub(crate) release: Notify,
}

impl Bank {
    /// For the next calls, in order; afterwards yes.
    pub(crate) fn will(&self, plays: &[Play]) {
        self.plays.lock().unwrap().extend(plays);
    }

    /// From now on at random: two in three are a plain yes.
    pub(crate) fn at_random(&self, seed: u64) {
        *self.seed.lock().unwrap() = Some(seed);
    }

    fn play(&self) -> Play {
        if let Some(play) = self.plays.lock().unwrap().pop_front() {
            return play;
        }
        let mut seed = self.seed.lock().unwrap();
        let Some(seed) = seed.as_mut() else { return Play::Yes };
        match random(seed) % 12 {
            0 => Play::No,
            1 | 2 => Play::LostBefore,
            3 => Play::LostAfter,
            _ => Play::Yes,
        }
    }

    /// What was booked of a kind, in minor units.
    pub(crate) fn booked(&self, kind: &str) -> Vec<u64> {
        let book = self.book.lock().unwrap();
        book.values().filter(|row| row.0 == kind && row.2).map(|row| row.1).collect()
    }
}

/// Xorshift: a test that fails prints its seed.
pub(crate) fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

async fn answer(State(bank): State<Arc<Bank>>, body: String) -> Response {
    let call: Value = serde_json::from_str(&body).unwrap();
    bank.calls.lock().unwrap().push(body);
    let key = (call["reference"].as_str().unwrap().to_owned(), call["act"].as_u64().unwrap());
    let known = bank.book.lock().unwrap().get(&key).cloned();
    let play = match known {
        Some((.., true)) => Play::Yes,
        Some((.., false)) => Play::No,
        None => bank.play(),
    };
    if play == Play::LostBefore {
        return serve::cut();
    }
    if play == Play::Key {
        return axum::Json(json!({"say": "key"})).into_response();
    }
    let (kind, amount) = (call["kind"].as_str().unwrap().to_owned(), call["amount"].as_u64().unwrap());
    bank.book.lock().unwrap().entry(key).or_insert((kind, amount, play != Play::No));
    match play {
        Play::LostAfter => return serve::cut(),
        Play::Late => bank.release.notified().await,
        _ => {}
    }
    let say = match play {
        Play::No => "no",
        Play::ErrorWithHandle => "error",
        _ => "yes",
    };
    axum::Json(json!({"say": say})).into_response()
}

/// The connector to it.
pub(crate) struct Scripted {
    pub(crate) name: &'static str,
    pub(crate) repeats: Resolution,
    pub(crate) partial: bool,
}

impl Acquirer for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            partial_captures: self.partial,
            partial_refunds: self.partial,
            voids_captured: false,
            network_tokens: false,
            series: false,
            needs_card: false,
            unanswered: Unanswered { capture: self.repeats, refund: self.repeats, void: self.repeats },
        }
    }

    fn exponent(&self, currency: Currency) -> Option<u8> {
        Some(currency.exponent())
    }

    fn check_credentials(&self, _: &[u8]) -> Result<(), AcquirerError> {
        Ok(())
    }

    fn check(&self, _: &Request<'_>) -> Result<(), AcquirerError> {
        Ok(())
    }

    fn encode(&self, _: &Opened, request: &Request<'_>) -> Result<Wire, AcquirerError> {
        let kind = match request.call {
            Call::Authorise(_) => "authorise",
            Call::Capture { .. } => "capture",
            Call::Refund { .. } => "refund",
            Call::Void { .. } => "void",
            Call::Credit { .. } => return Err(AcquirerError::NotOffered),
        };
        let body = json!({"reference": request.reference, "act": request.act, "kind": kind,
            "amount": request.amount.minor(), "at": request.asked_at_ms});
        let headers = vec![("content-type", Zeroizing::new("application/json".to_owned()))];
        Ok(Wire::Post(WireRequest {
            path: "/".to_owned(),
            headers,
            body: Zeroizing::new(body.to_string().into_bytes()),
        }))
    }

    fn decode(&self, _: &Request<'_>, answer: &Answer) -> Outcome {
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let state = Some(format!("handle-at-{}", self.name));
        match said["say"].as_str() {
            Some("yes") => Outcome::Approved(Approval { state, ..Approval::default() }),
            Some("no") => Outcome::Declined(Refusal { reason: Decline::DoNotHonour, code: Some("no".to_owned()) }),
            Some("key") => Outcome::Declined(Decline::Credentials.into()),
            Some("error") => Outcome::Unknown { why: "an error of its own", state },
            _ => Outcome::Unknown { why: "no answer", state: None },
        }
    }
}

pub(crate) const REPEATS: Resolution = Resolution::Repeat { every_ms: 1_000, at_most: 4 };

/// The world's payments, but at a scripted bank, and without limits.
pub(crate) async fn at_a_bank(world: &World, repeats: Resolution) -> (Arc<Payments>, Arc<Bank>) {
    let bank = Arc::new(Bank::default());
    let party = party(&bank, "clearhaus", repeats).await;
    (with(world, vec![party]), bank)
}

pub(crate) fn with(world: &World, parties: Vec<Party>) -> Arc<Payments> {
    let limits = Arc::new(Limits::new(false));
    Arc::new(Payments { acquirers: Acquirers::new(parties), limits, ..Payments::clone(&world.app.payments) })
}

/// A bank that listens, and the way to it.
pub(crate) async fn party(bank: &Arc<Bank>, name: &'static str, repeats: Resolution) -> Party {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(bank));
    tokio::spawn(async move { match serve::serve(listener, router).await {} });
    let transport = Transport::http(&address, &[]).unwrap();
    Party { acquirer: Box::new(Scripted { name, repeats, partial: true }), transport }
}
