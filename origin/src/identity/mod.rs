//! Accounts: who they are, how they prove it, and the secrets that are kept for them.

pub mod account;
pub mod authenticate;
pub mod credentials;
pub mod enrolled_key;
pub mod enrolments;
pub mod last_use;
pub mod login;
pub mod modes;
pub mod passwords;
pub mod recrypt;
pub mod routes;
pub mod secrets;
pub mod sessions;
pub mod settings;
pub mod store;
pub mod throttle;
pub mod tokens;

pub use account::{Account, NewAccount, ThreeDSecure};
pub use authenticate::{Caller, Identity};
