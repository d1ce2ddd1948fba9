//! A shopper pays a code.
//!
//! Steps, each with what stops it:
//! 1. the vault is open (503); the code exists (404), is not expired (410), is available (409);
//! 2. the sealed card opens and says what the page said: code, attempt, amount, currency, expiry (400);
//! 3. intent: code locked, card stored, transaction and act written, attempt used up — one commit (409 for the loser);
//! 4. the acquirer is asked to authorise; outcome and next intent are one commit;
//! 5. the acquirer is asked to capture; outcome, code and notification are one commit.
//!
//! The same sealed card sent again is answered with what became of it the first time; it is never paid twice.
//!
//! From 3 on the work runs in a task of its own: a shopper who closes the page cancels nothing.

use std::sync::Arc;

use scanvault_protocol::Problem;
use tokio::sync::{Notify, mpsc};
use zeroize::Zeroizing;

use super::request::Code;
use super::settle::{self, SettleError, Step};
use super::state::{CodeState, TransactionState};
use super::store::{self, ActKind, ActState, CodeRecord, NewTransaction, TransactionRecord};
use crate::acquirers::{self, Acquirer, Decline, Outcome, Request, Transport};
use crate::calendar::Utc;
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::identity::{self, Account, secrets};
use crate::money::Amount;
use crate::vault::cards::{self, Card};
use crate::vault::{SealedCard, SealedError, SystemEntropy, Unsealed, Vault};
use crate::web::ApiError;

/// Everything a payment needs.
pub struct Payments {
    /// Where it is written.
    pub db: Db,
    /// What opens and seals cards.
    pub vault: Arc<Vault>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who moves the money.
    pub acquirer: Arc<dyn Acquirer>,
    /// How they are reached.
    pub transport: Arc<Transport>,
    /// Rung when a notification was written.
    pub bell: Arc<Notify>,
    /// How long the card of a payment is kept after it. Nothing of ours needs it later; a dispute or a refund may.
    pub card_retention_ms: i64,
    /// Held by every running payment: the process waits for them when it stops.
    pub running: mpsc::Sender<()>,
}

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
    /// Nobody knows yet. `may_retry`: the card cannot have been charged.
    Unknown {
        /// The transaction.
        transaction_id: i64,
        /// Whether paying again is safe.
        may_retry: bool,
    },
}

impl PayOutcome {
    /// Where a transaction stands by now.
    ///
    /// # Errors
    /// [`Problem::CodeBusy`] while it waits for an answer.
    fn of(transaction: &TransactionRecord) -> Result<Self, ApiError> {
        use TransactionState as S;
        let transaction_id = transaction.id;
        let reason = transaction.decline.unwrap_or(Decline::DoNotHonour);
        match transaction.state {
            S::Captured => Ok(Self::Paid { transaction_id }),
            S::Declined | S::Voided | S::VoidUnknown => Ok(Self::Declined { transaction_id, reason }),
            S::Lost => Ok(Self::Unknown { transaction_id, may_retry: true }),
            S::CaptureUnknown => Ok(Self::Unknown { transaction_id, may_retry: false }),
            S::Authorising | S::Capturing | S::Voiding => Err(Problem::CodeBusy.into()),
        }
    }
}

/// A payment that has been checked and may begin.
struct Payment {
    record: CodeRecord,
    card: SealedCard,
    amount: Amount,
    credentials: Zeroizing<Vec<u8>>,
    payer_address: String,
}

