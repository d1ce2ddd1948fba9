//! The rows. A row begins as what it is for, by its audience, and says only what it has beside that.

use super::{Answerer, Audience, BodyType, Dialect, Method, Query, Route, RouteSpec};
use crate::account::Role;

/// The largest body of any route in bytes; bodies are buffered whole and digested before they are sent.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// What Scanpay's interface takes in headers: its documented 4 kB.
pub const V1_HEADER_BYTES: usize = 4 * 1024;

/// Below it everything is Scanpay's interface.
pub(super) const V1: &str = "/v1/";
/// What that takes in a body: its documented 32 kB.
const V1_BODY: usize = 32 * 1000;
const SMALL_JSON: usize = 16 * 1024;

const READ_MS: u32 = 8_000;
/// No database is asked: who does not answer by then does not answer.
const STATE_MS: u32 = 2_000;
/// One acquirer call (origin: 16 s), and what is written around it.
const ACT_MS: u32 = 25_000;
/// Longer than the acquirer call inside it (origin: 40 s), so that the payer is told what the origin knows.
const PAY_MS: u32 = 55_000;

/// The table. Order matters only where a literal segment and a parameter could both match: the first row wins.
pub const ROUTES: &[RouteSpec] = &[
    open(Route::Monitor, "/pluto/public/monitor").any_query().at_edge(),
    open(Route::PayPage, "/pluto/public/pay/{code}").any_query().page(),
    open(Route::PayPage, "/q/{code}").any_query().page(),
    open(Route::Pay, "/pluto/public/pay/{code}").post(SMALL_JSON).within(PAY_MS),
    open(Route::PayWallet, "/pluto/public/pay/{code}/mobilepay").post(SMALL_JSON).within(PAY_MS),
    open(Route::PayState, "/pluto/public/pay/{code}/state").query(&["attempt"]),
    open(Route::ThreeDsMethod, "/pluto/public/3ds/method/{id}").form().framed(),
    open(Route::ThreeDsChallenge, "/pluto/public/3ds/challenge/{id}").form().framed(),
    open(Route::Asset, "/pluto/public/assets/{asset}").any_query(),
    open(Route::QrImage, "/pluto/public/qr/{image}").any_query().at_edge(),
    open(Route::QrImage, "/pluto/public/stpqr/{image}").any_query().at_edge(),
    open(Route::QrImage, "/pluto/public/zimswitch/{image}").any_query().at_edge(),
    external(Route::CodeCreate, "/pluto/code/create").post(MAX_BODY_BYTES),
    external(Route::QueryReference, "/pluto/code/queryRef").post(SMALL_JSON),
    external(Route::QueryRefund, "/pluto/code/queryRef/refund").post(SMALL_JSON),
    external(Route::StateByQr, "/pluto/code/transaction/stateByQr").post(SMALL_JSON),
    external(Route::CodeQuery, "/pluto/code/{code}"),
    external(Route::CodeEdit, "/pluto/code/{code}").put(SMALL_JSON),
    external(Route::CodeDelete, "/pluto/code/{code}").delete(),
    external(Route::CodeAmount, "/pluto/code/{code}/amount").put(SMALL_JSON),
    external(Route::CodeBlock, "/pluto/code/{code}/block").put(0),
    external(Route::CodeUnblock, "/pluto/code/{code}/unblock").put(0),
    external(Route::TransactionState, "/pluto/code/transaction/state/{transactionId}"),
    open(Route::LoginChallenge, "/authentication/login-challenges").query(&["identity", "clientChallenge"]),
    open(Route::Login, "/authentication/login").post(SMALL_JSON),
    open(Route::Logout, "/authentication/sessions/{sessionId}").delete().only(Audience::Authenticated),
    external(Route::Reverse, "/pluto/purchase/{transactionId}").delete().gives_back().within(ACT_MS),
    external(Route::Refund, "/pluto/purchase/{transactionId}").post(SMALL_JSON).gives_back().within(ACT_MS),
    external(Route::Refund, "/pluto/purchase/{transactionId}/refund").post(SMALL_JSON).gives_back().within(ACT_MS),
    v1(Route::V1New, "/v1/new").post(V1_BODY),
    v1(Route::V1Seq, "/v1/seq/{n}"),
    v1(Route::V1Capture, "/v1/transactions/{id}/capture").post(V1_BODY),
    v1(Route::V1Refund, "/v1/transactions/{id}/refund").post(V1_BODY),
    v1(Route::V1Void, "/v1/transactions/{id}/void").post(V1_BODY),
    v1(Route::V1Charge, "/v1/subscribers/{id}/charge").post(V1_BODY),
    v1(Route::V1Renew, "/v1/subscribers/{id}/renew").post(V1_BODY),
    area("/pluto/purchase/**", Role::External).gives_back(),
    area("/pluto/remote/**", Role::Wallet),
    area("/pluto/provision/**", Role::Wallet),
    area("/pluto/provisioning/**", Role::Wallet),
    area("/pluto/stk/**", Role::Stk),
    internal(Route::VaultKey, "/pluto/internal/vault/key"),
    internal(Route::VaultSession, "/pluto/internal/vault/sessions").post(SMALL_JSON),
    internal(Route::CardStore, "/pluto/internal/vault/cards").post(SMALL_JSON),
    internal(Route::CardRead, "/pluto/internal/vault/cards/{token}/read").post(SMALL_JSON),
    internal(Route::CardShow, "/pluto/internal/vault/cards/{token}"),
    internal(Route::CardDelete, "/pluto/internal/vault/cards/{token}").delete(),
    open(Route::RegionState, "/pluto/internal/region").for_edges(),
];

