//! Whole requests against the origin's own router: signed as the edge signs, answered as the edge would get it, with a
//! clock that the test moves, the sandbox's gateway behind a real socket, and SQLite and PostgreSQL in turn.
//!
//! PostgreSQL is a real server, started by `scripts/test`, which names it in `SCANVAULT_TEST_POSTGRES`; each test makes a
//! database of its own there.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed: that is how it says so"
)]

mod acquirers;
mod acs;
mod admin_tls;
mod audit;
mod bank;
mod card;
mod card_testing;
mod cards;
mod ceremonies;
mod changes;
mod codes;
mod credentials;
mod door;
mod engine;
mod feed;
mod holds;
mod idempotency;
mod imports;
mod link;
mod login;
mod login_client;
mod matrix;
mod metrics;
mod migration;
mod mobilepay;
mod notifications;
mod operators;
mod outbox;
mod outcomes;
mod ownership;
mod passwords;
mod pings;
mod purchases;
mod queries;
mod receiver;
mod reconcile;
mod records;
mod regions;
mod sealed;
mod settings;
mod shop;
mod strict;
mod subscribers;
mod threeds;
mod threeds_faults;
mod v1;
mod vault_client;
mod vault_rules;
mod world;

/// Runs an async test body on both databases, as two tests.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: World) $body:block)*) => {$(
        mod $name {
            use super::*;
            async fn body($world: World) $body

            $(#[$meta])*
            #[tokio::test]
            async fn sqlite() {
                body(World::sqlite().await).await;
            }

            $(#[$meta])*
            #[tokio::test]
            async fn postgres() {
                body(World::postgres().await).await;
            }
        }
    )*};
}
