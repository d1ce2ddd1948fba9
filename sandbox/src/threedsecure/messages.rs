//! The messages that the 3-D Secure server answers with, and the book's entries.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    guesses::{ECI_ATTEMPT, ECI_FULL, ECI_NONE, METHOD_PATH, REASONS},
    script::{Method, Script},
    transaction::{Result, Transaction},
};
use crate::common::book::Kind;

const ACS: &str = "scanvault-sandbox-acs";
const DS: &str = "scanvault-sandbox-ds";

/// One act: an id given out (`preauth`), an ARes (`auth`), a result (`challenge`). Reading a result again is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// threeDSServerTransID.
    pub id: String,
    pub kind: Kind,
    pub amount: Option<u64>,
    /// ISO 4217 numeric, as it was sent; empty at `preauth`.
    pub currency: String,
    /// transStatus; empty at `preauth`, and when the directory server was not reached.
    pub status: String,
    /// Whether it is billed: an ARes is.
    pub booked: bool,
    pub processed_at: String,
    pub pan_last4: String,
}

/// It moves no money: its report is empty.
impl crate::common::admin::Shown for Entry {}

/// The answer of `/preauth`.
pub(super) fn card_range(script: Script, id: &str, base: &str) -> Value {
    let (first, last) = (script.versions.first(), script.versions.last());
    let url = (script.method != Method::Missing).then(|| format!("{base}{METHOD_PATH}"));
    let ranges: Vec<Value> = script
        .versions
        .iter()
        .map(|version| {
            with(json!({"acsInfoInd": ["01", "02"], "version": version}), [("threeDSMethodURL", url.clone())])
        })
        .collect();
    let body = json!({
        "dsProtocolVersions": script.versions,
        "dsStartProtocolVersion": first,
        "dsEndProtocolVersion": last,
        "acsProtocolVersions": ranges,
        "acsStartProtocolVersion": first,
        "acsEndProtocolVersion": last,
        "acsInfoInd": ["01", "02"],
        "threeDSServerProtocolVersions": super::script::VERSIONS,
        "threeDSServerTransID": id,
        "scheme": "standin",
        "messageType": "CRD",
    });
    with(body, [("threeDSMethodURL", url)])
}

/// An ARes; `page` is the challenge's.
pub(super) fn authentication(
    transaction: &Transaction,
    id: &str,
    status: &str,
    reason: Option<&str>,
    page: Option<String>,
) -> Value {
    let kind = match status {
        "C" => Some("02"),
        "D" => Some("04"),
        _ => None,
    };
    let own = |text: &str| Some(text.to_owned());
    let reason = reason.or_else(|| REASONS.iter().find(|(of, _)| *of == status).map(|(_, reason)| *reason));
    let body = json!({
        "acsOperatorID": ACS,
        "acsReferenceNumber": ACS,
        "acsTransID": transaction.acs_id,
        "dsReferenceNumber": DS,
        "dsTransID": transaction.ds_id,
        "messageType": "ARes",
        "messageVersion": transaction.version,
        "threeDSServerTransID": id,
        "transStatus": status,
    });
    with(
        body,
        [
            ("authenticationType", kind.and_then(own)),
            ("acsChallengeMandated", page.as_ref().and_then(|_| own("N"))),
            ("acsURL", page),
            ("acsDecConInd", (status == "D").then(|| "Y".to_owned())),
            ("authenticationValue", proof(&transaction.acs_id, status)),
            ("eci", eci(status).and_then(own)),
            ("transStatusReason", reason.and_then(own)),
        ],
    )
}

/// The answer of `/postauth`.
pub(super) fn result(transaction: &Transaction, id: &str, result: Result) -> Value {
    let own = |text: &str| text.to_owned();
    let body = json!({
        "acsTransID": transaction.acs_id,
        "authenticationType": result.kind,
        "dsTransID": transaction.ds_id,
        "interactionCounter": format!("{:02}", result.interactions),
        "messageCategory": "01",
        "messageType": "RReq",
        "messageVersion": transaction.version,
        "threeDSServerTransID": id,
        "transStatus": result.status,
    });
    with(
        body,
        [
            ("authenticationValue", proof(&transaction.ds_id, result.status)),
            ("eci", eci(result.status).map(own)),
            ("transStatusReason", result.reason.map(own)),
            ("challengeCancel", result.cancel.map(own)),
        ],
    )
}

/// What the browser carries back: a hint only.
pub(super) fn challenge_answer(transaction: &Transaction, id: &str, result: Result) -> Value {
    json!({
        "acsTransID": transaction.acs_id,
        "challengeCompletionInd": "Y",
        "messageType": "CRes",
        "messageVersion": transaction.version,
        "threeDSServerTransID": id,
        "transStatus": result.status,
    })
}

/// 20 bytes in base64, 28 characters, for Y and A.
fn proof(seed: &str, status: &str) -> Option<String> {
    let digest = Sha256::digest(format!("{seed}{status}"));
    matches!(status, "Y" | "A").then(|| STANDARD.encode(digest.get(..20).unwrap_or_default()))
}

fn eci(status: &str) -> Option<&'static str> {
    match status {
        "Y" => Some(ECI_FULL),
        "A" => Some(ECI_ATTEMPT),
        "N" | "U" | "R" | "I" => Some(ECI_NONE),
        _ => None,
    }
}

fn with<const COUNT: usize>(body: Value, fields: [(&str, Option<String>); COUNT]) -> Value {
    let mut object = match body {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    object.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?)))));
    Value::Object(object)
}
