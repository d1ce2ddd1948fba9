//! What all simulators share.

pub mod admin;
pub mod book;
pub mod clock;
pub mod faults;
pub mod files;
pub(crate) mod form;
pub mod ids;
pub mod out;
pub mod secret;
pub mod serve;
pub mod settlement;
pub(crate) mod web;
