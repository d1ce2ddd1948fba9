//! The card callback: a network token comes in, an acquirer's word goes out, within twenty seconds in all.
//!
//! One attempt is taken for a payment. The same attempt again is answered with what the first was answered; another one is
//! refused. Where nothing can be answered in time, nothing is: MobilePay then ends the payment, and what it says of it
//! later decides what becomes of a hold.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Wallet;
use crate::acquirers::Decline;
use crate::acquirers::mobilepay::{
    CallbackAnswer, CallbackCard, CallbackError, CardCallback, Credentials, NetworkToken, ShownCard, SignatureError,
    SignedCall,
};
use crate::db::{DbError, Tx};
use crate::payments::engine::{EngineError, Hook, HookFuture, Means, Order};
use crate::payments::ledger::{ActEnd, Stage};
use crate::payments::steps::{self, Step, StepError};
use crate::payments::store::wallet::{self as rows, WalletRow};
use crate::payments::store::{self, Transaction};
use crate::vault::SystemEntropy;

/// Of MobilePay's twenty seconds: what is left is the way there and back.
const ANSWER_WITHIN: Duration = Duration::from_secs(19);
/// How often a repeated callback looks for the first one's answer.
const LOOK_FOR_ANSWER: Duration = Duration::from_millis(100);
/// When MobilePay is asked whether it has the answer.
const CONFIRM_AFTER_MS: i64 = 500;
/// An attempt that has no answer by then was left by whoever took it.
const UNANSWERED_AFTER_MS: i64 = 30_000;

/// A call of the provider, before anything of it is believed.
#[derive(Clone, Copy, Debug)]
pub struct ProviderCall<'a> {
    /// Path and query.
    pub path_and_query: &'a str,
    /// `x-ms-date`.
    pub date: &'a str,
    /// `x-ms-content-sha256`.
    pub digest: &'a str,
    /// `Authorization`.
    pub authorization: &'a str,
    /// The raw body.
    pub body: &'a [u8],
}

