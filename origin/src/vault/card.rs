//! Card data as types that are wiped on drop and never printed, and the sealed cards of pages and internal systems.
//!
//! The plaintext of the page's JWE is JSON:
//! `{"attempt","code","amount":<minor units>,"currency":"ZAR","expires":<unix s>,"pan":"digits","exp":"MMYY","csc":"digits","name":"…"}`.
//! An internal system sends `{"pan":"digits","exp":"MMYY","name":"…"}` and gets the same back with `"token"` before it;
//! `name` is left out when there is none.

use std::fmt;

use serde::Deserialize;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Which part of a card is not as it must be; the value itself is never repeated.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum CardError {
    #[error("a card number has 12 to 19 digits")]
    Pan,
    #[error("an expiry is MMYY")]
    Expiry,
    #[error("a security code has 3 or 4 digits")]
    Csc,
    #[error("a cardholder's name has 2 to 45 printable characters, or is left out")]
    Name,
    #[error("a currency is three capital letters")]
    Currency,
    #[error("the sealed text is not the JSON that is expected")]
    Json,
}

/// A primary account number (ISO/IEC 7812): 12 to 19 digits, the spaces and hyphens of printed cards taken out.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Pan(Box<str>);

impl Pan {
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let is_gap = |byte: u8| matches!(byte, b' ' | b'-');
        let length = text.bytes().filter(u8::is_ascii_digit).count();
        if !(12..=19).contains(&length) || !text.bytes().all(|byte| is_gap(byte) || byte.is_ascii_digit()) {
            return Err(CardError::Pan);
        }
        // Exact capacity: into_boxed_str then moves nothing and leaves no copy.
        let mut digits = String::with_capacity(length);
        digits.extend(text.chars().filter(char::is_ascii_digit));
        Ok(Self(digits.into_boxed_str()))
    }

    /// The digits; the only way to them.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// ISO/IEC 7812-1 annex B. Not part of parsing: some test numbers fail it.
    #[must_use]
    pub fn luhn_valid(&self) -> bool {
        let sum: u32 = self.0.bytes().rev().map(|byte| u32::from(byte - b'0')).enumerate().map(luhn_term).sum();
        sum.is_multiple_of(10)
    }

    /// First six digits: the issuer. In clear at rest.
    #[must_use]
    pub fn bin(&self) -> &str {
        self.0.get(..6).unwrap_or_default()
    }

    /// Last four digits. In clear at rest.
    #[must_use]
    pub fn last_four(&self) -> &str {
        self.0.len().checked_sub(4).and_then(|at| self.0.get(at..)).unwrap_or_default()
    }

    /// For display: `411111••••••1111` (PCI DSS 3.4.1: first six and last four at most).
    #[must_use]
    pub fn masked(&self) -> String {
        let hidden = self.0.len().saturating_sub(10);
        format!("{}{}{}", self.bin(), "•".repeat(hidden), self.last_four())
    }
}

impl PartialEq for Pan {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Pan {}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pan(secret)")
    }
}

/// The month in which a card ends, as `MMYY`.
#[derive(Zeroize, ZeroizeOnDrop, PartialEq, Eq)]
pub struct CardExpiry {
    month: u8,
    year: u16,
}

impl CardExpiry {
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let (digits, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(CardError::Expiry);
        };
        let [month, year] = digits else {
            return Err(CardError::Expiry);
        };
        let (month, year) = (two_digits(month)?, two_digits(year)?);
        if !(1..=12).contains(&month) {
            return Err(CardError::Expiry);
        }
        Ok(Self { month, year: 2000 + u16::from(year) })
    }

    /// 1 to 12.
    #[must_use]
    pub const fn month(&self) -> u8 {
        self.month
    }

    /// With the century.
    #[must_use]
    pub const fn year(&self) -> u16 {
        self.year
    }

    /// A card is good through the last day of its month.
    #[must_use]
    pub const fn is_over(&self, year: u16, month: u8) -> bool {
        self.year < year || (self.year == year && self.month < month)
    }

    /// `MMYY`, as it was parsed.
    #[must_use]
    pub fn to_mmyy(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{:02}{:02}", self.month, self.year % 100))
    }
}

impl fmt::Debug for CardExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardExpiry(secret)")
    }
}

/// The card security code: in memory for one authorisation, never stored. It has no equality, no
/// serialisation and no way into an envelope but `expose`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Csc(Box<str>);

impl Csc {
    pub fn parse(text: &str) -> Result<Self, CardError> {
        if !(3..=4).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CardError::Csc);
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Csc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Csc(secret)")
    }
}

