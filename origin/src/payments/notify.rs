//! What the merchant's receiver is told: an outbox row, written with the change.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ledger::ActKind;
use super::store::Transaction;
use super::{notification, view};
use crate::db::{DbError, Tx};
use crate::identity;
use crate::outbox::store::New;
use crate::outbox::{self, Format};
use crate::vault::{Entropy, EntropyError};

/// The one status that says yes.
const PAID: &str = "SUCCESS";

/// Why a notification was not written, and with it the change.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
    /// No delivery id could be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Writes the delivery of a step that the merchant is told of: a final state, each refund, and in strict mode the hold
/// that waits for the receiver's 200. Nothing when the account has no receiver.
///
/// # Errors
/// See [`NotifyError`].
pub async fn of_step(
    tx: &mut Tx,
    before: &Transaction,
    transaction: &Transaction,
    seq: Option<i64>,
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<(), NotifyError> {
    if is_undone(before, transaction) {
        outbox::strict::undo(tx, transaction.id, now_ms).await?;
    }
    let Some(news) = news(before, transaction) else { return Ok(()) };
    let Some((url, format)) = identity::store::webhook(tx, &transaction.account).await? else { return Ok(()) };
    if news == News::Paid && outbox::strict::was_answered(tx, transaction.id).await? {
        return Ok(()); // that it is paid is what the receiver said yes to
    }
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    let id = format!("dlv_{}", URL_SAFE_NO_PAD.encode(random));
    let status = if news == News::Held { PAID } else { transaction.tx_state() };
    let body = match format {
        Format::Json => view::Notification::of(transaction, status, seq).to_json(),
        Format::Pluto => notification::pluto(transaction, status),
    };
    let delivery = New {
        id: &id,
        account: &transaction.account,
        url: &url,
        format,
        body: &body,
        transaction_id: Some(transaction.id),
        deadline_at_ms: transaction.held_until_ms.filter(|_| news == News::Held),
    };
    outbox::store::add(tx, delivery, now_ms).await?;
    Ok(())
}

/// What a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// The money is held and waits for its answer: to it the payment is made.
    Held,
    /// The money was taken.
    Paid,
    /// Another final state, or a refund.
    Other,
}

/// A hold that waited for its receiver, and now is given back.
fn is_undone(before: &Transaction, after: &Transaction) -> bool {
    let is_void = after.ledger.pending.is_some_and(|act| act.kind == ActKind::Void);
    before.held_until_ms.is_some() && after.held_until_ms.is_none() && is_void
}

fn news(before: &Transaction, after: &Transaction) -> Option<News> {
    if before.held_until_ms.is_none() && after.held_until_ms.is_some() {
        return Some(News::Held);
    }
    let state = after.tx_state();
    let is_refund = after.ledger.refunded_minor != before.ledger.refunded_minor;
    match state {
        PAID if after.held_until_ms.is_some() => None,
        PAID if is_refund => Some(News::Other),
        PAID => (before.tx_state() != PAID || before.held_until_ms.is_some()).then_some(News::Paid),
        _ if state.starts_with("END_") => (is_refund || state != before.tx_state()).then_some(News::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::ActEnd;
    use super::*;

    #[test]
    fn the_receiver_is_told_of_a_payment_once() {
        let new = Transaction::sample(1000);
        let asked = Transaction { ledger: new.ledger.authorise().unwrap(), ..new.clone() };
        let held_ledger = asked.ledger.settle(ActEnd::Done).unwrap();
        let held = Transaction { ledger: held_ledger, held_until_ms: Some(45_000), ..asked.clone() };
        let capturing = Transaction { ledger: held.ledger.capture(1000).unwrap(), held_until_ms: None, ..held.clone() };
        let paid = Transaction { ledger: capturing.ledger.settle(ActEnd::Done).unwrap(), ..capturing.clone() };
        let refunding = Transaction { ledger: paid.ledger.refund(400).unwrap(), ..paid.clone() };
        let refunded = Transaction { ledger: refunding.ledger.settle(ActEnd::Done).unwrap(), ..refunding.clone() };
        let voiding = Transaction { ledger: held.ledger.void().unwrap(), held_until_ms: None, ..held.clone() };
        let voided = Transaction { ledger: voiding.ledger.settle(ActEnd::Done).unwrap(), ..voiding.clone() };
        for (before, after, told) in [
            (&new, &asked, None),
            (&asked, &held, Some(News::Held)),
            (&held, &held, None),
            (&held, &capturing, None),
            (&capturing, &paid, Some(News::Paid)),
            (&paid, &refunding, None),
            (&refunding, &refunded, Some(News::Other)),
            (&held, &voiding, None),
            (&voiding, &voided, Some(News::Other)),
        ] {
            assert_eq!(news(before, after), told, "{} to {}", before.tx_state(), after.tx_state());
            assert_eq!(is_undone(before, after), std::ptr::eq(after, &voiding), "{}", after.tx_state());
        }
        // Taken later by the merchant: to the receiver it is paid as soon as it is held for good.
        let held = Transaction { autocapture: false, ..held };
        let kept = Transaction { held_until_ms: None, ..held.clone() };
        assert_eq!(news(&asked, &held), Some(News::Held));
        assert_eq!(news(&held, &kept), Some(News::Paid));
        assert_eq!(news(&asked, &kept), Some(News::Paid));
    }
}
