//! A request that passed the link check: nothing in it that was not signed.

use bytes::Bytes;
use scanvault_protocol::record::Mark;
use scanvault_protocol::route::RouteSpec;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::ApiError;
use scanvault_protocol::{AccountName, Problem};

/// The covered fields of a request that passed the link check.
pub struct Signed {
    /// The account that the link key is bound to: an internal system. `None`: an edge.
    pub account: Option<AccountName>,
    /// Upper case.
    pub method: String,
    /// Canonical.
    pub path: String,
    /// Without its `?`.
    pub query: Option<String>,
    /// Joins the log lines of edge and origin.
    pub request_id: String,
    /// The client's address as the edge saw it, or `unknown`.
    pub client_address: String,
    /// The client's credentials as they came.
    pub authorization: Option<Zeroizing<String>>,
    /// What the edge thinks of them. It decides nothing here; it says whether the edge wants to be told more.
    pub mark: Mark,
    /// What the client names the call by, so that a repetition is known; covered by the link's signature.
    pub idempotency_key: Option<String>,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// The whole body; its digest was checked.
    pub body: Bytes,
}

impl Signed {
    /// Whether an edge signed it; an internal system is told nothing of others' credentials.
    #[must_use]
    pub fn is_from_edge(&self) -> bool {
        self.account.is_none()
    }
}

/// A request with its row of the route table.
pub struct Call {
    /// The row.
    pub spec: &'static RouteSpec,
    /// The segment that the row's parameter stands for.
    pub parameter: String,
    /// The request itself.
    pub signed: Signed,
}

impl Call {
    /// Reads the JSON body into a type. The text says what is wrong, by field, and never repeats what was sent.
    ///
    /// # Errors
    /// [`Problem::BadRequest`].
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.signed.body).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => "The body lacks a field, or a field has another type or name",
                _ => "The body is not JSON",
            };
            let at = format!("{what} (line {}, column {})", error.line(), error.column());
            ApiError::because(Problem::BadRequest, at)
        })
    }
}
