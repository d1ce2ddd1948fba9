//! The 3-D Secure dictionary of a payment method: exactly one of `[v2][ares]`, `[v2][rreq]`,
//! `[v2][raw]`. Versions 1 and below are gone since 2023 and, like all unknown parameters, ignored.

use serde::Deserialize;

use super::{
    fields::{check, cryptogram, digits, required, uuid_v4},
    number::Scheme,
    status::{Code, Refusal, refuse},
};
use crate::common::form::Form;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ThreeDs {
    pub(super) version: String,
    pub(super) status: String,
    /// A challenge result (RReq) proves that the cardholder was there.
    pub(super) challenged: bool,
}

/// Reads `prefix` (`card[3dsecure]`). A failed authentication is 40310, what cannot be understood 40300.
pub(super) fn read(form: &Form, prefix: &str, scheme: Scheme) -> Result<Option<ThreeDs>, Refusal> {
    let (ares, rreq) = (form.get(&format!("{prefix}[v2][ares]")), form.get(&format!("{prefix}[v2][rreq]")));
    let raw = format!("{prefix}[v2][raw]");
    let authenticated = match (ares, rreq, form.has(&raw)) {
        (None, None, false) => return Ok(None),
        (Some(json), None, false) => message(json, "ARes")?,
        (None, Some(json), false) => message(json, "RReq")?,
        (None, None, true) => fields(form, &raw, scheme)?,
        _ => {
            return refuse(Code::INPUT, format!("'{prefix}[v2]' must hold exactly one of ares, rreq, raw"));
        }
    };
    match authenticated.status.as_str() {
        "Y" | "A" | "I" => Ok(Some(authenticated)),
        "N" | "R" | "U" => refuse(Code::THREEDS_FAILED, Code::THREEDS_FAILED.meaning()),
        // C and D: the challenge has not taken place yet.
        _ => refuse(Code::THREEDS_PROBLEM, "transStatus is not final"),
    }
}

/// The EMV 3DS message as 3dsecure.io gave it, only the fields that matter here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_type: Option<String>,
    message_version: String,
    trans_status: String,
}

fn message(json: &str, expected: &str) -> Result<ThreeDs, Refusal> {
    let problem = || refuse(Code::THREEDS_PROBLEM, format!("{expected} cannot be parsed"));
    let Ok(message) = serde_json::from_str::<Message>(json) else {
        return problem();
    };
    if message.message_type.is_some_and(|given| given != expected) || !version(&message.message_version) {
        return problem();
    }
    Ok(ThreeDs { version: message.message_version, status: message.trans_status, challenged: expected == "RReq" })
}

/// `[raw][…]`, for authentications by somebody else's 3-D Secure server.
fn fields(form: &Form, raw: &str, scheme: Scheme) -> Result<ThreeDs, Refusal> {
    let name = |field: &str| format!("{raw}[{field}]");
    let must = |field: &str, holds: fn(&str) -> bool| {
        let value = required(form, &name(field))?;
        check(&name(field), Code::INPUT, holds(value)).map(|()| value)
    };
    let may = |field: &str, needed: bool, holds: fn(&str) -> bool| match form.get(&name(field)) {
        None if !needed => Ok(()),
        _ => must(field, holds).map(drop),
    };
    let status = must("trans_status", |text| text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_uppercase()))?;
    let version = must("message_version", version)?;
    let kind = must("message_type", |text| ["ARes", "RReq"].contains(&text))?;
    let proven = match scheme {
        Scheme::Visa => true,
        Scheme::Mastercard => ["Y", "A", "I", "U"].contains(&status),
        Scheme::Other => false,
    };
    may("eci", proven, |text| digits(text, 2, 2))?;
    may("av", proven, cryptogram)?;
    may("authentication_type", false, |text| digits(text, 2, 2))?;
    may("ds_trans_id", scheme == Scheme::Mastercard, uuid_v4)?;
    Ok(ThreeDs { version: version.to_owned(), status: status.to_owned(), challenged: kind == "RReq" })
}

