//! `/pluto/purchase/{transactionId}`: giving money back. An acquirer is asked, so the vault must be open.
//!
//! A reversal gives back everything and needs no idempotency key: there is one of it, so a repeat is answered with what
//! became of the first. A refund may be one of several: without an `Idempotency-Key` (or an `index`), a repeat of a call
//! whose answer was lost is another refund. With one, `Idempotency-Status: OK` says that the answer lasts; an answer
//! without it has begun nothing, or is not known yet, and the same call may be sent again.
//!
//! That method, path and body of a refund are `POST`, this path and one number is pieced together from what is public;
//! both shapes of the number are taken. A refund that the bank refused is 409, one without an answer yet 202: then a
//! look at the transaction, the poll for refunds, or the same call again with its key tells how it ended.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use scanvault_protocol::Problem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::Payments;
use super::super::engine::{ActRequest, EngineError, Hook, HookFuture, no_hook};
use super::super::idempotency::{Found, Key, with_status};
use super::super::ledger::{ActKind, Illegal, Stage};
use super::super::store::acts::{self, ActRecord};
use super::super::store::{Transaction, transactions};
use super::query::transaction_id;
use super::view::GivenBack;
use super::{Errors, fields, owner};
use crate::clock::Clock;
use crate::db::{DbError, Tx};
use crate::identity::Account;
use crate::web::{ApiError, Call};

/// How long a payment that was taken may be reversed. "Same day, before settlement" is what the reference says. Which
/// day that is depends on where the merchant is, which we are not told, and a reversal of ours is a refund to the
/// acquirer where the money was taken already: so the day is 24 hours from the authorisation.
const REVERSAL_WINDOW_MS: i64 = 24 * 60 * 60 * 1_000;

/// The same call cannot lose to itself more often than this.
const MAX_ROUNDS: usize = 4;

/// Gives money back.
#[derive(Clone, Copy)]
pub struct Purchases<'a> {
    /// Who asks the acquirers.
    pub payments: &'a Payments,
    /// How it is told what is wrong.
    pub errors: Errors,
}

/// The body of a refund where it is an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RefundBody<'a> {
    #[serde(borrow)]
    amount: &'a RawValue,
    /// Ours: the number of acts that the caller knows of.
    index: Option<u32>,
    merchant_id: Option<u64>,
}

/// A refund as its key remembers it.
#[derive(Serialize)]
struct Refund {
    amount_minor: u64,
    index: Option<u32>,
}

/// Writes the key of a call with the intent of its act.
struct Opens {
    key: Key,
    clock: Arc<dyn Clock>,
}

impl Hook for Opens {
    fn intent<'a>(&'a self, tx: &'a mut Tx, transaction: &'a Transaction) -> HookFuture<'a> {
        Box::pin(async { self.key.open(tx, transaction, self.clock.now_db()).await })
    }
}

