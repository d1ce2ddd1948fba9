//! The service itself: takes a call, decides, books, answers. One lock around decision and booking makes concurrent
//! calls for one payment, and calls with one idempotency key, queue up.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    access::{Access, Caller},
    guesses::{LANDING_PATH, OWN_REFERENCE_IN_ANSWERS},
    payment::{Created, Entry, Id, Name, Payment, Reply},
    problem::Problem,
    request::{self, Amount, Create},
    webhooks::Webhooks,
};
use crate::common::{
    book::Book,
    clock::{Clock, rfc3339},
    faults::Faults,
    ids::Ids,
    out,
};

/// In the test environment.
const TOKEN_SECONDS: i64 = 3600;

#[derive(Clone, Debug)]
pub struct Options {
    /// Where browsers reach this simulator; without it, the `Host` that a call names, by http.
    pub public_url: Option<String>,
    /// The documented limits per reference (5 writes, 120 reads a minute).
    pub rate_limits: bool,
    /// The older shape of card callbacks, without `cardInfo`.
    pub flat_callbacks: bool,
    /// What "a second" is for the pauses between a webhook's attempts.
    pub webhook_second: Duration,
    /// Keeps webhook registrations over restarts.
    pub registrations: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let webhook_second = Duration::from_secs(1);
        Self { public_url: None, rate_limits: true, flat_callbacks: false, webhook_second, registrations: None }
    }
}

/// What is limited per reference, and what idempotency keys belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    Create,
    Capture,
    Refund,
    Cancel,
    Read,
}

pub struct Service {
    pub(super) access: Access,
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) faults: Arc<Faults>,
    pub(super) caller: out::Caller,
    pub(super) webhooks: Webhooks,
    book: Arc<Book<Entry>>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) ids: Ids,
    pub(super) payments: BTreeMap<Id, Payment>,
    landings: HashMap<String, Id>,
    replies: HashMap<(Op, String, String), Reply>,
    tokens: HashMap<String, i64>,
    calls: HashMap<(Op, Id), VecDeque<i64>>,
}

impl Service {
    /// Continues from what the book already holds. Webhooks are sent by tasks of the runtime that this is called in.
    ///
    /// # Errors
    /// When kept registrations cannot be read.
    pub fn new(
        access: Access,
        options: Options,
        clock: Clock,
        ids: Ids,
        book: Arc<Book<Entry>>,
        faults: Arc<Faults>,
        caller: out::Caller,
    ) -> io::Result<Self> {
        let mut state = State {
            ids,
            payments: BTreeMap::new(),
            landings: HashMap::new(),
            replies: HashMap::new(),
            tokens: HashMap::new(),
            calls: HashMap::new(),
        };
        book.entries().iter().for_each(|entry| state.apply(entry));
        let (second, kept) = (options.webhook_second, options.registrations.clone());
        let webhooks = Webhooks::open(caller.clone(), clock.clone(), faults.clone(), second, kept)?;
        Ok(Self { access, options, clock, faults, caller, webhooks, book, state: Mutex::new(state) })
    }

    /// All numbers are texts, as documented.
    pub(super) fn token(&self) -> Value {
        let now = self.clock.now();
        let token = self.locked(|state| {
            state.tokens.retain(|_, until| *until > now);
            let token = format!("{}.{}", state.ids.uuid(), state.ids.uuid());
            state.tokens.insert(token.clone(), now + TOKEN_SECONDS);
            token
        });
        json!({
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS.to_string(),
            "ext_expires_in": "0",
            "expires_on": (now + TOKEN_SECONDS).to_string(),
            "not_before": now.to_string(),
            "resource": "00000002-0000-0000-c000-000000000000",
            "access_token": token,
        })
    }

    pub(super) fn knows_token(&self, token: &str) -> bool {
        let now = self.clock.now();
        self.locked(|state| state.tokens.get(token).is_some_and(|until| *until > now))
    }

