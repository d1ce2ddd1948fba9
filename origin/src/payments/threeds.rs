//! 3-D Secure of one payment, over several posts of the payer's page.
//!
//! ```text
//!            ┌─ not enrolled ─▶ as the merchant's rule says
//! /preauth ──┤
//!            └─ method page? ─▶ Next::Method ─(after: method)─▶ /auth ─┬─▶ Next::Authorise, Next::Decline
//!                                                                     └─▶ Next::Challenge ─(after: challenge)─▶ /postauth
//! ```
//!
//! What a browser brings back never decides anything: it only says when to ask the server. Each step is claimed in the
//! database before it is made, so that of two posts at once (two tabs, a reload) one makes it and the other is told to wait; a
//! post whose answer was lost gets the same answer again. A claim whose process died is taken over after a while, with a
//! new id. No card number and no security code is in the row.

mod run;

use tokio::time::Instant;

use self::run::Run;
use super::store::Transaction;
use super::store::authentications::{self, State};
use crate::acquirers::threedsecure::{Browser, Credentials, Mode, Server};
use crate::acquirers::{Authentication, Refusal};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::vault::{CardExpiry, CardholderName, Pan};

/// How long a payer at their bank's method page is waited for, and the code kept for them.
pub const LEASE_MS: i64 = 10 * 60_000;
/// Longer than one post can take.
const CLAIM_LIVES_MS: i64 = 45_000;

/// The 3-D Secure server, and where we are.
pub struct ThreeDs {
    /// The way to it.
    pub server: Server,
    /// Base of the addresses that banks call back.
    pub public_url: String,
    /// Banks' pages over plain HTTP are shown; for development.
    pub shows_plain_http: bool,
}

/// A merchant's side of it.
pub struct Setup {
    /// Their rule.
    pub mode: Mode,
    /// Their record.
    pub credentials: Credentials,
}

/// One post of a page.
pub struct Case<'a> {
    /// Waiting.
    pub transaction: &'a Transaction,
    /// The merchant's.
    pub setup: &'a Setup,
    /// The card's number.
    pub pan: &'a Pan,
    /// Its expiry.
    pub expiry: &'a CardExpiry,
    /// The name on it.
    pub holder: Option<&'a CardholderName>,
    /// Whether later charges rest on this one: the bank is to ask its customer then.
    pub keeps_card: bool,
    /// The payer's address.
    pub payer_address: &'a str,
    /// The payer's browser.
    pub browser: &'a Browser,
}

/// What the page has just done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It has waited for the bank's method page.
    Method,
    /// The bank's challenge has sent it back.
    Challenge,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// The page posts this in a hidden frame.
    Method {
        /// Where to.
        url: String,
        /// `threeDSMethodData`.
        data: String,
    },
    /// The page posts this in a frame that the payer sees.
    Challenge {
        /// Where to.
        url: String,
        /// `creq`.
        creq: String,
    },
    /// The acquirer is asked.
    Authorise(Option<Authentication>),
    /// Not paid.
    Decline(Refusal),
}

/// Why there is no next step.
#[derive(Debug, thiserror::Error)]
pub enum ThreeDsError {
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Another post of the same page is at it.
    #[error("another post of this payment is being answered")]
    Busy,
}

impl ThreeDs {
    /// The next step of a transaction that waits: the first one, or the one after what the page has done.
    ///
    /// # Errors
    /// See [`ThreeDsError`].
    pub async fn go_on(
        &self,
        db: &Db,
        clock: &dyn Clock,
        case: &Case<'_>,
        after: Option<After>,
    ) -> Result<Next, ThreeDsError> {
        let run = Run { threeds: self, db, clock, case, began: Instant::now() };
        let Some(record) = authentications::find(db, case.transaction.id).await? else { return run.start().await };
        let is_left = clock.now_db() - record.updated_at_ms > CLAIM_LIVES_MS;
        match (record.state, after) {
            (State::Method, Some(After::Method)) => run.after_method(record).await,
            (State::Asking, _) if is_left => run.take_over(record).await,
            (State::Asking, _) => Err(ThreeDsError::Busy),
            (State::Challenge, Some(After::Challenge)) => run.after_challenge(&record).await,
            (State::Method | State::Challenge, _) => Ok(run.same_again(&record)),
        }
    }

    /// The bank's method page has called back. What it posts names the id or, as in the documentation, something else:
    /// then the address that it was posted to counts.
    ///
    /// # Errors
    /// From the database.
    pub async fn method_called_back(db: &Db, transaction_id: i64, server_id: Option<&str>) -> Result<bool, DbError> {
        authentications::method_done(db, transaction_id, server_id).await
    }

    fn callback(&self, what: &str, transaction_id: i64) -> String {
        format!("{}/pluto/public/3ds/{what}/{transaction_id}", self.public_url.trim_end_matches('/'))
    }

    /// A page of ours shows nothing over plain HTTP; where a bank wants that, it does not get it.
    fn may_show(&self, url: &str) -> bool {
        url.starts_with("https://") || self.shows_plain_http
    }
}
