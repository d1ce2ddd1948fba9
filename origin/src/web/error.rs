//! What a handler may fail with: the problem that the client sees, and the cause that only the log sees.

use std::error::Error;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use scanvault_protocol::route::RouteSpec;
use scanvault_protocol::{Problem, problem};

const TEXT: &str = "text/plain; charset=utf-8";

/// A failed call. [`super::reply::finish`] turns it into a problem document and writes the cause to the log, once.
#[derive(Debug)]
pub struct ApiError {
    pub(super) problem: Problem,
    pub(super) detail: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) retry_after_secs: Option<u32>,
    pub(super) told: Told,
}

/// How the client is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    /// With a problem document.
    Document,
    /// With a text, in the words of the reference where it has some.
    Text(Option<(u16, &'static str)>),
}

impl ApiError {
    /// A problem with the text of the table.
    #[must_use]
    pub fn new(problem: Problem) -> Self {
        Self { problem, detail: None, cause: None, retry_after_secs: None, told: Told::Document }
    }

    /// A problem with a more precise text. Never put a secret, or what the client sent, into it.
    #[must_use]
    pub fn because(problem: Problem, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(problem) }
    }

    /// Our fault: the client is told nothing but that.
    #[must_use]
    pub fn internal(cause: &dyn Error) -> Self {
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(inner) = source {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            source = inner.source();
        }
        Self { cause: Some(text), ..Self::new(Problem::Internal) }
    }

    /// Too many requests: there is room again after so many seconds.
    #[must_use]
    pub fn retry_after(secs: u32) -> Self {
        Self { retry_after_secs: Some(secs), ..Self::new(Problem::TooManyRequests) }
    }

    /// As a client of this row is told it, where the reference's dialect is asked for.
    #[must_use]
    pub fn in_dialect(self, spec: &RouteSpec, is_513_asked_for: bool) -> Self {
        Self { problem: spec.in_dialect(self.problem, is_513_asked_for), ..self }
    }

    /// With another status, and a text that begins with its name, in place of the problem document.
    #[must_use]
    pub fn told_as(self, status: u16, name: &'static str) -> Self {
        Self { told: Told::Text(Some((status, name))), ..self }
    }

    /// With a text in place of the problem document.
    #[must_use]
    pub fn told_as_text(self) -> Self {
        Self { told: Told::Text(None), ..self }
    }

    /// The status that the client sees.
    pub(super) fn status(&self) -> u16 {
        match self.told {
            Told::Text(Some((status, _))) => status,
            Told::Text(None) | Told::Document => self.problem.status(),
        }
    }

    /// The body that the client reads, and its media type.
    pub(super) fn body(&self, request_id: &str) -> (String, &'static str) {
        let detail = self.detail.as_deref().unwrap_or_else(|| self.problem.detail());
        match self.told {
            Told::Document => (self.problem.body(Some(detail), request_id), problem::CONTENT_TYPE),
            Told::Text(Some((_, name))) => (format!("{name}: {detail}"), TEXT),
            Told::Text(None) => (detail.to_owned(), TEXT),
        }
    }

    /// Which case of the table it is.
    #[must_use]
    pub fn problem(&self) -> Problem {
        self.problem
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::new(problem)
    }
}

impl From<crate::db::DbError> for ApiError {
    fn from(error: crate::db::DbError) -> Self {
        Self::internal(&error)
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(&crate::db::DbError::from(error))
    }
}

/// The error rides in the response's extensions to `finish`, which knows the request id.
#[derive(Clone, Debug)]
pub(super) struct Failed(pub(super) std::sync::Arc<ApiError>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(Failed(std::sync::Arc::new(self)));
        response
    }
}
