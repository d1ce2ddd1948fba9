//! What a payment request of Scanpay's interface carries beside its amount: items, addresses, where the payer goes
//! afterwards. Personal data of payers, kept in clear with the payment request; never a card's data.

use serde::{Deserialize, Serialize};

use crate::money::{Amount, AmountError};

/// The column `payment_requests.details`, JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Where the payer goes after the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successurl: Option<String>,
    /// What the pay page speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What is paid for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Who pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing: Option<Address>,
    /// Who gets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping: Option<Address>,
    /// Whose card is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<SubscriberDetails>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quantity: Option<u64>,
    /// The merchant's number for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sku: Option<String>,
    /// What the line comes to.
    pub total: Total,
}

/// An amount, `123.45 DKK` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Total(pub Amount);

impl TryFrom<String> for Total {
    type Error = AmountError;

    fn try_from(text: String) -> Result<Self, AmountError> {
        Amount::parse_total(&text).map(Self)
    }
}

impl From<Total> for String {
    fn from(total: Total) -> Self {
        total.0.to_total()
    }
}

/// A person or company, and where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// A person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A company.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// A company's tax number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vatin: Option<String>,
    /// A public body's number for invoices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gln: Option<String>,
    /// Where they read mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where they are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Street and number, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<String>,
    /// Town.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip: Option<String>,
    /// State or province.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// What the merchant calls a subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriberDetails {
    /// Its name.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Details {
    /// Of the column; what cannot be read is nothing, for a page that shows less is better than none.
    #[must_use]
    pub fn of(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|error| {
            // Not the error's own text: it quotes what it found, and that may be a payer's.
            let (what, column) = (error.classify(), error.column());
            tracing::error!(?what, column, "the details of a payment request cannot be read");
            Self::default()
        })
    }

    /// For the column.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Address {
    /// Whether there is nothing in it: some clients send an empty one with everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
