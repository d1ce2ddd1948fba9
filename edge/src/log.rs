//! One JSON line per request that is worth one. Never in it: `Authorization`, queries, bodies, path parameters, unknown paths.

use scanvault_protocol::route::{Answerer, RouteSpec};
use serde::Serialize;

use crate::regions::Health;
use crate::reply::Refused;

const MAX_CAUSE_CHARS: usize = 200;
const KNOWN_METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];

/// Which requests get a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLines {
    /// Every one.
    All,
    /// What was decided: each that was refused and each that went to the origin. What the edge serves to anybody from
    /// itself (an image, its own state) is no decision; a line costs as much there as all checks together, and the
    /// platform counts invocations by itself.
    Decisions,
}

impl LogLines {
    /// Whether a request to this row, answered so, gets one.
    #[must_use]
    pub fn has(self, spec: Option<&RouteSpec>, status: u16) -> bool {
        let is_own = spec.is_some_and(|spec| spec.answerer == Answerer::Edge);
        self == Self::All || !is_own || !matches!(status, 200..=299 | 304)
    }
}

/// What is worth knowing about a request afterwards.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line<'a> {
    level: &'static str,
    message: &'static str,
    request_id: &'a str,
    method: &'static str,
    /// The row's pattern, so that no code or id is in it; `-` where there is no such row.
    route: &'static str,
    status: u16,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// The rules of the screen that were only reported.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    would_refuse: &'a [&'static str],
}

impl<'a> Line<'a> {
    /// Puts a line together. A method that nobody knows is text of the client's choice and is not repeated.
    #[must_use]
    pub fn new(
        request_id: &'a str,
        method: &str,
        route: Option<&'static str>,
        status: u16,
        duration_ms: u64,
        refused: Option<&Refused>,
    ) -> Self {
        Self {
            level: if status >= 500 { "error" } else { "info" },
            message: "request",
            request_id,
            method: KNOWN_METHODS.into_iter().find(|known| *known == method).unwrap_or("other"),
            route: route.unwrap_or("-"),
            status,
            duration_ms,
            rule: refused.map(|refused| refused.rule),
            cause: refused
                .and_then(|refused| refused.cause.as_ref())
                .map(|it| it.chars().take(MAX_CAUSE_CHARS).collect()),
            would_refuse: &[],
        }
    }

    /// The same, with the rules that would have refused the request.
    #[must_use]
    pub fn reporting(self, would_refuse: &'a [&'static str]) -> Self {
        Self { would_refuse, ..self }
    }

    /// The line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A region's health has changed, as this isolate sees it.
#[must_use]
pub fn region_line(region: &str, health: Health) -> String {
    let level = if health == Health::Up { "info" } else { "warn" };
    serde_json::json!({ "level": level, "message": "region", "region": region, "health": health.name() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanvault_protocol::route::ROUTES;

    #[test]
    fn what_is_served_to_anybody_is_no_decision() {
        for spec in ROUTES {
            let is_own = spec.answerer == Answerer::Edge;
            for (status, is_passed) in
                [(200, true), (304, true), (308, false), (400, false), (404, false), (500, false)]
            {
                assert!(LogLines::All.has(Some(spec), status));
                assert_eq!(
                    LogLines::Decisions.has(Some(spec), status),
                    !(is_own && is_passed),
                    "{} {status}",
                    spec.path
                );
            }
        }
        assert!(LogLines::Decisions.has(None, 404));
    }

    #[test]
    fn a_region_s_change_is_a_line() {
        let line = region_line("a", Health::Down);
        assert_eq!(line, r#"{"health":"down","level":"warn","message":"region","region":"a"}"#);
        assert!(region_line("a", Health::Up).contains(r#""level":"info""#));
    }

    #[test]
    fn a_line_has_exactly_these_fields() {
        let line = Line::new("ab", "GET", Some("/pluto/code/{code}"), 200, 12, None).to_json();
        assert_eq!(
            line,
            r#"{"level":"info","message":"request","requestId":"ab","method":"GET","route":"/pluto/code/{code}","status":200,"durationMs":12}"#
        );
        let reported = Line::new("ab", "GET", None, 200, 1, None).reporting(&["query-name", "media-type"]).to_json();
        assert!(reported.ends_with(r#""durationMs":1,"wouldRefuse":["query-name","media-type"]}"#), "{reported}");
        let refused = Refused { rule: "origin-unreachable", cause: Some("x".repeat(500)) };
        let line = Line::new("ab", "EVIL\n{}", None, 503, 1, Some(&refused)).to_json();
        let cause = "x".repeat(200);
        assert_eq!(
            line,
            format!(
                r#"{{"level":"error","message":"request","requestId":"ab","method":"other","route":"-","status":503,"durationMs":1,"rule":"origin-unreachable","cause":"{cause}"}}"#
            )
        );
    }
}
