//! A payment's state. It is a fold over the book's entries, so the book of an earlier run restores it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::request::{Amount, Create};
use crate::common::{admin::Shown, book::Kind, clock::parse_rfc3339, settlement::Movement};

/// Serial number of the merchant, and their reference.
pub(super) type Id = (String, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Name {
    Created,
    Authorized,
    Aborted,
    Expired,
    Terminated,
    Captured,
    Refunded,
    Cancelled,
}

/// After a capture, refund or cancellation it stays AUTHORIZED: the sums tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum State {
    Created,
    Authorized,
    Aborted,
    Expired,
    Terminated,
}

/// One act, and what is needed to go on from it after a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The event's own pspReference.
    pub id: String,
    pub kind: Kind,
    pub name: Name,
    pub msn: String,
    pub reference: String,
    pub amount: u64,
    pub currency: String,
    pub success: bool,
    /// Whether money or a reservation moved.
    pub booked: bool,
    pub processed_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What the card callback's answer named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_transaction_reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) payment: Option<Box<Created>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply: Option<Reply>,
}

impl Shown for Entry {
    fn settlement(entries: &[Self]) -> Vec<Movement> {
        let booked = entries.iter().filter(|entry| entry.booked);
        let moved = booked.filter_map(|entry| match entry.name {
            Name::Captured => Some((entry, "capture")),
            Name::Refunded => Some((entry, "refund")),
            _ => None,
        });
        let movement = |(entry, kind): (&Self, &'static str)| Movement {
            reference: entry.reference.clone(),
            kind,
            amount: entry.amount,
            currency: entry.currency.clone(),
            booked_at: entry.processed_at.clone(),
            id: entry.id.clone(),
        };
        moved.map(movement).collect()
    }
}

/// How a payment began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Created {
    pub(super) request: Create,
    pub(super) psp_reference: String,
    /// The last part of the shopper's address.
    pub(super) token: String,
    /// Where browsers reach this simulator.
    pub(super) base: String,
    pub(super) expires_at: i64,
}

/// What an idempotency key was answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reply {
    /// Of path and body.
    pub(super) digest: String,
    pub(super) status: u16,
    pub(super) body: Value,
}

/// What the shopper's app is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    None,
    /// The card callback is under way.
    Running,
    /// The provider runs 3-D Secure; the attempt's id comes back.
    Waiting(String),
}

#[derive(Clone)]
pub(super) struct Payment {
    pub(super) created: Created,
    pub(super) state: State,
    pub(super) attempt: Attempt,
    pub(super) authorized: u64,
    pub(super) cancelled: u64,
    pub(super) captured: u64,
    pub(super) refunded: u64,
    pub(super) authorized_at: i64,
    pub(super) captured_at: i64,
}

impl Payment {
    pub(super) const fn new(created: Created) -> Self {
        Self {
            created,
            state: State::Created,
            attempt: Attempt::None,
            authorized: 0,
            cancelled: 0,
            captured: 0,
            refunded: 0,
            authorized_at: 0,
            captured_at: 0,
        }
    }

    /// Takes over what the book says has happened.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let at = parse_rfc3339(&entry.processed_at).unwrap_or(0);
        match entry.name {
            _ if !entry.success => {}
            Name::Created => {}
            Name::Authorized => {
                self.state = State::Authorized;
                (self.authorized, self.authorized_at) = (entry.amount, at);
            }
            Name::Aborted => self.state = State::Aborted,
            Name::Expired => self.state = State::Expired,
            Name::Terminated => self.state = State::Terminated,
            Name::Captured => {
                self.captured += entry.amount;
                self.captured_at = at;
            }
            Name::Refunded => self.refunded += entry.amount,
            Name::Cancelled => self.cancelled += entry.amount,
        }
    }

    pub(super) const fn amount(&self) -> &Amount {
        &self.created.request.amount
    }

    /// What can still be captured.
    pub(super) const fn remaining(&self) -> u64 {
        self.authorized.saturating_sub(self.captured).saturating_sub(self.cancelled)
    }

    pub(super) const fn refundable(&self) -> u64 {
        self.captured.saturating_sub(self.refunded)
    }

    pub(super) const fn overdue(&self, now: i64) -> bool {
        matches!(self.state, State::Created) && now > self.created.expires_at
    }

    pub(super) fn aggregate(&self) -> Value {
        let sum = |value: u64| json!({"currency": self.amount().currency, "value": value});
        json!({
            "authorizedAmount": sum(self.authorized),
            "cancelledAmount": sum(self.cancelled),
            "capturedAmount": sum(self.captured),
            "refundedAmount": sum(self.refunded),
        })
    }

    /// `GET /epayment/v1/payments/{reference}`.
    pub(super) fn shown(&self) -> Value {
        let request = &self.created.request;
        json!({
            "aggregate": self.aggregate(),
            "amount": request.amount,
            "state": self.state,
            "paymentMethod": {"type": request.payment_method.r#type},
            "profile": {},
            "pspReference": self.created.psp_reference,
            "reference": request.reference,
        })
    }
}

impl Name {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Created => Kind::Create,
            Self::Authorized => Kind::Authorization,
            Self::Captured => Kind::Capture,
            Self::Refunded => Kind::Refund,
            Self::Aborted | Self::Expired | Self::Terminated | Self::Cancelled => Kind::Void,
        }
    }

    const fn moves_money(self) -> bool {
        matches!(self, Self::Authorized | Self::Captured | Self::Refunded | Self::Cancelled)
    }

    /// The last parts of the event's name in a webhook registration.
    pub(super) fn event(self) -> String {
        format!("epayments.payment.{}.v1", json!(self).as_str().unwrap_or_default().to_lowercase())
    }
}

impl Entry {
    pub(super) fn new(id: &Id, name: Name, own: String, amount: Amount, processed_at: String) -> Self {
        Self {
            id: own,
            kind: name.kind(),
            name,
            msn: id.0.clone(),
            reference: id.1.clone(),
            amount: amount.value,
            currency: amount.currency,
            success: true,
            booked: name.moves_money(),
            processed_at,
            idempotency_key: None,
            network_transaction_reference: None,
            payment: None,
            reply: None,
        }
    }

    /// It was tried and did not succeed.
    pub(super) fn failed(mut self) -> Self {
        (self.success, self.booked) = (false, false);
        self
    }

    /// As `…/events` lists it, and, with the serial number, as a webhook brings it.
    pub(super) fn event(&self) -> Value {
        let mut event = json!({
            "reference": self.reference,
            "pspReference": self.id,
            "name": self.name,
            "amount": {"currency": self.currency, "value": self.amount},
            "timestamp": self.processed_at.replace("+00:00", ".000Z"),
            "success": self.success,
        });
        if let (Some(key), Some(object)) = (&self.idempotency_key, event.as_object_mut()) {
            object.insert("idempotencyKey".to_owned(), json!(key));
        }
        event
    }
}
