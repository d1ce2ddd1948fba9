//! Bytes in, bytes out: the PGTM frame, the PSIP header and the ISO 8583 fields. No I/O, no clock, no state.

mod fields;
mod frame;
mod message;
mod tlv;

pub use fields::{FIELDS, Field, Form};
pub use frame::{Frame, FrameError, HEADER, IDENTITY};
pub use message::{DecodeError, Message, Status};
pub use tlv::{TlvError, tags, write_tag};
