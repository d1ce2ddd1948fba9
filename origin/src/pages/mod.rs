//! What shoppers see: the pay page, its script and style, and the sealed card that comes back from it.

pub mod answers;
mod assets;
pub mod shown;
pub mod template;
pub mod threeds;
pub mod wallet;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use scanvault_protocol::Problem;
use serde::Deserialize;

use crate::acquirers::threedsecure::PostedBrowser;
use crate::payments::pay::{self, PayOutcome, Payments, Post};
use crate::payments::store;
use crate::payments::threeds::After;
use crate::payments::wallet::Wallet;
use crate::payments::{Code, CodeState};
use crate::vault::{Entropy, Unsealed};
use crate::web::{ApiError, Call};
use answers::Answer;
pub use assets::asset;
use shown::Shown;
use template::{Attempt, Choices, Content, Order, PayPage, State};

/// How long a page can be paid from. Afterwards it asks for a new attempt by itself; it does so early, so that a bank's
/// challenge (ten minutes) fits into what is left.
const ATTEMPT_TTL_SECS: u64 = 25 * 60;

/// `GET /Q/{code}` and `/pluto/public/pay/{code}`: always a page, with the status that fits what it says.
///
/// # Errors
/// When the page cannot be made at all.
pub async fn pay_page(wallet: &Wallet, call: &Call, entropy: &mut (dyn Entropy + Send)) -> Result<Response, ApiError> {
    let payments = &wallet.payments;
    let Ok(code) = call.parameter.parse::<Code>() else {
        return Ok(page(StatusCode::NOT_FOUND, "", Content::UnknownCode));
    };
    let (address, now_ms) = (&call.signed.client_address, payments.clock.now_ms());
    payments.limits.may_look(address, now_ms)?;
    let Some(record) = store::codes::find(&payments.db, &code).await? else {
        payments.limits.unknown_code(address, now_ms);
        return Ok(page(StatusCode::NOT_FOUND, code.as_str(), Content::UnknownCode));
    };
    let account = match pay::merchant(&payments.db, &record).await {
        Ok(account) => account,
        Err(error) if error.problem() == Problem::CodeNotPayable => {
            return Ok(page(StatusCode::GONE, code.as_str(), Content::Suspended));
        }
        Err(error) => return Err(error),
    };
    let request = &record.request;
    let shown = Shown::of(&record.details, request.amount.currency());
    // A wallet's card cannot be kept.
    let mobilepay = !record.keeps_card() && wallet.is_offered(&record.account, request.amount.currency()).await?;
    let order = Order {
        merchant: &account.display_name,
        description: request.short_description.as_deref().unwrap_or_default(),
        reference: record.shown_reference(),
        // Zero is for the payer to type, but where the card alone is asked for.
        amount_minor: Some(request.amount.minor()).filter(|_| !request.amount.is_open() || record.only_keeps_card()),
        currency: request.amount.currency_ref().as_str(),
        exponent: request.amount.currency().exponent(),
        items: &shown.items,
        language: shown.language,
        choices: Choices {
            partial: request.is_partial && !request.amount.is_open() && !record.keeps_card(),
            mobilepay,
            keeps_card: record.keeps_card(),
            follow: shown.return_url.is_some(),
        },
    };
    let (status, state) = match record.state {
        CodeState::Used => (StatusCode::OK, State::Paid),
        CodeState::Blocked => (StatusCode::GONE, State::Blocked),
        CodeState::Deleted => (StatusCode::GONE, State::Expired),
        // One that is being paid may be paid to the end, whatever the clock says.
        CodeState::Locked => (StatusCode::CONFLICT, State::BusyElsewhere),
        CodeState::Available if record.is_expired(payments.clock.now_db()) => (StatusCode::GONE, State::Expired),
        CodeState::Available => match payments.vault.unsealed_for_cards() {
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, State::BusySealed),
            Ok(unsealed) => return ready_page(payments, &unsealed, &code, order, entropy),
        },
    };
    Ok(page(status, code.as_str(), Content::Order(order, state)))
}

/// `POST /pluto/public/pay/{code}` with `{"sealed":"<JWE>"}`.
///
/// # Errors
/// See [`Payments::pay`].
pub async fn take_payment(payments: &std::sync::Arc<Payments>, call: &Call) -> Result<Response, ApiError> {
    let code: Code = call.parameter.parse()?;
    let body: PayBody = call.json()?;
    payments.limits.may_look(&call.signed.client_address, payments.clock.now_ms())?;
    let post = Post { sealed: &body.sealed, browser: body.browser, after: body.after.map(After::from) };
    let outcome = payments.pay(&code, post, &call.signed.client_address).await?;
    let return_url = match &outcome {
        PayOutcome::Paid { .. } => return_url(payments, &code).await?,
        _ => None,
    };
    Ok(Json(Answer::of_outcome(outcome, return_url)).into_response())
}

/// Where the merchant wants the payer to go on.
async fn return_url(payments: &Payments, code: &Code) -> Result<Option<String>, ApiError> {
    let record = store::codes::find(&payments.db, code).await?;
    Ok(record.and_then(|record| Shown::of(&record.details, record.request.amount.currency()).return_url))
}

/// A step of a payment with a card.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayBody {
    sealed: String,
    #[serde(default)]
    browser: PostedBrowser,
    #[serde(default)]
    after: Option<Done>,
}

/// What the page has done for the payer's bank.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Method,
    Challenge,
}

impl From<Done> for After {
    fn from(done: Done) -> Self {
        match done {
            Done::Method => Self::Method,
            Done::Challenge => Self::Challenge,
        }
    }
}

fn ready_page(
    payments: &Payments,
    unsealed: &Unsealed,
    code: &Code,
    order: Order<'_>,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Response, ApiError> {
    let expires = payments.clock.now_secs() + ATTEMPT_TTL_SECS;
    let id = unsealed.sign_attempt(code.as_str(), expires, entropy).map_err(|error| ApiError::internal(&error))?;
    let key = serde_json::to_string(unsealed.page_key_jwk()).map_err(|error| ApiError::internal(&error))?;
    let state = State::Ready(Attempt { id: &id, expires, key: &key });
    Ok(page(StatusCode::OK, code.as_str(), Content::Order(order, state)))
}

fn page(status: StatusCode, code: &str, content: Content<'_>) -> Response {
    let html = PayPage { code, content }.render();
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Some(secs) = Problem::Sealed.retry_after_secs().filter(|_| status == StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}
