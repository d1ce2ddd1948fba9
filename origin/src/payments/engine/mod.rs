//! The one place that asks an acquirer, and writes down what became of it.
//!
//! ```text
//! intent (act asked) ─commit─▶ call ─▶ outcome (act done, refused or unknown) ─commit─▶
//! ```
//!
//! [`Asked`] is the proof that an intent was committed; only with it is anything asked, and it is used up by asking. What
//! must be written together with an intent or an outcome (an idempotency key, a subscriber) is a [`Hook`].
//! Everything runs in tasks of their own: see [`Payments::to_its_end`](super::Payments::to_its_end).

mod act;
mod ask;
mod authorise;
mod held;
mod outcome;
mod terms;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use scanvault_protocol::Problem;

pub use act::{ActRequest, Acted};
pub use ask::{Asked, begin};
pub(super) use ask::{Routed, Telling, resolution};
pub(super) use authorise::give_back;
pub use authorise::{Means, Order, SeriesOf};
pub(super) use outcome::{Word, nothing};
pub(super) use terms::account as account_of;

use super::ledger::{ActEnd, Illegal};
use super::steps::StepError;
use super::store::Transaction;
use crate::db::{DbError, Tx};
use crate::entropy::EntropyError;
use crate::identity::secrets::SecretError;
use crate::vault::SealedError;
use crate::vault::cards::CardStoreError;
use crate::web::ApiError;

/// Why nothing was asked, or an outcome was not written.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such step from here.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// Somebody else has moved the transaction, again and again.
    #[error("the transaction was moved by somebody else")]
    Moved,
    /// There is no such transaction.
    #[error("there is no such transaction")]
    NotFound,
    /// The merchant has no acquirer for this, or not any more.
    #[error("this merchant has no acquirer that could be asked")]
    NotConfigured,
    /// The acquirer has no such call, or not with these fields.
    #[error("the acquirer does not offer this: {0}")]
    NotOffered(String),
    /// The card that this acquirer wants to see again has left the vault.
    #[error("the card of this payment is not kept any more")]
    CardGone,
    /// The vault is sealed: nothing was done.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The database's word: what was being written may be there all the same.
    #[error(transparent)]
    Db(#[from] DbError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The merchant's credentials do not open.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The card does not open.
    #[error(transparent)]
    Card(#[from] CardStoreError),
    /// The task was ended from outside.
    #[error("the work was not finished: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl From<StepError> for EngineError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Db(error) => Self::Db(error),
            StepError::Moved => Self::Moved,
            StepError::Illegal(illegal) => Self::Illegal(illegal),
            StepError::Entropy(error) => Self::Entropy(error),
        }
    }
}

impl From<EngineError> for ApiError {
    /// For interfaces without words of their own.
    fn from(error: EngineError) -> Self {
        match &error {
            EngineError::Illegal(illegal) => Self::because(Problem::Conflict, illegal.to_string()),
            EngineError::NotConfigured | EngineError::NotOffered(_) | EngineError::CardGone => {
                Self::because(Problem::Conflict, error.to_string())
            }
            EngineError::Moved => Problem::Conflict.into(),
            EngineError::NotFound => Problem::NotFound.into(),
            EngineError::Sealed(_) => Problem::Sealed.into(),
            _ => Self::internal(&error),
        }
    }
}

/// What a hook's writes come to. Only the database may fail: for anything else there is no transaction to refuse.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<(), DbError>> + Send + 'a>>;

/// What is written in the database transactions of a call, or not at all.
pub trait Hook: Send + Sync {
    /// With the intent, before anything else of it; an error and nothing is asked. A duplicate here comes back as
    /// [`EngineError::Db`].
    fn intent<'a>(&'a self, _tx: &'a mut Tx, _transaction: &'a Transaction) -> HookFuture<'a> {
        Box::pin(async { Ok(()) })
    }

    /// With each outcome; there may be several (an authorisation, then its capture), and one may be tried again when the
    /// database has failed. The transaction is as it is from then on. An error and the outcome is not written either, so
    /// this must not fail for reasons of its own.
    fn outcome<'a>(&'a self, _tx: &'a mut Tx, _transaction: &'a Transaction, _end: ActEnd) -> HookFuture<'a> {
        Box::pin(async { Ok(()) })
    }
}

/// Nothing is written besides.
pub struct NoHook;

impl Hook for NoHook {}

/// As most callers want it.
#[must_use]
pub fn no_hook() -> Arc<dyn Hook> {
    Arc::new(NoHook)
}
