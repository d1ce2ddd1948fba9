//! What goes to the origin and what comes back from it. Pure; `runtime.rs` carries both.
//!
//! The request is built anew from what the signature covers (RFC 9421, see [`link`]); nothing else of the client's
//! request travels. The answer is trusted only when it echoes our request id, which it does once the origin has
//! accepted the signature.

use core::net::IpAddr;
use std::borrow::Cow;

use scanvault_protocol::link::{self, LinkKey, Message, NONCE_BYTES};
use scanvault_protocol::record::Mark;
use scanvault_protocol::route::{Route, RouteSpec};
use scanvault_protocol::{Problem, headers};

use crate::answer::matches_etag;
use crate::authenticate::Caller;
use crate::config::Origin;
use crate::reply::{Head, Refusal};
use crate::screen::{Inbound, Rule, Target};

/// The headers of an answer that pass; the rest is the origin's own business.
pub const PASSED_HEADERS: &[&str] = &[
    "allow",
    "cache-control",
    "content-disposition",
    "content-length",
    "content-type",
    "etag",
    headers::IDEMPOTENCY_STATUS,
    "last-modified",
    "retry-after",
    "www-authenticate",
];

/// A request as it goes to the origin. Borrows what the client sent, so that a credential is not copied.
pub struct Outgoing<'a> {
    pub method: &'a str,
    pub url: String,
    pub headers: Vec<(&'static str, Cow<'a, str>)>,
    pub body: &'a [u8],
    pub deadline_ms: u32,
    /// What the origin is told of the credential.
    pub mark: Mark,
}

impl Outgoing<'_> {
    /// Whether an answer with this status is looked at for what it tells of credentials: never where none was offered,
    /// and on what was verified only when it was refused, which is most of the traffic.
    #[must_use]
    pub fn is_told(&self, status: u16) -> bool {
        self.mark.wants_record() || (self.mark == Mark::Verified && status >= 400)
    }
}

/// What is known about a request that may go on.
#[derive(Clone, Copy)]
pub struct Admitted<'a> {
    pub inbound: &'a Inbound,
    pub target: &'a Target,
    pub spec: &'static RouteSpec,
    pub caller: &'a Caller,
    pub request_id: &'a str,
}

/// Builds and signs the request. `created` is in Unix seconds; a nonce serves once.
///
/// # Errors
/// [`Problem::BadRequest`] when a forwarded header holds what cannot be signed.
pub fn sign<'a>(
    request: Admitted<'a>,
    body: &'a [u8],
    origin: &Origin,
    key: &LinkKey,
    created: u64,
    nonce: &[u8; NONCE_BYTES],
) -> Result<Outgoing<'a>, Refusal> {
    let Admitted { inbound, target, spec, caller, request_id } = request;
    let query = target.query.as_deref().map(as_sent);
    let digest = link::content_digest(body);
    let client = client_address(inbound.client_address.as_deref());
    // Nobody looks at a credential on an open path, so it stays here.
    let authorization: Option<&'a str> =
        inbound.authorization.as_ref().filter(|_| *caller != Caller::Anonymous).map(|value| value.as_str());
    let idempotency_key = inbound.idempotency_key.as_deref();
    let content_type = inbound.content_type.as_deref().filter(|_| spec.max_body_bytes > 0);
    let message = Message {
        method: &inbound.method,
        authority: &origin.authority,
        path: &target.path,
        query: query.as_deref(),
        content_digest: &digest,
        public_host: &target.host,
        client_address: &client,
        request_id,
        credential: caller.mark().as_str(),
        authorization,
        idempotency_key,
        content_type,
    };
    let signed = link::sign(key, &message, &origin.region, created, nonce).map_err(|_| unsigned())?;
    let url = match message.query {
        Some(query) => format!("https://{}{}?{query}", origin.authority, target.path),
        None => format!("https://{}{}", origin.authority, target.path),
    };
    let mut outgoing: Vec<(&'static str, Cow<'a, str>)> = vec![
        (headers::PUBLIC_HOST, Cow::Borrowed(&target.host)),
        (headers::REQUEST_ID, Cow::Borrowed(request_id)),
        (headers::CREDENTIAL, Cow::Borrowed(caller.mark().as_str())),
        (headers::CONTENT_DIGEST, Cow::Owned(digest)),
        (headers::CLIENT_ADDRESS, Cow::Owned(client)),
        (headers::SIGNATURE_INPUT, Cow::Owned(signed.input)),
        (headers::SIGNATURE, Cow::Owned(signed.signature)),
        // Not covered, so the origin drops it: it keeps the runtime from asking for a coding that it would have to undo.
        ("accept-encoding", Cow::Borrowed("identity")),
    ];
    outgoing.extend(authorization.map(|value| (headers::AUTHORIZATION, Cow::Borrowed(value))));
    outgoing.extend(idempotency_key.map(|value| (headers::IDEMPOTENCY_KEY, Cow::Borrowed(value))));
    outgoing.extend(content_type.map(|value| (headers::CONTENT_TYPE, Cow::Borrowed(value))));
    Ok(Outgoing {
        method: &inbound.method,
        url,
        headers: outgoing,
        body,
        deadline_ms: spec.deadline_ms,
        mark: caller.mark(),
    })
}

fn unsigned() -> Refusal {
    Refusal::because(Problem::BadRequest, "A header holds characters that are not taken").by(Rule::HeaderForm)
}

/// Whether an answer is one of ours to pass on.
///
/// # Errors
/// [`Problem::BadGateway`]: it does not echo the request id (a refused signature, or something else that listens
/// there), or it is a redirect, which the origin never sends and the edge never follows.
pub fn judge(status: u16, echoed_id: Option<&str>, request_id: &str) -> Result<(), Refusal> {
    if echoed_id != Some(request_id) {
        return Err(Refusal::caused(Problem::BadGateway, format!("status {status} without our request id")));
    }
    match status {
        200..300 | 400..600 => Ok(()),
        _ => Err(Refusal::caused(Problem::BadGateway, format!("unexpected status {status}"))),
    }
}

/// Whether the client has this asset already, so that a 304 takes the place of the origin's 200.
#[must_use]
pub fn is_unchanged(spec: &RouteSpec, head: &Head, if_none_match: Option<&str>) -> bool {
    let etag = head.headers.iter().find(|(name, _)| *name == "etag").map(|(_, value)| value.as_ref());
    spec.route == Route::Asset
        && head.status == 200
        && etag.is_some_and(|etag| if_none_match.is_some_and(|list| matches_etag(list, etag)))
}

/// The query as the runtime's URL parser will send it (URL standard, special-query percent-encode set): what is signed
/// must be what arrives.
fn as_sent(query: &str) -> Cow<'_, str> {
    if !query.contains(['"', '<', '>', '\'']) {
        return Cow::Borrowed(query);
    }
    Cow::Owned(query.replace('"', "%22").replace('<', "%3C").replace('>', "%3E").replace('\'', "%27"))
}

/// One spelling of the client's address; whatever is none is not passed on.
fn client_address(text: Option<&str>) -> String {
    let address = text.and_then(|text| text.trim().parse::<IpAddr>().ok());
    address.map_or_else(|| "unknown".to_owned(), |address| address.to_canonical().to_string())
}

#[cfg(test)]
mod tests;
