//! Faults that a test orders, and how they are carried out.
//!
//! | fault | booked | answer |
//! |---|---|---|
//! | `delay` | yes | the right one, `delay_ms` later |
//! | `timeout` | yes | none; the connection stays open for `delay_ms` (0 = until the client leaves), then it is cut |
//! | `drop_before` | no | none, the connection is cut at once |
//! | `drop_after` | yes | none, the connection is cut |
//! | `500` | no | HTTP 500 without a body |
//! | `garbage` | yes | the status of success (201 for a refusal) with half a JSON document |
//! | `duplicate` | once | the right one; a party that calls us calls twice |

use std::{
    future, mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{book::Kind, serve::cut};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Delay,
    Timeout,
    DropBefore,
    DropAfter,
    #[serde(rename = "500")]
    ServerError,
    Garbage,
    Duplicate,
}

/// What a test posts to `/_faults`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    #[serde(default)]
    pub r#match: Match,
    pub fault: Fault,
    #[serde(default)]
    pub delay_ms: u64,
    #[serde(default = "once")]
    pub times: u32,
}

/// Which requests it hits; what is absent matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
}

/// A fault that was drawn for the request at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    pub fault: Fault,
    pub delay: Duration,
}

#[derive(Default)]
pub struct Faults(Mutex<Vec<Order>>);

impl Faults {
    pub fn order(&self, order: Order) {
        self.orders(|orders| orders.push(order));
    }

    pub fn pending(&self) -> Vec<Order> {
        self.orders(|orders| orders.clone())
    }

    pub fn clear(&self) {
        self.orders(|orders| drop(mem::take(orders)));
    }

    /// Draws the oldest order that fits and uses one of its times up.
    pub fn draw(&self, kind: Kind, amount: Option<u64>) -> Option<Injected> {
        self.orders(|orders| {
            orders.retain(|order| order.times > 0);
            let order = orders.iter_mut().find(|order| order.r#match.fits(kind, amount))?;
            order.times -= 1;
            Some(Injected { fault: order.fault, delay: Duration::from_millis(order.delay_ms) })
        })
    }

    fn orders<T>(&self, with: impl FnOnce(&mut Vec<Order>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs `act`, which books and answers in one go, under the fault that was drawn.
pub async fn carry_out(injected: Option<Injected>, act: impl FnOnce() -> Response) -> Response {
    let Some(Injected { fault, delay }) = injected else {
        return act();
    };
    match fault {
        Fault::Duplicate => act(),
        Fault::DropBefore => cut(),
        Fault::ServerError => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fault::DropAfter => {
            drop(act());
            cut()
        }
        Fault::Garbage => {
            let mut response = act();
            if !response.status().is_success() {
                *response.status_mut() = StatusCode::CREATED;
            }
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = Body::from(r#"{"id":"84412a34-fa29-4369-a098-0165a80e8fda","status":{"co"#);
            response
        }
        Fault::Delay => {
            let response = act();
            tokio::time::sleep(delay).await;
            response
        }
        Fault::Timeout => {
            drop(act());
            if delay.is_zero() {
                future::pending::<()>().await;
            }
            tokio::time::sleep(delay).await;
            cut()
        }
    }
}

impl Match {
    fn fits(&self, kind: Kind, amount: Option<u64>) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind) && (self.amount.is_none() || self.amount == amount)
    }
}

const fn once() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(json: &str) -> Order {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn oldest_fitting_order_first_and_only_so_often() {
        let faults = Faults::default();
        faults.order(order(r#"{"match":{"kind":"authorization","amount":1234},"fault":"drop_after","times":2}"#));
        faults.order(order(r#"{"fault":"delay","delay_ms":5}"#));
        let fault = |kind, amount| faults.draw(kind, amount).map(|drawn| drawn.fault);
        assert_eq!(fault(Kind::Authorization, Some(1234)), Some(Fault::DropAfter));
        assert_eq!(fault(Kind::Capture, Some(1234)), Some(Fault::Delay));
        assert_eq!(fault(Kind::Capture, Some(1234)), None);
        assert_eq!(fault(Kind::Authorization, None), None);
        assert_eq!(fault(Kind::Authorization, Some(1234)), Some(Fault::DropAfter));
        assert_eq!(fault(Kind::Authorization, Some(1234)), None);
    }

    #[test]
    fn clear_forgets_everything() {
        let faults = Faults::default();
        faults.order(order(r#"{"fault":"500","times":9}"#));
        assert_eq!(faults.pending().len(), 1);
        faults.clear();
        assert_eq!(faults.draw(Kind::Void, None), None);
    }

    #[test]
    fn misspelt_orders_are_refused() {
        for json in [
            r#"{"fault":"drop"}"#,
            r#"{"match":{"knd":"capture"},"fault":"delay"}"#,
            r#"{"fault":"delay","delay":5}"#,
            r#"{}"#,
        ] {
            assert!(serde_json::from_str::<Order>(json).is_err(), "{json}");
        }
    }
}
