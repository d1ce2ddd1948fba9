//! 3dsecure.io: what a cardholder's bank says of them before a card is charged (EMV 3-D Secure 2).
//!
//! ```text
//! /preauth ─▶ id, versions, the bank's method page ─▶ (method in the browser) ─▶ /auth (AReq) ─▶ ARes
//!    │305: not enrolled                                                                 │ C: challenge in the browser
//!    ▼                                                                                  ▼
//!  without                                                                          /postauth ─▶ RReq
//! ```
//!
//! All but [`client`] is pure: bytes in, bytes out. [`policy`] says what an outcome is worth; [`messages`] never takes a
//! message for good that does not name the authentication that it was asked for.
//!
//! Facts: 3dsecure.io's documentation of its version 2 interface. What it leaves open is a constant with a comment.

/// Its name among the parties that an account has credentials at.
pub const PARTY: &str = "3dsecure";

pub mod areq;
pub mod base64url;
pub mod browser;
pub mod client;
pub mod codes;
pub mod credentials;
pub mod form;
pub mod messages;
pub mod policy;
pub mod version;

#[cfg(test)]
mod vectors;

pub use areq::{Merchant, Purchase};
pub use browser::{Browser, PostedBrowser};
pub use client::{Failure, Server};
pub use credentials::{Credentials, check_credentials};
pub use messages::{Ares, CardRange, Challenge, Rreq};
pub use policy::{Mode, Step};
pub use version::Version;
