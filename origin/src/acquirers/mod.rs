//! Acquirers: who moves the money. Pure encoders and decoders, and one transport.
//!
//! A connector turns a call into bytes and bytes into an [`Outcome`]; it does no I/O, so its tests need no server. The
//! default outcome is *unknown*: only an explicit approval approves, only an explicit refusal declines.

pub mod clearhaus;
pub mod decline;
pub mod transport;

use zeroize::Zeroizing;

pub use decline::Decline;
pub use transport::Transport;

use crate::money::Amount;
use crate::vault::{CardExpiry, Csc, Pan};

/// What is asked of an acquirer.
pub enum Request<'a> {
    /// Hold the amount on the card.
    Authorise {
        /// How much.
        amount: Amount,
        /// The card's number.
        pan: &'a Pan,
        /// Its expiry.
        expiry: &'a CardExpiry,
        /// Its security code, held for this one call.
        csc: &'a Csc,
        /// Ours, for the acquirer's reports: printable ASCII, at most 30 bytes.
        reference: &'a str,
        /// The payer's address, where known.
        payer_address: Option<&'a str>,
    },
    /// Take what was held.
    Capture {
        /// The acquirer's id of the authorisation.
        authorisation: &'a str,
        /// How much.
        amount: Amount,
    },
    /// Give back what was held.
    Void {
        /// The acquirer's id of the authorisation.
        authorisation: &'a str,
    },
}

/// A POST, ready to be sent. Secrets are in the headers and the body: neither is ever logged.
pub struct WireRequest {
    /// Path below the acquirer's address.
    pub path: String,
    /// Names and values.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// The exact bytes that were signed.
    pub body: Zeroizing<Vec<u8>>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The acquirer said yes. Its id of what was booked, where it gave one.
    Approved {
        /// For later calls.
        reference: Option<String>,
    },
    /// The acquirer said no, or was certainly never asked.
    Declined(Decline),
    /// Nobody knows. It must not be sent again.
    Unknown(&'static str),
}

/// A third party that authorises and captures card payments.
pub trait Acquirer: Send + Sync {
    /// The name in the database, in metrics and in routing.
    fn name(&self) -> &'static str;

    /// Whether the call's fields are what the acquirer takes.
    ///
    /// # Errors
    /// [`AcquirerError::Field`].
    fn check(&self, request: &Request<'_>) -> Result<(), AcquirerError>;

    /// The bytes of a call.
    ///
    /// # Errors
    /// [`AcquirerError`]: nothing was sent.
    fn encode(&self, credentials: &[u8], request: &Request<'_>) -> Result<WireRequest, AcquirerError>;

    /// What an answer means.
    fn decode(&self, status: u16, body: &[u8]) -> Outcome;
}

/// Why a call cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AcquirerError {
    /// The stored credentials are not of this acquirer's form.
    #[error("the acquirer's credentials are not valid: {0}")]
    Credentials(&'static str),
    /// A field is outside of what the acquirer takes.
    #[error("the acquirer does not take this {0}")]
    Field(&'static str),
}

/// Asks, and says what became of it; never fails, because an error means unknown.
pub async fn ask(acquirer: &dyn Acquirer, transport: &Transport, credentials: &[u8], request: &Request<'_>) -> Outcome {
    let wire = match acquirer.encode(credentials, request) {
        Ok(wire) => wire,
        Err(error) => {
            tracing::error!(acquirer = acquirer.name(), cause = %error, "acquirer call could not be made");
            return Outcome::Declined(Decline::Configuration);
        }
    };
    match transport.post(wire).await {
        Ok((status, body)) => acquirer.decode(status, &body),
        Err(transport::TransportError::NotSent) => Outcome::Declined(Decline::Unreachable),
        Err(transport::TransportError::NoAnswer(reason)) => Outcome::Unknown(reason),
    }
}
