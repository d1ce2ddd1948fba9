//! Every path of the admin listeners, what it does, and who may call it.

use http::Method;

use super::operators::{Role, Roles};

/// Who may call a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// It changes something: the role operator.
    Operator,
    /// It could be used to look for values: the role auditor.
    Auditor,
    /// It only reads: any operator or auditor.
    Either,
}

/// What a path does. [`Admin::call`] matches on it, so that nothing can be called that has no row in [`ROUTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the rows of ROUTES say what each is")]
pub enum Action {
    Metrics,
    Live,
    Ready,
    Operators,
    WhoAmI,
    VaultStatus,
    VaultInit,
    VaultShares,
    VaultUnseal,
    VaultUnsealReset,
    VaultProve,
    VaultSeal,
    ReshareStart,
    ReshareSubmit,
    ReshareProve,
    ReshareCancel,
    ReshareShow,
    ReshareShares,
    Keys,
    KeyRotate,
    KeyDestroy,
    ReencryptStart,
    ReencryptShow,
    AuditKeys,
    AuditSnapshot,
    AuditLast,
    AuditPage,
    AuditHashes,
    AuditValue,
    AccountCreate,
    AccountShow,
    AccountList,
    AccountRotate,
    AccountKeys,
    AccountSwitch,
    AccountSuspend,
    AccountResume,
    AccountEnrol,
    AccountSet,
    AccountCredentials,
    WebhookKey,
    WebhookSecret,
    WebhookTest,
    AccountMobilePayWebhook,
    IdentityKey,
    OutboxList,
    OutboxShow,
    OutboxReplay,
    Unsettled,
    Settle,
    WalletReports,
    WalletReportAgain,
    ReconcilePage,
    ReconcileTransactions,
    Region,
    RegionServe,
    RegionRelease,
}

/// A row of the admin table.
#[derive(Debug)]
pub struct AdminRoute {
    /// GET or POST.
    pub method: Method,
    /// Exact, but for one `{segment}` at most, which is the parameter.
    pub pattern: &'static str,
    /// Who may.
    pub needs: Needs,
    /// What it does.
    pub action: Action,
}

/// Every path of the admin listeners, and the role that it needs. There is no other table.
pub static ROUTES: &[AdminRoute] = &[
    row(Method::GET, "/metrics", Needs::Either, Action::Metrics),
    row(Method::GET, "/health/live", Needs::Either, Action::Live),
    row(Method::GET, "/health/ready", Needs::Either, Action::Ready),
    row(Method::GET, "/operators", Needs::Either, Action::Operators),
    row(Method::GET, "/operators/self", Needs::Either, Action::WhoAmI),
    row(Method::GET, "/vault/status", Needs::Either, Action::VaultStatus),
    row(Method::POST, "/vault/init", Needs::Operator, Action::VaultInit),
    row(Method::GET, "/vault/shares", Needs::Either, Action::VaultShares),
    row(Method::POST, "/vault/unseal", Needs::Operator, Action::VaultUnseal),
    row(Method::POST, "/vault/unseal/reset", Needs::Operator, Action::VaultUnsealReset),
    row(Method::POST, "/vault/prove", Needs::Operator, Action::VaultProve),
    row(Method::POST, "/vault/seal", Needs::Operator, Action::VaultSeal),
    row(Method::GET, "/vault/reshare", Needs::Either, Action::ReshareShow),
    row(Method::GET, "/vault/reshare/shares", Needs::Either, Action::ReshareShares),
    row(Method::POST, "/vault/reshare/start", Needs::Operator, Action::ReshareStart),
    row(Method::POST, "/vault/reshare/submit", Needs::Operator, Action::ReshareSubmit),
    row(Method::POST, "/vault/reshare/prove", Needs::Operator, Action::ReshareProve),
    row(Method::POST, "/vault/reshare/cancel", Needs::Operator, Action::ReshareCancel),
    row(Method::GET, "/vault/keys", Needs::Either, Action::Keys),
    row(Method::POST, "/vault/keys/rotate", Needs::Operator, Action::KeyRotate),
    row(Method::POST, "/vault/keys/destroy", Needs::Operator, Action::KeyDestroy),
    row(Method::GET, "/vault/reencrypt", Needs::Either, Action::ReencryptShow),
    row(Method::POST, "/vault/reencrypt", Needs::Operator, Action::ReencryptStart),
    row(Method::GET, "/audit/keys", Needs::Either, Action::AuditKeys),
    row(Method::GET, "/audit/snapshot", Needs::Either, Action::AuditSnapshot),
    row(Method::GET, "/audit/last/{count}", Needs::Either, Action::AuditLast),
    // What is asked for is long: POST, though they only read.
    row(Method::POST, "/audit/page", Needs::Either, Action::AuditPage),
    row(Method::POST, "/audit/hashes", Needs::Either, Action::AuditHashes),
    row(Method::POST, "/audit/value", Needs::Auditor, Action::AuditValue),
    row(Method::POST, "/accounts", Needs::Operator, Action::AccountCreate),
    row(Method::GET, "/accounts", Needs::Either, Action::AccountList),
    row(Method::GET, "/accounts/{name}", Needs::Either, Action::AccountShow),
    row(Method::POST, "/accounts/{name}/rotate", Needs::Operator, Action::AccountRotate),
    row(Method::GET, "/accounts/{name}/keys", Needs::Either, Action::AccountKeys),
    row(Method::POST, "/accounts/{name}/switch", Needs::Operator, Action::AccountSwitch),
    row(Method::POST, "/accounts/{name}/suspend", Needs::Operator, Action::AccountSuspend),
    row(Method::POST, "/accounts/{name}/resume", Needs::Operator, Action::AccountResume),
    row(Method::POST, "/accounts/{name}/enrol", Needs::Operator, Action::AccountEnrol),
    row(Method::POST, "/accounts/{name}/set", Needs::Operator, Action::AccountSet),
    row(Method::POST, "/accounts/{name}/credentials", Needs::Operator, Action::AccountCredentials),
    row(Method::POST, "/accounts/{name}/webhook-key", Needs::Operator, Action::WebhookKey),
    row(Method::POST, "/accounts/{name}/webhook-secret", Needs::Operator, Action::WebhookSecret),
    row(Method::POST, "/accounts/{name}/webhook-test", Needs::Operator, Action::WebhookTest),
    // What is asked for is long: POST, though it only reads.
    row(Method::POST, "/outbox/list", Needs::Either, Action::OutboxList),
    row(Method::GET, "/outbox/{id}", Needs::Either, Action::OutboxShow),
    row(Method::POST, "/outbox/replay", Needs::Operator, Action::OutboxReplay),
    row(Method::POST, "/accounts/{name}/mobilepay-webhook", Needs::Operator, Action::AccountMobilePayWebhook),
    row(Method::GET, "/identity/public-key", Needs::Either, Action::IdentityKey),
    row(Method::GET, "/transactions/unsettled", Needs::Either, Action::Unsettled),
    row(Method::POST, "/transactions/{id}/settle", Needs::Operator, Action::Settle),
    row(Method::GET, "/transactions/reports", Needs::Either, Action::WalletReports),
    row(Method::POST, "/transactions/{id}/report", Needs::Operator, Action::WalletReportAgain),
    row(Method::POST, "/reconciliation/acts", Needs::Either, Action::ReconcilePage),
    row(Method::POST, "/reconciliation/transactions", Needs::Either, Action::ReconcileTransactions),
    row(Method::GET, "/region", Needs::Either, Action::Region),
    row(Method::POST, "/region/serve", Needs::Operator, Action::RegionServe),
    row(Method::POST, "/region/release", Needs::Operator, Action::RegionRelease),
];

