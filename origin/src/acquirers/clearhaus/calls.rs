//! Each call's path and form, and the rules of its fields: what Clearhaus would refuse is not sent.

use std::net::IpAddr;

use super::form::Form;
use crate::acquirers::{
    AcquirerError, Authentication, AuthenticationMessage, Authorisation, Call, Instrument, Request, Series, minor_units,
};
use crate::vault::{CardExpiry, Csc, Pan};

/// Documented: `(0|[1-9][0-9]{,8})`.
const MAX_MINOR: u64 = 999_999_999;
/// Charges at agreed times; the other kind, `unscheduled`, is for charges at the merchant's will.
const SERIES_TYPE: &str = "recurring";
/// Visa's indicators that a network token may have: authenticated, and not.
const TOKEN_INDICATORS: [&str; 2] = ["05", "07"];
/// What the documentation takes when there is none.
const TOKEN_INDICATOR_WITHOUT: &str = "07";
/// 20 bytes in base64: every scheme's cryptogram.
const CRYPTOGRAM_CHARACTERS: usize = 28;

/// The path and the form.
pub(super) fn of(request: &Request<'_>) -> Result<(String, Form), AcquirerError> {
    let on = |state: &str, what: &str| Ok(format!("/authorizations/{}/{what}", checked_id(state)?));
    Ok(match &request.call {
        Call::Authorise(authorisation) => ("/authorizations".to_owned(), authorise(request, authorisation)?),
        Call::Capture { state, .. } => (on(state, "captures")?, with_text(request, moved(request)?)?),
        Call::Refund { state, .. } => (on(state, "refunds")?, with_text(request, moved(request)?)?),
        Call::Void { state, .. } => (on(state, "voids")?, Form::new()),
        Call::Credit { pan, expiry, holder } => {
            let form = moved(request)?.with("currency", currency(request)?).with("reference", reference(request)?);
            let form = with_text(request, card(form, "card", "pan", pan, expiry))?;
            ("/credits".to_owned(), form.within("card", "name", checked_holder(holder)?))
        }
    })
}

/// The gateway's ids are UUIDs; what goes into a path is checked all the same.
pub(super) fn checked_id(id: &str) -> Result<&str, AcquirerError> {
    let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if is_id { Ok(id) } else { Err(AcquirerError::Field("authorisation id")) }
}

fn authorise(request: &Request<'_>, authorisation: &Authorisation<'_>) -> Result<Form, AcquirerError> {
    let room = authorisation.authentication.map_or(0, |authentication| authentication.json.len());
    let mut form = Form::with_room_for(room)
        .with("amount", &amount(request)?.to_string())
        .with("currency", currency(request)?)
        .with("reference", reference(request)?);
    if let Some(address) = authorisation.payer_address.filter(|text| text.parse::<IpAddr>().is_ok()) {
        form = form.with("ip", address);
    }
    form = in_series(with_text(request, form)?, authorisation)?;
    let method = match authorisation.instrument {
        Instrument::Card { .. } => "card",
        Instrument::NetworkToken { .. } => "token",
    };
    let form = instrument(form, method, authorisation)?;
    Ok(match authorisation.authentication {
        Some(Authentication { message, json }) => {
            form.with(&format!("{method}[3dsecure][v2][{}]", name(*message)), json)
        }
        None => form,
    })
}

/// The parameter that takes the message verbatim.
const fn name(message: AuthenticationMessage) -> &'static str {
    match message {
        AuthenticationMessage::Ares => "ares",
        AuthenticationMessage::Rreq => "rreq",
    }
}

fn in_series(form: Form, authorisation: &Authorisation<'_>) -> Result<Form, AcquirerError> {
    match authorisation.series {
        Series::None => Ok(form),
        Series::First => Ok(form.with("series[type]", SERIES_TYPE).with("credential_on_file", "store")),
        Series::Next(previous) => {
            // Documented: neither may be in a charge that the cardholder does not make.
            let challenged = |found: &Authentication| found.message == AuthenticationMessage::Rreq;
            if authorisation.authentication.is_some_and(challenged) {
                return Err(AcquirerError::Field("3-D Secure message with a later charge of a series"));
            }
            if matches!(authorisation.instrument, Instrument::Card { csc: Some(_), .. }) {
                return Err(AcquirerError::Field("security code with a later charge of a series"));
            }
            Ok(form
                .with("series[previous][id]", checked_id(previous)?)
                .with("initiator", "merchant")
                .with("credential_on_file", "use"))
        }
    }
}

