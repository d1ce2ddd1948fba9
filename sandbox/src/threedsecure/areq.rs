//! The authentication request: which fields a browser payment must have, and their forms.

use serde_json::{Map, Value};

use super::{
    erro::{Code, DEFAULT_VERSION, Erro},
    script::VERSIONS,
};

/// The object as it was sent. It holds the card number: no `Debug`.
pub(super) struct AReq(Map<String, Value>);

/// How a field must look.
#[derive(Clone, Copy)]
enum Form {
    /// Text of so many characters.
    Text(usize, usize),
    /// So many digits.
    Digits(usize, usize),
    OneOf(&'static [&'static str]),
    Country,
    Url(usize),
    Uuid,
    Zone,
    Bool,
    Ascii(usize, usize),
    Email,
}

use Form::{Ascii, Bool, Country, Digits, Email, OneOf, Text, Url, Uuid, Zone};

const DEPTHS: &[&str] = &["1", "4", "8", "15", "16", "24", "32", "48"];

/// Required for `deviceChannel` 02 and `messageCategory` 01; a card that is only verified (02) may say as much.
const REQUIRED: [(&str, Form); 25] = [
    ("messageType", OneOf(&["AReq"])),
    ("messageVersion", OneOf(&VERSIONS)),
    ("messageCategory", OneOf(&["01", "02"])),
    ("deviceChannel", OneOf(&["02"])),
    ("threeDSServerTransID", Uuid),
    ("acctNumber", Digits(13, 19)),
    ("acquirerBIN", Text(1, 11)),
    ("acquirerMerchantID", Text(1, 35)),
    ("mcc", Digits(4, 4)),
    ("merchantCountryCode", Country),
    ("merchantName", Text(1, 40)),
    ("notificationURL", Url(256)),
    ("threeDSRequestorURL", Url(2048)),
    ("threeDSRequestorAuthenticationInd", OneOf(&["01", "02", "03", "04", "05", "06"])),
    ("threeDSCompInd", OneOf(&["Y", "N", "U"])),
    ("purchaseAmount", Digits(0, 48)),
    ("purchaseCurrency", Digits(3, 3)),
    ("purchaseExponent", Digits(1, 1)),
    ("purchaseDate", Digits(14, 14)),
    ("browserAcceptHeader", Text(1, 2048)),
    ("browserUserAgent", Text(1, 2048)),
    ("browserLanguage", Text(1, 8)),
    // 2.1 has no browserJavascriptEnabled: there, what a script reads is always required.
    ("browserJavaEnabled", Bool),
    ("browserColorDepth", OneOf(DEPTHS)),
    ("browserScreenHeight", Digits(1, 6)),
];
/// With a script only, from 2.2 on.
const SCRIPTED: [&str; 5] =
    ["browserJavaEnabled", "browserColorDepth", "browserScreenHeight", "browserScreenWidth", "browserTZ"];
/// Checked when given; `true` for those that Visa and Mastercard require on top of the protocol.
const OPTIONAL: [(&str, Form, bool); 17] = [
    ("browserScreenWidth", Digits(1, 6), false),
    ("browserTZ", Zone, false),
    ("browserJavascriptEnabled", Bool, false),
    ("browserIP", Text(1, 45), false),
    ("cardExpiryDate", Digits(4, 4), true),
    ("cardholderName", Ascii(2, 45), true),
    ("email", Email, true),
    ("billAddrCity", Text(1, 50), true),
    ("billAddrCountry", Country, true),
    ("billAddrLine1", Text(1, 50), true),
    ("billAddrPostCode", Text(1, 16), true),
    ("billAddrState", Text(1, 3), true),
    ("transType", OneOf(&["01", "03", "10", "11", "28"]), false),
    ("threeDSRequestorDecReqInd", OneOf(&["Y", "N"]), false),
    ("threeDSRequestorDecMaxTime", Digits(5, 5), false),
    ("addrMatch", OneOf(&["Y", "N"]), false),
    ("acctType", OneOf(&["01", "02", "03"]), false),
];

impl AReq {
    /// `scheme_rules`: what Visa and Mastercard require is required, too.
    pub(super) fn read(object: Map<String, Value>, scheme_rules: bool) -> Result<Self, Erro> {
        let areq = Self(object);
        let later = areq.text("messageVersion") != "2.1.0";
        if later && !areq.0.contains_key("browserJavascriptEnabled") {
            return Err(areq.missing("browserJavascriptEnabled"));
        }
        let scripted = !later || areq.0.get("browserJavascriptEnabled") == Some(&Value::Bool(true));
        for (name, form) in REQUIRED {
            areq.check(name, form, scripted || !SCRIPTED.contains(&name))?;
        }
        for (name, form, by_scheme) in OPTIONAL {
            areq.check(name, form, (scheme_rules && by_scheme) || (scripted && SCRIPTED.contains(&name)))?;
        }
        Ok(areq)
    }

    /// Empty when it is not there; what is required is there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Minor units; what does not fit counts as none.
    pub(super) fn amount(&self) -> Option<u64> {
        self.text("purchaseAmount").parse().ok()
    }

    fn check(&self, name: &str, form: Form, required: bool) -> Result<(), Erro> {
        match self.0.get(name) {
            None | Some(Value::Null) if required => Err(self.missing(name)),
            None => Ok(()),
            Some(value) if form.fits(value) => Ok(()),
            Some(_) => {
                let code = match name {
                    "messageVersion" => Code::VERSION,
                    "messageType" => Code::MESSAGE,
                    "merchantCountryCode" | "billAddrCountry" | "purchaseCurrency" => Code::ISO,
                    "mcc" => Code::MCC,
                    _ => Code::FORMAT,
                };
                Err(self.refused(code, name))
            }
        }
    }

    fn missing(&self, name: &str) -> Erro {
        self.refused(Code::MISSING, name)
    }

    pub(super) fn refused(&self, code: Code, detail: &str) -> Erro {
        let given = self.text("messageVersion");
        let version = VERSIONS.into_iter().find(|known| *known == given).unwrap_or(DEFAULT_VERSION);
        let erro = Erro::new(code, detail).about("AReq");
        match self.text("threeDSServerTransID") {
            id if Uuid.fits(&Value::from(id)) => erro.of(id, version),
            _ => erro,
        }
    }
}

impl Form {
    fn fits(self, value: &Value) -> bool {
        if let Bool = self {
            return value.is_boolean();
        }
        let Some(text) = value.as_str() else {
            return false;
        };
        let length = text.chars().count();
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Text(least, most) => (least..=most).contains(&length),
            Ascii(least, most) => (least..=most).contains(&length) && text.is_ascii(),
            Digits(least, most) => (least..=most).contains(&length) && digits(text),
            OneOf(values) => values.contains(&text),
            // ISO 3166-1 numeric; 901 to 999 are for users' own purposes.
            Country => length == 3 && digits(text) && ("004"..="900").contains(&text),
            Url(most) => {
                length <= most
                    && text.split_once("://").is_some_and(|(scheme, rest)| {
                        matches!(scheme, "http" | "https") && !rest.is_empty() && !text.contains(char::is_whitespace)
                    })
            }
            Uuid => is_uuid(text),
            Zone => {
                let number = text.strip_prefix(['+', '-']).unwrap_or(text);
                (1..=4).contains(&number.len()) && digits(number)
            }
            Email => {
                length <= 254 && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
            }
            Bool => false,
        }
    }
}

/// RFC 9562 §4, lower or upper case.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
