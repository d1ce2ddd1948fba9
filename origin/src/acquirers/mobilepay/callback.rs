//! The card callback: Vipps MobilePay hands over the card that the payer chose, as a network token in clear, and waits
//! for what the acquirer says.
//!
//! Two generations of the body exist: the card's fields in `cardInfo` with `cardDataType`, and flat ones with
//! `paymentInstrument`. Both are taken. Fields that we do not know are passed over: it is their interface to extend.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::guesses::error_code;
use crate::acquirers::Decline;
use crate::vault::{CardExpiry, Pan};

/// What the provider asks.
#[derive(Debug)]
pub struct CardCallback {
    /// Names this attempt; the same in a repetition, another when the payer takes another card.
    pub attempt_id: String,
    /// What we named the payment.
    pub psp_reference: String,
    /// The merchant.
    pub merchant_serial_number: String,
    /// How much, in minor units.
    pub amount_minor: u64,
    /// Of what.
    pub currency: String,
    /// The card, for display.
    pub shown: ShownCard,
    /// The card, to be charged.
    pub card: CallbackCard,
}

/// What may be shown and stored of the card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownCard {
    /// First six digits.
    pub bin: Option<String>,
    /// Last four digits.
    pub last_four: Option<String>,
}

/// A card in the form that it was handed over.
#[derive(Debug)]
pub enum CallbackCard {
    /// What a scheme made for it.
    Token(NetworkToken),
    /// A form or scheme that we do not take: a number encrypted to a key that we have not registered, Dankort alone.
    NotTaken,
}

/// A scheme's token. Wiped when it goes; nothing of it is ever stored.
pub struct NetworkToken {
    /// Its number.
    pub pan: Pan,
    /// Its expiry.
    pub expiry: CardExpiry,
    /// One use's proof, base64.
    pub cryptogram: Zeroizing<String>,
    /// Two digits, where there is one.
    pub eci: Option<String>,
    /// Whether the scheme is Mastercard.
    pub is_mastercard: bool,
}

impl std::fmt::Debug for NetworkToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NetworkToken(secret)")
    }
}

/// What is wrong with a callback; what was sent is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// Not JSON, or not these fields.
    #[error("the card callback is not of a known form")]
    Form,
    /// A field has another form.
    #[error("the card callback's {0} is not valid")]
    Field(&'static str),
}

/// What the provider is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum CallbackAnswer {
    /// The acquirer holds the amount.
    Reserve {
        /// Names the hold.
        network_transaction_reference: String,
    },
    /// Nothing is held.
    Fail {
        /// The provider's number for it.
        error_code: u16,
        /// English.
        error_message: String,
    },
}

impl CallbackAnswer {
    /// A refusal. Why exactly is not told: the table has one row for lost, stolen and suspected cards.
    #[must_use]
    pub fn refused(reason: Decline) -> Self {
        let (error_code, error_message) = error_code(reason);
        Self::Fail { error_code, error_message: error_message.to_owned() }
    }

    /// The body.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    psp_reference: String,
    authorization_attempt_id: String,
    merchant_serial_number: String,
    amount: RawAmount,
    card_info: Option<RawCard>,
    // The older generation.
    masked_card_number: Option<String>,
    card_type: Option<String>,
    payment_instrument: Option<String>,
    network_token: Option<RawToken>,
}

