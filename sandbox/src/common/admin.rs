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

use super::{
    book::{Book, Entry},
    faults::{Faults, Order},
};

#[derive(Clone)]
struct Admin {
    book: Arc<Book>,
    faults: Arc<Faults>,
}

/// `GET /_book`; `GET`, `POST` and `DELETE /_faults`.
pub fn router(book: Arc<Book>, faults: Arc<Faults>) -> Router {
    Router::new()
        .route("/_book", get(show_book))
        .route("/_faults", get(show_faults).post(order_fault).delete(clear_faults))
        .with_state(Admin { book, faults })
}

async fn show_book(State(admin): State<Admin>) -> Json<Vec<Entry>> {
    Json(admin.book.entries())
}

async fn show_faults(State(admin): State<Admin>) -> Json<Vec<Order>> {
    Json(admin.faults.pending())
}

async fn order_fault(State(admin): State<Admin>, order: Result<Json<Order>, JsonRejection>) -> Response {
    match order {
        Ok(Json(order)) => {
            admin.faults.order(order);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(rejection) => (StatusCode::BAD_REQUEST, rejection.body_text()).into_response(),
    }
}

async fn clear_faults(State(admin): State<Admin>) -> StatusCode {
    admin.faults.clear();
    StatusCode::NO_CONTENT
}
