//! Re-share: new custodians, a new threshold, a new unseal key.
//!
//! ```text
//! start ──▶ submit: t shares of the present set ──▶ dealt and stored ──▶ prove: every new custodian ──▶ in effect
//!            (in memory: given again after a crash)    (each share encrypted to its custodian)
//! cancel: before the dealing an operator's word, as for the start; after it t shares of the present set
//! ```
//!
//! Until the last proof the old shares are the ones that open the vault. Threshold and custodians are frozen at the
//! start; the nonce, which custodians give with their share, stands for them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::authority::{Purpose, entry};
use super::custodians::{self, CustodianBody};
use super::vault::{ShareAnswer, refused};
use super::{Admin, AdminCall, changed_meanwhile};
use crate::fault;
use crate::vault::reencryption;
use crate::vault::reshare_store::{self, Ceremony, Dealt};
use crate::vault::store::{self, SealedShare};
use crate::vault::{Custodian, Entropy, Quorum, Reshare, Share, SubmitError, SystemEntropy, UnsealKey, Unsealed};
use crate::web::ApiError;

/// The re-encryption that follows a compromise does not wait for an operator's rate.
const PER_SECOND_AFTER_COMPROMISE: u32 = 2_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartBody {
    threshold: u8,
    custodians: Vec<CustodianBody>,
    #[serde(default)]
    compromised: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareBody {
    nonce: String,
    share: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    nonce: String,
    share: Option<Zeroizing<String>>,
}

/// What a re-share will bring, as it is stored.
#[derive(Deserialize, Serialize)]
struct Plan {
    threshold: u8,
    custodians: Vec<CustodianBody>,
}

impl Admin {
    /// Starts a re-share. Nothing changes yet.
    pub(super) async fn reshare_start(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: StartBody = call.json()?;
        let custodians = custodians::parse(&body.custodians)?;
        let total = u8::try_from(custodians.len()).unwrap_or(u8::MAX);
        Quorum::new(body.threshold, total).map_err(|error| refused(&error))?;
        self.refresh().await?;
        let unsealed = self.vault.unsealed().map_err(super::sealed_problem)?;
        // The keys as they were understood, without comments: what was checked is what is frozen.
        let custodians = custodians
            .iter()
            .map(|custodian| CustodianBody { name: custodian.name.clone(), recipient: custodian.key.to_string() });
        let plan = Plan { threshold: body.threshold, custodians: custodians.collect() };
        let (nonce, plan) = (new_nonce()?, serde_json::to_string(&plan).map_err(|error| ApiError::internal(&error))?);
        let plan_seal = unsealed.seal_plan(&nonce, body.compromised, &plan, &mut SystemEntropy::new());
        let ceremony = Ceremony {
            nonce,
            started_by: call.operator.name.clone(),
            started_at_ms: self.clock.now_ms(),
            compromised: body.compromised,
            plan,
            plan_seal: plan_seal.map_err(|error| ApiError::internal(&error))?,
            dealt: None,
        };
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(
            entry("vault.reshare.started", call, &ceremony).with("threshold", body.threshold).with("shares", total),
        );
        reshare_store::start(tx.tx(), &ceremony).await.map_err(|error| {
            if error.is_duplicate() {
                ApiError::because(Problem::Conflict, "a re-share is under way: look at the status, or cancel it")
            } else {
                error.into()
            }
        })?;
        fault::point("reshare.start.written");
        tx.commit().await?;
        fault::point("reshare.started");
        self.forget_authority();
        tracing::warn!(operator = call.operator.name, nonce = ceremony.nonce, "re-share started");
        self.reshare_answer().await
    }

    /// Takes a share of the present set. With the last one needed the new set is dealt and stored.
    pub(super) async fn reshare_submit(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: ShareBody = call.json()?;
        let ceremony = self.ceremony(&body.nonce).await?;
        let unsealed = self.vault.unsealed().map_err(super::sealed_problem)?;
        if ceremony.dealt.is_some() {
            return Err(ApiError::because(Problem::Conflict, "the new shares are dealt: now they are to be proved"));
        }
        if !unsealed.knows_plan(&ceremony.nonce, ceremony.compromised, &ceremony.plan, &ceremony.plan_seal) {
            tracing::error!(nonce = ceremony.nonce, "the stored plan is not the one that was started");
            return Err(ApiError::because(Problem::Conflict, "the stored re-share was changed: cancel it"));
        }
        let taken = self.collect(call, &ceremony, Purpose::Deal, &body.share).await?;
        let Some(authority) = taken else { return self.reshare_answer().await };
        let (dealt, sealed) = self.deal(&unsealed, &ceremony, &authority)?;
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(entry("vault.reshare.authorised", call, &ceremony));
        // What is dealt holds the ring as it is: a rotation that has begun meanwhile must fail, or its key would be under
        // a root key that the switch ends.
        if !store::advance(tx.tx(), unsealed.record().version).await?
            || !reshare_store::deal(tx.tx(), &ceremony.nonce, &dealt).await?
        {
            return Err(changed_meanwhile());
        }
        store::add_shares(tx.tx(), &dealt.share_set, &sealed).await?;
        fault::point("reshare.deal.written");
        tx.commit().await?;
        fault::point("reshare.dealt");
        tracing::warn!(operator = call.operator.name, nonce = ceremony.nonce, "new shares dealt");
        let shares: Vec<_> = sealed.into_iter().map(ShareAnswer::of).collect();
        Ok(Json(json!({"reshare": self.reshare_status().await?, "shares": shares})).into_response())
    }

    /// A new custodian shows that they hold their share. The last proof puts the new set into effect.
    pub(super) async fn reshare_prove(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: ShareBody = call.json()?;
        let ceremony = self.ceremony(&body.nonce).await?;
        let unsealed = self.vault.unsealed().map_err(super::sealed_problem)?;
        self.check_throttle(call)?;
        let dealt = ceremony.dealt.as_ref().ok_or_else(|| {
            ApiError::because(Problem::Conflict, "nothing is dealt yet: a threshold of the present shares comes first")
        })?;
        if !unsealed.knows_reshare(&ceremony.nonce, &dealt.staged(), &dealt.seal) {
            tracing::error!(nonce = ceremony.nonce, "the stored re-share is not the one that was dealt");
            return Err(ApiError::because(Problem::Conflict, "the stored re-share was changed: cancel it"));
        }
        let checked = Share::parse(&body.share).map_err(SubmitError::Text);
        let checked = checked.and_then(|share| Ok(dealt.share_set.check(&share).map(|()| share.index())?));
        let index = match checked {
            Ok(index) => index,
            Err(error) => return Err(self.share_refused(call, "reshare prove", &error).await),
        };
        self.remembered.throttle.accepted(&call.operator.name);
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(entry("vault.reshare.proved", call, &ceremony).with("share", index));
        if !reshare_store::lock(tx.tx(), &ceremony.nonce).await? {
            return Err(changed_meanwhile());
        }
        store::prove(tx.tx(), &dealt.share_set, index, self.clock.now_db()).await?;
        let waiting = store::unproved(tx.tx(), &dealt.share_set).await?;
        if waiting == 0 {
            self.switch(&mut tx, call, &unsealed, &ceremony, dealt).await?;
        }
        fault::point("reshare.prove.written");
        tx.commit().await?;
        fault::point("reshare.proved");
        tracing::warn!(operator = call.operator.name, share = index, waiting, "new share proved");
        if waiting == 0 {
            self.forget_authority();
            tracing::warn!(nonce = ceremony.nonce, compromised = ceremony.compromised, "re-share in effect");
            self.refresh().await?;
            // The root key under the old shares is in the row that was replaced.
            self.forget_old_rows().await;
        }
        self.reshare_answer().await
    }

    /// Ends a re-share without effect.
    pub(super) async fn reshare_cancel(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: CancelBody = call.json()?;
        let ceremony = self.ceremony(&body.nonce).await?;
        if ceremony.dealt.is_some() {
            let share = body.share.as_ref().ok_or_else(|| {
                let text = "the new shares are dealt: a threshold of the present shares is needed to cancel";
                ApiError::because(Problem::Conflict, text)
            })?;
            let unsealed = self.vault.unsealed().map_err(super::sealed_problem)?;
            let taken = self.collect(call, &ceremony, Purpose::Cancel, share).await?;
            let Some(authority) = taken else { return self.reshare_answer().await };
            unsealed.check_authority(&authority).map_err(|error| refused(&error))?;
        }
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(entry("vault.reshare.cancelled", call, &ceremony));
        if !reshare_store::cancel(tx.tx(), &ceremony).await? {
            return Err(changed_meanwhile());
        }
        fault::point("reshare.cancel.written");
        tx.commit().await?;
        fault::point("reshare.cancelled");
        self.forget_authority();
        tracing::warn!(operator = call.operator.name, nonce = ceremony.nonce, "re-share cancelled");
        self.reshare_answer().await
    }

    /// The new shares again, as they were dealt: for files that were lost on their way.
    pub(super) async fn reshare_shares(&self) -> Result<Response, ApiError> {
        let ceremony = reshare_store::find(&self.db).await?;
        match ceremony.and_then(|ceremony| ceremony.dealt) {
            Some(dealt) => self.shares_of(&dealt.share_set).await,
            None => Err(ApiError::because(Problem::Conflict, "no re-share with shares is under way")),
        }
    }

    pub(super) async fn reshare_answer(&self) -> Result<Response, ApiError> {
        Ok(Json(json!({"reshare": self.reshare_status().await?})).into_response())
    }

    /// For the status: where it stands, what is frozen, who has proved.
    pub(super) async fn reshare_status(&self) -> Result<Option<Value>, ApiError> {
        let Some(ceremony) = reshare_store::find(&self.db).await? else { return Ok(None) };
        let plan = ceremony.plan()?;
        let (custodians, generation) = match &ceremony.dealt {
            Some(dealt) => {
                let shares = store::sealed_shares(&self.db, &dealt.share_set).await?;
                let shares: Vec<_> = shares.into_iter().map(ShareAnswer::without_text).collect();
                (json!(shares), Some(dealt.share_set.generation()))
            }
            None => (json!(plan.custodians.iter().map(planned).collect::<Vec<_>>()), None),
        };
        Ok(Some(json!({
            "nonce": ceremony.nonce,
            "stage": if ceremony.dealt.is_some() { "proving" } else { "authorising" },
            "startedBy": ceremony.started_by,
            "startedAtMs": ceremony.started_at_ms,
            "compromised": ceremony.compromised,
            "threshold": plan.threshold,
            "generation": generation,
            "custodians": custodians,
            "authorityGiven": self.authority_given(&ceremony),
        })))
    }

    /// Whether a ceremony forbids changes of the ring for now.
    pub(super) async fn check_no_ceremony(&self) -> Result<(), ApiError> {
        match reshare_store::find(&self.db).await? {
            None => Ok(()),
            Some(_) => Err(ApiError::because(Problem::Conflict, "a re-share is under way: one ceremony at a time")),
        }
    }

    async fn ceremony(&self, nonce: &str) -> Result<Ceremony, ApiError> {
        self.refresh().await?;
        let ceremony = reshare_store::find(&self.db).await?;
        let ceremony = ceremony.ok_or_else(|| ApiError::because(Problem::Conflict, "no re-share is under way"))?;
        if ceremony.nonce == nonce {
            Ok(ceremony)
        } else {
            Err(ApiError::because(Problem::Conflict, "another re-share is under way: look at its custodians first"))
        }
    }

    fn deal(
        &self,
        unsealed: &Unsealed,
        ceremony: &Ceremony,
        authority: &UnsealKey,
    ) -> Result<(Dealt, Vec<SealedShare>), ApiError> {
        let plan = ceremony.plan()?;
        let custodians = custodians::parse(&plan.custodians)?;
        let total = u8::try_from(custodians.len()).unwrap_or(u8::MAX);
        let quorum = Quorum::new(plan.threshold, total).map_err(|error| refused(&error))?;
        let mut entropy = SystemEntropy::new();
        let Reshare { share_set, wrapped_root, shares, ring } = if ceremony.compromised {
            unsealed.reshare_compromised(authority, quorum, self.clock.now_ms(), &mut entropy)
        } else {
            unsealed.reshare(authority, quorum, &mut entropy)
        }
        .map_err(|error| refused(&error))?;
        let sealed = custodians::seal(&shares, &custodians)?;
        let share_set_text = serde_json::to_string(&share_set).map_err(|error| ApiError::internal(&error))?;
        let ring = ring.unwrap_or_default();
        let mut dealt = Dealt { share_set, share_set_text, wrapped_root, ring, seal: Vec::new() };
        let seal = unsealed.seal_reshare(&ceremony.nonce, &dealt.staged(), &mut entropy);
        dealt.seal = seal.map_err(|error| ApiError::internal(&error))?;
        Ok((dealt, sealed))
    }

    async fn switch(
        &self,
        tx: &mut crate::audit::AuditedTx<'_>,
        call: &AdminCall<'_>,
        unsealed: &Unsealed,
        ceremony: &Ceremony,
        dealt: &Dealt,
    ) -> Result<(), ApiError> {
        let record = unsealed.record();
        tx.push(
            entry("vault.reshare.switched", call, ceremony)
                .with("generation", dealt.share_set.generation())
                .with("compromised", ceremony.compromised),
        );
        if !reshare_store::switch(tx.tx(), record.version, &record.keys, &ceremony.nonce, dealt).await? {
            return Err(changed_meanwhile());
        }
        fault::point("reshare.switch.written");
        if ceremony.compromised {
            let total = self.records().await?;
            let (by, now_ms) = (call.operator.name.as_str(), self.clock.now_ms());
            // One under way goes on: it looks for whatever is not under the key in use.
            reencryption::start(tx.tx(), by, now_ms, PER_SECOND_AFTER_COMPROMISE, total).await?;
        }
        Ok(())
    }
}

impl Ceremony {
    fn plan(&self) -> Result<Plan, ApiError> {
        serde_json::from_str(&self.plan).map_err(|error| ApiError::internal(&error))
    }
}

fn planned(custodian: &CustodianBody) -> Value {
    let fingerprint = Custodian::parse(&custodian.recipient).map(|key| key.fingerprint()).unwrap_or_default();
    json!({"custodian": custodian.name, "fingerprint": fingerprint})
}

/// 64 bits: it names a ceremony, and is no secret.
fn new_nonce() -> Result<String, ApiError> {
    let mut random = [0; 8];
    SystemEntropy::new().fill(&mut random).map_err(|error| ApiError::internal(&error))?;
    Ok(format!("{:016x}", u64::from_be_bytes(random)))
}
