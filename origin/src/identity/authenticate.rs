//! The origin's own check of a forwarded credential. What the edge thinks of it does not matter here.

use scanvault_protocol::authorization;
use scanvault_protocol::password::PasswordVerifier;
use scanvault_protocol::route::Audience;
use scanvault_protocol::{AccountName, Problem};

use super::account::Account;
use super::{passwords, store};
use crate::clock::Clock;
use crate::db::Db;
use crate::web::ApiError;

/// Proves who calls, and that they may: 401, then 403.
///
/// An unknown account is checked against a verifier that nothing meets, at the same cost.
///
/// # Errors
/// The 401 and 403 of the table, or a database failure.
pub async fn authenticate(
    db: &Db,
    clock: &dyn Clock,
    header: Option<&str>,
    audience: Audience,
) -> Result<Account, ApiError> {
    let offered = authorization::parse(header)?;
    let Some(basic) = offered.basic else {
        // No tokens are issued yet: a well-formed one is none of ours.
        return Err(Problem::InvalidOrExpiredJwt.into());
    };
    let account = store::find(db, &basic.account).await?;
    let mut is_right = PasswordVerifier::impossible().accepts(&basic.password);
    for live in passwords::live(db, &basic.account, clock.now_db()).await? {
        is_right |= live.verifier.accepts(&basic.password);
    }
    let account = account.filter(|account| is_right && account.is_active).ok_or(Problem::BadCredentials)?;
    match audience {
        Audience::Role(role) if account.role != role => Err(Problem::Forbidden.into()),
        _ => Ok(account),
    }
}

/// The merchant that a call is for: the caller, or the merchant that a PSP names and may act for.
///
/// # Errors
/// 400 when a PSP names none; 404 when the merchant is not theirs, as when it does not exist.
pub async fn acting_for(db: &Db, caller: Account, merchant_id: Option<u64>) -> Result<Account, ApiError> {
    match (&caller.name, merchant_id) {
        (AccountName::Psp(_), None) => {
            Err(ApiError::because(Problem::BadRequest, "merchantId says which merchant a PSP acts for"))
        }
        (AccountName::Psp(_), Some(id)) => {
            let merchant = store::find(db, &AccountName::Merchant(id)).await?;
            merchant
                .filter(|merchant| merchant.is_active && merchant.psp.as_ref() == Some(&caller.name))
                .ok_or_else(|| Problem::NotFound.into())
        }
        (AccountName::Merchant(own), Some(id)) if *own == id => Ok(caller),
        (_, Some(_)) => Err(Problem::NotFound.into()),
        (_, None) => Ok(caller),
    }
}