    pub(super) fn create(&self, caller: &Caller, path: &str, body: &[u8], base: &str) -> Response {
        self.keyed(Op::Create, caller, path, body, None, |state, now| {
            let request: Create = request::read(body)?;
            let expires_at = request.check(caller.psp_id.is_some(), now)?;
            let id = (caller.msn.clone(), request.reference.clone());
            if state.payments.contains_key(&id) {
                return Err(Problem::conflict(4150, "reference"));
            }
            let token = state.ids.uuid();
            let answer = match request.user_flow {
                request::Flow::PushMessage => json!({"reference": id.1}),
                _ => json!({"redirectUrl": format!("{base}{LANDING_PATH}/{token}"), "reference": id.1}),
            };
            let (amount, base) = (request.amount.clone(), base.to_owned());
            let created = Created { request, psp_reference: state.ids.uuid(), token, base, expires_at };
            let mut entry = Entry::new(&id, Name::Created, created.psp_reference.clone(), amount, rfc3339(now));
            entry.payment = Some(Box::new(created));
            Ok((StatusCode::CREATED, answer, entry))
        })
    }

    /// Capture, refund and cancel: `allowed` names the entry and its amount.
    pub(super) fn modify(
        &self,
        op: Op,
        caller: &Caller,
        (path, reference): (&str, &str),
        body: &[u8],
        allowed: impl FnOnce(&Payment, i64) -> Result<(Name, u64), Problem>,
    ) -> Response {
        let id = (caller.msn.clone(), reference.to_owned());
        self.keyed(op, caller, path, body, Some(&id), |state, now| {
            let payment = state.payments.get(&id).ok_or_else(|| Problem::new(5090, "reference"))?;
            let (name, value) = allowed(payment, now)?;
            let amount = Amount { currency: payment.amount().currency.clone(), value };
            let entry = Entry::new(&id, name, state.ids.uuid(), amount, rfc3339(now));
            let mut after = payment.clone();
            after.apply(&entry);
            let mut answer = after.shown();
            if let Some(object) = answer.as_object_mut() {
                object.retain(|field, _| field != "paymentMethod" && field != "profile");
                if OWN_REFERENCE_IN_ANSWERS {
                    object.insert("pspReference".to_owned(), json!(entry.id));
                }
            }
            Ok((StatusCode::OK, answer, entry))
        })
    }

    /// Runs `act` once for each idempotency key and gives its answer again, refusals included.
    fn keyed(
        &self,
        op: Op,
        caller: &Caller,
        path: &str,
        body: &[u8],
        id: Option<&Id>,
        act: impl FnOnce(&mut State, i64) -> Result<(StatusCode, Value, Entry), Problem>,
    ) -> Response {
        let now = self.clock.now();
        self.locked(|state| {
            if caller.key.is_none() && op != Op::Cancel {
                return refused(&Problem::bad("Idempotency-Key is missing"), path);
            }
            let digest = digest(path, body);
            let key = caller.key.clone().map(|key| (op, caller.msn.clone(), key));
            if let Some(reply) = key.as_ref().and_then(|key| state.replies.get(key)) {
                return match reply.digest == digest {
                    true => replied(reply),
                    false => refused(&Problem::conflict(op.conflict(), "Idempotency-Key"), path),
                };
            }
            if let Some(id) = id {
                self.expire(state, id, now);
            }
            if self.options.rate_limits && !state.may_call(op, id, now) {
                return refused(&Problem::plain(429, "Too many requests"), path);
            }
            let mut reply = Reply { digest, status: 0, body: Value::Null };
            match act(state, now) {
                Ok((status, answer, mut entry)) => {
                    (reply.status, reply.body) = (status.as_u16(), answer);
                    entry.idempotency_key.clone_from(&caller.key);
                    entry.reply = caller.key.is_some().then(|| reply.clone());
                    if self.commit(state, entry).is_err() {
                        return refused(&Problem::plain(500, "Internal error"), path);
                    }
                }
                Err(problem) => (reply.status, reply.body) = (problem.status().as_u16(), problem.body(path)),
            }
            let answer = replied(&reply);
            if let Some(key) = key {
                state.replies.insert(key, reply);
            }
            answer
        })
    }

