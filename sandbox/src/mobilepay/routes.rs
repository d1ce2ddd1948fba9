//! The routes. All but the token's and the shopper's page want a token and a subscription key.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};

use super::{
    access::{self, Caller},
    callback::Outcome,
    landing,
    problem::Problem,
    request::{self, Amount, Approve},
    service::{Op, Service, refused},
};
use crate::common::{book::Kind, faults, form::Form};

const BODY_LIMIT: usize = 64 * 1024;

type Shared = State<Arc<Service>>;

pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/accesstoken/get", post(token))
        .route("/epayment/v1/payments", post(create))
        .route("/epayment/v1/payments/{reference}", get(read))
        .route("/epayment/v1/payments/{reference}/events", get(events))
        .route("/epayment/v1/payments/{reference}/capture", post(capture))
        .route("/epayment/v1/payments/{reference}/refund", post(refund))
        .route("/epayment/v1/payments/{reference}/cancel", post(cancel))
        .route("/epayment/v1/test/payments/{reference}/approve", post(force))
        .route("/webhooks/v1/webhooks", post(register).get(registered))
        .route("/webhooks/v1/webhooks/{id}", delete(unregister))
        .route("/landing/{token}", get(land).post(press))
        .route("/landing/{token}/soft-decline/{attempt}", get(completed))
        .fallback(async |uri: Uri| refused(&Problem::plain(404, "Not found"), uri.path()))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(service)
}

async fn token(State(service): Shared, headers: HeaderMap, uri: Uri) -> Response {
    if !service.access.may_have_token(&headers) {
        return refused(&Problem::plain(401, "Unauthorized"), uri.path());
    }
    let fault = service.faults.draw(Kind::Token, None);
    faults::carry_out(fault, || Json(service.token()).into_response()).await
}

async fn create(State(service): Shared, headers: HeaderMap, uri: Uri, body: Bytes) -> Response {
    let caller = match caller(&service, &headers) {
        Ok(caller) => caller,
        Err(problem) => return refused(&problem, uri.path()),
    };
    let amount = request::read::<request::Create>(&body).ok().map(|create| create.amount.value);
    let fault = service.faults.draw(Kind::Create, amount);
    let base = base(&service, &headers);
    faults::carry_out(fault, || service.create(&caller, uri.path(), &body, &base)).await
}

async fn capture(
    State(service): Shared,
    Path(reference): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    money(&service, Op::Capture, &headers, (uri.path(), &reference), &body).await
}

async fn refund(
    State(service): Shared,
    Path(reference): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    money(&service, Op::Refund, &headers, (uri.path(), &reference), &body).await
}

/// Capture and refund differ in what is allowed.
async fn money(service: &Service, op: Op, headers: &HeaderMap, at: (&str, &str), body: &[u8]) -> Response {
    let caller = match caller(service, headers) {
        Ok(caller) => caller,
        Err(problem) => return refused(&problem, at.0),
    };
    let amount: Result<Amount, Problem> = request::modification(body);
    let kind = if op == Op::Capture { Kind::Capture } else { Kind::Refund };
    let fault = service.faults.draw(kind, amount.as_ref().ok().map(|amount| amount.value));
    faults::carry_out(fault, || {
        service.modify(op, &caller, at, body, |payment, now| match op {
            Op::Capture => payment.may_capture(&amount?, now),
            _ => payment.may_refund(&amount?, now),
        })
    })
    .await
}

async fn cancel(
    State(service): Shared,
    Path(reference): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    let caller = match caller(&service, &headers) {
        Ok(caller) => caller,
        Err(problem) => return refused(&problem, uri.path()),
    };
    let amount = service.amount(&(caller.msn.clone(), reference.clone()));
    let fault = service.faults.draw(Kind::Void, amount);
    faults::carry_out(fault, || {
        service.modify(Op::Cancel, &caller, (uri.path(), &reference), &body, |payment, now| {
            payment.may_cancel(request::cancel(&body)?, now)
        })
    })
    .await
}

async fn read(State(service): Shared, Path(reference): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    show(&service, &headers, (uri.path(), &reference), false).await
}

async fn events(State(service): Shared, Path(reference): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    show(&service, &headers, (uri.path(), &reference), true).await
}

