//! What operators and custodians do, on the admin listener: init, unseal, seal, accounts, open transactions.
//!
//! The listener is a Unix socket; who is at the other end is known from the kernel (SO_PEERCRED). Only the user that the
//! origin runs as, and root, get an answer. Every step is logged with the operator's user number, refusals too.

mod accounts;
mod transactions;
mod vault;

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::Method;
use scanvault_protocol::Problem;
use serde::de::DeserializeOwned;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::db::Db;
use crate::vault::{MemoryProtection, Vault};
use crate::web::ApiError;
use crate::web::listener::Peer;

/// What the ceremonies work on.
pub struct Admin {
    /// Where it is written.
    pub db: Db,
    /// What is sealed and unsealed.
    pub vault: Arc<Vault>,
    /// What is written down of it.
    pub audit: Arc<Audit>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What was achieved at start, for the status.
    pub memory: MemoryProtection,
    /// Development: webhook addresses on loopback are taken.
    pub allow_local_callbacks: bool,
    /// Rung when the vault opens: deliveries may be waiting.
    pub bell: Arc<tokio::sync::Notify>,
}

/// One call of the CLI.
pub struct AdminCall<'a> {
    /// GET, POST.
    pub method: &'a Method,
    /// The path.
    pub path: &'a str,
    /// The whole body.
    pub body: Bytes,
    /// Who calls.
    pub peer: Peer,
}

impl AdminCall<'_> {
    fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::because(Problem::BadRequest, format!("the request is not valid: {error}")))
    }
}

impl Admin {
    /// Refuses whoever is neither the origin's own user nor root.
    ///
    /// # Errors
    /// [`Problem::Forbidden`].
    pub fn check_peer(peer: Option<Peer>) -> Result<Peer, ApiError> {
        let own = rustix::process::getuid().as_raw();
        peer.filter(|peer| peer.uid == own || peer.uid == 0).ok_or_else(|| Problem::Forbidden.into())
    }

    /// Carries a call out; `None` when the path is not one of ours.
    ///
    /// # Errors
    /// As the ceremony says.
    pub async fn call(&self, call: &AdminCall<'_>) -> Option<Result<Response, ApiError>> {
        let segments: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        Some(match (call.method, segments.as_slice()) {
            (&Method::GET, ["vault", "status"]) => Ok(self.vault_status()),
            (&Method::POST, ["vault", "init"]) => self.vault_init(call).await,
            (&Method::GET, ["vault", "shares"]) => self.vault_shares().await,
            (&Method::POST, ["vault", "unseal"]) => self.vault_unseal(call).await,
            (&Method::POST, ["vault", "seal"]) => Ok(self.vault_seal(call.peer)),
            (&Method::POST, ["accounts"]) => self.account_create(call).await,
            (&Method::GET, ["accounts", name]) => self.account_show(name).await,
            (&Method::POST, ["accounts", name, "rotate"]) => self.account_rotate(name, call.peer).await,
            (&Method::GET, ["transactions", "unsettled"]) => self.transactions_unsettled().await,
            (&Method::POST, ["transactions", id, "settle"]) => self.transaction_settle(id, call).await,
            _ => return None,
        })
    }
}
