//! What a merchant sends to create a code, parsed into types, and the numbers that name a code.

use std::fmt;
use std::str::FromStr;

use scanvault_protocol::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::money::{Amount, Currency};
use crate::vault::Entropy;
use crate::web::ApiError;

/// 30 minutes, where the merchant gives no expiry.
pub const DEFAULT_TTL_MS: i64 = 30 * 60 * 1000;
const MAX_REFERENCE_CHARS: usize = 45;
const MAX_DESCRIPTION_CHARS: usize = 45;
const MAX_URL_BYTES: usize = 512;

/// The body of `POST /pluto/code/create`, as it comes. Names that we do not know are refused: a limit that a merchant
/// believes to be in force must not be ignored in silence.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateBody<'a> {
    merchant_reference: String,
    #[serde(borrow)]
    amount: &'a RawValue,
    expiry_date: Option<i64>,
    use_once: Option<bool>,
    short_description: Option<String>,
    #[serde(alias = "productURL")]
    product_url: Option<String>,
    /// Which merchant a PSP acts for. The reference does not say how PSPs name it: this name is ours.
    pub merchant_id: Option<u64>,
}

/// A payment request as a merchant asked for it. Two that are equal are the same call repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// Unique for the merchant, for ever.
    pub merchant_reference: String,
    /// Zero = the payer types it.
    pub amount: Amount,
    /// As sent: Unix milliseconds, 0 = never.
    pub asked_expiry_ms: Option<i64>,
    /// Whether the code is used up by one payment.
    pub use_once: bool,
    /// Shown to the payer.
    pub short_description: Option<String>,
    /// Kept for the merchant.
    pub product_url: Option<String>,
}

impl CreateBody<'_> {
    /// Checks every field. `currency` is the account's.
    ///
    /// # Errors
    /// [`Problem::BadRequest`], with the field's name in the text.
    pub fn parse(self, currency: Currency) -> Result<NewRequest, ApiError> {
        let bad = |text: &str| ApiError::because(Problem::BadRequest, text);
        let amount = Amount::parse(self.amount.get(), currency).map_err(|error| bad(&error.to_string()))?;
        if !is_text(&self.merchant_reference, 1, MAX_REFERENCE_CHARS) {
            return Err(bad("merchantReference must be 1 to 45 printable characters"));
        }
        if self.short_description.as_deref().is_some_and(|text| !is_text(text, 1, MAX_DESCRIPTION_CHARS)) {
            return Err(bad("shortDescription must be 1 to 45 printable characters"));
        }
        let is_url = |url: &str| {
            url.len() <= MAX_URL_BYTES
                && (url.starts_with("https://") || url.starts_with("http://"))
                && url.bytes().all(|b| b.is_ascii_graphic())
        };
        if self.product_url.as_deref().is_some_and(|url| !is_url(url)) {
            return Err(bad("productUrl must be an http or https address"));
        }
        if self.expiry_date.is_some_and(|at| at < 0) {
            return Err(bad("expiryDate must be in the future, in milliseconds, or 0 for never"));
        }
        Ok(NewRequest {
            merchant_reference: self.merchant_reference,
            amount,
            asked_expiry_ms: self.expiry_date,
            use_once: self.use_once.unwrap_or(!amount.is_open()),
            short_description: self.short_description,
            product_url: self.product_url,
        })
    }
}

impl NewRequest {
    /// When the code ends: Unix milliseconds, 0 = never.
    #[must_use]
    pub fn expires_at_ms(&self, now_ms: i64) -> i64 {
        self.asked_expiry_ms.unwrap_or(now_ms.saturating_add(DEFAULT_TTL_MS))
    }
}

/// The ten digits of a QR.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Code(String);

