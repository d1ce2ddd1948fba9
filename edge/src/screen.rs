//! The screen: what every request must look like before anything else is done with it.
//!
//! It is the design's firewall, an allow-list by route instead of a list of patterns. Headers that only we may set
//! (`scanvault-*`, `signature*`, `content-digest`, `forwarded`, `x-forwarded-*`, …) need no stripping here: only the
//! few fields of [`Inbound`] are ever read, and what is forwarded is built from them anew.

use scanvault_protocol::route::{self, BodyType, Dialect, Method, RouteSpec};
use scanvault_protocol::{Problem, path};
use zeroize::Zeroizing;

use crate::platform;
use crate::reply::Refusal;

mod rule;
pub use rule::{Mode, Rule, Screening};

/// The most headers of one request, repeated ones counted once (the runtime joins them).
pub const MAX_HEADERS: usize = 64;
/// The most bytes of all header names and values, with their separators.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// The most bytes of cookies. We set none and read none; what is sent belongs to a neighbour of our host's name.
pub const MAX_COOKIE_BYTES: usize = 8 * 1024;
/// Above these no mode lets anything through: the origin's listener takes 128 headers in 32 KiB with what we add to them.
pub const HARD_MAX_HEADERS: usize = 96;
/// See [`HARD_MAX_HEADERS`].
pub const HARD_MAX_HEADER_BYTES: usize = 24 * 1024;
const MAX_HOST_BYTES: usize = 255;

/// A request as it came, read from the runtime once.
#[derive(Default)]
pub struct Inbound {
    /// As sent: methods are case-sensitive (RFC 9110 §9.1).
    pub method: String,
    /// `None` when the address is none.
    pub target: Option<Target>,
    /// How many headers there are.
    pub header_count: usize,
    /// How long they are together.
    pub header_bytes: usize,
    /// How long `Cookie` is; what it says is never looked at.
    pub cookie_bytes: usize,
    pub authorization: Option<Zeroizing<String>>,
    pub content_type: Option<String>,
    pub content_length: Option<String>,
    /// Whether the body comes in chunks that say their own length.
    pub has_transfer_encoding: bool,
    pub content_encoding: Option<String>,
    pub idempotency_key: Option<String>,
    /// What the client would like to be answered. Only the monitor asks.
    pub accept: Option<String>,
    pub if_none_match: Option<String>,
    /// The client's address from the one configured source.
    pub client_address: Option<String>,
    /// The connection's TLS version, where the host of the edge tells it.
    pub tls_version: Option<String>,
    /// Whether the runtime offers a body to read, however long.
    pub has_body: bool,
}

impl Inbound {
    /// Whether the answer must have no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// The parts of the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Came over TLS.
    pub is_https: bool,
    /// Host and port, lower case.
    pub host: String,
    /// As sent; not yet checked.
    pub path: String,
    /// Without its `?`; an empty one is none.
    pub query: Option<String>,
}

impl Target {
    /// Takes an address apart without changing it: a second spelling must still be seen as one.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let is_https = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, rest) = rest.split_at_checked(authority_end)?;
        let host_is_plain = !host.is_empty()
            && host.len() <= MAX_HOST_BYTES
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'));
        if !host_is_plain {
            return None;
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        Some(Self {
            is_https,
            host: host.to_ascii_lowercase(),
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            query: query.filter(|query| !query.is_empty()).map(str::to_owned),
        })
    }

    /// The host without its port.
    #[must_use]
    pub fn host_name(&self) -> &str {
        host_name(&self.host)
    }
}

/// The host without its port; an IPv6 address keeps its brackets.
#[must_use]
pub fn host_name(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

/// Whether a host is this machine, by a name that no DNS server can give to another one's address.
#[must_use]
pub fn is_loopback(host_name: &str) -> bool {
    matches!(host_name, "127.0.0.1" | "[::1]" | "localhost")
}

/// What is done with plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// Refused, or sent to https.
    Refuse,
    /// Taken when the host is this machine. For development only.
    Loopback,
}

