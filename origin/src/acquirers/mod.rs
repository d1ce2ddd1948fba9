//! Acquirers: who moves the money. Pure encoders and decoders, and the transports apart from them.
//!
//! A connector turns a call into bytes and bytes into an [`Outcome`]; it does no I/O, so its tests need no server. The
//! default outcome is *unknown*: only an explicit approval approves, only an explicit refusal declines.
//!
//! What a connector needs for later calls (an id, a ticket) is text of its own making that is kept with the transaction:
//! the *state*. An approval may replace it.

pub mod clearhaus;
pub mod decline;
pub mod mobilepay;
pub mod nets;
mod opened;
pub mod registry;
pub mod threedsecure;
pub mod transport;
mod units;

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

pub use decline::Decline;
pub use opened::Opened;
pub use registry::{Acquirers, Party};
pub use transport::Transport;
use units::minor_units;

use crate::money::{Amount, Currency};
use crate::vault::{CardExpiry, Csc, Pan};

/// What is asked of an acquirer. Everything but the secrets is written down before it is asked, so that a call can be made
/// again with the same bytes where the acquirer documents that this is safe.
pub struct Request<'a> {
    /// Ours, for the acquirer's reports: `sv-<transaction>`, printable ASCII, at most 30 bytes; the same for all acts.
    pub reference: &'a str,
    /// The act's number in its transaction: with the reference it names this call for ever.
    pub act: u32,
    /// When the intent was written, in Unix milliseconds; the same in every repetition.
    pub asked_at_ms: u64,
    /// How much. For a void, what was authorised.
    pub amount: Amount,
    /// What the payer's statement is to say, checked by [`Acquirer::check`].
    pub text_on_statement: Option<&'a str>,
    /// What.
    pub call: Call<'a>,
}

/// The calls there are. `state` is what the connector gave with the transaction's last approval.
pub enum Call<'a> {
    /// Hold the amount.
    Authorise(Authorisation<'a>),
    /// Take some of what was held.
    Capture {
        /// The connector's.
        state: &'a str,
        /// What was held.
        authorised: Amount,
        /// The card, where [`Capabilities::needs_card`].
        card: Option<(&'a Pan, &'a CardExpiry)>,
    },
    /// Give back some of what was taken.
    Refund {
        /// The connector's.
        state: &'a str,
        /// What was taken, over all captures.
        captured: Amount,
        /// The card, where [`Capabilities::needs_card`].
        card: Option<(&'a Pan, &'a CardExpiry)>,
    },
    /// Give back what is held; where [`Capabilities::voids_captured`], what was taken as well.
    Void {
        /// The connector's.
        state: &'a str,
        /// The card, where [`Capabilities::needs_card`].
        card: Option<(&'a Pan, &'a CardExpiry)>,
    },
    /// Pay out to a card, without an authorisation before it.
    Credit {
        /// The card's number.
        pan: &'a Pan,
        /// Its expiry.
        expiry: &'a CardExpiry,
        /// Whose it is.
        holder: &'a str,
    },
}

/// What an authorisation is made of.
pub struct Authorisation<'a> {
    /// What is charged.
    pub instrument: Instrument<'a>,
    /// The payer's address, where known.
    pub payer_address: Option<&'a str>,
    /// What the bank's server said of the cardholder.
    pub authentication: Option<&'a Authentication>,
    /// Whether it begins or continues a series.
    pub series: Series<'a>,
}

/// A card, or what stands for one.
pub enum Instrument<'a> {
    /// A card's own number.
    Card {
        /// Its number.
        pan: &'a Pan,
        /// Its expiry.
        expiry: &'a CardExpiry,
        /// Its security code, held for this one call; there is none when the cardholder is not there.
        csc: Option<&'a Csc>,
    },
    /// A number that a wallet's scheme made for a card.
    NetworkToken {
        /// The token's number.
        pan: &'a Pan,
        /// Its expiry.
        expiry: &'a CardExpiry,
        /// One use's proof, base64.
        cryptogram: &'a str,
        /// Two digits, where there is one.
        eci: Option<&'a str>,
        /// Whether the scheme is Mastercard, which takes no indicator from us.
        is_mastercard: bool,
    },
}

/// The outcome of 3-D Secure that an authorisation may lean on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Which message.
    pub message: AuthenticationMessage,
    /// The message as it came, JSON.
    pub json: String,
}

/// Where an authentication ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationMessage {
    /// Without a challenge.
    Ares,
    /// After one.
    Rreq,
}

/// Charges that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series<'a> {
    /// One payment.
    None,
    /// The cardholder agrees to later charges.
    First,
    /// One of them. What [`Approval::series`] of the charge before said.
    Next(&'a str),
}

/// Bytes, ready to be sent. Secrets are in the headers and the body: neither is ever logged.
pub enum Wire {
    /// A POST.
    Post(WireRequest),
    /// One message on a connection of its own; the answer ends with the connection.
    Frame(Zeroizing<Vec<u8>>),
}

