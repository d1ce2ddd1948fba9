//! The PSIP header, the message type, the bitmap and the fields.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::fields::{FIELDS, Field, Form};
use crate::nets::guesses::BITMAP_IN_HEX;

const MAGIC: &str = "PSIP100";

/// The header's word on the message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    BadRequest,
    InternalError,
    NotImplemented,
    Unavailable,
}

const STATUSES: [(Status, &str); 5] = [
    (Status::Ok, "000"),
    (Status::BadRequest, "400"),
    (Status::InternalError, "500"),
    (Status::NotImplemented, "501"),
    (Status::Unavailable, "503"),
];

/// It may hold a card number: no `Debug` of its fields, and they are wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub status: Status,
    /// Four digits: 1100 and so on.
    kind: String,
    fields: BTreeMap<u8, Zeroizing<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("not a PSIP header")]
    Header,
    #[error("not a message type")]
    Kind,
    #[error("not a bitmap")]
    Bitmap,
    #[error("field {0} is not known")]
    Unknown(u8),
    #[error("field {0} is malformed or cut short")]
    Field(u8),
    #[error("something follows the last field")]
    Rest,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<&u8> = self.fields.keys().collect();
        write!(formatter, "Message({} {:?} fields {numbers:?})", self.kind, self.status)
    }
}

impl Message {
    /// `kind` is the message type indicator.
    pub fn new(kind: &str) -> Self {
        Self { status: Status::Ok, kind: kind.to_owned(), fields: BTreeMap::new() }
    }

    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Sets a field; digits are padded with zeros on the left, fixed text with blanks on the right.
    ///
    /// # Errors
    /// When the field is not known or the text does not fit it.
    pub fn set(&mut self, number: u8, text: &str) -> Result<(), DecodeError> {
        let field = Field::of(number).ok_or(DecodeError::Unknown(number))?;
        let padded = Zeroizing::new(match field.form {
            Form::Digits(length) => format!("{text:0>length$}"),
            Form::Text(length) => format!("{text:<length$}"),
            Form::Short(_) | Form::Long(_) => text.to_owned(),
        });
        if !field.holds(&padded) {
            return Err(DecodeError::Field(number));
        }
        self.fields.insert(number, padded);
        Ok(())
    }

    /// As it was sent, padding included.
    pub fn get(&self, number: u8) -> Option<&str> {
        self.fields.get(&number).map(|text| text.as_str())
    }

    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let status = STATUSES.iter().find(|(status, _)| *status == self.status).map_or("500", |(_, text)| *text);
        let mut bytes = Zeroizing::new(format!("{MAGIC}{status}{}", self.kind).into_bytes());
        let bitmap = self.fields.keys().fold(0_u64, |bits, number| bits | bit(*number));
        match BITMAP_IN_HEX {
            true => bytes.extend_from_slice(format!("{bitmap:016X}").as_bytes()),
            false => bytes.extend_from_slice(&bitmap.to_be_bytes()),
        }
        for (number, text) in &self.fields {
            match Field::of(*number).map(|field| field.form) {
                Some(Form::Short(_)) => bytes.extend_from_slice(format!("{:02}", text.len()).as_bytes()),
                Some(Form::Long(_)) => bytes.extend_from_slice(format!("{:03}", text.len()).as_bytes()),
                _ => {}
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// # Errors
    /// When the bytes are not exactly one message of known fields.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        let header = take(&mut rest, 10).ok_or(DecodeError::Header)?;
        let status = header.strip_prefix(MAGIC).ok_or(DecodeError::Header)?;
        let (status, _) = STATUSES.iter().find(|(_, text)| *text == status).ok_or(DecodeError::Header)?;
        let kind = take(&mut rest, 4).filter(|kind| is_digits(kind)).ok_or(DecodeError::Kind)?;
        let bitmap = take_bitmap(&mut rest)?;
        if let Some(number) = (1..=64).find(|number| bitmap & bit(*number) != 0 && Field::of(*number).is_none()) {
            return Err(DecodeError::Unknown(number));
        }
        let mut fields = BTreeMap::new();
        for field in FIELDS.iter().filter(|field| bitmap & bit(field.number) != 0) {
            let text = take_field(&mut rest, *field).ok_or(DecodeError::Field(field.number))?;
            fields.insert(field.number, Zeroizing::new(text.to_owned()));
        }
        match rest {
            [] => Ok(Self { status: *status, kind: kind.to_owned(), fields }),
            _ => Err(DecodeError::Rest),
        }
    }
}

/// Field 1 is the highest bit.
const fn bit(number: u8) -> u64 {
    match number {
        1..=64 => 1 << (64 - number),
        _ => 0,
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a str> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    std::str::from_utf8(taken).ok()
}

fn take_bitmap(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    if !BITMAP_IN_HEX {
        let (bytes, left) = rest.split_first_chunk::<8>().ok_or(DecodeError::Bitmap)?;
        *rest = left;
        return Ok(u64::from_be_bytes(*bytes));
    }
    let text = take(rest, 16).ok_or(DecodeError::Bitmap)?;
    let upper = text.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
    u64::from_str_radix(text, 16).ok().filter(|_| upper).ok_or(DecodeError::Bitmap)
}

fn take_field<'a>(rest: &mut &'a [u8], field: Field) -> Option<&'a str> {
    let mut announced = |digits: usize| take(rest, digits).filter(|text| is_digits(text))?.parse::<usize>().ok();
    let length = match field.form {
        Form::Digits(length) | Form::Text(length) => length,
        Form::Short(_) => announced(2)?,
        Form::Long(_) => announced(3)?,
    };
    take(rest, length).filter(|text| field.holds(text))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The reference's derived vector: not Nets' own, and consistent with the Java library.
    const DERIVED: &str = "PSIP1000001100701405C200E280001645711234123412340000000000000012201309021711001412K00500K001301000000573207orderidtest    123            99Smith Radio\\Boulevard 4\\Broby\\3266                                                              DNK007V503123DKK";

