//! The messages around an authentication request: what is sent and what an answer means.
//!
//! An answer counts only when it is the message that was asked for, of the authentication that it was asked for. The ARes
//! and RReq are kept as they came: the acquirer wants them to the letter.

use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::base64url;
use super::version::{Range, Version};
use crate::acquirers::Answer;
use crate::vault::Pan;

const MAX_ID: usize = 36;
const MAX_URL: usize = 2048;
const MAX_DETAIL: usize = 120;

/// Why a call brought no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server's own word; the detail is fit for a log.
    #[error("Erro {code}: {detail}")]
    Erro {
        /// `errorCode`.
        code: String,
        /// `errorDetail` without its digits.
        detail: String,
    },
    /// The merchant's API key is not taken.
    #[error("the API key is not taken")]
    Key,
    /// There was no connection.
    #[error("the 3-D Secure server could not be reached")]
    NotSent,
    /// No answer, or none that can be one.
    #[error("{0}")]
    NoAnswer(&'static str),
}

/// What `/preauth` knows of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardRange {
    /// `threeDSServerTransID`; good for 80 seconds.
    pub id: String,
    /// The version to speak; none when the bank and we have none in common.
    pub version: Option<Version>,
    /// The bank's page that looks at the browser first.
    pub method_url: Option<String>,
    /// Whose directory it is.
    pub scheme: String,
}

/// The bank's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ares {
    /// `transStatus`.
    pub status: String,
    /// `transStatusReason`.
    pub reason: Option<String>,
    /// Where the challenge is.
    pub challenge: Option<Challenge>,
    /// To the letter.
    pub json: String,
}

/// A challenge that the bank wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// `acsTransID`.
    pub acs_id: String,
    /// The bank's page.
    pub url: String,
}

/// The result of a challenge, from the scheme's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rreq {
    /// `transStatus`.
    pub status: String,
    /// `transStatusReason`.
    pub reason: Option<String>,
    /// `challengeCancel`.
    pub cancel: Option<String>,
    /// To the letter.
    pub json: String,
}

/// The body of `/preauth`.
#[must_use]
pub fn preauth(pan: &Pan, ds: Option<&str>) -> Zeroizing<Vec<u8>> {
    // Room for all: a reallocation would leave the number behind.
    let mut body = Zeroizing::new(Vec::with_capacity(128));
    body.extend_from_slice(b"{\"acctNumber\":\"");
    body.extend_from_slice(pan.expose().as_bytes());
    if let Some(ds) = ds {
        body.extend_from_slice(b"\",\"ds\":\"");
        body.extend_from_slice(ds.as_bytes());
    }
    body.extend_from_slice(b"\"}");
    body
}

/// The body of `/postauth`.
#[must_use]
pub fn postauth(id: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(json!({ "threeDSServerTransID": id }).to_string().into_bytes())
}

/// What the bank's method page is posted, ready for the form.
#[must_use]
pub fn method_data(id: &str, notification_url: &str) -> String {
    let json = json!({ "threeDSServerTransID": id, "threeDSMethodNotificationURL": notification_url });
    base64url::encode(json.to_string().as_bytes())
}

/// What the bank's challenge page is posted, ready for the form.
#[must_use]
pub fn creq(id: &str, acs_id: &str, version: Version, window_size: &str) -> String {
    let json = json!({
        "threeDSServerTransID": id,
        "acsTransID": acs_id,
        "messageVersion": version.as_str(),
        "messageType": "CReq",
        "challengeWindowSize": window_size,
    });
    base64url::encode(json.to_string().as_bytes())
}

/// The id in what a bank's method page posts back. The documentation's own example has it under another name.
#[must_use]
pub fn method_id(data: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(&base64url::decode(data)?).ok()?;
    let id = json.get("threeDSServerTransID").or_else(|| json.get("threeDSMethodData"))?;
    checked_id(id.as_str()?)
}

/// The id and status in what a bank's challenge page posts back. It has passed through the payer's browser, which may
/// have written it: a hint for the log, nothing else.
#[must_use]
pub fn cres(data: &str) -> Option<(String, String)> {
    let json: Value = serde_json::from_slice(&base64url::decode(data)?).ok()?;
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let status = text("transStatus").filter(|status| status.len() == 1 && status.is_ascii())?;
    Some((checked_id(text("threeDSServerTransID")?)?, status.to_owned()))
}

/// The answer of `/preauth`.
///
/// # Errors
/// See [`Failure`].
pub fn read_preauth(answer: &Answer) -> Result<CardRange, Failure> {
    let raw: RawRange = read(answer, "CRD")?;
    let id = checked_id(&raw.id).ok_or(NOT_READABLE)?;
    let version = Version::choose(&[
        Range { start: raw.ds_start, end: raw.ds_end },
        Range { start: raw.acs_start, end: raw.acs_end },
    ]);
    let of_version = |one: &&RawVersion| version.is_some_and(|version| version.as_str() == one.version);
    let method_url = raw.versions.iter().find(of_version).and_then(|one| one.method_url.clone()).or(raw.method_url);
    Ok(CardRange { id, version, method_url: method_url.filter(|url| is_url(url)), scheme: raw.scheme })
}

