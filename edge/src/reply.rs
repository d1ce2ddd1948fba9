//! An answer before it leaves: status, headers, body. Pure; `lib.rs` turns it into the runtime's `Response`.

use std::borrow::Cow;
use std::rc::Rc;

use scanvault_protocol::limit;
use scanvault_protocol::problem::Problem;
use scanvault_protocol::route::Dialect;

use crate::screen::Rule;

/// Header names are ours and constant; values may come from the origin. A borrowed value is the same in many answers: the
/// runtime's side is told it once.
pub type HeaderList = Vec<(&'static str, Cow<'static, str>)>;

/// Status and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// In place of HTTP's own phrase, where the connection carries one.
    pub reason: Option<String>,
    pub headers: HeaderList,
}

impl Head {
    /// With HTTP's own phrase.
    #[must_use]
    pub fn new(status: u16, headers: HeaderList) -> Self {
        Self { status, reason: None, headers }
    }
}

/// The body, where `S` is a stream that this crate never looks into.
#[derive(Debug, PartialEq, Eq)]
pub enum Body<S> {
    Empty,
    Bytes(Vec<u8>),
    /// The same in many answers: the runtime's side is told them once.
    Shared(Rc<[u8]>),
    Stream(S),
}

/// An answer.
#[derive(Debug)]
pub struct Reply<S> {
    pub head: Head,
    pub body: Body<S>,
}

/// Why a request gets no further, and what the client is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// To the same address over https (308 keeps method and body, RFC 9110 §15.4.9).
    Redirect { location: String },
    /// A row of the table of problems.
    Problem {
        problem: Problem,
        /// In place of the row's text, where there is something more precise to say.
        detail: Option<&'static str>,
        /// The value of `Allow` (RFC 9110 §15.5.6).
        allow: Option<String>,
        /// In place of the row's seconds for `Retry-After`, where it is known how long to wait.
        retry_after_secs: Option<u32>,
        /// For the log only, never sent.
        cause: Option<String>,
        /// The rule that refused, for the log only; without one the problem's code stands there.
        rule: Option<&'static str>,
    },
}

/// A refusal as the log knows it.
#[derive(Debug)]
pub struct Refused {
    pub rule: &'static str,
    pub cause: Option<String>,
}

impl Refusal {
    /// A problem with a text of its own.
    #[must_use]
    pub fn because(problem: Problem, text: &'static str) -> Self {
        Self::Problem { problem, detail: Some(text), allow: None, retry_after_secs: None, cause: None, rule: None }
    }

    /// A problem whose cause goes to the log.
    #[must_use]
    pub fn caused(problem: Problem, cause: impl Into<String>) -> Self {
        let cause = Some(cause.into());
        Self::Problem { problem, detail: None, allow: None, retry_after_secs: None, cause, rule: None }
    }

    /// Another method would do; the value of `Allow`.
    #[must_use]
    pub fn method(allow: String) -> Self {
        let (problem, allow) = (Problem::MethodNotAllowed, Some(allow));
        Self::Problem { problem, detail: None, allow, retry_after_secs: None, cause: None, rule: None }
    }

    /// Too many requests by this limit; `wait_ms` until there is room for one more.
    #[must_use]
    pub fn wait(wait_ms: u64, limit: &'static str) -> Self {
        let (problem, retry_after_secs) = (Problem::TooManyRequests, Some(limit::retry_after_secs(wait_ms)));
        Self::Problem { problem, detail: None, allow: None, retry_after_secs, cause: None, rule: Some(limit) }
    }

    /// Nothing was sent, by this limit.
    #[must_use]
    pub fn full(limit: &'static str) -> Self {
        let (problem, rule) = (Problem::Overloaded, Some(limit));
        Self::Problem { problem, detail: None, allow: None, retry_after_secs: None, cause: None, rule }
    }

    /// The same refusal, by this rule of the screen.
    #[must_use]
    pub fn by(mut self, screen_rule: Rule) -> Self {
        if let Self::Problem { rule, .. } = &mut self {
            *rule = Some(screen_rule.name());
        }
        self
    }

