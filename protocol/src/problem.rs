//! The one table of what a client is told when something is wrong: status, code and text (RFC 9457).
//!
//! The texts of the four authentication failures are those of the Scan to Pay documentation, to the letter.
//! Causes never go into an answer: they are logged once where the error is handled.

/// The media type of a problem document (RFC 9457 §3).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A case of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// No, unknown or wrong credentials, or broken Basic.
    BadCredentials,
    /// A Bearer token that cannot be a token: empty, not three parts, or without the scheme.
    InvalidJwt,
    /// A Bearer token with a bad signature, out of time, revoked, or of an older credential version.
    InvalidOrExpiredJwt,
    /// A valid token of an account that is in Basic mode.
    JwtDisabled,
    /// The request cannot be understood; the detail says what is wrong with it.
    BadRequest,
    /// An amount is no amount, or more or less than is there.
    InvalidAmount,
    /// The path has a form that is never valid.
    BadPath,
    /// Plain HTTP.
    HttpsRequired,
    /// The account lacks the role that the path needs.
    Forbidden,
    /// No such path, or no such object of this account.
    NotFound,
    /// The path exists, the method does not; `Allow` lists those that do.
    MethodNotAllowed,
    /// The account is told another way.
    NotAcceptable,
    /// The client did not send its body in time.
    RequestTimeout,
    /// The merchant's reference was used before with another body.
    ReferenceConflict,
    /// Another payer is paying this code.
    CodeBusy,
    /// The code has been paid, blocked or deleted.
    CodeNotPayable,
    /// The state of an object does not allow the call.
    Conflict,
    /// The session that a card is sealed under is not, or no longer, there.
    SessionUnknown,
    /// The code has expired.
    CodeExpired,
    /// The body is over the route's limit.
    BodyTooLarge,
    /// The path and query are over the limit.
    UriTooLong,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// Too many requests of this client; `Retry-After` says when to come back.
    TooManyRequests,
    /// The headers are over the limit.
    HeadersTooLarge,
    /// Our fault; nothing was said about the outcome.
    Internal,
    /// The origin's answer cannot be trusted or understood.
    BadGateway,
    /// The vault is sealed and the call needs a key.
    Sealed,
    /// The origin did not answer: the outcome is unknown.
    OriginUnreachable,
    /// Another region serves. Never said after something was done.
    Standby,
    /// More work than can be taken now.
    Overloaded,
    /// Wrong credentials on a refund or reversal, where the reference's own status is asked for.
    SecurityViolation,
}

/// One row: the case, its status, its stable code, and the default text.
const TABLE: &[(Problem, u16, &str, &str)] = &[
    (Problem::BadCredentials, 401, "bad-credentials", "Bad Credentials"),
    (Problem::InvalidJwt, 401, "invalid-jwt", "Invalid JWT token"),
    (Problem::InvalidOrExpiredJwt, 401, "invalid-or-expired-jwt", "Invalid or expired JWT token"),
    (Problem::JwtDisabled, 401, "jwt-disabled", "JWT Authentication disabled for this account"),
    (Problem::BadRequest, 400, "bad-request", "The request is not valid"),
    (Problem::InvalidAmount, 400, "invalid-amount", "The amount is not valid"),
    (Problem::BadPath, 400, "bad-path", "The path is not valid"),
    (
        Problem::HttpsRequired,
        403,
        "https-required",
        "HTTPS is required; a credential sent over plain HTTP must be replaced",
    ),
    (Problem::Forbidden, 403, "forbidden", "This account has no access to this path"),
    (Problem::NotFound, 404, "not-found", "Not found"),
    (Problem::MethodNotAllowed, 405, "method-not-allowed", "This path does not take this method"),
    (Problem::NotAcceptable, 406, "not-acceptable", "This account is told another way"),
    (Problem::RequestTimeout, 408, "request-timeout", "The body took too long to arrive; nothing was done"),
    (
        Problem::ReferenceConflict,
        409,
        "reference-conflict",
        "This merchantReference was used before with other contents",
    ),
    (Problem::CodeBusy, 409, "code-busy", "This code is being paid by someone else"),
    (Problem::CodeNotPayable, 409, "code-not-payable", "This code can no longer be paid"),
    (Problem::Conflict, 409, "conflict", "The current state does not allow this"),
    (
        Problem::SessionUnknown,
        409,
        "session-unknown",
        "This session is unknown or has expired: open a new one, seal again and repeat the call",
    ),
    (Problem::CodeExpired, 410, "code-expired", "This code has expired"),
    (Problem::BodyTooLarge, 413, "body-too-large", "The body is too large"),
    (Problem::UriTooLong, 414, "uri-too-long", "The path and query are too long"),
    (Problem::UnsupportedMediaType, 415, "unsupported-media-type", "The body must be application/json"),
    (Problem::TooManyRequests, 429, "too-many-requests", "Too many requests"),
    (Problem::HeadersTooLarge, 431, "headers-too-large", "The headers are too large"),
    (
        Problem::Internal,
        500,
        "internal",
        "Internal error; the outcome is unknown, ask or retry with the same reference",
    ),
    (Problem::BadGateway, 502, "bad-gateway", "The origin gave no valid answer; the outcome is unknown"),
    (Problem::Sealed, 503, "sealed", "The vault is sealed; nothing was done, try again later"),
    (
        Problem::OriginUnreachable,
        503,
        "origin-unreachable",
        "The origin did not answer; the outcome is unknown, retry with the same key",
    ),
    (Problem::Standby, 503, "standby", "This region stands by; nothing was done, try again later"),
    (Problem::Overloaded, 503, "overloaded", "Too much to do at the moment; nothing was done, try again later"),
    (Problem::SecurityViolation, 513, "security-violation", "SECURITY_VIOLATION"),
];

