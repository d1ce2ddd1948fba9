//! The fields of ISO 8583:1993 that PSIP uses, and the form of each.

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// So many digits.
    Digits(usize),
    /// So many characters.
    Text(usize),
    /// Two digits of length, then up to so many characters.
    Short(usize),
    /// Three digits of length, then up to so many characters.
    Long(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub number: u8,
    pub form: Form,
}

const fn field(number: u8, form: Form) -> Field {
    Field { number, form }
}

/// In the order of their numbers; none is above 64, so there is no second bitmap.
pub const FIELDS: [Field; 20] = [
    field(2, Form::Short(19)),
    field(3, Form::Digits(6)),
    field(4, Form::Digits(12)),
    field(12, Form::Digits(12)),
    field(14, Form::Digits(4)),
    field(22, Form::Text(12)),
    field(24, Form::Digits(3)),
    field(25, Form::Digits(4)),
    field(26, Form::Digits(4)),
    field(31, Form::Short(99)),
    field(38, Form::Text(6)),
    field(39, Form::Digits(3)),
    field(41, Form::Text(8)),
    field(42, Form::Text(15)),
    field(43, Form::Short(99)),
    field(44, Form::Short(99)),
    field(47, Form::Long(999)),
    field(49, Form::Text(3)),
    field(56, Form::Long(255)),
    field(57, Form::Digits(3)),
];

impl Field {
    pub fn of(number: u8) -> Option<Self> {
        FIELDS.iter().copied().find(|field| field.number == number)
    }

    /// Printable ASCII only: anything else would change its length or its meaning on the way.
    pub(super) fn holds(self, text: &str) -> bool {
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        printable
            && match self.form {
                Form::Digits(length) => text.len() == length && digits,
                Form::Text(length) => text.len() == length,
                Form::Short(most) | Form::Long(most) => text.len() <= most,
            }
    }
}
