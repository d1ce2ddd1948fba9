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

use super::ledger::{ActEnd, Illegal, Ledger, Stage};
use super::request::Code;
use super::state::{CodeState, Kind, Method};
use super::steps::{self, End, Step, StepError};
use super::store::transactions::CardShown;
use super::store::{self, CodeRecord, NewTransaction, Transaction};
use crate::acquirers::{
    self, Acquirers, Approval, Authorisation, Call, Decline, Instrument, Outcome, Party, Refusal, Request, Series,
};
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
    pub acquirers: Acquirers,
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
    fn of(transaction: &Transaction) -> Result<Self, ApiError> {
        let transaction_id = transaction.id;
        let reason = transaction.decline.unwrap_or(Decline::DoNotHonour);
        match transaction.ledger.stage {
            Stage::Declined | Stage::Cancelled | Stage::Expired | Stage::Voided => {
                Ok(Self::Declined { transaction_id, reason })
            }
            Stage::Lost => Ok(Self::Unknown { transaction_id, may_retry: true }),
            Stage::Authorised if transaction.is_taken() => Ok(Self::Paid { transaction_id }),
            Stage::Authorised if transaction.is_capture_unknown() => {
                Ok(Self::Unknown { transaction_id, may_retry: false })
            }
            Stage::Waiting | Stage::Authorising | Stage::Authorised => Err(Problem::CodeBusy.into()),
        }
    }
}

/// A payment that has been checked and may begin.
struct Payment {
    record: CodeRecord,
    card: SealedCard,
    amount: Amount,
    party: Arc<Party>,
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
        let unable = || ApiError::because(Problem::Conflict, "This merchant cannot take cards yet");
        let party = self.acquirers.iter().next().cloned().ok_or_else(unable)?;
        let credentials = secrets::acquirer_credentials(&self.db, &unsealed, &account, party.acquirer.name())
            .await
            .map_err(|error| ApiError::internal(&error))?
            .ok_or_else(unable)?;
        check_takes(&party, &card, amount)?;
        let payment = Payment { record, card, amount, party, credentials, payer_address: payer_address.to_owned() };
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
        let record = store::codes::find(&self.db, code).await?.ok_or(Problem::NotFound)?;
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
        let found = store::transactions::find_attempt(&self.db, &card.attempt).await;
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
            && record.takes(amount);
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

