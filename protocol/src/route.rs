//! The one route table: who may call a path, how, with what body, and who answers. Paths are spelled only here.
//!
//! The edge screens with it, the origin checks it again. A path that is not in the table does not exist (404 before
//! authentication). Internal rows do not exist at the edge, and no others exist for whoever comes in by an internal key.

use crate::account::Role;
use crate::problem::Problem;

/// The largest body of any route in bytes; bodies are buffered whole and digested before they are sent.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

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
}

/// By which door a request comes in. The two sides of the table share no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// At the edge, or forwarded by one.
    Public,
    /// At the origin, signed with a link key that is bound to an account.
    Internal,
}

/// The media type that a body must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// `application/json`.
    Json,
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

const NO_QUERY: Query = Query::Only(&[]);
const LOGIN_QUERY: Query = Query::Only(&["identity", "clientChallenge"]);
const SMALL_JSON: usize = 16 * 1024;
const EXTERNAL: Audience = Audience::Role(Role::External);
/// Below it everything is Scanpay's interface.
const V1: &str = "/v1/";
/// What that takes in a body: its documented 32 kB.
const V1_BODY: usize = 32 * 1000;
/// What it takes in headers: its documented 4 kB.
pub const V1_HEADER_BYTES: usize = 4 * 1024;
const READ_MS: u32 = 8_000;
/// One acquirer call (origin: 16 s), and what is written around it.
const ACT_MS: u32 = 25_000;
/// Longer than the acquirer call inside it (origin: 40 s), so that the payer is told what the origin knows.
const PAY_MS: u32 = 55_000;