/// An HTTP POST.
pub struct WireRequest {
    /// Path below the party's address.
    pub path: String,
    /// Names and values.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// The exact bytes that were signed.
    pub body: Zeroizing<Vec<u8>>,
}

/// What came back. It may repeat the card's number and code: it is never logged.
pub struct Answer {
    /// HTTP's; 0 for a frame.
    pub status: u16,
    /// All of it.
    pub body: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Answer({} {} bytes)", self.status, self.body.len())
    }
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The acquirer said yes.
    Approved(Approval),
    /// The acquirer said no, or was certainly never asked.
    Declined(Refusal),
    /// Nobody knows.
    Unknown {
        /// For the log and the operator.
        why: &'static str,
        /// With it, what may have been booked can be voided.
        state: Option<String>,
    },
}

/// A yes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approval {
    /// The connector's state from now on; `None`: as before. An authorisation without one cannot be used.
    pub state: Option<String>,
    /// The issuer's approval code.
    pub approval_code: Option<String>,
    /// What the next charge of the series names.
    pub series: Option<String>,
    /// Whether the security code was the card's, where the acquirer says so: it may approve all the same.
    pub csc_matches: Option<bool>,
}

/// A no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In our vocabulary.
    pub reason: Decline,
    /// In the acquirer's.
    pub code: Option<String>,
}

impl From<Decline> for Refusal {
    fn from(reason: Decline) -> Self {
        Self { reason, code: None }
    }
}

/// What a party can do; what it cannot is refused before anything is written.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Less than what was authorised may be captured, and more than once.
    pub partial_captures: bool,
    /// Less than what was captured may be refunded, and more than once.
    pub partial_refunds: bool,
    /// A void also undoes captures; elsewhere a reversal after a capture is a refund of all of it.
    pub voids_captured: bool,
    /// Network tokens of wallets.
    pub network_tokens: bool,
    /// Series of charges.
    pub series: bool,
    /// The card's number goes with every call, not only with the authorisation: it is opened from the vault for it, and
    /// once it has left the vault nothing can be captured, refunded or voided there any more.
    pub needs_card: bool,
    /// What can be done about a call without an answer.
    pub unanswered: Unanswered,
}

/// What a party documents for calls whose answer was lost.
#[derive(Clone, Copy, Debug)]
pub struct Unanswered {
    /// Captures.
    pub capture: Resolution,
    /// Refunds.
    pub refund: Resolution,
    /// Voids.
    pub void: Resolution,
}

/// How an unknown outcome is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Not at all: an operator settles it from the party's report.
    Operator,
    /// The same bytes again are answered like the first time, and booked once.
    Repeat {
        /// The least time between two, in milliseconds.
        every_ms: u64,
        /// How often.
        at_most: u32,
    },
}

/// A third party that authorises and captures card payments.
pub trait Acquirer: Send + Sync {
    /// The name in the database, in metrics and in routing.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Decimals of a currency at this acquirer; `None`: it does not take it.
    fn exponent(&self, currency: Currency) -> Option<u8>;

    /// Whether stored credentials are of its form: at the time when they are set.
    ///
    /// # Errors
    /// [`AcquirerError::Credentials`].
    fn check_credentials(&self, credentials: &[u8]) -> Result<(), AcquirerError>;

    /// Whether the call's fields are what the acquirer takes.
    ///
    /// # Errors
    /// [`AcquirerError::Field`].
    fn check(&self, request: &Request<'_>) -> Result<(), AcquirerError>;

    /// The bytes of a call.
    ///
    /// # Errors
    /// [`AcquirerError`]: nothing was sent.
    fn encode(&self, credentials: &Opened, request: &Request<'_>) -> Result<Wire, AcquirerError>;

    /// What an answer means.
    fn decode(&self, request: &Request<'_>, answer: &Answer) -> Outcome;
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
    /// The acquirer has no such call.
    #[error("the acquirer does not offer this")]
    NotOffered,
}

impl AcquirerError {
    /// As what a payment ends that could not be asked for: nothing was sent.
    #[must_use]
    pub fn decline(&self) -> Decline {
        match self {
            Self::Credentials(_) => Decline::Credentials,
            Self::Field(_) | Self::NotOffered => Decline::Configuration,
        }
    }
}

/// Asks, and says what became of it; never fails, because an error means unknown.
pub async fn ask(party: &Party, credentials: &Opened, request: &Request<'_>) -> Outcome {
    let acquirer = &*party.acquirer;
    let wire = match acquirer.encode(credentials, request) {
        Ok(wire) => wire,
        Err(error) => {
            tracing::error!(acquirer = acquirer.name(), cause = %error, "acquirer call could not be made");
            return Outcome::Declined(error.decline().into());
        }
    };
    match party.transport.send(wire).await {
        Ok(answer) => acquirer.decode(request, &answer),
        Err(transport::TransportError::NotSent) => Outcome::Declined(Decline::Unreachable.into()),
        Err(transport::TransportError::NoAnswer(why)) => Outcome::Unknown { why, state: None },
    }
}
