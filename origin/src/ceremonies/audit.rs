//! The audit, as operators and auditors read it. The proof itself is made where the CLI runs: the origin only gives
//! pages, so that nothing long runs here.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use scanvault_protocol::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Admin, AdminCall};
use crate::audit::export::{KeyLine, Line};
use crate::audit::source::{self, Cursor};
use crate::audit::{ChainId, Entry};
use crate::hex;
use crate::payments::pay::sealed_problem;
use crate::web::ApiError;

const MAX_HASHES: usize = 1000;
const MAX_LAST: usize = 1000;
const MAX_FIELD_BYTES: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HashesBody {
    places: Vec<(String, u64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueBody {
    field: String,
    value: Zeroizing<String>,
}

impl Admin {
    /// The public keys of the live audit keys; none while sealed.
    pub(super) fn audit_keys(&self) -> Response {
        let keys: Vec<KeyLine> = match self.vault.unsealed() {
            Ok(unsealed) => unsealed.audit_keys().public().iter().map(KeyLine::from).collect(),
            Err(_) => Vec::new(),
        };
        Json(json!({"publicKeys": keys, "nowMs": self.clock.now_ms()})).into_response()
    }

    /// Where every chain stands now.
    pub(super) async fn audit_snapshot(&self) -> Result<Response, ApiError> {
        Ok(source::snapshot(&self.db).await?.into_response())
    }

    /// The lines after a place, and where to go on.
    pub(super) async fn audit_page(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let after: Cursor = call.json()?;
        let (items, next) = source::page(&self.db, &after).await?;
        let mut text = String::new();
        for line in items.into_iter().map(Line::from).chain([Line::Next(next)]) {
            text.push_str(&line.to_text());
            text.push('\n');
        }
        Ok(([(CONTENT_TYPE, "application/jsonl")], text).into_response())
    }

    /// The stored hashes of links that a checkpoint names.
    pub(super) async fn audit_hashes(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: HashesBody = call.json()?;
        if body.places.len() > MAX_HASHES {
            return Err(ApiError::because(Problem::BadRequest, "too many places"));
        }
        let mut hashes = Vec::with_capacity(body.places.len());
        for (chain, number) in &body.places {
            let chain: ChainId = chain.parse().map_err(|error| ApiError::because(Problem::BadRequest, error))?;
            let hash = source::hash_of(&self.db, chain, *number).await?;
            hashes.push(hash.map(|hash| hex::encode(&hash)));
        }
        Ok(Json(json!({"hashes": hashes})).into_response())
    }

    /// The newest links.
    pub(super) async fn audit_last(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let count: usize = call.parameter.parse().map_err(|_| Problem::NotFound)?;
        let links: Vec<Value> = source::latest(&self.db, count.min(MAX_LAST))
            .await?
            .into_iter()
            .map(|(chain, link)| {
                let entries = serde_json::from_str(&link.entries).unwrap_or(Value::String(link.entries));
                json!({"chain": chain, "number": link.number, "atMs": link.at_ms, "keyId": link.key_id,
                    "entries": entries})
            })
            .collect();
        Ok(Json(json!({"links": links})).into_response())
    }

    /// What stands in the chain in the place of a value that the auditor knows. That they asked is in the chain too,
    /// before they are told.
    pub(super) async fn audit_value(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let body: ValueBody = call.json()?;
        let is_name = (1..=MAX_FIELD_BYTES).contains(&body.field.len())
            && body.field.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !is_name {
            return Err(ApiError::because(Problem::BadRequest, "this is not the name of a field"));
        }
        let unsealed = self.vault.unsealed().map_err(sealed_problem)?;
        let values = unsealed.audit_values(&body.field, body.value.as_bytes());
        let concealed = values.first().map(|(_, value)| hex::encode(value));
        let entry = Entry::new("audit.value", call.operator.name.as_str())
            .with("field", body.field.as_str())
            .with("value", concealed);
        self.audit.note(entry).await?;
        tracing::warn!(operator = call.operator.name, field = body.field, "audit value told");
        let values: Vec<Value> =
            values.iter().map(|(id, value)| json!({"keyId": id, "value": hex::encode(value)})).collect();
        Ok(Json(json!({"field": body.field, "values": values})).into_response())
    }
}
