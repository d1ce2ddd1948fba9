//! How transactions and codes read from outside, in both vocabularies' words.

use std::str::FromStr;

use super::ledger::{ActKind, Stage};
use super::store::Transaction;
use crate::acquirers::Decline;
use crate::db::DbError;

/// Whose interface a payment request came by; it decides how its outcome is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Scan to Pay's `/pluto`.
    Pluto,
    /// Scanpay's `/v1`.
    V1,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A payer pays.
    Payment,
    /// A subscriber's card is charged without them.
    Charge,
    /// A card is verified and kept; nothing is charged.
    Verify,
}

/// What a payment request is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A payer pays once.
    Payment,
    /// A card is kept for later charges; with an amount it is charged for the first time too.
    Subscribe,
    /// A subscriber gives another card.
    Renew,
    /// A subscriber's card is charged without them.
    Charge,
}

/// How it is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With a card.
    Card,
    /// With MobilePay.
    MobilePay,
}

/// The reference's five states of a code. Expired is none of them: it is a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeState {
    /// May be paid.
    Available,
    /// Being paid.
    Locked,
    /// Paid, once and for all.
    Used,
    /// Stopped by the merchant, for a while.
    Blocked,
    /// Gone.
    Deleted,
}

/// Types that are stored as one of a few words.
macro_rules! stored_as {
    ($type:ty, $what:literal, $(($value:path, $text:literal)),+ $(,)?) => {
        impl $type {
            /// As stored and as sent.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $($value => $text,)+
                }
            }
        }

        impl FromStr for $type {
            type Err = DbError;

            fn from_str(text: &str) -> Result<Self, DbError> {
                match text {
                    $($text => Ok($value),)+
                    _ => Err(DbError::Corrupt($what)),
                }
            }
        }
    };
}

stored_as!(Dialect, "dialect", (Self::Pluto, "pluto"), (Self::V1, "v1"));
stored_as!(Kind, "kind of transaction", (Self::Payment, "payment"), (Self::Charge, "charge"), (Self::Verify, "verify"));
stored_as!(
    RequestKind,
    "kind of payment request",
    (Self::Payment, "payment"),
    (Self::Subscribe, "subscribe"),
    (Self::Renew, "renew"),
    (Self::Charge, "charge"),
);
stored_as!(Method, "payment method", (Self::Card, "card"), (Self::MobilePay, "mobilepay"));
stored_as!(
    CodeState,
    "code state",
    (Self::Available, "Available"),
    (Self::Locked, "Locked"),
    (Self::Used, "Used"),
    (Self::Blocked, "Blocked"),
    (Self::Deleted, "Deleted"),
);

