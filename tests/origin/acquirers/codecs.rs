//! Two codecs of PSIP, the connector's and the simulator's, written apart: each reads what the other writes.

use proptest::prelude::*;
use scanvault_origin::acquirers::nets::codec::{Message, Writer};
use scanvault_origin::acquirers::nets::frame;
use scanvault_sandbox::nets::codec::{FIELDS, Field, Form, Frame, Message as Theirs, Status};

/// A value of the field's form; fixed ones at their full length, as both hand them out.
fn value(field: Field) -> BoxedStrategy<String> {
    let pattern = match field.form {
        Form::Digits(length) => format!("[0-9]{{{length}}}"),
        Form::Text(length) => format!("[ -~]{{{length}}}"),
        Form::Short(most) | Form::Long(most) => format!("[ -~]{{0,{most}}}"),
    };
    proptest::string::string_regex(&pattern).unwrap().boxed()
}

fn fields() -> impl Strategy<Value = Vec<Option<String>>> {
    FIELDS.map(|field| proptest::option::of(value(field))).to_vec()
}

proptest! {
    #[test]
    fn they_read_what_we_write(given in fields(), kind in "[0-9]{4}") {
        let mut writer = Writer::default();
        for (field, text) in FIELDS.iter().zip(&given) {
            if let Some(text) = text {
                writer.put(field.number, text).unwrap();
            }
        }
        let bytes = frame::wrap(&writer.finish(&kind)).unwrap();
        let read = Theirs::decode(&Frame::decode(&bytes).unwrap().payload).unwrap();
        prop_assert_eq!((read.kind(), read.status), (kind.as_str(), Status::Ok));
        for (field, text) in FIELDS.iter().zip(&given) {
            prop_assert_eq!(read.get(field.number), text.as_deref());
        }
    }

    #[test]
    fn we_read_what_they_write(given in fields(), kind in "[0-9]{4}") {
        let mut message = Theirs::new(&kind);
        message.status = Status::Unavailable;
        for (field, text) in FIELDS.iter().zip(&given) {
            if let Some(text) = text {
                message.set(field.number, text).unwrap();
            }
        }
        let bytes = Frame::new(message.encode().to_vec()).encode().unwrap();
        let read = Message::parse(frame::open(&bytes).unwrap()).unwrap();
        prop_assert_eq!((read.kind, read.status), (kind.as_str(), "503"));
        for (field, text) in FIELDS.iter().zip(&given) {
            prop_assert_eq!(read.get(field.number), text.as_deref());
        }
    }

    /// The same bytes are a message to both or to neither.
    #[test]
    fn both_refuse_the_same(given in fields(), at in 0_usize..2000, byte: u8, cut in 0_usize..2000) {
        let mut writer = Writer::default();
        for (field, text) in FIELDS.iter().zip(&given) {
            if let Some(text) = text {
                writer.put(field.number, text).unwrap();
            }
        }
        let mut bytes = writer.finish("1100").to_vec();
        let (at, cut) = (at % bytes.len(), cut.max(1));
        bytes[at] = byte;
        bytes.truncate(cut);
        // Five statuses are documented; only the simulator holds a message to them.
        let is_known_status = bytes.get(7..10).is_some_and(|status| [&b"000"[..], b"400", b"500", b"501", b"503"].contains(&status));
        if is_known_status {
            prop_assert_eq!(Message::parse(&bytes).is_ok(), Theirs::decode(&bytes).is_ok());
        }
    }
}
