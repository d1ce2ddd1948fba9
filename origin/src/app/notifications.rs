//! Wiring of the outbox: its way to the secrets, to the receivers, and to whoever holds money for an answer.

use std::sync::Arc;

use scanvault_protocol::AccountName;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::App;
use crate::db::{Db, DbError};
use crate::identity::secrets::{self, NOTIFICATION_KEY, PING_KEY};
use crate::outbox::ping::Pinger;
use crate::outbox::worker::Worker;
use crate::outbox::{SecretError, SecretFuture, Secrets, SettleFuture, Settles};
use crate::payments::Payments;
use crate::vault::{EnvelopeError, Vault};

/// The sender of deliveries and the pinger.
pub struct Senders {
    worker: Arc<Worker>,
    pinger: Arc<Pinger>,
}

impl Senders {
    /// Of an origin; `bell` is rung when a delivery or a change was written, `settles` is told how strict ones end.
    #[must_use]
    pub fn new(app: &App, bell: &Arc<Notify>, settles: Arc<dyn Settles>) -> Self {
        let secrets: Arc<dyn Secrets> = Arc::new(AccountSecrets { db: app.db.clone(), vault: Arc::clone(&app.vault) });
        let pings = Arc::new(Notify::new());
        let pinger = Pinger {
            db: app.db.clone(),
            clock: Arc::clone(&app.clock),
            secrets: Arc::clone(&secrets),
            sender: Arc::clone(&app.admin.sender),
            bell: Arc::clone(&pings),
            counts: app.ops.outbox.clone(),
        };
        let worker = Worker {
            db: app.db.clone(),
            clock: Arc::clone(&app.clock),
            secrets,
            settles,
            sender: Arc::clone(&app.admin.sender),
            bell: Arc::clone(bell),
            pings,
            counts: app.ops.outbox.clone(),
        };
        Self { worker: Arc::new(worker), pinger: Arc::new(pinger) }
    }

    /// Runs both until `stop` turns true.
    #[must_use]
    pub fn start(&self, stop: &watch::Receiver<bool>) -> [JoinHandle<()>; 2] {
        let worker = tokio::spawn(Arc::clone(&self.worker).run(stop.clone()));
        [worker, tokio::spawn(Arc::clone(&self.pinger).run(stop.clone()))]
    }
}

/// The outbox's way to the secrets: identity's records, opened by the vault, when it is open.
struct AccountSecrets {
    db: Db,
    vault: Arc<Vault>,
}

impl AccountSecrets {
    fn credentials<'a>(&'a self, account: &'a str, party: &'static str) -> SecretFuture<'a> {
        Box::pin(async move {
            let Ok(unsealed) = self.vault.unsealed() else { return Ok(None) };
            let name: AccountName =
                account.parse().map_err(|_| SecretError::Never(DbError::Corrupt("account name").to_string()))?;
            let found = secrets::acquirer_credentials(&self.db, &unsealed, &name, party).await.map_err(not_had)?;
            found.map(Some).ok_or_else(|| not_had(secrets::SecretError::Missing))
        })
    }
}

impl Secrets for AccountSecrets {
    fn are_available(&self) -> bool {
        self.vault.unsealed().is_ok()
    }

    fn webhook_secret<'a>(&'a self, account: &'a str) -> SecretFuture<'a> {
        Box::pin(async move {
            let Ok(unsealed) = self.vault.unsealed() else { return Ok(None) };
            secrets::webhook_secret(&self.db, &unsealed, account).await.map(Some).map_err(not_had)
        })
    }

    fn notification_key<'a>(&'a self, account: &'a str) -> SecretFuture<'a> {
        self.credentials(account, NOTIFICATION_KEY)
    }

    fn ping_key<'a>(&'a self, account: &'a str) -> SecretFuture<'a> {
        self.credentials(account, PING_KEY)
    }
}

/// A database that does not answer, and a key that another process has made and we have not read yet, are no reason to
/// give a delivery up, let alone a payment.
fn not_had(error: secrets::SecretError) -> SecretError {
    use secrets::SecretError as Kept;
    let text = error.to_string();
    match error {
        Kept::Db(DbError::Sqlx(_)) | Kept::Moved | Kept::Envelope(EnvelopeError::UnknownKey(_)) => {
            SecretError::NotNow(text)
        }
        Kept::Db(_) | Kept::Missing | Kept::Envelope(_) => SecretError::Never(text),
    }
}

/// The payments that wait for a receiver. What goes wrong here is tried again by their resolver, which asks the row.
pub struct HeldPayments(pub Arc<Payments>);

impl Settles for HeldPayments {
    fn delivered(&self, transaction_id: i64) -> SettleFuture<'_> {
        Box::pin(async move {
            if let Err(error) = self.0.capture_held(transaction_id).await {
                tracing::error!(transaction = transaction_id, cause = %error, "held, delivered, and not captured yet");
            }
        })
    }

    fn gave_up(&self, transaction_id: i64) -> SettleFuture<'_> {
        Box::pin(async move {
            if let Err(error) = self.0.void_held(transaction_id).await {
                tracing::error!(transaction = transaction_id, cause = %error, "held, not delivered, and not voided yet");
            }
        })
    }
}