impl Transaction {
    /// The reference's TxState: `SUCCESS` alone is positive, `END_…` is final, the rest is under way.
    #[must_use]
    pub fn tx_state(&self) -> &'static str {
        let ledger = &self.ledger;
        match ledger.stage {
            Stage::Waiting => "PENDING",
            Stage::Authorising => "OFF_TO_BANK",
            Stage::Declined if self.decline == Some(Decline::ThreeDSecure) => "END_BRE_REJECTED",
            Stage::Declined => "END_BANK_NON_00",
            Stage::Lost => "END_BANK_ERROR",
            Stage::Cancelled => "END_CLIENT_CANCEL",
            Stage::Expired => "END_CLIENT_TIMEOUT",
            Stage::Voided => "END_REVERSED",
            Stage::Authorised if ledger.is_reversed => "END_REVERSED",
            Stage::Authorised if self.is_taken() => {
                let is_refunded = ledger.captured_minor > 0 && ledger.refundable_minor() == 0;
                if is_refunded { "END_REFUNDED" } else { "SUCCESS" }
            }
            Stage::Authorised => "PENDING",
        }
    }

    /// Whether the merchant may take it as paid: captured, or held for as long as they want to hold it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let ledger = &self.ledger;
        let is_kept = !self.takes_at_once() && self.held_until_ms.is_none();
        self.is_authorised() && (ledger.captured_minor > 0 || is_kept)
    }

    /// Whether the amount is held for good. A wallet's hold is not, until the wallet has said that it has our answer.
    #[must_use]
    pub fn is_authorised(&self) -> bool {
        self.ledger.stage == Stage::Authorised && !self.is_unconfirmed()
    }

    /// Whether a hold waits for its wallet's word. Until then it is neither taken nor told of; it may be given back.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.ledger.stage == Stage::Authorised && self.method == Method::MobilePay && self.lease_until_ms.is_some()
    }

    /// Whether what is authorised is captured by itself. A card that is only verified holds nothing to take.
    #[must_use]
    pub fn takes_at_once(&self) -> bool {
        self.autocapture && self.ledger.amount_minor > 0
    }

    /// Whether the payer should be told to wait: the money may move, and nobody knows.
    #[must_use]
    pub fn is_capture_unknown(&self) -> bool {
        self.ledger.pending.is_some_and(|act| act.is_unknown && act.kind == ActKind::Capture)
    }

    /// Whether an act was asked and its answer is waited for.
    #[must_use]
    pub fn is_being_asked(&self) -> bool {
        self.ledger.pending.is_some_and(|act| !act.is_unknown)
    }

    /// Whether nobody takes what is held: nobody knows whether it is, or it was to be taken and was not.
    #[must_use]
    pub fn is_nobodys(&self) -> bool {
        self.ledger.stage == Stage::Lost || self.is_given_back()
    }

    /// Whether the hold of a payment that was to be taken is given back, or waits for it: nobody pays for it.
    #[must_use]
    pub fn is_given_back(&self) -> bool {
        let ledger = &self.ledger;
        ledger.stage == Stage::Authorised
            && self.takes_at_once()
            && ledger.captured_minor == 0
            && self.held_until_ms.is_none()
            && match ledger.pending {
                None => !self.is_unconfirmed(),
                Some(act) => act.kind == ActKind::Void,
            }
    }

    /// What the code becomes with the transaction: kept while money may move, free again when none did.
    #[must_use]
    pub fn code_state(&self) -> CodeState {
        match self.ledger.stage {
            Stage::Waiting | Stage::Authorising => CodeState::Locked,
            Stage::Authorised if !self.is_taken() => CodeState::Locked,
            Stage::Authorised if self.use_once => CodeState::Used,
            _ => CodeState::Available,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stored_and_read_back() {
        for state in [CodeState::Available, CodeState::Locked, CodeState::Used, CodeState::Blocked, CodeState::Deleted]
        {
            assert_eq!(state.as_str().parse::<CodeState>().unwrap(), state);
        }
        for kind in [Kind::Payment, Kind::Charge, Kind::Verify] {
            assert_eq!(kind.as_str().parse::<Kind>().unwrap(), kind);
        }
        assert!("available".parse::<CodeState>().is_err());
        assert!("wallet".parse::<Method>().is_err() && "v2".parse::<Dialect>().is_err());
    }

    #[test]
    fn only_money_that_is_there_reads_as_success_and_uses_the_code() {
        let mut paid = Transaction::sample(1000);
        assert_eq!((paid.tx_state(), paid.code_state()), ("PENDING", CodeState::Locked));
        paid.ledger = paid.ledger.authorise().unwrap().settle(super::super::ledger::ActEnd::Done).unwrap();
        assert_eq!((paid.tx_state(), paid.code_state()), ("PENDING", CodeState::Locked));
        paid.autocapture = false;
        assert_eq!((paid.tx_state(), paid.code_state()), ("SUCCESS", CodeState::Used));
        paid.autocapture = true;
        paid.ledger = paid.ledger.capture(1000).unwrap();
        assert_eq!(paid.tx_state(), "PENDING");
        paid.ledger = paid.ledger.settle(super::super::ledger::ActEnd::Done).unwrap();
        assert_eq!((paid.tx_state(), paid.code_state()), ("SUCCESS", CodeState::Used));
        paid.use_once = false;
        assert_eq!(paid.code_state(), CodeState::Available);
        paid.ledger = paid.ledger.refund(1000).unwrap().settle(super::super::ledger::ActEnd::Done).unwrap();
        assert_eq!(paid.tx_state(), "END_REFUNDED");
    }
}