/// Why a callback has no answer. The provider learns the kind and no more.
#[derive(Debug, thiserror::Error)]
pub enum CallbackRefused {
    /// It is not the provider's, or names nothing that we know.
    #[error("not the provider's: {0}")]
    Unauthorised(&'static str),
    /// Signed by the provider, and not readable.
    #[error(transparent)]
    Malformed(#[from] CallbackError),
    /// Not now.
    #[error("not now: {0}")]
    NotNow(&'static str),
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Wallet {
    /// Takes a card callback for a payment of ours.
    ///
    /// # Errors
    /// See [`CallbackRefused`].
    pub async fn card_callback(
        self: &Arc<Self>,
        reference: &str,
        call: &ProviderCall<'_>,
    ) -> Result<CallbackAnswer, CallbackRefused> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let unsealed = self.payments.vault.unsealed_for_cards();
        let unsealed = unsealed.map_err(|_| CallbackRefused::NotNow("the vault is sealed"))?;
        let unknown = || CallbackRefused::Unauthorised("no such payment");
        let row = rows::find_reference(&self.payments.db, reference).await?.ok_or_else(unknown)?;
        let found = store::transactions::find(&self.payments.db, row.transaction_id).await?.ok_or_else(unknown)?;
        let credentials = self.credentials(&unsealed, &found.account).await.map_err(|error| {
            tracing::error!(transaction = found.id, cause = %error, "card callback without credentials");
            CallbackRefused::Unauthorised("no credentials")
        })?;
        self.verify(call, credentials.client_secret.as_bytes()).map_err(|error| {
            tracing::warn!(transaction = found.id, cause = %error, "card callback refused");
            CallbackRefused::Unauthorised("its signature")
        })?;
        let callback = CardCallback::parse(call.body)?;
        if !is_for(&callback, &row, &found, &credentials) {
            tracing::error!(transaction = found.id, "the card callback is for something else than was asked");
            return Ok(CallbackAnswer::refused(Decline::Configuration));
        }
        let wallet = Arc::clone(self);
        let attempt = callback.attempt_id.clone();
        // A provider that hangs up cancels nothing.
        let work = self.payments.to_its_end(async move { wallet.take(callback, found).await });
        match tokio::time::timeout_at(deadline, work).await {
            Ok(Ok(Ok(Some(answer)))) => Ok(answer),
            Ok(Ok(Ok(None))) => self.answer_of(row.transaction_id, &attempt, deadline).await,
            Ok(Ok(Err(error))) => {
                tracing::error!(transaction = row.transaction_id, cause = %error, "card callback not carried out");
                Err(CallbackRefused::NotNow("it could not be carried out"))
            }
            Ok(Err(_)) => Err(CallbackRefused::NotNow("it could not be carried out")),
            Err(_) => Err(CallbackRefused::NotNow("there was no answer in time")),
        }
    }

    /// The host is the one that we have given out: what stands before us may have changed the header.
    pub(super) fn verify(&self, call: &ProviderCall<'_>, secret: &[u8]) -> Result<(), SignatureError> {
        let host = self.callback_url.as_deref().and_then(|url| url.split_once("://")).map_or("", |(_, host)| host);
        let ProviderCall { path_and_query, date, digest, authorization, body } = *call;
        let signed = SignedCall { path_and_query, host, date, digest, authorization, body };
        signed.verify(secret, self.payments.clock.now_secs())
    }

    /// Takes the attempt and carries it out; `None` when it was taken before, and its answer is to be waited for.
    async fn take(
        self: &Arc<Self>,
        callback: CardCallback,
        found: Transaction,
    ) -> Result<Option<CallbackAnswer>, EngineError> {
        let row = rows::find(&self.payments.db, found.id).await?.ok_or(DbError::Corrupt("wallet payment"))?;
        match row.attempt_id.as_deref() {
            Some(taken) if taken == callback.attempt_id => return Ok(None),
            Some(_) => return Ok(Some(CallbackAnswer::refused(Decline::Technical))),
            None if found.ledger.stage != Stage::Waiting => {
                return Ok(Some(CallbackAnswer::refused(Decline::Technical)));
            }
            None => {}
        }
        let CardCallback { attempt_id, shown, card, .. } = callback;
        let CallbackCard::Token(token) = card else {
            return self.refuse(&attempt_id, &shown, &found, Decline::UnsupportedScheme).await;
        };
        let waiting = with_card(&found, &shown);
        let hook = Arc::new(AnswerHook { wallet: Arc::clone(self), attempt_id: attempt_id.clone() });
        let order = Order { hook, ..Order::of(means(token)) };
        let id = found.id;
        match self.payments.authorise(waiting, order).await {
            Ok(after) => tracing::info!(transaction = id, to = after.tx_state(), "card callback carried out"),
            // Another copy of this callback was first, or the payer's time was over. After an error of the database the
            // same may be true: the row says which.
            Err(EngineError::Moved) => return Ok(None),
            Err(EngineError::Db(error)) => {
                tracing::warn!(transaction = id, cause = %error, "card callback interrupted")
            }
            Err(EngineError::NotConfigured | EngineError::NotOffered(_)) => {
                return self.refuse(&attempt_id, &shown, &found, Decline::Configuration).await;
            }
            Err(error) => return Err(error),
        }
        self.bell.notify_one();
        // What was written is what is answered, to this copy as to any other.
        Ok(None)
    }

    /// A card that cannot be charged here ends the payment: the payer may begin another.
    async fn refuse(
        &self,
        attempt_id: &str,
        shown: &ShownCard,
        found: &Transaction,
        reason: Decline,
    ) -> Result<Option<CallbackAnswer>, EngineError> {
        let answer = CallbackAnswer::refused(reason);
        let ledger = found.ledger.end_waiting(Stage::Declined)?;
        let after = Transaction { ledger, decline: Some(reason), ..with_card(found, shown) };
        let now_ms = self.now_ms();
        let mut tx = self.payments.db.begin().await?;
        let step = Step { before: found, after, end: None };
        match steps::record(&mut tx, &*self.payments.clock, &mut SystemEntropy::new(), step).await {
            Err(StepError::Moved) => return Ok(None),
            recorded => recorded?,
        };
        rows::take(&mut tx, found.id, attempt_id, now_ms).await?;
        rows::answer(&mut tx, found.id, &answer.to_json(), now_ms).await?;
        rows::end(&mut *tx, found.id).await?;
        tx.commit().await.map_err(DbError::from)?;
        self.bell.notify_one();
        self.payments.bell.notify_one();
        Ok(Some(answer))
    }

    /// Waits for what the first copy of a callback is answered.
    async fn answer_of(&self, id: i64, attempt: &str, deadline: Instant) -> Result<CallbackAnswer, CallbackRefused> {
        loop {
            let row = rows::find(&self.payments.db, id).await?.ok_or(DbError::Corrupt("wallet payment"))?;
            match (row.attempt_id.as_deref(), &row.answer) {
                (Some(taken), Some(answer)) if taken == attempt => {
                    let corrupt = || DbError::Corrupt("card callback's answer");
                    return Ok(serde_json::from_str(answer).map_err(|_| corrupt())?);
                }
                (Some(taken), None) if taken == attempt => {}
                // Another attempt was taken meanwhile, or the payment has ended without any.
                _ => return Ok(CallbackAnswer::refused(Decline::Technical)),
            }
            if Instant::now() + LOOK_FOR_ANSWER >= deadline {
                return Err(CallbackRefused::NotNow("there was no answer in time"));
            }
            tokio::time::sleep(LOOK_FOR_ANSWER).await;
        }
    }
}

/// What is written with the authorisation: that the attempt is taken, and what it is answered.
struct AnswerHook {
    wallet: Arc<Wallet>,
    attempt_id: String,
}

impl Hook for AnswerHook {
    fn intent<'a>(&'a self, tx: &'a mut Tx, transaction: &'a Transaction) -> HookFuture<'a> {
        let next_look_at_ms = self.wallet.now_ms() + UNANSWERED_AFTER_MS;
        Box::pin(async move {
            // Another copy is at it: nothing of this one is written.
            let is_taken = rows::take(tx, transaction.id, &self.attempt_id, next_look_at_ms).await?;
            if is_taken { Ok(()) } else { Err(DbError::Corrupt("wallet attempt")) }
        })
    }

    fn outcome<'a>(&'a self, tx: &'a mut Tx, transaction: &'a Transaction, end: ActEnd) -> HookFuture<'a> {
        let next_look_at_ms = self.wallet.now_ms() + CONFIRM_AFTER_MS;
        Box::pin(async move {
            let answer = answer(transaction, end).to_json();
            rows::answer(tx, transaction.id, &answer, next_look_at_ms).await.map(|_| ())
        })
    }
}

