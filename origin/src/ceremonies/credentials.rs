//! What third parties want to see of a merchant: checked by the party's own connector, sealed, and replaced in place.

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::passwords::account_name;
use super::{Admin, AdminCall};
use crate::acquirers::clearhaus::Clearhaus;
use crate::acquirers::mobilepay;
use crate::acquirers::nets::Nets;
use crate::acquirers::{Acquirer, AcquirerError, threedsecure};
use crate::audit::Entry;
use crate::web::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialsBody<'a> {
    party: String,
    /// The party's own JSON, kept as it is.
    #[serde(borrow)]
    credentials: &'a RawValue,
}

impl Admin {
    /// Keeps credentials in the place of those that are there: the next call to that party is made with them.
    pub(super) async fn account_credentials(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let bad = |text: String| ApiError::because(Problem::BadRequest, text);
        // The error's own text could repeat a part of what is secret.
        let body: CredentialsBody<'_> = serde_json::from_slice(&call.body)
            .map_err(|_| bad("an object with the party's name and its credentials is expected".to_owned()))?;
        let json = body.credentials.get().as_bytes();
        check(&body.party, json)
            .ok_or_else(|| bad(format!("there is no party {}: {PARTIES}", body.party)))?
            .map_err(|error| bad(error.to_string()))?;
        let (account, by) = (name.to_string(), call.operator.name.as_str());
        let mut tx = self.audit.begin_unfenced().await?;
        self.locked(tx.tx(), &name).await?;
        self.put_credentials(tx.tx(), &name, &body.party, json).await?;
        let entry = Entry::new("account.credentials", by).with("account", account.as_str());
        tx.push(entry.with("party", body.party.as_str()));
        tx.commit().await?;
        tracing::warn!(operator = by, account, party = body.party, "credentials kept");
        Ok(Json(serde_json::json!({"account": account, "party": body.party})).into_response())
    }
}

const PARTIES: &str = "clearhaus, nets, mobilepay or 3dsecure";

/// Whether credentials are of a party's form; `None`: there is no such party.
fn check(party: &str, json: &[u8]) -> Option<Result<(), AcquirerError>> {
    match party {
        "clearhaus" => Some(Clearhaus.check_credentials(json)),
        "nets" => Some(Nets.check_credentials(json)),
        mobilepay::NAME => Some(mobilepay::check_credentials(json)),
        threedsecure::PARTY => Some(threedsecure::check_credentials(json)),
        _ => None,
    }
}