    /// `GET …/{reference}` and `…/events`.
    pub(super) fn read(&self, caller: &Caller, (path, reference): (&str, &str), events: bool) -> Response {
        let (id, now) = ((caller.msn.clone(), reference.to_owned()), self.clock.now());
        self.locked(|state| {
            self.expire(state, &id, now);
            if self.options.rate_limits && !state.may_call(Op::Read, Some(&id), now) {
                return refused(&Problem::plain(429, "Too many requests"), path);
            }
            match state.payments.get(&id) {
                None => refused(&Problem::new(5090, "reference"), path),
                Some(payment) if !events => Json(payment.shown()).into_response(),
                Some(_) => {
                    let all = self.book.entries();
                    let own = all.iter().filter(|entry| (&entry.msn, &entry.reference) == (&id.0, &id.1));
                    Json(own.map(Entry::event).collect::<Vec<_>>()).into_response()
                }
            }
        })
    }

    /// The amount that a fault can be ordered by.
    pub(super) fn amount(&self, id: &Id) -> Option<u64> {
        self.locked(|state| state.payments.get(id).map(|payment| payment.amount().value))
    }

    pub(super) fn by_landing(&self, token: &str) -> Option<Id> {
        self.locked(|state| state.landings.get(token).cloned())
    }

    /// Ends all payments whose time is over; for a timer.
    pub fn sweep(&self) {
        let now = self.clock.now();
        self.locked(|state| {
            let due: Vec<Id> =
                state.payments.iter().filter(|(_, of)| of.overdue(now)).map(|(id, _)| id.clone()).collect();
            due.iter().for_each(|id| self.expire(state, id, now));
        });
    }

    pub(super) fn expire(&self, state: &mut State, id: &Id, now: i64) {
        if let Some(payment) = state.payments.get(id).filter(|payment| payment.overdue(now)) {
            let (amount, at) = (payment.amount().clone(), rfc3339(payment.created.expires_at));
            let entry = Entry::new(id, Name::Expired, state.ids.uuid(), amount, at);
            // Tried again at the next look.
            let _ = self.commit(state, entry);
        }
    }

    /// Book first, state second: what is not on disk has not happened. Webhooks go out last.
    pub(super) fn commit(&self, state: &mut State, entry: Entry) -> Result<(), ()> {
        self.book.record(entry.clone()).map_err(|error| tracing::error!(%error, "the book cannot be written"))?;
        state.apply(&entry);
        self.webhooks.dispatch(&entry);
        Ok(())
    }

    pub(super) fn locked<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn apply(&mut self, entry: &Entry) {
        let id = (entry.msn.clone(), entry.reference.clone());
        if let Some(created) = &entry.payment {
            self.landings.insert(created.token.clone(), id.clone());
            self.payments.insert(id.clone(), Payment::new(Created::clone(created)));
        }
        if let Some(payment) = self.payments.get_mut(&id) {
            payment.apply(entry);
        }
        let op = match entry.name {
            Name::Created => Op::Create,
            Name::Captured => Op::Capture,
            Name::Refunded => Op::Refund,
            _ => Op::Cancel,
        };
        if let (Some(key), Some(reply)) = (&entry.idempotency_key, &entry.reply) {
            self.replies.insert((op, entry.msn.clone(), key.clone()), reply.clone());
        }
    }

    /// A sliding minute per reference.
    fn may_call(&mut self, op: Op, id: Option<&Id>, now: i64) -> bool {
        let Some(id) = id else {
            return true;
        };
        let calls = self.calls.entry((op, id.clone())).or_default();
        while calls.front().is_some_and(|at| *at <= now - 60) {
            calls.pop_front();
        }
        calls.push_back(now);
        calls.len() <= if op == Op::Read { 120 } else { 5 }
    }
}

impl Op {
    const fn conflict(self) -> u16 {
        match self {
            Self::Capture => 4010,
            Self::Refund => 4150,
            Self::Create | Self::Cancel | Self::Read => 4020,
        }
    }
}

fn digest(path: &str, body: &[u8]) -> String {
    let digest = Sha256::new().chain_update(path).chain_update([0]).chain_update(body).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn replied(reply: &Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(reply.body.clone())).into_response()
}

pub(super) fn refused(problem: &Problem, path: &str) -> Response {
    let body = problem.body(path);
    tracing::info!(status = problem.status().as_u16(), code = problem.code, %body, "refused");
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (problem.status(), kind, body.to_string()).into_response()
}
