//! EMVCo merchant-presented payloads (EMV QRCPS-MPM v1.1): written strictly, read leniently.
//!
//! A data object is two digits of id, two digits of length, and that many characters.

use crate::code::Code;

/// The reverse domain name that marks the template of a Scan to Pay code.
const CODE_DOMAIN: &str = "za.co.mp";

/// What the payload says about the merchant, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    country: String,
    currency: String,
    name: String,
    city: String,
}

/// Why a merchant's data cannot be put into a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MerchantError {
    /// Not two upper-case letters (ISO 3166-1 alpha-2).
    Country,
    /// Not three digits (ISO 4217 numeric, 710 for the rand).
    Currency,
    /// Empty, over 25 characters, or not all printable ASCII: other scripts belong into a template that we do not write.
    Name,
    /// Empty, over 15 characters, or not all printable ASCII.
    City,
}

/// Why a payload gives no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// Not a sequence of data objects that starts with payload format 01.
    Malformed,
    /// The checksum is there and wrong.
    Checksum,
    /// No template `za.co.mp` with ten digits, or more than one.
    NoCode,
}

impl std::fmt::Display for MerchantError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Country => "country must be two upper-case letters",
            Self::Currency => "currency must be three digits",
            Self::Name => "merchant name must have 1 to 25 printable ASCII characters",
            Self::City => "city must have 1 to 15 printable ASCII characters",
        })
    }
}

impl std::fmt::Display for PayloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not an EMV payload",
            Self::Checksum => "the payload's checksum is wrong",
            Self::NoCode => "the payload carries no code",
        })
    }
}

impl std::error::Error for MerchantError {}
impl std::error::Error for PayloadError {}

impl Merchant {
    /// # Errors
    /// The first field that does not have the form of the specification.
    pub fn new(country: &str, currency: &str, name: &str, city: &str) -> Result<Self, MerchantError> {
        // The format `ans` of the specification. Readers count bytes or characters: of these both are the same.
        let text =
            |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(MerchantError::Country);
        }
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MerchantError::Currency);
        }
        if !text(name, 25) {
            return Err(MerchantError::Name);
        }
        if !text(city, 15) {
            return Err(MerchantError::City);
        }
        let [country, currency, name, city] = [country, currency, name, city].map(str::to_owned);
        Ok(Self { country, currency, name, city })
    }

    /// The fields in the order of their tags.
    pub(crate) fn fields(&self) -> [&str; 4] {
        [&self.currency, &self.country, &self.name, &self.city]
    }
}

/// The payload of a code. Never with an amount: what is to be paid is looked up when paying.
#[must_use]
pub fn payload(code: Code, merchant: &Merchant) -> String {
    let mut out = String::with_capacity(128);
    object(&mut out, "00", "01");
    let mut template = String::with_capacity(32);
    object(&mut template, "00", CODE_DOMAIN);
    object(&mut template, "01", code.as_str());
    object(&mut out, "26", &template);
    // Mandatory; 0000 is the category of a merchant that names none.
    object(&mut out, "52", "0000");
    for (id, value) in ["53", "58", "59", "60"].into_iter().zip(merchant.fields()) {
        object(&mut out, id, value);
    }
    out.push_str("6304");
    let crc = crc16(out.as_bytes());
    out + &format!("{crc:04X}")
}

/// The ten-digit code in a payload from elsewhere.
///
/// Codes in the market leave out mandatory objects and the checksum, so only what is there is
/// checked.
///
/// # Errors
/// See [`PayloadError`].
pub fn code_in(payload: &str) -> Result<Code, PayloadError> {
    if !payload.starts_with("000201") {
        return Err(PayloadError::Malformed);
    }
    let mut code = None;
    for item in objects(payload) {
        let Object { id, value, end } = item.ok_or(PayloadError::Malformed)?;
        match id {
            26..=51 => {
                let Some(found) = code_of_template(value) else {
                    continue;
                };
                if code.replace(found).is_some() {
                    return Err(PayloadError::NoCode);
                }
            }
            63 => check_crc(payload, value, end)?,
            _ => {}
        }
    }
    code.ok_or(PayloadError::NoCode)
}

/// CRC-16/CCITT-FALSE (ISO/IEC 13239): polynomial 1021, initial value FFFF.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| (crc << 1) ^ ((crc >> 15) * 0x1021))
    })
}

fn object(out: &mut String, id: &str, value: &str) {
    out.push_str(&format!("{id}{:02}{value}", value.chars().count()));
}

fn code_of_template(template: &str) -> Option<Code> {
    let mut is_ours = false;
    let mut code = None;
    for item in objects(template) {
        let Object { id, value, .. } = item?;
        match id {
            0 => is_ours = value == CODE_DOMAIN,
            1 => code = Code::parse(value),
            _ => {}
        }
    }
    code.filter(|_| is_ours)
}

/// The checksum covers everything before its value, and must come last.
fn check_crc(payload: &str, value: &str, end: usize) -> Result<(), PayloadError> {
    let covered = payload.as_bytes().get(..end - value.len()).unwrap_or_default();
    let is_last = end == payload.len();
    if !is_last || value.len() != 4 {
        return Err(PayloadError::Malformed);
    }
    let computed = format!("{:04X}", crc16(covered));
    if computed.eq_ignore_ascii_case(value) { Ok(()) } else { Err(PayloadError::Checksum) }
}