/// What anybody may read without a body or a query, answered by the origin: what every row begins as.
const fn open(route: Route, path: &'static str) -> RouteSpec {
    RouteSpec {
        route,
        method: Method::Get,
        path,
        audience: Audience::Anyone,
        max_body_bytes: 0,
        body_type: BodyType::Json,
        query: Query::Only(&[]),
        answerer: Answerer::Origin,
        is_page: false,
        is_framed: false,
        dialect: Dialect::Problem,
        deadline_ms: READ_MS,
        is_refund: false,
    }
}

/// For merchants and those who act for them.
const fn external(route: Route, path: &'static str) -> RouteSpec {
    open(route, path).only(Audience::Role(Role::External))
}

/// The other dialect: text amounts, errors of one line.
const fn v1(route: Route, path: &'static str) -> RouteSpec {
    RouteSpec { dialect: Dialect::Line, body_type: BodyType::LooseJson, ..external(route, path) }
}

/// What the reference promises to a role and we do not serve yet: 401 and 403 as if we did, then 404.
const fn area(path: &'static str, role: Role) -> RouteSpec {
    open(Route::Unserved, path).any_query().takes(Method::Any, MAX_BODY_BYTES).only(Audience::Role(role))
}

/// For systems of the same operator.
const fn internal(route: Route, path: &'static str) -> RouteSpec {
    RouteSpec { answerer: Answerer::OriginInternal, ..open(route, path).only(Audience::Role(Role::Internal)) }
}

/// What a row may have beside what it begins as.
impl RouteSpec {
    const fn only(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    const fn takes(self, method: Method, max_body_bytes: usize) -> Self {
        Self { method, max_body_bytes, ..self }
    }

    const fn post(self, max_body_bytes: usize) -> Self {
        self.takes(Method::Post, max_body_bytes)
    }

    const fn put(self, max_body_bytes: usize) -> Self {
        self.takes(Method::Put, max_body_bytes)
    }

    const fn delete(self) -> Self {
        self.takes(Method::Delete, 0)
    }

    /// A form that a bank's page posts through the payer's browser.
    const fn form(self) -> Self {
        Self { body_type: BodyType::Form, ..self.post(MAX_BODY_BYTES) }
    }

    const fn any_query(self) -> Self {
        Self { query: Query::Any, ..self }
    }

    const fn query(self, names: &'static [&'static str]) -> Self {
        Self { query: Query::Only(names), ..self }
    }

    const fn at_edge(self) -> Self {
        Self { answerer: Answerer::Edge, ..self }
    }

    /// What an edge asks for itself.
    const fn for_edges(self) -> Self {
        Self { answerer: Answerer::OriginToEdge, ..self.within(STATE_MS) }
    }

    const fn within(self, deadline_ms: u32) -> Self {
        Self { deadline_ms, ..self }
    }

    const fn page(self) -> Self {
        Self { is_page: true, ..self }
    }

    /// A page in a frame of ours.
    const fn framed(self) -> Self {
        Self { is_framed: true, ..self.page() }
    }

    /// A refund or a reversal.
    const fn gives_back(self) -> Self {
        Self { is_refund: true, ..self }
    }
}
