//! The payment methods: which fields each one takes.

use super::{
    fields::{base64_text, check, cryptogram, digits, printable, required},
    number::{Number, Scheme},
    status::{Code, Refusal, refuse},
    threeds::{self, ThreeDs},
};
use crate::common::form::Form;

/// In the order of Clearhaus' documentation.
const METHODS: [(&str, Method); 8] = [
    ("card", Method::Card),
    ("applepay", Method::ApplePay),
    ("googlepay", Method::GooglePay),
    ("mobilepayonline", Method::MobilePayOnline),
    ("moto", Method::Moto),
    ("token", Method::Token),
    ("clicktopay", Method::ClickToPay),
    ("vipps", Method::Vipps),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Card,
    ApplePay,
    GooglePay,
    MobilePayOnline,
    Moto,
    Token,
    ClickToPay,
    Vipps,
}

/// What is charged. It holds the card number: no `Debug`.
pub(super) struct Instrument {
    pub(super) method: Method,
    pub(super) scheme: Scheme,
    pub(super) csc: Option<Csc>,
    pub(super) threeds: Option<ThreeDs>,
    pub(super) number: Number,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Csc {
    Matches,
    Differs,
}

/// Who a request comes from, as far as the field rules depend on it.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) merchant_initiated: bool,
    /// Card security codes are required unless the partner is trusted.
    pub(super) trusted_partner: bool,
}

impl Instrument {
    /// Exactly one of the documented methods.
    pub(super) fn read(form: &Form, context: Context) -> Result<Self, Refusal> {
        let mut given = METHODS.iter().filter(|(name, _)| form.has(name) || form.get(name).is_some());
        let (Some((name, method)), None) = (given.next(), given.next()) else {
            return refuse(Code::INPUT, "exactly one payment method must be used");
        };
        Self::of(form, name, *method, context)
    }

    /// The card of a credit. Merchant-initiated by definition, so no security code is needed.
    pub(super) fn read_card(form: &Form) -> Result<Self, Refusal> {
        let context = Context { merchant_initiated: true, trusted_partner: true };
        let card = Self::of(form, "card", Method::Card, context)?;
        let name = form.get("card[name]").unwrap_or("A");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b' ';
        check("card[name]", Code::INPUT, printable(name, 1, 30) && name.bytes().all(plain))?;
        Ok(card)
    }

    fn of(form: &Form, name: &str, method: Method, context: Context) -> Result<Self, Refusal> {
        let prefix = match method {
            // The encrypted payloads would have to be opened with keys that only the wallets issue.
            Method::ApplePay if !form.has("applepay[raw]") => {
                return unsupported("applepay[payment_token]");
            }
            Method::GooglePay => return unsupported("googlepay"),
            Method::ApplePay => "applepay[raw]".to_owned(),
            _ => name.to_owned(),
        };
        let field = match method {
            Method::Token | Method::ClickToPay => "tan",
            _ => "pan",
        };
        let number = Number::read(form, &prefix, field)?;
        let scheme = number.scheme();
        method_fields(form, &prefix, method, scheme, context)?;
        let threeds = match method {
            Method::ApplePay | Method::Moto => None,
            _ => threeds::read(form, &format!("{prefix}[3dsecure]"), scheme)?,
        };
        let csc = if method == Method::Card { csc(form, context)? } else { None };
        Ok(Self { method, scheme, csc, threeds, number })
    }
}

fn unsupported<T>(what: &str) -> Result<T, Refusal> {
    refuse(Code::INPUT, format!("'{what}' cannot be opened by the simulator"))
}

fn csc(form: &Form, context: Context) -> Result<Option<Csc>, Refusal> {
    match form.get("card[csc]") {
        None if context.merchant_initiated || context.trusted_partner => Ok(None),
        None => refuse(Code::INPUT, "parameter 'card[csc]' is required"),
        Some(code) => {
            check("card[csc]", Code::CSC, digits(code, 3, 3))?;
            // On the test gateway 987, and only 987, is a match for all numbers.
            Ok(Some(if code == "987" { Csc::Matches } else { Csc::Differs }))
        }
    }
}

