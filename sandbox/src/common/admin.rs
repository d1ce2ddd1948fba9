//! The simulator's own paths, which no party has: they start with `/_` and need no authentication,
//! because a sandbox listens on loopback only.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    book::Book,
    faults::{Faults, Order},
};

/// What can be an entry of a book that is shown.
pub trait Shown: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<E: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Shown for E {}

/// `GET /_book`; `GET`, `POST` and `DELETE /_faults`.
pub fn router<E: Shown>(book: Arc<Book<E>>, faults: Arc<Faults>) -> Router {
    let faults =
        Router::new().route("/_faults", get(show_faults).post(order_fault).delete(clear_faults)).with_state(faults);
    Router::new().route("/_book", get(show_book::<E>)).with_state(book).merge(faults)
}

async fn show_book<E: Shown>(State(book): State<Arc<Book<E>>>) -> Json<Vec<E>> {
    Json(book.entries())
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
