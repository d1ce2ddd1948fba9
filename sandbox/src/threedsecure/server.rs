//! The 3-D Secure server: takes a message, decides, books, answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    areq::{AReq, is_uuid},
    erro::{Code, DEFAULT_VERSION, Erro},
    guesses::{AUTO_PATH, CHECKS_COMPLETION, NOT_DECOUPLED, UNKNOWN_ID, UNSCRIPTED},
    messages::{self, Entry},
    script::{Challenge, Method, Outcome, Script},
    transaction::{ID_SECONDS, Stage, Transaction},
};
use crate::common::{
    book::{Book, Kind},
    clock::{Clock, rfc3339},
    faults::Faults,
    ids::Ids,
    secret::SecretText,
};

/// Documented: of the sandbox's host `acs.…`, which is this one here.
pub(super) const MANUAL_PATH: &str = "/browser/challenge/manual";
const SCHEMES: [&str; 8] = ["standin", "visa", "mastercard", "jcb", "upi", "amex", "protectbuy", "sbn"];

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where browsers reach this server (`https://acs.example`); without it, the `Host` that the request names, by http.
    pub public_url: Option<String>,
    /// Require what Visa and Mastercard require beyond the protocol: card holder, expiry, e-mail, billing address.
    pub scheme_rules: bool,
}

pub struct Server {
    api_key: SecretText,
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) faults: Arc<Faults>,
    book: Arc<Book<Entry>>,
    state: Mutex<State>,
}

struct State {
    ids: Ids,
    transactions: HashMap<String, Transaction>,
}

impl Server {
    pub fn new(
        api_key: SecretText,
        options: Options,
        clock: Clock,
        ids: Ids,
        book: Arc<Book<Entry>>,
        faults: Arc<Faults>,
    ) -> Self {
        let state = Mutex::new(State { ids, transactions: HashMap::new() });
        Self { api_key, options, clock, faults, book, state }
    }

    pub(super) fn authenticated(&self, headers: &HeaderMap) -> bool {
        let mut keys = headers.get_all("apikey").iter();
        matches!((keys.next(), keys.next()), (Some(key), None) if self.api_key.matches(key.as_bytes()))
    }

    pub(super) fn preauth(&self, body: &Map<String, Value>, base: &str) -> Response {
        let number = match number(body) {
            Ok(number) => number,
            Err(erro) => return erro.into_response(),
        };
        if body.get("ds").is_some_and(|ds| !ds.as_str().is_some_and(|ds| SCHEMES.contains(&ds))) {
            return Erro::new(Code::FORMAT, "ds").into_response();
        }
        let Some(script) = Script::of(number) else {
            let start: String = number.chars().take(6).map(|_| '*').collect();
            let detail = format!("No CRD found, card with BIN {start} is not enrolled with any known DS");
            return Erro::new(UNSCRIPTED, detail).described("Unknown BIN").into_response();
        };
        let now = self.clock.now();
        self.locked(|state| {
            state.transactions.retain(|_, transaction| transaction.alive(now));
            let (id, acs_id, ds_id) = (state.ids.uuid(), state.ids.uuid(), state.ids.uuid());
            let transaction = Transaction {
                number: Zeroizing::new(number.to_owned()),
                script,
                created: now,
                version: String::new(),
                amount: None,
                currency: String::new(),
                acs_id,
                ds_id,
                notification_url: String::new(),
                stage: Stage::New,
            };
            self.record(&transaction, &id, Kind::Preauth, "", now);
            state.transactions.insert(id.clone(), transaction);
            answer(messages::card_range(script, &id, base))
        })
    }

    pub(super) fn auth(&self, areq: &AReq, base: &str) -> Response {
        let (id, now) = (areq.text("threeDSServerTransID").to_lowercase(), self.clock.now());
        self.locked(|state| {
            let transaction = state
                .transactions
                .get_mut(&id)
                .filter(|known| matches!(known.stage, Stage::New) && now <= known.created + ID_SECONDS);
            let Some(transaction) = transaction else {
                return areq.refused(UNKNOWN_ID, "Unknown threeDSServerTransID").into_response();
            };
            match check(transaction, areq) {
                Ok(()) => self.decide(transaction, areq, &id, base, now),
                Err(erro) => erro.into_response(),
            }
        })
    }