    async fn write_intent(
        &self,
        unsealed: &Unsealed,
        record: &CodeRecord,
        card: &SealedCard,
        amount: Amount,
        acquirer: &str,
    ) -> Result<Transaction, ApiError> {
        let now_ms = self.clock.now_db();
        let mut entropy = SystemEntropy::new();
        let mut tx = self.db.begin().await?;
        if !store::codes::lock(&mut tx, record, None).await? {
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
        let expiry = format!("{:04}-{:02}", card.expiry.year(), card.expiry.month());
        let shown =
            CardShown { token: Some(&token), bin: card.pan.bin(), last_four: card.pan.last_four(), expiry: &expiry };
        let new = NewTransaction {
            request_id: &record.request_id,
            account: &record.account,
            attempt: &card.attempt,
            dialect: record.dialect,
            kind: Kind::Payment,
            method: Method::Card,
            code: Some(&record.code),
            reference: &record.request.merchant_reference,
            order_id: record.order_id.as_deref(),
            subscriber_id: None,
            card: Some(shown),
            payer_msisdn: None,
            amount,
            autocapture: record.autocapture,
            lease_until_ms: None,
        };
        let id = store::transactions::add(&mut tx, &new, now_ms).await.map_err(|error| {
            if error.is_duplicate() {
                ApiError::because(Problem::Conflict, "This page was used already. Please reload it")
            } else {
                error.into()
            }
        })?;
        store::codes::tie(&mut tx, &record.code, id).await?;
        let corrupt = || ApiError::internal(&DbError::Corrupt("transaction"));
        let before = store::transactions::find_in(&mut tx, id).await?.ok_or_else(corrupt)?;
        let ledger = before.ledger.authorise().map_err(|error| ApiError::internal(&error))?;
        let after = Transaction { ledger, acquirer: Some(acquirer.to_owned()), ..before.clone() };
        let step = Step { before: &before, after, end: None };
        let asked = steps::record(&mut tx, &*self.clock, &mut entropy, step)
            .await
            .map_err(|error| ApiError::internal(&error))?;
        tx.commit().await?;
        Ok(asked)
    }

    /// Writes the intent, authorises and captures. Whatever happens, the last thing written is what is known.
    async fn carry_out(&self, unsealed: &Unsealed, payment: Payment) -> Result<PayOutcome, ApiError> {
        let acquirer = payment.party.acquirer.name();
        let asked = self.write_intent(unsealed, &payment.record, &payment.card, payment.amount, acquirer).await?;
        let id = asked.id;
        let outcome = self.authorise_and_capture(asked, payment).await;
        self.bell.notify_one();
        Ok(outcome.unwrap_or_else(|error| {
            tracing::error!(transaction = id, cause = %error, "an outcome could not be written");
            PayOutcome::Unknown { transaction_id: id, may_retry: false }
        }))
    }

    async fn authorise_and_capture(&self, asked: Transaction, payment: Payment) -> Result<PayOutcome, StepError> {
        let Payment { card, party, credentials, payer_address, .. } = payment;
        let transaction_id = asked.id;
        let instrument = Instrument::Card { pan: &card.pan, expiry: &card.expiry, csc: Some(&card.csc) };
        let call = Call::Authorise(Authorisation {
            instrument,
            payer_address: Some(&payer_address),
            authentication: None,
            series: Series::None,
        });
        let outcome = ask(&party, &credentials, &asked, call).await;
        drop(card); // number and security code are wiped here: nothing after this needs them
        let approval = match outcome {
            Outcome::Approved(approval) if approval.state.is_some() => approval,
            Outcome::Declined(refusal) => {
                let reason = refusal.reason;
                self.end(&asked, ActEnd::Refused, Some(refusal)).await?;
                return Ok(PayOutcome::Declined { transaction_id, reason });
            }
            // Approved without a state cannot be captured: it is as good as lost.
            Outcome::Approved(_) | Outcome::Unknown { .. } => {
                self.end(&asked, ActEnd::Unknown, None).await?;
                return Ok(PayOutcome::Unknown { transaction_id, may_retry: true });
            }
        };
        let amount_minor = asked.ledger.amount_minor;
        let held = self
            .settle(&asked, ActEnd::Done, None, Some(&approval), |ledger| {
                if asked.autocapture { ledger.capture(amount_minor) } else { Ok(ledger) }
            })
            .await?;
        if !asked.autocapture {
            return Ok(PayOutcome::Paid { transaction_id });
        }
        let state = held.acquirer_state.clone().unwrap_or_default();
        let call = Call::Capture { state: &state, authorised: held.amount(), card: None };
        match ask(&party, &credentials, &held, call).await {
            Outcome::Approved(approval) => {
                self.settle(&held, ActEnd::Done, None, Some(&approval), Ok).await?;
                Ok(PayOutcome::Paid { transaction_id })
            }
            Outcome::Declined(refusal) => self.give_back(&held, &party, &credentials, refusal).await,
            Outcome::Unknown { .. } => {
                self.end(&held, ActEnd::Unknown, None).await?;
                Ok(PayOutcome::Unknown { transaction_id, may_retry: false })
            }
        }
    }

    /// The capture was refused for certain: the hold is released.
    async fn give_back(
        &self,
        held: &Transaction,
        party: &Party,
        credentials: &[u8],
        refusal: Refusal,
    ) -> Result<PayOutcome, StepError> {
        let (transaction_id, reason) = (held.id, refusal.reason);
        let voiding = self.settle(held, ActEnd::Refused, Some(refusal), None, Ledger::void).await?;
        let state = voiding.acquirer_state.clone().unwrap_or_default();
        let end = match ask(party, credentials, &voiding, Call::Void { state: &state, card: None }).await {
            Outcome::Approved(_) => ActEnd::Done,
            Outcome::Declined(_) | Outcome::Unknown { .. } => ActEnd::Unknown,
        };
        self.end(&voiding, end, None).await?;
        Ok(PayOutcome::Declined { transaction_id, reason })
    }

    async fn end(&self, before: &Transaction, end: ActEnd, refusal: Option<Refusal>) -> Result<Transaction, StepError> {
        self.settle(before, end, refusal, None, Ok).await
    }

    /// An outcome that cannot be written is tried again for a while: it is known here and nowhere else.
    async fn settle(
        &self,
        before: &Transaction,
        end: ActEnd,
        refusal: Option<Refusal>,
        approval: Option<&Approval>,
        next: impl Fn(Ledger) -> Result<Ledger, Illegal>,
    ) -> Result<Transaction, StepError> {
        const PAUSES_MS: [u64; 4] = [50, 200, 1_000, 3_000];
        let mut entropy = SystemEntropy::new();
        let decline = refusal.as_ref().map(|refusal| refusal.reason);
        let mut after = Transaction { ledger: next(before.ledger.settle(end)?)?, ..before.clone() };
        after.decline = decline.or(after.decline);
        after.bank_code = refusal.and_then(|refusal| refusal.code).or(after.bank_code);
        if let Some(approval) = approval {
            after.acquirer_state = approval.state.clone().or(after.acquirer_state);
            after.approval_code = approval.approval_code.clone().or(after.approval_code);
            after.series = approval.series.clone().or(after.series);
        }
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let end = Some(End { outcome: Some(end), decline, next_try_at_ms: None });
            let step = Step { before, after: after.clone(), end };
            let error = match steps::make(&self.db, &*self.clock, &mut entropy, step).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            // After an error the step may have been made all the same: then it is where it should be.
            if let (StepError::Moved, Some(found)) = (&error, self.found(before.id).await)
                && found.version == before.version + 1
                && found.ledger == after.ledger
            {
                return Ok(found);
            }
            let (StepError::Db(_), Some(pause_ms)) = (&error, pauses.next()) else { return Err(error) };
            tracing::warn!(transaction = before.id, cause = %error, "outcome not yet written");
            tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        }
    }

