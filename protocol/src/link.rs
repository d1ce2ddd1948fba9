//! The link signature: HTTP Message Signatures (RFC 9421) with `hmac-sha256` over everything that is forwarded.
//!
//! The signature base has exactly these lines, in this order, the last three only when the header is there:
//!
//! ```text
//! "@method": POST
//! "@authority": origin.example:8443
//! "@path": /pluto/code/create
//! "@query": ?
//! "content-digest": sha-256=:…:
//! "scanvault-host": pay.example
//! "scanvault-client": 203.0.113.7
//! "scanvault-request-id": 0123456789abcdef0123456789abcdef
//! "scanvault-credential": unverified
//! "authorization": Basic …
//! "idempotency-key": …
//! "content-type": application/json
//! "@signature-params": ("@method" … "content-type");created=1790000000;nonce="…";keyid="…";alg="hmac-sha256";tag="a"
//! ```
//!
//! There is one way to write each message: the verifier builds `Signature-Input` anew from what it parsed and what it
//! received, and compares the text. A header that is not in the list is not covered, and the origin drops it.
//!
//! Not protected: the confidentiality of anything (TLS does that), and the answer's way back (TLS again).

use core::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::headers;

/// How far a signature's time may lie from the verifier's clock, either way, in seconds.
pub const WINDOW_SECS: u64 = 30;
/// How long a nonce must be remembered, in seconds: the whole window and a margin.
pub const NONCE_TTL_SECS: u64 = 90;
/// Random bytes in a nonce.
pub const NONCE_BYTES: usize = 16;

const LABEL: &str = "link";
const ALGORITHM: &str = "hmac-sha256";

/// A shared key with its name. Two may be live, so that a secret is replaced with no downtime.
pub struct LinkKey {
    id: String,
    secret: Zeroizing<[u8; 32]>,
}

impl LinkKey {
    /// Takes a key id (letters, digits, `-`, `_`, at most 32) and its secret.
    ///
    /// # Errors
    /// [`LinkError::Malformed`] when the id has another form.
    pub fn new(id: &str, secret: [u8; 32]) -> Result<Self, LinkError> {
        let secret = Zeroizing::new(secret);
        if is_name(id) { Ok(Self { id: id.to_owned(), secret }) } else { Err(LinkError::Malformed) }
    }

    /// Takes a key id and its secret as it is written in configurations: base64 of 32 bytes (RFC 4648 §4).
    ///
    /// # Errors
    /// [`LinkError::Malformed`] when either has another form.
    pub fn parse(id: &str, secret: &str) -> Result<Self, LinkError> {
        let bytes = Zeroizing::new(STANDARD.decode(secret.trim()).map_err(|_| LinkError::Malformed)?);
        Self::new(id, bytes.as_slice().try_into().map_err(|_| LinkError::Malformed)?)
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn mac(&self, base: &str) -> Result<Hmac<Sha256>, LinkError> {
        // RFC 2104 takes keys of every length, so this error never happens.
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.secret.as_slice());
        Ok(mac.map_err(|_| LinkError::Malformed)?.chain_update(base.as_bytes()))
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkKey({})", self.id)
    }
}

/// What is signed: the request as it travels from edge to origin.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// Host and port as in the `Host` header (RFC 9421 §2.2.3), lower case.
    pub authority: &'a str,
    /// The path, canonical.
    pub path: &'a str,
    /// The query without its `?`; `None` and empty are the same.
    pub query: Option<&'a str>,
    /// The value of `Content-Digest`.
    pub content_digest: &'a str,
    /// See [`headers::PUBLIC_HOST`].
    pub public_host: &'a str,
    /// See [`headers::CLIENT_ADDRESS`].
    pub client_address: &'a str,
    /// See [`headers::REQUEST_ID`].
    pub request_id: &'a str,
    /// See [`headers::CREDENTIAL`].
    pub credential: &'a str,
    /// See [`headers::AUTHORIZATION`].
    pub authorization: Option<&'a str>,
    /// See [`headers::IDEMPOTENCY_KEY`].
    pub idempotency_key: Option<&'a str>,
    /// See [`headers::CONTENT_TYPE`].
    pub content_type: Option<&'a str>,
}

