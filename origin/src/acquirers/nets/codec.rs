//! PSIP's messages: a header of ten characters, the message type, the bitmap, and the fields of ISO 8583:1993.
//!
//! Written apart from the simulator's codec, on purpose: each is the other's second opinion. A message is written in the
//! order of its fields and read without copying, so that a card number is in one buffer only, which is wiped.

use zeroize::Zeroizing;

use super::guesses::BITMAP_IN_HEX;

const MAGIC: &[u8] = b"PSIP100";
const OK: &[u8] = b"000";

/// How a field is written.
#[derive(Clone, Copy)]
enum Shape {
    /// So many digits, zeros before.
    Digits(usize),
    /// So many characters, blanks behind.
    Text(usize),
    /// A length of so many digits, then up to so many characters.
    Variable(usize, usize),
}

/// The fields that PSIP uses; none is above 64, so there is no second bitmap.
const fn shape(number: u8) -> Option<Shape> {
    Some(match number {
        2 => Shape::Variable(2, 19),
        3 => Shape::Digits(6),
        4 | 12 => Shape::Digits(12),
        14 | 25 | 26 => Shape::Digits(4),
        22 => Shape::Text(12),
        24 | 39 | 57 => Shape::Digits(3),
        31 | 43 | 44 => Shape::Variable(2, 99),
        38 => Shape::Text(6),
        41 => Shape::Text(8),
        42 => Shape::Text(15),
        47 => Shape::Variable(3, 999),
        49 => Shape::Text(3),
        56 => Shape::Variable(3, 255),
        _ => return None,
    })
}

/// Why a message cannot be written or read. A value is never repeated: it may be a card number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not a header, type or bitmap.
    #[error("not the beginning of a message")]
    Header,
    /// A field that PSIP does not use, or one out of its order.
    #[error("field {0} is not expected")]
    Unexpected(u8),
    /// Its value does not have its form.
    #[error("field {0} is malformed")]
    Field(u8),
    /// Something follows the last field.
    #[error("the message is longer than its fields")]
    Rest,
}

/// A message that is being written, field by field, in the order of their numbers.
pub struct Writer {
    bitmap: u64,
    last: u8,
    fields: Zeroizing<Vec<u8>>,
}

impl Default for Writer {
    fn default() -> Self {
        // Room for all that a call of ours holds: the buffer does not move.
        Self { bitmap: 0, last: 0, fields: Zeroizing::new(Vec::with_capacity(2048)) }
    }
}

impl Writer {
    /// Appends a field.
    ///
    /// # Errors
    /// When it is not one of PSIP's, comes out of order, or does not have its form.
    pub fn put(&mut self, number: u8, value: &str) -> Result<(), CodecError> {
        let shape = shape(number).filter(|_| number > self.last).ok_or(CodecError::Unexpected(number))?;
        let is_whole = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        match shape {
            Shape::Digits(width) if digits && value.len() <= width => {
                self.fields.extend(std::iter::repeat_n(b'0', width - value.len()));
                self.fields.extend_from_slice(value.as_bytes());
            }
            Shape::Text(width) if is_whole && value.len() <= width => {
                self.fields.extend_from_slice(value.as_bytes());
                self.fields.extend(std::iter::repeat_n(b' ', width - value.len()));
            }
            Shape::Variable(count, most) if is_whole && value.len() <= most => {
                self.fields.extend_from_slice(format!("{:0count$}", value.len()).as_bytes());
                self.fields.extend_from_slice(value.as_bytes());
            }
            _ => return Err(CodecError::Field(number)),
        }
        self.bitmap |= bit(number);
        self.last = number;
        Ok(())
    }

    /// The whole message, of a type such as `1100`.
    #[must_use]
    pub fn finish(self, kind: &str) -> Zeroizing<Vec<u8>> {
        let mut message = Zeroizing::new(Vec::with_capacity(32 + self.fields.len()));
        message.extend_from_slice(MAGIC);
        message.extend_from_slice(OK);
        message.extend_from_slice(kind.as_bytes());
        if BITMAP_IN_HEX {
            message.extend_from_slice(format!("{:016X}", self.bitmap).as_bytes());
        } else {
            message.extend_from_slice(&self.bitmap.to_be_bytes());
        }
        message.extend_from_slice(&self.fields);
        message
    }
}

