//! The documented patterns of single fields, checked by hand: each function names its pattern.

use std::net::IpAddr;

use super::status::{Code, Refusal, refuse};
use crate::common::form::Form;

/// Clearhaus' list of currencies (not ISO 4217's: some exponents differ, some codes are gone).
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP \
    BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EEK EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF \
    GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
    LYD MAD MDL MGA MKD MMK MNT MOP MRO MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN \
    PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD STD STN SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS \
    UAH UGX USD UYU UZS VEF VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG";

pub(super) fn required<'a>(form: &'a Form, name: &str) -> Result<&'a str, Refusal> {
    form.get(name).map_or_else(|| refuse(Code::INPUT, format!("parameter '{name}' is required")), Ok)
}

/// A present value must hold; the refusal names the parameter and never its value.
pub(super) fn check(name: &str, code: Code, holds: bool) -> Result<(), Refusal> {
    match holds {
        true => Ok(()),
        false => refuse(code, format!("invalid '{name}'")),
    }
}

/// `(0|[1-9][0-9]{,8})`, in minor units.
pub(super) fn amount_or_zero(form: &Form) -> Result<u64, Refusal> {
    let text = required(form, "amount")?;
    check("amount", Code::INPUT, digits(text, 1, 9) && (text == "0" || !text.starts_with('0')))?;
    text.parse().or_else(|_| refuse(Code::INPUT, "invalid 'amount'"))
}

/// `[1-9][0-9]{,8}`.
pub(super) fn positive_amount(form: &Form) -> Result<u64, Refusal> {
    match amount_or_zero(form)? {
        0 => refuse(Code::INPUT, "invalid 'amount'"),
        amount => Ok(amount),
    }
}

/// `[A-Z]{3}` and in Clearhaus' list.
pub(super) fn currency(form: &Form) -> Result<String, Refusal> {
    let code = required(form, "currency")?;
    check(
        "currency",
        Code::CURRENCY,
        code.len() == 3 && CURRENCIES.split_ascii_whitespace().any(|known| known == code),
    )?;
    Ok(code.to_owned())
}

/// `[\x20-\x7E]{1,30}`.
pub(super) fn reference(form: &Form) -> Result<Option<String>, Refusal> {
    let Some(text) = form.get("reference") else {
        return Ok(None);
    };
    check("reference", Code::INPUT, printable(text, 1, 30))?;
    Ok(Some(text.to_owned()))
}

/// `[\x20-\x7E]{2,22}`, not all digits, not all the same character, not all sequential characters.
pub(super) fn text_on_statement(form: &Form) -> Result<Option<String>, Refusal> {
    let Some(text) = form.get("text_on_statement") else {
        return Ok(None);
    };
    let step =
        |by: i16| text.as_bytes().windows(2).all(|pair| matches!(pair, [a, b] if i16::from(*b) - i16::from(*a) == by));
    // Descending ("cba") is our reading of "sequential": stricter than a client needs to be.
    let holds = printable(text, 2, 22) && !digits(text, 2, 22) && ![-1, 0, 1].into_iter().any(step);
    check("text_on_statement", Code::TEXT_ON_STATEMENT, holds)?;
    Ok(Some(text.to_owned()))
}

/// `[0-9.a-fA-F:]{3,45}` that is a valid v4 or v6 address. Checked, and then of no use here.
pub(super) fn ip(form: &Form) -> Result<(), Refusal> {
    form.get("ip").map_or(Ok(()), |text| check("ip", Code::INPUT, text.parse::<IpAddr>().is_ok()))
}

/// An optional parameter with a closed list of values.
pub(super) fn choice<'a>(form: &'a Form, name: &str, values: &[&str]) -> Result<Option<&'a str>, Refusal> {
    let Some(text) = form.get(name) else {
        return Ok(None);
    };
    check(name, Code::INPUT, values.contains(&text))?;
    Ok(Some(text))
}

