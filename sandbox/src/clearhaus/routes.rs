//! The gateway's routes. Every one of them wants Basic; a POST wants a signature, too.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::{
    answer,
    gateway::{Act, Failure, Gateway},
    status::{Code, Refusal, refuse},
};
use crate::common::{faults, form::Form};

const BODY_LIMIT: usize = 64 * 1024;

type Shared = State<Arc<Gateway>>;

pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/", get(discovery))
        .route("/account", get(account))
        .route("/authorizations", post(authorize))
        .route("/authorizations/{id}/captures", post(capture))
        .route("/authorizations/{id}/refunds", post(refund))
        .route("/authorizations/{id}/voids", post(void))
        .route("/credits", post(credit))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(gateway)
}

async fn discovery(State(gateway): Shared, headers: HeaderMap, body: Bytes) -> Response {
    read(&gateway, &headers, &body, answer::discovery)
}

async fn account(State(gateway): Shared, headers: HeaderMap, body: Bytes) -> Response {
    read(&gateway, &headers, &body, answer::account)
}

async fn authorize(State(gateway): Shared, headers: HeaderMap, body: Bytes) -> Response {
    write(&gateway, &headers, &body, Act::Authorize).await
}

async fn capture(State(gateway): Shared, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    write(&gateway, &headers, &body, Act::Capture(&id)).await
}

async fn refund(State(gateway): Shared, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    write(&gateway, &headers, &body, Act::Refund(&id)).await
}

async fn void(State(gateway): Shared, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    write(&gateway, &headers, &body, Act::Void(&id)).await
}

async fn credit(State(gateway): Shared, headers: HeaderMap, body: Bytes) -> Response {
    write(&gateway, &headers, &body, Act::Credit).await
}

/// 404 for any other path or method (405 is not among the documented statuses), to those who may ask.
async fn unknown(State(gateway): Shared, headers: HeaderMap) -> Response {
    match gateway.access.authenticated(&headers) {
        true => StatusCode::NOT_FOUND.into_response(),
        false => answer::unauthorized(),
    }
}

fn read(gateway: &Gateway, headers: &HeaderMap, body: &[u8], answered: fn() -> Response) -> Response {
    if !gateway.access.authenticated(headers) {
        return answer::unauthorized();
    }
    match gateway.access.check_signature(headers, false, body) {
        Ok(()) => answered(),
        Err(refusal) => refused(refusal.into()),
    }
}

async fn write(gateway: &Gateway, headers: &HeaderMap, body: &[u8], act: Act<'_>) -> Response {
    if !gateway.access.authenticated(headers) {
        tracing::info!("wrong or no API key");
        return answer::unauthorized();
    }
    // The signature is over the raw bytes and is checked before anything reads them.
    let form = gateway.access.check_signature(headers, true, body).and_then(|()| parse(headers, body));
    let form = match form {
        Ok(form) => form,
        Err(refusal) => return refused(refusal.into()),
    };
    let fault = gateway.fault(act, &form);
    if let Some(fault) = fault {
        tracing::info!(?fault, "a fault was ordered for this request");
    }
    faults::carry_out(fault, || gateway.perform(act, &form).unwrap_or_else(refused)).await
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Form, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !body.is_empty() && !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return refuse(Code::INPUT, "the body must be application/x-www-form-urlencoded");
    }
    Form::parse(body).map_err(|error| Refusal { code: Code::INPUT, message: error.to_string() })
}

fn refused(failure: Failure) -> Response {
    tracing::info!(
        http = failure.http.as_u16(),
        code = failure.refusal.code.0,
        message = failure.refusal.message,
        "refused"
    );
    answer::failure(&failure)
}
