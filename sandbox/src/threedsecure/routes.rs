//! The server's three endpoints, with an API key, and the bank's pages, without.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Map, Value};

use super::{
    acs::{self, Refused},
    areq::AReq,
    erro::{Code, Erro},
    guesses::{AUTO_PATH, METHOD_PATH},
    pages,
    script::Method,
    server::{self, MANUAL_PATH, Server},
};
use crate::common::{
    book::Kind,
    faults::{self, Fault},
    form::Form,
};

const BODY_LIMIT: usize = 64 * 1024;
const ANSWER_PATH: &str = "/browser/challenge/manual/answer";

type Shared = State<Arc<Server>>;

pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/preauth", post(preauth))
        .route("/auth", post(auth))
        .route("/postauth", post(postauth))
        .route(METHOD_PATH, post(method))
        .route(AUTO_PATH, post(automatic))
        .route(MANUAL_PATH, post(manual))
        .route(ANSWER_PATH, post(answered))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(server)
}

async fn unknown() -> Response {
    Erro::new(Code::ENDPOINT, "no such endpoint").into_response()
}

async fn preauth(State(server): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let body = match read(&server, &headers, &body) {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    let fault = server.faults.draw(Kind::Preauth, None);
    faults::carry_out(fault, || server.preauth(&body, &base(&server, &headers))).await
}

async fn auth(State(server): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let areq = read(&server, &headers, &body)
        .and_then(|body| AReq::read(body, server.options.scheme_rules).map_err(Refusal::Erro));
    let areq = match areq {
        Ok(areq) => areq,
        Err(refusal) => return refusal.into_response(),
    };
    let fault = server.faults.draw(Kind::Auth, areq.amount());
    faults::carry_out(fault, || server.auth(&areq, &base(&server, &headers))).await
}

async fn postauth(State(server): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let body = match read(&server, &headers, &body) {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    let amount = server::id(&body).ok().and_then(|id| server.amount(&id));
    let fault = server.faults.draw(Kind::Postauth, amount);
    faults::carry_out(fault, || server.postauth(&body)).await
}

async fn method(State(server): Shared, body: Bytes) -> Response {
    let (id, notification_url) = match form(&body).and_then(|form| acs::method(&form)) {
        Ok(read) => read,
        Err(why) => return pages::refused(&why),
    };
    let answers = server.with(&id, |transaction| Some(transaction?.script.method == Method::Answers));
    match answers {
        Some(true) => {
            let json = serde_json::json!({"threeDSServerTransID": id}).to_string();
            pages::method_answer(&notification_url, &acs::padded(&id, &json))
        }
        Some(false) => pages::method_silence(),
        None => pages::refused(&Refused::Transaction),
    }
}

async fn automatic(State(server): Shared, body: Bytes) -> Response {
    match form(&body).and_then(|form| server.open(&form)) {
        Ok(opened) => finish(&server, &opened, "").await,
        Err(why) => pages::refused(&why),
    }
}

async fn manual(State(server): Shared, body: Bytes) -> Response {
    match form(&body).and_then(|form| server.open(&form)) {
        Ok(opened) => pages::challenge(&opened, ANSWER_PATH),
        Err(why) => pages::refused(&why),
    }
}

async fn answered(State(server): Shared, body: Bytes) -> Response {
    let read = form(&body).and_then(|form| {
        let outcome = form.get("outcome").unwrap_or_default().to_owned();
        Ok((server.opened(&form)?, outcome))
    });
    match read {
        Ok((opened, outcome)) => finish(&server, &opened, &outcome).await,
        Err(why) => pages::refused(&why),
    }
}

async fn finish(server: &Server, opened: &acs::Opened, outcome: &str) -> Response {
    let fault = server.faults.draw(Kind::Challenge, opened.amount);
    let twice = fault.is_some_and(|drawn| drawn.fault == Fault::Duplicate);
    faults::carry_out(fault, || match server.complete(opened, outcome) {
        Ok(answered) => pages::answered(&answered, twice),
        Err(why) => pages::refused(&why),
    })
    .await
}

/// Why a message is not looked at any further.
enum Refusal {
    Key,
    Erro(Erro),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            // Documented to the byte.
            Self::Key => {
                let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
                (StatusCode::UNAUTHORIZED, kind, "Invalid API Key").into_response()
            }
            Self::Erro(erro) => erro.into_response(),
        }
    }
}

/// The API key first, then a JSON object.
fn read(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if !server.authenticated(headers) {
        tracing::info!("wrong or no API key");
        return Err(Refusal::Key);
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::Erro(Erro::new(Code::MESSAGE, "the body must be application/json")));
    }
    serde_json::from_slice(body).map_err(|_| Refusal::Erro(Erro::new(Code::MESSAGE, "the body is no JSON object")))
}

fn form(body: &[u8]) -> Result<Form, Refused> {
    Form::parse(body).map_err(|_| Refused::Form)
}

/// Where the browser will find the bank's pages.
fn base(server: &Server, headers: &HeaderMap) -> String {
    match &server.options.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
            format!("http://{host}")
        }
    }
}
