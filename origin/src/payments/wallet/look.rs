//! What MobilePay says of a payment decides what becomes of it here.
//!
//! | MobilePay | Waiting here | authorised here | ended here |
//! |---|---|---|---|
//! | not known | its time over: Expired | waited; its time over: given back | nothing more |
//! | CREATED | its time over: Expired, and cancelled there | waited; its time over: given back | nothing more |
//! | AUTHORIZED | waited (it cannot be) | captured, where that is to be at once | an error for the log; released there |
//! | ABORTED, TERMINATED | Cancelled | given back | nothing more |
//! | EXPIRED | Expired | given back | nothing more |
//!
//! A webhook, a poll of the pay page and the clock all lead here; none of them is believed by itself.

use std::sync::Arc;

use super::Wallet;
use crate::acquirers::mobilepay::{PaymentState, WalletError};
use crate::db::DbError;
use crate::payments::engine::{ActRequest, EngineError, no_hook};
use crate::payments::ledger::Stage;
use crate::payments::state::Method;
use crate::payments::steps::StepError;
use crate::payments::store::wallet::{self as rows, WalletRow, WalletState};
use crate::payments::store::{self, Transaction};

/// Longer than a look takes, whatever it leads to: the lease ends only when this process is gone.
const LEASE_MS: i64 = 120_000;
const SOONEST_MS: i64 = 2_000;
/// While a payer is waited for. Their page, or a webhook, makes it sooner.
const WHILE_WAITING_MS: i64 = 15_000;
const LATEST_MS: i64 = 3_600_000;
/// MobilePay takes at most this long over what we have answered (its own limit is 20 s): until then it is asked often.
const ANSWER_TAKES_MS: i64 = 30_000;

/// What a look found out.
#[derive(Debug)]
enum Verdict {
    /// Nothing needs to be looked at any more.
    Settled,
    /// Again, in so many milliseconds.
    Later(i64),
}

/// Why a look led nowhere; it is made again.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    MobilePay(#[from] WalletError),
    #[error(transparent)]
    Credentials(#[from] super::CredentialsError),
    #[error("the vault is sealed")]
    Sealed,
}

/// What MobilePay says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Unknown,
    Known(PaymentState),
}

impl Wallet {
    /// Looks at the payment that has been due longest; `false` when none is.
    ///
    /// # Errors
    /// From the database.
    pub async fn look_once(self: &Arc<Self>) -> Result<bool, DbError> {
        let now_ms = self.now_ms();
        let Some(id) = rows::claim_look(&self.payments.db, now_ms, LEASE_MS).await? else { return Ok(false) };
        let Some(row) = rows::find(&self.payments.db, id).await? else { return Ok(true) };
        let age_ms = now_ms.saturating_sub(row.created_at_ms);
        let later_ms = match self.look(&row).await {
            Ok(Verdict::Settled) => {
                rows::end(self.payments.db.write(), id).await?;
                return Ok(true);
            }
            Ok(Verdict::Later(later_ms)) => later_ms,
            Err(error) => {
                tracing::warn!(transaction = id, cause = %error, "a wallet payment could not be looked at");
                (age_ms / 8).clamp(SOONEST_MS, LATEST_MS)
            }
        };
        // A webhook that has come meanwhile has set an earlier time: it stays.
        rows::look_again(&self.payments.db, id, self.now_ms() + later_ms, self.now_ms()).await?;
        Ok(true)
    }

    /// The payer has come back and asks: it is time to look, unless that was just done. Nothing for a card's payment, or
    /// one that has ended.
    ///
    /// # Errors
    /// From the database.
    pub async fn look_soon(&self, asked: &Transaction) -> Result<(), DbError> {
        let is_open = asked.ledger.stage.is_under_way() || asked.is_unconfirmed();
        if asked.method == Method::MobilePay && is_open {
            let now_ms = self.now_ms();
            if rows::hurry(self.payments.db.write(), asked.id, now_ms - SOONEST_MS, now_ms).await? {
                self.bell.notify_one();
            }
        }
        Ok(())
    }

    /// Where the payer of a payment that waits was sent: they may have come back by their browser's own button.
    ///
    /// # Errors
    /// From the database.
    pub async fn redirect_of(&self, asked: &Transaction) -> Result<Option<String>, DbError> {
        if asked.method != Method::MobilePay || asked.ledger.stage != Stage::Waiting {
            return Ok(None);
        }
        Ok(rows::find(&self.payments.db, asked.id).await?.and_then(|row| row.details.redirect_url))
    }