    /// The name of the rule, for logs and metrics.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Redirect { .. } => "https-redirect",
            Self::Problem { problem, rule, .. } => rule.unwrap_or(problem.code()),
        }
    }

    /// What the log gets.
    #[must_use]
    pub fn for_log(&self) -> Refused {
        let cause = match self {
            Self::Problem { cause, .. } => cause.clone(),
            Self::Redirect { .. } => None,
        };
        Refused { rule: self.rule(), cause }
    }

    /// The answer, in the dialect of the path. `HEAD` gets the same headers and no body (RFC 9110 §9.3.2).
    #[must_use]
    pub fn into_reply<S>(self, dialect: Dialect, request_id: &str, is_head: bool) -> Reply<S> {
        match self {
            Self::Redirect { location } => {
                Reply { head: Head::new(308, vec![("location", location.into())]), body: Body::Empty }
            }
            Self::Problem { problem, detail, allow, retry_after_secs, .. } => {
                let told = problem.tell(dialect, detail, request_id);
                let mut headers: HeaderList = vec![("content-type", told.content_type.into())];
                headers.extend(told.www_authenticate.map(|value| ("www-authenticate", value.into())));
                let retry_after_secs = retry_after_secs.or(problem.retry_after_secs());
                headers.extend(retry_after_secs.map(|secs| ("retry-after", secs.to_string().into())));
                headers.extend(allow.map(|value| ("allow", value.into())));
                let reason = told.reason().map(str::to_owned);
                let body = if is_head { Body::Empty } else { Body::Bytes(told.body.into_bytes()) };
                Reply { head: Head { reason, ..Head::new(told.status, headers) }, body }
            }
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem { problem, detail: None, allow: None, retry_after_secs: None, cause: None, rule: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(refusal: Refusal, is_head: bool) -> Reply<()> {
        refusal.into_reply(Dialect::Problem, "0123456789abcdef0123456789abcdef", is_head)
    }

    #[test]
    fn the_line_dialect_has_lines() {
        let told = |refusal: Refusal| refusal.into_reply::<()>(Dialect::Line, "ab", false);
        let refused = told(Problem::BadCredentials.into());
        assert_eq!(refused.head.status, 403);
        assert_eq!(refused.head.headers, [("content-type", "text/plain; charset=utf-8".into())]);
        assert_eq!(refused.head.reason.as_deref(), Some("invalid apikey"));
        assert_eq!(refused.body, Body::Bytes(b"invalid apikey\n".to_vec()));
        let later = told(Refusal::wait(5999, "limit-login"));
        assert!(later.head.headers.contains(&("retry-after", "6".into())));
        assert_eq!(later.body, Body::Bytes(b"Too many requests\n".to_vec()));
    }

    #[test]
    fn a_problem_carries_what_its_row_says_and_no_cause() {
        let sealed = reply(Refusal::caused(Problem::OriginUnreachable, "tcp refused"), false);
        assert_eq!(sealed.head.status, 503);
        assert_eq!(
            sealed.head.headers,
            [("content-type", "application/problem+json".into()), ("retry-after", "5".into())]
        );
        let Body::Bytes(body) = sealed.body else { panic!() };
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains("origin-unreachable") && !text.contains("tcp refused"), "{text}");
    }

    #[test]
    fn head_has_the_headers_and_no_body() {
        let reply = reply(Refusal::method("POST".into()), true);
        assert_eq!(reply.body, Body::Empty);
        assert!(reply.head.headers.contains(&("allow", "POST".into())));
    }

    #[test]
    fn who_has_to_wait_is_told_how_long() {
        for (wait_ms, secs) in [(1, "1"), (1000, "1"), (5999, "6")] {
            let reply = reply(Refusal::wait(wait_ms, "limit-login"), false);
            assert_eq!(reply.head.status, 429);
            assert!(reply.head.headers.contains(&("retry-after", secs.into())), "{wait_ms}");
        }
    }

    #[test]
    fn a_redirect_says_where_to() {
        let reply = reply(Refusal::Redirect { location: "https://pay.example/Q/1".into() }, false);
        assert_eq!((reply.head.status, reply.body), (308, Body::Empty));
        assert_eq!(reply.head.headers, [("location", "https://pay.example/Q/1".into())]);
    }
}
