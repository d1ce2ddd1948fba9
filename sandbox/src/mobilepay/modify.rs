//! Capture, refund, cancel: what is allowed when.

use super::{
    cards,
    payment::{Name, Payment, State},
    problem::Problem,
    request::Amount,
};

const DAY: i64 = 86_400;

impl Payment {
    /// What a capture of this amount is called in the book, or why it is refused.
    pub(super) fn may_capture(&self, amount: &Amount, now: i64) -> Result<(Name, u64), Problem> {
        self.same_currency(amount)?;
        match self.state {
            State::Created => return Err(Problem::new(6080, "not authorized")),
            State::Terminated => return Err(Problem::new(6070, "terminated")),
            State::Aborted | State::Expired => return Err(Problem::new(6200, "not authorized")),
            State::Authorized => {}
        }
        match self.remaining() {
            0 if self.cancelled > 0 => Err(Problem::new(6070, "what was left has been cancelled")),
            0 => Err(Problem::new(6170, "everything has been captured")),
            left if amount.value > left => Err(Problem::new(6090, "more than is left")),
            _ if now > self.capture_deadline() => Err(Problem::new(6100, "too late")),
            _ => Ok((Name::Captured, amount.value)),
        }
    }

    pub(super) fn may_refund(&self, amount: &Amount, now: i64) -> Result<(Name, u64), Problem> {
        self.same_currency(amount)?;
        match self.state {
            State::Created => return Err(Problem::new(6020, "not authorized")),
            State::Terminated | State::Aborted | State::Expired => return Err(Problem::new(6210, "not authorized")),
            State::Authorized => {}
        }
        if let Some(code) = cards::unrefundable(amount.value) {
            return Err(Problem::new(code, "the amount asks for this answer"));
        }
        match self.refundable() {
            0 if self.refunded > 0 => Err(Problem::new(6180, "everything has been refunded")),
            left if amount.value > left => Err(Problem::new(6150, "more than was captured")),
            _ if now > self.captured_at + 365 * DAY => Err(Problem::new(6220, "too late")),
            _ => Ok((Name::Refunded, amount.value)),
        }
    }

    /// Before the authorization it ends the payment, afterwards it releases what was not captured.
    pub(super) fn may_cancel(&self, transaction_only: bool, now: i64) -> Result<(Name, u64), Problem> {
        match self.state {
            State::Created => return Ok((Name::Terminated, self.amount().value)),
            State::Aborted | State::Expired | State::Terminated => return Err(Problem::new(6190, "it has ended")),
            State::Authorized if transaction_only => return Err(Problem::new(6060, "cancelTransactionOnly")),
            State::Authorized => {}
        }
        match self.remaining() {
            0 if self.cancelled > 0 => Err(Problem::new(6190, "it has been cancelled")),
            0 => Err(Problem::new(6040, "everything has been captured")),
            _ if now > self.capture_deadline() => Err(Problem::new(6030, "too late")),
            left => Ok((Name::Cancelled, left)),
        }
    }

    /// 180 days in Norway, 14 in Denmark and Finland.
    fn capture_deadline(&self) -> i64 {
        let days = if self.amount().currency == "NOK" { 180 } else { 14 };
        self.authorized_at + days * DAY
    }

    fn same_currency(&self, amount: &Amount) -> Result<(), Problem> {
        match amount.currency == self.amount().currency {
            true => Ok(()),
            false => Err(Problem::new(4040, "modificationAmount.currency")),
        }
    }
}