/// `2[.][0-9][.][0-9]`.
fn version(text: &str) -> bool {
    matches!(text.as_bytes(), [b'2', b'.', minor, b'.', patch] if minor.is_ascii_digit() && patch.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(body: &str, scheme: Scheme) -> Result<Option<String>, u32> {
        let form = Form::parse(body.as_bytes()).ok().unwrap();
        match read(&form, "card[3dsecure]", scheme) {
            Ok(found) => Ok(found.map(|found| format!("{} {} {}", found.version, found.status, found.challenged))),
            Err(refusal) => Err(refusal.code.0),
        }
    }

    fn ares(json: &str) -> String {
        format!("card[3dsecure][v2][ares]={json}")
    }

    #[test]
    fn messages() {
        let visa = |body: &str| outcome(body, Scheme::Visa);
        for status in ["Y", "A", "I"] {
            let json = format!(r#"{{"messageVersion":"2.2.0","transStatus":"{status}","other":1}}"#);
            assert_eq!(visa(&ares(&json)), Ok(Some(format!("2.2.0 {status} false"))));
        }
        for status in ["N", "R", "U"] {
            assert_eq!(visa(&ares(&format!(r#"{{"messageVersion":"2.2.0","transStatus":"{status}"}}"#))), Err(40310));
        }
        for status in ["C", "D", "y", ""] {
            assert_eq!(visa(&ares(&format!(r#"{{"messageVersion":"2.2.0","transStatus":"{status}"}}"#))), Err(40300));
        }
        for json in ["", "{}", "null", "{", r#"{"transStatus":"Y"}"#, r#"{"messageVersion":"1.0.2","transStatus":"Y"}"#]
        {
            assert_eq!(visa(&ares(json)), Err(40300), "{json}");
        }
        let rreq = r#"{"messageType":"RReq","messageVersion":"2.1.0","transStatus":"Y"}"#;
        assert_eq!(visa(&format!("card[3dsecure][v2][rreq]={rreq}")), Ok(Some("2.1.0 Y true".to_owned())));
        assert_eq!(visa(&ares(rreq)), Err(40300), "an RReq is not an ARes");
        assert_eq!(visa(&format!("{}&card[3dsecure][v2][rreq]={rreq}", ares(rreq))), Err(40000));
        assert_eq!(visa("card[3dsecure][v1][pares]=abc"), Ok(None));
    }

    #[test]
    fn raw_fields_by_scheme() {
        let raw = |fields: &str| {
            fields.split(' ').map(|pair| pair.split_once('=').unwrap()).fold(String::new(), |body, (name, value)| {
                format!("{body}&card[3dsecure][v2][raw][{name}]={}", value.replace('+', "%2B"))
            })
        };
        let base = "trans_status=Y message_version=2.2.0 message_type=ARes";
        let proof = "eci=05 av=AAABBEg0VhI0VniQEjRWAAAAAAA=";
        let ds = "ds_trans_id=84412a34-fa29-4369-a098-0165a80e8fda";
        let good = Ok(Some("2.2.0 Y false".to_owned()));
        assert_eq!(outcome(&raw(&format!("{base} {proof}")), Scheme::Visa), good);
        assert_eq!(outcome(&raw(base), Scheme::Visa), Err(40000));
        assert_eq!(outcome(&raw(&format!("{base} {proof}")), Scheme::Mastercard), Err(40000));
        assert_eq!(outcome(&raw(&format!("{base} {proof} {ds}")), Scheme::Mastercard), good);
        assert_eq!(outcome(&raw(&format!("{base} {ds}")), Scheme::Mastercard), Err(40000));
        let failed = base.replace("=Y", "=N");
        assert_eq!(outcome(&raw(&format!("{failed} {ds}")), Scheme::Mastercard), Err(40310));
        for (from, to) in [("2.2.0", "2.22.0"), ("ARes", "CRes"), ("=Y", "=YY"), ("05", "5"), ("AAABB", "AAAB")] {
            assert_eq!(outcome(&raw(&format!("{base} {proof}").replace(from, to)), Scheme::Visa), Err(40000), "{to}");
        }
    }
}
