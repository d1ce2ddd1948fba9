//! The intent of an act, and the call that it is the proof of.

use std::sync::Arc;

use super::super::Payments;
use super::super::ledger::{Act, ActKind};
use super::super::resolver::ABANDONED_AFTER_MS;
use super::super::steps::{self, Step, StepError};
use super::super::store::Transaction;
use super::EngineError;
use crate::acquirers::{self, Approval, Call, Capabilities, Decline, Opened, Outcome, Party, Request, Resolution};
use crate::clock::Clock;
use crate::db::{DbError, Tx};
use crate::identity::secrets;
use crate::vault::cards::{self, CardStoreError, Wanted};
use crate::vault::{Entropy, Unsealed, VaultCard};

/// A transaction whose pending act was written by whoever holds this, and not yet asked. Once the database transaction
/// is committed it is the permission to ask, once.
#[derive(Debug)]
pub struct Asked(pub(super) Transaction);

impl Asked {
    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.0
    }
}

/// Writes the intent of an authorisation in the caller's database transaction: of a transaction that waits, at the
/// acquirer of a route.
///
/// # Errors
/// See [`StepError`].
pub async fn begin(
    tx: &mut Tx,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
    before: &Transaction,
    acquirer: &str,
) -> Result<Asked, StepError> {
    let ledger = before.ledger.authorise()?;
    let after = Transaction { ledger, acquirer: Some(acquirer.to_owned()), lease_until_ms: None, ..before.clone() };
    Ok(Asked(steps::record(tx, clock, entropy, Step { before, after, end: None }).await?))
}

/// An acquirer, with what the merchant is to it.
pub(in super::super) struct Routed {
    pub(in super::super) party: Arc<Party>,
    pub(in super::super) credentials: Opened,
}

impl Routed {
    pub(in super::super) fn name(&self) -> &'static str {
        self.party.acquirer.name()
    }

    pub(in super::super) fn capabilities(&self) -> Capabilities {
        self.party.acquirer.capabilities()
    }
}

/// What a call needs besides its act.
pub(in super::super) struct Telling<'a> {
    /// When the intent was written: the same in every repetition.
    asked_at_ms: i64,
    /// From then on others take it for left, and it is not asked any more: the machine may have slept in between.
    until_ms: i64,
    text_on_statement: Option<&'a str>,
}

impl<'a> Telling<'a> {
    /// Of an act that was written in the transaction's last step.
    pub(in super::super) fn now(transaction: &Transaction, text_on_statement: Option<&'a str>) -> Self {
        Self::at(transaction.updated_at_ms, text_on_statement)
    }

    /// Of an act that is written down at that time.
    pub(super) fn at(asked_at_ms: i64, text_on_statement: Option<&'a str>) -> Self {
        Self { asked_at_ms, until_ms: asked_at_ms.saturating_add(ABANDONED_AFTER_MS), text_on_statement }
    }

    /// Of a repetition, until the next one is due; the last one has no end.
    pub(in super::super) fn again(
        asked_at_ms: i64,
        next_at_ms: Option<i64>,
        text_on_statement: Option<&'a str>,
    ) -> Self {
        Self { asked_at_ms, until_ms: next_at_ms.unwrap_or(i64::MAX), text_on_statement }
    }
}

/// The request of an act.
pub(super) fn request<'a>(
    transaction: &Transaction,
    act: &Act,
    reference: &'a str,
    telling: &Telling<'a>,
    call: Call<'a>,
) -> Request<'a> {
    let gives_back_by_void = act.is_reversal && matches!(call, Call::Void { .. });
    let amount_minor = if gives_back_by_void { transaction.ledger.authorised_minor } else { act.amount_minor };
    Request {
        reference,
        act: act.number,
        asked_at_ms: u64::try_from(telling.asked_at_ms).unwrap_or(0),
        amount: transaction.money(amount_minor),
        text_on_statement: telling.text_on_statement,
        call,
    }
}

/// The call of an act after the authorisation. `None` for an authorisation, which is made of more, and for what the
/// acquirer has given us no handle on.
pub(super) fn later_call<'a>(
    transaction: &'a Transaction,
    act: &Act,
    capabilities: &Capabilities,
    card: Option<&'a VaultCard>,
) -> Option<Call<'a>> {
    let state = transaction.acquirer_state.as_deref()?;
    let card = card.map(|card| (&card.pan, &card.expiry));
    match act.kind {
        ActKind::Authorise => None,
        ActKind::Capture => {
            let authorised = transaction.money(transaction.ledger.authorised_minor);
            Some(Call::Capture { state, authorised, card })
        }
        ActKind::Refund if act.is_reversal && capabilities.voids_captured => Some(Call::Void { state, card }),
        ActKind::Refund => {
            let captured = transaction.money(transaction.ledger.captured_minor);
            Some(Call::Refund { state, captured, card })
        }
        ActKind::Void => Some(Call::Void { state, card }),
    }
}

