//! Nets' acquirer interface PSIP: ISO 8583:1993 messages in PGTM frames over TLS, one message per connection.
//!
//! **Verified against our simulator only.** Nets publishes no description of it and gives test access to its own
//! merchants' PSPs alone; this is a reading of an open-source client of 2013, of tables of contents and of help pages,
//! and the simulator is another reading of the same. What no source tells is in [`guesses`]. Before a merchant is
//! connected: the guide from Nets, a look through `guesses`, and Nets' certification.
//!
//! A transaction has no id there. Its handle is the ticket of up to 255 characters that each answer replaces, with the
//! approval and action code of the authorisation: the state. An authorisation whose answer is lost has no ticket, so it
//! can be neither captured nor reversed; it lapses. Captures, credits and reversals are advices: the same message again
//! is answered like the first time. Each also carries the card's number, so what has left the vault cannot be refunded.

mod actions;
mod answer;
pub mod codec;
mod credentials;
pub mod frame;
mod guesses;
mod message;
mod state;

pub use credentials::{Credentials, Tags};

use super::{
    Acquirer, AcquirerError, Answer, Call, Capabilities, Instrument, Opened, Outcome, Request, Resolution, Series,
    Unanswered, Wire,
};
use crate::money::Currency;

/// The same advice again.
const REPEAT: Resolution = Resolution::Repeat { every_ms: guesses::REPEAT_EVERY_MS, at_most: guesses::REPEAT_AT_MOST };

/// The connector; it has no state.
#[derive(Debug)]
pub struct Nets;

impl Acquirer for Nets {
    fn name(&self) -> &'static str {
        "nets"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            partial_captures: true,
            partial_refunds: true,
            voids_captured: false,
            // The tags for a token's cryptogram are not public.
            network_tokens: false,
            series: true,
            needs_card: true,
            unanswered: Unanswered { capture: REPEAT, refund: REPEAT, void: REPEAT },
        }
    }

    /// ISO 4217's: the field is alphabetic and no table of Nets' own is known.
    fn exponent(&self, currency: Currency) -> Option<u8> {
        Some(currency.exponent())
    }

    fn check_credentials(&self, credentials: &[u8]) -> Result<(), AcquirerError> {
        Credentials::parse(credentials).map(drop)
    }

    /// The text on the statement is the merchant's name as registered; another one cannot be asked for and is left out.
    fn check(&self, request: &Request<'_>) -> Result<(), AcquirerError> {
        if !(1..=30).contains(&request.reference.len()) {
            return Err(AcquirerError::Field("reference"));
        }
        match &request.call {
            Call::Authorise(authorisation) => match (&authorisation.instrument, authorisation.series) {
                (Instrument::Card { csc: Some(csc), .. }, Series::None | Series::First) if csc.expose().len() == 3 => {
                    Ok(())
                }
                (Instrument::Card { csc: None, .. }, Series::Next(_)) => Ok(()),
                (Instrument::Card { .. }, _) => Err(AcquirerError::Field("security code")),
                (Instrument::NetworkToken { .. }, _) => Err(AcquirerError::NotOffered),
            },
            Call::Capture { .. } | Call::Refund { .. } | Call::Void { .. } if request.amount.minor() == 0 => {
                Err(AcquirerError::Field("amount"))
            }
            Call::Capture { state, .. } | Call::Refund { state, .. } | Call::Void { state, .. } => {
                state::State::parse(state).map(drop)
            }
            Call::Credit { .. } => Err(AcquirerError::NotOffered),
        }
    }

    fn encode(&self, credentials: &Opened, request: &Request<'_>) -> Result<Wire, AcquirerError> {
        let message = message::of(&Credentials::parse(credentials.expose())?, request)?;
        frame::wrap(&message).map(Wire::Frame).map_err(|_| AcquirerError::Field("message"))
    }

    fn decode(&self, request: &Request<'_>, answer: &Answer) -> Outcome {
        answer::outcome(request, answer)
    }
}

#[cfg(test)]
mod tests;
