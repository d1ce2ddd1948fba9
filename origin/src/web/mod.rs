//! HTTP that knows no domain: listeners with their limits, the link check, and the one place where an error becomes an
//! answer.

pub mod error;
pub mod json;
pub mod link_check;
pub mod listener;
pub mod nonces;
pub mod peer;
pub mod reply;
pub mod request;
pub mod tls;

pub use error::ApiError;
pub use request::Call;
