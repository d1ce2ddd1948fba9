//! The ceremonies of the vault.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Admin, AdminCall};
use crate::vault::initialise;
use crate::vault::store::{self, SealedShare};
use crate::vault::{Custodian, Quorum, Submitted, SystemEntropy, VaultStatus};
use crate::web::ApiError;
use crate::web::listener::Peer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InitBody {
    threshold: u8,
    custodians: Vec<CustodianBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustodianBody {
    name: String,
    recipient: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnsealBody {
    share: Zeroizing<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitAnswer {
    set_id: String,
    threshold: u8,
    shares: Vec<ShareAnswer>,
}

#[derive(Serialize)]
struct ShareAnswer {
    custodian: String,
    index: u8,
    fingerprint: String,
    armored: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusAnswer {
    #[serde(flatten)]
    vault: VaultStatus,
    memory: crate::vault::MemoryProtection,
}

impl ShareAnswer {
    fn of(share: SealedShare) -> Self {
        let fingerprint = Custodian::parse(&share.recipient).map(|key| key.fingerprint()).unwrap_or_default();
        Self { custodian: share.custodian, index: share.index, fingerprint, armored: share.armored }
    }
}

impl Admin {
    pub(super) fn vault_status(&self) -> Response {
        let vault = self.vault.status(self.clock.now_ms());
        Json(StatusAnswer { vault, memory: self.memory.now() }).into_response()
    }

    /// Deals the shares, each encrypted to its custodian before it leaves this function, and stores the vault. It stays
    /// sealed: the custodians open it.
    pub(super) async fn vault_init(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: InitBody = call.json()?;
        let custodians = parse_custodians(&body)?;
        let total = u8::try_from(custodians.len()).unwrap_or(u8::MAX);
        let quorum = Quorum::new(body.threshold, total).map_err(|error| refused(&error))?;
        if self.vault.status(self.clock.now_ms()).initialized {
            return Err(ApiError::because(Problem::Conflict, "the vault is initialised already"));
        }
        let new = initialise(quorum, self.clock.now_ms(), &mut SystemEntropy::new())
            .map_err(|error| ApiError::internal(&error))?;
        let mut sealed = Vec::new();
        for (share, (name, custodian)) in new.shares.iter().zip(&custodians) {
            let armored = custodian.encrypt(&share.to_text()).map_err(|error| ApiError::internal(&error))?;
            let recipient = custodian.to_string();
            sealed.push(SealedShare { index: share.index(), custodian: name.clone(), recipient, armored });
        }
        store::create(&self.db, &new.record, &sealed, self.clock.now_db()).await.map_err(|error| {
            if error.is_duplicate() {
                ApiError::because(Problem::Conflict, "the vault is initialised already")
            } else {
                error.into()
            }
        })?;
        let set_id = new.record.share_set.set_id().to_string();
        self.vault.install(new.record).map_err(|error| refused(&error))?;
        tracing::warn!(operator_uid = call.peer.uid, set_id, threshold = body.threshold, total, "vault initialised");
        let shares = sealed.into_iter().map(ShareAnswer::of).collect();
        Ok(Json(InitAnswer { set_id, threshold: body.threshold, shares }).into_response())
    }

    /// The shares as they are kept: each only for its custodian's key. For files that were lost on their way.
    pub(super) async fn vault_shares(&self) -> Result<Response, ApiError> {
        let shares: Vec<ShareAnswer> = store::sealed_shares(&self.db).await?.into_iter().map(ShareAnswer::of).collect();
        Ok(Json(serde_json::json!({"shares": shares})).into_response())
    }

    /// Takes one share. A wrong one is refused alone, by name; the ones before it stay.
    pub(super) async fn vault_unseal(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: UnsealBody = call.json()?;
        self.load_if_new().await?;
        match self.vault.submit_share(&body.share, self.clock.now_ms()) {
            Ok(Submitted::Progress { index, progress }) => {
                let have = progress.submitted.len();
                tracing::warn!(
                    operator_uid = call.peer.uid,
                    share = index,
                    have,
                    need = progress.threshold,
                    "share accepted"
                );
            }
            Ok(Submitted::Unsealed { index }) => {
                tracing::warn!(operator_uid = call.peer.uid, share = index, "vault unsealed");
                self.bell.notify_one();
            }
            Err(error) => {
                tracing::warn!(operator_uid = call.peer.uid, cause = %error, "share refused");
                return Err(refused(&error));
            }
        }
        Ok(self.vault_status())
    }

    /// One person suffices.
    pub(super) fn vault_seal(&self, peer: Peer) -> Response {
        let was_open = self.vault.seal();
        tracing::warn!(operator_uid = peer.uid, was_open, "vault sealed");
        self.vault_status()
    }

    /// Another origin on the same database may have run the init ceremony since we started.
    async fn load_if_new(&self) -> Result<(), ApiError> {
        if self.vault.status(self.clock.now_ms()).initialized {
            return Ok(());
        }
        if let Some(record) = store::load(&self.db).await? {
            self.vault.reload(record).map_err(|error| ApiError::internal(&error))?;
        }
        Ok(())
    }
}

fn parse_custodians(body: &InitBody) -> Result<Vec<(String, Custodian)>, ApiError> {
    let mut custodians: Vec<(String, Custodian)> = Vec::new();
    for CustodianBody { name, recipient } in &body.custodians {
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !name.starts_with('.');
        if !is_name || custodians.iter().any(|(other, _)| other == name) {
            return Err(ApiError::because(Problem::BadRequest, "custodians need distinct plain names"));
        }
        let custodian = Custodian::parse(recipient)
            .map_err(|error| ApiError::because(Problem::BadRequest, format!("{name}: {error}")))?;
        if custodians.iter().any(|(_, other)| other.to_string() == custodian.to_string()) {
            return Err(ApiError::because(Problem::BadRequest, "two custodians must not have the same key"));
        }
        custodians.push((name.clone(), custodian));
    }
    Ok(custodians)
}

/// Operators are told exactly what is wrong: the texts hold indices and names, never a share.
fn refused(error: &dyn std::error::Error) -> ApiError {
    ApiError::because(Problem::Conflict, error.to_string())
}
