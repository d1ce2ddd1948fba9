//! What the next call of a transaction needs: Nets has no id for one, only the ticket that each answer replaces.

use serde::{Deserialize, Serialize};

use crate::acquirers::AcquirerError;

/// Kept with the transaction as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Field 56: opaque, up to 255 characters.
    pub(super) ticket: String,
    /// Field 38 of the authorisation.
    pub(super) approval: String,
    /// Field 39 of the authorisation.
    pub(super) action: String,
    /// Field 22 of the authorisation.
    pub(super) point: String,
}

impl State {
    pub(super) fn parse(text: &str) -> Result<Self, AcquirerError> {
        serde_json::from_str(text).map_err(|_| AcquirerError::Field("ticket"))
    }

    pub(super) fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// The same transaction with the ticket of a later answer.
    pub(super) fn with_ticket(self, ticket: &str) -> Self {
        Self { ticket: ticket.to_owned(), ..self }
    }
}
