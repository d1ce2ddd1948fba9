//! `/pluto/code/**` and `/pluto/purchase/**`: the interface of Scan to Pay. The calls on codes work while the vault is
//! sealed; giving money back does not.

pub mod change;
pub mod create;
pub mod errors;
pub mod fields;
pub mod polls;
pub mod purchase;
pub mod query;
pub mod view;

use std::future::Future;
use std::pin::Pin;

use axum::response::Response;
use scanvault_protocol::route::Route;
use scanvault_protocol::{AccountName, Problem};

use super::Payments;
use super::request::Code;
use super::store::{self, CodeRecord};
use crate::clock::Clock;
use crate::db::Db;
use crate::identity::Account;
use crate::identity::authenticate::acting_for;
use crate::vault::SystemEntropy;
use crate::web::{ApiError, Call};
use change::Change;
pub use errors::Errors;
pub use polls::Polls;
pub use purchase::Purchases;

/// An answer under way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send + 'a>>;

/// The whole interface.
#[derive(Clone, Copy)]
pub struct Pluto<'a> {
    /// The money.
    pub payments: &'a Payments,
    /// Base of `codeUrl`.
    pub public_url: &'a str,
    /// Who asked how lately.
    pub polls: &'a Polls,
    /// How it is told what is wrong.
    pub errors: Errors,
}

impl<'a> Pluto<'a> {
    /// Answers a call of a merchant or a PSP: see the calls themselves; 404 for a route that is none of this interface.
    /// Put on the heap here, so that the callers' own futures stay small.
    #[must_use]
    pub fn answer(self, caller: Account, call: &'a Call) -> Answering<'a> {
        Box::pin(async move { self.ask(caller, call).await.map_err(|error| self.errors.told(error, call.spec)) })
    }

    async fn ask(self, caller: Account, call: &Call) -> Result<Response, ApiError> {
        let Self { payments, public_url, polls, errors } = self;
        let codes = Codes { db: &payments.db, clock: &*payments.clock, public_url, polls };
        let purchases = Purchases { payments, errors };
        let mut entropy = SystemEntropy::new();
        match call.spec.route {
            Route::CodeCreate => codes.create(caller, call, &mut entropy).await,
            Route::CodeQuery => codes.query(&caller, call).await,
            Route::CodeEdit => codes.edit(&caller, call, &mut entropy).await,
            Route::CodeAmount => codes.amount(&caller, call, &mut entropy).await,
            Route::CodeBlock => codes.switch(&caller, call, Change::Block, &mut entropy).await,
            Route::CodeUnblock => codes.switch(&caller, call, Change::Unblock, &mut entropy).await,
            Route::CodeDelete => codes.switch(&caller, call, Change::Delete, &mut entropy).await,
            Route::QueryReference => codes.query_reference(&caller, call).await,
            Route::QueryRefund => codes.query_refund(&caller, call).await,
            Route::StateByQr => codes.state_by_qr(&caller, call).await,
            Route::TransactionState => codes.transaction_state(&caller, call).await,
            Route::Reverse => purchases.reverse(&caller, call).await,
            Route::Refund => purchases.refund(&caller, call).await,
            _ => Err(Problem::NotFound.into()),
        }
    }
}

/// What the calls on codes need.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    /// Where codes are.
    pub db: &'a Db,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Base of `codeUrl`.
    pub public_url: &'a str,
    /// Who asked how lately.
    pub polls: &'a Polls,
}

impl Codes<'_> {
    /// The code that a path names, and whose it is.
    async fn of_path(self, caller: &Account, call: &Call) -> Result<(CodeRecord, Account), ApiError> {
        self.owned(caller, &call.parameter.parse()?, None).await
    }

    /// A code and whose it is: the caller, or a merchant that the caller may act for and, where it names one, has named.
    async fn owned(
        self,
        caller: &Account,
        code: &Code,
        merchant_id: Option<u64>,
    ) -> Result<(CodeRecord, Account), ApiError> {
        let record = store::codes::find(self.db, code).await?.ok_or(Problem::NotFound)?;
        let owner = owner(self.db, caller, &record.account).await?;
        check_named(&owner, merchant_id)?;
        Ok((record, owner))
    }
}

/// Whose an object is, if the caller may see it: an object of somebody else does not exist for them.
///
/// # Errors
/// [`Problem::NotFound`].
pub async fn owner(db: &Db, caller: &Account, owner: &str) -> Result<Account, ApiError> {
    if caller.name.to_string() == owner {
        return Ok(caller.clone());
    }
    let Ok(AccountName::Merchant(id)) = owner.parse() else { return Err(Problem::NotFound.into()) };
    match caller.name {
        AccountName::Psp(_) => acting_for(db, caller.clone(), Some(id)).await,
        _ => Err(Problem::NotFound.into()),
    }
}

/// A call that names a merchant is for an object of that merchant.
fn check_named(owner: &Account, merchant_id: Option<u64>) -> Result<(), ApiError> {
    match merchant_id {
        Some(id) if owner.name != AccountName::Merchant(id) => Err(Problem::NotFound.into()),
        _ => Ok(()),
    }
}
