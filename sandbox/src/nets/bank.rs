//! The acquirer and the banks behind it: takes a message, decides, books, answers.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    codec::{Message, Status},
    guesses::{
        BALANCE, CARD_CVD, CARDS, CHECKS_FUNCTION_CODE, EXPIRED, MAGIC_AMOUNTS, MISSING_CVD, POOR_BALANCE, POOR_CARD,
        REPEATED_ADVICE_GETS_ITS_ANSWER, REPEATED_AUTHORIZATION, REVERSAL_ACCEPTED, WRONG_CVD,
    },
    ledger::{Entry, Ledger},
    request::{Cvd, Refused, Request},
};
use crate::common::{
    book::{Book, Kind},
    clock::{Clock, rfc3339, year_month},
    faults::{Faults, Injected},
    ids::Ids,
};

const APPROVED: &str = "000";
/// Documented: approved, too.
const APPROVALS: [&str; 4] = [APPROVED, "060", "061", "063"];
const INVALID_AMOUNT: &str = "110";
const NOT_SUPPORTED: &str = "115";
const NO_FUNDS: &str = "116";
const NO_RECORD: &str = "118";
/// Field 56 is that long.
const TICKET: usize = 255;

pub struct Bank {
    clock: Clock,
    faults: Arc<Faults>,
    book: Arc<Book<Entry>>,
    state: Mutex<State>,
}

struct State {
    ids: Ids,
    ledger: Ledger,
}

/// What was decided about an advice: the authorisation that it belongs to, and field 39.
struct Decision {
    authorization: Option<String>,
    action: &'static str,
}

impl Bank {
    /// Continues from what the book already holds.
    pub fn new(clock: Clock, ids: Ids, book: Arc<Book<Entry>>, faults: Arc<Faults>) -> Self {
        let mut ledger = Ledger::default();
        book.entries().iter().for_each(|entry| ledger.apply(entry));
        Self { clock, faults, book, state: Mutex::new(State { ids, ledger }) }
    }

    pub(super) fn fault(&self, request: &Request) -> Option<Injected> {
        self.faults.draw(request.kind, Some(request.amount))
    }

    /// Reads a message; a refusal is the answer to send.
    pub(super) fn read(message: Message) -> Result<Request, Message> {
        let kind = match message.kind() {
            "1220" => "1230",
            "1420" => "1430",
            _ => "1110",
        };
        Request::read(message).map_err(|refused| {
            tracing::info!(?refused, "refused");
            let mut answer = Message::new(kind);
            answer.status = match refused {
                Refused::BadRequest => Status::BadRequest,
                Refused::NotImplemented => Status::NotImplemented,
            };
            answer
        })
    }

    /// Decides and books; synchronous, so that a client that leaves cannot interrupt it.
    pub(super) fn perform(&self, request: &Request) -> Message {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = request.digest();
        if let Some(entry) = state.ledger.decided(&digest) {
            let again = REPEATED_ADVICE_GETS_ITS_ANSWER && request.kind != Kind::Authorization;
            return match again {
                true => answer(request, entry),
                false => plain(request, REPEATED_AUTHORIZATION),
            };
        }
        let (decision, booked) = match request.kind {
            Kind::Authorization => authorize(&state.ledger, request, now),
            _ => {
                let decision = advise(&state.ledger, request);
                let booked = matches!(decision.action, APPROVED | REVERSAL_ACCEPTED);
                (decision, booked)
            }
        };
        let own = state.ids.uuid();
        let authorizes = request.kind == Kind::Authorization;
        let entry = Entry {
            authorization: if authorizes { Some(own.clone()) } else { decision.authorization },
            id: own,
            kind: request.kind,
            amount: request.amount,
            currency: request.text(49).to_owned(),
            reference: request.text(31).to_owned(),
            merchant: request.text(42).to_owned(),
            action: decision.action.to_owned(),
            booked,
            processed_at: rfc3339(now),
            pan_last4: request.last4(),
            approval: (booked && authorizes).then(|| state.ids.text(b"0123456789", 6)),
            ticket: booked.then(|| state.ids.text(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 40)),
            digest,
        };
        // Book first, state second: what is not on disk has not happened.
        if let Err(error) = self.book.record(entry.clone()) {
            tracing::error!(%error, "the book cannot be written");
            let mut failed = Message::new(request.answer().kind());
            failed.status = Status::InternalError;
            return failed;
        }
        state.ledger.apply(&entry);
        answer(request, &entry)
    }
}

