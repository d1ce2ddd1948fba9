//! What is looked at before anything is written.

use scanvault_protocol::Problem;

use super::super::Payments;
use super::super::limits::{Attempted, CODE_WINDOW_MS, DECLINES_PER_CODE, DECLINES_PER_SHARED_CODE};
use super::super::request::Code;
use super::super::state::CodeState;
use super::super::store::{self, CodeRecord};
use crate::calendar::Utc;
use crate::db::{Db, DbError};
use crate::identity::{self, Account};
use crate::money::Amount;
use crate::vault::{SealedCard, SealedError, Unsealed};
use crate::web::ApiError;

impl Payments {
    /// The code, if it can be paid now.
    ///
    /// # Errors
    /// 404, 410 or 409.
    pub async fn payable(&self, code: &Code) -> Result<CodeRecord, ApiError> {
        let record = store::codes::find(&self.db, code).await?.ok_or(Problem::NotFound)?;
        match record.state {
            CodeState::Available if record.is_expired(self.clock.now_db()) => Err(Problem::CodeExpired.into()),
            CodeState::Available => Ok(record),
            CodeState::Locked => Err(Problem::CodeBusy.into()),
            CodeState::Used | CodeState::Blocked | CodeState::Deleted => Err(Problem::CodeNotPayable.into()),
        }
    }

    /// Opens what the page sealed and holds it against what the page was given.
    pub(super) fn open_card(
        &self,
        unsealed: &Unsealed,
        record: &CodeRecord,
        sealed: &str,
    ) -> Result<(SealedCard, Amount), ApiError> {
        // One text for all of it: what exactly did not fit is nobody's business but the page's.
        let unreadable = |cause: &dyn std::error::Error| {
            tracing::info!(cause = %cause, "sealed card refused");
            ApiError::because(Problem::BadRequest, "The card data could not be read. Please reload the page")
        };
        let plaintext = unsealed.open_jwe(sealed).map_err(|error| unreadable(&error))?;
        let card = SealedCard::parse(&plaintext).map_err(|error| unreadable(&error))?;
        let attempt = unsealed
            .verify_attempt(record.code.as_str(), &card.attempt, self.clock.now_secs())
            .map_err(|error| unreadable(&error))?;
        let asked = record.request.amount;
        let amount = Amount::from_minor(card.amount_minor, asked.currency()).map_err(|error| unreadable(&error))?;
        let agrees = card.code == record.code.as_str()
            && card.expires_at_s == attempt.expires_at_s
            && card.currency == asked.currency().as_str()
            && record.takes(amount);
        if !agrees {
            let text = "What is to be paid has changed. Please reload the page";
            return Err(ApiError::because(Problem::BadRequest, text));
        }
        let today = Utc::from_unix_ms(self.clock.now_ms());
        if card.expiry.is_over(today.year, today.month) {
            return Err(ApiError::because(Problem::BadRequest, "The card has expired"));
        }
        Ok((card, amount))
    }

    /// Counts the attempt against the testing of cards.
    pub(super) async fn begin_attempt(
        &self,
        unsealed: &Unsealed,
        record: &CodeRecord,
        card: &SealedCard,
        payer_address: &str,
    ) -> Result<Option<Attempted>, ApiError> {
        if !self.limits.is_on() {
            return Ok(None);
        }
        let since_ms = self.clock.now_db().saturating_sub(CODE_WINDOW_MS);
        let declines = store::transactions::count_declines(&self.db, &record.code, since_ms).await?;
        let most = if record.request.use_once { DECLINES_PER_CODE } else { DECLINES_PER_SHARED_CODE };
        if declines >= most {
            tracing::warn!(code = %record.code, declines, "a code is tried too often");
            self.limits.refused_by_code();
            return Err(ApiError::retry_after(u32::try_from(CODE_WINDOW_MS / 1000).unwrap_or(u32::MAX)));
        }
        self.limits.begin(unsealed, payer_address, &card.pan, self.clock.now_ms()).inspect_err(|_| {
            tracing::warn!(account = record.account, "an address or a card is tried too often");
        })
    }
}

/// The account that a code belongs to, as long as it is active: a suspended merchant takes no payments.
///
/// # Errors
/// [`Problem::CodeNotPayable`].
pub async fn merchant(db: &Db, record: &CodeRecord) -> Result<Account, ApiError> {
    let name = record.account.parse().map_err(|_| ApiError::internal(&DbError::Corrupt("account name")))?;
    let account = identity::store::find(db, &name).await?;
    account.filter(|account| account.is_active).ok_or_else(|| Problem::CodeNotPayable.into())
}

/// What needs a key is not to be had while there is none.
#[must_use]
pub fn sealed_problem(_: SealedError) -> ApiError {
    Problem::Sealed.into()
}
