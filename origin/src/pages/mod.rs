//! What shoppers see: the pay page, its script and style, and the sealed card that comes back from it.

pub mod template;
pub mod wallet;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use scanvault_protocol::{Problem, headers as policies};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::payments::pay::{self, PayOutcome, Payments};
use crate::payments::store;
use crate::payments::{Code, CodeState};
use crate::vault::{Entropy, Unsealed};
use crate::web::{ApiError, Call};
use template::{Attempt, Content, Language, Order, PayPage, State};

/// How long a page can be paid from. Afterwards it asks for a new attempt by itself.
const ATTEMPT_TTL_SECS: u64 = 15 * 60;

const SCRIPT: &str = include_str!("assets/pay.js");
const STYLE: &str = include_str!("assets/pay.css");

/// `GET /Q/{code}` and `/pluto/public/pay/{code}`: always a page, with the status that fits what it says.
///
/// # Errors
/// When the page cannot be made at all.
pub async fn pay_page(
    payments: &Payments,
    call: &Call,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Response, ApiError> {
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
        Ok(account) => Some(account),
        Err(error) if error.problem() == Problem::CodeNotPayable => None, // suspended
        Err(error) => return Err(error),
    };
    let merchant = account.as_ref().map_or("", |account| account.display_name.as_str());
    let request = &record.request;
    let order = Order {
        merchant,
        description: request.short_description.as_deref().unwrap_or_default(),
        reference: &request.merchant_reference,
        // Zero is for the payer to type, but where the card alone is asked for.
        amount_minor: Some(request.amount.minor()).filter(|_| !request.amount.is_open() || record.only_keeps_card()),
        currency: request.amount.currency_ref().as_str(),
        exponent: request.amount.currency().exponent(),
    };
    let (status, state) = match record.state {
        CodeState::Used => (StatusCode::OK, State::Paid),
        CodeState::Blocked | CodeState::Deleted => (StatusCode::GONE, State::Expired),
        _ if account.is_none() => (StatusCode::GONE, State::Expired),
        _ if record.is_expired(payments.clock.now_db()) => (StatusCode::GONE, State::Expired),
        CodeState::Locked => (StatusCode::CONFLICT, State::BusyElsewhere),
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
    let outcome = payments.pay(&code, &body.sealed, &call.signed.client_address).await?;
    Ok(Json(PayAnswer::of(outcome)).into_response())
}

/// `GET /pluto/public/assets/{asset}`.
///
/// # Errors
/// 404 for any other name.
pub fn asset(call: &Call) -> Result<Response, ApiError> {
    let (text, media_type) = match call.parameter.as_str() {
        "pay.js" => (SCRIPT, "text/javascript; charset=utf-8"),
        "pay.css" => (STYLE, "text/css; charset=utf-8"),
        _ => return Err(Problem::NotFound.into()),
    };
    let digest: String = Sha256::digest(text).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    // Short: page and script must not drift apart over a release.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(ETAG, etag);
    }
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayBody {
    sealed: String,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PayAnswer {
    state: &'static str,
    transaction_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_retry: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creq: Option<String>,
}

impl PayAnswer {
    fn of(outcome: PayOutcome) -> Self {
        match outcome {
            PayOutcome::Paid { transaction_id } => Self { state: "paid", transaction_id, ..Self::default() },
            PayOutcome::Declined { transaction_id, reason } => {
                let (reason, message) = (Some(reason.shopper_reason()), Some(reason.shopper_text()));
                Self { state: "declined", transaction_id, reason, message, ..Self::default() }
            }
            PayOutcome::Cancelled { transaction_id } => {
                let message = Some("The payment was cancelled. Nothing was charged.");
                Self { state: "declined", transaction_id, reason: Some("cancelled"), message, ..Self::default() }
            }
            PayOutcome::Unknown { transaction_id, may_retry } => {
                let message = if may_retry {
                    "The bank did not answer. The payment was not made; you may try again."
                } else {
                    "The payment is not confirmed yet. Please do not pay again; ask the merchant."
                };
                let (message, may_retry) = (Some(message), Some(may_retry));
                Self { state: "unknown", transaction_id, message, may_retry, ..Self::default() }
            }
            PayOutcome::Method { transaction_id, url, data } => {
                Self { state: "method", transaction_id, url: Some(url), data: Some(data), ..Self::default() }
            }
            PayOutcome::Challenge { transaction_id, url, creq } => {
                Self { state: "challenge", transaction_id, url: Some(url), creq: Some(creq), ..Self::default() }
            }
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
    let html = PayPage { language: Language::English, code, content }.render();
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert("content-security-policy", HeaderValue::from_static(policies::PAGE_CONTENT_SECURITY_POLICY));
    if let Some(secs) = Problem::Sealed.retry_after_secs().filter(|_| status == StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}
