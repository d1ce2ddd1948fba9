//! Sends what is due. While the vault is sealed deliveries wait: their secrets are vault records. They wait for the region
//! that serves, too.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::counts::Counts;
use super::format::{Format, NotificationKey};
use super::sender::{Message, NoAnswer, Sender};
use super::signature::{self, DELIVERY_HEADER, SIGNATURE_HEADER};
use super::slots::{Slot, Slots};
use super::store::{self, Claim, Class, Due, Strict};
use super::strict::{self, ANSWER_WITHIN_MS};
use super::{SecretError, Secrets, Settles};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::fault;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than any attempt: the lease ends only when this process is gone.
const LEASE_MS: i64 = ANSWER_WITHIN_MS + 15_000;
/// When nothing tells us otherwise, we look this often.
const POLL: Duration = Duration::from_secs(1);
const SEALED_WAIT_MS: i64 = 1_000;
/// 2 s, 4 s, 8 s … one hour; 40 attempts are about 27 hours. Then an operator is asked.
const FIRST_RETRY_MS: i64 = 2_000;
const LONGEST_RETRY_MS: i64 = 3_600_000;
const MAX_ATTEMPTS: i64 = 40;
/// Of either class: what nothing waits for never takes the place of what money waits for.
const CONCURRENT: usize = 256;

/// The sender.
pub struct Worker {
    /// Where the rows are.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Who holds money until a receiver has answered.
    pub settles: Arc<dyn Settles>,
    /// The way to receivers.
    pub sender: Arc<Sender>,
    /// Rung when a row was added, so that it goes out at once.
    pub bell: Arc<Notify>,
    /// Rung by us whenever we are: a change may be pinged.
    pub pings: Arc<Notify>,
    /// What became of it.
    pub counts: Counts,
}

