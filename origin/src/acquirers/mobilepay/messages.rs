//! What is said to the ePayment interface and what it answers. It refuses unknown fields; we pass theirs over.

use serde::{Deserialize, Serialize};

use super::super::AcquirerError;
use super::credentials::Credentials;
use super::guesses::{LEAST_MINOR, MOST_MINOR};
use crate::calendar::Utc;
use crate::money::{Amount, Currency};

/// A payment that is to be made there.
#[derive(Clone, Copy, Debug)]
pub struct NewPayment<'a> {
    /// How much.
    pub amount: Amount,
    /// Ours, and the name of the payment there: 8 to 50 letters, digits, hyphens.
    pub reference: &'a str,
    /// Where the payer comes back to.
    pub return_url: &'a str,
    /// Where the card is handed over.
    pub card_callback_url: &'a str,
    /// The payer's number, so that they need not type it.
    pub phone: Option<&'a Msisdn>,
    /// What the payer reads in the app.
    pub description: &'a str,
    /// When it ends; without it, after ten minutes. A longer life would need a receipt, which we do not send.
    pub expires_at_ms: Option<u64>,
}

/// A telephone number: country code and number, 10 to 15 digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msisdn(String);

impl Msisdn {
    /// Takes `+45 12 34 56 78` and `004512345678`; a number without its country code is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
        let digits = digits.strip_prefix('+').or_else(|| digits.strip_prefix("00")).unwrap_or(&digits);
        let is_number = (10..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        is_number.then(|| Self(digits.to_owned()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Serialize)]
struct Money<'a> {
    currency: &'a str,
    value: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Create<'a> {
    amount: Money<'a>,
    payment_method: Method,
    reference: &'a str,
    user_flow: &'static str,
    return_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<Customer<'a>>,
    payment_description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    card_passthrough: Passthrough<'a>,
}

#[derive(Serialize)]
struct Method {
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Customer<'a> {
    phone_number: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Passthrough<'a> {
    psp_reference: &'a str,
    card_callback_url: &'a str,
    allowed_card_types: &'a [String],
    prefer_visa_part_of_visa_dankort: bool,
}

/// Whether the wallet takes an amount; what it does not take is refused before anything is written.
#[must_use]
pub fn takes(amount: Amount) -> bool {
    let least = least_minor(amount.currency());
    least.is_some_and(|least| (least..=MOST_MINOR).contains(&amount.minor()))
}

/// Whether the wallet takes a currency at all.
#[must_use]
pub fn takes_currency(currency: Currency) -> bool {
    least_minor(currency).is_some()
}

fn least_minor(currency: Currency) -> Option<u64> {
    LEAST_MINOR.iter().find(|row| row.0 == currency.as_str()).map(|row| row.1)
}

/// The body of `POST /epayment/v1/payments`.
///
/// # Errors
/// [`AcquirerError::Field`].
pub(super) fn create(credentials: &Credentials, new: &NewPayment<'_>) -> Result<Vec<u8>, AcquirerError> {
    check_reference(new.reference)?;
    if !takes(new.amount) {
        return Err(AcquirerError::Field("amount"));
    }
    let body = Create {
        amount: Money { currency: new.amount.currency_ref().as_str(), value: new.amount.minor() },
        payment_method: Method { r#type: "CARD_PASSTHROUGH" },
        reference: new.reference,
        user_flow: "WEB_REDIRECT",
        return_url: new.return_url,
        customer: new.phone.map(|phone| Customer { phone_number: phone.as_str() }),
        payment_description: description(new.description),
        expires_at: new.expires_at_ms.map(|at_ms| Utc::from_unix_ms(at_ms).to_string()),
        card_passthrough: Passthrough {
            psp_reference: new.reference,
            card_callback_url: new.card_callback_url,
            allowed_card_types: &credentials.allowed_card_types,
            prefer_visa_part_of_visa_dankort: false,
        },
    };
    serde_json::to_vec(&body).map_err(|_| AcquirerError::Field("payment"))
}

/// 3 to 100 characters: what is too short is filled up, what is too long is cut.
fn description(text: &str) -> String {
    let text = text.trim();
    let cut: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    if cut.chars().count() >= 3 { cut } else { format!("Payment {cut}").trim_end().to_owned() }
}

/// What goes into a path is checked.
pub(super) fn check_reference(reference: &str) -> Result<(), AcquirerError> {
    let is_reference = (8..=50).contains(&reference.len())
        && reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_reference { Ok(()) } else { Err(AcquirerError::Field("reference")) }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Modification<'a> {
    modification_amount: Money<'a>,
}

/// The body of a capture and of a refund.
///
/// # Errors
/// [`AcquirerError::Field`].
pub(super) fn modification(amount: Amount) -> Result<Vec<u8>, AcquirerError> {
    let money = Money { currency: amount.currency_ref().as_str(), value: amount.minor() };
    serde_json::to_vec(&Modification { modification_amount: money }).map_err(|_| AcquirerError::Field("amount"))
}

#[derive(Serialize)]
struct Register<'a> {
    url: &'a str,
    events: &'a [&'a str],
}

