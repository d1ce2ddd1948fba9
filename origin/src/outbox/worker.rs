//! Sends what is due. While the vault is sealed deliveries wait: their secrets are vault records.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, redirect};
use tokio::sync::{Notify, watch};
use zeroize::Zeroizing;

use super::signature::{self, DELIVERY_HEADER, SIGNATURE_HEADER};
use super::store::{self, Due};
use super::target::{PublicOnly, Target};
use crate::clock::Clock;
use crate::db::{Db, DbError};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than an attempt: the lease ends only when this process is gone.
const LEASE_MS: i64 = 60_000;
/// When nothing tells us otherwise, we look this often.
const POLL: Duration = Duration::from_secs(1);
const SEALED_WAIT_MS: i64 = 1_000;
/// 2 s, 4 s, 8 s … one hour; 40 attempts are about 27 hours. Then an operator is asked.
const FIRST_RETRY_MS: i64 = 2_000;
const LONGEST_RETRY_MS: i64 = 3_600_000;
const MAX_ATTEMPTS: i64 = 40;
const CONCURRENT: usize = 8;

/// Gives the secret that an account's deliveries are signed with.
pub trait Secrets: Send + Sync {
    /// Whether secrets are to be had at all now; nothing is claimed while they are not.
    fn are_available(&self) -> bool;

    /// `Ok(None)`: not now (the vault is sealed).
    fn webhook_secret<'a>(&'a self, account: &'a str) -> SecretFuture<'a>;
}

/// A secret, or none for now, in a while.
pub type SecretFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Zeroizing<Vec<u8>>>, SecretError>> + Send + 'a>>;

/// The secret is not to be had, now or ever.
#[derive(Debug, thiserror::Error)]
#[error("the webhook secret cannot be read: {0}")]
pub struct SecretError(pub String);

/// The sender.
pub struct Worker {
    /// Where the rows are.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Rung when a row was added, so that it goes out at once.
    pub bell: Arc<Notify>,
    /// Development: receivers on loopback, over http.
    pub allow_local: bool,
    /// Checked addresses only, no redirects, no proxy variables.
    pub client: Client,
}

/// The client that deliveries go out with.
///
/// # Errors
/// When the TLS client cannot be set up.
pub fn client(allow_local: bool, extra_ca: &[Certificate]) -> Result<Client, reqwest::Error> {
    Client::builder()
        .timeout(ATTEMPT_TIMEOUT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(PublicOnly { allow_local }))
        .tls_certs_merge(extra_ca.iter().cloned())
        .user_agent("scanvault-webhook")
        .build()
}

impl Worker {
    /// Sends until `stop` turns true; what is under way is finished.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tasks = tokio::task::JoinSet::new();
        while !*stop.borrow() {
            while tasks.try_join_next().is_some() {}
            if tasks.len() >= CONCURRENT {
                let _ = tasks.join_next().await;
                continue;
            }
            if !self.secrets.are_available() {
                self.wait(&mut stop).await;
                continue;
            }
            match store::claim(&self.db, self.clock.now_db(), LEASE_MS).await {
                Ok(Some(due)) => {
                    let worker = Arc::clone(&self);
                    tasks.spawn(async move { worker.attempt(due).await });
                }
                Ok(None) => self.wait(&mut stop).await,
                Err(error) => {
                    tracing::error!(cause = %error, "outbox cannot be read");
                    self.wait(&mut stop).await;
                }
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn wait(&self, stop: &mut watch::Receiver<bool>) {
        tokio::select! {
            () = self.bell.notified() => {}
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }

    /// One attempt, with its outcome written down.
    async fn attempt(&self, due: Due) {
        let done = match self.secrets.webhook_secret(&due.account).await {
            Ok(Some(secret)) => self.send_and_record(&due, &secret).await,
            Ok(None) => store::release(&self.db, &due.id, self.clock.now_db() + SEALED_WAIT_MS).await,
            Err(error) => {
                tracing::error!(delivery = due.id, account = due.account, cause = %error, "delivery parked");
                store::postpone(&self.db, &due.id, None, "the webhook secret cannot be read").await
            }
        };
        if let Err(error) = done {
            tracing::error!(delivery = due.id, cause = %error, "delivery's outcome not recorded; it will be sent again");
        }
    }

    async fn send_and_record(&self, due: &Due, secret: &[u8]) -> Result<(), DbError> {
        match self.send(due, secret).await {
            Ok(()) => {
                tracing::info!(delivery = due.id, account = due.account, attempts = due.attempts, "delivered");
                store::delivered(&self.db, &due.id).await
            }
            Err(reason) => {
                let next = next_attempt_ms(due.attempts, self.clock.now_db());
                tracing::warn!(
                    delivery = due.id,
                    account = due.account,
                    attempts = due.attempts,
                    reason,
                    "not delivered"
                );
                store::postpone(&self.db, &due.id, next, reason).await
            }
        }
    }

    async fn send(&self, due: &Due, secret: &[u8]) -> Result<(), &'static str> {
        // Checked again: the flag or the rules may have changed since the address was set.
        let target = Target::parse(&due.url, self.allow_local).map_err(|_| "the address is not allowed")?;
        let signature = signature::sign(secret, self.clock.now_secs(), &due.id, &due.body);
        let answer = self
            .client
            .post(target.as_str())
            .header("content-type", "application/json")
            .header(SIGNATURE_HEADER, signature)
            .header(DELIVERY_HEADER, &due.id)
            .body(due.body.clone())
            .send()
            .await
            .map_err(|error| if error.is_timeout() { "timed out" } else { "not reached" })?;
        // The body of the answer is not read: nothing in it matters, and nothing bounds it.
        if answer.status().is_success() { Ok(()) } else { Err("answered with an error") }
    }
}

/// Doubles up to an hour; `None` when it is time to ask an operator.
fn next_attempt_ms(attempts: i64, now_ms: i64) -> Option<i64> {
    if attempts >= MAX_ATTEMPTS {
        return None;
    }
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 20)).unwrap_or(20);
    Some(now_ms + (FIRST_RETRY_MS << doublings).min(LONGEST_RETRY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_up_to_an_hour_and_end() {
        assert_eq!(next_attempt_ms(1, 0), Some(2_000));
        assert_eq!(next_attempt_ms(2, 0), Some(4_000));
        assert_eq!(next_attempt_ms(12, 0), Some(LONGEST_RETRY_MS));
        assert_eq!(next_attempt_ms(MAX_ATTEMPTS, 0), None);
        let whole: i64 = (1..MAX_ATTEMPTS).filter_map(|attempts| next_attempt_ms(attempts, 0)).sum();
        assert!(whole > 24 * 3_600_000 && whole < 36 * 3_600_000);
    }
}