/// The table. Order matters only where a literal segment and a parameter could both match: the first row wins.
pub const ROUTES: &[RouteSpec] = &[
    open(Route::Monitor, "/pluto/public/monitor", Query::Any, Answerer::Edge, false),
    open(Route::PayPage, "/pluto/public/pay/{code}", Query::Any, Answerer::Origin, true),
    open(Route::PayPage, "/q/{code}", Query::Any, Answerer::Origin, true),
    RouteSpec {
        max_body_bytes: SMALL_JSON,
        method: Method::Post,
        deadline_ms: PAY_MS,
        ..open(Route::Pay, "/pluto/public/pay/{code}", NO_QUERY, Answerer::Origin, false)
    },
    RouteSpec {
        max_body_bytes: SMALL_JSON,
        method: Method::Post,
        deadline_ms: PAY_MS,
        ..open(Route::PayWallet, "/pluto/public/pay/{code}/mobilepay", NO_QUERY, Answerer::Origin, false)
    },
    open(Route::PayState, "/pluto/public/pay/{code}/state", Query::Only(&["attempt"]), Answerer::Origin, false),
    framed(Route::ThreeDsMethod, "/pluto/public/3ds/method/{id}"),
    framed(Route::ThreeDsChallenge, "/pluto/public/3ds/challenge/{id}"),
    open(Route::Asset, "/pluto/public/assets/{asset}", Query::Any, Answerer::Origin, false),
    open(Route::QrImage, "/pluto/public/qr/{image}", Query::Any, Answerer::Edge, false),
    open(Route::QrImage, "/pluto/public/stpqr/{image}", Query::Any, Answerer::Edge, false),
    open(Route::QrImage, "/pluto/public/zimswitch/{image}", Query::Any, Answerer::Edge, false),
    RouteSpec {
        max_body_bytes: MAX_BODY_BYTES,
        method: Method::Post,
        ..external(Route::CodeCreate, "/pluto/code/create")
    },
    change(Route::QueryReference, Method::Post, "/pluto/code/queryRef"),
    change(Route::QueryRefund, Method::Post, "/pluto/code/queryRef/refund"),
    change(Route::StateByQr, Method::Post, "/pluto/code/transaction/stateByQr"),
    external(Route::CodeQuery, "/pluto/code/{code}"),
    change(Route::CodeEdit, Method::Put, "/pluto/code/{code}"),
    RouteSpec { max_body_bytes: 0, ..change(Route::CodeDelete, Method::Delete, "/pluto/code/{code}") },
    change(Route::CodeAmount, Method::Put, "/pluto/code/{code}/amount"),
    RouteSpec { max_body_bytes: 0, ..change(Route::CodeBlock, Method::Put, "/pluto/code/{code}/block") },
    RouteSpec { max_body_bytes: 0, ..change(Route::CodeUnblock, Method::Put, "/pluto/code/{code}/unblock") },
    external(Route::TransactionState, "/pluto/code/transaction/state/{transactionId}"),
    open(Route::LoginChallenge, "/authentication/login-challenges", LOGIN_QUERY, Answerer::Origin, false),
    RouteSpec {
        max_body_bytes: SMALL_JSON,
        method: Method::Post,
        ..open(Route::Login, "/authentication/login", NO_QUERY, Answerer::Origin, false)
    },
    RouteSpec {
        method: Method::Delete,
        audience: Audience::Authenticated,
        ..open(Route::Logout, "/authentication/sessions/{sessionId}", NO_QUERY, Answerer::Origin, false)
    },
    refund(Route::Reverse, Method::Delete, "/pluto/purchase/{transactionId}"),
    refund(Route::Refund, Method::Post, "/pluto/purchase/{transactionId}"),
    refund(Route::Refund, Method::Post, "/pluto/purchase/{transactionId}/refund"),
    v1(Route::V1New, Method::Post, "/v1/new"),
    v1(Route::V1Seq, Method::Get, "/v1/seq/{n}"),
    v1(Route::V1Capture, Method::Post, "/v1/transactions/{id}/capture"),
    v1(Route::V1Refund, Method::Post, "/v1/transactions/{id}/refund"),
    v1(Route::V1Void, Method::Post, "/v1/transactions/{id}/void"),
    v1(Route::V1Charge, Method::Post, "/v1/subscribers/{id}/charge"),
    v1(Route::V1Renew, Method::Post, "/v1/subscribers/{id}/renew"),
    RouteSpec { is_refund: true, ..area("/pluto/purchase/**", Role::External) },
    area("/pluto/remote/**", Role::Wallet),
    area("/pluto/provision/**", Role::Wallet),
    area("/pluto/provisioning/**", Role::Wallet),
    area("/pluto/stk/**", Role::Stk),
    internal(Route::VaultKey, Method::Get, "/pluto/internal/vault/key"),
    internal(Route::VaultSession, Method::Post, "/pluto/internal/vault/sessions"),
    internal(Route::CardStore, Method::Post, "/pluto/internal/vault/cards"),
    internal(Route::CardRead, Method::Post, "/pluto/internal/vault/cards/{token}/read"),
    internal(Route::CardShow, Method::Get, "/pluto/internal/vault/cards/{token}"),
    internal(Route::CardDelete, Method::Delete, "/pluto/internal/vault/cards/{token}"),
];

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
    if path.starts_with(V1) { Dialect::Line } else { Dialect::Problem }
}

