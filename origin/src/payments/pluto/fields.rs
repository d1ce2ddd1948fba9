//! What merchants send to `/pluto/code/**`, parsed into types.
//!
//! Names that we do not know are refused: a limit that a merchant believes to be in force must not be ignored in silence.
//! A name is "attested" where the public material about Scan to Pay shows it. **The others are guesses of ours**; they
//! are spelled in this file and nowhere else.

use scanvault_protocol::Problem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::request::{Extras, NewRequest};
use crate::money::{Amount, Currency};
use crate::web::ApiError;

const MAX_REFERENCE_CHARS: usize = 45;
const MAX_DESCRIPTION_CHARS: usize = 45;
const MAX_URL_BYTES: usize = 512;
// Bounds of our own: the reference gives none for these.
const MAX_SUB_MERCHANT_CHARS: usize = 100;
const MAX_TERMINAL_BYTES: usize = 32;
const MAX_BASKET_BYTES: usize = 8 * 1024;
const MAX_BASKET_ITEMS: usize = 100;
const MCC_DIGITS: usize = 4;

/// The body of `POST /pluto/code/create`, as it comes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateBody<'a> {
    merchant_reference: String,
    #[serde(borrow)]
    amount: &'a RawValue,
    expiry_date: Option<i64>,
    use_once: Option<bool>,
    short_description: Option<String>,
    /// Both spellings are attested.
    #[serde(alias = "productURL")]
    product_url: Option<String>,
    request_partial_payment: Option<bool>,
    /// Attested, and that it cannot be changed; what it does is not.
    #[serde(rename = "reserveQR")]
    reserve_qr: Option<bool>,
    /// Attested; what it limits is not.
    #[serde(borrow)]
    limit_basket: Option<&'a RawValue>,
    /// Guess: that a tip can be asked for is attested, this name is not.
    request_tip: Option<bool>,
    /// Guess, like the three below: only that such data exist is attested.
    #[serde(borrow, alias = "basket")]
    basket_items: Option<&'a RawValue>,
    sub_merchant_name: Option<String>,
    terminal_id: Option<String>,
    #[serde(alias = "merchantCategoryCode")]
    mcc: Option<String>,
    /// Which merchant a PSP acts for. The reference does not say how PSPs name it: this name is ours.
    pub merchant_id: Option<u64>,
}

/// The body of `PUT /pluto/code/{code}`. What is absent or null stays; an empty text takes the field away.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditBody<'a> {
    merchant_reference: Option<String>,
    expiry_date: Option<i64>,
    short_description: Option<String>,
    #[serde(alias = "productURL")]
    product_url: Option<String>,
    sub_merchant_name: Option<String>,
    terminal_id: Option<String>,
    #[serde(alias = "merchantCategoryCode")]
    mcc: Option<String>,
    /// Here to be refused by name, as the next two.
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    use_once: Option<&'a RawValue>,
    #[serde(borrow, rename = "reserveQR")]
    reserve_qr: Option<&'a RawValue>,
    /// As for a new code.
    pub merchant_id: Option<u64>,
}

/// The body of `PUT /pluto/code/{code}/amount`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AmountBody<'a> {
    #[serde(borrow)]
    amount: &'a RawValue,
    merchant_reference: String,
    expiry_date: Option<i64>,
    /// As for a new code.
    pub merchant_id: Option<u64>,
}

/// The body of `POST /pluto/code/queryRef` and `…/refund`: both names are attested.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceBody {
    /// Ten digits.
    pub code: String,
    /// Any that the code has had.
    pub merchant_reference: String,
    /// As for a new code.
    pub merchant_id: Option<u64>,
}

/// The body of `POST /pluto/code/transaction/stateByQr`. Attested is that it names code and amount; the names are not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ByQrBody<'a> {
    /// Ten digits.
    pub code: String,
    /// What was paid or tried to be paid.
    #[serde(borrow)]
    pub amount: &'a RawValue,
    /// As for a new code.
    pub merchant_id: Option<u64>,
}

