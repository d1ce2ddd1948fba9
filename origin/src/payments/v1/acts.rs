//! `POST /v1/transactions/{id}/capture`, `/refund` and `/void`.

use std::sync::Arc;

use axum::response::Response;
use scanvault_protocol::Problem;
use scanvault_protocol::route::Route;

use super::super::Payments;
use super::super::engine::{ActRequest, Hook, HookFuture};
use super::super::idempotency::Key;
use super::super::store::{Transaction, transactions};
use super::answer::Done;
use super::body::{self, ActBody};
use super::{V1, object_id, texts};
use crate::clock::Clock;
use crate::db::Tx;
use crate::identity::Account;
use crate::web::{ApiError, Call};

/// Writes the key of a call with the intent of its act.
pub(super) struct Named {
    pub(super) key: Option<Key>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Hook for Named {
    fn intent<'a>(&'a self, tx: &'a mut Tx, transaction: &'a Transaction) -> HookFuture<'a> {
        Box::pin(async {
            match &self.key {
                Some(key) => key.open(tx, transaction, self.clock.now_db()).await,
                None => Ok(()),
            }
        })
    }
}

impl V1<'_> {
    /// Takes, or gives back. 404 for what is not the caller's, 409 when the caller does not know of every act, or there
    /// is not as much as they ask for.
    ///
    /// # Errors
    /// As above.
    pub(super) async fn act(self, account: Account, call: &Call) -> Result<Response, ApiError> {
        let route = call.spec.route;
        let body = ActBody::parse(call, route != Route::V1Void);
        let id = object_id(&account, &call.parameter);
        let (key, body) = self.named(call, &account, id.as_ref().ok(), body)?;
        let (payments, account) = (Arc::clone(self.payments), account.name.to_string());
        let hook = Named { key: key.clone(), clock: Arc::clone(&payments.clock) };
        self.once(route, key, async move { act(&payments, &account, id?, route, body?, hook).await }).await
    }

    /// The key of a call, also of one whose body cannot be read: that it cannot is its answer for ever.
    pub(super) fn named<T: serde::Serialize>(
        self,
        call: &Call,
        account: &Account,
        object: Option<&i64>,
        body: Result<T, ApiError>,
    ) -> Result<(Option<Key>, Result<T, ApiError>), ApiError> {
        let account = account.name.to_string();
        let key = match &body {
            Ok(body) => Key::of(call, &account, object.copied(), body),
            Err(_) => Key::of(call, &account, object.copied(), &String::from_utf8_lossy(&call.signed.body)),
        };
        Ok((key?, body))
    }
}

async fn act(
    payments: &Payments,
    account: &str,
    id: i64,
    route: Route,
    body: ActBody,
    hook: Named,
) -> Result<Done, ApiError> {
    let found = transactions::find(&payments.db, id).await?.filter(|found| found.account == account);
    let transaction = found.ok_or(Problem::NotFound)?;
    if body.total.is_some_and(|total| total.currency() != transaction.currency) {
        return Err(body::bad("invalid total"));
    }
    let minor = body.total.map_or(0, crate::money::Amount::minor);
    let asked = match route {
        Route::V1Capture => ActRequest::Capture(minor),
        Route::V1Refund => ActRequest::Refund(minor),
        _ => ActRequest::Void,
    };
    let acted = payments.act(id, asked, Some(body.index), Arc::new(hook)).await.map_err(texts::of_engine)?;
    Ok(Done::Begun { id, act: acted.transaction.ledger.last_act })
}
