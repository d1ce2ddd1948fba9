//! The states of codes and transactions, and how they read in the reference's vocabulary.
//!
//! ```text
//! Authorising ──approved──▶ Capturing ──done──▶ Captured
//!     │  └─declined─▶ Declined   │  └─refused─▶ Voiding ──▶ Voided | VoidUnknown
//!     └──no answer──▶ Lost       └──no answer─▶ CaptureUnknown
//! ```
//!
//! `Lost`: nobody knows whether the card was authorised. It is never captured, so the shopper is never charged; a hold
//! may lapse by itself, and the code may be paid again. `CaptureUnknown`: the money may have moved; it is shown to the
//! operator until they settle it as `Captured` or `Voided` from the acquirer's report, and the code stays locked.

use std::str::FromStr;

use crate::db::DbError;

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionState {
    /// The acquirer is being asked for an authorisation.
    Authorising,
    /// Authorised; the acquirer is being asked to capture.
    Capturing,
    /// Paid.
    Captured,
    /// The acquirer said no.
    Declined,
    /// The authorisation's outcome is unknown, and it will not be captured.
    Lost,
    /// The capture's outcome is unknown.
    CaptureUnknown,
    /// The capture was refused; the authorisation is being given back.
    Voiding,
    /// The authorisation was given back, or an operator found that it was never captured.
    Voided,
    /// Whether the authorisation was given back is unknown.
    VoidUnknown,
}

const TRANSACTION_STATES: &[(TransactionState, &str)] = &[
    (TransactionState::Authorising, "authorising"),
    (TransactionState::Capturing, "capturing"),
    (TransactionState::Captured, "captured"),
    (TransactionState::Declined, "declined"),
    (TransactionState::Lost, "lost"),
    (TransactionState::CaptureUnknown, "capture_unknown"),
    (TransactionState::Voiding, "voiding"),
    (TransactionState::Voided, "voided"),
    (TransactionState::VoidUnknown, "void_unknown"),
];

impl TransactionState {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TRANSACTION_STATES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// The reference's TxState: `SUCCESS` alone is positive, `END_…` is final, the rest is under way.
    #[must_use]
    pub fn tx_state(self) -> &'static str {
        match self {
            Self::Captured => "SUCCESS",
            Self::Declined => "END_BANK_NON_00",
            Self::Lost => "END_BANK_ERROR",
            Self::Voided => "END_REVERSED",
            Self::VoidUnknown => "END_REVERSAL_FAILED",
            Self::Authorising => "OFF_TO_BANK",
            Self::Capturing | Self::CaptureUnknown | Self::Voiding => "PENDING",
        }
    }

    /// The state that a request without an answer leaves behind; `None` where nothing was asked.
    #[must_use]
    pub fn without_answer(self) -> Option<Self> {
        match self {
            Self::Authorising => Some(Self::Lost),
            Self::Capturing => Some(Self::CaptureUnknown),
            Self::Voiding => Some(Self::VoidUnknown),
            _ => None,
        }
    }

    /// Which steps there are; everything else is refused.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Authorising, Self::Capturing | Self::Declined | Self::Lost)
                | (Self::Capturing, Self::Captured | Self::CaptureUnknown | Self::Voiding)
                | (Self::Voiding, Self::Voided | Self::VoidUnknown)
                | (Self::CaptureUnknown, Self::Captured | Self::Voided)
                | (Self::VoidUnknown, Self::Voided)
        )
    }

    /// What the code becomes with the transaction: kept while money may move, free again when none did.
    #[must_use]
    pub fn code_state(self, use_once: bool) -> CodeState {
        match self {
            Self::Captured if use_once => CodeState::Used,
            Self::Captured | Self::Declined | Self::Lost | Self::Voided | Self::VoidUnknown => CodeState::Available,
            Self::Authorising | Self::Capturing | Self::CaptureUnknown | Self::Voiding => CodeState::Locked,
        }
    }
}

impl FromStr for TransactionState {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        TRANSACTION_STATES
            .iter()
            .find(|row| row.1 == text)
            .map(|row| row.0)
            .ok_or(DbError::Corrupt("transaction state"))
    }
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

const CODE_STATES: &[(CodeState, &str)] = &[
    (CodeState::Available, "Available"),
    (CodeState::Locked, "Locked"),
    (CodeState::Used, "Used"),
    (CodeState::Blocked, "Blocked"),
    (CodeState::Deleted, "Deleted"),
];

impl CodeState {
    /// As stored and as sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        CODE_STATES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

impl FromStr for CodeState {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        CODE_STATES.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(DbError::Corrupt("code state"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [TransactionState; 9] = [
        TransactionState::Authorising,
        TransactionState::Capturing,
        TransactionState::Captured,
        TransactionState::Declined,
        TransactionState::Lost,
        TransactionState::CaptureUnknown,
        TransactionState::Voiding,
        TransactionState::Voided,
        TransactionState::VoidUnknown,
    ];

    #[test]
    fn names_are_stored_and_read_back() {
        for state in ALL {
            assert_eq!(state.as_str().parse::<TransactionState>().unwrap(), state);
        }
        assert!("paid".parse::<TransactionState>().is_err());
    }

    #[test]
    fn only_a_captured_payment_reads_as_success_and_uses_the_code() {
        for state in ALL {
            assert_eq!(state.tx_state() == "SUCCESS", state == TransactionState::Captured);
            assert_eq!(state.code_state(true) == CodeState::Used, state == TransactionState::Captured);
            assert_ne!(state.code_state(false), CodeState::Used);
        }
    }

    #[test]
    fn a_lost_authorisation_can_never_be_captured() {
        let mut reachable = vec![TransactionState::Lost];
        while let Some(state) = reachable.pop() {
            for next in ALL {
                assert!(!state.may_become(next), "{state:?} → {next:?}");
            }
        }
        // Whatever waits for an answer may end without one.
        for state in ALL {
            if let Some(next) = state.without_answer() {
                assert!(state.may_become(next));
            }
        }
    }
}
