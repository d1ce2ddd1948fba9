//! A payment request as it is asked for, whatever the interface, and the ten digits that name one.

use std::fmt;
use std::str::FromStr;

use scanvault_protocol::Problem;
use serde::{Deserialize, Serialize};

use crate::money::Amount;
use crate::vault::Entropy;
use crate::web::ApiError;

/// 30 minutes, where the merchant gives no expiry.
pub const DEFAULT_TTL_MS: i64 = 30 * 60 * 1000;

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
    /// The payer may pay less than the amount.
    pub is_partial: bool,
    /// What is kept for the merchant and shown back.
    pub extras: Extras,
}

/// What a code carries besides what a payment needs. Nothing of ours acts on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Extras {
    /// The reference's `reserveQR`; what it does is not documented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve_qr: Option<bool>,
    /// A tip is asked for. Our pay page asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_tip: Option<bool>,
    /// JSON without white space, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basket_items: Option<String>,
    /// For whom the merchant sells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_merchant_name: Option<String>,
    /// The merchant's till.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal_id: Option<String>,
    /// Merchant category code, four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcc: Option<String>,
}

/// The column `details` of a payment request of `/pluto`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// As it is now.
    #[serde(flatten)]
    pub extras: Extras,
    /// How it began, once it has been changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<First>,
}

/// The first answer to a reference, and the call that it was given to: a repeat of that call is answered the same,
/// whatever was changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct First {
    /// The code then; it may stand for another reference by now.
    pub code: String,
    /// Its expiry then.
    pub expires_at_ms: i64,
    /// The call; `None` where the reference did not come by a new code.
    pub asked: Option<Asked>,
}

/// A call that makes a code, but for its reference. Two that are equal are the same call repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    amount_minor: u64,
    expiry_ms: Option<i64>,
    use_once: bool,
    short_description: Option<String>,
    product_url: Option<String>,
    #[serde(default)]
    is_partial: bool,
    #[serde(default)]
    extras: Extras,
}

impl NewRequest {
    /// When the code ends: Unix milliseconds, 0 = never.
    #[must_use]
    pub fn expires_at_ms(&self, now_ms: i64) -> i64 {
        self.asked_expiry_ms.unwrap_or(now_ms.saturating_add(DEFAULT_TTL_MS))
    }

    /// What a repeat of the call is held against. The currency is the account's and never changes.
    #[must_use]
    pub fn asked(&self) -> Asked {
        Asked {
            amount_minor: self.amount.minor(),
            expiry_ms: self.asked_expiry_ms,
            use_once: self.use_once,
            short_description: self.short_description.clone(),
            product_url: self.product_url.clone(),
            is_partial: self.is_partial,
            extras: self.extras.clone(),
        }
    }
}

impl Details {
    /// Reads the column. What cannot be read is another interface's, or a newer release's: nothing is known of it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// As stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::SystemEntropy;

    #[test]
    fn what_is_stored_beside_the_columns_is_read_back() {
        for extras in
            [Extras::default(), Extras { reserve_qr: Some(true), mcc: Some("5812".into()), ..Extras::default() }]
        {
            let asked = Asked {
                amount_minor: 1000,
                expiry_ms: Some(0),
                use_once: true,
                short_description: None,
                product_url: None,
                is_partial: false,
                extras: extras.clone(),
            };
            let first = First { code: "0123456789".into(), expires_at_ms: 0, asked: Some(asked) };
            for first in [None, Some(first)] {
                let details = Details { extras: extras.clone(), first };
                assert_eq!(Details::parse(&details.to_text()), details);
            }
        }
        assert_eq!(Details::default().to_text(), "{}");
        assert_eq!(Details::parse("[]"), Details::default());
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