impl Payments {
    /// Pays `code` with a card that the page sealed.
    ///
    /// # Errors
    /// See the module's list.
    pub async fn pay(self: &Arc<Self>, code: &Code, sealed: &str, payer_address: &str) -> Result<PayOutcome, ApiError> {
        let unsealed = self.vault.unsealed_for_cards().map_err(sealed_problem)?;
        let record = match self.payable(code).await {
            Ok(record) => record,
            Err(problem) => return self.earlier(&unsealed, code, sealed).await.unwrap_or(Err(problem)),
        };
        let (card, amount) = self.open_card(&unsealed, &record, sealed)?;
        let account = merchant(&self.db, &record).await?.name;
        let credentials = secrets::acquirer_credentials(&self.db, &unsealed, &account, self.acquirer.name())
            .await
            .map_err(|error| ApiError::internal(&error))?
            .ok_or_else(|| ApiError::because(Problem::Conflict, "This merchant cannot take cards yet"))?;
        self.check_takes(&card, amount)?;
        let payment = Payment { record, card, amount, credentials, payer_address: payer_address.to_owned() };
        // The intent is written inside the task: a shopper who hangs up at its very commit cancels nothing either.
        let (payments, vault, running) = (Arc::clone(self), Arc::clone(&unsealed), self.running.clone());
        let task = tokio::spawn(async move {
            let _running = running;
            payments.carry_out(&vault, payment).await
        });
        match task.await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(problem)) => self.earlier(&unsealed, code, sealed).await.unwrap_or(Err(problem)),
            // A task that panicked left the transaction where it was; it is settled as abandoned.
            Err(error) => Err(ApiError::internal(&error)),
        }
    }

    /// The code, if it can be paid now.
    ///
    /// # Errors
    /// 404, 410 or 409.
    pub async fn payable(&self, code: &Code) -> Result<CodeRecord, ApiError> {
        let record = store::find_code(&self.db, code).await?.ok_or(Problem::NotFound)?;
        match record.state {
            CodeState::Available if record.is_expired(self.clock.now_db()) => Err(Problem::CodeExpired.into()),
            CodeState::Available => Ok(record),
            CodeState::Locked => Err(Problem::CodeBusy.into()),
            CodeState::Used | CodeState::Blocked | CodeState::Deleted => Err(Problem::CodeNotPayable.into()),
        }
    }

    /// What became of a card that was sent before: a browser may send a request again whose answer it has lost. `None`
    /// when this attempt was never used.
    async fn earlier(&self, unsealed: &Unsealed, code: &Code, sealed: &str) -> Option<Result<PayOutcome, ApiError>> {
        let plaintext = unsealed.open_jwe(sealed).ok()?;
        let card = SealedCard::parse(&plaintext).ok()?;
        unsealed.verify_attempt(code.as_str(), &card.attempt, self.clock.now_secs()).ok()?;
        let found = store::find_attempt(&self.db, &card.attempt).await;
        match found {
            Ok(None) => None,
            Ok(Some(transaction)) => Some(PayOutcome::of(&transaction)),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Opens what the page sealed and holds it against what the page was given.
    fn open_card(
        &self,
        unsealed: &Unsealed,
        record: &CodeRecord,
        sealed: &str,
    ) -> Result<(SealedCard, Amount), ApiError> {
        // One text for all of it: what exactly did not fit is nobody's business but the page's.
        let unreadable = |cause: &dyn std::error::Error| {
            tracing::info!(cause = %cause, "sealed card refused");
            ApiError::because(Problem::BadRequest, "The card data could not be read. Please reload the page")
        };
        let plaintext = unsealed.open_jwe(sealed).map_err(|error| unreadable(&error))?;
        let card = SealedCard::parse(&plaintext).map_err(|error| unreadable(&error))?;
        let attempt = unsealed
            .verify_attempt(record.code.as_str(), &card.attempt, self.clock.now_secs())
            .map_err(|error| unreadable(&error))?;
        let asked = record.request.amount;
        let amount = Amount::from_minor(card.amount_minor, asked.currency()).map_err(|error| unreadable(&error))?;
        let agrees = card.code == record.code.as_str()
            && card.expires_at_s == attempt.expires_at_s
            && card.currency == asked.currency().as_str()
            && (amount == asked || asked.is_open())
            && !amount.is_open();
        if !agrees {
            let text = "What is to be paid has changed. Please reload the page";
            return Err(ApiError::because(Problem::BadRequest, text));
        }
        let today = Utc::from_unix_ms(self.clock.now_ms());
        if card.expiry.is_over(today.year, today.month) {
            return Err(ApiError::because(Problem::BadRequest, "The card has expired"));
        }
        Ok((card, amount))
    }

    /// What the acquirer would not take is refused before anything is written.
    fn check_takes(&self, card: &SealedCard, amount: Amount) -> Result<(), ApiError> {
        let SealedCard { pan, expiry, csc, .. } = card;
        let request = Request::Authorise { amount, pan, expiry, csc, reference: "sv-0", payer_address: None };
        self.acquirer.check(&request).map_err(|error| {
            tracing::info!(cause = %error, "card refused before it was sent");
            ApiError::because(Problem::BadRequest, "This card cannot be used here")
        })
    }

    async fn write_intent(
        &self,
        unsealed: &Unsealed,
        record: &CodeRecord,
        card: &SealedCard,
        amount: Amount,
    ) -> Result<i64, ApiError> {
        let now_ms = self.clock.now_db();
        let mut entropy = SystemEntropy::new();
        let mut tx = self.db.begin().await?;
        if !store::lock_code(&mut tx, &record.code).await? {
            return Err(Problem::CodeBusy.into());
        }
        let stored = Card {
            account: &record.account,
            pan: &card.pan,
            expiry: &card.expiry,
            holder: card.name.as_ref(),
            keep_until_ms: Some(now_ms.saturating_add(self.card_retention_ms)),
        };
        let token = cards::tokenize(&mut tx, unsealed, &stored, now_ms, &mut entropy)
            .await
            .map_err(|error| ApiError::internal(&error))?;
        let new = NewTransaction {
            code: &record.code,
            request_id: &record.request_id,
            account: &record.account,
            attempt: &card.attempt,
            card: &token,
            card_bin: card.pan.bin(),
            card_last_four: card.pan.last_four(),
            amount,
            acquirer: self.acquirer.name(),
        };
        let id = store::add_transaction(&mut tx, &new, now_ms).await.map_err(|error| {
            if error.is_duplicate() {
                ApiError::because(Problem::Conflict, "This page was used already. Please reload it")
            } else {
                error.into()
            }
        })?;
        store::add_act(&mut tx, id, ActKind::Authorise, amount, now_ms).await?;
        store::add_change(&mut tx, &record.account, id, now_ms).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Writes the intent, authorises and captures. Whatever happens, the last thing written is what is known.
    async fn carry_out(&self, unsealed: &Unsealed, payment: Payment) -> Result<PayOutcome, ApiError> {
        let id = self.write_intent(unsealed, &payment.record, &payment.card, payment.amount).await?;
        let outcome = self.authorise_and_capture(id, payment).await;
        self.bell.notify_one();
        Ok(outcome.unwrap_or_else(|error| {
            tracing::error!(transaction = id, cause = %error, "an outcome could not be written");
            PayOutcome::Unknown { transaction_id: id, may_retry: false }
        }))
    }

    async fn authorise_and_capture(&self, id: i64, payment: Payment) -> Result<PayOutcome, SettleError> {
        use TransactionState as S;
        let Payment { amount, card, credentials, payer_address, .. } = payment;
        let reference = format!("sv-{id}");
        let request = Request::Authorise {
            amount,
            pan: &card.pan,
            expiry: &card.expiry,
            csc: &card.csc,
            reference: &reference,
            payer_address: Some(&payer_address),
        };
        let outcome = acquirers::ask(&*self.acquirer, &self.transport, &credentials, &request).await;
        drop(card); // number and security code are wiped here: nothing after this needs them
        let authorisation = match outcome {
            Outcome::Approved { reference: Some(reference) } => reference,
            Outcome::Declined(reason) => {
                self.end(id, (S::Authorising, S::Declined), ActState::Refused, Some(reason)).await?;
                return Ok(PayOutcome::Declined { transaction_id: id, reason });
            }
            // Approved without an id cannot be captured: it is as good as lost.
            Outcome::Approved { reference: None } | Outcome::Unknown(_) => {
                self.end(id, (S::Authorising, S::Lost), ActState::Unknown, None).await?;
                return Ok(PayOutcome::Unknown { transaction_id: id, may_retry: true });
            }
        };
        let step = Step {
            from_to: (S::Authorising, S::Capturing),
            act: ActState::Done,
            acquirer_ref: Some(&authorisation),
            decline: None,
            next: Some(ActKind::Capture),
        };
        self.settle(id, &step).await?;
        let request = Request::Capture { authorisation: &authorisation, amount };
        match acquirers::ask(&*self.acquirer, &self.transport, &credentials, &request).await {
            Outcome::Approved { .. } => {
                self.end(id, (S::Capturing, S::Captured), ActState::Done, None).await?;
                Ok(PayOutcome::Paid { transaction_id: id })
            }
            Outcome::Declined(reason) => self.give_back(id, &authorisation, &credentials, reason).await,
            Outcome::Unknown(_) => {
                self.end(id, (S::Capturing, S::CaptureUnknown), ActState::Unknown, None).await?;
                Ok(PayOutcome::Unknown { transaction_id: id, may_retry: false })
            }
        }
    }

    /// The capture was refused for certain: the hold is released.
    async fn give_back(
        &self,
        id: i64,
        authorisation: &str,
        credentials: &[u8],
        reason: Decline,
    ) -> Result<PayOutcome, SettleError> {
        use TransactionState as S;
        let step = Step {
            from_to: (S::Capturing, S::Voiding),
            act: ActState::Refused,
            acquirer_ref: None,
            decline: Some(reason),
            next: Some(ActKind::Void),
        };
        self.settle(id, &step).await?;
        let request = Request::Void { authorisation };
        let (to, act) = match acquirers::ask(&*self.acquirer, &self.transport, credentials, &request).await {
            Outcome::Approved { .. } => (S::Voided, ActState::Done),
            Outcome::Declined(_) => (S::VoidUnknown, ActState::Refused),
            Outcome::Unknown(_) => (S::VoidUnknown, ActState::Unknown),
        };
        self.end(id, (S::Voiding, to), act, None).await?;
        Ok(PayOutcome::Declined { transaction_id: id, reason })
    }

    async fn end(
        &self,
        id: i64,
        from_to: (TransactionState, TransactionState),
        act: ActState,
        decline: Option<Decline>,
    ) -> Result<(), SettleError> {
        self.settle(id, &Step { from_to, act, acquirer_ref: None, decline, next: None }).await
    }

    /// An outcome that cannot be written is tried again for a while: it is known here and nowhere else.
    async fn settle(&self, id: i64, step: &Step<'_>) -> Result<(), SettleError> {
        const PAUSES_MS: [u64; 4] = [50, 200, 1_000, 3_000];
        let mut entropy = SystemEntropy::new();
        for pause_ms in PAUSES_MS {
            match settle::settle(&self.db, &*self.clock, &mut entropy, id, step).await {
                Ok(_) => return Ok(()),
                Err(SettleError::Db(error)) => {
                    tracing::warn!(transaction = id, cause = %error, "outcome not yet written")
                }
                // After an error the step may have been made all the same: then it is where it should be.
                Err(SettleError::Moved) if self.is_at(id, step.from_to.1).await => return Ok(()),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        }
        settle::settle(&self.db, &*self.clock, &mut entropy, id, step).await.map(|_| ())
    }

    async fn is_at(&self, id: i64, state: TransactionState) -> bool {
        matches!(store::find_transaction(&self.db, id).await, Ok(Some(found)) if found.state == state)
    }
}

/// The account that a code belongs to, as long as it is active: a suspended merchant takes no payments.
///
/// # Errors
/// [`Problem::CodeNotPayable`].
pub async fn merchant(db: &Db, record: &CodeRecord) -> Result<Account, ApiError> {
    let name = record.account.parse().map_err(|_| ApiError::internal(&DbError::Corrupt("account name")))?;
    let account = identity::store::find(db, &name).await?;
    account.filter(|account| account.is_active).ok_or_else(|| Problem::CodeNotPayable.into())
}

/// What needs a key is not to be had while there is none.
#[must_use]
pub fn sealed_problem(_: SealedError) -> ApiError {
    Problem::Sealed.into()
}
