//! What MobilePay is told of captures, refunds and releases, until it knows.
//!
//! A report is written with the act that it tells of. Before each one is made, the payment is asked for: what MobilePay
//! has already is not told again, whatever became of the answer, and what it cannot take yet waits.

use std::sync::Arc;

use super::Wallet;
use crate::acquirers::mobilepay::{Modify, PaymentState, WalletError, WalletPayment};
use crate::db::{DbError, Tx};
use crate::payments::ledger::Stage;
use crate::payments::state::Method;
use crate::payments::store::wallet::{self as rows};
use crate::payments::store::wallet_reports::{self as reports, Report, ReportKind};
use crate::payments::store::{self, Transaction};

/// Longer than the two calls of a report: the lease ends only when this process is gone.
const LEASE_MS: i64 = 60_000;
/// 2 s, 4 s, 8 s … one hour; 40 attempts are about 27 hours. Then an operator is asked. There may be five calls a minute.
const FIRST_RETRY_MS: i64 = 2_000;
const LONGEST_RETRY_MS: i64 = 3_600_000;
const MAX_ATTEMPTS: i64 = 40;

/// Adds what a step has to be told to MobilePay, in the step's own database transaction; nothing for a card's payment.
///
/// # Errors
/// From the database.
pub async fn of_step(tx: &mut Tx, before: &Transaction, after: &Transaction, now_ms: i64) -> Result<(), DbError> {
    if after.method != Method::MobilePay {
        return Ok(());
    }
    let act = before.ledger.pending.map_or(0, |act| act.number);
    let captured_minor = after.ledger.captured_minor.saturating_sub(before.ledger.captured_minor);
    let refunded_minor = after.ledger.refunded_minor.saturating_sub(before.ledger.refunded_minor);
    let has_ended = before.ledger.stage != after.ledger.stage
        && matches!(
            after.ledger.stage,
            Stage::Declined | Stage::Lost | Stage::Cancelled | Stage::Expired | Stage::Voided
        );
    if captured_minor > 0 {
        reports::add(tx, (after.id, act), ReportKind::Capture, captured_minor, now_ms).await?;
    }
    if refunded_minor > 0 {
        reports::add(tx, (after.id, act), ReportKind::Refund, refunded_minor, now_ms).await?;
    }
    if has_ended {
        reports::add(tx, (after.id, act), ReportKind::Cancel, after.ledger.authorised_minor, now_ms).await?;
    }
    Ok(())
}

/// What is to be done about a report, by what MobilePay's book says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// It is told.
    Tell(Modify),
    /// MobilePay has it, from an earlier time whose answer was lost.
    Known,
    /// There is nothing to tell any more.
    Needless(&'static str),
    /// MobilePay cannot take it yet.
    TooEarly,
}

impl Wallet {
    /// Makes the report that has been due longest; `false` when none is.
    ///
    /// # Errors
    /// From the database.
    pub async fn report_once(self: &Arc<Self>) -> Result<bool, DbError> {
        let db = &self.payments.db;
        let Some(report) = reports::claim(db, self.now_ms(), LEASE_MS).await? else { return Ok(false) };
        let error = match self.tell(&report).await {
            Ok(needless) => {
                let (transaction, act, kind) = (report.transaction_id, report.act, report.kind.as_str());
                tracing::info!(transaction, act, kind, needless, "MobilePay was told");
                reports::done(db, &report, needless).await?;
                return Ok(true);
            }
            Err(error) => error,
        };
        let keys =
            report.key_number + u32::from(matches!(&error, TellError::MobilePay(error) if error.wants_another_key()));
        let is_final = matches!(
            &error,
            TellError::MobilePay(WalletError::Refused(_) | WalletError::NotMade(_) | WalletError::NotFound)
                | TellError::Credentials(super::CredentialsError::Missing)
        );
        let next_at_ms = next_attempt_ms(report.attempts, self.now_ms()).filter(|_| !is_final);
        let (transaction, act, kind) = (report.transaction_id, report.act, report.kind.as_str());
        if next_at_ms.is_some() {
            tracing::warn!(transaction, act, kind, attempts = report.attempts, cause = %error, "MobilePay not yet told");
        } else {
            tracing::error!(transaction, act, kind, attempts = report.attempts, cause = %error, "report parked");
        }
        reports::postpone(db, &report, next_at_ms, keys, &error.to_string()).await?;
        Ok(true)
    }

    async fn tell(&self, report: &Report) -> Result<Option<&'static str>, TellError> {
        let db = &self.payments.db;
        let unsealed = self.payments.vault.unsealed().map_err(|_| TellError::Sealed)?;
        let row = rows::find(db, report.transaction_id).await?.ok_or(DbError::Corrupt("wallet payment"))?;
        let found =
            store::transactions::find(db, report.transaction_id).await?.ok_or(DbError::Corrupt("transaction"))?;
        let credentials = self.credentials(&unsealed, &found.account).await?;
        let there = match self.client.payment(&credentials, &row.reference).await {
            Ok(payment) => payment,
            // It was never made, or is gone: there is nothing to release.
            Err(WalletError::NotFound) if report.kind == ReportKind::Cancel => {
                return Ok(Some("it is not known there"));
            }
            Err(error) => return Err(error.into()),
        };
        let told_before = reports::told_before(db, report).await?;
        match need(report, found.money(report.amount_minor), &there, told_before) {
            Need::Known => Ok(None),
            Need::Needless(why) => Ok(Some(why)),
            Need::TooEarly => Err(TellError::TooEarly),
            Need::Tell(what) => {
                let key = row.key(report.act, report.key_number);
                self.client.modify(&credentials, &row.reference, &key, what).await?;
                Ok(None)
            }
        }
    }
}

