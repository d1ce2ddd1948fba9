//! A party's settlement report: what it has moved, as a merchant's bookkeeping gets it the day after. No party documents
//! the form of its report publicly; this is a form of ours that `scanvault reconcile` reads, made from the party's book.

use super::book::{Entry, Kind};

/// The first line of a report.
pub const HEADER: &str = "reference,kind,amount_minor,currency,booked_at,id";

/// Money that was moved: taken from a card, or given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// What the authorization was called by the merchant's side.
    pub reference: String,
    /// `capture` or `refund`.
    pub kind: &'static str,
    /// In minor units.
    pub amount: u64,
    pub currency: String,
    /// As the book has it.
    pub booked_at: String,
    /// The party's own id.
    pub id: String,
}

/// The report as text.
#[must_use]
pub fn csv(movements: &[Movement]) -> String {
    let lines = movements
        .iter()
        .map(|m| format!("{},{},{},{},{},{}\n", m.reference, m.kind, m.amount, m.currency, m.booked_at, m.id));
    format!("{HEADER}\n{}", lines.collect::<String>())
}

/// Clearhaus' movements. A capture names its authorization by id; the reference is the authorization's.
pub(super) fn of_clearhaus(entries: &[Entry]) -> Vec<Movement> {
    let reference = |entry: &Entry| {
        let first = entries.iter().find(|first| Some(&first.id) == entry.authorization.as_ref());
        first.and_then(|first| first.reference.clone()).or_else(|| entry.reference.clone()).unwrap_or_default()
    };
    let moved = |entry: &Entry| match entry.kind {
        Kind::Capture => Some("capture"),
        Kind::Refund | Kind::Credit => Some("refund"),
        _ => None,
    };
    let booked = entries.iter().filter(|entry| entry.booked);
    booked
        .filter_map(|entry| {
            Some(Movement {
                reference: reference(entry),
                kind: moved(entry)?,
                amount: entry.amount,
                currency: entry.currency.clone(),
                booked_at: entry.processed_at.clone(),
                id: entry.id.clone(),
            })
        })
        .collect()
}
