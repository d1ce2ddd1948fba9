//! How a problem is told: one function for both halves, by the dialect of the path.
//!
//! Scanpay's dialect is one line of plain text that ends in a line feed, with statuses of its own for a few cases. The
//! same text is the reason phrase, which some of its published clients read; HTTP/2 and Cloudflare do not carry one, so
//! the line is what counts.

use crate::problem::{self, Problem};
use crate::route::Dialect;

/// The media type of a line.
pub const LINE_CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// The longest line with its line feed, in bytes: published clients show nothing of a longer one.
const MAX_LINE_BYTES: usize = 512;

/// Where the line differs from the problem's own status and text. The texts are those of Scanpay's documentation.
const LINES: &[(Problem, u16, &str)] = &[
    (Problem::BadCredentials, 403, "invalid apikey"),
    (Problem::InvalidJwt, 403, "Invalid JWT token"),
    (Problem::InvalidOrExpiredJwt, 403, "Invalid or expired JWT token"),
    (Problem::JwtDisabled, 403, "JWT Authentication disabled for this account"),
    (Problem::RequestTimeout, 408, "Request Timeout"),
    (Problem::BodyTooLarge, 413, "Request Entity Too Large"),
    (Problem::HeadersTooLarge, 400, "Request Header Or Cookie Too Large"),
    (Problem::Internal, 500, "internal server error"),
];

/// A problem, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// The body's media type.
    pub content_type: &'static str,
    /// How to authenticate, on a 401.
    pub www_authenticate: Option<&'static str>,
    /// The body.
    pub body: String,
}

impl Told {
    /// The reason phrase, where it is more than HTTP's own.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        if self.content_type == LINE_CONTENT_TYPE { reason(&self.body) } else { None }
    }
}

/// A line as a reason phrase (RFC 9112 §4: visible characters and spaces).
#[must_use]
pub fn reason(line: &str) -> Option<&str> {
    let text = line.strip_suffix('\n')?;
    text.bytes().all(|b| b.is_ascii_graphic() || b == b' ').then_some(text)
}

impl Problem {
    /// The status that a client of this dialect sees.
    #[must_use]
    pub fn status_in(self, dialect: Dialect) -> u16 {
        match (dialect, self.line()) {
            (Dialect::Line, Some((status, _))) => status,
            _ => self.status(),
        }
    }

    /// Tells it, with `detail` in place of the default text where given. A text of the line dialect's own wins over it,
    /// so that a client that compares texts finds the documented one.
    #[must_use]
    pub fn tell(self, dialect: Dialect, detail: Option<&str>, request_id: &str) -> Told {
        let status = self.status_in(dialect);
        match dialect {
            Dialect::Problem => Told {
                status,
                content_type: problem::CONTENT_TYPE,
                www_authenticate: self.www_authenticate(),
                body: self.body(detail, request_id),
            },
            Dialect::Line => {
                let text = self.line().map_or_else(|| detail.unwrap_or_else(|| self.detail()), |(_, text)| text);
                Told { status, content_type: LINE_CONTENT_TYPE, www_authenticate: None, body: line(text) }
            }
        }
    }

    fn line(self) -> Option<(u16, &'static str)> {
        LINES.iter().find(|row| row.0 == self).map(|row| (row.1, row.2))
    }
}

/// One line: no other line feed in it, bounded, ended.
fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 1);
    for symbol in text.chars().map(|symbol| if symbol.is_control() { ' ' } else { symbol }) {
        if line.len() + symbol.len_utf8() >= MAX_LINE_BYTES {
            break;
        }
        line.push(symbol);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(problem: Problem, detail: Option<&str>) -> (u16, String) {
        let told = problem.tell(Dialect::Line, detail, "ab");
        assert_eq!((told.content_type, told.www_authenticate), (LINE_CONTENT_TYPE, None));
        (told.status, told.body)
    }

    #[test]
    fn the_documented_lines_are_exact() {
        assert_eq!(told(Problem::BadCredentials, None), (403, "invalid apikey\n".into()));
        assert_eq!(Problem::BadCredentials.tell(Dialect::Line, None, "").reason(), Some("invalid apikey"));
        assert_eq!(Problem::BadCredentials.tell(Dialect::Problem, None, "").reason(), None);
        assert_eq!((reason("a\n\n"), reason("\u{e6}\n"), reason("a")), (None, None, None));
        assert_eq!(told(Problem::BadCredentials, None).1.len(), 15); // the documentation's Content-Length
        assert_eq!(told(Problem::RequestTimeout, None), (408, "Request Timeout\n".into()));
        assert_eq!(told(Problem::BodyTooLarge, None), (413, "Request Entity Too Large\n".into()));
        assert_eq!(told(Problem::HeadersTooLarge, None), (400, "Request Header Or Cookie Too Large\n".into()));
        assert_eq!(told(Problem::Internal, Some("what was it?")), (500, "internal server error\n".into()));
        assert_eq!(told(Problem::BadRequest, Some("invalid items.total")), (400, "invalid items.total\n".into()));
    }

    #[test]
    fn nothing_is_a_401_and_documents_are_as_they_were() {
        for problem in
            [Problem::BadCredentials, Problem::InvalidJwt, Problem::InvalidOrExpiredJwt, Problem::JwtDisabled]
        {
            assert_eq!(told(problem, None).0, 403, "{problem:?}");
            let document = problem.tell(Dialect::Problem, None, "ab");
            assert_eq!((document.status, document.www_authenticate), (401, problem.www_authenticate()));
            assert_eq!(document.body, problem.body(None, "ab"));
        }
    }

    proptest! {
        #[test]
        fn one_line_whatever_is_put_in(text in "(\\PC|[\\r\\n\\t\\x00]){0,900}") {
            let (_, body) = told(Problem::BadRequest, Some(&text));
            prop_assert!(body.len() <= MAX_LINE_BYTES && body.ends_with('\n'));
            prop_assert_eq!(body.matches(['\n', '\r', '\0']).count(), 1);
            if text.len() < 500 && !text.chars().any(char::is_control) {
                prop_assert_eq!(body.trim_end_matches('\n'), text);
            }
        }
    }
}
