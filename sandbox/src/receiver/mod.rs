//! A small merchant's webhook receiver: what the documentation tells merchants to do, done.
//! It checks signature and freshness, knows deliveries that it has seen, and keeps a log.

mod log;
mod signature;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::Value;

use self::log::{Line, Log};
use crate::common::{clock::Clock, secret::SecretText};

const BODY_LIMIT: usize = 256 * 1024;
const ID_LIMIT: usize = 200;

pub struct Receiver {
    secret: SecretText,
    clock: Clock,
    state: Mutex<Receipts>,
}

struct Receipts {
    log: Log,
    failing: Failing,
}

/// `POST /_fail`: the next `times` deliveries are answered with `status`, so that retries show.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failing {
    times: u32,
    #[serde(default = "internal_error")]
    status: u16,
}

impl Receiver {
    /// Continues the log that is there.
    pub fn open(secret: SecretText, clock: Clock, log: &Path) -> io::Result<Self> {
        let receipts = Receipts { log: Log::open(log)?, failing: Failing { times: 0, status: internal_error() } };
        Ok(Self { secret, clock, state: Mutex::new(receipts) })
    }

    /// Checks one delivery, logs it, and says how it is answered.
    fn receive(&self, headers: &HeaderMap, body: &[u8]) -> io::Result<StatusCode> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let delivery: String = text("scanvault-delivery").chars().take(ID_LIMIT).collect();
        let checked = signature::check(&self.secret, text("scanvault-signature"), &delivery, body, self.clock.now());
        let parsed = serde_json::from_slice::<Value>(body);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = match (&checked.verified, &parsed) {
            (false, _) => StatusCode::UNAUTHORIZED,
            (true, _) if state.failing.times > 0 => {
                state.failing.times -= 1;
                StatusCode::from_u16(state.failing.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            (true, Err(_)) => StatusCode::BAD_REQUEST,
            (true, Ok(_)) => StatusCode::OK,
        };
        tracing::info!(delivery, verified = checked.verified, answered = answered.as_u16(), "webhook");
        state.log.write(Line {
            delivery,
            verified: checked.verified,
            duplicate: false,
            t: checked.t,
            answered: answered.as_u16(),
            body: parsed.unwrap_or_default(),
        })?;
        Ok(answered)
    }
}

/// `POST /webhook`, `GET /_log`, `POST /_fail`.
pub fn router(receiver: Arc<Receiver>) -> Router {
    Router::new()
        .route("/webhook", post(webhook))
        .route("/_log", get(show_log))
        .route("/_fail", post(fail))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(receiver)
}

async fn webhook(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    // What is not written down is not taken: the sender shall try again.
    receiver.receive(&headers, &body).unwrap_or_else(|error| {
        tracing::error!(%error, "the log cannot be written");
        StatusCode::SERVICE_UNAVAILABLE
    })
}

async fn show_log(State(receiver): State<Arc<Receiver>>) -> Json<Vec<Line>> {
    Json(receiver.state.lock().unwrap_or_else(PoisonError::into_inner).log.lines().to_vec())
}

async fn fail(State(receiver): State<Arc<Receiver>>, order: Result<Json<Failing>, JsonRejection>) -> Response {
    match order {
        Ok(Json(order)) if StatusCode::from_u16(order.status).is_ok_and(|status| !status.is_informational()) => {
            receiver.state.lock().unwrap_or_else(PoisonError::into_inner).failing = order;
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(_) => (StatusCode::BAD_REQUEST, "status must be a final HTTP status").into_response(),
        Err(rejection) => (StatusCode::BAD_REQUEST, rejection.body_text()).into_response(),
    }
}

const fn internal_error() -> u16 {
    500
}
