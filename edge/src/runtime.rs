//! Everything that touches the runtime's objects: the request is read once, the answer is built once.
//!
//! The `web_sys` types are used directly: the wrappers of the `worker` crate turn unknown methods into GET and panic
//! where a constructor throws.

use core::cell::RefCell;

use scanvault_protocol::record::MAX_TOKEN_KEYS;
use scanvault_protocol::{Problem, headers};
use worker::js_sys::{self, Promise, Uint8Array};
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{self, ReadableStream, ReadableStreamDefaultReader};
use zeroize::Zeroizing;

use crate::config::ClientAddress;
use crate::forward::{Outgoing, PASSED_HEADERS};
use crate::platform;
use crate::reply::{Body, Head, Refusal, Reply};
use crate::screen::{BodyPlan, Inbound, Target};
use crate::state::Told;

/// The status of an answer that may say that a region stands by: others are not looked at for it.
const STANDBY_STATUS: u16 = 503;

/// A body that the runtime pumps by itself.
pub type Stream = ReadableStream;

/// An answer with such a body.
pub type RuntimeReply = Reply<Stream>;

/// Milliseconds since the epoch. On Cloudflare the clock stands still between I/O.
#[must_use]
pub fn now_ms() -> u64 {
    worker::Date::now().as_millis()
}

/// Writes a line to the log.
pub fn log(line: &str) {
    worker::console_log!("{line}");
}

