//! The payer's bank, before the acquirer or after an issuer has asked for it; and the authorisation that rests on it.

use std::sync::Arc;

use scanvault_protocol::Problem;

use super::super::Payments;
use super::super::engine::{self, EngineError, Hook, HookFuture, Means, Order, SeriesOf, account_of};
use super::super::ledger::{ActEnd, Stage};
use super::super::limits::Limits;
use super::super::routing::Need;
use super::super::steps::{self, Step, StepError};
use super::super::store::{Transaction, authentications, codes, transactions};
use super::super::threeds::{After, Case, Next, Setup, ThreeDsError};
use super::flow::{Payer, Post, counts};
use super::{PayOutcome, series_of};
use crate::acquirers::threedsecure::{Browser, Credentials, Mode, PARTY};
use crate::acquirers::{Decline, Refusal};
use crate::db::{DbError, Tx};
use crate::identity::{Account, ThreeDSecure, secrets};
use crate::vault::cards::{self, Wanted};
use crate::vault::{SealedCard, SystemEntropy, Unsealed};
use crate::web::ApiError;

/// Whether the bank is asked before anything else.
pub(super) fn asks_first(account: &Account) -> bool {
    account.three_d_secure != ThreeDSecure::Off
}

impl Payments {
    /// The merchant's side of 3-D Secure: none when they have no record at its server. A merchant who takes nothing
    /// without it cannot take cards then.
    pub(super) async fn setup(&self, unsealed: &Unsealed, account: &Account) -> Result<Option<Setup>, ApiError> {
        let is_required = account.three_d_secure == ThreeDSecure::Required;
        let found = secrets::acquirer_credentials(&self.db, unsealed, &account.name, PARTY).await;
        let Some(stored) = found.map_err(|error| ApiError::internal(&error))? else {
            let unable = ApiError::because(Problem::Conflict, "This merchant cannot take cards yet");
            return if is_required { Err(unable) } else { Ok(None) };
        };
        let credentials = Credentials::parse(&stored).map_err(|error| ApiError::internal(&error))?;
        let mode = if is_required { Mode::Required } else { Mode::WhereAvailable };
        Ok(Some(Setup { mode, credentials }))
    }

    /// Another post of a page whose payment waits for its payer's bank.
    pub(super) async fn go_on(
        self: &Arc<Self>,
        unsealed: &Arc<Unsealed>,
        waiting: Transaction,
        card: SealedCard,
        post: &Post<'_>,
        payer_address: &str,
    ) -> Result<PayOutcome, ApiError> {
        self.check_same(unsealed, &waiting, &card).await?;
        let account = account_of(&self.db, &waiting).await?;
        // Its record was taken away meanwhile: nobody can be asked.
        let setup = self.setup(unsealed, &account).await?.ok_or(Problem::CodeBusy)?;
        let attempted = Limits::attempted(unsealed, payer_address, &card.pan);
        let SealedCard { pan, expiry, csc, name: holder, .. } = card;
        let means = Means::Card { pan, expiry, csc: Some(csc) };
        // What the page began it still begins: a series of charges, or none.
        let code = waiting.code.as_ref().ok_or(Problem::NotFound)?;
        let record = codes::find(&self.db, code).await?.ok_or(Problem::NotFound)?;
        let payer_address = Some(payer_address.to_owned());
        let order = Order { payer_address, series: series_of(&record), ..Order::of(means) };
        let (payer, after) = (Payer { order, holder, browser: Browser::of(&post.browser) }, post.after);
        let (payments, unsealed) = (Arc::clone(self), Arc::clone(unsealed));
        let work = self
            .to_its_end(async move { payments.authenticate(&unsealed, &account, &setup, waiting, payer, after).await });
        let outcome = work.await.map_err(|error| ApiError::internal(&error))?;
        // Counted by the first post; what is paid does not count. Who leaves a challenge has learned that the card is good.
        if outcome.is_ok() && !counts(&outcome) {
            self.limits.give_back(&attempted);
        }
        outcome
    }

    /// The card must be the one that the payment began with, for the same amount of the same code.
    async fn check_same(&self, unsealed: &Unsealed, waiting: &Transaction, card: &SealedCard) -> Result<(), ApiError> {
        let is_same_payment = waiting.code.as_ref().is_some_and(|code| code.as_str() == card.code)
            && waiting.ledger.amount_minor == card.amount_minor
            && waiting.currency.as_str() == card.currency;
        if !is_same_payment {
            let text = "What is to be paid has changed. Please reload the page";
            return Err(ApiError::because(Problem::BadRequest, text));
        }
        let expiry = format!("{:04}-{:02}", card.expiry.year(), card.expiry.month());
        let wanted = Wanted { account: &waiting.account, token: waiting.card.as_deref().unwrap_or_default() };
        let mut tx = self.db.begin().await?;
        let is_same_number = cards::is_of(&mut tx, unsealed, wanted, &card.pan, self.clock.now_db()).await?;
        tx.rollback().await.map_err(DbError::from)?;
        if is_same_number && waiting.card_expiry.as_deref() == Some(expiry.as_str()) {
            return Ok(());
        }
        Err(ApiError::because(Problem::BadRequest, "This is not the card that the payment began with"))
    }