/// What is to be changed of a code: `None` stays, an empty text goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Another reference, unique as the first.
    pub merchant_reference: Option<String>,
    /// As for a new code.
    pub expiry_ms: Option<i64>,
    /// As for a new code.
    pub short_description: Option<String>,
    /// As for a new code.
    pub product_url: Option<String>,
    /// As for a new code.
    pub sub_merchant_name: Option<String>,
    /// As for a new code.
    pub terminal_id: Option<String>,
    /// As for a new code.
    pub mcc: Option<String>,
}

/// A new amount for a code, under a reference of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAmount {
    /// Zero = the payer types it.
    pub amount: Amount,
    /// Never used before.
    pub merchant_reference: String,
    /// As for a new code.
    pub expiry_ms: Option<i64>,
}

impl CreateBody<'_> {
    /// Checks every field. `currency` is the account's.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] with the field's name in the text, [`Problem::InvalidAmount`].
    pub fn parse(self, currency: Currency) -> Result<NewRequest, ApiError> {
        if self.limit_basket.is_some() {
            let text = "limitBasket is not taken: what it limits is not documented, and nothing here would enforce it";
            return Err(bad(text));
        }
        let amount = amount(self.amount, currency)?;
        check_reference(&self.merchant_reference)?;
        let extras = Extras {
            reserve_qr: self.reserve_qr,
            request_tip: self.request_tip,
            basket_items: self.basket_items.map(basket).transpose()?,
            sub_merchant_name: self.sub_merchant_name.map(sub_merchant).transpose()?,
            terminal_id: self.terminal_id.map(terminal).transpose()?,
            mcc: self.mcc.map(category).transpose()?,
        };
        Ok(NewRequest {
            merchant_reference: self.merchant_reference,
            amount,
            asked_expiry_ms: self.expiry_date.map(expiry).transpose()?,
            use_once: self.use_once.unwrap_or(!amount.is_open()),
            short_description: self.short_description.map(description).transpose()?,
            product_url: self.product_url.map(address).transpose()?,
            is_partial: self.request_partial_payment.unwrap_or(false),
            extras,
        })
    }
}

impl EditBody<'_> {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Problem::BadRequest`], with the field's name in the text.
    pub fn parse(self) -> Result<Edit, ApiError> {
        if self.amount.is_some() {
            return Err(bad("amount is changed with PUT /pluto/code/{code}/amount"));
        }
        if self.use_once.is_some() || self.reserve_qr.is_some() {
            return Err(bad("useOnce and reserveQR of a code cannot be changed"));
        }
        if let Some(reference) = &self.merchant_reference {
            check_reference(reference)?;
        }
        Ok(Edit {
            merchant_reference: self.merchant_reference,
            expiry_ms: self.expiry_date.map(expiry).transpose()?,
            short_description: changed(self.short_description, description)?,
            product_url: changed(self.product_url, address)?,
            sub_merchant_name: changed(self.sub_merchant_name, sub_merchant)?,
            terminal_id: changed(self.terminal_id, terminal)?,
            mcc: changed(self.mcc, category)?,
        })
    }
}

impl AmountBody<'_> {
    /// Checks every field. `currency` is the account's.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] with the field's name in the text, [`Problem::InvalidAmount`].
    pub fn parse(self, currency: Currency) -> Result<NewAmount, ApiError> {
        check_reference(&self.merchant_reference)?;
        Ok(NewAmount {
            amount: amount(self.amount, currency)?,
            merchant_reference: self.merchant_reference,
            expiry_ms: self.expiry_date.map(expiry).transpose()?,
        })
    }
}

/// An amount as it stands in the body: the number's own text, so that no float is made of it.
///
/// # Errors
/// [`Problem::InvalidAmount`].
pub fn amount(text: &RawValue, currency: Currency) -> Result<Amount, ApiError> {
    Amount::parse(text.get(), currency).map_err(|error| ApiError::because(Problem::InvalidAmount, error.to_string()))
}