struct Object<'a> {
    id: u8,
    value: &'a str,
    /// Where the object ends in the text, in bytes.
    end: usize,
}

/// The data objects of a text; `None` once where it is malformed, and then no more.
fn objects(text: &str) -> impl Iterator<Item = Option<Object<'_>>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let object = first_object(rest);
        rest = object.as_ref().map_or("", |(_, tail)| tail);
        let end = text.len() - rest.len();
        Some(object.map(|((id, value), _)| Object { id, value, end }))
    })
}

fn first_object(text: &str) -> Option<((u8, &str), &str)> {
    let (head, tail) = text.split_at_checked(4)?;
    let (id, len) = head.split_at_checked(2)?;
    let (id, len) = (two_digits(id)?, two_digits(len)?);
    // The length counts characters, not bytes (worked example of the specification).
    let mut ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    let (value, tail) = tail.split_at_checked(ends.nth(usize::from(len))?)?;
    Some(((id, value), tail))
}

fn two_digits(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merchant() -> Merchant {
        Merchant::new("ZA", "710", "Corner Shop", "Cape Town").unwrap()
    }

    #[test]
    fn published_vectors() {
        let mut seen = 0;
        for line in include_str!("../vectors/emv.txt").lines() {
            let Some((expectation, text)) = line.split_once('\t') else {
                continue;
            };
            let (kind, code) = expectation.split_once(' ').unwrap();
            let expected = Code::parse(code).ok_or(PayloadError::NoCode);
            assert_eq!(code_in(text), expected, "{text}");
            seen += 1;
            if kind == "bare" {
                continue;
            }
            let (body, crc) = text.split_at(text.len() - 4);
            assert_eq!(format!("{:04X}", crc16(body.as_bytes())), crc);
            // Any other checksum is refused.
            let wrong = format!("{body}{:04X}", crc16(body.as_bytes()) ^ 0x0100);
            assert_eq!(code_in(&wrong), Err(PayloadError::Checksum));
        }
        assert_eq!(seen, 7);
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn our_payload_in_full() {
        let text = payload(Code::parse("0123456789").unwrap(), &merchant());
        let body = "00020126260008za.co.mp01100123456789520400005303710\
                    5802ZA5911Corner Shop6009Cape Town6304";
        assert_eq!(text, format!("{body}{:04X}", crc16(body.as_bytes())));
        assert!(objects(&text).all(|object| object.unwrap().id != 54));
    }

    #[test]
    fn malformed_payloads_have_their_reasons() {
        let ours = "26260008za.co.mp01100123456789";
        let cases = [
            ("", PayloadError::Malformed),
            ("0123456789", PayloadError::Malformed),
            ("000201", PayloadError::NoCode),
            ("0002012626", PayloadError::Malformed),
            ("000201+1020", PayloadError::Malformed),
            ("00020126260008za.co.mq01100123456789", PayloadError::NoCode),
            ("00020126250008za.co.mp0109123456789", PayloadError::NoCode),
            (&format!("000201{ours}{ours}"), PayloadError::NoCode),
            (&format!("000201{ours}63040000"), PayloadError::Checksum),
            (&format!("000201{ours}6304000058020A"), PayloadError::Malformed),
        ];
        for (text, error) in cases {
            assert_eq!(code_in(text), Err(error), "{text}");
        }
    }

    #[test]
    fn merchants_outside_the_specification_are_refused() {
        let (limit, long) = ("~".repeat(25), "a".repeat(26));
        let with = |country, currency, name, city| Merchant::new(country, currency, name, city).err();
        assert_eq!(with("za", "710", "A", "B"), Some(MerchantError::Country));
        assert_eq!(with("ZA", "ZAR", "A", "B"), Some(MerchantError::Currency));
        assert_eq!(with("ZA", "710", "", "B"), Some(MerchantError::Name));
        assert_eq!(with("ZA", "710", &long, "B"), Some(MerchantError::Name));
        assert_eq!(with("ZA", "710", "A", "B\n"), Some(MerchantError::City));
        assert_eq!(with("ZA", "710", "Café", "B"), Some(MerchantError::Name));
        assert_eq!(with("ZA", "710", "A", "最佳"), Some(MerchantError::City));
        assert_eq!(with("ZA", "710", &limit, "No 5, St. X"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(code in "[0-9]{10}", name in "[ -~]{1,25}", city in "[ -~]{1,15}") {
            let code = Code::parse(&code).unwrap();
            let text = payload(code, &Merchant::new("ZW", "924", &name, &city).unwrap());
            prop_assert_eq!(code_in(&text), Ok(code));
        }

        #[test]
        fn a_changed_character_never_gives_another_code(code in "[0-9]{10}", at in 0_usize..90, to in "[ -~]") {
            let code = Code::parse(&code).unwrap();
            let text = payload(code, &merchant());
            let at = at % text.len();
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to);
            // CRC-16 finds any error within sixteen bits, unless its own object was destroyed.
            if !(text.len() - 8..text.len() - 4).contains(&at) {
                prop_assert!(code_in(&changed).is_err() || code_in(&changed) == Ok(code));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "(000201)?([0-9]{4}|\\PC|za.co.mp){0,30}") {
            let _ = code_in(&text);
        }
    }
}
