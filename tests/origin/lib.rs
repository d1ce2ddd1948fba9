//! The tests are in `main.rs` beside this file: whole requests against the origin's router, on both databases.