async fn show(service: &Service, headers: &HeaderMap, at: (&str, &str), events: bool) -> Response {
    let caller = match caller(service, headers) {
        Ok(caller) => caller,
        Err(problem) => return refused(&problem, at.0),
    };
    let amount = service.amount(&(caller.msn.clone(), at.1.to_owned()));
    let fault = service.faults.draw(Kind::Read, amount);
    faults::carry_out(fault, || service.read(&caller, at, events)).await
}

/// The test environment approves without the shopper. It wants one approval by hand before; here everybody has given it.
async fn force(
    State(service): Shared,
    Path(reference): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    let read = caller(&service, &headers).and_then(|caller| Ok((caller, request::read::<Approve>(&body)?)));
    let (caller, approve) = match read {
        Ok(read) => read,
        Err(problem) => return refused(&problem, uri.path()),
    };
    let id = (caller.msn, reference);
    let token = approve.token.as_deref().map(|token| service.by_landing(token));
    let phone = approve.customer.as_ref().and_then(|customer| customer.phone_number.as_deref());
    let problem = match (token, phone) {
        _ if service.amount(&id).is_none() => Some(Problem::new(5090, "reference")),
        (Some(of), _) if of.as_ref() != Some(&id) => Some(Problem::new(4050, "token")),
        (None, None) => Some(Problem::bad("customer or token")),
        (None, Some(phone)) if !request::is_phone(phone) => Some(Problem::new(4070, "customer.phoneNumber")),
        _ => None,
    };
    if let Some(problem) = problem {
        return refused(&problem, uri.path());
    }
    match service.approve(id, None).await {
        Outcome::Approved => StatusCode::OK.into_response(),
        Outcome::Refused(why) => refused(&Problem::new(10010, why), uri.path()),
        // The shopper must go on in a browser.
        Outcome::SoftDeclined(url) => refused(&Problem::new(10010, format!("soft decline: {url}")), uri.path()),
    }
}

async fn register(State(service): Shared, headers: HeaderMap, uri: Uri, body: Bytes) -> Response {
    let made = checked(&service, &headers)
        .and_then(|()| access::msn(&headers))
        .and_then(|msn| service.locked(|state| service.webhooks.register(msn, &body, &mut state.ids)));
    match made {
        Ok(answer) => (StatusCode::CREATED, Json(answer)).into_response(),
        Err(problem) => refused(&problem, uri.path()),
    }
}

async fn registered(State(service): Shared, headers: HeaderMap, uri: Uri) -> Response {
    match checked(&service, &headers).and_then(|()| access::msn(&headers)) {
        Ok(msn) => Json(service.webhooks.list(msn.as_ref())).into_response(),
        Err(problem) => refused(&problem, uri.path()),
    }
}

async fn unregister(State(service): Shared, Path(id): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    match checked(&service, &headers).and_then(|()| access::msn(&headers)) {
        Ok(msn) if service.webhooks.remove(msn.as_ref(), &id) => StatusCode::NO_CONTENT.into_response(),
        Ok(_) => refused(&Problem::plain(404, "Not found"), uri.path()),
        Err(problem) => refused(&problem, uri.path()),
    }
}

async fn land(State(service): Shared, Path(token): Path<String>) -> Response {
    match service.by_landing(&token) {
        Some(id) => service.landing(&id, ""),
        None => landing::unknown(),
    }
}

async fn press(State(service): Shared, Path(token): Path<String>, body: Bytes) -> Response {
    match (service.by_landing(&token), Form::parse(&body)) {
        (Some(id), Ok(form)) => service.pressed(id, &form).await,
        (Some(_), Err(_)) => StatusCode::BAD_REQUEST.into_response(),
        (None, _) => landing::unknown(),
    }
}

async fn completed(State(service): Shared, Path((token, attempt)): Path<(String, String)>) -> Response {
    match service.by_landing(&token) {
        Some(id) => service.completed(id, attempt).await,
        None => landing::unknown(),
    }
}

fn checked(service: &Service, headers: &HeaderMap) -> Result<(), Problem> {
    service.access.check(headers, |token| service.knows_token(token))
}

fn caller(service: &Service, headers: &HeaderMap) -> Result<Caller, Problem> {
    checked(service, headers)?;
    Caller::read(headers)
}

/// Where the browser will find the shopper's page.
fn base(service: &Service, headers: &HeaderMap) -> String {
    match &service.options.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
            format!("http://{host}")
        }
    }
}
