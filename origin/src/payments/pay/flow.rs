//! From the page's post to its answer.

use std::sync::Arc;
use std::time::Duration;

use scanvault_protocol::Problem;
use tokio::time::Instant;

use super::super::Payments;
use super::super::engine::{EngineError, Means, Order};
use super::super::ledger::Stage;
use super::super::request::Code;
use super::super::routing::{Need, Routes};
use super::super::state::Method;
use super::super::store::{self, CodeRecord, Transaction};
use super::super::threeds::{After, LEASE_MS, Setup};
use super::authenticate::asks_first;
use super::check::{merchant, sealed_problem};
use super::intent::Intent;
use super::{PayOutcome, series_of};
use crate::acquirers::threedsecure::{Browser, PostedBrowser};
use crate::identity::Account;
use crate::money::Amount;
use crate::vault::{CardholderName, SealedCard, Unsealed};
use crate::web::ApiError;

/// How long the payer of a payment in strict mode waits for the merchant's receiver, at most: within the edge's 55 s.
const WAIT_FOR_RECEIVER: Duration = Duration::from_secs(49);
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// What a page posts.
pub struct Post<'a> {
    /// The card.
    pub sealed: &'a str,
    /// What a bank wants to know of the browser.
    pub browser: PostedBrowser,
    /// What the page has just done for the bank.
    pub after: Option<After>,
}

impl<'a> Post<'a> {
    /// The first post of a page that tells nothing of its browser.
    #[must_use]
    pub fn of(sealed: &'a str) -> Self {
        Self { sealed, browser: PostedBrowser::default(), after: None }
    }
}

/// A payment that has been checked and may begin.
struct Payment {
    record: CodeRecord,
    attempt: String,
    amount: Amount,
    routes: Routes,
}

/// Who pays, and with what.
pub(super) struct Payer {
    pub(super) order: Order,
    pub(super) holder: Option<CardholderName>,
    pub(super) browser: Browser,
}

impl Payments {
    /// Pays `code` with a card that the page sealed, or goes on with a payment that waits for its payer's bank.
    ///
    /// # Errors
    /// See the module's list.
    pub async fn pay(
        self: &Arc<Self>,
        code: &Code,
        post: Post<'_>,
        payer_address: &str,
    ) -> Result<PayOutcome, ApiError> {
        let began = Instant::now();
        let outcome = self.pay_once(code, &post, payer_address).await?;
        if matches!(outcome, PayOutcome::Declined { .. }) {
            tokio::time::sleep(self.limits.pause_before_decline(began.elapsed())).await;
        }
        Ok(outcome)
    }

    async fn pay_once(
        self: &Arc<Self>,
        code: &Code,
        post: &Post<'_>,
        payer_address: &str,
    ) -> Result<PayOutcome, ApiError> {
        let unsealed = self.vault.unsealed_for_cards().map_err(sealed_problem)?;
        let record = match self.payable(code).await {
            Ok(record) => record,
            Err(problem) => {
                if problem.problem() == Problem::NotFound {
                    self.limits.unknown_code(payer_address, self.clock.now_ms());
                }
                return self.earlier(&unsealed, code, post, payer_address).await.unwrap_or(Err(problem));
            }
        };
        let (card, amount) = self.open_card(&unsealed, &record, post.sealed)?;
        // A page whose answer was lost sends the same attempt again: it is told, and counted no second time.
        if let Some(earlier) = self.attempted(&card.attempt).await? {
            return self.outcome_of(earlier).await;
        }
        let account = merchant(&self.db, &record).await?;
        let attempted = self.begin_attempt(&unsealed, &record, &card, payer_address).await?;
        let outcome = self.pay_with(&unsealed, record, account, (card, amount), post, payer_address).await;
        // What was refused for form, or lost a race, never reached a bank and says nothing about a card.
        if let Some(attempted) = attempted.filter(|_| !counts(&outcome)) {
            self.limits.give_back(&attempted);
        }
        match outcome {
            Err(problem) => self.earlier(&unsealed, code, post, payer_address).await.unwrap_or(Err(problem)),
            outcome => outcome,
        }
    }

    async fn pay_with(
        self: &Arc<Self>,
        unsealed: &Arc<Unsealed>,
        record: CodeRecord,
        account: Account,
        (card, amount): (SealedCard, Amount),
        post: &Post<'_>,
        payer_address: &str,
    ) -> Result<PayOutcome, ApiError> {
        let SealedCard { attempt, pan, expiry, csc, name: holder, .. } = card;
        let means = Means::Card { pan, expiry, csc: Some(csc) };
        let payer_address = Some(payer_address.to_owned());
        let order = Order { payer_address, series: series_of(&record), ..Order::of(means) };
        let routes = self.routes(unsealed, &account, &Need { amount, order: &order }).await.map_err(unable)?;
        let setup = self.setup(unsealed, &account).await?;
        let payer = Payer { order, holder, browser: Browser::of(&post.browser) };
        let payment = Payment { record, attempt, amount, routes };
        // The intent is written inside the task: a shopper who hangs up at its very commit cancels nothing either.
        let (payments, unsealed) = (Arc::clone(self), Arc::clone(unsealed));
        // A task that panicked left the transaction where it was; it is settled as abandoned.
        let work =
            self.to_its_end(async move { payments.begin_and_finish(&unsealed, account, setup, payment, payer).await });
        work.await.map_err(|error| ApiError::internal(&error))?
    }