/// How an authorisation's outcome is answered. A soft decline is a refusal: 3-D Secure for wallets is not there. What
/// nobody knows is never captured, so it is a refusal too.
fn answer(transaction: &Transaction, end: ActEnd) -> CallbackAnswer {
    match end {
        ActEnd::Done => {
            let reference = transaction.approval_code.clone().unwrap_or_else(|| transaction.acquirer_reference());
            CallbackAnswer::Reserve { network_transaction_reference: reference }
        }
        ActEnd::Refused => CallbackAnswer::refused(transaction.decline.unwrap_or(Decline::DoNotHonour)),
        ActEnd::Unknown => CallbackAnswer::refused(Decline::Technical),
    }
}

fn means(token: NetworkToken) -> Means {
    let NetworkToken { pan, expiry, cryptogram, eci, is_mastercard } = token;
    Means::NetworkToken { pan, expiry, cryptogram, eci, is_mastercard }
}

fn with_card(found: &Transaction, shown: &ShownCard) -> Transaction {
    let mut after = found.clone();
    (after.card_bin, after.card_last_four) = (shown.bin.clone(), shown.last_four.clone());
    after
}

/// Whether the callback is for what was asked: the same payment, merchant and amount.
fn is_for(callback: &CardCallback, row: &WalletRow, found: &Transaction, credentials: &Credentials) -> bool {
    callback.psp_reference == row.reference
        && callback.merchant_serial_number == credentials.merchant_serial_number
        && callback.amount_minor == found.ledger.amount_minor
        && callback.currency == found.currency.as_str()
}
