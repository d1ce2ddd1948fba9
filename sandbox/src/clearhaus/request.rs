//! Requests as types: what has been read here keeps the field rules of Clearhaus' documentation.

use super::{
    fields::{self, check, choice},
    methods::{Context, Instrument, Method},
    number::Scheme,
    series::SeriesRequest,
    status::{Code, Refusal, refuse},
};
use crate::common::form::Form;

/// `POST /authorizations`.
pub(super) struct Authorize {
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) reference: Option<String>,
    pub(super) text_on_statement: Option<String>,
    pub(super) instrument: Instrument,
    pub(super) series: Option<SeriesRequest>,
}

/// `POST /authorizations/:id/captures` and `/refunds`: no amount means all that remains.
pub(super) struct Move {
    pub(super) amount: Option<u64>,
}

/// `POST /credits`.
pub(super) struct Credit {
    pub(super) amount: u64,
    pub(super) currency: String,
    pub(super) reference: Option<String>,
    pub(super) card: Instrument,
}

impl Authorize {
    pub(super) fn read(form: &Form, trusted_partner: bool) -> Result<Self, Refusal> {
        let amount = fields::amount_or_zero(form)?;
        let currency = fields::currency(form)?;
        fields::ip(form)?;
        let reference = fields::reference(form)?;
        let text_on_statement = fields::text_on_statement(form)?;
        let series = SeriesRequest::read(form)?;
        let merchant_initiated = initiator(form, series.as_ref())?;
        let instrument = Instrument::read(form, Context { merchant_initiated, trusted_partner })?;
        method_rules(form, &instrument, series.as_ref(), merchant_initiated)?;
        Ok(Self { amount, currency, reference, text_on_statement, instrument, series })
    }
}

impl Move {
    pub(super) fn read(form: &Form) -> Result<Self, Refusal> {
        let amount = form.get("amount").is_some().then(|| fields::positive_amount(form)).transpose()?;
        fields::text_on_statement(form)?;
        choice(form, "marketplace[interregional_retailer]", &["true", "false"])?;
        Ok(Self { amount })
    }
}

impl Credit {
    pub(super) fn read(form: &Form) -> Result<Self, Refusal> {
        let amount = fields::positive_amount(form)?;
        let currency = fields::currency(form)?;
        fields::text_on_statement(form)?;
        let reference = fields::reference(form)?;
        Ok(Self { amount, currency, reference, card: Instrument::read_card(form)? })
    }
}

/// Whether the merchant starts this payment; the defaults follow from the series.
fn initiator(form: &Form, series: Option<&SeriesRequest>) -> Result<bool, Refusal> {
    let subsequent = series.is_some_and(SeriesRequest::is_subsequent);
    let merchant = match choice(form, "initiator", &["cardholder", "merchant"])? {
        Some("cardholder") if subsequent => {
            return refuse(Code::INPUT, "a subsequent-in-series is initiated by the merchant");
        }
        given => given.map_or(subsequent, |given| given == "merchant"),
    };
    match choice(form, "credential_on_file", &["store", "use"])? {
        Some("store") if merchant => {
            refuse(Code::INPUT, "'credential_on_file' cannot be store when the merchant initiates")
        }
        _ => Ok(merchant),
    }
}