/// Reads what the screen and the steps after it look at, in one pass: a credential is copied once, and wiped.
#[must_use]
pub fn read(request: &web_sys::Request, client_address: ClientAddress) -> Inbound {
    let mut inbound = Inbound {
        method: request.method(),
        target: Target::parse(&request.url()),
        has_body: request.body().is_some(),
        ..Inbound::default()
    };
    // Names come in lower case, repeated headers joined by a comma (Fetch standard, "sort and combine").
    for (name, value) in worker::Headers(request.headers()).entries() {
        inbound.header_count += 1;
        inbound.header_bytes += name.len() + value.len() + ": \r\n".len();
        match name.as_str() {
            "authorization" => inbound.authorization = Some(Zeroizing::new(value)),
            "content-type" => inbound.content_type = Some(value),
            "cookie" => inbound.cookie_bytes = value.len(),
            "content-length" => inbound.content_length = Some(value),
            "transfer-encoding" => inbound.has_transfer_encoding = true,
            "content-encoding" => inbound.content_encoding = Some(value),
            "accept" => inbound.accept = Some(value),
            "idempotency-key" => inbound.idempotency_key = Some(value),
            "if-none-match" => inbound.if_none_match = Some(value),
            name if client_address.header() == Some(name) => inbound.client_address = Some(value),
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
fn read_platform(request: &web_sys::Request, client_address: ClientAddress, inbound: &mut Inbound) {
    // Without `cf` it is undefined and has no members.
    let said = |name: &str| {
        let cf = js_sys::Reflect::get(request, &"cf".into()).ok()?;
        js_sys::Reflect::get(&cf, &name.into()).ok()?.as_string()
    };
    inbound.tls_version = said("tlsVersion");
    if client_address == ClientAddress::Runtime {
        inbound.client_address = said("clientIp").as_deref().and_then(platform::peer_address);
    }
}

/// Reads the body into one buffer, and stops at the first byte over the limit, or when its time is over.
///
/// # Errors
/// The plan's, [`Problem::RequestTimeout`], or [`Problem::BadRequest`] when the client goes away in the middle.
pub async fn read_body(request: &web_sys::Request, plan: BodyPlan, within_ms: u32) -> Result<Vec<u8>, Refusal> {
    let Some(stream) = request.body().filter(|_| plan.read) else { return Ok(Vec::new()) };
    collect(&stream, plan.max_bytes, within_ms).await.map_err(|error| match error {
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
pub async fn collect(stream: &ReadableStream, max_bytes: usize, within_ms: u32) -> Result<Vec<u8>, Unread> {
    let broken = |_: JsValue| Unread::Broken;
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut body = Vec::new();
    let its_time = after_ms(within_ms);
    loop {
        let first = Promise::race(&js_sys::Array::of2(&reader.read(), &its_time));
        let step = JsFuture::from(first).await.map_err(broken)?;
        if step.is_undefined() {
            // Not waited for: who sends nothing may not let go either.
            let _ = reader.cancel();
            return Err(Unread::Late);
        }
        if js_sys::Reflect::get(&step, &"done".into()).map_err(broken)?.is_truthy() {
            return Ok(body);
        }
        let chunk = Uint8Array::new(&js_sys::Reflect::get(&step, &"value".into()).map_err(broken)?);
        if body.len() + chunk.length() as usize > max_bytes {
            let _ = JsFuture::from(reader.cancel()).await;
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk.to_vec());
    }
}

/// A promise of nothing that is kept after so long.
fn after_ms(ms: u32) -> Promise {
    Promise::new(&mut |keep, _| {
        let global: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
        let ms = i32::try_from(ms).unwrap_or(i32::MAX);
        let _ = global.set_timeout_with_callback_and_timeout_and_arguments_0(&keep, ms);
    })
}

/// An answer of the origin, its body not yet read.
pub struct FromOrigin {
    pub head: Head,
    pub body: Option<ReadableStream>,
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
    let response = fetch(outgoing).await.map_err(|error| {
        // `TimeoutError` for the deadline, else the runtime's words about the connection.
        let message = js_sys::Reflect::get(&error, &"message".into()).ok().and_then(|text| text.as_string());
        NoAnswer { message: message.unwrap_or_default() }
    })?;
    let answered = response.headers();
    let get = |name: &str| answered.get(name).ok().flatten();
    let told = |name: &str| outgoing.is_told(response.status()).then(|| get(name)).flatten();
    // The length of what is packed is not that of what the runtime unpacks.
    let is_packed = answered.has("content-encoding").unwrap_or(true);
    let is_passed = |name: &str| !(is_packed && name == "content-length");
    Ok(FromOrigin {
        head: Head {
            status: response.status(),
            reason: Some(response.status_text()).filter(|text| !text.is_empty()),
            headers: PASSED_HEADERS
                .iter()
                .filter(|name| is_passed(name))
                .filter_map(|name| Some((*name, get(name)?)))
                .collect(),
        },
        echoed_id: get(headers::REQUEST_ID),
        is_standby: response.status() == STANDBY_STATUS
            && get(headers::STANDBY).as_deref() == Some(headers::STANDBY_VALUE),
        told: Told { record: told(headers::CREDENTIAL_RECORD), keys: told(headers::TOKEN_KEYS) },
        body: response.body(),
    })
}

async fn fetch(outgoing: &Outgoing<'_>) -> Result<web_sys::Response, JsValue> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in &outgoing.headers {
        headers.set(name, value)?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method(outgoing.method);
    init.set_headers(&headers);
    init.set_redirect(web_sys::RequestRedirect::Manual);
    init.set_signal(Some(&web_sys::AbortSignal::timeout_with_u32(outgoing.deadline_ms)));
    if !outgoing.body.is_empty() {
        init.set_body(&Uint8Array::from(outgoing.body));
    }
    let global: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    JsFuture::from(global.fetch_with_str_and_init(&outgoing.url, &init)).await?.dyn_into()
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = importKey)]
    fn import_key(
        format: &str,
        key: &[u8],
        algorithm: &str,
        extractable: bool,
        uses: &JsValue,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = verify)]
    fn verify(algorithm: &str, key: &JsValue, signature: &[u8], data: &[u8]) -> Result<Promise, JsValue>;
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
    // WebCrypto copies what it is given before it returns (its §14.3), so views of our memory do.
    let answer = JsFuture::from(verify("Ed25519", &key, signature, data).ok()?).await.ok()?;
    answer.as_bool()
}

/// What is kept is the key that came of it, not the promise: that belongs to one request.
async fn imported(bytes: &[u8; 32]) -> Option<JsValue> {
    let uses = js_sys::Array::of1(&"verify".into());
    let key = JsFuture::from(import_key("raw", bytes, "Ed25519", false, &uses).ok()?).await.ok()?;
    KEYS.with_borrow_mut(|keys| {
        if keys.len() >= 2 * MAX_TOKEN_KEYS {
            keys.clear();
        }
        keys.push((*bytes, key.clone()));
    });
    Some(key)
}

/// Tells a limiter of the platform, where there is one of this name, of one more of a key. Whether it has had enough.
pub async fn is_over_limit(env: &JsValue, binding: &str, key: &str) -> bool {
    let asked = || -> Result<Promise, JsValue> {
        let limiter = js_sys::Reflect::get(env, &binding.into())?;
        let limit: js_sys::Function = js_sys::Reflect::get(&limiter, &"limit".into())?.dyn_into()?;
        let options = js_sys::Object::new();
        js_sys::Reflect::set(&options, &"key".into(), &key.into())?;
        limit.call1(&limiter, &options)?.dyn_into()
    };
    // Without the binding, `limiter` is undefined and has no members. A limiter that fails has not had enough.
    let Ok(promise) = asked() else { return false };
    let outcome = JsFuture::from(promise).await.unwrap_or_default();
    let success = js_sys::Reflect::get(&outcome, &"success".into()).ok();
    success.is_some_and(|success| success == JsValue::FALSE)
}

/// Drops an answer of the origin that is not passed on, so that its connection is free again.
pub async fn discard(body: Option<ReadableStream>) {
    if let Some(stream) = body {
        let _ = JsFuture::from(stream.cancel()).await;
    }
}

/// Builds the runtime's answer.
///
/// # Errors
/// What the runtime throws when a header or status is not one.
pub fn into_response(reply: RuntimeReply) -> Result<web_sys::Response, JsValue> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in &reply.head.headers {
        headers.set(name, value)?;
    }
    let init = web_sys::ResponseInit::new();
    init.set_status(reply.head.status);
    if let Some(reason) = &reply.head.reason {
        init.set_status_text(reason);
    }
    init.set_headers(&headers);
    match reply.body {
        // These statuses have no body (RFC 9110 §15.3.5, §15.4.5); the constructor would throw.
        _ if matches!(reply.head.status, 204 | 205 | 304) => web_sys::Response::new_with_opt_str_and_init(None, &init),
        Body::Empty => web_sys::Response::new_with_opt_str_and_init(None, &init),
        Body::Bytes(bytes) => {
            web_sys::Response::new_with_opt_buffer_source_and_init(Some(&Uint8Array::from(bytes.as_slice())), &init)
        }
        Body::Stream(stream) => web_sys::Response::new_with_opt_readable_stream_and_init(Some(&stream), &init),
    }
}
