//! A shopper pays a code.
//!
//! Steps, each with what stops it:
//! 1. the vault is open (503); the code exists (404), is not expired (410), is available (409): `check`;
//! 2. the sealed card opens and says what the page said: code, attempt, amount, currency, expiry (400): `check`;
//! 3. this card, this address and this code were not tried too often (429): `check`;
//! 4. intent: code locked, card stored, transaction and act written, attempt used up — one commit (409 for the loser):
//!    `intent`;
//! 5. the payer's bank is asked, where the merchant wants that, over further posts of the same page: `authenticate`;
//! 6. the engine authorises and captures.
//!
//! The same sealed card sent again is answered with what became of it the first time; it is never paid twice.
//!
//! From 4 on the work runs in a task of its own: a shopper who closes the page cancels nothing.

mod authenticate;
mod check;
mod flow;
mod intent;

use scanvault_protocol::Problem;

pub use super::service::Payments;
pub use check::{merchant, sealed_problem};
pub use flow::Post;

use super::engine::SeriesOf;
use super::ledger::Stage;
use super::store::{CodeRecord, Transaction};
use crate::acquirers::Decline;
use crate::web::ApiError;

/// What the shopper is told.
#[derive(Debug, PartialEq, Eq)]
pub enum PayOutcome {
    /// Paid.
    Paid {
        /// The transaction.
        transaction_id: i64,
    },
    /// Not paid, and not charged.
    Declined {
        /// The transaction.
        transaction_id: i64,
        /// Why.
        reason: Decline,
    },
    /// The payer changed their mind, or did not come back.
    Cancelled {
        /// The transaction.
        transaction_id: i64,
    },
    /// Nobody knows yet. `may_retry`: the card cannot have been charged.
    Unknown {
        /// The transaction.
        transaction_id: i64,
        /// Whether paying again is safe.
        may_retry: bool,
    },
    /// The bank's server wants to see the browser first.
    Method {
        /// The transaction.
        transaction_id: i64,
        /// Where the page posts to, in a frame that nobody sees.
        url: String,
        /// What it posts.
        data: String,
    },
    /// The bank asks its customer.
    Challenge {
        /// The transaction.
        transaction_id: i64,
        /// Where the page posts to, in a frame.
        url: String,
        /// What it posts.
        creq: String,
    },
}

/// Whether a payment begins a series: its card is kept for charges without its holder.
#[must_use]
pub fn series_of(record: &CodeRecord) -> SeriesOf {
    if record.keeps_card() { SeriesOf::First } else { SeriesOf::None }
}

impl PayOutcome {
    /// Where a transaction stands by now.
    ///
    /// # Errors
    /// [`Problem::CodeBusy`] while it waits for an answer.
    pub fn of(transaction: &Transaction) -> Result<Self, ApiError> {
        let transaction_id = transaction.id;
        let reason = transaction.decline.unwrap_or(Decline::DoNotHonour);
        match transaction.ledger.stage {
            Stage::Declined | Stage::Voided => Ok(Self::Declined { transaction_id, reason }),
            Stage::Cancelled | Stage::Expired => Ok(Self::Cancelled { transaction_id }),
            Stage::Lost => Ok(Self::Unknown { transaction_id, may_retry: true }),
            Stage::Authorised if transaction.is_taken() => Ok(Self::Paid { transaction_id }),
            // Refused for certain: what is left is to give the hold back, and nobody pays for it.
            Stage::Authorised if transaction.is_given_back() => Ok(Self::Declined { transaction_id, reason }),
            Stage::Authorised if transaction.is_capture_unknown() => {
                Ok(Self::Unknown { transaction_id, may_retry: false })
            }
            Stage::Waiting | Stage::Authorising | Stage::Authorised => Err(Problem::CodeBusy.into()),
        }
    }
}
