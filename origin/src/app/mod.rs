//! Wiring: configuration in, a running origin out.

pub mod config;
mod listeners;
pub mod notifications;
mod parties;
pub mod provider;
mod region;
mod reload;
pub mod router;
pub mod serve;
pub mod telemetry;

use std::sync::Arc;

pub use config::Config;

use crate::audit::Audit;
use crate::cards::Cards;
use crate::ceremonies::Admin;
use crate::clock::Clock;
use crate::db::Db;
use crate::identity::Identity;
use crate::identity::login::Logins;
use crate::ops::Ops;
use crate::payments::Payments;
use crate::payments::pluto::{self, Polls};
use crate::payments::wallet::Wallet;
use crate::vault::Vault;
use crate::web::link_check::LinkCheck;

/// Everything the listeners share.
pub struct App {
    /// The database.
    pub db: Db,
    /// The vault of this process.
    pub vault: Arc<Vault>,
    /// The audit chain of this process.
    pub audit: Arc<Audit>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The door of the public listener.
    pub link: LinkCheck,
    /// Who calls.
    pub identity: Arc<Identity>,
    /// The vault's cards.
    pub cards: Cards,
    /// Logins with an RSA key.
    pub logins: Logins,
    /// Paying with MobilePay.
    pub wallet: Arc<Wallet>,
    /// The money.
    pub payments: Arc<Payments>,
    /// Who polls `/pluto` how fast.
    pub polls: Polls,
    /// How `/pluto` tells what is wrong.
    pub pluto_errors: pluto::Errors,
    /// The admin listener's ceremonies.
    pub admin: Admin,
    /// What is watched.
    pub ops: Ops,
    /// Base of `codeUrl`.
    pub public_url: String,
    /// The sandbox's pages may be shown in ours.
    pub is_development: bool,
}
