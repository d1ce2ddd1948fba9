//! What this interface says when something was refused, in the words of the reference where it has any.

use scanvault_protocol::Problem;
use scanvault_protocol::route::Dialect;

use super::super::engine::EngineError;
use super::super::ledger::Illegal;
use super::super::store::idempotency::Answer;
use crate::acquirers::Decline;
use crate::web::ApiError;

/// The status of a refusal by the card's bank or the acquirer. The reference documents the window's texts and not this
/// status: a guess.
const REFUSED: u16 = 400;
/// The status of a charge that nobody knows the outcome of and that will never be captured. A guess as well.
const LOST: u16 = 502;

/// The window's error codes, as the reference lists them.
const DECLINES: &[(Decline, &str)] = &[
    (Decline::InvalidCard, "invalid card"),
    (Decline::UnsupportedScheme, "card not supported"),
    (Decline::InvalidCsc, "invalid card"),
    (Decline::Expired, "card expired"),
    (Decline::InsufficientFunds, "insufficient funds"),
    (Decline::AmountLimit, "limit exceeded"),
    (Decline::ThreeDSecure, "3dsecure failed"),
    (Decline::StepUp, "3dsecure failed"),
    (Decline::Technical, "upstream error"),
    (Decline::Unreachable, "network error"),
    (Decline::Credentials, "internal error"),
    (Decline::Configuration, "internal error"),
];

/// The answer to what was refused for certain.
#[must_use]
pub(super) fn refused(decline: Option<Decline>) -> Answer {
    let text = DECLINES.iter().find(|row| Some(row.0) == decline).map_or("declined", |row| row.1);
    Answer { status: REFUSED, body: format!("{text}\n") }
}

/// The answer to a charge whose authorisation was lost: it will never be captured, so a new one is safe.
#[must_use]
pub(super) fn lost() -> Answer {
    Answer { status: LOST, body: "upstream error\n".to_owned() }
}

/// A refusal before anything was begun, when it will stay one: the same call would be refused again. `None`: it may go
/// through another time, or nobody knows.
#[must_use]
pub(super) fn lasting(error: &ApiError) -> Option<Answer> {
    let status = error.problem().status_in(Dialect::Line);
    let is_lasting =
        (400..500).contains(&status) && !matches!(error.problem(), Problem::TooManyRequests | Problem::CodeBusy);
    is_lasting.then(|| {
        let told = error.problem().tell(Dialect::Line, error.detail(), "");
        Answer { status: told.status, body: told.body }
    })
}

/// Nothing is known yet: a repetition under the same key asks again.
#[must_use]
pub(super) fn pending() -> ApiError {
    Problem::OriginUnreachable.into()
}

/// Nothing is known yet, and the call had no key under which to ask again: sent anew it could be done twice.
#[must_use]
pub(super) fn unknown() -> ApiError {
    ApiError::because(Problem::OriginUnreachable, "the outcome is not known yet: the changes will tell")
}

/// In the words of this interface.
pub(super) fn of_engine(error: EngineError) -> ApiError {
    let conflict = |text: &'static str| ApiError::because(Problem::Conflict, text);
    match error {
        EngineError::Illegal(Illegal::Index) => conflict("invalid index"),
        EngineError::Illegal(Illegal::Amount) => conflict("invalid total"),
        // The act under way may be this very one, asked before.
        EngineError::Illegal(Illegal::Pending) => {
            ApiError::because(Problem::CodeBusy, "another act on this transaction is under way")
        }
        EngineError::Illegal(Illegal::Stage | Illegal::ReversedOrRefunded) => conflict("invalid act"),
        EngineError::CardGone => conflict("the card is not kept any more"),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banks_reasons_are_the_windows_codes() {
        assert_eq!(refused(Some(Decline::Expired)), Answer { status: 400, body: "card expired\n".into() });
        for reason in [Decline::DoNotHonour, Decline::Restricted, Decline::MerchantBlocked, Decline::Rule] {
            assert_eq!(refused(Some(reason)).body, "declined\n", "{reason:?}");
        }
        assert_eq!(refused(None).body, "declined\n");
    }

    #[test]
    fn only_what_stays_refused_is_kept() {
        let kept = lasting(&ApiError::because(Problem::BadRequest, "invalid items.total")).unwrap();
        assert_eq!(kept, Answer { status: 400, body: "invalid items.total\n".into() });
        assert_eq!(lasting(&of_engine(EngineError::Illegal(Illegal::Index))).unwrap().status, 409);
        for problem in [
            Problem::Sealed,
            Problem::Internal,
            Problem::Overloaded,
            Problem::TooManyRequests,
            Problem::OriginUnreachable,
        ] {
            assert_eq!(lasting(&problem.into()), None, "{problem:?}");
        }
        assert_eq!(lasting(&of_engine(EngineError::Illegal(Illegal::Pending))), None);
    }
}
