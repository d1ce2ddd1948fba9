//! Payments: codes, payment requests, transactions and their acts.
//!
//! The rule of the folder: what will be asked of an acquirer is committed before it is asked, what became of it after.

pub mod details;
pub mod engine;
pub mod feed;
pub mod idempotency;
pub mod ledger;
pub mod limits;
pub mod notification;
pub mod notify;
pub mod pay;
pub mod pluto;
pub mod reconcile;
pub mod request;
pub mod resolver;
pub mod routing;
mod service;
pub mod settle;
pub mod state;
pub mod steps;
pub mod store;
pub mod subscribers;
pub mod threeds;
pub mod v1;
pub mod view;
pub mod wallet;

pub use request::Code;
pub use service::Payments;
pub use state::CodeState;
