//! The ring: which keys there are and what needs them, new ones, and the end of old ones.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::{Deserialize, Serialize};

use super::vault::refused;
use super::{Admin, AdminCall, changed_meanwhile};
use crate::audit::Entry;
use crate::db::DbError;
use crate::fault;
use crate::identity;
use crate::vault::{KeyInfo, KeyKind, KeyState, SystemEntropy, Unsealed, approvals, recrypt, store};
use crate::web::ApiError;

/// How a new data key is due without anybody asking.
#[derive(Clone, Copy, Debug)]
pub struct KeyPolicy {
    /// Milliseconds.
    pub max_age_ms: u64,
    /// Records sealed. The extended nonce would bear far more; it is well under 2^32 all the same.
    pub max_uses: u64,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Uses are written down in blocks of at least this, before they are used.
const USES_BLOCK: u64 = 1 << 16;
/// How long a first word holds until a second operator gives his.
const APPROVAL_MS: u64 = DAY_MS;
/// How long what a page, a session or an attempt has got is still taken after its key retired.
const OVERLAP_MS: u64 = DAY_MS;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DestroyBody {
    kind: String,
    id: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyAnswer {
    #[serde(flatten)]
    key: KeyInfo,
    /// Records that cannot be read without it; only for kinds that records name.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    /// Records sealed with it, at least: data keys only.
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<u64>,
}

impl Admin {
    /// Each key with what still needs it.
    pub(super) async fn keys_list(&self) -> Result<Response, ApiError> {
        self.refresh().await?;
        let in_use = self.keys_in_use().await?;
        let mut keys = Vec::new();
        for key in self.vault.status(self.clock.now_ms()).keys {
            let names_records = matches!(key.kind, KeyKind::Data | KeyKind::Fingerprint);
            let count = in_use.iter().filter(|(kind, id, _)| (*kind, *id) == (key.kind, key.id)).map(|(.., n)| n).sum();
            let uses = if key.kind == KeyKind::Data { Some(store::uses(&self.db, key.id).await?) } else { None };
            keys.push(KeyAnswer { key, records: names_records.then_some(count), uses });
        }
        Ok(Json(serde_json::json!({"keys": keys})).into_response())
    }

    /// A new key of a kind; the one so far retires and still opens what it sealed.
    pub(super) async fn key_rotate(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: RotateBody = call.json()?;
        let kind = parse_kind(&body.kind)?;
        self.refresh().await?;
        let id = self.rotate(kind, &call.operator.name).await?;
        Ok(Json(serde_json::json!({"kind": kind, "id": id})).into_response())
    }

    /// Ends a retired key. Two operators are needed: the first word is kept for a day.
    pub(super) async fn key_destroy(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: DestroyBody = call.json()?;
        let kind = parse_kind(&body.kind)?;
        self.refresh().await?;
        let unsealed = self.vault.unsealed().map_err(super::sealed_problem)?;
        self.check_no_ceremony().await?;
        let gone = unsealed.destroy(kind, body.id).map_err(|error| refused(&error))?;
        self.check_unneeded(&unsealed, kind, body.id).await?;
        let (operator, now_ms) = (call.operator.name.as_str(), self.clock.now_ms());
        let action = format!("destroy {kind}/{}", body.id);
        let mut tx = self.audit.begin_unfenced().await?;
        let since_ms = now_ms.saturating_sub(APPROVAL_MS);
        let first = approvals::second(tx.tx(), &action, operator, since_ms).await?;
        let Some(first) = first else {
            approvals::first(tx.tx(), &action, operator, now_ms).await?;
            tx.push(Entry::new("vault.key.destroy.requested", operator).with("key", format!("{kind}/{}", body.id)));
            fault::point("destroy.request.written");
            tx.commit().await?;
            fault::point("destroy.requested");
            tracing::warn!(operator, %kind, id = body.id, "first word to destroy a key");
            let answer = serde_json::json!({"kind": kind, "id": body.id, "state": "requested",
                "next": "a second operator has to say the same within a day"});
            return Ok(Json(answer).into_response());
        };
        let entry = Entry::new("vault.key.destroyed", operator).with("key", format!("{kind}/{}", body.id));
        tx.push(entry.with("requestedBy", first));
        if !store::advance(tx.tx(), unsealed.record().version).await? {
            return Err(changed_meanwhile());
        }
        store::destroy_key(tx.tx(), &gone).await.map_err(still_needed)?;
        fault::point("destroy.written");
        tx.commit().await?;
        fault::point("destroy.committed");
        self.refresh().await?;
        self.forget_old_rows().await;
        tracing::warn!(operator, %kind, id = body.id, "key destroyed");
        Ok(Json(serde_json::json!({"kind": kind, "id": body.id, "state": "destroyed"})).into_response())
    }

    /// Writes the use of the data key down and makes a new one when it is due; called now and then while unsealed.
    ///
    /// # Errors
    /// From the database; it is tried again the next time.
    pub async fn look_after_keys(&self) -> Result<(), ApiError> {
        self.refresh().await?;
        let Ok(unsealed) = self.vault.unsealed() else { return Ok(()) };
        let id = unsealed.current_data_key_id();
        self.count_uses(&unsealed, id).await?;
        let key = unsealed.keys().into_iter().find(|key| (key.kind, key.id) == (KeyKind::Data, id));
        let age_ms = key.map_or(0, |key| self.clock.now_ms().saturating_sub(key.created_at_ms));
        let is_due =
            age_ms >= self.key_policy.max_age_ms || store::uses(&self.db, id).await? >= self.key_policy.max_uses;
        if is_due && self.check_no_ceremony().await.is_ok() {
            self.rotate(KeyKind::Data, "origin").await?;
        }
        Ok(())
    }

    async fn rotate(&self, kind: KeyKind, by: &str) -> Result<u32, ApiError> {
        let unsealed = self.vault.unsealed().map_err(super::sealed_problem)?;
        // After the record was taken: a re-share that freezes the ring later counts the record on, and this one fails.
        self.check_no_ceremony().await?;
        let now_ms = self.clock.now_ms();
        let version = unsealed.record().version;
        // An RSA key takes seconds to find: not on the threads that answer.
        let made = tokio::task::spawn_blocking(move || unsealed.rotate(kind, now_ms, &mut SystemEntropy::new()));
        let rotation = made.await.map_err(|error| ApiError::internal(&error))?.map_err(|error| refused(&error))?;
        let id = rotation.added.id;
        let mut tx = self.audit.begin_unfenced().await?;
        tx.push(Entry::new("vault.key.rotated", by).with("key", format!("{kind}/{id}")));
        if !store::advance(tx.tx(), version).await? {
            return Err(changed_meanwhile());
        }
        if let Some(retired) = &rotation.retired {
            store::replace_key(tx.tx(), retired).await?;
        }
        store::add_key(tx.tx(), &rotation.added).await?;
        fault::point("rotate.written");
        tx.commit().await?;
        fault::point("rotate.committed");
        self.refresh().await?;
        tracing::warn!(operator = by, %kind, id, "key rotated");
        Ok(id)
    }

    async fn count_uses(&self, unsealed: &Unsealed, id: u32) -> Result<(), ApiError> {
        let used = unsealed.take_uses();
        let mut reserved = self.remembered.reserved_uses.lock().await;
        let left = if reserved.0 == id { reserved.1.saturating_sub(used) } else { 0 };
        // As much again as lately, and twice that, fits before the next look.
        let wanted = used.saturating_mul(3).max(USES_BLOCK / 2);
        // Before the database is asked: what it refuses is asked for again the next time, and not forgotten.
        *reserved = (id, left);
        if left < wanted {
            let more = wanted.max(USES_BLOCK);
            store::add_uses(&self.db, id, more).await?;
            reserved.1 = left + more;
        }
        Ok(())
    }

    async fn check_unneeded(&self, unsealed: &Unsealed, kind: KeyKind, id: u32) -> Result<(), ApiError> {
        let no = |text: &str| Err(ApiError::because(Problem::Conflict, text));
        match kind {
            KeyKind::Audit => return no("what the audit says under this key could not be looked up any more"),
            KeyKind::Backup => return no("backups are sealed under this key"),
            KeyKind::Data | KeyKind::Fingerprint => {}
            _ => {
                let retired_at_ms = retired_at_ms(&unsealed.keys(), kind, id);
                if self.clock.now_ms().saturating_sub(retired_at_ms) < OVERLAP_MS {
                    return no("a key has to be retired for a day first: what was made with it may still come in");
                }
            }
        }
        let by_column = self.keys_in_use().await?;
        let is_named = by_column.iter().any(|(named, number, _)| (*named, *number) == (kind, id));
        let in_envelopes = kind == KeyKind::Data
            && (recrypt::is_named_in_an_envelope(&self.db, id).await?
                || identity::recrypt::is_named_in_an_envelope(&self.db, id).await?);
        if is_named || in_envelopes { no("records still need this key: re-encrypt first") } else { Ok(()) }
    }

    pub(super) async fn keys_in_use(&self) -> Result<Vec<(KeyKind, u32, u64)>, ApiError> {
        let mut in_use = recrypt::in_use(&self.db).await?;
        let secrets = identity::recrypt::in_use(&self.db).await?;
        in_use.extend(secrets.into_iter().map(|(id, count)| (KeyKind::Data, id, count)));
        Ok(in_use)
    }
}

fn parse_kind(text: &str) -> Result<KeyKind, ApiError> {
    text.parse().map_err(|_| {
        let kinds = KeyKind::ALL.map(KeyKind::as_str).join(", ");
        ApiError::because(Problem::BadRequest, format!("a key is one of {kinds}"))
    })
}

/// A key retires when the next one of its kind is made.
fn retired_at_ms(keys: &[KeyInfo], kind: KeyKind, id: u32) -> u64 {
    let later = keys.iter().filter(|key| key.kind == kind && key.id > id && key.state != KeyState::Destroyed);
    later.map(|key| key.created_at_ms).min().unwrap_or(u64::MAX)
}

fn still_needed(error: DbError) -> ApiError {
    if error.is_still_referenced() {
        ApiError::because(Problem::Conflict, "records still need this key: re-encrypt first")
    } else {
        error.into()
    }
}