fn authorize(ledger: &Ledger, request: &Request, now: i64) -> (Decision, bool) {
    let action = authorization_code(ledger, request, now);
    (Decision { authorization: None, action }, APPROVALS.contains(&action))
}

fn authorization_code(ledger: &Ledger, request: &Request, now: i64) -> &'static str {
    if request.text(24) != "100" {
        return NOT_SUPPORTED;
    }
    if let Some(action) = magic(request.amount) {
        return action;
    }
    // As in the Java client's mock: a card that is not there has no money.
    let Some(card) = CARDS.iter().find(|card| **card == request.text(2)) else {
        return NO_FUNDS;
    };
    match request.cvd() {
        Cvd::Missing => return MISSING_CVD,
        Cvd::Given(cvd) if cvd != CARD_CVD => return WRONG_CVD,
        Cvd::Given(_) | Cvd::NotAskedFor => {}
    }
    if expired(request.text(14), now) {
        return EXPIRED;
    }
    let balance = if *card == POOR_CARD { POOR_BALANCE } else { BALANCE };
    match request.amount <= balance.saturating_sub(ledger.spent(&request.last4())) {
        true => APPROVED,
        false => NO_FUNDS,
    }
}

/// Capture, credit, reversal.
fn advise(ledger: &Ledger, request: &Request) -> Decision {
    let ticket = request.text(56).trim_end_matches('.');
    let Some(authorization) = ledger.by_ticket(ticket) else {
        return Decision { authorization: None, action: NO_RECORD };
    };
    let first = &authorization.first;
    let same = first.reference == request.text(31)
        && first.merchant == request.text(42)
        && first.pan_last4 == request.last4()
        && first.approval.as_deref() == Some(request.text(38));
    let function = |code: &str| !CHECKS_FUNCTION_CODE || request.text(24) == code;
    let left = first.amount.saturating_sub(authorization.captured);
    let action = match request.kind {
        _ if !same => NO_RECORD,
        _ if first.currency != request.text(49) || authorization.reversed || request.amount == 0 => INVALID_AMOUNT,
        Kind::Capture if request.amount > left => INVALID_AMOUNT,
        // 201 is all that was authorised at once, 202 anything less.
        Kind::Capture if function(if request.amount == first.amount { "201" } else { "202" }) => APPROVED,
        Kind::Credit if request.amount > authorization.captured.saturating_sub(authorization.credited) => {
            INVALID_AMOUNT
        }
        Kind::Credit if function("200") => APPROVED,
        Kind::Reversal if request.amount != first.amount || authorization.captured > 0 => INVALID_AMOUNT,
        Kind::Reversal if function("400") => REVERSAL_ACCEPTED,
        _ => NOT_SUPPORTED,
    };
    Decision { authorization: Some(first.id.clone()), action }
}

/// The field 39 that the amount asks for.
fn magic(amount: u64) -> Option<&'static str> {
    /// All codes of the reference's table that an authorisation may end with.
    const CODES: [&str; 48] = [
        "001", "002", "021", "022", "060", "061", "063", "100", "101", "102", "103", "104", "105", "106", "107", "108",
        "109", "110", "111", "112", "113", "114", "115", "116", "117", "118", "119", "120", "121", "122", "123", "124",
        "125", "126", "129", "200", "202", "204", "208", "209", "210", "902", "903", "904", "907", "908", "909", "911",
    ];
    let code = MAGIC_AMOUNTS.contains(&amount).then(|| format!("{:03}", amount % 1000))?;
    CODES.iter().copied().find(|known| *known == code)
}

/// `YYMM`; a card is good until its month has ended.
fn expired(text: &str, now: i64) -> bool {
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<i64>().ok());
    match (number(0..2), number(2..4)) {
        (Some(year), Some(month @ 1..=12)) => (2000 + year, month) < year_month(now),
        _ => true,
    }
}

fn answer(request: &Request, entry: &Entry) -> Message {
    let mut answer = plain(request, &entry.action);
    if let Some(approval) = &entry.approval {
        let _ = answer.set(38, approval);
    }
    // A refused advice leaves its ticket as it is.
    let ticket = entry.ticket.as_ref().map(|ticket| format!("{ticket:.<TICKET$}"));
    let given = Some(request.text(56)).filter(|given| !given.is_empty()).map(str::to_owned);
    if let Some(ticket) = ticket.or(given) {
        let _ = answer.set(56, &ticket);
    }
    answer
}

fn plain(request: &Request, action: &str) -> Message {
    let mut answer = request.answer();
    // Three digits, always.
    let _ = answer.set(39, action);
    tracing::info!(kind = answer.kind(), action, "answered");
    answer
}
