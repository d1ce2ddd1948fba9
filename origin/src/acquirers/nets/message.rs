//! Each call as a message: which fields, and from where. The bytes depend on the request alone, so that an advice that
//! is repeated is the same to the last bit.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::codec::{CodecError, Writer, put_tag};
use super::credentials::Credentials;
use super::guesses::{POINT_OF_CARDHOLDER, POINT_OF_RECURRING, WITHOUT_SECURITY_CODE};
use super::state::State;
use crate::acquirers::{AcquirerError, Authentication, Authorisation, Call, Instrument, Request, Series};
use crate::calendar::Utc;
use crate::vault::{CardExpiry, Pan};

const GOODS: &str = "000000";
const CREDIT: &str = "200000";

/// The message types of a request and of its answer.
pub(super) const fn kinds(call: &Call<'_>) -> (&'static str, &'static str) {
    match call {
        Call::Authorise(_) | Call::Credit { .. } => ("1100", "1110"),
        Call::Capture { .. } | Call::Refund { .. } => ("1220", "1230"),
        Call::Void { .. } => ("1420", "1430"),
    }
}

/// Field 22 of an authorisation.
pub(super) const fn point_of_service(series: Series<'_>) -> &'static str {
    match series {
        Series::None | Series::First => POINT_OF_CARDHOLDER,
        Series::Next(_) => POINT_OF_RECURRING,
    }
}

/// Field 4, as it is written and echoed.
pub(super) fn amount(request: &Request<'_>) -> String {
    format!("{:012}", request.amount.minor())
}

/// Writes a call.
pub(super) fn of(credentials: &Credentials, request: &Request<'_>) -> Result<Zeroizing<Vec<u8>>, AcquirerError> {
    if !(1..=30).contains(&request.reference.len()) {
        return Err(AcquirerError::Field("reference"));
    }
    let fields = match &request.call {
        Call::Authorise(authorisation) => Fields::of_authorisation(credentials, authorisation)?,
        // 201 is all of it at once; whatever is less, or one of several, is 202.
        Call::Capture { state, authorised, card } => {
            let function = if request.amount == *authorised { "201" } else { "202" };
            Fields { function, ..Fields::of_advice(request, state, *card)? }
        }
        Call::Refund { state, card, .. } => {
            Fields { processing: CREDIT, function: "200", ..Fields::of_advice(request, state, *card)? }
        }
        Call::Void { state, card } => {
            let advice = Fields::of_advice(request, state, *card)?;
            // 4000: the customer cancels. 4002, for a message that was lost, would need the ticket that was lost with it.
            Fields { function: "400", reason: Some("4000"), is_reversal: true, ..advice }
        }
        Call::Credit { .. } => return Err(AcquirerError::NotOffered),
    };
    fields.write(credentials, request).map_err(|error| {
        AcquirerError::Field(match error {
            CodecError::Unexpected(_) | CodecError::Header | CodecError::Rest => "message",
            CodecError::Field(31) => "reference",
            CodecError::Field(_) => "field's form",
        })
    })
}

/// What differs from call to call.
struct Fields<'a> {
    card: (&'a Pan, &'a CardExpiry),
    processing: &'static str,
    point: String,
    function: &'static str,
    reason: Option<&'static str>,
    /// Field 47.
    national: Zeroizing<String>,
    /// Approval code, action code and ticket.
    after: Option<State>,
    /// It has neither expiry nor point of service, nor what an authorisation said.
    is_reversal: bool,
}

impl<'a> Fields<'a> {
    fn of_authorisation(credentials: &Credentials, authorisation: &Authorisation<'a>) -> Result<Self, AcquirerError> {
        let Instrument::Card { pan, expiry, csc } = authorisation.instrument else {
            return Err(AcquirerError::NotOffered);
        };
        let mut national = Zeroizing::new(String::with_capacity(256));
        match (csc, authorisation.series) {
            (Some(csc), Series::None | Series::First) if csc.expose().len() == 3 => {
                put_tag(&mut national, "V5", csc.expose()).map_err(|_| AcquirerError::Field("security code"))?;
            }
            (None, Series::Next(_)) => national.push_str(WITHOUT_SECURITY_CODE),
            _ => return Err(AcquirerError::Field("security code")),
        }
        if let Some(authentication) = authorisation.authentication {
            authenticated(&mut national, credentials, authentication)?;
        }
        Ok(Self {
            card: (pan, expiry),
            processing: GOODS,
            point: point_of_service(authorisation.series).to_owned(),
            function: "100",
            reason: Some("0000"),
            national,
            after: None,
            is_reversal: false,
        })
    }

