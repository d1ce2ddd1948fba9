//! A merchant's access to Vipps MobilePay, kept as one vault record.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::super::AcquirerError;

/// The card types that a payment may allow.
pub const CARD_TYPES: [&str; 5] = ["VISA_DEBIT", "VISA_CREDIT", "DANKORT", "MC_CREDIT", "MC_DEBIT"];

/// The key set is the payment service provider's, the serial number the merchant's.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// Names the key set.
    pub client_id: String,
    /// Also the key of card callbacks' signatures.
    pub client_secret: String,
    /// `Ocp-Apim-Subscription-Key`.
    pub subscription_key: String,
    /// `Psp-Id`.
    pub psp_id: String,
    /// `Merchant-Serial-Number`: six digits.
    pub merchant_serial_number: String,
    /// The key of webhooks' signatures; there is none until the webhook is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// Which cards the merchant takes, as [`CARD_TYPES`] spells them.
    pub allowed_card_types: Vec<String>,
}

impl Credentials {
    /// Reads and checks the record.
    ///
    /// # Errors
    /// [`AcquirerError::Credentials`].
    pub fn parse(json: &[u8]) -> Result<Self, AcquirerError> {
        let parsed: Self = serde_json::from_slice(json).map_err(|_| AcquirerError::Credentials("not our JSON"))?;
        parsed.check()?;
        Ok(parsed)
    }

    /// The record's text.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        // A struct of texts always serialises. Roomy: growing would leave a copy behind.
        let mut json = Zeroizing::new(Vec::with_capacity(4096));
        let _ = serde_json::to_writer(&mut *json, self);
        json
    }

    /// Checks that calls could be made with them.
    ///
    /// # Errors
    /// [`AcquirerError::Credentials`].
    pub fn check(&self) -> Result<(), AcquirerError> {
        let is_header =
            |text: &str| (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let all = [&self.client_id, &self.client_secret, &self.subscription_key, &self.psp_id];
        if !all.into_iter().all(|text| is_header(text)) {
            return Err(AcquirerError::Credentials("a key or id is empty or has characters that no header carries"));
        }
        let msn = self.merchant_serial_number.as_bytes();
        if msn.len() != 6 || !msn.iter().all(u8::is_ascii_digit) {
            return Err(AcquirerError::Credentials("the merchant's serial number has six digits"));
        }
        if self.webhook_secret.as_deref().is_some_and(|secret| !is_header(secret)) {
            return Err(AcquirerError::Credentials("the webhook's secret"));
        }
        let types = &self.allowed_card_types;
        let is_known = |name: &String| CARD_TYPES.contains(&name.as_str());
        if !(1..=CARD_TYPES.len()).contains(&types.len()) || !types.iter().all(is_known) {
            return Err(AcquirerError::Credentials("the allowed card types"));
        }
        Ok(())
    }
}

/// Checks stored credentials: at the time when they are set.
///
/// # Errors
/// [`AcquirerError::Credentials`].
pub fn check_credentials(json: &[u8]) -> Result<(), AcquirerError> {
    Credentials::parse(json).map(|_| ())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in super::super) fn example() -> Value {
        json!({
            "clientId": "client-id", "clientSecret": "client-secret", "subscriptionKey": "subscription",
            "pspId": "psp-1", "merchantSerialNumber": "123456", "allowedCardTypes": ["VISA_DEBIT", "MC_CREDIT"],
        })
    }

    fn check(change: impl FnOnce(&mut Value)) -> bool {
        let mut value = example();
        change(&mut value);
        check_credentials(value.to_string().as_bytes()).is_ok()
    }

    #[test]
    fn what_is_taken() {
        assert!(check(|_| ()));
        assert!(check(|value| value["webhookSecret"] = json!("A0+AeKBRG2KRGvnN==")));
        assert!(!check(|value| value["clientSecret"] = json!("")));
        assert!(!check(|value| value["clientSecret"] = json!("a b")));
        assert!(!check(|value| value["subscriptionKey"] = json!("a\r\nx: y")));
        assert!(!check(|value| value["merchantSerialNumber"] = json!("12345")));
        assert!(!check(|value| value["merchantSerialNumber"] = json!("12345a")));
        assert!(!check(|value| value["webhookSecret"] = json!("")));
        assert!(!check(|value| value["allowedCardTypes"] = json!([])));
        assert!(!check(|value| value["allowedCardTypes"] = json!(["VISA-DEBIT"])));
        assert!(!check(|value| value["more"] = json!(1)));
        assert!(!check(|value| drop(value.as_object_mut().unwrap().remove("pspId"))));
        assert!(check_credentials(b"{").is_err());
    }

    #[test]
    fn there_and_back() {
        let mut credentials = Credentials::parse(example().to_string().as_bytes()).unwrap();
        let read = |credentials: &Credentials| serde_json::from_slice::<Value>(&credentials.to_json()).unwrap();
        assert_eq!(read(&credentials), example());
        credentials.webhook_secret = Some("s".to_owned());
        assert_eq!(read(&credentials)["webhookSecret"], "s");
    }
}