/// The two headers that carry a signature.
#[derive(Debug)]
pub struct SignatureHeaders {
    /// The value of `Signature-Input`.
    pub input: String,
    /// The value of `Signature`.
    pub signature: String,
}

/// A signature that held. The nonce still has to be new.
#[derive(Debug)]
pub struct Verified {
    /// Which key signed.
    pub key_id: String,
    /// The nonce, to be remembered for [`NONCE_TTL_SECS`].
    pub nonce: [u8; NONCE_BYTES],
    /// When it was signed, in Unix seconds.
    pub created: u64,
}

/// Why a signature is refused. For logs and metrics only: the answer is always the same empty 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A header is missing, doubled or not in the one form.
    #[error("malformed signature")]
    Malformed,
    /// No live key has this id.
    #[error("unknown key")]
    UnknownKey,
    /// Signed for another region.
    #[error("signed for another region")]
    WrongRegion,
    /// Signed too long ago, too far ahead, or before this process started.
    #[error("out of the time window")]
    OutOfWindow,
    /// The MAC does not match.
    #[error("bad signature")]
    BadSignature,
    /// The body is not what was digested.
    #[error("bad content digest")]
    BadDigest,
    /// The nonce was used before.
    #[error("replayed")]
    Replayed,
}

/// The value of `Content-Digest` (RFC 9530 §2) for a body.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    if body.is_empty() {
        // Most requests that are forwarded have none.
        return EMPTY_DIGEST.to_owned();
    }
    digest_of(body)
}

/// What [`content_digest`] says of no bytes.
const EMPTY_DIGEST: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

fn digest_of(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

/// Signs a message for a region.
///
/// # Errors
/// [`LinkError::Malformed`] when a field holds what no header can hold (control characters, non-ASCII).
pub fn sign(
    key: &LinkKey,
    message: &Message<'_>,
    region: &str,
    created: u64,
    nonce: &[u8; NONCE_BYTES],
) -> Result<SignatureHeaders, LinkError> {
    if !is_name(region) {
        return Err(LinkError::Malformed);
    }
    let params = signature_params(message, created, nonce, key.id(), region);
    let mac = key.mac(&signature_base(message, &params)?)?.finalize().into_bytes();
    Ok(SignatureHeaders {
        input: format!("{LABEL}={params}"),
        signature: format!("{LABEL}=:{}:", STANDARD.encode(mac)),
    })
}

/// Checks a signature against the live keys, the region and the clock (`now` in Unix seconds).
///
/// # Errors
/// See [`LinkError`].
pub fn verify(
    keys: &[LinkKey],
    message: &Message<'_>,
    region: &str,
    input: &str,
    signature: &str,
    now: u64,
) -> Result<Verified, LinkError> {
    let parsed = parse_params(input)?;
    let params = signature_params(message, parsed.created, &parsed.nonce, parsed.key_id, parsed.region);
    if input.strip_prefix(LABEL).and_then(|rest| rest.strip_prefix('=')) != Some(params.as_str()) {
        return Err(LinkError::Malformed);
    }
    let key = keys.iter().find(|key| key.id() == parsed.key_id).ok_or(LinkError::UnknownKey)?;
    if parsed.region != region {
        return Err(LinkError::WrongRegion);
    }
    if parsed.created.abs_diff(now) > WINDOW_SECS {
        return Err(LinkError::OutOfWindow);
    }
    let mac = signature
        .strip_prefix(LABEL)
        .and_then(|rest| rest.strip_prefix("=:"))
        .and_then(|rest| rest.strip_suffix(':'))
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or(LinkError::Malformed)?;
    key.mac(&signature_base(message, &params)?)?.verify_slice(&mac).map_err(|_| LinkError::BadSignature)?;
    Ok(Verified { key_id: parsed.key_id.to_owned(), nonce: parsed.nonce, created: parsed.created })
}

/// The covered components with their values, in order.
fn components<'a>(message: &Message<'a>) -> impl Iterator<Item = (&'static str, &'a str)> {
    [
        ("@method", Some(message.method)),
        ("@authority", Some(message.authority)),
        ("@path", Some(message.path)),
        // RFC 9421 §2.2.7: the leading `?` is part of the value; `signature_base` writes it.
        ("@query", Some(message.query.unwrap_or_default())),
        (headers::CONTENT_DIGEST, Some(message.content_digest)),
        (headers::PUBLIC_HOST, Some(message.public_host)),
        (headers::CLIENT_ADDRESS, Some(message.client_address)),
        (headers::REQUEST_ID, Some(message.request_id)),
        (headers::CREDENTIAL, Some(message.credential)),
        (headers::AUTHORIZATION, message.authorization),
        (headers::IDEMPOTENCY_KEY, message.idempotency_key),
        (headers::CONTENT_TYPE, message.content_type),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| (name, value)))
}