/// Rules between the method and the rest of the request.
fn method_rules(
    form: &Form,
    instrument: &Instrument,
    series: Option<&SeriesRequest>,
    merchant: bool,
) -> Result<(), Refusal> {
    let stored = form.get("credential_on_file").is_some();
    if instrument.method == Method::Moto && (series.is_some() || stored || merchant) {
        return refuse(Code::INPUT, "'moto' takes no series, no credential_on_file and no initiator merchant");
    }
    if !series.is_some_and(SeriesRequest::is_subsequent) {
        return Ok(());
    }
    if !matches!(instrument.method, Method::Card | Method::Token) {
        return refuse(Code::INPUT, "a subsequent-in-series needs the method card or token");
    }
    if instrument.csc.is_some() || instrument.threeds.as_ref().is_some_and(|threeds| threeds.challenged) {
        return refuse(Code::INPUT, "a subsequent-in-series carries no csc and no rreq");
    }
    let scheme_of_reference = if form.has("series[previous][visa]") {
        Scheme::Visa
    } else if form.has("series[previous][mastercard]") {
        Scheme::Mastercard
    } else {
        instrument.scheme
    };
    check("series[previous]", Code::INPUT, scheme_of_reference == instrument.scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str =
        "amount=2050&currency=EUR&card[pan]=4111111111111111&card[expire_month]=06&card[expire_year]=2030";
    const MASTERCARD: &str =
        "amount=2050&currency=EUR&card[pan]=5000000000000004&card[expire_month]=06&card[expire_year]=2030";
    const MOTO: &str = "amount=1&currency=ZAR&moto[pan]=4111111111111111&moto[expire_month]=06&moto[expire_year]=2030";
    const ID: &str = "84412a34-fa29-4369-a098-0165a80e8fda";

    fn refusal(body: &str) -> Option<String> {
        let form = Form::parse(body.as_bytes()).ok().unwrap();
        let refusal = Authorize::read(&form, false).err()?;
        assert_eq!(refusal.code, Code::INPUT, "{body}");
        Some(refusal.message)
    }

    fn series_of(body: &str) -> Option<SeriesRequest> {
        Authorize::read(&Form::parse(body.as_bytes()).ok().unwrap(), false).ok().unwrap().series
    }

    #[test]
    fn whole_requests() {
        assert_eq!(refusal(&format!("{CARD}&card[csc]=123&ip=1.1.1.1&unknown=1")), None);
        assert_eq!(refusal(CARD).as_deref(), Some("parameter 'card[csc]' is required"));
        assert_eq!(refusal("").as_deref(), Some("parameter 'amount' is required"));
        assert_eq!(refusal(MOTO), None);
        assert_eq!(refusal(&format!("{CARD}&initiator=merchant&credential_on_file=use")), None);
        assert_eq!(refusal(&format!("{CARD}&card[csc]=123&credential_on_file=store")), None);
    }

    #[test]
    fn series_requests() {
        let first = Some(SeriesRequest::First { r#type: "recurring".to_owned() });
        assert_eq!(series_of(&format!("{CARD}&card[csc]=123&series[type]=recurring")), first);
        let after = Some(SeriesRequest::After { id: ID.to_owned() });
        assert_eq!(series_of(&format!("{CARD}&series[previous][id]={ID}")), after);
        let moved = |kind: &str| Some(SeriesRequest::Moved { r#type: kind.to_owned() });
        assert_eq!(series_of(&format!("{CARD}&series[previous][visa][tid]=481048839682954")), moved("recurring"));
        let tid = "series[previous][mastercard][tid]=ABC1234560721++";
        let fixed = "series[previous][mastercard][exemption]=fixed_amount_series";
        let unscheduled = "series[previous][mastercard][type]=unscheduled";
        assert_eq!(series_of(&format!("{MASTERCARD}&{tid}&{fixed}&{unscheduled}")), moved("unscheduled"));
    }

    #[test]
    fn exclusions() {
        let previous = format!("series[previous][id]={ID}");
        for (more, message) in [
            (
                format!("series[type]=recurring&{previous}"),
                "'series[type]' and 'series[previous]' are mutually exclusive",
            ),
            (
                "series[type]=recurring&sca_exemption=low_value_payment".to_owned(),
                "'series' and 'sca_exemption' are mutually exclusive",
            ),
            (
                format!("{previous}&sca_exemption=low_value_payment"),
                "'series' and 'sca_exemption' are mutually exclusive",
            ),
            ("series[type]=yearly".to_owned(), "invalid 'series[type]'"),
            ("sca_exemption=none".to_owned(), "invalid 'sca_exemption'"),
            ("series[previous][id]=1".to_owned(), "invalid 'series[previous][id]'"),
            ("series[previous][x]=1".to_owned(), "'series[previous]' must hold exactly one of id, mastercard, visa"),
            (
                format!("{previous}&series[previous][visa][tid]=481048839682954"),
                "'series[previous]' must hold exactly one of id, mastercard, visa",
            ),
            ("series[previous][visa][tid]=1".to_owned(), "invalid 'series[previous][visa][tid]'"),
            ("series[previous][visa][type]=recurring".to_owned(), "invalid 'series[previous][visa]'"),
            (
                "series[previous][mastercard][tid]=ABC1234560721".to_owned(),
                "invalid 'series[previous][mastercard][tid]'",
            ),
            ("series[previous][mastercard][tid]=ABC1234560721++".to_owned(), "invalid 'series[previous][mastercard]'"),
            (format!("{previous}&initiator=cardholder"), "a subsequent-in-series is initiated by the merchant"),
            (format!("{previous}&card[csc]=123"), "a subsequent-in-series carries no csc and no rreq"),
            (
                "initiator=merchant&credential_on_file=store".to_owned(),
                "'credential_on_file' cannot be store when the merchant initiates",
            ),
            ("initiator=shop".to_owned(), "invalid 'initiator'"),
            ("credential_on_file=keep".to_owned(), "invalid 'credential_on_file'"),
        ] {
            assert_eq!(refusal(&format!("{CARD}&{more}")).as_deref(), Some(message), "{more}");
        }
        let rreq = r#"card[3dsecure][v2][rreq]={"messageVersion":"2.2.0","transStatus":"Y"}"#;
        assert_eq!(
            refusal(&format!("{CARD}&{previous}&{rreq}")).as_deref(),
            Some("a subsequent-in-series carries no csc and no rreq")
        );
        let visa = "series[previous][visa][tid]=481048839682954";
        assert_eq!(refusal(&format!("{MASTERCARD}&{visa}")).as_deref(), Some("invalid 'series[previous]'"));
    }

    #[test]
    fn moto_stands_alone() {
        let message = Some("'moto' takes no series, no credential_on_file and no initiator merchant");
        for more in ["series[type]=recurring", "credential_on_file=use", "initiator=merchant"] {
            assert_eq!(refusal(&format!("{MOTO}&{more}")).as_deref(), message, "{more}");
        }
        let vipps = CARD.replace("card[", "vipps[");
        let message = Some("a subsequent-in-series needs the method card or token");
        assert_eq!(refusal(&format!("{vipps}&series[previous][id]={ID}")).as_deref(), message);
    }

    #[test]
    fn captures_refunds_and_credits() {
        let amount = |body: &str| {
            Move::read(&Form::parse(body.as_bytes()).ok().unwrap())
                .map(|read| read.amount)
                .map_err(|refusal| refusal.code.0)
        };
        assert_eq!(amount(""), Ok(None));
        assert_eq!(amount("amount=500&travel[x]=1"), Ok(Some(500)));
        assert_eq!(amount("amount=0"), Err(40000));
        assert_eq!(amount("text_on_statement=1234"), Err(40150));
        assert_eq!(amount("marketplace[interregional_retailer]=yes"), Err(40000));
        let credit = |more: &str| {
            let form = Form::parse(format!("{CARD}{more}").as_bytes()).ok().unwrap();
            Credit::read(&form).map_or_else(|refusal| refusal.code.0, |_| 20000)
        };
        assert_eq!(credit(""), 20000);
        assert_eq!(credit("&card[name]=A+Cardholder"), 20000);
        assert_eq!(credit("&card[name]=%C3%86"), 40000);
        assert_eq!(credit("&reference="), 40000);
    }
}
