//! The door of the public listener: only what an edge signed, now, for this region, once, comes in.
//!
//! Order: signature over the headers → time → nonce → body read (bounded) and held against its signed digest. Until
//! all of it holds nothing is parsed, and every refusal is the same empty 401, without the request id that marks an
//! answer of ours.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use scanvault_protocol::link::{self, LinkError, LinkKey, Message};
use scanvault_protocol::{AccountName, headers, route};
use zeroize::Zeroizing;

use super::nonces::Nonces;
use super::request::Signed;
use crate::clock::Clock;

/// How long the body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the check needs.
pub struct LinkCheck {
    /// The live keys.
    pub keys: Keys,
    /// Our region: a request signed for another is refused.
    pub region: String,
    /// What was seen.
    pub nonces: Nonces,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Signed before this second = signed before we started, when we remembered nothing: refused.
    pub started_secs: u64,
}

impl LinkCheck {
    /// Admits a request, or says why not (for the log; the client sees nothing).
    ///
    /// # Errors
    /// See [`LinkError`]; a nonce that cannot be recorded counts as replayed.
    pub async fn admit(&self, request: Request<Body>) -> Result<Signed, LinkError> {
        let (parts, body) = request.into_parts();
        let fields = Fields::read(&parts)?;
        let now_secs = self.clock.now_secs();
        let message = fields.message(&parts);
        let mark = fields.credential.parse().map_err(|_| LinkError::Malformed)?;
        let keys = self.keys.live();
        let verified = link::verify(&keys.keys, &message, &self.region, fields.input, fields.signature, now_secs)?;
        if verified.created < self.started_secs {
            return Err(LinkError::OutOfWindow);
        }
        let is_new = self.nonces.take(&verified.nonce, now_secs).await.unwrap_or_else(|error| {
            tracing::error!(cause = %error, "nonce could not be recorded");
            false
        });
        if !is_new {
            return Err(LinkError::Replayed);
        }
        let limited = Limited::new(body, route::MAX_BODY_BYTES).collect();
        let collected = tokio::time::timeout(BODY_TIMEOUT, limited).await;
        let body = collected.map_err(|_| LinkError::BadDigest)?.map_err(|_| LinkError::BadDigest)?.to_bytes();
        if link::content_digest(&body) != fields.content_digest {
            return Err(LinkError::BadDigest);
        }
        Ok(Signed {
            account: keys.account(&verified.key_id).cloned(),
            method: message.method.to_owned(),
            path: message.path.to_owned(),
            query: message.query.filter(|query| !query.is_empty()).map(str::to_owned),
            request_id: fields.request_id.to_owned(),
            client_address: fields.client_address.to_owned(),
            authorization: fields.authorization.map(|value| Zeroizing::new(value.to_owned())),
            mark,
            idempotency_key: fields.idempotency_key.map(str::to_owned),
            content_type: fields.content_type.map(str::to_owned),
            body,
        })
    }
}

/// Keys of the link, and which of them are bound to an account.
#[derive(Debug, Default)]
pub struct LinkKeys {
    keys: Vec<LinkKey>,
    accounts: HashMap<String, AccountName>,
}

impl LinkKeys {
    /// Adds a key. Bound to an account it opens the internal paths, as that account, and nothing else. `false` when there
    /// is a key of that name.
    pub fn add(&mut self, key: LinkKey, account: Option<AccountName>) -> bool {
        if self.keys.iter().any(|other| other.id() == key.id()) {
            return false;
        }
        if let Some(account) = account {
            self.accounts.insert(key.id().to_owned(), account);
        }
        self.keys.push(key);
        true
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none: then nobody comes in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The account that a key is bound to.
    #[must_use]
    pub fn account(&self, key_id: &str) -> Option<&AccountName> {
        self.accounts.get(key_id)
    }
}

/// The live keys. They are replaced while requests run, so that a secret rotates without a restart.
pub struct Keys(RwLock<Arc<LinkKeys>>);

impl Keys {
    /// Takes the first ones.
    #[must_use]
    pub fn new(keys: LinkKeys) -> Self {
        Self(RwLock::new(Arc::new(keys)))
    }

    /// Takes others in their place.
    pub fn replace(&self, keys: LinkKeys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn live(&self) -> Arc<LinkKeys> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The answer to whatever is not admitted.
#[must_use]
pub fn refusal() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// The headers that take part; each at most once.
struct Fields<'a> {
    authority: &'a str,
    input: &'a str,
    signature: &'a str,
    content_digest: &'a str,
    public_host: &'a str,
    client_address: &'a str,
    request_id: &'a str,
    credential: &'a str,
    authorization: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    content_type: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(parts: &'a Parts) -> Result<Self, LinkError> {
        let map = &parts.headers;
        let needed = |name| single(map, name)?.ok_or(LinkError::Malformed);
        // HTTP/2 puts the authority into the request target, HTTP/1.1 into `Host`.
        let authority = match parts.uri.authority() {
            Some(authority) => authority.as_str(),
            None => needed("host")?,
        };
        let request_id = needed(headers::REQUEST_ID)?;
        let is_id = request_id.len() == 32 && request_id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id {
            return Err(LinkError::Malformed);
        }
        Ok(Self {
            authority,
            input: needed(headers::SIGNATURE_INPUT)?,
            signature: needed(headers::SIGNATURE)?,
            content_digest: needed(headers::CONTENT_DIGEST)?,
            public_host: needed(headers::PUBLIC_HOST)?,
            client_address: needed(headers::CLIENT_ADDRESS)?,
            request_id,
            credential: needed(headers::CREDENTIAL)?,
            authorization: single(map, headers::AUTHORIZATION)?,
            idempotency_key: single(map, headers::IDEMPOTENCY_KEY)?,
            content_type: single(map, headers::CONTENT_TYPE)?,
        })
    }

    fn message(&self, parts: &'a Parts) -> Message<'a>
    where
        Self: 'a,
    {
        Message {
            method: parts.method.as_str(),
            authority: self.authority,
            path: parts.uri.path(),
            query: parts.uri.query(),
            content_digest: self.content_digest,
            public_host: self.public_host,
            client_address: self.client_address,
            request_id: self.request_id,
            credential: self.credential,
            authorization: self.authorization,
            idempotency_key: self.idempotency_key,
            content_type: self.content_type,
        }
    }
}

/// A header's only value. Two values are refused: a signature covers one, and a reader might take the other.
fn single<'a>(map: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, LinkError> {
    let mut values = map.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().map_err(|_| LinkError::Malformed)).transpose()?;
    if values.next().is_some() { Err(LinkError::Malformed) } else { Ok(first) }
}
