//! What a transaction may do next, and what it has done: pure arithmetic, no clock, no database.
//!
//! ```text
//! Waiting ──▶ Authorising ──approved──▶ Authorised ──▶ captures, refunds, or one void ──▶ Voided
//!    │            │  │ └─refused─▶ Declined (or asked again, of another acquirer; or back to Waiting, for the bank's proof)
//!    │            │  └─no answer─▶ Lost ──void, where there is something to void──▶ Voided
//!    └─payer gone, refused before it was asked─▶ Expired, Cancelled, Declined
//! ```
//!
//! One act at a time: while one has no outcome, no other begins, so no two of them can together take or give more than
//! there is. An act whose outcome nobody knows stays pending until it is settled. `Lost`: nobody knows whether the card
//! was authorised. It is never captured, so the payer is never charged; a hold may lapse by itself.

use std::str::FromStr;

use crate::db::DbError;

/// Where the authorisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The payer is at their bank's page or in their wallet; nothing was asked of an acquirer.
    Waiting,
    /// The acquirer is being asked.
    Authorising,
    /// The amount is held, and may be taken.
    Authorised,
    /// The answer was no.
    Declined,
    /// The outcome is unknown.
    Lost,
    /// The payer changed their mind before anything was asked.
    Cancelled,
    /// The payer did not come back.
    Expired,
    /// What was held was given back.
    Voided,
}

const STAGES: &[(Stage, &str)] = &[
    (Stage::Waiting, "waiting"),
    (Stage::Authorising, "authorising"),
    (Stage::Authorised, "authorised"),
    (Stage::Declined, "declined"),
    (Stage::Lost, "lost"),
    (Stage::Cancelled, "cancelled"),
    (Stage::Expired, "expired"),
    (Stage::Voided, "voided"),
];

/// What is asked of an acquirer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActKind {
    /// A hold.
    Authorise,
    /// Taking some of what is held.
    Capture,
    /// Giving back some of what was taken.
    Refund,
    /// Giving back what is held.
    Void,
}

const ACT_KINDS: &[(ActKind, &str)] = &[
    (ActKind::Authorise, "authorise"),
    (ActKind::Capture, "capture"),
    (ActKind::Refund, "refund"),
    (ActKind::Void, "void"),
];

/// An act that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// From 1, in the order in which they were asked.
    pub number: u32,
    /// What.
    pub kind: ActKind,
    /// How much, in minor units; for a void what was authorised.
    pub amount_minor: u64,
    /// Asked for as the reversal of the whole payment.
    pub is_reversal: bool,
    /// It was asked, and nobody knows what became of it.
    pub is_unknown: bool,
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActEnd {
    /// Yes.
    Done,
    /// No.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// Why an act cannot begin, or an outcome cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// Another act has no outcome yet.
    #[error("another act on this transaction has no outcome yet")]
    Pending,
    /// Not from here.
    #[error("the transaction's state does not allow this")]
    Stage,
    /// Nothing, or more than there is.
    #[error("the amount is not available")]
    Amount,
    /// A reversal and a refund exclude each other.
    #[error("a payment is either reversed or refunded")]
    ReversedOrRefunded,
    /// The caller knows fewer or more acts than there are.
    #[error("the index is not the number of acts")]
    Index,
    /// There is nothing to settle.
    #[error("no act waits for an outcome")]
    NothingPending,
}

/// Totals and the one act under way. All amounts in minor units of the transaction's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Where the authorisation stands.
    pub stage: Stage,
    /// What was asked for; 0 only verifies a card.
    pub amount_minor: u64,
    /// What is or was held.
    pub authorised_minor: u64,
    /// What was taken of it.
    pub captured_minor: u64,
    /// What was given back of that.
    pub refunded_minor: u64,
    /// Everything was given back as a reversal.
    pub is_reversed: bool,
    /// Captures, refunds and voids that were done: the API's `index`.
    pub acts_done: u32,
    /// The number of the last act, done or not.
    pub last_act: u32,
    /// The act without an outcome.
    pub pending: Option<Act>,
}