/// A message as it was read; it borrows from the bytes. No `Debug`: it may hold a card number and its code.
pub struct Message<'a> {
    /// The header's word on the message itself: `000` when it was understood.
    pub status: &'a str,
    /// Such as `1110`.
    pub kind: &'a str,
    fields: Vec<(u8, &'a str)>,
}

impl<'a> Message<'a> {
    /// Reads exactly one message.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(CodecError::Header)?;
        let status = take_digits(&mut rest, 3).ok_or(CodecError::Header)?;
        let kind = take_digits(&mut rest, 4).ok_or(CodecError::Header)?;
        let bitmap = take_bitmap(&mut rest).ok_or(CodecError::Header)?;
        let mut fields = Vec::new();
        for number in (1..=64).filter(|number| bitmap & bit(*number) != 0) {
            let shape = shape(number).ok_or(CodecError::Unexpected(number))?;
            fields.push((number, take_field(&mut rest, shape).ok_or(CodecError::Field(number))?));
        }
        if rest.is_empty() { Ok(Self { status, kind, fields }) } else { Err(CodecError::Rest) }
    }

    /// A field as it was sent, padding included.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<&'a str> {
        self.fields.iter().find(|(known, _)| *known == number).map(|(_, value)| *value)
    }

    /// The numbers of all fields.
    pub fn numbers(&self) -> impl Iterator<Item = u8> {
        self.fields.iter().map(|(number, _)| *number)
    }
}

/// Field 1 is the highest bit.
const fn bit(number: u8) -> u64 {
    match 64_u8.checked_sub(number) {
        Some(at) if at < 64 => 1 << at,
        _ => 0,
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn take_digits<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a str> {
    let taken = take(rest, count)?;
    taken.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(taken).ok())?
}

fn take_bitmap(rest: &mut &[u8]) -> Option<u64> {
    if BITMAP_IN_HEX {
        let digits = take(rest, 16)?;
        let is_upper = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
        return u64::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_upper)?, 16).ok();
    }
    take(rest, 8)?.try_into().ok().map(u64::from_be_bytes)
}

fn take_field<'a>(rest: &mut &'a [u8], shape: Shape) -> Option<&'a str> {
    let width = match shape {
        Shape::Digits(width) => return take_digits(rest, width),
        Shape::Text(width) => width,
        Shape::Variable(count, most) => take_digits(rest, count)?.parse().ok().filter(|width| *width <= most)?,
    };
    let taken = take(rest, width)?;
    taken.iter().all(|byte| (b' '..=b'~').contains(byte)).then(|| std::str::from_utf8(taken).ok())?
}