/// What became of an attempt.
enum Attempt {
    Delivered,
    /// Answered, but not with a yes.
    Answered(StatusCode),
    Unanswered(NoAnswer),
    /// The vault was sealed meanwhile.
    NotNow,
    /// Its secret was not to be had for other reasons, which pass: nothing was sent.
    Unreadable,
    /// It cannot be made, now or ever.
    Impossible(&'static str),
}

impl Worker {
    /// Sends until `stop` turns true; what is under way is finished.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let slots =
            [Class::Strict, Class::Ordinary].map(|class| (class, Slots::new(CONCURRENT, Arc::clone(&self.bell))));
        while !*stop.borrow() {
            while tasks.try_join_next().is_some() {}
            let mut has_found = false;
            for (class, slots) in &slots {
                if let Some((due, slot)) = self.claim(*class, slots).await {
                    has_found = true;
                    let worker = Arc::clone(&self);
                    tasks.spawn(async move { worker.attempt(due, slot).await });
                }
            }
            if !has_found {
                self.wait(&mut stop).await;
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn wait(&self, stop: &mut watch::Receiver<bool>) {
        tokio::select! {
            () = self.bell.notified() => self.pings.notify_one(),
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => {}
        }
    }

    /// The next that may go out, with its slot.
    async fn claim(&self, class: Class, slots: &Arc<Slots>) -> Option<(Due, Slot)> {
        if !self.db.serves() || !self.secrets.are_available() || slots.are_full() {
            return None;
        }
        let busy = slots.busy();
        let now_ms = self.clock.now_db();
        let claim = Claim { class, now_ms, lease_ms: LEASE_MS, strict_ms: ANSWER_WITHIN_MS, busy: &busy };
        match store::claim(&self.db, claim).await {
            Ok(due) => due.map(|due| {
                let slot = slots.take(&due.account);
                (due, slot)
            }),
            Err(error) => {
                tracing::error!(cause = %error, "outbox cannot be read");
                None
            }
        }
    }

    /// One attempt, with its outcome written down, and whoever waits for it told.
    async fn attempt(&self, due: Due, slot: Slot) {
        fault::point("outbox.claimed");
        let done = match due.strict {
            Some(strict) => self.attempt_strict(&due, strict, slot).await,
            None => self.attempt_ordinary(&due).await,
        };
        if let Err(error) = done {
            tracing::error!(delivery = due.id, cause = %error, "delivery's outcome not recorded; it will be sent again");
        }
    }

    async fn attempt_ordinary(&self, due: &Due) -> Result<(), DbError> {
        let attempt = self.send(due, ATTEMPT_TIMEOUT).await;
        let now_ms = self.clock.now_db();
        match self.note(due, &attempt) {
            None if matches!(attempt, Attempt::Delivered) => {
                fault::point("outbox.sent");
                store::delivered(&self.db, &due.id, now_ms).await?;
                Ok(())
            }
            None => store::release(&self.db, due, now_ms + SEALED_WAIT_MS).await,
            Some(why) => {
                let is_over = matches!(attempt, Attempt::Impossible(_));
                let next = next_attempt_ms(due.attempts, now_ms).filter(|_| !is_over);
                store::postpone(&self.db, due, next, &why).await
            }
        }
    }

    /// Only a 200 within the deadline is a yes. Any other answer is a no; without one it is tried again until the
    /// deadline. The slot is given back before the money moves: that takes its own time.
    async fn attempt_strict(&self, due: &Due, waits: Strict, slot: Slot) -> Result<(), DbError> {
        let left_ms = waits.deadline_at_ms - self.clock.now_db();
        let Some(left) = u64::try_from(left_ms).ok().filter(|left| *left > 0) else {
            return self.withdraw(due, waits, "not answered in time").await;
        };
        let attempt = self.send(due, Duration::from_millis(left)).await;
        let now_ms = self.clock.now_db();
        let why = self.note(due, &attempt);
        drop(slot);
        match (attempt, why) {
            (Attempt::Delivered, _) => {
                fault::point("outbox.sent");
                if store::delivered(&self.db, &due.id, now_ms).await? {
                    fault::point("outbox.delivered");
                    self.settles.delivered(waits.transaction_id).await;
                }
                Ok(())
            }
            (Attempt::NotNow, _) => store::release(&self.db, due, now_ms + SEALED_WAIT_MS).await,
            (Attempt::Unanswered(NoAnswer::NotReached) | Attempt::Unreadable, why) if now_ms < waits.deadline_at_ms => {
                let next = next_attempt_ms(due.attempts, now_ms).map(|next| next.min(waits.deadline_at_ms));
                store::postpone(&self.db, due, next.or(Some(waits.deadline_at_ms)), &why.unwrap_or_default()).await
            }
            (_, why) => self.withdraw(due, waits, &why.unwrap_or_default()).await,
        }
    }

    async fn withdraw(&self, due: &Due, waits: Strict, why: &str) -> Result<(), DbError> {
        fault::point("outbox.refused");
        if strict::withdraw(&self.db, due, why, self.clock.now_db()).await? {
            let (delivery, account, transaction) = (due.id.as_str(), due.account.as_str(), waits.transaction_id);
            tracing::warn!(delivery, account, transaction, why, "withdrawn: its payment is undone");
            self.counts.delivery("withdrawn");
            fault::point("outbox.withdrawn");
            self.settles.gave_up(waits.transaction_id).await;
        }
        Ok(())
    }

    /// Logs and counts an attempt; says why it failed, if it did.
    fn note(&self, due: &Due, attempt: &Attempt) -> Option<String> {
        let (outcome, why) = match attempt {
            Attempt::Delivered => ("delivered", None),
            Attempt::NotNow => return None,
            Attempt::Answered(status) => ("refused", Some(format!("answered {}", status.as_u16()))),
            Attempt::Unanswered(NoAnswer::TimedOut) => ("timed_out", Some(NoAnswer::TimedOut.as_str().to_owned())),
            Attempt::Unanswered(why) => ("not_reached", Some(why.as_str().to_owned())),
            Attempt::Unreadable => ("not_made", Some("the account's secret could not be read".to_owned())),
            Attempt::Impossible(why) => ("impossible", Some((*why).to_owned())),
        };
        self.counts.delivery(outcome);
        let (delivery, account, attempts) = (due.id.as_str(), due.account.as_str(), due.attempts);
        match &why {
            None => tracing::info!(delivery, account, attempts, "delivered"),
            Some(reason) => tracing::warn!(delivery, account, attempts, reason, "not delivered"),
        }
        why
    }

    async fn send(&self, due: &Due, time_limit: Duration) -> Attempt {
        let secret = match self.secrets.webhook_secret(&due.account).await {
            Ok(Some(secret)) => secret,
            Ok(None) => return Attempt::NotNow,
            Err(error) => return unreadable(due, &error),
        };
        let body = match due.format {
            Format::Json => due.body.clone(),
            Format::Pluto => match self.encrypted(due).await {
                Ok(body) => body,
                Err(attempt) => return attempt,
            },
        };
        let signature = signature::sign(&secret, self.clock.now_secs(), &due.id, &body);
        let headers = [(SIGNATURE_HEADER, signature), (DELIVERY_HEADER, due.id.clone())];
        let media_type = due.format.media_type();
        let message = Message { url: &due.url, media_type, headers: &headers, body, time_limit };
        match self.sender.post(message).await {
            // Strict receivers say 200 and nothing else; for the others any success is one.
            Ok(StatusCode::OK) => Attempt::Delivered,
            Ok(status) if status.is_success() && due.strict.is_none() => Attempt::Delivered,
            Ok(status) => Attempt::Answered(status),
            Err(why) => Attempt::Unanswered(why),
        }
    }

    async fn encrypted(&self, due: &Due) -> Result<String, Attempt> {
        let key = match self.secrets.notification_key(&due.account).await {
            Ok(Some(key)) => key,
            Ok(None) => return Err(Attempt::NotNow),
            Err(error) => return Err(unreadable(due, &error)),
        };
        let encrypted = NotificationKey::from_bytes(&key).and_then(|key| key.encrypt(&due.body).ok());
        encrypted.ok_or(Attempt::Impossible("the notification could not be encrypted"))
    }
}

fn unreadable(due: &Due, error: &SecretError) -> Attempt {
    tracing::error!(delivery = due.id, account = due.account, cause = %error, "delivery without its secret");
    match error {
        SecretError::NotNow(_) => Attempt::Unreadable,
        SecretError::Never(_) => Attempt::Impossible("the account's secret cannot be read"),
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