/// The name on the card: 2 to 45 printable characters, without white space around it.
#[derive(Zeroize, ZeroizeOnDrop, PartialEq, Eq)]
pub struct CardholderName(Box<str>);

impl CardholderName {
    /// An empty text, or only white space, is no name.
    pub fn parse(text: &str) -> Result<Option<Self>, CardError> {
        let name = text.trim();
        if name.is_empty() {
            return Ok(None);
        }
        if !(2..=45).contains(&name.chars().count()) || !name.chars().all(is_printable) {
            return Err(CardError::Name);
        }
        Ok(Some(Self(name.into())))
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CardholderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardholderName(secret)")
    }
}

/// What the page sealed: the card, and what the payer agreed to. The caller compares attempt, code,
/// amount, currency and expiry with what it issued.
#[derive(Debug)]
pub struct SealedCard {
    pub attempt: String,
    pub code: String,
    pub amount_minor: u64,
    pub currency: String,
    pub expires_at_s: u64,
    pub pan: Pan,
    pub expiry: CardExpiry,
    pub csc: Csc,
    pub name: Option<CardholderName>,
}

impl SealedCard {
    /// Parses the plaintext of the JWE.
    pub fn parse(plaintext: &[u8]) -> Result<Self, CardError> {
        let mut raw: RawCard = serde_json::from_slice(plaintext).map_err(|_| CardError::Json)?;
        if raw.currency.len() != 3 || !raw.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(CardError::Currency);
        }
        Ok(Self {
            pan: Pan::parse(&raw.pan)?,
            expiry: CardExpiry::parse(&raw.exp)?,
            csc: Csc::parse(&raw.csc)?,
            name: CardholderName::parse(&raw.name)?,
            attempt: std::mem::take(&mut raw.attempt),
            code: std::mem::take(&mut raw.code),
            amount_minor: raw.amount,
            currency: std::mem::take(&mut raw.currency),
            expires_at_s: raw.expires,
        })
    }
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct RawCard {
    attempt: String,
    code: String,
    amount: u64,
    currency: String,
    expires: u64,
    pan: String,
    exp: String,
    csc: String,
    name: String,
}

/// A card as it is kept: no security code has a place in it.
#[derive(Debug)]
pub struct VaultCard {
    pub pan: Pan,
    pub expiry: CardExpiry,
    pub name: Option<CardholderName>,
}

impl VaultCard {
    /// Parses the plaintext of an internal system's JWE.
    pub fn parse(plaintext: &[u8]) -> Result<Self, CardError> {
        let raw: RawVaultCard = serde_json::from_slice(plaintext).map_err(|_| CardError::Json)?;
        let name = CardholderName::parse(raw.name.as_deref().unwrap_or_default())?;
        Ok(Self { pan: Pan::parse(&raw.pan)?, expiry: CardExpiry::parse(&raw.exp)?, name })
    }

    /// The plaintext that goes back. The token says which card it is, so that answers cannot be exchanged.
    #[must_use]
    pub fn to_json(&self, token: &str) -> Zeroizing<Vec<u8>> {
        // Room for all, with a name of escapes only: a reallocation would leave a copy of the number behind.
        let mut json = Zeroizing::new(Vec::with_capacity(128 + token.len() + 45 * 6));
        json.extend_from_slice(b"{\"token\":\"");
        json.extend_from_slice(token.as_bytes());
        json.extend_from_slice(b"\",\"pan\":\"");
        json.extend_from_slice(self.pan.expose().as_bytes());
        json.extend_from_slice(b"\",\"exp\":\"");
        json.extend_from_slice(self.expiry.to_mmyy().as_bytes());
        json.push(b'"');
        if let Some(name) = &self.name {
            json.extend_from_slice(b",\"name\":");
            // Writing a text into memory does not fail.
            let _ = serde_json::to_writer(&mut *json, name.expose());
        }
        json.push(b'}');
        json
    }
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct RawVaultCard {
    pan: String,
    exp: String,
    #[serde(default)]
    name: Option<String>,
}

/// Every second digit from the right counts twice; a product above nine by the sum of its digits.
const fn luhn_term((place, digit): (usize, u32)) -> u32 {
    match (place % 2, digit) {
        (0, digit) => digit,
        (_, digit) if digit > 4 => digit * 2 - 9,
        (_, digit) => digit * 2,
    }
}

/// No control characters, and none that are invisible or turn the direction of the text around it.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn two_digits(pair: &[u8; 2]) -> Result<u8, CardError> {
    let [tens, ones] = *pair;
    if tens.is_ascii_digit() && ones.is_ascii_digit() {
        Ok((tens - b'0') * 10 + (ones - b'0'))
    } else {
        Err(CardError::Expiry)
    }
}

#[cfg(test)]
mod tests;
