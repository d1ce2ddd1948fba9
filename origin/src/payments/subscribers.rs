//! What a payment does to a merchant's subscribers, in the step that moves it: an approved first payment makes one, an
//! approved renewal gives one another card, a charge carries its series on, and some refusals end it.

use super::details::Details;
use super::feed::{self, Renewal};
use super::ledger::Stage;
use super::state::{Dialect, Kind, RequestKind};
use super::store::requests::{self, Asked};
use super::store::subscribers::{self, Kept, Subscriber};
use super::store::{Transaction, changes, transactions};
use crate::acquirers::Decline;
use crate::db::{DbError, Tx};
use crate::vault::cards;

/// Looks at a step that is being written, and writes what follows from it for subscribers.
///
/// # Errors
/// From the database.
pub async fn of_step(tx: &mut Tx, before: &Transaction, after: &mut Transaction, now_ms: i64) -> Result<(), DbError> {
    if after.dialect != Dialect::V1 || before.ledger.stage == after.ledger.stage {
        return Ok(());
    }
    match (after.kind, after.ledger.stage) {
        (Kind::Charge, stage) => of_charge(tx, after, stage, now_ms).await,
        (Kind::Payment | Kind::Verify, Stage::Authorised) => {
            let Some(asked) = requests::find_in(tx, &after.request_id).await? else { return Ok(()) };
            match asked.kind {
                RequestKind::Subscribe => subscribe(tx, &asked, after, now_ms).await,
                RequestKind::Renew => renew(tx, &asked, after, now_ms).await,
                RequestKind::Payment | RequestKind::Charge => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

async fn of_charge(tx: &mut Tx, charge: &Transaction, stage: Stage, now_ms: i64) -> Result<(), DbError> {
    let (Some(id), Some(card)) = (charge.subscriber_id, charge.card.as_deref()) else { return Ok(()) };
    match stage {
        Stage::Authorised => match charge.series.as_deref() {
            Some(series) => subscribers::go_on(tx, id, card, series, now_ms).await,
            None => Ok(()),
        },
        Stage::Declined if charge.decline.is_some_and(Decline::ends_series) => {
            tracing::warn!(subscriber = id, "the bank forbids further charges: the subscriber has ended");
            subscribers::end(tx, id, card, now_ms).await
        }
        _ => Ok(()),
    }
}

/// What is kept of a payment's card. `None`: there is nothing that could be charged later, and the payment stands alone.
fn kept(transaction: &Transaction) -> Option<Kept<'_>> {
    let kept = (|| {
        Some(Kept {
            card: transaction.card.as_deref()?,
            bin: transaction.card_bin.as_deref()?,
            last_four: transaction.card_last_four.as_deref()?,
            expiry: transaction.card_expiry.as_deref()?,
            acquirer: transaction.acquirer.as_deref()?,
            series: transaction.series.as_deref()?,
        })
    })();
    if kept.is_none() {
        tracing::error!(transaction = transaction.id, "approved, but its card cannot be charged later: no subscriber");
    }
    kept
}

async fn subscribe(tx: &mut Tx, asked: &Asked, after: &mut Transaction, now_ms: i64) -> Result<(), DbError> {
    let Some(kept) = kept(after) else { return Ok(()) };
    let named = Details::of(&asked.details).subscriber.unwrap_or_default();
    let (account, reference) = (after.account.as_str(), named.reference.as_deref());
    let id = subscribers::add(tx, account, reference, asked.order_id.as_deref(), &kept, now_ms).await?;
    cards::keep(tx, account, kept.card, None).await?;
    tell(tx, account, id, now_ms).await?;
    transactions::tie_subscriber(tx, after.id, id).await?;
    after.subscriber_id = Some(id);
    Ok(())
}

/// The card before is kept for as long as any payment's from now on: a refund may need it.
async fn renew(tx: &mut Tx, asked: &Asked, after: &mut Transaction, now_ms: i64) -> Result<(), DbError> {
    let (Some(kept), Some(id)) = (kept(after), asked.subscriber_id) else { return Ok(()) };
    let account = after.account.as_str();
    let Some(Subscriber { mut acts, card, .. }) = subscribers::find_in(tx, account, id).await? else { return Ok(()) };
    acts.push(Renewal::at_ms(now_ms));
    subscribers::renew(tx, id, &acts, &kept, now_ms).await?;
    // The new card was stored like any payment's a moment ago: the old one takes over how long that would have been.
    let until_ms = cards::keep(tx, account, kept.card, None).await?;
    if until_ms.is_some() && !subscribers::is_kept(tx, account, &card).await? {
        cards::keep(tx, account, &card, until_ms).await?;
    }
    tell(tx, account, id, now_ms).await?;
    transactions::tie_subscriber(tx, after.id, id).await?;
    after.subscriber_id = Some(id);
    Ok(())
}

async fn tell(tx: &mut Tx, account: &str, id: i64, now_ms: i64) -> Result<(), DbError> {
    let subscriber = subscribers::find_in(tx, account, id).await?.ok_or(DbError::Corrupt("subscriber"))?;
    let seq = changes::next_seq(tx, account).await?;
    let body = feed::subscriber_entry(&subscriber);
    let change = changes::Change { account, seq, kind: "subscriber", object_id: id, rev: subscriber.rev, body: &body };
    changes::add(tx, &change, now_ms).await
}
