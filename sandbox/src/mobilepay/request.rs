//! Bodies, read strictly: "the API rejects unknown fields".

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::Problem;
use crate::common::{clock::parse_rfc3339, out::Target};

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
const MAX_VALUE: u64 = 65_000_000;
const CARD_TYPES: [&str; 5] = ["VISA_DEBIT", "VISA_CREDIT", "DANKORT", "MC_CREDIT", "MC_DEBIT"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    pub(super) currency: String,
    pub(super) value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Method {
    Wallet,
    CardPassthrough,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Flow {
    WebRedirect,
    NativeRedirect,
    PushMessage,
    Qr,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentMethod {
    pub(super) r#type: Method,
    /// For wallets of the newer documentation; not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "blockedSources")]
    blocked_sources: Option<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Passthrough {
    pub(super) psp_reference: String,
    pub(super) card_callback_url: String,
    pub(super) allowed_card_types: Vec<String>,
    #[serde(default)]
    prefer_visa_part_of_visa_dankort: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_encryption_key_id: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Customer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) phone_number: Option<String>,
}

/// What is not looked at is known by name, or it would be refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Create {
    pub(super) amount: Amount,
    pub(super) payment_method: PaymentMethod,
    pub(super) reference: String,
    pub(super) user_flow: Flow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) return_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) customer: Option<Customer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) payment_description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) card_passthrough: Option<Passthrough>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receipt: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minimum_user_age: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shipping: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_interaction: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Modification {
    modification_amount: Amount,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Cancel {
    #[serde(default)]
    cancel_transaction_only: bool,
}

/// The test environment's approval: by phone number, or by the token of the redirect address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approve {
    #[serde(default)]
    pub(super) customer: Option<Customer>,
    #[serde(default)]
    pub(super) token: Option<String>,
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad(error.to_string()))
}

/// Capture and refund.
pub(super) fn modification(body: &[u8]) -> Result<Amount, Problem> {
    let amount = read::<Modification>(body)?.modification_amount;
    match amount.value {
        0 => Err(Problem::new(6010, "modificationAmount")),
        _ => Ok(amount),
    }
}

/// Whether only a payment that is not authorized may be cancelled.
pub(super) fn cancel(body: &[u8]) -> Result<bool, Problem> {
    match body.is_empty() {
        true => Ok(false),
        false => read::<Cancel>(body).map(|cancel| cancel.cancel_transaction_only),
    }
}

impl Create {
    /// The payment's last second.
    pub(super) fn check(&self, psp: bool, now: i64) -> Result<i64, Problem> {
        self.check_amount()?;
        self.check_method(psp)?;
        // The OpenAPI file says up to 50 characters, the newer text up to 64.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !(8..=64).contains(&self.reference.len()) || !self.reference.bytes().all(fits) {
            return Err(Problem::bad("reference has 8 to 64 letters, digits, hyphens"));
        }
        if self.payment_description.as_ref().is_some_and(|text| !(3..=100).contains(&text.chars().count())) {
            return Err(Problem::bad("paymentDescription has 3 to 100 characters"));
        }
        match &self.return_url {
            Some(url) if Target::parse(url).is_none() => return Err(Problem::new(4090, "returnUrl")),
            None if self.user_flow == Flow::WebRedirect => return Err(Problem::bad("returnUrl is missing")),
            _ => {}
        }
        let phone = self.customer.as_ref().map(|customer| customer.phone_number.as_deref().unwrap_or_default());
        match phone {
            Some(number) if !is_phone(number) => return Err(Problem::new(4070, "customer.phoneNumber")),
            None if self.user_flow == Flow::PushMessage => return Err(Problem::bad("customer is missing")),
            _ => {}
        }
        self.expiry(now)
    }

    fn check_amount(&self) -> Result<(), Problem> {
        let passthrough = self.payment_method.r#type == Method::CardPassthrough;
        let least = match self.amount.currency.as_str() {
            "NOK" => 100,
            "DKK" | "EUR" => 1,
            "SEK" | "USD" | "GBP" if passthrough => 1,
            _ => return Err(Problem::new(5040, "amount.currency")),
        };
        match self.amount.value {
            value if value < least => Err(Problem::new(6010, "amount.value")),
            value if value > MAX_VALUE => Err(Problem::new(4040, "amount.value")),
            _ => Ok(()),
        }
    }

    fn check_method(&self, psp: bool) -> Result<(), Problem> {
        let passthrough = match (self.payment_method.r#type, &self.card_passthrough) {
            (Method::Wallet, None) => return Ok(()),
            (Method::CardPassthrough, Some(passthrough)) if psp => passthrough,
            (Method::CardPassthrough, Some(_)) => return Err(Problem::bad("Psp-Id is missing")),
            _ => return Err(Problem::new(4160, "cardPassthrough")),
        };
        if Target::parse(&passthrough.card_callback_url).is_none() {
            return Err(Problem::new(4090, "cardPassthrough.cardCallbackUrl"));
        }
        let types = &passthrough.allowed_card_types;
        match !types.is_empty() && types.iter().all(|name| CARD_TYPES.contains(&name.as_str())) {
            true if !passthrough.psp_reference.is_empty() => Ok(()),
            _ => Err(Problem::bad("cardPassthrough.allowedCardTypes, pspReference")),
        }
    }

    /// Ten minutes unless a long life is asked for.
    fn expiry(&self, now: i64) -> Result<i64, Problem> {
        let Some(text) = &self.expires_at else {
            return Ok(now + 10 * MINUTE);
        };
        let whole = text.strip_suffix('Z').map(|text| format!("{}+00:00", text.split('.').next().unwrap_or_default()));
        let at = parse_rfc3339(whole.as_deref().unwrap_or(text)).ok_or_else(|| Problem::bad("expiresAt"))?;
        match at - now {
            left if left < 10 * MINUTE => Err(Problem::new(6120, "expiresAt")),
            left if left > 60 * DAY => Err(Problem::new(6110, "expiresAt")),
            _ if self.receipt.is_none() => Err(Problem::new(6130, "receipt")),
            _ => Ok(at),
        }
    }
}

/// MSISDN: country code and number, digits only.
pub(super) fn is_phone(text: &str) -> bool {
    (10..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
