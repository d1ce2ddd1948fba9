//! Everything that touches the runtime's objects: the request is read once, the answer is built once.
//!
//! Head and headers cross as one text of lines each (see `js/host.js`): what crosses costs more than what is done with
//! it. Headers that are the same for many answers cross once in an isolate's life.

use core::cell::RefCell;
use core::future::Future;
use std::borrow::Cow;

use scanvault_protocol::record::MAX_TOKEN_KEYS;
use scanvault_protocol::{Problem, headers};
use wasm_bindgen::{JsCast, JsValue};
use zeroize::Zeroizing;

use crate::answer::MAX_KEPT_BYTES;
pub use crate::clock::now_ms;
use crate::config::ClientAddress;
use crate::forward::{Outgoing, PASSED_HEADERS};
use crate::host::{self, Response};
pub use crate::host::{Context, Env, Request, Stream};
use crate::kept;
use crate::platform;
use crate::reply::{Body, Head, Refusal, Reply};
use crate::screen::{BodyPlan, Inbound, Target};
use crate::state::Told;
use crate::step::{Task, settled};

/// The status of an answer that may say that a region stands by: others are not looked at for it.
const STANDBY_STATUS: u16 = 503;

/// An answer with a body that the runtime pumps by itself.
pub type RuntimeReply = Reply<Stream>;

/// A binding that is text.
#[must_use]
pub fn text_binding(env: &Env, name: &str) -> Option<Zeroizing<String>> {
    host::text_binding(env, name).map(Zeroizing::new)
}

/// Writes a line to the log.
pub fn log(line: &str) {
    host::log(line);
}

/// Has something done after the answer; the platform waits for it.
pub fn wait_until(context: &Context, later: impl Future<Output = ()> + 'static) {
    let task = async {
        later.await;
        JsValue::NULL
    };
    host::wait_until(context, Task::new(task));
}

/// Waits for so long. `false`: it cannot be waited for.
pub async fn pause(ms: u32) -> bool {
    settled(host::pause(ms)).await.is_ok()
}

/// Reads what the screen and the steps after it look at, in one pass over the text that `js/host.js` makes of a request:
/// method, address, whether there is a body, then name and value of each header. A credential is copied once, and wiped.
#[must_use]
pub fn read(text: &str, request: &Request, client_address: ClientAddress) -> Inbound {
    let mut lines = text.split('\n');
    let mut inbound = Inbound {
        method: lines.next().unwrap_or_default().to_owned(),
        target: lines.next().and_then(Target::parse),
        has_body: lines.next().is_some_and(|mark| !mark.is_empty()),
        ..Inbound::default()
    };
    // Names come in lower case, repeated headers joined by a comma (Fetch standard, "sort and combine").
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        inbound.header_count += 1;
        inbound.header_bytes += name.len() + value.len() + ": \r\n".len();
        let owned = || Some(value.to_owned());
        match name {
            "authorization" => inbound.authorization = owned().map(Zeroizing::new),
            "content-type" => inbound.content_type = owned(),
            "cookie" => inbound.cookie_bytes = value.len(),
            "content-length" => inbound.content_length = owned(),
            "transfer-encoding" => inbound.has_transfer_encoding = true,
            "content-encoding" => inbound.content_encoding = owned(),
            "accept" => inbound.accept = owned(),
            "idempotency-key" => inbound.idempotency_key = owned(),
            "if-none-match" => inbound.if_none_match = owned(),
            name if client_address.header() == Some(name) => inbound.client_address = owned(),
            _ => {}
        }
    }
    if client_address != ClientAddress::Unknown {
        read_platform(request, client_address, &mut inbound);
    }
    inbound
}

/// What the host of the edge says of the connection. It costs the runtime an object, so it is not asked for where a host
/// that nobody knows would say nothing.
fn read_platform(request: &Request, client_address: ClientAddress, inbound: &mut Inbound) {
    let text = host::platform(request);
    let mut lines = text.split('\n').map(|line| Some(line.to_owned()).filter(|line| !line.is_empty()));
    inbound.tls_version = lines.next().flatten();
    if client_address == ClientAddress::Runtime {
        inbound.client_address = lines.next().flatten().as_deref().and_then(platform::peer_address);
    }
}