#[derive(Deserialize)]
struct RawAmount {
    currency: String,
    value: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCard {
    masked_card_number: Option<String>,
    card_type: String,
    card_data_type: String,
    network_token: Option<RawToken>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawToken {
    number: Zeroizing<String>,
    cryptogram: Zeroizing<String>,
    expiry_month: Zeroizing<String>,
    expiry_year: Zeroizing<String>,
    token_type: Option<String>,
    eci: Option<String>,
}

impl CardCallback {
    /// Reads the body. Its signature has been checked.
    ///
    /// # Errors
    /// See [`CallbackError`].
    pub fn parse(body: &[u8]) -> Result<Self, CallbackError> {
        let raw: Raw = serde_json::from_slice(body).map_err(|_| CallbackError::Form)?;
        let card = match (raw.card_info, raw.card_type, raw.payment_instrument) {
            (Some(card), None, None) => card,
            (None, Some(card_type), Some(card_data_type)) => {
                let (masked_card_number, network_token) = (raw.masked_card_number, raw.network_token);
                RawCard { masked_card_number, card_type, card_data_type, network_token }
            }
            _ => return Err(CallbackError::Form),
        };
        let is_id = |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_id(&raw.authorization_attempt_id) {
            return Err(CallbackError::Field("authorizationAttemptId"));
        }
        Ok(Self {
            attempt_id: raw.authorization_attempt_id,
            psp_reference: raw.psp_reference,
            merchant_serial_number: raw.merchant_serial_number,
            amount_minor: raw.amount.value,
            currency: raw.amount.currency,
            shown: ShownCard::of(card.masked_card_number.as_deref().unwrap_or_default()),
            card: card.into_card()?,
        })
    }
}

impl RawCard {
    /// The type in the callback says how the card is to be processed; of a card with two schemes only one has a token.
    fn into_card(self) -> Result<CallbackCard, CallbackError> {
        let is_mastercard = match self.card_type.replace('_', "-").as_str() {
            "MC-DEBIT" | "MC-CREDIT" => true,
            "VISA-DEBIT" | "VISA-CREDIT" => false,
            _ => return Ok(CallbackCard::NotTaken),
        };
        let token = match (self.card_data_type.as_str(), self.network_token) {
            ("TOKEN", Some(token)) => token,
            ("TOKEN", None) => return Err(CallbackError::Field("networkToken")),
            _ => return Ok(CallbackCard::NotTaken),
        };
        token.into_token(is_mastercard).map(CallbackCard::Token)
    }
}

impl RawToken {
    fn into_token(self, is_mastercard: bool) -> Result<NetworkToken, CallbackError> {
        let is_visa = self.token_type.as_deref().is_none_or(|name| name.eq_ignore_ascii_case("visa"));
        if is_visa && is_mastercard && self.token_type.is_some() {
            return Err(CallbackError::Field("tokenType"));
        }
        let pan = Pan::parse(&self.number).map_err(|_| CallbackError::Field("networkToken.number"))?;
        let month = self.expiry_month.as_str();
        let year = match self.expiry_year.as_bytes() {
            [b'2', b'0', _, _] => self.expiry_year.get(2..).unwrap_or_default(),
            [_, _] => self.expiry_year.as_str(),
            _ => return Err(CallbackError::Field("networkToken.expiryYear")),
        };
        let expiry = CardExpiry::parse(&Zeroizing::new(format!("{month:0>2}{year}")))
            .map_err(|_| CallbackError::Field("networkToken.expiryMonth"))?;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if !(1..=64).contains(&self.cryptogram.len()) || !self.cryptogram.bytes().all(is_base64) {
            return Err(CallbackError::Field("networkToken.cryptogram"));
        }
        let eci = padded_eci(self.eci.as_deref().unwrap_or_default())?;
        Ok(NetworkToken { pan, expiry, cryptogram: self.cryptogram, eci, is_mastercard })
    }
}

/// One digit or two; acquirers want two.
fn padded_eci(text: &str) -> Result<Option<String>, CallbackError> {
    match text.len() {
        0 => Ok(None),
        1 | 2 if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(format!("{text:0>2}"))),
        _ => Err(CallbackError::Field("networkToken.eci")),
    }
}

impl ShownCard {
    /// Of `47969485XXXX1234`: at most six and four digits are kept; what has another form is not shown.
    fn of(masked: &str) -> Self {
        let digits =
            |text: Option<&str>| text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned);
        let tail = masked.len().checked_sub(4).filter(|at| *at >= 6);
        Self { bin: digits(masked.get(..6)), last_four: tail.and_then(|at| digits(masked.get(at..))) }
    }
}

#[cfg(test)]
mod tests;