/// An expiry that is asked for must be ahead. Only for new ones: a repeat is answered with the first answer even when its
/// expiry has passed by then.
///
/// # Errors
/// [`Problem::BadRequest`].
pub fn check_ahead(expiry_ms: Option<i64>, now_ms: i64) -> Result<(), ApiError> {
    match expiry_ms {
        Some(at) if at != 0 && at <= now_ms => Err(bad("expiryDate must be in the future, in milliseconds")),
        _ => Ok(()),
    }
}

fn bad(text: &str) -> ApiError {
    ApiError::because(Problem::BadRequest, text)
}

fn changed(text: Option<String>, parse: fn(String) -> Result<String, ApiError>) -> Result<Option<String>, ApiError> {
    text.map(|text| if text.is_empty() { Ok(text) } else { parse(text) }).transpose()
}

fn check_reference(text: &str) -> Result<(), ApiError> {
    let is_reference = is_text(text, 1, MAX_REFERENCE_CHARS);
    if is_reference { Ok(()) } else { Err(bad("merchantReference must be 1 to 45 printable characters")) }
}

fn description(text: String) -> Result<String, ApiError> {
    let is_description = is_text(&text, 1, MAX_DESCRIPTION_CHARS);
    if is_description { Ok(text) } else { Err(bad("shortDescription must be 1 to 45 printable characters")) }
}

fn address(url: String) -> Result<String, ApiError> {
    let is_url = url.len() <= MAX_URL_BYTES
        && (url.starts_with("https://") || url.starts_with("http://"))
        && url.bytes().all(|b| b.is_ascii_graphic());
    if is_url { Ok(url) } else { Err(bad("productUrl must be an http or https address")) }
}

/// -1 means something to the reference too, but the public text breaks off before it says what.
fn expiry(at_ms: i64) -> Result<i64, ApiError> {
    match at_ms {
        0.. => Ok(at_ms),
        -1 => Err(bad("expiryDate -1 is not taken: what it means is not documented; 0 is never")),
        _ => Err(bad("expiryDate must be in the future, in milliseconds, or 0 for never")),
    }
}

fn sub_merchant(text: String) -> Result<String, ApiError> {
    let is_name = is_text(&text, 1, MAX_SUB_MERCHANT_CHARS);
    if is_name { Ok(text) } else { Err(bad("subMerchantName must be 1 to 100 printable characters")) }
}

fn terminal(text: String) -> Result<String, ApiError> {
    let is_terminal = (1..=MAX_TERMINAL_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if is_terminal { Ok(text) } else { Err(bad("terminalId must be 1 to 32 ASCII characters without spaces")) }
}

fn category(text: String) -> Result<String, ApiError> {
    let is_category = text.len() == MCC_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    if is_category { Ok(text) } else { Err(bad("mcc must be four digits, as text")) }
}

/// Kept as it was written, so that what is shown back is what was sent: numbers keep their decimals.
fn basket(raw: &RawValue) -> Result<String, ApiError> {
    let items: Result<Vec<serde_json::Map<String, serde_json::Value>>, _> = serde_json::from_str(raw.get());
    let text = without_white_space(raw.get());
    let is_basket = items.is_ok_and(|items| items.len() <= MAX_BASKET_ITEMS) && text.len() <= MAX_BASKET_BYTES;
    if is_basket { Ok(text) } else { Err(bad("basketItems must be a list of at most 100 objects and 8 kB")) }
}

/// Of valid JSON: only white space between tokens goes.
fn without_white_space(json: &str) -> String {
    let (mut kept, mut is_in_text, mut is_escaped) = (String::with_capacity(json.len()), false, false);
    for char in json.chars() {
        if is_in_text || !matches!(char, ' ' | '\t' | '\n' | '\r') {
            kept.push(char);
        }
        if char == '"' && !is_escaped {
            is_in_text = !is_in_text;
        }
        is_escaped = is_in_text && char == '\\' && !is_escaped;
    }
    kept
}

fn is_text(text: &str, min_chars: usize, max_chars: usize) -> bool {
    let chars = text.chars().count();
    (min_chars..=max_chars).contains(&chars)
        && !text.chars().any(char::is_control)
        && text.trim().chars().count() == chars
}

#[cfg(test)]
mod tests;