impl Problem {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// A stable code for programs and metric labels; also the last part of the problem's `type`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().2
    }

    /// The text for people when there is nothing more precise to say.
    #[must_use]
    pub fn detail(self) -> &'static str {
        self.row().3
    }

    /// RFC 9110 §11.6.1: a 401 says how to authenticate. `Bearer` challenges follow RFC 6750 §3.
    #[must_use]
    pub fn www_authenticate(self) -> Option<&'static str> {
        match self {
            Self::BadCredentials => Some("Basic realm=\"scanvault\", charset=\"UTF-8\""),
            Self::InvalidJwt => {
                Some("Bearer realm=\"scanvault\", error=\"invalid_token\", error_description=\"Invalid JWT token\"")
            }
            Self::InvalidOrExpiredJwt => Some(
                "Bearer realm=\"scanvault\", error=\"invalid_token\", error_description=\"Invalid or expired JWT token\"",
            ),
            Self::JwtDisabled => Some(
                "Bearer realm=\"scanvault\", error=\"invalid_token\", \
                 error_description=\"JWT Authentication disabled for this account\"",
            ),
            _ => None,
        }
    }

    /// Seconds for `Retry-After`, where coming back later is the right thing to do.
    #[must_use]
    pub fn retry_after_secs(self) -> Option<u32> {
        match self {
            Self::Sealed => Some(30),
            Self::TooManyRequests | Self::OriginUnreachable | Self::Standby => Some(5),
            Self::Overloaded | Self::CodeBusy => Some(2),
            _ => None,
        }
    }

    /// The document, with `detail` in place of the default text where given.
    #[must_use]
    pub fn body(self, detail: Option<&str>, request_id: &str) -> String {
        serde_json::json!({
            "type": format!("urn:scanvault:problem:{}", self.code()),
            "title": title(self.status()),
            "status": self.status(),
            "code": self.code(),
            "detail": detail.unwrap_or_else(|| self.detail()),
            "requestId": request_id,
        })
        .to_string()
    }

    fn row(self) -> &'static (Self, u16, &'static str, &'static str) {
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&FALLBACK)
    }
}

/// Never reached: a test walks every case. It keeps `row` free of a panic.
const FALLBACK: (Problem, u16, &str, &str) = (Problem::Internal, 500, "internal", "Internal error");

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        513 => "Security Violation",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_the_reference_are_exact() {
        assert_eq!(Problem::BadCredentials.detail(), "Bad Credentials");
        assert_eq!(Problem::InvalidJwt.detail(), "Invalid JWT token");
        assert_eq!(Problem::InvalidOrExpiredJwt.detail(), "Invalid or expired JWT token");
        assert_eq!(Problem::JwtDisabled.detail(), "JWT Authentication disabled for this account");
    }

    #[test]
    fn every_case_stands_once_in_the_table_and_has_a_title() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(TABLE.iter().position(|other| other.0 == row.0), Some(at), "{row:?}");
            assert_eq!(TABLE.iter().filter(|other| other.2 == row.2).count(), 1, "{row:?}");
            assert!(row.1 == 500 || title(row.1) != "Internal Server Error", "{row:?}");
            assert_eq!(row.0.www_authenticate().is_some(), row.1 == 401, "{row:?}");
        }
        // The last case of the enum: a case added below it without a row would fall back to 500.
        assert_eq!(TABLE.len(), Problem::SecurityViolation as usize + 1);
    }

    #[test]
    fn the_document_is_exact() {
        let body: serde_json::Value =
            serde_json::from_str(&Problem::BadRequest.body(Some("amount is missing"), "ab")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"type": "urn:scanvault:problem:bad-request", "title": "Bad Request", "status": 400,
                "code": "bad-request", "detail": "amount is missing", "requestId": "ab"})
        );
    }
}