/// TLS below 1.2: 403 where the host of the edge tells the version; its own setting is what keeps such connections away.
/// Plain HTTP: 308 for a GET or HEAD of a public path, or of the root, that gives nothing away, 403 for everything else.
///
/// A redirect of a request with a credential would teach its client nothing: the credential has been sent in clear.
///
/// # Errors
/// [`Refusal::Redirect`] or [`Problem::HttpsRequired`].
pub fn transport(inbound: &Inbound, target: &Target, policy: PlainHttp) -> Result<(), Refusal> {
    if inbound.tls_version.as_deref().is_some_and(platform::is_outdated_tls) {
        return Err(Refusal::because(Problem::HttpsRequired, "TLS 1.2 or newer is required"));
    }
    if target.is_https || (policy == PlainHttp::Loopback && is_loopback(target.host_name())) {
        return Ok(());
    }
    let gives_nothing_away =
        matches!(inbound.method.as_str(), "GET" | "HEAD") && inbound.authorization.is_none() && !sends_body(inbound);
    let canonical = path::check(&target.path).is_ok()
        && target.query.as_deref().is_none_or(|query| path::check_query(query).is_ok());
    // Nothing is at the root, over https either; the preload list of browsers asks where it leads.
    let leads_on = target.path == "/" || route::is_public(&target.path);
    if !(gives_nothing_away && canonical && leads_on) {
        return Err(Problem::HttpsRequired.into());
    }
    let query = target.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    // The port is that of plain HTTP; where TLS listens it cannot say, so it is left to the default.
    Err(Refusal::Redirect { location: format!("https://{}{}{query}", target.host_name(), target.path) })
}

/// The address, sizes, and the one canonical form of path and query.
///
/// # Errors
/// [`Problem::HeadersTooLarge`], [`Problem::UriTooLong`] or [`Problem::BadPath`], with the rule.
pub fn limits(inbound: &Inbound, target: &Target, screening: &mut Screening) -> Result<(), Refusal> {
    let over = |rule: Rule| Refusal::from(Problem::HeadersTooLarge).by(rule);
    if inbound.header_count > HARD_MAX_HEADERS {
        return Err(over(Rule::HeaderCount));
    }
    if inbound.header_bytes > HARD_MAX_HEADER_BYTES {
        return Err(over(Rule::HeaderBytes));
    }
    let max_header_bytes = match route::dialect(&target.path) {
        Dialect::Problem => MAX_HEADER_BYTES,
        Dialect::Line => route::V1_HEADER_BYTES,
    };
    for (holds, rule) in [
        (inbound.header_count <= MAX_HEADERS, Rule::HeaderCount),
        (inbound.header_bytes <= max_header_bytes, Rule::HeaderBytes),
        (inbound.cookie_bytes <= MAX_COOKIE_BYTES, Rule::CookieBytes),
    ] {
        screening.policy(holds, || over(rule))?;
    }
    // RFC 9112 §6.1: two lengths. The runtime goes by one of them; whoever stands before it may go by the other.
    if inbound.has_transfer_encoding && inbound.content_length.is_some() {
        return Err(Refusal::from(Problem::BadRequest).by(Rule::LengthForm));
    }
    path::check(&target.path).map_err(|problem| length_or_form(problem, Rule::PathLength, Rule::PathForm))?;
    target.query.as_deref().map_or(Ok(()), |query| {
        path::check_query(query).map_err(|problem| length_or_form(problem, Rule::QueryLength, Rule::QueryForm))
    })
}

fn length_or_form(problem: Problem, length: Rule, form: Rule) -> Refusal {
    Refusal::from(problem).by(if problem == Problem::UriTooLong { length } else { form })
}

/// The names in the query.
///
/// # Errors
/// [`Problem::BadRequest`] for one that the row does not know.
pub fn query(spec: &RouteSpec, target: &Target, screening: &mut Screening) -> Result<(), Refusal> {
    match route::check_query(spec, target.query.as_deref()) {
        Ok(()) => Ok(()),
        Err(problem) => screening.policy(false, || Refusal::from(problem).by(Rule::QueryName)),
    }
}

/// What to do with the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPlan {
    /// Whether there is anything to read.
    pub read: bool,
    /// The most bytes to read; one more is an error.
    pub max_bytes: usize,
    /// What that error is.
    pub over: OverLimit,
}

/// What a body is that is longer than the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    TooLarge,
    NoneTaken,
}

impl OverLimit {
    /// What the client is told.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::TooLarge => Refusal::from(Problem::BodyTooLarge).by(Rule::BodyBytes),
            Self::NoneTaken => {
                Refusal::because(Problem::BadRequest, "This path takes no body").by(Rule::BodyWhereNoneIsTaken)
            }
        }
    }
}

