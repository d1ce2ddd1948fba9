//! The provider listener: MobilePay's card callbacks and webhooks, and nothing else.
//!
//! It does not pass the edge, because a card callback carries a network token in clear. Whoever calls is nobody until the
//! signature over the raw body has been checked; before that only the path's form is looked at. Sizes, times and the number
//! of calls at once are bounded here; a flood of connections is bounded by the listener, and is the host's to keep out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::sync::Semaphore;

use crate::payments::wallet::{CallbackRefused, ProviderCall, Wallet, WebhookError};
use crate::web::{json, reply};

/// A callback has about 1 kB.
const MAX_BODY_BYTES: usize = 16 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls under way; each may cost a few look-ups before it is known whose it is.
const MAX_CALLS: usize = 128;
const CARD: &str = "/mobilepay/card/";
const WEBHOOK: &str = "/mobilepay/webhooks/";

/// Answers providers.
pub struct Provider {
    wallet: Arc<Wallet>,
    calls: Semaphore,
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Card(&'a str),
    Webhook(&'a str),
}

impl Provider {
    /// Of a wallet.
    #[must_use]
    pub fn new(wallet: Arc<Wallet>) -> Self {
        Self { wallet, calls: Semaphore::new(MAX_CALLS) }
    }

    /// One line in the log for each call, without anything that was sent.
    pub async fn answer(&self, request: Request<Body>) -> Response {
        let started = Instant::now();
        let (route, mut response) = self.route(request).await;
        reply::harden(&mut response, None);
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(route, status = response.status().as_u16(), took_us, "provider answered");
        response
    }

    async fn route(&self, request: Request<Body>) -> (&'static str, Response) {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        // Nothing of ours has a query.
        let Some(target) = target(path).filter(|_| parts.method == Method::POST && parts.uri.query().is_none()) else {
            return ("unknown", bare(StatusCode::NOT_FOUND));
        };
        let route = match target {
            Target::Card(_) => "mobilepay card",
            Target::Webhook(_) => "mobilepay webhook",
        };
        let body = match read(body).await {
            Ok(body) if json::is_shallow(&body) => body,
            Ok(_) => return (route, bare(StatusCode::BAD_REQUEST)),
            Err(status) => return (route, bare(status)),
        };
        // Nothing is done: the provider comes again, and finds the region that serves.
        if !self.wallet.payments.db.serves() {
            return (route, bare(StatusCode::SERVICE_UNAVAILABLE));
        }
        // Only now: strangers who let their bodies wait take no place from the provider.
        let Ok(_permit) = self.calls.try_acquire() else {
            return (route, bare(StatusCode::SERVICE_UNAVAILABLE));
        };
        let call = ProviderCall {
            path_and_query: path,
            date: text(&parts.headers, "x-ms-date"),
            digest: text(&parts.headers, "x-ms-content-sha256"),
            authorization: text(&parts.headers, AUTHORIZATION.as_str()),
            body: &body,
        };
        let response = match target {
            Target::Card(reference) => self.card(reference, &call).await,
            Target::Webhook(account) => self.webhook(account, &call).await,
        };
        (route, response)
    }

    async fn card(&self, reference: &str, call: &ProviderCall<'_>) -> Response {
        match self.wallet.card_callback(reference, call).await {
            Ok(answer) => {
                let mut response = Response::new(Body::from(answer.to_json()));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(error) => {
                let status = match &error {
                    CallbackRefused::Unauthorised(_) => StatusCode::UNAUTHORIZED,
                    CallbackRefused::Malformed(_) => StatusCode::BAD_REQUEST,
                    CallbackRefused::NotNow(_) | CallbackRefused::Db(_) => StatusCode::SERVICE_UNAVAILABLE,
                };
                tracing::warn!(cause = %error, "card callback not answered");
                bare(status)
            }
        }
    }

    async fn webhook(&self, account: &str, call: &ProviderCall<'_>) -> Response {
        let Err(error) = self.wallet.webhook(account, call).await else { return bare(StatusCode::OK) };
        let status = match &error {
            WebhookError::Unauthorised(_) => StatusCode::UNAUTHORIZED,
            WebhookError::Malformed => StatusCode::BAD_REQUEST,
            WebhookError::Sealed | WebhookError::Db(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        tracing::warn!(cause = %error, "webhook not taken");
        bare(status)
    }
}

/// Paths are exact: one segment, of the characters that a reference or an account's name has.
fn target(path: &str) -> Option<Target<'_>> {
    let is_name = |name: &&str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let card = path.strip_prefix(CARD).filter(is_name).map(Target::Card);
    card.or_else(|| path.strip_prefix(WEBHOOK).filter(is_name).map(Target::Webhook))
}

async fn read(body: Body) -> Result<Bytes, StatusCode> {
    let body = Limited::new(body, MAX_BODY_BYTES).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body).await.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
    Ok(body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes())
}

/// Exactly one value; of several, or of what is no text, nothing is believed.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => "",
    }
}

fn bare(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_exact() {
        assert_eq!(target("/mobilepay/card/sv-1-00aa"), Some(Target::Card("sv-1-00aa")));
        assert_eq!(target("/mobilepay/webhooks/merchant-25"), Some(Target::Webhook("merchant-25")));
        for path in [
            "",
            "/",
            "/mobilepay",
            "/mobilepay/card",
            "/mobilepay/card/",
            "/mobilepay/card/a/b",
            "/mobilepay/card/a/",
            "/mobilepay/card/%2e",
            "/mobilepay/card/a%20b",
            "//mobilepay/card/a",
            "/MobilePay/card/a",
            "/mobilepay/webhook/a",
            "/v1/new",
        ] {
            assert_eq!(target(path), None, "{path}");
        }
    }

    #[test]
    fn a_header_counts_when_it_is_there_once() {
        let mut headers = HeaderMap::new();
        assert_eq!(text(&headers, "x-ms-date"), "");
        headers.append("x-ms-date", HeaderValue::from_static("a"));
        assert_eq!(text(&headers, "x-ms-date"), "a");
        headers.append("x-ms-date", HeaderValue::from_static("a"));
        assert_eq!(text(&headers, "x-ms-date"), "");
    }
}
