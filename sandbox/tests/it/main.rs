//! Whole requests through real loopback sockets. One binary, so that it links once.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers, too"
)]

mod access;
mod authorize;
mod binary;
mod browser;
mod dev_ca;
mod faults;
mod mobilepay;
mod movements;
mod nets;
mod receiver;
mod support;
mod threedsecure;
mod together;
