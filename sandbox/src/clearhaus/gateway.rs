//! The gateway itself: takes a form, decides, books, answers. One lock around decision and booking
//! makes concurrent captures of one authorization queue up.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{http::StatusCode, response::Response};

use super::{
    access::Access,
    answer,
    fields::amount_or_zero,
    ledger::{Authorization, Ledger},
    methods::Instrument,
    request::{Authorize, Credit, Move},
    series::{earlier_series, next_series},
    status::{Code, Refusal, refuse},
};
use crate::common::{
    book::{Book, Entry, Kind},
    clock::{Clock, rfc3339},
    faults::{Faults, Injected},
    form::Form,
    ids::Ids,
};

/// Choices that Clearhaus' documentation leaves open or ties to a contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Trusted partners may leave the card security code out.
    pub trusted_partner: bool,
    pub unknown_id: UnknownId,
}

/// How `/authorizations/:id/…` answers an id that it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownId {
    #[default]
    NotFound,
    BadRequest,
}

pub struct Gateway {
    pub(super) access: Access,
    pub(super) faults: Arc<Faults>,
    options: Options,
    clock: Clock,
    book: Arc<Book>,
    state: Mutex<State>,
}

struct State {
    ids: Ids,
    ledger: Ledger,
}

/// What a POST asks for.
#[derive(Clone, Copy)]
pub(super) enum Act<'a> {
    Authorize,
    Capture(&'a str),
    Refund(&'a str),
    Void(&'a str),
    Credit,
}

/// A refusal with the HTTP status that it goes out with.
pub(super) struct Failure {
    pub(super) http: StatusCode,
    pub(super) refusal: Refusal,
}

impl Gateway {
    /// Continues from what the book already holds.
    pub fn new(access: Access, options: Options, clock: Clock, ids: Ids, book: Arc<Book>, faults: Arc<Faults>) -> Self {
        let mut ledger = Ledger::default();
        book.entries().iter().for_each(|entry| ledger.apply(entry));
        Self { access, faults, options, clock, book, state: Mutex::new(State { ids, ledger }) }
    }

    /// The fault that was ordered for this act, by the amount that is asked for.
    pub(super) fn fault(&self, act: Act<'_>, form: &Form) -> Option<Injected> {
        let left = |id, of: fn(&Authorization) -> u64| self.locked(|state| state.ledger.get(id).map(of));
        let amount = match (form.get("amount"), act) {
            (Some(_), _) => amount_or_zero(form).ok(),
            (None, Act::Capture(id) | Act::Void(id)) => left(id, Authorization::remaining),
            (None, Act::Refund(id)) => left(id, Authorization::refundable),
            (None, Act::Authorize | Act::Credit) => None,
        };
        self.faults.draw(act.kind(), amount)
    }

    /// Decides and books; synchronous, so that a client that leaves cannot interrupt it.
    pub(super) fn perform(&self, act: Act<'_>, form: &Form) -> Result<Response, Failure> {
        let now = self.clock.now();
        self.locked(|state| match act {
            Act::Authorize => self.authorize(state, form, now),
            Act::Capture(id) => {
                let (authorization, request) = (self.known(state, id)?, Move::read(form)?);
                let amount = authorization.capture(request.amount, now)?;
                self.follow_up(state, Kind::Capture, id, amount, now).map(|entry| answer::capture(&entry))
            }
            Act::Refund(id) => {
                let (authorization, request) = (self.known(state, id)?, Move::read(form)?);
                let amount = authorization.refund(request.amount, now)?;
                self.follow_up(state, Kind::Refund, id, amount, now).map(|entry| answer::refund(&entry))
            }
            Act::Void(id) => {
                let amount = self.known(state, id)?.void(now)?;
                self.follow_up(state, Kind::Void, id, amount, now).map(|entry| answer::void(&entry))
            }
            Act::Credit => self.credit(state, form, now),
        })
    }

    fn authorize(&self, state: &mut State, form: &Form, now: i64) -> Result<Response, Failure> {
        let request = Authorize::read(form, self.options.trusted_partner)?;
        let earlier = earlier_series(&state.ledger, request.series.as_ref())?;
        let code = decide(&request.instrument, request.amount, Kind::Authorization, now)?;
        let id = state.ids.uuid();
        let approved = code == Code::APPROVED;
        let series = match &request.series {
            Some(wanted) if approved => Some(next_series(&mut state.ids, wanted, earlier, request.instrument.scheme)),
            _ => None,
        };
        let entry = Entry {
            authorization: Some(id.clone()),
            id,
            kind: Kind::Authorization,
            amount: request.amount,
            currency: request.currency.clone(),
            reference: request.reference.clone(),
            status: code.0,
            booked: approved,
            processed_at: rfc3339(now),
            pan_last4: request.instrument.number.last4(),
            series,
        };
        self.record(state, &entry)?;
        Ok(answer::authorization(&entry, &request))
    }

    fn credit(&self, state: &mut State, form: &Form, now: i64) -> Result<Response, Failure> {
        let request = Credit::read(form)?;
        let code = decide(&request.card, request.amount, Kind::Credit, now)?;
        let entry = Entry {
            id: state.ids.uuid(),
            kind: Kind::Credit,
            authorization: None,
            amount: request.amount,
            currency: request.currency,
            reference: request.reference,
            status: code.0,
            booked: code == Code::APPROVED,
            processed_at: rfc3339(now),
            pan_last4: request.card.number.last4(),
            series: None,
        };
        self.record(state, &entry)?;
        Ok(answer::credit(&entry))
    }

    fn follow_up(&self, state: &mut State, kind: Kind, id: &str, amount: u64, now: i64) -> Result<Entry, Failure> {
        let own = state.ids.uuid();
        let authorization = self.known(state, id)?;
        let entry = Entry {
            id: own,
            kind,
            authorization: Some(id.to_owned()),
            amount,
            currency: authorization.currency.clone(),
            reference: authorization.reference.clone(),
            status: Code::APPROVED.0,
            booked: true,
            processed_at: rfc3339(now),
            pan_last4: authorization.pan_last4.clone(),
            series: None,
        };
        self.record(state, &entry)?;
        Ok(entry)
    }

    fn known<'a>(&self, state: &'a State, id: &str) -> Result<&'a Authorization, Failure> {
        state.ledger.get(id).ok_or_else(|| Failure {
            http: match self.options.unknown_id {
                UnknownId::NotFound => StatusCode::NOT_FOUND,
                UnknownId::BadRequest => StatusCode::BAD_REQUEST,
            },
            refusal: Refusal { code: Code::INPUT, message: "invalid transaction id".to_owned() },
        })
    }

    /// Book first, state second: what is not on disk has not happened.
    fn record(&self, state: &mut State, entry: &Entry) -> Result<(), Failure> {
        self.book.record(entry.clone()).map_err(|error| {
            tracing::error!(%error, "the book cannot be written");
            Failure {
                http: StatusCode::INTERNAL_SERVER_ERROR,
                refusal: Refusal { code: Code::CLEARHAUS_ERROR, message: Code::CLEARHAUS_ERROR.meaning().to_owned() },
            }
        })?;
        state.ledger.apply(entry);
        Ok(())
    }

    fn locked<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Act<'_> {
    const fn kind(self) -> Kind {
        match self {
            Self::Authorize => Kind::Authorization,
            Self::Capture(_) => Kind::Capture,
            Self::Refund(_) => Kind::Refund,
            Self::Void(_) => Kind::Void,
            Self::Credit => Kind::Credit,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { http: StatusCode::BAD_REQUEST, refusal }
    }
}

/// Ours, not Clearhaus': with this amount some cards (`Number::soft_declined`) are refused without 3-D Secure and taken
/// with it, as an issuer does.
const SOFT_DECLINED: u64 = 40416;

/// What the card schemes say; an error is what Clearhaus itself refuses.
fn decide(instrument: &Instrument, amount: u64, kind: Kind, now: i64) -> Result<Code, Refusal> {
    if instrument.number.expired(now) {
        return refuse(Code::EXPIRED, Code::EXPIRED.meaning());
    }
    if instrument.number.magic() {
        return Ok(Code::magic(amount, kind).unwrap_or(Code::CARD_NUMBER));
    }
    if amount == SOFT_DECLINED && instrument.number.soft_declined() && instrument.threeds.is_none() {
        return Ok(Code::STEP_UP);
    }
    match instrument.number.usable() {
        true => Ok(Code::APPROVED),
        false => refuse(Code::CARD_NUMBER, Code::CARD_NUMBER.meaning()),
    }
}
