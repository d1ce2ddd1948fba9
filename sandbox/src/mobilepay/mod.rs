//! Vipps MobilePay's ePayment interface in its test form, with card passthrough for payment service providers.
//!
//! `POST /accesstoken/get`; `/epayment/v1/payments…` to create, read, capture, refund, cancel; the test environment's
//! forced approval; `/webhooks/v1/webhooks`. The shopper's app is a page at the payment's `redirectUrl` where a test
//! (or a person) approves or rejects. On approval of a card passthrough payment the merchant's card callback is called,
//! signed with the provider's client secret, with a network token in clear: the documented test numbers only.
//!
//! What the documentation leaves open is a constant in [`guesses`]. Not simulated: receipts, profiles, shipping,
//! push messages' delivery, encrypted card numbers (so no stand-alone Dankort). Access tokens do not survive a restart;
//! payments, webhook registrations and the answers of idempotency keys that booked do, with a state directory.

mod access;
mod callback;
mod cards;
pub mod credentials;
pub mod guesses;
mod landing;
mod modify;
mod payment;
mod problem;
mod request;
mod routes;
mod service;
mod signature;
mod webhooks;

pub use access::Access;
pub use payment::Entry;
pub use routes::router;
pub use service::{Options, Service};
