//! What a handler may fail with: the problem that the client sees, and the cause that only the log sees.

use std::error::Error;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use scanvault_protocol::Problem;
use scanvault_protocol::route::{Dialect, RouteSpec};
use scanvault_protocol::told::{LINE_CONTENT_TYPE, Told};

/// A failed call. [`super::reply::finish`] turns it into a problem document and writes the cause to the log, once.
#[derive(Debug)]
pub struct ApiError {
    pub(super) problem: Problem,
    pub(super) detail: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) retry_after_secs: Option<u32>,
    text: Option<Text>,
}

/// A text for people, where it takes the place of what the dialect of the path has.
#[derive(Clone, Copy, Debug)]
struct Text {
    status: u16,
    name: Option<&'static str>,
}

impl ApiError {
    /// A problem with the text of the table.
    #[must_use]
    pub fn new(problem: Problem) -> Self {
        Self { problem, detail: None, cause: None, retry_after_secs: None, text: None }
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
        Self { text: Some(Text { status, name: Some(name) }), ..self }
    }

    /// With a text in place of the problem document.
    #[must_use]
    pub fn told_as_text(self) -> Self {
        let status = self.problem.status();
        Self { text: Some(Text { status, name: None }), ..self }
    }

    /// As the client is told it, in the dialect of the path.
    pub(super) fn tell(&self, dialect: Dialect, request_id: &str) -> Told {
        let Some(Text { status, name }) = self.text else {
            return self.problem.tell(dialect, self.detail.as_deref(), request_id);
        };
        let detail = self.detail.as_deref().unwrap_or_else(|| self.problem.detail());
        let body = name.map_or_else(|| detail.to_owned(), |name| format!("{name}: {detail}"));
        Told { status, content_type: LINE_CONTENT_TYPE, www_authenticate: None, body }
    }

    /// The more precise text, where there is one.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
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
            StatusCode::from_u16(self.problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(Failed(std::sync::Arc::new(self)));
        response
    }
}
