//! 3dsecure.io's 3-D Secure server in its sandbox form, with the directory server and the bank's pages (ACS) behind it.
//!
//! `POST /preauth`, `/auth`, `/postauth` for the merchant's side; `/browser/method` and `/browser/challenge/…` for the
//! shopper's browser. The last four digits of the card number are the script, as documented. There is no version in the
//! path or in a header: the protocol's version is the field `messageVersion`. Browser payments only (`deviceChannel`
//! 02): the others are refused.
//!
//! What the documentation leaves open is a constant in [`guesses`]. Transaction ids live for minutes, so nothing of
//! them survives a restart; the book does, and it holds what was answered, never a full number.

mod acs;
mod areq;
mod erro;
pub mod guesses;
mod messages;
mod pages;
mod routes;
mod script;
mod server;
mod transaction;

pub use messages::Entry;
pub use routes::router;
pub use server::{Options, Server};
