//! Init, unseal, prove, seal, status.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::custodians::{self, CustodianBody};
use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::fault;
use crate::vault::store::{self, SealedShare};
use crate::vault::{
    Custodian, KeyKind, KeyState, MemoryProtection, Quorum, ShareSet, SubmitError, Submitted, SystemEntropy,
    VaultStatus, initialise,
};
use crate::web::ApiError;

const PROOF_TRIES: u32 = 5;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InitBody {
    threshold: u8,
    custodians: Vec<CustodianBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnsealBody {
    share: Zeroizing<String>,
    /// Of the collection that the share is meant for, where the custodian was told one.
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProveBody {
    share: Zeroizing<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitAnswer {
    set_id: String,
    threshold: u8,
    shares: Vec<ShareAnswer>,
}

/// A share as only its custodian can open it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShareAnswer {
    custodian: String,
    index: u8,
    fingerprint: String,
    proved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    armored: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusAnswer {
    #[serde(flatten)]
    vault: VaultStatus,
    /// Whether cards are taken: open, and every share proved.
    takes_cards: bool,
    custodians: Vec<ShareAnswer>,
    /// How often the data key in use has sealed, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_key_uses: Option<u64>,
    memory: MemoryProtection,
    #[serde(skip_serializing_if = "Option::is_none")]
    reshare: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reencryption: Option<Value>,
    audit: Value,
}

/// The part of the status that the database knows.
#[derive(Default)]
struct StoredStatus {
    custodians: Vec<ShareAnswer>,
    data_key_uses: Option<u64>,
    reshare: Option<Value>,
    reencryption: Option<Value>,
}

impl ShareAnswer {
    pub(super) fn of(share: SealedShare) -> Self {
        Self { armored: Some(share.armored.clone()), ..Self::without_text(share) }
    }

    pub(super) fn without_text(share: SealedShare) -> Self {
        let fingerprint = Custodian::parse(&share.recipient).map(|key| key.fingerprint()).unwrap_or_default();
        let proved = share.proved_at_ms.is_some();
        Self { custodian: share.custodian, index: share.index, fingerprint, proved, armored: None }
    }
}

impl Admin {
    /// What there is to know. Without its database the origin still says whether it is sealed.
    pub(super) async fn vault_status(&self) -> Result<Response, ApiError> {
        let stored = self.stored_status().await.unwrap_or_else(|error| {
            tracing::error!(?error, "the status is without what the database knows");
            StoredStatus::default()
        });
        Ok(Json(StatusAnswer {
            vault: self.vault.status(self.clock.now_ms()),
            takes_cards: self.vault.unsealed_for_cards().is_ok(),
            custodians: stored.custodians,
            data_key_uses: stored.data_key_uses,
            memory: self.memory.now(),
            reshare: stored.reshare,
            reencryption: stored.reencryption,
            audit: self.audit_status().await,
        })
        .into_response())
    }

    async fn stored_status(&self) -> Result<StoredStatus, ApiError> {
        self.refresh().await?;
        let custodians = match self.vault.share_set() {
            Some(set) => store::sealed_shares(&self.db, &set).await?,
            None => Vec::new(),
        };
        let status = self.vault.status(self.clock.now_ms());
        let in_use = status.keys.iter().find(|key| key.kind == KeyKind::Data && key.state == KeyState::Active);
        let data_key_uses = match in_use {
            Some(key) => Some(store::uses(&self.db, key.id).await?),
            None => None,
        };
        Ok(StoredStatus {
            custodians: custodians.into_iter().map(ShareAnswer::without_text).collect(),
            data_key_uses,
            reshare: self.reshare_status().await?,
            reencryption: self.reencryption_status().await?,
        })
    }

    /// Deals the shares, each encrypted to its custodian before it leaves this function, and stores the vault. It stays
    /// sealed: the custodians open it.
    pub(super) async fn vault_init(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: InitBody = call.json()?;
        let custodians = custodians::parse(&body.custodians)?;
        let total = u8::try_from(custodians.len()).unwrap_or(u8::MAX);
        let quorum = Quorum::new(body.threshold, total).map_err(|error| refused(&error))?;
        self.refresh().await?;
        let initialised = || ApiError::because(Problem::Conflict, "the vault is initialised already");
        if self.vault.version().is_some() {
            return Err(initialised());
        }
        let new = initialise(quorum, self.clock.now_ms(), &mut SystemEntropy::new())
            .map_err(|error| ApiError::internal(&error))?;
        let sealed = custodians::seal(&new.shares, &custodians)?;
        let set_id = new.record.share_set.set_id().to_string();
        let names: Vec<_> = custodians.iter().map(|custodian| custodian.name.as_str()).collect();
        let entry = Entry::new("vault.init", call.operator.name.as_str())
            .with("setId", set_id.as_str())
            .with("threshold", body.threshold)
            .with("custodians", names);
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(entry);
        let created = store::create(tx.tx(), &new.record, &sealed, self.clock.now_db()).await;
        created.map_err(|error| if error.is_duplicate() { initialised() } else { error.into() })?;
        fault::point("init.written");
        tx.commit().await?;
        fault::point("init.committed");
        self.vault.install(new.record).map_err(|error| refused(&error))?;
        tracing::warn!(operator = call.operator.name, set_id, threshold = body.threshold, total, "vault initialised");
        let shares = sealed.into_iter().map(ShareAnswer::of).collect();
        Ok(Json(InitAnswer { set_id, threshold: body.threshold, shares }).into_response())
    }

    /// The shares as they are kept: each only for its custodian's key. For files that were lost on their way.
    pub(super) async fn vault_shares(&self) -> Result<Response, ApiError> {
        self.refresh().await?;
        let Some(set) = self.vault.share_set() else {
            return Err(ApiError::because(Problem::Conflict, "the vault is not initialised"));
        };
        self.shares_of(&set).await
    }

    pub(super) async fn shares_of(&self, set: &ShareSet) -> Result<Response, ApiError> {
        let shares = store::sealed_shares(&self.db, set).await?;
        let shares: Vec<ShareAnswer> = shares.into_iter().map(ShareAnswer::of).collect();
        Ok(Json(json!({"shares": shares})).into_response())
    }

    /// Takes one share. A wrong one is refused alone, by name; the ones before it stay. Giving the right share proves it.
    pub(super) async fn vault_unseal(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: UnsealBody = call.json()?;
        self.refresh().await?;
        self.check_throttle(call)?;
        match self.vault.submit_share_to(body.nonce.as_deref(), &body.share, self.clock.now_ms()) {
            Ok(submitted) => {
                self.remembered.throttle.accepted(&call.operator.name);
                if let Err(error) = self.note_unsealing(call, &submitted).await {
                    // What is not in the audit has not happened: no key and no share is kept.
                    self.vault.seal();
                    return Err(error);
                }
                if matches!(submitted, Submitted::Unsealed { .. }) {
                    self.bell.notify_one();
                    // Uses are written down before they are used: the sweep comes too late for the first ones.
                    if let Err(error) = self.look_after_keys().await {
                        tracing::error!(?error, "the use of the data key was not written down");
                    }
                    // A process that died between a change and this had no time for it.
                    self.forget_old_rows().await;
                }
            }
            Err(error) => return Err(self.share_refused(call, "unseal", &error).await),
        }
        self.vault_status().await
    }

    /// Forgets the shares that were collected; the custodians begin again.
    pub(super) async fn vault_unseal_reset(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        self.vault.reset_collection();
        self.audit.note(Entry::new("vault.unseal.reset", call.operator.name.as_str())).await?;
        tracing::warn!(operator = call.operator.name, "collected shares forgotten");
        self.vault_status().await
    }

    /// A custodian shows that they hold the share that was dealt to them. Nothing is collected.
    pub(super) async fn vault_prove(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: ProveBody = call.json()?;
        self.refresh().await?;
        self.check_throttle(call)?;
        let index = match self.vault.prove_share(&body.share) {
            Ok(index) => index,
            Err(error) => return Err(self.share_refused(call, "prove", &error).await),
        };
        self.remembered.throttle.accepted(&call.operator.name);
        let entry = || Entry::new("vault.share.proved", call.operator.name.as_str()).with("share", index);
        self.store_proof(index, entry).await?;
        tracing::warn!(operator = call.operator.name, share = index, "share proved");
        self.vault_status().await
    }

    /// One person suffices, and nothing is waited for: the keys are gone before it is written down.
    pub(super) async fn vault_seal(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let was_open = self.vault.seal();
        self.forget_authority();
        tracing::warn!(operator = call.operator.name, was_open, "vault sealed");
        let entry = Entry::new("vault.sealed", call.operator.name.as_str()).with("wasOpen", was_open);
        if let Err(error) = self.audit.note(entry).await {
            tracing::error!(cause = %error, "the sealing is not in the audit");
        }
        self.vault_status().await
    }

    /// Takes over what another process has changed: the ring, the share set, proofs. A root key that is not ours any
    /// more seals this process.
    pub async fn refresh(&self) -> Result<(), ApiError> {
        if store::version(&self.db).await? == self.vault.version() {
            return Ok(());
        }
        let Some(record) = store::load(&self.db).await? else { return Ok(()) };
        let version = record.version;
        match self.vault.reload(record.clone()) {
            Ok(()) => tracing::info!(version, "vault record reloaded"),
            Err(cause) => {
                tracing::error!(version, %cause, "the vault was re-keyed: sealed, and to be opened with the new shares");
                self.vault.seal();
                self.vault.reload(record).map_err(|error| ApiError::internal(&error))?;
            }
        }
        Ok(())
    }

    /// Where this process's chain stands; for comparing with what the log and the others say of it.
    async fn audit_status(&self) -> Value {
        let (head, counts) = (self.audit.head().await, self.audit.counts());
        json!({
            "chain": self.audit.chain_id().to_string(),
            "number": head.number,
            "hash": crate::hex::encode(&head.hash),
            "failures": counts.failures,
        })
    }

    /// What was replaced is out of the database's files as far as we can see to it. A failure undoes nothing.
    pub(super) async fn forget_old_rows(&self) {
        if let Err(error) = store::forget_old_rows(&self.db).await {
            tracing::error!(cause = %error, "old rows of the vault are still in the database's files");
        }
    }

    async fn note_unsealing(&self, call: &AdminCall<'_>, submitted: &Submitted) -> Result<(), ApiError> {
        let operator = call.operator.name.as_str();
        fault::point("unseal.taken");
        match submitted {
            Submitted::Progress { index, progress } => {
                let (have, need) = (progress.submitted.len(), progress.threshold);
                tracing::warn!(operator, share = index, have, need, "share accepted");
                let entry = || Entry::new("vault.share.accepted", operator).with("share", *index).with("have", have);
                self.store_proof(*index, entry).await?;
            }
            Submitted::Unsealed { index } => {
                tracing::warn!(operator, share = index, "vault unsealed");
                self.store_proof(*index, || Entry::new("vault.unsealed", operator).with("share", *index)).await?;
            }
        }
        fault::point("unseal.noted");
        Ok(())
    }

    /// Writes an entry down, and the proof with it where it is the custodian's first.
    async fn store_proof(&self, index: u8, entry: impl Fn() -> Entry) -> Result<(), ApiError> {
        // Another process may write a proof at the same moment; that concerns another share, or this one just as well.
        for _ in 0..PROOF_TRIES {
            let Some(set) = self.vault.share_set() else { return Err(Problem::Conflict.into()) };
            let version = self.vault.version().unwrap_or_default();
            let mut tx = self.audit.begin_unfenced().await?;
            tx.push(entry());
            let is_first = store::prove(tx.tx(), &set, index, self.clock.now_db()).await?;
            if !is_first || store::advance(tx.tx(), version).await? {
                fault::point("proof.written");
                tx.commit().await?;
                fault::point("proof.committed");
                return Ok(());
            }
            drop(tx);
            self.refresh().await?;
        }
        Err(super::changed_meanwhile())
    }

    pub(super) fn check_throttle(&self, call: &AdminCall<'_>) -> Result<(), ApiError> {
        match self.remembered.throttle.wait_secs(&call.operator.name, self.clock.now_ms()) {
            None => Ok(()),
            Some(secs) => {
                tracing::warn!(operator = call.operator.name, secs, "too many refused shares");
                let text = format!("too many shares were refused: wait {secs} s");
                Err(ApiError::because(Problem::TooManyRequests, text))
            }
        }
    }

    /// Writes a refusal down. The custodian is told exactly what is wrong; the share itself is nowhere repeated.
    pub(super) async fn share_refused(
        &self,
        call: &AdminCall<'_>,
        what: &'static str,
        error: &SubmitError,
    ) -> ApiError {
        let operator = call.operator.name.as_str();
        tracing::warn!(operator, ceremony = what, cause = %error, "share refused");
        self.remembered.throttle.refused(operator, self.clock.now_ms());
        let entry = Entry::new("vault.share.refused", operator).with("ceremony", what).with("cause", error.to_string());
        if let Err(error) = self.audit.note(entry).await {
            tracing::error!(cause = %error, "the refusal is not in the audit");
        }
        refused(error)
    }
}

/// Operators are told exactly what is wrong: the texts hold indices and names, never a share.
pub(super) fn refused(error: &dyn std::error::Error) -> ApiError {
    ApiError::because(Problem::Conflict, error.to_string())
}
