//! A message as one of the acts, with the fields that the act must have.

use sha2::{Digest, Sha256};

use super::codec::{Message, tags};
use crate::common::book::Kind;

const CREDIT: &str = "200000";
/// Mandatory in each request.
const AUTHORIZE: [u8; 15] = [2, 3, 4, 12, 14, 22, 24, 25, 26, 31, 41, 42, 43, 47, 49];
const CAPTURE: [u8; 17] = [2, 3, 4, 12, 14, 22, 24, 26, 31, 38, 39, 41, 42, 43, 47, 49, 56];
const REVERSE: [u8; 14] = [2, 3, 4, 12, 24, 25, 26, 31, 38, 41, 42, 43, 49, 56];
/// Internet recurring: there is no CVD to ask for.
const RECURRING: &str = "K00540K00130";
const POINTS_OF_SERVICE: [&str; 7] =
    ["K00500K00130", RECURRING, "KM0500R00130", "L00500L00130", "100020100110", "100030100110", "K005K0K00130"];

/// It holds the message with its card number: no `Debug`.
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) amount: u64,
    message: Message,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// PSIP status 400.
    BadRequest,
    /// PSIP status 501.
    NotImplemented,
}

impl Request {
    pub(super) fn read(message: Message) -> Result<Self, Refused> {
        let credit = message.get(3) == Some(CREDIT);
        let (kind, mandatory) = match message.kind() {
            "1100" => (Kind::Authorization, AUTHORIZE.as_slice()),
            "1220" if credit => (Kind::Credit, CAPTURE.as_slice()),
            "1220" => (Kind::Capture, CAPTURE.as_slice()),
            "1420" => (Kind::Reversal, REVERSE.as_slice()),
            _ => return Err(Refused::NotImplemented),
        };
        let here = |number: &u8| message.get(*number).is_some_and(|text| !text.trim().is_empty());
        let amount = message.get(4).and_then(|text| text.parse().ok()).ok_or(Refused::BadRequest)?;
        let point = message.get(22).is_none_or(|point| POINTS_OF_SERVICE.contains(&point));
        let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
        let currency = message.get(49).is_some_and(letters);
        let national = message.get(47).is_none_or(|text| tags(text).is_ok());
        match mandatory.iter().all(here) && point && currency && national {
            true => Ok(Self { kind, amount, message }),
            false => Err(Refused::BadRequest),
        }
    }

    /// A field without its padding; mandatory ones are there.
    pub(super) fn text(&self, number: u8) -> &str {
        self.message.get(number).unwrap_or_default().trim_end()
    }

    pub(super) fn last4(&self) -> String {
        let number = self.text(2);
        number.get(number.len().saturating_sub(4)..).unwrap_or_default().to_owned()
    }

    /// The security code; none when it is not asked for. A tag without a value says as little as no tag.
    pub(super) fn cvd(&self) -> Cvd<'_> {
        let tags = tags(self.text(47)).unwrap_or_default();
        match tags.iter().find(|(tag, value)| *tag == "V5" && !value.is_empty()) {
            Some((_, value)) => Cvd::Given(value),
            None if self.text(22) == RECURRING => Cvd::NotAskedFor,
            None => Cvd::Missing,
        }
    }

    /// What makes two requests the same: for an advice all of it, for an authorisation what names the purchase.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha256::new_with_prefix(self.message.kind());
        match self.kind {
            Kind::Authorization => {
                for number in [2, 4, 12, 31, 41, 42, 49] {
                    hash.update(self.text(number));
                    hash.update([0]);
                }
            }
            _ => hash.update(self.message.encode().as_slice()),
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// An answer that repeats what is to be repeated.
    pub(super) fn answer(&self) -> Message {
        let (kind, echoed) = match self.kind {
            Kind::Authorization => ("1110", [2, 3, 4, 12, 31, 41, 42, 47, 49].as_slice()),
            Kind::Reversal => ("1430", [2, 3, 4, 12, 31, 41, 42, 49].as_slice()),
            _ => ("1230", [2, 3, 4, 12, 31, 41, 42, 47, 49].as_slice()),
        };
        let mut answer = Message::new(kind);
        for number in echoed {
            if let Some(text) = self.message.get(*number) {
                // It fitted when it was read.
                let _ = answer.set(*number, text);
            }
        }
        answer
    }
}

pub(super) enum Cvd<'a> {
    Given(&'a str),
    Missing,
    NotAskedFor,
}
