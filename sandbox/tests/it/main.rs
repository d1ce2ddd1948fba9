//! Whole requests through real loopback sockets. One binary, so that it links once.

mod authorize;
mod binary;
mod dev_ca;
mod faults;
mod movements;
mod receiver;
mod support;
