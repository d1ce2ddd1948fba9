//! The state of authorisations. It is a fold over the book's entries, so the book of an earlier run restores it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::common::{admin::Shown, book::Kind, settlement::Movement};

/// One act that was decided. Never a full card number, never a security code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub kind: Kind,
    /// The authorisation that the act belongs to; its own id for an authorisation, none when the ticket is unknown.
    pub authorization: Option<String>,
    pub amount: u64,
    pub currency: String,
    /// Field 31, the merchant's order.
    pub reference: String,
    pub merchant: String,
    /// Field 39.
    pub action: String,
    pub booked: bool,
    pub processed_at: String,
    pub pan_last4: String,
    /// Field 38 of an approved authorisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The start of the ticket that was given out; filled up it has 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// By which a repetition is known.
    pub digest: String,
}

impl Shown for Entry {
    fn settlement(entries: &[Self]) -> Vec<Movement> {
        let booked = entries.iter().filter(|entry| entry.booked);
        let moved = booked.filter_map(|entry| match entry.kind {
            Kind::Capture => Some((entry, "capture")),
            Kind::Credit => Some((entry, "refund")),
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

pub(super) struct Authorization {
    pub(super) first: Entry,
    pub(super) captured: u64,
    pub(super) credited: u64,
    pub(super) reversed: bool,
}

#[derive(Default)]
pub(super) struct Ledger {
    authorizations: HashMap<String, Authorization>,
    /// The valid ticket of each: the last one only.
    tickets: HashMap<String, String>,
    decided: HashMap<String, Entry>,
    /// What was taken from each card, by its last digits.
    spent: HashMap<String, u64>,
}

impl Ledger {
    /// Takes over what the book says has happened.
    pub(super) fn apply(&mut self, entry: &Entry) {
        if !entry.booked {
            return;
        }
        self.decided.insert(entry.digest.clone(), entry.clone());
        let Some(id) = entry.authorization.clone() else {
            return;
        };
        if entry.kind == Kind::Authorization {
            let opened = Authorization { first: entry.clone(), captured: 0, credited: 0, reversed: false };
            self.authorizations.insert(id.clone(), opened);
        }
        let Some(authorization) = self.authorizations.get_mut(&id) else {
            return;
        };
        let spent = self.spent.entry(entry.pan_last4.clone()).or_default();
        match entry.kind {
            Kind::Authorization => *spent += entry.amount,
            Kind::Capture => authorization.captured += entry.amount,
            Kind::Credit => {
                authorization.credited += entry.amount;
                *spent = spent.saturating_sub(entry.amount);
            }
            Kind::Reversal => {
                authorization.reversed = true;
                *spent = spent.saturating_sub(entry.amount);
            }
            _ => {}
        }
        if let Some(ticket) = &entry.ticket {
            self.tickets.retain(|_, of| *of != id);
            self.tickets.insert(ticket.clone(), id);
        }
    }

    pub(super) fn by_ticket(&self, ticket: &str) -> Option<&Authorization> {
        self.authorizations.get(self.tickets.get(ticket)?)
    }

    /// What was booked for the same request before.
    pub(super) fn decided(&self, digest: &str) -> Option<&Entry> {
        self.decided.get(digest)
    }

    pub(super) fn spent(&self, last4: &str) -> u64 {
        self.spent.get(last4).copied().unwrap_or(0)
    }
}