impl Ledger {
    /// Of a payment that is about to begin.
    #[must_use]
    pub fn new(amount_minor: u64) -> Self {
        Self {
            stage: Stage::Waiting,
            amount_minor,
            authorised_minor: 0,
            captured_minor: 0,
            refunded_minor: 0,
            is_reversed: false,
            acts_done: 0,
            last_act: 0,
            pending: None,
        }
    }

    /// Held and not yet taken.
    #[must_use]
    pub fn capturable_minor(&self) -> u64 {
        let open = self.stage == Stage::Authorised && !self.is_reversed;
        if open { self.authorised_minor.saturating_sub(self.captured_minor) } else { 0 }
    }

    /// Taken and not yet given back.
    #[must_use]
    pub fn refundable_minor(&self) -> u64 {
        self.captured_minor.saturating_sub(self.refunded_minor)
    }

    /// Holds the caller's count of acts against ours: whoever does not know the last act must look first.
    ///
    /// # Errors
    /// [`Illegal::Index`].
    pub fn check_index(&self, index: u32) -> Result<(), Illegal> {
        if index == self.acts_done { Ok(()) } else { Err(Illegal::Index) }
    }

    /// Asks for the hold: at first, or again of another acquirer after a refusal.
    ///
    /// # Errors
    /// [`Illegal::Pending`], [`Illegal::Stage`].
    pub fn authorise(self) -> Result<Self, Illegal> {
        self.check_free()?;
        match self.stage {
            Stage::Waiting | Stage::Authorising => {
                Ok(Self { stage: Stage::Authorising, ..self.begin(ActKind::Authorise, self.amount_minor, false) })
            }
            _ => Err(Illegal::Stage),
        }
    }

    /// Takes some of what is held.
    ///
    /// # Errors
    /// See [`Illegal`].
    pub fn capture(self, amount_minor: u64) -> Result<Self, Illegal> {
        self.check_open()?;
        if amount_minor == 0 || amount_minor > self.capturable_minor() {
            return Err(Illegal::Amount);
        }
        Ok(self.begin(ActKind::Capture, amount_minor, false))
    }

    /// Gives back some of what was taken.
    ///
    /// # Errors
    /// See [`Illegal`].
    pub fn refund(self, amount_minor: u64) -> Result<Self, Illegal> {
        self.check_open()?;
        if amount_minor == 0 || amount_minor > self.refundable_minor() {
            return Err(Illegal::Amount);
        }
        Ok(self.begin(ActKind::Refund, amount_minor, false))
    }

    /// Gives back what is held, as long as nothing was taken of it; also what may be held of a lost authorisation.
    ///
    /// # Errors
    /// See [`Illegal`].
    pub fn void(self) -> Result<Self, Illegal> {
        self.check_free()?;
        match self.stage {
            Stage::Authorised if self.captured_minor == 0 => {
                Ok(self.begin(ActKind::Void, self.authorised_minor, false))
            }
            Stage::Lost => Ok(self.begin(ActKind::Void, self.amount_minor, false)),
            _ => Err(Illegal::Stage),
        }
    }

    /// Gives back everything, whatever it takes: the hold, or all that was taken of it.
    ///
    /// # Errors
    /// See [`Illegal`].
    pub fn reverse(self) -> Result<Self, Illegal> {
        self.check_open()?;
        if self.refunded_minor > 0 {
            return Err(Illegal::ReversedOrRefunded);
        }
        Ok(if self.captured_minor == 0 {
            self.begin(ActKind::Void, self.authorised_minor, true)
        } else {
            self.begin(ActKind::Refund, self.captured_minor, true)
        })
    }

