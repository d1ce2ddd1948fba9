//! The pay page and MobilePay: where the payer is sent, and how their payment stands when they come back.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::Deserialize;

use super::answers::Answer;
use super::template::Language;
use crate::acquirers::mobilepay::Msisdn;
use crate::payments::Code;
use crate::payments::store;
use crate::payments::wallet::{Started, Wallet, WalletOrder};
use crate::web::{ApiError, Call};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    attempt: String,
    amount_minor: Option<u64>,
    phone: Option<String>,
    /// What the page speaks, where its address says so.
    language: Option<String>,
}

/// `POST /pluto/public/pay/{code}/mobilepay`.
///
/// # Errors
/// See [`Wallet::start`].
pub async fn start(wallet: &Arc<Wallet>, call: &Call) -> Result<Response, ApiError> {
    let code: Code = call.parameter.parse()?;
    let Body { attempt, amount_minor, phone, language } = call.json()?;
    wallet.payments.limits.may_look(&call.signed.client_address, wallet.payments.clock.now_ms())?;
    let unreadable =
        || ApiError::because(Problem::BadRequest, "A phone number starts with its country code, such as +45");
    let phone = match phone.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(Msisdn::parse(text).ok_or_else(unreadable)?),
    };
    let language = language.as_deref().and_then(Language::of_tag).map(Language::tag);
    let answer = match wallet.start(&code, &WalletOrder { attempt, amount_minor, phone, language }).await? {
        Started::Redirect { transaction_id, url } => Answer::Redirect { transaction_id, url },
        Started::Outcome(outcome) => Answer::of_outcome(outcome, None),
    };
    Ok(Json(answer).into_response())
}

/// `GET /pluto/public/pay/{code}/state?attempt=…`. It needs no key, so that it is told while the vault is sealed too.
///
/// # Errors
/// 404 for no code at all; from the database.
pub async fn state(wallet: &Wallet, call: &Call) -> Result<Response, ApiError> {
    let code: Code = call.parameter.parse()?;
    let query = call.signed.query.as_deref().unwrap_or_default();
    // Base64url: nothing in an attempt is ever escaped.
    let attempt = query.split('&').find_map(|pair| pair.strip_prefix("attempt=")).unwrap_or_default();
    let found = store::transactions::find_attempt(&wallet.payments.db, attempt).await?;
    // Another code's attempt is none of this page's.
    let answer = match found.filter(|found| found.code.as_ref() == Some(&code)) {
        Some(found) => {
            wallet.look_soon(&found).await?;
            match wallet.redirect_of(&found).await? {
                Some(url) => Answer::Redirect { transaction_id: found.id, url },
                None => Answer::of_transaction(&found, super::return_url(&wallet.payments, &code).await?),
            }
        }
        None => Answer::None,
    };
    Ok(Json(answer).into_response())
}