    fn decide(&self, transaction: &mut Transaction, areq: &AReq, id: &str, base: &str, now: i64) -> Response {
        areq.text("messageVersion").clone_into(&mut transaction.version);
        areq.text("purchaseCurrency").clone_into(&mut transaction.currency);
        areq.text("notificationURL").clone_into(&mut transaction.notification_url);
        transaction.amount = areq.amount();
        let page = |path: &str| Some(format!("{base}{path}"));
        let (status, reason, page) = match transaction.script.outcome {
            Outcome::Frictionless(status) => (status, None, None),
            Outcome::Challenge(Challenge::Manual) => ("C", None, page(MANUAL_PATH)),
            Outcome::Challenge(Challenge::Passes | Challenge::Fails) => ("C", None, page(AUTO_PATH)),
            Outcome::Decoupled if areq.text("threeDSRequestorDecReqInd") == "Y" => ("D", None, None),
            Outcome::Decoupled => (NOT_DECOUPLED.0, Some(NOT_DECOUPLED.1), None),
            Outcome::Unreachable => {
                transaction.stage = Stage::Final { at: now };
                self.record(transaction, id, Kind::Auth, "", now);
                return areq.refused(Code::CONNECTION, "Connection timeout").into_response();
            }
        };
        transaction.stage = match status {
            "C" => Stage::Challenging { since: now, touched: None },
            "D" => Stage::Decoupled { since: now },
            _ => Stage::Final { at: now },
        };
        self.record(transaction, id, Kind::Auth, status, now);
        answer(messages::authentication(transaction, id, status, reason, page))
    }

    pub(super) fn postauth(&self, body: &Map<String, Value>) -> Response {
        let id = match id(body) {
            Ok(id) => id,
            Err(erro) => return erro.into_response(),
        };
        let now = self.clock.now();
        self.with(&id, |transaction| {
            let Some(transaction) = transaction.filter(|known| known.alive(now)) else {
                return Erro::new(Code::FORMAT, "Unknown threeDSServerTransID")
                    .of(&id, DEFAULT_VERSION)
                    .into_response();
            };
            match transaction.stage {
                Stage::Done { result, .. } => answer(messages::result(transaction, &id, result)),
                _ => Erro::new(Code::DATA_NOT_VALID, "No response from directory server yet")
                    .described("No RReq has been received")
                    .of(&id, DEFAULT_VERSION)
                    .into_response(),
            }
        })
    }

    /// The amount of a transaction, for faults.
    pub(super) fn amount(&self, id: &str) -> Option<u64> {
        self.with(id, |transaction| transaction?.amount)
    }

    /// The transaction as it stands now, with what its deadlines did to it.
    pub(super) fn with<T>(&self, id: &str, act: impl FnOnce(Option<&mut Transaction>) -> T) -> T {
        let now = self.clock.now();
        self.locked(|state| {
            let mut transaction = state.transactions.get_mut(id);
            if let Some(transaction) = &mut transaction
                && let Some(result) = transaction.settle(now)
            {
                self.record(transaction, id, Kind::Challenge, result.status, now);
            }
            act(transaction)
        })
    }

    /// A book that cannot be written is a broken sandbox; the log says so.
    pub(super) fn record(&self, transaction: &Transaction, id: &str, kind: Kind, status: &str, now: i64) {
        let start = transaction.number.len().saturating_sub(4);
        let entry = Entry {
            id: id.to_owned(),
            kind,
            amount: transaction.amount,
            currency: transaction.currency.clone(),
            status: status.to_owned(),
            booked: kind == Kind::Auth,
            processed_at: rfc3339(now),
            pan_last4: transaction.number.get(start..).unwrap_or_default().to_owned(),
        };
        if let Err(error) = self.book.record(entry) {
            tracing::error!(%error, "the book cannot be written");
        }
    }

    fn locked<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The request must fit what the id was given out for.
fn check(transaction: &Transaction, areq: &AReq) -> Result<(), Erro> {
    if areq.text("acctNumber") != transaction.number.as_str() {
        return Err(areq.refused(Code::DATA_NOT_VALID, "acctNumber is not the one of preauth"));
    }
    if !transaction.script.versions.contains(&areq.text("messageVersion")) {
        return Err(areq.refused(Code::VERSION, "messageVersion"));
    }
    let right = match (transaction.script.method, areq.text("threeDSCompInd")) {
        (Method::Answers, given) => given != "U",
        (Method::Missing, given) => given == "U",
        (Method::Silent, given) => given == "N",
    };
    match right || !CHECKS_COMPLETION {
        true => Ok(()),
        false => Err(areq.refused(Code::FORMAT, "threeDSCompInd")),
    }
}

fn number(body: &Map<String, Value>) -> Result<&str, Erro> {
    let value = body.get("acctNumber").ok_or_else(|| Erro::new(Code::MISSING, "acctNumber"))?;
    let number =
        value.as_str().filter(|text| (13..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| Erro::new(Code::FORMAT, "acctNumber"))
}

pub(super) fn id(body: &Map<String, Value>) -> Result<String, Erro> {
    let name = "threeDSServerTransID";
    let value = body.get(name).ok_or_else(|| Erro::new(Code::MISSING, name))?;
    match value.as_str().filter(|text| is_uuid(text)) {
        Some(id) => Ok(id.to_lowercase()),
        None => Err(Erro::new(Code::FORMAT, name)),
    }
}

fn answer(body: Value) -> Response {
    (StatusCode::OK, Json(body)).into_response()
}
