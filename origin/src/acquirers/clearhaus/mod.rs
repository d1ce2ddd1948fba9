//! Clearhaus' transaction gateway: form-encoded POST, Basic with the API key, RSA signature over the raw body.
//!
//! The gateway has neither an idempotency key nor a look-up: a call without an answer is unknown for good and never
//! sent again. The one handle is the authorisation's id: captures, refunds, voids and the next charge of a series name
//! it. Facts: Clearhaus' gateway documentation, the parts of it that it leaves open behind named constants.

mod calls;
mod credentials;
mod currency;
mod form;
mod status;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

pub use calls::is_text_on_statement;
use credentials::Signer;

pub use credentials::Credentials;

use super::{
    Acquirer, AcquirerError, Answer, Approval, Call, Capabilities, Decline, Opened, Outcome, Refusal, Request,
    Resolution, Series, Unanswered, Wire, WireRequest,
};
use crate::money::Currency;
use status::Meaning;

/// The connector; it has no state.
#[derive(Debug)]
pub struct Clearhaus;

impl Acquirer for Clearhaus {
    fn name(&self) -> &'static str {
        "clearhaus"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            partial_captures: true,
            partial_refunds: true,
            voids_captured: false,
            network_tokens: true,
            series: true,
            needs_card: false,
            unanswered: Unanswered {
                capture: Resolution::Operator,
                refund: Resolution::Operator,
                void: Resolution::Operator,
            },
        }
    }

    fn exponent(&self, currency: Currency) -> Option<u8> {
        currency::exponent(currency.as_str())
    }

    fn check_credentials(&self, credentials: &[u8]) -> Result<(), AcquirerError> {
        Credentials::parse(credentials)?.check()
    }

    fn check(&self, request: &Request<'_>) -> Result<(), AcquirerError> {
        calls::of(request).map(|_| ())
    }

    fn encode(&self, credentials: &Opened, request: &Request<'_>) -> Result<Wire, AcquirerError> {
        let signer = credentials.read(Signer::read)?;
        let (path, form) = calls::of(request)?;
        let body = form.into_body();
        let signature = format!("{} RS256-hex {}", signer.credentials().signing_key_id, signer.sign(&body)?);
        let basic = Zeroizing::new(format!("{}:", signer.credentials().api_key));
        Ok(Wire::Post(WireRequest {
            path,
            headers: vec![
                ("authorization", Zeroizing::new(format!("Basic {}", STANDARD.encode(basic.as_bytes())))),
                ("signature", Zeroizing::new(signature)),
                ("content-type", Zeroizing::new("application/x-www-form-urlencoded".to_owned())),
            ],
            body,
        }))
    }

    /// The body's `status.code` decides, with 2xx and 400 alike (which of them a decline has is not documented); any
    /// other status says nothing about what was booked, except 401 and 404, which are answered before anything is
    /// looked at.
    fn decode(&self, request: &Request<'_>, answer: &Answer) -> Outcome {
        match answer.status {
            200 | 201 | 400 => {}
            401 => return refused(Decline::Credentials, "401".to_owned()),
            404 => return refused(Decline::Configuration, "404".to_owned()),
            _ => return unknown("the acquirer answered with an error"),
        }
        let Ok(body) = serde_json::from_slice::<Body>(&answer.body) else {
            return unknown("the acquirer's answer was not readable");
        };
        let code = body.status.code;
        match status::meaning(code) {
            Meaning::Approved => approved(request, body),
            Meaning::Declined(reason) => refused(reason, code.to_string()),
            // Documented since 2024-10: what was done about the authorisation is uncertain there, too, and it can be voided.
            Meaning::ClearhausError => Outcome::Unknown {
                why: "the acquirer reported an error of its own",
                state: body.id.filter(|id| is_authorise(request) && calls::checked_id(id).is_ok()),
            },
            Meaning::Unknown => unknown("the acquirer answered with a status that is not known"),
        }
    }
}

/// The answer; everything but the code may be missing.
#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    status: Status,
    csc: Option<CscResult>,
}

#[derive(Deserialize)]
struct Status {
    code: u32,
}

#[derive(Deserialize)]
struct CscResult {
    matches: Option<bool>,
}

/// An approval. Only an authorisation's id is a handle: a capture and a refund have ids of their own, which nothing
/// takes, and replacing the authorisation's by one of them would lose the payment.
fn approved(request: &Request<'_>, body: Body) -> Outcome {
    let Call::Authorise(authorisation) = &request.call else {
        return Outcome::Approved(Approval::default());
    };
    let Some(id) = body.id.filter(|id| calls::checked_id(id).is_ok()) else {
        return unknown("the acquirer approved without an id");
    };
    let series = (authorisation.series != Series::None).then(|| id.clone());
    let csc_matches = body.csc.and_then(|csc| csc.matches);
    Outcome::Approved(Approval { state: Some(id), approval_code: None, series, csc_matches })
}

fn is_authorise(request: &Request<'_>) -> bool {
    matches!(request.call, Call::Authorise(_))
}

fn refused(reason: Decline, code: String) -> Outcome {
    Outcome::Declined(Refusal { reason, code: Some(code) })
}

fn unknown(why: &'static str) -> Outcome {
    Outcome::Unknown { why, state: None }
}

#[cfg(test)]
mod tests;
