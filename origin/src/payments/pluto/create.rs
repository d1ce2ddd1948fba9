//! `POST /pluto/code/create`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scanvault_protocol::Problem;

use super::super::request::{Code, First, NewRequest};
use super::super::store;
use super::Codes;
use super::fields::{self, CreateBody};
use super::view::Created;
use crate::identity::Account;
use crate::identity::authenticate::acting_for;
use crate::vault::{Entropy, EntropyError};
use crate::web::{ApiError, Call};

/// Ten digits are drawn at random: with a million live codes one draw in ten thousand is taken already.
const MAX_DRAWS: u32 = 20;

impl Codes<'_> {
    /// Makes a code.
    ///
    /// 400 for what is wrong in the body; 404 for a merchant that is not the PSP's; 409 when the reference was used with
    /// another body; the first answer again when it was used with this one.
    ///
    /// # Errors
    /// As above.
    pub async fn create(
        self,
        caller: Account,
        call: &Call,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Response, ApiError> {
        let now_ms = self.clock.now_db();
        let body: CreateBody<'_> = call.json()?;
        let account = acting_for(self.db, caller, body.merchant_id).await?;
        let new = body.parse(account.currency)?;
        let first = self.find_or_add(&account.name.to_string(), &new, now_ms, entropy).await?;
        Ok(Json(Created::of(&first, &new, self.public_url)).into_response())
    }

    async fn find_or_add(
        self,
        account: &str,
        new: &NewRequest,
        now_ms: i64,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<First, ApiError> {
        for _ in 0..MAX_DRAWS {
            if let Some(first) = store::codes::find_first(self.db, account, &new.merchant_reference).await? {
                let is_repeat = first.asked.as_ref() == Some(&new.asked());
                return if is_repeat { Ok(first) } else { Err(Problem::ReferenceConflict.into()) };
            }
            fields::check_ahead(new.asked_expiry_ms, now_ms)?;
            let code = Code::random(entropy).map_err(|error| ApiError::internal(&error))?;
            let request_id = random_id(entropy).map_err(|error| ApiError::internal(&error))?;
            match store::codes::add(self.db, &request_id, account, new, &code, now_ms).await {
                Ok(()) => {
                    let expires_at_ms = new.expires_at_ms(now_ms);
                    return Ok(First { code: code.to_string(), expires_at_ms, asked: None });
                }
                // Either the same call ran beside this one, or the digits are taken: the next round tells which.
                Err(error) if error.is_duplicate() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::Overloaded.into())
    }
}

/// An id of a payment request.
///
/// # Errors
/// When there is no entropy.
pub fn random_id(entropy: &mut dyn Entropy) -> Result<String, EntropyError> {
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
