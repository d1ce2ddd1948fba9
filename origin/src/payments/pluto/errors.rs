//! The reference's own status codes, where a deployment asks for them: the one place where they are spelled.
//!
//! Attested are 431 to 434, 512 and 513. Two of the first four belong to what we refuse: 433 (network) and 434
//! (suspended client) never arise here, because a suspended account does not get past its credentials. The names of 435
//! to 481 are not public, so those cases keep our own status. 513 has a setting of its own, for the edge knows it too.
//!
//! Only answers of handlers are told like this. What is refused before, by either half, stays a problem document: wrong
//! credentials, roles, sizes, forms, budgets. Note that 431 also means headers that are too large, and the edge says so
//! with a problem document.

use scanvault_protocol::Problem;
use scanvault_protocol::route::{Route, RouteSpec};

use crate::web::ApiError;

/// How the handlers of `/pluto` tell what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// Standard statuses and problem documents.
    Standard,
    /// The reference's statuses, and a text for people.
    Reference,
}

const CODE_NOT_FOUND: (u16, &str) = (431, "CODE_NOT_FOUND");
const INVALID_AMOUNT: (u16, &str) = (432, "INVALID_AMOUNT");
/// "General system error": the name is ours.
const SYSTEM_ERROR: (u16, &str) = (512, "SYSTEM_ERROR");

impl Errors {
    /// An error of a handler as it is told.
    #[must_use]
    pub fn told(self, error: ApiError, spec: &RouteSpec) -> ApiError {
        if self == Self::Standard || !is_of_pluto(spec.route) {
            return error;
        }
        match (status(spec.route, error.problem()), error.problem()) {
            // The edge refuses these too, in its own way.
            (_, Problem::UnsupportedMediaType | Problem::BodyTooLarge) => error,
            (Some((status, name)), _) => error.told_as(status, name),
            (None, _) => error.told_as_text(),
        }
    }
}

fn status(route: Route, problem: Problem) -> Option<(u16, &'static str)> {
    match problem {
        Problem::NotFound if names_code(route) => Some(CODE_NOT_FOUND),
        Problem::InvalidAmount => Some(INVALID_AMOUNT),
        Problem::Internal => Some(SYSTEM_ERROR),
        _ => None,
    }
}

fn names_code(route: Route) -> bool {
    matches!(
        route,
        Route::CodeQuery
            | Route::CodeEdit
            | Route::CodeDelete
            | Route::CodeAmount
            | Route::CodeBlock
            | Route::CodeUnblock
            | Route::QueryReference
            | Route::QueryRefund
            | Route::StateByQr
    )
}

fn is_of_pluto(route: Route) -> bool {
    names_code(route) || matches!(route, Route::CodeCreate | Route::TransactionState | Route::Reverse | Route::Refund)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::reply::{self, Finish};
    use axum::response::IntoResponse;
    use scanvault_protocol::route::{Dialect, ROUTES};
    use std::time::Duration;

    fn told(route: Route, problem: Problem, errors: Errors) -> u16 {
        let spec = ROUTES.iter().find(|spec| spec.route == route).unwrap();
        let error = errors.told(problem.into(), spec);
        let about =
            Finish { request_id: "ab", route: "", page_policy: None, dialect: Dialect::Problem, took: Duration::ZERO };
        reply::finish(error.into_response(), &about).status().as_u16()
    }

    #[test]
    fn only_what_is_attested_has_another_status() {
        for (route, problem, standard, reference) in [
            (Route::CodeQuery, Problem::NotFound, 404, 431),
            (Route::QueryReference, Problem::NotFound, 404, 431),
            (Route::TransactionState, Problem::NotFound, 404, 404),
            (Route::CodeCreate, Problem::NotFound, 404, 404),
            (Route::CodeCreate, Problem::InvalidAmount, 400, 432),
            (Route::Refund, Problem::InvalidAmount, 400, 432),
            (Route::Reverse, Problem::Internal, 500, 512),
            (Route::CodeDelete, Problem::CodeBusy, 409, 409),
            (Route::V1New, Problem::InvalidAmount, 400, 400),
            (Route::PayPage, Problem::NotFound, 404, 404),
        ] {
            assert_eq!(told(route, problem, Errors::Standard), standard, "{route:?}");
            assert_eq!(told(route, problem, Errors::Reference), reference, "{route:?}");
        }
    }
}
