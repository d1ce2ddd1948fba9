//! A payer chooses MobilePay: intent first, then the payment is made there.

use std::sync::Arc;
use std::time::Duration;

use scanvault_protocol::Problem;

use super::Wallet;
use crate::acquirers::Decline;
use crate::acquirers::mobilepay::{self, Msisdn, NewPayment, WalletError};
use crate::db::DbError;
use crate::hex;
use crate::money::Amount;
use crate::payments::Code;
use crate::payments::ledger::Stage;
use crate::payments::pay::{self, PayOutcome};
use crate::payments::state::{Kind, Method, RequestKind};
use crate::payments::steps::{self, Step, StepError};
use crate::payments::store::wallet::{self as rows, Details, WalletRow, WalletState};
use crate::payments::store::{self, CodeRecord, NewTransaction, Transaction};
use crate::vault::{Entropy, SystemEntropy, Unsealed};
use crate::web::ApiError;

/// The first look at a payment that nobody has told of.
const FIRST_LOOK_MS: i64 = 5_000;
/// Between the two times that a payment without an answer is made with one key.
const PAUSE: Duration = Duration::from_millis(300);

/// What the pay page sends.
#[derive(Debug)]
pub struct WalletOrder {
    /// The page's attempt.
    pub attempt: String,
    /// What the payer typed, where the amount is theirs to say.
    pub amount_minor: Option<u64>,
    /// Their phone number.
    pub phone: Option<Msisdn>,
    /// What the page speaks when they come back, where they have chosen it.
    pub language: Option<&'static str>,
}

/// What the payer does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Started {
    /// They go there.
    Redirect {
        /// The transaction.
        transaction_id: i64,
        /// MobilePay's.
        url: String,
    },
    /// It is over, or nobody knows.
    Outcome(PayOutcome),
}

impl Wallet {
    /// Begins a payment, or says what became of the one that this attempt began.
    ///
    /// # Errors
    /// As for a card: 503 sealed, 404, 410 and 409 for the code, 400 for what does not fit the page.
    pub async fn start(self: &Arc<Self>, code: &Code, order: &WalletOrder) -> Result<Started, ApiError> {
        let unsealed = self.payments.vault.unsealed_for_cards().map_err(pay::sealed_problem)?;
        if let Some(begun) = store::transactions::find_attempt(&self.payments.db, &order.attempt).await? {
            return self.again(unsealed, code, begun).await;
        }
        let record = self.payments.payable(code).await?;
        let unfit = || ApiError::because(Problem::BadRequest, "What is to be paid has changed. Please reload the page");
        let now_secs = self.payments.clock.now_secs();
        unsealed.verify_attempt(code.as_str(), &order.attempt, now_secs).map_err(|_| unfit())?;
        let amount = agreed(&record, order.amount_minor).ok_or_else(unfit)?;
        pay::merchant(&self.payments.db, &record).await?;
        let unable = || ApiError::because(Problem::Conflict, "This merchant does not take MobilePay");
        // A wallet's token is good for one payment: there is no card that could be kept for a subscriber.
        if record.kind != RequestKind::Payment {
            return Err(unable());
        }
        let callback_url = self.callback_url.as_deref().ok_or_else(unable)?;
        self.credentials(&unsealed, &record.account).await?;
        if !mobilepay::takes(amount) {
            return Err(ApiError::because(Problem::BadRequest, "MobilePay does not take this amount"));
        }
        // The intent is written inside the task: a payer who hangs up at its very commit cancels nothing.
        let details = self.details(&record, order, callback_url);
        let (attempt, phone) = (order.attempt.clone(), order.phone.clone());
        let wallet = Arc::clone(self);
        let work = async move {
            let (begun, row) = wallet.intend(&record, &attempt, amount, phone.as_ref(), details).await?;
            wallet.make(&unsealed, &begun, &row).await
        };
        self.payments.to_its_end(work).await.map_err(|error| ApiError::internal(&error))?
    }

