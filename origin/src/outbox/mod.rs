//! The outbox: what merchants are to be told, as rows that are written with the change they tell of, and sent until
//! the receiver has it: at least once, each delivery with an id of its own. And pings, which say only that there is
//! something to be read.
//!
//! A *strict* delivery is one that money waits for: its row has a deadline, a 200 within it is the only yes, and
//! whoever holds the money is told of either end ([`Settles`]).

pub mod counts;
pub mod format;
pub mod ping;
pub mod sender;
pub mod signature;
pub mod slots;
pub mod store;
pub mod strict;
pub mod target;
pub mod upkeep;
pub mod worker;

use std::pin::Pin;

use zeroize::Zeroizing;

pub use counts::Counts;
pub use format::{Format, NotificationKey};
pub use sender::Sender;
pub use target::{Rules, Target};

/// Gives the secrets that deliveries and pings are made with.
pub trait Secrets: Send + Sync {
    /// Whether secrets are to be had at all now; nothing is claimed while they are not.
    fn are_available(&self) -> bool;

    /// What an account's deliveries are signed with. `Ok(None)`: not now (the vault is sealed).
    fn webhook_secret<'a>(&'a self, account: &'a str) -> SecretFuture<'a>;

    /// What its deliveries in the format [`Format::Pluto`] are encrypted with.
    fn notification_key<'a>(&'a self, account: &'a str) -> SecretFuture<'a>;

    /// The whole API key that its pings are signed with.
    fn ping_key<'a>(&'a self, account: &'a str) -> SecretFuture<'a>;
}

/// A secret, or none for now, in a while.
pub type SecretFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Zeroizing<Vec<u8>>>, SecretError>> + Send + 'a>>;

/// The secret is not to be had. For the log only.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It may be in a while: the database was not, or another process has sealed it with a key that is younger than our ring.
    #[error("the secret cannot be read at the moment: {0}")]
    NotNow(String),
    /// There is none, or it does not open.
    #[error("the secret cannot be read: {0}")]
    Never(String),
}

/// Who holds money until a receiver has answered. Both are called after the row says so, and may be called again for the
/// same transaction, or not at all when the process dies first: [`strict::find`] tells what the row says.
pub trait Settles: Send + Sync {
    /// The receiver has answered 200 in time: what is held is to be captured.
    fn delivered(&self, transaction_id: i64) -> SettleFuture<'_>;

    /// It has not, and is not asked again: what is held is to be given back.
    fn gave_up(&self, transaction_id: i64) -> SettleFuture<'_>;
}

/// Done, in a while; what went wrong is the holder's to log and to try again.
pub type SettleFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