/// Reads the body into one buffer, and stops at the first byte over the limit, or when its time is over. `is_announced`
/// is whether its length was, and was found short enough.
///
/// # Errors
/// The plan's, [`Problem::RequestTimeout`], or [`Problem::BadRequest`] when the client goes away in the middle.
pub async fn read_body(
    request: &Request,
    is_announced: bool,
    plan: BodyPlan,
    within_ms: u32,
) -> Result<Vec<u8>, Refusal> {
    if !plan.read {
        return Ok(Vec::new());
    }
    read_whole(request, is_announced, plan.max_bytes, within_ms).await.map_err(|error| match error {
        Unread::Late => Problem::RequestTimeout.into(),
        Unread::TooLong => plan.over.refusal(),
        Unread::Broken => Refusal::because(Problem::BadRequest, "The body ended early"),
    })
}

/// Why a stream was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Its time was over.
    Late,
    /// It is longer than it may be.
    TooLong,
    /// Its other end went away.
    Broken,
}

/// Reads a stream into one buffer, and stops at the first byte over the limit, or when its time is over.
///
/// # Errors
/// See [`Unread`].
pub async fn collect(stream: &Stream, max_bytes: usize, within_ms: u32) -> Result<Vec<u8>, Unread> {
    read_whole(stream, false, max_bytes, within_ms).await
}

async fn read_whole(source: &JsValue, is_announced: bool, max_bytes: usize, within_ms: u32) -> Result<Vec<u8>, Unread> {
    let most = u32::try_from(max_bytes).unwrap_or(u32::MAX);
    let read = settled(host::read_whole(source, is_announced, most, within_ms)).await.map_err(|_| Unread::Broken)?;
    if read.is_undefined() {
        return Err(Unread::Late);
    }
    let length = if read.is_null() { usize::MAX } else { host::length_of(&read) as usize };
    if length > max_bytes {
        return Err(Unread::TooLong);
    }
    let mut body = vec![0; length];
    host::copy_into(&read, &mut body);
    Ok(body)
}

/// An answer of the origin, its body not yet read.
pub struct FromOrigin {
    pub head: Head,
    pub body: Option<Stream>,
    /// The request id that it echoes.
    pub echoed_id: Option<String>,
    /// What it tells of credentials, where that can be news.
    pub told: Told,
    /// Nothing was done, since its region stands by.
    pub is_standby: bool,
}

/// No answer came. The outcome is unknown.
pub struct NoAnswer {
    /// The runtime's words, for the log.
    pub message: String,
}

impl NoAnswer {
    /// The connection ended under the request: also what a pooled one says whose other end was killed long ago.
    #[must_use]
    pub fn is_lost_connection(&self) -> bool {
        self.message.contains("connection lost")
    }

    /// What the client is told.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        Refusal::caused(Problem::OriginUnreachable, self.message)
    }
}

/// Sends a request to the origin. Redirects are not followed.
///
/// The deadline ends with the answer's headers: the runtime pumps the body by itself, and does not stop that for an
/// aborted signal (seen in workerd 1.20260426). The origin has a limit of its own for it.
///
/// # Errors
/// No connection, or no answer in time.
pub async fn send(outgoing: &Outgoing<'_>) -> Result<FromOrigin, NoAnswer> {
    let headers = outgoing.headers.iter().map(|(name, value)| (*name, value.as_ref()));
    let body = Some(outgoing.body).filter(|body| !body.is_empty());
    // A credential may be among them: it is wiped here, and not left in what is kept there.
    let is_secret = headers.clone().any(|(name, _)| name == headers::AUTHORIZATION);
    let number = if is_secret { Ok(kept::NONE) } else { kept::shape(headers.clone().map(|(name, _)| (name, None))) };
    let sent = number.and_then(|number| {
        let text = Zeroizing::new(kept::lines("", headers)?);
        host::send(outgoing.method, &outgoing.url, number, &text, body, outgoing.deadline_ms)
    });
    let response = match sent {
        Ok(promise) => settled(promise).await,
        Err(error) => Err(error),
    };
    // `TimeoutError` for the deadline, else the runtime's words about the connection.
    let response: Response = response.map_err(|error| NoAnswer { message: host::message_of(&error) })?.unchecked_into();
    Ok(answered(&response, outgoing))
}