fn signature_params(message: &Message<'_>, created: u64, nonce: &[u8], key_id: &str, region: &str) -> String {
    let mut names = String::with_capacity(320);
    for (name, _) in components(message) {
        let separator = if names.is_empty() { "" } else { " " };
        let _ = write!(names, "{separator}\"{name}\"");
    }
    let nonce = URL_SAFE_NO_PAD.encode(nonce);
    format!("({names});created={created};nonce=\"{nonce}\";keyid=\"{key_id}\";alg=\"{ALGORITHM}\";tag=\"{region}\"")
}

/// RFC 9421 §2.5. A line break in a value would let it pose as another line, so control characters are refused.
///
/// A credential may be among them, so the text is wiped, and has all its room from the beginning: one that grows leaves
/// copies behind.
fn signature_base(message: &Message<'_>, params: &str) -> Result<Zeroizing<String>, LinkError> {
    let length = components(message).map(|(name, value)| name.len() + value.len() + "\"\": ?\n".len()).sum::<usize>();
    let mut base = Zeroizing::new(String::with_capacity(length + "\"@signature-params\": ".len() + params.len()));
    for (name, value) in components(message) {
        if value.bytes().any(|b| !(b' '..=b'~').contains(&b)) {
            return Err(LinkError::Malformed);
        }
        let mark = if name == "@query" { "?" } else { "" };
        let _ = writeln!(base, "\"{name}\": {mark}{}", value.trim());
    }
    let _ = write!(base, "\"@signature-params\": {params}");
    Ok(base)
}

struct Params<'a> {
    created: u64,
    nonce: [u8; NONCE_BYTES],
    key_id: &'a str,
    region: &'a str,
}

/// Takes the parameters out; whether the text as a whole is in the one form is decided by building it anew.
fn parse_params(input: &str) -> Result<Params<'_>, LinkError> {
    if input.len() > 1024 {
        return Err(LinkError::Malformed);
    }
    let (_, tail) = input.split_once(");created=").ok_or(LinkError::Malformed)?;
    let mut parts = tail.split(';');
    let mut quoted = |name: &str| {
        let part = parts.next()?;
        part.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"')
    };
    let (created, _) = tail.split_once(';').ok_or(LinkError::Malformed)?;
    let created = created.parse().map_err(|_| LinkError::Malformed)?;
    let _ = quoted("");
    let nonce = quoted("nonce").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(LinkError::Malformed)?;
    let key_id = quoted("keyid").filter(|id| is_name(id)).ok_or(LinkError::Malformed)?;
    let _ = quoted("alg");
    let region = quoted("tag").filter(|tag| is_name(tag)).ok_or(LinkError::Malformed)?;
    Ok(Params { created, nonce: nonce.try_into().map_err(|_| LinkError::Malformed)?, key_id, region })
}

/// Whether a text can name a key or a region: 1 to 32 letters, digits, `-` and `_`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
