//! Pings in Scanpay's way: `{"seq":n,"shopid":id}`, proved with the whole API key, after each change and every five
//! minutes. They carry nothing but the number of the newest change, so that only the newest is sent, and one that was
//! lost is made good by the next. The account's row says which number was told and when; other origins read it too.
//!
//! The reference pings port 80 as well; we do not: receivers are held to the rules of webhooks ([`super::target`]).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::Row;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::Secrets;
use super::counts::Counts;
use super::sender::{Message, Sender};
use super::slots::{Slot, Slots};
use crate::clock::Clock;
use crate::db::padded::{MAX_ROWS, Padded, pad};
use crate::db::{Db, DbError, Kind};

/// The name of the header that carries the proof.
pub const SIGNATURE_HEADER: &str = "x-signature";
/// The reference's: clients take a shop for dead after ten minutes without one.
const PERIOD_MS: i64 = 300_000;
/// Longer than an attempt: afterwards another origin, or the next run of this one, pings in our place.
const LEASE_MS: i64 = 30_000;
/// A ping that failed is made again after that, unless there is a new change before.
const RETRY_MS: i64 = 60_000;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The least time between two pings to one account: changes that come faster are told together.
const GAP: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_secs(1);
/// Accounts that are pinged at once.
const CONCURRENT: usize = MAX_ROWS;

/// The pinger.
pub struct Pinger {
    /// Where the accounts are.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The keys.
    pub secrets: Arc<dyn Secrets>,
    /// The way to receivers.
    pub sender: Arc<Sender>,
    /// Rung after changes.
    pub bell: Arc<Notify>,
    /// What became of it.
    pub counts: Counts,
}

/// An account that is to be pinged now; ours until the lease ends.
#[derive(Debug)]
struct Due {
    account: String,
    url: String,
    seq: i64,
    /// What we wrote into the row; who finds another value was overtaken.
    leased_at_ms: i64,
}

/// The body of a ping.
#[must_use]
pub fn body(seq: i64, shop_id: &str) -> String {
    format!("{{\"seq\":{seq},\"shopid\":{shop_id}}}")
}