/// The answer of `/auth`.
///
/// # Errors
/// See [`Failure`].
pub fn read_ares(answer: &Answer, id: &str, version: Version) -> Result<Ares, Failure> {
    let raw: RawAres = read(answer, "ARes")?;
    if !raw.id.eq_ignore_ascii_case(id) || raw.version != version.as_str() {
        return Err(Failure::NoAnswer("the ARes is another authentication's"));
    }
    let challenge = match raw.acs_url.filter(|url| is_url(url)) {
        Some(url) => checked_id(&raw.acs_id).map(|acs_id| Challenge { acs_id, url }),
        None => None,
    };
    if raw.status == "C" && challenge.is_none() {
        return Err(Failure::NoAnswer("the ARes asks for a challenge and does not say where"));
    }
    Ok(Ares { status: raw.status, reason: raw.reason, challenge, json: text(answer)? })
}

/// The answer of `/postauth`.
///
/// # Errors
/// See [`Failure`].
pub fn read_rreq(answer: &Answer, id: &str, acs_id: &str) -> Result<Rreq, Failure> {
    let raw: RawRreq = read(answer, "RReq")?;
    if !raw.id.eq_ignore_ascii_case(id) || !raw.acs_id.eq_ignore_ascii_case(acs_id) {
        return Err(Failure::NoAnswer("the RReq is another authentication's"));
    }
    Ok(Rreq { status: raw.status, reason: raw.reason, cancel: raw.cancel, json: text(answer)? })
}

const NOT_READABLE: Failure = Failure::NoAnswer("the 3-D Secure server's answer was not readable");

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "messageType")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawErro {
    error_code: String,
    #[serde(default)]
    error_detail: String,
}

#[derive(Deserialize)]
struct RawRange {
    #[serde(rename = "threeDSServerTransID")]
    id: String,
    #[serde(rename = "dsStartProtocolVersion")]
    ds_start: Option<String>,
    #[serde(rename = "dsEndProtocolVersion")]
    ds_end: Option<String>,
    #[serde(rename = "acsStartProtocolVersion")]
    acs_start: Option<String>,
    #[serde(rename = "acsEndProtocolVersion")]
    acs_end: Option<String>,
    #[serde(rename = "acsProtocolVersions", default)]
    versions: Vec<RawVersion>,
    #[serde(rename = "threeDSMethodURL")]
    method_url: Option<String>,
    scheme: String,
}

#[derive(Deserialize)]
struct RawVersion {
    version: String,
    #[serde(rename = "threeDSMethodURL")]
    method_url: Option<String>,
}

#[derive(Deserialize)]
struct RawAres {
    #[serde(rename = "threeDSServerTransID")]
    id: String,
    #[serde(rename = "messageVersion")]
    version: String,
    #[serde(rename = "transStatus")]
    status: String,
    #[serde(rename = "transStatusReason")]
    reason: Option<String>,
    #[serde(rename = "acsTransID", default)]
    acs_id: String,
    #[serde(rename = "acsURL")]
    acs_url: Option<String>,
}

#[derive(Deserialize)]
struct RawRreq {
    #[serde(rename = "threeDSServerTransID")]
    id: String,
    #[serde(rename = "acsTransID")]
    acs_id: String,
    #[serde(rename = "transStatus")]
    status: String,
    #[serde(rename = "transStatusReason")]
    reason: Option<String>,
    #[serde(rename = "challengeCancel")]
    cancel: Option<String>,
}

/// The body decides: JSON comes with other statuses than 200, too. A message with another status is none.
fn read<T: for<'de> Deserialize<'de>>(answer: &Answer, kind: &str) -> Result<T, Failure> {
    let found = serde_json::from_slice::<Kind>(&answer.body).map(|read| read.kind).unwrap_or_default();
    if found == "Erro" {
        let erro: RawErro = serde_json::from_slice(&answer.body).map_err(|_| NOT_READABLE)?;
        return Err(Failure::Erro { code: harmless(&erro.error_code, 3), detail: harmless_detail(&erro.error_detail) });
    }
    match answer.status {
        200 if found == kind => serde_json::from_slice(&answer.body).map_err(|_| NOT_READABLE),
        401 => Err(Failure::Key),
        500..600 => Err(Failure::NoAnswer("the 3-D Secure server answered with an error of its own")),
        _ => Err(NOT_READABLE),
    }
}

fn text(answer: &Answer) -> Result<String, Failure> {
    String::from_utf8(answer.body.to_vec()).map_err(|_| NOT_READABLE)
}

fn harmless(text: &str, most: usize) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~')).take(most).collect()
}

/// Without digits: it may repeat what was sent.
fn harmless_detail(text: &str) -> String {
    harmless(text, MAX_DETAIL).chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

/// The protocol's ids are UUIDs; one spelling is kept.
fn checked_id(id: &str) -> Option<String> {
    let is_id = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then(|| id.to_ascii_lowercase())
}

/// The address of a bank's page. Plain HTTP is for the sandbox: a page of ours over HTTPS would not load it.
fn is_url(url: &str) -> bool {
    url.len() <= MAX_URL
        && url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>'))
        && ["https://", "http://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}