    /// The page has sent its request again.
    async fn again(
        self: &Arc<Self>,
        unsealed: Arc<Unsealed>,
        code: &Code,
        begun: Transaction,
    ) -> Result<Started, ApiError> {
        if begun.code.as_ref() != Some(code) || begun.method != Method::MobilePay {
            return Err(ApiError::because(Problem::Conflict, "This page was used already. Please reload it"));
        }
        let missing = || ApiError::internal(&DbError::Corrupt("wallet payment"));
        let row = rows::find(&self.payments.db, begun.id).await?.ok_or_else(missing)?;
        match (begun.ledger.stage, &row.details.redirect_url) {
            (Stage::Waiting, Some(url)) => Ok(Started::Redirect { transaction_id: begun.id, url: url.clone() }),
            (Stage::Waiting, None) => {
                let wallet = Arc::clone(self);
                let work = async move { wallet.make(&unsealed, &begun, &row).await };
                self.payments.to_its_end(work).await.map_err(|error| ApiError::internal(&error))?
            }
            _ => PayOutcome::of(&begun).map(Started::Outcome),
        }
    }

    fn details(&self, record: &CodeRecord, order: &WalletOrder, callback_url: &str) -> Details {
        let description = record.request.short_description.as_deref().unwrap_or(&record.request.merchant_reference);
        let language = order.language.map_or(String::new(), |tag| format!("&lang={tag}"));
        Details {
            description: description.to_owned(),
            return_url: format!("{}/Q/{}?attempt={}{language}", self.public_url, record.code, order.attempt),
            card_callback_url: format!("{callback_url}/mobilepay/card"),
            redirect_url: None,
        }
    }

    async fn intend(
        &self,
        record: &CodeRecord,
        attempt: &str,
        amount: Amount,
        phone: Option<&Msisdn>,
        mut details: Details,
    ) -> Result<(Transaction, WalletRow), ApiError> {
        let mut random = [0; 10];
        SystemEntropy::new().fill(&mut random).map_err(|error| ApiError::internal(&error))?;
        let now_ms = self.now_ms();
        let lease_until_ms = Some(now_ms + super::PAYER_MS + super::MARGIN_MS);
        let mut tx = self.payments.db.begin().await?;
        if !store::codes::lock(&mut tx, record, lease_until_ms).await? {
            return Err(Problem::CodeBusy.into());
        }
        let new = NewTransaction {
            request_id: &record.request_id,
            account: &record.account,
            attempt,
            dialect: record.dialect,
            kind: Kind::Payment,
            method: Method::MobilePay,
            code: Some(&record.code),
            reference: &record.request.merchant_reference,
            order_id: record.order_id.as_deref(),
            subscriber_id: None,
            card: None,
            payer_msisdn: phone.map(Msisdn::as_str),
            amount,
            autocapture: record.autocapture,
            lease_until_ms,
        };
        let id = store::transactions::add(&mut tx, &new, now_ms).await.map_err(|error| {
            if error.is_duplicate() {
                ApiError::because(Problem::Conflict, "This page was used already. Please reload it")
            } else {
                error.into()
            }
        })?;
        store::codes::tie(&mut tx, &record.code, id).await?;
        // Unique at MobilePay for ever, also for a merchant who has used another origin before; and not to be guessed.
        let reference = format!("sv-{id}-{}", hex::encode(&random));
        details.card_callback_url = format!("{}/{reference}", details.card_callback_url);
        let row = WalletRow {
            transaction_id: id,
            reference,
            attempt_id: None,
            answer: None,
            state: WalletState::Asked,
            details,
            created_at_ms: now_ms,
            next_look_at_ms: Some(now_ms + 60_000),
        };
        rows::add(&mut tx, &row).await?;
        let corrupt = || ApiError::internal(&DbError::Corrupt("transaction"));
        let begun = store::transactions::find_in(&mut tx, id).await?.ok_or_else(corrupt)?;
        tx.commit().await?;
        Ok((begun, row))
    }