    /// The next step with the bank, and the authorisation once it has had its say. In a task of its own.
    pub(super) async fn authenticate(
        &self,
        unsealed: &Unsealed,
        account: &Account,
        setup: &Setup,
        mut waiting: Transaction,
        payer: Payer,
        mut after: Option<After>,
    ) -> Result<PayOutcome, ApiError> {
        let Payer { mut order, holder, browser } = payer;
        loop {
            let Means::Card { pan, expiry, .. } = &order.means else { return Err(Problem::Internal.into()) };
            let payer_address = order.payer_address.as_deref().unwrap_or_default();
            let (transaction, holder, browser) = (&waiting, holder.as_ref(), &browser);
            let keeps_card = order.series == SeriesOf::First;
            let case = Case { transaction, setup, pan, expiry, holder, keeps_card, payer_address, browser };
            let transaction_id = waiting.id;
            match self.threeds.go_on(&self.db, &*self.clock, &case, after).await {
                Ok(Next::Method { url, data }) => return Ok(PayOutcome::Method { transaction_id, url, data }),
                Ok(Next::Challenge { url, creq }) => return Ok(PayOutcome::Challenge { transaction_id, url, creq }),
                Ok(Next::Decline(refusal)) => return self.end_waiting(waiting, refusal).await,
                Ok(Next::Authorise(authentication)) => order.authentication = authentication,
                Err(ThreeDsError::Busy) => return Err(Problem::CodeBusy.into()),
                Err(ThreeDsError::Db(error)) => return Err(error.into()),
            }
            order.hook = Arc::new(Forget(order.hook));
            match self.authorise_with(unsealed, account, &waiting, order).await? {
                // An issuer has asked for it, and there is nothing of it yet.
                Ok((again, Some(back))) => (waiting, order, after) = (again, back, None),
                Ok((done, None)) => return self.outcome_of(done).await,
                Err(outcome) => return Ok(outcome),
            }
        }
    }

    /// Authorises a transaction that waits. `Err`: what became of it by another post.
    async fn authorise_with(
        &self,
        unsealed: &Unsealed,
        account: &Account,
        waiting: &Transaction,
        order: Order,
    ) -> Result<Result<(Transaction, Option<Order>), PayOutcome>, ApiError> {
        let need = Need { amount: waiting.amount(), order: &order };
        let routes = match self.routes(unsealed, account, &need).await {
            Ok(routes) => routes,
            // Nobody takes what the bank has said, or nobody is left to take it: left waiting, the payment would keep its
            // code from everybody until its time is over, and its payer could do nothing about it.
            Err(error @ (EngineError::NotConfigured | EngineError::NotOffered(_))) => {
                tracing::error!(transaction = waiting.id, cause = %error, "no acquirer takes an authenticated payment");
                return self.end_waiting(waiting.clone(), Decline::Configuration.into()).await.map(Err);
            }
            Err(error) => return Err(error.into()),
        };
        let mut tx = self.db.begin().await?;
        let asked = engine::begin(&mut tx, &*self.clock, &mut SystemEntropy::new(), waiting, routes.first()).await;
        let asked = match asked {
            Ok(asked) => asked,
            Err(StepError::Moved) => {
                drop(tx);
                return self.moved(waiting.id).await.map(Err);
            }
            Err(error) => return Err(ApiError::internal(&error)),
        };
        tx.commit().await?;
        crate::fault::point("intent.committed");
        let may_wait = order.authentication.is_none();
        match self.carry_out_or_wait(unsealed, account, asked, routes, (order, may_wait)).await {
            Ok(done) => Ok(Ok(done)),
            Err(error) => self.told(waiting.id, Err(error)).await.map(Err),
        }
    }

    /// Not paid, and nothing was asked of an acquirer.
    async fn end_waiting(&self, before: Transaction, refusal: Refusal) -> Result<PayOutcome, ApiError> {
        let stage = if refusal.reason == Decline::Cancelled { Stage::Cancelled } else { Stage::Declined };
        let ledger = before.ledger.end_waiting(stage).map_err(|error| ApiError::internal(&error))?;
        let after = Transaction {
            ledger,
            decline: Some(refusal.reason),
            bank_code: refusal.code.or_else(|| before.bank_code.clone()),
            lease_until_ms: None,
            ..before.clone()
        };
        let step = Step { before: &before, after, end: None };
        match steps::make(&self.db, &*self.clock, &mut SystemEntropy::new(), step).await {
            Ok(after) => {
                self.bell.notify_one();
                PayOutcome::of(&after)
            }
            Err(StepError::Moved) => self.moved(before.id).await,
            Err(error) => Err(ApiError::internal(&error)),
        }
    }

    /// Another post was faster.
    async fn moved(&self, id: i64) -> Result<PayOutcome, ApiError> {
        let found = transactions::find(&self.db, id).await?.ok_or(Problem::NotFound)?;
        self.outcome_of(found).await
    }
}

/// What is known of an authentication goes with the authorisation's outcome.
struct Forget(Arc<dyn Hook>);

impl Hook for Forget {
    fn intent<'a>(&'a self, tx: &'a mut Tx, transaction: &'a Transaction) -> HookFuture<'a> {
        self.0.intent(tx, transaction)
    }

    fn outcome<'a>(&'a self, tx: &'a mut Tx, transaction: &'a Transaction, end: ActEnd) -> HookFuture<'a> {
        Box::pin(async move {
            authentications::delete(tx, transaction.id).await?;
            self.0.outcome(tx, transaction, end).await
        })
    }
}