/// Appends a tag of field 47: two characters, two digits of length, the value.
///
/// # Errors
/// [`CodecError::Field`] when it does not have that form.
pub fn put_tag(field: &mut Zeroizing<String>, tag: &str, value: &str) -> Result<(), CodecError> {
    if tag.len() != 2 || value.len() > 99 || !tag.is_ascii() || !value.is_ascii() {
        return Err(CodecError::Field(47));
    }
    field.push_str(tag);
    field.push_str(&format!("{:02}", value.len()));
    field.push_str(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The reference's derived vector: not Nets' own, and consistent with the open-source client.
    const DERIVED: &str = "PSIP1000001100701405C200E280001645711234123412340000000000000012201309021711001412K00500K001301000000573207orderidtest    123            99Smith Radio\\Boulevard 4\\Broby\\3266                                                              DNK007V503123DKK";

    fn derived() -> Vec<(u8, String)> {
        [
            (2, "4571123412341234"),
            (3, "0"),
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
            (43, &format!("{:<96}DNK", "Smith Radio\\Boulevard 4\\Broby\\3266")),
            (47, "V503123"),
            (49, "DKK"),
        ]
        .map(|(number, value)| (number, value.to_owned()))
        .to_vec()
    }

    fn written(kind: &str, fields: &[(u8, String)]) -> Result<Zeroizing<Vec<u8>>, CodecError> {
        let mut writer = Writer::default();
        fields.iter().try_for_each(|(number, value)| writer.put(*number, value))?;
        Ok(writer.finish(kind))
    }

    #[test]
    fn the_derived_vector() {
        assert_eq!(std::str::from_utf8(&written("1100", &derived()).unwrap()).unwrap(), DERIVED);
        let read = Message::parse(DERIVED.as_bytes()).unwrap();
        assert_eq!((read.status, read.kind), ("000", "1100"));
        assert_eq!((read.get(41), read.get(4), read.get(38)), (Some("test    "), Some("000000001220"), None));
        assert_eq!(read.numbers().collect::<Vec<_>>(), derived().iter().map(|(number, _)| *number).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_written() {
        let error = |fields: &[(u8, &str)]| {
            let fields: Vec<_> = fields.iter().map(|(number, value)| (*number, (*value).to_owned())).collect();
            written("1100", &fields).unwrap_err()
        };
        assert_eq!(error(&[(5, "1")]), CodecError::Unexpected(5));
        assert_eq!(error(&[(0, "1")]), CodecError::Unexpected(0));
        assert_eq!(error(&[(4, "1"), (3, "0")]), CodecError::Unexpected(3));
        assert_eq!(error(&[(4, "1"), (4, "1")]), CodecError::Unexpected(4));
        for (number, value) in
            [(4, "1234567890123"), (4, "-1"), (14, "14x2"), (31, "ø"), (41, "123456789"), (49, "a\n")]
        {
            assert_eq!(error(&[(number, value)]), CodecError::Field(number), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        let error = |text: &str| Message::parse(text.as_bytes()).err().unwrap();
        for text in
            ["", "PSIP200", "PSIP1000x0", "PSIP10000011x0", "PSIP1000001100701405c200E28000", "PSIP1000001100+0"]
        {
            assert_eq!(error(text), CodecError::Header, "{text}");
        }
        assert_eq!(error("PSIP10000011008000000000000000"), CodecError::Unexpected(1));
        assert_eq!(error("PSIP10000011000000000000000001"), CodecError::Unexpected(64));
        assert_eq!(error(&DERIVED[..250]), CodecError::Field(49));
        assert_eq!(error(&format!("{DERIVED} ")), CodecError::Rest);
        assert_eq!(error(&DERIVED.replace("16457", "20457")), CodecError::Field(2));
        assert_eq!(error(&DERIVED.replace("16457", "+6457")), CodecError::Field(2));
        assert_eq!(error(&DERIVED.replace("1412K", "14x2K")), CodecError::Field(14));
    }

    #[test]
    fn tags() {
        let mut field = Zeroizing::new(String::new());
        put_tag(&mut field, "V5", "123").unwrap();
        put_tag(&mut field, "V!", "").unwrap();
        assert_eq!(field.as_str(), "V503123V!00");
        for (tag, value) in [("V", "1"), ("V55", "1"), ("ø", "1"), ("V5", "ø")] {
            assert_eq!(put_tag(&mut field, tag, value), Err(CodecError::Field(47)), "{tag}");
        }
        assert_eq!(put_tag(&mut field, "V5", &"1".repeat(100)), Err(CodecError::Field(47)));
        assert_eq!(field.as_str(), "V503123V!00");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn no_change_panics_and_what_is_read_is_what_was_written(at in 0_usize..251, byte: u8, cut in 0_usize..252) {
            let mut bytes = DERIVED.as_bytes().to_vec();
            bytes[at] = byte;
            bytes.truncate(cut);
            if let Ok(message) = Message::parse(&bytes) {
                let fields: Vec<_> = message.fields.iter().map(|(number, value)| (*number, (*value).to_owned())).collect();
                let again = written(message.kind, &fields).unwrap();
                // The status is the answerer's: a writer's is always 000.
                prop_assert_eq!(&again[10..], &bytes[10..]);
            }
        }
    }
}
