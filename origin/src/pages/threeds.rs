//! The pages that a bank's page posts to through the payer's browser, in a frame of the pay page.
//!
//! What is posted has passed through a browser and proves nothing: of the method page it counts that it came at all, of
//! a challenge not even that. Both are answered with a page that tells the one around it to go on, whatever was posted
//! and to whatever payment, so that nobody learns from it which payments there are.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use scanvault_protocol::Problem;

use crate::acquirers::threedsecure::{form, messages};
use crate::db::Db;
use crate::payments::threeds::ThreeDs;
use crate::web::{ApiError, Call};

/// `POST /pluto/public/3ds/method/{id}`.
///
/// # Errors
/// 404 for what is no number; from the database.
pub async fn method(db: &Db, call: &Call) -> Result<Response, ApiError> {
    let id = number(&call.parameter)?;
    if let Some(data) = form::field(&call.signed.body, "threeDSMethodData") {
        let server_id = messages::method_id(&data);
        let is_new = ThreeDs::method_called_back(db, id, server_id.as_deref()).await?;
        tracing::info!(transaction = id, is_new, "3-D Secure: the method page called back");
    }
    Ok(page("method"))
}

/// `POST /pluto/public/3ds/challenge/{id}`.
///
/// # Errors
/// 404 for what is no number.
pub fn challenge(call: &Call) -> Result<Response, ApiError> {
    let id = number(&call.parameter)?;
    let told = form::field(&call.signed.body, "cres").and_then(|data| messages::cres(&data));
    let status = told.map(|(_, status)| status);
    tracing::info!(transaction = id, status, "3-D Secure: the challenge sent the browser back");
    Ok(page("challenge"))
}

fn number(text: &str) -> Result<i64, ApiError> {
    let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or_else(|| Problem::NotFound.into())
}

fn page(back: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\" data-back=\"{back}\"><head><meta charset=\"utf-8\"><title>Back to the payment</title>\
         <script src=\"/pluto/public/assets/back.js\" defer></script></head>\
         <body><p>Your bank has answered. The payment goes on in a moment.</p></body></html>\n"
    );
    let mut response = Response::new(Body::from(html));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
