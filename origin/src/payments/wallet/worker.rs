//! Looks and reports, one after another as they come due, a few at a time. While the vault is sealed they wait: a
//! merchant's credentials are vault records. They rest while another region serves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Wallet;
use crate::db::DbError;

/// When nothing tells us otherwise, we look this often.
const POLL: Duration = Duration::from_secs(1);
const CONCURRENT: usize = 8;

impl Wallet {
    /// Works until `stop` turns true; what is under way is finished.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if self.payments.vault.unsealed().is_ok()
                && let Err(error) = self.work_off().await
            {
                tracing::error!(cause = %error, "wallet payments cannot be looked after");
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Does all that is due now, nothing while another region serves. A look may make a report due, so looks come first.
    ///
    /// # Errors
    /// From the database.
    pub async fn work_off(self: &Arc<Self>) -> Result<(), DbError> {
        if !self.payments.db.serves() {
            return Ok(());
        }
        let mut tasks = JoinSet::new();
        for _ in 0..CONCURRENT {
            let wallet = Arc::clone(self);
            tasks.spawn(async move {
                while wallet.look_once().await? {}
                while wallet.report_once().await? {}
                Ok::<_, DbError>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            // A task that panicked has left its lease behind; the others go on.
            if let Ok(result) = done {
                result?;
            }
        }
        Ok(())
    }
}
