//! What a merchant does with a payment: capture, refund, void, reverse.

use std::sync::Arc;

use super::super::Payments;
use super::super::ledger::{ActEnd, ActKind, Illegal, Ledger};
use super::super::steps::{self, Step, StepError};
use super::super::store::{Transaction, transactions};
use super::ask::{Routed, Telling, later_call, request};
use super::outcome::{Word, nothing};
use super::{EngineError, Hook, terms};
use crate::acquirers::{AcquirerError, Capabilities, Decline};
use crate::db::{DbError, Tx};
use crate::fault;
use crate::identity::Account;
use crate::vault::{SystemEntropy, Unsealed};

/// Two merchants' systems may write at once; each round tells the loser why it lost.
const MAX_ROUNDS: usize = 8;

/// What is asked for, in minor units of the transaction's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActRequest {
    /// Take some of what is held.
    Capture(u64),
    /// Give back some of what was taken.
    Refund(u64),
    /// Give back what is held; nothing was taken of it.
    Void,
    /// Give back everything, whatever it takes.
    Reverse,
}

/// An act that was asked for, with its outcome written down.
#[derive(Clone, Debug)]
pub struct Acted {
    /// As it is now.
    pub transaction: Transaction,
    /// How it ended.
    pub end: ActEnd,
    /// Why it was refused.
    pub decline: Option<Decline>,
}

impl ActRequest {
    fn begin(self, ledger: Ledger) -> Result<Ledger, Illegal> {
        match self {
            Self::Capture(amount_minor) => ledger.capture(amount_minor),
            Self::Refund(amount_minor) => ledger.refund(amount_minor),
            Self::Void => ledger.void(),
            Self::Reverse => ledger.reverse(),
        }
    }
}

impl Payments {
    /// Does something with an authorised transaction, in a task of its own. The caller has checked whose it is.
    ///
    /// With an `index` the act begins only when the caller knows of every act that was done. The hook's writes are
    /// committed with the intent and with the outcome. In strict mode nothing can be done while the receiver is waited
    /// for, but giving it back.
    ///
    /// # Errors
    /// See [`EngineError`]; with one nothing was asked, unless it is the database's: then the act may be under way, and
    /// is settled like any that was abandoned.
    pub async fn act(
        &self,
        id: i64,
        asked: ActRequest,
        index: Option<u32>,
        hook: Arc<dyn Hook>,
    ) -> Result<Acted, EngineError> {
        let payments = self.clone();
        self.to_its_end(async move { payments.act_now(id, asked, index, &*hook).await }).await?
    }

    async fn act_now(
        &self,
        id: i64,
        asked: ActRequest,
        index: Option<u32>,
        hook: &dyn Hook,
    ) -> Result<Acted, EngineError> {
        let unsealed = self.vault.unsealed()?;
        for _ in 0..MAX_ROUNDS {
            let before = transactions::find(&self.db, id).await?.ok_or(EngineError::NotFound)?;
            if let Some(index) = index {
                before.ledger.check_index(index)?;
            }
            let after = begun(&before, asked)?;
            let account = terms::account(&self.db, &before).await?;
            let routed = self.routed(&unsealed, &before).await?;
            self.check_offered(&unsealed, &routed, &account, &after).await?;
            let intent = match self.write_act(&before, after, hook).await {
                Err(EngineError::Moved) => continue,
                other => other?,
            };
            return self.finish_act(&unsealed, &account, &routed, intent, hook).await;
        }
        Err(EngineError::Moved)
    }

    async fn write_act(
        &self,
        before: &Transaction,
        after: Transaction,
        hook: &dyn Hook,
    ) -> Result<Transaction, EngineError> {
        let mut tx: Tx = self.db.begin().await?;
        // First, so that of two calls with one key the second waits here, and is told of the key.
        hook.intent(&mut tx, before).await?;
        let step = Step { before, after, end: None };
        let mut entropy = SystemEntropy::new();
        let intent = steps::record(&mut tx, &*self.clock, &mut entropy, step).await.map_err(|error| match error {
            StepError::Db(error) if error.is_transient() => EngineError::Moved,
            other => other.into(),
        })?;
        fault::point("intent.written");
        tx.commit().await.map_err(DbError::from)?;
        fault::point("intent.committed");
        Ok(intent)
    }

    async fn finish_act(
        &self,
        unsealed: &Unsealed,
        account: &Account,
        routed: &Routed,
        intent: Transaction,
        hook: &dyn Hook,
    ) -> Result<Acted, EngineError> {
        let telling = Telling::now(&intent, account.text_on_statement.as_deref());
        let word = Word::of(self.ask_later(unsealed, routed, &intent, &telling).await);
        fault::point("act.answered");
        let decline = word.refusal().map(|refusal| refusal.reason);
        let transaction = self
            .write_outcome(&intent, &word, hook, &|after| {
                // Why a refund was refused says nothing of why the payment was.
                after.decline = intent.decline;
                after.bank_code = intent.bank_code.clone();
                nothing(after)
            })
            .await?;
        Ok(Acted { transaction, end: word.end, decline })
    }

    /// What the acquirer would refuse is refused before it is written.
    async fn check_offered(
        &self,
        unsealed: &Unsealed,
        routed: &Routed,
        account: &Account,
        after: &Transaction,
    ) -> Result<(), EngineError> {
        let act = after.ledger.pending.ok_or(Illegal::NothingPending)?;
        let capabilities = routed.capabilities();
        check_parts(&after.ledger, &capabilities)?;
        let card = self.card_of(unsealed, after, &capabilities).await?;
        let call = later_call(after, &act, &capabilities, card.as_ref()).ok_or(EngineError::NotConfigured)?;
        let reference = after.acquirer_reference();
        let telling = Telling::at(self.clock.now_db(), account.text_on_statement.as_deref());
        let request = request(after, &act, &reference, &telling, call);
        routed.party.acquirer.check(&request).map_err(|error| match error {
            AcquirerError::Credentials(_) => EngineError::NotConfigured,
            other => EngineError::NotOffered(other.to_string()),
        })
    }
}

/// The transaction with the act begun.
fn begun(before: &Transaction, asked: ActRequest) -> Result<Transaction, Illegal> {
    let gives_back = matches!(asked, ActRequest::Void | ActRequest::Reverse);
    if (before.held_until_ms.is_some() || before.is_unconfirmed()) && !gives_back {
        return Err(Illegal::Pending);
    }
    Ok(Transaction { ledger: asked.begin(before.ledger)?, held_until_ms: None, ..before.clone() })
}

/// Parts of what is held, or of what was taken, where the acquirer knows only all of it.
fn check_parts(ledger: &Ledger, capabilities: &Capabilities) -> Result<(), EngineError> {
    let Some(act) = ledger.pending else { return Ok(()) };
    let (is_partial, is_offered, what) = match act.kind {
        ActKind::Capture => {
            (act.amount_minor != ledger.authorised_minor, capabilities.partial_captures, "a capture of a part")
        }
        ActKind::Refund => {
            (act.amount_minor != ledger.captured_minor, capabilities.partial_refunds, "a refund of a part")
        }
        ActKind::Authorise | ActKind::Void => (false, true, ""),
    };
    if is_partial && !is_offered { Err(EngineError::NotOffered(what.to_owned())) } else { Ok(()) }
}
