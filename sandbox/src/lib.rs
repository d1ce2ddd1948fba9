//! Simulators of the parties that Scanvault talks to, for development, merchants and tests.
//!
//! Each party has its own module; `common` holds what they share: the clock, identifiers, the book
//! of what was booked, and the faults that a test can order. Test card numbers only: nothing here
//! may ever see a real card, and still neither the book nor a log line carries a full number.

pub mod clearhaus;
pub mod common;
pub mod dev_ca;
pub mod mobilepay;
pub mod nets;
pub mod receiver;
pub mod threedsecure;
