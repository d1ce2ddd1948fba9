//! The one route table: who may call a path, how, with what body, and who answers. Here is what a row says and how one is
//! found; the rows are in `table.rs`, and paths are spelled nowhere else.
//!
//! The edge screens with it, the origin checks it again. A path that is not in the table does not exist (404 before
//! authentication). Internal rows do not exist at the edge, and no others exist for whoever comes in by an internal key.
//! One row is for the edges themselves: no client of theirs reaches it.

mod table;

pub use table::{MAX_BODY_BYTES, ROUTES, V1_HEADER_BYTES};

use crate::account::Role;
use crate::problem::Problem;

/// What a path is, independent of its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// A QR image.
    QrImage,
    /// The edge's state, for people and machines.
    Monitor,
    /// The pay page that a QR leads to.
    PayPage,
    /// The payer's sealed card.
    Pay,
    /// The payer wants to pay with MobilePay.
    PayWallet,
    /// How the payment of a page stands.
    PayState,
    /// The bank's page calls back after the 3-D Secure method.
    ThreeDsMethod,
    /// The bank's page calls back after a 3-D Secure challenge.
    ThreeDsChallenge,
    /// Script and style of the pay page.
    Asset,
    /// A new code.
    CodeCreate,
    /// One code.
    CodeQuery,
    /// What may be changed of a code.
    CodeEdit,
    /// The end of a code.
    CodeDelete,
    /// A new amount for a code.
    CodeAmount,
    /// A code is stopped for a while.
    CodeBlock,
    /// A stopped code goes on.
    CodeUnblock,
    /// A payment by code and reference.
    QueryReference,
    /// The last refund by code and reference.
    QueryRefund,
    /// A payment by code and amount.
    StateByQr,
    /// One transaction's state.
    TransactionState,
    /// All of a payment is given back.
    Reverse,
    /// Some of a payment is given back.
    Refund,
    /// A new payment link, or a link to become a subscriber.
    V1New,
    /// The change feed.
    V1Seq,
    /// Some of what was authorised is taken.
    V1Capture,
    /// Some of what was taken is given back.
    V1Refund,
    /// What was authorised is given back.
    V1Void,
    /// A subscriber's card is charged.
    V1Charge,
    /// A link to give a subscriber another card.
    V1Renew,
    /// The first half of a login: challenges both ways.
    LoginChallenge,
    /// The second half: a session and its token.
    Login,
    /// The end of a session.
    Logout,
    /// A path of an area in which nothing is served yet: who may come in is decided as if something were.
    Unserved,
    /// The public key that cards are sealed to on their way in.
    VaultKey,
    /// A new session key of an internal system.
    VaultSession,
    /// A card to be kept.
    CardStore,
    /// A kept card, sealed to the caller.
    CardRead,
    /// What may be shown of a kept card.
    CardShow,
    /// The end of a kept card.
    CardDelete,
    /// How a region's origin stands: for the edges themselves.
    RegionState,
}

/// A request method that some route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET, and HEAD wherever GET is.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// Every one of these.
    Any,
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Nobody is asked for a credential.
    Anyone,
    /// Any account that proves itself.
    Authenticated,
    /// An account with this role.
    Role(Role),
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerer {
    /// The edge, without asking the origin.
    Edge,
    /// The origin, over the signed link.
    Origin,
    /// The origin, only for systems of the same operator: the edge answers 404 whoever asks.
    OriginInternal,
    /// The origin, only to an edge that asks for itself: the edge answers 404 whoever asks it.
    OriginToEdge,
}

/// By which door a request comes in. The parts of the table share no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// At the edge, or forwarded by one.
    Public,
    /// At the origin, signed with a link key that is bound to an account.
    Internal,
    /// At the origin, signed by an edge, with no client behind it.
    Edge,
}

/// The media type that a body must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// `application/json`.
    Json,
    /// JSON, also without a media type or with curl's own, which is a form's: Scanpay's published example names none.
    LooseJson,
    /// `application/x-www-form-urlencoded`: what a bank's page posts through a browser.
    Form,
}

/// How errors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `application/problem+json`.
    Problem,
    /// `/v1`: one line of plain text that ends in a line feed.
    Line,
}

/// What may follow the `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// These names only; anything else is 400.
    Only(&'static [&'static str]),
    /// Unknown names are ignored (images: cache busters are harmless).
    Any,
}

/// One row of the table.
#[derive(Debug)]
pub struct RouteSpec {
    /// What it is.
    pub route: Route,
    /// The method; HEAD counts as GET.
    pub method: Method,
    /// The path; `{name}` stands for one segment, `**` at the end for one or more.
    pub path: &'static str,
    /// Who may call.
    pub audience: Audience,
    /// The largest body in bytes; 0 = none is taken.
    pub max_body_bytes: usize,
    /// Its media type.
    pub body_type: BodyType,
    /// What may follow the `?`.
    pub query: Query,
    /// Who answers.
    pub answerer: Answerer,
    /// Whether the answer is a page for a browser (its own content security policy).
    pub is_page: bool,
    /// Whether that page is shown in a frame of our own pages.
    pub is_framed: bool,
    /// How errors are told.
    pub dialect: Dialect,
    /// How long the edge waits for the origin, in milliseconds. The origin's own limit is shorter.
    pub deadline_ms: u32,
    /// Refunds and reversals: where the dialect asks for it, wrong credentials are 513 here instead of 401.
    pub is_refund: bool,
}

/// A row that matched, with the segments that its parameters stand for.
#[derive(Debug)]
pub struct RouteMatch<'p> {
    /// The row.
    pub spec: &'static RouteSpec,
    /// The parameter's segment; rows have one at most.
    pub parameter: Option<&'p str>,
}

