//! Nets' acquirer interface PSIP: ISO 8583:1993 messages in PGTM frames over TLS.
//!
//! **This is our reading.** Nets publishes no description; what is here follows an open-source client of 2013 and what
//! tables of contents and shops' help pages tell (see the reference's §3.1). A connector that works against this
//! simulator has been verified against this simulator and against nothing else. What was not to be found at all is a
//! constant in [`guesses`].
//!
//! [`codec`] is pure: frames and messages from and to bytes. [`Bank`] decides and books; [`serve`] is the listener: one
//! message per connection, answered, closed. Authorisation, capture (also in parts), credit and full reversal; there is
//! no look-up, so there is none here. The transaction's handle is the ODE ticket of 255 characters, which every answer
//! replaces.

mod bank;
pub mod codec;
pub mod guesses;
mod ledger;
mod listener;
mod request;

pub use bank::Bank;
pub use ledger::Entry;
pub use listener::{Tls, serve};
