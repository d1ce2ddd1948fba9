//! Answers in the gateway's JSON-HAL.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{
    gateway::Failure,
    methods::Csc,
    request::Authorize,
    status::{Code, Refusal},
};
use crate::common::book::Entry;

const HAL: HeaderValue =
    HeaderValue::from_static("application/vnd.clearhaus-gateway.hal+json; version=0.10.0; charset=utf-8");
const DESCRIPTOR: &str = "merchant.example";

pub(super) fn authorization(entry: &Entry, request: &Authorize) -> Response {
    let mut body = outcome(entry);
    if let Some(csc) = request.instrument.csc {
        body.insert("csc".to_owned(), json!({"present": true, "matches": csc == Csc::Matches}));
    }
    let mut links = links(&entry.id, &["voids"]);
    if entry.booked {
        body.insert("amount".to_owned(), json!(entry.amount));
        body.insert("currency".to_owned(), json!(entry.currency));
        let text = request.text_on_statement.as_deref().unwrap_or(DESCRIPTOR);
        body.insert("text_on_statement".to_owned(), json!(text));
        if let Some(threeds) = &request.instrument.threeds {
            body.insert("3dsecure".to_owned(), json!({"version": threeds.version, "status": threeds.status}));
        }
        if let Some(series) = &entry.series {
            body.insert("series".to_owned(), json!(series));
        }
        links = self::links(&entry.id, &["captures", "refunds", "voids"]);
    }
    // After a decline nothing can follow; after a Clearhaus error a void can.
    if entry.booked || entry.status == Code::CLEARHAUS_ERROR.0 {
        body.insert("_links".to_owned(), links);
    }
    hal(StatusCode::CREATED, &Value::Object(body))
}

pub(super) fn capture(entry: &Entry) -> Response {
    let mut links = authorization_link(entry);
    if let (Some(links), Some(id)) = (links.as_object_mut(), &entry.authorization) {
        links.insert("refunds".to_owned(), json!({"href": format!("/authorizations/{id}/refunds")}));
    }
    follow_up(entry, Some(entry.amount), links)
}

pub(super) fn refund(entry: &Entry) -> Response {
    follow_up(entry, Some(entry.amount), authorization_link(entry))
}

pub(super) fn void(entry: &Entry) -> Response {
    follow_up(entry, None, authorization_link(entry))
}

pub(super) fn credit(entry: &Entry) -> Response {
    let mut body = outcome(entry);
    if entry.booked {
        body.insert("amount".to_owned(), json!(entry.amount));
        body.insert("currency".to_owned(), json!(entry.currency));
    }
    hal(StatusCode::CREATED, &Value::Object(body))
}

pub(super) fn failure(failure: &Failure) -> Response {
    let Refusal { code, message } = &failure.refusal;
    hal(failure.http, &json!({"status": {"code": code.0, "message": message}}))
}

/// `GET /`.
pub(super) fn discovery() -> Response {
    let body = json!({"_links": {"authorizations": {"href": "/authorizations"}, "account": {"href": "/account"}}});
    hal(StatusCode::OK, &body)
}

/// `GET /account`: the data that 3-D Secure needs.
pub(super) fn account() -> Response {
    let body = json!({
        "merchant_id": "000000003000001",
        "name": "Merchant Ltd.",
        "country": "GB",
        "currency": "EUR",
        "mcc": "1111",
        "descriptor": DESCRIPTOR,
        "transaction_rules": "",
        "acquirer": {"visa_bin": 438_309, "mastercard_bin": 526_571},
    });
    hal(StatusCode::OK, &body)
}

/// The body of a 401 is undocumented: empty.
pub(super) fn unauthorized() -> Response {
    let challenge = HeaderValue::from_static("Basic realm=\"gateway\"");
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
}

fn follow_up(entry: &Entry, amount: Option<u64>, links: Value) -> Response {
    let mut body = outcome(entry);
    if let Some(amount) = amount {
        body.insert("amount".to_owned(), json!(amount));
    }
    body.insert("_links".to_owned(), links);
    hal(StatusCode::CREATED, &Value::Object(body))
}

/// What every transaction's answer starts with.
fn outcome(entry: &Entry) -> Map<String, Value> {
    let mut status = Map::from_iter([("code".to_owned(), json!(entry.status))]);
    if entry.status != Code::APPROVED.0 {
        status.insert("message".to_owned(), json!(Code(entry.status).meaning()));
    }
    Map::from_iter([
        ("id".to_owned(), json!(entry.id)),
        ("status".to_owned(), Value::Object(status)),
        ("processed_at".to_owned(), json!(entry.processed_at)),
    ])
}

fn links(id: &str, relations: &[&str]) -> Value {
    let link = |relation: &&str| ((*relation).to_owned(), json!({"href": format!("/authorizations/{id}/{relation}")}));
    Value::Object(relations.iter().map(link).collect())
}

fn authorization_link(entry: &Entry) -> Value {
    let id = entry.authorization.as_deref().unwrap_or_default();
    json!({"authorization": {"href": format!("/authorizations/{id}")}})
}

fn hal(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, HAL)], Body::from(body.to_string())).into_response()
}