impl Code {
    /// Draws one; every one of the 10^10 is equally likely.
    ///
    /// # Errors
    /// When there is no entropy.
    pub fn random(entropy: &mut dyn Entropy) -> Result<Self, crate::vault::EntropyError> {
        const CODES: u64 = 10_000_000_000;
        loop {
            let mut bytes = [0; 8];
            entropy.fill(&mut bytes)?;
            let number = u64::from_le_bytes(bytes);
            // The last, incomplete run of 10^10 would make low codes a little more likely.
            if number < u64::MAX - u64::MAX % CODES {
                return Ok(Self(format!("{:010}", number % CODES)));
            }
        }
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Code {
    type Err = ApiError;

    /// What is no code is not found: a code carries no check digit, so nothing else can be told of it.
    fn from_str(text: &str) -> Result<Self, ApiError> {
        let is_code = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit());
        if is_code { Ok(Self(text.to_owned())) } else { Err(Problem::NotFound.into()) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_text(text: &str, min_chars: usize, max_chars: usize) -> bool {
    let chars = text.chars().count();
    (min_chars..=max_chars).contains(&chars)
        && !text.chars().any(char::is_control)
        && text.trim().chars().count() == chars
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::SystemEntropy;

    const NOW: i64 = 1_790_000_000_000;

    fn parse(json: &str) -> Result<NewRequest, ApiError> {
        let body: CreateBody<'_> = serde_json::from_str(json).map_err(|_| ApiError::new(Problem::BadRequest))?;
        body.parse("ZAR".parse().unwrap())
    }

    #[test]
    fn the_documents_example_is_taken() {
        let request = parse(r#"{"merchantReference":"auth-demo","amount":10.00}"#).unwrap();
        assert_eq!((request.amount.minor(), request.use_once), (1000, true));
        assert_eq!(request.expires_at_ms(NOW), NOW + DEFAULT_TTL_MS);
    }

    #[test]
    fn an_open_amount_makes_a_reusable_code_unless_told_otherwise() {
        assert!(!parse(r#"{"merchantReference":"a","amount":0}"#).unwrap().use_once);
        assert!(parse(r#"{"merchantReference":"a","amount":0,"useOnce":true}"#).unwrap().use_once);
        assert_eq!(parse(r#"{"merchantReference":"a","amount":0,"expiryDate":0}"#).unwrap().expires_at_ms(NOW), 0);
    }

    #[test]
    fn equal_after_parsing_is_equal() {
        let one = parse(r#"{"merchantReference":"a","amount":10.00}"#).unwrap();
        assert_eq!(one, parse(r#"{ "amount" : 10, "useOnce": true, "merchantReference": "\u0061" }"#).unwrap());
        assert_ne!(one, parse(r#"{"merchantReference":"a","amount":10.01}"#).unwrap());
    }

    #[test]
    fn bad_fields_are_refused() {
        for json in [
            r#"{"amount":1}"#,
            r#"{"merchantReference":"a"}"#,
            r#"{"merchantReference":"","amount":1}"#,
            r#"{"merchantReference":" a","amount":1}"#,
            r#"{"merchantReference":"a\nb","amount":1}"#,
            r#"{"merchantReference":"a","amount":"1"}"#,
            r#"{"merchantReference":"a","amount":1e1}"#,
            r#"{"merchantReference":"a","amount":null}"#,
            r#"{"merchantReference":"a","amount":1,"limitBasket":"x"}"#,
            r#"{"merchantReference":"a","amount":1,"amount":2}"#,
            r#"{"merchantReference":"a","amount":1,"expiryDate":-1}"#,
            r#"{"merchantReference":"a","amount":1,"productUrl":"javascript:alert(1)"}"#,
            r#"{"merchantReference":7,"amount":1}"#,
            r#"[]"#,
        ] {
            assert_eq!(parse(json).map_err(|error| error.problem()), Err(Problem::BadRequest), "{json}");
        }
        assert!(parse(&format!(r#"{{"merchantReference":"{}","amount":1}}"#, "a".repeat(46))).is_err());
    }

    #[test]
    fn codes_are_ten_digits() {
        let mut entropy = SystemEntropy::new();
        for _ in 0..100 {
            let code = Code::random(&mut entropy).unwrap();
            assert_eq!(code.as_str().parse::<Code>().unwrap(), code);
        }
        for text in ["", "123456789", "01234567890", "012345678a", "０123456789"] {
            assert!(text.parse::<Code>().is_err(), "{text}");
        }
    }
}
