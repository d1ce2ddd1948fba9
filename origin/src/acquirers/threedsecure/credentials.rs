//! What a merchant needs at 3dsecure.io and at its acquirer's scheme registration: one vault record, JSON.
//!
//! Numbers that are no amounts are text: an acquirer's merchant id keeps its leading zeros.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::codes;
use crate::acquirers::AcquirerError;

/// The schemes' directories as 3dsecure.io names them; its sandbox answers `standin` for all cards.
pub const SCHEMES: [&str; 8] = ["standin", "visa", "mastercard", "jcb", "upi", "amex", "protectbuy", "sbn"];

/// A merchant's credentials.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// Sent as `APIKey`.
    pub api_key: ApiKey,
    /// The acquirer's number at each scheme (Clearhaus: `GET /account`).
    pub acquirer_bin: BTreeMap<String, String>,
    /// The merchant's number at the acquirer.
    pub acquirer_merchant_id: String,
    /// The merchant's category, four digits.
    pub mcc: String,
    /// ISO 3166-1 numeric, three digits.
    pub merchant_country_code: String,
    /// What the bank's page shows.
    pub merchant_name: String,
    /// The shop's address.
    pub requestor_url: String,
    /// Which directory is asked first for cards of two schemes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ds: Option<String>,
}

/// The key; wiped, never shown.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct ApiKey(String);

impl ApiKey {
    /// For the header.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(secret)")
    }
}

impl Credentials {
    /// Reads a stored record.
    ///
    /// # Errors
    /// [`AcquirerError::Credentials`].
    pub fn parse(json: &[u8]) -> Result<Self, AcquirerError> {
        let read: Self = serde_json::from_slice(json)
            .map_err(|_| AcquirerError::Credentials("3-D Secure: not our JSON, or a field is missing"))?;
        read.check()?;
        Ok(read)
    }

    /// The acquirer's number at the scheme that a card belongs to. The sandbox's `standin` has none of its own: there,
    /// the card's first digit says which real scheme it would be.
    #[must_use]
    pub fn acquirer_bin(&self, scheme: &str, first_digit: Option<char>) -> Option<&str> {
        let by_digit = if first_digit == Some('4') { "visa" } else { "mastercard" };
        let known = self.acquirer_bin.get(scheme);
        let known = known.or_else(|| self.acquirer_bin.get(by_digit).filter(|_| scheme == "standin"));
        known.map(String::as_str)
    }

    fn check(&self) -> Result<(), AcquirerError> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let printable =
            |text: &str, most: usize| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        let token = |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_bin = |(scheme, bin): (&String, &String)| {
            SCHEMES.contains(&scheme.as_str()) && (1..=11).contains(&bin.len()) && digits(bin)
        };
        let is_url = self.requestor_url.len() <= 2048
            && self.requestor_url.bytes().all(|byte| byte.is_ascii_graphic())
            && self.requestor_url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty());
        let is_ds = self.ds.as_deref().is_none_or(|ds| SCHEMES.contains(&ds));
        let rules = [
            (token(self.api_key.expose()), "3-D Secure: apiKey"),
            (!self.acquirer_bin.is_empty() && self.acquirer_bin.iter().all(is_bin), "3-D Secure: acquirerBin"),
            (printable(&self.acquirer_merchant_id, 35), "3-D Secure: acquirerMerchantId"),
            (self.mcc.len() == 4 && digits(&self.mcc), "3-D Secure: mcc"),
            (codes::is_country(&self.merchant_country_code), "3-D Secure: merchantCountryCode, three digits"),
            (printable(&self.merchant_name, 40), "3-D Secure: merchantName"),
            (is_url, "3-D Secure: requestorUrl"),
            (is_ds, "3-D Secure: ds"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(AcquirerError::Credentials(what)),
            None => Ok(()),
        }
    }
}

/// Whether stored credentials are of this form: at the time when they are set.
///
/// # Errors
/// [`AcquirerError::Credentials`].
pub fn check_credentials(credentials: &[u8]) -> Result<(), AcquirerError> {
    Credentials::parse(credentials).map(|_| ())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in super::super) fn example() -> Value {
        json!({
            "apiKey": "0d1c8a4e-9d4a-4f0e-9b57-8b0f5d6a3c21",
            "acquirerBin": {"visa": "438309", "mastercard": "526571"},
            "acquirerMerchantId": "000000003000001",
            "mcc": "5411",
            "merchantCountryCode": "040",
            "merchantName": "Corner Shop",
            "requestorUrl": "https://shop.example",
        })
    }

    #[test]
    fn leading_zeros_are_kept_and_nothing_is_shown() {
        let read = Credentials::parse(example().to_string().as_bytes()).unwrap();
        assert_eq!(read.acquirer_merchant_id, "000000003000001");
        assert_eq!(read.merchant_country_code, "040");
        assert_eq!(format!("{read:?}"), "Credentials(secret)");
        assert_eq!(read.acquirer_bin("visa", Some('5')), Some("438309"));
        assert_eq!(read.acquirer_bin("standin", Some('4')), Some("438309"));
        assert_eq!(read.acquirer_bin("standin", Some('3')), Some("526571"));
        assert_eq!(read.acquirer_bin("amex", Some('3')), None);
    }

    #[test]
    fn what_a_call_could_not_be_made_with_is_refused() {
        for (field, value) in [
            ("apiKey", json!("")),
            ("apiKey", json!("a b")),
            ("acquirerBin", json!({})),
            ("acquirerBin", json!({"visa": "43830912345 "})),
            ("acquirerBin", json!({"dankort": "457100"})),
            ("acquirerMerchantId", json!(3_000_001)),
            ("acquirerMerchantId", json!("1".repeat(36))),
            ("mcc", json!("541")),
            ("merchantCountryCode", json!("40")),
            ("merchantCountryCode", json!("DK")),
            ("merchantName", json!("x".repeat(41))),
            ("merchantName", json!("a\nb")),
            ("requestorUrl", json!("http://shop.example")),
            ("requestorUrl", json!("https://")),
            ("ds", json!("dankort")),
            ("other", json!(1)),
        ] {
            let mut credentials = example();
            credentials[field] = value.clone();
            assert!(check_credentials(credentials.to_string().as_bytes()).is_err(), "{field} {value}");
        }
        let mut dankort = example();
        dankort["ds"] = json!("sbn");
        assert!(check_credentials(dankort.to_string().as_bytes()).is_ok());
        assert!(check_credentials(b"{}").is_err());
    }
}