fn need(report: &Report, amount: crate::money::Amount, there: &WalletPayment, told_before: u64) -> Need {
    let target = told_before.saturating_add(report.amount_minor);
    let is_authorised = there.state == PaymentState::Authorized;
    match report.kind {
        _ if there.state.is_dead() => Need::Needless("it has ended there"),
        ReportKind::Cancel if is_authorised && there.left_minor() == 0 => Need::Known,
        ReportKind::Cancel => Need::Tell(Modify::Cancel),
        ReportKind::Capture | ReportKind::Refund if !is_authorised => Need::TooEarly,
        ReportKind::Capture if there.captured_minor >= target => Need::Known,
        ReportKind::Refund if there.refunded_minor >= target => Need::Known,
        ReportKind::Capture => Need::Tell(Modify::Capture(amount)),
        ReportKind::Refund => Need::Tell(Modify::Refund(amount)),
    }
}

#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    MobilePay(#[from] WalletError),
    #[error(transparent)]
    Credentials(#[from] super::CredentialsError),
    #[error("the payment is not yet reserved there")]
    TooEarly,
    #[error("the vault is sealed")]
    Sealed,
}

/// Doubles up to an hour; `None` when it is time to ask an operator.
fn next_attempt_ms(attempts: i64, now_ms: i64) -> Option<i64> {
    if attempts >= MAX_ATTEMPTS {
        return None;
    }
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or(20);
    Some(now_ms + (FIRST_RETRY_MS << doublings).min(LONGEST_RETRY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(state: PaymentState, sums: [u64; 4]) -> WalletPayment {
        let [authorised_minor, captured_minor, refunded_minor, cancelled_minor] = sums;
        WalletPayment { state, authorised_minor, captured_minor, refunded_minor, cancelled_minor }
    }

    fn report(kind: ReportKind, amount_minor: u64) -> Report {
        Report { transaction_id: 1, act: 2, kind, amount_minor, attempts: 1, key_number: 0 }
    }

    #[test]
    fn what_is_known_there_is_not_told_again() {
        use PaymentState as S;
        use ReportKind as K;
        let amount = crate::money::Amount::from_minor(400, "DKK".parse().unwrap()).unwrap();
        let (capture, refund) = (Need::Tell(Modify::Capture(amount)), Need::Tell(Modify::Refund(amount)));
        for (kind, state, sums, told, expected) in [
            (K::Capture, S::Authorized, [1000, 0, 0, 0], 0, capture),
            (K::Capture, S::Authorized, [1000, 400, 0, 0], 0, Need::Known),
            (K::Capture, S::Authorized, [1000, 400, 0, 0], 400, capture),
            (K::Capture, S::Authorized, [1000, 800, 0, 0], 400, Need::Known),
            (K::Capture, S::Created, [0, 0, 0, 0], 0, Need::TooEarly),
            (K::Capture, S::Aborted, [0, 0, 0, 0], 0, Need::Needless("it has ended there")),
            (K::Refund, S::Authorized, [1000, 1000, 0, 0], 0, refund),
            (K::Refund, S::Authorized, [1000, 1000, 400, 0], 0, Need::Known),
            (K::Refund, S::Authorized, [1000, 1000, 400, 0], 400, refund),
            (K::Refund, S::Created, [0, 0, 0, 0], 0, Need::TooEarly),
            (K::Cancel, S::Authorized, [1000, 400, 0, 0], 0, Need::Tell(Modify::Cancel)),
            (K::Cancel, S::Authorized, [1000, 400, 0, 600], 0, Need::Known),
            (K::Cancel, S::Authorized, [1000, 1000, 0, 0], 0, Need::Known),
            (K::Cancel, S::Created, [0, 0, 0, 0], 0, Need::Tell(Modify::Cancel)),
            (K::Cancel, S::Terminated, [0, 0, 0, 0], 0, Need::Needless("it has ended there")),
            (K::Cancel, S::Expired, [0, 0, 0, 0], 0, Need::Needless("it has ended there")),
        ] {
            let found = need(&report(kind, 400), amount, &there(state, sums), told);
            assert_eq!(found, expected, "{kind:?} {state:?} {sums:?} {told}");
        }
    }

    #[test]
    fn retries_double_up_to_an_hour_and_end() {
        assert_eq!((next_attempt_ms(1, 0), next_attempt_ms(2, 0)), (Some(2_000), Some(4_000)));
        assert_eq!(next_attempt_ms(12, 0), Some(LONGEST_RETRY_MS));
        assert_eq!(next_attempt_ms(MAX_ATTEMPTS, 0), None);
    }
}
