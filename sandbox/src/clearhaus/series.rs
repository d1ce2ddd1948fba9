//! Series of payments: what a request asks for, and the schemes' references that come out.

use super::{
    fields::{check, choice, digits, uuid_v4},
    ledger::Ledger,
    number::Scheme,
    status::{Code, Refusal, refuse},
};
use crate::common::{book::Series, form::Form, ids::Ids};

const SERIES_TYPES: [&str; 2] = ["recurring", "unscheduled"];
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LINK: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum SeriesRequest {
    First {
        r#type: String,
    },
    /// Continues the series of an authorization made here.
    After {
        id: String,
    },
    /// Continues a series from another acquirer by the scheme's own reference.
    Moved {
        r#type: String,
    },
}

impl SeriesRequest {
    pub(super) fn read(form: &Form) -> Result<Option<Self>, Refusal> {
        requested(form)
    }

    pub(super) const fn is_subsequent(&self) -> bool {
        !matches!(self, Self::First { .. })
    }
}

/// The series that a request continues: `[previous][id]` must be an approved member of one.
pub(super) fn earlier_series(ledger: &Ledger, request: Option<&SeriesRequest>) -> Result<Option<Series>, Refusal> {
    let Some(SeriesRequest::After { id }) = request else {
        return Ok(None);
    };
    match ledger.get(id).and_then(|authorization| authorization.series.clone()) {
        Some(series) => Ok(Some(series)),
        None => refuse(Code::INPUT, "'series[previous][id]' is not an approved authorization of a series"),
    }
}

/// Fresh references of the scheme: Visa's 15 digits, Mastercard's 13 characters and two spaces with
/// the transaction link ids, of which the economically related one stays the same in a series.
pub(super) fn next_series(ids: &mut Ids, request: &SeriesRequest, earlier: Option<Series>, scheme: Scheme) -> Series {
    let r#type = match (request, &earlier) {
        (SeriesRequest::First { r#type } | SeriesRequest::Moved { r#type }, _) => r#type.clone(),
        (SeriesRequest::After { .. }, earlier) => {
            earlier.as_ref().map_or_else(String::new, |series| series.r#type.clone())
        }
    };
    if scheme != Scheme::Mastercard {
        return Series { r#type, tid: ids.text(b"0123456789", 15), tlid: None, economically_related_tlid: None };
    }
    let tid = format!("{}{}  ", ids.text(LETTERS, 9), ids.text(b"0123456789", 4));
    let tlid = ids.text(LINK, 22);
    let related = earlier.and_then(|series| series.economically_related_tlid).unwrap_or_else(|| ids.text(LINK, 22));
    Series { r#type, tid, tlid: Some(tlid), economically_related_tlid: Some(related) }
}

/// `series[type]`, `series[previous][…]` and `sca_exemption` exclude each other.
fn requested(form: &Form) -> Result<Option<SeriesRequest>, Refusal> {
    let first = choice(form, "series[type]", &SERIES_TYPES)?;
    let exemptions = ["low_value_payment", "secure_corporate_payment", "transaction_risk_analysis"];
    let exemption = choice(form, "sca_exemption", &exemptions)?;
    match (first, form.has("series[previous]"), exemption) {
        (None, false, _) => Ok(None),
        (Some(kind), false, None) => Ok(Some(SeriesRequest::First { r#type: kind.to_owned() })),
        (None, true, None) => previous(form).map(Some),
        (Some(_), true, _) => refuse(Code::INPUT, "'series[type]' and 'series[previous]' are mutually exclusive"),
        _ => refuse(Code::INPUT, "'series' and 'sca_exemption' are mutually exclusive"),
    }
}

/// One of `[id]`, `[mastercard][…]`, `[visa][…]`.
fn previous(form: &Form) -> Result<SeriesRequest, Refusal> {
    let (mastercard, visa) = ("series[previous][mastercard]", "series[previous][visa]");
    match (form.get("series[previous][id]"), form.has(mastercard), form.has(visa)) {
        (Some(id), false, false) => {
            check("series[previous][id]", Code::INPUT, uuid_v4(id))?;
            Ok(SeriesRequest::After { id: id.to_ascii_lowercase() })
        }
        (None, true, false) => {
            let tid = optional(form, &format!("{mastercard}[tid]"), mastercard_tid)?;
            let tlid = optional(form, &format!("{mastercard}[economically_related_tlid]"), tlid)?;
            let kinds = ["fixed_amount_series", "variable_amount_series"];
            let exemption = choice(form, &format!("{mastercard}[exemption]"), &kinds)?;
            check(mastercard, Code::INPUT, (tid || tlid) && exemption.is_some())?;
            moved(form, mastercard)
        }
        (None, false, true) => {
            check(visa, Code::INPUT, optional(form, &format!("{visa}[tid]"), |text| digits(text, 15, 15))?)?;
            moved(form, visa)
        }
        _ => refuse(Code::INPUT, "'series[previous]' must hold exactly one of id, mastercard, visa"),
    }
}

fn moved(form: &Form, scheme: &str) -> Result<SeriesRequest, Refusal> {
    let kind = choice(form, &format!("{scheme}[type]"), &SERIES_TYPES)?.unwrap_or("recurring");
    Ok(SeriesRequest::Moved { r#type: kind.to_owned() })
}

/// Whether the parameter is there; when it is, it must hold.
fn optional(form: &Form, name: &str, holds: fn(&str) -> bool) -> Result<bool, Refusal> {
    form.get(name).map_or(Ok(false), |text| check(name, Code::INPUT, holds(text)).map(|()| true))
}

/// `[A-Za-z0-9]{3}[A-Za-z0-9]{6}[0-9]{4} {2}`.
fn mastercard_tid(text: &str) -> bool {
    text.strip_suffix("  ").and_then(|text| text.split_at_checked(9)).is_some_and(|(reference, date)| {
        reference.bytes().all(|byte| byte.is_ascii_alphanumeric()) && digits(date, 4, 4)
    })
}

/// `[A-Za-z0-9_-]{22}`.
fn tlid(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
