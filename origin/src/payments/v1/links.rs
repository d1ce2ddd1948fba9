//! `POST /v1/new` and `POST /v1/subscribers/{id}/renew`: links that a payer opens. Both work while the vault is sealed.

use std::sync::Arc;

use axum::response::Response;
use scanvault_protocol::Problem;
use scanvault_protocol::route::Route;

use super::super::Payments;
use super::super::idempotency::Key;
use super::super::request::Code;
use super::super::state::RequestKind;
use super::super::store::requests::{self, NewLink};
use super::super::store::subscribers;
use super::super::view::code_url;
use super::answer::{Done, ok};
use super::body::{self, Order};
use super::{V1, no_entropy, object_id, random};
use crate::db::DbError;
use crate::identity::Account;
use crate::money::Amount;
use crate::vault::SystemEntropy;
use crate::web::{ApiError, Call};

/// Ten digits are drawn at random: with a million live codes one draw in ten thousand is taken already.
const MAX_DRAWS: u32 = 20;

/// A link that is about to be made.
struct Link {
    account: String,
    kind: RequestKind,
    amount: Amount,
    subscriber_id: Option<i64>,
    order: Order,
    public_url: String,
}

impl V1<'_> {
    /// A new payment, or with `subscriber` a card to be kept: `{"url":"https://…"}`.
    ///
    /// # Errors
    /// `invalid json`, `missing items`, `invalid items.total`.
    pub(super) async fn new_link(self, account: Account, call: &Call) -> Result<Response, ApiError> {
        let (key, order) = self.named(call, &account, None, Order::parse(call).and_then(with_something_to_do))?;
        let (payments, public_url) = (Arc::clone(self.payments), self.public_url.to_owned());
        let own = key.clone();
        self.once(Route::V1New, key, async move {
            let order = order?;
            let is_subscription = order.details.subscriber.is_some();
            let link = Link {
                account: account.name.to_string(),
                kind: if is_subscription { RequestKind::Subscribe } else { RequestKind::Payment },
                amount: order.amount.unwrap_or_else(|| body::nothing(account.currency)),
                subscriber_id: None,
                order,
                public_url,
            };
            make(&payments, own.as_ref(), link).await
        })
        .await
    }

    /// A link on which a subscriber gives another card. Nothing is charged with it: items are not looked at.
    ///
    /// # Errors
    /// 404 for what is not the caller's, `invalid json`.
    pub(super) async fn renew(self, account: Account, call: &Call) -> Result<Response, ApiError> {
        let id = object_id(&account, &call.parameter);
        let (key, order) = self.named(call, &account, id.as_ref().ok(), Order::parse(call))?;
        let (payments, public_url) = (Arc::clone(self.payments), self.public_url.to_owned());
        let own = key.clone();
        self.once(Route::V1Renew, key, async move {
            let (id, mut order) = (id?, order?);
            let name = account.name.to_string();
            let known = subscribers::find(&payments.db, &name, id).await?.ok_or(Problem::NotFound)?;
            order.details.items.clear();
            order.order_id = order.order_id.or(known.order_id);
            let (amount, subscriber_id) = (body::nothing(account.currency), Some(id));
            let link = Link { account: name, kind: RequestKind::Renew, amount, subscriber_id, order, public_url };
            make(&payments, own.as_ref(), link).await
        })
        .await
    }
}

fn with_something_to_do(order: Order) -> Result<Order, ApiError> {
    let is_something = order.amount.is_some() || order.details.subscriber.is_some();
    if is_something { Ok(order) } else { Err(body::bad("missing items")) }
}

/// Payment request, code and key in one commit.
async fn make(payments: &Payments, key: Option<&Key>, link: Link) -> Result<Done, ApiError> {
    let now_ms = payments.clock.now_db();
    let mut entropy = SystemEntropy::new();
    let lifetime_ms = i64::try_from(link.order.lifetime_secs).unwrap_or(0).saturating_mul(1000);
    let (details, description) = (link.order.details.to_json(), link.order.description());
    for _ in 0..MAX_DRAWS {
        let code = Code::random(&mut entropy).map_err(no_entropy)?;
        let (id, reference) = (random(&mut entropy).map_err(no_entropy)?, random(&mut entropy).map_err(no_entropy)?);
        let new = NewLink {
            id: &id,
            account: &link.account,
            kind: link.kind,
            reference: &reference,
            amount: link.amount,
            order_id: link.order.order_id.as_deref(),
            autocapture: link.order.autocapture.unwrap_or(false),
            subscriber_id: link.subscriber_id,
            short_description: description.as_deref(),
            expires_at_ms: now_ms.saturating_add(lifetime_ms),
            details: &details,
        };
        let url = code_url(&link.public_url, code.as_str());
        let answer = ok(serde_json::json!({ "url": url }).to_string());
        let mut tx = payments.db.begin().await?;
        if let Some(key) = key {
            // A duplicate here is this very call, running beside: its answer will be there.
            key.answered(&mut tx, &answer, now_ms).await?;
        }
        match requests::add(&mut tx, &new, Some(&code), now_ms).await {
            Ok(()) => {
                tx.commit().await.map_err(DbError::from)?;
                return Ok(Done::Answer(answer));
            }
            Err(error) if error.is_duplicate() => {} // the digits are taken
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::Overloaded.into())
}
