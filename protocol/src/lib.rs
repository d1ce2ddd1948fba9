//! What crosses the link between edge and origin, and nothing else.
//!
//! In scope: account names and roles, the one route table, the one table of problems, the `Authorization`
//! header, API passwords, credential records, session tokens, the link signature (RFC 9421) with its header names, and what
//! an origin tells of its region.
//!
//! Out of scope: clocks, randomness and I/O. The time and random bytes are arguments, so every decision here
//! is tested natively and runs the same in the worker's wasm.
#![warn(missing_docs)]

pub mod account;
pub mod authorization;
pub mod headers;
pub mod limit;
pub mod link;
pub mod password;
pub mod path;
pub mod problem;
pub mod record;
pub mod region;
pub mod route;
pub mod token;
pub mod told;

pub use account::{AccountName, AuthMode, Role};
pub use problem::Problem;
