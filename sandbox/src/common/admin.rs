//! The simulator's own paths, which no party has: they start with `/_` and need no authentication,
//! because a sandbox listens on loopback only.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{State, rejection::JsonRejection},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    book::{Book, Entry},
    faults::{Faults, Order},
    settlement::{self, Movement},
};

/// What can be an entry of a book that is shown.
pub trait Shown: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The settlement report of a whole book; a party that moves no money has none.
    fn settlement(_entries: &[Self]) -> Vec<Movement> {
        Vec::new()
    }
}

impl Shown for Entry {
    fn settlement(entries: &[Self]) -> Vec<Movement> {
        settlement::of_clearhaus(entries)
    }
}

/// `GET /_book`; `GET /_settlement`; `GET`, `POST` and `DELETE /_faults`.
pub fn router<E: Shown>(book: Arc<Book<E>>, faults: Arc<Faults>) -> Router {
    let faults =
        Router::new().route("/_faults", get(show_faults).post(order_fault).delete(clear_faults)).with_state(faults);
    let book =
        Router::new().route("/_book", get(show_book::<E>)).route("/_settlement", get(settle::<E>)).with_state(book);
    book.merge(faults)
}

async fn show_book<E: Shown>(State(book): State<Arc<Book<E>>>) -> Json<Vec<E>> {
    Json(book.entries())
}

async fn settle<E: Shown>(State(book): State<Arc<Book<E>>>) -> Response {
    let report = settlement::csv(&E::settlement(&book.entries()));
    ([(CONTENT_TYPE, "text/csv; charset=utf-8")], report).into_response()
}

async fn show_faults(State(faults): State<Arc<Faults>>) -> Json<Vec<Order>> {
    Json(faults.pending())
}

async fn order_fault(State(faults): State<Arc<Faults>>, order: Result<Json<Order>, JsonRejection>) -> Response {
    match order {
        Ok(Json(order)) => {
            faults.order(order);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(rejection) => (StatusCode::BAD_REQUEST, rejection.body_text()).into_response(),
    }
}

async fn clear_faults(State(faults): State<Arc<Faults>>) -> StatusCode {
    faults.clear();
    StatusCode::NO_CONTENT
}