/// The rules for the body of a route, all that can be known before a byte is read: 415, then 413.
///
/// # Errors
/// [`Problem::UnsupportedMediaType`], [`Problem::BodyTooLarge`] or [`Problem::BadRequest`].
pub fn body(inbound: &Inbound, spec: &RouteSpec, screening: &mut Screening) -> Result<BodyPlan, Refusal> {
    let no_length = || Refusal::from(Problem::BadRequest).by(Rule::LengthForm);
    let announced = match inbound.content_length.as_deref().map(str::trim) {
        None => None,
        Some(text) => Some(content_length(text).ok_or_else(no_length)?),
    };
    // Neither GET nor HEAD has one, on a row that takes any method either: the runtime would not send it on.
    let reads = matches!(inbound.method.as_str(), "GET" | "HEAD");
    let row_bytes = if reads { 0 } else { spec.max_body_bytes };
    let over = if row_bytes == 0 { OverLimit::NoneTaken } else { OverLimit::TooLarge };
    // A row that takes any method has a body only where one is sent.
    let has_body = spec.method != Method::Any || sends_body(inbound);
    if over == OverLimit::TooLarge && has_body {
        body_type(inbound, spec, screening)?;
    }
    // Where it is only reported, the largest body of any route still is one: it is read into memory here.
    let max_bytes = match over {
        OverLimit::TooLarge if screening.mode() == Mode::Monitor => route::MAX_BODY_BYTES,
        _ => row_bytes,
    };
    if announced.is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(over.refusal());
    }
    Ok(BodyPlan { read: inbound.has_body && announced != Some(0), max_bytes, over })
}

/// The rule for a body that has been read: within the row's own size.
///
/// # Errors
/// [`Problem::BodyTooLarge`]; never where it was enforced as it was read.
pub fn body_size(spec: &RouteSpec, bytes: usize, screening: &mut Screening) -> Result<(), Refusal> {
    screening.policy(bytes <= spec.max_body_bytes, || OverLimit::TooLarge.refusal())
}

fn body_type(inbound: &Inbound, spec: &RouteSpec, screening: &mut Screening) -> Result<(), Refusal> {
    let media_type = inbound.content_type.as_deref().unwrap_or_default();
    let is_expected = match spec.body_type {
        BodyType::Json => is_json(media_type),
        BodyType::LooseJson => media_type.is_empty() || is_json(media_type) || is_form(media_type),
        BodyType::Form => is_form(media_type),
    };
    let refusal = |rule: Rule| match spec.body_type {
        BodyType::Json | BodyType::LooseJson => Refusal::from(Problem::UnsupportedMediaType).by(rule),
        BodyType::Form => Refusal::because(Problem::UnsupportedMediaType, FORM_EXPECTED).by(rule),
    };
    screening.policy(is_expected, || refusal(Rule::MediaType))?;
    // RFC 9110 §15.5.16: 415 is also for a content coding that is not taken. Compressed bodies would hide their size.
    let is_plain = inbound.content_encoding.as_deref().is_none_or(|it| it.trim().eq_ignore_ascii_case("identity"));
    if is_plain { Ok(()) } else { Err(refusal(Rule::ContentCoding)) }
}

const FORM_EXPECTED: &str = "The body must be application/x-www-form-urlencoded";

/// A form as a browser posts it. Whoever made the page may have named a charset: what we read of it is ASCII.
fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// `application/json`, with no parameter but `charset=utf-8`.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_type = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let charset = parts.next();
    let charset_is_utf8 = charset.is_none_or(|parameter| {
        ["charset=utf-8", "charset=\"utf-8\""].iter().any(|known| parameter.eq_ignore_ascii_case(known))
    });
    is_type && charset_is_utf8 && parts.next().is_none()
}

/// RFC 9110 §8.6: digits only. Two different lengths would arrive joined by a comma, and are refused so.
fn content_length(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().unwrap_or(u64::MAX))
}

fn sends_body(inbound: &Inbound) -> bool {
    match inbound.content_length.as_deref().map(str::trim) {
        Some("0") => false,
        Some(_) => true,
        None => inbound.has_body,
    }
}

#[cfg(test)]
mod tests;