/// The value of `X-Signature`.
#[must_use]
pub fn sign(api_key: &[u8], body: &str) -> String {
    // HMAC takes keys of every length (RFC 2104 §2), so this cannot fail.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(api_key) else { return String::new() };
    mac.update(body.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The number by which Scanpay's clients know a merchant; other accounts have none, and no pings.
fn shop_id(account: &str) -> Option<&str> {
    account.strip_prefix("merchant-").filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

impl Pinger {
    /// Pings until `stop` turns true; what is under way is finished.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let slots = Slots::new(CONCURRENT, Arc::clone(&self.bell));
        while !*stop.borrow() {
            while tasks.try_join_next().is_some() {}
            if let Some((due, slot)) = self.claim(&slots).await {
                let (pinger, mut stop) = (Arc::clone(&self), stop.clone());
                tasks.spawn(async move {
                    pinger.attempt(&due).await;
                    tokio::select! {
                        () = tokio::time::sleep(GAP) => {}
                        _ = stop.changed() => {}
                    }
                    drop(slot);
                });
                continue;
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                _ = stop.changed() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn claim(&self, slots: &Arc<Slots>) -> Option<(Due, Slot)> {
        if !self.db.serves() || !self.secrets.are_available() || slots.are_full() {
            return None;
        }
        match claim(&self.db, self.clock.now_db(), &slots.taken()).await {
            Ok(due) => due.map(|due| {
                let slot = slots.take(&due.account);
                (due, slot)
            }),
            Err(error) => {
                tracing::error!(cause = %error, "accounts that are to be pinged cannot be read");
                None
            }
        }
    }

    async fn attempt(&self, due: &Due) {
        let reached = self.send(due).await;
        let outcome = if reached.is_ok() { "ok" } else { "failed" };
        self.counts.ping(outcome);
        let (account, seq) = (due.account.as_str(), due.seq);
        match &reached {
            Ok(()) => tracing::debug!(account, seq, "pinged"),
            Err(reason) => tracing::warn!(account, seq, reason, "not pinged"),
        }
        let now_ms = self.clock.now_db();
        let pinged_at_ms = if reached.is_ok() { now_ms } else { now_ms - PERIOD_MS + RETRY_MS };
        if let Err(error) = finish(&self.db, due, pinged_at_ms).await {
            tracing::error!(account, cause = %error, "ping's outcome not recorded; it will be sent again");
        }
    }

    async fn send(&self, due: &Due) -> Result<(), String> {
        let shop_id = shop_id(&due.account).ok_or("the account is no merchant")?;
        let key = self.secrets.ping_key(&due.account).await.map_err(|error| error.to_string())?;
        let key = key.ok_or("the vault is sealed")?;
        let body = body(due.seq, shop_id);
        let headers = [(SIGNATURE_HEADER, sign(&key, &body))];
        let message = Message {
            url: &due.url,
            media_type: "application/json",
            headers: &headers,
            body,
            time_limit: ATTEMPT_TIMEOUT,
        };
        match self.sender.post(message).await {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(format!("answered {}", status.as_u16())),
            Err(why) => Err(why.as_str().to_owned()),
        }
    }
}

macro_rules! claiming {
    ($lock:literal) => {
        Padded::list(
            "UPDATE accounts SET pinged_seq = change_seq, pinged_at_ms = $2 WHERE name = (\
             SELECT a.name FROM accounts a WHERE a.ping_url IS NOT NULL AND a.status = 'active' \
             AND (a.change_seq > a.pinged_seq OR a.pinged_at_ms <= $1) AND EXISTS (\
             SELECT 1 FROM acquirer_credentials c WHERE c.account = a.name AND c.acquirer = 'ping') AND a.name NOT IN",
            2,
            concat!("ORDER BY a.pinged_at_ms LIMIT 1", $lock, ") RETURNING name, ping_url, change_seq"),
        )
    };
}
static SQLITE: Padded = claiming!("");
static POSTGRES: Padded = claiming!(" FOR UPDATE OF a SKIP LOCKED");

/// Takes an account that has a change to be told, or that has not heard of us for the period.
async fn claim(db: &Db, now_ms: i64, busy: &[String]) -> Result<Option<Due>, DbError> {
    let statement = match db.kind() {
        Kind::Sqlite => &SQLITE,
        Kind::Postgres => &POSTGRES,
    };
    // No account is called so.
    let nobody = [String::new()];
    let busy = if busy.is_empty() { &nobody[..] } else { busy };
    let (text, size) = statement.text(busy.len());
    let leased_at_ms = now_ms - PERIOD_MS + LEASE_MS;
    let mut query = sqlx::query(text).bind(now_ms - PERIOD_MS).bind(leased_at_ms);
    for account in pad(busy, size) {
        query = query.bind(account.clone());
    }
    let Some(row) = query.fetch_optional(db.write()).await? else { return Ok(None) };
    Ok(Some(Due { account: row.try_get(0)?, url: row.try_get(1)?, seq: row.try_get(2)?, leased_at_ms }))
}

async fn finish(db: &Db, due: &Due, pinged_at_ms: i64) -> Result<(), DbError> {
    let statement = "UPDATE accounts SET pinged_at_ms = $3 WHERE name = $1 AND pinged_at_ms = $2";
    let query = sqlx::query(statement).bind(due.account.as_str()).bind(due.leased_at_ms).bind(pinged_at_ms);
    query.execute(db.write()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn meets_the_published_vector() {
        let file: Value = serde_json::from_str(include_str!("../../vectors/notifications.json")).unwrap();
        let vector = &file["ping"][0];
        let text = |name: &str| vector[name].as_str().unwrap();
        assert_eq!(body(200, "129"), text("body"));
        assert_eq!(sign(text("key").as_bytes(), text("body")), text("signature"));
    }

    #[test]
    fn only_merchants_have_a_number() {
        assert_eq!(shop_id("merchant-25"), Some("25"));
        for account in ["psp-25", "merchant-", "warehouse", "merchant-2x"] {
            assert_eq!(shop_id(account), None, "{account}");
        }
    }
}
