//! Clearhaus' transaction gateway, version 0.10 of its HAL interface.
//!
//! Documented behaviour is followed to the letter; where the documentation is silent the choice is
//! named here or beside the code: HTTP 201 for what reached the (simulated) card schemes, even a
//! decline, and 400 for what Clearhaus itself refuses; the texts of messages; the answer to an
//! unknown id ([`Options::unknown_id`]); 3-D Secure outcomes. Encrypted wallet payloads (Apple Pay,
//! Google Pay) and debits are not simulated and are refused or 404.

mod access;
mod answer;
pub mod credentials;
mod fields;
mod gateway;
mod ledger;
mod methods;
mod number;
mod request;
mod routes;
mod series;
mod status;
mod threeds;

pub use access::Access;
pub use gateway::{Gateway, Options, UnknownId};
pub use routes::router;