/// What the acquirer documents for an act without an answer.
pub(in super::super) fn resolution(capabilities: &Capabilities, act: &Act) -> Resolution {
    let unanswered = capabilities.unanswered;
    match act.kind {
        // A lost authorisation is never asked again: the payer may have paid in another way since.
        ActKind::Authorise => Resolution::Operator,
        ActKind::Capture => unanswered.capture,
        ActKind::Refund if act.is_reversal && capabilities.voids_captured => unanswered.void,
        ActKind::Refund => unanswered.refund,
        ActKind::Void => unanswered.void,
    }
}

impl Payments {
    /// Asks for the pending act.
    pub(super) async fn ask(
        &self,
        routed: &Routed,
        transaction: &Transaction,
        telling: &Telling<'_>,
        call: Call<'_>,
    ) -> Outcome {
        let Some(act) = transaction.ledger.pending else { return Outcome::Declined(Decline::Configuration.into()) };
        if self.clock.now_db() >= telling.until_ms || !self.db.serves() {
            // Not a refusal: whoever has taken it over may have asked.
            return Outcome::Unknown { why: "it was given up before it was asked", state: None };
        }
        let reference = transaction.acquirer_reference();
        let request = request(transaction, &act, &reference, telling, call);
        match acquirers::ask(&routed.party, &routed.credentials, &request).await {
            // Approved without a state cannot be captured: it is as good as lost.
            Outcome::Approved(Approval { state: None, .. }) if act.kind == ActKind::Authorise => {
                Outcome::Unknown { why: "the acquirer approved without saying what", state: None }
            }
            outcome => outcome,
        }
    }

    /// The acquirer that has authorised a transaction, for its later acts.
    pub(in super::super) async fn routed(
        &self,
        unsealed: &Unsealed,
        transaction: &Transaction,
    ) -> Result<Routed, EngineError> {
        let name = transaction.acquirer.as_deref().ok_or(EngineError::NotConfigured)?;
        let party = self.acquirers.find(name).ok_or(EngineError::NotConfigured)?;
        let account = transaction.account.parse().map_err(|_| DbError::Corrupt("account name"))?;
        let found = secrets::acquirer_credentials(&self.db, unsealed, &account, name).await?;
        Ok(Routed { party, credentials: found.ok_or(EngineError::NotConfigured)?.into() })
    }

    /// The card, where the acquirer wants it with every call. It is for the acquirer alone: nobody here sees it, and the
    /// act is its record.
    pub(in super::super) async fn card_of(
        &self,
        unsealed: &Unsealed,
        transaction: &Transaction,
        capabilities: &Capabilities,
    ) -> Result<Option<VaultCard>, EngineError> {
        if !capabilities.needs_card {
            return Ok(None);
        }
        let token = transaction.card.as_deref().ok_or(EngineError::CardGone)?;
        let wanted = Wanted { account: &transaction.account, token };
        let mut tx = self.db.begin().await?;
        let found = cards::read(&mut tx, unsealed, &[wanted], self.clock.now_db()).await?;
        tx.rollback().await.map_err(DbError::from)?;
        let card = found.into_iter().next().transpose()?.flatten();
        Ok(Some(card.ok_or(EngineError::CardGone)?))
    }

    /// Asks for the pending act of an authorised transaction.
    pub(in super::super) async fn ask_later(
        &self,
        unsealed: &Unsealed,
        routed: &Routed,
        transaction: &Transaction,
        telling: &Telling<'_>,
    ) -> Outcome {
        let Some(act) = transaction.ledger.pending else { return Outcome::Declined(Decline::Configuration.into()) };
        let card = match self.card_of(unsealed, transaction, &routed.capabilities()).await {
            Ok(card) => card,
            Err(error) => {
                tracing::error!(transaction = transaction.id, cause = %error, "the card was not to be had");
                // Nothing was sent. The database's trouble passes, and it is tried again; the rest does not.
                let is_passing = matches!(error, EngineError::Db(_) | EngineError::Card(CardStoreError::Db(_)));
                let reason = if is_passing { Decline::Unreachable } else { Decline::Configuration };
                return Outcome::Declined(reason.into());
            }
        };
        match later_call(transaction, &act, &routed.capabilities(), card.as_ref()) {
            Some(call) => self.ask(routed, transaction, telling, call).await,
            None => Outcome::Declined(Decline::Configuration.into()),
        }
    }
}