    async fn found(&self, id: i64) -> Option<Transaction> {
        store::transactions::find(&self.db, id).await.ok().flatten()
    }
}

/// Asks for the pending act of a transaction.
async fn ask(party: &Party, credentials: &[u8], transaction: &Transaction, call: Call<'_>) -> Outcome {
    let Some(act) = transaction.ledger.pending else { return Outcome::Declined(Decline::Configuration.into()) };
    let request = Request {
        reference: &transaction.acquirer_reference(),
        act: act.number,
        asked_at_ms: u64::try_from(transaction.updated_at_ms).unwrap_or(0),
        amount: transaction.money(act.amount_minor),
        text_on_statement: None,
        call,
    };
    acquirers::ask(party, credentials, &request).await
}

/// What the acquirer would not take is refused before anything is written.
fn check_takes(party: &Party, card: &SealedCard, amount: Amount) -> Result<(), ApiError> {
    let instrument = Instrument::Card { pan: &card.pan, expiry: &card.expiry, csc: Some(&card.csc) };
    let authorisation = Authorisation { instrument, payer_address: None, authentication: None, series: Series::None };
    let call = Call::Authorise(authorisation);
    let request = Request { reference: "sv-0", act: 1, asked_at_ms: 0, amount, text_on_statement: None, call };
    party.acquirer.check(&request).map_err(|error| {
        tracing::info!(cause = %error, "card refused before it was sent");
        ApiError::because(Problem::BadRequest, "This card cannot be used here")
    })
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