pub(super) fn digits(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn printable(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len()) && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// Base64 of 20 bytes: 28 characters with padding, the size of every scheme's cryptogram.
pub(super) fn cryptogram(text: &str) -> bool {
    text.len() == 28 && base64_text(text)
}

/// RFC 4648 §4 with padding.
pub(super) fn base64_text(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// RFC 9562 version 4, lower or upper case.
pub(super) fn uuid_v4(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            19 => b"89abAB".contains(&byte),
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &str) -> Form {
        Form::parse(body.as_bytes()).ok().unwrap()
    }

    #[test]
    fn amounts() {
        for (text, expected) in [("0", Some(0)), ("1", Some(1)), ("2050", Some(2050)), ("999999999", Some(999_999_999))]
        {
            assert_eq!(amount_or_zero(&form(&format!("amount={text}"))).ok(), expected);
        }
        for text in ["", "00", "01", "1000000000", "-1", "%2B1", "1.0", "1e3", "%D9%A1", "+1"] {
            let error = amount_or_zero(&form(&format!("amount={text}"))).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (Code::INPUT, "invalid 'amount'"), "{text}");
        }
        assert_eq!(amount_or_zero(&form("")).unwrap_err().message, "parameter 'amount' is required");
        assert!(positive_amount(&form("amount=0")).is_err());
    }

    #[test]
    fn currencies() {
        for code in ["ZAR", "EUR", "ISK", "KWD"] {
            assert_eq!(currency(&form(&format!("currency={code}"))).unwrap(), code);
        }
        for code in ["zar", "XXX", "HRK", "EU", "EURO", "R+E", "ED+"] {
            assert_eq!(currency(&form(&format!("currency={code}"))).unwrap_err().code, Code::CURRENCY, "{code}");
        }
        assert_eq!(CURRENCIES.split_ascii_whitespace().count(), 156);
    }

    #[test]
    fn statement_texts() {
        for text in ["Shop 25", "ab", "aab", "ac", "1a", "A-merchant.example/12345"[..22].as_ref()] {
            let expected = !matches!(text, "ab");
            assert_eq!(text_on_statement(&form(&format!("text_on_statement={text}"))).is_ok(), expected, "{text}");
        }
        for text in
            ["a", "12345", "13", "aaaa", "abc", "cba", "xyz", "%C3%A6%C3%B8", "a%0Ab", "", "12345678901234567890abc"]
        {
            let error = text_on_statement(&form(&format!("text_on_statement={text}"))).unwrap_err();
            assert_eq!(error.code, Code::TEXT_ON_STATEMENT, "{text}");
        }
    }

    #[test]
    fn addresses_references_and_ids() {
        for text in ["1.1.1.1", "::1", "2001:db8::1"] {
            assert!(ip(&form(&format!("ip={text}"))).is_ok(), "{text}");
        }
        for text in ["1.1.1", "1.1.1.256", "localhost", "fe80::1%25eth0", ""] {
            assert!(ip(&form(&format!("ip={text}"))).is_err(), "{text}");
        }
        assert_eq!(reference(&form("reference=order+%2325")).unwrap().as_deref(), Some("order #25"));
        for text in ["", "%7F", "%C3%A9", "1234567890123456789012345678901"] {
            assert!(reference(&form(&format!("reference={text}"))).is_err(), "{text}");
        }
        assert!(uuid_v4("84412a34-fa29-4369-a098-0165a80e8fda"));
        for text in [
            "",
            "84412a34-fa29-1369-a098-0165a80e8fda",
            "84412a34-fa29-4369-c098-0165a80e8fda",
            "84412a34fa294369a0980165a80e8fda0000",
        ] {
            assert!(!uuid_v4(text), "{text}");
        }
        assert!(cryptogram("AAABBEg0VhI0VniQEjRWAAAAAAA="));
        for text in ["", "AAABBEg0VhI0VniQEjRWAAAAAAAA=", "AAABBEg0VhI0VniQEjRWAAAAAA_=", "AAABBEg0VhI0VniQEjRWAAAAAA"]
        {
            assert!(!cryptogram(text), "{text}");
        }
    }
}