    async fn look(self: &Arc<Self>, row: &WalletRow) -> Result<Verdict, LookError> {
        let unsealed = self.payments.vault.unsealed().map_err(|_| LookError::Sealed)?;
        let missing = || DbError::Corrupt("transaction");
        let before = store::transactions::find(&self.payments.db, row.transaction_id).await?.ok_or_else(missing)?;
        let credentials = self.credentials(&unsealed, &before.account).await?;
        let there = match self.client.payment(&credentials, &row.reference).await {
            Ok(payment) => There::Known(payment.state),
            Err(WalletError::NotFound) => There::Unknown,
            Err(error) => return Err(error.into()),
        };
        // What was read before MobilePay was asked may be old by now.
        let found = store::transactions::find(&self.payments.db, row.transaction_id).await?.ok_or_else(missing)?;
        let is_over = self.now_ms() >= row.lease_until_ms();
        match found.ledger.stage {
            Stage::Waiting => self.while_waiting(row, &found, there, is_over).await,
            Stage::Authorising => Ok(Verdict::Later(SOONEST_MS)),
            Stage::Authorised => self.while_authorised(found, there, is_over).await,
            Stage::Declined | Stage::Lost | Stage::Cancelled | Stage::Expired | Stage::Voided => {
                if there == There::Known(PaymentState::Authorized) && found.ledger.authorised_minor == 0 {
                    tracing::error!(transaction = found.id, "MobilePay holds a payment that was refused here");
                }
                // What is left there is released by the report that ended it.
                Ok(Verdict::Settled)
            }
        }
    }

    async fn while_waiting(
        self: &Arc<Self>,
        row: &WalletRow,
        found: &Transaction,
        there: There,
        is_over: bool,
    ) -> Result<Verdict, LookError> {
        let stage = match there {
            There::Known(PaymentState::Aborted | PaymentState::Terminated) => Stage::Cancelled,
            There::Known(PaymentState::Expired) => Stage::Expired,
            _ if is_over => Stage::Expired,
            // It was never made, and nobody is making it: whoever was to is gone.
            There::Unknown if row.state == WalletState::Asked => Stage::Expired,
            There::Unknown | There::Known(_) => return Ok(Verdict::Later(WHILE_WAITING_MS)),
        };
        match self.end_waiting(found, stage, None).await {
            Ok(_) => Ok(Verdict::Settled),
            Err(StepError::Moved) => Ok(Verdict::Later(SOONEST_MS)),
            Err(error) => Err(error.into()),
        }
    }

    async fn while_authorised(
        self: &Arc<Self>,
        found: Transaction,
        there: There,
        is_over: bool,
    ) -> Result<Verdict, LookError> {
        let answered_ms = self.now_ms().saturating_sub(found.authorised_at_ms.unwrap_or_default());
        let is_dead = match there {
            There::Known(PaymentState::Authorized) => {
                // A hold that is being given back just now is left to whoever does it.
                let after = self.payments.confirm(found.id).await?;
                self.bell.notify_one();
                return Ok(if after.is_unconfirmed() { Verdict::Later(SOONEST_MS) } else { Verdict::Settled });
            }
            There::Known(state) if state.is_dead() => true,
            // Its own limit is over, and it neither counts our answer nor has ended: it never will. That it does not know
            // a payment of which it has called us is believed no sooner.
            There::Unknown | There::Known(_) => is_over,
        };
        if !is_dead {
            return Ok(Verdict::Later(if answered_ms < ANSWER_TAKES_MS { SOONEST_MS } else { WHILE_WAITING_MS }));
        }
        let id = found.id;
        tracing::warn!(transaction = id, "MobilePay does not count this authorisation: it is given back");
        let after = self.give_back(&found).await?;
        self.bell.notify_one();
        let is_given_back = after.ledger.stage == Stage::Voided
            || (after.ledger.captured_minor > 0 && after.ledger.refundable_minor() == 0);
        // One that nobody knows the outcome of is the operator's; it is looked at until it is settled.
        Ok(if is_given_back {
            Verdict::Settled
        } else {
            Verdict::Later((answered_ms / 8).clamp(SOONEST_MS, LATEST_MS))
        })
    }

    /// Whatever it takes: the hold, all that was taken of it, or what is left of that.
    async fn give_back(&self, found: &Transaction) -> Result<Transaction, EngineError> {
        let ledger = &found.ledger;
        let how = match (ledger.captured_minor, ledger.refunded_minor) {
            (0, _) => ActRequest::Void,
            (_, 0) => ActRequest::Reverse,
            _ if ledger.refundable_minor() == 0 => return Ok(found.clone()),
            _ => ActRequest::Refund(ledger.refundable_minor()),
        };
        Ok(self.payments.act(found.id, how, None, no_hook()).await?.transaction)
    }
}
