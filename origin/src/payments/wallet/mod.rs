//! Paying with MobilePay: the wallet hands over a network token, the merchant's acquirer authorises it.
//!
//! ```text
//! start ──intent──▶ Waiting ──card callback──▶ Authorising ──▶ Authorised ──MobilePay says AUTHORIZED──▶ captured
//!                      │                          │               └──MobilePay says otherwise──▶ given back
//!                      └─payer gone─▶ Expired     └─▶ Declined, Lost: MobilePay is told FAIL
//! ```
//!
//! 1. `start`: intent first (code locked with a lease, transaction, name of the payment), then the payment is made at
//!    MobilePay; the payer is sent to it.
//! 2. `callback`: the card, once; what was answered is written down with the outcome and answered again.
//! 3. `look`: what MobilePay says of the payment decides. A hold whose answer MobilePay never got is given back; nothing is
//!    captured before it has said that it has the answer. Webhooks only make us look sooner.
//! 4. `reports`: each capture, refund and release at the acquirer is a row, written with it, until MobilePay knows.
//!
//! Everything that is needed to go on is in rows: a process that dies leaves nothing behind that another does not find.

mod callback;
mod look;
pub mod reports;
mod start;
mod webhooks;
mod worker;

use tokio::sync::Notify;

use super::Payments;
use super::store::wallet::WalletRow;
use crate::acquirers::mobilepay::{self, Credentials, MobilePay};
use crate::db::DbError;
use crate::identity::{self, secrets};
use crate::money::Currency;
use crate::vault::Unsealed;
use crate::web::ApiError;

pub use callback::{CallbackRefused, ProviderCall};
pub use start::{Started, WalletOrder};
pub use webhooks::WebhookError;

/// How long MobilePay lets a payer take.
const PAYER_MS: i64 = 10 * 60 * 1000;
/// How much longer we wait for what has become of them.
const MARGIN_MS: i64 = 90 * 1000;

/// Everything that a wallet's payment needs beside what every payment needs.
pub struct Wallet {
    /// What every payment needs.
    pub payments: Payments,
    /// The way to MobilePay.
    pub client: MobilePay,
    /// Where MobilePay reaches our provider listener, without a slash at its end; without it nothing is offered.
    pub callback_url: Option<String>,
    /// Base of what a payer comes back to.
    pub public_url: String,
    /// Rung when there is something to look at, or to report.
    pub bell: Notify,
}

/// Why a wallet's payment is not to be had, for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error(transparent)]
    Secret(#[from] secrets::SecretError),
    #[error(transparent)]
    Form(#[from] crate::acquirers::AcquirerError),
    #[error("the account has no credentials at MobilePay")]
    Missing,
}

impl Wallet {
    /// Whether an account's payers may pay with MobilePay in this currency: what the pay page asks.
    ///
    /// # Errors
    /// From the database.
    pub async fn is_offered(&self, account: &str, currency: Currency) -> Result<bool, DbError> {
        if self.callback_url.is_none() || !mobilepay::takes_currency(currency) {
            return Ok(false);
        }
        let name = account.parse().map_err(|_| DbError::Corrupt("account name"))?;
        Ok(identity::store::acquirer_credentials(&self.payments.db, &name, mobilepay::NAME).await?.is_some())
    }

    async fn credentials(&self, unsealed: &Unsealed, account: &str) -> Result<Credentials, CredentialsError> {
        let name = account.parse().map_err(|_| CredentialsError::Missing)?;
        let json = secrets::acquirer_credentials(&self.payments.db, unsealed, &name, mobilepay::NAME).await?;
        Ok(Credentials::parse(&json.ok_or(CredentialsError::Missing)?)?)
    }

    fn now_ms(&self) -> i64 {
        self.payments.clock.now_db()
    }
}

impl WalletRow {
    /// The idempotency key of an act: the same for each repetition, another where a refusal has used one up.
    fn key(&self, act: u32, number: u32) -> String {
        match number {
            0 => format!("{}-{act}", self.reference),
            _ => format!("{}-{act}-{number}", self.reference),
        }
    }

    /// The key under which the payment itself is made.
    fn create_key(&self) -> String {
        format!("{}-new", self.reference)
    }

    /// When the payer's time is over, ours included.
    fn lease_until_ms(&self) -> i64 {
        self.created_at_ms + PAYER_MS + MARGIN_MS
    }
}

impl From<CredentialsError> for ApiError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Missing => {
                Self::because(scanvault_protocol::Problem::Conflict, "This merchant does not take MobilePay")
            }
            other => Self::internal(&other),
        }
    }
}
