//! `POST /v1/subscribers/{id}/charge`: a kept card is charged while its holder is away.

use std::sync::Arc;

use axum::response::Response;
use scanvault_protocol::Problem;
use scanvault_protocol::route::Route;

use super::super::Payments;
use super::super::engine::{self, EngineError, Means, Order as EngineOrder, SeriesOf};
use super::super::idempotency::Key;
use super::super::routing::{Need, Routes};
use super::super::state::{Dialect, Kind, Method, RequestKind};
use super::super::steps::StepError;
use super::super::store::requests::{self, NewLink};
use super::super::store::subscribers::{self, Subscriber};
use super::super::store::transactions::{self, CardShown, NewTransaction};
use super::answer::Done;
use super::body::{self, Order};
use super::{V1, no_entropy, object_id, random, texts};
use crate::calendar::Utc;
use crate::db::DbError;
use crate::fault;
use crate::identity::Account;
use crate::money::Amount;
use crate::vault::cards::{self, Wanted};
use crate::vault::{SystemEntropy, Unsealed, VaultCard};
use crate::web::{ApiError, Call};

/// A charge that has been checked and may begin.
struct Charge {
    account: Account,
    subscriber: Subscriber,
    amount: Amount,
    order: Order,
    key: Option<Key>,
}

impl V1<'_> {
    /// Charges a subscriber's card: `{"type":"charge","id":n,"totals":{"authorized":"…"}}`.
    ///
    /// # Errors
    /// 404 for what is not the caller's; `missing items`; 409 for a subscriber that has ended.
    pub(super) async fn charge(self, account: Account, call: &Call) -> Result<Response, ApiError> {
        let id = object_id(&account, &call.parameter);
        let (key, order) = self.named(call, &account, id.as_ref().ok(), Order::parse(call))?;
        let (payments, own) = (Arc::clone(self.payments), key.clone());
        self.once(Route::V1Charge, key, async move {
            let (id, order) = (id?, order?);
            let amount = order.amount.ok_or_else(|| body::bad("missing items"))?;
            let name = account.name.to_string();
            let subscriber = subscribers::find(&payments.db, &name, id).await?.ok_or(Problem::NotFound)?;
            if subscriber.ended_at_ms.is_some() {
                return Err(ApiError::because(Problem::Conflict, "the subscriber has ended: renew it"));
            }
            carry_out(&payments, Charge { account, subscriber, amount, order, key: own }).await
        })
        .await
    }
}

async fn carry_out(payments: &Payments, charge: Charge) -> Result<Done, ApiError> {
    let unsealed = payments.vault.unsealed_for_cards().map_err(EngineError::from)?;
    let card = opened(payments, &unsealed, &charge.subscriber).await?;
    let today = Utc::from_unix_ms(payments.clock.now_ms());
    if card.expiry.is_over(today.year, today.month) {
        // The bank would say the same, and schemes count what they refuse.
        return Err(ApiError::because(Problem::BadRequest, "card expired"));
    }
    let means = Means::Card { pan: card.pan, expiry: card.expiry, csc: None };
    let series = SeriesOf::Next(charge.subscriber.series.clone());
    let order = EngineOrder { series, ..EngineOrder::of(means) };
    let need = Need { amount: charge.amount, order: &order };
    let routes = payments.routes(&unsealed, &charge.account, &need).await.map_err(texts::of_engine)?;
    // A series belongs to the acquirer that holds it: no other one knows what it names.
    let routes =
        routes.only(&charge.subscriber.acquirer).ok_or(EngineError::NotConfigured).map_err(texts::of_engine)?;
    let asked = write_intent(payments, &charge, &routes).await?;
    let (id, act) = (asked.transaction().id, asked.transaction().ledger.last_act);
    let done = payments.carry_out(&unsealed, &charge.account, asked, routes, order).await;
    if let Err(error) = done {
        // The transaction is where the last write left it, and is looked after.
        tracing::error!(transaction = id, cause = %error, "a charge's outcome could not be written");
    }
    Ok(Done::Begun { id, act })
}

async fn opened(payments: &Payments, unsealed: &Unsealed, subscriber: &Subscriber) -> Result<VaultCard, ApiError> {
    let wanted = Wanted { account: &subscriber.account, token: &subscriber.card };
    let mut tx = payments.db.begin().await?;
    let found = cards::read(&mut tx, unsealed, &[wanted], payments.clock.now_db()).await?;
    tx.rollback().await.map_err(DbError::from)?;
    let card = found.into_iter().next().transpose().map_err(|error| ApiError::internal(&error))?.flatten();
    // Deleted by the merchant's own systems: there is nothing left to charge.
    card.ok_or_else(|| texts::of_engine(EngineError::CardGone))
}

/// Payment request, transaction, intent and key in one commit.
async fn write_intent(payments: &Payments, charge: &Charge, routes: &Routes) -> Result<engine::Asked, ApiError> {
    let (now_ms, mut entropy) = (payments.clock.now_db(), SystemEntropy::new());
    let Charge { subscriber, amount, order, .. } = charge;
    let (id, reference) = (random(&mut entropy).map_err(no_entropy)?, random(&mut entropy).map_err(no_entropy)?);
    let (order_id, autocapture) = (order.order_id.as_deref(), order.autocapture.unwrap_or(true));
    let new = NewLink {
        id: &id,
        account: &subscriber.account,
        kind: RequestKind::Charge,
        reference: &reference,
        amount: *amount,
        order_id,
        autocapture,
        subscriber_id: Some(subscriber.id),
        short_description: None,
        expires_at_ms: 0,
        details: &order.details.to_json(),
    };
    let card = CardShown {
        token: Some(&subscriber.card),
        bin: &subscriber.card_bin,
        last_four: &subscriber.card_last_four,
        expiry: &subscriber.card_expiry,
    };
    let mut tx = payments.db.begin().await?;
    requests::add(&mut tx, &new, None, now_ms).await?;
    let new = NewTransaction {
        request_id: &id,
        account: &subscriber.account,
        attempt: &id,
        dialect: Dialect::V1,
        kind: Kind::Charge,
        method: Method::Card,
        code: None,
        reference: &reference,
        order_id,
        subscriber_id: Some(subscriber.id),
        card: Some(card),
        payer_msisdn: None,
        amount: *amount,
        autocapture,
        lease_until_ms: None,
    };
    let transaction_id = transactions::add(&mut tx, &new, now_ms).await?;
    let corrupt = || ApiError::internal(&DbError::Corrupt("transaction"));
    let waiting = transactions::find_in(&mut tx, transaction_id).await?.ok_or_else(corrupt)?;
    if let Some(key) = &charge.key {
        // A duplicate here is this very call, running beside: what it comes to will be there.
        key.open(&mut tx, &waiting, now_ms).await?;
    }
    let asked = engine::begin(&mut tx, &*payments.clock, &mut entropy, &waiting, routes.first()).await;
    let asked = asked.map_err(|error: StepError| texts::of_engine(error.into()))?;
    fault::point("intent.written");
    tx.commit().await.map_err(DbError::from)?;
    fault::point("intent.committed");
    Ok(asked)
}
