//! What a merchant changes of a code: pure rules here, one database transaction around them.
//!
//! ```text
//! Available ◀─ block, unblock ─▶ Blocked          edit, amount: from both, which stay what they are
//!     │   └────────── delete ────────┴──▶ Deleted
//!     └─ a payer locks ─▶ Locked: nothing of this, until it is Available or Used again
//! ```
//!
//! Each call may be repeated when its answer was lost: what is already so is answered as if it had just been done.

use axum::response::Response;
use scanvault_protocol::Problem;

use super::super::state::{CodeState, Dialect};
use super::super::store::{self, CodeRecord};
use super::create::random_id;
use super::fields::{self, AmountBody, Edit, EditBody, NewAmount};
use super::{Codes, check_named};
use crate::db::DbError;
use crate::identity::Account;
use crate::payments::request::DEFAULT_TTL_MS;
use crate::vault::Entropy;
use crate::web::{ApiError, Call};

/// What is to be done with a code.
#[derive(Clone, Debug)]
pub enum Change {
    /// Fields that are not the amount.
    Edit(Edit),
    /// An amount, with a fresh reference.
    Amount(NewAmount),
    /// Stopped for a while.
    Block,
    /// Goes on.
    Unblock,
    /// For good.
    Delete,
}

impl Change {
    /// The code as it shall be. Equal to the code as it is where there is nothing to do.
    ///
    /// # Errors
    /// [`Problem::CodeBusy`] while a payer pays it; [`Problem::Conflict`] where its state or kind does not allow it;
    /// [`Problem::BadRequest`] for an expiry that has passed.
    pub fn apply(&self, before: &CodeRecord, now_ms: i64) -> Result<CodeRecord, ApiError> {
        if self.is_done(before) {
            return Ok(before.clone());
        }
        match before.state {
            CodeState::Available | CodeState::Blocked => {}
            CodeState::Locked => return Err(Problem::CodeBusy.into()),
            CodeState::Used => return Err(conflict("This code is used up: it cannot be changed any more")),
            CodeState::Deleted => return Err(conflict("This code is deleted: it cannot be changed any more")),
        }
        match self {
            Self::Edit(edit) => edited(before, edit, now_ms),
            Self::Amount(new) => with_amount(before, new, now_ms),
            Self::Block => Ok(CodeRecord { state: CodeState::Blocked, ..before.clone() }),
            Self::Unblock => Ok(CodeRecord { state: CodeState::Available, ..before.clone() }),
            Self::Delete => Ok(CodeRecord { state: CodeState::Deleted, ..before.clone() }),
        }
    }

    /// Whether the code is so already: a repeat, whose first answer may have been lost.
    fn is_done(&self, code: &CodeRecord) -> bool {
        match self {
            Self::Edit(edit) => is_edited(code, edit),
            Self::Amount(new) => {
                let request = &code.request;
                // A use-once code has never got its amount this way, so this is no repeat there.
                !request.use_once
                    && request.merchant_reference == new.merchant_reference
                    && request.amount == new.amount
                    && new.expiry_ms.is_none_or(|at| at == code.expires_at_ms)
            }
            Self::Block => code.state == CodeState::Blocked,
            // A code that is being paid by now is not blocked either.
            Self::Unblock => matches!(code.state, CodeState::Available | CodeState::Locked),
            Self::Delete => code.state == CodeState::Deleted,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Edit(_) => "edit",
            Self::Amount(_) => "amount",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Delete => "delete",
        }
    }
}

