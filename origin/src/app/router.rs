//! From a request to its handler. The route table of `protocol` decides; paths are not spelled again here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use http::Request;
use http::header::ORIGIN;
use http_body_util::{BodyExt, Limited};
use scanvault_protocol::route::{self, Answerer, Audience, BodyType, Dialect, Door, Resolution, Route, RouteSpec};
use scanvault_protocol::{Problem, headers};

use super::App;
use crate::cards;
use crate::ceremonies::{Action, AdminCall, Admitted};
use crate::identity::Caller;
use crate::pages;
use crate::payments::pluto::{Answering, Pluto};
use crate::payments::v1::V1;
use crate::vault::SystemEntropy;
use crate::web::listener::Peer;
use crate::web::reply::{self, Finish};
use crate::web::request::{Call, Signed};
use crate::web::{ApiError, json, link_check};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MAX_ADMIN_BODY_BYTES: usize = 256 * 1024;
/// How long a body may take to arrive.
const ADMIN_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request of the public listener.
pub async fn answer_public(app: Arc<App>, request: Request<Body>) -> Response {
    let started = Instant::now();
    let signed = match app.link.admit(request).await {
        Ok(signed) => signed,
        Err(reason) => {
            app.ops.link_refused(reason);
            tracing::warn!(reason = %reason, "link refused");
            return link_check::refusal();
        }
    };
    let request_id = signed.request_id.clone();
    let (is_head, dialect) = (signed.method == "HEAD", route::dialect(&signed.path));
    let (spec, response) = route_public(&app, signed).await;
    let took = started.elapsed();
    let route = spec.map_or("unknown", |spec| spec.path);
    let is_page = spec.filter(|spec| spec.is_page);
    let page_policy = is_page.map(|spec| headers::page_policy(spec.is_framed, app.is_development));
    let mut response = reply::finish(response, &Finish { request_id: &request_id, route, page_policy, dialect, took });
    if is_head {
        *response.body_mut() = Body::empty();
    }
    app.ops.answered(route, response.status().as_u16(), took);
    response
}

/// Answers a request of the admin listener.
pub async fn answer_admin(app: Arc<App>, request: Request<Body>, peer: Option<Peer>) -> Response {
    let started = Instant::now();
    let response = route_admin(&app, request, peer).await.unwrap_or_else(axum::response::IntoResponse::into_response);
    let took = started.elapsed();
    let finish = Finish { request_id: "admin", route: "admin", page_policy: None, dialect: Dialect::Problem, took };
    reply::finish(response, &finish)
}

async fn route_public(app: &Arc<App>, signed: Signed) -> (Option<&'static RouteSpec>, Response) {
    let fail = |problem: Problem| axum::response::IntoResponse::into_response(ApiError::from(problem));
    // The edge has checked all of this; the origin does not rely on it.
    if let Err(problem) = scanvault_protocol::path::check(&signed.path) {
        return (None, fail(problem));
    }
    let path = signed.path.clone();
    let found = match resolve(&signed, &path) {
        Resolution::Found(found) if found.spec.answerer != Answerer::Edge => found,
        Resolution::Found(_) | Resolution::NotFound => return (None, fail(Problem::NotFound)),
        Resolution::MethodNotAllowed(allow) => {
            return (None, reply::with_allow(fail(Problem::MethodNotAllowed), &allow));
        }
    };
    // Before anything is done: it may be asked of another region.
    if !app.db.serves() && !matches!(found.spec.route, Route::Asset | Route::RegionState) {
        return (Some(found.spec), fail(Problem::Standby));
    }
    let parameter = found.parameter.unwrap_or_default().to_owned();
    let call = Call { spec: found.spec, parameter, signed };
    (Some(found.spec), dispatch(app, &call).await.unwrap_or_else(axum::response::IntoResponse::into_response))
}

/// A key that is bound to an account opens the internal paths and no others; an edge's opens the others. What an edge asks
/// for itself comes by the same key as what its clients ask: it lets no client's request through to that path.
fn resolve<'p>(signed: &Signed, path: &'p str) -> Resolution<'p> {
    let at = |door| route::resolve(&signed.method, path, door);
    match (signed.is_from_edge(), at(Door::Public)) {
        (false, _) => at(Door::Internal),
        (true, Resolution::NotFound) => at(Door::Edge),
        (true, found) => found,
    }
}

/// Who calls, and then the handler. What an edge is told of credentials rides on the answer, whatever the answer is.
async fn dispatch(app: &Arc<App>, call: &Call) -> Result<Response, ApiError> {
    route::check_query(call.spec, call.signed.query.as_deref())?;
    if call.spec.door() == Door::Internal {
        check_body(call)?;
        return cards::api::answer(&app.cards, call).await;
    }
    if call.spec.audience == Audience::Anyone {
        return handle(app, call, None).await;
    }
    let admission = app.identity.admit(&call.signed, call.spec).await;
    app.ops.credential_judged(admission.verdict, call.signed.mark);
    let answer = match admission.outcome {
        Ok(caller) => handle(app, call, Some(caller)).await,
        Err(error) => Err(error),
    };
    let mut response = answer.unwrap_or_else(axum::response::IntoResponse::into_response);
    admission.told.put_on(response.headers_mut());
    Ok(response)
}

/// Put on the heap here: the handlers' futures are large, and every caller's would be as large as the largest.
fn handle<'a>(app: &'a Arc<App>, call: &'a Call, caller: Option<Caller>) -> Answering<'a> {
    Box::pin(answer_of(app, call, caller))
}