const fn row(method: Method, pattern: &'static str, needs: Needs, action: Action) -> AdminRoute {
    AdminRoute { method, pattern, needs, action }
}

impl Needs {
    /// Whether somebody with these roles may.
    #[must_use]
    pub fn allow(self, roles: Roles) -> bool {
        match self {
            Self::Operator => roles.has(Role::Operator),
            Self::Auditor => roles.has(Role::Auditor),
            Self::Either => roles.has(Role::Operator) || roles.has(Role::Auditor),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Operator => Role::Operator.as_str(),
            Self::Auditor => Role::Auditor.as_str(),
            Self::Either => "operator or auditor",
        }
    }
}

/// The row of a path, and its parameter.
pub(super) fn resolve<'a>(method: &Method, path: &'a str) -> Option<(&'static AdminRoute, &'a str)> {
    ROUTES
        .iter()
        .filter(|route| route.method == *method)
        .find_map(|route| Some((route, parameter(route.pattern, path)?)))
}

/// The segment in the place of the pattern's `{…}`, `""` where it has none; `None` when the path is another.
fn parameter<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let (mut expected, mut given) = (pattern.split('/'), path.split('/'));
    let mut parameter = "";
    loop {
        match (expected.next(), given.next()) {
            (None, None) => return Some(parameter),
            (Some(name), Some(segment)) if name.starts_with('{') && !segment.is_empty() => parameter = segment,
            (Some(name), Some(segment)) if name == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_exact() {
        assert_eq!(parameter("/a/{x}/b", "/a/merchant-1/b"), Some("merchant-1"));
        assert_eq!(parameter("/a", "/a"), Some(""));
        for (pattern, path) in [
            ("/a/{x}", "/a"),
            ("/a/{x}", "/a/"),
            ("/a/{x}", "/a/b/c"),
            ("/a/{x}", "//a/b"),
            ("/a/{x}", "a/b"),
            ("/a", "/a/"),
            ("/a", "/A"),
            ("/a", ""),
        ] {
            assert_eq!(parameter(pattern, path), None, "{pattern} {path}");
        }
    }

    #[test]
    fn no_two_rows_take_one_call_and_only_reads_are_open_to_either_role() {
        for (at, route) in ROUTES.iter().enumerate() {
            let path = route.pattern.replace(['{', '}'], "");
            let first = ROUTES
                .iter()
                .position(|other| other.method == route.method && parameter(other.pattern, &path).is_some());
            assert_eq!(first, Some(at), "{}", route.pattern);
            assert_eq!(ROUTES.iter().filter(|other| other.action == route.action).count(), 1, "{}", route.pattern);
            assert!(route.pattern.matches('{').count() <= 1, "{}", route.pattern);
            let is_long_question = matches!(
                route.action,
                Action::AuditPage
                    | Action::AuditHashes
                    | Action::OutboxList
                    | Action::ReconcilePage
                    | Action::ReconcileTransactions
            );
            if route.method != Method::GET && !is_long_question {
                assert_ne!(route.needs, Needs::Either, "{}: what changes something needs a role", route.pattern);
            }
        }
    }
}