/// What goes beyond number and expiry.
fn method_fields(form: &Form, prefix: &str, method: Method, scheme: Scheme, context: Context) -> Result<(), Refusal> {
    let field = |name: &str, needed: bool, holds: &dyn Fn(&str) -> bool| {
        let name = format!("{prefix}[{name}]");
        match form.get(&name) {
            None if !needed => Ok(()),
            _ => check(&name, Code::INPUT, holds(required(form, &name)?)),
        }
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
    let eci = |text: &str| ["05", "07"].contains(&text);
    // Mastercard's cryptograms are of DSRP only, which shows in the first character.
    let tav = |text: &str| {
        cryptogram(text) && (scheme != Scheme::Mastercard || text.starts_with(|first| ('A'..='P').contains(&first)))
    };
    let present = !context.merchant_initiated;
    let visa = scheme == Scheme::Visa;
    match method {
        Method::Card | Method::Moto | Method::GooglePay => Ok(()),
        Method::MobilePayOnline => {
            field("payment_token", false, &json)?;
            field("phone_number", false, &|text| printable(text, 1, 15))
        }
        Method::Vipps => field("payment_token", false, &json),
        Method::ApplePay => {
            field("cryptogram", true, &cryptogram)?;
            field("eci", visa, &|text| digits(text, 2, 2))
        }
        Method::ClickToPay => {
            field("tav", true, &tav)?;
            field("eci", visa && present, &eci)
        }
        Method::Token => {
            field("tav", present, &tav)?;
            field("eci", visa && present, &eci)?;
            field("rcai", false, &|text| (1..=150).contains(&text.len()) && base64_text(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOPPER: Context = Context { merchant_initiated: false, trusted_partner: false };
    const MERCHANT: Context = Context { merchant_initiated: true, trusted_partner: false };

    fn read(body: &str, context: Context) -> Result<Instrument, (u32, String)> {
        let form = Form::parse(body.as_bytes()).ok().unwrap();
        Instrument::read(&form, context).map_err(|refusal| (refusal.code.0, refusal.message))
    }

    fn code(body: &str, context: Context) -> u32 {
        read(body, context).map_or_else(|(code, _)| code, |_| 20000)
    }

    fn with(prefix: &str, fields: &[(&str, &str)]) -> String {
        let mut body = String::new();
        for (name, value) in fields {
            body.push_str(&format!("{prefix}[{name}]={}&", value.replace('+', "%2B")));
        }
        body
    }

    const TAV: (&str, &str) = ("tav", "AAABBEg0VhI0VniQEjRWAAAAAAA=");
    const MONTH: (&str, &str) = ("expire_month", "06");
    const YEAR: (&str, &str) = ("expire_year", "2030");
    const VISA: (&str, &str) = ("pan", "4111111111111111");
    const TAN: (&str, &str) = ("tan", "4111111111111111");

    #[test]
    fn card_fields() {
        let good = [VISA, MONTH, YEAR, ("csc", "123")];
        assert_eq!(code(&with("card", &good), SHOPPER), 20000);
        for (name, value, expected) in [
            ("pan", "41111111111", 40110),
            ("pan", "4111 1111 1111 1111", 40110),
            ("pan", "41111111111111111111", 40110),
            ("expire_month", "6", 40130),
            ("expire_month", "13", 40130),
            ("expire_month", "00", 40130),
            ("expire_year", "30", 40130),
            ("expire_year", "1999", 40130),
            ("csc", "12", 40120),
            ("csc", "1234", 40120),
        ] {
            let fields: Vec<_> =
                good.iter().map(|(field, old)| (*field, if *field == name { value } else { *old })).collect();
            assert_eq!(code(&with("card", &fields), SHOPPER), expected, "{name}={value}");
        }
        for missing in 0..4 {
            let mut fields = good.to_vec();
            let (name, _) = fields.remove(missing);
            let expected = (40000, format!("parameter 'card[{name}]' is required"));
            assert_eq!(read(&with("card", &fields), SHOPPER).err(), Some(expected));
        }
        assert_eq!(code(&with("card", &good[..3]), MERCHANT), 20000);
        assert_eq!(code(&with("card", &good[..3]), Context { trusted_partner: true, ..SHOPPER }), 20000);
        assert_eq!(code("card=4111", SHOPPER), 40000);
    }

    #[test]
    fn exactly_one_method() {
        let card = with("card", &[VISA, MONTH, YEAR, ("csc", "123")]);
        let message = "exactly one payment method must be used".to_owned();
        assert_eq!(read("", SHOPPER).err(), Some((40000, message.clone())));
        assert_eq!(read(&format!("{card}{}", with("moto", &[VISA])), SHOPPER).err(), Some((40000, message)));
        assert_eq!(code(&format!("{card}unknown[x]=1"), SHOPPER), 20000, "unknown parameters are ignored");
    }

    #[test]
    fn other_methods() {
        let card = [VISA, MONTH, YEAR];
        let token = [TAN, MONTH, YEAR];
        let check = |prefix: &str, base: &[(&str, &str)], more: &[(&str, &str)], context, expected| {
            assert_eq!(code(&with(prefix, &[base, more].concat()), context), expected, "{prefix} {more:?}");
        };
        check("moto", &card, &[], SHOPPER, 20000);
        check("vipps", &card, &[("payment_token", r#"{"networkToken":{}}"#)], SHOPPER, 20000);
        check("vipps", &card, &[("payment_token", "abc")], SHOPPER, 40000);
        check("mobilepayonline", &card, &[("phone_number", "12345678")], SHOPPER, 20000);
        check("mobilepayonline", &card, &[("phone_number", "1234567890123456")], SHOPPER, 40000);
        check("token", &token, &[TAV, ("eci", "07")], SHOPPER, 20000);
        check("token", &token, &[TAV], SHOPPER, 40000);
        check("token", &token, &[], MERCHANT, 20000);
        check("token", &token, &[TAV, ("eci", "06")], SHOPPER, 40000);
        check("token", &token, &[TAV, ("eci", "07"), ("rcai", "!")], SHOPPER, 40000);
        check("token", &card, &[TAV, ("eci", "07")], SHOPPER, 40000);
        let mastercard = [("tan", "5000000000000004"), MONTH, YEAR];
        check("token", &mastercard, &[TAV], SHOPPER, 20000);
        check("token", &mastercard, &[("tav", "QAABBEg0VhI0VniQEjRWAAAAAAA=")], SHOPPER, 40000);
        check("clicktopay", &token, &[TAV, ("eci", "05")], SHOPPER, 20000);
        check("clicktopay", &token, &[("eci", "05")], SHOPPER, 40000);
        check("applepay[raw]", &card, &[("cryptogram", TAV.1), ("eci", "07")], SHOPPER, 20000);
        check("applepay[raw]", &card, &[("cryptogram", TAV.1)], SHOPPER, 40000);
        check("applepay", &[], &[("payment_token", "{}")], SHOPPER, 40000);
        check("googlepay", &[], &[("token", "{}")], SHOPPER, 40000);
    }
}