impl Purchases<'_> {
    /// `DELETE /pluto/purchase/{transactionId}`: gives back everything, once.
    ///
    /// # Errors
    /// 404 for what is not the caller's; 409 where the payment was refunded, is not paid, or was paid too long ago, and
    /// where the acquirer refuses; 503 while the vault is sealed.
    pub async fn reverse(self, caller: &Account, call: &Call) -> Result<Response, ApiError> {
        let (before, _) = self.owned(caller, call).await?;
        if let Some(response) = self.reversed(before.id).await? {
            return Ok(response);
        }
        self.check_window(&before)?;
        match self.payments.act(before.id, ActRequest::Reverse, None, no_hook()).await {
            Ok(acted) => self.answer(&acted.transaction, acted.transaction.ledger.last_act).await,
            Err(error @ (EngineError::Illegal(_) | EngineError::Moved)) => {
                // The same call may have run beside this one.
                self.reversed(before.id).await?.ok_or_else(|| told(error))
            }
            Err(error) => Err(told(error)),
        }
    }

    /// `POST /pluto/purchase/{transactionId}` and `…/refund`: gives back some, until nothing is left.
    ///
    /// # Errors
    /// As for [`Purchases::reverse`]; 400 for an amount that is none, or more than is left.
    pub async fn refund(self, caller: &Account, call: &Call) -> Result<Response, ApiError> {
        let (before, owner) = self.owned(caller, call).await?;
        let refund = parse(call, &before, &owner)?;
        match Key::of(call, &before.account, Some(before.id), &refund) {
            Err(error) => Ok(self.to_its_key(error, call, "ERROR")),
            Ok(Some(key)) => self.refund_named(call, &before, &refund, key).await,
            Ok(None) => {
                let asked = ActRequest::Refund(refund.amount_minor);
                let acted = self.payments.act(before.id, asked, refund.index, no_hook()).await.map_err(told)?;
                self.answer(&acted.transaction, acted.transaction.ledger.last_act).await
            }
        }
    }

    /// One effect for each key: the act that was begun with it is what every repeat is answered with.
    async fn refund_named(
        self,
        call: &Call,
        before: &Transaction,
        refund: &Refund,
        key: Key,
    ) -> Result<Response, ApiError> {
        for _ in 0..MAX_ROUNDS {
            match key.find(&self.payments.db).await? {
                Found::Open(Some((id, act))) if id == before.id => {
                    let now = transactions::find(&self.payments.db, id).await?.ok_or(Problem::NotFound)?;
                    return self.answer_named(call, &now, act).await;
                }
                Found::Nothing => {}
                Found::Another | Found::Open(_) | Found::Answered(_) => {
                    let text = "This Idempotency-Key was used with another request";
                    return Ok(self.to_its_key(ApiError::because(Problem::Conflict, text), call, "ERROR"));
                }
            }
            let hook = Arc::new(Opens { key: key.clone(), clock: Arc::clone(&self.payments.clock) });
            let asked = ActRequest::Refund(refund.amount_minor);
            match self.payments.act(before.id, asked, refund.index, hook).await {
                Ok(acted) => {
                    let (now, act) = (&acted.transaction, acted.transaction.ledger.last_act);
                    return self.answer_named(call, now, act).await;
                }
                Err(EngineError::Db(error)) if error.is_duplicate() => {}
                Err(error @ (EngineError::Illegal(_) | EngineError::Moved)) => {
                    // The same call may have run beside this one: then it is the next round's to say.
                    if matches!(key.find(&self.payments.db).await?, Found::Nothing) {
                        return Err(told(error));
                    }
                }
                Err(error) => return Err(told(error)),
            }
        }
        Err(Problem::Overloaded.into())
    }

    /// What became of a named refund: that it was done, or refused, lasts.
    async fn answer_named(self, call: &Call, now: &Transaction, number: u32) -> Result<Response, ApiError> {
        match self.answer(now, number).await {
            Ok(response) if response.status() == StatusCode::ACCEPTED => Ok(response),
            Ok(response) => Ok(with_status(response, "OK")),
            Err(error) if error.problem() == Problem::Conflict => Ok(self.to_its_key(error, call, "OK")),
            Err(error) => Err(error),
        }
    }

    fn to_its_key(self, error: ApiError, call: &Call, status: &'static str) -> Response {
        with_status(self.errors.told(error, call.spec).into_response(), status)
    }

    async fn owned(self, caller: &Account, call: &Call) -> Result<(Transaction, Account), ApiError> {
        let id = transaction_id(&call.parameter)?;
        let found = transactions::find(&self.payments.db, id).await?.ok_or(Problem::NotFound)?;
        let owner = owner(&self.payments.db, caller, &found.account).await?;
        Ok((found, owner))
    }

    /// What became of the reversal of a payment, where it was asked for and not refused.
    async fn reversed(self, id: i64) -> Result<Option<Response>, ApiError> {
        let acts = acts::list(&self.payments.db, id).await?;
        let is_reversal = |act: &&ActRecord| act.is_reversal || act.kind == ActKind::Void;
        let Some(act) = acts.iter().rev().find(is_reversal).filter(|act| act.state != "refused") else {
            return Ok(None);
        };
        let now = transactions::find(&self.payments.db, id).await?.ok_or(Problem::NotFound)?;
        if now.ledger.stage == Stage::Lost {
            return Ok(None); // what is voided there was never a payment
        }
        self.answer(&now, act.number).await.map(Some)
    }

    /// What is held and not yet taken may be given back for as long as it is held.
    fn check_window(self, payment: &Transaction) -> Result<(), ApiError> {
        let at_ms = payment.authorised_at_ms.unwrap_or(payment.created_at_ms);
        let is_over = self.payments.clock.now_db() >= at_ms.saturating_add(REVERSAL_WINDOW_MS);
        if is_over && payment.ledger.captured_minor > 0 {
            let text = "The time for a reversal is over: it can be refunded";
            return Err(ApiError::because(Problem::Conflict, text));
        }
        Ok(())
    }

    async fn answer(self, now: &Transaction, number: u32) -> Result<Response, ApiError> {
        let acts = acts::list(&self.payments.db, now.id).await?;
        let corrupt = || ApiError::internal(&DbError::Corrupt("act"));
        let act = acts.iter().find(|act| act.number == number).ok_or_else(corrupt)?;
        let (kind, state) = (act.kind.as_str(), act.state.as_str());
        tracing::info!(transaction = now.id, account = now.account, act = number, kind, state, "giving back");
        let status = match state {
            "done" => StatusCode::OK,
            "refused" => return Err(refused(act)),
            _ => StatusCode::ACCEPTED,
        };
        Ok((status, Json(GivenBack::of(now, act))).into_response())
    }
}

fn parse(call: &Call, before: &Transaction, owner: &Account) -> Result<Refund, ApiError> {
    let raw: &RawValue = call.json()?;
    let (amount, index) = if raw.get().starts_with('{') {
        let body: RefundBody<'_> = call.json()?;
        super::check_named(owner, body.merchant_id)?;
        (body.amount, body.index)
    } else {
        (raw, None)
    };
    let amount = fields::amount(amount, before.currency)?;
    Ok(Refund { amount_minor: amount.minor(), index })
}

fn refused(act: &ActRecord) -> ApiError {
    let reason = act.decline.map_or("no reason given", |reason| reason.as_str());
    ApiError::because(Problem::Conflict, format!("The acquirer refused: {reason}"))
}

fn told(error: EngineError) -> ApiError {
    match error {
        EngineError::Illegal(Illegal::Amount) => {
            ApiError::because(Problem::InvalidAmount, "amount must be more than zero, and not more than is left")
        }
        other => other.into(),
    }
}
