//! Scanpay's interface, so that its published clients work unchanged: payment links, the change feed, acts, subscribers.
//!
//! Amounts are texts (`123.45 DKK`), errors one line. Everything that changes something may be named with an
//! `Idempotency-Key`. An answer leaves before the edge stops waiting; work at third parties goes on in a task of its own,
//! and the client asks again under the same key.

mod acts;
mod answer;
mod body;
mod lifetime;
mod links;
mod seq;
mod subscribers;
mod texts;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scanvault_protocol::route::Route;
use scanvault_protocol::{AccountName, Problem};

use super::Payments;
use super::idempotency::{Key, with_status};
use crate::db::DbError;
use crate::entropy::{Entropy, EntropyError};
use crate::identity::Account;
use crate::web::{ApiError, Call};

/// What the handlers of this folder need.
#[derive(Clone, Copy)]
pub struct V1<'a> {
    /// The money.
    pub payments: &'a Arc<Payments>,
    /// Base of links.
    pub public_url: &'a str,
}

impl V1<'_> {
    /// Answers a call to a row of this interface. Each arm is boxed: together they would be too large for a task's stack
    /// in an unoptimised build.
    ///
    /// # Errors
    /// As the handlers say.
    pub async fn answer(self, caller: Account, call: &Call) -> Result<Response, ApiError> {
        let account = shop(caller)?;
        if call.spec.route != Route::V1Seq
            && let Err(error) = Key::given(call)
        {
            return Ok(with_status(error.into_response(), "ERROR"));
        }
        match call.spec.route {
            Route::V1New => Box::pin(self.new_link(account, call)).await,
            Route::V1Seq => Box::pin(self.seq(account, call)).await,
            Route::V1Capture | Route::V1Refund | Route::V1Void => Box::pin(self.act(account, call)).await,
            Route::V1Charge => Box::pin(self.charge(account, call)).await,
            Route::V1Renew => Box::pin(self.renew(account, call)).await,
            _ => Err(Problem::NotFound.into()),
        }
    }
}

/// The merchant that calls. A PSP has no shop, and this interface no way to name one.
fn shop(caller: Account) -> Result<Account, ApiError> {
    match caller.name {
        AccountName::Psp(_) => Err(ApiError::because(Problem::Forbidden, "a PSP has no shop of its own")),
        _ => Ok(caller),
    }
}

/// `7`, or with the shop before it `25:7`. Another shop's does not exist.
fn object_id(account: &Account, text: &str) -> Result<i64, ApiError> {
    let id = match (text.split_once(':'), &account.name) {
        (None, _) => text,
        (Some((shop, id)), AccountName::Merchant(own)) if shop == own.to_string() => id,
        (Some(_), _) => return Err(Problem::NotFound.into()),
    };
    let is_number = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    id.parse().ok().filter(|id| is_number && *id > 0).ok_or_else(|| Problem::NotFound.into())
}

fn random(entropy: &mut (dyn Entropy + Send)) -> Result<String, EntropyError> {
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

fn no_entropy(error: EntropyError) -> ApiError {
    ApiError::internal(&DbError::from(error))
}
