//! The one way out: every answer of a listener leaves through [`finish`].

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use hyper::ext::ReasonPhrase;
use scanvault_protocol::route::Dialect;
use scanvault_protocol::{Problem, headers};

use super::error::Failed;

/// What is known of a request when its answer leaves.
#[derive(Debug)]
pub struct Finish<'a> {
    /// The id that joins edge and origin.
    pub request_id: &'a str,
    /// The row of the route table, or `unknown`.
    pub route: &'a str,
    /// The row's content security policy, where it answers with a page.
    pub page_policy: Option<&'static str>,
    /// How errors are told.
    pub dialect: Dialect,
    /// How long it took.
    pub took: Duration,
}

/// Fills in the problem document or line, the hardening headers and the request id, and writes the request's one log line.
#[must_use]
pub fn finish(mut response: Response, about: &Finish<'_>) -> Response {
    let failed = response.extensions_mut().remove::<Failed>();
    if let Some(Failed(error)) = &failed {
        let told = error.tell(about.dialect, about.request_id);
        *response.status_mut() = StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(reason) = told.reason() {
            put_reason(&mut response, reason);
        }
        *response.body_mut() = Body::from(told.body);
        let list = response.headers_mut();
        list.insert(CONTENT_TYPE, HeaderValue::from_static(told.content_type));
        if let Some(challenge) = told.www_authenticate {
            list.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(secs) = error.retry_after_secs.or(error.problem.retry_after_secs()) {
            list.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        if error.problem == Problem::Standby {
            let value = HeaderValue::from_static(headers::STANDBY_VALUE);
            list.insert(HeaderName::from_static(headers::STANDBY), value);
        }
    }
    harden(&mut response, about.page_policy);
    if let Ok(id) = HeaderValue::from_str(about.request_id) {
        response.headers_mut().insert(HeaderName::from_static(headers::REQUEST_ID), id);
    }
    log(&response, failed.as_ref(), about);
    response
}

/// A 405 says what is allowed (RFC 9110 §15.5.6).
#[must_use]
pub fn with_allow(mut response: Response, allow: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// HTTP/1.1 carries a phrase beside the status: published clients of the line dialect read their error from it.
pub fn put_reason(response: &mut Response, reason: &str) {
    if let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes()) {
        response.extensions_mut().insert(reason);
    }
}

/// Sets the headers that harden an answer. `page_policy` is for one that is a page.
pub fn harden(response: &mut Response, page_policy: Option<&'static str>) {
    let list = response.headers_mut();
    let is_html = list.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    let page_policy = page_policy.filter(|_| is_html);
    for (name, value) in headers::HARDENING {
        list.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !list.contains_key(CACHE_CONTROL) {
        list.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if page_policy == Some(headers::FRAMED_CONTENT_SECURITY_POLICY) {
        let options = HeaderName::from_static(headers::FRAME_OPTIONS);
        list.insert(options, HeaderValue::from_static(headers::FRAMED_BY_OURSELVES));
    }
    let policy = page_policy.unwrap_or(headers::API_CONTENT_SECURITY_POLICY);
    list.insert(HeaderName::from_static("content-security-policy"), HeaderValue::from_static(policy));
}

fn log(response: &Response, failed: Option<&Failed>, about: &Finish<'_>) {
    let status = response.status().as_u16();
    let took_us = u64::try_from(about.took.as_micros()).unwrap_or(u64::MAX);
    let (request_id, route) = (about.request_id, about.route);
    match failed {
        Some(Failed(error)) => {
            let (problem, cause) = (error.problem.code(), error.cause.as_deref().unwrap_or(""));
            if status >= 500 {
                tracing::error!(requestId = request_id, route, status, took_us, problem, cause, "request failed");
            } else {
                tracing::info!(requestId = request_id, route, status, took_us, problem, "request refused");
            }
        }
        None => tracing::info!(requestId = request_id, route, status, took_us, "request answered"),
    }
}