impl Codes<'_> {
    /// `PUT /pluto/code/{code}`.
    ///
    /// # Errors
    /// See [`Change::apply`]; [`Problem::ReferenceConflict`] for a reference that was used before.
    pub async fn edit(
        self,
        caller: &Account,
        call: &Call,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Response, ApiError> {
        let (record, owner) = self.of_path(caller, call).await?;
        let body: EditBody<'_> = call.json()?;
        check_named(&owner, body.merchant_id)?;
        self.change(&record, &owner, &Change::Edit(body.parse()?), entropy).await
    }

    /// `PUT /pluto/code/{code}/amount`.
    ///
    /// # Errors
    /// See [`Change::apply`]; [`Problem::ReferenceConflict`] for a reference that was used before.
    pub async fn amount(
        self,
        caller: &Account,
        call: &Call,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Response, ApiError> {
        let (record, owner) = self.of_path(caller, call).await?;
        let body: AmountBody<'_> = call.json()?;
        check_named(&owner, body.merchant_id)?;
        let new = body.parse(record.request.amount.currency())?;
        self.change(&record, &owner, &Change::Amount(new), entropy).await
    }

    /// `PUT /pluto/code/{code}/block`, `…/unblock` and `DELETE /pluto/code/{code}`.
    ///
    /// # Errors
    /// See [`Change::apply`].
    pub async fn switch(
        self,
        caller: &Account,
        call: &Call,
        change: Change,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Response, ApiError> {
        let (record, owner) = self.of_path(caller, call).await?;
        self.change(&record, &owner, &change, entropy).await
    }

    async fn change(
        self,
        record: &CodeRecord,
        owner: &Account,
        change: &Change,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Response, ApiError> {
        let now_ms = self.clock.now_db();
        let mut tx = self.db.begin().await?;
        let before = store::codes::hold(&mut tx, &record.code).await?.ok_or(Problem::NotFound)?;
        let mut after = change.apply(&before, now_ms)?;
        if after.request.merchant_reference == before.request.merchant_reference {
            store::codes::change(&mut tx, &before, &after).await?;
        } else {
            after.request_id = random_id(entropy).map_err(|error| ApiError::internal(&error))?;
            store::codes::replace(&mut tx, &before, &after, now_ms).await.map_err(taken)?;
        }
        tx.commit().await?;
        tracing::info!(account = %owner.name, change = change.name(), state = after.state.as_str(), "code changed");
        self.answer(&after, owner).await
    }
}

fn taken(error: DbError) -> ApiError {
    if error.is_duplicate() {
        ApiError::because(Problem::ReferenceConflict, "This merchantReference was used before")
    } else {
        error.into()
    }
}

fn conflict(text: &str) -> ApiError {
    ApiError::because(Problem::Conflict, text)
}

fn check_dialect(code: &CodeRecord) -> Result<(), ApiError> {
    // What was asked for over the other interface is written in its own terms; ours would lose some of it.
    if code.dialect == Dialect::Pluto { Ok(()) } else { Err(conflict("This code belongs to a link made over /v1")) }
}

fn edited(before: &CodeRecord, edit: &Edit, now_ms: i64) -> Result<CodeRecord, ApiError> {
    check_dialect(before)?;
    let mut after = before.clone();
    if let Some(at_ms) = edit.expiry_ms.filter(|at| *at != before.expires_at_ms) {
        fields::check_ahead(Some(at_ms), now_ms)?;
        (after.request.asked_expiry_ms, after.expires_at_ms) = (Some(at_ms), at_ms);
    }
    let request = &mut after.request;
    if let Some(reference) = &edit.merchant_reference {
        request.merchant_reference.clone_from(reference);
    }
    set(&mut request.short_description, edit.short_description.as_deref());
    set(&mut request.product_url, edit.product_url.as_deref());
    set(&mut request.extras.sub_merchant_name, edit.sub_merchant_name.as_deref());
    set(&mut request.extras.terminal_id, edit.terminal_id.as_deref());
    set(&mut request.extras.mcc, edit.mcc.as_deref());
    Ok(after)
}

fn is_edited(code: &CodeRecord, edit: &Edit) -> bool {
    let (request, extras) = (&code.request, &code.request.extras);
    let is = |field: &Option<String>, wanted: &Option<String>| {
        wanted.as_deref().is_none_or(|wanted| field.as_deref().unwrap_or_default() == wanted)
    };
    edit.merchant_reference.as_ref().is_none_or(|wanted| *wanted == request.merchant_reference)
        && edit.expiry_ms.is_none_or(|at_ms| at_ms == code.expires_at_ms)
        && is(&request.short_description, &edit.short_description)
        && is(&request.product_url, &edit.product_url)
        && is(&extras.sub_merchant_name, &edit.sub_merchant_name)
        && is(&extras.terminal_id, &edit.terminal_id)
        && is(&extras.mcc, &edit.mcc)
}

/// Makes an expired code payable again: with the expiry that is sent, else with the usual one. A code that has time left
/// keeps it.
fn with_amount(before: &CodeRecord, new: &NewAmount, now_ms: i64) -> Result<CodeRecord, ApiError> {
    check_dialect(before)?;
    if before.request.use_once {
        return Err(conflict("This code is used once: only a reusable code gets another amount"));
    }
    if before.request.merchant_reference == new.merchant_reference {
        let text = "Another amount needs a merchantReference of its own";
        return Err(ApiError::because(Problem::ReferenceConflict, text));
    }
    fields::check_ahead(new.expiry_ms, now_ms)?;
    let mut after = before.clone();
    after.request.amount = new.amount;
    after.request.merchant_reference.clone_from(&new.merchant_reference);
    let renewed = before.is_expired(now_ms).then(|| now_ms.saturating_add(DEFAULT_TTL_MS));
    if let Some(at_ms) = new.expiry_ms.or(renewed) {
        (after.request.asked_expiry_ms, after.expires_at_ms) = (new.expiry_ms, at_ms);
    }
    Ok(after)
}

fn set(field: &mut Option<String>, wanted: Option<&str>) {
    if let Some(text) = wanted {
        *field = (!text.is_empty()).then(|| text.to_owned());
    }
}

#[cfg(test)]
mod tests;