    /// Writes the intent and authorises, where the bank is not asked first. Whatever happens, the last thing written is
    /// what is known.
    async fn begin_and_finish(
        &self,
        unsealed: &Unsealed,
        account: Account,
        setup: Option<Setup>,
        payment: Payment,
        payer: Payer,
    ) -> Result<PayOutcome, ApiError> {
        let Payment { record, attempt, amount, routes } = payment;
        let Means::Card { pan, expiry, .. } = &payer.order.means else { return Err(Problem::Internal.into()) };
        let (attempt, holder, record) = (&attempt, payer.holder.as_ref(), &record);
        let intent = Intent { record, attempt, pan, expiry, holder, amount, lease_until_ms: None };
        let setup = match setup {
            Some(setup) if asks_first(&account) => {
                let lease_until_ms = Some(self.clock.now_db().saturating_add(LEASE_MS));
                let waiting = self.write_waiting(unsealed, &Intent { lease_until_ms, ..intent }).await?;
                return self.authenticate(unsealed, &account, &setup, waiting, payer, None).await;
            }
            setup => setup,
        };
        let asked = self.write_asked(unsealed, &intent, routes.first()).await?;
        let id = asked.transaction().id;
        let Payer { order, holder, browser } = payer;
        let done = self.carry_out_or_wait(unsealed, &account, asked, routes, (order, setup.is_some())).await;
        match (done, setup) {
            (Ok((waiting, Some(order))), Some(setup)) => {
                let payer = Payer { order, holder, browser };
                self.authenticate(unsealed, &account, &setup, waiting, payer, None).await
            }
            (done, _) => self.told(id, done.map(|(transaction, _)| transaction)).await,
        }
    }

    /// What the payer is told of a payment that was carried out.
    pub(super) async fn told(&self, id: i64, done: Result<Transaction, EngineError>) -> Result<PayOutcome, ApiError> {
        match done {
            Ok(transaction) => self.outcome_of(transaction).await,
            Err(error) => {
                tracing::error!(transaction = id, cause = %error, "an outcome could not be written");
                Ok(PayOutcome::Unknown { transaction_id: id, may_retry: false })
            }
        }
    }

    /// Where a transaction stands, once the merchant's receiver has said its word in strict mode.
    pub(super) async fn outcome_of(&self, mut transaction: Transaction) -> Result<PayOutcome, ApiError> {
        let until = Instant::now() + WAIT_FOR_RECEIVER;
        let was_held = transaction.held_until_ms.is_some();
        while was_held && (transaction.held_until_ms.is_some() || transaction.is_being_asked()) {
            if Instant::now() >= until {
                return Ok(PayOutcome::Unknown { transaction_id: transaction.id, may_retry: false });
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let found = store::transactions::find(&self.db, transaction.id).await?;
            transaction = found.ok_or(Problem::NotFound)?;
        }
        PayOutcome::of(&transaction)
    }

    pub(super) async fn attempted(&self, attempt: &str) -> Result<Option<Transaction>, ApiError> {
        Ok(store::transactions::find_attempt(&self.db, attempt).await?)
    }

    /// What became of a card that was sent before: a browser may send a request again whose answer it has lost, and comes
    /// back from the payer's bank. `None` when this attempt was never used.
    async fn earlier(
        self: &Arc<Self>,
        unsealed: &Arc<Unsealed>,
        code: &Code,
        post: &Post<'_>,
        payer_address: &str,
    ) -> Option<Result<PayOutcome, ApiError>> {
        let plaintext = unsealed.open_jwe(post.sealed).ok()?;
        let card = SealedCard::parse(&plaintext).ok()?;
        let transaction = match self.attempted(&card.attempt).await {
            Ok(found) => found?,
            Err(error) => return Some(Err(error)),
        };
        // The bank may keep a payer for longer than their page is good for: what counts is when it was first used.
        let used_at_s = u64::try_from(transaction.created_at_ms / 1000).unwrap_or(0).min(self.clock.now_secs());
        unsealed.verify_attempt(code.as_str(), &card.attempt, used_at_s).ok()?;
        if transaction.ledger.stage == Stage::Waiting && transaction.method == Method::Card {
            return Some(self.go_on(unsealed, transaction, card, post, payer_address).await);
        }
        Some(self.outcome_of(transaction).await)
    }
}

/// Whether an attempt counts against the testing of cards: a bank has said no, or has not yet said anything, or was asked
/// and then left alone.
pub(super) fn counts(outcome: &Result<PayOutcome, ApiError>) -> bool {
    use PayOutcome::{Cancelled, Challenge, Declined, Method};
    matches!(outcome, Ok(Declined { .. } | Cancelled { .. } | Method { .. } | Challenge { .. }))
}

/// Nothing was written: the merchant cannot take this card, or none.
fn unable(error: EngineError) -> ApiError {
    match error {
        EngineError::NotConfigured => ApiError::because(Problem::Conflict, "This merchant cannot take cards yet"),
        EngineError::NotOffered(why) => {
            tracing::info!(cause = why, "card refused before it was sent");
            ApiError::because(Problem::BadRequest, "This card cannot be used here")
        }
        other => other.into(),
    }
}