async fn answer_of(app: &Arc<App>, call: &Call, caller: Option<Caller>) -> Result<Response, ApiError> {
    if call.spec.route == Route::Unserved {
        return Err(Problem::NotFound.into()); // whatever it carries
    }
    check_body(call)?;
    let pluto =
        Pluto { payments: &app.payments, public_url: &app.public_url, polls: &app.polls, errors: app.pluto_errors };
    let v1 = V1 { payments: &app.payments, public_url: &app.public_url };
    let mut entropy = SystemEntropy::new();
    match call.spec.route {
        Route::CodeCreate
        | Route::CodeQuery
        | Route::CodeEdit
        | Route::CodeAmount
        | Route::CodeBlock
        | Route::CodeUnblock
        | Route::CodeDelete
        | Route::QueryReference
        | Route::QueryRefund
        | Route::StateByQr
        | Route::TransactionState
        | Route::Reverse
        | Route::Refund => pluto.answer(needed(caller)?.account, call).await,
        Route::V1New
        | Route::V1Seq
        | Route::V1Capture
        | Route::V1Refund
        | Route::V1Void
        | Route::V1Charge
        | Route::V1Renew => Box::pin(v1.answer(needed(caller)?.account, call)).await,
        Route::PayPage => pages::pay_page(&app.wallet, call, &mut entropy).await,
        Route::Pay => Box::pin(pages::take_payment(&app.payments, call)).await,
        Route::PayWallet => Box::pin(pages::wallet::start(&app.wallet, call)).await,
        Route::PayState => pages::wallet::state(&app.wallet, call).await,
        Route::ThreeDsMethod => pages::threeds::method(&app.db, call).await,
        Route::ThreeDsChallenge => pages::threeds::challenge(call),
        Route::Asset => pages::asset(call),
        Route::RegionState => Ok(app.region_state()),
        Route::LoginChallenge => app.logins.challenge(call).await,
        Route::Login => app.logins.login(call).await,
        Route::Logout => app.logins.logout(&needed(caller)?.account, call).await,
        // The edge answers the first two; the internal ones were answered above; the others are served nowhere yet.
        Route::QrImage
        | Route::Unserved
        | Route::Monitor
        | Route::VaultKey
        | Route::VaultSession
        | Route::CardStore
        | Route::CardRead
        | Route::CardShow
        | Route::CardDelete => Err(Problem::NotFound.into()),
    }
}

/// A row without an audience that a handler expects to have a caller is a mistake in the table: nobody gets in.
fn needed(caller: Option<Caller>) -> Result<Caller, ApiError> {
    caller.ok_or_else(|| Problem::BadCredentials.into())
}

fn check_body(call: &Call) -> Result<(), ApiError> {
    let (spec, signed) = (call.spec, &call.signed);
    if spec.max_body_bytes == 0 {
        return if signed.body.is_empty() {
            Ok(())
        } else {
            Err(ApiError::because(Problem::BadRequest, "This path takes no body"))
        };
    }
    if signed.body.len() > spec.max_body_bytes {
        return Err(Problem::BodyTooLarge.into());
    }
    let media_type = signed.content_type.as_deref().unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is = |expected: &str| essence.eq_ignore_ascii_case(expected);
    let (is_expected, refusal) = match spec.body_type {
        BodyType::Json => (is(JSON), Problem::UnsupportedMediaType.into()),
        BodyType::LooseJson => (essence.is_empty() || is(JSON) || is(FORM), Problem::UnsupportedMediaType.into()),
        BodyType::Form => {
            (is(FORM), ApiError::because(Problem::UnsupportedMediaType, format!("The body must be {FORM}")))
        }
    };
    if !is_expected {
        return Err(refusal);
    }
    let is_too_deep = spec.body_type != BodyType::Form && !json::is_shallow(&signed.body);
    if is_too_deep { Err(too_deep(spec.dialect)) } else { Ok(()) }
}

fn too_deep(dialect: Dialect) -> ApiError {
    let text = match dialect {
        Dialect::Problem => "The body is nested too deeply",
        Dialect::Line => "invalid json",
    };
    ApiError::because(Problem::BadRequest, text)
}

async fn route_admin(app: &Arc<App>, request: Request<Body>, peer: Option<Peer>) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let Admitted { route, parameter, operator } = app.admin.admit(&parts.method, parts.uri.path(), peer)?;
    // A browser that holds a client certificate shows it to us for any page that asks us something.
    if parts.headers.contains_key(ORIGIN) || parts.headers.contains_key("sec-fetch-site") {
        tracing::warn!(operator = operator.name, path = route.pattern, "admin call refused: from a browser");
        return Err(ApiError::because(Problem::Forbidden, "a browser has no business here"));
    }
    match route.action {
        Action::Metrics => return Ok(app.ops.metrics().await),
        Action::Live => return Ok(app.ops.live()),
        Action::Ready => return Ok(app.ops.ready().await),
        _ => {}
    }
    let body = Limited::new(body, MAX_ADMIN_BODY_BYTES).collect();
    let body = tokio::time::timeout(ADMIN_BODY_TIMEOUT, body).await;
    let body = body.map_err(|_| ApiError::because(Problem::BadRequest, "the body did not arrive in time"))?;
    let body = body.map_err(|_| Problem::BodyTooLarge)?.to_bytes();
    let call = AdminCall { action: route.action, parameter, body, operator };
    app.admin.call(&call).await.unwrap_or_else(|| Err(Problem::NotFound.into()))
}