/// Reads an answer's head in one pass.
fn answered(response: &Response, outgoing: &Outgoing<'_>) -> FromOrigin {
    let text = host::pack_answer(response);
    let mut lines = text.split('\n');
    let status = lines.next().and_then(|text| text.parse().ok()).unwrap_or_default();
    let reason = lines.next().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut answer = FromOrigin {
        head: Head { status, reason, headers: Vec::with_capacity(16) },
        body: host::body_of(response),
        echoed_id: None,
        told: Told::default(),
        is_standby: false,
    };
    let mut is_packed = false;
    let is_told = outgoing.is_told(status);
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        match name {
            headers::REQUEST_ID => answer.echoed_id = Some(value.to_owned()),
            headers::CREDENTIAL_RECORD if is_told => answer.told.record = Some(value.to_owned()),
            headers::TOKEN_KEYS if is_told => answer.told.keys = Some(value.to_owned()),
            headers::STANDBY => answer.is_standby = status == STANDBY_STATUS && value == headers::STANDBY_VALUE,
            "content-encoding" => is_packed = true,
            name => {
                if let Some(passed) = PASSED_HEADERS.iter().find(|passed| **passed == name) {
                    answer.head.headers.push((passed, Cow::Owned(value.to_owned())));
                }
            }
        }
    }
    if is_packed {
        // The length of what is packed is not that of what the runtime unpacks.
        answer.head.headers.retain(|(name, _)| *name != "content-length");
    }
    answer
}

thread_local! {
    /// Public keys as the runtime wants them, by their bytes. As many as the origin may tell of, and as many again.
    static KEYS: RefCell<Vec<([u8; 32], JsValue)>> = const { RefCell::new(Vec::new()) };
}

/// Whether an Ed25519 signature holds. `None` when the runtime cannot say, which it never did: a key that is no point
/// of the curve, or an algorithm that it does not have.
pub async fn holds(key: &[u8; 32], data: &[u8], signature: &[u8; 64]) -> Option<bool> {
    let known = KEYS.with_borrow(|keys| keys.iter().find(|(bytes, _)| bytes == key).map(|(_, key)| key.clone()));
    let key = match known {
        Some(key) => key,
        None => imported(key).await?,
    };
    settled(host::verify(&key, signature, data).ok()?).await.ok()?.as_bool()
}

/// What is kept is the key that came of it, not the promise: that belongs to one request.
async fn imported(bytes: &[u8; 32]) -> Option<JsValue> {
    let key = settled(host::import_key(bytes).ok()?).await.ok()?;
    KEYS.with_borrow_mut(|keys| {
        if keys.len() >= 2 * MAX_TOKEN_KEYS {
            keys.clear();
        }
        keys.push((*bytes, key.clone()));
    });
    Some(key)
}

/// Tells a limiter of the platform, where there is one of this name, of one more of a key. Whether it has had enough.
pub async fn is_over_limit(env: &Env, binding: &str, key: &str) -> bool {
    // Without the binding there is nothing to call. A limiter that fails has not had enough.
    let Ok(promise) = host::limit(env, binding, key) else { return false };
    settled(promise).await.is_ok_and(|outcome| host::is_over_limit(&outcome))
}

/// Drops an answer of the origin that is not passed on, so that its connection is free again.
pub async fn discard(body: Option<Stream>) {
    if let Some(promise) = body.and_then(|stream| host::cancel(&stream).ok()) {
        let _ = settled(promise).await;
    }
}

/// Builds the runtime's answer.
///
/// # Errors
/// What the runtime throws when a header or status is not one.
pub fn into_response(reply: &RuntimeReply) -> Result<JsValue, JsValue> {
    let Head { status, reason, headers } = &reply.head;
    let number = kept::shape(headers.iter().map(|(name, value)| match value {
        Cow::Borrowed(value) => (*name, Some(*value)),
        Cow::Owned(_) => (*name, None),
    }))?;
    let varying = headers.iter().filter(|(_, value)| number == kept::NONE || matches!(value, Cow::Owned(_)));
    let text =
        kept::lines(reason.as_deref().unwrap_or_default(), varying.map(|(name, value)| (*name, value.as_ref())))?;
    match &reply.body {
        // These statuses have no body (RFC 9110 §15.3.5, §15.4.5); the constructor would throw.
        _ if matches!(status, 204 | 205 | 304) => host::respond(*status, number, &text, &JsValue::NULL),
        Body::Empty => host::respond(*status, number, &text, &JsValue::NULL),
        Body::Bytes(bytes) => host::respond_bytes(*status, number, &text, bytes),
        Body::Shared(bytes) if bytes.len() > MAX_KEPT_BYTES => host::respond_bytes(*status, number, &text, bytes),
        Body::Shared(bytes) => host::respond_kept(*status, number, &text, kept::body(bytes)),
        Body::Stream(stream) => host::respond(*status, number, &text, stream),
    }
}
