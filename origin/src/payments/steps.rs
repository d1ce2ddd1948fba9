//! The one way a transaction moves on: row, act, code, feed entry and notification in one database transaction.
//!
//! Every write names the version that was read: of two that move the same transaction, one does and the other is told.

use super::feed;
use super::ledger::{ActEnd, Illegal, Stage};
use super::notify::{self, NotifyError};
use super::state::Kind;
use super::store::{self, Transaction, acts, authentications, changes, codes, transactions};
use super::subscribers;
use super::wallet::reports;
use crate::acquirers::Decline;
use crate::clock::Clock;
use crate::db::{Db, DbError, Tx};
use crate::vault::{Entropy, EntropyError};

/// A transaction as it was read and as it shall be.
pub struct Step<'a> {
    /// As it was read.
    pub before: &'a Transaction,
    /// As it shall be; its ledger comes from the ledger before.
    pub after: Transaction,
    /// How the act that was pending ended; `None` where none was settled.
    pub end: Option<End>,
}

/// How an act ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    /// Its outcome.
    pub outcome: Option<ActEnd>,
    /// Why not.
    pub decline: Option<Decline>,
    /// When an unknown one is looked at again.
    pub next_try_at_ms: Option<i64>,
}

impl End {
    /// Of an outcome that says everything.
    #[must_use]
    pub fn of(outcome: ActEnd) -> Self {
        Self { outcome: Some(outcome), ..Self::default() }
    }
}

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The database's word: the step may have been made all the same.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Somebody else has moved the transaction.
    #[error("the transaction was moved by somebody else")]
    Moved,
    /// There is no such step.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// No delivery id could be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl From<NotifyError> for StepError {
    fn from(error: NotifyError) -> Self {
        match error {
            NotifyError::Db(error) => Self::Db(error),
            NotifyError::Entropy(error) => Self::Entropy(error),
        }
    }
}

/// Makes a step in a database transaction of its own.
///
/// # Errors
/// See [`StepError`].
pub async fn make(
    db: &Db,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
    step: Step<'_>,
) -> Result<Transaction, StepError> {
    let (id, from) = (step.before.id, step.before.ledger.stage);
    let mut tx = db.begin().await?;
    let after = record(&mut tx, clock, entropy, step).await?;
    tx.commit().await.map_err(DbError::from)?;
    tracing::info!(transaction = id, from = from.as_str(), to = after.tx_state(), "transaction moved");
    Ok(after)
}

/// Makes a step, or none of it, in the caller's database transaction. The transaction as it is from now on.
///
/// # Errors
/// See [`StepError`].
pub async fn record(
    tx: &mut Tx,
    clock: &dyn Clock,
    entropy: &mut (dyn Entropy + Send),
    step: Step<'_>,
) -> Result<Transaction, StepError> {
    let Step { before, mut after, end } = step;
    let now_ms = clock.now_db();
    let is_told = is_told(before, &after);
    if is_told {
        after.rev += 1;
    }
    if before.ledger.stage != Stage::Authorised && after.ledger.stage == Stage::Authorised {
        after.authorised_at_ms = Some(now_ms);
    }
    if !transactions::write(tx, &after, now_ms).await? {
        return Err(StepError::Moved);
    }
    after.version += 1;
    after.updated_at_ms = now_ms;
    if let (Some(act), Some(End { outcome: Some(outcome), decline, next_try_at_ms })) = (before.ledger.pending, end) {
        acts::settle(tx, (after.id, act.number), outcome, decline, next_try_at_ms, now_ms).await?;
    }
    let begun = after.ledger.pending.filter(|act| Some(act.number) != before.ledger.pending.map(|act| act.number));
    if let Some(act) = begun {
        acts::add(tx, after.id, &act, after.acquirer.as_deref(), now_ms).await?;
    }
    if let Some(code) = &after.code {
        codes::set(tx, code, after.id, after.code_state()).await?;
    }
    if was_left(before, &after) {
        authentications::delete(tx, after.id).await?;
    }
    // A subscriber comes before its first charge in the feed, so that clients know it by then.
    subscribers::of_step(tx, before, &mut after, now_ms).await?;
    let seq = if is_told { Some(tell(tx, &after, now_ms).await?) } else { None };
    reports::of_step(tx, before, &after, now_ms).await?;
    notify::of_step(tx, before, &after, seq, now_ms, entropy).await?;
    Ok(after)
}

/// Whether nothing that is known of an authentication counts any more, and no outcome of an authorisation says so: the
/// payer was not waited for any longer, no answer came, or the issuer wants another one.
fn was_left(before: &Transaction, after: &Transaction) -> bool {
    match before.ledger.stage {
        Stage::Waiting => !after.ledger.stage.is_under_way(),
        Stage::Authorising => matches!(after.ledger.stage, Stage::Lost | Stage::Waiting),
        _ => false,
    }
}

/// What merchants' systems follow: authorisations, and acts that were done. An attempt that came to nothing is none, and
/// of a card that was only verified the subscriber's entry tells.
fn is_told(before: &Transaction, after: &Transaction) -> bool {
    if after.kind == Kind::Verify {
        return false;
    }
    let was_authorised = !before.is_authorised() && after.is_authorised();
    was_authorised || (after.rev > 0 && after.ledger.acts_done != before.ledger.acts_done)
}

async fn tell(tx: &mut Tx, transaction: &Transaction, now_ms: i64) -> Result<i64, DbError> {
    let acts = acts::list_in(tx, transaction.id).await?;
    let subscriber = match transaction.subscriber_id {
        Some(id) => store::subscribers::find_in(tx, &transaction.account, id).await?,
        None => None,
    };
    let body = feed::entry(transaction, &acts, subscriber.as_ref());
    let seq = changes::next_seq(tx, &transaction.account).await?;
    let change = changes::Change {
        account: &transaction.account,
        seq,
        kind: feed::kind(transaction),
        object_id: transaction.id,
        rev: transaction.rev,
        body: &body,
    };
    changes::add(tx, &change, now_ms).await?;
    Ok(seq)
}
