//! What an answer means. In this order: the frame's code, the header's status, the message type, what must be the same
//! as in the request, and only then field 39.

use super::actions::{self, Action};
use super::codec::Message;
use super::frame::{self, FrameError};
use super::guesses::REVERSAL_ACCEPTED;
use super::message::{amount, kinds, point_of_service};
use super::state::State;
use crate::acquirers::{Answer, Approval, Call, Decline, Outcome, Refusal, Request, Series};

/// Reads the answer of a request.
pub(super) fn outcome(request: &Request<'_>, answer: &Answer) -> Outcome {
    let bytes = match frame::open(&answer.body) {
        Ok(bytes) => bytes,
        // No message follows, and nothing tells whether the host had the request before the network gave up.
        Err(FrameError::Refused(_)) => return unknown("the network refused the message"),
        Err(_) => return unknown("the acquirer's answer was cut"),
    };
    let Ok(message) = Message::parse(bytes) else {
        return unknown("the acquirer's answer was not readable");
    };
    match message.status {
        "000" => {}
        // Not understood, or not offered: it was not looked at.
        "400" | "501" => return refused(Decline::Configuration, format!("PSIP {}", message.status)),
        _ => return unknown("the acquirer reported an error of its own"),
    }
    if message.kind != kinds(&request.call).1 || !is_of(request, &message) {
        return unknown("the acquirer answered another message");
    }
    let Some(code) = message.get(39) else {
        return unknown("the acquirer's answer has no action code");
    };
    match &request.call {
        Call::Authorise(authorisation) => authorised(authorisation.series, &message, code, request),
        Call::Capture { state, .. } | Call::Refund { state, .. } => advised(state, &message, code, false),
        Call::Void { state, .. } => advised(state, &message, code, true),
        Call::Credit { .. } => unknown("this was never asked"),
    }
}

/// Whether what is echoed is what was sent; an answer need not echo everything.
fn is_of(request: &Request<'_>, message: &Message<'_>) -> bool {
    let same = |number: u8, sent: &str| message.get(number).is_none_or(|echoed| echoed == sent);
    same(4, &amount(request)) && same(31, request.reference) && same(49, request.amount.currency_ref().as_str())
}

fn authorised(series: Series<'_>, message: &Message<'_>, code: &str, request: &Request<'_>) -> Outcome {
    let state = || {
        let (ticket, approval) = (filled(message, 56)?, filled(message, 38)?);
        let (ticket, approval) = (ticket.to_owned(), approval.to_owned());
        State { ticket, approval, action: code.to_owned(), point: point_of_service(series).to_owned() }.to_text()
    };
    match (actions::meaning(code), state()) {
        (Action::Approved, Some(state)) => Outcome::Approved(Approval {
            state: Some(state),
            approval_code: filled(message, 38).map(|code| code.trim_end().to_owned()),
            // Nothing of the first charge goes into a later one; its reference is kept for whoever has to ask Nets.
            series: (series != Series::None).then(|| request.reference.to_owned()),
            csc_matches: None,
        }),
        (Action::Approved, None) => unknown("the acquirer approved without a ticket"),
        (Action::Declined(reason), _) => refused(reason, code.to_owned()),
        (Action::Technical, _) => refused(Decline::Technical, code.to_owned()),
        // Less than was asked for is no payment; what has a ticket can be given back.
        (Action::Partial, None) => refused(Decline::DoNotHonour, code.to_owned()),
        (Action::Partial, state) => Outcome::Unknown { why: "the acquirer approved a part only", state },
        (Action::Unclear, state) => Outcome::Unknown { why: "the acquirer's action code is not known", state },
    }
}

/// A capture, credit or reversal. An advice may be repeated, so what is not certain stays unknown and is asked again.
fn advised(state: &str, message: &Message<'_>, code: &str, is_reversal: bool) -> Outcome {
    if is_reversal && code == REVERSAL_ACCEPTED {
        return moved(state, message);
    }
    match (actions::meaning(code), code) {
        (Action::Approved, _) => moved(state, message),
        // The ticket that we hold is not the last one: perhaps this very message was booked before.
        (_, "118") => unknown("the acquirer does not know the ticket"),
        (Action::Declined(reason), _) => refused(reason, code.to_owned()),
        (Action::Technical, _) => unknown("the acquirer had a technical problem"),
        (Action::Partial | Action::Unclear, _) => unknown("the acquirer's action code is not known"),
    }
}

/// The new ticket takes the place of the one that was sent.
fn moved(state: &str, message: &Message<'_>) -> Outcome {
    let next = State::parse(state)
        .ok()
        .zip(filled(message, 56))
        .and_then(|(state, ticket)| state.with_ticket(ticket).to_text());
    match next {
        Some(state) => Outcome::Approved(Approval { state: Some(state), ..Approval::default() }),
        // It was booked, and a repetition is answered like the first time: perhaps with the ticket.
        None => unknown("the acquirer approved without a ticket"),
    }
}

fn filled<'a>(message: &Message<'a>, number: u8) -> Option<&'a str> {
    message.get(number).filter(|text| !text.trim_end().is_empty())
}

fn refused(reason: Decline, code: String) -> Outcome {
    Outcome::Declined(Refusal { reason, code: Some(code) })
}

fn unknown(why: &'static str) -> Outcome {
    Outcome::Unknown { why, state: None }
}
