//! What every payment needs, and the rule that a payment that has begun is carried to its end.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinError;

use super::limits::Limits;
use super::threeds::ThreeDs;
use crate::acquirers::Acquirers;
use crate::clock::Clock;
use crate::db::Db;
use crate::vault::Vault;

/// Everything a payment needs. A copy shares all of it.
#[derive(Clone)]
pub struct Payments {
    /// Where it is written.
    pub db: Db,
    /// What opens and seals cards.
    pub vault: Arc<Vault>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who moves the money.
    pub acquirers: Acquirers,
    /// Who authenticates cardholders.
    pub threeds: Arc<ThreeDs>,
    /// Rung when a notification was written.
    pub bell: Arc<Notify>,
    /// How long the card of a payment is kept after it. Nothing of ours needs it later; a dispute or a refund may.
    pub card_retention_ms: i64,
    /// What stands against the testing of cards.
    pub limits: Arc<Limits>,
    /// Held by every running payment: the process waits for them when it stops.
    pub running: mpsc::Sender<()>,
}

impl Payments {
    /// Runs work in a task of its own: whoever asked may hang up, and cancels nothing. The process waits for it when it
    /// stops.
    ///
    /// # Errors
    /// When the task panicked: what it has written stays, and is looked after as what a crash leaves.
    pub async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        let running = self.running.clone();
        let task = tokio::spawn(async move {
            let _running = running;
            work.await
        });
        task.await
    }
}
