//! Looking up codes and payments: what works while the vault is sealed, and writes nothing.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;

use super::super::request::Code;
use super::super::store::{self, CodeRecord, acts, lookups};
use super::fields::{self, ByQrBody, ReferenceBody};
use super::polls::Poll;
use super::view::{CodeView, PollView, StateView, last_given_back};
use super::{Codes, owner};
use crate::identity::Account;
use crate::web::{ApiError, Call};

/// What a poll is about.
struct Polled {
    record: CodeRecord,
    account: String,
    reference: String,
}

impl Codes<'_> {
    /// `GET /pluto/code/{code}`: 404 for what is not the caller's.
    ///
    /// # Errors
    /// As above.
    pub async fn query(self, caller: &Account, call: &Call) -> Result<Response, ApiError> {
        let (record, owner) = self.of_path(caller, call).await?;
        self.answer(&record, &owner).await
    }

    /// `GET /pluto/code/transaction/state/{transactionId}`: 404 for what is not the caller's. Works whatever the
    /// merchant has for webhooks: the call for who has lost sight of a payment.
    ///
    /// # Errors
    /// As above.
    pub async fn transaction_state(self, caller: &Account, call: &Call) -> Result<Response, ApiError> {
        let id = transaction_id(&call.parameter)?;
        let record = store::transactions::find(self.db, id).await?.ok_or(Problem::NotFound)?;
        owner(self.db, caller, &record.account).await?;
        Ok(Json(StateView::of(&record)).into_response())
    }

    /// `POST /pluto/code/transaction/stateByQr`: the last attempt to pay this amount with a code. Works whatever the
    /// merchant has for webhooks; 404 where there was none.
    ///
    /// # Errors
    /// As above.
    pub async fn state_by_qr(self, caller: &Account, call: &Call) -> Result<Response, ApiError> {
        let body: ByQrBody<'_> = call.json()?;
        let (record, _) = self.owned(caller, &body.code.parse()?, body.merchant_id).await?;
        let amount = fields::amount(body.amount, record.request.amount.currency())?;
        let none = || ApiError::because(Problem::NotFound, "Nobody has tried to pay this amount with this code");
        let found = lookups::last_of_amount(self.db, &record.code, amount).await?.ok_or_else(none)?;
        Ok(Json(StateView::of(&found)).into_response())
    }

    /// `POST /pluto/code/queryRef`: the last attempt to pay a code under a reference. 406 for a merchant that has a
    /// webhook: the reference lets a merchant have one of the two.
    ///
    /// # Errors
    /// As above; 429 for who asks faster than once in five seconds.
    pub async fn query_reference(self, caller: &Account, call: &Call) -> Result<Response, ApiError> {
        let Polled { record, account, reference } = self.polled(caller, call, Poll::Payment).await?;
        match lookups::last(self.db, &account, &reference, &record.code).await? {
            Some(last) => Ok(Json(PollView::of(&last)).into_response()),
            None => self.nothing_yet(&record, &account, &reference).await,
        }
    }

    /// `POST /pluto/code/queryRef/refund`: the last refund or reversal under a reference.
    ///
    /// # Errors
    /// As for [`Codes::query_reference`].
    pub async fn query_refund(self, caller: &Account, call: &Call) -> Result<Response, ApiError> {
        let Polled { record, account, reference } = self.polled(caller, call, Poll::Refund).await?;
        if let Some(last) = lookups::last_given_back(self.db, &account, &reference, &record.code).await?
            && let Some(act) = last_given_back(&acts::list(self.db, last.id).await?)
        {
            return Ok(Json(PollView::of_act(&last, act)).into_response());
        }
        self.nothing_yet(&record, &account, &reference).await
    }

    /// The whole record of a code. One that nobody has tried to pay costs no further look.
    pub(super) async fn answer(self, record: &CodeRecord, owner: &Account) -> Result<Response, ApiError> {
        let view = CodeView::of(record, &owner.display_name, self.public_url, self.clock.now_db());
        let Some(id) = record.transaction_id else { return Ok(Json(view).into_response()) };
        let Some(last) = store::transactions::find(self.db, id).await? else { return Ok(Json(view).into_response()) };
        let counts = lookups::counts(self.db, &record.code).await?;
        Ok(Json(view.with(&last, counts)).into_response())
    }

    async fn polled(self, caller: &Account, call: &Call, poll: Poll) -> Result<Polled, ApiError> {
        let body: ReferenceBody = call.json()?;
        let code: Code = body.code.parse()?;
        let (record, owner) = self.owned(caller, &code, body.merchant_id).await?;
        if owner.webhook_url.is_some() {
            let text = "This merchant has a webhook: ask /pluto/code/transaction/state/{transactionId} instead";
            return Err(ApiError::because(Problem::NotAcceptable, text));
        }
        self.polls.take(&caller.name, &code, poll, self.clock.now_ms())?;
        Ok(Polled { record, account: owner.name.to_string(), reference: body.merchant_reference })
    }

    /// `N/A` for a reference that the code has or had, 404 for any other.
    async fn nothing_yet(self, record: &CodeRecord, account: &str, reference: &str) -> Result<Response, ApiError> {
        let is_current = record.request.merchant_reference == reference;
        if !is_current {
            let first = store::codes::find_first(self.db, account, reference).await?;
            first.filter(|first| first.code == record.code.as_str()).ok_or(Problem::NotFound)?;
        }
        let amount = is_current.then_some(record.request.amount);
        Ok(Json(PollView::none(record, reference, amount)).into_response())
    }
}

/// A transaction's number in a path; what is none is not found.
///
/// # Errors
/// [`Problem::NotFound`].
pub fn transaction_id(text: &str) -> Result<i64, ApiError> {
    text.parse().ok().filter(|id| *id > 0).ok_or_else(|| Problem::NotFound.into())
}