/// The events that are asked for: those that end a payment or let it go on.
pub const EVENTS: [&str; 5] = [
    "epayments.payment.authorized.v1",
    "epayments.payment.aborted.v1",
    "epayments.payment.expired.v1",
    "epayments.payment.cancelled.v1",
    "epayments.payment.terminated.v1",
];

/// The body of a webhook's registration.
///
/// # Errors
/// [`AcquirerError::Field`].
pub(super) fn registration(url: &str) -> Result<Vec<u8>, AcquirerError> {
    serde_json::to_vec(&Register { url, events: &EVENTS }).map_err(|_| AcquirerError::Field("url"))
}

/// The answer to a registration: its secret is shown this once.
#[derive(Deserialize)]
pub(super) struct Registered {
    pub(super) id: String,
    pub(super) secret: zeroize::Zeroizing<String>,
}

/// What is registered.
#[derive(Deserialize)]
pub(super) struct Registrations {
    #[serde(default)]
    pub(super) webhooks: Vec<Registration>,
}

/// One of them.
#[derive(Deserialize)]
pub(super) struct Registration {
    pub(super) id: String,
    pub(super) url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    pub(super) redirect_url: String,
    pub(super) reference: String,
}

/// Where a payment stands. It stays `Authorized` whatever is captured, refunded or cancelled: the sums tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentState {
    /// The payer has still to agree.
    Created,
    /// The payer has agreed, and the card was reserved.
    Authorized,
    /// The payer said no, or the card callback was not answered.
    Aborted,
    /// The payer's time was over.
    Expired,
    /// We cancelled it before the payer agreed.
    Terminated,
}

impl PaymentState {
    /// Whether nothing can come of it any more.
    #[must_use]
    pub fn is_dead(self) -> bool {
        matches!(self, Self::Aborted | Self::Expired | Self::Terminated)
    }
}

/// A payment as MobilePay's book has it; sums in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletPayment {
    /// Where it stands.
    pub state: PaymentState,
    /// What was reserved.
    pub authorised_minor: u64,
    /// What was captured.
    pub captured_minor: u64,
    /// What was refunded.
    pub refunded_minor: u64,
    /// What was released.
    pub cancelled_minor: u64,
}

impl WalletPayment {
    /// What could still be captured.
    #[must_use]
    pub fn left_minor(&self) -> u64 {
        self.authorised_minor.saturating_sub(self.captured_minor).saturating_sub(self.cancelled_minor)
    }
}

#[derive(Deserialize)]
struct RawPayment {
    state: PaymentState,
    reference: String,
    aggregate: Aggregate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aggregate {
    authorized_amount: RawMoney,
    cancelled_amount: RawMoney,
    captured_amount: RawMoney,
    refunded_amount: RawMoney,
}

#[derive(Deserialize)]
struct RawMoney {
    value: u64,
}

impl WalletPayment {
    /// Of a query, and of the answer to a modification; `None` when it is neither, or another payment's.
    pub(super) fn parse(body: &[u8], reference: &str) -> Option<Self> {
        let raw: RawPayment = serde_json::from_slice(body).ok()?;
        (raw.reference == reference).then_some(Self {
            state: raw.state,
            authorised_minor: raw.aggregate.authorized_amount.value,
            captured_minor: raw.aggregate.captured_amount.value,
            refunded_minor: raw.aggregate.refunded_amount.value,
            cancelled_minor: raw.aggregate.cancelled_amount.value,
        })
    }
}

/// A webhook. It is taken as news that something has happened; what has, the payment itself is asked.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookEvent {
    /// The merchant's serial number.
    pub msn: String,
    /// The payment.
    pub reference: String,
    /// The event's own, not the payment's.
    pub psp_reference: String,
    /// Such as `AUTHORIZED`.
    pub name: String,
    /// Whether it succeeded.
    pub success: bool,
}

impl WebhookEvent {
    /// Reads the body. Its signature has been checked.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let event: Self = serde_json::from_slice(body).ok()?;
        let is_id = |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let are_ids =
            [&event.msn, &event.reference, &event.psp_reference, &event.name].into_iter().all(|text| is_id(text));
        are_ids.then_some(event)
    }
}

#[cfg(test)]
mod tests;