/// Where a request goes.
#[derive(Debug)]
pub enum Resolution<'p> {
    /// To this row.
    Found(RouteMatch<'p>),
    /// Nowhere: the path is known, the method is not. The value of `Allow`.
    MethodNotAllowed(String),
    /// Nowhere.
    NotFound,
}

/// Finds the row of a canonical path (see [`crate::path::check`]) among those that exist at this door.
#[must_use]
pub fn resolve<'p>(method: &str, path: &'p str, door: Door) -> Resolution<'p> {
    let mut allowed: Vec<&'static str> = Vec::new();
    let mut is_literal = false;
    for spec in ROUTES.iter().filter(|spec| spec.door() == door) {
        let Some(parameter) = match_path(spec.path, path) else { continue };
        if parameter.is_some() && is_literal {
            continue; // `/pluto/code/create` is never a code, whatever the method
        }
        is_literal |= parameter.is_none();
        if spec.method.takes(method) {
            return Resolution::Found(RouteMatch { spec, parameter });
        }
        allowed.extend(spec.method.names().iter().filter(|name| !allowed.contains(name)).collect::<Vec<_>>());
    }
    if allowed.is_empty() { Resolution::NotFound } else { Resolution::MethodNotAllowed(allowed.join(", ")) }
}

/// Checks a query against the row.
///
/// # Errors
/// [`Problem::BadRequest`] for a name that the row does not know.
pub fn check_query(spec: &RouteSpec, query: Option<&str>) -> Result<(), Problem> {
    match spec.query {
        Query::Any => Ok(()),
        Query::Only(names) => {
            let known = crate::path::query_names(query.unwrap_or_default()).all(|name| names.contains(&name));
            if known { Ok(()) } else { Err(Problem::BadRequest) }
        }
    }
}

/// Whether a path belongs to the public part, whatever comes after: plain HTTP is redirected only there.
#[must_use]
pub fn is_public(path: &str) -> bool {
    let lower_q = |p: &str| p.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("/q/"));
    path.starts_with("/pluto/public/") || path.starts_with("/public/") || lower_q(path)
}

/// How errors are told to whoever asks for a path, whether or not there is such a path.
#[must_use]
pub fn dialect(path: &str) -> Dialect {
    if path.starts_with(table::V1) { Dialect::Line } else { Dialect::Problem }
}

impl RouteSpec {
    /// Where the row exists.
    #[must_use]
    pub fn door(&self) -> Door {
        match self.answerer {
            Answerer::Edge | Answerer::Origin => Door::Public,
            Answerer::OriginInternal => Door::Internal,
            Answerer::OriginToEdge => Door::Edge,
        }
    }

    /// The first row of a route.
    #[must_use]
    pub fn of(route: Route) -> Option<&'static Self> {
        ROUTES.iter().find(|spec| spec.route == route)
    }

    /// The one path under which this call of an object is remembered: its number in the place of the parameter, in the
    /// first of the rows that answer it. A call that is spelled in two ways is the same call.
    #[must_use]
    pub fn path_of(&self, object: i64) -> String {
        let first = Self::of(self.route).map_or(self.path, |spec| spec.path);
        let number = object.to_string();
        let named = first.split('/').map(|segment| if segment.starts_with('{') { number.as_str() } else { segment });
        named.collect::<Vec<_>>().join("/")
    }

    /// Whether asking twice does what asking once does, so that a connection which was dead may be tried again.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.method == Method::Get && self.route != Route::LoginChallenge
    }

    /// What an answer's status says of the credential: the line dialect has 403 where the others have 401.
    #[must_use]
    pub fn judged(&self, status: u16) -> u16 {
        if self.dialect == Dialect::Line && status == 403 { 401 } else { status }
    }

    /// What a client of this row is told in place of a 401, where the reference's dialect is asked for.
    #[must_use]
    pub fn in_dialect(&self, problem: Problem, is_513_asked_for: bool) -> Problem {
        if is_513_asked_for && self.is_refund && problem.status() == 401 { Problem::SecurityViolation } else { problem }
    }
}

impl Method {
    fn takes(self, method: &str) -> bool {
        self.names().contains(&method)
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Get => &["GET", "HEAD"],
            Self::Post => &["POST"],
            Self::Put => &["PUT"],
            Self::Delete => &["DELETE"],
            Self::Any => &["GET", "HEAD", "POST", "PUT", "DELETE"],
        }
    }
}

/// `Some(parameter)` when the path fits. `/public/` is the same as `/pluto/public/`, and `/q/` takes any case.
#[expect(clippy::option_option, reason = "matched or not, and with or without a parameter")]
fn match_path<'p>(pattern: &str, path: &'p str) -> Option<Option<&'p str>> {
    let rest = |prefix: &str| -> Option<&'p str> {
        let head = path.get(..prefix.len())?;
        (head == prefix).then(|| path.get(prefix.len()..)).flatten()
    };
    let (pattern, path) = if let (Some(tail), Some(rest)) = (pattern.strip_prefix("/pluto/public/"), rest("/public/")) {
        (tail, rest)
    } else if let (Some(tail), Some(rest)) = (pattern.strip_prefix("/q/"), rest("/q/").or_else(|| rest("/Q/"))) {
        (tail, rest)
    } else {
        (pattern, path)
    };
    let (mut wanted, mut given, mut parameter) = (pattern.split('/'), path.split('/'), None);
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameter),
            (Some("**"), Some(segment)) => return (!segment.is_empty()).then_some(parameter),
            (Some(want), Some(segment)) if want.starts_with('{') => {
                if segment.is_empty() {
                    return None;
                }
                parameter = Some(segment);
            }
            (Some(want), Some(segment)) if want == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests;