    /// Writes the outcome of the pending act.
    ///
    /// # Errors
    /// [`Illegal::NothingPending`].
    pub fn settle(self, end: ActEnd) -> Result<Self, Illegal> {
        let act = self.pending.ok_or(Illegal::NothingPending)?;
        let settled = Self { pending: None, ..self };
        Ok(match (act.kind, end) {
            (ActKind::Authorise, ActEnd::Done) => {
                Self { stage: Stage::Authorised, authorised_minor: act.amount_minor, ..settled }
            }
            (ActKind::Authorise, ActEnd::Refused) => Self { stage: Stage::Declined, ..settled },
            (ActKind::Authorise, ActEnd::Unknown) => Self { stage: Stage::Lost, ..settled },
            (_, ActEnd::Unknown) => Self { pending: Some(Act { is_unknown: true, ..act }), ..self },
            (_, ActEnd::Refused) => settled,
            (_, ActEnd::Done) => settled.done(act),
        })
    }

    /// A refusal after which another acquirer is asked: only where the one before certainly booked nothing.
    ///
    /// # Errors
    /// [`Illegal::NothingPending`].
    pub fn settle_and_ask_another(self) -> Result<Self, Illegal> {
        match self.pending {
            Some(Act { kind: ActKind::Authorise, .. }) => Self { pending: None, ..self }.authorise(),
            _ => Err(Illegal::NothingPending),
        }
    }

    /// A refusal after which the payer proves who they are to their bank: the issuer has asked for it, and nothing was
    /// booked. With the proof the acquirer is asked again, by another act.
    ///
    /// # Errors
    /// [`Illegal::NothingPending`].
    pub fn settle_and_wait(self) -> Result<Self, Illegal> {
        match self.pending {
            Some(Act { kind: ActKind::Authorise, .. }) => Ok(Self { stage: Stage::Waiting, pending: None, ..self }),
            _ => Err(Illegal::NothingPending),
        }
    }

    /// Ends a payment that never got as far as an acquirer.
    ///
    /// # Errors
    /// [`Illegal::Stage`].
    pub fn end_waiting(self, stage: Stage) -> Result<Self, Illegal> {
        match (self.stage, stage) {
            (Stage::Waiting, Stage::Declined | Stage::Cancelled | Stage::Expired) => Ok(Self { stage, ..self }),
            _ => Err(Illegal::Stage),
        }
    }

    fn done(self, act: Act) -> Self {
        let acts_done = self.acts_done.saturating_add(1);
        let next = Self { acts_done, is_reversed: self.is_reversed || act.is_reversal, ..self };
        match act.kind {
            ActKind::Capture => Self { captured_minor: self.captured_minor.saturating_add(act.amount_minor), ..next },
            ActKind::Refund => Self { refunded_minor: self.refunded_minor.saturating_add(act.amount_minor), ..next },
            ActKind::Void | ActKind::Authorise => Self { stage: Stage::Voided, ..next },
        }
    }

    fn begin(self, kind: ActKind, amount_minor: u64, is_reversal: bool) -> Self {
        let number = self.last_act.saturating_add(1);
        let act = Act { number, kind, amount_minor, is_reversal, is_unknown: false };
        Self { last_act: number, pending: Some(act), ..self }
    }

    fn check_free(&self) -> Result<(), Illegal> {
        if self.pending.is_some() { Err(Illegal::Pending) } else { Ok(()) }
    }

    fn check_open(&self) -> Result<(), Illegal> {
        self.check_free()?;
        if self.stage != Stage::Authorised {
            return Err(Illegal::Stage);
        }
        if self.is_reversed { Err(Illegal::ReversedOrRefunded) } else { Ok(()) }
    }
}

impl Stage {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        STAGES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Whether nothing will change any more, acts on an authorised payment aside.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Waiting | Self::Authorising)
    }
}

impl FromStr for Stage {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        STAGES.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(DbError::Corrupt("transaction state"))
    }
}

impl ActKind {
    /// As stored, and as the feed tells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ACT_KINDS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
}

impl FromStr for ActKind {
    type Err = DbError;

    fn from_str(text: &str) -> Result<Self, DbError> {
        ACT_KINDS.iter().find(|row| row.1 == text).map(|row| row.0).ok_or(DbError::Corrupt("act"))
    }
}

impl ActEnd {
    /// As stored; an act that waits is `asked`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests;
