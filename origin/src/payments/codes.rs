//! `/pluto/code/**`: make a code, look it up, look up a transaction. All of it works while the vault is sealed.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scanvault_protocol::{AccountName, Problem};

use super::request::{Code, CreateBody, NewRequest};
use super::state::{CodeState, Dialect, RequestKind};
use super::store::{self, CodeRecord};
use super::view::{CodeView, Created, TransactionView};
use crate::clock::Clock;
use crate::db::Db;
use crate::identity::Account;
use crate::identity::authenticate::acting_for;
use crate::vault::{Entropy, EntropyError};
use crate::web::{ApiError, Call};

/// Ten digits are drawn at random: with a million live codes one draw in ten thousand is taken already.
const MAX_DRAWS: u32 = 20;

/// What the handlers of this file need.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    /// Where codes are.
    pub db: &'a Db,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Base of `codeUrl`.
    pub public_url: &'a str,
}

impl Codes<'_> {
    /// `POST /pluto/code/create`.
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
        let record = self.find_or_add(&account.name.to_string(), new, now_ms, entropy).await?;
        Ok(Json(Created::of(&record, self.public_url)).into_response())
    }

    /// `GET /pluto/code/{code}`: 404 for what is not the caller's.
    ///
    /// # Errors
    /// As above.
    pub async fn query(self, caller: Account, call: &Call) -> Result<Response, ApiError> {
        let code: Code = call.parameter.parse()?;
        let record = store::codes::find(self.db, &code).await?.ok_or(Problem::NotFound)?;
        self.check_owner(&caller, &record.account).await?;
        Ok(Json(CodeView::of(&record, self.public_url, self.clock.now_db())).into_response())
    }

    /// `GET /pluto/code/transaction/state/{transactionId}`: 404 for what is not the caller's.
    ///
    /// # Errors
    /// As above.
    pub async fn transaction_state(self, caller: Account, call: &Call) -> Result<Response, ApiError> {
        let id: i64 = call.parameter.parse().ok().filter(|id| *id > 0).ok_or(Problem::NotFound)?;
        let record = store::transactions::find(self.db, id).await?.ok_or(Problem::NotFound)?;
        self.check_owner(&caller, &record.account).await?;
        Ok(Json(TransactionView::of(&record)).into_response())
    }

    async fn find_or_add(
        self,
        account: &str,
        new: NewRequest,
        now_ms: i64,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<CodeRecord, ApiError> {
        for _ in 0..MAX_DRAWS {
            if let Some(known) = store::codes::find_reference(self.db, account, &new.merchant_reference).await? {
                return if known.request == new { Ok(known) } else { Err(Problem::ReferenceConflict.into()) };
            }
            // Only now: a repeat is answered with the first answer even when its expiry has passed by then.
            if new.asked_expiry_ms.is_some_and(|at| at != 0 && at <= now_ms) {
                return Err(ApiError::because(
                    Problem::BadRequest,
                    "expiryDate must be in the future, in milliseconds",
                ));
            }
            let code = Code::random(entropy).map_err(|error| ApiError::internal(&error))?;
            let request_id = random_id(entropy).map_err(|error| ApiError::internal(&error))?;
            match store::codes::add(self.db, &request_id, account, &new, &code, now_ms).await {
                Ok(()) => {
                    return Ok(CodeRecord {
                        code,
                        state: CodeState::Available,
                        transaction_id: None,
                        request_id,
                        account: account.to_owned(),
                        dialect: Dialect::Pluto,
                        kind: RequestKind::Payment,
                        expires_at_ms: new.expires_at_ms(now_ms),
                        request: new,
                        order_id: None,
                        autocapture: true,
                        details: "{}".to_owned(),
                    });
                }
                // Either the same call ran beside this one, or the digits are taken: the next round tells which.
                Err(error) if error.is_duplicate() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::Overloaded.into())
    }

    /// An object of somebody else does not exist for the caller.
    async fn check_owner(self, caller: &Account, owner: &str) -> Result<(), ApiError> {
        if caller.name.to_string() == owner {
            return Ok(());
        }
        let Ok(AccountName::Merchant(id)) = owner.parse() else { return Err(Problem::NotFound.into()) };
        match caller.name {
            AccountName::Psp(_) => acting_for(self.db, caller.clone(), Some(id)).await.map(|_| ()),
            _ => Err(Problem::NotFound.into()),
        }
    }
}

fn random_id(entropy: &mut dyn Entropy) -> Result<String, EntropyError> {
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}
