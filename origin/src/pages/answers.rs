//! What the script is told: one shape for every step of a payment. Contract: the page shows no text of ours, it has its
//! own for each key; the English ones are for whoever reads along.

use serde::Serialize;

use crate::acquirers::Decline;
use crate::payments::ledger::Stage;
use crate::payments::pay::PayOutcome;
use crate::payments::state::Method;
use crate::payments::store::Transaction;

const MAY_RETRY: &str = "The bank did not answer. The payment was not made; you may try again.";
const DO_NOT_RETRY: &str = "The payment is not confirmed yet. Please do not pay again; ask the merchant.";
const CANCELLED: &str = "The payment was cancelled. Nothing was charged.";

/// How a payment goes on, or how it ended.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Answer {
    /// Paid.
    Paid {
        /// Shown on the receipt.
        transaction_id: i64,
        /// Where the merchant wants the payer to go on.
        #[serde(skip_serializing_if = "Option::is_none")]
        return_url: Option<String>,
        /// Unix milliseconds, for a receipt that is opened again.
        #[serde(skip_serializing_if = "Option::is_none")]
        paid_at_ms: Option<i64>,
    },
    /// Not paid, and nothing charged.
    Declined {
        /// The transaction.
        transaction_id: i64,
        /// The shopper's class of the reason; see [`Decline::shopper_reason`].
        reason: &'static str,
        /// English.
        message: &'static str,
    },
    /// Nobody knows yet.
    Unknown {
        /// The transaction.
        transaction_id: i64,
        /// Whether the card cannot have been charged.
        may_retry: bool,
        /// English.
        message: &'static str,
    },
    /// The bank wants to see the browser first.
    Method {
        /// The transaction.
        transaction_id: i64,
        /// Where the page posts to, in a frame that nobody sees.
        url: String,
        /// What it posts.
        data: String,
    },
    /// The bank asks its customer.
    Challenge {
        /// The transaction.
        transaction_id: i64,
        /// Where the page posts to, in a frame.
        url: String,
        /// What it posts.
        creq: String,
    },
    /// A wallet asks its customer.
    Redirect {
        /// The transaction.
        transaction_id: i64,
        /// Where the payer goes.
        url: String,
    },
    /// The payer is asked by somebody else: their bank, or a wallet.
    Waiting,
    /// No payment was made with this attempt.
    None,
}

impl Answer {
    /// What became of a payment that was just made.
    #[must_use]
    pub fn of_outcome(outcome: PayOutcome, return_url: Option<String>) -> Self {
        match outcome {
            PayOutcome::Paid { transaction_id } => Self::Paid { transaction_id, return_url, paid_at_ms: None },
            PayOutcome::Declined { transaction_id, reason } => Self::declined(transaction_id, reason),
            PayOutcome::Cancelled { transaction_id } => Self::cancelled(transaction_id),
            PayOutcome::Unknown { transaction_id, may_retry } => Self::unknown(transaction_id, may_retry),
            PayOutcome::Method { transaction_id, url, data } => Self::Method { transaction_id, url, data },
            PayOutcome::Challenge { transaction_id, url, creq } => Self::Challenge { transaction_id, url, creq },
        }
    }

    /// How a payment stands that was made before.
    #[must_use]
    pub fn of_transaction(transaction: &Transaction, return_url: Option<String>) -> Self {
        let transaction_id = transaction.id;
        match transaction.ledger.stage {
            Stage::Authorised if transaction.is_taken() => {
                Self::Paid { transaction_id, return_url, paid_at_ms: transaction.authorised_at_ms }
            }
            Stage::Declined | Stage::Voided => {
                Self::declined(transaction_id, transaction.decline.unwrap_or(Decline::DoNotHonour))
            }
            Stage::Cancelled | Stage::Expired => Self::cancelled(transaction_id),
            Stage::Lost => Self::unknown(transaction_id, true),
            Stage::Waiting => Self::Waiting,
            // A wallet's payer has just come back, or what is held waits for the wallet's word: the page waits too.
            Stage::Authorising | Stage::Authorised
                if transaction.method == Method::MobilePay && !transaction.is_capture_unknown() =>
            {
                Self::Waiting
            }
            // Of a card, waiting would say that nothing is charged.
            Stage::Authorising | Stage::Authorised => Self::unknown(transaction_id, false),
        }
    }

    fn cancelled(transaction_id: i64) -> Self {
        Self::Declined { transaction_id, reason: "cancelled", message: CANCELLED }
    }

    fn declined(transaction_id: i64, reason: Decline) -> Self {
        Self::Declined { transaction_id, reason: reason.shopper_reason(), message: reason.shopper_text() }
    }

    fn unknown(transaction_id: i64, may_retry: bool) -> Self {
        let message = if may_retry { MAY_RETRY } else { DO_NOT_RETRY };
        Self::Unknown { transaction_id, may_retry, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(answer: &Answer) -> String {
        serde_json::to_string(answer).unwrap()
    }

    #[test]
    fn answers_read_as_the_page_expects_them() {
        let paid = Answer::of_outcome(PayOutcome::Paid { transaction_id: 7 }, None);
        assert_eq!(json(&paid), r#"{"state":"paid","transactionId":7}"#);
        let url = Some("https://shop.example/thanks".to_owned());
        let paid = Answer::Paid { transaction_id: 7, return_url: url, paid_at_ms: Some(1) };
        let expected = r#"{"state":"paid","transactionId":7,"returnUrl":"https://shop.example/thanks","paidAtMs":1}"#;
        assert_eq!(json(&paid), expected);
        let unknown = Answer::of_outcome(PayOutcome::Unknown { transaction_id: 7, may_retry: true }, None);
        assert!(json(&unknown).starts_with(r#"{"state":"unknown","transactionId":7,"mayRetry":true,"message":""#));
        let challenge = PayOutcome::Challenge { transaction_id: 7, url: "https://b".into(), creq: "c".into() };
        let expected = r#"{"state":"challenge","transactionId":7,"url":"https://b","creq":"c"}"#;
        assert_eq!(json(&Answer::of_outcome(challenge, None)), expected);
        let cancelled = Answer::of_outcome(PayOutcome::Cancelled { transaction_id: 7 }, None);
        assert!(json(&cancelled).starts_with(r#"{"state":"declined","transactionId":7,"reason":"cancelled""#));
        assert_eq!(json(&Answer::Waiting), r#"{"state":"waiting"}"#);
        assert_eq!(json(&Answer::None), r#"{"state":"none"}"#);
    }

    /// A stolen card, an empty account and a limit read alike: a decline is no oracle.
    #[test]
    fn reasons_that_would_help_a_thief_read_alike() {
        let of = |reason| json(&Answer::of_outcome(PayOutcome::Declined { transaction_id: 7, reason }, None));
        let bank = of(Decline::DoNotHonour);
        assert!(bank.contains(r#""reason":"bank""#));
        for reason in [Decline::Restricted, Decline::InsufficientFunds, Decline::AmountLimit, Decline::MerchantBlocked]
        {
            assert_eq!(of(reason), bank);
        }
        assert!(of(Decline::InvalidCsc).contains(r#""reason":"csc""#));
    }
}