impl RouteSpec {
    /// Where the row exists.
    #[must_use]
    pub fn door(&self) -> Door {
        if self.answerer == Answerer::OriginInternal { Door::Internal } else { Door::Public }
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

const fn open(route: Route, path: &'static str, query: Query, answerer: Answerer, is_page: bool) -> RouteSpec {
    RouteSpec {
        route,
        method: Method::Get,
        path,
        audience: Audience::Anyone,
        max_body_bytes: 0,
        body_type: BodyType::Json,
        query,
        answerer,
        is_page,
        is_framed: false,
        dialect: Dialect::Problem,
        deadline_ms: READ_MS,
        is_refund: false,
    }
}

const fn external(route: Route, path: &'static str) -> RouteSpec {
    RouteSpec { audience: EXTERNAL, ..open(route, path, NO_QUERY, Answerer::Origin, false) }
}

/// A call that changes something, or asks with a body.
const fn change(route: Route, method: Method, path: &'static str) -> RouteSpec {
    RouteSpec { method, max_body_bytes: SMALL_JSON, ..external(route, path) }
}

/// A refund or a reversal: the acquirer is asked within it.
const fn refund(route: Route, method: Method, path: &'static str) -> RouteSpec {
    let max_body_bytes = if matches!(method, Method::Delete) { 0 } else { SMALL_JSON };
    RouteSpec { is_refund: true, max_body_bytes, deadline_ms: ACT_MS, ..change(route, method, path) }
}

/// The other dialect: text amounts, errors of one line.
const fn v1(route: Route, method: Method, path: &'static str) -> RouteSpec {
    let max_body_bytes = if matches!(method, Method::Get) { 0 } else { V1_BODY };
    RouteSpec { method, max_body_bytes, dialect: Dialect::Line, ..external(route, path) }
}

/// A form that a bank's page posts through the payer's browser, answered with a page in a frame of ours.
const fn framed(route: Route, path: &'static str) -> RouteSpec {
    RouteSpec {
        method: Method::Post,
        max_body_bytes: MAX_BODY_BYTES,
        body_type: BodyType::Form,
        is_framed: true,
        ..open(route, path, NO_QUERY, Answerer::Origin, true)
    }
}

/// What the reference promises to a role and we do not serve yet: 401 and 403 as if we did, then 404.
const fn area(path: &'static str, role: Role) -> RouteSpec {
    RouteSpec {
        method: Method::Any,
        audience: Audience::Role(role),
        max_body_bytes: MAX_BODY_BYTES,
        ..open(Route::Unserved, path, Query::Any, Answerer::Origin, false)
    }
}

const fn internal(route: Route, method: Method, path: &'static str) -> RouteSpec {
    RouteSpec {
        method,
        audience: Audience::Role(Role::Internal),
        max_body_bytes: if matches!(method, Method::Post) { SMALL_JSON } else { 0 },
        ..open(route, path, NO_QUERY, Answerer::OriginInternal, false)
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
mod tests {
    use super::*;

    fn door_of(path: &str) -> Door {
        if path.starts_with("/pluto/internal/") { Door::Internal } else { Door::Public }
    }

    fn found(method: &str, path: &'static str) -> (Route, Option<&'static str>) {
        match resolve(method, path, door_of(path)) {
            Resolution::Found(hit) => (hit.spec.route, hit.parameter),
            other => panic!("{method} {path}: {other:?}"),
        }
    }

    #[test]
    fn every_row_is_found_by_its_own_path() {
        for spec in ROUTES {
            let path: &'static str = spec
                .path
                .replace("{code}", "0123456789")
                .replace("{image}", "0123456789.png")
                .replace("{asset}", "pay.js")
                .replace("{transactionId}", "81234")
                .replace("{id}", "81234")
                .replace("{n}", "0")
                .replace("{token}", "card_AAAAAAAAAAAAAAAAAAAAAA")
                .replace("{sessionId}", "c056b2d8-d6d1-4ea6-8752-e87f684b2903")
                .replace("**", "any/thing")
                .leak();
            let method = spec.method.names()[0];
            assert_eq!(found(method, path).0, spec.route, "{method} {path}");
            assert_eq!(crate::path::check(path), Ok(()));
            assert_eq!(spec.dialect, dialect(path), "{path}");
        }
    }

    #[test]
    fn aliases_lead_to_the_same_rows() {
        assert_eq!(found("GET", "/public/qr/0123456789"), (Route::QrImage, Some("0123456789")));
        assert_eq!(found("HEAD", "/pluto/public/stpqr/0123456789.svg"), (Route::QrImage, Some("0123456789.svg")));
        assert_eq!(found("GET", "/Q/0123456789"), (Route::PayPage, Some("0123456789")));
        assert_eq!(found("GET", "/q/0123456789"), (Route::PayPage, Some("0123456789")));
        assert_eq!(found("GET", "/pluto/code/transaction/state/7"), (Route::TransactionState, Some("7")));
    }

    #[test]
    fn other_methods_are_told_which_are_allowed_and_other_paths_do_not_exist() {
        let Resolution::MethodNotAllowed(allow) = resolve("DELETE", "/pluto/public/pay/0123456789", Door::Public)
        else {
            panic!()
        };
        assert_eq!(allow, "GET, HEAD, POST");
        let Resolution::MethodNotAllowed(allow) = resolve("GET", "/pluto/code/create", Door::Public) else { panic!() };
        assert_eq!(allow, "POST");
        for path in ["/", "/pluto", "/pluto/internal/vault/cards", "/pluto/code", "/PLUTO/code/create", "/public", "/Q"]
        {
            assert!(matches!(resolve("GET", path, Door::Public), Resolution::NotFound), "{path}");
        }
    }

    #[test]
    fn no_row_exists_at_both_doors() {
        for spec in ROUTES {
            let (path, method) = (spec.path, spec.method.names()[0]);
            let is_internal = spec.door() == Door::Internal;
            assert_eq!(path.starts_with("/pluto/internal/"), is_internal, "{path}");
            assert_eq!(spec.audience == Audience::Role(Role::Internal), is_internal, "{path}");
            let other = if is_internal { Door::Public } else { Door::Internal };
            for method in [method, "GET", "POST", "DELETE", "TRACE"] {
                assert!(matches!(resolve(method, path, other), Resolution::NotFound), "{method} {path}");
            }
        }
        let path = "/pluto/internal/vault/cards/card_A";
        assert_eq!(found("POST", "/pluto/internal/vault/cards/card_A/read"), (Route::CardRead, Some("card_A")));
        assert_eq!(found("DELETE", path), (Route::CardDelete, Some("card_A")));
        let Resolution::MethodNotAllowed(allow) = resolve("POST", path, Door::Internal) else { panic!() };
        assert_eq!(allow, "GET, HEAD, DELETE");
    }

    #[test]
    fn areas_ask_who_comes_and_what_is_served_in_them_wins() {
        assert_eq!(found("PUT", "/pluto/stk/push/1"), (Route::Unserved, None));
        assert_eq!(found("DELETE", "/pluto/purchase/81234"), (Route::Reverse, Some("81234")));
        assert_eq!(found("PUT", "/pluto/purchase/81234"), (Route::Unserved, None));
        for path in ["/pluto/stk", "/pluto/stk/", "/pluto/stkx/a", "/authentication/sessions/", "/authentication"] {
            assert!(matches!(resolve("GET", path, Door::Public), Resolution::NotFound), "{path}");
        }
        let last_served = ROUTES.iter().rposition(|spec| spec.door() == Door::Public && spec.route != Route::Unserved);
        assert!(last_served < ROUTES.iter().position(|spec| spec.route == Route::Unserved));
    }

    #[test]
    fn refunds_and_reversals_have_a_status_of_their_own_where_it_is_asked_for() {
        let Resolution::Found(hit) = resolve("DELETE", "/pluto/purchase/81234", Door::Public) else { panic!() };
        assert_eq!(hit.spec.in_dialect(Problem::BadCredentials, true), Problem::SecurityViolation);
        assert_eq!(hit.spec.in_dialect(Problem::BadCredentials, false), Problem::BadCredentials);
        assert_eq!(hit.spec.in_dialect(Problem::Forbidden, true), Problem::Forbidden);
        let Resolution::Found(hit) = resolve("GET", "/pluto/code/0123456789", Door::Public) else { panic!() };
        assert_eq!(hit.spec.in_dialect(Problem::BadCredentials, true), Problem::BadCredentials);
    }

    #[test]
    fn a_login_challenge_is_never_asked_for_twice() {
        for spec in ROUTES {
            let expected = spec.method == Method::Get && spec.route != Route::LoginChallenge;
            assert_eq!(spec.is_repeatable(), expected, "{}", spec.path);
        }
    }

    #[test]
    fn unknown_query_names_are_refused_where_it_matters() {
        let Resolution::Found(hit) = resolve("GET", "/pluto/code/0123456789", Door::Public) else { panic!() };
        assert_eq!(check_query(hit.spec, Some("a=1")), Err(Problem::BadRequest));
        assert_eq!(check_query(hit.spec, None), Ok(()));
    }
}
