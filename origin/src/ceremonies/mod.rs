//! What operators and custodians do, on the admin listeners: init, unseal, seal, accounts, open transactions.
//!
//! A listener is a Unix socket, where the kernel says who is at the other end (SO_PEERCRED), or TLS with a client
//! certificate. Who that is, [`operators`] says; what they may do, [`ROUTES`]. Every step is logged with the operator's
//! name, refusals too.

mod accounts;
mod audit;
mod authority;
mod credentials;
mod custodians;
mod enrolment;
mod keys;
mod modes;
pub mod operators;
mod outbox;
mod passwords;
mod reconcile;
mod reencrypt;
mod region;
mod reshare;
mod routes;
mod settings;
mod throttle;
mod transactions;
mod vault;
mod wallet;
mod webhooks;

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Method;
use scanvault_protocol::Problem;
use serde::de::DeserializeOwned;

use crate::acquirers::Acquirers;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::db::Db;
use crate::identity::Identity;
use crate::outbox::Sender;
use crate::payments::wallet::Wallet;
use crate::vault::{MemoryProtection, SealedError, Vault};
use crate::web::listener::Peer;
use crate::web::{ApiError, json};
use authority::Authority;
use operators::{Operator, Roster};
use routes::resolve;
use throttle::Throttle;

pub use keys::KeyPolicy;
pub use reencrypt::Step;
pub use routes::{Action, AdminRoute, Needs, ROUTES};

/// What the ceremonies work on.
pub struct Admin {
    /// Where it is written, also by a region that stands by.
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
    /// Who can be routed to.
    pub acquirers: Acquirers,
    /// The way to merchants' receivers, and where they may be.
    pub sender: Arc<Sender>,
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
        if !json::is_shallow(&self.body) {
            return Err(ApiError::because(Problem::BadRequest, "the request is nested too deeply"));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::because(Problem::BadRequest, format!("the request is not valid: {error}")))
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
            Action::AccountSet => self.account_set(call).await,
            Action::AccountCredentials => self.account_credentials(call).await,
            Action::WebhookKey => self.webhook_key(call).await,
            Action::WebhookSecret => self.webhook_secret(call).await,
            Action::WebhookTest => self.webhook_test(call).await,
            Action::OutboxList => self.outbox_list(call).await,
            Action::OutboxShow => self.outbox_show(call).await,
            Action::OutboxReplay => self.outbox_replay(call).await,
            Action::IdentityKey => self.identity_key().await,
            Action::Unsettled => self.transactions_unsettled().await,
            Action::Settle => self.transaction_settle(call).await,
            Action::WalletReports => self.wallet_reports().await,
            Action::WalletReportAgain => self.wallet_report_again(call).await,
            Action::Region => self.region_show().await,
            Action::RegionServe => self.region_serve(call).await,
            Action::RegionRelease => self.region_release(call).await,
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
