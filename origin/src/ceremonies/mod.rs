//! What operators and custodians do, on the admin listeners: init, unseal, seal, accounts, open transactions.
//!
//! A listener is a Unix socket, where the kernel says who is at the other end (SO_PEERCRED), or TLS with a client
//! certificate. Who that is, [`operators`] says; what they may do, [`ROUTES`]. Every step is logged with the operator's
//! name, refusals too.

mod accounts;
mod audit;
mod authority;
mod custodians;
mod enrolment;
mod keys;
mod modes;
pub mod operators;
mod passwords;
mod reconcile;
mod reencrypt;
mod reshare;
mod throttle;
mod transactions;
mod vault;
mod wallet;

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Method;
use scanvault_protocol::Problem;
use serde::de::DeserializeOwned;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::db::Db;
use crate::identity::Identity;
use crate::payments::wallet::Wallet;
use crate::vault::{MemoryProtection, SealedError, Vault};
use crate::web::ApiError;
use crate::web::listener::Peer;
use authority::Authority;
use operators::{Operator, Role, Roster};
use throttle::Throttle;

pub use keys::KeyPolicy;
pub use reencrypt::Step;

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
    AccountMobilePayWebhook,
    IdentityKey,
    Unsettled,
    Settle,
    WalletReports,
    WalletReportAgain,
    ReconcilePage,
    ReconcileTransactions,
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
    row(Method::POST, "/accounts/{name}/mobilepay-webhook", Needs::Operator, Action::AccountMobilePayWebhook),
    row(Method::GET, "/identity/public-key", Needs::Either, Action::IdentityKey),
    row(Method::GET, "/transactions/unsettled", Needs::Either, Action::Unsettled),
    row(Method::POST, "/transactions/{id}/settle", Needs::Operator, Action::Settle),
    row(Method::GET, "/transactions/reports", Needs::Either, Action::WalletReports),
    row(Method::POST, "/transactions/{id}/report", Needs::Operator, Action::WalletReportAgain),
    row(Method::POST, "/reconciliation/acts", Needs::Either, Action::ReconcilePage),
    row(Method::POST, "/reconciliation/transactions", Needs::Either, Action::ReconcileTransactions),
];

const fn row(method: Method, pattern: &'static str, needs: Needs, action: Action) -> AdminRoute {
    AdminRoute { method, pattern, needs, action }
}

/// What the ceremonies work on.
pub struct Admin {
    /// Where it is written.
    pub db: Db,
    /// Who calls the API, and with what.
    pub identity: Arc<Identity>,
    /// What is sealed and unsealed.
    pub vault: Arc<Vault>,
    /// What is written down of it.
    pub audit: Arc<Audit>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Paying with MobilePay.
    pub wallet: Arc<Wallet>,
    /// Who may call.
    pub operators: Roster,
    /// What was achieved at start, for the status.
    pub memory: MemoryProtection,
    /// Development: webhook addresses on loopback are taken.
    pub allow_local_callbacks: bool,
    /// Rung when the vault opens: deliveries may be waiting.
    pub bell: Arc<tokio::sync::Notify>,
    /// When a new data key is due.
    pub key_policy: KeyPolicy,
    /// What a ceremony remembers between two calls.
    pub remembered: Remembered,
}

/// What is remembered between two calls, in this process only.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Refused shares.
    throttle: Throttle,
    /// Shares of the present custodians for a re-share.
    authority: Mutex<Option<Authority>>,
    /// The data key and how many of its uses are written down but not used yet.
    reserved_uses: tokio::sync::Mutex<(u32, u64)>,
}

/// A request that may be carried out.
#[derive(Debug)]
pub struct Admitted<'a> {
    /// Its row.
    pub route: &'static AdminRoute,
    /// The segment that the row's parameter stands for; empty without one.
    pub parameter: &'a str,
    /// Who calls.
    pub operator: Operator,
}

/// One call of the CLI.
pub struct AdminCall<'a> {
    /// What is called.
    pub action: Action,
    /// The path's parameter; empty without one.
    pub parameter: &'a str,
    /// The whole body.
    pub body: Bytes,
    /// Who calls. Has the role that the action needs.
    pub operator: Operator,
}

impl AdminCall<'_> {
    fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::because(Problem::BadRequest, format!("the request is not valid: {error}")))
    }
}

impl Needs {
    /// Whether somebody with these roles may.
    #[must_use]
    pub fn allow(self, roles: operators::Roles) -> bool {
        match self {
            Self::Operator => roles.has(Role::Operator),
            Self::Auditor => roles.has(Role::Auditor),
            Self::Either => roles.has(Role::Operator) || roles.has(Role::Auditor),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Operator => Role::Operator.as_str(),
            Self::Auditor => Role::Auditor.as_str(),
            Self::Either => "operator or auditor",
        }
    }
}

