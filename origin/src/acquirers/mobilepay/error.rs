//! What Vipps MobilePay refuses with, and what may be done about it.

use serde::Deserialize;

use super::super::transport::TransportError;
use super::super::{AcquirerError, Answer};

/// Why a call has no result. The documented rule: a 4xx stays a 4xx for its key, a 500 or a time-out is repeated with the
/// same key, and the same key with the same body is answered like the first time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// There was no connection: certainly nothing happened.
    #[error("MobilePay could not be reached")]
    NotSent,
    /// It was sent, or may have been. To be repeated with the same key.
    #[error("no answer from MobilePay: {0}")]
    NoAnswer(&'static str),
    /// Not now. To be repeated with the same key, later.
    #[error("MobilePay is busy ({0})")]
    Busy(u16),
    /// The credentials are not taken: nothing was looked at.
    #[error("MobilePay does not take the credentials")]
    Credentials,
    /// No such payment.
    #[error("MobilePay knows no such payment")]
    NotFound,
    /// The payment is not yet where this call is allowed. To be repeated with another key.
    #[error("too early for MobilePay ({0})")]
    TooEarly(u16),
    /// Refused for good: also because a key was used for something else, which would be a mistake of ours.
    #[error("MobilePay refused ({0})")]
    Refused(u16),
    /// The call could not be made with what is stored.
    #[error("the call could not be made: {0}")]
    NotMade(&'static str),
}

/// What a documented number asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    SameKey,
    OtherKey,
    Missing,
    Final,
}

/// The documented numbers that are more than a refusal. All others are one.
const TABLE: &[(u16, Class)] = &[
    (3010, Class::SameKey),  // Internal error
    (5090, Class::Missing),  // Reference not found
    (6020, Class::OtherKey), // Refund before reservation
    (6050, Class::OtherKey), // Cannot cancel non-reserved
    (6080, Class::OtherKey), // Capture before reservation
    (6160, Class::OtherKey), // Order processing
    (6250, Class::OtherKey), // Cannot cancel processing payment
    (6280, Class::SameKey),  // Capture failed, retry same key
];

impl WalletError {
    /// Whether the same call with the same key may be made again, and will not be booked twice.
    #[must_use]
    pub fn may_be_repeated(&self) -> bool {
        matches!(self, Self::NotSent | Self::NoAnswer(_) | Self::Busy(_) | Self::Credentials)
    }

    /// Whether the call may be made again with another key: this one was certainly not booked.
    #[must_use]
    pub fn wants_another_key(&self) -> bool {
        matches!(self, Self::TooEarly(_))
    }

    /// Of an answer that is no success.
    pub(super) fn of(answer: &Answer) -> Self {
        let code = error_code(&answer.body).unwrap_or_default();
        let shown = if code == 0 { answer.status } else { code };
        let class = TABLE.iter().find(|row| row.0 == code).map_or(Class::Final, |row| row.1);
        match (answer.status, class) {
            (401 | 403, _) => Self::Credentials,
            // Locked, too many, and whatever their servers say of themselves: nothing is known of the call.
            (408 | 423 | 425 | 429 | 500..=599, _) => Self::Busy(shown),
            (400..=499, Class::SameKey) => Self::Busy(shown),
            (400..=499, Class::OtherKey) => Self::TooEarly(shown),
            (400..=499, Class::Missing) => Self::NotFound,
            (404, Class::Final) if code == 0 => Self::NotFound,
            (400..=499, Class::Final) => Self::Refused(shown),
            _ => Self::NoAnswer("an answer that is neither success nor refusal"),
        }
    }
}

impl From<TransportError> for WalletError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::NotSent => Self::NotSent,
            TransportError::NoAnswer(why) => Self::NoAnswer(why),
        }
    }
}

impl From<AcquirerError> for WalletError {
    fn from(error: AcquirerError) -> Self {
        match error {
            AcquirerError::Credentials(what) | AcquirerError::Field(what) => Self::NotMade(what),
            AcquirerError::NotOffered => Self::NotMade("not offered"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    #[serde(default)]
    extra_details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    name: String,
    reason: String,
}

fn error_code(body: &[u8]) -> Option<u16> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    problem.extra_details.iter().find(|detail| detail.name == "ErrorCode")?.reason.parse().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The reference's example, with another number.
    fn answer(status: u16, code: &str) -> Answer {
        let body = format!(
            r#"{{"type":"https://httpstatuses.io/{status}","title":"Cannot capture before reservation","detail":"...",
            "instance":"/v1/payments/577531734343670112/capture","status":{status},
            "extraDetails":[{{"name":"ErrorCode","reason":"{code}"}}],"traceId":"00-813b6397"}}"#
        );
        Answer { status, body: Bytes::from(body) }
    }

    #[test]
    fn the_table() {
        use WalletError as E;
        for (status, code, expected) in [
            (400, "6080", E::TooEarly(6080)),
            (400, "6020", E::TooEarly(6020)),
            (400, "6160", E::TooEarly(6160)),
            (400, "6280", E::Busy(6280)),
            (400, "3010", E::Busy(3010)),
            (404, "5090", E::NotFound),
            (400, "5090", E::NotFound),
            (400, "6090", E::Refused(6090)),
            (400, "6170", E::Refused(6170)),
            (409, "4010", E::Refused(4010)),
            (409, "4150", E::Refused(4150)),
            (400, "99999", E::Refused(400)), // no number of theirs
            (423, "6160", E::Busy(6160)),
            (401, "6080", E::Credentials),
            (500, "3010", E::Busy(3010)),
        ] {
            assert_eq!(WalletError::of(&answer(status, code)), expected, "{status} {code}");
        }
        let bare = |status| WalletError::of(&Answer { status, body: Bytes::new() });
        assert_eq!(bare(429), E::Busy(429));
        assert_eq!(bare(503), E::Busy(503));
        assert_eq!(bare(403), E::Credentials);
        assert_eq!(bare(404), E::NotFound);
        assert_eq!(bare(410), E::Refused(410));
        assert!(matches!(bare(302), E::NoAnswer(_)) && matches!(bare(200), E::NoAnswer(_)));
    }

    #[test]
    fn what_may_have_been_booked_is_never_given_another_key() {
        for error in [
            WalletError::NotSent,
            WalletError::NoAnswer(""),
            WalletError::Busy(500),
            WalletError::Credentials,
            WalletError::NotFound,
            WalletError::Refused(6090),
            WalletError::NotMade(""),
        ] {
            assert!(!error.wants_another_key(), "{error:?}");
        }
        assert!(WalletError::TooEarly(6080).wants_another_key() && !WalletError::TooEarly(6080).may_be_repeated());
        assert!(!WalletError::Refused(6090).may_be_repeated() && !WalletError::NotMade("").may_be_repeated());
    }
}