    /// Makes the payment there. With the same key and body as often as one likes: there is one payment.
    async fn make(&self, unsealed: &Unsealed, begun: &Transaction, row: &WalletRow) -> Result<Started, ApiError> {
        let credentials = self.credentials(unsealed, &begun.account).await?;
        let phone = begun.payer_msisdn.as_deref().and_then(Msisdn::parse);
        let new = NewPayment {
            amount: begun.amount(),
            reference: &row.reference,
            return_url: &row.details.return_url,
            card_callback_url: &row.details.card_callback_url,
            phone: phone.as_ref(),
            description: &row.details.description,
            expires_at_ms: None,
        };
        let key = row.create_key();
        let mut made = self.client.create(&credentials, &key, &new).await;
        if matches!(made, Err(WalletError::NoAnswer(_) | WalletError::Busy(_))) {
            tokio::time::sleep(PAUSE).await;
            made = self.client.create(&credentials, &key, &new).await;
        }
        let error = match made {
            Ok(url) => {
                let details = Details { redirect_url: Some(url.clone()), ..row.details.clone() };
                let first_look_ms = self.now_ms() + FIRST_LOOK_MS;
                return if rows::created(&self.payments.db, begun.id, &details, first_look_ms).await? {
                    Ok(Started::Redirect { transaction_id: begun.id, url })
                } else {
                    self.meanwhile(begun.id).await
                };
            }
            Err(error) => error,
        };
        tracing::warn!(transaction = begun.id, cause = %error, "the payment could not be made at MobilePay");
        let reason = match error {
            WalletError::NotSent => Decline::Unreachable,
            WalletError::NoAnswer(_) | WalletError::Busy(_) => Decline::Technical,
            WalletError::Credentials => Decline::Credentials,
            WalletError::NotFound | WalletError::TooEarly(_) | WalletError::Refused(_) | WalletError::NotMade(_) => {
                Decline::Configuration
            }
        };
        // Whether it is there or not: nobody knows its address, so no card can be handed over. What may be there is
        // cancelled by the report that the step adds.
        self.give_up(begun, Stage::Declined, Some(reason)).await
    }

    async fn give_up(&self, begun: &Transaction, stage: Stage, reason: Option<Decline>) -> Result<Started, ApiError> {
        match self.end_waiting(begun, stage, reason).await {
            Ok(after) => PayOutcome::of(&after).map(Started::Outcome),
            Err(StepError::Moved) => self.meanwhile(begun.id).await,
            Err(error) => Err(ApiError::internal(&error)),
        }
    }

    /// Somebody else has gone on with it: what they have made of it.
    async fn meanwhile(&self, id: i64) -> Result<Started, ApiError> {
        let missing = || ApiError::internal(&DbError::Corrupt("transaction"));
        let found = store::transactions::find(&self.payments.db, id).await?.ok_or_else(missing)?;
        let row = rows::find(&self.payments.db, id).await?.ok_or_else(missing)?;
        match (found.ledger.stage, row.details.redirect_url) {
            (Stage::Waiting, Some(url)) => Ok(Started::Redirect { transaction_id: id, url }),
            _ => PayOutcome::of(&found).map(Started::Outcome),
        }
    }

    /// Ends a payment that never got as far as a card.
    pub(super) async fn end_waiting(
        &self,
        waiting: &Transaction,
        stage: Stage,
        reason: Option<Decline>,
    ) -> Result<Transaction, StepError> {
        let ledger = waiting.ledger.end_waiting(stage)?;
        let after = Transaction { ledger, decline: reason.or(waiting.decline), ..waiting.clone() };
        let mut entropy = SystemEntropy::new();
        let mut tx = self.payments.db.begin().await?;
        let step = Step { before: waiting, after, end: None };
        let after = steps::record(&mut tx, &*self.payments.clock, &mut entropy, step).await?;
        rows::end(&mut *tx, waiting.id).await?;
        tx.commit().await.map_err(DbError::from)?;
        tracing::info!(transaction = waiting.id, to = after.tx_state(), "wallet payment ended");
        self.bell.notify_one();
        self.payments.bell.notify_one();
        Ok(after)
    }
}

/// The amount that both agree on: what was asked for, or what the payer types where that is open, or may be less.
fn agreed(record: &CodeRecord, typed_minor: Option<u64>) -> Option<Amount> {
    let asked = record.request.amount;
    let amount = match (typed_minor, asked.is_open()) {
        (None, false) => asked,
        (None, true) => return None,
        (Some(typed), _) => Amount::from_minor(typed, asked.currency()).ok()?,
    };
    Some(amount).filter(|amount| record.takes(*amount) && !amount.is_open())
}