    fn of_advice(
        request: &Request<'_>,
        state: &str,
        card: Option<(&'a Pan, &'a CardExpiry)>,
    ) -> Result<Self, AcquirerError> {
        if request.amount.minor() == 0 {
            return Err(AcquirerError::Field("amount"));
        }
        let after = State::parse(state)?;
        Ok(Self {
            card: card.ok_or(AcquirerError::Field("call without the card"))?,
            processing: GOODS,
            point: after.point.clone(),
            function: "",
            reason: None,
            national: Zeroizing::new(WITHOUT_SECURITY_CODE.to_owned()),
            after: Some(after),
            is_reversal: false,
        })
    }

    fn write(&self, credentials: &Credentials, request: &Request<'_>) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        let (pan, expiry) = self.card;
        let mut writer = Writer::default();
        writer.put(2, pan.expose())?;
        writer.put(3, self.processing)?;
        writer.put(4, &amount(request))?;
        writer.put(12, &time(request.asked_at_ms))?;
        if !self.is_reversal {
            writer.put(14, &Zeroizing::new(format!("{:02}{:02}", expiry.year() % 100, expiry.month())))?;
            writer.put(22, &self.point)?;
        }
        writer.put(24, self.function)?;
        if let Some(reason) = self.reason {
            writer.put(25, reason)?;
        }
        writer.put(26, &credentials.category)?;
        writer.put(31, request.reference)?;
        if let Some(state) = &self.after {
            writer.put(38, &state.approval)?;
        }
        if let Some(state) = self.after.as_ref().filter(|_| !self.is_reversal) {
            writer.put(39, &state.action)?;
        }
        writer.put(41, &credentials.terminal_id)?;
        writer.put(42, &credentials.merchant_id)?;
        writer.put(43, &credentials.location())?;
        if !self.is_reversal {
            writer.put(47, &self.national)?;
        }
        writer.put(49, request.amount.currency_ref().as_str())?;
        if let Some(state) = &self.after {
            writer.put(56, &state.ticket)?;
        }
        Ok(writer.finish(kinds(&request.call).0))
    }
}

/// Field 12, `yyMMddHHmmss`. It is to be local time; ours is UTC, which names the same moment to everybody.
fn time(at_ms: u64) -> String {
    let text = Utc::from_unix_ms(at_ms).to_reference_text();
    text.bytes().take("YYYY-MM-DD HH:MM:SS".len()).filter(u8::is_ascii_digit).skip(2).map(char::from).collect()
}

/// What an ARes or RReq says, as far as tags are known for it.
#[derive(Deserialize)]
struct Authenticated {
    eci: Option<String>,
    #[serde(rename = "authenticationValue")]
    value: Option<String>,
    #[serde(rename = "dsTransID")]
    ds_trans_id: Option<String>,
}

/// The outcome of 3-D Secure goes into tags that Nets names to its merchants. Without them the payment is not sent: an
/// authenticated payment that arrives as one that is not would cost the merchant the shift of liability, and silently.
fn authenticated(
    national: &mut Zeroizing<String>,
    credentials: &Credentials,
    authentication: &Authentication,
) -> Result<(), AcquirerError> {
    let tags = credentials
        .three_d_secure_tags
        .as_ref()
        .ok_or(AcquirerError::Field("3-D Secure outcome: threeDSecureTags are not set"))?;
    let read: Authenticated =
        serde_json::from_str(&authentication.json).map_err(|_| AcquirerError::Field("3-D Secure message"))?;
    for (tag, value) in
        [(&tags.eci, &read.eci), (&tags.authentication_value, &read.value), (&tags.ds_trans_id, &read.ds_trans_id)]
    {
        if let Some(value) = value {
            put_tag(national, tag, value).map_err(|_| AcquirerError::Field("3-D Secure message"))?;
        }
    }
    Ok(())
}