fn instrument(form: Form, method: &str, authorisation: &Authorisation<'_>) -> Result<Form, AcquirerError> {
    let is_later = matches!(authorisation.series, Series::Next(_));
    match &authorisation.instrument {
        Instrument::Card { pan, expiry, csc } => {
            let form = card(form, method, "pan", pan, expiry);
            match csc {
                Some(csc) => Ok(form.within(method, "csc", three_digits(csc)?)),
                None if is_later => Ok(form),
                // Only trusted partners may leave it out, and nobody has told us that we are one.
                None => Err(AcquirerError::Field("card without a security code")),
            }
        }
        Instrument::NetworkToken { pan, expiry, cryptogram, eci, is_mastercard } => {
            let mut form = card(form, method, "tan", pan, expiry);
            if !(is_later && cryptogram.is_empty()) {
                form = form.within(method, "tav", checked_cryptogram(cryptogram, *is_mastercard)?);
            }
            match indicator(*eci, *is_mastercard)? {
                Some(eci) => Ok(form.within(method, "eci", &eci)),
                None => Ok(form),
            }
        }
    }
}

/// Visa's indicator comes as one digit or two; Mastercard's is in the cryptogram and has no parameter.
fn indicator(eci: Option<&str>, is_mastercard: bool) -> Result<Option<String>, AcquirerError> {
    if is_mastercard {
        return Ok(None);
    }
    let padded = format!("{:0>2}", eci.unwrap_or(TOKEN_INDICATOR_WITHOUT));
    if TOKEN_INDICATORS.contains(&padded.as_str()) { Ok(Some(padded)) } else { Err(AcquirerError::Field("indicator")) }
}

fn checked_cryptogram(text: &str, is_mastercard: bool) -> Result<&str, AcquirerError> {
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    // Mastercard's begins with a version that leaves the first letter no choice but A to P.
    let is_of_scheme = !is_mastercard || text.starts_with(|first| ('A'..='P').contains(&first));
    let is_one = text.len() == CRYPTOGRAM_CHARACTERS && text.bytes().all(is_base64) && is_of_scheme;
    if is_one { Ok(text) } else { Err(AcquirerError::Field("cryptogram")) }
}

fn card(form: Form, method: &str, number: &str, pan: &Pan, expiry: &CardExpiry) -> Form {
    form.within(method, number, pan.expose()).within(method, "expire_month", &format!("{:02}", expiry.month())).within(
        method,
        "expire_year",
        &format!("{:04}", expiry.year()),
    )
}

fn three_digits(csc: &Csc) -> Result<&str, AcquirerError> {
    if csc.expose().len() == 3 { Ok(csc.expose()) } else { Err(AcquirerError::Field("security code")) }
}

/// A form with the amount that moves; the amount is always named, so that nothing means "all that remains".
fn moved(request: &Request<'_>) -> Result<Form, AcquirerError> {
    match amount(request)? {
        0 => Err(AcquirerError::Field("amount")),
        minor => Ok(Form::new().with("amount", &minor.to_string())),
    }
}

fn amount(request: &Request<'_>) -> Result<u64, AcquirerError> {
    let exponent = super::currency::exponent(currency(request)?).ok_or(AcquirerError::Field("currency"))?;
    minor_units(request.amount, exponent).filter(|minor| *minor <= MAX_MINOR).ok_or(AcquirerError::Field("amount"))
}

fn currency<'a>(request: &'a Request<'_>) -> Result<&'a str, AcquirerError> {
    let code = request.amount.currency_ref().as_str();
    super::currency::exponent(code).map(|_| code).ok_or(AcquirerError::Field("currency"))
}

fn reference<'a>(request: &Request<'a>) -> Result<&'a str, AcquirerError> {
    if is_printable(request.reference, 1, 30) { Ok(request.reference) } else { Err(AcquirerError::Field("reference")) }
}

fn with_text(request: &Request<'_>, form: Form) -> Result<Form, AcquirerError> {
    match request.text_on_statement {
        None => Ok(form),
        Some(text) if is_text_on_statement(text) => Ok(form.with("text_on_statement", text)),
        Some(_) => Err(AcquirerError::Field("text on statement")),
    }
}

/// `[\x20-\x7E]{2,22}`; not all digits, not all the same character, not all sequential ones. That "cba" is sequential,
/// too, is our reading: stricter than need be. Public, so that a merchant's text is refused when it is set.
#[must_use]
pub fn is_text_on_statement(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_row = |step: i16| bytes.iter().zip(bytes.iter().skip(1)).all(|(a, b)| i16::from(*b) - i16::from(*a) == step);
    is_printable(text, 2, 22) && !text.bytes().all(|b| b.is_ascii_digit()) && ![-1, 0, 1].into_iter().any(is_row)
}

/// Letters, digits and blanks: what a credit's name may hold [our reading; the documentation names no pattern].
fn checked_holder(name: &str) -> Result<&str, AcquirerError> {
    let is_plain = (1..=30).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
    if is_plain { Ok(name) } else { Err(AcquirerError::Field("cardholder's name")) }
}

fn is_printable(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}
