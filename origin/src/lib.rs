//! The origin of scanvault: vault, payments, identity, and the operators' CLI.
//!
//! ```text
//! app, cli → ceremonies, ops, pages → payments → cards → identity, acquirers, outbox → vault → audit → web, db → protocol
//! ```
//!
//! Imports run one way along this line; `tests/origin/imports.rs` of the repository holds every `use` against it. `batch`, `calendar`, `clock`,
//! `entropy`, `fault`, `hex` and `money` are leaves that anyone may use.

pub mod acquirers;
pub mod app;
pub mod audit;
pub mod batch;
pub mod calendar;
pub mod cards;
pub mod ceremonies;
pub mod cli;
pub mod clock;
pub mod db;
pub mod entropy;
pub mod fault;
pub mod identity;
pub mod money;
pub mod ops;
pub mod outbox;
pub mod pages;
pub mod payments;
pub mod vault;
pub mod web;

mod hex;