impl Admin {
    /// Says who calls and what, before anything of the body is read. A stranger learns nothing of the paths.
    ///
    /// # Errors
    /// [`Problem::Forbidden`] for a peer that is no operator and for a role that is missing, [`Problem::NotFound`] for a
    /// path that is not ours.
    pub fn admit<'a>(&self, method: &Method, path: &'a str, peer: Option<Peer>) -> Result<Admitted<'a>, ApiError> {
        let found = resolve(method, path);
        let name = found.map_or("unknown", |(route, _)| route.pattern);
        let known = peer.and_then(|peer| self.operators.live().find(peer).cloned());
        let Some(operator) = known else {
            let peer = peer.map_or_else(|| "nobody".to_owned(), |peer| peer.to_string());
            tracing::warn!(peer, path = name, "admin call refused: not an operator");
            return Err(ApiError::because(Problem::Forbidden, format!("{peer} is not an operator")));
        };
        let (route, parameter) = found.ok_or(Problem::NotFound)?;
        if !route.needs.allow(operator.roles) {
            let (needs, Operator { name: operator, roles }) = (route.needs.as_str(), &operator);
            tracing::warn!(operator, %roles, needs, path = name, "admin call refused: role missing");
            let text = format!("this needs the role {needs}; {operator} has {roles}");
            return Err(ApiError::because(Problem::Forbidden, text));
        }
        Ok(Admitted { route, parameter, operator })
    }

    /// Carries a call out; `None` for what `ops` answers.
    ///
    /// # Errors
    /// As the ceremony says.
    pub async fn call(&self, call: &AdminCall<'_>) -> Option<Result<Response, ApiError>> {
        Some(match call.action {
            Action::Metrics | Action::Live | Action::Ready => return None,
            Action::Operators => Ok(Json(self.operators.live().to_json()).into_response()),
            Action::WhoAmI => Ok(Json(call.operator.to_json()).into_response()),
            Action::VaultStatus => self.vault_status().await,
            Action::VaultInit => self.vault_init(call).await,
            Action::VaultShares => self.vault_shares().await,
            Action::VaultUnseal => self.vault_unseal(call).await,
            Action::VaultUnsealReset => self.vault_unseal_reset(call).await,
            Action::VaultProve => self.vault_prove(call).await,
            Action::VaultSeal => self.vault_seal(call).await,
            Action::ReshareStart => self.reshare_start(call).await,
            Action::ReshareSubmit => self.reshare_submit(call).await,
            Action::ReshareProve => self.reshare_prove(call).await,
            Action::ReshareCancel => self.reshare_cancel(call).await,
            Action::ReshareShow => self.reshare_answer().await,
            Action::ReshareShares => self.reshare_shares().await,
            Action::Keys => self.keys_list().await,
            Action::KeyRotate => self.key_rotate(call).await,
            Action::KeyDestroy => self.key_destroy(call).await,
            Action::ReencryptStart => self.reencrypt_start(call).await,
            Action::ReencryptShow => self.reencrypt_show().await,
            Action::AuditKeys => Ok(self.audit_keys()),
            Action::AuditSnapshot => self.audit_snapshot().await,
            Action::AuditLast => self.audit_last(call).await,
            Action::AuditPage => self.audit_page(call).await,
            Action::AuditHashes => self.audit_hashes(call).await,
            Action::AuditValue => self.audit_value(call).await,
            Action::AccountCreate => self.account_create(call).await,
            Action::AccountShow => self.account_show(call).await,
            Action::AccountList => self.account_list().await,
            Action::AccountRotate => self.account_rotate(call).await,
            Action::AccountKeys => self.account_keys(call).await,
            Action::AccountSwitch => self.account_switch(call).await,
            Action::AccountSuspend => self.account_suspend(call).await,
            Action::AccountResume => self.account_resume(call).await,
            Action::AccountEnrol => self.account_enrol(call).await,
            Action::AccountMobilePayWebhook => self.account_mobilepay_webhook(call).await,
            Action::IdentityKey => self.identity_key().await,
            Action::Unsettled => self.transactions_unsettled().await,
            Action::Settle => self.transaction_settle(call).await,
            Action::WalletReports => self.wallet_reports().await,
            Action::WalletReportAgain => self.wallet_report_again(call).await,
            Action::ReconcilePage => self.reconcile_page(call).await,
            Action::ReconcileTransactions => self.reconcile_transactions(call).await,
        })
    }
}

/// Another process was first; what it did is to be looked at before one goes on.
fn changed_meanwhile() -> ApiError {
    ApiError::because(Problem::Conflict, "the vault was changed by another process meanwhile: look at the status")
}

fn sealed_problem(error: SealedError) -> ApiError {
    ApiError::because(Problem::Sealed, error.to_string())
}

/// The row of a path, and its parameter.
fn resolve<'a>(method: &Method, path: &'a str) -> Option<(&'static AdminRoute, &'a str)> {
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
            if route.method != Method::GET && !matches!(route.action, Action::AuditPage | Action::AuditHashes) {
                assert_ne!(route.needs, Needs::Either, "{}: what changes something needs a role", route.pattern);
            }
        }
    }
}
