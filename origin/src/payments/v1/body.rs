//! What merchants send to Scanpay's interface, read forgivingly: an optional field that is not valid is left out and
//! named in the log, as the reference does; what decides about money is never guessed at.

use scanvault_protocol::Problem;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::details::{Address, Details, Item, SubscriberDetails, Total};
use super::lifetime;
use crate::money::{Amount, Currency};
use crate::web::{ApiError, Call};

/// The languages of the pay page.
pub(super) const LANGUAGES: &[&str] = &["da", "sv", "no", "en", "de", "fr"];
/// The reference bounds the whole body and no field of it.
const MAX_TEXT_CHARS: usize = 32_000;
/// What a code shows to its payer at most.
const MAX_DESCRIPTION_CHARS: usize = 45;

/// An order: of `new`, `charge` and `renew`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Order {
    /// The merchant's own.
    pub(super) order_id: Option<String>,
    /// The sum of the items; `None` without any.
    #[serde(serialize_with = "total")]
    pub(super) amount: Option<Amount>,
    /// As sent; which default holds depends on the call.
    pub(super) autocapture: Option<bool>,
    /// Seconds.
    pub(super) lifetime_secs: u64,
    /// Everything else.
    pub(super) details: Details,
}

/// An act: of `capture`, `refund` and `void`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ActBody {
    /// How much; a void has none.
    #[serde(serialize_with = "total")]
    pub(super) total: Option<Amount>,
    /// How many acts the merchant knows of.
    pub(super) index: u32,
}

fn total<S: serde::Serializer>(amount: &Option<Amount>, serializer: S) -> Result<S::Ok, S::Error> {
    amount.map(Total).serialize(serializer)
}

/// A refusal with a text of the reference, or one in its manner.
pub(super) fn bad(text: &'static str) -> ApiError {
    ApiError::because(Problem::BadRequest, text)
}

impl Order {
    /// Reads an order.
    ///
    /// # Errors
    /// `invalid json`, `invalid items.total`.
    pub(super) fn parse(call: &Call) -> Result<Self, ApiError> {
        let body = object(&call.signed.body)?;
        let mut fields = Fields { map: &body, ignored: Vec::new() };
        let items = items(&mut fields)?;
        let amount = sum(fields.map)?;
        let order = Self {
            order_id: fields.text("orderid", MAX_TEXT_CHARS),
            amount,
            autocapture: fields.take("autocapture", flag),
            lifetime_secs: fields
                .take("lifetime", |value| lifetime::parse(value.as_str()?))
                .unwrap_or(lifetime::DEFAULT_SECS),
            details: Details {
                successurl: fields
                    .take("successurl", |value| value.as_str().filter(|url| is_url(url)).map(str::to_owned)),
                language: fields.take("language", |value| language(value.as_str()?)),
                items,
                // Go's library sends empty ones with everything.
                billing: fields.take("billing", address).filter(|address| !address.is_empty()),
                shipping: fields.take("shipping", address).filter(|address| !address.is_empty()),
                subscriber: fields.take("subscriber", subscriber),
            },
        };
        if !fields.ignored.is_empty() {
            tracing::info!(request = call.signed.request_id, ignored = ?fields.ignored, "optional fields left out");
        }
        Ok(order)
    }

    /// What the payer reads: the one thing that is paid for, as long as it is one.
    #[must_use]
    pub(super) fn description(&self) -> Option<String> {
        let [item] = self.details.items.as_slice() else { return None };
        let text: String = item.name.as_deref()?.chars().take(MAX_DESCRIPTION_CHARS).collect();
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

impl ActBody {
    /// Reads an act's body. A void may have a total; nobody looks at it.
    ///
    /// # Errors
    /// `invalid json`, `invalid total`, `invalid index`.
    pub(super) fn parse(call: &Call, has_total: bool) -> Result<Self, ApiError> {
        let body = object(&call.signed.body)?;
        let index = body.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
        let index = index.ok_or_else(|| bad("invalid index"))?;
        if !has_total {
            return Ok(Self { total: None, index });
        }
        let total = body.get("total").and_then(Value::as_str).and_then(|text| Amount::parse_total(text).ok());
        let total = total.filter(|total| total.minor() > 0).ok_or_else(|| bad("invalid total"))?;
        Ok(Self { total: Some(total), index })
    }
}

/// PHP writes an array that has nothing in it as `[]`, whatever it was to hold.
fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Array(list)) if list.is_empty() => Ok(Map::new()),
        _ => Err(bad("invalid json")),
    }
}