    fn derived() -> Message {
        let mut message = Message::new("1100");
        let location = format!("{:<96}DNK", "Smith Radio\\Boulevard 4\\Broby\\3266");
        for (number, text) in [
            (2, "4571123412341234"),
            (3, "000000"),
            (4, "1220"),
            (12, "130902171100"),
            (14, "1412"),
            (22, "K00500K00130"),
            (24, "100"),
            (25, "0000"),
            (26, "5732"),
            (31, "orderid"),
            (41, "test"),
            (42, "123"),
            (43, &location),
            (47, "V503123"),
            (49, "DKK"),
        ] {
            message.set(number, text).unwrap();
        }
        message
    }

    #[test]
    fn the_derived_vector() {
        assert_eq!(DERIVED.len(), 251);
        assert_eq!(String::from_utf8(derived().encode().to_vec()).unwrap(), DERIVED);
        let read = Message::decode(DERIVED.as_bytes()).unwrap();
        assert_eq!(read, derived());
        assert_eq!(
            (read.kind(), read.get(41), read.get(4), read.get(38)),
            ("1100", Some("test    "), Some("000000001220"), None)
        );
        let frame = super::super::Frame::new(derived().encode().to_vec()).encode().unwrap();
        let hex: String = frame[..32].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "011b000052480002200000000000003200000000000000000000000000000000");
    }

    #[test]
    fn malformed() {
        let error = |text: &str| Message::decode(text.as_bytes()).unwrap_err();
        assert_eq!(error(""), DecodeError::Header);
        assert_eq!(error(&DERIVED.replace("PSIP100", "PSIP200")), DecodeError::Header);
        assert_eq!(error(&DERIVED.replace("PSIP100000", "PSIP100404")), DecodeError::Header);
        assert_eq!(error("PSIP10000011x0"), DecodeError::Kind);
        assert_eq!(error("PSIP1000001100701405c200E28000"), DecodeError::Bitmap);
        assert_eq!(error("PSIP1000001100+000000000000000"), DecodeError::Bitmap);
        assert_eq!(error("PSIP10000011008000000000000000"), DecodeError::Unknown(1));
        assert_eq!(error("PSIP10000011000000000000000001"), DecodeError::Unknown(64));
        assert_eq!(error(&DERIVED[..250]), DecodeError::Field(49));
        assert_eq!(error(&format!("{DERIVED} ")), DecodeError::Rest);
        assert_eq!(error(&DERIVED.replace("16457", "20457")), DecodeError::Field(2));
        assert_eq!(error(&DERIVED.replace("16457", "+6457")), DecodeError::Field(2));
        assert_eq!(error(&DERIVED.replace("1412K", "14x2K")), DecodeError::Field(14));
        let mut message = Message::new("1100");
        assert_eq!(message.set(5, "1"), Err(DecodeError::Unknown(5)));
        assert_eq!(message.set(4, "1234567890123"), Err(DecodeError::Field(4)));
        assert_eq!(message.set(31, "ø"), Err(DecodeError::Field(31)));
    }

    #[test]
    fn debug_tells_no_number() {
        let text = format!("{:?}", derived());
        assert!(!text.contains("4571") && text.contains("1100"), "{text}");
    }

    fn text(field: Field) -> BoxedStrategy<String> {
        match field.form {
            Form::Digits(length) => proptest::string::string_regex(&format!("[0-9]{{{length}}}")).unwrap().boxed(),
            Form::Text(length) => proptest::string::string_regex(&format!("[ -~]{{{length}}}")).unwrap().boxed(),
            Form::Short(most) | Form::Long(most) => {
                proptest::string::string_regex(&format!("[ -~]{{0,{most}}}")).unwrap().boxed()
            }
        }
    }

    proptest! {
        #[test]
        fn there_and_back(
            given in FIELDS.map(|field| proptest::option::of(text(field))).to_vec(),
            kind in "[0-9]{4}",
            status in 0_usize..5,
        ) {
            let mut message = Message::new(&kind);
            message.status = STATUSES[status].0;
            for (field, text) in FIELDS.iter().zip(&given) {
                if let Some(text) = text {
                    message.set(field.number, text).unwrap();
                }
            }
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn no_change_panics_and_what_is_read_is_what_was_written(at in 0_usize..251, byte: u8, cut in 0_usize..252) {
            let mut bytes = DERIVED.as_bytes().to_vec();
            bytes[at] = byte;
            bytes.truncate(cut);
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode().to_vec(), bytes);
            }
        }
    }
}
