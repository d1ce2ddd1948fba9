//! What Nets knows a merchant by, kept as one vault record.

use serde::{Deserialize, Serialize};

use crate::acquirers::AcquirerError;

/// Name, street, town and postcode together, with what stands between them.
const PLACE_CHARACTERS: usize = 96;

/// A merchant as registered at Nets. There is no secret towards the host here: Nets knows its PSPs by their network. It
/// is sealed like every acquirer's record all the same.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// Field 42: up to 15 characters.
    pub merchant_id: String,
    /// Field 41: up to 8 characters.
    pub terminal_id: String,
    /// Field 26: the merchant's category, four digits.
    pub category: String,
    /// The name that the payer's statement shows.
    pub name: String,
    /// Street and number.
    pub street: String,
    /// Town.
    pub city: String,
    /// Postcode.
    pub postcode: String,
    /// Three capital letters (ISO 3166-1): `DNK`.
    pub country: String,
    /// The tags of field 47 for the outcome of 3-D Secure. They are not public: Nets names them to its merchants, and
    /// without them a payment that was authenticated is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub three_d_secure_tags: Option<Tags>,
}

/// Tags of two characters.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tags {
    /// The electronic commerce indicator's.
    pub eci: String,
    /// The authentication value's.
    pub authentication_value: String,
    /// The directory server's transaction id's.
    pub ds_trans_id: String,
}

impl Credentials {
    /// Reads the record.
    pub(super) fn parse(json: &[u8]) -> Result<Self, AcquirerError> {
        let read: Self = serde_json::from_slice(json).map_err(|_| AcquirerError::Credentials("not our JSON"))?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), AcquirerError> {
        let is_id = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let is_line =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\');
        let is_tag = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_graphic());
        let checks = [
            (is_id(&self.merchant_id, 15), "merchantId"),
            (is_id(&self.terminal_id, 8), "terminalId"),
            (self.category.len() == 4 && self.category.bytes().all(|byte| byte.is_ascii_digit()), "category"),
            (
                [&self.name, &self.street, &self.city, &self.postcode].into_iter().all(|line| is_line(line)),
                "name or address",
            ),
            (self.place().len() <= PLACE_CHARACTERS, "name and address: too long"),
            (self.country.len() == 3 && self.country.bytes().all(|byte| byte.is_ascii_uppercase()), "country"),
            (
                self.three_d_secure_tags.as_ref().is_none_or(|tags| tags.all().into_iter().all(is_tag)),
                "threeDSecureTags",
            ),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(AcquirerError::Credentials(what)),
            None => Ok(()),
        }
    }

    /// Field 43: name and place, filled up, and the country.
    pub(super) fn location(&self) -> String {
        format!("{:<PLACE_CHARACTERS$}{}", self.place(), self.country)
    }

    fn place(&self) -> String {
        format!("{}\\{}\\{}\\{}", self.name, self.street, self.city, self.postcode)
    }
}

impl Tags {
    fn all(&self) -> [&str; 3] {
        [&self.eci, &self.authentication_value, &self.ds_trans_id]
    }
}