/// A flag that says whether money is taken is read in every way in which it is meant: what cannot be read is left to the
/// default, and a charge's default is to take it.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) if number.as_u64() == Some(0) => Some(false),
        Value::Number(number) if number.as_u64() == Some(1) => Some(true),
        Value::String(text) if matches!(text.as_str(), "false" | "0" | "") => Some(false),
        Value::String(text) if matches!(text.as_str(), "true" | "1") => Some(true),
        _ => None,
    }
}

/// Every item must say what it costs: one that was left out would not be paid. Nor would any if what is no list were
/// taken for none: a new subscriber's first charge would be missed without a word.
fn items(fields: &mut Fields<'_>) -> Result<Vec<Item>, ApiError> {
    let list = match fields.map.get("items") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(bad("missing items")),
    };
    list.iter()
        .map(|value| {
            let wrong = || bad("invalid items.total");
            let map = value.as_object().ok_or_else(wrong)?;
            let total = map.get("total").and_then(Value::as_str).ok_or_else(wrong)?;
            let total = Total(Amount::parse_total(total).map_err(|_| wrong())?);
            let mut item = Fields { map, ignored: Vec::new() };
            let item_fields = Item {
                name: item.text("name", MAX_TEXT_CHARS),
                quantity: item.take("quantity", Value::as_u64),
                sku: item.text("sku", MAX_TEXT_CHARS),
                total,
            };
            fields.ignored.extend(item.ignored);
            Ok(item_fields)
        })
        .collect()
}

/// What the items come to, once they have been read. Zero would mean that the payer may type the amount.
fn sum(body: &Map<String, Value>) -> Result<Option<Amount>, ApiError> {
    let items = body.get("items").and_then(Value::as_array).into_iter().flatten();
    let totals = items.filter_map(|item| item.get("total").and_then(Value::as_str));
    let sum = Amount::sum_of_totals(totals).map_err(|_| bad("invalid items.total"))?;
    if sum.is_some_and(Amount::is_open) { Err(bad("invalid items.total")) } else { Ok(sum) }
}

/// The optional fields of an object, and which of them were not valid.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    ignored: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// A field, if it is there and valid. `null` is as good as nothing.
    fn take<T>(&mut self, name: &'static str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.ignored.push(name);
        }
        read
    }

    /// A text; a number is taken as one.
    fn text(&mut self, name: &'static str, max_chars: usize) -> Option<String> {
        self.take(name, |value| text(value, max_chars))
    }
}

/// Control characters would end up on pages and in other systems' files. An empty text is none.
fn text(value: &Value, max_chars: usize) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_text = text.chars().count() <= max_chars && !text.chars().any(char::is_control);
    Some(text).filter(|text| is_text && !text.is_empty())
}

/// A page of the merchant's that a browser is sent to: nothing that runs.
fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    url.bytes().all(|b| b.is_ascii_graphic())
        && rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
}

fn language(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    LANGUAGES.contains(&lower.as_str()).then_some(lower)
}

/// The fields in it that are valid: one that is not does not cost the others.
fn address(value: &Value) -> Option<Address> {
    let map = value.as_object()?;
    let field = |name: &str| map.get(name).and_then(|value| text(value, MAX_TEXT_CHARS));
    let lines: Vec<String> = match map.get("address") {
        Some(Value::Array(lines)) => lines.iter().filter_map(|line| text(line, MAX_TEXT_CHARS)).collect(),
        Some(line) => text(line, MAX_TEXT_CHARS).into_iter().collect(),
        None => Vec::new(),
    };
    Some(Address {
        name: field("name"),
        company: field("company"),
        vatin: field("vatin"),
        gln: field("gln"),
        email: field("email"),
        phone: field("phone"),
        address: lines,
        city: field("city"),
        zip: field("zip"),
        state: field("state"),
        country: field("country"),
    })
}

fn subscriber(value: &Value) -> Option<SubscriberDetails> {
    if value.as_array().is_some_and(Vec::is_empty) {
        return Some(SubscriberDetails::default()); // PHP's, without a `ref`
    }
    let reference = value.as_object()?.get("ref").and_then(|value| text(value, MAX_TEXT_CHARS));
    Some(SubscriberDetails { reference })
}

/// The amount of a payment request that only keeps a card.
#[must_use]
pub(super) fn nothing(currency: Currency) -> Amount {
    Amount::saturating(0, currency)
}

#[cfg(test)]
mod tests;
